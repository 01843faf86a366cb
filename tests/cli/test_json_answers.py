"""Every command prints its answer as JSON that keeps to the documented schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from scenario_gen import training
from scenario_gen.cli.answers import ANSWERS, document, schema_of
from scenario_gen.cli.app import app
from scenario_gen.training.run import Trained
from tests.cli.test_manner import commands

ROOT = Path(__file__).parent.parent.parent
SPEC = """
name: tiny
data: {source: sp500, end: 2016-06-30}
bars: {context: 128, horizon: 5}
paths: {count: 60, seed: 1, keep: paths}
generator: {kind: bootstrap}
checks: {calibration: false, facts: false}
scenarios:
  - {name: base}
  - {name: fall, event: {functional: max_drawdown, at_least: 0.01}}
strategies: [{use: hold.py:Hold}]
report: {folder: run}
"""
BOOK = """
name: book
assets: [{name: spx, source: sp500}, {name: ndx, source: nasdaq}]
data: {start: 2014-01-01, end: 2016-06-30}
bars: {context: 128, horizon: 5}
paths: {count: 30, seed: 1}
generator: {kind: gbm}
joint: {copula: independent}
strategies: [{use: hold.py:Hold}]
"""
LIVE = """
name: tiny
data: {source: sp500}
context: 64
horizon: 5
paths: 20
generator: {kind: gbm}
"""
HOLD = """
from dataclasses import dataclass
from scenario_gen.backtest import Bars, Signals


@dataclass(frozen=True)
class Hold:
    def signals(self, bars: Bars) -> Signals:
        return Signals(entries=bars.close > 0, exits=bars.close < 0)
"""
KEPT, UNTIL = "run/paths/base.parquet", ("--context-end", "2016-06-30")
ASKED: dict[str, tuple[str, ...]] = {
    "run": ("run", "tiny.yaml"),
    "run --shard": ("run", "tiny.yaml", "--shard", "1/1", "--folder", "parts"),
    "merge": ("merge", "parts"),
    "batch": ("batch", "tiny.yaml", "nosuch.yaml", "--folder", "many"),
    "validate": ("validate", "tiny.yaml", "nosuch.yaml"),
    "init": ("init", "started"),
    "backtest": ("backtest", KEPT, "--strategy", "hold.py:Hold", "--context", "sp500", *UNTIL),
    "check": ("check", KEPT, "--reference", "sp500", *UNTIL),
    "calibrate": ("calibrate", "tiny.yaml", "--origins", "2", "--paths", "9", "--baselines", "none"),
    "evaluate": ("evaluate", "nano", "--data", "sp500", "--origins", "2", "--paths", "4", "--context", "32"),
    "train": ("train", "tiny.yaml"),
    "finetune": ("finetune", "tiny.yaml"),
    "models list": ("models", "list"),
    "models pull": ("models", "pull", "nano"),
    "models verify": ("models", "verify"),
    "crises": ("crises", "sp500", "--score", "drawdown"),
    "event": ("event", "tiny.yaml", "fall"),
    "couple": ("couple", "book.yaml"),
    "diff": ("diff", "run", "run"),
    "fetch": ("fetch", "--list"),
    "predict": ("predict", "sp500", "--bars", "5", "--model", "gbm", "--paths", "50", "--no-calibration"),
    "live": ("live", "live.yaml"),
    "serve": ("serve", "--root", "served", "--make-key", "ci"),
    "live --check": ("live", "--check", "reports/live/tiny/log.sqlite"),
    "clean": ("clean", "run", "--dry-run"),
    "verify": ("verify", "run", "--paths", "1"),
    "explain": ("explain",),
    "doctor": ("doctor",),
    "bench backtest": ("bench", "backtest", "--paths", "4", "--bars", "10", "--context", "50", "--rounds", "1"),
}
ELSEWHERE = {"run --plan", "bench", "rank"}  # what is slow is held to its schema where it is tested anyway
CODES = {
    "validate": 2,
    "batch": 2,
    "calibrate": 2,
    "check": 2,
}  # a spec that is not there; too few forecasts or bars to judge


PROTOCOL = {"mcp"}  # speaks JSON-RPC on standard output for as long as it lives, and answers nothing besides


def test_every_command_has_json_and_an_answer_that_is_documented() -> None:
    listed = {command.partition(" --")[0] for command, _ in ANSWERS}
    assert {words for words, _ in commands()} - {"run"} - PROTOCOL == listed - {"run"}
    without = {words for words, each in commands() if not any("--json" in option.opts for option in each.params)}
    assert without == PROTOCOL
    assert set(ASKED) | ELSEWHERE == {command for command, _ in ANSWERS}


def test_the_documentation_is_that_of_the_classes() -> None:
    # after a change: python -m scenario_gen.cli.answers > docs/json.md
    assert (ROOT / "docs" / "json.md").read_text(encoding="utf-8") == document()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, a strategy and a finished run."""
    folder = tmp_path_factory.mktemp("asked")
    for name, text in (("tiny.yaml", SPEC), ("book.yaml", BOOK), ("hold.py", HOLD), ("live.yaml", LIVE)):
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for first in ("run", "run --shard"):  # what others ask about
            result = CliRunner().invoke(app, [*ASKED[first], "--json", "--quiet"])
            assert result.exit_code == 0, result.output
            (folder / f"{first}.json").write_text(result.stdout)
    return folder


@pytest.mark.parametrize("command", ASKED)
def test_an_answer_keeps_to_its_schema(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    if (known := folder / f"{command}.json").is_file():
        jsonschema.Draft202012Validator(schema_of(command)).validate(json.loads(known.read_text()))
        return
    left: Callable[..., Any] = lambda *config, **options: Trained(folder, None)  # noqa: E731
    monkeypatch.setattr(training, "train", left, raising=False)
    monkeypatch.setattr(training, "finetune", left, raising=False)
    monkeypatch.setattr("scenario_gen.report.drawing.charts.draw_learning", lambda folder: None)
    result = CliRunner().invoke(app, [*ASKED[command], "--json"])
    assert result.exit_code in ({0, 4} if command == "doctor" else {CODES.get(command, 0)}), result.output
    jsonschema.Draft202012Validator(schema_of(command)).validate(json.loads(result.stdout))


def test_a_schema_refuses_what_is_missing_or_of_another_kind() -> None:
    schema = jsonschema.Draft202012Validator(schema_of("models list"))
    model = {"name": "nano", "where": "", "parameters": 1, "context": 2, "here": True, "note": ""}
    assert schema.is_valid({"models": [model]})
    assert not schema.is_valid({"models": [{**model, "parameters": "many"}]})
    assert not schema.is_valid({"models": [{"name": "nano"}]})
