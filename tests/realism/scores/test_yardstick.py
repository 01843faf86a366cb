"""The yardstick: splits of real windows that are fair, and verdicts beside them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from benchmarks.planted import collapsed, copy
from scenario_gen.market import Candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.check import check_facts
from scenario_gen.realism.controls import negative_control
from scenario_gen.realism.gauge import Gauge, windows
from scenario_gen.realism.results import FactsReport, ScoreVerdict
from scenario_gen.realism.sample import cut_reference
from scenario_gen.realism.space import YardstickScore, measure, random_splits


@given(st.integers(10, 40), st.integers(1, 12), st.integers(20, 400), st.integers(0, 100))
@settings(max_examples=50, deadline=None)
def test_halves_are_whole_clusters_and_both_sides_have_as_many_points(
    clusters: int, size: int, paths: int, seed: int
) -> None:
    ids = np.repeat(np.arange(clusters), size)
    for split in random_splits(ids, paths, np.random.default_rng(seed), count=3):
        assert not set(ids[split.held_out]) & set(ids[split.rest])
        assert len(split.paths) == len(split.held_out) == min(paths, clusters // 2 * size)
        assert len(set(split.paths)) == len(split.paths)
        assert len(set(ids[split.rest])) == clusters - clusters // 2


def test_a_score_is_measured_on_paths_and_on_held_out_windows_alike() -> None:
    splits = random_splits(np.repeat(np.arange(10), 4), 30, np.random.default_rng(1), count=5)
    found = measure(splits, ["real", "size"], lambda is_real, rows, rest: [float(is_real), len(rows) + len(rest)])
    assert found["real"].value == 0
    assert found["real"].real_median == 1
    assert found["size"].value == 40


def test_limits_are_on_the_side_that_counts_as_bad() -> None:
    found = YardstickScore(np.array([96.0]), np.arange(101.0))
    assert (found.limit(), found.limit(low=True)) == (95, 5)
    assert found.beyond() == pytest.approx(96 / 101)
    assert found.beyond(low=True) == pytest.approx(4 / 101)


@pytest.fixture(scope="module")
def real(nasdaq: Candles) -> BarArrays:
    cut = cut_reference([nasdaq.rows(0, 2600)], 60, Gauge.of(nasdaq))
    assert cut is not None
    return cut.bars


def score(report: FactsReport, name: str) -> ScoreVerdict:
    return next(s for s in report.scores if s.score == name)


def checked(bars: BarArrays, nasdaq: Candles) -> FactsReport:
    return check_facts(bars, nasdaq.rows(0, 2600), seed=1)


def test_brownian_motion_fails_every_score_in_the_space_of_facts(real: BarArrays, nasdaq: Candles) -> None:
    report = checked(negative_control("gbm", real, 200, np.random.default_rng(1)), nasdaq)
    assert [score(report, name).label for name in ("c2st", "energy", "coverage")] == ["FAIL"] * 3
    assert [score(report, name).label for name in ("copies", "distinct")] == ["PASS"] * 2
    assert report.groups["ensemble"] == "FAIL"
    assert score(report, "c2st").beyond == 1.0


def test_a_copy_is_caught_by_the_copy_test_and_by_nothing_but_it_and_the_classifier(
    real: BarArrays, nasdaq: Candles
) -> None:
    report = checked(copy(real, 150, np.random.default_rng(2)).select(slice(None)), nasdaq)
    assert score(report, "copies").label == "FAIL"
    assert score(report, "energy").label == score(report, "coverage").label == "PASS"
    assert score(report, "c2st").label in ("PASS", "WARN")
    found = score(report, "c2st").value
    assert found is not None
    assert found < 0.5


def test_mode_collapse_is_caught_by_diversity(real: BarArrays, nasdaq: Candles) -> None:
    report = checked(collapsed(real, 200, np.random.default_rng(3)), nasdaq)
    assert score(report, "distinct").label == "FAIL"
    assert score(report, "distinct").value == pytest.approx(5 / 200)
    assert score(report, "coverage").label in ("WARN", "FAIL")


def test_halves_too_small_for_five_folds_leave_the_classifier_untestable(nasdaq: Candles) -> None:
    # 1,250 bars in ten stretches of 125: one window of 120 bars in each, five in a half, and five random paths of
    # twenty groups seldom come from five different ones
    few = nasdaq.rows(0, 1250)
    paths = negative_control("gbm", windows(few, 120, 5).bars, 60, np.random.default_rng(6))
    report = check_facts(paths, few, seed=1)
    assert score(report, "c2st").label == "UNTESTABLE"
    assert "too few windows" in score(report, "c2st").reason
    assert score(report, "energy").value is not None


def test_lines_are_never_judged_and_a_short_yardstick_judges_nothing(nasdaq: Candles, real: BarArrays) -> None:
    report = checked(copy(real, 60, np.random.default_rng(4)), nasdaq)
    for name in ("w1_returns", "w1_normalised", "acf_abs", "leverage", "precision", "recall", "density"):
        assert score(report, name).label is None
        assert score(report, name).value is not None
    short = check_facts(copy(real, 60, np.random.default_rng(4)), nasdaq.rows(0, 500), seed=1)
    assert score(short, "c2st").label == "UNTESTABLE"
    assert "clusters" in score(short, "c2st").reason
    assert score(short, "w1_returns").label is None
