"""How probable a loss of several assets together is, in a run: as counted on kept futures, by branches, and refused."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import scenario_gen as sg
from scenario_gen.cli.show import show_run
from scenario_gen.errors import DataError
from scenario_gen.finding import EVENT_CROSS_CHECK, EVENT_IN_HISTORY, EVENT_MODELS_AGREE, EVENT_PROBABILITY
from scenario_gen.generators.filtered import FilteredPaths
from scenario_gen.market import load_candles
from scenario_gen.stress.event import PortfolioEvent
from scenario_gen.stress.portfolio import portfolio_in_history
from scenario_gen.stress.verdicts import EventResult

PATHS, HORIZON = 600, 4
LOSS = {"functional": "portfolio_loss", "at_least": 0.02, "weights": {"spx": 0.7, "ndx": 0.3}}


def spec_of(scenarios: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    return {
        "name": "book",
        "data": {"end": "2017-06-30"},
        "bars": {"horizon": HORIZON, "context": 64},
        "paths": {"count": PATHS, "seed": 7, "block": 512, "keep": "paths"},
        "generator": {"kind": "fhs"},
        "checks": {"facts": False, "calibration": False},
        "assets": [{"name": "spx", "source": "sp500"}, {"name": "ndx", "source": "nasdaq"}],
        "scenarios": scenarios,
        "strategies": [{"use": "strategies/buy_and_hold.py:BuyAndHold"}],
        **changes,
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[sg.StressRun, Path]:
    folder = tmp_path_factory.mktemp("rare") / "run"
    split = {"method": "splitting", "island": 64, "islands": [8, 8], "sweeps": 0}
    scenarios = [
        {"name": "counted", "event": LOSS, "sampler": {"method": "rejection"}},
        {"name": "split", "event": LOSS, "sampler": split, "paths": {"count": 64, "seed": 3}},
    ]
    limits = {"event_probability": {"counted": 0.001, "split": 0.5}}
    return sg.run(spec_of(scenarios, baselines=["gbm"], limits=limits), folder=folder), folder


def events(run: sg.StressRun) -> dict[str, EventResult]:
    assert run.book is not None
    return {book.name: book.event for book in run.book.scenarios if book.event is not None}


def equity(folder: Path, name: str, weights: tuple[float, float]) -> np.ndarray:
    """What 1 held by these weights is worth on every kept future [path, bar]."""
    worth: Any = 1.0
    for asset, source, weight in zip(("spx", "ndx"), ("sp500", "nasdaq"), weights, strict=True):
        (file,) = (folder / "paths").glob(f"{name}-{asset}*.parquet")
        closes = pd.read_parquet(file).pivot(index="path_id", columns="timestamp", values="close")
        history = load_candles(source)
        anchor = history.close[history.timestamps <= "2017-06-30"][-1]
        worth = worth + weight * (closes.to_numpy(dtype=np.float64) / anchor - 1)
    return np.asarray(worth)


def test_plain_joint_paths_of_an_event_are_those_that_strategies_trade(done: tuple[sg.StressRun, Path]) -> None:
    run, folder = done
    told = events(run)
    assert list(told) == ["counted", "split"]
    assert all(scenario.event is None for scenario in run.scenarios)
    lost = 1 - equity(folder, "counted", (0.7, 0.3))[:, -1] >= 0.02
    assert told["counted"].sampled.probability.count == lost.sum() > 30


def test_branched_joint_paths_agree_with_plain_ones_within_the_stated_error(done: tuple[sg.StressRun, Path]) -> None:
    plain, split = (events(done[0])[name].sampled for name in ("counted", "split"))
    assert (plain.method, split.method, split.islands) == ("rejection", "splitting", 8)
    assert plain.probability.value is not None
    assert split.probability.value is not None
    errors = [each.probability.value * each.relative_error for each in (plain, split)]  # type: ignore[operator]
    # t of 7 degrees of freedom beyond 4: 1 in 190; the seeds are fixed
    assert abs(plain.probability.value - split.probability.value) < 4 * np.hypot(*errors)


def test_baselines_history_and_limits_stand_beside_an_event_of_a_book(done: tuple[sg.StressRun, Path]) -> None:
    run = done[0]
    told = events(run)
    assert [(model.generator, model.method) for model in told["counted"].models] == [("gbm", "rejection")]
    assert [model.method for model in told["split"].models] == ["splitting"]
    labels = {finding.scenario: finding.label for finding in EVENT_PROBABILITY.of(run.findings)}
    assert labels == {"counted": "FAIL", "split": "PASS"}
    for check in (EVENT_MODELS_AGREE, EVENT_IN_HISTORY):
        assert {finding.scenario for finding in check.of(run.findings)} == {"counted", "split"}
    assert [finding.scenario for finding in EVENT_CROSS_CHECK.of(run.findings)] == ["split"]


def test_windows_of_common_history_are_counted_as_a_hand_would() -> None:
    histories = {name: load_candles(source).context(700) for name, source in (("spx", "sp500"), ("ndx", "nasdaq"))}
    every, alike = portfolio_in_history(PortfolioEvent.model_validate(LOSS), histories, HORIZON)
    closes = np.stack([history.close for history in histories.values()], axis=1)[::-1]
    ends, starts = closes[: 700 - 64 - HORIZON + 1 : HORIZON], closes[HORIZON : 700 - 64 + 1 : HORIZON]
    lost = (1 - ends / starts) @ [0.7, 0.3] >= 0.02
    assert (every.count, every.n) == (lost.sum(), len(lost))
    assert 0 < alike.n < every.n


def test_page_and_terminal_say_how_rare_the_loss_of_a_book_is(done: tuple[sg.StressRun, Path]) -> None:
    run, folder = done
    page = re.sub(r"<[^>]+>", " ", (folder / "index.html").read_text())
    sampled = events(run)["counted"].sampled
    words = "the portfolio of 0.7 spx, 0.3 ndx loses 2 % or more within 4 bars"
    for text in ("How rare is each event?", words, f"{sampled.plain.count} of 600 plain paths are in the event"):
        assert text in page
    console = Console(file=StringIO(), width=300)
    show_run(run, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert words in shown
    assert "How rare is each event?" in shown


def test_paths_that_cannot_be_branched_are_refused_before_anything_is_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: Any) -> None:
        raise DataError("paths of fhs cannot be branched bar by bar")

    monkeypatch.setattr(FilteredPaths, "start", unable)
    spec = spec_of([{"name": "rare", "event": LOSS}])
    with pytest.raises(DataError, match=r"scenarios\[rare\]\.event: paths of fhs cannot be branched"):
        sg.run(spec, folder=tmp_path / "run")
    assert not list((tmp_path / "run").glob("**/*.npz"))
