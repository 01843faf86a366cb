"""Value at risk and scores of a calibration as tables: exceedances in both tails, and every score beside baselines.

Owns their columns and what is said of the tails. Does not judge: labels and p-values come from the run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from scenario_gen.checks.calibration.scores import TITLES
from scenario_gen.forecasts.exceedances import JUDGED, NEXT_BAR, VAR_LEVELS, Exceedances, decisive
from scenario_gen.forecasts.results import GeneratorCalibration
from scenario_gen.report import numbers, words
from scenario_gen.report.cells import Cell, Head, Row, Table, stacked
from scenario_gen.report.numbers import Shown, plain, small_q
from scenario_gen.report.words import Badge, Sentence, name, plural, say
from scenario_gen.store.results import Calibration

DIGITS, MOST_DECIMALS = 3, 6  # of the smallest score in a row


def tails(found: Calibration, at: str) -> dict[str, Any] | None:
    """Return label, sentences and table of the value at risk; None where no return was forecast.

    Args:
        found: the calibration.
        at: where it stands in run.json.
    """
    ours = found.generator
    if not ours.exceedances:
        return None
    return {
        "label": ours.value_at_risk,
        "flagged": ours.value_at_risk in ("FAIL", "WARN"),
        "sentences": [*_judged(ours), *_too_few(found)],
        "table": _tails_table(found, at),
    }


def _judged(ours: GeneratorCalibration) -> list[Sentence]:
    judged = [one for one in ours.exceedances if one.judged]
    off = [one for one in judged if one.label in ("FAIL", "WARN")]
    top = decisive(ours.exceedances, ours.value_at_risk)
    counts = {"all": numbers.count(len(judged)), "count": numbers.count(len(off))}
    if off and top is not None:
        return [say(words.TAILS_OFF, label=Badge(top.label), test=top.title, reason=top.reason, **counts)]
    return [say(words.TAILS_KEPT, **counts)] if judged else []


def _too_few(found: Calibration) -> list[Sentence]:
    """Say which tests have too few forecasts to be judged, and how many the levels of the next bar would take."""
    tests = found.generator.exceedances
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
                horizon=plural(found.horizon, "bar"),
                forecasts=plural(few[0].forecasts, "forecast"),
                count=numbers.count(len(few)),
                all=numbers.count(len(far)),
            )
        )
    return told


def _tails_table(found: Calibration, at: str) -> Table:
    heads = (
        Head("Return and tail", left=True),
        Head("Forecasts"),
        Head("Beyond", "expected"),
        Head("Beyond", "came"),
        Head("p of number", "Kupiec"),
        Head("p of order", "Christoffersen"),
        Head("p of size", "shortfall"),
        *(Head(name(other.name, 40), "came") for other in found.baselines),
        Head("Label", left=True),
    )
    rows = []
    for number, one in enumerate(found.generator.exceedances):
        spot = f"{at}/generator/exceedances/{number}"
        cells = (
            Cell(plain(float(one.forecasts), "count", f"{spot}/forecasts")),
            Cell(plain(one.expected, "number", f"{spot}/expected", decimals=1)),
            Cell(plain(float(one.hits), "count", f"{spot}/hits")),
            Cell(small_q(one.p_count, f"{spot}/p_count"), note="exact" if one.exact else ""),
            Cell(small_q(one.p_independence, f"{spot}/p_independence")),
            Cell(small_q(one.p_excess, f"{spot}/p_excess")),
            *(
                _beside(one, other.exceedances, f"{at}/baselines/{place}/exceedances")
                for place, other in enumerate(found.baselines)
            ),
            Cell(label=one.label, css="l vd"),
        )
        span = "Next bar" if one.functional == NEXT_BAR else f"Over {plural(found.horizon, 'bar')}"
        rows.append(Row(f"{span}, {one.tail} tail", numbers.level(one.level), cells))
    return stacked(heads, rows)


def _beside(one: Exceedances, others: Iterable[Exceedances], at: str) -> Cell:
    """Return a baseline's count in the same test, and of how many where these are not as many."""
    key = (one.functional, one.tail, one.level)
    for number, other in enumerate(others):
        if (other.functional, other.tail, other.level) == key:
            note = "" if other.forecasts == one.forecasts else f"of {numbers.count(other.forecasts)}"
            return Cell(plain(float(other.hits), "count", f"{at}/{number}/hits"), note=note)
    return Cell(Shown(numbers.NOT_APPLICABLE))


def scores_table(found: Calibration, at: str) -> Table:
    """Return one row per score: the generator's mean, and each baseline's with Diebold and Mariano's t."""
    heads = (
        Head("Score", left=True),
        Head(name(found.generator.name, 40)),
        *(Head(name(other.name, 40), "t") for other in found.baselines),
    )
    t = {(skill.baseline, skill.score): skill.t for skill in found.generator.skills}
    rows = []
    for score, mean in found.generator.scores.items():
        beside = [other.scores.get(score) for other in found.baselines]
        decimals = _decimals([mean, *(value for value in beside if value is not None)])
        cells = [Cell(plain(mean, "number", f"{at}/generator/scores/{score}", decimals=decimals))]
        for place, (other, value) in enumerate(zip(found.baselines, beside, strict=True)):
            shown = plain(value, "number", f"{at}/baselines/{place}/scores/{score}", decimals=decimals)
            against = t.get((other.name, score))
            cells.append(Cell(shown, note="" if against is None else f"t {numbers.fixed(against, 1)}"))
        title = TITLES.get(score, score)
        rows.append(Row(f"{title[:1].upper()}{title[1:]}", cells=tuple(cells)))
    return stacked(heads, rows)


def _decimals(values: Iterable[float]) -> int:
    """Return the decimals that show three digits of the smallest of the values."""
    smallest = min((abs(value) for value in values if value), default=1.0)
    return min(max(DIGITS - 1 - math.floor(math.log10(smallest)), 0), MOST_DECIMALS)
