"""The stylized facts that are measured: one list, which statistics, tests, reports and docs all follow.

Owns what a fact is called, needs and is controlled by; those of several assets have a list of their own. Knows no
estimator and no verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

Group = Literal[
    "tails", "clustering", "linear", "asymmetry", "candle_shape", "gaps", "volume", "intraday", "scale", "cross_asset"
]
Kind = Literal["P", "Q"]
Need = Literal["volume", "gaps", "ticks", "sessions"]
Control = Literal["gbm", "shuffle", "signflip", "ar1", "reverse", "wicks", "independent", "misaligned", ""]
Needs = frozenset[Need]


@dataclass(frozen=True)
class Fact:
    """One property of price paths that real markets show and a generator should reproduce.

    Attributes:
        id: the statistic's name in tables and files.
        number: its place in the list of facts; facts of one phenomenon share the digits.
        group: the phenomenon.
        title: what it measures, for a person.
        kind: P: one value per path, compared as a distribution; Q: a pooled ratio sum(num) / sum(den).
        min_bars: the shortest path on which it is worth computing.
        needs: what the data must have for it to mean anything.
        control: the broken generator that this fact must catch to show its power; "" where there is none.
        gate: whether it may fail a generator; the others are shown only.
        source: who defined the estimator or described the fact; "" for a plain statistic of our choice.
        seasonal: intraday, it is measured on bars without their time-of-day pattern.
    """

    id: str
    number: str
    group: Group
    title: str
    kind: Kind
    min_bars: int
    needs: Needs
    control: Control
    gate: bool
    source: str
    seasonal: bool = False


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
    return Fact(id, number, group, title, kind, min_bars, needs, control, gate, source, seasonal)


_tail = partial(_fact, group="tails")
_cluster = partial(_fact, group="clustering")
_memory = partial(_fact, group="clustering", seasonal=True)
_linear = partial(_fact, group="linear")
_asymmetry = partial(_fact, group="asymmetry")
_candle = partial(_fact, group="candle_shape")
_gap = partial(_fact, group="gaps", needs=frozenset[Need]({"gaps"}))
_volume = partial(_fact, group="volume", needs=frozenset[Need]({"volume"}))
_session = partial(_fact, group="intraday", needs=frozenset[Need]({"sessions"}))
_session_volume = partial(_fact, group="intraday", needs=frozenset[Need]({"sessions", "volume"}))
_scale = partial(_fact, group="scale")
_cross = partial(_fact, "19", group="cross_asset", control="independent", seasonal=True)

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
        group="intraday",
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
