"""The published configurations, and the arithmetic that decoding with a configuration takes."""

from __future__ import annotations

import torch

from scenario_gen.errors import CheckpointError
from scenario_gen.kronos.checkpoint import Checkpoint, open_checkpoint
from scenario_gen.kronos.config import ModelConfig, TokenizerConfig
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.registry import KNOWN_MODELS
from scenario_gen.kronos.representation import Levels
from scenario_gen.kronos.tokenizer import KronosTokenizer

# layers, d_model, heads, feed-forward; group size of the tokenizer that goes with it
PUBLISHED = {"mini": (4, 256, 4, 512, 5), "small": (8, 512, 8, 1024, 4), "base": (12, 832, 16, 2048, 4)}
BITS = 10


def model_for_timing(name: str) -> tuple[Checkpoint, str]:
    """Return a checkpoint to time, and what its weights are: ``real`` or ``random``.

    A published model that is not on this machine gets random weights in its configuration: decoding takes the same
    time whatever the weights are.

    Raises:
        CheckpointError: no model of that name or folder.
    """
    known = next((known for known in KNOWN_MODELS if known.name == name), None)
    if known is None or known.available:
        return open_checkpoint(name), "real"
    return random_checkpoint(name, known.context), "random"


def random_checkpoint(name: str, window: int, seed: int = 0) -> Checkpoint:
    """Return a published configuration with random weights.

    Raises:
        CheckpointError: no published configuration of that name.
    """
    if name not in PUBLISHED:
        raise CheckpointError(f"no published configuration {name!r}", expected=", ".join(PUBLISHED))
    layers, width, heads, inner, group = PUBLISHED[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Kronos(ModelConfig(layers, width, heads, inner, BITS, BITS))
        tokenizer = KronosTokenizer(TokenizerConfig(6, 256, 4, 512, 4, 4, BITS, BITS, group))
    model.eval().requires_grad_(False)
    tokenizer.eval().requires_grad_(False)
    return Checkpoint(name, model, tokenizer, Levels(), window)


def flops_per_bar(checkpoint: Checkpoint, context: float) -> float:
    """Return the floating point operations that one bar of one path takes, tokens and features.

    Counted are the products that the fast decoder cannot do without: two operations per multiply-add; attention over
    ``context`` bars on average; embeddings, the fusing projection and the sibling's query are lookups.
    """
    model, tokenizer = checkpoint.model.config, checkpoint.tokenizer.config
    d = model.d_model
    token = model.n_layers * _block(d, model.ff_dim, context)
    dependency = 3 * d * d + 2 * context * d  # k, v and out; scores and values
    heads = d * (2**model.s1_bits + 2**model.s2_bits)
    features = (tokenizer.n_dec_layers - 1) * _block(tokenizer.d_model, tokenizer.ff_dim, context)
    features += tokenizer.d_model * (tokenizer.s1_bits + tokenizer.s2_bits + tokenizer.d_in)
    return 2.0 * (token + dependency + heads + features)


def _block(width: int, inner: int, context: float) -> float:
    """Return the multiply-adds of one row in one block: q, k, v, out, feed-forward, scores and values."""
    return 4 * width * width + 3 * width * inner + 2 * context * width
