"""A generator whose law is known: AR(1)-GARCH(1, 1) candles with Gaussian shocks, drawn by one uniform or by cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr

from scenario_gen.generators.base import Advance, ignore, to_path_set
from scenario_gen.generators.draws import Draws
from scenario_gen.market import Candles
from scenario_gen.market.paths import PathSet

Floats = NDArray[np.float64]
SLOPE, OMEGA, ALPHA, BETA = 0.05, 4e-6, 0.08, 0.88  # daily: a standing volatility of 1 %
STANDING = OMEGA / (1 - ALPHA - BETA)


@dataclass(frozen=True)
class ArGarch:
    """Returns r_t = SLOPE r_(t-1) + s_t z_t of GARCH volatility; a second uniform draws the range.

    With ``tokens`` the shock is the mean of the cell that its uniform falls in, of so many, whose edges move.
    """

    tokens: int | None = None
    sorted_tokens: bool = True  # False: uniforms draw tokens in an order that is none
    ordered: bool = False

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"kind": "toy", "tokens": self.tokens, "sorted": self.sorted_tokens}

    @property
    def trained_until(self) -> None:
        return None

    def in_order(self, order: str) -> ArGarch:
        del order
        return replace(self, ordered=True)

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        uniforms = draws.uniforms(len(timestamps), 2)
        returns = np.empty(uniforms.shape[:2])
        past, variances = state_of(np.diff(np.log(context.close)))
        last, variance = np.full(len(returns), past[-1]), np.full(len(returns), variances[-1])
        for bar in range(returns.shape[1]):
            noise = np.sqrt(variance) * self.shocks(uniforms[:, bar, 0], last)
            returns[:, bar] = SLOPE * last + noise
            last, variance = returns[:, bar], OMEGA + ALPHA * noise**2 + BETA * variance
        return to_path_set(context, timestamps, draws, _steps(returns, uniforms[..., 1]), None, {"generator": "toy"})

    def shocks(self, uniforms: Floats, last: Floats) -> Floats:
        if self.tokens is None:
            return ndtri(np.clip(uniforms, 1e-12, 1 - 1e-12))
        cells = self.cells(uniforms, last)
        if not (self.sorted_tokens and self.ordered):  # another token of as much probability
            cells = (np.random.default_rng(5).permutation(self.tokens)[(cells[0] * self.tokens + 0.5).astype(int)])[
                None
            ] / self.tokens + np.array([[0.0], [1.0 / self.tokens]])
        heights = np.exp(-(ndtri(cells) ** 2) / 2) / np.sqrt(2 * np.pi)
        return (heights[0] - heights[1]) / (cells[1] - cells[0])

    def cells(self, uniforms: Floats, last: Floats) -> Floats:
        """Return between which uniforms the cell of each lies; those of sorted tokens move with the last return."""
        assert self.tokens is not None
        shift = (np.abs(last) * 1e4) % 1 if self.sorted_tokens and self.ordered else np.zeros_like(last)
        place = np.floor(uniforms * self.tokens + shift)
        return np.clip((np.stack((place, place + 1)) - shift) / self.tokens, 0, 1)

    def cell_bounds(self, history: Candles) -> Floats:
        returns = np.diff(np.log(history.close))
        last, variance = state_of(returns)
        first = ndtr((returns - SLOPE * last[:-1]) / np.sqrt(variance[:-1]))
        bounds = np.full((len(history), 2, 2), np.nan)
        cells = np.stack((first, first)) if self.tokens is None else self.cells(np.minimum(first, 1 - 1e-12), last[:-1])
        if self.tokens is not None and not self.sorted_tokens:
            drawn = np.argsort(np.random.default_rng(5).permutation(self.tokens))
            place = drawn[(cells[0] * self.tokens + 0.5).astype(int)]
            cells = np.stack((place, place + 1)) / self.tokens
        bounds[1:, 0] = cells.T
        wide = np.log(history.column("high") / history.column("low"))[1:] - np.abs(returns)
        bounds[1:, 1] = -np.expm1(-wide / 0.01)[:, None]
        bounds[:32] = np.nan
        return bounds


def state_of(returns: Floats) -> tuple[Floats, Floats]:
    """Return the return before each bar and after the last, and the variance there [bar + 1]."""
    last, variance = np.concatenate(([0.0], returns)), np.empty(len(returns) + 1)
    variance[0] = STANDING
    for bar, value in enumerate(returns):
        noise = value - SLOPE * last[bar]
        variance[bar + 1] = OMEGA + ALPHA * noise**2 + BETA * variance[bar]
    return last, variance


def _steps(returns: Floats, uniforms: Floats) -> Floats:
    """Return open, high, low and close as logs from the close before: no gap, exponential wicks of 1 % in all."""
    wicks = -0.005 * np.log1p(-np.minimum(uniforms, 1 - 1e-12))
    return np.stack(
        (np.zeros_like(returns), np.maximum(returns, 0) + wicks, np.minimum(returns, 0) - wicks, returns), axis=-1
    )


def made_histories(correlation: Floats, bars: int, seed: int, degrees: float | None = None) -> list[Candles]:
    """Return candles of several assets of the toy's law, their shocks coupled by a Gaussian or a t copula."""
    rng = np.random.default_rng(seed)
    size = len(correlation)
    z = rng.multivariate_normal(np.zeros(size), correlation, bars)
    if degrees is not None:
        z = ndtri(stdtr(degrees, z / np.sqrt(rng.chisquare(degrees, bars) / degrees)[:, None]))
    stamps = pd.bdate_range("2005-01-03", periods=bars + 1)
    histories = []
    for asset in range(size):
        returns, last, variance = np.empty(bars), 0.0, STANDING
        for bar in range(bars):
            noise = np.sqrt(variance) * z[bar, asset]
            returns[bar] = last = SLOPE * last + noise
            variance = OMEGA + ALPHA * noise**2 + BETA * variance
        steps = np.concatenate((np.zeros((1, 4)), _steps(returns, rng.random(bars))))
        close = np.cumsum(steps[:, 3])
        before = np.concatenate(([0.0], close[:-1]))
        values = 100 * np.exp(before[:, None] + steps)
        histories.append(Candles(stamps, values, ("open", "high", "low", "close"), name=f"asset{asset}"))
    return histories
