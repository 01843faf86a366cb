import warnings

import numpy as np
import pandas as pd
import pytest
from arch.data import sp500
from exchange_calendars.exchange_calendar_xhkg import XHKGExchangeCalendar

from scenario_gen.errors import DataError
from scenario_gen.market import BarCalendar, calendar_flags
from scenario_gen.market.frequency import frequency


def days(*dates):
    return pd.DatetimeIndex(dates).as_unit("ns")


def future_days(calendar, n):
    return [stamp.date().isoformat() for stamp in calendar.future(n)]


@pytest.fixture(scope="module")
def nyse_days():
    """The S&P 500's own 5031 dates: a record of NYSE sessions that no calendar library made."""
    return pd.DatetimeIndex(sp500.load().index).as_unit("ns")


def sessions_5m(first, last, start="09:30", end="15:55"):
    """Five-minute stamps of every business day from first to last."""
    clocks = pd.timedelta_range(f"{start}:00", f"{end}:00", freq="5min")
    return pd.DatetimeIndex([day + clock for day in pd.bdate_range(first, last) for clock in clocks])


@pytest.mark.parametrize("end", ["2001-09-10", "2004-06-10", "2008-09-15", "2012-10-26", "2016-12-30"])
def test_nyse_futures_are_the_dates_on_which_the_sp500_really_traded(nyse_days, end):
    # The cuts stand before the closures of September 2001, Reagan's funeral, hurricane Sandy and year ends.
    cut = nyse_days.searchsorted(pd.Timestamp(end), side="right")
    calendar = BarCalendar.infer(nyse_days[:cut], "XNYS")
    assert calendar.end == pd.Timestamp(end)
    assert list(calendar.future(126)) == list(nyse_days[cut : cut + 126])
    assert calendar.known_until(126) == 126


def test_nyse_bars_per_year_are_the_sp500s_own_count_over_ten_years(nyse_days):
    counted = ((nyse_days.year >= 2009) & (nyse_days.year <= 2018)).sum() / 10
    assert counted == 251.6
    assert BarCalendar.infer(nyse_days, "XNYS").bars_per_year == pytest.approx(counted, rel=1e-12)


def test_an_inferred_daily_calendar_keeps_weekdays_and_knows_no_holidays(nyse_days):
    calendar = BarCalendar.infer(nyse_days)
    assert calendar.code == "inferred: Mon-Fri daily"
    assert future_days(calendar, 5) == ["2019-01-01", "2019-01-02", "2019-01-03", "2019-01-04", "2019-01-07"]
    # 5030 steps in the 7301 days from 1999-01-04 to 2018-12-31: holidays are in the count.
    assert calendar.bars_per_year == pytest.approx(5030 / 7301 * 365.2425, rel=1e-12)
    assert calendar.known_until(5) == 0


def test_a_mistyped_year_does_not_change_the_bars_of_a_year(nyse_days):
    stamps = nyse_days[:-1].append(pd.DatetimeIndex(["2150-12-31"]))
    # 5029 steps in the 7298 days from 1999-01-04 to 2018-12-28.
    assert BarCalendar.infer(stamps).bars_per_year == pytest.approx(5029 / 7298 * 365.2425, rel=1e-12)


def test_a_short_daily_history_counts_whole_weeks():
    calendar = BarCalendar.infer(pd.bdate_range("2020-01-01", periods=40))
    assert calendar.bars_per_year == pytest.approx(5 * 365.2425 / 7)


def test_a_few_days_before_a_first_weekend_still_mean_monday_to_friday():
    calendar = BarCalendar.infer(days("2020-01-07", "2020-01-08", "2020-01-09"))
    assert future_days(calendar, 4) == ["2020-01-10", "2020-01-13", "2020-01-14", "2020-01-15"]


def test_a_special_saturday_session_does_not_make_saturdays_trading_days():
    stamps = pd.bdate_range("2020-01-01", periods=100).union(days("2020-02-01"))
    assert BarCalendar.infer(stamps).code == "inferred: Mon-Fri daily"


def test_crypto_days_go_on_through_weekends():
    stamps = pd.date_range("2020-01-01", "2021-12-31", tz="UTC")
    inferred, declared = BarCalendar.infer(stamps), BarCalendar.infer(stamps, "24/7")
    assert inferred.code == "inferred: every day daily"
    assert declared.bars_per_year == 365
    assert inferred.bars_per_year == pytest.approx(365.2425)
    pd.testing.assert_index_equal(inferred.future(10), declared.future(10))
    assert declared.future(3)[2].isoformat() == "2022-01-03T00:00:00+00:00"


def test_intraday_around_the_clock_steps_over_a_clock_change_in_real_time():
    stamps = pd.date_range("2020-10-01", periods=600, freq="h", tz="America/New_York")
    calendar = BarCalendar.infer(stamps, "24/7")
    assert calendar.bars_per_year == 365 * 24
    future = calendar.future(100)  # runs through 2020-11-01, when 01:00 comes twice
    assert set(np.diff(future.asi8)) == {3600 * 10**9}
    assert future[0] - stamps[-1] == pd.Timedelta(hours=1)


def test_intraday_nyse_bars_stop_early_on_the_day_after_thanksgiving():
    stamps = sessions_5m("2018-10-29", "2018-11-21")
    calendar = BarCalendar.infer(stamps, "XNYS")
    future = calendar.future(42 + 78)
    # 2018-11-22 is Thanksgiving; 2018-11-23 closes at 13:00: 42 bars from 09:30 to 12:55; then a whole Monday.
    assert (future[0], future[41]) == (pd.Timestamp("2018-11-23 09:30"), pd.Timestamp("2018-11-23 12:55"))
    assert (future[42], future[-1]) == (pd.Timestamp("2018-11-26 09:30"), pd.Timestamp("2018-11-26 15:55"))
    # Ten years up to 2018 have 251.6 sessions on average (see the S&P 500's own count above), 78 bars each.
    assert calendar.bars_per_year == pytest.approx(251.6 * 78)
    assert calendar.frequency == "5m"


def test_stamps_at_the_end_of_their_bar_reach_the_close_and_no_further():
    stamps = sessions_5m("2018-10-29", "2018-11-21", "09:35", "16:00")
    future = BarCalendar.infer(stamps, "XNYS").future(43)
    assert (future[0], future[41]) == (pd.Timestamp("2018-11-23 09:35"), pd.Timestamp("2018-11-23 13:00"))
    assert future[42] == pd.Timestamp("2018-11-26 09:35")


def test_the_rest_of_a_running_session_comes_first():
    stamps = sessions_5m("2018-10-29", "2018-11-19")
    calendar = BarCalendar.infer(stamps[:-10], "XNYS")
    assert list(calendar.future(10)) == list(stamps[-10:])


def test_stamps_in_utc_follow_the_exchange_through_its_clock_change():
    local = sessions_5m("2020-02-10", "2020-03-06").tz_localize("America/New_York")
    future = BarCalendar.infer(local.tz_convert("UTC"), "XNYS").future(1)
    # Friday opens at 14:30 UTC, Monday 2020-03-09 after the change at 13:30.
    assert future[0].isoformat() == "2020-03-09T13:30:00+00:00"


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_dates_with_a_zone_keep_their_midnight(zone):
    stamps = pd.bdate_range("2020-01-02", "2020-03-06", tz=zone)
    calendar = BarCalendar.infer(stamps, "XNYS")
    assert [stamp.isoformat()[:16] for stamp in calendar.future(2)] == ["2020-03-09T00:00", "2020-03-10T00:00"]
    assert calendar.future(1).tz is not None


def test_new_york_midnights_written_in_utc_stay_new_york_midnights():
    stamps = pd.bdate_range("2020-01-02", "2020-03-06", tz="America/New_York").tz_convert("UTC")
    assert BarCalendar.infer(stamps, "XNYS").future(1)[0].isoformat() == "2020-03-09T04:00:00+00:00"


def test_currencies_in_utc_open_on_sunday_evening_by_inference():
    hours = pd.date_range("2021-06-06 21:00", "2021-07-30 20:00", freq="h", tz="UTC")
    week = hours.day_of_week * 24 + hours.hour
    stamps = hours[(week < 4 * 24 + 21) | (week >= 6 * 24 + 21)]  # closed from Friday 21:00 to Sunday 21:00
    calendar = BarCalendar.infer(stamps)
    assert calendar.code == "inferred: Sun-Fri, 3 to 24 bars 00:00-23:00"
    assert calendar.future(1)[0].isoformat() == "2021-08-01T21:00:00+00:00"
    assert calendar.future(121)[-1].isoformat() == "2021-08-08T21:00:00+00:00"  # 120 bars make a week


def test_a_lunch_break_is_inferred():
    clocks = [*range(570, 690, 30), *range(780, 900, 30)]  # 09:30-11:00 and 13:00-14:30, minutes of the day
    minutes = [pd.Timedelta(minutes=clock) for clock in clocks]
    stamps = pd.DatetimeIndex([day + at for day in pd.bdate_range("2021-03-01", periods=30) for at in minutes])
    calendar = BarCalendar.infer(stamps[:-4])
    assert calendar.code == "inferred: Mon-Fri, 8 bars 09:30-14:30"
    assert list(calendar.future(4)) == list(stamps[-4:])


def test_an_unbroken_hour_of_minutes_goes_on_and_says_what_it_saw():
    calendar = BarCalendar.infer(pd.date_range("2021-03-01 10:00", periods=64, freq="min"))
    assert calendar.code == "inferred: every 1m, no gap seen in 64 bars"
    assert calendar.future(1)[0] == pd.Timestamp("2021-03-01 11:04")


@pytest.mark.parametrize(
    ("stamps", "following", "label", "per_year"),
    [
        (pd.date_range("2020-01-03", periods=30, freq="W-FRI"), ["2020-07-31", "2020-08-07"], "weekly", 365.2425 / 7),
        (pd.date_range("2020-01-06", periods=30, freq="W-MON"), ["2020-08-03", "2020-08-10"], "weekly", 365.2425 / 7),
        (pd.date_range("2019-01-31", periods=13, freq="ME"), ["2020-02-29", "2020-03-31"], "monthly", 12),
        (pd.date_range("2019-01-01", periods=13, freq="MS"), ["2020-02-01", "2020-03-01"], "monthly", 12),
        (pd.date_range("2019-01-31", periods=13, freq="BME"), ["2020-02-28", "2020-03-31"], "monthly", 12),
        (pd.date_range("2019-01-31", periods=13, freq="BMS"), ["2020-03-02", "2020-04-01"], "monthly", 12),
        (pd.date_range("2015-03-31", periods=9, freq="QE"), ["2017-06-30", "2017-09-30"], "quarterly", 4),
        (pd.date_range("2000-12-31", periods=9, freq="YE"), ["2009-12-31", "2010-12-31"], "yearly", 1),
    ],
)
def test_period_bars_keep_their_place_in_the_period(stamps, following, label, per_year):
    calendar = BarCalendar.infer(stamps)
    assert calendar.frequency == label
    assert calendar.bars_per_year == per_year
    assert future_days(calendar, 2) == following


def test_monthly_bars_on_last_sessions_follow_the_exchange(nyse_days):
    by_month = pd.Series(nyse_days, index=nyse_days).groupby([nyse_days.year, nyse_days.month]).max()
    last_sessions = pd.DatetimeIndex(by_month.to_numpy())
    cut = int(last_sessions.searchsorted(pd.Timestamp("2012-12-31"), side="right"))
    calendar = BarCalendar.infer(last_sessions[:cut], "XNYS")
    # 2013-03-28, before Good Friday, is no last weekday of its month: only the exchange knows it.
    assert "2013-03-28" in future_days(calendar, 12)
    np.testing.assert_array_equal(calendar.future(12), last_sessions[cut : cut + 12])


def test_a_holiday_friday_does_not_shift_weekly_bars():
    stamps = pd.date_range("2020-01-03", periods=14, freq="W-FRI")
    good_friday = stamps.insert(14, pd.Timestamp("2020-04-09"))  # stamped on the Thursday
    assert future_days(BarCalendar.infer(good_friday), 2) == ["2020-04-17", "2020-04-24"]


def test_past_the_last_year_that_a_calendar_knows_its_weekdays_go_on_and_are_counted():
    bound = XHKGExchangeCalendar.bound_max()  # a fixed end of its holiday tables
    with warnings.catch_warnings():  # the library's own use of pandas, see market/exchange.py
        warnings.simplefilter("ignore", DeprecationWarning)
        stamps = XHKGExchangeCalendar(start=bound - pd.Timedelta(days=300), end=bound).sessions
    calendar = BarCalendar.infer(stamps[:-5], "XHKG")
    future = calendar.future(10)
    assert list(future[:5]) == list(stamps[-5:])
    assert calendar.known_until(10) == 5
    assert future[5] > bound
    assert set(future[5:].day_of_week) == {0, 1, 2, 3, 4}


def test_irregular_bars_are_named_so_and_go_on_at_their_median_step():
    gaps = np.random.default_rng(3).integers(1, 10**6, 400)
    stamps = pd.DatetimeIndex(pd.Timestamp("2021-01-04").value + np.cumsum(gaps) * 10**6)
    calendar = BarCalendar.infer(stamps)
    assert calendar.frequency == "irregular"
    assert calendar.future(1)[0] - stamps[-1] == pd.Timedelta(int(np.median(gaps[1:]) * 10**6))


@pytest.mark.parametrize(
    ("step", "label"), [("1min", "1m"), ("5min", "5m"), ("90min", "90m"), ("1h", "1h"), ("4h", "4h"), ("30s", "30s")]
)
def test_frequencies_have_the_usual_labels(step, label):
    assert frequency(pd.date_range("2021-01-04", periods=100, freq=step)) == label


def test_two_bars_a_session_are_intraday_and_not_daily():
    stamps = pd.DatetimeIndex(
        [day + pd.Timedelta(hours=h) for day in pd.bdate_range("2021-01-04", periods=30) for h in (9, 13)]
    )
    assert frequency(stamps) == "4h"


def test_bars_that_never_meet_a_session_are_refused():
    stamps = pd.date_range("2021-01-02 01:00", periods=30, freq="5min")  # a Saturday night
    with pytest.raises(DataError, match="none of the 30 bars lies in a session of XNYS"):
        BarCalendar.infer(stamps, "XNYS")


@pytest.mark.parametrize("stamps", [days(), days("2020-01-01")])
def test_one_bar_shows_no_calendar(stamps):
    with pytest.raises(DataError, match="cannot show a frequency"):
        BarCalendar.infer(stamps)


def test_an_unknown_code_is_refused_for_bars_of_any_frequency():
    for freq in ("D", "h", "W-FRI", "MS"):
        with pytest.raises(DataError, match="unknown calendar 'XNYC'; nearest: XNYS"):
            calendar_flags(pd.date_range("2020-01-01", periods=50, freq=freq), "XNYC")


def test_no_bars_ahead_give_an_empty_index():
    assert len(BarCalendar.infer(pd.bdate_range("2020-01-01", periods=40), "XNYS").future(0)) == 0


# --- Trading days ---


def test_a_session_is_a_day_whether_an_exchange_or_a_nightly_pause_shows_it():
    stamps = sessions_5m("2024-03-04", "2024-03-08")  # a week of 78 bars a day
    for code in ("XNYS", ""):
        calendar = BarCalendar.infer(stamps, code)
        following = calendar.future(3 * 78 + 10)
        days = calendar.trading_days(following)
        assert np.bincount(days).tolist() == [78, 78, 78, 10]
        assert [following[np.argmax(days == day)].hour for day in range(4)] == [9, 9, 9, 9]


def test_an_evening_session_belongs_to_the_day_on_which_it_ends():
    """CME futures open at 17:00 Chicago time for the next date: midnight parts nothing."""
    evenings = pd.date_range("2024-03-03 17:00", "2024-03-08 16:00", freq="h")
    stamps = evenings[(evenings.hour != 16) | (evenings.minute != 0)]
    calendar = BarCalendar.infer(stamps, "CMES")
    following = calendar.future(50)
    days = calendar.trading_days(following)
    changes = following[1:][np.diff(days) > 0]
    assert len(changes) >= 2
    assert {stamp.hour for stamp in changes} == {17}


def test_a_market_that_never_closes_changes_days_at_midnight_of_its_stamps():
    for zone, code in ((None, "24/7"), (None, ""), ("Asia/Tokyo", "24/7")):
        stamps = pd.date_range("2024-01-01", periods=24 * 30 + 5, freq="h", tz=zone)
        calendar = BarCalendar.infer(stamps, code)
        following = calendar.future(60)
        changes = following[1:][np.diff(calendar.trading_days(following)) > 0]
        assert [stamp.hour for stamp in changes] == [0, 0]


def test_a_market_of_the_working_week_changes_days_at_midnight():
    """Foreign exchange runs from Sunday evening to Friday evening: its only pause is the weekend."""
    hours = pd.date_range("2024-01-07", "2024-03-01", freq="h")
    week = (
        (hours.day_of_week < 4)
        | ((hours.day_of_week == 4) & (hours.hour < 22))
        | ((hours.day_of_week == 6) & (hours.hour >= 22))
    )
    calendar = BarCalendar.infer(hours[week])
    following = calendar.future(120)
    changes = following[1:][np.diff(calendar.trading_days(following)) > 0]
    assert {stamp.hour for stamp in changes} <= {0, 22}
    assert len(changes) >= 5


def test_daily_bars_are_a_day_each_and_weekly_ones_lie_beyond_days(nyse_days):
    daily = BarCalendar.infer(nyse_days, "XNYS")
    assert daily.trading_days(daily.future(7)).tolist() == list(range(7))
    assert not daily.beyond_days
    weekly = BarCalendar.infer(pd.date_range("2020-01-03", periods=100, freq="W-FRI"))
    assert weekly.beyond_days
    assert daily.trading_days(daily.future(0)).tolist() == []
