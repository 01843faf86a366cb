"""A change of state reaches its receiver once, whatever the receiver does."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from scenario_gen.errors import StoreError
from scenario_gen.live.alerts import Alert, Condition, Receiver, changes, deliver, tell

LOST = Condition("calibration", "lost", False, "evidence 61 of the 40 that are needed")
KEPT = Condition("calibration", "kept", True, "evidence 1.2")
DRIFTS = Condition("strategy cross", "drifting", False, "2.1% of paths stray as far")
ALERT = Alert("BTC", "calibration", "lost", "kept", False, "because", "2024-01-01T00:00:00")


def nap(seconds: float) -> None:
    """Stand in for the pauses between tries."""


class Hook(ThreadingHTTPServer):
    """A webhook on loopback that answers with the codes it is given, the last one for ever."""

    daemon_threads = True

    def __init__(self, codes: list[int]) -> None:
        self.codes, self.bodies = codes, []
        self.bodies: list[dict[str, Any]]
        super().__init__(("127.0.0.1", 0), Answers)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/secret-token"


class Answers(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        code = self.server.codes.pop(0) if len(self.server.codes) > 1 else self.server.codes[0]
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.server.bodies.append({"followed": True})

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def hook(*codes: int) -> Iterator[Hook]:
    server = Hook([*codes])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_change_is_told_once_and_again_only_when_the_state_changes(tmp_path):
    book = tmp_path / "alerts.json"
    with hook(200) as server:
        receivers = [Receiver(webhook=server.address)]
        for conditions in ([KEPT], [LOST, DRIFTS], [LOST, DRIFTS], [LOST, DRIFTS], [KEPT, DRIFTS], [KEPT, DRIFTS]):
            assert all(each.taken for each in tell("BTC", "2024-01-01", conditions, receivers, book))
        told = [(body["subject"], body["was"], body["state"]) for body in server.bodies]
    assert told == [
        ("calibration", "kept", "lost"),
        ("strategy cross", "", "drifting"),
        ("calibration", "lost", "kept"),
    ]
    assert server.bodies[0]["text"] == "BTC: calibration is lost (was kept): evidence 61 of the 40 that are needed"
    assert "secret" not in book.read_text()


def test_a_first_state_that_is_fine_is_no_news():
    assert changes("BTC", "now", [KEPT], {}) == []
    assert [each.state for each in changes("BTC", "now", [LOST], {})] == ["lost"]


def test_an_alert_that_was_not_taken_is_sent_again_at_the_next_step_to_that_receiver_alone(tmp_path):
    book = tmp_path / "alerts.json"
    with hook(400, 200) as broken, hook(200) as working:
        receivers = [Receiver(webhook=broken.address), Receiver(webhook=working.address)]
        first = tell("BTC", "1", [LOST], receivers, book)
        assert [(each.taken, each.tries) for each in first] == [(False, 1), (True, 1)]  # a 400 will not pass
        assert [each.taken for each in tell("BTC", "2", [LOST], receivers, book)] == [True]
        assert tell("BTC", "3", [LOST], receivers, book) == []
        assert (len(broken.bodies), len(working.bodies)) == (2, 1)


def test_a_server_in_trouble_is_tried_again_after_pauses_and_then_given_up():
    pauses: list[float] = []
    with hook(503, 429, 200) as server:
        delivery = deliver(ALERT, Receiver(webhook=server.address), sleep=pauses.append)
        assert (delivery.taken, delivery.tries, pauses) == (True, 3, [1.0, 4.0])
    with hook(500) as server:
        delivery = deliver(ALERT, Receiver(webhook=server.address), sleep=nap)
        assert (delivery.problem, delivery.tries, len(server.bodies)) == ("answered 500", 3, 3)


def test_a_redirect_is_not_followed():
    with hook(302) as server:
        delivery = deliver(ALERT, Receiver(webhook=server.address), sleep=nap)
        assert delivery.problem == "answered 302, a redirect, which is not followed"
        assert len(server.bodies) == 1


def test_nobody_at_the_address_is_said_without_the_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/secret-token"
        delivery = deliver(ALERT, Receiver(webhook=address, tries=2), sleep=nap)
    assert (delivery.tries, delivery.receiver) == (2, "webhook 127.0.0.1")
    assert delivery.problem.startswith("cannot be reached: Connection refused")
    assert "secret" not in str(delivery)


@pytest.mark.parametrize("drips", [False, True])
def test_a_server_that_never_ends_its_answer_is_given_up_in_time(drips):
    done = threading.Event()

    def serve(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            while not done.wait(0.05):
                if drips:  # each byte restarts a timeout of single reads
                    client.sendall(b"H" if done.is_set() else b"X-")

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        started = time.monotonic()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        delivery = deliver(ALERT, Receiver(webhook=address, timeout=0.3, tries=1), sleep=nap)
        took = time.monotonic() - started
        done.set()
        thread.join()
    assert delivery.problem == "no answer within 0.3 seconds"
    assert took < 2


def test_the_address_may_come_from_the_environment(monkeypatch):
    with hook(200) as server:
        monkeypatch.setenv("HOOK_OF_TESTS", server.address)
        assert deliver(ALERT, Receiver(webhook="$HOOK_OF_TESTS"), sleep=nap).taken
    monkeypatch.delenv("HOOK_OF_TESTS")
    missing = deliver(ALERT, Receiver(webhook="$HOOK_OF_TESTS"), sleep=nap)
    assert missing.problem == "the environment variable HOOK_OF_TESTS holds no http(s) address"
    assert missing.tries == 1


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-S", "-c", code, *arguments]


def test_a_command_reads_the_alert_and_its_arguments_pass_no_shell(tmp_path):
    out = tmp_path / "out.json"
    code = "import sys, json; json.dump([json.load(sys.stdin), sys.argv[2:]], open(sys.argv[1], 'w'))"
    hostile = Alert("$(touch x); BTC", "calibration", "lost", "", False, "`id` \x1b[2J", "now")
    receiver = Receiver(command=python(code, str(out), "; touch y", "$HOME"))
    assert deliver(hostile, receiver, sleep=nap).taken
    body, arguments = json.loads(out.read_text())
    assert (body["name"], body["state"], arguments) == ("$(touch x); BTC", "lost", ["; touch y", "$HOME"])
    assert "\x1b" not in body["text"]


def test_a_command_that_fails_is_tried_again_and_its_last_words_are_told():
    receiver = Receiver(
        command=python("import sys; print('x' * 9999 + ' no route\\x1b[2J', file=sys.stderr); sys.exit(7)")
    )
    delivery = deliver(ALERT, receiver, sleep=nap)
    assert delivery.tries == 3
    assert delivery.problem.startswith("ended with 7: ")
    assert delivery.problem.endswith("no route\\x1b[2J")
    assert len(delivery.problem) < 400


def test_a_command_that_is_not_there_is_not_tried_again(tmp_path):
    delivery = deliver(ALERT, Receiver(command=[str(tmp_path / "no-such-program")]), sleep=nap)
    assert (delivery.problem, delivery.tries) == ("cannot be started: No such file or directory", 1)


def test_a_command_that_hangs_is_ended_with_what_it_started(tmp_path):
    out = tmp_path / "child"
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        "open(sys.argv[1], 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    started = time.monotonic()
    delivery = deliver(ALERT, Receiver(command=python(code, str(out)), timeout=1.0, tries=1), sleep=nap)
    assert delivery.problem == "did not end within 1 seconds, and was ended"
    assert time.monotonic() - started < 5
    child = int(out.read_text())
    for _ in range(100):  # whoever inherits the dead reaps it when it likes; a zombie has ended
        if not _runs(child):
            break
        time.sleep(0.02)
    assert not _runs(child)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"webhook": "https://a.example/", "command": ["x"]},
        {"webhook": "file:///etc/passwd"},
        {"webhook": "https://"},
        {"webhook": "http://a.example/\r\nX: y"},
        {"webhook": "http://a.example:port/"},
        {"command": []},
        {"command": "mail me"},
        {"command": ["x"], "timeout": 0.0},
        {"command": ["x"], "tries": 11},
    ],
)
def test_what_names_no_receiver_is_refused(written):
    with pytest.raises(ValidationError):
        Receiver(**written)


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', '{"a": {"b": 1}}'])
def test_a_broken_book_is_said_and_never_taken_for_an_empty_one(tmp_path, content):
    book = tmp_path / "alerts.json"
    book.write_text(content)
    with pytest.raises(StoreError, match="remove the file"):
        tell("BTC", "now", [LOST], [Receiver(command=["true"])], book)
