"""Studies of what is asked of a strategy itself: look-ahead, warm-up, order within bars, fills.

Paths are true futures of the market of ``benchmarks.planted``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.study import SEEN, WARNS, Answers, Ask, Row, Study, World, path_set
from benchmarks.verdicts_on_paths import LENGTH, futures
from scenario_gen.backtest import Bars, Ground, LoadedStrategy, Signals, expand
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.findings import fills_finding, intrabar_finding, look_ahead_finding, warm_up_of
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.finding import FILLS, INTRABAR, LOOK_AHEAD, WARM_UP
from scenario_gen.market import PathSet

STRATEGIES = Path(__file__).parents[1] / "strategies"
YEAR = 252.0


@dataclass(frozen=True)
class Rule:
    """A strategy that is one function of the bars."""

    of: Callable[[Bars], Signals]

    def signals(self, bars: Bars) -> Signals:
        """Return what the function says."""
        return self.of(bars)


def loaded(rule: Callable[[Bars], Signals]) -> LoadedStrategy:
    """Return a rule ready to run."""
    return LoadedStrategy(rule.__name__, "", {}, Rule(rule), Path(__file__))


def ground_of(world: World, broker: Broker | None = None) -> Ground:
    """Return the last bars of a world's market, with its older ones."""
    history = world.history()
    return replace(Ground.of(history.context(SEEN), bars_per_year=YEAR, broker=broker), history=history)


def paths_of(world: World, paths: int = 256, length: int = LENGTH) -> PathSet:
    """Return true futures of a world's market."""
    return path_set(futures(world, paths, length), world.history().context(SEEN))


# --- What is asked of every strategy itself ---


def falls(bars: Bars, by: float = -0.02) -> pd.DataFrame:
    """Return where a bar falls so far."""
    return bars.close.pct_change() < by


def rising(bars: Bars) -> pd.DataFrame:
    """Return where a close is above the mean of twenty."""
    return bars.close > bars.close.rolling(20).mean()


def rare_entries(bars: Bars) -> Signals:
    """Buy falls that are higher five bars later."""
    bought = falls(bars) & (bars.close.shift(-5) > bars.close)
    return Signals(bought, bought.shift(5, fill_value=False))


def rare_exits(bars: Bars) -> Signals:
    """Sell at falls that go on for three bars."""
    return Signals(rising(bars), falls(bars) & (bars.close.shift(-3) < bars.close))


def rare_shorts(bars: Bars) -> Signals:
    """Short rises that are lower two bars later."""
    never, risen = bars.close < 0, (bars.close.pct_change() > 0.02) & (bars.close.shift(-2) < bars.close)
    return Signals(never, never, risen, risen.shift(2, fill_value=False))


def before_crashes(bars: Bars) -> Signals:
    """Be out before falls of 2.5 %."""
    crash = bars.close.shift(-1) / bars.close < 0.975
    return Signals(rising(bars) & ~crash, crash)


def late(bars: Bars) -> Signals:
    """Look two bars ahead at the last eight bars of a path alone."""
    last = (np.arange(len(bars.close)) >= len(bars.close) - 8)[:, None]
    entries = (rising(bars) & ~last) | ((bars.close.shift(-2) > bars.close) & last)
    return Signals(entries, ~entries)


AHEAD: Mapping[str, Callable[[Bars], Signals]] = {
    "buys falls of 2 % that are higher five bars later": rare_entries,
    "leaves at falls of 2 % that go on": rare_exits,
    "shorts rises of 2 % that turn": rare_shorts,
    "is out before falls of 2.5 %": before_crashes,
    "looks ahead at the last eight bars of a path": late,
}


@lru_cache(maxsize=1)
def _shipped() -> list[LoadedStrategy]:
    uses = [f"{file.name}:{''.join(map(str.title, file.stem.split('_')))}" for file in sorted(STRATEGIES.glob("*.py"))]
    return [expand(StrategyUse(use=use), STRATEGIES)[0] for use in uses]


def _look_ahead(rule: Callable[[Bars], Signals] | None = None) -> Ask:
    """Probe a rule, or the shipped strategies in turns."""

    def answer(world: World) -> Answers:
        strategy = loaded(rule) if rule else _shipped()[world.number % len(_shipped())]
        ground = replace(ground_of(world), seed=world.number)
        return {"look-ahead": look_ahead_finding(strategy, ground, paths_of(world)).label}

    return answer


def _average(bars: int) -> Callable[[Bars], Signals]:
    def average(given: Bars) -> Signals:
        closes = given.close
        mean = closes.rolling(bars).mean() if bars else closes.expanding().mean()
        return Signals(closes > mean, closes <= mean)

    return average


def _warm_up(bars: int) -> Ask:
    def answer(world: World) -> Answers:
        strategy = loaded(_average(bars))
        return {"warm-up": warm_up_of(strategy, ground_of(world), paths_of(world, 32))[1].label}

    return answer


def _wished(world: World, **more: Any) -> LoadedStrategy:
    """Return a trader who enters and leaves at random."""

    def random(bars: Bars) -> Signals:
        rng, shape = world.rng("wishes"), bars.close.shape
        entries, exits = (pd.DataFrame(rng.random(shape) < 0.1, bars.close.index, bars.close.columns) for _ in range(2))
        return Signals(entries, exits, **more)

    return loaded(random)


def _intrabar(level: float) -> Ask:
    """Ask for the order within bars, of a stop and a target so far from the entry."""

    def answer(world: World) -> Answers:
        strategy = _wished(world, stop_loss=level, take_profit=level)
        found = intrabar_finding(strategy, ground_of(world), paths_of(world))
        return {"order within bars": found[0].label if found else "PASS"}

    return answer


def _fills(**account: Any) -> Ask:
    """Ask a random trader's fills; lots are in units of the last close."""

    def answer(world: World) -> Answers:
        context = world.history().context(SEEN)
        broker = Broker(
            **{name: value / context.close[-1] if name == "lot" else value for name, value in account.items()}
        )
        ground, paths = ground_of(world, broker), paths_of(world)
        found = fills_finding("random", trade(_wished(world), ground, paths).metrics, {"": ground})
        return {"fills": found[0].label if found else "PASS"}

    return answer


STUDIES: tuple[Study, ...] = (
    Study("look-ahead", (Row("look-ahead", LOOK_AHEAD),), _look_ahead(), {n: _look_ahead(r) for n, r in AHEAD.items()}),
    Study(
        "warm-up",
        (Row("warm-up", WARM_UP, WARNS),),
        _warm_up(20),
        {"a mean of 300 bars after 256": _warm_up(300), "a mean of all bars so far": _warm_up(0)},
        repeats=40,
    ),
    Study(
        "intrabar",
        (Row("order within bars", INTRABAR, WARNS),),
        _intrabar(0.1),
        {"stop and target 1 % away": _intrabar(0.01), "stop and target .5 % away": _intrabar(0.005)},
        repeats=40,
    ),
    Study(
        "fills",
        (Row("fills", FILLS, WARNS),),
        _fills(volume_share=0.1),
        {
            "a lot dearer than the cash": _fills(lot=200_000.0),
            "a hundredth of a bar's volume is worth a fifth of the account": _fills(volume_share=0.01, cash=5e6),
        },
        repeats=40,
    ),
)
