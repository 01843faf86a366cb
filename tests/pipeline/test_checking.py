"""``scenario_gen.check``: real windows pass, planted faults fail, copies are flagged, nothing is judged silently.

Data are dealt with fixed seeds. At these sizes the power table (BENCHMARKS.md) has a FAIL in 1 % of the splits with
held-out real windows and in all of them with shuffled bars and GBM.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from benchmarks.planted import block_bootstrap, simulate
from scenario_gen.market import Candles, load_candles
from scenario_gen.market.paths import PathSet
from scenario_gen.realism.controls import Relative
from scenario_gen.realism.scores import JUDGED, SCORE_GROUPS
from scenario_gen.store.reports import CheckReport
from scenario_gen.values import decode, encode
from tests.pipeline.given import ManyContexts, OneContext

GROUPS = [
    "candles", "tails", "clustering", "linear", "asymmetry", "candle_shape", "gaps", "volume", "intraday",
    "discriminative", "copy", "diversity",
]  # fmt: skip


@pytest.fixture(scope="module")
def nasdaq() -> Candles:
    return load_candles("nasdaq")


@pytest.fixture(scope="module")
def one(nasdaq: Candles) -> OneContext:
    return OneContext.of(nasdaq, "2012-12-31")


@pytest.fixture(scope="module")
def many(nasdaq: Candles) -> ManyContexts:
    return ManyContexts.of(nasdaq, seed=2)


@pytest.fixture(scope="module")
def copied(one: OneContext) -> CheckReport:
    return sg.check(one.copies(120), one.history)


def test_held_out_real_windows_fail_nothing(many: ManyContexts) -> None:
    report = sg.check(many.real(), many.reference)
    assert report.failed == []
    assert report.compared
    assert (report.mode, report.paths.contexts, report.design.caps) == ("B", 10, [])
    assert report.candles.bad_bars == 0  # chained in float64, read as float32: the order of prices is kept


@pytest.mark.parametrize("name", ["shuffle", "gbm"])
def test_shuffled_bars_and_gbm_fail_on_many_contexts(many: ManyContexts, name: str) -> None:
    report = sg.check(many.control(name), many.reference)
    assert {"clustering", "asymmetry", "volume", "discriminative"} <= set(report.failed)
    # Ten contexts are held to how far ten stretches of time lie apart, and their tails do.
    assert report.verdicts["tails"] in ("WARN", "FAIL")
    assert "candles" not in report.failed
    assert "copy" not in report.failed


@pytest.mark.parametrize("name", ["shuffle", "gbm"])
def test_shuffled_bars_and_gbm_fail_on_one_context(one: OneContext, name: str) -> None:
    report = sg.check(one.control(name), one.history)
    assert {"asymmetry", "gaps", "volume", "discriminative"} <= set(report.failed)
    assert report.verdicts["clustering"] in ("WARN", "FAIL")  # fourteen stretches of time leave room for a doubt
    assert report.mode == "C"


def test_the_true_law_of_a_known_market_fails_nothing() -> None:
    market = simulate(1, 5000, np.random.default_rng(4))
    history = market.candles()
    futures = simulate(200, 60, np.random.default_rng(5), market.states[0, -1])
    relative = Relative.of(futures.bars)
    last = float(history.close[-1])
    bars = relative.onto(replace(futures.bars, anchor_close=np.full(200, last)))
    values = np.stack([bars.open, bars.high, bars.low, bars.close, bars.volume], axis=-1)  # type: ignore[list-item]
    stamps = pd.bdate_range(history.timestamps[-1], periods=61)[1:]
    paths = PathSet(values.astype(np.float32), history.fields, stamps, np.arange(200), last)
    report = sg.check(paths, history)
    assert report.failed == []
    assert report.notes == []
    assert report.paths.source == "the path set"


def test_exact_copies_pass_the_facts_and_fail_the_copy_test(copied: CheckReport) -> None:
    assert "copy" in copied.failed
    facts = {copied.verdicts[group] for group in ("tails", "clustering", "linear", "asymmetry", "volume")}
    assert facts <= {"PASS", "INCONCLUSIVE"}
    assert "100.0% of the stretches" in copied.reasons["copy"]


def test_a_bootstrap_that_declares_itself_is_not_judged_for_copying(one: OneContext) -> None:
    rng = np.random.default_rng(1)
    template = one.windows.select(rng.integers(len(one.windows), size=100))
    paths = one.table(block_bootstrap(template, Relative.of(one.windows).flat(), 60, rng))
    judged, declared = (sg.check(paths, one.history, resamples_history=declares) for declares in (False, True))
    assert judged.verdicts["copy"] == "FAIL"
    assert declared.verdicts["copy"] == "UNTESTABLE"
    assert "declared to resample" in declared.reasons["copy"]
    (copies,) = [score for score in declared.scores if score.score == "copies"]
    assert copies.label is None
    assert copies.value is not None  # shown all the same
    assert copies.value > 0.5
    others = [group for group in GROUPS if group != "copy"]
    assert [declared.verdicts[group] for group in others] == [judged.verdicts[group] for group in others]


def test_every_group_has_one_label_and_a_reason(copied: CheckReport) -> None:
    assert list(copied.verdicts) == GROUPS
    assert list(copied.reasons) == GROUPS
    assert all(copied.reasons.values())
    assert sorted(name for names in SCORE_GROUPS.values() for name in names) == sorted(JUDGED)


def test_the_report_goes_through_json_unchanged(copied: CheckReport) -> None:
    assert decode(CheckReport, encode(copied)) == copied


def test_the_same_seed_gives_the_same_report_and_another_seed_another(one: OneContext, copied: CheckReport) -> None:
    paths = one.copies(120)
    assert sg.check(paths, one.history) == copied
    assert sg.check(paths, one.history, seed=1) != copied


def test_nothing_after_the_context_is_looked_at(one: OneContext, copied: CheckReport) -> None:
    later = one.history.values.copy()
    cut = len(one.history.split_at(one.end)[0])
    later[cut:] *= 3
    told = sg.check(one.copies(120), replace(one.history, values=later))
    assert told == copied
    assert copied.reference.last == "2012-12-31T00:00:00"
    assert copied.reference.left_out == len(one.history) - cut
    assert "60 of them fall in the time of the paths" in copied.notes[0]


def test_broken_candles_are_counted_before_the_repair_and_fail(one: OneContext) -> None:
    paths = one.copies(60)
    paths.loc[::10, "high"] = paths.loc[::10, "low"]
    report = sg.check(paths, one.history)
    assert report.verdicts["candles"] == "FAIL"
    rule = {row.rule: row for row in report.candles.rules}["V3"]
    assert rule.bars > 0.05 * 60 * 60
    assert rule.left_bars == 0


def test_paths_without_prices_are_dropped_counted_and_fail(many: ManyContexts) -> None:
    paths = many.real()
    lost = paths["path"].isin(range(13))  # all paths of the first context, and no others
    paths.loc[lost & (paths.groupby("path").cumcount() == 7), "close"] = np.nan
    report = sg.check(paths, many.reference)
    assert report.verdicts["candles"] == "FAIL"
    assert report.candles.rejected == 13
    assert (report.design.paths_given, report.design.path_clusters) == (117, 9)


def test_paths_that_never_move_fail_and_do_not_break_the_check(one: OneContext) -> None:
    paths = one.copies(40)
    paths[["open", "high", "low", "close"]] = one.history.split_at(one.end)[0].close[-1]
    report = sg.check(paths, one.history)
    assert {"tails", "clustering", "diversity"} <= set(report.failed)
    assert decode(CheckReport, encode(report)) == report  # no infinite figure


def test_without_volume_only_volume_is_untestable(one: OneContext, copied: CheckReport) -> None:
    bare = replace(one.history, values=one.history.values[:, :4], fields=one.history.fields[:4])
    for report in (sg.check(one.copies(120), bare), sg.check(one.copies(120).drop(columns="volume"), one.history)):
        assert report.verdicts["volume"] == "UNTESTABLE"
        assert report.verdicts["linear"] == copied.verdicts["linear"] == "PASS"


@pytest.mark.parametrize("bars", [130, 200])
def test_a_reference_that_is_too_short_judges_nothing_and_says_so(one: OneContext, bars: int) -> None:
    before = one.history.split_at(one.end)[0]
    report = sg.check(one.copies(40), before.rows(len(before) - bars, len(before)))
    assert not report.compared
    assert {label for group, label in report.verdicts.items() if group != "candles"} == {"UNTESTABLE"}
    assert "separate stretches of 60 bars" in report.obstacle


def test_several_path_sets_are_several_contexts(many: ManyContexts) -> None:
    paths = many.real()
    rows = paths.groupby("path")["timestamp"].transform("first")
    sets = []
    for first, part in paths.groupby(rows):
        values = part[list(many.reference.fields)].to_numpy(np.float32).reshape(-1, 60, 5)
        stamps = pd.DatetimeIndex(part["timestamp"].unique())
        before = float(many.reference.close[many.reference.timestamps < first][-1])
        sets.append(PathSet(values, many.reference.fields, stamps, np.arange(len(values)), before))
    report, as_table = sg.check(sets, many.reference), sg.check(paths, many.reference)
    assert report.verdicts == as_table.verdicts
    assert report.facts == as_table.facts
