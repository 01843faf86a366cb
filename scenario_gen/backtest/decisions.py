"""What a strategy decides at each bar of given bars, as arrays: whatever its form, and before any money.

Knows the three forms of answers; knows nothing of why somebody asks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.answers import ask, usable_portfolio, usable_signals, usable_weights
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.loader import LoadedStrategy, method_of
from scenario_gen.backtest.strategy import Bars, Signals
from scenario_gen.errors import StrategyError

# Field name -> float64 [bar, path] over context and path; flags are 0 and 1, NaN is "no such stop".
Decisions: TypeAlias = Mapping[str, Floats]
ORDER_FIELDS = ("order size", "order price")


def decide(strategy: LoadedStrategy, bars: Bars, broker: Broker, *, judged: bool = True) -> Decisions:
    """Return everything that the strategy decides on these bars.

    Of a ``portfolio`` strategy, whose decisions nobody sees, the filled orders are returned instead.

    Args:
        strategy: whom to ask.
        bars: context and path.
        broker: what a ``portfolio`` strategy is given.
        judged: refuse answers that could not be filled, as a backtest does; without it only their shapes matter.

    Raises:
        StrategyError: the strategy raised, or returned something unusable.
    """
    method = method_of(strategy)
    if method == "portfolio":
        return _orders(usable_portfolio(strategy, ask(strategy, method, bars.lent(), broker), bars), bars)
    answer = ask(strategy, method, bars.lent())
    if judged:
        usable = usable_weights if method == "weights" else usable_signals
        usable(strategy, answer, bars, slice(bars.context_bars - 1, len(bars)))
    if isinstance(answer, Signals):
        fields = {field.name: getattr(answer, field.name) for field in dataclasses.fields(Signals)}
    else:
        fields = {"weights": answer}
    return {name: _array(strategy, name, value, bars) for name, value in fields.items()}


def changed(one: Decisions, other: Decisions, tolerance: float = 0.0) -> dict[str, NDArray[np.bool_]]:
    """Return where two answers to bars of the same shape differ, bool [bar, path] for each field.

    Args:
        one: some decisions; NaN equals NaN.
        other: others, of the same fields.
        tolerance: relative to the larger of two numbers; 0 asks for the same bits.
    """
    return {name: _differs(values, other[name], tolerance) for name, values in one.items()}


def is_idle(decisions: Decisions) -> bool:
    """Return whether nothing is wanted at any bar: no entry, no weight, no order."""
    wishes = [decisions[n] for n in ("entries", "short_entries", "weights", "order size") if n in decisions]
    return not any(np.any(np.nan_to_num(values) != 0) for values in wishes)


def _differs(one: Floats, other: Floats, tolerance: float) -> NDArray[np.bool_]:
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    if tolerance:
        largest = np.fmax(np.abs(one), np.abs(other))
        same |= np.abs(one - other) <= tolerance * largest
    return np.asarray(~same)


def _array(strategy: LoadedStrategy, name: str, value: Any, bars: Bars) -> Floats:
    """Return one field as float64 [bar, path]: None is NaN, a number is the same everywhere."""
    shape = bars.close.shape
    if isinstance(value, pd.DataFrame):
        if value.shape != shape:
            raise StrategyError(
                f"{strategy.name}: {name} has {value.shape[0]} bars x {value.shape[1]} paths on changed bars",
                expected=f"{shape[0]} x {shape[1]}, like bars.close",
            )
        return np.asarray(value.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.full(shape, np.nan if value is None else float(value))


def _orders(portfolio: Any, bars: Bars) -> Decisions:
    """Return the orders of a ``vectorbt.Portfolio`` at their bars; it has at most one per bar and path."""
    records = portfolio.order_records
    size, price = (np.zeros(bars.close.shape) for _ in ORDER_FIELDS)
    at = (bars.context_bars + records["idx"], records["col"])
    size[at] = np.where(records["side"] == 0, records["size"], -records["size"])  # vectorbt: 0 buys
    price[at] = records["price"]
    return dict(zip(ORDER_FIELDS, (size, price), strict=True))
