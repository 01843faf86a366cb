"""scenario-gen: alternative market histories from Kronos, for stress testing backtests.

    import scenario_gen as sg

    candles = sg.load_candles("my.csv")
    paths = sg.sample(candles, horizon=63, paths=512, model="nano", seed=7)
    run = sg.run("scenarios/quickstart.yaml")

Nothing heavy is imported until it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenario_gen.market.candles import Candles
    from scenario_gen.market.load import load_candles
    from scenario_gen.market.paths import PathSet
    from scenario_gen.pipeline import run, sample
    from scenario_gen.pipeline.backtesting import backtest_paths
    from scenario_gen.pipeline.checking import check
    from scenario_gen.pipeline.checking_assets import check_assets
    from scenario_gen.store.results import StressRun

__version__ = "0.1.0"

_HOMES = {
    "Candles": "market.candles",
    "PathSet": "market.paths",
    "StressRun": "store.results",
    "backtest_paths": "pipeline.backtesting",
    "check": "pipeline.checking",
    "check_assets": "pipeline.checking_assets",
    "load_candles": "market.load",
    "run": "pipeline",
    "sample": "pipeline",
}

__all__ = [
    "Candles",
    "PathSet",
    "StressRun",
    "__version__",
    "backtest_paths",
    "check",
    "check_assets",
    "load_candles",
    "run",
    "sample",
]


def __getattr__(name: str) -> Any:
    """Import the home of a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
