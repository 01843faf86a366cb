"""one_blas_thread: one thread inside, what was there before outside, also after a mistake."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from scenario_gen.generators.filtered import fit_garch
from scenario_gen.market import load_candles
from scenario_gen.pipeline import sample
from scenario_gen.progress import one_blas_thread


def threads() -> set[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_linear_algebra_has_one_thread_inside_and_its_own_number_after() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        with one_blas_thread():
            assert threads() == {1}
        assert threads() == before
        with pytest.raises(RuntimeError, match="stop"), one_blas_thread():
            raise RuntimeError("stop")
        assert threads() == before


def test_the_fit_of_a_garch_model_does_not_hang_on_the_number_of_threads() -> None:
    fits = []
    for count in (1, 2):
        with threadpool_limits(limits=count, user_api="blas"):
            fits.append(fit_garch(load_candles("sp500"), asymmetric=False, most=1000))
    assert fits[0].filtered.recursion == fits[1].filtered.recursion  # to the last bit


def test_a_block_of_kronos_paths_does_not_hang_on_the_number_of_threads() -> None:
    """Workers have fewer threads than one process alone, and must make the same paths."""
    before, context = torch.get_num_threads(), load_candles("sp500").context(64)
    blocks = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            blocks.append(sample(context, horizon=2, paths=64, model="nano", seed=7).values)
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(*blocks)  # to the last bit
