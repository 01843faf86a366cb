"""How often a model with price levels ran into their edge is part of every result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenario_gen as sg
from scenario_gen.generators.base import edge_finding
from scenario_gen.store.folder import RunFolder

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "kronos" / "golden"


def test_sample_counts_over_all_blocks_and_only_the_paths_that_are_returned(sp500: sg.Candles) -> None:
    """The golden model's random weights run to the edge often: 10 paths in blocks of 4, the last one cut."""
    context = sp500.split_at("2016-03-31")[0].context(40)
    paths = sg.sample(context, horizon=20, paths=10, model=str(GOLDEN), seed=9, device="cpu", block=4)
    prices = context.values[:, :4].astype(np.float32)
    z = (paths.values[..., :4] - prices.mean(0)) / (prices.std(0) + 1e-5)
    pinned = (np.abs(z) > 4.5).any(-1).sum(1)
    assert 0 < (pinned > 0).sum() <= 10
    assert paths.provenance["pinned_bars"] == pinned.sum()
    assert paths.provenance["pinned_paths"] == (pinned > 0).sum()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[sg.StressRun, Path]:
    folder = tmp_path_factory.mktemp("runs") / "levels"
    spec = {
        "name": "levels",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 40, "horizon": 20},
        "paths": {"count": 10, "seed": 9, "block": 4},
        "generator": {"kind": "kronos", "model": str(GOLDEN), "device": "cpu"},
        "strategies": [{"use": f"{ROOT}/strategies/buy_and_hold.py:BuyAndHold"}],
        "checks": {"facts": False, "calibration": False},
        "report": {"folder": str(folder)},
    }
    return sg.run(spec), folder


def test_a_run_counts_them_in_run_json_and_on_its_page(run: tuple[sg.StressRun, Path], sp500: sg.Candles) -> None:
    result, folder = run
    context = sp500.split_at("2016-03-31")[0].context(40)
    paths = sg.sample(context, horizon=20, paths=10, model=str(GOLDEN), seed=9, device="cpu", block=4)
    for key in ("pinned_bars", "pinned_paths", "clipped_context_bars"):
        assert result.scenarios[0].generator[key] == paths.provenance[key]
    stored: dict[str, Any] = json.loads(RunFolder(folder).path.joinpath("run.json").read_text())
    assert stored["scenarios"][0]["generator"]["pinned_bars"] == paths.provenance["pinned_bars"] > 0
    assert "near the edge of what this model can express" in (folder / "index.html").read_text("utf-8")


def test_a_run_whose_paths_reach_the_edge_is_warned_of(run: tuple[sg.StressRun, Path]) -> None:
    found = [finding for finding in run[0].findings if finding.name == "edge of the levels"]
    assert [finding.label for finding in found] == ["WARN"]
    assert "of 10 paths have a price more than 4.5 standard deviations" in found[0].measured


@pytest.mark.parametrize(("pinned", "label"), [(0, "PASS"), (10, "PASS"), (11, "WARN")])
def test_one_path_in_a_hundred_may_reach_the_edge(pinned: int, label: str) -> None:
    provenance = {"representation": "levels", "pinned_paths": pinned, "pinned_bars": 3 * pinned}
    assert [finding.label for finding in edge_finding("base", provenance, 1000)] == [label]


def test_models_without_an_edge_are_not_judged() -> None:
    assert edge_finding("base", {"representation": "increments", "pinned_paths": 0}, 1000) == []
    assert edge_finding("bootstrap", {"generator": "bootstrap"}, 1000) == []
