"""Generators side by side: whether what is said of a strategy depends on who makes the paths.

The same strategies run on the paths of several generators from the same context. For each strategy and each pair of
generators, four figures of the total return are compared: mean, median, probability of loss and 5 % quantile. The
interval of a difference comes from the two figures' own intervals (Zou and Donner 2008, Statistics in Medicine
27; for shares that is Newcombe 1998, Statistics in Medicine 17, method 10), as of independent samples; random
numbers in common can only make it too wide.

What matters is fixed beforehand. A difference is *material* from ten points of probability of loss on. For mean and
median that is the shift by which a normal distribution that loses on one path in two comes to lose on six in ten:
.253 standard deviations. For the 5 % quantile it is the shift at which it is fallen short of twice as often: .363.
An interval beyond the threshold tells the generators apart, one within it makes them agree, and anything else is
undecided: more paths would tell. Knows numbers per path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from scenario_gen.backtest.account import Floats
from scenario_gen.errors import CheckError
from scenario_gen.stats.estimate import Estimate, mean, quantile, share
from scenario_gen.stats.means import MeanTest, holm

LEVEL = 0.05
FEWEST_STRATEGIES = 3
FEWEST_PATHS = 30


@dataclass(frozen=True)
class RankAgreement:
    """Kendall's rank correlation of the strategies' mean total returns under two generators."""

    generator: str  # one of them
    against: str  # the other
    tau: float | None  # tau-b, from -1 (reversed) to 1 (the same order); None where ``reason`` says why
    # two-sided, that the rankings are unrelated; with fewer than five strategies it cannot fall below .05
    p: float | None
    strategies: int  # how many are ranked
    reason: str = ""  # why there is no tau


@dataclass(frozen=True)
class Reversal:
    """Two strategies of which one generator prefers the first and the other the second, each beyond its error."""

    better: str  # the strategy with the higher mean total return on the paths of ``generator``
    worse: str  # the other one, which has the higher mean on the paths of ``against``
    generator: str  # a generator
    against: str  # another one
    lead: float  # mean of ``better`` less mean of ``worse`` on the paths of ``generator``; positive
    lead_against: float  # the same on the paths of ``against``; negative


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


# --- Generators side by side: whether what is said of a strategy depends on who makes the paths ---


Label = Literal["agree", "depends on the generator", "undecided", "not judged"]
Returns = Mapping[str, Mapping[str, Floats]]  # generator, strategy: float64 [path]

MATERIAL = 0.10  # of probability of loss
TAIL = 0.05
FIGURES = ("mean", "median", "probability_of_loss", "quantile_05")


@dataclass(frozen=True)
class GeneratorFigures:
    """What one generator says of one strategy's total return."""

    generator: str
    paths: int
    mean: Estimate
    median: Estimate
    probability_of_loss: Estimate
    quantile_05: Estimate


@dataclass(frozen=True)
class Difference:
    """One figure by one generator less that by another."""

    figure: str  # one of ``FIGURES``
    generator: str  # whose figure counts positive
    against: str  # the other
    value: float | None  # the difference; None where one of the two has no such figure, and ``reason`` says why
    low: float | None  # lower end of its 95 % interval
    high: float | None  # upper end of it
    threshold: float  # from which size on it is material
    label: Label  # by the interval: agree, depends on the generator, undecided
    reason: str = ""  # why there is no value


@dataclass(frozen=True)
class StrategyAgreement:
    """What the generators say of one strategy together."""

    strategy: str  # its name
    label: Label  # depends on the generator where one difference does; agree where all do; else undecided
    figures: tuple[GeneratorFigures, ...]  # by generator
    differences: tuple[Difference, ...]  # by figure and pair of generators
    reason: str = ""  # why it is undecided or not judged


@dataclass(frozen=True)
class Agreement:
    """Generators side by side."""

    strategies: tuple[StrategyAgreement, ...]  # one verdict per strategy
    ranks: tuple[RankAgreement, ...]  # how far pairs of generators rank the strategies alike
    # pairs of strategies of which one generator prefers the first and another the second
    reversals: tuple[Reversal, ...]


def generators_side_by_side(returns: Returns) -> Agreement:
    """Compare what several generators say of the same strategies.

    Without any true difference, and from some 200 paths on, a strategy practically never *depends on the
    generator*; a true difference just at a threshold is called so on at most one run in forty per comparison.

    Args:
        returns: total returns by generator and strategy, float64 [path]; the paths of one generator are the same
            for all strategies.

    Raises:
        CheckError: the generators do not have the same strategies, or one has other paths for some.
    """
    strategies = _same_strategies(returns)
    return Agreement(
        strategies=tuple(
            compare_generators(strategy, {name: of[strategy] for name, of in returns.items()})
            for strategy in strategies
        ),
        ranks=tuple(rank_agreement(a, b, returns[a], returns[b]) for a, b in combinations(returns, 2)),
        reversals=tuple(one for a, b in combinations(returns, 2) for one in reversals(a, b, returns[a], returns[b])),
    )


def compare_generators(strategy: str, returns: Mapping[str, Floats]) -> StrategyAgreement:
    """Compare what several generators say of one strategy.

    Args:
        strategy: its name.
        returns: total returns by generator, float64 [path].
    """
    figures = tuple(_figures(name, values) for name, values in returns.items())
    if len(figures) < 2:
        return StrategyAgreement(strategy, "not judged", figures, (), "one generator has nothing beside it")
    thresholds = _thresholds(returns)
    differences = tuple(
        _difference(figure, a, b, thresholds[figure]) for figure in FIGURES for a, b in combinations(figures, 2)
    )
    label, reason = _verdict(differences)
    return StrategyAgreement(strategy, label, figures, differences, reason)


def _figures(generator: str, values: Floats) -> GeneratorFigures:
    losses = np.asarray(values) < 0
    return GeneratorFigures(
        generator=generator,
        paths=len(values),
        mean=mean(values),
        median=quantile(values, 0.5),
        probability_of_loss=share(losses),
        quantile_05=quantile(values, TAIL),
    )


def _thresholds(returns: Mapping[str, Floats]) -> dict[str, float]:
    """Return from which size on a difference of each figure is material."""
    from scipy.special import ndtri

    deviation = math.sqrt(float(np.mean([np.var(values) for values in returns.values()])))
    shift = float(ndtri(0.5 + MATERIAL)) * deviation
    tail = float(ndtri(2 * TAIL) - ndtri(TAIL)) * deviation
    return {"mean": shift, "median": shift, "probability_of_loss": MATERIAL, "quantile_05": tail}


def _difference(figure: str, a: GeneratorFigures, b: GeneratorFigures, threshold: float) -> Difference:
    one, other = (_ends(getattr(side, figure)) for side in (a, b))
    if one is None or other is None:
        lacking = a if one is None else b
        reason = f"{lacking.generator}: {getattr(lacking, figure).reason}"
        return Difference(figure, a.generator, b.generator, None, None, None, threshold, "undecided", reason)
    value = one[0] - other[0]
    low = value - math.hypot(one[0] - one[1], other[2] - other[0])
    high = value + math.hypot(one[2] - one[0], other[0] - other[1])
    return Difference(figure, a.generator, b.generator, value, low, high, threshold, _label(low, high, threshold))


def _ends(estimate: Estimate) -> tuple[float, float, float] | None:
    """Return value and interval; a share of few hits is no rate to be shown, but it can be compared."""
    value = estimate.value
    if value is None and estimate.count is not None:
        value = estimate.count / estimate.n
    if value is None or estimate.low is None or estimate.high is None:
        return None
    return value, estimate.low, estimate.high


def _label(low: float, high: float, threshold: float) -> Label:
    if low > threshold or high < -threshold:
        return "depends on the generator"
    return "agree" if low >= -threshold and high <= threshold else "undecided"


def _verdict(differences: tuple[Difference, ...]) -> tuple[Label, str]:
    labels = {one.label for one in differences}
    if "depends on the generator" in labels:
        return "depends on the generator", ""
    if labels == {"agree"}:
        return "agree", ""
    open_ones = [one for one in differences if one.label == "undecided"]
    refused = dict.fromkeys(one.reason for one in open_ones if one.reason)
    wide = len(open_ones) - sum(bool(one.reason) for one in open_ones)
    reasons = [*refused, *([f"{wide} of {len(differences)} intervals reach over the threshold"] if wide else [])]
    return "undecided", "; ".join(reasons)


def _same_strategies(returns: Returns) -> tuple[str, ...]:
    """Return the strategies, or refuse generators that do not have the same ones on paths of their own."""
    if not returns:
        return ()
    (first, of_first), *rest = returns.items()
    for name, of in rest:
        if list(of) != list(of_first):
            raise CheckError(
                f"generator '{name}' has the strategies {', '.join(of)}; '{first}' has {', '.join(of_first)}",
                expected="the same strategies, in the same order, on the paths of every generator",
                fix="run all strategies on every generator",
            )
    for name, of in returns.items():
        if len({len(values) for values in of.values()}) > 1:
            raise CheckError(
                f"the strategies have results on {', '.join(str(len(v)) for v in of.values())} paths of '{name}'",
                expected="all strategies on the same paths of a generator",
                fix="run every strategy on all paths",
            )
    return tuple(of_first)
