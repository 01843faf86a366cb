"""Markets given as fills, and traders who know nothing."""

from collections.abc import Callable

import numpy as np
import pytest

from scenario_gen.backtest.nulls import Fills, Holdings, RandomEntries, partners, place, random_starts
from scenario_gen.generators.draws import Draws


def fills_of(log_returns: np.ndarray, fees: float = 0.0) -> Fills:
    """Fills that start at 100, from log returns [path, bar]."""
    paths = len(log_returns)
    price = 100 * np.exp(np.concatenate([np.zeros((paths, 1)), np.cumsum(log_returns, axis=1)], axis=1))
    return Fills(price, None, 0.0, 0.0, fees)


def random_holdings(rng: np.random.Generator, paths: int, bars: int, trades: int = 4) -> Holdings:
    """Up to ``trades`` round trips on each path, long or short, of all kinds of lengths, never overlapping."""
    count = rng.integers(0, trades + 1, paths)
    there = np.arange(trades) < count[:, None]
    lengths = np.where(there, rng.integers(1, bars // trades + 1, (paths, trades)), 0)
    weight = np.where(there, rng.choice([1.0, 1.0, -1.0], (paths, trades)) * rng.uniform(0.2, 1, (paths, trades)), 0)
    held = Holdings(np.zeros_like(lengths), lengths, weight, there, np.zeros((paths, trades)))
    starts = random_starts(held, bars, rng.random((paths, trades)))
    return Holdings(starts, lengths, weight, there, held.costs)


def null_of(holdings: Holdings, fills: Fills, seed: int, draws: int, *, own: bool = False) -> RandomEntries:
    """Random entries, or with ``own`` the flawed ones that keep every path's own round trips."""
    ids = np.arange(len(fills.price))
    owner = np.repeat(ids[:, None], draws, axis=1) if own else partners(ids, seed, draws)
    return RandomEntries(place(holdings, fills, owner, Draws(seed + 1000, ids)), owner)


@pytest.fixture(scope="session")
def make_fills() -> Callable[..., Fills]:
    return fills_of


@pytest.fixture(scope="session")
def make_holdings() -> Callable[..., Holdings]:
    return random_holdings


@pytest.fixture(scope="session")
def make_null() -> Callable[..., RandomEntries]:
    return null_of
