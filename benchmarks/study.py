"""What a measurement of verdicts is made of: truths, the worlds drawn from them, and studies that ask a verdict there.

A truth is stationary or drifts: a drifting one has the half-lives of ``SPEEDS`` in turns, one world after the other. A
study asks one or several verdicts in worlds where they should be silent, and in worlds with one planted defect. Knows
no verdict; ``benchmarks/every_verdict.py`` has the list, runs it and draws the table.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pandas as pd

from benchmarks.planted import Drifted, drift
from scenario_gen.backtest.tail.marker import clopper_pearson
from scenario_gen.finding import BAD, Check
from scenario_gen.market import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.realism.bars import BarArrays

STATIONARY, DRIFTING = "stationary", "drifting"
TRUTHS = (STATIONARY, DRIFTING)
SPEEDS = (60.0, 250.0, 1000.0)  # half-lives of a drifting truth, in bars
RIGHT = "right"  # the case in which a verdict should be silent
HISTORY = 5000  # bars of a made market
SEEN = 256  # bars of a context

WARNS: tuple[frozenset[str], ...] = (frozenset({"WARN"}),)  # of a verdict that has no FAIL

Answers = Mapping[str, str]  # label by row; a verdict that cannot be asked is left out
Ask = Callable[["World"], Answers]


@dataclass(frozen=True)
class World:
    """One draw of a truth."""

    truth: str
    number: int

    @property
    def half_life(self) -> float:
        """Of the market's character, in bars; infinite where the truth does not drift."""
        return np.inf if self.truth == STATIONARY else SPEEDS[self.number % len(SPEEDS)]

    def rng(self, purpose: str = "") -> np.random.Generator:
        """Return random numbers of one purpose, the same in every case of a study."""
        return np.random.default_rng([self.number, TRUTHS.index(self.truth), zlib.crc32(purpose.encode())])

    def market(self, bars: int = HISTORY) -> Drifted:
        """Return one path of the made market of ``benchmarks.planted``, with its states; kept for the next cases."""
        return _market(self, bars)

    def history(self, bars: int = HISTORY) -> Candles:
        """Return the market's bars."""
        return _history(self, bars)

    def volatility(self, bars: int, spread: float = 0.4) -> np.ndarray:
        """Return what a drifting truth multiplies volatility by at each bar, float64 [bar]; ones where it does not."""
        if self.truth == STATIONARY:
            return np.ones(bars)
        return np.exp(spread * self._wandering(bars) - spread**2)

    def correlations(self, origins: int, apart: int = 60) -> np.ndarray:
        """Return the correlation of two assets at origins so many bars apart: .66, or wandering around it."""
        away = np.zeros(origins) if self.truth == STATIONARY else self._wandering(origins * apart)[::apart]
        return np.tanh(0.8 + 0.3 * away)

    def _wandering(self, bars: int) -> np.ndarray:
        """Return an Ornstein-Uhlenbeck process of the world's half-life and unit variance, float64 [bar]."""
        keep, level = 0.5 ** (1 / self.half_life), self.rng("wandering").standard_normal(bars)
        for bar in range(1, bars):
            level[bar] = keep * level[bar - 1] + np.sqrt(1 - keep**2) * level[bar]
        return level


@lru_cache(maxsize=4)
def _market(world: World, bars: int) -> Drifted:
    return drift(1, bars, world.rng(f"market of {bars}"), world.half_life)


@lru_cache(maxsize=4)
def _history(world: World, bars: int) -> Candles:
    return world.market(bars).candles()


def path_set(bars: BarArrays, context: Candles) -> PathSet:
    """Return made bars as paths of daily bars that set out from the context's last close."""
    scale = float(context.close[-1]) / bars.anchor_close[:, None]
    prices = [scale * column for column in (bars.open, bars.high, bars.low, bars.close)]
    stamps = pd.bdate_range(context.timestamps[-1], periods=bars.length + 1)[1:]
    return PathSet.of_arrays(*prices, bars.volume, timestamps=stamps, anchor_close=float(context.close[-1]))


@dataclass(frozen=True)
class Row:
    """One verdict of the table."""

    verdict: str  # its title, and its key in answers
    check: Check | None  # whose verdict it is; None where a figure with an interval is no finding
    alarms: tuple[frozenset[str], ...] = (frozenset({"FAIL"}), frozenset(BAD))  # labels counted, the strictest first
    defects: tuple[str, ...] | None = None  # those it is to find; None: all of its study


@dataclass(frozen=True)
class Study:
    """Verdicts that one world answers together."""

    key: str
    rows: tuple[Row, ...]
    right: Ask  # where all should be silent
    wrong: Mapping[str, Ask] = field(default_factory=dict)  # by planted defect
    repeats: int = 40  # worlds of each truth where all is right; a third of them, at least 6, for each defect
    still: str = ""  # why the truth's drift cannot matter: it is asked on the stationary one alone

    @property
    def truths(self) -> Sequence[str]:
        """The truths that it is asked on."""
        return (STATIONARY,) if self.still else TRUTHS

    def worlds(self, case: str, repeats: int | None = None) -> int:
        """Return how many worlds of each truth a case is asked in, by the study's own number or another."""
        most = repeats or self.repeats
        return most if case == RIGHT or repeats else max(6, most // 3)

    @property
    def cases(self) -> Mapping[str, Ask]:
        """Every case by name, the right one first."""
        return {RIGHT: self.right, **self.wrong}

    def asked(self, case: str, world: World) -> dict[str, str]:
        """Return the labels that a world gets.

        Raises:
            KeyError: a verdict of the study has no label.
        """
        labels = dict(self.cases[case](world))
        if missing := {row.verdict for row in self.rows} - set(labels):
            raise KeyError(f"{self.key}, {case}: no label of {', '.join(sorted(missing))}")
        return labels


@dataclass(frozen=True)
class Rate:
    """How many of so many worlds raised an alarm."""

    alarms: int
    worlds: int

    @classmethod
    def of(cls, labels: Iterable[str], alarm: frozenset[str]) -> Rate:
        """Count the labels that are an alarm; what could not be tested is no world."""
        tested = [label for label in labels if label != "UNTESTABLE"]
        return cls(sum(label in alarm for label in tested), len(tested))

    def __str__(self) -> str:
        """Return the count with the 95 % interval of Clopper and Pearson (1934) in percent."""
        if not self.worlds:
            return "-"
        low, high = clopper_pearson(self.alarms, self.worlds)
        return f"{self.alarms}/{self.worlds} ({100 * low:.0f}-{100 * high:.0f} %)"
