"""Skill: what a strategy makes beyond random entries of its kind, and beyond other strategies on the same paths.

Random entries have its own trade count, holding times, sides and sizes. The paths of one run set out from one context
and share its drift, so this is skill *on these paths*: that the times of trading were better than others on the
markets that the generator makes. Whether the generator is right is another question (see ``agreement``).

Only means are judged. Without any foresight a strategy may well have a median above its null's: on a random
walk, small profits taken and losses held give a high median and the same mean.

Stops and targets trade inside bars, random entries at fills only. On bars of a continuous random walk that makes no
difference. Where wicks are shorter than its, stops save and targets give away what lies beyond their level, and the
other way round where they are longer: that counts as skill, or the lack of it, on these paths. Knows numbers per path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from scenario_gen.backtest.account import Floats, Ints
from scenario_gen.backtest.nulls import RandomEntries
from scenario_gen.errors import CheckError
from scenario_gen.stats.estimate import CONFIDENCE, Estimate, no_error, quantile, share
from scenario_gen.stats.means import NO_DIFFERENCE, MeanTest, holm
from scenario_gen.stats.weights import Weights

Label = Literal["skilled", "not told apart", "worse", "not judged"]

LEVEL = 0.05  # of the two-sided test: a strategy without skill is called skilled at half of this
FEWEST_PATHS = 30


@dataclass(frozen=True)
class Skill:
    """The distance of a strategy's total return to its random entries', over the same paths."""

    label: Label  # by ``p_adjusted``: skilled, worse, not told apart; or not judged, and ``reason`` says why
    mean: Estimate  # difference of the means, with its 95 % interval
    median: Estimate  # difference of the medians, with its 95 % interval; it is not judged
    strategy_mean: float | None  # mean total return of the strategy
    null_mean: float | None  # mean total return of its random entries
    standard_error: float | None  # of ``mean``, over paths
    z: float | None  # ``mean`` over its standard error
    p: float | None  # two-sided, Student's t
    p_adjusted: float | None  # Holm's, over all strategies judged together
    draws: int  # random entries per path
    false_alarms: float  # probability that a strategy without skill is called skilled, by the test's level
    random_called_skilled: Estimate  # share of the draws that this test calls skilled (unadjusted) beside the others
    reason: str = ""  # why it is not judged


def skill(returns: Floats, null: RandomEntries) -> Skill:
    """Compare a strategy with its random entries on the same paths.

    The difference of means is a U-statistic of paths and round trips. A path enters it three times: with the
    strategy's result, as the place of others' round trips, and as the owner of its own elsewhere. The standard
    error is that of the sum of the three per path (Hoeffding 1948, Annals of Mathematical Statistics 19). What is
    left to chance between draws counts twice in it, which makes the test a little cautious where draws are few.

    Args:
        returns: float64 [path], total return of the strategy.
        null: random entries of the same strategy, paths in the same order.
    """
    draws = null.returns.shape[1]
    if refusal := _refusal(returns, null):
        return replace(not_judged(len(returns), refusal), draws=draws)
    test = MeanTest.of(returns - _by_path(null))
    return Skill(
        label=_label(test.mean, test.p),
        mean=test.estimate(),
        median=_median_difference(returns, null),
        strategy_mean=float(returns.mean()),
        null_mean=float(null.returns.mean()),
        standard_error=test.error,
        z=test.z,
        p=test.p,
        p_adjusted=test.p,
        draws=draws,
        false_alarms=LEVEL / 2,
        random_called_skilled=_random_called_skilled(null),
    )


def not_judged(paths: int, reason: str) -> Skill:
    """Return what stands where a strategy is not held against random entries."""
    nothing = Estimate(None, n=paths, reason=reason)
    return Skill("not judged", nothing, nothing, None, None, None, None, None, None, 0, LEVEL / 2, nothing, reason)


def judge_together(skills: Mapping[str, Skill]) -> dict[str, Skill]:
    """Return the same with p values and labels adjusted for how many strategies are judged."""
    judged = {name: one.p for name, one in skills.items() if one.p is not None}
    adjusted = dict(zip(judged, holm(list(judged.values())), strict=True))
    return {
        name: replace(one, p_adjusted=adjusted[name], label=_label(one.mean.value or 0.0, adjusted[name]))
        if name in adjusted
        else one
        for name, one in skills.items()
    }


def _label(mean: float, p: float) -> Label:
    if p >= LEVEL:
        return "not told apart"
    return "skilled" if mean > 0 else "worse"


def _refusal(returns: Floats, null: RandomEntries) -> str:
    if len(returns) < FEWEST_PATHS:
        return f"not judged, needs N >= {FEWEST_PATHS}"
    if np.isnan(returns).any() or np.isnan(null.returns).any():
        return "the total return is not defined on every path"
    if not null.returns.any() and not returns.any():
        return "it never traded"
    return ""


def _by_path(null: RandomEntries, owner: Ints | slice = slice(None)) -> Floats:
    """Return what each path adds to the null's mean, as place and as owner, float64 [path]; their mean is that mean."""
    as_place = null.returns.mean(axis=1, keepdims=True)
    # Less the place's own mean, an owner is not charged with the luck of the few places that its trades came to.
    as_owner = replace(null, returns=null.returns - as_place).by_owner().mean(axis=1)
    return np.asarray(as_place[:, 0] + as_owner[owner])


def _random_called_skilled(null: RandomEntries) -> Estimate:
    """Return the share of draws that are called skilled when each stands in for the strategy, beside the rest."""
    draws = null.returns.shape[1]
    if draws < 2:
        return Estimate(None, n=draws, reason="needs at least two draws")
    tests = [MeanTest.of(_beside_the_rest(null, draw)) for draw in range(draws)]
    return share(np.array([_label(test.mean, test.p) == "skilled" for test in tests]))


def _beside_the_rest(null: RandomEntries, draw: int) -> Floats:
    rest = np.arange(null.returns.shape[1]) != draw
    others = RandomEntries(null.returns[:, rest], null.owner[:, rest])
    return np.asarray(null.returns[:, draw] - _by_path(others, null.owner[:, draw]))


def _median_difference(returns: Floats, null: RandomEntries) -> Estimate:
    """Return the difference of the medians; its error from how far each path moves each of the two."""
    from scipy.special import ndtri

    centre, null_centre = float(np.median(returns)), float(np.median(null.returns))
    below = _by_path(replace(null, returns=(null.returns <= null_centre).astype(np.float64)))
    moved = _sparsity(null.returns.ravel()) * below - _sparsity(returns) * (returns <= centre)
    margin = float(ndtri(0.5 + CONFIDENCE / 2) * moved.std(ddof=1) / math.sqrt(len(returns)))
    difference = centre - null_centre
    return Estimate(difference, difference - margin, difference + margin, n=len(returns))


def _sparsity(values: Floats) -> float:
    """Return one over the density at the median: the quotient of nearby quantiles.

    Bandwidth of Bofinger (1975), Estimation of a Density Function Using Order Statistics, Australian Journal of
    Statistics 17: at the median of a normal density, (4.5 phi(0)^4 / n)^(1/5).
    """
    width = min((4.5 * (2 * math.pi) ** -2 / len(values)) ** 0.2, 0.25)
    low, high = np.quantile(values, [0.5 - width, 0.5 + width])
    return float((high - low) / (2 * width))


# --- Strategies compared path by path: the same futures for all, so that luck with the market cancels
#
# Parameter sets are strategies here like any others: they see the same paths (common random numbers). Two questions are
# kept apart, because their answers may differ: which makes more on average (the mean, Student's t), and which comes out
# ahead on the typical path (the sign test). P values are adjusted for how many pairs are compared, so the best of many
# may be picked out afterwards.


Lead = Literal["better", "not told apart", "worse", "not judged"]

# What is compared, and whether more of it is better.
HIGHER_IS_BETTER = {"total_return": True, "sharpe": True, "max_drawdown": False}


@dataclass(frozen=True)
class PairedComparison:
    """One metric of one strategy less that of another, over the paths on which both have it."""

    metric: str  # its name in ``METRICS``
    strategy: str  # whose result counts positive
    against: str  # the other
    label: Lead  # by the mean: better, worse, not told apart; or not judged, and ``reason`` says why
    typical: Lead  # the same by the sign test: who is ahead on more paths
    mean: Estimate  # mean difference, Student's t interval
    median: Estimate  # median difference, interval from order statistics
    win_share: Estimate  # share of paths on which the strategy is better, Wilson's interval; a tie is no win
    wins: int  # paths on which it is better, whatever they stand for
    losses: int  # paths on which it is worse
    ties: int  # paths on which both are the same
    undefined: int  # paths left out because one of the two has no such number (no trade, no variance)
    p_mean: float | None  # two-sided, that the mean difference is 0
    # two-sided, that wins and losses are equally likely; exact and without ties, or Student's t of weighted paths
    p_sign: float | None
    p_mean_adjusted: float | None  # Holm's, over all pairs compared together in this metric
    p_sign_adjusted: float | None  # likewise
    reason: str = ""  # why it is not judged


def compare_with(
    results: Mapping[str, pd.DataFrame],
    against: str,
    metrics: Sequence[str] = tuple(HIGHER_IS_BETTER),
    weights: Weights | None = None,
) -> list[PairedComparison]:
    """Compare every strategy with one of them: buy and hold, or the parameters in use.

    Args:
        results: ``BacktestResult.metrics`` by strategy, all on the same paths.
        against: one of the strategies.
        metrics: some of ``HIGHER_IS_BETTER``.
        weights: of the paths, where they do not all stand for as much.

    Raises:
        CheckError: the strategies were not measured on the same paths.
    """
    return _compare(results, [(name, against) for name in results if name != against], metrics, weights)


def compare_each_other(
    results: Mapping[str, pd.DataFrame],
    metrics: Sequence[str] = tuple(HIGHER_IS_BETTER),
    weights: Weights | None = None,
) -> list[PairedComparison]:
    """Compare every strategy with every other, each pair once: some 5 ms a pair for 10,000 paths and three metrics.

    Args:
        results: ``BacktestResult.metrics`` by strategy, all on the same paths.
        metrics: some of ``HIGHER_IS_BETTER``.
        weights: of the paths, where they do not all stand for as much.

    Raises:
        CheckError: the strategies were not measured on the same paths.
    """
    return _compare(results, list(combinations(results, 2)), metrics, weights)


def compare(
    ours: Floats, theirs: Floats, metric: str, strategy: str, against: str, weights: Weights | None = None
) -> PairedComparison:
    """Compare two strategies in one metric, unadjusted.

    Args:
        ours: float64 [path], of ``strategy``; NaN where it is not defined.
        theirs: float64 [path], of ``against``, on the same paths.
        metric: one of ``HIGHER_IS_BETTER``.
        strategy: name of the first.
        against: name of the second.
        weights: of the paths, where they do not all stand for as much.
    """
    differences = np.asarray(ours, dtype=np.float64) - theirs
    known = ~np.isnan(differences)
    both, weights = differences[known], None if weights is None else weights.where(known)
    ahead = both if HIGHER_IS_BETTER[metric] else -both
    wins, losses = int((ahead > NO_DIFFERENCE).sum()), int((ahead < -NO_DIFFERENCE).sum())
    one = PairedComparison(
        metric=metric,
        strategy=strategy,
        against=against,
        label="not judged",
        typical="not judged",
        mean=Estimate(None, n=len(both), reason=_unjudged(len(both), weights)),
        median=quantile(both, 0.5, weights),
        win_share=share(ahead > NO_DIFFERENCE, weights),
        wins=wins,
        losses=losses,
        ties=len(both) - wins - losses,
        undefined=len(differences) - len(both),
        p_mean=None,
        p_sign=None,
        p_mean_adjusted=None,
        p_sign_adjusted=None,
    )
    if one.mean.reason:
        return replace(one, reason=one.mean.reason)
    test = MeanTest.of(both, weights)
    if weights is None:
        p_sign, lead = _sign_test(wins, losses), float(wins - losses)
    else:
        signs = MeanTest.of(np.where(ahead > NO_DIFFERENCE, 1.0, np.where(ahead < -NO_DIFFERENCE, -1.0, 0.0)), weights)
        p_sign, lead = signs.p, signs.mean
    judged = replace(one, mean=test.estimate(), p_mean=test.p, p_sign=p_sign, typical="better" if lead > 0 else "worse")
    return _labelled(judged, test.p, p_sign)


def _unjudged(paths: int, weights: Weights | None) -> str:
    """Return why a pair is not judged, or an empty string."""
    if paths < FEWEST_PATHS:
        return f"not judged, needs N >= {FEWEST_PATHS}"
    if weights is None:
        return ""
    if weights.effective < FEWEST_PATHS:
        return f"not judged, the paths are as many as {weights.effective:.1f} alike, needs {FEWEST_PATHS}"
    return no_error(weights) if weights.error(np.zeros(paths)) is None else ""


def _compare(
    results: Mapping[str, pd.DataFrame],
    pairs: Sequence[tuple[str, str]],
    metrics: Sequence[str],
    weights: Weights | None,
) -> list[PairedComparison]:
    _refuse_other_paths(results)
    compared = []
    for metric in metrics:
        values = {name: frame[metric].to_numpy(dtype=np.float64) for name, frame in results.items()}
        compared += _adjusted([compare(values[a], values[b], metric, a, b, weights) for a, b in pairs])
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
        label=_lead(direction * (comparison.mean.value or 0.0), p_mean),
        typical=comparison.typical if p_sign < LEVEL else "not told apart",  # which way it leads is known by now
    )


def _lead(ahead: float, p: float) -> Lead:
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
