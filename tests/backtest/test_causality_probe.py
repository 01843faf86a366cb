"""The probe names what looks ahead, and never what does not."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import vectorbt as vbt
from arch.data import sp500
from hypothesis import given, settings, strategies as st

from scenario_gen import sample
from scenario_gen.backtest import Ground, Signals, expand, probe_causality
from scenario_gen.backtest.answers import decide
from scenario_gen.backtest.engine import bars_of
from scenario_gen.backtest.findings import look_ahead_finding
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.errors import StrategyError
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet

FOLDER = Path(__file__).parents[2] / "strategies"
NEXT, WHOLE, OTHERS, CHANCE = (
    "reads the next bars",
    "reads the whole sample",
    "reads other paths",
    "not deterministic",
)


@dataclass(frozen=True)
class Rule:
    """A strategy that is one function of the bars."""

    rule: object

    def signals(self, bars):
        answer = self.rule(bars)
        if isinstance(answer, Signals):
            return answer
        return Signals(entries=answer, exits=~answer)


@dataclass(frozen=True)
class Weigh:
    rule: object

    def weights(self, bars):
        return self.rule(bars)


@dataclass
class Forgetful:
    """Answers differently each time it is asked."""

    asked: int = 0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def signals(self, bars):
        entries = bars.close > bars.close.shift(1)
        self.asked += 1
        entries.iloc[7, 0] = self.asked % 2 == 0
        return Signals(entries=entries, exits=~entries)


@pytest.fixture
def market(make_market):
    return make_market(paths=6, bars=60, seed=11)


@pytest.fixture
def probe(market, loaded):
    def run(instance, market=market, **keywords):
        return probe_causality(loaded(instance), market.ground(), market.paths, **keywords)

    return run


PLANTED = {
    "tomorrow's close": (NEXT, 1, lambda b: b.close.shift(-1) > b.close),
    "the high of the next bar": (NEXT, 1, lambda b: b.close > 0.99 * b.high.shift(-1)),
    "tomorrow's volume": (NEXT, 1, lambda b: b.volume.shift(-1) > b.volume.rolling(5).mean()),
    "a centred average": (NEXT, 5, lambda b: b.close > b.close.rolling(11, center=True).mean()),
    "the return of the next twenty bars": (NEXT, 20, lambda b: b.close.pct_change(20).shift(-20) > 0.02),
    "a gap filled from behind": (NEXT, None, lambda b: b.close > b.close.rolling(9).mean().bfill()),
    "a gap interpolated": (NEXT, None, lambda b: b.close > b.close.iloc[::4].reindex(b.close.index).interpolate()),
    "a z-score over everything": (WHOLE, None, lambda b: (b.close - b.close.mean()) / b.close.std() < -1),
    "the highest close of all": (WHOLE, None, lambda b: b.close > 0.95 * b.close.max()),
    "scaling between all lows and highs": (
        WHOLE,
        None,
        lambda b: (b.close - b.low.min()) / (b.high.max() - b.low.min()) < 0.3,
    ),
    "a rank over everything": (WHOLE, None, lambda b: b.close.rank(pct=True) < 0.2),
    "a threshold at the median of all returns": (
        WHOLE,
        None,
        lambda b: b.close.pct_change() > b.close.pct_change().quantile(0.8),
    ),
    "the mean of all paths": (OTHERS, 0, lambda b: b.close.lt(b.close.mean(axis=1), axis=0)),
    "the best of all paths": (OTHERS, 0, lambda b: b.close.pct_change(5).rank(axis=1, pct=True) > 0.8),
    "the first path": (OTHERS, 0, lambda b: b.close.gt(b.close.iloc[:, 0], axis=0)),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_look_ahead_is_caught_and_named(probe, name):
    kind, reach, rule = PLANTED[name]
    seen = probe(Rule(rule))
    assert seen.label == "FAIL"
    assert [leak.kind for leak in seen.leaks] == [kind]
    leak = seen.leaks[0]
    assert leak.field in ("entries", "exits")
    if reach is not None:
        assert leak.reach == reach
    assert kind in str(leak)
    assert str(leak.timestamp) in str(leak)


@pytest.mark.parametrize("seed", range(10))
def test_a_rare_peek_is_found_whatever_the_seed(probe, make_market, seed):
    # Buys a breakout of twenty bars that tomorrow confirms: it fires at a few bars in a hundred.
    def rule(b):
        return (b.close > b.high.rolling(20).max().shift(1)) & (b.close.shift(-1) > b.close)

    assert probe(Rule(rule), make_market(paths=6, bars=60, seed=seed), seed=seed).label == "FAIL"


def test_the_leak_names_a_bar_whose_decision_did_change(probe, market):
    seen = probe(Rule(lambda b: b.close.shift(-1) > b.close))
    leak = seen.leaks[0]
    assert leak.cut == leak.bar  # one bar ahead: the decision at the cut itself
    stamps = market.context.timestamps.append(market.paths.timestamps)
    assert stamps[leak.bar + len(market.context)] == leak.timestamp
    assert leak.path in market.paths.path_ids


def test_both_kinds_are_named_where_a_strategy_reads_other_paths_and_later_bars(probe):
    seen = probe(Rule(lambda b: b.close < b.close.mean(axis=0).mean()))
    assert [leak.kind for leak in seen.leaks] == [OTHERS, WHOLE]


def test_chance_is_named_before_all_else(probe):
    seen = probe(Forgetful())
    assert [leak.kind for leak in seen.leaks] == [CHANCE]
    assert seen.leaks[0].bar == 7 - 40
    rng = np.random.default_rng(0)
    assert probe(Rule(lambda b: b.close > 100 + rng.normal(size=b.close.shape))).leaks[0].kind == CHANCE


def test_a_size_a_stop_and_a_weight_are_looked_at_too(probe):
    def sized(b):
        up = b.close > b.close.shift(1)
        return Signals(entries=up, exits=~up, size=float(0.5 / (1 + b.close.pct_change().std().iloc[0])))

    def stopped(b):
        up = b.close > b.close.shift(1)
        return Signals(up, ~up, stop_loss=(b.high - b.low).shift(-1).bfill().ffill() / b.close)

    assert probe(Rule(sized)).leaks[0].field == "size"
    assert probe(Rule(stopped)).leaks[0].field == "stop_loss"
    weights = Weigh(lambda b: (0.01 / b.close.pct_change().rolling(9, center=True).std()).clip(0, 1).fillna(0))
    seen = probe(weights).leaks[0]
    assert (seen.kind, seen.field, seen.reach) == (NEXT, "weights", 4)


@dataclass(frozen=True)
class Own:
    """vectorbt code of the user's own; ``ahead`` bars of the future decide."""

    ahead: int

    def portfolio(self, bars, broker):
        rising = (bars.close > bars.close.rolling(5).mean()).shift(-self.ahead, fill_value=False)
        path = slice(bars.context_bars, None)
        return vbt.Portfolio.from_signals(
            bars.close.iloc[path], rising.iloc[path], ~rising.iloc[path], init_cash=broker.cash, engine="rust"
        )


def test_a_portfolio_is_judged_by_its_orders(probe):
    assert probe(Own(0)).label == "PASS"
    leak = probe(Own(2)).leaks[0]
    assert (leak.kind, leak.reach) == (NEXT, 2)
    assert leak.field.startswith("order")
    assert leak.bar >= 0


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda file: file.stem)
def test_no_shipped_strategy_is_flagged(make_market, walk, file):
    past = walk(np.random.default_rng(2), 1, 260, 0.02, 0.0, 100.0)[0]
    market = make_market(paths=4, bars=60, seed=11, context=past)
    name = "".join(part.title() for part in file.stem.split("_"))
    strategy = expand(StrategyUse(use=f"{file.name}:{name}"), FOLDER)[0]
    seen = probe_causality(strategy, market.ground(), market.paths)
    assert (seen.label, seen.leaks) == ("PASS", ())


HONEST = {
    "exponential average": lambda b, n: b.close > b.close.ewm(span=n).mean(),
    "rolling z-score": lambda b, n: (b.close - b.close.rolling(n).mean()) / b.close.rolling(n).std() < -1,
    "expanding z-score": lambda b, n: (b.close - b.close.expanding(n).mean()) / b.close.expanding(n).std() < -1,
    "running maximum": lambda b, n: b.close > 0.9 * b.close.cummax(),
    "rolling rank": lambda b, n: b.close.rolling(n).rank(pct=True) < 0.2,
    "rolling quantile": lambda b, n: b.close > b.close.rolling(n).quantile(0.7),
    "rolling skew": lambda b, n: b.close.pct_change().rolling(n + 3).skew() > 0,
    "windows of numpy": lambda b, n: (
        b.close
        > pd.DataFrame(
            np.concatenate(
                [
                    np.full((n - 1, b.close.shape[1]), np.nan),
                    np.lib.stride_tricks.sliding_window_view(b.close.to_numpy(), n, axis=0).mean(axis=-1),
                ]
            ),
            b.close.index,
            b.close.columns,
        )
    ),
    "compounded returns": lambda b, n: b.close.pct_change().add(1).cumprod() > 1.02,
    "yesterday's high": lambda b, n: b.close > b.high.shift(n),
    "filled forwards": lambda b, n: b.close > b.close.where(b.close.diff() > 0).ffill(),
    "volume": lambda b, n: b.volume > b.volume.rolling(n).median(),
    "the calendar": lambda b, n: pd.DataFrame(
        np.repeat((b.close.index.day <= n)[:, None], b.close.shape[1], axis=1), b.close.index, b.close.columns
    ),
    "resampled weeks, closed ones only": lambda b, n: (
        b.close > b.close.resample("W-FRI").last().shift(1).reindex(b.close.index, method="ffill")
    ),
}


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(sorted(HONEST)), window=st.integers(2, 30), seed=st.integers(0, 10**6))
def test_honest_rules_are_never_flagged(make_market, loaded, name, window, seed):
    market = make_market(paths=3, bars=30, seed=seed, volatility=0.05)
    strategy = loaded(Rule(lambda b: HONEST[name](b, window)))
    seen = probe_causality(strategy, market.ground(), market.paths, cuts=12, seed=seed)
    assert seen.leaks == ()


def test_one_path_is_enough_and_real_history_will_do(loaded):
    frame = sp500.load().iloc[-160:]
    values = frame[["Open", "High", "Low", "Close", "Volume"]].to_numpy(dtype=np.float64)
    fields = ("open", "high", "low", "close", "volume")
    history = Candles(frame.index, values, fields)
    path = PathSet.from_history(history.rows(100, 160), float(history.close[99]))
    for rule, label in ((lambda b: b.close > b.close.shift(1), "PASS"), (PLANTED["tomorrow's close"][2], "FAIL")):
        seen = probe_causality(loaded(Rule(rule)), Ground.of(history.rows(0, 100), bars_per_year=252), path)
        assert (seen.label, seen.paths) == (label, 1)


def falls_that_recover(b, ahead=5, by=-0.02):
    """Buy a fall of 2 % that is higher five bars later, and sell then."""
    bought = (b.close.pct_change() < by) & (b.close.shift(-ahead) > b.close)
    return Signals(entries=bought, exits=bought.shift(ahead, fill_value=False))


def test_a_rule_that_buys_falls_which_recover_is_caught_where_the_first_paths_have_none(sp500, loaded):
    context = sp500.split_at("2017-12-29")[0].context(128)  # no day of that half year fell by 2 %
    paths = sample(context, horizon=40, paths=256, temperature=1.3, seed=7)
    rule = loaded(Rule(falls_that_recover))
    ground = Ground.of(context, bars_per_year=252)
    fell = (np.diff(paths.closes, axis=1) / paths.closes[:, :-1] < -0.02).any(axis=1)
    paths = paths.select(paths.path_ids[np.argsort(fell, kind="stable")])  # those without a fall come first
    assert not decide(rule, bars_of(ground, paths, slice(0, 4)), ground.broker)["entries"].any()
    seen = probe_causality(rule, ground, paths)
    assert seen.label == "FAIL"
    (leak,) = seen.leaks
    assert leak.kind == NEXT
    assert 1 < leak.reach <= 5  # as far as seen: one more bar need not undo a recovery
    few = probe_causality(rule, ground, paths.first(4))
    assert (few.label, few.surveyed) == ("UNTESTABLE", 4)
    assert "never enters" in few.reason


@pytest.fixture(scope="module")
def calm_market(make_market, walk):
    """A calm context of 256 bars, and 256 paths on which one bar in a hundred falls by 2 %."""

    def made(seed):
        past = walk(np.random.default_rng(seed), 1, 256, 0.003, 0.0, 100.0)[0]
        return make_market(paths=256, bars=40, seed=seed, volatility=0.0085, context=past)

    return made


def rare_exits(b):
    rising = b.close > b.close.rolling(20).mean()
    return Signals(rising, (b.close.pct_change() < -0.02) & (b.close.shift(-3) < b.close))


def rare_shorts(b):
    never, risen = b.close < 0, (b.close.pct_change() > 0.02) & (b.close.shift(-2) < b.close)
    return Signals(never, never, risen, risen.shift(2, fill_value=False))


def out_before_crashes(b):
    rising, crash = b.close > b.close.rolling(20).mean(), b.close.shift(-1) / b.close < 0.975
    return Signals(rising & ~crash, crash)


def late_in_the_path(b):
    late = (np.arange(len(b.close)) >= len(b.close) - 8)[:, None]
    rising = b.close > b.close.rolling(5).mean()
    entries = (rising & ~late) | ((b.close.shift(-2) > b.close) & late)
    return Signals(entries, ~entries)


def rare_and_late(b):
    late = (np.arange(len(b.close)) >= len(b.close) - 12)[:, None]
    rising = b.close > b.close.rolling(5).mean()
    recovers = (b.close.pct_change() < -0.015) & (b.close.shift(-3) > b.close)
    return Signals((rising & ~late) | (recovers & late), ~rising)


@dataclass(frozen=True)
class OwnRare:
    """vectorbt code of the user's own that buys falls which recover."""

    def portfolio(self, bars, broker):
        bought = falls_that_recover(bars)
        path = slice(bars.context_bars, None)
        return vbt.Portfolio.from_signals(
            bars.close.iloc[path],
            bought.entries.iloc[path],
            bought.exits.iloc[path],
            init_cash=broker.cash,
            engine="rust",
        )


RARE = {
    "rare entries": Rule(falls_that_recover),
    "rare exits beside common entries": Rule(rare_exits),
    "rare short entries": Rule(rare_shorts),
    "out before rare crashes": Rule(out_before_crashes),
    "late in the path alone": Rule(late_in_the_path),
    "rare, and late in the path": Rule(rare_and_late),
    "rare target weights": Weigh(lambda b: falls_that_recover(b).entries.rolling(5, min_periods=1).max() * 0.5),
    "rare orders of vectorbt": OwnRare(),
}


@pytest.mark.parametrize("name", RARE)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_looks_ahead_on_rare_bars_is_caught_on_paths_where_it_speaks(calm_market, loaded, name, seed):
    market = calm_market(seed)
    seen = probe_causality(loaded(RARE[name]), market.ground(), market.paths, seed=seed)
    assert [leak.kind for leak in seen.leaks] == [NEXT]
    assert seen.turns  # what it says is cut where it says it


def test_a_rare_rule_that_does_not_look_ahead_passes_and_says_where_it_was_cut(calm_market, loaded):
    market = calm_market(1)

    def falls(b):
        fallen = b.close.pct_change() < -0.02
        return Signals(fallen, fallen.shift(5, fill_value=False))

    seen = probe_causality(loaded(Rule(falls)), market.ground(), market.paths)
    assert (seen.label, seen.leaks) == ("PASS", ())
    assert {name: count > 10 for name, count in seen.turns.items()} == {
        "entries begin": True, "entries end": True, "exits begin": True, "exits end": True,
    }  # fmt: skip
    finding = look_ahead_finding(loaded(Rule(falls)), market.ground(), market.paths)
    assert f"{seen.turns['entries begin']} where entries begin" in finding.measured


def test_what_never_comes_is_named_as_not_probed(calm_market, loaded):
    market = calm_market(1)
    held = loaded(Rule(lambda b: Signals(b.close > 0, b.close < 0)))
    seen = probe_causality(held, market.ground(), market.paths)
    assert (seen.label, seen.silent) == ("PASS", ("exits",))
    measured = look_ahead_finding(held, market.ground(), market.paths).measured
    assert measured.endswith("; exits never come on the 256 paths looked at and were not probed")


def test_an_entry_at_the_last_bar_alone_has_no_future_to_replace(probe):
    def last(b):
        at_the_end = pd.DataFrame(False, b.close.index, b.close.columns)
        at_the_end.iloc[-1] = True
        return Signals(at_the_end, ~at_the_end)

    assert probe(Rule(last)).label == "UNTESTABLE"


def test_a_strategy_that_wants_nothing_cannot_be_tested(probe):
    seen = probe(Rule(lambda b: Signals(b.close < 0, b.close < 0)))
    assert seen.label == "UNTESTABLE"
    assert "never enters on the 6 paths looked at" in seen.reason


def test_a_strategy_that_fails_on_other_bars_only_is_untestable(probe, market):
    level = market.paths.close.max() * 1.5

    def fragile(b):
        if (b.close > level).any(axis=None):
            raise ValueError("never seen such a price")
        return b.close > b.close.shift(1)

    seen = probe(Rule(fragile))
    assert seen.label == "UNTESTABLE"
    assert "never seen such a price" in seen.reason


def test_a_strategy_that_fails_on_the_bars_as_they_are_is_the_users_mistake(probe):
    with pytest.raises(StrategyError, match="returned None"):
        probe(Weigh(lambda b: None))


def test_too_few_bars_or_no_paths_are_untestable(probe, market, make_market):
    none = make_market(paths=6, bars=60).paths.select(np.array([], dtype=np.int64))
    assert probe(Rule(lambda b: b.close > 0), replace(market, paths=none)).label == "UNTESTABLE"


def test_the_verdict_depends_on_nothing_but_the_arguments(probe):
    rule = Rule(PLANTED["a z-score over everything"][2])
    assert probe(rule, seed=3) == probe(rule, seed=3)
