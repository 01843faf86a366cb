"""How a generator answers a shock in its context: paired with the same random numbers, beside what history shows.

Owns impulse responses, their errors, the response of history after bars that moved as far as three of their deviations,
the closed form of GARCH, and the judgement. Samples nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scenario_gen.finding import CONTEXT_IN_DISTRIBUTION, SHOCK_RESPONSE, Finding, Label
from scenario_gen.generators.filtered import GarchFit
from scenario_gen.market.candles import Candles, Scale, log_steps
from scenario_gen.market.paths import Floats, PathSet
from scenario_gen.stats.estimate import Estimate, mean
from scenario_gen.stress.search import BEFORE

BARS = 20  # of a response, at most
JUDGED = 5  # bars after the shock whose mean response is judged
FAR = 3.0  # deviations of the 60 bars before
FEWEST_EVENTS = 10
RESAMPLES = 2000
RANGE = "log_range"
TITLES: Mapping[str, str] = {
    "abs_return": "size of returns",
    RANGE: "log of the range",
    "log_volume": "log of volume",
    "return": "return",
    "drawdown": "fall from the running peak",
}


@dataclass(frozen=True)
class Impulse:
    """The mean difference that a shock makes to one quantity, bar by bar, on pairs of paths of the same numbers."""

    key: str  # of :data:`TITLES`
    mean: list[float]  # [bar]
    error: list[float]  # standard error of each
    first: Estimate  # of the mean over the first five bars


@dataclass(frozen=True)
class PastResponse:
    """The log of the range after bars of history that moved far, above its mean over the 60 bars before."""

    events: int  # none of them within a response of another
    size: float  # mean move of the bar itself, in deviations of the 60 bars before
    largest: float  # the largest of them
    mean: list[float]  # [bar]
    low: list[float]  # 95 % interval, bootstrapped over events
    high: list[float]
    first: Estimate  # of the mean over the first five bars


@dataclass(frozen=True)
class BothWays:
    """A strategy's mean total return on the same random numbers: as it is, shocked on the paths, in the context."""

    name: str
    without: Estimate
    on_paths: Estimate
    in_context: Estimate
    difference: Estimate  # in the context less on the paths, paired


@dataclass(frozen=True)
class ShockResponse:
    """What a shock in the context changed in the paths of one scenario."""

    shocks: list[str]  # in words
    normaliser: str  # "frozen" or "refit"; the units that a model reads the context in
    paths: int  # pairs
    size: float  # how far the shocked bars moved the price in all, in deviations of the 60 bars before
    unit: float  # the context's root mean square return with the shock over that without: what refitting adds
    shocked: int  # bars that were changed
    unread: int  # of them, those of which something lies beyond what the generator reads
    impulses: list[Impulse]
    volatility: list[float]  # log ratio of root mean square returns of the paths, bar by bar
    closed_form: list[float] = field(default_factory=list)  # the same of a GARCH fitted without the shock; may be empty
    history: PastResponse | None = None  # None where history has fewer than ten such bars
    strategies: list[BothWays] = field(default_factory=list)  # the same shock on the paths and in the context

    def impulse(self, key: str) -> Impulse | None:
        """Return the response of one quantity; None where there is none."""
        return next((impulse for impulse in self.impulses if impulse.key == key), None)


def quantities(paths: PathSet, scale: Scale, bars: int) -> dict[str, Floats]:
    """Return what is compared, each [path, bar], of the first bars of paths."""
    steps = log_steps(paths.values[:, :bars, :4], paths.anchor_close)
    closes = np.concatenate((np.zeros((len(steps), 1)), np.cumsum(steps[..., 3], axis=1)), axis=1)
    measured = {
        "abs_return": np.abs(steps[..., 3]),
        RANGE: np.log(steps[..., 1] - steps[..., 2] + scale.least_range),
        "return": steps[..., 3],
        "drawdown": (np.maximum.accumulate(closes, axis=1) - closes)[:, 1:],
    }
    if "volume" in paths.fields and scale.usual_volume > 0:
        volume = paths.column("volume")[:, :bars].astype(np.float64)
        measured["log_volume"] = np.log(np.maximum(volume, 1e-6 * scale.usual_volume))
    return {key: measured[key] for key in TITLES if key in measured}


def impulses(shocked: PathSet, calm: PathSet, scale: Scale) -> tuple[list[Impulse], list[float]]:
    """Return the responses, and the log ratio of volatilities, of pairs of paths; both sets have the same ids."""
    bars = min(BARS, shocked.horizon)
    ours, theirs = (quantities(paths, scale, bars) for paths in (shocked, calm))
    answers = []
    for key in ours:
        apart = ours[key] - theirs[key]
        error = apart.std(axis=0, ddof=1) / np.sqrt(len(apart)) if len(apart) > 1 else np.zeros(bars)
        first = mean(apart[:, :JUDGED].mean(axis=1))
        answers.append(Impulse(key, _plain(apart.mean(axis=0)), _plain(error), first))
    squares = [np.mean(each["return"] ** 2, axis=0) for each in (ours, theirs)]
    ratio = 0.5 * np.log(np.maximum(squares[0], 1e-18) / np.maximum(squares[1], 1e-18))
    return answers, _plain(ratio)


def past_response(history: Candles, *, falls: bool, seed: int = 0) -> PastResponse | None:
    """Return what followed bars of a history that moved by more than three deviations of the 60 bars before.

    Args:
        history: real bars.
        falls: look at falls alone; else at moves either way.
        seed: of the bootstrap over events.
    """
    steps, least = history.log_steps, Scale.of(history).least_range
    ranges = np.log(steps[:, 1] - steps[:, 2] + least)
    returns = steps[:, 3]
    events, sizes, last = [], [], -BARS
    for at in range(BEFORE, len(returns) - BARS):
        deviation = returns[at - BEFORE : at].std()
        far = -returns[at] if falls else abs(returns[at])
        if deviation > 0 and far > FAR * deviation and at >= last + BARS:
            events.append(ranges[at + 1 : at + 1 + BARS] - ranges[at - BEFORE : at].mean())
            sizes.append(far / deviation)
            last = at
    if len(events) < FEWEST_EVENTS:
        return None
    answers = np.array(events)
    drawn = np.random.default_rng(seed).integers(0, len(answers), (RESAMPLES, len(answers)))
    means = answers[drawn].mean(axis=1)  # [resample, bar]
    low, high = np.quantile(means, (0.025, 0.975), axis=0)
    first = np.quantile(means[:, :JUDGED].mean(axis=1), (0.025, 0.975))
    centre = float(answers[:, :JUDGED].mean())
    return PastResponse(
        events=len(answers),
        size=float(np.mean(sizes)),
        largest=float(np.max(sizes)),
        mean=_plain(answers.mean(axis=0)),
        low=_plain(low),
        high=_plain(high),
        first=Estimate(centre, float(first[0]), float(first[1]), n=len(answers)),
    )


def expected_squares(fit: GarchFit, bars: int) -> Floats:
    """Return the expected squared return of each bar ahead of a fitted GARCH [bar].

    E var_h = s + p^(h-1) (var_1 - s), with p the persistence under the innovations that are resampled and
    s = omega / (1 - p) (Bollerslev 1986); times the mean square of these innovations.
    """
    innovations = fit.filtered.units[:, 3]
    recursion = fit.filtered.recursion
    kept = recursion.persistence(innovations)
    variance = np.empty(bars)
    variance[0] = fit.filtered.variance
    for bar in range(1, bars):
        variance[bar] = recursion.omega + kept * variance[bar - 1]
    return variance * float(np.mean(innovations**2))


def unread_bars(unread: NDArray[np.bool_], shocked: int) -> int:
    """Return how many of the last bars, which are shocked, have something beyond what a generator reads."""
    return int(unread[len(unread) - shocked :].sum())


def response_findings(scenario: str, response: ShockResponse) -> list[Finding]:
    """Judge whether the generator reads the shock, and whether it answers as history does."""
    label: Label = "PASS" if not response.unread else "WARN" if response.unread < response.shocked else "FAIL"
    words = "the model cannot read this shock" if label == "FAIL" else "the shocked bars"
    read = CONTEXT_IN_DISTRIBUTION.finding(
        label,
        f"{words}: something of {response.unread} of {response.shocked} lies beyond what the generator reads",
        scenario=scenario,
    )
    verdict, measured = _judged(response)
    return [read, SHOCK_RESPONSE.finding(verdict, measured, scenario=scenario)]


def _judged(response: ShockResponse) -> tuple[Label, str]:
    """Return the label of the response of ranges over the first five bars, and why."""
    impulse, past = response.impulse(RANGE), response.history
    own = None if impulse is None else _interval(impulse.first)
    if own is None:
        return "UNTESTABLE", "too few pairs of paths to tell a response"
    ours = f"log range {_words(own)} over {JUDGED} bars"
    known = None if past is None else _interval(past.first)
    if all(shock.startswith("liquidity") for shock in response.shocks):
        return "UNTESTABLE", f"{ours}; a shock on volume alone is held against no bars of history"
    if past is None or known is None:
        return "INCONCLUSIVE", f"{ours}; history has fewer than {FEWEST_EVENTS} bars beyond {FAR:g} deviations"
    told = f"{ours}; after {past.events} bars of history of {past.size:.1f} deviations {_words(known)}"
    size = abs(response.size)
    beyond = f", and the shock, {size:.0f} deviations, is beyond them all (at most {past.largest:.0f})"
    verdicts: tuple[tuple[bool, Label, str], ...] = (
        (own[1] <= 0 < known[1], "FAIL", "no response: "),
        (own[2] < known[1], "WARN", "weaker than in history: "),
        (own[1] <= known[2], "PASS", ""),
        (size <= past.largest, "WARN", "stronger than in history: "),
        (True, "INCONCLUSIVE", f"stronger than in history{beyond}: "),
    )
    label, words = next((label, words) for holds, label, words in verdicts if holds)
    return label, f"{words}{told}"


def _interval(estimate: Estimate) -> tuple[float, float, float] | None:
    """Return a number and its interval; None where one is missing."""
    value, low, high = estimate.value, estimate.low, estimate.high
    return None if value is None or low is None or high is None else (value, low, high)


def _words(interval: tuple[float, float, float]) -> str:
    value, low, high = (round(number, 2) + 0.0 for number in interval)  # no minus zero
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def _plain(values: Sequence[float] | Floats) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
