"""Scores against the scoringrules package, and the comparison of scores against statsmodels."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from scenario_gen.stats.means import mean_test
from scenario_gen.stats.ranks import compare_scores, fair_crps, fair_energy_score, variogram_score

NUMBERS = st.floats(-100, 100, width=32)


@pytest.fixture(scope="module")
def sr() -> ModuleType:
    """The scoringrules package: compiled at import, which a worker that collects these tests alone need not do."""
    import scoringrules

    return scoringrules


@given(ensemble=arrays(float, st.integers(2, 40), elements=NUMBERS), real=NUMBERS)
def test_the_fair_crps_is_that_of_scoringrules(sr: ModuleType, ensemble: np.ndarray, real: float) -> None:
    theirs = sr.crps_ensemble(real, ensemble, estimator="fair", backend="numpy")
    assert fair_crps(ensemble, real) == pytest.approx(float(theirs), abs=1e-9)


def test_path_scores_are_those_of_scoringrules(sr: ModuleType) -> None:
    rng = np.random.default_rng(1)
    ensemble, real = rng.standard_normal((60, 12)).cumsum(axis=1), rng.standard_normal(12).cumsum()
    energy = sr.es_ensemble(real, ensemble, estimator="fair", backend="numpy")
    assert fair_energy_score(ensemble, real) == pytest.approx(float(energy), rel=1e-9)
    variogram = sr.vs_ensemble(real, ensemble, p=0.5, backend="numpy")
    assert variogram_score(ensemble, real) == pytest.approx(float(variogram), rel=1e-9)


def test_the_fair_crps_does_not_depend_on_the_number_of_paths() -> None:
    rng = np.random.default_rng(2)
    real = rng.standard_normal(20_000)
    means = [np.mean([fair_crps(rng.standard_normal(n), y) for y in real]) for n in (5, 50)]
    # E|X - y| - E|X - X'| / 2 = 1 / sqrt(pi) for normal X and y; the scores' deviation is near .5, so five errors
    # of 20,000 are .018; a biased estimator of five paths would be off by (1 / 5) / sqrt(pi) = .11
    for mean in means:
        assert mean == pytest.approx(1 / np.sqrt(np.pi), abs=0.018)


def test_a_variogram_sees_lost_clustering_that_the_energy_score_hardly_does() -> None:
    rng = np.random.default_rng(3)
    level = np.exp(0.8 * rng.standard_normal((400, 1)))  # each path calm or wild throughout
    sizes = np.abs(level * rng.standard_normal((400, 20)))
    shuffled = rng.permuted(sizes, axis=0)  # every bar's law stays, what hangs together is torn apart
    real = np.abs(np.exp(0.8 * rng.standard_normal((200, 1))) * rng.standard_normal((200, 20)))
    ratio = {
        score.__name__: np.mean([score(shuffled, y) for y in real]) / np.mean([score(sizes, y) for y in real])
        for score in (fair_energy_score, variogram_score)
    }
    assert ratio["variogram_score"] - 1 > 2 * (ratio["fair_energy_score"] - 1)


@pytest.mark.parametrize("lag", [2, 3])
def test_the_error_of_a_mean_is_that_of_statsmodels(lag: int) -> None:
    rng = np.random.default_rng(4)
    noise = rng.standard_normal(81)
    series = 0.3 + noise[1:] + 0.8 * noise[:-1]  # positively autocorrelated: the Newey-West error is the larger
    fit = sm.OLS(series, np.ones(80)).fit(cov_type="HAC", cov_kwds={"maxlags": lag, "use_correction": True})
    test = mean_test(series, lag)
    assert test.error == pytest.approx(fit.bse[0], rel=1e-12)
    assert test.t == pytest.approx(fit.tvalues[0], rel=1e-12)


def test_an_error_is_never_below_that_of_independent_numbers() -> None:
    series = np.tile([1.0, -1.0], 30) + 0.1  # negatively autocorrelated
    assert mean_test(series, 2).error == pytest.approx(series.std(ddof=1) / np.sqrt(60))


@pytest.mark.parametrize(("level", "most"), [(0.05, 0.05), (0.01, 0.011)])
def test_the_mean_of_independent_numbers_is_rejected_at_the_level_and_not_above(level: float, most: float) -> None:
    rng = np.random.default_rng(5)
    rejected = np.mean([mean_test(rng.random(60) - 0.5, 2).p < level for _ in range(4000)])
    # 4.6 % and 1 % in 40,000 replications; two errors of 4000 are .007 and .003
    assert rejected < most + 2 * np.sqrt(level * (1 - level) / 4000)
    assert rejected > level / 2


def test_a_better_forecast_has_skill_and_a_negative_t() -> None:
    rng = np.random.default_rng(6)
    real = rng.standard_normal(200)
    right = np.array([fair_crps(rng.standard_normal(99), y) for y in real])
    wrong = np.array([fair_crps(1.0 + rng.standard_normal(99), y) for y in real])
    skill = compare_scores("crps", "wrong", right, wrong)
    assert skill.t < -4
    assert skill.p < 1e-4
    assert skill.skill == pytest.approx(1 - right.mean() / wrong.mean())
    assert compare_scores("crps", "right", wrong, right).t == pytest.approx(-skill.t)


def test_equal_scores_are_no_difference() -> None:
    skill = compare_scores("crps", "same", np.ones(40), np.ones(40))
    assert (skill.t, skill.p, skill.skill) == (0.0, 1.0, 0.0)
