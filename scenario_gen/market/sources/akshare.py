"""Chinese A shares, through akshare: bars of Eastmoney, with days without trading and price limits as notes.

Volume counts lots of a hundred shares, amount is in yuan. Adjusted bars are scaled from the first day on (hfq), which
no later dividend changes; scaled back from today (qfq), every dividend would rewrite the past.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from scenario_gen.market.sources.asking import ask, empty
from scenario_gen.market.sources.base import Fetched, Pages, Request, Vendor
from scenario_gen.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

PERIODS = {"1d": "daily", "1w": "weekly", "1mo": "monthly"}
NAMES = {"日期": "timestamps", "开盘": "open", "最高": "high", "最低": "low", "收盘": "close"}
NAMES |= {"成交量": "volume", "成交额": "amount"}
FIRST = date(1990, 12, 1)
TICK, SHOWN = 0.01, 3
# How far a price may go from the last close by the beginning of a symbol, and since when.
LIMITS = (
    ("688", 0.20, "2019-07-22"),
    ("30", 0.20, "2020-08-24"),
    ("8", 0.30, "2021-11-15"),
    ("4", 0.30, "2021-11-15"),
    ("92", 0.30, "2021-11-15"),
    ("", 0.10, "1996-12-16"),
)


def fetch(request: Request, pages: Pages, progress: Progress) -> Fetched:
    """Fetch bars; stamps are dates of Shanghai."""
    del pages, progress  # one answer holds everything
    client = AKSHARE.client_version()
    frame = ask(lambda: _table(request), AKSHARE, request)
    if not len(frame):
        raise empty(AKSHARE, request)
    bars = frame.rename(columns=NAMES)[list(NAMES.values())]
    notes = tuple(filter(None, (_suspended(request, bars), _limits(request, bars))))
    return Fetched(bars, client, notes)


def _table(request: Request) -> pd.DataFrame:
    import akshare
    import pandas as pd

    frame: pd.DataFrame = akshare.stock_zh_a_hist(
        symbol=request.symbol,
        period=PERIODS[request.timeframe],
        start_date=f"{request.first(FIRST):%Y%m%d}",
        end_date=f"{request.last_moment():%Y%m%d}",
        adjust="hfq" if request.adjusted else "",
        timeout=30,
    )
    return frame.assign(日期=pd.to_datetime(frame["日期"])) if len(frame) else frame


def _suspended(request: Request, bars: pd.DataFrame) -> str:
    """Say on which sessions of Shanghai there was no trade in this share."""
    if request.timeframe != "1d":
        return ""
    import pandas as pd

    from scenario_gen.market.exchange import load_sessions
    from scenario_gen.market.frequency import nanoseconds

    days = pd.DatetimeIndex(bars["timestamps"])
    wall = nanoseconds(days)
    sessions = load_sessions("XSHG", int(wall[0]), int(wall[-1]))
    dates = sessions.dates[: sessions.known]
    without = pd.DatetimeIndex(dates[(dates >= wall[0]) & (dates <= wall[-1])]).difference(days)
    if not len(without):
        return ""
    listed = ", ".join(f"{day:%Y-%m-%d}" for day in without[:SHOWN]) + (", ..." if len(without) > SHOWN else "")
    return f"no bar on {len(without)} sessions of Shanghai, on which the share was suspended: {listed}"


def _limits(request: Request, bars: pd.DataFrame) -> str:
    """Say how many closes stand at the limit of the day, where an order would not have been filled."""
    if request.timeframe != "1d" or request.adjusted or len(bars) < 2:
        return ""
    import numpy as np

    limit, since = next((limit, since) for start, limit, since in LIMITS if request.symbol.startswith(start))
    close = bars["close"].to_numpy(dtype=float)
    held = np.zeros(len(close), dtype=bool)
    # Limits are rounded to the tick; half a tick is for floats.
    held[1:] = np.abs(close[1:] - close[:-1]) >= np.round(limit * close[:-1], 2) - TICK / 2
    held &= (bars["timestamps"] >= since).to_numpy()
    days = bars["timestamps"][held]
    if not len(days):
        return ""
    listed = ", ".join(f"{day:%Y-%m-%d}" for day in days[:SHOWN]) + (", ..." if len(days) > SHOWN else "")
    return (
        f"closes {limit:.0%} from the close before, at the limit of this board, or beyond it after a dividend: "
        f"{len(days)} ({listed}); market.price_limit: {limit:g} holds paths to it"
    )


AKSHARE = Vendor(
    "akshare",
    "Eastmoney",
    fetch,
    client="akshare",
    extra="akshare",
    timeframes=tuple(PERIODS),
    adjusts="request",
    symbols=r"\d{6}",
    symbol_words="the six digits",
    calendar="XSHG",
    zone="Asia/Shanghai",
    example='source: akshare, symbol: "600519"',
)
