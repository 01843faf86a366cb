"""Filtered historical simulation of whole candles, driven by a recursion of the variance.

Barone-Adesi, Giannopoulos and Vosper 1999, "VaR without correlations for portfolios of derivative securities":
past bars are divided by the volatility that stood before them, drawn again with replacement, and multiplied by the
volatility that each path has reached. Here the whole bar is drawn and scaled (gap, both wicks and body), so every
candle is valid by construction and its volume travels with it.

:class:`FilteredPaths` is the exponentially weighted (RiskMetrics) form on the context alone. Its variance has no
level to return to, and its median fades over long horizons: :class:`GarchPaths` has one.

GARCH and GJR-GARCH are the fitted forms, with a volatility that clusters and returns to its level.
The volatility is fitted by maximum likelihood with Student's t innovations and a mean of zero (arch package), to
the bars that end with the context: up to ``fit_bars`` of them, because 250 bars hardly identify a GARCH model. Over 60
forecasts of 20 bars the CRPS of log volatility is .232, .227, .236, .235 for 500, 1000, 2000 and 4000 bars on the S&P
500 and .242, .263, .265, .253 on hourly bitcoin (exponentially weighted: .255 and .272): no length is best on both.

The innovations are not drawn from the t distribution but from the fitted bars themselves, whole candles divided by
their own fitted volatility (Barone-Adesi, Giannopoulos and Vosper 1999). Their mean is left in: it is the drift, in
units of volatility. A drawn bar's volume is its volume over the usual volume of its time, times that of today.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter

from scenario_gen.errors import DataError
from scenario_gen.generators.base import Advance, ignore, relative_bars, require_bars, require_movement, to_path_set
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.walks import BarTail, ChainWalk, DrawnTail
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import Floats, PathSet
from scenario_gen.progress import one_blas_thread

WARM_UP = 10  # bars whose mean square starts the recursion; they are not resampled themselves
# A bar's variance is expected to grow by so much a bar: one of some 50 deviations among 256 does that to EWMA. Drawn
# twice, such a bar makes paths of a million times the anchor; real markets, crashes included, stay below 1.1.
EXPLOSIVE = 1.5
FLOOR = 0.1  # of the root mean square return: a stretch without trade must not make the next bar a giant


@dataclass(frozen=True)
class VarianceRecursion:
    """The variance of the next bar: h' = omega + (alpha + gamma [r < 0]) r^2 + beta h.

    Covers the running (EWMA) variance with omega = gamma = 0, GARCH(1, 1) with gamma = 0 (Bollerslev 1986) and
    GJR-GARCH (Glosten, Jagannathan and Runkle 1993).
    """

    omega: float
    alpha: float
    gamma: float
    beta: float

    def news(self, returns: Floats) -> Floats:
        """Return what each return adds to the next variance, omega included."""
        return np.asarray(self.omega + (self.alpha + self.gamma * (returns < 0)) * returns**2)

    def step(self, variance: Floats, returns: Floats) -> Floats:
        """Return the next bar's variance [path]."""
        return np.asarray(self.news(returns) + self.beta * variance)

    def filter(self, returns: Floats, start: float) -> Floats:
        """Return the variance [T + 1] that stood before each return [T], and the one after the last."""
        after, _ = lfilter([1.0], [1.0, -self.beta], self.news(returns), zi=[self.beta * start])
        return np.concatenate(([start], after))

    def persistence(self, shocks: Floats) -> float:
        """Return how much of a variance is expected to be left a bar later, under resampled shocks."""
        return float(self.alpha * np.mean(shocks**2) + self.gamma * np.mean(shocks**2 * (shocks < 0)) + self.beta)


@dataclass(frozen=True)
class FilteredBars:
    """Bars in units of the volatility before them, and what is needed to let them run on."""

    units: Floats  # open, high, low, close relative to the previous close, over the volatility [bar, 4]
    recursion: VarianceRecursion  # of the variance
    variance: float  # of the next bar

    def simulate(self, uniforms: Floats) -> tuple[Floats, NDArray[np.int64]]:
        """Return relative bars [path, bar, 4] and which bar each was made of, from uniforms [path, bar]."""
        drawn = np.empty(uniforms.shape, dtype=np.int64)
        bars = np.empty((*uniforms.shape, 4))
        variance = np.full(len(uniforms), self.variance)
        for bar in range(uniforms.shape[1]):
            bars[:, bar], drawn[:, bar], variance = self.next_bar(variance, uniforms[:, bar])
        return bars, drawn

    def next_bar(self, variance: Floats, uniforms: Floats) -> tuple[Floats, NDArray[np.int64], Floats]:
        """Return a bar [path, 4], which it was made of, and the variance after, from the variance before it [path]."""
        drawn = (uniforms * len(self.units)).astype(np.int64)
        bars = np.sqrt(variance)[:, None] * self.units[drawn]
        return bars, drawn, self.recursion.step(variance, bars[:, 3])

    def walk(self, context: Candles, bars: int, rows: int, volume: Floats | None) -> ChainWalk:
        """Return paths before their first bar, each bar with the volume of what it was made of."""

        def next_bar(variance: Floats, uniforms: Floats) -> tuple[Floats, Floats | None, Floats]:
            steps, drawn, after = self.next_bar(variance, uniforms[:, 0])
            return steps, None if volume is None else volume[drawn], after

        def tail(sign: float) -> BarTail:
            return DrawnTail.of(sign * self.units[:, 3])

        return ChainWalk.start(context, bars, rows, 1, next_bar, state=self.variance, tail=tail)


@dataclass(frozen=True)
class FilteredPaths:
    """EWMA filtered historical simulation of the context's own candles."""

    decay: float = 0.94  # of the running variance; .94 is RiskMetrics' for daily bars (J.P. Morgan 1996)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Kind and decay."""
        return {"kind": "fhs", "decay": self.decay}

    @property
    def trained_until(self) -> None:
        """None: it is fitted to the context alone."""

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return paths float32 [path, bar, field]; fields as the context's, without amount.

        Raises:
            DataError: the context is shorter than 32 bars, never moves, or moves after a standstill by so many of its
                deviations that resampling the move would explode.
        """
        filtered, volume = self._filtered(context)
        bars, drawn = filtered.simulate(draws.uniforms(len(timestamps), 1)[..., 0])
        advance(len(timestamps))
        drawn_volume = None if volume is None else volume[drawn]
        return to_path_set(context, timestamps, draws, bars, drawn_volume, {"generator": "fhs", "decay": self.decay})

    def start(self, context: Candles, timestamps: pd.DatetimeIndex, rows: int) -> ChainWalk:
        """Return paths before their first bar; the same errors are raised."""
        filtered, volume = self._filtered(context)
        return filtered.walk(context, len(timestamps), rows, volume)

    def _filtered(self, context: Candles) -> tuple[FilteredBars, Floats | None]:
        """Return the context's bars in units of their volatility, and the volume of each."""
        require_bars(context)
        require_movement(context)
        relative, volume = relative_bars(context)
        filtered = filter_bars(relative, VarianceRecursion(0.0, 1.0 - self.decay, 0.0, self.decay))
        _refuse_explosion(filtered)
        return filtered, None if volume is None else volume[WARM_UP:]


def _refuse_explosion(filtered: FilteredBars) -> None:
    shocks = filtered.units[:, 3]
    growth = filtered.recursion.persistence(shocks)
    if growth > EXPLOSIVE:
        raise DataError(
            f"a close of the context moves by {np.abs(shocks).max():.0f} of the deviations before it: drawn again, "
            f"such moves multiply the variance by {growth:.2f} a bar",
            expected=f"a context whose running volatility foresees its moves (at most {EXPLOSIVE:g} a bar)",
            fix="choose another data.end or a longer bars.context, or take bootstrap, which draws bars as they are",
        )


def filter_bars(relative: Floats, recursion: VarianceRecursion) -> FilteredBars:
    """Divide relative bars [T, 4] by their running volatility; the first ten only start the recursion."""
    returns = relative[:, 3]
    start = float(np.mean(returns[:WARM_UP] ** 2))
    floor = FLOOR**2 * float(np.mean(returns**2))
    variance = np.maximum(recursion.filter(returns[WARM_UP:], start), floor)
    return FilteredBars(relative[WARM_UP:] / np.sqrt(variance[:-1, None]), recursion, float(variance[-1]))


# --- GARCH and GJR-GARCH filtered historical simulation: a volatility that clusters and returns to its level ---


FEWEST = 250  # bars: the model is not identified by fewer
USUAL_VOLUME_DECAY = 0.97  # of the running mean of volume: half of it is some twenty bars old
# Tried in turn until the optimiser converges: arch's own start, then typical daily fits.
STARTS = (None, (0.05, 0.05, 0.90), (0.02, 0.03, 0.95), (0.10, 0.15, 0.75))


@dataclass(frozen=True)
class GarchFit:
    """A fitted volatility with the bars to draw from."""

    filtered: FilteredBars  # the fitted bars in units of their volatility, the recursion, and the next bar's variance
    # each bar's volume over the usual volume of its time, times today's usual volume [bar]; None without volume
    volume: Floats | None
    log_likelihood: float  # of the fit, in arch's scaled units
    bars: int  # how many returns were fitted
    last_bar: pd.Timestamp  # stamp of the last one; the context must end with it
    sha256: str  # of the fitted bars

    @property
    def record(self) -> dict[str, Any]:
        """Parameters and persistence, for a result's provenance."""
        recursion = self.filtered.recursion
        return {
            "alpha": round(recursion.alpha, 6),
            "gamma": round(recursion.gamma, 6),
            "beta": round(recursion.beta, 6),
            "persistence": round(recursion.persistence(self.filtered.units[:, 3]), 6),
            "fitted_bars": self.bars,
        }


@dataclass(frozen=True)
class GarchPaths:
    """Candles of the past, scaled by a fitted GARCH volatility."""

    asymmetric: bool = False  # let falls raise the volatility more than rises (GJR)
    fit_bars: int = 1000  # how many bars to fit to at most, ending with the context
    # made by :meth:`fitted_to`; without it every call of ``sample`` fits the context that it is given
    fit: GarchFit | None = None

    @property
    def kind(self) -> str:
        """Name in a spec."""
        return "gjr" if self.asymmetric else "garch"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Kind, bars to fit, and a hash of the bars that were fitted."""
        fitted = {} if self.fit is None else {"fitted_sha256": self.fit.sha256}
        return {"kind": self.kind, "fit_bars": self.fit_bars, **fitted}

    @property
    def trained_until(self) -> None:
        """None: it is fitted to nothing later than the context."""

    def fitted_to(self, history: Candles) -> GarchPaths:
        """Return the generator fitted to the last ``fit_bars`` bars of a history that ends with the context.

        Raises:
            DataError: fewer than 250 bars, bars that never move, or a fit that does not converge.
        """
        return replace(self, fit=fit_garch(history, asymmetric=self.asymmetric, most=self.fit_bars))

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return paths float32 [path, bar, field]; fields as the context's, without amount.

        Raises:
            DataError: there is no fit yet and the context cannot be fitted (see :meth:`fitted_to`).
            ValueError: the fit was made for a context that ends elsewhere.
        """
        fit = self._fit_of(context)
        bars, drawn = fit.filtered.simulate(draws.uniforms(len(timestamps), 1)[..., 0])
        advance(len(timestamps))
        volume = None if fit.volume is None else fit.volume[drawn]
        return to_path_set(
            context, timestamps, draws, bars, volume, {"generator": self.kind, **self.identity, **fit.record}
        )

    def start(self, context: Candles, timestamps: pd.DatetimeIndex, rows: int) -> ChainWalk:
        """Return paths before their first bar; the same errors are raised."""
        fit = self._fit_of(context)
        return fit.filtered.walk(context, len(timestamps), rows, fit.volume)

    def _fit_of(self, context: Candles) -> GarchFit:
        fit = self.fit or fit_garch(context, asymmetric=self.asymmetric, most=self.fit_bars)
        if fit.last_bar != context.timestamps[-1]:
            raise ValueError(f"fitted up to {fit.last_bar}, but the context ends at {context.timestamps[-1]}")
        return fit


def fit_garch(history: Candles, *, asymmetric: bool, most: int) -> GarchFit:
    """Fit GARCH(1, 1), or GJR where asymmetric, to the last ``most`` returns of a history.

    Raises:
        DataError: fewer than 250 bars, bars that never move, or no start from which the fit converges.
    """
    bars = history.rows(max(0, len(history) - most - 1), len(history))
    if len(bars) < FEWEST:
        raise DataError(
            f"a GARCH model is to be fitted to {len(bars)} bars",
            expected=f"at least {FEWEST} bars up to the context's end",
            fix="bring a longer history, or take fhs or bootstrap, which need 32",
        )
    require_movement(bars)
    relative, volume = relative_bars(bars)
    recursion, deviation, likelihood = _maximum_likelihood(relative[:, 3], asymmetric)
    after = recursion.step(deviation[-1:] ** 2, relative[-1:, 3])
    return GarchFit(
        filtered=FilteredBars(relative / deviation[:, None], recursion, float(after[0])),
        volume=None if volume is None else _todays_volume(volume),
        log_likelihood=likelihood,
        bars=len(relative),
        last_bar=bars.timestamps[-1],
        sha256=hashlib.sha256(bars.sha256().encode()).hexdigest(),
    )


def _maximum_likelihood(returns: Floats, asymmetric: bool) -> tuple[VarianceRecursion, Floats, float]:
    """Return the recursion, each return's fitted standard deviation [T], and the log likelihood."""
    from arch import arch_model  # slow to import

    unit = float(np.sqrt(np.mean(returns**2)))  # the optimiser wants numbers near one
    model = arch_model(returns / unit, mean="Zero", vol="GARCH", p=1, o=int(asymmetric), q=1, dist="t", rescale=False)
    for start in STARTS:
        with one_blas_thread():  # the last digits of a fit hang on how many add up
            result = model.fit(disp="off", show_warning=False, starting_values=_start(start, asymmetric))
        parameters = result.params.to_numpy()
        deviation = np.asarray(result.conditional_volatility, dtype=np.float64)
        if result.convergence_flag == 0 and np.isfinite(parameters).all() and (deviation > 0).all():
            named = result.params
            recursion = VarianceRecursion(
                float(named["omega"]) * unit**2,
                float(named["alpha[1]"]),
                float(named["gamma[1]"]) if asymmetric else 0.0,
                float(named["beta[1]"]),
            )
            return recursion, deviation * unit, float(result.loglikelihood)
    raise DataError(
        f"the {'GJR' if asymmetric else 'GARCH'} fit to {len(returns)} returns does not converge from any of "
        f"{len(STARTS)} starting points",
        expected="returns whose volatility clusters, without long stretches that do not move",
        fix="change fit_bars, move data.end, or take fhs or bootstrap",
    )


def _start(start: tuple[float, float, float] | None, asymmetric: bool) -> Floats | None:
    """Return starting values in arch's order: omega, alpha, gamma where there is one, beta, degrees of freedom."""
    if start is None:
        return None
    omega, alpha, beta = start
    return np.array([omega, alpha / 2, alpha, beta, 6.0] if asymmetric else [omega, alpha, beta, 6.0])


def _todays_volume(volume: Floats) -> Floats:
    """Return volume [T] over the running mean of the bars before, times the running mean at the end.

    A market's usual volume drifts by a multiple over some years; a bar drawn from then should be as busy relative
    to today as it was relative to its own time. Without any volume before, it counts as usual.
    """
    start = float(volume[: max(1, int(1 / (1 - USUAL_VOLUME_DECAY)))].mean())
    weights = ([1.0 - USUAL_VOLUME_DECAY], [1.0, -USUAL_VOLUME_DECAY])
    after, _ = lfilter(*weights, volume, zi=[USUAL_VOLUME_DECAY * start])
    usual = np.concatenate(([start], after))
    share = np.divide(volume, usual[:-1], out=np.ones_like(volume), where=usual[:-1] > 0)
    return np.asarray(share * usual[-1])
