"""Held-out scores: a perfect sampler is calibrated, planted faults are seen, windows are held out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scenario_gen.market import Candles
from scenario_gen.training.data import Series
from scenario_gen.training.evaluate import Sampler, diebold_mariano, held_out_windows, score

SIGMA = 0.01
CONTEXT = 100


def _series(name: str, bars: int, seed: int, train_end: int) -> Series:
    """Gaussian closes of known volatility as flat-wicked candles."""
    close = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, SIGMA, bars)))
    opens = np.concatenate(([100.0], close[:-1]))
    values = np.stack(
        (opens, np.maximum(opens, close), np.minimum(opens, close), close, np.ones(bars)), axis=1
    )
    stamps = pd.date_range("2000-01-03", periods=bars, freq="D").as_unit("ns").asi8
    return Series(name, "fx", "daily", values.astype(np.float32), stamps, False, train_end, train_end)


@pytest.fixture(scope="module")
def series() -> list[Series]:
    seen = [_series(f"s{i}", 20_000, i, 10_000) for i in range(4)]
    return [*seen, _series("never", 20_000, 99, 0)]


def _gaussian(volatility: float, drift: float = 0.0) -> Sampler:
    rng = np.random.default_rng(12)

    def sample(context: Candles, timestamps: pd.DatetimeIndex, paths: int) -> np.ndarray:
        steps = rng.normal(drift * SIGMA, volatility * SIGMA, (paths, len(timestamps)))
        close = context.close[-1] * np.exp(np.cumsum(steps, axis=1))
        return np.stack([close] * 5, axis=-1)

    return sample


def test_windows_are_held_out_by_time_or_by_instrument_and_do_not_overlap(series: list[Series]) -> None:
    later = held_out_windows(series, context=CONTEXT, per_group=50, seed=1, unseen=False)
    assert len(later) == 50
    split = {s.name: pd.Timestamp(int(s.wall_ns[s.later_start])) for s in series}
    spans = [(w.series, w.context.timestamps[0], w.future.timestamps[-1]) for w in later]
    assert all(start >= split[name] for name, start, _ in spans)
    assert not any(
        a[0] == b[0] and a[1] <= b[2] and b[1] <= a[2] for i, a in enumerate(spans) for b in spans[:i]
    )
    unseen = held_out_windows(series, context=CONTEXT, per_group=50, seed=1, unseen=True)
    assert {w.series for w in unseen} == {"never"}


def test_a_perfect_sampler_covers_at_its_nominal_rate_and_faults_are_seen(series: list[Series]) -> None:
    windows = held_out_windows(series, context=CONTEXT, per_group=200, seed=1, unseen=False)
    right, narrow, shifted = (
        score(_gaussian(*settings), windows, 400) for settings in ((1.0,), (0.6,), (1.0, 0.3))
    )
    # 200 windows: standard error of a 90 % coverage is .021; three of those, four horizons: false alarm 1 %
    assert np.all(np.abs(right.inside.mean(0) - 0.9) < 0.064)
    assert np.all(narrow.inside.mean(0) < 0.8)
    assert np.median(right.volatility_ratio) == pytest.approx(1.0, abs=0.05)
    assert np.median(narrow.volatility_ratio) == pytest.approx(0.6, abs=0.05)
    # mean of 200 windows of 400 paths: standard error 1 / sqrt(400 * 200) plus the unit's own of 7 % / sqrt(200)
    assert right.drift.mean() == pytest.approx(0.0, abs=0.02)
    assert shifted.drift.mean() == pytest.approx(0.3 * np.sqrt(60), rel=0.03)
    assert diebold_mariano(right.crps_log_volatility, narrow.crps_log_volatility) < -5
    assert diebold_mariano(right.crps[:, 3], shifted.crps[:, 3]) < -3
    assert right.bad_bars.max() == 0


def test_a_perfect_sampler_scores_the_closed_form_of_the_gaussian_crps(series: list[Series]) -> None:
    windows = held_out_windows(series, context=CONTEXT, per_group=200, seed=2, unseen=False)
    scores = score(_gaussian(1.0), windows, 400)
    # E CRPS of a standard normal forecast of a standard normal is 1 / sqrt(pi); the unit is off by the context's
    # own 7 %, whose mean of 1/unit is 1.0025; standard error of the mean of 200 is about .03
    assert scores.crps[:, 0].mean() == pytest.approx(1 / np.sqrt(np.pi), abs=0.09)


def test_invalid_bars_are_counted(series: list[Series]) -> None:
    windows = held_out_windows(series, context=CONTEXT, per_group=3, seed=1, unseen=False)

    def broken(context: Candles, timestamps: pd.DatetimeIndex, paths: int) -> np.ndarray:
        values = _gaussian(1.0)(context, timestamps, paths)
        values[:, ::4, 1] *= 0.9  # every fourth high below its close
        return values

    assert score(broken, windows, 10).bad_bars == pytest.approx([0.25] * 3)


def test_diebold_mariano_is_a_paired_t_value() -> None:
    ours, theirs = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 5.0, 5.0])
    difference = np.array([-1.0, 0.0, -2.0, -1.0])
    expected = difference.mean() / (difference.std(ddof=1) / 2)
    assert diebold_mariano(ours, theirs) == pytest.approx(expected)
    assert diebold_mariano(ours, ours) == 0.0
