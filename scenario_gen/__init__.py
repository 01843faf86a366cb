"""scenario-gen: alternative market histories from Kronos, for stress testing backtests.

    import scenario_gen as sg

    candles = sg.load_candles("my.csv")
    paths = sg.sample(candles, horizon=63, paths=512, model="nano", seed=7)
    stressed = sg.shocked(paths, [{"kind": "gap", "bar": 5, "size": -0.1}], context=candles, seed=7)
    run = sg.run("scenarios/quickstart.yaml")

Nothing heavy is imported until it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenario_gen.lazy import public_names
from scenario_gen.version import VERSION

__version__ = VERSION

if TYPE_CHECKING:
    from scenario_gen.market.book import BookPaths as BookPaths
    from scenario_gen.market.candles import Candles as Candles
    from scenario_gen.market.load import load_candles as load_candles
    from scenario_gen.market.opened import fetch as fetch
    from scenario_gen.market.paths import PathSet as PathSet
    from scenario_gen.pipeline import run as run, sample as sample, shocked as shocked
    from scenario_gen.pipeline.book.couple import couple as couple
    from scenario_gen.pipeline.given.backtest import backtest_paths as backtest_paths
    from scenario_gen.pipeline.given.calibrate import calibrate as calibrate
    from scenario_gen.pipeline.given.check import check as check
    from scenario_gen.pipeline.given.check_assets import check_assets as check_assets
    from scenario_gen.pipeline.given.predict import Prediction as Prediction, predict as predict
    from scenario_gen.pipeline.rank.study import rank as rank
    from scenario_gen.pipeline.stress.one_event import sample_event as sample_event
    from scenario_gen.store.kept_paths import read_book as read_book
    from scenario_gen.store.results import StressRun as StressRun
    from scenario_gen.stress.event import Event as Event
    from scenario_gen.stress.replay import replay as replay
    from scenario_gen.stress.search import crises as crises, find_crises as find_crises
    from scenario_gen.stress.views import reweight as reweight
else:
    __getattr__, __dir__ = public_names(__name__, "__version__")
