"""Checks of generated paths: how lifelike they are, and how far a generator can be trusted.

    from scenario_gen.realism import BarArrays, check_facts

    report = check_facts(BarArrays.of_arrays(o, h, l, c, v, anchor_close=last), history, seed=0)

Knows paths, contexts and histories; nothing of generators. The rooms of facts and verdicts are imported when one
of their names is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenario_gen.lazy import public_names

if TYPE_CHECKING:
    from scenario_gen.realism.assets import (
        check_cross_facts as check_cross_facts,
        check_cross_facts_by_origin as check_cross_facts_by_origin,
    )
    from scenario_gen.realism.bars import BarArrays as BarArrays
    from scenario_gen.realism.by_origin import check_facts_by_origin as check_facts_by_origin
    from scenario_gen.realism.check import check_facts as check_facts
    from scenario_gen.realism.facts import path_statistics as path_statistics
    from scenario_gen.realism.panel import Panel as Panel, cross_statistics as cross_statistics
    from scenario_gen.realism.results import FactsReport as FactsReport
else:
    __getattr__, __dir__ = public_names(__name__)
