"""Coupled uniforms are uniform, independent within an asset, dependent as they were fitted, and a matter of dates."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.special import ndtr, ndtri

from scenario_gen.generators.draws import Draws
from scenario_gen.joint.copulas import CopulaCoupling, RankBootstrap
from scenario_gen.joint.coupling import Coupling

DATES = np.arange(20)
DRAWS = Draws(5, np.arange(400, dtype=np.int64))
COUNT = len(DATES) * len(DRAWS.path_ids)
FIRST = np.array([[1, 0.7, 0.2], [0.7, 1, 0.4], [0.2, 0.4, 1]])
SECOND = np.array([[1, 0.3, 0.0], [0.3, 1, -0.2], [0.0, -0.2, 1]])


def history(dates: int = 900) -> np.ndarray:
    """Uniforms of three assets [date, asset, level] that fall together more than they rise together."""
    rng = np.random.default_rng(1)
    z = rng.multivariate_normal(np.zeros(3), FIRST, dates)
    falls = z[:, :1] < -0.8
    z[:, 1:] = np.where(falls, z[:, :1] + 0.2 * rng.standard_normal((dates, 2)), z[:, 1:])
    second = 0.5 * z + rng.standard_normal((dates, 3))  # of the same bars: not independent of the first
    return ndtr(np.stack((z, second), axis=-1))


COUPLINGS: dict[str, Coupling] = {
    "gaussian": CopulaCoupling(np.stack((FIRST, SECOND))),
    "t": CopulaCoupling(np.stack((FIRST, SECOND)), 3.5),
    "empirical": RankBootstrap.of(history(), 1.0),
    "empirical in blocks": RankBootstrap.of(history(), 5.0),
}


@pytest.fixture(params=COUPLINGS)
def coupling(request: pytest.FixtureRequest) -> Coupling:
    return COUPLINGS[request.param]


def test_the_uniforms_of_an_asset_are_exactly_uniform(coupling: Coupling) -> None:
    # 6 tests of 8,000 numbers at 1 in 1,000 each; numbers in blocks of history come from 900 days all the same
    for asset in range(3):
        drawn = coupling.uniforms(asset, DRAWS, DATES, 2)
        assert drawn.shape == (400, 20, 2)
        assert drawn.min() >= 0 and drawn.max() < 1
        for level in range(2):
            assert stats.kstest(drawn[..., level].ravel(), "uniform").pvalue > 1e-3


def test_both_uniforms_of_a_bar_are_independent_within_an_asset(coupling: Coupling) -> None:
    # rank correlations of 8,000 pairs, of sizes too: a shared chi-square without the conditional law has .2 there.
    # Pairs of the bootstrap are of 900 days, whose ranks within 30 strata of 30 are permutations: error 1 / sqrt(900)
    for asset in range(3):
        first, second = np.moveaxis(coupling.uniforms(asset, DRAWS, DATES, 2), -1, 0)
        error = 1 / COUNT**0.5 if isinstance(coupling, CopulaCoupling) else 1 / 900**0.5
        assert abs(stats.spearmanr(first.ravel(), second.ravel()).statistic) < 3.5 * error
        assert abs(stats.spearmanr(abs(first - 0.5).ravel(), abs(second - 0.5).ravel()).statistic) < 3.5 * error


def test_an_assets_share_is_the_same_alone_on_its_dates_and_in_any_block(coupling: Coupling) -> None:
    some, few = np.array([0, 3, 4, 11]), Draws(5, np.array([17, 3], dtype=np.int64))
    whole = coupling.uniforms(2, DRAWS, DATES, 2)
    fresh = CopulaCoupling(coupling.correlation, coupling.degrees) if isinstance(coupling, CopulaCoupling) else coupling
    assert_array_equal(fresh.uniforms(2, few, some, 2), whole[[17, 3]][:, some])
    assert_array_equal(coupling.uniforms(2, DRAWS, DATES[:7], 1), whole[:, :7, :1])
    assert_array_equal(coupling.uniforms(2, DRAWS, np.arange(25), 2)[:, :20], whole)


def test_uniforms_beyond_two_of_a_bar_are_each_assets_own(coupling: Coupling) -> None:
    first, other = (coupling.uniforms(asset, DRAWS, DATES, 5) for asset in (0, 1))
    assert_array_equal(first[..., :2], coupling.uniforms(0, DRAWS, DATES, 2))
    for place in range(2, 5):  # 3 correlations of 8,000 pairs beyond 3.5 errors: 1 in 700
        assert abs(np.corrcoef(first[..., place].ravel(), other[..., place].ravel())[0, 1]) < 3.5 / COUNT**0.5
        assert abs(np.corrcoef(first[..., place].ravel(), first[..., 0].ravel())[0, 1]) < 3.5 / COUNT**0.5


def test_copulas_have_the_correlation_of_each_level_and_none_across() -> None:
    scores = {
        name: [ndtri(COUPLINGS[name].uniforms(asset, DRAWS, DATES, 2)).reshape(-1, 2) for asset in range(3)]
        for name in ("gaussian", "t")
    }
    for first, other in ((0, 1), (0, 2), (1, 2)):
        for level, matrix in enumerate((FIRST, SECOND)):
            rho = matrix[first, other]
            pair = (scores["gaussian"][first][:, level], scores["gaussian"][other][:, level])
            assert np.corrcoef(*pair)[0, 1] == pytest.approx(rho, abs=3.5 * (1 - rho**2) / COUNT**0.5)
            across = (scores["gaussian"][first][:, 0], scores["gaussian"][other][:, 1])
            assert abs(np.corrcoef(*across)[0, 1]) < 3.5 / COUNT**0.5
        # Kendall's tau of any elliptical copula is 2 asin(rho) / pi (Lindskog, McNeil and Schmock 2003); its error is
        # below 2 / (3 sqrt(n))
        tau = stats.kendalltau(scores["t"][first][:, 0], scores["t"][other][:, 0]).statistic
        assert tau == pytest.approx(2 / np.pi * np.arcsin(FIRST[first, other]), abs=3 * 2 / 3 / COUNT**0.5)


def test_t_falls_together_as_often_as_scipys_t_says() -> None:
    fall = [COUPLINGS["t"].uniforms(asset, DRAWS, DATES, 1)[..., 0].ravel() < 0.02 for asset in (0, 1)]
    edge = stats.t(3.5).ppf(0.02)
    chance = stats.multivariate_t(shape=FIRST[:2, :2], df=3.5).cdf([edge, edge], random_state=1)
    plain = stats.multivariate_normal(cov=FIRST[:2, :2]).cdf(ndtri([0.02, 0.02]))
    error = (chance * (1 - chance) / COUNT) ** 0.5
    assert np.mean(fall[0] & fall[1]) == pytest.approx(chance, abs=3 * error)
    assert chance - plain > 1.5 * error  # a Gaussian copula falls apart there


def test_drawn_ranks_fall_together_as_history_did() -> None:
    past = history()
    ranks = np.argsort(np.argsort(past[:, :2, 0], axis=0), axis=0) / len(past)
    drawn = [COUPLINGS["empirical"].uniforms(asset, DRAWS, DATES, 1)[..., 0].ravel() for asset in (0, 1)]
    for inside in (lambda u: u < 0.1, lambda u: u >= 0.9):
        then, now = np.mean(inside(ranks[:, 0]) & inside(ranks[:, 1])), np.mean(inside(drawn[0]) & inside(drawn[1]))
        assert now == pytest.approx(then, abs=3.5 * (then / COUNT) ** 0.5)


def test_blocks_of_history_keep_what_follows_and_single_dates_do_not() -> None:
    past = np.stack((np.arange(900), np.arange(900)), axis=-1)[..., None] / 900.0  # rising from date to date
    for mean_block, share in ((1.0, 0.0), (5.0, 0.8)):
        drawn = RankBootstrap.of(past, mean_block).uniforms(0, DRAWS, DATES, 1)[..., 0]
        rank = np.floor(drawn * 900).astype(int)
        follows = np.mean((rank[:, 1:] - rank[:, :-1]) % 900 == 1)
        assert follows == pytest.approx(share, abs=0.02)  # 7,600 bars: the error is at most .005


def test_permuted_assets_have_the_same_law_under_other_labels() -> None:
    order = [2, 0, 1]
    past = history()
    permuted = RankBootstrap.of(past[:, order], 1.0)
    assert_array_equal(permuted.cells, COUPLINGS["empirical"].cells[:, order])  # type: ignore[attr-defined]
    swapped = CopulaCoupling(FIRST[None][:, order][:, :, order], 3.5)
    scores = np.stack([ndtri(swapped.uniforms(asset, DRAWS, DATES, 1)).ravel() for asset in range(3)])
    straight = np.stack([ndtri(COUPLINGS["t"].uniforms(asset, DRAWS, DATES, 1)).ravel() for asset in order])
    assert_allclose(np.corrcoef(scores), np.corrcoef(straight), atol=3.5 * 2**0.5 / COUNT**0.5)


def test_further_uniforms_of_drawn_ranks_are_independent_within_an_asset_and_dependent_across() -> None:
    rng = np.random.default_rng(3)
    common = rng.standard_normal((900, 1, 1))
    past = ndtr(0.8 * common + 0.6 * rng.standard_normal((900, 2, 4)))  # all eight hang together
    drawn = [RankBootstrap.of(past, 1.0).uniforms(asset, DRAWS, DATES, 4).reshape(-1, 4) for asset in (0, 1)]
    for first, other in ((0, 2), (1, 2), (2, 3), (1, 3)):
        assert abs(np.corrcoef(drawn[0][:, first], drawn[0][:, other])[0, 1]) < 3.5 / COUNT**0.5
    for level in (0, 2, 3):  # .64 of normal numbers, .62 of their ranks (Pearson 1907); of 900 dates known to .02
        assert np.corrcoef(drawn[0][:, level], drawn[1][:, level])[0, 1] == pytest.approx(0.62, abs=0.07)
