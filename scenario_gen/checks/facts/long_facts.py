"""The facts that only many bars show: one list, which measurements, tests, tables and reports follow.

Shown beside the verdicts and never a gate: they depend on the threshold or lag range, and on the mix of regimes. Owns
what such a fact is called and needs. Passes no verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scenario_gen.checks.facts.bars import Bars
from scenario_gen.checks.facts.gauge import Gauge, deseasonalise
from scenario_gen.checks.facts.long_sample import (
    BLOCK_SIZES,
    DECAY_MIN_BARS,
    EXTREMAL_MIN_BARS,
    HILL_MIN_BARS,
    HURST_MIN_BARS,
    Tail,
    aggregated_variance_hurst,
    extremal_index,
    hill_tail_indices,
    memory_decay,
    pooled_acf,
)
from scenario_gen.checks.facts.moments import Array

TAILS: dict[str, Tail] = {"moves": "both", "gains": "upper", "losses": "lower"}
TAIL_SHARES = (0.01, 0.025, 0.05)
DECAY_LAGS = (20, 50, 100)
# Bars of a path, in units of the largest lag: from here on every bar has another at that distance. The pooled
# autocorrelation needs no more: windows of 1.2 to 25 lags of the S&P 500 and NASDAQ give beta within .01 of the whole.
DECAY_MIN_LAGS = 2
_BLOCK = 1 << 17  # path-bars whose time-of-day pattern is taken out at once


@dataclass(frozen=True)
class LongFact:
    """One property that only many bars show; shown, and never a gate.

    Attributes:
        id: its name in tables and files.
        number: its place in the list of facts.
        title: what it measures, for a person.
        source: who defined the estimator or described the fact.
        min_bars: the least over all paths.
        min_length: the least of each path.
        undefined: why it may have no value with enough bars, in words.
    """

    id: str
    number: str
    title: str
    source: str
    min_bars: int
    min_length: int
    undefined: str

    def lacking(self, value: float, *, paths: int, bars: int) -> str:
        """Return why the fact has no value over so many paths of so many bars, in words; "" where it has one."""
        if bars < self.min_length:
            return f"needs {self.min_length:,} bars in a row, these have {bars:,}"
        if paths * bars < self.min_bars:
            return f"needs {self.min_bars:,} bars in all, these have {paths * bars:,}"
        return "" if np.isfinite(value) else self.undefined


def _tail_id(name: str, share: float) -> str:
    return f"hill_{name}_{100 * share:g}".replace(".", "_")


def _facts() -> Iterator[LongFact]:
    for name in TAILS:
        for share in TAIL_SHARES:
            title = f"tail index of {name}, largest {100 * share:g} %"
            nothing = "too few bars move"
            yield LongFact(_tail_id(name, share), "2b", title, "Hill 1975", HILL_MIN_BARS, 1, nothing)
    for lag in DECAY_LAGS:
        title = f"decay of the autocorrelation of absolute returns, lags 1-{lag}"
        nothing = "the autocorrelation is not positive at every lag"
        yield LongFact(f"beta_{lag}", "6c", title, "Cont 2001", DECAY_MIN_BARS, DECAY_MIN_LAGS * lag, nothing)
    for name in ("moves", "losses"):
        title = f"extremal index of {name}, above their 95 % quantile"
        source, least, nothing = "Ferro & Segers 2003", EXTREMAL_MIN_BARS, "too few bars stand out"
        yield LongFact(f"theta_{name}", "16", title, source, least, least, nothing)
    title = f"Hurst exponent of absolute returns, blocks of {BLOCK_SIZES[0]}-{BLOCK_SIZES[-1]} bars"
    yield LongFact("hurst_abs", "17", title, "Beran 1994", HURST_MIN_BARS, HURST_MIN_BARS, "no bar moves")


LONG_FACTS: tuple[LongFact, ...] = tuple(_facts())


def long_facts(returns: Array, flat: Array | None = None) -> dict[str, float]:
    """Measure every fact of ``LONG_FACTS``: its id to its value, NaN where there is none.

    Args:
        returns: finite log returns [path, bar]. Paths are pooled, and never joined end to end.
        flat: the same without their time-of-day pattern, for the facts of memory; by default they have none.
    """
    flat = returns if flat is None else flat
    size = np.abs(flat)
    return {
        **dict(_tail_indices(returns)),
        **dict(_decays(size)),
        "theta_moves": extremal_index(size),
        "theta_losses": extremal_index(-flat),
        "hurst_abs": aggregated_variance_hurst(size),
    }


def long_facts_of(bars: Bars, gauge: Gauge) -> dict[str, float]:
    """Measure every fact of valid bars [path, bar] in sessions, if any, of the gauge's reference."""
    return long_facts(bars.r, _flat_returns(bars, gauge))


def _flat_returns(bars: Bars, gauge: Gauge) -> Array | None:
    """Return the returns without their time-of-day pattern [path, bar], made in blocks; None where there is none."""
    if gauge.season is None or bars.bar_of_day is None:
        return None
    flat = np.empty_like(bars.close)
    rows = max(1, _BLOCK // bars.length)
    for at in range(0, len(bars), rows):
        flat[at : at + rows] = deseasonalise(bars.select(slice(at, at + rows)), gauge.season).r
    return flat


def _tail_indices(returns: Array) -> Iterator[tuple[str, float]]:
    for name, tail in TAILS.items():
        found = hill_tail_indices(returns, TAIL_SHARES, tail)
        yield from ((_tail_id(name, share), alpha) for share, alpha in zip(TAIL_SHARES, found, strict=True))


def _decays(size: Array) -> Iterator[tuple[str, float]]:
    lags = [lag for lag in DECAY_LAGS if size.shape[1] >= DECAY_MIN_LAGS * lag]
    acf = pooled_acf(size, max(lags)) if lags and size.size >= DECAY_MIN_BARS else np.empty(0)
    for lag in DECAY_LAGS:
        yield f"beta_{lag}", memory_decay(acf[:lag], size.size) if lag in lags else float("nan")
