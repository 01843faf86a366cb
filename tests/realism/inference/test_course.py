"""The course of a fact through real time: placements, their noise, and what paths are held to."""

from __future__ import annotations

import numpy as np
import pytest

from scenario_gen.realism.course import Course, Next, noise_of_levels
from scenario_gen.realism.sample import Measured

STRETCHES, WINDOWS = 20, 13  # as 5,000 bars cut for paths of 60
RUNS = np.repeat(np.arange(STRETCHES), WINDOWS)
TO_COME = Next(0.62)


def overlapping(rng: np.random.Generator, level: np.ndarray | float = 0.0) -> np.ndarray:
    """Return statistics of windows that start a quarter of their length apart: means of four quarters and a level."""
    quarters = rng.standard_normal((STRETCHES, WINDOWS + 3))
    means = sum(quarters[:, k : k + WINDOWS] for k in range(4)) / 2
    return np.ravel(means + np.broadcast_to(level, (STRETCHES,))[:, None])


def test_the_noise_of_a_level_is_that_of_a_mean_of_overlapping_windows() -> None:
    rng = np.random.default_rng(1)
    values = [overlapping(rng) for _ in range(200)]
    noise = [noise_of_levels(one, RUNS) for one in values]
    true = np.var([one.reshape(STRETCHES, WINDOWS).mean(axis=1) for one in values])
    # 4,000 means: the standard error of their variance is 2.2 %.
    assert np.mean(noise) == pytest.approx(true, rel=0.08)


def test_a_level_that_wanders_adds_nothing_to_the_noise() -> None:
    plain = [noise_of_levels(overlapping(np.random.default_rng(k)), RUNS) for k in range(20)]
    level = 3 * np.random.default_rng(99).standard_normal(STRETCHES)
    moved = [noise_of_levels(overlapping(np.random.default_rng(k), level), RUNS) for k in range(20)]
    assert moved == pytest.approx(plain)


def test_single_windows_and_missing_values_have_a_noise() -> None:
    rng = np.random.default_rng(2)
    lonely = rng.random(12)
    assert noise_of_levels(lonely, np.arange(12)) == pytest.approx(lonely.var())
    holes = overlapping(rng)
    whole = noise_of_levels(holes, RUNS)
    holes[::7] = np.nan
    assert noise_of_levels(holes, RUNS) == pytest.approx(whole, rel=0.5)


def course(values: np.ndarray) -> Course:
    found = Course.of("acf_r_1", Measured(RUNS, {"acf_r_1": values}))
    assert found is not None
    return found


def test_levels_are_mean_placements_of_each_stretch() -> None:
    values = overlapping(np.random.default_rng(3))
    expected = [(values[k == RUNS][:, None] > values[None]).mean() + 0.5 / len(values) for k in range(STRETCHES)]
    assert course(values).levels == pytest.approx(expected)
    assert np.mean(course(values).levels) == pytest.approx(0.5)


def test_paths_like_the_last_stretches_are_expected_and_paths_like_no_stretch_are_not() -> None:
    rng = np.random.default_rng(4)
    level = np.linspace(-1.5, 1.5, STRETCHES)  # a slow drift: the last stretch lies far above the middle of history
    drifting, still = course(overlapping(rng, level)), course(overlapping(rng))
    paths = 1.5 + rng.standard_normal(300)
    expected, surprising = (one.compare(paths, one.next(TO_COME)) for one in (drifting, still))
    assert expected is not None
    assert surprising is not None
    assert expected.p > 0.1
    assert surprising.p < 0.005
    assert surprising.location.value == surprising.effect > 0.3
    assert surprising.location.low > 0.1


def test_few_paths_are_held_to_less_than_many() -> None:
    rng = np.random.default_rng(5)
    still = course(overlapping(rng))
    paths = np.quantile(0.8 + rng.standard_normal(4000), np.linspace(0.01, 0.99, 400))
    many, few = (still.compare(some, still.next(TO_COME)) for some in (paths, paths[::40]))
    assert many is not None
    assert few is not None
    assert few.location.se > many.location.se
    assert few.p > many.p


def test_a_fact_without_values_has_no_course() -> None:
    nothing = np.full(len(RUNS), np.nan)
    assert Course.of("acf_r_1", Measured(RUNS, {"acf_r_1": nothing})) is None
    three = np.where(RUNS < 3, 1.0, np.nan)
    assert Course.of("acf_r_1", Measured(RUNS, {"acf_r_1": three})) is None
    values = course(overlapping(np.random.default_rng(6)))
    assert values.compare(np.full(30, np.nan), values.next(TO_COME)) is None
