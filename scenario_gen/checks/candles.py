"""Candle rules V1-V4, V6 and V9: found on the raw output, counted per rule, then repaired, rejected or refused.

The least distorting repair is chosen: high and low are moved out to enclose open and close, which are never moved;
a negative volume becomes 0. A path with a non-finite or non-positive price is dropped, never imputed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scenario_gen.checks.account import RuleCount, Tally
from scenario_gen.errors import CheckError
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet

Policy = Literal["repair", "reject", "fail"]
Flags = NDArray[np.bool_]  # [path, bar]

TITLES = {
    "V1": "every value is a finite number",
    "V2": "every price is above zero",
    "V3": "high and low enclose open and close",
    "V4": "volume is not negative",
    "V6": "stamps increase and follow the context",
    "V9": "the first open is no further from the context's last close than history allows",
}
TOLERANCE = 1e-9  # of the price; float32 casting keeps the order of prices, so valid candles pass exactly
EWMA = 0.94
SEAM_FACTOR = 1.5  # times the largest gap of the context, in units of its running volatility


@dataclass(frozen=True)
class CheckedPaths:
    """What goes on to the backtest, and the account of what was found.

    Attributes:
        paths: the kept paths, after any repair.
        raw: the same paths before repair (for results with and without it).
        tally: counts that add up over blocks.
    """

    paths: PathSet
    raw: PathSet
    tally: Tally


def check_candles(paths: PathSet, context: Candles, policy: Policy) -> CheckedPaths:
    """Apply the rules to raw paths and the policy to what breaks them.

    Raises:
        CheckError: a rule is broken and the policy is ``fail``, or no path is left.
    """
    broken = broken_rules(paths, context)
    seam = _seam_rule(paths, context)
    hard = (broken["V1"] | broken["V2"]).any(axis=1)  # [path]
    bad = broken["V1"] | broken["V2"] | broken["V3"] | broken["V4"] | broken["V6"]
    if policy == "fail" and bad.any():
        raise _refusal(broken, bad)
    rejected = bad.any(axis=1) if policy == "reject" else hard
    kept = paths.select(paths.path_ids[~rejected])
    if not len(kept):
        raise CheckError(
            f"none of {len(paths)} paths is left: every one breaks a candle rule",
            expected="a generator that gives valid candles",
            fix="set checks.on_invalid: repair, lower the temperature, or choose another model",
        )
    repaired, change_bp = _repair(kept)
    changed = (repaired.values != kept.values).any(axis=(1, 2))
    tally = Tally(
        paths=len(paths),
        bars=bad.size,
        untouched=int((~changed).sum()),
        repaired=int(changed.sum()),
        rejected=int(rejected.sum()),
        bad_bars=int(bad.sum()),
        rules=(*(_count(rule, flags, policy) for rule, flags in broken.items()), seam),
        changes=len(change_bp),
        change_bp_sum=float(change_bp.sum()),
        change_bp_max=float(change_bp.max(initial=0.0)),
        policy=policy,
    )
    return CheckedPaths(repaired, kept, tally)


def broken_rules(paths: PathSet, context: Candles) -> dict[str, Flags]:
    """Return which bars [path, bar] break V1, V2, V3, V4 and V6."""
    o, h, l, c = (paths.column(name).astype(np.float64) for name in ("open", "high", "low", "close"))  # noqa: E741
    prices = np.stack((o, h, l, c))
    finite: Flags = np.asarray(np.isfinite(paths.values).all(axis=-1))
    slack = TOLERANCE * np.abs(c)
    with np.errstate(invalid="ignore"):  # non-finite bars are counted under V1
        disorder = (h < np.maximum(o, c) - slack) | (l > np.minimum(o, c) + slack)
        negative: Flags = np.asarray((prices <= 0).any(axis=0))
        volume = paths.column("volume") < 0 if "volume" in paths.fields else np.zeros_like(finite)
    stamps = context.timestamps[-1:].append(paths.timestamps).as_unit("ns").asi8
    late = stamps[1:] <= np.maximum.accumulate(stamps)[:-1]
    return {
        "V1": ~finite,
        "V2": finite & negative,
        "V3": finite & disorder,
        "V4": finite & volume,
        "V6": np.broadcast_to(late, finite.shape),
    }


def _repair(paths: PathSet) -> tuple[PathSet, NDArray[np.float64]]:
    """Return paths with V3 and V4 mended, and the size of every change of a high or low in basis points."""
    values = paths.values.copy()
    o, h, l, c = (paths.fields.index(name) for name in ("open", "high", "low", "close"))  # noqa: E741
    body_top, body_bottom = (
        np.maximum(values[..., o], values[..., c]),
        np.minimum(values[..., o], values[..., c]),
    )
    values[..., h] = np.maximum(np.maximum(values[..., h], values[..., l]), body_top)
    values[..., l] = np.minimum(np.minimum(paths.values[..., h], values[..., l]), body_bottom)
    if "volume" in paths.fields:
        v = paths.fields.index("volume")
        values[..., v] = np.maximum(values[..., v], 0)
    change = np.abs(values[..., [h, l]].astype(np.float64) - paths.values[..., [h, l]])
    basis_points = 1e4 * change / values[..., [c]]
    return replace(paths, values=values), basis_points[change > 0]


def _count(rule: str, flags: Flags, policy: Policy) -> RuleCount:
    bars = int(flags.sum())
    return RuleCount(rule, TITLES[rule], bars, int(flags.any(axis=1).sum()), _action(rule, bars, policy))


def _action(rule: str, bars: int, policy: Policy) -> str:
    if not bars:
        return "none needed"
    if rule == "V6":
        return "flagged: stamps are the calendar's, values are never sorted"
    if rule in ("V1", "V2") or policy == "reject":
        return "path rejected"
    return "high and low moved out" if rule == "V3" else "set to 0"


def _seam_rule(paths: PathSet, context: Candles) -> RuleCount:
    """V9: flag paths whose first gap exceeds 1.5 times the largest gap of the context, in running volatility.

    Gaps are compared with gaps of their own kind: session-opening bars with session-opening bars.
    """
    limit, why = _seam_limit(context, paths)
    if limit is None:
        return RuleCount("V9", TITLES["V9"], -1, -1, f"not judged: {why}")
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.abs(np.log(paths.column("open")[:, 0].astype(np.float64) / paths.anchor_close))
    far = int((gap > limit).sum())
    return RuleCount("V9", TITLES["V9"], far, far, "flagged" if far else "none needed")


def _seam_limit(context: Candles, paths: PathSet) -> tuple[float | None, str]:
    """Return the largest first gap |ln(o / anchor)| that history allows, or None and the reason."""
    stamps = context.timestamps.append(paths.timestamps[:1])
    opens_day = np.asarray(stamps[1:].normalize() != stamps[:-1].normalize())
    log_close = np.log(context.close)
    gaps = np.abs(np.log(context.column("open")[1:]) - log_close[:-1])
    volatility = running_volatility(np.diff(log_close))
    same_kind = opens_day[:-1] == opens_day[-1]
    same_kind[:10] = False  # the running volatility is still settling
    if same_kind.sum() < 20:
        return None, "fewer than 20 bars of the context open like the first generated bar"
    ratio = gaps[same_kind] / volatility[:-1][same_kind]
    if ratio.max() == 0:
        return None, "every open of the context equals the close before it"
    return float(SEAM_FACTOR * ratio.max() * volatility[-1]), ""


def running_volatility(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the EWMA volatility (decay .94) known before each return and after the last, [T + 1].

    It starts from the mean square of the first ten returns, and never falls below a millionth.
    """
    variance = np.empty(len(returns) + 1)
    variance[0] = np.mean(returns[:10] ** 2)
    for t, r in enumerate(returns):
        variance[t + 1] = EWMA * variance[t] + (1 - EWMA) * r * r
    return np.asarray(np.sqrt(np.maximum(variance, 1e-12)))


def _refusal(broken: dict[str, Flags], bad: Flags) -> CheckError:
    counts = "; ".join(
        f"{rule} ({TITLES[rule]}): {int(flags.sum())} bars in {int(flags.any(axis=1).sum())} paths"
        for rule, flags in broken.items()
        if flags.any()
    )
    return CheckError(
        f"checks.on_invalid is 'fail' and {int(bad.any(axis=1).sum())} of {len(bad)} paths break a rule: {counts}",
        expected="raw paths that are valid candles",
        fix="set checks.on_invalid: repair (or reject), or choose another model",
    )
