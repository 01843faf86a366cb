"""A ranking of a tiny folder and of a tiny Qlib provider whose drifts are known, and what its guards catch."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scenario_gen.errors import DataError, SpecError, StoreError
from scenario_gen.market.candles import Candles
from scenario_gen.pipeline.rank.config import load_config
from scenario_gen.pipeline.rank.signals import read_signal
from scenario_gen.pipeline.rank.study import rank
from scenario_gen.pipeline.rank.universe import Files, open_universe, read_panel
from scenario_gen.pipeline.rank.worth import beside
from scenario_gen.stats.cross_section import Coefficients, mean_coefficient
from scenario_gen.store.ranking import RankRun

NAMES = tuple(f"s{number:02d}" for number in range(16))
BARS, CONTEXT = 260, 64
DAYS = pd.bdate_range("2021-01-04", periods=BARS)


def bars_of(number: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return bars whose drift rises with the instrument's number, from -.3 to .3 % a day, at 1 % volatility."""
    drift = (number - 7.5) / 7.5 * 0.003
    close = 20 * np.exp(np.cumsum(drift + 0.01 * rng.standard_normal(BARS)))
    opened = np.concatenate(([20.0], close[:-1]))
    high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) * 0.998
    volume = rng.integers(1000, 5000, BARS).astype(float)
    return pd.DataFrame({"open": opened, "high": high, "low": low, "close": close, "volume": volume}, DAYS)


@pytest.fixture(scope="module")
def histories() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(12)
    frames = {name: bars_of(number, rng) for number, name in enumerate(NAMES)}
    frames["s03"] = frames["s03"].drop(DAYS[200:206])  # suspended
    return frames


@pytest.fixture(scope="module")
def folder(histories: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("stocks")
    for name, frame in histories.items():
        frame.rename_axis("date").reset_index().to_parquet(place / f"daily__{name}.parquet")
    return place


def config(folder: Path, **changed: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "name": "tiny",
        "universe": {"folder": str(folder), "pattern": "daily__*.parquet"},
        "dates": {"start": "2021-05-03", "every": 10},
        "generator": {"kind": "gbm"},
        "context": CONTEXT,
        "horizon": 10,
        "paths": 16,
        "signals": ["mean", "quantile 0.1"],
        "decay": [1, 20],
        "portfolio": {"top": 4, "drop": 2, "commission": 0.001, "price_limit": 0.1, "t_plus_one": True},
    }
    return {**plain, **changed}


@pytest.fixture(scope="module")
def ranking(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RankRun, Path]:
    place = tmp_path_factory.mktemp("ranked")
    return rank(config(folder), folder=place), place


def labels(ranking: RankRun) -> dict[str, str]:
    return {finding.name: finding.label for finding in ranking.findings}


def test_a_generator_that_knows_the_drift_ranks_rightly_and_its_top_names_earn_more(ranking) -> None:
    done, _ = ranking
    rank_ic = done.worth[0].spearman
    # drifts differ by .6 % a day, 6 % over the horizon, beside 3 % of noise: a rank IC about .6
    assert rank_ic.mean is not None
    assert rank_ic.mean > 0.3
    assert rank_ic.p is not None
    assert rank_ic.p < 0.001
    assert labels(done) == {
        "look_ahead: ranking": "PASS",
        "cross_section.rank_ic": "PASS",
        "cross_section.breadth": "PASS",
        "cross_section.survivorship": "WARN",
    }
    assert done.portfolio is not None
    assert done.portfolio.total_return > done.benchmarks[0].total_return
    assert {name for name, _ in done.top[:4]} <= {*NAMES[8:]}


def test_what_is_written_is_what_was_ranked(ranking) -> None:
    done, place = ranking
    frame = pd.read_parquet(place / "signals.parquet")
    assert list(frame) == ["date", "instrument", "mean", "quantile 0.1", "realised"]
    written = json.loads((place / "rank.json").read_text())
    assert written["worth"][0]["spearman"]["mean"] == done.worth[0].spearman.mean
    by_hand = [
        Coefficients.of(rows["mean"].to_numpy(), rows["realised"].to_numpy(), 10).spearman
        for _, rows in frame.groupby("date")
    ]
    assert mean_coefficient(np.array(by_hand), 10, 10).mean == pytest.approx(done.worth[0].spearman.mean, abs=1e-12)
    page = (place / "index.html").read_text()
    for word in ("rank IC", "equal parts", "Look-ahead", "Survivorship", "s15"):
        assert word in page
    assert "http" not in page.replace("http-equiv", "")
    style = page.partition("<style>")[2].partition("</style>")[0]  # a browser applies it where its hash is allowed
    assert f"style-src 'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in page


def test_a_shuffled_signal_is_called_more_than_chance_at_the_nominal_rate(ranking) -> None:
    # 200 shuffles within each date: 5 % are 10, with a standard deviation of 3.1; within 3 of them
    _, place = ranking
    frame = pd.read_parquet(place / "signals.parquet").dropna()
    days = [(rows["mean"].to_numpy(), rows["realised"].to_numpy()) for _, rows in frame.groupby("date")]
    rng = np.random.default_rng(3)
    flagged = 0
    for _ in range(200):
        series = np.array([Coefficients.of(rng.permutation(signal), came, 10).spearman for signal, came in days])
        flagged += bool((mean_coefficient(series, 10, 10).p or 1.0) < 0.05)
    assert 1 <= flagged <= 19


def test_finished_dates_are_kept_and_another_config_is_refused(ranking, folder: Path) -> None:
    done, place = ranking
    kept = {path: path.stat().st_mtime_ns for path in (place / "dates").iterdir()}
    again = rank(config(folder), folder=place)
    assert {path: path.stat().st_mtime_ns for path in (place / "dates").iterdir()} == kept
    assert replace(again, created=done.created, seconds=done.seconds) == done
    with pytest.raises(StoreError, match="another config"):
        rank(config(folder, seed=1), folder=place)


@dataclass(frozen=True)
class Foreseeing:
    """Files that scale their prices by their last bar: a context then hangs on what comes later."""

    files: Files

    @property
    def names(self) -> tuple[str, ...]:
        return self.files.names

    def candles(self, name: str, end: date | None) -> Candles:
        candles = self.files.candles(name, end)
        gone = np.log(candles.close[-1] / candles.close)[:, None] / 200
        return replace(candles, values=candles.values * np.exp(gone * (np.arange(5) < 4)))

    def listed(self, name: str, stamps: pd.DatetimeIndex) -> Any:
        return self.files.listed(name, stamps)

    note, dated = "files that know the future", False


@dataclass(frozen=True)
class Surviving(Foreseeing):
    """Files of which only those are listed that rose on their last day."""

    def candles(self, name: str, end: date | None) -> Candles:
        return self.files.candles(name, end)

    def listed(self, name: str, stamps: pd.DatetimeIndex) -> Any:
        close = self.files.candles(name, stamps[-1].date()).close
        return np.full(len(stamps), close[-1] > close[-2])


@pytest.mark.parametrize("planted", [Foreseeing, Surviving])
def test_a_universe_that_reads_the_future_is_caught(planted: type[Foreseeing], folder: Path, tmp_path: Path) -> None:
    plain = config(folder, dates={"start": "2021-11-01", "every": 20}, paths=4, fewest=3, portfolio=None)
    files = open_universe(load_config(plain))
    assert isinstance(files, Files)
    done = rank(plain, folder=tmp_path, universe=planted(files))
    (finding,) = [each for each in done.findings if each.name == "look_ahead: ranking"]
    assert finding.label == "FAIL"
    assert finding.offenders


def test_too_few_instruments_cannot_be_judged(folder: Path, tmp_path: Path) -> None:
    few = {"folder": str(folder), "pattern": "daily__s0[0-4].parquet"}
    done = rank(config(folder, universe=few, guard=0, paths=2), folder=tmp_path)
    found = labels(done)
    assert found["cross_section.rank_ic"] == found["cross_section.breadth"] == "UNTESTABLE"
    assert found["look_ahead: ranking"] == "UNTESTABLE"


def test_suspended_instruments_are_neither_ranked_nor_bought(folder: Path) -> None:
    panel = read_panel(open_universe(load_config(config(folder))), None)
    column, place = NAMES.index("s03"), panel.dates.get_loc(DAYS[202])
    assert column not in panel.eligible(place, CONTEXT)
    assert len(panel.eligible(place, CONTEXT)) == 15
    assert panel.realised(int(panel.dates.get_loc(DAYS[199])), 3)[column] == 0  # the last close stands


def provider(place: Path, histories: Mapping[str, pd.DataFrame]) -> Path:
    """Write a Qlib provider as its dump_bin does: calendar, stays, and float32 fields after the line they begin at."""
    (place / "calendars").mkdir(parents=True)
    (place / "instruments").mkdir()
    (place / "calendars" / "day.txt").write_text("\n".join(str(day.date()) for day in DAYS))
    stays = []
    for name, frame in histories.items():
        last = DAYS[150] if name == "s15" else DAYS[-1]  # who left the market, and later the exchange
        stays.append(f"{name.upper()}\t{DAYS[0].date()}\t{last.date()}")
        features = place / "features" / name
        features.mkdir(parents=True)
        whole = frame.reindex(DAYS)
        for field in whole:
            np.concatenate(([0.0], whole[field])).astype("<f4").tofile(features / f"{field}.day.bin")
    (place / "instruments" / "tiny.txt").write_text("\n".join(stays))
    return place


def test_a_qlib_market_is_ranked_by_who_belonged_to_it_at_each_date(histories, tmp_path: Path) -> None:
    uri = provider(tmp_path / "cn_data", histories)
    market = {"provider_uri": str(uri), "market": "tiny", "freq": "day"}
    done = rank(config(uri, universe=market, paths=4, portfolio=None), folder=tmp_path / "out")
    assert [day.listed for day in done.dates][:7] == [16] * 7
    assert {day.listed for day in done.dates[8:]} == {15}
    assert labels(done)["cross_section.survivorship"] == "PASS"
    assert labels(done)["look_ahead: ranking"] == "PASS"
    assert "s15".upper() not in {name for name, _ in done.top}


@pytest.mark.parametrize(
    ("signal", "value"), [("mean", 0.01), ("median", 0.01), ("quantile 0.25", 0.0), ("probability_of_gain", 0.625)]
)
def test_signals_of_four_paths_by_hand(signal: str, value: float) -> None:
    returns = np.array([-0.03, 0.01, 0.01, 0.05]) if signal != "probability_of_gain" else np.array([-0.1, 0, 0.1, 0.2])
    expected = np.quantile(returns, 0.25) if signal == "quantile 0.25" else value
    assert read_signal(signal, returns) == pytest.approx(expected)


def test_the_sharpe_of_paths_is_their_mean_over_their_deviation() -> None:
    assert read_signal("sharpe", np.array([-0.01, 0.03])) == pytest.approx(0.01 / np.std([-0.01, 0.03], ddof=1))
    assert np.isnan(read_signal("sharpe", np.zeros(3)))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"signals": ["meen"]}, "meen"),
        ({"universe": {"folder": "a", "provider_uri": "b"}}, "expected one of provider_uri, folder and files"),
        ({"portfolio": {"top": 3, "drop": 4}}, "expected to exchange at most the top"),
        ({"generator": {"kind": "kronoss"}}, "kronoss"),
        ({"generator": {"kind": "kronos", "adapt": True}}, "a ranking adapts no generator"),
        ({"horizont": 3}, "horizon"),
        ({"portfolio": {"stamp_dutty": 0.1}}, "stamp_duty"),
    ],
)
def test_mistakes_of_a_config_are_told_with_file_line_and_field(changed, words, folder: Path, tmp_path: Path) -> None:
    import yaml

    path = tmp_path / "rank.yaml"
    path.write_text(yaml.safe_dump(config(folder, **changed)))
    with pytest.raises(SpecError, match=r"rank\.yaml:\d+: .*") as refused:
        load_config(path)
    assert words in str(refused.value)


def test_what_a_universe_lacks_is_told(folder: Path, tmp_path: Path) -> None:
    for universe, words in (
        ({"folder": str(tmp_path / "none")}, "is no folder"),
        ({"folder": str(folder), "pattern": "x*.csv"}, "no file of"),
        ({"provider_uri": str(folder)}, "no Qlib provider"),
    ):
        with pytest.raises(DataError, match=words):
            open_universe(load_config(config(folder, universe=universe)))
    with pytest.raises(DataError, match="no date to rank at"):
        rank(config(folder, dates={"start": "2030-01-01"}), folder=tmp_path / "out")


def test_the_shipped_config_is_read() -> None:
    loaded = load_config(Path(__file__).parents[2] / "scenarios" / "rank" / "folder.yaml")
    assert loaded.settings.signal == "mean"
    assert loaded.folder == Path("reports/my_stocks")


def test_a_portfolio_that_is_its_benchmark_has_no_information_ratio(ranking) -> None:
    done, _ = ranking
    assert done.portfolio is not None
    ratio = done.beside[0].information_ratio
    assert ratio.low is not None
    assert ratio.value is not None
    assert ratio.low < ratio.value
    from scenario_gen.backtest.topk import Refused, TopAccount

    bars = np.arange(len(done.portfolio.curve) - 1)
    account = TopAccount(bars, bars, bars, bars[:1], 0, Refused(), 0.0, ())
    same = beside(done.portfolio, done.portfolio, account, 252)
    assert same.information_ratio.value is None
    assert same.excess == 0


def test_the_command_goes_on_with_kept_dates_and_tells_all_as_json(ranking, folder: Path, tmp_path: Path) -> None:
    import yaml
    from typer.testing import CliRunner

    from scenario_gen.cli.app import app

    done, place = ranking
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(config(folder, guard=0)))
    words = ["rank", str(path), "--folder", str(place), "--json"]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert "another config" in refused.stderr
    result = CliRunner().invoke(app, [*words, "--overwrite"])
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["worth"][0]["spearman"]["mean"] == done.worth[0].spearman.mean
    assert told["findings"][0] == {**told["findings"][0], "name": "look_ahead: ranking", "label": "UNTESTABLE"}


def test_a_series_of_ones_own_stands_beside_the_portfolio(folder: Path, tmp_path: Path) -> None:
    """By hand: a series that gains .1 % a bar, from the close before the first purchase on."""
    steady = 100 * 1.001 ** np.arange(BARS)
    frame = pd.DataFrame({"date": DAYS, **dict.fromkeys(("open", "high", "low", "close"), steady)})
    frame.to_csv(tmp_path / "index.csv", index=False)
    asked = config(
        folder, dates={"start": "2021-11-01", "every": 20}, paths=4, guard=0,
        benchmark={"file": str(tmp_path / "index.csv"), "name": "steady"},
    )  # fmt: skip
    done = rank(asked, folder=tmp_path / "out")
    assert [other.title for other in done.benchmarks] == ["equal parts", "steady"]
    series, beside_it = done.benchmarks[1], done.beside[1]
    bars = len(done.bars) - 1
    assert series.curve == pytest.approx(1.001 ** np.arange(bars + 1), rel=1e-9)
    assert (series.orders, series.costs, series.turnover, series.max_drawdown) == (None, None, None, 0.0)
    assert done.portfolio is not None
    ahead = np.diff(done.portfolio.curve) / np.array(done.portfolio.curve[:-1]) - 0.001
    per_year = (BARS - 1) / (DAYS[-1] - DAYS[0]).days * 365.25
    assert beside_it.excess == pytest.approx(ahead.mean() * per_year, rel=1e-9)
    assert "steady" in (tmp_path / "out" / "index.html").read_text()
    frame.iloc[240:].to_csv(tmp_path / "index.csv", index=False)
    with pytest.raises(DataError, match="after the first purchase"):
        rank({**asked, "name": "late"}, folder=tmp_path / "late")


def test_garch_is_fitted_to_bars_up_to_each_date_and_workers_rank_the_same(tmp_path: Path) -> None:
    """Fitted to later bars, a date ranked again from cut histories would differ; two processes change no bit."""
    rng, days = np.random.default_rng(6), pd.bdate_range("2019-01-01", periods=2 * BARS + 20)
    for number in range(3):
        frame = pd.concat([bars_of(7, rng), bars_of(8, rng), bars_of(7, rng)[:20]]).set_axis(days)
        frame.rename_axis("date").reset_index().to_csv(tmp_path / f"g{number}.csv", index=False)
    asked = config(
        tmp_path, universe={"folder": str(tmp_path), "pattern": "g*.csv"}, generator={"kind": "garch"},
        dates={"start": str(days[-20].date()), "every": 19}, paths=4, fewest=3, guard=1, portfolio=None,
    )  # fmt: skip
    here = rank(asked, folder=tmp_path / "here")
    assert here.generator["kind"] == "garch"
    assert labels(here)["look_ahead: ranking"] == "PASS"
    assert [day.ranked for day in here.dates] == [3, 3], here.omitted
    away = rank(asked, folder=tmp_path / "away", on="processes:2")
    assert replace(away, created=here.created, seconds=here.seconds) == here
    first, second = (pd.read_parquet(tmp_path / place / "signals.parquet") for place in ("here", "away"))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_intraday_bars_are_ranked_at_their_stamps(tmp_path: Path) -> None:
    """Hours of five names around the clock; every date is an hour, and the horizon is four of them."""
    stamps, rng = pd.date_range("2024-01-01", periods=200, freq="h"), np.random.default_rng(5)
    for number in range(5):
        close = 50 * np.exp(np.cumsum(0.003 * rng.standard_normal(200) + (number - 2) * 0.002))
        opened = np.concatenate(([50.0], close[:-1]))
        high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
        frame = pd.DataFrame({"timestamps": stamps, "open": opened, "high": high, "low": low, "close": close})
        frame.to_csv(tmp_path / f"h{number}.csv", index=False)
    asked = config(
        tmp_path, universe={"folder": str(tmp_path), "pattern": "h*.csv"}, horizon=4, paths=8, fewest=3, decay=[1],
        dates={"start": "2024-01-08 05:00", "end": "2024-01-08 20:00", "every": 6}, portfolio={"top": 2, "drop": 1},
    )  # fmt: skip
    done = rank(asked, folder=tmp_path / "out")
    assert [day.date for day in done.dates] == [f"2024-01-08 {hour:02d}:00:00" for hour in (5, 11, 17)]
    assert labels(done)["look_ahead: ranking"] == "PASS"
    # drifts of .2 % an hour apart beside .6 % of noise over four: the order of the names is that of their numbers
    assert done.top[0][0] in ("h3", "h4")
    assert done.bars[0] == "2024-01-08 05:00:00"  # the close before the first fill, an hour later
    assert done.bars[1] == "2024-01-08 06:00:00"
