"""Generators of known quality for the power study: what passes, what fails, and for which reason.

For tests and benchmarks only. Each is fitted to a stretch of real bars and gives paths of the wanted shape.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenario_gen.checks.controls.negative import brownian_candles
from scenario_gen.checks.controls.relative import Floats, Relative
from scenario_gen.checks.facts import Bars

BURN_IN = 500  # bars of a GARCH path that are thrown away
MOST_PERSISTENT = 0.995  # above it a fitted GARCH has no variance to start from


def copy(windows: Bars, paths: int, rng: np.random.Generator) -> Bars:
    """Return real windows, drawn with replacement: a generator that has learnt its training data by heart."""
    return windows.select(rng.integers(len(windows), size=paths))


def calmer(windows: Bars, paths: int, rng: np.random.Generator, factor: float = 0.8) -> Bars:
    """Return real windows with every move multiplied by ``factor``: the level of volatility is wrong."""
    template = copy(windows, paths, rng)
    return Relative.of(template).scaled(factor).onto(template)


def collapsed(windows: Bars, paths: int, rng: np.random.Generator, modes: int = 5) -> Bars:
    """Return only ``modes`` different real windows, again and again."""
    few = windows.select(rng.choice(len(windows), size=modes, replace=False))
    return few.select(rng.integers(modes, size=paths))


def noisy(paths: Bars, share: float, rng: np.random.Generator) -> Bars:
    """Return the paths with every part of every candle, volume included, multiplied by exp(share z), z normal."""

    def shaken(part: Floats) -> Floats:
        return np.asarray(part * np.exp(share * rng.standard_normal(part.shape)))

    real = Relative.of(paths)
    g, b, hh, ll = (shaken(part) for part in (real.g, real.b, real.hh, real.ll))
    return Relative(g, b, hh, ll, None if real.volume is None else shaken(real.volume)).onto(paths)


def block_bootstrap(template: Bars, pool: Relative, mean_block: float, rng: np.random.Generator) -> Bars:
    """Return a stationary bootstrap of whole bars (Politis and Romano 1994) of a flat row of real bars."""
    return pool.take(stationary_index(template.close.shape, len(pool.g), mean_block, rng)).onto(template)


def stationary_index(
    shape: tuple[int, ...], bars: int, mean_block: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return row numbers [path, bar]: each continues the one before, or jumps with probability 1 / mean_block."""
    index = rng.integers(bars, size=shape)
    stays = rng.random(shape) >= 1 / mean_block
    for t in range(1, shape[1]):
        index[:, t] = np.where(stays[:, t], (index[:, t - 1] + 1) % bars, index[:, t])
    return index


def garch(template: Bars, pool: Relative, rng: np.random.Generator, *, leverage: bool = False) -> Bars:
    """Return paths of GARCH(1, 1) with Student t shocks, or GJR with ``leverage``, fitted by arch to real bars.

    A bar's shock is a scale mixture: gap and body are normal given the scale sigma_t sqrt((nu - 2) / chi2_nu), and
    share its variance as the real ones do; candles are those of Brownian motion; volume is independent.
    """
    from arch import arch_model  # slow to import

    r = 100 * (pool.g + pool.b)
    fit = arch_model(r, vol="GARCH", p=1, o=int(leverage), q=1, dist="t").fit(disp="off", show_warning=False)
    if fit.convergence_flag != 0:
        raise RuntimeError(f"the GARCH fit did not converge (flag {fit.convergence_flag})")
    p = {name: float(value) for name, value in fit.params.items()}
    shape = template.close.shape
    share = float(pool.g.var() / (pool.g.var() + pool.b.var()))
    unit = brownian_candles(np.ones(shape), rng)
    gaps, scale = _recursion(p, unit[0], share, rng)
    volume = None if pool.volume is None else pool.volume[rng.integers(len(r), size=shape)]
    b, hh, ll = (part * scale / 100 for part in unit)
    return Relative(gaps / 100, b, hh, ll, volume).onto(template)


def _recursion(p: dict[str, float], body: Floats, share: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return gaps and the scale of bodies [path, bar] for unit normal bodies, after a burn-in."""
    paths, bars = body.shape
    body = np.concatenate([rng.standard_normal((paths, BURN_IN)), body], axis=1)
    mixing = np.sqrt((p["nu"] - 2) / rng.chisquare(p["nu"], size=body.shape))
    normal_gaps = rng.standard_normal(body.shape)
    gaps, scales = np.empty_like(body), np.empty_like(body)
    asymmetry = p.get("gamma[1]", 0.0)
    persistence = p["alpha[1]"] + asymmetry / 2 + p["beta[1]"]
    variance = np.full(paths, p["omega"] / max(1 - persistence, 1 - MOST_PERSISTENT))
    for t in range(body.shape[1]):
        size = np.sqrt(variance) * mixing[:, t]
        gaps[:, t] = np.sqrt(share) * size * normal_gaps[:, t]
        scales[:, t] = np.sqrt(1 - share) * size
        shock = gaps[:, t] + scales[:, t] * body[:, t]
        weight = p["alpha[1]"] + asymmetry * (shock < 0)
        variance = p["omega"] + weight * shock**2 + p["beta[1]"] * variance
    return gaps[:, -bars:] + p["mu"], scales[:, -bars:]
