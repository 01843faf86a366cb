"""Scores of a whole ensemble, each beside the same score of real windows against real windows.

Owns classifier test, energy distance, coverage, copy and diversity tests. Knows points and bars; facts are judged
elsewhere.
"""

from __future__ import annotations

from scenario_gen.checks.scores.judge import judge_scores
from scenario_gen.checks.scores.points import Points, fact_space
from scenario_gen.checks.scores.results import ScoreVerdict

__all__ = ["Points", "ScoreVerdict", "fact_space", "judge_scores"]
