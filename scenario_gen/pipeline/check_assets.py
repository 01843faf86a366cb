"""``scenario-gen check`` for paths of several assets: each against its own history, and how they move together.

Puts the rooms in order: each asset is checked as if it had come alone; then paths of one number and histories of one
time are laid side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import CheckError, DataError
from scenario_gen.forecasts.calibrate import judges_facts
from scenario_gen.forecasts.harness import known_futures
from scenario_gen.market.anchor import Ensemble
from scenario_gen.market.candles import Candles
from scenario_gen.market.frequency import nanoseconds
from scenario_gen.market.inferred import SessionClock
from scenario_gen.market.path_tables import PathTable, read_path_tables, shared_bars, split_assets
from scenario_gen.market.paths import PathSet
from scenario_gen.market.read import read_source
from scenario_gen.market.section import Market
from scenario_gen.pipeline.check import CONTEXT, Checked, History, Terms, check, check_one, history_of, terms_of
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.reading.words import near
from scenario_gen.realism.admission import MIN_PATHS
from scenario_gen.realism.assets import check_cross_facts, check_cross_facts_by_origin
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.panel import Panel
from scenario_gen.realism.results import FactsReport
from scenario_gen.realism.sample import concatenate
from scenario_gen.store.reports import AssetsReport, CheckReport, assets_report

SHOWN = 3
ELSEWHERE = "are left out of dependence: not all assets have bars at their stamps"


@dataclass(frozen=True, eq=False)
class Side:
    """The paths of one context, asset beside asset."""

    paths: list[Ensemble]  # one set per asset, with the same stamps, and the same path ids in the same order
    first: int  # nanoseconds of their first stamp

    def __len__(self) -> int:
        return len(self.paths[0].paths)


def side_by_side(checked: Mapping[str, Checked]) -> tuple[list[Side], list[str]]:
    """Return the paths that all assets kept, at the stamps that all share, and what was left out.

    Paths with the same stamps in every asset stand together.
    """
    groups_of = [_group_of_path(one.kept) for one in checked.values()]
    kept = sorted(set.intersection(*(set(groups) for groups in groups_of)))
    lost = len(set.union(*(set(groups) for groups in groups_of))) - len(kept)
    members: dict[tuple[int, ...], list[int]] = {}
    for path in kept:
        members.setdefault(tuple(groups[path] for groups in groups_of), []).append(path)
    sides = [
        _side([one.kept[at] for one, at in zip(checked.values(), places, strict=True)], np.array(paths))
        for places, paths in members.items()
    ]
    _refuse_uneven(sides, list(checked))
    notes = [f"{lost:,} paths that an asset lost to the candle rules are left out of dependence"] if lost else []
    bars = sides[0].paths[0].paths.horizon if sides else 0
    for name, one in checked.items():
        if one.kept and one.kept[0].paths.horizon > bars > 0:
            gone = one.kept[0].paths.horizon - bars
            notes.append(f"{gone:,} bars of the paths of {name} {ELSEWHERE}")
    return sorted(sides, key=lambda side: side.first), notes


def _group_of_path(kept: Sequence[Ensemble]) -> dict[int, int]:
    """Return path id to the place of the ensemble that holds it."""
    return {int(path): at for at, one in enumerate(kept) for path in one.paths.path_ids}


def _side(every: Sequence[Ensemble], ids: NDArray[np.int64]) -> Side:
    """Return these paths of every asset, bars at shared stamps only."""
    shared = reduce(np.intersect1d, [_stamps(one) for one in every])
    cut = [_at_stamps(one.paths.select(ids), np.isin(_stamps(one), shared)) for one in every]
    first = int(shared[0]) if len(shared) else 0
    return Side([replace(one, paths=paths) for one, paths in zip(every, cut, strict=True)], first)


def _at_stamps(paths: PathSet, keep: NDArray[np.bool_]) -> PathSet:
    if keep.all():
        return paths
    return replace(paths, values=paths.values[:, keep], timestamps=paths.timestamps[keep])


def _refuse_uneven(sides: Sequence[Side], assets: Sequence[str]) -> None:
    lengths = sorted({side.paths[0].paths.horizon for side in sides})
    if len(lengths) > 1 or lengths == [0]:
        told = "no stamp" if lengths == [0] else f"{lengths[0]} to {lengths[-1]} stamps, not all the same number"
        raise CheckError(
            f"the paths of {some(assets)} share {told}",
            expected="bars at the same moments in every asset, as many on every path",
            fix="cut the paths of all assets to the moments that all have",
        )


def panel_of(assets: Sequence[str], sides: list[Side], clock: SessionClock | None) -> Panel:
    """Return all paths as one panel."""
    return Panel(
        tuple(assets),
        tuple(
            concatenate([BarArrays.of_paths(side.paths[at].paths, clock=clock) for side in sides])
            for at in range(len(assets))
        ),
    )


def origins(sides: list[Side], ends: list[int], whole: Sequence[Candles], *, known: int) -> list[tuple[Panel, Panel]]:
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


def left_out(checked: Mapping[str, Checked], whole: Sequence[Candles]) -> list[str]:
    """Say which bars of the histories do not count between the assets."""
    return [
        f"{len(one.history) - len(shared):,} bars of the history of {shared.name} {ELSEWHERE}"
        for one, shared in zip(checked.values(), whole, strict=True)
        if len(shared) < len(one.history)
    ]


def _stamps(ensemble: Ensemble) -> NDArray[np.int64]:
    return np.ascontiguousarray(nanoseconds(ensemble.paths.timestamps))


def some(names: Sequence[str]) -> str:
    """Return the first names and how many more there are."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


# --- ``scenario-gen check`` for paths of several assets ---


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


def _end_stamp(checked: Checked) -> int:
    """Return nanoseconds of the last bar that an asset's paths were compared with."""
    return int(nanoseconds(checked.history.timestamps[checked.end - 1 : checked.end])[0])
