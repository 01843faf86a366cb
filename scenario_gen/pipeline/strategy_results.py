"""One strategy on many paths, summed up: metrics, shares, tail, equity fan. The same for a run and for given paths.

Owns what a :class:`StrategyResult` says of the distribution over paths. Runs no backtest and reads no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.metrics import METRICS
from scenario_gen.pipeline.blocks import fan_bars
from scenario_gen.spec.models import Limits
from scenario_gen.stats.estimate import conditional_value_at_risk, share, summarise_metric, value_at_risk
from scenario_gen.store.results import Fan, NamedPath, Realised, StrategyResult

# of the exceedance curve, together with the user's own limit
DRAWDOWN_STEPS = tuple(step / 100 for step in range(1, 61))
FAN_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
EXAMPLE_RANKS = (0.12, 0.45, 0.83)  # three single paths, so that nobody takes the median for one
DOTS = 50
TAIL_LEVELS = ("0.95", "0.99")


def strategy_result(
    strategy: LoadedStrategy,
    metrics: pd.DataFrame,
    equity: NDArray[np.float32],
    horizon: int,
    limits: Limits,
    *,
    seed: int,
    realised: Realised | None = None,
    named: Sequence[NamedPath] = (),
) -> StrategyResult:
    """Sum one strategy up over all paths.

    Args:
        strategy: what was run.
        metrics: one row per path, index path_id, one column per entry of ``METRICS``.
        equity: at the fan points, float32 [path, fan point], in the order of ``metrics``.
        horizon: bars of a path.
        limits: the drawdown that the user declares is counted beside the curve's own steps.
        seed: of the bootstrap of CVaR.
        realised: the same strategy on what really happened.
        named: paths to show bar by bar.
    """
    returns, falls = (metrics[name].to_numpy(dtype=np.float64) for name in ("total_return", "max_drawdown"))
    steps = sorted({*DRAWDOWN_STEPS, *([limits.max_drawdown] if limits.max_drawdown else [])})
    return StrategyResult(
        name=strategy.name,
        use=strategy.use,
        params=strategy.params,
        metrics=[summarise_metric(metrics[metric.name].to_numpy(), metric.name) for metric in METRICS],
        probability_of_loss=share(returns < 0),
        drawdown_beyond=[(step, share(falls >= step)) for step in steps],
        var={level: value_at_risk(returns, float(level)) for level in TAIL_LEVELS},
        cvar={level: conditional_value_at_risk(returns, float(level), seed=seed) for level in TAIL_LEVELS},
        equity_fan=make_fan(equity.astype(np.float64), metrics.index.to_numpy(), horizon),
        realised=realised,
        named_paths=list(named),
    )


def make_fan(values: NDArray[np.float64], path_ids: NDArray[np.int64], horizon: int) -> Fan:
    """Return quantiles at each fan point of values [path, fan point], three single paths and 50 dots."""
    quantiles = np.quantile(values, FAN_LEVELS, axis=0)
    order = np.argsort(values[:, -1], kind="stable")
    examples = [order[min(int(rank * len(order)), len(order) - 1)] for rank in EXAMPLE_RANKS]
    dots = np.quantile(values[:, -1], (np.arange(DOTS) + 0.5) / DOTS)
    return Fan(
        bars=[int(bar) for bar in fan_bars(horizon)],
        quantiles={str(level): rounded(row) for level, row in zip(FAN_LEVELS, quantiles, strict=True)},
        examples={str(int(path_ids[row])): rounded(values[row]) for row in examples},
        dots=rounded(dots),
    )


def rounded(values: NDArray[Any]) -> list[float]:
    """Return floats with seven significant digits: what float32 paths hold."""
    return [float(f"{value:.7g}") for value in values]
