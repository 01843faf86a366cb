"""How decisions depend on the length of the context, for rules whose memory is known."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from scenario_gen.backtest import Signals, warm_up
from scenario_gen.market.candles import Candles


@dataclass(frozen=True)
class Average:
    """Long above an average of closes; ``bars`` of memory, or an endless one."""

    bars: int = 0

    def signals(self, bars):
        mean = bars.close.expanding().mean() if not self.bars else bars.close.rolling(self.bars).mean()
        return Signals(bars.close > mean, bars.close <= mean)


@dataclass(frozen=True)
class Needs:
    """Refuses to work on fewer bars."""

    least: int

    def signals(self, bars):
        if bars.context_bars < self.least:
            raise ValueError(f"needs {self.least} bars")
        return Average(5).signals(bars)


def table(market, loaded, instance, older=None):
    ground = market.ground()
    if older is not None:
        stamps = older.timestamps.append(market.context.timestamps)
        values = np.concatenate([older.values, market.context.values])
        ground = replace(ground, history=Candles(stamps, values, market.context.fields))
    return warm_up(loaded(instance), ground, market.paths)


def test_a_rule_that_is_warm_does_not_notice_the_length(make_market, loaded):
    seen = table(make_market(paths=5, bars=20), loaded, Average(20))
    assert (seen.less, seen.more, seen.fields) == (0.0, None, {})
    assert (seen.context_bars, seen.paths) == (40, 5)


def test_a_window_that_does_not_fit_any_more_changes_exactly_the_bars_it_lacks(make_market, loaded):
    # 40 bars less a quarter are 30: a window of 35 is full five bars later than before; until then the comparison
    # with NaN says no to entry and exit, while one of the two was true. 21 decisions a path: the last context
    # bar (29 bars seen: NaN) and 20 bars; full from the 35th bar of 50 on, so the bars 29 to 33 counted from 0.
    seen = table(make_market(paths=5, bars=20), loaded, Average(35))
    assert seen.less == pytest.approx(5 / 21)
    assert set(seen.fields) == {"entries", "exits"}


def test_an_endless_memory_is_seen_and_older_bars_are_used_where_there_are_some(make_market, loaded):
    market = make_market(paths=20, bars=20, seed=3)
    older = make_market(seed=9).context
    seen = table(market, loaded, Average(), older=older)
    assert 0 < seen.less < 1
    assert 0 < seen.more < 1
    assert table(market, loaded, Average(10), older=older).more == 0.0
    short = older.rows(35, 40)  # five bars are no quarter of forty
    assert table(market, loaded, Average(), older=short).more is None


def test_a_strategy_that_cannot_work_with_less_is_told(make_market, loaded):
    seen = table(make_market(paths=2), loaded, Needs(35))
    assert seen.less is None
    assert "needs 35 bars" in seen.failed


def test_numbers_that_differ_by_less_than_a_thousandth_are_the_same_decision(make_market, loaded):
    @dataclass(frozen=True)
    class Weigh:
        span: int

        def weights(self, bars):
            mean = bars.close.ewm(span=self.span, adjust=False).mean()
            return (0.5 * mean / bars.close).clip(0, 1)

    market = make_market(paths=5, bars=20, seed=2)
    # With a span of 4 the weight of what came before the last 30 bars is (3/5)^30 = 2e-7; with 40, (39/41)^30 = .2.
    assert table(market, loaded, Weigh(4)).less == 0.0
    assert table(market, loaded, Weigh(40)).less > 0.5
    assert np.isfinite(table(market, loaded, Weigh(40)).fields["weights"][0])
