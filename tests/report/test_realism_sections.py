"""Sections 1 and 3 of the page: calibration, the dial that was searched, and stylized facts."""

from __future__ import annotations

import re
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from benchmarks.planted import simulate
from scenario_gen.finding import Finding, Label
from scenario_gen.forecasts.dial import RULE, DialPoint, DialSearch
from scenario_gen.forecasts.judge import contamination, judge_generator, with_skills
from scenario_gen.forecasts.numbers import Observation, measure
from scenario_gen.forecasts.results import Calibration
from scenario_gen.market import Candles, PathSet
from scenario_gen.market.candles import Scale
from scenario_gen.realism.by_origin import check_facts_by_origin
from scenario_gen.realism.check import check_facts
from scenario_gen.realism.controls import negative_control
from scenario_gen.realism.gauge import windows
from scenario_gen.realism.results import FactsReport
from scenario_gen.report import cards
from scenario_gen.report.drawing.strips import REACH
from scenario_gen.report.page import build_page
from scenario_gen.report.pictures import beside_base
from scenario_gen.report.table import Ref, place
from scenario_gen.report.tables.forecasts import tails
from scenario_gen.report.tables.realism import facts_table, origin_facts
from scenario_gen.report.words import FORBIDDEN, text_of
from scenario_gen.store.results import StressRun

ORIGINS, PATHS, BARS = 32, 49, 10


def facts_of(history: Candles, control: str) -> FactsReport:
    real = windows(history, 30, 30).bars
    return check_facts(negative_control(control, real, 100, np.random.default_rng(3)), history, context=history, seed=1)


def forecasts_of(history: Candles, width: float, seed: int) -> list[Observation]:
    """Return forecasts of Gaussian paths whose volatility is off by a factor, beside what came."""
    rng = np.random.default_rng(seed)
    seen = []
    for row in range(600, 600 + ORIGINS * BARS, BARS):
        context, future = history.rows(row - 100, row), history.rows(row, row + BARS)
        anchor = float(context.close[-1])
        scale = width * float(np.std(np.diff(np.log(context.close))))
        closes = anchor * np.exp(np.cumsum(scale * rng.standard_normal((PATHS, BARS)), axis=1))
        opens = np.concatenate([np.full((PATHS, 1), anchor), closes[:, :-1]], axis=1)
        bars = np.stack([opens, np.maximum(opens, closes), np.minimum(opens, closes), closes], axis=-1)
        paths = PathSet(
            bars.astype(np.float32), ("open", "high", "low", "close"), future.timestamps, np.arange(PATHS), anchor
        )  # fmt: skip
        real = PathSet.from_history(future, anchor)
        asked = ("return_1", "return_h", "log_volatility", "max_drawdown")
        seen.append(measure(paths, real, Scale.of(context), asked, rng))
    return seen


def facts_by_origin() -> FactsReport:
    """Return facts of paths that are too calm, beside what came of the same market."""
    rng = np.random.default_rng(4)
    market = simulate(1, 1440, rng)
    pairs = (
        (simulate(PATHS, 30, rng, market.states[0, start]).scaled(0.6), market.stretch(start, 30))
        for start in range(200, 1400, 30)
    )
    return check_facts_by_origin(pairs, seed=1)


def calibration_of(history: Candles, width: float) -> Calibration:
    why = {"mean_log_volume": "the history has no volume"}
    stamps = [history.timestamps[row].isoformat() for row in range(600, 600 + ORIGINS * BARS, BARS)]
    clean = contamination(None, stamps)
    ours, other = (
        judge_generator(name, {}, forecasts_of(history, w, seed), why, clean, omitted={}, seed=1)
        for name, w, seed in (("nano", width, 1), ("fhs", 1.0, 2))
    )
    notes = ["32 origins"]
    return Calibration(
        "S&P 500", 100, BARS, BARS, stamps, PATHS, 1, 0.14, with_skills(ours, [other], stamps), [other], notes, 1.0
    )  # fmt: skip


def searched() -> DialSearch:
    points = [
        DialPoint(t, 1.0, 0.2 + (t - 1.1) ** 2, (t - 1.1) ** 2, 0.01, 0.5, 0.9, 0.88, 0.9 < t < 1.3)
        for t in (0.7, 0.85, 1.0, 1.1, 1.2, 1.45)
    ]
    return DialSearch(
        "temperature", 1.1, 1.0, points, RULE, "", 60, "2012-01-03T00:00:00", "2016-03-31T00:00:00", 20, 49
    )


@pytest.fixture(scope="module")
def judged(full: StressRun, sp500: Candles) -> StressRun:
    """The full run, checked: too narrow a generator with GBM's facts in base, real shuffles in the others."""
    history = sp500.rows(0, 3000)
    facts = {name: facts_of(history, name) for name in ("gbm", "shuffle")}
    narrow = replace(calibration_of(history, 0.5), facts=facts_by_origin())
    base, *others = full.scenarios
    base = replace(base, facts=facts["gbm"], calibration=narrow, dial=searched())
    scenarios = [base, *(replace(one, facts=facts["shuffle"]) for one in others)]
    findings = [
        Finding("facts.tails", facts["gbm"].groups["tails"], "", "", "base"),
        Finding("facts by origin.scale", facts_by_origin().groups["scale"], "", "", "base"),
        Finding("calibration", narrow.generator.label, "", "", "base"),
    ]
    return replace(full, scenarios=scenarios, findings=findings)


@pytest.fixture(scope="module")
def page(judged: StressRun) -> str:
    return build_page(judged)


def section(page: str, key: str) -> str:
    return page.split(f'<section id="{key}"')[1].split("</section>", maxsplit=1)[0]


def test_every_number_of_both_sections_is_in_run_json(judged: StressRun, page: str, checks: ModuleType) -> None:
    assert checks.check_numbers(page, judged) > 700
    for key, least in (("generator", 60), ("facts", 120)):
        assert section(page, key).count("data-v=") > least


@pytest.mark.parametrize("which", ["synthetic_mean", "mean", "share"])
def test_a_changed_number_of_these_sections_is_caught(
    judged: StressRun, page: str, checks: ModuleType, which: str
) -> None:
    pattern = rf'(data-p="scenarios/0/(?:facts|calibration)/[^"]*/{which}">)([^<]*)<'
    mutated, count = re.subn(pattern, r"\g<1>1\2<", page, count=1)
    assert count == 1
    with pytest.raises(AssertionError):
        checks.check_numbers(mutated, judged)


def test_nothing_is_promised_and_nothing_is_missing(page: str, checks: ModuleType) -> None:
    text = checks.seen(page)
    assert [word for word in FORBIDDEN if re.search(rf"\b{word}\b", text, flags=re.IGNORECASE)] == []
    assert re.findall(r"\bnan\b|\bNone\b|\binf\b|\{\{|Shown\(|Badge\(", text) == []
    assert all(re.fullmatch(r"[MmLlHhVvAaCcZz0-9 .\-]*", d) for d in re.findall(r' d="([^"]*)"', page))


def test_the_labels_of_the_facts_stand_in_their_rows(judged: StressRun, page: str) -> None:
    rows = re.findall(
        r'<th scope="row">[^<]*<span class="unit">(\w+)</span></th>(.*?)</tr>',
        section(page, "facts").split("And beside all of history")[1],
        flags=re.S,
    )
    shown = {fact: re.findall(r'class="v (\w+)"', row) for fact, row in rows}
    report = judged.scenarios[0].facts
    assert report is not None
    for fact in report.facts:
        if fact.label not in (None, "UNTESTABLE"):
            assert shown[fact.fact] == [fact.label]


def test_facts_by_origin_lead_the_section_on_facts_with_their_labels(judged: StressRun, page: str) -> None:
    table = section(page, "facts").split("And beside all of history")[0]
    rows = re.findall(r'<th scope="row">[^<]*<span class="unit">(\w+)</span></th>(.*?)</tr>', table, flags=re.S)
    shown = {fact: re.findall(r'class="v (\w+)"', row) for fact, row in rows}
    calibration = judged.scenarios[0].calibration
    assert calibration is not None
    assert calibration.facts is not None
    assert shown["log_sd"] == ["FAIL"]  # a volatility of x 0.6
    for fact in calibration.facts.facts:
        if fact.label not in (None, "UNTESTABLE"):
            assert shown[fact.fact] == [fact.label]


def test_facts_of_a_long_sample_and_the_screen_of_single_paths_are_shown(
    judged: StressRun, page: str, checks: ModuleType
) -> None:
    report = judged.scenarios[0].facts
    assert report is not None
    shown = section(page, "facts")
    for number, one in enumerate(report.long):
        for side, reason in (("real", one.real_reason), ("synthetic", one.synthetic_reason)):
            assert (f'data-p="scenarios/0/facts/long/{number}/{side}"' in shown) is (reason == "")
            assert reason in shown
    assert shown.count("% out</span>") == sum(
        f.outside is not None and f.label not in (None, "UNTESTABLE") for f in report.facts
    )
    assert "a screen of single paths and no verdict" in checks.seen(page)


def test_exceedances_stand_with_both_tests_and_the_baselines_counts(judged: StressRun, page: str) -> None:
    calibration = judged.scenarios[0].calibration
    assert calibration is not None
    table = section(page, "generator").split("Value at risk in both tails")[1].split("</table>")[0]
    rows = re.findall(r"<tr[^>]*>\s*<th scope=\"row\">(.*?)</tr>", table, flags=re.S)
    assert len(rows) == len(calibration.generator.exceedances) == 8
    theirs = calibration.baselines[0].exceedances
    for number, (row, one) in enumerate(zip(rows, calibration.generator.exceedances, strict=True)):
        assert f"{one.tail} tail" in row
        assert re.findall(r'class="v (\w+)"', row) == [one.label]
        shown = {at.rpartition("/exceedances/")[2]: text for at, text in re.findall(r'data-p="([^"]*)">([^<]*)<', row)}
        assert shown[f"{number}/expected"] == f"{one.expected:.1f}"
        assert f"baselines/0/exceedances/{number}/hits" in row
        assert theirs[number].title == one.title
    assert "32 forecasts of the next bar are too few to judge every level" in table
    assert "Over 10 bars, 32 forecasts are too few for 4 of 4 tests" in table


def test_every_score_stands_beside_its_baseline_with_its_t(judged: StressRun, page: str) -> None:
    calibration = judged.scenarios[0].calibration
    assert calibration is not None
    table = section(page, "generator").split("<summary>Every score</summary>")[1].split("</table>")[0]
    assert set(calibration.generator.scores) == {
        *(f"crps_{name}" for name in ("return_1", "return_h", "log_volatility", "max_drawdown")),
        *("energy", "variogram_path", "variogram_size"),
    }
    for score in calibration.generator.scores:
        (row,) = (one for one in table.split("</tr>") if f"generator/scores/{score}" in one)
        assert f"baselines/0/scores/{score}" in row
        t = next(one.t for one in calibration.generator.skills if one.score == score)
        assert f"t {t:.1f}".replace("-", "\u2212") in row


def test_value_at_risk_that_fails_alone_is_what_the_verdict_names(judged: StressRun) -> None:
    base = judged.scenarios[0]
    assert base.calibration is not None
    ours = base.calibration.generator
    near = replace(ours.exceedances[0], forecasts=1000, hits=81, expected=50.0, p_count=1e-4, q=2e-4, label="FAIL")
    kept = [replace(one, label="PASS") for one in ours.functionals]
    found = replace(
        base.calibration,
        generator=replace(ours, label="FAIL", functionals=kept, exceedances=[near, *ours.exceedances[1:]]),
    )
    run = replace(
        judged,
        scenarios=[replace(base, calibration=found), *judged.scenarios[1:]],
        findings=[Finding("calibration", "FAIL", "", "", "base")],
    )
    placed = place(run)
    card = next(c for c in cards.cards(run, placed, placed[0]) if c.title == "Generator: calibration")
    assert "81 of 1\u202f000 lay beyond, 50.0 were to be expected (next bar, lower tail, 5%)" in text_of(card.sentence)
    assert len(text_of(card.sentence).split()) <= 40
    told = " ".join(text_of(sentence) for sentence in cards.headline(run, placed[0]))
    assert "FAIL for value at risk (next bar, lower tail, 5%): falls may be milder here than in reality" in told
    shown = tails(Ref(found, ""))
    assert shown is not None
    assert (shown["label"], shown["flagged"]) == ("FAIL", True)  # which opens its table
    assert "Off in 1 of 1 tests that can be judged" in text_of(shown["sentences"][0])


def test_forecasts_shorter_than_the_runs_paths_are_told_with_what_to_set_and_its_cost(judged: StressRun) -> None:
    base = judged.scenarios[0]
    assert base.calibration is not None
    assert base.calibration.facts is not None

    def told(horizon: int, **changes: object) -> str:
        more = {"horizon": 30, "origins": [""] * 60, **changes}
        found = replace(base.calibration, **more)  # type: ignore[type-var]
        shown = origin_facts(found, horizon, "")
        assert shown is not None
        return " ".join([shown["title"], *(text_of(sentence) for sentence in shown["limits"])])

    needs_more = [
        one
        for one in base.calibration.facts.facts
        if one.label == "UNTESTABLE" and "needs paths of at least" in one.reason
    ]
    assert needs_more  # of 40 and 60 bars: the forecasts have 30
    longer = told(63, history_bars=4600)
    assert longer.startswith("What came, among the paths of its own context: 30 bars ahead, where the run has 63 ")
    assert f"the paths of the run 63: {len(needs_more)} of " in longer
    assert "With checks: calibration: {horizon: 63} in the spec" in longer
    assert f"{len(needs_more)} of them can be judged, and it takes longer: 2.1 times as many bars" in longer
    # 2,100 bars have room for the 40 forecasts that facts take, of 50 bars after 100 of context: 60 are out of reach
    some = sum("at least 40 bars" in one.reason for one in needs_more)
    assert f"{{horizon: 50}} in the spec {some} of them can be judged" in told(63, history_bars=2100)
    assert "31 bars, the most that the run and this history allow, is too short" in told(63, history_bars=1340)
    assert "{horizon: 63, origins: 60} in the spec" in told(63, history_bars=4600, origins=[""] * 32)
    assert told(30).startswith("What came, among the paths of its own context 49 paths each, where 199 are advised")
    assert "where 199 are advised" not in told(30, paths=199)


def test_reasons_why_the_data_cannot_say_are_told(judged: StressRun, page: str) -> None:
    report = judged.scenarios[0].facts
    assert report is not None
    reasons = {fact.reason for fact in report.facts if fact.label == "UNTESTABLE"}
    assert reasons
    assert all(reason[1:] in section(page, "facts") for reason in reasons)


def test_marks_stand_where_the_means_are_in_real_standard_deviations(judged: StressRun) -> None:
    base, calm, hot, _ = place(judged)
    beside = beside_base(base, [base, calm, hot])
    assert [(one.title, mark) for one, mark in beside] == [("calm", "low"), ("hot", "high")]
    table, report = facts_table(base, beside), judged.scenarios[0].facts
    assert table is not None
    assert report is not None
    strips = {row.unit: row.cells[0].fact for row in table.rows if row.cells}
    seen = 0
    for fact in report.facts:
        strip = strips.get(fact.fact)
        if strip is None or fact.real_mean is None or fact.real_sd is None or fact.synthetic_mean is None:
            continue
        away = (fact.synthetic_mean - fact.real_mean) / fact.real_sd
        mark = next(mark for mark in strip.marks if mark.shape == "mean")
        if abs(away) > REACH:
            assert (mark.x, mark.beyond) == ((100.0, "right") if away > 0 else (0.0, "left"))
        else:
            assert mark.x == pytest.approx(50 + 50 * away / REACH, abs=0.01)
        seen += 1
    assert seen > 20


def test_the_verdict_names_the_worst_of_both_within_its_limits(judged: StressRun) -> None:
    placed = place(judged)
    text = " ".join(text_of(sentence) for sentence in cards.headline(judged, placed[0]))
    assert len(text.split()) <= 60
    assert "Set beside what came, the generator gets FAIL for" in text
    assert "; facts of what came: FAIL for" in text
    shown = {card.title: card for card in cards.cards(judged, placed, placed[0])}
    for title in ("Generator: calibration", "Generator: stylized facts"):
        assert shown[title].label == "FAIL"
        assert len(text_of(shown[title].sentence).split()) <= 40


def test_too_calm_a_generator_is_told_to_make_falls_milder(judged: StressRun) -> None:
    text = text_of(cards.headline(judged, place(judged)[0])[1])
    assert "falls may be milder here than in reality" in text


@pytest.mark.parametrize(("label", "words"), [("PASS", "No breach found in"), ("INCONCLUSIVE", "too few to judge")])
def test_cards_say_what_was_looked_for_and_what_would_be_needed(judged: StressRun, label: Label, words: str) -> None:
    findings = [Finding("calibration", label, "", "", "base")]
    run = replace(judged, findings=findings)
    placed = place(run)
    card = next(c for c in cards.cards(run, placed, placed[0]) if c.title == "Generator: calibration")
    assert card.label == label
    assert words in text_of(card.sentence)


def test_without_forecasts_that_judge_the_paths_beside_history_speak(judged: StressRun) -> None:
    told = [
        Finding("facts.tails", "FAIL", "", "", "base"),
        Finding("facts by origin.tails", "INCONCLUSIVE", "", "", "base"),
    ]
    run = replace(judged, findings=[*told, Finding("calibration", "PASS", "", "", "base")])
    placed = place(run)
    assert "eside real windows, FAIL for" in text_of(cards.headline(run, placed[0])[-1])
    card = next(c for c in cards.cards(run, placed, placed[0]) if c.title == "Generator: stylized facts")
    assert card.label == "FAIL"
    assert "FAIL beside all of history, and no forecasts of the past judge them (base)" in section(
        build_page(run), "verdict"
    )


def test_the_caps_in_force_are_named_with_their_scenarios(page: str) -> None:
    verdict = section(page, "verdict")
    assert "failed or is not judged (base, calm, hot)" in verdict
    assert "copies of history or of one another (base)" in verdict


def test_the_searched_dial_is_drawn_with_its_choice(page: str) -> None:
    generator = section(page, "generator")
    assert "The dial that was searched: base" in generator
    assert generator.count('class="ring"') == 2  # wide and narrow
    assert "chosen 1.1" in generator


def test_a_dial_of_one_setting_is_drawn_too(judged: StressRun) -> None:
    base, *others = judged.scenarios
    assert base.dial is not None
    one = replace(base.dial, points=[p for p in base.dial.points if p.temperature == 1.1])
    assert 'class="ring"' in build_page(replace(judged, scenarios=[replace(base, dial=one), *others]))


def test_scenarios_that_were_not_calibrated_are_named(page: str) -> None:
    assert "Not calibrated in this run: calm, hot." in section(page, "generator")
