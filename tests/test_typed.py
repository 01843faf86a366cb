"""A user's file of the public API passes mypy --strict, and what is wrong in one is found: ``py.typed`` is kept."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
RIGHT = """
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import scenario_gen as sg


def my_paths(file: str) -> sg.PathSet:
    history: sg.Candles = sg.load_candles(file)
    paths = sg.sample(history, horizon=63, paths=512, model="nano", seed=7)
    return sg.shocked(paths, [{"kind": "gap", "bar": 5, "size": -0.1}], context=history, seed=7)


def closes(paths: sg.PathSet) -> NDArray[np.float32]:
    return paths.close


def verdicts(file: str) -> dict[str, str]:
    return dict(sg.calibrate(file, model="garch", origins=30).verdicts)


def probability_of_a_rise(file: str) -> float | None:
    prediction: sg.Prediction = sg.predict(file, bars=20, model="fhs")
    return prediction.report.rise.value


def folder(spec: str) -> str:
    run: sg.StressRun = sg.run(spec)
    return run.name


def excess(config: str) -> float:
    return sg.rank(config).beside[0].excess
"""
WRONG = """
import scenario_gen as sg

number: int = sg.load_candles("my.csv")
sg.sample("my.csv", horizon="63", paths=8)
sg.sample("my.csv", paths=8)
sg.nothing_of_the_kind
"""


def test_a_users_file_is_checked_by_mypy_as_the_package_says(tmp_path: Path) -> None:
    """With the cache of the repository, which ``make test`` has filled by then: without it this takes 20 seconds."""
    for name, text in (("right_use.py", RIGHT), ("wrong_use.py", WRONG)):
        (tmp_path / name).write_text(text.lstrip(), encoding="utf-8")
    words = ["--strict", "--config-file", "pyproject.toml", "--no-error-summary", "--hide-error-context"]
    files = [str(tmp_path / name) for name in ("right_use.py", "wrong_use.py")]
    answer = subprocess.run(
        [sys.executable, "-m", "mypy", *words, *files], cwd=ROOT, capture_output=True, text=True, check=False
    )
    found = re.findall(r"(\w+_use)\.py:(\d+): error: .*\[([\w-]+)\]$", answer.stdout, re.MULTILINE)
    assert found == [
        ("wrong_use", "3", "assignment"),  # candles are no number
        ("wrong_use", "4", "arg-type"),  # text is no horizon
        ("wrong_use", "5", "call-arg"),  # and one must be given
        ("wrong_use", "6", "attr-defined"),
    ], answer.stdout + answer.stderr
