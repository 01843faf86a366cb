"""The section on designed stress: one answer per question that a run was asked, each from a function in its own file.

Owns their order. To add one: a function of run, scenarios and base in ``report/tables/`` that returns an
:class:`~scenario_gen.report.table.Answer`, or None where the run was not asked, and its entry in :data:`ANSWERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from scenario_gen.report.table import Answer, PlacedScenario, Table
from scenario_gen.report.tables.accounts import account_answer
from scenario_gen.report.tables.crises import crises_answer, replays_answer, responses_answer
from scenario_gen.report.tables.events import events_answer, reverse_answer
from scenario_gen.report.tables.robustness import jitter_answer, shock_answer
from scenario_gen.report.tables.views import views_answer
from scenario_gen.store.results import StressRun

AnswerOf: TypeAlias = Callable[[StressRun, Sequence[PlacedScenario], PlacedScenario], Answer | None]
ANSWERS: tuple[AnswerOf, ...] = (
    account_answer,
    shock_answer,
    crises_answer,
    replays_answer,
    responses_answer,
    events_answer,
    reverse_answer,
    views_answer,
    jitter_answer,
)


def answers(run: StressRun, placed: Sequence[PlacedScenario], base: PlacedScenario) -> list[Answer]:
    """Return the answers that the run was asked for, in their order."""
    return [answer for answer_of in ANSWERS if (answer := answer_of(run, placed, base)) is not None]


def answer_tables(run: StressRun, placed: Sequence[PlacedScenario], base: PlacedScenario) -> list[Table]:
    """Return the tables of the answers for the terminal, each under its question."""
    return [
        replace(table, title=f"{answer.title} {table.title}".rstrip())
        for answer in answers(run, placed, base)
        for table in answer.tables
    ]
