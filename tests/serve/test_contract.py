"""Requests, real and made up, held against the server's own OpenAPI document, by schemathesis."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenario_gen.serve.guard import Guard
from scenario_gen.serve.keys import Keys
from tests.serve.tiny import REPOSITORY, TINY

schemathesis = pytest.importorskip("schemathesis")
Client = Callable[..., Any]


@pytest.fixture
def opened(client: Client, tmp_path: Path) -> Any:
    """A client of a server that takes code, has a finished run, and a key that may do everything."""
    made = tmp_path / "sample"
    made.mkdir()
    (made / "run.json").write_text('{"title": "a", "created": "b", "findings": [], "scenarios": []}')
    shutil.copy(REPOSITORY / "reports" / "sample" / "index.html", made)
    (made / "metrics.parquet").write_bytes(b"PAR1")
    key = Keys(tmp_path).make("all", ["read", "run", "code"])
    guard = Guard(tmp_path, strategies=(Path("strategies"),), code=tmp_path / "code")
    return client({"Authorization": f"Bearer {key}"}, guard=guard)


def hold(operation: Any, answer: Any) -> None:
    """Hold an answer against the document: status, media type and shape."""
    told = operation.definition.raw["responses"]
    assert str(answer.status_code) in told
    assert answer.headers["content-type"].partition(";")[0] in told[str(answer.status_code)]["content"]
    operation.validate_response(answer)


def test_the_openapi_document_names_every_endpoint_its_refusals_and_the_key(opened: Any, client: Client) -> None:
    document = opened.get("/openapi.json").json()
    for path in ("/api/jobs", "/api/jobs/{number}/events", "/api/runs/{name}/report", "/api/validate", "/healthz"):
        assert path in document["paths"]
    for endpoint in (verb for path in document["paths"].values() for verb in path.values()):
        assert {"422", "429"} <= set(endpoint["responses"])
        assert all("content" in told for told in endpoint["responses"].values())
        assert all("example" in json.dumps(given) for given in endpoint.get("parameters", ()) if given["in"] == "path")
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert [path for path, verbs in document["paths"].items() if not any("security" in v for v in verbs.values())] == [
        "/api/schema/spec", "/healthz", "/readyz",
    ]  # fmt: skip


def test_every_answer_of_a_days_work_and_every_refusal_has_the_shape_that_the_document_gives_it(
    opened: Any, tmp_path: Path
) -> None:
    schema = schemathesis.openapi.from_dict(opened.get("/openapi.json").json())
    number = opened.post("/api/jobs", json={"spec": TINY}).json()["id"]
    seen = set()
    for method, path, template, status, more in (
        ("POST", "/api/jobs", "", 202, {"json": {"spec": TINY}}),
        ("POST", "/api/jobs", "", 422, {"json": {"spec": "a"}}),
        ("POST", "/api/jobs", "", 413, {"content": b"x" * 2_000_000}),
        ("POST", "/api/jobs", "", 403, {"headers": {"Origin": "https://evil.example"}}),
        ("GET", "/api/jobs", "", 200, {}),
        ("GET", "/api/jobs", "", 401, {"headers": {"Authorization": "Bearer no"}}),
        ("GET", "/api/jobs", "", 421, {"headers": {"Host": "evil.example"}}),
        ("GET", "/api/jobs?state=lost", "/api/jobs", 422, {}),
        ("GET", f"/api/jobs/{number}", "/api/jobs/{number}", 200, {}),
        ("GET", "/api/jobs/none", "/api/jobs/{number}", 404, {}),
        ("POST", f"/api/jobs/{number}/resume", "/api/jobs/{number}/resume", 409, {}),
        ("POST", f"/api/jobs/{number}/cancel", "/api/jobs/{number}/cancel", 200, {}),
        ("GET", f"/api/jobs/{number}/events", "/api/jobs/{number}/events", 200, {}),
        ("POST", f"/api/jobs/{number}/resume", "/api/jobs/{number}/resume", 200, {}),
        ("GET", f"/api/jobs/{number}/report", "/api/jobs/{number}/report", 409, {}),
        ("POST", "/api/calibrations", "", 202, {"json": {"data": "sp500", "model": "bootstrap"}}),
        ("POST", "/api/calibrations", "", 422, {"json": {"data": "sp500", "model": "bootstrap", "horizon": 0}}),
        ("POST", "/api/checks", "", 422, {"json": {"paths": "/etc/passwd"}}),
        ("POST", "/api/validate", "", 200, {"json": {"spec": TINY}}),
        ("POST", "/api/validate", "", 200, {"json": {"spec": "name: a"}}),
        ("POST", "/api/draft", "", 200, {"json": {"source": "sp500", "generator": "bootstrap"}}),
        ("POST", "/api/draft", "", 422, {"json": {"file": "/etc/passwd"}}),
        ("GET", "/api/schema/spec", "", 200, {}),
        ("PUT", "/api/strategies/a.py", "/api/strategies/{name}", 200, {"content": b"class A: ..."}),
        ("PUT", "/api/strategies/a.py", "/api/strategies/{name}", 422, {"content": b"class"}),
        ("GET", "/api/runs", "", 200, {}),
        ("GET", "/api/runs/sample/report", "/api/runs/{name}/report", 200, {}),
        ("GET", "/api/runs/none/report", "/api/runs/{name}/report", 404, {}),
        ("GET", "/api/runs/sample/result", "/api/runs/{name}/result", 200, {}),
        ("GET", "/api/runs/sample/files", "/api/runs/{name}/files", 200, {}),
        ("GET", "/api/runs/sample/files/metrics.parquet", "/api/runs/{name}/files/{file}", 200, {}),
        ("GET", "/api/runs/sample/files/no", "/api/runs/{name}/files/{file}", 404, {}),
        ("GET", "/healthz", "", 200, {}),
        ("GET", "/readyz", "", 200, {}),
        ("GET", "/metrics", "", 200, {}),
    ):  # fmt: skip
        kind = {"Content-Type": "text/x-python"} if method == "PUT" else {}
        asked = {**more, "headers": kind | more.get("headers", {})}
        answer = opened.request(method, path, **asked)
        assert answer.status_code == status, (method, path, answer.text[:300])
        hold(schema[template or path][method], answer)
        seen.add((template or path, method))
    told = {(path, verb.upper()) for path, verbs in schema.raw_schema["paths"].items() for verb in verbs}
    assert seen == told
    assert opened.delete("/api/jobs").headers["allow"] == "GET, POST"


@pytest.mark.filterwarnings("ignore")
def test_made_up_requests_are_answered_as_the_document_says(opened: Any) -> None:
    from hypothesis import HealthCheck, Phase, given, settings

    schema = schemathesis.openapi.from_dict(opened.get("/openapi.json").json())
    limits = settings(
        max_examples=4, deadline=None, derandomize=True, phases=[Phase.generate], database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    for result in schema.get_all_operations():
        operation = result.ok()

        @limits
        @given(case=operation.as_strategy())
        def answered(case: Any) -> None:
            case.headers.pop("Authorization", None)
            answer = opened.request(**case.as_transport_kwargs(base_url="http://127.0.0.1"))
            assert answer.status_code < 500, (case.method, case.path, answer.status_code, answer.text[:300])
            hold(case.operation, answer)

        answered()
