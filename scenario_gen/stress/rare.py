"""The probability of an event under one generator: plain paths first, islands where those are too few, and the sum.

Owns which way is taken, when enough islands are run, what is kept of each, and the result with everything that lets a
reader doubt it: error, descent, the plain paths beside the islands. Knows generators and scores; writes no file and
judges nothing (:mod:`scenario_gen.stress.verdicts`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.generators.base import Generator, Walk, sample_blocks
from scenario_gen.generators.walks import ChainWalk, start_walk
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import Floats, PathSet
from scenario_gen.stats.estimate import Estimate
from scenario_gen.stress.event import Event, Sampler
from scenario_gen.stress.events import BarScore
from scenario_gen.stress.exceedance import (
    CurvePoint,
    Level,
    counted_probability,
    curve_of,
    island_probability,
    levels_of,
    plain_curve,
    relative_error,
    weights_of,
)
from scenario_gen.stress.splitting import Ints, Island, IslandDraws, Killing, Plan, Score, run_island, scored, slots_of
from scenario_gen.stress.unsplit import FirstRows, rejuvenated, run_forced_island, run_refreshed

PLAIN_HITS = 100  # plain paths in the event that make islands needless: the error is then a tenth
LED_ALIKE, PILOT = 100.0, 2**14  # stories that led paths are as many as, at least; an island that is none of the run
MOST_EXTINCT = 0.2  # share of islands that may end without reaching the event

Method = Literal["splitting", "rejection"]


@dataclass(frozen=True)
class Asked:
    """What is sampled: a generator on its context, over a horizon, with the seed and the name of a scenario."""

    generator: Generator
    context: Candles
    timestamps: pd.DatetimeIndex  # of the bars to come
    seed: int
    scenario: str

    def plain_paths(self, count: int, block: int) -> Iterator[PathSet]:
        """Yield so many plain paths in blocks: those that a scenario without an event would have."""
        return sample_blocks(self.generator, self.context, self.timestamps, seed=self.seed, count=count, size=block)

    def plain(self, count: int, block: int, score: Score, heard: Callable[[int], None] = lambda _: None) -> PlainRun:
        """Score so many plain paths."""
        parts = []
        for paths in self.plain_paths(count, block):
            parts.append(scored(score, paths.values, 0, paths.path_ids))
            heard(len(paths))
        measure, happened = (np.concatenate([getattr(x, name) for x in parts]) for name in ("measure", "happened"))
        return PlainRun(measure.tolist(), np.flatnonzero(happened).tolist())

    def island(self, index: int, score: Score, sampler: Sampler, heard: Callable[[int], None] | None = None) -> Island:
        """Run one island.

        Raises:
            DataError: the generator cannot be branched, or refuses the context.
            CheckError: a score is no number, or looks ahead.
        """
        if isinstance(score, BarScore) and sampler.method != "refresh":
            key = (self.scenario, self.seed, sampler.island)
            if key not in score.led:
                pilot = self._led_island(PILOT, score, sampler)
                score.led[key] = pilot is not None and _alike(pilot) * sampler.islands[0] >= LED_ALIKE
            if score.led[key] and (island := self._led_island(index, score, sampler)) is not None:
                return island
        draws, bars, plan = IslandDraws(self.seed, self.scenario, index), len(self.timestamps), _plan(sampler)
        moved = sampler.method == "refresh" or sampler.sweeps > 0
        walk = self._walk(2 * plan.slots if moved else plan.slots)  # as many rows again for proposals
        if sampler.method == "refresh":
            return run_refreshed(walk, bars, score, draws, plan)
        island = run_island(FirstRows(walk, plan.slots), bars, score, draws, plan, heard)
        return rejuvenated(island, walk, score, draws, sampler.sweeps) if moved else island

    def _walk(self, rows: int) -> Walk:
        return start_walk(self.generator, self.context, self.timestamps, rows, self.seed)

    def _led_island(self, index: int, score: BarScore, sampler: Sampler) -> Island | None:
        """Return an island of paths led into the bar that is asked for; None where the law of a bar is not known."""
        walk = self._walk(sampler.island)
        if not isinstance(walk, ChainWalk) or walk.tail is None:
            return None
        sign, bound = score.tail
        draws = IslandDraws(self.seed, self.scenario, index)
        return run_forced_island(walk, walk.tail(sign), len(self.timestamps), score, draws, bound)

    def paths_of(self, island: Island) -> PathSet:
        """Return an island as a path set, with the weight, island and first ancestor of each path."""
        return PathSet(
            values=island.values,
            fields=self.context.fields[: island.values.shape[-1]],
            timestamps=self.timestamps,
            path_ids=island.path_ids,
            anchor_close=float(self.context.close[-1]),
            provenance={"generator": str(self.generator.identity.get("kind", "")), "seed": self.seed},
            counts={
                "island": np.full(len(island.weights), island.index, dtype=np.int64),
                "root": slots_of(island.owners[:, 0]),
            },
            weights=island.weights,
        )


@dataclass(frozen=True, eq=False)
class Case:
    """An event whose probability is asked in a scenario, and what plain paths say of it already."""

    asked: Asked
    event: Event
    sampler: Sampler
    score: Score
    plain: PlainRun

    @property
    def method(self) -> Method:
        """How it is sampled."""
        return method_of(self.sampler, self.plain)


@dataclass(frozen=True)
class PlainRun:
    """What plain paths say of an event."""

    measure: list[float]  # of each path
    inside: list[int]  # numbers of the paths in the event

    @property
    def hits(self) -> int:
        """How many paths are in the event."""
        return len(self.inside)


def method_of(sampler: Sampler, plain: PlainRun) -> Method:
    """Return how an event is to be sampled: plain paths where enough of them show it."""
    if sampler.method == "auto":
        return "rejection" if plain.hits >= PLAIN_HITS else "splitting"
    return "rejection" if sampler.method == "rejection" else "splitting"


def _plan(sampler: Sampler) -> Plan:
    return Plan(sampler.island, sampler.kill)


# --- What is kept of an island ---


def _alike(island: Island) -> float:
    """Return as many stories as the paths of an island in the event are, each of a beginning of its own."""
    inside = island.weights[island.happened]
    return float(inside.sum() ** 2 / (inside**2).sum()) if inside.any() else 0.0


@dataclass(frozen=True, eq=False)
class IslandRecord:
    """An island without its bars."""

    index: int
    slots: int
    ids: Ints  # [path]
    roots: Ints  # [path]: slot of the first ancestor
    weights: Floats  # [path], which sum to 1
    measure: Floats  # [path]
    happened: NDArray[np.bool_]  # [path]
    owners: NDArray[np.int32]  # [path, bar]: who drew each bar, from which a path's lineage is read
    levels: tuple[Killing, ...]
    extinct: bool
    unfinished: bool
    tied: float
    bar_steps: int

    @classmethod
    def of(cls, island: Island) -> IslandRecord:
        """Leave the bars behind."""
        return cls(
            index=island.index,
            slots=island.slots,
            ids=island.path_ids,
            roots=slots_of(island.owners[:, 0]),
            weights=island.weights,
            measure=island.measure,
            happened=island.happened,
            owners=island.owners.astype(np.int32),
            levels=island.levels,
            extinct=island.extinct,
            unfinished=island.unfinished,
            tied=island.tied,
            bar_steps=island.bar_steps,
        )

    @property
    def probability(self) -> float:
        """The weight of the paths in the event."""
        return float(self.weights[self.happened].sum())

    def beyond(self, level: float) -> float:
        """Return the weight of the paths whose measure comes to a level."""
        return float(self.weights[self.measure >= level].sum())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is stored as arrays."""
        return {f"{PREFIX}{name}": getattr(self, name) for name in _ARRAYS}

    def notes(self) -> dict[str, Any]:
        """Return what is stored as JSON."""
        levels = [[level.level, level.killed] for level in self.levels]
        return {**{name: getattr(self, name) for name in _NOTES}, "levels": levels}

    @classmethod
    def stored(cls, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> IslandRecord:
        """Build it from what was stored."""
        levels = tuple(Killing(float(level), int(killed)) for level, killed in notes["levels"])
        own: dict[str, Any] = {name: arrays[f"{PREFIX}{name}"] for name in _ARRAYS}
        return cls(levels=levels, **own, **{name: notes[name] for name in _NOTES})


_ARRAYS = ("ids", "roots", "weights", "measure", "happened", "owners")
PREFIX = "event_"
ISLAND_ARRAYS = tuple(f"{PREFIX}{name}" for name in _ARRAYS)  # as they are stored
_NOTES = ("index", "slots", "extinct", "unfinished", "tied", "bar_steps")


def stopped(records: Sequence[IslandRecord], sampler: Sampler, plain_steps: int) -> str:
    """Return why no more islands are run, or nothing where another one is.

    Args:
        records: of the islands so far.
        sampler: how many are run.
        plain_steps: bars of the plain paths, which the budget is counted in.
    """
    fewest, most = sampler.islands
    if len(records) < fewest:
        return ""
    if relative_error(np.array([record.probability for record in records])) <= sampler.relative_error:
        return "the error asked for is reached"
    if len(records) >= most:
        return "the most islands are run"
    if sum(record.bar_steps for record in records) >= sampler.budget * plain_steps:
        return "the budget is spent"
    return ""


# --- The result ---


@dataclass(frozen=True)
class Genealogy:
    """Who the paths in the event descend from."""

    paths: int  # in the event
    roots: int  # first ancestors that have a descendant there
    alike: float  # as many independent stories of equal weight
    shared: float  # mean share of the horizon that two paths of one island have in common
    together: float  # bars that all of an island have in common, the mean over islands


@dataclass(frozen=True)
class Sampled:
    """The probability of an event under one generator."""

    method: Method
    probability: Estimate
    plain: Estimate  # by the plain paths alone
    relative_error: float | None  # of the probability; None where it is unknown
    islands: int = 0
    extinct: int = 0
    unfinished: int = 0
    tied: float = 0.0  # largest share of an island's first paths that had one and the same score
    stopped: str = ""  # why no more islands were run
    paths: int = 0  # all that describe the law
    cost: float = 0.0  # bars sampled, over those of the plain paths
    gain: float | None = None  # bars that plain paths would need for the same error, over those that islands took
    levels: list[Level] = field(default_factory=list)
    curve: list[CurvePoint] = field(default_factory=list)
    genealogy: Genealogy | None = None
    refreshed: bool = False  # whether islands moved whole paths instead of branching them: see sampler.method


def by_rejection(plain: PlainRun) -> Sampled:
    """Return what plain paths alone say."""
    count = len(plain.measure)
    share = counted_probability(plain.hits, count)
    error = math.sqrt((1 - plain.hits / count) / plain.hits) if plain.hits else None
    return Sampled("rejection", share, share, error, paths=count, cost=1.0, curve=plain_curve(plain.measure))


def by_splitting(records: Sequence[IslandRecord], plain: PlainRun, bars: int, why: str) -> Sampled:
    """Sum islands up.

    Args:
        records: of the islands.
        plain: what plain paths say.
        bars: of a path.
        why: no more islands were run.
    """
    of_islands = np.array([record.probability for record in records])
    error = relative_error(of_islands)
    centre, steps = float(of_islands.mean()), sum(record.bar_steps for record in records)
    known = math.isfinite(error)
    needed = bars * (1 - centre) / centre / error**2 if known and error > 0 else None
    return Sampled(
        method="splitting",
        probability=island_probability(of_islands),
        plain=counted_probability(plain.hits, len(plain.measure)),
        relative_error=error if known else None,
        islands=len(records),
        extinct=sum(record.extinct for record in records),
        unfinished=sum(record.unfinished for record in records),
        tied=max(record.tied for record in records),
        stopped=why,
        paths=sum(len(record.weights) for record in records),
        cost=steps / (bars * len(plain.measure)),
        gain=None if needed is None else needed / steps,
        levels=levels_of(records),
        curve=curve_of(records, plain.measure),
        genealogy=genealogy(records),
    )


def genealogy(records: Sequence[IslandRecord]) -> Genealogy | None:
    """Return who the paths in the event descend from; None where no path is."""
    hit = np.concatenate([record.happened for record in records])
    if not hit.any():
        return None
    weights = weights_of(records)
    inside = [record for record in records if record.happened.any()]
    shares = [_shared(record.owners[record.happened]) for record in inside]
    roots = sum(len(np.unique(record.roots[record.happened])) for record in inside)
    return Genealogy(
        paths=int(np.count_nonzero(hit)),
        roots=roots,
        alike=weights.alike(hit),
        shared=float(np.mean([share for share, _ in shares])),
        together=float(np.mean([bars for _, bars in shares])),
    )


def _shared(owners: NDArray[np.int32]) -> tuple[float, int]:
    """Return the mean share of bars that two of some paths have in common, and how many bars all of them have."""
    paths, bars = owners.shape
    if paths < 2:
        return 0.0, 0
    counts = [np.unique(owners[:, bar], return_counts=True)[1] for bar in range(bars)]
    pairs = sum(int((count * (count - 1)).sum()) for count in counts)
    return pairs / (paths * (paths - 1) * bars), sum(len(count) == 1 for count in counts)


def islands_of(
    asked: Asked, sampler: Sampler, score: Score, plain: PlainRun, heard: Callable[[int], None] = lambda _: None
) -> Iterator[Island]:
    """Yield islands until no more are wanted; each is heard of.

    Raises:
        DataError: the generator cannot be branched, or refuses the context.
        CheckError: a score is no number, or looks ahead.
    """
    records = list[IslandRecord]()
    while not stopped(records, sampler, len(plain.measure) * len(asked.timestamps)):
        island = asked.island(len(records), score, sampler)
        records.append(IslandRecord.of(island))
        heard(1)
        yield island


def summed_up(records: Sequence[IslandRecord], sampler: Sampler, plain: PlainRun, bars: int) -> Sampled:
    """Return what islands say, or plain paths alone where there are none.

    Args:
        records: of the islands.
        sampler: that they were run by.
        plain: what plain paths say.
        bars: of a path.
    """
    if not records:
        return by_rejection(plain)
    found = by_splitting(records, plain, bars, stopped(records, sampler, len(plain.measure) * bars))
    return replace(found, refreshed=sampler.method == "refresh")


def sample_probability(asked: Asked, sampler: Sampler, score: Score, *, count: int, block: int) -> Sampled:
    """Return the probability of an event under one generator.

    Args:
        asked: what is sampled.
        sampler: how.
        score: how near paths are to the event.
        count: plain paths.
        block: plain paths per block.

    Raises:
        DataError: the generator cannot be branched, or refuses the context.
        CheckError: a score is no number, or looks ahead.
    """
    plain = asked.plain(count, block, score)
    split = method_of(sampler, plain) == "splitting"
    records = [IslandRecord.of(island) for island in islands_of(asked, sampler, score, plain)] if split else []
    return summed_up(records, sampler, plain, len(asked.timestamps))
