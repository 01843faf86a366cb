"""Assets of a spec are coupled once for the same generators and bars; a command and a function show the fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from typer.testing import CliRunner

import scenario_gen as sg
from scenario_gen.cli.app import app
from scenario_gen.errors import DataError, SpecError
from scenario_gen.joint.coupling import Coupled
from scenario_gen.market import load_candles
from scenario_gen.pipeline.book.coupling import Couplings, couple_books
from scenario_gen.pipeline.prepared import Book, prepare
from scenario_gen.progress import SilentProgress
from scenario_gen.spec.loader import LoadedSpec, parse_spec

SPEC = """\
name: book
data: {end: 2017-06-30}
assets: [{name: spx, source: sp500}, {name: ndx, source: nasdaq}]
joint: {copula: independent}
bars: {horizon: 12}
paths: {count: 16}
generator: {kind: fhs}
scenarios:
  - {name: base}
  - {name: dated, joint: {copula: t}}
baselines: [fhs]
strategies: [{use: "buy.py:BuyAndHold"}]
"""


def loaded_from(folder: Path, *changes: tuple[str, str]) -> LoadedSpec:
    text = SPEC
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = folder / "book.yaml"
    file.write_text(text, encoding="utf-8")
    (folder / "buy.py").write_text((Path(__file__).parents[2] / "strategies/buy_and_hold.py").read_text("utf-8"))
    return parse_spec(text, folder, "book.yaml")


def books_of(loaded: LoadedSpec, couplings: Couplings | None = None) -> dict[str, Book]:
    grounds = prepare(loaded.spec.scenarios, loaded.base, SilentProgress(), place=loaded.place)
    every = couple_books(grounds, couplings or Couplings(loaded.base, loaded.place), SilentProgress())
    return {book.name: book for book in every}


def test_scenarios_and_baselines_of_one_generator_and_joint_section_share_a_fit(tmp_path: Path) -> None:
    loaded = loaded_from(tmp_path)
    couplings = Couplings(loaded.base, loaded.place)
    books = books_of(loaded, couplings)
    assert {name: book.coupling.copula for name, book in books.items()} == {
        "base": "independent",
        "dated": "dated",
        "fhs": "independent",
    }
    assert len(couplings.kept) == 2
    coupled = [[ground.coupled for ground in books[name].grounds.values()] for name in ("base", "fhs")]
    assert all(isinstance(each, Coupled) for each in coupled[0] + coupled[1])
    assert coupled[0][0].coupling is coupled[1][0].coupling  # type: ignore[union-attr]
    assert [each.asset for each in coupled[0]] == [0, 1]  # type: ignore[union-attr]


def test_what_was_left_out_of_the_common_bars_is_among_the_notes_of_a_coupling(tmp_path: Path) -> None:
    report = books_of(loaded_from(tmp_path))["dated"].coupling
    assert (report.assets, report.bars) == (["spx", "ndx"], 1000)
    assert report.end == "2017-06-30T00:00:00"
    assert any("same dated bars" in note for note in report.notes)
    # 255 bars of 2017 and before drawn again: the real correlation of these, .92 with an error of .01
    histories = [load_candles(source).split_at(pd.Timestamp("2017-06-30"))[0] for source in ("sp500", "nasdaq")]
    bars = [np.diff(np.log(history.context(256).close)) for history in histories]
    assert report.reached[0][1] == pytest.approx(np.corrcoef(bars)[0, 1], abs=0.05)


@pytest.mark.parametrize(
    ("joint", "words"),
    [
        (
            "{correlation: bad.csv}",
            "book.yaml:9: scenarios[base].joint.correlation: bad.csv: the number of spx and ndx, 1.5, "
            "lies beyond -1 and 1",
        ),
        ("{calibrate: {end: 1999-03-31}}", "book.yaml:9: scenarios[base].joint.calibrate.end: "),
    ],
)
def test_what_cannot_be_coupled_is_told_with_its_line(tmp_path: Path, joint: str, words: str) -> None:
    (tmp_path / "bad.csv").write_text("spx,ndx\n1,1.5\n1.5,1\n")
    loaded = loaded_from(tmp_path, ("joint: {copula: independent}", f"joint: {joint}"))
    with pytest.raises(DataError) as raised:
        books_of(loaded)
    assert words in str(raised.value)


def test_another_given_correlation_is_another_identity_of_what_samples(tmp_path: Path) -> None:
    changes = [("joint: {copula: independent}", "joint: {correlation: given.csv}"), ("{kind: fhs}", "{kind: gbm}")]
    identities = []
    for rho in (0.5, 0.6):
        (tmp_path / "given.csv").write_text(f"spx,ndx\n1,{rho}\n{rho},1\n")
        loaded = loaded_from(tmp_path, *changes)
        book = books_of(loaded)["base"]
        assert book.coupling.reached[0][1] == pytest.approx(rho, abs=0.03)
        identities.append(book.grounds["spx"].sampler.identity)
    assert identities[0] != identities[1]


def test_the_command_shows_the_fit_and_samples_nothing(tmp_path: Path) -> None:
    loaded_from(tmp_path)
    result = CliRunner().invoke(app, ["couple", str(tmp_path / "book.yaml"), "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [scenario["name"] for scenario in report["scenarios"]] == ["base", "dated", "fhs"]
    assert report["scenarios"][1]["coupling"]["copula"] == "dated"
    shown = CliRunner().invoke(app, ["couple", str(tmp_path / "book.yaml"), "--quiet"])
    assert "spx and ndx" in shown.output
    assert "read from 1 000 common bars from 2013-07-15 to 2017-06-30" in " ".join(shown.output.split())
    assert {file.name for file in tmp_path.iterdir()} == {"book.yaml", "buy.py"}


def test_a_spec_of_one_asset_has_nothing_to_couple(tmp_path: Path) -> None:
    file = tmp_path / "alone.yaml"
    text = SPEC.replace("assets: [{name: spx, source: sp500}, {name: ndx, source: nasdaq}]\n", "")
    text = text.replace("data: {", "data: {source: sp500, ").replace("joint: {copula: independent}\n", "")
    file.write_text(text.replace("  - {name: dated, joint: {copula: t}}\n", ""), encoding="utf-8")
    (tmp_path / "buy.py").write_text((Path(__file__).parents[2] / "strategies/buy_and_hold.py").read_text("utf-8"))
    result = CliRunner().invoke(app, ["couple", str(file)])
    assert result.exit_code == 2
    assert "has one asset alone" in result.output


def test_couple_returns_a_model_of_joint_futures() -> None:
    histories = {"spx": load_candles("sp500").context(700), "ndx": load_candles("nasdaq").context(650).frame()}
    model = sg.couple(histories, model="fhs", bars=500)
    assert model.report.bars == 500
    paths = model.sample(8, 40, seed=3)
    assert list(paths) == ["spx", "ndx"]
    assert [part.values.shape for part in paths.values()] == [(40, 8, 5)] * 2
    assert_array_equal(paths["spx"].path_ids, paths["ndx"].path_ids)
    assert paths["spx"].timestamps.equals(paths["ndx"].timestamps)
    assert_array_equal(model.sample(8, 17, seed=3)["ndx"].values, paths["ndx"].values[:17])
    closes = [np.log(part.close / part.anchor_close)[:, -1] for part in paths.values()]
    assert np.corrcoef(closes)[0, 1] > 0.8


@pytest.mark.parametrize(("order", "copula"), [("return", "t"), ("nested", "empirical")])
def test_a_checkpoint_is_coupled_by_the_order_of_its_tokens(tiny_folder: Path, order: str, copula: str) -> None:
    histories = {"spx": load_candles("sp500").context(400), "ndx": load_candles("nasdaq").context(400)}
    model = sg.couple(histories, model=str(tiny_folder), order=order, copula=copula, bars=300)
    assert (model.report.copula, model.report.order, model.report.bars) == (copula, order, 300)
    assert list(model.report.order_rank) == ["spx", "ndx"]
    paths = model.sample(6, 24, seed=2)
    assert_array_equal(model.sample(6, 9, seed=2)["ndx"].path_ids, paths["ndx"].path_ids[:9])
    assert np.isfinite(paths["ndx"].close).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"copula": "clayton"}, "got 'clayton', expected empirical, t, gaussian or independent"),
        ({"bars": 100}, "expected a whole number from 250"),
        ({"correlation": np.eye(3)}, "is 3 x 3, and there are 2 assets"),
        ({"correlation": pd.DataFrame(np.eye(2), ["a", "b"], ["a", "b"])}, "the correlation names a, b"),
        ({"correlation": "m.csv"}, "the correlation holds something else than numbers: could not convert"),
        ({"correlation": [[1.0], [0.5, 1.0]]}, "the correlation holds something else than numbers: "),
        ({"correlation": np.eye(2) * 1j}, "the correlation holds something else than numbers: complex"),
        ({"copula": "independent", "correlation": np.eye(2)}, "leaves no correlation to set"),
        ({"correlation": np.array([[1, 0.5], [0.4, 1]])}, "differs from the number on the other side"),
    ],
)
def test_settings_that_couple_cannot_use_are_refused(settings: dict[str, object], words: str) -> None:
    histories = {"spx": load_candles("sp500").context(400), "ndx": load_candles("nasdaq").context(400)}
    with pytest.raises((SpecError, DataError)) as raised:
        sg.couple(histories, model="fhs", **settings)  # type: ignore[arg-type]
    assert words in str(raised.value)


def test_assets_are_two_or_more_each_of_its_own_name() -> None:
    with pytest.raises(SpecError, match="got 1 for assets"):
        sg.couple({"spx": "sp500"})
    with pytest.raises(SpecError, match="two assets are called '1'"):
        sg.couple({1: "sp500", "1": "nasdaq"})  # type: ignore[dict-item]


@pytest.mark.parametrize("model", ["gbm", "bootstrap"])
def test_an_asset_that_stands_still_where_dependence_is_read_is_refused_by_name(model: str) -> None:
    history = load_candles("sp500").context(400)
    still = history.rows(0, 400).values.copy()
    still[-300:, :4] = still[-301, 3]
    histories = {"spx": history, "peg": replace(history, values=still)}
    with pytest.raises(DataError, match=r"the close of peg does not move in the 250 common bars from .* to 2018-12-31"):
        sg.couple(histories, model=model, bars=250)


def test_an_independent_model_has_the_paths_of_each_asset_alone() -> None:
    history = load_candles("sp500").context(400)
    model = sg.couple({"spx": history, "ndx": load_candles("nasdaq").context(400)}, model="fhs", copula="independent")
    alone = sg.sample(history, horizon=6, paths=32, model="fhs", seed=5)
    assert_allclose(model.sample(6, 32, seed=5)["spx"].values, alone.values)
