"""Panels of known quality for the power study of several assets: what passes, what fails, and for which reason.

For tests and benchmarks only. Each is made from real windows of all assets.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scenario_gen.checks.controls.negative import STEPS
from scenario_gen.checks.controls.relative import Floats, Relative
from scenario_gen.checks.facts import Bars, Panel


def joint_shuffle(windows: Panel, paths: int, rng: np.random.Generator) -> Panel:
    """Bars of all assets drawn together, independently in time: dependence at one moment stays, memory goes."""
    drawn = rng.integers(windows.bars[0].close.size, size=(paths, windows.length))
    return Panel(
        windows.assets,
        tuple(
            Relative.of(bars).flat().take(drawn).onto(bars.select(np.zeros(paths, dtype=np.int64)))
            for bars in windows.bars
        ),
    )


def diluted(windows: Panel, paths: int, rng: np.random.Generator, weight: float = 0.9) -> Panel:
    """Real windows, the moves of every second asset mixed with those of another time at the same variance."""
    drawn = windows.select(rng.integers(len(windows), size=paths))
    other = windows.select(rng.integers(len(windows), size=paths))
    return Panel(
        drawn.assets,
        tuple(
            _mixed(ours, theirs, weight) if at % 2 else ours
            for at, (ours, theirs) in enumerate(zip(drawn.bars, other.bars, strict=True))
        ),
    )


def _mixed(ours: Bars, theirs: Bars, weight: float) -> Bars:
    one, two = Relative.of(ours), Relative.of(theirs)
    rest = np.sqrt(1 - weight**2)
    body = weight * one.b + rest * two.b
    upper, lower = one.hh - np.maximum(one.b, 0), np.minimum(one.b, 0) - one.ll
    mixed = replace(
        one, g=weight * one.g + rest * two.g, b=body, hh=np.maximum(body, 0) + upper, ll=np.minimum(body, 0) - lower
    )
    return mixed.onto(ours)


def gaussian(windows: Panel, paths: int, rng: np.random.Generator) -> Panel:
    """Geometric Brownian motions of the real means, variances and correlation, which never change.

    Candles are the extremes of 78 correlated steps, without gaps; volume is log-normal and independent.
    """
    returns = np.stack([bars.r.ravel() for bars in windows.bars])
    factor = np.linalg.cholesky(np.cov(returns))
    drift = returns.mean(axis=1) / STEPS
    steps = rng.standard_normal((len(returns), paths, windows.length, STEPS)) / np.sqrt(STEPS)
    walks = np.cumsum(np.einsum("ij,jptk->iptk", factor, steps) + drift[:, None, None, None], axis=-1)
    template = windows.select(np.zeros(paths, dtype=np.int64))
    made = [_candles(walk, bars, rng) for walk, bars in zip(walks, template.bars, strict=True)]
    return Panel(windows.assets, tuple(made))


def _candles(walk: Floats, template: Bars, rng: np.random.Generator) -> Bars:
    high, low = np.maximum(walk.max(axis=-1), 0), np.minimum(walk.min(axis=-1), 0)
    volume = None if template.volume is None else np.exp(rng.standard_normal(template.close.shape))
    return Relative(np.zeros_like(high), walk[..., -1], high, low, volume).onto(template)
