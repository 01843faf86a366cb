"""Histories by SQL: what a query may do, what it may not, and what it is told. DuckDB is the real one."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from scenario_gen.errors import DataError
from scenario_gen.market.opened import candles_of
from scenario_gen.market.query import read_query
from scenario_gen.market.query_process import answer
from scenario_gen.market.section import Data

pytest.importorskip("duckdb", reason="needs the extra duckdb")

DAYS = pd.bdate_range("2024-01-02", periods=4)
READ = "select * from read_parquet('bars/*.parquet')"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with spec/bars/{SPY,QQQ}.parquet, spec/spy.csv and, beside it, out/secret.csv with links to it."""
    root = tmp_path_factory.mktemp("query")
    (root / "spec/bars").mkdir(parents=True)
    (root / "out").mkdir()
    for symbol, price in (("SPY", 470.0), ("QQQ", 400.0)):
        prices = {name: [price + day for day in range(4)] for name in ("open", "high", "low", "close")}
        frame = pd.DataFrame({"date": DAYS, **prices, "volume": 5.0, "symbol": symbol, "note": "x"})
        frame.to_parquet(root / f"spec/bars/{symbol}.parquet")
    frame.to_csv(root / "spec/spy.csv", index=False)
    frame.to_csv(root / "out/secret.csv", index=False)
    (root / "spec/link.csv").symlink_to(root / "out/secret.csv")
    (root / "spec/linked").symlink_to(root / "out")
    return root / "spec"


def test_bars_of_one_instrument_come_from_a_folder_of_files(place):
    candles = candles_of(Data(sql=f"{READ} where symbol = 'SPY' order by date"), place)
    assert candles.close.tolist() == [470.0, 471.0, 472.0, 473.0]
    assert candles.timestamps.equals(DAYS.as_unit("ns"))
    assert candles.source == "SQL query"


def test_symbol_start_and_as_of_hold_for_queries_too(place):
    data = Data(sql=f"{READ} order by date, symbol", symbol="QQQ", start=date(2024, 1, 3), as_of=date(2024, 1, 4))
    assert candles_of(data, place).close.tolist() == [401.0, 402.0]
    with pytest.raises(DataError, match=r"holds 2 instruments \(QQQ, SPY\)"):
        candles_of(Data(sql=f"{READ} order by date, symbol"), place)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("copy (select 1) to 'x.csv'", "holds COPY"),
        ("select 1; select 2", "holds SELECT, SELECT"),
        ("", "holds no statement"),
        ("create table x (a int)", "holds CREATE"),
        ("attach 'x.db'", "holds ATTACH"),
        ("install httpfs", "holds LOAD"),
        ("set threads = 1", "holds SET"),
        ("explain select 1", "holds EXPLAIN"),
        ("from '../out/secret.csv'", "may not open that"),
        ("from 'bars/../../out/secret.csv'", "may not open that"),
        ("from 'link.csv'", "may not open that"),
        ("from 'linked/secret.csv'", "may not open that"),
        ("from read_text('/etc/passwd')", "may not open that"),
        ("from glob('/etc/*')", "may not open that"),
        ("from 'https://example.com/x.parquet'", "may not open that"),
        ("from sys", "cannot be answered: Table with name sys does not exist"),
        ("selct 1", r"syntax error at or near .selct. \(line 1, column 1: 'selct 1'\)"),
        ("select date,\n  clse from 'spy.csv'", r".clse. not found.*\(line 2, column 3: .clse from"),
        ("from 'bars/none.parquet'", "No files found that match"),
        (f"{READ} where symbol = 'SPY' order by random()", "answers otherwise when it is asked again"),
        ("select i from range(20000000) t(i)", "more than 10,000,000 rows"),
    ],
)
def test_what_a_query_may_not_do_or_does_wrong_is_said_in_words(sql, message, place, monkeypatch):
    monkeypatch.chdir(place)  # where the process works
    before = sorted(str(path) for path in place.rglob("*"))
    with pytest.raises(DataError, match=message):
        answer(sql, [str(place)])
    assert sorted(str(path) for path in place.rglob("*")) == before


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select date, open, high, low from 'spy.csv'", "the query has no column 'close'; it has: 'date'"),
        (
            "select * exclude (symbol) from 'spy.csv' order by abs(close - 401)",
            r"row 2 is 2024-01-02.*\n.*\n.*ORDER BY date",
        ),
        ("select [1] as open from 'spy.csv'", "the column 'open' of the query holds list"),
    ],
)
def test_an_answer_that_is_no_history_is_refused(sql, message, place):
    with pytest.raises(DataError, match=message):
        candles_of(Data(sql=sql), place)


def test_one_more_folder_can_be_named(place):
    sql = f"select * from '{place.parent}/out/secret.csv' order by date"
    assert len(candles_of(Data(sql=sql, folder="../out"), place)) == 4
    with pytest.raises(DataError, match="no such folder"):
        candles_of(Data(sql=sql, folder="../nowhere"), place)


def test_modules_that_lie_in_the_folder_are_not_imported(place, tmp_path):
    (tmp_path / "duckdb.py").write_text("raise SystemExit('imported')")
    (tmp_path / "json.py").write_text("raise SystemExit('imported')")
    sql = "select date '2024-01-02' as date, 1.0 as open, 1.0 as high, 1.0 as low, 1.0 as close"
    assert len(read_query(sql, tmp_path).frame) == 1


def test_stamps_with_a_zone_stay_the_same_moments(tmp_path):
    sql = "select timestamptz '2024-01-02 14:30:00+00' as date, 1.0 as open, 1.0 as high, 1.0 as low, 1.0 as close"
    assert candles_of(Data(sql=sql), tmp_path).timestamps[0] == pd.Timestamp("2024-01-02 14:30", tz="UTC")


def test_without_duckdb_its_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("scenario_gen.market.query.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'scenario-gen\[duckdb\]'"):
        read_query("select 1", tmp_path)
