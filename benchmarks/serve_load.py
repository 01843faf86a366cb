"""Load and faults on a server of loopback: nothing lost, no 5xx, a bounded queue, and the same bits after every kill.

    python -m benchmarks.serve_load --seconds 60 --clients 50
    python -m benchmarks.serve_load --kill-jobs 3 --kill-server

The server is a process of its own with two workers. Clients post, list and read; every job that was accepted (202) must
be listed in the end, and what the full queue or the rate refuses must be a 429. With ``--kill-jobs`` processes of
running jobs are killed (-9) under the load, each once it has a whole block; with ``--kill-server`` the server is, at
half the time, and begins again on the same root and port. When all jobs have ended, the blocks and tables of each are
held against those of a run of the same spec that was made before the load.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.serve_hostile import TINY

SPEC = TINY.replace("count: 4", "count: 24")  # twelve blocks, so that a kill falls between two
TABLES = ("metrics.parquet", "candles.parquet")
PATIENCE = 300.0  # seconds for one run, and for the server to begin


@dataclass
class Seen:
    """What the clients saw, all together."""

    until: float
    statuses: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)  # jobs in the queue, whenever somebody looked
    killed: list[str] = field(default_factory=list)  # jobs whose process was


class Served:
    """A server in a process of its own, which can be killed and begun again on its port."""

    def __init__(self, root: Path, queue: int) -> None:
        self.root, self.queue, self.port = root, queue, 0
        self.begin()

    def begin(self) -> None:
        """Start it, and wait until it says where it listens."""
        command = [sys.executable, "-m", "scenario_gen", "serve", "--root", str(self.root), "--json"]
        options = ["--port", str(self.port), "--workers", "2", "--rate", "100000", "--queue", str(self.queue)]
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout is not None
        text = b""
        while not text.endswith(b"}\n"):
            line = self.process.stdout.readline()
            assert line, "the server ended"
            text += line
        self.address = json.loads(text)["address"]
        self.port = int(self.address.rpartition(":")[2])

    def end(self, number: signal.Signals) -> None:
        """End it by a signal."""
        self.process.send_signal(number)
        self.process.wait()

    def jobs(self) -> list[dict[str, str]]:
        """Return its jobs."""
        answer = httpx.get(f"{self.address}/api/jobs?most=500", trust_env=False, timeout=30)
        listed: list[dict[str, str]] = answer.json()
        return listed

    def settle(self, seconds: float) -> list[dict[str, str]]:
        """Return its jobs once none waits or runs."""
        until = time.monotonic() + seconds
        while any(job["state"] in ("queued", "running") for job in self.jobs()):
            assert time.monotonic() < until, "jobs did not end"
            time.sleep(1)
        return self.jobs()


def client(address: str, seen: Seen) -> None:
    """Ask until the time is over; note statuses, seconds and the jobs that were taken."""
    with httpx.Client(base_url=address, timeout=30, trust_env=False) as asked:
        while time.monotonic() < seen.until:
            for method, path in (("POST", "/api/jobs"), ("GET", "/api/jobs?state=queued"), ("GET", "/api/runs")):
                began = time.monotonic()
                try:
                    answer = asked.request(method, path, json={"spec": SPEC} if method == "POST" else None)
                except httpx.TransportError:  # while it is down
                    seen.statuses["no answer"] += 1
                    time.sleep(0.2)
                    continue
                seen.waits.append(time.monotonic() - began)
                seen.statuses[str(answer.status_code)] += 1
                if answer.status_code == 202:
                    seen.accepted.append(answer.json()["id"])
                elif "queued" in path:
                    seen.waiting.append(len(answer.json()))


def at_work(served: Served) -> list[tuple[int, Path]]:
    """Return the processes of jobs whose run is not finished, and their folders; of Linux alone."""
    found = []
    for children in Path(f"/proc/{served.process.pid}/task").glob("*/children"):
        for number in children.read_text().split():
            with suppress(OSError):
                words = Path(f"/proc/{number}/cmdline").read_bytes().decode().split("\0")
                if "--folder" in words:
                    found.append((int(number), Path(words[words.index("--folder") + 1])))
    return [(number, folder) for number, folder in found if not (folder / "run.json").exists()]


def kill_jobs(served: Served, seen: Seen, count: int) -> None:
    """Kill the processes of ``count`` jobs, spread over the time, each when it has a whole block and is not done.

    On a machine that is too slow for a block in that time it goes on while the queue is worked off.
    """
    began, seconds = time.monotonic(), seen.until - time.monotonic()
    while len(seen.killed) < count and (time.monotonic() < seen.until or at_work(served)):
        if time.monotonic() - began < seconds * len(seen.killed) / count:
            time.sleep(0.1)
            continue
        for number, folder in at_work(served):
            if folder.name not in seen.killed and any(folder.glob("blocks/*/*/done.json")):
                with suppress(ProcessLookupError):  # it ended by itself
                    os.kill(number, signal.SIGKILL)
                    seen.killed.append(folder.name)
                break
        time.sleep(0.02)


def bits(folder: Path) -> dict[str, str]:
    """Return the hashes of a run's blocks, as it kept them, and of its tables."""
    found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in TABLES}
    for done in sorted(folder.glob("blocks/*/*/done.json")):
        kept = json.loads(done.read_text(encoding="utf-8"))["files"]
        found |= {f"{done.parent.name}/{name}": sha256 for name, sha256 in kept.items()}
    return found


def loaded(served: Served, seen: Seen, clients: int, kills: int, *, kill_server: bool) -> None:
    """Run the clients and the faults until the time is over."""
    began = time.monotonic()
    threads = [threading.Thread(target=client, args=(served.address, seen)) for _ in range(clients)]
    if kills:
        threads.append(threading.Thread(target=kill_jobs, args=(served, seen, kills)))
    for thread in threads:
        thread.start()
    if kill_server:
        time.sleep((seen.until - began) / 2)
        served.end(signal.SIGKILL)
        served.begin()
    for thread in threads:
        thread.join()


def measure(seconds: float, clients: int, queue: int, kill_jobs: int, *, kill_server: bool) -> dict[str, object]:
    """Return what was seen."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        root = Path(name).resolve()
        served = Served(root, queue)
        httpx.post(f"{served.address}/api/jobs", json={"spec": SPEC}, trust_env=False).raise_for_status()
        (first,) = served.settle(PATIENCE)
        undisturbed = bits(root / first["folder"])
        seen = Seen(time.monotonic() + seconds)
        loaded(served, seen, clients, kill_jobs, kill_server=kill_server)
        listed = served.settle(PATIENCE * (queue + 2) / 4)
        served.end(signal.SIGTERM)
        done = [job["folder"] for job in listed if job["state"] == "done"]
        other = [folder for folder in done if bits(root / folder) != undisturbed]
    waits = sorted(seen.waits)
    return {
        "requests": len(waits),
        "statuses": dict(seen.statuses),
        "accepted": len(seen.accepted),
        "lost": len(set(seen.accepted) - {job["id"] for job in listed}),
        "most_waiting": max(seen.waiting),
        "states": dict(Counter(job["state"] for job in listed)),
        "ms": {share: round(1000 * waits[int(float(share) * (len(waits) - 1))], 1) for share in ("0.5", "0.99", "1.0")},
        "jobs_killed": len(seen.killed),
        "killed_and_done": len(set(seen.killed) & set(done)),
        "server_killed": kill_server,
        "hashes": len(undisturbed),
        "other_bits": other,
        "machine_load": [round(each, 1) for each in os.getloadavg()],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--queue", type=int, default=32)
    parser.add_argument("--kill-jobs", type=int, default=0)
    parser.add_argument("--kill-server", action="store_true")
    print(json.dumps(measure(**vars(parser.parse_args())), indent=1))
