"""Generators with a known fault, made from the reference itself: what a check with power must catch.

``negative`` has the six that the checks use to show their power, ``cross_asset`` two of several assets;
``candidates`` has the models and resamplers of the power study, which only tests and benchmarks use. Knows bars; passes
no verdict.
"""

from __future__ import annotations

from scenario_gen.checks.controls.cross_asset import CROSS_CONTROLS, cross_control
from scenario_gen.checks.controls.negative import CONTROLS, negative_control
from scenario_gen.checks.controls.relative import Relative

__all__ = ["CONTROLS", "CROSS_CONTROLS", "Relative", "cross_control", "negative_control"]
