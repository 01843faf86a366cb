"""Replays in a run: one path each, beside the scenarios and in none of their figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.cli.show import show_run
from scenario_gen.report.page import build_page
from scenario_gen.store.folder import RunFolder
from scenario_gen.stress.replay import ReplayResult
from tests.pipeline.test_crises_in_a_run import spec_of
from tests.report.checks import check_numbers, seen

STRATEGIES = Path(__file__).parents[2] / "strategies"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[sg.StressRun, Path]:
    folder = tmp_path_factory.mktemp("runs") / "replays"
    spec = spec_of(
        {"name": "lehman", "context": {"crisis": "lehman"}},
        {"name": "old", "context": {"crisis": "sept11", "seed": "onset"}},
        {"name": "again", "replay": {"crisis": "lehman"}},
        {"name": "loud", "replay": {"crisis": "volmageddon", "then": 5}, "paths": {"count": 450}},
        {"name": "moves", "replay": {"moves": [-0.1, 0.05]}},
        {"name": "garch", "replay": {"crisis": "brexit", "then": 3}, "generator": {"kind": "garch"}},
        broker={"fill": "close"},
        strategies=[
            {"use": f"{STRATEGIES}/buy_and_hold.py:BuyAndHold"},
            {"use": f"{STRATEGIES}/sma_cross.py:SmaCross", "params": {"fast": 3, "slow": 10}},
        ],
        report={"folder": str(folder)},
    )
    return sg.run(spec), folder


def replays(run: tuple[sg.StressRun, Path]) -> dict[str, ReplayResult]:
    return {replay.name: replay for replay in run[0].replays}


def test_replays_are_in_no_table_of_paths(run: tuple[sg.StressRun, Path]) -> None:
    result, folder = run
    assert [scenario.name for scenario in result.scenarios] == ["base", "lehman", "old"]
    assert set(pd.read_parquet(folder / "metrics.parquet")["scenario"]) == {"base", "lehman", "old"}
    assert {finding.scenario for finding in result.findings} <= {"", "base", "lehman", "old"}
    assert list(replays(run)) == ["again", "loud", "moves", "garch"]


def test_what_is_held_makes_what_the_market_makes(run: tuple[sg.StressRun, Path]) -> None:
    # Bought at the first close, without costs: the return from the second bar on.
    for replay in run[0].replays:
        close = np.array(replay.close)
        held = replay.strategies[0]
        assert held.total_return == pytest.approx(close[-1] / close[1] - 1, abs=1e-5)  # closes have seven digits
        assert held.trades == 1
        assert len(close) == replay.bars + 1
    assert replays(run)["moves"].total_return == pytest.approx(0.9 * 1.05 - 1)
    assert replays(run)["moves"].drawdown == pytest.approx(0.1)
    assert replays(run)["moves"].crisis is None


def test_bars_are_those_of_the_function(run: tuple[sg.StressRun, Path], sp500: sg.Candles) -> None:
    bars = sg.replay(sp500.split_at("2016-06-30")[0], "lehman")
    again = replays(run)["again"]
    np.testing.assert_allclose(again.close[1:], bars.close, rtol=1e-6)
    assert again.first == bars.timestamps[0].isoformat()
    assert again.last == bars.timestamps[-1].isoformat()


def test_a_continuation_has_a_median_and_the_replay_alone_has_none(run: tuple[sg.StressRun, Path]) -> None:
    loud, again = replays(run)["loud"], replays(run)["again"]
    assert (loud.paths, loud.then, loud.rejected) == (450, 5, 0)
    then = loud.strategies[0].then
    low, median, high = (then[level].value for level in ("0.05", "0.5", "0.95"))
    assert low is not None
    assert median is not None
    assert high is not None
    assert low < median < high
    # The bootstrap resamples the user's context: five bars of it move a holder by no more than a few per cent.
    assert median == pytest.approx(loud.strategies[0].total_return, abs=0.03)
    assert again.strategies[0].then == {}
    assert again.paths == 0
    assert replays(run)["garch"].paths == 60  # fitted to the history with the crisis at its end


def test_a_run_with_replays_is_read_back_and_repeats_itself(run: tuple[sg.StressRun, Path], tmp_path: Path) -> None:
    assert RunFolder(run[1]).read_run() == run[0]


def test_the_page_tells_crises_and_replays_with_numbers_of_the_run(run: tuple[sg.StressRun, Path]) -> None:
    page = build_page(run[0])
    assert check_numbers(page, run[0]) > 50
    text = seen(page)
    assert "What if it began where crises began?" in text
    assert "What if a crisis came again, here?" in text
    assert "4 crises told in the bars of this market, of one path each" in text
    assert "In old most opens equal the close before" in text
    assert "on paths that share the crisis" in text


def test_the_terminal_tells_them_too(run: tuple[sg.StressRun, Path], capsys: pytest.CaptureFixture[str]) -> None:
    show_run(run[0])
    out = capsys.readouterr().out
    assert "What if it began where crises began? The market." in out
    assert "What if a crisis came again, here? The strategies." in out
