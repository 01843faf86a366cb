"""Finding strategies by file.py:Name and unfolding their grids."""

import pytest

from scenario_gen.backtest import expand, load_strategy
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.errors import StrategyError

STRATEGY = """
from __future__ import annotations
from dataclasses import dataclass
from scenario_gen.backtest import Bars, Signals

@dataclass(frozen=True)
class Cross:
    fast: int = 10
    slow: int = 50
    rate: float = 0.5
    smooth: bool = False
    kind: str = "sma"
    stop: float | None = None

    def __post_init__(self) -> None:
        if self.fast >= self.slow:
            raise ValueError("fast must be below slow")

    def signals(self, bars: Bars) -> Signals:
        return Signals(bars.close > 0, bars.close < 0)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "cross.py").write_text(STRATEGY)
    return tmp_path


def cross(folder, **params):
    return expand(StrategyUse(use="cross.py:Cross", params=params), folder)


def refusal(call, *arguments, **keywords):
    with pytest.raises(StrategyError) as caught:
        call(*arguments, **keywords)
    return str(caught.value)


def test_a_single_set_keeps_its_defaults_and_is_named_by_its_parameters(folder):
    (only,) = cross(folder, fast=20)
    assert only.name == "Cross(fast=20, slow=50, rate=0.5, smooth=False, kind=sma, stop=None)"
    assert only.use == "cross.py:Cross"
    assert only.instance.fast == 20


def test_lists_unfold_to_their_product_in_the_order_written(folder):
    grid = cross(folder, fast=[5, 20], slow=[40, 60])
    assert [(s.params["fast"], s.params["slow"]) for s in grid] == [(5, 40), (5, 60), (20, 40), (20, 60)]
    assert len({s.name for s in grid}) == len(grid) == 4
    assert grid.dropped == ()


def test_combinations_that_the_strategy_refuses_are_dropped_and_reported(folder):
    grid = cross(folder, fast=[10, 50], slow=[50, 100])
    assert [(s.params["fast"], s.params["slow"]) for s in grid] == [(10, 50), (10, 100), (50, 100)]
    assert [(d.name, d.reason) for d in grid.dropped] == [("Cross(fast=50, slow=50)", "fast must be below slow")]


def test_combinations_that_break_the_condition_are_left_out_and_counted(folder):
    use = StrategyUse(use="cross.py:Cross", params={"fast": [5, 20, 30], "slow": [25, 60]}, where="2 * fast < slow")
    grid = expand(use, folder)
    assert [(s.params["fast"], s.params["slow"]) for s in grid] == [(5, 25), (5, 60), (20, 60)]
    assert (grid.excluded, grid.dropped) == (3, ())


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("fast > slow", "none of the 4 combinations for Cross meets 'fast > slow'"),
        ("fast << slow", "'fast << slow' is not allowed, expected names of parameters"),
        ("fast", "'fast' is no condition"),
        ("fast < rate", "'rate' is not among the params"),
        ("fast <", "expected a condition like fast < slow"),
    ],
)
def test_a_condition_that_cannot_be_used_is_refused(folder, where, words):
    use = StrategyUse(use="cross.py:Cross", params={"fast": [5, 20], "slow": [40, 60]}, where=where)
    assert words in refusal(expand, use, folder)


def test_a_large_grid_may_be_cut_down_by_a_condition(folder):
    params = {"fast": list(range(1, 41)), "slow": list(range(2, 42))}
    assert "has 1600 combinations" in refusal(cross, folder, **params)
    use = StrategyUse(use="cross.py:Cross", params=params, where="fast < slow and slow < 40")
    assert len(expand(use, folder)) == 38 * 39 / 2  # pairs from 1 to 39 less those that share a number


def test_a_field_of_choices_takes_nothing_else(tmp_path):
    source = STRATEGY.replace('kind: str = "sma"', 'kind: Literal["sma", "ema"] = "sma"')
    source = source.replace("import dataclass\n", "import dataclass\nfrom typing import Literal\n")
    (tmp_path / "cross.py").write_text(source)
    assert [s.params["kind"] for s in cross(tmp_path, kind=["ema", "sma"])] == ["ema", "sma"]
    message = refusal(cross, tmp_path, kind="emma")
    assert "Cross.kind was given 'emma'" in message
    assert "did you mean 'ema'?" in message


def test_a_single_set_that_the_strategy_refuses_is_an_error_with_its_line(folder):
    message = refusal(cross, folder, fast=60)
    assert "Cross(fast=60) raised ValueError: fast must be below slow" in message
    assert "cross.py, line 17" in message


def test_a_grid_of_which_nothing_is_left_is_an_error(folder):
    assert "refused all 2 combinations" in refusal(cross, folder, fast=[60, 70])


def test_a_name_of_the_users_own_replaces_the_class_name(folder):
    single = expand(StrategyUse(use="cross.py:Cross", params={"fast": 5}, name="mine"), folder)
    grid = expand(StrategyUse(use="cross.py:Cross", params={"fast": [5, 6]}, name="mine"), folder)
    assert single[0].name == "mine"
    assert grid[0].name.startswith("mine(fast=5, ")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"fats": 3}, ["no parameter 'fats'", "did you mean 'fast'?"]),
        ({"fast": "ten"}, ["Cross.fast was given 'ten' (str)", "int"]),
        ({"fast": 2.5}, ["2.5 (float)", "int"]),
        ({"fast": True}, ["True (bool)", "int"]),
        ({"smooth": 1}, ["1 (int)", "bool"]),
        ({"kind": 3}, ["3 (int)", "str"]),
        ({"rate": "x"}, ["'x' (str)", "float"]),
        ({"rate": float("nan")}, ["nan (float)", "finite"]),
        ({"stop": "x"}, ["'x' (str)", "float or null"]),
        ({"fast": [5, "x"]}, ["'x' (str)"]),
        ({"fast": []}, ["empty"]),
        ({"fast": [5, 5]}, ["same value twice"]),
        ({"fast": list(range(1, 35)), "slow": list(range(100, 130))}, ["1020 combinations", "1000"]),
    ],
)
def test_wrong_parameters_are_refused(folder, params, words):
    message = refusal(cross, folder, **params)
    for word in words:
        assert word in message


def test_whole_numbers_are_accepted_for_floats_and_null_where_declared(folder):
    (only,) = cross(folder, rate=1, stop=None)
    assert type(only.instance.rate) is float
    assert cross(folder, stop=[None, 0.1])[1].params["stop"] == 0.1


def test_a_parameter_without_default_must_be_given(tmp_path):
    (tmp_path / "a.py").write_text(
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    n: int\n    def weights(self, bars): ...\n"
    )
    assert "no value for n" in refusal(expand, StrategyUse(use="a.py:A"), tmp_path)


@pytest.mark.parametrize("reference", ["cross.py", "cross:Cross", ":Cross", "cross.py:", "cross.py:a b"])
def test_a_reference_that_is_none_is_refused(folder, reference):
    assert "file.py:ClassName" in refusal(load_strategy, reference, folder)


def test_a_missing_file_names_the_nearest(folder):
    message = refusal(load_strategy, "crss.py:Cross", folder)
    assert "no strategy file 'crss.py'" in message
    assert "did you mean 'cross.py'?" in message


def test_a_missing_class_names_the_nearest(folder):
    message = refusal(load_strategy, "cross.py:Crss", folder)
    assert "has no class 'Crss'" in message
    assert "did you mean 'Cross'?" in message
    assert "Bars" not in message  # imported, not the user's


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def f(:\n", ["SyntaxError", "bad.py, line 1"]),
        ("x = 1\nimport nowhere_to_be_found\n", ["ModuleNotFoundError", "bad.py, line 2", "import nowhere"]),
        ("import sys\nsys.exit(3)\n", ["SystemExit", "line 2"]),
        ("class A:\n    def weights(self, bars): ...\n", ["not a dataclass", "@dataclass(frozen=True)"]),
        ("A = 3\n", ["no class 'A'", "there is none"]),
        (
            "from dataclasses import dataclass\n@dataclass\nclass A:\n    n: int = 1\n",
            ["none of the methods", "signals(self, bars)"],
        ),
    ],
)
def test_a_file_that_is_no_strategy_is_refused(tmp_path, source, words):
    (tmp_path / "bad.py").write_text(source)
    message = refusal(load_strategy, "bad.py:A", tmp_path)
    for word in words:
        assert word in message


def test_field_types_that_cannot_be_found_are_reported(tmp_path):
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass A:\n    n: Nowhere = 1\n    def weights(self, bars): ...\n"
    )
    (tmp_path / "a.py").write_text(source)
    assert "field types of A" in refusal(expand, StrategyUse(use="a.py:A"), tmp_path)


def test_files_of_the_same_name_in_two_folders_do_not_meet(tmp_path):
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "cross.py").write_text(STRATEGY.replace("int = 10", f"int = {number}"))
    loaded = [load_strategy("cross.py:Cross", tmp_path / str(number)) for number in (1, 2)]
    assert [cls().fast for cls in loaded] == [1, 2]
    assert loaded[0].__module__ != loaded[1].__module__


def test_an_edited_file_is_read_again(folder):
    assert load_strategy("cross.py:Cross", folder)().fast == 10
    (folder / "cross.py").write_text(STRATEGY.replace("int = 10", "int = 11"))
    assert load_strategy("cross.py:Cross", folder)().fast == 11


def test_the_specs_folder_comes_before_the_current_one(folder, tmp_path_factory, monkeypatch):
    here = tmp_path_factory.mktemp("here")
    (here / "cross.py").write_text(STRATEGY.replace("int = 10", "int = 12"))
    (here / "other.py").write_text(STRATEGY.replace("int = 10", "int = 13"))
    monkeypatch.chdir(here)
    assert load_strategy("cross.py:Cross", folder)().fast == 10
    assert load_strategy("other.py:Cross", folder)().fast == 13
