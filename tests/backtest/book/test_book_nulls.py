"""A book beside equal weight and beside its own decisions of other futures."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import vectorbt as vbt

from scenario_gen.backtest import Bars, Signals
from scenario_gen.backtest.book import trade_book
from scenario_gen.backtest.book_nulls import EQUAL_WEIGHT, equal_weight, shuffled_decisions, with_book_evidence
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.result import StrategyResult
from scenario_gen.backtest.skill import skill
from scenario_gen.errors import SpecError
from scenario_gen.stats.estimate import Estimate

ASSETS = ("spx", "ndx", "btc")


@dataclass(frozen=True)
class Rising:
    """All in what rose last; with ``ahead``, in what rises next: skill that nobody has."""

    ahead: int = 0

    def weights(self, bars: Bars) -> pd.DataFrame:
        rise = bars.close.pct_change().shift(-self.ahead)
        return (rise.T.groupby(level="path_id").rank(ascending=False).T == 1) * 1.0


@dataclass(frozen=True)
class Dipped:
    """Long of each asset that fell, until it rises."""

    def signals(self, bars: Bars) -> Signals:
        fell = bars.close < bars.close.shift(1)
        return Signals(fell, ~fell)


@dataclass(frozen=True)
class Still:
    def weights(self, bars: Bars) -> pd.DataFrame:
        return bars.close * 0.0 + 0.3


@dataclass(frozen=True)
class Own:
    def portfolio(self, bars: Bars, broker: Broker) -> object:
        path = slice(bars.context_bars, None)
        groups = bars.close.columns.get_level_values("path_id")
        return vbt.Portfolio.from_orders(
            bars.close.iloc[path], size=0, init_cash=broker.cash, group_by=groups, cash_sharing=True
        )


@pytest.fixture(scope="module")
def book(make_book):
    return make_book({name: Broker(fees=0.0005) for name in ASSETS}, paths=200, bars=12, seed=21)


def test_equal_weight_is_bought_once_and_held(book):
    held = equal_weight(book.ground, book.paths)
    units = 1e5 / 3 / book.future("open")[:, 0] / 1.0005
    made = (units * book.future("close")[:, -1]).sum(axis=1)
    # The last of the purchases is cut by the fees of all, which vectorbt takes from it: .05 % of the account.
    np.testing.assert_allclose(held.result.equity[:, -1], made, rtol=6e-4)
    assert (held.result.metrics["trades"] == 3).all()


def test_equal_weight_is_bought_as_far_as_the_net_goes(make_book):
    half = make_book({name: Broker(net=0.5) for name in ASSETS}, paths=20, bars=5, seed=21)
    whole = equal_weight(replace(half.ground, broker=Broker()), half.paths).result.metrics["total_return"]
    made = equal_weight(half.ground, half.paths).result.metrics["total_return"]
    np.testing.assert_allclose(made, whole / 2, atol=1e-6)  # float32 equity


@pytest.mark.parametrize("strategy", [Rising(), Dipped()])
def test_decisions_of_other_futures_make_what_they_make_here(book, loaded, strategy):
    few = book.paths.first(6)
    null = shuffled_decisions(loaded(strategy), book.ground, few, seed=5, draws=4)
    # A future whose decisions are its own would make what the backtest makes: here none is its own.
    assert (null.owner != np.arange(6)[:, None]).all()
    own = trade_book(loaded(strategy), book.ground, few).result.metrics["total_return"].to_numpy()
    assert (np.abs(null.returns - own[:, None]) > 1e-9).mean() > 0.9


def test_shuffled_weights_by_hand(make_book, loaded, given_weights):
    # On future 0 all is in a, on future 1 all in b: on each other's they hold the other asset.
    closes = {"a": [[110.0], [90.0]], "b": [[95.0], [120.0]]}
    values = {
        name: np.array([[[100.0, max(100, c), min(100, c), c] for c in of] for of in each])
        for name, each in closes.items()
    }
    small = make_book({name: Broker() for name in "ab"}, values=values, context=np.full((3, 4), 100.0))
    weights = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    null = shuffled_decisions(loaded(given_weights(weights)), small.ground, small.paths, seed=1, draws=1)
    np.testing.assert_allclose(null.returns[:, 0], [-0.05, -0.1])
    assert null.owner[:, 0].tolist() == [1, 0]


@pytest.mark.parametrize(("ahead", "label"), [(0, "not told apart"), (1, "skilled")])
def test_only_a_book_that_knows_the_next_bar_beats_its_shuffled_decisions(book, loaded, ahead, label):
    # Bars of these markets are independent: without foresight the test calls skilled at 2.5 %; this seed does not.
    strategy = loaded(Rising(ahead))
    made = trade_book(strategy, book.ground, book.paths).result.metrics["total_return"].to_numpy()
    assert skill(made, shuffled_decisions(strategy, book.ground, book.paths, seed=1)).label == label


def known(strategy):
    """A result of which nothing but the name is known."""
    nothing = Estimate(None)
    return StrategyResult(strategy.name, strategy.use, {}, [], nothing, [], {}, {}, None, None, [])


def test_every_strategy_of_a_book_stands_beside_both(book, loaded):
    strategies = [loaded(each) for each in (Rising(1), Still(), Own())]
    few = book.paths.first(40)
    told = []
    rising, still, own = with_book_evidence(book.ground, few, strategies, [known(s) for s in strategies], told.append)
    assert (rising.nulls.label, rising.nulls.strategy_mean > rising.nulls.null_mean) == ("skilled", True)
    assert still.nulls.reason == "its decisions are the same on all futures: there is nothing to shuffle"
    assert own.nulls.reason.startswith("it fills its own orders")
    assert {pair.against for each in (rising, still, own) for pair in each.paired} == {EQUAL_WEIGHT}
    assert rising.paired[0].label == "better"
    assert rising.paired[0].win_share.value > 0.9  # fills at opens: the gap before them is not earned
    assert sum(told) == 6  # each is traded and shuffled, and its choice of parameters judged


def test_a_book_has_a_record_as_long_as_every_asset_is_warm(make_book):
    whole = make_book({name: Broker() for name in "ab"}, paths=1, bars=8, seed=3)
    past = {name: asset.context for name, asset in whole.ground.grounds.items()}  # 40 bars of each
    kept = np.delete(np.arange(40), [20, 38])  # a market that was closed twice
    past["b"] = replace(past["b"], timestamps=past["b"].timestamps[kept], values=past["b"].values[kept])
    ground = replace(
        whole.ground,
        grounds={
            name: replace(asset, history=past[name], context=past[name].rows(len(past[name]) - 10, len(past[name])))
            for name, asset in whole.ground.grounds.items()
        },
    )
    before, record = ground.record(12)
    assert list(record.timestamps) == list(past["a"].timestamps[-12:])
    assert {name: len(asset.context) for name, asset in before.grounds.items()} == {"a": 10, "b": 10}
    assert all(asset.context.timestamps[-1] < record.timestamps[0] for asset in before.grounds.values())
    assert ground.record(1000)[1].horizon == 30  # the first ten bars of each warm a strategy up
    assert whole.ground.record(12) is None  # no bars behind the context


def test_the_grid_of_a_book_is_judged_on_its_real_record(make_book, loaded):
    whole = make_book({name: Broker() for name in "ab"}, paths=60, bars=12, seed=4)
    ground = whole.ground.behind({name: asset.context.rows(30, 40) for name, asset in whole.ground.grounds.items()})
    sets = [replace(loaded(Rising(n)), name=f"r{n}", use="r", params={"ahead": n}) for n in (0, 1)]
    judged = with_book_evidence(ground, whole.paths, sets, [known(each) for each in sets], lambda many: None)
    choice = judged[0].overfitting
    assert (choice.sets, choice.history_bars) == (2, 30)
    made = [trade_book(each, *ground.record(30)).result.equity[0].astype(float) for each in sets]
    best = max(np.mean(r) / np.std(r, ddof=1) * 252**0.5 for r in (np.diff(of) / of[:-1] for of in made))
    assert choice.deflated.sharpe == pytest.approx(best, rel=1e-4)  # float32 equity; the year of these bars is 252
    assert judged[1].overfitting == choice
    # The last twelve real bars are a future of their own: what was made there stands among what the paths make.
    (marker,) = judged[0].marker
    real = trade_book(sets[0], *ground.record(12)).result.metrics["total_return"].iloc[0]
    assert (marker.stretch, marker.value, marker.percentile.n) == ("context", pytest.approx(real), 60)


def test_what_the_worst_futures_of_a_book_lost_is_booked_in_full(make_book, loaded):
    many = make_book({name: Broker(fees=0.0005, borrow=0.02) for name in ASSETS}, paths=1000, bars=6, seed=9)
    strategy = loaded(Dipped())
    (judged,) = with_book_evidence(many.ground, many.paths, [strategy], [known(strategy)], lambda number: None)
    metrics = trade_book(strategy, many.ground, many.paths).result.metrics
    worst = metrics.nsmallest(10, "total_return")  # the worst hundredth
    causes = judged.tail.causes
    assert judged.tail.paths == 1000
    # Equity is in single precision: relative errors of 6e-8.
    assert causes.loss.value == pytest.approx(-worst["total_return"].mean(), abs=1e-6)
    assert sum(cause.loss.value for cause in causes.causes) == pytest.approx(causes.loss.value, abs=1e-9)
    (fees,) = [cause for cause in causes.causes if cause.name == "costs"]
    assert fees.loss.value == pytest.approx(worst["fees"].mean(), abs=1e-9)


def test_what_cannot_be_shuffled_is_said_to_be_not_judged(book, loaded):
    with pytest.raises(SpecError, match="fills its own orders"):
        shuffled_decisions(loaded(Own()), book.ground, book.paths.first(4), seed=0)
    with pytest.raises(SpecError, match="1 paths came"):
        shuffled_decisions(loaded(Rising()), book.ground, book.paths.first(1), seed=0)
