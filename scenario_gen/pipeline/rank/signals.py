"""Signals of many instruments at a date: paths sampled from each context, and what of them orders the instruments.

Every instrument has draws of its own at every date, keyed by the seed, the number of the date and its place in the
universe: common ones would order by volatility whatever the paths' mean happens to be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from scenario_gen.candles.check import mend_paths
from scenario_gen.errors import DataError
from scenario_gen.forecasts.harness import PATHS_AT_ONCE
from scenario_gen.generators.base import Generator, sample_contexts, to_be_fitted
from scenario_gen.generators.draws import Draws
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import STILL, Candles, Floats
from scenario_gen.market.paths import PathSet
from scenario_gen.pipeline.rank.universe import UniversePanel

CALENDAR_BARS = 520  # of the panel that say which days come next


def read_signal(name: str, returns: Floats) -> float:
    """Return what a signal says of the returns [path] of an instrument's paths over the horizon; NaN where nothing.

    Args:
        name: mean, median, quantile 0.1, probability_of_gain (no change counts half) or sharpe (mean over standard
            deviation of the paths).
        returns: simple returns from the context's last close.
    """
    if name == "mean":
        return float(returns.mean())
    if name == "median":
        return float(np.median(returns))
    if name == "probability_of_gain":
        return float((returns > 0).mean() + (returns == 0).mean() / 2)
    if name == "sharpe":
        spread = float(returns.std(ddof=1))
        return float(returns.mean()) / spread if spread > 0 else float("nan")
    return float(np.quantile(returns, float(name.removeprefix("quantile "))))


@dataclass(frozen=True)
class DateSignals:
    """The signals of one date."""

    date: str  # ISO
    names: list[str]  # instruments that could be ranked
    values: list[list[float]]  # of each of them, every signal
    spread: list[float]  # standard deviation of each one's paths over the horizon
    dropped: int  # paths that broke a candle rule beyond repair
    omitted: dict[str, str]  # instruments that the generator refuses, and why


@dataclass(frozen=True)
class Unit:
    """A date to be ranked."""

    number: int  # of the ranking, from 0: keys its draws
    place: int  # of the date in the panel


@dataclass(frozen=True, eq=False)
class DateWork:
    """Ranks a date; travels once to each worker."""

    generator: Generator
    panel: UniversePanel
    context: int
    horizon: int
    paths: int
    seed: int
    signals: tuple[str, ...]

    def __call__(self, unit: Unit) -> DateSignals:
        """Sample the paths of every instrument that can be ranked, and read the signals off them."""
        names, values, spread, omitted, dropped = [], [], [], {}, 0
        for number, sampled in self._sampled(unit):
            name = self.panel.names[number]
            if isinstance(sampled, str):
                omitted[name] = sampled
                continue
            kept = mend_paths(sampled)
            dropped += len(sampled) - len(kept)
            if len(kept) < 2:
                omitted[name] = f"{len(kept)} of {len(sampled)} paths are left: the others break a candle rule"
                continue
            returns = kept.column("close")[:, -1].astype(np.float64) / kept.anchor_close - 1
            names.append(name)
            values.append([read_signal(signal, returns) for signal in self.signals])
            spread.append(float(returns.std(ddof=1)))
        return DateSignals(str(self.panel.dates[unit.place]), names, values, spread, dropped, omitted)

    def key(self, unit: Unit) -> dict[str, Any]:
        """Return everything that decides the answer to a unit."""
        fitted = to_be_fitted(self.generator) is not None
        read = self.history if fitted else self.at
        places = self.panel.eligible(unit.place, self.context)
        contexts = {self.panel.names[number]: read(number, unit.place).sha256() for number in places}
        return {
            "ranking": unit.number,
            "date": str(self.panel.dates[unit.place]),
            "generator": dict(self.generator.identity),
            "contexts": contexts,
            "universe": list(self.panel.names),
            "ahead": [str(stamp) for stamp in self._ahead(unit.place)],
            "sampling": [self.context, self.horizon, self.paths, self.seed, *self.signals],
        }

    def at(self, number: int, place: int) -> Candles:
        """Return the context of an instrument at a date."""
        bars = int(self.panel.bars[place, number])
        return self.history(number, place).rows(bars - self.context, bars)

    def history(self, number: int, place: int) -> Candles:
        """Return an instrument's bars up to and with a date."""
        candles = self.panel.candles[number]
        if candles is None:
            raise ValueError(f"{self.panel.names[number]} has no bars")
        return candles.rows(0, int(self.panel.bars[place, number]))

    def _ahead(self, place: int) -> pd.DatetimeIndex:
        """Return the stamps of the bars ahead, as the dates up to now let one expect."""
        known = self.panel.dates[max(place + 1 - CALENDAR_BARS, 0) : place + 1]
        return BarCalendar.infer(known).future(self.horizon)

    def _sampled(self, unit: Unit) -> Iterator[tuple[int, PathSet | str]]:
        """Yield the paths of each instrument that can be ranked, in order, or why there are none."""
        ahead = self._ahead(unit.place)
        waiting: list[tuple[int, Candles]] = []
        for number in self.panel.eligible(unit.place, self.context):
            context = self.at(number, unit.place)
            if context.volatility < STILL:
                yield number, "the context never moves"
            else:
                waiting.append((number, context))
        for batch in _batches(waiting, max(1, PATHS_AT_ONCE // self.paths)):
            yield from self._together(unit, batch, ahead)

    def _together(
        self, unit: Unit, batch: Sequence[tuple[int, Candles]], ahead: pd.DatetimeIndex
    ) -> Iterator[tuple[int, PathSet | str]]:
        first = unit.number * len(self.panel.names)
        ids = [(first + number) * self.paths + np.arange(self.paths, dtype=np.int64) for number, _ in batch]
        fitted = to_be_fitted(self.generator)
        if fitted is None:
            stamps = [_in_zone(ahead, context) for _, context in batch]
            draws = Draws(self.seed, np.concatenate(ids))
            every = sample_contexts(self.generator, [context for _, context in batch], stamps, draws)
            yield from zip((number for number, _ in batch), every, strict=True)
            return
        for (number, context), own in zip(batch, ids, strict=True):
            try:
                generator = fitted.fitted_to(self.history(number, unit.place))
            except DataError as error:
                yield number, error.problem
                continue
            yield number, generator.sample(context, _in_zone(ahead, context), Draws(self.seed, own))


def _in_zone(ahead: pd.DatetimeIndex, context: Candles) -> pd.DatetimeIndex:
    """Return the stamps ahead as a context writes its own: its zone, and its time of day where bars are daily."""
    zone, last = context.timestamps.tz, context.timestamps[-1]
    bare = last.tz_localize(None)
    if (ahead == ahead.normalize()).all():
        ahead = ahead + (bare - bare.normalize())
    return ahead if zone is None else ahead.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")


def _batches(contexts: Sequence[tuple[int, Candles]], size: int) -> Iterator[Sequence[tuple[int, Candles]]]:
    """Yield contexts in runs with the same fields, at most so many at a time, in the order of instruments."""
    start = 0
    for place in range(1, len(contexts) + 1):
        same = place < len(contexts) and contexts[place][1].fields == contexts[start][1].fields
        if not same or place - start == size:
            yield contexts[start:place]
            start = place


def ranking_places(panel: UniversePanel, start: date | None, end: date | None, every: int, context: int) -> list[int]:
    """Return the dates to rank at, as places in the panel: every so many bars from the first that is wanted.

    Without a start the first is the one at which any instrument has a whole context.

    Raises:
        DataError: there is no such date.
    """
    ready = (panel.bars >= context).any(axis=1)
    wanted = ready.copy()
    if start is not None:
        wanted &= np.asarray(panel.dates >= pd.Timestamp(start))
    if end is not None:
        midnight = not hasattr(end, "hour")
        wanted &= np.asarray(panel.dates < pd.Timestamp(end) + pd.Timedelta(days=1 if midnight else 0, microseconds=1))
    places = np.flatnonzero(wanted)
    if not len(places):
        raise DataError(
            f"there is no date to rank at: bars from {panel.dates[0]} to {panel.dates[-1]}",
            expected=f"a date with {context} bars of some instrument before it",
            fix="correct dates.start and dates.end, or shorten context",
        )
    return [int(place) for place in range(places[0], places[-1] + 1, every)]


def same_signals(first: DateSignals, second: DateSignals) -> Mapping[str, str]:
    """Return how two rankings of a date differ to the last bit: by instrument, in words; nothing where they do not."""
    ours, theirs = (dict(zip(one.names, one.values, strict=True)) for one in (first, second))
    differ = dict.fromkeys(sorted({*ours} ^ {*theirs}), "ranked in one of both alone")
    for name in sorted({*ours} & {*theirs}):
        if not np.array_equal(ours[name], theirs[name], equal_nan=True):
            differ[name] = f"{theirs[name][0]:.6g} without the bars after the date, {ours[name][0]:.6g} with them"
    return differ
