"""What breaks it: the answer of the page on what the paths in an event share, with a picture of them.

Owns its columns, words and picture. Every number was computed by the run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from scenario_gen.backtest.metrics import Form
from scenario_gen.report import words
from scenario_gen.report.drawing.charts import Chart, bar_ticks, drawing, spread
from scenario_gen.report.drawing.strips import nice_ticks
from scenario_gen.report.numbers import level, percent
from scenario_gen.report.table import Answer, Column, PlacedScenario, Ref, Table, show, tabulate
from scenario_gen.report.words import Sentence, name, plural, say
from scenario_gen.store.results import StressRun
from scenario_gen.stress.reverse import Reverse, Trait

TOLD = 3  # traits in a sentence
CLEAR = 0.5  # standard deviations from which a trait is told


@dataclass(frozen=True)
class _Words:
    """How a trait is called, and in which form its means are shown."""

    title: str
    form: Form
    decimals: int = 0


TRAIT_WORDS = {
    "volatility": _Words("Realised volatility, per year", "percent"),
    "gap_share": _Words("Share of squared moves in gaps", "percent"),
    "trend": _Words("Way come over that of a random walk", "number", 2),
    "turns": _Words("Share of bars that turn", "percent"),
    "persistence": _Words("Correlation of a return with the one before", "number", 2),
    "first_half": _Words("Return of the first half", "signed percent"),
    "second_half": _Words("Return of the second half", "signed percent"),
    "louder": _Words("Log volatility, second half less first", "number", 2),
    "worst_bar": _Words("Worst bar", "signed percent"),
    "deepest_fall": _Words("Deepest fall of the price", "percent"),
}


def reverse_answer(run: StressRun, scenarios: Sequence[PlacedScenario], base: PlacedScenario) -> Answer | None:
    """Return what the paths share that break a strategy; None where no scenario asks for that."""
    asked = [(placed, placed.scenario.reverse) for placed in scenarios]
    told = [(placed, reverse) for placed, reverse in asked if reverse is not None]
    if not told:
        return None
    shown = [(placed, reverse) for placed, reverse in told if not reverse.reason]
    with drawing():
        figures = [
            (reverse_figure(reverse), say(words.REVERSE_CAPTION, scenario=placed.title)) for placed, reverse in shown
        ]
    return Answer(
        "What do the paths share that break the strategy?",
        tuple(_sentence(placed, reverse) for placed, reverse in told),
        tuple(_table(placed, reverse) for placed, reverse in shown),
        tuple(figures),
    )


def _sentence(placed: PlacedScenario, reverse: Reverse) -> Sentence:
    known = {"scenario": placed.title, "strategy": name(reverse.strategy)}
    if reverse.reason:
        return say(words.REVERSE_NOTHING, reason=reverse.reason, **known)
    clear = [row for row in placed.each("reverse/traits") if abs(row.value.apart.value or 0.0) >= CLEAR][:TOLD]
    paths = show(placed.find("reverse/paths"), "count")
    stories = show(placed.find("reverse/alike"), "count")
    if not clear:
        return say(words.REVERSE_ALIKE, paths=paths, stories=stories, **known)
    listed = tuple(piece for row in clear for piece in (", " if row is not clear[0] else "", *_told(row)))
    return say(words.REVERSE_SHARED, paths=paths, stories=stories, traits=listed, **known)


def _told(row: Ref) -> Sentence:
    """Return ``worst bar -4.1% [-4.3, -3.9] (all paths -2.3%)``."""
    inside, usual = (show(row.find(which), _form(row), decimals=_decimals(row)) for which in ("inside", "usual"))
    return (f"{_title(row.value).lower()} ", inside, " (all paths ", usual, ")")


def _title(trait: Trait) -> str:
    return TRAIT_WORDS[trait.name].title


def _form(row: Ref) -> Form:
    return TRAIT_WORDS[row.value.name].form


def _decimals(row: Ref) -> int:
    return TRAIT_WORDS[row.value.name].decimals


def _table(placed: PlacedScenario, reverse: Reverse) -> Table:
    columns = [
        Column("In the event", lambda row: show(row.find("inside"), _form(row), decimals=_decimals(row)), css="nw"),
        Column("All paths", lambda row: show(row.find("usual"), _form(row), decimals=_decimals(row))),
        Column("Apart", "apart", "number", unit="sd", decimals=1, css="nw"),
    ]
    return tabulate(
        "Mean of",
        columns,
        placed.each("reverse/traits"),
        lambda row: _title(row.value),
        title=f"{placed.title}: {plural(reverse.paths, 'path')} beside all.",
        caption="Apart: difference of the means in standard deviations of all paths, furthest first. Brackets: 95% "
        "intervals, from independent islands where there are any.",
    )


def reverse_figure(reverse: Reverse) -> Markup:
    """Draw the average path of the event, those that stand for others and the average of all paths."""
    lines = [reverse.inside, reverse.usual, *(story.close for story in reverse.stories)]
    changes = [value - 1.0 for line in lines for value in line]
    chart = Chart(620, 300)
    ylim = spread(min(changes), max(changes), 0.06)
    panel = chart.panel((52.0, 14.0, 540.0, 256.0), (0, reverse.bars[-1]), ylim)
    panel.rows([(tick, level(tick)) for tick in nice_ticks(*ylim, 6)])
    panel.base(bar_ticks(0, reverse.bars[-1], 8))
    for story in reverse.stories:
        panel.line(reverse.bars, [value - 1.0 for value in story.close], "ln kref thin")
    panel.line(reverse.bars, [value - 1.0 for value in reverse.usual], "ln kb")
    panel.line(reverse.bars, [value - 1.0 for value in reverse.inside], "ln k1")
    for at, text in _apart(reverse, ylim):
        panel.text(reverse.bars[-1], at, text, "tick", dx=6, dy=4)
    chart.text(296.0, 292.0, "bars after the anchor", "tick", "middle")
    largest = reverse.stories[0] if reverse.stories else None
    said = f"; the largest group of paths is {percent(largest.share)} of them" if largest else ""
    aria = (
        f"Average path of the event: {percent(reverse.inside[-1] - 1, signed=True)} after {reverse.bars[-1]} bars, all "
        f"paths {percent(reverse.usual[-1] - 1, signed=True)}{said}."
    )
    return chart.svg(aria, "fig")


def _apart(reverse: Reverse, ylim: tuple[float, float]) -> list[tuple[float, str]]:
    """Return what the paths' ends are called, moved so that no two words touch."""
    ends = [(story.close[-1] - 1.0, percent(story.share)) for story in reverse.stories]
    ends += [(reverse.inside[-1] - 1.0, "average"), (reverse.usual[-1] - 1.0, "all paths")]
    least, placed, before = (ylim[1] - ylim[0]) / 18, list[tuple[float, str]](), -math.inf
    for at, text in sorted(ends):
        before = max(at, before + least)
        placed.append((before, text))
    return placed
