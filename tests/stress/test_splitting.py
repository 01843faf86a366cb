"""Splitting against exact truths (reflected walks, Lindley's recursion), brute force, and with planted defects."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import binom, t as student

from scenario_gen.errors import CheckError
from scenario_gen.generators.walks import ChainWalk, sample_walk
from scenario_gen.market.paths import Floats
from scenario_gen.stress import splitting
from scenario_gen.stress.event import Event
from scenario_gen.stress.events import Outset, score_of
from scenario_gen.stress.exceedance import standard_error
from scenario_gen.stress.splitting import Island, IslandDraws, Plan, Score, Scored, path_name, path_number, replay

BARS, SIGMA = 60, 0.01
MOST_APART = 4.0  # standard errors, of islands: with 15 and more freedom one false alarm in a thousand, at fixed seeds


def _walk(
    rows: int, bars: int, next_return: Callable[[Floats, Floats], tuple[Floats, Floats]], state: float
) -> ChainWalk:
    """A walk of closes alone, from a law of the return and of what decides the next."""

    def next_bar(now: Floats, uniforms: Floats) -> tuple[Floats, Floats | None, Floats]:
        returns, after = next_return(now, uniforms[:, 0])
        return np.repeat(returns[:, None], 4, axis=1), None, after

    values, level = np.zeros((rows, bars, 4), dtype=np.float32), np.zeros((rows, bars + 1))
    return ChainWalk(next_bar, 1, 100.0, values, level, np.full((rows, bars + 1), state))


def _coin(state: Floats, uniforms: Floats) -> tuple[Floats, Floats]:
    """One step of SIGMA up or down."""
    return np.where(uniforms < 0.5, SIGMA, -SIGMA), state


def _gauss(state: Floats, uniforms: Floats) -> tuple[Floats, Floats]:
    return SIGMA * ndtri(np.maximum(uniforms, 1e-300)), state


TOKENS = student.ppf((np.arange(246) + 0.5) / 246, 6) / np.sqrt(1.5)  # of variance near 1


def _token_garch(variance: Floats, uniforms: Floats) -> tuple[Floats, Floats]:
    """GARCH(1, 1) of persistence .95 whose innovations are 246 tokens of a t with 6 degrees of freedom."""
    returns = np.sqrt(variance) * TOKENS[(uniforms * 246).astype(np.int64)]
    return returns, 0.05 * SIGMA**2 + 0.10 * returns**2 + 0.85 * variance


def _highest(target: float) -> Score:
    """The highest level so far, in whole steps: a score on which most paths tie."""

    def score(values: np.ndarray) -> Scored:
        level = np.rint(np.log(values[..., 3].astype(np.float64) / 100.0) / SIGMA)
        highest = np.maximum.accumulate(level, axis=1)
        running = np.where(highest >= target, np.inf, highest)
        return Scored(running, highest[:, -1], highest[:, -1] >= target)

    return score


def _drawdown(at_least: float) -> Score:
    return score_of(Event(functional="max_drawdown", at_least=at_least), Outset(100.0, SIGMA**2, BARS, 252))


def _islands(
    count: int,
    plan: Plan,
    score: Score,
    law: Callable[[Floats, Floats], tuple[Floats, Floats]],
    *,
    bars: int = BARS,
    state: float = 0.0,
    module: ModuleType = splitting,
) -> list[Island]:
    return [
        module.run_island(_walk(plan.slots, bars, law, state), bars, score, IslandDraws(3, "a test", at), plan)
        for at in range(count)
    ]


def _apart(islands: list[Island], truth: float) -> float:
    """How many standard errors the mean of islands is from the truth."""
    found = np.array([island.probability for island in islands])
    return float((found.mean() - truth) / standard_error(found))


# --- Exact truths ---


def _reflected(bars: int, target: int) -> float:
    """P(the highest of a fair walk >= target) = P(S >= target) + P(S > target): the reflection principle."""
    ends = 2 * np.arange(bars + 1) - bars
    chance = binom.pmf(np.arange(bars + 1), bars, 0.5)
    return float(chance[ends >= target].sum() + chance[ends > target].sum())


def _lindley(target: float, cells: int = 800) -> float:
    """P(a Gaussian walk falls by ``target`` from its highest within BARS): the fall is a Markov chain, killed there."""
    edges = np.linspace(0.0, target, cells + 1)
    places = np.concatenate(([0.0], (edges[:-1] + edges[1:]) / 2))
    reach = ndtr((edges - places[:, None]) / SIGMA)  # [from, edge]
    chain = np.concatenate((reach[:, :1], np.diff(reach, axis=1)), axis=1)
    state = np.eye(1, cells + 1)[0]
    for _ in range(BARS):
        state = state @ chain
    return float(1.0 - state.sum())


LATTICE = {"count": 24, "plan": Plan(128), "bars": 40}


def test_a_lattice_score_with_ties_gives_the_reflected_walks_probability() -> None:
    truth = _reflected(40, 20)
    assert _reflected(2, 1) == 0.5  # two steps reach 1 if the first one is up
    assert abs(_apart(_islands(score=_highest(20), law=_coin, **LATTICE), truth)) < MOST_APART  # type: ignore[arg-type]


TIES = ("np.flatnonzero(best <= level)", "np.flatnonzero(best < level)")
EARLY = (
    "np.argmax(self.scored.running[parents] > level, axis=1) + 1",
    "np.argmax(self.scored.running[parents] > level, axis=1)",
)
UNWATCHED = ("if not (population.scored.running.max(axis=1) > level).all():", "if False:")


def _planted(*changes: tuple[str, str]) -> ModuleType:
    """The module with some lines changed."""
    source = inspect.getsource(splitting)
    for right, wrong in changes:
        assert source.count(right) == 1
        source = source.replace(right, wrong)
    planted = ModuleType(splitting.__name__)
    exec(compile(source, splitting.__file__, "exec"), planted.__dict__)
    return planted


@pytest.mark.parametrize("defect", [TIES, EARLY], ids=["ties survive", "branched one bar before the crossing"])
def test_an_island_with_a_planted_defect_stops_itself(defect: tuple[str, str]) -> None:
    with pytest.raises(AssertionError, match="at or below the level was left alive"):
        _islands(score=_highest(20), law=_coin, module=_planted(defect), **LATTICE)  # type: ignore[arg-type]


def test_the_lattice_sees_that_branching_one_bar_early_is_biased() -> None:
    islands = _islands(score=_highest(20), law=_coin, module=_planted(EARLY, UNWATCHED), **LATTICE)  # type: ignore[arg-type]
    assert _apart(islands, _reflected(40, 20)) < -MOST_APART


@pytest.mark.parametrize(("drawdown", "truth"), [(0.228, 9.964e-4), (0.262, 9.934e-5)])
def test_drawdowns_of_a_gaussian_walk_are_as_probable_as_lindleys_recursion_says(drawdown: float, truth: float) -> None:
    exact = _lindley(-np.log1p(-drawdown))
    assert exact == pytest.approx(truth, rel=0.03)  # published for .2592 and .3040 log units, rounded to a per mille
    assert abs(_apart(_islands(16, Plan(256), _drawdown(drawdown), _gauss), exact)) < MOST_APART


def test_drawdowns_of_a_token_garch_are_as_probable_as_brute_force_says() -> None:
    score, many, hits = _drawdown(0.24), 20_000, []
    for chunk in range(4):
        uniforms = np.random.default_rng([7, chunk]).random((many, BARS, 1))
        values = sample_walk(_walk(many, BARS, _token_garch, SIGMA**2), uniforms)
        hits.append(float(score(values).happened.mean()))
    brute = np.array(hits)
    assert 5e-4 < brute.mean() < 5e-3
    islands = _islands(16, Plan(256), score, _token_garch, state=SIGMA**2)
    found = np.array([island.probability for island in islands])
    error = np.hypot(standard_error(found), standard_error(brute))
    assert abs(found.mean() - brute.mean()) < MOST_APART * error


def test_all_paths_together_describe_the_whole_law() -> None:
    islands = _islands(10, Plan(256), _drawdown(0.3), _gauss)
    for level in (0.05, 0.10, 0.15, 0.20, 0.25):
        found = np.array([float(island.weights[island.measure >= level].sum()) for island in islands])
        # float32 prices move a drawdown by 1e-7: no path's place changes
        assert abs(found.mean() - _lindley(-np.log1p(-level))) < MOST_APART * standard_error(found)
    assert all(island.weights.sum() == pytest.approx(1.0, abs=1e-12) for island in islands)


# --- What an island is made of ---


def test_the_same_seed_gives_the_same_bits_and_more_islands_change_none() -> None:
    few, more = (_islands(count, Plan(64), _drawdown(0.2), _gauss) for count in (2, 3))
    for first, again in zip(few, more, strict=False):
        assert np.array_equal(first.values, again.values)
        assert np.array_equal(first.weights, again.weights)
        assert np.array_equal(first.path_ids, again.path_ids)
    assert len(np.unique(np.concatenate([island.path_ids for island in more]))) == sum(len(x.weights) for x in more)


def test_every_path_is_replayed_alone_from_its_lineage() -> None:
    island = _islands(1, Plan(64), _drawdown(0.22), _token_garch, state=SIGMA**2)[0]
    assert len(island.levels) > 3
    for row in (0, 17, 40, 63, len(island.weights) - 1):
        alone = replay(_walk(1, BARS, _token_garch, SIGMA**2), IslandDraws(3, "a test", 0), island.lineage(row), BARS)
        assert np.array_equal(alone, island.values[row])
    assert max(len(island.lineage(row)) for row in range(64)) > 2


def test_paths_are_named_by_island_slot_and_generation() -> None:
    islands = _islands(4, Plan(64), _drawdown(0.15), _gauss)
    names = [path_name(int(number)) for number in islands[3].path_ids]
    assert names[-1].startswith("i3.s")
    assert "i3.s0.g0" in names
    assert [path_number(name) for name in names] == islands[3].path_ids.tolist()
    for wrong in ("17", "i3.s17", "i3.s99999.g1", "s17.i3.g9", "i3.s17.gx"):
        with pytest.raises(ValueError, match=r"island, slot and generation|a slot below"):
            path_number(wrong)


def test_an_unreachable_event_is_extinct_and_has_no_probability() -> None:
    island = _islands(1, Plan(64), _highest(500), _coin, bars=10)[0]
    assert island.extinct
    assert island.probability == 0.0
    assert island.weights.sum() == pytest.approx(1.0)


def test_the_most_levels_end_an_island_and_are_told() -> None:
    island = _islands(1, Plan(64, most_levels=2), _drawdown(0.3), _gauss)[0]
    assert island.unfinished
    assert len(island.levels) == 2


def test_a_score_on_which_all_tie_says_so() -> None:
    def flat(values: np.ndarray) -> Scored:
        return Scored(np.zeros(values.shape[:2]), np.zeros(len(values)), np.zeros(len(values), dtype=np.bool_))

    island = _islands(1, Plan(64), flat, _coin)[0]
    assert island.tied == 1.0
    assert island.extinct


def test_a_score_that_looks_ahead_is_refused() -> None:
    def clairvoyant(values: np.ndarray) -> Scored:
        end = -np.log(values[:, -1:, 3].astype(np.float64) / 100.0)
        running = np.repeat(end, values.shape[1], axis=1)
        return Scored(np.where(running > 0.3, np.inf, running), end[:, 0], end[:, 0] > 0.3)

    with pytest.raises(CheckError, match=r"(?s)it looks ahead.*rejection"):
        _islands(1, Plan(64), clairvoyant, _gauss)


def test_a_score_that_is_no_number_names_the_path_and_the_bar() -> None:
    def broken(state: Floats, uniforms: Floats) -> tuple[Floats, Floats]:
        return np.where(uniforms < 0.001, np.nan, SIGMA * (0.5 - uniforms)), state

    with pytest.raises(CheckError, match=r"path i0\.s\d+\.g0 is not a number at bar \d+"):
        _islands(1, Plan(256), _drawdown(0.1), broken)
