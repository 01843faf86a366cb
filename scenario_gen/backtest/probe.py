"""The causality probe: whether a strategy decides today by what only tomorrow knows.

A decision at the close of a bar may depend on that path's bars up to then, and on nothing else. So the future
after many cuts is replaced by another one, and every decision up to the cut must stay the same to the last
bit; the other paths are replaced, and a path's own decisions must stay; and the same question asked twice must
be answered alike. A single differing bit is a proof, whatever the market; no difference on these paths is
none, but the cuts cover context and path, and half of the futures are wild.

A rule that seldom speaks has nothing to change on most paths. So some hundred paths are surveyed first, and the
future is also replaced right after bars at which something was said there: entries, exits and sizes each have cuts
of their own. A strategy that never enters on any of those paths cannot be told from one that looks ahead.

All comparisons are between answers to bars of one shape, since sums of floats may round by how many there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import Floats, Ints
from scenario_gen.backtest.answers import Decisions, changed, decide
from scenario_gen.backtest.book import AnyGround, AnyPaths
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.strategy import Bars
from scenario_gen.backtest.survey import frames_of, survey, width_of
from scenario_gen.errors import StrategyError
from scenario_gen.market.book import BookPaths
from scenario_gen.market.candles import chain, log_steps
from scenario_gen.market.paths import PathSet

PRICES = ("open", "high", "low", "close")
MIRRORED = [0, 2, 1, 3]  # high and low change places

WILDER = 3.0  # the wild future's volatility, in that of the bars it replaces
VOLUME = 10.0  # and its volume
STEP = 0.5  # its drift per bar, in standard deviations of a bar; up in one column, down in the next
FARTHEST = math.log(5.0)  # what the drift adds up to, at most
SURVEY = 0x5E  # keeps the choice of bars apart from every other use of the same seed
LEAST_SPREAD = 1e-3  # standard deviation to work with where no price moves


@dataclass(frozen=True)
class Futures:
    """Bars taken apart, ready to be continued otherwise after any bar."""

    prices: Floats  # float64 [price, bar, column], open, high, low, close; the assets of a path stand together
    volume: Floats | None  # float64 [bar, column]; None where there is none

    @classmethod
    def of(cls, bars: Bars) -> Futures:
        """Take the arrays out of frames."""
        prices = np.stack([getattr(bars, name).to_numpy(dtype=np.float64) for name in PRICES])
        return cls(prices, None if bars.volume is None else bars.volume.to_numpy(dtype=np.float64))

    def replaced(self, cuts: Ints, wild: NDArray[np.bool_], rng: np.random.Generator) -> Futures:
        """Return the same bars up to each path's cut, and other bars after it, in all of its columns.

        The others are those of the next path, from another time on; ``wild`` ones are mirrored, three times
        as volatile and ten times as heavily traded, and they drift far from the level at the cut.

        Args:
            cuts: int64 [path], the last bar to keep; at least 0.
            wild: bool [path].
            rng: chooses times and noise.
        """
        _, bars, columns = self.prices.shape
        width = columns // len(cuts)
        cuts, wild = np.repeat(cuts, width), np.repeat(wild, width)
        steps = log_steps(self.prices.T).T  # [price, bar - 1, column]
        donor = np.roll(np.arange(columns), -width)
        rows = (np.arange(bars - 1)[:, None] + rng.integers(1, max(2, bars - 1), columns)) % (bars - 1)
        other = steps[:, rows, donor]
        other = np.where(wild, self._wild(other, rng), other)
        late = np.arange(1, bars)[:, None] > cuts  # [bar - 1, column]
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

CUTS = 48  # half of them in the context, half on the path
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
    cuts: int = 0  # how often the future was replaced, half of the time by a wild one
    paths: int = 0  # how many paths were cut
    surveyed: int = 0  # how many paths were looked at for bars where something is said
    # at how many of those bars the future was cut, by what was said: "entries begin", "exits begin", "sold", ...
    turns: Mapping[str, int] = field(default_factory=dict)
    silent: tuple[str, ...] = ()  # what it never says on the paths looked at, which is not probed: ``exits``, ...


def probe_causality(
    strategy: LoadedStrategy, ground: AnyGround, paths: AnyPaths, *, cuts: int = CUTS, seed: int = 0
) -> CausalityProbe:
    """Look for decisions that depend on later bars, on other paths or on chance.

    Args:
        strategy: whom to probe; it is asked once for each 128 paths of the survey, and five times about some hundred
            columns of bars.
        ground: the real bars before the paths, and the account that a ``portfolio`` strategy is given.
        paths: some generated bars; the first 512 paths are surveyed, as far as needed. Of several assets the future
            of all is replaced at once: a decision on one may hang on what the others did before.
        cuts: after how many bars to replace the future, spread evenly over the context and evenly over the path,
            beside those where something is said.
        seed: of the other futures, and of which bars are chosen.

    Raises:
        StrategyError: the strategy raised on the bars as they are, or returned something unusable.
    """
    total = len(ground.context) + paths.horizon
    if len(paths) == 0 or total < 3:
        return CausalityProbe("UNTESTABLE", reason=f"{len(paths)} paths of {total} bars are too few to probe")
    rng = np.random.default_rng([SURVEY, seed])
    seen = survey(strategy, ground, paths)
    wide = total * (len(paths.assets) if isinstance(paths, BookPaths) else 1)
    source, ends, turns = seen.columns(_even_cuts(len(ground.context), total, cuts), wide, rng)
    trial = _Trial(strategy, frames_of(ground, _copies(paths, source)), ground.broker, seed)
    told: dict[str, Any] = {
        "cuts": len(ends),
        "paths": len(np.unique(source)),
        "surveyed": seen.paths,
        "turns": turns,
        "silent": seen.silent,
    }
    before = trial.ask(trial.futures, judged=True)
    try:
        leaks = trial.leaks(before, ends)
    except StrategyError as error:
        return CausalityProbe("UNTESTABLE", reason=f"the strategy fails on replaced bars: {error.problem}", **told)
    if not leaks and not seen.enters:
        reason = f"the strategy never enters on the {seen.paths} paths looked at: no decision to hold a future against"
        return CausalityProbe("UNTESTABLE", reason=reason, **told)
    named = tuple(leak.named(trial.bars, paths.path_ids[source]) for leak in map(trial.farther, leaks))
    return CausalityProbe("FAIL" if named else "PASS", named, **told)


def _even_cuts(context: int, total: int, cuts: int) -> Ints:
    """Return half of the cuts evenly over the context's bars, half over the path's, increasing, int64 [cut]."""
    past, future = (np.linspace(*ends, (cuts + 1) // 2) for ends in ((1, context - 1), (context, total - 2)))
    return np.unique(np.clip(np.concatenate([past, future]).round().astype(np.int64), 1, total - 2))


# --- The same bars again and again, with something replaced each time ---


@dataclass(frozen=True)
class _Found:
    """A leak in rows and columns of the trial's bars."""

    kind: Kind
    field: str
    row: int
    column: int
    cut: int | None = None

    def named(self, bars: Bars, path_ids: NDArray[np.int64]) -> Leak:
        return Leak(
            kind=self.kind,
            field=self.field,
            bar=self.row - bars.context_bars,
            timestamp=bars.close.index[self.row],
            path=int(path_ids[self.column // width_of(bars)]),
            cut=None if self.cut is None else self.cut - bars.context_bars,
            reach=0 if self.cut is None else self.cut - self.row + 1,
        )


class _Trial:
    """One strategy before the same bars again and again, with something replaced each time."""

    def __init__(self, strategy: LoadedStrategy, bars: Bars, broker: Broker, seed: int) -> None:
        self.strategy, self.bars, self.broker, self.seed = strategy, bars, broker, seed
        self.futures = Futures.of(bars)
        self.width = width_of(bars)  # columns of a path
        self.paths = bars.close.shape[1] // self.width

    def leaks(self, before: Decisions, cuts: Ints) -> list[_Found]:
        """Return an example of every kind of leak."""
        again = self.ask(self.futures)
        if chance := _first(changed(before, again), "not deterministic"):
            return [chance]  # what else differs may be chance
        across = self._other_paths(before)
        # With other paths in play, a column may change by another column's earlier cut: cut all at once then.
        rounds = [cuts] if across is None else [np.full_like(cuts, cut) for cut in np.unique(cuts)]
        ahead = [self._look_ahead(before, self.ask(self.replaced(ends)), ends) for ends in rounds]
        far = [leak for leak in ahead if leak is not None]
        farthest = max(far, key=lambda leak: (leak.cut or 0) - leak.row, default=None)
        return [leak for leak in (across, farthest) if leak is not None]

    def farther(self, leak: _Found) -> _Found:
        """Return a look-ahead with the latest cut that still changes its decision; any other leak as it is.

        All paths are its own, and each of them keeps more of it.
        """
        bars = len(self.bars)
        if leak.cut is None:
            return leak
        path, asset = divmod(leak.column, self.width)
        alone = np.tile(path * self.width + np.arange(self.width), self.paths)
        volume = None if self.futures.volume is None else self.futures.volume[:, alone]
        copies = _Trial(
            self.strategy, _framed(Futures(self.futures.prices[:, :, alone], volume), self.bars), self.broker, self.seed
        )
        ends = leak.row + np.arange(self.paths, dtype=np.int64) * (bars - 1 - leak.row) // self.paths
        try:
            after = changed(copies.ask(copies.futures), copies.ask(copies.replaced(ends)))[leak.field][leak.row]
        except StrategyError:
            return leak
        cut = max([leak.cut, *ends[after[asset :: self.width]].tolist()])
        return replace(leak, kind=_kind_of(cut - leak.row + 1, bars), cut=cut)

    def ask(self, futures: Futures, *, judged: bool = False) -> Decisions:
        return decide(self.strategy, _framed(futures, self.bars), self.broker, judged=judged)

    def replaced(self, cuts: Ints) -> Futures:
        wild = np.arange(len(cuts)) % 2 == 1
        return self.futures.replaced(cuts, wild, np.random.default_rng(self.seed))

    def _other_paths(self, before: Decisions) -> _Found | None:
        """Replace every second path: the paths beside them must not notice."""
        rng, anywhere = np.random.default_rng(self.seed), np.full(self.paths, self.bars.context_bars - 1)
        other = self.futures.replaced(np.maximum(anywhere, 0), np.ones(self.paths, dtype=bool), rng)
        for parity in (0, 1):
            touched = np.repeat(np.arange(self.paths) % 2 == parity, self.width)
            after = self.ask(_mixed(other, self.futures, touched))
            masks = {name: mask & ~touched for name, mask in changed(before, after).items()}
            if across := _first(masks, "reads other paths"):
                return across
        return None

    def _look_ahead(self, before: Decisions, after: Decisions, cuts: Ints) -> _Found | None:
        """Return the change that lies farthest before its cut."""
        rows, cuts = np.arange(len(self.bars))[:, None], np.repeat(cuts, self.width)
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
        return _Found(_kind_of(reach_seen, len(self.bars)), name, row, column, int(cuts[column]))


def _kind_of(reach: int, bars: int) -> Kind:
    return "reads the whole sample" if reach > WHOLE * bars else "reads the next bars"


def _first(masks: dict[str, NDArray[np.bool_]], kind: Kind) -> _Found | None:
    """Return the earliest change among all fields."""
    found = []
    for name, mask in masks.items():
        if mask.any():
            row, column = (int(place) for place in np.argwhere(mask)[0])
            found.append(_Found(kind, name, row, column))
    return min(found, key=lambda leak: leak.row, default=None)


def _copies(paths: AnyPaths, source: Ints) -> AnyPaths:
    """Return path ``source[number]`` as path of each number, whose name is its number."""
    if isinstance(paths, BookPaths):
        return BookPaths({name: _copied(part, source) for name, part in paths.parts.items()})
    return _copied(paths, source)


def _copied(paths: PathSet, source: Ints) -> PathSet:
    return PathSet(
        values=paths.values[source],
        fields=paths.fields,
        timestamps=paths.timestamps,
        path_ids=np.arange(len(source), dtype=np.int64),
        anchor_close=paths.anchor_close,
    )


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
