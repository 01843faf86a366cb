"""The log of live forecasts: what was forecast and what came, one SQLite file, written by one process at a time.

Owns the tables and what may enter them: a bar once, by its stamp, as it first came; a forecast once per anchor and
generator, and only from the latest bar, so that nothing can be forecast that is known already; what a strategy promised
from there likewise, and its realised equity at each bar once, as it first came. Judges nothing.

Stamps are kept as nanoseconds since 1970 and as text; naive ones are the exchange's local time, as in ``Candles``.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError, StoreError
from scenario_gen.files import disk_trouble, locked
from scenario_gen.finding import Label
from scenario_gen.market.candles import Candles

Floats = NDArray[np.float64]

SCHEMA, READABLE = 2, ("1", "2")  # a log of schema 1 has no strategies; it is raised when it is written in
TABLES = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS bars (
    at INTEGER PRIMARY KEY, stamp TEXT NOT NULL, open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL,
    close REAL NOT NULL, volume REAL, entered TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS revisions (
    at INTEGER NOT NULL, field TEXT NOT NULL, came REAL, kept REAL, entered TEXT NOT NULL, PRIMARY KEY (at, field)
);
CREATE TABLE IF NOT EXISTS generators (sha TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS forecasts (
    at INTEGER NOT NULL REFERENCES bars (at), generator TEXT NOT NULL REFERENCES generators (sha),
    seed INTEGER NOT NULL, made TEXT NOT NULL, anchor REAL NOT NULL, ahead TEXT NOT NULL, PRIMARY KEY (at, generator)
);
CREATE TABLE IF NOT EXISTS ensembles (
    at INTEGER NOT NULL, generator TEXT NOT NULL, number TEXT NOT NULL, members BLOB NOT NULL,
    PRIMARY KEY (at, generator, number), FOREIGN KEY (at, generator) REFERENCES forecasts (at, generator)
);
CREATE TABLE IF NOT EXISTS strategies (
    sha TEXT PRIMARY KEY, name TEXT NOT NULL, probed TEXT NOT NULL, words TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS promises (
    at INTEGER NOT NULL, generator TEXT NOT NULL, strategy TEXT NOT NULL REFERENCES strategies (sha),
    paths INTEGER NOT NULL, growth BLOB NOT NULL, PRIMARY KEY (at, generator, strategy),
    FOREIGN KEY (at, generator) REFERENCES forecasts (at, generator)
);
CREATE TABLE IF NOT EXISTS realised (
    at INTEGER NOT NULL, generator TEXT NOT NULL, strategy TEXT NOT NULL, bar INTEGER NOT NULL, growth REAL NOT NULL,
    PRIMARY KEY (at, generator, strategy, bar),
    FOREIGN KEY (at, generator, strategy) REFERENCES promises (at, generator, strategy)
);
"""
COLUMNS = ("open", "high", "low", "close", "volume")
SAME = 1e-9  # relative: what differs by less came again as it was
BUSY = 30.0  # seconds that a reader waits for a writer


@dataclass(frozen=True)
class Taken:
    """What entered with new bars."""

    entered: int  # bars that were not in the log
    revised: list[str]  # bars that were, with other values, in words; the first values stay


@dataclass(frozen=True, eq=False)
class LoggedForecast:
    """One generator's forecast from one bar."""

    at: int  # nanoseconds of the bar it follows
    generator: str  # sha of what decides its paths
    seed: int
    made: str  # when, UTC
    anchor: float  # close of the bar
    ahead: NDArray[np.int64]  # stamps of the bars to come [bar], nanoseconds
    members: Mapping[str, Floats]  # by number, its value on each path [path]


@dataclass(frozen=True)
class LoggedStrategy:
    """A strategy that is watched."""

    sha: str  # of what decides its orders: code, parameters and broker
    name: str
    probed: Label  # of the probe for look-ahead on the paths of its first promise
    words: str  # of the probe


@dataclass(frozen=True, eq=False)
class LoggedPromise:
    """What one forecast promised of a strategy, and what came of it."""

    at: int  # nanoseconds of the bar it follows
    ahead: NDArray[np.int64]  # stamps of the bars to come [bar], nanoseconds
    growth: Floats  # equity on each path as a multiple of the start [path, bar + 1]
    realised: Floats  # the same of the bars that came, as it first was [k + 1]


@dataclass(frozen=True, eq=False)
class LoggedBars:
    """The bars of a log, oldest first."""

    at: NDArray[np.int64]  # nanoseconds [T]
    stamps: Sequence[str]  # as text [T]
    close: Floats  # [T]

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True)
class ForecastLog:
    """An open log."""

    path: Path
    connection: sqlite3.Connection

    # --- What enters ---

    def take(self, bars: Candles, now: str) -> Taken:
        """Enter the bars that the log lacks; say which came again with other values.

        Raises:
            DataError: the bars are of another instrument or clock than those of the log.
        """
        self._same_kind(bars)
        at = _nanoseconds(bars.timestamps)
        columns = [bars.column(name) if name in bars.fields else None for name in COLUMNS]
        known = {row[0]: row[1:] for row in self._rows("SELECT at, open, high, low, close, volume FROM bars")}
        new, revised = [], []
        for row, stamp in enumerate(at.tolist()):
            values = tuple(None if column is None else float(column[row]) for column in columns)
            if stamp not in known:
                new.append((stamp, bars.timestamps[row].isoformat(), *values, now))
                continue
            for name, came, kept in zip(COLUMNS, values, known[stamp], strict=True):
                if came is not None and kept is not None and abs(came - kept) > SAME * max(abs(kept), 1e-12):
                    revised.append((stamp, name, came, kept, now))
        with self.connection:
            self.connection.executemany("INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?, ?)", new)
            before = self.connection.total_changes
            self.connection.executemany("INSERT OR IGNORE INTO revisions VALUES (?, ?, ?, ?, ?)", revised)
            fresh = self.connection.total_changes > before
        words = [f"{_stamp(at_)}: {name} {kept:g} came as {came:g}" for at_, name, came, kept, _ in revised]
        return Taken(len(new), words if fresh else [])

    def enter(self, forecasts: Sequence[LoggedForecast], names: Mapping[str, tuple[str, str]]) -> bool:
        """Enter forecasts from the latest bar, all or none; return whether they are new.

        Args:
            forecasts: of one bar; where the log has the first of them, none is entered.
            names: words and role (ours or baseline) of each generator, by its sha.

        Raises:
            StoreError: the log has later bars than the one that is forecast from: what comes is known already.
        """
        at = forecasts[0].at
        (latest,) = self.connection.execute("SELECT max(at) FROM bars").fetchone()
        if latest != at:
            raise StoreError(
                f"{self.path} has bars up to {_stamp(latest)}, and a forecast from {_stamp(at)} was to enter it",
                expected="a forecast from the latest bar: of others it is known what came",
                fix="let the source bring its bars up to date; a log holds one instrument and one bar length",
            )
        there = "SELECT 1 FROM forecasts WHERE at = ? AND generator = ?"
        if self.connection.execute(there, (at, forecasts[0].generator)).fetchone():
            return False
        with self.connection:
            for each in forecasts:
                words, role = names[each.generator]
                self.connection.execute(
                    "INSERT OR REPLACE INTO generators VALUES (?, ?, coalesce("
                    "(SELECT role FROM generators WHERE sha = ? AND role = 'ours'), ?))",
                    (each.generator, words, each.generator, role),
                )
                ahead = json.dumps(each.ahead.tolist())
                row = (each.at, each.generator, each.seed, each.made, each.anchor, ahead)
                self.connection.execute("INSERT OR IGNORE INTO forecasts VALUES (?, ?, ?, ?, ?, ?)", row)
                self.connection.executemany(
                    "INSERT OR IGNORE INTO ensembles VALUES (?, ?, ?, ?)",
                    [(each.at, each.generator, name, _blob(members)) for name, members in each.members.items()],
                )
        return True

    def enter_promise(self, at: int, generator: str, strategy: LoggedStrategy, growth: Floats) -> None:
        """Enter what a forecast that is there promises of a strategy, [path, bar + 1]; one that is there stays."""
        columns = (strategy.sha, strategy.name, strategy.probed, strategy.words)
        blob = zlib.compress(_blob(growth))
        with self.connection:
            self.connection.execute("INSERT OR REPLACE INTO strategies VALUES (?, ?, ?, ?)", columns)
            row = (at, generator, strategy.sha, len(growth), blob)
            self.connection.execute("INSERT OR IGNORE INTO promises VALUES (?, ?, ?, ?, ?)", row)

    def enter_realised(self, at: int, generator: str, strategy: str, growth: Floats) -> None:
        """Enter what came of a promise at its bars from 0 on, [k + 1]; bars that are there stay as they are."""
        rows = [(at, generator, strategy, bar, float(value)) for bar, value in enumerate(growth)]
        with self.connection:
            self.connection.executemany("INSERT OR IGNORE INTO realised VALUES (?, ?, ?, ?, ?)", rows)

    def note_watched(self, strategies: Sequence[str]) -> None:
        """Note which strategies are watched from now on, by their sha."""
        with self.connection:
            self.connection.execute("INSERT OR REPLACE INTO about VALUES ('watched', ?)", (json.dumps([*strategies]),))

    def _same_kind(self, bars: Candles) -> None:
        """Refuse bars of another instrument, or with stamps of another sort; note those of the first."""
        clock = "naive" if bars.timestamps.tz is None else "aware"
        for key, value in (("instrument", bars.name), ("clock", clock)):
            kept = self.about.get(key)
            if kept is None:
                with self.connection:
                    self.connection.execute("INSERT INTO about VALUES (?, ?)", (key, value))
            elif kept != value:
                raise DataError(
                    f"{self.path} is a log of {kept} ({key}), and the bars that came are {value}",
                    expected="one instrument and one clock in a log",
                    fix="give the config another name or folder, so that it begins a log of its own",
                )

    # --- What is asked ---

    @property
    def about(self) -> dict[str, str]:
        """What the log says of itself: schema, instrument, clock."""
        return dict(self._rows("SELECT key, value FROM about"))

    def bars(self) -> LoggedBars:
        """Return all bars, oldest first."""
        rows = list(self._rows("SELECT at, stamp, close FROM bars ORDER BY at"))
        at, close = (np.array([row[n] for row in rows]) for n in (0, 2))
        return LoggedBars(at.astype(np.int64), [row[1] for row in rows], close.astype(np.float64))

    def candles(self, like: Candles) -> Candles:
        """Return all bars, oldest first, in the zone and with the calendar of others; volume where every bar has it."""
        rows = list(self._rows("SELECT at, open, high, low, close, volume FROM bars ORDER BY at"))
        table = np.array([row[1:] for row in rows], dtype=np.float64)
        stamps = pd.DatetimeIndex(np.array([row[0] for row in rows], np.int64).view("datetime64[ns]"))
        zone = like.timestamps.tz
        stamps = stamps if zone is None else stamps.tz_localize("UTC").tz_convert(zone)
        width = len(COLUMNS) - bool(np.isnan(table[:, -1]).any())
        return replace(like, timestamps=stamps, values=table[:, :width], fields=COLUMNS[:width], flags=())

    def strategies(self, shas: Sequence[str] | None = None) -> list[LoggedStrategy]:
        """Return strategies by their sha, in that order; without any, all that ever were watched."""
        known = {row[0]: LoggedStrategy(*row) for row in self._rows("SELECT sha, name, probed, words FROM strategies")}
        return [known[sha] for sha in (known if shas is None else shas) if sha in known]

    def watched(self) -> list[LoggedStrategy]:
        """Return the strategies that the last step watched; none of a log of schema 1."""
        shas = json.loads(self.about.get("watched", "[]"))
        return self.strategies(shas) if shas else []

    def promises(self, generator: str, strategy: str) -> list[LoggedPromise]:
        """Return what forecasts of a generator promised of a strategy, oldest first."""
        realised: dict[int, list[float]] = {}
        query = "SELECT at, growth FROM realised WHERE generator = ? AND strategy = ? ORDER BY at, bar"
        for at, growth in self._rows(query, generator, strategy):
            realised.setdefault(at, []).append(growth)
        rows = self._rows(
            "SELECT at, paths, growth, ahead FROM promises JOIN forecasts USING (at, generator) "
            "WHERE generator = ? AND strategy = ? ORDER BY at",
            generator,
            strategy,
        )
        return [
            LoggedPromise(
                at, np.array(json.loads(ahead), np.int64), _table(blob, paths), np.array(realised.get(at, [1]))
            )
            for at, paths, blob, ahead in rows
        ]

    def revised(self) -> int:
        """Return how many bars came again with other values."""
        return int(self.connection.execute("SELECT count(DISTINCT at) FROM revisions").fetchone()[0])

    def generators(self, role: str) -> dict[str, str]:
        """Return the words of the generators of a role by their sha, the one that forecast last first."""
        rows = self._rows(
            "SELECT g.sha, g.name FROM generators g JOIN forecasts f ON f.generator = g.sha WHERE g.role = ? "
            "GROUP BY g.sha ORDER BY max(f.at) DESC, max(f.rowid) DESC",
            role,
        )
        return dict(rows)

    def forecasts(self, generator: str) -> list[LoggedForecast]:
        """Return the forecasts of a generator, oldest first."""
        members: dict[int, dict[str, Floats]] = {}
        for at, number, blob in self._rows("SELECT at, number, members FROM ensembles WHERE generator = ?", generator):
            members.setdefault(at, {})[number] = np.frombuffer(blob, dtype="<f4").astype(np.float64)
        rows = self._rows(
            "SELECT at, seed, made, anchor, ahead FROM forecasts WHERE generator = ? ORDER BY at", generator
        )
        return [
            LoggedForecast(at, generator, seed, made, anchor, np.array(json.loads(ahead), np.int64), members[at])
            for at, seed, made, anchor, ahead in rows
        ]

    def _rows(self, query: str, *values: Any) -> Iterator[Any]:
        yield from self.connection.execute(query, values)


@contextmanager
def writing(path: Path) -> Iterator[ForecastLog]:
    """Open a log to write in, made where it is missing; nobody else writes in its folder until the end of the block.

    Raises:
        StoreError: another process writes there, the disk refuses, or the file is no log.
    """
    with locked(path.parent, "a live forecast", "give its config another folder"), _open(path, "rwc") as log:
        if log.connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone():
            _refuse_schema(log, log.about.get("schema", str(SCHEMA)))  # none where the first step was killed at once
        log.connection.executescript("PRAGMA synchronous = FULL;" + TABLES)
        with log.connection:
            log.connection.execute("INSERT OR REPLACE INTO about VALUES ('schema', ?)", (str(SCHEMA),))
        yield log


@contextmanager
def reading_log(path: Path) -> Iterator[ForecastLog]:
    """Open a log to read, while another process may write.

    Raises:
        StoreError: there is none, or the file is no log.
    """
    if not path.is_file():
        raise StoreError(
            f"{path} does not exist", expected="a log of live forecasts", fix="scenario-gen live CONFIG makes one"
        )
    with _open(path, "ro") as log:
        _refuse_schema(log, log.about.get("schema"))
        yield log


def _refuse_schema(log: ForecastLog, schema: str | None) -> None:
    if schema not in READABLE:
        raise _no_log(log.path, f"its schema is {schema}, this version reads {' and '.join(READABLE)}")


@contextmanager
def _open(path: Path, mode: str) -> Iterator[ForecastLog]:
    with disk_trouble("open", path):
        address = f"{path.absolute().as_uri()}?mode={mode}"
        try:
            connection = sqlite3.connect(address, uri=True, timeout=BUSY)
        except sqlite3.Error as error:
            raise _no_log(path, str(error)) from error
        try:
            yield ForecastLog(path, connection)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):  # a defect of ours, not of the file
            raise
        except sqlite3.DatabaseError as error:
            raise _no_log(path, str(error)) from error
        finally:
            connection.close()


def _no_log(path: Path, why: str) -> StoreError:
    return StoreError(
        f"{path} cannot be used as a log: {why}",
        expected="a log that scenario-gen live wrote, on a disk with room",
        fix="name the right file; or move it away, and a new log begins",
    )


def _nanoseconds(stamps: pd.DatetimeIndex) -> NDArray[np.int64]:
    return np.asarray(stamps.as_unit("ns").asi8, dtype=np.int64)


def _stamp(at: int | None) -> str:
    return "no bar" if at is None else pd.Timestamp(at).isoformat()


def _blob(members: Floats) -> bytes:
    return np.asarray(members, dtype="<f4").tobytes()


def _table(blob: bytes, rows: int) -> Floats:
    return np.frombuffer(zlib.decompress(blob), dtype="<f4").astype(np.float64).reshape(rows, -1)
