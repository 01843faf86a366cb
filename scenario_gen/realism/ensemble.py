"""Every score of one ensemble: beside the yardstick, and in one context beside single stretches of real time.

Owns the order of the steps, and what one context is held to. Knows no score by name but the one that one context alone
can judge; they are listed in ``scores``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scenario_gen.finding import Label
from scenario_gen.market.candles import Candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.results import ScoreVerdict
from scenario_gen.realism.scores import REPEATS, SCORE, SCORES, Compare, Ensemble, EnsembleScore, Sides, in_space
from scenario_gen.realism.space import (
    FEWEST_CLUSTERS,
    FOLDS,
    Distances,
    Floats,
    Ids,
    Keep,
    Points,
    Split,
    anew,
    distances,
    measure,
    random_splits,
    share_among,
)

FEWEST = 8  # stretches, of which the worst one is the limit


# --- Single stretches of real time: what one context may look like ---


@dataclass(frozen=True, eq=False)
class Stretches:
    """Scores of every single stretch of real time that one context is held to."""

    reached: Mapping[str, Floats]  # score to float64 [stretch]

    @classmethod
    def of(cls, real: Points) -> Stretches:
        """Measure every cluster of real windows that fills the folds of the classifier.

        Args:
            real: windows in the space of facts, those of one cluster in the order of time.
        """
        among = distances(real.x, real.x)
        clusters = [real.clusters == number for number in np.unique(real.clusters)]
        sides = [_beside_the_rest(real, among, inside) for inside in clusters if inside.sum() >= FOLDS]
        asked = [score for score in SCORES if score.group and score.whole is None and score.beside is in_space]
        rows = [[score.number(stretch) for score in asked] for stretch in sides]
        return cls({score.id: np.array([row[at] for row in rows]) for at, score in enumerate(asked)})

    def __len__(self) -> int:
        return min((len(values) for values in self.reached.values()), default=0)

    def verdict(self, name: str, value: float) -> tuple[Label, str]:
        """Return the label, and its reason, of a score of one context that windows of all times would not pass."""
        if len(self) < FEWEST:
            return "UNTESTABLE", self._too_few()
        score, reached = SCORE[name], self.reached[name]
        furthest = float(reached.min() if score.low else reached.max())
        told = f"{value:.3g}; of {len(self)} single stretches of real time"
        if value >= furthest if score.low else value <= furthest:
            blind = "windows of all times cannot judge one context by it"
            return "INCONCLUSIVE", f"{told} the furthest reaches {furthest:.3g}: {blind}"
        is_fault = score.further is not None and value > score.further * furthest
        return "FAIL" if is_fault else "WARN", f"{told} none comes to it, the furthest is {furthest:.3g}"

    def low_verdict(self, name: str, value: float) -> tuple[Label, str]:
        """Return the label, and its reason, of a score that stretches of every regime have: spread and precision."""
        if len(self) < FEWEST:
            return "UNTESTABLE", self._too_few()
        middle, least = self.usual(name)
        told = f"{value:.3g}; windows of single stretches of real time {middle:.3g}"
        reason = f"{told}, 95 % of them at least {least:.3g}"
        if value >= least:
            return "PASS", reason
        return ("FAIL" if value < (SCORE[name].thin or 0.0) * middle else "WARN"), reason

    def usual(self, name: str) -> tuple[float, float]:
        """Return the median of a score over the stretches, and what 95 % of them have at least."""
        reached = self.reached[name]
        return float(np.median(reached)), float(np.quantile(reached, 0.05))

    def against(self, verdict: ScoreVerdict) -> ScoreVerdict:
        """Return the verdict on a score in the space of facts with the label that one context deserves."""
        if verdict.value is None or verdict.reason == REPEATS:
            return verdict
        if SCORE[verdict.score].thin is not None:
            label, reason = self.low_verdict(verdict.score, verdict.value)
            middle, least = self.usual(verdict.score) if len(self) else (None, None)
            return replace(verdict, label=label, reason=reason, real_median=middle, real_limit=least, beyond=None)
        if verdict.label in (None, "PASS"):
            return verdict
        label, reason = self.verdict(verdict.score, verdict.value)
        return replace(verdict, label=label, reason=reason)

    def _too_few(self) -> str:
        return f"{len(self)} stretches of real time to hold one context to; {FEWEST} are needed"


def _beside_the_rest(real: Points, among: Distances, inside: np.ndarray) -> Sides:
    """Return the windows of one stretch beside all others."""
    rows, rest = np.flatnonzero(inside), np.flatnonzero(~inside)
    fifths = np.arange(len(rows)) * FOLDS // len(rows)  # in the order of time: neighbours overlap
    return Sides(
        Points(real.x[rows], fifths),
        real.select(rest),
        lambda: (among[np.ix_(rows, rows)], among[np.ix_(rest, rest)], among[np.ix_(rows, rest)]),
    )


# --- Every score of an ensemble ---


def judge_scores(
    paths: BarArrays,
    real: BarArrays,
    points: tuple[Points, Points],
    *,
    history: Candles,
    known: Sequence[Candles],
    one_context: bool = False,
    rng: np.random.Generator,
    keep: Keep = anew,
) -> list[ScoreVerdict]:
    """Return every score of an ensemble, in the order of :data:`SCORES`.

    Args:
        paths: the paths.
        real: real windows of the same length.
        points: both in the space of their facts.
        history: real bars that say how close history comes to itself.
        known: histories that the generator could have copied.
        one_context: the paths continue one context (mode C): where classifier, energy distance and coverage differ
            from windows of all times, single stretches of real time say whether that means anything; and the share of
            paths among real windows is judged.
        rng: of the splits.
        keep: what real windows score against each other, for ensembles of one size, reference and seed.
    """
    ensemble = Ensemble(paths, real, points, history, known)
    verdicts = {score.id: score.whole(score, ensemble) for score in SCORES if score.whole is not None}
    rest = [score for score in SCORES if score.whole is None]
    reason = _no_yardstick(points[1])
    if reason:
        verdicts |= {score.id: score.untestable(reason, one_context=one_context) for score in rest}
    else:
        splits = random_splits(points[1].clusters, len(points[0]), rng)
        for beside in dict.fromkeys(score.beside for score in rest):
            own = [score for score in rest if score.beside is beside]
            verdicts |= _beside_yardstick(own, ensemble, splits, beside(ensemble), keep)
        if one_context:
            verdicts |= _of_one_context(verdicts, points, keep("stretches", lambda: Stretches.of(points[1])))
    return [verdicts[score.id] for score in SCORES]


def _no_yardstick(real: Points) -> str:
    """Return why real windows cannot be held against each other; "" where they can."""
    if not real.x.shape[1]:
        return "no judged fact varies over windows of this length: there is no space to compare in"
    clusters = len(np.unique(real.clusters))
    if clusters < FEWEST_CLUSTERS:
        return f"{clusters} clusters of real windows; a yardstick needs {FEWEST_CLUSTERS}"
    return ""


def _beside_yardstick(
    scores: Sequence[EnsembleScore], ensemble: Ensemble, splits: Sequence[Split], compare: Compare, keep: Keep
) -> dict[str, ScoreVerdict]:
    """Return the scores that are computed from one and the same comparison."""
    lacking = {score.id: reason for score in scores if (reason := score.lacking(ensemble, splits))}
    known = [score for score in scores if score.id not in lacking]

    def numbers(is_real: bool, rows: Ids, rest: Ids) -> list[float]:
        compared = compare(is_real, rows, rest)
        return [score.number(compared) for score in known]

    measured = measure(splits, [score.id for score in known], numbers, keep)
    return {
        score.id: score.untestable(lacking[score.id]) if score.id in lacking else score.verdict(measured[score.id])
        for score in scores
    }


def _of_one_context(
    verdicts: Mapping[str, ScoreVerdict], points: tuple[Points, Points], stretches: Stretches
) -> dict[str, ScoreVerdict]:
    """Return the scores in the space of facts with the labels that one context deserves."""
    paths, real = points
    among = share_among(distances(real.x, real.x), distances(paths.x, real.x))
    whole = {**verdicts, "precision": replace(verdicts["precision"], value=among)}
    return {name: stretches.against(whole[name]) for name in stretches.reached}
