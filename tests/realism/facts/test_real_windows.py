"""The measured values behind the design: per-path means of real windows, of shuffled ones and of Brownian motion.

Tables hold means over windows of 60 bars of arch's NASDAQ and S&P 500, 1999-2018. They were measured by other
code on other cuts of the same years. Two cuts of n independent windows each differ by less than 2 sqrt(2) standard
errors of a mean with 99.5 %; cuts of the same years share their bars, so 2 sd / sqrt(83) is already generous. The
data are fixed, so nothing here can fail by chance. One value of the table is missing here: it has -1.83 for
dv_logsd, where the log spread of log volume changes, as defined, is -1.75.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.linalg import block_diag

from scenario_gen.market import Candles, load_candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.controls import negative_control
from scenario_gen.realism.facts import path_statistics
from scenario_gen.realism.gauge import windows
from scenario_gen.realism.long_sample import LaggedSums, long_facts
from tests.realism.facts.made import from_parts, shuffled

T = 60
WHOLE_WINDOWS = 5030 // T

# id: (NASDAQ, S&P 500), or one mean for both.
MEASURED: dict[str, tuple[float, ...]] = {
    "Lkurt": (0.163, 0.177),
    "exkurt": (0.64, 0.87),
    "agg5_dLkurt": (-0.047,),
    "filt_Lkurt": (0.170, 0.183),
    "filt_acf_abs": (0.0,),
    "acf_rng_1_5": (0.158,),
    "acf_rng_6_20": (0.005,),
    "acf_abs_1_5": (0.033,),
    "acf_sq_1_5": (0.029,),
    "ext_cluster": (1.19,),
    "H_lnrange": (0.04,),
    "acf_r_1": (-0.053,),
    "logVR5": (-0.12,),
    "run_len": (1.93,),
    "lev_rng_1_5": (-0.127,),
    "lev_abs_1_10": (-0.053,),
    "Lskew": (-0.028,),
    "dd_over_du": (-0.19,),
    "zumbach": (-0.010,),
    "mdd_norm": (0.95,),
    "logPK_oc": (-0.17, -0.24),
    "logRS_PK": (-0.09, -0.13),
    "body_frac": (0.525,),
    "clv_sd": (0.33,),
    "wick_asym": (-0.055,),
    "absr_rng_corr": (0.61,),
    "vol_acf_1_5": (0.156,),
    "dv_acf1": (-0.32,),
    "v_Lskew": (0.0,),
    "vol_rng_corr": (0.39,),
    "vol_absr_corr": (0.25,),
    "vol_r_corr": (-0.05,),
    "gap_share": (0.27, np.nan),
    "gap_Lkurt": (0.20, np.nan),
    "gap_body_corr": (0.015, np.nan),
}


@pytest.fixture(scope="module")
def nasdaq() -> Candles:
    return load_candles("nasdaq")


@pytest.fixture(scope="module")
def real(nasdaq: Candles, sp500: Candles) -> tuple[BarArrays, BarArrays]:
    return windows(nasdaq, T, T // 4).bars, windows(sp500, T, T // 4).bars


@pytest.fixture(scope="module")
def measured(real: tuple[BarArrays, BarArrays]) -> list[dict[str, np.ndarray]]:
    return [path_statistics(bars) for bars in real]


def outside(name: str, measured: list[dict[str, np.ndarray]]) -> list[float]:
    """Return by how much each mean misses its table value, in tolerances."""
    means = [float(np.nanmean(m[name])) for m in measured]
    errors = [2 * float(np.nanstd(m[name])) / np.sqrt(WHOLE_WINDOWS) for m in measured]
    wanted = MEASURED[name]
    if len(wanted) == 1:
        return [abs(np.mean(means) - wanted[0]) / np.mean(errors)]
    return [abs(m - w) / e for m, w, e in zip(means, wanted, errors, strict=True) if not np.isnan(w)]


@pytest.mark.parametrize("name", MEASURED)
def test_real_windows_have_the_measured_means(name: str, measured: list[dict[str, np.ndarray]]) -> None:
    assert max(outside(name, measured)) <= 1


def test_the_pooled_tail_of_real_windows_is_the_measured_one(measured: list[dict[str, np.ndarray]]) -> None:
    # Two standard errors of a ratio over some 245 exceedances in whole windows: 2 * .194 / sqrt(245) = .025.
    pooled = np.mean([m["hill_std2.num"].sum() / m["hill_std2.den"].sum() for m in measured])
    assert pooled == pytest.approx(0.194, abs=0.025)


def test_the_leverage_of_the_sp500_is_that_of_least_squares_at_any_length(sp500: Candles) -> None:
    """Pooled over windows it is one coefficient of the return beside means and a constant of each window's own.

    A short path does not pull it to zero: over 83 windows of 60 bars (own error about .1 / sqrt(83) = .011) it is what
    it is over all 5,030, within three errors.
    """
    whole = windows(sp500, 5030, 1).bars
    cut = windows(sp500, T, T).bars
    assert pooled_leverage(whole) == pytest.approx(-0.13866043, abs=1e-7)  # statsmodels' OLS of arch's bars
    design, later = zip(*(har(r / s, lr) for r, s, lr in zip(cut.r, cut.s, cut.lr, strict=True)), strict=True)
    falls = np.concatenate([rows[:, -1] for rows in design])[:, None]
    columns = np.hstack([block_diag(*(rows[:, :-1] for rows in design)), falls])
    expected = np.linalg.lstsq(columns, np.concatenate(later), rcond=None)[0][-1]
    assert pooled_leverage(cut) == pytest.approx(expected, rel=1e-8)
    assert pooled_leverage(cut) == pytest.approx(pooled_leverage(whole), abs=0.033)


def har(r: np.ndarray, lr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return one, the means of 5 and 20 log ranges, the return of 5 bars over sqrt(5) [t, 4], and the next range."""
    at = np.arange(19, len(lr) - 1)
    means = [np.convolve(lr, np.full(k, 1 / k), "valid")[at - k + 1] for k in (5, 20)]
    return np.column_stack([np.ones(len(at)), *means, np.convolve(r, np.ones(5), "valid")[at - 4] / np.sqrt(5)]), lr[
        20:
    ]


def pooled_leverage(bars: BarArrays) -> float:
    parts = path_statistics(bars, facts=["lev_har"])
    return float(parts["lev_har.num"].sum() / parts["lev_har.den"].sum())


def test_leverage_goes_with_its_sign_and_stays_where_only_the_level_changes(sp500: Candles) -> None:
    """Planted: mirrored bars have the opposite coefficient, bars mirrored at random none, GARCH none.

    At random over 250 windows of 40 rows the coefficient's error is about .171 / sqrt(250) = .011; four of them.
    """
    real = windows(sp500, T, 20).bars
    rng = np.random.default_rng(3)
    assert pooled_leverage(negative_control("signflip", real, 250, rng)) == pytest.approx(0, abs=0.044)
    assert pooled_leverage(negative_control("shuffle", real, 250, rng)) == pytest.approx(0, abs=0.044)
    turned = real.chained(-real.g, -real.b, -real.ll, -real.hh, None)
    assert pooled_leverage(turned) == pytest.approx(-pooled_leverage(real), abs=2e-3)  # half a tick weighs otherwise
    calmer = real.chained(0.8 * real.g, 0.8 * real.b, 0.8 * real.hh, 0.8 * real.ll, None)
    assert pooled_leverage(calmer) == pytest.approx(pooled_leverage(real), abs=2e-3)


def test_volatility_varies_between_real_windows(measured: list[dict[str, np.ndarray]]) -> None:
    for m in measured:
        assert 0.40 < m["log_sd"].std() < 0.52


def test_shuffled_bars_lose_clustering_and_gain_tails(real: tuple[BarArrays, BarArrays], sp500: Candles) -> None:
    """The test of the test: what a table of wrong values would look like."""
    whole = windows(sp500, 5030, 1).bars
    order = shuffled(whole, 1)
    cut = [slice(i, i + T) for i in range(0, 5030 - T, T)]
    loose = [path_statistics(part_of(order, rows)) for rows in cut]
    means = {name: np.array([part[name][0] for part in loose]) for name in loose[0]}
    # The table's values for a shuffle; two standard errors of 83 windows, as above.
    for name, value in (
        ("Lkurt", 0.258),
        ("agg5_dLkurt", -0.123),
        ("filt_Lkurt", 0.283),
        ("acf_rng_1_5", -0.016),
        ("acf_abs_1_5", -0.016),
        ("lev_rng_1_5", 0.0),
        ("H_lnrange", 0.0),
    ):
        assert means[name].mean() == pytest.approx(value, abs=2 * means[name].std() / np.sqrt(len(cut))), name
    missed = [name for name in MEASURED if max(outside(name, [means, means])) > 1]
    assert {"Lkurt", "agg5_dLkurt", "filt_Lkurt", "acf_rng_1_5", "lev_rng_1_5", "vol_acf_1_5"} <= set(missed)


def part_of(bars: BarArrays, rows: slice) -> BarArrays:
    """Cut one stretch out of a single long path."""
    return BarArrays.of_arrays(
        *(getattr(bars, name)[:, rows] for name in ("open", "high", "low", "close", "volume")),
        anchor_close=np.exp(bars.log_path[:, rows.start]),
    )


# Means over 4,000 Gaussian walks of 60 bars. Half a unit of the table's last digit, plus 4 standard errors.
@pytest.mark.parametrize(
    ("name", "value", "digit"),
    [
        ("Lkurt", 0.123, 0.001),
        ("agg5_dLkurt", -0.015, 0.001),
        ("filt_Lkurt", 0.138, 0.001),
        ("acf_rng_1_5", -0.016, 0.001),
        ("acf_r_1", -0.015, 0.001),
        ("logVR5", -0.044, 0.001),
        ("run_len", 2.00, 0.01),
        # Not of the table, whose walks had a drift: sqrt(pi / 2) - 2 * .583 / sqrt(60), times E[1 / s] = 1 + 1 / 4T.
        ("mdd_norm", 1.107, 0.01),
        ("ext_cluster", 0.845, 0.005),
        ("H_lnrange", 0.0, 0.01),
    ],
)
def test_gaussian_walks_have_the_values_of_the_table(name: str, value: float, digit: float) -> None:
    walks = path_statistics(gaussian_walks(), facts=[name])[name]
    error = walks.std() / np.sqrt(len(walks))
    assert walks.mean() == pytest.approx(value, abs=digit / 2 + 4 * error)


@cache
def gaussian_walks(paths: int = 4000) -> BarArrays:
    """Walks with candles from 78 steps a bar, as a session of five-minute bars has."""
    steps = 0.001 * np.random.default_rng(2).standard_normal((paths, T, 78)).cumsum(axis=2)
    body = steps[:, :, -1]
    up = np.maximum(steps.max(axis=2), 0) - np.maximum(body, 0)
    down = np.minimum(body, 0) - np.minimum(steps.min(axis=2), 0)
    return from_parts(np.zeros_like(body), body, up, down)


def test_ranges_of_78_steps_fall_short_of_brownian_ones_by_the_measured_amount() -> None:
    ratio = path_statistics(gaussian_walks(), facts=["logPK_oc"])["logPK_oc"]
    assert ratio.mean() == pytest.approx(-0.135, abs=0.0005 + 4 * ratio.std() / np.sqrt(len(ratio)))


@pytest.mark.parametrize(
    ("source", "tails", "decay", "memory", "moves", "losses"),
    [
        ("sp500", (3.8, 3.4, 2.9), (0.07, 0.18, 0.30), (0.24, 0.33, 0.24), 0.12, 0.17),
        ("nasdaq", (4.3, 3.5, 3.2), (0.05, 0.12, 0.18), (0.27, 0.33, 0.26), 0.09, 0.13),
    ],
)
def test_the_long_sample_has_the_measured_facts(
    source: str,
    tails: tuple[float, ...],
    decay: tuple[float, ...],
    memory: tuple[float, ...],
    moves: float,
    losses: float,
) -> None:
    # The same bars and formulas: only rounding to the table's digits is left.
    returns = np.diff(np.log(load_candles(source).close))[None]
    facts = long_facts(returns)
    assert [facts[f"hill_moves_{k}"] for k in ("1", "2_5", "5")] == pytest.approx(tails, abs=0.06)
    assert [facts[f"beta_{lag}"] for lag in (20, 50, 100)] == pytest.approx(decay, abs=0.006)
    acf = LaggedSums.of(np.abs(returns), 20).acf()
    assert acf[[0, 4, 19]] == pytest.approx(memory, abs=0.006)
    assert (facts["theta_moves"], facts["theta_losses"]) == pytest.approx((moves, losses), abs=0.006)
    assert facts["hurst_abs"] == pytest.approx(0.90, abs=0.02)
