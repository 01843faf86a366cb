"""Given paths beside what really came: contexts whose future is in the reference are origins of forecasts.

Owns which contexts count as origins, and how they are judged: stylized facts in mode A, and calibration.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from scenario_gen.checks.facts import Bars
from scenario_gen.checks.inference import FactsReport, check_facts_by_origin
from scenario_gen.checks.inference.by_origin import MIN_PATHS
from scenario_gen.checks.inference.ranked import MIN_ORIGINS as FACTS_FROM
from scenario_gen.forecasts.judge import contamination, judge_generator
from scenario_gen.forecasts.numbers import FUNCTIONALS, Scale, untestable
from scenario_gen.forecasts.observe import observe
from scenario_gen.forecasts.origins import FEWEST_JUDGED
from scenario_gen.forecasts.results import GeneratorCalibration
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.market.relative import STILL
from scenario_gen.market.sessions import SessionClock
from scenario_gen.pipeline.anchoring import Ensemble

NOT_SAID = ""  # what training data the given paths come from
TOO_FEW = (
    "{origins} contexts have what came in the reference: enough to calibrate the paths; stylized facts are judged by "
    f"it from {FACTS_FROM} contexts on, and by windows of history here"
)


@dataclass(frozen=True, eq=False)
class Origin:
    """Paths of one context and what came.

    Attributes:
        context: the bars before the paths.
        paths: at least 19 paths, after repair.
        came: the real future, one path of the same bars.
    """

    context: Candles
    paths: PathSet
    came: PathSet


def known_futures(ensembles: Sequence[Ensemble], history: Candles, *, known: int, context: int) -> list[Origin]:
    """Return the origins that can be judged by what came; none where there are fewer than 30, too few to calibrate.

    An origin is a context with at least 19 paths whose future, bar for bar at the stamps of the paths, is in the
    history, and begins after that of the origin before it has ended.

    Args:
        ensembles: one per context, in the order of time, after repair.
        history: the whole reference.
        known: bars of it that may be looked at.
        context: bars before the paths that say what volatility they continue.
    """
    origins = list(_origins(ensembles, history.rows(0, known), context))
    return origins if len(origins) >= FEWEST_JUDGED else []


def judges_facts(origins: Sequence[object]) -> bool:
    """Return whether stylized facts are judged by what came at these origins: from 40 on."""
    return len(origins) >= FACTS_FROM


def _origins(ensembles: Sequence[Ensemble], history: Candles, context: int) -> Iterator[Origin]:
    free = 0  # first bar that no origin has used
    for one in ensembles:
        stop = one.end + one.paths.horizon
        if one.end < free or stop > len(history) or len(one.paths) < MIN_PATHS:
            continue
        future = history.rows(one.end, stop)
        if future.timestamps.equals(one.paths.timestamps):
            came = PathSet.from_history(future, float(history.close[one.end - 1]))
            yield Origin(history.rows(max(one.end - context, 0), one.end), one.paths, came)
            free = stop


def facts_by_origin(origins: Sequence[Origin], before: Candles, seed: int) -> FactsReport:
    """Judge stylized facts by the rank of what came; ``before`` says how to measure, the seed breaks ties."""
    clock = SessionClock.of(before.timestamps)
    pairs = ((Bars.of_paths(one.paths, clock=clock), Bars.of_paths(one.came, clock=clock)) for one in origins)
    return check_facts_by_origin(pairs, reference=before, seed=seed)


def calibrated(origins: Sequence[Origin], before: Candles, seed: int) -> GeneratorCalibration | None:
    """Judge the numbers of a path by the rank of what came; None where fewer than two contexts ever moved."""
    horizon = origins[0].paths.horizon
    why = {one.id: untestable(one, before, horizon) for one in FUNCTIONALS}
    if "volume" not in origins[0].paths.fields:
        why |= {one.id: "the paths carry no volume" for one in FUNCTIONALS if one.needs == "volume"}
    asked = [name for name, reason in why.items() if not reason]
    scales = [Scale.of(one.context) for one in origins]
    moving = [(one, scale) for one, scale in zip(origins, scales, strict=True) if scale.volatility >= STILL]
    if len(moving) < 2:
        return None
    return judge_generator(
        "the given paths",
        {},
        [
            observe(one.paths, one.came, scale, asked, np.random.default_rng([seed, place]))
            for place, (one, scale) in enumerate(moving)
        ],
        {name: reason for name, reason in why.items() if reason},
        contamination(NOT_SAID, [one.came.timestamps[0].isoformat() for one, _ in moving]),
        omitted={},
        seed=seed,
    )
