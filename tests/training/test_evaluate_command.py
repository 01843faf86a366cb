"""``scenario-gen evaluate``: tables, JSON, a model card; only held-out bars are forecast; mistakes are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scenario_gen.cli.app import app
from scenario_gen.kronos import Checkpoint, save_checkpoint

QUICK = ("--context", "32", "--paths", "9", "--device", "cpu")


def _invoke(*words: object) -> Any:
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])


def test_only_what_a_training_config_held_out_is_forecast(
    small_data: Path, tiny_folder: Path, tmp_path: Path, write_config: Callable[..., Path]
) -> None:
    """600 hourly bars from 2015-01-01, the last fifth held out: from hour 480 on, the 21st. HELD is 300 bars."""
    config = write_config(tmp_path)
    found = {}
    for part in ("later", "unseen", "both"):
        words = (tiny_folder, "--data", small_data, "--config", config, "--part", part, "--json", *QUICK)
        result = _invoke(*words)
        assert result.exit_code == 0, result.stderr
        found[part] = json.loads(result.stdout)
    later = found["later"]["pooled"]
    assert (later["series"], later["first"], later["origins"]) == (2, "2015-01-21T00:00:00", 4)
    unseen = found["unseen"]["pooled"]
    assert (unseen["series"], unseen["origins"]) == (1, 4)
    assert found["both"]["pooled"]["origins"] == 8
    groups = [(group["asset_class"], group["frequency"]) for group in found["both"]["groups"]]
    assert groups == [("crypto", "1h"), ("fx", "1h")]
    series = found["both"]["series"]
    assert sorted((one["asset_class"], one["origins"]) for one in series) == [("crypto", 2), ("crypto", 4), ("fx", 2)]
    assert set(series[0]["crps"]) == {"tiny", "bootstrap", "Gaussian", "EWMA-FHS", "GJR-FHS"}
    generators = found["both"]["pooled"]["generators"]
    assert all(set(one["groups"].values()) <= {"INCONCLUSIVE", "UNTESTABLE"} for one in generators)  # 8 origins
    assert "lev_har" in {fact["id"] for fact in generators[0]["ranked"]}
    assert any("held out: unseen instruments of tiny.yaml" in note for note in found["unseen"]["notes"])
    assert [one["name"] for one in later["generators"]] == ["tiny", "bootstrap", "Gaussian", "EWMA-FHS", "GJR-FHS"]


def test_tables_tell_scores_calibration_facts_and_the_curve(tiny_folder: Path) -> None:
    words = (tiny_folder, "--data", "sp500", "--start", "2017-01-01", "--temperature", "1,.5", *QUICK)
    result = _invoke(*words)
    assert result.exit_code == 0, result.stderr
    for text in (
        "tiny T 1 against the baselines: skill (t)",
        "log realised volatility over 60 bars",
        "PIT spread",
        "acf_rng_1_5",
        "best baseline",
        "Groups of facts, by the rank of what came (mode A)",
        "What the temperature does",
        "high below another price (V3)",
        "held out: from 2017-01-01 on",
    ):
        assert text in result.stdout
    assert "evaluating EWMA-FHS" in result.stderr


def test_another_model_is_compared_with_on_the_same_origins(
    tiny_checkpoint: Checkpoint, tiny_folder: Path, tmp_path: Path
) -> None:
    """The same weights under another name: every score is the same, and no difference has a t value."""
    save_checkpoint(replace(tiny_checkpoint, name="twin"), tmp_path / "twin")
    words = (tiny_folder, "--data", "sp500", "--start", "2018-01-01", "--against", tmp_path / "twin", "--json")
    result = _invoke(*words, *QUICK)
    assert result.exit_code == 0, result.stderr
    ours, twin, *_ = json.loads(result.stdout)["pooled"]["generators"]
    assert (ours["name"], twin["name"], twin["versus"]) == ("tiny", "twin", [])
    assert [one["t"] for one in ours["versus"] if one["baseline"] == "twin"] == [0.0] * 6
    assert ours["judged"] == twin["judged"]


def test_the_card_of_a_folder_takes_the_tables(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tiny_checkpoint, tmp_path / "mine")
    result = _invoke(tmp_path / "mine", "--data", "sp500", "--holdout-share", ".05", "--card", "--quiet", *QUICK)
    assert result.exit_code == 0, result.stderr
    card = (tmp_path / "mine" / "MODEL_CARD.md").read_text()
    assert "| EWMA-FHS |" in card
    assert "`scenario-gen evaluate` on sp500" in card
    assert "Not evaluated" not in card


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nano",), "Missing option '--data'"),
        (("nano", "--data", "nowhere.csv"), "there is no file nowhere.csv"),
        (("nowhere", "--data", "sp500"), "nowhere"),
        (("nano", "--data", "sp500", "--temperature", "hot"), "expected numbers from 0 to 10"),
        (("nano", "--data", "sp500", "--temperature", "-1"), "expected numbers from 0 to 10"),
        (("nano", "--data", "sp500", "--part", "later"), "only a training config says what was held out"),
        (("nano", "--data", "sp500", "--start", "2018-12-01"), "leave room for 0 origins"),
        (("nano", "--data", "sp500", "--start", "yesterday"), "does not match the formats"),
        (("nano", "--data", "sp500", "--card"), "is no folder of a checkpoint"),
        (("nano", "--data", "sp500", "--paths", "1"), "greater than or equal to 2"),
    ],
)
def test_a_mistake_is_told_without_a_traceback(words: tuple[str, ...], message: str) -> None:
    result = _invoke(*words)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.stderr
