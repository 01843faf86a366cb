"""What the market is like, and whether the bars that came can be trusted.

Owns the regime (how turbulent the latest bars are among stretches of the history), the anomalies of the input and
their words. An anomaly is judged by what the history itself has: a bar is a jump, or a run of unmoved closes still,
where it beats every bar before it, which of bars that are alike happens to the n-th with probability 1/n. Whether the
training data know the bars to come is answered by ``forecasts.judge.contamination``. Knows bars and their calendar;
knows neither vendors nor logs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.finding import LIVE_INPUT, OVERLAP, Finding
from scenario_gen.forecasts.judge import contamination
from scenario_gen.live.results import Anomaly, MarketState, Regime
from scenario_gen.market.calendar import BarCalendar, bar_keys
from scenario_gen.market.candles import SETTLED, STILL, Candles, running_volatility

Floats = NDArray[np.float64]

CALM, TURBULENT = 1 / 3, 2 / 3  # shares of stretches of the history that are calmer
FEWEST_STRETCHES = 9  # that do not overlap: with fewer, thirds of them say nothing
FEWEST_BARS = 100  # before a bar can be called a jump, a run still or a missing volume odd: at most one in 100 is
LEAST_JUMP = 6.0  # running volatilities: what no short calm history makes smaller
LATE = 2  # bars that should have come by now and did not: one may still be on its way
MOST = 5  # anomalies of a kind that are told one by one
SAME = 1e-6  # relative: vendors round, and a revision is more than that


def market_state(
    history: Candles, horizon: int, first: pd.Timestamp, trained_until: str | None, anomalies: list[Anomaly]
) -> MarketState:
    """Say what the market is like.

    Args:
        history: bars up to the last one there is.
        horizon: bars of a stretch: as many as are forecast, but at least ten.
        first: stamp of the first bar to come.
        trained_until: of the generator: ISO date, "" where it is not recorded, None where nothing was trained.
        anomalies: of the bars that came.
    """
    length = max(horizon, SETTLED)
    regime, volatility, percentile, words = _regime(history, length)
    return MarketState(
        regime=regime,
        volatility=volatility,
        percentile=percentile,
        words=words,
        anomalies=anomalies,
        contamination=contamination(trained_until, [first.isoformat()]),
    )


def state_findings(state: MarketState) -> list[Finding]:
    """Return whether the bars that came can be trusted, and whether the training data know those to come."""
    kinds = sorted({each.kind for each in state.anomalies})
    words = [f"{each.stamp} {each.words}".strip() for each in state.anomalies]
    told = "; ".join(words) or "nothing odd was found in the bars that came"
    overlap = state.contamination
    return [
        LIVE_INPUT.finding("WARN" if kinds else "PASS", told, offenders=kinds),
        OVERLAP.finding(overlap.label, overlap.reason),
    ]


def find_anomalies(bars: Candles, new: int, calendar: BarCalendar, *, now: pd.Timestamp | None = None) -> list[Anomaly]:
    """Return what of the latest bars should not be trusted, each kind at most five times.

    Args:
        bars: the history, and then what came.
        new: how many of the last bars came since one looked; 0 for none.
        calendar: of the bars before these, which says when bars are due; its ``end`` is not looked at.
        now: the time, with the stamps' zone or none as they have; None where bars of the past are replayed.
    """
    new = min(new, max(len(bars) - 1, 0))
    kinds = [_missing(bars, new, calendar), _jumps(bars, new), _still(bars, new), _no_volume(bars, new)]
    if now is not None:
        kinds.append(_stale(bars, calendar, now))
    return [each for kind in kinds for each in _first_of(list(kind))]


def compared(came: Candles, known: Candles) -> list[Anomaly]:
    """Return what of the bars that came contradicts known ones: other values, or bars between them.

    Args:
        came: as they were fetched.
        known: as they are kept, in the same fields where both have them.
    """
    places = known.timestamps.get_indexer(came.timestamps)
    fields = [name for name in came.fields if name in known.fields]
    before = known.values[np.maximum(places, 0)][:, [known.fields.index(name) for name in fields]]
    after = came.values[:, [came.fields.index(name) for name in fields]]
    differs = (places >= 0)[:, None] & (np.abs(after - before) > SAME * np.maximum(np.abs(before), np.abs(after)))
    revised = [
        Anomaly("revised", _stamp(came, int(row)), _revision(fields, before[row], after[row], differs[row]))
        for row in np.flatnonzero(differs.any(axis=1))
    ]
    late = (places < 0) & (came.timestamps < known.timestamps[-1]) & (came.timestamps > known.timestamps[0])
    order = [
        Anomaly("order", _stamp(came, int(row)), "a bar came after later ones, between bars that are known")
        for row in np.flatnonzero(late)
    ]
    return [*_first_of(revised), *_first_of(order)]


def _regime(history: Candles, length: int) -> tuple[Regime, float | None, float | None, str]:
    returns = np.diff(np.log(history.close))
    stretches = len(returns) // length
    if not stretches:
        return "unknown", None, None, f"{len(returns)} returns are fewer than the {length} of a stretch"
    squares = np.concatenate(([0.0], np.cumsum(returns**2)))
    volatilities = np.sqrt(np.maximum(squares[length:] - squares[:-length], 0.0) / length)
    now = float(volatilities[-1])
    if stretches < FEWEST_STRETCHES:
        few = f"the history has {stretches} stretches of {length} bars, and {FEWEST_STRETCHES} are needed to compare"
        return "unknown", now, None, f"volatility {now:.2%} a bar; {few}"
    others = volatilities[: -length or None]  # that share no bar with the latest
    share = float(np.mean(others < now) + np.mean(others == now) / 2)
    regime: Regime = "calm" if share < CALM else "turbulent" if share > TURBULENT else "usual"
    words = (
        f"the latest {length} bars move {now:.2%} a bar, more than {share:.0%} of the stretches of as many bars in the "
        f"history ({stretches} that do not overlap); calm is below a third, turbulent above two thirds"
    )
    return regime, now, share, words


def _missing(bars: Candles, new: int, calendar: BarCalendar) -> Iterator[Anomaly]:
    """Yield the gaps before new bars: bars that the calendar has and the source has not."""
    for row in range(len(bars) - new, len(bars)):
        due = _between(calendar, bars.timestamps[row - 1], bars.timestamps[row])
        if due:
            yield Anomaly("gap", _stamp(bars, row), f"{due} bar{'s are' if due > 1 else ' is'} missing before this one")


def _stale(bars: Candles, calendar: BarCalendar, now: pd.Timestamp) -> Iterator[Anomaly]:
    """Yield that the source has stopped: the bar that is forming and one more are not counted."""
    due = _between(calendar, bars.timestamps[-1], now)
    if due > LATE:
        yield Anomaly("stale", _stamp(bars, -1), f"the last bar: {due} more were due by {now:%Y-%m-%d %H:%M}")


def _between(calendar: BarCalendar, last: pd.Timestamp, stop: pd.Timestamp) -> int:
    """Return how many bars the calendar has after one stamp and before another."""
    if stop <= last:
        return 0
    try:
        stamps = calendar.rule.after(last, 1)
        if bar_keys(stamps, calendar.frequency)[0] >= bar_keys(pd.DatetimeIndex([stop]), calendar.frequency)[0]:
            return 0  # the usual case, without a longer search
        asked = 16
        while stamps[-1] < stop and asked <= 1 << 16:
            stamps, asked = calendar.rule.after(last, asked), 4 * asked
    except DataError:  # beyond what can be stamped
        return 0
    keys = bar_keys(stamps, calendar.frequency)
    return int(np.sum(keys < bar_keys(pd.DatetimeIndex([stop]), calendar.frequency)[0]))


def _jumps(bars: Candles, new: int) -> Iterator[Anomaly]:
    returns = np.diff(np.log(bars.close))  # of row 1 on
    if len(returns) <= FEWEST_BARS:
        return
    sizes = np.abs(returns) / running_volatility(returns)[:-1]
    sizes[:SETTLED] = 0.0  # their volatility is that of the same bars
    before = np.maximum.accumulate(sizes)
    for row in range(max(len(bars) - new, FEWEST_BARS + 1), len(bars)):
        size, largest = sizes[row - 1], before[row - 2]
        if size > max(largest, LEAST_JUMP):
            yield Anomaly(
                "jump", _stamp(bars, row),
                f"{np.expm1(returns[row - 1]):+.1%}, {size:.1f} running volatilities: the largest of {row} returns",
            )  # fmt: skip


def _still(bars: Candles, new: int) -> Iterator[Anomaly]:
    """Yield the last run of unmoved closes where it is longer than any run before it."""
    resting = np.abs(np.diff(np.log(bars.close))) <= STILL
    runs = _runs(resting)
    if new == 0 or len(runs) <= FEWEST_BARS or not runs[-1]:
        return
    run = int(runs[-1])
    if run > max(int(runs[: -run or None].max()), 2):
        words = f"the close has not moved for {run} bars, longer than ever in the {len(runs) - run} before"
        yield Anomaly("still", _stamp(bars, -1), words)


def _no_volume(bars: Candles, new: int) -> Iterator[Anomaly]:
    """Yield new bars without volume, where that is rarer than one bar in a hundred before."""
    if not bars.has_volume:
        return
    nothing = bars.column("volume") <= 0
    count = len(bars) - new
    if count < FEWEST_BARS or nothing[:count].mean() > 1 / FEWEST_BARS:
        return
    seen = int(nothing[:count].sum())
    for row in np.flatnonzero(nothing[count:]) + count:
        words = f"nothing was traded, as in {seen} of the {count} bars before"
        yield Anomaly("no_volume", _stamp(bars, int(row)), words)


def _runs(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many flags in a row end at each place, [T]."""
    places = np.arange(1, len(flags) + 1)
    return np.asarray(places - np.maximum.accumulate(np.where(flags, 0, places)))


def _first_of(anomalies: list[Anomaly]) -> list[Anomaly]:
    """Return the first few, and how many more there are as one."""
    more = len(anomalies) - MOST
    if more <= 0:
        return anomalies
    return [*anomalies[:MOST], Anomaly(anomalies[0].kind, "", f"and {more} more of this kind")]


def _revision(fields: list[str], before: Floats, after: Floats, differs: NDArray[np.bool_]) -> str:
    parts = [f"{fields[at]} was {before[at]:.8g}, is {after[at]:.8g}" for at in np.flatnonzero(differs)]
    return f"came again with other values: {'; '.join(parts)}"


def _stamp(bars: Candles, row: int) -> str:
    return str(bars.timestamps[row].isoformat())
