"""The distance between sorted features: zero for the same bars in any order, by hand for shifts and shrinking."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scenario_gen.kronos.representation import Increments, Levels
from scenario_gen.training.networks import distance_of_shapes

REPRESENTATION = Increments((0.0, 0.0, 0.4, 0.4, 0.0), (0.4, 0.7, 0.4, 0.4, 1.2), wickless=0.5, gapless=0.15)


def _features(seed: int = 0) -> torch.Tensor:
    return torch.randn(3, 64, 5, generator=torch.Generator().manual_seed(seed))


def test_the_order_of_bars_does_not_matter() -> None:
    x = _features()
    assert float(distance_of_shapes(x[:, torch.randperm(64)], x, REPRESENTATION)) == pytest.approx(0.0, abs=1e-12)


def test_a_shift_costs_its_square() -> None:
    """The squared Wasserstein-2 distance of a distribution to itself moved by c is c squared."""
    x = torch.randn(3, 64, 6)
    assert float(distance_of_shapes(x + 0.3, x, Levels())) == pytest.approx(0.09, rel=1e-5)


def test_bars_that_spread_too_little_cost_what_normal_distributions_say() -> None:
    """W2 squared between N(0, 1) and N(0, .8) is (1 - .8) ** 2 for the standard deviations.

    60,000 values a feature: the empirical variance is within 4 sqrt(2 / 360,000) = 1 % of 1.
    """
    x = torch.randn(1, 60_000, 6, generator=torch.Generator().manual_seed(5))
    assert float(distance_of_shapes(0.8 * x, x, Levels())) == pytest.approx(0.04, rel=0.01)


def test_the_whole_return_of_a_bar_counts_too() -> None:
    """Gap and body each keep their distribution but now cancel each other: only the return tells."""
    x = _features(1)
    x[..., 0] = x[..., 1]
    mixed = x.clone()
    rank = x[..., 1].argsort(1).argsort(1)
    mixed[..., 0] = x[..., 0].sort(1).values.flip(1).gather(1, rank)
    assert torch.equal(mixed.sort(1).values, x.sort(1).values)
    assert float(distance_of_shapes(mixed, x, REPRESENTATION)) > 0.01


def test_wild_features_give_finite_gradients() -> None:
    wild = torch.full((1, 8, 5), 1e4, requires_grad=True)
    distance_of_shapes(wild, torch.zeros(1, 8, 5), REPRESENTATION).backward()
    assert wild.grad is not None
    assert np.isfinite(wild.grad.numpy()).all()
