"""The account of a candle check: counts of each path, added up over blocks, and the label that follows.

Owns the record, the columns of candles.parquet, the sums with their intervals over paths, and the thresholds of the
label. Knows flags and prices, not how a rule is judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.candles.breaches import Suspects
from scenario_gen.candles.rules import RULE, RuleCount
from scenario_gen.finding import CANDLES, Finding, Label
from scenario_gen.market.paths import PathSet
from scenario_gen.stats.estimate import ByName, t_quantile
from scenario_gen.values import decode, encode

BAD_BARS_WARN, BAD_BARS_FAIL = 0.01, 0.05
REJECTED_WARN, REJECTED_FAIL = 0.01, 0.05
SUSPECT_WARN = 0.05  # of the paths
MOVED = 0.1  # standard deviations over raw paths: what a repair of one bar in six does to a fact at most
REJECTED_TOLD = 0.005  # of the paths: above this the ensemble is said to be conditional on acceptance


@dataclass(frozen=True)
class Interval:
    """A mean over paths with its 95 % interval (Student's t); no bounds where fewer than two paths have it."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0


@dataclass(frozen=True)
class Wickless:
    """Share of bars without a wick: the fingerprint that moving highs and lows out leaves."""

    side: Literal["upper", "lower"]  # ``upper`` (the high is open or close) or ``lower``
    raw: Interval  # in the kept paths before repair
    repaired: Interval  # in the same paths after it
    history: float  # in the real bars before the paths


@dataclass(frozen=True)
class FactShift:
    """What repair did to one stylized fact of the paths that it changed, in standard deviations over raw paths."""

    fact: str  # its id in the facts room
    raw: float | None  # mean over the measured paths before repair
    repaired: float | None  # mean over the same paths after it
    shift: Interval  # (repaired - raw) per path over the raw standard deviation; ``n`` paths have it before and after

    @property
    def moved(self) -> bool:
        """Whether repair moved it by more than a tenth of a standard deviation."""
        return self.shift.value is not None and abs(self.shift.value) > MOVED


@dataclass(frozen=True)
class Rejection:
    """How the rejected paths differ from the kept ones, on raw output: what rejection does to an ensemble."""

    rejected: int  # paths that were rejected
    measured: int  # rejected paths that have finite positive closes and can be compared
    log_sd: Interval  # mean log standard deviation of returns, rejected minus kept
    log_last: Interval  # mean log of the last close, rejected minus kept
    conditional: bool  # more than 0.5 % are rejected: the ensemble is conditional on acceptance


@dataclass(frozen=True)
class CandleAccount:
    """The account of one scenario: paths = untouched + rounded + repaired + rejected."""

    paths: int  # paths that were generated
    bars: int  # bars that were generated
    untouched: int  # paths kept as they were
    rounded: int  # paths kept, changed by nothing but ticks, lots and a fitting amount
    repaired: int  # paths kept after at least one breach was mended
    rejected: int  # paths that were not used
    bad_bars: int  # raw bars that break V1, V2, V3, V4, V6 or V8, each counted once
    bad_paths: int  # raw paths with at least one such bar
    rules: list[RuleCount]  # one row per rule, zero rows and unjudged rows included
    changed_bars: int  # bars of which the repair changed a price by more than rounding to ticks would
    mean_change_bp: float  # mean absolute change of such a price, in basis points of the bar's close
    max_change_bp: float  # the largest such change
    mean_change_range: float  # mean absolute change of such a price, in units of the repaired bar's range
    policy: str  # ``repair``, ``reject`` or ``fail``
    # by the share of bad bars (1 %, 5 %) and of rejected paths (1 %, 5 %); any V1, V2, V6 is FAIL; V9 or V10 on
    # more than 5 % of the paths is WARN
    label: Label
    wickless: list[Wickless] = field(default_factory=list)  # the fingerprint, upper and lower side
    # what repair did to every stylized fact of the paths that it changed, of at most some thousand of them,
    # evenly spread; empty where nothing was changed
    facts: list[FactShift] = field(default_factory=list)
    rejection: Rejection | None = None  # how rejected paths differ; None where none was rejected

    @property
    def bad_share(self) -> float:
        """The share of raw bars that are no valid candle."""
        return self.bad_bars / self.bars if self.bars else 0.0

    @property
    def odd_rules(self) -> list[RuleCount]:
        """Rules V9 and V10 where more than 5 % of the paths break them."""
        return odd_rules(self.rules, self.paths)

    def __post_init__(self) -> None:
        if self.paths != self.untouched + self.rounded + self.repaired + self.rejected:
            raise ValueError(
                f"{self.paths} paths are not {self.untouched} untouched + {self.rounded} rounded "
                f"+ {self.repaired} repaired + {self.rejected} rejected"
            )


def candle_label(bad_share: float, rejected_share: float, bars: int, paths: int, rules: list[RuleCount]) -> Label:
    """Return the label of a scenario's candles.

    Args:
        bad_share: share of raw bars that are bad.
        rejected_share: share of paths that were rejected.
        bars: raw bars.
        paths: raw paths.
        rules: the account's rows.
    """
    if any(RULE[row.rule].hard and row.bars > 0 for row in rules):
        return "FAIL"
    if bad_share > BAD_BARS_FAIL or rejected_share > REJECTED_FAIL:
        return "FAIL"
    beyond_history = [row.bars / bars - (row.history or 0.0) for row in rules if RULE[row.rule].form]
    if max([bad_share, *beyond_history]) > BAD_BARS_WARN or rejected_share > REJECTED_WARN:
        return "WARN"
    return "WARN" if odd_rules(rules, paths) else "PASS"


def odd_rules(rules: list[RuleCount], paths: int) -> list[RuleCount]:
    """Return the rows of V9 and V10 where more than 5 % of the paths move further than history allows."""
    return [row for row in rules if RULE[row.rule].odd and row.paths > SUSPECT_WARN * paths]


Side = Literal["upper", "lower"]
SIDES: tuple[Side, Side] = ("upper", "lower")
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class CandleNotes:
    """What a block's account says besides its tables."""

    rules: tuple[RuleCount, ...]  # the notes of all rules, in the account's order
    policy: str  # ``repair``, ``reject`` or ``fail``
    horizon: int  # bars per path
    wickless: tuple[float, float]  # share of the history's bars without an upper and without a lower wick


@dataclass(frozen=True)
class CandleCounts(CandleNotes):
    """The counts of one block of paths."""

    # one row per raw path, index path_id. ``<rule>_raw`` and ``<rule>_left``: bars that break a rule before and
    # after repair; ``<rule>_path_raw`` and ``_left`` where a path is flagged for more than such bars. Counts
    # after repair are 0 for rejected paths
    counts: pd.DataFrame
    facts: pd.DataFrame  # one row per measured path that the repair changed, as ``facts_of_changed`` returns them

    def notes(self) -> dict[str, Any]:
        """Return everything but the tables as plain values, for JSON."""
        return {note.name: encode(getattr(self, note.name)) for note in fields(CandleNotes)}

    @classmethod
    def from_notes(cls, notes: Mapping[str, Any], counts: pd.DataFrame, facts: pd.DataFrame) -> CandleCounts:
        """Put a tally together again from its notes and its tables."""
        return cls(**vars(decode(CandleNotes, notes)), counts=counts, facts=facts)


def count_paths(
    raw: PathSet,
    suspects: Mapping[str, Suspects],
    bad: NDArray[np.bool_],
    rejected: NDArray[np.bool_],
    repaired: PathSet,
    left: Mapping[str, Suspects],
    tick: float,
) -> pd.DataFrame:
    """Return one row of counts per raw path.

    Args:
        raw: what the generator gave.
        suspects: what each rule found in it.
        bad: bad bars [path, bar].
        rejected: paths that are not used [path].
        repaired: the kept paths after repair, in the same order.
        left: what each rule still finds in them.
        tick: rounding to ticks moves a price by no more than half of it; 0 without ticks.
    """
    kept = np.flatnonzero(~rejected)
    before, after = _prices(raw)[kept], _prices(repaired)
    columns: dict[str, NDArray[Any]] = {"rejected": rejected, "bad_bars": bad.sum(axis=1)}
    columns |= {f"{rule}_raw": flags.bars.sum(axis=1) for rule, flags in suspects.items()}
    columns |= {f"{rule}_path_raw": flags.paths for rule, flags in suspects.items()}
    late = {f"{rule}_left": flags.bars.sum(axis=1) for rule, flags in left.items()}
    late |= {f"{rule}_path_left": flags.paths for rule, flags in left.items()}
    late |= _changes(before, after, tick)
    touched = np.asarray((raw.values[kept] != repaired.values).any(axis=(1, 2)))
    late["touched"] = touched | (not raw.timestamps.equals(repaired.timestamps))
    late |= {f"{side}_raw": count for side, count in zip(SIDES, _wickless(before), strict=True)}
    late |= {f"{side}_left": count for side, count in zip(SIDES, _wickless(after), strict=True)}
    columns |= {name: _spread(values, kept, len(raw)) for name, values in late.items()}
    columns |= _shape(raw)
    small = {name: values.astype(np.int32) if values.dtype == np.int64 else values for name, values in columns.items()}
    return pd.DataFrame(small, index=pd.Index(raw.path_ids, name="path_id"))


def wickless_shares(prices: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Return the shares of bars [bar, 4] without an upper and without a lower wick."""
    upper, lower = _wickless(prices[None])
    return float(upper[0]) / prices.shape[0], float(lower[0]) / prices.shape[0]


def _prices(paths: PathSet) -> NDArray[np.float64]:
    return np.stack([paths.column(name) for name in PRICES], axis=-1).astype(np.float64)


def _changes(before: NDArray[np.float64], after: NDArray[np.float64], tick: float) -> dict[str, NDArray[Any]]:
    """Return per path how many prices moved by more than rounding to ticks does, and by how much."""
    size = np.abs(after - before)
    moved = size > 0.5 * tick + 1e-6 * after * (tick > 0)
    size = np.where(moved, size, 0.0)
    points = 1e4 * size / after[..., 3:]
    ranges = after[..., 1:2] - after[..., 2:3]
    in_range = np.divide(size, ranges, out=np.zeros_like(size), where=ranges > 0)
    return {
        "changed_bars": moved.any(axis=-1).sum(axis=1),
        "changes": moved.sum(axis=(1, 2)),
        "changes_in_range": (moved & (ranges > 0)).sum(axis=(1, 2)),
        "change_bp": points.sum(axis=(1, 2)),
        "change_bp_max": points.max(axis=(1, 2), initial=0.0),
        "change_range": in_range.sum(axis=(1, 2)),
    }


def _wickless(prices: NDArray[np.floating[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return per path how many bars have no upper and no lower wick, from prices [path, bar, 4]."""
    body = prices[..., [0, 3]]
    upper = prices[..., 1] == body.max(axis=-1)
    lower = prices[..., 2] == body.min(axis=-1)
    return upper.sum(axis=1), lower.sum(axis=1)


def _shape(raw: PathSet) -> dict[str, NDArray[np.float64]]:
    """Return per raw path the log standard deviation of its returns and the log of its last close over the anchor."""
    close = raw.close.astype(np.float64)
    usable = np.asarray((np.isfinite(close) & (close > 0)).all(axis=1))
    logs = np.log(np.where(usable[:, None], close, 1.0) / raw.anchor_close)
    returns = np.diff(logs, axis=1, prepend=0.0)
    spread = returns.std(axis=1)
    known = usable & (spread > 0)
    return {
        "log_sd": np.where(known, np.log(np.where(known, spread, 1.0)), np.nan),
        "log_last": np.where(usable, logs[:, -1], np.nan),
    }


def _spread(values: NDArray[Any], rows: NDArray[np.int64], length: int) -> NDArray[Any]:
    """Return values of some rows among all rows; the others are 0."""
    out = np.zeros(length, dtype=values.dtype)
    out[rows] = values
    return out


def merge_tallies(tallies: Sequence[CandleCounts]) -> CandleAccount:
    """Add up the tallies of a scenario's blocks and label the whole."""
    changed = [tally.facts for tally in tallies if len(tally.facts)]
    facts = pd.concat(changed) if changed else pd.DataFrame()
    counts = pd.concat([tally.counts for tally in tallies])
    return account_of(tallies[0], counts, {str(name): facts[name].to_numpy() for name in facts})


def account_of(notes: CandleNotes, counts: ByName, facts: Mapping[str, NDArray[Any]]) -> CandleAccount:
    """Label all paths of a scenario by their counts, of which one column at a time is read.

    Args:
        notes: of any of its blocks.
        counts: of every raw path, the columns of :class:`CandleCounts` [path].
        facts: of every measured path that the repair changed, by name [path].
    """
    gone = np.asarray(counts["rejected"], dtype=np.bool_)
    paths, bars, left = len(gone), len(gone) * notes.horizon, int((~gone).sum())
    rules = [_counted(row, counts) for row in notes.rules]

    def kept(name: str) -> NDArray[Any]:
        return np.asarray(counts[name])[~gone]

    bad, touched, mended = np.asarray(counts["bad_bars"]), kept("touched").astype(np.bool_), kept("bad_bars") > 0
    changes, ranged = int(kept("changes").sum()), int(kept("changes_in_range").sum())
    return CandleAccount(
        paths=paths,
        bars=bars,
        untouched=int((~touched).sum()),
        rounded=int((touched & ~mended).sum()),
        repaired=int((touched & mended).sum()),
        rejected=paths - left,
        bad_bars=int(bad.sum()),
        bad_paths=int((bad > 0).sum()),
        rules=rules,
        changed_bars=int(kept("changed_bars").sum()),
        mean_change_bp=float(np.nansum(kept("change_bp"))) / changes if changes else 0.0,
        max_change_bp=float(np.nanmax(kept("change_bp_max"))) if changes else 0.0,
        mean_change_range=float(np.nansum(kept("change_range"))) / ranged if ranged else 0.0,
        policy=notes.policy,
        label=candle_label(float(bad.sum()) / bars, 1 - left / paths, bars, paths, rules),
        wickless=[_wickless_side(side, kept, notes) for side in SIDES],
        facts=_fact_shifts(facts),
        rejection=_rejection(counts) if left < paths else None,
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
    margin = t_quantile(freedom) * error
    return Interval(centre, centre - margin, centre + margin, n)


def _counted(row: RuleCount, counts: ByName) -> RuleCount:
    if not row.is_judged:
        return row
    parts = {"bars": "raw", "paths": "path_raw", "left_bars": "left", "left_paths": "path_left"}
    # NaN where another context does not judge the rule
    sums = {name: int(np.nansum(np.asarray(counts[f"{row.rule}_{part}"]))) for name, part in parts.items()}
    return replace(row, **sums, action=row.action if sums["paths"] else "none needed")  # type: ignore[arg-type]


def _wickless_side(side: Side, kept: Callable[[str], NDArray[Any]], notes: CandleNotes) -> Wickless:
    raw, repaired = (
        mean_interval(kept(f"{side}_{when}").astype(np.float64) / notes.horizon) for when in ("raw", "left")
    )
    return Wickless(side, raw, repaired, notes.wickless[SIDES.index(side)])


def _fact_shifts(measured: Mapping[str, NDArray[Any]]) -> list[FactShift]:
    """Return what repair did to every fact that a changed path has before and after it."""
    shifts = []
    for fact in (name.removesuffix("_raw") for name in measured if name.endswith("_raw")):
        raw, after = (np.asarray(measured[f"{fact}_{when}"], dtype=np.float64) for when in ("raw", "left"))
        both = np.isfinite(raw) & np.isfinite(after)
        if both.any():
            shifts.append(_fact_shift(fact, raw[both], after[both]))
    return shifts


def _fact_shift(fact: str, raw: NDArray[np.float64], after: NDArray[np.float64]) -> FactShift:
    spread = float(raw.std(ddof=1)) if len(raw) > 1 else 0.0
    shift = mean_interval((after - raw) / spread) if spread > 0 else Interval(None, n=len(raw))
    return FactShift(fact, float(raw.mean()), float(after.mean()), shift)


def _rejection(counts: ByName) -> Rejection:
    gone = np.asarray(counts["rejected"], dtype=np.bool_)
    log_sd, log_last = (np.asarray(counts[name], dtype=np.float64) for name in ("log_sd", "log_last"))
    return Rejection(
        rejected=int(gone.sum()),
        measured=int(np.isfinite(log_last[gone]).sum()),
        log_sd=difference(log_sd[gone], log_sd[~gone]),
        log_last=difference(log_last[gone], log_last[~gone]),
        conditional=bool(gone.mean() > REJECTED_TOLD),
    )


def candle_finding(scenario: str, account: CandleAccount) -> Finding:
    """Return the verdict on a scenario's raw candles, and which rules were broken."""
    share = account.bad_bars / account.bars
    broken = [
        f"{row.rule}: {row.bars} bars in {row.paths} paths, {row.action}" for row in account.rules if row.paths > 0
    ]
    conditional = account.rejection is not None and account.rejection.conditional
    told = "; the ensemble is conditional on acceptance" if conditional else ""
    odd = [
        f"; {row.paths / account.paths:.0%} of paths, {row.rule}: not so that {row.title}" for row in account.odd_rules
    ]
    return CANDLES.finding(
        label=account.label,
        measured=f"{share:.2%} of {account.bars} generated bars break a rule; {account.rejected} paths rejected"
        f"{told}{''.join(odd)}",
        band=f"at most {BAD_BARS_WARN:.0%} of bars (WARN) or {BAD_BARS_FAIL:.0%} (FAIL), no path without a price, V9 "
        f"and V10 on at most {SUSPECT_WARN:.0%} of paths",
        scenario=scenario,
        offenders=broken,
    )
