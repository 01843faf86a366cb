"""How often the probe finds a rule that looks ahead on rare bars, and how often it accuses a clean one.

    python benchmarks/look_ahead.py [markets]

Prints the table of BENCHMARKS.md. A market is 256 paths of 40 bars, of one of the classical generators, after 256 real
bars of the S&P 500.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scenario_gen import PathSet, load_candles, sample
from scenario_gen.backtest import Bars, Ground, LoadedStrategy, Signals, expand, probe_causality
from scenario_gen.backtest.uses import StrategyUse

STRATEGIES = Path(__file__).parents[1] / "strategies"
GENERATORS = ("bootstrap", "fhs", "gbm")
PATHS, BARS, CONTEXT = 256, 40, 256


@dataclass(frozen=True)
class Planted:
    """A strategy that is one function of the bars."""

    rule: Callable[[Bars], Signals]

    def signals(self, bars: Bars) -> Signals:
        """Return what the function says."""
        return self.rule(bars)


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


PLANTED: Mapping[str, Callable[[Bars], Signals]] = {
    "falls of 2 % that are higher five bars later": rare_entries,
    "exits at falls of 2 % that go on": rare_exits,
    "short entries at rises of 2 % that turn": rare_shorts,
    "out before falls of 2.5 %": before_crashes,
    "looks ahead at the last eight bars of a path": late,
}


def markets(count: int) -> Iterator[tuple[Ground, PathSet]]:
    """Yield contexts spread over the history, each with paths of the next of the generators."""
    history = load_candles("sp500")
    for place, end in enumerate(np.linspace(1000, len(history), count).astype(int)):
        context = history.rows(end - CONTEXT, end)
        model = GENERATORS[place % len(GENERATORS)]
        paths = sample(context, horizon=BARS, paths=PATHS, model=model, seed=place)
        yield Ground.of(context, bars_per_year=252.0), paths


def main(count: int) -> None:
    """Print one row per planted rule, and one for all shipped strategies."""
    rules = {title: LoadedStrategy(title, "", {}, Planted(rule), Path(__file__)) for title, rule in PLANTED.items()}
    uses = [f"{file.name}:{''.join(map(str.title, file.stem.split('_')))}" for file in sorted(STRATEGIES.glob("*.py"))]
    shipped = [expand(StrategyUse(use=use), STRATEGIES)[0] for use in uses]
    seen: dict[str, Counter[str]] = {title: Counter() for title in (*rules, "shipped")}
    for place, (ground, paths) in enumerate(markets(count)):
        for title, rule in rules.items():
            seen[title][probe_causality(rule, ground, paths, seed=place).label] += 1
        for strategy in shipped:
            seen["shipped"][probe_causality(strategy, ground, paths, seed=place).label] += 1
    print("| rule | FAIL | PASS | UNTESTABLE |\n|---|---|---|---|")
    for title, labels in seen.items():
        print(f"| {title} | {' | '.join(str(labels[label]) for label in ('FAIL', 'PASS', 'UNTESTABLE'))} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
