"""Histories to train on and to be judged by: a manifest's, plain files, a built-in one, a Qlib provider's, or fetched.

Owns what is read from where, and that nothing unusable gets past the door. Downloads go through vectorbt's data classes
(YFData, CCXTData, BinanceData ...): how to ask one for bars is known here; what is in them is judged at the market's
door like any other source. Knows no splits and no windows.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

from scenario_gen.errors import DataError
from scenario_gen.files import user_path
from scenario_gen.market.candles import Candles, columns_of, invalid
from scenario_gen.market.containers import BUILT_IN
from scenario_gen.market.frequency import nanoseconds, spacing, wall_nanoseconds
from scenario_gen.market.load import load_candles
from scenario_gen.market.parquet import read_parquet
from scenario_gen.market.qlib import QlibProvider, is_provider
from scenario_gen.training.config import FILE_SUFFIXES

COLUMNS = ("open", "high", "low", "close", "volume")
MANIFEST = "manifest.csv"
MANIFEST_COLUMNS = ("file", "asset_class", "symbol", "frequency")
NOT_A_TIME = np.iinfo(np.int64).min  # how numpy stores a missing stamp
UNLABELLED = "unlabelled"  # asset class of a file that no manifest speaks of


@dataclass(frozen=True)
class History:
    """All bars of one instrument at one frequency."""

    name: str  # what to call it: the file's name without its ending
    symbol: str  # of the instrument
    asset_class: str  # as the manifest has it
    frequency: str  # as the manifest has it, else as the stamps show it
    values: NDArray[np.float32]  # float32 [T, 5]; volume 0 throughout where there is none
    wall_ns: NDArray[np.int64]  # int64 [T], the market's own wall clock
    has_volume: bool  # whether every bar has a volume


def read_histories(place: str | Path) -> list[History]:
    """Read a folder with a manifest, a folder of files, a Qlib provider's daily bars, one file, or a built-in history.

    Raises:
        DataError: there is nothing to read there, or a file breaks the Candles contract.
    """
    if str(place) in BUILT_IN:
        return [read_file(str(place))]
    path = user_path(place)
    if not path.is_dir():
        return [read_file(path)]
    if (path / MANIFEST).exists():
        return read_listed(path, MANIFEST)
    if is_provider(path):
        return read_provider(path)
    files = sorted(one for one in path.iterdir() if one.name.lower().endswith(FILE_SUFFIXES))
    if not files:
        raise DataError(
            f"{path} has neither {MANIFEST} nor files ending in {', '.join(FILE_SUFFIXES)}",
            expected="histories, one instrument per file",
            fix="name the folder that holds them",
        )
    return read_files(files)


def read_files(files: Sequence[str | Path], asset_class: str = UNLABELLED) -> list[History]:
    """Read files, or built-in histories, of one asset class.

    Raises:
        DataError: a file breaks the Candles contract, or some have stamps with a time zone and some without.
    """
    zoned: dict[bool, str] = {}
    histories = []
    for file in files:
        candles = load_candles(str(file))
        zoned.setdefault(candles.timestamps.tz is not None, str(file))
        if len(zoned) > 1:
            raise DataError(
                f"the stamps of {zoned[True]} have a time zone, those of {zoned[False]} have none",
                expected="stamps that all have a time zone, or local times throughout",
                fix="write the stamps of all files in one way",
            )
        histories.append(history_of(candles, asset_class))
    return histories


def read_file(file: str | Path) -> History:
    """Read one file, or a built-in history; errors as of :func:`read_files`."""
    return read_files([file])[0]


def history_of(candles: Candles, asset_class: str = UNLABELLED) -> History:
    """Return candles as a history, in float32 as they are trained on.

    Raises:
        DataError: a price does not fit float32, or there are fewer than two bars, which show no frequency.
    """
    values = np.zeros((len(candles), 5), dtype=np.float32)
    with np.errstate(over="ignore"):  # a price beyond float32 becomes infinite, which the check refuses
        values[:, :4] = candles.values[:, :4]
        if candles.has_volume:
            values[:, 4] = candles.column("volume")
    _check(values, nanoseconds(candles.timestamps), candles.name)
    return History(
        name=candles.name,
        symbol=candles.name,
        asset_class=asset_class,
        frequency=spacing(candles.timestamps).label,
        values=values,
        wall_ns=wall_nanoseconds(candles.timestamps),  # an hour comes twice where summer time ends
        has_volume=candles.has_volume,
    )


def read_listed(
    folder: Path, manifest: str, classes: Sequence[str] = (), holdout_symbols: Sequence[str] = ()
) -> list[History]:
    """Read every history that a manifest lists.

    Args:
        folder: where manifest and files are.
        manifest: a CSV with the columns file, asset_class, symbol and frequency. A file with a column symbol
            holds many series, told apart by it.
        classes: asset classes to read; all if empty.
        holdout_symbols: symbols that the manifest must list.

    Raises:
        DataError: the manifest or a file is missing, cannot be read, or breaks the Candles contract.
    """
    rows = _read_manifest(folder / manifest, classes, holdout_symbols)
    histories = []
    for file, listed in rows.groupby("file", sort=False):  # a file of many series is read once
        frame = _read_frame(folder / str(file), str(file))
        shared = dict(iter(frame.groupby("symbol", observed=True, sort=False))) if "symbol" in frame else None
        for row in listed.itertuples():
            if shared is not None and row.symbol not in shared:
                raise DataError(f"{file} has no bars of {row.symbol}", fix=f"remove it from {manifest}")
            histories.append(_listed_history(frame if shared is None else shared[row.symbol], row, shared is not None))
    return histories


def read_provider(
    uri: str | Path, instruments: str | Sequence[str] = "all", freq: str = "day", asset_class: str = UNLABELLED
) -> list[History]:
    """Read instruments of a Qlib provider, without Qlib and without pickles, adjusted as they are stored.

    Args:
        uri: the provider's folder.
        instruments: a market, of which each stay of an instrument is a history of its own: the bars before it joined
            are left out, since that it would join was not known then. Or names, with all their bars.
        freq: of the bars.
        asset_class: of all of them.

    Raises:
        DataError: no such provider, market, instrument or field, a damaged file, or not a stay with two bars.
    """
    provider = QlibProvider(uri, freq)
    if isinstance(instruments, str):
        stays = provider.instruments(instruments).sort_values(["instrument", "start"], kind="stable")
    else:
        stays = pd.DataFrame({"instrument": list(instruments), "start": pd.NaT, "end": pd.NaT})
    several = set(stays["instrument"][stays["instrument"].duplicated()])
    histories = []
    for symbol, first, last in stays.itertuples(index=False):
        start, end = (None if pd.isna(day) else day.date() for day in (first, last))
        bars = provider.bars(symbol, start, end, adjusted=True)
        if len(bars) < 2:  # a stay of a day, or one that was suspended throughout
            continue
        name = f"{symbol} from {start}" if symbol in several else symbol
        history = history_of(load_candles(bars, name=name), asset_class)
        histories.append(replace(history, symbol=symbol))
    if not histories:
        raise DataError(
            f"{uri}: no instrument of {instruments} has two bars", expected="bars", fix="correct data.instruments"
        )
    return histories


def _read_manifest(path: Path, classes: Sequence[str], holdout_symbols: Sequence[str]) -> pd.DataFrame:
    """Return the rows of the chosen classes, all text: a symbol such as 600519 must not become a number."""
    try:
        manifest = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read: {error}",
            expected=f"a CSV with columns {', '.join(MANIFEST_COLUMNS)}",
            fix="set data.folder in the training config, or pass --data",
        ) from None
    lacking = [name for name in MANIFEST_COLUMNS if name not in manifest.columns]
    if lacking:
        raise DataError(f"{path} has no column {', '.join(lacking)}", expected=f"columns {', '.join(MANIFEST_COLUMNS)}")
    if manifest.empty:
        raise DataError(f"{path} lists no series", expected="one row per file")
    for field, names, column in (("classes", classes, "asset_class"), ("holdout_symbols", holdout_symbols, "symbol")):
        unknown = sorted(set(names) - set(manifest[column]))
        if unknown:  # passed over, a held-out instrument with a typing error would be trained on
            raise DataError(
                f"data.{field} names {', '.join(unknown)}, which {path} does not list",
                expected=f"values of the column {column}",
                fix=f"mend data.{field} in the training config",
            )
    return manifest[manifest["asset_class"].isin(classes)] if classes else manifest


def _listed_history(frame: pd.DataFrame, row: Any, shared: bool) -> History:
    """Return the history of a manifest's row; a volume with holes counts as none, as only a whole one has units."""
    name = Path(row.file).name.removesuffix(".parquet") + (f"__{row.symbol}" if shared else "")
    stamps = frame["timestamp"].dt.tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
    has_volume = bool(frame["volume"].notna().all())
    frame = frame.assign(volume=frame["volume"].fillna(0.0))
    with np.errstate(over="ignore"):  # a price beyond float32 becomes infinite, which the check refuses
        columns = [frame[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in COLUMNS]
        values = np.stack(columns, axis=1).astype(np.float32)
    _check(values, stamps, name if shared else row.file)
    return History(
        name=name,
        symbol=row.symbol,
        asset_class=row.asset_class,
        frequency=row.frequency,
        values=values,
        wall_ns=stamps,
        has_volume=has_volume,
    )


def _read_frame(path: Path, name: str) -> pd.DataFrame:
    """Return a Parquet file's frame after a look at its columns and their types."""
    frame, _ = read_parquet(path, name, lambda column: column in ("timestamp", "symbol", *COLUMNS))
    expected = f"columns timestamp, {', '.join(COLUMNS)}"
    lacking = [column for column in ("timestamp", *COLUMNS) if column not in frame.columns]
    if lacking:
        raise DataError(f"{name} has no column {', '.join(lacking)}", expected=expected)
    if not is_datetime64_any_dtype(frame["timestamp"]):
        raise DataError(
            f"{name}: the column timestamp holds {frame['timestamp'].dtype}", expected="timestamps of Parquet"
        )
    for column in COLUMNS:
        if not is_numeric_dtype(frame[column]) or is_bool_dtype(frame[column]):
            raise DataError(f"{name}: the column {column} holds {frame[column].dtype}", expected="numbers")
    return frame


def _check(values: NDArray[np.float32], stamps: NDArray[np.int64], name: str) -> None:
    bad = invalid(columns_of(values, COLUMNS)) | (stamps == NOT_A_TIME)
    bad[1:] |= np.diff(stamps) <= 0
    if bad.any():
        rows = np.flatnonzero(bad)
        raise DataError(
            f"{name}: {len(rows)} rows are not valid candles in time order, first row {rows[0] + 1}",
            expected="finite positive prices, low <= open, close <= high, volume >= 0, increasing stamps",
            fix="mend or remove the file from the manifest",
        )


# --- Fetched ---


def download(kind: str, symbols: Sequence[str], options: Mapping[str, Any]) -> list[Candles]:
    """Fetch the bars of some symbols, each on its own, so that none is filled up with another's dates.

    Args:
        kind: name of a data class in vectorbt.
        symbols: as the class knows them.
        options: what its ``download`` takes besides.

    Raises:
        DataError: there is no such class, it cannot fetch a symbol, or what came is no valid history.
    """
    import vectorbt

    known = sorted(name for name in dir(vectorbt) if name.endswith("Data") and name != "Data")
    if kind not in known:
        raise DataError(f"vectorbt has no data class {kind!r}", expected=f"one of {', '.join(known)}")
    return [_fetch(getattr(vectorbt, kind), symbol, options) for symbol in symbols]


def _fetch(data_class: Any, symbol: str, options: Mapping[str, Any]) -> Candles:
    where = f"{data_class.__name__} of {symbol}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pandas to vectorbt, of vendors' clients: not for the user to mend
            bars = data_class.download(symbol, **options).get()
    except Exception as error:  # a vendor's client may raise anything
        raise DataError(
            f"{where} cannot be fetched: {type(error).__name__}: {error}",
            expected="a symbol and options that this class knows, its client installed, and a network",
            fix="try the same download in vectorbt, or save the bars to a file and name that",
        ) from None
    frame = bars if isinstance(bars, pd.DataFrame) else pd.DataFrame(bars)
    kept = [name for name in frame.columns if str(name).lower() in ("open", "high", "low", "close", "volume")]
    return load_candles(frame[kept].rename_axis("timestamp"), name=symbol)
