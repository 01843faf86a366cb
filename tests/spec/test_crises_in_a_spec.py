"""What a scenario may say of crises: where its context ends, and what is replayed; every mistake with its line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scenario_gen.spec import LoadedSpec
from scenario_gen.spec.loader import spec_schema
from scenario_gen.stress.crises import BY_ID, ContextStress, CrisisSearch

Load = Callable[[str], LoadedSpec]
Mistakes = Callable[[str], list[str]]

MOVES = "expected a list of 1 to 250 numbers above -1 and at most 10"

# What a scenario named a says on line 4 beside a base, and how the message begins.
WRONG = [
    ("context: {crisis: lehmann}", ".context.crisis: got 'lehmann', expected a crisis: dotcom_break, "),
    ("context: {crisis: lehman, seed: peak}", ".context.seed: got 'peak', expected before, onset or middle"),
    ("context: {}", ".context: got neither a crisis nor a search nor shocks, expected one of them"),
    ("context: {seed: onset, shocks: [{kind: gap, size: 0.1}]}", ".context: got a seed without a crisis, which alone"),
    (
        "context: {crisis: lehman, normaliser: refit}",
        ".context: got a normaliser without shocks, which alone it is for",
    ),
    ("context: {shocks: [{kind: gup}]}", ".context.shocks[#1].kind: got 'gup', expected gap, volatility, drift or "),
    ("context: {shocks: [{kind: gap, times: 2}]}", ".context.shocks[#1]: got times for gap, expected size"),
    ("context: {shocks: [{kind: gap, size: -2}]}", ".context.shocks[#1].size: got -2, expected a number above -1 and "),
    ("context: {shocks: [{kind: gap, size: 0.1}, 3]}", ".context.shocks[#2]: got 3, expected a mapping with the keys "),
    (
        "context: {shocks: [{kind: gap, size: 0.1, bars_back: 40}]}, bars: {context: 40}",
        ".context.shocks[#1].bars_back: got 40, expected fewer than the 40 bars of the context",
    ),
    ("context: {crisis: lehman, search: {}}", ".context: got a crisis and a search, expected one of them"),
    ("context: {search: {}, seed: onset}", ".context: got seed beside search, expected it inside: search: "),
    ("context: {search: {score: drawdwn}}", ".context.search.score: got 'drawdwn', expected drawdown, volatility, "),
    ("context: {search: {sed: onset}}", ".context.search.sed: unknown key; did you mean 'seed'? Allowed here: "),
    ("context: {search: {top: 11}}", ".context.search.top: got 11, expected a whole number from 1 to 10"),
    ("context: {search: {top: 2, rank: 1}}", ".context.search: got top 2 and rank 1, expected one of them"),
    ("context: {search: worst}", ".context.search: got 'worst', expected a mapping with score ("),
    ("context: {crisis: lehman}, data: {end: 2010-01-01}", ".data.end: got an end beside context, which says where"),
    ("context: {crisis: lehman}, replay: {crisis: lehman}", ".replay: got a replay beside context, expected them in "),
    ("replay: lehman", ".replay: got 'lehman', expected a mapping with some of: crisis, source, moves, scale, then"),
    ("replay: {}", ".replay: give exactly one of 'crisis' (lehman, ...) and 'moves' (a list of returns)"),
    ("replay: {crisis: lehman, then: 99999}", ".replay.then: got 99999, expected a whole number from 0 to 2520"),
    ("replay: {moves: [-1.5]}", f".replay.moves: got -1.5, {MOVES}"),
    ("replay: {moves: [a]}", f".replay.moves: got 'a', {MOVES}"),
    ("replay: {moves: []}", f".replay.moves: got an empty list, {MOVES}"),
    ("replay: {moves: [0.1], scale: sigma}", ".replay: got scale sigma for moves, expected raw: "),
]


@pytest.mark.parametrize(("words", "message"), WRONG, ids=[words for words, _ in WRONG])
def test_a_mistake_about_crises_has_its_line_and_field(
    mistakes: Mistakes, start: str, words: str, message: str
) -> None:
    (line,) = mistakes(start + f"scenarios: [{{name: base}}, {{name: a, {words}}}]\n")
    assert line.startswith(f"demo.yaml:4: scenarios[a]{message}")


def test_the_nearest_name_of_a_crisis_is_offered(mistakes: Mistakes, start: str) -> None:
    (line,) = mistakes(start + "scenarios: [{name: base}, {name: a, replay: {crisis: volmagedon}}]\n")
    assert line.endswith("did you mean 'volmageddon'?")


def test_contexts_and_replays_belong_to_scenarios_and_not_to_the_base(mistakes: Mistakes, start: str) -> None:
    (line,) = mistakes(start + "context: {crisis: lehman}\n")
    assert line.startswith("demo.yaml:4: context: unknown key")


def test_a_search_for_several_crises_is_several_scenarios(load: Load, start: str) -> None:
    words = "context: {search: {score: volatility, top: 3, seed: onset, window: 20}}"
    spec = load(start + f"scenarios: [{{name: base}}, {{name: worst, {words}}}]\nbaselines: [bootstrap]\n").spec
    assert [one.name for one in spec.scenarios] == ["base", "worst_1", "worst_2", "worst_3", "bootstrap"]
    asked = [one.context for one in spec.scenarios]
    assert asked[0] is asked[4] is None
    assert asked[3] == ContextStress(search=CrisisSearch(score="volatility", seed="onset", window=20, rank=3))


def test_names_that_a_search_makes_must_be_free(mistakes: Mistakes, start: str) -> None:
    (line,) = mistakes(start + "scenarios: [{name: A_2}, {name: a, context: {search: {top: 2}}}]\n")
    made = "scenarios[a].name: a search for 2 crises makes a_1 to a_2, and 'a_2' is taken; name it otherwise"
    assert line == f"demo.yaml:4: {made}"


def test_replays_alone_are_no_run(mistakes: Mistakes, start: str) -> None:
    (line,) = mistakes(start + "scenarios: [{name: a, replay: {crisis: lehman}}]\n")
    assert line.startswith("demo.yaml:4: scenarios: every scenario is a replay, of one path each; add one")


def test_the_place_of_a_value_is_found_again_for_errors_of_the_data(load: Load, start: str) -> None:
    loaded = load(start + "scenarios:\n  - name: base\n  - name: worst\n    context:\n      search: {top: 2}\n")
    assert loaded.place("worst_2", "context", "search") == "demo.yaml:8: scenarios[worst].context.search"
    assert loaded.place("base", "data", "end") == "demo.yaml:5: scenarios[base].data.end"


def test_the_schema_lists_every_crisis() -> None:
    schema = spec_schema()
    assert schema["$defs"]["ContextStress"]["properties"]["crisis"]["anyOf"][0]["enum"] == list(BY_ID)
    assert set(schema["properties"]["scenarios"]["items"]["properties"]) >= {"context", "replay"}
    assert "context" not in schema["properties"]
