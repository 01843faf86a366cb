"""Laws that hold for any history, tried by hypothesis on random ones."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from scenario_gen.errors import DataError
from scenario_gen.market import PRICE_FIELDS, BarCalendar, load_candles

RELAXED = settings(max_examples=60, deadline=None)
ZONES = st.sampled_from([None, "UTC", "America/New_York", "Asia/Tokyo", "Europe/London"])
STEPS = st.sampled_from(["D", "B", "h", "5min", "7h", "W-FRI", "MS", "ME", "QE"])


@st.composite
def histories(draw):
    """Stamps of any frequency and zone with a random share of bars left out."""
    start = draw(st.datetimes(pd.Timestamp("1995-01-01"), pd.Timestamp("2024-12-31")))
    begin = pd.Timestamp(start).floor("h")
    stamps = pd.date_range(begin.normalize(), periods=draw(st.integers(60, 300)), freq=draw(STEPS))
    left_out = np.random.default_rng(draw(st.integers(0, 999))).random(len(stamps)) < draw(st.floats(0, 0.3))
    kept = stamps[~left_out]
    zone = draw(ZONES)
    if zone is None:
        return kept
    first = np.ones(len(kept), dtype=bool)
    return kept.tz_localize(zone, ambiguous=first, nonexistent="shift_forward").unique()


@st.composite
def frames(draw, stamps=None):
    """Valid candles of any price level, from fractions of a cent to millions."""
    index = draw(histories()) if stamps is None else stamps
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    level = 10.0 ** draw(st.integers(-6, 6))
    close = level * np.exp(np.cumsum(rng.normal(0, 0.02, len(index))))
    open_ = close * np.exp(rng.normal(0, 0.01, len(index)))
    wicks = np.exp(rng.exponential(0.01, (2, len(index))))
    bars = {
        "open": open_,
        "high": np.maximum(open_, close) * wicks[0],
        "low": np.minimum(open_, close) / wicks[1],
        "close": close,
        "volume": rng.integers(0, 10**9, len(index)).astype(float),
    }
    return pd.DataFrame(bars, index=index.rename("timestamp"))


@RELAXED
@given(histories(), st.sampled_from(["", "24/7"]), st.integers(1, 300))
def test_future_stamps_rise_strictly_after_the_end_in_the_histories_zone(stamps, calendar, n):
    future = BarCalendar.infer(stamps, calendar).future(n)
    assert len(future) == n
    assert future[0] > stamps[-1]
    assert future.is_monotonic_increasing
    assert future.is_unique
    assert str(future.tz) == str(stamps.tz)


@RELAXED
@given(st.integers(0, 4000), st.integers(40, 400), st.integers(1, 300), ZONES)
def test_exchange_futures_rise_and_stand_on_sessions_only(first, length, n, zone):
    weekdays = pd.bdate_range("2000-01-03", periods=5000, tz=zone)
    stamps = weekdays[first : first + length]
    future = BarCalendar.infer(stamps, "XNYS").future(n)
    assert len(future) == n
    assert future[0] > stamps[-1]
    assert future.is_monotonic_increasing
    assert future.is_unique
    assert future.day_of_week.max() <= 4
    assert not ((future.month == 12) & (future.day == 25)).any()
    assert str(future.tz) == str(stamps.tz)


@RELAXED
@given(histories(), st.integers(1, 100), st.integers(1, 100))
def test_a_longer_horizon_only_adds_stamps(stamps, short, more):
    calendar = BarCalendar.infer(stamps)
    pd.testing.assert_index_equal(calendar.future(short + more)[:short], calendar.future(short))


@RELAXED
@given(histories(), st.integers(1, 40))
def test_bars_per_year_are_positive_and_near_the_density_of_the_future(stamps, n):
    calendar = BarCalendar.infer(stamps)
    future = calendar.future(n)
    densest = (pd.Timedelta(days=365.2425) / pd.Series([stamps[-1], *future]).diff().min()) * (1 + 1e-9)
    assert 0 < calendar.bars_per_year <= max(densest, 366 * 24 * 12)


@RELAXED
@given(frames())
def test_every_valid_frame_is_accepted_with_its_own_numbers(frame):
    candles = load_candles(frame)
    np.testing.assert_array_equal(candles.frame().to_numpy(), frame.to_numpy())
    prices = {name: candles.column(name) for name in PRICE_FIELDS}
    assert (prices["high"] >= np.maximum(prices["open"], prices["close"])).all()
    assert (prices["low"] <= np.minimum(prices["open"], prices["close"])).all()


@RELAXED
@given(frames())
def test_csv_and_parquet_give_the_same_candles_as_the_frame(frame):
    candles = load_candles(frame)
    with tempfile.TemporaryDirectory() as folder:
        frame.to_csv(Path(folder) / "bars.csv")
        frame.to_parquet(Path(folder) / "bars.parquet")
        text, binary = load_candles(Path(folder) / "bars.csv"), load_candles(Path(folder) / "bars.parquet")
    for loaded in (text, binary):
        assert (loaded.timestamps == candles.timestamps).all()
        assert loaded.fields == candles.fields
    np.testing.assert_array_equal(binary.values, candles.values)
    # Seventeen digits name a float64 exactly; older pandas readers may be one unit in the last place off.
    np.testing.assert_allclose(text.values, candles.values, rtol=2.3e-16, atol=0)


@RELAXED
@given(frames(), st.data())
def test_any_single_impossible_bar_is_refused_by_its_row(frame, data):
    row = data.draw(st.integers(0, len(frame) - 1))
    bar = frame.iloc[row]
    broken = data.draw(
        st.sampled_from(
            [
                ("high", bar[["open", "close"]].max() * (1 - 1e-6)),
                ("low", bar[["open", "close"]].min() * (1 + 1e-6)),
                ("close", 0.0),
                ("open", float("nan")),
                ("volume", -1.0),
            ]
        )
    )
    frame.iloc[row, frame.columns.get_loc(broken[0])] = broken[1]
    with pytest.raises(DataError, match=rf"row {row + 1}, "):
        load_candles(frame)


@RELAXED
@given(st.binary(max_size=400) | st.text(max_size=400))
def test_any_other_file_is_refused_without_a_traceback(content):
    with tempfile.TemporaryDirectory() as folder:
        for name in ("x.csv", "x.csv.gz", "x.parquet"):
            file = Path(folder) / name
            file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
            with pytest.raises(DataError):
                load_candles(file)


@RELAXED
@given(
    st.lists(
        st.lists(st.text("0123456789.,-:/TZ eE+naif'", max_size=12), min_size=5, max_size=5), min_size=1, max_size=6
    )
)
def test_any_cells_under_a_right_header_give_candles_or_a_refusal(cells):
    buffer = io.StringIO()
    pd.DataFrame(cells, columns=["date", *PRICE_FIELDS]).to_csv(buffer, index=False)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.csv"
        file.write_text(buffer.getvalue(), encoding="utf-8")
        try:
            candles = load_candles(file)
        except DataError as error:
            assert error.fix
        else:
            assert (candles.column("low") > 0).all()
            assert candles.timestamps.is_monotonic_increasing
