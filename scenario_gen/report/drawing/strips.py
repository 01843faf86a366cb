"""Distribution strips: five quantiles as marks in a table cell, in percent of the cell's width.

Owns the axis shared by the rows of a column and the position of each mark. The template draws them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scenario_gen.realism.results import FactVerdict
from scenario_gen.report.numbers import fixed, level, percent
from scenario_gen.stats.estimate import Estimate, MetricSummary

NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
REACH = 2.5  # real standard deviations on both sides of the real mean
EDGE = 0.04  # room at both ends, so that no mark is cut


@dataclass(frozen=True)
class Axis:
    """A linear axis in fractions (0.1 is 10 %)."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Return the position of a value in percent of the width, held inside the cell."""
        span = self.high - self.low
        return round(min(max((value - self.low) / span, 0.0), 1.0) * 100, 2)


@dataclass(frozen=True)
class Tick:
    """A labelled position on an axis."""

    x: float
    text: str


@dataclass(frozen=True)
class Strip:
    """Marks of one row, positions in percent; None where there is nothing to draw."""

    outer: tuple[float, float] | None
    inner: tuple[float, float] | None
    median: float | None
    bracket: tuple[float, float] | None
    realised: float | None
    limit: float | None
    zero: float | None
    aria: str

    @property
    def empty(self) -> bool:
        """Whether no quantile could be placed."""
        return self.outer is None and self.inner is None and self.median is None


@dataclass(frozen=True)
class StripMark:
    """The mean of one scenario's paths: position in percent, shape, and the side on which it leaves the strip."""

    x: float
    shape: str  # "mean", "low", "high"
    beyond: str = ""  # "left", "right"


@dataclass(frozen=True)
class FactStrip:
    """One fact on the scale of the real windows; positions in percent of the cell, 50 is the real mean."""

    real: tuple[float, float] | None
    paths: tuple[float, float] | None
    marks: tuple[StripMark, ...]
    aria: str


def axis_over(values: Iterable[float], *, ticks: int = 4) -> Axis:
    """Return an axis that covers all values and zero, with ticks at round numbers."""
    kept = [value for value in values if math.isfinite(value)] + [0.0]
    low, high = min(kept), max(kept)
    if high - low < 1e-9:
        low, high = -0.01, 0.01
    room = (high - low) * EDGE
    low, high = low - room, high + room
    return Axis(low, high, nice_ticks(low, high, ticks))


def nice_ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Return at most ``most`` round numbers, evenly spaced, between ``low`` and ``high``."""
    raw = (high - low) / most
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(nice * scale for nice in (*NICE, 20.0) if nice * scale >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    digits = max(12, 3 - math.floor(math.log10(step)))  # of the axis's own size: prices may lie around 1e-9
    return tuple(round(number * step, digits) for number in range(first, last + 1))


def tick_labels(axis: Axis) -> tuple[Tick, ...]:
    """Return the labels under an axis, whole percentages where the ticks allow it."""
    whole = all(abs(100 * tick - round(100 * tick)) < 1e-6 for tick in axis.ticks)
    return tuple(Tick(axis.at(tick), _tick_text(tick, whole=whole)) for tick in axis.ticks)


def few_labels(axis: Axis) -> tuple[Tick, ...]:
    """Return the labels for half a phone's width: at most three, none so near an edge that it would be cut."""
    inside = [tick for tick in tick_labels(axis) if 7 <= tick.x <= 88]
    return tuple(inside[:: math.ceil(len(inside) / 3)]) if inside else ()


def strip(
    summary: MetricSummary, axis: Axis, *, decision: str, realised: float | None = None, limit: float | None = None
) -> Strip:
    """Place one metric's quantiles on an axis.

    Args:
        summary: the metric over all paths.
        axis: the column's axis.
        decision: the quantile whose 95 % interval becomes the bracket, "0.05" or "0.95".
        realised: what really happened.
        limit: a declared limit.
    """
    value = {key: estimate.value for key, estimate in summary.quantiles.items()}
    return Strip(
        outer=_pair(axis, value.get("0.05"), value.get("0.95")),
        inner=_pair(axis, value.get("0.25"), value.get("0.75")),
        median=_point(axis, value.get("0.5")),
        bracket=_bracket(axis, summary.quantiles.get(decision)),
        realised=_point(axis, realised),
        limit=_point(axis, limit),
        zero=axis.at(0.0),
        aria=_aria(value, realised),
    )


def strip_values(summaries: Sequence[MetricSummary]) -> list[float]:
    """Return the values that an axis for these metrics must cover."""
    return [
        end
        for summary in summaries
        for key in ("0.05", "0.25", "0.5", "0.75", "0.95")
        if key in summary.quantiles
        for end in (summary.quantiles[key].low, summary.quantiles[key].value, summary.quantiles[key].high)
        if end is not None and key in ("0.05", "0.5", "0.95")
    ]


def _point(axis: Axis, value: float | None) -> float | None:
    return None if value is None else axis.at(value)


def _pair(axis: Axis, low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (axis.at(low), axis.at(high))


def _bracket(axis: Axis, estimate: Estimate | None) -> tuple[float, float] | None:
    if estimate is None or estimate.value is None:
        return None
    return _pair(axis, estimate.low, estimate.high)


def _aria(value: dict[str, float | None], realised: float | None) -> str:
    names = (("0.05", "5%"), ("0.25", "25%"), ("0.5", "median"), ("0.75", "75%"), ("0.95", "95%"))
    parts = [f"{label} {percent(number)}" for key, label in names if (number := value.get(key)) is not None]
    parts += [] if realised is None else [f"what really happened {percent(realised)}"]
    return ", ".join(parts) or "no quantile is shown"


def _tick_text(tick: float, *, whole: bool) -> str:
    return level(tick) if whole else percent(tick)


def fact_strip(fact: FactVerdict, others: Sequence[tuple[FactVerdict, str]]) -> FactStrip | None:
    """Place a fact's means and ranges on the scale of the real windows; None where there is no such scale.

    Args:
        fact: of the paths.
        others: the same fact of other scenarios, each with the shape of its mark.
    """
    if fact.real_mean is None or not fact.real_sd or fact.synthetic_mean is None:
        return None
    middle, scale = fact.real_mean, fact.real_sd
    marks = [_mark(found.synthetic_mean, middle, scale, shape) for found, shape in others]
    marks.append(_mark(fact.synthetic_mean, middle, scale, "mean"))
    shift = (fact.synthetic_mean - middle) / scale
    return FactStrip(
        real=_ends(fact.real_range, middle, scale),
        paths=_ends(fact.synthetic_range, middle, scale),
        marks=tuple(mark for mark in marks if mark is not None),
        aria=f"mean of the paths {fixed(shift, 2)} real standard deviations from the real mean",
    )


def _mark(mean: float | None, middle: float, scale: float, shape: str) -> StripMark | None:
    if mean is None:
        return None
    x = _at(mean, middle, scale)
    beyond = "left" if x < 0 else "right" if x > 100 else ""
    return StripMark(min(max(x, 0.0), 100.0), shape, beyond)


def _at(value: float, middle: float, scale: float) -> float:
    return round(50 + 50 * (value - middle) / scale / REACH, 2)


def _ends(ends: tuple[float, float] | None, middle: float, scale: float) -> tuple[float, float] | None:
    if ends is None:
        return None
    low, high = (min(max(_at(end, middle, scale), 0.0), 100.0) for end in ends)
    return low, high
