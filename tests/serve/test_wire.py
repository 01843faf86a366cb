"""Checks and calibrations that came over the wire: what they may name, and the command line that comes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from scenario_gen.cli.app import app
from scenario_gen.errors import ScenarioError
from scenario_gen.serve.guard import MAX_TABLE, Guard
from scenario_gen.serve.jobs import JobStore
from scenario_gen.serve.wire import CalibrationAsked, TableAsked
from scenario_gen.serve.workers import JobWorkers


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guard:
    """A guard of a folder with tables, beside a secret, and of a run that kept its paths."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.csv").write_text("a,b\n")
    kept = tmp_path / "runs" / "mine-1" / "paths"
    kept.mkdir(parents=True)
    (kept.parent / "run.json").write_text("{}")
    (kept / "base.parquet").write_text("")
    (tmp_path / "data").mkdir()
    for name in ("paths.csv", "-x.csv", "bars.csv"):
        (tmp_path / "data" / name).write_text("")
    (tmp_path / "data" / "link.csv").symlink_to(tmp_path / "secret.csv")
    with (tmp_path / "data" / "large.csv").open("wb") as large:
        large.truncate(MAX_TABLE + 1)
    return Guard(tmp_path / "runs", data=(Path("data"),))


def parsed(name: str, words: list[str]) -> dict[str, Any]:
    """Return what the command line takes words for; nothing is run."""
    command = get_command(app).get_command(None, name)  # type: ignore[attr-defined]
    return dict(command.make_context(name, list(words)).params)


def test_what_was_asked_is_what_the_command_line_reads_and_a_name_is_never_an_option(
    guard: Guard, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    asked = TableAsked(paths="data/-x.csv", references=["SPX=sp500", "A B=data/bars.csv"], context_end="2017-06-30")
    read = parsed("check", asked.words(guard))
    assert read["paths"] == data / "-x.csv"
    assert read["reference"] == ["SPX=sp500", f"A B={data / 'bars.csv'}"]
    assert (read["context_end"], read["resamples_history"], read["seed"]) == ("2017-06-30", False, 0)
    kept = TableAsked(paths="paths/base.parquet", run="mine-1", resamples_history=True)
    read = parsed("check", kept.words(guard))
    assert (read["paths"], read["resamples_history"]) == (guard.root / "mine-1" / "paths" / "base.parquet", True)
    read = parsed(
        "calibrate",
        CalibrationAsked(data="data/bars.csv", model="--device=cuda", temperature="auto", baselines=[]).words(guard),
    )
    assert (read["data"], read["model"], read["device"]) == (str(data / "bars.csv"), "--device=cuda", None)
    assert (read["temperature"], read["baselines"], read["horizon"], read["paths"]) == ("auto", "none", None, 199)
    words = CalibrationAsked(model="garch", end="2017-06-30", baselines=["gbm", "fhs"], recalibrate=True).words(guard)
    read = parsed("calibrate", words)
    assert (read["model"], str(read["end"])[:10], read["baselines"]) == ("garch", "2017-06-30", "gbm,fhs")
    assert read["recalibrate"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (TableAsked(paths="/etc/passwd"), "not among the data"),
        (TableAsked(paths="secret.csv"), "not among the data"),
        (TableAsked(paths="data/link.csv"), "not among the data"),
        (TableAsked(paths="data/../secret.csv"), "not among the data"),
        (TableAsked(paths="runs/mine-1/paths/base.parquet"), "not among the data"),
        (TableAsked(paths="data/none.csv"), "there is no file"),
        (TableAsked(paths="data/large.csv"), "larger than 200 MB"),
        (TableAsked(paths="data/a\0b"), "not among the data"),
        (TableAsked(paths="run.json", run="mine-1"), "has no file"),
        (TableAsked(paths="paths/base.parquet", run="../runs/mine-1"), "there is no run"),
        (TableAsked(paths="data/paths.csv", references=["A=/etc/passwd"]), "not among the data"),
        (TableAsked(paths="data/paths.csv", references=["../a=sp500"]), "not among the data"),
        (TableAsked(paths="data/paths.csv", references=["https://evil.example/x.csv"]), "not among the data"),
        (TableAsked(paths="data/paths.csv", context_end="--seed=1"), "got the moment"),
        (CalibrationAsked(data="/etc/passwd"), "not among the data"),
        (CalibrationAsked(data="yahoo"), "not among the data"),
        (CalibrationAsked(model="/etc"), "not among the models"),
        (CalibrationAsked(model="org/name"), "fetches no models"),
        (CalibrationAsked(end="2017-99-99"), "got the moment"),
        (CalibrationAsked(baselines=["fsh"]), "did you mean 'fhs'"),
        (CalibrationAsked(origins=2000, paths=10_000, horizon=250), "15,000,000,000 bars"),
    ],
)
def test_what_may_not_be_read_or_costs_too_much_is_refused(
    guard: Guard, asked: TableAsked | CalibrationAsked, words: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        asked.words(guard)
    assert words in str(caught.value)


def test_a_check_is_a_job_with_its_command_line_and_its_verdict_is_the_worst_of_its_groups(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job = store.submit("{}", "paths.csv against sp500", "check", ["--reference=sp500", "--", "/data/paths.csv"])
    workers = JobWorkers(store, 1)
    assert workers.command(job)[-5:] == ["check", "--json", "--reference=sp500", "--", "/data/paths.csv"]
    assert (job.folder, store.run_path(job).parent) == ("", store.folder)  # it leaves no run
    verdicts = {"candles": "PASS", "tails": "WARN", "volume": "UNTESTABLE"}
    store.answer_path(job).write_text(json.dumps({"verdicts": verdicts}))
    workers._judge(store.claim() or job, 4, "")
    ended = store.get(job.id)
    assert (ended.state, ended.verdict, ended.exit_code) == ("done", "WARN", 4)
