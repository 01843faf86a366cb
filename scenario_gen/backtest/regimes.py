"""Results by the regime of the path: how a strategy fares on the calm third of the paths, and on the volatile one.

Owns by what numbers paths are told apart, what their thirds are called, and what is said of a strategy on each third.
A regime is the path's own, known at its end only: it says on which markets a strategy earns and loses, and nothing of
when they come. Knows closes and metrics; knows neither strategies nor files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scenario_gen.market.paths import PathSet
from scenario_gen.stats.estimate import ByName, Estimate, mean, quantile, share, t_interval
from scenario_gen.stats.weights import Weights

Floats = NDArray[np.float64]

DRAWDOWNS = (0.5, 0.75, 0.95)  # quantiles of the deepest fall


@dataclass(frozen=True)
class Regime:
    """One number by which paths are told apart, and what the thirds of the paths by it are called."""

    key: str
    thirds: tuple[str, str, str]  # lowest, middle, highest
    number: str  # in words
    function: Callable[[Floats], Floats]  # log returns [path, bar] -> [path]


def _efficiency(returns: Floats) -> Floats:
    """Return how much of the way that the closes went is left at the end (Kaufman 1995, Smarter Trading), [path]."""
    way = np.abs(returns).sum(axis=1)
    return np.asarray(np.divide(np.abs(returns.sum(axis=1)), way, out=np.zeros(len(way)), where=way > 0))


REGIMES: tuple[Regime, ...] = (
    Regime(
        "volatility",
        ("calm", "middling", "volatile"),
        "root mean square of its log returns",
        lambda returns: np.asarray(np.sqrt(np.mean(returns**2, axis=1))),
    ),
    Regime(
        "trend",
        ("choppy", "mixed", "trending"),
        "how far it came from where it began, over the way that its closes went",
        _efficiency,
    ),
    Regime(
        "direction",
        ("falling", "sideways", "rising"),
        "its log return from the first bar to the last",
        lambda returns: np.asarray(returns.sum(axis=1)),
    ),
)


@dataclass(frozen=True)
class RegimeResult:
    """One strategy on one third of the paths."""

    kind: str  # key of the :class:`Regime`
    name: str  # of the third
    paths: int
    low: float  # ends of the third, in the regime's number
    high: float
    mean_return: Estimate
    beyond_others: Estimate  # that mean less the mean of all other paths, with Welch's interval
    losing: Estimate  # share of these paths that lose
    drawdown: dict[str, Estimate] = field(default_factory=dict)  # quantiles of the deepest fall, keys "0.5" and so on


def courses(paths: PathSet) -> dict[str, Floats]:
    """Return each regime's number of every path, [path] by key."""
    returns = np.diff(np.log(paths.closes), axis=1)
    return {regime.key: regime.function(returns) for regime in REGIMES}


def by_regime(numbers: ByName, metrics: ByName, weights: Weights | None = None) -> list[RegimeResult]:
    """Return one strategy's results on each third of the paths; a number that is the same on all paths has none.

    Args:
        numbers: of :func:`courses`, [path] by key.
        metrics: one row per path in the same order, with total_return and max_drawdown.
        weights: of the paths, where they do not all stand for as much; thirds are then thirds of what they stand for.
    """
    returns, falls = (np.asarray(metrics[name], dtype=np.float64) for name in ("total_return", "max_drawdown"))
    told = []
    for regime in REGIMES:
        number = np.asarray(numbers[regime.key])
        if not len(returns) or not np.ptp(number) > 0:
            continue
        told += [
            _third(regime, place, number, inside, returns, falls, weights)
            for place, inside in enumerate(thirds(number, weights))
            if inside.any()
        ]
    return told


def thirds(values: Floats, weights: Weights | None = None) -> list[NDArray[np.bool_]]:
    """Return which paths are in the lowest, the middle and the highest third, by rank; bool [path] each."""
    order = np.argsort(values, kind="stable")
    shares = np.full(len(values), 1 / len(values)) if weights is None else weights.shares
    middle = np.cumsum(shares[order]) - shares[order] / 2  # of what each path stands for
    place = np.empty(len(values), dtype=np.int64)
    place[order] = np.minimum((3 * middle + 1e-9).astype(np.int64), 2)
    return [place == third for third in range(3)]


def _third(
    regime: Regime,
    place: int,
    number: Floats,
    inside: NDArray[np.bool_],
    returns: Floats,
    falls: Floats,
    weights: Weights | None,
) -> RegimeResult:
    own, others = (None if weights is None else weights.where(mask) for mask in (inside, ~inside))
    return RegimeResult(
        kind=regime.key,
        name=regime.thirds[place],
        paths=int(inside.sum()),
        low=float(number[inside].min()),
        high=float(number[inside].max()),
        mean_return=mean(returns[inside], own),
        beyond_others=_difference(returns[inside], own, returns[~inside], others),
        losing=share(returns[inside] < 0, own),
        drawdown={str(level): quantile(falls[inside], level, own) for level in DRAWDOWNS},
    )


def _difference(left: Floats, weight: Weights | None, right: Floats, weight_right: Weights | None) -> Estimate:
    """Return the difference of two means of different paths with Welch's interval."""
    centres, errors = [], []
    for values, weights in ((left, weight), (right, weight_right)):
        if len(values) < 2:
            return Estimate(None, n=len(left), reason="fewer than two paths on a side")
        if weights is None:
            centres.append(float(values.mean()))
            errors.append((float(values.std(ddof=1)) / len(values) ** 0.5, len(values) - 1.0))
        elif (error := weights.error(values)) is not None:
            centres.append(weights.mean(values))
            errors.append(error)
        else:
            return Estimate(None, n=len(left), reason="too few islands or too few paths alike for an error")
    squares = [error**2 for error, _ in errors]
    if sum(squares) == 0:
        return Estimate(centres[0] - centres[1], n=len(left), reason="the same return on all paths of a side")
    freedom = sum(squares) ** 2 / sum(square**2 / each for square, (_, each) in zip(squares, errors, strict=True))
    return t_interval(centres[0] - centres[1], sum(squares) ** 0.5, freedom, len(left))
