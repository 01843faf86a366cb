"""Verdicts put together: the label of each group, and what the reference itself would be flagged for."""

from __future__ import annotations

from collections.abc import Sequence

from scenario_gen.checks.facts import Audit
from scenario_gen.checks.inference.results import Design, FactsReport, FactVerdict, LongFigure
from scenario_gen.checks.scores import ScoreVerdict
from scenario_gen.finding import by_group

ENSEMBLE = "ensemble"  # the group of the scores


def assemble(
    design: Design,
    facts: list[FactVerdict],
    scores: list[ScoreVerdict],
    audit: Audit,
    notes: list[str],
    long: Sequence[LongFigure] = (),
) -> FactsReport:
    """Return the report with the verdict of each group; ``long`` has a part in none."""
    labelled = [(fact.group, fact.label) for fact in facts] + [(ENSEMBLE, score.label) for score in scores]
    return FactsReport(
        mode=design.mode,
        design=design,
        facts=facts,
        groups=by_group((group, label) for group, label in labelled if label is not None),
        scores=scores,
        audit=audit,
        yardstick=[fact.fact for fact in facts if fact.halves_label in ("FAIL", "WARN")],
        notes=notes,
        long=list(long),
    )
