"""Whether the assets of a book move together as the real ones do: against windows of history, and by what came.

Puts the rooms in order: paths of all assets side by side, histories at shared stamps, and forecasts of the past under
a coupling that knows no bar after the first of them. Computes no statistic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from scenario_gen.errors import CheckError, DataError
from scenario_gen.finding import CALENDAR, COINTEGRATION, CROSS_ASSET, JOINT_CALIBRATION, Finding, worst
from scenario_gen.forecasts.book import BookCalibration, BookForecast, calibrate_book
from scenario_gen.forecasts.calibrate import judges_facts
from scenario_gen.forecasts.harness import Sampling
from scenario_gen.forecasts.judge import calibration_findings
from scenario_gen.forecasts.origins import rolling_origins
from scenario_gen.generators.base import Generator
from scenario_gen.joint.coupling import Coupling
from scenario_gen.joint.fit import fit_coupling
from scenario_gen.joint.pilot import BookAsset
from scenario_gen.joint.section import FEWEST_COMMON, Joint
from scenario_gen.market.anchor import Ensemble
from scenario_gen.market.candles import Candles
from scenario_gen.market.inferred import SessionClock
from scenario_gen.market.path_tables import shared_bars
from scenario_gen.pipeline.blocks.block import first_paths
from scenario_gen.pipeline.opening import base_of
from scenario_gen.pipeline.prepared import Book
from scenario_gen.pipeline.stages import settings_of
from scenario_gen.pipeline.study import Results, Study
from scenario_gen.realism.assets import check_cross_facts, check_cross_facts_by_origin
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.check import MOST_PATHS, facts_findings, unjudged_facts_finding
from scenario_gen.realism.panel import Panel, side_by_side
from scenario_gen.realism.results import FactsReport

TIED = 0.05  # of Engle and Granger's test: below it a pair of the context keeps together


def judge_dependence(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Compare how the assets of every book move together with real windows; baselines are shown and not judged.

    Shocked books are left out: they are meant to look like no window of history.
    """
    parts: dict[str, dict[str, Any]] = {}
    findings = _closes(study.books)
    whole = [book for book in study.books if not any(ground.hit for ground in book.grounds.values())]
    asked = [book for book in whole if book.first.scenario.checks.facts]
    with study.progress.stage("assets together", len(asked)) as advance:
        for book in asked:
            judged = book.role == "scenario"
            try:
                report = _dependence(book, study)
            except (CheckError, DataError) as error:
                problem = f"{CROSS_ASSET.words}: {error.problem}"
                findings += [unjudged_facts_finding(book.name, problem)] if judged else []
            else:
                parts[book.name] = {"dependence": report}
                findings += facts_findings(book.name, report) if judged else []
            findings += [tied(book)] if judged else []
            advance(1)
    return results.amended_books(parts), findings


def judge_assets(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Say of every book what was found on its assets alone: of each judgement the worst, and whose it is."""
    seen = {scenario.name: scenario for scenario in results.scenarios}
    findings: list[Finding] = []
    for book in study.books:
        calibrations = {name: seen[ground.name].calibration for name, ground in book.grounds.items()}
        own: dict[str, Finding] = {}
        for asset, calibration in calibrations.items():
            if calibration is None:
                continue
            more = calibration_findings(book.name, calibration)
            more += [] if calibration.facts is None else facts_findings(book.name, calibration.facts)
            for finding in more:
                known = own.get(finding.name)
                if known is None or worst((known.label, finding.label), "PASS") != known.label:
                    own[finding.name] = replace(finding, measured=f"{asset}: {finding.measured}")
        findings += own.values() if all(calibrations.values()) else []
    return results, findings


def forecast_the_book(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Forecast the past of the base scenario's book; a history that is too short is told as UNTESTABLE."""
    first = base_of([ground.scenario for ground in study.grounds])
    book = next((book for book in study.books if first is not None and book.name == first.future), None)
    if book is None or not book.first.scenario.checks.calibration:
        return results, []
    try:
        ranks, facts = _forecasts(book, study)
    except (CheckError, DataError) as error:
        return results, [JOINT_CALIBRATION.finding("UNTESTABLE", str(error.problem), scenario=book.name)]
    findings = [joint_finding(book.name, ranks)]
    findings += [] if facts is None else facts_findings(book.name, facts)
    return results.amended_books({book.name: {"ranks": ranks, "dependence_by_origin": facts}}), findings


def joint_finding(scenario: str, ranks: BookCalibration) -> Finding:
    """Return what the ranks of portfolios' gains say of a coupling."""
    alike = [number for number in ranks.ours.numbers if number.label == ranks.ours.label]
    first = min(alike, key=lambda number: number.q or 0.0)
    beside = ", ".join(f"{law.name} {law.label}" for law in ranks.beside)
    return JOINT_CALIBRATION.finding(
        ranks.ours.label,
        f"{len(alike)} of {len(ranks.ours.numbers)} {ranks.ours.label} over {len(ranks.origins)} forecasts; "
        f"{first.title}: {first.reason}; beside: {beside}",
        scenario=scenario,
        offenders=[number.functional for number in ranks.ours.numbers if number.label in ("FAIL", "WARN")],
    )


def _dependence(book: Book, study: Study) -> FactsReport:
    """Lay the paths of all assets side by side, and hold them against the shared bars of their histories."""
    grounds = book.grounds
    kept = {
        name: [Ensemble(first_paths(ground, study.store, MOST_PATHS), len(ground.history))]
        for name, ground in grounds.items()
    }
    whole = shared_bars([ground.history for ground in grounds.values()])
    sides, notes = side_by_side(kept)
    if not sides:
        raise CheckError("no path is left in every asset", expected="paths that candle rules keep in all assets")
    clock = SessionClock.of(whole[0].timestamps)
    bars = [BarArrays.of_paths(ensemble.paths, clock=clock) for ensemble in sides[0].paths]
    report = check_cross_facts(
        Panel(tuple(grounds), tuple(bars)),
        whole,
        context_ids=np.zeros(len(bars[0]), dtype=np.int64),
        timestamps=sides[0].paths[0].paths.timestamps,
        seed=book.first.scenario.paths.seed,
    )
    return replace(report, notes=[*report.notes, *notes])


def _forecasts(book: Book, study: Study) -> tuple[BookCalibration, FactsReport | None]:
    """Forecast the past of a book: ranks of its portfolios, and how its assets moved together origin by origin."""
    grounds = list(book.grounds.values())
    stamps = [ground.history.timestamps for ground in grounds]
    if any(not other.equals(stamps[0]) for other in stamps[1:]):
        raise DataError("the assets have bars at different stamps", expected="joint.calendar: intersection")
    settings = settings_of(grounds[0])
    horizon = min(len(grounds[0].timestamps), settings.horizon)
    origins = rolling_origins(len(stamps[0]), context=settings.context, horizon=horizon, count=settings.origins)
    pairs: list[tuple[Panel, Panel]] = []

    def seen(forecast: BookForecast) -> None:
        pairs.append(forecast.panel(list(book.grounds)))

    generators, coupling, notes = coupled_before(book, origins.rows[0], horizon)
    histories = {name: ground.history for name, ground in book.grounds.items()}
    sampling = Sampling(settings.context, horizon, settings.paths, settings.seed)
    ranks = calibrate_book(
        generators, coupling, histories, origins, sampling, progress=study.progress, seen=seen, notes=notes
    )
    judged = judges_facts(pairs)
    facts = check_cross_facts_by_origin(pairs, list(histories.values()), seed=settings.seed) if judged else None
    return ranks, facts


def coupled_before(book: Book, row: int, horizon: int) -> tuple[Mapping[str, Generator], Coupling, list[str]]:
    """Return the generators of a book, a coupling that knows no bar from a row on, and what a reader must know of it.

    A coupling that has seen the futures flatters itself: one that draws dated bars again would draw them.
    """
    ground = book.first
    joint, context = ground.scenario.joint or Joint(), len(ground.context)
    if row < context + FEWEST_COMMON:
        coupled = {name: ground.coupled for name, ground in book.grounds.items() if ground.coupled is not None}
        told = f"{row} bars before the first forecast are too few for a coupling: the run's own has seen what came"
        generators = {name: each.inner for name, each in coupled.items()}
        return generators, next(iter(coupled.values())).coupling, [told]
    members = {
        name: BookAsset(
            generator=ground.generator,
            history=ground.history.rows(0, row),
            rows=np.arange(max(1, row - joint.calibrate.bars), row),
            context=ground.history.rows(row - context, row),
            timestamps=ground.history.timestamps[row : row + horizon],
        )
        for name, ground in book.grounds.items()
    }
    fit = fit_coupling(members, joint, ground.scenario.paths.seed)
    last = ground.history.timestamps[row - 1].date().isoformat()
    return fit.generators, fit.coupling, [f"coupled by bars up to {last}, before the first forecast"]


def tied(book: Book) -> Finding:
    """Say which pairs of a context keep together in the long run: paths do not, their spreads wander."""
    contexts = {name: ground.context for name, ground in book.grounds.items()}
    pairs = cointegrated(contexts)
    if not pairs:
        count = len(contexts) * (len(contexts) - 1) // 2
        return COINTEGRATION.finding("PASS", f"none of {count} pairs of the context", scenario=book.name)
    told = "; ".join(f"{one} and {other} (p = {p:.2g})" for one, other, p in pairs[:3])
    more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
    return COINTEGRATION.finding(
        "WARN",
        f"{told}{more} keep together in the context, and their paths do not: strategies on spreads cannot be judged",
        scenario=book.name,
        offenders=[f"{one}/{other}" for one, other, _ in pairs],
    )


def _closes(books: Sequence[Book]) -> list[Finding]:
    """Say it of the first book of each common history: scenarios that share it have the same closes."""
    first: dict[tuple[Any, ...], Book] = {}
    for book in books:
        ground = book.first
        if ground.aligned is not None and ground.scenario.role == "scenario":
            common = ground.aligned.timestamps
            first.setdefault((ground.aligned.calendar, len(common), common[-1]), book)
    return [apart_closes(book) for book in first.values()]


def apart_closes(book: Book) -> Finding:
    """Say which assets' returns go together a bar apart, over the common bars up to the end of the context."""
    aligned = book.first.aligned
    assert aligned is not None  # of every book that was prepared
    pairs = len(aligned.parts) * (len(aligned.parts) - 1) // 2
    if not aligned.apart:
        return CALENDAR.finding("PASS", f"none of {pairs} pairs of the common history", scenario=book.name)
    words = "; ".join(apart.in_words for apart in aligned.apart[:2])
    more = f"; and {len(aligned.apart) - 2} more" if len(aligned.apart) > 2 else ""
    offenders = [f"{apart.before}/{apart.after}" for apart in aligned.apart]
    return CALENDAR.finding("WARN", f"{words}{more}", scenario=book.name, offenders=offenders)


def cointegrated(contexts: Mapping[str, Candles]) -> Sequence[tuple[str, str, float]]:
    """Return the pairs whose log closes are cointegrated, with the p-value of Engle and Granger 1987, likeliest first.

    After Holm over all pairs, so that of pairs that are none in one of twenty contexts one is told at all. Pairs with
    other stamps are matched at those that they share.
    """
    from arch.unitroot.cointegration import engle_granger  # slow to import

    found: list[tuple[float, str, str]] = []
    for one, other in combinations(contexts, 2):
        shared = shared_bars([contexts[one], contexts[other]])
        first, second = (np.log(bars.close) for bars in shared)
        if min(np.std(first), np.std(second)) == 0:
            continue
        found.append((float(engle_granger(first, second, trend="c").pvalue), one, other))
    kept = []
    for rank, (p, one, other) in enumerate(sorted(found)):
        if p * (len(found) - rank) > TIED:
            break
        kept.append((one, other, p))
    return kept
