"""False alarms of the realism checks with a perfect generator, where the truth is known.

    python -m benchmarks.size [--replications 100] [--per-fact]

The market is that of benchmarks.planted. Each replication has a history of 5,000 bars and paths of
60 bars that follow the same law: 400 of them unconditionally (mode B) or from the state at the history's end
(mode C), or 199 from the state at each of 60 origins (mode A). Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.planted import simulate
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.by_origin import check_facts_by_origin
from scenario_gen.realism.check import check_facts
from scenario_gen.realism.results import FactsReport

HISTORY, LENGTH, PATHS = 5000, 60, 400
ORIGINS, PATHS_PER_ORIGIN, WARM_UP = 60, 199, 500


def unconditional(rng: np.random.Generator, seed: int) -> FactsReport:
    """Mode B: an ensemble from the stationary law."""
    return check_facts(simulate(PATHS, LENGTH, rng).bars, simulate(1, HISTORY, rng).candles(), seed=seed)


def conditional(rng: np.random.Generator, seed: int) -> FactsReport:
    """Mode C: an ensemble from the state at the history's end."""
    history = simulate(1, HISTORY, rng)
    candles = history.candles()
    paths = simulate(PATHS, LENGTH, rng, history.states[0, -1]).bars
    return check_facts(paths, candles, context=candles.context(256), seed=seed)


def by_origin(rng: np.random.Generator, seed: int, factor: float = 1.0) -> FactsReport:
    """Mode A: ensembles from the states at 60 origins, their moves multiplied by ``factor``."""
    history = simulate(1, WARM_UP + ORIGINS * LENGTH, rng)

    def pairs() -> Iterator[tuple[BarArrays, BarArrays]]:
        for start in range(WARM_UP, WARM_UP + ORIGINS * LENGTH, LENGTH):
            paths = simulate(PATHS_PER_ORIGIN, LENGTH, rng, history.states[0, start])
            yield paths.scaled(factor), history.stretch(start, LENGTH)

    return check_facts_by_origin(pairs(), seed=seed)


def wrong_level(rng: np.random.Generator, seed: int) -> FactsReport:
    """Mode A with a volatility that is a fifth too low: what must be caught."""
    return by_origin(rng, seed, factor=0.8)


DESIGNS: dict[str, Callable[[np.random.Generator, int], FactsReport]] = {
    "B: unconditional": unconditional,
    "C: one context": conditional,
    "A: 60 origins": by_origin,
    "A, volatility x 0.8": wrong_level,
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replications", type=int, default=100)
    parser.add_argument("--per-fact", action="store_true")
    options = parser.parse_args()
    found = {
        name: [make(np.random.default_rng([7, k]), k) for k in range(options.replications)]
        for name, make in DESIGNS.items()
    }
    print("| design | location p<.05 | spread p<.05 | any fact FAIL | FAIL or WARN | any score FAIL | FAIL or WARN |")
    print("|---|---|---|---|---|---|---|")
    for name, reports in found.items():
        print(f"| {name} | " + " | ".join(f"{100 * rate:.1f} %" for rate in rates(reports)) + " |")
    if options.per_fact:
        print("\n" + per_fact(found))


def rates(reports: list[FactsReport]) -> list[float]:
    """Return raw rejection rates over all judged facts and the shares of reports with any flag."""
    compared = [f.comparison for r in reports for f in r.facts if f.label is not None and f.comparison is not None]
    raw = [np.mean([c.location.p < 0.05 for c in compared])]
    raw.append(np.mean([c.dispersion.p < 0.05 for c in compared if c.dispersion is not None]))
    for members in ([r.facts for r in reports], [r.scores for r in reports]):
        for bad in (("FAIL",), ("FAIL", "WARN")):
            raw.append(np.mean([any(one.label in bad for one in some) for some in members]))
    return [float(rate) for rate in raw]


def per_fact(found: dict[str, list[FactsReport]]) -> str:
    """Return location | spread rejections at 5 % in percent per fact, shown facts in brackets."""
    lines = ["| fact | " + " | ".join(found) + " |", "|" + "---|" * (len(found) + 1)]
    first = next(iter(found.values()))[0]
    for fact in first.facts:
        cells = []
        for reports in found.values():
            same = [f for r in reports for f in r.facts if f.fact == fact.fact and f.comparison is not None]
            where = [100 * np.mean([f.comparison.location.p < 0.05 for f in same if f.comparison])] if same else []
            width = [f.comparison.dispersion.p < 0.05 for f in same if f.comparison and f.comparison.dispersion]
            cell = "\\|".join(f"{x:.0f}" for x in (*where, *([100 * np.mean(width)] if width else [])))
            cells.append(f"({cell})" if same and same[0].label is None else cell or "-")
        lines.append(f"| {fact.fact} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
