"""Scores of one context: what they say of ensembles whose quality is known.

    python benchmarks/one_context.py [known sp500 nasdaq my.csv] [--length 60] [--first 2600] [--step 250] [--only GBM]

Every year of a history from row 2,600 on is a context's end: all bars before it are the reference. "The year to come"
are the real windows of the next 250 bars (four path lengths where that is more): one regime, as the best generator of
that context would show it. "One window" and "five windows" are taken from it; noise multiplies every part of every
candle by exp(share z). "known" is the market of checks.controls.known, with its perfect generator. Prints Markdown:
how many ensembles get FAIL, WARN and INCONCLUSIVE in each group of scores, and FAIL and WARN in each score; "-" where
nothing could be tested. Files are counted together.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.planted import block_bootstrap, collapsed, copy, garch, noisy, simulate
from scenario_gen.finding import Label, worst
from scenario_gen.market import Candles, load_candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.check import check_facts
from scenario_gen.realism.controls import Relative, negative_control
from scenario_gen.realism.gauge import Gauge, windows
from scenario_gen.realism.results import FactsReport
from scenario_gen.realism.scores import SCORE_GROUPS

YEAR, PATHS = 250, 200
KNOWN, INDICES = "known", ("sp500", "nasdaq")
SCORES = [name for group in SCORE_GROUPS.values() for name in group]
Case = tuple[str, BarArrays, Candles]  # name, paths, reference


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("histories", nargs="*", default=(KNOWN, *INDICES), help="known, sp500, nasdaq or files")
    parser.add_argument("--length", type=int, default=60)
    parser.add_argument("--first", type=int, default=2600)
    parser.add_argument("--step", type=int, default=YEAR)
    parser.add_argument("--only", nargs="*", help="these candidates alone")
    options = parser.parse_args()
    found: dict[str, list[FactsReport]] = defaultdict(list)
    for name, paths, before in _cases(options):
        found[name].append(check_facts(paths, before, context=before.context(256), seed=1))
    columns = [*SCORE_GROUPS, *SCORES]
    print("| paths | of | " + " | ".join(columns) + " |\n" + "|" + "---|" * (len(columns) + 2))
    for name, reports in found.items():
        groups = [_counts(reports, names, ("FAIL", "WARN", "INCONCLUSIVE")) for names in SCORE_GROUPS.values()]
        scores = [_counts(reports, (score,), ("FAIL", "WARN")) for score in SCORES]
        print(f"| {name} | {len(reports)} | " + " | ".join(groups + scores) + " |")


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    """Yield every ensemble."""
    for source in options.histories:
        if source == KNOWN:
            yield from _known_market(options.length)
            continue
        history = load_candles(source)
        whose = source if source in INDICES else "files"
        for place in _places(history, options):
            rng = np.random.default_rng([5, place])
            yield from ((f"{whose}: {name}", *pair) for name, *pair in _around(history, place, options, rng))


def _known_market(length: int) -> Iterator[Case]:
    rng = np.random.default_rng(5)
    for _ in range(20):
        market = simulate(1, 5000, rng)
        yield ("known market: perfect", simulate(2 * PATHS, length, rng, market.states[0, -1]).bars, market.candles())


def _places(history: Candles, options: argparse.Namespace) -> range:
    return range(options.first, len(history) - max(YEAR, 4 * options.length), options.step)


def _around(history: Candles, place: int, options: argparse.Namespace, rng: np.random.Generator) -> Iterator[Case]:
    """Yield the ensembles of one context."""
    gauge, before = Gauge.of(history), history.rows(0, place)
    to_come = history.rows(place - 1, place + max(YEAR, 4 * options.length))
    year, past = (
        windows(part, options.length, stride, tick=gauge.tick, clock=gauge.clock).bars
        for part, stride in ((to_come, 1), (before, 5))
    )
    for name, make in _candidates(year, past, rng).items():
        if not options.only or name in options.only:
            yield name, make(), before


def _candidates(year: BarArrays, past: BarArrays, rng: np.random.Generator) -> dict[str, Callable[[], BarArrays]]:
    single, five = year.select(np.full(PATHS, len(year) // 4)), collapsed(year, PATHS, rng)
    template = copy(past, PATHS, rng)
    pool = Relative.of(past.select(np.arange(0, len(past), past.length // 5))).flat()  # every bar once, in order
    return {
        "the year to come": lambda: year,
        "block bootstrap 60": lambda: block_bootstrap(template, pool, 60, rng),
        "block bootstrap 20": lambda: block_bootstrap(template, pool, 20, rng),
        "GARCH-t": lambda: garch(template, pool, rng),
        "GBM": lambda: negative_control("gbm", past, PATHS, rng),
        "iid shuffle of bars": lambda: negative_control("shuffle", past, PATHS, rng),
        "one window": lambda: single,
        "one window, 30 % noise": lambda: noisy(single, 0.3, rng),
        "five windows": lambda: five,
        "five windows, 20 % noise": lambda: noisy(five, 0.2, rng),
        "five windows, 50 % noise": lambda: noisy(five, 0.5, rng),
        "copies of history": lambda: copy(past, PATHS, rng),
    }


def _counts(reports: list[FactsReport], names: tuple[str, ...], bad: tuple[Label, ...]) -> str:
    """Return how many ensembles get each of these labels as the worst of these scores."""
    given = [[s.label for s in report.scores if s.score in names and s.label] for report in reports]
    tested = [worst(labels, "UNTESTABLE") for labels in given if {*labels} - {"UNTESTABLE"}]
    return "\\|".join(str(tested.count(label)) for label in bad) if tested else "-"


if __name__ == "__main__":
    main()
