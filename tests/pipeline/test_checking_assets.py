"""check_assets: paths of several assets as an outsider would hand them over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.errors import CheckError, DataError
from scenario_gen.market import Candles
from scenario_gen.pipeline.given.check_assets import check_given, read_references
from scenario_gen.realism.assets import cross_control
from scenario_gen.realism.panel import Panel
from scenario_gen.store.reports import AssetsReport
from scenario_gen.values import encode
from tests.pipeline.given_assets import END, Histories, apart_rows, indices, real_rows, rows_of, windows_before


@pytest.fixture(scope="module")
def histories() -> Histories:
    return indices()


@pytest.fixture(scope="module")
def past(histories: Histories) -> Panel:
    return windows_before(END, histories)


@pytest.fixture(scope="module")
def together(past: Panel, histories: Histories) -> AssetsReport:
    return sg.check_assets(real_rows(past, histories), histories, seed=1)


def test_each_asset_is_checked_as_if_alone_and_dependence_between_them(
    together: AssetsReport, past: Panel, histories: Histories
) -> None:
    assert list(together.assets) == ["SPX", "IXIC"]
    rows = real_rows(past, histories)
    alone = sg.check(rows[rows["asset"] == "IXIC"].drop(columns="asset"), histories["IXIC"], seed=1)
    ours = encode(together.assets["IXIC"])
    theirs = encode(alone)
    for name in ("verdicts", "candles", "facts", "scores", "design"):
        assert ours[name] == theirs[name]
    assert together.verdicts["cross_asset"] == "PASS"
    assert together.cross_asset.mode == "C"
    assert together.verdicts["copy"] == "FAIL"  # they are windows of the history
    assert together.reasons["copy"].startswith("SPX, IXIC: ")
    assert "copy" in together.failed


def test_only_the_dependence_of_independent_assets_fails(
    together: AssetsReport, past: Panel, histories: Histories
) -> None:
    apart = sg.check_assets(apart_rows(past, histories), histories, seed=1)
    assert apart.verdicts["cross_asset"] == "FAIL"
    assert apart.reasons["cross_asset"].startswith("fisher_corr_r: ")
    for name, one in apart.assets.items():
        for group in ("tails", "clustering", "linear", "asymmetry"):
            assert one.verdicts[group] != "FAIL", (name, group)


def test_rows_may_be_mixed_and_path_names_be_texts(together: AssetsReport, past: Panel, histories: Histories) -> None:
    rows = real_rows(past, histories)
    mixed = rows.sort_values(["timestamp", "asset", "path"]).assign(path=lambda rows: "p" + rows["path"].astype(str))
    # The last asset's paths appear in another order: they are still matched by name.
    turned = pd.concat([mixed[mixed["asset"] == "SPX"], mixed[mixed["asset"] == "IXIC"].iloc[::-1]])
    turned = turned.sort_values("timestamp", kind="stable")
    report = sg.check_assets(turned, histories, seed=1)
    means = {fact.fact: fact.synthetic_mean for fact in together.cross_asset.facts}
    for fact in report.cross_asset.facts:
        assert fact.synthetic_mean == pytest.approx(means[fact.fact], rel=1e-9), fact.fact


def test_stamps_that_not_all_histories_have_are_left_out_and_told(past: Panel, histories: Histories) -> None:
    whole = histories["IXIC"]
    keep = np.setdiff1d(np.arange(len(whole)), [100, 200, 300])
    holes = replace(whole, timestamps=whole.timestamps[keep], values=whole.values[keep], flags=())
    report = sg.check_assets(real_rows(past, histories), {**histories, "IXIC": holes}, seed=1)
    assert any("3 bars of the history of SPX are left out" in note for note in report.notes)
    assert report.cross_asset.design.reference_bars == len(whole.split_at(END)[0]) - 3
    assert report.verdicts["cross_asset"] == "PASS"


def test_paths_of_other_calendars_are_compared_at_the_stamps_that_they_share(past: Panel, histories: Histories) -> None:
    rows = real_rows(past, histories)
    stamps = sorted(rows["timestamp"].unique())
    fewer = rows[~((rows["asset"] == "IXIC") & rows["timestamp"].isin(stamps[20:22]))]
    report = sg.check_assets(fewer, histories, seed=1)
    assert report.assets["SPX"].paths.bars == 60
    assert report.assets["IXIC"].paths.bars == report.cross_asset.design.bars == 58
    assert report.notes[0].startswith("2 bars of the paths of SPX are left out of dependence")
    assert "at least 60 bars, these have 58" in report.reasons["cross_asset"]


def test_a_path_that_one_asset_loses_is_lost_for_dependence_and_told(past: Panel, histories: Histories) -> None:
    rows = real_rows(past, histories)
    broken = (rows["asset"] == "SPX") & rows["path"].isin([3, 7])
    rows.loc[broken, "close"] = np.nan
    report = sg.check_assets(rows, histories, seed=1)
    assert report.assets["SPX"].candles.rejected == 2
    assert report.assets["IXIC"].candles.rejected == 0
    assert report.cross_asset.design.paths == 118
    assert report.notes[0].startswith("2 paths that an asset lost")


def test_forty_contexts_with_known_futures_are_judged_by_what_came(past: Panel, histories: Histories) -> None:
    """Each context's paths are independent windows: dependence fails in mode A."""
    rng = np.random.default_rng(5)
    first = len(histories["SPX"].split_at("2004-12-31")[0])
    parts = []
    for number in range(40):
        end = str(histories["SPX"].timestamps[first + 60 * number - 1].date())
        rows = rows_of(cross_control("independent", past, 20, rng), histories, end)
        parts.append(rows.assign(path=rows["path"] + 20 * number))
    report = sg.check_assets(pd.concat(parts), histories, seed=1)
    assert report.cross_asset.mode == "A"
    assert report.cross_asset.design.windows == 40
    labels = {fact.fact: fact.label for fact in report.cross_asset.facts}
    assert labels["fisher_corr_r"] == labels["lowtail_coexc10"] == "FAIL"
    assert labels["spread"] in ("WARN", "FAIL")  # of two independent assets it is far too wide


def test_three_assets_have_spreads_over_pairs_and_an_eigenvalue(past: Panel, histories: Histories) -> None:
    three = Panel(("SPX", "IXIC", "MIX"), (*past.bars, past.bars[0]))
    all_three = {**histories, "MIX": replace(histories["SPX"], name="MIX")}
    rows = np.random.default_rng(1).choice(len(past), size=60, replace=False)
    report = sg.check_assets(rows_of(three.select(rows), all_three), all_three, seed=1)
    labels = {fact.fact: fact.label for fact in report.cross_asset.facts}
    assert "FAIL" not in labels.values()
    assert labels["top_eigen_share"] == labels["fisher_corr_r_sd"] == "PASS"


def test_one_table_may_hold_all_histories(
    together: AssetsReport, past: Panel, histories: Histories, tmp_path: Path
) -> None:
    frames = [one.frame().rename_axis("date").reset_index().assign(Symbol=name) for name, one in histories.items()]
    pd.concat(frames).to_csv(tmp_path / "all.csv", index=False)
    report = sg.check_assets(real_rows(past, histories), tmp_path / "all.csv", seed=1)
    assert report.verdicts == together.verdicts
    assert report.assets["SPX"].reference.source == "all.csv"
    wrong = pd.concat(frames)
    wrong.loc[(wrong["Symbol"] == "IXIC") & (wrong["date"] == "2010-06-01"), "high"] = 1.0
    wrong.to_csv(tmp_path / "wrong.csv", index=False)
    with pytest.raises(DataError, match=r"wrong\.csv, asset IXIC") as told:
        sg.check_assets(real_rows(past, histories), tmp_path / "wrong.csv")
    place = histories["IXIC"].timestamps.get_loc("2010-06-01")
    assert f"line {1 + len(histories['SPX']) + 1 + place}" in str(told.value)  # after the header and the S&P 500


WRONG: dict[str, tuple[Callable[[pd.DataFrame, Histories], tuple[Any, Any]], str]] = {
    "no reference for an asset": (lambda p, h: (p, {"SPX": h["SPX"], "IXIX": h["IXIC"]}), "did you mean IXIX"),
    "one history for two": (lambda p, h: (p, h["SPX"]), "one history cannot be the reference of several assets"),
    "a table that names no asset": (lambda p, h: (p, "sp500"), "has no column that names one"),
    "a path less": (
        lambda p, h: (p[~((p["asset"] == "IXIC") & (p["path"] == 5))], h),
        "1 paths are only in one of SPX and IXIC: 5",
    ),
    "bars at other moments": (
        lambda p, h: (p.assign(timestamp=p["timestamp"] + pd.to_timedelta(91 * (p["asset"] == "IXIC"), "D")), h),
        "share no stamp",
    ),
    "one asset": (lambda p, h: (p[p["asset"] == "SPX"], h), "the paths are of one asset"),
    "rows without an asset": (
        lambda p, h: (p.assign(asset=p["asset"].where(p.index != 17)), h),
        "1 rows without an asset, the first is row 18",
    ),
    "two columns of assets": (lambda p, h: (p.assign(Ticker="x"), h), "more than one column that names the asset"),
    "too many assets": (lambda p, h: (p.assign(asset=np.arange(len(p)) // 10), h), "holds 1,440 assets"),
    "ten paths": (lambda p, h: (p[p["path"] < 10], h), "asset SPX holds 10 paths"),
    "histories apart in time": (
        lambda p, h: (p, {"SPX": h["SPX"], "IXIC": later(h["IXIC"])}),
        "histories share 0 stamps",
    ),
}


def later(history: Candles) -> Candles:
    return replace(history, timestamps=history.timestamps + pd.Timedelta(hours=1), flags=())


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused_with_its_place(name: str, past: Panel, histories: Histories) -> None:
    change, told = WRONG[name]
    paths, references = change(real_rows(past, histories), histories)
    with pytest.raises((DataError, CheckError), match=told):
        sg.check_assets(paths, references)


def test_references_are_read_as_names_and_files() -> None:
    assert read_references(["SPX=sp500", "IXIC=a=b.csv"], ["SPX", "IXIC"]) == {"SPX": "sp500", "IXIC": "a=b.csv"}
    assert read_references(["odd=name.csv"], ["SPX", "IXIC"]) == "odd=name.csv"
    with pytest.raises(DataError, match="does not say which asset"):
        read_references(["sp500", "nasdaq"], ["SPX", "IXIC"])
    with pytest.raises(DataError, match="two references are given for SPX"):
        read_references(["SPX=sp500", "SPX=nasdaq"], ["SPX", "IXIC"])


def test_paths_of_one_asset_take_one_reference_named_or_not(past: Panel, histories: Histories, tmp_path: Path) -> None:
    rows = real_rows(past, histories, 40)
    only = rows[rows["asset"] == "SPX"]
    only.to_parquet(tmp_path / "named.parquet", index=False)
    terms: dict[str, Any] = {
        "context_end": None,
        "market": None,
        "calendar": None,
        "training": (),
        "resamples_history": False,
        "seed": 0,
        "progress": None,
    }
    named = check_given(tmp_path / "named.parquet", ["SPX=sp500"], **terms)
    assert encode(named) == encode(check_given(tmp_path / "named.parquet", ["sp500"], **terms))
    with pytest.raises(DataError, match="2 references came for paths of one asset"):
        check_given(tmp_path / "named.parquet", ["SPX=sp500", "IXIC=nasdaq"], **terms)


def test_bars_without_paths_in_common_give_no_panel(past: Panel, histories: Histories) -> None:
    """Every path broken in one asset or the other: each has enough alone, together none is left."""
    rows = real_rows(past, histories, 60)
    half = rows["path"] < 25
    spoil = (half & (rows["asset"] == "SPX")) | (~half & (rows["asset"] == "IXIC") & (rows["path"] < 50))
    rows.loc[spoil, "close"] = np.nan
    with pytest.raises(CheckError, match="10 paths have prices in every asset"):
        sg.check_assets(rows, histories)
