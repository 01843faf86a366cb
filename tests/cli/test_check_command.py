"""``scenario-gen check``: files in, verdicts out, exit 0, 4 or 2."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

import scenario_gen as sg
from scenario_gen.cli.show import show_check
from scenario_gen.market import load_candles
from tests.pipeline.given import ManyContexts, OneContext

Invoke = Callable[..., Any]


@pytest.fixture(scope="module")
def one() -> OneContext:
    return OneContext.of(load_candles("nasdaq"), "2012-12-31")


@pytest.fixture
def copies(one: OneContext, tmp_path: Path) -> Path:
    one.copies(60).to_parquet(tmp_path / "copies.parquet")
    return tmp_path / "copies.parquet"


def test_the_markets_rules_and_training_data_are_options(one: OneContext, invoke: Invoke, tmp_path: Path) -> None:
    one.control("shuffle", count=60).to_csv(tmp_path / "paths.csv", index=False)
    words = ("check", tmp_path / "paths.csv", "--reference", "nasdaq", "--calendar", "XNYS", "--training", "sp500")
    result = invoke(*words, "--tick-size", "0.05", "--price-limit", "0.2", "--json")
    assert result.exit_code == 4, result.stderr
    rules = {row["rule"]: row for row in json.loads(result.stdout)["candles"]["rules"]}
    assert rules["V7"]["paths"] == 60
    assert rules["V8"]["bars"] >= 0  # judged
    wrong_ones = {"--tick-size": "0", "--price-limit": "1", "--calendar": "XNIS", "--training": "no.csv"}
    for option, value in wrong_ones.items():
        wrong = invoke(*words[:4], option, value)
        assert wrong.exit_code == 2
        assert value in wrong.stderr
        assert "Traceback" not in wrong.stderr


def test_held_out_real_windows_leave_with_0(invoke: Invoke, tmp_path: Path) -> None:
    many = ManyContexts.of(load_candles("nasdaq"), seed=2)
    many.real().to_csv(tmp_path / "real.csv", index=False)
    many.reference.frame().to_csv(tmp_path / "history.csv", index_label="date")
    result = invoke("check", tmp_path / "real.csv", "--reference", tmp_path / "history.csv", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert "FAIL" not in found["verdicts"].values()
    assert found["paths"]["contexts"] == 10


def test_shuffled_bars_leave_with_4_and_the_tables_say_why(one: OneContext, invoke: Invoke, tmp_path: Path) -> None:
    one.control("shuffle", count=60).to_csv(tmp_path / "shuffled.csv", index=False)
    junit = tmp_path / "junit.xml"
    result = invoke("check", tmp_path / "shuffled.csv", "--reference", "nasdaq", "--tick-size", "10", "--junit", junit)
    assert result.exit_code == 4, result.stderr
    groups = {case.get("name"): case.find("failure") for case in ElementTree.parse(junit).iter("testcase")}
    assert [name for name, failure in groups.items() if failure is not None] == (
        result.stdout.split("fails: ")[-1].strip().split(", ")
    )
    told = " ".join(result.stdout.split())
    assert "shuffled.csv: 60 paths of 60 bars from one context, 2013-01-02 to 2013-03-28" in told
    assert "Verdicts" in told
    assert "Stylized facts, mode C" in told
    assert "acf_rng_1_5" in told
    assert "Found from" in told
    assert "1,510 bars of NASDAQ Composite after 2012-12-31 were left out" in told
    assert "candle rules that were not judged: V4-lots (" in told
    assert re.search(r"the repair moved \w+ [+-]\d\.\d\d.* by more than a tenth", told)
    assert "facts were measured before and after it, on 60 changed paths" in told
    assert "A long sample's facts, shown and never judged" in told
    assert "Tail index of losses, largest 2.5 %" in told
    short = r"\((?:theta_moves|theta_losses|hurst_abs)\)[^()]* Paths: needs 1,000 bars in a row"
    assert len(re.findall(short, told)) == 3
    assert "stylized facts" in result.stderr  # progress


def test_json_holds_the_verdicts_and_all_figures(copies: Path, invoke: Invoke) -> None:
    result = invoke("check", copies, "--reference", "nasdaq", "--context-end", "2012-12-31", "--json")
    assert result.exit_code == 4
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert {"verdicts", "facts", "candles", "scores", "mode", "audit", "reference", "long"} <= set(found)
    assert found["verdicts"]["copy"] == "FAIL"
    assert found["mode"] == "C"
    assert found["reference"]["bars"] == 3521
    fact = next(fact for fact in found["facts"] if fact["fact"] == "lev_rng_1_5")
    assert {"real_mean", "synthetic_mean", "comparison", "q", "label", "mde", "control_power", "halves"} <= set(fact)


@pytest.mark.parametrize(("width", "there"), [(80, False), (169, False), (170, True)])
def test_a_narrow_terminal_gets_fewer_columns_and_whole_names(one: OneContext, width: int, there: bool) -> None:
    console = Console(width=width, file=io.StringIO())
    show_check(sg.check(one.copies(40), one.history), console)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    facts = told[told.index("Stylized facts") : told.index("The ensemble as a whole")]
    assert "acf_rng_6_20" in facts
    assert "INCONCLUSIVE" in facts
    assert "…" not in facts
    assert ("Found from, control" in " ".join(facts.split())) is there
    assert ("a screen of single paths and no verdict" in " ".join(facts.split())) is there
    assert ("A terminal of 170 columns" in " ".join(facts.split())) is not there


def test_a_declared_bootstrap_is_not_judged_for_copying(copies: Path, invoke: Invoke) -> None:
    result = invoke("check", copies, "--reference", "nasdaq", "--resamples-history", "--json")
    assert result.exit_code == 0, result.stdout
    assert json.loads(result.stdout)["verdicts"]["copy"] == "UNTESTABLE"


def test_a_reference_that_could_judge_nothing_is_no_pass(
    one: OneContext, copies: Path, invoke: Invoke, tmp_path: Path
) -> None:
    short = one.history.split_at("2012-12-31")[0].context(130)
    short.frame().to_csv(tmp_path / "short.csv", index_label="date")
    result = invoke("check", copies, "--reference", tmp_path / "short.csv")
    assert result.exit_code == 2
    assert "nothing could be judged but the candle rules: the reference holds 2 separate" in result.stderr
    assert "UNTESTABLE" in result.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("copies.parquet",), "--reference"),
        (("missing.parquet", "--reference", "nasdaq"), "there is no file missing.parquet"),
        (("copies.parquet", "--reference", "missing.csv"), "there is no file missing.csv"),
        (("copies.parquet", "--reference", "nasdaq", "--context-end", "soon"), "is no date"),
        (("copies.parquet", "--reference", "nasdaq", "--context-end", "2014-01-01"), "not after the context"),
        (("empty.csv", "--reference", "nasdaq"), "empty.csv is empty"),
        (("header.csv", "--reference", "nasdaq"), "and no bars"),
        (("copies.parquet", "--reference", "header.csv"), "and no bars"),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    copies: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(copies.parent)
    Path("empty.csv").touch()
    Path("header.csv").write_text("path,timestamp,open,high,low,close\n")
    result = invoke("check", *words)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
