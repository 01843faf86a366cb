"""What a scenario spec may say: one frozen pydantic model per section, unknown keys refused.

A spec is one base (data, bars, paths, generator, checks, broker) and a list of named scenarios that each
override what they name. :func:`scenario_gen.spec.loader.load_spec` reads the YAML and turns every violation
into a message with file, line and field.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from scenario_gen.spec.broker import Broker as Broker  # noqa: PLC0414 - part of this module for its users
from scenario_gen.spec.section import Section as Section  # noqa: PLC0414

MAX_PATHS = 1_000_000
MAX_CONTEXT = 8192
MAX_HORIZON = 10_000
MAX_BLOCK = 4096
MAX_PARAMETER_SETS = 1000
MAX_GRID = 100_000  # combinations that a 'where' may choose from
MAX_SEED = 2**63 - 1
MAX_ORIGINS, MAX_ENSEMBLE, MAX_CALIBRATED = 2000, 10_000, 250  # of a calibration: forecasts, paths, bars
MAX_NEXT_BARS = 5000  # of a calibration: forecasts of the next bar
MIN_FIT, MAX_FIT = 250, 20_000  # bars; a GARCH model is not identified by fewer
NAMED_MODELS = ("nano", "mini", "small", "base")


def _date_from_text(value: Any) -> Any:
    """Read ISO text as a date, or as a datetime where it names a time; leave the rest to be refused."""
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
    except ValueError:
        return value


Moment = Annotated[date | datetime | None, BeforeValidator(_date_from_text)]


class Data(Section):
    """Where the history comes from and where the context ends."""

    source: Literal["sp500", "nasdaq"] | None = Field(default=None, description="built-in daily history 1999-2018")
    file: str | None = Field(default=None, description="CSV or Parquet file, relative to the spec's folder")
    end: Moment = Field(default=None, description="last bar of the context; default: the last bar there is")
    start: Moment = Field(default=None, description="first bar to read")
    calendar: str | None = Field(
        default=None, description="exchange calendar (XNYS, 24/7, ...); default: inferred from the history's own stamps"
    )
    timezone: str | None = Field(default=None, description="time zone to convert the stamps to, e.g. America/New_York")
    adjusted: bool = Field(
        default=False, description="scale prices by Adj Close / Close where the file has that column"
    )
    volume: Literal["auto", "drop", "require"] = Field(
        default="auto",
        description="auto leaves volume out where some bars have none, and says so; require refuses such a file; "
        "drop never uses it",
    )
    name: str | None = Field(default=None, description="what to call the instrument in the report")

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        if (self.source is None) == (self.file is None):
            raise ValueError("give exactly one of 'source' (sp500, nasdaq) and 'file' (a CSV or Parquet file)")
        return self


class BarCounts(Section):
    """How many real bars seed the generator, and how many it adds."""

    context: int = Field(default=256, ge=32, le=MAX_CONTEXT)
    horizon: int = Field(default=63, ge=1, le=MAX_HORIZON)


class Paths(Section):
    """How many alternative futures, and the random numbers behind them."""

    count: int = Field(default=512, ge=1, le=MAX_PATHS)
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    block: int = Field(default=512, ge=1, le=MAX_BLOCK, description="paths per unit of work; part of a run's identity")
    keep: bool = Field(default=False, description="write every path to paths/<scenario>.parquet")


Auto = Literal["auto"]  # chosen by calibration on origins before the context
Temperature = Annotated[float, Field(ge=0.0, le=10.0)] | Auto
TopP = Annotated[float, Field(gt=0.0, le=1.0)] | Auto
FitBars = Annotated[
    int, Field(ge=MIN_FIT, le=MAX_FIT, description="bars to fit, ending with the context; or all there are")
]
Drift = Annotated[
    Literal["as_sampled", "neutral"],
    Field(description="neutral: scale all paths alike so that the price expected at every bar is the last real one"),
]


class KronosGenerator(Section):
    """A Kronos checkpoint: ``nano`` (embedded), mini/small/base or org/name@revision (Hub), or a folder."""

    kind: Literal["kronos"] = "kronos"
    model: str = "nano"
    tokenizer: str | None = Field(default=None, description="tokenizer to go with a model that is not listed")
    temperature: Temperature = Field(default=1.0, description="a number, or auto: chosen by calibration")
    top_p: TopP = Field(default=1.0, description="a number, or auto: chosen by calibration")
    top_k: int = Field(default=0, ge=0, description="0 keeps every token")
    device: str = Field(
        default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:1 or mps"
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="of the products with weights; auto: bfloat16 on a GPU, else float32"
    )
    window: Literal["reanchor", "slide"] = Field(default="reanchor", description="what to do past the model's window")
    drift: Drift = "as_sampled"

    @model_validator(mode="after")
    def _own_tokenizer(self) -> KronosGenerator:
        if self.tokenizer is not None and self.model in NAMED_MODELS:
            raise ValueError(f"{self.model} brings its own tokenizer, expected no 'tokenizer' beside it")
        return self


class BootstrapGenerator(Section):
    """Stationary block bootstrap of whole candles (Politis and Romano 1994)."""

    kind: Literal["bootstrap"] = "bootstrap"
    mean_block: float | None = Field(
        default=None,
        ge=1.0,
        description="mean block length in bars; default: chosen from the context (Politis-White 2004)",
    )
    drift: Drift = "as_sampled"


class FhsGenerator(Section):
    """Filtered historical simulation: the context's candles in units of a running (EWMA) volatility."""

    kind: Literal["fhs"] = "fhs"
    decay: float = Field(default=0.94, ge=0.5, lt=1.0, description="of the running variance, per bar")
    drift: Drift = "as_sampled"


class GarchGenerator(Section):
    """Filtered historical simulation with a GARCH(1, 1) volatility, fitted with Student's t innovations."""

    kind: Literal["garch"] = "garch"
    fit_bars: FitBars = 1000
    drift: Drift = "as_sampled"


class GjrGenerator(Section):
    """As garch, with a volatility that answers more to falls (Glosten, Jagannathan and Runkle 1993)."""

    kind: Literal["gjr"] = "gjr"
    fit_bars: FitBars = 1000
    drift: Drift = "as_sampled"


class GbmGenerator(Section):
    """Geometric Brownian motion with the context's mean and volatility: what every model should beat."""

    kind: Literal["gbm"] = "gbm"
    drift: Drift = "as_sampled"


GeneratorSection = KronosGenerator | BootstrapGenerator | FhsGenerator | GarchGenerator | GjrGenerator | GbmGenerator
Generator = Annotated[GeneratorSection, Field(discriminator="kind")]


class CalibrationBudget(Section):
    """How much the calibration inside a run does."""

    origins: int = Field(default=60, ge=2, le=MAX_ORIGINS, description="forecasts at most; 30 are judged")
    paths: int = Field(default=99, ge=2, le=MAX_ENSEMBLE, description="of each forecast")
    horizon: int | None = Field(
        default=None, ge=1, le=MAX_CALIBRATED, description="bars ahead; default: the run's, at most 20"
    )
    one_step: int = Field(
        default=0,
        ge=0,
        le=MAX_NEXT_BARS,
        description="forecasts of the next bar's value at risk: 100 judge the 5 % level, 500 the 1 % level; 0: none",
    )


class Checks(Section):
    """What to do with candles that break a rule, and which checks of realism to run."""

    on_invalid: Literal["repair", "reject", "fail"] = "repair"
    facts: bool = Field(default=True, description="compare the paths with real windows of the history")
    calibration: bool | Literal["all"] | CalibrationBudget = Field(
        default=True,
        description="let the base scenario's generator forecast the past; all: every scenario's; or a budget",
    )


class Market(Section):
    """What the exchange allows: generated candles are held to it. What is left out is not a rule."""

    tick_size: float | None = Field(
        default=None, gt=0.0, le=1e9, description="price step, e.g. 0.01; generated prices are rounded to it"
    )
    lot_size: float | None = Field(
        default=None, gt=0.0, le=1e12, description="step of the volume column; generated volume is rounded down"
    )
    price_limit: float | None = Field(
        default=None, gt=0.0, lt=1.0, description="0.10: no price further than 10 % from the previous session's close"
    )
    volume_unit: float | None = Field(
        default=None,
        gt=0.0,
        le=1e12,
        description="amount = volume x volume_unit x price, e.g. 100 where volume counts lots; "
        "default: 1 or 100, whichever the history shows",
    )


class StrategyUse(Section):
    """One strategy class and the values to try for its parameters."""

    use: str = Field(description="file.py:Name, relative to the spec's folder or the current one")
    params: dict[str, Any] = Field(default_factory=dict, description="a value, or a list of values: a grid")
    where: str | None = Field(
        default=None, description="condition on the grid, e.g. fast < slow; combinations that break it do not run"
    )
    name: str | None = None


Loss = Annotated[float | None, Field(gt=0.0, lt=1.0)]
Floor = Annotated[float | None, Field(gt=-1.0, le=10.0)]
SharpeFloor = Annotated[float | None, Field(ge=-10.0, le=10.0)]


class Limits(Section):
    """The user's own limits, each judged on the 95 % interval of what the paths say; a breach ends a run with 3."""

    max_drawdown: Loss = Field(
        default=None, description="0.25: a fall of 25 % from a peak, allowed on at most 5 % of the paths"
    )
    probability_of_loss: Loss = Field(default=None, description="largest share of paths that lose")
    var_95: Loss = Field(default=None, description="largest loss that 95 % of the paths stay within")
    var_99: Loss = Field(default=None, description="largest loss that 99 % of the paths stay within")
    cvar_95: Loss = Field(default=None, description="largest mean loss of the worst 5 % of the paths")
    cvar_99: Loss = Field(default=None, description="largest mean loss of the worst 1 % of the paths")
    min_return_p05: Floor = Field(default=None, description="smallest 5 % quantile of the total return")
    min_return_p25: Floor = Field(default=None, description="smallest 25 % quantile of the total return")
    min_return_p50: Floor = Field(default=None, description="smallest median total return")
    min_sharpe_p05: SharpeFloor = Field(default=None, description="smallest 5 % quantile of the Sharpe ratio")
    min_sharpe_p25: SharpeFloor = Field(default=None, description="smallest 25 % quantile of the Sharpe ratio")
    min_sharpe_p50: SharpeFloor = Field(default=None, description="smallest median Sharpe ratio")


class Report(Section):
    """Where the run folder goes."""

    folder: str = Field(min_length=1, description="run folder, relative to the current directory")
    title: str | None = None

    @model_validator(mode="after")
    def _a_path(self) -> Report:
        if "\0" in self.folder:
            raise ValueError(f"got the folder {self.folder!r}, expected a path without a null character")
        return self


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


class ScenarioSpec(Section):
    """A whole spec, resolved: at least one scenario and one strategy."""

    name: str = Field(min_length=1, max_length=60)
    scenarios: tuple[ResolvedScenario, ...] = Field(min_length=1, strict=False)
    strategies: tuple[StrategyUse, ...] = Field(min_length=1, strict=False)
    limits: Limits = Limits()
    report: Report
