"""Shocks in a spec: where they may stand, what becomes of them, and every mistake with its line and field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scenario_gen.errors import SpecError
from scenario_gen.spec import LoadedSpec, spec_from_dict
from scenario_gen.spec.loader import spec_schema
from scenario_gen.stress.shocks import KINDS, FlashCrashShock, GapShock, HaltShock, shocks_of

Mistakes = Callable[[str], list[str]]
ALL_KINDS = "gap, volatility, drift, liquidity, costs, flash_crash, halt, limit_moves or data_error"
START = """name: demo
data: {source: sp500}
strategies: [{use: strategies/trend.py:SmaCross}]
bars: {horizon: 20}
"""
# What stands in the list of shocks on line 5, the field below it and the message.
MISTAKES = [
    ("{kind: gap, size: -1}", "size: got -1, expected a number above -1 and at most 10"),
    ("{kind: gap, size: -1.5}", "size: got -1.5, expected a number above -1 and at most 10"),
    ("{kind: gap, bar: 3}", "size: missing, expected a number above -1 and at most 10"),
    ("{kind: gap, bar: 20, size: -0.1}", "bar: got 20, but a path has 20 bars, counted from 0: expected 0 to 19"),
    ("{kind: gap, bar: -1, size: -0.1}", "bar: got -1, expected a whole number of at least 0"),
    ("{kind: gapp, size: 1}", f"kind: got 'gapp', expected {ALL_KINDS}; did you mean 'gap'?"),
    ("{kind: 3}", f"kind: got 3, expected {ALL_KINDS}"),
    (
        "{kind: gap, bar: 15, size: 1, recovery: 0.5, over: 5}",
        "over: got 5, but after bar 15 a path has 4 more of its 20 bars",
    ),
    (
        "{kind: volatility, times: 2, bar: 3, bars: 18}",
        "bars: got 18 from bar 3 on, but a path has 20 bars: expected at most 17",
    ),
    ("{kind: volatility, times: 0}", "times: got 0, expected a number above 0 and at most 20"),
    ("{kind: drift, total: -2}", "total: got -2, expected a number above -1 and at most 10"),
    (
        "{kind: halt, bar: 3, bars: 30}",
        "bars: got 30 from bar 3 on, but a path has 20 bars and none would be left to trade in: expected at most 16",
    ),
    (
        "{kind: halt, bar: 18, bars: 2}",
        "bars: got 2 from bar 18 on, but a path has 20 bars and none would be left to trade in: expected at most 1",
    ),
    ("{kind: costs, times: -1}", "times: got -1, expected a number from 0 to 1000"),
    (
        "{kind: flash_crash, bar: 15, size: -0.1, bars: 3}",
        "bars: the crash and its recovery end after bar 20, but a path has 20 bars",
    ),
    ("{kind: limit_moves, limit: 1}", "limit: got 1, expected a number above 0 and below 1"),
    (
        "{kind: data_error, error: stail}",
        "error: got 'stail', expected bad_print, swapped, stale, zero_volume or missing; did you mean 'stale'?",
    ),
    (
        "{kind: gap, sise: 1, size: 1}",
        "sise: unknown key; did you mean 'size'? Allowed here: kind, asset, others, bar, size, recovery, over",
    ),
]


@pytest.mark.parametrize(("shock", "message"), MISTAKES, ids=[shock for shock, _ in MISTAKES])
def test_a_mistake_in_a_shock_has_its_line_and_field(mistakes: Mistakes, shock: str, message: str) -> None:
    text = START + f"scenarios: [{{name: a, shocks: [{{kind: gap, size: 0.1}}, {shock}]}}]\n"
    assert mistakes(text) == [f"demo.yaml:5: scenarios[a].shocks[#2].{message}"]


def test_each_shock_of_a_list_is_told_on_its_own_line(mistakes: Mistakes) -> None:
    shocks = "\n".join(f"      - {shock}" for shock, _ in MISTAKES[:3])
    told = mistakes(START + f"scenarios:\n  - name: a\n    shocks:\n{shocks}\n")
    assert told == [
        f"demo.yaml:{8 + place}: scenarios[a].shocks[#{place + 1}].{MISTAKES[place][1]}" for place in range(3)
    ]


@pytest.mark.parametrize(
    ("shocks", "message"),
    [
        ("[]", "got an empty list, expected a list like [{kind: gap, bar: 5, size: -0.1}]"),
        ("{kind: gap}", "got a mapping with kind, expected a list like [{kind: gap, bar: 5, size: -0.1}]"),
        ("", "got nothing, expected a list like [{kind: gap, bar: 5, size: -0.1}]"),
    ],
)
def test_shocks_are_a_list(mistakes: Mistakes, shocks: str, message: str) -> None:
    told = mistakes(START + f"scenarios: [{{name: a, shocks: {shocks}}}]\n")
    assert told == [f"demo.yaml:5: scenarios[a].shocks: {message}"]


def test_an_entry_without_a_kind_and_one_that_is_no_mapping(mistakes: Mistakes) -> None:
    told = mistakes(START + "scenarios: [{name: a, shocks: [{bar: 3}, gap]}]\n")
    expected = f"expected a mapping with the kind {ALL_KINDS}"
    assert told == [
        f"demo.yaml:5: scenarios[a].shocks[#1]: got no kind, {expected}",
        f"demo.yaml:5: scenarios[a].shocks[#2]: got 'gap', {expected}",
    ]


def test_a_crash_of_one_bar_has_nothing_to_recover(mistakes: Mistakes) -> None:
    text = START + "scenarios: [{name: a, shocks: [{kind: flash_crash, size: -0.1, recovery: 0.5}]}]\n"
    assert mistakes(text) == [
        "demo.yaml:5: scenarios[a].shocks[#1]: a crash of one bar keeps its close; expected recovery and over beside "
        "bars: 2 or more only"
    ]


@pytest.mark.parametrize(
    ("shock", "field"),
    [
        ("{kind: liquidity}", "kind"),
        ("{kind: costs, impact: 0.1}", "impact"),
        ("{kind: data_error, error: zero_volume}", "error"),
        ("{kind: flash_crash, size: -0.1, volume: 3}", "volume"),
    ],
)
def test_shocks_of_volume_are_refused_where_volume_is_dropped(
    mistakes: Mistakes, load: Callable[[str], LoadedSpec], shock: str, field: str
) -> None:
    text = START.replace("source: sp500", "source: sp500, volume: drop")
    (told,) = mistakes(text + f"scenarios: [{{name: a, shocks: [{shock}]}}]\n")
    assert told.startswith(f"demo.yaml:5: scenarios[a].shocks[#1].{field}: ")
    assert told.endswith("this needs volume, and the history has none; expected another shock, or bars with volume")
    assert load(START + f"scenarios: [{{name: a, shocks: [{shock}]}}]\n").spec.scenarios[0].shocks


def test_shocks_stand_in_a_scenario_alone(mistakes: Mistakes) -> None:
    (told,) = mistakes(START + "shocks: [{kind: gap, size: 0.1}]\n")
    assert told == (
        "demo.yaml:5: shocks: belongs to a scenario; expected it there: scenarios: [{name: mine, shocks: ...}]"
    )


@pytest.mark.parametrize(
    ("beside", "words"),
    [
        ("replay: {crisis: lehman}", "got shocks beside replay, expected them in scenarios of their own"),
        (
            "event: {functional: max_drawdown, at_least: 0.2}",
            "an event and shocks in one scenario: the probability would be of paths that are changed afterwards; give "
            "each a scenario of its own",
        ),
    ],
)
def test_shocks_stand_beside_no_replay_and_no_event(mistakes: Mistakes, beside: str, words: str) -> None:
    (told,) = mistakes(START + f"scenarios: [{{name: base}}, {{name: a, {beside}, shocks: [{{kind: costs}}]}}]\n")
    assert told == f"demo.yaml:5: scenarios[a].shocks: {words}"


def _spec(**scenario: Any) -> LoadedSpec:
    return spec_from_dict(
        {
            "name": "demo",
            "data": {"source": "sp500"},
            "bars": {"horizon": 63},
            "scenarios": [{"name": "base"}, {"name": "a", **scenario}],
            "baselines": ["bootstrap"],
            "strategies": [{"use": "strategies/buy_and_hold.py:BuyAndHold"}],
        }
    )


def test_the_order_of_the_list_is_kept_and_others_have_none() -> None:
    shocks = [
        {"kind": "halt", "bars": 3},
        {"kind": "gap", "bar": 5, "size": -0.1},
        {"kind": "flash_crash", "size": 0.2},
    ]
    base, shocked, baseline = _spec(shocks=shocks).spec.scenarios
    assert shocked.shocks == (HaltShock(bars=3), GapShock(bar=5, size=-0.1), FlashCrashShock(size=0.2))
    assert base.shocks == baseline.shocks == ()


def test_a_horizon_of_the_scenario_itself_decides_which_bars_there_are() -> None:
    shocks = [{"kind": "gap", "bar": 70, "size": -0.1}]
    assert _spec(shocks=shocks, bars={"horizon": 90}).spec.scenarios[1].shocks
    with pytest.raises(SpecError, match="got 70, but a path has 63 bars"):
        _spec(shocks=shocks)


def test_a_resolved_spec_says_its_shocks_and_is_read_back_the_same() -> None:
    spec = _spec(shocks=[{"kind": "volatility", "times": 2.0, "half_life": 5}]).spec
    dumped = spec.model_dump(mode="json")
    assert dumped["scenarios"][1]["shocks"][0]["half_life"] == 5
    assert type(spec).model_validate(dumped) == spec


def test_the_schema_lists_every_kind() -> None:
    schema = spec_schema()
    listed = schema["properties"]["scenarios"]["items"]["properties"]["shocks"]["items"]["anyOf"]
    names = [reference["$ref"].rpartition("/")[2] for reference in listed]
    assert [schema["$defs"][name]["properties"]["kind"]["const"] for name in names] == [*KINDS]
    assert "shocks" not in schema["properties"]


def test_a_shock_on_given_paths_names_no_asset() -> None:
    with pytest.raises(SpecError, match=r"shocks\[#2\].asset: got 'spx', and these are paths of one asset"):
        shocks_of([{"kind": "gap", "size": -0.1}, {"kind": "gap", "size": -0.1, "asset": "spx"}], 20)
