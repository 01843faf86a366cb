"""Where a strategy says something: some hundred paths are looked at for the bars that a probe must not miss.

Owns what counts as saying something, and which bars of which paths a trial of the causality probe shows. Knows
decisions as arrays; knows neither money nor what is asked at those bars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest.account import Ints
from scenario_gen.backtest.answers import ORDER_FIELDS, Decisions, decide, is_idle
from scenario_gen.backtest.book import AnyGround, AnyPaths, BookGround, book_bars
from scenario_gen.backtest.engine import CHUNK_CELLS, bars_of
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.strategy import Bars
from scenario_gen.market.book import BookPaths
from scenario_gen.market.paths import PathSet

SURVEYED = 512  # paths that are looked at, at most
AT_ONCE = 128  # of them; the next ones are looked at while something is still said too seldom
TURNS = 24  # cuts for each thing that is said: as many bars at which it is, or so many futures of fewer bars
WISHES = ("entries", "exits", "short_entries", "short_exits", "weights")


@dataclass(frozen=True, eq=False)
class Survey:
    """The bars at which a strategy says something else than at the bar before."""

    context: int  # bars before the paths
    paths: int  # how many were looked at
    enters: bool  # whether anything is wanted at any bar that another one follows
    # what is said ("entries begin") -> int64 [turn, 2], bar (context and path) and place of the path; sorted. A bar of
    # the context, which is the same on every path, is there once.
    turns: Mapping[str, Ints]
    silent: tuple[str, ...] = ()  # what it might say and never does on these paths: ``exits``, ``short_entries``, ...

    def columns(self, cuts: Ints, bars: int, rng: np.random.Generator) -> tuple[Ints, Ints, dict[str, int]]:
        """Choose what the columns of a trial show: which path, and after which bar another future begins.

        Each even cut gets two columns, on paths where something is said wherever there are any; then each thing
        that is said gets columns of its own, cut right there.

        Args:
            cuts: int64 [cut].
            bars: of context and path, of all assets, which bound how many paths are held in memory.
            rng: chooses among the bars.

        Returns:
            Places of paths and last bars kept, int64 [column] each; at how many bars each thing is cut.
        """
        spoken = np.unique(np.concatenate([np.empty((0, 2), dtype=np.int64), *self.turns.values()])[:, 1])
        among = spoken if len(spoken) else np.arange(self.paths)
        even = np.repeat(cuts, 2)
        picked = among[(np.arange(len(cuts)) * len(among) // len(cuts))]  # spread over them
        room = max(CHUNK_CELLS // bars - len(even), 0) // max(len(self.turns), 1)
        most = min(TURNS, max(room // 2 * 2, 2))
        chosen = {name: _spread(turns, most, self.context, rng) for name, turns in self.turns.items()}
        at = np.concatenate([np.column_stack([even, np.repeat(rng.permutation(picked), 2)]), *chosen.values()])
        return at[:, 1], at[:, 0], {name: len(np.unique(turns, axis=0)) for name, turns in chosen.items()}


def frames_of(ground: AnyGround, paths: AnyPaths, chunk: slice = slice(None)) -> Bars:
    """Return context and paths as a strategy sees them, of one asset or of several."""
    if isinstance(ground, BookGround) and isinstance(paths, BookPaths):
        return book_bars(ground, paths.select(paths.path_ids[chunk]))
    if isinstance(ground, Ground) and isinstance(paths, PathSet):
        return bars_of(ground, paths, chunk)
    raise TypeError(f"a {type(ground).__name__} with a {type(paths).__name__}")


def width_of(bars: Bars) -> int:
    """Return how many columns a path has: as many as there are assets."""
    return max(1, len(bars.assets))


def survey(strategy: LoadedStrategy, ground: AnyGround, paths: AnyPaths) -> Survey:
    """Ask a strategy about more and more paths until all that it says is said at 24 bars, or 512 are seen.

    Raises:
        StrategyError: the strategy raised, or returned something unusable.
    """
    some = paths.first(SURVEYED)
    at_once = min(AT_ONCE, max(1, CHUNK_CELLS // (len(ground.context) + paths.horizon)))
    turns: dict[str, Ints] = {}
    said: dict[str, bool] = {}
    enters, looked = False, 0
    for start in range(0, len(some), at_once):
        chunk = slice(start, start + at_once)
        bars = frames_of(ground, some, chunk)
        decisions = decide(strategy, bars, ground.broker)
        enters |= not is_idle({name: values[:-1] for name, values in decisions.items()})
        for name in set(WISHES) & {name for name, values in decisions.items() if not np.isnan(values).all()}:
            said[name] = said.get(name, False) or bool(np.nan_to_num(decisions[name][:-1]).any())
        for name, mask in turns_of(decisions).items():
            of_paths = mask.reshape(len(mask), -1, width_of(bars)).any(axis=2)  # whichever asset it is said of
            at = np.argwhere(of_paths) + np.array([1, looked])
            turns[name] = np.concatenate([turns[name], at]) if name in turns else at
        looked = min(chunk.stop, len(some))
        if enters and all(len(_told_apart(at, len(ground.context))) >= TURNS for at in turns.values()):
            break
    apart = {name: _told_apart(at, len(ground.context)) for name, at in turns.items()}
    silent = tuple(name for name in WISHES if said.get(name) is False)
    return Survey(len(ground.context), looked, enters, {name: at for name, at in apart.items() if len(at)}, silent)


def turns_of(decisions: Decisions) -> dict[str, NDArray[np.bool_]]:
    """Return where what is said differs from the bar before, bool [bar - 2, column], second bar to last but one.

    A wish (a flag, a weight) begins, from nothing or from the other side, ends, or moves; an order is bought or sold;
    of sizes and stops any change is one. After the last bar nothing can be replaced.
    """
    found: dict[str, NDArray[np.bool_]] = {}
    for name, values in decisions.items():
        before, now = (np.nan_to_num(values[rows]) for rows in (slice(None, -2), slice(1, -1)))
        if name == ORDER_FIELDS[0]:
            found |= {"bought": now > 0, "sold": now < 0}
        elif name in WISHES and not np.isnan(values).all():  # all missing: the strategy has no such side
            begins = (now != 0) & (np.sign(now) != np.sign(before))
            ends = (now == 0) & (before != 0)
            found |= {f"{name} begin": begins, f"{name} end": ends, name: (now != before) & ~begins & ~ends}
        elif name not in ORDER_FIELDS:
            found[name] = now != before
    return {name: mask for name, mask in found.items() if mask.any() or " " in name or name in ("bought", "sold")}


def _told_apart(at: Ints, context: int) -> Ints:
    """Return turns [turn, 2] by bar and path, each bar of the context once."""
    at = at[np.lexsort((at[:, 1], at[:, 0]))]
    again = (at[1:, 0] == at[:-1, 0]) & (at[1:, 0] < context)
    return at[~np.concatenate([[False], again])] if len(at) else at


def _spread(at: Ints, most: int, context: int, rng: np.random.Generator) -> Ints:
    """Return so many turns [turn, 2], the same again where there are fewer.

    Half of the weight lies on all turns alike, half on the bars of the path alike: a rule that looks ahead late in a
    path, where it seldom speaks, has cuts there too.
    """
    mixed = at[np.lexsort((rng.random(len(at)), at[:, 0]))]  # any path of a bar
    bars, place, count = np.unique(mixed[:, 0], return_inverse=True, return_counts=True)
    ahead = bars >= context
    weight = 1 / len(at) + (ahead / count)[place] / max(ahead.sum(), 1)
    reached = np.cumsum(weight) / weight.sum()
    return np.asarray(mixed[np.searchsorted(reached, (np.arange(most) + 0.5) / most)])
