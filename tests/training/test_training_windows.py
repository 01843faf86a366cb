"""Windows of one part never reach into another, units come from the context, batches follow from (seed, step)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.kronos.representation import Increments, Scale
from scenario_gen.training.config import DataConfig, WindowConfig
from scenario_gen.training.data import Series, WindowSampler, feature_moments, load_series
from scenario_gen.training.histories import COLUMNS

BARS, CONTEXT = 64, 40
PER_SERIES = 10_000  # row numbers of different series do not meet


@dataclass(frozen=True)
class RowNumbers:
    """A representation whose features are the close, which here is a row number, and the number of fields."""

    kind: str = "rows"
    n_features: int = 2

    def fit(self, values: NDArray[np.floating[Any]]) -> Scale:
        return Scale(values[:, :1, 3], values[:, -1:, 3])

    def encode(self, values: NDArray[np.floating[Any]], scale: Scale) -> NDArray[np.float32]:
        del scale
        fields = np.full(values.shape[:2], values.shape[-1])
        return np.stack((values[..., 3], fields), axis=-1).astype(np.float32)

    def decode(self, features: NDArray[Any], anchor_close: NDArray[Any], scale: Scale) -> NDArray[np.float64]:
        raise NotImplementedError

    def to_mapping(self) -> dict[str, Any]:
        return {"kind": self.kind}


def _numbered(index: int, bars: int) -> pd.DataFrame:
    """Candles whose prices are 1 + row number + ``PER_SERIES`` x series number: exact in float32."""
    price = 1.0 + PER_SERIES * index + np.arange(bars)
    columns = dict.fromkeys(("open", "high", "low", "close"), price)
    stamps = pd.date_range("2020-01-01", periods=bars, freq="min").as_unit("ns")
    return pd.DataFrame({"timestamp": stamps, **columns, "volume": np.ones(bars)})


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory, write_series: Callable[..., Path]) -> list[Series]:
    """280 bars each, 30 % held out, embargo 64: trained on 0..131, later 196..279; and one instrument held out."""
    names = [("fx", "A", "1m"), ("fx", "B", "1m"), ("crypto", "HELD", "1m")]
    frames = {name: _numbered(i, 280) for i, name in enumerate(names)}
    folder = write_series(tmp_path_factory.mktemp("numbered") / "data", frames)
    config = DataConfig(folder=str(folder), holdout_share=0.3, holdout_symbols=("HELD",))
    return load_series(config, Path(), embargo=BARS)


def _sampler(series: list[Series], part: Any, window: WindowConfig, **changes: Any) -> WindowSampler:
    return replace(WindowSampler(series, window, RowNumbers(), part, 0.5, 7), **changes)


def _rows(sampler: WindowSampler, step: int, size: int) -> NDArray[np.int64]:
    """Return the row numbers of a batch's windows, [size, BARS]."""
    return sampler.batch(step, size).features[..., 0].astype(np.int64) - 1


def _leaks(train: WindowSampler, steps: range) -> list[str]:
    """Return what is wrong with the rows that a sampler of training windows hands out."""
    found = set()
    for step in steps:
        rows = _rows(train, step, 16)
        for one, first, last in zip(rows[:, 0] // PER_SERIES, rows.min(1), rows.max(1), strict=True):
            owner = train.series[one]
            if owner.train_end == 0:
                found.add(f"{owner.name} is held out")
            elif last % PER_SERIES >= owner.later_start:
                found.add(f"{owner.name} is trained on in its later stretch")
            elif last % PER_SERIES >= owner.train_end:
                found.add(f"{owner.name} is trained on in its embargo")
            if first // PER_SERIES != last // PER_SERIES:
                found.add("a window spans two series")
    return sorted(found)


def test_the_split_is_where_it_is_said_to_be(series: list[Series]) -> None:
    """By hand: 280 x 0.7 = 196 is the first later bar, 196 - 64 = 132 the first of the embargo."""
    assert [(s.train_end, s.later_start) for s in series] == [(132, 196), (132, 196), (0, 0)]


@settings(max_examples=60, deadline=None)
@given(step=st.integers(0, 2**40), part=st.sampled_from(["train", "later", "unseen"]))
def test_no_window_leaves_its_part(series: list[Series], window: WindowConfig, step: int, part: Any) -> None:
    allowed = {"train": range(132), "later": range(196, 280), "unseen": range(280)}[part]
    owners = {2} if part == "unseen" else {0, 1}
    rows = _rows(_sampler(series, part, window), step, 8)
    assert set((rows // PER_SERIES).ravel().tolist()) <= owners
    assert set((rows % PER_SERIES).ravel().tolist()) <= set(allowed)
    assert (np.diff(rows, axis=1) == 1).all()  # consecutive bars


def test_every_bar_of_a_part_is_used(series: list[Series], window: WindowConfig) -> None:
    """At most 217 windows fit (unseen), drawn 8000 times: the first or the last is missed with p < 1e-15."""
    for part, first, last in (("train", 0, 131), ("later", 196, 279), ("unseen", 0, 279)):
        sampler = _sampler(series, part, window)
        rows = np.concatenate([_rows(sampler, step, 100) for step in range(80)]) % PER_SERIES
        assert (rows.min(), rows.max()) == (first, last), part


def test_training_windows_do_not_leak(series: list[Series], window: WindowConfig) -> None:
    assert _leaks(_sampler(series, "train", window), range(50)) == []


class _IntoTheFuture(WindowSampler):
    def span(self, one: Series) -> tuple[int, int]:
        return (0, len(one.values)) if one.train_end else (0, 0)


class _IntoTheEmbargo(WindowSampler):
    def span(self, one: Series) -> tuple[int, int]:
        return (0, one.later_start) if one.train_end else (0, 0)


class _IntoHeldOutInstruments(WindowSampler):
    def span(self, one: Series) -> tuple[int, int]:
        return (0, one.train_end or len(one.values))


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        (_IntoTheFuture, "is trained on in its later stretch"),
        (_IntoTheEmbargo, "is trained on in its embargo"),
        (_IntoHeldOutInstruments, "is held out"),
    ],
)
def test_a_planted_leak_is_found(
    series: list[Series], window: WindowConfig, planted: type[WindowSampler], found: str
) -> None:
    sampler = planted(series, window, RowNumbers(), "train", 0.5, 7)
    assert any(found in leak for leak in _leaks(sampler, range(50)))


def _random_bars(rows: int, seed: int) -> NDArray[np.float32]:
    """Valid candles whose volume is zero in a fifth of the bars and ranges over ten orders otherwise."""
    rng = np.random.default_rng(seed)
    body = np.exp(np.cumsum(rng.normal(0, 0.02, (rows, 2)), axis=0))
    spread = np.exp(np.abs(rng.normal(0, 0.01, (rows, 2))))
    volume = np.where(rng.random(rows) < 0.2, 0.0, 10 ** rng.uniform(-2, 8, rows))
    high, low = body.max(1) * spread[:, 0], body.min(1) / spread[:, 1]
    return np.stack((body[:, 0], high, low, body[:, 1], volume), axis=1).astype(np.float32)


def _one_series(values: NDArray[np.float32], name: str = "one", train_end: int | None = None) -> Series:
    stamps = np.arange(len(values), dtype=np.int64) * 60_000_000_000
    end = len(values) if train_end is None else train_end
    return Series(name, "fx", "1m", values, stamps, True, end, end)


def _contexts(representation: Increments, window: WindowConfig, seed: int, later: int) -> list[NDArray[np.float32]]:
    """Return the contexts' features of two series that agree in the context and a bar, and the bars after them.

    Windows start at bar 0 or 1, so both contexts lie in the part that is the same.
    """
    one = _random_bars(BARS + 1, seed)
    other = np.concatenate((one[: CONTEXT + 1], _random_bars(BARS - CONTEXT, later + 1_000_001)))
    batches = [
        WindowSampler([_one_series(x)], window, representation, "train", 0.5, 3).batch(0, 6).features
        for x in (one, other)
    ]
    assert not np.array_equal(batches[0][:, CONTEXT + 1 :], batches[1][:, CONTEXT + 1 :])
    return [features[:, :CONTEXT] for features in batches]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), later=st.integers(0, 10**6))
def test_bars_after_the_context_decide_nothing_about_its_features(window: WindowConfig, seed: int, later: int) -> None:
    np.testing.assert_array_equal(*_contexts(Increments(), window, seed, later))


class _UnitsOfTheWholeWindow(Increments):
    def encode(self, values: Any, scale: Scale) -> NDArray[np.float32]:
        return super().encode(values, self.fit(values))  # the leak of upstream's own fine-tuning (its issue 263)


def test_units_that_are_fitted_over_the_whole_window_are_found(window: WindowConfig) -> None:
    one, other = _contexts(_UnitsOfTheWholeWindow(), window, 1, 2)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("embargo", [64, 0])
def test_without_an_embargo_a_window_would_share_bars_with_the_held_out_stretch(
    tmp_path: Path, window: WindowConfig, embargo: int
) -> None:
    """An embargo of a window keeps every trained bar a whole window away from the first that is held out."""
    _numbered(0, 400).to_csv(tmp_path / "one.csv", index=False)
    (one,) = load_series(DataConfig(files=("one.csv",), holdout_share=0.2), tmp_path, embargo)
    last = _rows(_sampler([one], "train", window), 0, 400).max()
    assert (one.later_start - last > BARS) == (embargo == 64)


def test_units_are_those_of_the_context(window: WindowConfig) -> None:
    """Against the definition: the body over the root mean square of the context's log returns, through asinh."""
    values = _random_bars(BARS + 1, 5)
    batch = WindowSampler([_one_series(values)], window, Increments(), "train", 0.5, 3).batch(0, 8)
    starts = batch.stamps[:, 0, 0]  # bars are minutes from midnight: the minute is the row
    assert set(starts.tolist()) == {0, 1}
    for start, features in zip(starts, batch.features, strict=True):
        x = np.log(values[start : start + BARS, :4].astype(np.float64))
        unit = np.sqrt(np.mean(np.diff(x[:CONTEXT, 3]) ** 2))
        np.testing.assert_allclose(features[:, 1], np.arcsinh((x[:, 3] - x[:, 0]) / unit), rtol=1e-5, atol=1e-6)


def test_only_bars_after_the_context_are_learnt(series: list[Series], window: WindowConfig) -> None:
    """Weight t belongs to the prediction of bar t + 1: the first that counts predicts bar CONTEXT."""
    weight = _sampler(series, "train", window).batch(0, 5).weight
    assert weight.shape == (5, BARS - 1)
    np.testing.assert_array_equal(weight[:, : CONTEXT - 1], 0.0)
    np.testing.assert_array_equal(weight[:, CONTEXT - 1 :], 1.0)


def test_the_length_of_the_context_varies_over_its_whole_range(series: list[Series], window: WindowConfig) -> None:
    """Nine lengths in 640 windows: one is missed with p = 9 x (8/9)^640 < 1e-31."""
    varied = window.model_copy(update={"context_min": 32})
    weight = np.concatenate([_sampler(series, "train", varied).batch(s, 64).weight for s in range(10)])
    assert set((BARS - weight.sum(1)).astype(int).tolist()) == set(range(32, CONTEXT + 1))


def test_a_batch_is_a_function_of_seed_and_step(series: list[Series], window: WindowConfig) -> None:
    sampler = _sampler(series, "train", window)
    first = sampler.batch(17, 12)
    sampler.batch(3, 5)  # what was asked in between does not matter
    for again in (sampler.batch(17, 12), _sampler(series, "train", window).batch(17, 12)):
        np.testing.assert_array_equal(first.features, again.features)
        np.testing.assert_array_equal(first.stamps, again.stamps)
        np.testing.assert_array_equal(first.weight, again.weight)


def test_batches_differ_between_steps_and_seeds(series: list[Series], window: WindowConfig) -> None:
    samplers = [_sampler(series, "train", window, seed=seed) for seed in (7, 8)]
    batches = [_rows(sampler, step, 12)[:, 0].tobytes() for sampler in samplers for step in range(50)]
    assert len(set(batches)) == 100


def test_parts_draw_from_streams_of_their_own(window: WindowConfig) -> None:
    """The same rows as training, later and unseen stretch: only the part's own stream tells the draws apart."""
    whole = _one_series(_numbered(0, 400)[list(COLUMNS)].to_numpy(dtype=np.float32))
    splits = {"train": whole, "later": replace(whole, later_start=0), "unseen": replace(whole, train_end=0)}
    drawn = [
        _rows(_sampler([one], part, window), step, 12)[:, 0].tobytes()
        for part, one in splits.items()
        for step in range(30)
    ]
    assert len(set(drawn)) == 90


def _with_room(name: str, asset_class: str, room: int) -> Series:
    return replace(_one_series(_random_bars(BARS + room, 1), name), asset_class=asset_class)


@pytest.mark.parametrize(
    ("power", "expected"),
    [
        (0.5, [0.10, 0.30, 0.60, 0]),  # groups of 400 and 900 weigh 20 and 30
        (0.0, [0.125, 0.375, 0.5, 0]),  # alike
        (1.0, [1 / 13, 3 / 13, 9 / 13, 0]),  # by bars
    ],
)
def test_groups_weigh_as_their_bars_to_a_power(window: WindowConfig, power: float, expected: list[float]) -> None:
    rooms = [_with_room("a", "fx", 100), _with_room("b", "fx", 300), _with_room("c", "crypto", 900)]
    held_out = replace(_with_room("d", "crypto", 900), train_end=0)
    weights = WindowSampler([*rooms, held_out], window, RowNumbers(), "train", power, 0).weights()
    np.testing.assert_allclose(weights, expected, rtol=1e-12)


def test_series_are_drawn_as_often_as_they_weigh(window: WindowConfig) -> None:
    """6400 draws; a share's standard error is at most sqrt(.24 / 6400) = .0061; four of them: 1 in 16,000 each."""
    frames = [_numbered(i, BARS + room) for i, room in enumerate((100, 300, 900))]
    values = [f[list(COLUMNS)].to_numpy(dtype=np.float32) for f in frames]
    series = [_one_series(x, str(i)) for i, x in enumerate(values)]
    series[2] = replace(series[2], asset_class="crypto")
    sampler = _sampler(series, "train", window)
    owner = np.concatenate([_rows(sampler, step, 64)[:, 0] // PER_SERIES for step in range(100)])
    np.testing.assert_allclose(np.bincount(owner, minlength=3) / 6400, [0.1, 0.3, 0.6], atol=0.0245)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_volume_is_hidden_in_its_share_of_windows(series: list[Series], window: WindowConfig, share: float) -> None:
    """6400 windows; standard error sqrt(.25 x .75 / 6400) = .0054; four of them: 1 in 16,000. None at 0 and 1."""
    sampler = _sampler(series, "train", window.model_copy(update={"volume_dropout": share}))
    fields = np.concatenate([sampler.batch(step, 64).features[:, 0, 1] for step in range(100)])
    assert set(fields.tolist()) <= {4.0, 5.0}
    assert abs(np.mean(fields == 4) - share) <= 4 * np.sqrt(share * (1 - share) / 6400)


def test_a_series_without_volume_never_shows_one(series: list[Series], window: WindowConfig) -> None:
    silent = [replace(one, has_volume=False) for one in series]
    assert set(_sampler(silent, "train", window).batch(0, 50).features[..., 1].ravel().tolist()) == {4.0}


def test_a_part_without_room_for_a_window_says_so(series: list[Series], window: WindowConfig) -> None:
    sampler = _sampler([series[2]], "train", window)
    with pytest.raises(DataError, match="no series has 64 bars for the part 'train'"):
        sampler.batch(0, 1)


def test_a_series_that_never_moves_is_named(window: WindowConfig) -> None:
    flat = _one_series(np.ones((200, 5), np.float32), "fx_daily__FLAT")
    with pytest.raises(DataError, match="fx_daily__FLAT: 1000 windows in a row have a close that never moves"):
        WindowSampler([flat], window, Increments(), "train", 0.5, 0).batch(0, 1)


def test_a_stretch_that_never_moves_is_passed_over(window: WindowConfig) -> None:
    """The first 150 of 300 bars stand still: no context of 40 bars may lie among them."""
    values = _random_bars(300, 3)
    values[:150, :4] = 1.0
    sampler = WindowSampler([_one_series(values)], window, Increments(), "train", 0.5, 0)
    starts = np.concatenate([sampler.batch(step, 16).stamps[:, 0, :2] for step in range(20)])
    rows = starts[:, 0] + 60 * starts[:, 1]  # minute and hour of the first bar
    assert rows.min() > 150 - CONTEXT


def test_moments_are_those_of_the_windows_and_constant_features_get_one(window: WindowConfig) -> None:
    values = _random_bars(BARS + 1, 2)
    sampler = WindowSampler([_one_series(values)], window, Increments(), "train", 0.5, 0)
    mean, std = feature_moments(sampler, batches=3, size=4)
    rows = np.concatenate([sampler.batch(step, 4).features.reshape(-1, 5) for step in range(3)])
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(std, rows.std(0), rtol=1e-5)

    silent = replace(_one_series(values), has_volume=False)
    mean, std = feature_moments(replace(sampler, series=[silent]), batches=3, size=4)
    assert (mean[4], std[4]) == (0.0, 1.0)
