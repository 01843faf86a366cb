"""Whether ranks are still uniform, asked after every new one and for ever: a bet against calibration.

Owns the e-process and its alternatives. A stake of 1 is put on ranks that are not uniform; each rank multiplies what is
on an alternative by that alternative's density. Where ranks are uniform given the past, the stake is a martingale of
mean 1, and by Ville's inequality (1939) it ever reaches c with a probability of at most 1 / c, however often and
whenever one looks. Half the stake is bet from the first rank on, a sixth from the second, 1 / (t (t + 1)) from rank t:
calibration that is lost late is seen too (Shin, Ramdas and Rinaldo 2024, "E-detectors", whose sum over starts this is
with weights that add up to 1). Overlapping futures have dependent ranks: give those of one-bar forecasts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from scenario_gen.stats.estimate import Floats
from scenario_gen.stats.ranks import EDGE

# The truth as the paths' own normal law with its deviation times so much, or its mean moved by so many deviations.
WIDTHS = (0.5, 0.65, 0.8, 1.25, 1.6, 2.0)
MOVES = (-0.5, -0.25, 0.25, 0.5)


@dataclass(frozen=True)
class BetCourse:
    """What a stake of 1 has come to after each rank."""

    evidence: Floats  # [rank] the e-value
    leaning: str  # the alternative that earned most: "too narrow", "too wide", "too low", "too high"; "" without ranks

    @property
    def highest(self) -> float:
        """The largest so far, at least the stake."""
        return float(max(self.evidence.max(initial=1.0), 1.0))

    def reached(self, threshold: float) -> int | None:
        """Return after how many ranks the stake first came to a threshold; None where it never did."""
        above = np.flatnonzero(self.evidence >= threshold)
        return int(above[0]) + 1 if len(above) else None


def bet(pits: Floats) -> BetCourse:
    """Bet against ranks that are uniform given those before them.

    Args:
        pits: randomised ranks in (0, 1) in the order of time [rank].
    """
    if not len(pits):
        return BetCourse(np.empty(0), "")
    densities = _densities(np.clip(pits, EDGE, 1 - EDGE))  # [rank, alternative]
    on = np.zeros(densities.shape[1])
    evidence = np.empty(len(pits))
    for place, density in enumerate(densities):
        number = place + 1
        on = (on + 1 / (number * (number + 1))) * density
        evidence[place] = on.mean() + 1 / (number + 1)  # what is not bet yet
    return BetCourse(evidence, _WORDS[int(np.argmax(on))])


def _densities(pits: Floats) -> Floats:
    """Return the density of each rank under each alternative; each integrates to 1 [rank, alternative].

    With the paths standard normal and the truth normal with mean m and deviation s, the rank's density at u is
    phi((x - m) / s) / (s phi(x)) with x the normal quantile of u. No normal paths are needed for the bet to be fair.
    """
    x = ndtri(pits)[:, None]
    widths, moves = np.array(WIDTHS), np.array(MOVES)
    wider = np.exp(x**2 / 2 * (1 - 1 / widths**2)) / widths
    moved = np.exp(moves * x - moves**2 / 2)
    return np.concatenate((wider, moved), axis=1)


_WORDS = (
    *("too wide" if width < 1 else "too narrow" for width in WIDTHS),
    *("too high" if move < 0 else "too low" for move in MOVES),
)
