"""A spec of several assets: every scenario once for each, and every mistake with its line and field."""

import contextlib
import copy
from collections.abc import Mapping
from typing import Any

import pytest

from scenario_gen.cli.specs import summary
from scenario_gen.errors import SpecError
from scenario_gen.pipeline.stress.one_event import ask_event
from scenario_gen.progress import SilentProgress
from scenario_gen.spec import spec_from_dict
from scenario_gen.spec.book import ALONE_ONLY
from scenario_gen.spec.loader import parse_spec
from scenario_gen.spec.models import ScenarioSpec
from scenario_gen.spec.overlay import ALONE, OF_BOOKS, OWN
from scenario_gen.spec.stress import WEIGHED

USE = "strategies/buy_and_hold.py:BuyAndHold"
BOOK = """\
name: book
data: {end: 2017-06-30}
broker: {fees: 1bp}
assets:
  - {name: spx, source: sp500}
  - {name: ndx, source: nasdaq, broker: {fees: 2bp}, market: {tick_size: 0.01}}
scenarios: [{name: base}, {name: tight, joint: {correlation_shift: 0.5}}]
baselines: [fhs]
strategies: [{use: "strategies/buy_and_hold.py:BuyAndHold"}]
"""
FULL: dict[str, Any] = {  # every section that a book has of its own
    "name": "book",
    "data": {"end": "2017-06-30"},
    "broker": {"fees": "1bp"},
    "assets": [
        {"name": "spx", "source": "sp500", "market": {"tick_size": 0.01}, "broker": {"fees": "x2"}},
        {"name": "ndx", "source": "nasdaq"},
    ],
    "joint": {"copula": "t", "correlation_shift": 0.1, "calibrate": {"start": "2010-01-04", "end": "2012-01-03"}},
    "scenarios": [
        {"name": "base", "joint": {"calibrate": {"bars": 300}}},
        {"name": "gap", "shocks": [{"kind": "gap", "size": -0.1, "asset": "spx", "bar": 3, "others": "respond"}]},
        {"name": "crisis", "context": {"crisis": "lehman"}},
    ],
    "strategies": [{"use": USE}],
    "limits": {"book_es_975": 0.1, "contribution": 0.5},
}


def test_every_scenario_and_baseline_stands_once_for_each_asset(repository: Any) -> None:
    spec = parse_spec(BOOK, repository).spec
    assert [scenario.name for scenario in spec.scenarios] == [
        f"{name}.{asset}" for name in ("base", "tight", "fhs") for asset in ("spx", "ndx")
    ]
    assert spec.assets == ("spx", "ndx")
    spx, ndx = spec.scenarios[:2]
    assert (spx.broker.fees, ndx.broker.fees, ndx.market.tick_size, spx.market.tick_size) == (1e-4, 2e-4, 0.01, None)
    assert {str(scenario.data.end) for scenario in spec.scenarios} == {"2017-06-30"}
    assert [s.joint.correlation_shift for s in spec.scenarios if s.joint] == [0.0, 0.0, 0.5, 0.5, 0.0, 0.0]
    assert [scenario.future for scenario in spec.scenarios[2:5]] == ["tight", "tight", "fhs"]


@pytest.fixture(scope="module")
def repository() -> Any:
    from pathlib import Path

    return Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ndx, source: nasdaq", "ndx, source: nasdq", "demo.yaml:6: assets[ndx].source: got 'nasdq'"),
        ("tick_size: 0.01", "tick: 0.01", "demo.yaml:6: assets[ndx].market.tick: unknown key"),
        ("{fees: 2bp}", "{cash: 5}", "demo.yaml:6: assets[ndx].broker.cash: unknown key"),
        ("{fees: 2bp}", "{fees: much}", "demo.yaml:6: assets[ndx].broker.fees: got 'much'"),
        ("name: ndx", "name: spx", "assets[spx].name: the name 'spx' is taken by another asset"),
        ("ndx, source: nasdaq", "ndx, source: sp500", "'ndx' has the history of 'spx': two such assets are one"),
        ("{end: 2017-06-30}", "{source: sp500}", "demo.yaml:2: data: beside 'assets' it holds for all of them"),
        ("correlation_shift: 0.5", "correlation_shift: 5", "demo.yaml:7: scenarios[tight].joint.correlation_shift"),
        ("name: ndx", "name: n.x", "assets[n.x].name: got 'n.x'; expected text without a dot"),
        ("{name: base}", "{name: base, jitter: {}}", "demo.yaml:7: scenarios[base].jitter: not with several assets"),
        (
            "{name: base}",
            "{name: base, event: {functional: max_drawdown, at_least: 0.2}}",
            "demo.yaml:7: scenarios[base].event.functional: max_drawdown is of one asset alone, expected of several "
            "portfolio_loss or portfolio_drawdown",
        ),
        *(
            ("{name: base}", f"{{name: base, event: {{functional: portfolio_loss, {more}}}}}", f"demo.yaml:7: {words}")
            for more, words in (
                ("at_least: 10", "scenarios[base].event.at_least: got 10, expected a number above 0 and below 1"),
                (
                    "at_least: 0.1, weights: {dax: 1}",
                    "scenarios[base].event.weights.dax: got 'dax', expected spx or ndx",
                ),
                ("at_least: 0.1, weights: {spx: 0}", "scenarios[base].event.weights: weights of size 0 in all"),
                ("at_least: 0.1, weights: {spx: .nan}", "scenarios[base].event.weights: weights of size nan in all"),
                (
                    "at_least: 0.1, weights: {spx: -.inf}",
                    "scenarios[base].event.weights: weights of size 1e+300 in all",
                ),
                (
                    "at_least: 0.1, weights: {spx: all}",
                    "scenarios[base].event.weights: got a mapping with spx, expected",
                ),
                ("at_least: 0.1}, shocks: [{kind: gap, size: -0.1}], joint: {", "scenarios[base].shocks: an event and"),
                (
                    "at_least: 0.1}, generator: {top_p: 0.9",
                    "scenarios[base].generator.top_p: got top_p 0.9 with an event",
                ),
            )
        ),
        (
            "baselines: [fhs]",
            "limits: {event_probability: {tight: 0.1}}",
            "demo.yaml:8: limits.event_probability.tight: got 'tight', expected a scenario with an event",
        ),
        (
            "{name: base}",
            "{name: base}, {name: v, reweight: base, views: [{mean: terminal_return, equals: 0}]}",
            "demo.yaml:7: scenarios[v].views: not with several assets",
        ),
        ("{name: base}", "{name: base, replay: {crisis: lehman}}", "demo.yaml:7: scenarios[base].replay: not with"),
        (
            "{name: base}",
            "{name: base, joint: {calibrate: {crisis: lehmann}}}",
            "demo.yaml:7: scenarios[base].joint.calibrate.crisis: got 'lehmann', expected a crisis: dotcom_break",
        ),
        (
            "{name: base}",
            "{name: base, data: {source: sp500}}",
            "demo.yaml:7: scenarios[base].data: beside 'assets' it holds for all of them: got source",
        ),
        (
            "{name: base}",
            "{name: base, shocks: [{kind: gap, size: -0.1, asset: ndz}]}",
            "demo.yaml:7: scenarios[base].shocks[#1].asset: got 'ndz', expected spx or ndx; did you mean 'ndx'?",
        ),
        (
            "{name: base}",
            "{name: base, shocks: [{kind: gap, size: -0.1, others: respond}]}",
            "demo.yaml:7: scenarios[base].shocks[#1]: got others without an asset",
        ),
        (
            "{name: base}",
            "{name: base, shocks: [{kind: drift, total: -0.1, asset: ndx, others: respond}]}",
            "demo.yaml:7: scenarios[base].shocks[#1]: got others: respond for drift, expected as_they_are",
        ),
        (
            "{name: base}",
            "{name: base, shocks: [{kind: gap, size: -0.1, asset: ndx}, {kind: gap, size: 0.1, asset: spx}]}",
            "demo.yaml:7: scenarios[base].shocks[#2].bar: others respond at bar 0 to one gap at a time",
        ),
        (
            "{name: base}",
            "{name: base, joint: {calendar: union}, shocks: [{kind: gap, size: -0.1}]}",
            "demo.yaml:7: scenarios[base].shocks[#1]: bars of a shock are those of all assets, and",
        ),
        (
            "{name: base}",
            "{name: base, shocks: [{kind: gap, size: -0.1, asset: ndx, bar: [1]}]}",
            "demo.yaml:7: scenarios[base].shocks[#1].bar: got a list of 1, expected a whole number",
        ),
        (
            "{name: base}",
            "{name: base}, {name: w, reweight: {x: 1}, views: []}",
            "demo.yaml:7: scenarios[w].reweight: got a mapping with x, expected a scenario",
        ),
        (
            "{end: 2017-06-30}",
            "[2017-06-30]",
            "demo.yaml:2: data: beside 'assets' it holds for all of them: got a list",
        ),
        ("{name: base}", "{name: base, data: }", "demo.yaml:7: scenarios[base].data: beside 'assets' it holds for all"),
        ("{fees: 1bp}", "", "demo.yaml:3: broker: got nothing, expected a mapping"),
        ("{name: spx, source: sp500}", "{name: spx}", "demo.yaml:5: assets[spx]: give exactly one of 'source'"),
        ("source: sp500}", "source: sp500, file: a.csv}", "demo.yaml:5: assets[spx]: give exactly one of 'source'"),
        ("name: spx", "name: 'a:b'", "demo.yaml:5: assets[a:b].name: got 'a:b'; expected letters"),
        ("name: spx", 'name: "a\\nb"', "demo.yaml:5: assets[a b].name: got 'a\\nb'; expected letters"),
        ("{name: base}", "{name: base.NDX}", "demo.yaml:7: scenarios[base.NDX].name: got 'base.NDX', which reads as"),
        ("assets:\n", "joint: {copula: t}\nasets:\n", "joint: says how several assets hang together, and there are no"),
    ],
)
def test_a_mistake_in_a_book_has_its_line_and_field(repository: Any, old: str, new: str, words: str) -> None:
    assert old in BOOK
    with pytest.raises(SpecError) as caught:
        parse_spec(BOOK.replace(old, new), repository, "demo.yaml")
    assert words in str(caught.value)


def test_anything_anywhere_in_a_book_is_refused_or_is_a_spec(repository: Any) -> None:
    def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [at, *(place for key, below in inner for place in places(below, (*at, key)))]

    for *before, last in places(FULL)[1:]:
        for odd in (None, "x", [1], {"x": 1}):
            spec: Any = copy.deepcopy(FULL)
            section = spec
            for key in before:
                section = section[key]
            section[last] = odd
            with contextlib.suppress(SpecError):  # anything else escapes
                spec_from_dict(spec, base=repository)


@pytest.mark.parametrize("key", [*OWN, *WEIGHED, *ALONE])
def test_what_a_scenario_alone_may_say_is_allowed_or_refused_of_several_assets_and_never_ignored(key: str) -> None:
    of_several = ("context", "shocks", *OF_BOOKS, "sampler")  # dates of all; an asset that is named; all together
    assert key in ALONE_ONLY or key in of_several


def test_an_event_of_a_book_is_of_all_its_assets_and_no_asset_alone(repository: Any) -> None:
    event = (
        "event: {functional: portfolio_drawdown, at_least: 0.1, weights: {spx: 1, ndx: -0.5}}, sampler: {island: 64}"
    )
    limits = "limits: {event_probability: {rare: 0.1}}\nstrategies"
    text = BOOK.replace("{name: base}", f"{{name: base}}, {{name: rare, {event}}}").replace("strategies", limits, 1)
    loaded = parse_spec(text, repository, "demo.yaml")
    asked = {scenario.name: scenario.portfolio for scenario in loaded.spec.scenarios if scenario.portfolio}
    assert list(asked) == ["rare.spx", "rare.ndx"]
    assert asked["rare.spx"] == asked["rare.ndx"]
    assert asked["rare.spx"].shares(("ndx", "spx")) == (-0.5, 1.0)
    assert all(scenario.event is None for scenario in loaded.spec.scenarios)
    again = ScenarioSpec.model_validate_json(loaded.spec.model_dump_json())
    assert again == loaded.spec
    told = summary(loaded).splitlines()[2]
    assert told.endswith("how rare: the portfolio of 1 spx, -0.5 ndx falls by 10 % or more from its highest")
    with pytest.raises(SpecError, match="rare asks for an event of several assets"):
        ask_event(loaded, "rare", SilentProgress())


@pytest.mark.parametrize("functional", ["portfolio_loss", "portfolio_drawdown"])
def test_an_event_of_several_assets_is_refused_of_one(functional: str) -> None:
    spec = {
        "name": "a",
        "data": {"source": "sp500"},
        "scenarios": [{"name": "x", "event": {"functional": functional, "at_least": 0.1}}],
        "strategies": [{"use": USE}],
    }
    with pytest.raises(SpecError, match=rf"scenarios\[x\].event.functional: {functional} is of several assets, and"):
        spec_from_dict(spec)


def test_how_assets_hang_together_is_said_of_several_assets_only() -> None:
    spec = {
        "name": "a",
        "data": {"source": "sp500"},
        "scenarios": [{"name": "x", "joint": {"copula": "t"}}],
        "strategies": [{"use": USE}],
    }
    with pytest.raises(
        SpecError, match=r"scenarios\[x\].joint: says how several assets hang together, and there are no"
    ):
        spec_from_dict(spec)


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        ("broker: {fees: 1bp}", "joint: {correlation: gone.csv}", 3, "joint.correlation"),
        ("correlation_shift: 0.5", "correlation: gone.csv", 7, "scenarios[tight].joint.correlation"),
    ],
)
def test_a_correlation_file_that_is_not_there_is_a_mistake_of_the_spec_told_once(
    repository: Any, old: str, new: str, line: int, field: str
) -> None:
    assert old in BOOK
    with pytest.raises(SpecError) as caught:
        parse_spec(BOOK.replace(old, new), repository, "book.yaml")
    words = str(caught.value)
    assert f"book.yaml:{line}: {field}: got" in words
    assert words.count("gone.csv") == 1


def test_validate_tells_futures_and_assets_of_a_book(repository: Any) -> None:
    told = summary(parse_spec(BOOK, repository, "demo.yaml")).splitlines()
    assert [line.split(",")[0] for line in told[1:6]] == [
        "  scenario  base: 512 futures x 63 bars from 256 bars of each asset",
        "  scenario  tight: 512 futures x 63 bars from 256 bars of each asset",
        "  baseline  fhs: 512 futures x 63 bars from 256 bars of each asset",
        "  asset     spx: sp500 to 2017-06-30",
        "  asset     ndx: nasdaq to 2017-06-30",
    ]
    assert "3,072 paths of 1,536 futures" in told[-2]
    assert "1,536 backtests" in told[-2]  # a strategy trades a future once, not each asset of it


def test_one_asset_is_no_book() -> None:
    spec: Mapping[str, Any] = {
        "name": "a",
        "assets": [{"name": "spx", "source": "sp500"}],
        "strategies": [{"use": USE}],
    }
    with pytest.raises(SpecError, match="got 1 assets, expected 2 to 50"):
        spec_from_dict(spec)


def test_a_shock_hits_the_asset_that_it_names_or_all(repository: Any) -> None:
    shocks = "[{kind: gap, size: -0.1, bar: 5, asset: spx}, {kind: volatility, times: 2}, {kind: costs, asset: ndx}]"
    spec = parse_spec(BOOK.replace("{name: base}", f"{{name: base, shocks: {shocks}}}"), repository).spec
    spx, ndx = spec.scenarios[:2]
    assert [shock.kind for shock in spx.shocks] == ["gap", "volatility"]
    assert [shock.kind for shock in ndx.shocks] == ["volatility", "costs"]
    assert [shock.responds for shock in (*spx.shocks, *ndx.shocks)] == [True, False, False, False]
    assert all(scenario.shocks == () for scenario in spec.scenarios[2:])


def test_an_asset_of_a_shock_is_of_several_assets_only() -> None:
    shock = {"kind": "gap", "size": -0.1, "asset": "spx"}
    spec = {
        "name": "a",
        "data": {"source": "sp500"},
        "scenarios": [{"name": "x", "shocks": [shock]}],
        "strategies": [{"use": USE}],
    }
    with pytest.raises(SpecError, match=r"scenarios\[x\].shocks\[#1\].asset: is of a shock on one of several assets"):
        spec_from_dict(spec)
