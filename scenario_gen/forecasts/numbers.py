"""THE list of numbers that are read off a path, and what is kept of an ensemble beside what came.

One entry adds a number: every test, table and figure iterates the list. All are read off log prices relative to the
anchor, so that real futures and generated paths are measured alike. Terminal returns alone prefer too little
volatility (Pinson and Tastu 2013; Scheuerer and Hamill 2015): the list asks for volatility, extremes, ranges, their
clustering and volume as well. Which generator made the paths, and where the history is from, is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from scenario_gen.forecasts.exceedances import NEXT_BAR, TAILS, VAR_LEVELS, Tail, TailLosses, excess, tail_losses
from scenario_gen.market.candles import Candles, Scale
from scenario_gen.market.paths import PathSet
from scenario_gen.stats.ranks import fair_crps, fair_energy_score, largest_deviation, pit, variogram_score

Floats = NDArray[np.float64]

LEAST = 1e-9  # stands for a volatility or a price of zero under a logarithm
LEAST_VOLUME = 1e-3  # of the usual volume: stands for none under the logarithm
NO_RANGE = 0.05  # share of context bars without a range from which ranges say nothing


@dataclass(frozen=True)
class LogPaths:
    """Paths, or the one real future, as logs."""

    close: Floats  # log close over the anchor, the anchor's 0 first [path, bar + 1]
    high: Floats  # log high over the anchor [path, bar]
    low: Floats  # log low over the anchor [path, bar]
    log_range: Floats  # log of the bar's log range [path, bar]
    log_volume: Floats | None  # log of volume over the usual volume [path, bar]; None without volume

    @classmethod
    def of(cls, paths: PathSet, scale: Scale) -> LogPaths:
        """Take logs of a path set; a price that is not positive counts as next to nothing, and is no number's NaN."""
        logs = {
            name: np.log(np.maximum(paths.column(name).astype(np.float64) / paths.anchor_close, LEAST))
            for name in ("high", "low", "close")
        }
        spread = np.maximum(logs["high"] - logs["low"], 0.0)
        volume = None
        if "volume" in paths.fields and scale.usual_volume > 0:
            relative = paths.column("volume").astype(np.float64) / scale.usual_volume
            volume = np.log(np.maximum(relative, LEAST_VOLUME))
        return cls(
            close=np.concatenate((np.zeros((len(paths), 1)), logs["close"]), axis=1),
            high=logs["high"],
            low=logs["low"],
            log_range=np.log(spread + scale.least_range),
            log_volume=volume,
        )

    @property
    def returns(self) -> Floats:
        """Log returns [path, bar]."""
        return np.diff(self.close, axis=1)


@dataclass(frozen=True)
class Functional:
    """One number per path."""

    id: str  # short name, stable in files
    title: str  # in words
    of: Callable[[LogPaths], Floats]  # computes it [path]
    min_bars: int = 1  # shortest horizon at which it says something that no other of the list says
    needs: str = ""  # "", "range" or "volume": what the history must have
    calibrated: bool = True  # False: of checkpoints alone, which forecast 60 bars


def log_realised_volatility(paths: LogPaths) -> Floats:
    """Return ln sqrt(mean r^2) [path]."""
    return np.asarray(0.5 * np.log(np.maximum(np.mean(paths.returns**2, axis=1), LEAST**2)))


def max_drawdown(paths: LogPaths) -> Floats:
    """Return the deepest fall of the log close from its running maximum, anchor included, >= 0 [path]."""
    return np.asarray((np.maximum.accumulate(paths.close, axis=1) - paths.close).max(axis=1))


def max_run_up(paths: LogPaths) -> Floats:
    """Return the highest rise of the log close from its running minimum, anchor included, >= 0 [path]."""
    return np.asarray((paths.close - np.minimum.accumulate(paths.close, axis=1)).max(axis=1))


def path_range(paths: LogPaths) -> Floats:
    """Return ln(highest high / lowest low), the anchor included [path]."""
    return np.asarray(np.maximum(paths.high.max(axis=1), 0) - np.minimum(paths.low.min(axis=1), 0))


def range_clustering(paths: LogPaths) -> Floats:
    """Return the mean autocorrelation of the log range at lags 1 to 3, in the biased 1/n form [path]."""
    x = paths.log_range - paths.log_range.mean(axis=1, keepdims=True)
    total = np.maximum((x**2).sum(axis=1), LEAST**2)
    lagged = [(x[:, lag:] * x[:, :-lag]).sum(axis=1) for lag in (1, 2, 3)]
    return np.asarray(np.mean(lagged, axis=0) / total)


def mean_log_volume(paths: LogPaths) -> Floats:
    """Return the mean of log volume over usual volume [path]."""
    if paths.log_volume is None:
        raise ValueError("these paths have no volume")
    return np.asarray(paths.log_volume.mean(axis=1))


NUMBERS = (
    Functional("return_1", "return of the next bar", lambda f: f.close[:, 1]),
    Functional("log_range_1", "log range of the next bar", lambda f: f.log_range[:, 0], needs="range"),
    Functional("return_5", "return over 5 bars", lambda f: f.close[:, 5], min_bars=6),
    Functional("return_20", "return over 20 bars", lambda f: f.close[:, 20], min_bars=21, calibrated=False),
    Functional("return_60", "return over 60 bars", lambda f: f.close[:, 60], min_bars=60, calibrated=False),
    Functional("return_h", "return over the horizon", lambda f: f.close[:, -1], min_bars=2),
    Functional("log_volatility", "log realised volatility", log_realised_volatility, min_bars=5),
    Functional("max_drawdown", "maximum drawdown", max_drawdown, min_bars=5),
    Functional("max_run_up", "maximum run-up", max_run_up, min_bars=5),
    Functional("path_range", "range of the path", path_range, min_bars=2, needs="range"),
    Functional("mean_log_range", "mean log range", lambda f: f.log_range.mean(axis=1), 2, "range"),
    Functional("acf_log_range", "clustering of the log range (lags 1-3)", range_clustering, 10, "range"),
    Functional("mean_log_volume", "mean log volume", mean_log_volume, needs="volume"),
)
FUNCTIONALS = tuple(number for number in NUMBERS if number.calibrated)
BY_ID: Mapping[str, Functional] = {number.id: number for number in NUMBERS}
SCORED = ("return_1", "return_h", "log_volatility", "max_drawdown")  # whose CRPS is a score of the generator
TAIL_FUNCTIONALS = (NEXT_BAR, "return_h")


def untestable(functional: Functional, history: Candles, horizon: int) -> str:
    """Return why a functional says nothing on this history and horizon; "" where it does."""
    if horizon < functional.min_bars:
        return f"the horizon has {horizon} bars; it needs {functional.min_bars} to say something of its own"
    if functional.needs == "volume" and (not history.has_volume or history.column("volume").max() <= 0):
        return "the history has no volume"
    if functional.needs == "range":
        flat = float(np.mean(history.column("high") <= history.column("low")))
        if flat > NO_RANGE:
            return f"{flat:.0%} of the history's bars have no range"
    return ""


def testable(history: Candles, horizon: int, *, volume: bool = True) -> tuple[list[str], dict[str, str]]:
    """Return the ids of the numbers that a calibration asks for, and why the others of the list say nothing.

    Args:
        history: what the ensembles continue.
        horizon: bars ahead.
        volume: whether the paths carry one.
    """
    why = {number.id: untestable(number, history, horizon) for number in FUNCTIONALS}
    if not volume:
        why |= {number.id: "the paths carry no volume" for number in FUNCTIONALS if number.needs == "volume"}
    return [name for name, reason in why.items() if not reason], {
        name: reason for name, reason in why.items() if reason
    }


@dataclass(frozen=True)
class Observation:
    """What is kept of one origin of one generator."""

    pits: dict[str, float]  # by functional
    crps: dict[str, float]  # by functional, each in its own unit
    scores: dict[str, float]  # energy and variogram scores of the path, in context deviations
    band_pit: float  # PIT of the path's largest deviation from the ensemble
    # by (functional, tail, level): how far beyond the expected shortfall the outcome lay, in deviations
    excesses: dict[tuple[str, Tail, float], float]
    generated: float  # mean log return over the horizon, in context deviations
    realised: float  # the log return that came, in the same
    # median log realised volatility of the paths, and that which came; NaN where the horizon has too few bars for it
    volatility: tuple[float, float] = (float("nan"), float("nan"))
    losses: dict[tuple[str, Tail, float], TailLosses | None] = field(
        default_factory=dict
    )  # in the tails of ``excesses``


def measure(
    paths: PathSet, real: PathSet, scale: Scale, functionals: Collection[str], rng: np.random.Generator
) -> Observation:
    """Set an ensemble beside the one real future of the same bars.

    Args:
        paths: at least two paths.
        real: a path set of one path, from the same anchor.
        scale: units of the context.
        functionals: ids to compute.
        rng: of the randomised ranks.

    Raises:
        ValueError: the stamps of paths and future differ, or a path is not finite: a path that broke a rule is no
            forecast, and must be repaired or dropped before.
    """
    if len(real) != 1 or not paths.timestamps.equals(real.timestamps):
        raise ValueError(f"{len(real)} real futures, or of other bars than the {paths.horizon} that were sampled")
    if not np.isfinite(paths.values).all():
        raise ValueError("the ensemble has values that are no finite numbers")
    ours, theirs = LogPaths.of(paths, scale), LogPaths.of(real, scale)
    drawn = {f.id: (f.of(ours), float(f.of(theirs)[0])) for f in NUMBERS if f.id in functionals}
    unit = scale.volatility * np.sqrt(paths.horizon)
    away, real_away = largest_deviation(ours.close[:, 1:], theirs.close[0, 1:])
    tails = [(name, *tail) for name in TAIL_FUNCTIONALS if name in drawn for tail in product(TAILS, VAR_LEVELS)]
    return Observation(
        pits={name: pit(ensemble, came, rng) for name, (ensemble, came) in drawn.items()},
        crps={name: fair_crps(ensemble, came) for name, (ensemble, came) in drawn.items()},
        scores=_path_scores(ours, theirs, scale.volatility),
        band_pit=pit(away, real_away, rng),
        excesses={key: excess(*drawn[key[0]], *key[1:]) for key in tails},
        generated=float(ours.close[:, -1].mean() / unit),
        realised=float(theirs.close[0, -1] / unit),
        volatility=_volatility(drawn),
        losses={key: tail_losses(*drawn[key[0]], *key[1:]) for key in tails},
    )


def _volatility(drawn: Mapping[str, tuple[Floats, float]]) -> tuple[float, float]:
    ensemble, came = drawn.get("log_volatility", (np.array([np.nan]), float("nan")))
    return float(np.median(ensemble)), came


def _path_scores(ours: LogPaths, theirs: LogPaths, volatility: float) -> dict[str, float]:
    """Return the scores of whole paths in units of the context's volatility."""
    paths, real = ours.close[:, 1:] / volatility, theirs.close[0, 1:] / volatility
    if len(real) < BY_ID["log_volatility"].min_bars:
        return {}
    sizes, real_sizes = np.abs(ours.returns) / volatility, np.abs(theirs.returns[0]) / volatility
    return {
        "energy": fair_energy_score(paths, real),
        "variogram_path": variogram_score(paths, real),
        "variogram_size": variogram_score(sizes, real_sizes),
    }
