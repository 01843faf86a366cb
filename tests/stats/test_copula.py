"""Copulas are read off cells as they were drawn, matrices stay correlation matrices, and both agree with others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from scenario_gen.stats.copula import (
    LEAST_EIGENVALUE,
    RankCells,
    correlation_shift,
    fit_tails,
    floored,
    is_symmetric,
    likeliest_correlation,
    nearest_correlation,
    shrunk,
    t_likelihood,
)

Floats = NDArray[np.float64]
RHO, BARS = 0.7, 2000
ERROR = (1 - RHO**2) / BARS**0.5  # of a correlation of normal variables: the least that any estimate can have


def moving_cells(uniforms: Floats, cells: int, rng: np.random.Generator) -> Floats:
    """Return the cells [bar, series, 2] that uniforms fall in, where every bar cuts [0, 1] anew into so many."""
    edges = np.sort(rng.random((*uniforms.shape, cells - 1)), axis=-1)
    edges = np.concatenate((np.zeros((*uniforms.shape, 1)), edges, np.ones((*uniforms.shape, 1))), axis=-1)
    at = (edges <= uniforms[..., None]).sum(axis=-1)[..., None]
    return np.concatenate([np.take_along_axis(edges, at - 1, -1), np.take_along_axis(edges, at, -1)], axis=-1)


def normal_pair(seed: int, rho: float = RHO, bars: int = BARS) -> Floats:
    return np.random.default_rng(seed).multivariate_normal([0, 0], [[1, rho], [rho, 1]], bars)


@pytest.mark.parametrize("cells", [8, 16, 64, 256, 1024])
def test_the_correlation_is_read_off_cells_of_any_size(cells: int) -> None:
    # each of 5 estimates strays beyond two errors with 5 %: of their mean, beyond 2 errors / sqrt(5) the same. Cells
    # hide a part: an eighth of the error at 8 cells. A naive correlation is off by 9 errors there.
    rng = np.random.default_rng(cells)
    estimates = [
        RankCells.of(moving_cells(ndtr(normal_pair(seed, bars=500)), cells, rng)).correlation()[0, 1]
        for seed in range(5)
    ]
    assert abs(np.mean(estimates) - RHO) < 2 * 1.15 * (1 - RHO**2) / (5 * 500) ** 0.5


def test_one_sample_of_coarse_cells_has_the_correlation_within_two_errors() -> None:
    cells = RankCells.of(moving_cells(ndtr(normal_pair(11)), 8, np.random.default_rng(2)))
    naive = np.corrcoef(cells.scores.T)[0, 1] * cells.shown.mean()
    assert abs(cells.correlation()[0, 1] - RHO) < 2 * 1.15 * ERROR < abs(naive - RHO)


def test_a_forecast_that_is_wrong_about_one_series_alone_leaves_the_correlation() -> None:
    uniforms = ndtr(normal_pair(3))
    wrong = uniforms ** np.array([3.0, 0.4])  # far too low, and too high
    right, ranked = (RankCells.of(np.stack((u, u), axis=-1)) for u in (uniforms, wrong))
    assert_allclose(ranked.lower, right.lower)
    assert right.correlation()[0, 1] == pytest.approx(RHO, abs=2 * ERROR)


def test_ranks_of_cells_are_uniform_whatever_the_forecast() -> None:
    rng = np.random.default_rng(4)
    cells = RankCells.of(moving_cells(rng.random((BARS, 1)) ** 2, 12, rng))
    at = np.linspace(0, 1, 101)[:, None]
    below = np.clip((at - cells.lower[:, 0]) / (cells.upper - cells.lower)[:, 0], 0, 1).mean(axis=1)
    assert np.abs(below - at[:, 0]).max() < 0.5 / BARS**0.5  # the error of the distribution of so many bars


def test_points_have_the_rank_less_one_half_and_missing_bars_none() -> None:
    bounds = np.array([0.3, np.nan, 0.1, 0.9, 0.9])[:, None, None] * np.ones((1, 1, 2))
    assert_allclose(RankCells.of(bounds).lower[:, 0], [1.5 / 4, np.nan, 0.5 / 4, 3 / 4, 3 / 4])


def test_the_likelihood_of_cells_is_scipys_probability_of_rectangles() -> None:
    cells = np.array([[[0.1, 0.4, 0.6], [0.3, 0.7, 0.95]], [[0.05, 0.8, 0.5], [0.2, 0.9, 0.7]]])

    def unlikely(rho: float) -> float:
        law, pairs = [[1, rho], [rho, 1]], ndtri(cells.transpose(1, 2, 0))  # [(lower, upper), bar, series]
        chances = [stats.multivariate_normal.cdf(hi, cov=law, lower_limit=lo) for lo, hi in zip(*pairs, strict=True)]
        return -float(np.log(chances).sum())

    best = likeliest_correlation(*cells)
    grid = np.linspace(best - 0.02, best + 0.02, 9)
    assert np.argmin([unlikely(rho) for rho in grid]) == 4


def test_bars_that_a_series_lacks_are_left_out_of_its_pairs() -> None:
    uniforms = ndtr(normal_pair(5, bars=600))
    points = np.stack((uniforms, uniforms), axis=-1)
    points[::3, 1] = np.nan
    rho = RankCells.of(points).correlation()[0, 1]
    assert rho == pytest.approx(RHO, abs=2 * (1 - RHO**2) / 400**0.5)


def test_cells_that_say_nothing_have_no_correlation() -> None:
    points = ndtr(normal_pair(5, bars=300))
    bounds = np.stack((points, points), axis=-1)
    bounds[:, 1] = 0.0, 1.0
    assert RankCells.of(bounds).correlation()[0, 1] == 0.0


# --- t ---


def test_the_density_of_the_t_copula_is_scipys() -> None:
    rng = np.random.default_rng(6)
    matrix = np.array([[1, 0.6, 0.1], [0.6, 1, -0.2], [0.1, -0.2, 1]])
    uniforms = rng.random((20, 3))
    x = stdtrit(4.5, uniforms)
    joint = stats.multivariate_t(shape=matrix, df=4.5).logpdf(x).sum()
    expected = joint - stats.t(4.5).logpdf(x).sum()
    assert t_likelihood(uniforms, np.linalg.cholesky(matrix), 4.5) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("degrees", "cells"), [(4.0, 1024), (8.0, 64)])
def test_the_degrees_of_freedom_are_within_a_factor_of_one_and_a_half(degrees: float, cells: int) -> None:
    rng = np.random.default_rng(int(degrees))
    z = normal_pair(7) / np.sqrt(rng.chisquare(degrees, BARS) / degrees)[:, None]
    ranks = RankCells.of(moving_cells(stdtr(degrees, z), cells, rng))
    fit = fit_tails(ranks.middle, floored(ranks.correlation()))
    assert fit.degrees is not None
    assert degrees / 1.5 < fit.degrees < degrees * 1.5


def test_gaussian_ranks_are_worth_no_degrees_of_freedom() -> None:
    # a gain of 4 is beyond chance in one of 200 samples, or fewer: the degrees are at their bound where it is none
    uniforms = ndtr(normal_pair(8))
    assert fit_tails(uniforms, np.array([[1, RHO], [RHO, 1]])).degrees is None


# --- Matrices ---


def test_the_nearest_correlation_matrix_is_highams() -> None:
    # Higham 2002, section 4: the distance of the first is .5278
    first, away = nearest_correlation(np.array([[1.0, 1, 0], [1, 1, 1], [0, 1, 1]]))
    assert_allclose(first, [[1, 0.7607, 0.1573], [0.7607, 1, 0.7607], [0.1573, 0.7607, 1]], atol=5e-5)
    assert away == pytest.approx(0.5278, abs=5e-5)
    tridiagonal = 2 * np.eye(4) - np.eye(4, k=1) - np.eye(4, k=-1)
    second, _ = nearest_correlation(tridiagonal)
    assert_allclose(second[0], [1, -0.8084, 0.1916, 0.1068], atol=5e-5)


def test_twenty_series_with_gaps_of_their_own_give_a_correlation_matrix() -> None:
    rng = np.random.default_rng(9)
    z = rng.standard_normal((300, 20)) * 0.3 + rng.standard_normal((300, 1))
    points = np.repeat(ndtr(z)[..., None], 2, axis=-1)
    points[rng.random((300, 20)) < 0.6] = np.nan  # a pair shares some 48 bars
    pairwise = RankCells.of(points).correlation()
    assert np.linalg.eigvalsh(pairwise)[0] < 0
    matrix = floored(pairwise)
    assert np.linalg.eigvalsh(matrix)[0] >= LEAST_EIGENVALUE
    assert is_symmetric(matrix)
    assert np.abs(matrix - pairwise).max() < 0.2


@given(st.integers(2, 12), st.floats(-1, 1), st.integers(0, 1000))
def test_a_shifted_correlation_stays_one_and_goes_where_it_is_sent(size: int, shift: float, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((size + 2, size))
    matrix = np.corrcoef(x.T)
    moved = correlation_shift(matrix, shift)
    assert is_symmetric(moved)
    assert np.linalg.eigvalsh(moved)[0] > -1e-12
    goal = 1.0 if shift > 0 else np.eye(size)
    assert_allclose(moved - goal, (1 - abs(shift)) * (matrix - goal), atol=1e-12)


def test_shrinkage_is_ledoit_and_wolfs_part_of_the_way_to_none() -> None:
    # by hand: x = (1, 1), (-1, -1), (1, -1): S = [[1, 1/3], [1/3, 1]], |S - I|^2 = 2/9; the mean of |xx' - S|^2 is
    # 4 - 20/9 = 16/9, over 3 bars .593, more than 2/9: all of the way. Of 30 repetitions a 30th of .593: 4/45 of it
    x = np.array([[1.0, 1], [-1, -1], [1, -1]])
    sample = x.T @ x / 3
    assert_allclose(shrunk(sample, x), np.eye(2))
    assert_allclose(shrunk(sample, np.tile(x, (30, 1))), np.eye(2) + (1 - 4 / 45) * (sample - np.eye(2)))
