"""Many contexts at once give the paths of each context alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scenario_gen.generators.base import BatchGenerator, sample_contexts
from scenario_gen.generators.bootstrap import StationaryBootstrap
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.kronos import KronosPaths
from scenario_gen.kronos import Checkpoint, load_checkpoint, walk as many
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.market import Candles, PathSet

GOLDEN = Path(__file__).parents[1] / "kronos" / "golden"


def _compare(generator: KronosPaths, history: Candles, context: int, horizon: int) -> None:
    ends = [2000, 2100, 2900]
    contexts = [history.rows(end - context, end) for end in ends]
    stamps = [history.timestamps[end : end + horizon] for end in ends]
    together = sample_contexts(generator, contexts, stamps, Draws.block(3, 10, 12))
    assert isinstance(generator, BatchGenerator)
    for place, one in enumerate(together):
        alone = generator.sample(contexts[place], stamps[place], Draws.block(3, 10 + 4 * place, 4))
        assert one.fields == alone.fields
        assert one.path_ids.tolist() == alone.path_ids.tolist()
        assert one.anchor_close == alone.anchor_close
        assert one.timestamps.equals(alone.timestamps)
        # equal tokens; features differ by float32 reordering (1e-5 of a standard deviation of 1 %)
        np.testing.assert_allclose(one.values, alone.values, rtol=1e-4, atol=1e-3 * one.values[..., :4].std())


def _generator(checkpoint: Checkpoint, window: str = "reanchor") -> KronosPaths:
    return KronosPaths.of(checkpoint, SamplingRule(1.0), window=window, device="cpu")  # type: ignore[arg-type]


def test_contexts_that_fit_the_window(tiny_checkpoint: Checkpoint, sp500: Candles) -> None:
    _compare(_generator(tiny_checkpoint), sp500, 40, 10)


def test_contexts_longer_than_the_window(tiny_checkpoint: Checkpoint, sp500: Candles) -> None:
    _compare(_generator(tiny_checkpoint), sp500, 200, 10)


def test_horizons_beyond_the_window(tiny_checkpoint: Checkpoint, sp500: Candles) -> None:
    _compare(_generator(tiny_checkpoint), sp500, 50, 30)


def test_the_sliding_window(tiny_checkpoint: Checkpoint, sp500: Candles) -> None:
    _compare(_generator(tiny_checkpoint, "slide"), sp500, 40, 5)


def test_published_levels(sp500: Candles) -> None:
    _compare(_generator(replace(load_checkpoint(GOLDEN), max_context=64)), sp500, 100, 8)


def test_chunks_of_contexts_change_nothing(
    tiny_checkpoint: Checkpoint, sp500: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, results = _generator(tiny_checkpoint), []
    contexts = [sp500.rows(end - 40, end) for end in (500, 600, 700)]
    stamps = [sp500.timestamps[end : end + 6] for end in (500, 600, 700)]
    for most in (1024, 8, 1):
        monkeypatch.setattr(many, "PATHS_AT_ONCE", most)
        results.append(generator.sample_many(contexts, stamps, Draws.block(1, 0, 12)))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_allclose(a.values, b.values, rtol=1e-4)


def test_a_generator_of_one_context_is_asked_one_by_one(sp500: Candles) -> None:
    contexts = [sp500.rows(end - 100, end) for end in (500, 600)]
    stamps = [sp500.timestamps[end : end + 6] for end in (500, 600)]
    made: list[PathSet] = sample_contexts(StationaryBootstrap(), contexts, stamps, Draws.block(1, 0, 10))
    assert [one.path_ids.tolist() for one in made] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert [one.anchor_close for one in made] == [one.close[-1] for one in contexts]
