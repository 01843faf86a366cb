"""What a live config may say, and how it is read: every mistake with its file, line and field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from scenario_gen.backtest.broker import Broker, in_numbers
from scenario_gen.backtest.uses import StrategyUse, parameter_sets
from scenario_gen.errors import SpecError
from scenario_gen.files import user_path
from scenario_gen.generators.sections import BASELINES, GeneratorSection, written_generator
from scenario_gen.live.alerts import Receiver
from scenario_gen.live.watch import FEWEST_PATHS
from scenario_gen.market.section import Data
from scenario_gen.market.sources.base import minutes_of
from scenario_gen.reading.section import Section, Violations
from scenario_gen.reading.words import bad_name, nearest, one_of, shown
from scenario_gen.reading.yaml import Document, Where, parse_yaml, plain, read_text
from scenario_gen.spec.loader import read_strategies
from scenario_gen.spec.models import MAX_CALIBRATED, MAX_CONTEXT, MAX_ENSEMBLE, MAX_SEED

FIX = "see scenarios/live/bitcoin.yaml for every key"
LOG, TOLD = "log.sqlite", "alerts.json"  # in the folder
MOST_WATCHED = 20  # strategies with their parameters


def seconds_of(every: str) -> int:
    """Return the seconds of a distance such as 5m, 1h or 1d.

    Raises:
        ValueError: it is none, or longer than a week.
    """
    try:
        minutes = minutes_of(every)
    except KeyError:
        minutes = 0
    if not 0 < minutes <= 7 * 24 * 60:
        raise ValueError(f"got {shown(every)}, expected such as 5m, 1h or 1d, a week at most")
    return 60 * minutes


def _every(text: str) -> str:
    seconds_of(text)
    return text


class LiveSettings(Section):
    """A live config but for its data and generator."""

    name: str = Field(min_length=1, max_length=60)
    context: int = Field(default=400, ge=32, le=MAX_CONTEXT, description="bars that seed the generator")
    horizon: int = Field(default=24, ge=1, le=MAX_CALIBRATED, description="bars ahead")
    paths: int = Field(default=512, ge=20, le=MAX_ENSEMBLE, description="of each forecast; the log keeps the first 199")
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    baselines: tuple[str, ...] = Field(
        default=("bootstrap",), strict=False, max_length=5, description="forecast beside it, for the scores"
    )
    every: Annotated[str, AfterValidator(_every)] | None = Field(
        default=None, description="how often, where the command does not say; default: once"
    )
    folder: str | None = Field(default=None, min_length=1, description="of the log; default: reports/live/NAME")
    alerts: tuple[Receiver, ...] = Field(
        default=(), strict=False, max_length=10, description="who is told, once, when a verdict changes"
    )

    @field_validator("name")
    @classmethod
    def _a_name(cls, name: str) -> str:
        if reason := bad_name(name):
            raise ValueError(f"got {shown(name)}; {reason}")
        return name

    @field_validator("baselines")
    @classmethod
    def _known(cls, baselines: tuple[str, ...]) -> tuple[str, ...]:
        for name in baselines:
            if name not in BASELINES:
                raise ValueError(f"got {shown(name)}, expected {one_of(BASELINES)}{nearest(name, BASELINES)}")
        if len(set(baselines)) < len(baselines):
            raise ValueError(f"got {', '.join(baselines)}, expected every baseline once")
        return baselines


OTHERS = ("data", "generator", "strategies", "broker")  # as in a spec
KEYS = ("name", *OTHERS, *(key for key in LiveSettings.model_fields if key != "name"))


@dataclass(frozen=True)
class LiveConfig:
    """A config that can be followed."""

    settings: LiveSettings
    data: Data
    generator: GeneratorSection
    base: Path  # where its files are looked for
    strategies: tuple[StrategyUse, ...] = ()  # that are watched
    broker: Broker = field(default_factory=Broker)  # of their accounts

    @property
    def folder(self) -> Path:
        """Where the log is, and what receivers were told."""
        return user_path(self.settings.folder or f"reports/live/{self.settings.name}")

    @property
    def log(self) -> Path:
        """The log of forecasts."""
        return self.folder / LOG

    @property
    def told(self) -> Path:
        """What receivers of alerts were told last."""
        return self.folder / TOLD


def load_live(given: str | Path | Mapping[str, Any]) -> LiveConfig:
    """Read a config from a YAML file, or from a mapping with its keys.

    Raises:
        SpecError: it cannot be read, or breaks a rule; every mistake has its line.
    """
    if isinstance(given, Mapping):
        return _assemble(Document(plain(given), {}, ""), Path.cwd())
    path = user_path(given)
    return _assemble(parse_yaml(read_text(path, "live config"), str(path)), path.resolve().parent)


def _assemble(document: Document, base: Path) -> LiveConfig:
    values, violations = document.values, Violations(document)
    if not isinstance(values, Mapping):
        came = f"{document.filename or 'config'}: got {shown(values)} at the top"
        raise SpecError(came, expected=one_of(KEYS), fix=FIX)
    violations.mapping(values, (), KEYS, needed=("name", "data"))
    ours = {key: value for key, value in values.items() if key in LiveSettings.model_fields}
    settings = violations.section(LiveSettings, ours, lambda where: where) if "name" in values else None
    data = _data(values["data"], violations) if "data" in values else None
    generator = written_generator(values.get("generator", {}), violations, "a live forecast")
    for key in ("temperature", "top_p"):
        if getattr(generator, key, None) == "auto":
            violations.add(("generator", key), "got auto, expected a number: nothing is calibrated beforehand")
    strategies = _strategies(values["strategies"], base, settings, violations) if "strategies" in values else ()
    costs = in_numbers(values.get("broker", {}))
    broker = None
    if violations.mapping(costs, ("broker",), tuple(Broker.model_fields)):
        broker = violations.section(Broker, costs, lambda where: ("broker", *where))
    violations.raise_any()
    if settings is None or generator is None or data is None or broker is None:
        raise AssertionError("a config was refused without a reason")
    return LiveConfig(settings, data, generator, base, strategies, broker)


def _strategies(
    listed: Any, base: Path, settings: LiveSettings | None, violations: Violations
) -> tuple[StrategyUse, ...]:
    before = len(violations.mistakes)
    uses = read_strategies(listed, base, violations)
    for place, use in enumerate(uses):
        if use.positions:
            words = "holds assets by name, and a live forecast has one; give 'use' in its place"
            violations.add(("strategies", place, "positions"), words)
    if len(violations.mistakes) > before:
        return ()
    count = sum(parameter_sets(use.params, use.where) for use in uses)
    if count > MOST_WATCHED:
        words = f"got {count} strategies with their parameters, expected at most {MOST_WATCHED}: each has false alarms"
        violations.add(("strategies",), words)
    if settings is not None and settings.paths < FEWEST_PATHS:
        words = f"got {settings.paths}, expected at least {FEWEST_PATHS} where strategies are watched"
        violations.add(("paths",), f"{words}: of fewer no equity is outside at 1 %")
    return uses


def _data(section: Any, violations: Violations) -> Data | None:
    where: Where = ("data",)
    if not violations.mapping(section, where, tuple(Data.model_fields)):
        return None
    data = violations.section(Data, section, lambda place: (*where, *place))
    for key in ("end", "as_of"):
        if data is not None and getattr(data, key) is not None:
            violations.add((*where, key), "live forecasts follow the last bar there is; expected it left out")
    return data
