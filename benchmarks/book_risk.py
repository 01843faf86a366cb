"""How often the intervals of a book's risk cover the truth, and how long they take.

    python -m benchmarks.book_risk [--books 1000]

The truth is a closed form: of an elliptical law, asset a contributes w_a (Sigma w)_a / sigma times the figure of the
standard law, here normal or Student's t with 4 degrees of freedom. Prints Markdown for BENCHMARKS.md.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scenario_gen.backtest.book_losses import BookLosses
from scenario_gen.backtest.book_risk import BookTail, book_risk

Floats = NDArray[np.float64]
HELD = np.array([0.5, 0.8, -0.3])
DEVIATIONS = np.array([0.02, 0.01, 0.03])
COVARIANCE = np.array([[1, 0.5, 0.2], [0.5, 1, 0.3], [0.2, 0.3, 1]]) * np.outer(DEVIATIONS, DEVIATIONS)
CASES = ((1000, 0.95), (2000, 0.975), (2000, 0.99), (10_000, 0.975))  # paths and level
T = 4.0  # degrees of freedom
FIGURES = ("ES of a", "ES of c, a hedge", "VaR of a", "share of a", "diversification", "concentration", "saved by a")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--books", type=int, default=1000, help="books of each kind")
    books = parser.parse_args().books
    print(f"| law | paths | level | {' | '.join(FIGURES)} |\n|{'---|' * (3 + len(FIGURES))}")
    for law in ("normal", "t_4"):
        for paths, level in CASES:
            hits = np.mean([covered(law, paths, level, seed) for seed in range(books)], axis=0)
            print(f"| {law} | {paths:,} | {level:.1%} | {' | '.join(f'{hit:.1%}' for hit in hits)} |", flush=True)
    print("\n| assets | paths | bars | reducing, CPU s | estimating, CPU s |\n|---|---|---|---|---|")
    for assets, paths in ((10, 2000), (50, 2000), (10, 10_000)):
        print(f"| {assets} | {paths:,} | 63 | {' | '.join(f'{seconds:.2f}' for seconds in timed(assets, paths, 63))} |")


def covered(law: str, paths: int, level: float, seed: int) -> list[bool]:
    """Return which figures of one book lie within their intervals, in the order of :data:`FIGURES`."""
    rng = np.random.default_rng(seed)
    moves = rng.multivariate_normal(np.zeros(3), COVARIANCE, size=(paths, 1))
    if law == "t_4":
        moves /= np.sqrt(rng.chisquare(T, (paths, 1, 1)) / T)
    profit = 1e5 * HELD * moves
    cash = np.full((paths, 1), 1e5)
    losses = BookLosses.of(profit, np.concatenate((cash, cash + profit.sum(axis=2)), axis=1), ("a", "b", "c"))
    tail = book_risk(losses, levels=(level,)).tail("terminal", level)
    return [bool(low <= truth <= high) for (low, high), truth in zip(intervals(tail), truths(law, level), strict=True)]


def intervals(tail: BookTail) -> list[tuple[float, float]]:
    """Return the interval of each figure."""
    a, _, c = tail.parts
    shown = (a.es, c.es, a.var, a.share, tail.diversification, tail.concentration, a.saved)
    return [(figure.low or 0.0, figure.high or 0.0) for figure in shown]


def truths(law: str, level: float) -> list[float]:
    """Return the true figures: an elliptical law has the VaR and ES of its standard law, times the deviation."""
    if law == "normal":
        var = float(stats.norm.ppf(level))
        es = float(stats.norm.pdf(var)) / (1 - level)
    else:  # McNeil, Frey and Embrechts 2015, Quantitative Risk Management, example 2.15
        var = float(stats.t.ppf(level, T))
        es = float(stats.t.pdf(var, T)) / (1 - level) * (T + var**2) / (T - 1)
    deviation = float(np.sqrt(HELD @ COVARIANCE @ HELD))
    parts = HELD * (COVARIANCE @ HELD) / deviation
    rest = HELD * [0, 1, 1]
    saved = deviation - float(np.sqrt(rest @ COVARIANCE @ rest))
    alone = float((np.abs(HELD) * DEVIATIONS).sum())
    shares = parts / deviation
    return [
        parts[0] * es,
        parts[2] * es,
        parts[0] * var,
        shares[0],
        deviation / alone,
        float(shares @ shares),
        saved * es,
    ]


def timed(assets: int, paths: int, bars: int) -> tuple[float, float]:
    """Return the CPU seconds that reducing and estimating take."""
    rng = np.random.default_rng(1)
    returns = 0.01 * (rng.standard_normal((paths, bars, assets)) + rng.standard_normal((paths, bars, 1)))
    profit = 1e5 * returns / assets
    cash = np.full((paths, 1), 1e5)
    equity = np.concatenate((cash, cash + np.cumsum(profit.sum(axis=2), axis=1)), axis=1)
    names = tuple(f"a{place}" for place in range(assets))
    start = time.process_time()
    losses = BookLosses.of(profit, equity, names, returns=returns, holding=np.full_like(profit, 1 / assets))
    between = time.process_time()
    book_risk(losses)
    return between - start, time.process_time() - between


if __name__ == "__main__":
    main()
