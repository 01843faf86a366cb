"""From a data section to candles: a file, a built-in history, or a source's bars, cut where ``as_of`` says.

Owns which reader opens which place of a data section. Splits nothing: where a context ends is said elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from scenario_gen.market.candles import Candles
from scenario_gen.market.load import load_candles
from scenario_gen.market.read import RawTable
from scenario_gen.market.section import PLACES, Data
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.reading.words import find_file


@dataclass(frozen=True)
class PlacedBars:
    """Bars as a place has them, before they are judged."""

    bars: RawTable | Path | str  # as ``load_candles`` takes them
    calendar: str | None = None  # what they keep to, where the place knows
    adjusted: bool | None = None  # whether they are to be adjusted; None: as the section says


Reader: TypeAlias = Callable[[Data, Path, Progress], PlacedBars]


def candles_of(data: Data, base: Path, progress: Progress | None = None) -> Candles:
    """Return all bars of a data section from ``start`` to ``as_of``; ``end`` splits them, and is not looked at here.

    Args:
        data: of a spec.
        base: the spec's folder, which files are relative to.
        progress: hears of bars that are fetched, or were kept.

    Raises:
        DataError: the bars cannot be had, or break the Candles contract.
    """
    place = next(place.key for place in PLACES if getattr(data, place.key) is not None)
    there = READERS[place](data, base, progress or SilentProgress())
    return load_candles(
        there.bars,
        name=data.name,
        calendar=data.calendar if data.calendar is not None else there.calendar,
        timezone=data.timezone,
        adjusted=data.adjusted if there.adjusted is None else there.adjusted,
        start=data.start,
        volume=data.volume,
        symbol=None if place == "source" else data.symbol,
        partial=data.partial,
    )


def _file(data: Data, base: Path, progress: Progress) -> PlacedBars:
    del progress
    return PlacedBars(find_file(str(data.file), base) or Path(str(data.file)))


def _source(data: Data, base: Path, progress: Progress) -> PlacedBars:
    del base, progress
    return PlacedBars(str(data.source))


# How each of ``section.PLACES`` is opened.
READERS: Mapping[str, Reader] = {"source": _source, "file": _file}
