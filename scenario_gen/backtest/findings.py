"""What is asked of every strategy itself: whether it looks ahead, warms up long enough, and hangs on order in bars.

Owns how the causality probe and the warm-up become findings. Both look at a few paths; neither knows money.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest.book import AnyGround, AnyPaths
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.probe import CausalityProbe, Leak, probe_causality
from scenario_gen.backtest.reruns import IntrabarOrders, WarmUp, intrabar_orders, warm_up
from scenario_gen.finding import FILLS, INTRABAR, LOOK_AHEAD, WARM_UP, Finding, Label
from scenario_gen.stats.estimate import ByName

ORDERS_PATHS = 512  # every path is run three times
Z95 = 1.96


def intrabar_finding(
    strategy: LoadedStrategy, ground: AnyGround, paths: AnyPaths, *, scenario: str = ""
) -> list[Finding]:
    """Run a strategy with the stop first, the target first and a coin for each bar; an empty list where none matters.

    Raises:
        StrategyError: the strategy raised, or returned something unusable.
    """
    some = paths.first(ORDERS_PATHS)
    found = intrabar_orders(strategy, ground, some)
    if found is None:
        return []
    returns = {
        order: np.asarray(metrics["total_return"], dtype=np.float64)
        for order, metrics in (("worst", found.worst), ("random", found.random), ("best", found.best))
    }
    means = {order: float(values.mean()) for order, values in returns.items()}
    error = _standard_error(returns["worst"])
    return [
        INTRABAR.finding(
            label=_label(found, means["best"] - means["worst"], error),
            measured=_orders_told(found, means),
            scenario=scenario,
            strategy=strategy.name,
            evidence=[
                {
                    "trades": found.trades,
                    "ambiguous": found.ambiguous,
                    "paths": len(some),
                    **{f"mean_return_{order}": mean for order, mean in means.items()},
                    **{f"median_return_{order}": float(np.median(r)) for order, r in returns.items()},
                    "standard_error": error,
                }
            ],
        )
    ]


def _standard_error(values: NDArray[np.float64]) -> float | None:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


def _label(orders: IntrabarOrders, width: float, error: float | None) -> Label:
    if not orders.trades or error is None:
        return "UNTESTABLE"
    return "WARN" if abs(width) > Z95 * error else "PASS"


def _orders_told(orders: IntrabarOrders, means: dict[str, float]) -> str:
    if not orders.trades:
        return "no trade was made"
    share = orders.ambiguous / orders.trades
    return (
        f"{orders.ambiguous} of {orders.trades} trades ({share:.1%}) meet stop and target in one bar; "
        f"mean return {means['worst']:.2%} with the stop first (what is reported), "
        f"{means['random']:.2%} with a coin for each bar, {means['best']:.2%} with the target first"
    )


# --- Whether the account could fill what a strategy wanted ---


MOST_UNFILLED = 0.05  # of the orders that were wanted


def fills_findings(
    metrics: Iterable[tuple[LoadedStrategy, ByName]], grounds: Mapping[str, Ground], scenario: str
) -> list[Finding]:
    """Return a finding on every strategy of which the account cut or refused an order, by the metrics of each."""
    return [
        finding for strategy, of in metrics for finding in fills_finding(strategy.name, of, grounds, scenario=scenario)
    ]


def fills_finding(
    strategy: str, metrics: ByName, grounds: Mapping[str, Ground], *, scenario: str = ""
) -> list[Finding]:
    """Say how many of its orders a strategy did not get, or got late; an empty list where it got all in time.

    Args:
        strategy: its name.
        metrics: one row per path, with ``unfilled`` (NaN where nothing was wanted), ``trades``, ``held_sales`` and
            ``waited_orders`` (NaN without such rules).
        grounds: whose brokers and last closes say why, by asset; "" where there is one alone.
        scenario: name, for the finding.
    """
    unfilled, trades = (np.asarray(metrics[name], dtype=np.float64) for name in ("unfilled", "trades"))
    wanted, late = ~np.isnan(unfilled), _late_told(metrics, grounds)
    if not (unfilled[wanted] > 0).any() and not late:
        return []
    share, never = float(unfilled[wanted].mean()), int((wanted & (trades == 0)).sum())
    paths = f"{int(wanted.sum()):,} path{'s' if wanted.sum() > 1 else ''}"
    told = (
        f"no wanted order could be filled on any of {paths}"
        if never == wanted.sum()
        else f"{share:.1%} of the orders wanted were cut or refused; on {never:,} of {paths} none could be filled"
    )
    reasons, told = _limits_of(grounds), "; ".join([told, *late])
    return [
        FILLS.finding(
            "WARN" if share > MOST_UNFILLED else "PASS",
            f"{told} ({'; '.join(reasons)})",
            scenario=scenario,
            strategy=strategy,
            offenders=reasons,
            evidence=[{"unfilled_share": share, "paths_wanting": int(wanted.sum()), "paths_without_a_fill": never}],
        )
    ]


def _late_told(metrics: ByName, grounds: Mapping[str, Ground]) -> list[str]:
    """Return what T+1 and price limits held back, in words; nothing where no broker has such a rule, or none met it."""
    brokers = [ground.broker for ground in grounds.values()]
    rules = (
        ("held_sales", any(broker.t_plus for broker in brokers), "T+1 held back {} sales, on {} of {} paths"),
        ("waited_orders", any(broker.at_limit == "wait" for broker in brokers), "{} orders found nobody, on {} of {}"),
    )
    told = []
    for name, holds, words in rules:
        counts = np.nan_to_num(np.asarray(metrics[name], dtype=np.float64)) if holds else np.zeros(0)
        if counts.any():
            told.append(words.format(f"{counts.sum():,.0f}", f"{np.count_nonzero(counts):,}", f"{len(counts):,}"))
    return told


def _limits_of(grounds: Mapping[str, Ground]) -> list[str]:
    """Return what keeps this account from filling orders, in words, each once."""
    reasons: dict[str, None] = {}
    for asset, ground in grounds.items():
        broker, of = ground.broker, f" of {asset}" if asset else ""
        if broker.lot is not None and broker.lot * ground.anchor_close > broker.cash * broker.leverage:
            at = "" if broker.leverage == 1 else f" at a leverage of {broker.leverage:g}"
            held, worth = f"the account holds {broker.cash:,.0f}{at}", f"{broker.lot * ground.anchor_close:,.0f}"
            reasons[f"one lot of {broker.lot:g}{of} is worth {worth}, and {held}"] = None
        elif broker.lot is not None:
            worth = f"{broker.lot * ground.anchor_close:,.6g}"
            reasons[f"orders{of} come in lots of {broker.lot:g}, worth {worth}"] = None
        if broker.volume_share is not None:
            reasons[f"at most {broker.volume_share:.3g} of a bar's volume{of} may be traded"] = None
        if (least := max(broker.fee_minimum, broker.fee_per_order)) > MOST_UNFILLED * broker.cash:
            reasons[f"an order{of} costs at least {least:,.6g}"] = None
        if broker.t_plus:
            reasons[f"what was bought{of} is sold from the next session on (broker.t_plus: 1)"] = None
        if broker.at_limit == "wait" and ground.market.price_limit is not None:
            reasons[f"at the price limit of {ground.market.price_limit:.3g}{of} orders wait"] = None
        if not broker.shorts:
            reasons[f"no short{of} is opened (broker.shorts: false)"] = None
    shared = ["the assets share the account's cash"] if len(grounds) > 1 else []
    other = ["an entry and an exit at the same bar cancel each other, and a ruined account trades no more"]
    return [*reasons] or [*shared, *other]


# --- What is asked of every strategy itself ---


WARM_UP_WARN = 0.01  # of the decisions on the path: beyond it results hang on where the history was cut
WARM_UP_BAND = f"at most {WARM_UP_WARN:.0%} of decisions change with 25 % more context, or less where no more is known"


def ask_strategy(
    strategy: LoadedStrategy, ground: AnyGround, paths: AnyPaths, *, scenario: str = ""
) -> tuple[WarmUp, list[Finding]]:
    """Ask a strategy everything that its code alone answers: causality, warm-up and, with stop and target, their order.

    Args:
        strategy: whom to ask.
        ground: the real bars before the paths, and the account; its seed decides the order within bars by a coin.
        paths: some generated bars.
        scenario: name, for the findings.

    Raises:
        StrategyError: the strategy raised, or returned something unusable.
    """
    ahead = look_ahead_finding(strategy, ground, paths, scenario=scenario)
    warm, warming = warm_up_of(strategy, ground, paths, scenario=scenario)
    orders = intrabar_finding(strategy, ground, paths, scenario=scenario)
    return warm, [ahead, warming, *orders]


Stand: TypeAlias = tuple[str, AnyGround, Callable[[], AnyPaths]]  # a scenario's name, its ground, and some of its paths


def ask_strategies(
    strategies: Sequence[LoadedStrategy], stands: Sequence[Stand], advance: Callable[[int], None]
) -> tuple[list[WarmUp], list[Finding]]:
    """Ask every strategy on the first of some scenarios; as :func:`ask_strategy`.

    One that never enters there is probed for look-ahead on the next scenario where it does. The warm-up looks at 32 of
    the paths.

    Raises:
        StrategyError: a strategy raised, or returned something unusable.
    """
    name, ground, paths = stands[0]
    warm: list[WarmUp] = []
    findings: list[Finding] = []
    for strategy in strategies:
        warmed, more = ask_strategy(strategy, ground, paths(), scenario=name)
        warm.append(warmed)
        findings += [_anywhere(stands[1:], strategy, finding) for finding in more]
        advance(1)
    return warm, findings


def _anywhere(others: Sequence[Stand], strategy: LoadedStrategy, finding: Finding) -> Finding:
    """Return what is found on look-ahead in the next scenario where that can be said; any other finding as it is."""
    if finding.check is not LOOK_AHEAD or finding.label != "UNTESTABLE":
        return finding
    for name, ground, paths in others:
        other = look_ahead_finding(strategy, ground, paths(), scenario=name)
        if other.label != "UNTESTABLE":
            return other
    return finding


def look_ahead_finding(strategy: LoadedStrategy, ground: AnyGround, paths: AnyPaths, *, scenario: str = "") -> Finding:
    """Probe one strategy for decisions that later bars, other paths or chance change.

    Raises:
        StrategyError: the strategy raised, or returned something unusable.
    """
    found = probe_causality(strategy, ground, paths)
    return LOOK_AHEAD.finding(
        label=found.label,
        measured=_told(found),
        scenario=scenario,
        offenders=[str(leak) for leak in found.leaks],
        strategy=strategy.name,
        evidence=[_evidence(leak) for leak in found.leaks],
    )


def warm_up_of(
    strategy: LoadedStrategy, ground: AnyGround, paths: AnyPaths, *, scenario: str = ""
) -> tuple[WarmUp, Finding]:
    """Count the decisions that change with less and more context; say whether they are too many.

    Raises:
        StrategyError: the strategy raised, or returned something unusable.
    """
    found = warm_up(strategy, ground, paths)
    return found, WARM_UP.finding(
        label=_warm_label(found),
        measured=_warm_told(found),
        band=WARM_UP_BAND,
        scenario=scenario,
        offenders=[*found.fields],
        strategy=strategy.name,
    )


def _told(probe: CausalityProbe) -> str:
    if probe.leaks:
        more = f"; {len(probe.leaks) - 1} more kind" if len(probe.leaks) > 1 else ""
        return f"{probe.leaks[0]}{more}"
    if probe.reason:
        return probe.reason
    plain = {name: name if " " in name or name in ("bought", "sold") else f"{name} change" for name in probe.turns}
    said = ", ".join(f"{count} where {plain[name]}" for name, count in probe.turns.items())
    where = f", {said}" if said else ""
    never = " or ".join(probe.silent)
    silent = f"; {never} never come on the {probe.surveyed} paths looked at and were not probed" if never else ""
    return f"no decision changed with the bars after {probe.cuts} cuts{where}, on {probe.paths} paths{silent}"


def _evidence(leak: Leak) -> dict[str, Any]:
    """Return a leak as plain values; the column of a strategy's frames is the path's id."""
    values = asdict(leak)
    return {
        "kind": values["kind"],
        "field": values["field"],
        "bar": values["bar"],
        "timestamp": leak.timestamp.isoformat(),
        "column": values["path"],
        "cut": values["cut"],
        "reach": values["reach"],
    }


def _warm_label(warm_up: WarmUp) -> Label:
    decisive = warm_up.less if warm_up.more is None else warm_up.more
    if decisive is None:
        return "UNTESTABLE"
    return "WARN" if decisive > WARM_UP_WARN else "PASS"


def _warm_told(warm_up: WarmUp) -> str:
    if warm_up.less is None and warm_up.more is None:
        return (
            warm_up.failed
            or f"a context of {warm_up.context_bars} bars cannot be shortened, and no older bars are known"
        )
    parts = [
        f"{share:.1%} with a quarter {side}"
        for side, share in (("less", warm_up.less), ("more", warm_up.more))
        if share is not None
    ]
    failed = f"; it raised on another length: {warm_up.failed}" if warm_up.failed else ""
    return f"of its decisions change {' and '.join(parts)} of {warm_up.context_bars} bars of context{failed}"
