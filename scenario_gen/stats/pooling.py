"""Entropy pooling: the weights nearest to given ones under which means take the values that somebody believes in.

Owns the problem min KL(q || p) subject to low <= E_q f <= high, its dual and what can be attained. Meucci (2008), Fully
flexible views: theory and practice, Risk 21(10). Knows numbers per path; knows neither paths nor what views are about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXACT = 1e-12  # of a standard deviation: closer a mean is not brought to its value
REACHED = 1e-6  # of a standard deviation: a mean that stays further away cannot be attained
NEWTON = 60  # steps at most
FLAT = 1e-14  # a spread below this share of the largest number is the rounding of equal numbers


@dataclass(frozen=True, eq=False)
class Wanted:
    """A mean that is to lie between two values, which may be the same."""

    values: Floats  # float64 [path]
    low: float  # -inf where there is no lower end
    high: float  # inf where there is no upper end

    def holds(self, weights: Floats) -> bool:
        """Say whether weights have this mean at one of its ends."""
        mean, slack = float(weights @ self.values), REACHED * max(float(np.ptp(self.values)), 1e-300)
        return min(abs(mean - self.low), abs(mean - self.high)) <= slack


class NotAttained(Exception):  # noqa: N818 - an answer, not a mistake of the caller's code
    """No weights have all the wanted means: the first that cannot be had beside those before it."""

    def __init__(self, place: int, low: float, high: float) -> None:
        super().__init__(f"mean {place} can be from {low:g} to {high:g}")
        self.place = place  # in the list of what is wanted
        self.low, self.high = low, high  # what can be attained beside those before it


def pool(prior: Floats, wanted: Sequence[Wanted]) -> Floats:
    """Return the weights of sum 1 that have the wanted means and are nearest to the prior in relative entropy.

    Solved in the multipliers of the means, one number per mean: q is p exp(-l'f) up to its sum, and l the least point
    of a convex function. Means are taken in standard deviations of the prior. Paths without weight keep none.

    Args:
        prior: float64 [path], at least 0, sum 1.
        wanted: the means.

    Raises:
        NotAttained: no weights have these means, or only such as leave next to no path any weight.
    """
    held = [each for each in wanted if not _holds(prior, each)]
    if not held:
        return prior
    counts = prior > 0
    scaled = [_scaled(prior, each) for each in wanted]
    if None in scaled:
        raise attainable(prior, wanted)
    rows = np.stack([each.values[counts] for each in scaled if each is not None])  # [mean, path]
    ends = [(each.low, each.high) for each in scaled if each is not None]
    weights = np.zeros(len(prior))
    for eager in (True, False):
        weights[counts] = _solve(prior[counts], rows, ends, eager=eager)
        if all(_near(weights, each) for each in scaled if each is not None):
            return weights
    raise attainable(prior, wanted)


def _holds(weights: Floats, wanted: Wanted) -> bool:
    """Say whether a mean lies where it is wanted already, to the rounding of its sum."""
    mean = float(weights @ wanted.values)
    slack = EXACT * max(float(np.abs(wanted.values).max()), 1e-300)
    return wanted.low - slack <= mean <= wanted.high + slack


def _scaled(prior: Floats, wanted: Wanted) -> Wanted | None:
    """Return what is wanted in standard deviations from the prior's mean; None where the numbers are all the same."""
    mean = float(prior @ wanted.values)
    spread = float(np.sqrt(prior @ (wanted.values - mean) ** 2))
    if spread <= FLAT * float(np.abs(wanted.values).max()):
        return None
    return Wanted((wanted.values - mean) / spread, (wanted.low - mean) / spread, (wanted.high - mean) / spread)


def _near(weights: Floats, wanted: Wanted) -> bool:
    mean = float(weights @ wanted.values)
    return wanted.low - REACHED <= mean <= wanted.high + REACHED


def _solve(prior: Floats, rows: Floats, ends: Sequence[tuple[float, float]], *, eager: bool) -> Floats:
    """Return the weights by an active set: a mean is held at an end while that pushes it the right way.

    A mean outside its ends is held at the nearer one; one that is held by a multiplier of the wrong sign is let go.
    With k means there are few of these exchanges, each a Newton search from the multipliers before. ``eager`` begins
    with all ends held that the prior breaks: quicker, and perhaps out of reach together where the answer is not.
    """
    multipliers, weights = np.zeros(len(rows)), prior
    # In standard deviations from the prior's mean, an end on the wrong side of 0 is one that the prior breaks.
    broken = {place: low if low > 0 else high for place, (low, high) in enumerate(ends) if low > 0 or high < 0}
    held = broken if eager else {}
    held |= {place: low for place, (low, high) in enumerate(ends) if low == high}
    for _ in range(4 * len(rows) + 2):
        places = sorted(held)
        targets = np.array([held[place] for place in places])
        multipliers[[place for place in range(len(rows)) if place not in held]] = 0.0
        multipliers[places], weights = _newton(prior, rows[places], targets, multipliers[places])
        wrong = [p for p in places if ends[p][0] != ends[p][1] and not _pushes(multipliers[p], held[p], ends[p])]
        if wrong:
            del held[max(wrong, key=lambda place: abs(multipliers[place]))]
            multipliers[:] = 0.0  # what was held together may have been out of reach, and these far away
            continue
        means = rows @ weights
        outside = {p: max(low - means[p], means[p] - high) for p, (low, high) in enumerate(ends) if p not in held}
        furthest = max(outside, key=outside.__getitem__, default=-1)
        if furthest < 0 or outside[furthest] <= EXACT:
            break
        low, high = ends[furthest]
        held[furthest] = low if means[furthest] < low else high
    return weights


def _pushes(multiplier: float, at: float, ends: tuple[float, float]) -> bool:
    """Say whether a multiplier lifts a mean that is held at its lower end, or lowers one held at its upper end."""
    return multiplier <= 0.0 if at == ends[0] else multiplier >= 0.0


def _newton(prior: Floats, rows: Floats, targets: Floats, start: Floats) -> tuple[Floats, Floats]:
    """Return the multipliers at which the means are the targets, as nearly as they can be, and the weights there."""
    multipliers = start.copy()
    value, weights = _dual(prior, rows, targets, multipliers)
    for _ in range(NEWTON if len(rows) else 0):
        means = rows @ weights
        gap = targets - means  # the gradient
        if float(np.abs(gap).max()) <= EXACT:
            break
        covariance = (rows * weights) @ rows.T - np.outer(means, means)
        ridge = 1e-13 * float(np.trace(covariance)) + 1e-300
        step = np.linalg.solve(covariance + ridge * np.eye(len(rows)), -gap)
        if not np.isfinite(step).all():
            break
        size = 1.0
        while size > 1e-8:
            further, there = _dual(prior, rows, targets, multipliers + size * step)
            if further <= value + 1e-4 * size * float(gap @ step) + 1e-15:
                break
            size /= 2
        else:
            break
        multipliers, value, weights = multipliers + size * step, further, there
    return multipliers, weights


def _dual(prior: Floats, rows: Floats, targets: Floats, multipliers: Floats) -> tuple[float, Floats]:
    """Return ln sum p exp(-l'(f - b)) and the weights in it."""
    logs = -(multipliers @ rows)
    top = float(logs.max(initial=-np.inf)) if len(logs) else 0.0
    weights = prior * np.exp(logs - top)
    total = float(weights.sum())
    return top + float(np.log(total)) + float(multipliers @ targets), weights / total


def attainable(prior: Floats, wanted: Sequence[Wanted]) -> NotAttained:
    """Return the first mean that cannot be had beside those before it, and from where to where it can be.

    A linear program over the weights of all paths, for each mean in turn.
    """
    from scipy.optimize import linprog

    counts = prior > 0
    rows = [each.values[counts] for each in wanted]
    ends = (float("nan"), float("nan"))
    below: list[tuple[Floats, float]] = []  # rows that stay at or below a number
    for place, each in enumerate(wanted):
        bounds = {"A_ub": np.stack([row for row, _ in below]), "b_ub": [end for _, end in below]} if below else {}
        found = [
            linprog(sign * rows[place], A_eq=np.ones((1, counts.sum())), b_eq=[1.0], method="highs", **bounds)
            for sign in (1.0, -1.0)
        ]
        if all(program.success for program in found):
            ends = (float(found[0].fun), -float(found[1].fun))
        slack = REACHED * max(float(np.ptp(rows[place])), 1e-300)
        if not all(program.success for program in found) or each.low >= ends[1] - slack or each.high <= ends[0] + slack:
            return NotAttained(place, *ends)
        below += [(rows[place], each.high)] if np.isfinite(each.high) else []
        below += [(-rows[place], -each.low)] if np.isfinite(each.low) else []
    return NotAttained(len(wanted) - 1, *ends)
