"""Paths that do not all stand for as much: what a run keeps of their weights, and what it says of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import scenario_gen as sg
from scenario_gen.cli.show import make_console, show_run
from scenario_gen.errors import DataError
from scenario_gen.pipeline import stages
from scenario_gen.pipeline.blocks import block as blocks
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
    paths = blocks.first_paths(study.grounds[0], study.store, 40)
    np.testing.assert_array_equal(paths.weights, np.arange(40) + 1.0)
    np.testing.assert_array_equal(paths.counts["island"], np.arange(40) // 10)
    assert "island" not in paths.provenance, "the sum of the numbers of islands means nothing"


@pytest.mark.usefixtures("weighted")
def test_the_first_paths_of_islands_are_whole_islands(tmp_path: Path) -> None:
    study = study_of(tmp_path / "run")
    stages.sample_and_trade(study, stages.Results())
    paths = blocks.first_paths(study.grounds[0], study.store, 33)
    np.testing.assert_array_equal(paths.path_ids, np.arange(30))
    assert len(blocks.first_paths(study.grounds[0], study.store, 5)) == 5, "less than one island is better than none"
    three = blocks.first_paths(study.grounds[0], study.store, 5, islands=3)
    np.testing.assert_array_equal(three.path_ids, np.arange(30), err_msg="an interval takes so many islands")
    more = blocks.first_paths(study.grounds[0], study.store, 33, islands=2)
    np.testing.assert_array_equal(more.path_ids, np.arange(30))


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


# --- A whole run of weighted paths ---


def run_of(folder: Path, count: int, *, facts: bool):
    bars, paths = {"context": 64, "horizon": 20}, {"count": count, "seed": 1, "block": 256}
    spec = SPEC | {"bars": bars, "paths": paths, "limits": {"probability_of_loss": 0.5}}
    return sg.run({**spec, "checks": {"facts": facts, "calibration": False}, "report": {"folder": str(folder)}})


@pytest.fixture(scope="module")
def sunk(tmp_path_factory: pytest.TempPathFactory):
    """Return a run of 400 paths that stand for more the lower they end, and its folder."""
    folder, sampled = tmp_path_factory.mktemp("sunk") / "run", blocks.sample_block

    def weighted_block(*arguments):
        paths = sampled(*arguments)
        return replace(paths, weights=(paths.anchor_close / paths.close[:, -1].astype(np.float64)) ** 8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "sample_block", weighted_block)
        return run_of(folder, 400, facts=True), RunFolder(folder)


def test_every_figure_of_a_run_is_of_what_its_paths_stand_for(sunk) -> None:
    run, folder = sunk
    rows, strategy = folder.read_metrics(), run.scenarios[0].strategies[0]
    weights, returns = rows["weight"].to_numpy(), rows["total_return"].to_numpy()
    assert weights.sum() == pytest.approx(1, rel=1e-12)
    summary = next(summary for summary in strategy.metrics if summary.metric == "total_return")
    assert summary.mean.value == pytest.approx(weights @ returns, rel=1e-12)
    median = np.quantile(returns, 0.5, weights=weights, method="inverted_cdf")
    var = np.quantile(-returns, 0.95, weights=weights, method="inverted_cdf")
    assert summary.quantiles["0.5"].value == median
    assert strategy.probability_of_loss.value == pytest.approx(weights @ (returns < 0), rel=1e-12)
    assert strategy.equity_fan.quantiles["0.5"][-1] / 1e5 - 1 == pytest.approx(median, abs=1e-6)  # float32 equity
    assert strategy.var["0.95"].value == var
    assert strategy.tail.worst_bar[0].cvar.value is not None


def test_what_weighted_paths_cannot_be_asked_says_so(sunk) -> None:
    run, _ = sunk
    strategy = run.scenarios[0].strategies[0]
    assert (strategy.nulls.label, "stand for as much" in strategy.nulls.reason) == ("not judged", True)
    assert (run.scenarios[0].facts, run.scenarios[0].drift) == (None, None)
    assert not [finding for finding in run.findings if finding.name.startswith("facts")]
    assert strategy.paired[0].win_share.count is None, "what stands for more is no count of paths"


def test_a_run_says_as_many_as_how_many_alike_its_paths_are(sunk) -> None:
    run, folder = sunk
    weights, weighting = folder.read_metrics()["weight"].to_numpy(), run.scenarios[0].weighting
    assert (weighting.paths, weighting.islands) == (400, None)
    assert weighting.alike == pytest.approx(1 / np.sum(weights**2), rel=1e-9)
    assert weighting.largest == pytest.approx(weights.max(), rel=1e-9)
    words = f"weighted: 400 paths, as many as {weighting.alike:.0f} alike"
    assert words in (folder.path / "index.html").read_text(encoding="utf-8")
    console = make_console(200)
    with console.capture() as said:
        show_run(run, console)
    assert f"base: {words}" in said.get()


def test_weights_that_are_all_equal_change_no_bit_of_a_run(tmp_path: Path, monkeypatch) -> None:
    run_of(tmp_path / "plain", 50, facts=False)
    sampled = blocks.sample_block
    monkeypatch.setattr(blocks, "sample_block", lambda *a: replace(p := sampled(*a), weights=np.full(len(p), 0.3)))
    run_of(tmp_path / "equal", 50, facts=False)
    plain, equal = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("plain", "equal"))
    assert plain["scenarios"] == equal["scenarios"]
    assert plain["findings"] == equal["findings"]
    assert "weight" not in RunFolder(tmp_path / "equal").read_metrics()


def test_weights_go_to_a_file_and_come_back_with_the_paths(tmp_path: Path) -> None:
    candles = sg.load_candles("sp500").context(64)
    paths = sg.sample(candles, horizon=10, paths=60, model="gbm", seed=3)
    weighted = replace(paths, weights=1.0 + np.arange(60))
    file = tmp_path / "paths.parquet"
    weighted.to_pandas().to_parquet(file)
    strategy = "strategies/buy_and_hold.py:BuyAndHold"
    reports = [sg.backtest_paths(given, strategy, context=candles) for given in (weighted, file)]
    shares = [report.strategies[0].probability_of_loss for report in reports]
    assert shares[0] == shares[1]
    assert shares[0].count is None
    assert shares[0] != sg.backtest_paths(paths, strategy, context=candles).strategies[0].probability_of_loss
    for report in reports:
        assert f"weighted: 60 paths, as many as {weighted.weighting.effective:.0f} alike" in report.notes


@pytest.mark.parametrize("weight", [-1.0, np.nan, 0.0])
def test_a_column_of_weights_that_are_none_is_refused(weight: float) -> None:
    paths = sg.sample(sg.load_candles("sp500").context(64), horizon=10, paths=5, model="gbm", seed=3)
    with pytest.raises(DataError, match="without one weight of at least 0"):
        sg.backtest_paths(paths.to_pandas().assign(weight=weight), "strategies/buy_and_hold.py:BuyAndHold")


def test_a_weight_that_changes_along_a_path_is_refused() -> None:
    frame = sg.sample(sg.load_candles("sp500").context(64), horizon=10, paths=5, model="gbm", seed=3).to_pandas()
    with pytest.raises(DataError, match="has 5 paths without one weight"):
        sg.backtest_paths(frame.assign(weight=np.arange(50.0)), "strategies/buy_and_hold.py:BuyAndHold")
