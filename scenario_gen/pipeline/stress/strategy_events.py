"""Events of a strategy's account in a run: whose account, whether its paths may be split, and what breaks it.

Owns what such events need beside those of the price. The rest is :mod:`scenario_gen.pipeline.stress.events`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.probe import probe_causality
from scenario_gen.errors import SpecError
from scenario_gen.generators.draws import Draws
from scenario_gen.pipeline.blocks import island_records, paths_of
from scenario_gen.pipeline.study import Prepared
from scenario_gen.store.folder import RunFolder
from scenario_gen.stress.event import Event, Sampler
from scenario_gen.stress.exceedance import weights_of
from scenario_gen.stress.rare import Case
from scenario_gen.stress.reverse import Reverse, reverse_stress
from scenario_gen.stress.strategy_loss import StrategyScore, score_account, strategy_meant, unfit_for_splitting

PROBED = 512  # plain paths on which a strategy is looked for look-ahead
MOST_BLOCKS = 64  # of plain paths are compared: tens of thousands say enough


def account_of(ground: Prepared, event: Event, strategies: Sequence[LoadedStrategy]) -> StrategyScore | None:
    """Return how near the account of an event's strategy is to it; None for an event of the price.

    Raises:
        SpecError: it is none of the strategies, or several sets of parameters.
    """
    if event.strategy is None:
        return None
    return score_account(event, strategy_meant(event.strategy, strategies), ground, ground.timestamps)


def fit_sampler(ground: Prepared, score: StrategyScore, sampler: Sampler) -> tuple[Sampler, str]:
    """Return how an account's event may be sampled, and why otherwise than asked.

    Raises:
        SpecError: splitting is asked for, and the strategy was not seen to decide by past bars alone.
        StrategyError: the strategy raised, or returned something unusable.
    """
    if sampler.method not in ("auto", "splitting"):
        return sampler, ""
    draws = Draws.block(ground.seed, 0, min(PROBED, ground.scenario.paths.count))
    paths = ground.generator.sample(ground.context, ground.timestamps, draws)
    why = unfit_for_splitting(score.strategy.name, probe_causality(score.strategy, ground, paths))
    if not why:
        return sampler, ""
    if sampler.method == "splitting":
        raise SpecError(
            f"{ground.name}: sampler.method is splitting, and {why}",
            expected="a strategy whose decisions hang on past bars: paths branch where its account first comes near",
            fix="mend the strategy, or set sampler.method: refresh (slower, and not free of bias), or rejection",
        )
    return sampler.model_copy(update={"method": "refresh"}), why


def reverse_of(ground: Prepared, case: Case, store: RunFolder, strategy: str) -> Reverse:
    """Return what the paths share that break a strategy, beside all paths of the scenario.

    Raises:
        StoreError: a block is not whole.
    """
    parts = list(islice(paths_of(ground, store), None if ground.split else MOST_BLOCKS))
    values = np.concatenate([part.values[..., :4] for part in parts])
    ids, weights = np.concatenate([part.path_ids for part in parts]), None
    if ground.split:
        records = island_records(ground, store)
        every, hit = (np.concatenate([getattr(record, name) for record in records]) for name in ("ids", "happened"))
        kept = np.isin(every, ids)  # in one order: block by block, and in each as they were sampled
        inside, weights = hit[kept], weights_of(records).where(kept)
    else:
        inside = np.isin(ids, case.plain.inside)
    return reverse_stress(
        values, ground.anchor_close, inside, ids, weights=weights, bars_per_year=ground.bars_per_year, strategy=strategy
    )
