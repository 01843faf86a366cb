"""Studies of the verdicts on paths: candles, facts, scores, drift, the edge of levels, training data, several assets.

The market is that of ``benchmarks.planted``; right paths are sampled from its true state, wrong ones likewise and are
broken in one way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.planted import copy, drift, gaussian, noisy
from benchmarks.study import SEEN, WARNS, Answers, Ask, Row, Study, World, path_set
from scenario_gen.candles.account import candle_finding, merge_tallies
from scenario_gen.candles.check import CandleRules
from scenario_gen.finding import (
    CANDLES,
    COPY,
    DISCRIMINATIVE,
    DIVERSITY,
    DRIFT,
    EDGE,
    FACTS,
    FACTS_BY_ORIGIN,
    OVERLAP,
    Label,
    worst,
)
from scenario_gen.forecasts.foresight import drift_finding, ensemble_drift
from scenario_gen.forecasts.judge import overlap_finding
from scenario_gen.generators.base import edge_finding
from scenario_gen.market import Candles, load_candles
from scenario_gen.market.path_tables import shared_bars
from scenario_gen.realism.assets import check_cross_facts_by_origin
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.check import check_facts
from scenario_gen.realism.controls import Relative, negative_control
from scenario_gen.realism.gauge import Gauge, windows
from scenario_gen.realism.panel import Panel
from scenario_gen.realism.results import FactsReport
from scenario_gen.realism.sample import Once
from scenario_gen.realism.scores import SCORE_GROUPS

PATHS, LENGTH = 300, 60
Maker = Callable[[World, BarArrays], BarArrays]

# --- Facts and scores beside real windows ---


@lru_cache(maxsize=8)
def futures(world: World, paths: int = PATHS, length: int = LENGTH, leverage: float = 1.0) -> BarArrays:
    """Return what may come after the market's end, sampled from its true state."""
    market = world.market()
    end = market.at(market.bars.length)
    made = drift(paths, length, world.rng("futures"), world.half_life, end, leverage).bars
    return made.with_tick(Gauge.of(world.history()).tick)


@lru_cache(maxsize=2)
def _once(world: World) -> Once:
    """Return what was measured of a world's history before, for the cases that follow each other."""
    del world
    return Once()


def _broken(name: str) -> Maker:
    return lambda world, bars: negative_control(name, bars, len(bars), world.rng(name))


def _repeated(modes: int, share: float = 0.0) -> Maker:
    def make(world: World, bars: BarArrays) -> BarArrays:
        few = bars.select(world.rng("repeated").integers(modes, size=len(bars)))
        return noisy(few, share, world.rng("noise")) if share else few

    return make


def _copied(world: World, bars: BarArrays) -> BarArrays:
    past = windows(world.history(), bars.length, 1, tick=bars.tick).bars
    return copy(past, len(bars), world.rng("copies"))


REVERSED, UNLEVERED = "leverage reversed", "no leverage"
DEFECTS: Mapping[str, Maker] = {
    "its bars shuffled": _broken("shuffle"),
    "GBM of its moments": _broken("gbm"),
    "its wicks scrambled": _broken("wicks"),
    "reversed in time": _broken("reverse"),
    "copies of history": _copied,
    "five paths repeated": _repeated(5),
    "five paths, 20 % noise": _repeated(5, 0.2),
}
OF_ONE: Mapping[str, Maker] = {"its signs flipped": _broken("signflip"), "its returns with AR(1) .15": _broken("ar1")}
OF_FACTS = (*list(DEFECTS)[:4], REVERSED)


def _reported(report: FactsReport, title: str) -> Answers:
    """Return the worst label of all judged facts, and of each group of scores."""
    groups = {
        group: [score.label for score in report.scores if score.score in names and score.label is not None]
        for group, names in SCORE_GROUPS.items()
    }
    return {
        f"facts, {title}": worst_fact(report),
        **{f"{group} scores, {title}": worst(labels, "UNTESTABLE") for group, labels in groups.items()},
    }


def worst_fact(report: FactsReport) -> Label:
    """Return the worst label of the facts that could be tested."""
    labels = [fact.label for fact in report.facts if fact.label not in (None, "UNTESTABLE")]
    return worst((label for label in labels if label), "UNTESTABLE")


def _score_rows(title: str, of_facts: tuple[str, ...]) -> tuple[Row, ...]:
    return (
        Row(f"facts, {title}", FACTS, defects=of_facts),
        Row(f"{DISCRIMINATIVE.key} scores, {title}", FACTS, defects=("its bars shuffled", "GBM of its moments")),
        Row(f"{COPY.key} scores, {title}", FACTS, defects=("copies of history",)),
        Row(f"{DIVERSITY.key} scores, {title}", FACTS, defects=("five paths repeated", "five paths, 20 % noise")),
    )


def _beside_windows(title: str, change: Maker | None = None, leverage: float = 1.0, *, one_context: bool) -> Ask:
    """Ask facts and scores of paths of the market's end, or of 40 contexts all over its history."""

    def answer(world: World) -> Answers:
        history, ids, context = world.history(), None, None
        if one_context:
            bars, context = futures(world, leverage=leverage), history.context(SEEN)
        else:
            bars, ids = spread_out(world, 40, 10, SEEN, leverage)
        if change:  # some paths are then drawn twice, which would join the contexts that they come from
            bars, ids = change(world, bars), None
        report = check_facts(bars, history, context_ids=ids, context=context, seed=1, once=_once(world))
        return _reported(report, title)

    return answer


def spread_out(
    world: World, contexts: int, each: int, first: int, leverage: float = 1.0
) -> tuple[BarArrays, NDArray[np.int64]]:
    """Return true futures of contexts from bar ``first`` to the market's end, and which context each is of."""
    market = world.market()
    places = np.linspace(first, market.bars.length, contexts).astype(int)
    states, characters = (np.stack(column) for column in zip(*(market.at(int(at)) for at in places), strict=True))
    start = np.repeat(states, each, axis=0), np.repeat(characters, each, axis=0)
    made = drift(contexts * each, LENGTH, world.rng("contexts"), world.half_life, start, leverage).bars
    return made.with_tick(Gauge.of(world.history()).tick), np.repeat(np.arange(contexts), each)


CONTEXTS = 8


def _few_contexts(change: Maker | None = None) -> Ask:
    """Ask facts of eight contexts, spread over the later half of the market."""

    def answer(world: World) -> Answers:
        history = world.history()
        bars, ids = spread_out(world, CONTEXTS, 40, len(history) // 2)
        bars = change(world, bars) if change else bars
        report = check_facts(bars, history, context_ids=ids, seed=1, once=_once(world))
        return {f"facts, {CONTEXTS} contexts": _reported(report, "")["facts, "]}

    return answer


def _of_the_law(world: World) -> Answers:
    """Ask of paths of the market's law at large, each from a state of its own: no history shows all of it."""
    bars, history = drift(400, LENGTH, world.rng("futures"), world.half_life).bars, world.history()
    report = check_facts(bars.with_tick(Gauge.of(history).tick), history, seed=1, once=_once(world))
    return _reported(report, "many contexts")


LAW = "nothing, but paths of the law at large"
OF_ONE_CONTEXT: Mapping[str, Ask] = {
    **{name: _beside_windows("one context", make, one_context=True) for name, make in {**DEFECTS, **OF_ONE}.items()},
    REVERSED: _beside_windows("one context", leverage=-1.0, one_context=True),
    UNLEVERED: _beside_windows("one context", leverage=0.0, one_context=True),
}
OF_MANY_CONTEXTS: Mapping[str, Ask] = {
    **{name: _beside_windows("many contexts", make, one_context=False) for name, make in DEFECTS.items()},
    REVERSED: _beside_windows("many contexts", leverage=-1.0, one_context=False),
    LAW: _of_the_law,
}


# --- Candles, drift, the edge of the levels, training data ---


def _candles(change: Callable[[np.ndarray, np.random.Generator], None] | None = None) -> Ask:
    """Ask the rules of candles of true futures, float32 [path, bar, field] of which may be changed."""

    def answer(world: World) -> Answers:
        history = world.history()
        context = history.context(SEEN)
        paths = path_set(futures(world), context)
        if change:
            values = paths.values.copy()
            change(values, world.rng("candles"))
            paths = replace(paths, values=values)
        rules = CandleRules.of(context, paths.horizon, history=history)
        return {"candles": candle_finding("", merge_tallies([rules.check(paths, "repair").tally])).label}

    return answer


def _inverted(share: float) -> Callable[[np.ndarray, np.random.Generator], None]:
    def change(values: np.ndarray, rng: np.random.Generator) -> None:
        at = rng.random(values.shape[:2]) < share
        values[at, 1] = np.minimum(values[at, 0], values[at, 3]) * 0.999  # a high below open and close

    return change


def _jumps(values: np.ndarray, rng: np.random.Generator) -> None:
    """Multiply all prices from one bar on by 1.5, on every tenth path."""
    for path in range(0, len(values), 10):
        values[path, rng.integers(1, values.shape[1]) :, :4] *= 1.5


def _drift(deviations: float) -> Ask:
    """Ask an ensemble's drift, that many deviations of a path's return away from none."""

    def answer(world: World) -> Answers:
        bars = futures(world)
        logs = np.log(bars.close / bars.anchor_close[:, None])
        logs += deviations * logs[:, -1].std() * np.arange(1, LENGTH + 1) / LENGTH
        return {"drift of an ensemble": drift_finding("", LENGTH, ensemble_drift(np.exp(logs), 1.0)).label}

    return answer


def _edge(factor: float) -> Ask:
    """Ask how many paths of a model of price levels reach 4.5 deviations of the context's own closes."""

    def answer(world: World) -> Answers:
        context = world.history().context(SEEN)
        bars = futures(world)
        paths = path_set(Relative.of(bars).scaled(factor).onto(bars), context)
        away = np.abs(paths.values[..., :4] - context.close.mean()) / context.close.std()
        pinned = (away > 4.5).any(axis=2)
        counts = {"pinned_bars": int(pinned.sum()), "pinned_paths": int(pinned.any(axis=1).sum())}
        (found,) = edge_finding("", {"representation": "levels", **counts}, len(paths))
        return {"edge of the levels": found.label}

    return answer


def _overlap(days: int) -> Ask:
    """Ask of a context that ends so many days after the training data at most, on a random date."""

    def answer(world: World) -> Answers:
        last = pd.Timestamp("2020-01-01") + pd.Timedelta(days=int(world.rng("date").integers(1500)))
        end = last + pd.Timedelta(days=int(world.rng("gap").integers(1, abs(days)) * np.sign(days)))
        return {"training overlap": overlap_finding("", end.date().isoformat(), last.date().isoformat()).label}

    return answer


# --- Several assets ---


@lru_cache(maxsize=1)
def _indices() -> tuple[tuple[Candles, ...], Panel]:
    histories = tuple(shared_bars([load_candles("sp500"), load_candles("nasdaq")]))
    both = [windows(history, LENGTH, 15).bars for history in histories]
    return histories, Panel(("sp500", "nasdaq"), tuple(both))


def _assets(told: float | None = None) -> Ask:
    """Ask facts of two correlated walks by what came; the paths know the correlation of their own time, or err."""

    def answer(world: World) -> Answers:
        histories, real = _indices()
        wandering = world.correlations(60)

        def pairs() -> Iterator[tuple[Panel, Panel]]:
            rng = world.rng("assets")
            for correlation in wandering:
                known = correlation if told is None else told
                yield gaussian(real, 99, rng, known), gaussian(real, 1, rng, correlation)

        found = check_cross_facts_by_origin(pairs(), histories, seed=world.number)
        return {"facts of several assets, by origin": worst_fact(found)}

    return answer


STUDIES: tuple[Study, ...] = (
    Study(
        "candles",
        (Row("candles", CANDLES),),
        _candles(),
        {
            "a high below open and close, 2 % of bars": _candles(_inverted(0.02)),
            "the same, 8 %": _candles(_inverted(0.08)),
            "a price jumps by half on every tenth path": _candles(_jumps),
        },
    ),
    Study(
        "overlap",
        (Row("training overlap", OVERLAP, WARNS),),
        _overlap(1000),
        {"a context within the training data": _overlap(-1000)},
        still="dates",
    ),
    Study(
        "edge",
        (Row("edge of the levels", EDGE, WARNS),),
        _edge(0.25),  # nearer to the anchor than the market's own futures, which reach the edge
        {"true futures of 60 bars": _edge(1.0), "moves twice as large": _edge(2.0)},
    ),
    Study(
        "drift",
        (Row("drift of an ensemble", DRIFT, WARNS),),
        _drift(0.0),
        {"a drift of .3 deviations": _drift(0.3), "a drift of .5 deviations": _drift(0.5)},
    ),
    Study(
        "one context",
        _score_rows("one context", (*OF_FACTS, *OF_ONE, UNLEVERED)),
        _beside_windows("one context", one_context=True),
        OF_ONE_CONTEXT,
        repeats=20,
    ),
    Study(
        "few contexts",
        (Row(f"facts, {CONTEXTS} contexts", FACTS),),
        _few_contexts(),
        {name: _few_contexts(DEFECTS[name]) for name in list(DEFECTS)[:3]},
        repeats=10,
    ),
    Study(
        "many contexts",
        _score_rows("many contexts", (*OF_FACTS, LAW)),
        _beside_windows("many contexts", one_context=False),
        OF_MANY_CONTEXTS,
        repeats=20,
    ),
    Study(
        "several assets",
        (Row("facts of several assets, by origin", FACTS_BY_ORIGIN),),
        _assets(),
        {"assets of no correlation": _assets(0.0), "a correlation of .5 where it is .66": _assets(0.5)},
        repeats=10,
    ),
)
