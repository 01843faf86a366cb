"""The product's verbs as tools of the Model Context Protocol, over the runs of one root.

Owns what each tool answers: verdicts stand beside every figure, and a figure never without its interval. What a spec
may name and cost, jobs and runs are those of the server over HTTP, through the same functions.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ToolAnnotations
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope as AsgiScope, Send

from scenario_gen.errors import ScenarioError, SpecError, StoreError
from scenario_gen.reading.words import shown
from scenario_gen.serve import told
from scenario_gen.serve.app import TOOLS, Api, require
from scenario_gen.serve.jobs import Job
from scenario_gen.serve.keys import EVERYBODY, Caller, Scope
from scenario_gen.serve.listing import ListedRun
from scenario_gen.serve.wire import CalibrationAsked, DraftAsked, SpecText, TableAsked, ValidAnswer
from scenario_gen.stress.search import crises
from scenario_gen.values import encode
from scenario_gen.version import VERSION

ABOUT = (
    "Synthetic market scenarios for stress testing backtests. Draft or write a spec, validate it, run it as a job, "
    "poll the job, then read findings and figures. Never quote a figure without its interval [low, high] and the "
    "verdict of its run: FAIL or WARN means that the paths, or the strategy, should not be trusted as they are. "
    "explain_finding says what a finding means. check_paths and calibrate are jobs too, whose findings read_report "
    "tells. Intervals of figures are Monte Carlo errors of these paths; they say nothing of whether the paths are "
    "right."
)
READ: Scope = "read"
RUN: Scope = "run"
Explain = Callable[[str], Sequence[Any]]  # answers dataclasses
Asked = TypeVar("Asked", bound=BaseModel)
_CALLER: ContextVar[Caller] = ContextVar("caller")  # of the request over HTTP that is answered


def create_tools(api: Api, explain: Explain, caller: Callable[[], Caller] = lambda: EVERYBODY) -> MCPServer[Any]:
    """Return the server; jobs are worked on while it runs.

    Args:
        api: of the server over HTTP, whose functions these are.
        explain: answers what a finding means, by its name.
        caller: says who asks; by default whoever started the server, who may do everything.
    """
    tools = _Tools(api, explain)
    server: MCPServer[Any] = MCPServer(
        "scenario-gen", instructions=ABOUT, version=VERSION, lifespan=api.lifespan, log_level="WARNING"
    )
    reading: tuple[Callable[..., Any], ...] = (
        tools.draft_spec, tools.validate_spec, tools.list_jobs, tools.read_job, tools.list_runs, tools.read_findings,
        tools.read_figures, tools.read_report, tools.explain_finding, tools.list_strategies, tools.list_crises,
    )  # fmt: skip
    running: tuple[Callable[..., Any], ...] = (
        tools.start_run, tools.check_paths, tools.calibrate, tools.cancel_job, tools.resume_job,
    )  # fmt: skip
    reads = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    runs = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
    for listed, scope, hints in ((reading, READ, reads), (running, RUN, runs)):
        for tool in listed:
            server.tool(structured_output=True, annotations=hints)(_scoped(tool, scope, caller, ToolError))
    for address, kind, resource in (
        ("scenario-gen://schema/spec", "application/json", tools.spec_schema),
        ("scenario-gen://runs/{name}/report", "text/html", tools.report),
        ("scenario-gen://runs/{name}/result", "application/json", tools.result),
    ):
        server.resource(address, mime_type=kind)(_scoped(resource, READ, caller, ResourceError))
    return server


def create_tools_app(api: Api, explain: Explain) -> Starlette:
    """Return the tools over HTTP, for the gate, which knows the caller and has judged the names and the size.

    Every request stands alone: no session is kept that another key could use, or that a restart would lose.
    """
    server = create_tools(api, explain, _CALLER.get)  # without a caller nothing is done: LookupError
    app = server.streamable_http_app(
        streamable_http_path=TOOLS,
        json_response=True,
        stateless_http=True,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),  # the gate's
    )
    app.user_middleware.append(Middleware(_KnownCaller))
    return app


class _KnownCaller:
    """Hands the gate's caller on to the tools, which see no request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            _CALLER.set(scope["state"]["caller"])
        await self._app(scope, receive, send)


def _scoped(
    asked: Callable[..., Any], scope: Scope, caller: Callable[[], Caller], refusal: type[Exception]
) -> Callable[..., Any]:
    """Return a tool or a resource that asks for a scope, and whose refusals are those of the command line."""

    @wraps(asked)
    def scoped(*args: Any, **given: Any) -> Any:
        try:
            require(caller(), scope)
            return asked(*args, **given)
        except ScenarioError as error:
            raise refusal(str(error)) from None

    return scoped


class _Tools:
    """The tools, over one store."""

    def __init__(self, api: Api, explain: Explain) -> None:
        self.api, self._explain = api, explain

    # --- specs and jobs ---

    def draft_spec(
        self,
        name: str = "draft",
        source: str = "sp500",
        end: str | None = "2017-06-30",
        generator: str = "kronos",
        paths: int = 512,
        context: int = 256,
        horizon: int = 63,
        strategies: list[str] | None = None,
    ) -> SpecText:
        """Write a spec (YAML) to start from.

        source: sp500, nasdaq or one that this server may ask; strategies: each as file.py:Class.
        """
        given = {
            "name": name, "source": source, "end": end, "generator": generator, "paths": paths, "context": context,
            "horizon": horizon, "strategies": strategies,
        }  # fmt: skip
        return self.api.draft(_asked(DraftAsked, given))

    def validate_spec(self, spec: str) -> ValidAnswer:
        """Check a spec (YAML text) without running it: what it would run, or every mistake with its line and field."""
        return self.api.validate(SpecText(spec=spec))

    def start_run(self, spec: str) -> Job:
        """Queue the run of a spec (YAML text); poll it with read_job until it is done."""
        return self.api.submit(SpecText(spec=spec))

    def list_jobs(self, most: int = 20) -> list[Job]:
        """List jobs, the newest first."""
        return self.api.store.list(None, min(max(most, 1), 500))

    def read_job(self, job: str) -> Job:
        """Return a job by its id: its state, how far it is, its verdict, or its error as the command line words it."""
        return self.api.store.get(job)

    def cancel_job(self, job: str) -> Job:
        """Call a job off; what is finished of it is kept."""
        return self.api.store.cancel(job)

    def resume_job(self, job: str) -> Job:
        """Queue a job again that failed or was cancelled; it goes on where it stopped."""
        return self.api.store.resume(job)

    # --- checks and calibrations ---

    def check_paths(
        self,
        paths: str,
        references: list[str] | None = None,
        run: str | None = None,
        context_end: str | None = None,
        resamples_history: bool = False,
        seed: int = 0,
    ) -> Job:
        """Queue a check of paths of any generator: valid candles, stylized facts, copies; then read_report of the job.

        paths: a Parquet or CSV file in a data folder of this server, with path, timestamp, open, high, low, close; or,
        with run, its paths/SCENARIO.parquet, which paths: {keep: paths} in its spec leaves. references: sp500, nasdaq
        or a file, as NAME=HISTORY for each of several assets. resamples_history: a bootstrap of the reference.
        """
        given = {
            "paths": paths, "references": references, "run": run, "context_end": context_end,
            "resamples_history": resamples_history, "seed": seed,
        }  # fmt: skip
        return self.api.check(_asked(TableAsked, given))

    def calibrate(
        self,
        data: str = "sp500",
        model: str = "nano",
        temperature: float | str = 1.0,
        top_p: float | str = 1.0,
        end: str | None = None,
        context: int = 256,
        horizon: int | None = None,
        origins: int = 60,
        paths: int = 199,
        baselines: list[str] | None = None,
        one_step: int = 0,
        recalibrate: bool = False,
        seed: int = 0,
    ) -> Job:
        """Queue a calibration: a generator forecasts the past, and what came is ranked; then read_report of the job.

        data: sp500, nasdaq or a file in a data folder. model: nano, mini, small, base or a simpler generator such as
        fhs. temperature, top_p: a number or auto. origins: forecasts at most; below 30 nothing is judged. baselines:
        bootstrap and fhs by default. one_step: forecasts of the next bar's value at risk; 100 judge the 5 % level.
        """
        given = {
            "data": data, "model": model, "temperature": temperature, "top_p": top_p, "end": end, "context": context,
            "horizon": horizon, "origins": origins, "paths": paths, "baselines": baselines, "one_step": one_step,
            "recalibrate": recalibrate, "seed": seed,
        }  # fmt: skip
        return self.api.calibrate(_asked(CalibrationAsked, given))

    def read_report(self, job: str) -> dict[str, Any]:
        """Return what a check or a calibration found: verdicts and reasons, then figures with their 95 % intervals."""
        return {"job": job, **told.report(self.api.job_report(job))}

    # --- runs ---

    def list_runs(self) -> list[ListedRun]:
        """List the finished runs with their verdicts, the newest first."""
        return self.api.runs()

    def read_findings(self, run: str, label: str | None = None) -> dict[str, Any]:
        """Return the findings of a run, the verdict first; label: only FAIL, WARN, INCONCLUSIVE, UNTESTABLE or PASS."""
        known = self._run(run)
        chosen = [each for each in known["findings"] if label is None or each["label"] == label.upper()]
        return {**told.verdict(run, known), "findings": chosen}

    def read_figures(self, run: str, scenario: str | None = None, strategy: str | None = None) -> dict[str, Any]:
        """Return every strategy's figures in each scenario, each with its 95 % interval, below the verdict of the run.

        A figure without a value says why (too few paths); it must not be guessed.
        """
        known = self._run(run)
        rows = [
            {"scenario": part["name"], "paths": part["paths"], **told.figures(each)}
            for part in known["scenarios"]
            if scenario in (None, part["name"])
            for each in part["strategies"]
            if strategy in (None, each["name"])
        ]
        if not rows:
            names = ", ".join(part["name"] for part in known["scenarios"])
            raise StoreError(f"run {run} has no such figures", expected=f"a scenario of {names}, and a strategy of it")
        return {**told.verdict(run, known), "intervals": "95 %, Monte Carlo", "figures": rows}

    def explain_finding(self, finding: str) -> dict[str, Any]:
        """Say what a finding (by its name) means, how it is computed, how often it errs and what to do."""
        return {"explanations": encode(self._explain(finding))}

    # --- what there is ---

    def list_strategies(self) -> list[str]:
        """List the strategies that specs may name here, as file.py:Class."""
        return [
            f"{file}:{name}"
            for folder in self.api.guard.strategies
            for file in sorted(folder.glob("*.py"))
            for name in _classes(file)
        ]

    def list_crises(self, history: str = "sp500") -> list[dict[str, Any]]:
        """List the crises of the library that lie inside a built-in history (sp500 or nasdaq), measured on its bars."""
        if history not in ("sp500", "nasdaq"):
            raise StoreError(f"got {history!r}", expected="sp500 or nasdaq")
        return [encode(crisis) for crisis in crises(history)]

    # --- resources ---

    def spec_schema(self) -> str:
        """Return the JSON schema of a spec."""
        return json.dumps(self.api.schema)

    def report(self, name: str) -> str:
        """Return the page of a run."""
        return self._read(name, "index.html")

    def result(self, name: str) -> str:
        """Return run.json of a run."""
        return self._read(name, "run.json")

    def _read(self, name: str, file: str) -> str:
        path = self.api.guard.run_folder(name) / file
        if not path.is_file() or path.is_symlink():
            raise StoreError(f"run {name} has no {file}")
        return path.read_text(encoding="utf-8")

    def _run(self, name: str) -> dict[str, Any]:
        known: dict[str, Any] = json.loads(self._read(name, "run.json"))
        return known


def _asked(model: type[Asked], given: dict[str, Any]) -> Asked:
    """Return what was asked for, where it keeps to its bounds; None is what the other way of asking takes by itself.

    Raises:
        SpecError: it does not.
    """
    try:
        return model.model_validate({key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SpecError(f"{where[:60]} is {shown(first['input'])}", expected=first["msg"].lower()) from None


def _classes(file: Path) -> list[str]:
    """Return the names of a file's classes that are no helpers; nothing is imported, and so nothing run."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
