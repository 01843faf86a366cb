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
from scenario_gen.backtest.tail.causes import Played, costs_by_bar, tail_causes
from scenario_gen.backtest.tail.losses import ruin_curves, summarise_drawdowns, tail_losses, terminal_returns, worst_bar
from scenario_gen.backtest.tail.marker import Marker, Stretch, historical_marker
from scenario_gen.backtest.uses import class_name
from scenario_gen.finding import MARKER, NULLS, OVERFITTING, Finding, Label
from scenario_gen.generators.base import Advance
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.progress import Progress
from scenario_gen.stats.estimate import Estimate
from scenario_gen.stats.weights import Weights

HISTORY = 2520  # bars at most: ten years of trading days
CELLS = 20_000_000  # path x bar x set: 80 MB of float32
MOST_JUDGED = 256  # records of which the verdicts are kept
MOST_PATHS = 200  # each path is a record of its own; so many give a mean with a small error


def choices(
    sets: Sequence[LoadedStrategy], ground: Ground, tried: NDArray[np.float32], *, weighted: bool = False
) -> Choice:
    """Judge the choice of one of these parameter sets.

    Args:
        sets: of one strategy.
        ground: as many bars as its context has warm every set up on history too.
        tried: simple returns of each set on the same paths, [path, bar, set]; see :func:`tried_paths`.
        weighted: these paths do not all stand for as much, and are no records to cross-validate.

    Raises:
        StrategyError: a set raised, or answered something unusable.
    """
    seen, bars = len(ground.context), len(ground.history)
    real = ground.history.rows(max(0, bars - seen - HISTORY), bars)
    before, record = ground.behind(real.rows(0, seen)), real.rows(seen, len(real))
    made = np.empty((0, len(sets)))
    if len(record):
        alone = before.real(record)
        made = np.stack([simple_returns(trade(each, before, alone).equity)[0] for each in sets], axis=1)
    deflated, stepped, history = _judged(made.astype(np.float64), ground)
    return Choice(
        sets=len(sets),
        history_bars=len(record),
        deflated=deflated,
        stepwise=stepped,
        history=history,
        paths=overfitting_on_paths(tried, weighted=weighted),
    )


_JUDGED: dict[tuple[str, int, float, int], tuple[DeflatedSharpe, Stepwise, Overfitting]] = {}


def _judged(made: NDArray[np.float64], ground: Ground) -> tuple[DeflatedSharpe, Stepwise, Overfitting]:
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
            judged.append(replace(known, tail=_tail(ground, paths, ran), marker=_markers(ground, paths, strategy, ran)))
            advance(1)
        found = _with_choices(ground, tried, strategies, judged, metrics, advance, weights)
    together, pairs = judge_together(skills), _pairs(ground, paths, metrics)
    return [
        replace(one, nulls=together.get(one.name), paired=[pair for pair in pairs if pair.strategy == one.name])
        for one in found
    ]


def _with_choices(
    ground: Ground,
    tried: dict[str, list[NDArray[np.float32]]],
    strategies: Sequence[LoadedStrategy],
    results: Sequence[StrategyResult],
    metrics: dict[str, pd.DataFrame],
    advance: Advance,
    weights: Weights | None,
) -> list[StrategyResult]:
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


def _tail(ground: Ground, paths: PathSet, ran: BacktestResult) -> Tail:
    closes, weights = ground.context.close, paths.weighting
    causes = None
    if len(closes) >= SHORTEST_CONTEXT:
        costs = costs_by_bar(ran.trades, paths.path_ids, paths.horizon)
        played = Played(ran.equity, ran.exposure, costs, paths.column("open"), paths.close, closes)
        causes = tail_causes(played, weights=weights)
    return Tail(
        worst_bar=tail_losses(worst_bar(ran.equity), weights=weights),
        drawdowns=summarise_drawdowns(ran.equity, weights),
        ruin=ruin_curves(ran.equity, weights=weights),
        causes=causes,
        paths=len(paths),
    )


def _markers(ground: Ground, paths: PathSet, strategy: LoadedStrategy, ran: BacktestResult) -> list[Marker]:
    """Place what the strategy really made: on the bars before the paths, and on those that came after."""
    markers, seen, horizon, weights = [], len(ground.context), paths.horizon, paths.weighting
    before = len(ground.history) - horizon
    if before >= seen:
        warm, last = ground.history.rows(before - seen, before), ground.history.rows(before, before + horizon)
        markers.append(_marker(ground.behind(warm), strategy, ran.equity, last, "context", weights))
    if len(ground.later):
        markers.append(_marker(ground, strategy, ran.equity, ground.later, "continuation", weights))
    return markers


def _marker(
    ground: Ground,
    strategy: LoadedStrategy,
    equity: NDArray[np.float32],
    real: Candles,
    stretch: Stretch,
    weights: Weights | None,
) -> Marker:
    bars = len(real)
    made = trade(strategy, ground, ground.real(real))
    return historical_marker(
        float(made.metrics["total_return"].iloc[0]),
        terminal_returns(equity[:, : bars + 1]),
        stretch=stretch,
        metric="Total return",
        real_bars=bars,
        path_bars=bars,
        weights=weights,
    )


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


def evidence_findings(results: Sequence[StrategyResult], scenario: str = "") -> list[Finding]:
    """Return what the evidence says of every strategy, and of every grid of parameters once."""
    return [*nulls_findings(results, scenario), *_marker_findings(results, scenario), *_choices(results, scenario)]


def nulls_findings(
    results: Sequence[StrategyResult],
    scenario: str,
    beside: str = "random entries",
    like: str = " with the same trades",
) -> Iterable[Finding]:
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
