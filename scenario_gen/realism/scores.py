"""Every score of an ensemble, judged beside its yardstick.

Owns the list of scores and their labels. Thresholds follow the power study; see BENCHMARKS.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from scenario_gen.finding import Label
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
    Points,
    curve_distance,
    distances,
    energy_distance,
    lagged_products,
    mean_apart,
    out_of_fold_auc,
    path_normalised,
    prdc,
    share_among,
    w1,
)
from scenario_gen.realism.yardstick import FEWEST_CLUSTERS, Keep, Scored, Split, anew, measure, random_splits

FEWEST = 8  # stretches, of which the worst one is the limit
FURTHER = 1.5  # times the furthest stretch beyond which an energy distance is a fault
THIN = 0.5  # times the real median below which a low score is a fault
WHATEVER_THE_REGIME = {"spread": THIN, "precision": 0.2}  # the same, of scores that no regime excuses


@dataclass(frozen=True, eq=False)
class Stretches:
    """Scores of every single stretch of real time, each float64 [stretch]."""

    c2st: Floats  # AUC between its windows and all others
    energy: Floats  # their energy distance
    coverage: Floats  # share of the other windows that have one of its own near them
    spread: Floats  # mean distance between its own windows
    precision: Floats  # share of its own windows that lie among the others

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
        is_fault = name == "energy" and value > FURTHER * furthest
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


# --- Every score of an ensemble, judged beside its yardstick ---


TOLD_APART = 0.80  # AUC above which a classifier really tells paths from windows
MEMORISED = 0.35  # AUC below which it takes paths for windows that it has seen
FAR = 3.0  # times the real median above which an energy distance is a fault
REPEATS = "paths are taken for windows seen before: they repeat the reference"
COPIED_WARN, COPIED_FAIL = 0.01, 0.05
DISTINCT = 0.99
ALIKE_WARN, ALIKE_FAIL = 0.01, 0.05  # as paths drawn from 100 and from 20 windows have
JUDGED = ("c2st", "energy", "precision", "coverage", "spread", "copies", "distinct", "alike")
IN_ONE_CONTEXT = ("precision",)  # judged there alone

TITLES = {
    "c2st": "can a classifier tell paths from real windows, by their facts? (AUC)",
    "energy": "energy distance between paths and real windows, in the space of facts",
    "coverage": "share of real windows that have a path near them",
    "spread": "mean distance between two paths, in the space of facts",
    "precision": "share of paths that lie among real windows",
    "recall": "share of real windows that lie among paths",
    "density": "real windows around a path",
    "copies": "share of 20-bar stretches that repeat known history",
    "distinct": "share of paths that differ from all others",
    "alike": "share of pairs of paths whose returns move together, bar by bar",
    "w1_returns": "Wasserstein distance of returns",
    "w1_normalised": "Wasserstein distance of returns over their path's volatility",
    "acf_abs": "distance of mean autocorrelations of absolute returns, lags 1-20",
    "leverage": "distance of mean leverage curves, lags 1-20",
}


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
    """Return every score of an ensemble.

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
    always = [_distinct(paths), _alike(paths, real, points[1].clusters), _copies(paths, history, known)]
    names = [name for name in TITLES if name not in {one.score for one in always}]
    reason = _no_yardstick(points[1])
    if reason:
        judged = [name for name in JUDGED if one_context or name not in IN_ONE_CONTEXT]
        return always + [_without(name, reason, judged=name in judged) for name in names]
    splits = random_splits(points[1].clusters, len(points[0]), rng)
    in_space = _classifier(points, splits, keep) + _in_space(points, splits, keep)
    if one_context:
        stretches = keep("stretches", lambda: Stretches.of(points[1]))
        in_space = _of_one_context(in_space, points, stretches)
    return always + in_space + _lines(paths, real, splits)


def _no_yardstick(real: Points) -> str:
    """Return why real windows cannot be held against each other; "" where they can."""
    if not real.x.shape[1]:
        return "no judged fact varies over windows of this length: there is no space to compare in"
    clusters = len(np.unique(real.clusters))
    if clusters < FEWEST_CLUSTERS:
        return f"{clusters} clusters of real windows; a yardstick needs {FEWEST_CLUSTERS}"
    return ""


def _of_one_context(
    verdicts: list[ScoreVerdict], points: tuple[Points, Points], stretches: Stretches
) -> list[ScoreVerdict]:
    """Return the scores in the space of facts with the labels that one context deserves."""
    paths, real = points
    among = share_among(distances(real.x, real.x), distances(paths.x, real.x))
    whole = [replace(one, value=among) if one.score == "precision" else one for one in verdicts]
    return [_against(stretches, one) for one in whole]


def _against(stretches: Stretches, one: ScoreVerdict) -> ScoreVerdict:
    if one.value is None or one.reason == REPEATS:
        return one
    if one.score in WHATEVER_THE_REGIME:
        label, reason = stretches.low_verdict(one.score, one.value)
        middle, least = stretches.usual(one.score) if len(stretches) else (None, None)
        return replace(one, label=label, reason=reason, real_median=middle, real_limit=least, beyond=None)
    if one.label in (None, "PASS"):
        return one
    label, reason = stretches.verdict(one.score, one.value)
    return replace(one, label=label, reason=reason)


def _classifier(points: tuple[Points, Points], splits: Sequence[Split], keep: Keep) -> list[ScoreVerdict]:
    paths, real = points
    if len(np.unique(paths.clusters)) < FOLDS:
        return [_without("c2st", f"fewer than {FOLDS} contexts, or groups of paths that are not identical")]
    sides = [
        side.select(rows).clusters
        for split in splits
        for side, rows in ((paths, split.paths), (real, split.held_out), (real, split.rest))
    ]
    if min(len(np.unique(clusters)) for clusters in sides) < FOLDS:
        return [_without("c2st", f"halves of the reference have too few windows to fill {FOLDS} folds")]

    def score(is_real: bool, rows: Ids, rest: Ids) -> list[float]:
        return [out_of_fold_auc((real if is_real else paths).select(rows), real.select(rest))]

    found = measure(splits, ["c2st"], score, keep)["c2st"]
    if found.value > found.limit():
        return [_verdict("c2st", found, "FAIL" if found.value > TOLD_APART else "WARN")]
    if found.value < min(MEMORISED, found.limit(low=True)):
        return [_verdict("c2st", found, "WARN", REPEATS)]
    return [_verdict("c2st", found, "PASS")]


def _in_space(points: tuple[Points, Points], splits: Sequence[Split], keep: Keep) -> list[ScoreVerdict]:
    paths, real = points
    among_paths, among_real = distances(paths.x, paths.x), distances(real.x, real.x)
    across = distances(paths.x, real.x)

    def score(is_real: bool, rows: Ids, rest: Ids) -> list[float]:
        within, between = (among_real, among_real) if is_real else (among_paths, across)
        parts = within[np.ix_(rows, rows)], among_real[np.ix_(rest, rest)], between[np.ix_(rows, rest)]
        near = prdc(*parts)
        shares = (near.coverage, near.precision, near.recall, near.density)
        return [energy_distance(*parts), mean_apart(parts[0]), *shares]

    names = ("energy", "spread", "coverage", "precision", "recall", "density")
    found = measure(splits, names, score, keep)
    verdicts = [_verdict("energy", found["energy"], _energy_label(found["energy"]))]
    for name in names[1:]:
        label = _low_label(found[name]) if name in ("spread", "coverage") else None
        verdicts.append(_verdict(name, found[name], label, low=True))
    return verdicts


def _energy_label(found: Scored) -> Label:
    if found.value <= found.limit():
        return "PASS"
    return "FAIL" if found.value > FAR * found.real_median else "WARN"


def _low_label(found: Scored) -> Label:
    if found.value >= found.limit(low=True):
        return "PASS"
    return "FAIL" if found.value < THIN * found.real_median else "WARN"


def _lines(paths: BarArrays, real: BarArrays, splits: Sequence[Split]) -> list[ScoreVerdict]:
    sides = [_LineParts.of(bars) for bars in (paths, real)]

    def score(is_real: bool, rows: Ids, rest: Ids) -> list[float]:
        one, other = sides[is_real], sides[True]
        same = min(len(rows), len(rest))
        return [
            w1(one.r[rows[:same]], other.r[rest[:same]]),
            w1(one.normalised[rows[:same]], other.normalised[rest[:same]]),
            curve_distance(one.acf_abs[rows], other.acf_abs[rest]),
            curve_distance(one.leverage[rows], other.leverage[rest]),
        ]

    found = measure(splits, ("w1_returns", "w1_normalised", "acf_abs", "leverage"), score)
    return [_verdict(name, one, None) for name, one in found.items()]


@dataclass(frozen=True, eq=False)
class _LineParts:
    """What the lines are made of, per path."""

    r: Floats
    normalised: Floats
    acf_abs: Floats
    leverage: Floats

    @classmethod
    def of(cls, bars: BarArrays) -> _LineParts:
        size = np.abs(bars.r)
        lags = min(LAGS, bars.length - 1)
        return cls(
            bars.r, path_normalised(bars.r), lagged_products(size, size, lags), lagged_products(bars.r, size, lags)
        )


def _distinct(paths: BarArrays) -> ScoreVerdict:
    if paths.length < FEWEST_BARS:
        return _without("distinct", f"paths of {paths.length} bars come close to one another by chance")
    share = distinct_share(paths)
    label: Label = "PASS" if share >= DISTINCT else "FAIL"
    return ScoreVerdict(
        "distinct", TITLES["distinct"], label, f"{share:.1%} of the paths differ, at least {DISTINCT:.0%} should", share
    )


def _alike(paths: BarArrays, real: BarArrays, clusters: Ids) -> ScoreVerdict:
    if paths.length < FEWEST_BARS:
        return _without("alike", f"paths of {paths.length} bars come close to one another by chance")
    found = alike_pairs(paths, real, clusters)
    label: Label = "FAIL" if found.share > ALIKE_FAIL else "WARN" if found.share > ALIKE_WARN else "PASS"
    many = f", as if drawn from {found.modes:.0f} windows" if label != "PASS" else ""
    reason = (
        f"{found.share:.2%} of all pairs of paths move together (rank correlation above {found.threshold:.2f}){many}; "
        f"{1 / ONE_PAIR_IN:.1%} of real windows of different times do"
    )
    return ScoreVerdict("alike", TITLES["alike"], label, reason, found.share, 1 / ONE_PAIR_IN)


def _copies(paths: BarArrays, history: Candles, known: Sequence[Candles]) -> ScoreVerdict:
    found = copies(paths, history, Library.of(known, paths.tick))
    if found is None:
        return _without("copies", "paths or history are too short, or move too little, to compare stretches of 20 bars")
    label: Label = "FAIL" if found.share > COPIED_FAIL else "WARN" if found.share > COPIED_WARN else "PASS"
    reason = (
        f"{found.share:.1%} of the stretches come closer to known history (r > {found.threshold:.2f}) than 99.9 % of "
        f"real ones; median r {found.median:.2f}, of real ones {found.real_median:.2f}"
    )
    return ScoreVerdict("copies", TITLES["copies"], label, reason, found.share, 1 - TOO_CLOSE)


def _verdict(name: str, found: Scored, label: Label | None, reason: str = "", *, low: bool = False) -> ScoreVerdict:
    side = "at least" if low else "at most"
    told = f"{found.value:.3g}; real windows against real windows {found.real_median:.3g}, 95 % of them {side} "
    return ScoreVerdict(
        score=name,
        title=TITLES[name],
        label=label,
        reason=reason or f"{told}{found.limit(low=low):.3g}",
        value=found.value,
        real_median=found.real_median,
        real_limit=found.limit(low=low),
        splits=len(found.real),
        beyond=found.beyond(low=low),
    )


def _without(name: str, reason: str, *, judged: bool = True) -> ScoreVerdict:
    return ScoreVerdict(name, TITLES[name], "UNTESTABLE" if judged else None, reason)


CANDLE_GROUP, COPY, CALIBRATION, VALUE_AT_RISK = "candles", "copy", "calibration", "value_at_risk"
SCORE_GROUPS: dict[str, tuple[str, ...]] = {
    "discriminative": ("c2st", "energy", "precision"),
    COPY: ("copies",),
    "diversity": ("distinct", "alike", "spread", "coverage"),
}
EXEMPT = "not judged: the generator is declared to resample history"


def exempted(scores: Iterable[ScoreVerdict]) -> list[ScoreVerdict]:
    """Return the scores with the copy test shown and not judged."""
    return [
        replace(score, label=None, reason=f"{EXEMPT}; {score.reason}") if score.score in SCORE_GROUPS[COPY] else score
        for score in scores
    ]
