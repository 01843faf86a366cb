"""Holm's step-down, by hand and beside what R prints."""

import numpy as np
import pytest

from scenario_gen.stats.means import holm


def test_adjusted_p_values_are_those_of_r():
    # p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm") in R: 0.05 0.08 0.09 0.09 0.09
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])


def test_the_order_that_comes_is_kept_and_one_is_the_most():
    assert holm([0.6, 0.01, 0.5]) == pytest.approx([1.0, 0.03, 1.0])
    assert holm([]) == []
    assert holm([0.04]) == [0.04]


def test_any_false_alarm_among_many_is_as_rare_as_stated():
    p = np.random.default_rng(0).random((4000, 10))
    alarmed = np.mean([min(holm(row)) < 0.05 for row in p])
    # 1 - .995^10 = .0489 for independent ones; three standard errors at 4000 runs.
    assert alarmed == pytest.approx(1 - 0.995**10, abs=3 * np.sqrt(0.05 * 0.95 / 4000))
