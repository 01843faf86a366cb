"""A strategy's own loss as an event: how near the account of each path is to it, at each close.

Owns which strategy is meant, what is asked of its account, and the score that leads paths there: the chance that the
equity still falls so far, were it a random walk that moves as much as lately, and never less than a quarter of the
market: a strategy that is flat may enter. Marked to market at the close, costs and broker as in any backtest. An
account at a bar depends on no later one as long as the strategy does not look ahead, which the probe must have said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_ndtr

from scenario_gen.backtest.account import RUINED
from scenario_gen.backtest.engine import equity_of
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.probe import CausalityProbe
from scenario_gen.errors import SpecError
from scenario_gen.market.candles import Candles, continue_ewma
from scenario_gen.market.paths import Floats, PathSet
from scenario_gen.reading.words import nearest, one_of
from scenario_gen.stress.event import Event
from scenario_gen.stress.events import KAPPA, MONITORED, Outset, drawdown_score
from scenario_gen.stress.splitting import Scored

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
