"""The list of defects fits the code that it is to harm, and its runner tells caught from missed. None is run here."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.bug_list import BUGS, Bug
from benchmarks.planted_bugs import PROOF, Outcome, planted, table, verdict_of

ROOT = Path(__file__).parent.parent
SHORT = """tests/stats/test_ranks.py F
=========================== short test summary info ============================
FAILED tests/stats/test_ranks.py::test_a_pit_lies_in_its_cells[a - b] - assert [1] == [2]
1 failed in 1.19s
"""


@pytest.mark.parametrize("bug", [*BUGS, PROOF], ids=lambda bug: bug.name)
def test_each_defect_still_applies_and_is_python_that_says_something_else(bug: Bug):
    text = (ROOT / bug.path).read_text(encoding="utf-8")
    assert text.count(bug.stands) == 1, f"the text must stand once in {bug.path}: {bug.stands}"
    assert bug.stands != bug.becomes
    assert "\n" not in bug.stands + bug.becomes  # one line
    ast.parse(text.replace(bug.stands, bug.becomes))


@pytest.mark.parametrize("bug", [*BUGS, PROOF], ids=lambda bug: bug.name)
def test_each_defect_names_tests_that_are_there(bug: Bug):
    assert bug.tests
    for test in bug.tests:
        assert re.search(r"^def test_", (ROOT / test).read_text(encoding="utf-8"), re.MULTILINE), test


def test_no_defect_stands_twice():
    for called in ("name", "becomes"):
        counts = Counter((bug.path, getattr(bug, called)) for bug in BUGS)
        assert [place for place, count in counts.items() if count > 1] == []


def test_a_planted_defect_is_gone_afterwards(tmp_path: Path):
    file = tmp_path / "scenario_gen" / "room" / "sum.py"
    file.parent.mkdir(parents=True)
    file.write_text("total = a + b\n", encoding="utf-8")
    before = file.stat().st_mtime_ns
    bug = Bug("a sum is a difference", "room/sum.py", "a + b", "a - b", ("tests/test_house.py",))
    with pytest.raises(RuntimeError, match="inside"), planted(bug, tmp_path):
        assert file.read_text(encoding="utf-8") == "total = a - b\n"
        raise RuntimeError("inside")
    assert file.read_text(encoding="utf-8") == "total = a + b\n"
    assert file.stat().st_mtime_ns == before
    file.write_text("total = a + b + a + b\n", encoding="utf-8")
    with pytest.raises(LookupError, match=re.escape("2 times: a + b")), planted(bug, tmp_path):
        pass


def test_a_run_of_pytest_is_caught_missed_or_no_verdict_at_all():
    assert verdict_of(0, "3 passed in 0.1s") == ("missed", "")
    assert verdict_of(-14, "") == ("timed out", "")
    assert verdict_of(1, SHORT) == ("caught", "stats/test_ranks.py::test_a_pit_lies_in_its_cells[a - b]")
    collected = "ERROR tests/test_lazy.py - RuntimeError: planted\n1 error in 0.2s"
    assert verdict_of(2, collected) == ("caught", "test_lazy.py")
    for code, output in ((4, "ERROR: file or directory not found: tests/no.py"), (5, "no tests ran"), (1, "")):
        with pytest.raises(RuntimeError, match=f"pytest ended with {code}"):
            verdict_of(code, output)


def test_the_table_shows_what_was_missed():
    bug = Bug("a sum is a difference", "room/sum.py", "a + b", "a - b", ("tests/test_house.py",))
    text = table([Outcome(bug, "caught", "room/test_sum.py::test_sums[1|2]", 3.4), Outcome(bug, "missed", "", 2.0)])
    assert text.startswith("1 of 2 caught; ")
    assert text.splitlines()[-2:] == [
        "| room | a sum is a difference | `room/test_sum.py::test_sums[1\\|2]` | 3 |",
        "| room | a sum is a difference | **missed** | 2 |",
    ]
