"""Scenarios that have the paths of another one: weighed by views, and kept as blocks of their own.

Nothing is sampled, checked or backtested again: blocks are copied with their weights, so that every later stage reads
them like any other. Computes no weight itself (:mod:`scenario_gen.stress.views`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.errors import ScenarioError
from scenario_gen.finding import Finding
from scenario_gen.market.paths import joined
from scenario_gen.pipeline.blocks import FinishedBlock, block_indices
from scenario_gen.pipeline.study import Prepared, Results, Study
from scenario_gen.store.folder import RunFolder
from scenario_gen.stress.views import (
    Floats,
    Reweighed,
    ViewError,
    functionals,
    moved,
    numbers_of,
    prior_of,
    reach_finding,
    reached,
    relative_entropy,
    reweighted,
    weighting_of,
)


def weigh_by_views(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Weigh the paths of other scenarios for every scenario that has views on them.

    Raises:
        CheckError: no weights make every view true; the message says where the view stands and what can be attained.
        StoreError: the disk refuses.
    """
    asked = [ground for ground in study.grounds if ground.scenario.reweight is not None]
    reweighed, findings = {}, []
    with study.progress.stage("weighing by views", len(asked)) as advance:
        for ground in asked:
            source = next(other for other in study.grounds if other.name == ground.scenario.reweight)
            try:
                reweighed[ground.name] = _weigh(ground, source, study.strategies, study.store)
            except ScenarioError as error:
                keys = ("views", error.place) if isinstance(error, ViewError) else ("reweight",)
                error.problem = f"{study.place(ground.name, *keys)}: {error.problem}"
                raise
            findings.append(reach_finding(ground.name, reweighed[ground.name]))
            advance(1)
    return replace(results, reweighed=reweighed), findings


def _weigh(ground: Prepared, source: Prepared, strategies: Sequence[LoadedStrategy], store: RunFolder) -> Reweighed:
    """Weigh the paths of one scenario for another, block by block: once to measure them, once to copy them."""
    parts, measured, metrics = [], [], []
    for index in block_indices(source, store):
        part = FinishedBlock.load(source, store, index)
        measured.append(functionals(part.paths, source.bars_per_year))
        metrics.append(part.metrics)
        parts.append(part.without_bars().paths)
    paths = joined(parts)
    every = {name: np.concatenate([each[name] for each in measured]) for name in measured[0]}
    numbers = numbers_of(every, _by_strategy(pd.concat(metrics), strategies))
    prior = prior_of(paths)
    views = ground.scenario.views
    weights, held = reweighted(views, numbers, prior)
    after = replace(paths, weights=weights, held=held)
    _copy(ground, source, store, weights, held)
    return Reweighed(
        base=source.name,
        views=reached(views, numbers, prior, weights),
        moved=moved(every, paths.weighting, after.weighting),
        entropy=relative_entropy(weights, prior),
        weighting=weighting_of(after),
        alike_before=weighting_of(paths).alike,
    )


def _copy(ground: Prepared, source: Prepared, store: RunFolder, weights: Floats, held: Floats) -> None:
    """Write the blocks of a scenario as those of another, with the weights of their paths."""
    start = 0
    for index in block_indices(source, store):
        part = FinishedBlock.load(source, store, index)
        rows = slice(start, start + len(part.paths))
        weighed = replace(part.paths, weights=weights[rows], held=held[rows])
        replace(part, paths=weighed, island=None).save(store, ground.name, index)
        start = rows.stop


def _by_strategy(metrics: pd.DataFrame, strategies: Sequence[LoadedStrategy]) -> dict[str, pd.DataFrame]:
    rows = dict(list(metrics.groupby("strategy")))
    return {strategy.name: rows[place] for place, strategy in enumerate(strategies) if place in rows}
