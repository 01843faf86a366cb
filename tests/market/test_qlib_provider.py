"""A Qlib provider as its dump_bin.py writes it, packed here byte by byte; golden prices are worked by hand."""

from __future__ import annotations

import struct

import pandas as pd
import pytest

from scenario_gen.errors import DataError, SpecError
from scenario_gen.market.opened import candles_of
from scenario_gen.market.qlib import QlibProvider
from scenario_gen.market.section import Data

DAYS = ["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-08"]
NAN = float("nan")
# Listed on the second day, split two for one after the third, suspended on the fourth. Traded: 10 and 20, then 11.
STORED = {
    "open": [0.5, 1.0, NAN, 1.0],
    "high": [0.75, 1.5, NAN, 1.25],
    "low": [0.5, 0.75, NAN, 1.0],
    "close": [0.625, 1.0, NAN, 1.125],
    "volume": [4000.0, 6000.0, NAN, 8000.0],
    "factor": [0.0625, 0.0625, NAN, 0.125],
    "money": [20000.0, 96000.0, NAN, 72000.0],
}


def packed(first: float, values: list[float]) -> bytes:
    return struct.pack(f"<{1 + len(values)}f", first, *values)


@pytest.fixture
def provider(tmp_path):
    for folder in ("calendars", "instruments", "features/sh600000"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "calendars/day.txt").write_text("\n".join(DAYS) + "\n")
    (tmp_path / "calendars/day_future.txt").write_text("\n".join([*DAYS, "2020-01-09"]) + "\n")
    (tmp_path / "instruments/all.txt").write_text("SH600000\t2020-01-03\t2020-01-08\n")
    spans = "SH600000\t2020-01-03\t2020-01-03\nSH600000\t2020-01-07\t2099-12-31\n"
    (tmp_path / "instruments/csi300.txt").write_text(spans)
    for field, values in STORED.items():
        (tmp_path / f"features/sh600000/{field}.day.bin").write_bytes(packed(1, values))
    return tmp_path


def test_prices_and_volume_come_as_they_were_traded(provider):
    bars = QlibProvider(provider).bars("SH600000")
    assert list(bars.columns) == ["open", "high", "low", "close", "volume", "amount"]
    assert list(bars.index) == [pd.Timestamp(day) for day in ("2020-01-03", "2020-01-06", "2020-01-08")]
    assert bars["open"].tolist() == [8.0, 16.0, 8.0]  # 0.5 / 0.0625, 1 / 0.0625, 1 / 0.125
    assert bars["close"].tolist() == [10.0, 16.0, 9.0]
    assert bars["volume"].tolist() == [250.0, 375.0, 1000.0]  # times the factor
    assert bars["amount"].tolist() == [20000.0, 96000.0, 72000.0]
    assert bars.attrs == {"suspended": 1, "factor": True}


def test_adjusted_prices_are_those_that_are_stored(provider):
    bars = QlibProvider(provider).bars("sh600000", adjusted=True)
    assert bars["close"].tolist() == [0.625, 1.0, 1.125]
    assert bars["volume"].tolist() == [4000.0, 6000.0, 8000.0]


def test_a_first_and_a_last_day_cut_the_bars(provider):
    bars = QlibProvider(provider).bars("SH600000", "2020-01-06", "2020-01-07")
    assert list(bars.index) == [pd.Timestamp("2020-01-06")]
    assert QlibProvider(provider).bars("SH600000", end="2020-01-02").empty  # not listed yet


def test_a_day_that_only_one_field_reaches_is_no_suspension(provider):
    (provider / "features/sh600000/volume.day.bin").write_bytes(packed(0, [1.0, *STORED["volume"]]))
    bars = QlibProvider(provider).bars("SH600000")
    assert len(bars) == 3
    assert bars.attrs["suspended"] == 1


def test_without_a_factor_prices_are_as_they_are_stored(provider):
    (provider / "features/sh600000/factor.day.bin").unlink()
    bars = QlibProvider(provider).bars("SH600000")
    assert bars["close"].tolist() == [0.625, 1.0, 1.125]
    assert bars.attrs["factor"] is False


def test_a_factor_that_is_missing_on_a_traded_day_is_refused(provider):
    (provider / "features/sh600000/factor.day.bin").write_bytes(packed(1, [0.0625, NAN, NAN, 0.125]))
    with pytest.raises(DataError, match=r"no factor on 1 of its 3 bars, first 2020-01-06.*(\n.*)*adjusted: true"):
        QlibProvider(provider).bars("SH600000")
    assert len(QlibProvider(provider).bars("SH600000", adjusted=True)) == 3


def test_members_of_a_market_come_with_each_of_their_stays(provider):
    members = QlibProvider(provider).instruments("CSI300")
    assert members["instrument"].tolist() == ["SH600000", "SH600000"]
    assert members["start"].tolist() == [pd.Timestamp("2020-01-03"), pd.Timestamp("2020-01-07")]
    assert members["end"].iloc[1] == pd.Timestamp("2099-12-31")
    assert QlibProvider(provider).markets() == ["all", "csi300"]


def test_minute_bars_have_a_calendar_and_files_of_their_own(provider):
    (provider / "calendars/1min.txt").write_text("2020-01-02 09:30:00\n2020-01-02 09:31:00\n")
    for field in ("open", "high", "low", "close"):
        (provider / f"features/sh600000/{field}.1min.bin").write_bytes(packed(0, [8.0, 8.25]))
    bars = QlibProvider(provider, "1min").bars("SH600000")
    assert bars.index[1] == pd.Timestamp("2020-01-02 09:31")


def test_an_instrument_with_the_name_of_a_device_has_qlibs_prefix(provider):
    (provider / "features/sh600000").rename(provider / "features/_qlib_con")
    assert len(QlibProvider(provider).bars("CON")) == 3


@pytest.mark.parametrize("symbol", ["../sh600000", "..", "sh600000/../sh600000", "/etc", "a\\b", "", "sh600000\0"])
def test_a_symbol_leads_nowhere_but_into_the_provider(provider, symbol):
    with pytest.raises(DataError, match="is no name in a provider"):
        QlibProvider(provider).bars(symbol)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (packed(1, STORED["close"])[:-1], "is no field of Qlib's: 19 bytes"),
        (b"", "is no field of Qlib's: 0 bytes"),
        (packed(-1, [1.0]), "begin with -1"),
        (packed(NAN, [1.0]), "begin with nan"),
        (packed(float("inf"), [1.0]), "inf"),
        (packed(1.5, [1.0]), "begin with 1.5"),
        (packed(3, STORED["close"]), "reaches to line 7 of a calendar of 5"),
    ],
)
def test_a_damaged_field_is_named(provider, content, message):
    (provider / "features/sh600000/close.day.bin").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        QlibProvider(provider).bars("SH600000")
    assert "close.day.bin" in caught.value.problem


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda place: QlibProvider(place / "features"), "is no Qlib provider"),
        (lambda place: QlibProvider(place, "5min"), r"no calendar of '5min' bars\n.*one of day\n"),
        (lambda place: QlibProvider(place).bars("SH60000"), r"no instrument 'SH60000'\n.*such as SH600000"),
        (lambda place: QlibProvider(place).instruments("csi500"), r"no market 'csi500'\n.*all, csi300"),
        (lambda place: QlibProvider(place).series("SH600000", "vwap"), "vwap.day.bin cannot be read"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(provider, wrong, message):
    with pytest.raises(DataError, match=message):
        wrong(provider)


def test_damaged_lists_are_named_with_their_line(provider):
    (provider / "calendars/day.txt").write_text("2020-01-02\n2020-01-02\n")
    with pytest.raises(DataError, match=r"line 2 of .*day.txt is '2020-01-02'"):
        QlibProvider(provider).bars("SH600000")
    (provider / "instruments/all.txt").write_text("SH600000\t2020-01-03\t2020-01-08\nSH600001 2020\n")
    with pytest.raises(DataError, match=r"line 2 of .*all.txt"):
        QlibProvider(provider).instruments()


# --- as a history of a spec


def data_of(**fields) -> Data:
    return Data(source="qlib", provider_uri=".", symbol="SH600000", **fields)


def test_a_provider_is_a_source_of_a_spec_relative_to_its_folder(provider):
    candles = candles_of(data_of(), provider)
    assert candles.close.tolist() == [10.0, 16.0, 9.0]
    assert candles.name == "SH600000"
    notes = candles.flag_texts()
    assert any("as traded: the stored ones by their factor" in note for note in notes)
    assert any("1 bars without prices are left out: days of suspension" in note for note in notes)
    assert candles_of(data_of(adjusted=True), provider).close.tolist() == [0.625, 1.0, 1.125]


def test_nothing_after_as_of_comes_out_of_a_provider(provider):
    assert len(candles_of(data_of(as_of=pd.Timestamp("2020-01-07").date()), provider)) == 2
    stamps = candles_of(data_of(start=pd.Timestamp("2020-01-06").date()), provider).timestamps
    assert list(stamps) == [pd.Timestamp("2020-01-06"), pd.Timestamp("2020-01-08")]


def test_minutes_of_a_provider_are_over_a_minute_later(provider):
    stamps = [f"2020-01-02 09:{minute}:00" for minute in range(30, 40)]
    (provider / "calendars/1min.txt").write_text("\n".join(stamps))
    for field in ("open", "high", "low", "close"):
        (provider / f"features/sh600000/{field}.1min.bin").write_bytes(packed(0, [8.0] * 10))
    candles = candles_of(data_of(freq="1min", as_of=pd.Timestamp("2020-01-02 09:35").to_pydatetime()), provider)
    assert candles.timestamps[-1] == pd.Timestamp("2020-01-02 09:34")


def test_a_provider_that_is_named_without_its_folder_or_with_an_odd_frequency_is_refused():
    from scenario_gen import fetch

    with pytest.raises(SpecError, match="provider_uri missing, which source qlib needs"):
        fetch("qlib", symbol="SH600000")
    with pytest.raises(SpecError, match="got '7 days', expected such as day"):
        fetch("qlib", symbol="SH600000", provider_uri="x", freq="7 days")
    with pytest.raises(DataError, match="x is no Qlib provider"):
        fetch("qlib", symbol="SH600000", provider_uri="x")
