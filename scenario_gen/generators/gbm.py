"""Geometric Brownian motion: constant volatility, no tails, no clusters. What every other generator should beat.

A bar is an overnight gap and a session. Both are Gaussian with the context's means; their variances share the
context's close-to-close variance in the context's proportion. High and low are the extremes of the Brownian bridge
between open and close, drawn exactly and jointly. Volume is drawn from the context's bars, each on its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from scenario_gen.generators.base import (
    MIN_BARS,
    Advance,
    Order,
    ignore,
    relative_bars,
    require_bars,
    require_movement,
    to_path_set,
)
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.walks import ChainWalk
from scenario_gen.market.candles import STILL, Candles
from scenario_gen.market.paths import Floats, PathSet

PER_BAR = 5  # uniforms: gap, body, high, low and volume; in order: return, gap given the return, and the others
BEFORE = 256  # bars that the law of a bar of a history is read off, at most: the context of a run that says nothing
SMALLEST = 2.0**-54  # half the step of a uniform: 0 would be minus infinity
# The bridge leaves 8 deviations with probability exp(-128); bisecting them 45 times reaches float64 rounding.
REACH, HALVINGS = 8.0, 45
IMAGES = np.arange(-5, 6)  # terms beyond these are below exp(-50 d^2), d the range in deviations


@dataclass(frozen=True)
class GbmPaths:
    """Geometric Brownian motion with the context's drift and volatility."""

    lent: Candles | None = field(default=None, compare=False)  # whose law a context of the same stamps has
    in_line: bool = False  # whether a higher uniform is a higher return of the bar

    def in_order(self, order: Order) -> GbmPaths:
        """Return paths whose first uniform is the bar's return and the last its volume; one order is both of them."""
        del order
        return replace(self, in_line=True)

    def cell_bounds(self, history: Candles) -> Floats:
        """Return between which uniforms each real bar would have been drawn [bar, uniform, (lower, upper)].

        The law of each is read off the 256 bars before it, of the first bars off fewer. A volume has the rank that it
        has among those before.
        """
        out = np.full((len(history), PER_BAR, 2), np.nan)
        relative, volume = relative_bars(history)
        for bar in range(MIN_BARS, len(history)):
            law = GbmLaw.before(relative, volume, bar - 1, self.in_line)
            if law is not None:
                out[bar] = law.bounds(relative[bar - 1], None if volume is None else float(volume[bar - 1]))
        return out

    def in_units_of(self, context: Candles) -> GbmPaths:
        """Return paths whose law is read off this context, where another has its stamps."""
        return replace(self, lent=context)

    def unread(self, context: Candles) -> NDArray[np.bool_]:
        """Return False for every bar of a context: nothing is beyond it."""
        return np.zeros(len(context), dtype=np.bool_)

    def _law(self, context: Candles) -> GbmLaw:
        lent = self.lent
        source = lent if lent is not None and lent.timestamps.equals(context.timestamps) else context
        return GbmLaw.of(source, self.in_line)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Kind, and whether its uniforms are in order."""
        return {"kind": "gbm", "order": "return"} if self.in_line else {"kind": "gbm"}

    @property
    def trained_until(self) -> None:
        """None: it is fitted to the context alone."""

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return paths float32 [path, bar, field]; fields as the context's, without amount.

        Raises:
            DataError: the context is shorter than 32 bars, or never moves.
        """
        law = self._law(context)
        bars, volume = law.bars(draws.uniforms(len(timestamps), PER_BAR))
        advance(len(timestamps))
        return to_path_set(context, timestamps, draws, bars, volume, {"generator": "gbm"})

    def start(self, context: Candles, timestamps: pd.DatetimeIndex, rows: int) -> ChainWalk:
        """Return paths before their first bar; the same errors are raised."""
        law = self._law(context)

        def next_bar(state: Floats, uniforms: Floats) -> tuple[Floats, Floats | None, Floats]:
            return *law.bars(uniforms), state

        return ChainWalk.start(context, len(timestamps), rows, PER_BAR, next_bar, tail=partial(GbmTail, law))


@dataclass(frozen=True)
class GbmLaw:
    """The law of a bar: gap and body with their means and deviations, and the volumes to draw from."""

    gap: tuple[float, float]  # mean and deviation, log units
    body: tuple[float, float]
    volume: Floats | None  # of the context's bars; None without
    in_line: bool = False  # whether the first uniform draws the return, and a higher last one a higher volume

    @classmethod
    def of(cls, context: Candles, in_line: bool = False) -> GbmLaw:
        """Read it off a context.

        Raises:
            DataError: the context is shorter than 32 bars, or never moves.
        """
        require_bars(context)
        require_movement(context)
        return cls._read(*relative_bars(context), in_line)

    @classmethod
    def before(cls, relative: Floats, volume: Floats | None, bar: int, in_line: bool) -> GbmLaw | None:
        """Return the law that the bars before one of them show, of relative bars [T, 4]; None where nothing moves."""
        rows = slice(max(0, bar - BEFORE + 1), bar)
        law = cls._read(relative[rows], None if volume is None else volume[rows], in_line)
        return law if law.spread > STILL else None

    @classmethod
    def _read(cls, relative: Floats, volume: Floats | None, in_line: bool) -> GbmLaw:
        gap, body = relative[:, 0], relative[:, 3] - relative[:, 0]
        share = _share(relative[:, 3].var(), gap.var() + body.var())
        means, spreads = (float(gap.mean()), float(body.mean())), (float(share * gap.std()), float(share * body.std()))
        kept = np.sort(volume) if in_line and volume is not None else volume
        return cls((means[0], spreads[0]), (means[1], spreads[1]), kept, in_line)

    @property
    def mean(self) -> float:
        """Expected return of a bar."""
        return self.gap[0] + self.body[0]

    @property
    def spread(self) -> float:
        """Standard deviation of the return."""
        return float(np.hypot(self.gap[1], self.body[1]))

    def gap_given(self, move: Floats) -> tuple[Floats, float]:
        """Return mean and deviation of the gap of bars that have a return."""
        share = (self.gap[1] / self.spread) ** 2
        return self.gap[0] + share * (move - self.mean), self.gap[1] * self.body[1] / self.spread

    def bars(self, uniforms: Floats) -> tuple[Floats, Floats | None]:
        """Return log steps from the close before [..., 4], and volume [...], from uniforms [..., 5]."""
        drawn = np.maximum(uniforms, SMALLEST)
        if self.in_line:
            whole = self.mean + self.spread * ndtri(drawn[..., 0])
            centre, spread = self.gap_given(whole)
            opened = centre + spread * ndtri(drawn[..., 1])
            move = whole - opened
        else:
            opened = self.gap[0] + self.gap[1] * ndtri(drawn[..., 0])
            move = self.body[0] + self.body[1] * ndtri(drawn[..., 1])
        high, low = bridge_extremes(move, self.body[1], drawn[..., 2], drawn[..., 3])
        steps = np.stack((opened, opened + high, opened + low, opened + move), axis=-1)
        at = (drawn[..., 4] * len(self.volume)).astype(np.int64) if self.volume is not None else None
        return steps, None if self.volume is None else self.volume[at]

    def bounds(self, steps: Floats, volume: float | None) -> Floats:
        """Return between which uniforms [5, (lower, upper)] a bar of log steps [4] and volume would be drawn."""
        opened, high, low, close = steps
        move = close - opened
        first, second = (opened - self.gap[0], self.gap[1]), (move - self.body[0], self.body[1])
        if self.in_line:
            centre, spread = self.gap_given(close)
            first, second = (close - self.mean, self.spread), (opened - centre, spread)
        points = [ndtr(off / spread) if spread > 0 else np.nan for off, spread in (first, second)]
        if (unit := self.body[1]) > 0:
            top, bottom, end = (np.array([step / unit]) for step in (high - opened, low - opened, move))
            points += [float(np.exp(-2.0 * top * (top - end))[0]), float(_minimum_above(bottom, top, end)[0])]
        else:
            points += [np.nan, np.nan]
        out = np.repeat(np.clip(np.array([*points, np.nan]), 0.0, 1.0)[:, None], 2, axis=1)
        if volume is not None and self.volume is not None and self.in_line:
            sides = (
                np.searchsorted(self.volume, volume, side="left"),
                np.searchsorted(self.volume, volume, side="right"),
            )
            out[4] = sides[0] / (len(self.volume) + 1), (sides[1] + 1) / (len(self.volume) + 1)
        return np.where(np.isnan(out), (0.0, 1.0), out)


@dataclass(frozen=True)
class GbmTail:
    """The tail of a bar's return, gap and body together; see ``walks.BarTail``."""

    law: GbmLaw
    sign: float

    @property
    def _return(self) -> tuple[float, float]:
        """Mean of the signed return, and its deviation."""
        return self.sign * self.law.mean, self.law.spread

    def hazard(self, state: Floats, bound: float) -> Floats:
        """Return the chance that the next signed log return is at most a bound [row]."""
        mean, deviation = self._return
        return np.full(len(state), float(ndtr((bound - mean) / deviation)))

    def conditioned(self, state: Floats, uniforms: Floats, inside: NDArray[np.bool_], bound: float) -> Floats:
        """Return uniforms [row, 5]: the return from its part of the normal first, then the gap given the return."""
        chance, (mean, deviation), law = self.hazard(state, bound), self._return, self.law
        low, high = np.where(inside, 0.0, chance), np.where(inside, chance, 1.0)
        move = self.sign * (mean + deviation * ndtri(np.maximum(low + (high - low) * uniforms[:, 0], SMALLEST)))
        given, spread = law.gap_given(move)
        gap = given + spread * ndtri(np.maximum(uniforms[:, 1], SMALLEST))
        out = uniforms.copy()
        if law.in_line:
            drawn = low + (high - low) * uniforms[:, 0]
            out[:, 0] = drawn if self.sign > 0 else 1.0 - drawn
            return np.clip(out, SMALLEST, 1.0 - 2.0**-53)
        for place, (value, (centre, spread)) in enumerate(((gap, law.gap), (move - gap, law.body))):
            if spread > 0:
                out[:, place] = np.clip(ndtr((value - centre) / spread), SMALLEST, 1.0 - 2.0**-53)
        return out


def _share(whole: float, parts: float) -> float:
    """Return what gap and body are multiplied by, so that independent ones have the bar's variance."""
    return float(np.sqrt(whole / parts)) if parts > 0 else 0.0


def bridge_extremes(move: Floats, deviation: float, upper: Floats, lower: Floats) -> tuple[Floats, Floats]:
    """Draw the highest and the lowest point of Brownian bridges from 0 to ``move``, jointly.

    The maximum by its inverse distribution, exp(-2 a (a - move) / deviation^2) beyond a; the minimum given the
    maximum by bisecting its distribution, which follows from the method of images for two barriers (Billingsley
    1968, "Convergence of probability measures", section 11).

    Args:
        move: where each bridge ends, any shape.
        deviation: standard deviation of the free motion over the same time.
        upper: uniforms in (0, 1) for the maximum.
        lower: uniforms in (0, 1) for the minimum.

    Returns:
        Highest point (>= 0 and >= move) and lowest point (<= 0 and <= move).
    """
    if deviation <= 0:
        return np.maximum(move, 0.0), np.minimum(move, 0.0)
    x = move / deviation
    high = (x + np.sqrt(x**2 - 2.0 * np.log(upper))) / 2.0
    above = np.minimum(x, 0.0)  # the minimum lies between ``below`` and here
    below = above - REACH
    for _ in range(HALVINGS):
        middle = (above + below) / 2.0
        is_higher = _minimum_above(middle, high, x) > lower  # more than ``lower`` of the minima lie above
        below, above = np.where(is_higher, middle, below), np.where(is_higher, above, middle)
    return high * deviation, below * deviation


def _minimum_above(low: Floats, high: Floats, x: Floats) -> Floats:
    """Return P(minimum > low) for unit bridges to x whose maximum is ``high``.

    The derivative in the upper barrier of the probability to stay between both, over that without a lower one.
    """
    width, total = high - low, np.zeros_like(low)
    for k in IMAGES:
        beyond = high + k * width
        total += (1 + k) * (2 * beyond - x) * np.exp(-2.0 * beyond * (beyond - x))
        total -= k * (2 * k * width - x) * np.exp(-2.0 * k * width * (k * width - x))
    return np.asarray(total / ((2 * high - x) * np.exp(-2.0 * high * (high - x))))
