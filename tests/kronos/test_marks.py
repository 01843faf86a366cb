"""Marks say of the next bar what its market's clock says, from times alone; only models that have them read them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from scenario_gen.kronos.config import ModelConfig
from scenario_gen.kronos.model import STAMP_FIELDS, Kronos
from scenario_gen.kronos.representation import FAR, MARK_FIELDS, OUT_OF_SIGHT, mark_features, time_marks

ELAPSED, QUARTER, OPENED, CLOSES, SIZE = range(5)


def _sessions(days: int = 3) -> np.ndarray:
    """Half-hour bars from 09:30 to 15:30, 13 a day."""
    opens = pd.bdate_range("2024-03-05", periods=days) + pd.Timedelta(hours=9, minutes=30)
    return np.concatenate([pd.date_range(one, periods=13, freq="30min").as_unit("ns").asi8 for one in opens])


def test_the_last_bar_of_a_session_knows_of_the_night_and_of_the_open_after_it() -> None:
    marks = time_marks(_sessions())
    assert marks[12].tolist() == [10, 38, 0, 12, 5]  # 18 h are 36 bars; 09:30 is quarter 38; twelve more bars come
    assert marks[24].tolist() == [0, 62, 25, 0, 5]  # the next bar is the last: six hours after the open


def test_what_lies_outside_of_the_bars_that_are_seen_is_not_guessed() -> None:
    marks = time_marks(_sessions())
    assert set(marks[:12, OPENED]) == {OUT_OF_SIGHT}
    assert marks[-3:, CLOSES].tolist() == [FAR, FAR, FAR]
    assert OUT_OF_SIGHT not in marks[12:, OPENED]


def test_a_market_without_nights_opens_with_the_day() -> None:
    marks = time_marks(pd.date_range("2024-03-02", periods=72, freq="h").as_unit("ns").asi8)
    assert np.flatnonzero(marks[:, OPENED] == 0).tolist() == [23, 47, 71]
    assert set(marks[:, ELAPSED]) == {0}


def test_lunch_does_not_end_a_session() -> None:
    day = pd.Timestamp("2024-03-04 09:30")
    morning = pd.date_range(day, periods=8, freq="15min")
    afternoon = pd.date_range(day + pd.Timedelta(hours=3, minutes=30), periods=8, freq="15min")
    marks = time_marks(morning.append(afternoon).as_unit("ns").asi8)
    assert 0 not in marks[:-1, OPENED]
    assert marks[7, ELAPSED] > 0


def test_daily_bars_are_sessions_of_their_own_and_see_the_weekend() -> None:
    marks = time_marks(pd.bdate_range("2024-03-04", periods=10).as_unit("ns").asi8)
    assert not marks[:, [OPENED, CLOSES]].any()
    assert np.flatnonzero(marks[:, ELAPSED]).tolist() == [4]
    assert set(marks[:, SIZE]) == {10}


def test_every_mark_has_a_place_in_its_table() -> None:
    rng = np.random.default_rng(5)
    for scale in (1e6, 6e10, 3.6e12, 8.64e13, 6e14, 3e16):
        times = np.cumsum(rng.exponential(scale, 200).astype(np.int64) + 1)
        marks = mark_features(times, np.array([1e-9, 1e-6, 0.01, 50.0]))
        assert marks.shape == (4, 200, len(MARK_FIELDS))
        assert marks.min() >= 0
        assert (marks.reshape(-1, len(MARK_FIELDS)).max(0) < [count for _, count in MARK_FIELDS]).all()


def test_only_a_model_with_marks_reads_them() -> None:
    plain, marked = (Kronos(ModelConfig(1, 16, 2, 32, 3, 3, marks=marks)).eval() for marks in (False, True))
    tokens = torch.zeros((1, 4), dtype=torch.int64)
    stamps = torch.ones((1, 4, len(STAMP_FIELDS) + len(MARK_FIELDS)), dtype=torch.int64)
    other = stamps.clone()
    other[..., -1] = 2  # of another volatility
    same = [torch.equal(m.states(tokens, tokens, stamps), m.states(tokens, tokens, other)) for m in (plain, marked)]
    assert same == [True, False]
    assert "time_emb.volatility_embed.weight" not in plain.state_dict()
