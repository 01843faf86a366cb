"""Forecasts that move with the market are told from those that repeat its average, with an honest error."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, pearsonr

from scenario_gen.forecasts.foresight import Foresight
from scenario_gen.stats.means import SeriesCorrelation


def test_the_correlation_is_pearsons_and_its_interval_about_fishers() -> None:
    """Of independent Gaussian moments Fisher's interval is atanh r -+ 1.96 / sqrt(n - 3); with n = 4,000 the estimated
    error of an influence has a relative error of about 1 / sqrt(n / 2), 2 %, three of which are allowed."""
    rng = np.random.default_rng(3)
    x, noise = rng.standard_normal((2, 4000))
    y = 0.6 * x + 0.8 * noise
    found = SeriesCorrelation.of(x, y)
    assert found.value == pytest.approx(pearsonr(x, y).statistic, abs=1e-12)
    assert found.influence.mean() == pytest.approx(0, abs=1e-12)
    low, high = found.interval(lag=0)
    half = norm.ppf(0.975) / np.sqrt(4000 - 3)
    assert (np.arctanh(high) - np.arctanh(low)) / 2 == pytest.approx(half, rel=0.07)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """300 samples of 60 neighbours that hang together (first-order, .5): 95 % -+ 3 standard errors of 1.3 %, and two
    points less for 60 moments being few; the naive interval of independent moments holds it in 88 %."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(300):
        shared, first, other = (_persistent(rng, 60) for _ in range(3))
        low, high = SeriesCorrelation.of(shared + first, shared + other).interval(lag=3)
        held += low <= 0.5 <= high
    assert 0.89 <= held / 300 <= 0.985


def _persistent(rng: np.random.Generator, length: int, rho: float = 0.5) -> np.ndarray:
    values = np.empty(length)
    last = rng.standard_normal()
    for place in range(length):
        last = values[place] = rho * last + np.sqrt(1 - rho**2) * rng.standard_normal()
    return values


def test_a_generator_that_follows_the_market_is_told_from_one_that_repeats_its_average() -> None:
    rng = np.random.default_rng(7)
    came = _persistent(rng, 60, 0.8)
    follows = Foresight.of(came + 0.5 * rng.standard_normal(60), came)
    blind = Foresight.of(0.1 * rng.standard_normal(60), came)
    assert follows.correlation is not None and blind.correlation is not None
    assert follows.correlation > 0.7 > abs(blind.correlation)
    places = list(range(60))
    (beside,) = follows.held_against("blind", blind, places, places).beside
    assert beside.difference == pytest.approx(follows.correlation - blind.correlation)
    assert beside.p < 0.001
    (other,) = blind.held_against("follows", follows, places, places).beside
    assert (other.difference, other.p) == (pytest.approx(-beside.difference), pytest.approx(beside.p))


def test_equal_generators_are_found_different_as_rarely_as_they_should() -> None:
    """400 pairs of equally good forecasts of 60 origins at 5 %: 5 % +- 3 errors of 1.1 %."""
    rng = np.random.default_rng(11)
    places, wrong = list(range(60)), 0
    for _ in range(400):
        came = rng.standard_normal(60)
        ours, theirs = (Foresight.of(came + rng.standard_normal(60), came) for _ in range(2))
        wrong += ours.held_against("other", theirs, places, places).beside[0].p < 0.05
    assert 0.017 <= wrong / 400 <= 0.083


def test_too_few_origins_or_a_forecast_that_never_moves_have_no_correlation() -> None:
    assert Foresight.of([0.1] * 9, [*range(9)]).correlation is None
    still = Foresight.of([0.1] * 20, [*range(20)])
    assert (still.correlation, still.low, still.high, still.beside) == (None, None, None, [])
    moving = Foresight.of([*range(20)], [*range(20)])
    assert moving.held_against("still", still, [*range(20)], [*range(20)]).beside == []


def test_only_origins_that_both_have_are_compared() -> None:
    rng = np.random.default_rng(13)
    came = rng.standard_normal(30)
    ours = Foresight.of(came + rng.standard_normal(30), came)
    theirs = Foresight.of(came[10:] + rng.standard_normal(20), came[10:])
    (beside,) = ours.held_against("late", theirs, list(range(10, 30)), list(range(20))).beside
    mine = pearsonr(np.array(ours.forecast)[10:], came[10:]).statistic
    assert beside.origins == 20
    assert beside.difference == pytest.approx(mine - pearsonr(theirs.forecast, came[10:]).statistic)
