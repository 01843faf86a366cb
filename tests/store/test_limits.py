"""Every limit that a spec may declare is measured where its words say, and judged on the interval."""

from __future__ import annotations

from typing import Any

import pytest

from scenario_gen.backtest.account import AccountResult
from scenario_gen.backtest.book_risk import BookRisk, BookTail, Contribution
from scenario_gen.backtest.limits import (
    KNOWN_LIMITS,
    Limits,
    band,
    judge_figure,
    judge_strategy,
    strategy_findings,
    told,
)
from scenario_gen.backtest.result import Fan, StrategyResult
from scenario_gen.finding import Finding, failed
from scenario_gen.stats.estimate import Estimate, MetricSummary

REFUSED = Estimate(None, n=50, reason="not shown, needs N >= 400")


def summary(metric: str, figures: dict[str, Estimate]) -> MetricSummary:
    return MetricSummary(metric, Estimate(0.0), 0.1, figures)


def tail(level: float, es: float) -> BookTail:
    """The tail of a book of which the first asset has a share of .4 and the second one of .6."""
    none = Estimate(None)
    parts = [
        Contribution(name, none, Estimate(share, share - 0.1, share + 0.1, 1000), none, none, none, none)
        for name, share in (("spx", 0.4), ("ndx", 0.6))
    ]
    whole = Estimate(es, es - 0.02, es + 0.02, 1000)
    return BookTail("terminal", level, none, whole, tuple(parts), none, none, 25, 12, 20, 0.01)


def strategy(**changes: Any) -> StrategyResult:
    """Every figure that a limit reads, each with a value of its own."""
    values: dict[str, Any] = {
        "name": "Rule",
        "use": "rule.py:Rule",
        "params": {},
        "metrics": [
            summary(
                "total_return",
                {
                    "0.05": Estimate(-0.12, -0.14, -0.10, 512),
                    "0.25": Estimate(-0.03, -0.04, -0.02, 512),
                    "0.5": Estimate(0.02, 0.01, 0.03, 512),
                },
            ),
            summary(
                "sharpe",
                {
                    "0.05": Estimate(-2.0, -2.2, -1.8, 512),
                    "0.25": Estimate(-0.6, -0.8, -0.4, 512),
                    "0.5": Estimate(0.4, 0.3, 0.5, 512),
                },
            ),
        ],
        "probability_of_loss": Estimate(0.4, 0.36, 0.44, 512, 205),
        "drawdown_beyond": [(0.1, Estimate(0.2, 0.17, 0.24, 512, 102)), (0.2, Estimate(0.0, 0.0, 0.006, 512, 0))],
        "var": {"0.95": Estimate(0.12, 0.10, 0.14, 512), "0.99": REFUSED},
        "cvar": {"0.95": Estimate(0.15, 0.13, 0.17, 512), "0.99": REFUSED},
        "equity_fan": Fan([], {}, {}, []),
        "realised": None,
        "named_paths": [],
        "account": AccountResult(
            passed=Estimate(0.22, 0.19, 0.26, 512, 113),
            broken={"max_loss": Estimate(0.5, 0.46, 0.54, 512, 256)},
            unfinished=Estimate(0.28, 0.24, 0.32, 512, 143),
            idle=None,
            bars_to_pass=Estimate(30.0, 27.0, 33.0, 113),
            bars_to_loss=Estimate(20.0, 18.0, 22.0, 256),
        ),
        "risk": BookRisk(("spx", "ndx"), 1000, (tail(0.95, 0.1), tail(0.975, 0.2))),
    }
    return StrategyResult(**{**values, **changes})


def test_the_spec_and_the_judges_know_the_same_limits() -> None:
    assert [*(limit.key for limit in KNOWN_LIMITS), "event_probability"] == list(Limits.model_fields)


# limit, levels that are met, undecided and breached, and the figure that is judged
CASES = [
    ("max_drawdown", 0.2, None, 0.1, 0.2),
    ("probability_of_loss", 0.45, 0.40, 0.35, 0.4),
    ("var_95", 0.14, 0.12, 0.09, 0.12),
    ("cvar_95", 0.17, 0.15, 0.12, 0.15),
    ("min_return_p05", -0.14, -0.12, -0.09, -0.12),
    ("min_return_p25", -0.04, -0.03, -0.01, -0.03),
    ("min_return_p50", 0.01, 0.02, 0.04, 0.02),
    ("min_sharpe_p05", -2.2, -2.0, -1.7, -2.0),
    ("min_sharpe_p25", -0.8, -0.6, -0.3, -0.6),
    ("min_sharpe_p50", 0.3, 0.4, 0.6, 0.4),
    ("pass_probability", 0.18, 0.22, 0.30, 0.22),
    ("book_es_975", 0.23, 0.2, 0.15, 0.2),
    ("contribution", 0.71, 0.6, 0.45, 0.6),
]


@pytest.mark.parametrize(("name", "met", "undecided", "broken", "figure"), CASES)
def test_a_limit_is_met_undecided_or_breached_by_its_own_figure(
    name: str, met: float, undecided: float | None, broken: float, figure: float
) -> None:
    labels = {"PASS": met, "INCONCLUSIVE": undecided, "FAIL": broken}
    for label, level in labels.items():
        if level is None:
            continue
        (verdict,) = judge_strategy(strategy(), {name: level})
        assert (verdict.limit, verdict.declared, verdict.label) == (name, level, label)
    assert verdict.measured.value == figure


@pytest.mark.parametrize("name", ["var_99", "cvar_99"])
def test_a_figure_that_too_few_paths_support_leaves_the_limit_untestable_and_says_how_many(name: str) -> None:
    (verdict,) = judge_strategy(strategy(), {name: 0.2})
    assert verdict.label == "UNTESTABLE"
    assert told(verdict).endswith("not measured (not shown, needs N >= 400)")


def test_limits_of_a_book_say_where_its_figure_stands_or_that_there_is_no_book() -> None:
    whole, largest = judge_strategy(strategy(), {"book_es_975": 0.1, "contribution": 0.5})
    assert (whole.path, largest.path) == ("risk/tails/1/es", "risk/tails/1/parts/1/share")
    assert told(largest) == "largest share of one asset in the book's ES 97.5% 60.0% [50.0%, 70.0%]"
    for verdict in judge_strategy(strategy(risk=None), {"book_es_975": 0.1, "contribution": 0.5}):
        assert (verdict.label, verdict.measured.reason) == ("UNTESTABLE", "no book of several assets")
    few = BookTail("terminal", 0.975, REFUSED, REFUSED, (), REFUSED, REFUSED, 0, None, 0, 0.0)
    (refused,) = judge_strategy(strategy(risk=BookRisk(("spx", "ndx"), 50, (few,))), {"contribution": 0.5})
    assert (refused.label, refused.measured.reason) == ("UNTESTABLE", REFUSED.reason)


def test_a_result_without_the_figure_is_untestable() -> None:
    (verdict,) = judge_strategy(strategy(metrics=[]), {"min_sharpe_p25": 0.0})
    assert (verdict.label, verdict.measured.reason) == ("UNTESTABLE", "not measured")


def test_an_interval_that_ends_on_the_limit_keeps_it() -> None:
    assert judge_figure(Estimate(0.1, 0.05, 0.15), 0.15) == "PASS"
    assert judge_figure(Estimate(0.1, 0.05, 0.15), 0.05) == "INCONCLUSIVE"
    assert judge_figure(Estimate(0.1, 0.05, 0.15), 0.05, at_least=True) == "PASS"
    assert judge_figure(Estimate(0.1, 0.05, 0.15), 0.15, at_least=True) == "INCONCLUSIVE"


def test_findings_name_the_limit_the_strategy_the_figure_and_what_is_allowed() -> None:
    drawdown, sharpe = strategy_findings(strategy(), {"max_drawdown": 0.1, "min_sharpe_p25": 0.0}, "base")
    assert (drawdown.name, drawdown.label, drawdown.strategy) == ("limits: max_drawdown", "FAIL", "Rule")
    assert drawdown.measured == "20.0% of 512 paths [17.0%, 24.0%]"
    assert drawdown.band == "a drawdown of 10.0% on at most 5.0% of paths"
    assert sharpe.measured == "25% quantile of the Sharpe ratio -0.60 [-0.80, -0.40]"
    assert sharpe.band == "at least 0.00"
    assert failed([drawdown, sharpe, Finding("look_ahead", "FAIL", "", "")], "limit") == [drawdown, sharpe]


def test_a_count_that_is_no_rate_is_told_as_a_count() -> None:
    few = strategy(probability_of_loss=Estimate(None, 0.003, 0.017, 512, 4, "fewer than 10 paths"))
    (verdict,) = judge_strategy(few, {"probability_of_loss": 0.1})
    assert (verdict.label, told(verdict)) == ("PASS", "4 of 512 paths [0.3%, 1.7%]")
    assert band(verdict) == "at most 10.0% of paths"


def test_every_entry_of_the_list_is_in_the_schema_and_has_its_finding() -> None:
    fields = Limits.model_json_schema()["properties"]
    findings = strategy_findings(strategy(), {limit.key: 0.5 for limit in KNOWN_LIMITS}, "base")
    assert [finding.name for finding in findings] == [f"limits: {limit.key}" for limit in KNOWN_LIMITS]
    described = {key: field["description"] for key, field in fields.items() if key != "event_probability"}
    assert described == {limit.key: limit.description for limit in KNOWN_LIMITS}
