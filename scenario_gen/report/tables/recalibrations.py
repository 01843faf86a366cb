"""Recalibration as sentences and a table: whether it was judged, and what the paths are rescaled by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from scenario_gen.forecasts.results import Recalibration
from scenario_gen.report import words
from scenario_gen.report.table import Column, PlacedScenario, Ref, Table, show, tabulate
from scenario_gen.report.words import Sentence, name, plural, say


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
            "table": _knots_table(fit) if scalings.index(fit.value.scaling) == place else None,
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


def stretch_in_words(stretch: tuple[int, int]) -> str:
    """Return the bars of a knot, counted from 1."""
    start, stop = stretch
    return f"bar {stop}" if stop - start == 1 else f"bars {start + 1} to {stop}"


def _knots_table(recalibration: Ref) -> Table:
    """Return one row per knot: how log volatility and log volume are moved, and the noise that is added."""
    numbers_of = (("Location", "location"), ("Slope", "slope"), ("Noise", "noise"), ("Width", "width"))
    columns = [Column(head, path, "number", decimals=2) for head, path in numbers_of]
    stretches: list[tuple[int, int]] = recalibration.find("scaling/stretches").value
    rows = [
        (ref, what, stretches[place])
        for what, path in (("volatility", "scaling/knots"), ("volume", "scaling/volume"))
        for place, ref in enumerate(recalibration.each(path))
    ]
    cells = [replace(column, get=partial(_knot, str(column.get))) for column in columns]
    return tabulate(
        "Of log volatility, and of log volume",
        cells,
        rows,
        lambda row: f"{row[1].capitalize()}, {stretch_in_words(row[2])}",
        caption="Fitted to all past forecasts. Location: how much higher than forecast what came lay (.1 is a tenth). "
        "Slope: how that grows with the forecast; below 0 forecasts differ too much between contexts. Noise: deviation "
        "that the forecasts lacked, added to every path. Width below 1: bands are narrowed to it.",
    )


def _knot(path: str, row: tuple[Ref, str, tuple[int, int]]) -> Ref:
    return row[0].find(path)
