"""What is a ranking of strategies on generated paths worth? Set beside how they ranked on what came, origin by origin.

At each origin every strategy is run over the generator's paths and over the one real future; Spearman's correlation of
the mean return on the paths with the return that came says how far the paths put them in the right order. One future
is mostly chance, so a single origin says nothing and the mean over origins little: the figure has an interval, and
those of simpler generators stand beside it. It is shown and gets no label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.errors import CheckError
from scenario_gen.forecasts.harness import Forecast, Sampling, generator_label, observe
from scenario_gen.forecasts.origins import Origin
from scenario_gen.generators.base import Generator
from scenario_gen.market.paths import PathSet
from scenario_gen.stats.estimate import Floats
from scenario_gen.stats.means import mean_test
from scenario_gen.stats.scores import DM_LAG

FEWEST_SETS, FEWEST_ORIGINS = 3, 10  # below which no order, or no mean of orders, says anything
SCORE = "total_return"  # the metric that strategies are ranked by


@dataclass(frozen=True)
class RankedBeside:
    """One generator's mean rank correlation less a baseline's, at the origins of both."""

    baseline: str  # name
    difference: float  # above zero ours ranks strategies better
    p: float  # two-sided, that they are equal


@dataclass(frozen=True)
class StrategyRanks:
    """How a generator's ranking of strategies agrees with what came."""

    generator: str  # name
    sets: int  # strategies, each with each of its parameter sets
    origins: int  # that could be ranked: not all strategies earned the same
    correlation: float  # mean of Spearman's over origins: 0 a ranking worth nothing, 1 the order that came
    low: float  # lower end of its 95 % interval, for neighbours that hang together
    high: float
    beside: list[RankedBeside]
    by_origin: list[float]  # oldest first; those that could be ranked


def rank_strategies(
    generators: Sequence[Generator],
    origins: Sequence[Origin],
    strategies: Sequence[LoadedStrategy],
    sampling: Sampling,
    *,
    bars_per_year: float,
    broker: Broker | None = None,
    advance: Callable[[int], None] = lambda steps: None,
) -> list[StrategyRanks]:
    """Rank strategies on every generator's paths and on what came, from the same origins.

    Args:
        generators: the judged one first, then those it is compared with.
        origins: of one history, whose futures do not overlap.
        strategies: at least three, each with one set of parameters; better twenty and more.
        sampling: context, horizon, paths and seed of every ensemble.
        bars_per_year: of the history.
        broker: the account; default: no costs, fills at the next open.
        advance: hears of origins, once per generator.

    Raises:
        CheckError: too few strategies or origins, or fewer than ten origins that can be ranked.
        StrategyError: a strategy raised, or answered something unusable.
    """
    if len(strategies) < FEWEST_SETS or len(origins) < FEWEST_ORIGINS:
        raise CheckError(
            f"{len(strategies)} strategies and sets of parameters at {len(origins)} origins",
            expected=f"at least {FEWEST_SETS}, better 24, at {FEWEST_ORIGINS} origins, better 20, to have an order",
            fix="list several values of a parameter, or take a shorter horizon",
        )

    def look(forecast: Forecast, rng: np.random.Generator) -> float:
        del rng  # nothing is drawn here
        ground = Ground.of(forecast.context, bars_per_year=bars_per_year, broker=broker)
        return _agreement(_earned(strategies, ground, forecast.paths), _earned(strategies, ground, forecast.real))

    seen = [dict(observe(one, origins, look, sampling, advance).seen) for one in generators]
    known = [place for place in range(len(origins)) if all(np.isfinite(one.get(place, np.nan)) for one in seen)]
    if len(known) < FEWEST_ORIGINS:
        raise CheckError(
            f"at {len(known)} of {len(origins)} origins the strategies earned different returns on all paths",
            expected=f"at least {FEWEST_ORIGINS}",
            fix="take strategies that trade within the horizon, or a longer horizon",
        )
    names = [generator_label(one) for one in generators]
    series = [np.array([one[place] for place in known]) for one in seen]
    return [
        _result(name, len(strategies), values, list(zip(names[1:], series[1:], strict=True)) if not place else [])
        for place, (name, values) in enumerate(zip(names, series, strict=True))
    ]


def _earned(strategies: Sequence[LoadedStrategy], ground: Ground, paths: PathSet) -> Floats:
    """Return each strategy's mean return over paths [strategy]."""
    return np.array([trade(one, ground, paths).metrics[SCORE].mean() for one in strategies])


def _agreement(drawn: Floats, came: Floats) -> float:
    """Return Spearman's correlation; NaN where all earned the same on one of the two sides."""
    if np.ptp(drawn) == 0 or np.ptp(came) == 0:
        return float("nan")
    return float(spearmanr(drawn, came).statistic)


def _result(name: str, sets: int, values: Floats, others: Sequence[tuple[str, Floats]]) -> StrategyRanks:
    test = mean_test(values, DM_LAG)
    beside = [
        RankedBeside(baseline, float((values - theirs).mean()), mean_test(values - theirs, DM_LAG).p)
        for baseline, theirs in others
    ]
    low, high = test.mean - test.half_width, test.mean + test.half_width
    return StrategyRanks(name, sets, len(values), test.mean, low, high, beside, values.tolist())
