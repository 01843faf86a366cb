"""The tools that a model gets, spoken to with the SDK's own client: in this process, over stdio and over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import serve_hostile
from scenario_gen.cli.explain import named
from scenario_gen.finding import worst
from scenario_gen.market import load_candles
from scenario_gen.serve.app import Api, ServerSettings, create_app
from scenario_gen.serve.guard import Guard
from scenario_gen.serve.keys import Keys
from tests.serve.tiny import REPOSITORY, TINY, until

mcp = pytest.importorskip("mcp", reason="the extra mcp is not installed")
httpx = pytest.importorskip("httpx2")  # which the SDK brings
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
    return create_tools(Api(ServerSettings(guard, workers=0, log=lambda **_: None)), named)


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
        ("check_paths", {"paths": "/etc/passwd"}, "not among the data"),
        ("check_paths", {"paths": "x", "references": []}, "references is an empty list"),
        ("calibrate", {"paths": 1}, "paths is 1\n  expected: input should be greater than or equal to 2"),
        ("calibrate", {"temperature": "hot"}, "temperature.float is 'hot'"),
        ("draft_spec", {"name": "x" * 61}, "name is "),
        ("read_report", {"job": "../x"}, "there is no job"),
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


def test_every_figure_of_a_check_and_a_calibration_is_told_with_its_interval_or_why_there_is_none() -> None:
    import scenario_gen as sg
    from scenario_gen.serve.told import report
    from scenario_gen.values import encode

    history = load_candles("sp500", end="2010-06-30")
    paths = sg.sample(history.rows(0, len(history) - 1), model="bootstrap", horizon=40, paths=24, seed=1)
    checked = report(encode(sg.check(paths, history, resamples_history=True)))
    ranked = report(encode(sg.calibrate(history, model="fhs", horizon=5, origins=30, paths=19, baselines=["gbm"])))
    assert (checked["verdict"], ranked["verdict"]) == (worst(checked["verdicts"].values(), ""), "FAIL")
    assert "calibration" in ranked["failing"]
    told = [each["difference"] for each in checked["facts"]] + [
        each["mean_rank"] for each in ranked["generator"]["ranks"]
    ]
    assert len(told) > 20
    for each in told:
        assert each["why"] if each["value"] is None else each["low"] <= each["value"] <= each["high"]
    assert all(each["low"] <= each["share"] <= each["high"] for each in ranked["generator"]["bands"])
    assert {each["baseline"] for each in ranked["generator"]["skills"]} == {ranked["baselines"][0]["name"]}


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
    assert findings["run"] == figures["run"] == job["folder"]  # the name that the tools take, and not the spec's
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


# --- Over HTTP: a server that listens on loopback, which all these tests share ---


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """Return the address of the tools, and keys by the one scope that each has."""
    uvicorn = pytest.importorskip("uvicorn")
    from scenario_gen.serve.mcp import create_tools_app

    root = tmp_path_factory.mktemp("root")
    keys = {scope: Keys(root).make(scope, [scope]) for scope in ("read", "run", "code")}
    guard = Guard(root, strategies=(REPOSITORY / "strategies",))
    settings = ServerSettings(guard, workers=0, burst=10_000, log=lambda **_: None)
    app = create_app(settings, lambda api: create_tools_app(api, named))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/mcp", keys
    server.should_exit = True
    thread.join()


def over_http(address: str, key: str, said: Talk) -> Any:
    """Return what comes of a dialogue with a server over HTTP."""
    from mcp.client.streamable_http import streamable_http_client

    async def through() -> Any:
        async with (
            httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http,
            mcp.Client(streamable_http_client(address, http_client=http)) as client,
        ):
            return await said(client)

    return asyncio.run(through())


def words_of(answer: Any) -> str:
    """Return why a tool refused."""
    assert answer.is_error
    return str(answer.content[0].text)


def test_over_http_a_key_does_what_its_scope_allows_and_is_told_what_it_lacks(
    listening: tuple[str, dict[str, str]],
) -> None:
    address, keys = listening

    async def said(client: Any) -> Any:
        tools = {each.name: each for each in (await client.list_tools()).tools}
        calls = (("list_runs", {}), ("start_run", {"spec": TINY}))
        return tools, [await client.call_tool(name, given) for name, given in calls]

    tools, (listed, started) = over_http(address, keys["read"], said)
    assert listed.structured_content == {"result": []}
    assert "the key 'read' may not do that\n  expected: a key with the scope run" in words_of(started)
    assert (tools["list_runs"].annotations.read_only_hint, tools["start_run"].annotations.read_only_hint) == (
        True, False,
    )  # fmt: skip
    _, (listed, started) = over_http(address, keys["run"], said)
    assert "a key with the scope read" in words_of(listed)
    assert started.structured_content["state"] == "queued"

    async def read(client: Any) -> None:
        with pytest.raises(mcp.MCPError, match="the key 'code' may not do that"):
            await client.read_resource("scenario-gen://runs/tiny/result")

    over_http(address, keys["code"], read)


def test_two_keys_at_once_are_never_taken_for_each_other(listening: tuple[str, dict[str, str]]) -> None:
    address, keys = listening
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_jobs", "arguments": {}}}
    refused: dict[str, list[bool]] = {"read": [], "code": []}

    def ask(key: str) -> None:
        head = {"Authorization": f"Bearer {keys[key]}", "Accept": "application/json"}
        with httpx.Client(headers=head, verify=False) as http:
            for _ in range(20):
                refused[key].append(http.post(address, json=call).json()["result"]["isError"])

    threads = [threading.Thread(target=ask, args=(key,)) for key in ("read", "code") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == {"read": [False] * 40, "code": [True] * 40}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer sg_guessed"}, 401),
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Accept": "text/plain"}, 406),
        ({"Content-Type": "text/plain"}, 400),
    ],
)
def test_a_request_without_a_key_or_from_elsewhere_gets_nothing(
    listening: tuple[str, dict[str, str]], changes: dict[str, str], status: int
) -> None:
    address, keys = listening
    head = {"Authorization": f"Bearer {keys['read']}", "Accept": "application/json", "Content-Type": "application/json"}
    begin = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "a test", "version": "1"},
        },
    }  # fmt: skip
    answer = httpx.post(address, content=json.dumps(begin), headers={**head, **changes}, timeout=20, verify=False)
    assert answer.status_code == status
    assert ("serverInfo" in answer.text) == (status == 200)


def test_hostile_arguments_are_refused_in_words_and_leave_nothing(listening: tuple[str, dict[str, str]]) -> None:
    address, keys = listening

    async def said(client: Any) -> Any:
        return [
            await client.call_tool(tool, given)
            for name in serve_hostile.NAMES
            for tool, given in (
                ("cancel_job", {"job": name}),
                ("check_paths", {"paths": name}),
                ("check_paths", {"paths": f"paths/{name}.parquet", "run": name}),
                ("calibrate", {"data": name}),
                ("calibrate", {"model": name, "baselines": [name]}),
                ("start_run", {"spec": name}),
                (name, {}),
            )
        ]

    for answer in over_http(address, keys["run"], said):
        told = words_of(answer)
        assert told and "Traceback" not in told and "root:x:" not in told
        assert not told.endswith(("cancel_job", "check_paths", "calibrate", "start_run"))  # what a crash is told as

    async def jobs(client: Any) -> Any:
        return (await client.call_tool("list_jobs", {})).structured_content["result"]

    assert {job["name"] for job in over_http(address, keys["read"], jobs)} <= {"tiny"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"\xff\xfe", 400),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ' + b"[" * 50_000, 400),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": "' + b"x" * 1_600_000 + b'"}', 413),
    ],
    ids=["nothing", "a batch", "no text", "deep", "large"],
)
def test_hostile_bodies_are_refused(listening: tuple[str, dict[str, str]], body: bytes, status: int) -> None:
    address, keys = listening
    head = {"Authorization": f"Bearer {keys['run']}", "Accept": "application/json", "Content-Type": "application/json"}
    answer = httpx.post(address, content=body, headers=head, timeout=20, verify=False)
    assert (answer.status_code, "Traceback" in answer.text) == (status, False)
    lives = httpx.get(address, headers=head, timeout=20, verify=False)
    assert lives.status_code == 405  # nothing is streamed unasked
