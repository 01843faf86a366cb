"""Sources of bars, one entry each: vendors that are asked over the network, and what is built in.

To add one: a file with its ``Vendor``, a place in ``VENDORS``, a test. Fields that it alone knows are fields of
:class:`scenario_gen.market.section.Data`. Clients are imported when bars are fetched, and only then.
"""

from __future__ import annotations

from scenario_gen.market.sources.akshare import AKSHARE
from scenario_gen.market.sources.alpaca import ALPACA
from scenario_gen.market.sources.base import Vendor
from scenario_gen.market.sources.ccxt import CCXT
from scenario_gen.market.sources.qlib import QLIB
from scenario_gen.market.sources.stooq import STOOQ
from scenario_gen.market.sources.yahoo import YAHOO

BUILT_IN = (
    Vendor("sp500", "S&P 500 daily 1999-2018", needs=(), takes=(), adjusts="column", example="source: sp500"),
    Vendor(
        "nasdaq", "NASDAQ Composite daily 1999-2018", needs=(), takes=(), adjusts="column", example="source: nasdaq"
    ),
)
VENDORS: tuple[Vendor, ...] = (*BUILT_IN, YAHOO, CCXT, STOOQ, ALPACA, AKSHARE, QLIB)
SOURCES: dict[str, Vendor] = {entry.name: entry for entry in VENDORS}
