"""A coupling that is fitted to known truths has their correlation and tails, and says where it has not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy import stats

from scenario_gen.errors import DataError
from scenario_gen.generators.base import Generator
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.filtered import FilteredPaths
from scenario_gen.generators.rescaled import DriftNeutral
from scenario_gen.joint.coupling import Coupled, Dated, Independent
from scenario_gen.joint.fit import Fit, cells_of, fit_coupling
from scenario_gen.joint.pilot import BookAsset, correlation_of_paths
from scenario_gen.joint.section import Joint
from scenario_gen.market import BarCalendar, Candles
from tests.joint.toys import ALPHA, BETA, OMEGA, SLOPE, ArGarch, made_histories, state_of

Floats = NDArray[np.float64]
TRUTH = np.array([[1, 0.7, 0.3], [0.7, 1, 0.5], [0.3, 0.5, 1]])
READ, AHEAD, PATHS = 1000, 20, 1500
PAIRS = np.triu_indices(3, 1)


@pytest.fixture(scope="module")
def histories() -> list[Candles]:
    return made_histories(TRUTH, 1300, seed=1)


def members_of(histories: list[Candles], generator: Generator, read: int = READ) -> dict[str, BookAsset]:
    ahead = BarCalendar.infer(histories[0].timestamps).future(AHEAD)
    return {
        history.name: BookAsset(
            generator, history, np.arange(len(history) - read, len(history)), history.context(200), ahead
        )
        for history in histories
    }


def returns_of(fit: Fit, members: Mapping[str, BookAsset], seed: int, paths: int = PATHS) -> Floats:
    """Log returns of a book's paths [path, bar, asset]."""
    steps = []
    for place, (asset, member) in enumerate(members.items()):
        coupled = Coupled(fit.generators[asset], fit.coupling, place, member.timestamps, np.arange(AHEAD))
        drawn = coupled.sample(member.context, member.timestamps, Draws.block(seed, 0, paths))
        closes = np.concatenate((np.full((paths, 1), drawn.anchor_close), drawn.close), axis=1)
        steps.append(np.diff(np.log(closes), axis=1))
    return np.stack(steps, axis=-1)


def of_pairs(matrix: object) -> Floats:
    return np.asarray(matrix)[PAIRS]


@pytest.mark.parametrize("tokens", [None, 32, 8])
@pytest.mark.parametrize("copula", ["gaussian", "empirical"])
def test_paths_have_the_correlation_of_the_truth_through_tokens_too(
    histories: list[Candles], tokens: int | None, copula: str
) -> None:
    members = members_of(histories, ArGarch(tokens))
    fit = fit_coupling(members, Joint(copula=copula), seed=3)
    report = fit.report
    assert (report.copula, report.bars, report.order) == (copula, READ, "return")
    error = of_pairs(report.reached_error)
    assert (np.abs(of_pairs(report.reached) - of_pairs(report.target)) <= 2 * error).all()
    # a correlation of 1,000 bars is off by (1 - rho^2) / sqrt(1000); the three by 3 errors in 1 of 120
    drawn, _ = correlation_of_paths(returns_of(fit, members, seed=4))
    off = (drawn[PAIRS] - TRUTH[PAIRS]) / ((1 - TRUTH[PAIRS] ** 2) / READ**0.5)
    assert (np.abs(off) < 3).all()
    assert min(report.order_rank.values()) > 0.98


def test_a_books_ends_and_crashes_are_those_of_the_truth(histories: list[Candles]) -> None:
    """The truth's paths are drawn by numpy; correlation of ends and joint falls hang on rho, read off 1,000 bars."""
    members = members_of(histories, ArGarch(32))
    ours = returns_of(fit_coupling(members, Joint(copula="gaussian"), seed=3), members, seed=5)
    rng, last, variance = np.random.default_rng(2), np.empty((PATHS, 3)), np.empty((PATHS, 3))
    for place, member in enumerate(members.values()):
        past, variances = state_of(np.diff(np.log(member.context.close)))
        last[:, place], variance[:, place] = past[-1], variances[-1]
    ends = np.zeros((PATHS, 3))
    for _ in range(AHEAD):
        noise = np.sqrt(variance) * rng.multivariate_normal(np.zeros(3), TRUTH, PATHS)
        last, variance = SLOPE * last + noise, OMEGA + ALPHA * noise**2 + BETA * variance
        ends += last
    own = ours.sum(axis=1)
    errors = (1 - TRUTH[PAIRS] ** 2) * (2 / PATHS + 1 / READ) ** 0.5
    assert (np.abs(np.corrcoef(own.T) - np.corrcoef(ends.T))[PAIRS] < 3 * errors).all()
    falls = [paths < np.quantile(paths, 0.1, axis=0) for paths in (own, ends)]
    for first, other in zip(*PAIRS, strict=True):
        both = [float(np.mean(fall[:, first] & fall[:, other])) for fall in falls]
        # both shares have binomial errors; an error of rho moves the share by less than .1 of it (Plackett 1954)
        error = (2 * both[1] * (1 - both[1]) / PATHS + (0.1 * (1 - TRUTH[first, other] ** 2)) ** 2 / READ) ** 0.5
        assert abs(both[0] - both[1]) < 3 * error


def test_joint_tails_of_a_t_copula_are_found_and_drawn() -> None:
    histories = made_histories(TRUTH[:2, :2], 2200, seed=6, degrees=4.0)
    members = members_of(histories, ArGarch(64), read=2000)
    fit = fit_coupling(members, Joint(copula="t"), seed=3)
    assert fit.report.degrees is not None
    assert 4 / 1.5 < fit.report.degrees < 4 * 1.5
    assert fit.coupling.identity["copula"] == "t"


def test_unsorted_tokens_are_found_and_cannot_be_coupled(histories: list[Candles]) -> None:
    members = members_of(histories, ArGarch(32, sorted_tokens=False))
    report = fit_coupling(members, Joint(copula="gaussian"), seed=3).report
    assert max(map(abs, report.order_rank.values())) < 0.3
    assert (np.abs(of_pairs(report.reached)) < 0.1).all()
    assert any("a higher uniform is no higher return" in note for note in report.notes)
    (off,) = [note for note in report.notes if "more than 2 errors from the one aimed at in 3 of 3 pairs" in note]
    assert off.count("below") == 3
    assert "above" not in off


def test_independent_assets_have_their_own_generators_and_no_correlation(histories: list[Candles]) -> None:
    members = members_of(histories, ArGarch())
    fit = fit_coupling(members, Joint(copula="independent"), seed=3)
    assert isinstance(fit.coupling, Independent)
    assert all(fit.generators[asset] is member.generator for asset, member in members.items())
    assert (np.abs(of_pairs(fit.report.reached)) < 4 * of_pairs(fit.report.reached_error)).all()


def test_generators_of_dated_bars_draw_the_same_dates_and_say_what_does_not_reach_them(
    histories: list[Candles],
) -> None:
    members = members_of(histories, DriftNeutral(FilteredPaths()))
    fit = fit_coupling(members, Joint(copula="t", correlation_shift=0.5), seed=3)
    assert isinstance(fit.coupling, Dated)
    assert fit.report.copula == "dated"
    assert fit.report.notes[0].startswith("copula t, correlation_shift do not reach this generator")
    # of 200 bars drawn again: their own correlation, known to (1 - rho^2) / sqrt(200)
    assert_allclose(of_pairs(fit.report.reached), TRUTH[PAIRS], atol=3 * 0.91 / 200**0.5)


@pytest.mark.parametrize("copula", ["gaussian", "empirical"])
def test_a_shift_and_a_given_matrix_are_reached_instead_of_what_was_read(histories: list[Candles], copula: str) -> None:
    members = members_of(histories, ArGarch(32))
    plain = fit_coupling(members, Joint(copula=copula), seed=3).report
    for shift, goal in ((0.5, 1.0), (-0.5, 0.0)):
        report = fit_coupling(members, Joint(copula=copula, correlation_shift=shift), seed=3).report
        assert_allclose(of_pairs(report.target), (of_pairs(plain.target) + goal) / 2)
        assert_allclose(of_pairs(report.reached), of_pairs(report.target), atol=0.03)
    given = np.array([[1, 0.2, -0.4], [0.2, 1, 0.6], [-0.4, 0.6, 1]])
    report = fit_coupling(members, Joint(copula=copula), seed=3, correlation=given).report
    assert_allclose(of_pairs(report.reached), given[PAIRS], atol=0.04)


def test_the_default_is_ranks_from_500_common_bars_on_and_t_below(histories: list[Candles]) -> None:
    kinds = [
        fit_coupling(members_of(histories[:2], ArGarch(), read=read), Joint(), seed=3).report.copula
        for read in (500, 499)
    ]
    assert kinds == ["empirical", "t"]


def test_permuted_assets_have_permuted_correlations(histories: list[Candles]) -> None:
    order = [2, 0, 1]
    reports = [
        fit_coupling(members_of(assets, ArGarch(32)), Joint(copula="t"), seed=3).report
        for assets in (histories, [histories[at] for at in order])
    ]
    assert reports[1].assets == [reports[0].assets[at] for at in order]
    assert_allclose(np.array(reports[1].target), np.array(reports[0].target)[np.ix_(order, order)])
    assert reports[1].degrees == reports[0].degrees


def test_each_bar_is_held_against_its_own_forecast(histories: list[Candles]) -> None:
    asset = next(iter(members_of(histories, ArGarch(), read=300).values()))
    whole = ArGarch().cell_bounds(asset.history)[asset.rows]
    assert_allclose(cells_of(asset), whole, atol=1e-6)  # 512 bars before the first say all that GARCH needs


def test_bars_without_a_forecast_are_left_out_and_too_few_are_refused(histories: list[Candles]) -> None:
    enough, short = ([history.rows(0, bars) for history in histories] for bars in (250, 231))
    assert fit_coupling(members_of(enough, ArGarch(), read=250), Joint(), seed=3).report.bars == 250 - 32
    with pytest.raises(DataError, match="199 common bars could be held against a forecast"):
        fit_coupling(members_of(short, ArGarch(), read=231), Joint(), seed=3)


# --- The law of each asset ---


@pytest.mark.parametrize("copula", ["gaussian", "t", "empirical"])
def test_each_assets_paths_have_the_law_that_they_have_alone(histories: list[Candles], copula: str) -> None:
    members = members_of(histories[:2], ArGarch(32))
    fit = fit_coupling(members, Joint(copula=copula), seed=3)
    coupled = returns_of(fit, members, seed=11)
    alone = returns_of(Fit(Independent(), fit.generators, fit.report), members, seed=12)
    facts = {
        "end": lambda r: r.sum(axis=1),
        "volatility": lambda r: r.std(axis=1),
        "largest": lambda r: np.abs(r).max(axis=1),
        "autocorrelation": lambda r: (r[:, 1:] * r[:, :-1]).sum(axis=1) / (r**2).sum(axis=1),
        "clusters": lambda r: (np.abs(r[:, 1:]) * np.abs(r[:, :-1])).sum(axis=1) / (r**2).sum(axis=1),
        "fall": lambda r: np.minimum.accumulate(r.cumsum(axis=1), axis=1)[:, -1],
    }
    # 12 tests of 1,500 paths at 1 in 2,400 each: a false alarm in 1 of 200
    for asset in range(2):
        for name, fact in facts.items():
            both = [fact(steps[..., asset]) for steps in (coupled, alone)]
            assert stats.ks_2samp(*both).pvalue > 1 / 2400, name
