"""What a spec may say of an event whose probability is asked, of one asset or several, and of how its paths are found.

Owns these sections. Samples nothing, scores nothing and imports nothing heavy: a spec is read with it.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from scenario_gen.errors import SpecError
from scenario_gen.generators.sections import KronosGenerator
from scenario_gen.reading.section import Section
from scenario_gen.reading.words import one_of, percent, shown

MOST_VOLATILITY = 10.0  # per year
MOST_PATHS, MOST_ISLANDS = 4096, 256  # paths of an island, and islands
FEWEST_ISLANDS = 8  # for an interval: see scenario_gen.stats.weights
Functional = Literal[
    "max_drawdown", "terminal_return", "realised_vol", "bar_return", "strategy_loss", "strategy_drawdown"
]
OF_STRATEGIES = ("strategy_loss", "strategy_drawdown")
OfPortfolio = Literal["portfolio_loss", "portfolio_drawdown"]
MOST_GROSS = 10.0  # of a portfolio: sum of the sizes of all weights
TRUNCATED = "take top_p or top_k of a model, which cut the tail off: the probability is too low"


class Event(Section):
    """What is to happen on a path, counted at the close of its bars."""

    functional: Functional = Field(
        description="max_drawdown: the deepest fall from the highest close so far, the last real close included; "
        "terminal_return: from the last real close to the last bar; realised_vol: root mean square of log returns, per "
        "year; bar_return: of any one bar; strategy_loss: of a strategy's account, from its start to the last bar; "
        "strategy_drawdown: the deepest fall of that account from its highest close"
    )
    strategy: str | None = Field(
        default=None, description="whose account, by the name in the report: SmaCross(fast=10, slow=50), or SmaCross"
    )
    at_least: float | None = Field(default=None, description="0.25 is 25 %")
    at_most: float | None = Field(default=None, description="of a return: -0.3 is a fall by 30 %")
    allow_truncated: bool = Field(default=False, description=TRUNCATED)

    @field_validator("functional", mode="before")
    @classmethod
    def _of_one_asset(cls, value: Any) -> Any:
        if value in get_args(OfPortfolio):
            raise ValueError(f"{value} is of several assets, and there are no 'assets'")
        return value

    @model_validator(mode="after")
    def _one_threshold(self) -> Event:
        signed = self.functional in ("terminal_return", "bar_return")
        given = [name for name in ("at_least", "at_most") if getattr(self, name) is not None]
        if len(given) != 1 or (given == ["at_most"] and not signed):
            allowed = "at_least or at_most, one of them" if signed else "at_least alone"
            raise ValueError(f"{self.functional} has {' and '.join(given) or 'no threshold'}, expected {allowed}")
        if words := _outside(self.functional, self.at_least, self.at_most):
            raise ValueError(words)
        if self.of_strategy != (self.strategy is not None):
            wanted = "a strategy whose account it is" if self.of_strategy else "none: it is of the price alone"
            named = "a strategy" if self.strategy is not None else "no strategy"
            raise ValueError(f"{self.functional} has {named}, expected {wanted}")
        return self

    @property
    def of_strategy(self) -> bool:
        """Whether it is of a strategy's account."""
        return self.functional in OF_STRATEGIES

    @property
    def threshold(self) -> float:
        """The number that was declared."""
        return float(self.at_most if self.at_most is not None else self.at_least or 0.0)

    @property
    def sign(self) -> float:
        """-1 where further means lower."""
        return -1.0 if self.at_most is not None else 1.0

    @property
    def in_words(self) -> str:
        """The event as a reader would say it: ``drawdown of 25 % or more``."""
        size = percent(abs(self.threshold))
        fall = self.threshold < 0
        return {
            "max_drawdown": f"drawdown of {size} or more",
            "realised_vol": f"realised volatility of {size} a year or more",
            "terminal_return": f"{'loss' if fall else 'gain'} of {size} or more at the end",
            "bar_return": f"{'fall' if fall else 'rise'} of {size} or more in one bar",
            "strategy_loss": f"{self.strategy} loses {size} or more",
            "strategy_drawdown": f"{self.strategy} falls by {size} or more from its highest",
        }[self.functional]


def _outside(functional: str, at_least: float | None, at_most: float | None) -> str:
    """Return what is wrong with a threshold, or nothing."""
    if at_most is not None:
        satisfied = "every path is at 0 when it sets out, so the event would have happened before the first bar"
        return "" if -1.0 < at_most < 0.0 else f"at_most is {at_most:g}, expected a fall between -1 and 0: {satisfied}"
    if at_least is None:
        return ""
    if functional == "max_drawdown" or functional in OF_STRATEGIES:
        whole = "price" if functional == "max_drawdown" else "account"
        inside = 0.0 < at_least < 1.0
        return "" if inside else f"at_least is {at_least:g}, expected a share of the {whole} between 0 and 1"
    if functional == "realised_vol":
        inside = 0.0 < at_least <= MOST_VOLATILITY
        return "" if inside else f"at_least is {at_least:g}, expected a volatility per year, up to {MOST_VOLATILITY:g}"
    return "" if at_least > 0.0 else f"at_least is {at_least:g}, expected a gain above 0; for a fall write at_most"


class PortfolioEvent(Section):
    """What is to happen to a portfolio of several assets, bought at their last real closes and kept."""

    functional: OfPortfolio = Field(
        description="portfolio_loss: from its start to the last bar; portfolio_drawdown: the deepest fall from its "
        "highest close so far, the start included"
    )
    at_least: float = Field(gt=0.0, lt=1.0, description="share of its start, or of its highest: 0.1 is 10 %")
    weights: dict[str, float] | Literal["equal"] = Field(
        default="equal", description="share of equity in each asset at the start, negative where it is sold short"
    )
    allow_truncated: bool = Field(default=False, description=TRUNCATED)

    @field_validator("functional", mode="before")
    @classmethod
    def _of_several_assets(cls, value: Any) -> Any:
        if value in get_args(Functional):
            names = one_of(get_args(OfPortfolio))
            raise ValueError(f"{value} is of one asset alone, expected of several {names}")
        return value

    @field_validator("weights", mode="before")
    @classmethod
    def _held(cls, value: Any) -> Any:
        if value == "equal":
            return value
        if not isinstance(value, dict) or any(
            isinstance(weight, bool) or not isinstance(weight, int | float) for weight in value.values()
        ):
            raise ValueError(f"got {shown(value)}, expected equal, or a number for each asset like {{spx: 0.5}}")
        gross = sum(min(abs(weight), 1e300) for weight in value.values())  # a whole number may be beyond any float
        if not 0.0 < gross <= MOST_GROSS:
            raise ValueError(f"weights of size {gross:g} in all, expected more than 0 and at most {MOST_GROSS:g}")
        return value

    @property
    def in_words(self) -> str:
        """The event as a reader would say it."""
        size = percent(self.at_least)
        held = "of equal weights"
        if isinstance(self.weights, dict):
            held = f"of {', '.join(f'{weight:g} {asset}' for asset, weight in self.weights.items())}"
        if self.functional == "portfolio_loss":
            return f"the portfolio {held} loses {size} or more"
        return f"the portfolio {held} falls by {size} or more from its highest"

    def shares(self, assets: tuple[str, ...]) -> tuple[float, ...]:
        """Return the weights in the order of the assets; an asset that is not named is not held.

        Raises:
            SpecError: a name that is none of the assets.
        """
        if not isinstance(self.weights, dict):
            return (1.0 / len(assets),) * len(assets)
        if strangers := [name for name in self.weights if name not in assets]:
            raise SpecError(
                f"event.weights names {one_of(strangers)}, no asset of the book", expected=f"among {one_of(assets)}"
            )
        return tuple(self.weights.get(name, 0.0) for name in assets)


class Sampler(Section):
    """How the paths of an event are found."""

    method: Literal["auto", "rejection", "splitting", "refresh"] = Field(
        default="auto",
        description="auto: plain paths where 100 of them show the event, else splitting; refresh where a strategy was "
        "not seen to decide by past bars alone: subset simulation, slower and not free of bias",
    )
    island: int = Field(default=512, ge=32, le=MOST_PATHS, description="paths of an island at a time")
    islands: tuple[int, int] = Field(
        default=(8, 16), strict=False, description="independent islands: at least, and at most"
    )
    kill: float = Field(default=0.5, ge=0.05, le=0.9, description="share of paths that each level gives up")
    sweeps: int = Field(
        default=2, ge=0, le=100, description="moves of each path within the event at the end, which part what is alike"
    )
    relative_error: float = Field(
        default=0.15, gt=0.0, le=1.0, description="of the probability; once it is reached no more islands are run"
    )
    budget: float = Field(
        default=40.0, gt=0.0, description="bars sampled at most beyond the first islands, over those of the plain paths"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Sampler:
        fewest, most = self.islands
        if not 2 <= fewest <= most <= MOST_ISLANDS:
            raise ValueError(
                f"islands is [{fewest}, {most}], expected two numbers in order, from 2 up to {MOST_ISLANDS}: the error "
                "is read from independent islands"
            )
        return self


def truncated(event: Event | PortfolioEvent, generator: KronosGenerator) -> str:
    """Return what is wrong with the probability of an event under a model whose tail is cut off, or nothing."""
    top_p, top_k = generator.top_p, generator.top_k
    cut = [f"top_p {top_p:g}"] if isinstance(top_p, float | int) and top_p < 1.0 else []
    cut += [f"top_k {top_k}"] if top_k else []
    if not cut or event.allow_truncated:
        return ""
    return (
        f"got {' and '.join(cut)} with an event, expected top_p 1 and top_k 0: the model's unlikely bars are cut "
        "off, and the probability of a rare event with them (event.allow_truncated: true takes it all the same)"
    )
