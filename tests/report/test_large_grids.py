"""A page of many strategies tells the worst in full, says so, and stays light."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from scenario_gen.report.page import BUDGET, MOST_TABLED, build_page
from scenario_gen.store.results import StressRun


def with_strategies(run: StressRun, count: int) -> StressRun:
    """Repeat the first scenario's first strategy under other names."""
    (scenario,) = run.scenarios
    first = scenario.strategies[0]
    many = [replace(first, name=f"Rule{n:03}") for n in range(count)]
    return replace(run, scenarios=[replace(scenario, strategies=many)])


@pytest.fixture(scope="module")
def pages(mini: StressRun) -> Callable[[int], str]:
    return lambda count: build_page(with_strategies(mini, count))


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    assert found
    return found.group()


def test_up_to_a_bound_every_strategy_has_its_tables(pages: Callable[[int], str]) -> None:
    outcomes = section(pages(MOST_TABLED), "outcomes")
    assert "Every metric of every strategy" in outcomes
    assert all(f"Rule{n:03}" in outcomes for n in range(MOST_TABLED))


def test_of_more_the_eight_worst_have_theirs_and_the_page_says_so(pages: Callable[[int], str]) -> None:
    page = pages(400)
    assert len(page.encode()) < BUDGET
    outcomes = section(page, "outcomes")
    assert "Of 400 strategies, this section and the next show the 8 with the worst tail" in outcomes
    assert "392 more strategies: run.json" in outcomes
    assert len(set(re.findall(r"Rule\d{3}", outcomes))) == 8
    assert len(set(re.findall(r"Rule\d{3}", section(page, "verdict")))) == 400
