"""What a run kept of every path, read back: joint futures of its assets, and the table of metrics."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from scenario_gen.errors import StoreError
from scenario_gen.market.book import BookPaths
from scenario_gen.market.path_tables import read_path_table
from scenario_gen.store.folder import METRICS
from scenario_gen.store.manifest import require_as_written
from scenario_gen.store.remote import open_folder
from scenario_gen.store.results import StressRun


def read_book(folder: Path | str, scenario: str = "base") -> BookPaths:
    """Return the joint futures of one scenario, or baseline, from the folder of a finished run.

    Path k of every asset is the same future; one that was dropped in an asset is dropped in all.

    Args:
        folder: or address, of a run whose spec has several assets and says ``paths: {keep: paths}``.
        scenario: as the spec calls it, without the asset.

    Raises:
        StoreError: there is no such run or scenario, its paths were not kept, or a file is not what was written.
    """
    store = open_folder(folder)
    run = store.read_run()
    assets = set(run.spec.get("assets") or ())
    books: dict[str, dict[str, float]] = {}  # scenario to asset to its last close before the paths
    for result in run.scenarios:
        name, _, asset = result.name.rpartition(".")
        if asset in assets:
            books.setdefault(name, {})[asset] = result.context.anchor_close
    if scenario not in [*books]:  # a list: what is no name cannot be looked up
        raise StoreError(
            f"the run in {store.path} has no scenario {scenario!r} of several assets",
            expected=" or ".join(books) or "a run whose spec has a list 'assets'",
            fix="name one of these"
            if books
            else "give the spec 'assets', or read paths/*.parquet of one asset as it is",
        )
    own = [store.paths_path(f"{scenario}.{asset}") for asset in books[scenario]]
    store = open_folder(folder, *(path.relative_to(store.path).as_posix() for path in own))
    files = {asset: store.paths_path(f"{scenario}.{asset}") for asset in books[scenario]}
    if missing := [path.name for path in files.values() if not path.is_file()]:
        raise StoreError(
            f"the run in {store.path} kept no paths of {scenario!r}: {', '.join(missing)} not in its folder 'paths'",
            expected="a run whose spec says paths: {keep: paths}",
            fix="add it to the spec and run it again with --overwrite",
        )
    for path in files.values():  # another asset's file reads as well as its own, and so does one with a path fewer
        require_as_written(store.path, path.relative_to(store.path).as_posix())
    return BookPaths.common(
        {asset: read_path_table(path).path_set(books[scenario][asset]) for asset, path in files.items()}
    )


def metrics_of(run: StressRun, folder: Path | str | None = None) -> pd.DataFrame:
    """Return the metrics of every path of a run; see :meth:`StressRun.frame`."""
    place = run.folder if folder is None else folder
    if place is None:
        raise StoreError(
            f"where the tables of the run {run.name!r} are is not known",
            expected="a run that sg.run returned, or its folder",
            fix="give the run folder: run.frame('reports/...')",
        )
    store = open_folder(place, METRICS)
    if store.read_run().identity != run.identity:
        raise StoreError(
            f"{store.path} holds another run than {run.name!r}: spec, data, weights or code differ",
            expected="the folder of this run",
            fix="give its folder: run.frame('reports/...'), or run the spec again",
        )
    if not (store.path / METRICS).is_file():
        raise StoreError(
            f"the run in {store.path} kept no tables: there is no {METRICS}",
            expected="a run whose spec says paths: {keep: metrics}, the default, or {keep: paths}",
            fix="change paths.keep, and run it again with --overwrite",
        )
    require_as_written(store.path, METRICS)
    return store.read_metrics()
