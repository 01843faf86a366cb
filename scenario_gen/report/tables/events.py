"""Events: how rare each is, under which generator, in history, and what strategies do in them; for page and terminal.

Owns which number stands in which column, the exceedance curve and the sentences beside them. Computes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from scenario_gen.backtest.metrics import Form
from scenario_gen.report import words
from scenario_gen.report.drawing.charts import Chart, ChartPanel, bar_ticks, drawing, spread
from scenario_gen.report.drawing.strips import nice_ticks
from scenario_gen.report.numbers import level, percent
from scenario_gen.report.table import Answer, Column, PlacedScenario, Ref, Table, show, tabulate
from scenario_gen.report.words import Sentence, name, plural, say
from scenario_gen.stats.estimate import Estimate
from scenario_gen.store.results import StressRun
from scenario_gen.stress.exceedance import CurvePoint
from scenario_gen.stress.rare import Sampled
from scenario_gen.stress.reverse import Reverse, Trait
from scenario_gen.stress.verdicts import RARE, RAREST, EventResult, odds, told

WRAPPED = "l why"  # a cell of words that may take several lines
TITLE = "How rare is each event?"
LEAD = (
    "How often the generator itself takes paths there: the brackets are the Monte Carlo error alone, and the spread "
    "between generators is the honest one. History is counted in windows side by side."
)
GIVEN = "What each strategy returns on the paths in the event, weighted; the paths beside it are not counted."
CAPTION = (
    "{scenario}: share of paths that come so far (log scale), islands with their band and plain paths in grey. Strokes "
    "at the foot mark where paths were killed and branched anew{check}."
)
WIDTH, HEIGHT, BOX = 940, 330, (62.0, 26.0, 924.0, 286.0)


def events_answer(run: StressRun, placed: Sequence[PlacedScenario], base: PlacedScenario) -> Answer | None:
    """Return what is said of all events of a run; None where none was asked."""
    del run, base
    asked = [scenario for scenario in placed if scenario.scenario.event is not None]
    if not asked:
        return None
    rows = [_EventRow(scenario.title, scenario.find("event")) for scenario in asked]
    tables = [events_table(rows), *filter(None, [_given_table(asked)])]
    with drawing():
        figures = [(_curve(row.event), _caption(row)) for row in rows if row.event.sampled.method == "splitting"]
    return Answer(TITLE, (say(LEAD), *map(how_sampled, rows)), tuple(tables), tuple(figures))


class _EventRow(Ref):
    """An event with the name of its scenario."""

    def __init__(self, title: str, ref: Ref) -> None:
        super().__init__(ref.value, ref.at)
        object.__setattr__(self, "title", title)

    title: str

    @property
    def event(self) -> EventResult:
        """The result."""
        found: EventResult = self.value
        return found


def event_row(title: str, event: EventResult) -> Ref:
    """Return the row of one event that is in no run."""
    return _EventRow(title, Ref(event, ""))


def events_table(rows: Sequence[Ref]) -> Table:
    """Return one row per event: this generator, the baselines, history, and how many stories stand behind it.

    Args:
        rows: made by :func:`event_row`.
    """
    others = list(dict.fromkeys(model.generator for row in rows for model in row.value.models))
    columns = [
        Column(
            "event", lambda row: f"{row.event.words} within {plural(row.event.horizon, 'bar')}", left=True, css=WRAPPED
        ),
        Column("this generator", lambda row: _chances(row.event.sampled.probability), css="why"),
        *(Column(name, partial(_other, name=name), css="why") for name in others),
        Column("history", lambda row: _history(row.event.history), css="why"),
        Column("independent stories", lambda row: _stories(row.event.sampled), css="why"),
        Column("found by", lambda row: _found_by(row.event.sampled), left=True, css=WRAPPED),
    ]
    return tabulate("scenario", columns, rows, lambda row: row.title, title="Events")


def _chances(estimate: Estimate) -> str:
    """Return a share of paths as ``1 in 420 (1 in 330 to 540)``."""
    if not estimate.value or estimate.value > RARE:
        return told(estimate)
    shown = odds(estimate.value)
    if estimate.value < RAREST:
        return shown
    if estimate.low is None or estimate.high is None or estimate.low <= 0:
        return shown if estimate.high is None else f"{shown} (at most {odds(estimate.high)})"
    return f"{shown} ({odds(estimate.high)} to {odds(estimate.low).removeprefix('1 in ')})"


def _other(row: Ref, name: str) -> str:
    event: EventResult = row.value
    model = next((model for model in event.models if model.generator == name), None)
    if model is None:
        return "as this generator"
    return model.reason or _chances(model.probability)


def _history(counted: Estimate | None) -> str:
    if counted is None:
        return "not counted"
    if not counted.n:
        return "no window beside the context"
    low, high = counted.low or 0.0, 1.0 if counted.high is None else counted.high
    span = f"at most {odds(high)}" if low <= 0 else f"{odds(high)} to {odds(low).removeprefix('1 in ')}"
    return f"{counted.count} of {counted.n} windows ({span})"


def _stories(sampled: Sampled) -> str:
    if sampled.genealogy is None:
        return "as many as paths" if sampled.method == "rejection" else "none"
    return f"{sampled.genealogy.alike:,.0f} of {sampled.genealogy.paths:,} paths"


def _found_by(sampled: Sampled) -> str:
    if sampled.method == "rejection":
        return f"{sampled.paths:,} plain paths"
    return f"{sampled.islands} islands, {sampled.paths:,} paths"


def how_sampled(row: Ref) -> Sentence:
    """Return how the paths of an event were found and what that saved, in one sentence."""
    event: EventResult = row.value
    sampled, title = event.sampled, getattr(row, "title", "")
    if sampled.method == "rejection":
        return (f"{title}: {sampled.plain.count:,} of {sampled.paths:,} plain paths are in the event.",)
    saved = ""
    if sampled.gain is not None:
        saved = f"; plain paths would take {sampled.gain:,.1f} times the bars for the same error"
    family = sampled.genealogy
    shared = f" Two paths of one island share {family.shared:.0%} of their bars." if family is not None else ""
    return (
        f"{title}: {sampled.islands} independent islands, {sampled.cost:.1f} times the bars of the plain paths{saved}; "
        f"{sampled.stopped}.{shared}",
    )


def _given_table(asked: Sequence[PlacedScenario]) -> Table | None:
    columns = [
        Column("strategy", lambda ref: ref.value.strategy, left=True, css="l"),
        Column("mean return", "mean", "signed percent", half=True),
        Column("median", "median", "signed percent"),
        Column("5% quantile", "low", "signed percent"),
        Column("paths that lose", "losing", "share"),
    ]
    named = {ref.at: scenario.title for scenario in asked for ref in scenario.each("event/given")}
    rows = [ref for scenario in asked for ref in scenario.each("event/given")]
    if not rows:
        return None
    return tabulate("in the event of", columns, rows, lambda ref: named[ref.at], title="Given the event", caption=GIVEN)


def _caption(row: _EventRow) -> Sentence:
    compared = [abs(point.z) for point in row.event.sampled.curve if point.z is not None]
    check = f"; at most {max(compared):.1f} standard errors lie between both" if compared else ""
    return say(CAPTION, scenario=row.title, check=check)


def curve_table(event: EventResult, most: int = 9) -> Table:
    """Return some levels of the exceedance curve, for the terminal."""
    curve = event.sampled.curve
    step = max(1, math.ceil(len(curve) / most))
    columns = [
        Column("islands", lambda row: _chances(row.value.islands) if row.value.islands.value is not None else "-"),
        Column("plain paths", lambda row: f"{row.value.plain.count} of {row.value.plain.n}"),
        Column("standard errors apart", lambda row: "" if row.value.z is None else f"{row.value.z:+.1f}"),
    ]
    rows = [Ref(point, "") for point in curve[::-1][::step][::-1]]
    return tabulate("comes to", columns, rows, lambda row: _measure(event, row.value.at), title="How far paths come")


def _measure(event: EventResult, at: float) -> str:
    """Return a level of what an event measures, in its own sign."""
    signed = -at if event.threshold < 0 else at
    return f"{100 * signed:.1f} %"


# --- The curve ---


def _curve(event: EventResult) -> Markup:
    """Draw the share of paths that come to a level, by islands and by plain paths, with the levels of the killing."""
    curve = [point for point in event.sampled.curve if point.islands.value]
    floor = math.floor(math.log10(min((point.islands.value or 1.0 for point in curve), default=0.1)))
    left, right = min(point.at for point in curve), max(*(point.at for point in curve), abs(event.threshold))
    chart = Chart(WIDTH, HEIGHT)
    panel = chart.panel(BOX, (left, right), (floor, 0))
    panel.rows([(-power, f"{10.0**-power:.0%}" if power < 3 else f"1 in {10**power:,}") for power in range(-floor + 1)])
    panel.base([(tick, level(-tick if event.threshold < 0 else tick)) for tick in nice_ticks(left, right, 9)])
    _islands(panel, curve, floor)
    counted = [point for point in curve if point.plain.count]
    if len(counted) > 1:
        panel.line(
            [point.at for point in counted], [math.log10(point.plain.value or 1.0) for point in counted], "ln kr"
        )
    marks = [mark.at for mark in event.sampled.levels if left <= mark.at <= right]
    panel.segments([(at, floor, at, floor + 0.12 * -floor * 0.3) for at in marks], "axis")
    at = abs(event.threshold)
    panel.segments([(at, floor, at, 0)], "lim")
    panel.text(at, 0, event.words, "tick halo", "end", dx=-5, dy=12)
    chart.text(0, 14, "Share of paths that come to x (log scale)", "ttl")
    return chart.svg(f"Share of paths that come to x: {event.words}, {told(event.sampled.probability)}.", "fig wide")


def _islands(panel: ChartPanel, curve: Sequence[CurvePoint], floor: float) -> None:
    band = [point for point in curve if point.islands.low is not None and point.islands.high is not None]
    if band:
        low = [max(math.log10(max(point.islands.low or 0.0, 1e-300)), floor) for point in band]
        high = [math.log10(min(point.islands.high or 1.0, 1.0)) for point in band]
        panel.area([point.at for point in band], low, high, "w1")
    panel.line([point.at for point in curve], [math.log10(point.islands.value or 1.0) for point in curve], "ln k1")


# --- What breaks it: the answer of the page on what the paths in an event share, with a picture of them ---


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
