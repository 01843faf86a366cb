"""Forecasts of the past: would a generator have foreseen what came? Judged over rolling origins.

One loop makes a generator forecast (``harness``), one list says what is read off its paths (``numbers``); a
calibration, the choice of a temperature and the evaluation of a checkpoint differ in origins and numbers only.
"""
