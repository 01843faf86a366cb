"""What a scenario spec may say, put together from the sections of the rooms: frozen, unknown keys refused.

A spec is one base (data, bars, paths, generator, checks, broker) and a list of named scenarios that each
override what they name. :func:`scenario_gen.spec.loader.load_spec` reads the YAML and turns every violation
into a message with file, line and field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Field, field_validator, model_validator

from scenario_gen.backtest.broker import AccountRules, Broker, Jitter
from scenario_gen.backtest.limits import Limits
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.execute.section import Execute
from scenario_gen.generators.sections import SECTIONS, GeneratorSection, KronosGenerator
from scenario_gen.joint.section import Joint
from scenario_gen.market.section import Data, Filled, Market
from scenario_gen.reading.section import Section
from scenario_gen.stress.crises import ContextStress, Replay
from scenario_gen.stress.event import Event, PortfolioEvent, Sampler
from scenario_gen.stress.shock import Shock
from scenario_gen.stress.shocks import SHOCKS
from scenario_gen.stress.view import View

MAX_PATHS = 10_000_000
MAX_CONTEXT = 8192
MAX_HORIZON = 10_000
MAX_BLOCK = 4096
MAX_SEED = 2**63 - 1
MAX_ORIGINS, MAX_ENSEMBLE, MAX_CALIBRATED = 2000, 10_000, 250  # of a calibration: forecasts, paths, bars
MAX_NEXT_BARS = 5000  # of a calibration: forecasts of the next bar


class BarCounts(Section):
    """How many real bars seed the generator, and how many it adds."""

    context: int = Field(default=256, ge=32, le=MAX_CONTEXT, description="real bars that each path continues")
    horizon: int = Field(default=63, ge=1, le=MAX_HORIZON, description="bars of each path")


class Paths(Section):
    """How many alternative futures, and the random numbers behind them."""

    count: int = Field(default=512, ge=1, le=MAX_PATHS, description="paths of each scenario")
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="of every random number: the same seed, the same paths")
    block: int = Field(default=512, ge=1, le=MAX_BLOCK, description="paths per unit of work; part of a run's identity")
    keep: Literal["none", "metrics", "paths"] = Field(
        default="metrics",
        description="what stays of every path once a run is finished: metrics (tables and blocks), none (neither), or "
        "paths (paths/<scenario>.parquet as well)",
    )

    @field_validator("keep", mode="before")
    @classmethod
    def _a_word(cls, keep: Any) -> Any:
        if isinstance(keep, bool):
            came, meant = ("true", "paths") if keep else ("false", "metrics")
            raise ValueError(f"got {came}, expected none, metrics or paths; write '{meant}' for what it meant")
        return keep


class CalibrationBudget(Section):
    """How much the calibration inside a run does."""

    origins: int = Field(default=60, ge=2, le=MAX_ORIGINS, description="forecasts at most; 30 are judged")
    paths: int = Field(default=99, ge=2, le=MAX_ENSEMBLE, description="of each forecast")
    horizon: int | None = Field(
        default=None, ge=1, le=MAX_CALIBRATED, description="bars ahead; default: the run's, at most 63"
    )
    one_step: int = Field(
        default=0,
        ge=0,
        le=MAX_NEXT_BARS,
        description="forecasts of the next bar's value at risk: 100 judge the 5 % level, 500 the 1 % level; 0: none",
    )


class Checks(Section):
    """What to do with candles that break a rule, and which checks of realism to run."""

    on_invalid: Literal["repair", "reject", "fail"] = Field(
        default="repair",
        description="what becomes of a path that breaks a candle rule: mended, left out, or the run ends",
    )
    facts: bool = Field(default=True, description="compare the paths with real windows of the history")
    calibration: bool | Literal["all"] | CalibrationBudget = Field(
        default=True,
        description="let the base scenario's generator forecast the past; all: every scenario's; or a budget",
    )


class Report(Section):
    """Where the run folder goes."""

    folder: str = Field(
        min_length=1, description="run folder, relative to the current directory, or an address: s3://bucket/runs/a"
    )
    title: str | None = Field(default=None, description="of the page; default: the name of the spec")

    @model_validator(mode="after")
    def _a_path(self) -> Report:
        if "\0" in self.folder:
            raise ValueError(f"got the folder {self.folder!r}, expected a path without a null character")
        return self


if TYPE_CHECKING:
    Generator = GeneratorSection
else:  # one of the listed sections, told apart by its kind
    Generator = Annotated[Union[SECTIONS], Field(discriminator="kind")]  # noqa: UP007


if TYPE_CHECKING:
    AnyShock = Shock
else:
    AnyShock = Annotated[Union[SHOCKS], Field(discriminator="kind")]  # noqa: UP007


class ResolvedScenario(Section):
    """One scenario after its overrides are applied: everything that a block of paths needs to know."""

    name: str = Field(min_length=1, max_length=60)
    role: Literal["scenario", "baseline"] = "scenario"
    data: Data
    bars: BarCounts = BarCounts()
    paths: Paths = Paths()
    generator: Generator = KronosGenerator()
    checks: Checks = Checks()
    market: Market = Market()
    broker: Broker = Broker()
    filled: tuple[Filled, ...] = Field(default=(), strict=False)  # fields of data, market and broker, by the preset
    context: ContextStress | None = None
    replay: Replay | None = None
    event: Event | None = None
    sampler: Sampler = Sampler()
    reweight: str | None = None  # the scenario whose paths are weighed by the views
    views: tuple[View, ...] = Field(default=(), strict=False)
    shocks: tuple[AnyShock, ...] = Field(default=(), strict=False)
    jitter: Jitter | None = None
    asset: str = ""  # of a book, whose bars these are; empty where there is one asset alone
    joint: Joint | None = None  # how the assets of the book hang together
    portfolio: PortfolioEvent | None = None  # of the assets of the book together: what ``event`` says there

    @property
    def future(self) -> str:
        """The name of the scenario as written: that of all assets of a book together."""
        return self.name.removesuffix(f".{self.asset}") if self.asset else self.name

    @property
    def beside_itself(self) -> bool:
        """Whether shocks or sloppy execution set its results beside those of the same paths without them."""
        return bool(self.shocks) or self.jitter is not None


class ScenarioSpec(Section):
    """A whole spec, resolved: at least one scenario and one strategy."""

    name: str = Field(min_length=1, max_length=60)
    scenarios: tuple[ResolvedScenario, ...] = Field(min_length=1, strict=False)
    strategies: tuple[StrategyUse, ...] = Field(min_length=1, strict=False)
    limits: Limits = Limits()
    report: Report
    account: AccountRules | None = None  # what ends the account of every strategy in every scenario
    assets: tuple[str, ...] = Field(default=(), strict=False)  # of a book; empty where there is one asset alone
    execute: Execute = Execute()  # where it is computed, which changes no number


def override(spec: ScenarioSpec, *, device: str | None, paths: int | None) -> ScenarioSpec:
    """Return the spec with the command line's device and number of paths in every scenario."""
    scenarios = []
    for scenario in spec.scenarios:
        changed = scenario
        if device is not None and isinstance(scenario.generator, KronosGenerator):
            generator = scenario.generator.model_copy(update={"device": device})
            changed = changed.model_copy(update={"generator": generator})
        if paths is not None:
            changed = changed.model_copy(update={"paths": scenario.paths.model_copy(update={"count": paths})})
        scenarios.append(changed)
    return spec.model_copy(update={"scenarios": tuple(scenarios)})
