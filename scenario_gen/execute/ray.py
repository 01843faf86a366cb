"""Units of work on a Ray cluster: who works there, and what is done when workers, nodes or answers are lost.

Knows neither what a unit is nor which cluster it is (:mod:`scenario_gen.execute.cluster`). The work is pickled once and
put into the cluster's object store once; each worker, an actor that keeps its cores (and share of a GPU) while the
queue is open, opens it once. Every worker has one unit at a time: that bounds what is in flight, and a lost worker says
of one unit alone that it may have been the reason.
"""

from __future__ import annotations

import os
import pickle
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import cloudpickle

from scenario_gen.errors import ExecuteError
from scenario_gen.execute.processes import THREADS
from scenario_gen.execute.queue import MOST_LOSSES, Answer, Standing, Unit
from scenario_gen.execute.worker import Reply, raised
from scenario_gen.version import VERSION


@dataclass(frozen=True)
class Terms:
    """How many workers are asked for, and what each is given."""

    workers: int | None = None  # as many as there is room for
    cpus: int = 1  # cores of each, and threads
    gpus: float = 0  # of each; 0.5: two share one
    wait: float = 60  # seconds at most with no worker at all


def versions() -> dict[str, str]:
    """Return what must be the same wherever units are done, so that their numbers are.

    Python without its patch and torch without the name of its build: neither changes a pickle or an algorithm, and the
    machine that asks often has no GPU where workers have one.
    """
    own = {"scenario-gen": VERSION, "Python": ".".join(platform.python_version_tuple()[:2])}
    for package in ("torch", "numpy", "pandas"):
        try:
            own[package] = version(package).partition("+")[0]
        except PackageNotFoundError:
            own[package] = "none"
    return own


def first_line(error: BaseException) -> str:
    """Return what an exception of Ray says first: what follows is for its makers."""
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__


# --- A worker ---


def worker_class() -> type:
    """Return the class of a worker, which travels by value: one that has another scenario-gen can still say so."""

    class Worker:
        """A process of the cluster that keeps the work it has opened last."""

        def __init__(self, cpus: int) -> None:

            self.cpus = cpus
            self.opened: tuple[str, Any] = ("", None)
            os.environ.update(dict.fromkeys(THREADS, str(cpus)))  # a copy that travels with this class

        def introduce(self) -> tuple[str, str, dict[str, str] | str]:
            """Return this worker's node, its address, and its versions, or why there are none."""
            import ray

            node, address = ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()
            try:
                from scenario_gen.execute.ray import versions as own
            except ImportError as error:
                return node, address, str(error)
            return node, address, own()

        def do(self, key: str, held: list[Any], unit: Any) -> Reply:
            """Return the answer on a unit, or the exception with its traceback in words."""
            import cloudpickle

            from scenario_gen.execute.ray import opened
            from scenario_gen.execute.worker import Reply as Said, refusal

            try:
                if self.opened[0] != key:
                    self.opened = ("", None)  # room for the next
                    self.opened = (key, opened(held[0], self.cpus))
                # pickled here: Ray's own way would lend arrays from the object store, which nobody may write to
                return Said("answer", cloudpickle.dumps(self.opened[1](unit)))
            except (Exception, SystemExit) as error:
                return refusal(error)

    return Worker


def opened(held: Any, cpus: int) -> Callable[[Any], Any]:
    """Return the work that the object store holds, in a process whose libraries have no more threads than cores."""
    import ray
    from threadpoolctl import threadpool_limits

    try:
        work: Callable[[Any], Any] = pickle.loads(ray.get(held))
    except ImportError as error:
        raise ExecuteError(
            f"a worker at {ray.util.get_node_ip_address()} cannot open the work: {error}",
            expected="every module that strategies import, on every node",
            fix="install it there, or hand it on: ray job submit --working-dir . -- scenario-gen run ...",
        ) from error
    if "torch" in sys.modules:  # else it reads the environment once it is loaded
        sys.modules["torch"].set_num_threads(cpus)
    threadpool_limits(cpus)
    return work


# --- The queue ---


class Round(Standing):
    """The units of one call, and the workers that have them."""

    def __init__(self, key: str, held: Any, units: Sequence[object]) -> None:
        super().__init__(
            units,
            expected="memory for one block in each worker, and code that does not end its process",
            fix="give the same command again, which goes on with what is missing: with fewer workers on a node "
            "(execute: {cpus: 2}), or with --on local to see what ends the process",
        )
        self.key, self.held = key, held  # of the work, and where the object store holds it
        self.with_worker: dict[Any, tuple[Any, int]] = {}  # by what Ray promises: worker, place


class RayWorkers:
    """Workers on a Ray cluster, hired when there is work for them."""

    def __init__(self, ray: Any, terms: Terms, *, fixed: bool) -> None:
        self._ray = ray
        self._terms = terms
        self._fixed = fixed  # no node will come
        self._idle: list[Any] = []
        self._node_of: dict[Any, str] = {}  # of each worker that was taken
        self._hired: dict[Any, Any] = {}  # not heard of yet, by the promise to introduce themselves
        self._needs = {"CPU": float(terms.cpus)} | ({"GPU": terms.gpus} if terms.gpus else {})
        self._class = ray.remote(
            num_cpus=terms.cpus, num_gpus=terms.gpus, max_restarts=0, scheduling_strategy="SPREAD"
        )(worker_class())
        self._failed_starts = 0
        self._sent: tuple[object, Any] | None = None  # the work of the last call, and where the object store holds it

    @property
    def workers(self) -> int:
        """As many as the spec says, else as many as the cluster has room for now."""
        if self._terms.workers:
            return self._terms.workers
        fitting = (min(int(has.get(name, 0) / need) for name, need in self._needs.items()) for has in self._nodes())
        return max(1, sum(fitting))

    def answers(self, work: Callable[[Unit], Answer], units: Sequence[Unit]) -> Iterator[tuple[int, Answer]]:
        """Yield each unit's place and answer as they are finished; as :meth:`scenario_gen.execute.queue.Queue.answers`.

        Of several units that raise, the error of the first is raised, as one process would; the units before it are
        done first. Whatever ends this early ends the workers that are at work.

        Raises:
            ExecuteError: also where no worker comes within the seconds that the terms allow.
        """
        if self._sent is None or self._sent[0] is not work:
            self._sent = (work, self._ray.put(cloudpickle.dumps(work)))
        held = self._sent[1]
        call = Round(held.hex(), held, units)
        most = min(self.workers, len(units))
        since = time.monotonic()
        try:
            while not call.over:
                self._hire(min(most - len(call.with_worker), len(call.waiting)))
                self._assign(call)
                ready, _ = self._ray.wait([*call.with_worker, *self._hired], num_returns=1, timeout=1.0)
                since = time.monotonic() if ready or call.with_worker else since
                if time.monotonic() - since > self._terms.wait:
                    raise self._nobody()
                for promise in ready:
                    if promise in self._hired:
                        self._welcome(promise)
                    elif (answer := self._collected(call, promise)) is not None:
                        yield answer
        finally:
            for worker, _ in call.with_worker.values():
                self._ray.kill(worker)
        call.refuse()

    def dismiss(self) -> None:
        """Let all workers go."""
        for worker in (*self._idle, *self._hired.values()):
            self._ray.kill(worker)
        self._idle, self._hired, self._sent = [], {}, None

    def refuse_what_is_not_there(self) -> None:
        """Refuse needs that no node of a cluster to which none will be added can meet."""
        if self._fixed and not self._fits():
            raise self._nobody()

    def _hire(self, wanted: int) -> None:
        """Start workers until so many are idle or on their way."""
        for _ in range(wanted - len(self._idle) - len(self._hired)):
            worker = self._class.remote(self._terms.cpus)
            self._hired[worker.introduce.remote()] = worker

    def _assign(self, call: Round) -> None:
        while self._idle and call.waiting:
            worker, place = self._idle.pop(), call.take()
            call.with_worker[worker.do.remote(call.key, [call.held], call.units[place])] = (worker, place)

    def _welcome(self, promise: Any) -> None:
        """Take a worker that has introduced itself.

        Raises:
            ExecuteError: it has another version, or workers are lost while they start, one after the other.
        """
        worker = self._hired.pop(promise)
        try:
            node, address, theirs = self._ray.get(promise)
        except self._ray.exceptions.RayError as error:
            self._failed_starts += 1
            if self._failed_starts < MOST_LOSSES:
                return
            raise ExecuteError(
                f"{self._failed_starts} workers were lost while they started: {first_line(error)}",
                expected="nodes on which a Python process can start",
                fix="look at the cluster's logs (ray logs) and its memory",
            ) from error
        self._failed_starts = 0
        differing = _differing(theirs)
        if differing:
            self._ray.kill(worker)
            raise ExecuteError(
                f"a worker of the Ray cluster, at {address}, is not the same as this process: {differing}",
                expected="the same versions on every node, since other versions give other numbers",
                fix="install these versions on every node, or start the cluster with the environment of this process",
            )
        self._node_of[worker] = node
        self._idle.append(worker)

    def _collected(self, call: Round, promise: Any) -> tuple[int, Any] | None:
        """Return a unit's place and its answer, None where there is none: it raised, or its worker was lost."""
        worker, place = call.with_worker.pop(promise)
        try:
            reply: Reply = self._ray.get(promise)
        except self._ray.exceptions.RayTaskError as error:  # what Ray itself could not do there
            self._idle.append(worker)
            call.failed(place, error)
            return None
        except self._ray.exceptions.RayError as error:
            self._ray.kill(worker)  # a node that cannot be heard may come back
            call.lost(place, first_line(error))
            alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
            self._idle = [worker for worker in self._idle if self._node_of[worker] in alive]  # for no unit to be lost
            return None
        self._idle.append(worker)
        if reply.kind == "answer":
            call.done(place)
            return place, pickle.loads(reply.content)
        call.failed(place, raised(reply))
        return None

    def _nodes(self) -> list[Mapping[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _fits(self) -> bool:
        return any(all(has.get(name, 0) >= need for name, need in self._needs.items()) for has in self._nodes())

    def _nobody(self) -> ExecuteError:
        """Return that there is no worker, and why."""
        needs = " and ".join(f"{need:g} {name}" for name, need in self._needs.items())
        has = "; ".join(
            ", ".join(f"{node.get(name, 0):g} {name}" for name in ("CPU", "GPU")) for node in self._nodes()[:5]
        )
        if self._fits():
            return ExecuteError(
                f"the Ray cluster gave no worker within {self._terms.wait:g} seconds: others hold its cores",
                expected=f"{needs} that are free",
                fix="wait for them (ray status says who holds what), or let it take longer: execute: {wait: 600}",
            )
        return ExecuteError(
            f"no node of the Ray cluster has {needs}, which a worker needs; its nodes have: {has or 'no node is left'}",
            expected="a node with as much; Ray would wait for it for ever",
            fix="ask for less (execute: {cpus: ..., gpus: ...}), add such a node, or let it come: execute: {wait: 600}",
        )


def _differing(theirs: Mapping[str, str] | str) -> str:
    """Return in words what a worker has otherwise, nothing where all is the same."""
    if isinstance(theirs, str):
        return f"scenario-gen cannot be imported there ({theirs})"
    return ", ".join(
        f"{name} {theirs.get(name, 'none')} there, {own} here"
        for name, own in versions().items()
        if theirs.get(name) != own
    )
