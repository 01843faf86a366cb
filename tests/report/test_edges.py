"""The page says where a model's price levels end, in the run's own numbers, and nothing where there is no edge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scenario_gen.report.page import build_page
from scenario_gen.report.table import place
from scenario_gen.report.tables.candles import edge_sentences
from scenario_gen.report.words import text_of
from scenario_gen.store.results import StressRun
from tests.report.checks import seen

LEVELS = {
    "representation": "levels",
    "pinned_bars": 141,
    "pinned_paths": 23,
    "context_bars": 256,
    "clipped_context_bars": 3,
}


def _with(run: StressRun, **generator: Any) -> StressRun:
    first = run.scenarios[0]
    changed = replace(first, generator={**first.generator, **generator})
    return replace(run, scenarios=[changed, *run.scenarios[1:]])


def test_pinned_bars_and_clipped_context_are_told(full: StressRun) -> None:
    run = _with(full, **LEVELS)
    told = [text_of(sentence) for sentence in edge_sentences(place(run))]
    assert told == [
        "base: 141 of 32\u202f256 generated bars, on 23 of 512 paths, have a price near the edge of what this model "
        "can express, 5 standard deviations from the mean of its context. Beyond it there is nothing, so tails end "
        "there.",
        "base: 3 of 256 context bars lie beyond what this model reads, most often in volume; it saw them cut off.",
    ]
    page = seen(build_page(run))
    assert "The edge of what the model can express" in page
    assert "most often in volume" in page


def test_levels_without_a_pinned_bar_say_so_too(full: StressRun) -> None:
    run = _with(full, **{**LEVELS, "pinned_bars": 0, "pinned_paths": 0, "clipped_context_bars": 0})
    told = [text_of(sentence) for sentence in edge_sentences(place(run))]
    assert len(told) == 1
    assert "0 of 32\u202f256 generated bars" in told[0]


def test_a_model_without_an_edge_has_no_such_section(full: StressRun) -> None:
    run = _with(full, **{**LEVELS, "representation": "increments", "clipped_context_bars": 0})
    assert edge_sentences(place(run)) == []
    assert "The edge of what" not in seen(build_page(run))
