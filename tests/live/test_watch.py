"""A strategy that keeps its promises is left alone at the stated rate; one that does not is noticed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scenario_gen.live.watch import DRIFTING, OUTSIDE, Promise, apart, band_p, evidence, rank, watch

PATHS, BARS = 199, 12


def walks(rng: np.random.Generator, count: int, drift: float = 0.0, size: float = 0.01) -> np.ndarray:
    """Return equities [path, bar + 1] of random walks, with volatility that differs between paths and in time."""
    wild = np.exp(0.5 * rng.standard_normal((count, 1)) + 0.3 * rng.standard_normal((count, BARS)))
    steps = drift + size * wild * rng.standard_normal((count, BARS))
    return np.concatenate((np.ones((count, 1)), np.exp(steps.cumsum(axis=1))), axis=1)


def promise(equity: np.ndarray, came: np.ndarray, number: int = 0) -> Promise:
    begins = pd.Timestamp("2024-01-01") + pd.Timedelta(hours=number * BARS)
    return Promise(str(begins), pd.date_range(begins, periods=BARS, freq="h"), equity, came)


def test_a_strategy_that_keeps_its_promise_leaves_its_band_at_the_stated_rate_over_all_looks():
    rng = np.random.default_rng(11)
    trials = 1000
    smallest = []
    for _ in range(trials):
        together = walks(rng, PATHS + 1)
        looks = [band_p(promise(together[:-1], together[-1][: bar + 1])) for bar in (4, 8, BARS)]
        assert looks == sorted(looks, reverse=True)  # it only grows clearer
        smallest.append(looks[-1])
    # exact rates are 2/200 = 1 % and 5/200 = 2.5 %; the bounds are three errors, so that this fails once in 400 seeds
    for rate in (OUTSIDE, DRIFTING):
        error = (rate * (1 - rate) / trials) ** 0.5
        assert np.mean(np.asarray(smallest) <= rate) == pytest.approx(rate, abs=3 * error)


def test_ranks_of_kept_promises_are_called_drifting_by_at_most_the_stated_rate_ever():
    rng = np.random.default_rng(5)
    trials, length = 4000, 300
    ranks = (rng.integers(PATHS + 1, size=(trials, length)) + 0.5) / (PATHS + 1)
    alarms = np.mean([evidence(row.tolist())[0] >= 1 / DRIFTING for row in ranks])
    error = (DRIFTING * (1 - DRIFTING) / trials) ** 0.5
    assert 0 < alarms <= DRIFTING + 3 * error


def test_a_planted_drift_that_no_band_shows_is_found_by_the_ranks_of_some_promises():
    rng = np.random.default_rng(3)
    loss = (
        0.75 * 0.01 * 1.4 / BARS**0.5
    )  # per bar: three quarters of a deviation per promise, whose bars are 1.4 % wide
    held = [promise(walks(rng, PATHS), walks(rng, 1, drift=-loss)[0], number) for number in range(50)]
    watched = watch("loser", held, seed=1)
    assert (watched.course, watched.direction, watched.finished) == ("drifting", "below", 50)
    assert watched.band_p is not None and watched.band_p > DRIFTING  # the band of the last promise shows nothing
    # such a loss passes 40 after 27 promises in the median, and within 45 in nine cases of ten (200 simulated)
    at = [evidence([rank(each, 1, number) for number, each in enumerate(held[:count])])[0] for count in (10, 45)]
    assert at[0] < 1 / DRIFTING < at[1]


def test_an_equity_beyond_all_promised_paths_is_outside_and_one_among_them_is_consistent():
    rng = np.random.default_rng(7)
    paths = walks(rng, PATHS)
    crash = np.ones(4)
    crash[-1] = 0.7  # ten deviations of three bars
    watched = watch("crash", [promise(paths, crash)], seed=1)
    assert watched.course == "outside"
    assert watched.band_p == pytest.approx(1 / (PATHS + 1))
    assert "at most 1%" in watched.words
    middle = watch("middle", [promise(paths, np.median(paths, axis=0))], seed=1)
    assert middle.course == "consistent"
    assert middle.bands["0.5"] == pytest.approx(middle.equity)


def test_nothing_is_said_of_few_paths_or_before_a_bar_came():
    rng = np.random.default_rng(7)
    assert watch("young", [promise(walks(rng, PATHS), np.ones(1))], seed=1).course == "undecided"
    few = watch("few", [promise(walks(rng, 50), np.array([1.0, 0.1]))], seed=1)
    assert few.course == "undecided"
    assert "50 paths" in few.words
    assert watch("new", [], seed=1).course == "undecided"


def test_a_strategy_that_never_trades_is_consistent_until_it_moves():
    flat = np.ones((PATHS, BARS + 1))
    held = [promise(flat, np.ones(BARS + 1), number) for number in range(50)]
    still = watch("idle", held, seed=1)
    assert still.course == "consistent"  # ties are broken by chance, so that fifty of them are no drift
    assert still.band_p == 1.0
    moved = np.ones(BARS + 1)
    moved[-1] = 0.999
    assert watch("idle", [promise(flat, moved)], seed=1).course == "outside"


def test_promises_that_share_bars_are_not_counted_twice():
    rng = np.random.default_rng(2)
    paths = walks(rng, PATHS)
    hourly = [
        Promise(
            str(hour),
            pd.date_range(pd.Timestamp("2024-01-01") + pd.Timedelta(hours=hour), periods=BARS, freq="h"),
            paths,
            paths[0],
        )
        for hour in range(2 * BARS + 1)
    ]
    assert [each.timestamps[0].hour for each in apart(hourly)] == [0, 12, 0]


def test_the_equity_of_another_start_is_compared_as_growth():
    rng = np.random.default_rng(2)
    together = walks(rng, PATHS + 1)
    small, large = promise(together[:-1], together[-1]), promise(10_000 * together[:-1], 250_000 * together[-1])
    assert band_p(small) == band_p(large)
    assert rank(small, 1, 0) == rank(large, 1, 0)


def test_evidence_of_ranks_worked_by_hand():
    # three ranks at the middle leave every bet as it was
    assert evidence([0.5, 0.5, 0.5]) == (1.0, "")
    # u = 1: stakes s win 1 + s above and 1 - s below: the mean of both is 1
    assert evidence([1.0])[0] == pytest.approx(1.0)
    # twice: mean over s of ((1 + s)^2 + (1 - s)^2) / 2 = 1 + mean s^2 = 1 + (1/64 + 1/16 + 1/4 + 9/16) / 4
    assert evidence([1.0, 1.0]) == (pytest.approx(1 + (1 / 64 + 1 / 16 + 1 / 4 + 9 / 16) / 4), "above")


def test_equities_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        promise(np.ones((PATHS, BARS)), np.ones(3))
    with pytest.raises(ValueError, match="zero or less"):
        promise(np.zeros((PATHS, BARS + 1)), np.ones(3))
