"""Files as vendors and programs write them, known by what stands in them; stamps and prices are worked by hand."""

from __future__ import annotations

import gzip
import json
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather

from scenario_gen import load_candles
from scenario_gen.errors import DataError
from scenario_gen.market.dialects import DIALECTS, PLAIN
from scenario_gen.market.section import Format


@dataclass(frozen=True)
class Case:
    dialect: str
    file: str
    text: str
    first: str  # stamp of the first bar
    close: float  # of the first bar
    volume: float | None
    says: str


CASES = {
    "metatrader 4": Case(
        "metatrader",
        "EURUSD60.csv",
        "2024.01.02,00:00,1.10427,1.10447,1.10371,1.10396,1210\n2024.01.02,01:00,1.10396,1.10459,1.10390,1.10440,987\n",
        "2024-01-02 00:00", 1.10396, 1210.0, "read as a MetaTrader export: stamps are the broker's time",
    ),
    "metatrader 5": Case(
        "metatrader",
        "EURUSD_H1.csv",
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
        "2024.01.02\t00:00:00\t1.10427\t1.10447\t1.10371\t1.10396\t1210\t0\t2\n"
        "2024.01.02\t01:00:00\t1.10396\t1.10459\t1.10390\t1.10440\t987\t0\t1\n",
        "2024-01-02 00:00", 1.10396, 1210.0, "read as a MetaTrader export",
    ),
    "metatrader 5, a chart that was saved": Case(
        "metatrader",
        "EURUSDDaily.csv",
        "2024.01.02 00:00:00,1.10427,1.10447,1.09371,1.09396,61210\n"
        "2024.01.03 00:00:00,1.0939,1.0965,1.0893,1.0922,6\n",
        "2024-01-02", 1.09396, 61210.0, "read as a MetaTrader export",
    ),
    "tradingview, seconds": Case(
        "tradingview",
        "NASDAQ_AAPL, 60.csv",
        "time,open,high,low,close,Volume,Volume MA\n"  # 2024-01-02 14:30 in UTC, when New York opens
        "1704205800,187.15,188.44,183.89,184.25,21537000,NaN\n1704209400,184.25,185.4,184.1,185.2,9120000,NaN\n",
        "2024-01-02 14:30+00:00", 184.25, 21537000.0, "read as a TradingView export: stamps are when bars open",
    ),
    "tradingview, iso": Case(
        "tradingview",
        "SP_SPX, 1D.csv",
        "time,open,high,low,close\n2024-01-02T09:30:00-05:00,4745.2,4754.33,4722.67,4742.83\n"
        "2024-01-03T09:30:00-05:00,4725.07,4729.29,4699.71,4704.81\n",
        "2024-01-02 09:30-05:00", 4742.83, None, "read as a TradingView export",
    ),
    "binance, milliseconds without a header": Case(
        "binance",
        "BTCUSDT-1h-2024-01-01.csv",
        "1704067200000,42283.58,42554.57,42261.02,42475.23,1271.68108,1704070799999,53957248.97,47134,682.57,28957416.8,0\n"
        "1704070800000,42475.23,42775.00,42431.65,42613.56,1196.37856,1704074399999,50984000.2,49229,623.5,26572000.1,0\n",
        "2024-01-01 00:00+00:00", 42475.23, 1271.68108, "read as Binance klines: stamps are when bars open, in UTC",
    ),
    "binance, microseconds without a header": Case(
        "binance",
        "BTCUSDT-1h-2025-01-01.csv",
        "1735689600000000,93576.00,94509.42,93489.03,94401.14,755.99,1735693199999999,71091000.5,119418,385.1,36211000.2,0\n"
        "1735693200000000,94401.13,94408.72,93578.77,93607.74,586.53,1735696799999999,55200000.4,90000,280.3,26400000.0,0\n",
        "2025-01-01 00:00+00:00", 94401.14, 755.99, "read as Binance klines",
    ),
    "binance, futures with a header": Case(
        "binance",
        "BTCUSDT-1d-2024-01.csv",
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n"
        "1704067200000,42314.0,44266.0,42207.9,44230.2,206424.144,1704153599999,8928151000.5,2257000,105000.1,4541000000.2,0\n"
        "1704153600000,44230.2,45950.0,44200.0,44979.6,459471.321,1704239999999,20719000000.1,4800000,230000.5,1037000000,0\n",
        "2024-01-01 00:00+00:00", 44230.2, 206424.144, "read as Binance klines",
    ),
    "kraken": Case(
        "kraken",
        "XBTUSD_1440.csv",
        "1704067200,42284.9,44240.5,42196.0,44171.8,1604.0321,23741\n1704153600,44171.8,45900.0,44150.1,44957.5,6013.2,77001\n",
        "2024-01-01 00:00+00:00", 44171.8, 1604.0321, "in UTC; bars without a trade are not there",
    ),
    "dukascopy, Greenwich": Case(
        "dukascopy",
        "EURUSD_Candlestick_1_h_BID_02.01.2024-03.01.2024.csv",
        "Gmt time,Open,High,Low,Close,Volume\n"
        "02.01.2024 00:00:00.000,1.10427,1.10447,1.10371,1.10396,3210.11\n"
        "02.01.2024 01:00:00.000,1.10396,1.10459,1.10390,1.10440,2890.25\n",
        "2024-01-02 00:00+00:00", 1.10396, 3210.11, "its column 'Gmt time' says whose clock they are",
    ),
    "dukascopy, an own clock": Case(
        "dukascopy",
        "EURUSD_Candlestick_1_h_BID.csv",
        "Local time,Open,High,Low,Close,Volume\n"
        "02.01.2024 01:00:00.000 GMT+0100,1.10427,1.10447,1.10371,1.10396,3210.11\n"
        "02.01.2024 02:00:00.000 GMT+0100,1.10396,1.10459,1.10390,1.10440,2890.25\n",
        "2024-01-02 01:00+01:00", 1.10396, 3210.11, "read as a Dukascopy export",
    ),
    "dukascopy, Eastern Europe": Case(
        "dukascopy",
        "EURUSD_Hourly_Bid_2024.01.02.csv",
        "Time (EET),Open,High,Low,Close,Volume \n"
        "2024.01.02 00:00:00,1.10427,1.10447,1.10371,1.10396,3210.11\n"
        "2024.01.02 01:00:00,1.10396,1.10459,1.10390,1.10440,2890.25\n",
        "2024-01-02 00:00", 1.10396, 3210.11, "its column 'Time (EET)' says whose clock they are",
    ),
    "interactive brokers": Case(
        "ibkr",
        "SPY.csv",
        "date,open,high,low,close,volume,average,barCount\n"
        "20240102 09:30:00 US/Eastern,472.16,473.67,470.49,472.65,123007.0,472.1,25371\n"
        "20240102 10:30:00 US/Eastern,472.65,473.1,471.9,472.0,80001.0,472.4,19001\n",
        "2024-01-02 09:30-05:00", 472.65, 123007.0, "volume of US shares may count lots of 100",
    ),
    "interactive brokers, midpoints": Case(
        "ibkr",
        "EURUSD.csv",
        ",date,open,high,low,close,volume,average,barCount\n"
        "0,2024-01-02,1.10427,1.10447,1.09371,1.09396,-1.0,-1.0,-1\n1,2024-01-03,1.0939,1.0965,1.0893,1.0922,-1.0,-1.0,-1\n",
        "2024-01-02", 1.09396, None, "volume is -1 on every bar",
    ),
    "histdata": Case(
        "histdata",
        "DAT_ASCII_EURUSD_M1_201202.csv",
        "20120201 000000;1.306600;1.306600;1.306560;1.306560;0\n"
        "20120201 000100;1.306570;1.306570;1.306470;1.306560;0\n",
        "2012-02-01 00:00-05:00", 1.30656, None, "New York's winter time",
    ),
    "lean, shares": Case(
        "lean",
        "equity/usa/minute/spy/20131007_trade.csv",
        "34200000,1686200,1686300,1686000,1686100,12345\n34260000,1686100,1686500,1686100,1686400,2345\n",
        "2013-10-07 09:30", 168.61, 12345.0, "prices are ten-thousandths, as of shares (it lies below equity/)",
    ),
    "lean, shares by day": Case(
        "lean",
        "spy.csv",
        "20131007 00:00,1686200,1697300,1685300,1690400,96295000\n"
        "20131008 00:00,1690600,1692000,1654800,1655000,1787000\n",
        "2013-10-07", 169.04, 96295000.0, "prices are ten-thousandths, as of shares (all are whole)",
    ),
    "lean, coins": Case(
        "lean",
        "crypto/coinbase/minute/btcusd/20161007_trade.csv",
        "0,616.36,616.36,616.36,616.36,1.2\n60000,616.36,617.0,616.1,616.9,3.5\n",
        "2016-10-07 00:00+00:00", 616.36, 1.2, "prices are as they are written (it lies below crypto/)",
    ),
    "lean, currencies": Case(
        "lean",
        "forex/oanda/hour/eurusd.csv",
        "20140502 00:00,1.38687,1.38714,1.38656,1.38674,0,1.387,1.38727,1.3867,1.38687,0\n"
        "20140502 01:00,1.38674,1.387,1.3866,1.3869,0,1.38687,1.3872,1.3868,1.387,0\n",
        "2014-05-02 00:00", 1.38674, None, "bars are those of bids",
    ),
    "freqtrade": Case(
        "freqtrade",
        "BTC_USDT-1h.json",
        "[[1704067200000,42283.58,42554.57,42261.02,42475.23,1271.68108],"
        "[1704070800000,42475.23,42775.0,42431.65,42613.56,1196.37856]]",
        "2024-01-01 00:00+00:00", 42475.23, 1271.68108, "read as candles of freqtrade",
    ),
}  # fmt: skip


def written(folder: Path, case: Case) -> Path:
    path = folder / case.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(case.text)
    return path


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_dialect_gives_its_stamps_prices_and_volume_and_says_so(case, tmp_path):
    candles = load_candles(written(tmp_path, case))
    assert len(candles) == 2
    assert candles.timestamps[0] == pd.Timestamp(case.first)
    assert candles.close[0] == case.close
    assert candles.has_volume == (case.volume is not None)
    if case.volume is not None:
        assert candles.column("volume")[0] == case.volume
    assert any(case.says in note for note in candles.flag_texts()), candles.flag_texts()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_format_that_is_asked_for_is_the_one_or_an_error_that_names_what_came(case, tmp_path):
    path = written(tmp_path, case)
    assert load_candles(path, format=case.dialect).close[0] == case.close
    other = "kraken" if case.dialect != "kraken" else "lean"
    with pytest.raises(DataError) as caught:
        load_candles(path, format=other)
    assert "it looks like" in caught.value.problem
    assert caught.value.fix.startswith(f"data.format: {case.dialect}")


def test_every_dialect_has_a_case_and_a_place_in_the_spec():
    assert {case.dialect for case in CASES.values()} == {dialect.name for dialect in DIALECTS}
    assert {*get_args(Format)} == {*(dialect.name for dialect in DIALECTS), PLAIN}


def test_no_file_is_of_two_dialects(tmp_path):
    for case in CASES.values():
        path = written(tmp_path, case)
        others = [dialect.name for dialect in DIALECTS if dialect.name != case.dialect]
        for other in others:
            with pytest.raises(DataError, match="is not"):
                load_candles(path, format=other)


def test_plain_asks_for_the_names_of_columns_alone(tmp_path):
    candles = load_candles(written(tmp_path, CASES["tradingview, seconds"]), format="plain")
    assert candles.close[0] == 184.25
    assert not any("TradingView" in note for note in candles.flag_texts())
    with pytest.raises(DataError, match="holds values, not column names"):
        load_candles(written(tmp_path, CASES["kraken"]), format="plain")


def test_a_format_that_is_none_is_refused_with_all_there_are(tmp_path):
    with pytest.raises(DataError, match=r"no format 'mt6'\n.*metatrader, tradingview, binance"):
        load_candles(written(tmp_path, CASES["kraken"]), format="mt6")
    with pytest.raises(DataError, match="no file is read"):
        load_candles("sp500", format="kraken")


def test_quote_volume_of_binance_is_the_amount(tmp_path):
    candles = load_candles(written(tmp_path, CASES["binance, milliseconds without a header"]))
    assert candles.column("amount")[0] == 53957248.97


def test_days_and_months_of_dukascopy_are_never_swapped(tmp_path):
    """The third of February, by a file whose days are all below thirteen."""
    text = "Gmt time,Open,High,Low,Close,Volume\n03.02.2024 00:00:00.000,1,2,1,2,5\n04.02.2024 00:00:00.000,2,3,2,3,5\n"
    path = tmp_path / "x.csv"
    path.write_text(text)
    assert load_candles(path).timestamps[0] == pd.Timestamp("2024-02-03", tz="UTC")


def test_a_lean_day_without_its_date_is_refused(tmp_path):
    path = tmp_path / "spy.csv"
    path.write_text(CASES["lean, shares"].text)
    with pytest.raises(DataError, match="no name says of which day"):
        load_candles(path)


def test_the_hour_that_a_clock_shows_twice_is_found_by_its_neighbours_or_refused(tmp_path):
    rows = ["00:30:00", "01:30:00", "01:30:00", "02:30:00"]
    bars = [f"20241103 {clock} US/Eastern,1,1,1,1,5,1,5" for clock in rows]
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["date,open,high,low,close,volume,average,barCount", *bars]))
    assert [f"{stamp:%H%z}" for stamp in load_candles(path).timestamps] == ["00-0400", "01-0400", "01-0500", "02-0500"]
    path.write_text("\n".join(["date,open,high,low,close,volume,average,barCount", bars[1], bars[3]]))
    with pytest.raises(DataError, match="no times of US/Eastern"):
        load_candles(path)


# --- packed


def zipped(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_a_zip_of_one_file_is_read_as_the_file(tmp_path):
    case = CASES["binance, microseconds without a header"]
    members = {"BTCUSDT-1h-2025-01-01.csv": case.text, "BTCUSDT-1h-2025-01-01.csv.CHECKSUM": "0", "__MACOSX/x.csv": ""}
    candles = load_candles(zipped(tmp_path / "BTCUSDT-1h-2025-01-01.zip", members))
    assert candles.timestamps[0] == pd.Timestamp("2025-01-01", tz="UTC")
    assert candles.name == "BTCUSDT-1h-2025-01-01"


def test_the_day_of_a_lean_zip_stands_in_its_name_or_inside(tmp_path):
    text = CASES["lean, shares"].text
    for name in ("20131007_trade.zip", "x.zip"):
        path = zipped(tmp_path / name, {"20131007_spy_minute_trade.csv": text})
        candles = load_candles(path)
        assert candles.timestamps[0] == pd.Timestamp("2013-10-07 09:30")
        assert candles.close[1] == 168.64


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"../../evil.csv": "x"}, r"'../../evil.csv', which leads out"),
        ({"/etc/cron.csv": "x"}, "leads out"),
        ({"..\\evil.csv": "x"}, "leads out"),
        ({"C:\\evil.csv": "x"}, "leads out"),
        ({"a.csv": "x", "b.csv": "x"}, "holds 2 files: a.csv, b.csv"),
        ({"a.exe": "x"}, "holds 1 files: a.exe"),
        ({}, "holds 0 files: nothing"),
        ({"a.csv": ""}, "is empty"),
    ],
)
def test_a_zip_that_holds_no_one_text_is_refused(members, message, tmp_path):
    with pytest.raises(DataError, match=message):
        load_candles(zipped(tmp_path / "x.zip", members))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.zip"]


def test_damaged_zips_are_refused_wherever_they_were_cut_or_changed(tmp_path):
    whole = zipped(tmp_path / "x.zip", {"a.csv": CASES["kraken"].text * 20}).read_bytes()
    for end in range(1, len(whole), 7):
        (tmp_path / "x.zip").write_bytes(whole[:end])
        with pytest.raises(DataError, match="as a zip"):
            load_candles(tmp_path / "x.zip")
    changed = bytearray(whole)
    changed[60] ^= 255
    (tmp_path / "x.zip").write_bytes(bytes(changed))
    with pytest.raises(DataError):
        load_candles(tmp_path / "x.zip")
    locked = bytearray(whole)
    locked[whole.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(bytes(locked))
    with pytest.raises(DataError, match="password"):
        load_candles(tmp_path / "x.zip")


def test_a_zip_that_unpacks_to_a_hundred_times_its_size_is_refused(tmp_path):
    bomb = "date,open,high,low,close\n" + ("0" * 99 + "\n") * 700_000
    with pytest.raises(DataError, match="unpacks to more than 100 times its size"):
        load_candles(zipped(tmp_path / "x.zip", {"a.csv": bomb}))


def test_json_of_binance_and_of_objects_is_read_packed_too(tmp_path):
    rows = [line.split(",") for line in CASES["binance, milliseconds without a header"].text.splitlines()]
    (tmp_path / "a.json").write_text(json.dumps([[int(row[0]), *row[1:6], int(row[6]), *row[7:]] for row in rows]))
    assert load_candles(tmp_path / "a.json").column("amount")[0] == 53957248.97  # prices are texts there
    objects = [{"t": "2024-01-02", "o": 1, "h": 2, "l": 1, "c": 2}, {"t": "2024-01-03", "o": 2, "h": 3, "l": 2, "c": 3}]
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(json.dumps(objects).encode()))
    assert load_candles(tmp_path / "b.json.gz").close.tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[[1704067200000,1,1,1,1,1]", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[[" + b"9" * 5000 + b",1,1,1,1,1]]", "is no JSON"),
        (b"\xff\xfe[", "is no JSON"),
        (b"[]", "holds an empty list"),
        (b"{}", "holds dict"),
        (b"[1, 2]", "holds int of 0 values"),
        (b"[[1704067200000,1,1,1,1,1],[1]]", "another shape in row 2"),
        (b"[[1704067200000,1,1,1,1,[1]]]", "inside row 1"),
        (b"[[1,2,3]]", "rows of 3 values without names"),
        (b"[[1704067200000," + b"9" * 400 + b",1,1,1,1]]", "no finite number"),
        (b"[[1704067200000,1e999,1,1,1,1],[1704067260000,1,1,1,1,1]]", "no finite number"),
        (b"[[1704067200000,NaN,1,1,1,1],[1704067260000,1,1,1,1,1]]", "missing"),
        (b'[{"a": 1}]', "has no column 'open'"),
    ],
)
def test_json_that_is_no_list_of_bars_is_refused(content, message, tmp_path):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_candles(tmp_path / "x.json")


def candles_of_freqtrade() -> pd.DataFrame:
    stamps = pd.to_datetime([1704067200000, 1704070800000], unit="ms", utc=True)
    prices = {name: [42000.0, 42100.0] for name in ("open", "high", "low", "close")}
    return pd.DataFrame({"date": stamps, **prices, "volume": [5.0, 6.0]})


@pytest.mark.parametrize("ending", ["feather", "parquet"])
def test_feather_and_parquet_of_freqtrade_are_known_by_their_name(ending, tmp_path):
    for name, says in ((f"BTC_USDT-1h.{ending}", True), (f"x.{ending}", False)):
        getattr(candles_of_freqtrade(), f"to_{ending}")(tmp_path / name)
        candles = load_candles(tmp_path / name)
        assert candles.timestamps[1] == pd.Timestamp("2024-01-01 01:00", tz="UTC")
        assert any("freqtrade" in note for note in candles.flag_texts()) == says


def test_feather_is_held_to_the_rules_of_parquet(tmp_path):
    path = tmp_path / "x.feather"
    path.write_bytes(b"FEA1" + struct.pack("<q", 5))
    with pytest.raises(DataError, match="cannot be read as Feather"):
        load_candles(path)
    feather.write_feather(pa.table({"date": pa.nulls(10_000_001)}), path)
    with pytest.raises(DataError, match="has 10,000,001 rows"):
        load_candles(path)
    whole = candles_of_freqtrade()
    feather.write_feather(pa.Table.from_pandas(whole).append_column("tags", pa.array([[1], [2]])), path)
    assert any("tags" in note for note in load_candles(path).flag_texts())
    feather.write_feather(pa.table({"date": ["2024-01-02"], "open": [[1.0]], "close": [1.0]}), path)
    with pytest.raises(DataError, match=r"the column 'open' of .* holds list"):
        load_candles(path)


# --- hostile


def test_a_file_of_two_dialects_is_refused(tmp_path):
    lines = {name: case.text.splitlines() for name, case in CASES.items()}
    path = tmp_path / "x.csv"
    for first, second in (("metatrader 4", "kraken"), ("kraken", "binance, milliseconds without a header")):
        path.write_text("\n".join([*lines[first] * 2, *lines[second]]))
        with pytest.raises(DataError):
            load_candles(path)


@pytest.mark.parametrize("huge", ["1e400", "9" * 400, "-1e308", "inf", "0x10"])
def test_numbers_beyond_measure_are_refused_with_their_row(huge, tmp_path):
    text = CASES["kraken"].text.replace("44957.5", huge)
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(DataError):
        load_candles(path)


def test_a_chart_that_metatrader_5_saved_in_utf_16_is_read(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(CASES["metatrader 5, a chart that was saved"].text.encode("utf-16"))
    assert load_candles(path).close[0] == 1.09396


def test_every_note_of_a_file_is_told_when_a_run_is_prepared(tmp_path):
    """What a file was read as, and which columns: both are notes of one rule."""
    from types import SimpleNamespace

    from scenario_gen.pipeline.prepared import _tell

    history = load_candles(written(tmp_path, CASES["binance, milliseconds without a header"]))
    heard: list[str] = []
    ready = SimpleNamespace(history=history, rules=SimpleNamespace(misfits=()))
    _tell([ready, ready], SimpleNamespace(note=heard.append))  # each once, though two scenarios have them
    assert sum("read as Binance klines" in note for note in heard) == 1
    assert sum("columns read: 'open time' as date" in note for note in heard) == 1
