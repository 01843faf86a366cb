"""audit_reference: which facts a history cannot judge, before anything is judged by it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from scenario_gen.checks.facts.facts import FACTS
from scenario_gen.market.candles import Candles


@dataclass(frozen=True)
class Audit:
    """What a reference history can and cannot tell.

    Attributes:
        untestable: fact id to the reason in words.
        notes: further findings about the history, for a person: jumps, time zone, spacing.
    """

    untestable: dict[str, str]
    notes: list[str] = field(default_factory=list)


def audit_reference(candles: Candles) -> Audit:
    """Find the facts that this history cannot judge."""
    untestable: dict[str, str] = {}
    zero = float(np.mean(candles.column("volume") == 0)) if candles.has_volume else 1.0
    if zero > 0.01:
        reason = (
            f"volume is zero on {zero:.1%} of bars" if candles.has_volume else "the history has no volume"
        )
        untestable |= {fact.id: reason for fact in FACTS if "volume" in fact.needs}
    return Audit(untestable)
