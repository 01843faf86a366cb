"""Every command can be told to say less or more, prints no colour where none is wanted, and is completed by shells."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer
import typer.rich_utils
from rich.console import Console
from typer.testing import CliRunner

from scenario_gen.cli import manners
from scenario_gen.cli.app import app
from scenario_gen.cli.manner import Manner
from scenario_gen.cli.manners import BarProgress, LineProgress, NotesOnly, choose_progress

Invoke = Callable[..., Any]


def commands(group: Any = None, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, by the words that it is called with."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        words = f"{before} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, words)
        if not hasattr(command, "commands") or command.invoke_without_command:
            yield words, command


def test_every_command_can_be_quiet_and_verbose() -> None:
    lacking = {
        words: missing
        for words, command in commands()
        if (missing := {"--quiet", "-q", "--verbose", "-v"} - {word for each in command.params for word in each.opts})
    }
    assert lacking == {}
    assert len(dict(commands())) >= 21


@pytest.fixture
def manner() -> Iterator[type[Manner]]:
    """What was asked for, put back afterwards."""
    yield Manner
    Manner.quiet = Manner.verbose = False


def test_progress_is_chosen_by_the_command_line(manner: type[Manner], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manners, "Console", lambda **_: Console(file=io.StringIO(), force_terminal=True))
    assert isinstance(choose_progress(), BarProgress)
    manner.verbose = True
    assert isinstance(choose_progress(), LineProgress)
    manner.quiet = True
    assert isinstance(choose_progress(), NotesOnly)


def test_what_one_command_was_asked_is_no_matter_of_the_next(invoke: Invoke, manner: type[Manner]) -> None:
    assert invoke("explain", "tails", "-q", "-v").exit_code == 0
    assert (manner.quiet, manner.verbose) == (True, True)
    assert invoke("explain", "tails").exit_code == 0
    assert (manner.quiet, manner.verbose) == (False, False)


def test_verbose_says_where_a_mistake_was_met_and_else_nothing_does(invoke: Invoke, manner: type[Manner]) -> None:
    short, long = invoke("explain", "nosuch"), invoke("explain", "nosuch", "--verbose")
    assert (short.exit_code, long.exit_code) == (2, 2)
    assert "explain.py" not in short.stderr
    assert "explain.py" in long.stderr
    assert long.stderr.endswith(short.stderr)


def test_no_color_is_kept_to_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes any stream for a terminal; typer asked when it was loaded
    monkeypatch.setattr(typer.rich_utils, "FORCE_TERMINAL", True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = CliRunner().invoke(app, ["diff", "-h"], color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = CliRunner().invoke(app, ["diff", "-h"], color=True)
    listed = CliRunner().invoke(app, ["models", "list"], color=True)
    # ECMA-48, SGR: 30-38 and 90-97 colour the text, 40-48 and 100-107 what is behind it; bold and italics may stay
    colour = re.compile(r"\x1b\[(\d+;)*(3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")
    assert colour.search(coloured.stdout)
    assert not colour.search(plain.stdout)
    assert "\x1b[" in listed.stdout
    assert not colour.search(listed.stdout)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete_and_what_begins_so(shell: str) -> None:
    told = CliRunner().invoke(app, [], prog_name="scenario-gen", env={"_SCENARIO_GEN_COMPLETE": f"source_{shell}"})
    assert told.exit_code == 0
    assert "_SCENARIO_GEN_COMPLETE" in told.stdout
    words = {"COMP_WORDS": "scenario-gen ca", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "scenario-gen ca"}
    wanted = {"_SCENARIO_GEN_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args", **words}
    begun = CliRunner().invoke(app, [], prog_name="scenario-gen", env=wanted)
    assert "calibrate" in begun.stdout
    assert "backtest" not in begun.stdout


def test_help_names_the_options_of_completion(invoke: Invoke) -> None:
    shown = invoke("--help").stdout
    assert "--install-completion" in shown
    assert "--show-completion" in shown
