"""The tools that a model gets, spoken to with the SDK's own client: in this process, and over stdio."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from scenario_gen.cli.explain import named
from scenario_gen.serve.app import ServerSettings
from scenario_gen.serve.guard import Guard
from tests.serve.tiny import REPOSITORY, TINY

mcp = pytest.importorskip("mcp", reason="the extra mcp is not installed")
Talk = Callable[[Any], Awaitable[Any]]


def talk(server: Any, said: Talk) -> Any:
    """Return what comes of a dialogue with a server."""

    async def through() -> Any:
        async with mcp.Client(server) as client:
            return await said(client)

    return asyncio.run(through())


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server in this process, without workers."""
    from scenario_gen.serve.mcp import create_tools

    monkeypatch.chdir(REPOSITORY)
    guard = Guard(tmp_path, strategies=(Path("strategies"),))
    return create_tools(ServerSettings(guard, workers=0, log=lambda **_: None), named)


def test_mistakes_of_a_spec_are_told_by_line_and_a_draft_is_valid(server: Any) -> None:
    async def said(client: Any) -> Any:
        draft = (await client.call_tool("draft_spec", {"generator": "bootstrap"})).structured_content["spec"]
        wrong = TINY.replace("horizon: 5", "horizont: 5")
        return [(await client.call_tool("validate_spec", {"spec": spec})).structured_content for spec in (draft, wrong)]

    good, bad = talk(server, said)
    assert (good["ok"], good["strategies"]) == (True, ["BuyAndHold"])
    assert not bad["ok"]
    assert [(each["line"], each["field"]) for each in bad["problems"]] == [(3, "bars.horizont")]


@pytest.mark.parametrize(
    ("tool", "given", "words"),
    [
        ("read_findings", {"run": "../tiny"}, "there is no run '../tiny'"),
        ("read_figures", {"run": "/etc"}, "there is no run '/etc'"),
        ("read_job", {"job": "x'; drop table jobs"}, "there is no job"),
        ("start_run", {"spec": TINY.replace("strategies/buy", "/etc/buy")}, "spec.yaml:8: strategies[BuyAndHold].use"),
        ("start_run", {"spec": TINY.replace("source: sp500", "file: /etc/passwd")}, "data.file"),
        ("list_crises", {"history": "/etc/passwd"}, "sp500 or nasdaq"),
        ("explain_finding", {"finding": "nonsense"}, "nonsense"),
    ],
)
def test_what_is_not_allowed_is_refused_in_words(server: Any, tool: str, given: dict[str, str], words: str) -> None:
    async def said(client: Any) -> Any:
        return await client.call_tool(tool, given)

    answer = talk(server, said)
    assert answer.is_error
    assert words in answer.content[0].text
    assert "Traceback" not in answer.content[0].text


def test_a_finding_is_explained_and_strategies_and_crises_are_listed(server: Any) -> None:
    async def said(client: Any) -> Any:
        tools = (("explain_finding", {"finding": "calibration"}), ("list_strategies", {}), ("list_crises", {}))
        return [(await client.call_tool(tool, given)).structured_content for tool, given in tools]

    explained, strategies, crises = talk(server, said)
    assert explained["explanations"][0]["name"] == "calibration"
    assert any(each.endswith("buy_and_hold.py:BuyAndHold") for each in strategies["result"])
    assert "dotcom_break" in {each["id"] for each in crises["result"]}


def test_a_spec_is_run_over_stdio_and_no_figure_comes_without_its_error_or_the_verdict(tmp_path: Path) -> None:
    place = mcp.StdioServerParameters(
        command=sys.executable,
        args=["-m", "scenario_gen", "mcp", "--root", str(tmp_path)],
        env=dict(os.environ),
        cwd=REPOSITORY,
    )

    async def said(client: Any) -> Any:
        job = (await client.call_tool("start_run", {"spec": TINY})).structured_content
        for _ in range(600):
            if job["state"] not in ("queued", "running"):
                break
            await asyncio.sleep(0.2)
            job = (await client.call_tool("read_job", {"job": job["id"]})).structured_content
        (run,) = (await client.call_tool("list_runs", {})).structured_content["result"]
        named = {"run": run["name"]}
        answers = [
            (await client.call_tool(tool, named)).structured_content for tool in ("read_findings", "read_figures")
        ]
        page = await client.read_resource(f"scenario-gen://runs/{run['name']}/report")
        return job, *answers, page.contents[0].text

    job, findings, figures, page = talk(place, said)
    assert (job["state"], job["error"]) == ("done", "")
    assert findings["verdict"] == figures["verdict"] == job["verdict"]
    kept = json.loads((tmp_path / job["folder"] / "run.json").read_text(encoding="utf-8"))
    assert findings["findings"] == kept["findings"]
    (row,) = figures["figures"]
    mean = kept["scenarios"][0]["strategies"][0]["metrics"][0]["mean"]
    assert row["metrics"]["total_return"]["mean"] == {key: mean[key] for key in ("value", "low", "high", "n")}
    numbers = [
        row["probability_of_loss"],
        *row["cvar"].values(),
        *(x for each in row["metrics"].values() for x in each.values()),
    ]
    assert all({"low", "high"} <= set(each) or each["why"] for each in numbers)
    assert page.startswith("<!doctype html>")
