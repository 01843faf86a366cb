"""Adding up: the counts of a scenario's blocks become its account, with intervals over paths.

Owns the sums and the label's inputs. Knows the columns of candles.parquet, not how they were counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.checks.account import (
    REJECTED_TOLD,
    CandleAccount,
    FactShift,
    Interval,
    Rejection,
    RuleCount,
    Wickless,
    candle_label,
)
from scenario_gen.checks.tally import SIDES, RuleNote, Side, Tally


def merge_tallies(tallies: Sequence[Tally]) -> CandleAccount:
    """Add up the tallies of a scenario's blocks and label the whole."""
    first = tallies[0]
    counts = pd.concat([tally.counts for tally in tallies])
    paths, bars = len(counts), len(counts) * first.horizon
    rules = [_rule_count(note, counts) for note in first.rules]
    kept = counts[~counts["rejected"]]
    mended = kept["bad_bars"] > 0
    changes, ranged = int(kept["changes"].sum()), int(kept["changes_in_range"].sum())
    return CandleAccount(
        paths=paths,
        bars=bars,
        untouched=int((~kept["touched"]).sum()),
        rounded=int((kept["touched"] & ~mended).sum()),
        repaired=int((kept["touched"] & mended).sum()),
        rejected=paths - len(kept),
        bad_bars=int(counts["bad_bars"].sum()),
        bad_paths=int((counts["bad_bars"] > 0).sum()),
        rules=rules,
        changed_bars=int(kept["changed_bars"].sum()),
        mean_change_bp=float(kept["change_bp"].sum()) / changes if changes else 0.0,
        max_change_bp=float(kept["change_bp_max"].max()) if changes else 0.0,
        mean_change_range=float(kept["change_range"].sum()) / ranged if ranged else 0.0,
        policy=first.policy,
        label=candle_label(float(counts["bad_bars"].sum()) / bars, 1 - len(kept) / paths, bars, paths, rules),
        wickless=[_wickless_side(side, kept, first) for side in SIDES],
        facts=_fact_shifts([tally.facts for tally in tallies]),
        rejection=_rejection(counts) if len(kept) < paths else None,
    )


def mean_interval(values: NDArray[np.floating[Any]]) -> Interval:
    """Return a mean with its 95 % interval by Student's t over paths."""
    known = values[np.isfinite(values)]
    n = len(known)
    if n < 2:
        return Interval(float(known[0]) if n else None, n=n)
    mean, error = float(known.mean()), float(known.std(ddof=1)) / math.sqrt(n)
    return _t_interval(mean, error, n - 1, n)


def difference(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> Interval:
    """Return mean(a) - mean(b) with its 95 % interval (Welch 1947); ``n`` counts the values of ``a``."""
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    if not len(a) or not len(b):
        return Interval(None, n=len(a))
    gap = float(a.mean() - b.mean())
    if len(a) < 2 or len(b) < 2:
        return Interval(gap, n=len(a))
    parts = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
    if parts.sum() == 0:
        return Interval(gap, gap, gap, len(a))
    freedom = float(parts.sum() ** 2 / (parts**2 / np.array([len(a) - 1, len(b) - 1])).sum())
    return _t_interval(gap, math.sqrt(parts.sum()), freedom, len(a))


def _t_interval(centre: float, error: float, freedom: float, n: int) -> Interval:
    from scipy.stats import t

    margin = float(t.ppf(0.975, freedom)) * error
    return Interval(centre, centre - margin, centre + margin, n)


def _rule_count(note: RuleNote, counts: pd.DataFrame) -> RuleCount:
    if note.unjudged:
        told = f"not judged: {note.unjudged}"
        return RuleCount(note.rule, note.title, -1, -1, told, note.kind, -1, -1, "", note.history)
    bars, paths, left_bars, left_paths = (
        int(counts[f"{note.rule}_{part}"].sum()) for part in ("raw", "path_raw", "left", "path_left")
    )
    return RuleCount(
        note.rule,
        note.title,
        bars,
        paths,
        note.action if paths else "none needed",
        note.kind,
        left_bars,
        left_paths,
        note.source,
        note.history,
    )


def _wickless_side(side: Side, kept: pd.DataFrame, tally: Tally) -> Wickless:
    raw, repaired = (
        mean_interval(kept[f"{side}_{when}"].to_numpy(dtype=np.float64) / tally.horizon) for when in ("raw", "left")
    )
    return Wickless(side, raw, repaired, tally.wickless[SIDES.index(side)])


def _fact_shifts(tables: Sequence[pd.DataFrame]) -> list[FactShift]:
    """Return what repair did to every fact that a changed path has before and after it."""
    changed = [table for table in tables if len(table)]
    if not changed:
        return []
    measured = pd.concat(changed)
    shifts = []
    for fact in (name.removesuffix("_raw") for name in measured if name.endswith("_raw")):
        raw, after = (measured[f"{fact}_{when}"].to_numpy(dtype=np.float64) for when in ("raw", "left"))
        both = np.isfinite(raw) & np.isfinite(after)
        if both.any():
            shifts.append(_fact_shift(fact, raw[both], after[both]))
    return shifts


def _fact_shift(fact: str, raw: NDArray[np.float64], after: NDArray[np.float64]) -> FactShift:
    spread = float(raw.std(ddof=1)) if len(raw) > 1 else 0.0
    shift = mean_interval((after - raw) / spread) if spread > 0 else Interval(None, n=len(raw))
    return FactShift(fact, float(raw.mean()), float(after.mean()), shift)


def _rejection(counts: pd.DataFrame) -> Rejection:
    gone = counts["rejected"].to_numpy()
    log_sd, log_last = (counts[name].to_numpy(dtype=np.float64) for name in ("log_sd", "log_last"))
    return Rejection(
        rejected=int(gone.sum()),
        measured=int(np.isfinite(log_last[gone]).sum()),
        log_sd=difference(log_sd[gone], log_sd[~gone]),
        log_last=difference(log_last[gone], log_last[~gone]),
        conditional=bool(gone.mean() > REJECTED_TOLD),
    )
