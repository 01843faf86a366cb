from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from types import ModuleType

import pytest

from scenario_gen.errors import StoreError
from scenario_gen.finding import Finding
from scenario_gen.report import page as page_module
from scenario_gen.report.page import build_page, choose_base, choose_colours, repro_rows, write_report
from scenario_gen.report.table import place
from scenario_gen.report.words import FORBIDDEN, SECTIONS
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.results import StressRun

Pages = dict[str, tuple[StressRun, str]]
ALL = ("full", "mini", "hostile", "degenerate")
TWO = (("SmaCross", "sma", {}), ("Breakout", "breakout", {}))
TAME = ("full", "mini", "degenerate")


@pytest.mark.parametrize(("name", "least"), [("full", 500), ("mini", 40), ("degenerate", 20), ("hostile", 80)])
def test_every_number_and_its_error_equal_run_json(pages: Pages, checks: ModuleType, name: str, least: int) -> None:
    run, page = pages[name]
    if name == "hostile":  # its parameters are not read by pointer, its numbers are
        run = dataclasses.replace(run)
    assert checks.check_numbers(page, run) > least


@pytest.mark.parametrize("name", ALL)
def test_the_candle_accounts_add_up_on_the_page(pages: Pages, checks: ModuleType, name: str) -> None:
    run, page = pages[name]
    checks.check_accounts(page, run)


@pytest.mark.parametrize("name", ALL)
def test_the_cards_carry_the_labels_of_the_run(pages: Pages, checks: ModuleType, name: str) -> None:
    run, page = pages[name]
    checks.check_labels(page, run)


@pytest.mark.parametrize("name", TAME)
def test_nothing_missing_shows_as_a_word_of_the_machine(pages: Pages, checks: ModuleType, name: str) -> None:
    text = checks.seen(pages[name][1])
    assert re.findall(r"\bnan\b|\bNaN\b|\bNone\b|\bundefined\b|\binf\b|\{\{|\{%|Shown\(", text) == []


@pytest.mark.parametrize("name", TAME)
@pytest.mark.parametrize("word", FORBIDDEN)
def test_no_word_promises_anything(pages: Pages, checks: ModuleType, name: str, word: str) -> None:
    text = checks.seen(pages[name][1])
    assert re.search(rf"\b{re.escape(word)}\b", text, flags=re.IGNORECASE) is None


@pytest.mark.parametrize("name", ALL)
def test_every_section_is_there_in_its_order_with_its_number(pages: Pages, name: str) -> None:
    page = pages[name][1]
    headings = re.findall(r'<h2 id="(\w+)-h"><span class="n">(\d+)</span>([^<]*)</h2>', page)
    assert headings == [(key, str(number), title) for number, (key, title) in enumerate(SECTIONS, 1)]


@pytest.mark.parametrize("name", ALL)
def test_sections_without_results_say_so_and_what_to_do(pages: Pages, name: str) -> None:
    page = pages[name][1]
    for key in ("facts", "paired", "exec"):
        section = page[page.index(f'<section id="{key}"') :]
        section = section[: section.index("</section>")]
        assert 'class="v UNTESTABLE"' in section
        assert "Not judged: " in section


def test_a_limit_that_is_judged_is_named_with_its_interval(pages: Pages, checks: ModuleType) -> None:
    text = re.sub(r"\s+", " ", checks.seen(pages["full"][1]))
    assert re.search(r"On 512 generated paths of 63 daily bars in scenario base, drawdown reached 10% on", text)
    assert re.search(r"\d+\.\d% \[\d+\.\d, \d+\.\d\] of paths for \w+ and on", text)
    assert "a drawdown of 10% is allowed on at most 5% of paths" in text


def test_where_no_path_reached_the_limit_the_headline_turns_to_losses(make_run, checks: ModuleType) -> None:  # type: ignore[no-untyped-def]
    run = make_run(paths=64, horizon=5, rules=TWO, temperatures=(1.0,), limits={"max_drawdown": 0.9}, curve=False)
    text = re.sub(r"\s+", " ", checks.seen(build_page(run)))
    assert "drawdown reached 90% on any path, and the return was negative on" in text


def test_refused_quantiles_say_how_many_paths_are_needed(pages: Pages, checks: ModuleType) -> None:
    text = checks.seen(pages["mini"][1])
    assert "not shown" in text
    assert "needs N ≥ 400" in text


def test_rare_paths_are_counted_and_not_given_a_rate(make_run, checks: ModuleType) -> None:  # type: ignore[no-untyped-def]
    run = make_run(rules=TWO, limits={"max_drawdown": 0.1}, baseline=False, temperatures=(0.8,))
    share = next(s for level, s in run.scenarios[0].strategies[0].drawdown_beyond if level == 0.1)
    assert share.count is not None
    assert 0 < share.count < 10, "the fixture no longer makes a rare event"
    page = build_page(run)
    assert f">{share.count} of 512</span>" in page
    assert checks.check_numbers(page, run) > 100


def test_what_really_happened_is_drawn_only_where_the_history_goes_on(pages: Pages) -> None:
    assert 'class="ln kt"' in pages["full"][1]
    assert 'class="ln kt"' not in pages["degenerate"][1]
    assert "so what really happened is not drawn" in pages["degenerate"][1]


def test_a_real_stretch_shorter_than_the_horizon_has_no_place_in_the_strips(full: StressRun) -> None:
    def shortened(run: StressRun) -> StressRun:
        scenarios = [
            dataclasses.replace(
                found, realised_close=found.realised_close[:30],
                strategies=[
                    dataclasses.replace(s, realised=dataclasses.replace(s.realised, bars=30))
                    for s in found.strategies if s.realised is not None
                ],
            )
            for found in run.scenarios
        ]  # fmt: skip
        return dataclasses.replace(run, scenarios=scenarios)

    outcomes = build_page(shortened(full)).split('<section id="outcomes"')[1].split("</tbody>")[0]
    assert outcomes.split("<tbody>")[1].count('class="hist"') == 0


def test_the_trades_on_the_worst_path_are_listed_as_run_json_has_them(pages: Pages) -> None:
    run, page = pages["full"]
    path = run.scenarios[0].strategies[0].named_paths[0]
    table = page.split('<section id="drill"')[1].split("<table")[1].split("</table>")[0]
    rows = re.findall(r'<th scope="row">(\w+).*?</th>(.*?)</tr>', table, flags=re.S)
    assert len(rows) == len(path.trades) > 0
    for trade, (side, cells) in zip(path.trades, rows, strict=True):
        numbers = [float(x.replace("\u2212", "-").replace("\u202f", "")) for x in re.findall(r">([^<]+)</td>", cells)]
        assert side == trade.side
        wanted = (
            trade.entry_bar,
            trade.entry_price,
            trade.exit_bar,
            trade.exit_price,
            trade.size,
            trade.fees,
            trade.pnl,
        )
        assert numbers == pytest.approx(wanted, abs=0.5)  # prices above 1000 show no decimals


def test_an_account_that_does_not_add_up_is_refused(mini: StressRun, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    path = folder.write_run(mini)
    untouched = mini.scenarios[0].candles.untouched
    path.write_text(path.read_text().replace(f'"untouched": {untouched}', f'"untouched": {untouched + 1}'))
    with pytest.raises(StoreError, match="contradicts itself at scenarios/0/candles"):
        write_report(folder)


def test_a_page_over_the_budget_is_refused_and_names_its_biggest_part(
    mini: StressRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "BUDGET", 50_000)
    with pytest.raises(StoreError, match="its biggest part is spec"):
        build_page(dataclasses.replace(mini, spec_text="x" * 900_000))


def test_the_full_page_stays_below_the_aim_of_one_megabyte(pages: Pages) -> None:
    assert len(pages["full"][1].encode()) < 1_000_000


def test_the_page_is_written_from_run_json_alone(mini: StressRun, pages: Pages, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_run(mini)
    path = write_report(folder)
    assert path == tmp_path / "index.html"
    assert path.read_bytes() == pages["mini"][1].encode()


def test_the_base_scenario_is_the_one_of_that_name_or_the_first(full: StressRun) -> None:
    shuffled = dataclasses.replace(full, scenarios=[full.scenarios[3], full.scenarios[1], full.scenarios[0]])
    assert choose_base(place(shuffled)).at == "scenarios/2"
    assert choose_base(place(dataclasses.replace(full, scenarios=full.scenarios[1:]))).scenario.name == "calm"


def test_more_than_four_strategies_colour_the_worst_four_and_never_a_fifth_hue(make_run) -> None:  # type: ignore[no-untyped-def]
    rules = tuple(
        (f"S{number}", kind, {}) for number, kind in enumerate(("sma", "breakout", "rsi", "voltarget", "sma"))
    )
    run = make_run(paths=64, rules=rules, temperatures=(1.0,), baseline=False, curve=False)
    colours = choose_colours(place(run)[0], 0.1)
    rates = [dict(s.drawdown_beyond)[0.1].count for s in run.scenarios[0].strategies]
    assert sorted(colours) == ["1", "2", "3", "4", "r"]
    assert rates[colours.index("r")] == min(rates)


def test_buy_and_hold_is_the_grey_reference(full: StressRun) -> None:
    found = full.scenarios[0]
    renamed = [dataclasses.replace(s, use=f"strategies/x.py:{s.name}") for s in found.strategies]
    run = dataclasses.replace(full, scenarios=[dataclasses.replace(found, strategies=renamed)])
    assert choose_colours(place(run)[0], 0.1) == ("1", "2", "3", "4", "r")


def test_findings_that_no_card_shows_are_listed_and_known_ones_are_not_repeated(mini: StressRun) -> None:
    findings = [
        Finding("volume", "WARN", "volume grows on 3 paths", "none", "base"),
        Finding("training overlap", "WARN", "the context ends before the training data do", "after", "base"),
    ]
    page = build_page(dataclasses.replace(mini, findings=findings))
    assert "Other findings (1)" in page
    assert page.count("volume grows on 3 paths") == 1
    assert page.count("The context ends before the training data do") == 1


def test_a_judged_calibration_lifts_the_cap(make_run, checks: ModuleType) -> None:  # type: ignore[no-untyped-def]
    run = make_run(
        paths=64, horizon=5, temperatures=(1.0,), baseline=False, limits={"max_drawdown": 0.9}, bad=0, curve=False
    )
    page = build_page(run)
    assert '<li class="card INCONCLUSIVE"><h3>Declared limits' in page
    lifted = dataclasses.replace(run, findings=[Finding("calibration", "PASS", "90% band covered 55 of 60", "80–97%")])
    judged = build_page(lifted)
    assert '<li class="card PASS"><h3>Declared limits' in judged
    assert "A favourable label is held down" in page
    assert "A favourable label is held down" not in judged


def test_the_seed_stands_in_the_block_that_lets_a_run_be_repeated(full: StressRun) -> None:
    def paths(seed: int) -> dict[str, int]:
        return {"count": 512, "seed": seed, "block": 256}

    same = {"scenarios": [{"name": "calm", "paths": paths(7)}, {"name": "hot", "paths": paths(7)}]}
    own = {"scenarios": [{"name": "calm", "paths": paths(7)}, {"name": "hot", "paths": paths(8)}]}
    base = choose_base(place(full))
    seeds = [dict(repro_rows(dataclasses.replace(full, spec=spec), base))["Seed"] for spec in (same, own)]
    assert seeds[0] == "7 (512 paths in blocks of 256)"
    assert seeds[1] == "7 (512 paths in blocks of 256): calm; 8 (512 paths in blocks of 256): hot"
