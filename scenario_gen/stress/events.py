"""Events that a scenario asks the probability of, and the scores that lead paths to them.

Owns the sections ``event`` and ``sampler`` of a spec and one entry of :data:`FUNCTIONALS` per kind of event: what it
asks of a path, from which bar on it is certain, and how near a path is at each bar. A score reads the bars so far and
nothing else. To add a functional: an entry there and its name in :class:`Event`. Samples nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.special import log_ndtr

from scenario_gen.market.candles import Candles
from scenario_gen.market.relative import Floats, continue_ewma, running_volatility
from scenario_gen.reading.section import Section
from scenario_gen.stress.splitting import MOST_SLOTS, Score, Scored

KAPPA = 1.6  # look-ahead of the drawdown's score, in deviations of a random walk: 1.3 to 2 all work
MONITORED = 0.583  # a barrier watched at closes alone lies so many deviations of a bar further away
MOST_VOLATILITY = 10.0  # per year
Functional = Literal["max_drawdown", "terminal_return", "realised_vol", "bar_return"]


class Event(Section):
    """What is to happen on a path, counted at the close of its bars."""

    functional: Functional = Field(
        description="max_drawdown: the deepest fall from the highest close so far, the last real close included; "
        "terminal_return: from the last real close to the last bar; realised_vol: root mean square of log returns, per "
        "year; bar_return: of any one bar"
    )
    at_least: float | None = Field(default=None, description="0.25 is 25 %")
    at_most: float | None = Field(default=None, description="of a return: -0.3 is a fall by 30 %")
    allow_truncated: bool = Field(
        default=False, description="take top_p or top_k of a model, which cut the tail off: the probability is too low"
    )

    @model_validator(mode="after")
    def _one_threshold(self) -> Event:
        signed = self.functional in ("terminal_return", "bar_return")
        given = [name for name in ("at_least", "at_most") if getattr(self, name) is not None]
        if len(given) != 1 or (given == ["at_most"] and not signed):
            allowed = "at_least or at_most, one of them" if signed else "at_least alone"
            raise ValueError(f"{self.functional} has {' and '.join(given) or 'no threshold'}, expected {allowed}")
        if words := _outside(self.functional, self.at_least, self.at_most):
            raise ValueError(words)
        return self

    @property
    def threshold(self) -> float:
        """The number that was declared."""
        return float(self.at_most if self.at_most is not None else self.at_least or 0.0)

    @property
    def sign(self) -> float:
        """-1 where further means lower."""
        return -1.0 if self.at_most is not None else 1.0

    @property
    def in_words(self) -> str:
        """The event as a reader would say it: ``drawdown of 25 % or more``."""
        size = f"{100 * abs(self.threshold):.4g} %"
        fall = self.threshold < 0
        return {
            "max_drawdown": f"drawdown of {size} or more",
            "realised_vol": f"realised volatility of {size} a year or more",
            "terminal_return": f"{'loss' if fall else 'gain'} of {size} or more at the end",
            "bar_return": f"{'fall' if fall else 'rise'} of {size} or more in one bar",
        }[self.functional]


def _outside(functional: str, at_least: float | None, at_most: float | None) -> str:
    """Return what is wrong with a threshold, or nothing."""
    if at_most is not None:
        satisfied = "every path is at 0 when it sets out, so the event would have happened before the first bar"
        return "" if -1.0 < at_most < 0.0 else f"at_most is {at_most:g}, expected a fall between -1 and 0: {satisfied}"
    if at_least is None:
        return ""
    if functional == "max_drawdown":
        return (
            "" if 0.0 < at_least < 1.0 else f"at_least is {at_least:g}, expected a share of the price between 0 and 1"
        )
    if functional == "realised_vol":
        inside = 0.0 < at_least <= MOST_VOLATILITY
        return "" if inside else f"at_least is {at_least:g}, expected a volatility per year, up to {MOST_VOLATILITY:g}"
    return "" if at_least > 0.0 else f"at_least is {at_least:g}, expected a gain above 0; for a fall write at_most"


class Sampler(Section):
    """How the paths of an event are found."""

    method: Literal["auto", "rejection", "splitting"] = Field(
        default="auto", description="auto: plain paths where 100 of them show the event, else splitting"
    )
    island: int = Field(default=512, ge=32, le=MOST_SLOTS // 16, description="paths of an island at a time")
    islands: tuple[int, int] = Field(
        default=(8, 16), strict=False, description="independent islands: at least, and at most"
    )
    kill: float = Field(default=0.5, ge=0.05, le=0.9, description="share of paths that each level gives up")
    relative_error: float = Field(
        default=0.15, gt=0.0, le=1.0, description="of the probability; once it is reached no more islands are run"
    )
    budget: float = Field(
        default=40.0, gt=0.0, description="bars sampled at most beyond the first islands, over those of the plain paths"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Sampler:
        fewest, most = self.islands
        if not 2 <= fewest <= most <= MOST_ISLANDS:
            raise ValueError(
                f"islands is [{fewest}, {most}], expected two numbers in order, from 2 up to {MOST_ISLANDS}: the error "
                "is read from independent islands"
            )
        return self


MOST_ISLANDS = 256


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
    """Return how near paths are to an event, at each bar."""
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


def _bar_return(event: Event, outset: Outset) -> Score:
    """Lead paths by their furthest bar so far."""
    target = event.sign * np.log1p(event.threshold)

    def score(values: NDArray[np.float32]) -> Scored:
        furthest = np.maximum.accumulate(event.sign * outset.returns(values), axis=1)
        measure = event.sign * np.expm1(event.sign * furthest[:, -1])
        reached = furthest >= target
        return Scored(_certain(furthest, reached), measure, reached[:, -1])

    return score


ScoreOf: TypeAlias = Callable[[Event, Outset], Score]
FUNCTIONALS: Mapping[str, ScoreOf] = {
    "max_drawdown": _max_drawdown,
    "terminal_return": _terminal_return,
    "realised_vol": _realised_vol,
    "bar_return": _bar_return,
}
