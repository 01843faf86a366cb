"""The stylized facts of an evaluation: ranked at every origin, judged over the origins of many series (mode A).

At each origin what came is ranked among the paths of its own context, as ``realism.by_origin`` does for one series.
Series share their dates, so ranks are averaged with errors from spans of time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenario_gen.finding import Label, by_group
from scenario_gen.forecasts.spans import Mean, Spans
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.realism.audit import audit_reference
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.by_origin import MIN_ORIGINS, ranked
from scenario_gen.realism.facts import FACTS as EVERY, entries, path_statistics
from scenario_gen.realism.gauge import Gauge
from scenario_gen.realism.results import Comparison
from scenario_gen.realism.sample import Measured
from scenario_gen.realism.verdicts import combine, label_of
from scenario_gen.stats.contrast import Contrast, from_t
from scenario_gen.stats.estimate import Floats
from scenario_gen.stats.means import benjamini_hochberg

FACTS = (  # whose means are shown
    "acf_abs_1_5",
    "acf_rng_1_5",
    "acf_rng_6_20",
    "lev_har",
    "lev_rng_1_5",
    "lev_abs_1_10",
    "vol_rng_corr",
    "vol_acf_1_5",
    "Lkurt",
    "absr_rng_corr",
    "acf_r_1",
)
RANKED = tuple(fact for fact in EVERY if fact.gate)
FEWEST_SPANS = 10  # of time, below which no label is given


@dataclass(frozen=True, eq=False)
class SeriesGauge:
    """How the bars of one series are measured, and which facts its history can tell."""

    gauge: Gauge
    untestable: frozenset[str]  # ids of facts

    @classmethod
    def of(cls, candles: Candles) -> SeriesGauge:
        """Learn price step, sessions and time of day from a history, and audit it."""
        return cls(Gauge.of(candles), frozenset(audit_reference(candles).untestable))

    def measured(self, paths: PathSet) -> Measured:
        """Return every fact of every path; none where a path has broken prices."""
        bars = BarArrays.of_paths(paths, tick=self.gauge.tick, clock=self.gauge.clock)
        return Measured(np.zeros(len(bars), dtype=np.int64), path_statistics(bars, gauge=self.gauge))

    def ranks(self, drawn: Measured, came: Measured, rng: np.random.Generator) -> Floats:
        """Return for each of RANKED the rank of what came, and by how much more paths have no value [F, 2].

        NaN for facts that the history, or the paths, cannot tell.
        """
        found = np.full((len(RANKED), 2), np.nan)
        for place, fact in enumerate(RANKED):
            there = all({*entries(fact)} <= side.statistics.keys() for side in (drawn, came))
            if there and fact.id not in self.untestable:
                rank = ranked(fact.id, drawn, came, rng)
                found[place] = rank.u, rank.undefined
        return found


def means(measured: Measured) -> Floats:
    """Return the mean over paths of each of FACTS [K]; NaN where no path can be measured."""
    there = {fact.id for fact in RANKED if {*entries(fact)} <= measured.statistics.keys()}
    return np.array([_mean(measured.values(name)) if name in there else np.nan for name in FACTS])


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


@dataclass(frozen=True)
class FactMean:
    """One stylized fact: its mean over the real windows and over the paths of the same origins."""

    id: str  # of the fact, as ``scenario-gen check`` knows it
    real: float  # mean over real windows
    generated: float  # mean over origins of the mean over paths
    error: float  # clustered standard error of their difference
    origins: int  # where both could be measured

    @classmethod
    def of(cls, name: str, generated: Floats, real: Floats, spans: Spans) -> FactMean:
        """Compare a fact of the paths with that of the real windows, both [origin]."""
        both = np.isfinite(generated) & np.isfinite(real)
        if not both.any():
            return cls(name, float("nan"), float("nan"), float("nan"), 0)
        difference = spans.mean(np.where(both, generated - real, np.nan))
        return cls(name, float(real[both].mean()), float(generated[both].mean()), difference.error, int(both.sum()))


@dataclass(frozen=True)
class RankedFact:
    """One stylized fact judged by the rank of what came among the paths of its own context (mode A)."""

    id: str  # of the fact, as ``scenario-gen check`` knows it
    group: str  # the phenomenon
    label: Label  # INCONCLUSIVE below 40 origins or 10 spans of time, UNTESTABLE where no series can tell
    reason: str  # in words
    lean: float | None  # 1/2 less the mean rank; above 0 the paths' values are too large
    width: float | None  # 1/2 less twice the mean distance of ranks from 1/2; above 0 the paths differ too much
    q: float | None  # p-value, adjusted over all facts of the generator in this group of origins
    origins: int  # where it could be ranked


def judge_ranks(ranks: Floats, spans: Spans) -> list[RankedFact]:
    """Return the verdict on every fact from its ranks at all origins of a group [J, F, 2]."""
    found = {fact.id: _comparison(ranks[:, place, 0], spans) for place, fact in enumerate(RANKED)}
    q = benjamini_hochberg({name: c.p for name, c in found.items() if c is not None})
    judged = []
    for place, fact in enumerate(RANKED):
        comparison, u = found[fact.id], ranks[:, place, 0]
        label, reason = _label(comparison, q.get(fact.id), ranks[:, place], spans)
        lean = None if comparison is None else comparison.location.value
        width = None if comparison is None or comparison.dispersion is None else comparison.dispersion.value
        known = int(np.isfinite(u).sum())
        judged.append(RankedFact(fact.id, fact.group, label, reason, lean, width, q.get(fact.id), known))
    return judged


def worst_of(facts: list[RankedFact]) -> dict[str, Label]:
    """Return the label of each group of facts: that of its worst member."""
    return by_group((fact.group, fact.label) for fact in facts)


def _comparison(u: Floats, spans: Spans) -> Comparison | None:
    """Return the tests of ``realism.by_origin`` on ranks [J], with errors from spans; None with fewer than two."""
    where, width = spans.mean(0.5 - u), spans.mean(2 * (0.25 - np.abs(u - 0.5)))
    return combine(_contrast(where), _contrast(width)) if where.clusters > 1 else None


def _contrast(mean: Mean) -> Contrast:
    """Test that a mean is 0; the least error is that of as many ranks as there are spans, as for one series."""
    return from_t(mean.mean, max(mean.error, 0.25 / mean.clusters), mean.clusters - 1.0)


def _label(comparison: Comparison | None, q: float | None, ranks: Floats, spans: Spans) -> tuple[Label, str]:
    excess = spans.mean(ranks[:, 1])
    origins = int(np.isfinite(ranks[:, 1]).sum())
    if not origins:
        return "UNTESTABLE", "no series can tell"
    if origins < MIN_ORIGINS or excess.clusters < FEWEST_SPANS:
        least = f"below {MIN_ORIGINS} origins or {FEWEST_SPANS} spans of time"
        return "INCONCLUSIVE", f"{origins} origins in {excess.clusters} spans: shown, not judged {least}"
    if comparison is None and excess.mean <= 0:
        return "UNTESTABLE", "what came has no value at any origin"
    return label_of(comparison, q, undefined=(max(excess.mean, 0.0), _contrast(excess).p))
