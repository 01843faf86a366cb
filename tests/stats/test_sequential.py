"""A bet against even ranks: fair where they are even however often one looks, and quick where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scenario_gen.stats.sequential import MOVES, WIDTHS, _densities, bet


def test_every_alternative_is_a_density():
    # over the normal quantile x of u, du = phi(x) dx; beyond 8 deviations the widest, of deviation 2, has 6e-5
    x = np.linspace(-8, 8, 4001)
    masses = _densities(stats.norm.cdf(x)) * stats.norm.pdf(x)[:, None]
    assert masses.sum(axis=0) * (x[1] - x[0]) == pytest.approx(np.ones(len(WIDTHS) + len(MOVES)), abs=1e-4)


def test_an_alternative_is_the_law_of_ranks_under_it():
    # paths half as wide as the truth: P(rank < u) = Phi(x / 2), x the normal quantile of u
    u = np.linspace(0.01, 0.99, 99)
    x = stats.norm.ppf(u)
    expected = stats.norm.pdf(x / 2) / 2 / stats.norm.pdf(x)
    assert _densities(u)[:, WIDTHS.index(2.0)] == pytest.approx(expected, rel=1e-12)


def test_a_bet_on_even_ranks_rarely_ever_comes_to_twenty_times_its_stake():
    # Ville: at most 5 % of courses at any of 300 bars. Of 300 courses 5 % is 15 with a deviation of 3.8: 27 is three
    # above, so that a bet at exactly the bound fails once in 700; ours lies far below
    rng = np.random.default_rng(20)
    ever = sum(bet(rng.random(300)).highest >= 20 for _ in range(300))
    assert ever <= 27


@pytest.mark.parametrize(
    ("width", "move", "words"),
    [(1 / 1.6, 0.0, "too wide"), (1.6, 0.0, "too narrow"), (1.0, 0.5, "too low"), (1.0, -0.5, "too high")],
)
def test_a_wrong_forecast_is_caught_and_said_how(width: float, move: float, words: str):
    # the evidence grows by at least .12 a bar: 100 times the stake is due within 80, and has 300
    truth = width * np.random.default_rng(4).standard_normal(300) + move
    course = bet(stats.norm.cdf(truth))
    assert course.reached(100.0) is not None
    assert course.leaning == words


def test_calibration_that_is_lost_late_is_seen():
    rng = np.random.default_rng(5)
    pits = np.concatenate((rng.random(500), stats.norm.cdf(2 * rng.standard_normal(150))))
    reached = bet(pits).reached(100.0)
    assert reached is not None
    assert reached > 500


def test_no_ranks_are_no_evidence():
    assert bet(np.empty(0)).highest == 1.0
    assert bet(np.empty(0)).reached(20.0) is None
