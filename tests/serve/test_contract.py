"""Made-up requests held against the server's own OpenAPI document, by schemathesis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

schemathesis = pytest.importorskip("schemathesis")


def test_the_openapi_document_names_every_endpoint_and_its_refusals(client: Callable[..., Any]) -> None:
    document = client().get("/openapi.json").json()
    for path in ("/api/jobs", "/api/jobs/{number}/events", "/api/runs/{name}/report", "/api/validate", "/healthz"):
        assert path in document["paths"]
    for endpoint in (verb for path in document["paths"].values() for verb in path.values()):
        assert {"422", "429"} <= set(endpoint["responses"])


@pytest.mark.filterwarnings("ignore")
def test_made_up_requests_are_answered_as_the_document_says(client: Callable[..., Any]) -> None:
    from hypothesis import HealthCheck, Phase, given, settings

    asked = client()
    schema = schemathesis.openapi.from_dict(asked.get("/openapi.json").json())
    limits = settings(
        max_examples=4, deadline=None, derandomize=True, phases=[Phase.generate], database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    for result in schema.get_all_operations():
        operation = result.ok()

        @limits
        @given(case=operation.as_strategy())
        def answered(case: Any) -> None:
            answer = asked.request(**case.as_transport_kwargs(base_url="http://127.0.0.1"))
            assert answer.status_code < 500, (case.method, case.path, answer.status_code, answer.text[:300])

        answered()
