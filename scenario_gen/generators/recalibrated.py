"""A generator that makes up for how it erred on the user's own market.

Owns what is kept of past forecasts, the fit, and the generator that applies it. A context is rescaled by forecasts
whose futures had ended when it ends, and by no later one: origin k of a calibration sees the origins before it, a run
sees all. Who makes the forecasts is not known here (:mod:`scenario_gen.forecasts.recalibrate`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.generators.base import (
    Advance,
    Generator,
    InUnits,
    Order,
    RelativePaths,
    Wrapper,
    ignore,
    ordered,
    sample_contexts,
    to_be_fitted,
)
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.rescaled import (
    DriftNeutral,
    Rescaled,
    Scaling,
    log_volatility,
    log_volume,
    rescale_ensemble,
)
from scenario_gen.market.candles import Candles, Scale
from scenario_gen.market.paths import PathSet
from scenario_gen.stats.knots import Knot, fit_knot
from scenario_gen.values import hash_of

STRETCHES = ((0, 1), (1, 5), (5, 20), (20, 60))  # bars of a knot; the last one may be cut to half of it
WITHOUT_RANGES = ((0, 5), (5, 20), (20, 60))  # the return of a single bar says too little of volatility


def stretches_of(horizon: int, *, ranged: bool) -> list[tuple[int, int]]:
    """Return the stretches that forecasts of so many bars can fit."""
    cut = [(start, stop, min(stop, horizon)) for start, stop in (STRETCHES if ranged else WITHOUT_RANGES)]
    return [(start, end) for start, stop, end in cut if 2 * (end - start) >= stop - start]


@dataclass(frozen=True)
class PastNumber:
    """Forecasts of one number beside what came, oldest origin first."""

    mean: list[float]  # of each forecast
    spread: list[float]  # standard deviation of each
    came: list[float]

    def knot(self, origins: int) -> Knot:
        """Fit the first so many origins."""
        return fit_knot(*(np.array(values[:origins]) for values in (self.mean, self.spread, self.came)))


@dataclass(frozen=True)
class PastForecasts:
    """What a generator forecast from past origins, and what came: all that a recalibration is fitted to."""

    horizon: int  # bars ahead
    paths: int  # of each forecast
    fewest: int  # origins below which nothing is fitted
    first: int  # origins that only fit; the forecasts after them may be judged
    ends: list[str]  # ISO stamps of the last bar of each future, oldest first
    stretches: list[tuple[int, int]]  # bars of each number: first, and after the last
    volatility: list[PastNumber]  # log volatility over each stretch
    volume: list[PastNumber]  # mean log volume over each stretch; empty where there is no volume
    ranged: bool  # whether log volatility looks at ranges

    def ended_by(self, stamps: pd.DatetimeIndex) -> NDArray[np.int64]:
        """Return how many of the futures had ended at each stamp."""
        ends = pd.to_datetime(self.ends, utc=True, format="ISO8601").as_unit("ns").asi8
        known = stamps.tz_localize("UTC") if stamps.tz is None else stamps.tz_convert("UTC")
        return np.asarray(np.searchsorted(ends, known.as_unit("ns").asi8, side="right"), dtype=np.int64)

    def fitted(self, origins: int) -> Scaling:
        """Fit the first so many origins.

        Raises:
            DataError: they are too few.
        """
        if origins < self.fewest:
            raise DataError(
                f"{origins} forecasts had ended to recalibrate on",
                expected=f"at least {self.fewest}",
                fix="bring a longer history, or set generator.recalibrate: false",
            )
        volatility, volume = ([number.knot(origins) for number in row] for row in (self.volatility, self.volume))
        return Scaling(self.stretches, volatility, volume, self.ranged)

    def sha256(self) -> str:
        """Return a hash of everything that decides a fit."""
        return hash_of(asdict(self))


@dataclass(frozen=True)
class Numbers:
    """Every number of one forecast as (mean, spread, came)."""

    volatility: list[tuple[float, float, float]]  # by stretch
    volume: list[tuple[float, float, float]]  # by stretch; empty where there is no volume

    @classmethod
    def of(cls, paths: PathSet, real: PathSet, scale: Scale, horizon: int, *, ranged: bool) -> Numbers:
        """Measure an ensemble and the one real future alike."""
        ours, theirs = RelativePaths.of(paths).steps, RelativePaths.of(real).steps
        volatility, volume = [], []
        for a, b in stretches_of(horizon, ranged=ranged):
            drawn, came = (log_volatility(x, a, b, scale.least_range, ranged=ranged) for x in (ours, theirs))
            volatility.append((float(drawn.mean()), float(drawn.std(ddof=1)), float(came[0])))
            if scale.usual_volume > 0 and "volume" in paths.fields:
                drawn, came = (log_volume(x, scale.usual_volume, a, b) for x in (paths, real))
                volume.append((float(drawn.mean()), float(drawn.std(ddof=1)), float(came[0])))
        return cls(volatility, volume)


def past_numbers(rows: Iterable[Sequence[tuple[float, float, float]]]) -> list[PastNumber]:
    """Return the numbers of many forecasts, from one list of (mean, spread, came) per forecast."""
    by_number = zip(*rows, strict=True)
    return [PastNumber(*(list(values) for values in zip(*number, strict=True))) for number in by_number]


@dataclass(frozen=True)
class Recalibrated:
    """A generator whose volatility and volume are corrected by how its past forecasts erred."""

    inner: Generator
    past: PastForecasts
    fits: dict[int, Rescaled] = field(default_factory=dict, compare=False, repr=False)  # by number of origins

    @property
    def identity(self) -> Mapping[str, Any]:
        """The inner generator's, the fit to all past forecasts, and a hash of these."""
        fit = {"past_sha256": self.past.sha256(), **asdict(self.past.fitted(len(self.past.ends)))}
        return {**self.inner.identity, "recalibrated": fit}

    @property
    def trained_until(self) -> str | None:
        """As of the inner generator."""
        return self.inner.trained_until

    def fitted_to(self, history: Candles) -> Recalibrated:
        """Return the same around the inner generator fitted to a history, where it is one to be fitted."""
        fitted = to_be_fitted(self.inner)
        return self if fitted is None else Recalibrated(fitted.fitted_to(history), self.past)

    def in_order(self, order: Order) -> Recalibrated:
        """Return the same around the inner generator with its uniforms in order."""
        return Recalibrated(ordered(self.inner).in_order(order), self.past)

    def cell_bounds(self, history: Candles) -> NDArray[np.float64]:
        """Return those of the inner generator, whose uniforms they are: real bars are not changed back."""
        return ordered(self.inner).cell_bounds(history)

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return the inner generator's paths, corrected by what was known when the context ends.

        Raises:
            DataError: too few forecasts had ended by then, or the inner generator refuses the context.
        """
        return self.at(context).sample(context, timestamps, draws, advance)

    def sample_many(
        self, contexts: Sequence[Candles], timestamps: Sequence[pd.DatetimeIndex], draws: Draws
    ) -> list[PathSet]:
        """Return one path set per context, each corrected by what was known when it ends."""
        ensembles = sample_contexts(self.inner, contexts, timestamps, draws)
        fits = [self.at(context) for context in contexts]
        return [
            rescale_ensemble(paths, fit.scaling, context, draws.seed, fit.record)
            for paths, fit, context in zip(ensembles, fits, contexts, strict=True)
        ]

    def at(self, context: Candles) -> Rescaled:
        """Return the generator as corrected by what was known when a context ends."""
        origins = int(self.past.ended_by(context.timestamps[-1:])[0])
        if origins not in self.fits:
            self.fits[origins] = Rescaled(self.inner, self.past.fitted(origins), {"recalibrated_on": origins})
        return self.fits[origins]


def past_of(generator: Generator) -> PastForecasts | None:
    """Return what a generator, or one inside it, is recalibrated by; None where nothing is."""
    if isinstance(generator, Recalibrated):
        return generator.past
    return past_of(generator.inner) if isinstance(generator, Wrapper) else None


def as_sampled(generator: Generator) -> Generator:
    """Return a generator without its recalibration, and all else around it as it was."""
    return _around(generator, lambda recalibrated: recalibrated.inner)


def with_as_sampled(generator: Generator) -> tuple[Generator, Generator]:
    """Return a recalibrated generator and the same as sampled, which share what the inner one samples.

    Asked for the same contexts with the same draws, one after the other, they sample (and fit) once; every path is as
    it would be without that.
    """
    kept: dict[bytes, list[PathSet]] = {}
    ours = _around(generator, lambda recalibrated: replace(recalibrated, inner=Remembering(recalibrated.inner, kept)))
    return ours, _around(generator, lambda recalibrated: Remembering(recalibrated.inner, kept))


def _around(generator: Generator, change: Callable[[Recalibrated], Generator]) -> Generator:
    """Return a generator with something else in the place of the recalibrated one inside it."""
    if isinstance(generator, Recalibrated):
        return change(generator)
    if isinstance(generator, Rescaled):
        return replace(generator, inner=_around(generator.inner, change), pilots={})
    return DriftNeutral(_around(generator.inner, change)) if isinstance(generator, DriftNeutral) else generator


def in_units_of(generator: Generator, context: Candles) -> Generator:
    """Return a generator, or one inside it, that reads contexts of these stamps in the units of this one."""
    if isinstance(generator, Recalibrated):
        return Recalibrated(in_units_of(generator.inner, context), generator.past)
    if isinstance(generator, Rescaled):
        return Rescaled(in_units_of(generator.inner, context), generator.scaling, generator.record)
    if isinstance(generator, DriftNeutral):
        return DriftNeutral(in_units_of(generator.inner, context))
    return generator.in_units_of(context) if isinstance(generator, InUnits) else generator


MOST_KEPT = 5_000_000  # bars of paths: 120 MB; what is beyond is sampled again


@dataclass(frozen=True)
class Remembering:
    """A generator whose ensembles are kept until they are asked for once more."""

    inner: Generator
    kept: dict[bytes, list[PathSet]] = field(compare=False, repr=False)  # by what decides them
    history: Candles | None = None  # that the inner generator is to be fitted to, where it is such a one

    @property
    def identity(self) -> Mapping[str, Any]:
        """As of the inner generator, whose paths they are."""
        return self.inner.identity

    @property
    def trained_until(self) -> str | None:
        """As of the inner generator."""
        return self.inner.trained_until

    def fitted_to(self, history: Candles) -> Remembering:
        """Return the same for a history; the inner generator is fitted to it when it has to sample."""
        return replace(self, history=history)

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return the inner generator's paths, which are not kept: a run samples once."""
        return self._fitted().sample(context, timestamps, draws, advance)

    def sample_many(
        self, contexts: Sequence[Candles], timestamps: Sequence[pd.DatetimeIndex], draws: Draws
    ) -> list[PathSet]:
        """Return the inner generator's paths, kept at the first time and given away at the second."""
        digest = hashlib.sha256(np.ascontiguousarray(draws.path_ids).tobytes())
        digest.update(f"{draws.seed} {0 if self.history is None else len(self.history)}".encode())
        for context, stamps in zip(contexts, timestamps, strict=True):
            digest.update(f"{context.sha256()} {stamps[0]} {stamps[-1]} {len(stamps)}".encode())
        key = digest.digest()
        if key in self.kept:
            return self.kept.pop(key)
        made = sample_contexts(self._fitted(), contexts, timestamps, draws)
        known = sum(paths.values[..., 0].size for ensembles in self.kept.values() for paths in ensembles)
        if known + sum(paths.values[..., 0].size for paths in made) <= MOST_KEPT:
            self.kept[key] = made
        return made

    def _fitted(self) -> Generator:
        fitted = to_be_fitted(self.inner)
        return self.inner if fitted is None or self.history is None else fitted.fitted_to(self.history)
