"""Estimators on returns: arch, hand-worked paths and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from arch.unitroot import VarianceRatio
from scipy import integrate, stats

from scenario_gen.market.candles import running_volatility
from scenario_gen.realism.estimators import (
    ewma_filtered,
    excess_kurtosis,
    extremal_clustering,
    hill_parts,
    largest_fall,
    leverage_parts,
    log_variance_ratio,
    rolling_sums,
    roughness,
    run_length,
)


def test_the_variance_ratio_is_archs() -> None:
    r = np.random.default_rng(1).standard_normal((5, 80))
    for q in (2, 5, 16):
        ours = np.exp(log_variance_ratio(r, q))
        theirs = [
            VarianceRatio(np.concatenate([[0], row.cumsum()]), lags=q, overlap=True, debiased=True).vr for row in r
        ]
        assert ours == pytest.approx(theirs)


def test_the_variance_ratio_of_independent_returns_is_one_on_average() -> None:
    # Lo & MacKinlay 1988: sd of VR(5) is sqrt(2 * 9 * 4 / (3 * 5 * T)) = .283 at T = 60; the mean of 4,000 has
    # a standard error of .0045. 4 of them: one false alarm in 16,000 seeds.
    r = np.random.default_rng(2).standard_normal((4000, 60))
    assert np.exp(log_variance_ratio(r, 5)).mean() == pytest.approx(1, abs=0.018)


def test_excess_kurtosis_is_scipys() -> None:
    r = np.random.default_rng(3).standard_t(3, (5, 60))
    assert excess_kurtosis(r) == pytest.approx(stats.kurtosis(r, axis=1))


def test_the_pooled_tail_above_two_deviations_is_the_normal_one_for_normal_returns() -> None:
    # E ln(z / 2) given z > 2 for a normal z, by quadrature: .162. The ratio's relative standard error is about
    # 1.1 / sqrt(exceedances): 400,000 bars give 18,000 of them, so .8 %; 4 of them.
    def weighted(z: float) -> float:
        return float(np.log(z / 2) * stats.norm.pdf(z))

    expected = integrate.quad(weighted, 2, 12)[0] / stats.norm.sf(2)
    r = 0.01 * np.random.default_rng(4).standard_normal((20, 20_000))
    num, den = hill_parts(r, r.std(axis=1, ddof=1))
    assert num.sum() / den.sum() == pytest.approx(expected, rel=0.033)


def test_the_filter_divides_by_the_volatility_known_before_the_bar() -> None:
    r = 0.01 * np.random.default_rng(5).standard_normal((3, 50))
    z = ewma_filtered(r)
    assert z.shape == (3, 40)
    for row in range(3):
        assert z[row] == pytest.approx(r[row, 10:] / running_volatility(r[row])[10:50])


@pytest.mark.parametrize("bars", [1, 9, 10, 11])
def test_the_filter_leaves_nothing_of_ten_bars(bars: int) -> None:
    assert ewma_filtered(np.ones((2, bars))).shape == (2, max(0, bars - 10))


def test_sums_of_neighbours_overlap() -> None:
    x = np.arange(6.0)[None]
    assert rolling_sums(x, 5).tolist() == [[10.0, 15.0]]
    assert rolling_sums(x, 7).shape == (1, 0)


@pytest.mark.parametrize(
    ("moves", "length"),
    [
        ([1, 1, -1, -1, -1, 1], 2.0),  # runs of 2, 3 and 1
        ([1, 0, 1, 0, -1], 1.5),  # zeros neither count nor break a run: ++ and -
        ([0, 0, -1], 1.0),
        ([1, 1, 1, 1], 4.0),
    ],
)
def test_run_lengths_by_hand(moves: list[float], length: float) -> None:
    assert run_length(np.array([moves], dtype=float)) == pytest.approx([length])


def test_a_path_that_never_moves_has_no_runs() -> None:
    assert np.isnan(run_length(np.zeros((1, 5)))).all()


def test_the_largest_fall_by_hand_starts_at_the_anchor() -> None:
    path = np.array([[0.0, -1.0, 2.0, 1.0, 1.5, -0.5, 3.0], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    assert largest_fall(path).tolist() == [2.5, 0.0]
    assert largest_fall(-path).tolist() == [4.0, 6.0]


def test_the_largest_fall_of_a_random_walk_has_its_known_mean() -> None:
    # E MDD = sqrt(pi / 2) for a driftless Brownian motion on [0, 1] (Douady, Shiryaev & Yor 2000). A walk of n
    # steps misses .583 / sqrt(n) of a maximum at either end (Broadie, Glasserman & Kou 1997): with n = 2,000
    # that is .026. The sd of MDD is .46, its mean over 2,000 walks has a standard error of .0103; 4 of them.
    steps = np.random.default_rng(6).standard_normal((2000, 2000)) / np.sqrt(2000)
    walk = np.concatenate([np.zeros((2000, 1)), steps.cumsum(axis=1)], axis=1)
    expected = np.sqrt(np.pi / 2) - 2 * 0.5826 / np.sqrt(2000)
    assert largest_fall(walk).mean() == pytest.approx(expected, abs=0.041)


def test_independent_bars_cluster_as_sampling_without_replacement_does() -> None:
    # Of 60 bars 6 are large, so P(both) = 6 * 5 / (60 * 59) and the ratio to .1 ** 2 is .8475. The sd of the
    # statistic is about .5; over 4,000 paths 4 standard errors are .032.
    x = np.random.default_rng(7).standard_normal((4000, 60))
    assert extremal_clustering(x).mean() == pytest.approx(30 / (60 * 59) / 0.01, abs=0.032)


def test_six_large_moves_in_a_row_cluster_as_counted() -> None:
    x = np.zeros((1, 60))
    x[0, 20:26] = 1.0
    counted = np.mean([(6 - k) / (60 - k) for k in range(1, 6)]) / 0.01
    assert extremal_clustering(x) == pytest.approx([counted])


@pytest.mark.parametrize("hurst", [0.0, 0.5])
def test_roughness_of_noise_is_zero_and_of_a_walk_a_half(hurst: float) -> None:
    # Mean squares over 20,000 steps have a relative error of some 1-2 %, so ln ratios over a factor of 8 in lag
    # give H within .01 / ln 8 * 2 = .01; twice that is allowed.
    noise = np.random.default_rng(8).standard_normal((1, 20_000))
    x = noise if hurst == 0 else noise.cumsum(axis=1)
    assert roughness(x) == pytest.approx([hurst], abs=0.02)


@pytest.mark.parametrize("bars", [1, 2, 5, 8])
def test_short_paths_are_undefined_without_a_warning(bars: int) -> None:
    r = np.random.default_rng(9).standard_normal((2, bars))
    assert np.isnan(roughness(r)).all()
    assert np.isnan(log_variance_ratio(r, 8)).all()
    assert np.isnan(extremal_clustering(r[:, :5])).all()


def made_with_leverage(effect: float, paths: int, bars: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return log ranges and returns whose ranges follow Corsi's regression with this effect of five bars' return."""
    r, noise = rng.standard_normal((2, paths, bars + 100))
    lr = 0.3 * noise
    for t in range(20, bars + 100):
        means = 0.4 * lr[:, t - 5 : t].mean(axis=1) + 0.45 * lr[:, t - 20 : t].mean(axis=1)
        lr[:, t] += means + effect * r[:, t - 5 : t].sum(axis=1) / np.sqrt(5)
    return lr[:, 100:], r[:, 100:]


def test_leverage_that_is_planted_is_found_on_short_paths() -> None:
    # Of 4,000 paths the coefficient's error is .3 / sqrt(4,000 x rows): .0008 at 60 bars, .0011 at 40. Means of past
    # ranges that end in what is explained cost twenty rows a twentieth of the effect (.007): that, and three errors.
    for bars in (40, 60, 250):
        for effect in (-0.15, 0.0):
            lr, r = made_with_leverage(effect, 4000 if bars < 100 else 800, bars, np.random.default_rng(bars))
            num, den = leverage_parts(lr, r, r.std(axis=1, ddof=1))
            assert num.sum() / den.sum() == pytest.approx(effect, abs=0.01), bars


def test_a_missing_range_is_no_outcome_and_costs_no_path() -> None:
    lr, r = made_with_leverage(-0.15, 3, 60, np.random.default_rng(7))
    s = r.std(axis=1, ddof=1)
    lr[1, 3] = lr[1, 40] = np.nan
    lr[2, ::4] = np.nan
    num, den = leverage_parts(lr, r, s)
    whole = leverage_parts(np.where(np.isnan(lr), np.nanmean(lr, axis=1, keepdims=True), lr), r, s)
    assert np.isfinite(num).tolist() == np.isfinite(den).tolist() == [True, True, False]
    assert num[0] == pytest.approx(whole[0][0])
    assert den[1] < whole[1][1]  # one row fewer of 40
    assert num[1] / den[1] == pytest.approx(whole[0][1] / whole[1][1], abs=0.05)
