"""``scenario-gen check`` of several assets: files in, labels asset by asset out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.pipeline.given_assets import END, apart_rows, indices, windows_before

Invoke = Callable[..., Any]


@pytest.fixture(scope="module")
def apart() -> pd.DataFrame:
    histories = indices()
    return apart_rows(windows_before(END, histories), histories, 60)


def test_the_command_tells_labels_by_asset_and_leaves_with_4_or_2(
    apart: pd.DataFrame, invoke: Invoke, tmp_path: Path
) -> None:
    apart.to_parquet(tmp_path / "apart.parquet", index=False)
    words = ("check", tmp_path / "apart.parquet", "--reference", "SPX=sp500", "--reference", "IXIC=nasdaq", "-q")
    shown = invoke(*words)
    assert shown.exit_code == 4, shown.stderr
    for text in ("cross_asset", "fisher_corr_r", "IXIC: ", "independent 100%"):
        assert text in shown.stdout
    as_json = json.loads(invoke(*words, "--json").stdout)
    assert as_json["verdicts"]["cross_asset"] == "FAIL"
    assert set(as_json) == {"verdicts", "reasons", "assets", "cross_asset", "notes"}
    assert set(as_json["assets"]["SPX"]) >= {"verdicts", "facts", "candles", "scores"}
    for more in (("--reference", "sp500"), ("--reference", "SPX=sp500"), ("--reference", "SPX=no.csv")):
        wrong = invoke(*words[:2], *more, *(("--reference", "IXIC=nasdaq") if "no.csv" in more[1] else ()))
        assert wrong.exit_code == 2
        assert "Traceback" not in wrong.stderr
        assert "IXIC" in wrong.stderr or "no.csv" in wrong.stderr
