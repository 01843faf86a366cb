"""The JSON schema of a spec file, built from the models: for completion and checks in an editor.

It says what :mod:`scenario_gen.spec.loader` says about keys, types and bounds. Rules that need a file or two
fields at once (a strategy that exists, dates in order) are the loader's alone.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from scenario_gen.backtest.broker import COST_TEXT, COSTS
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.generators.sections import BASELINES, GENERATORS
from scenario_gen.reading.section import Section
from scenario_gen.spec.models import Limits, Report
from scenario_gen.spec.scenarios import SECTIONS

_NAME = {"type": "string", "minLength": 1, "maxLength": 60}


def spec_schema() -> dict[str, Any]:
    """Return the schema as plain values (JSON Schema draft 2020-12)."""
    overridable: dict[str, Any] = {key: _reference(model) for key, model in SECTIONS.items()}
    overridable["generator"] = {"anyOf": [_reference(model) for model in GENERATORS.values()]}
    scenario = _closed({"name": _NAME, **overridable}, required=["name"])
    top = {
        "name": _NAME,
        **overridable,
        "scenarios": {"type": "array", "minItems": 1, "items": scenario},
        "baselines": {"type": "array", "items": {"enum": list(BASELINES)}},
        "strategies": {"type": "array", "minItems": 1, "items": _reference(StrategyUse)},
        "limits": _reference(Limits),
        "report": _reference(Report),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "scenario-gen spec",
        **_closed(top, required=["name", "strategies"]),
        "$defs": _definitions(),
    }


def _definitions() -> dict[str, Any]:
    models: list[type[Section]] = [*SECTIONS.values(), *GENERATORS.values(), StrategyUse, Limits, Report]
    _, schema = models_json_schema([(model, "validation") for model in models])
    definitions: dict[str, Any] = schema["$defs"]
    definitions["Report"].pop("required")  # the loader fills the folder in
    costs = definitions["Broker"]["properties"]
    for name in COSTS:  # the loader reads 2bp and, in a scenario, x3 as numbers
        bounds = {key: costs[name].pop(key) for key in [*costs[name]] if key not in ("title", "description", "default")}
        costs[name]["anyOf"] = [bounds, {"type": "string", "pattern": COST_TEXT}]
    return definitions


def _closed(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _reference(model: type[Section]) -> dict[str, str]:
    return {"$ref": f"#/$defs/{model.__name__}"}
