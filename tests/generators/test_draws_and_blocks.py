"""Per-path random numbers and blocks: a path is the same whatever is asked for around it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st
from scipy import stats

from scenario_gen.generators.draws import Draws, plan_blocks, stream_uniforms

ids = st.integers(0, 2**40)


@given(st.integers(0, 2**63 - 1), st.lists(ids, min_size=1, max_size=6, unique=True), st.randoms())
def test_a_paths_numbers_do_not_depend_on_the_paths_around_it(seed: int, path_ids: list[int], rng: object) -> None:
    together = Draws(seed, np.array(path_ids)).uniforms(7, 2)
    for row, path_id in enumerate(path_ids):
        assert np.array_equal(together[row], Draws(seed, np.array([path_id])).uniforms(7, 2)[0])


def test_every_stream_is_that_of_a_new_philox_with_its_key_and_counter() -> None:
    drawn = stream_uniforms(2**63 - 1, np.array([0, 3, 2**40]), 11, (0, 0, 3, 92))
    for row, path_id in zip(drawn, (0, 3, 2**40), strict=True):
        key = np.array([2**63 - 1, path_id], dtype=np.uint64)
        assert np.array_equal(row, np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 3, 92])).random(11))


@given(st.integers(0, 1000), st.integers(1, 40), st.integers(1, 40))
def test_a_longer_horizon_keeps_the_beginning(seed: int, short: int, more: int) -> None:
    draws = Draws.block(seed, 5, 3)
    assert np.array_equal(draws.uniforms(short, 2), draws.uniforms(short + more, 2)[:, :short])


def test_another_seed_and_another_path_give_other_numbers() -> None:
    a = Draws.block(1, 0, 50).uniforms(20, 2)
    assert not np.isin(Draws.block(2, 0, 50).uniforms(20, 2), a).any()
    assert len(np.unique(a)) == a.size


def test_the_numbers_are_uniform_and_uncorrelated_across_paths() -> None:
    u = Draws.block(3, 0, 4000).uniforms(8, 2).reshape(4000, 16)
    # Kolmogorov-Smirnov on 64,000 numbers at a fixed seed: false alarm 1e-3
    assert stats.kstest(u.ravel(), "uniform").pvalue > 1e-3
    correlation = np.corrcoef(u.T)[np.triu_indices(16, 1)]
    # 120 correlations of standard error 1/sqrt(4000); five of those: false alarm below 1e-4
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)


@given(st.integers(1, 5000), st.integers(1, 600))
def test_blocks_cover_every_path_once_and_are_all_of_full_size(count: int, size: int) -> None:
    blocks = plan_blocks(count, size)
    assert [i for b in blocks for i in range(b.start, b.start + b.take)] == list(range(count))
    assert all(b.size == size and 1 <= b.take <= size for b in blocks)
    assert [b.index for b in blocks] == list(range(len(blocks)))
