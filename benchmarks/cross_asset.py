"""Power of the facts of several assets: which panels of known quality are caught.

    python -m benchmarks.cross_asset [--splits 40] [--length 60] [--paths 400] [--perfect 100]

Twenty blocks of 250 bars of the S&P 500 and the NASDAQ together (1999-2018, from arch) are split at random into a
reference (2,500 bars) and held-out real bars. Every candidate is made from the reference half alone and judged in
mode B. Prints Markdown: per fact the share of splits with p < .05 (no correction for their number), in location or
in spread, and the share of splits in which any fact carries FAIL | FAIL or WARN. ``--perfect N`` instead counts the
false alarms of mode A: N runs of 60 origins, what came and 99 paths from one law of correlated bars.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from benchmarks.planted import diluted, gaussian, joint_shuffle
from scenario_gen.market import load_candles
from scenario_gen.market.path_tables import shared_bars
from scenario_gen.realism.assets import check_cross_facts_by_origin, cross_control
from scenario_gen.realism.facts import PAIR_FACTS
from scenario_gen.realism.gauge import Gauge, windows
from scenario_gen.realism.panel import Panel, cross_statistics
from scenario_gen.realism.results import FactVerdict
from scenario_gen.realism.sample import Measured, concatenate, cut_reference, path_clusters
from scenario_gen.realism.verdicts import Bench, judge_facts

BLOCK, BLOCKS = 250, 20
Maker = Callable[[Panel, int, np.random.Generator], Panel]
CANDIDATES: dict[str, Maker] = {
    "assets of different times": lambda w, n, rng: cross_control("independent", w, n, rng),
    "second asset one bar late": lambda w, n, rng: cross_control("misaligned", w, n, rng),
    "second asset diluted to .9": diluted,
    "joint shuffle of bars": joint_shuffle,
    "Gaussian, constant correlation": gaussian,
}


def split(length: int, paths: int, rng: np.random.Generator) -> dict[str, list[FactVerdict]]:
    """Judge held-out real windows and every candidate on one random split."""
    histories = shared_bars([load_candles("sp500"), load_candles("nasdaq")])
    gauges = [Gauge.of(history) for history in histories]
    order = rng.permutation(BLOCKS)
    real, _ = _half(histories, gauges, order[: BLOCKS // 2], length)
    held_out, held_of = _half(histories, gauges, order[BLOCKS // 2 :], length)
    blocks = [_blocks(history, order[: BLOCKS // 2]) for history in histories]
    cuts = [cut_reference(part, length, gauge) for part, gauge in zip(blocks, gauges, strict=True)]
    assert cuts[0] is not None and cuts[1] is not None
    reference = Panel(("sp500", "nasdaq"), (cuts[0].bars, cuts[1].bars))
    bench = Bench(Measured(cuts[0].clusters, cross_statistics(reference, gauges=gauges)))
    rows = rng.permutation(len(held_out))[:paths]
    samples = {"REAL held-out": (held_out.select(rows), held_of[rows])}
    for name, make in CANDIDATES.items():
        samples[name] = (make(real, paths, rng), None)
    return {
        name: judge_facts(
            Measured(path_clusters(panel, ids, rng), cross_statistics(panel, gauges=gauges)), bench, PAIR_FACTS
        )
        for name, (panel, ids) in samples.items()
    }


def _blocks(history, numbers):
    return [history.rows(k * BLOCK, (k + 1) * BLOCK + 1) for k in sorted(numbers)]


def _half(histories, gauges, numbers, length) -> tuple[Panel, np.ndarray]:
    """Return every window that lies within one of the numbered blocks, and its block."""
    bars, of = [], np.empty(0)
    for history, gauge in zip(histories, gauges, strict=True):
        parts = [windows(b, length, 1, tick=gauge.tick, clock=gauge.clock).bars for b in _blocks(history, numbers)]
        bars.append(concatenate(parts))
        of = np.concatenate([np.full(len(part), k) for k, part in enumerate(parts)])
    return Panel(("sp500", "nasdaq"), tuple(bars)), of


def false_alarms(runs: int) -> None:
    """Print how often a perfect generator is flagged in mode A."""
    histories = shared_bars([load_candles("sp500"), load_candles("nasdaq")])
    both = [windows(history, 60, 15).bars for history in histories]
    real = Panel(("sp500", "nasdaq"), (both[0], both[1]))
    reports = []
    for number in range(runs):
        rng = np.random.default_rng([20, number])
        pairs = ((gaussian(real, 99, rng), gaussian(real, 1, rng)) for _ in range(60))
        reports.append(check_cross_facts_by_origin(pairs, histories, seed=number))
    comparisons = [fact.comparison for report in reports for fact in report.facts if fact.comparison]
    location = np.mean([one.location.p < 0.05 for one in comparisons])
    spread = np.mean([one.dispersion.p < 0.05 for one in comparisons if one.dispersion])
    flagged = np.mean([bool(report.flagged()) for report in reports])
    failed = np.mean([report.groups["cross_asset"] == "FAIL" for report in reports])
    print(f"{runs} runs: location p < .05 {location:.1%}, spread p < .05 {spread:.1%}, any flag {flagged:.0%}, ")
    print(f"any FAIL {failed:.0%}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=40)
    parser.add_argument("--length", type=int, default=60)
    parser.add_argument("--paths", type=int, default=400)
    parser.add_argument("--perfect", type=int, default=0)
    options = parser.parse_args()
    if options.perfect:
        false_alarms(options.perfect)
        return
    runs = [
        split(options.length, options.paths, np.random.default_rng([19, number])) for number in range(options.splits)
    ]
    print(f"| candidate | {' | '.join(fact.id for fact in PAIR_FACTS)} | any |")
    print("|---" * (len(PAIR_FACTS) + 2) + "|")
    for name in runs[0]:
        cells = [f"{np.mean([_rejected(run[name][at]) for run in runs]):.0%}" for at in range(len(PAIR_FACTS))]
        fail = np.mean([any(v.label == "FAIL" for v in run[name]) for run in runs])
        flagged = np.mean([any(v.label in ("FAIL", "WARN") for v in run[name]) for run in runs])
        print(f"| {name} | {' | '.join(cells)} | {fail:.0%} \\| {flagged:.0%} |")


def _rejected(verdict: FactVerdict) -> bool:
    found = verdict.comparison
    return found is not None and found.dispersion is not None and min(found.location.p, found.dispersion.p) < 0.05


if __name__ == "__main__":
    main()
