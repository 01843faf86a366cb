"""Scores of one context: a perfect generator is not failed for showing one regime, a collapsed or broken one is."""

from __future__ import annotations

import numpy as np
import pytest

from scenario_gen.checks.account import Label
from scenario_gen.checks.controls import negative_control
from scenario_gen.checks.controls.candidates import copy
from scenario_gen.checks.controls.known import simulate
from scenario_gen.checks.controls.relative import Relative
from scenario_gen.checks.facts import Bars, windows
from scenario_gen.checks.inference import FactsReport, check_facts
from scenario_gen.checks.scores.points import Points
from scenario_gen.checks.scores.stretches import Stretches, spread_label
from scenario_gen.market import Candles

LENGTH, END = 60, 2850
IN_SPACE = ("c2st", "energy", "coverage", "spread")


def checked(paths: Bars, history: Candles) -> FactsReport:
    return check_facts(paths, history, context=history.context(256), seed=1)


def labels(report: FactsReport) -> dict[str, Label | None]:
    return {one.score: one.label for one in report.scores}


def noisy(paths: Bars, share: float, rng: np.random.Generator) -> Bars:
    """Multiply every part of every candle by a random factor near 1."""
    relative = Relative.of(paths)
    parts = (
        x if x is None else x * np.exp(share * rng.standard_normal(x.shape)) for x in vars(relative).values()
    )
    return Relative(*parts).onto(paths)


@pytest.fixture(scope="module")
def before(nasdaq: Candles) -> Candles:
    return nasdaq.rows(0, END)


@pytest.fixture(scope="module")
def year(nasdaq: Candles) -> Bars:
    """Real windows of the year that followed: one regime, as the best generator of that context would show it."""
    return windows(nasdaq.rows(END - 1, END + 250), LENGTH, 1).bars


def test_a_perfect_generator_of_a_known_market_passes_every_score() -> None:
    # 0 of 20 such markets have any flag (BENCHMARKS.md), so that 3 of 3 pass at nearly every seed
    for seed in range(3):
        rng = np.random.default_rng(seed)
        market = simulate(1, 5000, rng)
        report = checked(simulate(300, LENGTH, rng, market.states[0, -1]).bars, market.candles())
        assert {labels(report)[name] for name in IN_SPACE} == {"PASS"}


def test_real_windows_of_one_year_are_not_failed_and_the_reason_is_told(year: Bars, before: Candles) -> None:
    found = labels(report := checked(year, before))
    assert "FAIL" not in {found[name] for name in (*IN_SPACE, "distinct")}
    assert found["c2st"] == "INCONCLUSIVE"
    c2st = next(one for one in report.scores if one.score == "c2st")
    assert c2st.value is not None
    assert c2st.value > 0.9  # against windows of all times it would have failed
    assert "windows of all times cannot judge one context by it" in c2st.reason
    assert found["spread"] == "PASS"
    assert labels(check_facts(year, before, seed=1))["c2st"] == "FAIL"  # as an unconditional ensemble it does


def test_one_window_again_and_again_fails_whatever_noise_is_added(year: Bars, before: Candles) -> None:
    rng = np.random.default_rng(2)
    single = year.select(np.full(200, 50))
    found = labels(checked(single, before))
    assert found["distinct"] == found["spread"] == "FAIL"
    assert labels(checked(noisy(single, 0.1, rng), before))["spread"] == "FAIL"
    assert labels(checked(noisy(single, 0.3, rng), before))["energy"] == "FAIL"


def test_copies_of_history_fail_in_one_context_too(before: Candles) -> None:
    past = windows(before, LENGTH, 5).bars
    assert labels(checked(copy(past, 200, np.random.default_rng(3)), before))["copies"] == "FAIL"


def test_brownian_motion_is_flagged_in_one_context_too(before: Candles, sp500: Candles) -> None:
    for history, worst in ((before, "WARN"), (sp500.rows(0, END), "FAIL")):
        paths = negative_control("gbm", windows(history, LENGTH, 5).bars, 200, np.random.default_rng(4))
        found = labels(checked(paths, history))
        assert found["c2st"] == "WARN"
        assert found["energy"] == worst


def test_too_few_stretches_judge_nothing() -> None:
    rng = np.random.default_rng(5)
    few = Stretches.of(Points(rng.standard_normal((60, 4)), np.repeat(np.arange(6), 10)))
    assert len(few) == 6
    assert few.verdict("c2st", 1.0)[0] == spread_label(0.1, few)[0] == "UNTESTABLE"
    assert "6 stretches of real time" in few.verdict("energy", 9.0)[1]


def test_the_limit_is_the_furthest_stretch_on_the_side_that_counts() -> None:
    rng = np.random.default_rng(6)
    points = rng.standard_normal((100, 3)) + np.repeat(rng.standard_normal((10, 3)), 10, axis=0)
    stretches = Stretches.of(Points(points, np.repeat(np.arange(10), 10)))
    for name, low in (("c2st", False), ("energy", False), ("coverage", True)):
        reached = np.sort(getattr(stretches, name))
        furthest, inside, beyond = (
            (reached[0], reached[1], reached[0] - 0.01)
            if low
            else (reached[-1], reached[-2], reached[-1] + 0.01)
        )
        assert stretches.verdict(name, furthest)[0] == stretches.verdict(name, inside)[0] == "INCONCLUSIVE"
        assert stretches.verdict(name, beyond)[0] == "WARN"
    assert stretches.verdict("energy", 1.6 * stretches.energy.max())[0] == "FAIL"
