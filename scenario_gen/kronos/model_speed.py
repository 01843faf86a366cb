"""The published configurations, and the arithmetic that decoding with a configuration takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from scenario_gen.errors import CheckpointError, SpecError
from scenario_gen.kronos.checkpoint import Checkpoint, open_checkpoint
from scenario_gen.kronos.config import ModelConfig, TokenizerConfig
from scenario_gen.kronos.decode import FastDecoder
from scenario_gen.kronos.device import Dense, Precision
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.naive import decode_tokens_naively, sample_tokens_naively
from scenario_gen.kronos.registry import KNOWN_MODELS
from scenario_gen.kronos.representation import Levels
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.kronos.tokenizer import KronosTokenizer
from scenario_gen.progress import peak_memory

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
    return sum(flops_parts(checkpoint, context))


def flops_parts(checkpoint: Checkpoint, context: float) -> tuple[float, float]:
    """Return the operations of one bar of one path in the decoder's own dtype, and those that are always float32.

    The first are those of the blocks; the second of the dependency layer, the heads and the tokenizer's ends.
    """
    model, tokenizer = checkpoint.model.config, checkpoint.tokenizer.config
    d = model.d_model
    blocks = model.n_layers * _block(d, model.ff_dim, context)
    blocks += (tokenizer.n_dec_layers - 1) * _block(tokenizer.d_model, tokenizer.ff_dim, context)
    dependency = 3 * d * d + 2 * context * d  # k, v and out; scores and values
    heads = d * (2**model.s1_bits + 2**model.s2_bits)
    ends = tokenizer.d_model * (tokenizer.s1_bits + tokenizer.s2_bits + tokenizer.d_in)
    return 2.0 * blocks, 2.0 * (dependency + heads + ends)


def bytes_per_bar(checkpoint: Checkpoint, dtype: torch.dtype, horizon: int) -> float:
    """Return what one bar of one path cannot but read: keys and values of the path's own bars, horizon / 2 on average.

    Weights and the context are read once for all paths of a chunk and count nothing. A GPU keeps keys and values in
    the products' ``dtype``, a processor, and the dependency layer everywhere, in float32.
    """
    config = checkpoint.model.config
    size = 4 if checkpoint.model.embedding.emb_s1.weight.device.type == "cpu" else dtype.itemsize
    return 2 * config.d_model * (config.n_layers * size + 4) * horizon / 2


def _block(width: int, inner: int, context: float) -> float:
    """Return the multiply-adds of one row in one block: q, k, v, out, feed-forward, scores and values."""
    return 4 * width * width + 3 * width * inner + 2 * context * width


# How fast this machine samples: beside the naive decoder, and beside the best that its products allow


NAIVE_PATHS, NAIVE_BARS = 8, 2
CEILING_SIZES = {False: (1024, 2048), True: (2048, 8192)}  # by whether on a GPU, which small products leave idle
Say = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """How much is sampled from one context."""

    paths: int
    context: int
    horizon: int


@dataclass(frozen=True)
class Timing:
    """One size and how long it took, tokens and features together."""

    paths: int
    context: int
    horizon: int
    seconds: float
    path_bars_per_second: float


@dataclass(frozen=True)
class Closeness:
    """How far bfloat16 leaves float32, on the same sequences."""

    rows: int  # sequences, each a float32 path cut at another bar
    same_tokens: float  # share of rows whose next pair of tokens is the same for the same uniforms
    s1_distance: float  # mean total variation distance between the two distributions of the next s1, 0 to 1
    largest_s1_distance: float  # the largest of them


@dataclass(frozen=True)
class BenchResult:
    """What ``scenario-gen bench`` prints."""

    model: str
    weights: str
    device: str
    dtype: str
    threads: int
    size: Timing
    path_bars_per_second: float
    naive_path_bars_per_second: float
    ratio_to_naive: float
    ceiling_gflops: float
    reached_gflops: float
    share_of_ceiling: float
    peak_memory_bytes: int
    growth: list[Timing]
    agreement: Closeness | None


def measure(
    checkpoint: Checkpoint,
    weights: str,
    size: Size,
    *,
    dtype: Precision = "auto",
    rounds: int = 2,
    growth: bool = True,
    say: Say = lambda _: None,
) -> BenchResult:
    """Time sampling, the naive decoder and the machine's products, ``rounds`` times in turns; the best of each counts.

    Args:
        checkpoint: already on its device.
        weights: ``real`` or ``random``, for the record.
        size: what to sample.
        dtype: of the fast decoder's products; the naive decoder always computes in float32.
        rounds: at least 1; one more round warms up at a small size.
        growth: time smaller sizes, too, one dimension at a time.
        say: told in words what is being timed.

    Raises:
        SpecError: context and horizon do not fit the model's window.
        CheckpointError: the dtype is not for this machine.
    """
    _check(checkpoint, size)
    decoder = FastDecoder(checkpoint, dtype)
    say("warming up")
    _seconds(decoder, Size(min(size.paths, 64), size.context, min(size.horizon, 4)))
    fast, naive, ceiling = [], [], []
    for turn in range(rounds):
        say(f"round {turn + 1} of {rounds}: {size.paths:,} paths x {size.horizon} bars")
        fast.append(_seconds(decoder, size))
        peak = peak_on(decoder.device)  # before the naive decoder, which needs more
        say(f"round {turn + 1} of {rounds}: the naive decoder, {NAIVE_PATHS} paths x {NAIVE_BARS} bars")
        naive.append(_naive_seconds(checkpoint, size.context))
        ceiling.append(matmul_ceiling(decoder.device, decoder.dtype))
    ours = _timing(size, min(fast))
    theirs = NAIVE_PATHS * NAIVE_BARS / min(naive)
    flops = flops_per_bar(checkpoint, size.context + size.horizon / 2) * ours.path_bars_per_second
    return BenchResult(
        model=checkpoint.name,
        weights=weights,
        device=device_name(decoder.device),
        dtype=str(decoder.dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        size=ours,
        path_bars_per_second=ours.path_bars_per_second,
        naive_path_bars_per_second=theirs,
        ratio_to_naive=ours.path_bars_per_second / theirs,
        ceiling_gflops=max(ceiling) / 1e9,
        reached_gflops=flops / 1e9,
        share_of_ceiling=flops / max(ceiling),
        peak_memory_bytes=peak,
        growth=[_timing(one, _seconds(decoder, one)) for one in _smaller(size)] if growth else [],
        agreement=agreement(checkpoint, size) if decoder.dtype == torch.bfloat16 else None,
    )


def _check(checkpoint: Checkpoint, size: Size) -> None:
    needed, window = size.context + size.horizon, checkpoint.max_context
    if needed > window:
        raise SpecError(
            f"context {size.context} + horizon {size.horizon} = {needed} bars; {checkpoint.name} holds {window}",
            expected=f"a context of at most {window - size.horizon} bars with this horizon",
            fix="give a smaller --context or --horizon",
        )


def _smaller(size: Size) -> Iterator[Size]:
    """Yield sizes that are smaller in one dimension."""
    for divisor in (4, 2):
        yield Size(max(1, size.paths // divisor), size.context, size.horizon)
    yield Size(size.paths, max(1, size.context // 2), size.horizon)
    yield Size(size.paths, size.context, max(1, size.horizon // 2))


def inputs(checkpoint: Checkpoint, size: Size, seed: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return random s1, s2, stamps, future stamps and uniforms on the checkpoint's device."""
    generator = torch.Generator().manual_seed(seed)
    config, bars = checkpoint.model.config, size.context + size.horizon
    s1 = torch.randint(2**config.s1_bits, (1, size.context), generator=generator)
    s2 = torch.randint(2**config.s2_bits, (1, size.context), generator=generator)
    stamps = torch.randint(7, (1, bars, 11), generator=generator)  # five, and the marks that some models read
    uniforms = torch.rand(size.paths, size.horizon, 2, generator=generator, dtype=torch.float64)
    parts = (s1, s2, stamps[:, : size.context], stamps[:, size.context :], uniforms)
    device = checkpoint.model.embedding.emb_s1.weight.device
    moved = [part.to(device) for part in parts]
    return moved[0], moved[1], moved[2], moved[3], moved[4]


def _seconds(decoder: FastDecoder, size: Size) -> float:
    s1, s2, *rest = inputs(decoder.checkpoint, size)
    start = now(decoder.device)
    decoder.decode_tokens(s1, s2, *decoder.sample_tokens(s1, s2, rest[0], rest[1], rest[2], SamplingRule()))
    return now(decoder.device) - start


def _naive_seconds(checkpoint: Checkpoint, context: int) -> float:
    """Return the naive decoder's time, which also decodes its tokens to features."""
    s1, s2, *rest = inputs(checkpoint, Size(NAIVE_PATHS, context, NAIVE_BARS))
    start = now(s1.device)
    new1, new2 = sample_tokens_naively(checkpoint, s1, s2, rest[0], rest[1], rest[2], SamplingRule())
    whole = [torch.cat((old.expand(NAIVE_PATHS, -1), new), 1) for old, new in ((s1, new1), (s2, new2))]
    decode_tokens_naively(checkpoint, whole[0], whole[1], NAIVE_BARS)
    return now(s1.device) - start


def now(device: torch.device) -> float:
    """Return the seconds of a clock once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _timing(size: Size, seconds: float) -> Timing:
    return Timing(size.paths, size.context, size.horizon, seconds, size.paths * size.horizon / seconds)


@torch.no_grad()
def matmul_ceiling(device: torch.device, dtype: torch.dtype, sides: tuple[int, ...] = ()) -> float:
    """Return the most operations per second that a large square product reaches, by any kernel we know."""
    best = 0.0
    for n in sides or CEILING_SIZES[device.type == "cuda"]:
        x, weight = (torch.randn(n, n, device=device) for _ in range(2))
        packed, plain = Dense(weight, dtype=dtype), (x.to(dtype), weight.to(dtype))
        for product in (lambda p=packed, a=plain[0]: p(a), lambda a=plain: F.linear(*a)):
            best = max(best, 2.0 * n**3 / min(_timed(product, device) for _ in range(6)))
    return best


def _timed(work: Callable[[], object], device: torch.device) -> float:
    start = now(device)
    work()
    return now(device) - start


def peak_on(device: torch.device) -> int:
    """Return the most memory so far: of the process on a processor, of its tensors on a GPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_memory()


def device_name(device: torch.device) -> str:
    """Return what a device is called."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@torch.no_grad()
def agreement(checkpoint: Checkpoint, size: Size, rows: int = 64) -> Closeness:
    """Compare bfloat16 with float32 on the same sequences: float32 paths, each row cut after another bar."""
    exact, rough = FastDecoder(checkpoint, "float32"), FastDecoder(checkpoint, "bfloat16")
    horizon = max(2, min(size.horizon, 16))
    s1, s2, stamps, ahead, uniforms = inputs(checkpoint, Size(rows, size.context, horizon))
    new1, new2 = exact.sample_tokens(s1, s2, stamps, ahead, uniforms, SamplingRule())
    whole1, whole2 = (torch.cat((old.expand(rows, -1), new), 1) for old, new in ((s1, new1), (s2, new2)))
    every = torch.cat((stamps, ahead), 1)
    distances, same = [], []
    for bar in range(0, horizon, horizon // 2):
        until, after = size.context + bar, slice(bar, bar + 1)
        s1, s2, past = whole1[:, :until], whole2[:, :until], every[:, :until].expand(rows, -1, -1)
        logits = [d.dependency.s1_logits(d.prefill(s1, s2, past).last_state) for d in (exact, rough)]
        first, second = (x.softmax(-1) for x in logits)
        distances.append((first - second).abs().sum(-1) / 2)
        next_stamps, draws = ahead[:, after].expand(rows, -1, -1), uniforms[:, after]
        drawn = [torch.stack(d.sample_tokens(s1, s2, past, next_stamps, draws, SamplingRule())) for d in (exact, rough)]
        same.append((drawn[0] == drawn[1]).all(0).float().mean())
    distance = torch.cat(distances)
    return Closeness(len(distance), float(torch.stack(same).mean()), float(distance.mean()), float(distance.max()))
