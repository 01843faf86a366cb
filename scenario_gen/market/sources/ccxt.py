"""Crypto exchanges, through ccxt: pages of bars, a candle that is still forming left out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from scenario_gen.errors import DataError
from scenario_gen.market.sources.asking import ask, empty, quietly
from scenario_gen.market.sources.base import Fetched, Pages, Request, Vendor
from scenario_gen.progress import Progress
from scenario_gen.reading.words import nearest

if TYPE_CHECKING:
    import pandas as pd

FIRST = date(2010, 1, 1)  # before any exchange that is still open
MOST_EMPTY = 200  # pages in succession: an instrument that is no longer traded
USUAL_PAGE = 500  # bars, where ccxt does not say an exchange's limit
COLUMNS = ("timestamps", "open", "high", "low", "close", "volume")


def fetch(request: Request, pages: Pages, progress: Progress) -> Fetched:
    """Fetch bars page by page from the start, or from where an interrupted fetch ended; stamps are in UTC."""
    import pandas as pd

    client = CCXT.client_version()
    exchange = _exchange(request)
    timeframe = request.timeframe.replace("mo", "M")
    ask(lambda: _load_markets(exchange), CCXT, request)
    _check(exchange, request, timeframe)
    step = int(exchange.parse_timeframe(timeframe)) * 1000
    limit = _page(exchange, request.symbol)
    left = pages.kept()
    since = _milliseconds(request.first_moment(FIRST))
    if left is not None:
        since = _milliseconds(left["timestamps"].iloc[-1].to_pydatetime()) + step
        progress.note(f"{request}: goes on after {left['timestamps'].iloc[-1].isoformat()}, where it was interrupted")
    end = _milliseconds(request.last_moment())
    frames = [] if left is None else [left]
    total, shown = max(1, -(-(end - since) // (step * limit))), 0  # pages; some exchanges give fewer bars than they may
    with progress.stage(f"fetching {request}", total) as advance:
        for rows, done in _pages(exchange, request, timeframe, since, end, step, limit):
            advance(min(done, total - shown))
            shown = min(total, shown + done)
            if rows:
                frames.append(_frame(rows))
                pages.add(frames[-1])
    if not frames:
        raise empty(CCXT, request)
    return Fetched(pd.concat(frames, ignore_index=True), client)


def _exchange(request: Request) -> Any:
    """Return the client of an exchange, which keeps to its rate limit by itself."""
    with quietly():
        import ccxt

    if request.exchange not in ccxt.exchanges:
        raise DataError(
            f"ccxt knows no exchange {request.exchange!r}{nearest(request.exchange, ccxt.exchanges)}",
            expected=f"one of the {len(ccxt.exchanges)} that it knows, such as binance, kraken, coinbase or okx",
            fix="correct data.exchange",
        )
    exchange = getattr(ccxt, request.exchange)({"enableRateLimit": True})
    exchange.requests_trust_env = exchange.session.trust_env = True  # proxies of the environment
    return exchange


def _load_markets(exchange: Any) -> None:
    """Load the exchange's markets; ccxt takes a page for people for an exchange without any."""
    if not exchange.load_markets(reload=not exchange.markets):
        raise _NoMarketsError("it answers without a market")


class _NoMarketsError(ValueError):
    """What came lists no market."""


def _check(exchange: Any, request: Request, timeframe: str) -> None:
    known = dict(exchange.timeframes or {})
    if not exchange.has["fetchOHLCV"] or (known and timeframe not in known):
        raise DataError(
            f"{request.exchange} has no bars of {request.timeframe}",
            expected=f"one of {', '.join(known).replace('M', 'mo')}" if known else "an exchange that has bars",
            fix="correct data.timeframe",
        )
    if request.symbol not in exchange.markets:
        raise DataError(
            f"{request.exchange} knows no {request.symbol!r}{nearest(request.symbol, exchange.markets)}",
            expected="one of its markets as ccxt writes them, such as BTC/USDT",
            fix="correct data.symbol",
        )


def _page(exchange: Any, symbol: str) -> int:
    """Return how many bars the exchange gives at once."""
    return int(exchange.feature_value(symbol, "fetchOHLCV", "limit") or USUAL_PAGE)


def _pages(
    exchange: Any, request: Request, timeframe: str, since: int, end: int, step: int, limit: int
) -> Iterator[tuple[list[list[float]], int]]:
    """Yield the rows of each page that are new and finished, and how many pages of the whole that was.

    Some exchanges answer from the first bar they have, others with nothing before it: a page without a new bar moves on
    by its own length, and before the first bar by a year where that is longer.
    """
    begun, last, empties = False, since - 1, 0
    while since + step <= end and empties < MOST_EMPTY:
        at = since
        rows = ask(lambda at=at: exchange.fetch_ohlcv(request.symbol, timeframe, at, limit), CCXT, request)  # type: ignore[misc]
        new = [row for row in rows if row[0] > last]
        fresh = [row for row in new if row[0] + step <= end]
        begun, empties = begun or bool(fresh), 0 if fresh else empties + 1
        last = int(max((row[0] for row in fresh), default=last))
        idle = limit * step if begun else max(limit * step, 365 * 86_400_000)
        since = last + step if fresh else since + idle
        yield sorted(fresh), max(1, (since - at) // (step * limit))
        if new and not fresh:
            return  # only what is still forming, or lies after as_of


def _frame(rows: list[list[float]]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame([row[:6] for row in rows], columns=list(COLUMNS))
    frame["timestamps"] = pd.to_datetime(frame["timestamps"], unit="ms", utc=True)
    return frame.astype(dict.fromkeys(COLUMNS[1:], "float64"))


def _milliseconds(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp() * 1000)


CCXT = Vendor(
    "ccxt",
    "the exchange",
    fetch,
    client="ccxt",
    extra="ccxt",
    needs=("exchange", "symbol"),
    calendar="24/7",
    example="source: ccxt, exchange: binance, symbol: BTC/USDT, timeframe: 1h",
)
