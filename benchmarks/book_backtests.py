"""A book of equal weights against the bare vectorbt call: ten assets, 2,000 futures of 63 bars.

    python -m benchmarks.book_backtests

Ours is frames, weights and their checks, fills at the next open in vectorbt or in the own ledger (lots of one unit),
accounts, profit by asset, round trips and all metrics. Bare is ``Portfolio.from_orders`` in groups with shared cash
on the same bars in the same process, with no figure asked of it, and with its value and its trades.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt

from scenario_gen.backtest import Bars, LoadedStrategy
from scenario_gen.backtest.book import BookGround, trade_book
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.ground import Ground
from scenario_gen.market.book import BookPaths
from scenario_gen.market.candles import PRICE_FIELDS, Candles
from scenario_gen.market.paths import PathSet

ASSETS, PATHS, CONTEXT, BARS, FEES = 10, 2_000, 256, 63, 0.001
TIMES = 3


@dataclass(frozen=True)
class Even:
    """Equal weights at every bar."""

    def weights(self, bars: Bars) -> pd.DataFrame:
        """Return one over the number of assets."""
        return bars.close * 0.0 + 1 / len(bars.assets)


def book(broker: Broker) -> tuple[BookGround, BookPaths]:
    """Return random walks of all assets, each asset's context the same on every path."""
    rng, stamps = np.random.default_rng(0), pd.bdate_range("2020-01-01", periods=CONTEXT + BARS)
    grounds, parts = {}, {}
    for place in range(ASSETS):
        closes = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (PATHS, CONTEXT + BARS)), axis=1))
        closes[:, :CONTEXT] = closes[0, :CONTEXT]
        values = np.stack([closes, closes * 1.005, closes * 0.995, closes], axis=2)
        context = Candles(stamps[:CONTEXT], values[0, :CONTEXT], PRICE_FIELDS)
        grounds[f"a{place}"] = Ground.of(context, bars_per_year=252.0, broker=broker)
        future, ids = values[:, CONTEXT:].astype(np.float32), np.arange(PATHS, dtype=np.int64)
        parts[f"a{place}"] = PathSet(future, PRICE_FIELDS, stamps[CONTEXT:], ids, float(closes[0, CONTEXT - 1]))
    return BookGround.of(grounds), BookPaths(parts)


def seconds(work: Callable[[], Any]) -> float:
    """Return the processor time of the fastest of some calls."""
    best = np.inf
    for _ in range(TIMES):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return float(best)


def main() -> None:
    """Print one row per way to fill a book."""
    strategy = LoadedStrategy("Even", "here.py:Even", {}, Even(), Path(__file__))
    plain, lots = book(Broker(fees=FEES)), book(Broker(fees=FEES, lot=1.0))
    close = plain[1].on_grid("close").swapaxes(0, 1).reshape(BARS, -1)

    def bare() -> Any:
        return vbt.Portfolio.from_orders(
            close,
            size=np.full(close.shape, 1 / ASSETS),
            size_type="targetpercent",
            price=close,
            fees=FEES,
            group_by=np.repeat(np.arange(PATHS), ASSETS),
            cash_sharing=True,
            call_seq="auto",
            engine="rust",
        )

    def with_figures() -> None:
        made = bare()
        made.value()
        _ = made.trades.records

    trade_book(strategy, plain[0], plain[1].first(4))  # imports
    least, figures = seconds(bare), seconds(with_figures)
    print(f"bare {least:.2f} s, with value and trades {figures:.2f} s (processor time, best of {TIMES})")
    for name, (ground, paths) in (("vectorbt", plain), ("own ledger, lots", lots)):
        ours = seconds(lambda ground=ground, paths=paths: trade_book(strategy, ground, paths))  # type: ignore[misc]
        print(f"| {name} | {ours:.2f} | {ours / least:.2f} | {ours / figures:.2f} |")


if __name__ == "__main__":
    main()
