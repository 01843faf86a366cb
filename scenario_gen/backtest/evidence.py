"""Strategies held against something on the same paths: null strategies, holding, each other, history, their own grid.

Puts the inference of the backtest room in order for one scenario: each strategy is run once more with every trade and
every bar's equity at hand. Computes nothing itself.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.book import AnyGround, AnyPaths, traded_on
from scenario_gen.backtest.engine import BacktestResult, trade
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.metrics import bar_returns
from scenario_gen.backtest.nulls import BUY_AND_HOLD, buy_and_hold, random_entries
from scenario_gen.backtest.overfitting.cscv import Overfitting, overfitting_on_paths, overfitting_probability
from scenario_gen.backtest.overfitting.grids import Stepwise, parameter_stability, stepwise
from scenario_gen.backtest.overfitting.sharpe import DeflatedSharpe, deflate_best
from scenario_gen.backtest.result import Choice, StrategyResult, Tail
from scenario_gen.backtest.skill import (
    PairedComparison,
    Skill,
    compare_each_other,
    compare_with,
    judge_together,
    not_judged,
    skill,
)
from scenario_gen.backtest.tail.causes import Played, TailCauses, costs_by_bar, tail_causes
from scenario_gen.backtest.tail.losses import ruin_curves, summarise_drawdowns, tail_losses, terminal_returns, worst_bar
from scenario_gen.backtest.tail.marker import Marker, Stretch, historical_marker
from scenario_gen.backtest.uses import class_name
from scenario_gen.finding import MARKER, NULLS, OVERFITTING, Finding, Label
from scenario_gen.generators.base import Advance
from scenario_gen.market.paths import PathSet
from scenario_gen.progress import Progress
from scenario_gen.stats.estimate import Estimate
from scenario_gen.stats.weights import Weights

HISTORY = 2520  # bars at most: ten years of trading days
CELLS = 20_000_000  # path x bar x set: 80 MB of float32
MOST_JUDGED = 256  # records of which the verdicts are kept
MOST_PATHS = 200  # each path is a record of its own; so many give a mean with a small error


def choices(
    sets: Sequence[LoadedStrategy], ground: AnyGround, tried: NDArray[np.float32], *, weighted: bool = False
) -> Choice:
    """Judge the choice of one of these parameter sets.

    Args:
        sets: of one strategy.
        ground: of one asset or of a book; as many bars as its context has warm every set up on history too.
        tried: simple returns of each set on the same paths, [path, bar, set]; see :func:`tried_paths`.
        weighted: these paths do not all stand for as much, and are no records to cross-validate.

    Raises:
        StrategyError: a set raised, or answered something unusable.
    """
    made, record = np.empty((0, len(sets))), ground.record(HISTORY)
    if record is not None:
        made = np.stack([simple_returns(traded_on(each, *record).equity)[0] for each in sets], axis=1)
    deflated, stepped, history = _judged(made.astype(np.float64), ground)
    return Choice(
        sets=len(sets),
        history_bars=len(made),
        deflated=deflated,
        stepwise=stepped,
        history=history,
        paths=overfitting_on_paths(tried, weighted=weighted),
    )


_JUDGED: dict[tuple[str, int, float, int], tuple[DeflatedSharpe, Stepwise, Overfitting]] = {}


def _judged(made: NDArray[np.float64], ground: AnyGround) -> tuple[DeflatedSharpe, Stepwise, Overfitting]:
    """Judge the real record of all sets, [bar, set]: once, however many scenarios begin where it ends.

    The three are functions of these numbers alone, and the thousand resamples of one record take as long as trading.
    """
    key = (hashlib.sha256(made.tobytes()).hexdigest(), made.shape[1], ground.bars_per_year, ground.seed)
    if key not in _JUDGED:
        if len(_JUDGED) == MOST_JUDGED:
            _JUDGED.clear()
        stepped = stepwise(made, seed=ground.seed)
        _JUDGED[key] = (deflate_best(made, ground.bars_per_year), stepped, overfitting_probability(made))
    return _JUDGED[key]


def tried_paths(sets: int, horizon: int) -> int:
    """Return on how many of the first paths so many sets are tried; one set has no choice to judge."""
    return 0 if sets < 2 else min(MOST_PATHS, max(1, CELLS // (horizon * sets)))


def simple_returns(equity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the simple returns of equity [path, bar + 1], float32 [path, bar]."""
    return bar_returns(equity.astype(np.float64)).astype(np.float32)


# --- Strategies held against something on the same paths ---


MAX_PATHS = 10_000  # the first of a scenario: whole paths and all trades of one strategy are held in memory
MAX_EACH_OTHER = 12  # strategies that are compared pair by pair; of more, each with holding alone
NO_NULLS = "random entries would trade on paths that do not all stand for as much"
SHORTEST_CONTEXT = 3  # bars that show a standard deviation


def with_evidence(
    ground: Ground,
    paths: PathSet,
    strategies: Sequence[LoadedStrategy],
    results: Sequence[StrategyResult],
    progress: Progress,
    title: str,
) -> list[StrategyResult]:
    """Return the results with skill, paired comparisons, tail, markers and the luck of the choice.

    Args:
        ground: context, history and account.
        paths: whole paths; at most ``MAX_PATHS``, or those of the islands that an interval takes.
        strategies: in the order of the results.
        results: what is known so far.
        progress: who hears of stages.
        title: of the stage.

    Raises:
        StrategyError: a strategy raised on real bars, or answered something unusable.
    """
    judged = []
    metrics: dict[str, pd.DataFrame] = {}
    tried: dict[str, list[NDArray[np.float32]]] = {}  # by use
    sets = Counter(strategy.use for strategy in strategies)
    skills: dict[str, Skill] = {}
    weights = paths.weighting
    later = ground.real(ground.later) if len(ground.later) else None
    with progress.stage(title, 2 * len(strategies)) as advance:
        for strategy, known in zip(strategies, results, strict=True):
            ran = trade(strategy, ground, paths)
            metrics[strategy.name] = ran.metrics
            few = tried_paths(sets[strategy.use], paths.horizon)
            tried.setdefault(strategy.use, []).append(simple_returns(ran.equity[:few]))
            if weights is not None:
                skills[strategy.name] = not_judged(len(paths), NO_NULLS)
            elif len(paths) > 1:
                null = random_entries(ran, paths, ground.broker, seed=ground.seed)
                skills[strategy.name] = skill(ran.metrics["total_return"].to_numpy(), null)
            tail = tail_of(ran, weights, _causes(ground, paths, ran))
            judged.append(replace(known, tail=tail, marker=markers(ground, strategy, ran, later, weights)))
            advance(1)
        found = with_choices(ground, tried, strategies, judged, metrics, advance, weights)
    together, pairs = judge_together(skills), _pairs(ground, paths, metrics)
    return [
        replace(one, nulls=together.get(one.name), paired=[pair for pair in pairs if pair.strategy == one.name])
        for one in found
    ]


def with_choices(
    ground: AnyGround,
    tried: dict[str, list[NDArray[np.float32]]],
    strategies: Sequence[LoadedStrategy],
    results: Sequence[StrategyResult],
    metrics: dict[str, pd.DataFrame],
    advance: Advance,
    weights: Weights | None,
) -> list[StrategyResult]:
    """Return the results with how lucky the choice of parameters was, each grid judged once.

    Args:
        ground: of one asset or of a book.
        tried: by use, simple returns of each set on the first paths, [path, bar] each; emptied.
        strategies: in the order of the results.
        results: what is known so far.
        metrics: of every path, by the strategy's name.
        advance: is told of each grid's sets.
        weights: of the paths, where they do not all stand for as much.
    """
    by_use: dict[str, list[LoadedStrategy]] = {}
    for strategy in strategies:
        by_use.setdefault(strategy.use, []).append(strategy)
    found = {}
    for use, sets in by_use.items():
        returns = np.stack([metrics[one.name]["total_return"].to_numpy() for one in sets])
        surface = parameter_stability([one.params for one in sets], returns, weights)
        choice = choices(sets, ground, np.stack(tried.pop(use), axis=2), weighted=weights is not None)
        found[use] = replace(choice, shape=surface.shape, advantage=surface.advantage, kept=surface.kept)
        advance(len(sets))
    return [replace(one, overfitting=found[one.use]) for one in results]


def _pairs(ground: Ground, paths: PathSet, metrics: dict[str, pd.DataFrame]) -> list[PairedComparison]:
    """Compare every strategy with holding and, where they are few, with every other one."""
    held = buy_and_hold(ground, paths)
    weights = paths.weighting
    beside = compare_with({**metrics, BUY_AND_HOLD: held.metrics}, BUY_AND_HOLD, weights=weights)
    return [*beside, *(compare_each_other(metrics, weights=weights) if len(metrics) <= MAX_EACH_OTHER else ())]


def tail_of(ran: BacktestResult, weights: Weights | None, causes: TailCauses | None) -> Tail:
    """Return how bad it gets on every path of a backtest."""
    return Tail(
        worst_bar=tail_losses(worst_bar(ran.equity), weights=weights),
        drawdowns=summarise_drawdowns(ran.equity, weights),
        ruin=ruin_curves(ran.equity, weights=weights),
        causes=causes,
        paths=len(ran.equity),
    )


def _causes(ground: Ground, paths: PathSet, ran: BacktestResult) -> TailCauses | None:
    closes = ground.context.close
    if len(closes) < SHORTEST_CONTEXT:
        return None
    costs = costs_by_bar(ran.trades, paths.path_ids, paths.horizon)
    played = Played(ran.equity, ran.exposure, costs, paths.column("open"), paths.close, closes)
    return tail_causes(played, weights=paths.weighting)


def markers(
    ground: AnyGround, strategy: LoadedStrategy, ran: BacktestResult, later: AnyPaths | None, weights: Weights | None
) -> list[Marker]:
    """Place what the strategy really made: on the bars before the paths, and on those that came after.

    Args:
        ground: of one asset or of a book.
        strategy: that traded.
        ran: what it made of every path.
        later: what came after the context, as one path of at most as many bars; None where nothing is known.
        weights: of the paths, where they do not all stand for as much.

    Raises:
        StrategyError: the strategy raised on real bars, or answered something unusable.
    """
    horizon = ran.exposure.shape[1]
    record = ground.record(horizon)
    stretches: list[tuple[Stretch, AnyGround, AnyPaths]] = []
    if record is not None and record[1].horizon == horizon:
        stretches.append(("context", *record))
    if later is not None:
        stretches.append(("continuation", ground, later))
    return [
        historical_marker(
            float(traded_on(strategy, before, real).metrics["total_return"].iloc[0]),
            terminal_returns(ran.equity[:, : real.horizon + 1]),
            stretch=stretch,
            metric="Total return",
            real_bars=real.horizon,
            path_bars=real.horizon,
            weights=weights,
        )
        for stretch, before, real in stretches
    ]


# --- Findings on skill ---


SKILL_LABELS: dict[str, Label] = {
    "skilled": "PASS",
    "worse": "WARN",
    "not told apart": "INCONCLUSIVE",
    "not judged": "UNTESTABLE",
}
MARKER_LABELS: dict[str, Label] = {
    "inside": "PASS",
    "low": "WARN",
    "high": "WARN",
    "undecided": "INCONCLUSIVE",
    "none": "UNTESTABLE",
}
DEFLATED = 0.95  # the deflated Sharpe ratio is a probability
DRAWING_LOTS = 0.5  # the share of splits in which a set chosen at random ranks below the median


def evidence_findings(
    results: Sequence[StrategyResult],
    scenario: str = "",
    beside: str = "random entries",
    like: str = " with the same trades",
) -> list[Finding]:
    """Return what the evidence says of every strategy, and of every grid of parameters once.

    ``beside`` and ``like`` as in :func:`nulls_findings`.
    """
    return [
        *nulls_findings(results, scenario, beside, like),
        *_marker_findings(results, scenario),
        *_choices(results, scenario),
    ]


def nulls_findings(results: Sequence[StrategyResult], scenario: str, beside: str, like: str) -> Iterable[Finding]:
    """Yield what is known of every strategy's skill ``beside`` a null strategy that is ``like`` it."""
    for one in results:
        if one.nulls is not None:
            yield NULLS.finding(
                label=SKILL_LABELS[one.nulls.label],
                measured=_skill_told(one.nulls, beside),
                band=f"a mean above that of {beside}{like}; {one.nulls.false_alarms:.1%} of strategies without skill "
                "get that",
                scenario=scenario,
                strategy=one.name,
            )


def _skill_told(skill: Skill, beside: str) -> str:
    if skill.p_adjusted is None:
        return skill.reason
    return f"{skill.label}: mean return {interval(skill.mean)} beyond {beside}, adjusted p {skill.p_adjusted:.3g}"


def _marker_findings(results: Sequence[StrategyResult], scenario: str) -> Iterable[Finding]:
    for one in results:
        for marker in one.marker:
            yield MARKER.finding(
                part=marker.stretch,
                label=MARKER_LABELS[marker.place],
                measured=marker.text,
                band=_marker_band(marker),
                scenario=scenario,
                strategy=one.name,
            )


def _marker_band(marker: Marker) -> str:
    where = "before" if marker.stretch == "context" else "after"
    return f"what came {where} the paths' begin lies within the middle 95 % of the paths"


def _choices(results: Sequence[StrategyResult], scenario: str) -> Iterable[Finding]:
    """Judge each strategy's grid once, for all its sets together."""
    by_use: dict[str, list[StrategyResult]] = {}
    for one in results:
        if one.overfitting is not None:
            by_use.setdefault(one.use, []).append(one)
    for use, sets in by_use.items():
        choice = sets[0].overfitting
        assert choice is not None
        yield OVERFITTING.finding(
            label=choice_label(choice),
            measured=_choice_told(choice),
            band="a set chosen on half of history ranks above the median on the other half, and a Sharpe ratio "
            f"deflated by all sets of {DEFLATED:g}",
            scenario=scenario,
            strategy=class_name(use),
        )


def choice_label(choice: Choice) -> Label:
    """Return PASS where both tests on history do, FAIL where choosing was worse than drawing lots, else between."""
    found = choice.history.probability
    if found.low is None or found.high is None:
        return "UNTESTABLE"
    if found.low > DRAWING_LOTS:
        return "FAIL"
    deflated = choice.deflated.deflated
    held = found.high < DRAWING_LOTS and deflated is not None and deflated >= DEFLATED
    return "PASS" if held else "INCONCLUSIVE"


def _choice_told(choice: Choice) -> str:
    deflated = choice.deflated
    if deflated.deflated is None or deflated.sharpe is None:
        return deflated.reason
    told = (
        f"{choice.sets} parameter set{'s' if choice.sets > 1 else ''} on {choice.history_bars:,} real bars; the "
        f"highest Sharpe ratio {deflated.sharpe:.2f}, deflated {deflated.deflated:.2f}{_effective_told(deflated)}"
        f"{_stepwise_told(choice.stepwise)}"
    )
    if choice.history.probability.value is None:
        return f"{told}; not cross-validated: {choice.history.reason}"
    return f"{told}; PBO by cross-validation {interval(choice.history.probability)}"


def _effective_told(deflated: DeflatedSharpe) -> str:
    if deflated.trials < 2 or deflated.effective_trials is None or deflated.deflated_by_effective is None:
        return ""
    return f" ({deflated.deflated_by_effective:.2f} by {deflated.effective_trials:.1f} effective trials)"


def _stepwise_told(stepwise: Stepwise) -> str:
    if stepwise.p_best is None:
        return f"; not tested stepwise: {stepwise.reason}"
    return f"; above 0 by the stepwise test (p {stepwise.p_best:.3g} at best): {stepwise.above} of {stepwise.sets}"


def interval(estimate: Estimate) -> str:
    """Return a fraction in percent with its 95 % interval, or why there is none."""
    if estimate.value is None:
        return estimate.reason
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2%}"
    return f"{estimate.value:.2%} [{estimate.low:.2%}, {estimate.high:.2%}]"
