"""Studies of the verdicts on what strategies made: limits, skill, markers, generators side by side, choice, ranks.

Paths are true futures of the market of ``benchmarks.planted``, or made where the truth must be known to a digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.study import SEEN, WARNS, Answers, Ask, Row, Study, World
from benchmarks.verdicts_on_forecasts import Knowing
from benchmarks.verdicts_on_paths import LENGTH, futures
from benchmarks.verdicts_on_strategies import STRATEGIES, YEAR, ground_of, loaded, paths_of, rising
from scenario_gen.backtest import Bars, LoadedStrategy, Signals, expand
from scenario_gen.backtest.agreement import compare_generators
from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.evidence import DEFLATED, MARKER_LABELS, choice_label
from scenario_gen.backtest.limits import Limits, judge_strategy
from scenario_gen.backtest.nulls import buy_and_hold, random_entries
from scenario_gen.backtest.overfitting.cscv import overfitting_on_paths, overfitting_probability
from scenario_gen.backtest.overfitting.grids import stepwise
from scenario_gen.backtest.overfitting.sharpe import deflate_best
from scenario_gen.backtest.result import Choice
from scenario_gen.backtest.skill import judge_together, skill
from scenario_gen.backtest.tail.marker import historical_marker
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.finding import AGREEMENT, LIMITS, MARKER, NULLS, OVERFITTING
from scenario_gen.forecasts.foresight import rank_strategies
from scenario_gen.forecasts.harness import Sampling
from scenario_gen.forecasts.origins import rolling_origins
from scenario_gen.market import Candles, PathSet
from scenario_gen.pipeline.summary import strategy_result

CALLED: tuple[frozenset[str], ...] = (frozenset({"called"}),)

# --- Limits: the paths are a random walk whose figures are known ---

DAILY = 0.01  # deviation of a bar's log return
HELD = (
    "probability_of_loss", "max_drawdown", "var_95", "var_99", "cvar_95", "cvar_99", "min_return_p05", "min_return_p50"
)  # fmt: skip


@lru_cache(maxsize=1)
def _true_figures() -> Mapping[str, float]:
    """Return each limit's level at which the true figure of holding the walk lies exactly."""
    deviation = DAILY * np.sqrt(LENGTH)

    def quantile(level: float) -> float:
        return float(np.expm1(deviation * stats.norm.ppf(level)))

    def shortfall(level: float) -> float:  # the mean of a log-normal below its quantile
        edge = stats.norm.ppf(level)
        return 1 - float(np.exp(deviation**2 / 2) * stats.norm.cdf(edge - deviation) / level)

    walks = np.cumsum(DAILY * np.random.default_rng(0).standard_normal((100_000, LENGTH)), axis=1)
    tops = np.maximum.accumulate(np.maximum(walks, 0.0), axis=1)
    falls = 1 - np.exp((walks - tops).min(axis=1))
    levels = (0.5, float(np.quantile(falls, 0.95)), -quantile(0.05), -quantile(0.01), shortfall(0.05), shortfall(0.01))
    return dict(zip(HELD, (*levels, quantile(0.05), quantile(0.5)), strict=True))


def _limits(factor: float = 1.0, shift: float = 0.0, paths: int = 2000) -> Ask:
    """Ask every limit, declared at the true figure, of a walk that is wider by a factor or falls."""

    def answer(world: World) -> Answers:
        rng = world.rng("walk")
        context = world.history().context(SEEN)
        steps = factor * DAILY * rng.standard_normal((paths, LENGTH)) - shift
        close = np.exp(np.cumsum(steps, axis=1))
        before = np.column_stack([np.ones(paths), close[:, :-1]])
        anchor = float(context.close[-1])
        prices = [anchor * x for x in (before, np.maximum(before, close), np.minimum(before, close), close)]
        stamps = pd.bdate_range(context.timestamps[-1], periods=LENGTH + 1)[1:]
        made = PathSet.of_arrays(*prices, timestamps=stamps, anchor_close=anchor)
        ran = buy_and_hold(ground_of(world), made)
        result = strategy_result(
            LoadedStrategy("holding", "", {}, None, Path(__file__)),
            ran.metrics,
            ran.equity[:, :1].T,
            made.path_ids,
            LENGTH,
            Limits(**_true_figures()),
            seed=world.number,
        )
        return {f"limit {v.limit}": v.label for v in judge_strategy(result, _true_figures())}

    return answer


# --- Skill, markers, generators side by side ---


def _seer(world: World, knows: float) -> LoadedStrategy:
    """Return a trader who holds for a bar at random times, and leaves out so many of those that lose."""

    def random(bars: Bars) -> Signals:
        rng, shape = world.rng("wishes"), bars.close.shape
        gains = (bars.open.shift(-2) > bars.open.shift(-1)).to_numpy()
        at = (rng.random(shape) < 0.1) & (gains | (rng.random(shape) >= knows))
        entries = pd.DataFrame(at, bars.close.index, bars.close.columns)
        return Signals(entries, entries.shift(1, fill_value=False))

    return loaded(random)


def _nulls(knows: float = 0.0) -> Ask:
    """Ask whether a trader is skilled; in every second world one who knows nothing follows the trend."""

    def answer(world: World) -> Answers:
        ground, paths = ground_of(world), paths_of(world)
        strategy = loaded(rising_or_not) if not knows and world.number % 2 else _seer(world, knows)
        ran = trade(strategy, ground, paths)
        null = random_entries(ran, paths, ground.broker, seed=world.number)
        judged = judge_together({"it": skill(ran.metrics["total_return"].to_numpy(), null)})["it"].label
        return {"skill beyond random entries": "called" if judged == "skilled" else judged}

    return answer


def rising_or_not(bars: Bars) -> Signals:
    """Be long while a close is above the mean of twenty."""
    return Signals(rising(bars), ~rising(bars))


def _marker(factor: float = 1.0, chosen: int = 1, *, before: bool = False) -> Ask:
    """Place what a fixed plan, long or out at each bar, made on real bars among what it makes on true futures.

    Of several plans that is taken which made most on the real bars; those are the last before the paths, or those that
    came after.
    """

    def answer(world: World) -> Answers:
        bars, history = futures(world, 513), world.history()
        moves = factor * np.diff(np.log(np.column_stack([bars.anchor_close, bars.close])), axis=1)  # [path, bar]
        real = np.diff(np.log(history.close[-LENGTH - 1 :])) if before else moves[0] / factor
        plans = world.rng("plans").random((chosen, LENGTH)) < (1.0 if chosen == 1 else 0.5)
        plan = plans[int(np.argmax(plans @ real))]
        made, value = np.expm1(moves[1:] @ plan), float(np.expm1(real @ plan))
        found = historical_marker(value, made, stretch="context", metric="", real_bars=LENGTH, path_bars=LENGTH)
        return {_marker_name(before=before): MARKER_LABELS[found.place]}

    return answer


def _marker_name(*, before: bool) -> str:
    return f"marker, bars {'before the paths' if before else 'that came'}"


def _agreement(factor: float = 1.0, shift: float = 0.0) -> Ask:
    """Ask whether what holding makes on 512 true futures hangs on the generator; the second one may err."""

    def answer(world: World) -> Answers:
        bars = futures(world, 1024)
        logs = np.log(bars.close[:, -1] / bars.anchor_close)
        theirs = factor * logs[512:] - shift * logs.std()
        found = compare_generators("holding", {"a": np.expm1(logs[:512]), "b": np.expm1(theirs)}).label
        return {"agreement of generators": {"depends on the generator": "WARN", "agree": "PASS"}.get(found, "open")}

    return answer


# --- The choice among parameter sets ---

YEARS, SETS, CORRELATION = 10, 20, 0.5


def record(world: World, sharpe: float = 0.0, skilled: int = 0, *, fades: bool = False) -> np.ndarray:
    """Return ten years of daily returns of twenty sets [bar, set], half of whose variance is shared.

    Args:
        world: whose volatility they have.
        sharpe: ratio of a skilled set, per year.
        skilled: how many of the sets are.
        fades: every set earns nothing over the record, so that what it made in one half it loses in the other.
    """
    bars, rng = int(YEAR) * YEARS, world.rng("record")
    own, shared = rng.standard_normal((bars, SETS)), rng.standard_normal((bars, 1))
    mean = np.where(np.arange(SETS) < skilled, sharpe / np.sqrt(YEAR), 0.0)
    moves = np.sqrt(1 - CORRELATION) * own + np.sqrt(CORRELATION) * shared + mean
    moves = 0.01 * world.volatility(bars)[:, None] * moves
    return np.asarray(moves - moves.mean(axis=0) if fades else moves)


def _choice(sharpe: float = 0.0, skilled: int = 0, *, fades: bool = False) -> Ask:
    """Ask all that judges a choice on history."""

    def answer(world: World) -> Answers:
        returns = record(world, sharpe, skilled, fades=fades)
        deflated, history = deflate_best(returns, YEAR), overfitting_probability(returns)
        nothing = overfitting_on_paths(np.zeros((0, LENGTH, SETS)))
        label = choice_label(Choice(SETS, len(returns), deflated, history, nothing))
        p = stepwise(returns, seed=world.number).p_best
        return {
            "choice of parameters: worse than lots": "called" if label == "FAIL" else label,
            "choice of parameters: PASS": "called" if label == "PASS" else label,
            "deflated Sharpe ratio, all sets": "called" if (deflated.deflated or 0.0) >= DEFLATED else "no",
            "stepwise test (Romano and Wolf)": "called" if p is not None and p < 0.05 else "no",
        }

    return answer


# --- Ranks of strategies ---

GRIDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("buy_and_hold.py:BuyAndHold", {}),
    ("sma_cross.py:SmaCross", {"fast": 10, "slow": [20, 50]}),
    ("donchian_breakout.py:DonchianBreakout", {"entry": [10, 40]}),
    ("rsi_reversion.py:RsiReversion", {"period": 5}),
)


@lru_cache(maxsize=1)
def _ranked() -> list[LoadedStrategy]:
    uses = [StrategyUse(use=use, params=params) for use, params in GRIDS]
    return [strategy for use in uses for strategy in expand(use, STRATEGIES).strategies]


def _ranks(trend: float = 0.0) -> Ask:
    """Ask whether strategies rank on a right generator's paths as on what came; a trend rewards those that hold most.

    The verdict is the interval over 20 origins: "called" where all of it is above 0.
    """

    def answer(world: World) -> Answers:
        history = _rising(world.history(), trend)
        market = world.market()
        generator = Knowing(market, world.half_life, trend=0.0, rise=trend)
        chosen = rolling_origins(len(history), context=SEEN, horizon=LENGTH, count=20).of(history)
        (found,) = rank_strategies([generator], chosen, _ranked(), Sampling(SEEN, LENGTH, 50), bars_per_year=YEAR)
        return {"rank test": "called" if found.low > 0 or found.high < 0 else "no"}

    return answer


def _rising(history: Candles, by: float) -> Candles:
    values = history.values.copy()
    values[:, :4] *= np.exp(by * np.arange(1, len(history) + 1))[:, None]
    return replace(history, values=values)


GRID_WRONG: Mapping[str, Ask] = {
    "one set of twenty with a Sharpe ratio of 1": _choice(1.0, 1),
    "all with a Sharpe ratio of 1": _choice(1.0, SETS),
    "what a set makes in one half it loses in the other": _choice(fades=True),
}
SKILL, FADE = tuple(GRID_WRONG)[:2], tuple(GRID_WRONG)[2:]

STUDIES: tuple[Study, ...] = (
    Study(
        "limits",
        tuple(Row(f"limit {limit}", LIMITS, (frozenset({"FAIL"}),)) for limit in HELD),
        _limits(),  # the true figure lies at the limit: a FAIL is an error, and so would a PASS be
        {"paths a fifth wider, and lower by a third of a deviation": _limits(1.2, 0.0258 / LENGTH)},
        repeats=100,
        still="paths alone",
    ),
    Study(
        "nulls",
        (Row("skill beyond random entries", NULLS, CALLED),),
        _nulls(),
        {"leaves out a fifth of the bars that lose": _nulls(0.2), "leaves out half": _nulls(0.5)},
        repeats=100,
    ),
    Study(
        "marker",
        (Row(_marker_name(before=False), MARKER, WARNS),),
        _marker(),
        {"the paths' moves are x .5": _marker(0.5), "the best of 50 plans on these bars": _marker(chosen=50)},
        repeats=100,
    ),
    Study(
        "marker before",
        (Row(_marker_name(before=True), MARKER, WARNS),),
        _marker(before=True),
        {
            "the paths' moves are x .5": _marker(0.5, before=True),
            "the best of 50 plans on these bars": _marker(1.0, 50, before=True),
        },
        repeats=100,
    ),
    Study(
        "choice",
        (
            Row("deflated Sharpe ratio, all sets", OVERFITTING, CALLED, SKILL),
            Row("stepwise test (Romano and Wolf)", OVERFITTING, CALLED, SKILL),
            Row("choice of parameters: PASS", OVERFITTING, CALLED, SKILL[:1]),
            Row("choice of parameters: worse than lots", OVERFITTING, CALLED, FADE),
        ),
        _choice(),
        GRID_WRONG,
        repeats=100,
    ),
    Study(
        "agreement",
        (Row("agreement of generators", AGREEMENT, WARNS),),
        _agreement(),
        {"one generator's moves are x 1.5": _agreement(1.5), "one leans by half a deviation": _agreement(shift=0.5)},
        repeats=100,
    ),
    Study("ranks", (Row("rank test", None, CALLED),), _ranks(), {"a trend of .1 % a bar": _ranks(0.001)}, repeats=8),
)
