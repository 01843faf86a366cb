"""What a checkpoint is worth out of sample: coverage, PIT and CRPS on held-out windows.

Anything that samples closes from a context can be judged on the same windows: checkpoints, a random checkpoint,
a bootstrap. Scores are fair CRPS (Ferro 2014) in units of the context's volatility, as in the checks' section on
calibration. Knows windows and numbers; not where a sampler comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.market.candles import PRICE_FIELDS, Candles
from scenario_gen.market.validity import columns_of, invalid
from scenario_gen.training.data import Series
from scenario_gen.training.histories import COLUMNS

HORIZONS = (1, 5, 20, 60)
Floats = NDArray[np.float64]
Sampler = Callable[[Candles, pd.DatetimeIndex, int], NDArray[np.floating]]  # values [path, bar, field]


@dataclass(frozen=True)
class Window:
    """A real context and what really followed it."""

    series: str
    asset_class: str
    frequency: str
    context: Candles
    future: Candles


@dataclass(frozen=True)
class Scores:
    """One sampler's scores, one row per window.

    Attributes:
        crps: fair CRPS of the log return over 1, 5, 20, 60 bars, in context volatility times sqrt(bars) [J, 4].
        inside: whether the realised return lies in the central 90 % band [J, 4].
        crps_log_volatility: fair CRPS of the log realised volatility over 60 bars [J].
        volatility_ratio: median over paths of realised volatility, over what was realised [J].
        drift: mean return over 60 bars less none, in context volatility times sqrt(60) [J].
        bad_bars: share of raw bars that are not valid candles [J].
    """

    crps: Floats
    inside: NDArray[np.bool_]
    crps_log_volatility: Floats
    volatility_ratio: Floats
    drift: Floats
    bad_bars: Floats


def held_out_windows(
    series: Sequence[Series], *, context: int, per_group: int, seed: int, unseen: bool
) -> list[Window]:
    """Draw non-overlapping windows from held-out stretches, the same number from each (class, frequency).

    Args:
        series: as loaded for training, with their splits.
        context: bars of context.
        per_group: windows per (asset class, frequency) where there is room for as many.
        seed: of the draw.
        unseen: take instruments that training never saw, else later bars of those that it saw.
    """
    span = context + max(HORIZONS)
    rng = np.random.default_rng(seed)
    slots: dict[tuple[str, str], list[tuple[Series, int]]] = {}
    for one in series:
        if (one.train_end == 0) != unseen:
            continue
        first = 0 if unseen else one.later_start
        starts = range(first, len(one.values) - span + 1, span)
        slots.setdefault((one.asset_class, one.frequency), []).extend((one, start) for start in starts)
    windows = []
    for key in sorted(slots):
        chosen = rng.permutation(len(slots[key]))[:per_group]
        found = (_window(one, start, context) for one, start in (slots[key][i] for i in chosen))
        windows += [window for window in found if window is not None]
    return windows


def _window(one: Series, start: int, context: int) -> Window | None:
    rows = slice(start, start + context + max(HORIZONS))
    fields = COLUMNS if one.has_volume else COLUMNS[:4]
    bars = Candles(
        timestamps=pd.DatetimeIndex(one.wall_ns[rows].astype("datetime64[ns]")),
        values=one.values[rows, : len(fields)].astype(np.float64),
        fields=fields,
        name=one.name,
    )
    seed, future = bars.rows(0, context), bars.rows(context, len(bars))
    if _volatility(seed.close) < 1e-6 or _volatility(future.close) < 1e-6:
        return None  # a stretch that does not move has no unit to score in
    return Window(one.name, one.asset_class, one.frequency, seed, future)


def score(sampler: Sampler, windows: Sequence[Window], paths: int) -> Scores:
    """Score a sampler on every window with ``paths`` paths each."""
    rows = [_score_one(sampler(w.context, w.future.timestamps, paths), w) for w in windows]
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Scores(*columns)


def _score_one(
    values: NDArray[np.floating], window: Window
) -> tuple[Floats, NDArray[np.bool_], float, float, float, float]:
    from scoringrules import crps_ensemble  # imports numba

    anchor, unit = window.context.close[-1], _volatility(window.context.close)
    steps = np.array(HORIZONS)
    scale = unit * np.sqrt(steps)
    paths = np.log(values[:, steps - 1, 3].astype(np.float64) / anchor) / scale  # [path, 4]
    real = np.log(window.future.close[steps - 1] / anchor) / scale  # [4]
    low, high = np.quantile(paths, [0.05, 0.95], axis=0)
    closes = np.concatenate((np.full((len(values), 1), anchor), values[:, :, 3].astype(np.float64)), axis=1)
    log_volatility = np.log(np.sqrt(np.mean(np.diff(np.log(closes), axis=1) ** 2, axis=1)))
    realised = np.log(_volatility(np.concatenate(([anchor], window.future.close))))
    return (
        np.asarray(crps_ensemble(real, paths.T, estimator="fair")),
        (low <= real) & (real <= high),
        float(crps_ensemble(realised, log_volatility, estimator="fair")),
        float(np.exp(np.median(log_volatility) - realised)),
        float(paths[:, -1].mean()),
        float(invalid(columns_of(values[..., :4], PRICE_FIELDS)).mean()),
    )


def _volatility(close: Floats) -> float:
    return float(np.sqrt(np.mean(np.diff(np.log(close)) ** 2)))


def diebold_mariano(ours: Floats, theirs: Floats) -> float:
    """Return the t value of the mean score difference over independent windows; negative: ours is better.

    Diebold and Mariano 1995, with windows that do not overlap, so that no autocorrelation is allowed for.
    """
    difference = ours - theirs
    spread = difference.std(ddof=1)
    return float(difference.mean() / (spread / np.sqrt(len(difference)))) if spread > 0 else 0.0
