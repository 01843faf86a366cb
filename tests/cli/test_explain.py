"""Every verdict can be asked about: what it means, how often it is wrong as measured, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.every_verdict import KEPT, kept
from scenario_gen.backtest.limits import KNOWN_LIMITS
from scenario_gen.candles.rules import RULES
from scenario_gen.cli.explain import explanations, named, words
from scenario_gen.finding import CHECKS, FACTS, FACTS_BY_ORIGIN, GROUPS, LIMITS
from scenario_gen.realism.facts import FACT
from scenario_gen.realism.scores import SCORES

ROOT = Path(__file__).parent.parent.parent


def test_every_check_group_fact_score_limit_and_rule_is_explained() -> None:
    known = {(each.kind, each.name) for each in explanations()}
    assert {name for kind, name in known if kind == "check"} == {check.key for check in CHECKS}
    assert {name for kind, name in known if kind == "group of facts"} == {group.key for group in GROUPS}
    assert {name for kind, name in known if kind == "fact"} == set(FACT)
    assert {name for kind, name in known if kind == "score"} == {score.id for score in SCORES}
    assert {name for kind, name in known if kind == "limit"} == {limit.key for limit in KNOWN_LIMITS}
    assert {name for kind, name in known if kind == "candle rule"} == {rule.id for rule in RULES}


def test_the_words_are_of_the_checks_there_are_and_say_what_to_do() -> None:
    assert set(words()) == {check.key for check in CHECKS}
    for each in explanations():
        assert each.means.strip() and each.how.strip(), each.name
        assert set(each.then) & {"FAIL", "WARN"}, each.name


def test_the_measured_rates_are_those_of_benchmarks() -> None:
    # after a new measurement: python -m benchmarks.every_verdict --keep
    printed = kept((ROOT / "BENCHMARKS.md").read_text(encoding="utf-8"))
    assert json.loads((ROOT / KEPT).read_text(encoding="utf-8")) == printed
    assert printed["verdicts"]["calibration"]["right"] == {
        "stationary": "0/6 (0-46 %); 0/6 (0-46 %)",
        "drifting": "0/6 (0-46 %); 0/6 (0-46 %)",
    }
    assert printed["groups"]["asymmetry"] == "0 % FAIL, 3 % FAIL or WARN"
    assert printed["facts"]["acf_r_1"] == "13 %"


def test_every_check_has_a_measured_false_alarm_rate() -> None:
    assert [each.name for each in explanations() if each.kind == "check" and not each.false_alarms] == []


@pytest.mark.parametrize(
    ("name", "kinds", "words_of_it"),
    [
        ("tails", ["group of facts"], "Lkurt, exkurt, hill_std2"),
        ("V9", ["candle rule"], "no further from the last close"),
        ("max_drawdown", ["limit"], "1/65 (0-8 %)"),
        ("look_ahead", ["check"], "4 where it fails, of run and backtest"),
        ("spread", ["fact", "score"], "mean distance between two paths"),
    ],
)
def test_a_name_of_any_kind_is_explained(
    invoke: Callable[..., Any], name: str, kinds: list[str], words_of_it: str
) -> None:
    assert [each.kind for each in named(name)] == kinds
    result = invoke("explain", name)
    assert (result.exit_code, result.stderr) == (0, "")
    assert words_of_it in " ".join(result.stdout.split())
    assert "nothing wrong:" in result.stdout


@pytest.mark.parametrize(
    ("whole", "name"),
    [
        (FACTS.name("tails"), "tails"),
        (FACTS_BY_ORIGIN.name("tails"), "facts by origin"),
        (LIMITS.name("max_drawdown"), "max_drawdown"),
        ("training overlap: calibration", "training overlap"),
        ("Look_Ahead", "look_ahead"),
    ],
)
def test_a_name_is_taken_as_a_report_prints_it(whole: str, name: str) -> None:
    assert [each.name for each in named(whole)] == [name]


def test_a_misspelt_name_gives_the_nearest(invoke: Callable[..., Any]) -> None:
    result = invoke("explain", "calibraton")
    assert result.exit_code == 2
    assert "did you mean 'calibration'?" in result.stderr


def test_without_a_name_all_are_listed_and_json_holds_the_same(invoke: Callable[..., Any]) -> None:
    listed = json.loads(invoke("explain", "--json").stdout)["explanations"]
    assert [each["name"] for each in listed] == [each.name for each in explanations()]
    shown = invoke("explain").stdout
    assert [each["name"] for each in listed if f"  {each['name']} " not in shown] == []
