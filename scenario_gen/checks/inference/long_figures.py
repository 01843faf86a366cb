"""Facts of a long sample side by side: the reference as one stretch of time, and the paths pooled.

Shown and never judged. Owns what stands where there is no value; measures nothing itself.
"""

from __future__ import annotations

import numpy as np

from scenario_gen.checks.facts import LONG_FACTS, Bars, Gauge, long_facts_of, windows
from scenario_gen.checks.inference.once import Once
from scenario_gen.checks.inference.results import LongFigure
from scenario_gen.market.candles import Candles


def long_figures(paths: Bars, reference: Candles, gauge: Gauge, once: Once) -> list[LongFigure]:
    """Return every fact of a long sample, of the reference and of the paths, in the order of the list of facts.

    Args:
        paths: valid bars, measured with the gauge.
        reference: the instrument's history, all of it.
        gauge: of the reference.
        once: keeps what was measured of the reference.
    """
    bars = len(reference) - 1  # the first is the close before the others
    theirs = once.measured("long", lambda: long_facts_of(_whole(reference, gauge), gauge))
    ours = long_facts_of(paths, gauge)
    return [
        LongFigure(
            fact=fact.id,
            title=fact.title,
            real=_known(theirs[fact.id]),
            real_reason=fact.lacking(theirs[fact.id], paths=1, bars=bars),
            synthetic=_known(ours[fact.id]),
            synthetic_reason=fact.lacking(ours[fact.id], paths=len(paths), bars=paths.length),
        )
        for fact in LONG_FACTS
    ]


def _whole(reference: Candles, gauge: Gauge) -> Bars:
    """Return a history as one path [1, bar]."""
    return windows(reference, len(reference) - 1, 1, tick=gauge.tick, clock=gauge.clock).bars


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
