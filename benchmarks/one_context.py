"""What is said of paths of one real context whose quality is known: facts and scores (mode C).

    python -m benchmarks.one_context [sp500 nasdaq my.csv] [--length 60] [--contexts 20] [--only GBM]

What is said on made markets, whose truth is known, is in benchmarks/every_verdict.py. Contexts end at equal distances
from row 2,500 on (shorter histories: from half of them on); all bars before are the reference. The package's own
generators continue the last 256 bars. "The year to come" are the real windows of the next 250 bars (four path lengths
where that is more). "One window" and "five windows" are taken from it; noise multiplies every part of every candle by
exp(share z). Prints Markdown: of how many ensembles some fact is FAIL, or FAIL or WARN, the labels of all facts
together, and in which groups a fact is FAIL; then how many ensembles get FAIL, WARN and INCONCLUSIVE in each group of
scores, and FAIL and WARN in each score; "-" where nothing could be tested. Files are counted together.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from benchmarks.planted import block_bootstrap, collapsed, copy, noisy
from scenario_gen.candles.check import CandleRules
from scenario_gen.errors import ScenarioError
from scenario_gen.finding import Label, worst
from scenario_gen.generators.base import FittedGenerator, Generator
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.sections import GENERATORS
from scenario_gen.market import Candles, load_candles
from scenario_gen.realism.audit import Audit
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.check import check_facts
from scenario_gen.realism.controls import Relative, negative_control
from scenario_gen.realism.gauge import Gauge, windows
from scenario_gen.realism.results import FactsReport
from scenario_gen.realism.sample import Once
from scenario_gen.realism.scores import SCORE_GROUPS

YEAR, PATHS, SEEN = 250, 300, 256
FIRST = 2500
INDICES = ("sp500", "nasdaq")
SCORES = [name for group in SCORE_GROUPS.values() for name in group]
Case = tuple[str, BarArrays, Candles]  # name, paths, reference


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("histories", nargs="*", default=INDICES, help="sp500, nasdaq or files")
    parser.add_argument("--length", type=int, default=60)
    parser.add_argument("--contexts", type=int, default=20, help="of each history")
    parser.add_argument("--only", nargs="*", help="these candidates alone")
    options = parser.parse_args()
    found: dict[str, list[FactsReport]] = defaultdict(list)
    once = Once()
    for name, paths, before in _cases(options):
        report = check_facts(paths, before, context=before.context(SEEN), seed=1, once=once)
        found[name].append(replace(report, audit=Audit({}, []), long=[]))  # keeps memory small
    print(facts_table(found) + "\n\n" + scores_table(found))


def facts_table(found: dict[str, list[FactsReport]]) -> str:
    """Return how often some fact is FAIL or WARN, the labels of all facts, and the groups that FAIL."""
    lines = ["| paths | of | FAIL | FAIL or WARN | facts PASS | INCONCLUSIVE | WARN | FAIL | groups with a FAIL |"]
    lines.append("|" + "---|" * 9)
    for name, reports in found.items():
        given = [[fact.label for fact in report.facts if fact.label] for report in reports]
        tested = [labels for labels in given if {*labels} - {"UNTESTABLE"}]
        if not tested:
            continue
        any_bad = [np.mean([bool(bad & {*labels}) for labels in tested]) for bad in ({"FAIL"}, {"FAIL", "WARN"})]
        every = [label for labels in tested for label in labels if label != "UNTESTABLE"]
        shares = [every.count(label) / len(every) for label in ("PASS", "INCONCLUSIVE", "WARN", "FAIL")]
        groups = Counter(group for report in reports for group in {f.group for f in report.facts if f.label == "FAIL"})
        cells = [f"{100 * share:.0f} %" for share in (*any_bad, *shares)]
        told = ", ".join(f"{group} {count}" for group, count in groups.most_common())
        lines.append(f"| {name} | {len(tested)} | " + " | ".join(cells) + f" | {told} |")
    return "\n".join(lines)


def scores_table(found: dict[str, list[FactsReport]]) -> str:
    """Return the labels of scores, by group and one by one."""
    columns = [*SCORE_GROUPS, *SCORES]
    lines = ["| paths | of | " + " | ".join(columns) + " |", "|" + "---|" * (len(columns) + 2)]
    for name, reports in found.items():
        groups = [_counts(reports, names, ("FAIL", "WARN", "INCONCLUSIVE")) for names in SCORE_GROUPS.values()]
        scores = [_counts(reports, (score,), ("FAIL", "WARN")) for score in SCORES]
        lines.append(f"| {name} | {len(reports)} | " + " | ".join(groups + scores) + " |")
    return "\n".join(lines)


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    """Yield every ensemble."""
    opened = {name: section().open() for name, section in GENERATORS.items()}
    for source in options.histories:
        history = load_candles(source)
        whose = source if source in INDICES else "files"
        for number, place in enumerate(_places(history, options)):
            around = _around(history, number, place, options, opened)
            yield from ((f"{whose}: {name}", *pair) for name, *pair in around)


def _asked(name: str, options: argparse.Namespace) -> bool:
    return not options.only or name in options.only


def _places(history: Candles, options: argparse.Namespace) -> list[int]:
    last = len(history) - options.length - 1
    first = FIRST if last > FIRST else last // 2
    return [int(place) for place in np.linspace(first, last, options.contexts)]


def _around(
    history: Candles, number: int, place: int, options: argparse.Namespace, opened: dict[str, Generator]
) -> Iterator[Case]:
    """Yield the ensembles of one context; those made of the year to come where it has come."""
    gauge, before = Gauge.of(history), history.rows(0, place)
    rng, year = np.random.default_rng([5, place]), max(YEAR, 4 * options.length)
    past = windows(before, options.length, 5, tick=gauge.tick, clock=gauge.clock).bars
    candidates = _of_the_past(past, rng)
    if place + year <= len(history):
        to_come = history.rows(place - 1, place + year)
        candidates |= _of_the_year(windows(to_come, options.length, 1, tick=gauge.tick, clock=gauge.clock).bars, rng)
    stamps = history.timestamps[place : place + options.length]
    for name, generator in opened.items():
        candidates[name] = lambda generator=generator: _sampled(generator, before, stamps, number)  # type: ignore[misc]
    for name, make in candidates.items():
        if _asked(name, options):
            try:
                yield name, make(), before
            except ScenarioError as error:
                print(f"{history.name}, row {place}: {name} gives no paths: {error.problem}", file=sys.stderr)


def _sampled(generator: Generator, before: Candles, stamps: pd.DatetimeIndex, seed: int) -> BarArrays:
    """Return paths of one of the package's generators after the candle rules, repaired."""
    fitted = generator.fitted_to(before) if isinstance(generator, FittedGenerator) else generator
    context = before.context(SEEN)
    made = fitted.sample(context, stamps, Draws.block(seed, 0, PATHS))
    kept = CandleRules.of(context, len(stamps), market=None, history=before).check(made, "repair", measured=0).paths
    gauge = Gauge.of(before)
    return BarArrays.of_paths(kept, tick=gauge.tick, clock=gauge.clock)


def _of_the_past(past: BarArrays, rng: np.random.Generator) -> dict[str, Callable[[], BarArrays]]:
    template = copy(past, PATHS, rng)
    pool = Relative.of(past.select(np.arange(0, len(past), past.length // 5))).flat()  # every bar once, in order
    return {
        "block bootstrap 60": lambda: block_bootstrap(template, pool, 60, rng),
        "block bootstrap 20": lambda: block_bootstrap(template, pool, 20, rng),
        "GBM of all history": lambda: negative_control("gbm", past, PATHS, rng),
        "iid shuffle of bars": lambda: negative_control("shuffle", past, PATHS, rng),
        "copies of history": lambda: copy(past, PATHS, rng),
    }


def _of_the_year(year: BarArrays, rng: np.random.Generator) -> dict[str, Callable[[], BarArrays]]:
    single, five = year.select(np.full(PATHS, len(year) // 4)), collapsed(year, PATHS, rng)
    return {
        "the year to come": lambda: year,
        "one window": lambda: single,
        "one window, 30 % noise": lambda: noisy(single, 0.3, rng),
        "five windows": lambda: five,
        "five windows, 20 % noise": lambda: noisy(five, 0.2, rng),
        "five windows, 50 % noise": lambda: noisy(five, 0.5, rng),
    }


def _counts(reports: list[FactsReport], names: tuple[str, ...], bad: tuple[Label, ...]) -> str:
    """Return how many ensembles get each of these labels as the worst of these scores."""
    given = [[s.label for s in report.scores if s.score in names and s.label] for report in reports]
    tested = [worst(labels, "UNTESTABLE") for labels in given if {*labels} - {"UNTESTABLE"}]
    return "\\|".join(str(tested.count(label)) for label in bad) if tested else "-"


if __name__ == "__main__":
    main()
