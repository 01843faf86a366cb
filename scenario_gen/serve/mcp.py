"""The product's verbs as tools of the Model Context Protocol, over the runs of one root.

Owns what each tool answers: verdicts stand beside every figure, and a figure never without its interval. What a spec
may name and cost, jobs and runs are those of the server over HTTP, through the same functions.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ToolAnnotations
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope as AsgiScope, Send

from scenario_gen.errors import ScenarioError, StoreError
from scenario_gen.finding import worst
from scenario_gen.serve.app import TOOLS, Api, require
from scenario_gen.serve.gate import MAX_BODY
from scenario_gen.serve.jobs import Job
from scenario_gen.serve.keys import EVERYBODY, Caller, Scope
from scenario_gen.serve.listing import ListedRun
from scenario_gen.serve.wire import DraftAsked, SpecText, ValidAnswer
from scenario_gen.stress.search import crises
from scenario_gen.values import encode
from scenario_gen.version import VERSION

ABOUT = (
    "Synthetic market scenarios for stress testing backtests. Draft or write a spec, validate it, run it as a job, "
    "poll the job, then read findings and figures. Never quote a figure without its interval [low, high] and the "
    "verdict of its run: FAIL or WARN means that the paths, or the strategy, should not be trusted as they are. "
    "explain_finding says what a finding means. Intervals are Monte Carlo errors of these paths; they say nothing of "
    "whether the paths are right."
)
READ: Scope = "read"
RUN: Scope = "run"
LEVELS = ("0.05", "0.5", "0.95")  # quantiles that are told
Explain = Callable[[str], Sequence[Any]]  # answers dataclasses


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
        tools.read_figures, tools.explain_finding, tools.list_strategies, tools.list_crises,
    )  # fmt: skip
    running: tuple[Callable[..., Any], ...] = (tools.start_run, tools.cancel_job, tools.resume_job)
    reads = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    runs = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
    for listed, scope, hints in ((reading, READ, reads), (running, RUN, runs)):
        for tool in listed:
            server.tool(structured_output=True, annotations=hints)(_told(tool, scope, caller, ToolError))
    for address, kind, resource in (
        ("scenario-gen://schema/spec", "application/json", tools.spec_schema),
        ("scenario-gen://runs/{name}/report", "text/html", tools.report),
        ("scenario-gen://runs/{name}/result", "application/json", tools.result),
    ):
        server.resource(address, mime_type=kind)(_told(resource, READ, caller, ResourceError))
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
        max_request_body_size=MAX_BODY,
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


def _told(
    asked: Callable[..., Any], scope: Scope, caller: Callable[[], Caller], refusal: type[Exception]
) -> Callable[..., Any]:
    """Return a tool or a resource that asks for a scope, and whose refusals are those of the command line."""

    @wraps(asked)
    def told(*args: Any, **given: Any) -> Any:
        try:
            require(caller(), scope)
            return asked(*args, **given)
        except ScenarioError as error:
            raise refusal(str(error)) from None

    return told


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
        asked = DraftAsked(
            name=name, source=source, end=end, generator=generator, paths=paths, context=context, horizon=horizon
        )
        return self.api.draft(asked if strategies is None else asked.model_copy(update={"strategies": strategies}))

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

    # --- runs ---

    def list_runs(self) -> list[ListedRun]:
        """List the finished runs with their verdicts, the newest first."""
        return self.api.runs()

    def read_findings(self, run: str, label: str | None = None) -> dict[str, Any]:
        """Return the findings of a run, the verdict first; label: only FAIL, WARN, INCONCLUSIVE, UNTESTABLE or PASS."""
        known = self._run(run)
        chosen = [each for each in known["findings"] if label is None or each["label"] == label.upper()]
        return {**_verdict(known), "findings": chosen}

    def read_figures(self, run: str, scenario: str | None = None, strategy: str | None = None) -> dict[str, Any]:
        """Return every strategy's figures in each scenario, each with its 95 % interval, below the verdict of the run.

        A figure without a value says why (too few paths); it must not be guessed.
        """
        known = self._run(run)
        rows = [
            {"scenario": part["name"], "paths": part["paths"], **_figures(each)}
            for part in known["scenarios"]
            if scenario in (None, part["name"])
            for each in part["strategies"]
            if strategy in (None, each["name"])
        ]
        if not rows:
            names = ", ".join(part["name"] for part in known["scenarios"])
            raise StoreError(f"run {run} has no such figures", expected=f"a scenario of {names}, and a strategy of it")
        return {**_verdict(known), "intervals": "95 %, Monte Carlo", "figures": rows}

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


def _verdict(run: Mapping[str, Any]) -> dict[str, Any]:
    labels = [finding["label"] for finding in run["findings"]]
    return {
        "run": run["name"],
        "verdict": worst(labels, "UNTESTABLE"),
        "failing": [finding["name"] for finding in run["findings"] if finding["label"] == "FAIL"],
    }


def _figures(strategy: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a strategy, every one with its interval, or why there is none."""
    metrics = {
        each["metric"]: {
            "mean": _with_error(each["mean"]),
            **{f"p{100 * float(level):g}": _with_error(each["quantiles"][level]) for level in LEVELS},
        }
        for each in strategy["metrics"]
    }
    return {
        "strategy": strategy["name"],
        "params": strategy["params"],
        "probability_of_loss": _with_error(strategy["probability_of_loss"]),
        "cvar": {level: _with_error(each) for level, each in strategy["cvar"].items()},
        "metrics": metrics,
    }


def _with_error(estimate: Mapping[str, Any]) -> dict[str, Any]:
    if estimate["value"] is None:
        return {"value": None, "why": estimate["reason"]}
    return {key: estimate[key] for key in ("value", "low", "high", "n")}


def _classes(file: Path) -> list[str]:
    """Return the names of a file's classes that are no helpers; nothing is imported, and so nothing run."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
