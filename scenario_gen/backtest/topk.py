"""A portfolio of the top names of a ranking, in which a few are exchanged at a time, beside all names in equal parts.

The rule is that of Qlib's TopkDropoutStrategy (microsoft/qlib, qlib/contrib/strategy/signal_strategy.py: method_sell
bottom, method_buy top, only_tradable false): of the names held and the best that are not, the worst ``drop`` of all
are sold where they are held, and as many of the best others are bought as fill the portfolio; the cash goes to them in
equal parts, and what cannot be traded on the day is left for the next time. Wishes are worked out here bar by bar,
since they hang on what is held; vectorbt fills them with one cash for all and keeps the account.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LIMIT_NOISE = 1e-4  # of the previous close: prices are rounded to ticks, so a limit is reached a little early


@dataclass(frozen=True)
class DeskTerms:
    """What trading costs and what the exchange allows."""

    cash: float = 1_000_000.0
    invested: float = 0.95  # share of the cash that is spent, as Qlib's risk_degree
    commission: float = 0.0  # of the traded value, both sides
    slippage: float = 0.0  # of the price, against the trader
    stamp_duty: float = 0.0  # of the value of sales
    t_plus_one: bool = False  # no sale on the day of purchase
    price_limit: float | None = None  # move from the previous close at which nothing can be bought, or sold

    @property
    def buying(self) -> float:
        """What a share costs over its price."""
        return (1 + self.slippage) * (1 + self.commission)

    @property
    def selling(self) -> float:
        """What a share brings of its price."""
        return (1 - self.slippage) * (1 - self.commission - self.stamp_duty)


@dataclass(frozen=True)
class Tape:
    """Bars of many instruments, NaN where one has none."""

    open: Floats  # [T, N]
    close: Floats  # [T, N]
    day: Ints  # trading day of each bar [T]

    @property
    def marked(self) -> Floats:
        """The last close up to each bar [T, N]; before the first bar of an instrument, that bar's."""
        import pandas as pd

        return np.asarray(pd.DataFrame(self.close).ffill().bfill().fillna(1.0), dtype=np.float64)


def topk_dropout(score: Floats, held: Sequence[int], top: int, drop: int) -> tuple[list[int], list[int]]:
    """Return which names to sell and which to buy.

    Args:
        score: of every name [N], NaN where it has none: a name held without a score counts as the worst.
        held: places of the names held.
        top: how many names to hold.
        drop: how many to exchange at most.
    """

    def best_first(places: Sequence[int]) -> list[int]:
        return sorted(places, key=lambda place: (np.isnan(score[place]), -np.nan_to_num(score[place]), place))

    last = best_first(held)
    others = best_first([place for place in np.flatnonzero(np.isfinite(score)).tolist() if place not in {*held}])
    new = others[: max(drop + top - len(last), 0)]
    worst = {*best_first([*last, *new])[-drop:]}
    sell = [place for place in last if place in worst]
    return sell, new[: max(len(sell) + top - len(last), 0)]


@dataclass(frozen=True)
class Refused:
    """Orders that could not be given on their day."""

    suspended: int = 0  # no bar
    at_limit: int = 0  # the open is at the price limit
    bought_today: int = 0


@dataclass(frozen=True, eq=False)
class TopAccount:
    """What a portfolio did, as vectorbt kept its account."""

    bars: Ints  # of the tape, from the first fill on [B]
    value: Floats  # of the account at each of these closes [B]
    turnover: Floats  # traded value over twice the account's, at each fill
    fills: Ints  # bars of the fills
    orders: int
    refused: Refused
    costs: float  # fees and slippage, in cash
    held: tuple[int, ...]  # names at the end


class Desk:
    """Wishes of one portfolio, bar by bar: what is held, and how much cash is left."""

    def __init__(self, tape: Tape, terms: DeskTerms) -> None:
        bars, names = tape.open.shape
        self.tape, self.terms, self.marked = tape, terms, tape.marked
        self.cash, self.amount = terms.cash, np.zeros(names)
        self.bought = np.full(names, -1)  # day of the last purchase
        self.size = np.full((bars, names), np.nan)
        self.suspended = self.at_limit = self.today = 0

    def tradable(self, place: int, bar: int, *, buys: bool) -> bool:
        """Return whether a name can be bought or sold at the open of a bar, and count what cannot."""
        price, limit = self.tape.open[bar, place], self.terms.price_limit
        if not np.isfinite(price):
            self.suspended += 1
            return False
        move = (price / self.marked[bar - 1, place] - 1) * (1 if buys else -1)
        if limit is not None and move >= limit - LIMIT_NOISE:
            self.at_limit += 1
            return False
        if not buys and self.terms.t_plus_one and self.bought[place] == self.tape.day[bar]:
            self.today += 1
            return False
        return True

    def sell(self, place: int, bar: int, amount: float) -> None:
        """Sell at the open of a bar."""
        self.size[bar, place] = -amount
        self.amount[place] = 0.0 if amount == self.amount[place] else self.amount[place] - amount
        self.cash += amount * self.tape.open[bar, place] * self.terms.selling

    def buy(self, place: int, bar: int, value: float) -> None:
        """Buy at the open of a bar for so much cash, costs and all."""
        amount = value / (self.tape.open[bar, place] * self.terms.buying)
        self.size[bar, place] = amount
        self.amount[place] += amount
        self.bought[place] = self.tape.day[bar]
        self.cash -= value

    @property
    def held(self) -> list[int]:
        """Places of the names held."""
        return [int(place) for place in np.flatnonzero(self.amount > 0)]


def exchange(desk: Desk, bar: int, score: Floats, top: int, drop: int) -> None:
    """Sell the worst and buy the best at the open of a bar, as :func:`topk_dropout` says."""
    sell, buy = topk_dropout(score, desk.held, top, drop)
    for place in sell:
        if desk.tradable(place, bar, buys=False):
            desk.sell(place, bar, desk.amount[place])
    value = desk.cash * desk.terms.invested / max(len(buy), 1)
    for place in buy:
        if desk.tradable(place, bar, buys=True):
            desk.buy(place, bar, value)


def even_out(desk: Desk, bar: int, score: Floats) -> None:
    """Hold every name that has a score in equal parts, as far as it can be traded at the open of a bar."""
    price = np.where(np.isfinite(desk.tape.open[bar]), desk.tape.open[bar], desk.marked[bar - 1])
    wanted = np.isfinite(score)
    equity = desk.cash + float(desk.amount @ price)
    target = np.where(wanted, equity * desk.terms.invested / max(int(wanted.sum()), 1), 0.0)
    gap = target - desk.amount * price
    for place in np.flatnonzero((gap < 0) & (desk.amount > 0)).tolist():
        if desk.tradable(place, bar, buys=False):
            whole = target[place] == 0
            desk.sell(place, bar, desk.amount[place] if whole else -gap[place] / price[place])
    buys = [place for place in np.flatnonzero(gap > 0).tolist() if desk.tradable(place, bar, buys=True)]
    share = min(1.0, desk.cash / max(float(gap[buys].sum()), 1e-12)) if buys else 0.0
    for place in buys:
        desk.buy(place, bar, share * gap[place])


Rule = Callable[[Desk, int, Floats], None]


def trade(
    tape: Tape, scores: Sequence[tuple[int, Floats]], terms: DeskTerms, rule: Rule, last: int
) -> TopAccount | None:
    """Trade a ranking: each decided at the close of its bar and filled at the next bar's open.

    Args:
        tape: bars of all instruments.
        scores: bar and scores [N] of each rebalance, in the order of time.
        terms: costs and rules.
        rule: what is wished for.
        last: last bar of the account.

    Returns:
        The account; None where no bar follows the first ranking.
    """
    desk, fills = Desk(tape, terms), [bar + 1 for bar, _ in scores if bar < last]
    if not fills:
        return None
    for bar, score in scores:
        if bar < last:
            rule(desk, bar + 1, score)
    first = fills[0]
    portfolio = _filled(desk, first, last)
    records = portfolio.orders.records
    value = np.asarray(portfolio.value(), dtype=np.float64).ravel()
    return TopAccount(
        bars=np.arange(first, last + 1),
        value=value,
        turnover=_turnover(records, [fill - first for fill in fills], value),
        fills=np.array(fills),
        orders=len(records),
        refused=Refused(desk.suspended, desk.at_limit, desk.today),
        costs=_costs(records, terms),
        held=tuple(desk.held),
    )


def _filled(desk: Desk, first: int, last: int) -> Any:
    """Return vectorbt's account of all wishes: one cash, sales before purchases."""
    rows, terms = slice(first, last + 1), desk.terms
    size = desk.size[rows]
    sells = size < 0
    import vectorbt
    from vectorbt._engine import is_rust_available

    return vectorbt.Portfolio.from_orders(
        desk.marked[rows],
        size=size,
        size_type="amount",
        direction="longonly",
        price=desk.tape.open[rows],
        fees=np.where(sells, terms.commission + terms.stamp_duty, terms.commission),
        slippage=terms.slippage,
        init_cash=terms.cash,
        group_by=np.zeros(size.shape[1], dtype=np.int64),
        cash_sharing=True,
        call_seq="auto",
        engine="rust" if is_rust_available() else "numba",
    )


def _turnover(records: Any, fills: Sequence[int], value: Floats) -> Floats:
    traded = np.bincount(records["idx"], records["size"] * records["price"], minlength=len(value))
    return np.array([traded[fill] / 2 / value[fill] for fill in fills])


def _costs(records: Any, terms: DeskTerms) -> float:
    sells = records["side"] == 1
    slipped = records["size"] * records["price"] * terms.slippage
    slipped = slipped / np.where(sells, 1 - terms.slippage, 1 + terms.slippage)
    return float(records["fees"].sum() + slipped.sum())
