"""Studies of the verdicts on designed stress: views, the probability of an event, and the answer to a shocked context.

Of views the paths are random walks whose volatility is that of the truth. Events and answers are asked of whole runs on
a market whose volatility answers to its moves, of a GARCH fitted to it, with few paths.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scenario_gen as sg
from benchmarks.study import WARNS, Answers, Ask, Row, Study, World
from scenario_gen.finding import (
    CONTEXT_IN_DISTRIBUTION,
    EVENT_CROSS_CHECK,
    EVENT_GENEALOGY,
    EVENT_IN_HISTORY,
    EVENT_MODELS_AGREE,
    EVENT_PROBABILITY,
    SHOCK_RESPONSE,
    VIEW_REACH,
    Finding,
)
from scenario_gen.market.paths import PathSet
from scenario_gen.stats.weights import Weights
from scenario_gen.stress.verdicts import event_findings
from scenario_gen.stress.view import View
from scenario_gen.stress.views import (
    Reweighed,
    functionals,
    moved,
    numbers_of,
    prior_of,
    reach_finding,
    reached,
    relative_entropy,
    reweighted,
)

PATHS, LENGTH, YEAR = 4000, 60, 252.0


def _walks(world: World) -> PathSet:
    steps = 0.01 * world.volatility(LENGTH) * world.rng("walks").standard_normal((PATHS, LENGTH))
    close = 100 * np.exp(np.cumsum(steps, axis=1))
    stamps = pd.bdate_range("2020-01-01", periods=LENGTH)
    return PathSet.of_arrays(close, close, close, close, timestamps=stamps, anchor_close=100.0)


def _view(deviations: float) -> Ask:
    """Ask for a view on the mean return, so many of its deviations away from the paths' own."""

    def answer(world: World) -> Answers:
        paths = _walks(world)
        measured = functionals(paths, YEAR)
        returns = measured["terminal_return"]
        asked = float(returns.mean() - deviations * returns.std())
        view = View.model_validate({"mean": "terminal_return", "equals": asked})
        prior = prior_of(paths)
        weights, held = reweighted([view], numbers_of(measured, {}), prior)
        after = Weights.of(weights, held=held)
        if after is None:
            raise ValueError("a view on another mean left every weight as it was")
        told = reached([view], numbers_of(measured, {}), prior, weights)
        reweighed = Reweighed(
            base="base",
            views=told,
            moved=moved(measured, None, after),
            entropy=relative_entropy(weights, prior),
            weighting=after.summary,
            alike_before=float(PATHS),
        )
        return {"reach of a view": reach_finding("", reweighed).label}

    return answer


# --- Events and answers, in whole runs ---

BEST = "strategies/buy_and_hold.py:BuyAndHold"


def _market(world: World, bars: int = 3000) -> pd.DataFrame:
    """Return a market whose volatility answers to its moves: a GARCH(1, 1) with t(6), times the truth's wandering."""
    rng, shape = world.rng("reactive market"), np.sqrt(4 / 6)
    shocks, wicks = shape * rng.standard_t(6, bars), np.abs(rng.standard_normal((2, bars)))
    variance, returns = 1.0, np.empty(bars)
    for bar, shock in enumerate(shocks):
        returns[bar] = np.sqrt(variance) * shock
        variance = 0.03 + 0.1 * returns[bar] ** 2 + 0.87 * variance
    unit = 0.01 * world.volatility(bars)
    close = 100 * np.exp(np.cumsum(unit * returns))
    opened = np.concatenate(([100.0], close[:-1]))
    reach = 0.5 * unit * np.abs(returns) + 0.002 * world.volatility(bars)
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * np.exp(reach * wicks[0]),
            "low": np.minimum(opened, close) * np.exp(-reach * wicks[1]),
            "close": close,
            "volume": np.exp(10 + np.abs(returns) + 0.2 * rng.standard_normal(bars)),
        },
        index=pd.bdate_range("2005-01-03", periods=bars, name="timestamp"),
    )


def _ran(world: World, generator: Mapping[str, Any], scenario: Mapping[str, Any], **more: Any) -> sg.StressRun:
    """Run one scenario with few paths on the last bars of a market that GARCH is right about."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "market.csv"
        _market(world).to_csv(file)
        return sg.run(
            {
                "name": "world",
                "data": {"file": str(file)},
                "bars": {"context": 256, "horizon": 20},
                "paths": {"count": 256, "block": 256, "seed": world.number},
                "checks": {"facts": False, "calibration": False},
                "generator": dict(generator),
                "scenarios": [{"name": "asked", **scenario}],
                "strategies": [{"use": str(Path(__file__).parent.parent / BEST)}],
                "report": {"folder": str(Path(folder) / "run")},
                **more,
            }
        )


def _labels(findings: list[Finding], rows: Mapping[str, Any]) -> Answers:
    return {row: check.of(findings)[0].label for row, check in rows.items() if check.of(findings)}


EVENT_ROWS = {
    "limit on an event": EVENT_PROBABILITY,
    "islands beside plain paths": EVENT_CROSS_CHECK,
    "stories behind an event": EVENT_GENEALOGY,
    "an event under other generators": EVENT_MODELS_AGREE,
    "an event in history": EVENT_IN_HISTORY,
}
GARCH = {"kind": "garch"}
FEW = (frozenset({"WARN", "INCONCLUSIVE"}),)  # of a verdict that says how little stands behind a figure


def _event(
    generator: Mapping[str, Any] = GARCH, limit: float = 0.5, island: int = 64, depth: float = 0.07, lost: float = 1.0
) -> Ask:
    """Ask for the probability of a drawdown; ``lost`` is what the islands' weights are multiplied by on the curve."""

    def answer(world: World) -> Answers:
        event = {
            "event": {"functional": "max_drawdown", "at_least": depth},
            "sampler": {"method": "splitting", "island": island, "islands": [8, 8]},
        }
        run = _ran(world, generator, event, limits={"event_probability": {"asked": limit}})
        labels = dict(_labels(run.findings, EVENT_ROWS))
        result = run.scenarios[0].event
        if lost != 1.0 and result is not None:
            points = []
            for point in result.sampled.curve:
                apart = (point.islands.value or 0.0) - (point.plain.value or 0.0)
                error = apart / point.z if point.z else np.inf
                fewer = (point.islands.value or 0.0) * lost - (point.plain.value or 0.0)
                points.append(point if point.z is None else replace(point, z=float(fewer / error)))
            worse = replace(result, sampled=replace(result.sampled, curve=points))
            labels |= _labels(event_findings("asked", worse, limit), {"islands beside plain paths": EVENT_CROSS_CHECK})
        return labels

    return answer


ANSWER_ROWS = {"answer to a shocked context": SHOCK_RESPONSE, "a context that can be read": CONTEXT_IN_DISTRIBUTION}


def _answer(generator: Mapping[str, Any] = GARCH, size: float = -0.04) -> Ask:
    """Ask how a generator answers a gap in the last bar of its context."""

    def answer(world: World) -> Answers:
        run = _ran(world, generator, {"context": {"shocks": [{"kind": "gap", "size": size}]}})
        return _labels(run.findings, ANSWER_ROWS)

    return answer


STUDIES: tuple[Study, ...] = (
    Study(
        "events",
        (
            Row("limit on an event", EVENT_PROBABILITY, defects=("a limit far below",)),
            Row("islands beside plain paths", EVENT_CROSS_CHECK, defects=("islands that lose half their weight",)),
            Row("stories behind an event", EVENT_GENEALOGY, FEW, defects=("islands of 32, a fall of a fifth",)),
            Row("an event under other generators", EVENT_MODELS_AGREE, WARNS, defects=("moves three times as wide",)),
            Row("an event in history", EVENT_IN_HISTORY, WARNS, defects=("moves three times as wide",)),
        ),
        _event(),
        {
            "a limit far below": _event(limit=1e-5),
            "islands that lose half their weight": _event(lost=0.5),
            "islands of 32, a fall of a fifth": _event(island=32, depth=0.2),
            "moves three times as wide": _event(generator={"kind": "garch", "volatility": 3.0}),
        },
        repeats=12,
    ),
    Study(
        "answers",
        (
            Row("answer to a shocked context", SHOCK_RESPONSE, defects=("Brownian motion",)),
            Row("a context that can be read", CONTEXT_IN_DISTRIBUTION, defects=("a gap of -60 % for nano",)),
        ),
        _answer(),
        {
            "Brownian motion": _answer({"kind": "gbm"}),
            "a gap of -60 % for nano": _answer({"kind": "kronos", "model": "nano"}, size=-0.6),
        },
        repeats=12,
    ),
    Study(
        "views",
        (Row("reach of a view", VIEW_REACH),),
        _view(1.0),
        {"a view 2 deviations away": _view(2.0), "a view 2.5 deviations away": _view(2.5)},
    ),
)
