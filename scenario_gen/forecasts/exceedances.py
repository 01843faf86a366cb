"""Value at risk, tail by tail: how often what came was beyond it, whether such bars cluster, and how far beyond.

Kupiec 1995 counts exceedances, Christoffersen 1998 asks whether they come one after the other, McNeil and Frey 2000
whether their size is the expected shortfall, and Acerbi and Szekely 2014 whether number and size together are. The
traffic light of the Basel rules is shown beside and judges nothing: right forecasts leave green once in nine years.
Small counts are judged by the exact binomial, and none at all where too few are expected to tell anything. The tests of
one generator are a group: their p-values are adjusted for its number, and it has one label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import xlog1py, xlogy

from scenario_gen.finding import Label, worst
from scenario_gen.stats.means import benjamini_hochberg

Floats = NDArray[np.float64]
Hits = NDArray[np.bool_]
Tail = Literal["lower", "upper"]
Zone = Literal["green", "yellow", "red"]

TAILS: tuple[Tail, ...] = ("lower", "upper")
VAR_LEVELS = (0.05, 0.01)
ASYMPTOTIC = 10.0  # expected exceedances from which the likelihood ratio has its limiting law
JUDGED = 5.0  # expected exceedances below which nothing is judged
FEWEST_EXCESSES = 10
RESAMPLES = 2000
FAIL_Q, WARN_Q = 0.01, 0.05
BASEL_BARS, BASEL_LEVEL = 250, 0.01
ZONES: tuple[tuple[Zone, float], ...] = (("green", 0.95), ("yellow", 0.9999))  # up to which cumulative probability
NEXT_BAR = "return_1"  # the one return whose forecasts may follow each other bar by bar
SPANS = {NEXT_BAR: "next bar", "return_h": "horizon"}


@dataclass(frozen=True)
class Exceedances:
    """The account of one tail of one functional at one level."""

    functional: str  # id of the return that was forecast
    tail: Tail  # lower (losses of a long position) or upper (of a short one)
    level: float  # probability that was left beyond the value at risk
    forecasts: int  # how many there were
    hits: int  # how many were exceeded
    share: float  # hits / forecasts
    expected: float  # level times forecasts
    exact: bool  # whether ``p_count`` is the exact binomial test rather than Kupiec's likelihood ratio
    p_count: float  # are there as many as there should be?
    p_independence: float | None  # does one follow another no oftener than by chance (Christoffersen)? None without any
    # both together (conditional coverage); None where ``p_count`` is exact or nothing was exceeded
    p_joint: float | None
    # mean of what came beyond, less the expected shortfall, in the ensemble's deviations; above zero the shortfall was
    # forecast too small. None below ten exceedances
    excess: float | None
    # one-sided bootstrap test that it is not above zero; None below ten exceedances, or where the tail of an ensemble
    # is one path, which has no mean to be beyond
    p_excess: float | None
    label: Label  # by ``q``
    reason: str  # in words
    # of number and order (``p_joint``, else ``p_count``), of size and of shortfall, the smallest times their number
    p: float | None = None
    # the same adjusted for the tests of the group that can be judged (Benjamini and Hochberg); None where this one
    # cannot
    q: float | None = None
    # Acerbi and Szekely's second statistic: below zero, losses beyond the value at risk add up to more than forecast.
    # None where the shortfall of a forecast is no loss
    z2: float | None = None
    p_shortfall: float | None = None  # that it is so far below zero by chance, simulated from the forecast paths
    exceptions: int | None = None  # of the next bar at 1 %, among the last 250; None of other tests or of fewer bars
    light: Zone | None = None  # of the Basel rules, by ``exceptions``

    @property
    def title(self) -> str:
        """Which tail of which return, at what level."""
        return f"{SPANS[self.functional]}, {self.tail} tail, {self.level:.0%}"

    @property
    def judged(self) -> bool:
        """Whether enough exceedances are expected to tell anything."""
        return self.expected >= JUDGED


def expected_shortfall(values: Floats, tail: Tail, level: float) -> float:
    """Return the mean of the outermost ``level`` of the values; where that is no whole number, the last counts in part.

    A tail of less than one value is that value.
    """
    ordered = np.sort(values if tail == "lower" else -values)
    size = round(level * len(values), 9)  # 0.07 * 100 is 7.000000000000001
    weights = np.clip(size - np.arange(len(values)), 0.0, 1.0) if size >= 1 else np.arange(len(values)) == 0
    mean = float(np.average(ordered, weights=weights))
    return mean if tail == "lower" else -mean


def excess(ensemble: Floats, came: float, tail: Tail, level: float) -> float:
    """Return how far what came lies beyond the expected shortfall, in deviations.

    Shortfall and deviation are those of paths and outcome together. Under calibration the outcome is one of them, so
    that, where it is in the tail, it is any of the tail's alike, and the mean excess is zero for any number of paths.
    Against the tail of the paths alone an outcome that lies in the tail has one path less to be beside: of 99 paths at
    1 %, whatever exceeded the lowest would have exceeded the shortfall as well.
    """
    together = np.append(ensemble, came)
    beyond = expected_shortfall(together, tail, level) - came
    spread = max(float(together.std()), np.finfo(float).tiny)
    return (beyond if tail == "lower" else -beyond) / spread


@dataclass(frozen=True)
class TailLosses:
    """What a forecast lets be lost in its tail, as multiples of ``level`` times the expected shortfall.

    Paths and outcome together are the forecast, as in :func:`excess`: any of them might have come.
    """

    came: float  # the outcome's loss where it lies in the tail, else 0
    possible: Floats  # of every member of the tail, the outcome too where it is one; the one at its edge in part
    size: int  # paths and outcome


def tail_losses(ensemble: Floats, came: float, tail: Tail, level: float) -> TailLosses | None:
    """Return the losses in a tail of a forecast; None where its expected shortfall is no loss.

    Their mean over all members is 1, whatever their number.
    """
    losses = np.append(ensemble, came) * (-1.0 if tail == "lower" else 1.0)
    order = np.argsort(-losses, kind="stable")
    weights = np.clip(round(level * len(losses), 9) - np.arange(len(losses)), 0.0, 1.0)
    members = int((weights > 0).sum())
    shares = losses[order[:members]] * weights[:members]
    total = float(shares.sum()) / len(losses)  # level times the expected shortfall
    if total <= 0:
        return None
    place = int(np.flatnonzero(order == len(losses) - 1)[0])
    return TailLosses(float(shares[place] / total) if place < members else 0.0, shares / total, len(losses))


def acerbi_szekely(losses: Sequence[TailLosses], rng: np.random.Generator) -> tuple[float, float]:
    """Return Z2 and the probability of so small a one if every outcome were any of its forecast's paths.

    Acerbi and Szekely 2014, "Back-testing expected shortfall", Risk 27: one less the mean of the losses beyond the
    value at risk over their expectation. Its critical values are simulated from the forecasts themselves.
    """
    most = max(len(each.possible) for each in losses)
    possible = np.zeros((len(losses), most + 1))  # the last is no loss
    for row, each in zip(possible, losses, strict=True):
        row[: len(each.possible)] = each.possible
    sizes = np.array([each.size for each in losses])
    drawn = np.minimum(rng.integers(sizes[:, None], size=(len(losses), RESAMPLES)), most)
    simulated = np.take_along_axis(possible, drawn, axis=1).mean(axis=0)
    mean = float(np.mean([each.came for each in losses]))
    p = (1 + (simulated >= mean - 1e-12).sum()) / (1 + RESAMPLES)
    return 1.0 - mean, float(p)


def traffic_light(exceptions: int) -> Zone:
    """Return the zone of the Basel rules for so many exceptions of 250 bars at 99 %: to 4 green, from 10 red.

    Basel Committee on Banking Supervision 1996, "Supervisory framework for the use of backtesting": yellow from where
    so few or fewer have a probability of 95 % if forecasts are right, red from 99.99 %.
    """
    probability = float(stats.binom.cdf(exceptions, BASEL_BARS, BASEL_LEVEL))
    return next((zone for zone, most in ZONES if probability < most), "red")


def count_exceedances(
    functional: str,
    tail: Tail,
    level: float,
    pits: Floats,
    excesses: Floats,
    rng: np.random.Generator,
    losses: Sequence[TailLosses | None] = (),
) -> Exceedances:
    """Judge one tail, on its own, from PITs [forecast] in the order of time.

    Args:
        functional: id, for the result.
        tail: which one.
        level: probability beyond the value at risk.
        pits: an exceedance is a PIT below ``level`` (lower) or above 1 - ``level`` (upper).
        excesses: how far beyond the expected shortfall outcomes lay, in deviations [forecast]; read at exceedances.
        rng: of the bootstrap.
        losses: in the tail of each forecast, in the same order, for the test of the shortfall; none: it is not made.
    """
    hits = pits < level if tail == "lower" else pits > 1 - level
    expected = level * len(hits)
    exact = expected < ASYMPTOTIC
    count = exact_binomial(hits, level) if exact else kupiec(hits, level)
    any_hit = bool(hits.any())
    runs = christoffersen_independence(hits) if any_hit else None
    joint = conditional_coverage(hits, level) if any_hit and not exact else None
    size = excesses[hits]
    p_excess = shortfall_test(size, rng) if len(size) >= FEWEST_EXCESSES and size.any() else None
    known = [each for each in losses if each is not None]
    z2, p_shortfall = acerbi_szekely(known, rng) if known and len(known) == len(losses) else (None, None)
    tests = [each for each in (count if joint is None else joint, p_excess, p_shortfall) if each is not None]
    last = hits[-BASEL_BARS:]
    lit = functional == NEXT_BAR and level == BASEL_LEVEL and len(last) == BASEL_BARS
    p = min(1.0, len(tests) * min(tests))
    return _labelled(
        Exceedances(
            functional=functional,
            tail=tail,
            level=level,
            forecasts=len(hits),
            hits=int(hits.sum()),
            share=float(hits.mean()),
            expected=expected,
            exact=exact,
            p_count=count,
            p_independence=runs,
            p_joint=joint,
            excess=float(size.mean()) if p_excess is not None else None,
            p_excess=p_excess,
            label="INCONCLUSIVE",
            reason="",
            p=p,
            z2=z2,
            p_shortfall=p_shortfall,
            exceptions=int(last.sum()) if lit else None,
            light=traffic_light(int(last.sum())) if lit else None,
        ),
        p,
    )


def judged_together(tests: Sequence[Exceedances]) -> list[Exceedances]:
    """Return the tests of one generator with labels by p-values that are adjusted for all that can be judged.

    Two tails at two levels are four questions: asked one by one, a perfect generator would fail in one of them in four
    per cent of cases rather than one.
    """
    own = {place: one.p for place, one in enumerate(tests) if one.judged and one.p is not None}
    q = benjamini_hochberg(own)
    return [_labelled(one, q.get(place)) for place, one in enumerate(tests)]


def group_label(tests: Sequence[Exceedances]) -> Label:
    """Return the label of the value at risk as a whole: the worst of its tests.

    PASS takes both tails and both levels of the next bar. Tests over the horizon count where they can be judged: their
    forecasts lie a horizon apart, and the 500 that the 1 % level needs are more than nearly any history holds, so that
    a group which waited for them would say INCONCLUSIVE whatever was found.
    """
    counted = [one.label for one in tests if one.functional == NEXT_BAR or one.judged]
    return worst(counted, "UNTESTABLE")


def decisive(tests: Sequence[Exceedances], label: Label) -> Exceedances | None:
    """Return the test with this label that is least likely by chance, or None."""
    alike = [one for one in tests if one.label == label]
    return min(alike, key=lambda one: 1.0 if one.q is None else one.q, default=None)


def exact_binomial(hits: Hits, level: float) -> float:
    """Return the exact two-sided p-value of the number of hits."""
    return float(stats.binomtest(int(hits.sum()), len(hits), level).pvalue)


def kupiec(hits: Hits, level: float) -> float:
    """Return the p-value of Kupiec's likelihood ratio for the number of hits (chi-squared, one degree)."""
    return float(stats.chi2.sf(_count_ratio(hits, level), df=1))


def christoffersen_independence(hits: Hits) -> float:
    """Return the p-value of Christoffersen's likelihood ratio against a first-order Markov chain (one degree)."""
    return float(stats.chi2.sf(_markov_ratio(hits), df=1))


def conditional_coverage(hits: Hits, level: float) -> float:
    """Return the p-value of count and independence together (two degrees)."""
    return float(stats.chi2.sf(_count_ratio(hits, level) + _markov_ratio(hits), df=2))


def _count_ratio(hits: Hits, level: float) -> float:
    count, total = int(hits.sum()), len(hits)
    return 2 * (_likelihood(count, total - count, count / total) - _likelihood(count, total - count, level))


def _markov_ratio(hits: Hits) -> float:
    """Return the likelihood ratio of a chain with two probabilities against one, over the transitions."""
    before, after = hits[:-1], hits[1:]
    calm = int((~before & after).sum()), int((~before & ~after).sum())
    struck = int((before & after).sum()), int((before & ~after).sum())
    both = calm[0] + struck[0], calm[1] + struck[1]
    apart = sum(_likelihood(*pair, pair[0] / max(1, sum(pair))) for pair in (calm, struck))
    return max(0.0, 2 * (apart - _likelihood(*both, both[0] / max(1, sum(both)))))


def _likelihood(hits: int, misses: int, probability: float) -> float:
    return float(xlogy(hits, probability) + xlog1py(misses, -probability))


def shortfall_test(excesses: Floats, rng: np.random.Generator) -> float:
    """Return the p-value that the mean excess is not above zero, by the bootstrap of its t value.

    McNeil and Frey 2000, "Estimation of tail-related risk measures for heteroscedastic financial time series":
    centred excesses are drawn again, and the share of their t values above the observed one is counted.
    """
    count = len(excesses)
    centred = excesses - excesses.mean()
    drawn = centred[rng.integers(count, size=(RESAMPLES, count))]
    observed = _t_value(excesses[None])[0]
    return float((1 + (_t_value(drawn) >= observed).sum()) / (1 + RESAMPLES))


def _t_value(samples: Floats) -> Floats:
    error = samples.std(axis=1, ddof=1) / np.sqrt(samples.shape[1])
    return np.asarray(samples.mean(axis=1) / np.maximum(error, np.finfo(float).tiny))


def _labelled(test: Exceedances, q: float | None) -> Exceedances:
    label, reason = _judge(test, q)
    return replace(test, q=q if test.judged else None, label=label, reason=reason)


def _judge(test: Exceedances, q: float | None) -> tuple[Label, str]:
    if not test.judged or q is None:
        return (
            "INCONCLUSIVE",
            f"{test.expected:.1f} exceedances are expected of {test.forecasts}; {JUDGED:g} are needed",
        )
    asked = {
        "their number or order": test.p_count if test.p_joint is None else test.p_joint,
        "their size": test.p_excess,
        "what they add up to": test.p_shortfall,
    }
    p, what = min((p, what) for what, p in asked.items() if p is not None)
    if q < WARN_Q:
        return "FAIL" if q < FAIL_Q else "WARN", f"{what} would come by chance with p = {p:.2g}, q = {q:.2g}"
    return "PASS", f"their number, order and size are as forecast (q = {q:.2g})"
