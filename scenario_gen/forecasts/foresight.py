"""Do forecasts know anything of what comes: of volatility, of the order of strategies, of the drift.

Ranks can be even although every forecast is the same: a generator that always draws from the mix of all years is
calibrated, and blind. The correlation of the ensembles' median log realised volatility with what came, origin by
origin, tells the two apart, and so does its difference from that of simpler generators.

What is a ranking of strategies on generated paths worth? At each origin every strategy is run over the generator's
paths and over the one real future; Spearman's correlation of the mean return on the paths with the return that came
says how far the paths put them in the right order. One future is mostly chance, so a single origin says nothing and
the mean over origins little: the figure has an interval, and those of simpler generators stand beside it.

Both figures are shown and get no label. The drift of an ensemble gets one: a strategy that is long earns it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import stats
from scipy.stats import spearmanr

from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.errors import CheckError
from scenario_gen.finding import DRIFT, Finding, Label
from scenario_gen.forecasts.harness import Forecast, Sampling, generator_label, observe
from scenario_gen.forecasts.origins import Origin
from scenario_gen.generators.base import Generator
from scenario_gen.market.paths import PathSet
from scenario_gen.stats.estimate import Floats
from scenario_gen.stats.means import SeriesCorrelation, mean_test
from scenario_gen.stats.ranks import DM_LAG, HAC_LAG

FEWEST = 10  # origins, below which a correlation, or a mean of orders, says nothing


@dataclass(frozen=True)
class Beside:
    """One generator's correlation less a baseline's, at the origins that both forecast from."""

    baseline: str  # name
    difference: float  # above zero ours follows the market more closely, or ranks strategies better
    p: float  # two-sided, that they are equal
    origins: int


@dataclass(frozen=True)
class Foresight:
    """How a generator's forecasts of log realised volatility move with what came."""

    forecast: list[float]  # median of each ensemble, oldest origin first
    came: list[float]
    correlation: float | None  # None below ten origins, or where either never moves
    low: float | None  # lower end of its 95 % interval, for neighbours that hang together
    high: float | None
    beside: list[Beside] = field(default_factory=list)  # each baseline

    @classmethod
    def of(cls, forecast: Sequence[float], came: Sequence[float]) -> Foresight:
        """Correlate medians of ensembles with what came, one per origin, oldest first."""
        found = None if len(came) < FEWEST else SeriesCorrelation.of(np.array(forecast), np.array(came))
        if found is None or np.isnan(found.value):
            return cls([*forecast], [*came], None, None, None)
        return cls([*forecast], [*came], found.value, *found.interval(DM_LAG))

    def held_against(
        self, baseline: str, theirs: Foresight, ours_at: Sequence[int], theirs_at: Sequence[int]
    ) -> Foresight:
        """Return this with its difference from a baseline's; the places are those of the origins that both have."""
        if self.correlation is None or theirs.correlation is None or len(ours_at) < FEWEST:
            return self
        came = np.array(self.came)[ours_at]
        mine = SeriesCorrelation.of(np.array(self.forecast)[ours_at], came)
        other = SeriesCorrelation.of(np.array(theirs.forecast)[theirs_at], came)
        if np.isnan(mine.value) or np.isnan(other.value):
            return self
        difference, p = mine.less(other, DM_LAG)
        return replace(self, beside=[*self.beside, Beside(baseline, difference, p, len(came))])


# --- The order of strategies ---


FEWEST_SETS = 3  # strategies, below which no order says anything
SCORE = "total_return"  # the metric that strategies are ranked by


@dataclass(frozen=True)
class StrategyRanks:
    """How a generator's ranking of strategies agrees with what came."""

    generator: str  # name
    sets: int  # strategies, each with each of its parameter sets
    origins: int  # that could be ranked: not all strategies earned the same
    correlation: float  # mean of Spearman's over origins: 0 a ranking worth nothing, 1 the order that came
    low: float  # lower end of its 95 % interval, for neighbours that hang together
    high: float
    beside: list[Beside]  # each baseline
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
    if len(strategies) < FEWEST_SETS or len(origins) < FEWEST:
        raise CheckError(
            f"{len(strategies)} strategies and sets of parameters at {len(origins)} origins",
            expected=f"at least {FEWEST_SETS}, better 24, at {FEWEST} origins, better 20, to have an order",
            fix="list several values of a parameter, or take a shorter horizon",
        )

    def look(forecast: Forecast, rng: np.random.Generator) -> float:
        del rng  # nothing is drawn here
        ground = Ground.of(forecast.context, bars_per_year=bars_per_year, broker=broker)
        return _agreement(_earned(strategies, ground, forecast.paths), _earned(strategies, ground, forecast.real))

    seen = [dict(observe(one, origins, look, sampling, advance).seen) for one in generators]
    known = [place for place in range(len(origins)) if all(np.isfinite(one.get(place, np.nan)) for one in seen)]
    if len(known) < FEWEST:
        raise CheckError(
            f"at {len(known)} of {len(origins)} origins the strategies earned different returns on all paths",
            expected=f"at least {FEWEST}",
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
        Beside(baseline, float((values - theirs).mean()), mean_test(values - theirs, DM_LAG).p, len(values))
        for baseline, theirs in others
    ]
    low, high = test.mean - test.half_width, test.mean + test.half_width
    return StrategyRanks(name, sets, len(values), test.mean, low, high, beside, values.tolist())


# --- Drift: which way an ensemble leans, and how surely ---


NOTABLE = 0.25  # deviations of the horizon's return: a drift that decides what a long strategy earns


@dataclass(frozen=True)
class EnsembleDrift:
    """The drift of one ensemble over its horizon."""

    log_return: float  # mean log return
    log_return_low: float  # lower end of its 95 % Monte Carlo interval
    log_return_high: float  # upper end
    growth: float  # mean of last price over anchor, less 1: what buying and holding gains on average
    growth_low: float  # lower end of its 95 % Monte Carlo interval
    growth_high: float  # upper end
    # mean log return over the standard deviation of the paths' log returns; None if they are equal
    deviations: float | None


@dataclass(frozen=True)
class DriftAudit:
    """The drift of a generator over rolling origins, beside what really came; in context deviations.

    One unit is the context's volatility times the square root of the horizon.
    """

    generated: float  # mean over the origins of the ensemble's mean return
    generated_low: float  # lower end of the 95 % interval over origins
    generated_high: float  # upper end
    realised: float  # mean of the returns that came
    realised_low: float  # lower end of the 95 % interval over origins
    realised_high: float  # upper end
    p: float  # that generated and realised drift are equal
    # WARN where the generated drift is beyond a quarter of a deviation and surely so (its interval leaves out zero),
    # or where it surely differs from the realised one (p < .01)
    label: Label
    reason: str  # in words


def ensemble_drift(closes: Floats, anchor: float) -> EnsembleDrift:
    """Measure the drift of closes [path, bar], at least two paths, that set out from ``anchor``."""
    growth = closes[:, -1].astype(np.float64) / anchor
    returns = np.log(growth)
    mean, wide = float(returns.mean()), _monte_carlo(returns)
    gain, gain_wide = float(growth.mean()) - 1, _monte_carlo(growth)
    deviation = float(returns.std(ddof=1))
    return EnsembleDrift(
        log_return=mean,
        log_return_low=mean - wide,
        log_return_high=mean + wide,
        growth=gain,
        growth_low=gain - gain_wide,
        growth_high=gain + gain_wide,
        deviations=mean / deviation if deviation > 0 else None,
    )


def _monte_carlo(sample: Floats) -> float:
    """Return half the width of the 95 % interval of a mean."""
    return float(stats.norm.ppf(0.975) * sample.std(ddof=1) / np.sqrt(len(sample)))


def audit_drift(generated: Floats, realised: Floats, *, enough: bool) -> DriftAudit:
    """Compare ensembles' mean returns [origin] with what came [origin], both in context deviations.

    Args:
        generated: mean log return of each origin's ensemble.
        realised: log return that followed.
        enough: whether there are origins enough to judge.
    """
    ours, real = mean_test(generated, HAC_LAG), mean_test(realised, HAC_LAG)
    difference = mean_test(generated - realised, HAC_LAG)
    label: Label = "PASS"
    reason = f"no drift beyond {NOTABLE:g} context deviations, none that surely differs from the real one"
    if not enough:
        label, reason = "INCONCLUSIVE", "too few origins"
    elif abs(ours.mean) > NOTABLE and abs(ours.mean) > ours.half_width:
        label, reason = "WARN", f"the paths drift by {ours.mean:+.2f} context deviations over the horizon"
    elif difference.p < 0.01:
        label = "WARN"
        reason = f"the paths drift by {ours.mean:+.2f}, the market by {real.mean:+.2f} (p = {difference.p:.2g})"
    return DriftAudit(
        generated=ours.mean,
        generated_low=ours.mean - ours.half_width,
        generated_high=ours.mean + ours.half_width,
        realised=real.mean,
        realised_low=real.mean - real.half_width,
        realised_high=real.mean + real.half_width,
        p=difference.p,
        label=label,
        reason=reason,
    )


def drift_finding(scenario: str, bars: int, drift: EnsembleDrift) -> Finding:
    """Say which way a scenario's paths of so many bars lean, and whether that decides a backtest.

    In words: what merely holding earns on them.
    """
    sure = drift.log_return_low > 0 or drift.log_return_high < 0
    large = drift.deviations is not None and abs(drift.deviations) > NOTABLE
    gain = f"{drift.growth:+.2%} [{drift.growth_low:+.2%}, {drift.growth_high:+.2%}]"
    share = "" if drift.deviations is None else f", {drift.deviations:+.2f} deviations of a path's return"
    return DRIFT.finding(
        label="WARN" if large and sure else "PASS",
        measured=f"holding gains {gain} on average over {bars} bars{share}",
        band=f"a mean within {NOTABLE:g} deviations: beyond, the generator's drift decides what a long strategy earns",
        scenario=scenario,
    )
