"""What is measured once: a check with a filled memory gives the report of a check without."""

from __future__ import annotations

import numpy as np

from scenario_gen.market import Candles
from scenario_gen.realism.check import check_facts
from scenario_gen.realism.controls import negative_control
from scenario_gen.realism.gauge import windows
from scenario_gen.realism.sample import Once


def test_a_check_after_others_of_the_same_reference_gives_the_same_report(sp500: Candles) -> None:
    history = sp500.rows(0, 3000)
    real = windows(history, 30, 30).bars
    first, second = (negative_control(name, real, 60, np.random.default_rng(1)) for name in ("gbm", "shuffle"))
    once = Once()
    check_facts(first, history, context=history, seed=5, once=once)
    assert check_facts(second, history, context=history, seed=5, once=once) == check_facts(
        second, history, context=history, seed=5
    )


def test_another_reference_or_seed_is_measured_anew(sp500: Candles) -> None:
    once, made = Once(), []
    for history, seed in ((sp500, 1), (sp500, 1), (sp500, 2), (sp500.rows(0, 900), 2), (sp500, 1)):
        once.of([history], seed).measured("key", lambda: made.append(1))
    assert len(made) == 4
