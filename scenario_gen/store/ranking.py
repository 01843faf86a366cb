"""What a ranking came to: rank.json, one to one, and signals.parquet beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from scenario_gen.files import atomic, write_bytes
from scenario_gen.finding import Finding
from scenario_gen.joint.results import CouplingReport
from scenario_gen.stats.cross_section import MeanCoefficient
from scenario_gen.stats.estimate import Estimate
from scenario_gen.values import encode

RESULT, SIGNALS, RANK_PAGE, KEPT_DATES = "rank.json", "signals.parquet", "index.html", "dates"


@dataclass(frozen=True)
class RankedDate:
    """One date of a ranking."""

    date: str
    ranked: int  # instruments with a signal
    judged: int  # of them with a realised return
    listed: int  # instruments that belong to the universe
    pearson: float | None  # of the judged signal; None where too few are there, or the horizon is not over
    spearman: float | None
    why: str = ""  # there is no coefficient


@dataclass(frozen=True)
class SignalWorth:
    """What a signal is worth over all dates, over the horizon."""

    signal: str
    pearson: MeanCoefficient
    spearman: MeanCoefficient


@dataclass(frozen=True)
class Decay:
    """The judged signal over other horizons."""

    bars: int
    spearman: MeanCoefficient


@dataclass(frozen=True)
class Traded:
    """What a portfolio came to, costs and all."""

    title: str
    total_return: float
    yearly_return: float
    yearly_volatility: float
    max_drawdown: float
    turnover: float | None  # of the account at each exchange, one way; None of a series
    orders: int | None
    costs: float | None  # share of the starting cash
    suspended: int = 0  # orders that could not be given: no bar
    at_limit: int = 0
    bought_today: int = 0
    curve: list[float] = field(default_factory=list)  # growth of 1 at each bar


@dataclass(frozen=True)
class BesideBenchmark:
    """The portfolio beside a benchmark."""

    title: str
    excess: float  # return per year
    information_ratio: Estimate  # per year
    max_drawdown: float  # of the ratio of both curves
    hits: float  # share of the spans between exchanges in which the portfolio gained more
    spans: int


@dataclass(frozen=True)
class HeldAhead:
    """What an account that is bought at the next open and held may come to, over all joint paths."""

    title: str
    mean: Estimate  # of the gain over the horizon, costs of the purchase and all; nothing is sold at the end
    low: Estimate  # 5 of 100 paths gain less
    median: Estimate
    high: Estimate
    losing: Estimate  # share of paths that lose
    shortfall: Estimate  # mean loss of the worst 5 of 100 paths
    max_drawdown: Estimate  # median over paths
    bands: list[list[float]]  # growth of 1 that 5, 50 and 95 of 100 paths stay below [3][bar + 1]


@dataclass(frozen=True)
class JointOutlook:
    """The portfolio of the last date over joint paths of its names."""

    names: list[str]  # that are coupled, best first
    held: list[str]  # of the portfolio
    paths: int
    horizon: int
    bars: list[str]  # the last real one, and those of the paths
    coupling: CouplingReport
    portfolio: HeldAhead
    equal: HeldAhead
    ahead: Estimate  # share of paths in which the portfolio gains more than equal parts
    excess: Estimate  # mean of its gain less theirs
    notes: list[str]


@dataclass(frozen=True)
class RankRun:
    """A finished ranking."""

    name: str
    created: str
    version: str
    config: str  # the YAML
    config_sha256: str
    generator: Mapping[str, Any]
    universe: str  # where the list of instruments comes from
    instruments: int
    left_out: Mapping[str, str]
    omitted: Mapping[str, str]  # by the generator, and why
    signal: str  # that is judged and traded
    context: int
    horizon: int
    every: int
    paths: int
    seed: int
    dates: list[RankedDate]
    worth: list[SignalWorth]
    decay: list[Decay]
    top: list[tuple[str, float]]  # of the latest date, best first
    bars: list[str]  # of the curves
    portfolio: Traded | None
    benchmarks: list[Traded]
    beside: list[BesideBenchmark]
    findings: list[Finding]
    notes: list[str]
    seconds: float
    outlook: JointOutlook | None = None  # where the config asks for joint paths, and its names could be coupled


def write_ranking(ranking: RankRun, signals: pd.DataFrame, folder: Path) -> None:
    """Write rank.json and signals.parquet.

    Raises:
        StoreError: the disk refuses.
    """
    import json

    with atomic(folder / SIGNALS, "folder") as partial:
        signals.to_parquet(partial, index=False)
    write_bytes(folder / RESULT, json.dumps(encode(ranking), indent=1, allow_nan=False).encode(), "folder")
