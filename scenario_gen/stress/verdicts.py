"""What is said of an event's probability: under other generators, in history, and how far the figure is to be trusted.

Owns the result of an event as a run keeps it, the count in history and the findings. Samples nothing itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from scenario_gen.backtest.limits import judge_figure
from scenario_gen.finding import (
    EVENT_CROSS_CHECK,
    EVENT_GENEALOGY,
    EVENT_IN_HISTORY,
    EVENT_MODELS_AGREE,
    EVENT_PROBABILITY,
    Finding,
    Label,
)
from scenario_gen.market.candles import Candles, volatility
from scenario_gen.market.paths import PathSet
from scenario_gen.reading.words import percent
from scenario_gen.stats.estimate import Estimate, t_tail
from scenario_gen.stress.event import Event
from scenario_gen.stress.events import Outset, StrategyScore, score_of
from scenario_gen.stress.exceedance import CurvePoint, counted_probability
from scenario_gen.stress.rare import MOST_EXTINCT, Sampled

FLAT = 0.9  # share of first paths with one and the same score, from which nothing leads to the event
APART = 10.0  # times, between the largest and the smallest probability of several generators
FEW_STORIES, FEWEST_STORIES = 30.0, 10.0  # independent stories behind the paths in the event
RARE = 0.1  # a probability up to which it is said as 1 in so many
RAREST = 1e-9  # below it nobody can tell one number from another, and none is said
FALSE_ALARM = 0.01  # of the comparison with plain paths
FEWEST_BEFORE = 64  # bars before a window of history that its volatility is known from
ABOUT = 1.5  # times, between the volatility before a window and that before the paths, where they began alike


@dataclass(frozen=True)
class OtherModel:
    """The same event under another generator from the same context."""

    generator: str
    probability: Estimate
    method: str = ""
    reason: str = ""  # why there is no probability


@dataclass(frozen=True)
class GivenEvent:
    """What a strategy returns on the paths in the event."""

    strategy: str
    mean: Estimate
    median: Estimate
    low: Estimate  # 5 % quantile
    losing: Estimate  # share of the event's weight on which it loses


@dataclass(frozen=True)
class EventResult:
    """An event of one scenario: its probability and all that is held beside it."""

    words: str
    functional: str
    threshold: float
    horizon: int
    sampled: Sampled
    models: list[OtherModel] = field(default_factory=list)
    history: Estimate | None = None  # share of windows of the history that hold it; None where it is not counted there
    alike: Estimate | None = None  # the same of those windows that began about as volatile as the paths
    given: list[GivenEvent] = field(default_factory=list)
    flat: float = 0.0  # of a strategy's event: share of plain paths on which the account ends where it began


def in_history(
    event: Event, history: Candles, horizon: int, bars_per_year: float, account: StrategyScore | None = None
) -> tuple[Estimate, Estimate]:
    """Count the windows of a history that hold an event, side by side from its end backwards: all, and those alike.

    Alike are windows before which prices moved about as much as before the paths. A generator that reads its context
    answers for those; all windows together are calm and wild times in the mix of history.

    Args:
        event: counted at closes, as on paths.
        history: up to the context's end.
        horizon: bars of a window.
        bars_per_year: of realised volatility.
        account: whose event it is, where it is a strategy's; it sees as many bars before a window as before the paths.
    """
    fewest = FEWEST_BEFORE if account is None else len(account.ground.context)
    now = float(volatility(history.close[-FEWEST_BEFORE:]))
    held: list[tuple[bool, bool]] = []  # whether a window holds the event, and began alike
    for end in range(len(history), fewest + horizon - 1, -horizon):
        before, window = history.rows(end - horizon - fewest, end - horizon), history.rows(end - horizon, end)
        outset = Outset.of(before, horizon, bars_per_year)
        score = score_of(event, outset) if account is None else account.on(before, window.timestamps)
        happened = bool(score(PathSet.from_history(window, outset.anchor).values).happened[0])
        then = float(volatility(before.close[-FEWEST_BEFORE:]))
        held.append((happened, began_alike(then, now)))
    return counted_windows(held)


def began_alike(then: float, now: float) -> bool:
    """Say whether the volatility before a window is about that before the paths."""
    return now / ABOUT <= then <= now * ABOUT


def counted_windows(held: Sequence[tuple[bool, bool]]) -> tuple[Estimate, Estimate]:
    """Return the share of windows that hold an event, of all and of those that began alike.

    Args:
        held: of each window, whether it holds the event and whether it began alike.
    """
    hits = [happened for happened, alike in held if alike]
    every = counted_probability(sum(happened for happened, _ in held), len(held))
    return every, counted_probability(sum(hits), len(hits))


def event_findings(scenario: str, result: EventResult, limit: float | None) -> list[Finding]:
    """Return what is found on an event.

    Args:
        scenario: its name.
        result: its probability and what is beside it.
        limit: the largest probability that the user allows; None where none is declared.
    """
    found = [_probability(scenario, result, limit)]
    if result.sampled.method == "splitting":
        found += [_cross_check(scenario, result.sampled.curve), _genealogy(scenario, result.sampled)]
    if result.models:
        found.append(_models(scenario, result))
    if result.history is not None:
        found.append(_history(scenario, result))
    return found


def _probability(scenario: str, result: EventResult, limit: float | None) -> Finding:
    sampled, measured = (
        result.sampled,
        f"{result.words} within {result.horizon} bars: {told(result.sampled.probability)}",
    )
    band = "a probability whose error is known" if limit is None else f"at most {percent(limit, 2)}"
    label: Label = "PASS" if limit is None else judge_figure(sampled.probability, limit)
    if result.flat > FLAT:
        label, more = "INCONCLUSIVE", f"score flat for {result.flat:.0%} of paths: the account ends where it began"
        measured = f"{measured}; {more}"
    elif sampled.method == "splitting":
        measured += "; by refreshed suffixes, which are not free of bias" if sampled.refreshed else ""
        if sampled.tied > FLAT:
            label, more = "INCONCLUSIVE", f"the score is flat: {sampled.tied:.0%} of the first paths have the same"
            measured = f"{measured}; {more}"
        elif sampled.extinct > MOST_EXTINCT * sampled.islands:
            deepest = _deepest(sampled)
            label = "INCONCLUSIVE"
            measured += f"; {sampled.extinct} of {sampled.islands} islands did not reach it{deepest}"
        elif sampled.unfinished:
            measured += f"; {sampled.unfinished} of {sampled.islands} islands were given up after the most levels"
    if label == "PASS" and (sampled.probability.low is None or sampled.probability.high is None):
        label = "INCONCLUSIVE"
    return EVENT_PROBABILITY.finding(label, measured, band=band, scenario=scenario)


def _deepest(sampled: Sampled) -> str:
    if not sampled.curve:
        return ""
    last = sampled.curve[-1]
    return f"; the last level that several of them came to is {last.at:.4g}, with {told(last.islands)}"


def _cross_check(scenario: str, curve: Sequence[CurvePoint]) -> Finding:
    compared = [point for point in curve if point.z is not None]
    if not compared:
        return EVENT_CROSS_CHECK.finding(
            "INCONCLUSIVE", "no level has 30 plain paths beyond it to hold the islands against", scenario=scenario
        )
    tails = [2 * t_tail(abs(point.z or 0.0), point.freedom or 1e9) for point in compared]
    worst = int(np.argmin(tails))
    point, apart = compared[worst], min(tails) * len(tails)
    return EVENT_CROSS_CHECK.finding(
        "FAIL" if apart < FALSE_ALARM else "PASS",
        f"largest of {len(compared)} distances: {point.z:+.1f} standard errors at {point.at:.3g} (islands "
        f"{told(point.islands)}, plain paths {told(point.plain)})",
        scenario=scenario,
    )


def _genealogy(scenario: str, sampled: Sampled) -> Finding:
    family = sampled.genealogy
    if family is None:
        return EVENT_GENEALOGY.finding("INCONCLUSIVE", "no path is in the event", scenario=scenario)
    label: Label = "PASS" if family.alike >= FEW_STORIES else "WARN"
    if family.alike < FEWEST_STORIES:
        label = "INCONCLUSIVE"
    return EVENT_GENEALOGY.finding(
        label,
        f"{family.paths:,} paths in the event, as many as {family.alike:.0f} independent stories of {family.roots} "
        f"first ancestors; two paths of an island share {family.shared:.0%} of their bars",
        scenario=scenario,
    )


def _models(scenario: str, result: EventResult) -> Finding:
    own = OtherModel("this scenario's generator", result.sampled.probability)
    known = [model for model in (own, *result.models) if model.probability.value]
    words = "; ".join(f"{model.generator} {model.reason or told(model.probability)}" for model in result.models)
    if len(known) < 2:
        return EVENT_MODELS_AGREE.finding("UNTESTABLE", f"nothing to compare: {words}", scenario=scenario)
    values = [model.probability.value or math.nan for model in known]
    ratio = max(values) / min(values)
    times = f"{ratio:.1f}" if ratio < 100 else f"{float(f'{min(ratio, 1e6):.3g}'):,.0f}"
    times = f"over {times}" if ratio > 1e6 else times
    return EVENT_MODELS_AGREE.finding(
        "WARN" if ratio > APART else "PASS",
        f"{told(own.probability)} here; {words}: up to {times} times apart",
        scenario=scenario,
    )


def _history(scenario: str, result: EventResult) -> Finding:
    counted, alike, own = result.history, result.alike, result.sampled.probability
    if counted is None or not counted.n or own.value is None:
        words = "the history has no window of the horizon beside the context"
        return EVENT_IN_HISTORY.finding("UNTESTABLE", words, scenario=scenario)
    every = f"{counted.count} of {counted.n} windows of history side by side"
    if alike is None or not alike.n:
        words = f"{every}, none of which began about as volatile as the context ends; the generator says {told(own)}"
        return EVENT_IN_HISTORY.finding("UNTESTABLE", words, scenario=scenario)
    low, high = alike.low or 0.0, 1.0 if alike.high is None else alike.high
    mine = (own.value if own.low is None else own.low, own.value if own.high is None else own.high)
    label: Label = "PASS" if mine[0] <= high and mine[1] >= low else "WARN"
    return EVENT_IN_HISTORY.finding(
        label,
        f"{every}; {alike.count} of the {alike.n} that began about as volatile as the context ends ({odds(low)} to "
        f"{odds(high)}); the generator says {told(own)}",
        scenario=scenario,
    )


# --- In words ---


def odds(probability: float) -> str:
    """Return a probability as ``1 in 420``."""
    if probability <= 0:
        return "never"
    if 0 < probability < RAREST:
        return f"below 1 in {1 / RAREST:,.0f}"
    return f"1 in {float(f'{1 / probability:.3g}'):,.0f}" if probability <= 0.5 else percent(probability, 2)


def told(estimate: Estimate) -> str:
    """Return a probability with its interval, or why it has none; a rare one as ``1 in 420`` too."""
    if estimate.value is None:
        return f"not measured ({estimate.reason})" if estimate.reason else "not measured"
    if estimate.value == 0:
        reach = f", at most {odds(estimate.high)}" if estimate.high is not None else ""
        return f"0{reach}" if not estimate.reason else f"0 ({estimate.reason})"
    if estimate.value < RAREST:
        return odds(estimate.value)
    rare = estimate.value <= RARE
    shown = f"{percent(estimate.value, 2)}, {odds(estimate.value)}" if rare else percent(estimate.value, 2)
    if estimate.low is None or estimate.high is None:
        return f"{shown} ({estimate.reason})" if estimate.reason else shown
    if rare:
        return f"{shown} ({odds(estimate.high)} to {odds(estimate.low)})"
    return f"{shown} ({percent(estimate.low, 2).removesuffix(' %')} to {percent(estimate.high, 2)})"
