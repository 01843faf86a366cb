"""Labels: at the stated rate where nothing is wrong, and FAIL where a defect is planted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scenario_gen.forecasts.judge import contamination, judge_functionals, judge_generator, label_of, with_skills
from scenario_gen.forecasts.numbers import FUNCTIONALS, Observation, measure
from scenario_gen.forecasts.results import GeneratorCalibration
from scenario_gen.market import PathSet
from scenario_gen.market.candles import Scale
from scenario_gen.values import decode, encode

IDS = [functional.id for functional in FUNCTIONALS]
SCALE = Scale(0.01, 1e-4, 1000.0)


def _market(rng: np.random.Generator, paths: int, bars: int = 12, volatility: float = 0.01) -> PathSet:
    """Return candles of a known law: independent Gaussian bars with independent wicks and volumes."""
    body = volatility * rng.standard_normal((paths, bars))
    close = np.cumsum(body, axis=1)
    wicks = volatility * rng.exponential(size=(2, paths, bars))
    opened = close - body
    logs = np.stack(
        (opened, np.maximum(opened, close) + wicks[0], np.minimum(opened, close) - wicks[1], close), axis=-1
    )
    volume = 1000 * np.exp(rng.standard_normal((paths, bars, 1)))
    return PathSet(
        values=np.concatenate((100 * np.exp(logs), volume), axis=-1).astype(np.float32),
        fields=("open", "high", "low", "close", "volume"),
        timestamps=pd.date_range("2020-01-01", periods=bars),
        path_ids=np.arange(paths),
        anchor_close=100.0,
    )


def _observations(
    rng: np.random.Generator, origins: int, paths: int = 49, volatility: float = 0.01
) -> list[Observation]:
    return [
        measure(_market(rng, paths, volatility=volatility), _market(rng, 1), SCALE, IDS, rng) for _ in range(origins)
    ]


def _judge(observations: list[Observation], name: str = "model") -> GeneratorCalibration:
    clean = contamination(None, [])
    return judge_generator(name, {"kind": name}, observations, {}, clean, omitted={}, seed=1)


def test_a_perfect_generator_is_flagged_at_the_stated_rate() -> None:
    rng = np.random.default_rng(1)
    (draw,) = _observations(rng, 1)
    flagged, failed = 0, 0
    for _ in range(80):
        rows = [replace(draw, pits=dict(zip(IDS, row, strict=True))) for row in rng.random((60, len(IDS)))]
        labels = [one.label for one in judge_functionals(rows, {})]
        flagged += any(label in ("WARN", "FAIL") for label in labels)
        failed += "FAIL" in labels
    # any of eleven at 5 % false discoveries: 5 % of runs where they are independent; four errors of 80 are .10
    assert 1 <= flagged <= 12
    assert failed <= 4  # 1 % of runs and four errors


def test_ensembles_of_the_true_law_pass_end_to_end() -> None:
    rng = np.random.default_rng(2)
    labels = [_judge(_observations(rng, 60)).label for _ in range(8)]
    # each run is flagged with 5 % (and .3 % for its drift); three or more of eight come once in 200 seeds
    assert sum(label != "PASS" for label in labels) <= 2


@pytest.mark.parametrize(("volatility", "side"), [(0.008, 1), (0.0125, -1)])
def test_a_volatility_off_by_a_fifth_fails_by_its_realised_volatility(volatility: float, side: int) -> None:
    judged = _judge(_observations(np.random.default_rng(3), 60, volatility=volatility))
    found = judged.functional("log_volatility")
    assert found.label == "FAIL"
    assert found.mean is not None
    assert side * (found.mean - 0.5) > 0.15  # too calm paths leave what came high among them
    assert judged.label == "FAIL"
    assert judged.functional("mean_log_volume").label == "PASS"  # and only what is wrong fails


@pytest.mark.parametrize(
    ("origins", "q", "off", "covered", "label"),
    [
        (60, 0.005, 0.12, 0.9, "FAIL"),
        (60, 0.005, -0.12, 0.9, "FAIL"),
        (60, 0.005, 0.05, 0.75, "FAIL"),
        (60, 0.005, 0.05, 0.98, "FAIL"),
        (60, 0.005, 0.05, 0.9, "WARN"),
        (60, 0.03, 0.2, 0.6, "WARN"),
        (60, 0.06, 0.2, 0.6, "PASS"),
        (29, 0.001, 0.3, 0.5, "INCONCLUSIVE"),
        (29, 0.9, 0.0, 0.9, "INCONCLUSIVE"),
    ],
)
def test_a_failure_takes_certainty_and_size(origins: int, q: float, off: float, covered: float, label: str) -> None:
    assert label_of(origins, q, off, covered)[0] == label


def _next_bars(rng: np.random.Generator, forecasts: int, volatility: float) -> list[Observation]:
    return [
        measure(_market(rng, 99, 1, volatility), _market(rng, 1, 1), SCALE, ("return_1",), rng)
        for _ in range(forecasts)
    ]


def test_value_at_risk_has_a_label_of_its_own_and_where_it_fails_the_whole_does() -> None:
    rng = np.random.default_rng(9)
    rows, clean = _observations(rng, 60), contamination(None, [])

    def judged(volatility: float) -> GeneratorCalibration:
        near = _next_bars(rng, 500, volatility)
        return judge_generator("m", {}, rows, {}, clean, omitted={}, seed=1, next_bar=near)

    few, right, calm = _judge(rows), judged(0.01), judged(0.006)
    assert {one.label for one in few.functionals} == {"PASS"}
    assert few.drift.label == "PASS"
    # 60 forecasts let 3 exceedances be expected: told beside a PASS of the rest, and no part of it
    assert (few.value_at_risk, few.label) == ("INCONCLUSIVE", "PASS")
    assert "3.0 exceedances are expected of 60" in few.value_at_risk_reason
    assert (right.value_at_risk, right.label) == ("PASS", "PASS")
    assert (calm.value_at_risk, calm.label) == ("FAIL", "FAIL")  # the numbers of a path are the same as before
    assert calm.reason.startswith("value at risk, next bar, ")
    near = [one for one in calm.exceedances if one.functional == "return_1"]
    assert {one.forecasts for one in near} == {500}
    assert {one.forecasts for one in calm.exceedances if one.functional == "return_h"} == {60}


def test_below_thirty_origins_everything_is_shown_and_nothing_judged() -> None:
    judged = _judge(_observations(np.random.default_rng(4), 20, volatility=0.005))
    assert {one.label for one in judged.functionals} == {"INCONCLUSIVE"}
    assert judged.label == "INCONCLUSIVE"
    assert judged.drift.label == "INCONCLUSIVE"
    assert all(len(one.pits) == 20 and one.coverage for one in judged.functionals)
    assert "30 are needed" in judged.functionals[0].reason


def test_what_was_not_computed_is_untestable_and_does_not_count() -> None:
    rng = np.random.default_rng(5)
    some = [name for name in IDS if name != "mean_log_volume"]
    rows = [measure(_market(rng, 19), _market(rng, 1), SCALE, some, rng) for _ in range(40)]
    clean = contamination(None, [])
    judged = judge_generator("m", {}, rows, {"mean_log_volume": "no volume"}, clean, omitted={}, seed=1)
    missing = judged.functional("mean_log_volume")
    assert (missing.label, missing.reason, missing.mean) == ("UNTESTABLE", "no volume", None)
    assert judged.label in ("PASS", "WARN")


def test_results_survive_json_and_hold_no_nan() -> None:
    judged = _judge(_observations(np.random.default_rng(6), 30))
    text = json.dumps(encode(judged), allow_nan=False)
    assert "null" in text  # figures that do not apply are None
    assert decode(GeneratorCalibration, json.loads(text)) == judged


def test_skill_is_counted_on_the_origins_that_both_could_be_run_at() -> None:
    rng = np.random.default_rng(7)
    origins = [f"2020-01-{day:02d}" for day in range(1, 32)]
    rows = _observations(rng, 31)
    ours = replace(_judge(rows[1:]), omitted={origins[0]: "why"})
    other = replace(_judge(rows[:-1], "other"), omitted={origins[-1]: "why"})
    found = with_skills(ours, [other], origins)
    assert {one.baseline for one in found.skills} == {"other"}
    for skill in found.skills:
        assert skill.origins == 29
        assert skill.t == 0  # the same observations
    assert {one.score for one in found.skills} == set(ours.scores)
    assert with_skills(ours, [replace(other, omitted=dict.fromkeys(origins[1:], "why"))], origins).skills == []


def test_paths_of_other_bars_or_without_a_number_are_a_defect() -> None:
    rng = np.random.default_rng(8)
    paths, real = _market(rng, 9), _market(rng, 1)
    later = replace(real, timestamps=real.timestamps + pd.Timedelta(days=1))
    broken = replace(paths, values=np.where(paths.path_ids[:, None, None] == 3, np.nan, paths.values))
    wrong: list[Callable[[], object]] = [
        lambda: measure(paths, later, SCALE, IDS, rng),
        lambda: measure(paths, paths, SCALE, IDS, rng),
        lambda: measure(broken, real, SCALE, IDS, rng),
    ]
    for call in wrong:
        with pytest.raises(ValueError, match=r"real futures|no finite"):
            call()


@pytest.mark.parametrize(
    ("until", "label", "seen", "words"),
    [
        (None, "PASS", 0, "nothing later"),
        ("", "UNTESTABLE", 0, "does not record"),
        ("2019-12-31", "PASS", 0, "later than the training data"),
        ("2020-01-01", "WARN", 1, "1 of 3 futures"),
        ("2030-01-01", "WARN", 3, "3 of 3 futures"),
    ],
)
def test_futures_that_a_model_may_have_seen_are_counted(until: str | None, label: str, seen: int, words: str) -> None:
    futures = ["2020-01-01T00:00:00", "2020-02-01T00:00:00", "2020-03-01T00:00:00"]
    found = contamination(until, futures)
    assert (found.label, found.seen) == (label, seen)
    assert words in found.reason
