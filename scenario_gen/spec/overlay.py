"""From one base and a list of overrides to resolved scenarios, remembering where every value was written.

A scenario overrides what it names and keeps the rest of the base. Three things replace instead of merging: a
generator of another kind, data of another source or file (of the base's data, only the dates stay), and with such data
the market: ticks and lots belong to an instrument. What a preset of the market fills stands below all that is written.
A baseline is the base with another generator; shocks belong to one scenario alone. Knows nothing of YAML text beyond
the places of values.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from scenario_gen.backtest.broker import Broker, Jitter, problem
from scenario_gen.files import user_path
from scenario_gen.generators.sections import BASELINES, DEFAULT, GENERATORS, NAMED_MODELS, KronosGenerator
from scenario_gen.joint.section import OF_ALL_DATA, Joint
from scenario_gen.market.section import PLACES, Data, Filled, Market
from scenario_gen.reading.section import Section, Violations
from scenario_gen.reading.words import bad_name, find_file, missing_file, nearest, one_of, same_file, shown
from scenario_gen.reading.yaml import Where
from scenario_gen.spec.book import AssetEntry, check_book, read_assets
from scenario_gen.spec.filled import costs_in_numbers, fill, no_limit, preset_of
from scenario_gen.spec.models import MAX_HORIZON, BarCounts, Checks, Paths, ResolvedScenario
from scenario_gen.spec.stress import WEIGHED, check_event, is_weighed, weighed_by_views
from scenario_gen.stress.crises import BY_ID, ContextStress, Replay, unknown_crisis
from scenario_gen.stress.event import Event, PortfolioEvent, Sampler
from scenario_gen.stress.shock import Shock
from scenario_gen.stress.shocks import read_shocks

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")


def check_data(data: Data, at: Callable[[Where], Where], violations: Violations) -> None:
    """Note dates out of order and an unknown time zone."""
    for first, last in (("start", "end"), ("start", "as_of"), ("end", "as_of")):
        early, late = getattr(data, first), getattr(data, last)
        if early is not None and late is not None and _day(early) > _day(late):
            violations.add(at((first,)), f"{first} {early} is after {last} {late}, expected {first} before {last}")
    if data.timezone is not None and not _is_timezone(data.timezone):
        hint = nearest(data.timezone, zoneinfo.available_timezones())
        words = f"got {data.timezone[:60]!r}, expected a time zone like America/New_York or UTC{hint}"
        violations.add(at(("timezone",)), words)


def check_data_file(file: str, folder: Path, where: Where, violations: Violations) -> None:
    """Note a file of data, a history or a correlation matrix, that is not there."""
    if find_file(file, folder) is None:
        violations.add(where, missing_file(file, folder))


def check_model(model: str, folder: Path, where: Where, violations: Violations) -> None:
    """Note a model that is no known name, no Hub name and no folder."""
    is_path = model.startswith((".", "/", "~")) or model.count("/") > 1
    if model in NAMED_MODELS or (_HUB_NAME.fullmatch(model) and not is_path) or _is_folder(model, folder):
        return
    expected = f"{', '.join(NAMED_MODELS)}, a Hub name like org/name@revision, or a folder"
    violations.add(where, f"got {model[:80]!r}, expected {expected}{nearest(model, NAMED_MODELS)}")


def _day(moment: date | datetime) -> date:
    return moment.date() if isinstance(moment, datetime) else moment


def _is_timezone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _is_folder(name: str, folder: Path) -> bool:
    """Return whether the name is a folder, seen from the spec's folder or the current one."""
    try:
        return any((place / user_path(name)).is_dir() for place in (folder, Path.cwd()) if name.strip())
    except (OSError, ValueError):
        return False


# From one base and a list of overrides to resolved scenarios, remembering where every value was written


SECTIONS: dict[str, type[Section]] = {
    "data": Data,
    "bars": BarCounts,
    "paths": Paths,
    "checks": Checks,
    "market": Market,
    "broker": Broker,
    "joint": Joint,
}
OVERRIDABLE = ("data", "bars", "paths", "generator", "checks", "market", "broker", "joint")
OWN: dict[str, type[Section]] = {  # keys of a scenario alone: the base has none of them, so that it stays what it is
    "context": ContextStress,
    "replay": Replay,
    "event": Event,
    "sampler": Sampler,
    "jitter": Jitter,
}
OF_BOOKS: dict[str, type[Section]] = {"event": PortfolioEvent}  # the same keys where there are several assets
ALONE = ("shocks",)  # such keys that hold a list
MAX_SCENARIOS = 200


@dataclass(frozen=True)
class Overlay:
    """The base with one scenario's overrides applied."""

    values: dict[str, Any]  # the merged sections
    # for each place in ``values``, the place in the document that it came from
    origin: dict[Where, Where] = field(default_factory=dict)
    filled: list[Filled] = field(default_factory=list)  # what a preset filled

    def place(self, where: Where) -> Where:
        """Return where a value was written, or the nearest section around it."""
        for length in range(len(where), 0, -1):
            if where[:length] in self.origin:
                return (*self.origin[where[:length]], *where[length:])
        return where


def overlay(
    base: Mapping[str, Any], override: Mapping[str, Any], at: Where, asset: AssetEntry | None = None
) -> Overlay:
    """Apply an override that stands at ``at`` in the document to the base sections, or to those of an asset."""
    merged = Overlay({})
    if asset is not None:
        base = asset.base(base)
    if _other_history(base.get("data"), override.get("data")):
        base = {key: values for key, values in base.items() if key != "market"}
    preset = preset_of(override.get("market")) or preset_of(base.get("market"))
    base, override = costs_in_numbers(base, override, {} if preset is None else preset.fills("broker", {}))
    for key in OVERRIDABLE:
        if key in override:
            below = _kept_beside(key, base.get(key), override[key])
            merged.values[key] = _merge(below, override[key], (key,), (*at, key), merged.origin)
        elif key in base:
            merged.values[key] = _keep(base[key], (key,), (key,), merged.origin)
    for key in (*OWN, *ALONE):
        if key in override:
            merged.values[key] = _keep(override[key], (key,), (*at, key), merged.origin)
    if asset is not None:
        merged.origin.update({key: asset.origin(key) for key, place in merged.origin.items() if key == place})
    merged.filled.extend(fill(merged.values, merged.origin, merged.place(("market", "preset"))))
    return merged


def _kept_beside(key: str, base: Any, override: Any) -> Any:
    """Return what of a base section stays beside its override."""
    if not isinstance(base, Mapping) or not isinstance(override, Mapping):
        return None
    if key == "generator" and override.get("kind", base.get("kind", DEFAULT)) != base.get("kind", DEFAULT):
        return None
    if key == "data" and _other_history(base, override):
        return {name: base[name] for name in OF_ALL_DATA if name in base}
    return base


def _other_history(base: Any, override: Any) -> bool:
    """Return whether an override of the data section names another source or file."""
    if not isinstance(base, Mapping) or not isinstance(override, Mapping):
        return False
    return any(name in override and override[name] != base.get(name) for name in (place.key for place in PLACES))


def _merge(base: Any, override: Any, key: Where, at: Where, origin: dict[Where, Where]) -> Any:
    if not (isinstance(base, Mapping) and isinstance(override, Mapping)):
        return _keep(override, key, at, origin)
    origin[key] = at
    out = {name: _keep(value, (*key, name), (*key, name), origin) for name, value in base.items()}
    for name, value in override.items():
        out[name] = _merge(base.get(name), value, (*key, name), (*at, name), origin)
    return out


def _keep(value: Any, key: Where, at: Where, origin: dict[Where, Where]) -> Any:
    origin[key] = at
    if isinstance(value, Mapping):
        return {name: _keep(inner, (*key, name), (*at, name), origin) for name, inner in value.items()}
    return value


def resolve_scenarios(values: Mapping[str, Any], folder: Path, violations: Violations) -> tuple[ResolvedScenario, ...]:
    """Return the scenarios and then the baselines, noting every mistake on the way."""
    base = {key: values[key] for key in OVERRIDABLE if key in values}
    entries = _scenario_entries(values, violations)
    check_book(values, violations)
    assets: list[AssetEntry | None] = [*read_assets(values, violations)] if "assets" in values else [None]
    own = [entry for entry in entries if not is_weighed(entry[1])]
    pairs = [(entry, asset) for entry in own for asset in assets]
    resolved = [
        _resolve(name, "scenario", overlay(base, over, at, asset), folder, violations, asset)
        for (name, over, at), asset in pairs
    ]
    resolved = _several(resolved, [entry for entry, _ in pairs], violations)
    resolved += weighed_by_views(resolved, entries, violations)
    if "scenarios" in values:
        _check_base_alone(base, violations)
    for position, kind in enumerate(_baselines(values, violations)):
        if "data" not in base and "assets" not in values:
            violations.add(("baselines",), "a baseline is made from the top-level 'data', which is missing")
        for asset in assets:
            merged = overlay(base, {"generator": _baseline_section(kind, base)}, ("baselines", position), asset)
            merged.origin[("generator",)] = ("baselines", position)
            resolved.append(_resolve(kind, "baseline", merged, folder, violations, asset))
    return tuple(scenario for scenario in resolved if scenario is not None)


def _scenario_entries(values: Mapping[str, Any], violations: Violations) -> list[tuple[str, Mapping[str, Any], Where]]:
    """Return (name, override, place) of each scenario; one that overrides nothing if none is listed."""
    if "scenarios" not in values:
        return [("base", {}, ())]
    listed = values["scenarios"]
    if not isinstance(listed, list) or not listed:
        violations.add(("scenarios",), f"got {shown(listed)}, expected a list of scenarios, each with a name")
        return []
    if len(listed) > MAX_SCENARIOS:
        violations.add(("scenarios",), f"got {len(listed)} scenarios, expected at most {MAX_SCENARIOS}")
        return []
    entries: list[tuple[str, Mapping[str, Any], Where]] = []
    taken = dict.fromkeys(values["baselines"] if _is_list_of_text(values.get("baselines")) else (), "a baseline")
    for position, item in enumerate(listed):
        at: Where = ("scenarios", position)
        if not violations.mapping(item, at, ("name", *OVERRIDABLE, *OWN, *WEIGHED, *ALONE), needed=("name",)):
            continue
        name = item.get("name", "")
        if "name" in item:
            check_name(name, (*at, "name"), violations)
        if isinstance(name, str) and name:
            if same_file(name) in taken:
                other = taken[same_file(name)]
                violations.add((*at, "name"), f"the name '{name[:60]}' is taken by {other}; give each its own")
            taken[same_file(name)] = "another scenario"
        entries.append((name if isinstance(name, str) else "", item, at))
    return entries


def _several(
    resolved: Sequence[ResolvedScenario | None],
    entries: Sequence[tuple[str, Mapping[str, Any], Where]],
    violations: Violations,
) -> list[ResolvedScenario | None]:
    """Return the scenarios, each search for several crises as one scenario per crisis, named after it."""
    taken = {same_file(name) for name, _, _ in entries}
    scenarios: list[ResolvedScenario | None] = []
    for scenario, (name, override, at) in zip(resolved, entries, strict=True):
        if scenario is None or scenario.context is None:
            scenarios.append(scenario)
            continue
        if scenario.context.moves_end and "end" in (override.get("data") or {}):
            violations.add((*at, "data", "end"), "got an end beside context, which says where the context ends")
        if scenario.replay is not None:
            violations.add((*at, "replay"), "got a replay beside context, expected them in scenarios of their own")
        for number, shock in enumerate(scenario.context.shocks):
            if shock.bars_back >= scenario.bars.context:
                words = f"got {shock.bars_back}, expected fewer than the {scenario.bars.context} bars of the context"
                violations.add((*at, "context", "shocks", number, "bars_back"), words)
        contexts = scenario.context.alone()
        names = [name] if len(contexts) == 1 else [f"{name}_{rank}" for rank in range(1, len(contexts) + 1)]
        if len(contexts) > 1:
            for other in names:
                if same_file(other) in taken or bad_name(other):
                    words = f"a search for {len(contexts)} crises makes {names[0]} to {names[-1]}, and "
                    reason = bad_name(other) or f"'{other}' is taken"
                    violations.add((*at, "name"), f"{words}{reason}; name it otherwise")
                    break
        asset = f".{scenario.asset}" if scenario.asset else ""
        copies = ({"name": other + asset, "context": context} for other, context in zip(names, contexts, strict=True))
        scenarios += [scenario.model_copy(update=copy) for copy in copies]
    own = [scenario for scenario in scenarios if scenario is not None]
    futures = [*dict.fromkeys(scenario.future for scenario in own)]
    own.sort(key=lambda scenario: futures.index(scenario.future))  # the assets of one future stand together
    if own and all(scenario.replay is not None for scenario in own):
        words = "every scenario is a replay, of one path each; add one that samples paths, such as - name: base"
        violations.add(("scenarios",), words)
    return [*own, *(None for scenario in scenarios if scenario is None)]


def check_name(name: Any, where: Where, violations: Violations) -> None:
    """Note a name that cannot serve as a file name."""
    if not isinstance(name, str):
        violations.add(where, f"got {shown(name)}, expected text")
    elif reason := bad_name(name):
        violations.add(where, f"got {shown(name)}; {reason}")


def _baselines(values: Mapping[str, Any], violations: Violations) -> list[str]:
    listed = values.get("baselines", [])
    if not isinstance(listed, list):
        violations.add(("baselines",), f"got {shown(listed)}, expected a list like [bootstrap]")
        return []
    good: list[str] = []
    for position, kind in enumerate(listed):
        at: Where = ("baselines", position)
        if kind not in BASELINES:
            violations.add(at, f"got {shown(kind)}, expected {one_of(BASELINES)}{nearest(kind, BASELINES)}")
        elif kind in good:
            violations.add(at, f"{kind} is there twice; keep it once")
        else:
            good.append(str(kind))
    return good


def _baseline_section(kind: str, base: Mapping[str, Any]) -> dict[str, Any]:
    """Return a baseline's generator section: of the base's generator it shares only what is done to its paths."""
    generator = base.get("generator")
    shared = generator if isinstance(generator, Mapping) else {}
    return {"kind": kind} | {name: shared[name] for name in ("volatility", "recalibrate", "drift") if name in shared}


def _resolve(
    name: str, role: str, merged: Overlay, folder: Path, violations: Violations, asset: AssetEntry | None = None
) -> ResolvedScenario | None:
    """Build one scenario from its merged sections, or note what is wrong with them and return None."""
    before = len(violations.mistakes)
    if "data" not in merged.values:
        violations.add((), "'data' is missing: say where the history comes from, e.g. data: {source: sp500}")
    keys = [key for key in (*OVERRIDABLE, *OWN) if key in merged.values]
    parts: dict[str, Any] = {key: _section(key, merged, violations, asset is not None) for key in keys}
    if isinstance(data := parts.get("data"), Data):
        check_data(data, lambda where: merged.place(("data", *where)), violations)
    history = merged.values.get("data")
    if isinstance(history, Mapping) and isinstance(history.get("file"), str):
        check_data_file(history["file"], folder, merged.place(("data", "file")), violations)
    if isinstance(generator := parts.get("generator"), KronosGenerator):
        check_model(generator.model, folder, merged.place(("generator", "model")), violations)
    matrix = joint.get("correlation") if isinstance(joint := merged.values.get("joint"), Mapping) else None
    if isinstance(matrix, str):
        check_data_file(matrix, folder, merged.place(("joint", "correlation")), violations)
    if isinstance(joint := parts.get("joint"), Joint) and (joint.calibrate.crisis or "") not in ("", *BY_ID):
        violations.add(merged.place(("joint", "calibrate", "crisis")), unknown_crisis(joint.calibrate.crisis))
    check_event(parts, merged.values, merged.place, violations)
    if reason := no_limit(parts, merged.values.get("market")):
        violations.add(merged.place(("broker", "at_limit")), reason)
    if "shocks" in merged.values:
        if "replay" in merged.values:
            words = "got shocks beside replay, expected them in scenarios of their own"
            violations.add(merged.place(("shocks",)), words)
        parts["shocks"] = _shocks(parts.get("bars"), data, merged, violations)
    if len(violations.mistakes) > before or None in parts.values() or "data" not in parts or bad_name(name):
        return None
    parts["filled"] = tuple(merged.filled)
    if asset is not None:
        own = tuple(shock for shock in parts.get("shocks", ()) if shock.asset in (None, asset.name))
        name, parts = f"{name}.{asset.name}", {"joint": Joint(), **parts, "asset": asset.name, "shocks": own}
        parts["portfolio"] = parts.pop("event", None)
    return ResolvedScenario.model_validate({"name": name, "role": role, **parts})


def _section(key: str, merged: Overlay, violations: Violations, in_book: bool = False) -> Section | None:
    values = merged.values[key]
    known = SECTIONS | OWN | (OF_BOOKS if in_book else {})
    model = _generator_model(values, merged, violations) if key == "generator" else known[key]
    if model is None:
        return None
    if not isinstance(values, Mapping):
        keys = ", ".join(model.model_fields)
        violations.add(merged.place((key,)), f"got {shown(values)}, expected a mapping with some of: {keys}")
        return None
    if key == "broker" and _has_idle_multiples(values, merged, violations):
        return None
    return violations.section(model, values, lambda where: merged.place((key, *where)))


def _shocks(bars: Any, data: Any, merged: Overlay, violations: Violations) -> tuple[Shock, ...]:
    """Return a scenario's shocks, held against its horizon where that is known."""
    horizon = bars.horizon if isinstance(bars, BarCounts) else BarCounts().horizon if bars is None else MAX_HORIZON
    has_volume = not (isinstance(data, Data) and data.volume == "drop")
    return read_shocks(merged.values["shocks"], horizon, merged.place(("shocks",)), violations, has_volume=has_volume)


def _has_idle_multiples(values: Mapping[str, Any], merged: Overlay, violations: Violations) -> bool:
    """Note costs such as ``x3`` that had no cost of the base to multiply."""
    before = len(violations.mistakes)
    for name, value in values.items():
        where = merged.place(("broker", name))
        if words := problem(name, value, in_scenario=where[:1] == ("scenarios",)):
            violations.add(where, words)
    return len(violations.mistakes) > before


def _generator_model(values: Any, merged: Overlay, violations: Violations) -> type[Section] | None:
    """Return the model of the generator's kind; a section without ``kind`` is a Kronos generator."""
    kind = values.get("kind", DEFAULT) if isinstance(values, Mapping) else DEFAULT
    if isinstance(kind, str) and kind in GENERATORS:
        return GENERATORS[kind]
    words = f"got {shown(kind)}, expected {one_of(GENERATORS)}{nearest(kind, GENERATORS)}"
    violations.add(merged.place(("generator", "kind")), words)
    return None


def _check_base_alone(base: Mapping[str, Any], violations: Violations) -> None:
    """Note wrong values of the base even where every scenario overrides them.

    What a section lacks is not judged here: the scenarios may add it.
    """
    plain = overlay(base, {}, ())
    for key in plain.values:
        values = plain.values[key]
        alone = Violations(violations.document)
        if isinstance(values, Mapping):
            _section(key, plain, alone)
        violations.mistakes |= {mistake for mistake in alone.mistakes if mistake[1] != key}


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
