"""The ``serve`` command: what it refuses, and a real server on loopback that is killed and comes again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serve.tiny import REPOSITORY, TINY, until

Invoke = Callable[..., Any]


def test_an_address_that_others_reach_needs_keys(invoke: Invoke, tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.7", "example.org"):
        refused = invoke("serve", "--root", tmp_path, "--host", host)
        assert (refused.exit_code, "has no keys" in refused.stderr) == (2, True)
        assert "--make-key" in refused.stderr


def test_a_key_is_printed_once_and_its_scopes_are_held_to(invoke: Invoke, tmp_path: Path) -> None:
    made = invoke("serve", "--root", tmp_path, "--make-key", "ci", "--scope", "read", "--json")
    answer = json.loads(made.stdout)
    assert answer["key"].startswith("sg_")
    assert answer["scopes"] == ["read"]
    assert answer["key"] not in (tmp_path / ".jobs" / "keys.json").read_text()
    assert invoke("serve", "--root", tmp_path, "--make-key", "ci", "--scope", "all").exit_code == 2
    assert invoke("serve", "--root", tmp_path, "--scope", "read").exit_code == 2


def test_a_port_that_is_taken_is_told(invoke: Invoke, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = invoke("serve", "--root", tmp_path, "--port", taken.getsockname()[1])
    assert (refused.exit_code, "cannot listen on 127.0.0.1" in refused.stderr) == (2, True)


def test_a_server_that_was_killed_comes_again_with_its_jobs(tmp_path: Path) -> None:
    """Jobs of a server that ends by kill -9 are there for the next, which ends by a signal as a command does."""
    words = [sys.executable, "-m", "scenario_gen", "serve", "--root", str(tmp_path), "--port", "0", "--json"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    jobs: list[str] = []
    for end in (signal.SIGKILL, signal.SIGINT):
        server = subprocess.Popen(
            [*words, "--workers", "1"], cwd=REPOSITORY, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        with server:
            assert server.stdout is not None
            text = b""
            while not text.endswith(b"}\n"):
                text += server.stdout.readline()
            address = json.loads(text)["address"]
            with httpx.Client(base_url=address, trust_env=False) as asked:
                until(lambda asked=asked: _answers(asked))  # type: ignore[misc]
                listed = [job["id"] for job in asked.get("/api/jobs").json()]
                assert listed == jobs[::-1]
                jobs.append(asked.post("/api/jobs", json={"spec": TINY}).json()["id"])
                assert "text/html" in asked.get("/").headers["content-type"]
            server.send_signal(end)
            _, told = server.communicate(timeout=30)
    assert server.returncode in (130, -signal.SIGINT)
    assert b"Traceback" not in told
    assert len(jobs) == 2


def _answers(asked: httpx.Client) -> bool:
    try:
        return asked.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("option", ["--allow-network=yaho", "--workers=0", "--queue=0", "--port=70000"])
def test_a_wrong_option_is_refused_before_anything_listens(invoke: Invoke, tmp_path: Path, option: str) -> None:
    assert invoke("serve", "--root", tmp_path, option).exit_code == 2
