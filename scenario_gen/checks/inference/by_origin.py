"""check_facts_by_origin: what came true, ranked among the paths of its own context, over many origins (mode A).

The only mode that sees a wrong level of volatility, and one that regimes cannot mislead: each outcome is compared
with the ensemble of its own context.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from scenario_gen.checks.account import Label
from scenario_gen.checks.facts import FACTS, Audit, Bars, Fact, Gauge, audit_reference
from scenario_gen.checks.inference.admission import applies, on_one_gauge, untestable
from scenario_gen.checks.inference.contrast import Floats
from scenario_gen.checks.inference.pit import dispersion_of_pits, hac_mean, location_of_pits, pit
from scenario_gen.checks.inference.report import assemble
from scenario_gen.checks.inference.results import Comparison, Design, FactsReport, FactVerdict
from scenario_gen.checks.inference.sample import Sample
from scenario_gen.checks.inference.verdicts import adjusted, combine, label_of
from scenario_gen.errors import CheckError
from scenario_gen.market.candles import Candles

MIN_ORIGINS = 30  # fewer are shown and not judged
MIN_PATHS, WANTED_PATHS = 19, 199  # per origin; with 19 a rank moves in steps of 5 %


@dataclass(frozen=True)
class _Ranks:
    """One fact over all origins; NaN where an origin has no value.

    Attributes:
        u: [origin], rank of what came true among the paths.
        real: [origin], the value that came true.
        synthetic: [origin], mean over the paths.
        undefined: [origin], share of paths without a value, less 1 where what came true has none either.
    """

    u: Floats
    real: Floats
    synthetic: Floats
    undefined: Floats


def check_facts_by_origin(
    pairs: Iterable[tuple[Bars, Bars]], *, reference: Candles | None = None, seed: int
) -> FactsReport:
    """Judge a generator by the rank of what came true, fact by fact, facts of scale included.

    Origins must not overlap: what came true at one must end before the next begins. Judged from 30 origins on, best
    with 60 and 199 paths each; the smallest difference found with 80 % power is about .81 / sqrt(origins).

    Args:
        pairs: per origin, in time order, the paths sampled from its context and what came true as one path. An
            iterator is read once, origin by origin. Intraday bars must be built with the reference's clock.
        reference: the instrument's history: says how to measure (price step, time of day) and what cannot be
            judged; without it nothing is audited.
        seed: breaks ties.

    Raises:
        CheckError: no origin, or pairs that cannot be compared.
    """
    gauge = None if reference is None else Gauge.of(reference)
    origins = [_measured(number, paths, real, gauge) for number, (paths, real) in enumerate(pairs)]
    if not origins:
        raise CheckError(
            "no origin came", expected=f"at least {MIN_ORIGINS} pairs of paths and what came true"
        )
    _refuse_mixed(origins)
    audit = Audit({}, ["the reference was not audited: none was given"])
    if reference is not None:
        audit = audit_reference(reference)
    first = origins[0][0]
    facts = [fact for fact in FACTS if applies(fact, first.bars)]
    names = [set(sample.statistics) for pair in origins for sample in pair]
    reasons = untestable(facts, first.bars.length, audit, names)
    rng = np.random.default_rng([seed, 0])
    ranks = {fact.id: _ranked(fact.id, origins, rng) for fact in facts if fact.id not in reasons}
    design = Design(
        mode="A",
        bars=first.bars.length,
        paths=sum(len(paths) for paths, _ in origins),
        paths_given=sum(len(paths) for paths, _ in origins),
        path_clusters=len(origins),
        windows=len(origins),
        clusters=len(origins),
        reference_bars=len(origins) * first.bars.length,
        caps=[],
        seed=seed,
    )
    return assemble(design, _verdicts(facts, ranks, reasons), [], audit, _notes(origins))


def _measured(number: int, paths: Bars, real: Bars, gauge: Gauge | None) -> tuple[Sample, Sample]:
    """Return both sides of one origin with their statistics, on one tick."""
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
    sides = [
        bars.with_tick(real.tick) if gauge is None else on_one_gauge(bars, gauge) for bars in (paths, real)
    ]
    ours, theirs = (Sample.measure(bars, np.zeros(len(bars), dtype=np.int64), gauge) for bars in sides)
    return ours, theirs


def _refuse_mixed(origins: list[tuple[Sample, Sample]]) -> None:
    lengths = sorted({paths.bars.length for paths, _ in origins})
    if len(lengths) > 1:
        raise CheckError(f"origins have horizons of {lengths} bars", expected="one horizon for all origins")
    sessions = {side.bars.session_open is None for pair in origins for side in pair}
    if len(sessions) > 1:
        raise CheckError(
            "some bars are intraday and some are not", expected="paths and what came true of one frequency"
        )


def _ranked(fact: str, origins: list[tuple[Sample, Sample]], rng: np.random.Generator) -> _Ranks:
    u, real, synthetic, undefined = (np.full(len(origins), np.nan) for _ in range(4))
    for j, (paths, outcome) in enumerate(origins):
        values, came = paths.values(fact), float(outcome.values(fact)[0])
        defined = values[np.isfinite(values)]
        undefined[j] = 1 - len(defined) / len(values) - (not np.isfinite(came))
        if len(defined) and np.isfinite(came):
            u[j], real[j], synthetic[j] = pit(came, defined, rng), came, defined.mean()
    return _Ranks(u, real, synthetic, undefined)


def _verdicts(facts: list[Fact], ranks: dict[str, _Ranks], reasons: dict[str, str]) -> list[FactVerdict]:
    found = {name: _comparison(rank.u) for name, rank in ranks.items()}
    gates = {fact.id for fact in facts if fact.gate}
    q = adjusted({name: c.p for name, c in found.items() if c is not None and name in gates})
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


def _verdict(fact: Fact, ranks: _Ranks, found: Comparison | None, q: float | None) -> FactVerdict:
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


def _label(ranks: _Ranks, found: Comparison | None, q: float | None) -> tuple[Label, str]:
    origins = len(ranks.u)
    if origins < MIN_ORIGINS:
        return "INCONCLUSIVE", f"{origins} origins: shown, not judged below {MIN_ORIGINS}"
    excess = hac_mean(ranks.undefined)
    if found is None and excess.value <= 0:
        return "UNTESTABLE", "what came true has no value at any origin"
    return label_of(found, q, undefined=(max(excess.value, 0.0), excess.p))


def _notes(origins: list[tuple[Sample, Sample]]) -> list[str]:
    fewest = min(len(paths) for paths, _ in origins)
    return [f"{fewest} paths per origin; {WANTED_PATHS} are wanted"] if fewest < WANTED_PATHS else []
