"""The best of a grid, deflated: parameter sets as trials, and how many of them are really different.

Knows arrays [bar, set]; knows neither strategies nor paths. Sources [1] to [3] are those of ``sharpe``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.metrics import NO_VARIANCE
from scenario_gen.backtest.overfitting.sharpe import (
    SharpeRecord,
    annualised,
    deflated_sharpe,
    expected_maximum_sharpe,
    minimum_backtest_years,
    minimum_track_record,
    probabilistic_sharpe,
)


@dataclass(frozen=True)
class DeflatedSharpe:
    """The best parameter set of a grid and what is left of it when its choice is accounted for.

    Sharpe ratios are per year (per bar x sqrt(bars per year)), risk-free rate 0. ``None`` throughout where
    ``reason`` says why there is nothing to tell.
    """

    best: int | None = None  # column of the set with the largest Sharpe ratio
    sharpe: float | None = None  # its Sharpe ratio
    standard_error: float | None = None  # of that ratio, skewness and kurtosis counted in, its choice not
    skewness: float | None = None  # of its returns
    kurtosis: float | None = None  # of its returns, raw: 3 for a normal distribution
    bars: int = 0  # returns that each set has
    trials: int = 0  # parameter sets with a Sharpe ratio
    without_ratio: int = 0  # parameter sets that have none: they never traded, or their returns do not vary
    effective_trials: float | None = None  # independent trials that the correlated sets amount to
    deviation: float | None = None  # standard deviation of the sets' Sharpe ratios; None for one set
    expected_maximum: float | None = None  # Sharpe ratio that the best of ``trials`` shows by luck
    probabilistic: float | None = None  # probability that the true ratio is above 0, were this the only set tried
    # the same, deflated by all ``trials``: what is judged. Of grids whose sets correlate by .9 it calls 3.7 % of those
    # without skill skilled at 5 %
    deflated: float | None = None
    deflated_by_effective: float | None = None  # the same, deflated by ``effective_trials``: too liberal, 7.7 % there
    # bars that a record like this needs to be above 0 at 95 %; None where no length does
    minimum_track_record: float | None = None
    # years below which the best of ``trials`` reaches a ratio of 1 by luck
    minimum_backtest_years: float | None = None
    years: float | None = None  # of the record, by the calendar's bars per year
    reason: str = ""  # why there are no numbers


def deflate_best(returns: Floats, bars_per_year: float) -> DeflatedSharpe:
    """Choose the set with the largest Sharpe ratio, and account for the choice [2].

    Args:
        returns: float [bar, set], simple returns of every parameter set tried over the same bars, those that were
            dropped later included: what is not counted is not deflated.
        bars_per_year: of the calendar.
    """
    returns = np.asarray(returns, dtype=np.float64)
    bars, sets = returns.shape
    records = [SharpeRecord.of(column) for column in returns.T]
    ratios = np.array([math.nan if record is None else record.sharpe for record in records])
    known = np.isfinite(ratios)
    if not known.any():
        reason = "no parameter set has a Sharpe ratio: too few bars, or returns that do not vary"
        return DeflatedSharpe(bars=bars, without_ratio=sets, reason=reason)
    best, trials = int(np.nanargmax(ratios)), int(known.sum())
    record = records[best]
    assert record is not None
    variance = float(ratios[known].var(ddof=1)) if trials > 1 else 0.0
    effective = effective_trials(returns[:, known])
    record_needed = minimum_track_record(record)
    return DeflatedSharpe(
        best=best,
        sharpe=annualised(record.sharpe, bars_per_year),
        standard_error=annualised(record.error, bars_per_year),
        skewness=record.skewness,
        kurtosis=record.kurtosis,
        bars=bars,
        trials=trials,
        without_ratio=sets - trials,
        effective_trials=effective,
        deviation=annualised(math.sqrt(variance), bars_per_year) if trials > 1 else None,
        expected_maximum=annualised(expected_maximum_sharpe(trials, variance), bars_per_year),
        probabilistic=_number(probabilistic_sharpe(record)),
        deflated=_number(deflated_sharpe(record, trials, variance)),
        deflated_by_effective=_number(deflated_sharpe(record, effective, variance)),
        minimum_track_record=_number(record_needed),
        minimum_backtest_years=minimum_backtest_years(trials),
        years=bars / bars_per_year,
    )


def effective_trials(returns: Floats) -> float:
    """Return how many independent trials correlated ones amount to: r + (1 - r) M, r their mean correlation [2].

    It is shown and not judged by: dense sets leave more to luck than so few trials would. It is the method of the
    paper that deflates with it (its appendix 3); it needs no clustering, whose outcome hangs on a seed, and is exact at
    both ends: 1 for copies of one set, M for uncorrelated ones. A negative mean correlation counts as 0: there are
    never more trials than sets.

    Args:
        returns: float [bar, set]; sets whose returns do not vary are left out.

    Returns:
        Between 1 and the number of sets; 1 where no set varies.
    """
    returns = np.asarray(returns, dtype=np.float64)
    returns = returns[:, returns.std(axis=0) > NO_VARIANCE]
    sets = int(returns.shape[1])
    if sets < 2:
        return 1.0
    correlation = min(max(mean_correlation(returns), 0.0), 1.0)
    return correlation + (1 - correlation) * sets


def mean_correlation(returns: Floats) -> float:
    """Return the mean correlation over all pairs of at least two sets that vary, returns [bar, set].

    The variance of the sum of M standardised series is M + M (M - 1) r, which spares the M x M matrix.
    """
    sets = int(returns.shape[1])
    standard = (returns - returns.mean(axis=0)) / returns.std(axis=0)
    return (float(standard.sum(axis=1).var()) - sets) / (sets * (sets - 1))


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
