"""From a config's data section to histories: which place is read, and which days of it are used.

Downloads come through a function that the caller brings: this room knows no vendor and no vectorbt.
"""

from __future__ import annotations

import glob
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from scenario_gen.errors import DataError
from scenario_gen.market.candles import Candles
from scenario_gen.training.config import DataConfig, Source, VectorbtData
from scenario_gen.training.histories import History, history_of, read_files, read_listed

Download = Callable[[VectorbtData], list[Candles]]
DAY = 86_400_000_000_000  # nanoseconds


def read_source(source: Source, base: Path, download: Download | None = None) -> list[History]:
    """Read the histories that a source names, cut to its days.

    Args:
        source: of a config.
        base: what relative paths of folder and files are relative to.
        download: fetches vectorbt's data.

    Raises:
        DataError: nothing is there, a file breaks the Candles contract, or a held-out symbol is not among them.
    """
    held_out = source.holdout_symbols if isinstance(source, DataConfig) else ()
    if source.folder is not None:
        folder = (base / Path(source.folder).expanduser()).resolve()
        histories = read_listed(folder, source.manifest, source.classes, held_out)
    elif source.vectorbt is not None:
        if download is None:
            raise DataError("data.vectorbt cannot be read here", fix="use scenario-gen train, or pass download=")
        histories = [history_of(candles, source.asset_class) for candles in download(source.vectorbt)]
    else:
        names = [source.source] if source.source else _files(source, base)
        histories = read_files(names, source.asset_class)
    unknown = sorted(set(held_out) - {one.symbol for one in histories})
    if unknown:  # passed over, a held-out instrument with a typing error would be trained on
        raise DataError(
            f"data.holdout_symbols names {', '.join(unknown)}, which is not among the data",
            expected=f"some of {', '.join(sorted({one.symbol for one in histories})[:10])}",
            fix="mend data.holdout_symbols in the training config",
        )
    return [_cut(one, source) for one in histories]


def _files(source: Source, base: Path) -> list[str]:
    """Return the files in the order of the config, patterns filled in; relative ones belong to ``base``."""
    found: list[str] = []
    for name in source.files:
        path = str(base / Path(name).expanduser())
        matches = sorted(glob.glob(path)) if glob.has_magic(name) else [path]  # noqa: PTH207  # absolute patterns too
        if not matches:
            raise DataError(f"no file matches {name}", expected="CSV or Parquet files", fix="mend data.files")
        found += matches
    return list(dict.fromkeys(found))


def _cut(one: History, source: Source) -> History:
    """Keep the bars of the source's days."""
    first = (
        0 if source.start is None else int(np.searchsorted(one.wall_ns, pd.Timestamp(source.start).as_unit("ns").value))
    )
    last = (
        len(one.wall_ns)
        if source.end is None
        else int(np.searchsorted(one.wall_ns, pd.Timestamp(source.end).as_unit("ns").value + DAY))
    )
    return replace(one, values=one.values[first:last], wall_ns=one.wall_ns[first:last])
