"""Value at risk, tail by tail: how often what came was beyond it, whether such bars cluster, and how far beyond.

Kupiec 1995 counts exceedances, Christoffersen 1998 asks whether they come one after the other, and McNeil and Frey
2000 whether their size is the expected shortfall. Small counts are judged by the exact binomial, and none at all
where too few are expected to tell anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import xlog1py, xlogy

from scenario_gen.checks.account import Label

Floats = NDArray[np.float64]
Hits = NDArray[np.bool_]
Tail = Literal["lower", "upper"]

TAILS: tuple[Tail, ...] = ("lower", "upper")
VAR_LEVELS = (0.05, 0.01)
ASYMPTOTIC = 10.0  # expected exceedances from which the likelihood ratio has its limiting law
JUDGED = 5.0  # expected exceedances below which nothing is judged
FEWEST_EXCESSES = 10
RESAMPLES = 2000
FAIL_P, WARN_P = 0.01, 0.05


@dataclass(frozen=True)
class Exceedances:
    """The account of one tail of one functional at one level.

    Attributes:
        functional: id of the return that was forecast.
        tail: lower (losses of a long position) or upper (of a short one).
        level: probability that was left beyond the value at risk.
        forecasts: how many there were.
        hits: how many were exceeded.
        share: hits / forecasts.
        expected: level times forecasts.
        exact: whether ``p_count`` is the exact binomial test rather than Kupiec's likelihood ratio.
        p_count: are there as many as there should be?
        p_independence: does one follow another no oftener than by chance (Christoffersen)? None without any.
        p_joint: both together (conditional coverage); None where ``p_count`` is exact or nothing was exceeded.
        excess: mean of what came beyond, less the expected shortfall, in the ensemble's deviations; above zero the
            shortfall was forecast too small. None below ten exceedances.
        p_excess: one-sided bootstrap test that it is not above zero; None below ten exceedances.
        label: by the smallest of these.
        reason: in words.
    """

    functional: str
    tail: Tail
    level: float
    forecasts: int
    hits: int
    share: float
    expected: float
    exact: bool
    p_count: float
    p_independence: float | None
    p_joint: float | None
    excess: float | None
    p_excess: float | None
    label: Label
    reason: str


def expected_shortfall(ensemble: Floats, tail: Tail, level: float) -> float:
    """Return the mean of the ensemble [path] beyond its own value at risk, at least one path."""
    ordered = np.sort(ensemble if tail == "lower" else -ensemble)
    beyond = ordered[: max(1, round(level * (len(ensemble) + 1)))]
    return float(beyond.mean() if tail == "lower" else -beyond.mean())


def count_exceedances(
    functional: str, tail: Tail, level: float, pits: Floats, excesses: Floats, rng: np.random.Generator
) -> Exceedances:
    """Judge one tail from PITs [forecast] in the order of time.

    Args:
        functional: id, for the result.
        tail: which one.
        level: probability beyond the value at risk.
        pits: an exceedance is a PIT below ``level`` (lower) or above 1 - ``level`` (upper).
        excesses: how far beyond the expected shortfall each outcome lay, in deviations [forecast]; read where
            there is an exceedance.
        rng: of the bootstrap.
    """
    hits = pits < level if tail == "lower" else pits > 1 - level
    expected = level * len(hits)
    exact = expected < ASYMPTOTIC
    count = exact_binomial(hits, level) if exact else kupiec(hits, level)
    any_hit = bool(hits.any())
    runs = christoffersen_independence(hits) if any_hit else None
    joint = conditional_coverage(hits, level) if any_hit and not exact else None
    size = excesses[hits]
    p_excess = shortfall_test(size, rng) if len(size) >= FEWEST_EXCESSES else None
    label, reason = _judge(len(hits), expected, count if joint is None else joint, p_excess)
    return Exceedances(
        functional=functional,
        tail=tail,
        level=level,
        forecasts=len(hits),
        hits=int(hits.sum()),
        share=float(hits.mean()),
        expected=expected,
        exact=exact,
        p_count=count,
        p_independence=runs,
        p_joint=joint,
        excess=float(size.mean()) if p_excess is not None else None,
        p_excess=p_excess,
        label=label,
        reason=reason,
    )


def exact_binomial(hits: Hits, level: float) -> float:
    """Return the exact two-sided p-value of the number of hits."""
    return float(stats.binomtest(int(hits.sum()), len(hits), level).pvalue)


def kupiec(hits: Hits, level: float) -> float:
    """Return the p-value of Kupiec's likelihood ratio for the number of hits (chi-squared, one degree)."""
    return float(stats.chi2.sf(_count_ratio(hits, level), df=1))


def christoffersen_independence(hits: Hits) -> float:
    """Return the p-value of Christoffersen's likelihood ratio against a first-order Markov chain (one degree)."""
    return float(stats.chi2.sf(_markov_ratio(hits), df=1))


def conditional_coverage(hits: Hits, level: float) -> float:
    """Return the p-value of count and independence together (two degrees)."""
    return float(stats.chi2.sf(_count_ratio(hits, level) + _markov_ratio(hits), df=2))


def _count_ratio(hits: Hits, level: float) -> float:
    count, total = int(hits.sum()), len(hits)
    return 2 * (_likelihood(count, total - count, count / total) - _likelihood(count, total - count, level))


def _markov_ratio(hits: Hits) -> float:
    """Return the likelihood ratio of a chain with two probabilities against one, over the transitions."""
    before, after = hits[:-1], hits[1:]
    calm = int((~before & after).sum()), int((~before & ~after).sum())
    struck = int((before & after).sum()), int((before & ~after).sum())
    both = calm[0] + struck[0], calm[1] + struck[1]
    apart = sum(_likelihood(*pair, pair[0] / max(1, sum(pair))) for pair in (calm, struck))
    return max(0.0, 2 * (apart - _likelihood(*both, both[0] / max(1, sum(both)))))


def _likelihood(hits: int, misses: int, probability: float) -> float:
    return float(xlogy(hits, probability) + xlog1py(misses, -probability))


def shortfall_test(excesses: Floats, rng: np.random.Generator) -> float:
    """Return the p-value that the mean excess is not above zero, by the bootstrap of its t value.

    McNeil and Frey 2000, "Estimation of tail-related risk measures for heteroscedastic financial time series":
    centred excesses are drawn again, and the share of their t values above the observed one is counted.
    """
    count = len(excesses)
    centred = excesses - excesses.mean()
    drawn = centred[rng.integers(count, size=(RESAMPLES, count))]
    observed = _t_value(excesses[None])[0]
    return float((1 + (_t_value(drawn) >= observed).sum()) / (1 + RESAMPLES))


def _t_value(samples: Floats) -> Floats:
    error = samples.std(axis=1, ddof=1) / np.sqrt(samples.shape[1])
    return np.asarray(samples.mean(axis=1) / np.maximum(error, np.finfo(float).tiny))


def _judge(forecasts: int, expected: float, p_count: float, p_excess: float | None) -> tuple[Label, str]:
    if expected < JUDGED:
        return (
            "INCONCLUSIVE",
            f"{expected:.1f} exceedances are expected of {forecasts}; {JUDGED:g} are needed",
        )
    p = min(p_count, 1.0 if p_excess is None else p_excess)
    what = "their number or order" if p == p_count else "their size"
    if p < FAIL_P:
        return "FAIL", f"{what} would come by chance with p = {p:.2g}"
    if p < WARN_P:
        return "WARN", f"{what} would come by chance with p = {p:.2g}"
    return "PASS", f"their number, order and size are as forecast (p = {p:.2g})"
