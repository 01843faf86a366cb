from datetime import UTC, datetime

import pandas as pd
import pytest

from scenario_gen.errors import DataError
from scenario_gen.market import load_candles
from scenario_gen.market.times import parse_stamps, to_timezone

PRICES = {"open": 1.0, "high": 2.0, "low": 1.0, "close": 1.5}


def stamps_of(values, column="date", **options):
    frame = pd.DataFrame({column: values, **PRICES})
    return load_candles(frame, **options).timestamps


def message_of(values, column="date", **options):
    with pytest.raises(DataError) as caught:
        stamps_of(values, column, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        ["2020-01-02", "2020-01-13"],
        ["2020/01/02", "2020/1/13"],
        ["2020.01.02", "2020.01.13"],
        ["2020-1-2", "2020-1-13"],
        ["20200102", "20200113"],
        [20200102, 20200113],
        ["02/01/2020", "13/01/2020"],
        ["01/02/2020", "01/13/2020"],
        ["2.1.2020", "13.1.2020"],
        ["Jan 02, 2020", "Jan 13, 2020"],
        ["02-Jan-2020", "13-Jan-2020"],
        [pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-13")],
        pd.PeriodIndex(["2020-01-02", "2020-01-13"], freq="D"),
        [datetime(2020, 1, 2), datetime(2020, 1, 13)],
    ],
)
def test_usual_ways_to_write_a_date_give_the_same_stamps(values):
    stamps = stamps_of(values)
    assert stamps.equals(pd.DatetimeIndex(["2020-01-02", "2020-01-13"]).as_unit("ns"))
    assert stamps.tz is None


@pytest.mark.parametrize("scale", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("kind", [int, str, float])
def test_epoch_numbers_of_any_unit_are_utc(scale, kind):
    moments = [datetime(2020, 1, 2, 9, 35, tzinfo=UTC), datetime(2020, 1, 2, 9, 40, tzinfo=UTC)]
    stamps = stamps_of([kind(int(moment.timestamp()) * scale) for moment in moments], "timestamp")
    assert list(stamps) == moments


@pytest.mark.parametrize("year", [1974, 1995, 2100])
@pytest.mark.parametrize("scale", [1, 10**3, 10**6, 10**9])
def test_epoch_numbers_of_other_decades_have_other_digits_and_the_same_unit(year, scale):
    moments = [datetime(year, 1, 2, tzinfo=UTC), datetime(year, 1, 3, tzinfo=UTC)]
    assert list(stamps_of([int(moment.timestamp()) * scale for moment in moments], "timestamp")) == moments


@pytest.mark.parametrize(("offset", "kept"), [("-05:00", "-05:00"), ("+0530", "+05:30"), ("+09", "+09:00")])
def test_an_offset_behind_a_date_with_slashes_is_kept_with_its_sign(offset, kept):
    stamps = stamps_of([f"2020/01/02 09:35:00{offset}", f"2020/01/02 09:40:00{offset}"])
    assert [stamp.isoformat() for stamp in stamps] == [f"2020-01-02T09:{minute}:00{kept}" for minute in (35, 40)]


def test_one_offset_throughout_is_kept():
    stamps = stamps_of(["2020-01-02T09:35:00-05:00", "2020-01-02T09:40:00-05:00"])
    assert stamps[0].isoformat() == "2020-01-02T09:35:00-05:00"


def test_offsets_that_change_with_summer_time_become_utc_or_the_zone_asked_for():
    values = ["2020-03-06T09:30:00-05:00", "2020-03-09T09:30:00-04:00"]
    assert [stamp.isoformat() for stamp in stamps_of(values)] == [
        "2020-03-06T14:30:00+00:00",
        "2020-03-09T13:30:00+00:00",
    ]
    local = stamps_of(values, timezone="America/New_York")
    assert list(local.strftime("%H:%M")) == ["09:30", "09:30"]


def test_a_zone_for_stamps_without_offset_takes_them_as_utc_and_says_so():
    frame = pd.DataFrame({"time": ["2020-01-02 14:30", "2020-01-02 14:35"], **PRICES})
    candles = load_candles(frame, timezone="America/New_York")
    assert candles.timestamps[0].isoformat() == "2020-01-02T09:30:00-05:00"
    assert [flag.rule for flag in candles.flags] == ["time zone"]


def test_a_zone_cannot_move_dates_and_an_unknown_zone_is_refused():
    assert "dates without times of day" in message_of(["2020-01-02", "2020-01-03"], timezone="Asia/Tokyo")
    assert "unknown time zone" in message_of(["2020-01-02", "2020-01-03"], timezone="Mars/Olympus")


def test_date_and_time_in_two_columns_are_put_together():
    expected = pd.DatetimeIndex(["2020-01-02 09:35", "2020-01-02 09:40"]).as_unit("ns")
    for clock in (["09:35", "09:40"], ["9:35:00", "9:40:00"], [935, 940], [93500, 94000]):
        frame = pd.DataFrame({"<DATE>": [20200102, 20200102], "<TIME>": clock, **PRICES})
        assert load_candles(frame).timestamps.equals(expected)


def test_of_two_time_columns_one_is_taken_and_the_choice_is_told():
    frame = pd.DataFrame({"date": ["x", "y"], "timestamp": ["2020-01-02", "2020-01-03"], **PRICES})
    candles = load_candles(frame)
    assert candles.timestamps[0] == pd.Timestamp("2020-01-02")
    assert candles.flags[0].message == "stamps were read from 'timestamp'; also there: date"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (["03/04/2020", "04/04/2020"], "cannot be told apart: '03/04/2020' in row 1 (no row has a day above 12)"),
        (["13/04/2020", "04/14/2020"], "some rows put the day first and others the month"),
        (["09:30", "09:35"], "times of day without a date"),
        (["2020-01-02T09:30Z", "2020-01-02 09:35"], "only some stamps of the data frame have an offset"),
        ([1, 2], "are numbers but no dates: 1, 2"),
        ([43831, 43832], "are numbers but no dates"),  # Excel's serial dates
        (["monday", "tuesday"], "row 1, 'monday'"),
        (["9999-01-01", "2020-01-02"], "row 1, '9999-01-01'"),
        (["2020-02-30", "2020-03-01"], "row 1, '2020-02-30'"),
        ([None, "2020-03-01"], "row 1, no stamp"),
        ([True, False], "row 1, 'True'"),
    ],
)
def test_stamps_that_could_only_be_guessed_are_refused(values, problem):
    assert problem in message_of(values)


def test_ends_with_a_zone_need_bars_with_one():
    assert "the bars' stamps have none" in message_of(["2020-01-02", "2020-01-03"], end="2020-01-02T00:00Z")
    assert "'soon' is no date" in message_of(["2020-01-02", "2020-01-03"], end="soon")


def test_split_at_a_date_means_the_whole_of_that_day_in_the_bars_zone():
    frame = pd.DataFrame({"date": pd.date_range("2020-01-01", periods=48, freq="h", tz="Asia/Tokyo"), **PRICES})
    before, after = load_candles(frame).split_at(pd.Timestamp("2020-01-01"))
    assert (len(before), len(after)) == (24, 24)


def test_epoch_numbers_beyond_nanoseconds_are_no_stamps() -> None:
    """10^10 seconds is the year 2286, which 64 bits of nanoseconds do not hold."""
    stamps = parse_stamps(pd.Series([1_500_000_000, 10_000_000_000]), "x")
    assert stamps.isna().tolist() == [False, True]


def test_stamps_of_a_categorical_column_are_read_as_their_words() -> None:
    assert parse_stamps(pd.Series(["2020-01-31", "2020-02-03"], dtype="category"), "x")[1] == pd.Timestamp("2020-02-03")


def test_an_empty_time_zone_is_refused() -> None:
    with pytest.raises(DataError, match="unknown time zone ''"):
        to_timezone(pd.DatetimeIndex(["2020-01-31 10:00"]), "", "x")


def test_a_clock_of_broken_numbers_is_no_time_of_day() -> None:
    frame = pd.DataFrame({"date": ["2020-01-31"] * 2, "time": [930.5, 1000.0], **dict.fromkeys(PRICES, 1.0)})
    with pytest.raises(DataError):
        load_candles(frame)


def test_split_at_a_moment_keeps_the_bar_of_that_moment_before_it():
    candles = load_candles(pd.DataFrame({"date": pd.date_range("2020-01-01", periods=5, freq="h"), **PRICES}))
    before, after = candles.split_at("2020-01-01 02:00")
    assert (len(before), len(after)) == (3, 2)
    assert candles.split_at("2020-01-01 02:30")[0].timestamps.equals(before.timestamps)
    assert [len(part) for part in candles.split_at(None)] == [5, 0]


def test_a_context_is_the_last_bars_and_refused_where_there_are_fewer():
    candles = load_candles(pd.DataFrame({"date": pd.date_range("2020-01-01", periods=5), **PRICES}))
    assert candles.context(2).timestamps.equals(candles.timestamps[3:])
    assert candles.context(5).timestamps.equals(candles.timestamps)
    with pytest.raises(DataError, match="has 5 bars up to 2020-01-05, but the context needs 6"):
        candles.context(6)
