"""``scenario_gen.check`` with what the user knows of market, training and what came: mode A, ticks, copies, assets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from benchmarks.planted import Simulated, simulate
from scenario_gen.errors import CheckError, DataError, SpecError
from scenario_gen.market import Candles, load_candles
from scenario_gen.market.section import Market
from scenario_gen.realism.controls import Relative
from scenario_gen.realism.gauge import windows
from scenario_gen.store.reports import CheckReport
from scenario_gen.values import decode, encode
from tests.pipeline.given import OneContext, table

ORIGINS, LENGTH, PATHS, START = 40, 30, 99, 2600


@pytest.fixture(scope="module")
def known() -> tuple[Simulated, Candles]:
    market = simulate(1, START + ORIGINS * LENGTH, np.random.default_rng(11))
    return market, market.candles()


def forecasts(market: Simulated, history: Candles, factor: float = 1.0, every: int = LENGTH) -> pd.DataFrame:
    """Paths of the true law from many contexts, all moves multiplied by a factor, as a table."""
    rng, parts = np.random.default_rng(12), []
    for number, row in enumerate(range(START, START + (ORIGINS - 1) * LENGTH + 1, every)):
        made = simulate(PATHS, LENGTH, rng, market.states[0, row]).scaled(factor)
        stamps = history.timestamps[row : row + LENGTH].to_numpy()
        part = table(made, stamps, float(history.close[row - 1]))
        parts.append(part.assign(path=part["path"] + PATHS * number))
    return pd.concat(parts, ignore_index=True)


def label(report: CheckReport, fact: str) -> str | None:
    return next(one.label for one in report.facts if one.fact == fact)


def test_contexts_whose_futures_are_known_are_judged_by_what_came(known: tuple[Simulated, Candles]) -> None:
    market, history = known
    report = sg.check(forecasts(market, history), history)
    assert (report.mode, report.design.windows, report.paths.contexts) == ("A", ORIGINS, ORIGINS)
    assert report.verdicts["scale"] == "PASS"
    # a perfect generator has a FAIL among its facts in fewer than 2 % of runs (BENCHMARKS.md)
    assert "FAIL" not in {one.label for one in report.facts}
    assert any("what came after 40 contexts is in the reference" in note for note in report.notes)
    assert {one.score for one in report.scores} >= {"c2st", "energy", "copies"}
    assert report.calibration is not None
    assert report.verdicts["calibration"] == report.calibration.label in ("PASS", "WARN")
    assert {one.label for one in report.calibration.functionals} <= {"PASS", "WARN"}
    assert report.verdicts["value_at_risk"] == report.calibration.value_at_risk == "INCONCLUSIVE"
    assert "2.0 exceedances are expected of 40" in report.reasons["value_at_risk"]
    assert decode(CheckReport, encode(report)) == report
    # what only windows and pooled paths can tell stands beside
    assert next(one for one in report.long if one.fact == "hill_losses_5").synthetic is not None
    assert any(one.outside is not None for one in report.facts)


def test_a_volatility_of_seven_tenths_is_caught_where_windows_of_history_are_blind(
    known: tuple[Simulated, Candles],
) -> None:
    market, history = known
    calm = forecasts(market, history, 0.7)
    report = sg.check(calm, history)
    assert report.verdicts["scale"] == "FAIL"
    assert label(report, "log_sd") == "FAIL"
    assert report.verdicts["calibration"] == "FAIL"
    assert "PIT mean" in report.reasons["calibration"]
    blind = sg.check(calm, history, context_end=str(history.timestamps[START + 9 * LENGTH].date()))
    assert (blind.mode, label(blind, "log_sd")) == ("B", None)  # what came is beyond what may be looked at
    assert "calibration" not in blind.verdicts


def test_outcomes_that_overlap_are_not_counted_twice(known: tuple[Simulated, Candles]) -> None:
    market, history = known
    report = sg.check(forecasts(market, history, every=LENGTH // 2), history)
    assert report.paths.contexts == 2 * ORIGINS - 1
    assert (report.mode, report.design.windows) == ("A", ORIGINS)


def test_from_thirty_to_thirty_nine_contexts_are_calibrated_and_their_facts_held_against_windows(
    known: tuple[Simulated, Candles],
) -> None:
    market, history = known
    calm = forecasts(market, history, 0.7)
    report = sg.check(calm[calm["path"] < PATHS * 39], history)
    assert (report.mode, report.paths.contexts, label(report, "log_sd")) == ("B", 39, None)
    assert report.calibration is not None
    assert report.verdicts["calibration"] == "FAIL"
    assert any("39 contexts have what came in the reference" in note for note in report.notes)


@pytest.fixture(scope="module")
def one() -> OneContext:
    return OneContext.of(load_candles("nasdaq"), "2012-12-31")


def test_candles_are_held_to_the_markets_ticks_lots_and_limit(one: OneContext) -> None:
    paths = one.control("shuffle", count=40)
    free = sg.check(paths, one.history)
    held = sg.check(paths, one.history, market=Market(tick_size=0.01, lot_size=7000, price_limit=0.03))
    rules = {row.rule: row for row in held.candles.rules}
    assert {row.rule for row in free.candles.rules if row.bars < 0} >= {"V7", "V8", "V4-lots"}
    assert rules["V7"].paths == rules["V4-lots"].paths == 40  # chained anew, so off both grids
    assert rules["V8"].paths > 0
    assert any("market.price_limit" in note for note in held.notes)  # the NASDAQ itself moved by more than 3 % in a day
    assert free.candles.repaired < held.candles.repaired
    moved = {shift.fact for shift in held.candles.facts if shift.moved}
    assert moved & {"log_sd", "exkurt", "logPK_oc"}  # a limit cuts the tails
    assert "ensemble" not in held.verdicts  # a shift is no verdict


def test_a_calendar_that_the_stamps_break_is_told(one: OneContext) -> None:
    paths = one.control("shuffle", count=40)
    paths["timestamp"] = np.tile(pd.date_range("2013-01-02", periods=60).to_numpy(), 40)  # weekends too
    rules = {row.rule: row for row in sg.check(paths, one.history, calendar="XNYS").candles.rules}
    assert rules["V6"].paths == 40


def test_copies_of_the_training_data_are_found_where_they_are_named(one: OneContext) -> None:
    foreign = simulate(1, 3000, np.random.default_rng(3)).candles()
    copied = one.table(windows(foreign, 60, 29).bars)
    assert sg.check(copied, one.history).verdicts["copy"] != "FAIL"
    assert sg.check(copied, one.history, training=[foreign]).verdicts["copy"] == "FAIL"


def test_one_asset_may_be_named_and_several_need_a_check_of_their_own(one: OneContext) -> None:
    paths = one.control("shuffle", count=40)
    same = sg.check(paths.assign(asset="A"), one.history)
    assert same.paths.paths == 40
    with pytest.raises(DataError, match="the paths are of 2 assets: A, B") as told:
        sg.check(paths.assign(Symbol=np.where(paths["path"] < 20, "A", "B")), one.history)
    assert "check_assets" in str(told.value)


def test_moves_far_beyond_history_are_a_warning_of_the_candles(one: OneContext) -> None:
    """Real windows with every move eight times as large: valid candles, and nothing that history ever showed."""
    wild = Relative.of(one.windows.select(slice(0, 60))).scaled(8.0).onto(one.windows.select(slice(0, 60)))
    report = sg.check(one.table(wild), one.history)
    assert report.candles.bad_bars == 0
    assert report.verdicts["candles"] == "WARN"
    assert "V10" in report.reasons["candles"]


def test_a_tick_above_the_price_is_refused_and_not_blamed_on_the_paths(one: OneContext) -> None:
    with pytest.raises(CheckError, match=r"tick_size is 1e\+09, and .* last closed at"):
        sg.check(one.control("shuffle", count=40), one.history, market=Market(tick_size=1e9))


def test_parquet_with_the_index_of_pandas_is_read(one: OneContext, tmp_path: Path) -> None:
    rows = one.control("shuffle", count=40)
    rows.set_index(["path", "timestamp"]).to_parquet(tmp_path / "indexed.parquet")
    rows.to_parquet(tmp_path / "plain.parquet", index=False)
    ours, theirs = (sg.check(tmp_path / f"{name}.parquet", one.history) for name in ("indexed", "plain"))
    assert ours.verdicts == theirs.verdicts
    assert ours.facts == theirs.facts


def test_what_a_caller_names_may_be_plain_values_and_is_refused_in_words(one: OneContext) -> None:
    rows = one.control("shuffle", count=40)
    named = sg.check(rows, one.history, market={"tick_size": 0.05}, training="sp500")
    assert next(rule for rule in named.candles.rules if rule.rule == "V7").paths == 40
    with pytest.raises(SpecError, match=r"market\.tick_size is -1"):
        sg.check(rows, one.history, market={"tick_size": -1})
    with pytest.raises(SpecError, match=r"market\.tik_size is 1"):
        sg.check(rows, one.history, market={"tik_size": 1})
    with pytest.raises(SpecError, match="seed is -1"):
        sg.check(rows, one.history, seed=-1)


def test_two_bars_leave_no_space_to_compare_in(one: OneContext) -> None:
    paths = one.control("shuffle", count=60)
    short = paths.groupby("path").head(2)
    c2st = next(one for one in sg.check(short, one.history).scores if one.score == "c2st")
    assert c2st.label == "UNTESTABLE"
    assert "no space to compare in" in c2st.reason
