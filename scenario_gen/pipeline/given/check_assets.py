"""``scenario-gen check`` for paths of several assets: each against its own history, and how they move together.

Puts the rooms in order: each asset is checked as if it had come alone; then paths of one number and histories of one
time are laid side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Unpack

import numpy as np
import pandas as pd

from scenario_gen.errors import CheckError, DataError
from scenario_gen.finding import CROSS_ASSET, Finding
from scenario_gen.forecasts.calibrate import judges_facts
from scenario_gen.forecasts.harness import known_futures
from scenario_gen.market.candles import Candles
from scenario_gen.market.frequency import nanoseconds
from scenario_gen.market.inferred import SessionClock
from scenario_gen.market.load import history_of
from scenario_gen.market.path_tables import PathTable, read_path_tables, shared_bars, split_assets
from scenario_gen.market.read import read_source
from scenario_gen.pipeline.given.check import (
    CHECK,
    CONTEXT,
    CheckAsked,
    Checked,
    CheckStudy,
    CheckTerms,
    History,
    check,
    report_of,
)
from scenario_gen.pipeline.study import Stage, tell
from scenario_gen.reading.words import near
from scenario_gen.realism.admission import MIN_PATHS
from scenario_gen.realism.assets import check_cross_facts, check_cross_facts_by_origin
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.check import facts_check, group_finding, members_of
from scenario_gen.realism.panel import ELSEWHERE, SHOWN, Panel, Side, side_by_side, some
from scenario_gen.realism.results import FactsReport
from scenario_gen.realism.sample import concatenate
from scenario_gen.store.reports import AssetsReport, CheckReport, reasons_of, verdicts_of


def check_assets(
    paths: Mapping[str, PathTable] | pd.DataFrame | str | Path,
    references: Mapping[str, History] | History,
    **asked: Unpack[CheckAsked],
) -> AssetsReport:
    """Check paths of several assets: each as :func:`scenario_gen.check` does, and how they move together.

    Path k of every asset is one future of all. Dependence (fact 19) is compared over the bars at stamps that all
    assets share, in paths and in histories, and in the mode that the paths allow.

    Args:
        paths: as for :func:`scenario_gen.check`, with a column asset (or symbol, ticker, instrument).
        references: asset to its history; or one table of all with such a column.
        asked: as for :func:`scenario_gen.check`, for all assets; a calendar is by default inferred for each.

    Raises:
        DataError: paths or references cannot be read, or do not name the same assets.
        CheckError: paths and references do not fit, assets lack each other's paths, or there are fewer than 20.
    """
    terms = CheckTerms.of(**asked)
    tables = paths if isinstance(paths, Mapping) else read_path_tables(paths)
    histories = {
        name: replace(history_of(given, terms.calendar), name=name)
        for name, given in _matched(references, list(tables)).items()
    }
    _refuse_different(tables)
    known, findings = tell(CHECK_ASSETS, AssetsStudy(tables, histories, terms), Together())
    assert known.cross_asset is not None  # the last stage says so, or raises
    return AssetsReport(verdicts_of(findings), reasons_of(findings), known.reports, known.cross_asset, known.notes)


@dataclass(frozen=True, eq=False)
class AssetsStudy:
    """What the check of several assets stands on."""

    tables: Mapping[str, PathTable]  # asset to its paths
    histories: Mapping[str, Candles]  # asset to its reference
    terms: CheckTerms


@dataclass(frozen=True, eq=False)
class Together:
    """What is known of several assets: it grows from stage to stage."""

    reports: dict[str, CheckReport] = field(default_factory=dict)  # asset to its own
    checked: dict[str, tuple[CheckStudy, Checked]] = field(default_factory=dict)  # asset to what was looked at
    cross_asset: FactsReport | None = None  # how they move together
    notes: list[str] = field(default_factory=list)  # what was left out of that


def check_each(study: AssetsStudy, known: Together) -> tuple[Together, list[Finding]]:
    """Check each asset as if it had come alone."""
    reports: dict[str, CheckReport] = {}
    checked: dict[str, tuple[CheckStudy, Checked]] = {}
    findings: list[Finding] = []
    for asset, table in study.tables.items():
        own = CheckStudy.of(table, study.histories[asset], study.terms)
        found, more = tell(CHECK, own, Checked())
        reports[asset], checked[asset] = report_of(own, found, more), (own, found)
        findings += [replace(finding, scenario=asset) for finding in more]
    return replace(known, reports=reports, checked=checked), findings


def compare_together(study: AssetsStudy, known: Together) -> tuple[Together, list[Finding]]:
    """Lay paths of one number and histories of one time side by side, and compare how they move together.

    Raises:
        CheckError: the assets share no stamps, or fewer than 20 paths have prices in all.
    """
    with study.terms.progress.stage("assets together", 1) as advance:
        together, notes = _together(known.checked, study.terms)
        advance(1)
    members = members_of(together.facts, ()).get(CROSS_ASSET.key, [])
    finding = group_finding(facts_check(together), CROSS_ASSET.key, members, "nothing of it could be computed")
    return replace(known, cross_asset=together, notes=notes), [finding]


# The story of a check of several assets' paths.
CHECK_ASSETS: tuple[Stage[AssetsStudy, Together], ...] = (check_each, compare_together)


def check_given(paths: Path, references: Sequence[str], **asked: Unpack[CheckAsked]) -> CheckReport | AssetsReport:
    """Check a file of paths as the command line names it: of one asset, or of several with NAME=HISTORY for each.

    Raises:
        DataError: as :func:`check_assets`, or more than one reference for one asset.
        CheckError: as there.
    """
    tables = read_path_tables(paths)
    histories = read_references(references, list(tables))
    if len(tables) > 1:
        return check_assets(tables, histories, **asked)
    ((asset, table),) = tables.items()
    if isinstance(histories, Mapping):
        if [*histories] != [asset]:
            raise DataError(
                f"{len(references)} references came for paths of one asset: {', '.join(references)}",
                expected="one history; or a column asset in the paths and NAME=HISTORY for each asset",
                fix="give one --reference, or add the column",
            )
        histories = histories[asset]
    return check(table, histories, **asked)


def read_references(given: Sequence[str], assets: Sequence[str]) -> Mapping[str, History] | History:
    """Return the histories that NAME=HISTORY texts name, or the one history that stands for all.

    Raises:
        DataError: a text without a name among several, or a name twice.
    """
    if len(given) == 1 and given[0].partition("=")[0] not in assets:
        return given[0]
    named: dict[str, History] = {}
    for text in given:
        name, equals, source = text.partition("=")
        if not equals or not source:
            raise DataError(
                f"the reference {text!r} does not say which asset it is of",
                expected=f"NAME=HISTORY for each of {some(assets)}",
                fix=f"--reference {assets[0] or 'NAME'}=HISTORY, and so on",
            )
        if name in named:
            raise DataError(f"two references are given for {name}", expected="one per asset")
        named[name] = source
    return named


def _matched(references: Mapping[str, History] | History, assets: list[str]) -> dict[str, History]:
    """Return the history of each asset of the paths, in their order."""
    if len(assets) < 2:
        raise DataError("the paths are of one asset", expected="a column asset with two names or more", fix="use check")
    if not isinstance(references, Mapping):
        references = _split(references, assets)
    lacking = [name for name in assets if name not in references]
    if lacking:
        close = near(lacking[0], references)
        raise DataError(
            f"there is no reference for {some(lacking)}; there are references for {some(list(references))}"
            + (f" (did you mean {close[0]}?)" if close else ""),
            expected=f"one history for each asset of the paths: {some(assets)}",
            fix="give --reference NAME=HISTORY for each, or one file with a column asset",
        )
    return {name: references[name] for name in assets}


def _split(reference: History, assets: list[str]) -> dict[str, History]:
    if isinstance(reference, Candles):
        raise DataError(
            "one history cannot be the reference of several assets", expected="asset to history, one for each"
        )
    table = read_source(reference)
    parts = split_assets(table)
    if "" in parts:
        raise DataError(
            f"the paths are of {len(assets)} assets ({some(assets)}), and {table.where} has no column that names one",
            expected="one history per asset, or one file with a column asset",
            fix=f"give --reference {assets[0]}=HISTORY, and so on for each asset",
        )
    return dict(parts)


def _refuse_different(tables: Mapping[str, PathTable]) -> None:
    """Refuse assets whose paths have other numbers: they are not the same futures."""
    (first, like), *others = tables.items()
    for name, table in others:
        apart = np.setxor1d(table.path_ids, like.path_ids)
        if len(apart):
            where = f"only in one of {first} and {name}: {', '.join(map(str, apart[:SHOWN]))}"
            raise CheckError(
                f"{len(apart):,} paths are {where}",
                expected="the same paths in every asset: path k of all is one future",
                fix="export every path for every asset",
            )


def _together(checked: Mapping[str, tuple[CheckStudy, Checked]], terms: CheckTerms) -> tuple[FactsReport, list[str]]:
    """Compare how the assets move together, and say what was left out."""
    studies = [study for study, _ in checked.values()]
    whole = shared_bars([study.history for study in studies])
    sides, notes = side_by_side({asset: known.kept for asset, (_, known) in checked.items()})
    notes += [
        f"{len(study.history) - len(shared):,} bars of the history of {shared.name} {ELSEWHERE}"
        for study, shared in zip(studies, whole, strict=True)
        if len(shared) < len(study.history)
    ]
    stamps = nanoseconds(whole[0].timestamps)
    ends = [int(np.searchsorted(stamps, side.first)) for side in sides]
    last = min(_end_stamp(study) for study in studies)
    cut = int(np.searchsorted(stamps, last, side="right"))
    before = [history.rows(0, cut) for history in whole]
    futures = _origins(sides, ends, whole, known=len(stamps) if terms.context_end is None else cut)
    if judges_facts(futures):
        return check_cross_facts_by_origin(futures, before, seed=terms.seed), notes
    panel = _panel_of(list(checked), sides, SessionClock.of(before[0].timestamps))
    contexts = np.repeat(ends, [len(side) for side in sides])
    if len(panel) < MIN_PATHS:
        raise CheckError(
            f"{len(panel)} paths have prices in every asset, but dependence is a property of an ensemble",
            expected=f"at least {MIN_PATHS} paths, better some hundred",
            fix="look at what the generator gives",
        )
    return check_cross_facts(panel, before, context_ids=contexts, seed=terms.seed), notes


def _end_stamp(study: CheckStudy) -> int:
    """Return nanoseconds of the last bar that an asset's paths were compared with."""
    end = study.anchored.end
    return int(nanoseconds(study.history.timestamps[end - 1 : end])[0])


def _panel_of(assets: Sequence[str], sides: list[Side], clock: SessionClock | None) -> Panel:
    """Return all paths as one panel."""
    return Panel(
        tuple(assets),
        tuple(
            concatenate([BarArrays.of_paths(side.paths[at].paths, clock=clock) for side in sides])
            for at in range(len(assets))
        ),
    )


def _origins(sides: list[Side], ends: list[int], whole: Sequence[Candles], *, known: int) -> list[tuple[Panel, Panel]]:
    """Return paths and what came, origin by origin; none where fewer than 30 futures are in all histories."""
    names = tuple(history.name for history in whole)
    clock = SessionClock.of(whole[0].timestamps)
    per_asset = [
        known_futures(
            [replace(side.paths[at], end=end) for side, end in zip(sides, ends, strict=True) if end > 0],
            history,
            known=known,
            context=CONTEXT,
        )
        for at, history in enumerate(whole)
    ]
    return [
        (
            Panel(names, tuple(BarArrays.of_paths(one.paths, clock=clock) for one in every)),
            Panel(names, tuple(BarArrays.of_paths(one.real, clock=clock) for one in every)),
        )
        for every in zip(*per_asset, strict=True)
    ]
