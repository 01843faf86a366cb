"""Entropy pooling against theory for a Gaussian, another implementation, and its own laws."""

from __future__ import annotations

import numpy as np
import pytest
from entropy_pooling import ep
from hypothesis import given, strategies as st

from scenario_gen.stats.pooling import NotAttained, Wanted, pool

N = 4000
UNIFORM = np.full(N, 1 / N)


def exactly(values: np.ndarray, mean: float) -> Wanted:
    return Wanted(values, mean, mean)


def numbers(seed: int, rows: int = 3, n: int = N) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, n))


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_a_view_on_the_mean_of_a_gaussian_tilts_it_as_theory_has_it(shift):
    # q ~ exp(d x) phi(x): a Gaussian around d of the same deviation, relative entropy d^2 / 2, and of the prior's paths
    # e^{-d^2} are left alike. The prior is the density on a grid of steps of .01 to ten deviations: such a sum of an
    # analytic function that vanishes at its ends errs by less than rounding.
    x = np.linspace(-10, 10, 2001)
    prior = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    q = pool(prior, [exactly(x, shift)])
    assert q @ x == pytest.approx(shift, abs=1e-10)
    assert q @ (x - shift) ** 2 == pytest.approx(1.0, rel=1e-9)
    assert np.sum(q * np.log(q / prior)) == pytest.approx(shift**2 / 2, rel=1e-9)
    assert 1 / np.sum(q**2 / prior) == pytest.approx(np.exp(-(shift**2)), rel=1e-9)


def test_a_view_that_holds_already_changes_no_weight():
    f = numbers(0)
    prior = np.random.default_rng(1).dirichlet(np.ones(N))
    q = pool(prior, [exactly(f[0], prior @ f[0]), Wanted(f[1], -1.0, np.inf)])
    np.testing.assert_array_equal(q, prior)
    almost = pool(prior, [exactly(f[0], prior @ f[0] + 1e-13)])
    np.testing.assert_allclose(almost, prior, rtol=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_another_implementation_finds_the_same_weights(seed):
    f = numbers(seed)
    prior = np.random.default_rng(seed + 50).dirichlet(np.full(N, 2.0))
    tail = (f[2] > 1.0).astype(float)
    wanted = [exactly(f[0], -0.3), exactly(f[0] ** 2, 1.2), exactly(tail, 0.3), Wanted(f[1], 0.2, np.inf)]
    ours = pool(prior, wanted)
    equal = np.stack([np.ones(N), f[0], f[0] ** 2, tail])
    theirs = ep(prior[:, None], equal, np.array([[1.0], [-0.3], [1.2], [0.3]]), -f[1:2], np.array([[-0.2]]))[:, 0]
    # Theirs stops at a residual of some 1e-7, which moves a weight by as much of itself times a few deviations.
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-9)
    assert np.abs([ours @ each.values - each.low for each in wanted]).max() < 1e-10


def test_an_end_that_holds_already_is_not_held():
    f = numbers(3)
    with_end = pool(UNIFORM, [exactly(f[0], 0.4), Wanted(f[1], -0.5, 0.5)])
    np.testing.assert_allclose(with_end, pool(UNIFORM, [exactly(f[0], 0.4)]), rtol=1e-9)


# With little noise the two ends together are out of reach, with much they are not.
@pytest.mark.parametrize("noise", [0.2, 1.0])
def test_an_end_that_another_view_reaches_by_itself_is_let_go(noise):
    f = numbers(5)
    follows = f[0] + noise * f[1]  # broken by the prior, and more than reached once the mean of the first is
    q = pool(UNIFORM, [exactly(f[0], 1.0), Wanted(follows, 0.3, np.inf)])
    np.testing.assert_allclose(q, pool(UNIFORM, [exactly(f[0], 1.0)]), rtol=1e-9)


def test_an_end_that_another_view_breaks_is_held_at_the_nearer_one():
    f = numbers(4)
    follows = f[0] + 0.2 * f[1]
    q = pool(UNIFORM, [exactly(f[0], 1.0), Wanted(follows, -np.inf, 0.8)])
    assert q @ follows == pytest.approx(0.8, abs=1e-9)
    assert q @ f[0] == pytest.approx(1.0, abs=1e-9)


@given(st.permutations(range(30)), st.floats(-0.5, 0.5), st.floats(0.2, 0.6))
def test_the_order_of_paths_is_nothing_and_weights_sum_to_one(order, mean, share):
    f = numbers(7, rows=2, n=30)
    tail = (f[1] > 0).astype(float)
    wanted = [exactly(f[0], mean), exactly(tail, share)]
    q = pool(np.full(30, 1 / 30), wanted)
    shuffled = pool(np.full(30, 1 / 30), [exactly(each.values[order], each.low) for each in wanted])
    np.testing.assert_allclose(q[order], shuffled, rtol=1e-7, atol=1e-12)
    assert (q >= 0).all()
    assert q.sum() == pytest.approx(1, abs=1e-12)


def test_paths_without_weight_keep_none():
    f = numbers(8, rows=1)
    prior = np.where(np.arange(N) % 2, 2 / N, 0.0)
    q = pool(prior, [exactly(f[0], 0.7)])
    assert (q[::2] == 0).all()
    assert q @ f[0] == pytest.approx(0.7, abs=1e-10)


def test_a_mean_beyond_all_paths_is_refused_with_what_can_be_attained():
    f = numbers(9, rows=1)
    with pytest.raises(NotAttained) as refused:
        pool(UNIFORM, [exactly(f[0], 9.0)])
    assert (refused.value.place, refused.value.low, refused.value.high) == (0, f[0].min(), f[0].max())


def test_the_first_of_several_that_cannot_be_had_beside_those_before_it_is_named():
    f = numbers(10)
    wanted = [exactly(f[1], 0.1), exactly(f[0], -0.3), exactly(f[0], 0.3), exactly(f[2], 0.0)]
    with pytest.raises(NotAttained) as refused:
        pool(UNIFORM, wanted)
    assert refused.value.place == 2
    assert (refused.value.low, refused.value.high) == pytest.approx((-0.3, -0.3), abs=1e-9)


def test_a_number_that_never_varies_can_only_be_what_it_is():
    with pytest.raises(NotAttained) as refused:
        pool(UNIFORM, [exactly(np.full(N, 0.3), 0.4)])
    assert (refused.value.low, refused.value.high) == pytest.approx((0.3, 0.3))
