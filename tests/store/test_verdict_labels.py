from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from scipy import stats

from scenario_gen.backtest.limits import judge_figure, judge_strategy
from scenario_gen.finding import Finding, Label, cap, worst
from scenario_gen.pipeline.summary import limit_findings
from scenario_gen.stats.estimate import Estimate


def share(count: int, n: int) -> Estimate:
    interval = stats.binomtest(count, n).proportion_ci(0.95, method="wilson")
    return Estimate(count / n if count >= 10 else None, interval.low, interval.high, n, count)


def strategy(falls: Estimate, losses: Estimate) -> Any:
    return SimpleNamespace(
        name="Sma", drawdown_beyond=[(0.1, share(400, 512)), (0.25, falls)], probability_of_loss=losses, metrics=[]
    )


def scenario(role: str = "scenario", strategies: tuple[Any, ...] = ()) -> Any:
    return SimpleNamespace(name="base", role=role, strategies=strategies)


@pytest.mark.parametrize(
    ("count", "n", "allowed", "label"),
    [
        (60, 512, 0.05, "FAIL"),  # 11.7 % [9.2, 14.8]
        (10, 512, 0.05, "PASS"),  # 2.0 % [1.1, 3.6]
        (30, 512, 0.05, "INCONCLUSIVE"),  # 5.9 % [4.1, 8.2]
        (3, 512, 0.05, "PASS"),  # too rare for a rate, yet its interval ends at 1.7 %
        (3, 20, 0.05, "FAIL"),  # 15 % [5.2, 36]: few paths, but all of the interval lies above
    ],
)
def test_a_limit_is_judged_on_the_interval(count: int, n: int, allowed: float, label: Label) -> None:
    assert judge_figure(share(count, n), allowed) == label


def test_nothing_counted_is_untestable_and_no_interval_is_inconclusive() -> None:
    assert judge_figure(Estimate(None, reason="no paths"), 0.05) == "UNTESTABLE"
    assert judge_figure(Estimate(0.0), 0.05) == "INCONCLUSIVE"


def test_the_declared_drawdown_is_looked_up_and_five_percent_of_paths_are_allowed() -> None:
    verdicts = judge_strategy(
        strategy(share(60, 512), share(100, 512)), {"max_drawdown": 0.25, "probability_of_loss": 0.3}
    )
    assert [(v.limit, v.allowed, v.measured.count, v.label) for v in verdicts] == [
        ("max_drawdown", 0.05, 60, "FAIL"),
        ("probability_of_loss", 0.3, 100, "PASS"),
    ]


def test_a_drawdown_that_was_not_counted_is_untestable() -> None:
    (verdict,) = judge_strategy(strategy(share(60, 512), share(9, 512)), {"max_drawdown": 0.3})
    assert verdict.label == "UNTESTABLE"
    assert "30.0%" in verdict.measured.reason


def test_baselines_are_not_judged() -> None:
    bad = strategy(share(60, 512), share(100, 512))
    scenarios = [scenario(strategies=(bad,)), scenario(role="baseline", strategies=(bad,))]
    findings = limit_findings(scenarios, {"max_drawdown": 0.25})
    assert [(f.name, f.label, f.offenders) for f in findings] == [("limits: max_drawdown", "FAIL", ["Sma"])]


def test_the_worst_label_wins_and_none_stands_for_no_label() -> None:
    assert worst(["PASS", "WARN", "UNTESTABLE"]) == "WARN"
    assert worst(["WARN", "FAIL"]) == "FAIL"
    assert worst([]) is None


@pytest.mark.parametrize(
    ("calibration", "bad", "expected"),
    [
        ((), 0, "INCONCLUSIVE"),  # never judged
        (("UNTESTABLE",), 0, "INCONCLUSIVE"),
        (("FAIL",), 0, "INCONCLUSIVE"),
        (("PASS",), 0, "PASS"),
        (("PASS",), 49, "PASS"),
        (("PASS",), 50, "WARN"),  # 5 % bad bars
        (("WARN",), 0, "PASS"),
    ],
)
def test_a_favourable_label_is_capped_by_the_generators_faults(
    calibration: tuple[Label, ...], bad: int, expected: Label
) -> None:
    findings = [Finding("calibration: coverage", label, "", "") for label in calibration]
    assert cap("PASS", findings, "base", bad_bars=bad / 1000) == expected


@pytest.mark.parametrize(
    ("offenders", "expected"),
    [(["coverage"], "PASS"), (["coverage", "distinct"], "WARN"), (["coverage", "alike"], "WARN")],
)
def test_a_narrow_ensemble_of_one_context_is_no_fault_and_repeated_paths_are(
    offenders: list[str], expected: Label
) -> None:
    diversity = Finding("facts.diversity", "FAIL", "", "", "base", offenders)
    findings = [Finding("calibration", "PASS", "", "", "base"), diversity]
    assert cap("PASS", findings, "base", bad_bars=0.0) == expected


@pytest.mark.parametrize("label", ["FAIL", "WARN", "INCONCLUSIVE", "UNTESTABLE"])
def test_an_unfavourable_label_stands(label: Label) -> None:
    assert cap(label, [], "base", bad_bars=0.9) == label
