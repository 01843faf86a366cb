"""Views on many paths: processor time of the weights, beside another implementation of entropy pooling.

    python -m benchmarks.views [--paths N] [--rounds N]

Five views, one of them one-sided, on numbers of random walks; best of some rounds. The other implementation is
``entropy_pooling.ep`` on the same views with its default optimiser (TNC). Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from entropy_pooling import ep

from scenario_gen.stats.pooling import Wanted, pool


def five_views(paths: int) -> list[Wanted]:
    """Return views on return, drawdown, volatility and two shares of paths, some .2 to .5 deviations away."""
    steps = 0.01 * np.random.default_rng(0).standard_t(5, (paths, 60))
    level = np.cumsum(steps, axis=1)
    numbers = (
        np.expm1(level[:, -1]),
        -np.expm1((level - np.maximum(np.maximum.accumulate(level, axis=1), 0.0)).min(axis=1)),
        np.sqrt(252 * np.mean(steps**2, axis=1)),
        (level[:, -1] > 0.1).astype(np.float64),
        (steps.min(axis=1) < -0.05).astype(np.float64),
    )
    away = (-0.5, 0.3, 0.2, 0.0, 0.2)
    targets = [float(x.mean() + d * x.std()) for x, d in zip(numbers, away, strict=True)]
    ends = [(t, t) for t in targets[:4]] + [(targets[4], np.inf)]
    return [Wanted(x, low, high) for x, (low, high) in zip(numbers, ends, strict=True)]


def best(call: Callable[[], np.ndarray], rounds: int) -> tuple[float, np.ndarray]:
    """Return the least processor time in milliseconds, and what was returned."""
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        weights = call()
        spent.append(1e3 * (time.process_time() - began))
    return min(spent), weights


def main() -> None:
    """Time both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paths", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    views, prior = five_views(options.paths), np.full(options.paths, 1 / options.paths)
    equal = np.stack([np.ones(options.paths), *(view.values for view in views[:4])])
    means = np.array([[1.0], *([view.low] for view in views[:4])])
    least, floor = -views[4].values[None], np.array([[-views[4].low]])
    print(f"{options.paths:,} paths, {len(views)} views\n\n| by | ms | largest miss of a mean |\n|---|---|---|")
    for name, call in (
        ("ours", lambda: pool(prior, views)),
        ("entropy_pooling", lambda: ep(prior[:, None], equal, means, least, floor)[:, 0]),
    ):
        spent, weights = best(call, options.rounds)
        miss = max(abs(float(weights @ view.values) - view.low) for view in views)
        print(f"| {name} | {spent:.0f} | {miss:.1e} |")


if __name__ == "__main__":
    main()
