"""Six broken copies of the reference, each without one property of real markets.

The designated control of a fact is the one that this fact must catch; where it does not, at the same number of
paths and bars, a PASS of that fact would mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from scenario_gen.realism.bars import BarArrays

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Relative:
    """Bars without a price level, each array [..., bar]."""

    g: Floats  # gap, ln(open / close before)
    b: Floats  # body, ln(close / open)
    hh: Floats  # ln(high / open), at least max(b, 0)
    ll: Floats  # ln(low / open), at most min(b, 0)
    volume: Floats | None  # as it was, or None

    @classmethod
    def of(cls, bars: BarArrays) -> Relative:
        """Return the bars of each path, [path, bar]."""
        return cls(bars.g, bars.b, bars.hh, bars.ll, bars.volume)

    def flat(self) -> Relative:
        """Return all bars in one row, [path * bar]."""
        return self._each(np.ravel)

    def take(self, index: NDArray[Any]) -> Relative:
        """Return the bars at ``index`` of a flat row, in the shape of ``index``."""
        return self._each(lambda values: values[index])

    def scaled(self, factor: float) -> Relative:
        """Return the bars with every move multiplied by ``factor``."""
        return replace(self, g=self.g * factor, b=self.b * factor, hh=self.hh * factor, ll=self.ll * factor)

    def rolled(self, bars: int) -> Relative:
        """Return the bars of each path so many later; those that fall off its end come first."""
        return self._each(lambda values: np.roll(values, bars, axis=1))

    def onto(self, template: BarArrays) -> BarArrays:
        """Chain the bars [path, bar] into prices from the template's anchors, with its sessions and tick."""
        return template.chained(self.g, self.b, self.hh, self.ll, self.volume)

    def _each(self, change: Any) -> Relative:
        volume = None if self.volume is None else change(self.volume)
        return Relative(change(self.g), change(self.b), change(self.hh), change(self.ll), volume)


# --- Six broken copies of the reference, each without one property of real markets ---


PERSISTENCE = 0.15  # of the AR(1) control
STEPS = 78  # of the Brownian motion inside a bar: the five-minute bars of an exchange's day
PATHS_AT_ONCE = 128  # bounds the memory of those steps

Control = Callable[[BarArrays, Relative, np.random.Generator], Relative]


def negative_control(name: str, windows: BarArrays, paths: int, rng: np.random.Generator) -> BarArrays:
    """Return ``paths`` paths of the named control, as long as the windows of the reference.

    Args:
        name: a key of ``CONTROLS``.
        windows: real windows of the reference.
        paths: how many paths to make.
        rng: chooses windows, bars and shocks.
    """
    template = windows.select(rng.integers(len(windows), size=paths))
    return CONTROLS[name](template, Relative.of(windows).flat(), rng).onto(template)


def gbm(template: BarArrays, pool: Relative, rng: np.random.Generator) -> Relative:
    """Geometric Brownian motion with the reference's mean and variance of gaps and bodies: no tails, no clusters.

    Gaps are normal, those that open a session and those inside one each with their own variance; candles are the
    extremes of 78 steps; volume is log-normal and independent.
    """
    shape = template.close.shape
    b, hh, ll = brownian_candles(np.full(shape, pool.b.std()), rng, drift=float(pool.b.mean()))
    return Relative(_normal_gaps(template, rng), b, hh, ll, _lognormal(pool.volume, shape, rng))


def brownian_candles(scale: Floats, rng: np.random.Generator, drift: float = 0.0) -> tuple[Floats, Floats, Floats]:
    """Return body, high and low [path, bar] of Brownian bars with these standard deviations and one drift."""
    out = np.empty((3, *scale.shape))
    trend = drift * np.arange(1, STEPS + 1) / STEPS
    for start in range(0, len(scale), PATHS_AT_ONCE):
        block = slice(start, start + PATHS_AT_ONCE)
        steps = rng.standard_normal((*scale[block].shape, STEPS)) / np.sqrt(STEPS)
        walk = scale[block][..., None] * np.cumsum(steps, axis=-1) + trend
        out[0, block] = walk[..., -1]
        out[1, block] = np.maximum(walk.max(axis=-1), 0)
        out[2, block] = np.minimum(walk.min(axis=-1), 0)
    return out[0], out[1], out[2]


def shuffle(template: BarArrays, pool: Relative, rng: np.random.Generator) -> Relative:
    """Whole bars drawn independently from the reference: its marginal law, no memory."""
    return pool.take(rng.integers(len(pool.g), size=template.close.shape))


def signflip(template: BarArrays, pool: Relative, rng: np.random.Generator) -> Relative:
    """Real windows with each bar mirrored at random: no direction, the same sizes in the same order."""
    real = Relative.of(template)
    flipped = rng.random(template.close.shape) < 0.5
    sign = np.where(flipped, -1.0, 1.0)
    return replace(
        real,
        g=real.g * sign,
        b=real.b * sign,
        hh=np.where(flipped, -real.ll, real.hh),
        ll=np.where(flipped, -real.hh, real.ll),
    )


def ar1(template: BarArrays, pool: Relative, rng: np.random.Generator) -> Relative:
    """Real windows with .15 of each return carried into the next gap: linear dependence, nothing else."""
    real = Relative.of(template)
    carried = lfilter([1.0], [1.0, -PERSISTENCE], template.r, axis=1)
    return replace(real, g=carried - real.b)


def reverse(template: BarArrays, pool: Relative, rng: np.random.Generator) -> Relative:
    """Real windows played backwards: what differs between past and future is mirrored."""
    real = Relative.of(template)
    gaps = np.concatenate([real.g[:, :1], real.g[:, :0:-1]], axis=1)  # no gap follows the last bar: the first stays
    back = slice(None, None, -1)
    return Relative(
        g=-gaps,
        b=-real.b[:, back],
        hh=(real.hh - real.b)[:, back],
        ll=(real.ll - real.b)[:, back],
        volume=None if real.volume is None else real.volume[:, back],
    )


def wicks(template: BarArrays, pool: Relative, rng: np.random.Generator) -> Relative:
    """Real windows whose wicks are those of other bars: ranges no longer belong to their bars."""
    real = Relative.of(template)
    other = pool.take(rng.integers(len(pool.g), size=template.close.shape))
    upper = other.hh - np.maximum(other.b, 0)
    lower = np.minimum(other.b, 0) - other.ll
    return replace(real, hh=np.maximum(real.b, 0) + upper, ll=np.minimum(real.b, 0) - lower)


CONTROLS: dict[str, Control] = {
    "gbm": gbm,
    "shuffle": shuffle,
    "signflip": signflip,
    "ar1": ar1,
    "reverse": reverse,
    "wicks": wicks,
}


def _normal_gaps(template: BarArrays, rng: np.random.Generator) -> Floats:
    opens = template.opens_session
    draws = rng.standard_normal(template.close.shape)
    gaps = np.zeros(template.close.shape)
    for kind in (opens, ~opens):
        if kind.any():
            gaps[kind] = template.g[kind].mean() + template.g[kind].std() * draws[kind]
    return gaps


def _lognormal(volume: Floats | None, shape: tuple[int, ...], rng: np.random.Generator) -> Floats | None:
    if volume is None:
        return None
    logs = np.log(volume[volume > 0])
    if not len(logs):
        return np.zeros(shape)
    return np.asarray(np.exp(logs.mean() + logs.std() * rng.standard_normal(shape)))
