import numpy as np
import pandas as pd
import pytest

from scenario_gen.errors import DataError
from scenario_gen.market import PRICE_FIELDS, candles as validity, load_candles


def refusal(frame):
    with pytest.raises(DataError) as caught:
        load_candles(frame)
    return str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("high", 1.0, "the high is below open, low or close: 1 bar"),
        ("low", 10_000.0, "the low is above open or close: 1 bar"),
        ("open", 0.0, "a price is zero or negative: 1 bar"),
        ("close", -5.0, "a price is zero or negative: 1 bar"),
        ("close", np.nan, "a price is missing or no finite number: 1 bar"),
        ("high", 1e13, "a price is above 1e+12 or below 1e-09: 1 bar"),
        ("low", 1e-10, "a price is above 1e+12 or below 1e-09: 1 bar"),
        ("high", np.inf, "a price is missing or no finite number: 1 bar"),
        ("volume", -1.0, "volume is missing, negative or not finite: 1 bar"),
        ("volume", np.inf, "volume is missing, negative or not finite: 1 bar"),
        ("volume", 1e300, "volume is above 1e+24: 1 bar"),
    ],
)
def test_a_single_broken_value_is_refused_with_its_row_and_rule(bars, column, value, rule):
    bars.iloc[16, bars.columns.get_loc(column)] = value
    message = refusal(bars)
    assert rule in message
    assert "row 17, 2020-01-23" in message  # the 17th business day from 2020-01-01 on


def test_high_and_low_must_enclose_both_ends_of_the_body():
    rows = {  # open, high, low, close
        "valid": (10, 12, 9, 11), "flat": (10, 10, 10, 10),
        "low above the open": (10, 12, 10.5, 11), "low above the close": (11, 12, 10.5, 10),
        "high below the close": (10, 10.5, 9, 11), "high below the open": (11, 10.5, 9, 10),
        "high below the low": (10, 8, 9, 10),
    }  # fmt: skip
    columns = dict(zip(PRICE_FIELDS, np.array(list(rows.values()), dtype=float).T, strict=True))
    low, high = validity.low_too_high(columns), validity.high_too_low(columns)
    assert [name for name, broken in zip(rows, low, strict=True) if broken] == [*rows][2:4]
    assert [name for name, broken in zip(rows, high, strict=True) if broken] == [*rows][4:]


def test_every_broken_rule_is_told_at_once_and_long_lists_are_cut(bars):
    bars.loc[bars.index[:7], "volume"] = -1.0
    bars.loc[bars.index[20], "high"] = 1.0
    bars.loc[bars.index[30], "close"] = np.nan
    message = refusal(bars)
    assert "the data frame breaks 3 rules" in message
    assert "7 bars" in message
    assert "and 4 more" in message
    assert "row 21" in message
    assert "row 31" in message


def test_unsorted_stamps_name_the_bar_that_steps_back(bars):
    swapped = bars.iloc[[0, 1, 3, 2, *range(4, 60)]]
    assert "the stamp is earlier than the one before: 1 bar\n    row 4, 2020-01-03" in refusal(swapped)


def test_repeated_stamps_name_the_second_of_them(bars):
    doubled = bars.iloc[[0, 1, 1, *range(2, 60)]]
    assert "the stamp repeats an earlier one: 1 bar\n    row 3, 2020-01-02" in refusal(doubled)


def test_missing_stamps_are_refused(bars):
    stamps = bars.index.to_series()
    stamps.iloc[4] = pd.NaT
    message = refusal(bars.set_index(pd.DatetimeIndex(stamps)))
    assert "the stamp is missing or is no date: 1 bar\n    row 5, no stamp" in message


def test_a_csv_message_names_the_line_in_the_file(tmp_path):
    file = tmp_path / "p.csv"
    file.write_text("\ndate,open,high,low,close\n2020-01-01,1,2,1,1\n\n2020-01-02,1,0.5,1,1\n")
    with pytest.raises(DataError, match=r"row 2 \(line 5\), 2020-01-02: open 1, high 0.5, low 1, close 1"):
        load_candles(file)


def test_float_noise_is_closed_and_anything_larger_refused(bars):
    top = bars.loc[bars.index[3], ["open", "close"]].max()
    bars.loc[bars.index[3], "high"] = top * (1 - 5e-10)
    assert load_candles(bars).column("high")[3] == top
    bars.loc[bars.index[3], "high"] = top * (1 - 2e-9)
    assert "the high is below" in refusal(bars)


def test_a_volume_column_without_any_value_counts_as_absent(bars):
    bars["volume"] = np.nan
    candles = load_candles(bars)
    assert candles.fields == ("open", "high", "low", "close")
    assert not candles.has_volume
