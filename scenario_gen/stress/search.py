"""How bad a stretch of a history was, and which of its stretches were the worst.

Owns how a crisis is measured, where contexts end before it, at its onset and in its middle, and the search for crises
in any history. Knows no path and no spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from scenario_gen.errors import DataError, SpecError
from scenario_gen.market.candles import STILL, Candles, running_volatility
from scenario_gen.market.load import history_of
from scenario_gen.market.paths import Floats
from scenario_gen.reading.words import nearest, one_of, whole
from scenario_gen.stats.estimate import Estimate, percentile_of
from scenario_gen.stress.crises import (
    LEAST_WINDOW,
    LIBRARY,
    MOST,
    MOST_WINDOW,
    SCORES,
    ContextStress,
    DatedCrisis,
    Score,
    Seed,
    dated,
)

BEFORE = 60  # bars before a crisis that its volatility and volume are compared with
WINDOW = 63  # bars of a window that is searched for, where nothing else is said
TOP = 0.9  # only windows above this quantile of a score are crises
UNRECORDED = 0.5  # share of bars that open where the last closed, beyond which gaps cannot be judged


@dataclass(frozen=True)
class Crisis:
    """A stretch of a history, measured: fractions of the close before it."""

    id: str  # of the library; of a crisis that was found the score and its rank, ``drawdown_1`` being the worst
    before: str  # stamp of the last bar before it
    until: str  # stamp of its last bar
    bars: int
    total_return: float
    drawdown: float  # the deepest fall from a close to a later one
    worst_bar: float  # returns from close to close
    best_bar: float
    lowest: float  # the lowest low, from the close before the crisis
    volatility_before: float | None  # standard deviation of the 60 log returns before; None where there are fewer
    volatility: float  # root mean square of its own log returns
    opens_at_close: float  # share of its bars and of the 60 before that open where the last closed
    seeds: dict[Seed, str]  # stamp of the last bar of a context that ends before it, at its onset or in its middle
    why: str  # in words; of a crisis that was found, the scores that it was found by
    control: bool = False
    scores: dict[Score, float] = field(default_factory=dict)  # of a crisis that was found, by what it was found by
    ranks: dict[Score, int] = field(default_factory=dict)  # 1 is the worst by that score

    @property
    def gaps_recorded(self) -> bool:
        """Whether opens differ from the closes before: else nothing that hangs on gaps can be judged."""
        return self.opens_at_close <= UNRECORDED

    def seed_row(self, history: Candles, seed: Seed) -> int:
        """Return the row of the last bar of a context that ends there, in the history that the crisis is of."""
        return int(history.timestamps.get_loc(pd.Timestamp(self.seeds[seed])))


def crises(history: Candles | pd.DataFrame | str = "sp500") -> list[Crisis]:
    """Return the crises of the library whose dates lie inside a history, measured on its bars.

    Args:
        history: candles, a frame, a file, or "sp500" or "nasdaq".

    Raises:
        DataError: the history cannot be read.
    """
    bars = _bars(history)
    return [measure(bars, crisis) for crisis in LIBRARY if _inside(bars, crisis)]


def measure(history: Candles, crisis: DatedCrisis) -> Crisis:
    """Measure a crisis of the library on a history's own bars.

    Raises:
        DataError: its dates lie outside the history.
    """
    if not _inside(history, crisis):
        first, last = (stamp.date() for stamp in history.timestamps[[0, -1]])
        raise DataError(
            f"the crisis {crisis.id} lies outside the data: {crisis.before} to {crisis.until}, {history.name} has bars "
            f"from {first} to {last}",
            expected=_inside_words(history),
            fix="name another crisis or history, or let a search find the history's own: scenario-gen crises FILE",
        )
    start, stop = (len(history.split_at(day)[0]) - 1 for day in (crisis.before, crisis.until))
    return course(history, start, stop, id=crisis.id, why=crisis.why, control=crisis.control)


def _inside(history: Candles, crisis: DatedCrisis) -> bool:
    """Return whether a history has a bar up to the date before a crisis, and goes on to its end."""
    days = [stamp.date().isoformat() for stamp in history.timestamps[[0, -1]]]
    return days[0] <= crisis.before and crisis.until <= days[1] and _moves(history, crisis)


def _moves(history: Candles, crisis: DatedCrisis) -> bool:
    """Return whether there is a bar inside a crisis: bars of a month may pass over it."""
    before, after = (len(history.split_at(day)[0]) for day in (crisis.before, crisis.until))
    return after > before


def _inside_words(history: Candles) -> str:
    inside = [crisis.id for crisis in LIBRARY if _inside(history, crisis)]
    return f"one that the history spans: {one_of(inside)}" if inside else "a history that spans 1999 to 2018, or part"


def course(history: Candles, start: int, stop: int, **stated: object) -> Crisis:
    """Measure the bars after row ``start`` up to row ``stop``.

    The onset is the first bar with a third of the whole excursion: the deepest fall from a running peak, or for a
    stretch that ends higher than it began the largest rise from a running low. The middle is the bar, before the last
    where there is another, after which an exponentially weighted volatility is largest.
    """
    logs = np.log(history.close[start : stop + 1])
    steps = np.diff(logs)
    earlier = np.diff(np.log(history.close[max(0, start - BEFORE) : start + 1]))
    falls = np.maximum.accumulate(logs) - logs
    excursion = logs - np.minimum.accumulate(logs) if logs[-1] > logs[0] else falls
    onset = start + int(np.argmax(excursion >= excursion.max() / 3)) if excursion.max() > 0 else start + 1
    known = running_volatility(np.concatenate((earlier, steps)))[-len(steps) :]
    middle = start + 1 + int(np.argmax(known[: max(1, len(steps) - 1)]))
    opens = history.column("open")[max(1, start - BEFORE + 1) : stop + 1]
    closed = history.close[max(0, start - BEFORE) : stop]
    rows: dict[Seed, int] = {"before": start, "onset": max(onset, start + 1), "middle": middle}
    values: dict[str, object] = {
        "before": history.timestamps[start].isoformat(),
        "until": history.timestamps[stop].isoformat(),
        "bars": stop - start,
        "total_return": float(np.expm1(logs[-1] - logs[0])),
        "drawdown": float(-np.expm1(-falls.max())),
        "worst_bar": float(np.expm1(steps.min())),
        "best_bar": float(np.expm1(steps.max())),
        "lowest": float(history.column("low")[start + 1 : stop + 1].min() / history.close[start] - 1),
        "volatility_before": float(earlier.std()) if len(earlier) == BEFORE else None,
        "volatility": float(np.sqrt(np.mean(steps**2))),
        "opens_at_close": float(np.mean(opens == closed[-len(opens) :])),
        "seeds": {seed: history.timestamps[row].isoformat() for seed, row in rows.items()},
    }
    return Crisis(**{**values, **stated})  # type: ignore[arg-type]


# --- The search ---


def find_crises(
    history: Candles | pd.DataFrame | str,
    *,
    score: Score | Literal["all"] = "all",
    window: int = WINDOW,
    most: int = MOST,
    earliest: int = 0,
) -> list[Crisis]:
    """Find the worst windows of a history, by one score or by all of them.

    Windows above the 90 % quantile of a score are taken greedily from the worst on; no two of a score begin within a
    window of each other. Of several scores, windows that share more than half of their bars are one crisis. Each is
    then measured from the peak to the trough of the deepest fall inside its window.

    Args:
        history: candles, a frame, a file, or "sp500" or "nasdaq".
        score: ``drawdown``, the deepest fall of closes; ``volatility``, the root mean square of log returns;
            ``worst_bar``, the largest fall of a bar over the volatility of the 60 bars before it; ``volume``, the mean
            of log volume over mean and deviation of the 60 bars before the window; or ``all``.
        window: bars.
        most: of one score, at most.
        earliest: no window begins, and so no context ends, before this row.

    Returns:
        The worst first: by rank among its score's, then in the order of the scores.

    Raises:
        DataError: the history cannot be read, is shorter than a window, or has no volume to score.
        SpecError: an unknown score, or a number out of bounds.
    """
    bars = _bars(history)
    window = whole("window", window, LEAST_WINDOW, MOST_WINDOW)
    most = whole("most", most, 1, MOST)
    wanted = _wanted(bars, score)
    if (left := len(bars) - 1 - earliest) < window:
        behind = f" after the first {earliest + 1}" if earliest else ""
        raise DataError(
            f"a window of {window} bars is longer than the history: {bars.name} has {max(0, left)} returns{behind}",
            expected=f"a window of at most {left} bars" if left >= LEAST_WINDOW else "a longer history",
            fix="shorten the window, or bring a longer history",
        )
    merged: list[tuple[int, dict[Score, tuple[int, float]]]] = []  # first row, and rank and value by score
    for name in wanted:
        values = SCORED[name](bars, window)[earliest:]
        for rank, at in enumerate(peaks(values, window, most), 1):
            _merge(merged, at + earliest, name, (rank, float(values[at])), window)
    merged.sort(key=lambda item: min((rank, SCORES.index(name)) for name, (rank, _) in item[1].items()))
    return [_crisis(bars, at, window, by) for at, by in merged]


def peaks(values: Floats, apart: int, most: int) -> list[int]:
    """Return where values above their 90 % quantile are largest, the largest first, none within ``apart`` of another.

    NaN has no value, and what is not above zero is no crisis.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return []
    eligible = np.isfinite(values) & (values > 0) & (values >= np.quantile(known, TOP))
    left = np.where(eligible, values, -np.inf)
    chosen: list[int] = []
    while len(chosen) < most and left.max() > 0:
        at = int(np.argmax(left))
        chosen.append(at)
        left[max(0, at - apart + 1) : at + apart] = -np.inf
    return chosen


def deepest_falls(logs: Floats, window: int) -> Floats:
    """Return the deepest fall inside each window of ``window`` steps, log units [T - window].

    Two stretches side by side fall as far as the deeper of them, or from the peak of the first to the low of the
    second. So stretches of 1, 2, 4 ... steps follow from each other, and a window from those of its binary digits.
    """
    count = len(logs) - window  # windows
    high, low, fall = (np.maximum(logs[:-1], logs[1:]), np.minimum(logs[:-1], logs[1:]), np.maximum(-np.diff(logs), 0))
    top, bottom, deepest = np.full(count, -np.inf), np.full(count, np.inf), np.zeros(count)
    done, size = 0, 1
    while done < window:
        if window & size:
            part = slice(done, done + count)
            deepest = np.maximum(np.maximum(deepest, fall[part]), top - low[part])
            top, bottom = np.maximum(top, high[part]), np.minimum(bottom, low[part])
            done += size
        if done < window:
            fall = np.maximum(np.maximum(fall[:-size], fall[size:]), high[:-size] - low[size:])
            high, low = np.maximum(high[:-size], high[size:]), np.minimum(low[:-size], low[size:])
            size *= 2
    return deepest


def _falls(bars: Candles, window: int) -> Floats:
    return deepest_falls(np.log(bars.close), window)


def _volatilities(bars: Candles, window: int) -> Floats:
    return np.sqrt(np.maximum(_means(np.diff(np.log(bars.close)) ** 2, window), 0))


def _worst_bars(bars: Candles, window: int) -> Floats:
    steps = np.diff(np.log(bars.close))
    sizes = np.full(len(steps), np.nan)
    if len(steps) > BEFORE:
        trailing = np.sqrt(np.maximum(_means(steps**2, BEFORE)[:-1], 0))
        sizes[BEFORE:] = np.where(trailing > STILL, -steps[BEFORE:] / np.maximum(trailing, STILL), 0)
    return np.asarray(sliding_window_view(sizes, window).max(axis=1))


def _volumes(bars: Candles, window: int) -> Floats:
    volume = bars.column("volume")
    logs = np.log(np.where(volume > 0, volume, volume[volume > 0].min()))[1:]
    scores = np.full(len(logs) - window + 1, np.nan)
    if len(logs) > BEFORE:
        usual, squares = _means(logs, BEFORE), _means((logs - logs.mean()) ** 2, BEFORE)
        spread = np.sqrt(np.maximum(squares - (usual - logs.mean()) ** 2, 0))[: len(scores) - BEFORE]
        above = _means(logs, window)[BEFORE:] - usual[: len(scores) - BEFORE]
        scores[BEFORE:] = np.where(spread > STILL, above / np.maximum(spread, STILL), np.nan)
    return scores


SCORED = {"drawdown": _falls, "volatility": _volatilities, "worst_bar": _worst_bars, "volume": _volumes}


def _means(values: Floats, bars: int) -> Floats:
    """Return the mean of each window of so many values."""
    sums = np.concatenate(([0.0], np.cumsum(values)))
    return np.asarray((sums[bars:] - sums[:-bars]) / bars)


def _wanted(bars: Candles, score: str) -> Sequence[Score]:
    """Return the scores to look by; of all, those that the history has columns for."""
    if score == "all":
        return [name for name in SCORES if name != "volume" or bars.has_volume]
    if score not in SCORES:
        known = ("all", *SCORES)
        raise SpecError(f"got the score {score!r}, expected {one_of(known)}{nearest(score, known)}")
    if score == "volume" and not bars.has_volume:
        raise DataError(f"{bars.name} has no volume", expected="a score of prices", fix="take --score drawdown")
    return [score]


def _merge(
    merged: list[tuple[int, dict[Score, tuple[int, float]]]],
    at: int,
    score: Score,
    ranked: tuple[int, float],
    window: int,
) -> None:
    """Add a window to those that were found; one that shares more than half its bars with one is the same crisis."""
    for other, by in merged:
        if 2 * abs(other - at) < window and score not in by:
            by[score] = ranked
            return
    merged.append((at, {score: ranked}))


def _crisis(bars: Candles, at: int, window: int, by: Mapping[Score, tuple[int, float]]) -> Crisis:
    """Measure a window that was found, from the peak to the trough of its deepest fall."""
    logs = np.log(bars.close[at : at + window + 1])
    falls = np.maximum.accumulate(logs) - logs
    trough = int(np.argmax(falls))
    start, stop = (int(np.argmax(logs[: trough + 1])), trough) if falls[trough] > 0 else (0, window)
    first = next(iter(by))
    found = course(bars, at + start, at + stop, id=f"{first}_{by[first][0]}", why=", ".join(_ranked(by)), control=False)
    return replace(
        found,
        scores={name: value for name, (_, value) in by.items()},
        ranks={name: rank for name, (rank, _) in by.items()},
    )


def _ranked(by: Mapping[Score, tuple[int, float]]) -> Iterable[str]:
    return (f"{name.replace('_', ' ')} {rank}" for name, (rank, _) in by.items())


def _bars(history: Candles | pd.DataFrame | str) -> Candles:
    bars = history_of(history)
    if len(bars) < LEAST_WINDOW + 1:
        raise DataError(f"{bars.name} has {len(bars)} bars", expected=f"at least {LEAST_WINDOW + 1} bars")
    return bars


# --- A context that ends at a crisis ---


@dataclass(frozen=True)
class ContextInCrisis:
    """Where a context ends in a crisis, and how what happened then ranks among the paths: not an expectation."""

    crisis: Crisis
    seed: Seed
    bars: int = 0  # of what happened that are compared with the paths; 0 where the history ends with the context
    total_return: float | None = None  # of the market over them
    drawdown: float | None = None
    return_rank: Estimate | None = None  # share of paths that end lower
    drawdown_rank: Estimate | None = None  # share of paths that fall less deep

    def ranked(self, bars: int, closes: Sequence[Floats], happened: Floats) -> ContextInCrisis:
        """Return this with what happened ranked among paths, both at the same bars, the anchor first.

        Args:
            bars: how many these are.
            closes: of the paths at each point, float64 [path]; one point at a time is read.
            happened: what happened [point].
        """
        first = top = closes[0]
        falls = np.zeros(len(first))
        for point in range(1, len(closes)):
            last = closes[point]
            top = np.maximum(top, last)
            np.maximum(falls, 1 - last / top, out=falls)
        total, fall = float(happened[-1] / happened[0] - 1), float(deepest_fall(happened[None])[0])
        return replace(
            self,
            bars=bars,
            total_return=total,
            drawdown=fall,
            return_rank=percentile_of(total, last / first - 1),
            drawdown_rank=percentile_of(fall, falls),
        )


def deepest_fall(closes: Floats) -> Floats:
    """Return the deepest fall of closes [path, bar] from a close to a later one, as a fraction [path]."""
    return np.asarray((1 - closes / np.maximum.accumulate(closes, axis=1)).max(axis=1))


def placed(history: Candles, stress: ContextStress, context: int, horizon: int) -> tuple[int, ContextInCrisis]:
    """Return the row that a context of so many bars ends with, and the crisis that it is of.

    Raises:
        DataError: the crisis lies outside the history, a search finds fewer, or too few bars are before it.
    """
    search = stress.search
    if search is None:
        crisis, seed = measure(history, dated(stress.crisis or "")), stress.seed or "before"
    else:
        window, rank, seed = search.window or max(horizon, LEAST_WINDOW), search.rank or 1, search.seed
        found = find_crises(history, score=search.score, window=window, earliest=context - 1)
        if len(found) < rank:
            raise DataError(
                f"a search by {search.score} finds {len(found)} crises of at most {window} bars behind the first "
                f"{context} bars of {history.name}, and the one of rank {rank} is asked for",
                expected=f"at most {len(found)}" if found else "a history that falls",
                fix="lower top or rank, or shorten the window",
            )
        crisis = found[rank - 1]
    row = crisis.seed_row(history, seed)
    if row + 1 < context:
        raise DataError(
            f"{history.name} has {row + 1} bars up to {crisis.seeds[seed].removesuffix('T00:00:00')}, where the "
            f"context of {crisis.id} ends, but it needs {context}",
            expected=f"at least {context} bars before it",
            fix="shorten bars.context, name a later crisis, or bring a longer history",
        )
    return row, ContextInCrisis(crisis, seed)
