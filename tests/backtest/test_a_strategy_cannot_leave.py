"""A strategy's code ends no process and moves none: os._exit(0) is a mistake with a line, os.chdir its own affair."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scenario_gen.backtest.answers import ask
from scenario_gen.backtest.loader import expand
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.errors import StrategyError

RULE = """
import os, sys
from dataclasses import dataclass
from pathlib import Path
{at_import}

@dataclass
class Rule:
    def __post_init__(self):
        {when_made}

    def signals(self, bars):
        {when_asked}
"""
TRY = """
import json, sys
from pathlib import Path
from scenario_gen.backtest.answers import ask
from scenario_gen.backtest.loader import expand
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.errors import StrategyError
told = []
for file in sys.argv[1:]:
    try:
        (strategy,) = expand(StrategyUse(use=f"{file}:Rule"), Path("."))
        ask(strategy, "signals", None)
        told.append("nothing")
    except StrategyError as error:
        told.append(error.problem)
print(json.dumps(told))
"""
LEAVE = {
    "os._exit(0)": "os._exit would have ended the run",
    "__import__('posix')._exit(0)": "os._exit would have ended the run",
    "os.execv('/bin/true', ['true'])": "os.execv would have ended the run",
    "os.execlp('true', 'true')": "would have ended the run",
    "os.execve('/bin/true', ['true'], {})": "os.execve would have ended the run",
    "sys.exit(0)": "SystemExit: 0",
    "exit()": "SystemExit: None",
}
PLACES = ("at_import", "when_made", "when_asked")


def _write(folder: Path, **code: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    places = {"at_import": "", "when_made": "pass", "when_asked": "pass"} | code
    (folder / "rule.py").write_text(RULE.format(**places), encoding="utf-8")
    return folder / "rule.py"


@pytest.mark.skipif(os.name != "posix", reason="names of posix")
def test_nothing_that_a_strategy_calls_ends_the_process_in_success(tmp_path: Path) -> None:
    """In a process of its own: where one of them did, this test run would end in success too."""
    cases = [(place, call) for place in PLACES for call in LEAVE]
    files = [str(_write(tmp_path / str(number), **{place: call})) for number, (place, call) in enumerate(cases)]
    tried = subprocess.run([sys.executable, "-c", TRY, *files], capture_output=True, text=True, check=False)
    assert (tried.returncode, tried.stderr) == (0, "")
    told = json.loads(tried.stdout)
    for (place, call), problem, file in zip(cases, told, files, strict=True):
        assert LEAVE[call] in problem, (place, call)
        assert file in problem
    assert len(told) == len(cases)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_that_a_strategy_forks_may_leave_and_the_guard_goes_with_the_strategy(tmp_path: Path) -> None:
    wait = "os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])"
    child = f"child = os.fork()\n        if not child: os._exit(7)\n        return {wait}"
    before = os._exit
    (strategy,) = expand(StrategyUse(use=f"{_write(tmp_path, when_asked=child)}:Rule"), tmp_path)
    assert ask(strategy, "signals", None) == 7
    assert os._exit is before


@pytest.mark.parametrize("place", PLACES)
def test_a_strategy_that_changes_the_current_folder_does_so_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "levels.txt").write_text("42")
    monkeypatch.chdir(tmp_path / "here")
    code = {"at_import": "", "when_made": "pass", "when_asked": ""}
    code[place] = f"os.chdir({str(tmp_path / 'own')!r})"
    code["when_asked"] += "; " * bool(code["when_asked"]) + "return Path('levels.txt').read_text()"
    (strategy,) = expand(StrategyUse(use=f"{_write(tmp_path / 'rules', **code)}:Rule"), tmp_path)
    assert Path.cwd() == tmp_path / "here"
    for _ in range(2):
        assert ask(strategy, "signals", None) == "42"  # what it chose holds for its own later calls
        assert Path.cwd() == tmp_path / "here"


def test_a_strategy_that_moves_and_raises_leaves_the_current_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = _write(tmp_path / "rules", when_asked="os.chdir('/'); raise KeyError('x')")
    (strategy,) = expand(StrategyUse(use=f"{file}:Rule"), tmp_path)
    with pytest.raises(StrategyError, match="raised KeyError"):
        ask(strategy, "signals", None)
    assert Path.cwd() == tmp_path
