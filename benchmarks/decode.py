"""Time the fast decoder beside the naive one, on the same weights, in the same run.

    python benchmarks/decode.py [--models nano mini small] [--paths 512] [--context 256] [--horizon 63]

Published shapes get random weights: speed does not depend on their values. The naive decoder recomputes the whole
window for every bar of every path; it is timed on a few paths and bars, in turns with the fast one.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime

import torch

from scenario_gen.kronos.checkpoint import Checkpoint
from scenario_gen.kronos.config import ModelConfig, TokenizerConfig
from scenario_gen.kronos.decode import FastDecoder
from scenario_gen.kronos.hub import open_checkpoint
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.naive import sample_tokens_naively
from scenario_gen.kronos.representation import Levels
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.kronos.tokenizer import KronosTokenizer

SHAPES = {"mini": (4, 256, 4, 512), "small": (8, 512, 8, 1024), "base": (12, 832, 16, 2048)}
NAIVE_PATHS, NAIVE_BARS = 8, 2


def main() -> None:
    """Print one Markdown row per model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["nano", "mini", "small"])
    parser.add_argument("--paths", type=int, default=512)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--horizon", type=int, default=63)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine}")
    size = f"{options.paths} paths x {options.horizon} bars, context {options.context}"
    print(f"{size}, float32, best of {options.rounds}\n")
    print("| model | seconds | path-bars/s | naive path-bars/s | ratio |\n|---|---|---|---|---|")
    for name in options.models:
        checkpoint = open_named(name)
        fast, naive = [], []
        for _ in range(options.rounds):
            fast.append(
                timed(lambda c=checkpoint: run_fast(c, options.paths, options.context, options.horizon))
            )
            naive.append(timed(lambda c=checkpoint: run_naive(c, options.context)))
        ours = options.paths * options.horizon / min(fast)
        theirs = NAIVE_PATHS * NAIVE_BARS / min(naive)
        print(
            f"| {name} | {min(fast):.2f} | {ours:,.0f} | {theirs:,.1f} | {ours / theirs:,.0f} |", flush=True
        )


def open_named(name: str) -> Checkpoint:
    """Return the embedded checkpoint, or random weights in a published shape."""
    if name not in SHAPES:
        return open_checkpoint(name)
    torch.manual_seed(0)
    tokenizer = KronosTokenizer(TokenizerConfig(6, 256, 4, 512, 4, 4, 10, 10, 5)).eval().requires_grad_(False)
    model = Kronos(ModelConfig(*SHAPES[name], 10, 10)).eval().requires_grad_(False)
    return Checkpoint(name, model, tokenizer, Levels(), 2048 if name == "mini" else 512)


def inputs(checkpoint: Checkpoint, paths: int, context: int, horizon: int) -> tuple[torch.Tensor, ...]:
    """Return random context tokens, stamps and uniforms."""
    g = torch.Generator().manual_seed(1)
    c = checkpoint.model.config
    s1 = torch.randint(2**c.s1_bits, (1, context), generator=g)
    s2 = torch.randint(2**c.s2_bits, (1, context), generator=g)
    stamps = torch.randint(7, (1, context + horizon, 5), generator=g)
    return s1, s2, stamps[:, :context], stamps[:, context:], torch.rand(paths, horizon, 2, generator=g)


def run_fast(checkpoint: Checkpoint, paths: int, context: int, horizon: int) -> None:
    """Sample and decode as a run does."""
    decoder = FastDecoder(checkpoint)
    s1, s2, *rest = inputs(checkpoint, paths, context, horizon)
    decoder.decode_tokens(s1, s2, *decoder.sample_tokens(s1, s2, *rest, SamplingRule()))


def run_naive(checkpoint: Checkpoint, context: int) -> None:
    """Sample a few bars of a few paths with the whole window each time."""
    sample_tokens_naively(checkpoint, *inputs(checkpoint, NAIVE_PATHS, context, NAIVE_BARS), SamplingRule())


def timed(work: Callable[[], None]) -> float:
    """Return the seconds that work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
