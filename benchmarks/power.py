"""Power of the realism checks: which generators of known quality are caught, by which group of facts.

    python -m benchmarks.power [--splits 60] [--length 60] [--paths 400] [--per-fact]

Twenty blocks of 250 bars of the S&P 500 and of the NASDAQ (1999-2018, from arch) are split at random into a
reference (2,500 bars) and held-out real bars. Every candidate is made from the reference half alone and judged in
mode B. Prints Markdown: the share of splits with a FAIL in the group | with a FAIL or WARN.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.planted import block_bootstrap, calmer, collapsed, copy, garch
from scenario_gen.market import Candles, load_candles
from scenario_gen.realism.admission import untestable
from scenario_gen.realism.audit import audit_reference
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.controls import Relative, negative_control
from scenario_gen.realism.facts import FACTS
from scenario_gen.realism.gauge import Gauge, windows
from scenario_gen.realism.results import FactVerdict
from scenario_gen.realism.sample import Sample, concatenate, cut_reference, path_clusters
from scenario_gen.realism.verdicts import Bench, judge_facts, judged

BLOCK, BLOCKS = 250, 20
GROUPS = ("tails", "clustering", "linear", "asymmetry", "candle_shape", "gaps", "volume")
Maker = Callable[[np.random.Generator], BarArrays]


@dataclass(frozen=True, eq=False)
class Half:
    """Half of the blocks of one index.

    Attributes:
        blocks: each with the close before its first bar.
        windows: every window that lies within a block.
        block_of: int64 [window].
        pool: all bars in one row.
    """

    blocks: list[Candles]
    windows: BarArrays
    block_of: np.ndarray
    pool: Relative

    @classmethod
    def of(cls, history: Candles, numbers: Sequence[int], length: int, gauge: Gauge) -> Half:
        """Cut the numbered blocks of a history."""
        blocks = [history.rows(k * BLOCK, (k + 1) * BLOCK + 1) for k in sorted(numbers)]
        parts = [windows(block, length, 1, tick=gauge.tick, clock=gauge.clock).bars for block in blocks]
        whole = [windows(block, BLOCK, 1, tick=gauge.tick, clock=gauge.clock).bars for block in blocks]
        return cls(
            blocks,
            concatenate(parts),
            np.concatenate([np.full(len(part), k) for k, part in enumerate(parts)]),
            Relative.of(concatenate(whole)).flat(),
        )


@dataclass(frozen=True, eq=False)
class Split:
    """One random split of one index, ready to judge candidates."""

    index: str
    gauge: Gauge
    reference: Half
    held_out: Half
    bench: Bench
    paths: int

    def candidates(self) -> dict[str, Maker]:
        """Return the candidates by name."""
        half, n = self.reference, self.paths
        template = half.windows

        def bootstrap(block: float) -> Maker:
            return lambda rng: block_bootstrap(copy(template, n, rng), half.pool, block, rng)

        def control(name: str) -> Maker:
            return lambda rng: negative_control(name, template, n, rng)

        return {
            "copy": lambda rng: copy(template, n, rng),
            "stationary bootstrap 60": bootstrap(60),
            "stationary bootstrap 20": bootstrap(20),
            "stationary bootstrap 5": bootstrap(5),
            "GJR-GARCH-t": lambda rng: garch(copy(template, n, rng), half.pool, rng, leverage=True),
            "GARCH-t": lambda rng: garch(copy(template, n, rng), half.pool, rng),
            "iid shuffle of bars": control("shuffle"),
            "GBM": control("gbm"),
            "real, random signs": control("signflip"),
            "real, time reversed": control("reverse"),
            "real x 0.8 volatility": lambda rng: calmer(template, n, rng),
            "real + AR(1) .15": control("ar1"),
            "real, wicks scrambled": control("wicks"),
            "mode collapse (5 windows)": lambda rng: collapsed(template, n, rng),
        }

    def judge(self, bars: BarArrays, clusters: np.ndarray) -> list[FactVerdict]:
        """Return the verdicts on one candidate's paths."""
        return judge_facts(Sample.measure(bars, clusters, self.gauge), self.bench, FACTS_HERE)

    def verdicts(self, rng: np.random.Generator) -> Iterator[tuple[str, list[FactVerdict]]]:
        """Judge held-out real windows and every candidate."""
        rows = rng.permutation(len(self.held_out.windows))[: self.paths]
        real = self.held_out.windows.select(rows)
        yield "REAL held-out", self.judge(real, path_clusters(real, self.held_out.block_of[rows], rng))
        for name, make in self.candidates().items():
            bars = make(rng)
            yield name, self.judge(bars, path_clusters(bars, None, rng))


FACTS_HERE = [fact for fact in FACTS if fact.group in GROUPS]


def random_splits(count: int, length: int, paths: int) -> Iterator[tuple[Split, np.random.Generator]]:
    """Yield ``count`` splits of each index with their random numbers."""
    for index, name in enumerate(("sp500", "nasdaq")):
        history = load_candles(name)
        gauge, audit = Gauge.of(history), audit_reference(history)
        for number in range(count):
            rng = np.random.default_rng([index, number])
            order = rng.permutation(BLOCKS)
            half, other = (
                Half.of(history, list(part), length, gauge) for part in (order[: BLOCKS // 2], order[BLOCKS // 2 :])
            )
            cut = cut_reference(half.blocks, length, gauge)
            assert cut is not None
            real = Sample.measure(cut.bars, cut.clusters, gauge)
            reasons = untestable(FACTS_HERE, length, audit, [set(real.statistics)])
            yield Split(name, gauge, half, other, Bench(real, untestable=reasons), paths), rng


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=60)
    parser.add_argument("--length", type=int, default=60)
    parser.add_argument("--paths", type=int, default=400)
    parser.add_argument("--per-fact", action="store_true")
    options = parser.parse_args()
    found: dict[str, list[tuple[str, list[FactVerdict]]]] = defaultdict(list)
    for split, rng in random_splits(options.splits, options.length, options.paths):
        for name, verdicts in split.verdicts(rng):
            found[name].append((split.index, verdicts))
    print(f"T={options.length}, N={options.paths}, {options.splits} splits of each index\n")
    print(group_table(found))
    if options.per_fact:
        print("\n" + fact_table(found))


def group_table(found: dict[str, list[tuple[str, list[FactVerdict]]]]) -> str:
    """Return one row per candidate, one column per group."""
    lines = ["| candidate | " + " | ".join(GROUPS) + " | any FAIL |", "|" + "---|" * (len(GROUPS) + 2)]
    for name, runs in found.items():
        cells = [_cell([[v for v in verdicts if v.group == group] for _, verdicts in runs]) for group in GROUPS]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {_cell([v for _, v in runs])} |")
    return "\n".join(lines)


def _cell(runs: list[list[FactVerdict]]) -> str:
    """Return "FAIL | FAIL or WARN" in percent of the splits in which anything was tested."""
    labels = [{v.label for v in verdicts} - {None, "UNTESTABLE"} for verdicts in runs]
    tested = [one for one in labels if one]
    if not tested:
        return "-"
    fail, warn = (100 * np.mean([bool(one & bad) for one in tested]) for bad in ({"FAIL"}, {"FAIL", "WARN"}))
    return f"{fail:.0f}\\|{warn:.0f}"


def fact_table(found: dict[str, list[tuple[str, list[FactVerdict]]]]) -> str:
    """Return the share of splits with p < .05 (location or spread, uncorrected) per fact and candidate, in percent."""
    lines = ["| fact | " + " | ".join(found) + " |", "|" + "---|" * (len(found) + 1)]
    for number, fact in enumerate(FACTS_HERE):
        if not judged(fact):
            continue
        cells = []
        for runs in found.values():
            compared = [c for _, verdicts in runs if (c := verdicts[number].comparison) is not None]
            cells.append(f"{100 * np.mean([c.p < 0.05 for c in compared]):.0f}" if compared else "-")
        lines.append(f"| {fact.id} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
