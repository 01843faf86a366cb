"""Stylized facts of candles: their estimators, vectorised over paths, and the audit of a reference history.

Owns the list of facts, the statistics and what a history cannot tell. Passes no verdict.
"""

from __future__ import annotations

from scenario_gen.checks.facts.audit import Audit, audit_assets, audit_reference
from scenario_gen.checks.facts.bars import Bars
from scenario_gen.checks.facts.cross_asset import cross_facts, cross_statistics
from scenario_gen.checks.facts.facts import FACT, FACTS, Fact
from scenario_gen.checks.facts.gauge import Gauge, deseasonalise
from scenario_gen.checks.facts.long_facts import LONG_FACTS, LongFact, long_facts_of
from scenario_gen.checks.facts.panel import Panel
from scenario_gen.checks.facts.statistics import path_statistics
from scenario_gen.checks.facts.windows import Windows, windows

__all__ = [
    "FACT",
    "FACTS",
    "LONG_FACTS",
    "Audit",
    "Bars",
    "Fact",
    "Gauge",
    "LongFact",
    "Panel",
    "Windows",
    "audit_assets",
    "audit_reference",
    "cross_facts",
    "cross_statistics",
    "deseasonalise",
    "long_facts_of",
    "path_statistics",
    "windows",
]
