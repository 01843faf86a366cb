"""From filled orders to an account: equity, exposure, traded value and fees at each bar, and the bar of ruin.

And how far equity swings inside each bar, where positions meet its low and its high. Plain arithmetic on arrays; knows
neither strategies nor vectorbt.

The rules of an account: what it must gain, what it may lose, and for how long; those of challenges and of mandates.

Owns the judgement of paths: which rule ends each of them, and at which bar. Fed with equity at closes and with how far
it swings inside each bar; knows neither strategies nor how paths are summed up. The section of a spec stands in
``broker.py``.

The order inside a bar is the worst: the highest equity comes before the lowest, and a loss before the target, which is
reached at a close alone. Equity counts open positions at their price, as the rules of such accounts have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest.broker import LOSS_RULES, AccountRules, Rule
from scenario_gen.stats.estimate import ByName, Estimate, quantile, share
from scenario_gen.stats.weights import Weights

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# A position this small against everything ever traded on the path is rounding left by adding and subtracting
# the same number: float64 carries 16 digits, of which some hundreds of orders spoil three at most.
DUST = 1e-12

# An account left with less than this share of its starting cash is ruined.
RUINED = 1e-9


@dataclass(frozen=True)
class Orders:
    """Filled orders of many paths."""

    path: Ints  # int64 [order], column number
    bar: Ints  # int64 [order], from 0 at the first generated bar
    size: Floats  # float64 [order], units, positive bought and negative sold
    price: Floats  # float64 [order], fill price with slippage
    fees: Floats  # float64 [order], in quote currency
    quoted: Floats  # float64 [order], the price before slippage: open, close or a level in between


@dataclass(frozen=True)
class Account:
    """What the orders made of the starting cash.

    A path is ruined at the first close at which its equity is below a billionth of the starting cash. The
    account is closed there: equity, exposure, traded value and fees are zero from then on.
    """

    equity: Floats  # float64 [path, bar + 1]; the starting cash and then the equity at each close, never negative
    exposure: Floats  # float64 [path, bar], position value over equity at the close, negative when short
    traded: Floats  # float64 [path, bar], value bought plus value sold
    fees: Floats  # float64 [path, bar], the cost of borrowing included
    ruin: Ints  # int64 [path], the bar of ruin, or the number of bars where there is none
    # float64 [path, bar, asset]: what each asset earned, costs in, of sum the change of equity; and the value held
    # of it at the close over equity, negative when short
    profit: Floats
    holding: Floats

    @property
    def gross(self) -> Floats:
        """The absolute share of equity in the market at each close, all assets together, float64 [path, bar]."""
        return np.asarray(np.abs(self.holding).sum(axis=2))


def settle(orders: Orders, close: Floats, cash: Floats, financing: Floats | None = None, *, assets: int = 1) -> Account:
    """Return the account of every path.

    A column is one asset of a path; those of a path stand together, share its cash and are ruined together.

    Args:
        orders: all fills, of columns.
        close: float64 [column, bar].
        cash: float64 [path], starting cash.
        financing: float64 [column, bar], what borrowing cost at each close; counted among the fees.
        assets: columns of a path.
    """
    bars = close.shape[1]
    value = orders.size * orders.price
    units = np.cumsum(_per_bar(orders, orders.size, close.shape), axis=1)  # [column, bar]
    gross = np.cumsum(_per_bar(orders, np.abs(orders.size), close.shape), axis=1)
    position = np.where(np.abs(units) <= DUST * gross, 0.0, units) * close
    fees = _per_bar(orders, orders.fees, close.shape)
    if financing is not None:
        fees = fees + financing
    spent = np.cumsum(_per_bar(orders, value, close.shape) + fees, axis=1)

    def together(columns: Floats) -> Floats:
        """Sum the columns of each path, float64 [path, bar]."""
        return np.asarray(columns.reshape(-1, assets, bars).sum(axis=1))

    equity = cash[:, None] - together(spent) + together(position)
    ruin = _first_true(equity <= RUINED * cash[:, None])
    alive = np.arange(bars) < ruin[:, None]
    before = np.arange(bars) <= ruin[:, None]  # the bar of ruin itself still traded and paid
    equity = np.column_stack([cash, np.where(alive, equity, 0.0)])
    held = np.divide(
        position.reshape(-1, assets, bars),
        equity[:, None, 1:],
        out=np.zeros((len(cash), assets, bars)),
        where=alive[:, None],
    )
    gained = np.diff((position - spent).reshape(-1, assets, bars), axis=2, prepend=0.0)
    return Account(
        equity=equity,
        exposure=held.sum(axis=1),
        traded=np.where(before, together(_per_bar(orders, np.abs(value), close.shape)), 0.0),
        fees=np.where(before, together(fees), 0.0),
        ruin=ruin,
        profit=_borne(gained, equity, ruin).swapaxes(1, 2),
        holding=held.swapaxes(1, 2),
    )


def _borne(gained: Floats, equity: Floats, ruin: Ints) -> Floats:
    """Return what each asset earned of an account that loses no more than it has, float64 [path, asset, bar].

    At the bar of ruin the losses of the assets are cut alike to what there was; later nothing is earned.
    """
    paths = np.flatnonzero(ruin < gained.shape[2])
    if not len(paths):
        return gained
    earned = np.where(np.arange(gained.shape[2]) <= ruin[:, None, None], gained, 0.0)
    last = earned[paths, :, ruin[paths]]  # [ruined path, asset]
    lost, won = np.minimum(last, 0.0), np.maximum(last, 0.0)
    there = equity[paths, ruin[paths]] + won.sum(axis=1)
    earned[paths, :, ruin[paths]] = won + lost * (there / -lost.sum(axis=1))[:, None]
    return earned


@dataclass(frozen=True)
class Swings:
    """The lowest and the highest equity inside each bar, float64 [path, bar].

    Both ends of a bar are reached by whatever was held then, in whichever order hurts: which came first, a candle
    does not say, nor whether assets of a book met theirs at one moment, as is taken to be. A position that was
    stopped at a level is marked down to that level and no further, one that left at the open at the open alone.
    """

    low: Floats
    high: Floats


ORDER_FIELDS = tuple(field.name for field in fields(Orders))
AT_OPEN, INSIDE, AT_CLOSE = 0, 1, 2  # when in its bar an order was filled
SAME_PRICE = 1e-9  # relative: what undoing slippage in float64 leaves of a price


def swings(orders: Orders, account: Account, bars: Mapping[str, Floats], *, at_close: bool) -> Swings:
    """Return how far the equity of every path swings inside each bar.

    Args:
        orders: all fills, those of a column and bar in the order in which they happened.
        account: what :func:`settle` made of them.
        bars: ``open``, ``high``, ``low`` and ``close``, float64 [column, bar].
        at_close: whether orders are filled at closes: where open and close are one price, that is when.
    """
    closing, (paths, horizon, assets) = account.equity[:, 1:], account.holding.shape
    if assets == 1:
        return _swings_of_columns(orders, account.equity, account.exposure * closing, account.ruin, bars, at_close)
    earned = np.cumsum(account.profit, axis=1).swapaxes(1, 2).reshape(-1, horizon)  # [column, bar]
    position = (account.holding * closing[:, :, None]).swapaxes(1, 2).reshape(-1, horizon)
    equity = np.column_stack([np.zeros(len(earned)), earned])
    each = _swings_of_columns(orders, equity, position, np.repeat(account.ruin, assets), bars, at_close)
    low, high = ((end - earned).reshape(paths, assets, horizon).sum(axis=1) for end in (each.low, each.high))
    return Swings(closing + low, closing + high)


def _swings_of_columns(
    orders: Orders, equity: Floats, position: Floats, ruin: Ints, bars: Mapping[str, Floats], at_close: bool
) -> Swings:
    """Return the swings of the money in each column: its equity [column, bar + 1] and position at closes."""
    closing, shape = equity[:, 1:], bars["close"].shape
    units, cash = position / bars["close"], closing - position  # [path, bar], at the end of each bar
    low, high = (ends.ravel() for ends in _ends(cash, units, bars["low"], bars["high"]))
    if len(orders.path):
        cell = orders.path * shape[1] + orders.bar
        by_cell = np.argsort(cell, kind="stable")
        fills = Orders(*(getattr(orders, name)[by_cell] for name in ORDER_FIELDS))
        cell = cell[by_cell]
        first = np.flatnonzero(np.diff(cell, prepend=-1))
        moment = _moments(fills, cell, bars, at_close=at_close)
        last = np.append(first[1:], len(cell)) - 1
        late = cell[last[moment[last] == AT_CLOSE]]  # what was bought at a close has met nothing of its bar
        low[late] = high[late] = closing.ravel()[late]
        ends = _ends(*_held_before(fills, first, units, cash, equity[:, 0]), *_met(fills, moment, cell, first, bars))
        low[cell[first]] = np.minimum(low[cell[first]], np.minimum.reduceat(ends[0], first))
        high[cell[first]] = np.maximum(high[cell[first]], np.maximum.reduceat(ends[1], first))
    alive = np.arange(shape[1]) <= ruin[:, None]
    low, high = np.minimum(low.reshape(shape), closing), np.maximum(high.reshape(shape), closing)
    return Swings(np.where(alive, low, 0.0), np.where(alive, high, 0.0))


def _ends(cash: Floats, units: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Return the lower and the higher equity at two prices."""
    at_low, at_high = cash + units * low, cash + units * high
    return np.minimum(at_low, at_high), np.maximum(at_low, at_high)


def _moments(fills: Orders, cell: Ints, bars: Mapping[str, Floats], *, at_close: bool) -> Ints:
    """Return when in its bar each order was filled, by the price before slippage [order]."""
    same = [np.abs(fills.quoted / bars[name].ravel()[cell] - 1) <= SAME_PRICE for name in ("open", "close")]
    opened, closed = same[0] & ~(same[1] & at_close), same[1]
    return np.where(opened, AT_OPEN, np.where(closed, AT_CLOSE, INSIDE))


def _held_before(fills: Orders, first: Ints, units: Floats, cash: Floats, start: Floats) -> tuple[Floats, Floats]:
    """Return cash and units before each order [order]: those of the close before, and what its bar traded since."""
    none = np.zeros((len(units), 1))
    group = np.repeat(first, np.diff(np.append(first, len(fills.path))))

    def since(amounts: Floats) -> Floats:
        sums = np.cumsum(amounts) - amounts
        return sums - sums[group]

    earlier = (
        np.column_stack([start, cash])[fills.path, fills.bar],
        np.column_stack([none, units])[fills.path, fills.bar],
    )
    return earlier[0] - since(fills.size * fills.price + fills.fees), earlier[1] + since(fills.size)


def _met(fills: Orders, moment: Ints, cell: Ints, first: Ints, bars: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """Return the lowest and the highest price that was met between an order and the one before it [order].

    Before an order at the open that is the open. Before one at a level inside the bar it is the level on its own side
    of the price before, and the bar's end on the other; before one at the close it is both ends.
    """
    opened, low, high = (bars[name].ravel()[cell] for name in ("open", "low", "high"))
    before = np.concatenate([[0.0], fills.quoted[:-1]])
    before[first] = opened[first]
    level, inside = fills.quoted, moment == INSIDE
    lowest = np.where(inside & (level <= before), level, low)
    highest = np.where(inside & (level >= before), level, high)
    at_open = moment == AT_OPEN
    return np.where(at_open, opened, lowest), np.where(at_open, opened, highest)


def _per_bar(orders: Orders, amounts: Floats, shape: tuple[int, ...]) -> Floats:
    """Sum amounts per path and bar, float64 [path, bar]."""
    cell = orders.path * shape[1] + orders.bar
    sums = np.bincount(cell, weights=amounts, minlength=shape[0] * shape[1])
    return np.asarray(sums, dtype=np.float64).reshape(shape)


def _first_true(mask: NDArray[np.bool_]) -> Ints:
    """Return the first true bar of each path, or the number of bars; int64 [path]."""
    return np.asarray(np.where(mask.any(axis=1), mask.argmax(axis=1), mask.shape[1]), dtype=np.int64)


# --- The rules of an account: what it must gain, what it may lose, and for how long ---


if TYPE_CHECKING:
    pass

Ending: TypeAlias = Literal["passed", "daily_loss", "max_loss", "trailing_drawdown", "idle", "unfinished"]
PASSED: Ending = "passed"
UNFINISHED: Ending = "unfinished"  # the days or the path were over before the target and before any loss
IDLE: Ending = "idle"  # unfinished although the target was reached: it ordered on fewer days than it takes to pass
ENDINGS: tuple[Ending, ...] = (PASSED, *LOSS_RULES, IDLE, UNFINISHED)
TITLES = {"daily_loss": "daily loss", "max_loss": "maximum loss", "trailing_drawdown": "trailing drawdown"}
ROUNDING = 1e-9  # of the starting cash: 100 x 1.1 is 110.00000000000001, and 110 reaches it


@dataclass(frozen=True)
class Endings:
    """How each path ends under the rules."""

    ending: NDArray[np.str_]  # [path], one of :data:`ENDINGS`
    bar: Ints  # int64 [path], the bar at whose close or inside which it ends; the last one of those unfinished


@dataclass(frozen=True)
class AccountResult:
    """How the paths of one strategy end under the rules of the account; the shares add up to 1."""

    passed: Estimate  # share of paths that pass
    broken: dict[str, Estimate]  # by each loss rule that was declared, the share that it ends
    unfinished: Estimate  # share without an end when the days, or the paths, are over
    idle: Estimate | None  # of those that had the target, but ordered on too few days; None where none are asked for
    bars_to_pass: Estimate  # median of those that pass, counted from 1 at the first generated bar
    bars_to_loss: Estimate  # median of those that a loss rule ends


def judge_account(rules: AccountRules, account: Account, swings: Swings, day: Ints) -> Endings:
    """Return which rule ends each path, and at which bar.

    A level that is reached is broken. Of several that one bar breaks, the one with the highest floor is named: equity
    comes to it first.

    Args:
        rules: of the account.
        account: of every path, with equity at each close.
        swings: of its equity inside each bar.
        day: int64 [bar], the trading day of each bar, counted from 0.
    """
    floors = np.stack(list(_floors(rules, account.equity, swings, day).values()))  # [rule, path, bar]
    bars = np.arange(len(day))
    last = len(day) - 1 if rules.days is None else int(np.searchsorted(day, rules.days)) - 1  # that still counts
    start = account.equity[:, :1]
    broken = (swings.low <= floors + ROUNDING * start) & (bars <= last)
    lost = _first(np.any(broken, axis=0), last + 1)
    reached = _reached(rules, account, last)
    won = _first(reached & _traded_enough(rules, account, day), last + 1)
    at = np.minimum(lost, last)
    here = np.take_along_axis(np.where(broken, floors, -np.inf), at[None, :, None], axis=2)[..., 0]  # [rule, path]
    names = np.array([*rules.declared])[here.argmax(axis=0)]
    ended = np.minimum(lost, won)
    ending = np.where(lost <= won, names, PASSED)
    ending = np.where(ended <= last, ending, np.where(reached.any(axis=1), IDLE, UNFINISHED))
    return Endings(ending, np.minimum(ended, last).astype(np.int64))


def _floors(rules: AccountRules, equity: Floats, swings: Swings, day: Ints) -> dict[Rule, Floats]:
    """Return the equity at which each rule is broken, float64 [path, bar]."""
    start, current = equity[:, :1], rules.loss_of == "current"
    floors: dict[Rule, Floats] = {}
    if rules.daily_loss is not None:
        opening = equity[:, np.searchsorted(day, day)]  # at the close before the day's first bar
        floors["daily_loss"] = opening - rules.daily_loss * (opening if current else start)
    if rules.max_loss is not None:
        floors["max_loss"] = np.broadcast_to(start * (1 - rules.max_loss), swings.low.shape)
    if rules.trailing_drawdown is not None:
        peak = _peak(rules, equity, swings, day)
        floor = peak - rules.trailing_drawdown * (peak if current else start)
        floors["trailing_drawdown"] = np.minimum(floor, start) if rules.trail_lock else floor
    return floors


def _peak(rules: AccountRules, equity: Floats, swings: Swings, day: Ints) -> Floats:
    """Return the highest equity that the drawdown trails at each bar, float64 [path, bar]."""
    if rules.trail == "intraday":
        return np.maximum(np.maximum.accumulate(swings.high, axis=1), equity[:, :1])
    ends = equity[:, np.unique(np.searchsorted(day, day))]  # the start, and each day's last close but the last one's
    return np.maximum.accumulate(ends, axis=1)[:, day - day[0]]


def _reached(rules: AccountRules, account: Account, last: int) -> NDArray[np.bool_]:
    """Return at which closes an account has its target, or its last day behind it, bool [path, bar]."""
    equity = account.equity
    bars = np.arange(account.traded.shape[1])
    if rules.target is None:
        return np.broadcast_to(bars == last, account.traded.shape)
    return np.asarray((equity[:, 1:] >= equity[:, :1] * (1 + rules.target - ROUNDING)) & (bars <= last))


def _traded_enough(rules: AccountRules, account: Account, day: Ints) -> NDArray[np.bool_]:
    """Return at which closes an account has ordered on as many days as it takes, bool [path, bar]."""
    starts = np.searchsorted(day, day)
    so_far = np.cumsum(account.traded > 0, axis=1)
    before = np.column_stack([np.zeros(len(so_far), dtype=np.int64), so_far])[:, starts]  # bars of earlier days
    first_of_day = (account.traded > 0) & (so_far - before == 1)
    return np.asarray(np.cumsum(first_of_day, axis=1) >= (rules.min_days or 0))


def _first(mask: NDArray[np.bool_], otherwise: int) -> Ints:
    """Return the first true bar of each path, or another number where there is none; int64 [path]."""
    return np.asarray(np.where(mask.any(axis=1), mask.argmax(axis=1), otherwise), dtype=np.int64)


ENDING, AT = "account", "account_bar"  # columns beside the metrics of every path


def account_result(rules: AccountRules, paths: ByName, weights: Weights | None = None) -> AccountResult:
    """Sum up how the paths of one strategy end.

    Args:
        rules: of the account.
        paths: one row per path, with the columns of :data:`ENDING` and :data:`AT`.
        weights: of the paths, where they do not all stand for as much.
    """
    ending, bar = np.asarray(paths[ENDING]), np.asarray(paths[AT], dtype=np.float64) + 1
    passed, lost = ending == PASSED, np.isin(ending, [*rules.declared])

    def median(which: NDArray[np.bool_]) -> Estimate:
        return quantile(bar[which], 0.5, None if weights is None else weights.where(which))

    return AccountResult(
        passed=share(passed, weights),
        broken={rule: share(ending == rule, weights) for rule in rules.declared},
        unfinished=share(ending == UNFINISHED, weights),
        idle=None if rules.min_days is None else share(ending == IDLE, weights),
        bars_to_pass=median(passed),
        bars_to_loss=median(lost),
    )
