"""The gate that every request passes: who asks, from where, how often and how much; and what every answer carries.

A browser is no caller that can be trusted: a page of another site can make it send requests to this machine. So the
name that a request gives the server (``Host``) must be one of its own, which a name that was bound to this address
later is not, and a request that changes anything must not come from a page of another origin.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope as AsgiScope, Send

from scenario_gen.errors import ScenarioError, printable
from scenario_gen.serve.keys import EVERYBODY, Caller, Keys
from scenario_gen.serve.metrics import ServerMetrics

MAX_BODY = 1_500_000  # bytes: the longest spec, as JSON writes it
MAX_CLIENTS = 10_000  # that are remembered at once
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
OPEN = ("/healthz", "/readyz", "/", "/openapi.json", "/api/schema/spec")  # without a key: they tell nothing of runs
PAGES = "/web/"  # files of the page, which tell nothing either
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class RequestRate:
    """A bucket of tokens for each client: ``per_second`` in the long run, ``burst`` at once."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def wait(self, client: str) -> float:
        """Take a token; return 0, or the seconds after which there is one."""
        now = self._clock()
        tokens, counted = self._buckets.pop(client, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - counted) * self._per_second)
        taken = tokens >= 1.0
        self._buckets[client] = (tokens - taken, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if taken else (1.0 - tokens) / self._per_second


def answer_of(error: ScenarioError, status: int, **headers: str) -> JSONResponse:
    """Return a mistake as an answer: its parts, and the lines that the command line prints."""
    parts = {"problem": error.problem, "expected": error.expected, "fix": error.fix}
    content = {**{key: printable(words) for key, words in parts.items()}, "message": str(error)}
    return JSONResponse(content, status, headers)


def log_line(**values: Any) -> None:
    """Write a line of the log: one JSON object, on standard error."""
    print(json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **values}), file=sys.stderr)


@dataclass
class _Passing:
    """A request on its way, for the log and the counts."""

    number: str
    began: float = field(default_factory=time.monotonic)
    status: int = 0
    caller: Caller = EVERYBODY
    read: int = 0  # bytes of its body


class Gate:
    """The ASGI app around the API.

    Args:
        app: the API.
        keys: of callers; none: whoever reaches the server may do everything.
        hosts: names, without port, by which the server may be called.
        rate: of requests.
        metrics: to count in.
        log: where a line of the log goes.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Keys,
        hosts: frozenset[str],
        rate: RequestRate,
        metrics: ServerMetrics,
        log: Callable[..., None] = log_line,
    ) -> None:
        self._app, self._keys, self._hosts, self._rate = app, keys, hosts, rate
        self._metrics, self._log = metrics, log

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        passing = _Passing(given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                passing.status = message["status"]
                ours = MutableHeaders(scope=message)
                ours["X-Request-Id"] = passing.number
                for name, value in HEADERS.items():
                    ours.setdefault(name, value)
            await send(message)

        async def take() -> Message:
            message = await receive()
            passing.read += len(message.get("body", b""))
            if passing.read > MAX_BODY:
                raise _TooLarge()
            return message

        try:
            refusal = self._refusal(scope, headers, passing)
            scope.setdefault("state", {})["caller"] = passing.caller
            await (refusal or self._app)(scope, take, answer)
        except _TooLarge:
            if passing.status == 0:
                await _too_large()(scope, receive, answer)
        finally:
            self._note(scope, passing)

    def _refusal(self, scope: AsgiScope, headers: Headers, passing: _Passing) -> JSONResponse | None:
        host = _name_of(headers.get("host", ""))
        if host not in self._hosts:
            words = f"this server is not called {host[:60]!r}"
            fix = "ask it by its own name, or start it with --name"
            return answer_of(ScenarioError(words, expected=f"one of {', '.join(sorted(self._hosts))}", fix=fix), 421)
        origin = headers.get("origin")
        if scope["method"] in UNSAFE and origin is not None and origin.partition("://")[2] != headers.get("host"):
            words = f"a page of {origin[:60]!r} may not change anything here"
            return answer_of(ScenarioError(words, expected="a page of this server, or no browser"), 403)
        address = (scope.get("client") or ("",))[0]
        scheme, _, key = headers.get("authorization", "").partition(" ")
        known = self._keys.caller(key.strip()) if scheme.lower() == "bearer" else None
        passing.caller = known or (Caller("", ()) if self._keys else EVERYBODY)
        seconds = self._rate.wait(f"key {known.name}" if known else f"address {address}")
        if seconds:
            error = ScenarioError(
                "too many requests", expected="fewer in a second", fix=f"wait {seconds:.1f} s and ask again"
            )
            return answer_of(error, 429, **{"Retry-After": str(int(seconds) + 1)})
        path = scope["path"]
        if self._keys and known is None and path not in OPEN and not path.startswith(PAGES):
            error = ScenarioError(
                "no key, or one that is not known",
                expected="a key of this server",
                fix="send Authorization: Bearer KEY",
            )
            return answer_of(error, 401, **{"WWW-Authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        return _too_large() if length.isdecimal() and (len(length) > 15 or int(length) > MAX_BODY) else None

    def _note(self, scope: AsgiScope, passing: _Passing) -> None:
        seconds = time.monotonic() - passing.began
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in ("GET", "HEAD", *UNSAFE) else "other"
        self._metrics.answered(method, route, passing.status, seconds)
        self._log(
            request=passing.number,
            method=method,
            path=scope["path"][:200],
            status=passing.status,
            ms=round(1000 * seconds, 1),
            client=(scope.get("client") or ("",))[0],
            key=passing.caller.name,
        )


class _TooLarge(HTTPException):
    """More of a body came than is read; of the kind that the API below lets through."""

    def __init__(self) -> None:
        super().__init__(413, f"the request is larger than {MAX_BODY // 1000} kB")


def _too_large() -> JSONResponse:
    words = f"the request is larger than {MAX_BODY // 1000} kB"
    return answer_of(ScenarioError(words, expected="a YAML spec, which is a page of text"), 413)


def _name_of(host: str) -> str:
    """Return the name in a Host header, without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()
