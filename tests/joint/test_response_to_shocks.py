"""A gap of one asset and what the others do: held to conditional laws in closed form, path by path beside no shock."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.special import ndtri, stdtrit

from scenario_gen.errors import DataError
from scenario_gen.generators.bootstrap import StationaryBootstrap
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.filtered import FilteredPaths
from scenario_gen.joint.copulas import CopulaCoupling, RankBootstrap
from scenario_gen.joint.coupling import Coupled, Coupling, Dated, Independent
from scenario_gen.joint.response import PILOT_PATHS, Responding, ShockedRank, responding, responds
from scenario_gen.market import load_candles
from tests.joint.toys import ArGarch, made_histories

RHO, BAR, BARS = 0.7, 3, 6
PATHS = Draws.block(5, 0, 4000)
MATRIX = np.array([[1.0, RHO, 0.3], [RHO, 1.0, 0.5], [0.3, 0.5, 1.0]])
CORRELATION = np.stack((MATRIX, np.eye(3)))
DATES = np.arange(BARS)


@pytest.fixture(scope="module")
def histories():
    return made_histories(MATRIX, 300, seed=4)


def _shocked(histories, coupling: Coupling, move: float, generator=None) -> ShockedRank:
    context = histories[0]
    ahead = pd.bdate_range(context.timestamps[-1], periods=BARS + 1)[1:]
    generator = generator or ArGarch(ordered=True)
    return ShockedRank.of(Coupled(generator, coupling, 0, ahead, DATES), context, 5, BAR, move)


def _scores(coupling: Coupling, asset: int) -> np.ndarray:
    return ndtri(np.clip(coupling.uniforms(asset, PATHS, DATES, 2), 1e-15, 1 - 1e-15))[..., 0]


def test_under_a_gaussian_copula_others_follow_the_conditional_normal(histories):
    """Given z of the shocked asset, another's is normal with mean rho z and variance 1 - rho^2 (4,000 paths)."""
    coupling = CopulaCoupling(CORRELATION)
    shock = _shocked(histories, coupling, -0.012)
    shocked = Responding(coupling, (shock,))
    after = ndtri(shock.after(coupling.uniforms(0, PATHS, DATES, 1)[:, BAR, 0]))
    assert -1.6 < after.mean() < -0.7  # some 1.2 deviations below the rank before
    for asset, rho in ((1, RHO), (2, 0.3)):
        z = _scores(shocked, asset)[:, BAR]
        left = (z - rho * after) / np.sqrt(1 - rho**2)
        # Three standard errors of a mean (1/63), of a variance (1.41/63) and of a correlation (1/63).
        assert abs(left.mean()) < 0.048 and abs(left.var() - 1) < 0.067
        assert abs(np.corrcoef(left, after)[0, 1]) < 0.048
        # The mean response itself, path by path beside the same future without the shock: no Monte Carlo error at all.
        moved = z - _scores(coupling, asset)[:, BAR]
        assert_allclose(moved, rho * (after - _scores(coupling, 0)[:, BAR]), atol=1e-7)


def test_others_keep_what_hangs_together_between_them(histories):
    """The correlation of two assets given a third: (r12 - r01 r02) / sqrt((1 - r01^2)(1 - r02^2))."""
    coupling = CopulaCoupling(CORRELATION)
    shocked = Responding(coupling, (_shocked(histories, coupling, -0.5),))  # beyond all bars: one rank in all paths
    one, other = (_scores(shocked, asset)[:, BAR] for asset in (1, 2))
    partial = (0.5 - RHO * 0.3) / np.sqrt((1 - RHO**2) * (1 - 0.3**2))
    assert abs(np.corrcoef(one, other)[0, 1] - partial) < 3 * (1 - partial**2) / np.sqrt(4000)


def test_under_a_t_copula_others_follow_the_conditional_t(histories):
    """Given x, another's is t with nu + 1 degrees, centre rho x and scale sqrt((1 - rho^2)(nu + x^2)/(nu + 1))."""
    nu = 4.0
    coupling = CopulaCoupling(CORRELATION, nu)
    shock = _shocked(histories, coupling, -0.012)
    after = stdtrit(nu, shock.after(coupling.uniforms(0, PATHS, DATES, 1)[:, BAR, 0]))
    x = stdtrit(nu, Responding(coupling, (shock,)).uniforms(1, PATHS, DATES, 2)[:, BAR, 0])
    left = (x - RHO * after) / np.sqrt((1 - RHO**2) * (nu + after**2) / (nu + 1))
    assert stats.kstest(left, stats.t(nu + 1).cdf).pvalue > 0.001  # false-alarm rate .001
    assert stats.kstest(left[after < np.median(after)], stats.t(nu + 1).cdf).pvalue > 0.001


@pytest.mark.parametrize("move", [-0.02, 0.015])
def test_under_dated_ranks_others_are_drawn_from_dates_of_a_near_rank(histories, move):
    """A dependence that no such copula has: the second asset is the first on bad days, and its own on others."""
    rng = np.random.default_rng(2)
    first, own = rng.random((2, 1500))
    second = np.where(first < 0.2, first, 0.2 + 0.8 * own)
    cells = np.stack((np.stack((first, rng.random(1500)), -1), np.stack((second, rng.random(1500)), -1)), axis=1)
    coupling = RankBootstrap.of(cells)
    shock = _shocked(histories, coupling, move)
    shocked = Responding(coupling, (shock,))
    after = shock.after(coupling.uniforms(0, PATHS, DATES, 2)[:, BAR, 0])
    u = shocked.uniforms(1, PATHS, DATES, 2)[:, BAR, 0]
    bad = after < 0.19
    assert_allclose(u[bad], after[bad], atol=0.012)  # 15 of 1,500 ranks are near
    if move > 0:
        assert bad.mean() < 0.02 and abs(u.mean() - 0.6) < 4 * 0.23 / np.sqrt(4000)
    else:
        assert bad.mean() > 0.8


def test_generators_that_draw_dates_draw_dates_on_which_the_shocked_asset_did_so(histories):
    sp, nd = (load_candles(source).context(256) for source in ("sp500", "nasdaq"))
    ahead = pd.bdate_range(sp.timestamps[-1], periods=BARS + 1)[1:]
    shock = _shocked([sp], Dated(), -0.02, FilteredPaths())
    coupling = Responding(Dated(), (shock,))
    paths = [
        Coupled(FilteredPaths(), each, 1, ahead, DATES).sample(nd, ahead, PATHS.share(PATHS.path_ids[:1000]))
        for each in (Dated(), coupling)
    ]
    plain, answered = (np.diff(np.log(each.closes), axis=1) for each in paths)
    assert_array_equal(plain[:, :BAR], answered[:, :BAR])
    # Of the last 256 days of 2018 the NASDAQ fell by more than the S&P 500 on its bad days.
    assert answered[:, BAR].mean() < plain[:, BAR].mean() - 0.02
    assert not np.array_equal(plain[:, BAR + 1], answered[:, BAR + 1])  # its volatility goes on from there


def test_only_the_date_of_the_shock_changes_and_only_in_the_others(histories):
    coupling = CopulaCoupling(CORRELATION, 5.0)
    shocked = Responding(coupling, (_shocked(histories, coupling, -0.05),))
    for asset in range(3):
        before, after = (each.uniforms(asset, PATHS, DATES, 2) for each in (coupling, shocked))
        changed = (before != after).any(axis=(0, 2))
        assert_array_equal(changed, np.arange(BARS) == (BAR if asset else -1))
        assert_array_equal(before[..., 1], after[..., 1])
    assert [responds(shocked, asset) for asset in range(3)] == [False, True, True]
    # An asset that is closed at that date has no number there, and one path is the same in any block.
    open_on = np.array([0, 1, 4])
    assert_array_equal(shocked.uniforms(1, PATHS, open_on, 2), coupling.uniforms(1, PATHS, open_on, 2))
    few = Draws(5, np.array([17, 3]))
    assert_array_equal(shocked.uniforms(1, few, DATES, 2), shocked.uniforms(1, PATHS, DATES, 2)[[17, 3]])


def test_paths_respond_as_their_law_says(histories):
    """A toy of known law: its mean response is its volatility times that of the normal score."""
    coupling = CopulaCoupling(CORRELATION)
    shock = _shocked(histories, coupling, -0.02)
    ahead = pd.bdate_range(histories[1].timestamps[-1], periods=BARS + 1)[1:]
    plain, answered = (
        np.diff(np.log(Coupled(ArGarch(ordered=True), each, 1, ahead, DATES).sample(histories[1], ahead, PATHS).closes))
        for each in (coupling, Responding(coupling, (shock,)))
    )
    before = ndtri(coupling.uniforms(0, PATHS, DATES, 1)[:, BAR, 0])
    after = ndtri(shock.after(coupling.uniforms(0, PATHS, DATES, 1)[:, BAR, 0]))
    moved, scores = (answered - plain)[:, BAR], RHO * (after - before)
    volatility = moved / scores  # of the path at that bar, which had the same past
    assert (volatility > 0).all() and 0.006 < volatility.mean() < 0.016
    assert_allclose(moved.mean(), (volatility * scores).mean())


def test_a_shock_beyond_every_bar_has_the_last_rank_and_says_so(histories):
    shock = _shocked(histories, CopulaCoupling(CORRELATION), -0.3)
    assert shock.beyond == 1.0
    assert_allclose(shock.after(np.array([0.01, 0.99])), 0.5 / PILOT_PATHS)
    mild = replace(shock, move=-0.001)
    assert mild.beyond < 0.01
    u = np.linspace(0.01, 0.99, 50)
    assert ((mild.after(u) < u) & (np.diff(mild.after(u), prepend=0) > 0)).all()


def test_bars_in_blocks_are_refused_and_independent_assets_go_on(histories):
    with pytest.raises(DataError, match="their bars come in blocks of dates that go on through it"):
        _shocked(histories, Dated(), -0.1, StationaryBootstrap())
    assert responding(Independent(), [_shocked(histories, Independent(), -0.1)]) == Independent()
    coupling = CopulaCoupling(CORRELATION)
    first, other = (responding(coupling, [_shocked(histories, coupling, move)]) for move in (-0.1, -0.2))
    assert first.identity != other.identity != coupling.identity
