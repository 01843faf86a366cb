"""The answer on views: what somebody believes, before and after; what follows from it; and how many paths are left.

Owns its tables, and the bars of the effective number. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from scenario_gen.finding import VIEW_REACH
from scenario_gen.report import numbers
from scenario_gen.report.drawing.charts import Chart
from scenario_gen.report.table import Answer, Column, Placed, PlacedScenario, Ref, Row, Table, show, tabulate
from scenario_gen.report.words import Badge, Sentence, say
from scenario_gen.store.results import StressRun
from scenario_gen.stress.views import ENOUGH_ALIKE, ENOUGH_SHARE, FEW_ALIKE

WEIGHED = (
    "Scenario {scenario}: the paths of {base}, weighed as little as it takes for its views to hold; no path was "
    "sampled for it. {words}. "
)
FAR = "So few say little: what is believed lies far from these paths; use an event or a shock."
LEFT = (
    "As many as how many paths alike are left. Below the first line, at {few}, a scenario fails; from the second on, "
    "at {enough}, enough are left."
)
WIDE, NARROW, BAR = 940, 360, 34  # pixels
FIGURES = (("mean", "Mean"), ("0.05", "5%"), ("0.95", "95%"))


def views_answer(run: StressRun, placed: Sequence[PlacedScenario], base: PlacedScenario) -> Answer | None:
    """Return what views make of the paths, None where no scenario has any."""
    viewed = [scenario for scenario in placed if scenario.scenario.reweighed is not None]
    if not viewed:
        return None
    return Answer(
        title=_title(viewed),
        sentences=tuple(_told(run, scenario) for scenario in viewed),
        tables=(_views_table(viewed), _moved_table(viewed), _strategies_table(viewed, placed)),
        figures=((_bars(viewed), _bars_caption(viewed)),),
    )


def _title(viewed: Iterable[PlacedScenario]) -> str:
    about = dict.fromkeys(ref.value.number for scenario in viewed for ref in scenario.each("reweighed/views"))
    named = f" about the {' and the '.join(about)}" if 0 < len(about) <= 3 else ""
    return f"What if you are right{named}?"


def _told(run: StressRun, scenario: PlacedScenario) -> Sentence:
    reweighed = scenario.scenario.reweighed
    if reweighed is None:
        return ()
    words = reweighed.weighting.in_words.capitalize()
    told = say(WEIGHED, scenario=scenario.title, base=reweighed.base, words=words)
    (label,) = [finding.label for finding in VIEW_REACH.of(run.findings, scenario.scenario.name)] or ["UNTESTABLE"]
    return (*told, Badge(label), *([f" {FAR}"] if label == "FAIL" else []))


def _grouped(viewed: Sequence[PlacedScenario], columns: Sequence[Column], path: str, named: str, **told: Any) -> Table:
    """Return a table of a list's entries, with a group of rows per scenario where there are several."""
    rows: list[Any] = []
    for scenario in viewed:
        rows += [Row(scenario.title, scenario.note, css="grp")] if len(viewed) > 1 else []
        rows += scenario.each(path)
    return tabulate("Of a path", columns, rows, lambda ref: getattr(ref.value, named), **told)


def _views_table(viewed: Sequence[PlacedScenario]) -> Table:
    columns = (
        Column("Before", "prior", "percent", decimals=1),
        Column("Believed", _believed),
        Column("After", "posterior", "percent", decimals=1),
    )
    caption = "Before: the paths as they were sampled. What is believed is given, so it has no error."
    return _grouped(viewed, columns, "reweighed/views", "subject", title="The views.", caption=caption)


def _believed(ref: Ref) -> str:
    low, high = ref.value.low, ref.value.high
    side = "" if low is not None and high is not None else "at least " if low is not None else "at most "
    return f"{side}{100 * (low if low is not None else high or 0.0):.4g}%".replace("-", "−")


def _moved_table(viewed: Sequence[PlacedScenario]) -> Table:
    columns = [
        Column(f"{head} {when}", f"{when}/{figure}", "percent", decimals=1)
        for figure, head in FIGURES
        for when in ("before", "after")
    ]
    caption = "Mean and quantiles over the paths, each with its 95% Monte Carlo interval."
    title = "What follows for the market."
    return _grouped(viewed, columns, "reweighed/moved", "title", title=title, caption=caption)


def _strategies_table(viewed: Sequence[PlacedScenario], placed: Sequence[PlacedScenario]) -> Table:
    """Return one row per strategy and scenario: what it makes before and after."""
    by_name = {scenario.scenario.name: scenario for scenario in placed}
    figures = (("Mean return", "metrics/metric=total_return/mean", "signed percent"),
               ("Paths that lose", "probability_of_loss", "share"),
               ("CVaR 95%", "cvar/0.95", "percent"))  # fmt: skip
    columns = [
        Column(f"{head} {when}", _of_pair(side, path, form))
        for head, path, form in figures
        for side, when in enumerate(("before", "after"))
    ]
    rows: list[Any] = []
    for scenario in viewed:
        reweighed = scenario.scenario.reweighed
        before = by_name[reweighed.base] if reweighed is not None else scenario
        rows += [Row(scenario.title, scenario.note, css="grp")] if len(viewed) > 1 else []
        rows += list(zip(before.strategies(), scenario.strategies(), strict=True))
    title = "What follows for the strategies."
    return tabulate("Strategy", columns, rows, lambda pair: (pair[1].title, pair[1].parameters), title=title)


def _of_pair(side: int, path: str, form: str) -> Any:
    def get(pair: tuple[Placed, Placed]) -> Any:
        return show(pair[side].find(path), form, decimals=1)

    return get


def _bars(viewed: Sequence[PlacedScenario]) -> Markup:
    """Draw as many as how many alike the paths of each scenario are, of how many there are."""
    return Markup("").join(_bars_of(viewed, width, css) for width, css in ((WIDE, "fig wide"), (NARROW, "fig narrow")))


def _bars_of(viewed: Sequence[PlacedScenario], width: int, css: str) -> Markup:
    weightings = [s.scenario.reweighed.weighting for s in viewed if s.scenario.reweighed is not None]
    most, count = max(weighting.paths for weighting in weightings), len(weightings)
    chart = Chart(width, 30 + BAR * count + 8)
    panel = chart.panel((8.0, 26.0, width - 16.0, 26.0 + BAR * count), (0, most), (count, 0))
    chart.text(8, 14, "Paths alike, of all that there are", "ttl")
    for row, (scenario, weighting) in enumerate(zip(viewed, weightings, strict=True)):
        panel.boxes([(0, row + 0.52, weighting.paths, row + 0.9)], "refb")
        panel.boxes([(0, row + 0.52, weighting.alike, row + 0.9)], "w1")
        panel.segments([(weighting.alike, row + 0.48, weighting.alike, row + 0.94)], "ln k1")
        enough = max(ENOUGH_ALIKE, ENOUGH_SHARE * weighting.paths)
        panel.segments([(at, row + 0.48, at, row + 0.94) for at in (FEW_ALIKE, enough) if at <= most], "lim")
        told = f"{scenario.title}: {numbers.count(round(weighting.alike))} of {numbers.count(weighting.paths)}"
        panel.text(0, row + 0.42, told, "sm")
    aria = "; ".join(f"{s.title}: {w.in_words}" for s, w in zip(viewed, weightings, strict=True))
    return chart.svg(f"Paths alike that are left. {aria}.", css)


def _bars_caption(viewed: Sequence[PlacedScenario]) -> Sentence:
    most = max(s.scenario.reweighed.weighting.paths for s in viewed if s.scenario.reweighed is not None)
    enough = numbers.count(max(ENOUGH_ALIKE, ENOUGH_SHARE * most))
    return say(LEFT, few=numbers.count(FEW_ALIKE), enough=enough)
