"""How much of a strategy's result is the luck of its choice: deflated Sharpe, cross-validation, stability.

Knows arrays and parameter sets; knows neither strategies' code nor how results are shown.
"""
