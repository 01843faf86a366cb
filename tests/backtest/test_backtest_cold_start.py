"""What a new process pays: nothing heavy to load a strategy, and no compilation to run one."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

LIGHT = """
import json, sys
from pathlib import Path
from scenario_gen.backtest import expand
from scenario_gen.backtest.uses import StrategyUse
for use in sorted(Path("strategies").glob("*.py")):
    name = "".join(part.title() for part in use.stem.split("_"))
    expand(StrategyUse(use=f"{use}:{name}"), Path("."))
heavy = ["vectorbt", "numba", "torch", "matplotlib", "scipy", "arch"]
print(json.dumps([name for name in heavy if name in sys.modules]))
"""

COMPILED = """
import json
from pathlib import Path
import numpy as np, pandas as pd
from scenario_gen.backtest import expand, run_backtest
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.uses import StrategyUse

rng = np.random.default_rng(0)
close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, (9, 100)), axis=1))
values = np.stack([close, close * 1.01, close * 0.99, close], axis=2)
stamps = pd.bdate_range("2020-01-01", periods=100)
fields = ("open", "high", "low", "close")
context = Candles(stamps[:60], values[0, :60], fields)
paths = PathSet(values[1:, 60:].astype(np.float32), fields, stamps[60:], np.arange(8), float(close[0, 59]))
trades = 0
for use in ("buy_and_hold.py:BuyAndHold", "sma_cross.py:SmaCross", "donchian_breakout.py:DonchianBreakout",
            "rsi_reversion.py:RsiReversion", "volatility_target.py:VolatilityTarget"):
    strategy = expand(StrategyUse(use=f"strategies/{use}"), Path("."))[0]
    for fill in ("next_open", "close"):
        result = run_backtest(strategy, context, paths, Broker(fill=fill, fees=0.001), bars_per_year=252)
        trades += len(result.trades)

import sys
early = "ccxt" in sys.modules
import ccxt
import numba, vectorbt, gc
compiled = sorted({
    thing.py_func.__module__ + "." + thing.__name__ for thing in gc.get_objects()
    if isinstance(thing, numba.core.registry.CPUDispatcher) and thing.signatures
    and thing.py_func.__module__.startswith("vectorbt")
})
print(json.dumps({"trades": trades, "compiled": compiled, "exchanges": early}))
"""


def answer(script: str):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_loading_strategies_imports_nothing_heavy():
    assert answer(LIGHT) == ([], "")


def test_a_new_process_backtests_without_compiling_anything_or_importing_exchanges():
    result, log = answer(COMPILED)  # which imports ccxt in the end: it is kept out for a while, not for ever
    assert result["exchanges"] is False
    assert result["trades"] > 0
    assert result["compiled"] == []
    assert log == ""
