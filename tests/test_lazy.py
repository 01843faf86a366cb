"""Public names are listed once, loaded when asked for, and nothing else is there."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest

ROOMS = [
    "scenario_gen",
    "scenario_gen.backtest",
    "scenario_gen.realism",
    "scenario_gen.kronos",
    "scenario_gen.market",
    "scenario_gen.training",
]


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_there_and_no_other(room: str) -> None:
    module = import_module(room)
    assert module.__all__ == sorted(set(module.__all__)) == dir(module)
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match=f"module '{room}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018  # asking for it is the test
    with pytest.raises(ImportError):
        exec(f"from {room} import nothing")


@pytest.mark.parametrize("room", ROOMS)
def test_no_public_name_is_hidden_by_a_module_of_its_room(room: str) -> None:
    module = import_module(room)  # whoever imports room.name puts the module in the name's place
    assert set(module.__all__) & {found.name for found in iter_modules(module.__path__)} == set()


def test_a_room_imports_nothing_heavy_until_it_is_asked() -> None:
    heavy = "torch vectorbt pandas matplotlib arch"
    code = f"import sys, {', '.join(ROOMS)}; sys.exit(' '.join(set({heavy.split()}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
    assert (
        subprocess.run([sys.executable, "-c", "from scenario_gen.backtest import *; Bars"], check=False).returncode == 0
    )
