"""The answer on what breaks a strategy: its sentence, its table, its picture, and what is said of too few paths."""

from __future__ import annotations

import dataclasses
import re
from types import ModuleType

import numpy as np
import pytest

from scenario_gen.report.page import build_page
from scenario_gen.report.table import place
from scenario_gen.report.tables.events import TRAIT_WORDS, reverse_answer
from scenario_gen.report.words import FORBIDDEN, text_of
from scenario_gen.store.results import StressRun
from scenario_gen.stress.reverse import TRAITS, reverse_stress


def _with_reverse(run: StressRun, hit: int = 60) -> StressRun:
    """The first scenario broken by paths that gap down."""
    rng = np.random.default_rng(8)
    gap, body = rng.normal(0, 0.002, (400, 30)), rng.normal(0, 0.01, (400, 30))
    inside = np.arange(400) < hit
    gap[inside, ::5] -= 0.03
    close = np.cumsum(gap + body, axis=1)
    logs = np.stack([close - body, np.maximum(close, close - body), np.minimum(close, close - body), close], axis=-1)
    found = reverse_stress(
        100 * np.exp(logs), 100.0, inside, np.arange(400), weights=None, bars_per_year=252.0, strategy="SmaCross"
    )
    first, *others = run.scenarios
    return dataclasses.replace(run, scenarios=[dataclasses.replace(first, reverse=found), *others])


def test_the_page_says_what_the_paths_share_with_the_numbers_of_the_run(mini: StressRun, checks: ModuleType) -> None:
    run, before = _with_reverse(mini), checks.check_numbers(build_page(mini), mini)
    page = build_page(run)
    # the sentence's two counts and means of a trait or more, and three numbers in each row of the table
    assert checks.check_numbers(page, run) >= before + 4 + 3 * len(TRAITS)
    text = " ".join(checks.seen(page).split())
    assert "What do the paths share that break the strategy?" in text
    assert (
        "the 60 paths that break SmaCross, as many as 60 independent ones, stand out by share of squared moves in gaps"
        in text
    )
    for word in FORBIDDEN:
        assert re.search(rf"\b{re.escape(word)}\b", text, flags=re.IGNORECASE) is None, word
    assert "Average path of the event: −" in page


def test_every_trait_has_its_words() -> None:
    assert TRAIT_WORDS.keys() == TRAITS.keys()


def test_too_few_paths_are_told_and_draw_nothing(mini: StressRun) -> None:
    run = _with_reverse(mini, hit=3)
    placed = place(run)
    answer = reverse_answer(run, placed, placed[0])
    assert answer is not None
    assert text_of(answer.sentences[0]).endswith("SmaCross: 3 paths are too few to say what they share.")
    assert answer.tables == ()
    assert answer.figures == ()


def test_a_run_that_was_not_asked_has_no_answer(mini: StressRun) -> None:
    placed = place(mini)
    assert reverse_answer(mini, placed, placed[0]) is None


@pytest.mark.parametrize("ends", [(1.0, 1.0, 1.0), (0.9, 0.9001, 1.2)])
def test_the_words_at_the_ends_of_lines_do_not_touch(mini: StressRun, ends: tuple[float, float, float]) -> None:
    from scenario_gen.report.tables.events import _apart

    found = _with_reverse(mini).scenarios[0].reverse
    assert found is not None
    stories = [dataclasses.replace(story, close=[1.0, end]) for story, end in zip(found.stories, ends, strict=False)]
    told = _apart(dataclasses.replace(found, stories=stories, inside=[1.0, 1.0], usual=[1.0, 1.0]), (-0.2, 0.3))
    heights = [at for at, _ in told]
    assert len(told) == 5
    assert min(np.diff(heights)) >= 0.5 / 18 - 1e-12
