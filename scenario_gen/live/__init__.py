"""Forecasts of the bars to come, kept and held against what came: the page, the log, the alarm."""
