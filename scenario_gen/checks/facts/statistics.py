"""path_statistics: every fact of every path, in blocks that keep memory constant."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scenario_gen.checks.facts import candle, returns
from scenario_gen.checks.facts.bars import Bars
from scenario_gen.checks.facts.facts import FACT, FACTS, Fact, Need
from scenario_gen.checks.facts.gauge import Gauge, deseasonalise
from scenario_gen.checks.facts.moments import Array, correlation, divide, l_ratios, log, log_spread, mean_acf, mean_ccf

_BLOCK = 1 << 17  # path-bars measured at once: some 40 arrays of 1 MB

Statistic = Callable[[Bars], Array]


def _agg5_dlkurt(bars: Bars) -> Array:
    return l_ratios(returns.rolling_sums(bars.r, 5))[1] - l_ratios(bars.r)[1]


def _mean_t(bars: Bars) -> Array:
    return divide(bars.r.mean(axis=1), bars.s / np.sqrt(bars.length))


def _fall_over_rise(bars: Bars) -> Array:
    fall, rise = returns.largest_fall(bars.log_path), returns.largest_fall(-bars.log_path)
    return candle.log_ratio(fall, rise)


def _fall_over_volatility(bars: Bars) -> Array:
    return divide(returns.largest_fall(bars.log_path), bars.s * np.sqrt(bars.length))


# Every entry of every fact but ``exceedances``, which needs the reference's gauge.
STATISTICS: dict[str, Statistic] = {
    "Lkurt": lambda bars: l_ratios(bars.r)[1],
    "exkurt": lambda bars: returns.excess_kurtosis(bars.r),
    "hill_std2.num": lambda bars: returns.hill_parts(bars.r, bars.s)[0],
    "hill_std2.den": lambda bars: returns.hill_parts(bars.r, bars.s)[1],
    "agg5_dLkurt": _agg5_dlkurt,
    "filt_Lkurt": lambda bars: l_ratios(bars.filtered)[1],
    "filt_acf_abs": lambda bars: mean_acf(np.abs(bars.filtered), range(1, 6)),
    "acf_rng_1_5": lambda bars: mean_acf(bars.lr, range(1, 6)),
    "acf_rng_6_20": lambda bars: mean_acf(bars.lr, range(6, 21)),
    "acf_abs_1_5": lambda bars: mean_acf(bars.abs_r, range(1, 6)),
    "acf_sq_1_5": lambda bars: mean_acf(bars.r**2, range(1, 6)),
    "ext_cluster": lambda bars: returns.extremal_clustering(bars.abs_r),
    "H_lnrange": lambda bars: returns.roughness(bars.lr),
    "acf_r_1": lambda bars: mean_acf(bars.r, [1]),
    "logVR5": lambda bars: returns.log_variance_ratio(bars.r, 5),
    "run_len": lambda bars: returns.run_length(bars.r),
    "lev_rng_1_5": lambda bars: mean_ccf(bars.r, bars.lr, range(1, 6)),
    "lev_abs_1_10": lambda bars: mean_ccf(bars.r, bars.abs_r, range(1, 11)),
    "Lskew": lambda bars: l_ratios(bars.r)[0],
    "dd_over_du": _fall_over_rise,
    "zumbach": candle.zumbach,
    "mdd_norm": _fall_over_volatility,
    "logPK_oc": lambda bars: candle.log_ratio(candle.parkinson(bars), candle.open_close_variance(bars)),
    "logRS_PK": lambda bars: candle.log_ratio(candle.rogers_satchell(bars), candle.parkinson(bars)),
    "logGK_oc": lambda bars: candle.log_ratio(candle.garman_klass(bars), candle.open_close_variance(bars)),
    "logYZ_cc": lambda bars: candle.log_ratio(candle.yang_zhang(bars), bars.s**2),
    "body_frac": lambda bars: candle.mean_share(np.abs(bars.b), bars.R),
    "clv_sd": candle.close_place_spread,
    "wick_asym": lambda bars: candle.mean_share(candle.wick_difference(bars), bars.R),
    "absr_rng_corr": lambda bars: correlation(bars.abs_r, bars.lr),
    "no_upper_wick": candle.upper_wickless_share,
    "no_lower_wick": candle.lower_wickless_share,
    "gap_share": candle.gap_share,
    "gap_Lkurt": lambda bars: l_ratios(candle.session_gaps(bars))[1],
    "gap_body_corr": candle.gap_body_correlation,
    "vol_acf_1_5": lambda bars: mean_acf(bars.v_detrended, range(1, 6)),
    "dv_acf1": lambda bars: mean_acf(bars.dv, [1]),
    "dv_logsd": lambda bars: log_spread(bars.dv),
    "v_Lskew": lambda bars: l_ratios(bars.v_detrended)[0],
    "vol_rng_corr": lambda bars: correlation(bars.v_detrended, bars.lr),
    "vol_absr_corr": lambda bars: correlation(bars.v_detrended, bars.abs_r),
    "vol_r_corr": lambda bars: correlation(bars.dv, bars.r[:, 1:]),
    "open_mid_rng": lambda bars: candle.session_contrast(bars, bars.lr, early=True),
    "close_mid_rng": lambda bars: candle.session_contrast(bars, bars.lr, early=False),
    "open_mid_vol": lambda bars: candle.session_contrast(bars, bars.v, early=True),
    "close_mid_vol": lambda bars: candle.session_contrast(bars, bars.v, early=False),
    "zero_ret_share": candle.still_share,
    "log_sd": lambda bars: log(bars.s),
    "mean_t": _mean_t,
}


def path_statistics(
    bars: Bars, *, facts: Sequence[str] | None = None, gauge: Gauge | None = None
) -> dict[str, NDArray[np.float64]]:
    """Return fact id -> float64 [path], NaN where undefined; a Q fact as two entries, id.num and id.den.

    Each path is measured alone: the result for a set of paths is that of its parts, one after the other. A
    path with a price that is missing or not positive is NaN throughout.

    Args:
        bars: the paths. Bars that are compared must have the same tick.
        facts: ids of FACTS to compute, NaN where the bars lack volume or sessions; default: all that they allow.
        gauge: the reference's. Without it there is no ``exceedances`` and no time-of-day pattern is removed.
    """
    chosen = [FACT[name] for name in facts] if facts is not None else _possible(FACTS, bars, gauge)
    result = {name: np.full(len(bars), np.nan) for fact in chosen for name in entries(fact)}
    measurable = np.flatnonzero(bars.valid)
    step = max(1, _BLOCK // bars.length)
    for start in range(0, len(measurable), step):
        rows = measurable[start : start + step]
        block = bars.select(rows)
        for name, values in _measure(block, _possible(chosen, block, gauge), gauge).items():
            result[name][rows] = values
    return result


def entries(fact: Fact) -> tuple[str, ...]:
    """Return the names under which a fact stands in the result of :func:`path_statistics`."""
    return (fact.id,) if fact.kind == "P" else (f"{fact.id}.num", f"{fact.id}.den")


def _possible(facts: Sequence[Fact], bars: Bars, gauge: Gauge | None) -> list[Fact]:
    lacking: set[Need] = set()
    if bars.volume is None:
        lacking.add("volume")
    if bars.bar_of_day is None:
        lacking.add("sessions")
    return [f for f in facts if not f.needs & lacking and (f.id != "exceedances" or gauge is not None)]


def _measure(bars: Bars, facts: Sequence[Fact], gauge: Gauge | None) -> dict[str, Array]:
    """Return the statistics of one block of valid paths."""
    flat = bars
    if gauge is not None and gauge.season is not None and bars.bar_of_day is not None:
        flat = deseasonalise(bars, gauge.season)
    measured: dict[str, Array] = {}
    for fact in facts:
        if fact.id == "exceedances" and gauge is not None:
            measured[fact.id] = (bars.abs_r > gauge.large_move).mean(axis=1)
            continue
        for name in entries(fact):
            measured[name] = STATISTICS[name](flat if fact.seasonal else bars)
    return measured
