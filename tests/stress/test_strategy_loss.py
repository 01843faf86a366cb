"""A strategy's own loss as an event: counted as its backtest counts it, led by the bars so far, found without bias."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri
from scipy.stats import norm

from scenario_gen.backtest import Bars, LoadedStrategy, Signals, probe_causality, run_backtest
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.ground import Ground
from scenario_gen.errors import CheckError, SpecError
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.gbm import GbmPaths
from scenario_gen.generators.walks import ChainWalk, sample_walk
from scenario_gen.market import BarCalendar, Candles, PathSet
from scenario_gen.market.paths import Floats
from scenario_gen.stress.events import (
    CALMEST,
    KAPPA,
    MONITORED,
    Loss,
    Outset,
    StrategyScore,
    flat_share,
    strategy_meant,
    unfit_for_splitting,
)
from scenario_gen.stress.exceedance import relative_error
from scenario_gen.stress.splitting import IslandDraws, Plan, run_island

BARS = 40


@dataclass(frozen=True)
class Always:
    """All equity in the market at every bar."""

    def weights(self, bars: Bars) -> pd.DataFrame:
        return pd.DataFrame(1.0, index=bars.close.index, columns=bars.close.columns)


@dataclass(frozen=True)
class Trend:
    """Long above the average of ten closes, short below it."""

    ahead: int = 0

    def signals(self, bars: Bars) -> Signals:
        above = bars.close.shift(-self.ahead) > bars.close.rolling(10).mean()
        return Signals(entries=above, exits=~above, short_entries=~above, short_exits=above)


@dataclass(frozen=True)
class Never:
    """Does nothing."""

    def weights(self, bars: Bars) -> pd.DataFrame:
        return pd.DataFrame(0.0, index=bars.close.index, columns=bars.close.columns)


def _loaded(instance: Any, name: str = "") -> LoadedStrategy:
    return LoadedStrategy(name or type(instance).__name__, "here.py:X", {}, instance, Path(__file__))


@pytest.fixture(scope="module")
def context(sp500: Candles) -> Candles:
    return sp500.split_at("2016-03-31")[0].context(60)


def _walk(context: Candles, rows: int) -> ChainWalk:
    """Normal steps of .9 % a bar, opened at the close before and without wicks."""

    def next_bar(state: Floats, uniforms: Floats) -> tuple[Floats, Floats, Floats]:
        close = 0.009 * ndtri(uniforms[:, 0])
        steps = np.stack([0 * close, np.maximum(close, 0), np.minimum(close, 0), close], axis=1)
        return steps, np.full(len(state), 1e6), state

    return ChainWalk.start(context, BARS, rows, 1, next_bar)


@pytest.fixture(scope="module")
def plain(context: Candles) -> PathSet:
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(BARS)
    return GbmPaths().sample(context, stamps, Draws.block(5, 0, 300))


@pytest.fixture
def score(context: Candles, plain: PathSet) -> Callable[..., StrategyScore]:
    def make(
        instance: Any, loss: Loss = "strategy_loss", threshold: float = 0.05, broker: Broker | None = None
    ) -> StrategyScore:
        ground = Ground.of(context, bars_per_year=252.0, broker=broker or Broker(fees=0.0005))
        outset = Outset.of(context, BARS, 252.0)
        return StrategyScore(_loaded(instance), ground, plain.timestamps, outset, loss, threshold)

    return make


@pytest.mark.parametrize(("loss", "metric"), [("strategy_loss", "total_return"), ("strategy_drawdown", "max_drawdown")])
def test_losses_are_those_of_the_backtest_with_its_costs(
    score: Callable[..., StrategyScore], plain: PathSet, context: Candles, loss: Loss, metric: str
) -> None:
    broker = Broker(fees=0.002, slippage=0.001, borrow=0.05)
    scored = score(Trend(), loss, 0.05, broker)(plain.values)
    ran = run_backtest(_loaded(Trend()), context, plain, broker, bars_per_year=252.0)
    np.testing.assert_allclose(scored.measure, np.abs(ran.metrics[metric]) * np.sign(scored.measure), atol=1e-6)
    assert np.array_equal(scored.happened, scored.measure >= 0.05)
    assert 10 < scored.happened.sum() < 290
    assert np.isposinf(scored.running[scored.happened]).any(axis=1).all()


def test_the_score_is_the_chance_that_the_account_still_falls_so_far(score: Callable[..., StrategyScore]) -> None:
    made = score(Always(), "strategy_loss", 0.2, Broker(fill="close"))
    anchor, variance = made.outset.anchor, made.outset.variance
    values = np.repeat(np.full((1, BARS, 1), anchor, dtype=np.float32), 4, axis=-1)
    values[:, 1:] *= np.float32(0.9)  # bought at the first close, down by a tenth at the second
    running = made(values).running[0]
    for step in (0.0, np.log(0.9)):
        variance = 0.94 * variance + 0.06 * step**2
    sigma = variance**0.5
    to_go = -np.log(0.8) + np.log(0.9) + MONITORED * sigma
    by_hand = np.log(2 * norm.cdf(-to_go / (KAPPA * sigma * np.sqrt(BARS - 2))))
    assert running[1] == pytest.approx(by_hand, rel=1e-4)  # prices are float32
    assert np.isneginf(running[-1])


def test_an_account_at_rest_is_taken_to_move_a_quarter_of_the_market(
    score: Callable[..., StrategyScore], plain: PathSet
) -> None:
    made = score(Never())
    level = np.zeros((300, BARS + 1))
    market = np.diff(np.log(np.column_stack([np.full(300, plain.anchor_close), plain.close.astype(np.float64)])))
    variance, decayed = np.full(300, made.outset.variance), made.outset.variance
    for bar in range(BARS):
        variance, decayed = 0.94 * variance + 0.06 * market[:, bar] ** 2, 0.94 * decayed
    by_hand = np.sqrt(np.maximum(decayed, CALMEST**2 * variance))
    np.testing.assert_allclose(made._deviation(level, plain.values)[:, -1], by_hand, rtol=1e-6)
    assert flat_share(made(plain.values).measure) == 1.0


@pytest.mark.parametrize("loss", ["strategy_loss", "strategy_drawdown"])
def test_the_score_of_a_bar_stays_when_later_bars_and_other_paths_change(
    score: Callable[..., StrategyScore], plain: PathSet, loss: Loss
) -> None:
    made, changed = score(Trend(), loss), plain.values.copy()
    changed[:, 17:, :4] *= 0.8
    before = made(plain.values).running
    np.testing.assert_array_equal(before[:, :17], made(changed).running[:, :17])
    np.testing.assert_allclose(before[40:90], made(plain.values[40:90]).running, rtol=1e-12)


@pytest.mark.parametrize(("loss", "threshold"), [("strategy_loss", 0.16), ("strategy_drawdown", 0.16)])
def test_splitting_finds_the_probability_that_plain_paths_have(
    score: Callable[..., StrategyScore], context: Candles, plain: PathSet, loss: Loss, threshold: float
) -> None:
    made = score(Trend(), loss, threshold)
    walk = _walk(context, 10_000)
    sample_walk(walk, np.random.default_rng(2).random((10_000, BARS, walk.per_bar)))
    truth = float(made(walk.values).happened.mean())
    islands = []
    for index in range(8):
        walk = _walk(context, 96)
        islands.append(run_island(walk, BARS, made, IslandDraws(3, "loss", index), Plan(96)).probability)
    error = relative_error(np.array(islands)) * np.mean(islands)
    assert 1e-3 < truth < 2e-2
    # four standard errors: one in 190 seeds fails with Student's t of seven degrees
    assert abs(np.mean(islands) - truth) < 4 * np.hypot(error, np.sqrt(truth / 10_000))
    assert error < 0.5 * truth


def test_a_strategy_that_looks_ahead_is_found_by_the_probe_and_stops_an_island(
    score: Callable[..., StrategyScore], context: Candles, plain: PathSet
) -> None:
    ground = Ground.of(context, bars_per_year=252.0)
    seen = {
        name: probe_causality(_loaded(one), ground, plain) for name, one in (("sees", Trend(3)), ("does not", Trend()))
    }
    assert unfit_for_splitting("Trend", seen["does not"]) == ""
    words = unfit_for_splitting("Trend", seen["sees"])
    assert words.startswith("Trend was not seen to decide by past bars alone (reads the next bars")
    walk = _walk(context, 64)
    with pytest.raises(CheckError, match="it looks ahead"):
        run_island(walk, BARS, score(Trend(3), threshold=0.1), IslandDraws(3, "loss", 0), Plan(64))


def test_the_strategy_of_an_event_is_one_set_of_parameters() -> None:
    known = [_loaded(Always(), name) for name in ("SmaCross(fast=10, slow=50)", "SmaCross(fast=20, slow=50)", "Hold")]
    assert strategy_meant("Hold", known) is known[2]
    assert strategy_meant("SmaCross(fast=20, slow=50)", known) is known[1]
    with pytest.raises(SpecError, match="of which 2 sets of parameters run"):
        strategy_meant("SmaCross", known)
    with pytest.raises(SpecError, match="none of the strategies") as refused:
        strategy_meant("Holt", known)
    assert "did you mean 'Hold'" in str(refused.value)
