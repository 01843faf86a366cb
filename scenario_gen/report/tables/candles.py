"""The candle account as tables and sentences: rules, fingerprint, repair and rejection, the edges of a model.

Owns the columns, and which facts stand in the table of shifts. Does not judge: labels come from the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from scenario_gen.backtest.metrics import Form
from scenario_gen.candles.rules import RuleCount
from scenario_gen.market.section import Filled
from scenario_gen.realism.facts import FACT
from scenario_gen.report import numbers, words
from scenario_gen.report.table import ABSENT, Cell, Column, PlacedScenario, Ref, Row, Table, show, tabled
from scenario_gen.report.words import Sentence, name, say, text_of
from scenario_gen.store.results import BookScenario, StressRun

GROUPS = (
    ("Ruled out", ("fault", "breach")),
    ("Brought into the market’s form", ("form",)),
    ("Possible, but unlike the history: flagged and kept", ("suspect",)),
)
FIGURES = ("Median return", "5% quantile", "95% drawdown")
IDLE = ("none needed", "not judged")
EMPTY = Cell(css="hide-s")
# Facts that always stand in the table of shifts: what moving highs and lows out is known to move, and the volatility
# that a price limit cuts.
ALWAYS = {
    "log_sd": "volatility (log)",
    "logPK_oc": "range to body variance (log)",
    "body_frac": "body’s share of the range",
    "acf_rng_1_5": "clustering of ranges",
    "absr_rng_corr": "return size with range",
}
# Rows below the rules: title, the account's field, of what a share is shown, class.
SUMS = (
    ("Raw bars that are bad", "bad_bars", "bars", "tot"),
    ("Raw paths with such a bar", "bad_paths", "paths", ""),
    ("Paths only rounded", "rounded", "paths", ""),
    ("Paths repaired", "repaired", "paths", ""),
    ("Paths rejected", "rejected", "paths", ""),
    ("Bars with a changed price", "changed_bars", "bars", ""),
)


def account_table(scenarios: Sequence[PlacedScenario]) -> Table:
    """Return the candle account: a row per rule, a column per scenario, zero rows included."""
    rows: list[Row] = []
    for title, kinds in GROUPS:
        counts = (row for placed in scenarios for row in placed.scenario.candles.rules if row.kind in kinds)
        rules = dict.fromkeys((row.rule, row.title) for row in counts)
        members = [_rule_row(rule, told, scenarios) for rule, told in rules]
        quiet = all("quiet" in row.css for row in members)
        rows += [Row(title, css="grp quiet" if quiet else "grp"), *members] if members else []
    heads = [Column(placed.title) for placed in scenarios]
    return Table(
        (Column("Rule", left=True), *heads, Column("Action", left=True)),
        (*rows, *_sums(scenarios)),
        title="Candle account.",
        caption="Violations counted on raw bars, before any repair; share of all raw bars in grey. Rules without a "
        "violation stay in the table; a dash: not judged. Bad bars are those that are ruled out.",
        css="stack c3",
        explained=False,
    )


def _rule_row(rule: str, title: str, scenarios: Sequence[PlacedScenario]) -> Row:
    cells: list[Cell] = []
    actions: list[str] = []
    for placed in scenarios:
        counts = [ref for ref in placed.each("candles/rules") if (ref.value.rule, ref.value.title) == (rule, title)]
        cells.append(_rule_cell(counts[0], placed) if counts else Cell(ABSENT))
        actions += ["not judged" if ref.value.bars < 0 else ref.value.action for ref in counts[:1]]
    done = [action for action in actions if action not in IDLE]
    done = done or [idle for idle in IDLE if idle in actions][:1]
    told = "; ".join(dict.fromkeys(name(action, 60) for action in done))
    quiet = all(cell.shown is not None and not cell.shown.value for cell in cells)
    cells.append(Cell(text=told or numbers.NOT_APPLICABLE, css="l"))
    return Row(name(rule, 12), name(title, 90), tuple(cells), css="rule quiet" if quiet else "rule")


def _rule_cell(ref: Ref, placed: PlacedScenario) -> Cell:
    row: RuleCount = ref.value
    if row.bars < 0:
        return Cell(ABSENT)
    cell = count_cell(ref.find("bars"), placed.scenario.candles.bars)
    notes = [cell.note] if cell.note else []
    if row.paths and not row.bars:
        notes.append(f"{numbers.count(row.paths)} paths")
    if row.left_bars != (row.bars if row.kind == "suspect" else 0):
        notes.append(f"{numbers.count(row.left_bars)} after repair")
    return Cell(cell.shown, note=", ".join(notes))


def _sums(scenarios: Sequence[PlacedScenario]) -> list[Row]:
    """Return the rows below the rules: bars and paths by what became of them, sizes of changes, labels."""
    accounts = [placed.find("candles") for placed in scenarios]
    rows = []
    for title, key, total, css in SUMS:
        cells = [count_cell(account.find(key), getattr(account.value, total)) for account in accounts]
        zero = not css and not any(cell.shown.value for cell in cells if cell.shown is not None)
        rows.append(Row(title, "", (*cells, EMPTY), css="quiet" if zero else css))
    quiet = "" if any(account.value.changed_bars for account in accounts) else "quiet"
    for key, unit, decimals in (("mean_change_bp", "bp", 1), ("mean_change_range", "ranges of its bar", 2)):
        changes = tuple(_change_cell(account, key, decimals) for account in accounts)
        rows.append(Row("Mean change of such a price", unit, (*changes, EMPTY), css=quiet))
    return [*rows, Row("Label", cells=(*(Cell(label=account.value.label) for account in accounts), EMPTY))]


def count_cell(ref: Ref, total: int) -> Cell:
    """Return a count with its share of a total in grey."""
    note = numbers.fixed(100 * ref.value / total, 2) + "%" if ref.value and total else ""
    return Cell(show(ref, "count"), note=note)


def _change_cell(account: Ref, key: str, decimals: int) -> Cell:
    if not account.value.changed_bars:
        return Cell(ABSENT)
    note = f"max {numbers.fixed(account.value.max_change_bp, 0)}" if key == "mean_change_bp" else ""
    return Cell(show(account.find(key), "number", decimals=decimals), note=note)


def wickless_table(scenarios: Sequence[PlacedScenario]) -> Table | None:
    """Return the shares of bars without a wick before and after repair, beside the history's; None if not counted."""
    columns = [
        Column(f"No {side} wick", f"candles/wickless/{number}/{when}", "percent", unit=when)
        for number, side in enumerate(("upper", "lower"))
        for when in ("raw", "repaired", "history")
    ]
    return tabled(
        "Scenario",
        columns,
        [placed for placed in scenarios if placed.scenario.candles.wickless],
        lambda placed: placed.title,
        title="Bars without a wick.",
        caption="Moving highs and lows out to open and close leaves bars without a wick: shares of kept bars before "
        "and after repair, with 95% intervals over paths, and of the real bars before the paths.",
        explained=False,
    )


def rejection_table(scenarios: Sequence[PlacedScenario]) -> Table | None:
    """Return how rejected paths differ from the kept ones; None where none was rejected."""
    columns = (
        Column("Rejected", lambda p: count_cell(p.find("candles/rejection/rejected"), p.scenario.candles.paths)),
        Column("of them measured", "candles/rejection/measured", "count"),
        Column("Log volatility", "candles/rejection/log_sd", "number", unit="rejected minus kept", decimals=2),
        Column("Log of the last price", "candles/rejection/log_last", "number", unit="rejected minus kept", decimals=3),
    )
    return tabled(
        "Scenario",
        columns,
        [placed for placed in scenarios if placed.scenario.candles.rejection is not None],
        lambda placed: placed.title,
        title="Bias of rejection.",
        caption="What the rejected paths were like before they went: means over paths, rejected minus kept, with 95% "
        "intervals (Welch). An interval that leaves out 0 says that the kept paths are another market.",
        explained=False,
    )


def effect_table(scenarios: Sequence[PlacedScenario]) -> Table | None:
    """Return every strategy's figures without and with repair; None where no kept path was changed."""
    rows: list[Any] = []
    for placed in scenarios:
        effects = placed.each("repair")
        if effects:
            rows.append(Row(placed.title, f"{words.plural(effects[0].value.paths, 'path')} changed", css="grp"))
        rows += [(effect, when) for effect in effects for when in ("raw", "repaired")]
    columns = [Column(head, partial(_figure_cell, at)) for at, head in enumerate(FIGURES)]
    return tabled(
        "Strategy",
        (*columns, Column("Mean return", lambda row: _difference_cell(*row), unit="repaired minus raw")),
        rows,
        lambda row: (name(row[0].value.strategy), row[1]),
        title="With and without repair.",
        caption="Every strategy on the kept paths as generated and as repaired. Brackets: 95% Monte Carlo intervals; "
        "the difference is paired by path.",
        explained=False,
    )


def _figure_cell(at: int, row: tuple[Ref, str]) -> Cell:
    effect, when = row
    figure = effect.find(f"figures/{at}")
    form: Form = "signed percent" if figure.value.metric == "total_return" else "percent"
    return Cell(show(figure.find(when), form))


def _difference_cell(effect: Ref, when: str) -> Cell:
    if when == "repaired":
        return Cell(show(effect.find("difference"), "signed percent"))
    failed = effect.value.failed
    return Cell(text=f"{words.plural(failed, 'path')} could not be run") if failed else EMPTY


def effect_sentence(scenarios: Sequence[PlacedScenario]) -> Sentence:
    """Return what repair did to the results, in one sentence."""
    moved = [(placed, effect) for placed in scenarios for effect in placed.each("repair")]
    if not moved:
        return say(words.REPAIR_NOTHING)
    placed, effect = max(moved, key=lambda entry: abs(entry[1].value.difference.value or 0.0))
    return say(
        words.REPAIR_MOST,
        strategy=name(effect.value.strategy),
        scenario=placed.title,
        difference=show(effect.find("difference"), "signed percent"),
    )


def shift_table(scenarios: Sequence[PlacedScenario]) -> Table | None:
    """Return what repair did to facts of the paths that it changed; None where it changed none.

    Five stand there always, the others where they moved by more than a tenth of a standard deviation.
    """
    changed = [placed for placed in scenarios if placed.scenario.candles.facts]
    shifts = [shift for placed in changed for shift in placed.scenario.candles.facts]
    known = [fact for fact in ALWAYS if any(shift.fact == fact for shift in shifts)]
    columns = [Column(placed.title, partial(_shift_cell, placed)) for placed in changed]
    facts = numbers.count(max((len(placed.scenario.candles.facts) for placed in changed), default=0))
    paths = numbers.count(max((shift.shift.n for shift in shifts), default=0))
    return tabled(
        "Statistic of a path",
        columns,
        dict.fromkeys([*known, *(shift.fact for shift in shifts if shift.moved)]),
        lambda fact: (ALWAYS.get(fact) or FACT[fact].title, fact),
        title="What repair did to the paths that it changed.",
        caption=text_of(say(words.SHIFTS, facts=facts, paths=paths)),
        css="stack shifts",
        explained=False,
    )


def _shift_cell(placed: PlacedScenario, fact: str) -> Cell:
    found = placed.find(f"candles/facts/fact={fact}")
    shift = found.value
    if shift is None:
        return Cell(ABSENT)
    known = shift.raw is not None and shift.repaired is not None
    note = f"{numbers.fixed(shift.raw, 3)} → {numbers.fixed(shift.repaired, 3)}" if known else ""
    return Cell(show(found.find("shift"), "number", decimals=2), note=note)


def conditional_sentences(scenarios: Sequence[PlacedScenario]) -> list[Sentence]:
    """Return the warning that an ensemble is conditional on acceptance, for every scenario that it is true of."""
    return [
        say(
            words.CONDITIONAL,
            scenario=placed.title,
            rejected=show(placed.find("candles/rejection/rejected"), "count"),
            paths=show(placed.find("candles/paths"), "count"),
        )
        for placed in scenarios
        if (rejection := placed.scenario.candles.rejection) is not None and rejection.conditional
    ]


def thresholds(scenarios: Sequence[PlacedScenario]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return where thresholds come from and why rules are not judged: once per set of scenarios with the same."""
    shared: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for placed in scenarios:
        rows = (
            (f"{row.rule} {name(row.title, 90)}", name(row.source or row.action, 300))
            for row in placed.scenario.candles.rules
            if row.source or row.bars < 0
        )
        shared.setdefault(tuple(rows), []).append(placed.title)
    return [(", ".join(titles), list(rows)) for rows, titles in shared.items()]


def flag_lines(scenarios: Sequence[PlacedScenario]) -> list[str]:
    """Return what is odd about the histories, each line once; of several assets as their book tells it, by name."""
    contexts = [p.scenario.context for p in scenarios if isinstance(p.scenario, BookScenario)]
    contexts = contexts or [placed.scenario.context for placed in scenarios]
    return list(dict.fromkeys(name(flag, 400) for context in contexts for flag in context.flags))


def market_rows(run: StressRun) -> list[tuple[str, str]]:
    """Return what presets of the market filled, with dates and sources, each set once; no row without a preset."""
    told: dict[str, list[str]] = {}
    for scenario in run.spec.get("scenarios", []):
        if (preset := (scenario.get("market") or {}).get("preset")) is not None:
            words = [Filled.model_validate(each).in_words for each in scenario.get("filled", [])]
            told.setdefault(f"{preset}: {'; '.join(words) or 'every field is written'}", []).append(scenario["name"])
    everywhere = len(told) == 1 and len(next(iter(told.values()))) == len(run.spec["scenarios"])
    return [
        ("Market rules" if everywhere else f"Market rules of {', '.join(scenarios)}", text)
        for text, scenarios in told.items()
    ]


def edge_sentences(scenarios: Sequence[PlacedScenario]) -> list[Sentence]:
    """Return a sentence per scenario whose model has an edge, and one where context was clipped."""
    return [sentence for placed in scenarios for sentence in _edges(placed)]


def _edges(placed: PlacedScenario) -> list[Sentence]:
    generator = placed.scenario.generator
    told = []
    if "pinned_paths" in generator and generator.get("representation") == "levels":
        counts = {
            "bars": "generator/pinned_bars",
            "all_bars": "candles/bars",
            "paths": "generator/pinned_paths",
            "all_paths": "paths",
        }
        told.append(say(words.EDGE_PATHS, scenario=placed.title, **_counts(placed, counts)))
    if generator.get("clipped_context_bars"):
        counts = {"bars": "generator/clipped_context_bars", "all_bars": "generator/context_bars"}
        told.append(say(words.EDGE_CONTEXT, scenario=placed.title, **_counts(placed, counts)))
    return told


def _counts(placed: PlacedScenario, paths: dict[str, str]) -> dict[str, Any]:
    return {key: show(placed.find(path), "count") for key, path in paths.items()}
