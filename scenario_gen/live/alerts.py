"""Alerts: a change of state is told once, to a webhook or a command, and again until it was taken.

Owns the section of the YAML, what is sent and how: a POST of JSON that follows no redirect, or a program that is
started without a shell and reads the same JSON from its input. No value of ours becomes part of a command, and an
address, which may hold a secret, is never shown beyond its host. What each receiver was told last is kept in a small
file, so that a restart repeats nothing. Does not know what the states mean.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pydantic import Field, field_validator, model_validator

from scenario_gen.errors import StoreError, printable
from scenario_gen.files import write_bytes
from scenario_gen.finding import LIVE_DRIFT
from scenario_gen.live.results import LiveReport
from scenario_gen.reading.section import Section

PAUSES = (1.0, 4.0, 16.0)  # seconds before the second try, the third, and every later one
AGAIN = (408, 425, 429)  # of the 4xx that may pass with time; others say that the request is wrong
MOST_SHOWN = 300  # characters of what a command wrote


class Receiver(Section):
    """Who is told of a change of state: exactly one of ``webhook`` and ``command``."""

    webhook: str | None = Field(
        default=None, description="http(s) address that JSON is posted to, or $NAME of a variable that holds it"
    )
    command: list[str] | None = Field(
        default=None, min_length=1, description="program and its arguments; started without a shell, reads JSON"
    )
    timeout: float = Field(default=10.0, gt=0, le=300, description="seconds until a try is given up")
    tries: int = Field(
        default=3, ge=1, le=10, description="how often it is tried, after pauses of 1, 4, 16, 16, .. seconds"
    )

    @field_validator("webhook")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None or re.fullmatch(r"\$[A-Za-z_][A-Za-z0-9_]*", value) or _is_address(value):
            return value
        raise ValueError("expected an address that begins with https:// or http:// and names a host, or $NAME")

    @model_validator(mode="after")
    def _either(self) -> Receiver:
        if (self.webhook is None) == (self.command is None):
            raise ValueError("give exactly one of 'webhook' (an address) and 'command' (a program and its arguments)")
        return self

    @property
    def shown(self) -> str:
        """What to call it: the host of an address, or the program; never more, as the rest may be a secret."""
        if self.command is not None:
            return f"command {Path(self.command[0]).name}"
        address = str(self.webhook)
        return f"webhook {address if address.startswith('$') else urlsplit(address).hostname}"

    @property
    def key(self) -> str:
        """What it is kept under: the same while address or command are."""
        return hashlib.sha256(json.dumps([self.webhook, self.command]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Condition:
    """Something that has a state."""

    subject: str  # calibration, input, strategy NAME, ...
    state: str  # its word
    fine: bool  # whether that is as it should be
    message: str  # why, as a sentence


@dataclass(frozen=True)
class Alert:
    """A change of state, as it is sent."""

    name: str  # of the instrument or the configuration
    subject: str
    state: str
    was: str  # "" where it was never told of
    fine: bool
    message: str
    at: str  # ISO stamp of when it was seen
    text: str = field(init=False)  # all of it in a line: what chat programs show of a webhook's JSON

    def __post_init__(self) -> None:
        before = f" (was {self.was})" if self.was else ""
        text = f"{self.name}: {self.subject} is {self.state}{before}: {self.message}"
        object.__setattr__(self, "text", printable(text))


@dataclass(frozen=True)
class Delivery:
    """What became of one alert at one receiver."""

    receiver: str
    alert: Alert
    tries: int
    problem: str  # "" where it was taken

    @property
    def taken(self) -> bool:
        """Whether the receiver took it."""
        return not self.problem


def conditions_of(report: LiveReport) -> list[Condition]:
    """Return what can change of a live forecast: whether it is calibrated, its input, its training, strategies."""
    test, state = report.log.test, report.state
    conditions = [
        Condition(
            "calibration",
            {"FAIL": "lost", "WARN": "doubtful"}.get(test.label, "kept"),
            test.label not in ("FAIL", "WARN"),
            f"evidence {test.evidence:.3g} of {test.threshold:g} after {test.bars} bars, {test.highest:.3g} at most"
            f"{f'; the paths look {test.leaning}' if test.leaning else ''}",
        )
    ]
    for drift in LIVE_DRIFT.of(report.findings):
        moved = drift.label == "WARN"
        conditions.append(Condition("market", "drifted" if moved else "as before", not moved, drift.measured))
    if state is not None:
        kinds = sorted({each.kind for each in state.anomalies})
        conditions += [
            Condition(
                "input",
                ", ".join(kinds) or "sound",
                not kinds,
                "; ".join(f"{each.stamp} {each.words}".strip() for each in state.anomalies) or "nothing is odd",
            ),
            Condition(
                "training",
                "may know these bars" if state.contamination.label == "WARN" else "clear",
                state.contamination.label != "WARN",
                state.contamination.reason,
            ),
        ]
    return conditions + [
        Condition(f"strategy {each.strategy}", each.course, each.course == "consistent", each.words)
        for each in report.strategies
        if each.course != "undecided"  # which has no state yet
    ]


def changes(name: str, at: str, conditions: Sequence[Condition], last: Mapping[str, str]) -> list[Alert]:
    """Return what is to be told: every state that is not the last one told, but no first state that is fine.

    Args:
        name: of the instrument or the configuration.
        at: ISO stamp of now.
        conditions: as they are.
        last: the state that was told last, by subject.
    """
    return [
        Alert(name, each.subject, each.state, last.get(each.subject, ""), each.fine, each.message, at)
        for each in conditions
        if each.state != last.get(each.subject, each.state if each.fine else "")
    ]


def tell(
    name: str,
    at: str,
    conditions: Sequence[Condition],
    receivers: Sequence[Receiver],
    book: Path,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Delivery]:
    """Send every change to every receiver, and keep in ``book`` what each of them took.

    What was not taken is sent again at the next call, while its state still differs from what was last taken.

    Args:
        name: of the instrument or the configuration.
        at: ISO stamp of now.
        conditions: as they are.
        receivers: whom to tell.
        book: file of what was told, beside the log; made where there is none.
        sleep: waits between tries.

    Raises:
        StoreError: the book cannot be read or written.
    """
    states = _read(book)
    deliveries = []
    for receiver in receivers:
        last = dict(states.get(receiver.key, {}))
        sent = [deliver(alert, receiver, sleep=sleep) for alert in changes(name, at, conditions, last)]
        refused = {each.alert.subject for each in sent if not each.taken}
        now = {each.subject: each.state for each in conditions if each.subject not in refused}
        kept = {subject: state for subject, state in last.items() if subject in refused}
        states[receiver.key] = kept | now
        deliveries += sent
        # after each receiver: an end of the process in the middle repeats no more than one receiver's alerts
        write_bytes(book, json.dumps(states, indent=1, sort_keys=True).encode(), "alerts")
    return deliveries


def deliver(alert: Alert, receiver: Receiver, *, sleep: Callable[[float], None] = time.sleep) -> Delivery:
    """Send one alert; a failure that may pass is tried again, and none is raised."""
    content = json.dumps(asdict(alert), allow_nan=False).encode()
    send = _run if receiver.command is not None else _post
    number, problem = 0, ""
    for number in range(1, receiver.tries + 1):
        if number > 1:
            sleep(PAUSES[min(number, len(PAUSES) + 1) - 2])
        problem, again = send(content, receiver)
        if not (problem and again):
            break
    return Delivery(receiver.shown, alert, number, problem)


class _Stays(HTTPRedirectHandler):
    """Follows no redirect: an alert goes where the user said."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(content: bytes, receiver: Receiver) -> tuple[str, bool]:
    """Return the problem, "" for none, and whether it may pass.

    A socket's timeout is that of each read, which a server that drips its answer never meets: so a thread of its own
    waits for the answer, and is left behind when the time is up.
    """
    address = str(receiver.webhook)
    if address.startswith("$"):
        address = os.environ.get(address[1:], "")
        if not _is_address(address):
            return f"the environment variable {str(receiver.webhook)[1:]} holds no http(s) address", False
    answers: list[tuple[str, bool]] = []

    def ask() -> None:
        answers.append(_answer(address, content, receiver.timeout))

    thread = threading.Thread(target=ask, daemon=True, name="alert")
    thread.start()
    thread.join(receiver.timeout)
    return answers[0] if answers else (f"no answer within {receiver.timeout:g} seconds", True)


def _answer(address: str, content: bytes, timeout: float) -> tuple[str, bool]:
    headers = {"Content-Type": "application/json", "User-Agent": "scenario-gen"}
    try:
        with build_opener(_Stays).open(Request(address, content, headers, method="POST"), timeout=timeout):
            return "", False
    except HTTPError as error:
        with error:
            moved = ", a redirect, which is not followed" if 300 <= error.code < 400 else ""
            return f"answered {error.code}{moved}", error.code >= 500 or error.code in AGAIN
    except TimeoutError:
        return f"no answer within {timeout:g} seconds", True
    except (OSError, ValueError) as error:  # an address or a header that cannot be sent is a ValueError
        reason = getattr(error, "reason", error)
        what = reason if isinstance(reason, str) else getattr(reason, "strerror", None) or type(reason).__name__
        return f"cannot be reached: {printable(str(what))}", isinstance(error, OSError)
    except Exception as error:  # http.client has a tree of its own for answers that are no HTTP
        return f"answered no HTTP: {type(error).__name__}", True


def _run(content: bytes, receiver: Receiver) -> tuple[str, bool]:
    """Return the problem, "" for none, and whether it may pass.

    Input and output are files, not pipes: a child that outlives the program can hold no end that we wait for.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as written:
        given.write(content)
        given.seek(0)
        try:
            process = subprocess.Popen(
                receiver.command or [], stdin=given, stdout=written, stderr=written, start_new_session=True
            )
        except (OSError, ValueError) as error:  # a zero byte in an argument is a ValueError
            return f"cannot be started: {getattr(error, 'strerror', None) or error}", False
        try:
            code = process.wait(receiver.timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            return f"did not end within {receiver.timeout:g} seconds, and was ended", True
        except BaseException:
            _end(process)
            raise
        if code == 0:
            return "", False
        written.seek(0, os.SEEK_END)
        written.seek(max(written.tell() - 4 * MOST_SHOWN, 0))
        last = printable(" ".join(written.read().decode("utf-8", "replace").split()))[-MOST_SHOWN:]
        return f"ended with {code}{f': {last}' if last else ''}", True


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and what it started, which is its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, ProcessLookupError, PermissionError):  # no groups on this system, or it just ended
        process.kill()
    process.wait()


def _read(book: Path) -> dict[str, Mapping[str, str]]:
    try:
        states = json.loads(book.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _unreadable(book, str(error)) from error
    if not isinstance(states, dict) or not all(
        isinstance(told, dict) and all(isinstance(state, str) for state in told.values()) for told in states.values()
    ):
        raise _unreadable(book, "it is no table of states")
    return states


def _unreadable(book: Path, why: str) -> StoreError:
    return StoreError(
        f"{book}: what was told of the alerts cannot be read: {why}",
        expected="the JSON file that scenario-gen live wrote beside its log",
        fix="remove the file: states that are not fine are then told once more",
    )


def _is_address(text: str) -> bool:
    """Return whether text is an http(s) address with a host and nothing that could end a line of a request."""
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not close
        return False
