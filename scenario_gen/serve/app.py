"""The API: specs in, jobs and runs out, over HTTP.

Owns the endpoints and what an answer looks like. What may be asked is :mod:`scenario_gen.serve.guard`'s, who may ask
and how often :mod:`scenario_gen.serve.gate`'s, and the work is that of :mod:`scenario_gen.serve.workers`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from fastapi import Body, Depends, FastAPI, Path as InPath, Query, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.security import HTTPBearer
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from scenario_gen.errors import ScenarioError, StoreError
from scenario_gen.serve import web
from scenario_gen.serve.gate import Gate, RequestRate, answer_of, log_line
from scenario_gen.serve.guard import Forbidden, Guard, tables
from scenario_gen.serve.jobs import ENDED, MAX_QUEUED, Job, JobStore, Kind, NoSuchJob, NotNow, State, TooManyJobs
from scenario_gen.serve.keys import SCOPES, Caller, Keys, Scope
from scenario_gen.serve.listing import ListedRun, list_runs
from scenario_gen.serve.metrics import ServerMetrics
from scenario_gen.serve.wire import (
    BINARY,
    EVENT,
    PARQUET,
    REFUSED,
    CalibrationAsked,
    DraftAsked,
    SentCode,
    ServerHealth,
    SpecText,
    TableAsked,
    ValidAnswer,
    problems_of,
    told_as,
    valid_answer,
)
from scenario_gen.serve.workers import JobWorkers
from scenario_gen.spec.loader import spec_schema
from scenario_gen.version import VERSION

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
EVENTS_EVERY = 0.25  # seconds between looks at a job that is watched
HEARTBEAT = 15.0  # seconds after which a quiet stream says that it lives
MAX_WATCHERS = 200  # streams at once
TOOLS = "/mcp"  # where the tools for a model answer
RETRY_FULL = "10"  # seconds after which a full queue may have room
BEARER = HTTPBearer(auto_error=False, scheme_name="key", description="made by: scenario-gen serve --make-key NAME")

JobId = Annotated[str, InPath(description="id of a job", examples=["20261130-101500-3f9c2a"])]
RunName = Annotated[str, InPath(description="name of a run", examples=["quickstart-20261130-101500-3f9c2a"])]
TableName = Annotated[str, InPath(description="of its tables, as /files lists them", examples=["metrics.parquet"])]
CodeName = Annotated[str, InPath(description="name of the file", examples=["my_strategy.py"])]
StrategyCode = Annotated[str, Body(media_type="text/x-python", min_length=1, examples=["class Mine: ...\n"])]


@dataclass(frozen=True)
class ServerSettings:
    """How a server was started."""

    guard: Guard
    workers: int | None = None  # jobs at once; None: one per core; 0: none, another process works
    queue: int = MAX_QUEUED
    hosts: frozenset[str] = LOOPBACK  # names by which it may be called
    per_second: float = 50.0  # requests of one client in the long run
    burst: int = 200
    log: Callable[..., None] = field(default=log_line)


STATUS: tuple[tuple[type[ScenarioError], int], ...] = (
    (NoSuchJob, 404), (TooManyJobs, 429), (NotNow, 409), (Forbidden, 403), (StoreError, 503), (ScenarioError, 422),
)  # fmt: skip


def may(scope: Scope, *, keyed: bool) -> list[Any]:
    """Return the dependencies of endpoints that need a scope; where there are keys, the document says so."""

    def check(request: Request) -> None:
        require(request.state.caller, scope)

    return [*([Security(BEARER)] if keyed else []), Depends(check)]


def require(caller: Caller, scope: Scope) -> None:
    """Refuse a caller without a scope.

    Raises:
        Forbidden: with the scope that it takes.
    """
    if scope not in caller.scopes:
        raise Forbidden(
            f"the key {caller.name!r} may not do that", expected=f"a key with the scope {scope}", fix="ask for one"
        )


class Api:
    """The endpoints, over one store."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings, self.guard = settings, settings.guard
        self.store = JobStore(settings.guard.root, settings.queue)
        self.keys = Keys(settings.guard.root)
        self.metrics = ServerMetrics(self.store)
        self.workers: JobWorkers | None = None
        self.watchers = 0
        self.schema = spec_schema()

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """Work on the jobs while the server lives."""
        if self.settings.workers == 0:
            yield
        else:
            with JobWorkers(self.store, self.settings.workers) as self.workers:
                yield
        self.store.close()

    # --- jobs ---

    def submit(self, asked: SpecText) -> Job:
        """Queue the run of a spec; watch it at /api/jobs/ID/events."""
        return self.store.submit(asked.spec, self.guard.read(asked.spec).spec.name)

    def check(self, asked: TableAsked) -> Job:
        """Queue a check of paths against histories; its report is at /api/jobs/ID/report when it is done."""
        what = asked.paths if asked.run is None else f"{asked.run}/{asked.paths}"
        return self._queue("check", f"{Path(what).name} against {', '.join(asked.references)}", asked)

    def calibrate(self, asked: CalibrationAsked) -> Job:
        """Queue a calibration: a generator forecasts the past of a history; its report is at /api/jobs/ID/report."""
        return self._queue("calibrate", f"{asked.model} on {asked.data}", asked)

    def _queue(self, kind: Kind, name: str, asked: TableAsked | CalibrationAsked) -> Job:
        words = asked.words(self.guard)
        return self.store.submit(asked.model_dump_json(exclude_none=True), name[:120], kind, words)

    def job_report(self, number: JobId) -> dict[str, Any]:
        """Return what a check or a calibration found, as ``--json`` of its command prints it."""
        job = self.store.get(number)
        if job.kind == "run":
            raise NotNow(f"job {number} is a run", expected="a check or a calibration", fix="read the run by its name")
        if job.state != "done":
            fix = {"failed": "see its error", "cancelled": "resume it"}.get(job.state, "wait for it")
            raise NotNow(f"job {number} is {job.state}", expected="a check or a calibration that is done", fix=fix)
        found: dict[str, Any] = json.loads(self.store.answer_path(job).read_text(encoding="utf-8"))
        return found

    def jobs(self, state: State | None = None, most: Annotated[int, Query(ge=1, le=500)] = 100) -> list[Job]:
        """List jobs, the newest first."""
        return self.store.list(state, most)

    def job(self, number: JobId) -> Job:
        """Return a job, as it is now."""
        return self.store.get(number)

    def cancel(self, number: JobId) -> Job:
        """Call a job off; what is finished of it is kept."""
        return self.store.cancel(number)

    def resume(self, number: JobId) -> Job:
        """Queue a job again that failed or was cancelled; it goes on where it stopped."""
        return self.store.resume(number)

    def events(self, number: JobId) -> StreamingResponse:
        """Stream a job whenever it changes (server-sent events), until it has ended."""
        self.store.get(number)
        if self.watchers >= MAX_WATCHERS:
            raise TooManyJobs(f"{self.watchers} streams are open", expected=f"fewer than {MAX_WATCHERS}")
        return StreamingResponse(self._stream(number), media_type="text/event-stream")

    async def _stream(self, number: str) -> AsyncIterator[str]:
        self.watchers += 1
        try:
            told, quiet = "", 0.0
            while True:
                job = await asyncio.to_thread(self.store.get, number)
                text = job.model_dump_json()
                quiet += EVENTS_EVERY
                if text != told:
                    yield f"data: {text}\n\n"
                    told, quiet = text, 0.0
                elif quiet >= HEARTBEAT:
                    yield ": still here\n\n"
                    quiet = 0.0
                if job.state in ENDED:
                    return
                await asyncio.sleep(EVENTS_EVERY)
        finally:
            self.watchers -= 1

    # --- specs ---

    def validate(self, asked: SpecText) -> ValidAnswer:
        """Check a spec without running it."""
        try:
            return valid_answer(self.guard.read(asked.spec))
        except ScenarioError as error:
            return ValidAnswer(ok=False, problems=problems_of(error))

    def draft(self, asked: DraftAsked) -> SpecText:
        """Write a spec to start from; refused where it would not be valid."""
        data = {"source": asked.source, "file": asked.file, "symbol": asked.symbol, "end": asked.end}
        spec = {
            "name": asked.name,
            "data": {key: value for key, value in data.items() if value is not None},
            "bars": {"context": asked.context, "horizon": asked.horizon},
            "paths": {"count": asked.paths, "seed": 7},
            "generator": {"kind": asked.generator},
            "strategies": [{"use": use} for use in asked.strategies],
        }
        text = yaml.safe_dump(spec, sort_keys=False, allow_unicode=True)
        self.guard.read(text)
        return SpecText(spec=text)

    def spec_schema(self) -> dict[str, Any]:
        """Return the JSON schema of a spec, for completion as one types."""
        return self.schema

    def send_code(self, name: CodeName, source: StrategyCode) -> SentCode:
        """Keep a strategy, where the server was started with --allow-code."""
        path = self.guard.take_code(name, source.encode("utf-8", "surrogatepass"))
        return SentCode(file=str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))

    # --- runs ---

    def runs(self) -> list[ListedRun]:
        """List the finished runs of the root with their verdicts, the newest first."""
        return list_runs(self.guard.root)

    def report(self, name: RunName) -> Response:
        """Return the report of a run: HTML, held to the policy that stands in its head."""
        page = _there(self.guard, name) / "index.html"
        head = page.read_bytes()[:20_000].decode("utf-8", "replace") if page.is_file() else ""
        policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', head)
        if policy is None:
            raise HTTPException(404, f"run {name} has no report")
        held = policy[1].replace("&#39;", "'").replace("&#34;", '"')
        policies = f"{held}; sandbox allow-scripts; frame-ancestors 'self'"
        return FileResponse(page, media_type="text/html", headers={"Content-Security-Policy": policies})

    def result(self, name: RunName) -> Response:
        """Return run.json of a run: every figure and finding."""
        return FileResponse(_there(self.guard, name) / "run.json", media_type="application/json")

    def files(self, name: RunName) -> list[str]:
        """List the tables of a run."""
        folder = _there(self.guard, name)
        return [path.relative_to(folder).as_posix() for path in tables(folder)]

    def file(self, name: RunName, file: TableName) -> Response:
        """Return a table of a run (Parquet)."""
        _there(self.guard, name)
        try:
            path = self.guard.run_file(name, file)
        except StoreError as error:
            return answer_of(error, 404)
        return FileResponse(path, media_type=PARQUET, filename=path.name)

    # --- the server ---

    def healthz(self) -> ServerHealth:
        """Say that the server answers."""
        return ServerHealth(ok=True)

    def readyz(self) -> Response:
        """Say whether jobs are worked on: 200, or 503."""
        self.store.counts()
        ready = self.settings.workers == 0 or (self.workers is not None and self.workers.alive)
        return Response(ServerHealth(ok=ready).model_dump_json(), 200 if ready else 503, media_type="application/json")

    def scrape(self) -> Response:
        """Return the counts of the server, for Prometheus."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def create_app(settings: ServerSettings, tools: Callable[[Api], Starlette] | None = None) -> Gate:
    """Return the server as an ASGI app; jobs are worked on between its startup and its shutdown.

    Args:
        settings: how it was started.
        tools: makes what answers a model's requests, and begins and ends the work on the jobs; None: nothing does.

    Raises:
        ScenarioError: the root or its keys cannot be used.
    """
    api = Api(settings)
    spoken = None if tools is None else tools(api)
    app = FastAPI(
        title="scenario-gen", version=VERSION, docs_url=None, redoc_url=None, responses=REFUSED,
        lifespan=api.lifespan if spoken is None else spoken.router.lifespan_context,
        summary="Jobs over HTTP: post a spec, watch its job, read its run.",
    )  # fmt: skip
    _add_routes(app, api)
    if spoken is not None:
        app.router.routes.append(Route(TOOLS, spoken, methods=["POST"]))  # no GET: nothing is told unasked
    app.include_router(web.router())
    app.add_exception_handler(ScenarioError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _not_here)
    rate = RequestRate(settings.per_second, settings.burst)
    return Gate(app, keys=api.keys, hosts=settings.hosts, rate=rate, metrics=api.metrics, log=settings.log)


def _add_routes(app: FastAPI, api: Api) -> None:
    read, run, code = (may(scope, keyed=bool(api.keys)) for scope in SCOPES)
    health = {"model": ServerHealth, "description": "jobs are not worked on"}
    ready = told_as("application/json", {"$ref": "#/components/schemas/ServerHealth"})
    for method, path, endpoint, needs, more in (
        ("POST", "/api/jobs", api.submit, run, {"status_code": 202}),
        ("GET", "/api/jobs", api.jobs, read, {}),
        ("GET", "/api/jobs/{number}", api.job, read, {}),
        ("GET", "/api/jobs/{number}/events", api.events, read, told_as("text/event-stream", EVENT)),
        ("POST", "/api/jobs/{number}/cancel", api.cancel, run, {}),
        ("POST", "/api/jobs/{number}/resume", api.resume, run, {}),
        ("GET", "/api/jobs/{number}/report", api.job_report, read, {}),
        ("POST", "/api/checks", api.check, run, {"status_code": 202}),
        ("POST", "/api/calibrations", api.calibrate, run, {"status_code": 202}),
        ("POST", "/api/validate", api.validate, read, {}),
        ("POST", "/api/draft", api.draft, read, {}),
        ("GET", "/api/schema/spec", api.spec_schema, [], {}),
        ("PUT", "/api/strategies/{name}", api.send_code, code, {}),
        ("GET", "/api/runs", api.runs, read, {}),
        ("GET", "/api/runs/{name}/report", api.report, read, told_as("text/html")),
        ("GET", "/api/runs/{name}/result", api.result, read, told_as("application/json", {"type": "object"})),
        ("GET", "/api/runs/{name}/files", api.files, read, {}),
        ("GET", "/api/runs/{name}/files/{file:path}", api.file, read, told_as(PARQUET, BINARY)),
        ("GET", "/healthz", api.healthz, [], {}),
        ("GET", "/readyz", api.readyz, [], ready | {"responses": {**ready["responses"], 503: health}}),
        ("GET", "/metrics", api.scrape, read, told_as("text/plain")),
    ):
        app.add_api_route(path, endpoint, methods=[method], dependencies=needs, **more)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ScenarioError)
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    return answer_of(error, status, **({"Retry-After": RETRY_FULL} if status == 429 else {}))


async def _malformed(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    words = "; ".join(
        f"{'.'.join(str(part) for part in mistake['loc'])[:200]}: {mistake['msg'][:200]}" for mistake in error.errors()
    )
    return answer_of(ScenarioError(words, expected="a request as /openapi.json describes it"), 422)


async def _not_here(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = f"{request.method} {request.url.path[:200]}: {error.detail}"
    headers = dict(error.headers or {})
    if error.status_code == 405:  # of all that stands at the path, not of its first endpoint alone
        headers["Allow"] = ", ".join(_methods(request))
    return answer_of(ScenarioError(words, fix="see /openapi.json"), error.status_code, **headers)


def _methods(request: Request) -> list[str]:
    """Return the methods of a path."""
    at = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in at for method in getattr(route, "methods", None) or ()})


def _there(guard: Guard, name: str) -> Path:
    """Return a run folder; one that is not there is a 404, as any path that is not."""
    try:
        return guard.run_folder(name)
    except StoreError as error:
        raise HTTPException(404, error.problem) from None
