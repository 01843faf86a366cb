"""Each source through its real client: vendors answer on loopback, in the shapes that they have."""

from __future__ import annotations

import importlib.metadata
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.errors import DataError, SpecError
from scenario_gen.market.sources import SOURCES, base, stooq as stooq_source
from scenario_gen.progress import SilentProgress
from tests.market.sources.conftest import Serve
from tests.market.sources.vendors import HTML, alpaca, binance, eastmoney, prices, stooq, yahoo

DAYS = pd.bdate_range("2020-01-02", periods=80)
AT_THE_OPEN = (DAYS + pd.Timedelta(hours=9.5)).tz_localize("America/New_York")
HOURS = pd.date_range("2020-01-01", periods=2700, freq="1h", tz="UTC")
BTC = {"exchange": "binance", "symbol": "BTC/USDT", "timeframe": "1h", "start": "2020-01-01"}
# One way to ask each source, and what its vendor answers with.
ASKED: dict[str, tuple[dict[str, Any], Any]] = {
    "yahoo": ({"symbol": "SPY", "start": "2020-01-01"}, yahoo(AT_THE_OPEN)),
    "ccxt": (BTC, binance(HOURS[:80])),
    "stooq": ({"symbol": "spy.us"}, stooq(DAYS)),
    "alpaca": ({"symbol": "SPY", "start": "2020-01-01"}, alpaca(DAYS.tz_localize("America/New_York"))),
    "akshare": ({"symbol": "600519"}, eastmoney(DAYS, [prices(at)[3] for at in range(80)])),
}
FETCHED = sorted(name for name, source in SOURCES.items() if source.fetch is not None)


def notes_of(candles: sg.Candles) -> str:
    return "\n".join(flag.message for flag in candles.flags)


def test_every_source_that_is_asked_has_its_case_here():
    assert sorted(name for name in FETCHED if SOURCES[name].kept) == sorted(ASKED)


@pytest.mark.parametrize("name", sorted(ASKED))
def test_the_bars_of_a_source_are_those_that_its_vendor_sent(name: str, serve: Serve) -> None:
    fields, routes = ASKED[name]
    serve(name, routes)
    candles = sg.fetch(name, **fields)
    assert len(candles) == 80
    expected = np.array([prices(at) for at in range(80)])
    if name == "akshare":
        np.testing.assert_allclose(candles.column("close"), expected[:, 3], rtol=1e-12)
        # Eastmoney counts lots of a hundred shares, and yuan.
        np.testing.assert_allclose(candles.column("amount") / candles.column("volume"), 100 * expected[:, 3], rtol=1e-6)
    else:
        np.testing.assert_allclose(candles.values[:, :4], expected, rtol=1e-12)
    stamps = HOURS[:80] if name == "ccxt" else DAYS
    assert list(candles.timestamps) == list(stamps)


@pytest.mark.parametrize("name", sorted(ASKED))
def test_a_second_time_the_kept_bars_are_taken_and_said_to_be(name: str, serve: Serve) -> None:
    fields, routes = ASKED[name]
    server, heard = serve(name, routes), SilentProgress()
    first = sg.fetch(name, **fields)
    server.close()  # from here on there is no network
    second = sg.fetch(name, **fields, progress=heard)
    assert second.sha256() == first.sha256()
    assert second.flags == first.flags  # a repeated run says the same
    assert [note for note in heard.notes if "used as they are" in note]
    assert "sha256" in notes_of(second)


@pytest.mark.parametrize("name", sorted(ASKED))
def test_a_page_for_people_and_an_empty_answer_are_told_in_words(name: str, serve: Serve) -> None:
    fields, routes = ASKED[name]
    server = serve(name, routes)
    server.first = [(200, HTML)] * 12
    with pytest.raises(DataError) as refused:
        sg.fetch(name, **fields)
    assert "page for people" in refused.value.expected
    server.first = []
    later = {"yahoo": {"symbol": "SPY"}, "akshare": {"symbol": "600519"}, "stooq": {"symbol": "spy.us"}}
    with pytest.raises(DataError, match=r"without a bar|No data|no price data"):
        sg.fetch(name, **{**later.get(name, fields), "start": "2024-01-01"})


@pytest.mark.parametrize("name", sorted(ASKED))
def test_a_limit_and_a_broken_server_are_met_with_patience(name: str, serve: Serve) -> None:
    fields, routes = ASKED[name]
    server = serve(name, routes)
    # yfinance asks again by itself, with another cookie.
    server.first = [(429, "Too Many Requests")] * (2 if name == "yahoo" else 1) + [(503, "{}")]
    assert len(sg.fetch(name, **fields)) == 80


@pytest.mark.parametrize("name", sorted(ASKED))
def test_a_vendor_that_cannot_be_reached_says_what_to_do(name: str, serve: Serve) -> None:
    fields, routes = ASKED[name]
    serve(name, routes).close()
    with pytest.raises(DataError) as refused:
        sg.fetch(name, **fields)
    assert "cannot be reached" in refused.value.problem
    assert "data.file" in refused.value.fix


@pytest.mark.parametrize("name", [name for name in sorted(ASKED) if SOURCES[name].extra])
def test_a_missing_client_is_told_by_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(base, "version", absent)
    with pytest.raises(DataError) as refused:
        sg.fetch(name, **ASKED[name][0])
    assert refused.value.fix == f"pip install 'scenario-gen[{name}]'"


@pytest.mark.parametrize("name", sorted(ASKED))
def test_an_unknown_instrument_is_said_to_be_none(name: str, serve: Serve) -> None:
    fields, _ = ASKED[name]
    nothing = {"ccxt": binance(HOURS[:80]), "alpaca": alpaca(DAYS[:0]), "akshare": eastmoney(DAYS[:0], [])}
    serve(name, nothing.get(name, ASKED[name][1]))
    symbol = {"ccxt": "BTC/USDX", "akshare": "600000"}.get(name, "NOPE")
    with pytest.raises(DataError) as refused:
        sg.fetch(name, **{**fields, "symbol": symbol})
    assert "data.symbol" in refused.value.fix
    if name == "ccxt":
        assert "did you mean 'BTC/USDT'?" in refused.value.problem


# --- ccxt: pages ---


def test_pages_that_overlap_give_every_bar_once(serve: Serve) -> None:
    server = serve("ccxt", binance(HOURS, overlap=3))
    candles = sg.fetch("ccxt", **BTC, as_of="2020-04-13")
    assert list(candles.timestamps) == list(HOURS[HOURS < "2020-04-14"])
    assert candles.calendar == "24/7"
    assert [path for path, _ in server.asked].count("/api/v3/klines") == 3  # 2,472 hours, a thousand a page


def test_a_candle_that_is_still_forming_is_left_out(serve: Serve) -> None:
    hour = pd.Timestamp(datetime.now(UTC)).floor("h")
    stamps = pd.date_range(hour - pd.Timedelta(hours=40), hour, freq="1h")
    serve("ccxt", binance(stamps))
    start = (hour - pd.Timedelta(days=3)).date().isoformat()
    candles = sg.fetch("ccxt", **{**BTC, "start": start})
    # Where the test runs over a full hour, the candle that was forming is over.
    assert candles.timestamps[-1] + timedelta(hours=1) <= pd.Timestamp(datetime.now(UTC))
    assert candles.timestamps[-1] >= stamps[-2]


def test_an_interrupted_fetch_keeps_whole_pages_and_goes_on_after_them(serve: Serve, cache: Path) -> None:
    whole = binance(HOURS)
    server = serve("ccxt", whole)

    def interrupted(path: str, query: dict[str, str]) -> tuple[int, str]:
        if int(query.get("startTime", 0)) > HOURS[1500].timestamp() * 1000:
            raise_at.append(query["startTime"])
            return 400, json.dumps({"code": -1121, "msg": "Invalid symbol."})
        return whole(path, query)  # type: ignore[no-any-return]

    raise_at: list[str] = []
    server.answer = interrupted
    asked = {**BTC, "as_of": "2020-04-13"}
    with pytest.raises(DataError):
        sg.fetch("ccxt", **asked)
    assert len(list(cache.glob("*/*.pages/*.parquet"))) == 2
    server.answer, server.asked, heard = whole, [], SilentProgress()
    candles = sg.fetch("ccxt", **asked, progress=heard)
    assert list(candles.timestamps) == list(HOURS[HOURS < "2020-04-14"])
    assert [path for path, _ in server.asked].count("/api/v3/klines") == 1
    assert any("where it was interrupted" in note for note in heard.notes)
    assert not list(cache.glob("*/*.pages"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"exchange": "binanse"}, "did you mean 'binance'?"), ({"timeframe": "7h"}, "binance has no bars of 7h")],
)
def test_what_an_exchange_does_not_know_is_told_before_bars_are_asked_for(
    serve: Serve, fields: dict[str, str], words: str
) -> None:
    server = serve("ccxt", binance(HOURS[:80]))
    with pytest.raises(DataError) as refused:
        sg.fetch("ccxt", **{**BTC, **fields})
    assert words in refused.value.problem
    assert "/api/v3/klines" not in [path for path, _ in server.asked]


# --- Yahoo, Alpaca, Eastmoney, Stooq: what each has of its own ---


def test_adjusted_prices_of_yahoo_are_scaled_by_its_adjusted_close(serve: Serve) -> None:
    serve("yahoo", ASKED["yahoo"][1])
    raw, adjusted = (sg.fetch("yahoo", symbol="SPY", start="2020-01-01", adjusted=flag) for flag in (False, True))
    np.testing.assert_allclose(adjusted.column("close"), 0.9 * raw.column("close"), rtol=1e-12)


def test_a_day_that_is_not_over_is_no_bar_of_yahoo(serve: Serve) -> None:
    today = pd.Timestamp(datetime.now(UTC)).tz_convert("America/New_York").tz_localize(None).normalize()
    days = pd.date_range(today - pd.Timedelta(days=50), periods=51) + pd.Timedelta(minutes=1)
    serve("yahoo", yahoo(days.tz_localize("America/New_York")))
    candles = sg.fetch("yahoo", symbol="SPY", start=str(days[0].date()))
    assert candles.timestamps[-1].date() < pd.Timestamp(datetime.now(UTC)).tz_convert("America/New_York").date()
    assert "still forming" in notes_of(candles)


def test_keys_go_to_alpaca_and_into_no_message_and_no_file(serve: Serve, cache: Path) -> None:
    server = serve("alpaca", alpaca(DAYS.tz_localize("America/New_York"), page=30))
    assert len(sg.fetch("alpaca", symbol="SPY", start="2020-01-01")) == 80  # three of Alpaca's pages
    assert server.headers[0]["APCA-API-SECRET-KEY"] == "secret-of-the-test"
    assert not [path for path in cache.rglob("*") if path.is_file() and b"of-the-test" in path.read_bytes()]
    server.first = [(403, '{"code": 40310000, "message": "no secret-of-the-test"}')]
    with pytest.raises(DataError) as refused:
        sg.fetch("alpaca", symbol="QQQ", start="2020-01-01")
    assert "of-the-test" not in str(refused.value)
    assert "keys" in refused.value.expected


def test_alpaca_without_keys_names_the_variables(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve("alpaca", ASKED["alpaca"][1])
    monkeypatch.delenv("APCA_API_SECRET_KEY")
    with pytest.raises(DataError, match="APCA_API_SECRET_KEY is not set"):
        sg.fetch("alpaca", symbol="SPY")


def test_suspended_days_and_closes_at_the_limit_of_a_share_are_notes(serve: Serve) -> None:
    # 2020-01-24 to 02-02 is the new year of the exchange; the share does not trade on 2020-02-04 and 05.
    days = pd.DatetimeIndex([*pd.bdate_range("2020-01-02", "2020-01-23"), pd.Timestamp("2020-02-03")])
    days = days.append(pd.bdate_range("2020-02-06", periods=60))
    closes = [10.0] * len(days)
    closes[-1] = 11.0  # ten per cent
    serve("akshare", eastmoney(days, closes))
    said = notes_of(sg.fetch("akshare", symbol="600519", as_of="2020-04-01"))
    assert "no bar on 2 sessions of Shanghai, on which the share was suspended: 2020-02-04, 2020-02-05" in said
    assert "closes 10% from the close before" not in said  # as_of is before that day
    said = notes_of(sg.fetch("akshare", symbol="600519"))
    assert f"or beyond it after a dividend: 1 ({days[-1].date()})" in said


def test_a_growth_share_has_a_wider_limit(serve: Serve) -> None:
    days = pd.bdate_range("2021-03-01", periods=40)
    closes = [10.0] * 20 + [11.0] * 10 + [13.2] * 10  # ten per cent, and twenty
    serve("akshare", eastmoney(days, closes))
    assert f"after a dividend: 1 ({days[30].date()})" in notes_of(sg.fetch("akshare", symbol="300750"))


def test_adjusted_shares_are_asked_for_backward_adjusted(serve: Serve) -> None:
    server = serve("akshare", ASKED["akshare"][1])
    sg.fetch("akshare", symbol="600519", adjusted=True)
    assert server.asked[-1][1]["fqt"] == "2"  # hfq: no later dividend changes it


def test_the_limit_of_stooq_is_told_as_such(serve: Serve) -> None:
    serve("stooq", lambda path, query: (200, "Exceeded the daily hits limit"))
    with pytest.raises(DataError, match="Exceeded the daily hits limit") as refused:
        sg.fetch("stooq", symbol="spy.us")
    assert "tomorrow" in refused.value.fix


def test_a_last_row_without_a_close_is_still_forming(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    text = stooq(DAYS)("/q/d/l/", {"s": "spy.us", "d1": "18000101", "d2": "20300101"})[1]
    serve("stooq", lambda path, query: (200, text + "2020-04-23,101.0,102.0,100.0,,\r\n"))
    candles = sg.fetch("stooq", symbol="spy.us")
    assert len(candles) == 80
    assert "still forming" in notes_of(candles)
    assert stooq_source.ADDRESS.startswith("http://127.0.0.1")


def test_rows_that_come_twice_are_there_once_and_rows_that_disagree_are_refused(serve: Serve) -> None:
    text = stooq(DAYS)("/q/d/l/", {"s": "spy.us", "d1": "18000101", "d2": "20300101"})[1]
    row = text.splitlines()[-1]
    serve("stooq", lambda path, query: (200, f"{text}{row}\r\n"))
    assert "1 bars came twice" in notes_of(sg.fetch("stooq", symbol="spy.us"))
    other = row.replace("2020-04-22,", "2020-04-22,9")
    serve("stooq", lambda path, query: (200, f"{text}{other}\r\n"))
    with pytest.raises(DataError, match="2020-04-22"):
        sg.fetch("stooq", symbol="spy.us", refresh=True)


# --- Fields ---


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"source": "yaho", "symbol": "SPY"}, "did you mean 'yahoo'?"),
        ({"source": "yahoo"}, "symbol missing, which source yahoo needs"),
        ({"source": "ccxt", "symbol": "BTC/USDT"}, "exchange missing, which source ccxt needs"),
        (
            {"source": "yahoo", "symbol": "SPY", "exchange": "binance"},
            "beside source yahoo, expected it with ccxt only",
        ),
        ({"source": "yahoo", "symbol": "SPY", "timeframe": "2h"}, "expected 1m, 2m"),
        ({"source": "yahoo", "symbol": "../etc"}, "expected a symbol of at most 40"),
        ({"source": "akshare", "symbol": "sh600519"}, "expected the six digits of source akshare"),
        ({"source": "ccxt", "exchange": "binance", "symbol": "BTC/USDT", "adjusted": True}, "no adjusted prices"),
        ({"source": "sp500", "symbol": "SPY"}, "beside source sp500"),
        ({"source": "yahoo", "symbol": "SPY", "colour": "red"}, "unknown key"),
    ],
)
def test_a_field_that_does_not_belong_to_a_source_is_refused_by_name(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as refused:
        sg.fetch(**fields)
    assert words in str(refused.value)
