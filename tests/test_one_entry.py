"""One entry is enough: a metric, a limit, a fact, a generator, a source of bars and a finding, added as CONTRIBUTING
says, turn up everywhere.

The package is copied, one entry is put into each list, and the copy runs as a product of its own: nothing else in it
is changed, so whatever shows a toy on the page, in JSON, in the spec's schema or on the terminal follows the lists.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent

# file of a list -> what stands there -> what the newcomer writes after it
ENTRIES = {
    "backtest/metrics.py": (
        "METRICS: tuple[Metric, ...] = (",
        'Metric("toy_up", "Toy bars up", "percent", "share of bars", "mean(r > 0)", "definition",'
        " lambda t: np.asarray((np.diff(t.equity) > 0).mean(axis=1))),",
    ),
    "backtest/limits.py": (
        "KNOWN_LIMITS: tuple[Limit, ...] = (",
        '_floor("toy_floor", "median toy bars up", "ratio", _quantile("toy_up", "0.5")),',
    ),
    "realism/facts.py": (
        "FACTS: tuple[Fact, ...] = (",
        '_tail("99", "toy_fact", "toy share of rises", 20, "gbm", "nobody 2026"),',
    ),
    "generators/sections.py": ("SECTIONS: tuple[type[GeneratorSection], ...] = (", "ToyGenerator,"),
    "finding.py": ("CHECKS: tuple[Check, ...] = (", "TOY,"),
    "stress/shocks.py": ("SHOCKS: tuple[type[Shock], ...] = (", "ToyShock,"),
    "market/sources/__init__.py": (
        "VENDORS: tuple[Vendor, ...] = (",
        'Vendor("toy_shop", "the toy shop", toys, needs=("symbol", "exchange"), timeframes=("1d",)),',
    ),
}
# what goes with an entry in the same file, before its list: an estimator, a section, the name of a check
BEFORE = {
    "generators/sections.py": '''
class ToyGenerator(GeneratorSection):
    """As gbm, to show that one entry is enough."""

    title: ClassVar[str] = "toy motion"

    kind: Literal["toy"] = "toy"

    def open(self) -> Generator:
        """Return the motion."""
        from scenario_gen.generators.toy import ToyPaths

        return ToyPaths()


''',
    "market/sources/__init__.py": '''
def toys(request, pages, progress):
    """Return forty days of toys."""
    import pandas as pd

    from scenario_gen.market.sources.base import Fetched

    days = pd.bdate_range("2020-01-01", periods=40)
    prices = {name: [10.0 + day % 3 for day in range(40)] for name in ("open", "high", "low", "close")}
    return Fetched(pd.DataFrame({"timestamps": days, **prices}), "toys 1.0")


''',
    "finding.py": 'TOY = Check("toy", "a toy that is judged", section="outcomes")\n',
    "stress/shocks.py": '''
class ToyShock(HaltShock):
    """As a halt, to show that one entry is enough."""

    kind: Literal["toy"] = "toy"


''',
}
ENGINE = '''"""The toy's engine, in a file of its own."""

from scenario_gen.generators.gbm import GbmPaths


class ToyPaths(GbmPaths):
    @property
    def identity(self):
        return {**super().identity, "kind": "toy"}
'''
SPEC = """
name: toys
data: {source: sp500, end: 2012-06-29}
bars: {context: 128, horizon: 40}
paths: {count: 64, seed: 1, keep: paths}
generator: {kind: toy}
checks: {calibration: false}
scenarios: [{name: base}]
strategies: [{use: strategies/sma_cross.py:SmaCross, params: {fast: 5, slow: 20}}]
limits: {toy_floor: 0.9}
report: {folder: run}
"""


# all commands in one process of the copy: starting one takes longer than what it is asked
SHELL = """
import json, sys
from typer.testing import CliRunner
from scenario_gen.cli.app import app
answers = [CliRunner().invoke(app, words) for words in json.loads(sys.argv[1])]
print(json.dumps([[answer.exit_code, answer.stdout, answer.stderr] for answer in answers]))
"""
KEPT, UNTIL = "run/paths/base.parquet", ("--context-end", "2012-06-29")
RULE = ("--strategy", "strategies/sma_cross.py:SmaCross", "--params", "fast=5", "slow=20")
COMMANDS = {
    "run": ("run", "toys.yaml"),
    "check": ("check", KEPT, "--reference", "sp500", *UNTIL, "--quiet"),
    "backtest": ("backtest", KEPT, *RULE, "--context", "sp500", *UNTIL, "--limits", "toy_floor=0.9", "--json"),
    "help": ("calibrate", "--help"),
}


class Answer(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and one new entry in each list."""
    folder = tmp_path_factory.mktemp("house")
    package = folder / "scenario_gen"
    shutil.copytree(ROOT / "scenario_gen", package, ignore=shutil.ignore_patterns("__pycache__", "embedded"))
    (package / "kronos" / "embedded").symlink_to(ROOT / "scenario_gen" / "kronos" / "embedded")
    for name, (start, entry) in ENTRIES.items():
        _put(package / name, start, entry, BEFORE.get(name, ""))
    estimator = '"toy_fact": lambda bars: (bars.r > 0).mean(axis=1),'
    _put(package / "realism/facts.py", "STATISTICS: dict[str, Statistic] = {", estimator)
    (package / "generators/toy.py").write_text(ENGINE, encoding="utf-8")
    judged = package / "backtest/findings.py"  # a finding is made where it is judged
    text, places = re.subn(
        r"return warm, \[(?=.*orders)",
        'return warm, [TOY.finding("WARN", "toys are odd", scenario=scenario), ',
        judged.read_text(),
    )
    assert places == 1
    judged.write_text(text.replace("from scenario_gen.finding import ", "from scenario_gen.finding import TOY, ", 1))
    shutil.copytree(ROOT / "strategies", folder / "strategies")
    (folder / "toys.yaml").write_text(SPEC, encoding="utf-8")
    return folder


def _put(file: Path, start: str, entry: str, before: str = "") -> None:
    """Write an entry at the head of the list that begins with ``start``."""
    text = file.read_text(encoding="utf-8")
    assert text.count(f"\n{start}") == 1, f"{file.name} has no list that begins with {start}"
    file.write_text(text.replace(f"\n{start}", f"\n{before}{start}\n    {entry}"), encoding="utf-8")


def _ask(house: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    environment = {**os.environ, "PYTHONPATH": str(house), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=house, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def ran(house: Path) -> dict[str, Answer]:
    """Every command's answer by its name, asked in this order."""
    done = _ask(house, "-c", SHELL, json.dumps([*COMMANDS.values()]))
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    return {name: Answer(*answer) for name, answer in zip(COMMANDS, answers, strict=True)}


def test_a_new_source_of_bars_is_fetched_and_kept(house: Path) -> None:
    words = "import scenario_gen as sg; toys = sg.fetch('toy_shop', symbol='BEAR', exchange='attic'); "
    kept = "sg.fetch('toy_shop', symbol='BEAR', exchange='attic').sha256() == toys.sha256()"
    done = _ask(house, "-c", f"import os; os.environ['XDG_CACHE_HOME'] = 'toys'; {words}print(len(toys), {kept})")
    assert done.stdout.split() == ["40", "True"], done.stderr
    listed = _ask(house, "-c", "from scenario_gen.cli.app import main; main()", "fetch", "--source", "toy_shop")
    assert "symbol and exchange missing, which source toy_shop needs" in listed.stderr


def test_the_schema_of_specs_has_the_new_generator_and_limit(house: Path) -> None:
    words = (
        "import json; from scenario_gen.spec.models import ScenarioSpec as S; print(json.dumps(S.model_json_schema()))"
    )
    schema = json.loads(_ask(house, "-c", words).stdout)
    assert "toy_shop" in schema["$defs"]["Data"]["properties"]["source"]["anyOf"][0]["enum"]
    assert "toy_floor" in schema["$defs"]["Limits"]["properties"]
    assert schema["$defs"]["ToyGenerator"]["properties"]["kind"]["const"] == "toy"
    assert schema["$defs"]["ToyShock"]["properties"]["kind"]["const"] == "toy"


def test_a_run_tells_all_of_them_on_the_terminal_in_json_and_on_the_page(house: Path, ran: dict[str, Answer]) -> None:
    """Exit code 3: the toy limit, at least 90 % of bars up, is breached."""
    told = ran["run"]
    assert told.code == 3, told.err
    for text in ("limits: toy_floor", "median toy bars up", "toy [base]: toys are odd"):
        assert text in told.out
    run = json.loads((house / "run" / "run.json").read_text(encoding="utf-8"))
    (scenario,) = run["scenarios"]
    assert scenario["generator"]["kind"] == "toy"
    (strategy,) = scenario["strategies"]
    assert "toy_up" in [metric["metric"] for metric in strategy["metrics"]]
    assert [finding["label"] for finding in run["findings"] if finding["name"] == "limits: toy_floor"] == ["FAIL"]
    assert "toy_fact" in [fact["fact"] for fact in scenario["facts"]["facts"]]
    assert [finding["label"] for finding in run["findings"] if finding["name"] == "toy"] == ["WARN"]
    page = (house / "run" / "index.html").read_text(encoding="utf-8")
    for text in ("Toy bars up", "median toy bars up", "Toy share of rises", "toy motion", "toys are odd"):
        assert text in page


def test_the_commands_on_given_paths_know_them_too(ran: dict[str, Answer]) -> None:
    assert "Toy share of rises" in ran["check"].out, ran["check"].err
    traded = ran["backtest"]
    assert traded.code == 3, traded.err
    (strategy,) = json.loads(traded.out)["strategies"]
    assert "toy_up" in [metric["metric"] for metric in strategy["metrics"]]
    assert "toy" in ran["help"].out
