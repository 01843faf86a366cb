"""How much of a strategy's result is the luck of its choice: deflated Sharpe, cross-validation, stability.

Knows arrays and parameter sets; knows neither strategies' code nor how results are shown.
"""

from scenario_gen.backtest.overfitting.cscv import Overfitting, overfitting_on_paths, overfitting_probability
from scenario_gen.backtest.overfitting.sharpe import (
    SharpeRecord,
    annualised,
    deflated_sharpe,
    expected_maximum,
    expected_maximum_sharpe,
    minimum_backtest_years,
    minimum_track_record,
    probabilistic_sharpe,
)
from scenario_gen.backtest.overfitting.stability import GridPoint, Stability, parameter_stability
from scenario_gen.backtest.overfitting.stepwise import SteppedDown, Stepwise, stepped_down, stepwise
from scenario_gen.backtest.overfitting.trials import DeflatedSharpe, deflate_best, effective_trials

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
