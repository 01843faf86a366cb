"""The way from a YAML file (or a mapping) to a ScenarioSpec: every mistake is found before anything runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import models_json_schema

from scenario_gen.backtest.broker import COST_TEXT, COSTS, AccountRules
from scenario_gen.backtest.limits import Limits
from scenario_gen.backtest.uses import StrategyUse, parameter_sets, with_use
from scenario_gen.errors import SpecError
from scenario_gen.execute.section import Execute
from scenario_gen.generators.sections import BASELINES, GENERATORS
from scenario_gen.joint.section import ASSET_COSTS, MAX_ASSETS, OF_ITS_DATA
from scenario_gen.market.section import Market
from scenario_gen.reading.section import Section, Violations
from scenario_gen.reading.words import nearest_file, shown
from scenario_gen.reading.yaml import Document, Where, parse_yaml, plain, read_text
from scenario_gen.spec.models import Report, ResolvedScenario, ScenarioSpec
from scenario_gen.spec.overlay import ALONE, OF_BOOKS, OVERRIDABLE, OWN, SECTIONS, check_name, resolve_scenarios
from scenario_gen.spec.strategy_list import check_distinct, check_holdings, check_table, check_use
from scenario_gen.spec.stress import check_event_limits
from scenario_gen.stress.shocks import SHOCKS
from scenario_gen.stress.view import View

ONCE = ("scenarios", "baselines", "strategies", "limits", "report", "account", "assets", "execute")
KEYS = ("name", *OVERRIDABLE, *ONCE)
MAX_STRATEGIES = 100

# One row of metrics per scenario, path and parameter set: at most 32 columns of 8 bytes.
BYTES_PER_RESULT = 32 * 8
# A kept path: open, high, low, close, volume, amount as float32.
BYTES_PER_KEPT_BAR = 6 * 4
MAX_KEPT_BYTES = 16_000_000_000
MAX_SIMULATED_BARS = 1_000_000_000_000
_START = "start from `scenario-gen init`, or from scenarios/quickstart.yaml"


@dataclass(frozen=True)
class LoadedSpec:
    """A spec that can be run, with what it was read from."""

    spec: ScenarioSpec  # the resolved spec
    text: str  # the YAML as it was written; for a mapping, that mapping as YAML
    base: Path  # the spec's folder, where its files are looked for first
    sha256: str  # of the text as UTF-8
    filename: str = ""  # what messages call the spec; "" for a mapping

    def place(self, scenario: str, *keys: str | int) -> str:
        """Say where a value of a scenario stands, as messages do: ``my.yaml:12: scenarios[crash].context.crisis``.

        Args:
            scenario: its name, or what was made of its name where one entry is several scenarios.
            keys: the way to the value.
        """
        document = parse_yaml(self.text, self.filename)
        listed = document.values.get("scenarios") if isinstance(document.values, Mapping) else None
        names = [str(item.get("name")) if isinstance(item, Mapping) else "" for item in listed or ()]
        future = {each.name: each.future for each in self.spec.scenarios}.get(scenario, scenario)  # of an asset's
        near = [at for at, name in enumerate(names) if name and (future == name or future.rpartition("_")[0] == name)]
        where: Where = ("scenarios", near[0], *keys) if near else keys
        label = Violations(document).label(where)
        mark = document.place(where)
        return f"{self.filename}:{mark.line}: {label}" if mark and self.filename else label

    def refuse(self, where: Where, words: str) -> None:
        """Refuse a value that only history and calendar show to be wrong, as one that was wrong when it was read.

        Raises:
            SpecError: always, with file, line and field.
        """
        document = parse_yaml(self.text, self.filename)
        violations = Violations(document if self.filename else Document(document.values, {}, ""))
        violations.add(where, words)
        violations.raise_any()


def load_spec(path: str | Path) -> LoadedSpec:
    """Read, check and resolve a spec file.

    Raises:
        SpecError: the file cannot be read, is not YAML, or breaks a rule; every mistake has its line.
    """
    path = Path(path)
    _refuse_missing(path)
    return parse_spec(read_text(path), path.resolve().parent, str(path))


def _refuse_missing(path: Path) -> None:
    try:
        if path.is_file():
            return
        problem = "is a folder" if path.is_dir() else f"no such file{nearest_file(path.name, [path.parent])}"
    except OSError as error:  # a name that no file can have
        problem = str(error.strerror)
    raise SpecError(f"{path}: {problem}", expected="a YAML spec", fix=_START)


def parse_spec(text: str, base: Path, filename: str = "spec.yaml") -> LoadedSpec:
    """Check and resolve a spec given as YAML text.

    Args:
        text: the YAML.
        base: the folder in which the spec's files are looked for first.
        filename: what messages call the spec.

    Raises:
        SpecError: the text is not YAML or breaks a rule; every mistake has its line.
    """
    spec = _assemble(parse_yaml(text, filename), base)
    return LoadedSpec(spec, text, base, _sha256(text), filename)


def spec_from_dict(mapping: Mapping[str, Any], *, base: str | Path | None = None) -> LoadedSpec:
    """Check and resolve a spec given as a mapping with the keys of the YAML.

    Args:
        mapping: as the YAML would be read; dates, paths, tuples and numpy numbers are welcome too.
        base: where the spec's files are looked for first; default: the current folder.

    Raises:
        SpecError: with one line per mistake.
    """
    folder = Path.cwd() if base is None else Path(base).resolve()
    values = plain(mapping)
    spec = _assemble(Document(values, {}, ""), folder)
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return LoadedSpec(spec, text, folder, _sha256(text))


def _assemble(document: Document, base: Path) -> ScenarioSpec:
    """Turn a document into a spec, or raise one error that lists every mistake."""
    values = _top(document)
    violations = Violations(document)
    for key in [key for key in ALONE if key in values]:
        violations.add((key,), f"belongs to a scenario; expected it there: scenarios: [{{name: mine, {key}: ...}}]")
    ours = {key: value for key, value in values.items() if key not in ALONE}
    violations.mapping(ours, (), KEYS, needed=("name", "strategies"))
    if "name" in values:
        check_name(values["name"], ("name",), violations)
    scenarios = resolve_scenarios(values, base, violations)
    strategies = read_strategies(values.get("strategies", ()), base, violations)
    check_holdings(strategies, scenarios, base, violations)
    limits = _optional_section(Limits, values, "limits", violations)
    report = _optional_section(Report, _with_folder(values), "report", violations)
    account = _optional_section(AccountRules, values, "account", violations) if "account" in values else None
    execute = _optional_section(Execute, values, "execute", violations)
    check_account(account, scenarios, limits, violations)
    _judge_sizes(scenarios, strategies, violations)
    if limits is not None:
        check_event_limits(limits.event_probability, scenarios, violations)
        for key in () if "assets" in values else limits.of_book():
            violations.add(("limits", key), "is about several assets in one account, and the spec has no list 'assets'")
    violations.raise_any()
    return ScenarioSpec.model_validate(
        {
            "name": values["name"],
            "scenarios": scenarios,
            "strategies": strategies,
            "limits": limits,
            "report": report,
            "account": account,
            "execute": execute,
            "assets": tuple(dict.fromkeys(scenario.asset for scenario in scenarios if scenario.asset)),
        }
    )


def _top(document: Document) -> Mapping[str, Any]:
    values, name = document.values, document.filename or "spec"
    if isinstance(values, Mapping) and values:
        return values
    came = "the file is empty" if values is None else f"got {shown(values)} at the top"
    raise SpecError(f"{name}: {came}", expected=f"a mapping with the keys {', '.join(KEYS)}", fix=_START)


def _optional_section(model: type[Any], values: Mapping[str, Any], key: str, violations: Violations) -> Any:
    section = values.get(key, {})
    if not violations.mapping(section, (key,), tuple(model.model_fields)):
        return None
    return violations.section(model, section, lambda where: (key, *where))


def _with_folder(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fill in the report's folder, which is reports/ and the spec's name unless the spec says another."""
    report = values.get("report", {})
    if isinstance(report, Mapping) and "folder" not in report:
        return {**values, "report": {"folder": f"reports/{values.get('name', 'run')}", **report}}
    return values


def read_strategies(listed: Any, base: Path, violations: Violations) -> tuple[StrategyUse, ...]:
    """Return the strategies of a list as written, and note every mistake in it."""
    if listed == ():
        return ()  # the missing key is noted already
    if not isinstance(listed, list) or not listed:
        came = f"got {shown(listed)}, expected a list of strategies"
        violations.add(("strategies",), f"{came} like - use: strategies/sma_cross.py:SmaCross")
        return ()
    if len(listed) > MAX_STRATEGIES:
        violations.add(("strategies",), f"got {len(listed)} strategies, expected at most {MAX_STRATEGIES}")
        return ()
    uses: list[StrategyUse] = []
    for position, item in enumerate(listed):
        if not violations.mapping(item, ("strategies", position), tuple(StrategyUse.model_fields)):
            continue
        at: Where = ("strategies", position)
        written = with_use(item)
        built = violations.section(StrategyUse, written, lambda where, at=at: (*at, *where))  # type: ignore[misc]
        if "positions" in item:
            check_table(item, base, at, violations)
        else:
            check_use(item.get("use"), item.get("params", {}), base, at, violations, item.get("where"))
        if item.get("name") is not None:
            check_name(item["name"], ("strategies", position, "name"), violations)
        if built is not None:
            check_distinct(built, uses, ("strategies", position), violations)
            uses.append(built)
    return tuple(uses)


def check_account(
    rules: AccountRules | None, scenarios: Sequence[ResolvedScenario], limits: Limits | None, violations: Violations
) -> None:
    """Note days that no path has, and a limit on an account without rules."""
    if rules is None:
        if limits is not None and "pass_probability" in limits.declared() and not violations.mistakes:
            words = "says how many paths pass, and there is no 'account' whose rules they could pass; add one"
            violations.add(("limits", "pass_probability"), f"{words}, e.g. account: {{target: 0.1, max_loss: 0.1}}")
        return
    shortest = min(scenarios, key=lambda scenario: scenario.bars.horizon, default=None)
    for name, days in (("days", rules.days), ("min_days", rules.min_days)):
        if days is not None and shortest is not None and days > shortest.bars.horizon:
            violations.add(
                ("account", name),
                f"got {days} trading days, but the paths of '{shortest.name}' have {shortest.bars.horizon} bars, "
                f"expected at most {shortest.bars.horizon}; or a longer bars.horizon",
            )


def _judge_sizes(
    scenarios: tuple[ResolvedScenario, ...], strategies: tuple[StrategyUse, ...], violations: Violations
) -> None:
    if not violations.mistakes:  # a grid that cannot be counted is noted already
        check_sizes(scenarios, sum(parameter_sets(use.params, use.where) for use in strategies), violations)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# --- The JSON schema of a spec file, built from the models: for completion and checks in an editor ---


_NAME = {"type": "string", "minLength": 1, "maxLength": 60}


def spec_schema() -> dict[str, Any]:
    """Return the schema as plain values (JSON Schema draft 2020-12)."""
    overridable: dict[str, Any] = {key: _reference(model) for key, model in SECTIONS.items()}
    overridable["generator"] = {"anyOf": [_reference(model) for model in GENERATORS.values()]}
    alone: dict[str, Any] = {key: _reference(model) for key, model in OWN.items()}
    alone |= {key: {"anyOf": [_reference(OWN[key]), _reference(model)]} for key, model in OF_BOOKS.items()}
    shocks = {"anyOf": [_reference(model) for model in SHOCKS]}
    alone |= {
        "reweight": {
            **_NAME,
            "description": "the scenario whose paths are weighted anew, in place of paths of its own",
        },
        "views": _list_of(_reference(View), "what the paths of `reweight` are weighted to say"),
        "shocks": _list_of(shocks, "what is done to the paths, one after the other"),
    }
    named = {**_NAME, "description": "in tables, files and findings"}
    scenario = _closed({"name": named, **overridable, **alone}, required=["name"])
    top = {
        "name": {**_NAME, "description": "of the run, its page and its folder"},
        **overridable,
        "scenarios": _list_of(scenario, "what is sampled; each takes what it leaves out from the top"),
        "baselines": {
            "type": "array",
            "items": {"enum": list(BASELINES)},
            "description": "plain generators that run beside the scenarios, on the data of the top",
        },
        "strategies": _list_of(_reference(StrategyUse), "what is backtested on every path"),
        "limits": _reference(Limits),
        "report": _reference(Report),
        "account": _reference(AccountRules),
        "execute": _reference(Execute),
        "assets": {**_list_of(_asset(), "of a book, in place of data"), "minItems": 2, "maxItems": MAX_ASSETS},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "scenario-gen spec",
        **_closed(top, required=["name", "strategies"]),
        "$defs": _definitions(),
    }


def _asset() -> dict[str, Any]:
    """Return the schema of an asset: the keys of its data, and sections of its own."""
    data = {key: {"$ref": f"#/$defs/Data/properties/{key}"} for key in OF_ITS_DATA}
    broker = {key: {"$ref": f"#/$defs/Broker/properties/{key}"} for key in ASSET_COSTS}
    costs = {**_closed(broker, required=[]), "description": "what its own orders cost; cash is shared"}
    named = {**_NAME, "description": "of the asset, in tables and in a strategy"}
    own = {"name": named, **data, "market": _reference(Market), "broker": costs}
    return _closed(own, required=["name"])


def _definitions() -> dict[str, Any]:
    sections = (*SECTIONS.values(), *OWN.values(), *OF_BOOKS.values(), *GENERATORS.values(), *SHOCKS)
    models: list[type[Section]] = [*sections, StrategyUse, Limits, Report, AccountRules, View, Execute]
    _, schema = models_json_schema([(model, "validation") for model in models])
    definitions: dict[str, Any] = schema["$defs"]
    definitions["Report"].pop("required")  # the loader fills the folder in
    definitions["StrategyUse"].pop("required")  # and a table of holdings in place of a class
    costs = definitions["Broker"]["properties"]
    for name in COSTS:  # the loader reads 2bp and, in a scenario, x3 as numbers
        bounds = {key: costs[name].pop(key) for key in [*costs[name]] if key not in ("title", "description", "default")}
        costs[name]["anyOf"] = [bounds, {"type": "string", "pattern": COST_TEXT}]
    return definitions


def _list_of(items: dict[str, Any], description: str) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items, "description": description}


def _closed(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _reference(model: type[Section]) -> dict[str, str]:
    return {"$ref": f"#/$defs/{model.__name__}"}


def check_sizes(scenarios: Sequence[ResolvedScenario], parameter_sets: int, violations: Violations) -> None:
    """Note a run whose results or work are beyond what one run should ask for, before any memory is."""
    rows = sum(one.paths.count for one in scenarios) * parameter_sets
    kept = sum(one.paths.count * one.bars.horizon for one in scenarios if one.paths.keep == "paths")
    size = rows * BYTES_PER_RESULT + kept * BYTES_PER_KEPT_BAR
    if size > MAX_KEPT_BYTES:
        violations.add(
            ("paths",),
            f"the results to keep take an estimated {size / 1e9:.0f} GB ({rows:,} rows of metrics and "
            f"{kept:,} bars of paths), expected at most {MAX_KEPT_BYTES / 1e9:.0f} GB: lower paths.count "
            "or bars.horizon, shorten the lists of params, or set paths.keep: metrics",
        )
    bars = sum(one.paths.count * one.bars.horizon for one in scenarios) * parameter_sets
    if bars > MAX_SIMULATED_BARS:
        violations.add(
            ("paths",),
            f"{bars:,} bars to simulate (paths x bars x scenarios x parameter sets), expected at most "
            f"{MAX_SIMULATED_BARS:,}: lower paths.count or bars.horizon, or shorten the lists of params",
        )
