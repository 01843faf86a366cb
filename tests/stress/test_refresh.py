"""Refreshed suffixes against exact truths, also by scores that read the whole path at once, and replayed alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from scenario_gen.generators.walks import ChainWalk
from scenario_gen.market.paths import Floats
from scenario_gen.stress.exceedance import standard_error
from scenario_gen.stress.splitting import Island, IslandDraws, Plan, Score, Scored, replay, run_island
from scenario_gen.stress.unsplit import FirstRows, rejuvenated, run_refreshed, whole

BARS, STEP = 30, 0.01


def _coins(rows: int) -> ChainWalk:
    """One step up or down per bar."""

    def next_bar(state: Floats, uniforms: Floats) -> tuple[Floats, Floats | None, Floats]:
        return np.repeat(np.where(uniforms < 0.5, STEP, -STEP), 4, axis=1), None, state

    level, values = np.zeros((rows, BARS + 1)), np.zeros((rows, BARS, 4), dtype=np.float32)
    return ChainWalk(next_bar, 1, 100.0, values, level, np.zeros((rows, BARS + 1)))


def _end(values: np.ndarray) -> np.ndarray:
    return np.rint(np.log(values[:, -1, 3].astype(np.float64) / 100.0) / STEP)


def _clairvoyant(target: int) -> Score:
    """The last level, told at every bar: no score to split on."""

    def score(values: np.ndarray) -> Scored:
        end = _end(values)
        running = np.where(end >= target, np.inf, end)
        return Scored(np.repeat(running[:, None], values.shape[1], axis=1), end, end >= target)

    return score


def _islands(count: int, target: int, slots: int = 128) -> list[Island]:
    return [
        run_refreshed(_coins(2 * slots), BARS, _clairvoyant(target), IslandDraws(3, "refresh", at), Plan(slots))
        for at in range(count)
    ]


@pytest.fixture(scope="module")
def islands() -> list[Island]:
    return _islands(16, 16)


def test_a_score_that_looks_ahead_finds_the_binomial_probability(islands: list[Island]) -> None:
    truth = float(binom.sf(22, 30, 0.5))  # S >= 16 means 23 or more of 30 steps up
    found = np.array([island.probability for island in islands])
    # Four standard errors with 15 degrees of freedom: a false alarm in a thousand at fixed seeds. The bias of levels
    # that come from the same paths is of the order of 1 / 128, far below the error.
    assert truth == pytest.approx(2.6e-3, rel=0.05)
    assert abs(found.mean() - truth) < 4 * standard_error(found)
    assert standard_error(found) < 0.25 * truth


def test_the_whole_law_comes_out_of_the_weights(islands: list[Island]) -> None:
    for level in (0, 4, 8, 12):
        found = np.array([float(island.weights[island.measure >= level].sum()) for island in islands])
        truth = float(binom.sf((30 + level) // 2 - 1, 30, 0.5))
        assert abs(found.mean() - truth) < 4 * standard_error(found), level
    assert all(island.weights.sum() == pytest.approx(1.0) for island in islands)


def test_every_path_has_a_name_of_its_own_and_is_replayed_alone(islands: list[Island]) -> None:
    island = islands[0]
    assert len(island.levels) > 2
    assert len(np.unique(island.names)) == len(island.names)
    for row in (0, 5, 60, 127, len(island.names) - 1):
        alone = replay(_coins(1), IslandDraws(3, "refresh", 0), island.lineage(row), BARS)
        assert np.array_equal(alone, island.values[row])


def test_paths_of_the_event_differ_from_one_another(islands: list[Island]) -> None:
    """Without moves the survivors of six levels would be copies of a few."""
    inside = islands[0].values[:128, :, 3]
    assert len(np.unique(inside, axis=0)) > 32


def test_the_same_seed_gives_the_same_bits() -> None:
    first, again = (_islands(1, 12, slots=32)[0] for _ in range(2))
    assert np.array_equal(first.values, again.values)
    assert np.array_equal(first.weights, again.weights)


def test_an_unreachable_event_is_extinct() -> None:
    island = _islands(1, 31, slots=64)[0]
    assert island.extinct
    assert island.probability == 0.0


def test_the_score_of_a_whole_path_is_its_highest() -> None:
    scored = Scored(np.array([[1.0, 3.0, 2.0], [0.0, np.inf, 1.0]]), np.zeros(2), np.zeros(2, dtype=np.bool_))
    assert whole(scored).tolist() == [3.0, np.inf]


def _highest(target: int) -> Score:
    """The highest level so far, for splitting."""

    def score(values: np.ndarray) -> Scored:
        highest = np.maximum.accumulate(np.rint(np.log(values[..., 3].astype(np.float64) / 100.0) / STEP), axis=1)
        return Scored(np.where(highest >= target, np.inf, highest), highest[:, -1], highest[:, -1] >= target)

    return score


def test_moves_within_the_event_part_paths_that_splitting_left_alike_and_change_no_weight() -> None:
    walk, draws, score = _coins(256), IslandDraws(3, "refresh", 1), _highest(14)
    split = run_island(FirstRows(walk, 128), BARS, score, draws, Plan(128))
    before = [np.unique(split.values[:128, bar, 3]).size for bar in (25, 29)]
    moved = rejuvenated(split, walk, score, draws, sweeps=3)
    assert moved.probability == split.probability
    assert np.array_equal(moved.weights, split.weights)
    assert np.array_equal(moved.happened, split.happened)
    assert np.array_equal(moved.values[128:], split.values[128:])
    assert len(np.unique(moved.names)) == len(moved.names)
    assert len(np.unique(moved.values[:128, :, 3], axis=0)) > len(np.unique(split.values[:128, :, 3], axis=0))
    assert [np.unique(moved.values[:128, bar, 3]).size for bar in (25, 29)] >= before
    for row in (0, 50, 127):
        assert np.array_equal(replay(_coins(1), draws, moved.lineage(row), BARS), moved.values[row])


def test_moves_within_the_event_leave_its_law_as_it_is() -> None:
    """The level at the end, given that the highest came to 8: reflected, E[S | M >= 8] by counting."""
    ends = 2 * np.arange(BARS + 1) - BARS
    chance = binom.pmf(np.arange(BARS + 1), BARS, 0.5)
    mirrored = np.where(ends >= 8, chance, np.interp(16 - ends, ends, chance, left=0, right=0))
    truth = float(mirrored @ ends / mirrored.sum())
    found = []
    for at in range(16):
        walk, draws, score = _coins(256), IslandDraws(3, "law", at), _highest(8)
        split = run_island(FirstRows(walk, 128), BARS, score, draws, Plan(128))
        moved = rejuvenated(split, walk, score, draws, sweeps=2)
        assert np.array_equal(moved.happened, split.happened)
        found.append(float(_end(moved.values[moved.happened]).mean()))
    # four standard errors with 15 degrees of freedom: one false alarm in a thousand
    assert abs(np.mean(found) - truth) < 4 * standard_error(np.array(found))
