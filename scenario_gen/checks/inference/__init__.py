"""Verdicts on stylized facts: clustered tests, multiplicity, labels, and the report of a realism check.

Owns the comparison of paths with real windows (modes B and C) and with what came true (mode A). Knows bars and
histories on one side, numbers on the other; nothing of generators or files.
"""

from __future__ import annotations

from scenario_gen.checks.inference.by_origin import FactsByOrigin, check_facts_by_origin
from scenario_gen.checks.inference.check import check_facts
from scenario_gen.checks.inference.cross_asset import check_cross_facts, check_cross_facts_by_origin
from scenario_gen.checks.inference.results import Comparison, Design, FactsReport, FactVerdict, LongFigure, Mode
from scenario_gen.stats.contrast import Contrast

__all__ = [
    "Comparison",
    "Contrast",
    "Design",
    "FactVerdict",
    "FactsByOrigin",
    "FactsReport",
    "LongFigure",
    "Mode",
    "check_cross_facts",
    "check_cross_facts_by_origin",
    "check_facts",
    "check_facts_by_origin",
]
