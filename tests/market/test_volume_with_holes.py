"""A volume that some bars lack is left out and told, refused, or dropped: nothing is made up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scenario_gen.errors import DataError
from scenario_gen.market import load_candles


@pytest.fixture
def holes(bars):
    bars.iloc[[3, 8], 4] = np.nan
    return bars


def test_a_column_with_holes_is_left_out_and_a_note_says_how_to_keep_it(holes):
    candles = load_candles(holes)
    assert candles.fields == ("open", "high", "low", "close")
    (note,) = [flag for flag in candles.flags if flag.rule == "volume left out"]
    assert "2 of 60 bars have none (rows 4, 9)" in note.message
    assert "data.start: 2020-01-14" in note.message  # the bar after the last hole
    whole = load_candles(holes, start="2020-01-14")
    assert whole.has_volume
    assert whole.flags == ()


def test_the_note_stays_with_any_part_of_the_history(holes):
    assert [flag.rule for flag in load_candles(holes).rows(20, 40).flags] == ["volume left out"]


def test_a_start_is_no_advice_where_it_would_cost_most_of_the_bars(bars):
    bars.iloc[50, 4] = np.nan
    assert "data.start" not in load_candles(bars).flags[0].message


def test_require_refuses_the_file_with_its_rows(holes):
    with pytest.raises(DataError, match="volume is missing, negative or not finite: 2 bars") as caught:
        load_candles(holes, volume="require")
    assert "row 4, 2020-01-06" in str(caught.value)
    assert "data.volume: drop" in caught.value.fix


def test_drop_never_uses_volume_and_amount(bars):
    bars["amount"] = bars["volume"] * bars["close"]
    assert load_candles(bars).fields == ("open", "high", "low", "close", "volume", "amount")
    assert load_candles(bars, volume="drop").fields == ("open", "high", "low", "close")


def test_an_unknown_policy_is_refused(bars):
    with pytest.raises(DataError, match="volume is 'keep'"):
        load_candles(bars, volume="keep")


def test_an_amount_with_holes_goes_alone(bars):
    bars["amount"] = bars["volume"] * bars["close"]
    bars.iloc[0, 5] = np.nan
    candles = load_candles(bars)
    assert candles.fields == ("open", "high", "low", "close", "volume")
    assert [flag.rule for flag in candles.flags] == ["amount left out"]


@pytest.mark.parametrize("wrong", [-1.0, np.inf])
def test_a_wrong_value_beside_the_holes_is_refused_as_ever(holes, wrong):
    holes.iloc[20, 4] = wrong
    with pytest.raises(DataError, match="volume is missing, negative or not finite: 3 bars"):
        load_candles(holes)


def test_text_in_the_column_is_refused_as_ever(holes):
    frame = holes.astype({"volume": object})
    frame.iloc[20, 4] = "n/a?"
    with pytest.raises(DataError, match=r"volume 'n/a\?'"):
        load_candles(frame)


def test_intraday_advice_names_the_time(make_bars):
    bars = make_bars(pd.date_range("2024-01-01", periods=60, freq="h"))
    bars.iloc[5, 4] = np.nan
    assert "data.start: 2024-01-01T06:00:00" in load_candles(bars).flags[0].message
