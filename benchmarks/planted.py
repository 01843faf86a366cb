"""Generators of known quality for the power study: what passes, what fails, and for which reason.

For tests and benchmarks only. Each is fitted to a stretch of real bars and gives paths of the wanted shape.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.market.candles import Candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.controls import STEPS, Floats, Relative, brownian_candles
from scenario_gen.realism.panel import Panel

BURN_IN = 500  # bars of a GARCH path that are thrown away
MOST_PERSISTENT = 0.995  # above it a fitted GARCH has no variance to start from


def copy(windows: BarArrays, paths: int, rng: np.random.Generator) -> BarArrays:
    """Return real windows, drawn with replacement: a generator that has learnt its training data by heart."""
    return windows.select(rng.integers(len(windows), size=paths))


def calmer(windows: BarArrays, paths: int, rng: np.random.Generator, factor: float = 0.8) -> BarArrays:
    """Return real windows with every move multiplied by ``factor``: the level of volatility is wrong."""
    template = copy(windows, paths, rng)
    return Relative.of(template).scaled(factor).onto(template)


def collapsed(windows: BarArrays, paths: int, rng: np.random.Generator, modes: int = 5) -> BarArrays:
    """Return only ``modes`` different real windows, again and again."""
    few = windows.select(rng.choice(len(windows), size=modes, replace=False))
    return few.select(rng.integers(modes, size=paths))


def noisy(paths: BarArrays, share: float, rng: np.random.Generator) -> BarArrays:
    """Return the paths with every part of every candle, volume included, multiplied by exp(share z), z normal."""

    def shaken(part: Floats) -> Floats:
        return np.asarray(part * np.exp(share * rng.standard_normal(part.shape)))

    real = Relative.of(paths)
    g, b, hh, ll = (shaken(part) for part in (real.g, real.b, real.hh, real.ll))
    return Relative(g, b, hh, ll, None if real.volume is None else shaken(real.volume)).onto(paths)


def block_bootstrap(template: BarArrays, pool: Relative, mean_block: float, rng: np.random.Generator) -> BarArrays:
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


def garch(template: BarArrays, pool: Relative, rng: np.random.Generator, *, leverage: bool = False) -> BarArrays:
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


# --- Panels of known quality for the power study of several assets: what passes, what fails, and for which reason ---


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


def _mixed(ours: BarArrays, theirs: BarArrays, weight: float) -> BarArrays:
    one, two = Relative.of(ours), Relative.of(theirs)
    rest = np.sqrt(1 - weight**2)
    body = weight * one.b + rest * two.b
    upper, lower = one.hh - np.maximum(one.b, 0), np.minimum(one.b, 0) - one.ll
    mixed = replace(
        one, g=weight * one.g + rest * two.g, b=body, hh=np.maximum(body, 0) + upper, ll=np.minimum(body, 0) - lower
    )
    return mixed.onto(ours)


def gaussian(windows: Panel, paths: int, rng: np.random.Generator, correlation: float | None = None) -> Panel:
    """Geometric Brownian motions of the real means, variances and correlation, or another, which never change.

    Candles are the extremes of 78 correlated steps, without gaps; volume is log-normal and independent.
    """
    returns = np.stack([bars.r.ravel() for bars in windows.bars])
    covariance = np.cov(returns)
    if correlation is not None:
        spread = np.sqrt(np.diag(covariance))
        covariance = np.outer(spread, spread) * np.where(np.eye(len(spread), dtype=bool), 1.0, correlation)
    factor = np.linalg.cholesky(covariance)
    drift = returns.mean(axis=1) / STEPS
    steps = rng.standard_normal((len(returns), paths, windows.length, STEPS)) / np.sqrt(STEPS)
    walks = np.cumsum(np.einsum("ij,jptk->iptk", factor, steps) + drift[:, None, None, None], axis=-1)
    template = windows.select(np.zeros(paths, dtype=np.int64))
    made = [_candles(walk, bars, rng) for walk, bars in zip(walks, template.bars, strict=True)]
    return Panel(windows.assets, tuple(made))


def _candles(walk: Floats, template: BarArrays, rng: np.random.Generator) -> BarArrays:
    high, low = np.maximum(walk.max(axis=-1), 0), np.minimum(walk.min(axis=-1), 0)
    volume = None if template.volume is None else np.exp(rng.standard_normal(template.close.shape))
    return Relative(np.zeros_like(high), walk[..., -1], high, low, volume).onto(template)


# --- A market whose law is known: stochastic volatility on four time scales, with leverage ---


HALF_LIVES = np.array([3.0, 15.0, 75.0, 400.0])  # bars
SPREAD = 0.25  # standard deviation of each component of the log volatility
LEVEL = np.log(0.01)  # of the log volatility per bar
LEVERAGE = -0.5  # correlation of a return and the innovation of every component
GAP_SHARE = 0.25  # of a bar's variance
ANCHOR = 100.0


@dataclass(frozen=True, eq=False)
class Simulated:
    """Paths of the known market with its state.

    Attributes:
        bars: the paths.
        states: float64 [path, bar + 1, component], the state before each bar and after the last.
    """

    bars: BarArrays
    states: Floats

    def stretch(self, start: int, length: int, path: int = 0) -> BarArrays:
        """Return ``length`` bars of one path from bar ``start`` (at least 1) on, as one path."""
        cut, b = slice(start, start + length), self.bars
        columns = [x[path, cut] for x in (b.open, b.high, b.low, b.close, b.volume) if x is not None]
        return BarArrays.of_arrays(*columns, anchor_close=b.close[path, start - 1])

    def scaled(self, factor: float) -> BarArrays:
        """Return the paths with every move multiplied by ``factor``."""
        return Relative.of(self.bars).scaled(factor).onto(self.bars)

    def candles(self, path: int = 0) -> Candles:
        """Return one path as a daily history."""
        b = self.bars
        columns = [x[path] for x in (b.open, b.high, b.low, b.close, b.volume) if x is not None]
        stamps = pd.bdate_range("1990-01-01", periods=b.length)
        return Candles(stamps, np.column_stack(columns), ("open", "high", "low", "close", "volume"), "known market")


def simulate(paths: int, bars: int, rng: np.random.Generator, state: Floats | None = None) -> Simulated:
    """Sample paths, from the stationary law or, given ``state`` [component] or [path, component], conditional on it."""
    decay = 0.5 ** (1 / HALF_LIVES)
    news = SPREAD * np.sqrt(1 - decay**2)
    x = SPREAD * rng.standard_normal((paths, 4)) if state is None else np.broadcast_to(state, (paths, 4))
    unit, highs, lows = brownian_candles(np.ones((paths, bars)), rng)
    gap, noise = rng.standard_normal((2, paths, bars))
    shock = np.sqrt(GAP_SHARE) * gap + np.sqrt(1 - GAP_SHARE) * unit
    states = np.empty((paths, bars + 1, 4))
    states[:, 0] = x
    for t in range(bars):
        own = np.sqrt(1 - LEVERAGE**2) * rng.standard_normal((paths, 4))
        states[:, t + 1] = decay * states[:, t] + news * (LEVERAGE * shock[:, t, None] + own)
    sigma = np.exp(LEVEL + states[:, :-1].sum(axis=2))
    body = sigma * np.sqrt(1 - GAP_SHARE)
    relative = Relative(
        g=np.sqrt(GAP_SHARE) * sigma * gap,
        b=body * unit,
        hh=body * highs,
        ll=body * lows,
        volume=1e6 * np.exp(0.5 * states[:, :-1].sum(axis=2) + 0.25 * np.abs(shock) + 0.2 * noise),
    )
    anchor = np.full(paths, ANCHOR)
    blank = np.ones((paths, bars))
    return Simulated(relative.onto(BarArrays(blank, blank, blank, blank, blank, anchor)), states)


# --- The same market with a character that drifts ---


@dataclass(frozen=True)
class Character:
    """One property of the market at the middle of its drift, and how far a standard deviation of drift moves it."""

    middle: float
    spread: float


CHARACTERS = {
    "upper_wickless": Character(-2.0, 0.7),  # logit of the share of bars without an upper wick
    "lower_wickless": Character(-2.0, 0.7),  # of those without a lower one
    "leverage": Character(-0.55, 0.3),  # its inverse hyperbolic tangent
    "tails": Character(-1.5, 0.5),  # log standard deviation of the log size of single bars
    "gaps": Character(-1.1, 0.6),  # logit of the gap's share of a bar's variance
    "coupling": Character(-0.7, 0.5),  # log of what volume takes from volatility
    "level": Character(float(LEVEL), 0.25),  # log volatility per bar
}


@dataclass(frozen=True, eq=False)
class Drifted(Simulated):
    """Paths of a drifting market.

    Attributes:
        characters: float64 [path, bar + 1, character], in standard deviations of drift, as ``states``.
    """

    characters: Floats

    def at(self, bar: int, path: int = 0) -> tuple[Floats, Floats]:
        """Return states and characters before a bar: what the futures of its context depend on."""
        return self.states[path, bar], self.characters[path, bar]


def drift(
    paths: int,
    bars: int,
    rng: np.random.Generator,
    half_life: float,
    start: tuple[Floats, Floats] | None = None,
    leverage: float = 1.0,
) -> Drifted:
    """Sample the known market while its characters wander, each an Ornstein-Uhlenbeck process of its own.

    Args:
        paths: how many.
        bars: of each.
        rng: of every shock.
        half_life: of the characters, in bars; infinity: they stay in the middle.
        start: states and characters at a context's end; None: the stationary law.
        leverage: what the leverage is multiplied by: -1 reverses it, 0 leaves none.
    """
    moves = np.isfinite(half_life)
    x, c = _started(paths, rng, start, moves=moves)
    decay, slow = 0.5 ** (1 / HALF_LIVES), 0.5 ** (1 / half_life)
    news, wander = SPREAD * np.sqrt(1 - decay**2), np.sqrt(1 - slow**2)
    states, characters = np.empty((paths, bars + 1, len(HALF_LIVES))), np.empty((paths, bars + 1, len(CHARACTERS)))
    states[:, 0], characters[:, 0] = x, c
    for t in range(bars):
        characters[:, t + 1] = slow * characters[:, t] + wander * rng.standard_normal(c.shape)
    now = {name: of.middle + of.spread * characters[:, :-1, k] for k, (name, of) in enumerate(CHARACTERS.items())}
    unit, highs, lows = brownian_candles(np.ones((paths, bars)), rng)
    gap, noise, size = rng.standard_normal((3, paths, bars))
    share = _logistic(now["gaps"])
    shock = np.sqrt(share) * gap + np.sqrt(1 - share) * unit
    rho = leverage * np.tanh(now["leverage"])
    for t in range(bars):
        own = np.sqrt(1 - rho[:, t, None] ** 2) * rng.standard_normal((paths, len(HALF_LIVES)))
        states[:, t + 1] = decay * states[:, t] + news * (rho[:, t, None] * shock[:, t, None] + own)
    wide = np.exp(now["tails"])
    slowly = states[:, :-1].sum(axis=2)
    sigma = np.exp(now["level"] + slowly + wide * size - wide**2)
    body = sigma * np.sqrt(1 - share)
    high = np.where(rng.random(share.shape) < _logistic(now["upper_wickless"]), np.maximum(unit, 0), highs)
    low = np.where(rng.random(share.shape) < _logistic(now["lower_wickless"]), np.minimum(unit, 0), lows)
    volume = 1e6 * np.exp(np.exp(now["coupling"]) * (slowly + wide * size + 0.5 * np.abs(shock)) + 0.3 * noise)
    relative = Relative(g=np.sqrt(share) * sigma * gap, b=body * unit, hh=body * high, ll=body * low, volume=volume)
    blank, anchor = np.ones((paths, bars)), np.full(paths, ANCHOR)
    return Drifted(relative.onto(BarArrays(blank, blank, blank, blank, blank, anchor)), states, characters)


def _started(
    paths: int, rng: np.random.Generator, start: tuple[Floats, Floats] | None, *, moves: bool
) -> tuple[Floats, Floats]:
    shapes = (paths, len(HALF_LIVES)), (paths, len(CHARACTERS))
    if start is None:
        return SPREAD * rng.standard_normal(shapes[0]), moves * rng.standard_normal(shapes[1])
    return np.broadcast_to(start[0], shapes[0]), np.broadcast_to(start[1], shapes[1])


def _logistic(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))
