"""Asking a user's strategy, and refusing answers that cannot be filled, in words that say what to mend.

Knows the shapes of answers; knows nothing of money.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import warnings
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.loader import LoadedStrategy, method_of, shown, user_error
from scenario_gen.backtest.orders import SignalOrders, WeightOrders
from scenario_gen.backtest.simulate import is_portfolio
from scenario_gen.backtest.strategy import Bars, Signals, Targets
from scenario_gen.errors import StrategyError

log = logging.getLogger(__name__)

ROUNDING = 1e-9  # of a sum of weights
MOST_UNITS = 1e15
SHOWN = 6  # values of a column level that an error names


def ask(strategy: LoadedStrategy, method: str, *arguments: Any) -> Any:
    """Call one of the strategy's methods; its warnings go to the log, its exceptions to the user.

    Raises:
        StrategyError: the user's code raised; the message shows its own line.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            with strategy.reads.watched():
                answer = getattr(strategy.instance, method)(*arguments)
        except (Exception, SystemExit) as error:  # sys.exit() in a strategy must not end the run in silence
            raise user_error(error, strategy.file, f"{strategy.name}.{method} raised") from error
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        log.warning("%s.%s warned: %s", strategy.name, method, text)
    return answer


def rehearse(strategy: LoadedStrategy, bars: Bars, broker: Broker) -> None:
    """Ask a strategy once and forget the answer: what its code reads while it trades is then known.

    What it raises and warns of is left to the backtest.
    """
    method = method_of(strategy)
    arguments = (bars.lent(), broker) if method == "portfolio" else (bars.lent(),)
    with warnings.catch_warnings(), contextlib.suppress(Exception, SystemExit), strategy.reads.watched():
        warnings.simplefilter("ignore")
        getattr(strategy.instance, method)(*arguments)


def usable_signals(
    strategy: LoadedStrategy, answer: Any, bars: Bars, rows: slice, *, most: float = 1.0, warm: bool = True
) -> SignalOrders:
    """Return the decisions of ``rows`` as arrays [bar, path].

    Args:
        strategy: whose answer it is.
        answer: what it returned.
        bars: what it was shown.
        rows: the decisions to read.
        most: largest size, the broker's leverage.
        warm: whether indicators must be there; else a size that is not is 0, and a stop none.

    Raises:
        StrategyError: not Signals, or a field of another shape, type or range.
    """
    if not isinstance(answer, Signals):
        raise _refused(strategy, "signals", f"returned {_kind(answer)}", "scenario_gen.backtest.Signals(...)")
    if answer.stop_loss is not None and answer.trailing_stop is not None:
        raise _refused(
            strategy,
            "signals",
            "set stop_loss and trailing_stop",
            "one of the two, a trailing stop starts as a stop loss",
        )
    reader = _Reader(strategy, bars, rows, warm=warm)
    stop = answer.stop_loss if answer.trailing_stop is None else answer.trailing_stop
    stop_name = "stop_loss" if answer.trailing_stop is None else "trailing_stop"
    return SignalOrders(
        entries=reader.flags("entries", answer.entries),
        exits=reader.flags("exits", answer.exits),
        short_entries=reader.flags("short_entries", answer.short_entries, optional=True),
        short_exits=reader.flags("short_exits", answer.short_exits, optional=True),
        size=reader.numbers("size", 1.0 if answer.size is None else answer.size, 0.0, most, cold=0.0),
        stop_loss=reader.numbers(stop_name, stop, 0.0, 1.0, above=True),
        take_profit=reader.numbers("take_profit", answer.take_profit, 0.0, np.inf, above=True),
        trailing=answer.trailing_stop is not None,
    )


def usable_weights(
    strategy: LoadedStrategy,
    answer: Any,
    bars: Bars,
    rows: slice,
    broker: Broker,
    shorts: NDArray[np.bool_] | bool | None = None,
) -> WeightOrders:
    """Return the target weights of ``rows``, [bar, column], within the broker's leverage and net.

    Args:
        strategy: whose answer it is.
        answer: what it returned.
        bars: what it was shown.
        rows: the decisions to read.
        broker: of the account.
        shorts: bool [column], whether shorts are opened, which else count for nothing in the net; None: the broker's.

    Raises:
        StrategyError: not a frame like ``bars.close`` (or ``Targets`` with one), or not numbers in [-leverage,
            leverage]; or the absolute weights of a book's assets sum to more, or longs less shorts to more than
            the broker's net. Units are held against the cash at the
            first of the rows.
    """
    asked = answer if isinstance(answer, Targets) else Targets(answer)
    if not isinstance(asked.weights, pd.DataFrame):
        what = f"returned {_kind(asked.weights)}"
        raise _refused(strategy, "weights", what, "a DataFrame shaped like bars.close, or Targets with one")
    whole = isinstance(asked.every, int | np.integer) and not isinstance(asked.every, bool) and asked.every >= 1
    if not whole or not isinstance(asked.band, int | float | np.number) or not 0 <= asked.band < 1:
        what = f"returned Targets with every={asked.every!r} and band={asked.band!r}"
        raise _refused(strategy, "weights", what, "a whole number of bars of at least 1, and a band in [0, 1)")
    reader = _Reader(strategy, bars, rows, "weights")
    most = MOST_UNITS if asked.units else broker.leverage
    weights = reader.numbers("", asked.weights, -most, most)
    worth = weights
    if asked.units:
        worth = weights[:1] * bars.close.to_numpy()[rows][:1] / broker.cash
        reader.refuse_gross(worth, broker.leverage, max(len(bars.assets), 1), "units are worth shares of the cash that")
    elif bars.assets:
        reader.refuse_gross(weights, broker.leverage, len(bars.assets), "the absolute weights")
    if broker.net is not None:
        held = np.where(broker.shorts if shorts is None else shorts, worth, np.maximum(worth, 0.0))
        reader.refuse_net(held, broker.net, max(len(bars.assets), 1))
    due = np.arange(len(weights)) % asked.every == 0
    return WeightOrders(np.where(due[:, None], weights, np.nan), asked.band, asked.units)


def usable_portfolio(strategy: LoadedStrategy, answer: Any, bars: Bars) -> Any:
    """Return the user's ``vectorbt.Portfolio`` once it is seen to cover the generated bars.

    Raises:
        StrategyError: another type, another shape, grouped columns, or no finite starting cash.
    """
    if not is_portfolio(answer):
        raise _refused(strategy, "portfolio", f"returned {_kind(answer)}", "a vectorbt.Portfolio")
    wanted = (len(bars) - bars.context_bars, bars.close.shape[1])
    shape = tuple(answer.wrapper.shape_2d)
    if shape != wanted:
        what = "columns" if bars.assets else "paths"
        raise _refused(
            strategy,
            "portfolio",
            f"returned a portfolio of {shape[0]} bars x {shape[1]} {what}",
            f"{wanted[0]} x {wanted[1]}: the bars after bars.context_bars only",
        )
    if bars.assets:
        _refuse_other_groups(strategy, answer, bars)
    elif answer.wrapper.grouper.is_grouped():
        raise _refused(
            strategy, "portfolio", "grouped its columns", "one account per path: no group_by, no cash_sharing"
        )
    if not (np.isfinite(answer.init_cash) & (np.asarray(answer.init_cash) > 0)).all():
        raise _refused(strategy, "portfolio", "has no positive starting cash", "init_cash=broker.cash")
    return answer


def _refuse_other_groups(strategy: LoadedStrategy, portfolio: Any, bars: Bars) -> None:
    """Refuse a portfolio of several assets whose accounts are not one per path, of all its assets."""
    groups = portfolio.wrapper.grouper.get_groups() if portfolio.wrapper.grouper.is_grouped() else np.empty(0)
    paths = np.repeat(np.arange(bars.close.shape[1] // len(bars.assets)), len(bars.assets))
    if not np.array_equal(groups, paths) or not portfolio.cash_sharing:
        raise _refused(
            strategy,
            "portfolio",
            "does not hold the assets of each path in one account",
            "group_by=bars.close.columns.get_level_values('path_id') and cash_sharing=True",
        )


class _Reader:
    """Reads fields of one answer: the rows that are filled, as arrays [bar, path]."""

    def __init__(
        self, strategy: LoadedStrategy, bars: Bars, rows: slice, method: str = "signals", *, warm: bool = True
    ) -> None:
        self.strategy, self.bars, self.rows, self.method, self.warm = strategy, bars, rows, method, warm

    def flags(self, name: str, value: Any, *, optional: bool = False) -> NDArray[np.bool_]:
        """Return a bool field; None is all false where the field is optional."""
        if value is None and optional:
            return np.zeros(self._shape(), dtype=bool)
        frame = self._aligned(name, value)
        strange = [str(dtype) for dtype in frame.dtypes.unique() if dtype not in (bool, "boolean")]
        if strange or frame.isna().to_numpy().any():
            raise self._refused(
                f"{name} holds {', '.join(strange) or 'missing values'}",
                "True and False only",
                "compare numbers to get booleans; after .shift(1) write .shift(1, fill_value=False)",
            )
        return np.ascontiguousarray(frame.iloc[self.rows].to_numpy(dtype=bool))

    def numbers(
        self, name: str, value: Any, low: float, high: float, *, above: bool = False, cold: float = np.nan
    ) -> Floats:
        """Return a number or frame as float64; None is NaN (no such stop), and so is what is not warm (``cold``)."""
        if value is None:
            return np.full(self._shape(), np.nan)
        if isinstance(value, int | float | np.number) and not isinstance(value, bool):
            array = np.full(self._shape(), float(value))
        else:
            array = self._array(name, value)
        inside = (array > low if above else array >= low) & (array < high if above else array <= high)
        if not self.warm:
            return np.where(inside, array, cold)
        if not inside.all():
            raise self._out_of_range(
                name, array, inside, f"{'(' if above else '['}{low:g}, {high:g}{')' if above else ']'}"
            )
        return array

    def refuse_gross(self, weights: Floats, most: float, assets: int, what: str) -> None:
        """Refuse weights of a book whose absolute values sum to more than the leverage, but for rounding."""
        gross = np.abs(weights).reshape(len(weights), -1, assets).sum(axis=2)  # [bar, path]
        over = gross > most * (1 + ROUNDING)
        if over.any():
            row, path = np.argwhere(over)[0]
            raise self._refused(
                f"{what} sum to {gross[row, path]:g} at {self._place(row, path * assets, of_path=True)} "
                f"({int(over.sum())} such bars and paths)",
                f"at most {most:g}, the broker's leverage, over all assets",
                "divide them by their sum, or raise broker.leverage",
            )

    def refuse_net(self, weights: Floats, most: float, assets: int) -> None:
        """Refuse weights whose longs less shorts are further from 0 than the broker's net, but for rounding."""
        net = np.nan_to_num(weights).reshape(len(weights), -1, assets).sum(axis=2)  # [bar, path]
        over = np.abs(net) > most + ROUNDING * max(most, 1.0)
        if over.any():
            row, path = np.argwhere(over)[0]
            raise self._refused(
                f"longs less shorts come to {net[row, path]:g} at {self._place(row, path * assets, of_path=True)} "
                f"({int(over.sum())} such bars and paths)",
                f"between {-most:g} and {most:g}, the broker's net",
                "set shorts against longs, hold less, or raise broker.net",
            )

    def _place(self, row: int, column: int, *, of_path: bool = False) -> str:
        """Return a place of the answer for a person to read: its stamp, its path and, of several, its asset."""
        name = self.bars.close.columns[column]
        path, *asset = name if isinstance(name, tuple) else (name,)
        words = "" if of_path or not asset else f", asset {asset[0]}"
        return f"{self.bars.close.index[self.rows][row]}, path {path}{words}"

    def _array(self, name: str, value: Any) -> Floats:
        frame = self._aligned(name, value)
        if strange := [str(dtype) for dtype in frame.dtypes.unique() if dtype.kind == "c"]:
            raise self._refused(f"{name} holds {', '.join(strange)}", "real numbers")
        try:
            return np.ascontiguousarray(frame.iloc[self.rows].to_numpy(dtype=np.float64, na_value=np.nan))
        except (TypeError, ValueError) as error:
            raise self._refused(f"{name} holds something else than numbers ({error})", "numbers") from error

    def _aligned(self, name: str, value: Any) -> pd.DataFrame:
        close = self.bars.close
        if not isinstance(value, pd.DataFrame):
            raise self._refused(f"{name} is {_kind(value)}", "a DataFrame shaped like bars.close")
        value = self._of_paths(name, value)
        if value.shape != close.shape:
            raise self._refused(
                f"{name} has {value.shape[0]} bars x {value.shape[1]} {'columns' if self.bars.assets else 'paths'}",
                f"{close.shape[0]} x {close.shape[1]}, like bars.close (the context included)",
            )
        if not (value.index.equals(close.index) and value.columns.equals(close.columns)):
            raise self._refused(f"{name} has another index or other columns", "those of bars.close, in the same order")
        return value

    def _of_paths(self, name: str, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a frame without the levels of an indicator's parameters, vectorbt's ``ma_window`` and the like."""
        names, own = list(frame.columns.names), list(self.bars.close.columns.names)
        if len(names) == len(own) or not set(own) <= set(names):
            return frame
        for place, level in enumerate(names):
            values = frame.columns.get_level_values(place).unique().tolist()
            if level not in own and len(values) > 1:
                listed = ", ".join(str(value) for value in values[:SHOWN]) + (", ..." if len(values) > SHOWN else "")
                raise self._refused(
                    f"{name} has a column level {level} of {len(values)} values ({listed}) beside the paths",
                    "one combination of an indicator's parameters, so that each path has one column",
                    f"make the parameter a field of the strategy and vary it by 'params' in the spec, or keep one "
                    f"with .xs({values[0]!r}, axis=1, level={level!r})",
                )
        others = [place for place, level in enumerate(names) if level not in own]
        return frame.set_axis(frame.columns.droplevel(others), axis=1)

    def _out_of_range(self, name: str, array: Floats, inside: NDArray[np.bool_], wanted: str) -> StrategyError:
        row, path = np.argwhere(~inside)[0]
        return self._refused(
            f"{name} is {array[row, path]:g} at {self._place(row, path)} ({int((~inside).sum())} such values)",
            f"numbers in {wanted} from the last context bar on",
            "fill the warm-up with .fillna(0.0) or lengthen bars.context, and .clip() what leaves the range",
        )

    def _shape(self) -> tuple[int, int]:
        return (self.rows.stop - self.rows.start, self.bars.close.shape[1])

    def _refused(self, problem: str, expected: str, fix: str = "") -> StrategyError:
        return _refused(self.strategy, self.method, problem.strip(), expected, fix)


def _refused(strategy: LoadedStrategy, method: str, problem: str, expected: str, fix: str = "") -> StrategyError:
    return StrategyError(
        f"{strategy.name}.{method}: {problem}",
        expected=expected,
        fix=fix or f"correct {method} in {shown(strategy.file)}",
    )


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


# What a strategy decides at each bar of given bars, as arrays: whatever its form, and before any money


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
        rows = slice(bars.context_bars - 1, len(bars))
        if method == "weights":
            usable_weights(strategy, answer, bars, rows, broker)
        else:
            usable_signals(strategy, answer, bars, rows, most=broker.leverage)
    if isinstance(answer, Signals):
        fields = {field.name: getattr(answer, field.name) for field in dataclasses.fields(Signals)}
    else:
        fields = {"weights": answer.weights if isinstance(answer, Targets) else answer}
    return {name: _array(strategy, name, value, bars) for name, value in fields.items()}


def changed(first: Decisions, other: Decisions, tolerance: float = 0.0) -> dict[str, NDArray[np.bool_]]:
    """Return where two answers to bars of the same shape differ, bool [bar, path] for each field.

    Args:
        first: some decisions; NaN equals NaN.
        other: others, of the same fields.
        tolerance: relative to the larger of two numbers; 0 asks for the same bits.
    """
    return {name: _differs(values, other[name], tolerance) for name, values in first.items()}


def is_idle(decisions: Decisions) -> bool:
    """Return whether nothing is wanted at any bar: no entry, no weight, no order."""
    wishes = [decisions[n] for n in ("entries", "short_entries", "weights", "order size") if n in decisions]
    return not any(np.any(np.nan_to_num(values) != 0) for values in wishes)


def _differs(first: Floats, other: Floats, tolerance: float) -> NDArray[np.bool_]:
    same = (first == other) | (np.isnan(first) & np.isnan(other))
    if tolerance:
        largest = np.fmax(np.abs(first), np.abs(other))
        same |= np.abs(first - other) <= tolerance * largest
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
