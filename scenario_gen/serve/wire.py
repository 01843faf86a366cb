"""What goes over the wire: requests and answers as OpenAPI describes them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from scenario_gen.errors import ScenarioError, SpecError
from scenario_gen.generators.sections import BASELINES
from scenario_gen.reading.words import nearest, one_of, shown
from scenario_gen.reading.yaml import MAX_BYTES
from scenario_gen.serve.guard import SPEC, Guard
from scenario_gen.spec.loader import LoadedSpec
from scenario_gen.spec.models import MAX_CALIBRATED, MAX_CONTEXT, MAX_ENSEMBLE, MAX_NEXT_BARS, MAX_ORIGINS, MAX_SEED
from scenario_gen.version import VERSION

EXAMPLE = """\
name: first
data: {source: sp500, end: 2017-06-30}
bars: {context: 256, horizon: 63}
paths: {count: 256, seed: 7}
generator: {kind: bootstrap}
strategies:
  - use: strategies/buy_and_hold.py:BuyAndHold
"""
LONGEST = 63  # bars ahead of a calibration that names none
_ASSET = re.compile(r"(?P<name>[\w.^][\w.^ -]{0,39})=(?P<history>.+)")
_MISTAKE = re.compile(rf"{re.escape(SPEC)}(?::(?P<line>\d+))?: (?:(?P<field>[\w.\[\]-]+): )?(?P<words>.*)", re.DOTALL)

Named = Annotated[str, Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SpecText(_Model):
    """A spec, as text."""

    spec: str = Field(description="YAML, as in a file", max_length=MAX_BYTES, examples=[EXAMPLE])


class DraftAsked(_Model):
    """What a spec is to be about."""

    name: str = Field(default="draft", min_length=1, max_length=60)
    source: Named | None = Field(default=None, max_length=40, description="of bars", examples=["sp500"])
    file: Named | None = Field(default=None, max_length=400, description="of bars, in a folder of the server")
    symbol: Named | None = Field(default=None, max_length=40)
    end: Named | None = Field(
        default=None, max_length=20, description="last bar of the context", examples=["2017-06-30"]
    )
    generator: str = Field(default="kronos", max_length=20)
    paths: int = Field(default=512, ge=1)
    context: int = Field(default=256, ge=1)
    horizon: int = Field(default=63, ge=1)
    strategies: list[Named] = Field(
        default=["strategies/buy_and_hold.py:BuyAndHold"], min_length=1, max_length=20, description="file.py:Class"
    )


class TableAsked(_Model):
    """Paths that are to be checked."""

    paths: str = Field(max_length=400, description="a Parquet or CSV file in a folder of data; or, with run, a table")
    run: str | None = Field(default=None, max_length=120, description="whose table: one that paths.keep: paths wrote")
    references: list[str] = Field(
        default=["sp500"], min_length=1, max_length=20, description="histories; NAME=HISTORY for each of several assets"
    )
    context_end: str | None = Field(default=None, max_length=40, description="last bar before the paths")
    resamples_history: bool = Field(default=False, description="a bootstrap: the copy test is shown and not judged")
    seed: int = Field(default=0, ge=0, le=MAX_SEED)

    def words(self, guard: Guard) -> list[str]:
        """Return the command line after ``check``; every file on it may be read.

        Raises:
            ScenarioError: a file may not.
        """
        table = guard.table(self.paths) if self.run is None else guard.run_file(self.run, self.paths)
        options = [f"--reference={_reference(text, guard)}" for text in self.references]
        options += [] if self.context_end is None else [f"--context-end={_moment(self.context_end)}"]
        options += ["--resamples-history"] if self.resamples_history else []
        return [*options, f"--seed={self.seed}", "--", str(table)]


class CalibrationAsked(_Model):
    """A generator that is to forecast the past of a history."""

    data: str = Field(default="sp500", max_length=400, description="sp500, nasdaq, or a file in a folder of data")
    model: str = Field(default="nano", max_length=400, description="a Kronos model, or a simpler generator")
    temperature: float | Literal["auto"] = 1.0
    top_p: float | Literal["auto"] = 1.0
    end: str | None = Field(default=None, max_length=20, description="last day to look at", examples=["2017-06-30"])
    context: int = Field(default=256, ge=32, le=MAX_CONTEXT)
    horizon: int | None = Field(default=None, ge=1, le=MAX_CALIBRATED, description="default: at most 63")
    origins: int = Field(default=60, ge=2, le=MAX_ORIGINS, description="forecasts at most; 30 are judged")
    paths: int = Field(default=199, ge=2, le=MAX_ENSEMBLE, description="of each forecast")
    baselines: list[str] = Field(default=["bootstrap", "fhs"], max_length=20)
    one_step: int = Field(default=0, ge=0, le=MAX_NEXT_BARS, description="forecasts of the next bar's value at risk")
    recalibrate: bool = False
    seed: int = Field(default=0, ge=0, le=MAX_SEED)

    def words(self, guard: Guard) -> list[str]:
        """Return the command line after ``calibrate``; every file and model on it may be used.

        Raises:
            ScenarioError: one may not, a baseline is none, or more bars would be simulated than this server takes.
        """
        for kind in self.baselines:
            if kind not in BASELINES:
                raise SpecError(f"got the baseline {shown(kind)}{nearest(kind, BASELINES)}", expected=one_of(BASELINES))
        guard.refuse_more(self.paths * (self.origins * (self.horizon or LONGEST) + self.one_step) * self.generators)
        given = {
            "data": guard.history(self.data), "model": guard.model(self.model), "temperature": self.temperature,
            "top-p": self.top_p, "end": self.end and _moment(self.end), "context": self.context,
            "horizon": self.horizon,
            "origins": self.origins, "paths": self.paths, "baselines": ",".join(self.baselines) or "none",
            "one-step": self.one_step, "seed": self.seed,
        }  # fmt: skip
        options = [f"--{name}={value}" for name, value in given.items() if value is not None]
        return [*options, *(["--recalibrate"] if self.recalibrate else [])]

    @property
    def generators(self) -> int:
        """How many generators forecast."""
        return 1 + self.recalibrate + len(self.baselines)


def _moment(text: str) -> str:
    """Return a moment as it was given; refuse here what the command line would refuse in the job."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise SpecError(f"got the moment {shown(text)}", expected="a day such as 2017-06-30") from None
    return text


def _reference(text: str, guard: Guard) -> str:
    """Return a history for the command line, behind the name of its asset where it has one."""
    named = _ASSET.fullmatch(text)
    return f"{named['name']}={guard.history(named['history'])}" if named else guard.history(text)


class Mistake(BaseModel):
    """Why something was refused, as the command line says it."""

    problem: str
    expected: str
    fix: str
    message: str = Field(description="the lines that the command line prints")


class Problem(BaseModel):
    """A mistake of a spec."""

    line: int | None
    field: str
    problem: str
    expected: str
    fix: str


class ValidScenario(BaseModel):
    """A scenario of a spec."""

    name: str
    role: str
    paths: int
    bars: int


class ValidAnswer(BaseModel):
    """What a spec would run, or what is wrong with it."""

    ok: bool
    problems: list[Problem] = []
    name: str = ""
    scenarios: list[ValidScenario] = []
    strategies: list[str] = []


class ServerHealth(BaseModel):
    """How the server is."""

    ok: bool
    version: str = VERSION


class SentCode(BaseModel):
    """A strategy that was kept."""

    file: str = Field(description="as specs name it")


REFUSED: dict[int | str, dict[str, Any]] = {
    code: {"model": Mistake, "description": words}
    for code, words in (
        (400, "not HTTP as it should be"), (401, "no key"), (403, "not with this key, or not on this server"),
        (404, "there is none"), (405, "not with this method"), (409, "not in this state"), (413, "too large"),
        (421, "another server's name"),
        (422, "a mistake, in the words of the command line"), (429, "too much at once; see Retry-After"),
        (503, "the disk refuses, or the server ends"),
    )
}  # fmt: skip
REFUSED[429]["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}

PARQUET = "application/vnd.apache.parquet"
BINARY = {"type": "string", "format": "binary"}
EVENT = {  # of a stream: one job, as JSON in one line
    "type": "object",
    "properties": {
        "data": {
            "type": "string", "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/Job"},
        },
    },
    "required": ["data"],
}  # fmt: skip


def told_as(kind: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what a route says of an answer that it writes itself: its media type, and its shape."""
    content = {kind: {"schema": {"type": "string"} if schema is None else schema}}
    return {"response_class": Response, "responses": {200: {"content": content}}}


def valid_answer(loaded: LoadedSpec) -> ValidAnswer:
    """Return what a spec would run."""
    scenarios = [
        ValidScenario(name=each.name, role=each.role, paths=each.paths.count, bars=each.bars.horizon)
        for each in loaded.spec.scenarios
    ]
    strategies = [use.display_name for use in loaded.spec.strategies]
    return ValidAnswer(ok=True, name=loaded.spec.name, scenarios=scenarios, strategies=strategies)


def problems_of(error: ScenarioError) -> list[Problem]:
    """Return the mistakes that an error lists, each with its line and field."""
    problems = []
    for line in error.problem.splitlines():
        mistake = _MISTAKE.fullmatch(line)
        if mistake is None and "mistakes in" in line:
            continue
        words = line if mistake is None else mistake["words"]
        came, _, expected = words.partition(", expected ")
        number = int(mistake["line"]) if mistake is not None and mistake["line"] else None
        where = (mistake["field"] or "") if mistake is not None else ""
        problems.append(
            Problem(line=number, field=where, problem=came, expected=expected or error.expected, fix=error.fix)
        )
    return problems
