"""``scenario-gen check`` for paths of several assets: each against its own history, and how they move together.

Puts the rooms in order: each asset is checked as if it had come alone; then paths of one number and histories of one
time are laid side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scenario_gen.checks.inference import FactsReport, check_cross_facts, check_cross_facts_by_origin
from scenario_gen.checks.inference.admission import MIN_PATHS
from scenario_gen.errors import CheckError, DataError
from scenario_gen.forecasts.calibrate import judges_facts
from scenario_gen.market.assets import shared_bars, split_assets
from scenario_gen.market.candles import Candles
from scenario_gen.market.frequency import nanoseconds
from scenario_gen.market.read import read_source
from scenario_gen.market.section import Market
from scenario_gen.market.sessions import SessionClock
from scenario_gen.pipeline.asset_results import AssetsReport, assets_report
from scenario_gen.pipeline.check_results import CheckReport
from scenario_gen.pipeline.checking import Checked, check, check_one
from scenario_gen.pipeline.path_tables import PathTable, read_path_tables
from scenario_gen.pipeline.side_by_side import SHOWN, left_out, origins, panel_of, side_by_side, some
from scenario_gen.pipeline.terms import History, Terms, history_of, terms_of
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.reading.words import near


def check_assets(
    paths: Mapping[str, PathTable] | pd.DataFrame | str | Path,
    references: Mapping[str, History] | History,
    *,
    context_end: str | None = None,
    market: Market | Mapping[str, Any] | None = None,
    calendar: str | None = None,
    training: Sequence[History] | History = (),
    resamples_history: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> AssetsReport:
    """Check paths of several assets: each as :func:`scenario_gen.check` does, and how they move together.

    Path k of every asset is one future of all. Dependence (fact 19) is compared over the bars at stamps that all
    assets share, in paths and in histories, and in the mode that the paths allow.

    Args:
        paths: as for :func:`scenario_gen.check`, with a column asset (or symbol, ticker, instrument).
        references: asset to its history; or one table of all with such a column.
        context_end: as for :func:`scenario_gen.check`, for all assets.
        market: ticks, lots and price limit of all assets.
        calendar: of all assets; by default inferred for each.
        training: histories that the generator was trained on, for the copy tests.
        resamples_history: the generator is a bootstrap of the references.
        seed: the same seed gives the same report.
        progress: who hears of stages.

    Raises:
        DataError: paths or references cannot be read, or do not name the same assets.
        CheckError: paths and references do not fit, assets lack each other's paths, or there are fewer than 20.
    """
    progress = progress or SilentProgress()
    tables = paths if isinstance(paths, Mapping) else read_path_tables(paths)
    histories = {
        name: replace(history_of(one, calendar), name=name) for name, one in _matched(references, list(tables)).items()
    }
    _refuse_different(tables)
    terms = terms_of(context_end, market, training, resamples_history, seed)
    checked = {name: check_one(table, histories[name], terms, progress) for name, table in tables.items()}
    with progress.stage("assets together", 1) as advance:
        together, notes = _together(checked, terms)
        advance(1)
    return assets_report({name: one.report for name, one in checked.items()}, together, notes)


def check_given(
    paths: Path,
    references: Sequence[str],
    *,
    context_end: str | None,
    market: Market | None,
    calendar: str | None,
    training: Sequence[History],
    resamples_history: bool,
    seed: int,
    progress: Progress,
) -> CheckReport | AssetsReport:
    """Check a file of paths as the command line names it: of one asset, or of several with NAME=HISTORY for each.

    Raises:
        DataError: as :func:`check_assets`, or more than one reference for one asset.
        CheckError: as there.
    """
    tables = read_path_tables(paths)
    histories = read_references(references, list(tables))
    terms: dict[str, Any] = {
        "context_end": context_end,
        "market": market,
        "calendar": calendar,
        "training": training,
        "resamples_history": resamples_history,
        "seed": seed,
        "progress": progress,
    }
    if len(tables) > 1:
        return check_assets(tables, histories, **terms)
    ((asset, table),) = tables.items()
    if isinstance(histories, Mapping):
        if [*histories] != [asset]:
            raise DataError(
                f"{len(references)} references came for paths of one asset: {', '.join(references)}",
                expected="one history; or a column asset in the paths and NAME=HISTORY for each asset",
                fix="give one --reference, or add the column",
            )
        histories = histories[asset]
    return check(table, histories, **terms)


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


def _together(checked: Mapping[str, Checked], terms: Terms) -> tuple[FactsReport, list[str]]:
    """Compare how the assets move together, and say what was left out."""
    whole = shared_bars([one.history for one in checked.values()])
    sides, notes = side_by_side(checked)
    notes += left_out(checked, whole)
    stamps = nanoseconds(whole[0].timestamps)
    ends = [int(np.searchsorted(stamps, side.first)) for side in sides]
    last = min(_end_stamp(one) for one in checked.values())
    cut = int(np.searchsorted(stamps, last, side="right"))
    before = [history.rows(0, cut) for history in whole]
    futures = origins(sides, ends, whole, known=len(stamps) if terms.context_end is None else cut)
    if judges_facts(futures):
        return check_cross_facts_by_origin(futures, before, seed=terms.seed), notes
    panel = panel_of(list(checked), sides, SessionClock.of(before[0].timestamps))
    contexts = np.repeat(ends, [len(side) for side in sides])
    if len(panel) < MIN_PATHS:
        raise CheckError(
            f"{len(panel)} paths have prices in every asset, but dependence is a property of an ensemble",
            expected=f"at least {MIN_PATHS} paths, better some hundred",
            fix="look at what the generator gives",
        )
    return check_cross_facts(panel, before, context_ids=contexts, seed=terms.seed), notes


def _end_stamp(one: Checked) -> int:
    """Return nanoseconds of the last bar that an asset's paths were compared with."""
    return int(nanoseconds(one.history.timestamps[one.end - 1 : one.end])[0])
