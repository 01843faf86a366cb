"""Paths from outside: every way of writing them that is read, and every mistake that is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.errors import CheckError, DataError, ScenarioError
from scenario_gen.market import Candles, load_candles
from scenario_gen.market.anchor import anchored
from scenario_gen.market.path_tables import read_path_table
from scenario_gen.market.paths import PathSet
from scenario_gen.market.section import Market
from tests.pipeline.given import OneContext

PRICES = ["open", "high", "low", "close"]
Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def one() -> OneContext:
    return OneContext.of(load_candles("nasdaq"), "2012-12-31")


@pytest.fixture
def paths(one: OneContext) -> pd.DataFrame:
    return one.copies(25)


def test_csv_parquet_and_frames_hold_the_same_paths(paths: pd.DataFrame, tmp_path: Path) -> None:
    paths.to_csv(tmp_path / "paths.csv", index=False)
    paths.to_parquet(tmp_path / "paths.parquet")
    table = read_path_table(paths)
    assert table.values.shape == (25, 60, 5)
    for name in ("paths.csv", "paths.parquet"):
        other = read_path_table(tmp_path / name)
        assert np.array_equal(other.values, table.values)
        assert np.array_equal(other.stamps, table.stamps)
        assert other.fields == table.fields


def shuffled_between_paths(paths: pd.DataFrame) -> pd.DataFrame:
    return paths.sort_values(["timestamp", "path"])


def named_otherwise(paths: pd.DataFrame) -> pd.DataFrame:
    return paths.rename(columns={"path": "Path_ID", "timestamp": "Date", "close": "CLOSE"})


def in_an_index(paths: pd.DataFrame) -> pd.DataFrame:
    return paths.set_index(["path", "timestamp"])


@pytest.mark.parametrize("change", [shuffled_between_paths, named_otherwise, in_an_index])
def test_order_names_and_index_do_not_matter(paths: pd.DataFrame, change: Change) -> None:
    table, other = read_path_table(paths), read_path_table(change(paths))
    assert np.array_equal(table.values, other.values)
    assert np.array_equal(table.path_ids, other.path_ids)


def test_paths_may_have_names(paths: pd.DataFrame) -> None:
    named = paths.assign(path=[f"draw {number}" for number in paths["path"]])
    assert read_path_table(named).path_ids.tolist() == list(range(25))


def test_what_a_run_keeps_is_read_as_it_was_written(paths: pd.DataFrame) -> None:
    values = read_path_table(paths).values
    stamps = pd.DatetimeIndex(paths["timestamp"].unique())
    kept = PathSet(values, (*PRICES, "volume"), stamps, np.arange(100, 125), 1.0)
    table = read_path_table(kept.to_pandas())
    assert np.array_equal(table.values, values)
    assert table.path_ids.tolist() == list(range(100, 125))


def test_paths_set_out_from_the_last_close_before_them(one: OneContext, paths: pd.DataFrame) -> None:
    found = anchored(read_path_table(paths), one.history, None, "p.csv")
    before = one.history.split_at("2012-12-31")[0]
    assert found.end == len(before)
    assert found.ensembles[0].paths.anchor_close == before.close[-1]


def test_an_earlier_context_end_moves_the_anchor_and_is_told(one: OneContext, paths: pd.DataFrame) -> None:
    found = anchored(read_path_table(paths), one.history, "2012-12-21", "p.csv")
    before = one.history.split_at("2012-12-21")[0]
    assert found.end == len(before)
    assert found.ensembles[0].paths.anchor_close == before.close[-1]
    assert any("5 bars" in note and "between the context's end" in note for note in found.notes)


def test_each_path_is_anchored_by_its_own_first_stamp(one: OneContext, paths: pd.DataFrame) -> None:
    days = one.history.timestamps[len(one.history.split_at("2012-12-31")[0]) :]
    late = paths["path"] >= 10
    shifted = paths.copy()
    shifted.loc[late, "timestamp"] = np.tile(days[5:65].to_numpy(), 15)
    found = anchored(read_path_table(shifted), one.history, None, "p.csv")
    ends = [int(np.searchsorted(one.history.timestamps, days[at])) for at in (0, 5)]
    assert [(len(part.paths), part.end) for part in found.ensembles] == [(10, ends[0]), (15, ends[1])]
    assert [part.paths.anchor_close for part in found.ensembles] == [one.history.close[end - 1] for end in ends]
    assert (found.contexts, found.end) == (2, ends[1])
    with pytest.raises(CheckError, match="2 contexts: too few for a sample of contexts"):
        sg.check(shifted, one.history)


def test_a_path_set_with_another_anchor_is_told(one: OneContext, paths: pd.DataFrame) -> None:
    table = read_path_table(paths)
    stamps = pd.DatetimeIndex(paths["timestamp"].unique())
    given = PathSet(table.values, table.fields, stamps, table.path_ids, 3000.0)
    found = anchored([given], one.history, None, "the path set")
    assert any("own anchor close 3000" in note for note in found.notes)
    assert found.ensembles[0].paths.anchor_close == 3000.0


def test_stamps_of_another_zone_are_the_same_moments(one: OneContext) -> None:
    hours = pd.date_range("2020-03-27", periods=200, freq="h", tz="UTC")
    history = Candles(hours, one.history.values[:200], one.history.fields, "hourly")
    values = history.values[None, 150:180].astype(np.float32).repeat(25, axis=0)
    berlin = hours[150:180].tz_convert("Europe/Berlin")  # the clocks go forward on the 29th
    given = PathSet(values, history.fields, berlin, np.arange(25), float(history.close[149]))
    table = read_path_table(given.to_pandas())
    assert str(table.zone) == "Europe/Berlin"
    found = anchored(table, history, None, "p.csv")
    assert [part.end for part in found.ensembles] == [150]
    assert found.ensembles[0].paths.anchor_close == history.close[149]


def test_a_volume_column_without_a_value_is_left_out_and_told(one: OneContext, paths: pd.DataFrame) -> None:
    report = sg.check(paths.assign(volume=np.nan), one.history)
    assert report.paths.fields == PRICES
    assert "the column volume of the data frame holds no value on any bar" in report.notes[0]
    (v4,) = (row for row in report.candles.rules if row.rule == "V4")
    assert (v4.bars, v4.action) == (-1, "not judged: the paths have no volume or amount")


@pytest.mark.parametrize("reference_has_volume", [True, False])
def test_a_volume_that_is_missing_on_some_bars_breaks_v4_and_costs_its_paths(
    one: OneContext, paths: pd.DataFrame, reference_has_volume: bool
) -> None:
    history = one.history
    if not reference_has_volume:
        history = Candles(history.timestamps, history.values[:, :4], history.fields[:4], "prices alone")
    paths.loc[[3, 70, 71], "volume"] = np.nan  # of the paths 0 and 1
    account = sg.check(paths, history).candles
    (v4,) = (row for row in account.rules if row.rule == "V4")
    assert (v4.bars, v4.paths, account.bad_bars, account.rejected) == (3, 2, 3, 2)


def test_an_infinite_price_is_counted_where_prices_stand_on_ticks(one: OneContext, paths: pd.DataFrame) -> None:
    paths.loc[5, "high"] = np.inf
    market = Market(tick_size=0.01, lot_size=100, price_limit=0.5)
    account = sg.check(paths, one.history, market=market).candles  # warnings are errors here
    (v1,) = (row for row in account.rules if row.rule == "V1")
    assert (v1.bars, account.rejected) == (1, 1)


def without(column: str) -> Change:
    return lambda paths: paths.drop(columns=column)


def with_value(column: str, row: int, value: object) -> Change:
    def change(paths: pd.DataFrame) -> pd.DataFrame:
        changed = paths.astype({column: object})
        changed.iloc[row, changed.columns.get_loc(column)] = value
        return changed

    return change


def scaled_to_100(paths: pd.DataFrame) -> pd.DataFrame:
    return paths.assign(**{name: paths[name] / paths["open"].iloc[0] * 100 for name in PRICES})


def with_a_zone(paths: pd.DataFrame) -> pd.DataFrame:
    return paths.assign(timestamp=paths["timestamp"].dt.tz_localize("UTC"))


def hourly(paths: pd.DataFrame) -> pd.DataFrame:
    hours = pd.date_range("2013-01-02 10:00", periods=60, freq="h")
    return paths.assign(timestamp=np.tile(hours.to_numpy(), 25))


MISTAKES: list[tuple[Change, str]] = [
    (without("path"), "does not say which path"),
    (without("timestamp"), "no time column"),
    (without("low"), "no column 'low'"),
    (with_value("open", 5, "abc"), "1 values of open that are no numbers: 'abc' in row 6"),
    (with_value("open", 5, "1,234.5"), "thousands separators"),
    (with_value("path", 7, None), "1 rows without a path, the first is row 8"),
    (with_value("timestamp", 3, None), "stamps that are missing or no date, the first in row 4"),
    (lambda p: p.iloc[:-3], "most have 60 bars, but path 24 has 57"),
    (lambda p: p.iloc[::-1], "25 of 25 paths repeat or go back, first of path 24 at its bar 2"),
    (lambda p: p.assign(timestamp=p["timestamp"].iloc[0]), "repeat or go back"),
    (lambda p: p.assign(path_id=p["path"]), "more than one column that names the path"),
    (lambda p: p.assign(path=0, timestamp=range(len(p))), "stamps"),
    (lambda p: p[p["path"] == 3], "holds 1 path, but realism is a property of an ensemble"),
    (lambda p: p.iloc[:0], "has no rows"),
    (lambda p: p.assign(close=np.nan), "25 of 25 paths have values that are missing"),
    (scaled_to_100, "times (median) the close that they should set out from"),
    (with_a_zone, "have a time zone"),
    (hourly, "has 1h bars, the reference NASDAQ Composite has daily bars"),
]


@pytest.mark.parametrize(("change", "told"), MISTAKES)
def test_mistakes_in_paths_are_told(one: OneContext, paths: pd.DataFrame, change: Change, told: str) -> None:
    with pytest.raises(ScenarioError) as error:
        sg.check(change(paths), one.history)
    assert told in str(error.value)
    assert error.value.expected


@pytest.mark.parametrize(
    ("cut", "told"),
    [
        (lambda h: h.split_at("2009-12-31")[0], "before them is at 2009-12-31"),
        (lambda h: h.split_at("2013-12-31")[1], "holds no bar before paths"),
        (lambda h: h.split_at("1999-01-04")[0], "cannot show a frequency"),
    ],
)
def test_a_reference_that_the_paths_do_not_continue_is_refused(
    one: OneContext, paths: pd.DataFrame, cut: Callable[[Candles], Candles], told: str
) -> None:
    with pytest.raises(ScenarioError, match=told):
        sg.check(paths, cut(one.history))


@pytest.mark.parametrize(
    ("end", "told"), [("2013-02-01", "not after the context's end"), ("soon", "'soon' is no date")]
)
def test_a_wrong_context_end_is_refused(one: OneContext, paths: pd.DataFrame, end: str, told: str) -> None:
    with pytest.raises(ScenarioError, match=told) as error:
        sg.check(paths, one.history, context_end=end)
    assert "--context-end" in error.value.fix


def test_other_types_and_missing_files_are_refused(one: OneContext) -> None:
    with pytest.raises(CheckError, match="cannot be read from dict"):
        sg.check({}, one.history)  # type: ignore[arg-type]
    with pytest.raises(CheckError, match="holds no paths"):
        sg.check([], one.history)
    with pytest.raises(DataError, match="no file"):
        sg.check("sp500", one.history)  # a built-in history is no set of paths
