"""Paths that a run of several assets kept come back as the joint futures that its strategies traded."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.testing import assert_allclose, assert_array_equal

import scenario_gen as sg
from scenario_gen.errors import DataError, StoreError

ROOT = Path(__file__).parent.parent.parent
SPEC = {
    "name": "book",
    "data": {"end": "2017-06-30"},
    "assets": [{"name": "spx", "source": "sp500"}, {"name": "ndx", "source": "nasdaq"}],
    "bars": {"context": 128, "horizon": 5},
    "paths": {"count": 48, "keep": "paths"},
    "generator": {"kind": "fhs"},
    "checks": {"facts": False, "calibration": False},
    "strategies": [{"use": str(ROOT / "strategies/buy_and_hold.py:BuyAndHold")}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    here = tmp_path_factory.mktemp("book")
    (here / "book.yaml").write_text(yaml.safe_dump(SPEC), encoding="utf-8")
    sg.run(here / "book.yaml", folder=here / "book")
    return here / "book"


def test_the_paths_of_a_book_come_back_with_the_closes_from_which_they_set_out(folder):
    book = sg.read_book(folder)
    assert (book.assets, len(book), book.horizon) == (("spx", "ndx"), 48, 5)
    for name, source in (("spx", "sp500"), ("ndx", "nasdaq")):
        before, _ = sg.load_candles(source).split_at("2017-06-30")
        assert book.parts[name].anchor_close == pytest.approx(float(before.close[-1]), rel=1e-7)
    week = book.scenarios(5)
    ends = book.parts["spx"].close[:, -1] / book.parts["spx"].anchor_close - 1
    assert_allclose(week.returns["spx"], ends, atol=2e-7)  # of float32 prices
    assert_array_equal(week.returns.index, np.arange(48))  # path k of both


def test_a_scenario_that_the_run_has_not_is_refused_by_the_names_that_it_has(folder):
    with pytest.raises(StoreError, match=r"no scenario 'crash'(.|\n)*expected: base"):
        sg.read_book(folder, "crash")


@pytest.mark.parametrize("scenario", [["base"], None, 3])
def test_what_is_no_name_of_a_scenario_is_refused(folder, scenario):
    with pytest.raises(StoreError, match=r"has no scenario .* of several assets(.|\n)*expected: base"):
        sg.read_book(folder, scenario)


@pytest.mark.parametrize("change", ["another asset's", "a path fewer", "cut off", "empty"])
def test_paths_that_are_not_what_was_written_are_refused(folder, tmp_path, change):
    copy = tmp_path / "book"
    shutil.copytree(folder, copy)
    (spx,), (ndx,) = (list((copy / "paths").glob(f"base-{name}*")) for name in ("spx", "ndx"))
    if change == "a path fewer":
        rows = pd.read_parquet(ndx)
        rows[rows["path_id"] != 3].to_parquet(ndx, index=False)
    else:
        whole = spx.read_bytes()
        ndx.write_bytes({"another asset's": whole, "cut off": whole[:-100], "empty": b""}[change])
    with pytest.raises(StoreError, match=rf"paths/{ndx.name} is not what was written"):
        sg.read_book(copy)


@pytest.mark.parametrize("horizon", [0, 6, 2.5, "5", True, np.float64(5)])
def test_a_horizon_that_is_no_bar_of_the_paths_is_refused(folder, horizon):
    with pytest.raises(DataError, match="of paths of 5"):
        sg.read_book(folder).scenarios(horizon)


def test_paths_that_were_not_kept_are_asked_for(folder, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    next((bare / "paths").glob("base-ndx*")).unlink()
    with pytest.raises(StoreError, match=r"kept no paths of 'base': base-ndx(.|\n)*keep: paths"):
        sg.read_book(bare)


def test_the_example_of_the_readme_runs(folder, monkeypatch):
    pytest.importorskip("skfolio")
    monkeypatch.chdir(folder.parent)
    blocks = (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n")
    (example,) = [block.split("```")[0] for block in blocks if "import skfolio" in block]
    assert '"reports/book"' in example
    names = {}
    exec(example.replace("reports/book", "book"), names)
    shares = names["model"].weights_
    assert_allclose(shares.sum(), 1)
    assert_array_equal(np.array(names["book"].assets), names["scenarios"].returns.columns)
