"""Load on a server of loopback: clients that post, list and read for a while; nothing lost, no 5xx, a bounded queue.

    python -m benchmarks.serve_load --seconds 60 --clients 50

The server is a process of its own with two workers and a queue of 32. Every job that was accepted (202) must be listed
in the end; what the full queue or the rate refuses must be a 429.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter

import httpx

from benchmarks.serve_hostile import TINY


def client(address: str, until: float, statuses: Counter[int], waits: list[float], accepted: list[str]) -> None:
    """Ask until the time is over; note statuses, seconds and the jobs that were taken."""
    with httpx.Client(base_url=address, timeout=30, trust_env=False) as asked:
        while time.monotonic() < until:
            for method, path in (("POST", "/api/jobs"), ("GET", "/api/jobs?most=20"), ("GET", "/api/runs")):
                began = time.monotonic()
                answer = asked.request(method, path, json={"spec": TINY} if method == "POST" else None)
                waits.append(time.monotonic() - began)
                statuses[answer.status_code] += 1
                if answer.status_code == 202:
                    accepted.append(answer.json()["id"])


def measure(seconds: float, clients: int) -> dict[str, object]:
    """Return what was seen."""
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, "-m", "scenario_gen", "serve", "--root", root, "--port", "0", "--json"]
        server = subprocess.Popen(
            [*command, "--workers", "2", "--rate", "100000"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        with server:
            text = b""
            while server.stdout is not None and not text.endswith(b"}\n"):
                text += server.stdout.readline()
            address = json.loads(text)["address"]
            statuses: Counter[int] = Counter()
            waits: list[float] = []
            accepted: list[str] = []
            until = time.monotonic() + seconds
            given = (address, until, statuses, waits, accepted)
            threads = [threading.Thread(target=client, args=given) for _ in range(clients)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            listed = httpx.get(f"{address}/api/jobs?most=500", trust_env=False, timeout=30).json()
            server.terminate()
    waits.sort()
    return {
        "requests": len(waits),
        "statuses": dict(statuses),
        "accepted": len(accepted),
        "lost": len(set(accepted) - {job["id"] for job in listed}),
        "states": dict(Counter(job["state"] for job in listed)),
        "ms": {share: round(1000 * waits[int(float(share) * (len(waits) - 1))], 1) for share in ("0.5", "0.99", "1.0")},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=50)
    print(json.dumps(measure(**vars(parser.parse_args())), indent=1))
