"""Training data: series cut by time and by instrument, and batches that are a function of (seed, step).

A batch needs no worker processes and no state: step 17 draws the same windows whenever it is asked for, so a run
that was stopped goes on where it was, and no two steps can repeat each other's windows by accident of forking.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.files import user_path
from scenario_gen.kronos.representation import (
    DAY,
    VOLATILITY_FLOOR,
    Increments,
    Representation,
    Scale,
    mark_features,
    stamp_features,
)
from scenario_gen.market.candles import Candles
from scenario_gen.training.config import DataConfig, DataSource, VectorbtData, WindowConfig
from scenario_gen.training.histories import History, history_of, read_files, read_listed, read_provider

Download = Callable[[VectorbtData], list[Candles]]


def read_source(source: DataSource, base: Path, download: Download | None = None) -> list[History]:
    """Read the histories that a source names, cut to its days.

    Args:
        source: of a config.
        base: what relative paths of folder and files are relative to.
        download: fetches vectorbt's data.

    Raises:
        DataError: nothing is there, a file breaks the Candles contract, or a held-out symbol is not among them.
    """
    held_out = source.holdout_symbols if isinstance(source, DataConfig) else ()
    if source.folder is not None:
        folder = (base / user_path(source.folder)).resolve()
        histories = read_listed(folder, source.manifest, source.classes, held_out)
    elif source.vectorbt is not None:
        if download is None:
            raise DataError("data.vectorbt cannot be read here", fix="use scenario-gen train, or pass download=")
        histories = [history_of(candles, source.asset_class) for candles in download(source.vectorbt)]
    elif source.provider_uri is not None:
        uri = (base / user_path(source.provider_uri)).resolve()
        histories = read_provider(uri, source.instruments, source.freq, source.asset_class)
    else:
        names = [source.source] if source.source else _files(source, base)
        histories = read_files(names, source.asset_class)
    unknown = sorted(set(held_out) - {one.symbol for one in histories})
    if unknown:  # passed over, a held-out instrument with a typing error would be trained on
        raise DataError(
            f"data.holdout_symbols names {', '.join(unknown)}, which is not among the data",
            expected=f"some of {', '.join(sorted({one.symbol for one in histories})[:10])}",
            fix="mend data.holdout_symbols in the training config",
        )
    return [_cut(one, source) for one in histories]


def _files(source: DataSource, base: Path) -> list[str]:
    """Return the files in the order of the config, patterns filled in; relative ones belong to ``base``."""
    found: list[str] = []
    for name in source.files:
        path = str(base / user_path(name))
        matches = sorted(glob.glob(path)) if glob.has_magic(name) else [path]  # noqa: PTH207  # absolute patterns too
        if not matches:
            raise DataError(f"no file matches {name}", expected="CSV or Parquet files", fix="mend data.files")
        found += matches
    return list(dict.fromkeys(found))


def _cut(history: History, source: DataSource) -> History:
    """Keep the bars of the source's days."""
    first = (
        0
        if source.start is None
        else int(np.searchsorted(history.wall_ns, pd.Timestamp(source.start).as_unit("ns").value))
    )
    last = (
        len(history.wall_ns)
        if source.end is None
        else int(np.searchsorted(history.wall_ns, pd.Timestamp(source.end).as_unit("ns").value + DAY))
    )
    return replace(history, values=history.values[first:last], wall_ns=history.wall_ns[first:last])


Part = Literal["train", "later", "unseen"]
MAX_FLAT_WINDOWS = 1000
CONSTANT = 1e-6  # a raw feature that spreads less than this in its own units does not vary


@dataclass(frozen=True)
class Series:
    """One instrument at one frequency; ``train_end`` splits seen bars from later ones."""

    name: str
    asset_class: str
    frequency: str
    values: NDArray[np.float32]  # [T, 5]; volume 0 throughout where there is none
    wall_ns: NDArray[np.int64]  # [T]
    has_volume: bool
    train_end: int  # bars before it may be trained on; 0 for an instrument that is held out
    later_start: int  # first bar of the held-out stretch; the gap between is the embargo
    source: int = 0  # 0 for the data themselves, else the number of the source that is mixed in


@dataclass(frozen=True)
class Batch:
    """Windows ready for the tokenizer."""

    features: NDArray[np.float32]  # float32 [B, L, n_features]
    stamps: NDArray[np.int64]  # int64 [B, L, 5], with increments and the marks [B, L, 11]
    # float32 [B, L - 1]; 1 where the predicted bar lies after the rows that gave the units, else 0
    weight: NDArray[np.float32]


def load_series(config: DataConfig, base: Path, embargo: int, download: Download | None = None) -> list[Series]:
    """Read the histories that a config names, split each by time or hold it out, and add those to mix in.

    Args:
        config: of the data.
        base: what relative paths are relative to.
        embargo: bars between what is trained on and what is held out: a window, so that no bar is in both.
        download: fetches vectorbt's data.

    Raises:
        DataError: something is missing, breaks the Candles contract, is too short or never moves.
    """
    listed = config.folder is not None or config.provider_uri is not None
    histories = read_source(config, base, download)
    common = _common_split(config, histories)
    rows = [_split(one, config, embargo, common, listed=listed) for one in histories]
    series = [s for s in rows if s is not None]
    if not series:
        raise DataError(
            f"{config.where}: no series of the chosen classes is long enough: {least_bars(config, embargo)} bars "
            f"are needed with windows of {embargo}",
            fix="shorten window.bars, bring longer series, or check data.classes",
        )
    _refuse_unknown_emphasis(config, series)
    for number, other in enumerate(config.mix, start=1):
        series += [_mixed_in(one, embargo, number) for one in read_source(other, base, download)]
    return series


def _common_split(config: DataConfig, histories: list[History]) -> int | None:
    """Return the first stamp that is held out of all series; None where each is split by its own length.

    Instruments of a market move together: one that left early would be judged on days that others are trained on.
    """
    if config.holdout_from is not None:
        return int(pd.Timestamp(config.holdout_from).as_unit("ns").value)
    if config.provider_uri is None:
        return None
    stamps = np.unique(np.concatenate([one.wall_ns for one in histories]))
    return int(stamps[int(len(stamps) * (1 - config.holdout_share))]) if len(stamps) else None


def _refuse_unknown_emphasis(config: DataConfig, series: list[Series]) -> None:
    groups = {s.asset_class for s in series} | {f"{s.asset_class} {s.frequency}" for s in series}
    if unknown := sorted(set(config.emphasis) - groups):  # passed over, a typing error would change the balance
        raise DataError(
            f"data.emphasis names {', '.join(unknown)}, which no series is of",
            expected=f"some of {', '.join(sorted(groups))}",
            fix="mend data.emphasis in the training config",
        )


def least_bars(config: DataConfig, embargo: int) -> int:
    """Return how many bars a series needs: two windows to train on, an embargo, and the share held out."""
    return int(np.ceil(3 * embargo / (1 - config.holdout_share)))


def _mixed_in(history: History, embargo: int, source: int) -> Series:
    """Return a history of which everything is trained on, in its source's share of the samples."""
    bars = len(history.values)
    if bars <= embargo:
        raise DataError(f"{history.name} has {bars} bars", expected=f"more than a window, {embargo}")
    _require_movement(history, 0, bars)
    return _series(history, bars, bars, source)


def _split(history: History, config: DataConfig, embargo: int, common: int | None, *, listed: bool) -> Series | None:
    """Set aside a history's last share or what comes from a stamp on, or all of it where the instrument is held out.

    A series that is too short is left out where a manifest lists many, and an error where it was named itself.
    """
    bars = len(history.values)
    later = int(bars * (1 - config.holdout_share) if common is None else np.searchsorted(history.wall_ns, common))
    held_out = history.symbol in config.holdout_symbols
    train_end = 0 if held_out else bars if later == bars else max(later - embargo, 0)  # all, of what ended before
    if train_end < 2 * embargo and not held_out:
        if listed and config.short == "train" and bars > embargo and np.ptp(history.values[:, 3]) > 0:
            return _series(history, bars, bars)  # nothing of it is held out
        if listed:
            return None  # too short to give a window and an embargo; the card counts the series that are used
        share = f"{least_bars(config, embargo)} with windows of {embargo} bars, {config.holdout_share:.0%} held out"
        raise DataError(
            f"{history.name} has {bars} bars, {later} of them before what is held out",
            expected=f"at least {share if common is None else f'{3 * embargo} before it'}",
            fix="shorten window.bars, or bring a longer history",
        )
    _require_movement(history, 0, train_end or bars)
    if not held_out:
        _require_movement(history, later, bars)
    return _series(history, train_end, 0 if held_out else later)


def _require_movement(history: History, first: int, stop: int) -> None:
    close = history.values[first:stop, 3]
    if stop - first > 1 and close.min() == close.max():
        raise DataError(
            f"{history.name}: the close never moves from row {first + 1} to row {stop}",
            expected="prices that change: their volatility is the unit of every sample",
            fix="leave the series out, or cut the stretch away",
        )


def _series(history: History, train_end: int, later: int, source: int = 0) -> Series:
    return Series(
        history.name,
        history.asset_class,
        history.frequency,
        history.values,
        history.wall_ns,
        history.has_volume,
        train_end,
        later,
        source,
    )


@dataclass(frozen=True)
class WindowSampler:
    """Draw training or held-out windows, balanced over (asset class, frequency) groups."""

    series: list[Series]  # to draw from
    window: WindowConfig  # bars of a sample and of its context
    representation: Representation  # candles to features
    part: Part  # which bars of the series
    group_power: float  # weight of a group is its bars to this power
    seed: int  # of the draws
    # of the samples, by the number of the source; sources that are mixed in are never held out
    shares: tuple[float, ...] = (1.0,)
    rank: int = 0  # of the process among those that train together; each draws windows of its own
    ranks: int = 1  # processes that train together
    # factors of that weight, by class or by class and frequency
    emphasis: Mapping[str, float] = field(default_factory=dict)

    def span(self, series: Series) -> tuple[int, int]:
        """Return the first and the last-plus-one bar of a series that this part may use."""
        if self.part == "train":
            return 0, series.train_end
        if self.part == "later":
            return (series.later_start, len(series.values)) if series.train_end else (0, 0)
        return (0, 0) if series.train_end else (0, len(series.values))

    def weights(self) -> NDArray[np.float64]:
        """Return the probability of each series [S]: its source's share, group bars to ``group_power``, then bars."""
        room = np.array([max(0, (e - s) - self.window.bars) for s, e in map(self.span, self.series)], dtype=float)
        weight = np.zeros(len(room))
        sources = np.array([one.source for one in self.series])
        for source, share in enumerate(self.shares if self.part == "train" else (1.0,)):
            mine = self._balanced(np.where(sources == source, room, 0.0))
            if mine.sum() > 0:
                weight += mine * (share / mine.sum() if len(self.shares) > 1 else 1.0)
        if weight.sum() == 0:
            raise DataError(
                f"no series has {self.window.bars} bars for the part {self.part!r}",
                fix="shorten window.bars or add longer series",
            )
        return np.asarray(weight / weight.sum())

    def _balanced(self, room: NDArray[np.float64]) -> NDArray[np.float64]:
        groups = pd.Series([f"{s.asset_class}|{s.frequency}" for s in self.series])
        total = pd.Series(room).groupby(groups).transform("sum").to_numpy()
        with np.errstate(invalid="ignore", divide="ignore"):
            weight = np.where(room > 0, room / total * total**self.group_power, 0.0)
        return weight * np.array([self._factor(one) for one in self.series])

    def _factor(self, series: Series) -> float:
        named = (series.asset_class, f"{series.asset_class} {series.frequency}")
        return float(np.prod([self.emphasis.get(name, 1.0) for name in named])) if self.part == "train" else 1.0

    def batch(self, step: int, size: int) -> Batch:
        """Return this rank's share of the batch of this step: the same one whenever it is asked for.

        Every step and rank draws from a stream of its own, so that no batch is drawn twice.
        """
        turn = step * self.ranks + self.rank
        key = np.array([self.seed, turn * 4 + {"train": 0, "later": 1, "unseen": 2}[self.part]], dtype=np.uint64)
        rng = np.random.Generator(np.random.Philox(key=key))
        picks = rng.choice(len(self.series), size=size // self.ranks, p=self._cached_weights())
        windows = [self._window(self.series[i], rng) for i in picks]
        return Batch(*(np.stack(parts) for parts in zip(*windows, strict=True)))

    def _cached_weights(self) -> NDArray[np.float64]:
        if "_w" not in self.__dict__:
            object.__setattr__(self, "_w", self.weights())
        cached: NDArray[np.float64] = self.__dict__["_w"]
        return cached

    def _window(
        self, series: Series, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        """Return features [L, d], stamps [L, 5 or 11] and weight [L - 1] of one random window."""
        first, stop = self.span(series)
        for _ in range(MAX_FLAT_WINDOWS):
            bars, wall_ns = self._draw_bars(series, first, stop, rng)
            context = int(rng.integers(self.window.context_min, self.window.context_max + 1))
            fields = 5 if series.has_volume and rng.random() >= self.window.volume_dropout else 4
            values = bars[None, :, :fields]
            if fields == 5 and isinstance(self.representation, Increments):
                values = _floor_volume(values, context)
            if not _moves(values[0, :context, 3]):
                continue  # a stretch that never moves has no unit; draw another
            scale = self.representation.fit(values[:, :context])  # units from the context part only
            weight = (np.arange(1, self.window.bars) >= context).astype(np.float32)
            features = self.representation.encode(values, scale)[0]
            return features, self._stamps(wall_ns, scale), weight
        raise DataError(
            f"{series.name}: {MAX_FLAT_WINDOWS} windows in a row have a close that never moves",
            fix="remove the series from the manifest",
        )

    def _draw_bars(
        self, series: Series, first: int, stop: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return bars [L, 5] and times [L] from a random place, a share of the training ones in coarser bars."""
        bars, joined = self.window.bars, 1
        if self.part == "train" and self.window.coarser_share and rng.random() < self.window.coarser_share:
            joined = int(rng.choice(self.window.coarser))
        length = bars if joined == 1 else joined * (bars + 2)
        if length > stop - first:
            joined, length = 1, bars
        start = int(rng.integers(first, stop - length + 1))
        rows = slice(start, start + length)
        if joined == 1:
            return series.values[rows], series.wall_ns[rows]
        return coarser_bars(series.values[rows], series.wall_ns[rows], joined, int(rng.integers(joined)), bars)

    def _stamps(self, wall_ns: NDArray[np.int64], scale: Scale) -> NDArray[np.int64]:
        """Return stamps [L, 5] and, with increments, the marks beside them [L, 11]: a model takes what it knows."""
        stamps = stamp_features(wall_ns)
        if not isinstance(self.representation, Increments):
            return stamps
        return np.concatenate((stamps, mark_features(wall_ns, scale.spread[:, 0])[0]), axis=-1)


def coarser_bars(
    values: NDArray[np.float32], wall_ns: NDArray[np.int64], joined: int, phase: int, bars: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Join bars to coarser ones and return the first whole ones, [L, 5] and the times [L] of their first bars.

    Bars of less than a day are joined by the clock, so that none spans a night; longer ones by number.

    Args:
        values: bars [T, 5], at least ``joined`` * (``bars`` + 2).
        wall_ns: their times [T].
        joined: bars that make one.
        phase: bars by which the borders are moved.
        bars: how many to return.
    """
    usual = int(np.median(np.diff(wall_ns)))
    key = (wall_ns + phase * usual) // (joined * usual) if usual < DAY else (np.arange(len(wall_ns)) + phase) // joined
    starts = np.flatnonzero(np.diff(key)) + 1  # the first bar may be a part of one: it is left out
    out = np.stack(
        (
            values[starts, 0],
            np.maximum.reduceat(values[:, 1], starts),
            np.minimum.reduceat(values[:, 2], starts),
            values[np.append(starts[1:], len(values)) - 1, 3],
            np.add.reduceat(values[:, 4], starts),
        ),
        axis=-1,
    )
    return out[:bars], wall_ns[starts[:bars]]


def _moves(close: NDArray[np.float32]) -> bool:
    steps = np.diff(np.log(close.astype(np.float64)))
    return bool(np.sqrt(np.mean(steps**2)) >= VOLATILITY_FLOOR)


def _floor_volume(values: NDArray[np.float32], context: int) -> NDArray[np.float32]:
    """Replace zero volume by a hundredth of the context's smallest positive volume, by 1 if it has none.

    The representation does so by the smallest volume of the bars that it is given; given the whole window, it
    would let later bars decide about the context's features, which no sampler can know.
    """
    volume = values[..., 4]
    positive = volume[:, :context][volume[:, :context] > 0]
    floor = positive.min() / 100 if len(positive) else np.float32(1.0)
    out = values.copy()
    out[..., 4] = np.where(volume > 0, volume, floor)
    return out


def feature_moments(sampler: WindowSampler, batches: int, size: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each raw feature over some training batches.

    A feature that never varies, such as the volume of series without any, gets the standard deviation 1.
    """
    rows = np.concatenate([sampler.batch(i, size).features.reshape(-1, 5) for i in range(batches)])
    std = rows.std(0)
    return tuple(map(float, rows.mean(0))), tuple(map(float, np.where(std > CONSTANT, std, 1.0)))
