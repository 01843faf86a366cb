"""Coverage: exact intervals and tests, and the band that holds whole paths."""

from __future__ import annotations

import numpy as np
import pytest

from scenario_gen.stats.ranks import band_coverage, central_coverage, coverage, largest_deviation, pit


def test_intervals_and_p_values_are_those_of_r() -> None:
    # the example of R's binom.test: 682 of 925 plants, p = .75
    found = coverage(np.arange(925) < 682, 0.75)
    assert found.p == pytest.approx(0.3825, abs=5e-5)
    assert (found.low, found.high) == pytest.approx((0.7076683, 0.7654066), abs=5e-8)
    assert (found.inside, found.origins) == (682, 925)
    # none and all of n: one-sided ends 1 - .025^(1/n), by hand
    none, every = coverage(np.zeros(20, bool), 0.5), coverage(np.ones(20, bool), 0.5)
    assert (none.low, none.high) == pytest.approx((0.0, 1 - 0.025 ** (1 / 20)))
    assert (every.low, every.high) == pytest.approx((0.025 ** (1 / 20), 1.0))


def test_a_calibrated_ensemble_covers_what_it_promises_whatever_its_size() -> None:
    rng = np.random.default_rng(1)
    pits = np.array([pit(rng.standard_normal(19), float(rng.standard_normal()), rng) for _ in range(4000)])
    for found in central_coverage(pits):
        # four binomial errors: all four levels together fail by chance once in 4000
        assert found.share == pytest.approx(found.level, abs=4 * np.sqrt(found.level * (1 - found.level) / 4000))


def test_a_band_too_narrow_by_a_fifth_is_caught() -> None:
    rng = np.random.default_rng(2)
    pits = np.array([pit(0.8 * rng.standard_normal(199), float(rng.standard_normal()), rng) for _ in range(400)])
    by_level = {found.level: found for found in central_coverage(pits)}
    assert by_level[0.9].share == pytest.approx(0.81, abs=0.08)  # P(|z| < .8 * 1.645) = .812
    assert by_level[0.9].p < 1e-4


def test_the_band_of_whole_paths_holds_them_at_its_level() -> None:
    rng = np.random.default_rng(3)
    pits, pointwise = [], []
    for _ in range(1500):
        paths = rng.standard_normal((40, 15)).cumsum(axis=1) * np.exp(0.5 * rng.standard_normal((40, 1)))
        away, real = largest_deviation(paths[:-1], paths[-1])
        pits.append(pit(away, real, rng))
        low, high = np.quantile(paths[:-1], [0.05, 0.95], axis=0)
        pointwise.append(bool(((low <= paths[-1]) & (paths[-1] <= high)).all()))
    for found in band_coverage(np.array(pits)):
        assert found.share == pytest.approx(found.level, abs=4 * np.sqrt(found.level * (1 - found.level) / 1500))
    assert np.mean(pointwise) < 0.8  # the planted defect: a band per bar is no band for the path


def test_bars_that_do_not_spread_are_left_out() -> None:
    paths = np.zeros((5, 3))
    away, real = largest_deviation(paths, np.zeros(3))
    assert away.tolist() == [0.0] * 5
    assert real == 0.0
    paths[:, 2] = [0, 1, 2, 3, 4]
    assert np.isfinite(largest_deviation(paths, np.array([0.0, 0.0, 9.0]))[1])
