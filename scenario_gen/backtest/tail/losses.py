"""How much is lost when it goes badly: value at risk, its conditional form, drawdowns and ruin.

Losses are positive fractions of the starting cash (terminal) or of the equity before the bar (worst bar); a negative
figure is a gain. Knows equity; knows neither strategies nor markets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.metrics import bar_returns, drawdown, drawdown_bars, max_drawdown, total_return
from scenario_gen.stats.estimate import (
    BEYOND,
    CONFIDENCE,
    Estimate,
    MetricSummary,
    quantile,
    share,
    summarise_metric,
    value_at_risk,
    weighted_shortfall,
)
from scenario_gen.stats.weights import Weights

LEVELS = (0.95, 0.99)
PATHS_AT_ONCE = 1024  # paths that are held in double precision at a time

Equity = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class TailLoss:
    """The tail of one kind of loss at one level."""

    level: float  # 0.95 or 0.99
    var: Estimate  # loss that this share of paths stays within; interval from order statistics
    cvar: Estimate  # mean loss of the paths beyond; interval from the influence function


def tail_losses(
    returns: Floats, levels: tuple[float, ...] = LEVELS, weights: Weights | None = None
) -> tuple[TailLoss, ...]:
    """Return VaR and CVaR of one return per path, float64 [path], at each level; refused with the N needed.

    The figures are those of ``stats.estimate``; the CVaR's interval needs no random numbers here.
    """
    return tuple(
        TailLoss(
            level, value_at_risk(returns, level, weights), expected_shortfall(-np.asarray(returns), level, weights)
        )
        for level in levels
    )


def expected_shortfall(losses: Floats, level: float, weights: Weights | None = None) -> Estimate:
    """Return the mean of the worst ``1 - level`` share of losses, the last one counted in part.

    With z the quantile at the level, the estimate is z + mean(max(L - z, 0)) / (1 - level) (Rockafellar and Uryasev
    2002, Conditional value-at-risk for general loss distributions, J. of Banking and Finance 26). What a path adds
    to that mean is its influence; the standard error is their standard deviation over the root of the paths. So
    several losses of one path, which depend on each other, are counted as one draw.

    Args:
        losses: float64 [path], or [path, bar] for losses at every bar.
        level: 0.95 or 0.99.
        weights: of the paths, where they do not all stand for as much.

    Returns:
        The mean with its 95 % interval; refused with fewer than 20 paths in the tail, of weighted ones fewer than as
        many as 10 alike.
    """
    if losses.size == 0:
        return Estimate(None, reason="no paths")
    losses = losses.reshape(len(losses), -1)
    if weights is not None:
        return weighted_shortfall(losses, level, weights)
    place = max(math.ceil(round(losses.size * level, 6)) - 1, 0)
    edge = float(np.partition(losses.ravel(), place)[place])
    beyond = np.maximum(losses - edge, 0.0).mean(axis=1) / (1.0 - level)  # [path]
    refusal = _too_few(losses, level, edge)
    if refusal:
        return Estimate(None, n=len(losses), reason=refusal)
    value = edge + float(beyond.mean())
    margin = _normal_margin(float(beyond.std(ddof=1)) / math.sqrt(len(losses)))
    return Estimate(value, value - margin, value + margin, n=len(losses))


def worst_bar(equity: Equity) -> Floats:
    """Return the lowest return of a single bar, float64 [path], from equity [path, bar + 1]."""
    return in_pieces(lambda part: bar_returns(part).min(axis=1), equity)


def terminal_returns(equity: Equity) -> Floats:
    """Return the gain over the horizon, float64 [path], from equity [path, bar + 1]."""
    return in_pieces(total_return, equity)


def in_pieces(function: Callable[[Floats], Floats], equity: Equity) -> Floats:
    """Apply a function of equity [path, bar + 1] to some paths at a time, in double precision, and join."""
    if len(equity) == 0:
        return np.empty(0)
    starts = range(0, len(equity), PATHS_AT_ONCE)
    parts = (equity[start : start + PATHS_AT_ONCE].astype(np.float64) for start in starts)
    return np.concatenate([function(part) for part in parts])


def _too_few(losses: Floats, level: float, edge: float) -> str:
    """Return why the tail is refused, or an empty string: for one loss per path as for its quantile."""
    if losses.shape[1] == 1:
        return quantile(losses[:, 0], level).reason
    inside = int(np.count_nonzero((losses >= edge).any(axis=1)))
    if inside >= BEYOND:
        return ""
    needed = math.ceil(len(losses) * BEYOND / max(inside, 1))
    return f"not shown, {inside} paths reach the worst {1 - level:.0%}; about N >= {needed} would do"


def _normal_margin(error: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + CONFIDENCE / 2)) * error


# --- How deep, how long, and how long until it is made good: the drawdowns of every path, and ruin bar by bar ---


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
