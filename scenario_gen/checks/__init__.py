"""Checks of generated paths: how lifelike they are, and how far a generator can be trusted.

    from scenario_gen.checks import Bars, check_facts

    report = check_facts(Bars.of_arrays(o, h, l, c, v, anchor_close=last), history, seed=0)

Knows paths, contexts and histories; nothing of generators. The rooms of facts and verdicts are imported when one
of their names is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenario_gen.lazy import public_names

if TYPE_CHECKING:
    from scenario_gen.checks.facts import (
        Bars as Bars,
        Panel as Panel,
        cross_statistics as cross_statistics,
        path_statistics as path_statistics,
    )
    from scenario_gen.checks.inference import (
        FactsReport as FactsReport,
        check_cross_facts as check_cross_facts,
        check_cross_facts_by_origin as check_cross_facts_by_origin,
        check_facts as check_facts,
        check_facts_by_origin as check_facts_by_origin,
    )
else:
    __all__, __getattr__, __dir__ = public_names(__name__)
