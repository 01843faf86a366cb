"""What a reader needs to run it again: identity, data, seed, device, versions, as rows of text."""

from __future__ import annotations

from scenario_gen.report.table import PlacedScenario
from scenario_gen.report.words import name, visible
from scenario_gen.store.results import StressRun


def repro_rows(run: StressRun, base: PlacedScenario) -> list[tuple[str, str]]:
    """Return name and text of everything that decides the run's numbers, and of when and where it ran."""
    context = base.scenario.context
    rows = [
        ("Run", f"{name(run.name)}, {run.created}"),
        *((f"Identity: {key}", value) for key, value in run.identity.items()),
        (
            "Data",
            f"{name(context.instrument)}: {visible(context.source)}, {moment(context.start)} to {moment(context.end)}",
        ),
        ("Context sha256", context.sha256),
        ("Seed", _seeds(run)),
        ("Flags of the history", f"{len(context.flags)}, listed in section 2" if context.flags else "none"),
        ("Device", ", ".join(f"{key} {value}" for key, value in run.device.items())),
        ("Versions", ", ".join(f"{key} {value}" for key, value in run.versions.items())),
        ("Seconds", ", ".join(f"{key} {value:.1f}" for key, value in run.seconds.items())),
    ]
    return [(key, value or "not stated") for key, value in rows]


def _seeds(run: StressRun) -> str:
    """Return seed, paths and block of every scenario, said once where they are the same."""
    told: dict[str, list[str]] = {}
    for scenario in run.spec.get("scenarios", []):
        paths = scenario.get("paths", {})
        if "seed" in paths:
            text = f"{paths['seed']} ({paths.get('count')} paths in blocks of {paths.get('block')})"
            told.setdefault(text, []).append(name(str(scenario.get("name", ""))))
    parts = [text if len(told) == 1 else f"{text}: {', '.join(names)}" for text, names in told.items()]
    return "; ".join(parts)


def moment(stamp: str) -> str:
    """Return an ISO stamp, as a date where it means a whole day."""
    return name(stamp.removesuffix("T00:00:00"))
