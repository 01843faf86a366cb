"""The page of runs, in a real browser, before a server that answers as the real one does."""

from __future__ import annotations

import asyncio
import html
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

fastapi = pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")

from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse  # noqa: E402  once it is known to be there
from fastapi.testclient import TestClient  # noqa: E402

from scenario_gen.serve import web  # noqa: E402
from tests.serve.tiny import REPOSITORY, TINY  # noqa: E402

TEMPLATES = Path(web.__file__).parent / "templates"
HOSTILE = '<img src=x onerror="window.pwn = 1"></script>'
KEY = "sg_a-key-of-tests"
SPEC = "name: quickstart\ndata: {source: sp500}\npaths: {count: many}\n"
PROBLEM = {
    "line": 3, "field": "paths.count", "problem": f"got 'many' {HOSTILE}", "expected": "a whole number", "fix": "",
}  # fmt: skip
REPORT = (Path(__file__).parents[2] / "reports" / "sample" / "index.html").read_text(encoding="utf-8")


def job(number: str, state: str = "running", **changes: Any) -> dict[str, Any]:
    return {
        "id": number, "kind": "run", "name": number, "state": state, "folder": f"{number}-1", "spec": SPEC,
        "made": f"2026-11-30T10:15:0{len(number) % 10}Z", "begun": None, "ended": None, "stage": "", "done": 0,
        "total": 0, "note": "", "exit_code": None, "error": "", "verdict": None,
    } | changes  # fmt: skip


def listed(name: str, verdict: str) -> dict[str, Any]:
    return {
        "name": name, "title": f"Strategies of {name} {HOSTILE}", "made": "2026-11-30T10:15:00+00:00",
        "verdict": verdict, "findings": {verdict: 1}, "scenarios": ["base"], "strategies": ["SmaCross(fast=10)"],
        "lacks": [],
    }  # fmt: skip


@dataclass
class Stub:
    """What the server knows; tests change it while the page looks on."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    key: str = ""
    validated: list[str] = field(default_factory=list)
    full: bool = False
    address: str = ""

    def reset(self) -> None:
        self.jobs.clear()
        self.runs[:] = [listed("quickstart-1", "WARN")]
        self.key, self.full = "", False
        self.validated.clear()


def stub_app(stub: Stub) -> Any:
    app = fastapi.FastAPI()
    app.include_router(web.router())

    @app.middleware("http")
    async def keyed(request: fastapi.Request, go_on: Any) -> Any:
        secret = request.url.path.startswith("/api/") and stub.key
        if secret and request.headers.get("Authorization") != f"Bearer {stub.key}":
            return JSONResponse({"problem": "no key came", "expected": "a key", "fix": "send one"}, 401)
        return await go_on(request)

    @app.get("/api/jobs")
    def jobs() -> Any:
        return [*stub.jobs.values()]

    @app.post("/api/jobs")
    async def submit(request: fastapi.Request) -> Any:
        if stub.full:
            return JSONResponse({"problem": "32 jobs wait already", "expected": "fewer", "fix": "try again later"}, 429)
        stub.jobs["new"] = job("new", "queued", spec=(await request.json())["spec"])
        return JSONResponse(stub.jobs["new"], 202)

    @app.post("/api/jobs/{number}/{verb}")
    def act(number: str, verb: str) -> Any:
        stub.jobs[number] |= {"state": {"cancel": "cancelled", "resume": "queued"}[verb]}
        return stub.jobs[number]

    @app.get("/api/jobs/{number}/events")
    async def events(number: str) -> Any:
        async def told() -> AsyncIterator[str]:
            last = ""
            for _ in range(400):
                text = json.dumps(stub.jobs.get(number, job(number, "cancelled")))
                if text != last:
                    yield f"event: job\ndata: {text}\n\n"
                last = text
                if json.loads(text)["state"] in ("done", "failed", "cancelled"):
                    return
                await asyncio.sleep(0.02)

        return StreamingResponse(told(), media_type="text/event-stream")

    @app.post("/api/validate")
    async def validate(request: fastapi.Request) -> Any:
        stub.validated.append((await request.json())["spec"])
        problems = [PROBLEM] if "many" in stub.validated[-1] else []
        return {"ok": not problems, "problems": problems, "scenarios": [{"name": "base"}], "strategies": ["Cross"]}

    @app.post("/api/draft")
    async def draft(request: fastapi.Request) -> Any:
        asked = await request.json()
        told = f"data: {{source: {asked['source']}, end: {asked['end']}}}\nstrategies: {asked['strategies']}"
        return {"spec": f"name: drafted\n{told}\nbars: {{horizon: {asked['horizon']}}}\n"}

    @app.get("/api/runs")
    def runs() -> Any:
        return stub.runs

    @app.get("/api/runs/{name}/report")
    def report(name: str) -> Any:
        return HTMLResponse(REPORT if name == "quickstart-1" else f"<title>{name}</title><p>{name}</p>")

    return app


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an app on a free port of this machine while the block lasts; its address."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        running = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [door]})
        thread.start()
        while not running.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        running.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    stub = Stub()
    with serving(stub_app(stub)) as stub.address:
        yield stub


@pytest.fixture
def page(browser: Any, server: Stub) -> Iterator[Any]:
    """The page, opened on a server with one finished run and no key."""
    server.reset()
    browser.open(server.address)
    browser.run("sessionStorage.clear()")
    assert browser.until("document.querySelectorAll('#runs li').length === 1")
    yield browser
    server.reset()


def text(browser: Any, selector: str) -> str:
    return str(browser.run(f"document.querySelector({json.dumps(selector)})?.textContent ?? ''"))


def write(browser: Any, selector: str, words: str) -> None:
    browser.run(f"document.querySelector({json.dumps(selector)}).select()")
    browser.call("Input.insertText", text=words)


def click(browser: Any, selector: str) -> None:
    browser.run(f"document.querySelector({json.dumps(selector)}).click()")


def shows(selector: str, words: str) -> str:
    return f"(document.querySelector({json.dumps(selector)})?.textContent ?? '').includes({json.dumps(words)})"


# --- What is served ---


def test_every_file_comes_with_a_policy_and_the_page_asks_no_other_server():
    app = fastapi.FastAPI()
    app.include_router(web.router())
    with TestClient(app) as client:
        answers = {path: client.get(path) for path in ("/", "/web/frame", *(f"/web/{name}" for name in web.KINDS))}
        assert client.get("/web/web.py").status_code == 404
        assert client.get("/web/..%2fweb.py").status_code == 404
    for path, answer in answers.items():
        assert answer.status_code == 200, path
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert re.findall(r"https?://|@import|url\(", answer.text) == [], path
    assert answers["/"].headers["content-security-policy"] == web.PAGE_POLICY
    assert "unsafe" not in web.PAGE_POLICY
    assert web.FRAME_POLICY.startswith("sandbox allow-scripts; ")  # without an origin: no key, no endpoint


def test_the_markup_has_neither_scripts_nor_styles_nor_handlers_in_it():
    for name in ("page.html", "frame.html"):
        markup = (TEMPLATES / name).read_text(encoding="utf-8")
        assert re.findall(r"<style|\sstyle=|\son[a-z]+=|<script>|javascript:", markup) == []


def test_the_script_writes_text_and_never_markup():
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|srcdoc|\beval\b|Function\(|localStorage|https?:"
    assert re.findall(forbidden, script) == []
    assert script.isascii()


def test_the_page_has_the_colours_of_the_report():
    style = web.content("page.css")
    assert style.startswith("/* Colours")
    assert style.count("prefers-color-scheme: dark") == 1
    used = set(re.findall(r"var\((--\w+)\)", style))
    assert used <= set(re.findall(r"(--\w+):", style))


# --- In a real browser ---


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_runs_and_jobs_are_listed_without_a_complaint_at_any_width(page: Any, server: Stub, width: int, dark: bool):
    server.jobs["long"] = job("long", stage="sampling base", done=3, total=8)
    server.jobs["broken"] = job("broken", "failed", error=f"spec.yaml:3: {HOSTILE}\n  to do:    mend it")
    page.open(server.address, width=width, dark=dark)
    assert page.until("document.querySelectorAll('#jobs li').length === 2")
    assert page.until(shows("#runs .verdict", "WARN"))
    assert page.run("document.querySelector('#jobs progress').value") == 3
    assert page.run("document.documentElement.scrollWidth") == width
    assert HOSTILE in text(page, "#jobs")
    assert page.run("window.pwn === undefined && document.querySelectorAll('img').length === 0")
    assert page.complaints(server.address, "data:") == []


def test_a_spec_is_checked_while_it_is_typed_and_its_problem_stands_at_its_line(page: Any, server: Stub):
    write(page, "#spec", SPEC)
    assert page.until(shows("#lines .wrong em", "got 'many'"))
    assert text(page, "#lines .wrong b") == "3"
    assert text(page, "#problems button").startswith("line 3, paths.count: got 'many' <img")
    assert page.run("document.querySelector('#submit').disabled")
    assert page.run("document.querySelector('#spec').getAttribute('aria-invalid')") == "true"
    click(page, "#problems button")
    chosen = "document.querySelector('#spec').value.slice(...['Start', 'End'].map(end => spec[`selection${end}`]))"
    assert page.run(chosen) == "paths: {count: many}"
    page.call("Input.insertText", text="paths: {count: 8}")
    assert page.until(shows("#verdict-of-spec", "Can run: base; Cross."))
    assert page.run("document.querySelectorAll('.wrong, #problems li').length") == 0
    assert not page.run("document.querySelector('#submit').disabled")
    assert page.complaints(server.address, "data:") == []


def test_keys_that_follow_each_other_ask_the_server_once(page: Any, server: Stub):
    for letter in "name: x":
        page.call("Input.insertText", text=letter)  # nowhere yet
    page.run("document.querySelector('#spec').focus()")
    for letter in "name: x":
        page.call("Input.insertText", text=letter)
    assert page.until(shows("#verdict-of-spec", "Can run"))
    assert server.validated[-1] == "name: x"
    assert len(server.validated) <= 3  # a busy machine may rest between two of seven letters, hardly between all


def test_a_draft_is_made_checked_and_run_and_its_progress_comes_by_itself(page: Any, server: Stub):
    write(page, "#draft [name=source]", "nasdaq")
    write(page, "#draft [name=strategies]", "a.py:A, b.py:B")
    page.run("document.querySelector('#draft [name=end]').value = '2017-06-30'")
    click(page, "#draft button")
    assert page.until("!document.querySelector('#submit').disabled")
    drafted = page.run("document.querySelector('#spec').value")
    assert "{source: nasdaq, end: 2017-06-30}\nstrategies: ['a.py:A', 'b.py:B']\nbars: {horizon: 63}" in drafted
    click(page, "#submit")
    assert page.until(shows("#jobs", "queued"))
    server.jobs["new"] = job("new", stage="sampling base", done=2, total=4)
    assert page.until(shows("#jobs", "sampling base: 2 of 4"))
    assert page.run("document.querySelector('#jobs progress').getAttribute('aria-label')") == "new: sampling base"
    server.runs.insert(0, listed("new-1", "PASS"))
    server.jobs["new"] = job("new", "done", verdict="PASS", exit_code=0)
    assert page.until(shows("#status", "new: done, verdict PASS"))
    assert page.until("document.querySelectorAll('#runs li').length === 2")
    assert page.run("document.querySelectorAll('#jobs li').length") == 0
    assert page.complaints(server.address, "data:") == []


def test_rows_of_another_shape_are_told_and_the_others_shown(page: Any, server: Stub):
    """A page whose server, or whose runs, are of another version: nothing that misses hides what is there."""
    older = {"name": "older", "verdict": None, "title": 7, "lacks": ["title", "findings"]}
    server.runs[:] = [older, None, {"title": "nameless"}, {"name": "bare"}, listed("whole-1", "PASS")]  # type: ignore[list-item]
    odd = {"id": "odd", "state": "running", "total": "many", "error": {"a": 1}}
    server.jobs |= {"odd": odd, "none": {}, "long": job("long", stage="sampling", done=1, total=8)}
    page.open(server.address)
    assert page.until("document.querySelectorAll('#runs li').length === 3")
    assert text(page, "#odd-runs") == "2 of 5 rows have no name and are not shown"
    assert text(page, "#odd-jobs") == "1 of 3 rows have no id and are not shown"
    assert "cannot be read in this run.json: title, findings" in text(page, "#runs li")
    assert "undefined" not in text(page, "main")
    assert "Invalid" not in text(page, "main")
    shown = page.run("[...document.querySelectorAll('#runs .verdict')].map(each => each.textContent)")
    assert shown == ["no verdict", "no verdict", "PASS"]
    assert page.until(shows("#jobs", "sampling: 1 of 8"))
    assert page.run("document.querySelectorAll('#jobs li').length") == 2
    assert text(page, "#alert") == ""


def test_a_job_is_cancelled_and_resumed_with_the_keyboard(page: Any, server: Stub):
    server.jobs["long"] = job("long", stage="sampling base", done=3, total=8)
    page.open(server.address)
    assert page.until("document.querySelector('#jobs button') !== null")
    page.run("document.querySelector('#jobs button').focus()")
    page.press("Enter")
    assert page.until(shows("#jobs .verdict", "cancelled"))
    assert server.jobs["long"]["state"] == "cancelled"
    assert page.until("document.activeElement.getAttribute('aria-label') === 'Resume long'")  # the focus stayed
    page.press("Enter")
    assert page.until(shows("#jobs .verdict", "queued"))


def test_a_full_queue_is_told_in_the_server_s_words_and_the_spec_stays(page: Any, server: Stub):
    server.full = True
    write(page, "#spec", "name: x")
    assert page.until("!document.querySelector('#submit').disabled")
    click(page, "#submit")
    assert page.until(shows("#alert", "32 jobs wait already\nexpected: fewer\nto do: try again later"))
    assert page.run("document.querySelector('#spec').value") == "name: x"


def test_a_key_is_asked_for_kept_for_the_tab_and_sent_with_every_request(page: Any, server: Stub):
    server.key = KEY
    server.jobs["long"] = job("long", stage="sampling", done=1, total=8)
    page.open(server.address)
    assert page.until(shows("#alert", "This server asks for a key"))
    assert page.run("document.querySelectorAll('#runs li').length") == 0
    write(page, "#key", KEY)
    page.press("Enter")
    assert page.until("document.querySelectorAll('#runs li').length === 1")
    assert page.until("document.querySelector('#alert').textContent === ''")
    assert KEY not in page.run("document.documentElement.outerHTML + document.querySelector('#key').value + location")
    assert page.run("localStorage.length") == 0
    server.jobs["long"] |= {"done": 5}
    assert page.until(shows("#jobs", "sampling: 5 of 8"))  # the stream has the key, too
    click(page, "#runs .open")
    assert page.until("document.querySelector('#report iframe') !== null")
    click(page, "#forget")
    assert page.until(shows("#alert", "This server asks for a key"))
    assert page.run("sessionStorage.length") == 0
    assert text(page, "#runs") == ""


IN_FRAME = """(async () => {
  const title = document.querySelector('h1')?.textContent ?? '';
  const style = document.querySelector('style') ? getComputedStyle(document.querySelector('h1')).fontWeight : '';
  let asked = 'answered';
  try { await fetch('/api/runs'); } catch { asked = 'refused'; }
  let kept = 'read';
  try { sessionStorage.length; } catch { kept = 'refused'; }
  let parent = 'read';
  try { window.parent.document.title; } catch { parent = 'refused'; }
  return [title, style, document.querySelectorAll('[data-zoom] button').length > 0, asked, kept, parent];
})()"""


def inside(browser: Any, kind: str) -> Any:
    """Evaluate in the newest frame or tab of the report, which has a process of its own; None while there is none."""
    targets = browser.call("Target.getTargets")["targetInfos"]
    rooms = [each for each in targets if each["type"] == kind and each["url"].endswith("/web/frame")]
    if not rooms:
        return None
    before = browser._session
    try:
        browser._session = browser.call("Target.attachToTarget", targetId=rooms[0]["targetId"], flatten=True)[
            "sessionId"
        ]
        asked = {"expression": IN_FRAME, "awaitPromise": True, "returnByValue": True}
        return browser.call("Runtime.evaluate", **asked)["result"].get("value")
    except AssertionError:  # the document was replaced between the two
        return None
    finally:
        browser._session = before


def wait_inside(browser: Any, kind: str) -> Any:
    end, seen = time.monotonic() + 15, None
    while time.monotonic() < end and not (seen and seen[2]):
        time.sleep(0.05)  # a page behind a tab draws nothing that one could wait for
        seen = inside(browser, kind)
    return seen


def test_a_report_is_read_beside_in_a_room_that_reaches_neither_server_nor_key_nor_page(page: Any, server: Stub):
    page.run(f"sessionStorage.setItem('scenario-gen key', {json.dumps(KEY)})")
    click(page, "#runs .open")
    assert page.until("document.querySelector('#report iframe') !== null")
    assert page.run("document.activeElement.id") == "report-title"
    assert page.run("document.querySelector('#report iframe').getAttribute('sandbox')") == "allow-scripts"
    title, *rest = wait_inside(page, "iframe")
    assert title in html.unescape(REPORT)
    assert rest == ["650", True, "refused", "refused", "refused"]
    page.run("document.querySelector('#tab').focus()")
    page.press("Enter")
    title, *rest = wait_inside(page, "page")
    assert title in html.unescape(REPORT)
    assert rest[:4] == ["650", True, "refused", "refused"]
    tabs = page.call("Target.getTargets")["targetInfos"]
    tab = next(each for each in tabs if each["type"] == "page" and each["url"].endswith("/web/frame"))
    page.call("Target.closeTarget", targetId=tab["targetId"])
    page.call("Page.bringToFront")
    click(page, "#close")
    assert page.run("document.querySelectorAll('#report iframe').length") == 0
    assert page.run("document.activeElement.textContent") == "quickstart-1"


def test_what_can_be_used_has_a_name_for_a_screen_reader(page: Any, server: Stub):
    server.jobs["long"] = job("long", stage="sampling base", done=3, total=8)
    page.open(server.address)
    assert page.until("document.querySelector('#jobs progress') !== null")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if node.get("role", {}).get("value")
        in ("button", "textbox", "combobox", "spinbutton", "progressbar", "progressIndicator", "ProgressIndicator")
    ]
    assert [role for role, name in named if not name] == []
    assert {("button", "Cancel long"), ("textbox", "Spec"), ("textbox", "Key")} <= set(named)
    regions = {node["name"]["value"] for node in nodes if node.get("role", {}).get("value") == "region"}
    assert {"New run", "Jobs", "Runs", "Report"} <= regions


def test_a_finger_finds_what_it_touches_and_a_phone_does_not_zoom_into_the_editor(page: Any, server: Stub):
    page.open(server.address, width=390, height=844)
    assert page.until("document.querySelectorAll('#runs li').length === 1")
    small = """[...document.querySelectorAll('button, input, select')].filter(each => each.offsetParent)
      .filter(each => each.getBoundingClientRect().height < 30).map(each => each.id || each.textContent)"""
    assert page.run(small) == []
    assert page.run("getComputedStyle(document.querySelector('#spec')).fontSize") == "16px"


# --- Before the server itself ---


def test_a_spec_is_drafted_mended_and_queued_and_a_run_read_on_the_server_itself(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from scenario_gen.serve.app import ServerSettings, create_app
    from scenario_gen.serve.guard import Guard
    from scenario_gen.serve.keys import Keys

    monkeypatch.chdir(REPOSITORY)
    shutil.copytree(REPOSITORY / "reports" / "sample", tmp_path / "sample")
    scenario = {"name": "base", "strategies": [{"name": "BuyAndHold"}]}
    run = {
        "title": "Sample",
        "created": "2026-11-30T10:15:00",
        "findings": [{"label": "WARN"}],
        "scenarios": [scenario],
    }
    (tmp_path / "sample" / "run.json").write_text(json.dumps(run), encoding="utf-8")
    key = Keys(tmp_path).make("reader", ("read", "run"))
    settings = ServerSettings(Guard(tmp_path, strategies=(Path("strategies"),)), workers=0, log=lambda **_: None)
    with serving(create_app(settings)) as address:
        browser.open(address)
        assert browser.until(shows("#alert", "This server asks for a key"))
        write(browser, "#key", key)
        browser.press("Enter")
        assert browser.until("document.querySelectorAll('#runs li').length === 1")
        assert re.search("Sample, .*2026", text(browser, "#runs small"))
        click(browser, "#draft button")
        assert browser.until(shows("#verdict-of-spec", "Can run: base; BuyAndHold"))
        write(browser, "#spec", TINY.replace("horizon: 5", "horizon: five"))
        assert browser.until(shows("#lines .wrong b", "3"))
        assert text(browser, "#problems button").startswith("line 3, bars.horizon: got 'five'")
        write(browser, "#spec", TINY)
        assert browser.until("!document.querySelector('#submit').disabled")
        click(browser, "#submit")
        assert browser.until(shows("#status", "tiny waits for its turn"))
        for verb, state in (("Cancel", "cancelled"), ("Resume", "queued")):
            click(browser, f"#jobs [aria-label='{verb} tiny']")
            assert browser.until(shows("#jobs .verdict", state))
        click(browser, "#runs .open")
        assert browser.until("document.querySelector('#report iframe') !== null")
        title, *rest = wait_inside(browser, "iframe")
        assert title in html.unescape(REPORT)
        assert rest == ["650", True, "refused", "refused", "refused"]
        assert key not in "".join(map(str, browser.complaints(address, "data:")))
        click(browser, "#forget")
