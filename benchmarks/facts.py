"""Time all stylized facts of many paths, beside the same facts computed path by path.

    OMP_NUM_THREADS=1 python benchmarks/facts.py [--rounds 3]

The second table feeds 100,000 paths in blocks and shows that memory does not grow with them.
"""

from __future__ import annotations

import argparse
import platform
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.facts import FACTS, path_statistics

SHAPES = ((2_000, 60), (10_000, 60), (2_000, 250), (512, 63))
ALONE = 200  # paths that are also measured one by one
BLOCK, BLOCKS = 2_000, 50


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, numpy {np.__version__}, best of {rounds}\n")
    print("| paths x bars | seconds | paths/s | paths/s one by one | ratio |\n|---|---|---|---|---|")
    for paths, length in SHAPES:
        bars = random_bars(paths, length, seed=1)
        together = paths / best(lambda b=bars: path_statistics(b), rounds)
        few = bars.select(slice(0, ALONE))
        alone = len(few) / best(lambda b=few: one_by_one(b), rounds)
        print(
            f"| {paths:,} x {length} | {paths / together:.2f} | {together:,.0f} | {alone:,.0f} "
            f"| {together / alone:.0f} |",
            flush=True,
        )
    print(f"\n{len(FACTS)} facts in the list, those of volume and daily bars measured.\n")
    print(f"| paths in blocks of {BLOCK:,} x 60 | peak memory of the process, MB |\n|---|---|")
    for block in range(1, BLOCKS + 1):
        path_statistics(random_bars(BLOCK, 60, seed=block))
        if block in (1, 5, 25, BLOCKS):
            print(f"| {block * BLOCK:,} | {peak_megabytes():,.0f} |", flush=True)


def random_bars(paths: int, length: int, *, seed: int) -> BarArrays:
    """Make independent candles with gaps, wicks and volume."""
    rng = np.random.default_rng(seed)
    shape = (paths, length)
    body, gap = 0.01 * rng.standard_normal(shape), 0.003 * rng.standard_normal(shape)
    close = 100 * np.exp(np.cumsum(gap + body, axis=1))
    opened = close * np.exp(-body)
    high = np.maximum(opened, close) * np.exp(0.004 * rng.random(shape))
    low = np.minimum(opened, close) * np.exp(-0.004 * rng.random(shape))
    return BarArrays.of_arrays(
        opened, high, low, close, np.exp(rng.standard_normal(shape)), anchor_close=100.0, tick=0.01
    )


def one_by_one(bars: BarArrays) -> None:
    """Measure each path alone."""
    for row in range(len(bars)):
        path_statistics(bars.select(slice(row, row + 1)))


def best(work: Callable[[], object], rounds: int) -> float:
    """Return the shortest wall time of several runs, in seconds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def peak_megabytes() -> float:
    """Return the largest resident size so far (Linux counts in KB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
