"""What a preset of the market fills of a scenario's sections, below everything that a spec writes itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scenario_gen.backtest.broker import Broker, in_numbers
from scenario_gen.market.presets import PRESETS, Preset
from scenario_gen.market.section import Filled, Market
from scenario_gen.reading.yaml import Where


def preset_of(market: Any) -> Preset | None:
    """Return the preset that a market section names, as it was written; None where it names none that there is."""
    name = market.get("preset") if isinstance(market, Mapping) else None
    return PRESETS.get(name) if isinstance(name, str) else None


def fill(values: dict[str, Any], origin: dict[Where, Where], at: Where) -> list[Filled]:
    """Fill what a preset says and nothing else does, and return it.

    Args:
        values: the merged sections of a scenario, written into.
        origin: the places of their values in the document, written into.
        at: the preset's place, where mistakes in what it fills are told.
    """
    data, preset = values.get("data"), preset_of(values.get("market"))
    filled: list[Filled] = []
    if preset is None or not isinstance(data, Mapping):
        return filled
    for rule in preset.rules:
        if rule.section not in values:
            values[rule.section], origin[rule.section,] = {}, at
        section = values[rule.section]
        if not isinstance(section, dict) or rule.field in section:
            continue
        section[rule.field], origin[rule.section, rule.field] = (value := rule.value_for(data)), at
        name = f"{rule.section}.{rule.field}"
        filled.append(Filled(field=name, value=value, dated=rule.dated, source=rule.source))
    return filled


def costs_in_numbers(
    base: Mapping[str, Any], override: Mapping[str, Any], usual: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Read ``2bp`` and ``x3`` in the broker sections; what the base does not say is usual."""
    if "broker" in base:
        base = {**base, "broker": in_numbers(base["broker"])}
    if "broker" in override:
        below = base.get("broker", {})
        below = {**usual, **below} if isinstance(below, Mapping) else below
        override = {**override, "broker": in_numbers(override["broker"], below)}
    return base, override


def no_limit(parts: Mapping[str, Any], market: Any) -> str:
    """Say that orders wait at a price limit that there is not; empty where there is one, or a preset has been heeded.

    Args:
        parts: the sections as they are read.
        market: the section as it was written.
    """
    broker, known = parts.get("broker"), parts.get("market", Market())
    waits = isinstance(broker, Broker) and broker.at_limit == "wait"
    if not waits or not isinstance(known, Market) or known.price_limit is not None or preset_of(market) is not None:
        return ""
    return "got wait, and there is no market.price_limit to wait at; add one, e.g. market: {price_limit: 0.1}"
