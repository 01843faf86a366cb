"""Labels: the rules, one by one, and the order of badness."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from scenario_gen.finding import Label, worst
from scenario_gen.realism.verdicts import Evidence, combine, judge
from scenario_gen.stats.contrast import Contrast
from scenario_gen.stats.means import benjamini_hochberg

QUIET = Evidence(effect=0.02, q=0.8, mde=0.12, control="gbm", control_p=0.5)


@pytest.mark.parametrize(
    ("evidence", "label"),
    [
        (QUIET, "PASS"),
        (replace(QUIET, mde=0.15), "PASS"),
        (replace(QUIET, mde=0.16), "INCONCLUSIVE"),
        (replace(QUIET, mde=0.4, control_p=0.009), "PASS"),
        (replace(QUIET, mde=0.4, control_p=0.011), "INCONCLUSIVE"),
        (replace(QUIET, mde=0.4, control="", control_p=None), "INCONCLUSIVE"),
        (replace(QUIET, q=0.009, effect=0.10), "FAIL"),
        (replace(QUIET, q=0.009, effect=0.09), "WARN"),
        (replace(QUIET, q=0.011, effect=0.30), "WARN"),
        (replace(QUIET, q=0.001, effect=0.04), "PASS"),  # sure, but too small to matter
        (replace(QUIET, q=0.051, effect=0.30), "PASS"),
        (replace(QUIET, q=0.009, effect=0.10, cap="the reference is short"), "WARN"),
        (replace(QUIET, undefined=0.2, undefined_p=0.001), "FAIL"),
        (replace(QUIET, undefined=0.06, undefined_p=0.04), "WARN"),
        (replace(QUIET, undefined=0.06, undefined_p=0.2), "PASS"),
    ],
)
def test_evidence_becomes_its_label(evidence: Evidence, label: Label) -> None:
    assert judge(evidence)[0] == label


def test_every_label_says_why() -> None:
    assert judge(replace(QUIET, q=0.001, effect=0.1, direction="lower in the paths than in reality"))[1] == (
        "effect 0.10, q 0.0010: lower in the paths than in reality"
    )
    assert "0.12 would have been found" in judge(QUIET)[1]
    assert "gbm was not caught" in judge(replace(QUIET, mde=0.4))[1]
    capped = judge(replace(QUIET, q=0.001, effect=0.2, cap="the reference has 900 bars"))[1]
    assert "not called FAIL because the reference has 900 bars" in capped


@pytest.mark.parametrize(
    ("q", "shown"),
    [
        (0.04996, "q 0.04996: perhaps"),
        (0.0499996, "q 0.0499996: perhaps"),
        (0.0499, "q 0.0499: perhaps"),
        (0.009996, "q 0.009996: "),
        (0.05, "q 0.050; "),
        (0.0504, "q 0.050; "),
        (0.01, "q 0.010: perhaps"),
        (0.0304, "q 0.030: perhaps"),
    ],
)
def test_a_p_value_is_never_rounded_onto_the_threshold_that_it_is_below(q: float, shown: str) -> None:
    assert f"effect 0.20, {shown}" in judge(replace(QUIET, q=q, effect=0.2, direction="lower"))[1]


def test_a_group_is_as_bad_as_its_worst_member() -> None:
    order: list[Label] = ["PASS", "UNTESTABLE", "INCONCLUSIVE", "WARN", "FAIL"]
    for better, worse in pairwise(order):
        assert worst([better, worse, better]) == worse
    assert worst(["UNTESTABLE", "UNTESTABLE"]) == "UNTESTABLE"
    assert worst(["PASS"] * 9 + ["WARN"]) == "WARN"


def test_adjusted_p_values_reject_what_benjamini_and_hochberg_reject() -> None:
    # Benjamini and Hochberg 1995, section 3.2: fifteen p-values, four rejected at .05.
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528]
    p += [0.7590, 1.0]
    q = benjamini_hochberg({str(k): value for k, value in enumerate(p)})
    assert sum(value <= 0.05 for value in q.values()) == 4
    assert q["3"] == pytest.approx(0.0095 * 15 / 4)
    assert benjamini_hochberg({}) == {}


def test_two_tests_of_one_fact_are_corrected_and_the_larger_difference_counts() -> None:
    where, width = Contrast(0.08, 0.05, 20, 0.03, -0.02, 0.18), Contrast(-0.2, 0.05, 20, 0.5, -0.3, -0.1)
    both = combine(where, width)
    assert (both.p, both.effect) == (pytest.approx(2 * 0.03), 0.2)
    assert combine(replace(where, p=0.7), width).p == 1.0  # twice .5
    assert combine(replace(where, p=0.7), replace(width, p=0.9)).p == 1.0  # never above 1


def test_the_direction_is_that_of_the_larger_difference() -> None:
    def contrast(value: float) -> Contrast:
        return Contrast(value, 0.05, 20, 0.5, value - 0.1, value + 0.1)

    words = {
        (0.2, -0.1): "higher in the paths than in reality",
        (-0.2, 0.1): "lower in the paths than in reality",
        (0.1, 0.2): "more spread out in the paths than in reality",
        (0.1, -0.2): "less spread out in the paths than in reality",
    }
    for (where, width), expected in words.items():
        assert combine(contrast(where), contrast(width)).direction == expected
