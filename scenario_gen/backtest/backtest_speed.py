"""How long a whole backtest takes beside the bare vectorbt calls for the same signals and fills.

Both work on the same made-up bars in the same process, in turns, and the best of each counts. Ours is everything
that a run does for one strategy: frames, signals, their checks, fills, accounts, round trips and all metrics. Bare
is what a vectorbt user would write at least: indicators by ``vbt.MA``, ``Portfolio.from_signals`` with one row per
bar, and not one figure asked of the portfolio.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.engine import BacktestResult, run_backtest
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.strategy import Bars, Signals
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.progress import peak_memory

FAST, SLOW = 20, 50
STOP, TARGET = 0.03, 0.05
FIELDS = ("open", "high", "low", "close", "volume")
BROKER = Broker(fees=0.0005, slippage=0.0002)
BARS_PER_YEAR = 252.0
FIRST_PATHS = 8  # of the first call, which pays for imports and compilation


@dataclass(frozen=True)
class Cross:
    """A cross of moving averages: long only, or on both sides with stops."""

    both_sides: bool

    def signals(self, bars: Bars) -> Signals:
        """Be long while the fast average is above the slow one; else in cash, or short."""
        fast, slow = bars.close.rolling(FAST).mean(), bars.close.rolling(SLOW).mean()
        above, below = fast > slow, fast <= slow
        if not self.both_sides:
            return Signals(above, below)
        return Signals(above, below, below, above, stop_loss=STOP, take_profit=TARGET)


@dataclass(frozen=True)
class SpeedCase:
    """One strategy, timed both ways."""

    name: str  # ``long only``, or ``both sides with stops``
    seconds: float  # of a whole backtest
    bare_seconds: float  # of the bare vectorbt calls
    ratio_to_bare_vectorbt: float  # the one over the other
    first_call_seconds: float  # of the first backtest of 8 paths in this process; not part of ``seconds``


@dataclass(frozen=True)
class BacktestBench:
    """What ``scenario-gen bench backtest`` found; the headline is the first case."""

    ratio_to_bare_vectorbt: float  # of the long-only case
    seconds: float  # of the long-only case
    peak_memory_bytes: int  # of the process, bare calls included
    paths: int  # how many
    bars: int  # on each path
    context: int  # real bars before each path
    rounds: int  # how often each was timed
    path_bars_per_second: float  # of the long-only case
    cases: list[SpeedCase]  # every strategy timed
    vectorbt: str  # its version
    machine: str  # as the operating system names it


def measure(
    paths: int, bars: int, context: int, rounds: int, say: Callable[[str], None] = lambda _: None
) -> BacktestBench:
    """Time whole backtests and bare vectorbt calls in turns.

    Args:
        paths: how many.
        bars: on each path.
        context: bars before each path; at least the 50 of the slow average make signals from the first bar on.
        rounds: how often; the best counts.
        say: told what is going on.
    """
    history, made = made_up(paths, bars, context)
    cases = [_time(name, both, history, made, rounds, say) for name, both in CASES.items()]
    first = cases[0]
    import vectorbt  # here, since the first call pays for it

    return BacktestBench(
        ratio_to_bare_vectorbt=first.ratio_to_bare_vectorbt,
        seconds=first.seconds,
        peak_memory_bytes=peak_memory(),
        paths=paths,
        bars=bars,
        context=context,
        rounds=rounds,
        path_bars_per_second=paths * bars / first.seconds,
        cases=cases,
        vectorbt=vectorbt.__version__,
        machine=f"{platform.machine()}, {platform.system()}",
    )


CASES = {"long only": False, "both sides with stops": True}


def made_up(paths: int, bars: int, context: int, seed: int = 0) -> tuple[Candles, PathSet]:
    """Return a context and paths of lognormal candles, 1 % a bar."""
    rng = np.random.default_rng(seed)
    stamps = pd.bdate_range("2015-01-02", periods=context + bars)
    past = _candles(rng, 1, context, 100.0)[0]
    anchor = float(past[-1, 3])
    future = _candles(rng, paths, bars, anchor).astype(np.float32)
    ids = np.arange(paths, dtype=np.int64)
    return Candles(stamps[:context], past, FIELDS), PathSet(future, FIELDS, stamps[context:], ids, anchor)


def whole_backtest(both_sides: bool, context: Candles, paths: PathSet) -> BacktestResult:
    """Return everything that a run computes for one strategy."""
    strategy = LoadedStrategy("Cross", "", {}, Cross(both_sides), Path(__file__))
    return run_backtest(strategy, context, paths, BROKER, bars_per_year=BARS_PER_YEAR)


def bare_vectorbt(both_sides: bool, context: Candles, paths: PathSet) -> Any:
    """Return a ``vectorbt.Portfolio`` of the same signals and fills by vectorbt's own calls alone."""
    import vectorbt as vbt

    past = np.repeat(context.close[:, None], len(paths), axis=1)
    close = pd.DataFrame(np.concatenate([past, paths.close.T]))
    fast, slow = (vbt.MA.run(close, window, engine="rust").ma.to_numpy() for window in (FAST, SLOW))
    decided = slice(len(context) - 1, -1)  # at the close before each fill
    above, below = (fast > slow)[decided], (fast <= slow)[decided]
    opened, high, low = (paths.column(name).T.astype(np.float64) for name in ("open", "high", "low"))
    more: dict[str, Any] = {}
    if both_sides:
        stops = {"sl_stop": STOP, "tp_stop": TARGET, "open": opened, "high": high, "low": low}
        more = {"short_entries": below, "short_exits": above, **stops}
    return vbt.Portfolio.from_signals(
        close.iloc[len(context) :],
        entries=above,
        exits=below,
        price=opened,
        fees=BROKER.fees,
        slippage=BROKER.slippage,
        init_cash=BROKER.cash,
        freq="1D",
        engine="rust",
        **more,
    )


def _time(
    name: str, both: bool, context: Candles, paths: PathSet, rounds: int, say: Callable[[str], None]
) -> SpeedCase:
    def ours(some: PathSet) -> None:
        whole_backtest(both, context, some)

    few = paths.select(paths.path_ids[:FIRST_PATHS])
    say(f"{name}: the first call")
    first = _seconds(lambda: ours(few))
    bare_vectorbt(both, context, few)
    mine, theirs = [], []
    for turn in range(rounds):
        say(f"{name}: round {turn + 1} of {rounds}")
        mine.append(_seconds(lambda: ours(paths)))
        theirs.append(_seconds(lambda: bare_vectorbt(both, context, paths)))
    return SpeedCase(name, min(mine), min(theirs), min(mine) / min(theirs), first)


def _candles(rng: np.random.Generator, paths: int, bars: int, start: float) -> np.ndarray[Any, Any]:
    """Return valid candles, float64 [path, bar, ohlcv]."""
    gap, body = rng.normal(0.0, 0.003, (paths, bars)), rng.normal(0.0002, 0.0095, (paths, bars))
    close = start * np.exp(np.cumsum(gap + body, axis=1))
    opened = close * np.exp(-body)
    wick = np.abs(rng.normal(0.0, 0.003, (2, paths, bars)))
    high, low = np.maximum(opened, close) * np.exp(wick[0]), np.minimum(opened, close) * np.exp(-wick[1])
    return np.stack([opened, high, low, close, rng.uniform(1e6, 5e6, (paths, bars))], axis=2)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
