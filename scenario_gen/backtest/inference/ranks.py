"""Whether two generators rank the same strategies alike. Knows numbers per path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from scenario_gen.backtest.account import Floats
from scenario_gen.stats.means import MeanTest
from scenario_gen.stats.multiple import holm

LEVEL = 0.05
FEWEST_STRATEGIES = 3
FEWEST_PATHS = 30


@dataclass(frozen=True)
class RankAgreement:
    """Kendall's rank correlation of the strategies' mean total returns under two generators.

    Attributes:
        generator: one of them.
        against: the other.
        tau: tau-b, from -1 (reversed) to 1 (the same order); None where ``reason`` says why.
        p: two-sided, that the rankings are unrelated; with fewer than five strategies it cannot fall below .05.
        strategies: how many are ranked.
        reason: why there is no tau.
    """

    generator: str
    against: str
    tau: float | None
    p: float | None
    strategies: int
    reason: str = ""


@dataclass(frozen=True)
class Reversal:
    """Two strategies of which one generator prefers the first and the other the second, each beyond its error.

    Attributes:
        better: the strategy with the higher mean total return on the paths of ``generator``.
        worse: the other one, which has the higher mean on the paths of ``against``.
        generator: a generator.
        against: another one.
        lead: mean of ``better`` less mean of ``worse`` on the paths of ``generator``; positive.
        lead_against: the same on the paths of ``against``; negative.
    """

    better: str
    worse: str
    generator: str
    against: str
    lead: float
    lead_against: float


def rank_agreement(
    generator: str, against: str, ours: Mapping[str, Floats], theirs: Mapping[str, Floats]
) -> RankAgreement:
    """Return Kendall's tau-b of the strategies' means (Kendall 1945, Biometrika 33).

    Args:
        generator: name of the first generator.
        against: name of the second.
        ours: total returns by strategy on the first one's paths, float64 [path].
        theirs: total returns of the same strategies on the second one's.
    """
    from scipy.stats import kendalltau

    if len(ours) < FEWEST_STRATEGIES:
        reason = f"{len(ours)} strategies are no ranking, needs {FEWEST_STRATEGIES}"
        return RankAgreement(generator, against, None, None, len(ours), reason)
    means = [[float(np.mean(of[name])) for name in ours] for of in (ours, theirs)]
    if min(len(set(one)) for one in means) == 1:
        return RankAgreement(generator, against, None, None, len(ours), "all strategies have the same mean")
    found = kendalltau(*means)
    return RankAgreement(generator, against, float(found.statistic), float(found.pvalue), len(ours))


def reversals(generator: str, against: str, ours: Mapping[str, Floats], theirs: Mapping[str, Floats]) -> list[Reversal]:
    """Return the pairs of strategies that the two generators put in opposite order, each significantly.

    Both orders are tested on paired differences of the total return, Holm's adjustment over all pairs of
    strategies; so a pair whose true order is the same is returned on at most one run in twenty.

    Args:
        generator: name of the first generator.
        against: name of the second.
        ours: total returns by strategy on the first one's paths, float64 [path].
        theirs: total returns of the same strategies on the second one's.
    """
    pairs = list(combinations(ours, 2))
    here, there = (_leads(of, pairs) for of in (ours, theirs))
    found = []
    for pair, (lead, p), (lead_there, p_there) in zip(pairs, here, there, strict=True):
        if max(p, p_there) < LEVEL and lead * lead_there < 0:
            (better, worse), sign = (pair, 1) if lead > 0 else (pair[::-1], -1)
            found.append(Reversal(better, worse, generator, against, sign * lead, sign * lead_there))
    return found


def _leads(of: Mapping[str, Floats], pairs: list[tuple[str, str]]) -> list[tuple[float, float]]:
    """Return the mean lead of the first of each pair and its adjusted p value; 1 where paths are too few."""
    if min((len(values) for values in of.values()), default=0) < FEWEST_PATHS:
        return [(0.0, 1.0)] * len(pairs)
    tests = [MeanTest.of(np.asarray(of[a]) - np.asarray(of[b])) for a, b in pairs]
    adjusted = holm([test.p for test in tests])
    return [(test.mean, p) for test, p in zip(tests, adjusted, strict=True)]
