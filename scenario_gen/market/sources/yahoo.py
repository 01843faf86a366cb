"""Yahoo Finance, through yfinance: bars as traded (split-adjusted), with Yahoo's adjusted close beside them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from scenario_gen.market.sources.asking import ask, empty, quietly
from scenario_gen.market.sources.base import Fetched, Pages, Request, Vendor
from scenario_gen.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

INTERVALS = {"1m": "1m", "2m": "2m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "60m"}
INTERVALS |= {"1d": "1d", "1w": "1wk", "1mo": "1mo"}
FIRST = date(1900, 1, 1)


def fetch(request: Request, pages: Pages, progress: Progress) -> Fetched:
    """Fetch bars; stamps are in the exchange's zone."""
    del pages, progress  # one answer holds everything
    client = YAHOO.client_version()
    frame = ask(lambda: _history(request), YAHOO, request)
    if not len(frame):
        raise empty(YAHOO, request)
    kept = ["Open", "High", "Low", "Close", "Adj Close", "Volume"]
    return Fetched(frame[[name for name in kept if name in frame]].rename_axis("timestamps").reset_index(), client)


def _history(request: Request) -> pd.DataFrame:
    with quietly():  # its import has warnings shown that ``ask`` keeps quiet
        import yfinance
        from yfinance.data import YfData

    asked: dict[str, Any] = {"interval": INTERVALS[request.timeframe], "auto_adjust": False, "actions": False}
    if request.start is None and request.as_of is None:
        asked["period"] = "max"
    else:
        asked["start"] = request.first(FIRST)
    if request.as_of is not None:
        asked["end"] = request.last_moment().date() + timedelta(days=1)  # not included
    YfData.cache_get.cache_clear()  # yfinance keeps answers, a page of errors too
    with _raising(yfinance):
        bars: pd.DataFrame = yfinance.Ticker(request.symbol).history(**asked)
    return bars


@contextmanager
def _raising(yfinance: Any) -> Iterator[None]:
    """Let yfinance raise what it would else write to a log, and keep its log quiet."""
    logger, debug = logging.getLogger("yfinance"), yfinance.config.debug
    before, hidden = logger.level, debug.hide_exceptions
    logger.setLevel(logging.CRITICAL + 1)
    debug.hide_exceptions = False
    try:
        yield
    finally:
        logger.setLevel(before)
        debug.hide_exceptions = hidden


YAHOO = Vendor(
    "yahoo",
    "Yahoo Finance",
    fetch,
    client="yfinance",
    extra="yahoo",
    timeframes=tuple(INTERVALS),
    adjusts="column",
    example="source: yahoo, symbol: SPY, start: 2000-01-01",
)
