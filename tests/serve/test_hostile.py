from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.serve_hostile import requests


def test_three_hundred_hostile_requests_get_a_4xx_and_leave_nothing(client: Callable[..., Any]) -> None:
    asked = client()
    for request in requests():
        answer = asked.request(**request)
        assert 400 <= answer.status_code < 500 or answer.json().get("ok") is False, (request, answer.status_code)
        assert "root:x:" not in answer.text
    assert asked.get("/api/jobs").json() == []
