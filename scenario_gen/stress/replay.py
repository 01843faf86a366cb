"""What happened once, told in the bars of another market: one path without a probability.

Owns the arithmetic of units: a crisis in volatilities of the market that it came to, put on those of the user's. Logs
from the previous close that are multiplied by a number are valid candles still. Knows no strategy and no model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from scenario_gen.errors import DataError
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import STILL, Candles, chain, log_steps
from scenario_gen.market.load import history_of, load_candles
from scenario_gen.market.paths import Floats
from scenario_gen.reading.section import section_of
from scenario_gen.stats.estimate import Estimate
from scenario_gen.stress.crises import Replay, dated
from scenario_gen.stress.search import BEFORE, Crisis, measure

LEAST_FACTOR, MOST_FACTOR = 0.25, 4.0  # a crisis is not told ten times as loud, whatever the two markets are


@dataclass(frozen=True)
class ReplayedStrategy:
    """What a strategy made of a replay, and of what its generator continues it by."""

    name: str
    total_return: float  # over the replayed bars alone
    max_drawdown: float
    trades: int
    # over replay and continuation together, by "0.05", "0.5", "0.95" of the paths; none without a continuation
    then: dict[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class ReplayResult:
    """One replay: what it was made of, and what every strategy made of it. It has no probability."""

    name: str  # of the scenario
    crisis: Crisis | None  # as it was in its own market; None where moves were declared
    source: str  # whose bars they were; empty for declared moves
    scale: str  # "sigma" or "raw"
    factor: float  # that every log step was multiplied by
    capped: bool  # whether the factor is a bound, and not the ratio of the volatilities
    bars: int
    first: str  # stamps in the user's calendar
    last: str
    total_return: float  # of the user's market over the replayed bars
    drawdown: float
    worst_bar: float
    close: list[float]  # [bar + 1] of the user's market, the anchor first
    generator: str  # that continues it; empty without a continuation
    then: int  # bars of the continuation
    paths: int  # of the continuation
    rejected: int  # paths of the continuation that broke a candle rule beyond repair
    trained_until: str | None  # of the generator, as its checkpoint says; None where there was no training or no use
    strategies: list[ReplayedStrategy] = field(default_factory=list)


@dataclass(frozen=True)
class Replayed:
    """The bars of a replay, as log steps."""

    steps: Floats  # open, high, low, close from the previous close [bar, 4]
    # log volume above its own mean of the 60 bars before [bar]; zeros where none is known
    log_volume: Floats
    crisis: Crisis | None
    source: str
    scale: str
    factor: float
    capped: bool

    @classmethod
    def of(cls, replay: Replay, history: Candles) -> Replayed:
        """Read the bars and put them into the units of a history, whose end they follow.

        Raises:
            DataError: the user's market does not move.
        """
        if replay.moves is not None:
            body = np.log1p(np.array(replay.moves))
            steps = np.stack((np.zeros(len(body)), np.maximum(body, 0), np.minimum(body, 0), body), axis=-1)
            return cls(steps, np.zeros(len(body)), None, "", "raw", 1.0, capped=False)
        bars = load_candles(replay.source)
        crisis = measure(bars, dated(replay.crisis or ""))
        start = crisis.seed_row(bars, "before")
        rows = slice(start + 1, start + 1 + crisis.bars)
        ratio = (
            1.0 if replay.scale == "raw" else recent_volatility(history) / recent_volatility(bars.rows(0, start + 1))
        )
        factor = float(np.clip(ratio, LEAST_FACTOR, MOST_FACTOR))
        steps = log_steps(bars.values[start : rows.stop, :4]) * factor
        log_volume = np.log(_positive(bars.column("volume")))
        above = log_volume[rows] - log_volume[max(0, start + 1 - BEFORE) : start + 1].mean()
        return cls(steps, above, crisis, bars.name, replay.scale or "sigma", factor, capped=factor != ratio)

    def __len__(self) -> int:
        return len(self.steps)

    def after(self, history: Candles, stamps: pd.DatetimeIndex) -> Candles:
        """Return the bars that follow a history, with its fields, on stamps of its own calendar."""
        prices = chain(self.steps[None], float(history.close[-1]))[0]
        columns = [prices]
        if history.has_volume:
            usual = np.log(_positive(history.column("volume")[-BEFORE:])).mean()
            volume = np.exp(usual + self.log_volume)
            columns.append(volume[:, None])
            if "amount" in history.fields:
                recent = history.values[-BEFORE:]
                unit = recent[:, 5].sum() / max((recent[:, 4] * recent[:, :4].mean(axis=1)).sum(), np.finfo(float).tiny)
                columns.append((volume * prices.mean(axis=1) * unit)[:, None])
        values = np.concatenate(columns, axis=1)
        return Candles(
            stamps, values, history.fields[: values.shape[1]], history.name, history.source, history.calendar
        )


def replay(
    history: Candles | pd.DataFrame | str,
    crisis: str,
    *,
    source: Literal["sp500", "nasdaq"] = "sp500",
    scale: Literal["sigma", "raw"] = "sigma",
) -> Candles:
    """Return the bars of a crisis as they would follow a history: in its prices, volatility, volume and calendar.

    Args:
        history: candles, a frame, a file, or "sp500" or "nasdaq".
        crisis: of the library, such as ``lehman``.
        source: the index whose bars they are.
        scale: ``sigma`` puts the volatility of the 60 bars before the crisis on that of the history's last 60, by a
            factor from .25 to 4; ``raw`` leaves returns as they were.

    Raises:
        SpecError: there is no such crisis, source or scale.
        DataError: the history cannot be read, or does not move.
    """
    bars = history_of(history)
    asked = section_of(Replay, {"crisis": crisis, "source": source, "scale": scale}, "replay")
    replayed = Replayed.of(asked, bars)
    return replayed.after(bars, BarCalendar.infer(bars.timestamps, bars.calendar).future(len(replayed)))


def recent_volatility(history: Candles) -> float:
    """Return the standard deviation of the last 60 log returns, of fewer where there are not as many.

    Raises:
        DataError: they do not move.
    """
    steps = np.diff(np.log(history.close[-BEFORE - 1 :]))
    deviation = float(steps.std()) if len(steps) > 1 else 0.0
    if deviation < STILL:
        raise DataError(
            f"the last {len(steps)} returns of {history.name} move by less than {STILL:g}",
            expected="a market that moves: its volatility is the unit of a replay",
            fix="choose another data.end, or replay.scale: raw",
        )
    return deviation


def together(history: Candles, bars: Candles) -> Candles:
    """Return a history and the bars that follow it as one."""
    width = bars.values.shape[1]
    return Candles(
        history.timestamps.append(bars.timestamps),
        np.concatenate((history.values[:, :width], bars.values)),
        bars.fields,
        history.name,
        history.source,
        history.calendar,
    )


def _positive(volume: Floats) -> Floats:
    """Return volume with the smallest above zero, or one, in place of zeros."""
    above = volume[volume > 0]
    return np.where(volume > 0, volume, above.min() if len(above) else 1.0)
