"""Judge a checkpoint on held-out windows beside a random checkpoint and the stationary bootstrap.

    python benchmarks/held_out.py CHECKPOINT --config scenario_gen/training/nano.yaml --data FOLDER

FOLDER is the one that the checkpoint was trained on: its last share and its held-out instruments are what is
judged here. Prints Markdown tables; with --card, writes them into the checkpoint folder's model card too.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from scenario_gen.execute.draws import Draws
from scenario_gen.generators.base import Generator
from scenario_gen.generators.bootstrap import StationaryBootstrap
from scenario_gen.generators.kronos import KronosPaths
from scenario_gen.kronos.checkpoint import Checkpoint
from scenario_gen.kronos.hub import open_checkpoint
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.market.candles import Candles
from scenario_gen.training.card import write_card
from scenario_gen.training.config import load_config
from scenario_gen.training.data import load_series
from scenario_gen.training.evaluate import (
    HORIZONS,
    Sampler,
    Scores,
    Window,
    diebold_mariano,
    held_out_windows,
    score,
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--per-group", type=int, default=12)
    parser.add_argument("--paths", type=int, default=200)
    parser.add_argument("--card", action="store_true")
    options = parser.parse_args()
    config, _ = load_config(options.config)
    source = config.data.model_copy(update={"folder": str(options.data.resolve())})
    series = load_series(source, Path(), config.window.bars)
    checkpoint = open_checkpoint(options.checkpoint)
    samplers = {
        checkpoint.name: sampler_of(KronosPaths.of(checkpoint, SamplingRule(), device="cpu")),
        "random weights": sampler_of(
            KronosPaths.of(with_random_model(checkpoint), SamplingRule(), device="cpu")
        ),
        "stationary bootstrap": sampler_of(StationaryBootstrap()),
    }
    parts = [
        f"{options.paths} paths per window, context {options.context}, temperature 1, top_p 1, no repair; CRPS of log "
        "returns in units of the context's volatility times the square root of the horizon; the windows do not overlap."
    ]
    for title, unseen in (("Later bars of seen instruments", False), ("Instruments never seen", True)):
        windows = held_out_windows(
            series, context=options.context, per_group=options.per_group, seed=1, unseen=unseen
        )
        scores = {name: score(sampler, windows, options.paths) for name, sampler in samplers.items()}
        parts += [
            f"### {title}: {len(windows)} windows",
            table(scores),
            differences(scores),
            by_class(scores, windows),
        ]
    text = "\n\n".join(parts)
    print(text)
    if options.card:
        write_card(Path(options.checkpoint), checkpoint, text)


def sampler_of(generator: Generator) -> Sampler:
    """Let a generator sample as the evaluation asks it to."""

    def sample(context: Candles, timestamps: pd.DatetimeIndex, paths: int) -> np.ndarray:
        return generator.sample(context, timestamps, Draws.block(1, 0, paths)).values

    return sample


def with_random_model(checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint with an untrained model of the same shape behind its trained tokenizer."""
    torch.manual_seed(0)
    return replace(
        checkpoint, name="random", model=Kronos(checkpoint.model.config).eval().requires_grad_(False)
    )


def table(scores: dict[str, Scores]) -> str:
    """Return one row per sampler."""
    head = "| | " + " | ".join(f"CRPS r{h}" for h in HORIZONS) + " | CRPS ln RV60 | "
    head += " | ".join(f"cover90 r{h}" for h in HORIZONS) + " | volatility ratio | drift | bad bars |"
    lines = [head, "|" + "---|" * (2 * len(HORIZONS) + 5)]
    for name, s in scores.items():
        cells = [f"{v:.3f}" for v in s.crps.mean(0)] + [f"{s.crps_log_volatility.mean():.3f}"]
        cells += [f"{v:.2f}" for v in s.inside.mean(0)]
        cells += [
            f"{np.median(s.volatility_ratio):.2f}",
            f"{s.drift.mean():+.3f}",
            f"{s.bad_bars.mean():.2%}",
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def differences(scores: dict[str, Scores]) -> str:
    """Return Diebold-Mariano t values of the first sampler against each other one."""
    names = list(scores)
    ours = scores[names[0]]
    parts = []
    for name in names[1:]:
        values = [diebold_mariano(ours.crps[:, i], scores[name].crps[:, i]) for i in range(len(HORIZONS))]
        values.append(diebold_mariano(ours.crps_log_volatility, scores[name].crps_log_volatility))
        parts.append(f"against {name}: " + ", ".join(f"{v:+.1f}" for v in values))
    return "Diebold-Mariano t (negative: the checkpoint is better) of r1, r5, r20, r60, ln RV " + "; ".join(
        parts
    )


def by_class(scores: dict[str, Scores], windows: list[Window]) -> str:
    """Return CRPS of ln RV and coverage at 60 bars per asset class."""
    classes = sorted({w.asset_class for w in windows})
    lines = [
        "| asset class | windows | "
        + " | ".join(f"{n}: CRPS r60, ln RV60, cover90 r60" for n in scores)
        + " |",
        "|" + "---|" * (2 + len(scores)),
    ]
    for one in classes:
        rows = np.array([w.asset_class == one for w in windows])
        cells = [
            f"{s.crps[rows, -1].mean():.3f}, {s.crps_log_volatility[rows].mean():.3f}, {s.inside[rows, -1].mean():.2f}"
            for s in scores.values()
        ]
        lines.append(f"| {one} | {rows.sum()} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
