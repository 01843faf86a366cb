"""What decoding must prove on a GPU, and how fast it is there, in at most eight minutes.

    python -m benchmarks.gpu [--out FOLDER]     # on the machine's CUDA device
    python -m benchmarks.gpu --dry              # the same code on the processor at tiny sizes, in seconds

Needs this repository as it was checked out (its root as the current folder), and torch, numpy, safetensors and
pydantic; no other package, no network, no data. Prints Markdown; with ``--out`` writes gpu.json and gpu.md there.
Exit code 1: a check failed. Published models that are not on the machine are timed with random weights.

Every row of the table has a share of what is left of the time. What would not fit is measured on fewer paths, in whole
chunks, and says so; what has begun and does not end in time is given up and says so.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scenario_gen.kronos import Checkpoint, load_checkpoint
from scenario_gen.kronos.decode import FastDecoder, plan_chunks
from scenario_gen.kronos.device import Precision, choose_device, has_bfloat16
from scenario_gen.kronos.model_speed import (
    Size,
    agreement,
    bytes_per_bar,
    device_name,
    flops_parts,
    inputs,
    matmul_ceiling,
    model_for_timing,
    now,
    peak_on,
)
from scenario_gen.kronos.naive import decode_tokens_naively, sample_tokens_naively
from scenario_gen.kronos.representation import Levels, stamp_features
from scenario_gen.kronos.sampling import SamplingRule

STARTED = time.monotonic()
SECONDS = 450.0  # for everything; half a minute of the eight minutes stays for the start and the files
GOLDEN = Path(__file__).parents[1] / "tests" / "kronos" / "golden"
CASES = ("within_context", "sliding_window", "truncated_context")
MODELS = ("nano", "mini", "small", "base")
RULE = SamplingRule()


@dataclass(frozen=True)
class Sizes:
    """How much is decoded."""

    context: int
    horizon: int
    paths: tuple[int, ...]
    checked: int  # paths of the checks
    squares: tuple[int, ...]  # sides of the products that measure the ceiling; a GPU needs large ones
    copied: int  # float32 numbers of the copy that measures the memory's speed


FULL = Sizes(400, 112, (1_000, 10_000, 100_000), 256, (2048, 8192), 2**29)
DRY = Sizes(24, 3, (2, 4, 8), 16, (256,), 2**20)


# --- Checks ---


@dataclass(frozen=True)
class Check:
    """Something that must hold on the device, and whether it did."""

    name: str
    passed: bool | None  # None: this machine cannot say
    measured: str
    bound: str


def upstreams_numbers(device: torch.device) -> Check:
    """Hold ids, logits and greedy prices of a small checkpoint beside those that upstream's own code gave.

    Bound: upstream's own stated agreement in float32, a relative 1e-4; ids of the tokenizer are equal.
    """
    golden, worst, ids = golden_checkpoint(device), 0.0, True
    for name in CASES:
        with np.load(GOLDEN / f"{name}.npz") as stored:
            case = {key: stored[key] for key in stored}
        window = int(case["max_context"])
        checkpoint, scale = replace(golden, max_context=window), Levels().fit(case["context"][None])
        features = torch.from_numpy(Levels().encode(case["context"][None], scale)).to(device)
        s1, s2 = checkpoint.tokenizer.encode(features)
        ids = ids and all(
            np.array_equal(ours[0].cpu().numpy(), case[key]) for ours, key in zip((s1, s2), ("s1", "s2"), strict=True)
        )
        stamps, ahead = (
            torch.from_numpy(stamp_features(case[key]))[None].to(device) for key in ("context_ts", "future_ts")
        )
        states = checkpoint.model.states(*(x[:, -window:] for x in (s1, s2, stamps)))
        first = checkpoint.model.s1_logits(states)
        second = checkpoint.model.s2_logits(states, first.argmax(-1), "decode")
        horizon, greedy = ahead.shape[1], SamplingRule(temperature=0)
        nothing = torch.zeros(1, horizon, 2, device=device)
        ways = [sample_tokens_naively(checkpoint, s1, s2, stamps, ahead, nothing, greedy)]
        if s1.shape[1] + horizon <= window:
            ways.append(FastDecoder(checkpoint, "float32").sample_tokens(s1, s2, stamps, ahead, nothing, greedy))
        worst = max(worst, _apart(first, case["s1_logits_last"]), _apart(second, case["s2_logits_last"]))
        for new1, new2 in ways:
            decoded = decode_tokens_naively(checkpoint, torch.cat((s1, new1), 1), torch.cat((s2, new2), 1), horizon)
            prices = Levels().decode(decoded.cpu().numpy(), np.ones(1), scale)
            worst = max(worst, _apart(torch.from_numpy(prices), case["greedy"]))
    words = f"ids {'equal' if ids else 'differ'}, numbers {worst:.1e} apart"
    return Check("upstream's numbers", ids and worst < 1e-4, words, "ids equal, numbers a relative 1e-4")


def _apart(ours: Tensor, theirs: np.ndarray) -> float:
    """Return the largest relative distance of ours [1, ...]; what is smaller than .1 counts as .1."""
    return float((np.abs(ours[0].cpu().numpy() - theirs) / np.maximum(np.abs(theirs), 0.1)).max())


def golden_checkpoint(device: torch.device) -> Checkpoint:
    """Return the small checkpoint that upstream's numbers were made with."""
    return load_checkpoint(GOLDEN, name="golden").on(device)


def fast_equals_naive(checkpoint: Checkpoint, sizes: Sizes) -> Check:
    """Let both decoders draw from the same uniforms in float32.

    Bound: both sum some hundred float32 terms in other orders, so that a cumulative probability moves by 1e-6, at most
    1e-5. Of 256 paths x 12 bars x 2 draws .06 cross a boundary; more than 2 paths have a chance under 1e-4. A wrong
    decoder draws other tokens in most paths.
    """
    horizon = min(sizes.horizon, 12)
    s1, s2, *rest = inputs(checkpoint, Size(sizes.checked, sizes.context, horizon))
    fast = FastDecoder(checkpoint, "float32").sample_tokens(s1, s2, rest[0], rest[1], rest[2], RULE)
    naive = sample_tokens_naively(checkpoint, s1, s2, rest[0], rest[1], rest[2], RULE)
    other = int((torch.stack(fast) != torch.stack(naive)).any(-1).any(0).sum())
    words, most = f"{other} of {sizes.checked} paths differ", sizes.checked // 100
    return Check(f"fast equals naive, {checkpoint.name}", other <= most, words, f"at most {most}: one in a hundred")


def near_float32(checkpoint: Checkpoint, sizes: Sizes) -> Check:
    """Hold bfloat16 beside float32 on the same sequences, 512 of them where ``sizes`` are full.

    Bound: logits of some 10 nats carry a relative error of 2^-9 per product, averaged over the sums of many: a few
    hundredths of a nat, so that distributions move by about a hundredth. Unrelated ones are .5 and more apart. A
    distance of 0 would say that nothing was computed in bfloat16. A distribution that moves by that little moves every
    boundary between its 1,024 tokens, so that some .13 of all pairs (standard error .015) become their neighbours.
    """
    name, bound = f"bfloat16 beside float32, {checkpoint.name}", "distance above 0 and under .03, same over .75"
    device = checkpoint.model.embedding.emb_s1.weight.device
    if not has_bfloat16(device):
        return Check(name, None, f"this {device.type} has no instructions for bfloat16", bound)
    near = agreement(checkpoint, Size(1, min(sizes.context, 128), 4), rows=min(4 * sizes.checked, 256))
    words = f"distance {near.s1_distance:.5f}, largest {near.largest_s1_distance:.3f}, same {near.same_tokens:.3f}"
    passed = 0 < near.s1_distance < 0.03 and near.largest_s1_distance < 0.15 and near.same_tokens > 0.75
    return Check(name, passed, words, bound)


def same_bits_anywhere(checkpoint: Checkpoint, sizes: Sizes, dtype: Precision) -> Check:
    """Decode the same uniforms in two chunks after each other: a path's bits may not depend on its chunk."""
    decoder = FastDecoder(checkpoint, dtype)
    decoder.paths_at_once = sizes.checked
    s1, s2, past, ahead, uniforms = inputs(checkpoint, Size(sizes.checked, sizes.context, sizes.horizon))
    new1, new2 = decoder.sample_tokens(s1, s2, past, ahead, torch.cat((uniforms, uniforms)), RULE)
    features = decoder.decode_tokens(s1, s2, new1, new2)
    first, second = torch.stack((new1, new2)).unflatten(1, (2, -1)).unbind(1)
    other = int((first != second).any(-1).any(0).sum())
    finite = bool(features.isfinite().all())
    words = f"{other} of {sizes.checked} paths differ, features {'finite' if finite else 'not finite'}"
    return Check(f"same bits in every chunk, {_short(decoder.dtype)}", other == 0 and finite, words, "none; all finite")


def replay_equals_plain(checkpoint: Checkpoint, sizes: Sizes, dtype: Precision) -> Check:
    """Decode fresh uniforms by the replayed steps and by the plain ones: the same kernels at the same shapes."""
    decoder = FastDecoder(checkpoint, dtype)
    size = Size(sizes.checked, sizes.context, sizes.horizon)
    s1, s2, past, ahead, uniforms = inputs(checkpoint, size)
    steps = ReplayedSteps(decoder, (s1, s2, past, ahead), size)
    steps(uniforms.flip(0))  # what it has seen before may leave no trace
    other = int((steps(uniforms) != torch.stack(decoder.sample_tokens(s1, s2, past, ahead, uniforms, RULE))).sum())
    words = f"{other} of {2 * sizes.checked * sizes.horizon} tokens differ"
    return Check(f"{steps.how} steps equal plain ones, {_short(decoder.dtype)}", other == 0, words, "none")


def checks(device: torch.device, sizes: Sizes) -> Iterator[Check]:
    """Yield every check of the device."""
    yield upstreams_numbers(device)
    nano = model_for_timing("nano")[0].on(device)
    for checkpoint in (golden_checkpoint(device), nano):
        fits = replace(sizes, context=min(sizes.context, checkpoint.max_context - 12))
        yield fast_equals_naive(checkpoint, fits)
    yield near_float32(nano, sizes)
    dtypes: list[Precision] = ["float32", "bfloat16"] if has_bfloat16(device) else ["float32"]
    for dtype in dtypes:
        yield same_bits_anywhere(nano, sizes, dtype)
        yield replay_equals_plain(nano, sizes, dtype)


# --- Speed ---


class ReplayedSteps:
    """All bars of a chunk of paths as one captured CUDA graph: one launch instead of some hundred for each bar.

    Elsewhere the same steps are called kernel by kernel, so that this code runs on a processor too.

    Args:
        decoder: on its device.
        given: context tokens s1 and s2 [1, T], their stamps and those of the future.
        size: paths of a chunk, context and horizon.
    """

    def __init__(self, decoder: FastDecoder, given: tuple[Tensor, Tensor, Tensor, Tensor], size: Size) -> None:
        self.decoder = decoder
        self.prefix = decoder.prefill(*given[:3])
        self.time = decoder.checkpoint.model.time_emb(given[3]).detach()
        self.buffers = decoder.buffers(self.prefix, size.paths)
        self.uniforms = torch.full((size.paths, size.horizon, 2), 0.5, dtype=torch.float64, device=decoder.device)
        self.how, self._graph = "called", None
        if decoder.device.type == "cuda":
            self.how, self._graph = "captured", torch.cuda.CUDAGraph()
            self._capture(self._graph)

    def _capture(self, graph: torch.cuda.CUDAGraph) -> None:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._all_bars()  # pages and workspaces are made before anything is captured
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(graph):
            self._tokens = self._all_bars()

    @torch.no_grad()
    def _all_bars(self) -> Tensor:
        for buffer in self.buffers:
            buffer.clear()
        n, horizon = self.uniforms.shape[:2]
        tokens = torch.empty((2, n, horizon), dtype=torch.int64, device=self.uniforms.device)
        for bar in range(horizon):
            newest, draws = tokens[:, :, bar - 1], self.uniforms[:, bar]
            tokens[:, :, bar] = self.decoder.step(self.prefix, self.buffers, bar, newest, self.time, draws, RULE)
        return tokens

    def __call__(self, uniforms: Tensor) -> Tensor:
        """Return tokens [2, n, H] for uniforms [n, H, 2] of at most a chunk's paths; valid until the next call."""
        self.uniforms[: len(uniforms)] = uniforms
        if self._graph is None:
            self._tokens = self._all_bars()
        else:
            self._graph.replay()
        return self._tokens[:, : len(uniforms)]


@dataclass(frozen=True)
class Row:
    """One model at one number of paths."""

    model: str
    weights: str  # real or random
    dtype: str
    paths: int
    measured_paths: int  # fewer where the time left did not suffice; 0 where nothing could be measured
    steps_seconds: float = float("nan")  # tokens, kernel by kernel
    features_seconds: float = float("nan")
    replayed_seconds: float = float("nan")  # tokens, by replayed steps
    capture_seconds: float = float("nan")  # once for all chunks, in none of the others
    path_bars_per_second: float = float("nan")  # tokens and features, the faster way
    share_of_ceiling: float = float("nan")
    peak_memory_bytes: int = 0
    note: str = ""


@dataclass(frozen=True)
class Ceiling:
    """What the device's products and its memory reach, measured in this run."""

    flops: dict[str, float]  # operations per second of large square products, by dtype
    bytes_per_second: float  # read and written by a copy

    def seconds_per_bar(self, checkpoint: Checkpoint, dtype: torch.dtype, sizes: Sizes) -> float:
        """Return the least time of one bar of one path: of its products, or of reading what it attends to."""
        blocks, logits = flops_parts(checkpoint, sizes.context + sizes.horizon / 2)
        products = blocks / self.flops[_short(dtype)] + logits / self.flops["float32"]
        return max(products, bytes_per_bar(checkpoint, dtype, sizes.horizon) / self.bytes_per_second)


def ceiling(device: torch.device, sizes: Sizes) -> Ceiling:
    """Measure the device."""
    dtypes = [torch.float32] + ([torch.bfloat16] if has_bfloat16(device) else [])
    flops = {_short(dtype): matmul_ceiling(device, dtype, sizes.squares) for dtype in dtypes}
    source, target = (torch.ones(sizes.copied, device=device) for _ in range(2))
    seconds = []
    for _ in range(6):
        start = now(device)
        target.copy_(source)
        seconds.append(now(device) - start)
    return Ceiling(flops, 2 * 4 * sizes.copied / min(seconds))


class OutOfTimeError(Exception):
    """A row did not end in time."""


def measured(row: Row, decoder: FastDecoder, sizes: Sizes, most: Ceiling, deadline: float) -> Row:
    """Return the row with its figures.

    Raises:
        OutOfTimeError: the deadline, by the monotonic clock, has passed.
    """

    def in_time(_: int = 0) -> None:
        if time.monotonic() > deadline:
            raise OutOfTimeError

    if decoder.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(decoder.device)
    size = Size(row.measured_paths, sizes.context, sizes.horizon)
    s1, s2, past, ahead, uniforms = inputs(decoder.checkpoint, size)
    chunk = plan_chunks(1, size.paths, decoder.device, decoder.paths_at_once)[1]
    clock = [now(decoder.device)]
    new1, new2 = decoder.sample_tokens(s1, s2, past, ahead, uniforms, RULE, in_time)
    clock.append(now(decoder.device))
    decoder.decode_tokens(s1, s2, new1, new2)
    clock.append(now(decoder.device))
    steps = ReplayedSteps(decoder, (s1, s2, past, ahead), Size(chunk, size.context, size.horizon))
    steps(uniforms[:chunk])
    clock.append(now(decoder.device))
    tokens = torch.empty_like(torch.stack((new1, new2)))
    for start in range(0, size.paths, chunk):
        in_time()
        tokens[:, start : start + chunk] = steps(uniforms[start : start + chunk])
    clock.append(now(decoder.device))
    plain, features, capture, replayed = (later - earlier for earlier, later in pairwise(clock))
    rate = size.paths * size.horizon / (min(plain, replayed) + features)
    note = "" if torch.equal(tokens[0], new1) and torch.equal(tokens[1], new2) else "replayed tokens differ"
    return replace(
        row,
        steps_seconds=plain,
        features_seconds=features,
        capture_seconds=capture,
        replayed_seconds=replayed,
        path_bars_per_second=rate,
        share_of_ceiling=rate * most.seconds_per_bar(decoder.checkpoint, decoder.dtype, sizes),
        peak_memory_bytes=peak_on(decoder.device),
        note=" ".join(filter(None, (row.note, note))),
    )


def fitting(paths: int, seconds_each: float, budget: float, chunk: int) -> int:
    """Return how many of the paths a budget has time for: all, or whole chunks of them, or none."""
    fits = int(budget / seconds_each)
    return paths if fits >= paths else fits // chunk * chunk


def table(device: torch.device, sizes: Sizes, most: Ceiling, ends: float, models: Sequence[str]) -> Iterator[Row]:
    """Yield every row, few paths of all models first, by ``ends`` of the monotonic clock."""
    todo = [(paths, name) for paths in sizes.paths for name in models]
    seconds_each: dict[str, float] = {}
    decoders: dict[str, tuple[FastDecoder, str]] = {}
    for number, (paths, name) in enumerate(todo):
        if name not in decoders:
            checkpoint, weights = model_for_timing(name)
            decoders[name] = FastDecoder(checkpoint.on(device)), weights
        decoder, weights = decoders[name]
        row = Row(name, weights, _short(decoder.dtype), paths, 0)
        few = min(sizes.paths[0], 256)
        budget = (ends - time.monotonic()) / (len(todo) - number)
        try:
            if name not in seconds_each:  # the first call of everything, which also says what a path takes
                few_row = measured(replace(row, measured_paths=few), decoder, sizes, most, time.monotonic() + budget)
                seconds_each[name] = sum((few_row.steps_seconds, few_row.features_seconds, few_row.capture_seconds))
                seconds_each[name] /= few
            budget = (ends - time.monotonic()) / (len(todo) - number)
            count = fitting(paths, 2.5 * seconds_each[name], budget, min(few, decoder.paths_at_once))
            if not count:
                yield replace(row, note=f"not measured: {few} paths take {few * seconds_each[name]:.0f} s")
                continue
            note = "" if count == paths else f"measured on {count:,} paths"
            row = replace(row, measured_paths=count, note=note)
            row = measured(row, decoder, sizes, most, time.monotonic() + 2 * budget)
            seconds_each[name] = (row.steps_seconds + row.features_seconds) / count
            yield row
        except OutOfTimeError:
            yield replace(row, measured_paths=0, note=f"given up after {2 * budget:.0f} s")


# --- What is told ---


def markdown(head: dict[str, object], most: Ceiling, proved: Sequence[Check], rows: Sequence[Row]) -> str:
    """Return the page."""
    verdict = {True: "yes", False: "**NO**", None: "not tested"}
    lines = [f"# Decoding on {head['device']}", "", ", ".join(f"{key} {value}" for key, value in head.items()), ""]
    lines += ["| check | holds | measured | bound |", "|---|---|---|---|"]
    lines += [f"| {check.name} | {verdict[check.passed]} | {check.measured} | {check.bound} |" for check in proved]
    products = ", ".join(f"{rate / 1e12:,.1f} TFLOP/s in {dtype}" for dtype, rate in most.flops.items())
    lines += ["", f"Measured ceiling: {products}; memory {most.bytes_per_second / 1e9:,.0f} GB/s."]
    lines += ["", "| model | weights | dtype | paths | path-bars/s | of the ceiling | steps | replayed | ratio |"]
    lines[-1] += " features | capture | memory | |"
    lines += ["|---|---|---|" + "---:|" * 9 + "---|"]
    for row in rows:
        seconds = (row.steps_seconds, row.replayed_seconds)
        lines.append(
            f"| {row.model} | {row.weights} | {row.dtype} | {row.paths:,} | {row.path_bars_per_second:,.0f} "
            f"| {100 * row.share_of_ceiling:.1f} % | {seconds[0]:.3f} s | {seconds[1]:.3f} s "
            f"| {seconds[0] / seconds[1]:.2f} | {row.features_seconds:.3f} s | {row.capture_seconds:.2f} s "
            f"| {row.peak_memory_bytes / 2**30:.2f} GiB | {row.note} |"
        )
    return "\n".join(lines) + "\n"


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def main(argv: Sequence[str] | None = None, say: Callable[[str], None] = print) -> int:
    """Run everything; return 1 where a check failed."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--dry", action="store_true", help="tiny sizes, on the processor")
    parser.add_argument("--out", type=Path, help="folder for gpu.json and gpu.md")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    given = parser.parse_args(argv)
    sizes, device = (DRY if given.dry else FULL), choose_device("cpu" if given.dry else "cuda")
    head = {"device": device_name(device), "torch": torch.__version__, "context": sizes.context}
    head |= {"horizon": sizes.horizon, "dry": given.dry}
    if given.dry:
        torch.set_num_threads(1)  # tiny products on two threads do little but wait for each other
    proved = list(checks(device, sizes))
    most = ceiling(device, sizes)
    start = time.monotonic() if given.dry else STARTED
    rows = list(table(device, sizes, most, start + SECONDS, given.models))
    page = markdown(head, most, proved, rows)
    say(page)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        whole = {**head, "ceiling": asdict(most), "checks": [asdict(c) for c in proved]}
        whole |= {"rows": [asdict(row) for row in rows], "seconds": time.monotonic() - start}
        (given.out / "gpu.json").write_text(json.dumps(whole, indent=1), encoding="utf-8")
        (given.out / "gpu.md").write_text(page, encoding="utf-8")
    return int(any(check.passed is False for check in proved))


if __name__ == "__main__":
    raise SystemExit(main())
