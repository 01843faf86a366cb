"""What the worst paths lost their money to: gaps, volatility, a trend that turned, holding against it, costs.

Every change of a path's equity is booked under one cause, so the causes add up to the loss:

    costs             fees and the cost of borrowing (slippage is in the fill prices, so under the causes below)
    gap               the position held overnight, at opens further from the last close than an unusual move
    volatility spike  the rest of a bar whose close is further from its open than an unusual move
    trend reversal    the rest, on bars that were entered with the trend of the last 20 bars, which then turned
    against the trend the rest: held against that trend, or without one

An unusual move is one beyond two standard deviations of the context's log returns: close to close, so it is unusual
for a part of a bar. The amounts are signed: what a trend follower earns with the trend is set against what reversals
cost it. Of several assets each position is booked by its own prices, and the causes add up over them. The definitions
are ours; there is no standard for them. Knows arrays; knows neither strategies nor generators.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import Floats, Ints
from scenario_gen.stats.estimate import HITS, Estimate, mean, share
from scenario_gen.stats.weights import Weights

FRACTION = 0.01
UNUSUAL = 2.0  # standard deviations of the context's returns
TREND = 20  # bars
PATHS_AT_ONCE = 1024

CAUSES = ("costs", "gap", "volatility_spike", "trend_reversal", "against_the_trend")
TITLES = {
    "costs": "Cost drag",
    "gap": "Gaps",
    "volatility_spike": "Volatility spikes",
    "trend_reversal": "Trend reversals",
    "against_the_trend": "Held against the trend",
}


@dataclass(frozen=True)
class Played:
    """What happened on every path."""

    equity: NDArray[np.floating]  # float [path, bar + 1]; the starting cash, then the equity at each close
    exposure: NDArray[np.floating]  # float [path, bar]; position value over equity at the close, negative when short
    costs: NDArray[np.floating]  # float [path, bar]; fees and borrowing, in quote currency: see :func:`costs_by_bar`
    opened: NDArray[np.floating]  # float [path, bar]; opening prices
    close: NDArray[np.floating]  # float [path, bar]; closing prices
    context_close: Floats  # float64 [bar]; closes of the real bars before the paths, at least three
    # float [path, bar]; what the position earned in each bar, all costs in, where the account holds others beside it;
    # None where all change of equity is its own
    profit: NDArray[np.floating] | None = None


@dataclass(frozen=True)
class Cause:
    """One cause among the worst paths."""

    name: str  # see the module
    title: str  # for a table
    leads: Estimate  # share of the worst paths in which it took more than any other cause; a rate from 10 paths on
    # what it took on average on the worst paths, as a share of the starting cash; negative where it gave
    loss: Estimate
    elsewhere: Estimate  # the same on all other paths


@dataclass(frozen=True)
class TailCauses:
    """The causes of the worst paths' losses."""

    fraction: float  # share of paths that are called the worst, by their total return
    worst: int  # how many these are
    loss: Estimate  # their mean loss, the sum of the causes' losses
    causes: tuple[Cause, ...]  # the largest first; empty where ``reason`` says why
    unusual_move: float  # absolute log return beyond which a move is unusual; of several assets the mean of theirs
    reason: str = ""  # why there are none


def tail_causes(
    played: Played | Sequence[Played], fraction: float = FRACTION, weights: Weights | None = None
) -> TailCauses:
    """Book the losses of the worst paths under their causes, beside those of all other paths.

    Args:
        played: equity, exposure, costs and prices; of several assets one of each, with what it earned.
        fraction: share of paths that are called the worst; at least 10 paths are needed there.
        weights: of the paths, where they do not all stand for as much; those called the worst stand for the fraction.

    Raises:
        ValueError: the context has fewer than three closes, which have no standard deviation.
    """
    positions = [played] if isinstance(played, Played) else played
    unusual = float(np.mean([unusual_move(each.context_close) for each in positions]))
    amounts = np.sum([booked(each) for each in positions], axis=0)
    in_tail, reason = _worst(amounts.sum(axis=1), fraction, weights)
    worst = int(in_tail.sum())
    if reason:
        return TailCauses(fraction, worst, Estimate(None, n=worst, reason=reason), (), unusual, reason)
    tail = None if weights is None else weights.where(in_tail)
    rest = None if weights is None else weights.where(~in_tail)
    causes = [_cause(place, amounts[in_tail], amounts[~in_tail], tail, rest) for place in range(len(CAUSES))]
    causes.sort(key=lambda cause: -(cause.loss.value or 0.0))
    return TailCauses(fraction, worst, mean(amounts[in_tail].sum(axis=1), tail), tuple(causes), unusual)


def _worst(losses: Floats, fraction: float, weights: Weights | None) -> tuple[NDArray[np.bool_], str]:
    """Return which paths are the worst share of all, and why these are too few, or an empty string."""
    order = np.argsort(-losses, kind="stable")
    if weights is None:
        worst = int(round(len(losses) * fraction, 6))
    else:
        worst = int(np.count_nonzero(np.cumsum(weights.shares[order]) < fraction - 1e-12)) + 1
    in_tail = np.zeros(len(losses), dtype=bool)
    in_tail[order[:worst]] = True
    if weights is None:
        needed = int(np.ceil(round(HITS / fraction, 6)))
        few = f"not shown, needs N >= {needed}: {HITS} paths among the worst {fraction:.0%}"
        return in_tail, few if worst < HITS else ""
    alike = weights.alike(in_tail)
    few = f"not shown, the worst {fraction:.0%} are as many as {alike:.1f} paths alike, needs {HITS}"
    return in_tail, few if alike < HITS else ""


def booked(played: Played) -> Floats:
    """Return what each cause took, as shares of the starting cash, float64 [path, cause] in the order of CAUSES.

    A row's sum is the path's loss, the starting cash less the last equity; of one asset among several, its part.
    """
    pieces = [_booked(part) for part in _pieces(played)]
    return np.concatenate([np.empty((0, len(CAUSES))), *pieces])


def unusual_move(context_close: Floats) -> float:
    """Return the absolute log return beyond which a move is unusual."""
    if len(context_close) < 3:
        raise ValueError(f"{len(context_close)} closes have no standard deviation of returns; three do")
    return UNUSUAL * float(np.diff(np.log(np.asarray(context_close, dtype=np.float64))).std(ddof=1))


def costs_by_bar(trades: pd.DataFrame, path_ids: Ints, bars: int) -> Floats:
    """Spread the fees of round trips over their bars, float64 [path, bar].

    A closed round trip pays in proportion to the price at its entry and its exit bar, an open one at its entry.
    Sums per path are exact; the bars are not, where a round trip has several orders or pays for borrowing.

    Args:
        trades: as in ``BacktestResult``.
        path_ids: int64 [path], the rows of the result.
        bars: of the horizon.
    """
    row = pd.Index(path_ids).get_indexer(trades["path_id"].to_numpy())
    entry, leave = trades["entry_price"].to_numpy(), trades["exit_price"].to_numpy()
    is_open, total = trades["open"].to_numpy(dtype=bool), entry + leave
    half = np.divide(entry, total, out=np.full(len(trades), 0.5), where=total > 0)
    at_entry = np.where(is_open, 1.0, half) * trades["fees"].to_numpy()
    costs = np.zeros((len(path_ids), bars))
    np.add.at(costs, (row, trades["entry_bar"].to_numpy()), at_entry)
    np.add.at(costs, (row, trades["exit_bar"].to_numpy()), trades["fees"].to_numpy() - at_entry)
    return costs


def _cause(place: int, worst: Floats, others: Floats, tail: Weights | None, rest: Weights | None) -> Cause:
    name = CAUSES[place]
    return Cause(
        name=name,
        title=TITLES[name],
        leads=share(worst.argmax(axis=1) == place, tail),
        loss=mean(worst[:, place], tail),
        elsewhere=mean(others[:, place], rest),
    )


def _pieces(played: Played) -> Iterator[Played]:
    """Yield some paths at a time in double precision."""
    for start in range(0, len(played.equity), PATHS_AT_ONCE):
        part = slice(start, start + PATHS_AT_ONCE)
        yield Played(
            equity=played.equity[part].astype(np.float64),
            exposure=played.exposure[part].astype(np.float64),
            costs=played.costs[part].astype(np.float64),
            opened=played.opened[part].astype(np.float64),
            close=played.close[part].astype(np.float64),
            context_close=played.context_close,
            profit=None if played.profit is None else played.profit[part].astype(np.float64),
        )


def _booked(played: Played) -> Floats:
    unusual = unusual_move(played.context_close)
    before, last = played.equity[:, :-1], _shifted(played.close, float(played.context_close[-1]))
    held = _shifted(played.exposure, 0.0)  # at the last close; the account starts without a position
    jumped = np.abs(np.log(played.opened / last)) > unusual
    gap = np.where(jumped, -held * before * (played.opened / last - 1), 0.0)  # losses are positive
    profit = np.diff(played.equity, axis=1) if played.profit is None else played.profit
    rest = -profit - played.costs - gap
    spiked = np.abs(np.log(played.close / played.opened)) > unusual
    position = np.sign(np.where(held != 0, held, played.exposure))
    with_trend = (position * _trend(played) > 0) & ~spiked
    parts = [
        played.costs,
        gap,
        np.where(spiked, rest, 0.0),
        np.where(with_trend, rest, 0.0),
        np.where(with_trend | spiked, 0.0, rest),
    ]
    taken = np.stack([part.sum(axis=1) for part in parts], axis=1)  # [path, cause]
    return np.asarray(taken / played.equity[:, :1])


def _trend(played: Played) -> Floats:
    """Return the sign of the last 20 bars' move at each bar's open, or of as many as there are, [path, bar]."""
    context = np.asarray(played.context_close, dtype=np.float64)[-TREND - 1 :]
    past = np.broadcast_to(context, (len(played.close), len(context)))
    closes = np.concatenate([past, played.close[:, :-1]], axis=1)  # [path, up to 21 + bar - 1]
    span = len(context) - 1
    return np.asarray(np.sign(closes[:, span:] - closes[:, : closes.shape[1] - span]))


def _shifted(values: NDArray[np.floating], first: float) -> Floats:
    """Return each bar's value of the bar before, [path, bar]."""
    return np.concatenate([np.full((len(values), 1), first), values[:, :-1]], axis=1)
