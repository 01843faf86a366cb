"""Paths and histories of several assets laid side by side: the same futures, at the stamps that all share.

Owns what belongs together and what is left out. Compares nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from scenario_gen.checks.facts import Bars, Panel
from scenario_gen.checks.inference.sample import concatenate
from scenario_gen.errors import CheckError
from scenario_gen.forecasts.harness import known_futures
from scenario_gen.market.candles import Candles
from scenario_gen.market.frequency import nanoseconds
from scenario_gen.market.paths import PathSet
from scenario_gen.market.sessions import SessionClock
from scenario_gen.pipeline.anchoring import Ensemble
from scenario_gen.pipeline.checking import CONTEXT, Checked

SHOWN = 3
ELSEWHERE = "are left out of dependence: not all assets have bars at their stamps"


@dataclass(frozen=True, eq=False)
class Side:
    """The paths of one context, asset beside asset.

    Attributes:
        paths: one set per asset, with the same stamps, and the same path ids in the same order.
        first: nanoseconds of their first stamp.
    """

    paths: list[Ensemble]
    first: int

    def __len__(self) -> int:
        return len(self.paths[0].paths)


def side_by_side(checked: Mapping[str, Checked]) -> tuple[list[Side], list[str]]:
    """Return the paths that all assets kept, at the stamps that all share, and what was left out.

    Paths with the same stamps in every asset stand together.
    """
    groups_of = [_group_of_path(one.kept) for one in checked.values()]
    kept = sorted(set.intersection(*(set(groups) for groups in groups_of)))
    lost = len(set.union(*(set(groups) for groups in groups_of))) - len(kept)
    members: dict[tuple[int, ...], list[int]] = {}
    for path in kept:
        members.setdefault(tuple(groups[path] for groups in groups_of), []).append(path)
    sides = [
        _side([one.kept[at] for one, at in zip(checked.values(), places, strict=True)], np.array(paths))
        for places, paths in members.items()
    ]
    _refuse_uneven(sides, list(checked))
    notes = [f"{lost:,} paths that an asset lost to the candle rules are left out of dependence"] if lost else []
    bars = sides[0].paths[0].paths.horizon if sides else 0
    for name, one in checked.items():
        if one.kept and one.kept[0].paths.horizon > bars > 0:
            gone = one.kept[0].paths.horizon - bars
            notes.append(f"{gone:,} bars of the paths of {name} {ELSEWHERE}")
    return sorted(sides, key=lambda side: side.first), notes


def _group_of_path(kept: Sequence[Ensemble]) -> dict[int, int]:
    """Return path id to the place of the ensemble that holds it."""
    return {int(path): at for at, one in enumerate(kept) for path in one.paths.path_ids}


def _side(every: Sequence[Ensemble], ids: NDArray[np.int64]) -> Side:
    """Return these paths of every asset, bars at shared stamps only."""
    shared = reduce(np.intersect1d, [_stamps(one) for one in every])
    cut = [_at_stamps(one.paths.select(ids), np.isin(_stamps(one), shared)) for one in every]
    first = int(shared[0]) if len(shared) else 0
    return Side([replace(one, paths=paths) for one, paths in zip(every, cut, strict=True)], first)


def _at_stamps(paths: PathSet, keep: NDArray[np.bool_]) -> PathSet:
    if keep.all():
        return paths
    return replace(paths, values=paths.values[:, keep], timestamps=paths.timestamps[keep])


def _refuse_uneven(sides: Sequence[Side], assets: Sequence[str]) -> None:
    lengths = sorted({side.paths[0].paths.horizon for side in sides})
    if len(lengths) > 1 or lengths == [0]:
        told = "no stamp" if lengths == [0] else f"{lengths[0]} to {lengths[-1]} stamps, not all the same number"
        raise CheckError(
            f"the paths of {some(assets)} share {told}",
            expected="bars at the same moments in every asset, as many on every path",
            fix="cut the paths of all assets to the moments that all have",
        )


def panel_of(assets: Sequence[str], sides: list[Side], clock: SessionClock | None) -> Panel:
    """Return all paths as one panel."""
    return Panel(
        tuple(assets),
        tuple(
            concatenate([Bars.of_paths(side.paths[at].paths, clock=clock) for side in sides])
            for at in range(len(assets))
        ),
    )


def origins(sides: list[Side], ends: list[int], whole: Sequence[Candles], *, known: int) -> list[tuple[Panel, Panel]]:
    """Return paths and what came, origin by origin; none where fewer than 30 futures are in all histories."""
    names = tuple(history.name for history in whole)
    clock = SessionClock.of(whole[0].timestamps)
    per_asset = [
        known_futures(
            [replace(side.paths[at], end=end) for side, end in zip(sides, ends, strict=True) if end > 0],
            history,
            known=known,
            context=CONTEXT,
        )
        for at, history in enumerate(whole)
    ]
    return [
        (
            Panel(names, tuple(Bars.of_paths(one.paths, clock=clock) for one in every)),
            Panel(names, tuple(Bars.of_paths(one.real, clock=clock) for one in every)),
        )
        for every in zip(*per_asset, strict=True)
    ]


def left_out(checked: Mapping[str, Checked], whole: Sequence[Candles]) -> list[str]:
    """Say which bars of the histories do not count between the assets."""
    return [
        f"{len(one.history) - len(shared):,} bars of the history of {shared.name} {ELSEWHERE}"
        for one, shared in zip(checked.values(), whole, strict=True)
        if len(shared) < len(one.history)
    ]


def _stamps(one: Ensemble) -> NDArray[np.int64]:
    return np.ascontiguousarray(nanoseconds(one.paths.timestamps))


def some(names: Sequence[str]) -> str:
    """Return the first names and how many more there are."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
