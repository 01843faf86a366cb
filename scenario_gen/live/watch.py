"""Is a strategy's realised equity still among the paths that were promised: consistent, drifting or outside.

A promise is the strategy's equity on every sampled path of one forecast; later bars give the equity that came. Two
questions, each with a stated rate of false alarms where the promises are right:

- the band of the promise at hand, the latest of which a bar came: the largest distance of the realised equity so far,
  in deviations of the paths, is ranked among the largest distances of whole paths (Myllymaki et al. 2017, J. R. Stat.
  Soc. B 79, 381: studentised envelope). As the distance so far only grows, the rate holds over every look until the
  promise ends.
- the ranks of finished promises: each final equity's rank among its paths is uniform and new, so wealth of bets on it
  is a martingale; it passes 1 / rate at any time with at most that rate (Ville 1939; Shafer 2021, J. R. Stat. Soc. A
  184, 407). This is what notices a loss per promise that no band would show.

Promises that overlap in time share bars, and their ranks are not new: of these the first is held, the next that begins
after its end, and so on. Knows equities; knows neither strategies, generators nor logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.live.results import Course, StrategyWatch

Floats = NDArray[np.float64]

OUTSIDE = 0.01  # rate of false alarms of "outside", per promise
DRIFTING = 0.025  # of "drifting": by the band per promise, and by the ranks ever
FEWEST_PATHS = 99  # with fewer, no rank is as small as OUTSIDE: (paths + 1) * .01 >= 1
STAKES = (0.125, 0.25, 0.5, 0.75)  # shares of the wealth that are bet; their average is a bet as well
DIRECTIONS = {"below": -1.0, "above": 1.0}
QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True, eq=False)
class Promise:
    """A strategy's equity on the paths of one forecast, and what came of it so far."""

    since: str  # stamp of the bar that it followed
    timestamps: pd.DatetimeIndex  # [bar] of the paths
    equity: Floats  # float64 [path, bar + 1]: from the start, before the first bar, on
    realised: Floats  # float64 [k + 1], k <= bars: the same of what came

    def __post_init__(self) -> None:
        bars = self.equity.shape[-1] - 1
        if self.equity.ndim != 2 or len(self.timestamps) != bars or not 1 <= len(self.realised) <= bars + 1:
            raise ValueError(
                f"equity {self.equity.shape}, {len(self.timestamps)} stamps and {len(self.realised)} realised values "
                "do not fit: expected [path, bar + 1], [bar] and at most bar + 1"
            )
        if not (np.isfinite(self.equity).all() and np.isfinite(self.realised).all()):
            raise ValueError("an equity that is no number")
        if not ((self.equity[:, 0] > 0).all() and self.realised[0] > 0):
            raise ValueError("a start of zero or less")

    @property
    def bars(self) -> int:
        """How many bars came."""
        return len(self.realised) - 1

    @property
    def is_over(self) -> bool:
        """Whether the last bar came."""
        return self.bars == len(self.timestamps)

    @property
    def growth(self) -> Floats:
        """Equity as a multiple of its start, float64 [path, bar + 1]."""
        return np.asarray(self.equity / self.equity[:, :1])

    @property
    def realised_growth(self) -> Floats:
        """The same of what came, float64 [k + 1]."""
        return np.asarray(self.realised / self.realised[0])


def watch(strategy: str, promises: Sequence[Promise], *, seed: int) -> StrategyWatch:
    """Hold what came against what was promised.

    Args:
        strategy: its name.
        promises: of forecasts one after the other, the oldest first.
        seed: of the draws that break ties of ranks.

    Returns:
        ``outside`` where the band of the promise at hand is left at 1 %; ``drifting`` where it is left at 2.5 %, or the
        ranks of finished promises give evidence of 40; ``undecided`` where nothing came or paths are too few.
    """
    held = apart(promises)
    at_hand = next((promise for promise in reversed(held) if promise.bars), held[-1] if held else None)
    bands = {} if at_hand is None else _quantiles(at_hand)
    growth = [] if at_hand is None else at_hand.realised_growth.tolist()
    finished = [promise for promise in held if promise.is_over]
    wealth, direction = evidence([rank(promise, seed, at) for at, promise in enumerate(finished)])
    p = band_p(at_hand) if at_hand is not None and at_hand.bars else None
    few = [len(promise.equity) for promise in held if len(promise.equity) < FEWEST_PATHS]
    course, words = _judged(p, wealth, direction, len(finished), few)
    return StrategyWatch(
        strategy=strategy,
        course=course,
        since="" if at_hand is None else at_hand.since,
        bars=0 if at_hand is None else at_hand.bars,
        realised=growth[-1] - 1 if growth else 0.0,
        promised={key: values[len(growth) - 1] - 1 for key, values in bands.items()},
        band_p=p,
        evidence=wealth,
        threshold=1 / DRIFTING,
        direction=direction,
        promises=len(held),
        finished=len(finished),
        left_bands=sum(band_p(promise) <= OUTSIDE for promise in finished),
        words=words,
        false_alarms=(
            f"a strategy that keeps its promises is called outside in at most {OUTSIDE:.0%} of promises, and drifting "
            f"by its band in at most {DRIFTING:.1%} of promises and by its ranks ever with at most {DRIFTING:.1%}"
        ),
        equity=growth,
        bands=bands,
    )


def apart(promises: Sequence[Promise]) -> list[Promise]:
    """Return the first promise, the next that begins after its end, and so on."""
    held: list[Promise] = []
    for promise in sorted(promises, key=lambda each: each.timestamps[0]):
        if not held or promise.timestamps[0] > held[-1].timestamps[-1]:
            held.append(promise)
    return held


def band_p(promise: Promise) -> float:
    """Return the share of paths, the realised one counted in, that ever stray as far as it did so far; in (0, 1].

    Each path is measured by mean and deviation of the others, as the realised one is. Where all others are the same,
    a path that is not is infinitely far.
    """
    growth = promise.growth
    count = len(growth)
    mean, spread = growth.mean(axis=0), growth.std(axis=0)
    away = np.abs(growth - mean)
    # of the others alone, from those of all: mean n/(n-1) away, variance n/(n-1) (v - away^2/(n-1))
    others = np.sqrt(np.maximum(spread**2 - away**2 / max(count - 1, 1), 0.0))
    largest = _in_deviations(np.sqrt(count / max(count - 1, 1)) * away, others).max(axis=1)
    known = slice(promise.bars + 1)
    came = _in_deviations(np.abs(promise.realised_growth - mean[known]), spread[known]).max()
    return float((1 + np.sum(largest >= came)) / (count + 1))


def rank(promise: Promise, seed: int, number: int) -> float:
    """Return the place of the final equity among the paths as u = (place + 1/2) / (paths + 1), ties broken by chance.

    Args:
        promise: one that is over.
        seed: of the draw.
        number: of the promise, which keys the draw.
    """
    last, came = promise.growth[:, -1], promise.realised_growth[-1]
    ties = int(_alike(last, came).sum())
    below = int(((last < came) & ~_alike(last, came)).sum())
    drawn = int(np.random.default_rng([seed, number]).integers(ties + 1))
    return (below + drawn + 0.5) / (len(last) + 1)


def evidence(ranks: Sequence[float]) -> tuple[float, str]:
    """Return the highest wealth of bets against uniform ranks, and where the ranks lean.

    Wealth begins at 1 and is the mean over stakes s and both directions d of the product of 1 + s d (2 u - 1), each of
    which is 1 in the mean under uniform ranks whatever came before.
    """
    if not ranks:
        return 1.0, ""
    lean = 2 * np.asarray(ranks) - 1  # [promise], in (-1, 1)
    stakes = np.asarray(STAKES)[:, None]
    wealth = {
        name: np.exp(np.log1p(sign * stakes * lean).cumsum(axis=1)).mean(axis=0) for name, sign in DIRECTIONS.items()
    }
    together = np.mean([*wealth.values()], axis=0)
    at = int(together.argmax())
    highest = float(max(together[at], 1.0))
    return highest, max(wealth, key=lambda name: wealth[name][at]) if highest > 1 else ""


def _judged(p: float | None, wealth: float, direction: str, finished: int, few: Sequence[int]) -> tuple[Course, str]:
    if few:
        return "undecided", f"a promise has {min(few)} paths, and the rates need at least {FEWEST_PATHS}"
    if p is None:
        return "undecided", "no bar came since the promise"
    strays = f"{p:.2%} of the promised paths ever stray as far as the realised equity did"
    if p <= OUTSIDE:
        return "outside", f"{strays}, which is at most {OUTSIDE:.0%}"
    if wealth >= 1 / DRIFTING:
        where = f"the final equities of {finished} promises lie {direction} their paths' middle too often"
        return "drifting", f"{where}: evidence {wealth:,.1f} of the {1 / DRIFTING:.0f} that are needed"
    if p <= DRIFTING:
        return "drifting", f"{strays}, which is at most {DRIFTING:.1%}"
    ranks = f"; evidence against the ranks of {finished} finished: {wealth:,.1f} of {1 / DRIFTING:.0f}"
    return "consistent", f"{strays}{ranks if finished else ''}"


def _in_deviations(away: Floats, spread: Floats) -> Floats:
    """Return distances in deviations: 0 where there is no distance, infinite where there is and no deviation."""
    nothing = 1e-12  # of a multiple of the start: float noise
    still = np.broadcast_to(spread <= nothing, away.shape)
    scaled = np.divide(away, spread, out=np.full(away.shape, np.inf), where=~still)
    return np.where(still & (away <= nothing), 0.0, scaled)


def _alike(values: Floats, value: float) -> NDArray[np.bool_]:
    return np.asarray(np.abs(values - value) <= 1e-12)


def _quantiles(promise: Promise) -> dict[str, list[float]]:
    rows = np.quantile(promise.growth, QUANTILES, axis=0)
    return {str(level): row.tolist() for level, row in zip(QUANTILES, rows, strict=True)}
