"""What a spec may say of each generator, and how it is opened: the list of generators.

A generator is one section here and one file with its engine, which is imported when it is opened: reading a spec
imports nothing heavy. The spec, the command line, the schema and the report take kinds, keys and names from this list.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from scenario_gen.errors import SpecError
from scenario_gen.reading.section import Section, Violations
from scenario_gen.reading.words import nearest, one_of, shown
from scenario_gen.reading.yaml import Where

if TYPE_CHECKING:
    from scenario_gen.generators.base import Generator
    from scenario_gen.generators.recalibrated import PastForecasts
    from scenario_gen.market.candles import Candles

MIN_FIT, MAX_FIT = 250, 20_000  # bars; the engine refuses fewer
MAX_FIT_ORIGINS = 2000  # of a recalibration
COMMON = ("volatility", "recalibrate", "drift")  # keys of every generator, listed after its own
DIALS = ("temperature", "top_p", "top_k", *COMMON)  # a stress of the same generator
_TIMES = re.compile(r"x(\d+(?:\.\d+)?)")
NAMED_MODELS = ("nano", "mini", "small", "base")

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


class RecalibrationBudget(Section):
    """How many past forecasts recalibrate a generator."""

    origins: int = Field(
        default=60, ge=10, le=MAX_FIT_ORIGINS, description="forecasts that only fit; later ones are judged"
    )
    fewest: int = Field(default=30, ge=10, le=MAX_FIT_ORIGINS, description="forecasts below which nothing is fitted")

    @model_validator(mode="after")
    def _in_order(self) -> RecalibrationBudget:
        if self.fewest > self.origins:
            raise ValueError(f"fewest is {self.fewest} and origins {self.origins}, expected fewest up to origins")
        return self


def _times(written: Any) -> Any:
    """Read ``x1.3`` as 1.3; anything else is left to be judged as it is."""
    factor = _TIMES.fullmatch(written) if isinstance(written, str) else None
    return float(factor[1]) if factor else written


def _or_times(schema: dict[str, Any]) -> None:
    """Let an editor take ``x1.3`` too."""
    bounds = {key: schema.pop(key) for key in ("type", "minimum", "maximum")}
    schema["anyOf"] = [bounds, {"type": "string", "pattern": f"^{_TIMES.pattern}$"}]


Volatility = Annotated[
    float,
    Field(
        ge=0.5,
        le=3.0,
        description="x1.3 or 1.3: every bar is as much larger, its shape and the drift as they were",
        json_schema_extra=_or_times,
    ),
    BeforeValidator(_times),
]
Recalibrate = Annotated[
    bool | RecalibrationBudget,
    Field(description="make up for how past forecasts erred, on log volatility and volume; or how many: a budget"),
]


class GeneratorSection(Section, ABC):
    """Base of a generator's section; its fields are the keys of a spec, ``kind`` first and ``drift`` last."""

    title: ClassVar[str]  # what the report calls it
    repeats_history: ClassVar[bool] = False  # by design: the copy test is shown and not judged

    kind: str
    volatility: Volatility = 1.0
    recalibrate: Recalibrate = False
    drift: Drift = "as_sampled"

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Put what every kind has behind what is its own: schema and messages list keys in this order."""
        fields = cls.__pydantic_fields__
        for common in COMMON:
            fields[common] = fields.pop(common)
        cls.model_rebuild(force=True)

    @abstractmethod
    def open(self) -> Generator:
        """Return the generator, not yet fitted to a history.

        Raises:
            CheckpointError: the model cannot be found or read.
        """

    @property
    def in_words(self) -> str:
        """What a spec asks for, in a few words."""
        return self.kind

    @property
    def recalibration(self) -> RecalibrationBudget | None:
        """How it is recalibrated; None where it is not."""
        if isinstance(self.recalibrate, RecalibrationBudget):
            return self.recalibrate
        return RecalibrationBudget() if self.recalibrate else None

    def alone(self) -> Self:
        """Return the section of the generator as it samples: nothing around it that changes its paths."""
        return self.model_copy(update={"volatility": 1.0, "recalibrate": False, "drift": "as_sampled"})

    def inherits(self, base: GeneratorSection) -> bool:
        """Return whether it differs from a base in its dials alone, so that the base's recalibration is its own."""
        mine, theirs = ({k: v for k, v in one.model_dump().items() if k not in DIALS} for one in (self, base))
        return mine == theirs

    @classmethod
    def named(cls, record: Mapping[str, Any]) -> str:
        """Return what made paths, in one line, from what a result keeps of their generator."""
        del record
        return cls.title


class KronosGenerator(GeneratorSection):
    """A Kronos checkpoint: ``nano`` (embedded), mini/small/base or org/name@revision (Hub), or a folder."""

    title: ClassVar[str] = "Kronos"

    kind: Literal["kronos"] = Field(default="kronos", description="which generator it is")
    model: str = Field(
        default="nano", description="nano (embedded), mini, small or base (published), a folder, or org/name@revision"
    )
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
    adapt: bool = Field(
        default=False, description="fit the heads to bars before the context, and keep that where it forecasts better"
    )

    @model_validator(mode="after")
    def _own_tokenizer(self) -> KronosGenerator:
        if self.tokenizer is not None and self.model in NAMED_MODELS:
            raise ValueError(f"{self.model} brings its own tokenizer, expected no 'tokenizer' beside it")
        if self.adapt and self.model in NAMED_MODELS[1:]:
            raise ValueError(f"adapt is true with {self.model}, a model of price levels, expected nano or your own")
        return self

    def open(self) -> Generator:
        """Return the checkpoint with its sampling rule, on its device."""
        from scenario_gen.generators.kronos import KronosPaths, open_once
        from scenario_gen.kronos.sampling import SamplingRule

        checkpoint = open_once(self.model, self.tokenizer, self.device)
        if self.temperature == "auto" or self.top_p == "auto":
            raise SpecError("temperature or top_p is auto", expected="a number where nothing is calibrated")
        rule = SamplingRule(self.temperature, self.top_p, self.top_k)
        paths = KronosPaths.of(checkpoint, rule, self.window, self.device, self.dtype)
        if not self.adapt:
            return paths
        from scenario_gen.generators.adapted import AdaptedPaths

        return AdaptedPaths.around(paths)

    @property
    def in_words(self) -> str:
        """Model and temperature, and whether it is adapted."""
        return f"kronos {self.model} at temperature {self.temperature}" + (", adapted" if self.adapt else "")

    @classmethod
    def named(cls, record: Mapping[str, Any]) -> str:
        """Return model, temperature, top_p where it narrows anything, and what is kept where heads were fitted."""
        heat = f"{record.get('temperature', 1.0):.2f}".removesuffix("0")
        top_p = record.get("top_p", 1.0)
        narrowed = f", top_p {top_p:g}" if top_p != 1.0 else ""
        strength = (record.get("adapted") or {}).get("strength")
        adapted = "" if strength is None else f", adapted at {strength:g}" if strength else ", adapted: nothing kept"
        return f"{cls.title} {record.get('model', '')}".strip() + f", T {heat}{narrowed}{adapted}"


class BootstrapGenerator(GeneratorSection):
    """Stationary block bootstrap of whole candles (Politis and Romano 1994)."""

    title: ClassVar[str] = "stationary bootstrap of the context"
    repeats_history: ClassVar[bool] = True

    kind: Literal["bootstrap"] = Field(default="bootstrap", description="which generator it is")
    mean_block: float | None = Field(
        default=None,
        ge=1.0,
        description="mean block length in bars; default: chosen from the context (Politis-White 2004)",
    )

    def open(self) -> Generator:
        """Return the bootstrap of whole candles."""
        from scenario_gen.generators.bootstrap import StationaryBootstrap

        return StationaryBootstrap(self.mean_block)

    @classmethod
    def named(cls, record: Mapping[str, Any]) -> str:
        """Return the title with the mean block that was taken."""
        mean_block = record.get("mean_block")
        return cls.title + (f", mean block {mean_block:.1f} bars" if isinstance(mean_block, int | float) else "")


class FhsGenerator(GeneratorSection):
    """Filtered historical simulation: the context's candles in units of a running (EWMA) volatility."""

    title: ClassVar[str] = "filtered historical simulation of the context (EWMA)"

    kind: Literal["fhs"] = Field(default="fhs", description="which generator it is")
    decay: float = Field(default=0.94, ge=0.5, lt=1.0, description="of the running variance, per bar")

    def open(self) -> Generator:
        """Return the simulation with its decay."""
        from scenario_gen.generators.filtered import FilteredPaths

        return FilteredPaths(self.decay)


class GarchGenerator(GeneratorSection):
    """Filtered historical simulation with a GARCH(1, 1) volatility, fitted with Student's t innovations."""

    title: ClassVar[str] = "GARCH filtered historical simulation"

    kind: Literal["garch"] = Field(default="garch", description="which generator it is")
    fit_bars: FitBars = 1000

    def open(self) -> Generator:
        """Return the simulation, to be fitted."""
        from scenario_gen.generators.filtered import GarchPaths

        return GarchPaths(asymmetric=False, fit_bars=self.fit_bars)


class GjrGenerator(GeneratorSection):
    """As garch, with a volatility that answers more to falls (Glosten, Jagannathan and Runkle 1993)."""

    title: ClassVar[str] = "GJR-GARCH filtered historical simulation"

    kind: Literal["gjr"] = Field(default="gjr", description="which generator it is")
    fit_bars: FitBars = 1000

    def open(self) -> Generator:
        """Return the simulation, to be fitted."""
        from scenario_gen.generators.filtered import GarchPaths

        return GarchPaths(asymmetric=True, fit_bars=self.fit_bars)


class GbmGenerator(GeneratorSection):
    """Geometric Brownian motion with the context's mean and volatility: what every model should beat."""

    title: ClassVar[str] = "geometric Brownian motion"

    kind: Literal["gbm"] = Field(default="gbm", description="which generator it is")

    def open(self) -> Generator:
        """Return the motion."""
        from scenario_gen.generators.gbm import GbmPaths

        return GbmPaths()


SECTIONS: tuple[type[GeneratorSection], ...] = (
    KronosGenerator,
    BootstrapGenerator,
    FhsGenerator,
    GarchGenerator,
    GjrGenerator,
    GbmGenerator,
)
GENERATORS = {str(section.model_fields["kind"].default): section for section in SECTIONS}
DEFAULT = "kronos"  # the kind of a section that names none
BASELINES = tuple(kind for kind in GENERATORS if kind != DEFAULT)  # generators without a model


def default_section(kind: str) -> GeneratorSection:
    """Return the section of a spec that names a kind and nothing else."""
    return GENERATORS[kind].model_validate({})


def written_generator(section: Any, violations: Violations, what: str) -> GeneratorSection | None:
    """Return the generator that a config of its own names, or note every mistake in it and return None.

    Args:
        section: as it is written under ``generator``.
        violations: of the config.
        what: asks for it, and recalibrates none: "a ranking".
    """
    where: Where = ("generator",)
    kind = section.get("kind", DEFAULT) if isinstance(section, Mapping) else DEFAULT
    if not isinstance(kind, str) or kind not in GENERATORS:
        words = f"got {shown(kind)}, expected {one_of(tuple(GENERATORS))}{nearest(str(kind), tuple(GENERATORS))}"
        violations.add((*where, "kind"), words)
        return None
    model = GENERATORS[kind]
    if not violations.mapping(section, where, tuple(model.model_fields)):
        return None
    built = violations.section(model, section, lambda place: (*where, *place))
    if built is not None and built.recalibrate:
        violations.add((*where, "recalibrate"), f"{what} recalibrates no generator; expected it left out")
    return built


def open_generator(
    section: GeneratorSection, history: Candles | None = None, past: PastForecasts | None = None
) -> Generator:
    """Build the generator that a spec's section describes.

    Args:
        section: of a spec; temperature and top_p are numbers.
        history: bars up to the context's end, for generators that are fitted to more than the context.
        past: what its forecasts are recalibrated by; None leaves them as sampled.

    Raises:
        CheckpointError: the model cannot be found or read.
        DataError: the history cannot be fitted.
    """
    from scenario_gen.generators.base import to_be_fitted

    generator = section.open()
    if history is not None and (fitted := to_be_fitted(generator)) is not None:
        generator = fitted.fitted_to(history)
    if past is not None:
        from scenario_gen.generators.recalibrated import Recalibrated

        generator = Recalibrated(generator, past)
    if section.volatility != 1.0:
        from scenario_gen.generators.rescaled import Rescaled

        generator = Rescaled.louder(generator, section.volatility)
    if section.drift == "neutral":
        from scenario_gen.generators.rescaled import DriftNeutral

        return DriftNeutral(generator)
    return generator


def name_of(record: Mapping[str, Any]) -> str:
    """Return what made a scenario's paths, in one line, from what its result keeps of the generator."""
    kind = str(record.get("kind", "unnamed generator"))
    name = GENERATORS[kind].named(record) if kind in GENERATORS else kind
    factor = record.get("volatility", 1.0)
    louder = f", volatility x{factor:g}" if factor != 1.0 else ""
    return name + louder + (", recalibrated" if record.get("recalibrate") else "")
