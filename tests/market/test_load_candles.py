import gzip

import numpy as np
import pandas as pd
import pytest
from arch.data import sp500

from scenario_gen.errors import DataError
from scenario_gen.market import load_candles
from scenario_gen.market.containers import MAX_FILE_BYTES

HEADER = "date,open,high,low,close,volume\n"
ROWS = "2020-01-02,10,11,9,10.5,100\n2020-01-03,10.5,12,10,11,200\n"


@pytest.fixture
def write(tmp_path):
    def write_file(name, content):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write_file


def message_of(source, **options):
    with pytest.raises(DataError) as caught:
        load_candles(source, **options)
    return str(caught.value)


def note_names(candles):
    return [flag.rule for flag in candles.flags if not flag.rows]


def test_the_built_in_sp500_is_the_real_daily_history_on_nyse_sessions():
    candles = load_candles("sp500")
    raw = sp500.load()
    np.testing.assert_array_equal(candles.close, raw["Close"])
    assert candles.calendar == "XNYS"
    assert candles.source == "S&P 500 daily 1999-2018 (arch)"
    # 5031 trading days 1999-2018, no bar on a holiday and no session missing: two independent sources agree.
    assert len(candles) == 5031
    assert candles.flags == ()


def test_the_built_in_calendar_can_be_left_to_inference():
    assert load_candles("nasdaq", calendar="").calendar == ""


def test_columns_are_found_in_any_case_order_and_with_spaces(write):
    file = write("x.csv", " CLOSE ,Low,high, Open,Volume,Timestamps\n10.5,9,11,10,100,2020-01-02\n")
    candles = load_candles(file)
    assert candles.fields == ("open", "high", "low", "close", "volume")
    np.testing.assert_array_equal(candles.values, [[10, 11, 9, 10.5, 100]])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_a_byte_order_mark_and_windows_line_ends_are_read(write, separator):
    text = (HEADER + ROWS).replace(",", separator).replace("\n", "\r\n")
    candles = load_candles(write("x.csv", "\ufeff" + text))
    np.testing.assert_array_equal(candles.close, [10.5, 11])


def test_compressed_csv_is_read_and_named_without_its_ending(write):
    candles = load_candles(write("my bars.CSV.gz", gzip.compress((HEADER + ROWS).encode())))
    assert (candles.name, candles.source) == ("my bars", "my bars.CSV.gz")
    assert len(candles) == 2


def test_amount_is_kept_and_other_columns_are_named_in_a_note(write):
    rows = "2020-01-02,10,11,9,10.5,100,5,x\n"
    candles = load_candles(write("x.csv", HEADER.replace("\n", ",Amount,symbol\n") + rows))
    assert candles.fields == ("open", "high", "low", "close", "volume", "amount")
    assert candles.flags[0].message == "columns that were not read: symbol"


def test_a_frame_that_pandas_wrote_with_an_unnamed_index_is_read(bars, tmp_path):
    bars.to_csv(tmp_path / "x.csv")
    assert load_candles(tmp_path / "x.csv").timestamps.equals(load_candles(bars).timestamps)


def test_a_datetime_index_goes_before_a_column_of_the_same_meaning(bars):
    bars["date"] = "x"
    candles = load_candles(bars)
    assert candles.timestamps.equals(load_candles(bars.drop(columns="date")).timestamps)
    assert candles.flags[0].message == "columns that were not read: date"


def test_columns_of_two_levels_for_one_symbol_are_read_and_for_two_refused(bars):
    one = pd.concat({"SPY": bars}, axis=1).swaplevel(axis=1)
    np.testing.assert_array_equal(load_candles(one).values, load_candles(bars).values)
    two = pd.concat({"SPY": bars, "QQQ": bars}, axis=1).swaplevel(axis=1)
    assert "holds 2 instruments (QQQ, SPY)" in message_of(two)


def test_newest_first_is_turned_around_and_told(bars):
    candles = load_candles(bars.iloc[::-1])
    np.testing.assert_array_equal(candles.values, load_candles(bars).values)
    assert note_names(candles) == ["newest first"]


def test_rows_of_a_reversed_file_keep_their_own_lines(write):
    text = HEADER + "2020-01-03,10,11,9,10,1\n2020-01-02,10,9,9,10,1\n"
    assert "row 2 (line 3), 2020-01-02" in message_of(write("x.csv", text))


def test_adjusted_prices_are_scaled_by_hand_worked_factors(write):
    # Adj Close / Close is 0.5 and then 1: prices halve, volume doubles, price times volume stays 1000.
    text = HEADER.replace("\n", ",Adj Close\n") + "2020-01-02,20,24,18,20,50,10\n2020-01-03,10,11,9,10,100,10\n"
    candles = load_candles(write("x.csv", text), adjusted=True)
    np.testing.assert_allclose(candles.values, [[10, 12, 9, 10, 100], [10, 11, 9, 10, 100]], rtol=1e-15)
    assert candles.source == "x.csv, adjusted prices"


def test_adjusted_prices_are_offered_when_they_differ(write):
    text = HEADER.replace("\n", ",adj_close\n") + "2020-01-02,20,24,18,20,50,10\n"
    candles = load_candles(write("x.csv", text))
    assert note_names(candles) == ["adjusted prices on offer"]
    np.testing.assert_array_equal(candles.close, [20])


def test_adjusted_prices_are_refused_where_there_are_none(write):
    assert "no column Adj Close" in message_of(write("x.csv", HEADER + ROWS), adjusted=True)
    text = HEADER.replace("\n", ",Adj Close\n") + "2020-01-02,20,24,18,20,50,0\n2020-01-03,1,1,1,1,1,1\n"
    assert "the adjusted close is missing, zero" in message_of(write("y.csv", text), adjusted=True)


def test_start_and_end_keep_whole_days_and_spare_what_lies_outside(make_bars):
    frame = make_bars(pd.date_range("2020-01-01", periods=96, freq="h"))
    frame.iloc[0, 0] = -1.0  # before the start: not this history's business
    candles = load_candles(frame, start="2020-01-02", end="2020-01-03")
    assert candles.timestamps[0] == pd.Timestamp("2020-01-02 00:00")
    assert candles.timestamps[-1] == pd.Timestamp("2020-01-03 23:00")


def test_an_empty_stretch_is_refused_with_the_dates_that_there_are():
    message = message_of("sp500", start="2030-01-01")
    assert "no bars from 2030-01-01 to its end" in message
    assert "2018-12-31" in message


def test_missing_volume_before_the_start_does_not_matter(bars):
    bars.loc[bars.index[:30], "volume"] = np.nan
    assert len(load_candles(bars, start=bars.index[30])) == 30


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.csv", "", "is empty"),
        ("blank.csv", "\n \n", "is empty"),
        ("header.csv", HEADER, "has a header (date, open, high, low, close, volume) and no bars"),
        ("binary.csv", b"\x89PNG\r\n\xff\xfe\x01", "is no UTF-8 text"),
        ("zero.csv", b"a,b\n\0\0", "holds zero bytes"),
        ("utf16.csv", (HEADER + ROWS).encode("utf-16-le"), "holds zero bytes"),  # without the mark that says so
        ("book.xlsx", b"PK", "ends in '.xlsx', which is not read"),
        ("torn.parquet", b"PAR1", "cannot be read as Parquet"),
        ("no.csv.gz", b"plain", "Not a gzipped file"),
        ("typo.csv", HEADER.replace("close", "clsoe") + ROWS, "no column 'close'"),
        ("typo.csv", HEADER.replace("close", "clsoe") + ROWS, "'clsoe' looks like close"),
        ("time.csv", HEADER.replace("date", "moment") + ROWS, "no time column; it has: 'moment'"),
        ("twice.csv", HEADER.replace("volume", " Close") + ROWS, "more than one column called 'close'"),
        ("bare.csv", ROWS, "holds values, not column names"),
        ("point.csv", HEADER + "2020-01-02,10,5,11,9,10,5\n", "6 column names, but 7 values"),
        ("point.csv", HEADER.replace(",", ";") + "2020-01-02;10,5;11;9;10;5\n", "a decimal comma: open '10,5'"),
        ("thousand.csv", HEADER + '2020-01-02,"1,010.5",2000,9,10,5\n', "thousands separators: open '1,010.5'"),
        ("long.csv", HEADER + ROWS + "2020-01-04,1,2,3,4,5,6,7\n", "Expected 6 fields in line 4, saw 8"),
        ("short.csv", HEADER + ROWS + "2020-01-04,1\n", "row 3 (line 4), 2020-01-04: open 1, high missing"),
        ("quote.csv", HEADER + '2020-01-02,"10,11,9,10,1\n', "is no regular table"),
        ("word.csv", HEADER + "2020-01-02,10,11,9,abc,1\n", "close 'abc'"),
    ],
)
def test_a_file_that_is_no_history_is_refused_in_plain_words(write, name, content, problem):
    message = message_of(write(name, content))
    assert problem in message
    assert "expected:" in message
    assert "to do:" in message


def test_a_missing_file_names_its_neighbours_and_the_built_in_histories(write, tmp_path):
    write("prices.csv", HEADER)
    message = message_of(tmp_path / "price.csv")
    assert "prices.csv" in message
    assert "sp500" in message
    assert "nearest: sp500" in message_of("sp50")


def test_a_folder_and_a_number_are_refused(tmp_path):
    assert "is a folder" in message_of(tmp_path)
    assert "cannot be read from int" in message_of(5)


def test_a_name_that_is_too_long_is_refused_without_a_traceback():
    assert "cannot be opened" in message_of("a" * 5000 + ".csv")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    file = tmp_path / "huge.csv"
    with file.open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)  # sparse: takes no room
    assert "has 2.0 GB" in message_of(file)


def test_true_and_false_are_no_prices(bars):
    bars["open"] = True
    assert "holds bool values" in message_of(bars)


def test_bars_outside_the_declared_sessions_are_flagged_and_kept(make_bars):
    stamps = pd.bdate_range("2018-12-17", "2019-01-11")  # 2018-12-25 and 2019-01-01 are holidays
    candles = load_candles(make_bars(stamps.delete(2)), calendar="XNYS")
    assert {flag.rule: flag.rows for flag in candles.flags} == {
        "outside sessions": (5, 10),
        "missing sessions": (2,),  # the bar after the deleted one
    }


def test_an_unknown_calendar_names_the_nearest():
    assert "nearest: XNYS" in message_of("sp500", calendar="XNYC")


@pytest.mark.parametrize("name", ["Date", "timestamp", " DATETIME "])
def test_a_named_index_of_text_dates_is_the_time_column(bars, tmp_path, name):
    written = bars.set_axis(bars.index.strftime("%Y-%m-%d")).rename_axis(name)
    written.to_parquet(tmp_path / "x.parquet")
    for source in (written, tmp_path / "x.parquet"):
        np.testing.assert_array_equal(load_candles(source).timestamps, bars.index)


def test_a_gap_that_no_holiday_explains_is_flagged(make_bars):
    stamps = pd.bdate_range("2020-01-01", periods=300)
    flags = load_candles(make_bars(stamps[:-1].append(pd.DatetimeIndex(["2150-01-02"])))).flags
    assert [(flag.rule, flag.rows) for flag in flags] == [("long gap", (299,))]
    # Eleven days, as for a Chinese new year, are no gap; sixteen are.
    assert load_candles(make_bars(stamps.delete(slice(100, 107)))).flags == ()
    assert [flag.rows for flag in load_candles(make_bars(stamps.delete(slice(100, 111)))).flags] == [(100,)]
