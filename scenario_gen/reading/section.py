"""Sections: frozen groups of fields that a room declares for a spec, every mistake in them with file, line, field.

Owns the base of all sections and the collecting of mistakes before any is raised. Knows how to turn what a model
refused into words; does not know which sections a spec has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from scenario_gen.errors import SpecError
from scenario_gen.reading.words import accepted, choices, kinds, nearest, one_of, shown
from scenario_gen.reading.yaml import Document, Where

MAX_SHOWN = 100  # mistakes in one message; a user mends these first

Model = TypeVar("Model", bound="Section")


class Section(BaseModel):
    """Base of every section: frozen; unknown keys, text or booleans for numbers, inf and nan are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def without_shorthand(cls, written: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a section's values as its fields take them; one that knows shorthands, such as ``2bp``, reads them."""
        return written


@dataclass
class Violations:
    """The mistakes found so far in one document."""

    document: Document  # where the values stand
    # (line, field, words) of each mistake; a set, because a wrong base is met by every scenario.
    mistakes: set[tuple[int, str, str]] = field(default_factory=set)

    def add(self, where: Where, words: str) -> None:
        """Note a mistake at a value of the document."""
        mark = self.document.place(where)
        self.mistakes.add((mark.line if mark else 0, self.label(where), words))

    def _entries(
        self, model: type[Section], values: Mapping[str, Any], name: str, at: Callable[[Where], Where]
    ) -> None:
        """Note the mistakes of each entry of a list of sections."""
        entry = _entry_model(model, name)
        if entry is None or not isinstance(values.get(name), list | tuple):
            return
        for number, item in enumerate(values[name]):
            where = (name, number)
            if self.mapping(item, at(where), tuple(entry.model_fields)):
                self.section(entry, item, _within(at, where))

    def label(self, where: Where) -> str:
        """Name a field as a user would: ``scenarios[hot].generator.temperature``."""
        words, value = "", self.document.values
        for part in where:
            value = _step(value, part)
            words += f"[{_item_name(value, part)}]" if isinstance(part, int) else f".{part:.60}"
        return words.removeprefix(".")

    def raise_any(self) -> None:
        """Raise one SpecError that lists every mistake in the order of the lines, if there is any.

        Raises:
            SpecError: with one line per mistake.
        """
        if not self.mistakes:
            return
        lines = [self._line(*mistake) for mistake in sorted(self.mistakes)]
        if len(lines) > 1:
            lines.insert(0, f"{len(lines)} mistakes in {self.document.filename or 'the spec'}")
        if len(lines) > MAX_SHOWN + 1:
            lines[MAX_SHOWN + 1 :] = [f"... and {len(lines) - MAX_SHOWN - 1} more"]
        raise SpecError("\n".join(lines))

    def _line(self, line: int, label: str, words: str) -> str:
        place = f"{self.document.filename}:{line}" if line else self.document.filename or "spec"
        return f"{place}: {label}: {words}" if label else f"{place}: {words}"

    def mapping(self, value: Any, where: Where, allowed: Collection[str], *, needed: Collection[str] = ()) -> bool:
        """Note what keeps a value from being a mapping of these keys; return whether it is a mapping."""
        if not isinstance(value, Mapping):
            self.add(where, f"got {shown(value)}, expected a mapping with the keys {one_of(allowed)}")
            return False
        for key in value:
            if key not in allowed:
                self.add((*where, key), unknown_key(key, allowed))
        for key in needed:
            if key not in value:
                self.add(where, f"'{key}' is missing")
        return True

    def section(self, model: type[Model], values: Mapping[str, Any], at: Callable[[Where], Where]) -> Model | None:
        """Build a section, or note every violation of it and return None.

        Args:
            model: the section's model.
            values: what the spec says, after overrides.
            at: turns a place within the section into a place of the document.
        """
        try:
            return model.model_validate(values)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            lists = {detail["loc"][0] for detail in details if len(detail["loc"]) > 1}
            for name in dict.fromkeys(str(place) for place in lists):
                self._entries(model, values, name, at)
            for detail in details:
                if len(detail["loc"]) > 1 and _entry_model(model, str(detail["loc"][0])) is not None:
                    continue  # told entry by entry
                if detail["type"] == "too_short" and detail["loc"][0] in lists:
                    continue  # pydantic counts entries without those that it refused
                where: Where = tuple(detail["loc"][:1])
                nested = _nested(model, values, where)
                if nested is not None:  # a mapping in place of a plain value: its own mistakes, key by key
                    self.section(nested, values[str(where[0])], _within(at, where))
                else:
                    self.add(at(where), _words(model, values, where, dict(detail)))
            return None


def _entry_model(model: type[Section], name: str) -> type[Section] | None:
    """Return the section that each entry of a list is meant to be; None where the field takes no list of sections."""
    if name not in model.model_fields:
        return None
    annotation = model.model_fields[name].annotation
    entry = get_args(annotation)[0] if get_origin(annotation) is tuple else None
    return entry if isinstance(entry, type) and issubclass(entry, Section) else None


def section_of(model: type[Model], values: Model | Mapping[str, Any], name: str) -> Model:
    """Build a section from plain values, in the words that a spec file gets; a section that is given stays.

    Raises:
        SpecError: with one line per mistake, each with its field and the nearest right name.
    """
    if isinstance(values, model):
        return values
    plain = model.without_shorthand(cast("Mapping[str, Any]", values))
    violations = Violations(Document({name: plain}, {}, ""))
    built = None
    if violations.mapping(plain, (name,), tuple(model.model_fields)):
        built = violations.section(model, plain, lambda where: (name, *where))
    violations.raise_any()
    if built is None:  # whatever kept it from being built is a mistake that was noted
        raise AssertionError(f"{name} was refused without a reason")
    return built


def _nested(model: type[Section], values: Mapping[str, Any], where: Where) -> type[Section] | None:
    """Return the section that a mapping in a field's place is meant to be; None where it takes no mapping."""
    name = str(where[0]) if where else ""
    if not isinstance(values.get(name), Mapping) or name not in model.model_fields:
        return None
    return next((kind for kind in kinds(model, name) if issubclass(kind, Section)), None)


def _within(at: Callable[[Where], Where], outer: Where) -> Callable[[Where], Where]:
    """Return what turns a place within a field's mapping into a place of the document."""
    return lambda place: at((*outer, *place))


def unknown_key(key: object, allowed: Collection[str]) -> str:
    """Say that a key is unknown, which name is nearest and what is allowed there."""
    return f"unknown key{nearest(key, allowed)} Allowed here: {', '.join(allowed)}".replace(
        "key Allowed", "key. Allowed"
    )


def _words(model: type[Section], values: Mapping[str, Any], where: Where, detail: dict[str, Any]) -> str:
    """Return the words for one violation that pydantic found in a section."""
    ours = detail["type"] == "value_error"  # a validator of ours, which says what came and what is expected
    if ours or not where:
        return str(detail["ctx"]["error"]) if ours else f"got {shown(values)}, expected a mapping"
    name = str(where[0])
    if name not in model.model_fields:
        return unknown_key(name, tuple(model.model_fields))
    if detail["type"] == "missing":
        return f"missing, expected {accepted(model, name)}"
    value, options = _item(values.get(name), detail["loc"][1:]), choices(model, name)
    words = f"got {shown(value)}, expected {accepted(model, name)}"
    if options:
        return words + nearest(value, options)
    return words + _about_quotes(value, accepted(model, name))


def _about_quotes(value: Any, meant: str) -> str:
    """Say where quotes are missing, or are too much: around 600519 as text, around 0.5 as a number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and meant == "text":
        return f" (in quotes: '{value}')"
    is_number = isinstance(value, str) and meant.startswith(("a number", "a whole number")) and _is_number(value)
    return " (without quotes)" if is_number else ""


def _item(value: Any, places: tuple[str | int, ...]) -> Any:
    """Return the entry of a list that was refused; any other value as it is."""
    entry = next((place for place in places if isinstance(place, int)), None)
    return value[entry] if isinstance(value, list | tuple) and entry is not None else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _step(value: Any, part: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    return value[part] if isinstance(value, list) and isinstance(part, int) and part < len(value) else None


def _item_name(item: Any, position: int) -> str:
    """Name an entry of a list by its name or class, or by its number."""
    if isinstance(item, Mapping):
        for key in ("name", "use"):
            if isinstance(text := item.get(key), str) and text.strip():
                label = text.rpartition(":")[2] if key == "use" else " ".join(text.split())
                return label[:60] or f"#{position + 1}"
    return f"#{position + 1}"
