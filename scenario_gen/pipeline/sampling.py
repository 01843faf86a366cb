"""Paths without a spec: what ``scenario_gen.sample`` does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from scenario_gen.errors import SpecError
from scenario_gen.execute.blocks import plan_blocks
from scenario_gen.execute.draws import Draws
from scenario_gen.generators.base import Generator, open_generator
from scenario_gen.generators.sections import BASELINES, GeneratorSection, KronosGenerator, default_section
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles
from scenario_gen.market.load import load_candles
from scenario_gen.market.paths import PathSet
from scenario_gen.reading.words import whole
from scenario_gen.spec.models import MAX_BLOCK, MAX_HORIZON, MAX_PATHS, MAX_SEED

DEFAULT_BLOCK = 512


def sample(
    context: Candles | pd.DataFrame | str,
    *,
    horizon: int,
    paths: int,
    model: str = "nano",
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
    tokenizer: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    window: str = "reanchor",
    block: int = DEFAULT_BLOCK,
) -> PathSet:
    """Sample alternative futures of a context.

    Args:
        context: candles whose last bars seed the model; a frame or a file is loaded first. Our own
            checkpoints use the bars that fit their window (``provenance["context_bars"]``), published ones all.
        horizon: bars to generate.
        paths: how many futures.
        model: ``nano``, ``mini``, ``small``, ``base``, a folder, a Hub name, or the kind of a classical generator
            (``scenario_gen.generators.sections.BASELINES``): ``bootstrap``, ``garch``, ... Those that are fitted, such
            as ``garch`` and ``gjr``, are fitted to the whole of the candles given.
        temperature: 1 is the model as trained; lower is calmer, higher is wilder.
        top_p: keep the likeliest tokens up to this probability; below 1 narrows every path.
        top_k: keep the k likeliest tokens; 0 keeps all.
        seed: of the per-path random numbers: path 17 is the same in any number of paths.
        tokenizer: tokenizer for a model that does not bring its own.
        device: ``auto``, ``cpu``, ``cuda``, ...
        dtype: of the products with weights, ``float32`` or ``bfloat16``; ``auto`` is bfloat16 on a GPU.
        window: what to do past the model's window, ``reanchor`` or ``slide``.
        block: paths per matrix product; part of what decides the last digits.

    Returns:
        Raw paths, float32 ``values`` [path, bar, (open, high, low, close, volume, ...)]; volume only where the
        context has it. Not repaired: see :func:`scenario_gen.candles.check_candles`.

    Raises:
        ScenarioError: context, model or a setting cannot be used.
    """
    horizon = whole("horizon", horizon, 1, MAX_HORIZON)
    paths = whole("paths", paths, 1, MAX_PATHS)
    block = whole("block", block, 1, MAX_BLOCK)
    seed = whole("seed", seed, 0, MAX_SEED)
    candles = context if isinstance(context, Candles) else load_candles(context)
    settings = {
        "model": model,
        "tokenizer": tokenizer,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "device": device,
        "dtype": dtype,
        "window": window,
    }
    generator = open_generator(_classical(settings) if model in BASELINES else _section(settings))
    timestamps = BarCalendar.infer(candles.timestamps, candles.calendar).future(horizon)
    return _join(list(_blocks(generator, candles, timestamps, paths, block, seed)))


def _classical(settings: dict[str, Any]) -> GeneratorSection:
    """Return a classical generator's section; what only a Kronos model obeys must not be asked of it."""
    default = {name: field.default for name, field in KronosGenerator.model_fields.items()}
    ignored = [name for name, value in settings.items() if value != default[name]]
    ignored = [name for name in ignored if name not in ("model", "device", "dtype")]
    if ignored:
        raise SpecError(
            f"the {settings['model']} generator knows no {', '.join(ignored)}",
            expected="such settings with a Kronos model only",
        )
    return default_section(settings["model"])


def _section(settings: dict[str, Any]) -> KronosGenerator:
    try:
        return KronosGenerator.model_validate(settings)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))} is {e['input']!r}: {e['msg']}" for e in error.errors())
        raise SpecError(wrong, fix="see help(scenario_gen.sample)") from None


def _blocks(
    generator: Generator, context: Candles, timestamps: pd.DatetimeIndex, paths: int, size: int, seed: int
) -> Iterator[PathSet]:
    for block in plan_blocks(paths, size):
        whole = generator.sample(context, timestamps, Draws.block(seed, block.start, block.size))
        yield whole.select(whole.path_ids[: block.take])


def _join(parts: list[PathSet]) -> PathSet:
    first = parts[0]
    return PathSet(
        values=np.concatenate([part.values for part in parts]),
        fields=first.fields,
        timestamps=first.timestamps,
        path_ids=np.concatenate([part.path_ids for part in parts]),
        anchor_close=first.anchor_close,
        provenance=first.provenance,
        counts={name: np.concatenate([part.counts[name] for part in parts]) for name in first.counts},
    )
