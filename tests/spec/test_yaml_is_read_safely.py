import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from scenario_gen.errors import SpecError
from scenario_gen.reading.yaml import MAX_BYTES
from scenario_gen.spec import load_spec


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"name: caf\xe9\n", r"spec.yaml:1: byte 0xe9 is not valid UTF-8"),
        (b"name: x\nb: \xff\n", r"spec.yaml:2: byte 0xff"),
        (b"# " + b"x" * MAX_BYTES, "larger than 1000 kB"),
        (b"", "the file is empty"),
        (b"# only a comment\n", "the file is empty"),
        (b"- a\n- b\n", "got a list of 2 at the top"),
        (b"just text\n", "got 'just text' at the top"),
        (b"{}\n", "got an empty mapping at the top"),
    ],
)
def test_a_file_that_holds_no_spec_is_refused(tmp_path: Path, raw: bytes, words: str) -> None:
    file = tmp_path / "spec.yaml"
    file.write_bytes(raw)
    with pytest.raises(SpecError, match=words):
        load_spec(file)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path, start: str, folder: Path) -> None:
    file = folder / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + start.encode())
    assert load_spec(file).spec.name == "demo"
    file.unlink()


def test_a_missing_spec_names_the_nearest_file(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_text("x")
    with pytest.raises(SpecError, match=r"no such file; did you mean 'quickstart.yaml'\?"):
        load_spec(tmp_path / "quikstart.yaml")


@pytest.mark.parametrize("name", ["", ".", "a\0b", "x" * 500])
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match="expected: a YAML spec"):
        load_spec(f"{tmp_path}/{name}")


def test_the_hash_is_of_the_text(load: Callable[[str], object], start: str) -> None:
    assert load(start).sha256 == hashlib.sha256(start.encode()).hexdigest()  # type: ignore[attr-defined]
