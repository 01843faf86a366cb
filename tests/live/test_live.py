"""A live forecast: what enters the log, that nothing enters twice, and how the log is judged."""

from __future__ import annotations

import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scenario_gen.errors import DataError, ScenarioError, SpecError, StoreError
from scenario_gen.live.config import LiveConfig, load_live, seconds_of
from scenario_gen.live.judge import (
    FEWEST,
    QUANTILES,
    drift_of,
    has_drifted,
    horizons,
    judged,
    log_finding,
    sequential_test,
)
from scenario_gen.live.log import LoggedBars, LoggedForecast, reading_log, writing
from scenario_gen.live.results import LiveReport
from scenario_gen.live.step import check_log, follow, live

HOUR = 3_600_000_000_000


def made(bars: int) -> pd.DataFrame:
    """Return hourly bars of a market that never closes, the same from the first on."""
    closes = 100 * np.exp(np.cumsum(0.005 * np.random.default_rng(0).standard_t(5, 1000)))
    opens = np.concatenate(([100.0], closes[:-1]))
    stamps = pd.date_range("2024-01-01", periods=1000, freq="h", tz="UTC")
    columns = {"open": opens, "high": np.maximum(opens, closes) * 1.001, "low": np.minimum(opens, closes) * 0.999}
    return pd.DataFrame({"timestamps": stamps, **columns, "close": closes, "volume": 1000.0}).iloc[:bars]


def config_of(folder: Path, **more: Any) -> LiveConfig:
    values: dict[str, Any] = {
        "name": "made",
        "data": {"file": str(folder / "bars.csv"), "calendar": "24/7"},
        "generator": {"kind": "gbm"},
        "context": 64,
        "horizon": 6,
        "paths": 60,
        "folder": str(folder / "out"),
    }
    return load_live(values | more)


def step_at(folder: Path, bars: int, **more: Any) -> LiveReport:
    made(bars).to_csv(folder / "bars.csv", index=False)
    return live(config_of(folder, **more))


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LiveReport]:
    """A folder in which twelve bars were followed, and the last report."""
    folder = tmp_path_factory.mktemp("followed")
    for bars in range(300, 312):
        report = step_at(folder, bars)
    return folder, report


def test_each_bar_brings_a_forecast_and_what_came_is_ranked(followed: tuple[Path, LiveReport]) -> None:
    _, report = followed
    ranks = {each.number: each for each in report.log.ranks}
    assert (report.log.forecasts, report.log.bars) == (12, 311)
    assert {name: (each.judged, each.waiting) for name, each in ranks.items()} == {
        "return_1": (11, 1),
        "return_6": (6, 6),
        "log_volatility": (6, 6),
    }
    assert ranks["return_6"].coverage[0].origins == 1  # six futures of six bars that overlap: one stands apart
    assert ranks["return_1"].anchors[0] == "2024-01-13T11:00:00+00:00"  # the 300th hour


def test_the_rank_is_that_of_the_return_that_came(followed: tuple[Path, LiveReport]) -> None:
    folder, report = followed
    closes = made(311)["close"].to_numpy()
    with reading_log(folder / "out" / "log.sqlite") as log:
        forecasts = log.forecasts(next(iter(log.generators("ours"))))
    for place, each in enumerate(forecasts[:11]):
        came = np.log(closes[300 + place] / closes[299 + place])
        below = (each.members["return_1"] < came).mean()
        # the randomised rank spreads over 1 / (60 + 1) around the share below
        assert report.log.ranks[0].pits[place] == pytest.approx(below, abs=2 / 61)


def test_the_same_step_again_enters_nothing_and_says_so(followed: tuple[Path, LiveReport]) -> None:
    folder, before = followed
    again = live(config_of(folder))
    assert before.fresh
    assert not again.fresh
    assert again.log == before.log
    assert again.forecast == before.forecast


def test_a_log_is_judged_alike_without_its_model(followed: tuple[Path, LiveReport]) -> None:
    folder, report = followed
    checked = check_log(folder / "out" / "log.sqlite")
    assert checked.logs == [report.log]
    assert checked.findings == [each for each in report.findings if each.name in ("live_calibration", "live_drift")]
    assert checked.findings[0].label == "INCONCLUSIVE"  # eleven ranks say nothing yet
    assert checked.exit_code == 0


def test_scores_stand_beside_the_baseline_on_the_same_forecasts(followed: tuple[Path, LiveReport]) -> None:
    pairs = {pair.number: pair for pair in followed[1].log.crps}
    assert pairs["return_1"].difference.n == 11
    assert pairs["return_1"].difference.low is not None
    assert pairs["return_6"].difference.low is None  # six forecasts that overlap have no interval
    assert pairs["return_1"].ours - pairs["return_1"].theirs == pytest.approx(pairs["return_1"].difference.value)


def test_a_revised_bar_is_told_once_and_the_first_values_stay(tmp_path: Path) -> None:
    step_at(tmp_path, 100)
    bars = made(101)
    bars.loc[98, "close"] *= 1.0005
    bars.to_csv(tmp_path / "bars.csv", index=False)
    report = live(config_of(tmp_path))
    assert report.log.revised == 1
    assert [note.partition(": close")[1] for note in report.notes] == [": close"]
    assert live(config_of(tmp_path)).notes == []
    with reading_log(tmp_path / "out" / "log.sqlite") as log:
        assert log.bars().close[98] == pytest.approx(made(99)["close"].iloc[98], rel=1e-12)


def test_a_bar_that_is_known_already_cannot_be_forecast(tmp_path: Path) -> None:
    step_at(tmp_path, 110)
    with pytest.raises(StoreError, match="latest bar"):
        step_at(tmp_path, 105)


def test_another_generator_or_horizon_begins_anew_in_the_same_log(tmp_path: Path) -> None:
    step_at(tmp_path, 100)
    louder = step_at(tmp_path, 101, generator={"kind": "gbm", "volatility": 1.6})
    longer = step_at(tmp_path, 102, horizon=8)
    assert (louder.log.forecasts, longer.log.forecasts) == (1, 1)
    assert len(check_log(tmp_path / "out" / "log.sqlite").logs) == 3


def test_another_instrument_is_refused(tmp_path: Path) -> None:
    step_at(tmp_path, 100)
    data = {"file": str(tmp_path / "bars.csv"), "calendar": "24/7", "name": "other"}
    with pytest.raises(DataError, match="instrument"):
        live(config_of(tmp_path, data=data))


def test_the_market_and_what_is_odd_of_its_bars_are_told(tmp_path: Path) -> None:
    step_at(tmp_path, 200)
    bars = made(203).drop(index=201)
    bars.to_csv(tmp_path / "bars.csv", index=False)
    report = live(config_of(tmp_path), now=datetime(2024, 1, 9, 11, tzinfo=UTC))  # the bar of 10:00 has just ended
    assert report.state is not None
    assert report.state.regime in ("calm", "usual", "turbulent")
    assert {anomaly.kind for anomaly in report.state.anomalies} == {"gap"}
    labels = {finding.name: (finding.label, finding.offenders) for finding in report.findings}
    assert labels["live_input"] == ("WARN", ["gap"])
    assert labels["training overlap"] == ("PASS", [])
    assert labels["live_drift"][0] == "UNTESTABLE"  # two returns came
    assert report.log.ranks[0].unmatched == 0
    assert report.state.contamination.label == "PASS"  # nothing was trained


def test_a_receiver_is_told_once_of_a_change_and_a_failure_is_noted(tmp_path: Path) -> None:
    made(100).to_csv(tmp_path / "bars.csv", index=False)
    heard = tmp_path / "heard.jsonl"
    script = f"import sys; open({str(heard)!r}, 'a').write(sys.stdin.read() + chr(10))"
    receivers = [{"command": [sys.executable, "-c", script]}, {"command": ["no-such-program"], "tries": 1}]
    config = config_of(tmp_path, alerts=receivers)
    reports = [live(config, now=datetime(2024, 2, 1, tzinfo=UTC)) for _ in range(2)]  # no bar for weeks
    assert len(heard.read_text().splitlines()) == 1
    assert all("command no-such-program was not told" in report.notes[-1] for report in reports)


def test_one_process_writes_a_log_at_a_time(tmp_path: Path) -> None:
    made(100).to_csv(tmp_path / "bars.csv", index=False)
    config = config_of(tmp_path)
    with writing(config.log), pytest.raises(StoreError, match="in use"):
        live(config)
    assert live(config).fresh  # the lock is gone


def test_what_fails_within_a_step_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    before = step_at(tmp_path, 100)
    with pytest.raises(sqlite3.IntegrityError), writing(config_of(tmp_path).log) as log, log.connection:
        log.connection.execute(
            "INSERT INTO bars SELECT at + 1, stamp, open, high, low, close, volume, entered FROM bars"
        )
        log.connection.execute("INSERT INTO bars SELECT * FROM bars")
    assert live(config_of(tmp_path)).log == before.log


def test_a_file_that_is_no_log_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    with pytest.raises(StoreError, match="does not exist"):
        check_log(path)
    path.write_text("no database, but long enough to be looked at as if it were one" * 20)
    with pytest.raises(StoreError, match="cannot be used as a log"):
        check_log(path)


class Clock:
    """Time that passes only while one waits; bars come with it, but for one hour in which the source is away."""

    def __init__(self, folder: Path, steps: int) -> None:
        self.folder, self.left, self.bars, self.now = folder, steps, 100, 1_000_000_000.0
        made(self.bars).to_csv(folder / "bars.csv", index=False)

    def wait(self, seconds: float) -> None:
        self.now, self.left, self.bars = self.now + seconds, self.left - 1, self.bars + 1
        if self.left == 0:
            raise KeyboardInterrupt
        path = self.folder / "bars.csv"
        path.unlink() if self.left == 2 else made(self.bars).to_csv(path, index=False)


def test_following_tells_of_a_source_that_fails_and_goes_on_until_it_is_interrupted(tmp_path: Path) -> None:
    clock, heard, troubles = Clock(tmp_path, 4), [], []
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        clock.wait(seconds)

    config = config_of(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        follow(config, 3600, heard.append, troubles.append, wait=wait, clock=lambda: clock.now)
    assert [report.log.bars for report in heard] == [100, 101, 103]
    assert [type(trouble) for trouble in troubles] == [DataError]
    assert all(isinstance(trouble, ScenarioError) for trouble in troubles)
    assert waits[1:] == [3600.0] * 3  # each twenty seconds after the hour
    assert live(config).fresh is False  # lock and log are whole


def test_bars_at_other_stamps_than_forecast_are_not_judged() -> None:
    at = np.array([0, HOUR, 3 * HOUR, 4 * HOUR])
    real = LoggedBars(at, [str(each) for each in at], np.array([100.0, 101.0, 102.0, 103.0]))
    members = {"return_1": np.linspace(-0.05, 0.05, 21)}
    forecasts = [LoggedForecast(int(start), "x", 0, "", 100.0, start + HOUR * np.arange(1, 3), members) for start in at]
    result = judged("return_1", 1, forecasts, real)
    assert (result.rows, result.unmatched, result.waiting) == ([0, 2], 1, 1)


def test_the_latest_returns_have_drifted_where_their_distance_is_beyond_that_of_stretches_of_those_before() -> None:
    rng = np.random.default_rng(2)
    before, since = rng.standard_t(5, 400), rng.standard_t(5, 100)
    drifts = [drift_of("returns", before, [np.array([value]) for value in width * since]) for width in (1.0, 1.6)]
    assert [has_drifted(drift) for drift in drifts] == [False, True]
    assert drifts[1].index.value > drifts[1].usual_index
    above = drift_of("returns", before, [np.array([100.0])] * 20)
    # half a value in each tenth, and twenty in the last: nine shares of .02 and one of .82 beside .1
    assert above.index.value == pytest.approx(9 * (0.02 - 0.1) * np.log(0.2) + (0.82 - 0.1) * np.log(8.2))
    assert above.distance.value == pytest.approx((100 - np.quantile(before, QUANTILES).mean()) / before.std())


def test_horizons_are_those_below_the_last_and_the_last() -> None:
    assert [horizons(bars) for bars in (1, 5, 24, 48)] == [(1,), (1, 5), (1, 6, 24), (1, 6, 24, 48)]


def test_an_alarm_names_the_bar_and_how_the_paths_lie() -> None:
    pits = [0.5 + 0.2 * (-1) ** n * (n % 5) / 5 for n in range(100)]  # all near the middle: the paths are too wide
    test = sequential_test(pits, [f"bar {n}" for n in range(100)])
    assert test.label == "FAIL"
    assert test.leaning == "too wide"
    assert test.alarmed_after is not None
    assert test.alarmed_at == f"bar {test.alarmed_after - 1}"
    assert test.course[test.alarmed_after - 1] >= test.threshold > max(test.course[: test.alarmed_after - 1])


def test_silence_is_a_pass_from_thirty_ranks_on(followed: tuple[Path, LiveReport]) -> None:
    pits = np.random.default_rng(1).random(FEWEST).tolist()
    labels = [sequential_test(pits[:count], ["" for _ in pits]).label for count in (0, FEWEST - 1, FEWEST)]
    assert labels == ["UNTESTABLE", "INCONCLUSIVE", "PASS"]
    assert log_finding(followed[1].log).check.gate == "generator"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"horizon": 0}, "horizon: got 0"),
        ({"baselines": ["bootstrab"]}, "bootstrap"),
        ({"every": "1x"}, "such as 5m, 1h or 1d"),
        ({"data": {"source": "sp500", "end": "2016-01-01"}}, "data.end: live forecasts follow the last bar"),
        ({"generator": {"kind": "kronos", "temperature": "auto"}}, "generator.temperature: got auto"),
        ({"generator": {"kind": "gbm", "recalibrate": True}}, "a live forecast recalibrates no generator"),
        ({"alerts": [{}]}, "give exactly one of 'webhook'"),
        ({"hrizon": 24}, "horizon"),
    ],
)
def test_a_mistake_in_a_config_is_told_with_its_field(wrong: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=words):
        config_of(tmp_path, **wrong)


def test_the_shipped_config_can_be_read() -> None:
    config = load_live(Path(__file__).parents[2] / "scenarios" / "live" / "bitcoin.yaml")
    assert config.data.symbol == "BTC/USDT"
    assert [use.display_name for use in config.strategies] == ["SmaCross"]
    assert (seconds_of("5m"), seconds_of("1d")) == (300, 86_400)
