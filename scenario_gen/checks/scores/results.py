"""The result of one ensemble-level score: plain values."""

from __future__ import annotations

from dataclasses import dataclass

from scenario_gen.finding import Label


@dataclass(frozen=True)
class ScoreVerdict:
    """One number for the whole ensemble beside the same number for real windows against real windows.

    Attributes:
        score: its id.
        title: what it measures.
        label: the verdict; None where the score is shown and never judged.
        reason: why this label, in words.
        value: the score of the paths, the median over the splits; None where it could not be computed.
        real_median: median of the score of held-out real windows, over the same random splits of the reference.
        real_limit: the value that 95 % of those splits keep to, on the side that counts as bad.
        splits: how many random splits the yardstick rests on; 0 where the score has none.
        beyond: share of the splits that the paths' value is worse than.
    """

    score: str
    title: str
    label: Label | None
    reason: str
    value: float | None = None
    real_median: float | None = None
    real_limit: float | None = None
    splits: int = 0
    beyond: float | None = None
