"""YAML is read as a reader would take it, within bounds, and refused with its line."""

import math

import pytest

from scenario_gen.errors import SpecError
from scenario_gen.reading.words import bad_name
from scenario_gen.reading.yaml import Mark, parse_yaml, plain

BILLION_LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{this}: &{this} [{','.join([f'*{before}'] * 10)}]\n" for before, this in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("256", 256),
        ("-3", -3),
        ("010", 10),  # not octal
        ("100_000", 100_000),
        ("0.5", 0.5),
        ("5e-4", 0.0005),  # YAML 1.1 would leave text
        ("1.5E3", 1500.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("true", True),
        ("yes", "yes"),  # YAML 1.1 would make it True
        ("on", "on"),
        ("12:30:45", "12:30:45"),  # YAML 1.1 would count in sixties
        ("2018-12-31", "2018-12-31"),
        ("'256'", "256"),
        ("~", None),
        ("", None),
        ("!!int 3", 3),
    ],
)
def test_a_scalar_is_what_a_reader_would_take_it_for(written: str, value: object) -> None:
    read = parse_yaml(f"key: {written}", "x.yaml").values["key"]
    assert read == value
    assert type(read) is type(value)


def test_nan_is_read_as_nan_so_that_the_field_can_refuse_it() -> None:
    assert math.isnan(parse_yaml("key: .nan", "x.yaml").values["key"])


def test_every_value_has_the_line_and_column_of_its_key() -> None:
    document = parse_yaml("a:\n  b: 1\n  c: [x, {d: 2}]\n", "x.yaml")
    assert document.marks[("a",)] == Mark(1, 1)
    assert document.marks[("a", "b")] == Mark(2, 3)
    assert document.marks[("a", "c", 0)] == Mark(3, 7)
    assert document.marks[("a", "c", 1, "d")] == Mark(3, 11)


def test_a_place_that_is_not_there_is_the_section_around_it() -> None:
    document = parse_yaml("top: 1\na:\n  b: 1\n", "x.yaml")
    assert document.place(("a", "missing", "deeper")) == Mark(2, 1)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\nb: 2\na: 3", "x.yaml:3: column 1", "key 'a' is there twice (first on line 1)"),
        ("a:\n\tb: 1", "x.yaml:2: column 1", "a tab is used to indent"),
        ("a:\n  b: 1\n c: 2", "x.yaml:3: column 2", "does not fit the lines above"),
        ("a: [1, 2", "x.yaml:1: column 9", "the file ends inside a bracket"),
        ("a: 1\nb: 'open\n", "x.yaml:3", "the quote opened on line 2 is never closed"),
        ("a: b: c", "x.yaml:1: column 5", "a ':' stands where no key can be"),
        ("a: @x", "x.yaml:1: column 4", "cannot start with this character"),
        ("a: *b", "x.yaml:1: column 4", "an alias ('*') that no '&' names"),
        ("a: 1\n---\nb: 2", "x.yaml:2: column 1", "a second document starts here"),
        ("1: 2", "x.yaml:1: column 1", "a key must be text, got '1'"),
        ("[a]: 2", "x.yaml:1: column 1", "a key must be text, got a list or mapping"),
        ("a: 1\nb: \x07", "x.yaml:2", "character '\\x07' is not allowed"),
        ("a: !!int x", "x.yaml:1: column 4", "'x' cannot be read as int"),
        ("a: !!binary aGk=", "x.yaml:1: column 4", "tag !!binary is not read"),
        ("a: !!set {x}", "x.yaml:1: column 4", "tag !!set is not read"),
        ("a: !custom x", "x.yaml:1: column 4", "tag !custom is not read"),
    ],
)
def test_bad_yaml_is_refused_with_its_line(text: str, place: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_yaml(text, "x.yaml")
    assert caught.value.problem.startswith(place)
    assert words in caught.value.problem
    assert caught.value.fix


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [ls]", "!!python/name:os.system ''"])
def test_a_tag_that_would_run_code_is_refused(tag: str) -> None:
    with pytest.raises(SpecError, match="runs no code"):
        parse_yaml(f"a: {tag}", "x.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BILLION_LAUGHS, "more than 20000 values"),
        ("a: [" + "1, " * 30_000 + "1]", "more than 20000 values"),
        ("[" * 5000, "nested deeper than 20"),
        ("a: &x [*x]", "nested deeper than 20"),
        ("a: &x {b: *x}", "nested deeper than 20"),
    ],
    ids=["billion laughs", "long list", "deep list", "list in itself", "mapping in itself"],
)
def test_yaml_that_grows_beyond_a_bound_is_refused(text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        parse_yaml(text, "x.yaml")


def test_an_alias_within_bounds_repeats_its_value() -> None:
    assert parse_yaml("a: &costs {fees: 0.1}\nb: *costs", "x.yaml").values["b"] == {"fees": 0.1}


@pytest.mark.parametrize("text", ['a: "\\ud800"', '"\\udfff": 1', 'a: ["\\ud83d"]'])
def test_half_of_a_surrogate_pair_is_no_text(text: str) -> None:
    with pytest.raises(SpecError, match="half of a surrogate pair"):
        parse_yaml(text, "x.yaml")


def test_an_escape_beyond_all_characters_is_refused() -> None:
    with pytest.raises(SpecError, match="an escape that is no character"):
        parse_yaml('a: "\\UFFFFFFFF"', "x.yaml")


def test_a_mapping_from_python_holds_whole_characters_too() -> None:
    with pytest.raises(SpecError, match="half of a character"):
        plain({"a": {"b": "\ud800"}})


@pytest.mark.parametrize("name", ["t\n", "\n", "../x", "\x9b2J", "a/b", "CON", "", " x", "x."])
def test_names_of_files_hold_no_line_feed_and_no_path(name: str) -> None:
    assert bad_name(name)
    assert not bad_name("my first stress-test_1.0")


def test_a_whole_number_beyond_all_floats_is_refused_with_its_line() -> None:
    with pytest.raises(SpecError, match=r"x.yaml:2: column 4: a whole number of 401 digits"):
        parse_yaml(f"b: 1\na: {10**400}", "x.yaml")
    assert parse_yaml(f"a: {2**63 - 1}", "x.yaml").values == {"a": 2**63 - 1}
