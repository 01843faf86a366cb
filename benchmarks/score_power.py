"""Power of the ensemble scores: how often each one flags generators of known quality.

    python -m benchmarks.score_power [--splits 25] [--length 60] [--paths 400]

The splits and candidates are those of benchmarks/power.py, and five windows with noise on every candle. Prints
Markdown: share of splits with FAIL | with FAIL or WARN; for scores that are shown only, the share in which the
candidate is worse than 95 % of real windows.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np

from benchmarks.planted import collapsed, noisy
from benchmarks.power import FACTS_HERE, Split, random_splits
from scenario_gen.market import load_candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.ensemble import judge_scores
from scenario_gen.realism.results import ScoreVerdict
from scenario_gen.realism.sample import Sample, path_clusters
from scenario_gen.realism.space import Points, fact_space
from scenario_gen.realism.verdicts import judged

NOISE = 0.2  # of the last candidate


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=25)
    parser.add_argument("--length", type=int, default=60)
    parser.add_argument("--paths", type=int, default=400)
    options = parser.parse_args()
    found: dict[str, list[list[ScoreVerdict]]] = defaultdict(list)
    for split, rng in random_splits(options.splits, options.length, options.paths):
        rows = rng.permutation(len(split.held_out.windows))[: options.paths]
        held_out = split.held_out.windows.select(rows)
        blocks = split.held_out.block_of[rows]
        found["REAL held-out"].append(scores(split, held_out, path_clusters(held_out, blocks, rng), rng))
        for name, make in split.candidates().items():
            bars = make(rng)
            found[name].append(scores(split, bars, path_clusters(bars, None, rng), rng))
        bars = noisy(collapsed(split.reference.windows, options.paths, rng), NOISE, rng)
        found["5 windows, 20 % noise"].append(scores(split, bars, path_clusters(bars, None, rng), rng))
    names = [score.score for score in next(iter(found.values()))[0]]
    print(f"T={options.length}, N={options.paths}, {options.splits} splits of each index\n")
    print("| candidate | " + " | ".join(names) + " |\n" + "|" + "---|" * (len(names) + 1))
    for candidate, runs in found.items():
        cells = [_cell([run[number] for run in runs]) for number in range(len(names))]
        print(f"| {candidate} | " + " | ".join(cells) + " |")


def scores(split: Split, paths: BarArrays, clusters: np.ndarray, rng: np.random.Generator) -> list[ScoreVerdict]:
    """Return the scores of one candidate's paths."""
    made, real = Sample.measure(paths, clusters, split.gauge), split.bench.real
    names = [fact.id for fact in FACTS_HERE if judged(fact) and fact.id not in split.bench.untestable]
    x, y = fact_space({n: made.values(n) for n in names}, {n: real.values(n) for n in names})
    return judge_scores(
        paths,
        real.bars,
        (Points(x, clusters), Points(y, real.clusters)),
        history=load_candles(split.index),
        known=split.reference.blocks,
        rng=rng,
    )


def _cell(runs: list[ScoreVerdict]) -> str:
    judged_runs = [run for run in runs if run.label not in (None, "UNTESTABLE")]
    value = f"({np.median([run.value for run in runs if run.value is not None] or [np.nan]):.2g})"
    if judged_runs:
        fail, warn = (100 * np.mean([r.label in bad for r in judged_runs]) for bad in (("FAIL",), ("FAIL", "WARN")))
        return f"{fail:.0f}\\|{warn:.0f} {value}"
    beyond = [run.beyond for run in runs if run.beyond is not None]
    return f"{100 * np.mean([b >= 0.95 for b in beyond]):.0f} {value}" if beyond else "-"


if __name__ == "__main__":
    main()
