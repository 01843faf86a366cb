"""Probabilities from islands: intervals that hold what they promise, counts of nothing, effective numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from scenario_gen.stress.exceedance import counted_probability, distance, island_probability, relative_error


def test_the_log_t_interval_of_skewed_islands_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    # islands as measured on a GARCH model: lognormal with a relative deviation of .5 around a probability of 1e-4
    deviation = np.sqrt(np.log1p(0.25))
    islands = 1e-4 * np.exp(deviation * rng.standard_normal((2000, 8)) - deviation**2 / 2)
    held = [found.low < 1e-4 < found.high for found in map(island_probability, islands)]  # type: ignore[operator]
    # measured .92 for a nominal .95; 2000 repetitions know it to .006
    assert 0.90 < np.mean(held) < 0.97


def test_few_islands_and_islands_without_the_event_have_no_interval() -> None:
    few = island_probability(np.full(7, 0.01))
    assert few.value == pytest.approx(0.01)
    assert few.low is None
    assert "8 do" in few.reason
    none = island_probability(np.zeros(8))
    assert (none.value, none.high) == (0.0, None)
    assert relative_error(np.zeros(8)) == np.inf


@pytest.mark.parametrize(("count", "n"), [(0, 83), (3, 83), (83, 83), (120, 4000)])
def test_counts_have_the_exact_interval_of_clopper_and_pearson(count: int, n: int) -> None:
    found, exact = counted_probability(count, n), binomtest(count, n).proportion_ci(0.95, "exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    assert found.value == count / n


def test_islands_and_plain_paths_of_one_law_are_as_far_apart_as_students_t() -> None:
    rng = np.random.default_rng(1)
    far = []
    for _ in range(1000):
        islands = rng.binomial(200, 0.05, 10) / 200
        z, freedom = distance(islands, int(rng.binomial(4000, 0.05)), 4000)
        assert 9 <= freedom <= 4009
        far.append(z)
    assert np.std(far) == pytest.approx(1.06, abs=0.12)  # of t with ten to twenty degrees of freedom
