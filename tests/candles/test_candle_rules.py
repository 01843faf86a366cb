"""Candle rules V1 to V4 and V6: planted breaches are counted exactly, repaired least, or refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scenario_gen.candles import CandleAccount, check_candles
from scenario_gen.candles.account import merge_tallies
from scenario_gen.errors import CheckError
from scenario_gen.market import BarCalendar, Candles, PathSet


@pytest.fixture(scope="module")
def context(sp500: Candles) -> Candles:
    return sp500.split_at("2012-06-29")[0].context(120)


def _paths(context: Candles, n: int = 10, bars: int = 6) -> PathSet:
    """Quiet valid candles that set out from the context's last close."""
    anchor = context.close[-1]
    row = np.array([anchor, anchor * 1.01, anchor * 0.99, anchor * 1.002, 1e6])
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(bars)
    values = np.broadcast_to(row, (n, bars, 5)).astype(np.float32).copy()
    values[:, :, 3] *= np.float32(1 + 1e-5) ** np.arange(bars, dtype=np.float32)  # no close rests
    return PathSet(values, context.fields[:5], stamps, np.arange(n), float(anchor))


def _broken(context: Candles, plant: dict[tuple[int, int, int], float]) -> PathSet:
    paths = _paths(context)
    for place, value in plant.items():
        paths.values[place] = value
    return paths


def _rule(account: CandleAccount, name: str) -> tuple[int, int, int, int]:
    row = next(r for r in account.rules if r.rule == name)
    return row.bars, row.paths, row.left_bars, row.left_paths


def test_valid_candles_pass_untouched(context: Candles) -> None:
    checked = check_candles(_paths(context), context, "fail")
    account = merge_tallies([checked.tally])
    assert account.label == "PASS"
    assert (account.untouched, account.rounded, account.repaired, account.rejected) == (10, 0, 0, 0)
    assert all(row.bars <= 0 for row in account.rules)


def test_every_rule_has_its_row_judged_or_with_the_reason_why_not(context: Candles) -> None:
    account = merge_tallies([check_candles(_paths(context), context, "repair").tally])
    families = [row.rule.partition("-")[0] for row in account.rules]
    assert list(dict.fromkeys(families)) == [f"V{number}" for number in range(1, 13)]
    unjudged = [row for row in account.rules if row.bars < 0]
    assert all(row.action.startswith("not judged: ") and len(row.action) > 25 for row in unjudged)
    assert {"V4-lots", "V5", "V7", "V8"} <= {row.rule for row in unjudged}  # nothing is declared


def test_real_windows_pass_every_rule(sp500: Candles) -> None:
    history, later = sp500.split_at("2012-06-29")
    real = PathSet.from_history(later.rows(0, 60), float(history.close[-1]))
    account = merge_tallies([check_candles(real, history.context(250), "fail", history=history).tally])
    assert account.bad_bars == 0
    judged = [row for row in account.rules if row.bars >= 0]
    assert len(judged) == 11  # four need a declaration or an amount, one needs bars inside sessions
    assert [row.paths for row in judged] == [0] * 11


def test_each_planted_breach_is_counted_under_its_rule(context: Candles) -> None:
    anchor = float(context.close[-1])
    plant = {
        (0, 1, 2): np.nan,  # V1
        (1, 2, 3): -anchor,  # V2, and V3: the low is above that close
        (2, 0, 1): anchor * 0.9,  # V3: high below open
        (2, 3, 2): anchor * 1.1,  # V3: low above everything
        (3, 4, 4): -5.0,  # V4
        (4, 0, 0): anchor * 1.6,  # V9, and V3: the high is below that open
        (5, 2, 4): np.nan,  # V4: no number, so the path goes
    }
    account = merge_tallies([check_candles(_broken(context, plant), context, "repair").tally])
    assert _rule(account, "V1") == (1, 1, 0, 0)
    assert _rule(account, "V2") == (1, 1, 0, 0)
    assert _rule(account, "V3") == (4, 3, 0, 0)
    assert _rule(account, "V4") == (2, 2, 0, 0)
    assert _rule(account, "V6") == (0, 0, 0, 0)
    assert _rule(account, "V9") == (1, 1, 1, 1)  # flagged, not mended
    assert (account.bad_bars, account.bad_paths) == (7, 6)
    assert (account.rejected, account.repaired, account.untouched) == (3, 3, 4)
    assert account.label == "FAIL"


def test_repair_moves_high_and_low_out_and_never_open_or_close(context: Candles) -> None:
    anchor = float(context.close[-1])
    raw = _broken(context, {(2, 0, 1): anchor * 0.9, (3, 1, 2): anchor * 1.2})
    fixed = check_candles(raw, context, "repair").paths
    o, h, l, c = (fixed.column(f) for f in ("open", "high", "low", "close"))  # noqa: E741
    assert np.array_equal(o, raw.column("open"))
    assert np.array_equal(c, raw.column("close"))
    assert h[2, 0] == max(o[2, 0], c[2, 0])
    assert h[3, 1] == np.float32(anchor * 1.2)
    assert l[3, 1] == min(o[3, 1], c[3, 1])


def test_the_size_of_a_repair_is_told_in_basis_points_and_in_ranges_of_its_bar(context: Candles) -> None:
    raw = _paths(context)
    c = raw.values[0, 0, 3]
    raw.values[0, 0, :3] = c * 0.98, c * 0.99, c * 0.95  # the high must move up to the close: 100 bp of it,
    account = merge_tallies([check_candles(raw, context, "repair").tally])  # a fifth of the range of 500 bp
    assert account.changed_bars == 1
    assert account.max_change_bp == pytest.approx(100, rel=1e-3)  # float32 prices
    assert account.mean_change_bp == pytest.approx(100, rel=1e-3)
    assert account.mean_change_range == pytest.approx(0.2, rel=1e-3)


def test_reject_drops_the_path_and_keeps_the_others_as_they_are(context: Candles) -> None:
    raw = _broken(context, {(2, 0, 1): 1.0, (7, 5, 4): -1.0})
    checked = check_candles(raw, context, "reject")
    assert checked.paths.path_ids.tolist() == [0, 1, 3, 4, 5, 6, 8, 9]
    account = merge_tallies([checked.tally])
    assert (account.rejected, account.repaired, account.untouched) == (2, 0, 8)
    assert _rule(account, "V3") == (1, 1, 0, 0)


def test_fail_names_rules_counts_and_what_to_do(context: Candles) -> None:
    with pytest.raises(CheckError, match=r"V3 .*: 1 bars in 1 paths") as caught:
        check_candles(_broken(context, {(2, 0, 1): 1.0}), context, "fail")
    assert "on_invalid: repair" in caught.value.fix


def test_when_no_path_is_left_that_is_an_error(context: Candles) -> None:
    raw = _paths(context, n=2)
    raw.values[:, 0, 3] = np.inf
    with pytest.raises(CheckError, match="none of 2 paths is left"):
        check_candles(raw, context, "repair")


@pytest.mark.parametrize("stamps", ["late", "doubled", "on a Sunday"])
def test_stamps_off_the_calendar_are_counted_and_taken_from_it(context: Candles, stamps: str) -> None:
    paths = _paths(context)
    good = paths.timestamps
    bad, wrong = {
        "late": (context.timestamps[-6:], 6),
        "doubled": (good[[0, 1, 1, 3, 4, 5]], 1),
        "on a Sunday": (good[:5].append(pd.DatetimeIndex(["2012-07-08"])), 1),
    }[stamps]
    checked = check_candles(replace(paths, timestamps=bad), context, "repair")
    account = merge_tallies([checked.tally])
    assert _rule(account, "V6") == (10 * wrong, 10, 0, 0)
    assert account.label == "FAIL"
    assert checked.paths.timestamps.equals(good)
    assert np.array_equal(checked.paths.values, paths.values)  # values are never sorted
    assert account.repaired == 10


def test_real_bars_may_leave_out_holidays_that_an_inferred_calendar_does_not_know(sp500: Candles) -> None:
    history, later = sp500.split_at("2012-06-29")  # 4 July follows
    nameless = replace(history, calendar="")
    real = PathSet.from_history(later.rows(0, 20), float(history.close[-1]))
    account = merge_tallies([check_candles(real, nameless.context(250), "fail", history=nameless).tally])
    assert _rule(account, "V6") == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda p: replace(p, timestamps=p.timestamps.tz_localize("UTC")), "time zone"),
        (lambda p: replace(p, values=p.values[..., 1:], fields=p.fields[1:]), "have no open"),
    ],
)
def test_paths_that_do_not_belong_to_the_context_are_refused(context: Candles, change, told: str) -> None:
    with pytest.raises(CheckError, match=told):
        check_candles(change(_paths(context)), context, "repair")


def test_tallies_of_blocks_add_up_to_the_tally_of_the_whole(context: Candles) -> None:
    raw = _broken(context, {(2, 0, 1): 1.0, (7, 5, 4): -1.0, (8, 1, 0): np.nan})
    whole = merge_tallies([check_candles(raw, context, "repair").tally])
    halves = [raw.select(np.arange(5)), raw.select(np.arange(5, 10))]
    assert merge_tallies([check_candles(half, context, "repair").tally for half in halves]) == whole


def test_an_account_that_does_not_add_up_cannot_be_made(context: Candles) -> None:
    account = merge_tallies([check_candles(_paths(context), context, "repair").tally])
    with pytest.raises(ValueError, match="untouched"):
        replace(account, repaired=1)
