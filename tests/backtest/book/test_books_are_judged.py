"""What is asked of a strategy of one asset is asked of one of a book: the future, the context, the order in bars."""

from dataclasses import dataclass, replace

import pandas as pd
import pytest

from scenario_gen.backtest import Bars, Signals
from scenario_gen.backtest.book import BookGround, trade_book
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.findings import ask_strategy
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.probe import probe_causality
from scenario_gen.backtest.reruns import intrabar_orders, warm_up

ASSETS = ("spx", "ndx", "btc")


@dataclass(frozen=True)
class Strongest:
    """All in the asset that rose most; with ``ahead``, in the one that will; with ``lent``, of the path beside it."""

    ahead: int = 0
    lent: bool = False
    memory: int = 10

    def weights(self, bars: Bars) -> pd.DataFrame:
        rise = bars.close.pct_change(self.memory).shift(-self.ahead)
        ranks = rise.T.groupby(level="path_id").rank(ascending=False).T
        held = (ranks == 1) * 1.0
        return held.shift(3, axis=1).fillna(0.0) if self.lent else held


@dataclass(frozen=True)
class Bracketed:
    """Long of each asset that fell, with a stop and a target close by."""

    def signals(self, bars: Bars) -> Signals:
        fell = bars.close < bars.close.shift(1)
        return Signals(fell, fell & False, stop_loss=0.01, take_profit=0.01)


@pytest.fixture(scope="module")
def book(make_book):
    return make_book({name: Broker() for name in ASSETS}, paths=24, bars=30, seed=11)


def test_a_book_that_looks_at_all_its_assets_up_to_now_passes(book, loaded):
    found = probe_causality(loaded(Strongest()), book.ground, book.paths)
    assert found.label == "PASS"
    assert found.paths > 10
    assert found.turns["weights begin"] > 10


@pytest.mark.parametrize(
    ("strategy", "kind"), [(Strongest(ahead=1), "reads the next bars"), (Strongest(lent=True), "reads other paths")]
)
def test_the_probe_finds_a_book_that_knows_too_much(book, loaded, strategy, kind):
    found = probe_causality(loaded(strategy), book.ground, book.paths)
    assert found.label == "FAIL"
    assert found.leaks[0].kind == kind
    assert found.leaks[0].field == "weights"
    if kind == "reads the next bars":
        assert found.leaks[0].reach == 1


def test_one_other_asset_read_ahead_is_enough_to_fail(book, loaded):
    @dataclass(frozen=True)
    class Leader:
        """Buy spx when btc will rise tomorrow."""

        def weights(self, bars: Bars) -> pd.DataFrame:
            held = bars.close * 0.0
            btc = bars.close.xs("btc", axis=1, level="asset")
            held.loc[:, pd.IndexSlice[:, "spx"]] = (btc.shift(-1) > btc).to_numpy() * 1.0
            return held

    found = probe_causality(loaded(Leader()), book.ground, book.paths)
    assert [leak.kind for leak in found.leaks] == ["reads the next bars"]


def test_a_book_that_remembers_more_than_its_context_is_told(book, loaded):
    short, long = (warm_up(loaded(Strongest(memory=bars)), book.ground, book.paths) for bars in (10, 38))
    assert short.less == 0.0
    assert long.less is not None
    assert long.less > 0.01
    assert short.more is None  # no older bars are known


def test_older_bars_of_every_asset_lengthen_the_context(book, loaded):
    def shorter(ground: Ground) -> Ground:
        return replace(ground, context=ground.context.rows(20, 40))

    ground = BookGround.of({name: shorter(each) for name, each in book.ground.grounds.items()})
    assert warm_up(loaded(Strongest(memory=10)), ground, book.paths).more == 0.0
    assert (warm_up(loaded(Strongest(memory=22)), ground, book.paths).more or 0.0) > 0.01


def test_stop_and_target_in_one_bar_are_tried_in_both_orders(book, loaded):
    orders = intrabar_orders(loaded(Bracketed()), book.ground, book.paths)
    run = trade_book(loaded(Bracketed()), book.ground, book.paths).result
    assert orders is not None
    pd.testing.assert_frame_equal(orders.worst, run.metrics, rtol=1e-9, atol=1e-12)
    assert orders.trades == len(run.trades)
    assert orders.ambiguous > 0
    worst, chance, best = (each["total_return"].mean() for each in (orders.worst, orders.random, orders.best))
    assert worst < chance < best


def test_a_book_gets_the_findings_of_one_asset(book, loaded):
    warm, findings = ask_strategy(loaded(Strongest()), book.ground, book.paths, scenario="base")
    assert [finding.name for finding in findings] == ["look_ahead", "warm_up"]
    assert [finding.label for finding in findings] == ["PASS", "PASS"]
    assert warm.paths == 24
