"""Given paths beside what really came: contexts whose future is in the reference, judged in mode A.

Owns which contexts count as origins. Computes no statistic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scenario_gen.checks.facts import Bars
from scenario_gen.checks.facts.sessions import SessionClock
from scenario_gen.checks.inference import FactsReport, check_facts_by_origin
from scenario_gen.checks.inference.by_origin import MIN_ORIGINS, MIN_PATHS
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.pipeline.anchoring import Ensemble


def facts_by_origin(
    ensembles: Sequence[Ensemble], history: Candles, *, before: Candles, known: int, seed: int
) -> FactsReport | None:
    """Judge paths of many contexts by the rank of what came; None where fewer than 30 origins can be had.

    An origin is a context with at least 19 paths whose future, bar for bar at the stamps of the paths, is in the
    history, and begins after the origin before it has ended.

    Args:
        ensembles: one per context, in the order of time, after repair.
        history: the whole reference.
        before: the bars that the paths are compared with, which say how to measure.
        known: bars of the history that may be looked at.
        seed: breaks ties.
    """
    origins = list(_origins(ensembles, history.rows(0, known)))
    if len(origins) < MIN_ORIGINS:
        return None
    clock = SessionClock.of(before.timestamps)
    pairs = ((Bars.of_paths(paths, clock=clock), Bars.of_paths(came, clock=clock)) for paths, came in origins)
    return check_facts_by_origin(pairs, reference=before, seed=seed)


def _origins(ensembles: Sequence[Ensemble], history: Candles) -> Iterator[tuple[PathSet, PathSet]]:
    free = 0  # first bar that no origin has used
    for one in ensembles:
        stop = one.end + one.paths.horizon
        if one.end < free or stop > len(history) or len(one.paths) < MIN_PATHS:
            continue
        future = history.rows(one.end, stop)
        if future.timestamps.equals(one.paths.timestamps):
            yield one.paths, PathSet.from_history(future, float(history.close[one.end - 1]))
            free = stop
