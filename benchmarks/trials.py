"""Size and power of the verdicts on a grid of parameter sets: deflated Sharpe ratio and stepwise test.

    python benchmarks/trials.py [records]

Prints the table of BENCHMARKS.md: how often each calls a grid skilled at 5 %, over simulated records of ten years; half
as many records where some sets are skilled. All records share 400 resamples with a mean block of two bars.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping

import numpy as np

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.overfitting import deflate_best, stepped_down
from scenario_gen.backtest.overfitting.grids import resampled_bars

YEAR, YEARS, SETS = 252, 10, 50
LEVEL, RESAMPLES, MEAN_BLOCK = 0.05, 400, 2.0
CORRELATIONS = (0.0, 0.9)
SKILLED = {"none": 0, "one, Sharpe ratio 1": 1, "all, Sharpe ratio 1": SETS}
RESAMPLED = resampled_bars(YEAR * YEARS, MEAN_BLOCK, RESAMPLES)  # the same for all records
TESTS = ("deflated by all sets", "by effective trials", "single step", "stepwise", "sets found")


def record(seed: int, correlation: float, skilled: int) -> Floats:
    """Return normal returns of 1 % a bar [bar, set] with this mutual correlation; the first ``skilled`` have a mean."""
    rng = np.random.default_rng([seed, round(100 * correlation), skilled])
    bars = YEAR * YEARS
    own, shared = rng.standard_normal((bars, SETS)), rng.standard_normal((bars, 1))
    mean = np.where(np.arange(SETS) < skilled, 1 / math.sqrt(YEAR), 0.0)
    return np.asarray(0.01 * (math.sqrt(1 - correlation) * own + math.sqrt(correlation) * shared + mean))


def judged(returns: Floats, skilled: int) -> Mapping[str, float]:
    """Return what each test says of one record: 1 where it names a set (of the skilled, where there are some)."""
    grid, tested = deflate_best(returns, YEAR), stepped_down(returns, counts=RESAMPLED)
    truly = np.arange(SETS) < skilled if skilled else np.ones(SETS, dtype=bool)
    best = bool(truly[grid.best or 0])
    return {
        "deflated by all sets": float(best and (grid.deflated or 0.0) >= 1 - LEVEL),
        "by effective trials": float(best and (grid.deflated_by_effective or 0.0) >= 1 - LEVEL),
        "single step": float((tested.single[truly] < LEVEL).any()),
        "stepwise": float((tested.stepped[truly] < LEVEL).any()),
        "sets found": float((tested.stepped[truly] < LEVEL).mean()),
    }


def main(records: int) -> None:
    """Print one row per correlation and number of skilled sets, in percent with the error of a share of a half."""
    print(f"| correlation | skilled sets | {' | '.join(TESTS)} |\n|---|---|{'---|' * len(TESTS)}")
    for title, skilled in SKILLED.items():
        for correlation in CORRELATIONS:
            shares = [
                judged(record(seed, correlation, skilled), skilled) for seed in range(records // (2 if skilled else 1))
            ]
            means = (f"{100 * np.mean([share[test] for share in shares]):.1f}" for test in TESTS)
            print(f"| {correlation:g} | {title} | {' | '.join(means)} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
