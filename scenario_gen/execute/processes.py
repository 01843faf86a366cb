"""Worker processes of this machine: units are handed out one by one, and a worker that dies costs its unit alone.

Written here and not borrowed. ``concurrent.futures.ProcessPoolExecutor``, and loky with it, gives every unit up when
one worker dies, and cannot say over which; forks, or imports the user's script again in each worker; and shares
semaphores that a killed worker leaves behind. A worker here is a fresh interpreter with two pipes.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import Any, TypeVar, cast

import cloudpickle

from scenario_gen.errors import ExecuteError
from scenario_gen.execute.queue import MOST_LOSSES, Standing, cores
from scenario_gen.execute.worker import Reply, Work, raised, receive, send

Unit = TypeVar("Unit")
Answer = TypeVar("Answer")

# what decides how many threads libraries start, each read when it is loaded
THREADS = tuple(
    f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "NUMEXPR", "NUMBA", "RAYON")
)


class _LostError(Exception):
    """A worker ended without an answer."""


class _Worker:
    """One process; used by one thread at a time."""

    def __init__(self, threads: int) -> None:
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        limits = {name: str(threads) for name in THREADS if name not in os.environ}
        self.lost = False
        self._work: object = None  # that it has opened
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from scenario_gen.execute.worker import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **limits, "PYTHONPATH": paths},
            start_new_session=True,  # Ctrl-C in a terminal reaches the process that asks, and that alone
        )

    def open(self, round_: _Round) -> None:
        """Send the work, unless it has it.

        Raises:
            _LostError: it ended meanwhile.
            BaseException: the work cannot be opened.
        """
        if self._work is round_.work:
            return
        self._work = None
        reply = self._ask(Work(round_.content))
        if reply.kind == "error":
            raise raised(reply)
        self._work = round_.work

    def answer(self, unit: object) -> Reply:
        """Return what the worker says to a unit.

        Raises:
            _LostError: it ended meanwhile.
        """
        return self._ask(unit)

    def _ask(self, message: object) -> Reply:
        given, answers = self._process.stdin, self._process.stdout
        assert given is not None and answers is not None
        try:
            send(cast("Any", given), cloudpickle.dumps(message))
            reply: Reply = pickle.loads(receive(cast("Any", answers)))
        except (OSError, EOFError):
            self.lost = True
            raise _LostError(self.end()) from None
        return reply

    def kill(self) -> None:
        """End the process whatever it does; whoever waits for its answer hears that it is lost."""
        self._process.kill()

    def end(self, patience: float = 5) -> str:
        """Let the process end, see that it does, and say how it did."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()  # at which it leaves
        try:
            code = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process.stdout.close()
        return _how(code)


def _how(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"it left with exit code {code}"
    name = signal.Signals(-code).name if -code in {*signal.Signals} else str(-code)
    memory = ", as where memory runs out" if name == "SIGKILL" else ""
    return f"it was ended by {name}{memory}"


class _Round:
    """The units of one piece of work as the threads see them that drive a worker each, and what was answered."""

    def __init__(self, work: object, content: bytes, units: Sequence[object], ahead: int) -> None:
        self.work, self.content, self.units = work, content, units
        self._standing = Standing(
            units,
            expected="memory for one block on each worker at once, and code that does not end its process",
            fix="give the same command again, which goes on with what is missing: with fewer workers (--on "
            "processes:1), with a lower paths.block, or with --on local to see what ends the process",
        )
        self._ahead = ahead  # units at most that are handed out or answered, and not yet asked for
        self._answers: deque[tuple[int, bytes]] = deque()
        self._unopened = 0  # workers lost one after the other before any had opened the work
        self._ended = False
        self._news = Condition()

    # --- what the threads that drive a worker each call ---

    def take(self) -> int | None:
        """Return the place of the next unit, once there is room for its answer; None when there is none."""
        with self._news:
            self._news.wait_for(lambda: self._ended or not self._standing.waiting or self._has_room())
            return None if self._ended or not self._standing.waiting else self._standing.take()

    def _has_room(self) -> bool:
        return len(self._standing) + len(self._answers) < self._ahead

    def opened(self) -> None:
        """Note that a worker has opened the work."""
        self._unopened = 0

    def lost(self, place: int, how: str, *, opening: bool) -> None:
        """Note that a worker was lost; its unit is for another."""
        with self._news:
            if opening:
                self._unopened += 1
                self._standing.put_back(place)
                if self._unopened >= MOST_LOSSES:
                    self._standing.failed(-1, _cannot_open(how))
            else:
                self._standing.lost(place, how)
            self._news.notify_all()

    def take_in(self, place: int, reply: Reply) -> None:
        """Note what a worker said to a unit."""
        with self._news:
            if reply.kind == "error":
                self._standing.failed(place, raised(reply))
            else:
                self._standing.done(place)
                self._answers.append((place, reply.content))
            self._news.notify_all()

    def failed(self, error: BaseException) -> None:
        """Note that the work cannot be opened at all."""
        with self._news:
            self._standing.failed(-1, error)
            self._news.notify_all()

    # --- what the process that asks calls ---

    def answers(self) -> Iterator[tuple[int, bytes]]:
        """Yield each unit's place and answer as they come.

        Raises:
            BaseException: of the work; or units were given up.
        """
        while True:
            with self._news:
                self._news.wait_for(lambda: self._answers or self._standing.over)
                if not self._answers:
                    break
                place, content = self._answers.popleft()
                self._news.notify_all()
            yield place, content
        self._standing.refuse()

    @property
    def ended(self) -> bool:
        """Whether nothing is handed out any more."""
        return self._ended

    def end(self) -> None:
        """Hand nothing out any more."""
        with self._news:
            self._ended = True
            self._news.notify_all()


def _cannot_open(how: str) -> ExecuteError:
    return ExecuteError(
        f"{MOST_LOSSES} workers ended, one after the other, before they had opened their work: {how}",
        expected="memory for the models and the histories of the run in each worker",
        fix="use fewer workers, or --on local",
    )


class Processes:
    """Worker processes of this machine. They start when work comes, and stay for more until the end of the block."""

    def __init__(self, workers: int, *, threads: int | None = None) -> None:
        """Take the number of processes, and of threads in each: as many as make the machine's cores together."""
        self._workers = workers
        self._threads = threads or max(1, cores() // workers)
        self._idle: list[_Worker] = []
        self._busy: list[_Worker] = []
        self._running: list[tuple[_Round, list[Thread]]] = []

    @property
    def workers(self) -> int:
        """How many units are done side by side."""
        return self._workers

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for round_, drivers in [*self._running]:  # what an error left, which keeps whoever asked for answers
            self._stop(round_, drivers)
        for worker in self._idle:
            worker.kill()
        for worker in self._idle:
            worker.end()
        self._idle.clear()

    def answers(self, work: Callable[[Unit], Answer], units: Sequence[Unit]) -> Iterator[tuple[int, Answer]]:
        """Yield each unit's place and answer as they are finished; as :meth:`scenario_gen.execute.queue.Queue.answers`.

        Of several units that raise, the error of the first is raised, as one process would; the units before it are
        done first. Whatever ends this early ends the workers that are at work.
        """
        side_by_side = min(self._workers, len(units))
        if not side_by_side:
            return
        round_ = _Round(work, cloudpickle.dumps(work), units, ahead=2 * side_by_side)
        drivers = [Thread(target=self._drive, args=(round_,), daemon=True) for _ in range(side_by_side)]
        self._running.append((round_, drivers))
        try:
            for driver in drivers:
                driver.start()
            for place, content in round_.answers():
                yield place, pickle.loads(content)
        finally:
            self._stop(round_, drivers)

    def _stop(self, round_: _Round, drivers: list[Thread]) -> None:
        round_.end()
        for worker in [*self._busy]:
            worker.kill()
        for driver in drivers:
            if driver.ident is not None:  # it was started
                driver.join()
        if (round_, drivers) in self._running:
            self._running.remove((round_, drivers))

    def _drive(self, round_: _Round) -> None:
        """Let one worker, and those that follow where it is lost, answer units until none waits."""
        try:
            while (place := round_.take()) is not None:
                worker = self._idle.pop() if self._idle else _Worker(self._threads)
                self._busy.append(worker)
                try:
                    self._hand_over(worker, place, round_)
                finally:
                    self._busy.remove(worker)
                    if not worker.lost:
                        self._idle.append(worker)
        except BaseException as error:  # whatever it is, whoever asks must hear of it
            round_.failed(error)

    @staticmethod
    def _hand_over(worker: _Worker, place: int, round_: _Round) -> None:
        opening = True
        try:
            if not round_.ended:
                worker.open(round_)
                round_.opened()
                opening = False
            if not round_.ended:
                round_.take_in(place, worker.answer(round_.units[place]))
        except _LostError as lost:
            round_.lost(place, str(lost), opening=opening)
