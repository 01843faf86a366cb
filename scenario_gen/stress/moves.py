"""Paths as gaps, bodies, wicks and volume in logs, and what shocks do to them: arithmetic that keeps candles valid.

A bar is the log gap from the close before to its open, the log body from open to close, an upper and a lower log wick,
and the change of its log volume. Wicks of zero or more make a valid candle whatever gap and body are, so no shock acts
on open, high, low or close. Beside them stand the terms on which the bars are traded: costs, bars at which orders wait,
bars that strategies see wrongly.

Owns the arithmetic; which shocks there are, and what a spec says of them, stands in ``shocks``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scenario_gen.generators.draws import stream_uniforms
from scenario_gen.market.candles import Candles, Scale
from scenario_gen.market.paths import Floats, PathSet, TradingTerms
from scenario_gen.market.price_limit import AT_THE_LIMIT

Bools = NDArray[np.bool_]

STREAM = 0x5C  # highest word of the Philox counter of a shock's numbers: beyond those of samplers and of their noise
LEAST_VOLUME = 1e-4  # of the usual volume: stands for none where a square root is divided by
STEEPEST = 1.5  # of log volume on log range: more is an accident of a short context
LOCKED_VOLUME = 0.1  # what is left of the volume of a bar that a limit locks


@dataclass(frozen=True)
class Setting:
    """What a shock may know beside the path itself."""

    seed: int  # of the paths; a shock's own numbers are keyed by it, the path's id and the shock's place
    usual_volume: float  # mean of the context's last bars; 0 without volume
    slope: float  # of log volume on log range over the context, from 0 to 1.5; 0 without volume

    @classmethod
    def of(cls, context: Candles, seed: int) -> Setting:
        """Read volume and its slope off a context."""
        return cls(seed, Scale.of(context).usual_volume, _slope(context))


def _slope(context: Candles) -> float:
    if not context.has_volume:
        return 0.0
    volume, ranges = context.column("volume"), np.log(context.column("high") / context.column("low"))
    moved = (volume > 0) & (ranges > 0)
    if moved.sum() < 3:
        return 0.0
    x, y = np.log(ranges[moved]), np.log(volume[moved])
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread > 0 else 0.0
    return min(max(slope, 0.0), STEEPEST)


def uniforms(setting: Setting, path_ids: NDArray[np.int64], place: int, bars: int) -> Floats:
    """Return the numbers of one shock in [0, 1), [path, bar]: the same for a path in any company and block."""
    return stream_uniforms(setting.seed, path_ids, bars, (0, 0, place, STREAM))


def strength(bars: int, first: int, stop: int, half_life: float | None) -> Floats:
    """Return how much of a shock acts at each bar [bar]: 0 outside of its window, 1 at its first bar and then less."""
    since = np.arange(bars) - first
    decay = np.ones(bars) if half_life is None else 0.5 ** (np.maximum(since, 0) / half_life)
    return np.where((since >= 0) & (np.arange(bars) < stop), decay, 0.0)


# --- Bars ---


@dataclass(frozen=True, eq=False)
class Moves:
    """Paths as log moves, float64 [path, bar] each."""

    gap: Floats  # from the close before to the open
    body: Floats  # from open to close
    upper: Floats  # from the higher of the two to the high
    lower: Floats  # from the low to the lower of the two
    volume: Floats  # what the log of volume changes by; 0 before any shock

    @classmethod
    def of(cls, steps: Floats) -> Moves:
        """Take log open, high, low and close from the close before, [path, bar, 4]."""
        start, high, low, close = np.moveaxis(steps, -1, 0)
        upper, lower = high - np.maximum(start, close), np.minimum(start, close) - low
        return cls(start, close - start, upper, lower, np.zeros_like(start))

    @property
    def bars(self) -> int:
        """Bars per path."""
        return int(self.gap.shape[1])

    @property
    def steps(self) -> Floats:
        """Log open, high, low and close from the close before, [path, bar, 4]."""
        close = self.gap + self.body
        top, bottom = np.maximum(self.gap, close), np.minimum(self.gap, close)
        return np.stack((self.gap, top + self.upper, bottom - self.lower, close), axis=-1)

    @property
    def mean_close(self) -> Floats:
        """The mean close of the ensemble in units of the anchor [bar]."""
        return np.asarray(np.exp(np.cumsum(self.gap + self.body, axis=1)).mean(axis=0))

    def gapped(self, bar: int, move: float, back: float, over: int) -> Moves:
        """Add a gap at one bar; ``back`` of it returns in the bodies of the next ``over`` bars."""
        gap, body = self.gap.copy(), self.body.copy()
        gap[:, bar] += move
        body[:, bar + 1 : bar + 1 + over] -= back * move / max(over, 1)
        return replace(self, gap=gap, body=body)

    def drifted(self, move: float, shares: Floats, *, by_range: bool) -> Moves:
        """Spread a move over bodies: by shares [bar], or by shares of each path's own ranges."""
        parts = np.broadcast_to(shares, self.gap.shape)
        if by_range:
            ranged = parts * (self.upper + self.lower + np.abs(self.body))
            parts = np.where(ranged.sum(axis=1, keepdims=True) > 0, ranged, parts)
        return replace(self, body=self.body + move * parts / parts.sum(axis=1, keepdims=True))

    def louder(self, times: Floats, reference: Moves, *, martingale: bool, slope: float) -> Moves:
        """Multiply moves [bar] around their means over a reference ensemble; volume follows by its slope.

        ``martingale``: the reference's mean close stays what it was at every bar, through the bodies.
        """
        out = self._around_mean(times, reference, slope)
        if not martingale:
            return out
        changed = reference._around_mean(times, reference, slope)
        growth = np.diff(np.log(reference.mean_close / changed.mean_close), prepend=0.0)
        return replace(out, body=out.body + growth)

    def _around_mean(self, times: Floats, reference: Moves, slope: float) -> Moves:
        gap, body = reference.gap.mean(axis=0), reference.body.mean(axis=0)
        still = times == 1.0  # to the last bit
        return Moves(
            np.where(still, self.gap, gap + times * (self.gap - gap)),
            np.where(still, self.body, body + times * (self.body - body)),
            times * self.upper,
            times * self.lower,
            self.volume + slope * np.log(times),
        )

    def with_volume(self, times: Floats) -> Moves:
        """Multiply volume [bar]; by 0 there is none."""
        with np.errstate(divide="ignore"):
            return replace(self, volume=self.volume + np.log(times))

    def spiked(self, bar: int, move: float) -> Moves:
        """Let one bar reach a price so far from the close before, by a wick; its open and close stay."""
        start, close = self.gap[:, bar], self.gap[:, bar] + self.body[:, bar]
        upper, lower = self.upper.copy(), self.lower.copy()
        if move < 0:
            lower[:, bar] = np.maximum(lower[:, bar], np.minimum(start, close) - move)
        elif move > 0:
            upper[:, bar] = np.maximum(upper[:, bar], move - np.maximum(start, close))
        return replace(self, upper=upper, lower=lower)

    def halted(self, first: int, stop: int, *, carry: bool) -> Moves:
        """Freeze bars at the close before, without volume; ``carry``: what they would have moved is the next gap."""
        gap, body, upper, lower, volume = (x.copy() for x in vars(self).values())
        missed = (gap + body)[:, first:stop].sum(axis=1)
        for values in (gap, body, upper, lower):
            values[:, first:stop] = 0.0
        volume[:, first:stop] = -np.inf
        if carry:
            gap[:, stop] += missed
        return Moves(gap, body, upper, lower, volume)

    def limited(self, limit: float, first: int, stop: int) -> Moves:
        """Clip prices to a band around the close before; what is cut off is owed to the next bars."""
        gap, body, upper, lower, volume = (x.copy() for x in vars(self).values())
        low_edge, high_edge = np.log1p(-limit), np.log1p(limit)
        owed = np.zeros(len(gap))
        for bar in range(first, min(stop, self.bars)):
            start = owed + gap[:, bar]
            close = start + body[:, bar]
            top, bottom = np.maximum(start, close) + upper[:, bar], np.minimum(start, close) - lower[:, bar]
            prices = np.stack((start, close, top, bottom))
            inside = np.clip(prices, low_edge, high_edge)
            changed = (inside != prices).any(axis=0) | (owed != 0)
            start, now, top, bottom = inside
            gap[:, bar] = np.where(changed, start, gap[:, bar])
            body[:, bar] = np.where(changed, now - start, body[:, bar])
            upper[:, bar] = np.where(changed, top - np.maximum(start, now), upper[:, bar])
            lower[:, bar] = np.where(changed, np.minimum(start, now) - bottom, lower[:, bar])
            volume[:, bar] += np.where(changed & (inside == start).all(axis=0), np.log(LOCKED_VOLUME), 0.0)
            owed = np.where(changed, close - now, 0.0)
        if stop < self.bars:
            gap[:, stop] += owed
        return Moves(gap, body, upper, lower, volume)


# --- TradingTerms ---


def dearer(terms: TradingTerms, paths: PathSet, times: Floats, slippage: Floats) -> TradingTerms:
    """Multiply the costs of orders by ``times`` [bar] and add a slippage, [bar] or [path, bar]."""
    shape = (len(paths), paths.horizon)
    before = 1.0 if terms.cost_times is None else terms.cost_times
    added = 0.0 if terms.slippage is None else terms.slippage
    return replace(
        terms, cost_times=np.broadcast_to(before * times, shape), slippage=np.broadcast_to(added + slippage, shape)
    )


def impact(paths: PathSet, setting: Setting) -> Floats:
    """Return each bar's log range over the root of its volume in units of the usual one [path, bar]."""
    high, low, volume = (paths.column(name).astype(np.float64) for name in ("high", "low", "volume"))
    relative = np.maximum(volume / setting.usual_volume, LEAST_VOLUME)
    return np.asarray(np.log(high / low) / np.sqrt(relative))


def closed(terms: TradingTerms, paths: PathSet, shut: Bools) -> TradingTerms:
    """Let every order wait at some bars [bar]."""
    shape = (len(paths), paths.horizon)
    return terms.banded(
        np.broadcast_to(np.where(shut, np.inf, 0.0), shape), np.broadcast_to(np.where(shut, 0.0, np.inf), shape)
    )


def limited(terms: TradingTerms, paths: PathSet, limit: float, inside: Bools) -> TradingTerms:
    """Let nobody buy at the upper limit or sell at the lower one at some bars [bar]."""
    close = paths.close.astype(np.float64)
    before = np.concatenate((np.full((len(paths), 1), paths.anchor_close), close[:, :-1]), axis=1)
    floor, ceiling = before * (1 - limit) * (1 + AT_THE_LIMIT), before * (1 + limit) * (1 - AT_THE_LIMIT)
    return terms.banded(np.where(inside, floor, 0.0), np.where(inside, ceiling, np.inf))


def misread(terms: TradingTerms, paths: PathSet, error: str, wrong: Bools, times: float) -> TradingTerms:
    """Let strategies see some bars wrongly [path, bar]; the bars themselves stay.

    Args:
        terms: so far; errors of data add up.
        paths: the bars as they are.
        error: ``bad_print``, ``swapped``, ``stale``, ``zero_volume`` or ``missing``.
        wrong: which bars.
        times: of a bad print.
    """
    seen = (paths.values if terms.seen is None else terms.seen).copy()
    high, low, close = seen[..., 1], seen[..., 2], seen[..., 3]  # views
    if error == "bad_print":
        close[wrong] *= np.float32(times)
        high[wrong], low[wrong] = np.maximum(high, close)[wrong], np.minimum(low, close)[wrong]
    elif error == "swapped":
        high[wrong], low[wrong] = low[wrong], high[wrong]
    elif error == "zero_volume":
        seen[wrong, 4:] = 0.0
    elif error == "missing":
        seen[wrong] = np.nan
    else:
        _stale(seen, wrong, paths.anchor_close)
    return replace(terms, seen=seen)


def _stale(seen: NDArray[np.float32], wrong: Bools, anchor: float) -> None:
    """Repeat the bar before, where there is one, else the last close of the context."""
    seen[wrong[:, 0], 0, :4] = anchor
    for bar in range(1, seen.shape[1]):
        seen[wrong[:, bar], bar] = seen[wrong[:, bar], bar - 1]
