"""Alpaca's bars of US stocks, through alpaca-py; keys come from the environment and go nowhere else."""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scenario_gen.errors import DataError
from scenario_gen.market.sources.asking import ask, empty, quietly
from scenario_gen.market.sources.base import Fetched, Pages, Request, Vendor
from scenario_gen.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

FIRST = date(2016, 1, 1)  # where Alpaca's history begins
PAGE = 9000  # bars of the clock: below the 10,000 that Alpaca gives at once
DELAY = timedelta(minutes=16)  # what is later is not in every plan
ZONE = "America/New_York"
KEYS = (("APCA_API_KEY_ID", "ALPACA_API_KEY"), ("APCA_API_SECRET_KEY", "ALPACA_SECRET_KEY"))


def fetch(request: Request, pages: Pages, progress: Progress) -> Fetched:
    """Fetch bars window by window; stamps are in New York's zone."""
    import pandas as pd

    client = ALPACA.client_version()
    asking = _client()
    left = pages.kept()
    at = request.first_moment(FIRST)
    if left is not None:
        at = left["timestamps"].iloc[-1].to_pydatetime() + timedelta(microseconds=1)
        progress.note(f"{request}: goes on after {left['timestamps'].iloc[-1].isoformat()}, where it was interrupted")
    end, window = min(request.last_moment(), datetime.now(UTC) - DELAY), timedelta(minutes=request.minutes() * PAGE)
    frames = [] if left is None else [left]
    with progress.stage(f"fetching {request}", max(1, -int(-(end - at) // window))) as advance:
        while at < end:
            until = min(at + window, end)
            page = ask(lambda at=at, until=until: _window(asking, request, at, until), ALPACA, request)  # type: ignore[misc]
            if len(page):
                frames.append(page)
                if until < end:  # the last window may end with a bar that is still forming
                    pages.add(page)
            at = until + timedelta(microseconds=1)
            advance(1)
    if not frames:
        raise empty(ALPACA, request)
    return Fetched(pd.concat(frames, ignore_index=True), client)


def _client() -> Any:
    """Return the client with the keys of the environment."""
    with quietly():
        from alpaca.data.historical import StockHistoricalDataClient

    pair = [next((os.environ[name] for name in names if os.environ.get(name)), "") for names in KEYS]
    if not all(pair):
        lacking = [names[0] for names, key in zip(KEYS, pair, strict=True) if not key]
        raise DataError(
            f"source alpaca needs keys, and {' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not set",
            expected="the environment variables APCA_API_KEY_ID and APCA_API_SECRET_KEY",
            fix="make a key at alpaca.markets (a free account has one) and export both; a spec never holds them",
        )
    return StockHistoricalDataClient(api_key=pair[0], secret_key=pair[1])


def _window(client: Any, request: Request, start: datetime, end: datetime) -> pd.DataFrame:
    import pandas as pd
    from alpaca.data.enums import Adjustment
    from alpaca.data.requests import StockBarsRequest
    from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

    match = re.fullmatch(r"(\d+)(mo|[mhdw])", request.timeframe)
    if match is None:
        raise ValueError(f"no timeframe: {request.timeframe}")
    units = {"m": "Minute", "h": "Hour", "d": "Day", "w": "Week", "mo": "Month"}
    answer = client.get_stock_bars(
        StockBarsRequest(
            symbol_or_symbols=request.symbol,
            timeframe=TimeFrame(int(match[1]), getattr(TimeFrameUnit, units[match[2]])),
            start=start,
            end=end,
            adjustment=Adjustment.ALL if request.adjusted else Adjustment.RAW,
        )
    )
    bars = answer.data.get(request.symbol, [])
    rows = [(bar.timestamp, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars]
    frame = pd.DataFrame(rows, columns=["timestamps", "open", "high", "low", "close", "volume"])
    frame["timestamps"] = pd.to_datetime(frame["timestamps"], utc=True).dt.tz_convert(ZONE)
    return frame


ALPACA = Vendor(
    "alpaca",
    "Alpaca",
    fetch,
    client="alpaca-py",
    extra="alpaca",
    timeframes=("1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w", "1mo"),
    adjusts="request",
    calendar="XNYS",
    example="source: alpaca, symbol: SPY, timeframe: 1d, start: 2018-01-01",
)
