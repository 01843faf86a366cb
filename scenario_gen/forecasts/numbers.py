"""The numbers of a path on which an ensemble is calibrated: one list that tests, tables and figures iterate.

All are read off log prices relative to the anchor, so that real futures and generated paths are measured alike.
Terminal returns alone prefer too little volatility (Pinson and Tastu 2013; Scheuerer and Hamill 2015): the list
asks for volatility, extremes, ranges, their clustering and volume as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet

Floats = NDArray[np.float64]

LEAST = 1e-9  # stands for a volatility or a price of zero under a logarithm
USUAL_BARS = 64  # the last bars of the context, whose mean is the usual volume
LEAST_VOLUME = 1e-3  # of the usual volume: stands for none under the logarithm
NO_RANGE = 0.05  # share of context bars without a range from which ranges say nothing


@dataclass(frozen=True)
class Scale:
    """What a context says about units.

    Attributes:
        volatility: root mean square of its log returns.
        least_range: half its smallest range above zero, in logs: added before ranges pass a logarithm.
        usual_volume: mean volume of its last bars; 0 without volume.
    """

    volatility: float
    least_range: float
    usual_volume: float

    @classmethod
    def of(cls, context: Candles) -> Scale:
        """Read the units off a context."""
        ranges = np.log(context.column("high") / context.column("low"))
        positive = ranges[ranges > 0]
        volume = context.column("volume")[-USUAL_BARS:].mean() if context.has_volume else 0.0
        return cls(
            volatility=context.volatility,
            least_range=float(positive.min() / 2) if len(positive) else LEAST,
            usual_volume=float(volume),
        )


@dataclass(frozen=True)
class Futures:
    """Paths, or the one real future, as logs.

    Attributes:
        close: log close over the anchor, the anchor's 0 first [path, bar + 1].
        high: log high over the anchor [path, bar].
        low: log low over the anchor [path, bar].
        log_range: log of the bar's log range [path, bar].
        log_volume: log of volume over the usual volume [path, bar]; None without volume.
    """

    close: Floats
    high: Floats
    low: Floats
    log_range: Floats
    log_volume: Floats | None

    @classmethod
    def of(cls, paths: PathSet, scale: Scale) -> Futures:
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
    """One number per path.

    Attributes:
        id: short name, stable in files.
        title: in words.
        of: computes it, [path].
        min_bars: shortest horizon at which it says something that no other of the list says.
        needs: "", "range" or "volume": what the history must have.
    """

    id: str
    title: str
    of: Callable[[Futures], Floats]
    min_bars: int = 1
    needs: str = ""


def log_realised_volatility(futures: Futures) -> Floats:
    """Return ln sqrt(mean r^2) [path]."""
    return np.asarray(0.5 * np.log(np.maximum(np.mean(futures.returns**2, axis=1), LEAST**2)))


def max_drawdown(futures: Futures) -> Floats:
    """Return the deepest fall of the log close from its running maximum, anchor included, >= 0 [path]."""
    return np.asarray((np.maximum.accumulate(futures.close, axis=1) - futures.close).max(axis=1))


def max_run_up(futures: Futures) -> Floats:
    """Return the highest rise of the log close from its running minimum, anchor included, >= 0 [path]."""
    return np.asarray((futures.close - np.minimum.accumulate(futures.close, axis=1)).max(axis=1))


def path_range(futures: Futures) -> Floats:
    """Return ln(highest high / lowest low), the anchor included [path]."""
    return np.asarray(np.maximum(futures.high.max(axis=1), 0) - np.minimum(futures.low.min(axis=1), 0))


def range_clustering(futures: Futures) -> Floats:
    """Return the mean autocorrelation of the log range at lags 1 to 3, in the biased 1/n form [path]."""
    x = futures.log_range - futures.log_range.mean(axis=1, keepdims=True)
    total = np.maximum((x**2).sum(axis=1), LEAST**2)
    lagged = [(x[:, lag:] * x[:, :-lag]).sum(axis=1) for lag in (1, 2, 3)]
    return np.asarray(np.mean(lagged, axis=0) / total)


def mean_log_volume(futures: Futures) -> Floats:
    """Return the mean of log volume over usual volume [path]."""
    if futures.log_volume is None:
        raise ValueError("these futures have no volume")
    return np.asarray(futures.log_volume.mean(axis=1))


FUNCTIONALS = (
    Functional("return_1", "return of the next bar", lambda f: f.close[:, 1]),
    Functional("log_range_1", "log range of the next bar", lambda f: f.log_range[:, 0], needs="range"),
    Functional("return_5", "return over 5 bars", lambda f: f.close[:, 5], min_bars=6),
    Functional("return_h", "return over the horizon", lambda f: f.close[:, -1], min_bars=2),
    Functional("log_volatility", "log realised volatility", log_realised_volatility, min_bars=5),
    Functional("max_drawdown", "maximum drawdown", max_drawdown, min_bars=5),
    Functional("max_run_up", "maximum run-up", max_run_up, min_bars=5),
    Functional("path_range", "range of the path", path_range, min_bars=2, needs="range"),
    Functional("mean_log_range", "mean log range", lambda f: f.log_range.mean(axis=1), 2, "range"),
    Functional("acf_log_range", "clustering of the log range (lags 1-3)", range_clustering, 10, "range"),
    Functional("mean_log_volume", "mean log volume", mean_log_volume, needs="volume"),
)
BY_ID: Mapping[str, Functional] = {functional.id: functional for functional in FUNCTIONALS}


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
