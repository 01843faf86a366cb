"""What a spec may not say beside an event, whose probability would mean nothing, and whose paths views may weigh.

Owns the rules that reach beyond one section: what else stands in the scenario, its generator, and the limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scenario_gen.generators.sections import KronosGenerator
from scenario_gen.reading.section import Section, Violations
from scenario_gen.reading.words import nearest, one_of, shown
from scenario_gen.reading.yaml import Where
from scenario_gen.spec.models import ResolvedScenario
from scenario_gen.stress.event import FEWEST_ISLANDS, Event, PortfolioEvent, truncated
from scenario_gen.stress.view import MOST_VIEWS, View, contradictions

NO_EVENT_BESIDE = ("shocks", "replay", "reweight", "views", "jitter")  # what changes paths after they are scored


def check_event(
    parts: Mapping[str, Section | None],
    values: Mapping[str, Any],
    place: Callable[[Where], Where],
    violations: Violations,
) -> None:
    """Note a sampler without an event, and what makes the probability of one mean nothing."""
    if "event" not in parts:
        if "sampler" in parts:
            violations.add(place(("sampler",)), "a sampler finds the paths of an event, and there is no 'event'")
        return
    for key in NO_EVENT_BESIDE:
        if key in values:
            words = f"an event and {key} in one scenario: the probability would be of paths that are changed afterwards"
            violations.add(place((key,)), f"{words}; give each a scenario of its own")
    event, generator = parts["event"], parts.get("generator")
    if not isinstance(event, Event | PortfolioEvent) or not isinstance(generator, KronosGenerator | None):
        return
    if words := truncated(event, generator or KronosGenerator()):
        key = next((key for key in ("top_p", "top_k") if key in values.get("generator", {})), "kind")
        violations.add(place(("generator", key)), words)


def check_event_limits(
    limits: Mapping[str, Any], scenarios: Sequence[ResolvedScenario], violations: Violations
) -> None:
    """Note limits on the probability of events that are no scenario's, or that would have no interval."""
    asked = {scenario.name: scenario for scenario in scenarios if scenario.event and not scenario.reweight}
    asked |= {scenario.future: scenario for scenario in scenarios if scenario.portfolio}
    for name, allowed in limits.items():
        where: Where = ("limits", "event_probability", name)
        if isinstance(allowed, bool) or not isinstance(allowed, float | int) or not 0.0 < allowed < 1.0:
            violations.add(where, f"got {shown(allowed)}, expected a probability between 0 and 1")
        elif name not in asked:
            expected = f"a scenario with an event{': ' + one_of(asked) if asked else ''}"
            violations.add(where, f"got {shown(name)}, expected {expected}{nearest(name, asked)}")
        elif asked[name].sampler.method != "rejection" and asked[name].sampler.islands[0] < FEWEST_ISLANDS:
            words = (
                f"{name} has {asked[name].sampler.islands[0]} islands at least, and so few have no interval to judge"
            )
            violations.add(where, f"{words}; expected sampler.islands of [{FEWEST_ISLANDS}, 16] or more")


# --- Scenarios that have the paths of another one, weighed by views: whose paths, and which views ---


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
            if isinstance(source, str) and source in written and violations.mistakes:
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
