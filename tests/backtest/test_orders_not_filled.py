"""Orders that an account cannot fill are counted on every road, and told where there are many."""

import numpy as np
import pytest

from scenario_gen.backtest import run_backtest
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.findings import fills_finding

DEAR = Broker(cash=100_000, lot=1)


@pytest.fixture
def dear(make_market):
    """Eight paths of a share at some 828,577."""
    past = np.array([[828_000.0, 829_000.0, 827_000.0, 828_577.0, 500.0]] * 40)
    return make_market(paths=8, bars=20, seed=3, volatility=0.01, context=past)


@pytest.fixture
def run(loaded):
    def go(market, strategy, broker):
        ran = run_backtest(loaded(strategy), market.context, market.paths, broker, bars_per_year=252.0)
        return ran.metrics, fills_finding("Rule", ran.metrics, {"": market.ground(broker)})

    return go


def always(told, market, **more):
    shape = (len(market.context) + market.paths.horizon, len(market.paths))
    return told(np.ones(shape, bool), np.zeros(shape, bool), **more)


def test_a_share_dearer_than_the_cash_is_never_bought_and_that_is_told(dear, run, told):
    metrics, (finding,) = run(dear, always(told, dear), DEAR)
    assert metrics["unfilled"].tolist() == [1.0] * 8
    assert metrics["trades"].tolist() == [0.0] * 8
    assert (finding.name, finding.label) == ("fills", "WARN")
    assert finding.measured == (
        "no wanted order could be filled on any of 8 paths "
        "(one lot of 1 is worth 828,577, and the account holds 100,000)"
    )
    assert finding.evidence == [{"unfilled_share": 1.0, "paths_wanting": 8, "paths_without_a_fill": 8}]


def test_the_same_in_target_weights_and_in_short_entries(dear, run, told, weighted):
    shape = (60, 8)
    short = told(np.zeros(shape, bool), np.zeros(shape, bool), np.ones(shape, bool), np.zeros(shape, bool))
    for strategy in (weighted(np.full(shape, 0.5)), weighted(np.full(shape, -0.5)), short):
        metrics, (finding,) = run(dear, strategy, DEAR)
        assert metrics["unfilled"].tolist() == [1.0] * 8
        assert finding.label == "WARN"


def test_with_cash_or_leverage_enough_nothing_is_told(dear, run, told):
    for broker in (Broker(cash=1e9, lot=1), Broker(cash=100_000), Broker(cash=1e9, lot=1, fees=0.01, leverage=2)):
        metrics, findings = run(dear, always(told, dear), broker)
        assert metrics["unfilled"].tolist() == [0.0] * 8
        assert findings == []


def test_a_fee_beyond_the_cash_refuses_every_order(make_market, run, told):
    market = make_market(paths=4, bars=10)
    metrics, (finding,) = run(market, always(told, market), Broker(cash=1000, fee_minimum=2000))
    assert metrics["unfilled"].tolist() == [1.0] * 4
    assert "an order costs at least 2,000" in finding.measured


def test_a_share_of_the_volume_cuts_orders_and_the_share_is_exact(make_market, run, told):
    # Volumes are 100,000 to 1,000,000 units of some 100 each: a thousandth of them is a third of the account or less.
    market = make_market(paths=6, bars=10)
    entries = np.zeros((50, 6), bool)
    entries[40] = True
    strategy = told(entries, np.zeros((50, 6), bool))
    metrics, (finding,) = run(market, strategy, Broker(cash=1e6, volume_share=0.001))
    assert metrics["unfilled"].tolist() == [1.0] * 6  # one order each, and each is cut
    assert metrics["trades"].tolist() == [1.0] * 6
    assert finding.measured.startswith("100.0% of the orders wanted were cut or refused; on 0 of 6 paths none could")
    metrics, findings = run(market, strategy, Broker(cash=1e4, volume_share=0.5))
    assert metrics["unfilled"].tolist() == [0.0] * 6
    assert findings == []


def test_orders_are_counted_by_hand(make_market, run, told):
    # One path at 100: two entries of which the first finds no volume; one exit that gets all it asks for.
    bars = np.array([[100.0, 100.0, 100.0, 100.0, volume] for volume in (0.0, 1e9, 1e9, 1e9)])
    market = make_market(values=bars[None], context=np.array([[100.0, 100.0, 100.0, 100.0, 1.0]] * 3))
    entries, exits = np.zeros((7, 1), bool), np.zeros((7, 1), bool)
    entries[[2, 3]] = exits[5] = True  # filled at the opens of the path's bars 0, 1 and 3
    metrics, (finding,) = run(market, told(entries, exits), Broker(cash=1000, volume_share=0.1))
    assert metrics["unfilled"].tolist() == [pytest.approx(1 / 3)]
    assert finding.label == "WARN"


def test_rounding_to_lots_is_no_cut(make_market, run, weighted):
    market = make_market(paths=8, bars=30)
    weights = np.random.default_rng(1).uniform(0.3, 0.9, (70, 8))
    metrics, findings = run(market, weighted(weights), Broker(cash=100_000, lot=1))
    assert metrics["unfilled"].tolist() == [0.0] * 8
    assert findings == []


def test_a_short_that_the_broker_forbids_is_an_order_that_is_not_filled(make_market, run, told, weighted):
    market = make_market(paths=5, bars=10)
    nothing = np.zeros((50, 5), bool)
    short = told(nothing, nothing, ~nothing, nothing)
    for strategy in (short, weighted(np.full((50, 5), -0.5))):
        for broker in (Broker(shorts=False), Broker(shorts=False, lot=1)):
            metrics, (finding,) = run(market, strategy, broker)
            assert metrics["unfilled"].tolist() == [1.0] * 5
            assert "no short is opened (broker.shorts: false)" in finding.measured


def test_who_wants_nothing_is_told_nothing(make_market, run, told):
    market = make_market(paths=5, bars=10)
    nothing = np.zeros((50, 5), bool)
    for broker in (Broker(), DEAR):
        metrics, findings = run(market, told(nothing, nothing), broker)
        assert metrics["unfilled"].isna().all()
        assert findings == []
