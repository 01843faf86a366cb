"""Files of many series, short series, coarser bars, emphasis, and marks that are the same in training and in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from scenario_gen.errors import DataError
from scenario_gen.kronos import Checkpoint
from scenario_gen.kronos.config import ModelConfig
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.representation import Increments, stamp_features, time_marks
from scenario_gen.kronos.walk import stamps_for
from scenario_gen.training.config import DataConfig, WindowConfig
from scenario_gen.training.data import WindowSampler, coarser_bars, load_series

BARS = 64


def _share_a_file(folder: Path, frames: dict[str, pd.DataFrame]) -> Path:
    folder.mkdir(exist_ok=True)
    whole = pd.concat([frame.assign(symbol=symbol) for symbol, frame in frames.items()])
    whole.astype({"symbol": "category"}).to_parquet(folder / "fx_1h.parquet")
    rows = [f"fx_1h.parquet,fx,{symbol},1h" for symbol in frames]
    (folder / "manifest.csv").write_text("\n".join(("file,asset_class,symbol,frequency", *rows)) + "\n")
    return folder


def test_a_file_of_many_series_gives_each_of_them_apart(tmp_path: Path, walk: Callable[..., pd.DataFrame]) -> None:
    frames = {"A": walk(400, 1), "B": walk(300, 2, with_volume=False)}
    config = DataConfig(folder=str(_share_a_file(tmp_path / "data", frames)))
    first, second = load_series(config, tmp_path, BARS)
    assert (first.name, second.name) == ("fx_1h__A", "fx_1h__B")
    assert (first.has_volume, second.has_volume) == (True, False)
    np.testing.assert_array_equal(first.values[:, 3], frames["A"]["close"].to_numpy(np.float32))
    np.testing.assert_array_equal(second.values[:, 3], frames["B"]["close"].to_numpy(np.float32))


def test_a_series_that_its_file_lacks_is_said(tmp_path: Path, walk: Callable[..., pd.DataFrame]) -> None:
    folder = _share_a_file(tmp_path / "data", {"A": walk(400, 1)})
    with (folder / "manifest.csv").open("a") as stream:
        stream.write("fx_1h.parquet,fx,GONE,1h\n")
    with pytest.raises(DataError, match="has no bars of GONE"):
        load_series(DataConfig(folder=str(folder)), tmp_path, BARS)


def test_short_series_are_left_out_or_trained_on_whole(tmp_path: Path, walk: Callable[..., pd.DataFrame]) -> None:
    folder = _share_a_file(tmp_path / "data", {"LONG": walk(400, 1), "SHORT": walk(100, 2), "TINY": walk(60, 3)})
    config = DataConfig(folder=str(folder))
    assert [one.name for one in load_series(config, tmp_path, BARS)] == ["fx_1h__LONG"]
    series = load_series(config.model_copy(update={"short": "train"}), tmp_path, BARS)
    assert [(one.name, one.train_end) for one in series] == [("fx_1h__LONG", 288), ("fx_1h__SHORT", 100)]
    later = WindowSampler(series, WindowConfig(bars=BARS), Increments(), "later", 0.5, 1)
    assert later.span(series[1]) == (100, 100)  # nothing of it is judged


def _minutes(bars: int) -> tuple[np.ndarray, np.ndarray]:
    close = 1.0 + np.arange(bars)
    values = np.stack((close, close + 0.5, close - 0.5, close + 0.25, np.ones(bars)), axis=-1).astype(np.float32)
    return values, pd.date_range("2024-03-04 10:00", periods=bars, freq="min").as_unit("ns").asi8


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_coarser_bars_open_first_close_last_and_hold_every_extreme(phase: int) -> None:
    values, times = _minutes(36)
    joined, stamps = coarser_bars(values, times, 3, phase, 10)
    first = int(np.flatnonzero(times == stamps[0])[0])
    assert 1 <= first <= 3
    parts = values[first : first + 30].reshape(10, 3, 5)
    np.testing.assert_array_equal(joined[:, 0], parts[:, 0, 0])
    np.testing.assert_array_equal(joined[:, 1], parts[..., 1].max(1))
    np.testing.assert_array_equal(joined[:, 2], parts[..., 2].min(1))
    np.testing.assert_array_equal(joined[:, 3], parts[:, -1, 3])
    np.testing.assert_array_equal(joined[:, 4], parts[..., 4].sum(1))


def test_phases_move_the_borders_and_no_coarser_bar_spans_a_night() -> None:
    values, times = _minutes(40)
    assert len({int(coarser_bars(values, times, 4, phase, 8)[1][0]) for phase in range(4)}) == 4
    torn = times + np.where(np.arange(40) >= 22, 17 * 3_600_000_000_000, 0)
    joined, stamps = coarser_bars(values, torn, 4, 0, 8)
    assert torn[22] in stamps  # the new session opens a bar of its own
    assert (joined[:, 4] <= 4).all()


def test_some_training_windows_are_coarser_and_held_out_ones_never(
    walk: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    folder = _share_a_file(tmp_path / "data", {"A": walk(2000, 1)})
    series = load_series(DataConfig(folder=str(folder)), tmp_path, BARS)
    window = WindowConfig(bars=BARS, context_max=40, context_min=40, coarser_share=0.5, coarser=(4,))
    sampler = WindowSampler(series, window, Increments(), "train", 0.5, 3)
    size = sampler.batch(0, 64).stamps[:, 0, 9]
    assert set(size) == {6, 8}  # one hour and four
    assert set(replace(sampler, part="later").batch(0, 64).stamps[:, 0, 9]) == {6}


def test_emphasis_multiplies_the_weight_of_class_and_frequency(
    tmp_path: Path, walk: Callable[..., pd.DataFrame], write_series: Callable[..., Path]
) -> None:
    names = [("fx", "A", "1h"), ("index", "B", "1h"), ("index", "C", "daily")]
    folder = write_series(tmp_path / "data", {name: walk(800, i) for i, name in enumerate(names)})
    series = load_series(DataConfig(folder=str(folder)), tmp_path, BARS)
    sampler = WindowSampler(series, WindowConfig(bars=BARS), Increments(), "train", 0.5, 1)
    emphasis = {"index": 2.0, "index daily": 3.0}
    np.testing.assert_allclose(replace(sampler, emphasis=emphasis).weights(), np.array([1, 2, 6]) / 9)
    np.testing.assert_allclose(replace(sampler, part="later", emphasis=emphasis).weights(), [1 / 3] * 3)


def test_emphasis_of_what_is_not_there_is_refused(tmp_path: Path, walk: Callable[..., pd.DataFrame]) -> None:
    folder = _share_a_file(tmp_path / "data", {"A": walk(400, 1)})
    with pytest.raises(DataError, match=r"data\.emphasis names index daily"):
        load_series(DataConfig(folder=str(folder), emphasis={"fx": 2.0, "index daily": 2.0}), tmp_path, BARS)


def test_a_model_is_asked_with_the_marks_that_it_was_trained_on(
    tiny_checkpoint: Checkpoint, tmp_path: Path, walk: Callable[..., pd.DataFrame]
) -> None:
    folder = _share_a_file(tmp_path / "data", {"A": walk(400, 1)})
    series = load_series(DataConfig(folder=str(folder)), tmp_path, BARS)
    window = WindowConfig(bars=BARS, context_min=40, context_max=40, volume_dropout=0.0)
    representation = Increments()
    trained = WindowSampler(series, window, representation, "train", 0.5, 1).batch(0, 1).stamps
    hours = series[0].wall_ns
    start = next(i for i in range(len(hours)) if np.array_equal(stamp_features(hours[i : i + BARS]), trained[0, :, :5]))
    rows = slice(start, start + BARS)
    scale = representation.fit(series[0].values[None, rows][:, :40])
    times = np.concatenate((stamp_features(hours[rows]), time_marks(hours[rows])), axis=-1)
    config = replace(tiny_checkpoint.model.config, marks=True)
    assert config.to_mapping()["marks"] is True
    marked = replace(tiny_checkpoint, model=Kronos(ModelConfig.from_mapping(config.to_mapping(), "here")))
    assert np.array_equal(stamps_for(marked, torch.from_numpy(times)[None], scale).numpy(), trained)
