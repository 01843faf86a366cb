"""Stooq, by the address from which a browser downloads its CSV files: no client, no keys."""

from __future__ import annotations

from datetime import date
from io import StringIO
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from urllib.request import Request as HttpRequest, urlopen

from scenario_gen.errors import DataError
from scenario_gen.market.sources.asking import ask, empty
from scenario_gen.market.sources.base import Fetched, Pages, Request, Vendor
from scenario_gen.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

ADDRESS = "https://stooq.com/q/d/l/"
INTERVALS = {"1d": "d", "1w": "w", "1mo": "m"}
HEADER = "Date,Open,High,Low,Close"
FIRST = date(1800, 1, 1)
TIMEOUT, MOST_BYTES = 30.0, 2**26


class _NoCsvError(ValueError):
    """What came is not the CSV that Stooq writes."""


def fetch(request: Request, pages: Pages, progress: Progress) -> Fetched:
    """Fetch bars; stamps are dates of the exchange."""
    del pages, progress  # one answer holds everything
    frame = ask(lambda: _table(request), STOOQ, request)
    if not len(frame):
        raise empty(STOOQ, request)
    note = "Stooq scales prices for splits, and of many instruments for dividends, as of the day of the fetch"
    return Fetched(frame.rename(columns={"Date": "timestamps"}), STOOQ.client_version(), (note,))


def _table(request: Request) -> pd.DataFrame:
    import pandas as pd

    asked = {"s": request.symbol.lower(), "i": INTERVALS[request.timeframe]}
    asked |= {"d1": f"{request.first(FIRST):%Y%m%d}", "d2": f"{request.last_moment():%Y%m%d}"}
    address = HttpRequest(f"{ADDRESS}?{urlencode(asked)}", headers={"User-Agent": "Mozilla/5.0 (scenario-gen)"})
    with urlopen(address, timeout=TIMEOUT) as answer:
        text = answer.read(MOST_BYTES).decode("utf-8", "replace").lstrip("\ufeff")
    if text.startswith(HEADER):
        return pd.read_csv(StringIO(text), parse_dates=["Date"])
    said = " ".join(text.split())[:100]
    if "limit" in said.lower():
        raise DataError(
            f"{request}: Stooq answers {said!r}",
            expected="fewer requests: its limit of a day is reached",
            fix="give the same command again tomorrow, or download the CSV in a browser and name it as data.file",
        )
    if said.lower().startswith(("no data", "brak danych")) or not said:
        raise empty(STOOQ, request)
    raise _NoCsvError(f"it answers {said!r}")


STOOQ = Vendor(
    "stooq", "Stooq", fetch, timeframes=tuple(INTERVALS), example="source: stooq, symbol: spy.us, start: 2005-01-01"
)
