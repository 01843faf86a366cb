"""The drift of ensembles: intervals that hold, and leanings that are told."""

from __future__ import annotations

import numpy as np
import pytest

from scenario_gen.forecasts.foresight import audit_drift, ensemble_drift


def _closes(rng: np.random.Generator, paths: int, drift: float) -> np.ndarray:
    return 50 * np.exp(np.cumsum(drift + 0.01 * rng.standard_normal((paths, 25)), axis=1))


def test_the_intervals_hold_the_true_drift_in_95_percent() -> None:
    rng = np.random.default_rng(1)
    found = [ensemble_drift(_closes(rng, 200, 0.001), 50.0) for _ in range(400)]
    log_return, growth = 0.025, np.exp(0.025 + 25 * 0.01**2 / 2) - 1
    inside = np.mean([one.log_return_low < log_return < one.log_return_high for one in found])
    gained = np.mean([one.growth_low < growth < one.growth_high for one in found])
    assert 0.90 < inside < 0.99  # 95 % and four errors of 400
    assert 0.90 < gained < 0.99
    assert np.mean([one.deviations for one in found]) == pytest.approx(0.025 / 0.05, abs=0.03)


def test_equal_paths_have_no_deviation() -> None:
    found = ensemble_drift(np.full((3, 4), 55.0), 50.0)
    assert found.deviations is None
    assert found.growth == pytest.approx(0.1)


def test_a_drift_like_the_markets_passes_and_a_strong_one_warns() -> None:
    rng = np.random.default_rng(2)
    real = 0.1 + rng.standard_normal(60)
    calm = audit_drift(0.1 + 0.05 * rng.standard_normal(60), real, enough=True)
    assert calm.label == "PASS"
    assert calm.generated_low < 0.1 < calm.generated_high
    strong = audit_drift(0.5 + 0.05 * rng.standard_normal(60), 0.5 + rng.standard_normal(60), enough=True)
    assert strong.label == "WARN"
    assert "+0.5" in strong.reason
    against = audit_drift(-0.2 + 0.05 * rng.standard_normal(60), 1.0 + real, enough=True)
    assert against.label == "WARN"
    assert "the market by +1" in against.reason
    assert audit_drift(np.full(9, 3.0), np.zeros(9), enough=False).label == "INCONCLUSIVE"


def test_ensembles_without_drift_are_warned_of_at_the_stated_rate() -> None:
    rng = np.random.default_rng(3)
    warned = [
        audit_drift(0.07 * rng.standard_normal(60), rng.standard_normal(60), enough=True).label == "WARN"
        for _ in range(500)
    ]
    assert np.mean(warned) < 0.028  # 1 % and four errors of 500
