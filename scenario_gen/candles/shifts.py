"""Every stylized fact of the paths that the repair changed, before and after it.

Owns which of them are measured: the cost is bounded where rounding to ticks changes every path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.market.paths import PathSet
from scenario_gen.realism.bars import BarArrays, spread_rows
from scenario_gen.realism.estimators import divide
from scenario_gen.realism.facts import FACT, entries, path_statistics
from scenario_gen.realism.gauge import Gauge

# Changed paths of an ensemble that are measured, evenly spread: a mean over so many has an error of .03 standard
# deviations, and the shifts are paired, so theirs is smaller still.
MOST_MEASURED = 1000
SIDES = ("raw", "left")


def share_of(most: int, part: int, whole: int) -> int:
    """Return how many of ``most`` fall to a part of the ensemble, at least one."""
    return max(1, -(-most * part // whole))


def facts_of_changed(raw: PathSet, repaired: PathSet, gauge: Callable[[], Gauge], most: int) -> pd.DataFrame:
    """Return one row per measured path, index path_id: ``<fact>_raw`` and ``<fact>_left`` for every fact.

    Facts are measured as those of the ensemble are; a pooled ratio is the path's own. Empty where nothing was changed.

    Args:
        raw: kept paths before repair.
        repaired: the same paths after it, in the same order.
        gauge: makes the history's, which says how to measure; asked only where something was changed.
        most: changed paths that are measured, evenly spread.
    """
    changed = np.flatnonzero((raw.values != repaired.values).any(axis=(1, 2)))
    rows = changed[spread_rows(len(changed), most)]
    ids = raw.path_ids[rows]
    index = pd.Index(ids, name="path_id")
    if not len(ids):
        return pd.DataFrame(index=index)
    columns = {
        f"{fact}_{side}": values
        for side, paths in zip(SIDES, (raw, repaired), strict=True)
        for fact, values in _facts(paths.select(ids), gauge()).items()
    }
    return pd.DataFrame(columns, index=index)


def _facts(paths: PathSet, gauge: Gauge) -> dict[str, NDArray[Any]]:
    """Return fact id to one value per path."""
    found = path_statistics(BarArrays.of_paths(paths, tick=gauge.tick, clock=gauge.clock), gauge=gauge)
    facts = [fact for fact in FACT.values() if {*entries(fact)} <= found.keys()]
    return {
        fact.id: found[fact.id] if fact.kind == "P" else divide(found[f"{fact.id}.num"], found[f"{fact.id}.den"])
        for fact in facts
    }
