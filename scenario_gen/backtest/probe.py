"""The causality probe: whether a strategy decides today by what only tomorrow knows.

A decision at the close of a bar may depend on that path's bars up to then, and on nothing else. So the future
after many cuts is replaced by another one, and every decision up to the cut must stay the same to the last
bit; the other paths are replaced, and a path's own decisions must stay; and the same question asked twice must
be answered alike. A single differing bit is a proof, whatever the market; no difference on these paths is
none, but the cuts cover context and path, and half of the futures are wild.

All comparisons are between answers to bars of one shape, since sums of floats may round by how many there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import Floats, Ints
from scenario_gen.backtest.answers import Decisions, changed, decide, is_idle
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.engine import bars_of
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.strategy import Bars
from scenario_gen.errors import StrategyError
from scenario_gen.market.paths import PathSet
from scenario_gen.market.relative import chain, log_steps

PRICES = ("open", "high", "low", "close")
MIRRORED = [0, 2, 1, 3]  # high and low change places

WILDER = 3.0  # the wild future's volatility, in that of the bars it replaces
VOLUME = 10.0  # and its volume
STEP = 0.5  # its drift per bar, in standard deviations of a bar; up in one column, down in the next
FARTHEST = math.log(5.0)  # what the drift adds up to, at most
LEAST_SPREAD = 1e-3  # standard deviation to work with where no price moves


@dataclass(frozen=True)
class Futures:
    """Bars taken apart, ready to be continued otherwise after any bar."""

    prices: Floats  # float64 [price, bar, path], open, high, low, close
    volume: Floats | None  # float64 [bar, path]; None where there is none

    @classmethod
    def of(cls, bars: Bars) -> Futures:
        """Take the arrays out of frames."""
        prices = np.stack([getattr(bars, name).to_numpy(dtype=np.float64) for name in PRICES])
        return cls(prices, None if bars.volume is None else bars.volume.to_numpy(dtype=np.float64))

    def replaced(self, cuts: Ints, wild: NDArray[np.bool_], rng: np.random.Generator) -> Futures:
        """Return the same bars up to each column's cut, and other bars after it.

        The others are those of the next column, from another time on; ``wild`` ones are mirrored, three times
        as volatile and ten times as heavily traded, and they drift far from the level at the cut.

        Args:
            cuts: int64 [path], the last bar to keep; at least 0.
            wild: bool [path].
            rng: chooses times and noise.
        """
        _, bars, columns = self.prices.shape
        steps = log_steps(self.prices.T).T  # [price, bar - 1, path]
        donor = np.roll(np.arange(columns), -1)
        rows = (np.arange(bars - 1)[:, None] + rng.integers(1, max(2, bars - 1), columns)) % (bars - 1)
        other = steps[:, rows, donor]
        other = np.where(wild, self._wild(other, rng), other)
        late = np.arange(1, bars)[:, None] > cuts  # [bar - 1, path]
        prices = self.prices.copy()
        then = chain(np.where(late, other, 0.0).T, prices[3, cuts, np.arange(columns)]).T
        prices[:, 1:] = np.where(late, then, prices[:, 1:])
        return Futures(prices, self._volume(rows, donor, wild, late))

    def _wild(self, steps: Floats, rng: np.random.Generator) -> Floats:
        _, bars, columns = steps.shape
        spread = max(float(np.std(steps[3])), LEAST_SPREAD)
        drift = min(STEP * spread, FARTHEST / bars) * np.where(np.arange(columns) % 2, 1.0, -1.0)
        return np.asarray(-WILDER * steps[MIRRORED] + rng.normal(0.0, spread, (bars, columns)) + drift)

    def _volume(self, rows: Ints, donor: Ints, wild: NDArray[np.bool_], late: NDArray[np.bool_]) -> Floats | None:
        if self.volume is None:
            return None
        volume = self.volume.copy()
        other = self.volume[1:][rows, donor] * np.where(wild, VOLUME, 1.0)
        volume[1:] = np.where(late, other, volume[1:])
        return volume


# --- The causality probe: whether a strategy decides today by what only tomorrow knows ---


Kind: TypeAlias = Literal["not deterministic", "reads other paths", "reads the whole sample", "reads the next bars"]

PATHS = 4
CUTS = 48
WHOLE = 0.25  # who sees farther ahead than this share of all bars is said to read the whole sample


@dataclass(frozen=True)
class Leak:
    """One decision that changed and should not have."""

    kind: Kind  # what the strategy reads
    field: str  # the field of its answer (``entries``, ``size``, ``weights``, ...; of a portfolio, ``order size``)
    bar: int  # the first bar whose decision changed, from 0 at the path's first; negative in the context
    timestamp: pd.Timestamp  # the same bar's stamp
    path: int  # id of the path that shows it
    cut: int | None = None  # the last bar left as it was, where later bars were replaced; else None
    reach: int = 0  # how many bars ahead are read, as far as seen; 0 where no later bar was replaced

    def __str__(self) -> str:
        causes = {
            "not deterministic": "differs when the same bars are shown twice",
            "reads other paths": "changes with the bars of other paths",
        }
        cause = causes.get(self.kind, f"changes with bars up to {self.reach} later")
        place = f"bar {self.bar}" if self.bar >= 0 else f"context bar {self.bar}"
        return f"{self.kind}: {self.field} at {self.timestamp} ({place}), path {self.path}, {cause}"


@dataclass(frozen=True)
class CausalityProbe:
    """What the probe saw of one strategy."""

    label: Literal["PASS", "FAIL", "UNTESTABLE"]  # FAIL with the leaks; UNTESTABLE with a reason; else PASS
    leaks: tuple[Leak, ...] = ()  # one example of every kind found, the gravest kind first
    reason: str = ""  # why nothing could be tested; empty otherwise
    cuts: int = 0  # after how many bars the future was replaced, each by a likely and by a wild one
    paths: int = 0  # how many paths were looked at


def probe_causality(
    strategy: LoadedStrategy, ground: Ground, paths: PathSet, *, cuts: int = CUTS, seed: int = 0
) -> CausalityProbe:
    """Look for decisions that depend on later bars, on other paths or on chance.

    Args:
        strategy: whom to probe; it is asked six times, about ``2 * cuts`` columns of bars each time.
        ground: the real bars before the paths, and the account that a ``portfolio`` strategy is given.
        paths: some generated bars; the first four paths are used.
        cuts: after how many bars to replace the future, spread evenly over context and path.
        seed: of the other futures.

    Raises:
        StrategyError: the strategy raised on the bars as they are, or returned something unusable.
    """
    total = len(ground.context) + paths.horizon
    if len(paths) == 0 or total < 3:
        return CausalityProbe("UNTESTABLE", reason=f"{len(paths)} paths of {total} bars are too few to probe")
    used = min(len(paths), PATHS)
    ends = np.repeat(np.unique(np.linspace(1, total - 2, cuts).round().astype(np.int64)), 2)  # [column]
    source = (np.arange(len(ends)) // 2) % used  # which path a column copies
    trial = _Trial(strategy, _columns(ground, paths, source), ground.broker, seed)
    before = trial.ask(trial.futures, judged=True)
    try:
        leaks, idle = trial.leaks(before, ends)
    except StrategyError as error:
        reason = f"the strategy fails on replaced bars: {error.problem}"
        return CausalityProbe("UNTESTABLE", reason=reason, cuts=len(ends) // 2, paths=used)
    if idle:
        reason = "the strategy wants nothing on any of these bars"
        return CausalityProbe("UNTESTABLE", reason=reason, cuts=len(ends) // 2, paths=used)
    named = tuple(found.leak(trial.bars, paths.path_ids[source]) for found in leaks)
    return CausalityProbe("FAIL" if named else "PASS", named, cuts=len(ends) // 2, paths=used)


@dataclass(frozen=True)
class _Found:
    """A leak in rows and columns of the trial's bars."""

    kind: Kind
    field: str
    row: int
    column: int
    cut: int | None = None

    def leak(self, bars: Bars, path_ids: NDArray[np.int64]) -> Leak:
        return Leak(
            kind=self.kind,
            field=self.field,
            bar=self.row - bars.context_bars,
            timestamp=bars.close.index[self.row],
            path=int(path_ids[self.column]),
            cut=None if self.cut is None else self.cut - bars.context_bars,
            reach=0 if self.cut is None else self.cut - self.row + 1,
        )


class _Trial:
    """One strategy before the same bars again and again, with something replaced each time."""

    def __init__(self, strategy: LoadedStrategy, bars: Bars, broker: Broker, seed: int) -> None:
        self.strategy, self.bars, self.broker, self.seed = strategy, bars, broker, seed
        self.futures = Futures.of(bars)

    def leaks(self, before: Decisions, cuts: Ints) -> tuple[list[_Found], bool]:
        """Return an example of every kind of leak, and whether nothing was ever wanted."""
        again = self.ask(self.futures)
        if found := _first(changed(before, again), "not deterministic"):
            return [found], False  # what else differs may be chance
        across, quiet = self._other_paths(before)
        # With other paths in play, a column may change by another column's earlier cut: cut all at once then.
        alone = across is None
        rounds = [cuts, self._events(before)] if alone else [np.full_like(cuts, cut) for cut in np.unique(cuts)]
        ahead: list[_Found] = []
        for ends in rounds:
            after = self.ask(self.replaced(ends))
            quiet &= is_idle(after)
            ahead += [found] if (found := self._look_ahead(before, after, ends)) else []
        farthest = max(ahead, key=lambda found: (found.cut or 0) - found.row, default=None)
        found_all = [found for found in (across, farthest) if found is not None]
        return found_all, quiet and is_idle(before) and not found_all

    def ask(self, futures: Futures, *, judged: bool = False) -> Decisions:
        return decide(self.strategy, _framed(futures, self.bars), self.broker, judged=judged)

    def replaced(self, cuts: Ints) -> Futures:
        wild = np.arange(len(cuts)) % 2 == 1
        return self.futures.replaced(cuts, wild, np.random.default_rng(self.seed))

    def _other_paths(self, before: Decisions) -> tuple[_Found | None, bool]:
        """Replace the path of every second column: the columns beside them must not notice."""
        columns = self.bars.close.shape[1]
        rng, anywhere = np.random.default_rng(self.seed), np.full(columns, self.bars.context_bars - 1)
        other = self.futures.replaced(np.maximum(anywhere, 0), np.ones(columns, dtype=bool), rng)
        quiet = True
        for parity in (0, 1):
            touched = np.arange(columns) % 2 == parity
            after = self.ask(_mixed(other, self.futures, touched))
            quiet &= is_idle(after)
            masks = {name: mask & ~touched for name, mask in changed(before, after).items()}
            if found := _first(masks, "reads other paths"):
                return found, quiet
        return None, quiet

    def _events(self, decisions: Decisions) -> Ints:
        """Return a bar per column at which its decisions are others than at the bar before, int64 [column].

        Rules that seldom speak are caught there: if what they say hangs on a later bar, it changes.
        """
        news = np.zeros(self.bars.close.shape, dtype=bool)
        for values in decisions.values():
            flat = np.nan_to_num(values)
            news[1:-1] |= flat[1:-1] != flat[:-2]
        scores = news + np.random.default_rng(self.seed).random(news.shape)  # a column without news gets any bar
        scores[[0, -1]] = -1.0
        return np.asarray(scores.argmax(axis=0), dtype=np.int64)

    def _look_ahead(self, before: Decisions, after: Decisions, cuts: Ints) -> _Found | None:
        """Return the change that lies farthest before its cut."""
        rows = np.arange(len(self.bars))[:, None]
        best: tuple[int, str, int, int] | None = None
        for name, mask in changed(before, after).items():
            early = mask & (rows <= cuts)  # [bar, column]
            if not early.any():
                continue
            reach = np.where(early.any(axis=0), cuts - early.argmax(axis=0) + 1, 0)
            column = int(reach.argmax())
            if best is None or reach[column] > best[0]:
                best = (int(reach[column]), name, int(early[:, column].argmax()), column)
        if best is None:
            return None
        reach_seen, name, row, column = best
        kind: Kind = "reads the whole sample" if reach_seen > WHOLE * len(self.bars) else "reads the next bars"
        return _Found(kind, name, row, column, int(cuts[column]))


def _first(masks: dict[str, NDArray[np.bool_]], kind: Kind) -> _Found | None:
    """Return the earliest change among all fields."""
    found = []
    for name, mask in masks.items():
        if mask.any():
            row, column = (int(place) for place in np.argwhere(mask)[0])
            found.append(_Found(kind, name, row, column))
    return min(found, key=lambda one: one.row, default=None)


def _columns(ground: Ground, paths: PathSet, source: Ints) -> Bars:
    """Return context and path of path ``source[column]`` in every column, named by its number."""
    copies = PathSet(
        values=paths.values[source],
        fields=paths.fields,
        timestamps=paths.timestamps,
        path_ids=np.arange(len(source), dtype=np.int64),
        anchor_close=paths.anchor_close,
    )
    return bars_of(ground, copies)


def _framed(futures: Futures, like: Bars) -> Bars:
    """Return arrays as bars again."""
    index, columns = like.close.index, like.close.columns
    arrays = dict(zip(PRICES, futures.prices, strict=True))
    frames = {name: pd.DataFrame(array, index=index, columns=columns) for name, array in arrays.items()}
    volume = None if futures.volume is None else pd.DataFrame(futures.volume, index=index, columns=columns)
    return Bars(**frames, volume=volume, context_bars=like.context_bars, bars_per_year=like.bars_per_year)


def _mixed(first: Futures, other: Futures, touched: NDArray[np.bool_]) -> Futures:
    """Return the columns of one where touched, else of the other."""
    volume = None
    if first.volume is not None and other.volume is not None:
        volume = np.where(touched, first.volume, other.volume)
    return Futures(np.where(touched, first.prices, other.prices), volume)
