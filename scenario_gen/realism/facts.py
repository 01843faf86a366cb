"""The stylized facts that are measured: one list, which statistics, tests, reports and docs all follow.

Owns what a fact is called, needs and is controlled by; those of several assets have a list of their own. Knows no
estimator and no verdict.

To add a fact: one entry in :data:`FACTS` and how it is computed in :data:`STATISTICS`; of a new phenomenon, also one
in :data:`scenario_gen.finding.GROUPS`, which tables, sentences and caps follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scenario_gen.finding import (
    ASYMMETRY,
    CANDLE_SHAPE,
    CLUSTERING,
    CROSS_ASSET,
    GAPS,
    INTRADAY,
    LINEAR,
    SCALE,
    TAILS,
    VOLUME,
    Group,
)
from scenario_gen.realism import candle, estimators as returns
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.estimators import Array, correlation, divide, l_ratios, log, log_spread, mean_acf, mean_ccf
from scenario_gen.realism.gauge import Gauge, deseasonalise

Kind = Literal["P", "Q"]
Need = Literal["volume", "gaps", "ticks", "sessions"]
Control = Literal["gbm", "shuffle", "signflip", "ar1", "reverse", "wicks", "independent", "misaligned", ""]
Needs = frozenset[Need]


@dataclass(frozen=True)
class Fact:
    """One property of price paths that real markets show and a generator should reproduce."""

    id: str  # the statistic's name in tables and files
    number: str  # its place in the list of facts; facts of one phenomenon share the digits
    group: str  # the phenomenon: key of an entry of GROUPS
    title: str  # what it measures, for a person
    kind: Kind  # P: one value per path, compared as a distribution; Q: a pooled ratio sum(num) / sum(den)
    min_bars: int  # the shortest path on which it is worth computing
    needs: Needs  # what the data must have for it to mean anything
    control: Control  # the broken generator that this fact must catch to show its power; "" where there is none
    gate: bool  # whether it may fail a generator; the others are shown only
    source: str  # who defined the estimator or described the fact; "" for a plain statistic of our choice
    seasonal: bool = False  # intraday, it is measured on bars without their time-of-day pattern


def _fact(
    number: str,
    id: str,  # noqa: A002 - the field's name
    title: str,
    min_bars: int,
    control: Control,
    source: str = "",
    *,
    group: Group,
    kind: Kind = "P",
    needs: Needs = frozenset(),
    gate: bool = True,
    seasonal: bool = False,
) -> Fact:
    return Fact(id, number, group.key, title, kind, min_bars, needs, control, gate, source, seasonal)


_tail = partial(_fact, group=TAILS)
_cluster = partial(_fact, group=CLUSTERING)
_memory = partial(_fact, group=CLUSTERING, seasonal=True)
_linear = partial(_fact, group=LINEAR)
_asymmetry = partial(_fact, group=ASYMMETRY)
_candle = partial(_fact, group=CANDLE_SHAPE)
_gap = partial(_fact, group=GAPS, needs=frozenset[Need]({"gaps"}))
_volume = partial(_fact, group=VOLUME, needs=frozenset[Need]({"volume"}))
_session = partial(_fact, group=INTRADAY, needs=frozenset[Need]({"sessions"}))
_session_volume = partial(_fact, group=INTRADAY, needs=frozenset[Need]({"sessions", "volume"}))
_scale = partial(_fact, group=SCALE)
_cross = partial(_fact, "19", group=CROSS_ASSET, control="independent", seasonal=True)

_HOSKING, _CONT, _DGE = "Hosking 1990", "Cont 2001", "Ding, Granger & Engle 1993"
_BMP, _JSJ = "Bouchaud, Matacz & Potters 2001", "Johansen, Simonsen & Jensen 2006"
_LS = "Longin & Solnik 2001"
_KARPOFF, _WOOD = "Karpoff 1987", "Wood, McInish & Ord 1985"

FACTS: tuple[Fact, ...] = (
    _tail("1", "Lkurt", "L-kurtosis of returns", 20, "gbm", _HOSKING),
    _tail("1b", "exkurt", "excess kurtosis of returns", 60, "gbm", _CONT, gate=False),
    _tail("2", "hill_std2", "mean log excess over two standard deviations", 20, "gbm", "Hill 1975", kind="Q"),
    _tail("3", "agg5_dLkurt", "L-kurtosis of five-bar less one-bar returns", 60, "shuffle", _CONT),
    _tail("4", "filt_Lkurt", "L-kurtosis of returns over their EWMA volatility", 40, "gbm", _CONT),
    _cluster("4b", "filt_acf_abs", "clustering that the EWMA volatility leaves, lags 1-5", 40, "shuffle", _CONT),
    _memory("6", "acf_rng_1_5", "autocorrelation of log ranges, lags 1-5", 30, "shuffle"),
    _memory("6", "acf_rng_6_20", "autocorrelation of log ranges, lags 6-20", 60, "shuffle"),
    _memory("6b", "acf_abs_1_5", "autocorrelation of absolute returns, lags 1-5", 60, "shuffle", _DGE),
    _memory("6b", "acf_sq_1_5", "autocorrelation of squared returns, lags 1-5", 60, "shuffle", _DGE),
    _memory("16", "ext_cluster", "large moves within five bars of large moves", 60, "shuffle"),
    _cluster("17", "H_lnrange", "roughness of log ranges, lags 1-8", 60, "wicks", "Gatheral, Jaisson & Rosenbaum 2018"),
    _linear("5", "acf_r_1", "autocorrelation of returns, lag 1", 30, "ar1", _CONT, seasonal=True),
    _linear("5", "logVR5", "log variance ratio over 5 bars", 30, "ar1", "Lo & MacKinlay 1988", seasonal=True),
    _linear("15", "run_len", "mean run of returns of one sign", 30, "ar1"),
    _asymmetry("7", "lev_rng_1_5", "returns and later log ranges", 30, "signflip", _BMP, seasonal=True),
    _asymmetry("7", "lev_abs_1_10", "returns and later absolute returns", 30, "signflip", _BMP, seasonal=True),
    _asymmetry(
        "7",
        "lev_har",
        "five bars' return and the next log range, beside past ranges",
        40,
        "signflip",
        "Corsi & Reno 2012",
        kind="Q",
        seasonal=True,
    ),
    _asymmetry("8", "Lskew", "L-skewness of returns", 60, "signflip", _HOSKING),
    _asymmetry("8", "dd_over_du", "log ratio of largest fall and largest rise", 60, "reverse", _JSJ),
    _asymmetry("9", "zumbach", "past moves and later ranges less the reverse", 60, "reverse", "Zumbach 2009"),
    _asymmetry("15", "mdd_norm", "largest fall over volatility of the path", 30, "reverse"),
    _candle("12", "logPK_oc", "log range variance over body variance", 20, "wicks", "Parkinson 1980"),
    _candle("12", "logRS_PK", "log drift-free over range variance", 20, "wicks", "Rogers & Satchell 1991"),
    _candle("12", "logGK_oc", "log Garman-Klass over body variance", 20, "wicks", "Garman & Klass 1980", gate=False),
    _candle("12", "logYZ_cc", "log Yang-Zhang over return variance", 20, "wicks", "Yang & Zhang 2000", gate=False),
    _candle("14", "body_frac", "mean share of the body in the range", 20, "wicks"),
    _candle("14", "clv_sd", "spread of the close's place in the range", 20, "reverse"),
    _candle("14", "wick_asym", "mean upper less lower wick, share of the range", 20, "signflip"),
    _candle("14", "absr_rng_corr", "absolute returns and log ranges of the same bar", 20, "wicks"),
    _candle("14b", "no_upper_wick", "share of bars without an upper wick", 20, "wicks"),
    _candle("14b", "no_lower_wick", "share of bars without a lower wick", 20, "wicks"),
    _gap("13", "gap_share", "share of gaps in the sum of squares", 30, "gbm"),
    _gap("13", "gap_Lkurt", "L-kurtosis of gaps", 30, "gbm", _HOSKING),
    _gap("13", "gap_body_corr", "gaps and bodies of the same bar", 30, "gbm"),
    _volume("10", "vol_acf_1_5", "autocorrelation of log volume, lags 1-5", 30, "shuffle"),
    _volume("10", "dv_acf1", "autocorrelation of log volume changes, lag 1", 30, "shuffle"),
    _volume("10", "dv_logsd", "log spread of log volume changes", 30, "shuffle"),
    _volume("10", "v_Lskew", "L-skewness of log volume", 30, "shuffle", _HOSKING),
    _volume("11", "vol_rng_corr", "log volume and log ranges of the same bar", 30, "shuffle", _KARPOFF),
    _volume("11", "vol_absr_corr", "log volume and absolute returns of the same bar", 30, "shuffle", _KARPOFF),
    _volume("11", "vol_r_corr", "log volume changes and returns of the same bar", 30, "shuffle", _KARPOFF),
    _session("18", "open_mid_rng", "log ranges early less mid session", 4, "shuffle", _WOOD),
    _session("18", "close_mid_rng", "log ranges late less mid session", 4, "shuffle", _WOOD),
    _session_volume("18", "open_mid_vol", "log volume early less mid session", 4, "shuffle", _WOOD),
    _session_volume("18", "close_mid_vol", "log volume late less mid session", 4, "shuffle", _WOOD),
    _fact(
        "18",
        "zero_ret_share",
        "share of bars whose close stands still",
        20,
        "gbm",
        group=INTRADAY,
        needs=frozenset[Need]({"ticks"}),
    ),
    _scale("20", "log_sd", "log volatility of the path", 2, ""),
    _scale("20", "mean_t", "mean return over its standard error", 2, ""),
    _scale("20", "exceedances", "share of moves that are large for the reference", 2, ""),
)

# How several assets move together: of two assets their pair's, of more the mean over pairs.
PAIR_FACTS: tuple[Fact, ...] = (
    _cross(id="fisher_corr_r", title="correlation of returns (Fisher's z)", min_bars=60, source="Fisher 1921"),
    _cross(id="corr_abs_r", title="correlation of absolute returns", min_bars=60),
    _cross(id="corr_lnrange", title="correlation of log ranges", min_bars=60),
    _cross(id="corr_dv", title="correlation of log volume changes", min_bars=60, needs=frozenset[Need]({"volume"})),
    _cross(id="lowtail_coexc10", title="joint falls among the 10 % worst of each", min_bars=60, source=_LS),
    _cross(id="uptail_coexc10", title="joint rises among the 10 % best of each", min_bars=60, source=_LS),
    _cross(
        id="stress_corr_diff",
        title="correlation in wide-ranging bars less the rest",
        min_bars=60,
        source="Boyer, Gibson & Loretan 1999",
    ),
    _cross(id="leadlag1", title="lead of the first asset over the second, lag 1", min_bars=60, control="misaligned"),
    _cross(id="xlev", title="returns of one and later log ranges of the other", min_bars=60, source=_BMP),
)
# Of three assets and more.
MANY_FACTS: tuple[Fact, ...] = (
    *(replace(fact, id=f"{fact.id}_sd", title=f"{fact.title}: spread over pairs", source="") for fact in PAIR_FACTS),
    _cross(id="top_eigen_share", title="share of the largest eigenvalue of the correlations", min_bars=60),
)
SPREAD = _scale("19", "spread", "difference of the assets' returns over the path", 2, "")
FACT: dict[str, Fact] = {fact.id: fact for fact in (*FACTS, *PAIR_FACTS, *MANY_FACTS, SPREAD)}


# --- path_statistics: every fact of every path, in blocks that keep memory constant ---


_BLOCK = 1 << 17  # path-bars measured at once: some 40 arrays of 1 MB

Statistic = Callable[[BarArrays], Array]


def _agg5_dlkurt(bars: BarArrays) -> Array:
    return l_ratios(returns.rolling_sums(bars.r, 5))[1] - l_ratios(bars.r)[1]


def _mean_t(bars: BarArrays) -> Array:
    return divide(bars.r.mean(axis=1), bars.s / np.sqrt(bars.length))


def _fall_over_rise(bars: BarArrays) -> Array:
    fall, rise = returns.largest_fall(bars.log_path), returns.largest_fall(-bars.log_path)
    return candle.log_ratio(fall, rise)


def _fall_over_volatility(bars: BarArrays) -> Array:
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
    "lev_har.num": lambda bars: bars.leverage[0],
    "lev_har.den": lambda bars: bars.leverage[1],
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
    bars: BarArrays, *, facts: Sequence[str] | None = None, gauge: Gauge | None = None
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


def _possible(facts: Sequence[Fact], bars: BarArrays, gauge: Gauge | None) -> list[Fact]:
    lacking: set[Need] = set()
    if bars.volume is None:
        lacking.add("volume")
    if bars.bar_of_day is None:
        lacking.add("sessions")
    return [f for f in facts if not f.needs & lacking and (f.id != "exceedances" or gauge is not None)]


def _measure(bars: BarArrays, facts: Sequence[Fact], gauge: Gauge | None) -> dict[str, Array]:
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
