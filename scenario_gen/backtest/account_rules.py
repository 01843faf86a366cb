"""The rules of an account: what it must gain, what it may lose, and for how long; those of challenges and of mandates.

Owns the judgement of paths: which rule ends each of them, and at which bar. Fed with equity at closes and with how far
it swings inside each bar; knows neither strategies nor how paths are summed up. The section of a spec stands in
``broker.py``.

The order inside a bar is the worst: the highest equity comes before the lowest, and a loss before the target, which is
reached at a close alone. Equity counts open positions at their price, as the rules of such accounts have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest.broker import LOSS_RULES, AccountRules, Rule
from scenario_gen.stats.estimate import Estimate, quantile, share
from scenario_gen.stats.weights import Weights

if TYPE_CHECKING:
    import pandas as pd

    from scenario_gen.backtest.account import Account, Swings

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
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


def account_result(rules: AccountRules, paths: pd.DataFrame, weights: Weights | None = None) -> AccountResult:
    """Sum up how the paths of one strategy end.

    Args:
        rules: of the account.
        paths: one row per path, with the columns of :data:`ENDING` and :data:`AT`.
        weights: of the paths, where they do not all stand for as much.
    """
    ending, bar = paths[ENDING].to_numpy(), paths[AT].to_numpy(dtype=np.float64) + 1
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
