"""The candle section: every rule has its row, unjudged ones a dash and a reason, and rejection is never silent."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from types import ModuleType

from scenario_gen.candles.account import CandleAccount, FactShift, Interval, Rejection
from scenario_gen.report.page import build_page
from scenario_gen.report.table import Table, place
from scenario_gen.report.tables.candles import (
    account_table,
    effect_sentence,
    effect_table,
    shift_table,
    thresholds,
    wickless_table,
)
from scenario_gen.report.words import text_of
from scenario_gen.store.results import StressRun

MakeRun = Callable[..., StressRun]


def _with_account(run: StressRun, **changes: object) -> StressRun:
    """The run with a changed candle account in its first scenario."""
    first, *others = run.scenarios
    account: CandleAccount = dataclasses.replace(first.candles, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(run, scenarios=[dataclasses.replace(first, candles=account), *others])


def _row(table: Table, head: str, unit: str = "") -> list[str]:
    (row,) = [row for row in table.rows if row.head == head and row.unit.startswith(unit)]
    return [cell.shown.text if cell.shown else cell.text for cell in row.cells]


def test_rules_stand_in_three_groups_and_unjudged_ones_show_a_dash(full: StressRun) -> None:
    table = account_table(place(full))
    heads = [row.head for row in table.rows if row.css.startswith("grp")]
    assert [head[:9] for head in heads] == ["Ruled out", "Brought i", "Possible,"]
    assert _row(table, "V7") == ["—", "—", "—", "—", "not judged"]
    assert _row(table, "V3") == ["37", "30", "48", "0", "repaired"]


def test_a_path_that_is_flagged_for_what_it_lacks_is_counted_as_a_path(full: StressRun) -> None:
    (row,) = [row for row in account_table(place(full)).rows if row.head == "V11-share"]
    assert row.cells[0].shown is not None
    assert (row.cells[0].shown.text, row.cells[0].note) == ("0", "3 paths, 4 after repair")


def test_what_repair_leaves_is_told_where_it_differs_from_what_was_flagged(full: StressRun) -> None:
    first = full.scenarios[0].candles
    broken = [dataclasses.replace(row, left_bars=2, left_paths=1) if row.rule == "V3" else row for row in first.rules]
    (row,) = [r for r in account_table(place(_with_account(full, rules=broken))).rows if r.head == "V3"]
    assert row.cells[0].note.endswith("2 after repair")
    (seam,) = [r for r in account_table(place(full)).rows if r.head == "V9"]
    assert "after repair" not in seam.cells[0].note


def test_thresholds_are_listed_once_for_scenarios_that_share_them(full: StressRun) -> None:
    ((titles, rows),) = thresholds(place(full))
    assert titles == "base, calm, hot, bootstrap"
    told = dict(rows)
    assert told["V7 prices are whole ticks"] == "not judged: no tick is declared"
    assert told["V9 first open near the last close"] == "3.1 sd: 1.5 x"


def test_the_fingerprint_stands_beside_the_historys(full: StressRun) -> None:
    table = wickless_table(place(full))
    assert table is not None
    assert _row(table, "base") == ["8.0%", "14.0%", "7.9%", "7.0%", "13.0%", "7.1%"]
    assert wickless_table(place(_with_account(full, wickless=[]))[:1]) is None


def test_five_shifts_stand_always_and_others_where_they_moved_by_more_than_a_tenth(full: StressRun) -> None:
    def shift(fact: str, by: float) -> FactShift:
        return FactShift(fact, 0.5, 0.5 + by, Interval(by, by - 0.02, by + 0.02, 37))

    facts = [shift("gap_share", 0.1), shift("no_upper_wick", 0.11), shift("Lkurt", -0.2), shift("body_frac", 0.0)]
    run = _with_account(full, facts=facts)
    table = shift_table(place(run)[:1])
    assert table is not None
    assert [row.unit for row in table.rows] == ["body_frac", "no_upper_wick", "Lkurt"]
    assert table.rows[2].cells[0].note == "0.500 → 0.300"
    page = build_page(run)
    assert "4 facts were measured, on at most 48 changed paths" in page  # the hot scenario has 48
    assert shift_table([p for p in place(run) if p.title == "bootstrap"]) is None


def test_results_with_and_without_repair_stand_one_below_the_other(full: StressRun) -> None:
    table = effect_table(place(full))
    assert table is not None
    raw = [row for row in table.rows if row.unit == "raw"]
    repaired = [row for row in table.rows if row.unit == "repaired"]
    assert len(raw) == len(repaired) == 15  # five strategies in three scenarios; the bootstrap needs no repair
    assert [cell.shown.text for cell in raw[0].cells[:3] if cell.shown] == ["+1.0%", "not shown", "20.0%"]
    assert "moves the mean return most for BuyAndHold" in text_of(effect_sentence(place(full)))


def test_a_run_without_repairs_says_that_nothing_differs(degenerate: StressRun) -> None:
    assert effect_table(place(degenerate)) is None
    assert "No kept path was changed" in build_page(degenerate)


def test_a_conditional_ensemble_is_warned_of_with_the_bias_of_its_rejection(
    make_run: MakeRun, checks: ModuleType
) -> None:
    run = make_run(bad=0)
    account = run.scenarios[0].candles
    few = Rejection(2, 2, Interval(0.5, 0.1, 0.9, 2), Interval(-0.1, -0.2, 0.0, 2), conditional=False)
    quiet = _with_account(run, rejected=2, untouched=account.untouched - 2, rejection=few)
    page = build_page(quiet)
    assert "Bias of rejection." in page
    assert "conditional on acceptance" not in page
    many = dataclasses.replace(few, rejected=9, measured=9, conditional=True)
    loud = _with_account(run, rejected=9, untouched=account.untouched - 9, rejection=many)
    page = build_page(loud)
    text = re.sub(r"\s+", " ", checks.seen(page))
    assert "base: 9 of 512 paths were rejected. The ensemble is conditional on acceptance" in text
    checks.check_numbers(page, loud)
    checks.check_accounts(page, loud)


def test_flags_of_the_history_are_listed_once_and_cannot_break_the_page(full: StressRun, checks: ModuleType) -> None:
    flag = "stale prices (5 bars, rows 3, 4, 5 and 2 more): <b>no</b> price changes"
    scenarios = [
        dataclasses.replace(one, context=dataclasses.replace(one.context, flags=[flag])) for one in full.scenarios
    ]
    page = build_page(dataclasses.replace(full, scenarios=scenarios))
    assert checks.seen(page).count(flag) == 1
    assert "<b>no</b>" not in page
    assert "No bar of the history is flagged" in build_page(full)
