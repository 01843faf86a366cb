"""The user's own limits: one list, from which a spec's section, the judgements, the page and the terminal are made.

Owns what a limit is called and measures, which levels of it may be declared, on which side it is broken, and where a
strategy's result has its figure. Each is judged on the interval of what the paths say. Does not know where limits are
written, how a verdict is drawn, or what the generator's faults do to a favourable one (see ``finding.cap``). Imports
nothing heavy: a spec is read with it.

To add a limit: one entry in :data:`KNOWN_LIMITS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import Field, create_model

from scenario_gen.finding import LIMITS, Finding, Label
from scenario_gen.reading.section import Section

if TYPE_CHECKING:
    from scenario_gen.backtest.result import StrategyResult
    from scenario_gen.stats.estimate import Estimate

BOOK_LEVEL = 0.975  # of a book's expected shortfall
ALLOWED_DRAWDOWN_SHARE = 0.05  # a declared drawdown may be reached on at most this share of paths

Unit: TypeAlias = Literal["share of paths", "loss", "return", "ratio"]
Side: TypeAlias = Literal["at most", "at least"]
LEVELS: Mapping[Unit, Any] = {  # which may be declared
    "share of paths": Annotated[float | None, Field(gt=0.0, lt=1.0)],
    "loss": Annotated[float | None, Field(gt=0.0, lt=1.0)],
    "return": Annotated[float | None, Field(gt=-1.0, le=10.0)],
    "ratio": Annotated[float | None, Field(ge=-10.0, le=10.0)],
}


class Figure(NamedTuple):
    """What a limit judges, and where in a strategy's result it stands."""

    estimate: Estimate
    path: str  # from the strategy's result, such as ``var/0.95`` or ``metrics/metric=sharpe/quantiles/0.5``


Read: TypeAlias = "Callable[[StrategyResult, float], Figure]"  # of a result, at a declared level


@dataclass(frozen=True)
class Limit:
    """One limit that a spec may declare."""

    key: str  # in the spec
    title: str  # what is measured, in words
    description: str  # of the declared level, in the spec's schema
    unit: Unit  # of the measured figure; it bounds the levels that may be declared
    side: Side  # of the level, on which the figure must lie
    read: Read  # the figure, and where it stands
    allowed: float | None = None  # what the figure is held to, where that is not the declared level itself
    of_book: bool = False  # whether it is about several assets in one account, and nothing else has such a figure

    @property
    def field(self) -> tuple[Any, Any]:
        """The field of a spec's section: a level within its bounds, or nothing."""
        return LEVELS[self.unit], Field(default=None, description=self.description)


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
    path: str  # where the strategy's result has the figure


def _figure_at(path: str, estimate: Estimate | None, reason: str = "not measured") -> Figure:
    from scenario_gen.stats.estimate import Estimate

    return Figure(Estimate(None, reason=reason) if estimate is None else estimate, path)


def _drawdowns(strategy: StrategyResult, declared: float) -> Figure:
    for number, (depth, share) in enumerate(strategy.drawdown_beyond):
        if abs(depth - declared) < 1e-9:
            return _figure_at(f"drawdown_beyond/{number}/1", share)
    return _figure_at("drawdown_beyond", None, f"the run did not count drawdowns of {declared:.1%}")


def _losing(strategy: StrategyResult, _: float) -> Figure:
    return _figure_at("probability_of_loss", strategy.probability_of_loss)


def _passing(strategy: StrategyResult, _: float) -> Figure:
    account = strategy.account
    return _figure_at("account/passed", None if account is None else account.passed, "the run has no account rules")


def _tail(kind: Literal["var", "cvar"], level: str) -> Read:
    def read(strategy: StrategyResult, _: float) -> Figure:
        return _figure_at(f"{kind}/{level}", (strategy.var if kind == "var" else strategy.cvar).get(level))

    return read


def _book_es(strategy: StrategyResult, _: float) -> Figure:
    for number, tail in enumerate(() if strategy.risk is None else strategy.risk.tails):
        if (tail.sense, tail.level) == ("terminal", BOOK_LEVEL):
            return _figure_at(f"risk/tails/{number}/es", tail.es)
    return _figure_at("risk", None, "no book of several assets")


def _contribution(strategy: StrategyResult, _: float) -> Figure:
    es, path = _book_es(strategy, BOOK_LEVEL)
    shares = [] if strategy.risk is None else strategy.risk.shares("terminal", BOOK_LEVEL)
    if not shares or any(share.value is None for share in shares):
        return _figure_at(path, None, shares[0].reason if shares else es.reason)
    place = max(range(len(shares)), key=lambda part: shares[part].value or 0.0)
    return _figure_at(f"{path.removesuffix('es')}parts/{place}/share", shares[place])


def quantile_path(metric: str, level: str) -> str:
    """Return where a strategy's result has a quantile of a metric."""
    return f"metrics/metric={metric}/quantiles/{level}"


def _quantile(metric: str, level: str) -> Read:
    def read(strategy: StrategyResult, _: float) -> Figure:
        summary = next((summary for summary in strategy.metrics if summary.metric == metric), None)
        return _figure_at(quantile_path(metric, level), None if summary is None else summary.quantiles.get(level))

    return read


def _loss(key: str, title: str, loss: str, read: Read) -> Limit:
    return Limit(key, title, f"largest {loss}", "loss", "at most", read)


def _floor(key: str, figure: str, unit: Unit, read: Read) -> Limit:
    return Limit(key, figure.replace(" %", "%"), f"smallest {figure}", unit, "at least", read)


DRAWDOWN = Limit(
    "max_drawdown",
    "drawdown",
    "0.25: a fall of 25 % from a peak, allowed on at most 5 % of the paths",
    "share of paths",
    "at most",
    _drawdowns,
    allowed=ALLOWED_DRAWDOWN_SHARE,
)
LOSING = Limit(
    "probability_of_loss", "paths that lose", "largest share of paths that lose", "share of paths", "at most", _losing
)
KNOWN_LIMITS: tuple[Limit, ...] = (
    DRAWDOWN,
    LOSING,
    _loss("var_95", "VaR 95%", "loss that 95 % of the paths stay within", _tail("var", "0.95")),
    _loss("var_99", "VaR 99%", "loss that 99 % of the paths stay within", _tail("var", "0.99")),
    _loss("cvar_95", "CVaR 95%", "mean loss of the worst 5 % of the paths", _tail("cvar", "0.95")),
    _loss("cvar_99", "CVaR 99%", "mean loss of the worst 1 % of the paths", _tail("cvar", "0.99")),
    _floor("min_return_p05", "5 % quantile of the total return", "return", _quantile("total_return", "0.05")),
    _floor("min_return_p25", "25 % quantile of the total return", "return", _quantile("total_return", "0.25")),
    _floor("min_return_p50", "median total return", "return", _quantile("total_return", "0.5")),
    _floor("min_sharpe_p05", "5 % quantile of the Sharpe ratio", "ratio", _quantile("sharpe", "0.05")),
    _floor("min_sharpe_p25", "25 % quantile of the Sharpe ratio", "ratio", _quantile("sharpe", "0.25")),
    _floor("min_sharpe_p50", "median Sharpe ratio", "ratio", _quantile("sharpe", "0.5")),
    Limit(
        "pass_probability",
        "share that passes the account’s rules",
        "smallest share of paths that pass the rules of 'account'",
        "share of paths",
        "at least",
        _passing,
    ),
    Limit(
        "book_es_975",
        "ES 97.5% of the book",
        "of several assets: largest mean loss of the worst 2.5 % of the paths",
        "loss",
        "at most",
        _book_es,
        of_book=True,
    ),
    Limit(
        "contribution",
        "largest share of one asset in the book's ES 97.5%",
        "of several assets: largest share that one asset has in the book's mean loss on the worst 2.5 % of the paths",
        "loss",
        "at most",
        _contribution,
        of_book=True,
    ),
)
BY_KEY: Mapping[str, Limit] = {limit.key: limit for limit in KNOWN_LIMITS}


class _Declared(Section):
    """The user's own limits, each judged on the 95 % interval of what the paths say; a breach ends a run with 3."""

    def declared(self) -> dict[str, float]:
        """Return the level of each limit on strategies that is declared, by its key."""
        return self.model_dump(exclude_none=True, exclude={"event_probability"})

    def of_book(self) -> list[str]:
        """Return the declared limits that are about several assets in one account."""
        return [key for key in self.declared() if BY_KEY[key].of_book]


if TYPE_CHECKING:

    class Limits(_Declared):
        """The section of a spec."""

        event_probability: Mapping[str, float] = Field(default={})
else:  # one field for each entry of the list, and the limits on events
    Limits = create_model(
        "Limits",
        __base__=_Declared,
        __module__=__name__,
        __doc__=_Declared.__doc__,
        **{limit.key: limit.field for limit in KNOWN_LIMITS},
        event_probability=(
            dict[str, Any],
            Field(default={}, description="largest probability of a scenario's event, by the scenario's name"),
        ),
    )


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


def never_filled(strategy: StrategyResult) -> bool:
    """Return whether a strategy wanted orders and got none on any path: an idle account keeps every limit."""
    means = {summary.metric: summary.mean.value for summary in strategy.metrics}
    return means.get("unfilled") == 1.0 and means.get("trades") == 0.0


def judge_strategy(strategy: StrategyResult, limits: Mapping[str, float]) -> list[LimitVerdict]:
    """Judge every declared limit for one strategy, in the order of :data:`KNOWN_LIMITS`; none declared, none judged."""
    return [_judge(limit, strategy, limits[limit.key]) for limit in KNOWN_LIMITS if limit.key in limits]


def _judge(limit: Limit, strategy: StrategyResult, declared: float) -> LimitVerdict:
    measured, path = limit.read(strategy, declared)
    allowed = declared if limit.allowed is None else limit.allowed
    label = judge_figure(measured, allowed, at_least=limit.side == "at least")
    if label == "PASS" and never_filled(strategy):
        label = "UNTESTABLE"
    return LimitVerdict(limit.key, declared, allowed, measured, label, path)


def strategy_findings(strategy: StrategyResult, limits: Mapping[str, float], scenario: str = "") -> list[Finding]:
    """Return one finding per declared limit for one strategy."""
    return [
        LIMITS.finding(
            verdict.label,
            told(verdict) + ("; no order that it wanted was filled" if never_filled(strategy) else ""),
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
    limit, measured = BY_KEY[verdict.limit], verdict.measured
    if limit.unit == "share of paths":
        counted = measured.count if measured.value is None else None
        shown = f"{counted} of {measured.n} paths" if counted is not None else _figure(limit.unit, measured.value)
        if counted is None and measured.value is not None:  # a share without a count is one of weighted paths
            of = " of" if measured.count is not None else " by the weight of"
            shown += f"{of} {measured.n} paths"
    else:
        shown = f"{limit.title} {_figure(limit.unit, measured.value)}"
    if measured.low is None or measured.high is None:
        return f"{shown} ({measured.reason})" if measured.reason else shown
    return f"{shown} [{_figure(limit.unit, measured.low)}, {_figure(limit.unit, measured.high)}]"


def band(verdict: LimitVerdict) -> str:
    """Return what the limit allows, in words."""
    limit = BY_KEY[verdict.limit]
    allowed = _figure(limit.unit, verdict.allowed)
    if limit.allowed is not None:
        return f"a {limit.title} of {verdict.declared:.1%} on {limit.side} {allowed} of paths"
    return f"{limit.side} {allowed}{' of paths' if limit.unit == 'share of paths' else ''}"


def _figure(unit: Unit, value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:.2f}" if unit == "ratio" else f"{value:.1%}"
