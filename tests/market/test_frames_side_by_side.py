"""Frames of several instruments, as download libraries and vectorbt hand them out."""

from __future__ import annotations

import warnings

import pandas as pd
import pytest
import vectorbt as vbt

from scenario_gen import load_candles
from scenario_gen.errors import DataError

DAYS = pd.date_range("2024-01-01", periods=4, tz="UTC")
FIELDS = ["Open", "High", "Low", "Close"]


def bars(price: float, days: pd.DatetimeIndex = DAYS) -> pd.DataFrame:
    return pd.DataFrame({**dict.fromkeys(FIELDS, price), "Volume": 5.0}, index=days)


BY_SYMBOL = {"BTC-USD": bars(42000.0), "ETH-USD": bars(2300.0, DAYS[1:])}
BY_FIELD = {
    field: pd.DataFrame({symbol: frame[field] for symbol, frame in BY_SYMBOL.items()}) for field in [*FIELDS, "Volume"]
}


def vectorbt_data(frames: dict[str, pd.DataFrame]) -> vbt.YFData:
    with warnings.catch_warnings():  # vectorbt asks pandas 3 for the name of a frequency
        warnings.simplefilter("ignore")
        return vbt.YFData.from_data({key: frame.reindex(DAYS) for key, frame in frames.items()}, download_kwargs={})


@pytest.mark.parametrize(
    "source",
    [
        BY_SYMBOL,
        BY_FIELD,
        pd.concat(BY_SYMBOL, axis=1),  # yfinance.download(..., group_by="ticker")
        pd.concat(BY_FIELD, axis=1),  # yfinance.download([...])
        vectorbt_data(BY_SYMBOL),
    ],
    ids=["by symbol", "by field", "columns of symbols", "columns of fields", "vectorbt"],
)
def test_one_of_several_symbols_is_taken_by_its_name_without_the_days_of_the_others(source):
    candles = load_candles(source, symbol="ETH-USD")
    assert candles.close.tolist() == [2300.0] * 3
    assert candles.timestamps[0] == DAYS[1]
    with pytest.raises(DataError, match=r"holds 2 instruments \(BTC-USD, ETH-USD\)"):
        load_candles(source)
    with pytest.raises(DataError, match="no bars of 'XRP'"):
        load_candles(source, symbol="XRP")


def test_vectorbt_data_of_one_symbol_needs_no_name():
    candles = load_candles(vectorbt_data({"SPY": bars(470.0)}))
    assert candles.name == "SPY"
    assert candles.column("volume").tolist() == [5.0] * 4


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "hold no frames"),
        ({"A": [1, 2]}, "a list under 'A'"),
        ({"A": bars(1.0, DAYS[[0, 0]]), "B": bars(2.0)}, "cannot be laid side by side"),
        ((bars(1.0), bars(2.0)), "cannot be read from tuple"),
    ],
)
def test_what_is_no_set_of_frames_is_refused(source, message):
    with pytest.raises(DataError, match=message):
        load_candles(source)
