"""What a spec may not say of an event beside it: what would make its probability mean nothing.

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
from scenario_gen.stress.event import FEWEST_ISLANDS, Event, truncated

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
    if not isinstance(event, Event) or not isinstance(generator, KronosGenerator | None):
        return
    if words := truncated(event, generator or KronosGenerator()):
        key = next((key for key in ("top_p", "top_k") if key in values.get("generator", {})), "kind")
        violations.add(place(("generator", key)), words)


def check_event_limits(
    limits: Mapping[str, Any], scenarios: Sequence[ResolvedScenario], violations: Violations
) -> None:
    """Note limits on the probability of events that are no scenario's, or that would have no interval."""
    asked = {scenario.name: scenario for scenario in scenarios if scenario.event and not scenario.reweight}
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
