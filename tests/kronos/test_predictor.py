"""The predictor gives upstream's predictions for upstream's weights, and every path besides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from scenario_gen.errors import CheckpointError, DataError, SpecError
from scenario_gen.kronos import Kronos, KronosPredictor, KronosTokenizer
from scenario_gen.kronos.decode import FastDecoder

COLUMNS = ["open", "high", "low", "close", "volume", "amount"]


@pytest.fixture(scope="module")
def networks(golden_folder: Path) -> tuple[Kronos, KronosTokenizer]:
    return (
        Kronos.from_pretrained(golden_folder / "model"),
        KronosTokenizer.from_pretrained(golden_folder / "tokenizer"),
    )


def _case(folder: Path, name: str) -> tuple[pd.DataFrame, pd.DatetimeIndex, pd.DatetimeIndex, np.ndarray, int]:
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


def test_the_prediction_is_the_mean_of_the_paths(golden_folder: Path, networks: tuple[Kronos, KronosTokenizer]) -> None:
    frame, x, y, _, window = _case(golden_folder, "within_context")
    predictor = KronosPredictor(*networks, device="cpu", max_context=window)
    mean = predictor.predict(frame, x, y, len(y), top_p=1.0, sample_count=20, seed=4)
    paths = predictor.predict_paths(frame, x, y, len(y), sample_count=20, seed=4)
    assert paths.shape == (20, len(y), 6)
    np.testing.assert_allclose(paths.mean(0), mean.to_numpy(), rtol=1e-4)  # float32 paths
    assert paths.std(0).min() > 0


LENGTHS = (48, 30, 48, 12, 64, 30)  # of contexts under a window of 56: some fit with 12 bars more, some slide


@pytest.fixture(scope="module")
def frames(golden_folder: Path) -> list[tuple[pd.DataFrame, pd.DatetimeIndex, pd.DatetimeIndex]]:
    """Contexts of several lengths cut from one, each at prices of its own, and the 12 stamps after each."""
    frame, x, y, _, _ = _case(golden_folder, "truncated_context")
    whole = x.append(y)
    assert len(frame) >= max(LENGTHS)
    return [
        (frame.iloc[place : place + bars] * (place + 1), x[place : place + bars], whole[place + bars :][:12])
        for place, bars in enumerate(LENGTHS)
    ]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """Contexts, their bars and paths of every call of the fast decoder, which does its work as ever."""
    seen: list[tuple[int, int, int]] = []
    sample_tokens = FastDecoder.sample_tokens

    def record(self: FastDecoder, s1: torch.Tensor, *rest: Any) -> Any:
        seen.append((*s1.shape, len(rest[3])))
        return sample_tokens(self, s1, *rest)

    monkeypatch.setattr(FastDecoder, "sample_tokens", record)
    return seen


def test_a_batch_is_its_members_whatever_their_length(
    networks: tuple[Kronos, KronosTokenizer], frames: list[Any], calls: list[tuple[int, int, int]]
) -> None:
    predictor = KronosPredictor(*networks, device="cpu", max_context=56)
    dfs, xs, ys = zip(*frames, strict=True)
    together = predictor.predict_batch(dfs, xs, ys, 12, sample_count=5, seed=7, verbose=False)
    # one pass per length, all samples of all frames together; 64 bars leave nothing to the fast decoder
    assert sorted(calls) == [(1, 12, 5), (2, 30, 10), (2, 48, 10)]
    for place, batched in enumerate(together):
        alone = predictor.predict(*frames[place], 12, sample_count=5, seed=7 + place, verbose=False)
        pd.testing.assert_frame_equal(batched, alone)  # relative 1e-5: float32 products of another shape
        assert batched.attrs == alone.attrs


def test_a_batch_too_large_for_memory_takes_more_passes_and_gives_the_same(
    networks: tuple[Kronos, KronosTokenizer],
    frames: list[Any],
    calls: list[tuple[int, int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor = KronosPredictor(*networks, device="cpu", max_context=56)
    dfs, xs, ys = zip(*frames, strict=True)
    whole = predictor.predict_batch(dfs, xs, ys, 12, sample_count=5, verbose=False)
    calls.clear()
    monkeypatch.setattr("scenario_gen.kronos.upstream.CACHE_BYTES", 1)
    pieces = predictor.predict_batch(dfs, xs, ys, 12, sample_count=5, verbose=False)
    assert sorted(calls) == [(1, 12, 5), (1, 30, 5), (1, 30, 5), (1, 48, 5), (1, 48, 5)]
    for one, other in zip(whole, pieces, strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_frames_of_a_batch_draw_their_own_numbers(networks: tuple[Kronos, KronosTokenizer], frames: list[Any]) -> None:
    predictor = KronosPredictor(*networks, device="cpu", max_context=64)
    dfs, xs, ys = zip(frames[0], frames[0], strict=True)
    one, other = predictor.predict_batch(dfs, xs, ys, 12, verbose=False)
    assert not np.allclose(one, other)


def test_without_volume_it_is_zero_and_without_amount_it_is_volume_times_the_mean_price(
    networks: tuple[Kronos, KronosTokenizer], frames: list[Any]
) -> None:
    predictor = KronosPredictor(*networks, device="cpu", max_context=64)
    frame, x, y = frames[1]

    def predicted(df: pd.DataFrame) -> pd.DataFrame:
        return predictor.predict(df, x, y, 12, seed=1, verbose=False)

    prices = frame[COLUMNS[:4]]
    no_volume = predicted(prices)
    pd.testing.assert_frame_equal(no_volume, predicted(frame.assign(volume=0.0, amount=0.0)))
    pd.testing.assert_frame_equal(no_volume, predicted(frame.drop(columns="volume")))
    turnover = frame.assign(amount=frame["volume"] * prices.mean(axis=1))
    pd.testing.assert_frame_equal(predicted(frame.drop(columns="amount")), predicted(turnover))
    assert not np.allclose(no_volume["close"], predicted(turnover)["close"])  # volume does matter


def test_top_k_silences_top_p_in_predict_as_upstream_and_not_in_predict_paths(
    networks: tuple[Kronos, KronosTokenizer], frames: list[Any]
) -> None:
    predictor = KronosPredictor(*networks, device="cpu", max_context=64)
    settings: dict[str, Any] = {"top_k": 8, "sample_count": 10, "verbose": False}
    narrow, wide = (predictor.predict(*frames[1], 12, top_p=p, **settings) for p in (0.05, 1.0))
    pd.testing.assert_frame_equal(narrow, wide)
    batched = predictor.predict_batch(*([part] for part in frames[1]), 12, top_p=0.05, **settings)
    pd.testing.assert_frame_equal(batched[0], wide)
    few, many = (predictor.predict_paths(*frames[1], 12, top_p=p, **settings) for p in (0.05, 1.0))
    np.testing.assert_allclose(few, few[:1].repeat(10, axis=0), rtol=1e-5)  # 5 % is the likeliest token alone
    assert not np.allclose(many, many[:1].repeat(10, axis=0), rtol=1e-3)


def test_stamps_are_wall_clock_times_in_any_zone(networks: tuple[Kronos, KronosTokenizer], frames: list[Any]) -> None:
    predictor = KronosPredictor(*networks, device="cpu", max_context=64)
    frame, x, y = frames[1]
    naive = predictor.predict(frame, x, y, 12, verbose=False)
    zoned = predictor.predict(frame, x.tz_localize("Asia/Tokyo"), y.tz_localize("America/New_York"), 12, verbose=False)
    assert np.array_equal(naive, zoned)
    other = predictor.predict(frame, x + pd.Timedelta(hours=5), y + pd.Timedelta(hours=5), 12, verbose=False)
    assert not np.allclose(naive, other)


def test_a_prediction_counts_the_bars_at_the_edge_and_the_rows_that_were_clipped(
    networks: tuple[Kronos, KronosTokenizer], frames: list[Any]
) -> None:
    predictor = KronosPredictor(*networks, device="cpu", max_context=64)
    frame, x, y = frames[0]
    spiked = frame.assign(volume=frame["volume"].where(np.arange(48) != 40, 1e6 * frame["volume"].max()))
    out = predictor.predict(spiked, x, y, 12, top_p=1.0, sample_count=20, seed=3, verbose=False)
    paths = predictor.predict_paths(spiked, x, y, 12, sample_count=20, seed=3)
    prices = spiked[COLUMNS[:4]].to_numpy()
    z = (paths[..., :4] - prices.mean(0)) / (prices.std(0) + 1e-5)
    pinned = (np.abs(z) > 4.5).any(-1).sum(1)
    assert 0 < pinned.sum() < 240
    assert predictor.pinned_bars(spiked, paths).tolist() == pinned.tolist()
    assert out.attrs == {"sampled_bars": 240, "pinned_bars": int(pinned.sum()), "clipped_context_bars": 1}


def test_the_progress_bar_is_shown_when_asked_for_and_only_then(
    networks: tuple[Kronos, KronosTokenizer], frames: list[Any], capfd: pytest.CaptureFixture[str]
) -> None:
    predictor = KronosPredictor(*networks, device="cpu", max_context=56)
    dfs, xs, ys = zip(*frames, strict=True)
    predictor.predict_batch(dfs, xs, ys, 12)  # upstream shows its bar unless told not to
    out, err = capfd.readouterr()
    assert out == ""
    assert "sampling" in err
    assert "100%" in err  # the bars that slide are counted too, once each
    predictor.predict_batch(dfs, xs, ys, 12, verbose=False)
    predictor.predict_paths(*frames[0], 12, sample_count=2)
    assert capfd.readouterr() == ("", "")


def test_dropout_stays_off_even_if_the_networks_are_set_to_training_later(
    networks: tuple[Kronos, KronosTokenizer], frames: list[Any]
) -> None:
    predictor = KronosPredictor(*networks, device="cpu", max_context=56)
    before = predictor.predict(*frames[0], 12, verbose=False)
    assert networks[0].token_drop.p > 0
    networks[0].train()
    networks[1].train()
    assert np.array_equal(predictor.predict(*frames[0], 12, verbose=False), before)


def test_networks_are_put_into_eval_mode_and_survive_saving(
    networks: tuple[Kronos, KronosTokenizer], tmp_path: Path
) -> None:
    networks[0].train()
    KronosPredictor(*networks, device="cpu")
    assert not networks[0].training
    networks[0].save_pretrained(tmp_path / "again")
    again = Kronos.from_pretrained(tmp_path / "again")
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in networks[0].state_dict().items())


def test_a_frame_that_does_not_fit_is_refused(networks: tuple[Kronos, KronosTokenizer], frames: list[Any]) -> None:
    predictor = KronosPredictor(*networks, device="cpu")
    frame, x, y = frames[0]
    cases: list[tuple[str, dict[str, Any]]] = [
        ("no column close", {"df": frame.drop(columns="close")}),
        ("a list", {"df": [1, 2, 3]}),
        ("no rows", {"df": frame.iloc[:0], "x_timestamp": x[:0]}),
        ("not finite", {"df": frame.assign(high=np.nan)}),
        ("no number", {"df": frame.assign(high="many")}),
        ("48 rows with 47 stamps", {"x_timestamp": x[1:]}),
        ("12 stamps for pred_len 5", {"pred_len": 5}),
        ("1 empty stamps", {"y_timestamp": y.where(np.arange(12) != 3)}),
        ("x_timestamp cannot be read as times", {"x_timestamp": pd.Series(["soon"] * 48)}),
    ]
    for message, changed in cases:
        words = {"df": frame, "x_timestamp": x, "y_timestamp": y, "pred_len": 12, **changed}
        with pytest.raises(DataError, match=message):
            predictor.predict(**words)
    with pytest.raises(DataError, match="2 frames, 1 and 1 lists of stamps"):
        predictor.predict_batch([frame, frame], [x], [y], 12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("T", -0.1),
        ("T", np.nan),
        ("T", np.inf),
        ("T", "hot"),
        ("top_p", 1.1),
        ("top_p", -0.1),
        ("top_k", -1),
        ("top_k", 2.5),
        ("sample_count", 0),
        ("sample_count", True),
        ("pred_len", 0),
        ("seed", -1),
    ],
)
def test_a_setting_out_of_range_is_named(
    networks: tuple[Kronos, KronosTokenizer], frames: list[Any], name: str, value: object
) -> None:
    predictor = KronosPredictor(*networks, device="cpu")
    words: dict[str, Any] = {"pred_len": 12, name: value}
    with pytest.raises(SpecError, match=f"{name} is "):
        predictor.predict(*frames[0], **words)
    with pytest.raises(SpecError, match=f"{name} is "):
        predictor.predict_batch(*([part] for part in frames[0]), **words)
    with pytest.raises(SpecError, match=f"{name} is "):
        predictor.predict_paths(*frames[0], **words)


def test_a_window_a_clip_or_a_device_that_cannot_be_is_refused(networks: tuple[Kronos, KronosTokenizer]) -> None:
    for words in ({"max_context": 0}, {"clip": -1}, {"device": "xpu"}):
        with pytest.raises(SpecError):
            KronosPredictor(*networks, **words)  # type: ignore[arg-type]


def test_more_bars_than_the_window_holds_are_refused(
    networks: tuple[Kronos, KronosTokenizer], frames: list[Any]
) -> None:
    predictor = KronosPredictor(*networks, device="cpu", max_context=8)
    with pytest.raises(SpecError, match="a horizon of 12 bars under a sliding window of 8"):
        predictor.predict(*frames[0], 12, verbose=False)


def test_a_name_that_is_neither_a_folder_nor_on_the_hub_is_refused() -> None:
    with pytest.raises(CheckpointError, match="neither a folder nor a name"):
        Kronos.from_pretrained("no such thing")
