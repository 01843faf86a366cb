"""Paths that do not all stand for as much: what a run keeps of their weights, and what it says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scenario_gen.pipeline import blocks, stages
from scenario_gen.pipeline.study import Study
from scenario_gen.progress import SilentProgress
from scenario_gen.spec.loader import spec_from_dict
from scenario_gen.store.folder import RunFolder

SPEC = {
    "name": "weighted",
    "data": {"source": "sp500", "end": "2016-06-30"},
    "bars": {"context": 64, "horizon": 10},
    "paths": {"count": 40, "seed": 1, "block": 16},
    "generator": {"kind": "gbm"},
    "checks": {"facts": False, "calibration": False},
    "strategies": [{"use": "strategies/buy_and_hold.py:BuyAndHold"}],
}


@pytest.fixture
def weighted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every path stand for as much as its id plus one, in islands of ten."""
    plain = blocks.sample_block

    def sampled(*arguments):
        paths = plain(*arguments)
        weights = paths.path_ids + 1.0
        return replace(paths, weights=weights, counts={**paths.counts, "island": paths.path_ids // 10})

    monkeypatch.setattr(blocks, "sample_block", sampled)


def study_of(folder: Path) -> Study:
    return Study.of(spec_from_dict(SPEC), RunFolder(folder), SilentProgress())


@pytest.mark.usefixtures("weighted")
def test_a_block_keeps_the_weights_of_its_paths_and_their_islands(tmp_path: Path) -> None:
    study = study_of(tmp_path / "run")
    stages.sample_and_trade(study, stages.Results())
    paths = blocks.first_paths(study.grounds[0], study.store, 33)
    np.testing.assert_array_equal(paths.weights, np.arange(33) + 1.0)
    np.testing.assert_array_equal(paths.counts["island"], np.arange(33) // 10)
    assert "island" not in paths.provenance, "the sum of the numbers of islands means nothing"


def test_paths_that_stand_for_as_much_each_are_kept_without_weights(tmp_path: Path) -> None:
    study = study_of(tmp_path / "run")
    stages.sample_and_trade(study, stages.Results())
    assert blocks.first_paths(study.grounds[0], study.store, 33).weights is None
    assert "weights" not in study.store.load_arrays("base", 0)


def test_weights_that_are_no_weights_make_a_kept_block_count_for_nothing(tmp_path: Path, monkeypatch) -> None:
    plain = blocks.sample_block
    monkeypatch.setattr(blocks, "sample_block", lambda *a: replace(p := plain(*a), weights=np.full(len(p), -1.0)))
    study = study_of(tmp_path / "run")
    stages.sample_and_trade(study, stages.Results())
    block = next(iter(blocks.plan_blocks(40, 16)))
    assert not blocks.is_kept(study.grounds[0], study.strategies, study.store, block)
