"""Checks of generated paths: how lifelike they are, and how far a generator can be trusted.

    from scenario_gen.checks import Bars, check_facts

    report = check_facts(Bars.of_arrays(o, h, l, c, v, anchor_close=last), history, seed=0)

Knows paths, contexts and histories; nothing of generators. The rooms of facts and verdicts are imported when one
of their names is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenario_gen.checks.facts import Bars, Panel, cross_statistics, path_statistics
    from scenario_gen.checks.inference import (
        FactsReport,
        check_cross_facts,
        check_cross_facts_by_origin,
        check_facts,
        check_facts_by_origin,
    )

_FACTS = ("Bars", "Panel", "cross_statistics", "path_statistics")
_INFERENCE = ("FactsReport", "check_cross_facts", "check_cross_facts_by_origin", "check_facts", "check_facts_by_origin")

__all__ = [
    "Bars",
    "FactsReport",
    "Panel",
    "check_cross_facts",
    "check_cross_facts_by_origin",
    "check_facts",
    "check_facts_by_origin",
    "cross_statistics",
    "path_statistics",
]


def __getattr__(name: str) -> Any:
    """Import the home of a public name when it is first asked for."""
    for home, names in (("facts", _FACTS), ("inference", _INFERENCE)):
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
