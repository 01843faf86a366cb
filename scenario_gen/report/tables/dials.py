"""What is chosen and fitted on past forecasts before paths are drawn: searched dials, and how recalibration rescales.

As sentences and tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from scenario_gen.forecasts.dial import DialSearch
from scenario_gen.forecasts.results import Recalibration
from scenario_gen.report import numbers, words
from scenario_gen.report.drawing.closeups import dial_figure
from scenario_gen.report.drawing.figures import CURVE_NARROW, CURVE_WIDE
from scenario_gen.report.table import Column, PlacedScenario, Ref, Table, show, tabulate
from scenario_gen.report.words import Sentence, name, plural, say

KnotRow: TypeAlias = tuple[Ref, str, tuple[int, int]]  # a knot, of what, from which bar to which


def dials(scenarios: Sequence[PlacedScenario]) -> list[dict[str, Any]]:
    """Return every search for temperature or top_p: its sentence, its curve and its table."""
    return [
        {
            "title": placed.title,
            "sentence": _dial_sentence(placed.find("dial")),
            "svgs": [dial_figure(search, layout) for layout in (CURVE_WIDE, CURVE_NARROW)],
            "table": search_table(placed.find("dial")),
        }
        for placed in scenarios
        if (search := placed.scenario.dial) is not None
    ]


def _dial_sentence(ref: Ref) -> Sentence:
    search: DialSearch = ref.value
    told = say(
        words.DIAL_CHOSEN,
        searched=search.searched.replace(", ", " and "),
        temperature=show(ref.find("temperature"), "number", decimals=2),
        top_p=show(ref.find("top_p"), "number", decimals=2),
        origins=show(ref.find("origins"), "count"),
        horizon=plural(search.horizon, "bar"),
        first=search.first[:10],
        last=search.last[:10],
    )
    note = f" {search.note[:1].upper()}{search.note[1:]}." if search.note else ""
    return (*told, f" The rule: {search.rule}.{note}")


def search_table(search: Ref, **told: Any) -> Table:
    """Return every setting of the dial that was tried; ``told`` are fields of the table."""
    chosen = (search.value.temperature, search.value.top_p)
    columns = (
        Column("top_p", "top_p", "number", decimals=2),
        Column("CRPS of log volatility", "crps", "number", decimals=4),
        Column("Mean rank", "pit_mean", "number", decimals=2),
        Column("Volatility in its 90% band", "coverage", "level"),
        Column("Return in its 90% band", "return_coverage", "level"),
        Column("Holds", "holds", _yes, left=True, css="l"),
        Column("", lambda p: "chosen" if (p.value.temperature, p.value.top_p) == chosen else "", left=True, css="l"),
    )
    points = search.each("points")
    return tabulate("Temperature", columns, points, lambda point: numbers.fixed(point.value.temperature, 3), **told)


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


# --- Recalibration ---


def recalibrations(scenarios: Sequence[PlacedScenario]) -> list[dict[str, Any]]:
    """Return every recalibration with its status in words and its knots; scenarios that share them stand together."""
    groups: list[list[PlacedScenario]] = []
    for placed in scenarios:
        fit = placed.scenario.recalibration
        alike = next((group for group in groups if group[0].scenario.recalibration == fit), None)
        if fit is not None and alike is None:
            groups.append([placed])
        elif alike is not None:
            alike.append(placed)
    fits = [group[0].find("recalibration") for group in groups]
    scalings = [fit.value.scaling for fit in fits]
    return [
        {
            "sentence": _status_sentence(group, fit),
            "table": knots_table(fit) if scalings.index(fit.value.scaling) == place else None,
        }
        for place, (group, fit) in enumerate(zip(groups, fits, strict=True))
    ]


def _status_sentence(group: Sequence[PlacedScenario], ref: Ref) -> Sentence:
    fit: Recalibration = ref.value
    return say(
        words.RECALIBRATED,
        titles=", ".join(placed.title for placed in group),
        status=fit.status,
        what="volatility and volume make" if fit.scaling.volume else "volatility makes",
        origins=show(ref.find("origins"), "count"),
        horizon=plural(fit.horizon, "bar"),
        first=fit.first[:10],
        last=fit.last[:10],
        inherited=words.SHARED_FIT.format(scenario=name(fit.fitted_on)) if fit.fitted_on else "",
        meaning=words.STATUS[fit.status],
    )


def _in_words(stretch: tuple[int, int]) -> str:
    """Return the bars of a knot, counted from 1."""
    start, stop = stretch
    return f"bar {stop}" if stop - start == 1 else f"bars {start + 1} to {stop}"


def _knots(recalibration: Ref) -> list[KnotRow]:
    """Return every knot with what it is of and the bars that it holds for."""
    stretches: list[tuple[int, int]] = recalibration.find("scaling/stretches").value
    return [
        (ref, what, stretches[place])
        for what, path in (("volatility", "scaling/knots"), ("volume", "scaling/volume"))
        for place, ref in enumerate(recalibration.each(path))
    ]


def knots_table(recalibration: Ref, title: str = "") -> Table:
    """Return one row per knot: how log volatility and log volume are moved, and the noise that is added."""
    numbers_of = (("Location", "location"), ("Slope", "slope"), ("Noise", "noise"), ("Width", "width"))
    columns = [Column(head, path, "number", decimals=2) for head, path in numbers_of]
    cells = [replace(column, get=partial(_knot, str(column.get))) for column in columns]
    return tabulate(
        "Of log volatility, and of log volume",
        cells,
        _knots(recalibration),
        lambda row: f"{row[1].capitalize()}, {_in_words(row[2])}",
        title=title,
        caption="Fitted to all past forecasts. Location: how much higher than forecast what came lay (.1 is a tenth). "
        "Slope: how that grows with the forecast; below 0 forecasts differ too much between contexts. Noise: deviation "
        "that the forecasts lacked, added to every path. Width below 1: bands are narrowed to it.",
    )


def _knot(path: str, row: KnotRow) -> Ref:
    return row[0].find(path)
