"""Candle rules: planted breaches are counted exactly, repaired least, or refused; valid candles pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scenario_gen.checks import CandleAccount, check_candles
from scenario_gen.checks.account import merge_tallies
from scenario_gen.checks.candles import running_volatility
from scenario_gen.errors import CheckError
from scenario_gen.market import BarCalendar, Candles, PathSet, load_candles

CONTEXT = (
    load_candles("sp500").split_at("2012-06-29")[0].context(120)
)  # hypothesis does not take function-scoped fixtures


@pytest.fixture(scope="module")
def context(sp500: Candles) -> Candles:
    return sp500.split_at("2012-06-29")[0].context(120)


def _paths(context: Candles, n: int = 10, bars: int = 6) -> PathSet:
    """Quiet valid candles that set out from the context's last close."""
    anchor = context.close[-1]
    row = np.array([anchor, anchor * 1.01, anchor * 0.99, anchor * 1.002, 1e6])
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(bars)
    values = np.broadcast_to(row, (n, bars, 5)).astype(np.float32).copy()
    return PathSet(values, context.fields[:5], stamps, np.arange(n), float(anchor))


def _broken(context: Candles, plant: dict[tuple[int, int, int], float]) -> PathSet:
    paths = _paths(context)
    for place, value in plant.items():
        paths.values[place] = value
    return paths


def _rule(account: CandleAccount, name: str) -> tuple[int, int]:
    row = next(r for r in account.rules if r.rule == name)
    return row.bars, row.paths


def test_valid_candles_pass_untouched(context: Candles) -> None:
    checked = check_candles(_paths(context), context, "fail")
    account = merge_tallies([checked.tally])
    assert account.label == "PASS"
    assert (account.untouched, account.repaired, account.rejected) == (10, 0, 0)
    assert all(row.bars == 0 for row in account.rules)


def test_real_windows_pass_every_rule(sp500: Candles) -> None:
    history, later = sp500.split_at("2012-06-29")
    real = PathSet.from_history(later.rows(0, 60), float(history.close[-1]))
    tally = check_candles(real, history.context(250), "fail").tally
    assert tally.bad_bars == 0
    assert [row.bars for row in tally.rules] == [0] * 6


def test_each_planted_breach_is_counted_under_its_rule(context: Candles) -> None:
    anchor = float(context.close[-1])
    plant = {
        (0, 1, 2): np.nan,  # V1
        (
            1,
            2,
            3,
        ): -anchor,  # V2; its low is above its close, but a bar counts under one of V1-V4 only if that is so
        (2, 0, 1): anchor * 0.9,  # V3: high below open
        (2, 3, 2): anchor * 1.1,  # V3: low above everything
        (3, 4, 4): -5.0,  # V4
        (4, 0, 0): anchor * 1.6,  # V9, and V3: the high is below that open
    }
    account = merge_tallies([check_candles(_broken(context, plant), context, "repair").tally])
    assert _rule(account, "V1") == (1, 1)
    assert _rule(account, "V2") == (1, 1)
    assert _rule(account, "V3") == (4, 3)
    assert _rule(account, "V4") == (1, 1)
    assert _rule(account, "V6") == (0, 0)
    assert _rule(account, "V9") == (1, 1)
    assert account.bad_bars == 6
    assert (account.rejected, account.repaired, account.untouched) == (2, 3, 5)
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


def test_the_size_of_a_repair_is_reported_in_basis_points_of_the_close(context: Candles) -> None:
    raw = _paths(context)
    c = raw.values[0, 0, 3]
    raw.values[0, 0, :3] = c * 0.98, c * 0.99, c * 0.97  # the high must move up to the close: 100 bp
    tally = check_candles(raw, context, "repair").tally
    assert tally.changes == 1
    assert tally.change_bp_max == pytest.approx(100, rel=1e-3)  # float32 prices


@given(arrays(np.float32, (4, 5, 4), elements=st.floats(1, 200, width=32)))
@settings(max_examples=100, deadline=None)
def test_repair_is_idempotent_and_leaves_valid_candles(prices: np.ndarray) -> None:
    stamps = BarCalendar.infer(CONTEXT.timestamps, "XNYS").future(5)
    paths = PathSet(prices, ("open", "high", "low", "close"), stamps, np.arange(4), float(CONTEXT.close[-1]))
    once = check_candles(paths, CONTEXT, "repair")
    twice = check_candles(once.paths, CONTEXT, "fail")  # nothing is left to refuse
    assert np.array_equal(once.paths.values, twice.paths.values)
    assert twice.tally.bad_bars == 0


def test_reject_drops_the_path_and_keeps_the_others_as_they_are(context: Candles) -> None:
    raw = _broken(context, {(2, 0, 1): 1.0, (7, 5, 4): -1.0})
    checked = check_candles(raw, context, "reject")
    assert checked.paths.path_ids.tolist() == [0, 1, 3, 4, 5, 6, 8, 9]
    assert checked.tally.rejected == 2
    assert checked.tally.repaired == 0


def test_fail_names_rules_counts_and_what_to_do(context: Candles) -> None:
    with pytest.raises(CheckError, match=r"V3 .*: 1 bars in 1 paths") as caught:
        check_candles(_broken(context, {(2, 0, 1): 1.0}), context, "fail")
    assert "on_invalid: repair" in caught.value.fix


def test_when_no_path_is_left_that_is_an_error(context: Candles) -> None:
    raw = _paths(context, n=2)
    raw.values[:, 0, 3] = np.inf
    with pytest.raises(CheckError, match="none of 2 paths is left"):
        check_candles(raw, context, "repair")


def test_stamps_that_do_not_follow_the_context_are_counted(context: Candles) -> None:
    late = replace(_paths(context), timestamps=context.timestamps[-6:])
    account = merge_tallies([check_candles(late, context, "repair").tally])
    assert _rule(account, "V6") == (60, 10)
    assert account.label == "FAIL"


def test_the_seam_is_not_judged_where_history_has_no_gaps(context: Candles) -> None:
    values = context.values.copy()
    values[1:, 0] = values[:-1, 3]
    values[:, 1] = np.maximum(values[:, 1], values[:, 0])
    values[:, 2] = np.minimum(values[:, 2], values[:, 0])
    flat = replace(context, values=values)
    row = check_candles(_paths(flat), flat, "repair").tally.rules[-1]
    assert (row.rule, row.bars) == ("V9", -1)
    assert "every open of the context equals the close before it" in row.action


def test_the_running_volatility_is_the_ewma_by_hand() -> None:
    r = np.array([0.01] * 10 + [0.03])
    sigma = running_volatility(r)
    assert sigma[10] == pytest.approx(0.01)
    assert sigma[11] == pytest.approx(np.sqrt(0.94 * 1e-4 + 0.06 * 9e-4))


def test_tallies_of_blocks_add_up_to_the_tally_of_the_whole(context: Candles) -> None:
    raw = _broken(context, {(2, 0, 1): 1.0, (7, 5, 4): -1.0})
    whole = merge_tallies([check_candles(raw, context, "repair").tally])
    halves = [raw.select(np.arange(5)), raw.select(np.arange(5, 10))]
    assert merge_tallies([check_candles(half, context, "repair").tally for half in halves]) == whole


def test_an_account_that_does_not_add_up_cannot_be_made(context: Candles) -> None:
    account = merge_tallies([check_candles(_paths(context), context, "repair").tally])
    with pytest.raises(ValueError, match="untouched"):
        replace(account, repaired=1)
