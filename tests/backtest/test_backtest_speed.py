"""The benchmark times two ways to the same fills, and says what it timed."""

import json

import numpy as np
from typer.testing import CliRunner

from scenario_gen.backtest.backtest_speed import bare_vectorbt, made_up, measure, whole_backtest
from scenario_gen.cli.app import app


def test_both_ways_fill_the_same_orders():
    context, paths = made_up(50, 60, 64)
    bare = bare_vectorbt(False, context, paths)
    whole = whole_backtest(False, context, paths)
    # float32 equity: a relative rounding of 6e-8.
    np.testing.assert_allclose(1 + bare.total_return(), whole.equity[:, -1] / whole.equity[:, 0], rtol=2e-7)
    assert bare.trades.count().sum() == len(whole.trades) > 0


def test_with_stops_on_both_sides_the_bare_calls_trade_about_as_much():
    # Not the same fills: with one row per bar a stop sleeps on the bar of the entry, and sides turn on one row.
    context, paths = made_up(50, 60, 64)
    bare, whole = bare_vectorbt(True, context, paths), whole_backtest(True, context, paths)
    assert 0.5 < bare.trades.count().sum() / len(whole.trades) < 2


def test_the_figures_belong_together():
    result = measure(20, 30, 64, 1)
    assert result.ratio_to_bare_vectorbt == result.cases[0].seconds / result.cases[0].bare_seconds
    assert result.path_bars_per_second == 20 * 30 / result.seconds
    assert [case.name for case in result.cases] == ["long only", "both sides with stops"]
    assert result.peak_memory_bytes > 50e6


def test_the_command_prints_json_or_a_table():
    small = ["bench", "backtest", "--paths", "20", "--bars", "30", "--context", "64", "--rounds", "1"]
    printed = CliRunner().invoke(app, [*small, "--json"])
    assert printed.exit_code == 0, printed.output
    found = json.loads(printed.stdout)
    assert {"ratio_to_bare_vectorbt", "seconds", "peak_memory_bytes"} <= found.keys()
    table = CliRunner().invoke(app, small)
    assert table.exit_code == 0
    assert "bare vectorbt" in table.stdout
    assert CliRunner().invoke(app, [*small[:-1], "0"]).exit_code == 2
