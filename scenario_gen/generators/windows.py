"""How a checkpoint's window is laid over bars: over a horizon that is longer, and over a history that is forecast.

A history is forecast bar by bar in one pass: real tokens are fed in, and each is held against what the model gives it
after those before. Units are those of the window's first half, as if it were the context of a run. Knows checkpoints
and arrays; nothing of what is made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scenario_gen.kronos.checkpoint import Checkpoint
from scenario_gen.kronos.decode import Chunks
from scenario_gen.kronos.representation import complete_fields
from scenario_gen.kronos.sampling import LevelOrder, SamplingRule, weights
from scenario_gen.kronos.walk import stamps_for

FEWEST_BEFORE = 32  # bars that a forecast bar has before it, at least


@dataclass(frozen=True)
class Segment:
    """Bars ``start`` to ``stop`` of the horizon, sampled from the last ``keep`` bars before them."""

    start: int
    stop: int
    keep: int


def plan_segments(context: int, horizon: int, window: int) -> Iterator[Segment]:
    """Cut a horizon so that context and segment always fit the window.

    One segment where everything fits; else segments of up to a quarter window, after the bars that still fit.
    """
    quarter = max(1, window // 4)
    start = 0
    while start < horizon:
        keep = min(context + start, window - min(quarter, horizon - start))
        stop = min(horizon, start + window - keep)
        yield Segment(start, stop, keep)
        start = stop


def own_history(context: NDArray[np.float64], bars: NDArray[np.float64], start: int, keep: int) -> NDArray[np.float64]:
    """Return the last ``keep`` bars of every path before bar ``start``, [N, keep, F].

    A view of the paths once they are long enough; until then a copy of just these bars, which begins in the context.

    Args:
        context: the bars that all paths share [1, T, F'].
        bars: the paths [N, H, F], of which bars 0 to ``start`` are sampled.
        start: the bar to be sampled next.
        keep: how many bars to return.
    """
    missing = keep - start
    if missing <= 0:
        return bars[:, start - keep : start]
    paths, _, width = bars.shape
    last = context[:, -missing:]
    history = np.empty((paths, keep, width))
    history[:, :missing] = complete_fields(last) if width == 6 else last[..., :width]
    history[:, missing:] = bars[:, :start]
    return history


# --- A real history, bar by bar, as a checkpoint forecasts it ---


def plan_windows(bars: int, window: int) -> Iterator[tuple[int, int, int]]:
    """Lay windows over a history, as (start, first, stop): bars ``first`` to ``stop`` are forecast, those before given.

    Half of a window is given, and windows begin half a window apart; the first bars have ever shorter ones.
    """
    first = FEWEST_BEFORE if window >= 2 * FEWEST_BEFORE else window // 2
    while first < bars:
        start = max(0, first - window // 2)
        stop = min(bars, first + min(first, window // 2))
        yield start, first, stop
        first = stop


def bounds_of_history(
    checkpoint: Checkpoint, rule: SamplingRule, values: NDArray[np.float64], stamps: Tensor
) -> NDArray[np.float64]:
    """Return between which uniforms each real bar would have been drawn, float64 [bar, per_bar, (lower, upper)].

    Args:
        checkpoint: on its device.
        rule: how tokens are drawn.
        values: real bars [T, F].
        stamps: their stamps with the marks of time [T, 10].

    Returns:
        The bounds; NaN of the first bars, and of those whose window never moves before them.
    """
    out = np.full((len(values), rule.per_bar, 2), np.nan)

    def work(window: tuple[int, int, int]) -> None:
        start, first, stop = window
        if np.ptp(values[start:first, 3]) > 0:
            rows = slice(start, stop)
            out[first:stop] = _window_bounds(checkpoint, rule, values[None, rows], stamps[None, rows], first - start)

    windows = list(plan_windows(len(values), checkpoint.max_context))
    if windows:  # each on a thread of its own: beside other work two threads of one product wait for each other
        Chunks(lambda _: None, len(windows)).run(work, windows, next(checkpoint.model.parameters()).device)
    return out


@torch.no_grad()  # of each thread
def _window_bounds(
    checkpoint: Checkpoint, rule: SamplingRule, values: NDArray[np.float64], stamps: Tensor, given: int
) -> NDArray[np.float64]:
    """Return the bounds of the bars of one window [1, L, F] after those given [L - given, per_bar, 2]."""
    device = next(checkpoint.model.parameters()).device
    scale = checkpoint.representation.fit(values[:, :given])
    features = torch.from_numpy(checkpoint.representation.encode(values, scale)).to(device)
    s1, s2 = checkpoint.tokenizer.encode(features)  # [1, L]
    stamps = stamps_for(checkpoint, stamps, scale).to(device)
    past = (tokens[:, :-1] for tokens in (s1, s2, stamps))
    logits = checkpoint.model(*past, s1[:, 1:], checkpoint.dependency_form)
    first, second = (part[0, given - 1 :] for part in logits)  # [L - given, V]
    plain = LevelOrder(torch.arange(first.shape[1], device=device)[None])
    orders = (plain, LevelOrder(torch.arange(second.shape[1], device=device)[None]))
    if rule.order is not None:
        orders = rule.order.levels
    real1, real2 = s1[0, given:], s2[0, given:]
    levels = (
        orders[0].bounds(weights(first, rule, checkpoint.cell_log_volume), real1),
        orders[1].bounds(weights(second, rule), real2, real1),
    )
    return np.asarray(torch.cat(levels, 1).cpu().numpy())
