"""Estimators that need a long sample: tail index, decay of the volatility memory, extremal index, Hurst exponent.

They depend on the threshold or lag range, and on the mix of regimes. Series are [path, bar] and are never joined end
to end, for a join makes false memory. NaN below each function's minimum of bars.
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
EXTREMAL_MIN_BARS = 1000  # of each path
BLOCK_SIZES = (5, 10, 20, 50, 100)  # bars whose means the Hurst exponent compares
HURST_MIN_BARS = 10 * max(BLOCK_SIZES)  # of each path

Tail = Literal["both", "upper", "lower"]
_BLOCK = 1 << 15  # path-bars whose products are summed at once: 256 KB


def hill_tail_index(returns: Array, share: float, tail: Tail = "both") -> float:
    """Return Hill's tail index alpha: 1 / mean ln(x_i / x_k) over the k = share * n largest of all returns.

    Hill 1975 (Ann. Stat. 3). A Student t with 4 degrees of freedom (alpha 4) reads 3.2 at 5 % and 3.6 at 1 %.

    Args:
        returns: [path, bar]; non-finite values are left out.
        share: of the sample that counts as tail, such as .05.
        tail: absolute returns, gains or losses; the share is always one of all returns.
    """
    return hill_tail_indices(returns, [share], tail)[0]


def hill_tail_indices(returns: Array, shares: Sequence[float], tail: Tail) -> list[float]:
    """Return :func:`hill_tail_index` at several shares; the returns are sorted once, and only in the tail."""
    x = returns[np.isfinite(returns)]
    size = {"both": np.abs, "upper": np.positive, "lower": np.negative}[tail](x)
    deepest = max(int(share * len(x)) for share in shares)
    if len(x) < HILL_MIN_BARS:
        return [float("nan")] * len(shares)
    split = len(x) - deepest - 1
    largest = np.sort(np.partition(size, split)[split:])
    return [_hill(largest, int(share * len(x))) for share in shares]


def _hill(sizes: Array, k: int) -> float:
    """Return the tail index from the k largest of sizes in rising order."""
    largest = sizes[-k - 1 :]
    if k < 2 or largest[0] <= 0:
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
        lags = np.arange(max_lag + 1)
        upto = np.cumsum(np.append(0.0, x.sum(axis=0)))  # [bar + 1], sum of the first bars of all paths
        return cls(
            lags=lags,
            products=np.array([row_dot(x[:, : bars - k], x[:, k:]).sum() for k in lags]),
            heads=upto[bars - lags],
            tails=upto[bars] - upto[lags],
            counts=paths * (bars - lags),
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


def pooled_acf(x: Array, max_lag: int) -> Array:
    """Return :meth:`LaggedSums.acf` of finite series [path, bar], summed in blocks of paths."""
    rows = max(1, _BLOCK // x.shape[1])
    first, *others = (LaggedSums.of(x[at : at + rows], max_lag) for at in range(0, len(x), rows))
    for one in others:
        first = first + one
    return first.acf()


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


def aggregated_variance_hurst(x: Array, sizes: Sequence[int] = BLOCK_SIZES) -> float:
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
