"""How often right forecasts are flagged by the tests of value at risk and expected shortfall, and wrong ones found.

    python benchmarks/shortfall.py [records]

Prints the table of BENCHMARKS.md: 1,000 normal outcomes beside ensembles of 199 normal paths whose deviation, or whose
tail, is too small; lower tail of the next bar at 5 %, each test at a level of 5 %.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scenario_gen.forecasts.exceedances import NEXT_BAR, count_exceedances, excess, judged_together, tail_losses

FORECASTS, PATHS, LEVEL = 1000, 199, 0.05
Law = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]
NORMAL: Law = lambda rng, shape: rng.standard_normal(shape)  # noqa: E731
STUDENT: Law = lambda rng, shape: rng.standard_t(3, shape)  # noqa: E731
CASES: dict[str, tuple[Law, float]] = {  # what comes, and how wide the normal paths are
    "right": (NORMAL, 1.0),
    "deviation 10 % too small": (NORMAL, 0.9),
    "Student's t with 3 degrees beside normal paths of the same 5 % quantile": (STUDENT, 2.353 / 1.645),
}
TESTS = ("number or order", "size", "shortfall (Z2)", "together")


def judged(law: Law, width: float, rng: np.random.Generator) -> list[bool]:
    """Return which tests flag one record."""
    ensembles, came = width * rng.standard_normal((FORECASTS, PATHS)), law(rng, (FORECASTS,))
    pits = ((ensembles < came[:, None]).sum(axis=1) + rng.random(FORECASTS)) / (PATHS + 1)
    pairs = list(zip(ensembles, came, strict=True))
    beyond = np.array([excess(paths, outcome, "lower", LEVEL) for paths, outcome in pairs])
    losses = [tail_losses(paths, outcome, "lower", LEVEL) for paths, outcome in pairs]
    (test,) = judged_together([count_exceedances(NEXT_BAR, "lower", LEVEL, pits, beyond, rng, losses)])
    apart = (test.p_count if test.p_joint is None else test.p_joint, test.p_excess, test.p_shortfall)
    return [*(p is not None and p < LEVEL for p in apart), test.label in ("WARN", "FAIL")]


def main(records: int) -> None:
    """Print one row per case, in percent of the records."""
    print(f"| what came | {' | '.join(TESTS)} |\n|---|{'---|' * len(TESTS)}")
    for title, (law, width) in CASES.items():
        flags = [judged(law, width, np.random.default_rng(seed)) for seed in range(records)]
        print(f"| {title} | {' | '.join(f'{100 * share:.1f}' for share in np.mean(flags, axis=0))} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
