"""``scenario-gen check``: paths of any generator against the history that they continue.

Puts the rooms in order: paths and reference are read, paths are anchored, candle rules are counted, stylized facts and
scores are compared with real windows, none of them after the context's end. Later bars are looked at in mode A alone,
as what came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, Unpack

import numpy as np
import pandas as pd
from pydantic import ValidationError

from scenario_gen.candles.account import CandleAccount, merge_tallies
from scenario_gen.candles.check import MOST_MEASURED, CandleRules, share_of
from scenario_gen.errors import CheckError, SpecError
from scenario_gen.finding import CANDLES, Finding
from scenario_gen.forecasts.calibrate import TOO_FEW, calibrate_given, facts_by_origin, judges_facts
from scenario_gen.forecasts.harness import Forecast, known_futures
from scenario_gen.forecasts.judge import label_findings
from scenario_gen.forecasts.results import GeneratorCalibration
from scenario_gen.market.anchor import Anchored, Ensemble, anchored
from scenario_gen.market.candles import Candles
from scenario_gen.market.inferred import SessionClock
from scenario_gen.market.load import history_of
from scenario_gen.market.path_tables import PathTable, read_path_table
from scenario_gen.market.paths import PathSet
from scenario_gen.market.read import RawTable
from scenario_gen.market.section import Market
from scenario_gen.pipeline.study import Stage, tell
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.realism.admission import MIN_PATHS
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.check import check_facts, given_findings
from scenario_gen.realism.results import FactsReport
from scenario_gen.realism.sample import concatenate
from scenario_gen.realism.scores import exempted
from scenario_gen.realism.verdicts import assemble
from scenario_gen.spec.models import MAX_SEED
from scenario_gen.store.reports import CheckReport, PathsView, ReferenceView, reasons_of, verdicts_of

History: TypeAlias = Candles | RawTable | pd.DataFrame | str | Path


class CheckAsked(TypedDict, total=False):
    """What may be asked of a check, whatever the paths; whatever is left out is as :class:`CheckTerms` says."""

    context_end: str | None
    market: Market | Mapping[str, Any] | None
    calendar: str | None
    training: Sequence[History] | History
    resamples_history: bool
    seed: int
    progress: Progress | None


@dataclass(frozen=True, eq=False)
class CheckTerms:
    """What paths are held to, whatever the asset."""

    context_end: str | None = None  # the last bar of the reference to compare with; None: the last bar before the paths
    market: Market | None = None  # ticks, lots and price limit
    calendar: str | None = None  # whose sessions the stamps must keep to; None: inferred
    training: tuple[Candles, ...] = ()  # histories that the generator was trained on
    resamples_history: bool = False  # the copy test is shown and not judged
    seed: int = 0  # of random groups, controls and splits
    progress: Progress = field(default_factory=SilentProgress)  # who hears of stages

    @classmethod
    def of(
        cls,
        *,
        market: Market | Mapping[str, Any] | None = None,
        training: Sequence[History] | History = (),
        seed: int = 0,
        progress: Progress | None = None,
        **plain: Any,
    ) -> CheckTerms:
        """Return the terms that a caller asks for.

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
        histories = histories_of(training)
        return cls(market=market, training=histories, seed=seed, progress=progress or SilentProgress(), **plain)


def histories_of(given: Sequence[History] | History) -> tuple[Candles, ...]:
    """Return training histories as candles; one history stands for itself."""
    one = isinstance(given, str | Path | pd.DataFrame | RawTable | Candles)
    return tuple(history_of(each) for each in ([given] if one else given))  # type: ignore[union-attr]


# --- ``scenario-gen check``: paths of any generator against the history that they continue ---


Paths: TypeAlias = PathTable | PathSet | Sequence[PathSet] | pd.DataFrame | str | Path
CONTEXT = 256  # bars before the paths that say what volatility they continue


def check(paths: Paths, reference: History, **asked: Unpack[CheckAsked]) -> CheckReport:
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
        asked: by name, any of those that follow.
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
    terms = CheckTerms.of(**asked)
    study = CheckStudy.of(paths, history_of(reference, terms.calendar), terms)
    known, findings = tell(CHECK, study, Checked())
    return report_of(study, known, findings)


@dataclass(frozen=True, eq=False)
class CheckStudy:
    """What the check of one asset's paths stands on."""

    anchored: Anchored  # the paths as they came, behind their contexts
    source: str  # what to call them
    history: Candles  # the whole reference
    terms: CheckTerms

    @classmethod
    def of(cls, paths: Paths, history: Candles, terms: CheckTerms) -> CheckStudy:
        """Read paths and put them behind their contexts.

        Raises:
            DataError: the paths cannot be read.
            CheckError: paths and history do not fit, or there are fewer than 20 paths.
        """
        given, source = _given(paths)
        found = anchored(given, history, terms.context_end, source)
        if len(found) < MIN_PATHS:
            raise _too_few(f"{source} holds {len(found)} path{'s' if len(found) != 1 else ''}", "sample more paths")
        return cls(found, source, history, terms)

    @cached_property
    def before(self) -> Candles:
        """The bars of the reference that the paths are compared with."""
        return self.history.rows(0, self.anchored.end)


@dataclass(frozen=True, eq=False)
class Checked:
    """What is known of one asset's paths: it grows from stage to stage."""

    kept: list[Ensemble] = field(default_factory=list)  # the paths that have prices, repaired, by context
    candles: CandleAccount | None = None  # of all that came
    misfits: list[str] = field(default_factory=list)  # where history breaks the market's rules
    facts: FactsReport | None = None  # facts and scores
    origins: list[Forecast] = field(default_factory=list)  # contexts whose futures are known
    calibration: GeneratorCalibration | None = None  # of the paths at those


def hold_to_the_rules(study: CheckStudy, known: Checked) -> tuple[Checked, list[Finding]]:
    """Count what breaks a candle rule, and mend it."""
    ensembles = study.anchored.ensembles
    with study.terms.progress.stage("candle rules", len(ensembles)) as advance:
        kept, candles, misfits = _candles(ensembles, study.history, study.terms.market, advance)
    found = replace(known, kept=kept, candles=candles, misfits=misfits)
    return found, [CANDLES.finding(candles.label, _candle_reason(candles))]


def compare_with_history(study: CheckStudy, known: Checked) -> tuple[Checked, list[Finding]]:
    """Compare facts and scores with real windows, and with what came where the reference knows it.

    Raises:
        CheckError: fewer than 20 paths have prices.
    """
    terms, history, before = study.terms, study.history, study.before
    with terms.progress.stage("stylized facts", 1) as advance:
        facts = _facts(known.kept, study.anchored, before, terms.training, terms.seed)
        past = len(history) if terms.context_end is None else study.anchored.end
        origins = known_futures(known.kept, history, known=past, context=CONTEXT)
        if judges_facts(origins):
            facts = in_mode_a(facts_by_origin(origins, before, terms.seed), facts)
        elif origins:
            facts = replace(facts, notes=[TOO_FEW.format(origins=len(origins)), *facts.notes])
        if terms.resamples_history:
            facts = replace(facts, scores=exempted(facts.scores))
        advance(1)
    found = replace(known, facts=facts, origins=origins)
    return found, given_findings(facts, exempt=terms.resamples_history)


def calibrate_on_what_came(study: CheckStudy, known: Checked) -> tuple[Checked, list[Finding]]:
    """Rank what came among the paths of its own context; nothing where too few futures are known."""
    calibration = calibrate_given(known.origins, study.before, study.terms.seed) if known.origins else None
    if calibration is None:
        return known, []
    return replace(known, calibration=calibration), label_findings(calibration)


# The story of a check of one asset's paths.
CHECK: tuple[Stage[CheckStudy, Checked], ...] = (hold_to_the_rules, compare_with_history, calibrate_on_what_came)


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


def _weighted(ensembles: Sequence[Ensemble]) -> list[str]:
    """Say of weighted paths that they are compared with real windows as if all stood for as much."""
    weighted = any(each.paths.weights is not None for each in ensembles)
    return ["the paths have weights, which play no part here: every path counts as one"] if weighted else []


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


def _candle_reason(candles: CandleAccount) -> str:
    broken = [f"{row.rule} in {row.paths:,} paths" for row in candles.rules if row.paths > 0 and row.kind != "suspect"]
    rules = f" ({', '.join(broken)})" if broken else ""
    odd = [f"; not so in {row.paths:,} paths: {row.title} ({row.rule})" for row in candles.odd_rules]
    return (
        f"{candles.bad_bars:,} of {candles.bars:,} bars are no valid candle{rules}, {candles.rejected:,} paths rejected"
        f"{''.join(odd)}"
    )


def report_of(study: CheckStudy, known: Checked, findings: list[Finding]) -> CheckReport:
    """Put the report of one asset together."""
    given, facts = study.anchored, known.facts
    assert facts is not None and known.candles is not None  # the first stages say so, or raise
    # In mode A the later bars are what came: they are looked at.
    later = [given.later] if given.later and facts.mode != "A" else []
    return CheckReport(
        verdicts=verdicts_of(findings),
        reasons=reasons_of(findings),
        mode=facts.mode,
        reference=ReferenceView.of(study.before, study.history),
        paths=PathsView.of(
            [each.paths for each in given.ensembles], study.source, paths=len(given), contexts=given.contexts
        ),
        candles=known.candles,
        facts=facts.facts,
        scores=facts.scores,
        audit=facts.audit,
        design=facts.design,
        yardstick=facts.yardstick,
        notes=[*given.notes, *_weighted(given.ensembles), *later, *facts.notes, *known.misfits],
        calibration=known.calibration,
        long=facts.long,
    )
