"""Location, slope, noise and width of past forecasts: against brute force, and known errors given back."""

from __future__ import annotations

import numpy as np
import pytest

from scenario_gen.stats.knots import LOCATION, NOISE, SLOPE, Floats, Knot, fit_knot


def _forecasts(
    origins: int, seed: int, *, m: float = 0.0, b: float = 0.0, e: float = 0.0, t: float = 1.0
) -> tuple[Floats, Floats, Floats]:
    """Forecasts of deviation .3 that err in a known way: mean, spread and what came [origin]."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(-4.5, 0.4, origins)
    spread = rng.uniform(0.25, 0.35, origins)
    error = rng.normal(size=origins) * np.sqrt((t * spread) ** 2 + e**2)
    return mean, spread, mean + m + b * (mean - mean.mean()) + error


def test_the_fit_is_what_brute_force_over_all_three_parameters_gives() -> None:
    mean, spread, came = _forecasts(40, 1, m=0.2, b=-0.1, e=0.25)
    axes = np.linspace(-0.2, 0.6, 81), np.linspace(-0.6, 0.5, 81), np.linspace(0, 0.9, 91)
    m, b, e = np.meshgrid(*axes, indexing="ij")
    logs = -0.5 * ((m / LOCATION) ** 2 + (b / SLOPE) ** 2 + (e / NOISE) ** 2)
    for x, s, y in zip(mean, spread, came, strict=True):
        variance = s**2 + e**2
        logs -= 0.5 * (np.log(variance) + (y - x - m - b * (x - mean.mean())) ** 2 / variance)
    weight = np.exp(logs - logs.max())
    weight /= weight.sum()
    knot = fit_knot(mean, spread, came)
    # a grid of 31 noises stands for the integral: a fiftieth of the posterior deviations
    assert knot.location == pytest.approx(float((weight * m).sum()), abs=0.002)
    assert knot.slope == pytest.approx(float((weight * b).sum()), abs=0.004)
    assert knot.noise**2 == pytest.approx(float((weight * e**2).sum()), abs=0.003)
    # the doubt is the mean of the variances given e, which leaves out how the means move with e: a little less
    variance = float((weight * m**2).sum() - (weight * m).sum() ** 2)
    assert variance * 0.9 < knot.doubt[0] <= variance * 1.02


@pytest.mark.parametrize("seed", range(5))
def test_a_known_location_and_noise_are_given_back(seed: int) -> None:
    knot = fit_knot(*_forecasts(120, seed, m=-0.3, e=0.3))
    # standard error of the location sqrt(.3^2 + .3^2) / sqrt(120) = .04; of the noise's variance about .02
    assert knot.location == pytest.approx(-0.3, abs=0.13)
    assert knot.noise**2 == pytest.approx(0.09, abs=0.07)
    assert knot.width == 1.0


def test_a_perfect_forecast_is_left_nearly_alone() -> None:
    knots = [fit_knot(*_forecasts(60, seed)) for seed in range(40)]
    # location: se .3 / sqrt(60) = .04, its mean over 40 fits .006; a variance of .09 may look .02 too large or small
    assert abs(np.mean([knot.location for knot in knots])) < 0.02
    assert np.std([knot.location for knot in knots]) < 0.06
    assert np.mean([knot.noise**2 for knot in knots]) < 0.015
    assert all(knot.width == 1.0 for knot in knots)


def test_bands_are_narrowed_only_where_that_is_sure_and_from_sixty_origins() -> None:
    wide = [fit_knot(*_forecasts(100, seed, t=0.5)) for seed in range(10)]
    assert all(knot.width == pytest.approx(0.5, abs=0.12) and knot.noise == 0 for knot in wide)  # se of ln t .07
    assert all(fit_knot(*_forecasts(59, seed, t=0.5)).width == 1.0 for seed in range(10))
    hardly = [fit_knot(*_forecasts(60, seed, t=0.9)).width for seed in range(20)]
    assert sum(width < 1 for width in hardly) <= 4  # a tenth too wide: one standard error of ln t


def test_a_slope_is_found_against_its_prior() -> None:
    knot = fit_knot(*_forecasts(400, 3, b=-0.3))
    # se of b .3 / (.4 sqrt(400)) = .04; the prior of .15 shrinks by 1 / (1 + .04^2 / .15^2) = .94
    assert knot.slope == pytest.approx(-0.28, abs=0.12)
    location, _ = knot.at(knot.center + 1.0)
    assert location == pytest.approx(knot.location + knot.slope)


def test_doubt_about_the_parameters_widens_away_from_the_center_up_to_a_limit() -> None:
    knot = fit_knot(*_forecasts(30, 5, e=0.1))
    near, far, away = (knot.at(knot.center + x)[1] for x in (0.0, 1.0, 100.0))
    assert knot.noise**2 < near < far < away == knot.noise**2 + 0.1
    assert Knot().at(3.0) == (0.0, 0.0)


def test_forecasts_without_any_spread_are_fitted_too() -> None:
    knot = fit_knot(np.full(40, -5.0), np.zeros(40), np.full(40, -5.0))
    assert knot.location == pytest.approx(0.0, abs=1e-9)
    assert knot.noise**2 < 0.001
