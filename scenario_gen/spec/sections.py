"""One section of a spec on its own, for those who have no file: command lines and Python callers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from scenario_gen.backtest.broker import Broker, in_numbers
from scenario_gen.reading.section import Section
from scenario_gen.spec.violations import Violations
from scenario_gen.spec.yaml_lines import Document

Model = TypeVar("Model", bound=Section)


def section_of(model: type[Model], values: Mapping[str, Any], name: str) -> Model:
    """Build a section from plain values, in the words that a spec file gets.

    Raises:
        SpecError: with one line per mistake, each with its field and the nearest right name.
    """
    numbers = in_numbers(values) if model is Broker else values
    violations = Violations(Document({name: numbers}, {}, ""))
    built = None
    if violations.mapping(numbers, (name,), tuple(model.model_fields)):
        built = violations.section(model, numbers, lambda where: (name, *where))
    violations.raise_any()
    if built is None:  # whatever kept it from being built is a mistake that was noted
        raise AssertionError(f"{name} was refused without a reason")
    return built
