"""Whether the tests catch what they are for: one line of a copy of the repository is made wrong at a time.

    python -m benchmarks.planted_bugs [--only NAME ...] [--jobs 1] [--timeout 300] [--table FILE]

The list is benchmarks/bug_list.py. The copy (without .git and .venv) is first shown to be what the tests import, by a
defect that raises at import, and the tests that are named are shown to pass on it unharmed. Then each defect is planted
by itself and only its own tests are run. Prints Markdown; ends with 1 where a defect is missed or does not apply.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

from benchmarks.bug_list import BUGS, Bug

ROOT = Path(__file__).parent.parent
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info", "runs")
SAYS = "planted: this copy is what is imported"
PROOF = Bug(
    "an import that raises",
    "__init__.py",
    "__version__ = VERSION",
    f'raise RuntimeError("{SAYS}")',
    ("tests/test_lazy.py",),
)
FAILED = re.compile(r"^(?:FAILED|ERROR) (?:tests/)?(\S+\.py(?:::\w+(?:\[.*?\])?)?)(?= - |$)", re.MULTILINE)

Verdict = Literal["caught", "missed", "timed out", "does not apply"]


@dataclass(frozen=True)
class Outcome:
    """What the tests made of one defect."""

    bug: Bug
    verdict: Verdict
    caught_by: str = ""  # the first test that failed
    seconds: float = 0.0  # from planting to verdict


def verdict_of(code: int, output: str) -> tuple[Verdict, str]:
    """Return the verdict of a run of pytest and the first test that failed.

    Raises:
        RuntimeError: pytest could not run the tests, which says nothing of the defect.
    """
    if code == -signal.SIGALRM:
        return "timed out", ""
    if code == 0:
        return "missed", ""
    first = FAILED.search(output)
    if code not in (1, 2) or first is None:
        raise RuntimeError(f"pytest ended with {code}:\n{output[-3000:]}")
    return "caught", first[1]


@contextmanager
def planted(bug: Bug, root: Path) -> Iterator[None]:
    """Make one line of the tree at ``root`` wrong, and right again at the end.

    Raises:
        LookupError: the text does not stand in the file exactly once.
    """
    path = root / bug.path
    sound, times = path.read_bytes(), path.stat()
    if (count := sound.decode().count(bug.stands)) != 1:
        raise LookupError(f"{bug.path} has {count} times: {bug.stands}")
    path.write_text(sound.decode().replace(bug.stands, bug.becomes), encoding="utf-8")
    try:
        yield
    finally:
        path.write_bytes(sound)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # so that bytecode of the wrong line is not reused


class Pytest:
    """pytest on a copy of the repository, in a process that is warm (:mod:`benchmarks.warm_pytest`)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        inherited = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.warm_pytest"],
            cwd=root,
            env={**inherited, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, tests: Sequence[str], timeout: float) -> tuple[int, str]:
        """Run tests up to the first failure; return the exit code, negative where a signal ended them, and output."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        output = self.root / "output.txt"
        arguments = ["-x", "-q", "-p", "no:cacheprovider", "--tb=short", *tests]
        print(json.dumps([timeout, str(output), arguments]), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline()), output.read_text(encoding="utf-8")

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def refuse_other_code(pytest: Pytest, timeout: float) -> None:
    """Stop unless a defect that raises at import is what the tests see."""
    with planted(PROOF, pytest.root):
        _, output = pytest.run(PROOF.tests, timeout)
    if SAYS not in output:
        sys.exit(
            f"the tests do not import the copy {pytest.root}, so nothing planted there can be caught:\n{output[-3000:]}"
        )


def refuse_broken_tests(pytest: Pytest, bugs: Sequence[Bug], timeout: float) -> None:
    """Stop unless the tests of all defects pass where nothing is planted."""
    tests = sorted({test for bug in bugs for test in bug.tests})
    print(f"unharmed: {len(tests)} test files", file=sys.stderr, flush=True)
    code, output = pytest.run(tests, timeout * len(tests))
    if code != 0:
        sys.exit(f"tests fail where no defect is planted, so their failures say nothing:\n{output[-3000:]}")


def tried(bug: Bug, pytest: Pytest, timeout: float) -> Outcome:
    """Plant a defect and run its tests."""
    began = time.monotonic()
    try:
        with planted(bug, pytest.root):
            verdict, caught_by = verdict_of(*pytest.run(bug.tests, timeout))
    except LookupError as error:
        return Outcome(bug, "does not apply", str(error))
    return Outcome(bug, verdict, caught_by, time.monotonic() - began)


def try_all(bugs: Sequence[Bug], copies: Sequence[Pytest], timeout: float) -> list[Outcome]:
    """Try defects, as many at a time as there are copies, and tell each outcome as it comes."""
    free: SimpleQueue[Pytest] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def attempt(place: int) -> Outcome:
        pytest = free.get()
        try:
            outcome = tried(bugs[place], pytest, timeout)
        finally:
            free.put(pytest)
        told = f"{place + 1}/{len(bugs)} {outcome.verdict}: {bugs[place].name}"
        print(f"{told} ({outcome.seconds:.0f} s) {outcome.caught_by}", file=sys.stderr, flush=True)
        return outcome

    with ThreadPoolExecutor(len(copies)) as pool:
        return list(pool.map(attempt, range(len(bugs))))


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as Markdown."""
    caught = sum(outcome.verdict == "caught" for outcome in outcomes)
    lines = [
        f"{caught} of {len(outcomes)} caught; {date.today()}, {platform.machine()}, {os.cpu_count()} cores.",
        "",
        "| room | defect | caught by | s |",
        "|---|---|---|---|",
    ]
    for outcome in sorted(outcomes, key=lambda outcome: outcome.bug.path):
        by = outcome.caught_by.replace("|", "\\|")
        said = f"`{by}`" if outcome.verdict == "caught" else f"**{outcome.verdict}** {by}".rstrip()
        lines.append(f"| {outcome.bug.room} | {outcome.bug.name} | {said} | {outcome.seconds:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Plant the defects and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="defects with this in their name or file")
    parser.add_argument("--jobs", type=int, default=1, help="defects tried at the same time, each on its own copy")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for the tests of one defect")
    parser.add_argument("--table", type=Path, help="file for the Markdown that is printed")
    options = parser.parse_args()
    bugs = [bug for bug in BUGS if not options.only or any(part in f"{bug.name} {bug.path}" for part in options.only)]
    if not bugs:
        parser.error(f"no defect is called {' or '.join(options.only)}")
    with tempfile.TemporaryDirectory(prefix="planted-bugs-") as folder:
        roots = [Path(folder) / str(job) for job in range(max(1, min(options.jobs, len(bugs))))]
        for root in roots:
            shutil.copytree(ROOT, root, ignore=LEFT_OUT)
        copies = [Pytest(root) for root in roots]
        refuse_other_code(copies[0], options.timeout)
        refuse_broken_tests(copies[0], bugs, options.timeout)
        outcomes = try_all(bugs, copies, options.timeout)
        for copy in copies:
            copy.close()
    told = table(outcomes)
    print(told)
    if options.table:
        options.table.write_text(told + "\n", encoding="utf-8")
    sys.exit(0 if all(outcome.verdict == "caught" for outcome in outcomes) else 1)


if __name__ == "__main__":
    main()
