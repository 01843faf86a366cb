"""``temperature: auto`` and ``top_p: auto``: searched on the past of the context, kept, and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import scenario_gen as sg
from scenario_gen.errors import DataError, SpecError
from scenario_gen.forecasts import dial as dial_module
from scenario_gen.forecasts.dial import TEMPERATURES, TOP_PS, beside, search_dial, settle
from scenario_gen.forecasts.harness import Settings
from scenario_gen.generators.sections import BootstrapGenerator, KronosGenerator
from scenario_gen.market import Candles
from scenario_gen.progress import SilentProgress
from scenario_gen.store.folder import RunFolder

STRATEGIES = Path(__file__).parents[2] / "strategies"
SETTINGS = Settings(context=40, horizon=5, origins=30, seed=2)


@pytest.fixture(scope="module")
def history(sp500: Candles) -> Candles:
    return sp500.split_at("2016-03-31")[0]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Shorten the grids, and note every setting that is sampled."""
    monkeypatch.setattr(dial_module, "SEARCH_PATHS", 9)
    monkeypatch.setattr(dial_module, "TEMPERATURES", (0.7, 1.0, 1.4))
    monkeypatch.setattr(dial_module, "TOP_PS", (1.0, 0.9))
    settings: list[tuple[float, float]] = []
    original = dial_module._try

    def noting(section: KronosGenerator, *rest: Any) -> Any:
        settings.append((section.temperature, section.top_p))  # type: ignore[arg-type]
        return original(section, *rest)

    monkeypatch.setattr(dial_module, "_try", noting)
    return settings


def _section(folder: Path, **settings: Any) -> KronosGenerator:
    return KronosGenerator(model=str(folder), device="cpu", **settings)


def test_both_are_searched_one_after_the_other(
    tiny_folder: Path, history: Candles, tried: list[tuple[float, float]]
) -> None:
    section = _section(tiny_folder, temperature="auto", top_p="auto")
    found = search_dial(section, history, SETTINGS, cache=None, progress=SilentProgress())
    assert found.searched == "temperature, top_p"
    assert {temperature for temperature, p in tried if p == 1.0} >= {0.7, 1.0, 1.4}
    assert len(tried) == 3 + 2 + 1
    assert {p for temperature, p in tried if temperature == found.temperature} == {1.0, 0.9}
    assert len(found.points) == len(tried)
    assert (found.temperature, found.top_p) in [(one.temperature, one.top_p) for one in found.points]
    # The last bar that it may see is the one before the context of 40 bars, which ends with the history.
    assert found.last == history.timestamps[-41].isoformat()
    assert found.origins == 30


def test_one_alone_leaves_the_other_as_it_is_given(
    tiny_folder: Path, history: Candles, tried: list[tuple[float, float]]
) -> None:
    section = _section(tiny_folder, temperature=1.3, top_p="auto")
    found = search_dial(section, history, SETTINGS, cache=None, progress=SilentProgress())
    assert {temperature for temperature, _ in tried} == {1.3}
    assert (found.searched, found.temperature) == ("top_p", 1.3)
    tried.clear()
    section = _section(tiny_folder, temperature="auto", top_p=0.9)
    found = search_dial(section, history, SETTINGS, cache=None, progress=SilentProgress())
    assert {p for _, p in tried} == {0.9}
    assert found.top_p == 0.9


def test_a_finished_search_is_read_from_its_folder(
    tiny_folder: Path, history: Candles, tried: list[tuple[float, float]], tmp_path: Path
) -> None:
    section = _section(tiny_folder, top_p="auto")
    first = search_dial(section, history, SETTINGS, cache=tmp_path, progress=SilentProgress())
    count = len(tried)
    assert search_dial(section, history, SETTINGS, cache=tmp_path, progress=SilentProgress()) == first
    # a stress is put on the setting that fits, it is not searched away
    stress = section.model_copy(update={"volatility": 1.3, "recalibrate": True})
    assert search_dial(stress, history, SETTINGS, cache=tmp_path, progress=SilentProgress()) == first
    assert len(tried) == count


def test_the_grid_is_refined_beside_its_best() -> None:
    assert 1.0 in TEMPERATURES  # the model as trained
    assert TOP_PS[0] == 1.0
    grid = (0.7, 0.85, 1.0, 1.2, 1.45)
    assert beside(grid, 2) == [0.925, 1.1]
    assert beside(grid, 0) == [0.55, 0.775]
    assert beside(grid, 4) == [1.325, 1.7]


def test_numbers_are_left_alone(tiny_folder: Path, history: Candles) -> None:
    for section in (BootstrapGenerator(), _section(tiny_folder, temperature=0.7)):
        assert settle(section, history, SETTINGS, cache=None, progress=SilentProgress()) == (section, None)


def test_what_cannot_be_compared_is_refused(tiny_folder: Path, history: Candles) -> None:
    section = _section(tiny_folder, temperature="auto")
    quiet = SilentProgress()
    with pytest.raises(DataError, match=r"room for \d+ forecasts") as caught:
        search_dial(section, history.rows(0, 95), SETTINGS, cache=None, progress=quiet)
    assert "give numbers" in caught.value.fix
    short = Settings(context=40, horizon=2, origins=30)
    with pytest.raises(SpecError, match="the horizon has 2 bars"):
        search_dial(section, history, short, cache=None, progress=quiet)


def _spec(folder: Path, model: Path, **generator: Any) -> dict[str, Any]:
    return {
        "name": "auto",
        "data": {"source": "sp500", "start": "2012-01-01", "end": "2016-03-31"},
        "bars": {"context": 40, "horizon": 6},
        "paths": {"count": 8, "seed": 3, "block": 8},
        "generator": {"model": str(model), "device": "cpu", **generator},
        "checks": {"facts": False, "calibration": False},
        "strategies": [{"use": f"{STRATEGIES}/buy_and_hold.py:BuyAndHold"}],
        "report": {"folder": str(folder)},
    }


def test_a_run_takes_the_chosen_temperature_and_keeps_the_curve(
    tiny_folder: Path, tmp_path: Path, tried: list[tuple[float, float]]
) -> None:
    spec = _spec(tmp_path / "run", tiny_folder, temperature="auto")
    run = sg.run(spec)
    (scenario,) = run.scenarios
    assert scenario.dial is not None
    assert scenario.generator["temperature"] == scenario.dial.temperature
    assert run.spec["scenarios"][0]["generator"]["temperature"] == "auto"
    assert len(scenario.dial.points) == 3 + 2
    assert RunFolder(tmp_path / "run").read_run() == run
    count = len(tried)
    again = sg.run(spec)  # goes on with the same folder: nothing is searched again
    assert len(tried) == count
    assert again.scenarios[0].dial == scenario.dial
    plain = sg.run(_spec(tmp_path / "plain", tiny_folder, temperature=scenario.dial.temperature))
    assert plain.scenarios[0].price_fan == scenario.price_fan
    assert plain.scenarios[0].dial is None


def test_sampling_without_a_history_wants_a_number(history: Candles) -> None:
    with pytest.raises(SpecError, match="auto"):
        sg.sample(history, horizon=3, paths=2, temperature="auto")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["fhs", "garch", "gjr", "gbm", "bootstrap"])
def test_every_baseline_runs_in_a_spec(kind: str, tmp_path: Path) -> None:
    spec = _spec(tmp_path / kind, tmp_path)
    run = sg.run({**spec, "bars": {"context": 256, "horizon": 6}, "generator": {"kind": kind}})
    (scenario,) = run.scenarios
    assert scenario.generator["generator"] == kind
    assert scenario.candles.bad_bars == 0
    overlap = next(one for one in run.findings if one.name == "training overlap")
    assert overlap.label == "PASS"


def test_a_history_too_short_for_garch_is_told_before_anything_runs(tmp_path: Path) -> None:
    spec = _spec(tmp_path / "run", tmp_path)
    spec["data"]["start"] = "2015-08-01"
    with pytest.raises(DataError, match="GARCH model is to be fitted to 167 bars"):
        sg.run({**spec, "generator": {"kind": "garch"}})
    assert not (tmp_path / "run").exists()
