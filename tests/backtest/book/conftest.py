"""Books to trade: assets with paths of one number, each with a market of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest import Bars
from scenario_gen.backtest.book import BookGround
from scenario_gen.backtest.broker import Broker
from scenario_gen.market.book import BookPaths


@dataclass(frozen=True)
class BookMarket:
    ground: BookGround
    paths: BookPaths

    def future(self, field: str) -> np.ndarray:
        """float64 [path, bar, asset]"""
        return self.paths.on_grid(field)


@pytest.fixture(scope="session")
def make_book(make_market) -> Callable[..., BookMarket]:
    """Build a book of random candles, or of given ones: values of each asset [path, bar, ohlc]."""

    def make(
        brokers: Mapping[str, Broker], *, paths: int = 6, bars: int = 20, seed: int = 0, values: Any = None, **more: Any
    ) -> BookMarket:
        given = values or {}
        markets = {
            name: make_market(paths=paths, bars=bars, seed=100 * seed + place, values=given.get(name), **more)
            for place, name in enumerate(brokers)
        }
        return BookMarket(
            BookGround.of({name: markets[name].ground(broker) for name, broker in brokers.items()}),
            BookPaths({name: market.paths for name, market in markets.items()}),
        )

    return make


@dataclass(frozen=True)
class GivenWeights:
    """Target weights given as an array [bar of the path, path, asset], each decided a bar before; none before them."""

    array: np.ndarray
    lag: int = 1

    def weights(self, bars: Bars) -> pd.DataFrame:
        rows, places = np.zeros(bars.close.shape), bars.close.columns.get_level_values(0).to_numpy()
        names = np.tile(np.arange(len(bars.assets)), len(places) // len(bars.assets))
        at = bars.context_bars - self.lag
        rows[at : at + len(self.array)] = self.array[:, places, names]
        return pd.DataFrame(rows, index=bars.close.index, columns=bars.close.columns)


@pytest.fixture(scope="session")
def given_weights() -> type[GivenWeights]:
    return GivenWeights


@pytest.fixture(scope="session")
def without_bars() -> Callable[..., BookMarket]:
    """Close one asset's market at some bars of the path."""

    def close(book: BookMarket, name: str, bars: list[int]) -> BookMarket:
        part = book.paths.parts[name]
        kept = np.delete(np.arange(part.horizon), bars)
        shorter = replace(part, values=part.values[:, kept], timestamps=part.timestamps[kept])
        return BookMarket(book.ground, BookPaths({**book.paths.parts, name: shorter}))

    return close
