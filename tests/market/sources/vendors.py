"""Vendors on loopback: what Yahoo, Binance, Alpaca, Eastmoney and Stooq answer, in their own shapes, with made bars."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd

Query = dict[str, str]
Answer = tuple[int, str]  # status and body
HTML = "<html><body>We will be right back</body></html>"


class Loopback:
    """A server on 127.0.0.1 that answers as its routes say and remembers what it was asked."""

    def __init__(self, answer: Callable[[str, Query], Answer]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Query]] = []
        self.headers: list[dict[str, str]] = []
        self.first: list[Answer] = []  # told before the routes are looked at: errors that pass
        loopback = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
                loopback.asked.append((parts.path, query))
                loopback.headers.append(dict(self.headers))
                status, body = loopback.first.pop(0) if loopback.first else loopback.answer(parts.path, query)
                content = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                del args

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def serving(answer: Callable[[str, Query], Answer]) -> Iterator[Loopback]:
    server = Loopback(answer)
    try:
        yield server
    finally:
        server.close()


def prices(index: int) -> tuple[float, float, float, float]:
    """Open, high, low and close of the bar of that number: a wave on a slope, to two digits."""
    open_, close = (round(100 + 0.02 * at + 3 * math.sin(at / 9), 2) for at in (index, index + 1))
    return open_, round(max(open_, close) + 0.4, 2), round(min(open_, close) - 0.3, 2), close


# --- Yahoo: /v8/finance/chart/SYMBOL ---


def yahoo(stamps: pd.DatetimeIndex, zone: str = "America/New_York", known: tuple[str, ...] = ("SPY",)) -> Any:
    """Daily bars as Yahoo's chart API gives them, between period1 and period2."""

    def answer(path: str, query: Query) -> Answer:
        symbol = path.rpartition("/")[2]
        if symbol not in known:
            error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            return 404, json.dumps({"chart": {"result": None, "error": error}})
        seconds = [int(stamp.timestamp()) for stamp in stamps]
        low, high = int(float(query.get("period1", 0))), int(float(query.get("period2", 2**40)))
        rows = [at for at, second in enumerate(seconds) if low <= second < high]
        bars = [prices(at) for at in rows]
        quote: dict[str, list[Any]] = {
            name: [bar[place] for bar in bars] for place, name in enumerate(("open", "high", "low", "close"))
        }
        quote["volume"] = [1_000_000 + at for at in rows]
        meta = {
            "currency": "USD",
            "symbol": symbol,
            "exchangeName": "PCX",
            "instrumentType": "EQUITY",
            "firstTradeDate": seconds[0],
            "regularMarketTime": seconds[-1],
            "gmtoffset": -18000,
            "timezone": "EST",
            "exchangeTimezoneName": zone,
            "regularMarketPrice": 100.0,
            "chartPreviousClose": 100.0,
            "priceHint": 2,
            "dataGranularity": query.get("interval", "1d"),
            "range": query.get("range", ""),
            "validRanges": ["1d", "5d", "1mo", "1y", "max"],
        }
        result: dict[str, Any] = {
            "meta": meta,
            "timestamp": [seconds[at] for at in rows],
            "indicators": {"quote": [quote], "adjclose": [{"adjclose": [bar[3] * 0.9 for bar in bars]}]},
        }
        if not rows:
            result.pop("timestamp")
            result["indicators"] = {"quote": [{}], "adjclose": [{}]}
        return 200, json.dumps({"chart": {"result": [result], "error": None}})

    return answer


# --- Binance: /api/v3/exchangeInfo and /api/v3/klines ---


def binance(stamps: pd.DatetimeIndex, overlap: int = 0, limit: int = 1000) -> Any:
    """Klines from startTime on, at most so many; pages may begin with bars of the page before."""
    market = {
        "symbol": "BTCUSDT",
        "status": "TRADING",
        "baseAsset": "BTC",
        "baseAssetPrecision": 8,
        "quoteAsset": "USDT",
        "quotePrecision": 8,
        "isSpotTradingAllowed": True,
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "orderTypes": ["LIMIT", "MARKET"],
        "filters": [{"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"}],
    }
    opens = [int(stamp.timestamp() * 1000) for stamp in stamps]

    def answer(path: str, query: Query) -> Answer:
        if path.endswith("exchangeInfo"):
            return 200, json.dumps({"timezone": "UTC", "serverTime": opens[-1], "symbols": [market]})
        start, most = int(query.get("startTime", 0)), min(limit, int(query.get("limit", 500)))
        step = opens[1] - opens[0]
        rows = [at for at, opened in enumerate(opens) if opened >= start - overlap * step][:most]
        klines = []
        for at in rows:
            bar = [f"{price:.8f}" for price in prices(at)]
            klines.append([opens[at], *bar, "12.5", opens[at] + step - 1, "1250.0", 40, "6.0", "600.0", "0"])
        return 200, json.dumps(klines)

    return answer


# --- Alpaca: /v2/stocks/bars ---


def alpaca(stamps: pd.DatetimeIndex, page: int = 10_000) -> Any:
    """Bars between start and end, page by page."""
    keys = [f"{stamp.tz_convert('UTC'):%Y-%m-%dT%H:%M:%SZ}" for stamp in stamps]

    def answer(path: str, query: Query) -> Answer:
        assert path == "/v2/stocks/bars"
        low, high = (pd.Timestamp(query[name]).tz_convert("UTC") for name in ("start", "end"))
        rows = [at for at, key in enumerate(keys) if low <= pd.Timestamp(key) <= high]
        at = int(query.get("page_token", 0))
        part = rows[at : at + page]
        bars = [
            {"t": keys[row], **dict(zip("ohlc", prices(row), strict=True)), "v": 1000 + row, "n": 5, "vw": 100.0}
            for row in part
        ]
        token = str(at + page) if at + page < len(rows) else None
        return 200, json.dumps({"bars": {query["symbols"]: bars} if bars else {}, "next_page_token": token})

    return answer


# --- Eastmoney: /api/qt/stock/kline/get ---


def eastmoney(days: pd.DatetimeIndex, closes: list[float]) -> Any:
    """Lines of a share: date, open, close, high, low, volume in lots, amount and what follows from them."""

    def answer(path: str, query: Query) -> Answer:
        assert path == "/api/qt/stock/kline/get"
        lines = []
        for day, close in zip(days, closes, strict=True):
            if query["beg"] <= f"{day:%Y%m%d}" <= query["end"]:
                values = (close, close, close + 0.05, close - 0.05, 1234, 1234 * 100 * close)
                lines.append(f"{day:%Y-%m-%d}," + ",".join(f"{value:.2f}" for value in values) + ",1.0,0.1,0.01,0.2")
        data = {"code": query["secid"].partition(".")[2], "market": 1, "name": "made", "klines": lines}
        return 200, json.dumps({"rc": 0, "rt": 17, "data": data if lines else None})

    return answer


# --- Stooq: /q/d/l/ ---


def stooq(days: pd.DatetimeIndex) -> Any:
    """The CSV that Stooq's page offers."""

    def answer(path: str, query: Query) -> Answer:
        assert path == "/q/d/l/"
        if query["s"] != "spy.us":
            return 200, "No data"
        lines = ["Date,Open,High,Low,Close,Volume"]
        for at, day in enumerate(days):
            if query["d1"] <= f"{day:%Y%m%d}" <= query["d2"]:
                lines.append(f"{day:%Y-%m-%d}," + ",".join(map(str, prices(at))) + f",{1000 + at}")
        return 200, "\r\n".join(lines) + "\r\n"

    return answer
