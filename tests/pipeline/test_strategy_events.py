"""Scenarios that ask how probable it is that a strategy loses so much, and what the paths share that break it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenario_gen.errors import SpecError
from scenario_gen.finding import Finding
from scenario_gen.generators.draws import Draws
from scenario_gen.pipeline import stages
from scenario_gen.pipeline.stress.events import judge_events, with_cases
from scenario_gen.pipeline.stress.one_event import ask_event, sample_event
from scenario_gen.pipeline.study import Results, Study
from scenario_gen.progress import SilentProgress
from scenario_gen.spec.loader import LoadedSpec, spec_from_dict
from scenario_gen.store.folder import RunFolder

CLAIRVOYANT = """
from dataclasses import dataclass
from scenario_gen.backtest import Bars, Signals


@dataclass(frozen=True)
class Clairvoyant:
    def signals(self, bars: Bars) -> Signals:
        worse = bars.close.shift(-1) < bars.close  # the wrong way round: it buys before falls
        return Signals(entries=worse, exits=~worse)


@dataclass(frozen=True)
class Idle:
    def signals(self, bars: Bars) -> Signals:
        never = bars.close < 0
        return Signals(entries=never, exits=never)
"""
HOLD = {"use": "strategies/buy_and_hold.py:BuyAndHold"}
LOSS = {"functional": "strategy_loss", "strategy": "BuyAndHold", "at_least": 0.2}
FEW = {"island": 48, "islands": [8, 8], "relative_error": 0.9}


def _spec(event: dict[str, Any], sampler: dict[str, Any], *strategies: dict[str, Any]) -> LoadedSpec:
    return spec_from_dict(
        {
            "name": "losses",
            "data": {"source": "sp500", "end": "2016-06-30"},
            "bars": {"context": 80, "horizon": 15},
            "paths": {"count": 300, "seed": 1, "block": 512},
            "generator": {"kind": "fhs"},
            "checks": {"facts": False, "calibration": False},
            "broker": {"fees": 0.001},
            "scenarios": [{"name": "breaks", "event": event, "sampler": sampler}],
            "strategies": list(strategies) or [HOLD],
        }
    )


def _run(loaded: LoadedSpec, folder: Path) -> tuple[Results, list[Finding]]:
    """The stages that are about events, without the page and what else is judged."""
    study = with_cases(Study.of(loaded, RunFolder(folder), SilentProgress()))
    results, findings = Results(), list[Finding]()
    for stage in (stages.sample_and_trade, stages.sum_up, judge_events):
        results, more = stage(study, results)
        findings += more
    return results, findings


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, list[Finding]]:
    return _run(_spec(LOSS, FEW), tmp_path_factory.mktemp("losses") / "run")


def test_a_run_says_how_probable_a_strategys_loss_is_and_what_breaks_it(split: tuple[Results, list[Finding]]) -> None:
    scenario = split[0].scenarios[0]
    event, broken = scenario.event, scenario.reverse
    assert event is not None
    assert broken is not None
    assert event.words == "BuyAndHold loses 20 % or more"
    assert event.sampled.method == "splitting"
    assert not event.sampled.refreshed
    assert 0 < (event.sampled.probability.low or 0) < (event.sampled.probability.high or 0) < 0.05
    assert [model.generator for model in event.models] == ["garch", "bootstrap"]
    assert event.history is not None
    assert event.history.n > 200
    assert broken.strategy == "BuyAndHold"
    assert broken.paths == (event.sampled.genealogy.paths if event.sampled.genealogy else 0)
    trend = next(trait for trait in broken.traits if trait.name == "trend")
    assert (trait_value := trend.apart.value) is not None
    assert trait_value < -1.5, "who holds loses on paths that fall"
    assert broken.inside[-1] < 0.82


def test_given_the_event_the_strategy_has_lost_what_the_event_says(split: tuple[Results, list[Finding]]) -> None:
    event = split[0].scenarios[0].event
    assert event is not None
    assert event.given[0].mean.value is not None
    assert event.given[0].mean.value < -0.2


def test_a_frequent_loss_is_counted_on_plain_paths(tmp_path: Path) -> None:
    results, _ = _run(_spec({**LOSS, "at_least": 0.001}, {}), tmp_path / "run")
    event, broken = results.scenarios[0].event, results.scenarios[0].reverse
    assert event is not None
    assert broken is not None
    assert event.sampled.method == "rejection"
    assert event.sampled.probability.count == broken.paths
    losing = next(metric for metric in results.scenarios[0].strategies if metric.name == "BuyAndHold")
    assert losing.name == "BuyAndHold"


def test_a_strategy_that_looks_ahead_is_not_split(tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text(CLAIRVOYANT)
    use = {"use": f"{tmp_path}/rules.py:Clairvoyant"}
    event = {"functional": "strategy_loss", "strategy": "Clairvoyant", "at_least": 0.35}
    with pytest.raises(SpecError, match=r"sampler.method is splitting, and Clairvoyant was not seen to decide by past"):
        with_cases(
            Study.of(_spec(event, {**FEW, "method": "splitting"}, use), RunFolder(tmp_path / "a"), SilentProgress())
        )
    study = with_cases(Study.of(_spec(event, FEW, use), RunFolder(tmp_path / "b"), SilentProgress()))
    case = study.grounds[0].case
    assert case is not None
    assert case.sampler.method == "refresh"
    island = case.asked.island(0, case.score, case.sampler)
    assert 0 < island.probability < 0.2
    plain = case.asked.generator.sample(case.asked.context, case.asked.timestamps, Draws.block(1, 0, 50))
    assert np.isfinite(case.score(plain.values).measure).all()


def test_an_idle_strategy_is_told_to_be_flat(tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text(CLAIRVOYANT)
    event = {"functional": "strategy_loss", "strategy": "Idle", "at_least": 0.1}
    sampler = {**FEW, "method": "rejection"}
    _, findings = _run(_spec(event, sampler, {"use": f"{tmp_path}/rules.py:Idle"}), tmp_path / "run")
    found = next(finding for finding in findings if finding.name == "event_probability")
    assert found.label == "INCONCLUSIVE"
    assert "score flat for 100% of paths" in found.measured


def test_the_strategy_must_be_one_of_the_run(tmp_path: Path) -> None:
    wrong = _spec({**LOSS, "strategy": "BuyAndHolt"}, FEW)
    with pytest.raises(SpecError, match="none of the strategies") as refused:
        with_cases(Study.of(wrong, RunFolder(tmp_path), SilentProgress()))
    assert "did you mean 'BuyAndHold'" in str(refused.value)


def test_the_command_and_python_ask_or_refuse_it() -> None:
    report = ask_event(_spec({**LOSS, "at_least": 0.002}, {}), "breaks", SilentProgress())
    assert report.event.sampled.probability.value
    with pytest.raises(SpecError, match="nothing is traded here"):
        sample_event("sp500", LOSS, horizon=10, model="gbm", paths=50)
