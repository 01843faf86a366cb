"""Where a wandering level stands next: equal to textbook conditioning, and sure of itself at the right rate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scenario_gen.realism.course import CORRELATIONS, PRIOR, SPREADS, outlook

LEVELS = np.array([0.42, 0.55, 0.61, 0.48, np.nan, 0.35, 0.44, 0.58, 0.52, 0.66])
NOISE = 0.02


def joint(spread: float, rho: float, ahead: float | None, count: int = 1) -> tuple[float, float, float]:
    """Return log density of the levels, and mean and variance of the next one, from the joint normal law.

    A flat mean is one with a variance of 1e4, which the data outweigh.
    """
    seen = np.flatnonzero(np.isfinite(LEVELS))
    powers = lambda distance: np.where(distance == 0, 1.0, rho**distance)  # noqa: E731
    own = np.arange(count)
    cov = 1e4 + spread**2 * powers(np.abs(seen[:, None] - seen[None])) + NOISE * np.eye(len(seen))
    across = 1e4 + (0 * seen if ahead is None else spread**2 * powers(len(LEVELS) - 1 - seen + ahead))
    variance = 1e4 + spread**2 * powers(np.abs(own[:, None] - own[None])).mean()
    weights = np.linalg.solve(cov, across)
    density = stats.multivariate_normal(np.zeros(len(seen)), cov).logpdf(LEVELS[seen])
    return float(density), float(weights @ LEVELS[seen]), float(variance - weights @ across)


@pytest.mark.parametrize(("ahead", "count"), [(0.62, 1), (None, 1), (None, 7)])
def test_every_point_is_the_conditional_normal_law(ahead: float | None, count: int) -> None:
    found = outlook(LEVELS, NOISE, ahead, count)
    points = [(rho, spread) for rho in CORRELATIONS for spread in SPREADS]
    expected = np.array([joint(spread, rho, ahead, count) for rho, spread in points])
    # Solving with a variance of 1e4 beside one of .02 leaves some 1e-9 of the digits, and the prior mean pulls by 1e-6.
    assert found.means == pytest.approx(expected[:, 1], abs=1e-5)
    assert found.sds**2 == pytest.approx(expected[:, 2], abs=1e-6)
    # Between points of one spread the prior is the same: their weights are as their densities.
    for at in range(len(SPREADS)):
        same = slice(at, None, len(SPREADS))
        ratio = found.weights[same] / found.weights[at]
        assert ratio == pytest.approx(np.exp(expected[same, 0] - expected[at, 0]), rel=1e-4)


def test_what_stays_at_one_level_is_expected_there_and_what_wanders_is_not() -> None:
    rng = np.random.default_rng(1)
    noise = 0.02
    still = 0.5 + np.sqrt(noise) * rng.standard_normal(40)
    steps = np.zeros(40)
    for t in range(1, 40):
        steps[t] = 0.8 * steps[t - 1] + 0.6 * 0.25 * rng.standard_normal()
    moving = 0.5 + steps + np.sqrt(noise) * rng.standard_normal(40)
    assert outlook(still, noise, 0.6).mean == pytest.approx(0.5, abs=0.05)
    assert outlook(still, noise, 0.6).p(0.7) < 0.01
    assert outlook(moving, noise, 0.6).sd > 1.5 * outlook(still, noise, 0.6).sd


def test_the_next_level_leans_towards_the_last_ones() -> None:
    trend = np.linspace(0.2, 0.8, 20)
    assert outlook(trend, 0.01, 0.6).mean > 0.65 > outlook(trend, 0.01, None).mean


def test_noise_of_the_look_widens_and_several_levels_narrow_what_is_expected() -> None:
    known = outlook(LEVELS, NOISE, None)
    assert known.seen_with(0.03).sd == pytest.approx(np.sqrt(known.sd**2 + 0.03))
    assert known.seen_with(0.03).p(0.8) > known.p(0.8)
    assert outlook(LEVELS, NOISE, None, 9).sd < known.sd


def test_a_level_of_the_model_itself_is_surprising_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    p = []
    for _ in range(400):
        spread, rho = abs(PRIOR * rng.standard_normal()), rng.choice(CORRELATIONS)
        x = spread * rng.standard_normal(21)
        for t in range(1, 21):
            x[t] = rho * x[t - 1] + np.sqrt(1 - rho**2) * x[t]
        seen = 0.5 + x[:20] + np.sqrt(NOISE) * rng.standard_normal(20)
        p.append(outlook(seen, NOISE, 1.0).p(0.5 + x[20]))
    # 400 draws at 5 %: a standard error of 1.1 points, and the grid of the prior is coarse.
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.085
    assert 0.42 <= np.mean(np.array(p) < 0.5) <= 0.58


def test_one_level_is_refused() -> None:
    with pytest.raises(ValueError, match="1 levels are known"):
        outlook(np.array([0.5, np.nan]), 0.01, 0.5)
