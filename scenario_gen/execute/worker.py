"""A worker process: opens the work that it is sent once, and answers one unit after the other.

Owns both ends of what goes through its pipes: frames of a length and so many bytes. Knows nothing of what a unit is.
"""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, BinaryIO, Literal

import cloudpickle

from scenario_gen.errors import ScenarioError

LENGTH = 8  # bytes before each frame
END = os._exit  # a strategy's code may have it replaced while it runs


@dataclass(frozen=True)
class Work:
    """What all units of one kind are done with, pickled."""

    content: bytes


@dataclass(frozen=True)
class Reply:
    """What a worker says to the work it was sent, or to a unit."""

    kind: Literal["opened", "answer", "error"]
    content: bytes = b""  # the answer, or the exception, pickled
    traceback: str = ""  # of an error


def send(stream: BinaryIO, content: bytes) -> None:
    """Write one frame.

    Raises:
        OSError: nobody reads any more.
    """
    stream.write(len(content).to_bytes(LENGTH, "big"))
    stream.write(content)
    stream.flush()


def receive(stream: BinaryIO) -> bytes:
    """Read one frame.

    Raises:
        EOFError: the other end is gone.
    """
    head = stream.read(LENGTH)
    size = int.from_bytes(head, "big") if len(head) == LENGTH else -1
    content = stream.read(size) if size >= 0 else b""
    if size < 0 or len(content) < size:
        raise EOFError
    return content


def main() -> None:
    """Answer what comes on standard input until that ends; whoever prints does so on standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever is interrupted ends this process too
    given, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    frames = SimpleQueue[bytes]()
    Thread(target=_listen, args=(given, frames), daemon=True).start()
    work: Callable[[Any], Any] | None = None
    while True:
        reply, work = _answer(frames.get(), work)
        send(answers, pickle.dumps(reply))


def _listen(given: BinaryIO, frames: SimpleQueue[bytes]) -> None:
    """Pass frames on, and end the process at once when whoever sent them is gone: its folder may be another's soon."""
    try:
        while True:
            frames.put(receive(given))
    except (EOFError, OSError):
        END(0)


def _answer(frame: bytes, work: Callable[[Any], Any] | None) -> tuple[Reply, Callable[[Any], Any] | None]:
    try:
        sent = pickle.loads(frame)
        if isinstance(sent, Work):
            work = None  # the one before is let go first: two models need not fit
            return Reply("opened"), pickle.loads(sent.content)
        if work is None:
            raise RuntimeError("a unit came before its work")
        return Reply("answer", cloudpickle.dumps(work(sent))), work
    except (Exception, SystemExit) as error:
        return refusal(error), work


def refusal(error: BaseException) -> Reply:
    """Return an exception as it can be raised elsewhere; one that cannot be pickled there and back is told in words."""
    text = "".join(traceback.format_exception(error))
    try:
        content = cloudpickle.dumps(error)
        pickle.loads(content)
    except Exception:
        content = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return Reply("error", content, text)


class RaisedThereError(Exception):
    """Where an exception was raised, in the worker's own words: the cause of what is raised here."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


def raised(reply: Reply) -> BaseException:
    """Return the exception of a worker; a user's mistake as it is, another with where it was raised as its cause."""
    try:
        error: BaseException = pickle.loads(reply.content)
    except Exception:  # of a class that is known there alone
        error = RuntimeError("a worker raised what cannot be raised here")
    if not isinstance(error, ScenarioError):
        error.__cause__ = RaisedThereError(reply.traceback)
    return error
