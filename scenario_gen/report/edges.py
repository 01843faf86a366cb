"""What a model cannot express, in words: bars at the edge of its price levels, and context that was clipped.

Owns what is told of which representation. The counts are the generator's; nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Sequence

from scenario_gen.report import words
from scenario_gen.report.cells import PlacedScenario
from scenario_gen.report.numbers import Shown, plain
from scenario_gen.report.words import Sentence, say


def edge_sentences(scenarios: Sequence[PlacedScenario]) -> list[Sentence]:
    """Return a sentence per scenario whose model has an edge, and one where context was clipped."""
    return [sentence for placed in scenarios for sentence in _of(placed)]


def _of(placed: PlacedScenario) -> list[Sentence]:
    generator = placed.scenario.generator
    told = []
    if "pinned_paths" in generator and generator.get("representation") == "levels":
        told.append(
            say(
                words.EDGE_PATHS,
                scenario=placed.title,
                bars=_count(placed, "pinned_bars"),
                all_bars=plain(float(placed.scenario.candles.bars), "count", f"{placed.at}/candles/bars"),
                paths=_count(placed, "pinned_paths"),
                all_paths=plain(float(placed.scenario.paths), "count", f"{placed.at}/paths"),
            )
        )
    if generator.get("clipped_context_bars"):
        told.append(
            say(
                words.EDGE_CONTEXT,
                scenario=placed.title,
                bars=_count(placed, "clipped_context_bars"),
                all_bars=_count(placed, "context_bars"),
            )
        )
    return told


def _count(placed: PlacedScenario, key: str) -> Shown:
    return plain(float(placed.scenario.generator[key]), "count", f"{placed.at}/generator/{key}")
