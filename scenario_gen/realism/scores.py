"""Every score of an ensemble, judged beside its yardstick: one list, which verdicts, tables and groups follow.

Owns the list of scores and their labels. Thresholds follow the power study; see BENCHMARKS.md.

To add a score: one entry in :data:`SCORES`, with how it is computed and judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from scenario_gen.finding import COPY, DISCRIMINATIVE, DIVERSITY, GROUPS, Group, Label
from scenario_gen.market.candles import Candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.copying import (
    FEWEST_BARS,
    ONE_PAIR_IN,
    TOO_CLOSE,
    Library,
    alike_pairs,
    copies,
    distinct_share,
)
from scenario_gen.realism.results import ScoreVerdict
from scenario_gen.realism.space import (
    FOLDS,
    LAGS,
    Distances,
    Floats,
    Ids,
    Neighbourhood,
    Points,
    Split,
    YardstickScore,
    curve_distance,
    distances,
    energy_distance,
    lagged_products,
    mean_apart,
    out_of_fold_auc,
    path_normalised,
    prdc,
    w1,
)

FURTHER = 1.5  # times the furthest stretch beyond which an energy distance is a fault
THIN = 0.5  # times the real median below which a low score is a fault
TOLD_APART = 0.80  # AUC above which a classifier really tells paths from windows
MEMORISED = 0.35  # AUC below which it takes paths for windows that it has seen
FAR = 3.0  # times the real median above which an energy distance is a fault
REPEATS = "paths are taken for windows seen before: they repeat the reference"
COPIED_WARN, COPIED_FAIL = 0.01, 0.05
DISTINCT = 0.99
ALIKE_WARN, ALIKE_FAIL = 0.01, 0.05  # as paths drawn from 100 and from 20 windows have


# --- What a score is computed from ---


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Paths and the real windows that they are held to."""

    paths: BarArrays
    real: BarArrays  # of the same length
    points: tuple[Points, Points]  # both in the space of their facts
    history: Candles  # real bars that say how close history comes to itself
    known: Sequence[Candles]  # histories that the generator could have copied


@dataclass(frozen=True, eq=False)
class Sides:
    """Some points in the space of facts, and real windows that they are compared with."""

    own: Points
    rest: Points
    cut: Callable[[], tuple[Distances, Distances, Distances]]  # among its own, among the rest, and between the two

    @cached_property
    def apart(self) -> tuple[Distances, Distances, Distances]:
        """Distances among its own, among the rest, and between the two."""
        return self.cut()

    @cached_property
    def near(self) -> Neighbourhood:
        """Who lies near whom."""
        return prdc(*self.apart)


Compare = Callable[[bool, Ids, Ids], Any]  # (are these real windows?, their rows, rows of the rest) to what is compared


def in_space(ensemble: Ensemble) -> Compare:
    """Compare in the space of facts: :class:`Sides`."""
    paths, real = ensemble.points
    among_paths, among_real = distances(paths.x, paths.x), distances(real.x, real.x)
    across = distances(paths.x, real.x)

    def sides(is_real: bool, rows: Ids, rest: Ids) -> Sides:
        within, between = (among_real, among_real) if is_real else (among_paths, across)
        return Sides(
            (real if is_real else paths).select(rows),
            real.select(rest),
            lambda: (within[np.ix_(rows, rows)], among_real[np.ix_(rest, rest)], between[np.ix_(rows, rest)]),
        )

    return sides


@dataclass(frozen=True, eq=False)
class Lines:
    """What the lines are made of, per path."""

    r: Floats
    normalised: Floats
    acf_abs: Floats
    leverage: Floats

    @classmethod
    def of(cls, bars: BarArrays) -> Lines:
        """Measure bars."""
        size = np.abs(bars.r)
        lags = min(LAGS, bars.length - 1)
        return cls(
            bars.r, path_normalised(bars.r), lagged_products(size, size, lags), lagged_products(bars.r, size, lags)
        )

    def take(self, rows: Ids) -> Lines:
        """Return those of some paths."""
        return Lines(self.r[rows], self.normalised[rows], self.acf_abs[rows], self.leverage[rows])


def by_line(ensemble: Ensemble) -> Compare:
    """Compare returns and their memory: two :class:`Lines`."""
    both = [Lines.of(bars) for bars in (ensemble.paths, ensemble.real)]
    return lambda is_real, rows, rest: (both[is_real].take(rows), both[True].take(rest))


def _as_many(x: Floats, y: Floats) -> float:
    """Return Wasserstein's distance of as many paths as windows."""
    same = min(len(x), len(y))
    return w1(x[:same], y[:same])


# --- What a score is ---


@dataclass(frozen=True)
class EnsembleScore:
    """One number for the whole ensemble: an entry of :data:`SCORES`."""

    id: str  # its name in tables and files
    title: str  # what it measures, for a person
    group: Group | None = None  # whose label it makes; None where it is shown and never judged
    # judges without a yardstick; None where it has one
    whole: Callable[[EnsembleScore, Ensemble], ScoreVerdict] | None = None
    beside: Callable[[Ensemble], Compare] = in_space  # how paths, and held-out real windows, are set beside real ones
    number: Callable[[Any], float] = lambda compared: float("nan")  # the score of what is compared
    # label, and the reason where it is not the yardstick
    judge: Callable[[YardstickScore], tuple[Label, str]] | None = None
    low: bool = False  # whether a low score is the bad one
    lacking: Callable[[Ensemble, Sequence[Split]], str] = lambda ensemble, splits: ""  # why it has no value, in words
    # In one context: times the median over single stretches of real time below which it is a fault, for a score that
    # no regime excuses; and times the furthest stretch beyond which one that a regime may excuse is.
    thin: float | None = None
    further: float | None = None

    @property
    def judged(self) -> bool:
        """Whether windows of all times can judge it; else one context alone does, or nothing."""
        return self.whole is not None or self.judge is not None

    def verdict(self, scored: YardstickScore) -> ScoreVerdict:
        """Return the score beside its yardstick."""
        label, reason = self.judge(scored) if self.judge else (None, "")
        side = "at least" if self.low else "at most"
        limit = scored.limit(low=self.low)
        usual = f"real windows against real windows {scored.real_median:.3g}, 95 % of them {side} {limit:.3g}"
        return ScoreVerdict(
            score=self.id,
            title=self.title,
            label=label,
            reason=reason or f"{scored.value:.3g}; {usual}",
            value=scored.value,
            real_median=scored.real_median,
            real_limit=limit,
            splits=len(scored.real),
            beyond=scored.beyond(low=self.low),
        )

    def untestable(self, reason: str, *, one_context: bool = False) -> ScoreVerdict:
        """Return that the score has no value, and why; it has a label where it would have been judged."""
        judged = self.judged or (one_context and self.group is not None)
        return ScoreVerdict(self.id, self.title, "UNTESTABLE" if judged else None, reason)


def _distinct(score: EnsembleScore, ensemble: Ensemble) -> ScoreVerdict:
    paths = ensemble.paths
    if paths.length < FEWEST_BARS:
        return score.untestable(f"paths of {paths.length} bars come close to one another by chance")
    share = distinct_share(paths)
    label: Label = "PASS" if share >= DISTINCT else "FAIL"
    reason = f"{share:.1%} of the paths differ, at least {DISTINCT:.0%} should"
    return ScoreVerdict(score.id, score.title, label, reason, share)


def _alike(score: EnsembleScore, ensemble: Ensemble) -> ScoreVerdict:
    paths = ensemble.paths
    if paths.length < FEWEST_BARS:
        return score.untestable(f"paths of {paths.length} bars come close to one another by chance")
    pairs = alike_pairs(paths, ensemble.real, ensemble.points[1].clusters)
    label: Label = "FAIL" if pairs.share > ALIKE_FAIL else "WARN" if pairs.share > ALIKE_WARN else "PASS"
    many = f", as if drawn from {pairs.modes:.0f} windows" if label != "PASS" else ""
    reason = (
        f"{pairs.share:.2%} of all pairs of paths move together (rank correlation above {pairs.threshold:.2f}){many}; "
        f"{1 / ONE_PAIR_IN:.1%} of real windows of different times do"
    )
    return ScoreVerdict(score.id, score.title, label, reason, pairs.share, 1 / ONE_PAIR_IN)


def _copies(score: EnsembleScore, ensemble: Ensemble) -> ScoreVerdict:
    close = copies(ensemble.paths, ensemble.history, Library.of(ensemble.known, ensemble.paths.tick))
    if close is None:
        return score.untestable("paths or history are too short, or move too little, to compare stretches of 20 bars")
    label: Label = "FAIL" if close.share > COPIED_FAIL else "WARN" if close.share > COPIED_WARN else "PASS"
    reason = (
        f"{close.share:.1%} of the stretches come closer to known history (r > {close.threshold:.2f}) than 99.9 % of "
        f"real ones; median r {close.median:.2f}, of real ones {close.real_median:.2f}"
    )
    return ScoreVerdict(score.id, score.title, label, reason, close.share, 1 - TOO_CLOSE)


def _too_few_to_fold(ensemble: Ensemble, splits: Sequence[Split]) -> str:
    paths, real = ensemble.points
    if len(np.unique(paths.clusters)) < FOLDS:
        return f"fewer than {FOLDS} contexts, or groups of paths that are not identical"
    sides = [
        side.select(rows).clusters
        for split in splits
        for side, rows in ((paths, split.paths), (real, split.held_out), (real, split.rest))
    ]
    if min(len(np.unique(clusters)) for clusters in sides) < FOLDS:
        return f"halves of the reference have too few windows to fill {FOLDS} folds"
    return ""


def _told_apart(scored: YardstickScore) -> tuple[Label, str]:
    if scored.value > scored.limit():
        return ("FAIL" if scored.value > TOLD_APART else "WARN"), ""
    if scored.value < min(MEMORISED, scored.limit(low=True)):
        return "WARN", REPEATS
    return "PASS", ""


def _not_far(scored: YardstickScore) -> tuple[Label, str]:
    if scored.value <= scored.limit():
        return "PASS", ""
    return ("FAIL" if scored.value > FAR * scored.real_median else "WARN"), ""


def _not_thin(scored: YardstickScore) -> tuple[Label, str]:
    if scored.value >= scored.limit(low=True):
        return "PASS", ""
    return ("FAIL" if scored.value < THIN * scored.real_median else "WARN"), ""


SCORES: tuple[EnsembleScore, ...] = (
    EnsembleScore("distinct", "share of paths that differ from all others", DIVERSITY, whole=_distinct),
    EnsembleScore("alike", "share of pairs of paths whose returns move together, bar by bar", DIVERSITY, whole=_alike),
    EnsembleScore("copies", "share of 20-bar stretches that repeat known history", COPY, whole=_copies),
    EnsembleScore(
        "c2st", "can a classifier tell paths from real windows, by their facts? (AUC)", DISCRIMINATIVE,
        number=lambda sides: out_of_fold_auc(sides.own, sides.rest), judge=_told_apart, lacking=_too_few_to_fold,
    ),
    EnsembleScore(
        "energy", "energy distance between paths and real windows, in the space of facts", DISCRIMINATIVE,
        number=lambda sides: energy_distance(*sides.apart), judge=_not_far, further=FURTHER,
    ),
    EnsembleScore(
        "spread", "mean distance between two paths, in the space of facts", DIVERSITY,
        number=lambda sides: mean_apart(sides.apart[0]), judge=_not_thin, low=True, thin=THIN,
    ),
    EnsembleScore(
        "coverage", "share of real windows that have a path near them", DIVERSITY,
        number=lambda sides: sides.near.coverage, judge=_not_thin, low=True,
    ),
    EnsembleScore(  # judged in one context alone
        "precision", "share of paths that lie among real windows", DISCRIMINATIVE,
        number=lambda sides: sides.near.precision, low=True, thin=0.2,
    ),
    EnsembleScore(
        "recall", "share of real windows that lie among paths",
        number=lambda sides: sides.near.recall, low=True,
    ),
    EnsembleScore("density", "real windows around a path", number=lambda sides: sides.near.density, low=True),
    EnsembleScore(
        "w1_returns", "Wasserstein distance of returns",
        beside=by_line, number=lambda both: _as_many(both[0].r, both[1].r),
    ),
    EnsembleScore(
        "w1_normalised", "Wasserstein distance of returns over their path's volatility",
        beside=by_line, number=lambda both: _as_many(both[0].normalised, both[1].normalised),
    ),
    EnsembleScore(
        "acf_abs", "distance of mean autocorrelations of absolute returns, lags 1-20",
        beside=by_line, number=lambda both: curve_distance(both[0].acf_abs, both[1].acf_abs),
    ),
    EnsembleScore(
        "leverage", "distance of mean leverage curves, lags 1-20",
        beside=by_line, number=lambda both: curve_distance(both[0].leverage, both[1].leverage),
    ),
)  # fmt: skip
SCORE: Mapping[str, EnsembleScore] = {score.id: score for score in SCORES}
SCORE_GROUPS: Mapping[str, tuple[str, ...]] = {
    group.key: members for group in GROUPS if (members := tuple(score.id for score in SCORES if score.group is group))
}
JUDGED = tuple(score.id for score in SCORES if score.group)


EXEMPT = "not judged: the generator is declared to resample history"


def exempted(scores: Iterable[ScoreVerdict]) -> list[ScoreVerdict]:
    """Return the scores with the copy test shown and not judged."""
    shown = SCORE_GROUPS[COPY.key]
    return [
        replace(score, label=None, reason=f"{EXEMPT}; {score.reason}") if score.score in shown else score
        for score in scores
    ]
