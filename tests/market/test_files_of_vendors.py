"""Files as vendors write them: headers, names, instruments, stamps. All bars are made up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scenario_gen import load_candles
from scenario_gen.errors import DataError
from scenario_gen.market import BarCalendar

ROWS = [("2024-01-02", 10.0, 11.0, 9.0, 10.5, 100), ("2024-01-03", 10.5, 12.0, 10.0, 11.0, 200)]


def text(header: str, *, separator: str = ",", order: str = "dohlcv", more: str = "", before: str = "") -> str:
    """Two bars in a vendor's order of columns."""
    lines = [separator.join(str(row["dohlcv".index(key)]) for key in order) + more for row in ROWS]
    return before + "\n".join([header, *lines]) + "\n"


def plain():
    frame = pd.DataFrame(ROWS, columns=["date", "open", "high", "low", "close", "volume"])
    return load_candles(frame)


VENDORS = {
    "metatrader 5": text(
        "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>", separator="\t", more="\t0\t2"
    ).replace("2024-01-0", "2024.01.0"),
    "stooq": text("<TICKER>,<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>").replace("\n2024-01-0", "\nA.US,2024010"),
    "tushare": text("trade_date,open,high,low,close,vol,ts_code", more=",600519.SH").replace("2024-01-0", "2024010"),
    "akshare": text("日期,开盘,收盘,最高,最低,成交量,换手率", order="dochlv", more=",.3"),
    "investing": text("Date,Price,Open,High,Low,Vol.", order="dcohlv").replace(",100\n", ",0.1K\n"),
    "nasdaq": text("Date,Close/Last,Volume,Open,High,Low", order="dcvohl").replace(",10.5,", ",$10.5,"),
    "alpha vantage": text("timestamp,1. open,2. high,3. low,4. close,5. volume"),
    "short keys": text("t,o,h,l,c,v"),
    "a line before the header": text("Date,Open,High,Low,Close,Volume", before="https://www.example.com\n"),
    "what excel writes first": text("Date;Open;High;Low;Close;Volume", separator=";", before="sep=;\n"),
    "yfinance, three lines": text(
        "Price,Close,High,Low,Open,Volume\nTicker,MSFT,MSFT,MSFT,MSFT,MSFT\nDate,,,,,", order="dchlov"
    ),
    "yfinance, an index without a name": text(
        "Price,Close,High,Low,Open,Volume\nTicker,MSFT,MSFT,MSFT,MSFT,MSFT", order="dchlov"
    ),
    "volume of the base": text("Date,Open,High,Low,Close,Volume BTC"),
}


@pytest.mark.parametrize("vendor", VENDORS)
def test_files_of_vendors_give_the_bars_of_the_plain_file(vendor, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(VENDORS[vendor], encoding="utf-8")
    candles = load_candles(path)
    assert candles.timestamps.equals(plain().timestamps)
    assert candles.fields == plain().fields
    np.testing.assert_array_equal(candles.values, plain().values)


def test_a_chinese_file_that_is_no_utf8_is_read_and_told(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(VENDORS["akshare"].encode("gbk"))
    candles = load_candles(path)
    np.testing.assert_array_equal(candles.values, plain().values)
    assert any("GB 18030" in note for note in candles.flag_texts())


def test_what_was_read_as_what_is_told(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(VENDORS["metatrader 5"])
    assert any("'<TICKVOL>' as volume" in note for note in load_candles(path).flag_texts())


def test_of_two_volumes_the_one_that_grows_by_the_price_is_the_amount(tmp_path):
    rows = [f"2024-01-0{day},100,101,99,100,{5 + day},{(5 + day) * 100}" for day in range(1, 6)]
    for names in ("Volume BTC,Volume USDT", "Volume USDT,Volume BTC"):
        path = tmp_path / "x.csv"
        path.write_text("\n".join([f"Date,Open,High,Low,Close,{names}", *rows]))
        candles = load_candles(path)
        assert candles.column("volume")[0] == 6.0  # whatever the columns are called
        assert candles.column("amount")[0] == 600.0


def two_instruments() -> str:
    return "date,open,high,low,close,Name\n" + "".join(
        f"2024-01-0{day},{price},{price},{price},{price},{name}\n"
        for day in range(1, 6)
        for name, price in (("AAL", 10), ("AAPL", 20))
    )


@pytest.mark.parametrize("stacked", [False, True])
def test_two_instruments_in_one_file_are_named_and_one_can_be_chosen(stacked, tmp_path):
    path = tmp_path / "x.csv"
    lines = two_instruments().splitlines()
    path.write_text("\n".join([lines[0], *sorted(lines[1:], key=lambda line: line[-4:] if stacked else "")]))
    with pytest.raises(DataError, match=r"'name' of .* holds 2 instruments \(AAL, AAPL\).*\n.*\n.*data.symbol: AAL"):
        load_candles(path)
    assert set(load_candles(path, symbol="AAPL").close) == {20.0}
    with pytest.raises(DataError, match="no bars of 'MSFT'"):
        load_candles(path, symbol="MSFT")


def test_two_instruments_side_by_side_are_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("Price,Close,Close,Open,Open\nTicker,A,B,A,B\nDate,,,,\n2024-01-02,1,2,1,2\n")
    with pytest.raises(DataError, match="2 instruments side by side"):
        load_candles(path)


def test_a_volume_of_zero_on_every_bar_is_no_volume():
    frame = pd.DataFrame(ROWS, columns=["date", "open", "high", "low", "close", "volume"]).assign(volume=0)
    candles = load_candles(frame)
    assert not candles.has_volume
    assert any("zero on every bar" in note for note in candles.flag_texts())
    assert load_candles(frame, volume="require").has_volume


# --- stamps


def daily(stamps: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"date": stamps, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0})


@pytest.mark.parametrize("zone", ["Europe/Paris", "Asia/Tokyo", "Australia/Sydney", "Asia/Kolkata", "America/New_York"])
@pytest.mark.parametrize("written", ["text", "zoned", "epoch"])
def test_midnights_of_any_zone_keep_their_own_day(zone, written):
    days = pd.bdate_range("2023-01-02", "2024-12-31")
    local = days.tz_localize(zone)
    frame = daily([stamp.isoformat(sep=" ") for stamp in local])
    if written == "zoned":
        frame["date"] = local
    if written == "epoch":
        frame["date"] = local.as_unit("s").asi8
    candles = load_candles(frame, timezone=zone if written == "epoch" else None)
    assert candles.timestamps.equals(days.as_unit("ns"))
    assert candles.split_at("2024-03-27")[0].timestamps[-1] == pd.Timestamp("2024-03-27")


@pytest.mark.parametrize("zone", ["America/Santiago", "America/Havana", "Africa/Cairo", "Asia/Beirut"])
@pytest.mark.parametrize("written", ["text", "zoned", "epoch"])
def test_a_day_that_begins_at_one_oclock_keeps_its_day_too(zone, written):
    """Clocks of these zones spring forward at midnight: once a year a day has none, and bars of every day show it."""
    days = pd.date_range("2023-01-02", "2024-12-31")
    local = days.tz_localize(zone, nonexistent="shift_forward", ambiguous=True)
    assert (local.tz_localize(None) != days).sum() in (1, 2)
    frame = daily([stamp.isoformat(sep=" ") for stamp in local])
    if written == "zoned":
        frame["date"] = local
    if written == "epoch":
        frame["date"] = local.as_unit("s").asi8
    candles = load_candles(frame, timezone=zone if written == "epoch" else None)
    assert candles.timestamps.equals(days.as_unit("ns"))


def test_a_late_bar_without_a_clock_change_is_no_midnight():
    stamps = [f"2024-05-{day:02d} 00:00:00+02:00" for day in range(1, 20)]
    stamps[7] = stamps[7].replace(" 00:00", " 01:00")
    assert load_candles(daily(stamps)).timestamps.tz is not None


def test_epoch_midnights_of_another_zone_say_what_to_set():
    days = pd.bdate_range("2023-01-02", "2024-12-31").tz_localize("Europe/Paris")
    candles = load_candles(daily(list(days.as_unit("s").asi8)))
    assert any("data.timezone" in note for note in candles.flag_texts())


def test_midnights_in_utc_stay_stamps_in_utc():
    assert str(load_candles(daily(["2024-01-02T00:00:00Z", "2024-01-03T00:00:00Z"])).timestamps.tz) == "UTC"


def test_every_epoch_number_is_read_in_its_own_unit():
    days = pd.date_range("2024-01-01", periods=8, tz="UTC").as_unit("ns")
    scale = [10**9, 10**9, 10**6, 10**6, 10**3, 10**3, 1, 1]
    numbers = [int(stamp.value) // by for stamp, by in zip(days, scale, strict=True)]
    candles = load_candles(daily(numbers))
    assert candles.timestamps.equals(days)
    told = "stamps: epoch numbers in s, ms from row 3, us from row 5, ns from row 7: each was read in its own unit"
    assert told in candles.flag_texts()


# --- sessions


def sessions(first: str, last: str, clock: str = "09:30", bars: int = 78) -> pd.DatetimeIndex:
    """Five-minute bars of New York sessions, in UTC."""
    days = pd.bdate_range(first, last)
    local = [pd.date_range(f"{day.date()} {clock}", periods=bars, freq="5min") for day in days]
    joined = local[0].append(local[1:])
    return joined.tz_localize("America/New_York").tz_convert("UTC")


@pytest.mark.parametrize("end", ["2024-03-12", "2024-03-15", "2024-03-22", "2023-11-10", "2023-11-17", "2024-02-09"])
def test_sessions_kept_in_utc_go_on_at_the_hours_of_the_last_week(end):
    stamps = sessions("2023-09-01", end)
    future = BarCalendar.infer(stamps).future(156)
    after = sessions(end, pd.Timestamp(end) + pd.Timedelta(days=7))
    assert future.equals(after[after > stamps[-1]][:156].as_unit(future.unit))


def test_hours_that_move_are_told_with_what_to_set():
    stamps = sessions("2024-02-01", "2024-04-01")
    frame = pd.DataFrame({"date": stamps, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0})
    notes = [note for note in load_candles(frame).flag_texts() if note.startswith("hours move")]
    assert len(notes) == 1
    assert "2024-03-11" in notes[0]
    assert "data.timezone" in notes[0]
    local = load_candles(frame, timezone="America/New_York")
    assert not [note for note in local.flag_texts() if note.startswith("hours move")]


# --- the last bar


@pytest.mark.parametrize(
    ("stamps", "last"),
    [
        (pd.date_range("2024-01-01", periods=40, freq="h"), "2024-01-02 15:42:17"),
        (pd.date_range("2024-01-01", periods=40, freq="5min"), "2024-01-01 03:16:40"),
        (pd.date_range("2024-01-01", periods=40, freq="W-MON"), "2024-10-03"),
        (pd.date_range("2024-01-01", periods=40, freq="MS"), "2027-04-13"),
        (pd.date_range("2024-01-31", periods=40, freq="ME"), "2027-05-11"),
        (pd.date_range("2024-01-31", periods=40, freq="BME"), "2027-05-11"),
        (pd.date_range("2024-03-31", periods=40, freq="QE"), "2034-02-10"),
    ],
)
def test_a_last_bar_that_is_still_forming_is_left_out_and_told(stamps, last):
    frame = daily([*map(str, stamps), last])
    candles = load_candles(frame)
    assert len(candles) == len(stamps)
    assert any("still forming" in note for note in candles.flag_texts())
    assert len(load_candles(frame, partial="keep")) == len(stamps) + 1
    assert len(load_candles(daily(list(map(str, stamps))))) == len(stamps)  # a whole last bar stays
