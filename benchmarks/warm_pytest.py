"""pytest in a process that has loaded what nearly every test loads: a run is a fork, and starts in half a second.

    python -m benchmarks.warm_pytest

Reads lines of JSON from its input: seconds allowed, a file for the output, and pytest's arguments. Answers each with a
line that holds the exit code, negative where a signal (-14: the time was up) ended the run. Nothing of scenario_gen or
of the tests is loaded before the fork.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

LOADED = ("numpy", "pandas", "scipy.signal", "scipy.special", "scipy.stats", "torch", "pytest")


def run(seconds: float, output: Path, arguments: list[str]) -> int:
    """Run pytest in a fork and return its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    import pytest

    signal.alarm(max(1, int(seconds)))
    with output.open("w", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        code = int(pytest.main(arguments))
        sys.stdout.flush()
    os._exit(code)


def main() -> None:
    """Answer lines until there are no more."""
    for name in LOADED:
        __import__(name)
    for line in sys.stdin:
        seconds, output, arguments = json.loads(line)
        print(run(seconds, Path(output), arguments), flush=True)


if __name__ == "__main__":
    main()
