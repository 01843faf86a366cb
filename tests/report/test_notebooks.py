"""What notebooks show: tables that escape what they quote, pictures of what objects hold, frames of other tools."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection

import scenario_gen as sg
from scenario_gen.backtest import Bars, LoadedStrategy, Signals
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.engine import run_backtest
from scenario_gen.errors import CheckError, DataError, StoreError
from scenario_gen.forecasts.calibrate import calibrate
from scenario_gen.forecasts.harness import Settings
from scenario_gen.forecasts.results import Calibration
from scenario_gen.generators.sections import default_section, open_generator
from scenario_gen.report.table import Column, of_texts, to_html
from scenario_gen.store.reports import AssetsReport, BacktestReport, CheckReport
from scenario_gen.store.results import StressRun

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>\u202e'
SPEC: dict[str, Any] = {
    "name": "small",
    "data": {"source": "sp500", "end": "2016-03-31"},
    "bars": {"context": 64, "horizon": 10},
    "paths": {"count": 40, "seed": 3},
    "generator": {"kind": "bootstrap"},
    "scenarios": [{"name": "base"}, {"name": "gap", "shocks": [{"kind": "gap", "bar": 2, "size": -0.1}]}],
    "checks": {"facts": False, "calibration": False},
    "strategies": [{"use": f"{Path(__file__).parents[2]}/strategies/buy_and_hold.py:BuyAndHold"}],
}


@pytest.fixture(scope="module")
def candles(sp500: sg.Candles) -> sg.Candles:
    return sp500.split_at("2016-03-31")[0]


@pytest.fixture(scope="module")
def paths(candles: sg.Candles) -> sg.PathSet:
    return sg.sample(candles.context(64), horizon=12, paths=50, model="bootstrap", seed=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> StressRun:
    return sg.run(SPEC, folder=tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="module")
def calibration(candles: sg.Candles) -> Calibration:
    settings = Settings(64, 5, paths=19, origins=31, baselines=())
    return calibrate(open_generator(default_section("bootstrap")), candles, settings)


@pytest.fixture(scope="module")
def report(candles: sg.Candles) -> CheckReport:
    given = sg.sample(candles.context(64), horizon=40, paths=40, model="bootstrap", seed=2)
    return sg.check(given, reference=candles)


@pytest.fixture(autouse=True)
def _no_window_stays_open() -> Iterator[None]:
    yield
    plt.close("all")


def test_every_lent_method_has_its_home_with_the_same_arguments() -> None:
    lent = [
        method
        for owner in (sg.Candles, sg.PathSet, StressRun, CheckReport, AssetsReport, BacktestReport, Calibration)
        for method in vars(owner).values()
        if hasattr(method, "lender")
    ]
    assert len(lent) == 13  # _repr_html_ of each, plot of five, and frame of a run
    for method in lent:
        module, _, name = method.lender.partition(":")
        ours, theirs = (list(signature(each).parameters)[1:] for each in (method, getattr(import_module(module), name)))
        assert ours == theirs


# --- HTML ---


def harmless(html: str) -> bool:
    return "<script" not in html and "<img" not in html and "http" not in html and "\u202e" not in html


def test_a_table_escapes_every_text() -> None:
    heads = (Column(HOSTILE, left=True), Column(HOSTILE))
    html = to_html(of_texts(heads, [(HOSTILE, HOSTILE)], title=HOSTILE, caption=HOSTILE))
    assert harmless(html)
    assert html.count("&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;") == 6


def test_hostile_names_and_sources_stay_text(
    candles: sg.Candles, paths: sg.PathSet, run: StressRun, calibration: Calibration, report: CheckReport
) -> None:
    scenario = replace(run.scenarios[0], name=HOSTILE)
    finding = replace(run.findings[0], label="FAIL", scenario=HOSTILE, measured=HOSTILE)
    group = next(iter(report.reasons))
    shown = [
        replace(candles, name=HOSTILE, source=HOSTILE),
        replace(paths, provenance={"generator": HOSTILE}),
        replace(run, title=HOSTILE, scenarios=[scenario], findings=[finding]),
        replace(calibration, instrument=HOSTILE, notes=[HOSTILE]),
        replace(report, notes=[HOSTILE], reasons={**report.reasons, group: HOSTILE}),
    ]
    for each in shown:
        html = each._repr_html_()
        assert harmless(html), type(each)
        assert "&lt;script&gt;" in html
        assert len(html) < 20_000


def test_html_says_what_the_objects_hold(
    candles: sg.Candles, paths: sg.PathSet, run: StressRun, calibration: Calibration, report: CheckReport
) -> None:
    assert f"S&amp;P 500: {len(candles):,} bars" in candles._repr_html_()
    assert "50 paths of 12 bars, bootstrap" in paths._repr_html_()
    assert run._repr_html_().count("BuyAndHold") == 2
    assert f"bootstrap on S&amp;P 500: {calibration.generator.label}" in calibration._repr_html_()
    assert all(group in report._repr_html_() for group in report.verdicts)


def test_reports_of_backtests_and_of_several_assets_show_themselves(
    candles: sg.Candles, paths: sg.PathSet, report: CheckReport
) -> None:
    traded = sg.backtest_paths(paths, SPEC["strategies"][0]["use"], context=candles)
    finding = replace(traded.findings[0], label="WARN", strategy=HOSTILE)
    html = replace(traded, notes=[HOSTILE], findings=[finding] * 14)._repr_html_()
    assert harmless(html)
    assert "BuyAndHold" in html
    assert "2 more that fail or warn" in html
    together = AssetsReport(report.verdicts, report.reasons, {HOSTILE: report}, report, [HOSTILE])  # type: ignore[arg-type]  # unread
    assert harmless(together._repr_html_())
    assert all(group in together._repr_html_() for group in report.verdicts)


# --- Pictures ---


def test_plots_take_axes_and_return_them(
    candles: sg.Candles, paths: sg.PathSet, run: StressRun, calibration: Calibration, report: CheckReport
) -> None:
    for each in (candles, paths, run, calibration, report):
        _, ax = plt.subplots()
        assert each.plot(ax=ax) is ax
        assert ax.has_data()
        assert each.plot() is not ax
        plt.close("all")


def test_the_picture_of_paths_holds_their_median_and_bands(paths: sg.PathSet) -> None:
    ax = paths.plot()
    (median,) = [line for line in ax.lines if line.get_label() == "median"]
    expected = [paths.anchor_close, *np.median(paths.close.astype(np.float64), axis=0)]
    np.testing.assert_allclose(median.get_ydata(), expected, rtol=1e-12)
    outer, inner = (band.get_paths()[0].vertices[:, 1] for band in ax.collections)
    last = paths.close[:, -1].astype(np.float64)
    for band, levels in ((outer, (5, 95)), (inner, (25, 75))):
        assert np.isclose(band[:, None], np.percentile(last, levels), rtol=1e-12).any(axis=0).all()
    with pytest.raises(DataError, match="'profit'"):
        paths.plot(field="profit")


def test_a_short_history_is_drawn_as_candles_and_a_long_one_as_a_line(candles: sg.Candles) -> None:
    few = candles.context(20)
    ax = few.plot()
    (wicks,) = [each for each in ax.collections if isinstance(each, LineCollection)]
    ends = np.array([segment[:, 1] for segment in wicks.get_segments()])
    np.testing.assert_allclose(ends, few.values[:, [2, 1]])
    assert len(ax.patches) == 20
    np.testing.assert_allclose(candles.plot().lines[0].get_ydata(), candles.close)


def test_the_picture_of_a_run_has_the_medians_of_its_strategies(run: StressRun) -> None:
    ax = run.plot()
    dots = [float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == "o"]
    medians = run.frame().groupby("scenario", sort=False)["total_return"].median()
    np.testing.assert_allclose(dots, 100 * medians.to_numpy(), rtol=1e-6)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["base: BuyAndHold", "gap: BuyAndHold"]
    with pytest.raises(StoreError, match="has no strategy to be drawn"):
        replace(run, scenarios=[replace(each, strategies=[]) for each in run.scenarios]).plot()


def test_a_check_without_a_fact_beside_history_says_so(report: CheckReport) -> None:
    with pytest.raises(CheckError, match="no fact of the paths stands beside"):
        replace(report, facts=[]).plot()


# --- Frames ---


def test_the_frame_of_a_run_has_a_row_per_scenario_strategy_and_path(run: StressRun) -> None:
    frame = run.frame()
    assert list(frame.columns[:3]) == ["scenario", "strategy", "path_id"]
    assert len(frame) == 2 * 40
    base = frame[frame["scenario"] == "base"]
    strategy = run.scenarios[0].strategies[0]
    summary = next(each for each in strategy.metrics if each.metric == "total_return")
    assert base["total_return"].mean() == pytest.approx(summary.mean.value, rel=1e-9)


def test_a_run_without_tables_or_of_another_folder_says_so(run: StressRun, tmp_path: Path) -> None:
    assert run.folder is not None
    unknown = replace(run)
    with pytest.raises(StoreError, match="where the tables of the run 'small' are is not known"):
        unknown.frame()
    assert unknown.frame(run.folder).equals(run.frame())
    with pytest.raises(StoreError, match="holds another run"):
        replace(run, identity={}).frame(run.folder)
    bare = sg.run(
        {**SPEC, "paths": {"count": 4, "keep": "none"}, "scenarios": [{"name": "base"}]}, folder=tmp_path / "b"
    )
    with pytest.raises(StoreError, match=r"kept no tables: there is no metrics.parquet"):
        bare.frame()


@dataclass(frozen=True)
class AsTold:
    """Enters and leaves where its frames say, on path bars alone."""

    wanted: Any
    unwanted: Any

    def signals(self, bars: Bars) -> Signals:
        frames = []
        for told in (self.wanted, self.unwanted):
            whole = pd.DataFrame(False, index=bars.close.index, columns=bars.close.columns)
            whole.iloc[-len(told) :] = told
            frames.append(whole)
        return Signals(entries=frames[0], exits=frames[1])


def test_vectorbt_counts_the_same_money_from_to_vectorbt(candles: sg.Candles, paths: sg.PathSet) -> None:
    import vectorbt as vbt

    close = paths.to_vectorbt()
    rng = np.random.default_rng(1)
    entries, exits = (pd.DataFrame(rng.random(close.shape) < 0.3, close.index, close.columns) for _ in range(2))
    theirs = vbt.Portfolio.from_signals(close, entries, exits & ~entries, init_cash=1e4, fees=0.001)
    told = AsTold(entries.to_numpy(), (exits & ~entries).to_numpy())
    broker = Broker(cash=1e4, fees=0.001, fill="close")
    strategy = LoadedStrategy("AsTold", "", {}, told, Path(__file__))
    ours = run_backtest(strategy, candles.context(64), paths, broker, bars_per_year=252)
    # our equity is kept as float32: 6e-8 relative
    np.testing.assert_allclose(theirs.value().to_numpy().T, ours.equity[:, 1:], rtol=1e-6)
    with pytest.raises(DataError, match="'profit'"):
        paths.to_vectorbt("profit")


def test_the_long_frame_is_what_check_reads(paths: sg.PathSet) -> None:
    frame = paths.to_pandas()
    assert list(frame.columns) == ["path_id", "bar", "timestamp", "open", "high", "low", "close", "volume"]
    wide = frame.pivot_table(index="timestamp", columns="path_id", values="close")
    assert np.array_equal(wide.to_numpy().T, paths.close)
    assert wide.index.equals(paths.timestamps)


def test_xarray_has_every_field_by_path_and_bar(paths: sg.PathSet) -> None:
    pytest.importorskip("xarray", reason="extra notebook")
    zoned = replace(paths, timestamps=paths.timestamps.tz_localize("America/New_York"), weights=np.ones(len(paths)))
    data = zoned.to_xarray()
    assert np.array_equal(data["close"].to_numpy(), paths.close)
    assert data["close"].dims == ("path", "bar")
    assert pd.DatetimeIndex(data["timestamp"].to_numpy()).tz_localize("UTC").equals(zoned.timestamps.tz_convert("UTC"))
    assert data.attrs == {"anchor_close": paths.anchor_close, "timezone": "America/New_York"}
    assert data["weight"].to_numpy().tolist() == [1.0] * len(paths)


def test_a_lack_of_xarray_names_the_extra(paths: sg.PathSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xarray", None)
    with pytest.raises(DataError, match=r"scenario-gen\[notebook\]"):
        paths.to_xarray()
