"""Scenarios that have the paths of another one, weighed by views: whose paths, and which views.

Owns the two keys of such a scenario, and what may not stand beside them. What a view is stands in
:mod:`scenario_gen.stress.view`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scenario_gen.reading.section import Violations
from scenario_gen.reading.words import nearest, one_of, shown
from scenario_gen.reading.yaml import Where
from scenario_gen.spec.models import ResolvedScenario
from scenario_gen.stress.view import MOST_VIEWS, View, contradictions

WEIGHED = ("reweight", "views")


def is_weighed(item: Mapping[str, Any]) -> bool:
    """Say whether an entry of the list of scenarios has the paths of another one."""
    return any(key in item for key in WEIGHED)


def weighed_by_views(
    resolved: Sequence[ResolvedScenario | None],
    entries: Sequence[tuple[str, Mapping[str, Any], Where]],
    violations: Violations,
) -> list[ResolvedScenario]:
    """Return the scenarios that have views: each as the one whose paths it weighs, with its own name and its views.

    Args:
        resolved: the scenarios that sample their own paths.
        entries: name, keys and place of every scenario.
        violations: where mistakes are noted.
    """
    known = {scenario.name: scenario for scenario in resolved if scenario is not None}
    written = {name for name, item, _ in entries if not is_weighed(item)}
    weighed = []
    for name, item, at in entries:
        if not is_weighed(item):
            continue
        views, source = _views(item, at, violations), item.get("reweight")
        if others := [key for key in item if key not in ("name", *WEIGHED)]:
            words = f"got {', '.join(others)} beside reweight, expected name, reweight and views alone"
            violations.add((*at, others[0]), f"{words}: the paths are those of another scenario")
        if "reweight" not in item:
            violations.add(at, "'reweight' is missing: name the scenario whose paths the views weigh")
        elif not isinstance(source, str) or source not in known:
            if source in written and violations.mistakes:
                continue  # which could not be resolved, and that is told
            words = f"got {shown(source)}, expected a scenario that samples its own paths: {one_of(known or ['none'])}"
            violations.add((*at, "reweight"), words + nearest(source, known))
        elif known[source].replay is not None:
            violations.add((*at, "reweight"), f"'{source}' is a replay of one path, which has nothing to weigh")
        elif name and views:
            # What made the paths is the other scenario's, and is asked and told there.
            copy = {"name": name, "reweight": source, "views": views, "event": None, "shocks": ()}
            weighed.append(known[source].model_copy(update=copy))
    return weighed


def _views(item: Mapping[str, Any], at: Where, violations: Violations) -> tuple[View, ...]:
    """Return the views of a scenario, noting what is wrong with each and which of them cannot hold together."""
    listed = item.get("views")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_VIEWS:
        words = f"expected a list of 1 to {MOST_VIEWS} views, such as - {{mean: terminal_return, equals: -0.05}}"
        violations.add((*at, "views") if "views" in item else at, f"got {shown(listed)} as views, {words}")
        return ()
    views = []
    for place, values in enumerate(listed):
        where: Where = (*at, "views", place)
        if not violations.mapping(values, where, tuple(View.model_fields)):
            continue
        built = violations.section(View, values, lambda inner, where=where: (*where, *inner))  # type: ignore[misc]
        views += [built] if built is not None else []
    if len(views) == len(listed):
        for place, words in contradictions(views):
            violations.add((*at, "views", place), words)
    return tuple(views)
