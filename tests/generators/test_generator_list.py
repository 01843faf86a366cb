"""The list of generators: what the spec, the report and the command line take from it."""

from __future__ import annotations

from typing import ClassVar, Literal

import pytest

from scenario_gen.generators import sections
from scenario_gen.generators.base import Generator
from scenario_gen.generators.gbm import GbmPaths
from scenario_gen.generators.rescaled import DriftNeutral, Rescaled
from scenario_gen.generators.sections import (
    BASELINES,
    DEFAULT,
    GENERATORS,
    SECTIONS,
    Drift,
    GeneratorSection,
    Recalibrate,
    Volatility,
    default_section,
    name_of,
    open_generator,
)
from scenario_gen.spec.loader import spec_schema


def test_every_generator_has_a_kind_a_title_and_what_may_be_done_to_its_paths_as_its_last_keys() -> None:
    assert len(GENERATORS) == len(SECTIONS) == len({section.title for section in SECTIONS})
    assert set(BASELINES) == set(GENERATORS) - {DEFAULT}
    for kind, section in GENERATORS.items():
        keys = list(section.model_fields)
        assert (keys[0], *keys[-3:]) == ("kind", "volatility", "recalibrate", "drift")
        assert default_section(kind).kind == kind


@pytest.mark.parametrize("kind", BASELINES)
def test_a_generator_without_a_model_says_its_kind_and_was_never_trained(kind: str) -> None:
    generator = default_section(kind).open()
    assert generator.identity["kind"] == kind
    assert generator.trained_until is None


def test_the_schema_offers_every_generator() -> None:
    schema = spec_schema()
    offered = {reference["$ref"].rpartition("/")[2] for reference in schema["properties"]["generator"]["anyOf"]}
    assert offered == {section.__name__ for section in SECTIONS}
    assert schema["properties"]["baselines"]["items"]["enum"] == list(BASELINES)
    number, text = schema["$defs"]["GbmGenerator"]["properties"]["volatility"]["anyOf"]
    assert (number["minimum"], number["maximum"], text["pattern"]) == (0.5, 3.0, r"^x(\d+(?:\.\d+)?)$")


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"kind": "kronos", "model": "nano", "temperature": 0.8}, "Kronos nano, T 0.8"),
        ({"kind": "kronos", "model": "mini", "temperature": 1.25, "top_p": 0.9}, "Kronos mini, T 1.25, top_p 0.9"),
        ({"kind": "bootstrap", "mean_block": 7.25}, "stationary bootstrap of the context, mean block 7.2 bars"),
        ({"kind": "bootstrap", "mean_block": None}, "stationary bootstrap of the context"),
        ({"kind": "gjr", "fit_bars": 1000}, "GJR-GARCH filtered historical simulation"),
        ({"kind": "gbm", "volatility": 1.3}, "geometric Brownian motion, volatility x1.3"),
        ({"kind": "kronos", "volatility": 1.0, "recalibrate": True}, "Kronos, T 1.0, recalibrated"),
        ({"kind": "of a later version"}, "of a later version"),
        ({}, "unnamed generator"),
    ],
)
def test_what_made_paths_is_told_in_one_line(record: dict[str, object], name: str) -> None:
    assert name_of(record) == name


class Made(GeneratorSection):
    """A generator that only this test has."""

    title: ClassVar[str] = "made"

    kind: Literal["made"] = "made"
    volatility: Volatility = 1.0
    recalibrate: Recalibrate = False
    drift: Drift = "as_sampled"

    def open(self) -> Generator:
        """Return a Brownian motion in its place."""
        return GbmPaths()


def test_one_section_adds_a_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sections.GENERATORS, "made", Made)
    assert open_generator(default_section("made")) == GbmPaths()
    assert isinstance(open_generator(Made(drift="neutral")), DriftNeutral)
    assert isinstance(open_generator(Made(volatility=1.3)), Rescaled)
    assert name_of({"kind": "made"}) == "made"
