from collections.abc import Callable
from pathlib import Path

import pytest

from scenario_gen.errors import SpecError
from scenario_gen.spec import LoadedSpec, parse_spec

STRATEGIES = """
import dataclasses
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

from somewhere import Elsewhere


@dataclass(frozen=True)
class SmaCross:
    fast: int = 20
    slow: int = 50


@dataclasses.dataclass
class Filtered(SmaCross):
    kind: ClassVar[str] = "trend"
    _: KW_ONLY
    threshold: float
    cache: dict = field(default_factory=dict)
    state: int = field(init=False)


@dataclass
class Inherits(Elsewhere):
    own: int = 1


class Plain:
    pass


Alias = SmaCross


def make():
    return SmaCross()
"""

START = """\
name: demo
data: {source: sp500, end: 2017-06-30}
strategies: [{use: strategies/trend.py:SmaCross}]
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a user would have it; no test writes into it."""
    root = tmp_path_factory.mktemp("user")
    (root / "strategies").mkdir()
    (root / "scenarios").mkdir()
    (root / "strategies" / "trend.py").write_text(STRATEGIES)
    (root / "strategies" / "broken.py").write_text("x = 1\ndef f(:\n    pass\n")
    (root / "strategies" / "odd_escape.py").write_text('class Odd:\n    pattern = "\\d"\n')
    (root / "prices.csv").write_text("date,open,high,low,close\n")
    return root


@pytest.fixture
def load(folder: Path) -> Callable[[str], LoadedSpec]:
    """Parse YAML text as if it stood in the user's folder."""
    return lambda text: parse_spec(text, folder, "demo.yaml")


@pytest.fixture
def mistakes(load: Callable[[str], LoadedSpec]) -> Callable[[str], list[str]]:
    """Return the lines of the error that a text causes, without the heading that counts them."""

    def of(text: str) -> list[str]:
        with pytest.raises(SpecError) as caught:
            load(text)
        lines = str(caught.value).splitlines()
        return lines[1:] if " mistakes in " in lines[0] else lines

    return of


@pytest.fixture
def start() -> str:
    """The shortest spec that is right: three lines, so that what a test adds begins at line 4."""
    return START
