"""The choice of temperature and top_p: the rule on curves whose right answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from scenario_gen.forecasts.dial import Trial, choose_point, curve
from scenario_gen.forecasts.numbers import Observation
from scenario_gen.stats.ranks import fair_crps, pit

ORIGINS = 60


def _trial(temperature: float, right: float, top_p: float = 1.0) -> Trial:
    """Return a trial whose log volatility is off by the log of temperature over the right one."""
    rng = np.random.default_rng(4)  # common random numbers for all settings
    observations = []
    for _ in range(ORIGINS):
        real, ensemble = (rng.standard_normal(), rng.standard_normal(49) + 2.5 * np.log(temperature * top_p / right))
        numbers = {"log_volatility": pit(ensemble, real, rng), "return_h": rng.random()}
        crps = {"log_volatility": fair_crps(ensemble, real), "return_h": 1.0}
        observations.append(Observation(numbers, crps, {}, 0.5, {}, 0.0, 0.0))
    return Trial(temperature, top_p, observations)


GRID = (0.7, 0.85, 1.0, 1.2, 1.45)


@pytest.mark.parametrize("right", [0.7, 1.45])
def test_a_model_that_is_wrong_as_trained_is_set_right(right: float) -> None:
    chosen, note = choose_point([_trial(t, right) for t in GRID])
    assert abs(np.log(chosen.temperature / right)) < 0.25
    assert chosen.temperature != 1.0
    assert chosen.holds
    assert note == ""


def test_a_model_that_is_right_as_trained_is_left_alone() -> None:
    # at .93 and 1.07 the best of a fine grid is another one, but not by more than its error
    for right in (0.95, 1.0, 1.05):
        chosen, _ = choose_point([_trial(t, right) for t in (0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25)])
        assert chosen.temperature == 1.0


def test_the_curve_is_compared_with_its_least_and_sorted() -> None:
    points = curve([_trial(t, 1.0) for t in reversed(GRID)])
    assert [point.temperature for point in points] == list(GRID)
    assert min(point.worse_by for point in points) == 0
    assert points[0].pit_mean > 0.6  # cold paths are too calm
    assert points[-1].pit_mean < 0.4  # and hot ones too wild
    assert [point.holds for point in points] == [False, False, True, False, False]


def test_where_nothing_holds_the_least_is_taken_and_told() -> None:
    chosen, note = choose_point([_trial(t, 5.0) for t in GRID])
    assert chosen.temperature == GRID[-1]
    assert "no setting holds" in note


def test_top_p_is_left_at_one_where_it_makes_no_difference() -> None:
    chosen, _ = choose_point([_trial(1.0, p, top_p=p) for p in (0.8, 0.9, 1.0)])
    assert chosen.top_p == 1.0
