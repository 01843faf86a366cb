"""Mode A on real data: where the S&P 500 and the NASDAQ came out among the paths of classical generators.

    python benchmarks/origins.py [--length 60] [--paths 199]

Origins are ``length`` bars apart, from bar 1000 to the end of 2018; each generator sees all bars before the origin.
Prints Markdown: mean(u) - 1/2 of the rank of what came true (positive: the paths lie too low), ** where q < .01,
* where q < .05, and how many of the facts are flagged.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from scenario_gen.generators.base import Generator
from scenario_gen.generators.bootstrap import StationaryBootstrap
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.filtered import FilteredPaths, GarchPaths
from scenario_gen.generators.gbm import GbmPaths
from scenario_gen.market import Candles, PathSet, load_candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.by_origin import check_facts_by_origin
from scenario_gen.realism.controls import Relative
from scenario_gen.realism.gauge import windows
from scenario_gen.realism.results import FactsReport

FIRST_ORIGIN = 1000
FACTS = ("log_sd", "acf_rng_1_5", "lev_rng_1_5", "lev_har", "Lkurt", "vol_acf_1_5", "logPK_oc")


@dataclass(frozen=True)
class Named:
    """A generator, and by what its moves are multiplied."""

    generator: Generator
    factor: float = 1.0

    def paths(self, context: Candles, stamps: pd.DatetimeIndex, draws: Draws) -> BarArrays:
        """Sample and scale."""
        made: PathSet = self.generator.sample(context, stamps, draws)
        bars = BarArrays.of_paths(made)
        return bars if self.factor == 1 else Relative.of(bars).scaled(self.factor).onto(bars)


GENERATORS = {
    "GBM": Named(GbmPaths()),
    "stationary bootstrap 20": Named(StationaryBootstrap(20)),
    "FHS-EWMA": Named(FilteredPaths()),
    "FHS-EWMA x 0.8": Named(FilteredPaths(), 0.8),
    "GJR": Named(GarchPaths(asymmetric=True)),
}


def pairs(history: Candles, named: Named, length: int, paths: int) -> Iterator[tuple[BarArrays, BarArrays]]:
    """Yield the paths of every origin and what came true."""
    for number, origin in enumerate(range(FIRST_ORIGIN, len(history) - length + 1, length)):
        stamps = history.timestamps[origin : origin + length]
        made = named.paths(history.rows(0, origin), stamps, Draws.block(number, 0, paths))
        yield made, windows(history.rows(origin - 1, origin + length), length, 1).bars


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=60)
    parser.add_argument("--paths", type=int, default=199)
    options = parser.parse_args()
    histories = {name: load_candles(name) for name in ("sp500", "nasdaq")}
    print("| generator | " + " | ".join(FACTS) + " | FAIL or WARN |\n" + "|" + "---|" * (len(FACTS) + 2))
    for name, named in GENERATORS.items():
        reports = [
            check_facts_by_origin(pairs(h, named, options.length, options.paths), reference=h, seed=1)
            for h in histories.values()
        ]
        cells = [" / ".join(_cell(report, fact) for report in reports) for fact in FACTS]
        flagged = " / ".join(f"{len(r.flagged())} of {_tested(r)}" for r in reports)
        print(f"| {name} | " + " | ".join(cells) + f" | {flagged} |", flush=True)
    print(
        f"\n{reports[0].design.clusters} origins of {options.length} bars, {options.paths} paths each; S&P 500 / NASDAQ"
    )


def _tested(report: FactsReport) -> int:
    return sum(fact.label not in (None, "UNTESTABLE") for fact in report.facts)


def _cell(report: FactsReport, name: str) -> str:
    found: Any = next(fact for fact in report.facts if fact.fact == name)
    if found.comparison is None:
        return "-"
    stars = "**" if found.q < 0.01 else "*" if found.q < 0.05 else ""
    return f"{-found.comparison.location.value:+.2f}{stars}"


if __name__ == "__main__":
    main()
