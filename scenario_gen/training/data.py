"""Training data: series cut by time and by instrument, and batches that are a function of (seed, step).

A batch needs no worker processes and no state: step 17 draws the same windows whenever it is asked for, so a run
that was stopped goes on where it was, and no two steps can repeat each other's windows by accident of forking.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.kronos.representation import Increments, Representation
from scenario_gen.kronos.stamps import stamp_features
from scenario_gen.training.config import DataConfig, WindowConfig
from scenario_gen.training.histories import History, read_listed

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


@dataclass(frozen=True)
class Batch:
    """Windows ready for the tokenizer.

    Attributes:
        features: float32 [B, L, n_features].
        stamps: int64 [B, L, 5].
        weight: float32 [B, L - 1]; 1 where the predicted bar lies after the rows that gave the units, else 0.
    """

    features: NDArray[np.float32]
    stamps: NDArray[np.int64]
    weight: NDArray[np.float32]


def load_series(config: DataConfig, base: Path, embargo: int) -> list[Series]:
    """Read every series of the manifest, and split each by time or hold it out.

    Raises:
        DataError: folder, manifest or a file is missing, or a series breaks the Candles contract.
    """
    folder = (base / config.folder).resolve()
    histories = read_listed(folder, config.manifest, config.classes, config.holdout_symbols)
    rows = [_split(history, config, embargo) for history in histories]
    series = [s for s in rows if s is not None]
    if not series:
        raise DataError(f"{folder}: no series of the chosen classes is long enough", fix="check data.classes")
    return series


def _split(history: History, config: DataConfig, embargo: int) -> Series | None:
    """Set aside a history's last share, or all of it where the instrument is held out."""
    later = int(len(history.values) * (1 - config.holdout_share))
    held_out = history.symbol in config.holdout_symbols
    train_end = 0 if held_out else max(later - embargo, 0)
    if train_end < 2 * embargo and not held_out:
        return None  # too short to give a window and an embargo; the card counts the series that are used
    return Series(
        history.name,
        history.asset_class,
        history.frequency,
        history.values,
        history.wall_ns,
        history.has_volume,
        train_end,
        0 if held_out else later,
    )


@dataclass(frozen=True)
class WindowSampler:
    """Draw training or held-out windows, balanced over (asset class, frequency) groups."""

    series: list[Series]
    window: WindowConfig
    representation: Representation
    part: Part
    group_power: float
    seed: int

    def span(self, one: Series) -> tuple[int, int]:
        """Return the first and the last-plus-one bar of a series that this part may use."""
        if self.part == "train":
            return 0, one.train_end
        if self.part == "later":
            return (one.later_start, len(one.values)) if one.train_end else (0, 0)
        return (0, 0) if one.train_end else (0, len(one.values))

    def weights(self) -> NDArray[np.float64]:
        """Return the probability of each series [S]: group bars to ``group_power``, then by bars."""
        room = np.array(
            [max(0, (e - s) - self.window.bars) for s, e in map(self.span, self.series)], dtype=float
        )
        groups = pd.Series([f"{s.asset_class}|{s.frequency}" for s in self.series])
        total = pd.Series(room).groupby(groups).transform("sum").to_numpy()
        with np.errstate(invalid="ignore", divide="ignore"):
            weight = np.where(room > 0, room / total * total**self.group_power, 0.0)
        if weight.sum() == 0:
            raise DataError(
                f"no series has {self.window.bars} bars for the part {self.part!r}",
                fix="shorten window.bars or add longer series",
            )
        return np.asarray(weight / weight.sum())

    def batch(self, step: int, size: int) -> Batch:
        """Return the batch of this step: the same one whenever it is asked for."""
        key = np.array(
            [self.seed, step * 4 + {"train": 0, "later": 1, "unseen": 2}[self.part]], dtype=np.uint64
        )
        rng = np.random.Generator(np.random.Philox(key=key))
        picks = rng.choice(len(self.series), size=size, p=self._cached_weights())
        windows = [self._window(self.series[i], rng) for i in picks]
        return Batch(*(np.stack(parts) for parts in zip(*windows, strict=True)))

    def _cached_weights(self) -> NDArray[np.float64]:
        if "_w" not in self.__dict__:
            object.__setattr__(self, "_w", self.weights())
        cached: NDArray[np.float64] = self.__dict__["_w"]
        return cached

    def _window(
        self, one: Series, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        """Return features [L, d], stamps [L, 5] and weight [L - 1] of one random window."""
        first, stop = self.span(one)
        for _ in range(MAX_FLAT_WINDOWS):
            start = int(rng.integers(first, stop - self.window.bars + 1))
            rows = slice(start, start + self.window.bars)
            context = int(rng.integers(self.window.context_min, self.window.context_max + 1))
            fields = 5 if one.has_volume and rng.random() >= self.window.volume_dropout else 4
            values = one.values[None, rows, :fields]
            if fields == 5 and isinstance(self.representation, Increments):
                values = _floor_volume(values, context)
            try:
                scale = self.representation.fit(values[:, :context])  # units from the context part only
            except DataError:
                continue  # a stretch that never moves has no unit; draw another
            weight = (np.arange(1, self.window.bars) >= context).astype(np.float32)
            features = self.representation.encode(values, scale)[0]
            return features, stamp_features(one.wall_ns[rows]), weight
        raise DataError(
            f"{one.name}: {MAX_FLAT_WINDOWS} windows in a row have a close that never moves",
            fix="remove the series from the manifest",
        )


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


def feature_moments(
    sampler: WindowSampler, batches: int, size: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each raw feature over some training batches.

    A feature that never varies, such as the volume of series without any, gets the standard deviation 1.
    """
    rows = np.concatenate([sampler.batch(i, size).features.reshape(-1, 5) for i in range(batches)])
    std = rows.std(0)
    return tuple(map(float, rows.mean(0))), tuple(map(float, np.where(std > CONSTANT, std, 1.0)))
