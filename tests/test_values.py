"""Values that check themselves, lists of a length, and what is kept under its hash."""

from __future__ import annotations

import errno
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from scenario_gen.errors import StoreError
from scenario_gen.values import cached, decode, decode_json, encode


@dataclass(frozen=True)
class Part:
    whole: int
    shares: tuple[float, float]
    label: Literal["PASS", "WARN", "FAIL"] = "PASS"

    def __post_init__(self) -> None:
        if sum(self.shares) > 1:
            raise ValueError("the shares are more than 1")


@dataclass(frozen=True)
class Whole:
    parts: dict[str, list[Part]]
    note: str = ""


GOOD = Whole({"a": [Part(1, (0.25, 0.5))]})


def test_values_inside_values_come_back_as_they_were() -> None:
    assert decode(Whole, encode(GOOD)) == GOOD


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"whole": 1, "shares": [0.75, 0.5]}, "run.json contradicts itself at parts/a/0: the shares are more than 1"),
        ({"whole": 1, "shares": [0.5]}, r"holds '\[0.5\]' at parts/a/0/shares\n  expected: a list of 2\n"),
        (
            {"whole": 1, "shares": [0.1, 0.2, 0.3]},
            r"holds '\[0.1, 0.2, 0.3\]' at parts/a/0/shares\n  expected: a list of 2\n",
        ),
        ({"whole": 1, "shares": 1}, r"holds '1' at parts/a/0/shares\n  expected: a list\n"),
        ({"whole": 1.5, "shares": [0, 1]}, r"holds '1.5' at parts/a/0/whole\n  expected: a whole number\n"),
        ({"whole": 1, "shares": [0, "1"]}, r"holds '1' at parts/a/0/shares/1\n  expected: a number\n"),
        ({"whole": 1, "shares": [0, 1], "label": "OK"}, r"at parts/a/0/label\n  expected: PASS or WARN or FAIL\n"),
        ({"whole": 1, "why": 2, "how": 3}, "run.json lacks shares and has unknown keys how, why at parts/a/0"),
        (3, r"holds '3' at parts/a/0\n  expected: a mapping\n"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(part: Any, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        decode(Whole, {"parts": {"a": [part]}, "note": "x"})


def test_wrong_keys_at_the_top_come_before_wrong_values_below() -> None:
    with pytest.raises(StoreError, match="unknown keys extra at its top"):
        decode(Whole, {"parts": {"a": [{}]}, "extra": 1})
    with pytest.raises(StoreError):
        decode_json(Whole, b'{"parts": ')


def test_a_kept_value_is_read_and_a_damaged_one_computed_anew(tmp_path: Path) -> None:
    computed: list[int] = []

    def compute() -> Whole:
        computed.append(1)
        return GOOD

    for times in (1, 1):
        assert cached(tmp_path, {"seed": 1}, Whole, compute) == GOOD
        assert len(computed) == times
    cached(tmp_path, {"seed": 2}, Whole, compute)
    assert len(list(tmp_path.glob("*.json"))) == 2
    for file in tmp_path.glob("*.json"):
        file.write_bytes(file.read_bytes()[:20])
    assert cached(tmp_path, {"seed": 1}, Whole, compute) == GOOD
    assert len(computed) == 3


@dataclass(frozen=True)
class Verdict:
    label: str
    spread: float


def _kept(folder: Path, seed: int, label: str) -> Verdict:
    return cached(folder, {"seed": seed}, Verdict, lambda: Verdict(label, 0.1 + 0.2))


def test_a_kept_verdict_that_was_edited_or_swapped_is_not_believed(tmp_path: Path) -> None:
    first, second = _kept(tmp_path, 1, "FAIL"), _kept(tmp_path, 2, "PASS")
    files = sorted(tmp_path.glob("*.json"), key=lambda file: b"FAIL" in file.read_bytes(), reverse=True)
    assert json.loads(files[0].read_bytes())["value"] == {"label": "FAIL", "spread": 0.1 + 0.2}
    whole, others = files[0].read_bytes(), files[1].read_bytes()
    value = json.dumps({"label": "PASS", "spread": 0.3}).encode()
    edited = [
        whole.replace(b"FAIL", b"PASS"),
        others,  # the file of another key, whole as it is
        value,  # as an earlier version kept it, without a sum
        b'{"sum": "%s",\n"value": %s}\n' % (hashlib.sha256(value).hexdigest().encode(), value),
        whole[:-1],
        whole + b" ",
        b"",
        b"[" * 100_000,
        b"\xff\xfe",
    ]
    for content in edited:
        files[0].write_bytes(content)
        assert _kept(tmp_path, 1, "computed anew").label == "computed anew", content[:40]
        files[0].write_bytes(whole)
    assert _kept(tmp_path, 1, "computed anew") == first
    assert _kept(tmp_path, 2, "computed anew") == second


def test_what_is_no_readable_file_in_a_kept_values_place_is_no_traceback(tmp_path: Path) -> None:
    _kept(tmp_path, 1, "FAIL")
    (file,) = tmp_path.glob("*.json")
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    for target in (mine, tmp_path / "nowhere", file):  # a foreign file, nothing, itself: a circle
        file.unlink()
        file.symlink_to(target)
        assert _kept(tmp_path, 1, "anew").label == "anew"
        assert not file.is_symlink()
    assert mine.read_text() == "mine"
    file.unlink()
    file.mkdir()
    with pytest.raises(StoreError, match="a folder stands where a file is needed") as caught:
        _kept(tmp_path, 1, "anew")
    assert caught.value.fix == "move it away"


def test_a_kept_value_that_may_not_be_read_is_computed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _kept(tmp_path, 1, "FAIL")

    def refuse(_: Path) -> bytes:
        raise PermissionError(errno.EACCES, "no")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        assert _kept(tmp_path, 1, "anew").label == "anew"
    assert _kept(tmp_path, 1, "third").label == "anew"


def test_whoever_keeps_a_list_of_files_hears_of_one_before_it_is_written(tmp_path: Path) -> None:
    heard: list[tuple[Path, bool]] = []
    for _ in range(2):
        cached(tmp_path, {}, Verdict, lambda: Verdict("PASS", 1.0), lambda path: heard.append((path, path.exists())))
    assert heard == [(next(tmp_path.glob("*.json")), False)]
