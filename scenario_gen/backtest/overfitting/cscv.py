"""The probability of backtest overfitting, by combinatorially symmetric cross-validation (CSCV).

The bars are cut into S blocks. For each of the C(S, S / 2) ways to take half of the blocks, the set with the best
Sharpe ratio in that half is looked up in the other half. Where it ranks below the median there, choosing was worse
than drawing lots; the share of such splits is the probability of backtest overfitting (PBO).

Bailey, Borwein, Lopez de Prado and Zhu (2017), The probability of backtest overfitting, J. of Computational
Finance 20(4). Three choices are ours. A rank exactly at the median counts half, so that sets without skill give 1/2
whether their number is odd or even (the paper counts it as overfit). A set that does not vary in a half has a Sharpe
ratio of 0 there. And the paper gives no interval: see :func:`overfitting_probability`.

Knows arrays; knows neither strategies nor generators.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest.account import Floats
from scenario_gen.stats.estimate import Estimate, mean, t_quantile

BLOCKS = 16  # 12,870 splits, as in the paper
PATH_BLOCKS = 8  # 70 splits of one path: a horizon is shorter than a history
BARS_PER_BLOCK = 2
CELLS_AT_ONCE = 2_000_000  # splits x sets held at once: 16 MB an array
NOT_ALIKE = "the paths do not all stand for as much"
# A variance below this share of the mean square is the rounding of equal returns.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Splits:
    """The chosen set in every split."""

    inside: Floats  # float64 [split], its Sharpe ratio per bar in the half in which it was the best
    outside: Floats  # float64 [split], its Sharpe ratio per bar in the other half
    rank: Floats  # float64 [split], its rank in the other half over the number of sets + 1: near 1 is the best there

    @property
    def logit(self) -> Floats:
        """ln(rank / (1 - rank)), float64 [split]; below 0 the chosen set is worse than the median."""
        return np.asarray(np.log(self.rank / (1 - self.rank)))


@dataclass(frozen=True)
class Overfitting:
    """What choosing the best of a grid is worth outside of the bars on which it was chosen."""

    # of backtest overfitting: the chosen set ranks below the median outside. 0.5 is drawing lots.
    probability: Estimate
    probability_of_loss: Estimate  # the chosen set has a negative Sharpe ratio outside
    # of the Sharpe ratio outside on that inside, over splits. Below 0 even for a single set on one record, because the
    # halves share a fixed total: only its size compares.
    slope: Estimate
    median_logit: Estimate  # of the relative rank; below 0 as the probability is above 0.5
    ranks: tuple[float, ...] = ()  # share of splits whose rank outside lies in each tenth, the worst first
    sets: int = 0  # parameter sets
    blocks: int = BLOCKS  # S
    bars: int = 0  # that were used; the oldest ``dropped`` were left out to make blocks of equal length
    dropped: int = 0  # see ``bars``
    paths: int = 1  # 1 for one record, else the number of paths that the estimates are means over
    reason: str = ""  # why there are no numbers


def overfitting_probability(returns: Floats, blocks: int = BLOCKS) -> Overfitting:
    """Cross-validate the choice of the best set on one record, such as the strategy's own history.

    The splits of one record share their bars, so counting them gives no error. The intervals (95 %) are those of a
    jackknife that leaves out one pair of neighbouring blocks after the other, with Student's t; a probability's
    reaches at least 3 / S from 0 and 1 (the rule of three), where the jackknife sees no spread. In simulations
    with S = 12 they cover the mean over records 88 to 100 times in a hundred. They are wide: so little does one
    record tell.

    Args:
        returns: float [bar, set], simple returns of all sets that were tried, over the same bars.
        blocks: S, even and at least 4.

    Raises:
        ValueError: ``blocks`` is odd or below 4.
    """
    reason = _refusal(returns.shape[0], returns.shape[1], blocks)
    if reason:
        return _nothing(reason, returns.shape[1], blocks)
    sums = _BlockSums.of(returns, blocks)
    splits = chosen_in_splits(sums)
    figures = _figures(splits)
    pairs = [_figures(chosen_in_splits(sums.without(first))) for first in range(0, blocks, 2)]
    probability, loss, slope, logit = _jackknife(figures, np.array(pairs), blocks)
    return Overfitting(
        probability=probability,
        probability_of_loss=loss,
        slope=slope,
        median_logit=logit,
        ranks=_tenths(splits.rank),
        sets=returns.shape[1],
        blocks=blocks,
        bars=sums.bars * blocks,
        dropped=returns.shape[0] - sums.bars * blocks,
    )


def overfitting_on_paths(
    returns: NDArray[np.floating], blocks: int = PATH_BLOCKS, *, weighted: bool = False
) -> Overfitting:
    """Cross-validate the choice of the best set on each path by itself, and average over paths.

    Each path is one record on which somebody could have tuned. Paths are independent given the context, so the mean
    over them has an honest interval (Student's t). Pooling the paths instead, half of them against the other half,
    would ask whether the *generator* repeats itself: with enough paths it always does, whatever the strategy.

    Args:
        returns: float [path, bar, set].
        blocks: S, even and at least 4; 8 gives 70 splits a path.
        weighted: the paths do not all stand for as much; nothing is said of them then.

    Raises:
        ValueError: ``blocks`` is odd or below 4.
    """
    paths, bars, sets = returns.shape
    reason = _refusal(bars, sets, blocks) or (NOT_ALIKE if weighted else "") or ("" if paths else "there are no paths")
    if reason:
        return _nothing(reason, sets, blocks)
    each = [chosen_in_splits(_BlockSums.of(path, blocks)) for path in returns]
    figures = np.array([_figures(splits) for splits in each])  # [path, figure]
    used = bars // blocks * blocks
    return Overfitting(
        probability=_within_thirds(mean(figures[:, 0]), paths),
        probability_of_loss=_within_thirds(mean(figures[:, 1]), paths),
        slope=mean(figures[:, 2]),
        median_logit=mean(figures[:, 3]),
        ranks=_tenths(np.concatenate([splits.rank for splits in each])),
        sets=sets,
        blocks=blocks,
        bars=used,
        dropped=bars - used,
        paths=paths,
    )


@dataclass(frozen=True)
class _BlockSums:
    """Sums and sums of squares of the returns of each block, float64 [block, set]; bars per block."""

    plain: Floats
    squared: Floats
    bars: int

    @classmethod
    def of(cls, returns: NDArray[np.floating], blocks: int) -> _BlockSums:
        """Cut the youngest bars into blocks of equal length."""
        bars = len(returns) // blocks
        used = np.asarray(returns[len(returns) - bars * blocks :], dtype=np.float64)
        cut = used.reshape(blocks, bars, -1)  # [block, bar, set]
        return cls(cut.sum(axis=1), np.square(cut).sum(axis=1), bars)

    def without(self, first: int) -> _BlockSums:
        """Leave out a block and the one after it."""
        gone = [first, first + 1]
        return _BlockSums(np.delete(self.plain, gone, axis=0), np.delete(self.squared, gone, axis=0), self.bars)

    def sharpe(self, half: Floats) -> Floats:
        """Return Sharpe ratios per bar [split, set] of the blocks marked in ``half`` [split, block]."""
        count = self.bars * half.shape[1] // 2
        centre, square = half @ self.plain / count, half @ self.squared / count
        variance = (square - centre**2) * (count / max(count - 1, 1))
        varies = variance > ROUNDING * square
        deviation = np.sqrt(np.where(varies, variance, 1.0))
        return np.asarray(np.where(varies, centre, 0.0) / deviation)


def chosen_in_splits(sums: _BlockSums) -> Splits:
    """Choose the best set in each half and look it up in the other half; the first of several best."""
    blocks, sets = sums.plain.shape
    pieces = []
    for half in _halves(blocks, max(CELLS_AT_ONCE // sets, 1)):
        inside, outside = sums.sharpe(half), sums.sharpe(1.0 - half)  # [split, set]
        row, best = np.arange(len(half)), inside.argmax(axis=1)
        chosen = outside[row, best][:, None]
        ties = (outside == chosen).sum(axis=1) - 1
        rank = 1 + (outside < chosen).sum(axis=1) + ties / 2
        pieces.append((inside[row, best], chosen[:, 0], rank / (sets + 1)))
    return Splits(*(np.concatenate(column) for column in zip(*pieces, strict=True)))


def _halves(blocks: int, at_once: int) -> Iterator[Floats]:
    """Yield the ways to take half of the blocks, 1 where taken, float64 [split, block], some at a time."""
    every = itertools.combinations(range(blocks), blocks // 2)
    while taken := list(itertools.islice(every, at_once)):
        half = np.zeros((len(taken), blocks))
        np.put_along_axis(half, np.array(taken), 1.0, axis=1)
        yield half


def _figures(splits: Splits) -> Floats:
    """Return probability of overfitting, probability of loss, slope (NaN for equal ratios inside), median logit."""
    below = np.mean(splits.rank < 0.5) + np.mean(splits.rank == 0.5) / 2
    loss = np.mean(splits.outside < 0)
    apart = splits.inside - splits.inside.mean()
    spread = float(apart @ apart)
    slope = float(apart @ splits.outside) / spread if spread > 0 else math.nan
    return np.array([below, loss, slope, np.median(splits.logit)])


def _jackknife(figures: Floats, pairs: Floats, blocks: int) -> list[Estimate]:
    """Return each figure with its jackknife interval; ``pairs`` [pair left out, figure]."""
    count = len(pairs)
    variance = (count - 1) / count * np.square(pairs - pairs.mean(axis=0)).sum(axis=0)
    margins = t_quantile(count - 1) * np.sqrt(variance)
    estimates = [
        Estimate(float(value), float(value - margin), float(value + margin), n=blocks)
        if np.isfinite([value, margin]).all()
        else Estimate(None, n=blocks, reason="not defined in every half")
        for value, margin in zip(figures, margins, strict=True)
    ]
    return [*(_within_thirds(one, blocks) for one in estimates[:2]), *estimates[2:]]


def _within_thirds(estimate: Estimate, n: int) -> Estimate:
    """Keep a probability's interval within 0 and 1, and its ends no closer to them than 3 / n allows to know."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return estimate
    near = min(3.0 / n, 1.0)
    low = max(0.0, min(estimate.low, 1.0 - near))
    return Estimate(estimate.value, low, min(1.0, max(estimate.high, near)), n=estimate.n)


def _tenths(rank: Floats) -> tuple[float, ...]:
    counts, _ = np.histogram(rank, bins=10, range=(0.0, 1.0))
    return tuple(float(count) / len(rank) for count in counts)


def _refusal(bars: int, sets: int, blocks: int) -> str:
    if blocks < 4 or blocks % 2:
        raise ValueError(f"{blocks} blocks cannot be halved; an even number from 4 on can")
    if sets < 2:
        return "one parameter set leaves nothing to choose"
    if bars < BARS_PER_BLOCK * blocks:
        return f"{bars} bars are too few for {blocks} blocks: needs {BARS_PER_BLOCK * blocks}"
    return ""


def _nothing(reason: str, sets: int, blocks: int) -> Overfitting:
    none = Estimate(None, reason=reason)
    return Overfitting(none, none, none, none, sets=sets, blocks=blocks, reason=reason)
