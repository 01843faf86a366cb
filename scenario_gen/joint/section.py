"""What a spec may say of several assets: which they are, and how their random numbers hang together.

Owns both sections. Opens no file and imports nothing heavy: a spec is read with it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from scenario_gen.backtest.broker import COSTS
from scenario_gen.market.section import Data, Moment
from scenario_gen.reading.section import Section

MAX_ASSETS = 50
FEWEST_COMMON = 250  # bars that all assets share: fewer show no dependence worth calibrating
ENOUGH_FOR_RANKS = 500  # from here on dated ranks are the default

OF_ALL_DATA = ("start", "end", "as_of")  # what ``data`` says for all assets together
# Keys of an asset: its name, where its history comes from, what its exchange allows, what its orders cost.
OF_ITS_DATA = tuple(key for key in Data.model_fields if key not in ("name", *OF_ALL_DATA))
ASSET_KEYS = ("name", *OF_ITS_DATA, "market", "broker")
# of the broker: what may differ by asset; cash is shared
ASSET_COSTS = (*COSTS, "lot", "shorts", "volume_share", "t_plus", "at_limit")


class JointCalibration(Section):
    """Which common bars the dependence is read from."""

    bars: int = Field(default=1000, ge=FEWEST_COMMON, le=20_000, description="the last common bars, at most")
    start: Moment = Field(default=None, description="first common bar, e.g. of a crisis; default: the last 'bars'")
    end: Moment = Field(default=None, description="last common bar; default: the end of the context")
    crisis: str | None = Field(default=None, description="a built-in crisis whose bars alone are used, e.g. lehman")


class Joint(Section):
    """How the random numbers of several assets hang together."""

    copula: Literal["empirical", "t", "gaussian", "independent"] | None = Field(
        default=None,
        description="empirical draws dated rows of ranks; default: empirical from 500 common bars on, below that t",
    )
    order: Literal["return", "nested"] = Field(
        default="return", description="of tokens: by return, or nested: within bins of return by volume"
    )
    calibrate: JointCalibration = Field(
        default=JointCalibration(), description="which common bars the dependence is read from"
    )
    calendar: Literal["intersection", "union"] = Field(
        default="intersection", description="bars that all assets have, or all: a closed asset keeps its close"
    )
    correlation_shift: float = Field(
        default=0.0,
        ge=-1.0,
        le=1.0,
        description="0.3 moves every correlation by 30 % of the way to 1, -0.3 by 30 % of the way to 0",
    )
    correlation: str | None = Field(
        default=None, description="CSV file of a correlation matrix, one row and column per asset; default: calibrated"
    )

    @model_validator(mode="after")
    def _one_window(self) -> Joint:
        if self.calibrate.crisis is not None and (self.calibrate.start or self.calibrate.end):
            raise ValueError("calibrate names a crisis and dates, expected one of them")
        if self.copula == "independent" and (self.correlation_shift or self.correlation is not None):
            raise ValueError("copula is independent, which leaves no correlation to shift or to set")
        return self
