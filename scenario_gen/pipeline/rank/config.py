"""What a ranking's config may say, and how it is read: every mistake with its file, line and field."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field, model_validator

from scenario_gen.errors import SpecError
from scenario_gen.execute.section import Execute
from scenario_gen.files import user_path
from scenario_gen.generators.sections import GeneratorSection, KronosGenerator, written_generator
from scenario_gen.joint.section import MAX_ASSETS, Joint
from scenario_gen.market.section import Moment
from scenario_gen.reading.section import Section, Violations
from scenario_gen.reading.words import bad_name, nearest, one_of, shown
from scenario_gen.reading.yaml import Document, parse_yaml, plain, read_text
from scenario_gen.spec.models import MAX_CALIBRATED, MAX_CONTEXT, MAX_ENSEMBLE, MAX_SEED

SIGNALS = ("mean", "median", "probability_of_gain", "sharpe")  # and quantile 0.x
QUANTILE = re.compile(r"quantile (0?\.\d+)")
FIX = "see scenarios/rank/folder.yaml for every key"


def _signal(text: str) -> str:
    quantile = QUANTILE.fullmatch(text)
    if text not in SIGNALS and not (quantile and 0 < float(quantile[1]) < 1):
        raise ValueError(f"got {shown(text)}, expected {one_of(SIGNALS)}, or quantile 0.1{nearest(text, SIGNALS)}")
    return text


Signal = Annotated[str, AfterValidator(_signal)]


class UniverseSection(Section):
    """Which instruments: a Qlib provider's market, the files of a folder, or files one by one."""

    provider_uri: str | None = Field(default=None, min_length=1, description="folder, as qlib.init takes it")
    market: str = Field(default="all", min_length=1, description="of the provider: all, csi300, ...")
    freq: str = Field(default="day", min_length=1, description="of the provider's bars")
    folder: str | None = Field(default=None, min_length=1, description="of files, one per instrument")
    pattern: str = Field(
        default="*.parquet", min_length=1, description="of the folder's files: equity_daily__*.parquet"
    )
    files: tuple[str, ...] = Field(default=(), strict=False, description="CSV or Parquet, one per instrument")
    first: int | None = Field(default=None, ge=1, description="take so many, in the order of their names")

    @model_validator(mode="after")
    def _one_place(self) -> UniverseSection:
        given = [name for name in ("provider_uri", "folder", "files") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"got {', '.join(given) or 'none'}, expected one of provider_uri, folder and files")
        for name, place in (("market", "provider_uri"), ("freq", "provider_uri"), ("pattern", "folder")):
            if name in self.model_fields_set and place not in given:
                raise ValueError(f"got {name} and no {place}, where alone it has a meaning")
        return self


class Dates(Section):
    """When instruments are ranked: at the close of every so many bars from start to end."""

    start: Moment = Field(default=None, description="first date; default: when the contexts are long enough")
    end: Moment = Field(default=None, description="last date; default: the last bar")
    every: int = Field(default=5, ge=1, le=1000, description="bars between dates")


class Portfolio(Section):
    """The top names, a few of them exchanged at a time, as Qlib's TopkDropoutStrategy does."""

    signal: Signal | None = Field(default=None, description="to rank by; default: the first of signals")
    top: int = Field(default=50, ge=1, le=5000, description="names to hold")
    drop: int = Field(default=5, ge=1, le=5000, description="names to exchange at most")
    rebalance: int = Field(default=1, ge=1, le=1000, description="rankings from one exchange to the next")
    cash: float = Field(default=1_000_000.0, gt=0, le=1e15)
    invested: float = Field(default=0.95, gt=0, le=1, description="share of the free cash that a purchase may spend")
    commission: float = Field(default=0.0, ge=0, lt=0.5, description="of the traded value, both sides")
    slippage: float = Field(default=0.0, ge=0, lt=0.5, description="of the price, against the trader")
    stamp_duty: float = Field(default=0.0, ge=0, lt=0.5, description="of the value of sales")
    t_plus_one: bool = Field(default=False, description="no sale on the day of purchase")
    price_limit: float | None = Field(
        default=None, gt=0, lt=1, description="0.1: what opens 10 % up cannot be bought, 10 % down not be sold"
    )

    @model_validator(mode="after")
    def _few_of_many(self) -> Portfolio:
        if self.drop > self.top:
            raise ValueError(f"got drop {self.drop} and top {self.top}, expected to exchange at most the top")
        return self


class JointPaths(Section):
    """The portfolio of the last date over joint paths of its names and of others of the ranking."""

    paths: int = Field(
        default=512, ge=400, le=MAX_ENSEMBLE, description="joint futures; fewer show no 5 of 100 that lose most"
    )
    names: int = Field(
        default=20,
        ge=2,
        le=MAX_ASSETS,
        description="coupled at most: the top, and others evenly from the ranking below",
    )
    coupling: Joint = Field(default=Joint(), description="as `joint` of a spec; without correlation and crisis")

    @model_validator(mode="after")
    def _of_its_own_bars(self) -> JointPaths:
        if self.coupling.correlation is not None or self.coupling.calibrate.crisis is not None:
            raise ValueError("got coupling with a correlation or a crisis, expected a coupling read from the last bars")
        return self


class Benchmark(Section):
    """A series beside the portfolio; names in equal parts are beside it always."""

    file: str = Field(min_length=1, description="CSV or Parquet of its bars")
    name: str | None = Field(default=None, min_length=1, max_length=60)


class RankSettings(Section):
    """A ranking's config but for its generator."""

    name: str = Field(min_length=1, max_length=60)
    universe: UniverseSection
    dates: Dates = Dates()
    context: int = Field(default=256, ge=32, le=MAX_CONTEXT, description="bars of each instrument that are continued")
    horizon: int = Field(default=10, ge=1, le=MAX_CALIBRATED, description="bars ahead")
    paths: int = Field(default=64, ge=2, le=MAX_ENSEMBLE, description="of each instrument at each date")
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    signals: tuple[Signal, ...] = Field(default=("mean",), strict=False, min_length=1, max_length=10)
    decay: tuple[int, ...] = Field(default=(1, 5, 10, 20), strict=False, max_length=20, description="bars")
    fewest: int = Field(default=10, ge=3, le=5000, description="instruments of a date below which it says nothing")
    guard: int = Field(default=2, ge=0, le=100, description="dates ranked again from files cut at the date")
    portfolio: Portfolio | None = Portfolio()
    benchmark: Benchmark | None = None
    joint: JointPaths | None = Field(default=None, description="what the portfolio of the last date may come to")
    folder: str | None = Field(default=None, min_length=1, description="where all goes; default: reports/NAME")
    execute: Execute = Execute()

    @model_validator(mode="after")
    def _signals_known(self) -> RankSettings:
        if len(set(self.signals)) < len(self.signals):
            raise ValueError(f"got {', '.join(self.signals)}, expected every signal once")
        if any(not 1 <= bars <= 1000 for bars in self.decay):
            raise ValueError(f"got decay {list(self.decay)}, expected bars from 1 to 1000")
        if self.portfolio and self.portfolio.signal and self.portfolio.signal not in self.signals:
            raise ValueError(f"got portfolio.signal {self.portfolio.signal}, expected one of {one_of(self.signals)}")
        if self.joint and (self.portfolio is None or self.portfolio.top > self.joint.names):
            top = self.portfolio.top if self.portfolio else "no portfolio"
            raise ValueError(f"got joint.names {self.joint.names} and portfolio.top {top}, expected room for the top")
        if reason := bad_name(self.name):
            raise ValueError(f"got name {shown(self.name)}; {reason}")
        return self

    @property
    def signal(self) -> str:
        """The signal that is judged and traded."""
        return (self.portfolio.signal if self.portfolio else None) or self.signals[0]


KEYS = ("name", "universe", "generator", *(key for key in RankSettings.model_fields if key not in ("name", "universe")))


@dataclass(frozen=True)
class RankConfig:
    """A config that can be run."""

    settings: RankSettings
    generator: GeneratorSection
    text: str  # the YAML as it was written
    base: Path  # where its files are looked for

    @property
    def sha256(self) -> str:
        """Of the text."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def folder(self) -> Path:
        """Where all goes."""
        return user_path(self.settings.folder or f"reports/{self.settings.name}")

    def path(self, written: str) -> Path:
        """Return a path of the config: relative to its own folder, where it is there; else to the current one."""
        path = user_path(written)
        beside = self.base / path
        return beside if not path.is_absolute() and beside.exists() else path


def load_config(given: str | Path | Mapping[str, Any]) -> RankConfig:
    """Read a config from a YAML file, or from a mapping with its keys.

    Raises:
        SpecError: it cannot be read, or breaks a rule; every mistake has its line.
    """
    if isinstance(given, Mapping):
        values = plain(given)
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        return _assemble(Document(values, {}, ""), text, Path.cwd())
    path = user_path(given)
    text = read_text(path, "config of a ranking")
    return _assemble(parse_yaml(text, str(path)), text, path.resolve().parent)


def _assemble(document: Document, text: str, base: Path) -> RankConfig:
    values, violations = document.values, Violations(document)
    if not isinstance(values, Mapping):
        raise SpecError(
            f"{document.filename or 'config'}: got {shown(values)} at the top", expected=one_of(KEYS), fix=FIX
        )
    violations.mapping(values, (), KEYS, needed=("name", "universe"))
    ours = {key: value for key, value in values.items() if key in KEYS and key != "generator"}
    settings = None
    if {"name", "universe"} <= {*ours}:
        settings = violations.section(RankSettings, ours, lambda where: where)
    generator = written_generator(values.get("generator", {}), violations, "a ranking")
    if isinstance(generator, KronosGenerator) and generator.adapt:  # what is kept of so many fits stands nowhere
        violations.add(("generator", "adapt"), "a ranking adapts no generator; expected it left out")
    violations.raise_any()
    if settings is None or generator is None:
        raise AssertionError("a config was refused without a reason")
    return RankConfig(settings, generator, text, base)
