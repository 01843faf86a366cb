"""The market section: ticks, lots, limit and unit of one instrument; and what to do with a volume that has holes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scenario_gen.market.section import Market
from scenario_gen.spec import LoadedSpec

Load = Callable[[str], LoadedSpec]


def test_nothing_is_declared_by_default(load: Load, start: str) -> None:
    (only,) = load(start).spec.scenarios
    assert only.market == Market(tick_size=None, lot_size=None, price_limit=None, volume_unit=None)
    assert only.data.volume == "auto"


def test_a_scenario_overrides_what_it_names_and_may_take_a_rule_back(load: Load, start: str) -> None:
    text = start + "market: {tick_size: 0.01, price_limit: 0.1}\n"
    text += "scenarios: [{name: a}, {name: b, market: {price_limit: 0.2}}, {name: c, market: {price_limit: null}}]\n"
    a, b, c = load(text).spec.scenarios
    assert (a.market.tick_size, a.market.price_limit) == (0.01, 0.1)
    assert (b.market.tick_size, b.market.price_limit) == (0.01, 0.2)
    assert (c.market.tick_size, c.market.price_limit) == (0.01, None)


def test_another_history_has_its_own_market_and_another_end_has_not(load: Load, start: str) -> None:
    text = start + "market: {tick_size: 0.01}\n"
    text += "scenarios: [{name: later, data: {end: 2018-06-29}}, {name: other, data: {source: nasdaq}},\n"
    text += "  {name: told, data: {source: nasdaq}, market: {tick_size: 0.25}}]\n"
    later, other, told = load(text).spec.scenarios
    assert [one.market.tick_size for one in (later, other, told)] == [0.01, None, 0.25]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("market: {tick_size: 0}", "market.tick_size: got 0, expected a number above 0 and at most 1000000000"),
        ("market: {tick_size: 0.01%}", "market.tick_size: got '0.01%', expected a number"),
        ("market: {price_limit: 10}", "market.price_limit: got 10, expected a number above 0 and below 1"),
        ("market: {lot_size: -100}", "market.lot_size: got -100, expected a number above 0 and at most 1000000000000"),
        ("market: {tick: 0.01}", "market.tick: unknown key; did you mean 'tick_size'?"),
        ("market: 0.01", "market: got 0.01, expected a mapping with some of: tick_size, lot_size, price_limit"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    mistakes: Callable[[str], list[str]], start: str, line: str, message: str
) -> None:
    (told,) = mistakes(start + line + "\n")
    assert told.startswith(f"demo.yaml:4: {message}")


def test_an_unknown_volume_policy_lists_the_known_ones(mistakes: Callable[[str], list[str]], start: str) -> None:
    (told,) = mistakes(start.replace("{source: sp500,", "{source: sp500, volume: keep,"))
    assert told.startswith("demo.yaml:2: data.volume: got 'keep', expected auto, drop or require")
