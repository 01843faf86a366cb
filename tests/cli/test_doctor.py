"""Doctor says what is here and what is wrong, with what to do; it shows no secret and changes nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest

from scenario_gen.cli import doctor as doctors
from scenario_gen.cli.doctor import VARIABLES, EmbeddedModel, Health, try_model
from scenario_gen.values import decode
from scenario_gen.version import VERSION

Invoke = Callable[..., Any]


@pytest.fixture
def at_ease(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine on which nothing is wrong, but what a test makes so; the model is not tried."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctors, "try_model", lambda: EmbeddedModel("nano", works=True, seconds=0.1, reason=""))
    monkeypatch.setattr(doctors, "LEAST_MEMORY", 0)
    monkeypatch.setattr(doctors, "LEAST_DISK", 0)
    lines = ["numpy>=1", "not-here-at-all>=3; python_version < '3'", 'ray>=1; extra == "ray"', 'zz9; extra == "odd"']
    monkeypatch.setattr(doctors, "requires", lambda name: lines)
    monkeypatch.setattr(doctors, "version", lambda name: VERSION if name == "scenario-gen" else version(name))
    return monkeypatch


def _asked(invoke: Invoke) -> tuple[int, Health]:
    result = invoke("doctor", "--json")
    return result.exit_code, decode(Health, json.loads(result.stdout))


def test_the_embedded_model_makes_a_path_after_a_made_context() -> None:
    model = try_model()
    assert (model.name, model.works, model.reason) == ("nano", True, "")


def test_where_all_is_well_it_leaves_with_0_and_lists_what_the_metadata_says(
    at_ease: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    code, health = _asked(invoke)
    assert (code, health.troubles, health.version) == (0, [], VERSION)
    assert [(each.name, each.installed, each.serves) for each in health.packages] == [
        ("numpy", version("numpy"), True)  # the other is for an older Python
    ]
    assert {each.name: [part.name for part in each.brings] for each in health.extras} == {
        "ray": ["ray"],
        "odd": ["zz9"],
    }
    odd = health.extras[1]
    assert (odd.installed, odd.brings[0].installed) == (False, "")
    at_ease.setattr(doctors, "requires", lambda name: ['zz9; extra == "odd"', 'scenario-gen[odd]; extra == "all"'])
    every = _asked(invoke)[1].extras[1]
    assert (every.name, every.installed, [part.name for part in every.brings]) == ("all", False, ["zz9"])
    at_ease.setattr(doctors, "requires", lambda name: ['zz9; extra == "odd"'])
    assert "cpu" in health.machine.devices and health.machine.cores >= 1 and health.machine.disk_free > 0
    assert "extra odd: pip install 'scenario-gen[odd]'; zz9 (not here)" in invoke("doctor").stdout


@pytest.mark.parametrize(
    ("lines", "problem", "fix"),
    [
        (["numpy>=999"], f"numpy is {version('numpy')}; needed is >=999", "pip install 'numpy>=999'"),
        (["zz9>=1"], "zz9 is not installed; needed is >=1", "pip install 'zz9>=1'"),
        (['numpy>=999; extra == "x"'], f"too old for the extra x: numpy {version('numpy')}", "'scenario-gen[x]'"),
    ],
)
def test_a_package_that_is_absent_or_too_old_is_told_with_what_to_do(
    at_ease: pytest.MonkeyPatch, invoke: Invoke, lines: list[str], problem: str, fix: str
) -> None:
    at_ease.setattr(doctors, "requires", lambda name: lines)
    code, health = _asked(invoke)
    assert (code, [each.problem for each in health.troubles]) == (4, [problem])
    assert fix in health.troubles[0].fix


def test_a_stale_installation_is_told(at_ease: pytest.MonkeyPatch, invoke: Invoke) -> None:
    at_ease.setattr(doctors, "version", lambda name: "0.0.9" if name == "scenario-gen" else version(name))
    result = invoke("doctor")
    assert result.exit_code == 4
    assert f"WRONG: the code is {VERSION}, what is installed says 0.0.9" in result.stdout


def test_a_model_that_cannot_be_opened_is_told_and_no_error(at_ease: pytest.MonkeyPatch, invoke: Invoke) -> None:
    def broken(name: str) -> str:
        raise OSError(f"{name}: no such file")

    at_ease.setattr(doctors, "_not_a_path", broken)
    at_ease.setattr(doctors, "try_model", try_model)
    code, health = _asked(invoke)
    assert (code, health.model.works) == (4, False)
    assert [each.problem for each in health.troubles] == [
        "the embedded model nano makes no path: OSError: nano: no such file"
    ]


def test_torch_that_cannot_be_loaded_is_told(at_ease: pytest.MonkeyPatch, invoke: Invoke) -> None:
    at_ease.setitem(sys.modules, "torch", None)
    code, health = _asked(invoke)
    assert code == 4
    assert health.troubles[0].problem.startswith("torch cannot be loaded")


def test_variables_are_shown_without_secrets_and_wrong_ones_told(at_ease: pytest.MonkeyPatch, invoke: Invoke) -> None:
    at_ease.setenv("RAY_ADDRESS", "ray://me:hidden@head:10001?token=hidden")
    at_ease.setenv("HF_TOKEN", "hidden")
    at_ease.setenv("OMP_NUM_THREADS", "all")
    result = invoke("doctor")
    assert result.exit_code == 4
    assert "environment: RAY_ADDRESS=ray://...@head:10001" in result.stdout
    assert "WRONG: OMP_NUM_THREADS is 'all', which is no number of threads" in result.stdout
    assert "hidden" not in result.stdout + invoke("doctor", "--json").stdout
