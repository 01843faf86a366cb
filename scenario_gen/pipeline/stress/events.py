"""Scenarios that ask the probability of an event: plain paths first, islands as blocks, and what is held beside them.

Puts the room of designed stress in order for a run: which case a scenario is, its islands from walks to metrics, and
the stage that sums them up, asks the baselines the same and counts in history.

Events of a strategy's account: whose account, whether its paths may be split, and what breaks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.probe import probe_causality
from scenario_gen.errors import DataError, SpecError
from scenario_gen.finding import Finding
from scenario_gen.generators.base import BoundedGenerator
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.sections import KronosGenerator, default_section, open_generator
from scenario_gen.generators.walks import start_walk
from scenario_gen.pipeline.blocks.block import island_records, paths_of
from scenario_gen.pipeline.book.histories import PlaceOf
from scenario_gen.pipeline.prepared import Prepared
from scenario_gen.pipeline.study import Results, Study
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.spec.models import Paths
from scenario_gen.stats.estimate import mean, quantile, share
from scenario_gen.stats.weights import Weights
from scenario_gen.store.columns import MetricTable
from scenario_gen.store.folder import RunFolder
from scenario_gen.stress.event import Event, Sampler, truncated
from scenario_gen.stress.events import (
    Outset,
    StrategyScore,
    flat_share,
    refuse_unattainable,
    score_account,
    score_of,
    strategy_meant,
    unfit_for_splitting,
)
from scenario_gen.stress.exceedance import weights_of
from scenario_gen.stress.rare import Asked, Case, IslandRecord, PlainRun, Sampled, sample_probability, summed_up
from scenario_gen.stress.reverse import Reverse, reverse_stress
from scenario_gen.stress.splitting import Score
from scenario_gen.stress.verdicts import EventResult, GivenEvent, OtherModel, event_findings, in_history
from scenario_gen.values import cached
from scenario_gen.version import VERSION

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


# --- Scenarios that ask the probability of an event: plain paths first, islands as blocks ---


SILENT = SilentProgress()
BESIDE = ("garch", "bootstrap")  # generators that are asked the same


def with_cases(study: Study) -> Study:
    """Return a study whose scenarios have the events that they ask for; the same errors are raised, with their place.

    Views on the paths of an event stand on that event's blocks, and ask for nothing of their own. See
    :func:`with_case`.
    """
    kept, cases = kept_events(study.store), {}
    for ground in study.grounds:
        if ground.scenario.reweight is not None:
            continue
        cases[ground.name] = with_case(ground, kept, study.progress, study.strategies, study.place).case
    if any(case is not None for case in cases.values()):
        study.clock.lap("plain paths of events")
    grounds = [replace(ground, case=cases[ground.scenario.reweight or ground.name]) for ground in study.grounds]
    return replace(study, grounds=tuple(grounds))


def with_case(
    ground: Prepared, kept: Path | None, progress: Progress, strategies: Sequence[LoadedStrategy], place: PlaceOf
) -> Prepared:
    """Return a scenario with the event that it asks for and what plain paths say of it; without one as it is.

    Args:
        ground: a scenario.
        kept: folder in which the plain paths' scores are kept; None keeps none.
        progress: hears of paths.
        strategies: of whose accounts an event may be.
        place: says where a value stands in the spec, for what is wrong with the event.

    Raises:
        SpecError: the model's tail is cut off; or of an event's strategy: it is none of them, or several sets of
            parameters, or splitting is asked for and it may look ahead.
        DataError: the event is beyond what the generator can reach, or its paths cannot be branched.
        CheckError: a score is no number.
    """
    try:
        return _with_case(ground, kept, progress, strategies)
    except (SpecError, DataError) as error:
        error.problem = f"{place(ground.name, 'event')}: {error.problem}"
        raise


def _with_case(
    ground: Prepared, kept: Path | None, progress: Progress, strategies: Sequence[LoadedStrategy]
) -> Prepared:
    event, sampler = ground.scenario.event, ground.scenario.sampler
    if event is None:
        return ground
    section = ground.scenario.generator
    if isinstance(section, KronosGenerator) and (words := truncated(event, section)):
        raise SpecError(f"{ground.name}: {words}")
    asked = Asked(ground.generator, ground.context, ground.timestamps, ground.seed, ground.name)
    account = account_of(ground, event, strategies)
    case = open_case(asked, event, sampler, ground.bars_per_year, ground.scenario.paths, kept, progress, account)
    if account is not None and case.method == "splitting":
        fit, why = fit_sampler(ground, account, sampler)
        case = replace(case, sampler=fit)
        if why:
            progress.note(f"{ground.name}: {why}: its paths are not split, but refreshed")
    _tell_method(case, ground.name, progress)
    return replace(ground, case=case)


def open_case(
    asked: Asked,
    event: Event,
    sampler: Sampler,
    bars_per_year: float,
    plan: Paths,
    kept: Path | None = None,
    progress: Progress = SILENT,
    account: StrategyScore | None = None,
) -> Case:
    """Return an event with what plain paths say of it.

    Args:
        asked: what is sampled.
        event: the event.
        sampler: how it is sampled.
        bars_per_year: of realised volatility.
        plan: how many plain paths.
        kept: folder in which their scores are kept; None keeps none.
        progress: hears of paths.
        account: whose event it is, where it is a strategy's.

    Raises:
        SpecError: the event is of a strategy's account, and there is none.
        DataError: the event is beyond what the generator can reach, or its paths cannot be branched.
        CheckError: a score is no number.
    """
    if event.of_strategy and account is None:
        raise SpecError(
            f"event.functional is {event.functional}, and nothing is traded here",
            expected="an event of the price, such as max_drawdown",
            fix="ask it in a spec that has the strategy, with scenario-gen run or event",
        )
    outset = _outset(asked, event, bars_per_year, asked.scenario)
    score = score_of(event, outset) if account is None else account

    def plain() -> PlainRun:
        with progress.stage(f"{asked.scenario}: plain paths", plan.count) as heard:
            return asked.plain(plan.count, plan.block, score, heard)

    key = {**_key(asked, event, plan, score), "what": "plain paths of an event", "outset": asdict(outset)}
    case = Case(asked, event, sampler, score, plain() if kept is None else cached(kept, key, PlainRun, plain))
    if case.method == "splitting":  # refused before anything is sampled
        start_walk(asked.generator, asked.context, asked.timestamps, 1, asked.seed)
    return case


def _outset(asked: Asked, event: Event, bars_per_year: float, name: str) -> Outset:
    """Return where the paths set out; refuse an event that bounded bars cannot make, under this name."""
    outset = Outset.of(asked.context, len(asked.timestamps), bars_per_year)
    if isinstance(asked.generator, BoundedGenerator):
        refuse_unattainable(event, outset, asked.generator.bar_bounds(asked.context), name)
    return outset


def _key(asked: Asked, event: Event, plan: Paths, score: Score) -> dict[str, Any]:
    """Return what decides the scores of plain paths."""
    return {
        "code": VERSION,
        "event": event.model_dump(mode="json"),
        "generator": dict(asked.generator.identity),
        "context": asked.context.sha256(),
        "timestamps": [stamp.isoformat() for stamp in asked.timestamps],
        "paths": plan.model_dump(mode="json"),
        **({"account": score.identity} if isinstance(score, StrategyScore) else {}),
    }


def _tell_method(case: Case, name: str, progress: Progress) -> None:
    hits, count = case.plain.hits, len(case.plain.measure)
    way = "plain paths are enough" if case.method == "rejection" else "islands of branched paths are sampled"
    progress.note(f"{name}: {case.event.in_words} on {hits} of {count} plain paths: {way}")


def case_of(prepared: Prepared) -> Case:
    """Return the event that a scenario asks for; one that asks for none is a defect of ours."""
    if prepared.case is None:
        raise AssertionError(f"{prepared.name} asks for no event")
    return prepared.case


# --- The stage ---


def judge_events(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Sum up the events that scenarios ask for, ask the baselines the same, and count in history."""
    asked = [ground for ground in study.grounds if ground.case is not None and ground.scenario.reweight is None]
    parts, findings = {}, list[Finding]()
    limits = study.spec.limits.event_probability
    if not asked:
        return results, []
    with study.progress.stage("events under other generators and in history", len(asked)) as advance:
        for ground in asked:
            records = island_records(ground, study.store) if ground.split else []
            result = event_result(ground, summary_of(ground, records), kept_events(study.store))
            result = replace(result, given=_given(ground, study, results.metrics[ground.name]))
            broken = None
            if isinstance(account := case_of(ground).score, StrategyScore):
                broken = reverse_of(ground, case_of(ground), study.store, account.strategy.name)
            parts[ground.name] = {"event": result, "reverse": broken}
            findings += event_findings(ground.name, result, limits.get(ground.name))
            advance(1)
    return results.amended(parts), findings


def kept_events(store: RunFolder) -> Path:
    """Return where a run keeps what plain paths and baselines say of events."""
    return store.path / "events"


def summary_of(ground: Prepared, records: Sequence[IslandRecord]) -> Sampled:
    """Return the probability of a scenario's event, from its islands where it has any."""
    case = case_of(ground)
    return summed_up(records, case.sampler, case.plain, len(ground.timestamps))


def event_result(ground: Prepared, sampled: Sampled, kept: Path | None) -> EventResult:
    """Return what is said of a scenario's event beside its probability: by baselines and in history."""
    case, bars = case_of(ground), len(ground.timestamps)
    account = case.score if isinstance(case.score, StrategyScore) else None
    own = str(ground.generator.identity.get("kind", ""))
    history, alike = in_history(case.event, ground.history, bars, ground.bars_per_year, account)
    return EventResult(
        words=case.event.in_words,
        functional=case.event.functional,
        threshold=case.event.threshold,
        horizon=bars,
        sampled=sampled,
        models=[_other(kind, ground, kept) for kind in BESIDE if kind != own],
        history=history,
        alike=alike,
        flat=0.0 if account is None else flat_share(np.array(case.plain.measure)),
    )


def _other(kind: str, ground: Prepared, kept: Path | None) -> OtherModel:
    """Ask a baseline from the same context the same."""
    case, plan = case_of(ground), ground.scenario.paths
    try:
        generator = open_generator(default_section(kind), ground.history)
        asked = Asked(generator, ground.context, ground.timestamps, ground.seed, f"{ground.name}/{kind}")
        _outset(asked, case.event, ground.bars_per_year, kind)
    except DataError as error:
        return OtherModel(kind, share(np.zeros(0, dtype=np.bool_)), reason=f"cannot: {error.problem}")

    def compute() -> Sampled:
        return sample_probability(asked, case.sampler, case.score, count=plan.count, block=plan.block)

    key = {
        **_key(asked, case.event, plan, case.score),
        "what": "an event under a baseline",
        "sampler": case.sampler.model_dump(mode="json"),
        "bars_per_year": ground.bars_per_year,
        "scenario": ground.name,
    }
    found = compute() if kept is None else cached(kept, key, Sampled, compute)
    return OtherModel(kind, found.probability, found.method)


def _given(ground: Prepared, study: Study, metrics: MetricTable) -> list[GivenEvent]:
    """Return what each strategy returns on the paths in the event."""
    case = case_of(ground)
    if ground.split:
        records = island_records(ground, study.store)
        ids, hit = (np.concatenate([getattr(record, name) for record in records]) for name in ("ids", "happened"))
        weights: Weights | None = weights_of(records)
    else:
        ids, weights = np.arange(len(case.plain.measure)), None
        hit = np.isin(ids, case.plain.inside)
    out = []
    for strategy in study.strategies:
        returns = metrics.frame(strategy.name, "total_return")["total_return"]
        inside = hit & np.isin(ids, returns.index)
        values = returns.reindex(ids[inside]).to_numpy(dtype=np.float64)
        own = None if weights is None else weights.where(inside)
        out.append(
            GivenEvent(
                strategy=strategy.name,
                mean=mean(values, own),
                median=quantile(values, 0.5, own),
                low=quantile(values, 0.05, own),
                losing=share(values < 0, own),
            )
        )
    return out
