"""Answers to shocks: the closed form of GARCH, no answer of a Brownian motion, and what history shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scenario_gen.generators.draws import Draws
from scenario_gen.generators.filtered import GarchPaths, fit_garch
from scenario_gen.generators.gbm import GbmPaths
from scenario_gen.market import Candles, load_candles
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Scale
from scenario_gen.stats.estimate import Estimate
from scenario_gen.stress.crises import ContextShock
from scenario_gen.stress.response import (
    Impulse,
    PastResponse,
    ShockResponse,
    expected_squares,
    impulses,
    past_response,
    response_findings,
    unread_bars,
)
from scenario_gen.stress.shocked import shocked

GAP = ContextShock(kind="gap", size=-0.03)


@pytest.fixture(scope="module")
def history() -> Candles:
    return load_candles("sp500").split_at("2017-06-30")[0]


@pytest.fixture(scope="module")
def stamps(history: Candles) -> pd.DatetimeIndex:
    return BarCalendar.infer(history.timestamps, "XNYS").future(20)


def test_garch_answers_as_its_closed_form_says(history: Candles, stamps: pd.DatetimeIndex) -> None:
    after = shocked(history, [GAP])
    fit = fit_garch(after, asymmetric=False, most=1000)
    paths = GarchPaths(fit=fit).sample(after.context(256), stamps, Draws.block(3, 0, 8000))
    closes = np.concatenate((np.full((8000, 1), paths.anchor_close), paths.close.astype(np.float64)), axis=1)
    squares = np.diff(np.log(closes), axis=1) ** 2
    # Four standard errors at each of twenty bars: a false alarm in one run of eight hundred.
    error = squares.std(axis=0, ddof=1) / np.sqrt(8000)
    assert (np.abs(squares.mean(axis=0) - expected_squares(fit, 20)) < 4 * error).all()


def test_the_closed_form_returns_to_the_level_geometrically(history: Candles) -> None:
    fit = fit_garch(history, asymmetric=False, most=1000)
    recursion, innovations = fit.filtered.recursion, fit.filtered.units[:, 3]
    kept = recursion.persistence(innovations)
    level = recursion.omega / (1 - kept)
    expected = level + kept ** np.arange(30) * (fit.filtered.variance - level)
    np.testing.assert_allclose(expected_squares(fit, 30), expected * np.mean(innovations**2), rtol=1e-9)


def response_of(history: Candles, answers: list[Impulse], size: float = -5.0, **changes: int) -> ShockResponse:
    past = past_response(history, falls=True)
    response = ShockResponse(["gap"], "frozen", 400, size, 1.0, 1, 0, answers, [0.0], [], past)
    return replace(response, **changes)  # type: ignore[arg-type]


def test_a_brownian_motion_does_not_answer_and_is_told_so(history: Candles, stamps: pd.DatetimeIndex) -> None:
    context = history.context(256)
    after = shocked(context, [GAP])
    draws = Draws.block(3, 0, 400)
    frozen = GbmPaths().in_units_of(context)
    pair = frozen.sample(after, stamps, draws), GbmPaths().sample(context, stamps, draws)
    answers, volatility = impulses(*pair, Scale.of(context))
    np.testing.assert_allclose(volatility, 0, atol=1e-4)  # float32 of prices
    read, answer = response_findings("x", response_of(history, answers))
    assert (read.label, read.name) == ("PASS", "context_in_distribution")
    assert (answer.label, answer.name) == ("FAIL", "shock_response")
    assert answer.measured.startswith("no response: ")
    # Without frozen units its volatility is measured with the jump in it: mechanics, and no answer.
    _, refit = impulses(GbmPaths().sample(after, stamps, draws), pair[1], Scale.of(context))
    mechanics = np.log(np.diff(np.log(after.close)).std() / np.diff(np.log(context.close)).std())
    # The gap alone is louder, so pairs differ: 8,000 squares of each have a relative error of sqrt(2 / 8000), .016.
    assert np.mean(refit) == pytest.approx(mechanics, abs=0.03)


def test_garch_answers_within_what_history_shows(history: Candles, stamps: pd.DatetimeIndex) -> None:
    draws, context = Draws.block(3, 0, 400), history.context(256)
    after = shocked(history, [ContextShock(kind="gap", size=-0.025)])  # five deviations of the last 60 bars
    pair = [GarchPaths().fitted_to(bars).sample(bars.context(256), stamps, draws) for bars in (after, history)]
    answers, _ = impulses(pair[0], pair[1], Scale.of(context))
    _, answer = response_findings("x", response_of(history, answers, size=-5.0))
    assert answer.label == "PASS"
    apart = next(each for each in answers if each.key == "return")
    assert len(apart.mean) == len(apart.error) == 20


def test_history_after_bars_of_three_deviations_by_a_plain_loop(history: Candles) -> None:
    past = past_response(history, falls=True)
    assert past is not None
    returns = np.diff(np.log(history.close))
    ranges = np.log(history.log_steps[:, 1] - history.log_steps[:, 2] + Scale.of(history).least_range)
    events, last = [], -99
    for at in range(60, len(returns) - 20):
        if returns[at] < -3 * returns[at - 60 : at].std() and at - last >= 20:
            events.append(at)
            last = at
    assert past.events == len(events)
    plain = np.mean([ranges[at + 1 : at + 21] - ranges[at - 60 : at].mean() for at in events], axis=0)
    np.testing.assert_allclose(past.mean, plain, rtol=1e-4)
    assert all(low < middle < high for low, middle, high in zip(past.low, past.mean, past.high, strict=True))
    assert past_response(history.rows(0, 300), falls=True) is None


def told(low: float, high: float, size: float, shock: str = "gap") -> str:
    past = PastResponse(30, 4.0, 8.0, [0.5], [0.4], [0.6], Estimate(0.5, 0.4, 0.6, n=30))
    own = Impulse("log_range", [0.0], [0.0], Estimate((low + high) / 2, low, high, n=100))
    response = ShockResponse([shock], "frozen", 100, size, 1.0, 1, 0, [own], [0.0], [], past)
    return response_findings("x", response)[1].label


def test_labels_follow_the_band_of_history() -> None:
    assert told(-0.01, 0.02, -5) == "FAIL"
    assert told(0.1, 0.2, -5) == "WARN"
    assert told(0.35, 0.45, -5) == "PASS"
    assert told(0.7, 0.9, -5) == "WARN"
    assert told(0.7, 0.9, -20) == "INCONCLUSIVE"  # history has no such bar
    assert told(0.7, 0.9, -5, "liquidity times 0.1") == "UNTESTABLE"
    alone = ShockResponse(["gap"], "frozen", 100, -5, 1.0, 1, 0, [], [], [], None)
    assert response_findings("x", alone)[1].label == "UNTESTABLE"


def test_what_a_model_cannot_read_is_a_warning_and_all_of_it_a_failure(history: Candles) -> None:
    assert unread_bars(np.array([True, False, True]), 2) == 1
    assert response_findings("x", response_of(history, [], shocked=2, unread=1))[0].label == "WARN"
    all_of_it = response_findings("x", response_of(history, [], shocked=2, unread=2))[0]
    assert (all_of_it.label, all_of_it.measured[:31]) == ("FAIL", "the model cannot read this shoc")
