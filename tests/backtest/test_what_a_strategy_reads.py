"""What a strategy's code reads: helper modules, files, folders; and that nothing leaks from one folder to another."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import scenario_gen as sg
from scenario_gen.backtest.loader import LoadedStrategy, expand
from scenario_gen.backtest.reads import Reads, unchanged
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.cli.app import app
from scenario_gen.errors import StoreError
from scenario_gen.store.results import StressRun

RULE = """
{imports}
from dataclasses import dataclass
from pathlib import Path
from scenario_gen.backtest import Bars, Signals
HERE = Path(__file__).parent

@dataclass(frozen=True)
class Rule:
    period: int = 5

    def signals(self, bars: Bars) -> Signals:
        {inside}
        gain = 100 * (bars.close / bars.close.shift(self.period) - 1)
        return Signals(entries=gain > threshold, exits=gain < threshold)
"""


def write(folder: Path, *, imports: str = "", inside: str = "threshold = 0.0") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "rule.py").write_text(RULE.format(imports=imports, inside=inside), encoding="utf-8")
    return folder


def load(folder: Path) -> LoadedStrategy:
    return expand(StrategyUse(use="rule.py:Rule"), folder)[0]


def run(folder: Path, **changes: object) -> StressRun:
    spec = {
        "name": "reads",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 40, "horizon": 10},
        "paths": {"count": 32, "seed": 3, "block": 16},
        "generator": {"kind": "bootstrap"},
        "checks": {"facts": False, "calibration": False},
        "strategies": [{"use": f"{folder}/rule.py:Rule"}],
        "report": {"folder": str(folder / "run")},
    }
    return sg.run({**spec, **changes})


def test_a_module_beside_the_strategy_is_importable_and_two_folders_do_not_mix(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, imports="from helpers import THRESHOLD") for name in ("a", "b")]
    for place, folder in enumerate(folders):
        (folder / "helpers.py").write_text(f"from deeper import THRESHOLD\n# {place}", encoding="utf-8")
        (folder / "deeper.py").write_text(f"THRESHOLD = {place + 1}", encoding="utf-8")
    before, path = set(sys.modules), list(sys.path)
    first, second = map(load, folders)
    assert [sys.modules[type(one.instance).__module__].THRESHOLD for one in (first, second)] == [1, 2]
    assert "helpers" not in sys.modules and "deeper" not in sys.modules
    assert sys.path == path
    assert all(name.startswith("scenario_gen") for name in set(sys.modules) - before)
    assert set(first.reads.identity()) == {"rule.py", "helpers.py", "deeper.py"}
    assert not list(tmp_path.rglob("*.pyc"))


def test_an_edit_within_the_same_second_is_seen(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", imports="from helpers import THRESHOLD")
    for value in (50, 70):
        (folder / "helpers.py").write_text(f"THRESHOLD = {value}", encoding="utf-8")
        strategy = load(folder)
        assert value == sys.modules[type(strategy.instance).__module__].THRESHOLD


def test_a_package_beside_the_strategy_and_imports_inside_a_method_work(tmp_path: Path, sp500: sg.Candles) -> None:
    inside = "from tools.levels import threshold"
    folder = write(tmp_path / "a", inside=inside)
    (folder / "tools").mkdir()
    (folder / "tools" / "levels.py").write_text("threshold = 0.5", encoding="utf-8")
    found = run(folder)
    assert found.scenarios[0].strategies[0].name == "Rule(period=5)"
    assert "tools" not in sys.modules and "tools.levels" not in sys.modules


def test_names_of_the_standard_library_and_a_folder_of_data_hide_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", imports="import calendar, scipy.stats; NAMES = calendar.day_name, scipy.stats.norm")
    (folder / "calendar.py").write_text("raise RuntimeError", encoding="utf-8")
    (folder / "scipy").mkdir()
    assert len(sys.modules[type(load(folder).instance).__module__].NAMES) == 2


@pytest.mark.parametrize(
    ("imports", "inside", "name", "old", "new"),
    [
        ("from helpers import threshold", "pass", "helpers.py", "threshold = 0", "threshold = 3"),
        ("from helpers import threshold", "pass", "helpers.py", "from far import threshold", "threshold = 3"),
        ("import json", "threshold = json.loads((HERE / 'p.json').read_text())", "p.json", "0", "3"),
        ("import pandas as pd", "threshold = pd.read_csv(HERE / 'p.csv')['t'][0]", "p.csv", "t\n0", "t\n3"),
        ("import pandas as pd", "threshold = len(list(HERE.glob('*.txt')))", "new.txt", None, "now here"),
        ("import numpy as np; T = np.loadtxt(HERE.parent / 'p.txt') if 'HERE' in globals() else 0",
         "threshold = float((HERE.parent / 'p.txt').open().read())", "../p.txt", "0", "3"),
    ],
)  # fmt: skip
def test_what_a_strategy_reads_makes_it_another_run(
    tmp_path: Path, imports: str, inside: str, name: str, old: str | None, new: str
) -> None:
    folder = write(tmp_path / "a", imports=imports, inside=inside.replace("pass", "global threshold"))
    (folder / "far.py").write_text("threshold = 0", encoding="utf-8")
    if old is not None:
        (folder / name).write_text(old, encoding="utf-8")
    first = run(folder)
    assert run(folder).identity == first.identity
    (folder / name).write_text(new, encoding="utf-8")
    with pytest.raises(StoreError, match="differs in strategies"):
        run(folder)


def test_a_file_that_only_some_paths_open_makes_its_blocks_anew(tmp_path: Path) -> None:
    inside = "threshold = float((HERE / 'p.txt').read_text()) if bars.close.shape[1] > 1 else 0.0"
    folder = write(tmp_path / "a", inside=inside)
    (folder / "p.txt").write_text("0", encoding="utf-8")
    before = run(folder)
    (folder / "p.txt").write_text("3", encoding="utf-8")
    after = run(folder)
    fresh = run(folder, report={"folder": str(tmp_path / "fresh")})
    assert after.scenarios[0].strategies == fresh.scenarios[0].strategies
    assert after.scenarios[0].strategies != before.scenarios[0].strategies


def test_what_a_strategy_writes_is_no_input(tmp_path: Path) -> None:
    inside = "(HERE / 'log.txt').open('a').write('asked'); threshold = len((HERE / 'log.txt').read_text()) * 0.0"
    folder = write(tmp_path / "a", inside=inside)
    assert run(folder).identity == run(folder).identity


def test_versions_of_packages_belong_to_the_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "a")
    run(folder)
    monkeypatch.setattr("scenario_gen.pipeline.identity.version", lambda name: "0.0.1")
    with pytest.raises(StoreError, match="differs in packages"):
        run(folder)


def test_validate_imports_the_strategy_and_says_what_does_not_import(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", imports="from helpers import THRESHOLD")
    spec = folder / "spec.yaml"
    spec.write_text(
        "name: reads\ndata: {source: sp500}\nbars: {context: 40, horizon: 10}\npaths: {count: 8, seed: 1}\n"
        "generator: {kind: bootstrap}\nstrategies: [{use: rule.py:Rule}]\nreport: {folder: out}\n",
        encoding="utf-8",
    )
    refused = CliRunner().invoke(app, ["validate", str(spec)])
    assert refused.exit_code == 2
    assert "rule.py does not import: ModuleNotFoundError: No module named 'helpers'" in refused.stderr
    (folder / "helpers.py").write_text("THRESHOLD = 1", encoding="utf-8")
    assert CliRunner().invoke(app, ["validate", str(spec)]).exit_code == 0
    (folder / "helpers.py").write_text("import os; os._exit(0)", encoding="utf-8")
    assert "os._exit would have ended the run" in CliRunner().invoke(app, ["validate", str(spec)]).stderr
    (folder / "helpers.py").write_text("import ctypes; ctypes.CDLL(None)._exit(0)", encoding="utf-8")
    left = CliRunner().invoke(app, ["validate", str(spec)])
    assert left.exit_code == 2
    assert "ended the process with exit code 0" in left.stderr


def test_kept_sums_are_held_against_what_is_there(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", imports="X = (HERE / 'p').exists() if 'HERE' in globals() else 0")
    reads = Reads(folder / "rule.py")
    with reads.watched(), (folder / "rule.py").open() as _:
        pass
    assert unchanged(folder / "rule.py", reads.identity())
    assert reads.changed() == []
    (folder / "rule.py").write_text("other", encoding="utf-8")
    assert not unchanged(folder / "rule.py", reads.identity())
    assert reads.changed() == [folder / "rule.py"]
