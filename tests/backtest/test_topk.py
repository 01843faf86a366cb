"""The top-K portfolio: Qlib's rule worked by hand, what cannot be traded, and the account against vectorbt's."""

from __future__ import annotations

import numpy as np
import pytest

from scenario_gen.backtest.topk import Desk, DeskTerms, Tape, even_out, exchange, topk_dropout, trade


def scores(**names: float) -> np.ndarray:
    return np.array([names.get(name, np.nan) for name in "abcdef"])


def test_an_empty_portfolio_buys_the_best_and_no_more_than_the_top() -> None:
    assert topk_dropout(scores(a=1, b=5, c=3, d=4, e=2), [], 3, 1) == ([], [1, 3, 2])


def test_the_worst_of_held_and_new_are_exchanged_as_qlibs_docs_work_it_out() -> None:
    # held b, d, c (5, 4, 3); new is only the best other, e (6): of b, c, d, e the worst is c, which is sold for e
    assert topk_dropout(scores(a=1, b=5, c=3, d=4, e=6), [1, 3, 2], 3, 1) == ([2], [4])
    # the best other, a (1), is the worst of the four: it is not bought, and nothing is sold
    assert topk_dropout(scores(a=1, b=5, c=3, d=4), [1, 3, 2], 3, 1) == ([], [])
    # two may go: new a, e (7, 6); of all five the worst are c (3) and d (4)
    assert topk_dropout(scores(a=7, b=5, c=3, d=4, e=6), [1, 3, 2], 3, 2) == ([3, 2], [0, 4])


def test_a_name_held_without_a_score_is_the_first_to_go_and_a_gap_is_filled() -> None:
    assert topk_dropout(scores(b=5, d=4, e=6), [1, 3, 2], 3, 1) == ([2], [4])
    assert topk_dropout(scores(a=2, b=5, d=4, e=6), [1, 3], 3, 1) == ([], [4])  # of a, b, d, e the worst is not held


@pytest.fixture(scope="module")
def tape() -> Tape:
    rng = np.random.default_rng(8)
    close = 50 * np.exp(np.cumsum(0.02 * rng.standard_normal((60, 12)), axis=0))
    opened = close * np.exp(0.005 * rng.standard_normal(close.shape))
    for bar, name in ((20, 3), (21, 3), (35, 7), (40, 1)):
        opened[bar, name] = close[bar, name] = np.nan
    return Tape(opened, close, np.arange(60))


TERMS = DeskTerms(cash=100_000, commission=0.0003, slippage=0.0005, stamp_duty=0.001, price_limit=0.03)


@pytest.mark.parametrize("rule", [lambda *at: exchange(*at, 4, 2), even_out])
def test_vectorbt_fills_what_was_wished_for_to_the_last_cent(tape: Tape, rule) -> None:
    rng = np.random.default_rng(9)
    ranked = [(bar, rng.standard_normal(12)) for bar in range(10, 55, 5)]
    account = trade(tape, ranked, TERMS, rule, 59)
    assert account is not None
    desk = Desk(tape, TERMS)
    for bar, score in ranked:
        rule(desk, bar + 1, score)
    # float64 over some 60 fills of 1e5: 1e-9 of the account
    assert account.value[-1] == pytest.approx(desk.cash + desk.amount @ desk.marked[-1], rel=1e-9)
    assert account.orders == int(np.isfinite(desk.size).sum())
    assert account.bars[0] == 11


def test_the_account_of_two_names_worked_by_hand() -> None:
    # bar 0 ranks a first; bought at bar 1's open of 10 for 95 % of 1,000 at 1 % commission: 94.0594 shares.
    # bar 2 ranks b first; at bar 3 a is sold at 12 with 1 % commission and 1 % duty: 1,128.713 x .98 = 1,106.139, and
    # b bought for 95 % of 1,156.139 at 20: 1,098.332 / 20.2 = 54.3729 shares, 21 each at the close of bar 3.
    opened = np.array([[10.0, 20], [10, 20], [11, 20], [12, 20]])
    close = np.array([[10.0, 20], [11, 20], [12, 20], [12, 21]])
    terms = DeskTerms(cash=1000, commission=0.01, stamp_duty=0.01)
    ranked = [(0, np.array([2.0, 1])), (2, np.array([1.0, 2]))]
    account = trade(Tape(opened, close, np.arange(4)), ranked, terms, lambda *at: exchange(*at, 1, 1), 3)
    assert account is not None
    assert account.value == pytest.approx([50 + 94.0594 * 11, 50 + 94.0594 * 12, 57.8069 + 54.3729 * 21], abs=0.01)
    assert account.turnover[1] == pytest.approx((1128.713 + 1087.458) / 2 / account.value[-1], abs=1e-5)
    assert account.costs == pytest.approx(9.406 + 22.574 + 10.875, abs=0.01)


def test_what_is_suspended_at_its_limit_or_bought_today_is_left_for_the_next_time() -> None:
    opened = np.full((6, 2), 10.0)
    close = np.full((6, 2), 10.0)
    opened[1, 0] = 11.0  # up by the limit: cannot be bought
    opened[3, 0], close[3, 0] = np.nan, np.nan  # suspended: cannot be sold
    opened[4, 0] = 9.0  # down by the limit: cannot be sold either
    first, second = np.array([2.0, 1]), np.array([1.0, 2])
    ranked = [(0, first), (1, first), (2, second), (3, second), (4, second)]
    terms = DeskTerms(cash=1000, price_limit=0.1)
    account = trade(Tape(opened, close, np.arange(6)), ranked, terms, lambda *at: exchange(*at, 1, 1), 5)
    assert account is not None
    assert (account.refused.at_limit, account.refused.suspended) == (2, 1)
    same_day = Tape(np.full((4, 2), 10.0), np.full((4, 2), 10.0), np.array([0, 1, 1, 2]))
    later = [(0, first), (1, second), (2, second)]
    terms = DeskTerms(cash=1000, t_plus_one=True)
    account = trade(same_day, later, terms, lambda *at: exchange(*at, 1, 1), 3)
    assert account is not None
    assert account.refused.bought_today == 1
    assert account.held == (1,)
