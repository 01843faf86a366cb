"""What all classical baselines owe: valid candles, paths of their own, volume where there is some, clear refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scenario_gen.candles import check_candles
from scenario_gen.candles.account import merge_tallies
from scenario_gen.errors import DataError
from scenario_gen.generators.base import FittedGenerator, Generator
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.sections import (
    BASELINES,
    GbmGenerator,
    GeneratorSection,
    GjrGenerator,
    default_section,
    open_generator,
)
from scenario_gen.market import BarCalendar, Candles, PathSet

SECTIONS: list[GeneratorSection] = [
    *map(default_section, BASELINES),
    GbmGenerator(drift="neutral"),
    GjrGenerator(drift="neutral"),
]
every_kind = pytest.mark.parametrize("section", SECTIONS, ids=lambda s: f"{s.kind}-{s.drift}")


@pytest.fixture(scope="module")
def history(sp500: Candles) -> Candles:
    return sp500.split_at("2012-06-29")[0]


def _paths(generator: Generator, context: Candles, paths: int, bars: int = 20, first: int = 0) -> PathSet:
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(bars)
    return generator.sample(context, stamps, Draws.block(4, first, paths))


@every_kind
def test_no_path_needs_repair(section: GeneratorSection, history: Candles) -> None:
    context = history.context(256)
    paths = _paths(open_generator(section, history), context, 200, bars=63)
    account = merge_tallies([check_candles(paths, context, "repair").tally])
    assert account.bad_bars == 0
    assert account.untouched == 200
    assert paths.values.dtype == np.float32
    assert paths.fields == ("open", "high", "low", "close", "volume")
    assert paths.anchor_close == context.close[-1]


@every_kind
def test_a_path_is_the_same_in_any_number_of_paths(section: GeneratorSection, history: Candles) -> None:
    generator, context = open_generator(section, history), history.context(256)
    many, alone = _paths(generator, context, 20), _paths(generator, context, 1, first=17)
    assert np.array_equal(many.values[17], alone.values[0])
    assert not np.array_equal(many.values[16], alone.values[0])


@every_kind
def test_without_volume_in_the_context_there_is_none_in_the_paths(section: GeneratorSection, history: Candles) -> None:
    bare = replace(history, values=history.values[:, :4], fields=history.fields[:4])
    assert _paths(open_generator(section, bare), bare.context(256), 3).fields == ("open", "high", "low", "close")


@every_kind
def test_the_price_level_of_the_context_does_not_matter(section: GeneratorSection, history: Candles) -> None:
    scaled = replace(history, values=history.values * np.array([8, 8, 8, 8, 1]))
    a = _paths(open_generator(section, history), history.context(256), 5)
    b = _paths(open_generator(section, scaled), scaled.context(256), 5)
    # a GARCH fit stops within its own tolerance: 1e-6 of a parameter, at most 1e-4 of a price after 20 bars
    np.testing.assert_allclose(b.close, 8 * a.close, rtol=1e-4)


@every_kind
def test_volatility_is_that_of_the_market(section: GeneratorSection, history: Candles) -> None:
    context = history.context(256)
    paths = _paths(open_generator(section, history), context, 400)
    returns = np.diff(np.log(paths.close.astype(float)), axis=1)
    made = np.median(returns.std(axis=1))
    real = np.diff(np.log(context.close)).std()
    assert 0.5 < made / real < 1.5  # mid-2012 is calmer than the year before it, and filters know


@every_kind
def test_a_generator_of_the_past_was_not_trained(section: GeneratorSection, history: Candles) -> None:
    generator = open_generator(section, history)
    assert generator.trained_until is None
    assert generator.identity["kind"] == section.kind
    assert (generator.identity.get("drift") == "neutral") == (section.drift == "neutral")


@every_kind
def test_a_short_context_is_refused(section: GeneratorSection, history: Candles) -> None:
    short = history.context(20)
    with pytest.raises(DataError, match="20 bars") as caught:
        _paths(open_generator(section, short), short, 2)
    assert "at least" in caught.value.expected


@pytest.mark.parametrize("section", SECTIONS[1:5], ids=lambda s: s.kind)
def test_a_context_that_never_moves_is_refused(section: GeneratorSection, history: Candles) -> None:
    still = replace(history, values=np.ones_like(history.values))
    with pytest.raises(DataError, match="moves by less"):
        _paths(open_generator(section, still), still.context(256), 2)


def test_only_what_is_fitted_to_the_history_sees_more_than_the_context(history: Candles) -> None:
    longer, context = history, history.context(256)
    for section in SECTIONS[:5]:
        generator = open_generator(section, longer)
        alone = open_generator(section)
        same = np.array_equal(_paths(generator, context, 3).values, _paths(alone, context, 3).values)
        assert same != isinstance(generator, FittedGenerator)
