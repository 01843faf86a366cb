"""check_facts_by_origin: what came true, ranked among the paths of its own context, over many origins (mode A).

The only mode that sees a wrong level of volatility, and one that regimes cannot mislead: each outcome is compared
with the ensemble of its own context.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from scenario_gen.checks.facts import FACTS, Audit, Bars, Gauge, audit_reference
from scenario_gen.checks.facts.statistics import entries
from scenario_gen.checks.inference.admission import applies, on_one_gauge, untestable
from scenario_gen.checks.inference.ranked import MIN_ORIGINS, WANTED_PATHS, Rank, design_of, notes_of, ranked, verdicts
from scenario_gen.checks.inference.report import assemble
from scenario_gen.checks.inference.results import FactsReport
from scenario_gen.checks.inference.sample import Sample
from scenario_gen.errors import CheckError
from scenario_gen.market.candles import Candles

MIN_PATHS = 19  # per origin: a rank then moves in steps of 5 %


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
        self._paths: list[int] = []
        self._like: Bars | None = None  # what came true first: all bars are of its kind

    def __len__(self) -> int:
        return len(self._origins)

    def add(self, paths: Bars, real: Bars) -> None:
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
        one = np.zeros(len(paths), dtype=np.int64)
        drawn = Sample.measure(paths.with_tick(real.tick), one, self._gauge)
        came = Sample.measure(real, one[:1], self._gauge)
        rng = np.random.default_rng([self._seed, number])
        self._origins.append(
            {
                fact.id: ranked(fact.id, drawn, came, rng)
                for fact in FACTS
                if applies(fact, real) and {*entries(fact)} <= drawn.statistics.keys() & came.statistics.keys()
            }
        )
        self._paths.append(len(paths))
        self._like = like

    def report(self) -> FactsReport:
        """Return the verdicts over all origins.

        Raises:
            CheckError: no origin came.
        """
        if self._like is None:
            raise CheckError("no origin came", expected=f"at least {MIN_ORIGINS} pairs of paths and what came true")
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
    pairs: Iterable[tuple[Bars, Bars]], *, reference: Candles | None = None, seed: int
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


def refuse_pair(number: int, paths: Bars, real: Bars) -> None:
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


def refuse_other_kind(bars: Bars, like: Bars) -> None:
    """Refuse bars of another length or kind than those of the first origin."""
    if bars.length != like.length:
        raise CheckError(
            f"origins have horizons of {like.length} and {bars.length} bars", expected="one horizon for all origins"
        )
    if (bars.session_open is None) != (like.session_open is None):
        raise CheckError(
            "some bars are intraday and some are not", expected="paths and what came true of one frequency"
        )
