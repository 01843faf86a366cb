"""What several assets cost beyond sampling each: ordered draws, coupled uniforms, and cells of real bars.

    OMP_NUM_THREADS=1 nice -n 5 python -m benchmarks.book_speed [--paths 2000]

Seconds of processor time, best of three in turns but for the whole book, which is sampled once.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from scenario_gen.generators.draws import Draws, plan_blocks
from scenario_gen.generators.kronos import KronosPaths
from scenario_gen.joint.copulas import CopulaCoupling, RankBootstrap
from scenario_gen.joint.coupling import Coupled, Coupling
from scenario_gen.kronos.checkpoint import open_checkpoint
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.market import BarCalendar, load_candles

ASSETS, BARS, BLOCK, ROUNDS = 10, 63, 512, 3


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of a piece of work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paths", type=int, default=2000, help="of the whole book; 0 leaves it out")
    paths = parser.parse_args().paths
    torch.set_num_threads(1)
    plain = KronosPaths.of(open_checkpoint("nano"), SamplingRule(1.0), device="cpu")
    generators = {"by number": plain, "by return": plain.in_order("return"), "nested": plain.in_order("nested")}
    history = load_candles("sp500")
    context = history.context(256)
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(BARS)
    matrix = np.full((2, ASSETS, ASSETS), 0.6) + 0.4 * np.eye(ASSETS)
    ranks = np.random.default_rng(0).random((1000, ASSETS, 2))
    couplings: dict[str, Callable[[], Coupling]] = {
        "gaussian": lambda: CopulaCoupling(matrix),
        "t": lambda: CopulaCoupling(matrix, 6.0),
        "empirical": lambda: RankBootstrap.of(ranks),
    }
    work: dict[str, Callable[[], object]] = {
        f"one asset, {BLOCK} x {BARS} bars, tokens {name}": lambda g=generator: g.sample(  # type: ignore[misc]
            context, stamps, Draws.block(0, 0, BLOCK)
        )
        for name, generator in generators.items()
    }
    for name, make in couplings.items():
        work[f"uniforms of {ASSETS} assets, {BLOCK} x {BARS} bars, {name}"] = lambda m=make: [  # type: ignore[misc]
            c.uniforms(asset, Draws.block(0, 0, BLOCK), np.arange(BARS), 2) for c in [m()] for asset in range(ASSETS)
        ]
    bars = history.rows(len(history) - 1512, len(history))
    work[f"cells of {ASSETS} x 1,000 bars after 512"] = lambda: [
        generators["by return"].cell_bounds(bars) for _ in range(ASSETS)
    ]
    best = dict.fromkeys(work, np.inf)
    for _ in range(ROUNDS):
        for name, task in work.items():
            best[name] = min(best[name], seconds(task))
    for name, value in best.items():
        print(f"| {name} | {value:.2f} |")
    if paths:
        coupling = CopulaCoupling(matrix, 6.0)
        grid = np.arange(BARS)
        assets = [Coupled(generators["by return"], coupling, place, stamps, grid) for place in range(ASSETS)]
        start, whole = (
            time.time(),
            seconds(
                lambda: [
                    asset.sample(context, stamps, Draws.block(7, block.start, block.size))
                    for block in plan_blocks(paths, BLOCK)
                    for asset in assets
                ]
            ),
        )
        clock = time.time() - start
        print(f"| {ASSETS} assets x {paths} paths x {BARS} bars, t copula | {whole:.0f} ({clock:.0f} by the clock) |")


if __name__ == "__main__":
    main()
