"""Markets to trade, strategies that do as told, and a plain-loop broker that shares no code with the engine."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest import Bars, LoadedStrategy, Signals
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.ground import Ground
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet

CONTEXT_BARS = 40
OHLC = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Market:
    context: Candles
    paths: PathSet

    def ground(self, broker: Broker | None = None, **more: Any) -> Ground:
        return replace(Ground.of(self.context, bars_per_year=252.0, broker=broker), **more)

    def future(self, name: str) -> np.ndarray:
        """float64 [path, bar]"""
        return self.paths.column(name).astype(np.float64)


def walk(rng: np.random.Generator, paths: int, bars: int, volatility: float, drift: float, start: float) -> np.ndarray:
    """Random candles [path, bar, ohlcv]: gap, body and two wicks, valid by construction."""
    gap, body = (rng.normal(drift / 2, volatility / np.sqrt(2), (paths, bars)) for _ in range(2))
    close = start * np.exp(np.cumsum(gap + body, axis=1))
    before = np.concatenate([np.full((paths, 1), start), close[:, :-1]], axis=1)
    opened = before * np.exp(gap)
    wick = np.abs(rng.normal(0, volatility / 2, (2, paths, bars)))
    high, low = np.maximum(opened, close) * np.exp(wick[0]), np.minimum(opened, close) * np.exp(-wick[1])
    return np.stack([opened, high, low, close, rng.uniform(1e5, 1e6, (paths, bars))], axis=2)


@pytest.fixture(scope="session", name="walk")
def walk_fixture() -> Callable[..., np.ndarray]:
    return walk


@pytest.fixture(scope="session")
def make_market() -> Callable[..., Market]:
    """Build a market of random candles, or of given ones: values [path, bar, ohlc]."""

    def make(
        *,
        paths: int = 8,
        bars: int = 30,
        seed: int = 0,
        volatility: float = 0.02,
        drift: float = 0.0,
        values: Any = None,
        context: np.ndarray | None = None,
    ) -> Market:
        rng = np.random.default_rng(seed)
        past = walk(rng, 1, CONTEXT_BARS, 0.02, 0.0, 100.0)[0] if context is None else context
        if values is None:
            values = walk(rng, paths, bars, volatility, drift, float(past[-1, 3]))
        array = np.asarray(values, dtype=np.float32)
        fields = (*OHLC, "volume")[: array.shape[2]]
        stamps = pd.bdate_range("2020-01-01", periods=len(past) + array.shape[1])
        return Market(
            Candles(stamps[: len(past)], past[:, : len(fields)], fields),
            PathSet(array, fields, stamps[len(past) :], np.arange(len(array), dtype=np.int64), float(past[-1, 3])),
        )

    return make


@dataclass(frozen=True)
class Told:
    """Signals given as arrays [bar, path] over context and path, found again by path id."""

    entries: np.ndarray
    exits: np.ndarray
    short_entries: np.ndarray | None = None
    short_exits: np.ndarray | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def signals(self, bars: Bars) -> Signals:
        def frame(array: np.ndarray | None) -> pd.DataFrame | None:
            if array is None:
                return None
            return pd.DataFrame(array[:, bars.close.columns], index=bars.close.index, columns=bars.close.columns)

        return Signals(
            frame(self.entries), frame(self.exits), frame(self.short_entries), frame(self.short_exits), **self.extra
        )


@dataclass(frozen=True)
class Weighted:
    """Target weights given as an array [bar, path] over context and path."""

    array: np.ndarray

    def weights(self, bars: Bars) -> pd.DataFrame:
        return pd.DataFrame(self.array[:, bars.close.columns], index=bars.close.index, columns=bars.close.columns)


@pytest.fixture(scope="session")
def told() -> type[Told]:
    return Told


@pytest.fixture(scope="session")
def weighted() -> type[Weighted]:
    return Weighted


@pytest.fixture(scope="session")
def loaded() -> Callable[[Any], LoadedStrategy]:
    """Wrap an object of this test tree as a loaded strategy."""

    def wrap(instance: Any, file: Path = Path(__file__)) -> LoadedStrategy:
        return LoadedStrategy(type(instance).__name__, "here.py:" + type(instance).__name__, {}, instance, file)

    return wrap


@dataclass
class LoopAccount:
    """One account that buys, sells and is stopped, one event after the other."""

    broker: Broker
    cash: float
    units: float = 0.0
    entry: float = 0.0
    best: float = 0.0
    stop: float | None = None
    take: float | None = None
    trailing: bool = False
    target_first: bool = False
    paid: float = 0.0
    traded: float = 0.0
    room: float = np.inf  # units that this bar's volume still allows
    span: float = 0.0  # this bar's high less its low
    leaving: bool = False
    trades: list[dict[str, Any]] = field(default_factory=list)

    def price(self, side: float, price: float) -> float:
        broker = self.broker
        return max(price * (1 + side * broker.slippage) + side * broker.slippage_range * self.span, 0.0)

    def fee(self, value: float) -> float:
        return max(self.broker.fee_per_order + self.broker.fees * value, self.broker.fee_minimum)

    def affordable(self, budget: float, fill: float) -> float:
        """The units that the budget buys, their fee included: what is left for them after either kind of fee."""
        by_share = (budget - self.broker.fee_per_order) / (1 + self.broker.fees)
        return max(0.0, min(by_share, budget - self.broker.fee_minimum) / fill)

    def order(self, units: float, price: float) -> tuple[float, float, float]:
        """Trade at the price plus slippage; return units, fill price and fee."""
        side, size = np.sign(units), min(abs(units), self.room)
        if self.broker.lot is not None:
            size = np.floor(size / self.broker.lot + 1e-9) * self.broker.lot
        fill = self.price(side, price)
        fee = self.fee(size * fill) if size > 0 else 0.0
        self.cash -= side * size * fill + fee
        self.units += side * size
        self.room -= size
        self.paid += fee
        self.traded += size * fill
        return side * size, float(fill), fee

    def enter(self, side: int, price: float, share: float, bar: int) -> None:
        units = side * self.affordable(share * self.cash, self.price(side, price))
        size, self.entry, fee = self.order(units, price)
        self.best = self.entry
        if size:
            name = "long" if side > 0 else "short"
            opened = {"side": name, "entry_bar": bar, "entry_price": self.entry, "size": abs(size)}
            self.trades.append({**opened, "fees": fee, "open": True, "sold": 0.0, "received": 0.0})

    def leave(self, price: float, bar: int) -> None:
        trade, side = self.trades[-1], np.sign(self.units)
        size, fill, fee = self.order(-self.units, price)
        trade["fees"] += fee
        trade["sold"] += abs(size)
        trade["received"] += abs(size) * fill
        self.leaving = abs(self.units) > 1e-9
        if not self.leaving:
            self.units = 0.0
            trade.update(exit_bar=bar, exit_price=trade["received"] / trade["sold"], open=False)
            trade["pnl"] = side * (trade["received"] - trade["size"] * trade["entry_price"]) - trade["fees"]

    def borrow(self, close: float, bars_per_year: float) -> None:
        """Pay at the close for shares and money that are another's."""
        cost = (max(-self.units, 0) * close + max(-self.cash, 0)) * self.broker.borrow / bars_per_year
        self.cash -= cost
        self.paid += cost
        if self.trades and self.trades[-1]["open"]:
            self.trades[-1]["fees"] += cost

    def mark(self, close: float, bar: int) -> None:
        """Count an open trade as if it were sold at the last close."""
        trade = self.trades[-1] if self.trades else {"open": False}
        if trade["open"]:
            side, left = (1 if trade["side"] == "long" else -1), trade["size"] - trade["sold"]
            received = trade["received"] + left * close
            trade.update(exit_bar=bar, exit_price=received / trade["size"])
            trade["pnl"] = side * (received - trade["size"] * trade["entry_price"]) - trade["fees"]

    def watch(self, bar: int, opened: float, high: float, low: float) -> None:
        """Leave at a stop that the bar reaches; a gap through it fills at the open.

        The stop loss comes first, or the target where ``target_first`` and the open is not beyond the stop.
        """
        side = np.sign(self.units)
        if side == 0:
            return
        worst, peak = (low, high) if side > 0 else (high, low)
        stops, takes = [], []
        if self.stop is not None:
            level = (self.best if self.trailing else self.entry) * (1 - side * self.stop)
            if side * worst <= side * level:
                stops = [side * min(side * opened, side * level)]
        if self.take is not None:
            level = self.entry * (1 + side * self.take)
            if side * peak >= side * level:
                takes = [side * max(side * opened, side * level)]
        late = self.target_first and stops and stops[0] != opened
        for price in (takes + stops if late else stops + takes)[:1]:
            self.leave(price, bar)
        self.best = side * max(side * self.best, side * peak)

    def decide(self, bar: int, price: float, wish: tuple[bool, bool, bool, bool], share: float) -> None:
        enter_long, leave_long, enter_short, leave_short = wish
        enter_long, leave_long = enter_long and not leave_long, leave_long and not enter_long
        enter_short, leave_short = enter_short and not leave_short, leave_short and not enter_short
        if enter_long and enter_short:
            enter_long = enter_short = False
        if (self.units > 0 and (leave_long or enter_short or self.leaving)) or (
            self.units < 0 and (leave_short or enter_long or self.leaving)
        ):
            self.leave(price, bar)
        if self.units == 0 and (enter_long or enter_short):
            self.enter(1 if enter_long else -1, price, share, bar)

    def rebalance(self, price: float, weight: float) -> None:
        equity = self.cash + self.units * price
        wanted = weight * equity / price - self.units
        budget = self.cash + (self.broker.leverage - 1) * equity
        wanted = min(wanted, self.affordable(budget, self.price(np.sign(wanted), price)))
        if abs(wanted) * price > 1e-9 * self.broker.cash:  # less is rounding
            self.order(wanted, price)


@pytest.fixture(scope="session")
def loop_account() -> type[LoopAccount]:
    return LoopAccount
