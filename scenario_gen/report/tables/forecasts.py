"""Calibration as tables, figures and sentences: what really came among the paths of past forecasts.

Owns which numbers of a calibration stand where: beside baselines, number by number, in both tails and score by score.
Does not judge: labels and p-values come from the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from scenario_gen.forecasts.exceedances import JUDGED, NEXT_BAR, VAR_LEVELS, Exceedances, decisive
from scenario_gen.forecasts.results import Calibration, GeneratorCalibration
from scenario_gen.report import numbers, words
from scenario_gen.report.drawing.closeups import coverage_figure, rank_figure
from scenario_gen.report.drawing.figures import CURVE_NARROW, CURVE_WIDE
from scenario_gen.report.numbers import Shown, plain
from scenario_gen.report.table import ABSENT, Cell, Column, PlacedScenario, Ref, Table, show, tabulate
from scenario_gen.report.tables.realism import LABEL, capitalised, origin_facts
from scenario_gen.report.words import Badge, Sentence, name, plural, say
from scenario_gen.stats.ranks import TITLES

DRAWN = ("return_h", "log_volatility", "max_drawdown")  # whose ranks are drawn
MAIN = "log_volatility"  # the number by which generators are compared in one line
SKILL = "crps_log_volatility"

DIGITS, MOST_DECIMALS = 3, 6  # of the smallest score in a row


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


def _shown(placed: PlacedScenario, calibration: Calibration) -> dict[str, Any]:
    at = f"{placed.at}/calibration"
    ref = Ref(calibration, at)
    names = [name(one.name, 40) for one in (calibration.generator, *calibration.baselines)]
    return {
        "title": placed.title,
        "label": calibration.generator.label,
        "sentences": sentences(calibration, at),
        "generators": generators_table(ref),
        "tails": tails(ref),
        "scores": scores_table(ref),
        "functionals": functionals_table(ref.each("generator/functionals")),
        "names": names,
        "coverage": [coverage_figure(calibration, layout) for layout in (CURVE_WIDE, CURVE_NARROW)],
        "ranks": [
            rank_figure(one)
            for one in calibration.generator.functionals
            if one.functional in DRAWN and one.histogram is not None
        ],
        "facts": origin_facts(calibration, placed.scenario.horizon, at),
        "notes": [f"{note[:1].upper()}{note[1:]}." for note in calibration.notes],
        "omitted": len(calibration.generator.omitted),
        "origins": len(calibration.origins),
    }


def sentences(calibration: Calibration, at: str) -> list[Sentence]:
    """Return what a calibration found, with its drift and what is known of the training data."""
    ours = calibration.generator
    tested = [one for one in ours.functionals if one.label != "UNTESTABLE"]
    first = say(
        words.CALIBRATION_DONE,
        origins=numbers.count(len(calibration.origins)),
        horizon=plural(calibration.horizon, "bar"),
        paths=plain(float(calibration.paths), "count", f"{at}/paths"),
        mde=plain(calibration.smallest_mean, "number", f"{at}/smallest_mean", decimals=2),
    )
    off = [one for one in tested if one.label in ("FAIL", "WARN")]
    told = [first]
    if off:
        worst = min(off, key=lambda one: (one.label != "FAIL", one.q or 0.0))
        told.append(say(words.CALIBRATION_OFF, count=numbers.count(len(off)), all=numbers.count(len(tested)),
                        worst=worst.title, label=Badge(worst.label), way=_way(worst.mean, worst.spread)))  # fmt: skip
    told.append(_drift_sentence(calibration, at))
    told.append((Badge(ours.contamination.label), f" Training data: {ours.contamination.reason}."))
    return told


def _way(mean: float | None, spread: float | None) -> str:
    """Say in which way the ranks of one number are off."""
    if mean is not None and abs(mean - 0.5) >= 0.05:
        return "what came ranks too high among the paths" if mean > 0.5 else "what came ranks too low among the paths"
    if spread is not None and abs(spread - 0.25) >= 0.02:
        return "the paths are too narrow" if spread > 0.25 else "the paths are too wide"
    return "the ranks are not uniform"


def _drift_sentence(calibration: Calibration, at: str) -> Sentence:
    ours = Ref(calibration.generator, f"{at}/generator")
    shown = {key: _drift(ours, key) for key in ("generated", "realised")}
    return say(words.DRIFT, label=Badge(calibration.generator.drift.label), **shown)


def _drift(generator: Ref, key: str) -> Shown:
    """Return a drift, of the paths or of what came, with its interval."""
    value, low, high = (getattr(generator.value.drift, f"{key}{end}") for end in ("", "_low", "_high"))
    return _between(value, low, high, f"{generator.at}/drift/{key}")


def _between(value: float, low: float, high: float, source: str) -> Shown:
    ends = f"[{numbers.fixed(low, 2)}, {numbers.fixed(high, 2)}]"
    return Shown(numbers.fixed(value, 2), ends, value, "number", 2, source)


def _generators(calibration: Ref) -> list[Ref]:
    """Return the judged generator, then its baselines."""
    return [calibration.find("generator"), *calibration.each("baselines")]


def generators_table(calibration: Ref) -> Table:
    """Return one row per generator: coverage, spread of ranks, skill, drift and label."""
    main = f"functionals/functional={MAIN}"
    columns = (
        Column(
            "90% band of volatility holds",
            lambda row: _share(row.find(f"{main}/coverage/level=0.9")),
            unit="share of forecasts",
        ),
        Column("Mean rank", f"{main}/mean", "number", unit="½ calibrated", decimals=2),
        Column("Mean distance to ½", f"{main}/spread", "number", unit="¼ calibrated", decimals=2),
        Column("Path inside its 90% band", lambda row: _share(row.find("band/2")), unit="all bars"),
        Column("Follows volatility", _followed, unit="correlation with what came"),
        Column("Skill of this generator", lambda row: _skill(calibration, row), unit="CRPS of volatility; t"),
        Column("Drift", lambda row: _drift(row, "generated"), unit="context deviations"),
        LABEL,
    )
    return tabulate(
        "Generator",
        columns,
        _generators(calibration),
        lambda row: (name(row.value.name, 40), "" if row.at.endswith("generator") else "baseline"),
        title="Beside simpler generators.",
        caption="All on the same forecasts. Volatility is the log realised volatility of a path. Skill above 0: better "
        "than that generator; t (Diebold and Mariano) below −2: surely so. Follows volatility: how the forecasts' "
        "median moves with what came, which even ranks alone do not show. Brackets: 95% intervals over forecasts.",
    )


def _followed(row: Ref) -> Shown:
    """Return the correlation of a generator's forecasts of volatility with what came."""
    seen = row.value.foresight
    if seen is None or seen.correlation is None:
        return ABSENT
    return _between(seen.correlation, seen.low, seen.high, f"{row.at}/foresight/correlation")


def _share(band: Ref) -> Shown:
    """Return the share of forecasts inside a band, its interval in whole percent."""
    if band.value is None:
        return ABSENT
    ends = f"[{numbers.fixed(100 * band.value.low, 0)}, {numbers.fixed(100 * band.value.high, 0)}]"
    return Shown(numbers.percent(band.value.share), ends, band.value.share, "percent", 1, f"{band.at}/share")


def _skill(calibration: Ref, row: Ref) -> Cell:
    for ref in calibration.each("generator/skills"):
        skill = ref.value
        if (skill.baseline, skill.score) == (row.value.name, SKILL) and skill.skill is not None:
            return Cell(show(ref.find("skill"), "signed percent"), note=f"t {numbers.fixed(skill.t, 1)}")
    return Cell(ABSENT)


def functionals_table(functionals: Sequence[Ref], title: str = "") -> Table:
    """Return one row per number of a path: mean rank, spread, four coverages, q and label."""
    columns = (
        Column("Mean rank", mean_rank, unit="½ calibrated"),
        Column("Mean distance to ½", "spread", "number", unit="¼", decimals=2),
        *(Column(f"In {band}%", f"coverage/{n}/share", "level") for n, band in enumerate((50, 80, 90, 95))),
        Column("q", "q", "q"),
    )
    judged = [replace(column, get=_if_judged(column)) for column in columns[1:]]
    return tabulate(
        "Number of a path",
        (columns[0], *judged, LABEL),
        functionals,
        lambda row: capitalised(row.value.title),
        title=title,
        caption="Mean rank of what came among the paths with its 95% interval, mean distance of that rank to ½, share "
        "of forecasts inside four central bands, and q adjusted for all rows.",
    )


def mean_rank(row: Ref) -> Cell:
    """Return the mean rank with its interval, or why there is none."""
    found = row.value
    if found.mean is None:
        return Cell(text=found.reason, css="l why")
    return Cell(_between(found.mean, found.mean_low, found.mean_high, f"{row.at}/mean"))


def _if_judged(column: Column) -> Callable[[Ref], Cell]:
    """Leave a cell empty where there is no rank, and so nothing beside it."""
    return lambda row: Cell(css="hide-s") if row.value.mean is None else column.cell(row)


def tails(calibration: Ref) -> dict[str, Any] | None:
    """Return label, sentences and table of the value at risk; None where no return was forecast."""
    found: Calibration = calibration.value
    ours = found.generator
    if not ours.exceedances:
        return None
    return {
        "label": ours.value_at_risk,
        "flagged": ours.value_at_risk in ("FAIL", "WARN"),
        "sentences": [*_judged(ours), *_too_few(found)],
        "table": _tails_table(calibration),
    }


def _judged(ours: GeneratorCalibration) -> list[Sentence]:
    judged = [one for one in ours.exceedances if one.judged]
    off = [one for one in judged if one.label in ("FAIL", "WARN")]
    top = decisive(ours.exceedances, ours.value_at_risk)
    counts = {"all": numbers.count(len(judged)), "count": numbers.count(len(off))}
    if off and top is not None:
        return [say(words.TAILS_OFF, label=Badge(top.label), test=top.title, reason=top.reason, **counts)]
    return [say(words.TAILS_KEPT, **counts)] if judged else []


def _too_few(calibration: Calibration) -> list[Sentence]:
    """Say which tests have too few forecasts to be judged, and how many the levels of the next bar would take."""
    tests = calibration.generator.exceedances
    near = [one for one in tests if one.functional == NEXT_BAR and not one.judged]
    far = [one for one in tests if one.functional != NEXT_BAR]
    told = []
    if near:
        levels = [f"{numbers.count(math.ceil(round(JUDGED / one, 6)))} for {numbers.level(one)}" for one in VAR_LEVELS]
        forecasts = plural(near[0].forecasts, "forecast")
        told.append(say(words.TAILS_FEW, forecasts=forecasts, needed=", ".join(levels)))
    few = [one for one in far if not one.judged]
    if few:
        told.append(
            say(
                words.TAILS_HORIZON,
                horizon=plural(calibration.horizon, "bar"),
                forecasts=plural(few[0].forecasts, "forecast"),
                count=numbers.count(len(few)),
                all=numbers.count(len(far)),
            )
        )
    return told


def _tails_table(calibration: Ref) -> Table:
    """Return one row per return, tail and level: what lay beyond, and how probable that is."""
    baselines = calibration.each("baselines")
    columns = (
        Column("Forecasts", "forecasts", "count"),
        Column("Beyond", "expected", "number", unit="expected", decimals=1),
        Column("Beyond", "hits", "count", unit="came"),
        Column("p of number", "p_count", "q", unit="Kupiec", note=lambda row: "exact" if row.value.exact else ""),
        Column("p of order", "p_independence", "q", unit="Christoffersen"),
        Column("p of size", "p_excess", "q", unit="shortfall"),
        Column("p of sum", "p_shortfall", "q", unit="Z2", note=_z2),
        Column("Of the last 250", _light, unit="Basel"),
        *(Column(name(b.value.name, 40), partial(_beside, b), unit="came") for b in baselines),
        LABEL,
    )
    horizon = plural(calibration.value.horizon, "bar")

    def head(row: Ref) -> tuple[str, str]:
        span = "Next bar" if row.value.functional == NEXT_BAR else f"Over {horizon}"
        return f"{span}, {row.value.tail} tail", numbers.level(row.value.level)

    return tabulate(
        "Return and tail",
        columns,
        calibration.each("generator/exceedances"),
        head,
        title="How often what came lay beyond the value at risk.",
        caption="Lower tail: losses of a long position; upper: of a short one. Number: as many as forecast (Kupiec; "
        "exact: binomial, below ten expected). Order: no oftener one after the other than by chance (Christoffersen). "
        "Size: the mean beyond is the expected shortfall (McNeil and Frey; not below ten, nor where the tail is one "
        "path). Sum: losses beyond add up to no more than forecast (Acerbi and Szekely’s Z2, simulated from the paths; "
        "below 0 they do). Basel: exceptions of the last 250 bars at 99%, green to 4, red from 10; shown, not judged. "
        "Labels allow for the number of tests that can be judged.",
    )


def _z2(row: Ref) -> str:
    return "" if row.value.z2 is None else f"Z2 {numbers.fixed(row.value.z2, 2)}"


def _light(row: Ref) -> Cell:
    """Return the exceptions that the Basel rules count, with the colour of their light."""
    test: Exceedances = row.value
    if test.exceptions is None:
        return Cell(ABSENT)
    return Cell(show(row.find("exceptions"), "count"), note=str(test.light))


def _beside(baseline: Ref, row: Ref) -> Cell:
    """Return a baseline's count in the same test, and of how many where these are not as many."""
    own: Exceedances = row.value
    for ref in baseline.each("exceedances"):
        test: Exceedances = ref.value
        if (test.functional, test.tail, test.level) == (own.functional, own.tail, own.level):
            note = "" if test.forecasts == own.forecasts else f"of {numbers.count(test.forecasts)}"
            return Cell(show(ref.find("hits"), "count"), note=note)
    return Cell(ABSENT)


def _title(score: str) -> str:
    title = TITLES.get(score, score)
    return capitalised(title)


def scores_table(calibration: Ref, title: str = "") -> Table:
    """Return one row per score: the generator's mean, and each baseline's with Diebold and Mariano's t."""
    generators = _generators(calibration)
    t = {(skill.baseline, skill.score): skill.t for skill in calibration.value.generator.skills}

    def cell(generator: Ref, score: str) -> Cell:
        values = [mean for row in generators if (mean := row.value.scores.get(score)) is not None]
        shown = show(generator.find(f"scores/{score}"), "number", decimals=_decimals(values))
        against = t.get((generator.value.name, score)) if generator is not generators[0] else None
        return Cell(shown, note="" if against is None else f"t {numbers.fixed(against, 1)}")

    columns = [
        Column(name(g.value.name, 40), partial(cell, g), unit="t" if n else "") for n, g in enumerate(generators)
    ]
    return tabulate(
        "Score",
        columns,
        generators[0].value.scores,
        _title,
        title=title,
        caption="Means over the forecasts, lower is better; the variogram scores see how bars hang together. t "
        "(Diebold and Mariano, where both forecast): below −2 this generator is surely better than that one, above 2 "
        "surely worse.",
    )


def _decimals(values: Iterable[float]) -> int:
    """Return the decimals that show three digits of the smallest of the values."""
    smallest = min((abs(value) for value in values if value), default=1.0)
    return min(max(DIGITS - 1 - math.floor(math.log10(smallest)), 0), MOST_DECIMALS)
