"""Scores of one context: what they say of ensembles whose quality is known.

    python benchmarks/one_context.py

On the S&P 500 and the NASDAQ every year from row 2,600 on is a context's end: all bars before it are the reference.
"The year to come" are the real windows of the next 250 bars: one regime, as the best generator of that context would
show it. The known market is that of scenario_gen.checks.controls.known. Prints Markdown: how many ensembles get which
label.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from scenario_gen.checks.controls import negative_control
from scenario_gen.checks.controls.candidates import copy
from scenario_gen.checks.controls.known import simulate
from scenario_gen.checks.controls.relative import Relative
from scenario_gen.checks.facts import Bars, windows
from scenario_gen.checks.inference import FactsReport, check_facts
from scenario_gen.market import Candles, load_candles

LENGTH, YEAR, FIRST, PATHS = 60, 250, 2600, 200
SCORES = ("c2st", "energy", "coverage", "spread", "distinct", "copies")


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(5)
    found: dict[str, list[FactsReport]] = defaultdict(list)
    for _ in range(20):
        market = simulate(1, 5000, rng)
        paths = simulate(2 * PATHS, LENGTH, rng, market.states[0, -1]).bars
        found["known market: perfect"].append(_checked(paths, market.candles()))
    for index in ("sp500", "nasdaq"):
        history = load_candles(index)
        for row in range(FIRST, len(history) - YEAR, YEAR):
            before = history.rows(0, row)
            year = windows(history.rows(row - 1, row + YEAR), LENGTH, 1).bars
            for name, paths in _candidates(year, windows(before, LENGTH, 5).bars, rng).items():
                found[f"{index}: {name}"].append(_checked(paths, before))
    print("| paths | " + " | ".join(SCORES) + " |\n" + "|" + "---|" * (len(SCORES) + 1))
    for name, reports in found.items():
        print(f"| {name} | " + " | ".join(_cell(reports, score) for score in SCORES) + " |")


def _checked(paths: Bars, before: Candles) -> FactsReport:
    return check_facts(paths, before, context=before.context(256), seed=1)


def _candidates(year: Bars, past: Bars, rng: np.random.Generator) -> dict[str, Bars]:
    single = year.select(np.full(PATHS, len(year) // 4))
    return {
        "the year to come": year,
        "GBM": negative_control("gbm", past, PATHS, rng),
        "iid shuffle of bars": negative_control("shuffle", past, PATHS, rng),
        "one window": single,
        "one window, 30 % noise": _noisy(single, 0.3, rng),
        "copies of history": copy(past, PATHS, rng),
    }


def _noisy(paths: Bars, share: float, rng: np.random.Generator) -> Bars:
    parts = vars(Relative.of(paths)).values()
    return Relative(
        *(x if x is None else x * np.exp(share * rng.standard_normal(x.shape)) for x in parts)
    ).onto(paths)


def _cell(reports: list[FactsReport], name: str) -> str:
    labels = Counter(score.label for report in reports for score in report.scores if score.score == name)
    return ", ".join(f"{label} {count}" for label, count in labels.most_common())


if __name__ == "__main__":
    main()
