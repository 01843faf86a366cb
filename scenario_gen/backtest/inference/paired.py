"""Strategies compared path by path: the same futures for all, so that luck with the market cancels.

Parameter sets are strategies here like any others: they see the same paths (common random numbers). Two questions
are kept apart, because their answers may differ: which makes more on average (the mean, Student's t), and which
comes out ahead on the typical path (the sign test). P values are adjusted for how many pairs are compared, so the
best of many may be picked out afterwards. Knows metrics per path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from scenario_gen.backtest.account import Floats
from scenario_gen.errors import CheckError
from scenario_gen.stats.estimate import Estimate, quantile, share
from scenario_gen.stats.means import NO_DIFFERENCE, MeanTest
from scenario_gen.stats.multiple import holm

Label = Literal["better", "not told apart", "worse", "not judged"]

# What is compared, and whether more of it is better.
HIGHER_IS_BETTER = {"total_return": True, "sharpe": True, "max_drawdown": False}
LEVEL = 0.05  # of each two-sided test, after adjustment
FEWEST_PATHS = 30


@dataclass(frozen=True)
class PairedComparison:
    """One metric of one strategy less that of another, over the paths on which both have it."""

    metric: str  # its name in ``METRICS``
    strategy: str  # whose result counts positive
    against: str  # the other
    label: Label  # by the mean: better, worse, not told apart; or not judged, and ``reason`` says why
    typical: Label  # the same by the sign test: who is ahead on more paths
    mean: Estimate  # mean difference, Student's t interval
    median: Estimate  # median difference, interval from order statistics
    win_share: Estimate  # share of paths on which the strategy is better, Wilson's interval; a tie is no win
    wins: int  # paths on which it is better
    losses: int  # paths on which it is worse
    ties: int  # paths on which both are the same
    undefined: int  # paths left out because one of the two has no such number (no trade, no variance)
    p_mean: float | None  # two-sided, that the mean difference is 0
    p_sign: float | None  # two-sided and exact, that wins and losses are equally likely; ties left out
    p_mean_adjusted: float | None  # Holm's, over all pairs compared together in this metric
    p_sign_adjusted: float | None  # likewise
    reason: str = ""  # why it is not judged


def compare_with(
    results: Mapping[str, pd.DataFrame], against: str, metrics: Sequence[str] = tuple(HIGHER_IS_BETTER)
) -> list[PairedComparison]:
    """Compare every strategy with one of them: buy and hold, or the parameters in use.

    Args:
        results: ``BacktestResult.metrics`` by strategy, all on the same paths.
        against: one of the strategies.
        metrics: some of ``HIGHER_IS_BETTER``.

    Raises:
        CheckError: the strategies were not measured on the same paths.
    """
    return _compare(results, [(name, against) for name in results if name != against], metrics)


def compare_each_other(
    results: Mapping[str, pd.DataFrame], metrics: Sequence[str] = tuple(HIGHER_IS_BETTER)
) -> list[PairedComparison]:
    """Compare every strategy with every other, each pair once: some 5 ms a pair for 10,000 paths and three metrics.

    Args:
        results: ``BacktestResult.metrics`` by strategy, all on the same paths.
        metrics: some of ``HIGHER_IS_BETTER``.

    Raises:
        CheckError: the strategies were not measured on the same paths.
    """
    return _compare(results, list(combinations(results, 2)), metrics)


def compare(ours: Floats, theirs: Floats, metric: str, strategy: str, against: str) -> PairedComparison:
    """Compare two strategies in one metric, unadjusted.

    Args:
        ours: float64 [path], of ``strategy``; NaN where it is not defined.
        theirs: float64 [path], of ``against``, on the same paths.
        metric: one of ``HIGHER_IS_BETTER``.
        strategy: name of the first.
        against: name of the second.
    """
    differences = np.asarray(ours, dtype=np.float64) - theirs
    both = differences[~np.isnan(differences)]
    ahead = both if HIGHER_IS_BETTER[metric] else -both
    wins, losses = int((ahead > NO_DIFFERENCE).sum()), int((ahead < -NO_DIFFERENCE).sum())
    one = PairedComparison(
        metric=metric,
        strategy=strategy,
        against=against,
        label="not judged",
        typical="not judged",
        mean=Estimate(None, n=len(both), reason=f"not judged, needs N >= {FEWEST_PATHS}"),
        median=quantile(both, 0.5),
        win_share=share(ahead > NO_DIFFERENCE),
        wins=wins,
        losses=losses,
        ties=len(both) - wins - losses,
        undefined=len(differences) - len(both),
        p_mean=None,
        p_sign=None,
        p_mean_adjusted=None,
        p_sign_adjusted=None,
    )
    if len(both) < FEWEST_PATHS:
        return replace(one, reason=one.mean.reason)
    test, p_sign = MeanTest.of(both), _sign_test(wins, losses)
    return _labelled(replace(one, mean=test.estimate(), p_mean=test.p, p_sign=p_sign), test.p, p_sign)


def _compare(
    results: Mapping[str, pd.DataFrame], pairs: Sequence[tuple[str, str]], metrics: Sequence[str]
) -> list[PairedComparison]:
    _refuse_other_paths(results)
    compared = []
    for metric in metrics:
        values = {name: frame[metric].to_numpy(dtype=np.float64) for name, frame in results.items()}
        compared += _adjusted([compare(values[a], values[b], metric, a, b) for a, b in pairs])
    return compared


def _adjusted(pairs: Sequence[PairedComparison]) -> list[PairedComparison]:
    judged = [one for one in pairs if one.p_mean is not None and one.p_sign is not None]
    means = holm([one.p_mean for one in judged if one.p_mean is not None])
    signs = holm([one.p_sign for one in judged if one.p_sign is not None])
    labelled = iter([_labelled(*each) for each in zip(judged, means, signs, strict=True)])
    return [one if one.p_mean is None else next(labelled) for one in pairs]


def _labelled(comparison: PairedComparison, p_mean: float, p_sign: float) -> PairedComparison:
    direction = 1.0 if HIGHER_IS_BETTER[comparison.metric] else -1.0
    return replace(
        comparison,
        p_mean_adjusted=p_mean,
        p_sign_adjusted=p_sign,
        label=_label(direction * (comparison.mean.value or 0.0), p_mean),
        typical=_label(comparison.wins - comparison.losses, p_sign),
    )


def _label(ahead: float, p: float) -> Label:
    if p >= LEVEL:
        return "not told apart"
    return "better" if ahead > 0 else "worse"


def _sign_test(wins: int, losses: int) -> float:
    """Return the exact two-sided p value that wins and losses are equally likely."""
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def _refuse_other_paths(results: Mapping[str, pd.DataFrame]) -> None:
    if not results:
        return
    first, *rest = results.items()
    for name, frame in rest:
        if not frame.index.equals(first[1].index):
            raise CheckError(
                f"'{name}' was measured on {len(frame)} paths, '{first[0]}' on {len(first[1])} paths, and they are "
                "not the same in the same order",
                expected="results on the same paths: a comparison path by path",
                fix="run both strategies on one set of paths",
            )
