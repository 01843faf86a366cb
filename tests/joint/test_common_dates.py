"""Histories of several assets on common dates: holidays, weekends, clocks, and what cannot be laid side by side."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from scenario_gen.errors import DataError
from scenario_gen.joint.calendar import align, calibration_rows, refuse_unfit
from scenario_gen.joint.section import JointCalibration
from scenario_gen.market import load_candles
from tests.joint.given import candles, coin, exchange, sessions, walks

SPAN = ("2017-01-03", "2019-06-28")


@pytest.fixture(scope="module")
def stock():
    return exchange("XNYS", *SPAN)


@pytest.fixture(scope="module")
def both():
    return {"spx": load_candles("sp500"), "ndx": load_candles("nasdaq")}


def test_two_indices_of_one_exchange_stay_as_they_are_alone(both):
    histories = both
    past, later = align(histories).split_at("2017-06-30")
    assert past.notes == ()
    for asset, history in histories.items():
        before, after = history.split_at("2017-06-30")
        assert_array_equal(past.parts[asset].values, before.values)
        assert past.parts[asset].timestamps.equals(before.timestamps)
        assert past.parts[asset].flags == before.flags
        assert later[asset].timestamps.equals(after.timestamps)
        assert past.future(5)[asset].equals(pd.DatetimeIndex(["2017-07-03", *pd.bdate_range("2017-07-05", periods=4)]))
    assert past.apart == ()


def test_two_exchanges_keep_the_dates_on_which_both_were_open(stock):
    london = exchange("XLON", *SPAN, seed=5)
    past, _ = align({"ny": stock, "london": london}).split_at(None)
    both = stock.timestamps.intersection(london.timestamps)
    assert past.timestamps.equals(both)
    assert_array_equal(past.parts["london"].close, london.close[london.timestamps.isin(both)])
    left = len(london) - len(both)
    assert f"{left} of {len(london)} bars of london in the common time are left out" in " ".join(past.notes)


def test_the_next_bars_are_those_on_which_both_exchanges_are_open(stock):
    past, _ = align({"ny": stock, "london": exchange("XLON", *SPAN, seed=5)}).split_at(None)
    ahead = past.future(60)
    assert ahead["ny"].equals(ahead["london"])
    days = {str(day.date()) for day in ahead["ny"]}
    # New York closes on the 4th of July and on Labor Day, London on the last Monday of August.
    assert not days & {"2019-07-04", "2019-08-26", "2019-09-02"}
    assert {"2019-07-01", "2019-08-23", "2019-08-27"} <= days
    shared = past.calendars["ny"].bars_per_year
    assert 240 < shared < 252 and shared == past.calendars["london"].bars_per_year


def test_a_coin_beside_a_stock_has_its_weekend_in_mondays_bar(stock):
    whole = coin(*SPAN)
    aligned = align({"coin": whole, "stock": stock})
    part, monday = aligned.parts["coin"], pd.Timestamp("2018-03-12")
    assert part.timestamps.equals(stock.timestamps)
    at = part.timestamps.get_loc(monday)
    three = whole.frame().loc["2018-03-10":"2018-03-12"]
    expected = [three.open.iloc[0], three.high.max(), three.low.min(), three.close.iloc[-1], three.volume.sum()]
    assert_array_equal(part.values[at], expected)
    tuesday = whole.frame().loc["2018-03-13"].to_numpy()
    assert_array_equal(part.values[at + 1], tuesday)
    # Nothing is lost on the way: volume of all bars from the first common one on, and the close of the last.
    assert part.column("volume").sum() == whole.frame().loc["2017-01-03":].volume.sum()
    assert part.close[-1] == whole.close[-1]
    assert "coin also trades when stock does not" in " ".join(aligned.notes)


def test_flags_stay_with_the_bars_that_they_are_of(stock):
    flagged = stock.values.copy()
    flagged[100, :4] *= 1.5  # a suspicious jump up and down again
    strange = load_candles(pd.DataFrame(flagged, stock.timestamps, stock.fields), name="strange", calendar="XNYS")
    assert strange.flags
    other = strange.rows(50, len(strange))
    moved = align({"a": strange, "b": replace(other, values=other.values * 2)}).parts["a"]
    for before, after in zip(strange.flags, moved.flags, strict=True):
        kept = [row for row in before.rows if row >= 50]
        assert [row + 50 for row in after.rows] == kept


def test_dates_are_matched_on_each_markets_own_clock_through_summer_time(stock):
    """A close of 16:00 in New York, midnight there written in UTC, and midnight UTC of a coin are one date."""
    dates = stock.timestamps
    close = dates.tz_localize("America/New_York") + pd.Timedelta(hours=16)
    begun = dates.tz_localize("America/New_York").tz_convert("UTC")
    assert len({stamp.hour for stamp in begun}) == 2  # 04:00 in summer, 05:00 in winter
    histories = {
        "close": candles(close, "close", seed=1, calendar="XNYS"),
        "begun": candles(begun, "begun", seed=2, calendar="XNYS"),
        "coin": coin(*SPAN),
    }
    past, _ = align(histories).split_at(None)
    assert all(part.timestamps.equals(close.as_unit("ns")) for part in past.parts.values())
    ahead = past.future(5)
    assert [stamp.date().isoformat() for stamp in ahead["coin"]] == [
        "2019-07-01",
        "2019-07-02",
        "2019-07-03",
        "2019-07-05",
        "2019-07-08",
    ]
    assert all(stamps.equals(ahead["close"]) for stamps in ahead.values())


def _hours(dates, zone, first, last, calendar, seed):
    stamps = pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in dates for hour in range(first, last)])
    return candles(stamps if zone is None else stamps.tz_localize(zone), calendar, seed=seed, calendar=calendar)


def test_hourly_bars_are_matched_by_the_moment_through_weeks_in_which_one_clock_has_changed():
    """London trades 8 to 16, New York 10 to 16: three common hours, four in the weeks between the clock changes."""
    days = ("2019-01-02", "2019-06-28")
    ny = _hours(sessions("XNYS", *days), None, 10, 16, "XNYS", 1)
    london = _hours(sessions("XLON", *days), "Europe/London", 8, 16, "XLON", 2)
    common = align({"ny": ny, "london": london}).timestamps
    assert str(common.tz) == "America/New_York"
    by_day = pd.Series(1, index=common).groupby(common.date).sum()
    assert by_day[pd.Timestamp("2019-03-07").date()] == 1  # 15:00 in London is 10:00 in New York
    assert by_day[pd.Timestamp("2019-03-12").date()] == 2  # New York has changed its clock
    assert by_day[pd.Timestamp("2019-04-02").date()] == 1  # and now London


def test_an_hourly_coin_has_its_night_in_the_first_bar_of_the_stock():
    stock = _hours(sessions("XNYS", "2019-01-02", "2019-06-28"), None, 10, 16, "XNYS", 1)
    hours = pd.date_range("2019-01-02", "2019-06-28 23:00", freq="h", tz="UTC")
    whole = candles(hours, "coin", seed=3, calendar="24/7")
    past, _ = align({"stock": stock, "coin": whole}).split_at(None)
    part = past.parts["coin"]
    assert len(part) == len(stock) and str(part.timestamps.tz) == "America/New_York"
    opening = part.frame().loc["2019-03-12 10:00"]
    night = whole.frame().loc["2019-03-11 20:00":"2019-03-12 14:00"]  # after 15:00 to 10:00 in New York, in UTC
    assert (opening.open, opening.high, opening.volume) == (night.open.iloc[0], night.high.max(), night.volume.sum())
    assert [str(stamp) for stamp in past.future(2)["coin"]] == [
        "2019-07-01 10:00:00-04:00",
        "2019-07-01 11:00:00-04:00",
    ]


def test_in_a_union_every_asset_keeps_its_bars_and_the_horizon_counts_the_dates_of_the_book(stock):
    whole = coin(*SPAN)
    past, later = align({"coin": whole, "stock": stock}, "union").split_at("2019-05-31")
    assert len(past.parts["coin"]) == len(whole.split_at("2019-05-31")[0])
    assert past.common["coin"].timestamps.equals(past.common["stock"].timestamps)
    assert later["coin"].timestamps[0] == pd.Timestamp("2019-06-01")
    ahead = past.future(9)
    assert ahead["coin"].equals(pd.date_range("2019-06-01", periods=9).as_unit("ns"))
    assert ahead["stock"].equals(pd.bdate_range("2019-06-03", "2019-06-07").as_unit("ns"))
    assert past.calendars["coin"].bars_per_year == 365


def test_without_an_end_the_context_ends_with_the_last_bar_of_all(stock):
    past, later = align({"coin": coin(SPAN[0], "2019-06-30"), "stock": stock}, "union").split_at(None)
    assert {str(part.timestamps[-1].date()) for part in past.parts.values()} == {"2019-06-28"}
    assert not len(later["coin"])
    assert "bars after the last that all assets have, 2019-06-28, are left out: 2 of coin" in past.notes


def test_a_union_in_which_a_market_stays_closed_is_refused(stock):
    past, _ = align({"coin": coin(*SPAN), "stock": stock}, "union").split_at("2019-05-31")
    with pytest.raises(DataError, match="stock has no bar within the next 2 dates"):
        past.future(2)


def test_weekly_bars_are_matched_by_their_week():
    fridays = candles(pd.date_range("2012-01-06", periods=300, freq="W-FRI"), "fridays", seed=1)
    mondays = candles(pd.date_range("2012-01-02", periods=310, freq="W-MON"), "mondays", seed=2)
    past, _ = align({"fridays": fridays, "mondays": mondays}).split_at(None)
    assert past.timestamps.equals(fridays.timestamps)
    assert_array_equal(past.parts["mondays"].close, mondays.close[:300])
    assert past.future(2)["mondays"].equals(fridays.timestamps[-1:].repeat(2) + pd.to_timedelta([7, 14], "D"))


# --- What cannot be laid side by side ---


def test_bars_of_different_size_are_refused_by_the_odd_one(stock):
    hourly = _hours(sessions("XNYS", "2019-01-02", "2019-03-28"), None, 10, 16, "XNYS", 1)
    with pytest.raises(DataError, match=r"my.yaml:7: bars of different size in one book: a daily, b 1h, c daily"):
        align({"a": stock, "b": hourly, "c": stock}, place=lambda asset: {"b": "my.yaml:7"}[asset])


def test_moments_without_a_zone_beside_moments_with_one_are_refused():
    days = sessions("XNYS", "2019-01-02", "2019-03-28")
    plain, zoned = _hours(days, None, 10, 16, "", 1), _hours(days, "Europe/London", 10, 16, "", 2)
    with pytest.raises(DataError, match="the stamps of plain have no time zone and no exchange"):
        align({"plain": plain, "zoned": zoned})
    (note,) = (n for n in align({"a": plain, "b": plain}).notes if "clock" in n)
    assert note == "stamps of a, b have no time zone and are taken as of one clock"


def test_histories_of_other_years_and_of_other_minutes_are_refused_for_what_they_are(stock):
    with pytest.raises(DataError, match="no date in common: old 2010-01-04 to 2012-01-03, new 2017-01-03"):
        align({"old": exchange("XNYS", "2010-01-04", "2012-01-03"), "new": stock})
    days = sessions("XNYS", "2019-01-02", "2019-03-28")
    whole, half = _hours(days, None, 10, 16, "XNYS", 1), _hours(days, None, 10, 16, "XNYS", 2)
    half = replace(half, timestamps=half.timestamps + pd.Timedelta(minutes=30))
    with pytest.raises(DataError, match="their bars stand at other moments, such as 09:30 and 10:00"):
        align({"whole": whole, "half": half})


def test_fewer_than_250_common_bars_are_refused_with_their_numbers(stock):
    late = exchange("XNYS", "2018-09-04", SPAN[1], seed=4)
    past, _ = align({"a": stock, "late": late}).split_at(None)
    with pytest.raises(
        DataError, match=f"my.yaml:3: a, late have {len(late)} bars in common from 2018-09-04"
    ) as caught:
        refuse_unfit(past, 64, lambda asset: "" if asset else "my.yaml:3")
    assert f"of a {len(stock)}, late {len(late)}" in str(caught.value)


def test_a_context_longer_than_the_common_history_is_refused(stock):
    past, _ = align({"a": stock, "late": exchange("XNYS", "2018-01-02", SPAN[1], seed=4)}).split_at(None)
    refuse_unfit(past, len(past.timestamps))
    with pytest.raises(DataError, match="bars in common from 2018-01-02 to 2019-06-28, but the context needs 512"):
        refuse_unfit(past, 512)


def test_one_history_under_two_names_is_refused_and_near_ones_are_not(stock):
    twice = replace(stock, values=stock.values * np.array([3, 3, 3, 3, 1.0]))
    past, _ = align({"a": stock, "b": twice}).split_at(None)
    with pytest.raises(DataError, match=r"'b' has the history of 'a': .* a correlation of 1.000000"):
        refuse_unfit(past, 64)
    rng = np.random.default_rng(0)
    noisy = stock.values * np.exp(rng.normal(0, 2e-4, len(stock)))[:, None]  # of returns of 1 %: correlation .999
    past, _ = align({"a": stock, "b": replace(stock, values=noisy)}).split_at(None)
    refuse_unfit(past, 64)


def test_assets_without_volume_and_long_stretches_without_a_common_bar_are_told(stock):
    holey = stock.timestamps[(stock.timestamps < "2018-02-01") | (stock.timestamps > "2018-04-01")]
    bare = candles(holey, "bare", seed=3, calendar="XNYS", volume=False)
    notes = " ".join(align({"a": stock, "bare": bare}).notes)
    assert "no volume in bare: strategies of the book see volume only where all assets have it" in notes
    assert "the longest stretch without a bar that all assets have: 2018-01-31 to 2018-04-02" in notes


# --- Closes of different hours ---


def _book(rng, bars=750):
    """Two assets of correlation .6, and one that trades what the first did a bar ago."""
    x, y, z = rng.standard_t(5, (3, bars + 1))
    return 0.01 * np.stack((x[1:], 0.6 * x[1:] + 0.8 * y[1:], 0.6 * x[:-1] + 0.8 * z[1:]), axis=1)


def test_closes_of_different_hours_are_found_and_said():
    stamps = pd.bdate_range("2015-01-01", periods=750)
    past, _ = align(walks(stamps, _book(np.random.default_rng(3)))).split_at(None)
    seen, other = past.apart
    assert {(each.before, each.after) for each in (seen, other)} == {("a", "c"), ("b", "c")}  # b goes with a
    assert (seen.before, seen.after) == ("a", "c")
    # The truth is .6; the error of a correlation of 750 bars with tails of Student's t is at most .045.
    assert_allclose(seen.lagged, 0.6, atol=0.14)
    assert seen.interval[0] < 0.6 < seen.interval[1]
    assert "returns of c go with those of a one bar earlier" in seen.in_words and "understated" in seen.in_words


def test_what_goes_on_a_bar_later_and_less_is_no_other_hour():
    x, y = np.random.default_rng(4).standard_t(5, (2, 751))
    late = np.stack((x[1:], 0.6 * x[1:] + 0.35 * x[:-1] + 0.7 * y[1:]), axis=1)  # correlations of .61 and .35
    assert align(walks(pd.bdate_range("2015-01-01", periods=750), 0.01 * late)).apart == ()


def test_closes_of_one_hour_are_seldom_called_those_of_different_hours():
    """Twenty books of eight assets, 56 tests each, at a level of .01 a book: more than two have a chance of .001."""
    stamps = pd.bdate_range("2015-01-01", periods=400)
    rng = np.random.default_rng(8)
    alarms = 0
    for _ in range(20):
        common, own = rng.standard_t(5, (400, 1)), rng.standard_t(5, (400, 8))
        alarms += bool(align(walks(stamps, 0.01 * (0.1 * common + own))).apart)
    assert alarms <= 2


# --- Which bars dependence is read from ---


@pytest.fixture(scope="module")
def indices(both):
    return align(both).split_at("2012-12-31")[0]


def _spanned(indices, asked, **where):
    bars = calibration_rows(indices, asked, **where)
    first, last = indices.timestamps[bars.rows[[0, -1]]]
    return str(first.date()), str(last.date()), len(bars.rows), bars.note


def test_dependence_is_read_from_the_last_bars_or_from_those_between_two_dates(indices):
    assert _spanned(indices, JointCalibration(bars=300))[1:3] == ("2012-12-31", 300)
    between = JointCalibration(start="2007-01-01", end="2009-12-31")
    assert _spanned(indices, between) == ("2007-01-03", "2009-12-31", 756, "")  # 251 + 253 + 252 sessions
    assert _spanned(indices, JointCalibration(end="2009-12-31"))[1:3] == ("2009-12-31", 1000)


def test_a_crisis_is_widened_to_the_bars_that_show_a_dependence(indices):
    first, last, bars, note = _spanned(indices, JointCalibration(crisis="lehman"), crisis=("2008-09-12", "2008-11-20"))
    assert (first, last, bars) == ("2008-04-22", "2009-04-17", 250)
    assert "the crisis lehman has 49 common bars, too few to show a dependence" in note
    early = calibration_rows(indices, JointCalibration(crisis="x"), ("1999-01-20", "1999-02-20"))
    assert_array_equal(early.rows, np.arange(250))


def test_windows_that_are_too_short_or_not_over_are_refused(indices):
    with pytest.raises(DataError, match=r"my.yaml:9: 124 bars of spx, ndx from 2007-01-01 to 2007-07-01"):
        calibration_rows(indices, JointCalibration(start="2007-01-01", end="2007-07-01"), place=lambda key: "my.yaml:9")
    with pytest.raises(DataError, match=r"the crisis q4_2018 \(2018-09-20 to 2018-12-24\) does not lie inside"):
        calibration_rows(indices, JointCalibration(crisis="q4_2018"), ("2018-09-20", "2018-12-24"))
