"""Calibration as tables, figures and sentences: what really came among the paths of past forecasts.

Owns which numbers of a calibration stand where. Does not judge: labels come from the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scenario_gen.report import numbers, words
from scenario_gen.report.calibration_figures import coverage_figure, dial_figure, rank_figure
from scenario_gen.report.cells import Cell, Head, PlacedScenario, Row, Table
from scenario_gen.report.figures import CURVE_NARROW, CURVE_WIDE
from scenario_gen.report.numbers import Shown, plain, small_q
from scenario_gen.report.origin_facts import origin_facts
from scenario_gen.report.tail_scores import scores_table, tails
from scenario_gen.report.words import Badge, Sentence, name, plural, say
from scenario_gen.store.results import Calibration, DialSearch

DRAWN = ("return_h", "log_volatility", "max_drawdown")  # whose ranks are drawn
MAIN = "log_volatility"  # the number by which generators are compared in one line
SKILL = "crps_log_volatility"


def calibrations(scenarios: Sequence[PlacedScenario]) -> list[dict[str, Any]]:
    """Return what the page shows of every calibration, in the order of the scenarios; the same one once."""
    shown: list[dict[str, Any]] = []
    seen: list[Calibration] = []
    for placed in scenarios:
        found = placed.scenario.calibration
        if found is None:
            continue
        if found in seen:
            shown[seen.index(found)]["title"] += f", {placed.title}"
            continue
        seen.append(found)
        shown.append(_shown(placed, found))
    return shown


def _shown(placed: PlacedScenario, found: Calibration) -> dict[str, Any]:
    at = f"{placed.at}/calibration"
    names = [name(one.name, 40) for one in (found.generator, *found.baselines)]
    return {
        "title": placed.title,
        "label": found.generator.label,
        "sentences": _sentences(found, at),
        "generators": _generators_table(found, at),
        "tails": tails(found, at),
        "scores": scores_table(found, at),
        "functionals": _functionals_table(found, at),
        "names": names,
        "coverage": [coverage_figure(found, layout) for layout in (CURVE_WIDE, CURVE_NARROW)],
        "ranks": [
            rank_figure(one)
            for one in found.generator.functionals
            if one.functional in DRAWN and one.histogram is not None
        ],
        "facts": origin_facts(found, placed.scenario.horizon, at),
        "notes": [f"{note[:1].upper()}{note[1:]}." for note in found.notes],
        "omitted": len(found.generator.omitted),
        "origins": len(found.origins),
    }


def dials(scenarios: Sequence[PlacedScenario]) -> list[dict[str, Any]]:
    """Return every search for temperature or top_p: its sentence, its curve and its table."""
    return [
        {
            "title": placed.title,
            "sentence": _dial_sentence(search, f"{placed.at}/dial"),
            "svgs": [dial_figure(search, layout) for layout in (CURVE_WIDE, CURVE_NARROW)],
            "table": _search_table(search, f"{placed.at}/dial"),
        }
        for placed in scenarios
        if (search := placed.scenario.dial) is not None
    ]


def _sentences(found: Calibration, at: str) -> list[Sentence]:
    ours = found.generator
    tested = [one for one in ours.functionals if one.label != "UNTESTABLE"]
    first = say(
        words.CALIBRATION_DONE,
        origins=numbers.count(len(found.origins)),
        horizon=plural(found.horizon, "bar"),
        paths=plain(float(found.paths), "count", f"{at}/paths"),
        mde=plain(found.smallest_mean, "number", f"{at}/smallest_mean", decimals=2),
    )
    off = [one for one in tested if one.label in ("FAIL", "WARN")]
    told = [first]
    if off:
        worst = min(off, key=lambda one: (one.label != "FAIL", one.q or 0.0))
        told.append(say(words.CALIBRATION_OFF, count=numbers.count(len(off)), all=numbers.count(len(tested)),
                        worst=worst.title, label=Badge(worst.label), way=_way(worst.mean, worst.spread)))  # fmt: skip
    told.append(_drift_sentence(found, at))
    told.append((Badge(ours.contamination.label), f" Training data: {ours.contamination.reason}."))
    return told


def _way(mean: float | None, spread: float | None) -> str:
    """Say in which way the ranks of one number are off."""
    if mean is not None and abs(mean - 0.5) >= 0.05:
        return "what came ranks too high among the paths" if mean > 0.5 else "what came ranks too low among the paths"
    if spread is not None and abs(spread - 0.25) >= 0.02:
        return "the paths are too narrow" if spread > 0.25 else "the paths are too wide"
    return "the ranks are not uniform"


def _drift_sentence(found: Calibration, at: str) -> Sentence:
    drift, base = found.generator.drift, f"{at}/generator/drift"
    return say(
        words.DRIFT,
        label=Badge(drift.label),
        generated=_between(drift.generated, drift.generated_low, drift.generated_high, f"{base}/generated"),
        realised=_between(drift.realised, drift.realised_low, drift.realised_high, f"{base}/realised"),
    )


def _between(value: float, low: float, high: float, source: str) -> Shown:
    ends = f"[{numbers.fixed(low, 2)}, {numbers.fixed(high, 2)}]"
    return Shown(numbers.fixed(value, 2), ends, value, "number", 2, source)


def _generators_table(found: Calibration, at: str) -> Table:
    """Return one row per generator: coverage, spread of ranks, skill, drift and label."""
    heads = (
        Head("Generator", left=True),
        Head("90% band of volatility holds", "share of forecasts"),
        Head("Mean rank", "½ calibrated"),
        Head("Mean distance to ½", "¼ calibrated"),
        Head("Path inside its 90% band", "all bars"),
        Head("Skill of this generator", "CRPS of volatility; t"),
        Head("Drift", "context deviations"),
        Head("Label", left=True),
    )
    rows = []
    for place, one in enumerate((found.generator, *found.baselines)):
        base = f"{at}/generator" if place == 0 else f"{at}/baselines/{place - 1}"
        number = next((n for n, f in enumerate(one.functionals) if f.functional == MAIN), None)
        main = one.functionals[number] if number is not None else None
        spot = f"{base}/functionals/{number}"
        drift = one.drift
        cells = (
            _coverage_cell(main, spot),
            Cell(plain(None if main is None else main.mean, "number", f"{spot}/mean", decimals=2)),
            Cell(plain(None if main is None else main.spread, "number", f"{spot}/spread", decimals=2)),
            Cell(_share(one.band[2], f"{base}/band/2")),
            _skill_cell(found, one.name if place else "", at),
            Cell(_between(drift.generated, drift.generated_low, drift.generated_high, f"{base}/drift/generated")),
            Cell(label=one.label, css="l vd"),
        )
        rows.append(Row(name(one.name, 40), "baseline" if place else "", cells))
    return Table("", heads, tuple(rows), css="stack")


def _coverage_cell(main: Any, spot: str) -> Cell:
    if main is None or not main.coverage:
        return Cell(Shown(numbers.NOT_APPLICABLE))
    place = next(n for n, band in enumerate(main.coverage) if band.level == 0.9)
    return Cell(_share(main.coverage[place], f"{spot}/coverage/{place}"))


def _share(band: Any, source: str) -> Shown:
    ends = f"[{numbers.fixed(100 * band.low, 0)}, {numbers.fixed(100 * band.high, 0)}]"
    return Shown(numbers.percent(band.share), ends, band.share, "percent", 1, f"{source}/share")


def _skill_cell(found: Calibration, baseline: str, at: str) -> Cell:
    for number, skill in enumerate(found.generator.skills):
        if skill.baseline == baseline and skill.score == SKILL and skill.skill is not None:
            shown = plain(skill.skill, "signed percent", f"{at}/generator/skills/{number}/skill")
            return Cell(shown, note=f"t {numbers.fixed(skill.t, 1)}")
    return Cell(Shown(numbers.NOT_APPLICABLE))


def _functionals_table(found: Calibration, at: str) -> Table:
    """Return one row per number of a path: mean rank, spread, four coverages, q and label."""
    heads = (
        Head("Number of a path", left=True),
        Head("Mean rank", "½ calibrated"),
        Head("Mean distance to ½", "¼"),
        *(Head(f"In {level}%") for level in (50, 80, 90, 95)),
        Head("q"),
        Head("Label", left=True),
    )
    rows = []
    for number, one in enumerate(found.generator.functionals):
        spot = f"{at}/generator/functionals/{number}"
        if one.mean is None or one.mean_low is None or one.mean_high is None or one.spread is None:
            cells = (Cell(text=one.reason, css="l why"), *[Cell(css="hide-s")] * 6)
        else:
            cells = (
                Cell(_between(one.mean, one.mean_low, one.mean_high, f"{spot}/mean")),
                Cell(plain(one.spread, "number", f"{spot}/spread", decimals=2)),
                *(
                    Cell(plain(band.share, "level", f"{spot}/coverage/{n}/share"))
                    for n, band in enumerate(one.coverage)
                ),
                Cell(small_q(one.q, f"{spot}/q")),
            )  # fmt: skip
        rows.append(Row(f"{one.title[:1].upper()}{one.title[1:]}", cells=(*cells, Cell(label=one.label, css="l vd"))))
    return Table("", heads, tuple(rows), css="stack")


def _dial_sentence(search: DialSearch, at: str) -> Sentence:
    told = say(
        words.DIAL_CHOSEN,
        searched=search.searched.replace(", ", " and "),
        temperature=plain(search.temperature, "number", f"{at}/temperature", decimals=2),
        top_p=plain(search.top_p, "number", f"{at}/top_p", decimals=2),
        origins=plain(float(search.origins), "count", f"{at}/origins"),
        horizon=plural(search.horizon, "bar"),
        first=search.first[:10],
        last=search.last[:10],
    )
    note = f" {search.note[:1].upper()}{search.note[1:]}." if search.note else ""
    return (*told, f" The rule: {search.rule}.{note}")


def _search_table(search: DialSearch, at: str) -> Table:
    heads = (
        Head("Temperature", left=True),
        Head("top_p"),
        Head("CRPS of log volatility"),
        Head("Mean rank"),
        Head("Volatility in its 90% band"),
        Head("Return in its 90% band"),
        Head("Holds", left=True),
        Head("", left=True),
    )
    rows = []
    for number, point in enumerate(search.points):
        spot = f"{at}/points/{number}"
        chosen = (point.temperature, point.top_p) == (search.temperature, search.top_p)
        cells = (
            Cell(plain(point.top_p, "number", f"{spot}/top_p", decimals=2)),
            Cell(plain(point.crps, "number", f"{spot}/crps", decimals=4)),
            Cell(plain(point.pit_mean, "number", f"{spot}/pit_mean", decimals=2)),
            Cell(plain(point.coverage, "level", f"{spot}/coverage")),
            Cell(plain(point.return_coverage, "level", f"{spot}/return_coverage")),
            Cell(text="yes" if point.holds else "no", css="l"),
            Cell(text="chosen" if chosen else "", css="l"),
        )
        rows.append(Row(numbers.fixed(point.temperature, 3), cells=cells))
    return Table("", heads, tuple(rows), css="stack")
