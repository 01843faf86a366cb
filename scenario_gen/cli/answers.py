"""What ``--json`` prints: one object per command, whose class is its schema; and the documentation that follows.

    python -m scenario_gen.cli.answers > docs/json.md

Owns the list of answers, and the classes of those that no other room has. With ``--json`` standard output holds the
answer alone; progress, notes and mistakes stand on standard error, and the exit code is the same as without it.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from scenario_gen.finding import Finding, Label
from scenario_gen.stats.estimate import Estimate, MetricSummary
from scenario_gen.store.certificate import ChosenPaths, Proof, ProvedPaths
from scenario_gen.stress.search import Crisis

if TYPE_CHECKING:
    from scenario_gen.kronos.checkpoint import Verified
    from scenario_gen.store.results import StressRun


@dataclass(frozen=True)
class StrategyFigures:
    """One strategy in one scenario."""

    scenario: str
    role: str  # scenario or baseline
    strategy: str
    params: dict[str, Any]
    metrics: list[MetricSummary]
    probability_of_loss: Estimate
    var: dict[str, Estimate]  # by level; a loss is positive
    cvar: dict[str, Estimate]  # likewise


@dataclass(frozen=True)
class RunAnswer:
    """A finished run; run.json in its folder has everything."""

    name: str
    folder: str  # or address
    page: str  # the report
    exit_code: int  # that the command leaves with
    seconds: dict[str, float]  # by stage
    findings: list[Finding]
    strategies: list[StrategyFigures]

    @classmethod
    def of(cls, run: StressRun, page: str, code: int) -> RunAnswer:
        """Sum a run up."""
        books = [] if run.book is None else run.book.scenarios
        figures = [
            StrategyFigures(
                scenario.name, scenario.role, each.name, each.params, each.metrics, each.probability_of_loss,
                each.var, each.cvar,
            )
            for scenario in (*books, *run.scenarios)
            for each in scenario.strategies
        ]  # fmt: skip
        return cls(
            run.name,
            page.removesuffix("index.html").rstrip("/\\"),
            page,
            code,
            dict(run.seconds),
            run.findings,
            figures,
        )


@dataclass(frozen=True)
class ShardAnswer:
    """A shard whose blocks are done."""

    name: str  # 2/8
    run: str  # what to give to merge
    folder: str  # where its blocks are
    due: dict[str, list[int]]  # numbers of its blocks, by scenario


@dataclass(frozen=True)
class Written:
    """Files to start from."""

    files: list[str]
    next: str  # what to do with them


@dataclass(frozen=True)
class ValidatedScenario:
    """A scenario as a spec has it."""

    name: str
    role: str  # scenario or baseline
    paths: int
    bars: int
    in_words: str


@dataclass(frozen=True)
class ValidatedSpec:
    """A spec that was read; the first mistakes are in ``problem``."""

    file: str
    valid: bool
    name: str
    scenarios: list[ValidatedScenario]
    strategies: list[str]
    backtests: int
    page: str  # where its report would be
    problem: str  # "" where it is valid; else every mistake with line and field
    expected: str
    fix: str


@dataclass(frozen=True)
class Validated:
    """Specs that were read."""

    specs: list[ValidatedSpec]


@dataclass(frozen=True)
class ListedModel:
    """A model that has a name."""

    name: str
    where: str
    parameters: int
    context: int  # bars that its window holds
    here: bool  # whether it is on this machine
    note: str


@dataclass(frozen=True)
class ListedModels:
    """The models that have a name."""

    models: list[ListedModel]


@dataclass(frozen=True)
class CheckedModel:
    """A model that was looked at."""

    name: str
    here: bool  # whether it is on this machine
    whole: bool
    hashed: int  # files whose bytes have their recorded hash
    unrecorded: int  # files of which no hash is recorded
    parameters: dict[str, int]  # of what was loaded: model, tokenizer
    problem: str  # "" where nothing is wrong
    folders: dict[str, str]  # where what was fetched lies, by place

    @classmethod
    def whole_as(cls, verified: Verified, folders: dict[str, str] | None = None) -> CheckedModel:
        """Return a model that was found whole."""
        sizes = {facts.kind: facts.parameters for facts in verified.networks}
        counts = (verified.hashed, verified.unrecorded)
        return cls(verified.name, True, True, *counts, sizes, "", folders or {})

    @classmethod
    def lacking(cls, name: str, problem: str, *, here: bool) -> CheckedModel:
        """Return a model that is broken, or not here."""
        return cls(name, here, False, 0, 0, {}, problem, {})


@dataclass(frozen=True)
class CheckedModels:
    """Models that were looked at."""

    models: list[CheckedModel]


@dataclass(frozen=True)
class TrainedAnswer:
    """What a training run left."""

    folder: str
    kind: str  # checkpoint or tokenizer
    nats_before: float | None  # per held-out bar; None where nothing was held out, or training began from nothing
    nats_after: float | None


@dataclass(frozen=True)
class ListedCrises:
    """The crises of a history."""

    history: str
    source: str
    bars: int
    first: str  # stamp
    last: str
    score: str  # what was searched by
    window: int  # bars
    by_name: list[Crisis]
    by_search: list[Crisis]


@dataclass(frozen=True)
class ProvedRun:
    """What was proved; all but label and steps are null where a certificate alone was checked."""

    label: Label  # the worst of its steps
    steps: list[Proof]
    run: str | None = None
    created: str | None = None
    identity: dict[str, str] | None = None
    sums: dict[str, str] | None = None
    seeds: dict[str, int] | None = None
    versions: dict[str, str] | None = None
    device: dict[str, str] | None = None
    choice: ChosenPaths | None = None
    proved: list[ProvedPaths] | None = None
    verified: str | None = None
    verified_by: dict[str, str] | None = None
    verified_on: dict[str, str] | None = None
    schema: int | None = None


@dataclass(frozen=True)
class FetchedBars:
    """The note beside bars that are kept."""

    key: str  # which names them
    asked: dict[str, Any]  # fields of data
    fetched: str  # when, ISO, UTC
    client: str  # which fetched them, with its version
    bars: int
    first: str  # stamps, ISO
    last: str
    sha256: str  # of the Parquet file
    file: str
    notes: list[str]
    asked_now: bool | None = None  # whether the source was asked, or they were kept; not of --list and --remove


@dataclass(frozen=True)
class ListedBars:
    """Bars of sources; only the list that was asked for is there."""

    fetched: list[FetchedBars] | None = None
    kept: list[FetchedBars] | None = None  # of --list
    removed: list[FetchedBars] | None = None  # of --remove


@dataclass(frozen=True)
class ServedRoot:
    """A server that listens, or a key that was made for one."""

    root: str  # folder of the runs
    address: str  # http://127.0.0.1:8000; "" where only a key was made
    workers: int  # jobs at once; 0 where only a key was made
    keyed: bool  # whether callers need a key
    key: str | None = None  # of --make-key: told this once, kept as its hash
    scopes: list[str] | None = None  # of that key


HERE = "scenario_gen.cli.answers"
REPORTS = "scenario_gen.store.reports"
ANSWERS: tuple[tuple[str, str], ...] = (  # command, and its answer's class or classes
    ("run", f"{HERE}:RunAnswer"),
    ("run --plan", "scenario_gen.pipeline.plan.plan:RunPlan"),
    ("run --shard", f"{HERE}:ShardAnswer"),
    ("merge", f"{HERE}:RunAnswer"),
    ("batch", "scenario_gen.store.batch:BatchRun"),
    ("validate", f"{HERE}:Validated"),
    ("init", f"{HERE}:Written"),
    ("backtest", f"{REPORTS}:BacktestReport"),
    ("check", f"{REPORTS}:CheckReport {REPORTS}:AssetsReport"),
    ("calibrate", f"{REPORTS}:CalibrationReport"),
    ("evaluate", "scenario_gen.forecasts.checkpoint_figures:Evaluation"),
    ("train", f"{HERE}:TrainedAnswer"),
    ("finetune", f"{HERE}:TrainedAnswer"),
    ("models list", f"{HERE}:ListedModels"),
    ("models pull", f"{HERE}:CheckedModels"),
    ("models verify", f"{HERE}:CheckedModels"),
    ("crises", f"{HERE}:ListedCrises"),
    ("fetch", f"{HERE}:ListedBars"),
    ("predict", f"{REPORTS}:PredictionReport"),
    ("rank", "scenario_gen.store.ranking:RankRun"),
    ("live", "scenario_gen.live.results:LiveReport"),
    ("live --check", "scenario_gen.live.results:LogReport"),
    ("event", "scenario_gen.pipeline.stress.one_event:EventReport"),
    ("couple", "scenario_gen.pipeline.book.couple:CouplingsReport"),
    ("diff", "scenario_gen.store.diff:RunDiff"),
    ("clean", "scenario_gen.store.clean:Cleaned"),
    ("verify", f"{HERE}:ProvedRun"),
    ("explain", "scenario_gen.cli.explain:Explanations"),
    ("serve", f"{HERE}:ServedRoot"),
    ("doctor", "scenario_gen.cli.doctor:Health"),
    ("bench", "scenario_gen.kronos.model_speed:BenchResult"),
    ("bench backtest", "scenario_gen.backtest.backtest_speed:BacktestBench"),
)


def classes_of(command: str) -> list[type]:
    """Return the classes, of which a command's answer is one."""
    places = [place.split(":") for place in dict(ANSWERS)[command].split()]
    return [getattr(import_module(module), name) for module, name in places]


def schema_of(command: str) -> dict[str, Any]:
    """Return the JSON schema (2020-12) of a command's answer; a number that is not applicable is null."""
    first, *more = classes_of(command)
    kind: Any = first
    for other in more:
        kind = kind | other
    return TypeAdapter(kind).json_schema(schema_generator=_WithNull)


class _WithNull(GenerateJsonSchema):
    def float_schema(self, schema: Any) -> dict[str, Any]:
        """Return a number or null: what is not a number is written as null."""
        return {**super().float_schema(schema), "type": ["number", "null"]}


# --- The documentation, which follows the classes ---


def document() -> str:
    """Return docs/json.md: every command with its answer, field by field, in the words beside the fields."""
    return "\n".join([*_document(), ""])


def _document() -> Iterator[str]:
    yield "# What `--json` prints"
    yield ""
    yield "<!-- made by: python -m scenario_gen.cli.answers > docs/json.md -->"
    yield ""
    yield "Every command takes `--json`. Standard output then holds one JSON object and nothing else; progress, notes"
    yield "and mistakes stand on standard error, and exit codes are the same. A number that is not there is `null`."
    yield "Fields may be added in later versions; none is renamed or removed without a word in the changelog. The JSON"
    yield "schema of an answer, with all that is inside it: `scenario_gen.cli.answers.schema_of('run')`."
    seen: dict[type, str] = {}
    for command, _ in ANSWERS:
        for kind in classes_of(command):
            yield ""
            yield f"## `{command}`"
            yield ""
            if kind in seen:
                yield f"As `{seen[kind]}`."
                continue
            seen[kind] = command
            yield f"{inspect.getdoc(kind)}"
            yield ""
            yield "| field | type | what it is |"
            yield "|---|---|---|"
            words = _comments(kind)
            for each in fields(kind):
                yield f"| `{each.name}` | `{_type_in_words(each.type)}` | {words.get(each.name, '')} |"


def _comments(kind: type) -> dict[str, str]:
    """Return the comments behind the fields of a class, or in the lines before them."""
    comments: dict[str, str] = {}
    before: list[str] = []
    for line in inspect.getsource(kind).splitlines():
        if alone := re.fullmatch(r"    # (.*)", line):
            before.append(alone[1])
            continue
        if named := re.match(r"    (\w+): [^#]*(?:# (.*))?$", line):
            comments[named[1]] = (named[2] or " ".join(before)).replace("|", "\\|").replace("``", "`")
        before = []
    return comments


def _type_in_words(kind: Any) -> str:
    return str(kind).replace("|", "or")  # as it is written: annotations are text


if __name__ == "__main__":
    sys.stdout.write(document())
