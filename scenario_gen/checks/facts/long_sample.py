"""Facts that only a long sample shows: tail index, decay of the volatility memory, extremal index.

Shown beside the verdicts and never a gate: they depend on the threshold or lag range, and on the mix of regimes.
Series are [path, bar] and are never joined end to end, for a join makes false memory. NaN below each function's
minimum of bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scenario_gen.checks.facts.moments import Array, row_dot

HILL_MIN_BARS = 1000  # over all paths; at 60 bars the 90 % band of the index runs from 1.5 to 10.6
DECAY_MIN_BARS = 2000  # over all paths
DECAY_MIN_LAGS = 10  # bars of a path, in units of the largest lag
EXTREMAL_MIN_BARS = 1000  # of each path

Tail = Literal["both", "upper", "lower"]


def hill_tail_index(returns: Array, share: float, tail: Tail = "both") -> float:
    """Return Hill's tail index alpha: 1 / mean ln(x_i / x_k) over the k = share * n largest of all returns.

    Hill 1975 (Ann. Stat. 3). A Student t with 4 degrees of freedom (alpha 4) reads 3.2 at 5 % and 3.6 at 1 %.

    Args:
        returns: [path, bar]; non-finite values are left out.
        share: of the sample that counts as tail, such as .05.
        tail: absolute returns, gains or losses; the share is always one of all returns.
    """
    x = returns[np.isfinite(returns)]
    k = int(share * len(x))
    if len(x) < HILL_MIN_BARS or k < 2:
        return float("nan")
    size = {"both": np.abs(x), "upper": x, "lower": -x}[tail]
    largest = np.sort(size)[-k - 1 :]
    if largest[0] <= 0:
        return float("nan")
    excess = float(np.mean(np.log(largest[1:] / largest[0])))
    return 1.0 / excess if excess > 0 else float("nan")


@dataclass(frozen=True, eq=False)
class LaggedSums:
    """Sums from which the pooled autocorrelation of many paths is made; they add up over blocks of paths.

    Attributes:
        lags: int64 [lag], lag 0 first.
        products: [lag], sum of x_t x_{t+k} over all paths.
        heads: [lag], sum of the x_t that have an x_{t+k}.
        tails: [lag], sum of those x_{t+k}.
        counts: [lag], pairs.
    """

    lags: NDArray[np.int64]
    products: Array
    heads: Array
    tails: Array
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, x: Array, max_lag: int) -> LaggedSums:
        """Sum up finite series [path, bar] longer than ``max_lag``."""
        paths, bars = x.shape
        if bars <= max_lag:
            raise ValueError(f"paths of {bars} bars have no lag {max_lag}")
        parts = [(x[:, : bars - k], x[:, k:]) for k in range(max_lag + 1)]
        return cls(
            lags=np.arange(max_lag + 1),
            products=np.array([row_dot(head, tail).sum() for head, tail in parts]),
            heads=np.array([head.sum() for head, _ in parts]),
            tails=np.array([tail.sum() for _, tail in parts]),
            counts=np.array([paths * (bars - k) for k in range(max_lag + 1)]),
        )

    def __add__(self, other: LaggedSums) -> LaggedSums:
        if not np.array_equal(self.lags, other.lags):
            raise ValueError("sums with different lags cannot be added")
        return LaggedSums(
            self.lags,
            self.products + other.products,
            self.heads + other.heads,
            self.tails + other.tails,
            self.counts + other.counts,
        )

    def acf(self) -> Array:
        """Return the autocorrelation around the mean of all paths, lags 1 and up: free of the -1 / T bias.

        It mixes the level differences between paths into the memory, so it is shown and not judged.
        """
        mean = self.heads[0] / self.counts[0]
        moment = (self.products - mean * (self.heads + self.tails)) / self.counts + mean * mean
        if moment[0] <= 0:
            return np.full(len(self.lags) - 1, np.nan)
        return np.asarray(moment[1:] / moment[0])


def memory_decay(acf: Array, bars: int) -> float:
    """Return beta, minus the slope of ln acf(k) on ln k over all lags given.

    Cont 2001 tells of a slow power law; the number depends on the lags, so compare like with like only.

    Args:
        acf: autocorrelations at lags 1, 2, ..., as :meth:`LaggedSums.acf` gives them; NaN unless all positive.
        bars: sample size behind them.
    """
    if bars < DECAY_MIN_BARS or len(acf) < 3 or not np.all(acf > 0):
        return float("nan")
    steps = np.log(np.arange(1, len(acf) + 1))
    return float(-np.polyfit(steps, np.log(acf), 1)[0])


def extremal_index(x: Array, quantile: float = 0.95) -> float:
    """Return theta, the intervals estimator of Ferro & Segers 2003 (JRSS B 65): 1 / mean cluster size.

    Exceedances are those of each path's own quantile; times between them are pooled over paths.

    Args:
        x: [path, bar], such as absolute returns or losses.
        quantile: level above which a value is extreme.
    """
    if x.shape[1] < EXTREMAL_MIN_BARS:
        return float("nan")
    above = x > np.quantile(x, quantile, axis=1, keepdims=True)
    waits = np.concatenate([np.diff(np.flatnonzero(row)) for row in above]).astype(np.float64)
    if len(waits) < 2:
        return float("nan")
    if waits.max() <= 2:
        first, second = waits.sum(), np.square(waits).sum()
    else:
        first, second = (waits - 1).sum(), ((waits - 1) * (waits - 2)).sum()
    return float(min(1.0, 2 * first * first / (len(waits) * second)))


def aggregated_variance_hurst(x: Array, sizes: Sequence[int] = (5, 10, 20, 50, 100)) -> float:
    """Return 1 + slope / 2 of ln var(means over m bars) on ln m: .5 for short memory (Beran 1994, ch. 4).

    NaN unless every path holds ten of the largest block. R/S is not offered: it gives iid series .6 at 60 bars.
    """
    if x.shape[1] < 10 * max(sizes):
        return float("nan")
    spreads = []
    for m in sizes:
        blocks = x.shape[1] // m
        spreads.append(float(np.var(x[:, : blocks * m].reshape(len(x), blocks, m).mean(axis=2))))
    if min(spreads) <= 0:
        return float("nan")
    return float(1 + np.polyfit(np.log(sizes), np.log(spreads), 1)[0] / 2)


@dataclass(frozen=True)
class LongFacts:
    """The facts of a long sample; None where it is too short or they are undefined.

    Attributes:
        bars: returns in the sample.
        tail_index: "both 5%", "upper 2.5%", ... to alpha.
        memory_decay: largest lag to beta of absolute returns.
        extremal_index: "moves", "losses" to theta at 95 %.
        hurst_abs: Hurst exponent of absolute returns by aggregated variance.
    """

    bars: int
    tail_index: dict[str, float | None]
    memory_decay: dict[int, float | None]
    extremal_index: dict[str, float | None]
    hurst_abs: float | None


def long_facts(returns: Array) -> LongFacts:
    """Measure every long-sample fact of finite returns [path, bar]."""
    tails: tuple[Tail, ...] = ("both", "upper", "lower")
    size = np.abs(returns)
    return LongFacts(
        bars=returns.size,
        tail_index={
            f"{tail} {share:.1%}": _or_none(hill_tail_index(returns, share, tail))
            for tail in tails
            for share in (0.01, 0.025, 0.05)
        },
        memory_decay={lag: _or_none(_decay(size, lag)) for lag in (20, 50, 100)},
        extremal_index={
            "moves": _or_none(extremal_index(size)),
            "losses": _or_none(extremal_index(-returns)),
        },
        hurst_abs=_or_none(aggregated_variance_hurst(size)),
    )


def _decay(x: Array, lag: int) -> float:
    if x.shape[1] < DECAY_MIN_LAGS * lag:
        return float("nan")
    return memory_decay(LaggedSums.of(x, lag).acf(), x.size)


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
