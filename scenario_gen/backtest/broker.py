"""The broker of a spec: what the account starts with, what an order costs, and what may be ordered.

Owns the section and the two ways to write a cost that is no plain number: ``2bp``, and in a scenario ``x3``, three
times the base's. Knows no orders; :mod:`scenario_gen.backtest.simulate` fills them. Imports nothing heavy: a spec is
read with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

from pydantic import Field

from scenario_gen.reading.section import Section

MIN_CASH = 1e-3  # less buys sizes that float arithmetic takes for none
MAX_CASH = 1e15  # equity is kept as float32 and its squares are summed
MAX_LEVERAGE = 20.0

COSTS = ("fees", "fee_per_order", "fee_minimum", "slippage", "slippage_range", "borrow")
SHARES = ("fees", "slippage")  # of a price: may be written in basis points
_TIMES = re.compile(r"x(\d+(?:\.\d+)?)")
_BASIS_POINTS = re.compile(r"(\d+(?:\.\d+)?) ?bp")
COST_TEXT = r"^(x\d+(\.\d+)?|\d+(\.\d+)? ?bp)$"  # what the schema of a spec file accepts beside a number


class Broker(Section):
    """Costs, fills and limits of the simulated account."""

    cash: float = Field(default=100_000.0, ge=MIN_CASH, le=MAX_CASH)
    fees: float = Field(default=0.0, ge=0.0, lt=0.5, description="share of the traded value, per side; or 5bp")
    fee_per_order: float = Field(default=0.0, ge=0.0, le=MAX_CASH, description="in money, on top of 'fees'")
    fee_minimum: float = Field(default=0.0, ge=0.0, le=MAX_CASH, description="in money: what an order costs at least")
    slippage: float = Field(default=0.0, ge=0.0, lt=0.5, description="share of the price, per side; or 2bp")
    slippage_range: float = Field(
        default=0.0, ge=0.0, lt=0.5, description="on top of it: share of the bar's high less its low, per side"
    )
    fill: Literal["next_open", "close"] = "next_open"
    shorts: bool = Field(
        default=True, description="false: no short is opened; a short entry still closes a long, and weights stop at 0"
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
