"""Mode A's arithmetic: errors that allow for dependence, and the level of its tests on uniform ranks."""

from __future__ import annotations

import numpy as np
import pytest

from scenario_gen.stats.contrast import dispersion_of_pits, hac_mean, location_of_pits


def test_errors_are_newey_wests() -> None:
    import statsmodels.api as sm  # .6 s, which no other test needs

    rng = np.random.default_rng(3)
    x = 0.3 + np.convolve(rng.standard_normal(62), [1, 0.6, 0.3], "valid")
    ours = hac_mean(x)
    fit = sm.OLS(x, np.ones(len(x))).fit(cov_type="HAC", cov_kwds={"maxlags": 2, "use_correction": True}, use_t=True)
    assert ours.value == pytest.approx(fit.params[0])
    assert ours.se == pytest.approx(fit.bse[0])
    assert ours.p == pytest.approx(fit.pvalues[0])


def test_paths_that_are_too_narrow_read_minus_one_half_at_the_extreme() -> None:
    outside = np.tile([0.001, 0.999], 20)
    assert location_of_pits(outside).value == pytest.approx(0, abs=1e-3)
    assert dispersion_of_pits(outside).value == pytest.approx(-0.5, abs=0.01)
    assert dispersion_of_pits(outside).p < 1e-6


def test_paths_that_lie_above_what_came_true_read_positive() -> None:
    low = np.linspace(0.01, 0.3, 40)
    assert location_of_pits(low).value > 0.3
    assert location_of_pits(low).p < 1e-6


def test_the_smallest_difference_found_is_point_81_over_the_root_of_the_origins() -> None:
    rng = np.random.default_rng(4)
    mde = np.mean([location_of_pits(rng.random(60)).mde for _ in range(300)])
    # .81 comes from normal quantiles and independent ranks; t with 59 df and HAC noise move it by some percent.
    assert mde == pytest.approx(0.81 / np.sqrt(60), rel=0.06)


def test_false_alarms_on_uniform_ranks_are_nominal() -> None:
    rng = np.random.default_rng(5)
    u = rng.random((1000, 60))
    where = np.mean([location_of_pits(row).p < 0.05 for row in u])
    width = np.mean([dispersion_of_pits(row).p < 0.05 for row in u])
    # Standard error .7 %; lag-2 errors with 60 origins are known to be some 1 to 2 points liberal.
    assert 0.04 <= where <= 0.09
    assert 0.04 <= width <= 0.09


def test_two_equal_origins_do_not_divide_by_zero() -> None:
    found = hac_mean(np.array([0.25, 0.25]))
    assert np.isfinite([found.se, found.p, found.low, found.high]).all()
