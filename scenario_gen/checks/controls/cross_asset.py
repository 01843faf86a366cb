"""Two broken copies of a panel: assets that know nothing of each other, and assets one bar apart.

Each asset alone stays as real as it was: only facts of several assets can find the fault.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scenario_gen.checks.controls.relative import Relative
from scenario_gen.checks.facts import Bars, Panel

Control = Callable[[Panel, int, np.random.Generator], Panel]


def cross_control(name: str, windows: Panel, paths: int, rng: np.random.Generator) -> Panel:
    """Return ``paths`` paths of the named control, as long as the real windows.

    Args:
        name: a key of ``CROSS_CONTROLS``.
        windows: real windows of all assets.
        paths: how many paths to make.
        rng: chooses windows.
    """
    return CROSS_CONTROLS[name](windows, paths, rng)


def independent(windows: Panel, paths: int, rng: np.random.Generator) -> Panel:
    """Real windows, those of each asset from another time."""
    drawn = rng.integers(len(windows), size=(len(windows.bars), paths))
    return Panel(windows.assets, tuple(bars.select(rows) for bars, rows in zip(windows.bars, drawn, strict=True)))


def misaligned(windows: Panel, paths: int, rng: np.random.Generator) -> Panel:
    """Real windows, every second asset one bar late (its last bar comes first)."""
    drawn = windows.select(rng.integers(len(windows), size=paths))
    return Panel(drawn.assets, tuple(_late(bars) if at % 2 else bars for at, bars in enumerate(drawn.bars)))


def _late(bars: Bars) -> Bars:
    return Relative.of(bars).rolled(1).onto(bars)


CROSS_CONTROLS: dict[str, Control] = {"independent": independent, "misaligned": misaligned}
