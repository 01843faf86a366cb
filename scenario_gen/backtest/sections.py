"""What a spec may say of an account's rules and of sloppy execution: the sections alone.

Their engines, ``account_rules.py`` and ``jitter.py``, need numbers; a spec is read with nothing heavy.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from scenario_gen.reading.section import Section

Rule: TypeAlias = Literal["daily_loss", "max_loss", "trailing_drawdown"]
LOSS_RULES: tuple[Rule, ...] = ("daily_loss", "max_loss", "trailing_drawdown")
MAX_GAIN = 10.0
MOST_SETS = 32


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
