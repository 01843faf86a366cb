"""Sloppy execution and parameters a little off: what is drawn for each path, and what a strategy loses by it.

Owns the random numbers behind it and the summary of pairs: a path beside itself, executed as the broker says; the
section of a scenario stands in ``broker.py``. Every path draws from its own stream, so that path 17 is executed alike
in any number of paths, by every strategy. Knows terms of paths and sets of parameters; fills nothing.

An order's slippage grows by up to ``slippage``, drawn anew at each bar, and by up to ``spread``, drawn once for a path.
At each bar, with the chance ``delay``, nothing of a path is filled, stops included: orders wait for the next bar. With
the chance ``missed`` an entry at that bar is lost; target weights, which are set anew at every bar, stay as they are.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.broker import Jitter
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.uses import Constraint, label
from scenario_gen.generators.draws import stream_uniforms
from scenario_gen.market.paths import PathSet, TradingTerms
from scenario_gen.stats.estimate import Estimate, mean, share

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COUNTER = (0, 0, 0, 2)  # of the jitter's Philox stream, beside the sampler's own and the noise's of the same path
COMPARED = ("total_return", "max_drawdown")  # metrics of both runs that are set side by side
TRIES = 50  # draws of a set of parameters before the strategy's own is taken


# --- What is drawn for each path ---


@dataclass(frozen=True)
class _Numbers:
    """Uniforms of the jitter, each path's from its own stream; a longer horizon extends them."""

    chosen: Floats  # float64 [path], of the set of parameters
    wide: Floats  # float64 [path], of the spread
    bars: Floats  # float64 [path, bar, 3], of slippage, delay and missed entries

    @classmethod
    def of(cls, seed: int, path_ids: Ints, bars: int) -> _Numbers:
        drawn = stream_uniforms(seed, path_ids, 2 + 3 * bars, COUNTER)
        return cls(drawn[:, 0], drawn[:, 1], drawn[:, 2:].reshape(len(path_ids), bars, 3))


def jittered(jitter: Jitter, paths: PathSet, seed: int) -> PathSet:
    """Return the same paths on the terms of sloppy execution, on top of the terms that they have."""
    if not any((jitter.slippage, jitter.spread, jitter.delay, jitter.missed)):
        return paths
    numbers, terms = _Numbers.of(seed, paths.path_ids, paths.horizon), paths.terms or TradingTerms()
    if jitter.slippage or jitter.spread:
        more = jitter.slippage * numbers.bars[..., 0] + jitter.spread * numbers.wide[:, None]
        terms = replace(terms, slippage=more if terms.slippage is None else terms.slippage + more)
    if jitter.delay:
        waits = numbers.bars[..., 1] < jitter.delay
        ceiling = np.inf if terms.ceiling is None else terms.ceiling
        floor = -np.inf if terms.floor is None else terms.floor
        terms = replace(terms, ceiling=np.where(waits, 0.0, ceiling), floor=np.where(waits, np.inf, floor))
    if jitter.missed:
        terms = replace(terms, missed=numbers.bars[..., 2] < jitter.missed)
    return replace(paths, terms=terms)


def set_of_each(jitter: Jitter, path_ids: Ints, seed: int) -> Ints:
    """Return which set of parameters each path has, int64 [path]."""
    return (_Numbers.of(seed, path_ids, 0).chosen * jitter.sets).astype(np.int64)


def variants(strategy: LoadedStrategy, jitter: Jitter, seed: int) -> list[LoadedStrategy]:
    """Return the strategy with each set of parameters, every number within ``jitter.parameters`` of its own.

    Whole numbers stay whole. A set that the strategy's entry excludes (``where``), or that it refuses itself, is drawn
    anew; after fifty such draws the strategy's own set stands. Sets depend on seed and strategy alone.
    """
    name = int.from_bytes(hashlib.sha256(strategy.name.encode()).digest()[:8], "big")
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, name], dtype=np.uint64), counter=[*COUNTER]))
    return [_variant(strategy, jitter.parameters, rng) for _ in range(jitter.sets)]


def _variant(strategy: LoadedStrategy, width: float, rng: np.random.Generator) -> LoadedStrategy:
    allowed = None if strategy.where is None else Constraint.parse(strategy.where)
    numbers = [name for name, value in strategy.params.items() if type(value) in (int, float)]
    for _ in range(TRIES):
        off = dict(zip(numbers, 1 + width * (2 * rng.random(len(numbers)) - 1), strict=True))
        params = {name: _scaled(value, off.get(name)) for name, value in strategy.params.items()}
        try:
            if allowed is not None and not allowed.holds(params):
                continue
            instance = dataclasses.replace(strategy.instance, **params)
        except (TypeError, ValueError):  # the strategy's own refusal, or a condition on what is no number
            continue
        return replace(strategy, name=label(type(instance).__name__, params), params=params, instance=instance)
    return strategy


def _scaled(value: Any, times: float | None) -> Any:
    if times is None:
        return value
    return round(value * times) if isinstance(value, int) else value * times


# --- What it costs ---


@dataclass(frozen=True)
class JitterCost:
    """One strategy executed sloppily, less the same strategy on the same paths as the broker fills it."""

    total_return: Estimate  # mean difference with Student's t interval over pairs
    max_drawdown: Estimate  # likewise; above 0 is deeper
    plain: Estimate  # mean total return of the plain run
    sloppy: Estimate  # and of the jittered one
    worse: Estimate  # share of paths that earn less
    losing_before: Estimate  # share of paths that lose in the plain run
    losing: Estimate  # and in the jittered one
    sets: list[dict[str, Any]] = field(default_factory=list)  # of parameters that paths were given, each once


def cost_of(jittered_run: pd.DataFrame, plain_run: pd.DataFrame, sets: Sequence[LoadedStrategy]) -> JitterCost:
    """Set both runs side by side, path by path.

    Args:
        jittered_run: metrics, index path_id.
        plain_run: the same of the plain run.
        sets: the strategy with each set of parameters; none where parameters stay.
    """
    columns = [*COMPARED]
    before = plain_run[columns].rename(columns=lambda name: f"{name}_plain")
    both = jittered_run[columns].join(before, how="inner")
    values = {str(name): both[name].to_numpy(dtype=np.float64) for name in both}
    gained = values["total_return"] - values["total_return_plain"]
    distinct: list[dict[str, Any]] = []
    for variant in sets:
        distinct += [] if variant.params in distinct else [variant.params]
    return JitterCost(
        total_return=mean(gained),
        max_drawdown=mean(values["max_drawdown"] - values["max_drawdown_plain"]),
        plain=mean(values["total_return_plain"]),
        sloppy=mean(values["total_return"]),
        worse=share(gained < 0),
        losing_before=share(values["total_return_plain"] < 0),
        losing=share(values["total_return"] < 0),
        sets=distinct,
    )
