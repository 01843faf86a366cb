"""One origin of an evaluation: an ensemble beside what came, reduced to the numbers that are kept of it.

Scores are fair CRPS (Ferro 2014), ranks are randomised PITs, facts are the checks' own estimators, taken on the
real window and on every path alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.candles.check import mend_paths
from scenario_gen.checks.calibration.scores import fair_crps
from scenario_gen.checks.facts.bars import Bars
from scenario_gen.checks.facts.facts import FACT
from scenario_gen.checks.facts.statistics import path_statistics
from scenario_gen.checks.ranks import pit
from scenario_gen.forecasts.numbers import Futures, Scale, log_realised_volatility, max_drawdown
from scenario_gen.market import validity
from scenario_gen.market.candles import PRICE_FIELDS, Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.pipeline.evaluation.origins import HORIZON

Floats = NDArray[np.float64]

STEPS = (1, 5, 20, HORIZON)  # bars over which returns are judged
RETURNS = tuple(f"return_{step}" for step in STEPS)


def _return_over(step: int) -> Callable[[Futures], Floats]:
    return lambda futures: futures.close[:, step]


JUDGED: Mapping[str, Callable[[Futures], Floats]] = {
    **{name: _return_over(step) for name, step in zip(RETURNS, STEPS, strict=True)},
    "log_volatility": log_realised_volatility,
    "max_drawdown": max_drawdown,
}
TITLES = {
    **{name: f"return over {step} bar{'s' * (step > 1)}" for name, step in zip(RETURNS, STEPS, strict=True)},
    "log_volatility": f"log realised volatility over {HORIZON} bars",
    "max_drawdown": f"maximum drawdown over {HORIZON} bars",
}
FACTS = (
    "acf_abs_1_5",
    "acf_rng_1_5",
    "acf_rng_6_20",
    "lev_rng_1_5",
    "lev_abs_1_10",
    "vol_rng_corr",
    "vol_acf_1_5",
    "Lkurt",
    "absr_rng_corr",
    "acf_r_1",
)
RULES = (
    "not finite (V1)",
    "price of zero or less (V2)",
    "high below another price (V3)",
    "low above another price (V3)",
    "volume negative or missing (V4)",
)


@dataclass(frozen=True)
class Seen:
    """What is kept of one origin of one generator.

    Attributes:
        pits: of each judged number [N].
        crps: of each judged number [N]: returns and drawdown in context volatility times the root of their bars,
            log volatility as it is.
        drift: mean return over 1, 5, 20, 60 bars [4], in the same units.
        log_ratio: log of the median path's realised volatility over what was realised.
        broken: share of raw bars that break each rule [R], and any of them.
        dropped: share of paths that no repair could save and that were left out.
        facts: mean over paths of each fact [K]; NaN where it cannot be measured.
    """

    pits: Floats
    crps: Floats
    drift: Floats
    log_ratio: float
    broken: Floats
    dropped: float
    facts: Floats


@dataclass(frozen=True)
class Truth:
    """What really came after an origin.

    Attributes:
        paths: the real future, one path.
        scale: units of the context.
        numbers: the judged numbers of it [N].
        facts: of it [K].
        tick: price step of the history, under which a range counts as none.
    """

    paths: PathSet
    scale: Scale
    numbers: Floats
    facts: Floats
    tick: float

    @classmethod
    def of(cls, context: Candles, future: Candles, tick: float) -> Truth:
        """Measure what came."""
        paths, scale = PathSet.from_history(future, float(context.close[-1])), Scale.of(context)
        numbers = np.array([one(Futures.of(paths, scale))[0] for one in JUDGED.values()])
        return cls(paths, scale, numbers, _facts(paths, tick), tick)

    @property
    def units(self) -> Floats:
        """What one of each judged number is measured in [N]."""
        root = [float(np.sqrt(step)) * self.scale.volatility for step in STEPS]
        return np.array([*root, 1.0, root[-1]])


def observe(raw: PathSet, truth: Truth, rng: np.random.Generator) -> Seen | str:
    """Set an ensemble beside what came; or say why there is none: fewer than two paths can be repaired.

    Args:
        raw: paths as they were sampled; candles that break a rule are counted, then repaired as in a run.
        truth: what came.
        rng: of the randomised ranks.
    """
    paths = mend_paths(raw)
    if len(paths) < 2:
        return f"{len(paths)} of {len(raw)} paths are left: the others break a candle rule"
    futures = Futures.of(paths, truth.scale)
    drawn = [one(futures) for one in JUDGED.values()]
    came, units = truth.numbers, truth.units
    volatility = list(JUDGED).index("log_volatility")
    return Seen(
        pits=np.array([pit(x, y, rng) for x, y in zip(drawn, came, strict=True)]),
        crps=np.array([fair_crps(x / u, y / u) for x, y, u in zip(drawn, came, units, strict=True)]),
        drift=np.array([drawn[place].mean() / units[place] for place in range(len(STEPS))]),
        log_ratio=float(np.median(drawn[volatility]) - came[volatility]),
        broken=broken_bars(raw),
        dropped=1 - len(paths) / len(raw),
        facts=_facts(paths, truth.tick),
    )


def broken_bars(paths: PathSet) -> Floats:
    """Return the share of bars that break each of RULES, and of those that break any [R + 1]."""
    columns = validity.columns_of(paths.values, paths.fields)
    finite = ~validity.not_finite(columns)
    found = [
        ~finite,
        finite & validity.too_small(columns),
        finite & validity.high_too_low(columns),
        finite & validity.low_too_high(columns),
        validity.no_quantity(columns, "volume") | validity.no_quantity(columns, "amount"),
    ]
    return np.array([*(flags.mean() for flags in found), np.any(found, axis=0).mean()])


def _facts(paths: PathSet, tick: float) -> Floats:
    """Return the mean over paths of each fact [K]; NaN where no path can be measured."""
    opened, high, low, close = (paths.column(name).astype(np.float64) for name in PRICE_FIELDS)
    volume = paths.column("volume").astype(np.float64) if "volume" in paths.fields else None
    anchors = np.full(len(paths), paths.anchor_close)
    bars = Bars(opened, high, low, close, volume, anchors, tick=tick)
    wanted = [name for name in FACTS if bars.volume is not None or "volume" not in FACT[name].needs]
    measured = path_statistics(bars, facts=wanted)
    return np.array([_mean(measured[name]) if name in measured else np.nan for name in FACTS])


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
