"""The user's own limits: one enumerated list, each judged on the interval of what the paths say.

Owns what a limit measures and on which side it is broken. Does not know where limits are written, how a verdict is
worded or drawn, or what the generator's faults do to a favourable one (see ``verdict``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from scenario_gen.backtest.result import StrategyResult
from scenario_gen.finding import LIMITS, Finding, Label
from scenario_gen.stats.estimate import Estimate

NOT_MEASURED = Estimate(None, reason="not measured")
ALLOWED_DRAWDOWN_SHARE = 0.05  # a declared drawdown may be reached on at most this share of paths

Unit: TypeAlias = Literal["share of paths", "loss", "return", "ratio"]


@dataclass(frozen=True)
class Limit:
    """One limit that a spec may declare."""

    name: str  # the spec's key
    title: str  # what is measured, in words
    unit: Unit  # of the measured figure
    place: tuple[str, ...]  # where a strategy's result has the figure
    at_least: bool = False  # whether the figure must not fall below the level; else it must not rise above it
    allowed: float | None = None  # what the figure is held to, where that is not the declared level itself


@dataclass(frozen=True)
class LimitVerdict:
    """One limit, judged for one strategy in one scenario."""

    limit: str  # the spec's key
    declared: float  # the level that the spec declares
    allowed: float  # what the measured figure is held to: a share of paths, or the declared level
    measured: Estimate  # the figure, with its 95 % interval
    # FAIL where the whole interval breaks the limit, PASS where none of it does, INCONCLUSIVE between, and UNTESTABLE
    # where there is no figure; before any cap
    label: Label
    at_least: bool = False  # whether the figure must not fall below ``allowed``


def _limit(name: str, title: str, unit: Unit, *place: str, allowed: float | None = None) -> Limit:
    return Limit(name, title, unit, place, at_least=name.startswith("min_"), allowed=allowed)


KNOWN_LIMITS: tuple[Limit, ...] = (
    _limit("max_drawdown", "drawdown", "share of paths", "drawdown_beyond", allowed=ALLOWED_DRAWDOWN_SHARE),
    _limit("probability_of_loss", "paths that lose", "share of paths", "probability_of_loss"),
    _limit("var_95", "VaR 95%", "loss", "var", "0.95"),
    _limit("var_99", "VaR 99%", "loss", "var", "0.99"),
    _limit("cvar_95", "CVaR 95%", "loss", "cvar", "0.95"),
    _limit("cvar_99", "CVaR 99%", "loss", "cvar", "0.99"),
    _limit("min_return_p05", "5% quantile of the total return", "return", "metrics", "total_return", "0.05"),
    _limit("min_return_p25", "25% quantile of the total return", "return", "metrics", "total_return", "0.25"),
    _limit("min_return_p50", "median total return", "return", "metrics", "total_return", "0.5"),
    _limit("min_sharpe_p05", "5% quantile of the Sharpe ratio", "ratio", "metrics", "sharpe", "0.05"),
    _limit("min_sharpe_p25", "25% quantile of the Sharpe ratio", "ratio", "metrics", "sharpe", "0.25"),
    _limit("min_sharpe_p50", "median Sharpe ratio", "ratio", "metrics", "sharpe", "0.5"),
)
BY_NAME: Mapping[str, Limit] = {limit.name: limit for limit in KNOWN_LIMITS}


def drawdown_share(strategy: StrategyResult, limit: float) -> Estimate:
    """Return the share of paths whose drawdown reaches ``limit``; refused where the run did not count it."""
    for level, share in strategy.drawdown_beyond:
        if abs(level - limit) < 1e-9:
            return share
    return Estimate(None, reason=f"the run did not count drawdowns of {limit:.1%}")


def measure(limit: Limit, strategy: StrategyResult, declared: float) -> Estimate:
    """Return the figure that a limit judges."""
    match limit.place:
        case ("drawdown_beyond",):
            return drawdown_share(strategy, declared)
        case ("probability_of_loss",):
            return strategy.probability_of_loss
        case ("var" | "cvar" as kind, level):
            figures = strategy.var if kind == "var" else strategy.cvar
            return figures.get(level, NOT_MEASURED)
        case (_, metric, level):
            found = next((one for one in strategy.metrics if one.metric == metric), None)
            return NOT_MEASURED if found is None else found.quantiles.get(level, NOT_MEASURED)
    raise AssertionError(limit.place)  # a new kind of place: a defect of ours


def judge_figure(measured: Estimate, allowed: float, *, at_least: bool = False) -> Label:
    """Judge a figure against what is allowed, on its 95 % interval.

    FAIL where the whole interval lies beyond ``allowed``, PASS where none of it does, INCONCLUSIVE where the
    paths are too few to tell, UNTESTABLE where nothing was measured. A share that is too rare to be shown as a
    rate is judged on its interval all the same.
    """
    if measured.low is None or measured.high is None:
        return "UNTESTABLE" if measured.value is None else "INCONCLUSIVE"
    if measured.high < allowed if at_least else measured.low > allowed:
        return "FAIL"
    kept = measured.low >= allowed if at_least else measured.high <= allowed
    return "PASS" if kept else "INCONCLUSIVE"


def judge_strategy(strategy: StrategyResult, limits: Mapping[str, float]) -> list[LimitVerdict]:
    """Judge every declared limit for one strategy, in the order of :data:`KNOWN_LIMITS`; none declared, none judged."""
    return [_judge(limit, strategy, limits[limit.name]) for limit in KNOWN_LIMITS if limit.name in limits]


def _judge(limit: Limit, strategy: StrategyResult, declared: float) -> LimitVerdict:
    measured = measure(limit, strategy, declared)
    allowed = declared if limit.allowed is None else limit.allowed
    label = judge_figure(measured, allowed, at_least=limit.at_least)
    return LimitVerdict(limit.name, declared, allowed, measured, label, limit.at_least)


def strategy_findings(strategy: StrategyResult, limits: Mapping[str, float], scenario: str = "") -> list[Finding]:
    """Return one finding per declared limit for one strategy."""
    return [
        LIMITS.finding(
            verdict.label,
            told(verdict),
            part=verdict.limit,
            band=band(verdict),
            scenario=scenario,
            strategy=strategy.name,
            offenders=[strategy.name] if verdict.label == "FAIL" else [],
        )
        for verdict in judge_strategy(strategy, limits)
    ]


def told(verdict: LimitVerdict) -> str:
    """Return the measured figure in words, with its interval or why there is none."""
    limit, measured = BY_NAME[verdict.limit], verdict.measured
    if limit.unit == "share of paths":
        counted = measured.count if measured.value is None else None
        shown = f"{counted} of {measured.n} paths" if counted is not None else _figure(limit.unit, measured.value)
        shown = shown if counted is not None else f"{shown} of {measured.n} paths"
    else:
        shown = f"{limit.title} {_figure(limit.unit, measured.value)}"
    if measured.low is None or measured.high is None:
        return f"{shown} ({measured.reason})" if measured.reason else shown
    return f"{shown} [{_figure(limit.unit, measured.low)}, {_figure(limit.unit, measured.high)}]"


def band(verdict: LimitVerdict) -> str:
    """Return what the limit allows, in words."""
    limit = BY_NAME[verdict.limit]
    side = "at least" if verdict.at_least else "at most"
    allowed = _figure(limit.unit, verdict.allowed)
    if limit.name == "max_drawdown":
        return f"a drawdown of {verdict.declared:.1%} on {side} {allowed} of paths"
    return f"{side} {allowed}{' of paths' if limit.unit == 'share of paths' else ''}"


def _figure(unit: Unit, value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:.2f}" if unit == "ratio" else f"{value:.1%}"
