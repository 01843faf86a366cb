"""Views on paths that are there: their weights are moved as little as it takes for somebody to be right.

Owns what the numbers of a path are called, how a view becomes means of them, and what moved. No path is made or
changed. Knows closes, and metrics of strategies where a view is about one; writes no file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import CheckError, ScenarioError, SpecError
from scenario_gen.finding import VIEW_REACH, Finding, Label
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import deepest_fall
from scenario_gen.market.paths import PathSet
from scenario_gen.reading.section import section_of
from scenario_gen.reading.words import nearest, percent
from scenario_gen.stats.estimate import Estimate, mean, quantile
from scenario_gen.stats.pooling import NotAttained, Wanted, pool
from scenario_gen.stats.weights import Weighting, Weights
from scenario_gen.stress.view import OF_STRATEGY, TITLES, View, contradictions

Floats = NDArray[np.float64]
NumbersOf = Callable[[View], Floats]  # float64 [path] of what a view is about

FEW_ALIKE, MOST_WEIGHT = 100.0, 0.05  # fewer paths alike, or more on one path: the weights say nothing
ENOUGH_ALIKE, ENOUGH_SHARE = 200.0, 0.05  # paths alike, and their share of all, from which on they do
MORE_PATHS = "raise paths.count: the view leaves most of the paths, and they are few"
ADVICE = "use an event or a shock: the paths of this generator hardly go there"
TAKE_ANOTHER = f"take a view that these paths can have, or {ADVICE}"
TAIL = 65  # places at which the threshold of a CVaR is looked for


# --- The numbers of a path ---


# Of log returns [path, bar] from the last real close on, and bars per year; defined as those of an event.
FUNCTIONALS: Mapping[str, Callable[[Floats, float], Floats]] = {
    "terminal_return": lambda returns, _: np.expm1(returns.sum(axis=1)),
    "max_drawdown": lambda returns, _: deepest_fall(returns),
    "realised_vol": lambda returns, per_year: np.sqrt(per_year * np.mean(returns**2, axis=1)),
    "worst_bar": lambda returns, _: np.expm1(returns.min(axis=1)),
    "best_bar": lambda returns, _: np.expm1(returns.max(axis=1)),
}
METRIC_OF = {"strategy_return": "total_return", "strategy_drawdown": "max_drawdown"}


def functionals(paths: PathSet, bars_per_year: float) -> dict[str, Floats]:
    """Return every number that a view can be about, of each path [path]; losses and falls as fractions."""
    returns = np.diff(np.log(paths.closes), axis=1)
    return {name: np.asarray(measure(returns, bars_per_year)) for name, measure in FUNCTIONALS.items()}


def numbers_of(measured: Mapping[str, Floats], metrics: Mapping[str, pd.DataFrame]) -> NumbersOf:
    """Return what looks up the numbers that a view is about.

    Args:
        measured: of :func:`functionals`.
        metrics: of each strategy by its name, rows in the order of the paths.
    """

    def numbers(view: View) -> Floats:
        if view.functional not in OF_STRATEGY:
            return measured[view.functional]
        name = str(view.strategy)
        if name not in metrics:
            known = f"one of {', '.join(metrics)}" if metrics else "a view of the market: no strategies are known here"
            raise SpecError(f"no strategy is called {name!r}{nearest(name, metrics)}", expected=known)
        values = metrics[name][METRIC_OF[view.functional]].to_numpy(dtype=np.float64)
        if not np.isfinite(values).all():
            raise CheckError(f"{view.subject} is not defined on every path", expected="a view on what every path has")
        return np.asarray(values)

    return numbers


# --- From views to weights ---


def wanted_of(view: View, values: Floats, prior: Floats, others: Sequence[View]) -> list[Wanted]:
    """Return the means that a view asks for; a CVaR is asked for at its threshold before, see :func:`reweighted`.

    A deviation v is asked for as E f = m and E (f - m)^2 = v^2, with m the mean that another view gives, else the one
    before: the mean is settled first.
    """
    low, high = view.range
    if view.kind == "probability":
        beyond = values >= view.threshold if view.at_least is not None else values <= view.threshold
        return [Wanted(beyond.astype(np.float64), low, high)]
    if view.kind == "quantile":
        share = float(view.level or 0.0)
        return [Wanted((values <= low).astype(np.float64), share, share)]
    if view.kind == "std":
        about = ("mean", view.functional, view.strategy)
        given = [each.range for each in others if (each.kind, each.functional, each.strategy) == about]
        centre = next((ends[0] for ends in given if ends[0] == ends[1]), float(prior @ values))
        return [Wanted(values, centre, centre), Wanted((values - centre) ** 2, low**2, low**2)]
    return [Wanted(values, low, high)]


def reweighted(views: Sequence[View], numbers: NumbersOf, prior: Floats) -> tuple[Floats, Floats]:
    """Return the weights of sum 1 nearest to the prior under which every view holds, and what they hold at its mean.

    A CVaR is the mean beyond a threshold that a share 1 - level lies beyond; which threshold is not said. Of some among
    the paths' own values the one with the least relative entropy is taken, one CVaR after the other.

    Args:
        views: what is believed.
        numbers: of each view [path].
        prior: float64 [path], sum 1.

    Returns:
        float64 [path]; and float64 [path, number], the numbers whose means lie at an end of what is believed: a
        weighted mean of these is given and has no error.

    Raises:
        CheckError: the paths cannot be weighed so that every view holds; the message says what can be attained.
    """
    values = [_known(place, view, numbers) for place, view in enumerate(views)]
    plain: list[tuple[int, Wanted]] = []
    for place, view in sorted(enumerate(views), key=lambda entry: entry[1].kind == "cvar"):
        if view.kind == "cvar":
            plain += _cvar(place, view, values[place], prior, plain)
        else:
            plain += [(place, each) for each in wanted_of(view, values[place], prior, views)]
    try:
        weights = pool(prior, [each for _, each in plain])
    except NotAttained as outside:
        raise _refusal(views, plain[outside.place][0], outside) from None
    held = [each.values for _, each in plain if each.holds(weights)]
    return weights, np.stack(held, axis=1) if held else np.empty((len(prior), 0))


def _known(place: int, view: View, numbers: NumbersOf) -> Floats:
    try:
        return numbers(view)
    except ScenarioError as error:
        raise ViewError(place, error.problem, expected=error.expected, fix="") from None


class ViewError(CheckError):
    """A view that no weights of the paths make true."""

    def __init__(self, place: int, problem: str, *, expected: str, fix: str = TAKE_ANOTHER) -> None:
        super().__init__(problem, expected=expected, fix=fix)
        self.place = place  # of the view in its list


def _refusal(views: Sequence[View], place: int, outside: NotAttained) -> ViewError:
    view = views[place]
    beside = f" beside the {'view' if place == 1 else f'{place} views'} before it" if place else ""
    low, high = outside.low + 0.0, outside.high + 0.0  # no minus sign before a zero
    if view.kind == "std":
        low, high = (math.sqrt(max(end, 0.0)) for end in (low, high))
    subject = {"quantile": f"a share of paths at or below {percent(view.range[0])}"}.get(view.kind, view.subject)
    attainable = f"{subject} from {100 * low:.4g} to {percent(high)}{beside}"
    if view.kind == "cvar" or math.isnan(low):
        attainable = f"a figure that some of the paths lie on either side of{beside}"
    return ViewError(place, f"no weights of the paths make '{view.in_words}' true{beside}", expected=attainable)


def _cvar(
    place: int, view: View, values: Floats, prior: Floats, plain: Sequence[tuple[int, Wanted]]
) -> list[tuple[int, Wanted]]:
    """Return what a CVaR asks for at its best threshold: the share beyond it, and the mean there."""
    bad = -values if view.functional in ("terminal_return", "worst_bar", "strategy_return") else values
    share, target = 1.0 - float(view.level or 0.0), view.range[0]
    best: tuple[float, list[tuple[int, Wanted]]] | None = None
    nearest_miss: list[tuple[int, Wanted]] = []
    inner = np.unique(np.quantile(bad[prior > 0], np.linspace(0.0, 1.0, TAIL + 2)[1:-1]))
    for edge in inner[inner < target]:
        beyond = (bad >= edge).astype(np.float64)
        rows = [(place, Wanted(beyond, share, share)), (place, Wanted(beyond * bad, share * target, share * target))]
        nearest_miss = rows
        try:
            weights = pool(prior, [each for _, each in [*plain, *rows]])
        except NotAttained:
            continue
        distance = relative_entropy(weights, prior)
        if best is None or distance < best[0]:
            best = (distance, rows)
    return best[1] if best is not None else nearest_miss or [(place, Wanted(bad, target, target))]


def relative_entropy(weights: Floats, prior: Floats) -> float:
    """Return sum q ln(q / p): 0 where nothing moved."""
    some = weights > 0
    return float(np.sum(weights[some] * np.log(weights[some] / prior[some])))


def reweight(
    paths: PathSet, views: Sequence[View | Mapping[str, Any]], *, bars_per_year: float | None = None
) -> Floats:
    """Weigh paths so that views hold, moving their weights as little as that takes (entropy pooling, Meucci 2008).

    Args:
        paths: of any generator; weights that they have are where the search sets out.
        views: as in a spec: ``{"mean": "terminal_return", "equals": -0.05}``,
            ``{"probability": "max_drawdown", "at_least": 0.2, "is": 0.1}``.
        bars_per_year: for realised volatility; default: from the stamps of the paths.

    Returns:
        float64 [path] of sum 1: ``dataclasses.replace(paths, weights=weights)`` are the weighted paths. How many paths
        alike they are is ``replace(...).weighting.effective``.

    Raises:
        SpecError: there is no view, one is none, or contradicts another.
        CheckError: the paths are no PathSet, or no weights make every view true; the message names the view and what
            can be attained.
    """
    if not isinstance(paths, PathSet):  # from Python anything may come
        came = type(paths).__name__
        raise CheckError(f"paths are {came}", expected="a PathSet", fix="sample some: scenario_gen.sample(...)")
    if not views or isinstance(views, Mapping):
        came = "no view" if not views else "one mapping"
        raise SpecError(
            f"got {came}", expected='a list of views, such as [{"mean": "terminal_return", "equals": -0.05}]'
        )
    asked = [section_of(View, view, f"views[{n}]") for n, view in enumerate(views)]
    for place, words in contradictions(asked):
        raise SpecError(f"views[{place}] {words}", expected="views that can all be true", fix="take one of them back")
    prior = prior_of(paths)
    yearly = BarCalendar.infer(paths.timestamps).bars_per_year if bars_per_year is None else bars_per_year
    return reweighted(asked, numbers_of(functionals(paths, yearly), {}), prior)[0]


def prior_of(paths: PathSet) -> Floats:
    """Return what paths stand for before any view, float64 [path] of sum 1."""
    weights = paths.weighting
    return np.full(len(paths), 1.0 / len(paths)) if weights is None else weights.shares


def weighting_of(paths: PathSet) -> Weighting:
    """Return how many paths there are and as many as how many alike, also where all stand for as much."""
    weights, count = paths.weighting, len(paths)
    return Weighting(count, float(count), 1.0 / count) if weights is None else weights.summary


# --- What moved ---


@dataclass(frozen=True)
class ViewReached:
    """One view, before and after."""

    view: str  # in words, with what it asks for
    subject: str  # what it speaks of
    number: str  # of a path, that this is a figure of: "deepest drawdown"
    low: float | None  # the figure that is believed lies between these; None where that side is open
    high: float | None
    prior: float  # the figure of the paths before
    posterior: float  # and after: within the ends


@dataclass(frozen=True)
class Moved:
    """A number of the paths before and after, whether anybody had a view on it or not."""

    functional: str  # its key
    title: str
    before: dict[str, Estimate]  # "mean", and the quantiles "0.05" and "0.95"
    after: dict[str, Estimate]


@dataclass(frozen=True)
class Reweighed:
    """What views did to the paths of a scenario."""

    base: str  # the scenario whose paths are weighed
    views: tuple[ViewReached, ...]
    moved: tuple[Moved, ...]
    entropy: float  # of the weights relative to those before: 0 where every view held already
    weighting: Weighting  # after
    alike_before: float  # as many as how many paths alike the paths were before the views


def figure_of(view: View, values: Floats, weights: Floats) -> float:
    """Return the figure that a view speaks of, of float64 [path] with weights of sum 1."""
    if view.kind == "probability":
        return float(weights @ (values >= view.threshold if view.at_least is not None else values <= view.threshold))
    if view.kind == "std":
        return float(np.sqrt(weights @ (values - weights @ values) ** 2))
    if view.kind == "mean":
        return float(weights @ values)
    bad = view.kind == "cvar" and view.functional in ("terminal_return", "worst_bar", "strategy_return")
    numbers, level = (-values if bad else values), float(view.level or 0.0)
    edge = Weights(weights).quantile(numbers, level)
    return edge if view.kind == "quantile" else edge + float(weights @ np.maximum(numbers - edge, 0.0)) / (1.0 - level)


def reached(views: Sequence[View], numbers: NumbersOf, prior: Floats, posterior: Floats) -> tuple[ViewReached, ...]:
    """Return every view before and after."""
    return tuple(
        ViewReached(
            view=view.in_words,
            subject=view.subject,
            number=TITLES[view.functional],
            low=low if math.isfinite(low := view.range[0]) else None,
            high=high if math.isfinite(high := view.range[1]) else None,
            prior=figure_of(view, numbers(view), prior),
            posterior=figure_of(view, numbers(view), posterior),
        )
        for view in views
    )


def moved(measured: Mapping[str, Floats], before: Weights | None, after: Weights | None) -> tuple[Moved, ...]:
    """Return mean and tails of every number of the market before and after, each with its error."""
    return tuple(
        Moved(name, TITLES[name], _figures(values, before), _figures(values, after))
        for name, values in measured.items()
    )


def _figures(values: Floats, weights: Weights | None) -> dict[str, Estimate]:
    tails = {str(level): quantile(values, level, weights) for level in (0.05, 0.95)}
    return {"mean": mean(values, weights), **tails}


def reach_finding(scenario: str, reweighed: Reweighed) -> Finding:
    """Return whether enough of the paths are left to say anything with: the gate of views."""
    weighting = reweighed.weighting
    alike, needed = weighting.alike, max(ENOUGH_ALIKE, ENOUGH_SHARE * weighting.paths)
    label: Label = "PASS" if alike >= needed else "WARN"
    if alike < FEW_ALIKE or weighting.largest > MOST_WEIGHT:
        label = "FAIL"
    measured = f"{weighting.in_words}; the heaviest stands for {weighting.largest:.2%}"
    advice = ADVICE if alike < weighting.paths / 2 else MORE_PATHS
    return VIEW_REACH.finding(
        label,
        measured if label == "PASS" else f"{measured}: {advice}",
        scenario=scenario,
        offenders=[view.view for view in reweighed.views] if label == "FAIL" else [],
    )
