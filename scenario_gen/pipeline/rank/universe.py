"""The instruments of a ranking as one panel: who belongs to it at a date, and the bars up to then.

A universe is read up to a date and knows nothing later: what a date's ranking rests on can so be read again from files
cut at that date.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.files import user_path
from scenario_gen.market.candles import Candles, Floats
from scenario_gen.market.load import load_candles
from scenario_gen.market.qlib import QlibProvider
from scenario_gen.pipeline.rank.config import RankConfig
from scenario_gen.progress import Progress

MIN_BARS = 2
SUFFIXES = (".csv", ".csv.gz", ".parquet")
SETTLED = 0.05  # of the instruments of a list that ended before the last bar: fewer say that it is a list of today


class Universe(Protocol):
    """Many histories under names, read up to a date."""

    @property
    def names(self) -> tuple[str, ...]:
        """All instruments, in order; the same whatever the date."""

    def candles(self, name: str, end: date | None) -> Candles:
        """Return an instrument's bars up to and with a date; all where it is None.

        Raises:
            DataError: they cannot be used.
        """

    def listed(self, name: str, stamps: pd.DatetimeIndex) -> NDArray[np.bool_]:
        """Return at which dates an instrument belongs to the universe [T]."""

    @property
    def note(self) -> str:
        """Where the list comes from, in words; whether it is as of each date."""

    @property
    def dated(self) -> bool:
        """Whether the list says who belonged to it at each date."""


@dataclass(frozen=True)
class Files:
    """A file per instrument."""

    paths: tuple[Path, ...]

    @cached_property
    def _by_name(self) -> dict[str, Path]:
        return {_instrument(path): path for path in self.paths}

    @property
    def names(self) -> tuple[str, ...]:
        """What follows the last double underscore of a file's name, else the name."""
        return tuple(self._by_name)

    def candles(self, name: str, end: date | None) -> Candles:
        """Load the file."""
        return load_candles(self._by_name[name], name=name, end=end)

    def listed(self, name: str, stamps: pd.DatetimeIndex) -> NDArray[np.bool_]:
        """All dates: a folder says nothing else."""
        del name
        return np.ones(len(stamps), dtype=bool)

    @property
    def note(self) -> str:
        """Where the list comes from."""
        return "a list of files, which knows no date: whoever was taken off the exchange before it was made is missing"

    @property
    def dated(self) -> bool:
        """No."""
        return False


@dataclass(frozen=True, eq=False)
class Provider:
    """A market of a Qlib provider; prices adjusted as Qlib keeps them, from the first day on."""

    provider: QlibProvider
    market: str
    first: int | None = None

    @cached_property
    def stays(self) -> pd.DataFrame:
        """Who belongs to the market, and when."""
        return self.provider.instruments(self.market)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All instruments that ever belonged to the market."""
        return tuple(sorted(self.stays["instrument"].unique()))[: self.first]

    def candles(self, name: str, end: date | None) -> Candles:
        """Read the provider's bars."""
        bars = self.provider.bars(name, end=end, adjusted=True)
        return load_candles(bars, name=name, volume="auto")

    def listed(self, name: str, stamps: pd.DatetimeIndex) -> NDArray[np.bool_]:
        """From the first to the last day of each stay."""
        own = self.stays[self.stays["instrument"] == name]
        ends = own["end"] + pd.Timedelta(days=1)  # the whole of that day
        spans = [(stamps >= start) & (stamps < end) for start, end in zip(own["start"], ends, strict=True)]
        return np.asarray(np.any(spans, axis=0))

    @property
    def note(self) -> str:
        """Where the list comes from."""
        return f"market {self.market} of a Qlib provider, with the days that each instrument belonged to it"

    @property
    def dated(self) -> bool:
        """Whether anybody left the market before the last bar of the provider."""
        last = self.provider.calendar[-1].normalize()
        left = self.stays.groupby("instrument")["end"].max() < last
        return bool(left.mean() >= SETTLED)


def open_universe(config: RankConfig) -> Universe:
    """Return the universe that a config names.

    Raises:
        DataError: there is no such folder, file, provider or market, or no file in it.
    """
    section = config.settings.universe
    if section.provider_uri is not None:
        provider = QlibProvider(config.path(section.provider_uri), section.freq)
        universe = Provider(provider, section.market, section.first)
        if not universe.names:
            raise DataError(f"the market {section.market} has no instrument", expected="instruments", fix="dump them")
        return universe
    paths = sorted(_files_of(config, section.folder, section.pattern) if section.folder else _named(config))
    names = [_instrument(path) for path in paths]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            f"two files are called {twice[0]}", expected="an instrument per file", fix="narrow universe.pattern"
        )
    return Files(tuple(paths[: section.first]))


def _files_of(config: RankConfig, folder: str, pattern: str) -> list[Path]:
    place = config.path(folder)
    if not place.is_dir():
        raise DataError(f"{place} is no folder", expected="a folder of files", fix="correct universe.folder")
    if user_path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise DataError(f"got the pattern {pattern!r}", expected="a name with *", fix="correct universe.pattern")
    paths = [path for path in place.glob(pattern) if path.is_file() and path.name.endswith(SUFFIXES)]
    if not paths:
        raise DataError(
            f"no file of {place} is like {pattern}",
            expected=f"files that end in {', '.join(SUFFIXES)}",
            fix="correct universe.pattern, such as equity_daily__*.parquet",
        )
    return paths


def _named(config: RankConfig) -> list[Path]:
    return [config.path(written) for written in config.settings.universe.files]


def _instrument(path: Path) -> str:
    stem = next((path.name.removesuffix(suffix) for suffix in SUFFIXES if path.name.endswith(suffix)), path.stem)
    return stem.rpartition("__")[2] or stem


@dataclass(frozen=True, eq=False)
class UniversePanel:
    """All instruments on one calendar: a row per date on which any of them has a bar."""

    names: tuple[str, ...]  # [N]
    dates: pd.DatetimeIndex  # [T]; days where bars are daily, else stamps; naive
    candles: tuple[Candles | None, ...]  # [N]; None where there is nothing to use
    open: Floats  # [T, N], NaN where an instrument has no bar
    close: Floats  # [T, N]
    bars: NDArray[np.int64]  # of an instrument up to and with a date [T, N]
    listed: NDArray[np.bool_]  # [T, N]
    left_out: dict[str, str]  # instruments that cannot be used, and why

    @cached_property
    def marked(self) -> Floats:
        """The last close up to each date [T, N]; NaN before an instrument's first bar."""
        return np.asarray(pd.DataFrame(self.close).ffill(), dtype=np.float64)

    @cached_property
    def day(self) -> NDArray[np.int64]:
        """Trading day of each date, counted [T]."""
        return np.asarray(self.dates.normalize().asi8, dtype=np.int64)

    def realised(self, place: int, bars: int) -> Floats:
        """Return what each instrument gained from a date's close over so many bars [N]; NaN beyond the last bar."""
        if place + bars >= len(self.dates):
            return np.full(len(self.names), np.nan)
        return np.asarray(self.marked[place + bars] / self.marked[place] - 1)

    def eligible(self, place: int, context: int) -> list[int]:
        """Return the instruments that can be ranked at a date: listed, traded on it, and with a whole context."""
        ready = self.listed[place] & np.isfinite(self.close[place]) & (self.bars[place] >= context)
        return [int(number) for number in np.flatnonzero(ready)]


def read_panel(universe: Universe, end: date | None, progress: Progress | None = None) -> UniversePanel:
    """Read all instruments up to and with a date and put them on one calendar.

    Raises:
        DataError: none can be used, or the stamps of some have a time zone and those of others none.
    """
    histories: list[Candles | None] = []
    left_out: dict[str, str] = {}
    for name in _told(universe.names, progress):
        try:
            candles = universe.candles(name, end)
            histories.append(candles if len(candles) >= MIN_BARS else None)
        except DataError as error:
            histories.append(None)
            left_out[name] = error.problem.splitlines()[0]
    usable = [candles for candles in histories if candles is not None]
    if not usable:
        reason = next(iter(left_out.values()), "no bars up to the date")
        raise DataError(f"none of {len(universe.names)} instruments can be used: {reason}", fix="correct the universe")
    stamps = _keys(usable)
    dates = pd.DatetimeIndex(sorted(set().union(*stamps)))
    shape = (len(dates), len(histories))
    opened, close = np.full(shape, np.nan), np.full(shape, np.nan)
    listed, keys = np.zeros(shape, dtype=bool), iter(stamps)
    for number, (name, history) in enumerate(zip(universe.names, histories, strict=True)):
        if history is None:
            continue
        rows = dates.get_indexer(next(keys))
        opened[rows, number], close[rows, number] = history.column("open"), history.close
        listed[:, number] = universe.listed(name, dates)
    bars = np.cumsum(np.isfinite(close), axis=0)
    return UniversePanel(universe.names, dates, tuple(histories), opened, close, bars, listed, left_out)


def _told(names: Sequence[str], progress: Progress | None) -> Iterator[str]:
    if progress is None:
        yield from names
        return
    with progress.stage("reading instruments", len(names)) as advance:
        for name in names:
            yield name
            advance(1)


def _keys(histories: Sequence[Candles]) -> list[pd.DatetimeIndex]:
    """Return the dates of each history: days where bars are a day or longer, else stamps, without their zone."""
    zones = {str(history.timestamps.tz) for history in histories}
    if len(zones) > 1:
        raise DataError(
            f"stamps are in several time zones: {', '.join(sorted(zones))}", expected="one clock for all instruments",
            fix="rank instruments of one exchange, or convert their stamps",
        )  # fmt: skip
    gaps = [np.median(np.diff(history.timestamps.as_unit("ns").asi8)) for history in histories]
    daily = float(np.median(gaps)) >= 20 * 3600 * 1e9
    bare = [history.timestamps.tz_localize(None) for history in histories]
    keys = [stamps.normalize() if daily else stamps for stamps in bare]
    for history, stamps in zip(histories, keys, strict=True):
        if not stamps.is_unique:
            raise DataError(
                f"{history.name} has several bars a day, and most others one", expected="bars of one length",
                fix="narrow universe.pattern to one frequency",
            )  # fmt: skip
    return keys
