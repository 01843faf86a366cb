"""Which pictures the page shows, with the words and tables that belong to them.

Owns the choice of what is drawn: eight strategies at most, the base scenario's named paths, one fan per
scenario. Does not draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from scenario_gen.report import cards, words
from scenario_gen.report.drawing import closeups as drill, figures
from scenario_gen.report.numbers import count, plain
from scenario_gen.report.table import Placed, PlacedScenario
from scenario_gen.report.tables.outcomes import MOST_TRADES, decision_estimate, trade_table
from scenario_gen.report.words import name
from scenario_gen.stats.estimate import rate
from scenario_gen.store.results import BookScenario, StressRun

MOST_DRAWN = 8  # strategies whose equity fan and named paths are drawn


def fans(run: StressRun, placed: list[PlacedScenario], base: PlacedScenario) -> list[dict[str, Any]]:
    """Return the fans, the base first; the others share an axis where they share a context."""
    rest = [p for p in placed if p is not base]
    return [_fan(run, base, placed, [base]), *(_fan(run, fan, placed, rest) for fan in rest)]


def _fan(
    run: StressRun, fan: PlacedScenario, placed: list[PlacedScenario], beside: list[PlacedScenario]
) -> dict[str, Any]:
    context = fan.scenario.context.sha256
    others = [p.scenario for p in placed if p.scenario.role == "baseline" and p.scenario.context.sha256 == context]
    other = next((scenario for scenario in others if scenario is not fan.scenario), None)
    kin = [p.scenario for p in beside if p.scenario.context.sha256 == context]
    limits = figures.fan_limits([*kin, other] if other is not None else kin)
    layouts = (figures.FAN_WIDE, figures.FAN_NARROW)
    caption = words.say(
        words.FAN_CAPTION,
        instrument=name(fan.scenario.context.instrument),
        price="100 in all alike" if isinstance(fan.scenario, BookScenario) else "close",
        scenario=fan.title,
        generator=cards.generator_name(fan.scenario),
        seed=str(seed(run, fan)),
        realised=cards.realised_sentence(fan),
    )
    return {
        "title": fan.title,
        "paths": count(fan.scenario.paths),
        "baseline": name(other.name) if other is not None else "",
        "realised": bool(fan.scenario.realised_close),
        "svgs": [figures.price_fan(fan.scenario, other, limits, layout) for layout in layouts],
        "caption": caption,
    }


def seed(run: StressRun, placed: PlacedScenario) -> Any:
    """Return the seed of a scenario's paths."""
    paths = resolved(run, placed).get("paths")
    return paths.get("seed", 0) if isinstance(paths, dict) else "of the spec"


def resolved(run: StressRun, placed: PlacedScenario, asset: int = 0) -> dict[str, Any]:
    """Return the spec of one scenario: its own resolved section, or the whole spec where that has the keys.

    Of several assets together it is that of one of them: they share paths and account, but for costs.
    """
    scenarios, wanted = run.spec.get("scenarios"), placed.scenario.name
    if isinstance(placed.scenario, BookScenario):
        wanted = f"{wanted}.{placed.scenario.assets[asset]}"
    for entry in scenarios if isinstance(scenarios, list) else []:
        if isinstance(entry, dict) and entry.get("name") == wanted:
            return {**run.spec, **entry}
    return run.spec


def broker(run: StressRun, base: PlacedScenario) -> dict[str, Any]:
    """Return the broker section in force in the base scenario; asset by asset where several differ in a key."""
    names = base.scenario.assets if isinstance(base.scenario, BookScenario) else [""]
    sections = [resolved(run, base, number).get("broker") for number in range(len(names))]
    whole = [section for section in sections if isinstance(section, dict)]
    if not whole or len(whole) < len(names):
        return {}
    each = {key: dict(zip(names, [one.get(key) for one in whole], strict=True)) for key in whole[0]}
    return {
        key: value if any(value[n] != whole[0][key] for n in names) else whole[0][key] for key, value in each.items()
    }


def drawn(every: list[Placed], limit: float | None) -> list[Placed]:
    """Return the strategies that get pictures: all of them, or the eight with the worst tail."""
    if len(every) <= MOST_DRAWN:
        return every
    rates = {p.at: rate(decision_estimate(p.strategy, limit)) or 0.0 for p in every}
    kept = {p.at for p in sorted(every, key=lambda p: (-rates[p.at], p.at))[:MOST_DRAWN]}
    return [p for p in every if p.at in kept]


def equity(chosen: list[Placed]) -> list[tuple[str, str, Markup]]:
    """Return title, parameters and equity fan of each strategy, all on one axis."""
    limits = figures.equity_limits([p.strategy for p in chosen])
    return [(p.title, p.parameters, figures.equity_fan(p.strategy, p.css, limits)) for p in chosen]


def curve(chosen: list[Placed], limit: float | None) -> list[Markup]:
    """Return the curve of drawdowns, wide and narrow; nothing where too few levels were counted."""
    curves = [(p.strategy, p.css) for p in chosen if figures.has_exceedance(p.strategy)]
    if not curves or not any(
        figures.is_reached(share) for strategy, _ in curves for _, share in strategy.drawdown_beyond
    ):
        return []
    return [figures.exceedance(curves, limit, layout) for layout in (figures.CURVE_WIDE, figures.CURVE_NARROW)]


def drills(chosen: list[Placed], base: PlacedScenario) -> list[dict[str, Any]]:
    """Return the named paths of each strategy with their pictures and trades."""
    return [
        {
            "title": placed.title,
            "parameters": placed.parameters,
            "group": f"drill-{number}",
            "paths": [
                {"zoom": f"{number}-{entry}", **_drill(placed, entry, base)}
                for entry in range(len(placed.strategy.named_paths))
            ],
        }
        for number, placed in enumerate(chosen)
    ]


def _drill(placed: Placed, entry: int, base: PlacedScenario) -> dict[str, Any]:
    path = placed.strategy.named_paths[entry]
    at = f"{placed.at}/named_paths/{entry}"
    return {
        "label": path.label,
        "id": plain(float(path.path_id), "count", f"{at}/path_id"),
        "total_return": plain(path.total_return, "signed percent", f"{at}/total_return"),
        "trades": len(path.trades),
        "svg": drill.named_path(path, base.scenario.context),
        "table": trade_table(path) if path.trades else None,
        "hidden": max(len(path.trades) - MOST_TRADES, 0),
        "window": drill.window(path) if len(path.exposure) > drill.MOST_BARS else None,
    }


def beside_base(base: PlacedScenario, scenarios: Sequence[PlacedScenario]) -> list[tuple[PlacedScenario, str]]:
    """Return the coolest and the hottest scenario of the base's context and horizon, each with its mark."""
    kin = [p for p in scenarios if p is not base and p.scenario.facts is not None and _alike(p, base)]
    own = _heat(base)
    if own is None:
        return []
    heats = [(heat, p) for p in kin if (heat := _heat(p)) is not None]
    cooler = min((entry for entry in heats if entry[0] < own), key=lambda entry: entry[0], default=None)
    hotter = max((entry for entry in heats if entry[0] > own), key=lambda entry: entry[0], default=None)
    return [(entry[1], mark) for entry, mark in ((cooler, "low"), (hotter, "high")) if entry is not None]


def _heat(placed: PlacedScenario) -> float | None:
    """Return temperature times the dial of volatility; None for a generator without temperature."""
    temperature = placed.scenario.generator.get("temperature")
    louder = float(placed.scenario.generator.get("volatility", 1.0))
    return float(temperature) * louder if isinstance(temperature, int | float) else None


def _alike(placed: PlacedScenario, other: PlacedScenario) -> bool:
    mine, theirs = placed.scenario, other.scenario
    return (
        mine.generator.get("kind") == "kronos"
        and mine.generator.get("model") == theirs.generator.get("model")
        and mine.context.sha256 == theirs.context.sha256
        and mine.horizon == theirs.horizon
    )
