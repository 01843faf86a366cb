"""What a Sharpe ratio is worth: its error, the luck of the best of many trials, and how long a record must be.

All Sharpe ratios here are **per bar**, not annualised, because the formulas hold at the frequency of the returns;
:func:`annualised` and :class:`DeflatedSharpe` turn them into yearly figures. Kurtosis is **raw** (3 for a normal
distribution), never excess. A trial is a parameter set. The formulas take returns as independent; autocorrelated
ones have a larger error (Lo 2002). Knows arrays; knows neither strategies nor paths.

Sources:
    [1] Bailey and Lopez de Prado (2012), The Sharpe Ratio Efficient Frontier, Journal of Risk 15(2).
    [2] Bailey and Lopez de Prado (2014), The Deflated Sharpe Ratio, Journal of Portfolio Management 40(5).
    [3] Bailey, Borwein, Lopez de Prado and Zhu (2014), Pseudo-Mathematics and Financial Charlatanism,
        Notices of the AMS 61(5).
    [4] Mertens (2002), Comments on variance of the IID estimator in Lo; the standard error used in [1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.metrics import NO_VARIANCE

LEAST_BARS = 3  # fewer returns have no skewness
TARGET = 1.0  # Sharpe ratio per year that the minimum backtest length guards against, as in [3]


@dataclass(frozen=True)
class SharpeRecord:
    """What the formulas need to know of a series of returns."""

    sharpe: float  # mean over standard deviation of the returns, per bar
    bars: int  # how many returns
    skewness: float  # third standardised moment
    kurtosis: float  # fourth standardised moment, raw: 3 for a normal distribution

    @classmethod
    def of(cls, returns: Floats) -> SharpeRecord | None:
        """Measure simple returns [bar]; None where fewer than three, not finite, or without variance.

        Skewness and kurtosis are the sample's own (divided by the number of bars), which keeps the variance in
        :attr:`error` from ever being negative.
        """
        values = np.asarray(returns, dtype=np.float64)
        if len(values) < LEAST_BARS or not np.isfinite(values).all():
            return None
        deviation = float(values.std(ddof=1))
        if deviation <= NO_VARIANCE:
            return None
        standard = (values - values.mean()) / values.std()
        return cls(
            sharpe=float(values.mean()) / deviation,
            bars=len(values),
            skewness=float(np.mean(standard**3)),
            kurtosis=float(np.mean(standard**4)),
        )

    @property
    def error(self) -> float:
        """Standard error of the Sharpe ratio, per bar [1, 4]."""
        return math.sqrt(self._spread / (self.bars - 1))

    @property
    def _spread(self) -> float:
        return 1 - self.skewness * self.sharpe + (self.kurtosis - 1) / 4 * self.sharpe**2


def annualised(sharpe: float, bars_per_year: float) -> float:
    """Return a Sharpe ratio per bar as one per year: times the square root of the bars per year."""
    return sharpe * math.sqrt(bars_per_year)


def probabilistic_sharpe(record: SharpeRecord, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio exceeds a benchmark [1].

    Args:
        record: the returns.
        benchmark: Sharpe ratio per bar.

    Returns:
        Between 0 and 1; NaN for returns of two values that leave the ratio without an error.
    """
    from scipy.special import ndtr

    if record.error <= NO_VARIANCE:
        return math.nan
    return float(ndtr((record.sharpe - benchmark) / record.error))


def expected_maximum(trials: float) -> float:
    """Return the expected maximum of this many independent standard normal numbers [2, 3].

    The approximation from extreme value theory; its error at 10 trials is 2 %, and less above. Below some 1.3 trials
    (an effective number need not be whole) it would be negative, and 0 is returned: one trial is no choice.

    Args:
        trials: at least 1.

    Raises:
        ValueError: fewer than one trial.
    """
    from scipy.special import ndtri

    if trials < 1:
        raise ValueError(f"the maximum of {trials} trials does not exist")
    if trials == 1:
        return 0.0
    gamma = float(np.euler_gamma)
    value = (1 - gamma) * ndtri(1 - 1 / trials) + gamma * ndtri(1 - 1 / (trials * math.e))
    return max(float(value), 0.0)


def expected_maximum_sharpe(trials: float, variance: float) -> float:
    """Return the Sharpe ratio that the best of several trials without any skill is expected to show [2].

    Args:
        trials: how many independent ones.
        variance: of the trials' Sharpe ratios, in the unit (per bar or per year) in which the result comes.
    """
    return math.sqrt(variance) * expected_maximum(trials)


def deflated_sharpe(record: SharpeRecord, trials: float, variance: float) -> float:
    """Return the probability that the chosen trial's true Sharpe ratio is above 0, its choice accounted for [2].

    It is the probabilistic Sharpe ratio whose benchmark is what the best of the trials shows by luck.

    Args:
        record: the returns of the chosen trial.
        trials: how many independent ones it was chosen from.
        variance: of the trials' Sharpe ratios per bar.
    """
    return probabilistic_sharpe(record, expected_maximum_sharpe(trials, variance))


def minimum_track_record(record: SharpeRecord, benchmark: float = 0.0, confidence: float = 0.95) -> float:
    """Return how many bars a record like this needs to show a Sharpe ratio above a benchmark [1].

    Args:
        record: Sharpe ratio, skewness and kurtosis as they are expected to stay.
        benchmark: Sharpe ratio per bar.
        confidence: of the statement.

    Returns:
        Bars, not rounded; infinite where the ratio is not above the benchmark: no length would show it.
    """
    from scipy.special import ndtri

    if record.sharpe <= benchmark:
        return math.inf
    return 1 + record._spread * (float(ndtri(confidence)) / (record.sharpe - benchmark)) ** 2


def minimum_backtest_years(trials: float, sharpe: float = TARGET) -> float:
    """Return the years below which the best of these trials is expected to show a Sharpe ratio by luck alone [3].

    Args:
        trials: how many independent ones.
        sharpe: the ratio per year that luck should not reach.
    """
    return (expected_maximum(trials) / sharpe) ** 2


# --- The best of a grid, deflated: sets as trials, and how many of them are really different ---


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
