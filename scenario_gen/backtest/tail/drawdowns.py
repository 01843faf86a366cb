"""How deep, how long, and how long until it is made good: the drawdowns of every path, and ruin bar by bar.

Knows equity [path, bar + 1]; knows neither strategies nor markets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.metrics import drawdown, drawdown_bars, max_drawdown
from scenario_gen.backtest.tail.losses import LEVELS, Equity, expected_shortfall, in_pieces
from scenario_gen.stats.estimate import Estimate, MetricSummary, quantile, share, summarise_metric
from scenario_gen.stats.weights import Weights

RUINS = (0.1, 0.2, 0.3, 0.5)
RECOVERY_QUANTILES = (0.25, 0.5, 0.75, 0.95)
NOT_BY_THE_END = "not recovered by the end of the path"


@dataclass(frozen=True)
class Drawdowns:
    """The drawdowns of all paths."""

    depth: MetricSummary  # of each path's deepest, as a positive fraction of the peak
    length: MetricSummary  # of each path's longest, bars from the peak to the recovery or to the end
    recovered: Estimate  # share of the paths with a drawdown whose deepest one is made good by the end
    # quantiles of the bars from the bottom of the deepest to its recovery, by level ("0.5"); a path that does not
    # recover counts as longer than all others, and a quantile among these has no value
    recovery: dict[str, Estimate]
    # conditional drawdown at risk by level ("0.95"): the mean of the worst 5 % of drawdowns over all bars of all paths
    at_risk: dict[str, Estimate]
    without: int  # paths that never fell below their peak


@dataclass(frozen=True)
class RuinCurve:
    """How likely it is to have lost a share of the starting cash by each bar."""

    loss: float  # the share, 0.2 for a fifth; measured at closes against the starting cash
    # paths that have lost it at or before the close of bar 1, 2, ..; of weighted paths, in how many of ``n`` alike
    counts: tuple[float, ...]
    # lower ends of the 95 % interval of the probability, bar by bar (not a band for the whole curve)
    low: tuple[float, ...]
    high: tuple[float, ...]  # upper ends
    final: Estimate  # the probability by the last bar; a rate from 10 paths on
    n: int  # paths

    @property
    def probability(self) -> tuple[float, ...]:
        """The share of paths by each bar."""
        return tuple(count / max(self.n, 1) for count in self.counts)


def summarise_drawdowns(equity: Equity, weights: Weights | None = None) -> Drawdowns:
    """Return depth, length and recovery of drawdowns with their errors, from equity [path, bar + 1]."""
    bars = in_pieces(recovery_bars, equity)
    falls = ~np.isnan(bars)
    fell, of_fallen = bars[falls], None if weights is None else weights.where(falls)
    nothing = Estimate(None, reason="no path has a drawdown")
    return Drawdowns(
        depth=summarise_metric(in_pieces(max_drawdown, equity), "max_drawdown", weights),
        length=summarise_metric(in_pieces(drawdown_bars, equity), "drawdown_bars", weights),
        recovered=share(np.isfinite(fell), of_fallen) if len(fell) else nothing,
        recovery={str(level): _recovery_quantile(fell, level, of_fallen) for level in RECOVERY_QUANTILES},
        at_risk={str(level): conditional_drawdown_at_risk(equity, level, weights) for level in LEVELS},
        without=len(bars) - len(fell),
    )


def recovery_bars(equity: Floats) -> Floats:
    """Return the bars from the bottom of the deepest drawdown to the peak's recovery, [path].

    Infinite where the peak is not reached again, NaN where there is no drawdown.
    """
    depth = drawdown(equity)
    bottom = depth.argmax(axis=1)[:, None]  # the first of equal ones
    peak = np.take_along_axis(np.maximum.accumulate(equity, axis=1), bottom, axis=1)
    again = (equity >= peak) & (np.arange(equity.shape[1]) > bottom)
    bars = np.where(again.any(axis=1), again.argmax(axis=1) - bottom[:, 0], np.inf)
    return np.where(depth.max(axis=1) > 0, bars, np.nan)


def conditional_drawdown_at_risk(equity: Equity, level: float, weights: Weights | None = None) -> Estimate:
    """Return the mean of the worst ``1 - level`` share of drawdowns over all bars of all paths.

    Chekhlov, Uryasev and Zabarankin (2005), Drawdown measure in portfolio optimization, Int. J. of Theoretical and
    Applied Finance 8(1), for many sample paths; with drawdowns as fractions of the running peak where the paper has
    amounts. The error counts the bars of a path as one draw.
    """
    if len(equity) == 0:
        return Estimate(None, reason="no paths")
    flat = in_pieces(lambda part: drawdown(part)[:, 1:].ravel(), equity)
    return expected_shortfall(flat.reshape(len(equity), -1), level, weights)


def ruin_curves(
    equity: Equity, losses: tuple[float, ...] = RUINS, weights: Weights | None = None
) -> tuple[RuinCurve, ...]:
    """Return the probability of having lost each share of the starting cash by each bar, with Wilson intervals."""
    return tuple(_ruin_curve(equity, loss, weights) for loss in losses)


def _ruin_curve(equity: Equity, loss: float, weights: Weights | None) -> RuinCurve:
    bars = equity.shape[1] - 1
    first = in_pieces(lambda part: _first_loss(part, loss), equity)
    lost = [first <= bar for bar in range(1, bars + 1)]
    by_bar = [share(hits, weights) for hits in lost]
    alike = [float(weights.shares @ hits) * len(equity) for hits in lost] if weights is not None else []
    return RuinCurve(
        loss=loss,
        counts=tuple(alike or [estimate.count or 0 for estimate in by_bar]),
        low=tuple(0.0 if estimate.low is None else estimate.low for estimate in by_bar),
        high=tuple(1.0 if estimate.high is None else estimate.high for estimate in by_bar),
        final=by_bar[-1],
        n=len(equity),
    )


def _first_loss(equity: Floats, loss: float) -> Floats:
    """Return the first bar, from 1, whose close has lost the share, [path]; infinite where none has."""
    lost = equity[:, 1:] <= (1.0 - loss) * equity[:, :1]
    return np.where(lost.any(axis=1), lost.argmax(axis=1) + 1.0, np.inf)


def _recovery_quantile(bars: Floats, level: float, weights: Weights | None) -> Estimate:
    """Return a quantile of recovery times of which some are infinite: an order statistic, never between two."""
    if len(bars) == 0:
        return Estimate(None, reason="no path has a drawdown")
    largest = float(bars[np.isfinite(bars)].max(initial=0.0))
    beyond = largest + 1.0  # stands for infinity: a quantile's interval are order statistics, which keep it
    estimate = quantile(np.minimum(bars, beyond), level, weights)
    if estimate.value is None:
        return estimate
    if weights is None:
        value = float(np.quantile(bars, level, method="inverted_cdf"))
    else:
        value = math.inf if estimate.value >= beyond else estimate.value
    low = estimate.low if estimate.low is not None and estimate.low <= largest else None
    high = estimate.high if estimate.high is not None and estimate.high <= largest else None
    if np.isinf(value):
        return Estimate(None, low, None, n=len(bars), reason=NOT_BY_THE_END)
    return Estimate(value, low, high, n=len(bars), reason="" if high is not None else f"upper end {NOT_BY_THE_END}")
