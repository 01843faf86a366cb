"""The results of a realism check as frozen values: numbers, strings and lists, nothing that JSON cannot hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from scenario_gen.finding import ENSEMBLE, Label
from scenario_gen.realism.audit import Audit
from scenario_gen.stats.contrast import Contrast


@dataclass(frozen=True)
class ScoreVerdict:
    """One number for the whole ensemble beside the same number for real windows against real windows."""

    score: str  # its id
    title: str  # what it measures
    label: Label | None  # the verdict; None where the score is shown and never judged
    reason: str  # why this label, in words
    # the score of the paths, the median over the splits; None where it could not be computed
    value: float | None = None
    # median of the score of held-out real windows, over the same random splits of the reference
    real_median: float | None = None
    real_limit: float | None = None  # the value that 95 % of those splits keep to, on the side that counts as bad
    splits: int = 0  # how many random splits the yardstick rests on; 0 where the score has none
    beyond: float | None = None  # share of the splits that the paths' value is worse than


# --- The results of a realism check as frozen values ---


Mode = Literal["A", "B", "C"]


@dataclass(frozen=True)
class Comparison:
    """Two samples compared in one fact."""

    # Whether one is larger; of one context, or few: the paths' mean placement less that of the stretch to be expected.
    location: Contrast
    dispersion: Contrast | None  # whether one is wider; None for a pooled ratio, and of one context or few
    p: float  # min(1, 2 min(p)) over both
    effect: float  # the larger absolute difference that counts, on the scale of AUC - 1/2

    @property
    def direction(self) -> str:
        """Say which way the larger difference points: higher, lower, more spread out or less."""
        if self.dispersion is not None and abs(self.location.value) < self.effect:
            return (
                "more spread out in the paths than in reality"
                if self.dispersion.value > 0
                else "less spread out in the paths than in reality"
            )
        side = "higher" if self.location.value > 0 else "lower"
        return f"{side} in the paths than in reality"


@dataclass(frozen=True)
class FactVerdict:
    """One stylized fact, judged or shown."""

    fact: str  # its id
    group: str  # the phenomenon
    title: str  # what it measures
    label: Label | None  # the verdict; None where the fact is shown and never judged
    reason: str  # why this label, in words
    real_mean: float | None = None  # mean over real windows (of a pooled ratio: the ratio), None where undefined
    real_sd: float | None = None  # standard deviation over real windows
    synthetic_mean: float | None = None  # mean over the paths
    synthetic_sd: float | None = None  # standard deviation over the paths
    comparison: Comparison | None = None  # the paths against the real windows; None where untestable
    q: float | None = None  # Benjamini-Hochberg adjusted p-value; None where the fact is not judged
    mde: float | None = None  # smallest difference in location that would be found with a power of 80 %
    control: str = ""  # the designated negative control
    control_p: float | None = None  # the p-value of that control in place of the paths
    # the chance to catch that control at p < .01, were its measured difference the true one
    control_power: float | None = None
    # the later half of the reference against the earlier one: how much reality itself drifts
    halves: Comparison | None = None
    halves_label: Label | None = None  # what label that difference would have earned
    undefined_real: float | None = None  # share of real windows without a value
    undefined_synthetic: float | None = None  # share of paths without a value
    # share of paths outside the [.5 %, 99.5 %] range of the real windows; None with fewer than 40 windows' worth of
    # bars
    outside: float | None = None
    # 5 and 95 % quantile over real windows; None for a pooled ratio, or where undefined
    real_range: tuple[float, float] | None = None
    synthetic_range: tuple[float, float] | None = None  # the same over the paths


@dataclass(frozen=True)
class LongFigure:
    """One fact that only many bars show, of the whole reference and of the paths pooled: shown, and never judged.

    Thresholds and lag ranges decide it, and so does the mix of regimes: paths of one context hold one.
    """

    fact: str  # its id in the list of facts of a long sample
    title: str  # what it measures
    real: float | None  # of the reference as one stretch of time; None where it has no value
    real_reason: str  # why it has none, in words; "" where it has one
    synthetic: float | None  # of the paths that were compared, pooled and never joined end to end; None likewise
    synthetic_reason: str  # likewise


@dataclass(frozen=True)
class Design:
    """How the comparison was made."""

    # A: rank of what came true among paths of its own context, over many origins; B: paths of many contexts, or of
    # none, against windows of history; C: paths of one context against windows of history
    mode: Mode
    bars: int  # bars per path
    paths: int  # paths that were used (in mode A: at all origins together)
    paths_given: int  # paths that came
    path_clusters: int  # clusters of paths (mode A: origins)
    windows: int  # real windows (mode A: one per origin)
    clusters: int  # clusters of real windows (mode A: origins)
    reference_bars: int  # bars of the reference at distinct times (mode A: bars that came true)
    caps: list[str]  # why FAIL is called WARN in this run; empty where it is not
    seed: int  # of random groups, controls, splits and ties


@dataclass(frozen=True)
class FactsReport:
    """How lifelike an ensemble is: many verdicts, no single number."""

    mode: Mode  # as in ``design``
    design: Design  # sizes, clusters and caps
    facts: list[FactVerdict]  # one verdict per fact, in the order of the list of facts
    groups: dict[str, Label]  # the worst label of each group's judged facts; "ensemble" holds the scores
    scores: list[ScoreVerdict]  # ensemble-level scores with their yardsticks
    audit: Audit  # what the reference cannot tell
    # facts in which the later half of the reference itself differs from the earlier one: a perfect model of one half
    # would be flagged on the other
    yardstick: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what else a reader must know
    # facts that only many bars show, shown beside and no part of any verdict; empty where paths were looked at origin
    # by origin
    long: list[LongFigure] = field(default_factory=list)

    def counts(self, group: str) -> dict[Label, int]:
        """Return how many judged members of a group carry each label."""
        members = self.scores if group == ENSEMBLE.key else [f for f in self.facts if f.group == group]
        return dict(Counter(member.label for member in members if member.label is not None))

    def flagged(self) -> list[str]:
        """Return the ids of facts and scores labelled FAIL or WARN."""
        named = [(f.fact, f.label) for f in self.facts] + [(s.score, s.label) for s in self.scores]
        return [name for name, label in named if label in ("FAIL", "WARN")]
