"""Which Ray cluster a run works on: one that runs already, or one of this machine that lives as long as the run.

Ray's logs stay in its own files, nothing is reported to its makers, and whatever authentication a cluster asks for
stays as it is; a cluster of our own listens on this machine's loopback alone.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from scenario_gen.errors import ExecuteError
from scenario_gen.execute.queue import cores
from scenario_gen.execute.ray import RayWorkers, Terms, first_line

REACHED = 30  # seconds that a cluster may take to say that it is there


@contextmanager
def open_cluster(address: str | None, terms: Terms) -> Iterator[RayWorkers]:
    """Join the cluster that is named, or start one on this machine, and leave it as it was.

    Args:
        address: of a running cluster; without one ``RAY_ADDRESS``, which ``ray job submit`` sets; without that a
            cluster of this machine is started, and shut down at the end. A program that is connected already stays so.
        terms: how many workers, and what each is given.

    Raises:
        ExecuteError: Ray is not installed, or the cluster cannot be reached, refuses us, or lacks what a worker needs.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    own = address == "local"
    with _environment(own):
        ray = _ray()
        joined_before = ray.is_initialized()
        if not joined_before:
            _start(ray, terms) if own else _join(ray, address)
            _silence(ray)
        cluster = RayWorkers(ray, terms, fixed=own and not joined_before)
        try:
            cluster.refuse_what_is_not_there()
            yield cluster
        finally:
            cluster.dismiss()
            if not joined_before:
                ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ExecuteError(
            f"work on a Ray cluster needs Ray, which cannot be imported: {error}",
            expected="Ray of the version that the cluster has",
            fix="pip install 'scenario-gen[ray]', or another place: --on processes",
        ) from error
    return ray


@contextmanager
def _environment(own: bool) -> Iterator[None]:
    """Set what Ray reads of the environment, and put back what was there.

    A cluster of our own binds to the loopback address (the variable's name is of the systems where that is the rule)
    and asks for a token that nobody else has; where the user has chosen otherwise, that stays. What a running cluster
    asks for is its own. Ray reads the mode when it is imported, and must not hear of it later: then its own rule holds.
    """
    before = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    chosen = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    if own:
        chosen["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        if not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & {*before}:
            chosen["RAY_AUTH_TOKEN"] = _token()
            chosen |= {} if "ray" in sys.modules else {"RAY_AUTH_MODE": "token"}
    os.environ.update(chosen | before)
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("RAY_") and name not in before]:
            del os.environ[name]


@cache
def _token() -> str:
    """Return the token of this process's clusters: Ray reads it once, and would else write one to the home folder."""
    return secrets.token_hex(32)


QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}


def _silence(ray: Any) -> None:
    """Keep what nodes say of lost workers off standard output, where it would stand between our lines.

    Ray has no setting for it: it is not what ``log_to_driver`` is about. We say what was lost, where it matters.
    """
    if hasattr(ray._private.worker, "print_to_stdstream"):
        ray._private.worker.print_to_stdstream = lambda *_, **__: None


def _start(ray: Any, terms: Terms) -> None:
    """Start a cluster on this machine with as many cores as its workers need."""
    workers = terms.workers or max(1, cores() // terms.cpus)
    try:
        ray.init(
            address="local",
            num_cpus=workers * terms.cpus,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            **QUIET,
        )
    except (RuntimeError, OSError, ValueError, ray.exceptions.RayError) as error:
        raise ExecuteError(
            f"no Ray cluster can be started on this machine: {first_line(error)}",
            expected="memory, a writable /tmp, and loopback ports",
            fix="see Ray's own logs below /tmp/ray/session_latest/logs, or run --on processes",
        ) from error


def _join(ray: Any, address: str) -> None:
    """Join a cluster that runs.

    Raises:
        ExecuteError: nobody is there, it is another version of Ray or Python, or it does not let us in.
    """
    refuse_unreachable(address)
    try:
        ray.init(address=address, **QUIET)
    except Exception as error:  # Ray raises nearly anything here: ConnectionError, RuntimeError, its own
        client = "ray[client]" in str(error)  # which has needs of its own
        raise ExecuteError(
            f"the Ray cluster at {address} did not let this run join: {first_line(error)}",
            expected="the packages of ray[client] on this machine"
            if client
            else "a running cluster of this Ray and Python, and its token where it asks for one",
            fix="pip install 'ray[client]', or start the run on the cluster: ray job submit"
            if client
            else "look at `ray status` there; a token is read from RAY_AUTH_TOKEN or ~/.ray/auth_token, with "
            "RAY_AUTH_MODE=token",
        ) from error


def refuse_unreachable(address: str) -> None:
    """Refuse an address where no cluster answers, within seconds: Ray would wait for minutes and end the process.

    A child process asks, since what waits there cannot be interrupted; behind ``ray://`` a connection must do.
    """
    import socket

    try:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if port.isdecimal():
            socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED / 3).close()
        if address.startswith("ray://"):
            return
        asked = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
        asked += [] if address == "auto" else ["--address", address]
        answer = subprocess.run(asked, capture_output=True, text=True, errors="replace", timeout=REACHED, check=False)
        if answer.returncode == 0:
            return
        why = next((line for line in reversed(answer.stderr.splitlines()) if line.strip()), "no cluster answers")
    except subprocess.TimeoutExpired:
        why = f"no answer within {REACHED} seconds"
    except (OSError, ValueError) as error:
        why = str(error)
    raise ExecuteError(
        f"no Ray cluster can be reached at {address}: {why.strip()[:200]}",
        expected="the address of a running cluster's head: host:6379, ray://host:10001, or auto for this machine's",
        fix="look at `ray status` there, mend `address` or RAY_ADDRESS, or leave them out to work on this machine",
    )
