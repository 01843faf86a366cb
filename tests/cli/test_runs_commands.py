"""The commands about finished runs, on runs that the tests make and on a tiny one that the pipeline wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.store.made_runs import drawn, run_of, written

Invoke = Callable[..., Any]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs ``a`` and ``b`` of the same random numbers, of which b pays more on every path."""
    folder = tmp_path_factory.mktemp("runs")
    first = {"base": {"Cross": drawn(np.random.default_rng(0), 60)}}
    second = {"base": {"Cross": first["base"]["Cross"].assign(total_return=lambda rows: rows["total_return"] - 0.001)}}
    written(folder / "a", run_of(first, fees=0.0), first)
    written(folder / "b", run_of(second, fees=0.001), second)
    return folder


def test_diff_fails_on_a_change_only_where_it_is_asked_to(runs: Path, invoke: Invoke) -> None:
    told = invoke("diff", runs / "a", runs / "b")
    assert told.exit_code == 0
    assert "scenarios.base.fees" in told.stdout and "Total return, mean" in told.stdout
    assert invoke("diff", runs / "a", runs / "b", "--fail-on-change").exit_code == 4
    assert invoke("diff", runs / "a", runs / "a", "--fail-on-change").exit_code == 0


def test_diff_prints_all_figures_as_json(runs: Path, invoke: Invoke) -> None:
    told = json.loads(invoke("diff", runs / "a", runs / "b", "--json").stdout)
    (figure,) = [each for each in told["figures"] if each["figure"] == "total_return/mean"]
    assert figure["moved"] and figure["difference"]["value"] == pytest.approx(-0.001)
    assert (told["changed"], told["compared"]) == (True, len(told["figures"]))


def test_diff_says_which_folder_holds_no_run(runs: Path, invoke: Invoke) -> None:
    told = invoke("diff", runs / "a", runs / "nothing")
    assert told.exit_code == 2
    assert str(runs / "nothing") in told.stderr and "check the path" in told.stderr
