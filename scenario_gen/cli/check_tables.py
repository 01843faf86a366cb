"""A check of given paths on the terminal: groups first, then facts, scores and candle rules. Computes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from scenario_gen.candles.account import FactShift
    from scenario_gen.checks.inference import Comparison, FactVerdict, LongFigure
    from scenario_gen.checks.scores import ScoreVerdict
    from scenario_gen.pipeline.check_results import CheckReport

WIDTH_OF_A_LOG = 190
WIDE = 170  # columns from which on there is room for words beside the figures of a fact
ORDER = "a group carries its worst label, in the order FAIL, WARN, INCONCLUSIVE, UNTESTABLE, PASS; there is no average"
SHOWN_ONLY = "shown"  # in place of a label where nothing is judged


def show_check(report: CheckReport, console: Console | None = None) -> None:
    """Print the verdicts of the groups, what they rest on, and what a reader must know."""
    console = console or check_console()
    for line in head_lines(report):
        console.print(line, markup=False, highlight=False)
    console.print(groups_table(report))
    for table in _fact_tables(report, console.width):
        console.print(table)
    if report.scores:
        console.print(scores_table(report))
    if report.long:
        console.print(long_table(report.long, console.width))
    for line in _foot(report):
        console.print(line, markup=False, highlight=False)


def _fact_tables(report: CheckReport, width: int) -> Iterator[Table]:
    """Return the facts; in mode A by the rank of what came, and with them the calibration of the paths."""
    from scenario_gen.cli.calibration_tables import functionals_table, ranked_facts_table

    ranked = report.mode == "A"
    yield ranked_facts_table(report.facts) if ranked else facts_table(report.facts, report.mode, width)
    if report.calibration is not None:
        yield functionals_table(report.calibration, f"The paths beside what came: {report.calibration.label}")


def groups_table(report: CheckReport) -> Table:
    """Return one row per group: its worst label, how many members carry which, and why."""
    table = Table(title="Verdicts", caption=ORDER, caption_style="dim")
    for name in ("label", "group", "members", "because"):
        table.add_column(name, overflow="fold")
    for group, label in report.verdicts.items():
        counts = Counter(member for _, member, _ in report.members(group))
        told = ", ".join(f"{count} {one}" for one, count in counts.items())
        table.add_row(label, group, told, escape(report.reasons[group]))
    return table


def facts_table(
    facts: Sequence[FactVerdict], mode: str, width: int = WIDTH_OF_A_LOG, title: str = "Stylized facts"
) -> Table:
    """Return one row per fact that was measured: means, effect with its interval, and what it could have found.

    A narrow terminal gets fewer columns, and is told so: names and numbers are never cut.
    """
    wide = width >= WIDE
    more = (
        "MDE: the smallest found with a power of 80 %; halves: the reference's later half against its earlier one; "
        "outside: paths beyond the middle 99 % of real windows (of real ones: 1 %), a screen and no verdict"
    )
    fewer = f"a terminal of {WIDE} columns, or a file, gets the smallest effect that would be found and the controls"
    table = Table(
        title=f"{title}, mode {mode}",
        caption="effect: the larger of location and spread, 0 is no difference, +-.50 complete separation; q: of "
        f"both; {more if wide else fewer}",
        caption_style="dim",
        box=box.HEAVY_HEAD if wide else box.SIMPLE,
    )
    for name in ("label", "group", "fact") if wide else ("label", "fact"):
        table.add_column(name, no_wrap=True)
    if wide:
        table.add_column("what it measures")
    figures = ("real", "paths", "effect [95 %]", "q", "MDE", "control: power", "halves", "outside")
    shown = len(figures) if wide else 4
    for name in figures[:shown]:
        table.add_column(name, justify="right", no_wrap=not name.startswith("effect"))
    for fact in facts:
        if fact.comparison is not None:
            names = (fact.group, fact.fact, fact.title) if wide else (fact.fact,)
            table.add_row(fact.label or SHOWN_ONLY, *names, *fact_figures(fact)[:shown])
    return table


def scores_table(report: CheckReport) -> Table:
    """Return one row per score, beside the same score of real windows against real windows."""
    table = Table(
        title="The ensemble as a whole",
        caption="real: the same score of held-out real windows, median; limit: what 95 % of them keep to",
        caption_style="dim",
    )
    for name in ("label", "score", "what it measures"):
        table.add_column(name)
    for name in ("paths", "real", "limit"):
        table.add_column(name, justify="right")
    for one in report.scores:
        figures = (_number(one.value), _number(one.real_median), _number(one.real_limit))
        table.add_row(one.label or SHOWN_ONLY, one.score, one.title, *figures)
    return table


def long_table(figures: Sequence[LongFigure], width: int = WIDTH_OF_A_LOG) -> Table:
    """Return one row per fact of a long sample that reference or paths have; the others are told below."""
    wide = width >= WIDE
    table = Table(
        title=f"A long sample's facts, {SHOWN_ONLY} and never judged",
        caption="thresholds, lags and the mix of regimes decide them; paths are pooled, and never joined end to end",
        caption_style="dim",
        box=box.HEAVY_HEAD if wide else box.SIMPLE,
    )
    table.add_column("fact", no_wrap=True)
    if wide:
        table.add_column("what it measures")
    for name in ("real", "paths"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in figures:
        if one.real is not None or one.synthetic is not None:
            names = (one.fact, one.title) if wide else (one.fact,)
            table.add_row(*names, _number(one.real), _number(one.synthetic))
    return table


def lacking_lines(figures: Sequence[LongFigure]) -> Iterator[str]:
    """Say why facts of a long sample have no value, those with one reason together."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for one in figures:
        for side, reason in (("reference", one.real_reason), ("paths", one.synthetic_reason)):
            if reason:
                reasons.setdefault((side, reason), []).append(one.fact)
    for (side, reason), names in reasons.items():
        yield f"no value for the {side}: {', '.join(names)}: {reason}"


def fact_figures(fact: FactVerdict) -> list[str]:
    """Return real and synthetic mean, effect with its interval, q, MDE, control, halves and screen of a fact."""
    control = f"{fact.control}: {fact.control_power:.0%}" if fact.control_power is not None else ""
    halves = "" if fact.halves is None else f"{fact.halves.effect:.2f} {fact.halves_label}"
    return [
        _number(fact.real_mean),
        _number(fact.synthetic_mean),
        "" if fact.comparison is None else _effect(fact.comparison),
        "" if fact.q is None else f"{fact.q:.2g}",
        "" if fact.mde is None else f"{fact.mde:.2f}",
        control,
        halves,
        "" if fact.outside is None else f"{fact.outside:.1%}",
    ]


def _effect(found: Comparison) -> str:
    """Return the difference that counts, of location or of spread, with its interval."""
    wider = found.dispersion is not None and abs(found.location.value) < found.effect
    one = found.dispersion if wider and found.dispersion is not None else found.location
    return f"{'spread ' if wider else ''}{one.value:+.2f} \\[{one.low:+.2f}, {one.high:+.2f}]"


def head_lines(report: CheckReport) -> Iterator[str]:
    """Say what was compared with what."""
    paths, reference, design = report.paths, report.reference, report.design
    contexts = "one context" if paths.contexts == 1 else f"{paths.contexts:,} contexts"
    span = f"{_day(paths.first)} to {_day(paths.last)}"
    yield f"{paths.source}: {paths.paths:,} paths of {paths.bars} bars from {contexts}, {span}"
    span = f"{_day(reference.first)} to {_day(reference.last)}"
    yield (
        f"{reference.name} ({reference.source}): {reference.bars:,} {reference.frequency} bars, {span}; "
        f"{design.windows:,} windows in {design.clusters} clusters of time"
    )


def _foot(report: CheckReport) -> Iterator[str]:
    yield from _candle_lines(report)
    yield from untestable_lines(report.facts, report.scores)
    yield from lacking_lines(report.long)
    for cap in report.design.caps:
        yield f"FAIL of a fact is called WARN here: {cap}"
    if report.design.paths < report.design.paths_given:
        yield f"facts were compared on {report.design.paths:,} of {report.design.paths_given:,} paths, evenly chosen"
    if report.yardstick:
        differ = ", ".join(report.yardstick)
        yield f"the reference's own halves differ in {differ}: a perfect model of one would be flagged on the other"
    yield from report.notes
    yield from (f"reference: {note}" for note in [*report.audit.notes, *report.reference.flags])
    yield verdict_line(report.failed)


def verdict_line(failed: Sequence[str]) -> str:
    """Name the groups that fail."""
    return f"fails: {', '.join(failed)}" if failed else "nothing fails"


def _candle_lines(report: CheckReport) -> Iterator[str]:
    account = report.candles
    yield (
        f"{account.label:<12} candles: {account.bad_bars:,} of {account.bars:,} bars are no valid candle; "
        f"{account.untouched:,} paths untouched, {account.rounded:,} only rounded, {account.repaired:,} repaired, "
        f"{account.rejected:,} rejected; facts are measured after the repair"
    )
    for rule in account.rules:
        if rule.paths > 0:
            yield f"  {rule.rule} {rule.title}: not so in {rule.bars:,} bars of {rule.paths:,} paths, {rule.action}"
    if account.facts:
        yield f"  {_repair_line(account.facts)}"
    silent = [f"{rule.rule} ({rule.action.removeprefix('not judged: ')})" for rule in account.rules if rule.bars < 0]
    if silent:
        yield f"  candle rules that were not judged: {', '.join(silent)}"


def _repair_line(facts: Sequence[FactShift]) -> str:
    """Say which facts the repair moved, of the paths that it changed."""
    paths = max(one.shift.n for one in facts)
    moved = ", ".join(f"{one.fact} {one.shift.value:+.2f}" for one in facts if one.moved)
    return (
        f"the repair moved {moved or 'no fact'} by more than a tenth of a standard deviation over raw paths; "
        f"{len(facts)} facts were measured before and after it, on {paths:,} changed paths (all: --json)"
    )


def untestable_lines(facts: Sequence[FactVerdict], scores: Sequence[ScoreVerdict]) -> Iterator[str]:
    """Say which facts and scores could not be judged, those with one reason together."""
    reasons: dict[str, list[str]] = {}
    for fact in facts:
        if fact.label == "UNTESTABLE":
            reasons.setdefault(fact.reason, []).append(fact.fact)
    for score in scores:
        if score.label == "UNTESTABLE":
            reasons.setdefault(score.reason, []).append(score.score)
    for reason, names in reasons.items():
        yield f"UNTESTABLE   {', '.join(names)}: {reason}"


def _day(stamp: str) -> str:
    return stamp.removesuffix("T00:00:00")


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3g}"


def check_console() -> Console:
    """Return a console as wide as the terminal, or wide enough for a log."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_OF_A_LOG)
