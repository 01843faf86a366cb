import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from scenario_gen.backtest.uses import grid, parameter_sets
from scenario_gen.spec import LoadedSpec, parse_spec

Mistakes = Callable[[str], list[str]]
HEAD = "name: demo\ndata: {source: sp500}\nstrategies:\n"

WRONG = [
    (
        "{use: strategies/trnd.py:SmaCross}",
        "[SmaCross].use: got 'strategies/trnd.py', but there is no such file (looked in the spec's folder, its "
        "parent and the current folder); did you mean 'strategies/trend.py'?",
    ),
    (
        "{use: strategies/trend.py:SmaCros}",
        "[SmaCros].use: strategies/trend.py has no class 'SmaCros'; did you mean 'SmaCross'?",
    ),
    (
        "{use: strategies/trend.py:Unlike}",
        "[Unlike].use: strategies/trend.py has no class 'Unlike'; classes there: SmaCross, Filtered, Inherits, Plain",
    ),
    ("{use: strategies/trend.py:make}", "[make].use: strategies/trend.py has no class 'make'"),
    (
        "{use: strategies/trend.py}",
        "[strategies/trend.py].use: got 'strategies/trend.py', expected a file and a class like "
        "strategies/sma_cross.py:SmaCross",
    ),
    ("{use: trend.SmaCross}", "[trend.SmaCross].use: got 'trend.SmaCross', expected a file and a class"),
    ("{use: 'strategies/trend.py:not a name'}", "[not a name].use: got 'strategies/trend.py:not a name', expected"),
    ("{use: 3}", "[#1].use: got 3, expected text"),
    ("{params: {fast: 1}}", "[#1].use: missing, expected text"),
    ("{use: strategies/broken.py:F}", "[F].use: strategies/broken.py:2 is not valid Python: "),
    (
        "{use: strategies/trend.py:SmaCross, params: {fsat: 5}}",
        "[SmaCross].params.fsat: 'SmaCross' has no such parameter; did you mean 'fast'? It has: fast, slow",
    ),
    (
        "{use: strategies/trend.py:Filtered, params: {fast: 5}}",
        "[Filtered].params: parameter 'threshold' of Filtered is missing and has no default",
    ),
    (
        "{use: strategies/trend.py:Filtered, params: {threshold: 5, state: 1}}",
        "[Filtered].params.state: 'Filtered' has no such parameter. It has: fast, slow, threshold, cache",
    ),
    (
        "{use: strategies/trend.py:SmaCross, params: {fast: []}}",
        "[SmaCross].params.fast: got an empty list, expected a value or a list of values",
    ),
    (
        "{use: strategies/trend.py:SmaCross, params: {fast: {from: 1}}}",
        "[SmaCross].params.fast: got a mapping with from, expected a value or a list of values",
    ),
    (
        "{use: strategies/trend.py:SmaCross, params: {fast: [5, 5]}}",
        "[SmaCross].params.fast: the same value is there twice; keep each value once",
    ),
    (
        "{use: strategies/trend.py:SmaCross, params: {fast: .nan}}",
        "[SmaCross].params.fast: got .inf or .nan, expected finite numbers",
    ),
    (
        "{use: strategies/trend.py:SmaCross, params: 5}",
        "[SmaCross].params: got 5, expected a mapping of names to values",
    ),
    ("{use: strategies/trend.py:SmaCross, name: a/b}", "[a/b].name: got 'a/b'; expected letters"),
    ("{use: strategies/trend.py:SmaCross, parms: {}}", "[SmaCross].parms: unknown key; did you mean 'params'?"),
]


@pytest.mark.parametrize(("entry", "message"), WRONG, ids=[entry for entry, _ in WRONG])
def test_a_wrong_strategy_is_told_at_its_line(mistakes: Mistakes, entry: str, message: str) -> None:
    (found,) = mistakes(f"{HEAD}  - {entry}\n")
    assert found.startswith(f"demo.yaml:4: strategies{message}")


@pytest.mark.parametrize(
    "entry",
    [
        "{use: strategies/trend.py:SmaCross, params: {fast: [5, 10], slow: 100}}",
        "{use: strategies/trend.py:Filtered, params: {threshold: 0.5, slow: 9}}",
        "{use: strategies/trend.py:Inherits, params: {unknown_to_us: 1}}",  # its parent is not in the file
        "{use: strategies/trend.py:Plain, params: {anything: 1}}",  # no dataclass: its __init__ decides
        "{use: strategies/trend.py:Alias}",
        "{use: strategies/trend.py:Elsewhere}",
        "{use: strategies/odd_escape.py:Odd}",
    ],
)
def test_what_the_source_cannot_decide_is_let_through(load: Callable[[str], LoadedSpec], entry: str) -> None:
    assert len(load(f"{HEAD}  - {entry}\n").spec.strategies) == 1


def test_strategies_are_found_beside_the_folder_of_the_spec(folder: Path, start: str) -> None:
    assert parse_spec(start, folder / "scenarios").spec.strategies[0].use == "strategies/trend.py:SmaCross"


def test_a_strategy_file_is_not_run(tmp_path: Path, start: str) -> None:
    (tmp_path / "strategies").mkdir()
    file = tmp_path / "strategies" / "trend.py"
    file.write_text("raise SystemExit('this file was run')\nclass SmaCross: ...\n")
    assert parse_spec(start, tmp_path).spec.name == "demo"


def test_two_entries_that_the_report_could_not_tell_apart_are_refused(mistakes: Mistakes) -> None:
    entry = "  - {use: strategies/trend.py:SmaCross, params: {fast: [5, 10]}}\n"
    assert mistakes(HEAD + entry + entry.replace("[5, 10]", "10")) == [
        "demo.yaml:5: strategies[SmaCross]: 'SmaCross' with these parameters is there already; "
        "give it a name of its own"
    ]


def test_more_strategies_than_one_report_can_show_are_refused(mistakes: Mistakes) -> None:
    assert mistakes(HEAD + "  - {use: strategies/trend.py:SmaCross}\n" * 101) == [
        "demo.yaml:3: strategies: got 101 strategies, expected at most 100"
    ]


def test_two_entries_of_one_class_with_other_values_or_names_are_fine(load: Callable[[str], LoadedSpec]) -> None:
    entry = "  - {use: strategies/trend.py:SmaCross, params: {fast: 5}}\n"
    text = HEAD + entry + entry.replace("fast: 5", "fast: 6") + entry.replace("params", "name: mine, params")
    assert len(load(text).spec.strategies) == 3


def test_a_grid_is_every_combination_in_the_order_of_the_spec() -> None:
    params = {"fast": [1, 2], "slow": 9, "stop": [None, 0.1, 0.2]}
    expected = [{"fast": fast, "slow": 9, "stop": stop} for fast, stop in itertools.product([1, 2], [None, 0.1, 0.2])]
    assert list(grid(params)) == expected
    assert parameter_sets(params) == 6


def test_a_strategy_without_parameters_is_one_parameter_set() -> None:
    assert list(grid({})) == [{}]
    assert parameter_sets({}) == 1


CROSS = "  - {use: strategies/trend.py:SmaCross, params: {fast: [5, 20], slow: [10, 30]}"


def test_a_condition_leaves_combinations_out(load: Callable[[str], LoadedSpec]) -> None:
    (use,) = load(HEAD + CROSS + ", where: fast < slow}\n").spec.strategies
    assert parameter_sets(use.params) == 4
    assert parameter_sets(use.params, use.where) == 3


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("fast > 2 * slow", "no combination of the params meets 'fast > 2 * slow'"),
        ("fast.real < 3", "'fast.real' is not allowed, expected names of parameters, numbers, texts"),
        ("fast < window", "'window' is not among the params"),
        ("'5'", "got '5', expected a condition"),
    ],
)
def test_a_condition_that_cannot_be_used_has_its_line(mistakes: Mistakes, where: str, words: str) -> None:
    (line,) = mistakes(HEAD + CROSS + f", where: {where}" + "}\n")
    assert line.startswith("demo.yaml:4: strategies[SmaCross].where: ")
