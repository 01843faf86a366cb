"""Skill: what a strategy makes beyond random entries with its own trade count, holding times, sides and sizes.

The paths of one run set out from one context and share its drift, so this is skill *on these paths*: that the
times of trading were better than others on the markets that the generator makes. Whether the generator is right
is another question (see ``agreement``).

Only means are judged. Without any foresight a strategy may well have a median above its null's: on a random
walk, small profits taken and losses held give a high median and the same mean.

Stops and targets trade inside bars, random entries at fills only. On bars of a continuous random walk that makes no
difference. Where wicks are shorter than its, stops save and targets give away what lies beyond their level, and the
other way round where they are longer: that counts as skill, or the lack of it, on these paths. Knows numbers per path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from scenario_gen.backtest.account import Floats, Ints
from scenario_gen.backtest.inference.nulls import RandomEntries
from scenario_gen.stats.estimate import CONFIDENCE, Estimate, share
from scenario_gen.stats.means import MeanTest
from scenario_gen.stats.multiple import holm

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
        nothing = Estimate(None, n=len(returns), reason=refusal)
        return Skill(
            "not judged", nothing, nothing, None, None, None, None, None, None, draws, LEVEL / 2, nothing, refusal
        )
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
