"""Shocks on one asset of a book: which bars they move, and the coupling under which the other assets respond.

Computes no response itself (:mod:`scenario_gen.joint.response`); what a shock does to its own asset is as of one alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from scenario_gen.joint.coupling import Independent
from scenario_gen.joint.response import PILOT_PATHS, ShockedRank, responding
from scenario_gen.joint.results import CouplingReport
from scenario_gen.pipeline.prepared import Prepared
from scenario_gen.stress.shocks import GapShock

TELL_BEYOND = 0.01  # share of paths whose shocked bar is beyond every pilot path, from which on it is told


def with_responses(grounds: Sequence[Prepared], report: CouplingReport) -> tuple[list[Prepared], CouplingReport]:
    """Return coupled assets of one scenario that respond to shocks on each other, and the report with that in words.

    Raises:
        DataError: the others are to respond, and their bars are drawn in blocks.
    """
    shocks: list[ShockedRank] = []
    notes: list[str] = []
    for ground in grounds:
        own = [shock for shock in ground.scenario.shocks if isinstance(shock, GapShock) and shock.responds]
        coupled = ground.coupled
        if coupled is None or not own:
            continue
        if isinstance(coupled.coupling, Independent):
            notes += [
                f"{shock.in_words} of {shock.asset}: nothing hangs together, so the others go on" for shock in own
            ]
            continue
        for shock in own:
            move = math.log1p(shock.size)
            shocks.append(ShockedRank.of(coupled, ground.context, ground.seed, shock.bar, move))
            notes.append(_in_words(shock, shocks[-1].beyond))
    if not shocks and not notes:
        return [*grounds], report
    changed = [
        replace(ground, coupled=replace(ground.coupled, coupling=responding(ground.coupled.coupling, shocks)))
        if ground.coupled is not None
        else ground
        for ground in grounds
    ]
    return changed, replace(report, notes=[*report.notes, *notes])


def _in_words(shock: GapShock, beyond: float) -> str:
    words = (
        f"{shock.in_words} of {shock.asset}: the other assets are drawn given the rank of its return there, and go on "
        "from the bars that they then have"
    )
    if beyond < TELL_BEYOND:
        return words
    return f"{words}; in {beyond:.0%} of paths that is beyond {PILOT_PATHS:,} bars without it and counts as their last"
