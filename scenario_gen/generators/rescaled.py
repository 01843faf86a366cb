"""Paths whose bars are rescaled: by location and noise on log volatility, bar by bar, around any generator.

The log steps of bar t of path i (gap, body, both wicks) are multiplied by s = exp(location(t) + e(t) u_it). Candles
stay valid, and gaps and wicks of zero stay zero. Location and e come from knots, one per stretch of the horizon, with
straight lines in ln t between; u is half constant over a path, half an AR(1) of half-life 10 bars. Volume is
multiplied alike, with knots of its own and the same u. The generator's mean growth is kept, through the body of the
bars: a pilot ensemble says what it is, and how volatile a forecast the generator makes from this context.

A dial of volatility is the case of one knot without noise. Where knots come from is not known here.

Below, drift-neutral paths: any generator with its expected gain taken out. The close of bar t is divided by the mean
of close[t] / anchor over a pilot ensemble. Buying and holding then earns nothing on average, whatever the generator
believes about the direction, and what a strategy earns is not the generator's drift. It goes through the bodies of the
bars: gaps and wicks stay, those of zero too (open and previous close divided by their own numbers would leave no bar
without a gap), and so do valid candles and clustering.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import log
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from scenario_gen.errors import DataError
from scenario_gen.generators.base import (
    Advance,
    Generator,
    Order,
    RelativePaths,
    ignore,
    ordered,
    sample_contexts,
    to_be_fitted,
)
from scenario_gen.generators.draws import Draws, plan_blocks, stream_uniforms
from scenario_gen.market.candles import Candles, Scale, shift_bodies
from scenario_gen.market.paths import Floats, PathSet
from scenario_gen.stats.knots import Knot

LASTING, HALF_LIFE = 0.5, 10.0  # share of the noise's variance that lasts for the path; bars that halve the rest
PERSISTENCE = 0.5 ** (1 / HALF_LIFE)
COUNTER = (0, 0, 0, 1)  # of the noise's Philox stream: 2^192 numbers after the sampler's own of the same path
LEAST_SQUARE = 1e-18  # stands for the mean square of returns that are all zero under the logarithm
LEAST_VOLUME = 1e-3  # of the usual volume: stands for none under the logarithm
PILOT_PATHS, PILOT_FIRST_ID = 256, 2**62 + 4096  # beyond every path of a run, and beside those of drift: neutral


def log_volatility(steps: Floats, start: int, stop: int, least: float, *, ranged: bool = True) -> Floats:
    """Return the log volatility of bars ``start`` to ``stop`` of each path [path].

    The mean of ln RV and of the mean log range; of one bar the log range alone; without ranges ln RV alone.

    Args:
        steps: log open, high, low and close from the close before [path, bar, 4].
        start: first bar.
        stop: the bar after the last.
        least: log range added before the logarithm, so that a bar without one has a number.
        ranged: whether ranges say anything.
    """
    part = steps[:, start:stop]
    volatility = 0.5 * np.log(np.maximum((part[..., 3] ** 2).mean(axis=1), LEAST_SQUARE))
    if not ranged:
        return np.asarray(volatility)
    ranges = np.log(part.max(axis=-1) - part.min(axis=-1) + least).mean(axis=1)  # as after the repair of a candle
    return np.asarray(ranges if stop - start == 1 else (volatility + ranges) / 2)


def log_volume(paths: PathSet, usual: float, start: int, stop: int) -> Floats:
    """Return the mean log of volume over usual volume of bars ``start`` to ``stop`` [path]."""
    relative = paths.column("volume")[:, start:stop].astype(np.float64) / usual
    return np.asarray(np.log(np.maximum(relative, LEAST_VOLUME)).mean(axis=1))


def unit_noise(draws: Draws, bars: int) -> Floats:
    """Return noise of variance 1 [path, bar] of each path's own stream; a longer horizon extends it."""
    uniforms = stream_uniforms(draws.seed, draws.path_ids, bars + 1, COUNTER)
    z = ndtri(uniforms.clip(1e-12, 1 - 1e-12))
    passing = np.empty((len(z), bars))
    passing[:, 0] = z[:, 1]
    for bar in range(1, bars):
        passing[:, bar] = PERSISTENCE * passing[:, bar - 1] + np.sqrt(1 - PERSISTENCE**2) * z[:, bar + 1]
    return np.asarray(LASTING**0.5 * z[:, :1] + (1 - LASTING) ** 0.5 * passing)


@cache
def variance_of_mean(bars: int) -> float:
    """Return the variance of the mean of the unit noise over so many bars."""
    place = np.arange(bars)
    return LASTING + (1 - LASTING) * float((PERSISTENCE ** np.abs(place[:, None] - place)).mean())


@dataclass(frozen=True)
class Scaling:
    """Knots by stretches of the horizon; no knot changes nothing."""

    stretches: list[tuple[int, int]] = field(default_factory=list)  # bars of each knot: first, and after the last
    knots: list[Knot] = field(default_factory=list)  # of log volatility, one per stretch
    volume: list[Knot] = field(default_factory=list)  # of log volume; none where volume stays
    ranged: bool = True  # whether log volatility looks at ranges

    @property
    def looks_ahead(self) -> bool:
        """Whether a bar is scaled by what comes after it: forecasts are made narrower by their whole last stretch."""
        return min((knot.width for knot in self.knots), default=1.0) < 1

    @classmethod
    def of_factor(cls, factor: float) -> Scaling:
        """Return what multiplies volatility by one number, everywhere."""
        return cls([(0, 1)], [Knot(location=log(factor))])

    def within(self, horizon: int) -> list[tuple[int, int]]:
        """Return the stretches that begin within a horizon, cut to it."""
        return [(start, min(stop, horizon)) for start, stop in self.stretches if start < horizon]

    def volatilities(self, steps: Floats, least: float) -> Floats:
        """Return the log volatility of each path over each stretch [stretch, path]."""
        rows = [log_volatility(steps, a, b, least, ranged=self.ranged) for a, b in self.within(steps.shape[1])]
        return np.array(rows).reshape(len(rows), len(steps))

    def log_scales(self, means: Sequence[float], noise: Floats, off: Floats) -> Floats:
        """Return ln s [path, bar] of log volatility.

        Noise within a stretch raises ln RV by half its variance there and ranges not at all: location makes up for it.

        Args:
            means: mean log volatility of the generator's forecast over each stretch within the horizon.
            noise: unit noise [path, bar].
            off: log volatility of each path over the last stretch, less the forecast's mean [path].
        """
        location, deviation = self._lines(self.knots, means, noise.shape[1], 0.5 if self.ranged else 1.0)
        out = location + deviation * noise
        if self.looks_ahead:
            width = self._line([log(knot.width) for knot in self.knots[: len(means)]], noise.shape[1])
            out += np.expm1(width) * off[:, None]
        return out

    def log_volume_scales(self, means: Sequence[float], noise: Floats) -> Floats:
        """Return by how much log volume changes [path, bar]."""
        location, deviation = self._lines(self.volume, means, noise.shape[1], 0.0)
        return location + deviation * noise

    def _lines(self, knots: Sequence[Knot], means: Sequence[float], bars: int, raised: float) -> tuple[Floats, Floats]:
        """Return location and deviation of the noise at each bar [bar] twice."""
        locations, deviations = [], []
        for knot, mean, (start, stop) in zip(knots, means, self.stretches, strict=False):  # a short horizon has fewer
            location, variance = knot.at(mean)
            lasting = variance_of_mean(stop - start)
            each = variance / lasting  # of one bar, so that the mean over the stretch has the variance
            inside = each * (1 - lasting) if stop - start > 1 else 0.0
            locations.append(location - raised * inside)
            deviations.append(each**0.5)
        return self._line(locations, bars), self._line(deviations, bars)

    def _line(self, values: Sequence[float], bars: int) -> Floats:
        """Return values of the knots at every bar: straight in ln t between knots, flat beyond [bar]."""
        if not len(values):
            return np.zeros(bars)
        at = [0.5 * log((start + 1) * stop) for start, stop in self.stretches[: len(values)]]
        return np.interp(np.log(np.arange(1, bars + 1)), at, values)


@dataclass(frozen=True)
class EnsembleLevel:
    """What an ensemble says of a generator's forecast from one context."""

    volatility: Floats  # mean log volatility [stretch]
    volume: Floats  # mean log volume [stretch]; none without volume
    growth: Floats  # by how much to multiply the mean close so that the generator's own stays [bar]


@dataclass(frozen=True)
class Rescaled:
    """A generator whose bars are rescaled.

    The pilot depends on context, stamps and seed alone, so that path 17 is the same in any number of paths.
    """

    inner: Generator
    scaling: Scaling
    record: Mapping[str, Any]  # what the identity says of them
    pilots: dict[tuple[str, int, int], EnsembleLevel] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def louder(cls, inner: Generator, factor: float) -> Rescaled:
        """Return a generator whose volatility is multiplied, its shapes and its drift as they were."""
        return cls(inner, Scaling.of_factor(factor), {"volatility": factor})

    @property
    def identity(self) -> Mapping[str, Any]:
        """The inner generator's, and what rescales it."""
        return {**self.inner.identity, **self.record}

    @property
    def trained_until(self) -> str | None:
        """As of the inner generator."""
        return self.inner.trained_until

    def fitted_to(self, history: Candles) -> Rescaled:
        """Return the same around the inner generator fitted to a history, where it is one to be fitted."""
        fitted = to_be_fitted(self.inner)
        return self if fitted is None else Rescaled(fitted.fitted_to(history), self.scaling, self.record)

    def in_order(self, order: Order) -> Rescaled:
        """Return the same around the inner generator with its uniforms in order."""
        return Rescaled(ordered(self.inner).in_order(order), self.scaling, self.record)

    def cell_bounds(self, history: Candles) -> NDArray[np.float64]:
        """Return those of the inner generator, whose uniforms they are: real bars are not changed back."""
        return ordered(self.inner).cell_bounds(history)

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return the inner generator's paths rescaled; the same errors are raised."""
        level = self.level(context, timestamps, draws.seed)
        paths = self.inner.sample(context, timestamps, draws, advance)
        return rescale(paths, self.scaling, level, Scale.of(context), draws.seed, self.record)

    def level(self, context: Candles, timestamps: pd.DatetimeIndex, seed: int) -> EnsembleLevel:
        """Return what the pilot of a seed says of the inner generator's forecast; the same errors are raised."""
        key = (context.sha256(), len(timestamps), seed)
        if key not in self.pilots:
            pilot = self.inner.sample(context, timestamps, Draws.block(seed, PILOT_FIRST_ID, PILOT_PATHS))
            self.pilots[key] = level_of(pilot, self.scaling, Scale.of(context), seed)
        return self.pilots[key]

    def sample_many(
        self, contexts: Sequence[Candles], timestamps: Sequence[pd.DatetimeIndex], draws: Draws
    ) -> list[PathSet]:
        """Return one path set per context, each its own pilot: for many small ensembles."""
        ensembles = sample_contexts(self.inner, contexts, timestamps, draws)
        return [
            rescale_ensemble(paths, self.scaling, context, draws.seed, self.record)
            for paths, context in zip(ensembles, contexts, strict=True)
        ]


def rescale_ensemble(
    paths: PathSet, scaling: Scaling, context: Candles, seed: int, record: Mapping[str, Any]
) -> PathSet:
    """Rescale an ensemble that is its own pilot."""
    scale = Scale.of(context)
    return rescale(paths, scaling, level_of(paths, scaling, scale, seed), scale, seed, record)


def level_of(pilot: PathSet, scaling: Scaling, scale: Scale, seed: int) -> EnsembleLevel:
    """Read a forecast's level off an ensemble; paths without prices are left out.

    Raises:
        DataError: no path is left.
    """
    sound = pilot.select(pilot.path_ids[RelativePaths.of(pilot).sound])
    if not len(sound):
        raise DataError(f"none of {len(pilot)} paths has prices", expected="a generator that samples some")
    relative = RelativePaths.of(sound)
    volatility = scaling.volatilities(relative.steps, scale.least_range)
    volume = _volumes(sound, scaling, scale)
    level = EnsembleLevel(volatility.mean(axis=1), volume.mean(axis=1), np.ones(pilot.horizon))
    scaled = rescale(sound, scaling, level, scale, seed, {})
    kept, changed = (paths.close.astype(np.float64).mean(axis=0) for paths in (sound, scaled))
    return EnsembleLevel(level.volatility, level.volume, kept / changed)


def rescale(
    paths: PathSet, scaling: Scaling, level: EnsembleLevel, scale: Scale, seed: int, record: Mapping[str, Any]
) -> PathSet:
    """Multiply the log steps of every bar, and its volume.

    Args:
        paths: of a generator, with the ids that their noise is drawn for.
        scaling: by how much.
        level: of the generator's forecast.
        scale: units of the context.
        seed: of the noise.
        record: to be added to the provenance.
    """
    relative = RelativePaths.of(paths)
    noise = unit_noise(Draws(seed, paths.path_ids), paths.horizon)
    measured = scaling.volatilities(relative.steps, scale.least_range)
    off = measured[-1] - level.volatility[-1] if len(measured) else np.zeros(len(paths))
    log_scale = scaling.log_scales(level.volatility.tolist(), noise, off)
    steps = relative.steps * np.exp(log_scale)[..., None]
    steps = shift_bodies(steps, np.diff(np.log(level.growth), prepend=0.0))
    volume = scaling.log_volume_scales(level.volume.tolist(), noise) if len(level.volume) else None
    return relative.chained(steps, record, volume)


def _volumes(paths: PathSet, scaling: Scaling, scale: Scale) -> Floats:
    """Return the mean log volume of each path over each stretch [stretch, path]; no rows where volume stays."""
    if not scaling.volume or "volume" not in paths.fields or scale.usual_volume <= 0:
        return np.empty((0, len(paths)))
    return np.array([log_volume(paths, scale.usual_volume, a, b) for a, b in scaling.within(paths.horizon)])


# --- Drift-neutral paths: any generator with its expected gain taken out ---


DRIFT_PILOTS = 1024  # the drift that stays is what these cannot tell from zero: a 32nd of a path's deviation
DRIFT_PILOT_BLOCK = 256
DRIFT_PILOT_ID = 2**62  # beyond every path id of a run


@dataclass(frozen=True)
class Pilot:
    """The mean of close / anchor over a pilot ensemble."""

    growth: NDArray[np.float64]  # per bar [bar]
    error: float  # standard error of the last one

    @classmethod
    def of(cls, closes: NDArray[np.floating[Any]], anchor: float) -> Pilot:
        """Read the growth off closes [path, bar]."""
        usable = (np.isfinite(closes) & (closes > 0)).all(axis=1)  # the others are dropped from a run, too
        relative = closes[usable].astype(np.float64) / anchor
        spread = relative[:, -1].std(ddof=1) if len(relative) > 1 else np.nan
        return cls(relative.mean(axis=0), float(spread / np.sqrt(len(relative))))

    @property
    def drift_against(self) -> NDArray[np.float64]:
        """What each bar is to gain more, so that nothing is left of the growth, log units [bar]."""
        return -np.diff(np.log(self.growth), prepend=0.0)


@dataclass(frozen=True)
class DriftNeutral:
    """A generator whose paths are divided, bar by bar, by the mean growth of a pilot ensemble.

    The pilot depends on context, stamps and seed alone, so that path 17 is the same in any number of paths.
    """

    inner: Generator
    pilots: dict[tuple[str, int, int], Pilot] = field(default_factory=dict, compare=False, repr=False)

    @property
    def identity(self) -> Mapping[str, Any]:
        """The inner generator's, and that drift is taken out."""
        return {**self.inner.identity, "drift": "neutral"}

    @property
    def trained_until(self) -> str | None:
        """As of the inner generator."""
        return self.inner.trained_until

    def fitted_to(self, history: Candles) -> DriftNeutral:
        """Return the same around the inner generator fitted to a history, where it is one to be fitted."""
        fitted = to_be_fitted(self.inner)
        return self if fitted is None else DriftNeutral(fitted.fitted_to(history))

    def in_order(self, order: Order) -> DriftNeutral:
        """Return the same around the inner generator with its uniforms in order."""
        return DriftNeutral(ordered(self.inner).in_order(order))

    def cell_bounds(self, history: Candles) -> NDArray[np.float64]:
        """Return those of the inner generator, whose uniforms they are: real bars are not changed back."""
        return ordered(self.inner).cell_bounds(history)

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return the inner generator's paths without their expected growth; the same errors are raised."""
        pilot = self.pilot(context, timestamps, draws.seed)
        return neutralise(self.inner.sample(context, timestamps, draws, advance), pilot)

    def pilot(self, context: Candles, timestamps: pd.DatetimeIndex, seed: int) -> Pilot:
        """Return the growth that is taken out of the paths of a seed; the same errors are raised."""
        key = (context.sha256(), len(timestamps), seed)
        if key not in self.pilots:
            self.pilots[key] = self._pilot(context, timestamps, seed)
        return self.pilots[key]

    def sample_many(
        self, contexts: Sequence[Candles], timestamps: Sequence[pd.DatetimeIndex], draws: Draws
    ) -> list[PathSet]:
        """Return one path set per context, each rid of its own mean growth: for many small ensembles."""
        ensembles = sample_contexts(self.inner, contexts, timestamps, draws)
        return [neutralise(paths, Pilot.of(paths.close, paths.anchor_close)) for paths in ensembles]

    def _pilot(self, context: Candles, timestamps: pd.DatetimeIndex, seed: int) -> Pilot:
        closes = []
        for block in plan_blocks(DRIFT_PILOTS, DRIFT_PILOT_BLOCK):
            draws = Draws.block(seed, DRIFT_PILOT_ID + block.start, block.size)
            closes.append(self.inner.sample(context, timestamps, draws).close)
        return Pilot.of(np.concatenate(closes), float(context.close[-1]))


def neutralise(paths: PathSet, pilot: Pilot) -> PathSet:
    """Divide the close of bar t by the pilot's growth there, through the bodies; volume stays."""
    relative = RelativePaths.of(paths)
    drift = pilot.drift_against
    record = {
        "drift": "neutral",
        "growth_removed": round(float(pilot.growth[-1]) - 1.0, 6),
        "growth_error": round(pilot.error, 6),
    }
    return relative.chained(shift_bodies(relative.steps, drift), record)
