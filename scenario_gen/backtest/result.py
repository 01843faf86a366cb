"""What a run says of one strategy in one scenario, as frozen values.

Only numbers, strings and lists. Shares and returns are fractions (0.12 means 12 %).

Below, strategies on paths as they were before repair, or before shocks: the columns of such results, and what repair
made of a strategy's figures. Knows neither rules nor shocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import AccountResult
from scenario_gen.backtest.book_risk import BookRisk
from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.jitter import JitterCost
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.overfitting.cscv import Overfitting
from scenario_gen.backtest.overfitting.grids import Shape, Stepwise
from scenario_gen.backtest.overfitting.sharpe import DeflatedSharpe
from scenario_gen.backtest.regimes import RegimeResult
from scenario_gen.backtest.reruns import WarmUp
from scenario_gen.backtest.skill import PairedComparison, Skill
from scenario_gen.backtest.tail.causes import TailCauses
from scenario_gen.backtest.tail.losses import Drawdowns, RuinCurve, TailLoss
from scenario_gen.backtest.tail.marker import Marker
from scenario_gen.errors import StrategyError
from scenario_gen.market.paths import PathSet
from scenario_gen.stats.estimate import ByName, Estimate, MetricSummary, mean, quantile
from scenario_gen.stats.weights import Weights

NO_SURFACE = Estimate(None, reason="not asked")
NOT_TESTED = Stepwise(reason="not asked")


@dataclass(frozen=True)
class Tail:
    """How bad it gets, beyond VaR and CVaR of the total return."""

    worst_bar: tuple[TailLoss, ...]  # VaR and CVaR of each path's worst bar, at 95 and 99 %
    drawdowns: Drawdowns  # depth, length and recovery
    ruin: tuple[RuinCurve, ...]  # share of paths that have lost a tenth, a fifth, three tenths, half by each bar
    # what the worst hundredth of the paths lost its money to; None where the context is too short to say
    causes: TailCauses | None
    paths: int  # how many paths these rest on: the first of the scenario


@dataclass(frozen=True)
class Choice:
    """Whether the choice of parameters was lucky: all sets of one strategy, tried on the same bars."""

    sets: int  # parameter sets that were tried
    history_bars: int  # real bars, up to the context's end, on which each was run
    deflated: DeflatedSharpe  # the set with the largest Sharpe ratio on history, and what is left of it
    history: Overfitting  # probability of backtest overfitting on history
    paths: Overfitting  # the same on each path by itself, averaged
    # what the set with the largest median return on the paths stands on: ``plateau``, ``peak``, ``flat``, ``undecided``
    # or ``none``
    shape: Shape = "none"
    # its mean return less the grid's median on the same path; it was chosen on these paths
    advantage: Estimate = NO_SURFACE
    # which sets have a Sharpe ratio above 0 on history, all of them tested at once
    stepwise: Stepwise = NOT_TESTED
    kept: float | None = None  # share of that which its neighbours in the grid have as well; None where there is none


# --- One strategy on all paths ---


@dataclass(frozen=True)
class Fan:
    """Quantiles at each bar of the horizon, for a fan chart."""

    bars: list[int]  # bars after the anchor, increasing, at most 130 of them; 0 is the anchor
    quantiles: dict[str, list[float]]  # keys "0.05", "0.25", "0.5", "0.75", "0.95"; each a list as long as ``bars``
    examples: dict[str, list[float]]  # three single paths by path id, at ranks 12, 45 and 83 % of the last value
    dots: list[float]  # 50 equally spaced quantiles of the last value


@dataclass(frozen=True)
class Trade:
    """One round trip of a strategy on a named path; bars count from 0 at the first generated bar."""

    side: Literal["long", "short"]
    entry_bar: int
    entry_price: float
    exit_bar: int
    exit_price: float
    size: float
    pnl: float
    fees: float
    open: bool  # still open at the path's end, marked at the last close
    asset: str = ""  # that was traded, where the strategy trades several


@dataclass(frozen=True)
class NamedPath:
    """A path shown bar by bar: candles, fills and equity; of several assets, their closes in place of candles."""

    label: str  # "worst", "5 % quantile", "median", "95 % quantile", "best"
    path_id: int
    strategy: str
    total_return: float
    timestamps: list[str]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    equity: list[float]  # [bar + 1]; the first value is the starting cash
    exposure: list[float]  # share of equity in the market at each close, negative when short
    trades: list[Trade]
    closes: dict[str, list[float]] = field(default_factory=dict)  # of each asset; empty where there is one alone


@dataclass(frozen=True)
class Realised:
    """The same strategy on what really happened after the context, where the history goes on."""

    bars: int
    metrics: dict[str, float | None]
    percentile: Estimate  # share of paths with a lower total return over the same bars


@dataclass(frozen=True)
class StrategyResult:
    """One strategy with one parameter set in one scenario."""

    name: str
    use: str
    params: dict[str, Any]
    metrics: list[MetricSummary]
    probability_of_loss: Estimate
    drawdown_beyond: list[tuple[float, Estimate]]  # (limit, share of paths whose drawdown reaches it)
    var: dict[str, Estimate]  # keys "0.95", "0.99"; loss of terminal value as a positive fraction
    cvar: dict[str, Estimate]
    equity_fan: Fan
    realised: Realised | None
    named_paths: list[NamedPath]
    warm_up: WarmUp | None = None  # how decisions depend on the context's length; of the first scenario alone
    nulls: Skill | None = None  # distance to random entries with its own trades
    paired: list[PairedComparison] = field(default_factory=list)  # with holding, and with each other, path by path
    tail: Tail | None = None
    marker: list[Marker] = field(default_factory=list)  # what it really made before the paths, and after
    overfitting: Choice | None = None  # of its grid of parameters; the same for all its sets
    regimes: list[RegimeResult] = field(default_factory=list)  # on each third of the paths by what they were like
    jitter: JitterCost | None = None  # what sloppy execution costs it, in a scenario that is executed so
    account: AccountResult | None = None  # how the paths end under the account's rules, where some are declared
    risk: BookRisk | None = None  # of several assets in one account, and which of them brings it; None of one asset


@dataclass(frozen=True)
class ShockCost:
    """One strategy on shocked paths, less the same strategy on the same paths unshocked."""

    strategy: str  # its name
    total_return: Estimate  # mean difference with Student's t interval over pairs
    max_drawdown: Estimate  # likewise; above 0 is deeper
    return_error: float | None  # paired standard errors of the two; None for a single path
    drawdown_error: float | None
    # Of shocks within a bar, mean total returns of the first shocked paths: stops filled at their level and before
    # targets (as reported), at the worst price of the bar, and after targets. None without a stop, or without a target.
    at_level: float | None = None
    at_worst: float | None = None
    target_first: float | None = None


@dataclass(frozen=True)
class ShockReport:
    """What the shocks of a scenario cost, path by path."""

    shocks: list[str]  # in words, in their order
    beside: str  # the scenario whose paths these are; empty where the unshocked paths are in no scenario of the run
    paths: int  # pairs
    bad_bars: int  # shocked bars that broke a rule of candles, before ticks and limits of the market were applied
    costs: list[ShockCost]  # in the order of the strategies


@dataclass(frozen=True)
class RepairedFigure:
    """A quantile of one metric over the kept paths, with raw candles and with repaired ones."""

    metric: str
    level: float
    raw: Estimate
    repaired: Estimate


@dataclass(frozen=True)
class RepairEffect:
    """One strategy with and without the repair of candles, on the same kept paths."""

    strategy: str  # its name
    paths: int  # how many of the kept paths the repair changed
    failed: int  # on how many of these the strategy could not be run before repair; they are left out
    figures: list[RepairedFigure]  # quantiles with and without repair
    difference: Estimate  # mean over all kept paths of the total return with repair minus the one without


# --- Fans ---


FAN_POINTS = 130
FAN_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
EXAMPLE_RANKS = (0.12, 0.45, 0.83)  # three single paths, so that nobody takes the median for one
DOTS = 50


def fan_bars(horizon: int) -> NDArray[np.int64]:
    """Return the bars after the anchor that a fan chart shows: 0, the horizon, and at most 130 in all."""
    return np.unique(np.linspace(0, horizon, min(horizon + 1, FAN_POINTS)).round().astype(np.int64))


class FanPoints(Protocol):
    """Numbers at each point of a fan, of which one point at a time is read: float64 [path]."""

    def __len__(self) -> int: ...

    def __getitem__(self, point: int, /) -> Any: ...


def make_fan(values: FanPoints, path_ids: NDArray[np.int64], horizon: int, weights: Weights | None = None) -> Fan:
    """Return quantiles at each fan point, three single paths and 50 dots.

    A dot stands for a fiftieth of the paths, or of what weighted paths stand for.

    Args:
        values: at each fan point, float64 [path]; an array is [fan point, path].
        path_ids: of the paths [path].
        horizon: bars of a path.
        weights: of the paths, where they do not all stand for as much.
    """

    def at_levels(levels: tuple[float, ...], of: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.quantile(of, levels) if weights is None else weights.quantiles(of[:, None], levels)[:, 0]

    last = np.asarray(values[len(values) - 1])
    dots = at_levels(tuple((np.arange(DOTS) + 0.5) / DOTS), last)
    if weights is None:
        order = np.argsort(last, kind="stable")
        examples = [int(order[min(int(rank * len(order)), len(order) - 1)]) for rank in EXAMPLE_RANKS]
        del order
    else:
        examples = weights.rows_at(last, EXAMPLE_RANKS)
    del last
    quantiles, shown = [], []  # at each point
    for point in range(len(values)):
        of = np.asarray(values[point])
        quantiles.append(at_levels(FAN_LEVELS, of))
        shown.append(of[examples])
    return Fan(
        bars=[int(bar) for bar in fan_bars(horizon)],
        quantiles={str(level): rounded(row) for level, row in zip(FAN_LEVELS, np.transpose(quantiles), strict=True)},
        examples={
            str(int(path)): rounded(row) for path, row in zip(path_ids[examples], np.transpose(shown), strict=True)
        },
        dots=rounded(dots),
    )


def rounded(values: NDArray[Any]) -> list[float]:
    """Return floats with seven significant digits: what float32 paths hold."""
    return [float(f"{value:.7g}") for value in values]


# --- Strategies on paths as they were before something was done to them: before repair, or before shocks ---


BEFORE = ("path_id", "total_return", "max_drawdown", "strategy")
FIGURES = (("total_return", 0.5), ("total_return", 0.05), ("max_drawdown", 0.95))
COLUMNS = ("total_return", "max_drawdown")


def results_before(
    ground: Ground, strategies: Sequence[LoadedStrategy], paths: PathSet | None, *, or_nothing: bool = False
) -> pd.DataFrame:
    """Return the columns of BEFORE, one row per strategy (its place) and path; none where either is missing.

    Args:
        ground: of the paths.
        strategies: in the order of their places.
        paths: as they were before.
        or_nothing: NaN where a strategy cannot be run.

    Raises:
        StrategyError: a strategy cannot be run, and ``or_nothing`` is not said.
    """
    if paths is None or not len(paths) or not strategies:  # of several assets no strategy trades one alone
        return pd.DataFrame(columns=[*BEFORE])
    rows = []
    for place, strategy in enumerate(strategies):
        try:
            metrics = trade(strategy, ground, paths).metrics[list(COLUMNS)]
        except StrategyError:
            if not or_nothing:
                raise
            metrics = pd.DataFrame(np.nan, columns=list(COLUMNS), index=pd.Index(paths.path_ids, name="path_id"))
        rows.append(metrics.assign(strategy=place))
    return pd.concat(rows).reset_index()


@dataclass(frozen=True, eq=False)
class BeforeRepair:
    """One strategy on the kept paths as they were before repair, changed or not."""

    figures: ByName  # COLUMNS [path], NaN where the strategy could not be run
    changed: int  # how many paths the repair changed
    failed: int  # on how many of these the strategy could not be run


def repair_effect(name: str, repaired: ByName, before: BeforeRepair, weights: Weights | None = None) -> RepairEffect:
    """Return a strategy's figures with and without repair.

    Args:
        name: of the strategy.
        repaired: its metrics on the kept paths [path].
        before: the same without repair.
        weights: of the kept paths, where they do not all stand for as much.
    """
    figures = [
        RepairedFigure(
            metric, level, *(quantile(np.asarray(of[metric]), level, weights) for of in (before.figures, repaired))
        )
        for metric, level in FIGURES
    ]
    moved = np.asarray(repaired["total_return"]) - np.asarray(before.figures["total_return"])
    return RepairEffect(
        strategy=name, paths=before.changed, failed=before.failed, figures=figures, difference=mean(moved, weights)
    )
