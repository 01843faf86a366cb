"""Several assets: whether paths move together as the real assets do (modes A, B and C).

Owns the order of the steps. Each asset alone is judged elsewhere; here only what lies between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scenario_gen.errors import CheckError
from scenario_gen.market.candles import Candles
from scenario_gen.realism.admission import admit, caps_of, on_one_gauge, too_short, untestable
from scenario_gen.realism.audit import Audit, audit_assets
from scenario_gen.realism.bars import BarArrays, spread_rows
from scenario_gen.realism.by_origin import Rank, design_of, notes_of, ranked, refuse_other_kind, refuse_pair, verdicts
from scenario_gen.realism.check import MOST_PATHS, first_place
from scenario_gen.realism.controls import Relative
from scenario_gen.realism.course import Next
from scenario_gen.realism.facts import Fact
from scenario_gen.realism.gauge import Gauge
from scenario_gen.realism.panel import Panel, cross_facts, cross_statistics
from scenario_gen.realism.results import Design, FactsReport, FactVerdict
from scenario_gen.realism.sample import Measured, Reference, cut_reference, path_clusters
from scenario_gen.realism.verdicts import Bench, assemble, judge_facts, judged, judged_by_nothing
from scenario_gen.stats.contrast import MIN_CLUSTERS, Ids

Control = Callable[[Panel, int, np.random.Generator], Panel]


def cross_control(name: str, windows: Panel, paths: int, rng: np.random.Generator) -> Panel:
    """Return ``paths`` paths of the named control, as long as the real windows.

    Args:
        name: a key of ``CROSS_CONTROLS``.
        windows: real windows of all assets.
        paths: how many paths to make.
        rng: chooses windows.
    """
    return CROSS_CONTROLS[name](windows, paths, rng)


def independent(windows: Panel, paths: int, rng: np.random.Generator) -> Panel:
    """Real windows, those of each asset from another time."""
    drawn = rng.integers(len(windows), size=(len(windows.bars), paths))
    return Panel(windows.assets, tuple(bars.select(rows) for bars, rows in zip(windows.bars, drawn, strict=True)))


def misaligned(windows: Panel, paths: int, rng: np.random.Generator) -> Panel:
    """Real windows, every second asset one bar late (its last bar comes first)."""
    drawn = windows.select(rng.integers(len(windows), size=paths))
    return Panel(drawn.assets, tuple(_late(bars) if at % 2 else bars for at, bars in enumerate(drawn.bars)))


def _late(bars: BarArrays) -> BarArrays:
    return Relative.of(bars).rolled(1).onto(bars)


CROSS_CONTROLS: dict[str, Control] = {"independent": independent, "misaligned": misaligned}


# --- Several assets: whether paths move together as the real assets do (modes A, B and C) ---


@dataclass(frozen=True, eq=False)
class _AssetsQuestion:
    """What is compared in one run."""

    paths: Panel
    clusters: Ids
    contexts: int
    given: int
    references: tuple[Candles, ...]
    gauges: tuple[Gauge, ...]
    audit: Audit
    facts: list[Fact]
    seed: int

    @property
    def one_context(self) -> bool:
        """Whether all paths continue one context (mode C)."""
        return self.contexts == 1


def check_cross_facts(
    paths: Panel,
    references: Sequence[Candles],
    *,
    context_ids: Ids | None = None,
    timestamps: pd.DatetimeIndex | None = None,
    seed: int,
) -> FactsReport:
    """Judge how the assets of each path move together against real windows of the same length and time.

    Mode C (paths of one context: could a stretch of real time look like them?) where all ``context_ids`` are one, mode
    B otherwise; of fewer than 20 contexts the facts are judged as in mode C. The control that shows the power of a fact
    draws each asset's window from another time, or of another path, or shifts every second asset by one bar.

    Args:
        paths: valid candles of every asset.
        references: the assets' histories in the order of the panel, with bars at the same stamps
            (:func:`scenario_gen.market.path_tables.shared_bars`).
        context_ids: int64 [path], the context that each path was sampled from; None: not known.
        timestamps: stamps of the paths' bars, where all have the same.
        seed: of random groups and controls.

    Raises:
        CheckError: the paths cannot be judged, or the references do not share their stamps.
        DataError: a reference is shorter than two bars.
    """
    _refuse_apart(paths, references)
    for bars, reference in zip(paths.bars, references, strict=True):
        admit(bars, [reference], context_ids, timestamps)
    asked = _question(paths, tuple(references), context_ids, timestamps, seed)
    cuts = _cuts(asked)
    if cuts is None or cuts[0].cluster_count < MIN_CLUSTERS:
        return _unjudged(asked, cuts)
    return _compared(asked, cuts)


def check_cross_facts_by_origin(
    pairs: Iterable[tuple[Panel, Panel]], references: Sequence[Candles], *, seed: int
) -> FactsReport:
    """Judge how assets move together by the rank of what came true, over many origins (mode A).

    Args:
        pairs: per origin, in time order and without overlap, the paths from its context, at least 19, and what came
            true as one path.
        references: as in :func:`check_cross_facts`.
        seed: breaks ties.

    Raises:
        CheckError: no origin, or pairs that cannot be compared.
    """
    gauges = [Gauge.of(reference) for reference in references]
    origins: list[dict[str, Rank]] = []
    counts: list[int] = []
    like: Panel | None = None
    for number, (paths, real) in enumerate(pairs):
        like = like or real
        origins.append(_ranks_of(number, paths, real, like, gauges, seed))
        counts.append(len(paths))
    if like is None:
        raise CheckError("no origin came", expected="pairs of paths and what came true")
    facts, audit = cross_facts(like), audit_assets(references)
    measured = set.intersection(*(set(origin) for origin in origins))
    reasons = untestable(facts, like.length, audit, [measured])
    design = design_of(counts, like.length, seed)
    return assemble(design, verdicts(facts, origins, reasons), [], audit, notes_of(counts))


def _ranks_of(
    number: int, paths: Panel, real: Panel, like: Panel, gauges: Sequence[Gauge], seed: int
) -> dict[str, Rank]:
    """Return the rank of what came true at one origin, fact by fact."""
    for ours, theirs, kind in zip(paths.bars, real.bars, like.bars, strict=True):
        refuse_pair(number, ours, theirs)
        refuse_other_kind(ours, kind)
        refuse_other_kind(theirs, kind)
    one = np.zeros(len(paths), dtype=np.int64)
    drawn = Measured(one, cross_statistics(_gauged(paths, gauges), gauges=gauges))
    came = Measured(one[:1], cross_statistics(_gauged(real, gauges), gauges=gauges))
    rng = np.random.default_rng([seed, number])
    both = [name for name in drawn.statistics if name in came.statistics]
    return {name: ranked(name, drawn, came, rng) for name in both}


def _refuse_apart(paths: Panel, references: Sequence[Candles]) -> None:
    if len(references) != len(paths.assets):
        raise CheckError(
            f"{len(references)} references came for {len(paths.assets)} assets",
            expected="one history per asset, in the order of the panel",
        )
    apart = [one.name for one in references if not one.timestamps.equals(references[0].timestamps)]
    if apart:
        raise CheckError(
            f"the histories of {', '.join(apart)} have other stamps than that of {references[0].name}",
            expected="bars at the same stamps in every history",
            fix="keep the shared bars: scenario_gen.market.path_tables.shared_bars",
        )


def _question(
    paths: Panel,
    references: tuple[Candles, ...],
    context_ids: Ids | None,
    timestamps: pd.DatetimeIndex | None,
    seed: int,
) -> _AssetsQuestion:
    gauges = tuple(Gauge.of(reference) for reference in references)
    rows = spread_rows(len(paths), MOST_PATHS)
    used = _gauged(paths.select(rows), gauges, timestamps)
    ids = None if context_ids is None else np.asarray(context_ids)[rows]
    contexts = 0 if ids is None else len(np.unique(ids))
    clusters = path_clusters(used, None if contexts == 1 else ids, np.random.default_rng([seed, 0]))
    return _AssetsQuestion(
        paths=used,
        clusters=clusters,
        contexts=contexts,
        given=len(paths),
        references=references,
        gauges=gauges,
        audit=audit_assets(references),
        facts=cross_facts(used),
        seed=seed,
    )


def _gauged(paths: Panel, gauges: Sequence[Gauge], timestamps: pd.DatetimeIndex | None = None) -> Panel:
    every = (on_one_gauge(bars, gauge, timestamps) for bars, gauge in zip(paths.bars, gauges, strict=True))
    return Panel(paths.assets, tuple(every))


def _cuts(asked: _AssetsQuestion) -> list[Reference] | None:
    """Return the windows of every asset: the same ones, as the stamps are the same."""
    place = first_place(asked.paths.bars[0])
    cuts = [
        cut_reference([reference], asked.paths.length, gauge, first_place=place)
        for reference, gauge in zip(asked.references, asked.gauges, strict=True)
    ]
    found = [cut for cut in cuts if cut is not None]
    return found if len(found) == len(cuts) else None


def _compared(asked: _AssetsQuestion, cuts: list[Reference]) -> FactsReport:
    windows = Panel(asked.paths.assets, tuple(cut.bars for cut in cuts))
    real = Measured(cuts[0].clusters, cross_statistics(windows, gauges=asked.gauges))
    synthetic = Measured(asked.clusters, cross_statistics(asked.paths, gauges=asked.gauges))
    measured = [set(synthetic.statistics), set(real.statistics)]
    reasons = untestable(asked.facts, asked.paths.length, asked.audit, measured)
    caps = caps_of(cuts[0], asked.contexts)
    names = {fact.control for fact in asked.facts if judged(fact) and fact.id not in reasons}
    to_come = Next.after(cuts[0], asked.contexts)
    bench = Bench(
        real=real,
        controls={name: _control(name, windows if to_come is None else asked.paths, asked) for name in sorted(names)},
        untestable=reasons,
        next=to_come,
        cap="; ".join(caps),
        independent=cuts[0].bars_of_time // asked.paths.length,
    )
    return _report(asked, cuts[0], judge_facts(synthetic, bench, asked.facts), caps, [])


def _control(name: str, windows: Panel, asked: _AssetsQuestion) -> Measured:
    made = cross_control(name, windows, len(asked.paths), np.random.default_rng([asked.seed, 1]))
    clusters = path_clusters(made, None, np.random.default_rng([asked.seed, 2]))
    return Measured(clusters, cross_statistics(made, gauges=asked.gauges))


def _unjudged(asked: _AssetsQuestion, cuts: list[Reference] | None) -> FactsReport:
    cut = None if cuts is None else cuts[0]
    reason = too_short(0 if cut is None else cut.cluster_count, asked.paths.length)
    return _report(asked, cut, judged_by_nothing(asked.facts, reason), [], [reason])


def _report(
    asked: _AssetsQuestion, cut: Reference | None, facts: list[FactVerdict], caps: list[str], notes: list[str]
) -> FactsReport:
    design = Design(
        mode="C" if asked.one_context else "B",
        bars=asked.paths.length,
        paths=len(asked.paths),
        paths_given=asked.given,
        path_clusters=len(np.unique(asked.clusters)),
        windows=0 if cut is None else len(cut.clusters),
        clusters=0 if cut is None else cut.cluster_count,
        reference_bars=len(asked.references[0]) if cut is None else cut.bars_of_time,
        caps=caps,
        seed=asked.seed,
    )
    return assemble(design, facts, [], asked.audit, [*notes, *_pair_note(asked.paths)])


def _pair_note(paths: Panel) -> list[str]:
    count, every = len(paths.pairs), len(paths.assets) * (len(paths.assets) - 1) // 2
    return [f"{count} of {every} pairs of assets were measured, evenly chosen"] if count < every else []
