"""What goes over the wire: requests and answers as OpenAPI describes them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from scenario_gen.errors import ScenarioError
from scenario_gen.reading.yaml import MAX_BYTES
from scenario_gen.serve.guard import SPEC
from scenario_gen.spec.loader import LoadedSpec
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
