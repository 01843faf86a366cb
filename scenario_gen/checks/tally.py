"""Counting: one row per generated path, for every block of a scenario; ``merging`` adds them up.

Owns the columns of candles.parquet. Knows flags and prices, not how a rule is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.checks.account import Kind
from scenario_gen.checks.suspects import Suspects
from scenario_gen.market.paths import PathSet

Side = Literal["upper", "lower"]
SIDES: tuple[Side, Side] = ("upper", "lower")
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class RuleNote:
    """What an account says of a rule besides its counts; as for :class:`RuleCount`.

    ``unjudged`` is the reason why the rule is not judged, empty where it is; ``action`` what is done on a breach.
    """

    rule: str
    title: str
    kind: Kind
    action: str
    unjudged: str = ""
    source: str = ""
    history: float | None = None


@dataclass(frozen=True)
class Tally:
    """The counts of one block of paths.

    Attributes:
        counts: one row per raw path, index path_id. ``<rule>_raw`` and ``<rule>_left``: bars that break a rule before
            and after repair; ``<rule>_path_raw`` and ``_left`` where a path is flagged for more than such bars.
            Counts after repair are 0 for rejected paths.
        rules: the notes of all rules, in the account's order.
        policy: ``repair``, ``reject`` or ``fail``.
        horizon: bars per path.
        wickless: share of the history's bars without an upper and without a lower wick.
        facts: one row per measured path that the repair changed, as ``facts_of_changed`` returns them.
    """

    counts: pd.DataFrame
    rules: tuple[RuleNote, ...]
    policy: str
    horizon: int
    wickless: tuple[float, float]
    facts: pd.DataFrame

    def notes(self) -> dict[str, Any]:
        """Return everything but the tables as plain values, for JSON."""
        return {
            "rules": [asdict(rule) for rule in self.rules],
            "policy": self.policy,
            "horizon": self.horizon,
            "wickless": list(self.wickless),
        }

    @classmethod
    def from_notes(cls, notes: Mapping[str, Any], counts: pd.DataFrame, facts: pd.DataFrame) -> Tally:
        """Put a tally together again from its notes and its tables."""
        rules = tuple(RuleNote(**row) for row in notes["rules"])
        upper, lower = notes["wickless"]
        return cls(counts, rules, notes["policy"], notes["horizon"], (upper, lower), facts)


def count_paths(
    raw: PathSet,
    found: Mapping[str, Suspects],
    bad: NDArray[np.bool_],
    rejected: NDArray[np.bool_],
    repaired: PathSet,
    left: Mapping[str, Suspects],
    tick: float,
) -> pd.DataFrame:
    """Return one row of counts per raw path.

    Args:
        raw: what the generator gave.
        found: what each rule found in it.
        bad: bad bars [path, bar].
        rejected: paths that are not used [path].
        repaired: the kept paths after repair, in the same order.
        left: what each rule still finds in them.
        tick: rounding to ticks moves a price by no more than half of it; 0 without ticks.
    """
    kept = np.flatnonzero(~rejected)
    before, after = _prices(raw)[kept], _prices(repaired)
    columns: dict[str, NDArray[Any]] = {"rejected": rejected, "bad_bars": bad.sum(axis=1)}
    columns |= {f"{rule}_raw": flags.bars.sum(axis=1) for rule, flags in found.items()}
    columns |= {f"{rule}_path_raw": flags.paths for rule, flags in found.items()}
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
