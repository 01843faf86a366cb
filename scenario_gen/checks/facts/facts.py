"""The stylized facts that are measured: one list, which statistics, tests, reports and docs all follow.

Owns what a fact is called, needs and is controlled by. Knows no estimator and no verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Group = Literal[
    "tails", "clustering", "linear", "asymmetry", "candle_shape", "gaps", "volume", "intraday", "scale"
]
Kind = Literal["P", "Q"]
Need = Literal["volume", "gaps", "ticks", "sessions"]
Control = Literal["gbm", "shuffle", "signflip", "ar1", "reverse", "wicks", ""]

VOLUME: frozenset[Need] = frozenset({"volume"})
GAPS: frozenset[Need] = frozenset({"gaps"})
TICKS: frozenset[Need] = frozenset({"ticks"})
SESSIONS: frozenset[Need] = frozenset({"sessions"})
NONE: frozenset[Need] = frozenset()


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
        source: who defined the estimator or described the fact.
        seasonal: intraday, it must be measured on bars without their time-of-day pattern.
    """

    id: str
    number: str
    group: Group
    title: str
    kind: Kind
    min_bars: int
    needs: frozenset[Need]
    control: Control
    gate: bool
    source: str
    seasonal: bool = False


def _fact(
    id: str,  # noqa: A002 - the field's name
    number: str,
    group: Group,
    title: str,
    min_bars: int,
    control: Control,
    source: str,
    *,
    kind: Kind = "P",
    needs: frozenset[Need] = NONE,
    gate: bool = True,
    seasonal: bool = False,
) -> Fact:
    return Fact(id, number, group, title, kind, min_bars, needs, control, gate, source, seasonal)


TAILS = (
    _fact("Lkurt", "1", "tails", "L-kurtosis of returns", 20, "gbm", "Hosking 1990"),
    _fact("exkurt", "1b", "tails", "excess kurtosis of returns", 60, "gbm", "Cont 2001", gate=False),
    _fact(
        "hill_std2",
        "2",
        "tails",
        "tail index above two standard deviations",
        20,
        "gbm",
        "Hill 1975",
        kind="Q",
    ),
    _fact("agg5_dLkurt", "3", "tails", "L-kurtosis lost in five-bar returns", 60, "shuffle", "Cont 2001"),
    _fact(
        "filt_Lkurt", "4", "tails", "L-kurtosis of returns over their EWMA volatility", 40, "gbm", "Cont 2001"
    ),
)

CLUSTERING = (
    _fact(
        "filt_acf_abs",
        "4b",
        "clustering",
        "clustering left over by the EWMA volatility",
        40,
        "shuffle",
        "Cont 2001",
    ),
    _fact(
        "acf_rng_1_5",
        "6",
        "clustering",
        "autocorrelation of the log range, lags 1-5",
        30,
        "shuffle",
        "Alizadeh, Brandt & Diebold 2002",
        seasonal=True,
    ),
    _fact(
        "acf_rng_6_20",
        "6",
        "clustering",
        "autocorrelation of the log range, lags 6-20",
        60,
        "shuffle",
        "Alizadeh, Brandt & Diebold 2002",
        seasonal=True,
    ),
    _fact(
        "acf_abs_1_5",
        "6b",
        "clustering",
        "autocorrelation of absolute returns, lags 1-5",
        60,
        "shuffle",
        "Ding, Granger & Engle 1993",
        seasonal=True,
    ),
    _fact(
        "acf_sq_1_5",
        "6b",
        "clustering",
        "autocorrelation of squared returns, lags 1-5",
        60,
        "shuffle",
        "Ding, Granger & Engle 1993",
        seasonal=True,
    ),
    _fact(
        "ext_cluster",
        "16",
        "clustering",
        "large moves that follow large moves",
        60,
        "shuffle",
        "Ferro & Segers 2003",
        seasonal=True,
    ),
    _fact(
        "H_lnrange",
        "17",
        "clustering",
        "roughness (Hurst) of the log range",
        60,
        "wicks",
        "Gatheral et al. 2018",
    ),
)

LINEAR = (
    _fact(
        "acf_r_1", "5", "linear", "autocorrelation of returns, lag 1", 30, "ar1", "Cont 2001", seasonal=True
    ),
    _fact(
        "logVR5",
        "5",
        "linear",
        "log variance ratio over five bars",
        30,
        "ar1",
        "Lo & MacKinlay 1988",
        seasonal=True,
    ),
    _fact("run_len", "15", "linear", "mean run of returns with one sign", 30, "ar1", "Wald & Wolfowitz 1940"),
)

ASYMMETRY = (
    _fact(
        "lev_rng_1_5",
        "7",
        "asymmetry",
        "leverage: returns and later log ranges, lags 1-5",
        30,
        "signflip",
        "Bouchaud, Matacz & Potters 2001",
        seasonal=True,
    ),
    _fact(
        "lev_abs_1_10",
        "7",
        "asymmetry",
        "leverage: returns and later absolute returns, lags 1-10",
        30,
        "signflip",
        "Bouchaud, Matacz & Potters 2001",
        seasonal=True,
    ),
    _fact("Lskew", "8", "asymmetry", "L-skewness of returns", 60, "signflip", "Hosking 1990"),
    _fact(
        "dd_over_du",
        "8",
        "asymmetry",
        "log ratio of the deepest fall to the highest rise",
        60,
        "reverse",
        "Johansen, Simonsen & Jensen 2006",
    ),
    _fact(
        "zumbach",
        "9",
        "asymmetry",
        "past moves tell of later volatility more than the reverse",
        60,
        "reverse",
        "Zumbach 2009",
    ),
    _fact(
        "mdd_norm",
        "15",
        "asymmetry",
        "deepest fall in units of volatility",
        30,
        "reverse",
        "Magdon-Ismail 2004",
    ),
)

CANDLE_SHAPE = (
    _fact(
        "logPK_oc", "12", "candle_shape", "range variance over body variance", 20, "wicks", "Parkinson 1980"
    ),
    _fact(
        "logRS_PK",
        "12",
        "candle_shape",
        "drift-free over plain range variance",
        20,
        "wicks",
        "Rogers & Satchell 1991",
    ),
    _fact(
        "logGK_oc",
        "12",
        "candle_shape",
        "Garman-Klass over body variance",
        20,
        "wicks",
        "Garman & Klass 1980",
        gate=False,
    ),
    _fact(
        "logYZ_cc",
        "12",
        "candle_shape",
        "Yang-Zhang over close-to-close variance",
        20,
        "wicks",
        "Yang & Zhang 2000",
        needs=GAPS,
        gate=False,
    ),
    _fact(
        "body_frac", "14", "candle_shape", "mean share of the body in the range", 20, "wicks", "this project"
    ),
    _fact(
        "clv_sd",
        "14",
        "candle_shape",
        "spread of the close's place in the range",
        20,
        "reverse",
        "this project",
    ),
    _fact("wick_asym", "14", "candle_shape", "upper minus lower wick", 20, "signflip", "this project"),
    _fact(
        "absr_rng_corr",
        "14",
        "candle_shape",
        "absolute returns and log ranges together",
        20,
        "wicks",
        "this project",
    ),
    _fact(
        "no_upper_wick",
        "14b",
        "candle_shape",
        "share of bars without an upper wick",
        20,
        "wicks",
        "this project",
    ),
    _fact(
        "no_lower_wick",
        "14b",
        "candle_shape",
        "share of bars without a lower wick",
        20,
        "wicks",
        "this project",
    ),
)

GAP_FACTS = (
    _fact("gap_share", "13", "gaps", "share of gaps in the variance", 30, "gbm", "this project", needs=GAPS),
    _fact("gap_Lkurt", "13", "gaps", "L-kurtosis of gaps", 30, "gbm", "Hosking 1990", needs=GAPS),
    _fact(
        "gap_body_corr",
        "13",
        "gaps",
        "gaps and the bodies that follow",
        30,
        "gbm",
        "this project",
        needs=GAPS,
    ),
)

VOLUME_FACTS = (
    _fact(
        "vol_acf_1_5",
        "10",
        "volume",
        "autocorrelation of log volume, lags 1-5",
        30,
        "shuffle",
        "Bollerslev & Jubinski 1999",
        needs=VOLUME,
    ),
    _fact(
        "dv_acf1",
        "10",
        "volume",
        "autocorrelation of log volume changes, lag 1",
        30,
        "shuffle",
        "this project",
        needs=VOLUME,
    ),
    _fact(
        "dv_logsd",
        "10",
        "volume",
        "log spread of log volume changes",
        30,
        "shuffle",
        "this project",
        needs=VOLUME,
    ),
    _fact("v_Lskew", "10", "volume", "L-skewness of log volume", 30, "shuffle", "Hosking 1990", needs=VOLUME),
    _fact(
        "vol_rng_corr",
        "11",
        "volume",
        "log volume and log ranges together",
        30,
        "shuffle",
        "Karpoff 1987",
        needs=VOLUME,
    ),
    _fact(
        "vol_absr_corr",
        "11",
        "volume",
        "log volume and absolute returns together",
        30,
        "shuffle",
        "Karpoff 1987",
        needs=VOLUME,
    ),
    _fact(
        "vol_r_corr",
        "11",
        "volume",
        "log volume changes and returns together",
        30,
        "shuffle",
        "Karpoff 1987",
        needs=VOLUME,
    ),
)

INTRADAY = (
    _fact(
        "open_mid_rng",
        "18",
        "intraday",
        "log range: first eighth of the session less its middle",
        2,
        "shuffle",
        "Wood et al. 1985",
        needs=SESSIONS,
    ),
    _fact(
        "close_mid_rng",
        "18",
        "intraday",
        "log range: last eighth of the session less its middle",
        2,
        "shuffle",
        "Wood et al. 1985",
        needs=SESSIONS,
    ),
    _fact(
        "open_mid_vol",
        "18",
        "intraday",
        "log volume: first eighth of the session less its middle",
        2,
        "shuffle",
        "Wood et al. 1985",
        needs=SESSIONS | VOLUME,
    ),
    _fact(
        "close_mid_vol",
        "18",
        "intraday",
        "log volume: last eighth of the session less its middle",
        2,
        "shuffle",
        "Wood et al. 1985",
        needs=SESSIONS | VOLUME,
    ),
    _fact(
        "zero_ret_share",
        "18",
        "intraday",
        "share of bars whose close does not move",
        20,
        "gbm",
        "Lesmond et al. 1999",
        needs=TICKS,
    ),
)

SCALE = (
    _fact("log_sd", "20", "scale", "log volatility of the path", 2, "", "this project"),
    _fact("mean_t", "20", "scale", "mean return in units of its standard error", 2, "", "this project"),
    _fact(
        "exceedances", "20", "scale", "share of moves that are large for the reference", 2, "", "this project"
    ),
)

FACTS: tuple[Fact, ...] = (
    *TAILS,
    *CLUSTERING,
    *LINEAR,
    *ASYMMETRY,
    *CANDLE_SHAPE,
    *GAP_FACTS,
    *VOLUME_FACTS,
    *INTRADAY,
    *SCALE,
)
FACT: dict[str, Fact] = {fact.id: fact for fact in FACTS}
