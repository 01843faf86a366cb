"""Numbers with their error: estimates, tests of means and of two samples, ranks, scores, many tests at once.

Knows arrays; knows neither paths, strategies, candles nor where the numbers are from.
"""
