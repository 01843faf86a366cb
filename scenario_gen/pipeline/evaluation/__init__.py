"""Evaluation of a checkpoint on many series: what it is worth out of sample, beside the classical generators.

Origins are set one horizon apart, every generator forecasts from each, and what came is ranked and scored. Knows
series, generators and numbers; nothing of specs, strategies or reports.
"""
