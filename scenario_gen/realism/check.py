"""check_facts: paths against the real windows of a history (modes B and C).

Owns the order of the steps, from what came to the report.

The one way from measured facts to findings is here too: one per group, the label of its worst member and which member
that is. Two sets of words: a run tells how many members are so and the one that is
furthest off, a check of given paths the reason of the first and the names of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from scenario_gen import finding as judged_as
from scenario_gen.finding import COPY, FACTS_BY_ORIGIN, Check, Finding, Label, worst
from scenario_gen.market.candles import Candles
from scenario_gen.realism.admission import admit, applies, caps_of, merged_audit, on_one_gauge, too_short, untestable
from scenario_gen.realism.audit import Audit
from scenario_gen.realism.bars import BarArrays, spread_rows
from scenario_gen.realism.controls import negative_control
from scenario_gen.realism.course import ENOUGH_CONTEXTS, Next
from scenario_gen.realism.ensemble import judge_scores
from scenario_gen.realism.facts import FACTS, Fact
from scenario_gen.realism.gauge import Gauge
from scenario_gen.realism.long_sample import long_figures
from scenario_gen.realism.results import Design, FactsReport, FactVerdict, Mode, ScoreVerdict
from scenario_gen.realism.sample import Once, Reference, Sample, cut_reference, like_context, path_clusters
from scenario_gen.realism.scores import EXEMPT, SCORE_GROUPS
from scenario_gen.realism.space import Points, fact_space
from scenario_gen.realism.verdicts import (
    FAIL_EFFECT,
    FAIL_Q,
    WARN_Q,
    Bench,
    assemble,
    judge_facts,
    judged,
    judged_by_nothing,
)
from scenario_gen.stats.contrast import MIN_CLUSTERS, Ids

T = TypeVar("T")

MOST_PATHS = 2000  # the error of the reference decides long before that
CONTROL_PATHS = 200  # of a control that is made of the paths: its mean placement is then sure to .02
ODD_SCALE = 2.0  # ratio of volatilities that makes one ask whether the bars are of one length


@dataclass(frozen=True, eq=False)
class _Question:
    """What is compared in one run."""

    mode: Mode
    paths: BarArrays
    clusters: Ids
    contexts: int
    given: int
    histories: tuple[Candles, ...]
    context: Candles | None
    training: Sequence[Candles]
    gauge: Gauge
    audit: Audit
    facts: list[Fact]
    seed: int
    once: Once

    def rng(self, purpose: int) -> np.random.Generator:
        """Return random numbers of one purpose: more of one never shifts another's."""
        return np.random.default_rng([self.seed, purpose])


def check_facts(
    paths: BarArrays,
    reference: Candles | Sequence[Candles],
    *,
    context_ids: Ids | None = None,
    context: Candles | None = None,
    timestamps: pd.DatetimeIndex | None = None,
    training: Sequence[Candles] = (),
    seed: int,
    once: Once | None = None,
) -> FactsReport:
    """Judge paths by stylized facts and ensemble scores against real windows of the same length.

    Mode C (paths of one context) where a context is given or all ``context_ids`` are one: could a stretch of real time
    look like them? Mode B otherwise: do they come from the mix of all of history? Of fewer than 20 contexts the facts
    are judged as in mode C, each on its mean over them. Paths beyond 2000 are left out, evenly. A reference that shares
    its bars with the generator's training makes the tests conservative: give held-out history where there is some.

    Args:
        paths: valid candles of one length.
        reference: the instrument's history up to the context's end, or several histories to pool; the first is
            the instrument's own and says how to measure.
        context_ids: int64 [path], the context that each path was sampled from; None: one context, or none.
        context: the bars before the paths, where all paths have the same.
        timestamps: stamps of the paths' bars: their frequency must be the reference's, and intraday they say where
            in a session each bar stands. Without them intraday bars must come with the reference's clock.
        training: histories that the generator was trained on, for the copy test.
        seed: of random groups, controls and splits.
        once: what was measured of this reference before, for ensembles that follow each other; it is filled here.

    Raises:
        CheckError: the paths cannot be judged (too few, broken prices, another frequency).
        DataError: the reference is shorter than two bars.
    """
    histories = (reference,) if isinstance(reference, Candles) else tuple(reference)
    admit(paths, histories, context_ids, timestamps)
    once = (once or Once()).of(histories, seed)
    gauge = once.measured("gauge", lambda: Gauge.of(histories[0]))
    paths = on_one_gauge(paths, gauge, timestamps)
    asked = _question(paths, histories, context_ids, context, training, gauge, seed, once)
    cut = _cut(asked)
    if cut is None or cut.cluster_count < MIN_CLUSTERS:
        return _too_short(asked, cut)
    return _compared(asked, cut)


def _question(
    paths: BarArrays,
    histories: tuple[Candles, ...],
    context_ids: Ids | None,
    context: Candles | None,
    training: Sequence[Candles],
    gauge: Gauge,
    seed: int,
    once: Once,
) -> _Question:
    rows = spread_rows(len(paths), MOST_PATHS)
    used = paths.select(rows)
    ids = None if context_ids is None else np.asarray(context_ids)[rows]
    contexts = 0 if ids is None else len(np.unique(ids))
    mode: Mode = "C" if contexts == 1 or (ids is None and context is not None) else "B"
    rng = np.random.default_rng([seed, 0])
    return _Question(
        mode=mode,
        paths=used,
        clusters=path_clusters(used, None if mode == "C" else ids, rng),
        contexts=contexts,
        given=len(paths),
        histories=histories,
        context=context,
        training=training,
        gauge=gauge,
        audit=once.measured("audit", lambda: merged_audit(histories)),
        facts=[fact for fact in FACTS if applies(fact, used)],
        seed=seed,
        once=once,
    )


def _cut(asked: _Question) -> Reference | None:
    length, place = asked.paths.length, first_place(asked.paths)
    return asked.once.measured(
        ("cut", length, place), lambda: cut_reference(asked.histories, length, asked.gauge, first_place=place)
    )


def _real(asked: _Question, cut: Reference) -> Sample:
    return asked.once.measured(
        ("real", asked.paths.length, first_place(asked.paths)),
        lambda: Sample.measure(cut.bars, cut.clusters, asked.gauge),
    )


def _compared(asked: _Question, cut: Reference) -> FactsReport:
    synthetic = Sample.measure(asked.paths, asked.clusters, asked.gauge)
    real = _real(asked, cut)
    reasons = untestable(
        asked.facts, asked.paths.length, asked.audit, [set(synthetic.statistics), set(real.statistics)]
    )
    caps = caps_of(cut, asked.contexts)
    matched = _matched(asked, cut)
    to_come = Next.after(cut, 1 if asked.mode == "C" else asked.contexts)
    shown = [f for f in asked.facts if judged(f) and f.id not in reasons]
    bench = Bench(
        real=real,
        controls=_controls(shown, real, asked) if to_come is None else _own_controls(shown, asked),
        untestable=reasons,
        next=to_come,
        cap="; ".join(caps),
        independent=cut.bars_of_time // asked.paths.length,
        matched=None if matched is None else real.select(matched),
    )
    facts = judge_facts(synthetic, bench, asked.facts)
    notes = [*_notes(synthetic, real), *_few_contexts(to_come)]
    return _report(asked, cut, facts, _scores(asked, synthetic, real, reasons), caps, notes)


def _matched(asked: _Question, cut: Reference) -> np.ndarray | None:
    if asked.mode != "C" or asked.context is None or len(asked.histories) > 1:
        return None
    return like_context(cut.starts, asked.histories[0], asked.context, asked.gauge)


def _controls(facts: Sequence[Fact], real: Sample, asked: _Question) -> dict[str, Sample]:
    """Return the controls that these facts name, as many paths as were given, measured like them."""
    names = sorted({fact.control for fact in facts} - {""})
    shape = (asked.paths.length, first_place(asked.paths), len(asked.paths))
    return {
        name: asked.once.measured(("control", name, *shape), lambda name=name: _control(name, real, asked))  # type: ignore[misc]
        for name in names
    }


def _control(name: str, real: Sample, asked: _Question) -> Sample:
    made = negative_control(name, real.bars, len(asked.paths), asked.rng(1))
    return Sample.measure(made, path_clusters(made, None, asked.rng(2)), asked.gauge)


def _own_controls(facts: Sequence[Fact], asked: _Question) -> dict[str, Sample]:
    """Return the controls that these facts name, made of the paths themselves: broken in one way, of one context."""
    made: dict[str, Sample] = {}
    for name in sorted({fact.control for fact in facts} - {""}):
        bars = negative_control(name, asked.paths, min(len(asked.paths), CONTROL_PATHS), asked.rng(1))
        named = [fact.id for fact in facts if fact.control == name]
        made[name] = Sample.measure(bars, path_clusters(bars, None, asked.rng(2)), asked.gauge, named)
    return made


def _few_contexts(to_come: Next | None) -> list[str]:
    if to_come is None or to_come.contexts == 1:
        return []
    return [
        f"{to_come.contexts} contexts, fewer than {ENOUGH_CONTEXTS}, need not mix as all of history does: facts are "
        "held to how far stretches of real time lie apart"
    ]


def _scores(asked: _Question, synthetic: Sample, real: Sample, reasons: dict[str, str]) -> list[ScoreVerdict]:
    names = [fact.id for fact in asked.facts if judged(fact) and fact.id not in reasons]
    rows = spread_rows(len(real), MOST_PATHS)
    some = real.select(rows)
    x, y = fact_space({n: synthetic.values(n) for n in names}, {n: some.values(n) for n in names})
    of = (tuple(names), len(x), asked.paths.length, first_place(asked.paths))

    def keep(name: str, make: Callable[[], T]) -> T:
        return asked.once.measured(("score", name, *of), make)

    return judge_scores(
        asked.paths,
        some.bars,
        (Points(x, synthetic.clusters), Points(y, some.clusters)),
        history=asked.histories[0],
        known=_known(asked),
        one_context=asked.mode == "C",
        rng=asked.rng(3),
        keep=keep,
    )


def _known(asked: _Question) -> list[Candles]:
    """Return the histories that a generator could have copied, each once."""
    known = [*asked.histories, *asked.training, *([asked.context] if asked.context is not None else [])]
    return list({history.sha256(): history for history in known}.values())


def _notes(synthetic: Sample, real: Sample) -> list[str]:
    ours, theirs = float(np.median(synthetic.bars.s)), float(np.median(real.bars.s))
    if theirs > 0 and not 1 / ODD_SCALE <= ours / theirs <= ODD_SCALE:
        return [
            f"the paths' volatility is {ours / theirs:.2g} times that of the real windows (medians): unless the "
            "context explains it, ask whether both have bars of one length"
        ]
    return []


def _too_short(asked: _Question, cut: Reference | None) -> FactsReport:
    count = 0 if cut is None else cut.cluster_count
    reason = too_short(count, asked.paths.length)
    facts = judged_by_nothing(asked.facts, reason)
    return _report(asked, cut, facts, [], [], [reason])


def _report(
    asked: _Question,
    cut: Reference | None,
    facts: list[FactVerdict],
    scores: list[ScoreVerdict],
    caps: list[str],
    notes: list[str],
) -> FactsReport:
    design = Design(
        mode=asked.mode,
        bars=asked.paths.length,
        paths=len(asked.paths),
        paths_given=asked.given,
        path_clusters=len(np.unique(asked.clusters)),
        windows=0 if cut is None else len(cut.clusters),
        clusters=0 if cut is None else cut.cluster_count,
        reference_bars=max(len(h) for h in asked.histories) if cut is None else cut.bars_of_time,
        caps=caps,
        seed=asked.seed,
    )
    long = long_figures(asked.paths, asked.histories[0], asked.gauge, asked.once)
    return assemble(design, facts, scores, asked.audit, notes, long)


def first_place(paths: BarArrays) -> int | None:
    """Return the bar of the session at which all paths begin; None where they begin at different ones."""
    if paths.bar_of_day is None:
        return None
    places = np.unique(paths.bar_of_day[:, 0])
    return int(places[0]) if len(places) == 1 and places[0] >= 0 else None


# --- Findings on stylized facts and scores: one per group, the label of its worst member and which member that is ---


FACTS_BAND = f"real windows of the same length (FAIL: q < {FAIL_Q:g}, effect {FAIL_EFFECT:g}; WARN: q < {WARN_Q:g})"
RANKS_BAND = f"what came ranks evenly (FAIL: q < {FAIL_Q:g}, effect {FAIL_EFFECT:g}; WARN: q < {WARN_Q:g})"
SCORES_BAND = "what 95 % of real windows against real windows keep to"


@dataclass(frozen=True)
class Member:
    """A judged fact or score of a group."""

    name: str
    label: Label
    title: str  # what it measures
    figures: str  # of reality and of the paths, in words; "" where it has none
    reason: str  # of the label
    effect: float  # how far off it is


def members_of(facts: Iterable[FactVerdict], scores: Iterable[ScoreVerdict]) -> dict[str, list[Member]]:
    """Return the judged members of each group, facts before scores."""
    groups: dict[str, list[Member]] = {}
    for fact in facts:
        if fact.label is not None:
            means = (fact.real_mean, fact.synthetic_mean)
            figures = "" if None in means else f"real {fact.real_mean:.3g}, paths {fact.synthetic_mean:.3g}; "
            effect = 0.0 if fact.comparison is None else fact.comparison.effect
            member = Member(fact.fact, fact.label, fact.title, figures, fact.reason, effect)
            groups.setdefault(fact.group, []).append(member)
    group_of = {name: group for group, names in SCORE_GROUPS.items() for name in names}
    for score in scores:
        if score.label is not None:
            member = Member(score.score, score.label, score.title, "", score.reason, 0.0)
            groups.setdefault(group_of[score.score], []).append(member)
    return groups


def decisive(members: Sequence[Member]) -> tuple[Label, list[Member]]:
    """Return the worst label of a group, and the members that carry it; UNTESTABLE where nothing was judged."""
    label = worst((member.label for member in members), "UNTESTABLE")
    return label, [member for member in members if member.label == label]


def facts_check(report: FactsReport) -> Check:
    """Return whose findings a report's are: facts by the rank of what came (mode A) judge over many contexts."""
    return FACTS_BY_ORIGIN if report.mode == "A" else judged_as.FACTS


def facts_findings(scenario: str, report: FactsReport) -> list[Finding]:
    """Return one finding per group of facts and scores that has members, in the words of a run."""
    findings = []
    for group, members in members_of(report.facts, report.scores).items():
        label, alike = decisive(members)
        top = max(alike, key=lambda member: member.effect)
        count = f"{len(alike)} of {len(members)} {label}; " if len(members) > 1 else ""
        finding = facts_check(report).finding(
            label,
            f"{count}{top.title}: {top.figures}{top.reason}",
            part=group,
            band=SCORES_BAND if group in SCORE_GROUPS else RANKS_BAND if report.mode == "A" else FACTS_BAND,
            scenario=scenario,
            offenders=[member.name for member in members if member.label in ("FAIL", "WARN")],
        )
        findings.append(finding)
    return findings


def given_findings(report: FactsReport, *, exempt: bool = False) -> list[Finding]:
    """Return one finding per group of facts and per group of scores, in the words of a check of given paths.

    Args:
        report: on their facts and scores.
        exempt: the generator resamples history, so copies are not judged.
    """
    members = members_of(report.facts, report.scores)
    lacking = "; ".join(report.notes) or "nothing of it could be computed"
    return [
        group_finding(
            facts_check(report), group, members.get(group, []), EXEMPT if exempt and group == COPY.key else lacking
        )
        for group in (*(name for name in members if name not in SCORE_GROUPS), *SCORE_GROUPS)
    ]


def group_finding(check: Check, group: str, members: Sequence[Member], lacking: str) -> Finding:
    """Return a group's finding: the first decisive member's reason in full, and the names of the others."""
    label, alike = decisive(members)
    others = ", ".join(member.name for member in alike[1:])
    told = f"{alike[0].name}: {alike[0].reason}" + (f"; also {others}" if others else "") if alike else lacking
    return check.finding(label, told, part=group)


def unjudged_facts_finding(scenario: str, reason: str) -> Finding:
    """Return the finding on paths that cannot be compared with real windows."""
    band = "paths that can be compared with real windows"
    return judged_as.FACTS.finding("UNTESTABLE", reason, band=band, scenario=scenario)
