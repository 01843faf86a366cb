"""The section on designed stress: one answer per question that a run was asked, each from a function in its own file.

Owns what an answer is made of and their order. To add one: a function of run, scenarios and base that returns a
:class:`Answer`, or None where the run was not asked, and its entry in :data:`ANSWERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from markupsafe import Markup

from scenario_gen.report.table import PlacedScenario, Table
from scenario_gen.report.words import Sentence
from scenario_gen.store.results import StressRun


@dataclass(frozen=True)
class Answer:
    """One question and its answer: sentences, then tables, then figures with their captions."""

    title: str
    sentences: tuple[Sentence, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[tuple[Markup, Sentence], ...] = ()  # a drawing and its caption


AnswerOf: TypeAlias = Callable[[StressRun, Sequence[PlacedScenario], PlacedScenario], "Answer | None"]
ANSWERS: tuple[AnswerOf, ...] = ()


def answers(run: StressRun, placed: Sequence[PlacedScenario], base: PlacedScenario) -> list[Answer]:
    """Return the answers that the run was asked for, in their order."""
    return [answer for answer_of in ANSWERS if (answer := answer_of(run, placed, base)) is not None]
