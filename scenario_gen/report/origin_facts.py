"""Stylized facts by origin as a table: what came, ranked among the paths of its own context, fact by fact (mode A).

Owns the columns, and what is said of forecasts that are shorter or of fewer paths than the run's own question asks
for. Does not judge: labels come from the run.
"""

from __future__ import annotations

from typing import Any

from scenario_gen.checks.facts import FACTS
from scenario_gen.checks.inference import FactVerdict
from scenario_gen.checks.inference.ranked import MIN_ORIGINS
from scenario_gen.forecasts.origins import PATHS, WANTED
from scenario_gen.report import numbers, words
from scenario_gen.report.cells import Cell, Head, Row, Table
from scenario_gen.report.facts import GROUPS, difference, label_counts, means, untestable_lines
from scenario_gen.report.numbers import plain, small_q
from scenario_gen.report.words import Badge, Sentence, name, plural, say
from scenario_gen.spec.models import MAX_CALIBRATED
from scenario_gen.store.results import Calibration, FactsReport

LEAST_BARS = {fact.id: fact.min_bars for fact in FACTS}
HEADS = (
    Head("Fact", left=True),
    Head("What came", "mean"),
    Head("Paths", "mean"),
    Head("Effect", "½ − mean rank"),
    Head("q"),
    Head("Found from"),
    Head("Label", left=True),
)


def origin_facts(found: Calibration, horizon: int, at: str) -> dict[str, Any] | None:
    """Return title, sentences, table and what could not be judged of the facts of a calibration; None without any.

    Args:
        found: the calibration.
        horizon: bars of the run's paths.
        at: where the calibration stands in run.json.
    """
    facts = found.facts
    if facts is None:
        return None
    shorter = f": {plural(found.horizon, 'bar')} ahead, where the run has {numbers.count(horizon)}"
    return {
        "title": f"Stylized facts of the same forecasts{shorter if found.horizon < horizon else ''}",
        "sentence": say(
            words.ORIGIN_FACTS,
            origins=numbers.count(facts.design.windows),
            bars=plural(facts.design.bars, "bar"),
            labels=label_counts(facts),
        ),
        "limits": [*_too_short(found, facts, horizon), *_few_paths(found)],
        "table": _table(facts, f"{at}/facts"),
        "untestable": untestable_lines(facts),
    }


def _too_short(found: Calibration, facts: FactsReport, horizon: int) -> list[Sentence]:
    """Say what forecasts shorter than the run's paths leave unjudged, and what would judge it at what cost."""
    if found.horizon >= horizon:
        return []
    judged = [one for one in facts.facts if one.label is not None]
    wanting = [
        LEAST_BARS.get(one.fact, 0)
        for one in judged
        if one.label == "UNTESTABLE" and one.fact not in facts.audit.untestable
    ]
    lacking = [bars for bars in wanting if bars > found.horizon]
    reach = {"horizon": plural(found.horizon, "bar"), "run": numbers.count(horizon)}
    if not lacking:
        return [say(words.ORIGIN_FACTS_SHORT_NONE, **reach)]
    counts = {"count": numbers.count(len(lacking)), "all": numbers.count(len(judged))}
    told = [say(words.ORIGIN_FACTS_SHORT, label=Badge("UNTESTABLE"), **reach, **counts)]
    longest = _longest(found, horizon)
    more = sum(bars <= longest for bars in lacking)
    if not more:
        return [*told, say(words.ORIGIN_FACTS_NO_GAIN, longest=plural(longest, "bar"))]
    made = len(found.origins)
    origins = made if made >= MIN_ORIGINS else WANTED
    times = longest * min(_room(found, longest), origins) / (found.horizon * made)
    setting = f"checks: calibration: {{horizon: {longest}{f', origins: {origins}' if origins != made else ''}}}"
    counts = {"more": numbers.count(more), "times": numbers.fixed(times, 1)}
    return [*told, say(words.ORIGIN_FACTS_LONGER, setting=setting, **counts)]


def _longest(found: Calibration, horizon: int) -> int:
    """Return the longest horizon, the run's at most, for which the history has room for enough forecasts to judge."""
    longest = min(horizon, MAX_CALIBRATED)
    if found.history_bars is not None:
        longest = min(longest, (found.history_bars - found.context) // MIN_ORIGINS)
    return max(longest, found.horizon)


def _room(found: Calibration, horizon: int) -> int:
    """Return how many forecasts of this horizon the history has room for; as many as it takes where that is unknown."""
    if found.history_bars is None:
        return max(len(found.origins), MIN_ORIGINS)
    return (found.history_bars - found.context) // horizon


def _few_paths(found: Calibration) -> list[Sentence]:
    if found.paths >= PATHS:
        return []
    return [
        say(
            words.ORIGIN_FACTS_PATHS,
            paths=numbers.count(found.paths),
            wanted=numbers.count(PATHS),
            setting=f"checks: calibration: {{paths: {PATHS}}}",
            times=numbers.fixed(PATHS / found.paths, 1),
        )
    ]


def _table(found: FactsReport, at: str) -> Table:
    rows: list[Row] = []
    for group, title in GROUPS.items():
        members = [
            (number, fact)
            for number, fact in enumerate(found.facts)
            if fact.group == group and fact.label not in (None, "UNTESTABLE")
        ]
        rows += [Row(title, css="grp")] if members else []
        rows += [_row(fact, f"{at}/facts/{number}") for number, fact in members]
    return Table("", HEADS, tuple(rows), css="stack")


def _row(fact: FactVerdict, at: str) -> Row:
    cells = (
        *means(fact, at),
        difference(fact, at, "comparison"),
        Cell(small_q(fact.q, f"{at}/q"), css="hide-s"),
        Cell(plain(fact.mde, "number", f"{at}/mde", decimals=2), css="hide-s"),
        Cell(label=fact.label, css="l vd"),
    )
    return Row(name(fact.title[:1].upper() + fact.title[1:], 90), fact.fact, cells)
