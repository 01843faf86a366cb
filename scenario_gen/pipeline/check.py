"""``scenario-gen check``: paths of any generator against the history that they continue.

Puts the rooms in order: paths and reference are read, paths are anchored, candle rules are counted, stylized facts and
scores are compared with real windows, none of them after the context's end. Later bars are looked at in mode A alone,
as what came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from pydantic import ValidationError

from scenario_gen.candles.account import CandleAccount, merge_tallies
from scenario_gen.candles.check import MOST_MEASURED, CandleRules, share_of
from scenario_gen.errors import CheckError, SpecError
from scenario_gen.forecasts.calibrate import TOO_FEW, calibrate_given, facts_by_origin, judges_facts
from scenario_gen.forecasts.harness import known_futures
from scenario_gen.market.anchor import Anchored, Ensemble, anchored
from scenario_gen.market.candles import Candles
from scenario_gen.market.frequency import frequency
from scenario_gen.market.inferred import SessionClock
from scenario_gen.market.load import load_candles
from scenario_gen.market.path_tables import PathTable, read_path_table
from scenario_gen.market.paths import PathSet
from scenario_gen.market.read import RawTable
from scenario_gen.market.section import Market
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.realism.admission import MIN_PATHS
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.check import check_facts
from scenario_gen.realism.results import FactsReport
from scenario_gen.realism.sample import concatenate
from scenario_gen.realism.scores import exempted
from scenario_gen.realism.verdicts import assemble
from scenario_gen.spec.models import MAX_SEED
from scenario_gen.store.reports import CheckReport, PathsView, ReferenceView, verdicts_of, with_calibration

History: TypeAlias = Candles | RawTable | pd.DataFrame | str | Path


@dataclass(frozen=True, eq=False)
class Terms:
    """What paths are held to, whatever the asset."""

    context_end: str | None = None  # the last bar of the reference to compare with; None: the last bar before the paths
    market: Market | None = None  # ticks, lots and price limit
    training: tuple[Candles, ...] = ()  # histories that the generator was trained on
    resamples_history: bool = False  # the copy test is shown and not judged
    seed: int = 0  # of random groups, controls and splits


def terms_of(
    context_end: str | None,
    market: Market | Mapping[str, Any] | None,
    training: Sequence[History] | History,
    resamples_history: bool,
    seed: int,
) -> Terms:
    """Return the terms that a caller names.

    Raises:
        SpecError: a market with unknown or impossible entries, or a seed below 0.
        DataError: a training history cannot be read.
    """
    if not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise SpecError(f"seed is {seed!r}", expected=f"a whole number from 0 to {MAX_SEED}")
    if isinstance(market, Mapping):
        try:
            market = Market.model_validate(dict(market))
        except ValidationError as error:
            first = error.errors()[0]
            raise SpecError(
                f"market.{first['loc'][0]} is {first['input']!r}: {first['msg'].lower()}",
                expected=f"some of {', '.join(Market.model_fields)}",
            ) from None
    return Terms(context_end, market, histories_of(training), resamples_history, seed)


def histories_of(given: Sequence[History] | History) -> tuple[Candles, ...]:
    """Return training histories as candles; one history stands for itself."""
    one = isinstance(given, str | Path | pd.DataFrame | RawTable | Candles)
    return tuple(history_of(each, None) for each in ([given] if one else given))  # type: ignore[union-attr]


def history_of(given: History, calendar: str | None) -> Candles:
    """Return a history as candles, with the calendar that was asked for."""
    if not isinstance(given, Candles):
        return load_candles(given, calendar=calendar)
    return given if calendar is None else replace(given, calendar=calendar)


# --- ``scenario-gen check``: paths of any generator against the history that they continue ---


Paths: TypeAlias = PathTable | PathSet | Sequence[PathSet] | pd.DataFrame | str | Path
CONTEXT = 256  # bars before the paths that say what volatility they continue


def check(
    paths: Paths,
    reference: History,
    *,
    context_end: str | None = None,
    market: Market | Mapping[str, Any] | None = None,
    calendar: str | None = None,
    training: Sequence[History] | History = (),
    resamples_history: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> CheckReport:
    """Check paths of any generator: whether they are valid candles, and like the market that they continue.

    Paths with the same stamps continue one context; its last bar is the reference's last bar before their first stamp.
    One context is judged in mode C, where an ensemble may be narrower than history; at least four contexts, best
    twenty and more, in mode B. Forty contexts and more whose futures are in the reference are judged in mode A: the
    facts of what came are ranked among the paths of its own context, scale included. From thirty such contexts on the
    paths are calibrated.
    Candle rules are counted on the paths as they came; facts are measured after repair.

    Args:
        paths: a CSV or Parquet file or a data frame with the columns path (or path_id), timestamp, open, high, low,
            close and, where there is one, volume; or a PathSet; or several PathSets, one per context.
        reference: the instrument's history: Candles, a data frame, a file, "sp500" or "nasdaq".
        context_end: the last bar of the reference to compare with; with one context also the bar that the paths set
            out from. Default: the last bar before the paths. A date means the whole of that day.
        market: ticks, lots and price limit that the candles must keep to; by default there are none.
        calendar: an exchange such as XNYS, or 24/7, whose sessions the stamps must keep to; by default inferred.
        training: histories that the generator was trained on, for the copy test.
        resamples_history: the generator is a bootstrap of the reference: the copy test is shown and not judged.
        seed: of random groups, controls and splits: the same seed gives the same report.
        progress: who hears of stages.

    Raises:
        DataError: paths or reference cannot be read.
        CheckError: paths and reference do not fit, or there are fewer than 20 paths.
    """
    terms = terms_of(context_end, market, training, resamples_history, seed)
    return check_one(paths, history_of(reference, calendar), terms, progress or SilentProgress()).report


@dataclass(frozen=True, eq=False)
class Checked:
    """The check of one asset's paths, and what it looked at."""

    report: CheckReport  # what was found
    kept: list[Ensemble]  # the paths that have prices, repaired, by context
    history: Candles  # the whole reference
    end: int  # number of its bars that the paths were compared with


def check_one(paths: Paths, history: Candles, terms: Terms, progress: Progress) -> Checked:
    """Check the paths of one asset, as :func:`check` says."""
    given, source = _given(paths)
    found = anchored(given, history, terms.context_end, source)
    if len(found) < MIN_PATHS:
        raise _too_few(f"{source} holds {len(found)} path{'s' if len(found) != 1 else ''}", "sample more paths")
    with progress.stage("candle rules", len(found.ensembles)) as advance:
        kept, candles, misfits = _candles(found.ensembles, history, terms.market, advance)
    before = history.rows(0, found.end)
    with progress.stage("stylized facts", 1) as advance:
        facts = _facts(kept, found, before, terms.training, terms.seed)
        past = len(history) if terms.context_end is None else found.end
        origins = known_futures(kept, history, known=past, context=CONTEXT)
        if judges_facts(origins):
            facts = in_mode_a(facts_by_origin(origins, before, terms.seed), facts)
        elif origins:
            facts = replace(facts, notes=[TOO_FEW.format(origins=len(origins)), *facts.notes])
        calibration = calibrate_given(origins, before, terms.seed) if origins else None
        advance(1)
    report = _report(found, before, history, candles, facts, source, exempt=terms.resamples_history)
    report = replace(with_calibration(report, calibration), notes=[*report.notes, *misfits])
    return Checked(report, kept, history, found.end)


def _given(paths: Paths) -> tuple[PathTable | Sequence[PathSet], str]:
    """Return the paths and what to call them."""
    if isinstance(paths, PathSet):
        return _with_anchors([paths]), "the path set"
    if isinstance(paths, list | tuple) and all(isinstance(one, PathSet) for one in paths):
        return _with_anchors(list(paths)), "the path sets"
    if isinstance(paths, pd.DataFrame | str | Path):
        paths = read_path_table(paths)
    if isinstance(paths, PathTable):
        return paths, paths.name
    raise CheckError(
        f"paths cannot be read from {type(paths).__name__}",
        expected="a file, a data frame, a PathSet, or a list of PathSets",
        fix="pass the path of a file",
    )


def _with_anchors(sets: list[PathSet]) -> list[PathSet]:
    for one in sets:
        if not (np.isfinite(one.anchor_close) and one.anchor_close > 0):
            raise CheckError(
                f"a path set's anchor close is {one.anchor_close:g}",
                expected="the last close before the paths: a price",
                fix="set anchor_close to the context's last close",
            )
    return sets


def _candles(
    ensembles: Sequence[Ensemble], history: Candles, market: Market | None, advance: Callable[[int], None]
) -> tuple[list[Ensemble], CandleAccount, list[str]]:
    """Return the paths that have prices, repaired, the account of all, and where history breaks the market's rules.

    Thresholds come from the history before each context; account and misfits tell of the last one.
    """
    kept, tallies, misfits = [], [], list[str]()
    for one in ensembles:
        before = history.rows(0, one.end)
        context = before.context(min(CONTEXT, len(before)))
        rules = CandleRules.of(context, one.paths.horizon, market=market, history=before)
        measured = share_of(MOST_MEASURED, len(one.paths), sum(len(other.paths) for other in ensembles))
        checked = rules.check(one.paths, "repair", measured=measured)
        kept.append(Ensemble(checked.paths, one.end))
        tallies.append(checked.tally)
        misfits = [before.flag_text(flag) for flag in rules.misfits]
        advance(1)
    return kept, merge_tallies(tallies[::-1]), misfits


def _facts(
    ensembles: Sequence[Ensemble], anchored: Anchored, before: Candles, training: Sequence[Candles], seed: int
) -> FactsReport:
    clock = SessionClock.of(before.timestamps)
    bars = concatenate([BarArrays.of_paths(one.paths, clock=clock) for one in ensembles])
    if len(bars) < MIN_PATHS:
        lost = f"{len(anchored) - len(bars):,} of {len(anchored):,} paths"
        raise _too_few(
            f"{lost} have values that are missing, infinite or not positive; {len(bars)} are left",
            "look at what the generator gives",
        )
    if anchored.contexts == 1:
        return check_facts(bars, before, context=before, training=training, seed=seed)
    contexts = np.concatenate([np.full(len(one.paths), one.end) for one in ensembles])
    return check_facts(bars, before, context_ids=contexts, training=training, seed=seed)


def in_mode_a(ranked: FactsReport, windows: FactsReport) -> FactsReport:
    """Return facts by the rank of what came with what only windows of history can tell: scores, screen, long sample."""
    note = (
        f"mode A: what came after {ranked.design.windows} contexts is in the reference and is ranked among their "
        "paths; windows of history judge the ensemble as a whole alone"
    )
    screen = {fact.fact: fact.outside for fact in windows.facts}
    return assemble(
        ranked.design,
        [replace(fact, outside=screen.get(fact.fact)) for fact in ranked.facts],
        windows.scores,
        ranked.audit,
        [note, *windows.notes, *ranked.notes],
        windows.long,
    )


def _too_few(problem: str, fix: str) -> CheckError:
    return CheckError(
        f"{problem}, but realism is a property of an ensemble",
        expected=f"at least {MIN_PATHS} paths, better some hundred",
        fix=fix,
    )


def _report(
    anchored: Anchored,
    before: Candles,
    history: Candles,
    candles: CandleAccount,
    facts: FactsReport,
    source: str,
    *,
    exempt: bool,
) -> CheckReport:
    scores = exempted(facts.scores) if exempt else facts.scores
    verdicts, reasons = verdicts_of(candles, facts, scores, exempt=exempt)
    return CheckReport(
        verdicts=verdicts,
        reasons=reasons,
        mode=facts.mode,
        reference=_reference_view(before, history),
        paths=_paths_view(anchored, source),
        candles=candles,
        facts=facts.facts,
        scores=scores,
        audit=facts.audit,
        design=facts.design,
        yardstick=facts.yardstick,
        # In mode A the later bars are what came: they are looked at.
        notes=[*anchored.notes, *([anchored.later] if anchored.later and facts.mode != "A" else []), *facts.notes],
        long=facts.long,
    )


def _reference_view(before: Candles, history: Candles) -> ReferenceView:
    return ReferenceView(
        name=history.name,
        source=history.source,
        bars=len(before),
        left_out=len(history) - len(before),
        first=before.timestamps[0].isoformat(),
        last=before.timestamps[-1].isoformat(),
        frequency=frequency(before.timestamps),
        sha256=before.sha256(),
        flags=before.flag_texts(),
    )


def _paths_view(anchored: Anchored, source: str) -> PathsView:
    sets = [one.paths for one in anchored.ensembles]
    return PathsView(
        source=Path(source).name,
        paths=len(anchored),
        bars=sets[0].horizon,
        contexts=anchored.contexts,
        fields=list(sets[0].fields),
        first=min(one.timestamps[0] for one in sets).isoformat(),
        last=max(one.timestamps[-1] for one in sets).isoformat(),
    )
