"""Panel: paths of several assets over the same bars, and its pairs of assets.

Owns what belongs together. Knows no facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenario_gen.checks.facts.bars import Bars
from scenario_gen.checks.spread import spread_rows

MOST_PAIRS = 50  # of more assets this many pairs, evenly chosen, are measured


@dataclass(frozen=True, eq=False)
class Panel:
    """Paths of several assets: path k of every asset is the same future.

    Attributes:
        assets: names, two or more.
        bars: one per asset, all of one shape [path, bar] and over the same stamps.
    """

    assets: tuple[str, ...]
    bars: tuple[Bars, ...]

    def __post_init__(self) -> None:
        shapes = {bars.close.shape for bars in self.bars}
        if len(self.assets) != len(self.bars) or len(self.bars) < 2 or len(shapes) > 1:
            raise ValueError(f"{len(self.assets)} names for {len(self.bars)} assets with shapes {shapes}")

    def __len__(self) -> int:
        return len(self.bars[0])

    @property
    def length(self) -> int:
        """Bars per path."""
        return self.bars[0].length

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Paths whose prices are all finite and positive in every asset, [path]."""
        return np.asarray(np.logical_and.reduce([bars.valid for bars in self.bars]))

    @property
    def has_volume(self) -> bool:
        """Whether every asset has a volume."""
        return all(bars.volume is not None for bars in self.bars)

    def select(self, rows: NDArray[Any] | slice) -> Panel:
        """Return the paths at these positions (or where a mask is True), in this order."""
        return Panel(self.assets, tuple(bars.select(rows) for bars in self.bars))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of assets that are measured: all, or 50 evenly chosen ones of more than ten assets."""
        every = list(combinations(range(len(self.bars)), 2))
        return [every[at] for at in spread_rows(len(every), MOST_PAIRS)]
