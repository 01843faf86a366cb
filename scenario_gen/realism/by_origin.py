"""check_facts_by_origin: what came true, ranked among the paths of its own context, over many origins (mode A).

The only mode that sees a wrong level of volatility, and one that regimes cannot mislead: each outcome is compared
with the ensemble of its own context.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from scenario_gen.errors import CheckError
from scenario_gen.finding import Label
from scenario_gen.market.candles import Candles
from scenario_gen.realism.admission import applies, on_one_gauge, untestable
from scenario_gen.realism.audit import Audit, audit_reference
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.facts import FACTS, Fact, entries, path_statistics
from scenario_gen.realism.gauge import Gauge
from scenario_gen.realism.results import Comparison, Design, FactsReport, FactVerdict
from scenario_gen.realism.sample import Measured, concatenate
from scenario_gen.realism.verdicts import assemble, combine, label_of
from scenario_gen.stats.contrast import dispersion_of_pits, hac_mean, location_of_pits
from scenario_gen.stats.estimate import Floats
from scenario_gen.stats.means import benjamini_hochberg
from scenario_gen.stats.ranks import pit

MIN_ORIGINS = 40  # without overlap; fewer are shown and not judged
WANTED_PATHS = 199  # per origin


@dataclass(frozen=True)
class Rank:
    """One fact at one origin; NaN where it has no value."""

    u: float  # rank of what came true among the paths
    real: float  # the value that came true
    synthetic: float  # mean over the paths
    undefined: float  # share of paths without a value, less 1 where what came true has none either


@dataclass(frozen=True)
class Ranks:
    """One fact over all origins, each array [origin] of what :class:`Rank` holds."""

    u: Floats
    real: Floats
    synthetic: Floats
    undefined: Floats

    @classmethod
    def of(cls, ranks: list[Rank]) -> Ranks:
        """Stack the ranks of the origins."""
        stacked = np.array([(rank.u, rank.real, rank.synthetic, rank.undefined) for rank in ranks]).T
        return cls(*stacked)


def ranked(fact: str, drawn: Measured, came: Measured, rng: np.random.Generator) -> Rank:
    """Rank what came true in one fact among the paths of its context; ties are broken at random."""
    values, real = drawn.values(fact), float(came.values(fact)[0])
    defined = values[np.isfinite(values)]
    undefined = 1 - len(defined) / len(values) - (not np.isfinite(real))
    if not len(defined) or not np.isfinite(real):
        return Rank(np.nan, np.nan, np.nan, undefined)
    return Rank(pit(defined, real, rng), real, float(defined.mean()), undefined)


def verdicts(facts: Sequence[Fact], origins: Sequence[dict[str, Rank]], reasons: dict[str, str]) -> list[FactVerdict]:
    """Return one verdict per fact from its ranks at all origins; q is adjusted over those that are judged."""
    ranks = {fact.id: Ranks.of([origin[fact.id] for origin in origins]) for fact in facts if fact.id not in reasons}
    found = {name: _comparison(rank.u) for name, rank in ranks.items()}
    gates = {fact.id for fact in facts if fact.gate}
    q = benjamini_hochberg({name: c.p for name, c in found.items() if c is not None and name in gates})
    return [
        FactVerdict(fact.id, fact.group, fact.title, "UNTESTABLE" if fact.gate else None, reasons[fact.id])
        if fact.id in reasons
        else _verdict(fact, ranks[fact.id], found[fact.id], q.get(fact.id))
        for fact in facts
    ]


def _comparison(u: Floats) -> Comparison | None:
    u = u[np.isfinite(u)]
    if len(u) < 2:
        return None
    return combine(location_of_pits(u), dispersion_of_pits(u))


def _verdict(fact: Fact, ranks: Ranks, comparison: Comparison | None, q: float | None) -> FactVerdict:
    label, reason = _label(ranks, comparison, q) if fact.gate else (None, "shown only: too noisy to judge by")
    known = np.isfinite(ranks.u)
    real, synthetic = ranks.real[known], ranks.synthetic[known]
    return FactVerdict(
        fact=fact.id,
        group=fact.group,
        title=fact.title,
        label=label,
        reason=reason,
        real_mean=float(real.mean()) if len(real) else None,
        real_sd=float(real.std(ddof=1)) if len(real) > 1 else None,
        synthetic_mean=float(synthetic.mean()) if len(synthetic) else None,
        comparison=comparison,
        q=q,
        mde=None if comparison is None else comparison.location.mde,
        undefined_synthetic=float(np.maximum(ranks.undefined, 0).mean()),
    )


def _label(ranks: Ranks, comparison: Comparison | None, q: float | None) -> tuple[Label, str]:
    origins = len(ranks.u)
    if origins < MIN_ORIGINS:
        return "INCONCLUSIVE", f"{origins} origins: shown, not judged below {MIN_ORIGINS}"
    excess = hac_mean(ranks.undefined)
    if comparison is None and excess.value <= 0:
        return "UNTESTABLE", "what came true has no value at any origin"
    return label_of(comparison, q, undefined=(max(excess.value, 0.0), excess.p))


def design_of(paths: Sequence[int], bars: int, seed: int) -> Design:
    """Return the sizes of a comparison from the number of paths at each origin."""
    return Design(
        mode="A",
        bars=bars,
        paths=sum(paths),
        paths_given=sum(paths),
        path_clusters=len(paths),
        windows=len(paths),
        clusters=len(paths),
        reference_bars=len(paths) * bars,
        caps=[],
        seed=seed,
    )


def notes_of(paths: Sequence[int]) -> list[str]:
    """Say where an origin has fewer paths than its ranks want."""
    fewest = min(paths)
    return [f"{fewest} paths per origin; {WANTED_PATHS} are wanted"] if fewest < WANTED_PATHS else []


# --- check_facts_by_origin ---


MIN_PATHS = 19  # per origin: a rank then moves in steps of 5 %
MEASURED_AT_ONCE = 1 << 15  # path-bars: a call of the estimators costs as much for a hundred paths as for one


class FactsByOrigin:
    """Takes origins one after the other and keeps their ranks alone: memory does not grow with the paths.

    Origins must not overlap: what came true at one must end before the next begins. Judged from 40 origins on, best
    with 60 and 199 paths each; the smallest difference found with 80 % power is about .81 / sqrt(origins).

    Args:
        reference: the instrument's history: says how to measure (price step, time of day) and what cannot be
            judged; without it nothing is audited.
        seed: breaks ties.
    """

    def __init__(self, *, reference: Candles | None = None, seed: int) -> None:
        self._reference, self._seed = reference, seed
        self._gauge = None if reference is None else Gauge.of(reference)
        self._origins: list[dict[str, Rank]] = []
        self._waiting: list[tuple[BarArrays, BarArrays]] = []  # paths and what came true, not yet ranked
        self._paths: list[int] = []
        self._like: BarArrays | None = None  # what came true first: all bars are of its kind

    def __len__(self) -> int:
        return len(self._origins) + len(self._waiting)

    def add(self, paths: BarArrays, real: BarArrays) -> None:
        """Rank what came true at one origin among the paths that were sampled from its context.

        Args:
            paths: at least 19 valid paths. Intraday bars must be built with the reference's clock.
            real: what came true, as one path of as many bars.

        Raises:
            CheckError: the two cannot be compared, or are not of the length and frequency of the origins before.
        """
        number = len(self)
        refuse_pair(number, paths, real)
        if self._gauge is not None:
            paths, real = (on_one_gauge(bars, self._gauge) for bars in (paths, real))
        like = self._like or real
        for bars in (paths, real):
            refuse_other_kind(bars, like)
        waiting = (paths.with_tick(real.tick), real)
        if self._waiting and _kind(waiting) != _kind(self._waiting[0]):
            self._rank()
        self._waiting.append(waiting)
        if sum(len(drawn) + 1 for drawn, _ in self._waiting) * real.length >= MEASURED_AT_ONCE:
            self._rank()
        self._paths.append(len(paths))
        self._like = like

    def _rank(self) -> None:
        """Measure the origins that wait, all at once, and keep their ranks."""
        if not self._waiting:
            return
        real = self._waiting[0][1]
        every = concatenate([bars for pair in self._waiting for bars in pair])
        measured = Measured(np.zeros(len(every), dtype=np.int64), path_statistics(every, gauge=self._gauge))
        facts = [fact for fact in FACTS if applies(fact, real) and {*entries(fact)} <= measured.statistics.keys()]
        first = 0
        for paths, _ in self._waiting:
            last = first + len(paths)
            drawn, came = measured.select(slice(first, last)), measured.select(slice(last, last + 1))
            rng = np.random.default_rng([self._seed, len(self._origins)])
            self._origins.append({fact.id: ranked(fact.id, drawn, came, rng) for fact in facts})
            first = last + 1
        self._waiting = []

    def report(self) -> FactsReport:
        """Return the verdicts over all origins.

        Raises:
            CheckError: no origin came.
        """
        if self._like is None:
            raise CheckError("no origin came", expected=f"at least {MIN_ORIGINS} pairs of paths and what came true")
        self._rank()
        audit = Audit({}, ["the reference was not audited: none was given"])
        if self._reference is not None:
            audit = audit_reference(self._reference)
        facts = [fact for fact in FACTS if applies(fact, self._like)]
        ranked = set.intersection(*(set(origin) for origin in self._origins))
        measured = {column for fact in facts if fact.id in ranked for column in entries(fact)}
        reasons = untestable(facts, self._like.length, audit, [measured])
        design = design_of(self._paths, self._like.length, self._seed)
        return assemble(design, verdicts(facts, self._origins, reasons), [], audit, notes_of(self._paths))


def check_facts_by_origin(
    pairs: Iterable[tuple[BarArrays, BarArrays]], *, reference: Candles | None = None, seed: int
) -> FactsReport:
    """Judge a generator by the rank of what came true, fact by fact, facts of scale included.

    Args:
        pairs: per origin, in time order, the paths sampled from its context and what came true as one path, as
            :meth:`FactsByOrigin.add` takes them. An iterator is read once, origin by origin.
        reference: as in :class:`FactsByOrigin`.
        seed: breaks ties.

    Raises:
        CheckError: no origin, or pairs that cannot be compared.
    """
    found = FactsByOrigin(reference=reference, seed=seed)
    for paths, real in pairs:
        found.add(paths, real)
    return found.report()


def _kind(pair: tuple[BarArrays, BarArrays]) -> tuple[object, ...]:
    """Return what two origins must share to be measured together."""
    return tuple(
        (bars.tick, bars.session_bars, bars.volume is None, bars.bar_of_day is None, bars.least_range is None)
        for bars in pair
    )


def refuse_pair(number: int, paths: BarArrays, real: BarArrays) -> None:
    """Refuse paths and an outcome that do not fit, are too few, or have broken prices."""
    if len(real) != 1 or real.length != paths.length:
        raise CheckError(
            f"origin {number}: paths are [{len(paths)}, {paths.length}], what came true is "
            f"[{len(real)}, {real.length}]",
            expected="many paths and one that came true, of one length",
        )
    if len(paths) < MIN_PATHS:
        raise CheckError(
            f"origin {number} has {len(paths)} paths",
            expected=f"at least {MIN_PATHS}, better {WANTED_PATHS}",
            fix="sample more paths per origin",
        )
    if not (paths.valid.all() and real.valid.all()):
        raise CheckError(
            f"origin {number} has prices that are missing, infinite or not positive",
            expected="paths that passed the candle rules",
            fix="run check_candles first and judge the paths that it keeps",
        )


def refuse_other_kind(bars: BarArrays, like: BarArrays) -> None:
    """Refuse bars of another length or kind than those of the first origin."""
    if bars.length != like.length:
        raise CheckError(
            f"origins have horizons of {like.length} and {bars.length} bars", expected="one horizon for all origins"
        )
    if (bars.session_open is None) != (like.session_open is None):
        raise CheckError(
            "some bars are intraday and some are not", expected="paths and what came true of one frequency"
        )
