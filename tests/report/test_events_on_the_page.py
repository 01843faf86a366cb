"""Events on page and terminal: what a row says, the curve, and words that promise nothing."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from scenario_gen.finding import in_section
from scenario_gen.report.page import build_page
from scenario_gen.report.table import to_rich
from scenario_gen.report.tables.events import curve_table, event_row, events_table, how_sampled
from scenario_gen.report.words import FORBIDDEN, text_of
from scenario_gen.stats.estimate import Estimate
from scenario_gen.store.results import StressRun
from scenario_gen.stress.exceedance import CurvePoint, Level
from scenario_gen.stress.rare import Genealogy, Sampled
from scenario_gen.stress.verdicts import EventResult, GivenEvent, OtherModel, event_findings, told

CURVE = [
    CurvePoint(0.05, Estimate(0.5, 0.48, 0.52, n=8), Estimate(0.49, 0.45, 0.53, n=512, count=251), z=0.4, freedom=9.0),
    CurvePoint(0.12, Estimate(0.1, 0.09, 0.11, n=8), Estimate(0.11, 0.08, 0.14, n=512, count=56), z=-0.6, freedom=9.0),
    CurvePoint(0.25, Estimate(0.0024, 0.0019, 0.003, n=8), Estimate(0.002, 0.0, 0.01, n=512, count=1)),
    CurvePoint(0.33, Estimate(0.0004, 0.0002, 0.0008, n=8), Estimate(0.0, 0.0, 0.007, n=512, count=0)),
]
SPLIT = Sampled(
    method="splitting",
    probability=Estimate(0.0024, 0.0019, 0.003, n=8),
    plain=Estimate(0.002, 0.0001, 0.01, n=512, count=1),
    relative_error=0.1,
    islands=8,
    stopped="the error asked for is reached",
    paths=20_000,
    cost=32.0,
    gain=9.5,
    levels=[Level(0.05, 0.5), Level(0.12, 0.1)],
    curve=CURVE,
    genealogy=Genealogy(paths=3100, roots=400, alike=210.0, shared=0.04, together=0.0),
)
CRASH = EventResult(
    words="drawdown of 25 % or more",
    functional="max_drawdown",
    threshold=0.25,
    horizon=60,
    sampled=SPLIT,
    models=[
        OtherModel("garch", Estimate(0.03, 0.025, 0.036, n=8), "splitting"),
        OtherModel("bootstrap", Estimate(None), reason="cannot: the context is too short"),
    ],
    history=Estimate(3 / 83, 0.0075, 0.102, n=83, count=3),
    alike=Estimate(3 / 31, 0.02, 0.258, n=31, count=3),
    given=[
        GivenEvent(
            "Rule", Estimate(-0.2, -0.22, -0.18, n=9), Estimate(-0.2), Estimate(-0.3), Estimate(0.9, 0.8, 1.0, n=9)
        )
    ],
)


def _cells(event: EventResult) -> list[str]:
    return [cell.words for cell in events_table([event_row("crash25", event)]).rows[0].cells]


def test_a_row_says_how_rare_an_event_is_here_elsewhere_and_in_history() -> None:
    assert _cells(CRASH) == [
        "drawdown of 25 % or more within 60 bars",
        "1 in 417 (1 in 333 to 526)",
        "1 in 33 (1 in 28 to 40)",
        "cannot: the context is too short",
        "3 of 83 windows (1 in 10 to 133)",
        "210 of 3,100 paths",
        "8 islands, 20,000 paths",
    ]


def test_an_event_that_no_island_reached_and_one_that_is_common_are_told_as_such() -> None:
    nothing = Estimate(0.0, n=8, reason="no island reached the event")
    none = replace(SPLIT, probability=nothing, genealogy=None, gain=None)
    cells = _cells(replace(CRASH, sampled=none, history=Estimate(0.0, 0.0, 0.04, n=83, count=0)))
    assert cells[1] == "0 (no island reached the event)"
    assert cells[4:6] == ["0 of 83 windows (at most 1 in 25)", "none"]
    common = Estimate(0.4, 0.38, 0.42, n=512, count=205)
    plain = Sampled("rejection", common, common, 0.05, paths=512)
    assert _cells(replace(CRASH, sampled=plain))[1] == "40 % (38 to 42 %)"


def test_the_terminal_shows_the_curve_beside_the_plain_paths() -> None:
    table = curve_table(CRASH)
    assert [row.head for row in table.rows] == ["5.0 %", "12.0 %", "25.0 %", "33.0 %"]
    assert [cell.words for cell in table.rows[1].cells] == ["1 in 10 (1 in 9 to 11)", "56 of 512", "-0.6"]
    assert to_rich(table).row_count == 4
    falls = curve_table(replace(CRASH, functional="terminal_return", threshold=-0.25))
    assert falls.rows[0].head == "-5.0 %"


def test_how_it_was_found_tells_cost_gain_and_descent() -> None:
    told = text_of(how_sampled(event_row("crash25", CRASH)))
    assert "8 independent islands, 32.0 times the bars of the plain paths" in told
    assert "plain paths would take 9.5 times the bars for the same error" in told
    assert "share 4% of their bars" in told


@pytest.fixture
def asked(full: StressRun) -> StressRun:
    first = full.scenarios[0]
    findings = [*full.findings, *event_findings(first.name, CRASH, limit=0.001)]
    return replace(full, scenarios=[replace(first, event=CRASH), *full.scenarios[1:]], findings=findings)


def test_the_page_answers_with_table_curve_and_label_and_promises_nothing(asked: StressRun) -> None:
    page = build_page(asked)
    section = page.split('<section id="stress"')[1].split("</section>")[0]
    assert "How rare is each event?" in section
    assert "1 in 417 (1 in 333 to 526)" in section
    assert "Share of paths that come to x (log scale)" in section
    assert section.count('class="lim"') == 1, "the threshold is marked"
    assert "at most 0.6 standard errors lie between both" in section
    assert in_section(asked.findings, "stress") == "FAIL"
    text = re.sub(r"<[^>]+>", " ", section)
    assert [word for word in FORBIDDEN if re.search(rf"\b{re.escape(word)}\b", text, flags=re.IGNORECASE)] == []


def test_a_page_without_events_says_that_nothing_was_asked(full: StressRun) -> None:
    section = build_page(full).split('<section id="stress"')[1].split("</section>")[0]
    assert "How rare" not in section
    assert "Not asked" in section


@pytest.mark.parametrize(
    ("change", "label", "words"),
    [
        ({}, "FAIL", "at most 0.1 %"),
        ({"extinct": 3}, "INCONCLUSIVE", "3 of 8 islands did not reach it; the last level that several"),
        ({"tied": 0.93}, "INCONCLUSIVE", "the score is flat: 93% of the first paths have the same"),
    ],
)
def test_doubts_about_islands_come_before_the_limit(change: dict[str, float], label: str, words: str) -> None:
    finding = event_findings("crash25", replace(CRASH, sampled=replace(SPLIT, **change)), limit=0.001)[0]  # type: ignore[arg-type]
    assert finding.label == label
    assert words in f"{finding.measured} {finding.band}"


def test_models_that_differ_by_more_than_ten_times_and_curves_that_part_are_told() -> None:
    by_name = {finding.name: finding for finding in event_findings("crash25", CRASH, limit=None)}
    assert by_name["event_models_agree"].label == "WARN"
    assert "12.5 times apart" in by_name["event_models_agree"].measured
    assert by_name["event_in_history"].label == "WARN"
    assert "3 of the 31 that began about as volatile" in by_name["event_in_history"].measured
    calm = replace(CRASH, alike=Estimate(1 / 31, 0.0008, 0.167, n=31, count=1))
    assert {finding.name: finding.label for finding in event_findings("crash25", calm, limit=None)}[
        "event_in_history"
    ] == "PASS"
    none = replace(CRASH, alike=Estimate(None, n=0))
    assert [found.label for found in event_findings("crash25", none, limit=None)][-1] == "UNTESTABLE"
    assert by_name["event_cross_check"].label == "PASS"
    assert by_name["event_genealogy"].label == "PASS"
    apart = replace(CRASH, models=[replace(CRASH.models[0], probability=Estimate(3.5e-8, 2e-8, 5e-8))])
    far = {finding.name: finding for finding in event_findings("crash25", apart, limit=None)}["event_models_agree"]
    assert re.search(r"up to \d{2,3},\d00 times apart", far.measured), "three digits mean something, no more"
    parted = replace(SPLIT, curve=[replace(CURVE[0], z=7.0, freedom=9.0), *CURVE[1:]])
    found = event_findings("crash25", replace(CRASH, sampled=parted), limit=None)
    assert next(finding for finding in found if finding.name == "event_cross_check").label == "FAIL"


def test_common_probabilities_are_told_in_percent_and_rare_ones_as_odds_too() -> None:
    assert told(Estimate(0.32, 0.28, 0.36, n=8)) == "32 % (28 to 36 %)"
    assert told(Estimate(0.0032, 0.0028, 0.0036, n=8)) == "0.32 %, 1 in 312 (1 in 278 to 1 in 357)"  # of 312.5
    assert told(Estimate(0.0, 0.0, 0.04, n=83, count=0)) == "0, at most 1 in 25"
    assert told(Estimate(1.7e-15, 5e-16, 5e-15, n=8)) == "below 1 in 1,000,000,000"
    assert told(Estimate(0.01, n=4, reason="4 islands have no interval, 8 do")).endswith(
        "(4 islands have no interval, 8 do)"
    )


def test_what_is_not_rare_is_said_in_percent_and_what_is_rare_as_one_in_so_many_too() -> None:
    assert told(Estimate(0.33, 0.32, 0.35)) == "33 % (32 to 35 %)"
    assert told(Estimate(0.025, 0.0227, 0.0286)) == "2.5 %, 1 in 40 (1 in 35 to 1 in 44)"
