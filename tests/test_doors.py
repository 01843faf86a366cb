"""A short form of ``benchmarks/fuzz_doors.py``: some damaged inputs at each door, the same ones every time."""

import io
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fuzz_doors
from benchmarks.fuzz_doors import DOORS, fuzz, knock
from scenario_gen.errors import DataError


@pytest.mark.parametrize(
    ("door", "inputs"), [("specs", 40), ("configs", 40), ("histories", 25), ("path tables", 25), ("checkpoints", 5)]
)
def test_what_is_damaged_is_refused_in_words_or_is_right(door: str, inputs: int) -> None:
    tally = fuzz(door, inputs, seed=7)
    assert tally.failures == []
    assert tally.refused + tally.accepted == inputs
    assert tally.refused > 0


def crash() -> str:
    raise KeyError("lost")


def mute() -> str:
    raise DataError("no")


def loud() -> str:
    print("\x1b[2J")
    return ""


def wrong() -> str:
    fuzz_doors._require(bool(np.isfinite(np.inf)), "an infinite number")
    return ""


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        (crash, "KeyError"),
        (mute, "no word on what to do"),
        (loud, "a terminal would obey"),
        (wrong, "let in: an infinite number"),
        (lambda: "x" * 30_000, "30,000 characters"),
    ],
)
def test_each_kind_of_failure_would_be_seen(monkeypatch: pytest.MonkeyPatch, planted, found: str) -> None:
    monkeypatch.setitem(DOORS, "specs", lambda rng, folder: planted())
    outcome, why = knock("specs", 0, 0)
    assert outcome == "failed"
    assert found in why


def test_a_hang_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(rng: np.random.Generator, folder: Path) -> str:
        while True:
            io.StringIO().write("x")

    monkeypatch.setattr(fuzz_doors, "LONGEST", 0.05)
    monkeypatch.setitem(DOORS, "specs", endless)
    assert knock("specs", 0, 0) == ("failed", "over 0 s")
