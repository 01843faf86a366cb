from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenario_gen.serve.gate import MAX_BODY, RequestRate
from scenario_gen.serve.guard import Guard
from scenario_gen.serve.keys import Keys
from tests.serve.tiny import REPOSITORY, TINY

Client = Callable[..., Any]
REPORT = REPOSITORY / "reports" / "sample"


def test_a_spec_becomes_a_job_that_is_listed_watched_called_off_and_resumed(client: Client) -> None:
    asked = client()
    sent = asked.post("/api/jobs", json={"spec": TINY})
    assert sent.status_code == 202
    job = sent.json()
    assert (job["state"], job["name"]) == ("queued", "tiny")
    assert asked.get(f"/api/jobs/{job['id']}").json() == job
    assert asked.post(f"/api/jobs/{job['id']}/resume").status_code == 409
    assert asked.post(f"/api/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    told = asked.get(f"/api/jobs/{job['id']}/events")  # of a job that has ended: its last state, and the end
    assert told.headers["content-type"].startswith("text/event-stream")
    assert json.loads(told.text.removeprefix("data: "))["state"] == "cancelled"
    assert asked.post(f"/api/jobs/{job['id']}/resume").json()["state"] == "queued"
    assert [each["id"] for each in asked.get("/api/jobs", params={"state": "queued"}).json()] == [job["id"]]
    assert asked.get("/api/jobs/nothing").status_code == 404


def test_a_full_queue_says_when_to_come_again_and_keeps_what_it_took(client: Client) -> None:
    asked = client()
    answers = [asked.post("/api/jobs", json={"spec": TINY}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429, 429]
    assert answers[-1].headers["retry-after"] == "10"
    assert len(asked.get("/api/jobs").json()) == 3


def test_a_wrong_spec_is_refused_in_the_words_of_the_command_line(client: Client, tmp_path: Path) -> None:
    from scenario_gen.errors import SpecError
    from scenario_gen.spec.loader import parse_spec

    text = TINY.replace("horizon: 5", "horizon: five").replace("kind: bootstrap", "kind: boostrap")
    with pytest.raises(SpecError) as caught:
        parse_spec(text, tmp_path)
    asked = client()
    answer = asked.post("/api/jobs", json={"spec": text})
    assert (answer.status_code, answer.json()["message"]) == (422, str(caught.value))
    checked = asked.post("/api/validate", json={"spec": text}).json()
    assert (checked["ok"], [(each["line"], each["field"]) for each in checked["problems"]]) == (
        False, [(3, "bars.horizon"), (5, "generator.kind")],
    )  # fmt: skip
    assert asked.post("/api/validate", json={"spec": TINY}).json()["scenarios"][0]["paths"] == 4
    assert asked.get("/api/jobs").json() == []


def test_a_draft_is_a_valid_spec_or_a_mistake(client: Client) -> None:
    asked = client()
    draft = asked.post("/api/draft", json={"source": "sp500", "end": "2017-06-30", "generator": "bootstrap"})
    assert asked.post("/api/validate", json=draft.json()).json()["ok"] is True
    assert asked.post("/api/draft", json={"file": "/etc/passwd"}).status_code == 422


def test_a_run_is_listed_with_its_verdict_and_its_report_is_held_to_its_own_policy(
    client: Client, tmp_path: Path
) -> None:
    made = tmp_path / "sample"
    made.mkdir()
    findings = [{"name": "candles", "label": "PASS"}, {"name": "limits", "label": "FAIL"}]
    run = {"title": "Sample", "created": "2026-01-01", "findings": findings, "scenarios": []}
    (made / "run.json").write_text(json.dumps(run))
    (made / "index.html").write_bytes((REPORT / "index.html").read_bytes())
    (made / "metrics.parquet").write_bytes(b"PAR1")
    (made / "identity.json").write_text("{}")
    asked = client()
    (run,) = asked.get("/api/runs").json()
    assert (run["name"], run["verdict"], run["findings"]) == ("sample", "FAIL", {"PASS": 1, "FAIL": 1})
    assert (run["made"], run["lacks"]) == ("2026-01-01", [])
    page = asked.get("/api/runs/sample/report")
    policy = page.headers["content-security-policy"]
    assert "script-src 'sha256-" in policy
    assert policy.endswith("sandbox allow-scripts; frame-ancestors 'self'")
    assert asked.get("/api/runs/sample/result").json()["title"] == run["title"]
    assert asked.get("/api/runs/sample/files").json() == ["metrics.parquet"]
    assert asked.get("/api/runs/sample/files/metrics.parquet").content == b"PAR1"
    for path in ("sample/files/identity.json", "sample/files/..%2Fkeys", "%2e%2e/result", ".jobs/result", "no/report"):
        assert asked.get(f"/api/runs/{path}").status_code == 404


@pytest.mark.parametrize(
    ("words", "lacks", "verdict"),
    [
        ("{", ["findings", "title", "created", "scenarios", "scenarios.strategies"], None),
        ('{"title": "a", "created": "b", "findings": [], "scenarios": [{}]}', ["scenarios", "scenarios.strategies"],
         "UNTESTABLE"),
        ('{"title": "a", "created": "b", "findings": [{"label": "GOOD"}], "scenarios": []}', ["findings"], None),
    ],
)  # fmt: skip
def test_a_run_of_another_version_is_listed_with_what_it_lacks(
    client: Client, tmp_path: Path, words: str, lacks: list[str], verdict: str | None
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text(words)
    (run,) = client().get("/api/runs").json()
    assert (run["name"], run["lacks"], run["verdict"]) == ("old", lacks, verdict)


def test_keys_open_what_their_scopes_say_and_nothing_opens_without_one(client: Client, tmp_path: Path) -> None:
    read, run = Keys(tmp_path).make("page", ["read"]), Keys(tmp_path).make("ci", ["read", "run"])
    asked = client()
    assert asked.get("/healthz").status_code == asked.get("/readyz").status_code == 200
    assert asked.get("/api/jobs").status_code == asked.get("/metrics").status_code == 401
    assert asked.get("/api/jobs", headers={"Authorization": "Bearer sg_no"}).status_code == 401
    reader, runner = {"Authorization": f"Bearer {read}"}, {"Authorization": f"Bearer {run}"}
    assert asked.get("/api/jobs", headers=reader).status_code == 200
    assert asked.post("/api/jobs", json={"spec": TINY}, headers=reader).status_code == 403
    assert asked.post("/api/jobs", json={"spec": TINY}, headers=runner).status_code == 202
    assert asked.put("/api/strategies/a.py", content=b'"x"', headers=runner).status_code == 403


def test_a_page_of_another_site_can_change_nothing_here(client: Client) -> None:
    asked = client()
    assert asked.get("/api/jobs", headers={"Host": "evil.example"}).status_code == 421  # a name bound to 127.0.0.1
    foreign = asked.post("/api/jobs", json={"spec": TINY}, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    own = asked.post("/api/jobs", json={"spec": TINY}, headers={"Origin": "http://127.0.0.1"})
    assert own.status_code == 202
    assert own.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in own.headers["content-security-policy"]


def test_no_code_is_taken_unless_the_server_was_started_to(client: Client, tmp_path: Path) -> None:
    source = (REPOSITORY / "strategies" / "buy_and_hold.py").read_text()
    refused = client().put("/api/strategies/mine.py", json=source)
    assert (refused.status_code, "--allow-code" in refused.text) == (403, True)
    opened = client(guard=Guard(tmp_path, code=tmp_path / "sent"))
    sent = opened.put("/api/strategies/mine.py", json=source)
    assert sent.status_code == 200
    text = TINY.replace("strategies/buy_and_hold.py", sent.json()["file"])
    assert opened.post("/api/jobs", json={"spec": text}).status_code == 202


def test_more_than_a_spec_can_be_is_not_read(client: Client) -> None:
    asked = client()
    assert asked.post("/api/jobs", content=b"x" * (MAX_BODY + 1)).status_code == 413
    pieces = (b"x" * 100_000 for _ in range(MAX_BODY // 100_000 + 2))  # without a length that could be looked at
    assert asked.post("/api/jobs", content=pieces).status_code == 413


def test_a_client_that_asks_too_often_is_told_when_to_ask_again(client: Client) -> None:
    asked = client(per_second=0.5, burst=2)
    answers = [asked.get("/healthz") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].headers["retry-after"] in ("2", "3")


def test_a_bucket_fills_again_and_is_each_clients_own() -> None:
    now = [0.0]
    rate = RequestRate(2.0, 3, lambda: now[0])
    assert [rate.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert rate.wait("b") == 0
    now[0] = 1.0
    assert [rate.wait("a") for _ in range(3)] == [0, 0, 0.5]


def test_every_answer_has_a_number_a_line_in_the_log_and_a_place_in_the_counts(client: Client) -> None:
    lines: list[dict[str, Any]] = []
    asked = client(log=lambda **values: lines.append(values))
    own = asked.get("/api/jobs/secret-name", headers={"X-Request-Id": "mine-1"})
    assert own.headers["x-request-id"] == lines[0]["request"] == "mine-1"
    assert (lines[0]["status"], lines[0]["path"]) == (404, "/api/jobs/secret-name")
    asked.get("/healthz", headers={"X-Request-Id": "not one\tof these"})
    assert len(lines[1]["request"]) == 16
    text = asked.get("/metrics").text
    assert 'scenario_gen_requests_total{method="GET",route="/api/jobs/{number}",status="404"} 1.0' in text
    assert 'scenario_gen_jobs{state="queued"} 0.0' in text
    assert "secret-name" not in text
