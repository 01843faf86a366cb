"""The wheel holds all that the package needs: built from the sdist, installed into an empty folder, run elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from scenario_gen.version import VERSION

ROOT = Path(__file__).parent.parent
UNPACKED = {"__pycache__", "experiments.md"}  # notes on how nano was made; caches
SPEC = """
name: tiny
data: {source: sp500, end: 2016-06-30}
bars: {context: 128, horizon: 5}
paths: {count: 8, seed: 1}
generator: {kind: kronos, model: nano}
checks: {calibration: false, facts: false}
strategies: [{use: my_strategy.py:MyStrategy}]
report: {folder: there}
"""


def call(words: Sequence[str], folder: Path, **variables: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    answer = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist and the wheel that is built from it, of a copy of the tree."""
    if find_spec("build") is None:
        pytest.skip("needs the package build (extra dev)")
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    shutil.copytree(ROOT / "scenario_gen", tree / "scenario_gen", ignore=shutil.ignore_patterns("__pycache__"))
    call([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(tree)], tree)
    return out


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel alone was installed."""
    target = tmp_path_factory.mktemp("installed")
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    call([*words, "--target", str(target), *map(str, built.glob("*.whl"))], target)
    return target


def test_sdist_and_wheel_hold_every_file_of_the_package_and_bear_its_version(built: Path) -> None:
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    assert (wheel.name, sdist.name) == (f"scenario_gen-{VERSION}-py3-none-any.whl", f"scenario_gen-{VERSION}.tar.gz")
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "scenario_gen").rglob("*") if path.is_file()}
    wanted = {name for name in files if not UNPACKED & {*name.split("/")}}
    with zipfile.ZipFile(wheel) as packed:
        assert wanted - {*packed.namelist()} == set()
    with tarfile.open(sdist) as packed_source:
        assert wanted - {name.partition("/")[2] for name in packed_source.getnames()} == set()
    for name in ("py.typed", "cli/explained/rates.json", "kronos/embedded/nano/order.json", "training/nano.yaml"):
        assert f"scenario_gen/{name}" in wanted


def test_what_is_installed_begins_and_runs_outside_the_repository(installed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scenario_gen"]
    here = {"PYTHONPATH": str(installed)}
    where = "import scenario_gen; print(scenario_gen.__file__)"
    assert call([sys.executable, "-c", where], tmp_path, **here).startswith(str(installed))
    call([*command, "init"], tmp_path, **here)
    (tmp_path / "tiny.yaml").write_text(SPEC, encoding="utf-8")
    call([*command, "run", "tiny.yaml", "--quiet"], tmp_path, **here)
    assert (tmp_path / "there" / "index.html").stat().st_size > 100_000


def test_every_extra_is_there_and_all_is_all_but_what_developers_need() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    (every,) = extras["all"]
    assert set(every.removeprefix("scenario-gen[").removesuffix("]").split(",")) == set(extras) - {"all", "dev", "docs"}
