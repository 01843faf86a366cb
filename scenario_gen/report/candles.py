"""The candle account as tables and sentences: rules, fingerprint, what repair and rejection did.

Owns the columns of these tables. Does not judge: labels come from the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from scenario_gen.report import numbers, words
from scenario_gen.report.cells import Cell, Head, PlacedScenario, Row, Table
from scenario_gen.report.numbers import Shown, bracketed, plain
from scenario_gen.report.words import Sentence, name, say
from scenario_gen.store.results import CandleAccount, Estimate, Interval, RepairEffect, RuleCount

GROUPS = (
    ("Ruled out", ("fault", "breach")),
    ("Brought into the market’s form", ("form",)),
    ("Possible, but unlike the history: flagged and kept", ("suspect",)),
)
FIGURES = {
    ("total_return", 0.5): "Median return",
    ("total_return", 0.05): "5% quantile",
    ("max_drawdown", 0.95): "95% drawdown",
}
IDLE = ("none needed", "not judged")
EMPTY = Cell(css="hide-s")


def account_table(scenarios: Sequence[PlacedScenario]) -> Table:
    """Return the candle account: a row per rule, a column per scenario, zero rows included."""
    heads = (Head("Rule", left=True), *(Head(placed.title) for placed in scenarios), Head("Action", left=True))
    rows: list[Row] = []
    for title, kinds in GROUPS:
        rules = _rules(scenarios, kinds)
        found = [_rule_row(rule, told, scenarios) for rule, told in rules]
        if found:
            quiet = all("quiet" in row.css for row in found)
            rows += [Row(title, css="grp quiet" if quiet else "grp"), *found]
    rows += _sums(scenarios)
    return Table("", heads, tuple(rows), css="stack c3")


def _rules(scenarios: Sequence[PlacedScenario], kinds: tuple[str, ...]) -> list[tuple[str, str]]:
    counts = (row for placed in scenarios for row in placed.scenario.candles.rules if row.kind in kinds)
    return list(dict.fromkeys((row.rule, row.title) for row in counts))


def _rule_row(rule: str, title: str, scenarios: Sequence[PlacedScenario]) -> Row:
    cells: list[Cell] = []
    actions: list[str] = []
    for placed in scenarios:
        found = [
            (at, row) for at, row in enumerate(placed.scenario.candles.rules) if (row.rule, row.title) == (rule, title)
        ]
        if not found:
            cells.append(Cell(Shown(numbers.NOT_APPLICABLE)))
            continue
        at, row = found[0]
        cells.append(_rule_cell(row, placed, f"{placed.at}/candles/rules/{at}/bars"))
        actions.append("not judged" if row.bars < 0 else row.action)
    done = [action for action in actions if action not in IDLE]
    done = done or [idle for idle in IDLE if idle in actions][:1]
    told = "; ".join(dict.fromkeys(name(action, 60) for action in done))
    quiet = all(cell.shown is not None and not cell.shown.value for cell in cells)
    cells.append(Cell(text=told or numbers.NOT_APPLICABLE, css="l"))
    return Row(name(rule, 12), name(title, 90), tuple(cells), css="rule quiet" if quiet else "rule")


def _rule_cell(row: RuleCount, placed: PlacedScenario, source: str) -> Cell:
    if row.bars < 0:
        return Cell(Shown(numbers.NOT_APPLICABLE))
    cell = count_cell(row.bars, placed.scenario.candles.bars, source)
    notes = [cell.note] if cell.note else []
    if row.paths and not row.bars:
        notes.append(f"{numbers.count(row.paths)} paths")
    if row.left_bars != (row.bars if row.kind == "suspect" else 0):
        notes.append(f"{numbers.count(row.left_bars)} after repair")
    return Cell(cell.shown, note=", ".join(notes))


def _sums(scenarios: Sequence[PlacedScenario]) -> list[Row]:
    """Return the rows below the rules: bars and paths by what became of them, sizes of changes, labels."""
    bars: Callable[[CandleAccount], int] = lambda account: account.bars  # noqa: E731
    paths: Callable[[CandleAccount], int] = lambda account: account.paths  # noqa: E731
    rows = [
        _sum_row("Raw bars that are bad", "bad_bars", bars, scenarios, css="tot"),
        _sum_row("Raw paths with such a bar", "bad_paths", paths, scenarios),
        _sum_row("Paths only rounded", "rounded", paths, scenarios),
        _sum_row("Paths repaired", "repaired", paths, scenarios),
        _sum_row("Paths rejected", "rejected", paths, scenarios),
        _sum_row("Bars with a changed price", "changed_bars", bars, scenarios),
    ]
    quiet = "" if any(placed.scenario.candles.changed_bars for placed in scenarios) else "quiet"
    for key, unit, decimals in (("mean_change_bp", "bp", 1), ("mean_change_range", "ranges of its bar", 2)):
        cells = tuple(_change_cell(placed, key, decimals) for placed in scenarios)
        rows.append(Row("Mean change of such a price", unit, (*cells, EMPTY), css=quiet))
    labels = tuple(Cell(label=placed.scenario.candles.label) for placed in scenarios)
    return [*rows, Row("Label", cells=(*labels, EMPTY))]


def _sum_row(
    title: str, key: str, total: Callable[[CandleAccount], int], scenarios: Sequence[PlacedScenario], css: str = ""
) -> Row:
    cells = tuple(
        count_cell(getattr(p.scenario.candles, key), total(p.scenario.candles), f"{p.at}/candles/{key}")
        for p in scenarios
    )
    zero = not css and not any(cell.shown.value for cell in cells if cell.shown is not None)
    return Row(title, cells=(*cells, EMPTY), css="quiet" if zero else css)


def count_cell(value: int, total: int, source: str) -> Cell:
    """Return a count with its share of a total in grey."""
    note = numbers.fixed(100 * value / total, 2) + "%" if value and total else ""
    return Cell(plain(float(value), "count", source), note=note)


def _change_cell(placed: PlacedScenario, key: str, decimals: int) -> Cell:
    account = placed.scenario.candles
    if not account.changed_bars:
        return Cell(Shown(numbers.NOT_APPLICABLE))
    shown = plain(getattr(account, key), "number", f"{placed.at}/candles/{key}", decimals=decimals)
    note = f"max {numbers.fixed(account.max_change_bp, 0)}" if key == "mean_change_bp" else ""
    return Cell(shown, note=note)


def wickless_table(scenarios: Sequence[PlacedScenario]) -> Table | None:
    """Return the shares of bars without a wick before and after repair, beside the history's; None if not counted."""
    counted = [placed for placed in scenarios if placed.scenario.candles.wickless]
    if not counted:
        return None
    heads = (
        Head("Scenario", left=True),
        *(Head(f"No {side} wick", unit) for side in ("upper", "lower") for unit in ("raw", "repaired", "history")),
    )
    rows = [Row(placed.title, cells=tuple(_wickless_cells(placed))) for placed in counted]
    return Table("", heads, tuple(rows), css="stack")


def _wickless_cells(placed: PlacedScenario) -> Iterator[Cell]:
    for at, side in enumerate(placed.scenario.candles.wickless):
        source = f"{placed.at}/candles/wickless/{at}"
        yield Cell(bracketed(estimate_of(side.raw), "percent", f"{source}/raw"))
        yield Cell(bracketed(estimate_of(side.repaired), "percent", f"{source}/repaired"))
        yield Cell(plain(side.history, "percent", f"{source}/history"))


def rejection_table(scenarios: Sequence[PlacedScenario]) -> Table | None:
    """Return how rejected paths differ from the kept ones; None where none was rejected."""
    rows = []
    for placed in scenarios:
        rejection, at = placed.scenario.candles.rejection, f"{placed.at}/candles/rejection"
        if rejection is None:
            continue
        cells = (
            count_cell(rejection.rejected, placed.scenario.candles.paths, f"{at}/rejected"),
            Cell(plain(float(rejection.measured), "count", f"{at}/measured")),
            Cell(bracketed(estimate_of(rejection.log_sd), "number", f"{at}/log_sd", decimals=2)),
            Cell(bracketed(estimate_of(rejection.log_last), "number", f"{at}/log_last", decimals=3)),
        )
        rows.append(Row(placed.title, cells=cells))
    heads = (
        Head("Scenario", left=True),
        Head("Rejected"),
        Head("of them measured"),
        Head("Log volatility", "rejected minus kept"),
        Head("Log of the last price", "rejected minus kept"),
    )
    return Table("", heads, tuple(rows), css="stack") if rows else None


def effect_table(scenarios: Sequence[PlacedScenario]) -> Table | None:
    """Return every strategy's figures without and with repair; None where no kept path was changed."""
    rows: list[Row] = []
    for placed in scenarios:
        effects = placed.scenario.repair
        if effects:
            rows.append(Row(placed.title, f"{words.plural(effects[0].paths, 'path')} changed", css="grp"))
        for at, effect in enumerate(effects):
            rows += _effect_rows(effect, f"{placed.at}/repair/{at}")
    heads = (
        Head("Strategy", left=True),
        *(Head(title) for title in FIGURES.values()),
        Head("Mean return", "repaired minus raw"),
    )
    return Table("", heads, tuple(rows), css="stack") if rows else None


def _effect_rows(effect: RepairEffect, at: str) -> Iterator[Row]:
    """Return a row of figures on raw candles, and one on repaired ones with the paired difference."""
    for when in ("raw", "repaired"):
        cells = []
        for place, figure in enumerate(effect.figures):
            form: numbers.Form = "signed percent" if figure.metric == "total_return" else "percent"
            cells.append(Cell(bracketed(getattr(figure, when), form, f"{at}/figures/{place}/{when}")))
        if when == "raw":
            note = f"{words.plural(effect.failed, 'path')} could not be run" if effect.failed else ""
            cells.append(Cell(text=note, css="hide-s" if not note else ""))
        else:
            cells.append(Cell(bracketed(effect.difference, "signed percent", f"{at}/difference")))
        yield Row(name(effect.strategy), when, tuple(cells))


def effect_sentence(scenarios: Sequence[PlacedScenario]) -> Sentence:
    """Return what repair did to the results, in one sentence."""
    moved = [
        (abs(effect.difference.value or 0.0), placed, at, effect)
        for placed in scenarios
        for at, effect in enumerate(placed.scenario.repair)
    ]
    if not moved:
        return say(words.REPAIR_NOTHING)
    _, placed, at, effect = max(moved, key=lambda entry: entry[0])
    source = f"{placed.at}/repair/{at}/difference"
    return say(
        words.REPAIR_MOST,
        strategy=name(effect.strategy),
        scenario=placed.title,
        difference=bracketed(effect.difference, "signed percent", source),
    )


def conditional_sentences(scenarios: Sequence[PlacedScenario]) -> list[Sentence]:
    """Return the warning that an ensemble is conditional on acceptance, for every scenario that it is true of."""
    return [
        say(
            words.CONDITIONAL,
            scenario=placed.title,
            rejected=plain(float(rejection.rejected), "count", f"{placed.at}/candles/rejection/rejected"),
            paths=plain(float(placed.scenario.candles.paths), "count", f"{placed.at}/candles/paths"),
        )
        for placed in scenarios
        if (rejection := placed.scenario.candles.rejection) is not None and rejection.conditional
    ]


def thresholds(scenarios: Sequence[PlacedScenario]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return where thresholds come from and why rules are not judged: once per set of scenarios with the same."""
    shared: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for placed in scenarios:
        shared.setdefault(tuple(_threshold_rows(placed)), []).append(placed.title)
    return [(", ".join(titles), list(rows)) for rows, titles in shared.items()]


def _threshold_rows(placed: PlacedScenario) -> list[tuple[str, str]]:
    return [
        (f"{row.rule} {name(row.title, 90)}", name(row.source or row.action, 300))
        for row in placed.scenario.candles.rules
        if row.source or row.bars < 0
    ]


def flag_lines(scenarios: Sequence[PlacedScenario]) -> list[str]:
    """Return what is odd about the histories, each line once."""
    return list(dict.fromkeys(name(flag, 400) for placed in scenarios for flag in placed.scenario.context.flags))


def estimate_of(interval: Interval) -> Estimate:
    """Return a mean over paths as the number formatter takes it."""
    reason = "" if interval.value is not None else "not applicable on any path"
    return Estimate(interval.value, interval.low, interval.high, interval.n, reason=reason)
