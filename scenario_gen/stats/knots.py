"""How forecasts of one number err, judged by past ones: location, slope, the noise that they lack, or too much width.

The forecasts of an origin have a mean and a standard deviation s; y came. With c the mean of all means,

    y - mean = m + b (mean - c) + error,    error ~ N(0, s^2 + e^2), or N(0, t^2 s^2) with t < 1,

and priors that ask for evidence: m ~ N(0, .5^2), b ~ N(0, .15^2), e half-normal of scale .35, ln t ~ N(0, .5^2).
Given e (or t) this is ridge regression in closed form; e is integrated over a grid, and posterior means are returned
(Gelman et al. 2013, "Bayesian Data Analysis", 3rd edition, 14.2 and 14.8). Numbers are logs: .1 is a tenth.
Does not know what is forecast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOCATION, SLOPE, NOISE, WIDTH = 0.5, 0.15, 0.35, 0.5  # scales of the four priors
NOISES = np.concatenate(([0.0], np.geomspace(0.02, 1.2, 30)))
WIDTHS = np.geomspace(0.3, 4.0, 41)
SURELY, NARROWED_FROM = 0.99, 60  # a looser rule narrowed bands before 2008 that a crisis then left
MOST_DOUBT = 0.1  # variance at most that the parameters' own error adds
LEAST_VARIANCE = 1e-6


@dataclass(frozen=True)
class Knot:
    """What a forecast of one number lacks; the identity where all is 0 and the width 1."""

    location: float = 0.0  # m
    slope: float = 0.0  # b
    center: float = 0.0  # c
    noise: float = 0.0  # root of the posterior mean of e^2, a deviation
    width: float = 1.0  # t, at most 1; below only where noise is 0
    doubt: tuple[float, float, float] = (0.0, 0.0, 0.0)  # posterior variance of m, their covariance, variance of b

    def at(self, mean: float) -> tuple[float, float]:
        """Return by how much to move a forecast of this mean, and the variance to add to it."""
        away = mean - self.center
        of_m, both, of_b = self.doubt
        doubt = min(of_m + 2 * both * away + of_b * away**2, MOST_DOUBT)
        return self.location + self.slope * away, self.noise**2 + doubt


@dataclass(frozen=True)
class _Posterior:
    coefficients: Floats  # posterior means of m and b [2]
    covariance: Floats  # [2, 2]
    weights: Floats  # of the grid, which sum to 1


def fit_knot(mean: Floats, spread: Floats, came: Floats) -> Knot:
    """Fit what past forecasts lacked.

    Too wide is believed only from 60 origins on and with a probability above .99: bands that were narrowed on a calm
    stretch fail in the next crisis.

    Args:
        mean: of each forecast [origin].
        spread: standard deviation of each [origin].
        came: what came [origin].
    """
    narrower = _posterior(mean, came, (spread[:, None] * WIDTHS) ** 2, -0.5 * (np.log(WIDTHS) / WIDTH) ** 2)
    if len(came) >= NARROWED_FROM and narrower.weights[WIDTHS < 1].sum() > SURELY:
        width = float(np.exp(narrower.weights @ np.log(WIDTHS)))
        return _knot(narrower, mean, noise=0.0, width=min(1.0, width))
    prior = np.log(np.gradient(NOISES)) - 0.5 * (NOISES / NOISE) ** 2
    wider = _posterior(mean, came, spread[:, None] ** 2 + NOISES**2, prior)
    return _knot(wider, mean, noise=float(wider.weights @ NOISES**2) ** 0.5, width=1.0)


def _knot(fit: _Posterior, mean: Floats, *, noise: float, width: float) -> Knot:
    (of_m, both), (_, of_b) = fit.covariance.tolist()
    m, b = fit.coefficients.tolist()
    return Knot(m, b, float(mean.mean()), noise, width, (of_m, both, of_b))


def _posterior(mean: Floats, came: Floats, variance: Floats, log_prior: Floats) -> _Posterior:
    """Integrate over a grid of error variances [origin, grid], each with ridge regression in closed form."""
    variance = np.maximum(variance, LEAST_VARIANCE)
    x = np.stack((np.ones_like(mean), mean - mean.mean()), axis=1)  # [origin, 2]
    off = came - mean
    ridge = np.array([LOCATION**-2.0, SLOPE**-2.0])
    precision = np.einsum("ng,ni,nj->gij", 1 / variance, x, x) + np.diag(ridge)
    covariance = np.linalg.inv(precision)  # [grid, 2, 2]
    coefficients = np.einsum("gij,ng,nj->gi", covariance, 1 / variance, x * off[:, None])
    left = off[:, None] - x @ coefficients.T  # [origin, grid]
    evidence = -0.5 * (np.log(variance) + left**2 / variance).sum(axis=0)
    evidence -= 0.5 * (coefficients**2 @ ridge + np.linalg.slogdet(precision)[1])
    logs = evidence + log_prior
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    return _Posterior(weights @ coefficients, np.einsum("g,gij->ij", weights, covariance), weights)
