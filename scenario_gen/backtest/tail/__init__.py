"""What happens when it goes badly: tail losses, drawdowns, ruin, their causes, and where real history lies.

Knows equity, exposure and prices as arrays; knows neither strategies' code nor how results are shown.
"""
