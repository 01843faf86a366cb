"""The results of a realism check as frozen values: numbers, strings and lists, nothing that JSON cannot hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from scenario_gen.checks.facts import Audit
from scenario_gen.checks.scores import ScoreVerdict
from scenario_gen.finding import Label
from scenario_gen.stats.contrast import Contrast

Mode = Literal["A", "B", "C"]


@dataclass(frozen=True)
class Comparison:
    """Two samples compared in one fact.

    Attributes:
        location: whether one is larger.
        dispersion: whether one is wider; None for a pooled ratio.
        p: min(1, 2 min(p)) over both.
        effect: the larger absolute difference that counts, on the scale of AUC - 1/2.
    """

    location: Contrast
    dispersion: Contrast | None
    p: float
    effect: float

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
    """One stylized fact, judged or shown.

    Attributes:
        fact: its id.
        group: the phenomenon.
        title: what it measures.
        label: the verdict; None where the fact is shown and never judged.
        reason: why this label, in words.
        real_mean: mean over real windows (of a pooled ratio: the ratio), None where undefined.
        real_sd: standard deviation over real windows.
        synthetic_mean: mean over the paths.
        synthetic_sd: standard deviation over the paths.
        comparison: the paths against the real windows; None where untestable.
        q: Benjamini-Hochberg adjusted p-value; None where the fact is not judged.
        mde: smallest difference in location that would be found with a power of 80 %.
        control: the designated negative control.
        control_p: the p-value of that control in place of the paths.
        control_power: the chance to catch that control at p < .01, were its measured difference the true one.
        halves: the later half of the reference against the earlier one: how much reality itself drifts.
        halves_label: what label that difference would have earned.
        undefined_real: share of real windows without a value.
        undefined_synthetic: share of paths without a value.
        outside: share of paths outside the [.5 %, 99.5 %] range of the real windows; None with fewer than 40
            windows' worth of bars.
        real_range: 5 and 95 % quantile over real windows; None for a pooled ratio, or where undefined.
        synthetic_range: the same over the paths.
    """

    fact: str
    group: str
    title: str
    label: Label | None
    reason: str
    real_mean: float | None = None
    real_sd: float | None = None
    synthetic_mean: float | None = None
    synthetic_sd: float | None = None
    comparison: Comparison | None = None
    q: float | None = None
    mde: float | None = None
    control: str = ""
    control_p: float | None = None
    control_power: float | None = None
    halves: Comparison | None = None
    halves_label: Label | None = None
    undefined_real: float | None = None
    undefined_synthetic: float | None = None
    outside: float | None = None
    real_range: tuple[float, float] | None = None
    synthetic_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class LongFigure:
    """One fact that only many bars show, of the whole reference and of the paths pooled: shown, and never judged.

    Thresholds and lag ranges decide it, and so does the mix of regimes: paths of one context hold one.

    Attributes:
        fact: its id in the list of facts of a long sample.
        title: what it measures.
        real: of the reference as one stretch of time; None where it has no value.
        real_reason: why it has none, in words; "" where it has one.
        synthetic: of the paths that were compared, pooled and never joined end to end; None likewise.
        synthetic_reason: likewise.
    """

    fact: str
    title: str
    real: float | None
    real_reason: str
    synthetic: float | None
    synthetic_reason: str


@dataclass(frozen=True)
class Design:
    """How the comparison was made.

    Attributes:
        mode: A: rank of what came true among paths of its own context, over many origins; B: paths of many
            contexts, or of none, against windows of history; C: paths of one context against windows of history.
        bars: bars per path.
        paths: paths that were used (in mode A: at all origins together).
        paths_given: paths that came.
        path_clusters: clusters of paths (mode A: origins).
        windows: real windows (mode A: one per origin).
        clusters: clusters of real windows (mode A: origins).
        reference_bars: bars of the reference at distinct times (mode A: bars that came true).
        caps: why FAIL is called WARN in this run; empty where it is not.
        seed: of random groups, controls, splits and ties.
    """

    mode: Mode
    bars: int
    paths: int
    paths_given: int
    path_clusters: int
    windows: int
    clusters: int
    reference_bars: int
    caps: list[str]
    seed: int


@dataclass(frozen=True)
class FactsReport:
    """How lifelike an ensemble is: many verdicts, no single number.

    Attributes:
        mode: as in ``design``.
        design: sizes, clusters and caps.
        facts: one verdict per fact, in the order of the list of facts.
        groups: the worst label of each group's judged facts; "ensemble" holds the scores.
        scores: ensemble-level scores with their yardsticks.
        audit: what the reference cannot tell.
        yardstick: facts in which the later half of the reference itself differs from the earlier one: a perfect
            model of one half would be flagged on the other.
        notes: what else a reader must know.
        long: facts that only many bars show, shown beside and no part of any verdict; empty where paths were looked
            at origin by origin.
    """

    mode: Mode
    design: Design
    facts: list[FactVerdict]
    groups: dict[str, Label]
    scores: list[ScoreVerdict]
    audit: Audit
    yardstick: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    long: list[LongFigure] = field(default_factory=list)

    def counts(self, group: str) -> dict[Label, int]:
        """Return how many judged members of a group carry each label."""
        members = self.scores if group == "ensemble" else [f for f in self.facts if f.group == group]
        return dict(Counter(member.label for member in members if member.label is not None))

    def flagged(self) -> list[str]:
        """Return the ids of facts and scores labelled FAIL or WARN."""
        named = [(f.fact, f.label) for f in self.facts] + [(s.score, s.label) for s in self.scores]
        return [name for name, label in named if label in ("FAIL", "WARN")]
