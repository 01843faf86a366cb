"""Each vendor on loopback, its real client pointed there, in an empty cache."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scenario_gen.market.sources import SOURCES, asking, stooq as stooq_source
from scenario_gen.market.sources.asking import quietly
from tests.market.sources.vendors import Answer, Loopback, Query, serving

Routes = Callable[[str, Query], Answer]
Serve = Callable[[str, Routes], Loopback]
MODULES = {"alpaca-py": "alpaca"}


def need(source: str) -> None:
    """Skip where the client of a source is not installed, by the extra's name."""
    client = SOURCES[source].client
    if client and importlib.util.find_spec(MODULES.get(client, client)) is None:
        pytest.skip(f"needs the extra {SOURCES[source].extra}")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test alone, no patience, and no keys."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(asking, "WAITS", (0.0, 0.0, 0.0))
    for name in asking.SECRETS:
        monkeypatch.delenv(name, raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    return tmp_path / "cache" / "scenario-gen" / "bars"


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Serve]:
    """Return what starts a vendor on loopback and points the real client of a source at it."""
    with ExitStack() as servers:

        def start(source: str, routes: Routes) -> Loopback:
            need(source)
            server = servers.enter_context(serving(routes))
            POINTERS[source](server.address, monkeypatch, tmp_path)
            return server

        yield start


def _yahoo(address: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    with quietly():
        import yfinance
        from yfinance import base
        from yfinance.data import YfData
        from yfinance.scrapers import history, quote

    yfinance.set_tz_cache_location(str(folder / "yfinance"))
    for module in (base, history, quote):
        monkeypatch.setattr(module, "_BASE_URL_", address)
    monkeypatch.setattr(quote, "_QUERY1_URL_", address)
    monkeypatch.setattr(quote, "_QUOTE_SUMMARY_URL_", f"{address}/v10/finance/quoteSummary")
    data = YfData()
    monkeypatch.setattr(data, "_get_cookie_and_crumb", lambda timeout=30: ("crumb", "basic"))


def _ccxt(address: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    with quietly():
        import ccxt
    del folder

    class Here(ccxt.binance):  # type: ignore[misc]
        def describe(self) -> Any:
            described = super().describe()
            described["urls"]["api"] = dict.fromkeys(described["urls"]["api"], f"{address}/api/v3")
            described["options"] = {**described["options"], "fetchMarkets": {"types": ["spot"]}}
            described["rateLimit"] = 1
            return described

    monkeypatch.setattr(ccxt, "binance", Here)


def _alpaca(address: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    with quietly():
        from alpaca.common import rest
        from alpaca.data import historical

    del folder
    real = historical.StockHistoricalDataClient
    monkeypatch.setattr(historical, "StockHistoricalDataClient", lambda **keys: real(url_override=address, **keys))
    monkeypatch.setattr(rest, "DEFAULT_RETRY_WAIT_SECONDS", 0)
    monkeypatch.setenv("APCA_API_KEY_ID", "PK-of-the-test")
    monkeypatch.setenv("APCA_API_SECRET_KEY", "secret-of-the-test")


def _akshare(address: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    with quietly():
        import requests
        from akshare.stock_feature import stock_hist_em

    del folder

    def get(url: str, **given: Any) -> requests.Response:
        return requests.get(address + url.split(".com", 1)[1], **given)

    monkeypatch.setattr(stock_hist_em, "requests", SimpleNamespace(get=get))


def _stooq(address: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    del folder
    monkeypatch.setattr(stooq_source, "ADDRESS", f"{address}/q/d/l/")


POINTERS = {"yahoo": _yahoo, "ccxt": _ccxt, "alpaca": _alpaca, "akshare": _akshare, "stooq": _stooq}
