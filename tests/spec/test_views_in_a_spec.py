"""What a scenario may say of views: whose paths are weighed, and by what; every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenario_gen.errors import SpecError
from scenario_gen.spec import spec_from_dict
from scenario_gen.spec.loader import LoadedSpec, parse_spec, spec_schema

HEAD = """name: views
data: {source: sp500, end: 2016-06-30}
generator: {kind: gbm}
strategies: [{use: strategies/buy_and_hold.py:BuyAndHold}]
scenarios:
  - {name: base, bars: {horizon: 20}}
  - {name: worst, replay: {crisis: lehman}}
"""


def loaded(tail: str) -> LoadedSpec:
    return parse_spec(HEAD + tail, Path.cwd(), "my.yaml")


BEARISH = """  - name: bearish
    reweight: base
    views:
      - {mean: terminal_return, equals: -0.05}
      - {probability: max_drawdown, at_least: 0.2, is: 0.1}
"""


def test_a_scenario_with_views_is_the_one_whose_paths_it_weighs():
    base, _, bearish = loaded(BEARISH).spec.scenarios
    assert bearish == base.model_copy(update={"name": "bearish", "reweight": "base", "views": bearish.views})
    assert bearish.bars.horizon == 20
    first, second = bearish.views
    assert (first.in_words, second.range) == ("mean of the return over the horizon: -5 %", (0.1, 0.1))


def test_scenarios_with_views_come_after_those_that_sample_wherever_they_stand():
    spec = {
        "name": "views",
        "data": {"source": "sp500"},
        "strategies": [{"use": "strategies/buy_and_hold.py:BuyAndHold"}],
        "scenarios": [
            {"name": "bearish", "reweight": "calm", "views": [{"mean": "realised_vol", "equals": 0.2}]},
            {"name": "calm", "generator": {"kind": "gbm"}},
        ],
    }
    assert [scenario.name for scenario in spec_from_dict(spec).spec.scenarios] == ["calm", "bearish"]


# What stands on line 8 and below, the line of the mistake, and the words.
MISTAKES = [
    ("  - {name: b, reweight: bsae, views: [{mean: max_drawdown, equals: 0.1}]}", 8,
     "scenarios[b].reweight: got 'bsae', expected a scenario that samples its own paths: base or worst; did you mean "),
    ("  - {name: b, reweight: base}", 8, "scenarios[b]: got nothing as views, expected a list of 1 to 20 views"),
    ("  - {name: b, reweight: base, views: []}", 8, "scenarios[b].views: got an empty list as views"),
    ("  - {name: b, views: [{mean: max_drawdown, equals: 0.1}]}", 8, "scenarios[b]: 'reweight' is missing"),
    ("  - {name: b, reweight: worst, views: [{mean: max_drawdown, equals: 0.1}]}", 8,
     "scenarios[b].reweight: 'worst' is a replay of one path"),
    ("  - {name: a, context: {search: {score: drawdown, top: 2}}}\n"
     "  - {name: b, reweight: a, views: [{mean: max_drawdown, equals: 0.1}]}", 9,
     "scenarios[b].reweight: got 'a', expected a scenario that samples its own paths: base, worst, a_1 or a_2"),
    ("  - {name: b, reweight: base, paths: {count: 9}, views: [{mean: max_drawdown, equals: 0.1}]}", 8,
     "scenarios[b].paths: got paths beside reweight, expected name, reweight and views alone"),
    ("  - {name: b, reweight: b, views: [{mean: max_drawdown, equals: 0.1}]}", 8,
     "scenarios[b].reweight: got 'b', expected a scenario that samples its own paths"),
    ("  - name: b\n    reweight: base\n    views:\n      - {mean: max_drawdwn, equals: 0.1}", 11,
     "scenarios[b].views[#1].mean: got 'max_drawdwn', expected terminal_return, max_drawdown, realised_vol, worst_bar, "
     "best_bar, strategy_return or strategy_drawdown; did you mean 'max_drawdown'?"),
    ("  - name: b\n    reweight: base\n    views:\n      - {mean: max_drawdown, eqals: 0.1}", 11,
     "scenarios[b].views[#1].eqals: unknown key; did you mean 'equals'?"),
    ("  - name: b\n    reweight: base\n    views:\n      - {probability: max_drawdown, at_least: 0.2, is: 1.5}", 11,
     "scenarios[b].views[#1].is: got 1.5, expected a number above 0 and below 1"),
    ("  - name: b\n    reweight: base\n    views:\n      - {mean: terminal_return, equals: 0.1}\n"
     "      - {mean: terminal_return, at_most: 0.0}", 12,
     "scenarios[b].views[#2]: contradicts the view 'mean of the return over the horizon: 10 %': one number cannot "),
    ("  - name: b\n    reweight: base\n    views:\n      - {probability: max_drawdown, at_least: 0.2, is: 0.1}\n"
     "      - {probability: max_drawdown, at_least: 0.3, is: 0.2}", 12,
     "scenarios[b].views[#2]: contradicts the view 'probability of a deepest drawdown of at least 20 %: 10 %': at most "
     "10 % of paths have at least 20 %, so 20 % cannot have at least 30 %"),
]  # fmt: skip


@pytest.mark.parametrize(("tail", "line", "words"), MISTAKES)
def test_every_mistake_in_views_has_its_line_and_its_field(tail, line, words):
    with pytest.raises(SpecError) as refused:
        loaded(tail + "\n")
    assert f"my.yaml:{line}: {words}" in str(refused.value)


def test_the_base_has_no_views():
    values = {"name": "x", "data": {"source": "sp500"}, "strategies": [{"use": "a.py:B"}], "views": []}
    with pytest.raises(SpecError, match="views: unknown key"):
        spec_from_dict(values)


def test_the_schema_knows_views_and_their_keys():
    schema = spec_schema()
    scenario = schema["properties"]["scenarios"]["items"]["properties"]
    assert scenario["views"]["items"] == {"$ref": "#/$defs/View"}
    assert {"mean", "probability", "is", "is_at_least", "level"} <= set(schema["$defs"]["View"]["properties"])
