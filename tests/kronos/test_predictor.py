"""The predictor gives upstream's predictions for upstream's weights, and every path besides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from scenario_gen.errors import CheckpointError, DataError
from scenario_gen.kronos import Kronos, KronosPredictor, KronosTokenizer

COLUMNS = ["open", "high", "low", "close", "volume", "amount"]


@pytest.fixture(scope="module")
def networks(golden_folder: Path) -> tuple[Kronos, KronosTokenizer]:
    return (
        Kronos.from_pretrained(golden_folder / "model"),
        KronosTokenizer.from_pretrained(golden_folder / "tokenizer"),
    )


def _case(
    folder: Path, name: str
) -> tuple[pd.DataFrame, pd.DatetimeIndex, pd.DatetimeIndex, np.ndarray, int]:
    with np.load(folder / f"{name}.npz") as stored:
        frame = pd.DataFrame(stored["context"], columns=COLUMNS)
        x, y = pd.to_datetime(stored["context_ts"]), pd.to_datetime(stored["future_ts"])
        return frame, x, y, stored["greedy"], int(stored["max_context"])


@pytest.mark.parametrize("name", ["within_context", "sliding_window", "truncated_context"])
def test_greedy_predictions_are_upstreams_in_every_window_case(
    golden_folder: Path, networks: tuple[Kronos, KronosTokenizer], name: str
) -> None:
    frame, x, y, greedy, window = _case(golden_folder, name)
    predictor = KronosPredictor(*networks, device="cpu", max_context=window)
    out = predictor.predict(frame, x, y, len(y), T=1.0, top_k=1, top_p=1.0, sample_count=1)
    assert list(out.columns) == COLUMNS
    assert out.index.equals(y)
    np.testing.assert_allclose(out.to_numpy(), greedy, rtol=1e-4)  # upstream's own stated agreement


def test_a_series_of_stamps_serves_as_well_as_an_index(
    golden_folder: Path, networks: tuple[Kronos, KronosTokenizer]
) -> None:
    frame, x, y, _, window = _case(golden_folder, "within_context")
    predictor = KronosPredictor(*networks, device="cpu", max_context=window)
    a = predictor.predict(frame, x, y, len(y), sample_count=3, seed=4)
    b = predictor.predict(frame, pd.Series(x), pd.Series(y), len(y), sample_count=3, seed=4)
    pd.testing.assert_frame_equal(a, b)


def test_the_prediction_is_the_mean_of_the_paths(
    golden_folder: Path, networks: tuple[Kronos, KronosTokenizer]
) -> None:
    frame, x, y, _, window = _case(golden_folder, "within_context")
    predictor = KronosPredictor(*networks, device="cpu", max_context=window)
    mean = predictor.predict(frame, x, y, len(y), top_p=1.0, sample_count=20, seed=4)
    paths = predictor.predict_paths(frame, x, y, len(y), sample_count=20, seed=4)
    assert paths.shape == (20, len(y), 6)
    np.testing.assert_allclose(paths.mean(0), mean.to_numpy(), rtol=1e-4)  # float32 paths
    assert paths.std(0).min() > 0


def test_a_batch_is_its_members_whatever_their_length(
    golden_folder: Path, networks: tuple[Kronos, KronosTokenizer]
) -> None:
    frame, x, y, _, window = _case(golden_folder, "within_context")
    predictor = KronosPredictor(*networks, device="cpu", max_context=window)
    frames, xs = [frame, frame.iloc[20:].reset_index(drop=True)], [x, x[20:]]
    together = predictor.predict_batch(frames, xs, [y, y], len(y), sample_count=2, seed=7)
    alone = [
        predictor.predict(f, t, y, len(y), sample_count=2, seed=7 + i)
        for i, (f, t) in enumerate(zip(frames, xs, strict=True))
    ]
    for a, b in zip(together, alone, strict=True):
        pd.testing.assert_frame_equal(a, b)


def test_networks_are_put_into_eval_mode_and_survive_saving(
    networks: tuple[Kronos, KronosTokenizer], tmp_path: Path
) -> None:
    networks[0].train()
    KronosPredictor(*networks, device="cpu")
    assert not networks[0].training
    networks[0].save_pretrained(tmp_path / "again")
    again = Kronos.from_pretrained(tmp_path / "again")
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in networks[0].state_dict().items())


def test_a_frame_that_does_not_fit_is_refused(
    golden_folder: Path, networks: tuple[Kronos, KronosTokenizer]
) -> None:
    frame, x, y, _, window = _case(golden_folder, "within_context")
    predictor = KronosPredictor(*networks, device="cpu", max_context=window)
    with pytest.raises(DataError, match="no column close"):
        predictor.predict(frame.drop(columns="close"), x, y, len(y))
    with pytest.raises(DataError, match="stamps for pred_len 5"):
        predictor.predict(frame, x, y, 5)
    with pytest.raises(DataError, match="not finite"):
        predictor.predict(frame.assign(high=np.nan), x, y, len(y))
    with pytest.raises(CheckpointError, match="neither a folder nor a name"):
        Kronos.from_pretrained("no such thing")
