"""How much of a strategy's result is the luck of its choice: deflated Sharpe, cross-validation, stability.

Knows arrays and parameter sets; knows neither strategies' code nor how results are shown.
"""

from scenario_gen.backtest.overfitting.cscv import Overfitting, overfitting_on_paths, overfitting_probability
from scenario_gen.backtest.overfitting.grids import (
    GridPoint,
    Stability,
    SteppedDown,
    Stepwise,
    parameter_stability,
    stepped_down,
    stepwise,
)
from scenario_gen.backtest.overfitting.sharpe import (
    DeflatedSharpe,
    SharpeRecord,
    annualised,
    deflate_best,
    deflated_sharpe,
    effective_trials,
    expected_maximum,
    expected_maximum_sharpe,
    minimum_backtest_years,
    minimum_track_record,
    probabilistic_sharpe,
)

__all__ = [
    "DeflatedSharpe",
    "GridPoint",
    "Overfitting",
    "SharpeRecord",
    "Stability",
    "SteppedDown",
    "Stepwise",
    "annualised",
    "deflate_best",
    "deflated_sharpe",
    "effective_trials",
    "expected_maximum",
    "expected_maximum_sharpe",
    "minimum_backtest_years",
    "minimum_track_record",
    "overfitting_on_paths",
    "overfitting_probability",
    "parameter_stability",
    "probabilistic_sharpe",
    "stepped_down",
    "stepwise",
]
