"""Findings on skill, on the place of history and on the choice of parameters: how each becomes a label and a line.

A favourable label is never given for a figure alone: each is judged on its interval or its adjusted p value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scenario_gen.backtest.inference.skill import Skill
from scenario_gen.backtest.tail.marker import Marker
from scenario_gen.backtest.uses import class_name
from scenario_gen.finding import MARKER, NULLS, OVERFITTING, Finding, Label
from scenario_gen.stats.estimate import Estimate
from scenario_gen.store.results import StrategyResult
from scenario_gen.store.strategies import Choice

SKILL_LABELS: dict[str, Label] = {
    "skilled": "PASS",
    "worse": "WARN",
    "not told apart": "INCONCLUSIVE",
    "not judged": "UNTESTABLE",
}
MARKER_LABELS: dict[str, Label] = {
    "inside": "PASS",
    "low": "WARN",
    "high": "WARN",
    "undecided": "INCONCLUSIVE",
    "none": "UNTESTABLE",
}
DEFLATED = 0.95  # the deflated Sharpe ratio is a probability
DRAWING_LOTS = 0.5  # the share of splits in which a set chosen at random ranks below the median


def evidence_findings(results: Sequence[StrategyResult], scenario: str = "") -> list[Finding]:
    """Return what the evidence says of every strategy, and of every grid of parameters once."""
    return [*_nulls(results, scenario), *_markers(results, scenario), *_choices(results, scenario)]


def _nulls(results: Sequence[StrategyResult], scenario: str) -> Iterable[Finding]:
    for one in results:
        if one.nulls is not None:
            yield Finding(
                name=NULLS.key,
                label=SKILL_LABELS[one.nulls.label],
                measured=_skill_told(one.nulls),
                band=f"a mean above that of random entries with the same trades; {one.nulls.false_alarms:.1%} of "
                "strategies without skill get that",
                scenario=scenario,
                strategy=one.name,
            )


def _skill_told(found: Skill) -> str:
    if found.p_adjusted is None:
        return found.reason
    return f"{found.label}: mean return {interval(found.mean)} beyond random entries, adjusted p {found.p_adjusted:.3g}"


def _markers(results: Sequence[StrategyResult], scenario: str) -> Iterable[Finding]:
    for one in results:
        for marker in one.marker:
            yield Finding(
                name=MARKER.name(marker.stretch),
                label=MARKER_LABELS[marker.place],
                measured=marker.text,
                band=_marker_band(marker),
                scenario=scenario,
                strategy=one.name,
            )


def _marker_band(marker: Marker) -> str:
    where = "before" if marker.stretch == "context" else "after"
    return f"what came {where} the paths' begin lies within the middle 95 % of the paths"


def _choices(results: Sequence[StrategyResult], scenario: str) -> Iterable[Finding]:
    """Judge each strategy's grid once, for all its sets together."""
    by_use: dict[str, list[StrategyResult]] = {}
    for one in results:
        if one.overfitting is not None:
            by_use.setdefault(one.use, []).append(one)
    for use, sets in by_use.items():
        choice = sets[0].overfitting
        assert choice is not None
        yield Finding(
            name=OVERFITTING.key,
            label=choice_label(choice),
            measured=_choice_told(choice),
            band="a set chosen on half of history ranks above the median on the other half, and a deflated Sharpe "
            f"ratio of {DEFLATED:g}",
            scenario=scenario,
            strategy=class_name(use),
        )


def choice_label(choice: Choice) -> Label:
    """Return PASS where both tests on history do, FAIL where choosing was worse than drawing lots, else between."""
    found = choice.history.probability
    if found.low is None or found.high is None:
        return "UNTESTABLE"
    if found.low > DRAWING_LOTS:
        return "FAIL"
    deflated = choice.deflated.deflated
    held = found.high < DRAWING_LOTS and deflated is not None and deflated >= DEFLATED
    return "PASS" if held else "INCONCLUSIVE"


def _choice_told(choice: Choice) -> str:
    deflated = choice.deflated
    if deflated.deflated is None or deflated.sharpe is None:
        return deflated.reason
    told = (
        f"{choice.sets} parameter set{'s' if choice.sets > 1 else ''} on {choice.history_bars:,} real bars; the "
        f"highest Sharpe ratio {deflated.sharpe:.2f}, deflated {deflated.deflated:.2f}"
    )
    if choice.history.probability.value is None:
        return f"{told}; not cross-validated: {choice.history.reason}"
    return f"{told}; PBO by cross-validation {interval(choice.history.probability)}"


def interval(estimate: Estimate) -> str:
    """Return a fraction in percent with its 95 % interval, or why there is none."""
    if estimate.value is None:
        return estimate.reason
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2%}"
    return f"{estimate.value:.2%} [{estimate.low:.2%}, {estimate.high:.2%}]"
