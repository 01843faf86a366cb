"""Data that cannot be trained on stops with a message that names the file; nothing is passed over in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scenario_gen.errors import DataError
from scenario_gen.training.config import DataConfig
from scenario_gen.training.data import Series, load_series
from scenario_gen.training.start import describe_series

FILE = "fx_1h__ONE.parquet"
Change = Callable[[pd.DataFrame], pd.DataFrame]


def _load(folder: Path, **config: Any) -> list[Series]:
    return load_series(DataConfig(folder=str(folder), holdout_share=0.2, **config), Path(), embargo=64)


def _at(column: str, row: int, value: object) -> Change:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame[column].copy()
        values.iloc[row] = value
        return frame.assign(**{column: values})

    return change


def _swapped(frame: pd.DataFrame) -> pd.DataFrame:
    order = np.arange(len(frame))
    order[[10, 11]] = [11, 10]
    return frame.iloc[order].reset_index(drop=True)


@pytest.fixture
def folder(tmp_path: Path, walk: Callable[..., pd.DataFrame], write_series: Callable[..., Path]) -> Path:
    return write_series(tmp_path / "data", {("fx", "ONE", "1h"): walk(400, 1)})


def _rewrite(folder: Path, change: Change) -> None:
    change(pd.read_parquet(folder / FILE)).to_parquet(folder / FILE)


@pytest.mark.parametrize(
    ("change", "row"),
    [
        (_at("close", 7, np.nan), 8),
        (_at("close", 7, np.inf), 8),
        (_at("high", 7, 1e39), 8),  # beyond float32
        (_at("low", 0, 0.0), 1),
        (_at("open", 7, -1.0), 8),
        (_at("high", 7, 1e-3), 8),
        (_at("low", 399, 1e6), 400),
        (_at("volume", 7, -1.0), 8),
        (_at("timestamp", 7, pd.Timestamp("2001-01-01")), 8),
        (_at("timestamp", 0, pd.NaT), 1),
        (_at("timestamp", 7, pd.NaT), 8),
        (_swapped, 12),
        (lambda frame: pd.concat([frame[:50], frame[49:]], ignore_index=True), 51),
    ],
)
def test_a_row_that_is_no_candle_in_time_order_is_named(folder: Path, change: Change, row: int) -> None:
    _rewrite(folder, change)
    with pytest.raises(DataError) as caught:
        _load(folder)
    assert f"{FILE}: " in caught.value.problem
    assert caught.value.problem.endswith(f"rows are not valid candles in time order, first row {row}")
    assert caught.value.fix == "mend or remove the file from the manifest"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="volume"), f"{FILE} has no column volume"),
        (lambda f: f.drop(columns=["timestamp", "low"]), f"{FILE} has no column timestamp, low"),
        (lambda f: f.assign(close=f["close"].map(str)), f"{FILE}: the column close holds str"),
        (lambda f: f.assign(volume=True), f"{FILE}: the column volume holds bool"),
        (lambda f: f.assign(timestamp=f["timestamp"].map(str)), f"{FILE}: the column timestamp holds str"),
        (lambda f: f.assign(timestamp=np.arange(len(f))), f"{FILE}: the column timestamp holds int64"),
    ],
)
def test_a_missing_column_or_a_wrong_type_is_named(folder: Path, change: Change, message: str) -> None:
    _rewrite(folder, change)
    with pytest.raises(DataError) as caught:
        _load(folder)
    assert caught.value.problem == message
    assert caught.value.expected


@pytest.mark.parametrize("content", [b"", b"not Parquet", None])
def test_a_file_that_is_no_parquet_is_named(folder: Path, content: bytes | None) -> None:
    whole = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(DataError, match=f"{FILE} cannot be read as Parquet: "):
        _load(folder)


def test_a_file_with_damaged_bytes_in_its_middle_is_named(folder: Path) -> None:
    content = bytearray((folder / FILE).read_bytes())
    content[100:2000] = b"\xff" * 1900
    (folder / FILE).write_bytes(bytes(content))
    with pytest.raises(DataError, match=FILE):
        _load(folder)


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    (folder / FILE).unlink()
    with pytest.raises(DataError, match=f"{FILE} cannot be read: "):
        _load(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "manifest.csv cannot be read: "),
        ("", "manifest.csv cannot be read: No columns"),
        ("file,asset_class,symbol,frequency\n", "manifest.csv lists no series"),
        ("file,symbol\na,b\n", "manifest.csv has no column asset_class, frequency"),
    ],
)
def test_a_manifest_that_says_nothing_is_named(folder: Path, text: str | None, message: str) -> None:
    (folder / "manifest.csv").unlink()
    if text is not None:
        (folder / "manifest.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        _load(folder)
    assert message in caught.value.problem


def test_series_that_are_all_too_short_are_refused(
    tmp_path: Path, walk: Callable[..., pd.DataFrame], write_series: Callable[..., Path]
) -> None:
    """239 bars: 191 are not later, less the embargo of 64 are 127, one less than two windows."""
    for bars in (239, 240):
        write_series(tmp_path / str(bars), {("fx", "ONE", "1h"): walk(bars, 1)})
    assert len(_load(tmp_path / "240")) == 1
    with pytest.raises(DataError, match="no series of the chosen classes is long enough"):
        _load(tmp_path / "239")


def test_a_held_out_instrument_that_is_not_there_is_refused(folder: Path) -> None:
    """With a typing error it would be trained on and yet be called unseen."""
    with pytest.raises(DataError) as caught:
        _load(folder, holdout_symbols=("ONE", "TOW"))
    assert caught.value.problem == (f"data.holdout_symbols names TOW, which {folder / 'manifest.csv'} does not list")
    with pytest.raises(DataError, match=r"data\.classes names bonds, which"):
        _load(folder, classes=("bonds",))


def test_symbols_that_look_like_numbers_or_blanks_can_be_held_out(
    tmp_path: Path, walk: Callable[..., pd.DataFrame], write_series: Callable[..., Path]
) -> None:
    names = [("equity", symbol, "daily") for symbol in ("600519", "000001", "NA")]
    folder = write_series(tmp_path / "data", {name: walk(300, i) for i, name in enumerate(names)})
    loaded = _load(folder, holdout_symbols=("000001", "NA"))
    assert [one.train_end == 0 for one in loaded] == [False, True, True]


def test_only_the_chosen_classes_are_read(small_data: Path) -> None:
    assert [one.name for one in _load(small_data, classes=("fx",))] == ["fx_1h__QUIET"]


def test_volume_with_a_hole_counts_as_none(folder: Path) -> None:
    assert _load(folder)[0].has_volume
    _rewrite(folder, _at("volume", 9, np.nan))
    one = _load(folder)[0]
    assert not one.has_volume
    assert np.isfinite(one.values).all()


def test_stamps_with_a_time_zone_are_read_as_local_time(folder: Path) -> None:
    plain = _load(folder)[0].wall_ns
    _rewrite(folder, lambda f: f.assign(timestamp=f["timestamp"].dt.tz_localize("Asia/Kolkata")))
    np.testing.assert_array_equal(_load(folder)[0].wall_ns, plain)
    _rewrite(folder, lambda f: f.assign(timestamp=f["timestamp"].dt.as_unit("ms").dt.tz_localize(None)))
    np.testing.assert_array_equal(_load(folder)[0].wall_ns, plain)


def test_the_record_of_the_data_counts_what_was_trained_on(
    tmp_path: Path, walk: Callable[..., pd.DataFrame], write_series: Callable[..., Path]
) -> None:
    """400 bars: 320 are not later, 256 are trained on: hours 0 to 255 from 2015-01-01, to the 15th hour of the 11th.

    The held-out series begins ten years before and says nothing about the dates that were trained on.
    """
    old = walk(400, 2)
    old = old.assign(timestamp=old["timestamp"] - pd.Timedelta(days=3653))
    frames = {("fx", "ONE", "1h"): walk(400, 1), ("fx", "OLD", "1h"): old, ("etf", "OUT", "1h"): walk(400, 3)}
    series = _load(write_series(tmp_path / "data", frames), holdout_symbols=("OLD", "OUT"))
    shared = {"frequency": "1h", "held_out_series": 1}
    assert describe_series(series) == [
        {"class": "etf", "series": 0, "bars": 0, "first": "", "last": ""} | shared,
        {"class": "fx", "series": 1, "bars": 256, "first": "2015-01-01", "last": "2015-01-11"} | shared,
    ]
