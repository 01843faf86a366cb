"""What events ask of paths, and the scores that lead paths to them.

Owns one entry of :data:`FUNCTIONALS` per kind of event: what it asks of a path, from which bar on it is certain, and
how near a path is at each bar. A score reads the bars so far and nothing else. To add a functional: an entry there and
its name in :class:`scenario_gen.stress.event.Event`. Samples nothing.

A strategy's own loss is an event too: how near the account of each path is to it, at each close.
Owns which strategy is meant, what is asked of its account, and the score that leads paths there: the chance that the
equity still falls so far, were it a random walk that moves as much as lately, and never less than a quarter of the
market: a strategy that is flat may enter. Marked to market at the close, costs and broker as in any backtest. An
account at a bar depends on no later one as long as the strategy does not look ahead, which the probe must have said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_ndtr

from scenario_gen.backtest.account import RUINED
from scenario_gen.backtest.engine import equity_of
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.probe import CausalityProbe
from scenario_gen.errors import DataError, SpecError
from scenario_gen.market.candles import Candles, continue_ewma, running_volatility
from scenario_gen.market.paths import Floats, PathSet
from scenario_gen.reading.words import nearest, one_of
from scenario_gen.stress.event import Event
from scenario_gen.stress.splitting import Score, Scored

KAPPA = 1.6  # look-ahead of the drawdown's score, in deviations of a random walk: 1.3 to 2 all work
MONITORED = 0.583  # a barrier watched at closes alone lies so many deviations of a bar further away


@dataclass(frozen=True)
class Outset:
    """What paths set out from."""

    anchor: float  # the last real close
    variance: float  # the running (EWMA) variance of log returns after the last real bar
    horizon: int  # bars
    bars_per_year: float

    @classmethod
    def of(cls, context: Candles, horizon: int, bars_per_year: float) -> Outset:
        """Read it off a context."""
        returns = np.diff(np.log(context.close))
        return cls(float(context.close[-1]), float(running_volatility(returns)[-1] ** 2), horizon, bars_per_year)

    def returns(self, values: NDArray[np.float32]) -> Floats:
        """Return log returns of closes [row, bar]; NaN where a price is not positive."""
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.log(values[..., 3].astype(np.float64))
            return np.diff(np.where(np.isfinite(logs), logs, np.nan), axis=1, prepend=np.log(self.anchor))


def score_of(event: Event, outset: Outset) -> Score:
    """Return how near paths are to an event of the price, at each bar; those of accounts are scored elsewhere."""
    return FUNCTIONALS[event.functional](event, outset)


def _certain(running: Floats, reached: NDArray[np.bool_]) -> Floats:
    """Return a running score that is +inf from the first bar at which the event is certain."""
    return np.where(np.logical_or.accumulate(reached, axis=1), np.inf, running)


def drawdown_score(drawdown: Floats, deviation: Floats, threshold: float) -> Scored:
    """Score the fall from the highest level so far by the chance that a random walk still takes it to the threshold.

    h = min(1, 2 Phi((D - D') / s) + 2 Phi(-(D + D') / s)) with D' = D* + .583 sigma and s = 1.6 sigma sqrt(bars left);
    the score is ln h. A path that is volatile and has time left is near, even where it stands high.

    Args:
        drawdown: log units below the highest level so far [row, bar].
        deviation: running volatility per bar after each bar [row, bar].
        threshold: as a share of the highest level.
    """
    target = -np.log1p(-threshold)
    left = np.arange(drawdown.shape[1] - 1, -1, -1.0)
    further = target + MONITORED * deviation
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = KAPPA * deviation * np.sqrt(left)
        near = np.logaddexp(log_ndtr((drawdown - further) / scale), log_ndtr(-(drawdown + further) / scale))
    running = np.where(left > 0, np.minimum(np.log(2.0) + near, 0.0), -np.inf)
    running = np.where(np.isnan(drawdown), np.nan, running)
    reached = drawdown >= target
    return Scored(_certain(running, reached), -np.expm1(-drawdown.max(axis=1)), reached.any(axis=1))


def _max_drawdown(event: Event, outset: Outset) -> Score:
    def score(values: NDArray[np.float32]) -> Scored:
        returns = outset.returns(values)
        level = np.cumsum(returns, axis=1)
        drawdown = np.maximum(np.maximum.accumulate(level, axis=1), 0.0) - level
        start = np.full(len(returns), outset.variance)
        deviation = np.sqrt(np.maximum(continue_ewma(start, returns**2)[:, 1:], 1e-12))
        return drawdown_score(drawdown, deviation, event.threshold)

    return score


def _terminal_return(event: Event, outset: Outset) -> Score:
    """Lead paths by their lowest close so far (highest, of a gain); count them by their last."""
    target = event.sign * np.log1p(event.threshold)

    def score(values: NDArray[np.float32]) -> Scored:
        level = event.sign * np.cumsum(outset.returns(values), axis=1)
        furthest = np.maximum.accumulate(level, axis=1)
        end = level[:, -1]
        measure = event.sign * np.expm1(event.sign * end)
        return Scored(_certain(furthest, level >= target), measure, end >= target)

    return score


def _realised_vol(event: Event, outset: Outset) -> Score:
    """Lead paths by the sum of squared returns so far."""
    per_bar = outset.horizon / outset.bars_per_year
    target = event.threshold**2 * per_bar

    def score(values: NDArray[np.float32]) -> Scored:
        total = np.cumsum(outset.returns(values) ** 2, axis=1)
        reached = total >= target
        return Scored(_certain(total, reached), np.sqrt(total[:, -1] / per_bar), reached[:, -1])

    return score


@dataclass(frozen=True)
class BarScore:
    """The furthest bar so far; where the law of a bar is known, its tail may lead better: see ``stress.forced``."""

    event: Event
    outset: Outset
    # whether it does, by scenario, seed and paths of an island: kept here so that a pilot island is run once
    led: dict[tuple[str, int, int], bool] = field(default_factory=dict, compare=False, repr=False)

    @property
    def tail(self) -> tuple[float, float]:
        """The sign of returns in the tail of which the event lies, and the bound there: log return times sign."""
        return -self.event.sign, -float(self.event.sign * np.log1p(self.event.threshold))

    def __call__(self, values: NDArray[np.float32]) -> Scored:
        """See :class:`scenario_gen.stress.splitting.Score`."""
        sign, target = self.event.sign, self.event.sign * np.log1p(self.event.threshold)
        furthest = np.maximum.accumulate(sign * self.outset.returns(values), axis=1)
        measure = sign * np.expm1(sign * furthest[:, -1])
        reached = furthest >= target
        return Scored(_certain(furthest, reached), measure, reached[:, -1])


ScoreOf: TypeAlias = Callable[[Event, Outset], Score]
FUNCTIONALS: Mapping[str, ScoreOf] = {
    "max_drawdown": _max_drawdown,
    "terminal_return": _terminal_return,
    "realised_vol": _realised_vol,
    "bar_return": BarScore,
}


def refuse_unattainable(event: Event, outset: Outset, bounds: tuple[float, float], name: str) -> None:
    """Refuse an event that bars within bounds cannot make.

    Args:
        event: the event.
        outset: of its paths.
        bounds: lowest and highest log return of a bar.
        name: of the scenario, for the message.

    Raises:
        DataError: with the furthest that paths can come to.
    """
    if event.of_strategy:  # what an account can lose hangs on its leverage
        return
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    bars = outset.horizon
    furthest = {
        "max_drawdown": -np.expm1(bars * low),
        "terminal_return": np.expm1(bars * (low if event.sign < 0 else high)),
        "realised_vol": max(-low, high) * np.sqrt(outset.bars_per_year),
        "bar_return": np.expm1(low if event.sign < 0 else high),
    }[event.functional]
    if event.sign * event.threshold > event.sign * furthest:
        raise DataError(
            f"{name}: {event.in_words} is beyond this generator: its bars lie between {np.expm1(low):.1%} and "
            f"{np.expm1(high):.1%}, and {bars} of them come to {furthest:.1%} at most",
            expected="an event that the generator can reach",
            fix="lower the event's threshold, lengthen bars.context, or take another generator",
        )


# --- A strategy's own loss as an event: how near the account of each path is to it, at each close ---


CALMEST = 0.25  # the equity is taken to move at least so much of the market's volatility
Loss = Literal["strategy_loss", "strategy_drawdown"]


@dataclass(frozen=True, eq=False)
class StrategyScore:
    """How near the account of a strategy is to a loss, at each close of each path.

    ``strategy_loss``: the account ends so far below its start. ``strategy_drawdown``: at a close it is so far below the
    highest it was.
    """

    strategy: LoadedStrategy
    ground: Ground  # the real bars before the paths, and the broker
    timestamps: pd.DatetimeIndex  # of the paths
    outset: Outset
    loss: Loss
    threshold: float  # as a share, between 0 and 1

    def __call__(self, values: NDArray[np.float32]) -> Scored:
        """Score whole paths [row, bar, field]; the measure is the loss as a share.

        Raises:
            StrategyError: the strategy raised, or returned something unusable.
        """
        level = np.log(np.maximum(self.equity(values), RUINED))  # [row, bar + 1]
        deviation = self._deviation(level, values)
        if self.loss == "strategy_drawdown":
            return drawdown_score(np.maximum.accumulate(level, axis=1)[:, 1:] - level[:, 1:], deviation, self.threshold)
        return loss_score(-level[:, 1:], deviation, self.threshold)

    def on(self, context: Candles, timestamps: pd.DatetimeIndex) -> StrategyScore:
        """Return the same score for bars after another context, such as a window of history."""
        outset = Outset.of(context, len(timestamps), self.outset.bars_per_year)
        return replace(self, ground=self.ground.behind(context), timestamps=timestamps, outset=outset)

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the account beside the bars: the strategy, what its code reads, and the broker."""
        strategy = self.strategy
        known = {"use": strategy.use, "params": strategy.params, "reads": strategy.reads.identity()}
        return {**known, "broker": self.ground.broker.model_dump(mode="json")}

    def equity(self, values: NDArray[np.float32]) -> Floats:
        """Return the account in shares of its start, which comes first [row, bar + 1]."""
        context = self.ground.context
        rows, _, width = values.shape
        paths = PathSet(values, context.fields[:width], self.timestamps, np.arange(rows), self.ground.anchor_close)
        equity = equity_of(self.strategy, self.ground, paths)
        return equity / equity[:, :1]

    def _deviation(self, level: Floats, values: NDArray[np.float32]) -> Floats:
        """Return how much the account moves per bar, after each bar [row, bar]."""
        start = np.full(len(level), self.outset.variance)
        market = continue_ewma(start, self.outset.returns(values) ** 2)[:, 1:]
        own = continue_ewma(start, np.diff(level, axis=1) ** 2)[:, 1:]
        return np.sqrt(np.maximum(np.maximum(own, CALMEST**2 * market), 1e-12))


def score_account(
    event: Event, strategy: LoadedStrategy, ground: Ground, timestamps: pd.DatetimeIndex
) -> StrategyScore:
    """Return the score of an event of a strategy's account."""
    outset = Outset.of(ground.context, len(timestamps), ground.bars_per_year)
    loss: Loss = "strategy_drawdown" if event.functional == "strategy_drawdown" else "strategy_loss"
    return StrategyScore(strategy, ground, timestamps, outset, loss, event.threshold)


def loss_score(fallen: Floats, deviation: Floats, threshold: float) -> Scored:
    """Score falls below the start by the chance that a random walk still comes to the threshold before the end.

    h = min(1, 2 Phi(-(target + .583 sigma - fallen) / s)), s = 1.6 sigma sqrt(bars left), by the reflection principle;
    the score is ln h, and +inf from the bar on that is so low. Paths are counted by their last bar: each of them was as
    low at some bar, the last at latest.

    Args:
        fallen: log units below the start [row, bar], negative above it.
        deviation: per bar, after each bar [row, bar].
        threshold: as a share of the start.
    """
    target = -np.log1p(-threshold)
    left = np.arange(fallen.shape[1] - 1, -1, -1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.log(2.0) + log_ndtr((fallen - target - MONITORED * deviation) / (KAPPA * deviation * np.sqrt(left)))
    running = np.where(left > 0, np.minimum(near, 0.0), -np.inf)
    running = np.where(np.isnan(fallen), np.nan, running)
    reached = np.logical_or.accumulate(fallen >= target, axis=1)
    end = fallen[:, -1]
    return Scored(np.where(reached, np.inf, running), -np.expm1(-end), end >= target)


def strategy_meant(name: str, strategies: Sequence[LoadedStrategy]) -> LoadedStrategy:
    """Return the strategy of a name: its whole name with parameters, or the name alone where it has one set of them.

    Raises:
        SpecError: it is none of them, or several sets of parameters.
    """
    whole = [strategy for strategy in strategies if strategy.name == name]
    fitting = whole or [strategy for strategy in strategies if strategy.name.partition("(")[0] == name]
    if len(fitting) == 1:
        return fitting[0]
    names = [strategy.name for strategy in strategies]
    if not fitting:
        raise SpecError(
            f"event.strategy is {name!r}, which is none of the strategies",
            expected=one_of(names) if names else "a strategy under 'strategies', with this name",
            fix=f"write its name as it stands there{nearest(name, names)}",
        )
    raise SpecError(
        f"event.strategy is {name!r}, of which {len(fitting)} sets of parameters run",
        expected="one of them: the probability is of one account",
        fix=f"write one of {one_of([strategy.name for strategy in fitting])}",
    )


def unfit_for_splitting(name: str, probe: CausalityProbe) -> str:
    """Return why a strategy's losses cannot be found by splitting, or nothing.

    Paths branch at the first bar at which a score says they are near. Where decisions depend on later bars, that bar
    is chosen by a future that is then thrown away, and the probability comes out wrong.
    """
    if probe.label == "PASS":
        return ""
    seen = str(probe.leaks[0]) if probe.leaks else probe.reason
    return f"{name} was not seen to decide by past bars alone ({seen})"


def flat_share(measure: Floats) -> float:
    """Return the share of paths [path] whose account ends exactly where it began: they cannot lead to a loss."""
    return float(np.mean(measure == 0.0)) if len(measure) else 0.0
