"""What a ranking of strategies on generated paths is worth: Spearman's correlation with the order that came.

    python benchmarks/strategy_ranks.py [history ...] [--origins 40] [--paths 200] [--horizon 63]

Twenty-eight sets of the shipped rules are ranked by their mean return on the paths of nano and of the classical
generators, at origins one horizon apart, the last one at the end of the history, and set beside what they earned on
the bars that came. Prints the table of BENCHMARKS.md; the interval is over origins.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scenario_gen.backtest.loader import LoadedStrategy, expand
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.forecasts.foresight import rank_strategies
from scenario_gen.forecasts.harness import Sampling
from scenario_gen.forecasts.origins import rolling_origins
from scenario_gen.generators.sections import default_section, open_generator
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.load import load_candles

ROOT = Path(__file__).parent.parent
CONTEXT = 256
GENERATORS = ("kronos", "bootstrap", "fhs", "gjr", "gbm")
GRIDS = (
    ("buy_and_hold.py:BuyAndHold", {}, None),
    ("sma_cross.py:SmaCross", {"fast": [5, 10, 20], "slow": [30, 50, 100]}, None),
    ("donchian_breakout.py:DonchianBreakout", {"entry": [10, 20, 40, 60]}, None),
    ("rsi_reversion.py:RsiReversion", {"period": [2, 5, 14]}, None),
    ("bollinger_reversion.py:BollingerReversion", {"window": [10, 20, 40]}, None),
    ("macd_trend.py:MacdTrend", {}, None),
    ("time_series_momentum.py:TimeSeriesMomentum", {"lookback": [20, 60, 120]}, None),
    ("turn_of_month.py:TurnOfMonth", {}, None),
    ("volatility_target.py:VolatilityTarget", {"target": [0.05, 0.10, 0.15]}, None),
)


def strategies() -> list[LoadedStrategy]:
    """Return every rule with every set of parameters."""
    uses = [StrategyUse(use=use, params=params, where=where) for use, params, where in GRIDS]
    return [one for use in uses for one in expand(use, ROOT / "strategies").strategies]


def main(histories: list[str], origins: int, paths: int, horizon: int) -> None:
    """Print one row per history and generator."""
    rules = strategies()
    print(
        "| history | generator | sets | origins | rank correlation | less than nano's (p) |\n|---|---|---|---|---|---|"
    )
    for source in histories:
        history = load_candles(source)
        year = BarCalendar.infer(history.timestamps, history.calendar).bars_per_year
        chosen = rolling_origins(len(history), context=CONTEXT, horizon=horizon, count=origins).of(history)
        generators = [open_generator(default_section(kind)) for kind in GENERATORS]
        found = rank_strategies(generators, chosen, rules, Sampling(CONTEXT, horizon, paths), bars_per_year=year)
        beside = {one.baseline: f"{one.difference:+.2f} ({one.p:.2g})" for one in found[0].beside}
        for ranks in found:
            shown = f"{ranks.correlation:+.2f} [{ranks.low:+.2f}, {ranks.high:+.2f}]"
            less = beside.get(ranks.generator, "")
            print(
                f"| {history.name} | {ranks.generator} | {ranks.sets} | {ranks.origins} | {shown} | {less} |",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("histories", nargs="*", default=["sp500", "nasdaq"])
    for name, usual in (("origins", 40), ("paths", 200), ("horizon", 63)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    given = parser.parse_args()
    main(given.histories, given.origins, given.paths, given.horizon)
