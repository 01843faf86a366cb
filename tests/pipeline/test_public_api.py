"""``import scenario_gen as sg``: cheap to import, clear when misused, the same paths as a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import scenario_gen as sg
from scenario_gen.errors import CheckpointError, DataError, ScenarioError, SpecError
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.sections import KronosGenerator, open_generator
from scenario_gen.market.calendar import BarCalendar


@pytest.fixture(scope="module")
def context(sp500: sg.Candles) -> sg.Candles:
    return sp500.split_at("2016-03-31")[0].context(40)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, scenario_gen; dir(scenario_gen); "
        "print([m for m in ('torch', 'pandas', 'numpy', 'vectorbt', 'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_samples_have_the_promised_shape_and_stamps(context: sg.Candles, tiny_folder: Path) -> None:
    paths = sg.sample(context, horizon=10, paths=6, model=str(tiny_folder), seed=1, device="cpu", block=4)
    assert paths.values.shape == (6, 10, 5)
    assert paths.values.dtype == np.float32
    assert paths.fields == ("open", "high", "low", "close", "volume")
    assert paths.timestamps[0].isoformat() == "2016-04-01T00:00:00"
    assert paths.timestamps[-1].isoformat() == "2016-04-14T00:00:00"
    assert paths.path_ids.tolist() == [0, 1, 2, 3, 4, 5]


def test_the_first_paths_of_many_are_the_paths_of_few(context: sg.Candles, tiny_folder: Path) -> None:
    few, many = (
        sg.sample(context, horizon=8, paths=n, model=str(tiny_folder), seed=5, device="cpu", block=8) for n in (3, 20)
    )
    assert np.array_equal(few.values, many.values[:3])


def test_the_first_hundred_of_ten_thousand_are_a_run_of_a_hundred(context: sg.Candles) -> None:
    few, many = (sg.sample(context, horizon=2, paths=n, seed=5, device="cpu") for n in (100, 10_000))
    assert np.array_equal(few.values, many.values[:100])


def test_the_order_of_blocks_never_changes_a_path(context: sg.Candles) -> None:
    generator = open_generator(KronosGenerator(device="cpu"))
    timestamps = BarCalendar.infer(context.timestamps, context.calendar).future(3)

    def block(first: int) -> np.ndarray:
        return generator.sample(context, timestamps, Draws(7, np.arange(first, first + 64))).values

    forwards = [block(first) for first in (0, 64, 128)]
    backwards = [block(first) for first in (128, 64, 0)]
    assert np.array_equal(np.concatenate(forwards), np.concatenate(backwards[::-1]))


def test_another_seed_gives_other_paths(context: sg.Candles, tiny_folder: Path) -> None:
    a, b = (
        sg.sample(context, horizon=8, paths=4, model=str(tiny_folder), seed=s, device="cpu", block=4) for s in (1, 2)
    )
    assert not np.array_equal(a.values, b.values)


@pytest.mark.parametrize("model", ["bootstrap", "fhs", "gbm"])
def test_a_frame_and_a_classical_generator_serve_too(context: sg.Candles, model: str) -> None:
    paths = sg.sample(context.frame(), horizon=5, paths=3, model=model)
    assert paths.values.shape == (3, 5, 5)
    assert paths.provenance["generator"] == model


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizon": 0}, "horizon is 0"),
        ({"paths": -1}, "paths is -1"),
        ({"paths": True}, "paths is True"),
        ({"horizon": 10**9}, "horizon is 1000000000"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"window": "roll"}, "window"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"block": 10**6}, "block is 1000000"),
        ({"tokenizer": "some/tokenizer"}, "nano brings its own tokenizer"),
    ],
)
def test_absurd_settings_are_refused(context: sg.Candles, settings: dict[str, object], message: str) -> None:
    wanted: dict[str, object] = {"horizon": 5, "paths": 2, "model": "bootstrap"} | settings
    if not {"horizon", "paths"} & set(settings):
        wanted["model"] = "nano"
    with pytest.raises(SpecError, match=message):
        sg.sample(context, **wanted)  # type: ignore[arg-type]


def test_numpys_whole_numbers_are_whole_numbers(context: sg.Candles) -> None:
    given, plain = (
        sg.sample(context, horizon=kind(3), paths=kind(2), seed=kind(4), model="bootstrap") for kind in (np.int64, int)
    )
    assert np.array_equal(given.values, plain.values)


@pytest.mark.parametrize("setting", [{"temperature": 3.0}, {"top_p": 0.5}, {"window": "slide"}])
def test_the_bootstrap_does_not_swallow_settings_that_it_cannot_follow(
    context: sg.Candles, setting: dict[str, object]
) -> None:
    with pytest.raises(SpecError, match=f"the bootstrap generator knows no {next(iter(setting))}"):
        sg.sample(context, horizon=5, paths=2, model="bootstrap", **setting)  # type: ignore[arg-type]


@pytest.mark.parametrize("bars", [0, -5])
def test_a_context_without_bars_is_refused(context: sg.Candles, bars: int) -> None:
    with pytest.raises(DataError, match=f"a context of {bars} bars"):
        context.context(bars)


def test_an_unknown_model_names_the_nearest(context: sg.Candles) -> None:
    with pytest.raises(CheckpointError, match="did you mean 'nano'"):
        sg.sample(context, horizon=5, paths=2, model="nanno")


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        sg.nothing_of_the_kind  # noqa: B018


def test_errors_print_problem_expectation_and_advice() -> None:
    text = str(ScenarioError("three came", expected="two", fix="take one away"))
    assert text == "three came\n  expected: two\n  to do:    take one away"
