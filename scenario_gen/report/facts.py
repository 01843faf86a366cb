"""Stylized facts as tables: paths beside real windows, fact by fact, the scores, and every scenario's groups.

Owns the columns and the place of each mark. Does not judge: labels come from the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scenario_gen.checks.inference import FactVerdict
from scenario_gen.checks.scores import ScoreVerdict
from scenario_gen.report import numbers, words
from scenario_gen.report.cells import Cell, Head, PlacedScenario, Row, Table
from scenario_gen.report.numbers import Shown, bracketed, plain, small_q
from scenario_gen.report.strips import FactStrip, Mark, Tick
from scenario_gen.report.words import Badge, Sentence, name, plural, say
from scenario_gen.store.results import Estimate, FactsReport, Label

REACH = 2.5  # real standard deviations on both sides of the real mean
GROUPS = {
    "tails": "Tails",
    "clustering": "Clustering of volatility",
    "linear": "Linear dependence",
    "asymmetry": "Asymmetry",
    "candle_shape": "Shape of a candle",
    "gaps": "Gaps",
    "volume": "Volume",
    "intraday": "Within the session",
    "scale": "Scale",
    "ensemble": "The ensemble as a whole",
}
LABELS: tuple[Label, ...] = ("FAIL", "WARN", "INCONCLUSIVE", "UNTESTABLE", "PASS")


def facts_table(base: PlacedScenario, beside: Sequence[tuple[PlacedScenario, str]]) -> Table | None:
    """Return the judged facts of one scenario, group by group; None where it has none.

    Args:
        base: whose paths.
        beside: scenarios whose means are drawn in, each with its mark ("low" or "high").
    """
    found = base.scenario.facts
    if found is None:
        return None
    rows: list[Row] = []
    for group, title in GROUPS.items():
        members = [(n, f) for n, f in enumerate(found.facts) if f.group == group and f.label is not None]
        if members and all(fact.label == "UNTESTABLE" for _, fact in members):
            continue  # told in words below the table
        rows += [Row(title, css="grp")] if members else []
        rows += [_fact_row(base, number, fact, beside) for number, fact in members if fact.label != "UNTESTABLE"]
    ticks = tuple(Tick(50 + 50 * at / REACH, f"{'+' if at > 0 else ''}{numbers.fixed(at, 0)}") for at in (-2, 0, 2))
    heads = (
        Head("Fact", left=True),
        Head("Real standard deviations from the real mean", ticks=ticks),
        Head("Real mean"),
        Head("Paths"),
        Head("Difference", "AUC − ½"),
        Head("q"),
        Head("Found from", "control"),
        Head("Real halves", "AUC − ½"),
        Head("Label", left=True),
    )
    return Table("", heads, tuple(rows), css="stack factt")


def shown_table(base: PlacedScenario) -> Table | None:
    """Return the facts that are shown and never judged."""
    found = base.scenario.facts
    if found is None:
        return None
    at = f"{base.at}/facts/facts"
    why = {fact.fact: Cell(text=_capital(fact.reason), css="l why") for fact in found.facts}
    rows = [
        Row(_capital(name(fact.title, 90)), fact.fact, (*means(fact, f"{at}/{number}"), why[fact.fact]))
        for number, fact in enumerate(found.facts)
        if fact.label is None and fact.real_mean is not None
    ]
    heads = (Head("Fact", left=True), Head("Real mean"), Head("Paths"), Head("Why", left=True))
    return Table("", heads, tuple(rows), css="stack") if rows else None


def untestable_lines(found: FactsReport) -> list[tuple[str, str]]:
    """Return which facts the data cannot judge, by reason."""
    by_reason: dict[str, list[str]] = {}
    for fact in found.facts:
        if fact.label == "UNTESTABLE":
            by_reason.setdefault(fact.reason, []).append(fact.title)
    return [(_capital(", ".join(titles)), reason) for reason, titles in by_reason.items()]


def scores_table(base: PlacedScenario) -> Table | None:
    """Return the scores of the whole ensemble beside real windows against real windows; the judged ones first."""
    found = base.scenario.facts
    if found is None or not found.scores:
        return None
    ordered = sorted(enumerate(found.scores), key=lambda entry: entry[1].label is None)
    heads = (
        Head("Score", left=True),
        Head("Paths"),
        Head("Real against real", "median"),
        Head("Limit", "95% of real splits"),
        Head("Label", left=True),
    )
    rows = tuple(_score_row(base, number, score) for number, score in ordered)
    return Table("", heads, rows, css="stack")


def groups_table(scenarios: Sequence[PlacedScenario]) -> Table | None:
    """Return the worst label of each group, a column per scenario."""
    known = [(placed, placed.scenario.facts) for placed in scenarios]
    reports = [(placed, found) for placed, found in known if found is not None]
    if len(reports) < 2:
        return None
    rows = [
        Row(title, cells=tuple(_group_cell(found, group) for _, found in reports))
        for group, title in GROUPS.items()
        if any(group in found.groups for _, found in reports)
    ]
    heads = (
        Head("Group", left=True),
        *(Head(p.title, "baseline" if p.scenario.role == "baseline" else "", left=True) for p, _ in reports),
    )
    return Table("", heads, tuple(rows), css="stack")


def facts_sentences(base: PlacedScenario) -> list[Sentence]:
    """Return how many facts differ, what they were compared with, and how much the market differs from itself."""
    found = base.scenario.facts
    if found is None:
        return []
    design, at = found.design, f"{base.at}/facts/design"
    told = [
        say(
            words.FACTS_COUNT,
            scenario=base.title,
            paths=plain(float(design.paths), "count", f"{at}/paths"),
            windows=plain(float(design.windows), "count", f"{at}/windows"),
            bars=plural(design.bars, "bar"),
            clusters=plain(float(design.clusters), "count", f"{at}/clusters"),
            labels=label_counts(found),
        ),
        _halves_sentence(found),
    ]
    if design.caps:
        told.append(say(words.FACTS_CAPPED, why="; ".join(design.caps)))
    return told + [(f"{_capital(note)}.",) for note in found.notes]


def label_counts(found: FactsReport) -> Sentence:
    """Return how many judged facts carry each label, the worst first."""
    labels = [fact.label for fact in found.facts if fact.label is not None]
    counts: list[Sentence] = [
        (f"{numbers.count(labels.count(label))} ", Badge(label)) for label in LABELS if label in labels
    ]
    return tuple(piece for n, part in enumerate(counts) for piece in ((", ",) if n else ()) + part)


def _halves_sentence(found: FactsReport) -> Sentence:
    titles = [fact.title for fact in found.facts if fact.fact in found.yardstick]
    if not titles:
        return say(words.HALVES_NONE)
    return say(words.HALVES_SOME, facts=", ".join(titles), count=numbers.count(len(titles)))


def beside_base(base: PlacedScenario, scenarios: Sequence[PlacedScenario]) -> list[tuple[PlacedScenario, str]]:
    """Return the coolest and the hottest scenario of the base's context and horizon, each with its mark."""
    kin = [p for p in scenarios if p is not base and p.scenario.facts is not None and _alike(p, base)]
    own = base.scenario.generator.get("temperature")
    if not isinstance(own, int | float):
        return []
    heats = [(float(p.scenario.generator.get("temperature", own)), p) for p in kin]
    cooler = min((entry for entry in heats if entry[0] < own), key=lambda entry: entry[0], default=None)
    hotter = max((entry for entry in heats if entry[0] > own), key=lambda entry: entry[0], default=None)
    return [(entry[1], mark) for entry, mark in ((cooler, "low"), (hotter, "high")) if entry is not None]


def _alike(one: PlacedScenario, other: PlacedScenario) -> bool:
    mine, theirs = one.scenario, other.scenario
    return (
        mine.generator.get("kind") == "kronos"
        and mine.generator.get("model") == theirs.generator.get("model")
        and mine.context.sha256 == theirs.context.sha256
        and mine.horizon == theirs.horizon
    )


def _fact_row(
    base: PlacedScenario, number: int, fact: FactVerdict, beside: Sequence[tuple[PlacedScenario, str]]
) -> Row:
    at = f"{base.at}/facts/facts/{number}"
    real, paths = means(fact, at)
    cells = (
        Cell(fact=_strip(fact, beside), css="gcell c1"),
        real,
        replace(paths, note=_outside(fact)),
        difference(fact, at, "comparison"),
        Cell(small_q(fact.q, f"{at}/q"), css="hide-s"),
        _power_cell(fact, at),
        difference(fact, at, "halves"),
        Cell(label=fact.label, css="l vd"),
    )
    return Row(_capital(name(fact.title, 90)), fact.fact, cells)


def means(fact: FactVerdict, at: str) -> tuple[Cell, Cell]:
    """Return the real mean of a fact and that of the paths."""
    digits = _digits(fact)
    return (
        Cell(plain(fact.real_mean, "number", f"{at}/real_mean", decimals=digits)),
        Cell(plain(fact.synthetic_mean, "number", f"{at}/synthetic_mean", decimals=digits)),
    )


def _outside(fact: FactVerdict) -> str:
    """Return the share of paths beyond the middle 99% of real windows, in grey: a screen of single paths."""
    return "" if fact.outside is None else f"{numbers.percent(fact.outside)} out"


def _digits(fact: FactVerdict) -> int:
    return 3 if fact.real_mean is not None and abs(fact.real_mean) < 0.095 else 2


def difference(fact: FactVerdict, at: str, which: str) -> Cell:
    """Return the difference that counts, of location or of spread, with its interval."""
    found = fact.comparison if which == "comparison" else fact.halves
    css = "" if which == "comparison" else "hide-s"
    if found is None:
        return Cell(Shown(numbers.NOT_APPLICABLE), css=css)
    side = "location"
    if found.dispersion is not None and abs(found.location.value) < found.effect:
        side = "dispersion"
    contrast = found.location if side == "location" or found.dispersion is None else found.dispersion
    estimate = Estimate(contrast.value, contrast.low, contrast.high, 1)
    shown = bracketed(estimate, "number", f"{at}/{which}/{side}", decimals=2)
    return Cell(shown, note="spread" if side == "dispersion" else "", css=css)


def _power_cell(fact: FactVerdict, at: str) -> Cell:
    """Return the smallest difference that would be found, and with what power the control was."""
    note = ""
    if fact.control_power is not None:
        note = f"{fact.control} {numbers.percent(fact.control_power).replace('.0%', '%')}"
    return Cell(plain(fact.mde, "number", f"{at}/mde", decimals=2), note=note, css="hide-s")


def _strip(fact: FactVerdict, beside: Sequence[tuple[PlacedScenario, str]]) -> FactStrip | None:
    if fact.real_mean is None or not fact.real_sd or fact.synthetic_mean is None:
        return None
    middle, scale = fact.real_mean, fact.real_sd
    marks = [_mark(found.synthetic_mean, middle, scale, shape) for found, shape in _others(fact, beside)]
    marks.append(_mark(fact.synthetic_mean, middle, scale, "mean"))
    shift = (fact.synthetic_mean - middle) / scale
    return FactStrip(
        real=_ends(fact.real_range, middle, scale),
        paths=_ends(fact.synthetic_range, middle, scale),
        marks=tuple(mark for mark in marks if mark is not None),
        aria=f"mean of the paths {numbers.fixed(shift, 2)} real standard deviations from the real mean",
    )


def _others(fact: FactVerdict, beside: Sequence[tuple[PlacedScenario, str]]) -> list[tuple[FactVerdict, str]]:
    return [
        (theirs, shape)
        for placed, shape in beside
        for theirs in (placed.scenario.facts.facts if placed.scenario.facts is not None else ())
        if theirs.fact == fact.fact
    ]


def _mark(mean: float | None, middle: float, scale: float, shape: str) -> Mark | None:
    if mean is None:
        return None
    x = _at(mean, middle, scale)
    beyond = "left" if x < 0 else "right" if x > 100 else ""
    return Mark(min(max(x, 0.0), 100.0), shape, beyond)


def _at(value: float, middle: float, scale: float) -> float:
    return round(50 + 50 * (value - middle) / scale / REACH, 2)


def _ends(ends: tuple[float, float] | None, middle: float, scale: float) -> tuple[float, float] | None:
    if ends is None:
        return None
    low, high = (min(max(_at(end, middle, scale), 0.0), 100.0) for end in ends)
    return low, high


def _score_row(base: PlacedScenario, number: int, score: ScoreVerdict) -> Row:
    at = f"{base.at}/facts/scores/{number}"
    cells = [
        Cell(plain(value, "number", f"{at}/{key}", decimals=_score_digits(value)))
        for key, value in (("value", score.value), ("real_median", score.real_median), ("real_limit", score.real_limit))
    ]
    last = Cell(label=score.label, css="l vd") if score.label else Cell(text="shown only", css="l vd")
    return Row(_capital(name(score.title, 100)), score.score, (*cells, last))


def _score_digits(value: float | None) -> int:
    return 3 if value is not None and abs(value) < 0.095 else 2


def _group_cell(found: FactsReport, group: str) -> Cell:
    if group not in found.groups:
        return Cell(text=numbers.NOT_APPLICABLE, css="l")
    return Cell(label=found.groups[group], css="l")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
