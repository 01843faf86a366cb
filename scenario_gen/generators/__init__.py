"""Generators of paths: Kronos checkpoints, and classical ones that serve as baselines.

A generator turns a context and per-path uniforms into a PathSet. It knows nothing of checks, strategies or reports.
"""

from __future__ import annotations

from scenario_gen.generators.base import Generator, open_generator

__all__ = ["Generator", "open_generator"]
