"""Estimators that need a long sample: tail index, decay of the volatility memory, extremal index, Hurst exponent.

They depend on the threshold or lag range, and on the mix of regimes. Series are [path, bar] and are never joined end
to end, for a join makes false memory. NaN below each function's minimum of bars.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scenario_gen.market.candles import Candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.estimators import Array, row_dot
from scenario_gen.realism.gauge import Gauge, deseasonalise, windows
from scenario_gen.realism.results import LongFigure
from scenario_gen.realism.sample import Once

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
    """Sums from which the pooled autocorrelation of many paths is made; they add up over blocks of paths."""

    lags: NDArray[np.int64]  # int64 [lag], lag 0 first
    products: Array  # [lag], sum of x_t x_{t+k} over all paths
    heads: Array  # [lag], sum of the x_t that have an x_{t+k}
    tails: Array  # [lag], sum of those x_{t+k}
    counts: NDArray[np.int64]  # [lag], pairs

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


# The facts that only many bars show: one list, which measurements, tests, tables and reports follow


TAILS: dict[str, Tail] = {"moves": "both", "gains": "upper", "losses": "lower"}
TAIL_SHARES = (0.01, 0.025, 0.05)
DECAY_LAGS = (20, 50, 100)
# Bars of a path, in units of the largest lag: from here on every bar has another at that distance. The pooled
# autocorrelation needs no more: windows of 1.2 to 25 lags of the S&P 500 and NASDAQ give beta within .01 of the whole.
DECAY_MIN_LAGS = 2
_BLOCK_OF_SAMPLES = 1 << 17  # path-bars whose time-of-day pattern is taken out at once


@dataclass(frozen=True)
class LongFact:
    """One property that only many bars show; shown, and never a gate."""

    id: str  # its name in tables and files
    number: str  # its place in the list of facts
    title: str  # what it measures, for a person
    source: str  # who defined the estimator or described the fact
    min_bars: int  # the least over all paths
    min_length: int  # the least of each path
    undefined: str  # why it may have no value with enough bars, in words

    def lacking(self, value: float, *, paths: int, bars: int) -> str:
        """Return why the fact has no value over so many paths of so many bars, in words; "" where it has one."""
        if bars < self.min_length:
            return f"needs {self.min_length:,} bars in a row, these have {bars:,}"
        if paths * bars < self.min_bars:
            return f"needs {self.min_bars:,} bars in all, these have {paths * bars:,}"
        return "" if np.isfinite(value) else self.undefined


def _tail_id(name: str, share: float) -> str:
    return f"hill_{name}_{100 * share:g}".replace(".", "_")


def _facts() -> Iterator[LongFact]:
    for name in TAILS:
        for share in TAIL_SHARES:
            title = f"tail index of {name}, largest {100 * share:g} %"
            nothing = "too few bars move"
            yield LongFact(_tail_id(name, share), "2b", title, "Hill 1975", HILL_MIN_BARS, 1, nothing)
    for lag in DECAY_LAGS:
        title = f"decay of the autocorrelation of absolute returns, lags 1-{lag}"
        nothing = "the autocorrelation is not positive at every lag"
        yield LongFact(f"beta_{lag}", "6c", title, "Cont 2001", DECAY_MIN_BARS, DECAY_MIN_LAGS * lag, nothing)
    for name in ("moves", "losses"):
        title = f"extremal index of {name}, above their 95 % quantile"
        source, least, nothing = "Ferro & Segers 2003", EXTREMAL_MIN_BARS, "too few bars stand out"
        yield LongFact(f"theta_{name}", "16", title, source, least, least, nothing)
    title = f"Hurst exponent of absolute returns, blocks of {BLOCK_SIZES[0]}-{BLOCK_SIZES[-1]} bars"
    yield LongFact("hurst_abs", "17", title, "Beran 1994", HURST_MIN_BARS, HURST_MIN_BARS, "no bar moves")


LONG_FACTS: tuple[LongFact, ...] = tuple(_facts())


def long_facts(returns: Array, flat: Array | None = None) -> dict[str, float]:
    """Measure every fact of ``LONG_FACTS``: its id to its value, NaN where there is none.

    Args:
        returns: finite log returns [path, bar]. Paths are pooled, and never joined end to end.
        flat: the same without their time-of-day pattern, for the facts of memory; by default they have none.
    """
    flat = returns if flat is None else flat
    size = np.abs(flat)
    return {
        **dict(_tail_indices(returns)),
        **dict(_decays(size)),
        "theta_moves": extremal_index(size),
        "theta_losses": extremal_index(-flat),
        "hurst_abs": aggregated_variance_hurst(size),
    }


def long_facts_of(bars: BarArrays, gauge: Gauge) -> dict[str, float]:
    """Measure every fact of valid bars [path, bar] in sessions, if any, of the gauge's reference."""
    return long_facts(bars.r, _flat_returns(bars, gauge))


def _flat_returns(bars: BarArrays, gauge: Gauge) -> Array | None:
    """Return the returns without their time-of-day pattern [path, bar], made in blocks; None where there is none."""
    if gauge.season is None or bars.bar_of_day is None:
        return None
    flat = np.empty_like(bars.close)
    rows = max(1, _BLOCK_OF_SAMPLES // bars.length)
    for at in range(0, len(bars), rows):
        flat[at : at + rows] = deseasonalise(bars.select(slice(at, at + rows)), gauge.season).r
    return flat


def _tail_indices(returns: Array) -> Iterator[tuple[str, float]]:
    for name, tail in TAILS.items():
        found = hill_tail_indices(returns, TAIL_SHARES, tail)
        yield from ((_tail_id(name, share), alpha) for share, alpha in zip(TAIL_SHARES, found, strict=True))


def _decays(size: Array) -> Iterator[tuple[str, float]]:
    lags = [lag for lag in DECAY_LAGS if size.shape[1] >= DECAY_MIN_LAGS * lag]
    acf = pooled_acf(size, max(lags)) if lags and size.size >= DECAY_MIN_BARS else np.empty(0)
    for lag in DECAY_LAGS:
        yield f"beta_{lag}", memory_decay(acf[:lag], size.size) if lag in lags else float("nan")


# Facts of a long sample side by side: the reference as one stretch of time, and the paths pooled


def long_figures(paths: BarArrays, reference: Candles, gauge: Gauge, once: Once) -> list[LongFigure]:
    """Return every fact of a long sample, of the reference and of the paths, in the order of the list of facts.

    Args:
        paths: valid bars, measured with the gauge.
        reference: the instrument's history, all of it.
        gauge: of the reference.
        once: keeps what was measured of the reference.
    """
    bars = len(reference) - 1  # the first is the close before the others
    theirs = once.measured("long", lambda: long_facts_of(_whole(reference, gauge), gauge))
    ours = long_facts_of(paths, gauge)
    return [
        LongFigure(
            fact=fact.id,
            title=fact.title,
            real=_known(theirs[fact.id]),
            real_reason=fact.lacking(theirs[fact.id], paths=1, bars=bars),
            synthetic=_known(ours[fact.id]),
            synthetic_reason=fact.lacking(ours[fact.id], paths=len(paths), bars=paths.length),
        )
        for fact in LONG_FACTS
    ]


def _whole(reference: Candles, gauge: Gauge) -> BarArrays:
    """Return a history as one path [1, bar]."""
    return windows(reference, len(reference) - 1, 1, tick=gauge.tick, clock=gauge.clock).bars


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
