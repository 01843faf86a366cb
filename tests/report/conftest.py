"""Run values made up by the tests: random-walk markets, five simple rules, every estimate by plain numpy."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import stats

from scenario_gen.backtest.result import Fan, NamedPath, Realised, RepairedFigure, RepairEffect, StrategyResult, Trade
from scenario_gen.candles.account import CandleAccount, FactShift, Interval, Wickless
from scenario_gen.candles.rules import RuleCount
from scenario_gen.report.page import build_page
from scenario_gen.stats.estimate import Estimate, MetricSummary
from scenario_gen.store.results import ContextView, ScenarioResult, StressRun

LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
CASH = 100_000.0
MakeRun = Callable[..., StressRun]


def share(hits: np.ndarray) -> Estimate:
    n, count = len(hits), int(hits.sum())
    if count == 0:
        return Estimate(0.0, 0.0, min(3 / n, 1.0), n, 0)
    interval = stats.binomtest(count, n).proportion_ci(0.95, method="wilson")
    if count < 10:
        return Estimate(None, interval.low, interval.high, n, count, "fewer than 10 paths")
    return Estimate(count / n, interval.low, interval.high, n, count)


def quantile(values: np.ndarray, level: float) -> Estimate:
    ordered, n = np.sort(values), len(values)
    if n == 0:
        return Estimate(None, reason="not applicable on any path")
    needed = math.ceil(round(20 / min(level, 1 - level), 6))
    if n < needed:
        return Estimate(None, n=n, reason=f"not shown, needs N >= {needed}")
    low = max(int(stats.binom.ppf(0.025, n, level)), 1)
    high = min(int(stats.binom.ppf(0.975, n, level)) + 1, n)
    return Estimate(float(np.quantile(ordered, level)), float(ordered[low - 1]), float(ordered[high - 1]), n)


def summary(name: str, values: np.ndarray) -> MetricSummary:
    kept = values[~np.isnan(values)]
    n = len(kept)
    if n < 2:
        centre = Estimate(float(kept[0]) if n else None, n=n, reason="" if n else "not applicable on any path")
        return MetricSummary(name, centre, None, {str(q): quantile(kept, q) for q in LEVELS}, len(values) - n)
    margin = float(stats.t.ppf(0.975, n - 1) * kept.std(ddof=1) / math.sqrt(n))
    centre = Estimate(float(kept.mean()), float(kept.mean()) - margin, float(kept.mean()) + margin, n)
    quantiles = {str(q): quantile(kept, q) for q in LEVELS}
    return MetricSummary(name, centre, float(kept.std(ddof=1)), quantiles, len(values) - n)


def bars_of(closes: np.ndarray, before: np.ndarray, rng: np.random.Generator, scale: float) -> dict[str, np.ndarray]:
    """Dress closes [path, bar] up as candles."""
    opens = np.concatenate([before[:, None], closes[:, :-1]], axis=1) * np.exp(rng.normal(0, scale / 3, closes.shape))
    top = np.maximum(opens, closes) * np.exp(np.abs(rng.normal(0, scale / 3, closes.shape)))
    floor = np.minimum(opens, closes) * np.exp(-np.abs(rng.normal(0, scale / 3, closes.shape)))
    return {"open": opens, "high": top, "low": floor, "close": closes}


def positions(rule: str, closes: np.ndarray, context: np.ndarray) -> np.ndarray:
    """Return the position held over each bar, decided at the close before: [path, bar]."""
    whole = np.concatenate([np.tile(context, (len(closes), 1)), closes], axis=1)
    bars = closes.shape[1]
    decided = np.ones((len(closes), bars))
    for bar in range(bars):
        past = whole[:, : len(context) + bar]
        if rule == "sma":
            decided[:, bar] = past[:, -10:].mean(axis=1) > past[:, -50:].mean(axis=1)
        if rule == "breakout":
            decided[:, bar] = np.where(past[:, -1] >= past[:, -20:].max(axis=1) * 0.985, 1.5, -0.8)
        if rule == "rsi":
            decided[:, bar] = np.where(past[:, -1] < past[:, -8:].mean(axis=1), 1.0, -0.3)
        if rule == "voltarget":
            decided[:, bar] = np.clip(0.01 / np.diff(np.log(past[:, -21:]), axis=1).std(axis=1), 0, 2)
    return decided


def trades_of(held: np.ndarray, bars: dict[str, np.ndarray], row: int) -> list[Trade]:
    found: list[Trade] = []
    start = 0
    for bar in range(1, len(held) + 1):
        done = bar == len(held)
        if not done and np.sign(held[bar]) == np.sign(held[start]):
            continue
        if held[start] != 0:
            entry = float(bars["open"][row, start])
            leave = float(bars["close"][row, -1] if done else bars["open"][row, bar])
            size = CASH * abs(float(held[start])) / entry
            pnl = float(np.sign(held[start])) * size * (leave - entry)
            side = "long" if held[start] > 0 else "short"
            found.append(Trade(side, start, entry, bar - done, leave, size, pnl, 0.0005 * size * (entry + leave), done))
        start = bar
    return found


def fan(values: np.ndarray) -> Fan:
    """[path, bar + 1] with the start first."""
    bars = sorted({*np.linspace(0, values.shape[1] - 1, min(values.shape[1], 130)).round().astype(int).tolist()})
    order = np.argsort(values[:, -1])
    picked = [int(order[int(rank * (len(order) - 1))]) for rank in (0.12, 0.45, 0.83)]
    return Fan(
        bars=bars,
        quantiles={str(q): np.quantile(values[:, bars], q, axis=0).tolist() for q in (0.05, 0.25, 0.5, 0.75, 0.95)},
        examples={str(path): values[path, bars].tolist() for path in picked},
        dots=np.quantile(values[:, -1], (np.arange(50) + 0.5) / 50).tolist(),
    )


def strategy_result(
    rule: tuple[str, str, dict[str, Any]], closes: np.ndarray, context: np.ndarray, candles: dict[str, np.ndarray],
    timestamps: list[str], realised: float | None, limits: list[float],
) -> StrategyResult:  # fmt: skip
    name, kind, params = rule
    held = np.zeros(closes.shape) if kind == "flat" else positions(kind, closes, context)
    before = np.concatenate([np.full((len(closes), 1), context[-1]), closes[:, :-1]], axis=1)
    costs = 0.0007 * np.abs(np.diff(held, axis=1, prepend=0))
    growth = 1 + held * (closes / before - 1) - costs
    equity = CASH * np.cumprod(np.concatenate([np.ones((len(closes), 1)), growth], axis=1), axis=1)
    peaks = np.maximum.accumulate(equity, axis=1)
    total, falls = equity[:, -1] / CASH - 1, (1 - equity / peaks).max(axis=1)
    turned = np.abs(np.diff(held, axis=1, prepend=0)).sum(axis=1)
    spread = np.diff(equity, axis=1).std(axis=1) / CASH
    metrics = {
        "total_return": total, "annual_volatility": spread * math.sqrt(252),
        "sharpe": np.where(spread > 0, total / np.where(spread > 0, spread, 1), np.nan), "max_drawdown": falls,
        "drawdown_bars": (equity < peaks).sum(axis=1).astype(float),
        "time_under_water": (equity < peaks).mean(axis=1), "trades": np.floor(turned),
        "win_rate": np.where(turned > 0, (np.diff(equity, axis=1) > 0).mean(axis=1), np.nan),
        "exposure": np.abs(held).mean(axis=1), "turnover": turned * 4, "fees": costs.sum(axis=1),
    }  # fmt: skip
    order = np.argsort(total, kind="stable")
    ranks = (("worst", 0.0), ("5 % quantile", 0.05), ("median", 0.5), ("95 % quantile", 0.95), ("best", 1.0))
    named = []
    for label, rank in ranks:
        row = int(order[round(rank * (len(order) - 1))])
        view = {key: values[row].tolist() for key, values in candles.items()}
        named.append(
            NamedPath(label, row, name, float(total[row]), timestamps, equity=equity[row].tolist(),
                      exposure=held[row].tolist(), trades=trades_of(held[row], candles, row), **view)
        )  # fmt: skip
    var = {str(q): quantile(-total, q) for q in (0.95, 0.99)}
    cvar = {}
    for level in (0.95, 0.99):
        tail = np.sort(-total)[-max(round(len(total) * (1 - level)), 1) :]
        refused = var[str(level)].value is None
        half = 1.96 * float(tail.std()) / math.sqrt(len(tail))
        cvar[str(level)] = (
            var[str(level)]
            if refused
            else Estimate(float(tail.mean()), tail.mean() - half, tail.mean() + half, len(total))
        )
    happened = None
    if realised is not None:
        happened = Realised(
            closes.shape[1], {"total_return": realised, "max_drawdown": abs(realised) * 1.3, "win_rate": None},
            share(total < realised),
        )  # fmt: skip
    return StrategyResult(
        name, f"strategies/{kind}.py:{name.title()}", params,
        [summary(key, values) for key, values in metrics.items()],
        share(total < 0), [(limit, share(falls >= limit)) for limit in limits], var, cvar, fan(equity), happened, named,
    )  # fmt: skip


RULES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("SmaCross", "sma", {"fast": 10, "slow": 50}),
    ("Breakout", "breakout", {"entry": 20, "stop": 0.05}),
    ("RsiReversion", "rsi", {"window": 14}),
    ("VolTarget", "voltarget", {"target": 0.15}),
    ("BuyAndHold", "hold", {}),
)


def scenario(
    name: str, role: str, rng: np.random.Generator, *, volatility: float, paths: int, horizon: int, rules: Any,
    generator: dict[str, Any], happened: bool, limits: list[float], bad: int,
) -> ScenarioResult:  # fmt: skip
    context_rng = np.random.default_rng(99)
    context = 2500 * np.exp(np.cumsum(context_rng.normal(0.0002, 0.011, 256)))
    past = bars_of(context[None], context[:1], context_rng, 0.011)
    steps = rng.standard_t(5, (paths, horizon)) / math.sqrt(5 / 3) * volatility + 0.0002
    closes = context[-1] * np.exp(np.cumsum(steps, axis=1))
    candles = bars_of(closes, np.full(paths, context[-1]), rng, volatility)
    future = context[-1] * np.exp(np.cumsum(context_rng.normal(-0.0008, 0.014, horizon)))
    timestamps = [f"2019-{1 + day // 28:02d}-{1 + day % 28:02d}" for day in range(horizon)]
    realised = float(future[-1] / context[-1] - 1) if happened else None
    results = [
        strategy_result(
            rule, closes, context, candles, timestamps, realised and realised * (0.4 + 0.2 * number), limits
        )
        for number, rule in enumerate(rules)
    ]
    repaired = min(bad, paths)
    rules_found = [
        RuleCount("V1", "finite", 0, 0, "none needed", "fault"),
        RuleCount("V2", "prices above zero", 0, 0, "none needed", "fault"),
        RuleCount("V3", "high and low enclose open and close", bad, repaired, "repaired" if bad else "none needed"),
        RuleCount("V4", "volume not negative", 0, 0, "none needed"),
        RuleCount("V6", "on the calendar, increasing", 0, 0, "none needed", "fault"),
        RuleCount("V7", "prices are whole ticks", -1, -1, "not judged: no tick is declared", "form", -1, -1),
        RuleCount("V9", "first open near the last close", 2, 2, "flagged", "suspect", 2, 2, "3.1 sd: 1.5 x"),
        RuleCount("V11-share", "share of unmoved bars", 0, 3, "flagged", "suspect", 4, 4, "0.0% to 1.6% of a path"),
    ]  # fmt: skip
    view = ContextView(
        "S&P 500", "made-up history", "2017-12-26", "2018-12-31", 256, float(context[-1]), "XNYS", 252.0,
        [f"day {day}" for day in range(256)], *(past[key][0].tolist() for key in ("open", "high", "low", "close")),
        [], "ae2e7fb4" * 8,
    )  # fmt: skip
    account = CandleAccount(
        paths=paths, bars=paths * horizon, untouched=paths - repaired, rounded=0, repaired=repaired, rejected=0,
        bad_bars=bad, bad_paths=repaired, rules=rules_found, changed_bars=bad, mean_change_bp=4.2 if bad else 0.0,
        max_change_bp=63.0 if bad else 0.0, mean_change_range=0.31 if bad else 0.0, policy="repair",
        label="WARN" if bad else "PASS",
        wickless=[
            Wickless("upper", Interval(0.08, 0.07, 0.09, paths), Interval(0.14, 0.13, 0.15, paths), 0.079),
            Wickless("lower", Interval(0.07, 0.06, 0.08, paths), Interval(0.13, 0.12, 0.14, paths), 0.071),
        ],
        facts=[FactShift("body_frac", 0.5, 0.46, Interval(-0.26, -0.3, -0.22, repaired))] if bad else [],
    )  # fmt: skip
    effects = [
        RepairEffect(
            result.name, repaired, 0,
            [RepairedFigure("total_return", 0.5, Estimate(0.01, 0.0, 0.02, paths), Estimate(0.011, 0.001, 0.02, paths)),
             RepairedFigure("total_return", 0.05, Estimate(None, n=paths, reason="not shown, needs N >= 400"),
                            Estimate(None, n=paths, reason="not shown, needs N >= 400")),
             RepairedFigure("max_drawdown", 0.95, Estimate(0.2, 0.18, 0.22, paths), Estimate(0.21, 0.19, 0.23, paths))],
            Estimate(0.001 * number, 0.0005 * number, 0.0015 * number, paths),
        )
        for number, result in enumerate(results)
    ]  # fmt: skip
    ratio = steps.std(axis=1) / 0.011 if horizon > 1 else np.abs(steps[:, 0]) / 0.011
    return ScenarioResult(
        name, role, generator, view, horizon, timestamps, paths, account,  # type: ignore[arg-type]
        {str(q): float(np.quantile(ratio, q)) for q in (0.05, 0.5, 0.95)},
        fan(np.concatenate([np.full((paths, 1), context[-1]), closes], axis=1)),
        future.tolist() if happened else [], results, effects if bad else [],
    )  # fmt: skip


def build_run(
    *, paths: int = 512, horizon: int = 63, rules: Any = RULES, temperatures: tuple[float, ...] = (1.0, 0.8, 1.3),
    baseline: bool = True, happened: bool = True, limits: dict[str, float] | None = None, bad: int = 37,
    curve: bool = True,
) -> StressRun:  # fmt: skip
    limits = {"max_drawdown": 0.1, "probability_of_loss": 0.5} if limits is None else limits
    levels = sorted({*limits.values(), *((np.arange(1, 31) / 100).tolist() if curve else ())} - {0.5})
    shared = {"paths": paths, "horizon": horizon, "rules": rules, "happened": happened, "limits": levels}
    names = {1.0: "base", 0.8: "calm", 1.3: "hot"}
    scenarios = [
        scenario(names[t], "scenario", np.random.default_rng(7), volatility=0.0115 * t**1.4,
                 generator={"kind": "kronos", "model": "nano", "temperature": t, "top_p": 1.0, "revision": "0f3c9a1"},
                 bad=round(bad * t), **shared)
        for t in temperatures
    ]  # fmt: skip
    if baseline:
        own = {"kind": "bootstrap", "mean_block": 7.43}
        scenarios.append(
            scenario(
                "bootstrap", "baseline", np.random.default_rng(8), volatility=0.011, generator=own, bad=0, **shared
            )
        )
    return StressRun(
        "spx-stress", "", "2026-11-20T10:00:00Z", "scenario-gen run scenarios/quickstart.yaml",
        {"name": "spx-stress", "broker": {"cash": CASH, "fees": 0.0005, "slippage": 0.0002, "fill": "next_open"},
         "paths": {"count": paths, "seed": 7}},
        "name: spx-stress\ndata: {source: sp500, end: 2018-12-31}\n", limits,
        {"spec": "ec864fe9" * 8, "data": "ae2e7fb4" * 8, "weights": "6be1a90d" * 8, "code": "0.1.0"},
        {"scenario-gen": "0.1.0", "torch": "2.9.0", "vectorbt": "1.2.0"}, {"kind": "cpu", "dtype": "float32"},
        {"generate": 31.4, "check": 0.8, "backtest": 6.5}, scenarios, [],
    )  # fmt: skip


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    return build_run


@pytest.fixture(scope="session")
def full() -> StressRun:
    """Three temperatures and a baseline, five strategies, 512 paths of 63 bars."""
    return build_run()


@pytest.fixture(scope="session")
def mini() -> StressRun:
    """One scenario, two strategies, 64 paths: nearly every quantile is refused."""
    return build_run(paths=64, horizon=20, rules=RULES[:2], temperatures=(1.0,), baseline=False, curve=False)


@pytest.fixture(scope="session")
def checks() -> ModuleType:
    """The checks module beside this file."""
    spec = importlib.util.spec_from_file_location("report_checks", Path(__file__).with_name("checks.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pages(
    full: StressRun, mini: StressRun, hostile: StressRun, degenerate: StressRun
) -> dict[str, tuple[StressRun, str]]:
    """Every fixture run with its page."""
    runs = {"full": full, "mini": mini, "hostile": hostile, "degenerate": degenerate}
    return {name: (run, build_page(run)) for name, run in runs.items()}


HOSTILE = (
    "</script><script>window.pwn=1</script>", '"><img src=x onerror=window.pwn=1>', "{{7*7}}", "${x}",
    "abc\u202etxt.exe", "x" * 5000, "emoji \U0001f600 \U0001f9e0", "", "a\x00b\x1bc", "__proto__", "$\\frac{1}{2}$",
)  # fmt: skip


@pytest.fixture(scope="session")
def hostile() -> StressRun:
    """Names that try to break out of the page, in every place where a user's name can stand."""
    rules = tuple((name, "hold", {name: name}) for name in HOSTILE)
    run = build_run(paths=64, horizon=8, rules=rules, temperatures=(1.0,), limits={"max_drawdown": 0.1})
    scenarios = [
        dataclasses.replace(
            found, name=HOSTILE[number],
            context=dataclasses.replace(found.context, instrument=HOSTILE[4], source=HOSTILE[0], flags=[HOSTILE[1]]),
            generator={"kind": HOSTILE[1], HOSTILE[0]: HOSTILE[4]},
        )
        for number, found in enumerate(run.scenarios)
    ]  # fmt: skip
    return dataclasses.replace(
        run, name=HOSTILE[0], title=HOSTILE[1], command=HOSTILE[0], spec_text="\n".join(HOSTILE), scenarios=scenarios,
        identity={HOSTILE[0]: HOSTILE[1]}, versions={HOSTILE[1]: HOSTILE[0]}, device={HOSTILE[2]: HOSTILE[4]},
    )  # fmt: skip


@pytest.fixture(scope="session")
def degenerate() -> StressRun:
    """20 paths of one bar, strategies that never trade, no history after the anchor, nothing declared."""
    rules = (("Flat", "flat", {}), ("BuyAndHold", "hold", {}))
    return build_run(
        paths=20, horizon=1, rules=rules, temperatures=(1.0,), baseline=False, happened=False, limits={}, bad=0
    )
