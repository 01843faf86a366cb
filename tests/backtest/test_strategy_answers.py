"""What a user's strategy may return, and what it is told when it cannot be used."""

import logging
import pickle
import textwrap
import warnings

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest import expand, run_backtest
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.errors import StrategyError

HEAD = """\
from dataclasses import dataclass
import warnings
import numpy as np
import pandas as pd
from scenario_gen.backtest import Signals

@dataclass(frozen=True)
class Mine:
"""


@pytest.fixture
def run(tmp_path, make_market):
    """Write a strategy whose method has this body, and run it on two paths of ten bars."""

    def go(method: str, body: str, **broker):
        source = HEAD + textwrap.indent(f"def {method}:\n" + textwrap.indent(body, "    "), "    ")
        (tmp_path / "mine.py").write_text(source)
        strategy = expand(StrategyUse(use="mine.py:Mine"), tmp_path)[0]
        market = make_market(paths=2, bars=10)
        return run_backtest(strategy, market.context, market.paths, Broker(**broker), bars_per_year=252)

    return go


def refusal(run, method, body):
    with pytest.raises(StrategyError) as caught:
        run(method, body)
    return str(caught.value)


def test_an_exception_is_reported_with_the_users_own_line(run):
    message = refusal(run, "signals(self, bars)", "x = 1\nreturn bars.close['nowhere']")
    assert "Mine().signals" not in message
    assert "Mine.signals raised KeyError" in message
    assert "mine.py, line 11" in message
    assert "return bars.close['nowhere']" in message
    assert "vectorbt" not in message


SIGNALS = "up = bars.close > bars.open\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return None", ["returned None", "Signals(...)"]),
        (SIGNALS + "return Signals(up, None)", ["exits is None", "shaped like bars.close"]),
        (SIGNALS + "return Signals(up.iloc[5:], ~up)", ["entries has 45 bars x 2 paths", "50 x 2"]),
        (SIGNALS + "return Signals(up.to_numpy(), ~up)", ["entries is a ndarray"]),
        (SIGNALS + "return Signals(up, up.shift(1))", ["exits holds object", "fill_value=False"]),
        (SIGNALS + "return Signals(up * 1.0, ~up)", ["entries holds float64", "True and False"]),
        (SIGNALS + "return Signals(up[up.columns[::-1]], ~up)", ["entries has another index or other columns"]),
        (SIGNALS + "return Signals(up, ~up, size=1.5)", ["size is 1.5", "[0, 1]"]),
        (SIGNALS + "return Signals(up, ~up, size=bars.close * np.nan)", ["size is nan", "(20 such values)"]),
        (SIGNALS + "return Signals(up, ~up, size='all')", ["size is a str"]),
        (SIGNALS + "return Signals(up, ~up, stop_loss=0)", ["stop_loss is 0", "(0, 1)"]),
        (SIGNALS + "return Signals(up, ~up, trailing_stop=5)", ["trailing_stop is 5", "(0, 1)"]),
        (SIGNALS + "return Signals(up, ~up, take_profit=-0.1)", ["take_profit is -0.1"]),
        (SIGNALS + "return Signals(up, ~up, stop_loss=.1, trailing_stop=.1)", ["stop_loss and trailing_stop"]),
    ],
)
def test_unusable_signals_are_refused(run, body, words):
    message = refusal(run, "signals(self, bars)", body)
    assert "Mine.signals" in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return 1.0", ["returned a float", "a DataFrame"]),
        ("return bars.close * 0 + 2", ["is 2", "[-1, 1]"]),
        ("return bars.close.rolling(45).mean() * 0", ["is nan", ".fillna(0.0)"]),
        ("return bars.close.astype(str) + 'x'", ["something else than numbers"]),
        ("return bars.close.T", ["has 2 bars x 50 paths"]),
    ],
)
def test_unusable_weights_are_refused(run, body, words):
    message = refusal(run, "weights(self, bars)", body)
    for word in ["Mine.weights", *words]:
        assert word in message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return bars", ["returned a Bars", "a vectorbt.Portfolio"]),
        ("import vectorbt as v\nreturn v.Portfolio.from_holding(bars.close, engine='rust')", ["50 bars x 2", "10 x 2"]),
        (
            "import vectorbt as v\n"
            "return v.Portfolio.from_holding(bars.close[bars.context_bars:], cash_sharing=True, engine='rust')",
            ["grouped its columns"],
        ),
    ],
)
def test_unusable_portfolios_are_refused(run, body, words):
    message = refusal(run, "portfolio(self, bars, broker)", body)
    for word in ["Mine.portfolio", *words]:
        assert word in message


def test_missing_values_during_the_warm_up_do_no_harm(run):
    result = run("weights(self, bars)", "return (bars.close.rolling(30).mean() * 0 + 1).where(bars.close > 0)")
    assert (result.metrics["exposure"] > 0.99).all()


def test_a_warning_in_the_users_code_goes_to_the_log_and_does_not_stop_the_run(run, caplog):
    body = "warnings.warn('mind the gap', FutureWarning)\nreturn bars.close * 0"
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run("weights(self, bars)", body)
    assert (result.metrics["trades"] == 0).all()
    assert "Mine.weights warned: mind the gap" in caplog.text


def test_a_strategy_sees_the_context_and_then_the_path(make_market, loaded):
    market = make_market(paths=3, bars=10)
    seen = []

    class Looks:
        def weights(self, bars):
            seen.append(bars)
            return bars.close * 0

    run_backtest(loaded(Looks()), market.context, market.paths, Broker(), bars_per_year=98.5)
    (bars,) = seen
    assert (bars.context_bars, bars.bars_per_year, len(bars)) == (40, 98.5, 50)
    assert bars.close.columns.tolist() == [0, 1, 2]
    assert bars.close.index.equals(market.context.timestamps.append(market.paths.timestamps))
    for name in ("open", "high", "low", "close", "volume"):
        frame = getattr(bars, name)
        assert (frame.iloc[:40].to_numpy() == market.context.column(name)[:, None]).all()
        assert (frame.iloc[40:].to_numpy() == market.paths.column(name).T).all()


def test_volume_is_none_where_there_is_none(make_market, loaded):
    context = np.array([[100.0] * 4] * 3)
    market = make_market(values=[[[100.0] * 4] * 2], context=context)

    class Looks:
        def weights(self, bars):
            assert bars.volume is None
            return pd.DataFrame(0.0, bars.close.index, bars.close.columns)

    result = run_backtest(loaded(Looks()), market.context, market.paths, Broker(), bars_per_year=252)
    assert result.equity.tolist() == [[100_000] * 3]


def test_a_loaded_strategy_survives_pickling_to_another_process(tmp_path):
    (tmp_path / "mine.py").write_text(
        HEAD + "    n: int = 3\n    def weights(self, bars):\n        return bars.close * 0\n"
    )
    before = expand(StrategyUse(use="mine.py:Mine", params={"n": 5}), tmp_path)[0]
    after = pickle.loads(pickle.dumps(before))
    assert (after.name, after.params, after.instance.n) == ("Mine(n=5)", {"n": 5}, 5)


def test_a_strategy_that_leaves_the_process_is_reported_with_its_line(run):
    message = refusal(run, "signals(self, bars)", "raise SystemExit(3)")
    assert "Mine(" in message or "Mine.signals" in message
    assert "raised SystemExit: 3" in message
    assert "raise SystemExit(3)" in message


@pytest.mark.parametrize(
    "vandalism",
    [
        "bars.close.iloc[:] = 1.0",
        "bars.open.iloc[:, 0] = bars.open.iloc[:, 0] / 2",
        "bars.high['new'] = 3.0",
        "object.__setattr__(bars, 'close', None)",
    ],
)
def test_writing_into_the_bars_changes_neither_prices_nor_money(run, vandalism):
    rest = "always = bars.low[[0, 1]] > 0\nreturn Signals(entries=always, exits=~always)"
    honest = run("signals(self, bars)", rest)
    vandal = run("signals(self, bars)", f"{vandalism}\n{rest}")
    pd.testing.assert_frame_equal(vandal.metrics, honest.metrics)
    np.testing.assert_array_equal(vandal.equity, honest.equity)


MOVING = "import vectorbt as vbt\nfast, slow = (vbt.MA.run(bars.close, window) for window in (3, 8))\n"
PLAIN = "fast, slow = (bars.close.rolling(window).mean() for window in (3, 8))\n"


def test_signals_of_vectorbts_indicators_are_those_of_pandas(run):
    crossed = MOVING + "return Signals(fast.ma_crossed_above(slow), fast.ma_crossed_below(slow))"
    above = PLAIN + "above = (fast > slow) & slow.notna()\nbefore = above.shift(1, fill_value=False)\n"
    plain = above + "return Signals(above & ~before, before & (fast < slow))"
    found, expected = (run("signals(self, bars)", body) for body in (crossed, plain))
    assert len(found.trades)
    pd.testing.assert_frame_equal(found.metrics, expected.metrics)


def test_sizes_stops_and_weights_with_a_level_of_one_value_are_read_too(run):
    stops = (
        MOVING + "up = fast.ma_above(slow)\nstop = vbt.ATR.run(bars.high, bars.low, bars.close, 5).atr.vbt / 1000.0\n"
    )
    stops = stops + "return Signals(up, ~up, size=stop.clip(0, 1), stop_loss=stop.clip(0.001, 0.9))"
    assert len(run("signals(self, bars)", stops).metrics) == 2
    weights = MOVING + "return fast.ma_above(slow).astype(float)"
    plain = PLAIN + "return (fast > slow).astype(float)"
    found, expected = (run("weights(self, bars)", body) for body in (weights, plain))
    pd.testing.assert_frame_equal(found.metrics, expected.metrics)


def test_several_combinations_name_their_level_and_its_values(run):
    body = "import vectorbt as vbt\nup = vbt.MA.run(bars.close, [3, 8, 13]).ma_above(100)\nreturn Signals(up, ~up)"
    message = refusal(run, "signals(self, bars)", body)
    assert "entries has a column level ma_window of 3 values (3, 8, 13) beside the paths" in message
    assert ".xs(3, axis=1, level='ma_window')" in message
    many = "import vectorbt as vbt\nreturn vbt.MA.run(bars.close, list(range(2, 30))).ma_above(100).astype(float)"
    assert "ma_window of 28 values (2, 3, 4, 5, 6, 7, ...)" in refusal(run, "weights(self, bars)", many)


def test_one_combination_of_other_paths_is_still_refused(run):
    body = "import vectorbt as vbt\nup = vbt.MA.run(bars.close.iloc[:, ::-1], 3).ma_above(100)\nreturn Signals(up, ~up)"
    assert "entries has another index or other columns" in refusal(run, "signals(self, bars)", body)
