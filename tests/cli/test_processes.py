import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenario_gen.files import LOCK

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "vectorbt", "pandas", "matplotlib", "arch", "pyarrow", "scipy", "exchange_calendars", "numpy")

PROBE = f"""
import sys
from scenario_gen.cli import main
sys.argv = ["scenario-gen", "validate", "scenarios/quickstart.yaml", "scenarios/book.yaml"]
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
print("HEAVY", [name for name in {HEAVY!r} if name in sys.modules])
"""


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_validate_imports_nothing_heavy() -> None:
    result = python("-c", PROBE)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0] == "scenarios/quickstart.yaml: valid (quickstart)"
    assert "scenarios/book.yaml: valid (book)" in result.stdout.splitlines()  # of several assets
    assert result.stdout.splitlines()[-1] == "HEAVY []"


def test_a_wrong_spec_leaves_the_process_with_2_and_nothing_on_stdout(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: x\nname: y\n")
    result = python("-c", "from scenario_gen.cli import main; main()", "validate", str(tmp_path / "bad.yaml"))
    assert (result.returncode, result.stdout) == (2, "")
    assert "bad.yaml:2: column 1: key 'name' is there twice (first on line 1)" in result.stderr
    assert "Traceback" not in result.stderr


def test_python_runs_the_package_as_the_command() -> None:
    result = python("-m", "scenario_gen", "--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("scenario-gen ")


WAITING = """
import os, time
from dataclasses import dataclass

@dataclass(frozen=True)
class Waiting:
    def weights(self, bars):
        while os.path.exists(os.environ["WAIT_WHILE"]):
            time.sleep(0.02)
        return bars.close * 0 + 1
"""
SPEC = """
name: trial
data: {{source: sp500}}
bars: {{context: 40, horizon: 10}}
paths: {{count: 8, seed: {seed}}}
generator: {{kind: bootstrap}}
checks: {{facts: false, calibration: false}}
strategies: [{{use: waiting.py:Waiting}}]
report: {{folder: {folder}}}
"""


def test_a_live_run_keeps_every_other_out_of_its_folder_and_a_killed_one_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Callable[..., Any]
) -> None:
    (tmp_path / "waiting.py").write_text(WAITING)
    (tmp_path / "wait").touch()
    same, other = tmp_path / "same.yaml", tmp_path / "other.yaml"
    for number, spec in enumerate((same, other)):
        spec.write_text(SPEC.format(seed=number, folder=tmp_path / "run"))
    monkeypatch.setenv("WAIT_WHILE", str(tmp_path / "wait"))
    words = [sys.executable, "-m", "scenario_gen", "run", str(same), "--quiet"]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE) as live:
        until = time.monotonic() + 60
        while not (tmp_path / "run" / LOCK).exists() and live.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        for more in ([same], [same, "--overwrite"], [other], [other, "--overwrite"]):
            refused = invoke("run", *more)
            assert refused.exit_code == 2
            assert f"{tmp_path / 'run'} is in use: a run is at work in it (process {live.pid} on " in refused.stderr
            assert "to do:    wait until that process has ended or stop it" in refused.stderr
        assert live.poll() is None  # it noticed nothing
        live.kill()
    (tmp_path / "wait").unlink()
    assert (tmp_path / "run" / LOCK).exists()
    assert invoke("run", same).exit_code == 0
    assert not (tmp_path / "run" / LOCK).exists()
    assert "holds another run" in invoke("run", other).stderr


NAPPING = """
import os, time
from dataclasses import dataclass

@dataclass(frozen=True)
class Waiting:
    def weights(self, bars):
        while bars.close.columns[-1] > 1 and os.path.exists(os.environ["WAIT_WHILE"]):  # blocks of one path: 0 and 1
            time.sleep(0.02)
        return bars.close * 0 + 1
"""


def test_a_run_on_processes_that_was_killed_goes_on_to_the_bits_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Callable[..., Any]
) -> None:
    (tmp_path / "waiting.py").write_text(NAPPING)
    (tmp_path / "wait").touch()
    monkeypatch.setenv("WAIT_WHILE", str(tmp_path / "wait"))
    (tmp_path / "trial.yaml").write_text(SPEC.format(seed=3, folder=tmp_path / "run").replace("seed", "block: 1, seed"))
    words = [sys.executable, "-m", "scenario_gen", "run", str(tmp_path / "trial.yaml"), "--on", "processes:1", "-q"]
    with subprocess.Popen(words, cwd=ROOT) as live:
        until = time.monotonic() + 240
        while not [*(tmp_path / "run").glob("blocks/*/*/done.json")] and live.poll() is None:
            assert time.monotonic() < until, "not one block in four minutes"
            time.sleep(0.02)
        live.kill()  # SIGKILL: nothing is tidied up
    there = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("blocks/*/*/done.json")}
    assert 1 <= len(there) <= 2
    assert not (tmp_path / "run" / "run.json").exists()
    (tmp_path / "wait").unlink()
    assert invoke("run", tmp_path / "trial.yaml", "--quiet").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in there} == there  # finished blocks stayed as they were
    assert invoke("run", tmp_path / "trial.yaml", "--quiet", "--folder", tmp_path / "whole").exit_code == 0
    for name in ("metrics.parquet", "candles.parquet"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    killed, whole = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("run", "whole"))
    assert [killed[name] for name in ("scenarios", "findings")] == [whole[name] for name in ("scenarios", "findings")]
