"""Where an evaluation forecasts from: rolling origins on every series, one horizon apart, futures held out.

Contexts may reach back before the held-out stretch and overlap each other; futures never do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.market.candles import Candles
from scenario_gen.market.relative import STILL, volatility
from scenario_gen.training.data import Series
from scenario_gen.training.histories import COLUMNS, History

HORIZON = 60  # bars ahead, and from one origin to the next
Part = Literal["later", "unseen", "both"]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Stretch:
    """A history and the first of its bars that may be forecast; those before it only serve as context."""

    name: str
    asset_class: str
    frequency: str
    candles: Candles
    first: int


@dataclass(frozen=True)
class Origin:
    """One place to forecast from.

    Attributes:
        stretch: position of its history in the list of stretches.
        row: first bar of the future; the context is the bars before it.
        cluster: origins of the same frequency with the same number lie in the same span of time.
    """

    stretch: int
    row: int
    cluster: int


def held_out(series: Sequence[Series], part: Part) -> list[Stretch]:
    """Return what a training run kept back: later bars of what it saw, instruments that it never saw, or both.

    Raises:
        DataError: nothing was kept back in that part.
    """
    wanted = {"later": (False,), "unseen": (True,), "both": (False, True)}[part]
    kept = [one for one in series if (one.train_end == 0) in wanted]
    if not kept:
        raise DataError(f"the training config keeps no series back as {part!r}", fix="choose another --part, or none")
    return [Stretch(one.name, one.asset_class, one.frequency, candles_of(one), one.later_start) for one in kept]


def stretches(
    histories: Sequence[History], *, start: pd.Timestamp | None = None, share: float | None = None
) -> list[Stretch]:
    """Return histories with the bars that may be forecast: those from ``start`` on, or the last share; else all."""
    return [
        Stretch(one.name, one.asset_class, one.frequency, candles_of(one), _first(one, start, share))
        for one in histories
    ]


def _first(one: History, start: pd.Timestamp | None, share: float | None) -> int:
    by_date = 0 if start is None else int(np.searchsorted(one.wall_ns, start.as_unit("ns").value))
    by_share = 0 if share is None else int(len(one.values) * (1 - share))
    return max(by_date, by_share)


def candles_of(one: History | Series) -> Candles:
    """Return a history as candles, without the volume where it has none."""
    fields = COLUMNS if one.has_volume else COLUMNS[:4]
    return Candles(
        timestamps=pd.DatetimeIndex(one.wall_ns.astype("datetime64[ns]")),
        values=one.values[:, : len(fields)].astype(np.float64),
        fields=fields,
        name=one.name,
    )


@dataclass(frozen=True)
class Chosen:
    """The origins of an evaluation, and how many could not be used.

    Attributes:
        origins: in the order of stretches, oldest first.
        still: origins left out because context or future does not move: there is no unit to score in.
        short: stretches without room for one origin.
    """

    origins: list[Origin]
    still: int
    short: int


def choose_origins(
    found: Sequence[Stretch], *, context: int, per_series: int | None = None, per_group: int | None = None
) -> Chosen:
    """Set origins one horizon apart, the last future ending with its history, and thin them out evenly.

    Args:
        found: histories.
        context: bars before each origin.
        per_series: origins of each history at most, spread evenly over its span.
        per_group: origins of each (asset class, frequency) at most, spread evenly over its histories.

    Raises:
        DataError: there is room for fewer than two.
    """
    groups: dict[tuple[str, str], list[tuple[int, int]]] = {}
    short = 0
    for place, one in enumerate(found):
        rows = _spread(_rows(one, context), per_series)
        short += not rows
        groups.setdefault((one.asset_class, one.frequency), []).extend((place, row) for row in rows)
    picked = sorted(pair for group in groups.values() for pair in _spread(group, per_group))
    pairs = [(place, row) for place, row in picked if _moves(found[place].candles.close, row, context)]
    if len(pairs) < 2:
        raise DataError(
            f"{len(found)} histories leave room for {len(pairs)} origins of {context} bars of context and "
            f"{HORIZON} bars of future",
            expected="at least 2",
            fix="bring longer histories, shorten --context, or move --start to an earlier date",
        )
    clusters = _clusters(found, pairs)
    origins = [Origin(place, row, int(c)) for (place, row), c in zip(pairs, clusters, strict=True)]
    return Chosen(origins, len(picked) - len(pairs), short)


def _rows(one: Stretch, context: int) -> list[int]:
    first = max(one.first, context)
    return list(range(len(one.candles) - HORIZON, first - 1, -HORIZON))[::-1]


def _moves(close: NDArray[np.float64], row: int, context: int) -> bool:
    before, after = close[row - context : row], close[row - 1 : row + HORIZON]
    return all(volatility(part) >= STILL for part in (before, after))


def _spread(items: Sequence[Item], most: int | None) -> list[Item]:
    """Return at most so many items, evenly spread, the last one always among them."""
    if most is None or len(items) <= most:
        return list(items)
    places = np.linspace(0, len(items) - 1, most).round().astype(int) if most > 1 else [len(items) - 1]
    return [items[place] for place in places]


def _clusters(found: Sequence[Stretch], pairs: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Return the number of the span of time that each future begins in.

    A span lasts as long as a typical future of its frequency.
    """
    starts = np.array([found[place].candles.timestamps[row].value for place, row in pairs])
    ends = np.array([found[place].candles.timestamps[row + HORIZON - 1].value for place, row in pairs])
    frequencies = np.array([found[place].frequency for place, _ in pairs])
    out = np.zeros(len(pairs), dtype=np.int64)
    for frequency in np.unique(frequencies):
        rows = frequencies == frequency
        span = max(int(np.median(ends[rows] - starts[rows])), 1)
        out[rows] = starts[rows] // span
    return out
