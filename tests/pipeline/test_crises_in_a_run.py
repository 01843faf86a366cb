"""Contexts that end in crises, and what happened then among the paths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.errors import DataError
from scenario_gen.pipeline.prepared import prepare
from scenario_gen.pipeline.stages import hold_against, sample_and_trade, sum_up
from scenario_gen.pipeline.study import Results, Study
from scenario_gen.progress import SilentProgress
from scenario_gen.spec import parse_spec, spec_from_dict
from scenario_gen.store.folder import RunFolder
from scenario_gen.stress.search import deepest_fall

ROOT = Path(__file__).parents[2]


def spec_of(*scenarios: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "name": "crises",
        "data": {"source": "sp500", "end": "2016-06-30"},
        "bars": {"context": 64, "horizon": 10},
        "paths": {"count": 60, "seed": 1, "keep": "paths"},
        "generator": {"kind": "bootstrap"},
        "scenarios": [{"name": "base"}, *scenarios],
        "checks": {"facts": False, "calibration": False},
        "strategies": [{"use": f"{ROOT}/strategies/buy_and_hold.py:BuyAndHold"}],
        **changes,
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[sg.StressRun, Path]:
    folder = tmp_path_factory.mktemp("runs") / "crises"
    lehman = {"name": "lehman", "context": {"crisis": "lehman"}}
    squeeze = {"name": "squeeze", "context": {"crisis": "rate_cut_squeeze", "seed": "onset"}}
    worst = {"name": "worst", "context": {"search": {"score": "drawdown", "top": 2, "window": 60}}}
    spec = spec_of(lehman, squeeze, worst, report={"folder": str(folder)})
    return sg.run(spec), folder


def test_contexts_end_where_the_crises_say(run: tuple[sg.StressRun, Path]) -> None:
    ends = {scenario.name: scenario.context.end[:10] for scenario in run[0].scenarios}
    assert ends == {
        "base": "2016-06-30",
        "lehman": "2008-09-12",
        "squeeze": "2001-01-03",
        "worst_1": "2008-08-28",
        "worst_2": "2002-05-17",
    }
    crises = {scenario.name: scenario.crisis for scenario in run[0].scenarios}
    assert crises["base"] is None
    assert crises["lehman"] is not None
    assert crises["lehman"].crisis.id == "lehman"
    assert crises["worst_2"] is not None
    assert crises["worst_2"].crisis.ranks == {"drawdown": 2}


def test_what_happened_is_ranked_among_the_paths(run: tuple[sg.StressRun, Path], sp500: sg.Candles) -> None:
    result, folder = run
    row = int(sp500.timestamps.get_loc(pd.Timestamp("2008-09-12")))
    happened = sp500.close[row : row + 11]
    paths = pd.read_parquet(folder / "paths" / "lehman.parquet")
    closes = paths.pivot(index="path_id", columns="timestamp", values="close").to_numpy(dtype=np.float64)
    closes = np.concatenate((np.full((60, 1), happened[0]), closes), axis=1)
    crisis = next(scenario.crisis for scenario in result.scenarios if scenario.name == "lehman")
    assert crisis is not None
    assert crisis.bars == 10
    assert crisis.total_return == pytest.approx(happened[-1] / happened[0] - 1, abs=1e-6)  # closes have seven digits
    assert crisis.drawdown == pytest.approx(deepest_fall(happened[None])[0])
    assert crisis.return_rank is not None
    assert crisis.drawdown_rank is not None
    assert crisis.return_rank.count == np.sum(closes[:, -1] < happened[-1])
    assert crisis.drawdown_rank.count == np.sum(deepest_fall(closes) < crisis.drawdown)


def test_a_run_with_crises_is_read_back_as_it_was(run: tuple[sg.StressRun, Path]) -> None:
    assert RunFolder(run[1]).read_run() == run[0]


MISPLACED = [
    ("data: {start: 2010-01-01}\n    context: {crisis: lehman}", "context.crisis: the crisis lehman lies outside"),
    ("data: {start: 2008-08-01}\n    context: {crisis: lehman}", "context.crisis: S&P 500 has 30 bars up to 2008-09-1"),
    ("bars: {horizon: 5000}\n    context: {search: {top: 2}}", "context.search: a window of 5000 bars is longer than"),
    ("bars: {horizon: 4000}\n    context: {search: {top: 2}}", "context.search: a search by drawdown finds 1 crises "),
]


@pytest.mark.parametrize(("words", "message"), MISPLACED)
def test_what_only_the_data_can_refuse_has_its_line_too(words: str, message: str) -> None:
    text = (
        "name: x\ndata: {source: sp500}\nbars: {context: 64}\ngenerator: {kind: bootstrap}\n"
        f"scenarios:\n  - name: a\n    {words}\nstrategies: [{{use: strategies/buy_and_hold.py:BuyAndHold}}]\n"
    )
    loaded = parse_spec(text, ROOT, "my.yaml")
    with pytest.raises(DataError) as refused:
        prepare(loaded.spec.scenarios, ROOT, SilentProgress(), place=loaded.place)
    assert refused.value.problem.startswith(f"my.yaml:8: scenarios[a].{message}")


def test_a_context_ends_with_the_bar_of_midnight_and_not_with_its_day(
    tmp_path: Path, make_walk: Callable[[int], pd.DataFrame]
) -> None:
    bars = make_walk(400)
    fall = np.ones(400)
    fall[288:300] = np.linspace(1, 0.7, 12)  # from the midnight bar of day 12 on
    fall[300:] = 0.7
    columns = ["open", "high", "low", "close"]
    bars[columns] = bars[columns].to_numpy() * fall[:, None]
    bars.to_csv(tmp_path / "hourly.csv", index_label="time")
    asked = {"name": "a", "context": {"search": {"score": "drawdown", "window": 20}}}
    spec = spec_of(asked, data={"file": "hourly.csv", "calendar": "24/7"})
    loaded = spec_from_dict(spec, base=tmp_path)
    _, ground = prepare(loaded.spec.scenarios, loaded.base, SilentProgress())
    peak = int(np.argmax(bars["close"].to_numpy()[280:300])) + 280
    assert ground.context.timestamps[-1] == bars.index[peak]
    assert ground.later.timestamps[0] == bars.index[peak + 1]
    assert bars.index[peak].hour == 0


@pytest.fixture
def make_walk() -> Callable[[int], pd.DataFrame]:
    """Hourly bars around the clock with tiny moves, so that a planted fall begins where it was planted."""

    def make(count: int) -> pd.DataFrame:
        close = 100 * np.exp(np.cumsum(np.random.default_rng(4).normal(0, 1e-5, count)))
        close[288] *= 1.001  # the peak
        opened = np.concatenate((close[:1], close[:-1]))
        wicks = np.maximum(opened, close) * 1.0001, np.minimum(opened, close) * 0.9999
        return pd.DataFrame(
            {"open": opened, "high": wicks[0], "low": wicks[1], "close": close},
            index=pd.date_range("2024-01-01", periods=count, freq="h"),
        )

    return make


def test_what_a_strategy_really_made_is_counted_without_the_shocks_that_were_written_into_a_context(
    tmp_path: Path,
) -> None:
    gapped = {"name": "gapped", "context": {"shocks": [{"kind": "gap", "size": -0.3}]}}
    loaded = spec_from_dict(spec_of(gapped, report={"folder": str(tmp_path / "run")}))
    study, results = Study.of(loaded, RunFolder(tmp_path / "run"), SilentProgress()), Results()
    for stage in (sample_and_trade, sum_up, hold_against):
        results, _ = stage(study, results)
    base, after = (
        {marker.stretch: marker.value for marker in scenario.strategies[0].marker} for scenario in results.scenarios
    )
    assert after["context"] == base["context"], "the same real bars, of which none fell by a third"
    assert set(base) - set(after) == {"continuation"}, "what followed the real context did not follow the shocked one"
