"""Sections 4 to 9 on the strategies themselves: what the run says stands there, and nothing where it is silent."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import scenario_gen as sg
from scenario_gen.finding import Finding
from scenario_gen.report import words
from scenario_gen.report.page import build_page
from scenario_gen.report.table import place
from scenario_gen.report.tables import strategies
from scenario_gen.store.results import StressRun

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> StressRun:
    """A small real run: a grid of two and holding, on bootstrap paths beside geometric Brownian motion."""
    spec: dict[str, Any] = {
        "name": "judged",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 60, "horizon": 20},
        "paths": {"count": 96, "seed": 3, "block": 96},
        "generator": {"kind": "bootstrap"},
        "scenarios": [{"name": "base"}],
        "baselines": ["gbm"],
        "checks": {"facts": False, "calibration": False},
        "strategies": [
            {"use": f"{ROOT}/strategies/buy_and_hold.py:BuyAndHold"},
            {"use": f"{ROOT}/strategies/sma_cross.py:SmaCross", "params": {"fast": [3, 5], "slow": 20}},
        ],
        "limits": {"max_drawdown": 0.05, "cvar_95": 0.5, "min_sharpe_p25": -3.0},
        "report": {"folder": str(tmp_path_factory.mktemp("judged"))},
    }
    return sg.run(spec)


def test_every_number_on_the_page_is_the_one_in_the_run(judged: StressRun, checks: ModuleType) -> None:
    assert checks.check_numbers(build_page(judged), judged) > 200


def test_each_table_has_a_row_per_strategy_that_was_judged(judged: StressRun) -> None:
    placed = place(judged)
    tables = {
        "rules": strategies.rules_table(judged, placed),
        "trouble": strategies.trouble_table(placed[0]),
        "ruin": strategies.ruin_table(placed[0]),
        "holding": strategies.holding_table(placed[0]),
        "chance": strategies.chance_table(placed[0]),
        "agreement": strategies.agreement_table(judged),
    }
    counts = {name: len(table.rows) for name, table in tables.items() if table is not None}
    assert counts == dict.fromkeys(tables, 3)
    choice, history = strategies.choice_table(placed[0]), strategies.history_table(placed[0])
    assert choice is not None
    assert [row.head for row in choice.rows] == ["BuyAndHold", "SmaCross"]
    assert history is not None
    assert len(history.rows) == 6  # before and after the anchor


def test_limits_are_shown_with_figure_declared_level_and_the_judge_s_label(judged: StressRun) -> None:
    table = strategies.limits_table(judged, place(judged))
    assert table is not None
    rows = [row for row in table.rows if row.cells]
    assert len(rows) == 9  # three strategies, three limits; the baseline is not judged
    shown = {row.cells[3].label for row in rows}
    assert shown == {found.label for found in judged.findings if found.name.startswith("limits")}


def test_generators_that_differ_are_called_so(judged: StressRun) -> None:
    assert judged.agreement is not None
    one = dataclasses.replace(judged.agreement.strategies[0], label="depends on the generator")
    changed = dataclasses.replace(judged.agreement, strategies=(one, *judged.agreement.strategies[1:]))
    page = build_page(dataclasses.replace(judged, agreement=changed))
    assert ">depends on the generator</td>" in re.sub(r"<span[^>]*>|</span>", "", page)


def test_a_strategy_that_looks_ahead_is_the_headline(judged: StressRun, checks: ModuleType) -> None:
    leak = Finding(
        "look_ahead", "FAIL", "BuyAndHold: reads", "", "base", ["reads the next bars: entries, path 3"], "BuyAndHold"
    )
    others = [one for one in judged.findings if (one.name, one.strategy) != ("look_ahead", "BuyAndHold")]
    page = build_page(dataclasses.replace(judged, findings=[*others, leak]))
    text = " ".join(checks.seen(page).split())
    assert "Looks ahead: BuyAndHold. Such a rule decides by bars that it cannot know yet" in text
    assert "reads the next bars: entries, path 3" in text
    assert "Looks ahead: BuyAndHold" not in " ".join(checks.seen(build_page(judged)).split())


def test_a_run_that_judged_nothing_says_so_and_shows_no_table(full: StressRun, checks: ModuleType) -> None:
    placed = place(full)
    for table in (strategies.trouble_table, strategies.chance_table, strategies.holding_table, strategies.choice_table):
        assert table(placed[0]) is None
    assert strategies.agreement_table(full) is None
    assert words.ABSENT["paired"] in " ".join(checks.seen(build_page(full)).split())


def test_the_new_sections_promise_nothing(judged: StressRun, checks: ModuleType) -> None:
    page = build_page(judged)
    sections = page[page.index('<section id="outcomes"') : page.index('<section id="repro"')]
    text = checks.seen(sections)
    for word in words.FORBIDDEN:
        assert re.search(rf"\b{re.escape(word)}\b", text, flags=re.IGNORECASE) is None, word
