"""Shocks in contexts through a whole run: pairs of the base's own random numbers, findings, page and terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.cli.show import show_run
from scenario_gen.errors import DataError
from scenario_gen.report.page import build_page
from scenario_gen.store.folder import RunFolder
from tests.pipeline.test_crises_in_a_run import spec_of
from tests.report.checks import check_numbers, seen


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[sg.StressRun, Path]:
    folder = tmp_path_factory.mktemp("runs") / "answers"
    gap = {"shocks": [{"kind": "gap", "size": -0.05}]}
    spec = spec_of(
        {"name": "flat", "generator": {"kind": "gbm"}, "context": gap},
        {"name": "loud", "generator": {"kind": "garch"}, "context": gap},
        {"name": "dry", "context": {"shocks": [{"kind": "liquidity", "volume": 0.1, "bars_back": 3}]}},
        report={"folder": str(folder)},
    )
    return sg.run(spec), folder


def test_findings_name_who_answers_and_who_does_not(run: tuple[sg.StressRun, Path]) -> None:
    labels = {finding.scenario: finding.label for finding in run[0].findings if finding.name == "shock_response"}
    assert labels["flat"] == "FAIL"
    assert labels["loud"] in ("PASS", "WARN", "INCONCLUSIVE")
    assert labels["dry"] == "UNTESTABLE"
    assert set(labels) == {"flat", "loud", "dry"}


def test_paths_set_out_from_the_shocked_close(run: tuple[sg.StressRun, Path], sp500: sg.Candles) -> None:
    last = sp500.split_at("2016-06-30")[0].close[-1]
    anchors = {scenario.name: scenario.context.anchor_close for scenario in run[0].scenarios}
    assert anchors["base"] == last
    assert anchors["flat"] == anchors["loud"] == pytest.approx(0.95 * last)
    assert anchors["dry"] == last
    realised = {scenario.name: scenario.realised_close for scenario in run[0].scenarios}
    assert realised["base"]
    assert realised["loud"] == []  # nothing really came after what did not happen


def test_the_shock_on_the_paths_costs_a_holder_what_it_says(run: tuple[sg.StressRun, Path]) -> None:
    for scenario in run[0].scenarios:
        if scenario.response is None or scenario.name == "dry":
            continue
        (holder,) = scenario.response.strategies
        assert holder.without.value is not None
        assert holder.on_paths.value is not None
        # Bought in the first bar, gapped in the second: 1 + r becomes .95 (1 + r) on every path.
        assert holder.on_paths.value == pytest.approx(0.95 * (1 + holder.without.value) - 1, abs=1e-5)


def test_pairs_are_those_of_the_scenarios_own_paths(run: tuple[sg.StressRun, Path]) -> None:
    result, folder = run
    kept = pd.read_parquet(folder / "paths" / "loud.parquet")
    last = kept.groupby("path_id")["close"].last().to_numpy(dtype=np.float64)
    scenario = next(one for one in result.scenarios if one.name == "loud")
    assert scenario.response is not None
    assert scenario.response.paths == 60
    returns = scenario.strategies[0].metrics[0].mean.value
    assert scenario.response.strategies[0].in_context.value == pytest.approx(returns)
    assert len(last) == 60


def test_page_and_terminal_tell_the_answer(run: tuple[sg.StressRun, Path], capsys: pytest.CaptureFixture[str]) -> None:
    page = build_page(run[0])
    assert check_numbers(page, run[0]) > 50
    text = seen(page)
    assert "How does the market answer a shock?" in text
    assert "FAIL flat: no response" in " ".join(text.split())
    assert "Answers to shocks in the context" in page  # the figure, read aloud
    assert RunFolder(run[1]).read_run() == run[0]
    show_run(run[0])
    assert "How does the market answer a shock? Both ways." in capsys.readouterr().out


def test_a_shock_on_volume_needs_volume(tmp_path: Path, sp500: sg.Candles) -> None:
    bars = sp500.rows(0, 300).frame().drop(columns="volume")
    bars.to_csv(tmp_path / "prices.csv", index_label="date")
    dry = {"name": "dry", "context": {"shocks": [{"kind": "liquidity", "volume": 0.1}]}}
    spec = spec_of(dry, data={"file": str(tmp_path / "prices.csv")}, report={"folder": str(tmp_path / "run")})
    with pytest.raises(DataError, match=r"scenarios\[dry\]\.context\.shocks: a shock on liquidity"):
        sg.run(spec)
