"""Diversity test: repeated paths and paths drawn from a few windows are found, paths of one regime are not accused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks.planted import collapsed, noisy, simulate
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.controls import Relative
from scenario_gen.realism.copying import Alike, alike_pairs, distinct_share
from scenario_gen.realism.gauge import windows

HISTORY = simulate(1, 3000, np.random.default_rng(1)).candles()
WINDOWS = windows(HISTORY, 60, 15).bars
CLUSTERS = np.arange(len(WINDOWS)) // 14
FRESH = simulate(400, 60, np.random.default_rng(2)).bars
FREE = 3.0902 / np.sqrt(59)  # 99.9 % quantile of the rank correlation of 60 independent bars


def alike(paths: BarArrays) -> Alike:
    return alike_pairs(paths, WINDOWS, CLUSTERS)


def test_pairs_of_independent_paths_are_alike_as_often_as_real_windows() -> None:
    found = alike(FRESH)
    assert found.threshold == pytest.approx(FREE, abs=0.05)
    # .1 % of 79,800 pairs; pairs are uncorrelated, so the Monte Carlo error is .01 %, that of the threshold .05 %
    assert found.share == pytest.approx(0.001, abs=0.0015)


def test_the_share_is_that_of_scipys_spearman_over_all_pairs() -> None:
    some = noisy(collapsed(FRESH, 30, np.random.default_rng(3)), 0.5, np.random.default_rng(4))
    found = alike(some)
    rho = spearmanr(some.r.T).statistic[np.triu_indices(30, 1)]
    assert found.share == pytest.approx(np.mean(rho > found.threshold), abs=1e-12)


@pytest.mark.parametrize("modes", [1, 5, 40])
def test_noise_does_not_hide_how_many_windows_the_paths_come_from(modes: int) -> None:
    rng = np.random.default_rng(5)
    few = FRESH.select(np.arange(400) % modes)
    assert alike(noisy(few, 0.3, rng)).modes == pytest.approx(modes, rel=0.15)  # 1 / modes + .1 %, less a pair each
    assert distinct_share(noisy(few, 0.3, rng)) > 0.9


def test_what_all_paths_share_of_one_regime_does_not_make_them_alike() -> None:
    relative = Relative.of(FRESH)
    calming = np.linspace(5, 1, 60)  # volatility falls to a fifth in every path
    parts = (relative.g * calming, relative.b * calming, relative.hh * calming, relative.ll * calming)
    assert alike(Relative(*parts, relative.volume).onto(FRESH)).share < 0.005
    shock = relative.g.copy()
    shock[:, 20] -= 0.2  # one day on which every path falls by a fifth: Pearson's correlation is .8
    shocked = replace(relative, g=shock).onto(FRESH)
    assert np.median(np.corrcoef(shocked.r)[np.triu_indices(400, 1)]) > 0.7
    assert alike(shocked).share < 0.005


def test_only_windows_of_different_times_are_the_yardstick() -> None:
    same = np.zeros(len(WINDOWS), dtype=np.int64)
    assert alike_pairs(FRESH, WINDOWS, same).threshold == pytest.approx(FREE, rel=1e-4)
    twice = WINDOWS.select(np.repeat(np.arange(len(WINDOWS)), 2))  # repeats stay within their cluster
    assert alike_pairs(FRESH, twice, np.repeat(CLUSTERS, 2)).threshold == pytest.approx(
        alike(FRESH).threshold, abs=0.01
    )


def test_paths_that_do_not_move_are_alike_to_none_and_count_once() -> None:
    flat = np.full((50, 60), 100.0)
    still = BarArrays(flat, flat, flat, flat, None, np.full(50, 100.0))
    assert alike(still).share == 0
    assert distinct_share(still) == pytest.approx(1 / 50)


def test_distinct_paths_are_counted() -> None:
    fresh = FRESH.select(slice(0, 200))
    assert distinct_share(fresh) == 1.0
    assert distinct_share(fresh.select(np.arange(200) % 5)) == pytest.approx(5 / 200)
    near = noisy(fresh.select(np.arange(200) % 100), 0.02, np.random.default_rng(9))
    assert distinct_share(near) == pytest.approx(0.5)
