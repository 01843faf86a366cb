"""What paths and reference must be before they are compared, and which facts they cannot show.

Owns refusals and the reasons for UNTESTABLE. Compares nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from scenario_gen.errors import CheckError, DataError
from scenario_gen.market.candles import Candles
from scenario_gen.market.frequency import frequency
from scenario_gen.realism.audit import Audit, audit_reference
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.facts import Fact
from scenario_gen.realism.gauge import Gauge
from scenario_gen.realism.sample import Reference
from scenario_gen.stats.contrast import MIN_CLUSTERS, Ids

MIN_PATHS = 20
FEW_CLUSTERS, SHORT_REFERENCE, FEW_CONTEXTS = 8, 2500, 8  # below these FAIL is called WARN
FEWEST_STAMPS = 10  # fewer can all stand around one long weekend


def admit(
    paths: BarArrays,
    histories: Sequence[Candles],
    context_ids: Ids | None = None,
    timestamps: pd.DatetimeIndex | None = None,
) -> None:
    """Refuse what cannot be compared at all.

    Raises:
        CheckError: too few paths, broken prices, ids or stamps that do not fit, or another frequency.
        DataError: there is no reference.
    """
    if not histories or min(len(history) for history in histories) < 2:
        raise DataError(
            "the reference has fewer than two bars",
            expected="the instrument's history, best some thousand bars",
            fix="bring a longer history",
        )
    if len(paths) < MIN_PATHS:
        raise CheckError(
            f"{len(paths)} paths came, but realism is a property of an ensemble",
            expected=f"at least {MIN_PATHS} paths, better some hundred",
            fix="raise paths.count",
        )
    _refuse_broken(paths)
    if context_ids is not None:
        _refuse_contexts(context_ids, len(paths))
    _refuse_frequency(paths, histories, timestamps)


def _refuse_broken(paths: BarArrays) -> None:
    if not paths.valid.all():
        rows = np.flatnonzero(~paths.valid)
        raise CheckError(
            f"{len(rows)} of {len(paths)} paths have prices that are missing, infinite or not positive, the first "
            f"is path {rows[0]}",
            expected="paths that passed the candle rules",
            fix="run check_candles first and judge the paths that it keeps",
        )
    if paths.volume is not None and not (np.isfinite(paths.volume) & (paths.volume >= 0)).all():
        raise CheckError(
            "the paths hold volumes that are missing, infinite or negative",
            expected="volumes of at least 0, or none at all",
            fix="run check_candles first, or leave the volume out",
        )


def _refuse_contexts(context_ids: Ids, paths: int) -> None:
    if np.shape(context_ids) != (paths,):
        raise CheckError(
            f"context_ids has shape {np.shape(context_ids)} for {paths} paths",
            expected="one context id per path",
            fix="give the id of the context that each path was sampled from, or none",
        )
    contexts = len(np.unique(context_ids))
    if 1 < contexts < MIN_CLUSTERS:
        raise CheckError(
            f"the paths come from {contexts} contexts: too few for a sample of contexts, too many for one",
            expected=f"one context, or at least {MIN_CLUSTERS}, better 20",
            fix="check the paths of each context by themselves",
        )


def _refuse_frequency(paths: BarArrays, histories: Sequence[Candles], timestamps: pd.DatetimeIndex | None) -> None:
    labels = {frequency(history.timestamps): None for history in histories}
    if timestamps is not None:
        if len(timestamps) != paths.length:
            raise CheckError(f"{len(timestamps)} stamps for paths of {paths.length} bars", expected="one stamp per bar")
        if len(timestamps) >= FEWEST_STAMPS:
            labels[frequency(timestamps)] = None
    if len(labels) > 1:
        raise CheckError(
            f"paths and reference are not of one frequency: {', '.join(labels)}",
            expected="paths and reference with bars of the same length",
            fix="give the history that the contexts were taken from",
        )


def on_one_gauge(paths: BarArrays, gauge: Gauge, timestamps: pd.DatetimeIndex | None = None) -> BarArrays:
    """Return the paths with the reference's price step and, intraday, their places in its sessions.

    Without stamps the bars must have been built with the reference's clock: a path inside one session does not
    show where in it that is.

    Raises:
        CheckError: without stamps, the paths' sessions are not the reference's.
    """
    clock, paths = gauge.clock, paths.with_tick(gauge.tick)
    if clock is not None and timestamps is not None:
        places = clock.bar_of_day(timestamps)
        return replace(
            paths,
            session_open=clock.opens(timestamps),
            bar_of_day=None if places is None else np.broadcast_to(places, paths.close.shape),
            session_bars=len(clock.slots),
        )
    theirs = None if clock is None else len(clock.slots)
    ours = None if paths.session_open is None else paths.session_bars
    if ours != theirs or (theirs and paths.bar_of_day is None):
        raise CheckError(
            f"the reference has {_sessions(theirs)}, the paths have {_sessions(ours)}",
            expected="paths and reference with bars of the same length and the same sessions",
            fix="give the paths' timestamps, build their bars with the reference's clock, or bring its history",
        )
    return paths


def _sessions(bars: int | None) -> str:
    if bars is None:
        return "daily or longer bars"
    return f"sessions of {bars} bars" if bars else "intraday bars without sessions"


def applies(fact: Fact, paths: BarArrays) -> bool:
    """Return whether a fact exists at all for such bars: intraday facts need sessions."""
    return "sessions" not in fact.needs or paths.bar_of_day is not None


def merged_audit(histories: Sequence[Candles]) -> Audit:
    """Audit every history; what one of them cannot tell, the pool cannot."""
    audits = [audit_reference(history) for history in histories]
    if len(audits) == 1:
        return audits[0]
    reasons: dict[str, str] = {}
    for history, audit in zip(histories, audits, strict=True):
        for fact, reason in audit.untestable.items():
            reasons.setdefault(fact, f"{history.name}: {reason}")
    notes = [
        f"{history.name}: {note}" for history, audit in zip(histories, audits, strict=True) for note in audit.notes
    ]
    return Audit(untestable=reasons, notes=notes)


def untestable(facts: Sequence[Fact], bars: int, audit: Audit, measured: Sequence[set[str]]) -> dict[str, str]:
    """Return fact id to the reason why it cannot be judged, in words.

    Args:
        facts: the facts that apply.
        bars: bars per path.
        audit: of the reference.
        measured: names of the statistics that each side gave.
    """
    reasons: dict[str, str] = {}
    for fact in facts:
        name = fact.id if fact.kind == "P" else f"{fact.id}.num"
        if fact.id in audit.untestable:
            reasons[fact.id] = audit.untestable[fact.id]
        elif bars < fact.min_bars:
            reasons[fact.id] = f"needs paths of at least {fact.min_bars} bars, these have {bars}"
        elif not all(name in side for side in measured):
            reasons[fact.id] = _lacking(fact)
    return reasons


def too_short(clusters: int, bars: int) -> str:
    """Say that a reference holds too few separate stretches of so many bars."""
    return (
        f"the reference holds {clusters} separate stretches of {bars} bars; {MIN_CLUSTERS} are the least to "
        "compare with"
    )


def caps_of(cut: Reference, contexts: int) -> list[str]:
    """Return why FAIL is called WARN: too little history, or too few contexts (0: they are not known)."""
    caps = []
    if cut.cluster_count < FEW_CLUSTERS:
        caps.append(f"the reference has {cut.cluster_count} clusters, fewer than {FEW_CLUSTERS}")
    if cut.bars_of_time < SHORT_REFERENCE:
        caps.append(f"the reference has {cut.bars_of_time:,} bars, fewer than {SHORT_REFERENCE:,}")
    if 1 < contexts < FEW_CONTEXTS:
        caps.append(f"the paths come from {contexts} contexts, fewer than {FEW_CONTEXTS}")
    return caps


def _lacking(fact: Fact) -> str:
    if "volume" in fact.needs:
        return "the paths carry no volume"
    return "only a reference could say how to measure it, and none was given"
