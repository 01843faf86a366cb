"""YAML text to plain values, with the line of every key: the only place that parses YAML.

Reads a small, safe part of YAML: mappings with text keys, lists, text, numbers, ``true``/``false``, ``null``.
Dates stay text (the models read them), ``yes`` and ``on`` are text, ``010`` is ten and ``1:30`` text, tags and merge
keys are not read. Size, depth and number of values are bounded while composing, so that nested aliases cannot grow.
:func:`plain` reduces a mapping made in Python to the same values. Knows nothing of scenarios.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import yaml

from scenario_gen.errors import SpecError

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_VALUES = 20_000
MAX_BITS = 256  # of a whole number: nothing in a spec comes near, and Python refuses to print far larger ones

_YAML_WORDS = (  # words in the library's message, our words, what to do
    ("single document", "a second document starts here ('---')", "keep one spec per file"),
    ("<stream end>", "the file ends inside a bracket", "close the '[' or '{'"),
    ("undefined alias", "an alias ('*') that no '&' names", "write the value out"),
    ("mapping values are not", "a ':' stands where no key can be", "check the indentation, or quote text with ': '"),
    ("expected <block end>", "this line does not fit the lines above", "check its indentation"),
    ("could not find expected ':'", "a key without ':'", "end each key in ': '"),
    ("cannot start any token", "a value cannot start with this character", "put the value in quotes"),
)

HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair
Where = tuple[str | int, ...]  # the keys and list positions that lead to a value
_TAG = "tag:yaml.org,2002:"


class Mark(NamedTuple):
    """A place in the text, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """A parsed file."""

    values: Any  # plain dicts, lists, text, numbers, booleans and None
    marks: Mapping[Where, Mark]  # where each value stands: of a mapping's entry its key, of a list's its start
    filename: str  # what messages call the file; "" for a mapping that came from Python

    def place(self, where: Where) -> Mark | None:
        """Return the mark of a value, or of the nearest section around it that the text has."""
        for length in range(len(where), -1, -1):
            if where[:length] in self.marks:
                return self.marks[where[:length]]
        return None


class _Composer(yaml.SafeLoader):
    """Composes nodes and stops at a bound; resolves scalars as YAML 1.2 does, not as 1.1."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  the base class declares it without ClassVar
    depth = 0
    nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        self.nodes += 1
        _refuse_beyond(self.depth, self.nodes)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_Composer.add_implicit_resolver(_TAG + "null", re.compile(r"^(~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Composer.add_implicit_resolver(_TAG + "bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Composer.add_implicit_resolver(_TAG + "int", re.compile(r"^[-+]?[0-9][0-9_]*$"), list("-+0123456789"))
_Composer.add_implicit_resolver(
    _TAG + "float",
    re.compile(
        r"^[-+]?([0-9][0-9_]*\.?[0-9]*([eE][-+]?[0-9]+)?|\.[0-9]+([eE][-+]?[0-9]+)?|\.inf|\.Inf)$|^\.(nan|NaN)$"
    ),
    list("-+0123456789."),
)


def read_text(path: Path, what: str = "spec") -> str:
    """Read a spec, or whatever messages shall call it, as UTF-8 text.

    Raises:
        SpecError: the file is missing, too large, or not text.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecError(f"{path}: cannot be read: {reason}", fix="check the path and its permissions") from None
    if len(raw) > MAX_BYTES:
        raise SpecError(
            f"{path}: is larger than {MAX_BYTES // 1000} kB",
            expected=f"a YAML {what}, which is a page of text",
            fix=f"check that this is the {what} and not the data; name data as data.file inside the {what}",
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SpecError(
            f"{path}:{line}: byte 0x{raw[error.start]:02x} is not valid UTF-8",
            expected="text saved as UTF-8",
            fix="save the file as UTF-8 in your editor",
        ) from None


def parse_yaml(text: str, filename: str) -> Document:
    """Parse YAML text into plain values and marks.

    Raises:
        SpecError: the text is not YAML, or uses a part of YAML that is not read here; names the line.
    """
    marks: dict[Where, Mark] = {}
    try:
        loader = _Composer(text)
        node = loader.get_single_node()
        values = None if node is None else _Builder(marks).build(node, (), 1)
    except _RefusedError as refused:
        raise _syntax_error(filename, refused.mark, refused.problem, refused.fix) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"character {chr(int(error.character))!r} is not allowed in YAML"
        raise SpecError(f"{filename}:{line}: {problem}", fix="delete that character") from None
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(filename, error.problem_mark, *_plain_words(text, error)) from None
    except (ValueError, OverflowError) as error:  # an escape such as \UFFFFFFFF, which the library makes a character of
        fix = "look for a backslash in double quotes, and write the character itself"
        raise _syntax_error(filename, None, f"an escape that is no character ({error})", fix) from None
    return Document(values, marks, filename)


class _RefusedError(Exception):
    """YAML that this module does not read."""

    def __init__(self, problem: str, fix: str, mark: Any = None) -> None:
        super().__init__(problem)
        self.problem, self.fix, self.mark = problem, fix, mark


def _refuse_beyond(depth: int, nodes: int) -> None:
    if depth > MAX_DEPTH:
        raise _RefusedError(f"values are nested deeper than {MAX_DEPTH} levels", "flatten the spec")
    if nodes > MAX_VALUES:
        raise _RefusedError(
            f"the spec holds more than {MAX_VALUES} values (aliases count as often as they are used)",
            "shorten the lists, or split the spec",
        )


class _Builder:
    """Turns nodes into plain values and notes where they stand."""

    def __init__(self, marks: dict[Where, Mark]) -> None:
        self.marks = marks
        self.nodes = 0

    def build(self, node: yaml.Node, where: Where, depth: int) -> Any:
        self.nodes += 1
        _refuse_beyond(depth, self.nodes)
        self.marks.setdefault(where, _mark(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, where, depth)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.build(item, (*where, i), depth + 1) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        raise _unread_tag(node)

    def _mapping(self, node: yaml.MappingNode, where: Where, depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = _key(key_node)
            if key in out:
                first = self.marks[(*where, key)].line
                raise _RefusedError(
                    f"key '{key}' is there twice (first on line {first})", "keep one of the two", key_node.start_mark
                )
            self.marks[(*where, key)] = _mark(key_node)
            out[key] = self.build(value_node, (*where, key), depth + 1)
        return out


def _key(node: yaml.Node) -> str:
    """Return a mapping's key, which must be text."""
    if isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "str":
        _refuse_halves(node)
        return str(node.value)
    shown = repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list or mapping"
    raise _RefusedError(f"a key must be text, got {shown}", "write the key as a word", node.start_mark)


def _refuse_halves(node: yaml.ScalarNode) -> None:
    """Refuse text that no file can hold: half of a character, which an escape in double quotes can make."""
    if HALF.search(node.value):
        raise _RefusedError("half of a surrogate pair, which is no character", "write the whole one", node.start_mark)


def _scalar(node: yaml.ScalarNode) -> Any:
    text = str(node.value)
    kind = node.tag.removeprefix(_TAG)
    try:
        if kind == "str":
            _refuse_halves(node)
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        if kind == "int":
            return _whole(int(text.replace("_", "")), node)
        if kind == "float":
            return float(
                text.replace("_", "").replace(".inf", "inf").replace(".Inf", "inf").lower().replace(".nan", "nan")
            )
    except (ValueError, KeyError):
        raise _RefusedError(f"{text[:40]!r} cannot be read as {kind}", "write a plain value", node.start_mark) from None
    raise _unread_tag(node)


def _whole(number: int, node: yaml.ScalarNode) -> int:
    """Return a whole number that arithmetic can take: a float ends at 308 digits."""
    if number.bit_length() > MAX_BITS:
        digits = len(str(number).lstrip("-"))
        raise _RefusedError(f"a whole number of {digits} digits", "write a smaller one", node.start_mark)
    return number


def _unread_tag(node: yaml.Node) -> _RefusedError:
    tag = str(node.tag).replace(_TAG, "!!")[:60]
    return _RefusedError(
        f"tag {tag} is not read: a spec is plain data and runs no code", f"delete {tag}", node.start_mark
    )


def _mark(node: yaml.Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


def _plain_words(text: str, error: yaml.MarkedYAMLError) -> tuple[str, str]:
    """Return what is wrong and what to do, for a mistake that the YAML library found."""
    problem = str(error.problem or error.context or "this is not YAML")
    mark = error.problem_mark
    line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    if "'\\t'" in problem or "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab is used to indent", "indent with spaces only"
    if "quoted scalar" in str(error.context) and "end of stream" in problem and error.context_mark:
        return f"the quote opened on line {error.context_mark.line + 1} is never closed", "close it"
    for library_words, ours, fix in _YAML_WORDS:
        if library_words in f"{problem} {error.context}":
            return ours, fix
    return problem, "check the indentation, quotes and brackets here and on the line above"


def _syntax_error(filename: str, mark: Any, problem: str, fix: str) -> SpecError:
    place = f"{filename}:{mark.line + 1}: column {mark.column + 1}" if mark else filename
    return SpecError(f"{place}: {problem}", expected="a YAML mapping", fix=fix)


def plain(value: Any) -> Any:
    """Return the value as dicts with text keys, lists, text, numbers, booleans and None.

    Dates become ISO text, paths become text, tuples become lists, numpy numbers become Python's.

    Raises:
        SpecError: something else is in it, or it is too deep or too large.
    """
    return _Reducer().reduce(value, "", 1)


class _Reducer:
    """Walks a value, counting what it meets."""

    def __init__(self) -> None:
        self.values = 0

    def reduce(self, value: Any, label: str, depth: int) -> Any:
        self.values += 1
        if depth > MAX_DEPTH or self.values > MAX_VALUES:
            bounds = f"nested deeper than {MAX_DEPTH} levels, or more than {MAX_VALUES} values"
            raise SpecError(f"spec: {label or 'the mapping'}: {bounds}", fix="flatten or shorten the mapping")
        if isinstance(value, Mapping):
            return {
                _text_key(key, label): self.reduce(inner, f"{label}.{key}".lstrip("."), depth + 1)
                for key, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.reduce(inner, f"{label}[#{i + 1}]", depth + 1) for i, inner in enumerate(value)]
        return _plain_scalar(value, label)


def _text_key(key: Any, label: str) -> str:
    if not isinstance(key, str):
        raise SpecError(f"spec: {label or 'the mapping'}: got the key {key!r:.60}, expected text")
    return str(key)


def _plain_scalar(value: Any, label: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str | PurePath):
        if HALF.search(str(value)):
            raise SpecError(f"spec: {label}: {str(value)!r:.60} holds half of a character", fix="write the whole one")
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, numbers.Integral) and int(value).bit_length() <= MAX_BITS:
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Rational):
        return float(value)
    if type(value).__name__ in ("bool", "bool_") and hasattr(value, "dtype"):
        return bool(value)
    raise SpecError(
        f"spec: {label or 'the mapping'}: got a value of type {type(value).__name__} that YAML cannot hold",
        expected="text, an ordinary number, true or false, a date, a list or a mapping",
        fix="write the spec as the YAML would have it",
    )
