"""The examples of schedules and of a container: their commands are commands, and nothing in them runs as root."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from scenario_gen.cli.app import app

ROOT = Path(__file__).parents[2]
SCHEDULES = ROOT / "docs" / "schedules"
CONTAINER = ROOT / ".github" / "container" / "Containerfile"
UNITS = sorted([*SCHEDULES.glob("*.service"), *SCHEDULES.glob("*.timer")])


def commands() -> list[str]:
    """Return the command lines of all examples, from the command on."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(SCHEDULES.iterdir())]
    lines = [line for text in texts for line in text.splitlines() if not line.startswith("#")]
    told = [
        match[1] for line in lines if (match := re.search(r"(?:^|[/ ])scenario-gen ((?:serve|live|batch).*)", line))
    ]
    (words,) = re.findall(r'^CMD \["(serve".*)\]$', CONTAINER.read_text(encoding="utf-8"), re.MULTILINE)
    return [*told, shlex.join(re.findall(r'"?([^",]+)"', words))]


@pytest.mark.parametrize("line", commands())
def test_a_command_of_an_example_takes_the_options_that_it_is_given(line: str):
    name, *words = shlex.split(line)
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group
    if name not in known:
        pytest.skip(f"this version has no command {name}")
    options = {option for parameter in known[name].params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options


def test_every_kind_of_example_is_looked_at():
    assert {line.split()[0] for line in commands()} == {"serve", "live", "batch"}
    assert len(UNITS) == 3


def test_systemd_understands_the_units(tmp_path: Path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd on this machine")
    for unit in UNITS:
        # neither the user nor the program is on a machine that only tests
        text = unit.read_text(encoding="utf-8").replace("/opt/scenario-gen/bin/scenario-gen", "/bin/true")
        assert "User=root" not in text
        (tmp_path / unit.name).write_text(re.sub("User=.*\n", "User=daemon\n", text), encoding="utf-8")
    units = [str(tmp_path / unit.name) for unit in UNITS]
    command = [program, "verify", "--man=no", *units]
    judged = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert judged.returncode == 0, judged.stderr
    about_ours = [line for line in judged.stderr.splitlines() if str(tmp_path) in line]
    assert about_ours == []


def test_the_first_start_of_the_container_goes_as_its_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without a daemon: its command is refused in a new volume, its line makes a key, and then the command serves."""
    text = CONTAINER.read_text(encoding="utf-8")
    told = re.findall(
        r"^#   podman run --rm (?:-p \S+ )?-v scenario-runs:/runs scenario-gen ?(.*)$", text, re.MULTILINE
    )
    (command,) = re.findall(r'^CMD (\["serve".*\])$', text, re.MULTILINE)
    assert told[1:] == [""]  # the image's own command
    keyed, started = ([word.replace("/runs", str(tmp_path)) for word in words] for words in
                      (shlex.split(told[0]), json.loads(command)))  # fmt: skip
    served: list[str] = []
    monkeypatch.setattr("scenario_gen.cli.serve._run", lambda settings, sock, **_: served.append(sock.getsockname()[0]))
    started[started.index("8000")] = "0"
    refused = CliRunner().invoke(app, started)
    assert (refused.exit_code, served) == (2, [])
    assert f"scenario-gen serve --root {tmp_path} --make-key NAME" in refused.stderr
    assert CliRunner().invoke(app, keyed).stdout.startswith("sg_")
    assert CliRunner().invoke(app, started).exit_code == 0
    assert served == ["0.0.0.0"]


def test_the_container_runs_as_a_plain_user_and_takes_only_files_of_the_repository():
    text = CONTAINER.read_text(encoding="utf-8")
    (user,) = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert f"useradd --uid 10001 --create-home --shell /usr/sbin/nologin {user}" in text
    copied = [words.split()[:-1] for words in re.findall(r"^COPY (?!--from)(?:--\S+ )?(.*)$", text, re.MULTILINE)]
    named = {name for names in copied for name in names}
    assert {"pyproject.toml", "constraints.txt", "scenario_gen", "strategies"} <= named
    assert all((ROOT / name).exists() for name in named)
    # what a build and a start showed: podman's own format drops the health check, and numba needs a place to write
    assert "podman build --format docker -f .github/container/Containerfile" in text
    assert re.search(r"^ENV .*\bXDG_CACHE_HOME=/tmp/", text, re.MULTILINE)
    assert re.findall(r"(?i)secret|password|token|^ARG |^ADD ", text.replace("with no secret", "")) == []
