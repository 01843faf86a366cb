"""The yardstick of one context: single stretches of real time, each against all the others.

A perfect generator of one context shows one regime, and windows of twenty years show many. On the S&P 500 and the
NASDAQ a classifier tells the windows of a single year from those of all others with a median AUC of .88 and .91, and
their energy distance is three times that of random halves. So an ensemble of one context is held to what single
stretches of real time differ by: a score that one of them reaches says nothing against it. Even the real windows of
the year to come, set against all years before, lie beyond every one of these in a quarter of cases (energy distance up
to 1.4 times the furthest), so that alone is a WARN. An AUC alone never fails: a third of real years to come reach .99,
and above there is nothing to tell them from paths that are wrong.

What narrowness cannot explain is a path where no real window ever was. ``precision``, the share of paths that lie
among real windows of any time, is high for a small regime as for a large one: single stretches have .7 to .9, Brownian
motion, a shuffle and GARCH 0 to .15. It fails below a fifth of the stretches' median. Of 315 real years to come, in 31
markets, 5 do so (two of the Dow Jones, three of futures), none of 18 of the S&P 500 and the NASDAQ, and no perfect
generator of a known market in 100. A market that changes its ways looks the same as a wrong generator, as that of 2017
nearly does on the S&P 500, and nothing in one history tells them apart. At 20 bars few facts are left, and Brownian
motion stays within what stretches reach.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from scenario_gen.checks.scores.classifier import FOLDS, out_of_fold_auc
from scenario_gen.checks.scores.distances import Distances, distances, energy_distance, mean_apart, prdc
from scenario_gen.checks.scores.points import Floats, Points
from scenario_gen.finding import Label

FEWEST = 8  # stretches, of which the worst one is the limit
FAR = 1.5  # times the furthest stretch beyond which an energy distance is a fault
THIN = 0.5  # times the real median below which a low score is a fault
WHATEVER_THE_REGIME = {"spread": THIN, "precision": 0.2}  # the same, of scores that no regime excuses


@dataclass(frozen=True, eq=False)
class Stretches:
    """Scores of every single stretch of real time, each float64 [stretch].

    Attributes:
        c2st: AUC between its windows and all others.
        energy: their energy distance.
        coverage: share of the other windows that have one of its own near them.
        spread: mean distance between its own windows.
        precision: share of its own windows that lie among the others.
    """

    c2st: Floats
    energy: Floats
    coverage: Floats
    spread: Floats
    precision: Floats

    @classmethod
    def of(cls, real: Points) -> Stretches:
        """Measure every cluster of real windows that fills the folds of the classifier.

        Args:
            real: windows in the space of facts, those of one cluster in the order of time.
        """
        among = distances(real.x, real.x)
        parts = [
            _measured(real, among, inside)
            for inside in (real.clusters == number for number in np.unique(real.clusters))
            if inside.sum() >= FOLDS
        ]
        return cls(*(np.array(column) for column in (zip(*parts, strict=True) if parts else [()] * len(fields(cls)))))

    def __len__(self) -> int:
        return len(self.c2st)

    def verdict(self, name: str, value: float) -> tuple[Label, str]:
        """Return the label, and its reason, of a score of one context that windows of all times would not pass."""
        if len(self) < FEWEST:
            return "UNTESTABLE", _too_few(self)
        low = name == "coverage"
        reached: Floats = getattr(self, name)
        furthest = float(reached.min() if low else reached.max())
        told = f"{value:.3g}; of {len(self)} single stretches of real time"
        if value >= furthest if low else value <= furthest:
            blind = "windows of all times cannot judge one context by it"
            return "INCONCLUSIVE", f"{told} the furthest reaches {furthest:.3g}: {blind}"
        is_fault = name == "energy" and value > FAR * furthest
        return "FAIL" if is_fault else "WARN", f"{told} none comes to it, the furthest is {furthest:.3g}"

    def low_verdict(self, name: str, value: float) -> tuple[Label, str]:
        """Return the label, and its reason, of a score that stretches of every regime have: spread and precision."""
        if len(self) < FEWEST:
            return "UNTESTABLE", _too_few(self)
        middle, least = self.usual(name)
        told = f"{value:.3g}; windows of single stretches of real time {middle:.3g}"
        reason = f"{told}, 95 % of them at least {least:.3g}"
        if value >= least:
            return "PASS", reason
        return ("FAIL" if value < WHATEVER_THE_REGIME[name] * middle else "WARN"), reason

    def usual(self, name: str) -> tuple[float, float]:
        """Return the median of a score over the stretches, and what 95 % of them have at least."""
        reached: Floats = getattr(self, name)
        return float(np.median(reached)), float(np.quantile(reached, 0.05))


def _measured(real: Points, among: Distances, inside: np.ndarray) -> tuple[float, ...]:
    rows, rest = np.flatnonzero(inside), np.flatnonzero(~inside)
    fifths = np.arange(len(rows)) * FOLDS // len(rows)  # in the order of time: neighbours overlap
    within, between = among[np.ix_(rows, rows)], among[np.ix_(rows, rest)]
    others = among[np.ix_(rest, rest)]
    near = prdc(within, others, between)
    return (
        out_of_fold_auc(Points(real.x[rows], fifths), real.select(rest)),
        energy_distance(within, others, between),
        near.coverage,
        mean_apart(within),
        near.precision,
    )


def _too_few(stretches: Stretches) -> str:
    return f"{len(stretches)} stretches of real time to hold one context to; {FEWEST} are needed"
