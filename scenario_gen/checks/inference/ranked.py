"""Mode A, fact by fact: the rank of what came true among the paths of its own context, over many origins.

Owns ranks and the verdicts on them. Knows measured statistics alone: those of one asset and those of several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scenario_gen.checks.facts import Fact
from scenario_gen.checks.inference.results import Comparison, Design, FactVerdict
from scenario_gen.checks.inference.sample import Measured
from scenario_gen.checks.inference.verdicts import combine, label_of
from scenario_gen.finding import Label
from scenario_gen.stats.contrast import dispersion_of_pits, hac_mean, location_of_pits
from scenario_gen.stats.estimate import Floats
from scenario_gen.stats.multiple import benjamini_hochberg
from scenario_gen.stats.ranks import pit

MIN_ORIGINS = 40  # without overlap; fewer are shown and not judged
WANTED_PATHS = 199  # per origin


@dataclass(frozen=True)
class Rank:
    """One fact at one origin; NaN where it has no value.

    Attributes:
        u: rank of what came true among the paths.
        real: the value that came true.
        synthetic: mean over the paths.
        undefined: share of paths without a value, less 1 where what came true has none either.
    """

    u: float
    real: float
    synthetic: float
    undefined: float


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


def _verdict(fact: Fact, ranks: Ranks, found: Comparison | None, q: float | None) -> FactVerdict:
    label, reason = _label(ranks, found, q) if fact.gate else (None, "shown only: too noisy to judge by")
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
        comparison=found,
        q=q,
        mde=None if found is None else found.location.mde,
        undefined_synthetic=float(np.maximum(ranks.undefined, 0).mean()),
    )


def _label(ranks: Ranks, found: Comparison | None, q: float | None) -> tuple[Label, str]:
    origins = len(ranks.u)
    if origins < MIN_ORIGINS:
        return "INCONCLUSIVE", f"{origins} origins: shown, not judged below {MIN_ORIGINS}"
    excess = hac_mean(ranks.undefined)
    if found is None and excess.value <= 0:
        return "UNTESTABLE", "what came true has no value at any origin"
    return label_of(found, q, undefined=(max(excess.value, 0.0), excess.p))


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
