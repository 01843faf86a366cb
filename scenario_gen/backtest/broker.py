"""The broker of a spec: what the account starts with, what an order costs, what may be ordered, and what may be lost.

Owns the sections of the broker, of an account's rules and of sloppy execution, and the two ways to write a cost that is
no plain number: ``2bp``, and in a scenario ``x3``, three times the base's. Knows no orders;
:mod:`scenario_gen.backtest.simulate` fills them. Imports nothing heavy: a spec is read with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal, TypeAlias

from pydantic import Field, model_validator

from scenario_gen.reading.section import Section

MIN_CASH = 1e-3  # less buys sizes that float arithmetic takes for none
MAX_CASH = 1e15  # equity is kept as float32 and its squares are summed
MAX_LEVERAGE = 20.0

COSTS = ("fees", "fee_per_order", "fee_minimum", "sell_fees", "slippage", "slippage_range", "borrow")
SHARES = ("fees", "sell_fees", "slippage")  # of a price: may be written in basis points
_TIMES = re.compile(r"x(\d+(?:\.\d+)?)")
_BASIS_POINTS = re.compile(r"(\d+(?:\.\d+)?) ?bp")
COST_TEXT = r"^(x\d+(\.\d+)?|\d+(\.\d+)? ?bp)$"  # what the schema of a spec file accepts beside a number
Rule: TypeAlias = Literal["daily_loss", "max_loss", "trailing_drawdown"]
LOSS_RULES: tuple[Rule, ...] = ("daily_loss", "max_loss", "trailing_drawdown")
MAX_GAIN = 10.0
MOST_SETS = 32


class Broker(Section):
    """Costs, fills and limits of the simulated account."""

    cash: float = Field(default=100_000.0, ge=MIN_CASH, le=MAX_CASH, description="of an account when a path begins")
    fees: float = Field(default=0.0, ge=0.0, lt=0.5, description="share of the traded value, per side; or 5bp")
    fee_per_order: float = Field(default=0.0, ge=0.0, le=MAX_CASH, description="in money, on top of 'fees'")
    fee_minimum: float = Field(default=0.0, ge=0.0, le=MAX_CASH, description="in money: what an order costs at least")
    sell_fees: float = Field(
        default=0.0,
        ge=0.0,
        lt=0.5,
        description="share of the value of sales, on top of 'fees' and of their minimum: a stamp duty; or 5bp",
    )
    slippage: float = Field(default=0.0, ge=0.0, lt=0.5, description="share of the price, per side; or 2bp")
    slippage_range: float = Field(
        default=0.0, ge=0.0, lt=0.5, description="on top of it: share of the bar's high less its low, per side"
    )
    fill: Literal["next_open", "close"] = Field(
        default="next_open", description="where orders are filled: at the open after, or at the close that decided"
    )
    shorts: bool = Field(
        default=True, description="false: no short is opened; a short entry still closes a long, and weights stop at 0"
    )
    t_plus: Literal[0, 1] = Field(
        default=0,
        description="1: what was bought in a session is sold from the next session on, and stops wait as well",
    )
    at_limit: Literal["fill", "wait"] = Field(
        default="fill",
        description="wait: at market.price_limit nobody sells to a buyer, or buys from a seller; such orders wait",
    )
    borrow: float = Field(
        default=0.0,
        ge=0.0,
        lt=5.0,
        description="per year, on the value of shorts and on cash below 0, paid at each close",
    )
    leverage: float = Field(
        default=1.0, ge=1.0, le=MAX_LEVERAGE, description="largest size and weight, in shares of equity"
    )
    net: float | None = Field(
        default=None,
        ge=0.0,
        le=MAX_LEVERAGE,
        description="largest net, longs less shorts, in shares of equity: weights beyond it are refused, entries cut",
    )
    lot: float | None = Field(
        default=None, gt=0.0, le=1e12, description="orders are rounded down to multiples of it, e.g. 1 or 100 shares"
    )
    volume_share: float | None = Field(
        default=None, gt=0.0, le=1.0, description="largest share of a bar's volume that the account may trade"
    )
    position: Literal["flat", "carried"] = Field(
        default="flat",
        description="carried: what the strategy would hold at the end of the context is opened at the first fill",
    )

    @classmethod
    def without_shorthand(cls, written: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the section as written, with its costs as numbers."""
        numbers: Mapping[str, Any] = in_numbers(written)
        return numbers

    @property
    def simple(self) -> bool:
        """Whether only cash, shares of the price, fills and carrying are asked for: what vectorbt simulates itself."""
        plain = Broker(
            cash=self.cash,
            fees=self.fees,
            slippage=self.slippage,
            fill=self.fill,
            shorts=self.shorts,
            position=self.position,
        )
        return self == plain


def in_numbers(broker: Any, base: Any = None) -> Any:
    """Return a broker section as written, its costs as numbers: ``2bp``, and ``x3`` where the base has the cost.

    What cannot be read or multiplied stays as it is; :func:`problem` says why.

    Args:
        broker: a section or a scenario's override of it.
        base: the base's section, already in numbers, for an override.
    """
    if not isinstance(broker, Mapping):
        return broker
    return {name: _number(name, value, base) for name, value in broker.items()}


def problem(name: str, value: Any, *, in_scenario: bool) -> str:
    """Say why ``x3`` is left over; empty where the value is nothing of the kind."""
    if name not in COSTS or not isinstance(value, str) or not _TIMES.fullmatch(value):
        return ""
    if in_scenario:
        return f"got '{value}', but there is nothing to multiply: the base's broker names no '{name}'; give it one"
    return f"got '{value}', which multiplies the base's cost and so stands in a scenario; expected a number here"


def _number(name: str, value: Any, base: Any) -> Any:
    if name not in COSTS or not isinstance(value, str):
        return value
    if name in SHARES and (points := _BASIS_POINTS.fullmatch(value)):
        return float(points[1]) / 10_000
    before = base.get(name) if isinstance(base, Mapping) else None
    times = _TIMES.fullmatch(value)
    if times and isinstance(before, int | float) and not isinstance(before, bool):
        with suppress(OverflowError):  # a whole number of 400 digits, which is refused itself
            return float(f"{float(times[1]) * before:.12g}")  # 0.0006, not 0.0006000000000000001
    return value


# --- Rules of the account, and sloppy execution: their engines are account_rules.py and jitter.py ---


class AccountRules(Section):
    """When an account passes and when it is closed: losses are shares of the starting cash unless ``loss_of`` says."""

    target: float | None = Field(
        default=None,
        gt=0.0,
        le=MAX_GAIN,
        description="0.10: it passes at the first close with a gain of 10 %; left out: it passes by keeping the rules",
    )
    daily_loss: float | None = Field(
        default=None, gt=0.0, lt=1.0, description="0.05: largest loss within a day, from the equity at the close before"
    )
    max_loss: float | None = Field(default=None, gt=0.0, lt=1.0, description="0.10: largest loss from the start")
    trailing_drawdown: float | None = Field(
        default=None, gt=0.0, lt=1.0, description="0.10: largest fall from the highest equity"
    )
    trail: Literal["intraday", "end_of_day"] = Field(
        default="intraday",
        description="which highest equity the drawdown trails: any, or that of the days' last closes",
    )
    trail_lock: bool = Field(
        default=False,
        description="true: the trailing floor stops rising at the starting cash, as many challenges have it",
    )
    loss_of: Literal["start", "current"] = Field(
        default="start",
        description="what daily_loss and trailing_drawdown are shares of: the starting cash (challenges), or the day's "
        "opening and the highest equity (mandates)",
    )
    days: int | None = Field(
        default=None, ge=1, le=10_000, description="trading days that there are; left out: as long as the paths"
    )
    min_days: int | None = Field(
        default=None, ge=1, le=10_000, description="trading days with an order that it takes to pass"
    )

    @model_validator(mode="after")
    def _whole(self) -> AccountRules:
        if not self.declared:
            raise ValueError("expected at least one of daily_loss, max_loss and trailing_drawdown: what may be lost")
        if self.trailing_drawdown is None and (self.trail != "intraday" or self.trail_lock):
            raise ValueError("'trail' and 'trail_lock' say how trailing_drawdown trails, and there is none")
        if self.min_days is not None and self.days is not None and self.min_days > self.days:
            raise ValueError(f"min_days {self.min_days} is more than days {self.days}, expected at most as many")
        return self

    @property
    def declared(self) -> dict[Rule, float]:
        """The loss rules that there are, each with its level, in the order of :data:`LOSS_RULES`."""
        levels = ((rule, getattr(self, rule)) for rule in LOSS_RULES)
        return {rule: level for rule, level in levels if level is not None}


class Jitter(Section):
    """Random execution and parameters of a scenario, drawn for each path."""

    slippage: float = Field(default=0.0, ge=0.0, lt=0.5, description="largest extra slippage of an order, per side")
    spread: float = Field(default=0.0, ge=0.0, lt=0.5, description="largest extra half spread of a path, per side")
    delay: float = Field(default=0.0, ge=0.0, lt=1.0, description="chance that orders of a bar wait for the next one")
    missed: float = Field(default=0.0, ge=0.0, lt=1.0, description="chance that an entry is never filled")
    parameters: float = Field(
        default=0.0, ge=0.0, le=0.5, description="0.10: every number among a strategy's parameters within 10 %"
    )
    sets: int = Field(default=8, ge=2, le=MOST_SETS, description="how many sets of such parameters the paths share")

    @model_validator(mode="after")
    def _something(self) -> Jitter:
        if not any((self.slippage, self.spread, self.delay, self.missed, self.parameters)):
            raise ValueError("expected at least one of slippage, spread, delay, missed and parameters above 0")
        return self
