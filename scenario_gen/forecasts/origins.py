"""Rolling origins: where in the past a generator is made to forecast what has since come.

Futures of neighbouring origins must not overlap. With a perfectly calibrated model, a horizon of 20 bars and an
origin at every bar, a Kolmogorov-Smirnov test at the 5 % level rejects 84 to 97 % of the time, at every fifth bar
31 to 39 %, at every twentieth 4 to 6 %: overlapping futures count the same surprise twenty times. Contexts may overlap,
and may reach back before the bars that may be forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from scenario_gen.errors import CheckError, DataError
from scenario_gen.market.candles import STILL, Candles, volatility
from scenario_gen.realism.by_origin import MIN_ORIGINS as FACTS_FROM

Item = TypeVar("Item")

FEWEST_JUDGED = 30  # below, figures are shown and nothing is judged
WANTED = 60
PATHS = 199
LONGEST = 63  # bars ahead: a quarter of a year of days; no stylized fact needs more
SEARCHED = 20  # bars ahead of a search for settings, which makes many calibrations
SHORTEST = 5


@dataclass(frozen=True, eq=False)
class Origin:
    """One place in a history to forecast from."""

    history: Candles
    row: int  # first bar of the future; the context is the bars before it

    def context(self, bars: int) -> Candles:
        """Return so many bars before the future."""
        return self.history.rows(self.row - bars, self.row)

    def future(self, bars: int) -> Candles:
        """Return so many bars of what came."""
        return self.history.rows(self.row, self.row + bars)

    @property
    def stamp(self) -> str:
        """ISO stamp of the last bar before the future."""
        return str(self.history.timestamps[self.row - 1].isoformat())

    @property
    def first(self) -> str:
        """ISO stamp of the future's first bar."""
        return str(self.history.timestamps[self.row].isoformat())

    def last(self, horizon: int) -> str:
        """Return the ISO stamp of the last bar of a future of so many bars."""
        return str(self.history.timestamps[self.row + horizon - 1].isoformat())


@dataclass(frozen=True)
class Origins:
    """Rows of a history at which futures begin, oldest first."""

    rows: tuple[int, ...]  # the context is the ``context`` bars before a row, the future the ``horizon`` from it on
    context: int  # bars
    horizon: int  # bars
    stride: int  # bars from one row to the next

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, history: Candles) -> list[Origin]:
        """Return the places in a history, oldest first."""
        return [Origin(history, row) for row in self.rows]


def rolling_origins(bars: int, *, context: int, horizon: int, count: int, stride: int | None = None) -> Origins:
    """Return up to ``count`` origins, the last future ending with the history.

    Args:
        bars: length of the history.
        context: bars before each origin.
        horizon: bars after it.
        count: how many at most; the latest are taken.
        stride: bars between origins; default and least: the horizon.

    Raises:
        CheckError: the stride is below the horizon.
        DataError: the history has no room for two origins.
    """
    stride = horizon if stride is None else stride
    if stride < horizon:
        raise CheckError(
            f"origins every {stride} bars have futures of {horizon} bars that overlap: tests would count the same "
            "surprise several times, and reject a perfectly calibrated generator in up to 97 of 100 cases",
            expected=f"a stride of at least the horizon, {horizon}",
            fix="leave the stride out, or shorten the horizon",
        )
    room = 1 + (bars - context - horizon) // stride if bars >= context + horizon else 0
    if room < 2:
        raise DataError(
            f"{bars} bars leave room for {room} origins of {context} bars of context and {horizon} bars of future",
            expected=f"at least {context + horizon + stride} bars up to the context's end",
            fix="bring a longer history, or shorten the context or the horizon",
        )
    last = bars - horizon
    taken = min(count, room)
    return Origins(tuple(last - stride * back for back in reversed(range(taken))), context, horizon, stride)


def default_horizon(bars: int, context: int, horizon: int, *, fits: bool = False) -> int:
    """Return how many bars ahead to calibrate: as many as the run, at most 63, fewer where the history is short.

    Fewer where the history has no room for the 40 forecasts from which on stylized facts are judged by what came, or
    for as many more where a recalibration fits first; never fewer than 5, unless the run's own horizon is.
    """
    longest = min(horizon, LONGEST)
    return max(min(longest, SHORTEST), min(longest, (bars - context) // _forecasts(fits=fits)))


def _forecasts(*, fits: bool) -> int:
    """Return how many forecasts there should be room for: half of a recalibrated generator's only fit."""
    return FACTS_FROM * (2 if fits else 1)


def not_as_far(bars: int, context: int, horizon: int, *, fits: bool = False) -> list[str]:
    """Say that the default horizon of a calibration is not that of the run, and what would do; nothing where it is."""
    ahead, longest = default_horizon(bars, context, horizon, fits=fits), min(horizon, LONGEST)
    told = [f"the run's paths have {horizon} bars, the forecasts at most {LONGEST}"] if horizon > LONGEST else []
    room, wanted = max(bars - context, 0) // longest, _forecasts(fits=fits)
    if room < wanted:
        half = f", {FACTS_FROM} of which only recalibrate," if fits else ""
        told.append(
            f"{bars:,} bars have room for {room} forecasts of {longest} bars; the {wanted}{half} from which on facts "
            f"are judged by what came take {context + wanted * longest:,} bars up to the context's end; so forecasts "
            f"reach {ahead} bars here"
        )
    return told


def moves(history: Candles, first: int, last: int) -> bool:
    """Return whether the closes of the bars from ``first`` to before ``last`` move: without, there is no unit."""
    return bool(volatility(history.close[first:last]) >= STILL)


@dataclass(frozen=True)
class Stretch:
    """A history of one group, and the first of its bars that may be forecast; those before it only serve as context."""

    name: str
    asset_class: str
    frequency: str
    candles: Candles
    first: int


@dataclass(frozen=True, eq=False)
class SeriesOrigin(Origin):
    """An origin in one of many histories."""

    stretch: int  # position of its history in the list of stretches
    cluster: int  # origins of the same frequency with the same number lie in the same span of time


@dataclass(frozen=True)
class Chosen:
    """Origins in many histories, and how many could not be used."""

    origins: list[SeriesOrigin]  # in the order of stretches, oldest first
    still: int  # origins left out because context or future does not move: there is no unit to score in
    short: int  # stretches without room for one origin


def choose_origins(
    stretches: Sequence[Stretch],
    *,
    context: int,
    horizon: int,
    per_series: int | None = None,
    per_group: int | None = None,
) -> Chosen:
    """Set origins one horizon apart, the last future ending with its history, and thin them out evenly.

    Args:
        stretches: histories.
        context: bars before each origin.
        horizon: bars ahead, and from one origin to the next.
        per_series: origins of each history at most, spread evenly over its span.
        per_group: origins of each (asset class, frequency) at most, spread evenly over its histories.

    Raises:
        DataError: there is room for fewer than two.
    """
    groups: dict[tuple[str, str], list[tuple[int, int]]] = {}
    short = 0
    for place, stretch in enumerate(stretches):
        rows = _spread(_rows(stretch, context, horizon), per_series)
        short += not rows
        groups.setdefault((stretch.asset_class, stretch.frequency), []).extend((place, row) for row in rows)
    picked = sorted(pair for group in groups.values() for pair in _spread(group, per_group))
    pairs = [
        (place, row)
        for place, row in picked
        if moves(stretches[place].candles, row - context, row)
        and moves(stretches[place].candles, row - 1, row + horizon)
    ]
    if len(pairs) < 2:
        raise DataError(
            f"{len(stretches)} histories leave room for {len(pairs)} origins of {context} bars of context and "
            f"{horizon} bars of future",
            expected="at least 2",
            fix="bring longer histories, shorten --context, or move --start to an earlier date",
        )
    clusters = _clusters(stretches, pairs, horizon)
    return Chosen(
        [
            SeriesOrigin(stretches[place].candles, row, place, int(cluster))
            for (place, row), cluster in zip(pairs, clusters, strict=True)
        ],
        still=len(picked) - len(pairs),
        short=short,
    )


def _rows(stretch: Stretch, context: int, horizon: int) -> list[int]:
    first = max(stretch.first, context)
    return list(range(len(stretch.candles) - horizon, first - 1, -horizon))[::-1]


def _spread(items: Sequence[Item], most: int | None) -> list[Item]:
    """Return at most so many items, evenly spread, the last one always among them."""
    if most is None or len(items) <= most:
        return list(items)
    places = np.linspace(0, len(items) - 1, most).round().astype(int) if most > 1 else [len(items) - 1]
    return [items[place] for place in places]


def _clusters(stretches: Sequence[Stretch], pairs: Sequence[tuple[int, int]], horizon: int) -> NDArray[np.int64]:
    """Return the number of the span of time that each future begins in.

    A span lasts as long as a typical future of its frequency.
    """
    starts = np.array([stretches[place].candles.timestamps[row].value for place, row in pairs])
    ends = np.array([stretches[place].candles.timestamps[row + horizon - 1].value for place, row in pairs])
    frequencies = np.array([stretches[place].frequency for place, _ in pairs])
    out = np.zeros(len(pairs), dtype=np.int64)
    for frequency in np.unique(frequencies):
        rows = frequencies == frequency
        span = max(int(np.median(ends[rows] - starts[rows])), 1)
        out[rows] = starts[rows] // span
    return out
