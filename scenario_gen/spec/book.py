"""A spec of several assets: every scenario once for each, with the asset's own history, market and costs.

A scenario ``base`` of the assets spx and ndx becomes ``base.spx`` and ``base.ndx``. What the base says of data, market
and broker holds for all assets where they say nothing themselves; a scenario's override comes last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scenario_gen.backtest.broker import in_numbers
from scenario_gen.joint.section import ASSET_COSTS, ASSET_KEYS, MAX_ASSETS, OF_ITS_DATA
from scenario_gen.reading.places import bad_name, same_file
from scenario_gen.reading.section import Violations
from scenario_gen.reading.words import one_of, shown
from scenario_gen.reading.yaml import Where

BESIDE_ASSETS = ("assets", "joint")  # keys of a spec of several assets alone


@dataclass(frozen=True)
class AssetEntry:
    """One asset of a spec as it was written."""

    name: str
    values: Mapping[str, Any]
    at: Where  # its place in the document

    def base(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """Return the base's sections with what the asset says of its data, market and costs."""
        data = {key: self.values[key] for key in OF_ITS_DATA if key in self.values}
        shared = base.get("data")
        dates = shared if isinstance(shared, Mapping) else {}
        own: dict[str, Any] = {**base, "data": {**dates, **data, "name": self.name}}
        if "market" in self.values:
            own["market"] = self.values["market"]
        if isinstance(broker := self.values.get("broker"), Mapping):
            plain = in_numbers(base.get("broker", {}))
            own["broker"] = {**plain, **in_numbers(broker, plain)}
        return own

    def origin(self, place: Where) -> Where:
        """Return where a value of the asset's base was written: in its entry, or where the base says it."""
        section, *rest = place
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
        history = tuple(repr(item.get(key)) for key in ("source", "file", "symbol"))
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
        if "joint" in values:
            violations.add(("joint",), "says how several assets hang together, and there are no 'assets'")
        return
    data = values.get("data", {})
    if isinstance(data, Mapping) and (wrong := [key for key in data if key not in ("start", "end")]):
        words = f"beside 'assets' it holds for all of them: got {one_of(wrong)}, expected start and end only"
        violations.add(("data",), words)
