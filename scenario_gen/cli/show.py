"""What the terminal shows of each answer: its tables, and lines for what stands in no table. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from scenario_gen.errors import printable
from scenario_gen.finding import Finding
from scenario_gen.report.stress import answer_tables
from scenario_gen.report.table import Column, Placed, Ref, Table, choose_base, of_texts, place, place_books, to_rich
from scenario_gen.report.tables import book, dials, forecasts, realism, terminal
from scenario_gen.report.tables.accounts import endings_tables
from scenario_gen.report.tables.events import curve_table, event_row, events_answer, events_table, how_sampled
from scenario_gen.report.tables.robustness import regimes_table
from scenario_gen.report.words import text_of
from scenario_gen.store.results import StressRun

if TYPE_CHECKING:
    from scenario_gen.candles.account import FactShift
    from scenario_gen.forecasts.checkpoint_figures import Evaluation
    from scenario_gen.forecasts.results import Calibration, GeneratorCalibration
    from scenario_gen.kronos.registry import KnownModel
    from scenario_gen.pipeline.book.couple import CouplingsReport
    from scenario_gen.pipeline.stress.one_event import EventReport
    from scenario_gen.realism.results import FactVerdict, ScoreVerdict
    from scenario_gen.store.reports import (
        AssetsReport,
        BacktestReport,
        CalibrationReport,
        CheckReport,
        PredictionReport,
    )

ORIGINS = "Stylized facts by origin, mode A"
WIDTH_OF_A_LOG = 150  # what is not a terminal has no width of its own
WIDTH_OF_A_CHECK = 190
WIDTH_OF_A_CALIBRATION = 170
WIDTH_OF_AN_EVALUATION = 200  # the widest table has eighteen columns


def make_console(width: int = WIDTH_OF_A_LOG) -> Console:
    """Return the terminal, or a width of our own where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=width)


def show(console: Console, *parts: Table | Iterable[str], light: bool = False) -> None:
    """Print tables, and lines as they are."""
    for part in parts:
        if isinstance(part, Table):
            console.print(to_rich(part, light=light))
            continue
        for line in part:
            console.print(printable(line), markup=False, highlight=False)


def show_run(run: StressRun, console: Console | None = None) -> None:
    """Print a row per scenario and strategy, what else was asked, then a line per kind of finding that is no PASS."""
    if run.book is not None:
        _show_book(run, console or make_console())
        return
    placed = place(run)
    base = choose_base(placed)
    regimes = regimes_table(base, base.strategies())
    tables = [terminal.run_table(run), *([] if regimes is None else [regimes]), *answer_tables(run, placed, base)]
    show(console or make_console(), *tables, finding_lines(run.findings))


def _show_book(run: StressRun, console: Console) -> None:
    """Print what a run says of several assets together; what it says of each alone is in the report."""
    placed = place_books(run)
    base = next((each for each in placed if each.scenario.name == "base"), placed[0])
    rules = run.spec.get("account")
    ends = endings_tables(rules, base.strategies()) if rules else ()
    asked = events_answer(run, placed, base)
    rare = () if asked is None else tuple(replace(table, title=asked.title) for table in asked.tables)
    show(console, terminal.run_table(run), *ends, *book.terminal_tables(run), *rare, book.terminal_lines(run))
    show(console, finding_lines(run.findings))


def show_models(models: Iterable[KnownModel], console: Console | None = None) -> None:
    """Print one row per known checkpoint, with its pinned revision and whether it is on this machine."""
    titles = ("model", "from", "parameters", "context", "on this machine", "note")
    rows = []
    for model in models:
        here = "yes" if model.available else "no: downloaded when first used" if model.repository else "no"
        size = f"{model.parameters / 1e6:.1f} M"
        rows.append((model.name, model.where, size, str(model.context), here, model.note))
    heads = [Column(title, left=title not in ("parameters", "context")) for title in titles]
    show(console or make_console(), of_texts(heads, rows, title="Kronos checkpoints that have a name"))


def show_backtest(report: BacktestReport, console: Console | None = None) -> None:
    """Print results, what was asked of each strategy, and every finding that is not a PASS."""
    show(
        console or make_console(),
        _given(report),
        terminal.results_table(report.strategies),
        terminal.strategies_table(report.strategies, report.findings),
        *(endings_tables(report.account, (Placed(each, "") for each in report.strategies)) if report.account else ()),
        finding_lines(report.findings, rest="with --json"),
        [*report.notes, *(f"left out {name}: {why}" for name, why in report.dropped.items())],
    )


def show_event(report: EventReport, console: Console | None = None) -> None:
    """Print how rare an event is, beside what, how it was found, and every finding that is not a PASS."""
    row, console = event_row(report.scenario, report.event), console or make_console(WIDTH_OF_A_CHECK)
    show(console, events_table([row]), curve_table(report.event))
    lines = [
        text_of(how_sampled(row)),
        f"{report.generator}, context up to {report.context_end}, {report.seconds:.1f} s",
    ]
    show(console, lines, finding_lines(report.findings, rest="with --json"))


def show_couplings(report: CouplingsReport, console: Console | None = None) -> None:
    """Print how the assets of every scenario hang together: aimed at, used and reached, and what is not reproduced."""
    from scenario_gen.report.tables.book import how_put, pairs_table
    from scenario_gen.report.words import text_of

    console = console or make_console(WIDTH_OF_A_CHECK)
    for number, scenario in enumerate(report.scenarios):
        put, coupling = Ref(scenario, f"scenarios/{number}"), scenario.coupling
        ranks = ", ".join(f"{asset} {rank:.2f}" for asset, rank in coupling.order_rank.items())
        order = f"order of tokens: {coupling.order}; rank correlation of a bar's first uniform and its return: {ranks}"
        show(console, [f"{text_of(how_put(put))} {scenario.generator}"], pairs_table(put))
        show(console, [order] if ranks else [], coupling.notes)
    show(console, [f"{report.seconds:.1f} s"])


def show_check(report: CheckReport, console: Console | None = None) -> None:
    """Print the verdicts of the groups, what they rest on, and what a reader must know."""
    console = console or make_console(WIDTH_OF_A_CHECK)
    rows = [
        (label, group, [member for _, member, _ in report.members(group)], report.reasons[group])
        for group, label in report.verdicts.items()
    ]
    show(console, head_lines(report), terminal.groups_table(rows))
    wide, whole = console.width >= realism.WIDE, Ref(report, "")
    facts = whole.each("facts")
    if report.mode == "A":
        show(console, realism.origins_table(facts, ORIGINS))
    else:
        title = f"Stylized facts, mode {report.mode}"
        show(console, realism.compared_table(facts, report.mode, title, wide=wide), light=not wide)
    tables = [realism.shown_table(facts, "Facts that are shown and never judged")]
    if report.calibration is not None:
        title = f"The paths beside what came: {report.calibration.label}"
        tables.append(forecasts.functionals_table(whole.each("calibration/functionals"), title))
    tables.append(realism.scores_table(whole.each("scores"), "The ensemble as a whole"))
    tables.append(realism.long_table(whole.each("long"), "A long sample's facts, shown and never judged"))
    show(console, *filter(None, tables))
    show(console, _foot(report))


def show_assets(report: AssetsReport, console: Console | None = None) -> None:
    """Print the labels of every asset, how the assets move together, and what a reader must know."""
    console = console or make_console(WIDTH_OF_A_CHECK)
    together, wide = report.cross_asset, console.width >= realism.WIDE
    labels = {name: asset.verdicts for name, asset in report.assets.items()}
    show(
        console,
        (f"{name}: {line}" for name, asset in report.assets.items() for line in head_lines(asset)),
        terminal.assets_table(labels, report.verdicts, report.reasons),
    )
    title = f"Assets together, mode {together.mode}"
    facts = Ref(together, "").each("facts")
    show(console, realism.compared_table(facts, together.mode, title, wide=wide), light=not wide)
    show(console, _assets_foot(report))


def show_calibration(report: CalibrationReport, console: Console | None = None) -> None:
    """Print what a calibration found, the worst first to be looked for in the label column."""
    console = console or make_console(WIDTH_OF_A_CALIBRATION)
    calibration = report.calibration
    generator = calibration.generator
    if report.dial is not None:
        search = report.dial
        show(console, dials.search_table(Ref(search, ""), title=f"Choosing {search.searched}", caption=search.rule))
    whole, title = Ref(calibration, ""), f"{generator.name} on {calibration.instrument}: {generator.label}"
    show(console, forecasts.functionals_table(whole.each("generator/functionals"), title))
    tails = forecasts.tails(whole)
    show(console, forecasts.generators_table(whole), forecasts.scores_table(whole, "Scores"))
    show(console, *([tails["table"]] if tails else []))
    if calibration.facts is not None:
        show(console, realism.origins_table(whole.each("facts/facts"), ORIGINS))
    if report.recalibration is not None:
        fit = report.recalibration
        show(console, dials.knots_table(Ref(fit, ""), f"Recalibration, {fit.status}, by {fit.origins} forecasts"))
    told = verdict_line(report.failed) if report.judged else "nothing was judged"
    show(console, _calibration_lines(calibration), [told])


def show_evaluation(evaluation: Evaluation, console: Console | None = None) -> None:
    """Print all tables, then the notes."""
    from scenario_gen.report.tables.checkpoints import evaluation_tables

    show(console or make_console(WIDTH_OF_AN_EVALUATION), *evaluation_tables(evaluation), evaluation.notes)


def show_prediction(report: PredictionReport, console: Console | None = None) -> None:
    """Print the bands, what the paths say of the end, how such bands held, and what a reader must know."""
    from scenario_gen.report.tables.predictions import prediction_lines, prediction_tables

    show(console or make_console(WIDTH_OF_A_CHECK), *prediction_tables(report), prediction_lines(report))


def finding_lines(findings: Sequence[Finding], *, rest: str = "in the report") -> list[str]:
    """Return one line per name and label: the first finding in full, and how many more are like it.

    The groups of facts make one line per label, with their names; what they were compared with is in the report.
    """
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        if finding.label != "PASS":
            line = finding.check.key if finding.check.together else finding.name
            groups.setdefault((line, finding.label), []).append(finding)
    lines = []
    for (name, label), group in groups.items():
        first = group[0]
        where = f" [{first.scenario}]" if first.scenario else ""
        band = f" (expected {first.band})" if first.band and first.name == name else ""
        more = f"; {len(group) - 1} more {rest}" if len(group) > 1 else ""
        lines.append(f"{label:<12} {_title(name, group)}{where}: {first.told}{band}{more}")
    return lines


def _title(name: str, group: Sequence[Finding]) -> str:
    """Return a name with the parts that its findings are about: ``facts (tails, volume)``."""
    parts = dict.fromkeys(finding.part for finding in group if finding.check.together)
    return f"{name} ({', '.join(parts)})" if any(parts) else name


def _given(report: BacktestReport) -> Iterable[str]:
    paths, context = report.paths, report.context
    yield f"{paths.source}: {paths.paths:,} paths of {paths.bars} bars, {_day(paths.first)} to {_day(paths.last)}"
    if context.source:
        yield (
            f"context: {context.bars} bars of {context.name} up to {_day(context.last)}; "
            f"{report.bars_per_year:.4g} bars a year ({report.calendar})"
        )
    else:
        yield f"no context; {report.bars_per_year:.4g} bars a year ({report.calendar})"


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


def untestable_lines(facts: Iterable[FactVerdict], scores: Iterable[ScoreVerdict] = ()) -> Iterator[str]:
    """Say which facts and scores could not be judged, those with one reason together."""
    for reason, verdicts in realism.untestable((*facts, *scores)).items():
        names = (str(getattr(each, "fact", getattr(each, "score", ""))) for each in verdicts)
        yield f"UNTESTABLE   {', '.join(names)}: {reason}"


def _day(stamp: str) -> str:
    return stamp.removesuffix("T00:00:00")


def _assets_foot(report: AssetsReport) -> Iterator[str]:
    together = report.cross_asset
    yield from untestable_lines(together.facts, together.scores)
    for cap in together.design.caps:
        yield f"FAIL of a fact of several assets is called WARN here: {cap}"
    if together.yardstick:
        differ = ", ".join(together.yardstick)
        yield f"the references' own halves differ in {differ}: a perfect model of one would be flagged on the other"
    yield from (*report.notes, *together.notes)
    for name, one in report.assets.items():
        yield from (f"{name}: {note}" for note in one.notes)
    yield verdict_line(report.failed)
    yield "the facts, scores and candle rules of each asset: --json, or a check of its paths alone"


def _calibration_lines(calibration: Calibration) -> Iterator[str]:
    """Yield what stands in no table: what was found in sentences, bands of whole paths, notes."""
    from scenario_gen.forecasts.judge import MENDED_BY
    from scenario_gen.forecasts.recalibrate import recalibration_finding

    ours = calibration.generator
    yield f"all bars of a path inside its band: {', '.join(f'{b.share:.0%} of {b.level:.0%}' for b in ours.band)}"
    yield f"{ours.value_at_risk:<12} value at risk, both tails together"
    if undecided := sum(not test.judged for test in ours.exceedances):
        yield f"INCONCLUSIVE {undecided} of {len(ours.exceedances)} value-at-risk tests: too few forecasts (--one-step)"
    yield from map(text_of, forecasts.sentences(calibration, "calibration"))
    yield from untestable_lines(calibration.facts.facts if calibration.facts is not None else ())
    yield from _omissions(ours, *calibration.baselines)
    if calibration.raw:
        finding = recalibration_finding("", calibration)
        yield f"{finding.label:<12} recalibration: {finding.measured}"
    yield from calibration.notes
    if ours.label == "FAIL" and not calibration.raw:
        yield f"what may mend it: {MENDED_BY}; --recalibrate shows by how much"


def _omissions(*generators: GeneratorCalibration) -> Iterator[str]:
    for one in generators:
        if one.omitted:
            first = next(iter(one.omitted.values()))
            yield f"{one.name}: left out at {len(one.omitted)} origins: {first}"
        if one.dropped:
            yield f"{one.name}: {one.dropped} paths broke a candle rule beyond repair and were left out"
