"""A spec becomes a run folder: complete, repeatable, resumable, and honest about what it dropped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.errors import CheckError, DataError, ScenarioError, StoreError, StrategyError
from scenario_gen.pipeline import run_spec
from scenario_gen.progress import SilentProgress
from scenario_gen.spec.loader import spec_from_dict
from scenario_gen.store.folder import RunFolder

ROOT = Path(__file__).parents[2]
STRATEGIES = ROOT / "strategies"


def _spec(folder: Path, model: Path | None = None, **changes: Any) -> dict[str, Any]:
    generator = {"kind": "bootstrap"} if model is None else {"kind": "kronos", "model": str(model), "device": "cpu"}
    return {
        "name": "trial",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 40, "horizon": 20},
        "paths": {"count": 70, "seed": 3, "block": 32},
        "generator": generator,
        "checks": {"facts": False, "calibration": False},
        "broker": {"fees": 0.001, "slippage": 0.0005},
        "strategies": [
            {"use": f"{STRATEGIES}/buy_and_hold.py:BuyAndHold"},
            {"use": f"{STRATEGIES}/sma_cross.py:SmaCross", "params": {"fast": [3, 5], "slow": 10}},
        ],
        "limits": {"max_drawdown": 0.08},
        "report": {"folder": str(folder)},
        **changes,
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[sg.StressRun, Path]:
    folder = tmp_path_factory.mktemp("runs") / "done"
    spec = _spec(
        folder, scenarios=[{"name": "base"}, {"name": "short", "bars": {"horizon": 5}}], baselines=["bootstrap"]
    )
    return sg.run(spec), folder


def test_the_folder_holds_result_metrics_and_a_page(done: tuple[sg.StressRun, Path]) -> None:
    run, folder = done
    assert RunFolder(folder).read_run() == run
    metrics = pd.read_parquet(folder / "metrics.parquet")
    assert len(metrics) == 3 * 3 * 70
    assert set(metrics["scenario"]) == {"base", "short", "bootstrap"}
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "BuyAndHold" in page
    assert "http-equiv" in page


def test_every_summary_is_what_the_metrics_file_says(done: tuple[sg.StressRun, Path]) -> None:
    run, folder = done
    metrics = pd.read_parquet(folder / "metrics.parquet")
    for scenario in run.scenarios:
        for strategy in scenario.strategies:
            rows = metrics[(metrics["scenario"] == scenario.name) & (metrics["strategy"] == strategy.name)]
            assert len(rows) == 70
            for summary in strategy.metrics:
                values = rows[summary.metric].dropna().to_numpy()
                assert summary.not_applicable == 70 - len(values)
                if len(values):
                    assert summary.mean.value == pytest.approx(values.mean())
                median = summary.quantiles["0.5"]
                if median.value is not None:
                    assert median.value == pytest.approx(np.median(values))


def test_named_paths_are_the_ranks_of_total_return_and_carry_their_trades(done: tuple[sg.StressRun, Path]) -> None:
    run, folder = done
    metrics = pd.read_parquet(folder / "metrics.parquet")
    for strategy in run.scenarios[0].strategies:
        rows = metrics[(metrics["scenario"] == "base") & (metrics["strategy"] == strategy.name)]
        named = {path.label: path for path in strategy.named_paths}
        assert len(named) == 5
        assert named["worst"].total_return == pytest.approx(rows["total_return"].min())
        assert named["best"].total_return == pytest.approx(rows["total_return"].max())
        for path in named.values():
            row = rows[rows["path_id"] == path.path_id].iloc[0]
            assert path.total_return == pytest.approx(row["total_return"])
            assert len(path.trades) == row["trades"]
            assert len(path.equity) == 21
            assert path.equity[-1] / path.equity[0] - 1 == pytest.approx(path.total_return, abs=1e-6)


def test_the_realised_continuation_stands_among_the_paths(done: tuple[sg.StressRun, Path], sp500: sg.Candles) -> None:
    run, folder = done
    later = sp500.split_at("2016-03-31")[1]
    base = run.scenarios[0]
    np.testing.assert_allclose(base.realised_close, later.close[:20])
    hold = base.strategies[0].realised
    assert hold is not None
    bought = later.column("open")[0] * 1.0005
    sold_at = later.close[19]
    assert hold.metrics["total_return"] == pytest.approx(sold_at / (bought * 1.001) - 1, abs=1e-6)
    metrics = pd.read_parquet(folder / "metrics.parquet")
    rows = metrics[(metrics["scenario"] == "base") & (metrics["strategy"] == "BuyAndHold")]
    assert hold.percentile.count == int((rows["total_return"] < hold.metrics["total_return"]).sum())


def test_a_second_run_in_another_folder_gives_the_same_numbers(done: tuple[sg.StressRun, Path], tmp_path: Path) -> None:
    _, folder = done
    spec = _spec(
        tmp_path / "b", scenarios=[{"name": "base"}, {"name": "short", "bars": {"horizon": 5}}], baselines=["bootstrap"]
    )
    sg.run(spec)
    pd.testing.assert_frame_equal(
        pd.read_parquet(folder / "metrics.parquet"), pd.read_parquet(tmp_path / "b" / "metrics.parquet")
    )


def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(tiny_folder: Path, tmp_path: Path) -> None:
    whole = sg.run(_spec(tmp_path / "whole", tiny_folder))
    spec = _spec(tmp_path / "torn", tiny_folder)

    class Interrupted(SilentProgress):
        def stage(self, title: str, total: int) -> Any:
            if title == "base: backtesting":
                self.left = 4  # one block of three strategies and one more
                return _Counting(self)
            return super().stage(title, total)

    class _Counting:
        def __init__(self, owner: Any) -> None:
            self.owner = owner

        def __enter__(self) -> Any:
            return self.count

        def __exit__(self, *_: object) -> None:
            return None

        def count(self, steps: int) -> None:
            self.owner.left -= steps
            if self.owner.left <= 0:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(spec, Interrupted())
    store = RunFolder(tmp_path / "torn")
    assert store.has_block("base", 0)
    assert not store.has_block("base", 1)
    before = (store.block_path("base", 0) / "arrays.npz").stat().st_mtime_ns
    resumed = _run(spec, SilentProgress())
    assert (store.block_path("base", 0) / "arrays.npz").stat().st_mtime_ns == before
    assert resumed.scenarios == whole.scenarios


def _run(spec: dict[str, Any], progress: SilentProgress, **options: Any) -> sg.StressRun:
    settings = {"folder": None, "device": None, "paths": None, "overwrite": False, "command": "test"} | options
    return run_spec(spec_from_dict(spec), progress=progress, **settings)


def test_more_paths_keep_the_first_ones_bit_for_bit(tiny_folder: Path, tmp_path: Path) -> None:
    _run(_spec(tmp_path / "few", tiny_folder), SilentProgress(), paths=20)
    _run(_spec(tmp_path / "many", tiny_folder), SilentProgress(), paths=50)
    few, many = (pd.read_parquet(tmp_path / name / "metrics.parquet") for name in ("few", "many"))
    first = many[many["path_id"] < 20].reset_index(drop=True)
    pd.testing.assert_frame_equal(few, first, check_exact=True)


def test_kept_paths_are_written_whole(tiny_folder: Path, tmp_path: Path) -> None:
    spec = _spec(tmp_path / "kept", tiny_folder)
    spec["paths"] |= {"keep": "paths"}
    sg.run(spec)
    frame = pd.read_parquet(tmp_path / "kept" / "paths" / "base.parquet")
    assert len(frame) == 70 * 20
    assert frame["path_id"].nunique() == 70


def test_another_spec_in_the_same_folder_is_refused_and_nothing_is_lost(
    done: tuple[sg.StressRun, Path], tmp_path: Path
) -> None:
    _, folder = done
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    spec = _spec(copy)
    spec["paths"] |= {"seed": 4}
    with pytest.raises(StoreError, match="holds another run"):
        sg.run(spec)
    assert RunFolder(copy).read_run().name == "trial"
    assert sg.run(spec, overwrite=True).spec["scenarios"][0]["paths"]["seed"] == 4


def test_a_changed_strategy_file_is_another_run(tmp_path: Path) -> None:
    strategy = tmp_path / "mine.py"
    shutil.copy(STRATEGIES / "buy_and_hold.py", strategy)
    spec = _spec(tmp_path / "run", strategies=[{"use": f"{strategy}:BuyAndHold"}])
    sg.run(spec)
    strategy.write_text(strategy.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    with pytest.raises(StoreError, match="strategies"):
        sg.run(spec)


def test_run_json_has_no_nan_and_no_path_of_this_machine(done: tuple[sg.StressRun, Path]) -> None:
    text = (done[1] / "run.json").read_text(encoding="utf-8")
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in run.json"))


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"data": {"source": "sp500", "end": "1990-01-01"}}, DataError, "no bar up to data.end"),
        ({"data": {"source": "sp500", "end": "1999-02-01"}}, DataError, "the context needs 40"),
        ({"data": {"source": "sp500", "calendar": "XNYZ"}}, DataError, "XNYZ"),
    ],
)
def test_data_that_cannot_serve_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], kind: type[ScenarioError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        sg.run(_spec(tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


def test_a_strategy_that_raises_is_blamed_with_its_own_line(tmp_path: Path) -> None:
    strategy = tmp_path / "mine.py"
    strategy.write_text(
        "from dataclasses import dataclass\n\n\n@dataclass(frozen=True)\nclass Broken:\n"
        "    def weights(self, bars):\n        return bars.close / bars.nothing\n",
        encoding="utf-8",
    )
    with pytest.raises(StrategyError, match=r"mine\.py") as caught:
        sg.run(_spec(tmp_path / "run", strategies=[{"use": f"{strategy}:Broken"}]))
    assert "7" in str(caught.value)
    assert "bars.nothing" in str(caught.value)


def test_fail_stops_on_invalid_candles_and_repair_counts_them(tmp_path: Path) -> None:
    golden = ROOT / "tests" / "kronos" / "golden"  # levels of random weights: many invalid candles
    spec = _spec(tmp_path / "fail", golden, checks={"on_invalid": "fail"})
    with pytest.raises(CheckError, match="V3"):
        sg.run(spec)
    run = sg.run(_spec(tmp_path / "repair", golden))
    account = run.scenarios[0].candles
    assert account.repaired > 0
    assert account.label == "FAIL"
    assert next(f for f in run.findings if f.name == "candles").label == "FAIL"


def test_a_longer_real_continuation_than_the_horizon_is_cut_and_a_shorter_one_is_said(tmp_path: Path) -> None:
    run = sg.run(_spec(tmp_path / "late", data={"source": "sp500", "end": "2018-12-20"}))
    realised = run.scenarios[0].strategies[0].realised
    assert realised is not None
    assert realised.bars == 6  # 2018-12-21, 24, 26, 27, 28, 31
    run = sg.run(_spec(tmp_path / "last", data={"source": "sp500"}))
    assert run.scenarios[0].strategies[0].realised is None
    assert run.scenarios[0].realised_close == []


@pytest.mark.parametrize(("end", "told"), [("2019-01-04", True), ("2018-12-31", False), ("2018-12-28", False)])
def test_a_history_that_ends_before_the_asked_date_is_told(tmp_path: Path, end: str, told: bool) -> None:
    progress = SilentProgress()
    spec = _spec(tmp_path / "run", data={"source": "sp500", "end": end}, paths={"count": 4, "block": 4})
    run_spec(spec_from_dict(spec), folder=None, device=None, paths=None, overwrite=False, command="", progress=progress)
    assert ("base: the history ends on 2018-12-31, before data.end 2019-01-04" in progress.notes) is told
