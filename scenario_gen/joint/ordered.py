"""Which generators can be coupled by an order of their uniforms."""

from __future__ import annotations

from scenario_gen.generators.base import Order, OrderedGenerator

__all__ = ["Order", "OrderedGenerator"]
