"""What a console cannot show, will not take or would obey."""

import ast
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from scenario_gen.cli.manners import DEFECT_NOTE, BarProgress, Interruption, LineProgress, Outlet
from scenario_gen.cli.show import show
from scenario_gen.errors import DataError, lacks_memory, out_of_memory, printable
from scenario_gen.report.table import Column, of_texts

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "scenario_gen")
CLEAR, TITLE, C1 = "\x1b[2J", "\x1b]0;mine\x07", "\x9b31m"  # CSI, OSC, CSI in one byte

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and devices")


def run(*words: str, encoding: str = "utf-8", **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    given = {"capture_output": True, "cwd": ROOT, "env": environment, **options}
    return subprocess.run([*COMMAND, *words], check=False, encoding="utf-8", errors="replace", **given)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A valid spec whose names no western code page has."""
    text = (ROOT / "scenarios" / "quickstart.yaml").read_text().replace("name: quickstart", "name: Тест 測試")
    (tmp_path / "шаг.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "шаг.yaml"


@pytest.mark.parametrize("encoding", ["cp1252:strict", "ascii:strict"])
def test_characters_that_the_console_lacks_are_replaced_and_the_exit_code_stays(foreign: Path, encoding: str) -> None:
    good = run("validate", str(foreign), encoding=encoding)
    assert (good.returncode, good.stderr) == (0, "")
    assert "valid (???? ??)" in good.stdout
    bad = run("validate", str(foreign.with_name("нет.yaml")), encoding=encoding)
    assert bad.returncode == 2
    assert "???.yaml: no such file" in bad.stderr


def test_tables_are_drawn_on_a_console_without_lines() -> None:
    listed = run("models", "list", encoding="ascii:strict")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "NeoQuasar/Kronos-small@901c26c1" in listed.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_output_that_is_full_is_told_and_is_no_defect_of_ours() -> None:
    with Path("/dev/full").open("w") as full:
        done = run("validate", "--schema", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.startswith("what was to be printed could not be written: No space left on device\n  to do: ")
    assert len(done.stderr.splitlines()) == 2


def test_a_reader_that_leaves_early_is_nobodys_mistake() -> None:
    receiving, sending = os.pipe()
    os.close(receiving)
    done = run("validate", "--schema", capture_output=False, stdout=sending, stderr=subprocess.PIPE)
    os.close(sending)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_follows_a_failed_write_is_dropped() -> None:
    class Full(io.BytesIO):
        def write(self, raw: Any) -> int:
            raise OSError(28, "No space left on device")

        def fileno(self) -> int:
            return os.open(os.devnull, os.O_WRONLY)

    stream = Outlet(Full(), "utf-8", "replace", write_through=True)
    assert stream.write("lost") == 4
    assert stream.write("lost too") == 8
    assert stream.trouble is not None
    assert stream.trouble.errno == 28


@pytest.mark.parametrize("command", [CLEAR, TITLE, C1, "\x1bP+q\x1b\\", "\u202egnp.exe", "\ud800", "\r"])
def test_no_text_can_command_a_terminal(command: str) -> None:
    safe = printable(f"a{command}b\tc\nd")
    assert not any(letter in safe for letter in "\x1b\x07\x9b\u202e\ud800\r")
    assert (safe[0], safe[-5:]) == ("a", "b\tc\nd")
    assert printable(safe) == safe
    safe.encode("utf-8")


def test_names_reach_tables_lines_progress_and_errors_without_their_escapes() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system=None, width=120)
    names = [f"{CLEAR}{TITLE}{C1}"]
    show(console, of_texts([Column(names[0]), Column("b")], [(names[0], names[0])], title=names[0]), names)
    lines = LineProgress(stream)
    with lines.stage(names[0], 1):
        lines.note(names[0])
    stream.write(str(DataError(names[0], expected=names[0], fix=names[0])))
    assert not any(letter in stream.getvalue() for letter in "\x1b\x07\x9b")
    assert "\\x1b[2J" in stream.getvalue()


def test_the_bars_show_titles_without_their_escapes() -> None:
    stream = io.StringIO()
    progress = BarProgress(Console(file=stream, force_terminal=True, color_system=None, width=120))
    with progress.stage(CLEAR, 1) as advance:
        progress.note(TITLE)
        advance(1)
    assert CLEAR not in stream.getvalue()
    assert TITLE not in stream.getvalue()


def test_wrong_usage_quotes_arguments_without_their_escapes(invoke: Callable[..., Any]) -> None:
    result = invoke("run", "x.yaml", "--device", CLEAR)
    assert result.exit_code == 2
    assert CLEAR not in result.output
    assert "\\x1b[2J" in result.output


def test_the_commands_print_through_one_door() -> None:
    """typer.echo and print would bring the escapes of a name to the terminal: only these two files call them."""
    for path in (ROOT / "scenario_gen" / "cli").glob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = {ast.unparse(call) for call in calls}
        assert not {"typer.echo", "print"} & names or path.name in ("manners.py", "progress.py"), path


def test_ctrl_c_while_the_command_is_being_loaded_is_one_line_and_130() -> None:
    """The imports take .1 to .3 s; from the moment that ours begin, none of them shows a traceback."""
    # what a shell starts in the background ignores interruptions, and so does the command there
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "import scenario_gen.__main__ as door; print('now', flush=True); sys.argv[0] = 'x'; door.main()"
    interrupted = 0
    for wait in (0.0, 0.02, 0.04, 0.08):
        words = [sys.executable, "-c", code, "validate", "scenarios/quickstart.yaml"]
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.005 + wait)
            if process.poll() is not None:  # this process was not given the machine for over a second
                continue
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=30)
        interrupted += 1
        assert process.returncode == 130, told
        assert told.startswith("interrupted; ")
        assert len(told.splitlines()) == 1
    assert interrupted


def test_an_interruption_that_a_library_turned_into_an_error_is_no_defect(
    invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ImportError("initialization failed")  # what numpy makes of a KeyboardInterrupt in its C code

    monkeypatch.setattr("scenario_gen.cli.specs.validate_all", broken)
    assert invoke("validate", "x.yaml").exit_code == 1
    monkeypatch.setattr(Interruption, "came", True)
    result = invoke("validate", "x.yaml")
    assert result.exit_code == 130
    assert DEFECT_NOTE not in result.output


def test_an_interruption_that_a_library_swallowed_is_no_end_of_the_commands_own(
    invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invoke("models", "list").exit_code == 0
    monkeypatch.setattr(Interruption, "came", True)
    assert invoke("models", "list").exit_code == 130


def test_memory_that_is_not_there_is_told_with_what_was_needed(
    invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000000,)")

    monkeypatch.setattr("scenario_gen.cli.specs.validate_all", greedy)
    result = invoke("validate", "x.yaml")
    assert result.exit_code == 2
    assert "there is not enough memory: Unable to allocate 7.45 GiB" in result.stderr
    assert "lower paths.block" in result.stderr


class OutOfMemoryError(RuntimeError):
    """Torch's own, by its name: CUDA's memory."""


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (MemoryError(), True),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8000000000 bytes."), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_missing_memory_is_known_in_the_words_of_every_library(error: Exception, lacks: bool) -> None:
    assert lacks_memory(error) is lacks
    assert "lower paths.block" in out_of_memory(error).fix


def test_a_backend_that_matplotlib_refuses_ends_no_command() -> None:
    code = "from scenario_gen.cli import main\ntry: main()\nexcept SystemExit: import matplotlib"
    code += "\nprint(matplotlib.get_backend())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--version"],
        env={**os.environ, "MPLBACKEND": "nonsense"}, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "agg"), done.stderr
