"""Stop and target in one bar: how often, and what the order that a candle does not tell is worth.

Owns how :func:`scenario_gen.backtest.intrabar_orders` becomes a finding. Strategies without both have none.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.intrabar import IntrabarOrders, intrabar_orders
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.finding import INTRABAR, Finding, Label
from scenario_gen.market.paths import PathSet

ORDERS_PATHS = 512  # every path is run three times
BAND = "orders of stop and target within a bar that move the mean return by less than its 95 % Monte Carlo error"
Z95 = 1.96


def intrabar_finding(strategy: LoadedStrategy, ground: Ground, paths: PathSet, *, scenario: str = "") -> list[Finding]:
    """Run a strategy with the stop first, the target first and a coin for each bar; an empty list where none matters.

    Raises:
        StrategyError: the strategy raised, or returned something unusable.
    """
    some = paths.select(paths.path_ids[:ORDERS_PATHS])
    found = intrabar_orders(strategy, ground, some)
    if found is None:
        return []
    returns = {
        order: np.asarray(metrics["total_return"], dtype=np.float64)
        for order, metrics in (("worst", found.worst), ("random", found.random), ("best", found.best))
    }
    means = {order: float(values.mean()) for order, values in returns.items()}
    error = _standard_error(returns["worst"])
    return [
        Finding(
            name=INTRABAR.key,
            label=_label(found, means["best"] - means["worst"], error),
            measured=_told(found, means),
            band=BAND,
            scenario=scenario,
            strategy=strategy.name,
            evidence=[
                {
                    "trades": found.trades,
                    "ambiguous": found.ambiguous,
                    "paths": len(some),
                    **{f"mean_return_{order}": mean for order, mean in means.items()},
                    **{f"median_return_{order}": float(np.median(r)) for order, r in returns.items()},
                    "standard_error": error,
                }
            ],
        )
    ]


def _standard_error(values: NDArray[np.float64]) -> float | None:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


def _label(found: IntrabarOrders, width: float, error: float | None) -> Label:
    if not found.trades or error is None:
        return "UNTESTABLE"
    return "WARN" if abs(width) > Z95 * error else "PASS"


def _told(found: IntrabarOrders, means: dict[str, float]) -> str:
    if not found.trades:
        return "no trade was made"
    share = found.ambiguous / found.trades
    return (
        f"{found.ambiguous} of {found.trades} trades ({share:.1%}) meet stop and target in one bar; "
        f"mean return {means['worst']:.2%} with the stop first (what is reported), "
        f"{means['random']:.2%} with a coin for each bar, {means['best']:.2%} with the target first"
    )
