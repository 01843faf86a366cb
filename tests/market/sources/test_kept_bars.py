"""What is kept of fetched bars, what ``as_of`` lets through, and the command ``fetch``."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from typer.testing import CliRunner, Result

import scenario_gen as sg
from scenario_gen.cli.app import app
from scenario_gen.errors import DataError
from scenario_gen.market.known import over_by
from scenario_gen.progress import SilentProgress
from tests.market.sources.conftest import Serve
from tests.market.sources.vendors import Loopback, binance, stooq

DAYS = pd.bdate_range("2018-01-02", periods=700)
SPEC = """name: demo
data: {source: stooq, symbol: spy.us, end: 2019-06-28}
bars: {context: 64, horizon: 5}
paths: {count: 8, block: 8}
generator: {kind: bootstrap}
checks: {facts: false, calibration: false}
strategies: [{use: hold.py:Hold}]
"""
HOLD = """from dataclasses import dataclass

from scenario_gen.backtest import Signals


@dataclass(frozen=True)
class Hold:
    def signals(self, bars):
        return Signals(entries=bars.close > 0, exits=bars.close < 0)
"""


@pytest.fixture
def vendor(serve: Serve) -> Loopback:
    return serve("stooq", stooq(DAYS))


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "hold.py").write_text(HOLD)
    (tmp_path / "demo.yaml").write_text(SPEC)
    return tmp_path / "demo.yaml"


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


# --- as_of ---


@pytest.mark.parametrize(
    ("stamps", "as_of", "last"),
    [
        (pd.bdate_range("2020-01-01", periods=60), date(2020, 2, 5), "2020-02-05"),
        # a day's bar is not over at noon
        (pd.bdate_range("2020-01-01", periods=60), datetime(2020, 2, 5, 12), "2020-02-04"),
        (pd.bdate_range("2020-01-01", periods=60), datetime(2020, 2, 5), "2020-02-04"),
        # the week of Monday the 3rd is over on Sunday the 9th
        (pd.date_range("2020-01-06", periods=30, freq="W-MON"), date(2020, 2, 8), "2020-01-27"),
        (pd.date_range("2020-01-06", periods=30, freq="W-MON"), date(2020, 2, 9), "2020-02-03"),
        (pd.date_range("2020-01-01", periods=30, freq="MS"), date(2020, 4, 29), "2020-03-01"),
        (pd.date_range("2020-01-01", periods=30, freq="MS"), date(2020, 4, 30), "2020-04-01"),
        (pd.date_range("2020-01-01", periods=90, freq="h", tz="UTC"), datetime(2020, 1, 2, 15, 30), "2020-01-02 14:00"),
        (pd.date_range("2020-01-01", periods=90, freq="h", tz="UTC"), date(2020, 1, 2), "2020-01-02 23:00"),
        (pd.date_range("2020-01-01", periods=90, freq="h", tz="UTC"), datetime(2020, 1, 2), "2020-01-01 23:00"),
        # a day of New York ends at five in the morning of UTC
        (
            pd.bdate_range("2020-01-01", periods=60, tz="America/New_York"),
            datetime(2020, 2, 6, 4, 59, tzinfo=UTC),
            "2020-02-04",
        ),
        (
            pd.bdate_range("2020-01-01", periods=60, tz="America/New_York"),
            datetime(2020, 2, 6, 5, tzinfo=UTC),
            "2020-02-05",
        ),
        # the clock goes back on 2020-11-01: that day has 25 hours
        (pd.date_range("2020-10-01", periods=60, tz="America/New_York"), date(2020, 11, 1), "2020-11-01"),
    ],
)
def test_a_bar_is_known_once_it_is_over(stamps: pd.DatetimeIndex, as_of: Any, last: str) -> None:
    assert stamps[over_by(stamps, as_of)][-1].tz_localize(None) == pd.Timestamp(last)


@given(st.integers(1, 2000), st.sampled_from(["5min", "h", "D", "W-MON", "MS"]))
@settings(max_examples=60, deadline=None)
def test_what_is_known_grows_with_time_and_never_holds_a_later_stamp(hours: int, freq: str) -> None:
    stamps = pd.date_range("2020-01-01", periods=200, freq=freq)
    moment = stamps[0].to_pydatetime() + timedelta(hours=hours)
    known, later = over_by(stamps, moment), over_by(stamps, moment + timedelta(hours=1))
    assert (known <= later).all()
    assert not known[stamps > moment].any()
    assert (np.diff(known.astype(int)) <= 0).all()


def test_as_of_cuts_a_file_as_if_nobody_had_seen_the_rest(make_bars: Any, tmp_path: Path) -> None:
    bars = make_bars(DAYS)
    bars.loc[bars.index > "2019-03-01", "close"] = -1.0  # what is not known is not judged
    bars.to_csv(tmp_path / "bars.csv", index_label="date")
    cut = sg.load_candles(tmp_path / "bars.csv", as_of="2019-03-01")
    bars.loc[:"2019-03-01"].to_csv(tmp_path / "before.csv", index_label="date")
    assert cut.sha256() == sg.load_candles(tmp_path / "before.csv").sha256()
    assert "as of" in {flag.rule for flag in cut.flags}
    with pytest.raises(DataError, match="no bar that was over at as_of 2017-01-01"):
        sg.load_candles(tmp_path / "bars.csv", as_of="2017-01-01")


def test_a_bar_of_irregular_stamps_is_over_when_the_next_one_begins() -> None:
    steps = np.cumsum(np.random.default_rng(3).integers(40, 4000, 100))
    stamps = pd.Timestamp("2020-01-01") + pd.to_timedelta(steps, unit="s")
    moment = (stamps[50] + pd.Timedelta(seconds=1)).to_pydatetime()
    assert over_by(pd.DatetimeIndex(stamps), moment).sum() == 50


def test_the_snapshot_of_an_as_of_is_its_own_and_stays(vendor: Loopback) -> None:
    then = sg.fetch("stooq", symbol="spy.us", as_of="2019-03-01")
    assert then.timestamps[-1] == pd.Timestamp("2019-03-01")
    assert vendor.asked[-1][1]["d2"] <= "20190303"
    # The vendor rewrites history; what was kept as of that day is what was known then.
    vendor.answer = lambda path, query: (200, stooq(DAYS)(path, query)[1].replace("100.0", "100.1"))
    assert sg.fetch("stooq", symbol="spy.us", as_of="2019-03-01").sha256() == then.sha256()
    assert sg.fetch("stooq", symbol="spy.us", as_of="2019-03-01", refresh=True).sha256() != then.sha256()


def test_an_as_of_that_is_not_over_is_refused(vendor: Loopback) -> None:
    later = (datetime.now(UTC) + timedelta(days=3)).date()
    with pytest.raises(DataError, match="not over yet"):
        sg.fetch("stooq", symbol="spy.us", as_of=later.isoformat())
    assert vendor.asked == []


# --- What is kept ---


def test_kept_bars_that_were_changed_are_refused_with_what_to_do(vendor: Loopback, cache: Path) -> None:
    sg.fetch("stooq", symbol="spy.us")
    (file,) = cache.glob("stooq/*.parquet")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match="are not what was fetched") as refused:
        sg.fetch("stooq", symbol="spy.us")
    assert "--refresh" in refused.value.fix
    file.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        sg.fetch("stooq", symbol="spy.us")
    assert len(sg.fetch("stooq", symbol="spy.us", refresh=True)) == 700
    assert len(vendor.asked) == 2


def test_a_refresh_that_fails_leaves_what_was_kept(vendor: Loopback, cache: Path) -> None:
    kept = sg.fetch("stooq", symbol="spy.us")
    vendor.answer = lambda path, query: (200, "No data")
    with pytest.raises(DataError):
        sg.fetch("stooq", symbol="spy.us", refresh=True)
    assert sg.fetch("stooq", symbol="spy.us").sha256() == kept.sha256()
    assert len(list(cache.glob("*/*"))) == 2  # one note, one table


def test_a_refresh_replaces_the_table_that_it_outdates(vendor: Loopback, cache: Path) -> None:
    sg.fetch("stooq", symbol="spy.us")
    vendor.answer = stooq(DAYS[:600])
    assert len(sg.fetch("stooq", symbol="spy.us", refresh=True)) == 600
    assert len(list(cache.glob("stooq/*.parquet"))) == 1


def test_the_note_says_what_was_asked_when_and_by_whom_and_holds_the_hash(vendor: Loopback, cache: Path) -> None:
    import hashlib

    sg.fetch("stooq", symbol="spy.us", start="2018-06-01")
    (path,) = cache.glob("stooq/*.json")
    note = json.loads(path.read_text())
    assert note["asked"] == {
        "source": "stooq", "symbol": "spy.us", "timeframe": "1d", "adjusted": False, "start": "2018-06-01"
    }  # fmt: skip
    assert note["sha256"] == hashlib.sha256((path.parent / note["file"]).read_bytes()).hexdigest()
    assert abs(datetime.now(UTC) - datetime.fromisoformat(note["fetched"])) < timedelta(minutes=5)


# --- The command ---


def test_a_spec_is_fetched_and_then_runs_without_a_network(vendor: Loopback, spec: Path, tmp_path: Path) -> None:
    assert run("validate", spec).exit_code == 0
    assert vendor.asked == []  # validate asks nobody
    done = run("fetch", spec)
    assert done.exit_code == 0, done.output
    assert "fetched: " in done.stdout
    vendor.close()
    done = run("run", spec, "--folder", tmp_path / "a", "--quiet")
    assert done.exit_code == 0, done.output
    results = json.loads((tmp_path / "a" / "run.json").read_text())
    assert results["scenarios"][0]["context"]["source"] == "Stooq: spy.us 1d"
    assert "kept as" in done.stderr  # and says that bars were kept


def test_a_run_without_a_network_and_without_kept_bars_says_what_to_do(vendor: Loopback, spec: Path) -> None:
    vendor.close()
    done = run("run", spec, "--folder", spec.parent / "b")
    assert done.exit_code == 2
    assert "Stooq cannot be reached" in done.stderr
    assert "Traceback" not in done.output


def test_as_of_in_a_spec_leaves_nothing_of_later_in_the_run(vendor: Loopback, spec: Path, tmp_path: Path) -> None:
    text = SPEC.replace("end: 2019-06-28", "end: 2019-06-24, as_of: 2019-06-27")
    spec.write_text(text)
    done = run("run", spec, "--folder", tmp_path / "c", "--quiet")
    assert done.exit_code == 0, done.output
    later = json.loads((tmp_path / "c" / "run.json").read_text())["scenarios"][0]["realised_close"]
    assert len(later) == 3  # 25, 26 and 27 June: the horizon asks for five
    assert vendor.asked[-1][1]["d2"] <= "20190629"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_bars_that_are_written_to_a_file_are_read_as_the_same_candles(
    serve: Serve, tmp_path: Path, ending: str
) -> None:
    serve("ccxt", binance(pd.date_range("2020-01-01", periods=60, freq="1h", tz="UTC")))
    out = tmp_path / f"btc.{ending}"
    words = ["--exchange", "binance", "--symbol", "BTC/USDT", "--timeframe", "1h", "--start", "2020-01-01"]
    done = run("fetch", "--source", "ccxt", *words, "--out", out)
    assert done.exit_code == 0, done.output
    heard = SilentProgress()
    fetched = sg.fetch(
        "ccxt", exchange="binance", symbol="BTC/USDT", timeframe="1h", start="2020-01-01", progress=heard
    )
    assert sg.load_candles(out).sha256() == fetched.sha256()
    assert "used as they are" in heard.notes[0]


def test_what_is_kept_is_listed_and_removed(vendor: Loopback, cache: Path) -> None:
    assert "nothing is kept" in run("fetch", "--list").stdout
    run("fetch", "--source", "stooq", "--symbol", "spy.us")
    run("fetch", "--source", "stooq", "--symbol", "spy.us", "--as-of", "2019-03-01")
    listed = json.loads(run("fetch", "--list", "--json").stdout)["kept"]
    assert sorted(note["bars"] for note in listed) == [304, 700]
    assert "as_of 2019-03-01" in run("fetch", "--list").stdout
    done = run("fetch", "--remove", listed[0]["key"])
    assert done.stdout.startswith(f"removed: {listed[0]['key']}")
    assert len(json.loads(run("fetch", "--remove", "all", "--json").stdout)["removed"]) == 1
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_json_of_fetch_says_whether_the_source_was_asked(vendor: Loopback) -> None:
    first, second = (
        json.loads(run("fetch", "--source", "stooq", "--symbol", "spy.us", "--json").stdout)["fetched"][0]
        for _ in range(2)
    )
    assert (first["asked_now"], second["asked_now"]) == (True, False)
    assert first["sha256"] == second["sha256"]
    assert len(vendor.asked) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected one of a spec"),
        (["--list", "--source", "stooq"], "got --source and --list"),
        (["--source", "stooq"], "symbol missing, which source stooq needs"),
        (["--source", "stook", "--symbol", "spy.us"], "did you mean 'stooq'?"),
        (["--source", "sp500"], "on this machine already"),
        (["--source", "stooq", "--symbol", "spy.us", "--out", "bars.xls"], "ending in .csv or .parquet"),
        (["--source", "stooq", "--symbol", "spy.us", "--start", "yesterday"], "expected a date like 2018-12-31"),
        (["--remove", "abc"], "no bars are kept as abc"),
    ],
)
def test_mistakes_of_fetch_leave_with_two(words: list[str], message: str) -> None:
    done = run("fetch", *words)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_a_spec_without_a_source_has_nothing_to_fetch(spec: Path) -> None:
    spec.write_text(SPEC.replace("source: stooq, symbol: spy.us, end: 2019-06-28", "source: sp500"))
    done = run("fetch", spec)
    assert done.exit_code == 2
    assert "has no data that is fetched" in done.stderr
