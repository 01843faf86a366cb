"""What is wrong with the generator, in words: the headline's last sentence, two cards, and the caps in force.

Owns which of many findings is told first. The templates are in words, the labels in the run.
"""

from __future__ import annotations

from collections.abc import Sequence

from scenario_gen.finding import (
    BAD,
    CALIBRATION,
    FACTS,
    FACTS_BY_ORIGIN,
    GROUP,
    TOO_MANY_BAD_BARS,
    Finding,
    Label,
    calibration_label,
    failed_facts,
    holds_to,
    worst,
)
from scenario_gen.forecasts.exceedances import WARN_Q, Exceedances, decisive
from scenario_gen.forecasts.results import Calibration, FunctionalCalibration
from scenario_gen.realism.results import FactsReport, FactVerdict
from scenario_gen.report import numbers, words
from scenario_gen.report.numbers import plain
from scenario_gen.report.table import PlacedScenario
from scenario_gen.report.words import Badge, Sentence, name, say
from scenario_gen.store.results import BookScenario, StressRun

WIDTH = ("log_volatility", "max_drawdown", "path_range", "mean_log_range")  # numbers that say how far paths go


def generator_fault(run: StressRun, base: PlacedScenario) -> Sentence:
    """Return the strongest faults of the base scenario's generator, and in which direction it errs."""
    label = calibration_label(run.findings, base.scenario.name)
    facts = _facts_fault(run, base)
    if label in BAD:
        told = _calibration_fault(_calibration_of(run, base), label)
        return say(words.FAULT_BOTH, calibration=told, facts=facts) if facts else say(words.FAULT_ONE, fault=told)
    if label in (None, "UNTESTABLE"):
        return say(words.FAULT_UNJUDGED)
    if facts:
        return _capital(say(words.FAULT_ONE, fault=facts))
    if label != "PASS":
        return say(words.FAULT_LABEL, label=Badge(label))
    account = base.scenario.candles
    if account.bad_share >= TOO_MANY_BAD_BARS:
        return say(words.FAULT_CANDLES, bars=numbers.percent(account.bad_share))
    return say(words.FAULT_NONE)


def _calibration_of(run: StressRun, base: PlacedScenario) -> Calibration | None:
    """Return the calibration of a scenario; of several assets the worst."""
    if not isinstance(base.scenario, BookScenario):
        return base.scenario.calibration
    names = {f"{base.scenario.name}.{asset}" for asset in base.scenario.assets}
    own = [each.calibration for each in run.scenarios if each.name in names and each.calibration is not None]
    label = worst((each.generator.label for each in own), "PASS")
    return next((each for each in own if each.generator.label == label), None)


def _calibration_fault(calibration: Calibration | None, label: Label) -> Sentence:
    worst_one = None if calibration is None else _worst_functional(calibration, label)
    tail = None if calibration is None else decisive(calibration.generator.exceedances, label)
    what, direction = "drift", ""
    if worst_one is not None:
        what = worst_one.title
        if worst_one.functional in WIDTH and worst_one.mean is not None:
            direction = words.MILDER if worst_one.mean > 0.5 else words.DEEPER
    elif tail is not None:
        what, direction = f"value at risk ({tail.title})", _tail_direction(tail)
    return say(words.FAULT_CALIBRATION, label=Badge(label), what=what, direction=direction)


def _tail_direction(tail: Exceedances) -> str:
    """Say what exceedances of another number or size than forecast mean for falls; clusters alone say nothing."""
    if tail.tail == "upper":
        return ""
    if tail.p_count < WARN_Q:
        return words.MILDER if tail.hits > tail.expected else words.DEEPER
    sizes = (tail.p_excess, tail.p_shortfall)
    return words.MILDER if any(p is not None and p < WARN_Q for p in sizes) else ""


def _facts_fault(run: StressRun, base: PlacedScenario) -> Sentence:
    findings = _leading(run.findings, base.scenario.name)
    label = worst(finding.label for finding in findings)
    top = next((finding for finding in findings if finding.label == label), None)
    found = None if top is None else _report_of(base, top)
    if top is None or found is None or label not in BAD:
        return ()
    furthest = _worst_fact(found, label)
    what = _in_words(furthest[1].group) if furthest else "the ensemble as a whole"
    told = words.FAULT_RANKED if top.check is FACTS_BY_ORIGIN else words.FAULT_FACTS
    return say(told, label=Badge(label), what=what)


def _leading(findings: Sequence[Finding], scenario: str | None = None) -> list[Finding]:
    """Return the findings on facts that speak first.

    Those by what came, where they judge anything, with copies and diversity; else all beside real windows.
    """
    ranked, beside = FACTS_BY_ORIGIN.of(findings, scenario), FACTS.of(findings, scenario)
    if {finding.label for finding in ranked} <= {"INCONCLUSIVE", "UNTESTABLE"}:
        return beside
    copies = (FACTS.capping or {}).keys() - FACTS.doubts
    return [*ranked, *(finding for finding in beside if finding.part in copies)]


def _report_of(placed: PlacedScenario, finding: Finding) -> FactsReport | None:
    """Return the report that a finding on facts comes from."""
    if finding.check is not FACTS_BY_ORIGIN:
        return placed.scenario.facts
    return None if placed.scenario.calibration is None else placed.scenario.calibration.facts


def _in_words(group: str) -> str:
    """Return what a sentence calls a group; its key, where this version does not know it."""
    return GROUP[group].words if group in GROUP else group


def _worst_fact(report: FactsReport, label: Label) -> tuple[int, FactVerdict] | None:
    alike = [(n, fact) for n, fact in enumerate(report.facts) if fact.label == label]
    return max(alike, key=lambda e: e[1].comparison.effect if e[1].comparison else 0.0, default=None)


def _worst_functional(calibration: Calibration, label: Label) -> FunctionalCalibration | None:
    alike = [one for one in calibration.generator.functionals if one.label == label]
    return min(alike, key=lambda one: one.q if one.q is not None else 1.0, default=None)


def facts_card(run: StressRun, scenarios: Sequence[PlacedScenario], base: PlacedScenario) -> tuple[Label, Sentence]:
    """Return the worst label of any scenario's facts, and what earned it: the base scenario first."""
    findings = sorted(_leading(run.findings), key=lambda found: found.scenario != base.scenario.name)
    label = worst(found.label for found in findings)
    if label is None:
        return "UNTESTABLE", (words.ABSENT["facts card"],)
    top = next(found for found in findings if found.label == label)
    placed = next((one for one in scenarios if one.scenario.name == top.scenario), None)
    report = None if placed is None else _report_of(placed, top)
    if placed is None or report is None:
        return label, (_sentence_of(top),)
    return label, _facts_sentence(placed, report, label, top)


def _facts_sentence(placed: PlacedScenario, report: FactsReport, label: Label, top: Finding) -> Sentence:
    ranked = top.check is FACTS_BY_ORIGIN
    where = f"{placed.at}/calibration/facts" if ranked else f"{placed.at}/facts"
    judged = [fact for fact in report.facts if fact.label not in (None, "UNTESTABLE")]
    if label in ("PASS", "UNTESTABLE") and judged and all(fact.label == "PASS" for fact in judged):
        windows = plain(float(report.design.windows), "count", f"{where}/design/windows")
        passed = words.FACTS_RANKED_PASSED if ranked else words.FACTS_PASSED
        return say(passed, all=numbers.count(len(judged)), scenario=placed.title, windows=windows)
    furthest = _worst_fact(report, label)
    if furthest is None or furthest[1].real_mean is None:
        score = next((one.title for one in report.scores if one.label == label), top.measured)
        return say(words.FACTS_SCORES, scenario=placed.title, label=Badge(label), score=score)
    number, fact = furthest
    at = f"{where}/facts/{number}"
    return say(
        words.FACTS_RANKED if ranked else words.FACTS_FOUND,
        count=numbers.count(sum(one.label == label for one in judged)),
        all=numbers.count(len(judged)),
        scenario=placed.title,
        label=Badge(label),
        fact=fact.title,
        real=plain(fact.real_mean, "number", f"{at}/real_mean", decimals=2),
        paths=plain(fact.synthetic_mean, "number", f"{at}/synthetic_mean", decimals=2),
    )


def calibration_card(
    run: StressRun, scenarios: Sequence[PlacedScenario], base: PlacedScenario
) -> tuple[Label, Sentence]:
    """Return the worst label of any calibrated scenario, and what earned it: the base scenario first."""
    findings = sorted(CALIBRATION.of(run.findings), key=lambda found: found.scenario != base.scenario.name)
    label = worst(found.label for found in findings)
    if label is None:
        return "UNTESTABLE", (words.ABSENT["calibration"],)
    top = next(found for found in findings if found.label == label)
    placed = next((p for p in scenarios if p.scenario.name == top.scenario), None)
    if placed is None or placed.scenario.calibration is None:
        return label, (_sentence_of(top),)
    return label, _calibration_sentence(placed, placed.scenario.calibration, label)


def _calibration_sentence(placed: PlacedScenario, calibration: Calibration, label: Label) -> Sentence:
    tested = [one for one in calibration.generator.functionals if one.label != "UNTESTABLE"]
    alike = [one for one in tested if one.label == label]
    shared = {"origins": numbers.count(len(calibration.origins)), "scenario": placed.title}
    if label == "INCONCLUSIVE":
        return say(words.CALIBRATION_FEW, **shared)
    if label == "PASS":
        kept = say(words.CALIBRATION_KEPT, all=numbers.count(len(tested)), **shared)
        few = calibration.generator.value_at_risk == "INCONCLUSIVE"
        return (*kept, words.CALIBRATION_TAILS_FEW) if few else kept
    top = _worst_functional(calibration, label)
    tail = decisive(calibration.generator.exceedances, label)
    band = None if top is None else top.coverage_at(0.9)
    if top is None and tail is not None:
        return _tail_sentence(tail, placed, label)
    if top is None or band is None:
        return say(words.CALIBRATION_DRIFT, label=Badge(label), reason=calibration.generator.drift.reason, **shared)
    return say(
        words.CALIBRATION_CARD,
        count=numbers.count(len(alike)),
        all=numbers.count(len(tested)),
        label=Badge(label),
        what=top.title,
        share=numbers.level(round(band.share, 2)),
        **shared,
    )


def _tail_sentence(tail: Exceedances, placed: PlacedScenario, label: Label) -> Sentence:
    return say(
        words.CALIBRATION_TAILS,
        label=Badge(label),
        scenario=placed.title,
        hits=numbers.count(tail.hits),
        forecasts=numbers.count(tail.forecasts),
        expected=numbers.fixed(tail.expected, 1),
        test=tail.title,
    )


def _sentence_of(finding: Finding) -> str:
    where = f" ({name(finding.scenario)})" if finding.scenario else ""
    return f"{capital(finding.told)}{where}."


def capital(text: str) -> str:
    """Return the text with a capital letter, but for a name that it begins with, such as ``eurusd: ...``."""
    return text if text.partition(" ")[0].endswith(":") else f"{text[:1].upper()}{text[1:]}"


def caps(run: StressRun, scenarios: Sequence[PlacedScenario]) -> list[Sentence]:
    """Return the caps on favourable labels that are in force, and in which scenarios."""
    own = [p for p in scenarios if p.scenario.role == "scenario"] if run.limits else []
    held = [p.title for p in own if calibration_label(run.findings, p.scenario.name) in (None, "UNTESTABLE", "FAIL")]
    unlike = [p.title for p in own if failed_facts(run.findings, p.scenario.name)]
    doubtful = [p.title for p in own if p.title not in held and _doubts(run.findings, p.scenario.name)]
    told = []
    if held:
        told.append(say(words.CAP_CAPTION, label=Badge("INCONCLUSIVE"), scenarios=", ".join(held)))
    if unlike:
        told.append(say(words.CAP_FACTS, label=Badge("WARN"), scenarios=", ".join(unlike)))
    if doubtful:
        told.append(say(words.CAP_DOUBTS, label=Badge("INCONCLUSIVE"), scenarios=", ".join(doubtful)))
    return told


def _doubts(findings: Sequence[Finding], scenario: str) -> bool:
    return any(holds_to(finding, findings) == "INCONCLUSIVE" for finding in FACTS.of(findings, scenario))


def _capital(sentence: Sentence) -> Sentence:
    first, *rest = sentence
    return (first[:1].upper() + first[1:] if isinstance(first, str) else first, *rest)
