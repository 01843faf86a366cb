"""What findings make of a report's verdicts: the worst label of each group, and whose reason stands for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

import scenario_gen as sg
from scenario_gen.finding import CANDLES, FACTS, FACTS_BY_ORIGIN, VALUE_AT_RISK
from scenario_gen.realism.check import Member, decisive, group_finding
from scenario_gen.store.reports import Verdicts, reasons_of, verdicts_of

TAILS = FACTS.finding("WARN", "kurtosis: too low", part="tails")


def test_a_group_has_the_worst_label_and_the_first_reason_for_it_after_the_assets_that_share_it() -> None:
    findings = [
        replace(CANDLES.finding("PASS", "none"), scenario="A"),
        replace(TAILS, scenario="A"),
        replace(TAILS, label="FAIL", measured="kurtosis: far too low", scenario="B"),
        replace(TAILS, label="FAIL", measured="hill: far too high", scenario="C"),
        FACTS.finding("UNTESTABLE", "too few windows", part="cross_asset"),
    ]
    assert verdicts_of(findings) == {"candles": "PASS", "tails": "FAIL", "cross_asset": "UNTESTABLE"}
    assert reasons_of(findings) == {
        "candles": "A: none",
        "tails": "B, C: kurtosis: far too low",
        "cross_asset": "too few windows",  # of no asset: it stands for itself
    }


def test_of_one_asset_the_reason_stands_alone_and_names_are_fit_for_json() -> None:
    findings = [VALUE_AT_RISK.finding("INCONCLUSIVE", "8 times"), FACTS_BY_ORIGIN.finding("PASS", "", part="scale")]
    assert list(verdicts_of(findings)) == ["value_at_risk", "scale"]
    assert reasons_of(findings)["value_at_risk"] == "8 times"


def test_candles_alone_are_no_comparison_and_a_fail_of_any_group_fails() -> None:
    nothing = Verdicts({"candles": "FAIL", "tails": "UNTESTABLE"})
    assert (nothing.compared, nothing.failed) == (False, ["candles"])
    assert Verdicts({"candles": "PASS", "tails": "INCONCLUSIVE"}).compared


def test_the_decisive_members_are_all_those_with_the_worst_label_and_none_where_nothing_was_judged() -> None:
    members = [
        Member("kurtosis", "WARN", "L-kurtosis", "", "q 0.03", 0.12),
        Member("acf", "PASS", "linear memory", "", "q 0.8", 0.01),
        Member("hill", "WARN", "tail index", "", "q 0.04", 0.2),
    ]
    label, alike = decisive(members)
    assert (label, [member.name for member in alike]) == ("WARN", ["kurtosis", "hill"])
    assert decisive([]) == ("UNTESTABLE", [])
    assert group_finding(FACTS, "tails", members, "nothing").measured == "kurtosis: q 0.03; also hill"
    assert group_finding(FACTS, "tails", [], "nothing").measured == "nothing"


def test_a_term_that_no_check_knows_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="sede"):
        sg.check("paths.csv", "sp500", sede=1)  # type: ignore[call-arg]
