"""Adaptive multilevel splitting on whole paths: honest probabilities of events too rare to wait for.

Paths are scored bar by bar. The worst half is killed again and again; each dead path is begun anew as the branch of a
survivor, from the first bar at which that one was above the level of the kill. What is killed keeps the weight that it
died with, so that all paths together describe the whole law of the generator, and the share of weight in the event is
its probability, without bias for any score, number of paths and share killed, if ties are killed too (Brehier, Gazeau,
Goudenege, Lelievre and Rousset 2016, "Unbiasedness of some generalized adaptive multilevel splitting algorithms",
Annals of Applied Probability 26(6)). An island is one such population; islands are independent.

Owns the algorithm, its random numbers, the names of its paths and who descends from whom. Knows walks and scores; not
what an event is, nor how islands are summed up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scenario_gen.errors import CheckError
from scenario_gen.generators.base import Walk
from scenario_gen.generators.walks import sample_walk
from scenario_gen.market.paths import Floats

Ints = NDArray[np.int64]

SLOT_BITS, GENERATION_BITS = 16, 16  # of a path's number: island, generation, slot
MOST_SLOTS, MOST_GENERATIONS = 2**SLOT_BITS, 2 ** (GENERATION_BITS - 1)
PATHS, CHOICES = 0, 1  # what a stream of random numbers is for
SAME = 1e-9  # scores of one past that differ by more were read from the future


@dataclass(frozen=True)
class Scored:
    """What a score says of some paths."""

    running: Floats  # [row, bar]; of bars up to and with this one; +inf from the bar on that makes the event certain
    measure: Floats  # [row]; what the event asks about, larger is further
    happened: NDArray[np.bool_]  # [row]; only where the running score is +inf at some bar


class Score(Protocol):
    """How near paths are to an event, at each bar."""

    def __call__(self, values: NDArray[np.float32]) -> Scored:
        """Score whole paths [row, bar, field]; what is said at a bar must depend on no later one."""


@dataclass(frozen=True)
class Plan:
    """How an island is run."""

    slots: int = 512  # paths at a time
    kill: float = 0.5  # share killed at a level, at least
    most_levels: int = 60


# --- Names and random numbers ---


@dataclass(frozen=True)
class IslandDraws:
    """The uniforms of an island: functions of (seed, scenario, island), slot, generation, bar and place in the bar."""

    seed: int
    scenario: str
    island: int

    def uniforms(self, slots: Ints, generations: Ints, bars: int, per_bar: int) -> Floats:
        """Return those of some paths, each from bar 0 on: [path, bar, per_bar] in [0, 1)."""
        out = np.empty((len(slots), bars, per_bar))
        for row, (slot, generation) in enumerate(zip(slots, generations, strict=True)):
            out[row] = self._stream(PATHS, int(generation), int(slot)).random((bars, per_bar))
        return out

    def choices(self, generation: int, slots: Ints) -> Floats:
        """Return one uniform per slot, by which a dead path of this generation chooses its parent."""
        drawn = self._stream(CHOICES, generation, 0).random(int(slots.max()) + 1)
        return np.asarray(drawn[slots])

    def _stream(self, purpose: int, generation: int, slot: int) -> np.random.Generator:
        """Counter-based Philox (Salmon et al. 2011), 2^64 numbers apart for each purpose, generation and slot."""
        words = hashlib.sha256(f"{self.scenario}/{self.island}".encode()).digest()[:8]
        key = np.array([self.seed, int.from_bytes(words, "little")], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=[0, purpose, generation, slot]))


def path_ids(island: int, owners: Ints) -> Ints:
    """Return the numbers of an island's paths from slot and generation, packed: see :func:`owner`."""
    return np.asarray(np.int64(island << (SLOT_BITS + GENERATION_BITS)) | owners)


def owner(slots: Ints, generation: int) -> Ints:
    """Return slot and generation in one number: who drew a bar."""
    return np.asarray(np.int64(generation << SLOT_BITS) | slots)


def slots_of(numbers: Ints) -> Ints:
    """Return the slots of numbers of paths, or of owners."""
    return np.asarray(numbers & (MOST_SLOTS - 1))


def generations_of(numbers: Ints) -> Ints:
    """Return the generations of numbers of paths, or of owners."""
    return np.asarray((numbers >> SLOT_BITS) & (2**GENERATION_BITS - 1))


def island_of(number: int) -> int:
    """Return the island of a path's number."""
    return number >> (SLOT_BITS + GENERATION_BITS)


def path_name(number: int) -> str:
    """Return what a path is called: ``i3.s17.g9`` is slot 17 of island 3, begun anew in generation 9."""
    island, ids = island_of(number), np.array([number], dtype=np.int64)
    return f"i{island}.s{int(slots_of(ids)[0])}.g{int(generations_of(ids)[0])}"


def path_number(name: str) -> int:
    """Return the number of a path from its name.

    Raises:
        ValueError: it is no such name.
    """
    parts = [(part[:1], part[1:]) for part in name.split(".")]
    if [letter for letter, _ in parts] != ["i", "s", "g"] or not all(digits.isdecimal() for _, digits in parts):
        raise ValueError(f"got {name!r}, expected a path like i3.s17.g9: island, slot and generation")
    island, slot, generation = (int(digits) for _, digits in parts)
    if slot >= MOST_SLOTS or generation >= MOST_GENERATIONS:
        raise ValueError(f"got {name!r}, expected a slot below {MOST_SLOTS} and a generation below {MOST_GENERATIONS}")
    return int(path_ids(island, owner(np.array([slot], dtype=np.int64), generation))[0])


# --- What an island leaves ---


@dataclass(frozen=True)
class Killing:
    """One level: everything at or below it was killed."""

    level: float  # the score
    killed: int  # paths


@dataclass(frozen=True, eq=False)
class Island:
    """One population at its end: the last of each slot, then the dead in the order in which they died."""

    index: int
    slots: int
    values: NDArray[np.float32]  # [path, bar, field]
    owners: Ints  # [path, bar]: slot and generation that drew the bar; equal ones are one bar of one path
    names: Ints  # [path]: slot and generation of the path itself
    weights: Floats  # [path], which sum to 1
    measure: Floats  # [path]
    happened: NDArray[np.bool_]  # [path]
    levels: tuple[Killing, ...]
    extinct: bool  # whether the last level would have killed everything
    unfinished: bool  # whether it was given up after the most levels
    tied: float  # share of the first paths that had the most frequent score of them
    bar_steps: int  # bars sampled

    @property
    def probability(self) -> float:
        """The weight of the paths in the event."""
        return float(self.weights[self.happened].sum())

    @property
    def path_ids(self) -> Ints:
        """Numbers of the paths [path]."""
        return path_ids(self.index, self.names)

    def lineage(self, row: int) -> list[tuple[int, int, int]]:
        """Return (slot, generation, first bar) of each stretch of a path, the last one its own."""
        return lineage_of(self.owners[row], int(self.names[row]))


def lineage_of(owners: Ints, name: int) -> list[tuple[int, int, int]]:
    """Return (slot, generation, first bar) of each stretch of a path, from the owner of each bar and its own name."""
    starts = np.concatenate(([0], np.flatnonzero(np.diff(owners)) + 1))
    held = [(int(owners[bar]), int(bar)) for bar in starts]
    if held[-1][0] != name:  # a branch from the last bar has none of its own
        held.append((name, len(owners)))
    numbers = np.array([number for number, _ in held], dtype=np.int64)
    return [
        (int(slot), int(generation), bar)
        for slot, generation, (_, bar) in zip(slots_of(numbers), generations_of(numbers), held, strict=True)
    ]


# --- The algorithm ---


@dataclass(eq=False)
class _Population:
    """An island on its way."""

    walk: Walk
    score: Score
    draws: IslandDraws
    slots: Ints
    owners: Ints  # [slot, bar]
    names: Ints  # [slot]
    scored: Scored
    weight: float  # of each living path
    archive: list[tuple[NDArray[np.float32], Ints, Ints, Floats, Floats, NDArray[np.bool_]]] = field(
        default_factory=list
    )
    levels: list[Killing] = field(default_factory=list)
    bar_steps: int = 0

    def bury(self, dead: Ints, level: float) -> None:
        """Put the dead into the archive with the weight that they died with, and lighten the others."""
        weights = np.full(len(dead), self.weight)
        now = self.scored
        self.archive.append(
            (
                self.walk.values[dead].copy(),
                self.owners[dead],
                self.names[dead],
                weights,
                now.measure[dead],
                now.happened[dead],
            )
        )
        self.levels.append(Killing(level, len(dead)))
        self.weight *= 1.0 - len(dead) / len(self.slots)

    def branch(self, dead: Ints, level: float) -> None:
        """Begin each dead path anew: as a survivor up to the bar at which it was first above the level."""
        generation, bars = len(self.levels), self.owners.shape[1]
        alive = np.setdiff1d(self.slots, dead)
        parents = alive[(self.draws.choices(generation, dead) * len(alive)).astype(np.int64)]
        upto = np.argmax(self.scored.running[parents] > level, axis=1) + 1
        self.walk.fork(parents, dead, upto)
        uniforms = self.draws.uniforms(dead, np.full(len(dead), generation), bars, self.walk.per_bar)
        for bar in range(int(upto.min()), bars):
            going = upto <= bar
            self.walk.step(bar, dead[going], uniforms[going, bar])
        self.bar_steps += int((bars - upto).sum())
        kept = np.arange(bars) < upto[:, None]  # [dead, bar]
        if not np.array_equal(self.walk.values[dead][kept], self.walk.values[parents][kept], equal_nan=True):
            raise AssertionError("a branch does not have the bars of its parent")
        self.names[dead] = owner(dead, generation)
        self.owners[dead] = np.where(kept, self.owners[parents], self.names[dead, None])
        self._score_anew(dead, parents, kept)

    def _score_anew(self, dead: Ints, parents: Ints, kept: NDArray[np.bool_]) -> None:
        fresh, old = scored(self.score, self.walk.values[dead], self.draws.island, self.names[dead]), self.scored
        _refuse_looking_ahead(fresh.running[kept], old.running[parents][kept])
        old.running[dead], old.measure[dead], old.happened[dead] = fresh.running, fresh.measure, fresh.happened

    def ended(self, *, extinct: bool, unfinished: bool, tied: float) -> Island:
        """Return the living and the dead."""
        living = np.full(len(self.slots), self.weight)
        last = (self.walk.values, self.owners, self.names, living, self.scored.measure, self.scored.happened)
        joined = [np.concatenate(column) for column in zip(last, *self.archive, strict=True)]
        values, owners, names, weights, measure, happened = joined
        return Island(
            index=self.draws.island,
            slots=len(self.slots),
            values=values,
            owners=owners,
            names=names,
            weights=weights,
            measure=measure,
            happened=happened,
            levels=tuple(self.levels),
            extinct=extinct,
            unfinished=unfinished,
            tied=tied,
            bar_steps=self.bar_steps,
        )


def run_island(
    walk: Walk, bars: int, score: Score, draws: IslandDraws, plan: Plan, heard: Callable[[int], None] | None = None
) -> Island:
    """Run one island to its end.

    Args:
        walk: as many rows as the plan has slots, before their first bar.
        bars: of a path.
        score: how near paths are to the event.
        draws: of the island.
        plan: how it is run.
        heard: hears of bar-steps as they are done.

    Raises:
        CheckError: a score is no number, or looks ahead.
    """
    slots = np.arange(plan.slots, dtype=np.int64)
    sample_walk(walk, draws.uniforms(slots, np.zeros_like(slots), bars, walk.per_bar))
    first = scored(score, walk.values, draws.island, slots)
    best = first.running.max(axis=1)
    tied = float(np.unique(best, return_counts=True)[1].max() / len(slots))
    owners = np.repeat(slots[:, None], bars, axis=1)
    population = _Population(walk, score, draws, slots, owners, slots.copy(), first, 1.0 / len(slots))
    population.bar_steps = plan.slots * bars
    place = max(1, int(plan.kill * plan.slots)) - 1
    extinct = unfinished = False
    told = 0
    while True:
        if heard is not None:
            heard(population.bar_steps - told)
            told = population.bar_steps
        best = population.scored.running.max(axis=1)
        level = float(np.partition(best, place)[place])
        if np.isposinf(level):
            break
        dead = np.flatnonzero(best <= level)  # those that tie with the worst too: without them the estimate is biased
        extinct, unfinished = len(dead) == plan.slots, len(population.levels) == plan.most_levels
        if extinct or unfinished:
            break
        population.bury(dead, level)
        population.branch(dead, level)
        if not (population.scored.running.max(axis=1) > level).all():  # what makes the estimate unbiased
            raise AssertionError("a path at or below the level was left alive")
    return population.ended(extinct=extinct, unfinished=unfinished, tied=tied)


def scored(score: Score, values: NDArray[np.float32], island: int, names: Ints) -> Scored:
    """Score paths, and refuse what is no number.

    Raises:
        CheckError: with the path and the bar.
    """
    found = score(values)
    bad = np.isnan(found.running)
    if bad.any():
        row, bar = (int(place) for place in np.argwhere(bad)[0])
        name = path_name(int(path_ids(island, names[row : row + 1])[0]))
        raise CheckError(
            f"the score of path {name} is not a number at bar {bar + 1}",
            expected="positive prices and a score at every bar",
            fix="look at that path: a generator that leaves the positive numbers cannot be split",
        )
    return found


def _refuse_looking_ahead(fresh: Floats, old: Floats) -> None:
    """Raise where bars that did not change have another score than before."""
    with np.errstate(invalid="ignore"):  # inf less inf, which the first comparison has seen
        same = (fresh == old) | (np.abs(fresh - old) <= SAME * np.maximum(1.0, np.abs(old)))
    if not same.all():
        raise CheckError(
            "the score of a bar changed when later bars changed: it looks ahead, and paths branched at it would give "
            "a wrong probability",
            expected="a score that depends on the bars so far",
            fix="see the finding look_ahead, or set sampler.method: rejection",
        )


def replay(walk: Walk, draws: IslandDraws, lineage: list[tuple[int, int, int]], bars: int) -> NDArray[np.float32]:
    """Return the bars [bar, field] of one path, made anew and alone from its lineage.

    Args:
        walk: one row, before its first bar.
        draws: of the island.
        lineage: (slot, generation, first bar) of each stretch.
        bars: of the path.
    """
    row = np.zeros(1, dtype=np.int64)
    ends = [start for _, _, start in lineage[1:]] + [bars]
    for (slot, generation, start), end in zip(lineage, ends, strict=True):
        uniforms = draws.uniforms(np.array([slot]), np.array([generation]), bars, walk.per_bar)
        for bar in range(start, end):
            walk.step(bar, row, uniforms[:, bar])
    return np.asarray(walk.values[0])
