"""A perfect generator of a market whose law is known: how often is it flagged?

benchmarks/size.py has the same with many replications; its figures are in BENCHMARKS.md. Here are few, at fixed
seeds, so nothing can fail by chance alone once it passes: the bounds are those that a sound check keeps at 99 of 100
seeds.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.planted import simulate
from scenario_gen.realism.check import check_facts
from scenario_gen.realism.results import FactsReport

REPLICATIONS = 4


def replications(conditional: bool) -> list[FactsReport]:
    reports = []
    for seed in range(REPLICATIONS):
        rng = np.random.default_rng([11, seed])
        market = simulate(1, 5000, rng)
        history = market.candles()
        paths = simulate(300, 60, rng, market.states[0, -1] if conditional else None).bars
        context = history.context(60) if conditional else None
        reports.append(check_facts(paths, history, context=context, seed=seed))
    return reports


@pytest.mark.parametrize("conditional", [False, True])
def test_a_perfect_generator_is_flagged_at_the_nominal_rate(conditional: bool) -> None:
    reports = replications(conditional)
    compared = [f.comparison for r in reports for f in r.facts if f.label is not None and f.comparison is not None]
    # Some 40 facts x 4 replications; facts of one run hang together, so the error of the mean is about 3 points
    # around the 4 to 6 % (unconditional) and 6 to 8 % (one context) of the long study.
    assert np.mean([c.location.p < 0.05 for c in compared]) <= (0.13 if conditional else 0.11)
    assert np.mean([c.dispersion.p < 0.05 for c in compared if c.dispersion is not None]) <= 0.15
    # Any FAIL: 0 to 5 % of runs in the study; two or more of four have a chance of 1.4 % even at 5 %.
    assert sum(any(f.label == "FAIL" for f in r.facts) for r in reports) <= 1
    assert sum(any(s.label == "FAIL" for s in r.scores) for r in reports) == 0
    passed = np.mean([f.label == "PASS" for r in reports for f in r.facts if f.label is not None])
    assert passed > 0.85  # a check that never commits itself would be of no use
