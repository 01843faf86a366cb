"""Calibration: does what came true look like one more path? Judged over rolling origins of the past.

Pure statistics on arrays and path sets; which generator made them, and where the history is from, is not known here.
"""

from __future__ import annotations

from scenario_gen.checks.calibration.functionals import FUNCTIONALS, Scale
from scenario_gen.checks.calibration.judge import judge_generator
from scenario_gen.checks.calibration.observe import Observation, observe
from scenario_gen.checks.calibration.origins import Origins, rolling_origins
from scenario_gen.checks.calibration.results import Calibration, GeneratorCalibration

__all__ = [
    "FUNCTIONALS",
    "Calibration",
    "GeneratorCalibration",
    "Observation",
    "Origins",
    "Scale",
    "judge_generator",
    "observe",
    "rolling_origins",
]
