"""Islands of a checkpoint's paths: as probable as plain paths say, moved within the event, and replayed alone."""

from __future__ import annotations

import numpy as np

from scenario_gen.generators.draws import Draws
from scenario_gen.generators.kronos import KronosPaths
from scenario_gen.kronos import Checkpoint
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.market import BarCalendar, Candles
from scenario_gen.stress.event import Event, Sampler
from scenario_gen.stress.events import Outset, score_of
from scenario_gen.stress.exceedance import standard_error
from scenario_gen.stress.rare import Asked
from scenario_gen.stress.splitting import IslandDraws, replay

BARS = 20


def test_a_checkpoints_rare_drawdown_is_as_probable_as_its_plain_paths_say(
    tiny_checkpoint: Checkpoint, sp500: Candles
) -> None:
    context = sp500.split_at("2016-03-31")[0].context(40)
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(BARS)
    generator = KronosPaths.of(tiny_checkpoint, SamplingRule(1.0), device="cpu")
    outset = Outset.of(context, BARS, 252.0)
    plain = generator.sample(context, stamps, Draws.block(9, 0, 2000)).values
    fall = score_of(Event(functional="max_drawdown", at_least=0.5), outset)(plain).measure
    depth = float(np.round(np.quantile(fall, 0.99), 3))
    truth = float(np.mean(fall >= depth))
    score = score_of(Event(functional="max_drawdown", at_least=depth), outset)
    asked, sampler = Asked(generator, context, stamps, 1, "tiny"), Sampler(island=48, islands=(8, 8))
    islands = [asked.island(index, score, sampler) for index in range(8)]
    found = np.array([island.probability for island in islands])
    # four standard errors with seven degrees of freedom: one seed in 190 would fail
    assert abs(found.mean() - truth) < 4 * np.hypot(standard_error(found), np.sqrt(truth / 2000))
    assert standard_error(found) < 0.5 * truth
    island = islands[0]
    assert max(len(island.lineage(row)) for row in range(48)) > 2
    for row in (0, 31, 47):
        walk = generator.start(context, stamps, 1)
        alone = replay(walk, IslandDraws(1, "tiny", 0), island.lineage(row), BARS)
        np.testing.assert_allclose(alone, island.values[row], rtol=2e-5)  # float32 sums of products of other shapes
