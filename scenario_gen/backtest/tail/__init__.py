"""What happens when it goes badly: tail losses, drawdowns, ruin, their causes, and where real history lies.

Knows equity, exposure and prices as arrays; knows neither strategies' code nor how results are shown.
"""

from scenario_gen.backtest.tail.causes import CAUSES, Cause, Played, TailCauses, costs_by_bar, tail_causes
from scenario_gen.backtest.tail.losses import (
    Drawdowns,
    RuinCurve,
    TailLoss,
    conditional_drawdown_at_risk,
    expected_shortfall,
    recovery_bars,
    ruin_curves,
    summarise_drawdowns,
    tail_losses,
    terminal_returns,
    worst_bar,
)
from scenario_gen.backtest.tail.marker import Marker, historical_marker

__all__ = [
    "CAUSES",
    "Cause",
    "Drawdowns",
    "Marker",
    "Played",
    "RuinCurve",
    "TailCauses",
    "TailLoss",
    "conditional_drawdown_at_risk",
    "costs_by_bar",
    "expected_shortfall",
    "historical_marker",
    "recovery_bars",
    "ruin_curves",
    "summarise_drawdowns",
    "tail_causes",
    "tail_losses",
    "terminal_returns",
    "worst_bar",
]
