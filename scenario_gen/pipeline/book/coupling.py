"""From prepared assets to coupled ones: bars that all have, one grid of dates, and who draws which numbers.

Computes no coupling itself (:mod:`scenario_gen.joint`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from scenario_gen.joint.coupling import Coupled, Coupling, Independent
from scenario_gen.joint.results import CouplingReport
from scenario_gen.pipeline.study import Book, Prepared, Study


def with_books(study: Study) -> Study:
    """Return the study with the assets of every scenario coupled; as it is where the spec has one asset alone.

    Raises:
        DataError: the assets have too few bars in common.
    """
    if not study.spec.assets:
        return study
    grounds: list[Prepared] = []
    books: list[Book] = []
    for name in dict.fromkeys(ground.scenario.future for ground in study.grounds):
        own = [ground for ground in study.grounds if ground.scenario.future == name]
        coupled, report = couple_grounds(own)
        grounds += coupled
        books.append(Book(name, {ground.scenario.asset: ground for ground in coupled}, report))
    return replace(study, grounds=tuple(grounds), books=tuple(books))


def couple_grounds(grounds: Sequence[Prepared]) -> tuple[list[Prepared], CouplingReport]:
    """Return the assets of one scenario with coupled numbers, and what is known of that."""
    coupling, report = _fit(grounds)
    grid = _grid([ground.timestamps for ground in grounds])
    return [
        replace(
            ground,
            coupled=Coupled(ground.generator, coupling, place, ground.timestamps, grid.get_indexer(ground.timestamps)),
        )
        for place, ground in enumerate(grounds)
    ], report


def _grid(stamps: Sequence[pd.DatetimeIndex]) -> pd.DatetimeIndex:
    """Return all stamps at which some asset has a bar."""
    grid = stamps[0]
    for other in stamps[1:]:
        grid = pd.DatetimeIndex(grid.union(other))
    return grid


def _fit(grounds: Sequence[Prepared]) -> tuple[Coupling, CouplingReport]:
    assets = [ground.scenario.asset for ground in grounds]
    return Independent(), CouplingReport(assets, "independent", 0)
