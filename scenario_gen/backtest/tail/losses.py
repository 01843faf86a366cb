"""How much is lost when it goes badly: value at risk and its conditional form, of whole paths and of their worst bar.

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
from scenario_gen.backtest.metrics import bar_returns, total_return
from scenario_gen.stats.estimate import BEYOND, CONFIDENCE, Estimate, quantile, value_at_risk, weighted_shortfall
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
