"""Every fact compared, corrected for their number, and labelled (modes B and C).

Owns the step from samples to verdicts. Knows neither where the samples come from nor what a report shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scenario_gen.finding import ENSEMBLE, SCALE, Label, by_group
from scenario_gen.realism.audit import Audit
from scenario_gen.realism.course import Course, Next
from scenario_gen.realism.facts import FACT, Fact
from scenario_gen.realism.results import Comparison, Design, FactsReport, FactVerdict, LongFigure, ScoreVerdict
from scenario_gen.realism.sample import Measured
from scenario_gen.stats.contrast import MIN_CLUSTERS, Clustered, Contrast, dispersion, location, ratio
from scenario_gen.stats.estimate import Floats
from scenario_gen.stats.means import benjamini_hochberg

FAIL_Q, FAIL_EFFECT = 0.01, 0.10  # an effect of .10 is about .36 standard deviations
WARN_Q, WARN_EFFECT = 0.05, 0.05
SMALL_MDE = 0.15
CONTROL_P = 0.01
FAIL_UNDEFINED, WARN_UNDEFINED = 0.10, 0.05  # share of paths on which only the synthetic side has no value


@dataclass(frozen=True)
class Evidence:
    """What a label rests on."""

    effect: float  # the larger of the differences in location and spread, on the scale of AUC - 1/2
    q: float  # Benjamini-Hochberg adjusted p-value over all facts of the run
    mde: float  # smallest difference in location that would have been found with a power of 80 %
    control: str  # name of the designated negative control, "" where there is none
    # the p-value of that control at the same number of paths and bars; None where there is none
    control_p: float | None
    undefined: float = 0.0  # by how much the share of paths without a value exceeds the reference's
    undefined_p: float = 1.0  # p-value of that excess
    cap: str = ""  # why FAIL would claim too much, "" where it would not
    direction: str = "different"  # in which way the larger of the differences points, in words


def judge(evidence: Evidence) -> tuple[Label, str]:
    """Return the label and its reason in words."""
    label, reason = _uncapped(evidence)
    if label == "FAIL" and evidence.cap:
        return "WARN", f"{reason}; not called FAIL because {evidence.cap}"
    return label, reason


def _uncapped(e: Evidence) -> tuple[Label, str]:
    found = f"effect {e.effect:.2f}, q {_small(e.q)}"
    lacking = f"{e.undefined:.0%} more of the paths than of the real windows have no value"
    if e.undefined >= FAIL_UNDEFINED and e.undefined_p < FAIL_Q:
        return "FAIL", lacking
    if e.q < FAIL_Q and e.effect >= FAIL_EFFECT:
        return "FAIL", f"{found}: {e.direction}"
    if e.q < WARN_Q and e.effect >= WARN_EFFECT:
        return "WARN", f"{found}: perhaps {e.direction}"
    if e.undefined >= WARN_UNDEFINED and e.undefined_p < WARN_Q:
        return "WARN", lacking
    return _pass_with_power(e, found)


def _pass_with_power(e: Evidence, power: str) -> tuple[Label, str]:
    if e.mde <= SMALL_MDE:
        return "PASS", f"{power}; a difference of {e.mde:.2f} would have been found"
    if e.control_p is not None and e.control_p < CONTROL_P:
        return "PASS", f"{power}; the control {e.control} was caught with p {_small(e.control_p)}"
    return "INCONCLUSIVE", f"{power}; {_no_power(e)}"


def _no_power(e: Evidence) -> str:
    blind = f"a difference below {e.mde:.2f} would be missed"
    if e.control_p is None:
        return blind
    return f"{blind}, and the control {e.control} was not caught (p {_small(e.control_p)})"


def _small(p: float) -> str:
    """Return a p-value with as many digits as show on which side of a threshold it lies."""
    if p < 1e-4:
        return "<0.0001"
    decimals = 4 if p < FAIL_Q else 3 if p < 0.1 else 2
    while any(p < limit <= round(p, decimals) for limit in (FAIL_Q, WARN_Q)):
        decimals += 1
    return f"{p:.{decimals}f}"


# Every fact compared, corrected for their number, and labelled (modes B and C)


WINDOWS_FOR_BANDS = 40  # independent windows below which percentile bands do not hold what they claim


@dataclass(frozen=True)
class Bench:
    """What paths are judged against, and how."""

    real: Measured  # the real windows
    controls: Mapping[str, Measured] = field(default_factory=dict)  # name to a negative control measured like the paths
    untestable: Mapping[str, str] = field(default_factory=dict)  # fact id to the reason why the data cannot judge it
    next: Next | None = None  # where paths of one or few contexts lie in time; None: all of history is the measure
    cap: str = ""  # why FAIL would claim too much, "" where it would not
    independent: int = 0  # how many windows' worth of bars the reference holds
    matched: Measured | None = None  # real windows from markets like the context, for facts of scale; None: all windows

    def against(self, fact: str) -> Callable[[Measured], Comparison | None]:
        """Return how paths, and controls, are compared in one fact; they give None where too few have a value."""
        if self.next is None:
            return lambda paths: compare(fact, paths, self.real)
        course = Course.of(fact, self.real)
        if course is None:
            return lambda paths: None
        to_come = course.next(self.next)
        return lambda paths: (
            course.compare(paths.values(fact), to_come) if paths.clustered(fact).size >= MIN_CLUSTERS else None
        )


def judged(fact: Fact) -> bool:
    """Return whether modes B and C judge the fact: facts of scale need the rank within their own context."""
    return fact.gate and fact.group != SCALE.key


def compare(fact: str, synthetic: Measured, real: Measured) -> Comparison | None:
    """Compare two samples in one fact; None where fewer than 4 clusters of either have a value."""
    if FACT[fact].kind == "Q":
        ours, theirs = synthetic.sums(fact), real.sums(fact)
        if any(den.size < MIN_CLUSTERS or den.values.sum() <= 0 for _, den in (ours, theirs)):
            return None
        only = ratio(ours, theirs)
        return Comparison(only, None, only.p, abs(only.value))
    one, other = synthetic.clustered(fact), real.clustered(fact)
    if min(one.size, other.size) < MIN_CLUSTERS:
        return None
    return combine(location(one, other), dispersion(one, other))


def combine(where: Contrast, width: Contrast) -> Comparison:
    """Join the tests of location and spread: Bonferroni for two, and the larger effect."""
    return Comparison(where, width, min(1.0, 2 * min(where.p, width.p)), max(abs(where.value), abs(width.value)))


def label_of(
    comparison: Comparison | None,
    q: float | None,
    *,
    undefined: tuple[float, float] = (0.0, 1.0),
    control: tuple[str, float | None] = ("", None),
    cap: str = "",
) -> tuple[Label, str]:
    """Return the label of a comparison and its reason in words.

    Args:
        comparison: the comparison; None where too few values are defined to make one.
        q: its adjusted p-value.
        undefined: by how much more paths than windows have no value, and the p-value of that.
        control: the designated negative control and its p-value.
        cap: why FAIL would claim too much.
    """
    if comparison is None:
        where, effect, direction = 0.5, 0.0, ""
    else:
        where, effect, direction = comparison.location.mde, comparison.effect, comparison.direction
    name, control_p = control
    q = 1.0 if q is None else q
    return judge(Evidence(effect, q, where, name, control_p, *undefined, cap=cap, direction=direction))


@dataclass(frozen=True)
class _Compared:
    """All that was compared in one fact: paths, control and halves, each with the reference."""

    paths: Comparison | None
    q: float | None = None
    control: Comparison | None = None
    halves: Comparison | None = None
    halves_q: float | None = None


def judge_facts(synthetic: Measured, bench: Bench, facts: Sequence[Fact]) -> list[FactVerdict]:
    """Return one verdict per fact, in their order."""
    testable = [fact for fact in facts if fact.id not in bench.untestable]
    compared = _compare_all(synthetic, bench, testable)
    return [
        _verdict(fact, compared[fact.id], synthetic, bench)
        if fact.id in compared
        else _untestable(fact, bench.untestable[fact.id])
        for fact in facts
    ]


def _compare_all(synthetic: Measured, bench: Bench, facts: Sequence[Fact]) -> dict[str, _Compared]:
    """Compare in every fact; q is adjusted over those that are judged."""
    against = {fact.id: bench.against(fact.id) for fact in facts}
    found = {name: compared(synthetic) for name, compared in against.items()}
    gates = [fact for fact in facts if judged(fact)]
    halves = _halves(bench.real, [fact.id for fact in gates])
    q = benjamini_hochberg({fact.id: c.p for fact in gates if (c := found[fact.id]) is not None})
    halves_q = benjamini_hochberg({name: half.p for name, half in halves.items()})
    controls = {
        fact.id: against[fact.id](bench.controls[fact.control]) for fact in gates if fact.control in bench.controls
    }
    return {
        name: _Compared(paths, q.get(name), controls.get(name), halves.get(name), halves_q.get(name))
        for name, paths in found.items()
    }


def _verdict(fact: Fact, compared: _Compared, synthetic: Measured, bench: Bench) -> FactVerdict:
    real = bench.real if bench.matched is None or fact.group != SCALE.key else bench.matched
    shown = compared.paths if real is bench.real else compare(fact.id, synthetic, real)
    label, reason = _label(fact, compared, synthetic, bench)
    ours, theirs = _described(fact, synthetic), _described(fact, real)
    control, halves = compared.control, compared.halves
    return FactVerdict(
        fact=fact.id,
        group=fact.group,
        title=fact.title,
        label=label,
        reason=reason,
        real_mean=theirs[0],
        real_sd=theirs[1],
        synthetic_mean=ours[0],
        synthetic_sd=ours[1],
        comparison=shown,
        q=compared.q,
        mde=None if shown is None else shown.location.mde,
        control=fact.control if judged(fact) else "",
        control_p=None if control is None else control.p,
        control_power=None if control is None else _power(control),
        halves=halves,
        halves_label=None if halves is None else label_of(halves, compared.halves_q)[0],
        undefined_real=_undefined(real, fact.id),
        undefined_synthetic=_undefined(synthetic, fact.id),
        outside=_outside(fact.id, synthetic, bench),
        real_range=_range(fact, real),
        synthetic_range=_range(fact, synthetic),
    )


def _label(fact: Fact, compared: _Compared, synthetic: Measured, bench: Bench) -> tuple[Label | None, str]:
    if not judged(fact):
        return None, _why_shown(fact, bench)
    undefined = _excess_undefined(fact.id, synthetic, bench.real)
    if compared.paths is None and undefined[0] == 0:
        return "UNTESTABLE", "fewer than 4 clusters of real windows or of paths have a value"
    control = (fact.control, None if compared.control is None else compared.control.p)
    return label_of(compared.paths, compared.q, undefined=undefined, control=control, cap=bench.cap)


def _why_shown(fact: Fact, bench: Bench) -> str:
    if fact.group != SCALE.key:
        return "shown only: too noisy or too regime-bound to judge by"
    if bench.matched is not None:
        return "shown only, beside the real windows that followed markets like the context"
    return "shown only: scale is judged by the rank of what came true, over many origins"


def judged_by_nothing(facts: Sequence[Fact], reason: str) -> list[FactVerdict]:
    """Return UNTESTABLE for every fact that would be judged, with one reason for all."""
    return [_untestable(fact, reason) for fact in facts]


def _untestable(fact: Fact, reason: str) -> FactVerdict:
    label: Label | None = "UNTESTABLE" if judged(fact) else None
    return FactVerdict(fact.id, fact.group, fact.title, label, reason)


def _power(control: Comparison) -> float:
    """Return the power against the control of the test that finds it more clearly, at its share of the level."""
    seen = [test for test in (control.location, control.dispersion) if test is not None]
    return max(contrast.power(CONTROL_P / len(seen)) for contrast in seen)


def _halves(real: Measured, facts: Sequence[str]) -> dict[str, Comparison]:
    """Compare the later half of the clusters with the earlier one; clusters are numbered in time."""
    numbers = np.unique(real.clusters)
    late = real.clusters >= numbers[len(numbers) // 2]
    later, earlier = real.select(late), real.select(~late)
    pairs = {fact: compare(fact, later, earlier) for fact in facts}
    return {fact: pair for fact, pair in pairs.items() if pair is not None}


def _described(fact: Fact, sample: Measured) -> tuple[float | None, float | None]:
    """Return mean and standard deviation over paths; the ratio and None for a pooled one."""
    if fact.kind == "Q":
        num, den = sample.sums(fact.id)
        total = float(den.values.sum())
        return (float(num.values.sum()) / total if total > 0 else None), None
    values = _defined(sample.values(fact.id))
    if not len(values):
        return None, None
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None


def _range(fact: Fact, sample: Measured) -> tuple[float, float] | None:
    """Return the 5 and 95 % quantile over paths; a pooled ratio has none."""
    values = _defined(sample.values(fact.id))
    if fact.kind == "Q" or not len(values):
        return None
    low, high = np.quantile(values, [0.05, 0.95])
    return float(low), float(high)


def _defined(values: Floats) -> Floats:
    return values[np.isfinite(values)]


def _undefined(sample: Measured, fact: str) -> float:
    return float(np.mean(~np.isfinite(sample.values(fact))))


def _excess_undefined(fact: str, synthetic: Measured, real: Measured) -> tuple[float, float]:
    """Return by how much more paths than windows have no value, and the p-value of that; (0, 1) if not more.

    Each path counts by itself here: paths without movement are identical, and as one cluster they would look like
    one accident. Of a pooled ratio a single path often has no value: there only the whole sample counts.
    """
    if FACT[fact].kind == "Q":
        whole = [_described(FACT[fact], sample)[0] is None for sample in (synthetic, real)]
        return (1.0, 0.0) if whole == [True, False] else (0.0, 1.0)
    ours, theirs = (np.isnan(sample.values(fact)).astype(np.float64) for sample in (synthetic, real))
    excess = float(ours.mean() - theirs.mean())
    if excess <= 0 or real.cluster_count < MIN_CLUSTERS:
        return 0.0, 1.0
    sides = Clustered.of(ours, np.arange(len(ours))), Clustered.of(theirs, real.clusters)
    return excess, location(sides[0], sides[1]).p


def _outside(fact: str, synthetic: Measured, bench: Bench) -> float | None:
    values, real = _defined(synthetic.values(fact)), _defined(bench.real.values(fact))
    if bench.independent < WINDOWS_FOR_BANDS or not len(values) or not len(real) or FACT[fact].kind == "Q":
        return None
    low, high = np.quantile(real, [0.005, 0.995])
    return float(np.mean((values < low) | (values > high)))


# Verdicts put together: the label of each group, and what the reference itself would be flagged for


def assemble(
    design: Design,
    facts: list[FactVerdict],
    scores: list[ScoreVerdict],
    audit: Audit,
    notes: list[str],
    long: Sequence[LongFigure] = (),
) -> FactsReport:
    """Return the report with the verdict of each group; ``long`` has a part in none."""
    labelled = [(fact.group, fact.label) for fact in facts] + [(ENSEMBLE.key, score.label) for score in scores]
    return FactsReport(
        mode=design.mode,
        design=design,
        facts=facts,
        groups=by_group((group, label) for group, label in labelled if label is not None),
        scores=scores,
        audit=audit,
        yardstick=[fact.fact for fact in facts if fact.halves_label in ("FAIL", "WARN")],
        notes=notes,
        long=list(long),
    )
