"""``scenario-gen event`` and ``scenario_gen.sample_event``: what they say, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenario_gen as sg
from scenario_gen.errors import DataError, SpecError

SPEC = """
name: demo
data: {source: sp500, end: 2016-06-30}
bars: {context: 128, horizon: 15}
paths: {count: 300, seed: 1}
generator: {kind: fhs}
scenarios:
  - {name: base}
  - name: crash
    event: {functional: max_drawdown, at_least: 0.25}
    sampler: {island: 32, islands: [8, 8]}
strategies: [{use: strategies/buy_and_hold.py:BuyAndHold}]
limits: {event_probability: {crash: 0.0000001}}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "demo.yaml"
    path.write_text(SPEC)
    return path


def test_the_command_says_how_rare_an_event_is_and_ends_with_3_beyond_a_limit(
    invoke: Callable[..., Any], spec: Path
) -> None:
    shown = invoke("event", spec, "crash", "--quiet")
    assert shown.exit_code == 3
    assert "drawdown of 25 %" in shown.stdout
    assert "8 independent islands" in shown.stdout
    assert "limits breached: event_probability" in shown.stderr
    told = json.loads(invoke("event", spec, "crash", "--json").stdout)
    assert told["scenario"] == "crash"
    sampled = told["event"]["sampled"]
    assert (sampled["method"], sampled["islands"]) == ("splitting", 8)
    assert sampled["probability"]["low"] < sampled["probability"]["value"] < sampled["probability"]["high"]
    assert [model["generator"] for model in told["event"]["models"]] == ["garch", "bootstrap"]


@pytest.mark.parametrize("name", ["base", "crsh"])
def test_a_scenario_without_an_event_is_refused_with_those_that_have_one(
    invoke: Callable[..., Any], spec: Path, name: str
) -> None:
    refused = invoke("event", spec, name)
    assert refused.exit_code == 2
    assert f"has no event called {name}" in refused.stderr
    assert "one of crash" in refused.stderr


@pytest.fixture(scope="module")
def context(sp500: sg.Candles) -> sg.Candles:
    return sp500.split_at("2016-06-30")[0].context(128)


def test_sampled_paths_of_an_event_have_weights_that_add_up_to_its_probability(context: sg.Candles) -> None:
    event = {"functional": "max_drawdown", "at_least": 0.25}
    found = sg.sample_event(context, event, horizon=15, model="fhs", islands=8, island=32, paths=300, seed=1)
    assert found.sampled.method == "splitting"
    assert found.weights.sum() == pytest.approx(1.0)
    assert found.weights[found.happened].sum() == pytest.approx(found.probability)
    low, high = found.interval
    assert low is not None
    assert high is not None
    assert low < (found.probability or 0.0) < high
    assert len(found.levels) > 2
    assert found.genealogy is not None
    closes = found.paths.close[found.happened].astype(np.float64)
    anchored = np.concatenate((np.full((len(closes), 1), context.close[-1]), closes), axis=1)
    falls = 1 - anchored / np.maximum.accumulate(anchored, axis=1)
    assert (falls.max(axis=1) >= 0.25 - 1e-6).all()


def test_a_common_event_is_counted_on_plain_paths(context: sg.Candles) -> None:
    dip = sg.Event(functional="terminal_return", at_most=-0.001)
    found = sg.sample_event(context, dip, horizon=15, model="fhs", paths=400, seed=1)
    assert found.sampled.method == "rejection"
    assert found.paths.weights is None
    assert found.happened.mean() == pytest.approx(found.probability)
    assert np.array_equal(found.happened, found.paths.close[:, -1] / context.close[-1] - 1 <= -0.001)


def test_an_event_from_python_is_refused_in_the_words_of_a_spec(context: sg.Candles) -> None:
    with pytest.raises(SpecError, match=r"at_least is 25, expected a share of the price between 0 and 1"):
        sg.sample_event(context, {"functional": "max_drawdown", "at_least": 25}, horizon=15, model="fhs")
    with pytest.raises(SpecError, match="islands is"):
        sg.sample_event(context, sg.Event(functional="max_drawdown", at_least=0.2), horizon=15, model="fhs", islands=1)
    with pytest.raises(DataError, match="beyond this generator"):
        event = sg.Event(functional="bar_return", at_most=-0.5)
        sg.sample_event(context, event, horizon=15, model="bootstrap")


def test_an_event_of_an_account_that_is_none_says_file_line_and_field(invoke: Callable[..., Any], spec: Path) -> None:
    spec.write_text(SPEC.replace("{functional: max_drawdown,", "{functional: strategy_loss, strategy: Sma,"))
    refused = invoke("event", spec, "crash")
    assert refused.exit_code == 2
    assert f"{spec}:10: scenarios[crash].event: event.strategy is 'Sma', which is none of" in refused.stderr
