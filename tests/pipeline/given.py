"""Paths as an outsider would hand them over: tables made from real and broken windows of the NASDAQ."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from scenario_gen.market import Candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.controls import Relative, negative_control
from scenario_gen.realism.gauge import windows
from scenario_gen.realism.sample import concatenate

LENGTH, BLOCK = 60, 250
FIELDS = ("open", "high", "low", "close", "volume")


def table(bars: BarArrays, stamps: np.ndarray, anchor: np.ndarray | float) -> pd.DataFrame:
    """Return paths as rows, chained onto their anchors [path]; stamps are [bar] or [path, bar]."""
    anchors = np.broadcast_to(np.asarray(anchor, dtype=np.float64), (len(bars),))
    chained = Relative.of(bars).onto(replace(bars, anchor_close=anchors))
    columns = {
        "path": np.repeat(np.arange(len(bars)), bars.length),
        "timestamp": np.broadcast_to(stamps, bars.close.shape).ravel(),
    }
    fields = FIELDS if chained.volume is not None else FIELDS[:4]
    return pd.DataFrame(columns | {name: getattr(chained, name).ravel() for name in fields})


@dataclass(frozen=True, eq=False)
class OneContext:
    """A history, and real windows from its past set behind one of its bars."""

    history: Candles
    end: str
    windows: BarArrays

    @classmethod
    def of(cls, history: Candles, end: str) -> OneContext:
        return cls(history, end, windows(history.split_at(end)[0], LENGTH, 3).bars)

    def table(self, bars: BarArrays) -> pd.DataFrame:
        before, after = self.history.split_at(self.end)
        return table(bars, after.timestamps[: bars.length].to_numpy(), float(before.close[-1]))

    def copies(self, count: int, seed: int = 0) -> pd.DataFrame:
        """Windows of the history, each once: a generator that has learnt it by heart."""
        rows = np.random.default_rng(seed).choice(len(self.windows), size=count, replace=False)
        return self.table(self.windows.select(rows))

    def control(self, name: str, count: int = 150, seed: int = 0) -> pd.DataFrame:
        return self.table(negative_control(name, self.windows, count, np.random.default_rng(seed)))


@dataclass(frozen=True, eq=False)
class ManyContexts:
    """Half of a history's blocks chained into a reference, and windows of the other half behind ten of its bars.

    Held-out real bars without a change of regime between the two sides: blocks are dealt at random.
    """

    reference: Candles
    ends: np.ndarray
    held_out: list[BarArrays]

    @classmethod
    def of(cls, history: Candles, seed: int) -> ManyContexts:
        order = np.random.default_rng(seed).permutation(20)
        blocks = [
            windows(history.rows(k * BLOCK, (k + 1) * BLOCK + 1), BLOCK, 1, tick=0.0).bars for k in sorted(order[:10])
        ]
        flat = Relative.of(concatenate(blocks)).flat()
        row = Relative(*(None if x is None else x[None] for x in vars(flat).values()))
        blank = np.ones((1, 10 * BLOCK))
        chained = row.onto(BarArrays(blank, blank, blank, blank, blank, np.array([1000.0])))
        values = np.column_stack([getattr(chained, name)[0] for name in FIELDS])
        first = np.array([[1000.0, 1000.0, 1000.0, 1000.0, values[0, 4]]])
        stamps = pd.bdate_range("2000-01-03", periods=10 * BLOCK + 1)
        held_out = [
            windows(history.rows(k * BLOCK, (k + 1) * BLOCK + 1), LENGTH, LENGTH // 4, tick=0.0).bars
            for k in sorted(order[10:])
        ]
        ends = (np.arange(10) + 1) * BLOCK + 1  # bars before each context's paths
        return cls(Candles(stamps, np.concatenate([first, values]), FIELDS, "dealt NASDAQ"), ends, held_out)

    @property
    def stamps(self) -> np.ndarray:
        """Stamps of the paths of each context, [context, bar]."""
        days = pd.bdate_range(self.reference.timestamps[0], periods=len(self.reference) + LENGTH).to_numpy()
        return days[self.ends[:, None] + np.arange(LENGTH)]

    def real(self) -> pd.DataFrame:
        """Held-out windows, those of one block behind one bar of the reference."""
        return self.table(self.held_out)

    def control(self, name: str, seed: int = 0) -> pd.DataFrame:
        """A broken copy of the reference, as many paths behind the same bars."""
        known = windows(self.reference, LENGTH, 3, tick=0.0).bars
        rng = np.random.default_rng(seed)
        return self.table([negative_control(name, known, len(part), rng) for part in self.held_out])

    def table(self, parts: list[BarArrays]) -> pd.DataFrame:
        counts = [len(part) for part in parts]
        anchors = np.repeat(self.reference.close[self.ends - 1], counts)
        return table(concatenate(parts), np.repeat(self.stamps, counts, axis=0), anchors)
