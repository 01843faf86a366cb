"""Which sets of a grid have a Sharpe ratio above 0, all of them tested at once: Romano and Wolf's stepwise test.

Where the deflated Sharpe ratio takes the sets as independent draws of one luck, this test resamples the record itself,
so that sets which move together are known to do so. The probability that any set without skill is named is held down
to the level, whatever their correlation.

Romano and Wolf (2005), Stepwise Multiple Testing as Formalized Data Snooping, Econometrica 73; adjusted p values as in
their (2016) Efficient computation of adjusted p-values for resampling-based stepdown multiple testing, Statistics and
Probability Letters 113. The first step alone is White's (2000) reality check for data snooping, studentised.

Knows arrays [bar, set]; knows neither strategies nor paths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.metrics import NO_VARIANCE
from scenario_gen.generators.bootstrap import block_indices

LEVEL = 0.05
RESAMPLES = 1000
FEWEST_BARS = 30  # fewer have no resampled deviation to divide by
MOST_ASKED = 40  # sets that are asked for their mean block
STREAM = 0x57  # keeps these resamples apart from every other use of the same seed


@dataclass(frozen=True)
class Stepwise:
    """One-sided tests that a set's mean return, and so its Sharpe ratio, is above 0; adjusted for all sets."""

    p_best: float | None = None  # the smallest adjusted p value, that of the set with the largest t
    above: int = 0  # sets with an adjusted p value below 5 %
    sets: int = 0  # that were tested: those whose returns vary
    mean_block: float | None = None  # of the stationary bootstrap, in bars
    reason: str = ""  # why there are no numbers


@dataclass(frozen=True)
class SteppedDown:
    """The same for every set, float64 [set] each; NaN where a set's returns do not vary."""

    t: Floats  # mean over its bootstrap standard error
    single: Floats  # p value of the first step: as if no other set had been found
    stepped: Floats  # p value after the steps down, never above ``single``
    mean_block: float  # NaN where the resamples were given


def stepwise(returns: Floats, *, seed: int = 0) -> Stepwise:
    """Test all sets of a grid on one record.

    Args:
        returns: float [bar, set], simple returns of every set that was tried, over the same bars.
        seed: of the resamples.
    """
    bars = len(returns)
    if bars < FEWEST_BARS:
        return Stepwise(reason=f"{bars} bars are too few to resample: needs {FEWEST_BARS}")
    tested = stepped_down(returns, seed=seed)
    known = np.isfinite(tested.t)
    if not known.any():
        return Stepwise(reason="no parameter set has returns that vary")
    p = tested.stepped[known]
    return Stepwise(float(p.min()), int((p < LEVEL).sum()), int(known.sum()), tested.mean_block)


def stepped_down(
    returns: Floats,
    *,
    seed: int = 0,
    mean_block: float | None = None,
    resamples: int = RESAMPLES,
    counts: Floats | None = None,
) -> SteppedDown:
    """Return the adjusted p value of every set.

    t is the mean over the deviation of its resampled means; a resample's t is about the record's own mean, and its
    deviation moves with that of the resampled returns. The largest t of each resample, among the sets that are not
    found yet, is what the next set must exceed.

    Args:
        returns: float [bar, set], at least two bars.
        seed: of the resamples.
        mean_block: of the stationary bootstrap, in bars; default: chosen from the returns (Politis and White 2004).
        resamples: how many; the smallest p value is one over them.
        counts: float64 [resample, bar], how often each draws each bar, where several records share theirs
            (:func:`resampled_bars`); ``seed``, ``mean_block`` and ``resamples`` are not read then.
    """
    returns = np.asarray(returns, dtype=np.float64)
    varies = returns.std(axis=0) > NO_VARIANCE
    own = returns[:, varies]
    block = math.nan
    if counts is None:
        block = _mean_block(own) if mean_block is None else mean_block
        counts = resampled_bars(len(own), block, resamples, seed)
    resamples = len(counts)
    t, resampled = _studentised(own, counts)
    order = np.argsort(-t, kind="stable")
    # [resample, set]: the largest t among this set and those behind it, and among all
    behind = np.maximum.accumulate(resampled[:, order][:, ::-1], axis=1)[:, ::-1]
    stepped, single = np.full(len(varies), np.nan), np.full(len(varies), np.nan)
    place = np.flatnonzero(varies)[order]
    stepped[place] = np.maximum.accumulate((1 + (behind >= t[order]).sum(axis=0)) / (1 + resamples))
    single[place] = (1 + (behind[:, :1] >= t[order]).sum(axis=0)) / (1 + resamples)
    every = np.full(len(varies), np.nan)
    every[varies] = t
    return SteppedDown(every, single, stepped, block)


def _studentised(returns: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Return t of the record [set] and of each resample about the record's mean [resample, set]."""
    bars = len(returns)
    centred = returns - returns.mean(axis=0)
    moved = counts @ centred / bars  # [resample, set]
    spread = np.sqrt(np.maximum(counts @ np.square(centred) / bars - np.square(moved), 0.0))
    error = moved.std(axis=0, ddof=1)
    wide = np.maximum(spread / centred.std(axis=0), NO_VARIANCE)
    return np.asarray(returns.mean(axis=0) / error), np.asarray(moved / (error * wide))


def resampled_bars(bars: int, mean_block: float, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Return how often each resample of the stationary bootstrap draws each bar, float64 [resample, bar]."""
    uniforms = np.random.default_rng([STREAM, seed]).random((resamples, bars, 2))
    drawn = block_indices(uniforms, bars, mean_block) + bars * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * bars).reshape(resamples, bars).astype(np.float64)


def _mean_block(returns: Floats) -> float:
    """Return the block length that suits the returns, a mean over sets, from 1 to a tenth of the bars."""
    from arch.bootstrap import optimal_block_length  # slow to import

    bars, sets = returns.shape
    if not sets:
        return 1.0
    asked = returns[:, np.unique(np.linspace(0, sets - 1, MOST_ASKED).round().astype(np.int64))]
    chosen = optimal_block_length(asked)["stationary"].to_numpy()
    return float(np.clip(np.nanmean(np.where(np.isfinite(chosen), chosen, 1.0)), 1.0, bars / 10))
