"""Strategies that trade several assets together in a run: every future once, money by hand, kept, resumed, judged."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from rich.console import Console

import scenario_gen as sg
from scenario_gen.backtest.book_losses import BookLosses
from scenario_gen.backtest.book_risk import book_risk
from scenario_gen.cli.show import show_run
from scenario_gen.errors import StrategyError
from scenario_gen.finding import LIMITS, LOOK_AHEAD, MARKER, OVERFITTING
from scenario_gen.pipeline.book import trade
from scenario_gen.report.faults import capital
from scenario_gen.report.numbers import count
from scenario_gen.report.page import build_page
from scenario_gen.report.pictures import broker
from scenario_gen.report.table import place_books
from scenario_gen.report.tables.book import book_answers
from scenario_gen.report.tables.outcomes import MOST_TRADES, trade_table
from scenario_gen.store.results import BookResult, BookScenario
from scenario_gen.values import decode

PATHS, BLOCK, HORIZON = 48, 24, 6
# Looks at no path beside its own; holds each asset while it stands above its mean of ten bars, half the equity each.
RULES = """
from dataclasses import dataclass
import pandas as pd

@dataclass(frozen=True)
class Hold:
    def weights(self, bars):
        return pd.DataFrame(1.0 / len(bars.assets), index=bars.close.index, columns=bars.close.columns)

@dataclass(frozen=True)
class Trend:
    def weights(self, bars):
        return (bars.close > bars.close.rolling(10).mean()) / len(bars.assets)

@dataclass(frozen=True)
class Clairvoyant:
    def weights(self, bars):
        return (bars.close.shift(-1) > bars.close).astype(float) / len(bars.assets)
"""


def spec_in(folder: Path, rules: tuple[str, ...] = ("Hold", "Trend"), **changes: Any) -> dict[str, Any]:
    """Return a small spec of two indices, whose strategies stand in its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.py").write_text(RULES)
    return {
        "name": "book",
        "data": {"end": "2017-06-30"},
        "bars": {"horizon": HORIZON, "context": 64},
        "paths": {"count": PATHS, "seed": 7, "block": BLOCK, "keep": "paths"},
        "generator": {"kind": "fhs"},
        "joint": {"copula": "independent"},
        "checks": {"facts": False, "calibration": False},
        "assets": [{"name": "spx", "source": "sp500"}, {"name": "ndx", "source": "nasdaq"}],
        "scenarios": [{"name": "base"}],
        "baselines": ["gbm"],
        "strategies": [{"use": f"{folder / 'rules.py'}:{rule}"} for rule in rules],
        "limits": {"max_drawdown": 0.001, "book_es_975": 0.2, "contribution": 0.8},
        **changes,
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[sg.StressRun, Path]:
    folder = tmp_path_factory.mktemp("book")
    return sg.run(spec_in(folder), folder=folder / "run"), folder / "run"


def scenarios(run: sg.StressRun) -> list[BookScenario]:
    assert run.book is not None
    return run.book.scenarios


def test_every_strategy_trades_every_scenario_once_and_no_asset_alone(done: tuple[sg.StressRun, Path]) -> None:
    run, folder = done
    assert [(book.name, book.role, book.assets, book.paths, book.dropped) for book in scenarios(run)] == [
        ("base", "scenario", ["spx", "ndx"], PATHS, 0),
        ("gbm", "baseline", ["spx", "ndx"], PATHS, 0),
    ]
    assert [len(scenario.strategies) for scenario in run.scenarios] == [0, 0, 0, 0]
    metrics = pd.read_parquet(folder / "metrics.parquet")
    assert metrics.groupby(["scenario", "strategy"]).size().to_dict() == {
        (name, rule): PATHS for name in ("base", "gbm") for rule in ("Hold", "Trend")
    }


def test_a_held_book_is_worth_what_both_halves_are_on_the_same_future(done: tuple[sg.StressRun, Path]) -> None:
    folder = done[1]
    metrics = pd.read_parquet(folder / "metrics.parquet")
    held = metrics[(metrics["scenario"] == "base") & (metrics["strategy"] == "Hold")].set_index("path_id")
    opens, closes = {}, {}
    for asset in ("spx", "ndx"):
        (file,) = (folder / "paths").glob(f"base-{asset}*.parquet")
        bars = pd.read_parquet(file)
        opens[asset], closes[asset] = (
            bars.pivot(index="path_id", columns="timestamp", values=name) for name in ("open", "close")
        )
    # Bought by half at the first opens and brought back to half at each open from the closes' weights on.
    equity = np.full(PATHS, 1.0)
    units = {asset: 0.5 / opens[asset].iloc[:, 0] for asset in opens}
    for bar in range(HORIZON):
        if bar:
            equity = sum(units[asset] * opens[asset].iloc[:, bar] for asset in units)
            units = {asset: 0.5 * equity / opens[asset].iloc[:, bar] for asset in units}
        equity = sum(units[asset] * closes[asset].iloc[:, bar] for asset in units)
    assert_allclose(held["total_return"], equity - 1, atol=1e-5)  # float32 prices
    assert held["total_return"].std() > 0.003


def test_the_page_speaks_of_a_book_where_a_book_is_meant(done: tuple[sg.StressRun, Path]) -> None:
    """Assets alone have no rows among strategies, bars count once, trades name their asset, fees those who pay them."""
    run, page = done[0], build_page(done[0])
    bars = PATHS * HORIZON * 2 * 2  # two assets, base and baseline
    assert f"No raw bar of {count(bars)} broke a rule, over 4 scenarios" in page
    assert "range over 2 scenarios" in page
    assert "The same for the other scenario</summary>" in page
    assert not [row for row in page.split("<tr") if 'class="grp"' in row and "base.spx" in row]
    assert "2 assets in one account, fills at the next open" in page and "One asset" not in page
    assert "spx, ndx, 100 in all alike, log scale, scenario base" in page and "seed of the spec" not in page
    assert "on 2,520 real bars" in page and "Run the spec again" not in page
    assert "Beside equal weight that is bought and held, path by path." in page
    assert "Beside its own decisions of other futures." in page and "random entries" not in page
    path = scenarios(run)[0].strategies[1].named_paths[0]
    table = trade_table(path)
    assert [row.cells[0].text for row in table.rows] == [trade.asset for trade in path.trades][:MOST_TRADES]
    assert {"spx", "ndx"} == {trade.asset for trade in path.trades}


def test_a_page_of_shocks_on_a_book_does_not_say_that_there_are_none(done: tuple[sg.StressRun, Path]) -> None:
    plain = "no scenario of this run stresses the market by design"
    assert plain in build_page(done[0])
    spec = json.loads(json.dumps(done[0].spec))
    spec["scenarios"][0]["shocks"] = [{"kind": "gap", "asset": "spx", "bar": 2, "size": -0.1}]
    page = build_page(replace(done[0], spec=spec))
    assert plain not in page and "is not measured future by future" in page


def test_a_card_keeps_the_name_of_an_asset_as_it_is_written() -> None:
    assert capital("eurusd: 1 of 11 numbers FAIL") == "eurusd: 1 of 11 numbers FAIL"
    assert capital("the context ends: late") == "The context ends: late"


def test_an_account_names_the_costs_that_differ_asset_by_asset(done: tuple[sg.StressRun, Path]) -> None:
    run = done[0]
    spec = json.loads(json.dumps(run.spec))
    next(entry for entry in spec["scenarios"] if entry["name"] == "base.ndx")["broker"]["fees"] = 0.0002
    account = broker(replace(run, spec=spec), place_books(run)[0])
    assert account["fees"] == {"spx": 0.0, "ndx": 0.0002}
    assert account["cash"] == spec["scenarios"][0]["broker"]["cash"]


def test_what_a_book_risks_is_shared_out_among_its_assets(done: tuple[sg.StressRun, Path]) -> None:
    for book in scenarios(done[0]):
        for strategy in book.strategies:
            assert strategy.risk is not None
            assert (strategy.risk.names, strategy.risk.paths) == (("spx", "ndx"), PATHS)
        assert book.together.names == ("Hold", "Trend")  # with half of the capital each
        assert book.together.paths == PATHS


def test_the_page_shares_the_tail_out_by_asset_and_by_strategy(done: tuple[sg.StressRun, Path]) -> None:
    made = np.random.default_rng(1).normal(0, 0.01, (900, 2, 2))  # [path, bar, part], of a cash of 1
    equity = 1 + np.cumsum(np.insert(made.sum(axis=2), 0, 0, axis=1), axis=1)
    base, *others = scenarios(done[0])
    risk = book_risk(BookLosses.of(made, equity, base.assets))
    together = book_risk(BookLosses.of_strategies({"Hold": equity, "Trend": equity}))
    held = [replace(strategy, risk=risk) for strategy in base.strategies]
    book = BookResult([replace(base, strategies=held, together=together), *others])
    (answer,) = [
        answer for answer in book_answers(replace(done[0], book=book)) if answer.title == "Whose loss is the tail?"
    ]
    assert [table.title for table in answer.tables[:-1]] == [
        "Hold: the worst 2.5% of the futures, asset by asset.",
        "Trend: the worst 2.5% of the futures, asset by asset.",
        "All strategies, each with an equal part of the capital: the worst 2.5% of the futures, strategy by strategy.",
    ]
    whole = answer.tables[0].rows[-1]
    assert (whole.head, whole.css) == ("The book", "")  # a group's row would show no figures
    assert whole.cells[1].text == "100%"


def test_limits_and_probes_speak_of_the_scenario_as_it_is_written(done: tuple[sg.StressRun, Path]) -> None:
    findings = done[0].findings
    judged = LIMITS.of(findings)
    assert {(finding.scenario, finding.strategy) for finding in judged} == {("base", "Hold"), ("base", "Trend")}
    assert {(finding.name, finding.label) for finding in judged} == {
        ("limits: max_drawdown", "FAIL"),  # a fall of a thousandth in six bars
        ("limits: book_es_975", "UNTESTABLE"),
        ("limits: contribution", "UNTESTABLE"),
    }
    assert all("needs N >= 800" in finding.measured for finding in judged if finding.label == "UNTESTABLE")
    ahead = LOOK_AHEAD.of(findings)
    assert [(finding.scenario, finding.label) for finding in ahead] == [("base", "PASS"), ("base", "PASS")]
    assert all(strategy.warm_up is not None for strategy in scenarios(done[0])[0].strategies)
    assert done[0].agreement is not None
    assert [figures.strategy for figures in done[0].agreement.strategies] == ["Hold", "Trend"]


def test_the_terminal_shows_the_strategies_of_a_book_how_it_was_coupled_and_what_it_risks(
    done: tuple[sg.StressRun, Path],
) -> None:
    console = Console(width=150, file=StringIO())
    show_run(done[0], console)
    told = console.file.getvalue()
    heads = [row.split("│")[1].strip() for row in told.splitlines() if row.startswith("│ ")]
    rules = ["Hold", "Trend"]
    assert heads == [
        *("base", *rules, "gbm (baseline)", *rules),  # results
        *("base", "spx and ndx", "gbm", "spx and ndx"),  # correlations aimed at and reached
        *("base", *rules, "gbm", *rules),  # what the book risks
    ]
    assert "What the book risks" in told
    assert "base of spx, ndx" in told


def test_the_futures_that_a_run_kept_can_be_checked_together(done: tuple[sg.StressRun, Path]) -> None:
    book = sg.read_book(done[1], "base")
    histories = {"spx": sg.load_candles("sp500"), "ndx": sg.load_candles("nasdaq")}
    report = sg.check_assets(dict(book.parts), histories)
    assert report.verdicts["candles"] == "PASS"
    assert "cross_asset" in report.verdicts


def test_what_really_came_stands_among_the_futures(done: tuple[sg.StressRun, Path]) -> None:
    hold = scenarios(done[0])[0].strategies[0]
    assert hold.realised is not None
    assert hold.realised.bars == HORIZON
    nd, sp = (sg.load_candles(source).split_at("2017-06-30")[1].rows(0, HORIZON) for source in ("nasdaq", "sp500"))
    # Rebalancing two indices that move together moves six bars' return by less than a thousandth.
    by_hand = np.mean([real.close[-1] / real.column("open")[0] - 1 for real in (nd, sp)])
    assert hold.realised.metrics["total_return"] == pytest.approx(by_hand, abs=1e-3)


def test_strategies_of_a_book_are_held_against_history_and_their_choice(done: tuple[sg.StressRun, Path]) -> None:
    run = done[0]
    for book in scenarios(run):
        for strategy in book.strategies:
            assert [marker.stretch for marker in strategy.marker] == ["context", "continuation"]
            assert strategy.tail is not None
            assert strategy.tail.causes is not None
            assert strategy.overfitting is not None
            assert (strategy.overfitting.sets, strategy.overfitting.history_bars) == (1, 2520)
        hold = book.strategies[0]
        assert hold.realised is not None
        assert hold.marker[1].value == hold.realised.metrics["total_return"]
    assert {(found.part, found.strategy) for found in MARKER.of(run.findings)} == {
        (stretch, rule) for stretch in ("context", "continuation") for rule in ("Hold", "Trend")
    }
    assert [found.strategy for found in OVERFITTING.of(run.findings)] == ["Hold", "Trend"]
    page = (done[1] / "index.html").read_text(encoding="utf-8")
    assert "--overwrite" not in page
    assert "Beside equal weight that is bought and held, path by path." in page
    assert "Beside its own decisions of other futures." in page
    assert "buying and holding, path" not in page  # of one asset alone
    assert "random times of other paths" not in page


def test_named_futures_have_the_closes_of_every_asset_and_say_what_was_traded(done: tuple[sg.StressRun, Path]) -> None:
    worst, *_, best = scenarios(done[0])[0].strategies[0].named_paths
    assert worst.total_return <= best.total_return
    assert {asset: len(closes) for asset, closes in worst.closes.items()} == {"spx": HORIZON, "ndx": HORIZON}
    assert {deal.asset for deal in worst.trades} == {"spx", "ndx"}


def test_a_killed_run_goes_on_to_the_same_numbers(
    done: tuple[sg.StressRun, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_in(done[1].parent)
    real, calls = trade.trade_book, []

    def killed(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 4:  # two strategies on the first block are kept, half of the second is not
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(trade, "trade_book", killed)
    with pytest.raises(KeyboardInterrupt):
        sg.run(spec, folder=tmp_path / "run")
    monkeypatch.setattr(trade, "trade_book", real)
    block = tmp_path / "run" / "blocks" / "base" / "000000" / "done.json"
    sampled = sorted((tmp_path / "run" / "blocks").glob("base-*/*/done.json"))  # of assets, which no strategy trades
    assert len(sampled) == 4
    stamp, stamps = block.stat().st_mtime_ns, [file.stat().st_mtime_ns for file in sampled]
    again = sg.run(spec, folder=tmp_path / "run")
    assert block.stat().st_mtime_ns == stamp
    assert [file.stat().st_mtime_ns for file in sampled] == stamps
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "run" / "metrics.parquet"), pd.read_parquet(done[1] / "metrics.parquet")
    )
    assert scenarios(again) == scenarios(done[0])
    assert [finding.told for finding in again.findings] == [finding.told for finding in done[0].findings]


def test_a_block_of_other_numbers_is_traded_anew(done: tuple[sg.StressRun, Path]) -> None:
    folder = done[1] / "blocks" / "base" / "000001"
    (folder / "arrays.npz").write_bytes(b"cut off")
    again = sg.run(spec_in(done[1].parent), folder=done[1])
    assert scenarios(again) == scenarios(done[0])


def test_a_strategy_of_a_book_that_looks_ahead_is_caught(tmp_path: Path) -> None:
    few = {"count": 8, "seed": 7, "block": 8}
    run = sg.run(spec_in(tmp_path, ("Clairvoyant",), baselines=[], paths=few), folder=tmp_path / "run")
    (ahead,) = LOOK_AHEAD.of(run.findings)
    assert ahead.label == "FAIL"
    assert "reads the next bars" in ahead.told


def test_a_future_whose_candles_are_refused_in_one_asset_is_left_out_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scenario_gen.pipeline.blocks import block as blocks

    def broken(prepared: Any, block: Any, sampled: Any) -> Any:
        raw = blocks.sample_block(prepared, block, sampled)
        if prepared.scenario.asset == "ndx":
            raw.values[3, 2, 1] = raw.values[3, 2, 2] / 2  # a high below its low
        return blocks.checked_candles(prepared, raw, 0)

    monkeypatch.setattr("scenario_gen.pipeline.blocks.work.draw_of", lambda *_: broken)
    few = {"count": 8, "seed": 7, "block": 8, "keep": "paths"}
    checks = {"facts": False, "calibration": False, "on_invalid": "reject"}
    run = sg.run(spec_in(tmp_path, ("Hold",), baselines=[], paths=few, checks=checks), folder=tmp_path / "run")
    (book,) = scenarios(run)
    assert (book.paths, book.dropped) == (7, 1)
    assert sorted(pd.read_parquet(tmp_path / "run" / "metrics.parquet")["path_id"]) == [0, 1, 2, 4, 5, 6, 7]


def test_the_coupling_is_part_of_what_a_run_is(tmp_path: Path) -> None:
    given = tmp_path / "correlation.csv"
    spec = spec_in(
        tmp_path,
        ("Hold",),
        baselines=[],
        generator={"kind": "gbm"},
        joint={"copula": "gaussian", "correlation": str(given)},
        paths={"count": 4, "seed": 7, "block": 4},
    )

    def identity(correlation: float, folder: str) -> dict[str, str]:
        given.write_text(f",spx,ndx\nspx,1,{correlation}\nndx,{correlation},1\n")
        return sg.run(spec, folder=tmp_path / folder).identity

    first, second = identity(0.2, "run"), identity(0.8, "other")
    assert {key for key in first if first[key] != second[key]} == {"weights"}


def test_a_shock_without_a_base_beside_it_and_repaired_candles_leave_nothing_to_trade_alone(tmp_path: Path) -> None:
    gap = {"kind": "gap", "asset": "spx", "bar": 1, "size": -0.2}
    spec = spec_in(
        tmp_path,
        ("Hold",),
        scenarios=[{"name": "gap", "shocks": [gap]}],
        baselines=[],
        paths={"count": 8, "seed": 7},
        market={"tick_size": 0.5},  # so that candles are rounded, and stand beside what they were
        limits={},
    )
    (book,) = sg.run(spec, folder=tmp_path / "run").book.scenarios  # type: ignore[union-attr]
    assert (book.name, book.paths) == ("gap", 8)
    returns = pd.read_parquet(tmp_path / "run" / "metrics.parquet")["total_return"]
    assert (len(returns), (returns < 0).all()) == (8, True), returns  # half of equity falls by a fifth


def test_a_strategy_that_raises_on_a_book_is_named_with_its_line(tmp_path: Path) -> None:
    spec = spec_in(tmp_path, ("Hold",), baselines=[], paths={"count": 4, "seed": 7, "block": 4})
    (tmp_path / "rules.py").write_text(RULES.replace("1.0 / len(bars.assets)", "1.0 / bars.nothing"))
    with pytest.raises(StrategyError, match="nothing"):
        sg.run(spec, folder=tmp_path / "run")


def test_the_result_of_a_book_is_read_back_from_run_json(done: tuple[sg.StressRun, Path]) -> None:
    kept = decode(sg.StressRun, json.loads((done[1] / "run.json").read_text()))
    assert kept.book == done[0].book
