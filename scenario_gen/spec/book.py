"""A spec of several assets: every scenario once for each, with the asset's own history, market and costs.

A scenario ``base`` of the assets spx and ndx becomes ``base.spx`` and ``base.ndx``. What the base says of data, market
and broker holds for all assets where they say nothing themselves; a scenario's override comes last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scenario_gen.backtest.broker import in_numbers
from scenario_gen.joint.section import ASSET_COSTS, ASSET_KEYS, MAX_ASSETS, OF_ALL_DATA, OF_ITS_DATA
from scenario_gen.market.section import INSTRUMENT
from scenario_gen.reading.section import Violations
from scenario_gen.reading.words import bad_name, nearest, one_of, same_file, shown
from scenario_gen.reading.yaml import Where

OF_ALL = " and ".join((", ".join(OF_ALL_DATA[:-1]), OF_ALL_DATA[-1]))
# Keys of a scenario that ask something of one asset's paths alone, and why they have no answer for several.
ALONE_ONLY: Mapping[str, str] = {
    "replay": "a replay is told in the bars of one asset",
    "reweight": "views weigh the paths of one asset, and would part each future from that of the others",
    "views": "views weigh the paths of one asset, and would part each future from that of the others",
    "jitter": "sloppy execution is measured in the orders of one asset",
}
ALONE_IN_CONTEXT: Mapping[str, str] = {
    "shocks": "shocks are written into the last bars of one asset",
    "normaliser": "it is for shocks in the context, which belong to one asset",
}


@dataclass(frozen=True)
class AssetEntry:
    """One asset of a spec as it was written."""

    name: str
    values: Mapping[str, Any]
    at: Where  # its place in the document

    def base(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """Return the base's sections with what the asset says of its data, market and costs."""
        data = {key: self.values[key] for key in OF_ITS_DATA if key in self.values}
        dates = _mapping(base.get("data"))
        own: dict[str, Any] = {**base, "data": {**dates, **data, "name": self.name}}
        if "market" in self.values:
            own["market"] = self.values["market"]
        if isinstance(broker := self.values.get("broker"), Mapping):
            plain = _mapping(in_numbers(base.get("broker", {})))
            own["broker"] = {**plain, **in_numbers(broker, plain)}
        return own

    def origin(self, place: Where) -> Where:
        """Return where a value of the asset's base was written: in its entry, or where the base says it."""
        section, *rest = place
        if place == ("data",):
            return self.at  # e.g. neither source nor file, or both, which the base cannot say
        keys = (*rest,) if section == "data" else (section, *rest)
        value: Any = self.values
        for key in keys:
            if not isinstance(value, Mapping) or key not in value:
                return place
            value = value[key]
        return (*self.at, *keys) if keys else place


def read_assets(values: Mapping[str, Any], violations: Violations) -> list[AssetEntry]:
    """Return the assets of a spec, noting every mistake that needs no history to be seen."""
    listed = values.get("assets")
    if not isinstance(listed, list) or not listed:
        violations.add(("assets",), f"got {shown(listed)}, expected a list like [{{name: spx, source: sp500}}, ...]")
        return []
    if not 2 <= len(listed) <= MAX_ASSETS:
        words = f"got {len(listed)} assets, expected 2 to {MAX_ASSETS}; of one asset say 'data' and leave 'assets' out"
        violations.add(("assets",), words)
        return []
    entries, taken = [], {}
    sources: dict[tuple[Any, ...], str] = {}
    for number, item in enumerate(listed):
        at: Where = ("assets", number)
        if not violations.mapping(item, at, ASSET_KEYS, needed=("name",)):
            continue
        name = item.get("name")
        if not isinstance(name, str) or bad_name(name) or "." in name:
            reason = bad_name(name) if isinstance(name, str) else ""
            violations.add((*at, "name"), f"got {shown(name)}; {reason or 'expected text without a dot'}")
            continue
        if same_file(name) in taken:
            violations.add((*at, "name"), f"the name '{name}' is taken by another asset; give each its own")
        taken[same_file(name)] = number
        history = tuple(repr(item.get(key)) for key in INSTRUMENT)
        if history in sources:
            words = f"'{name}' has the history of '{sources[history]}': two such assets are one, of correlation 1"
            violations.add(at, f"{words}; leave one out")
        sources.setdefault(history, name)
        violations.mapping(item.get("broker", {}), (*at, "broker"), ASSET_COSTS)
        entries.append(AssetEntry(name, item, at))
    return entries


def check_book(values: Mapping[str, Any], violations: Violations) -> None:
    """Note what a spec of several assets may not say, and keys of such a spec in another."""
    if "assets" not in values:
        listed = values.get("scenarios")
        entries = enumerate(listed) if isinstance(listed, list) else ()
        places: list[Where] = [("joint",)] if "joint" in values else []
        places += [("scenarios", at, "joint") for at, item in entries if isinstance(item, Mapping) and "joint" in item]
        for place in places:
            violations.add(place, "says how several assets hang together, and there are no 'assets'")
        for place, shock in _shocks_of(listed):
            for key in ("asset", "others"):
                if shock.get(key) is not None:
                    violations.add((*place, key), "is of a shock on one of several assets, and there are no 'assets'")
        return
    _of_all_assets(values.get("data", {}), ("data",), violations)
    assets = values["assets"] if isinstance(values["assets"], list) else []
    names = [item["name"] for item in assets if isinstance(item, Mapping) and isinstance(item.get("name"), str)]
    scenarios = values.get("scenarios")
    for number, item in enumerate(scenarios if isinstance(scenarios, list) else []):
        if isinstance(item, Mapping):
            _check_scenario(item, ("scenarios", number), names, violations)
    _check_shocks(values, names, violations)


def _check_scenario(item: Mapping[str, Any], at: Where, assets: Sequence[str], violations: Violations) -> None:
    """Note what a scenario of several assets may not say."""
    for key, why in ALONE_ONLY.items():
        if key in item:
            violations.add((*at, key), f"not with several assets: {why}; leave it out, or run that asset alone")
    context = item.get("context")
    for key, why in ALONE_IN_CONTEXT.items():
        if isinstance(context, Mapping) and key in context:
            violations.add((*at, "context", key), f"not with several assets: {why}")
    _of_all_assets(item.get("data", {}), (*at, "data"), violations)
    event = _mapping(item.get("event"))
    for asset in _mapping(event.get("weights")):
        if asset not in assets:
            words = f"got {shown(asset)}, expected {one_of(assets)}{nearest(asset, assets)}"
            violations.add((*at, "event", "weights", asset), words)
    name, last = item.get("name"), str(item.get("name")).rpartition(".")[2]
    if isinstance(name, str) and "." in name and same_file(last) in {same_file(asset) for asset in assets}:
        words = f"got {shown(name)}, which reads as the asset '{last}' of a scenario; expected another name"
        violations.add((*at, "name"), words)


def _check_shocks(values: Mapping[str, Any], assets: Sequence[str], violations: Violations) -> None:
    """Note shocks on assets that there are not, and those whose bars are not the same in every asset."""
    scenarios, answered = values.get("scenarios"), dict[tuple[Where, int], str]()
    for place, shock in _shocks_of(scenarios):
        at, asset, bar = place[:2], shock.get("asset"), shock.get("bar", 0)
        own = scenarios[place[1]].get("joint", {})  # type: ignore[index]
        joint = {**_mapping(values.get("joint")), **_mapping(own)}
        if joint.get("calendar") == "union":
            words = "bars of a shock are those of all assets, and calendar: union leaves each its own"
            violations.add(place, f"{words}; expected joint: {{calendar: intersection}}")
        if asset is None:
            continue
        if asset not in assets:
            words = f"expected {one_of(assets)}{nearest(asset, assets)}" if assets else "and there are no assets"
            violations.add((*place, "asset"), f"got {shown(asset)}, {words}")
        elif shock.get("kind") == "gap" and shock.get("others") != "as_they_are":
            if not isinstance(bar, int):
                continue  # which the shock's own section tells
            if (at, bar) in answered:
                words = f"others respond at bar {bar} to one gap at a time, and there is one of {answered[at, bar]}"
                violations.add((*place, "bar"), f"{words}; expected another bar, or others: as_they_are")
            answered[at, bar] = str(asset)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _shocks_of(scenarios: Any) -> Iterator[tuple[Where, Mapping[str, Any]]]:
    """Yield place and keys of every shock that is written as it should be."""
    for at, item in enumerate(scenarios if isinstance(scenarios, list) else []):
        listed = item.get("shocks") if isinstance(item, Mapping) else None
        for number, shock in enumerate(listed if isinstance(listed, list) else []):
            if isinstance(shock, Mapping):
                yield ("scenarios", at, "shocks", number), shock


def _of_all_assets(data: Any, at: Where, violations: Violations) -> None:
    """Note keys of a data section that one asset alone can have."""
    if not isinstance(data, Mapping):
        violations.add(at, f"beside 'assets' it holds for all of them: got {shown(data)}, expected {OF_ALL}")
    elif wrong := [key for key in data if key not in OF_ALL_DATA]:
        words = f"beside 'assets' it holds for all of them: got {one_of(wrong)}, expected {OF_ALL} only"
        violations.add(at, words)
