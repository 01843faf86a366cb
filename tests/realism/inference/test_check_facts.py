"""check_facts as its callers meet it: modes, caps, bad input, and results that JSON can hold."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.planted import simulate
from scenario_gen.errors import CheckError, DataError
from scenario_gen.market import Candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.check import check_facts
from scenario_gen.realism.controls import Relative
from scenario_gen.realism.facts import path_statistics
from scenario_gen.realism.gauge import Gauge, windows
from scenario_gen.realism.long_sample import LONG_FACTS, long_facts
from scenario_gen.realism.results import FactsReport, FactVerdict
from scenario_gen.values import decode, encode

HISTORY = simulate(1, 2600, np.random.default_rng(1)).candles()
PATHS = simulate(120, 60, np.random.default_rng(2)).bars


def fact(report: FactsReport, name: str) -> FactVerdict:
    return next(f for f in report.facts if f.fact == name)


@pytest.fixture(scope="module")
def report() -> FactsReport:
    return check_facts(PATHS, HISTORY, context=HISTORY.context(60), seed=3)


def test_a_report_survives_json_unchanged(report: FactsReport) -> None:
    text = json.dumps(encode(report), allow_nan=False)
    assert decode(FactsReport, json.loads(text)) == report


def test_the_seed_decides_everything_random(report: FactsReport) -> None:
    assert check_facts(PATHS, HISTORY, context=HISTORY.context(60), seed=3) == report
    assert check_facts(PATHS, HISTORY, context=HISTORY.context(60), seed=4) != report


def test_facts_of_a_long_sample_stand_beside_and_judge_nothing(report: FactsReport) -> None:
    shown = {one.fact: one for one in report.long}
    assert list(shown) == [fact.id for fact in LONG_FACTS]
    whole = long_facts(np.diff(np.log(HISTORY.close))[None])
    pooled = long_facts(PATHS.r)
    for name, one in shown.items():
        assert (one.real is None) == bool(one.real_reason) == bool(np.isnan(whole[name]))
        assert (one.synthetic is None) == bool(one.synthetic_reason) == bool(np.isnan(pooled[name]))
    assert shown["hill_losses_5"].real == pytest.approx(whole["hill_losses_5"])
    assert shown["hurst_abs"].real == pytest.approx(whole["hurst_abs"])
    assert shown["hill_losses_5"].synthetic == pytest.approx(pooled["hill_losses_5"])
    assert shown["theta_losses"].synthetic_reason == "needs 1,000 bars in a row, these have 60"
    assert set(report.groups) == {f.group for f in report.facts if f.label} | {"ensemble"}


def test_every_judged_fact_shows_its_evidence(report: FactsReport) -> None:
    for verdict in report.facts:
        assert verdict.reason
        if verdict.label in ("PASS", "WARN", "FAIL", "INCONCLUSIVE"):
            assert verdict.comparison is not None
            assert verdict.q is not None
            assert verdict.mde is not None
            assert verdict.control_p is not None
            assert verdict.control_power is not None
            assert verdict.halves is not None
            assert verdict.comparison.location.low <= verdict.comparison.location.value
    assert report.groups["clustering"] in ("PASS", "INCONCLUSIVE", "WARN")
    assert "ensemble" in report.groups
    assert sum(report.counts("tails").values()) == sum(f.group == "tails" and f.label is not None for f in report.facts)


def test_facts_of_scale_are_shown_and_not_judged_on_one_context(report: FactsReport) -> None:
    assert fact(report, "log_sd").label is None
    assert "context" in fact(report, "log_sd").reason
    assert "scale" not in report.groups


def test_the_mode_follows_from_what_is_given(report: FactsReport) -> None:
    assert report.mode == "C"
    many = check_facts(PATHS, HISTORY, context_ids=np.arange(120) % 30, seed=1)
    assert (many.mode, many.design.path_clusters) == ("B", 30)
    one = check_facts(PATHS, HISTORY, context_ids=np.zeros(120, dtype=int), seed=1)
    assert (one.mode, one.design.path_clusters) == ("C", 20)
    assert check_facts(PATHS, HISTORY, seed=1).mode == "B"


def test_how_widely_the_paths_of_one_context_spread_is_no_fault_of_a_fact() -> None:
    many = simulate(400, 60, np.random.default_rng(5)).bars
    values = path_statistics(many)["acf_rng_1_5"]
    distance = np.abs(values - np.median(values))
    narrow, wide = (many.select(np.argsort(order)[:150]) for order in (distance, -distance))
    found = {
        (name, mode): fact(check_facts(bars, HISTORY, context=context, seed=1), "acf_rng_1_5")
        for name, bars in (("narrow", narrow), ("wide", wide))
        for mode, context in (("B", None), ("C", HISTORY.context(60)))
    }
    assert [found[name, "B"].label for name in ("narrow", "wide")] == ["FAIL", "FAIL"]
    for name in ("narrow", "wide"):
        one = found[name, "C"]
        assert one.label == "PASS"
        assert one.comparison is not None
        assert one.comparison.dispersion is None


def test_few_contexts_are_held_to_stretches_of_time_and_many_to_all_of_history() -> None:
    few, many = (check_facts(PATHS, HISTORY, context_ids=np.arange(120) % n, seed=1) for n in (12, 20))
    assert (few.mode, many.mode) == ("B", "B")
    assert "12 contexts, fewer than 20" in few.notes[0]
    assert many.notes == []
    spread = [fact(report, "acf_rng_1_5").comparison for report in (few, many)]
    assert [one is not None and one.dispersion is None for one in spread] == [True, False]


def test_few_clusters_and_short_references_cap_fail_at_warn() -> None:
    broken = replace(PATHS, high=PATHS.high * 1.02, low=PATHS.low * 0.98)
    long = check_facts(broken, HISTORY, seed=1)
    assert fact(long, "body_frac").label == "FAIL"
    assert long.design.caps == []
    short = check_facts(broken, HISTORY.rows(0, 1000), seed=1)
    assert fact(short, "body_frac").label == "WARN"
    assert "1,000 bars" in fact(short, "body_frac").reason
    few = check_facts(broken, HISTORY, context_ids=np.arange(120) % 6, seed=1)
    assert fact(few, "body_frac").label == "WARN"
    assert "6 contexts" in few.design.caps[0]


@pytest.mark.parametrize("bars", [130, 260])
def test_a_reference_that_is_too_short_leaves_everything_untestable(bars: int) -> None:
    report = check_facts(PATHS, HISTORY.rows(0, bars), context=HISTORY.rows(0, bars), seed=1)
    labels = {f.label for f in report.facts} - {None}
    assert labels <= {"UNTESTABLE"} if bars == 130 else "FAIL" not in labels
    if bars == 130:
        assert "2 separate stretches of 60 bars" in report.notes[0]
    assert decode(FactsReport, json.loads(json.dumps(encode(report), allow_nan=False))) == report


def test_without_volume_on_a_side_volume_facts_are_untestable_and_no_other() -> None:
    silent = check_facts(replace(PATHS, volume=None), HISTORY, seed=1)
    assert fact(silent, "vol_acf_1_5").label == "UNTESTABLE"
    assert "no volume" in fact(silent, "vol_acf_1_5").reason
    assert silent.groups["volume"] == "UNTESTABLE"
    assert fact(silent, "acf_rng_1_5").label == "PASS"
    mute = Candles(HISTORY.timestamps, HISTORY.values[:, :4], HISTORY.fields[:4])
    assert check_facts(PATHS, mute, seed=1).groups["volume"] == "UNTESTABLE"


def test_short_paths_leave_what_needs_more_bars_untestable() -> None:
    short = check_facts(simulate(100, 10, np.random.default_rng(7)).bars, HISTORY, seed=1)
    assert set(short.groups.values()) == {"UNTESTABLE"}
    assert "needs paths of at least 30 bars, these have 10" in fact(short, "acf_r_1").reason
    single = check_facts(simulate(100, 1, np.random.default_rng(8)).bars, HISTORY, seed=1)
    assert set(single.groups.values()) == {"UNTESTABLE"}


def test_constant_paths_never_pass() -> None:
    flat = np.full((50, 60), 100.0)
    report = check_facts(BarArrays(flat, flat, flat, flat, flat, np.full(50, 100.0)), HISTORY, seed=1)
    assert not {"PASS", "INCONCLUSIVE"} & {f.label for f in report.facts}
    assert report.groups["ensemble"] == "FAIL"


def test_some_constant_paths_are_a_fault() -> None:
    bars = simulate(120, 60, np.random.default_rng(9)).bars
    columns = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close")}
    for values in columns.values():
        values[:40] = 100.0
    report = check_facts(replace(bars, **columns), HISTORY, seed=1)
    assert fact(report, "Lkurt").label == "FAIL"
    assert "33% more of the paths" in fact(report, "Lkurt").reason
    assert next(s for s in report.scores if s.score == "distinct").label == "FAIL"


def test_paths_beyond_2000_are_left_out_and_told() -> None:
    many = simulate(2500, 20, np.random.default_rng(10)).bars
    report = check_facts(many, HISTORY, seed=1)
    assert (report.design.paths, report.design.paths_given) == (2000, 2500)


def test_several_histories_are_pooled() -> None:
    other = replace(simulate(1, 2600, np.random.default_rng(11)).candles(), name="other")
    alone, pooled = (check_facts(PATHS, reference, seed=1) for reference in (HISTORY, [HISTORY, other]))
    assert pooled.design.clusters == alone.design.clusters
    assert pooled.design.windows == 2 * alone.design.windows
    ours, theirs = (fact(r, "acf_rng_1_5").mde for r in (pooled, alone))
    assert ours is not None
    assert theirs is not None
    assert ours < theirs


def test_a_volatility_of_another_bar_length_is_pointed_out() -> None:
    report = check_facts(simulate(100, 60, np.random.default_rng(12)).scaled(3.0), HISTORY, seed=1)
    assert "volatility is 3" in report.notes[0]


BROKEN = replace(PATHS, close=np.where(np.arange(120)[:, None] == 7, np.nan, PATHS.close))
WEEKLY = pd.date_range("2020-01-03", periods=60, freq="W-FRI")


@pytest.mark.parametrize(
    ("paths", "extra", "message"),
    [
        (PATHS.select(np.array([0])), {}, "1 paths came"),
        (PATHS.select(np.arange(0)), {}, "0 paths came"),
        (BROKEN, {}, "1 of 120 paths have prices that are missing.*path 7"),
        (replace(PATHS, close=-PATHS.close), {}, "120 of 120 paths"),
        (replace(PATHS, volume=-np.ones((120, 60))), {}, "volumes"),
        (replace(PATHS, volume=np.full((120, 60), np.nan)), {}, "volumes"),
        (PATHS, {"context_ids": np.zeros(5)}, "for 120 paths"),
        (PATHS, {"context_ids": np.arange(120) % 3}, "3 contexts"),
        (PATHS, {"timestamps": WEEKLY}, "weekly"),
        (PATHS, {"timestamps": WEEKLY[:20]}, "20 stamps for paths of 60 bars"),
        (replace(PATHS, session_open=np.zeros(60, dtype=bool)), {}, "daily or longer bars, the paths have intraday"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_words(paths: BarArrays, extra: dict, message: str) -> None:
    with pytest.raises(CheckError, match=message) as caught:
        check_facts(paths, HISTORY, seed=1, **extra)
    assert caught.value.expected


@pytest.mark.parametrize("reference", [[], HISTORY.rows(0, 1)])
def test_no_reference_is_refused(reference: Candles | list[Candles]) -> None:
    with pytest.raises(DataError, match="fewer than two bars"):
        check_facts(PATHS, reference, seed=1)


def test_histories_of_two_frequencies_are_refused() -> None:
    weekly = replace(HISTORY, timestamps=pd.date_range("1950-01-06", periods=2600, freq="W-FRI"))
    with pytest.raises(CheckError, match="daily, weekly"):
        check_facts(PATHS, [HISTORY, weekly], seed=1)


DAYS = pd.bdate_range("2020-01-01", periods=120)
STAMPS = pd.DatetimeIndex([day + pd.Timedelta(minutes=570 + 5 * k) for day in DAYS for k in range(48)])


def intraday_history() -> Candles:
    """120 days of five-minute bars whose first bars of a day are three times as wild."""
    made = simulate(1, len(STAMPS), np.random.default_rng(13))
    wild = np.where(np.arange(len(STAMPS)) % 48 < 6, 3.0, 1.0)
    parts = Relative.of(made.bars)
    parts = replace(parts, **{name: getattr(parts, name) * wild for name in ("g", "b", "hh", "ll")})
    candles = made.candles()
    bars = parts.onto(made.bars)
    columns = [getattr(bars, name)[0] for name in ("open", "high", "low", "close", "volume")]
    return Candles(STAMPS, np.column_stack(columns), candles.fields)


def test_intraday_paths_stand_on_the_clock_of_the_reference() -> None:
    history = intraday_history()
    paths = simulate(150, 48, np.random.default_rng(14)).bars  # no time of day at all
    inside = STAMPS[:48]
    report = check_facts(paths, history, timestamps=inside, seed=1)
    assert fact(report, "open_mid_rng").label == "FAIL"
    assert report.groups["intraday"] == "FAIL"
    with pytest.raises(CheckError, match="sessions of 48 bars, the paths have daily or longer"):
        check_facts(paths, history, seed=1)
    unplaced = replace(paths, session_open=np.zeros(48, dtype=bool), session_bars=48)
    with pytest.raises(CheckError, match="sessions of 48 bars"):
        check_facts(unplaced, history, seed=1)


def test_real_sessions_pass_the_intraday_facts() -> None:
    history = intraday_history()
    gauge = Gauge.of(history)
    half = len(STAMPS) // 2
    held_out = windows(history.rows(half, len(STAMPS)), 48, 48, tick=gauge.tick, clock=gauge.clock).bars
    assert held_out.bar_of_day is not None
    starts = held_out.select(held_out.bar_of_day[:, 0] == held_out.bar_of_day[0, 0])
    report = check_facts(starts, history.rows(0, half), context_ids=np.arange(len(starts)), seed=1)
    assert fact(report, "open_mid_rng").label in ("PASS", "INCONCLUSIVE", "UNTESTABLE")
    assert "FAIL" not in report.groups.values()
