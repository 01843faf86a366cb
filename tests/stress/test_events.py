"""Events of a spec: what is refused, what they count on paths worked by hand, and what their scores say bar by bar."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from scenario_gen.errors import SpecError
from scenario_gen.reading.section import section_of
from scenario_gen.stress.event import Event, Sampler
from scenario_gen.stress.events import KAPPA, MONITORED, Outset, score_of

OUTSET = Outset(anchor=100.0, variance=0.01**2, horizon=4, bars_per_year=252.0)


def _paths(*closes: list[float]) -> np.ndarray:
    return np.repeat(np.array(closes, dtype=np.float32)[..., None], 4, axis=-1)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"functional": "max_drawdown"}, "max_drawdown has no threshold, expected at_least alone"),
        (
            {"functional": "max_drawdown", "at_least": 25},
            "at_least is 25, expected a share of the price between 0 and 1",
        ),
        ({"functional": "max_drawdown", "at_least": 0.0}, "expected a share of the price between 0 and 1"),
        ({"functional": "max_drawdown", "at_most": -0.2}, "max_drawdown has at_most, expected at_least alone"),
        ({"functional": "terminal_return", "at_least": 0.1, "at_most": -0.1}, "has at_least and at_most"),
        ({"functional": "terminal_return", "at_most": 0.05}, "the event would have happened before the first bar"),
        ({"functional": "terminal_return", "at_most": -1.0}, "expected a fall between -1 and 0"),
        ({"functional": "terminal_return", "at_least": -0.1}, "for a fall write at_most"),
        ({"functional": "realised_vol", "at_least": 45.0}, "expected a volatility per year, up to 10"),
        ({"functional": "drawdown", "at_least": 0.2}, "did you mean 'max_drawdown'"),
        ({"functional": "max_drawdown", "at_least": 0.2, "atleast": 1}, "unknown key"),
        ({"functional": "strategy_loss", "at_least": 0.2}, "no strategy, expected a strategy whose account it is"),
        ({"functional": "max_drawdown", "at_least": 0.2, "strategy": "A"}, "a strategy, expected none"),
        ({"functional": "strategy_loss", "at_most": -0.2, "strategy": "A"}, "at_most, expected at_least alone"),
        (
            {"functional": "strategy_drawdown", "at_least": 15, "strategy": "A"},
            "a share of the account between 0 and 1",
        ),
    ],
)
def test_an_event_that_says_too_little_or_too_much_is_refused(written: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as refused:
        section_of(Event, written, "event")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"islands": [16, 8]}, "expected two numbers in order"),
        ({"islands": [1, 1]}, "from 2 up to"),
        ({"kill": 1.0}, "kill"),
        ({"island": 8}, "island"),
        ({"method": "tilting"}, "method"),
    ],
)
def test_a_sampler_that_cannot_work_is_refused(written: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        section_of(Sampler, written, "sampler")


def test_events_count_what_they_say_on_paths_worked_by_hand() -> None:
    paths = _paths([110, 88, 99, 100], [95, 90, 85, 80], [100, 100, 100, 130])
    drawdown = score_of(Event(functional="max_drawdown", at_least=0.2), OUTSET)(paths)
    np.testing.assert_allclose(drawdown.measure, [0.2, 0.2, 0.0], atol=1e-7)  # of closes, the last real one included
    fall = score_of(Event(functional="terminal_return", at_most=-0.15), OUTSET)(paths)
    np.testing.assert_allclose(fall.measure, [0.0, 0.2, -0.3], atol=1e-7)  # larger is further: how much is lost
    assert fall.happened.tolist() == [False, True, False]
    gain = score_of(Event(functional="terminal_return", at_least=0.2), OUTSET)(paths)
    assert gain.happened.tolist() == [False, False, True]
    bar = score_of(Event(functional="bar_return", at_most=-0.18), OUTSET)(paths)
    assert bar.happened.tolist() == [True, False, False]
    np.testing.assert_allclose(bar.measure[:2], [0.2, 1 - 80 / 85], atol=1e-7)
    volatile = score_of(Event(functional="realised_vol", at_least=1.0), OUTSET)(paths)
    by_hand = np.sqrt(np.mean(np.diff(np.log([100, 110, 88, 99, 100])) ** 2) * 252)
    assert volatile.measure[0] == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize(
    "event",
    [
        Event(functional="max_drawdown", at_least=0.15),
        Event(functional="terminal_return", at_most=-0.1),
        Event(functional="terminal_return", at_least=0.1),
        Event(functional="realised_vol", at_least=0.6),
        Event(functional="bar_return", at_most=-0.08),
    ],
)
def test_a_score_reads_the_bars_so_far_and_is_infinite_wherever_the_event_happened(event: Event) -> None:
    rng = np.random.default_rng(3)
    closes = 100 * np.exp(np.cumsum(0.05 * rng.standard_normal((400, 12)), axis=1))
    paths, changed = _paths(*closes), _paths(*closes)
    changed[:, 7:] *= 0.7
    score = score_of(event, Outset(100.0, 0.05**2, 12, 252.0))
    before, after = score(paths), score(changed)
    np.testing.assert_array_equal(before.running[:, :7], after.running[:, :7])
    assert 20 < before.happened.sum() < 400
    assert np.isposinf(before.running[before.happened]).any(axis=1).all()
    beyond = before.measure >= abs(event.threshold)
    assert np.array_equal(beyond, before.happened)


def test_the_drawdowns_score_is_the_chance_that_a_random_walk_still_falls_so_far() -> None:
    running = score_of(Event(functional="max_drawdown", at_least=0.2), OUTSET)(_paths([100, 95, 95, 95])).running[0]
    variance = 0.01**2
    for close, before in ((100, 100), (95, 100)):
        variance = 0.94 * variance + 0.06 * np.log(close / before) ** 2
    further = -np.log(0.8) + MONITORED * variance**0.5
    scale, fall = KAPPA * (2 * variance) ** 0.5, np.log(100 / 95)
    by_hand = np.log(2 * norm.cdf((fall - further) / scale) + 2 * norm.cdf(-(fall + further) / scale))
    assert running[1] == pytest.approx(by_hand, rel=1e-5)
    assert np.isneginf(running[3])  # no bar is left


def test_events_are_told_in_words() -> None:
    assert Event(functional="max_drawdown", at_least=0.25).in_words == "drawdown of 25 % or more"
    assert Event(functional="terminal_return", at_most=-0.3).in_words == "loss of 30 % or more at the end"
    assert Event(functional="bar_return", at_least=0.125).in_words == "rise of 12.5 % or more in one bar"
    assert Event(functional="strategy_loss", strategy="Hold", at_least=0.15).in_words == "Hold loses 15 % or more"
