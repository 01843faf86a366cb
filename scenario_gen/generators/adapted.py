"""A Kronos checkpoint whose heads are fitted to one market: to bars before the context, where that forecasts better.

The network stays as it was trained. Its states after every bar are computed once, and both heads, linear as they are,
get a correction: logits = W (h + B A (h - m) + c) + b, with A whitening the states about their mean m, and B and c
fitted under a ridge, which is convex. That is a head with other weights, so sampling costs what it cost.

A correction is fitted to the older part of the bars and judged on the later ones, in nats a bar as in training: its
strength is the best of a few there, and it is kept only where the gain is more than two standard errors, by blocks of
bars. Where the whole of it is best, the market is unlike what the checkpoint knows, and a tenth of the ridge is tried.
Kept, it is fitted once more to all of the bars, at that ridge and strength, so that the latest are in it. Else the
checkpoint samples as it is, to the last bit, and says so.

Nats are of one bar after another: a drift that a weak ridge learns from few bars is hardly seen by them, and adds up
over a horizon. Forecasts of the past show it, each made with heads fitted before its own context.

Which bars: whole windows, counted from the history's first bar, and none of the last window, which is the most that
the model sees of a context. A fit therefore holds for as many later origins as a window has bars: a calibration of
sixty refits some times, not sixty times, and never to anything of the context or after it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from scenario_gen.errors import DataError, SpecError
from scenario_gen.generators.base import Order
from scenario_gen.generators.kronos import KronosPaths, stamps_of
from scenario_gen.generators.windows import plan_windows
from scenario_gen.kronos.checkpoint import Checkpoint
from scenario_gen.kronos.decode import FastDecoder
from scenario_gen.kronos.model import Heads, Kronos
from scenario_gen.kronos.order import token_order
from scenario_gen.kronos.walk import stamps_for
from scenario_gen.market.candles import Candles

FEWEST, FEWEST_WINDOWS, MOST = 2048, 4, 12_288  # bars, and windows, that are fitted to and judged on
OLDER = 0.6  # share of the bars that a correction is fitted to before it is judged
BLOCK = 64  # bars: what the standard error of a gain counts by
STRENGTHS = (0.25, 0.5, 0.75, 1.0)  # of a correction that is kept
SURE = 2.0  # standard errors
MOST_KEPT = 64  # fits of a checkpoint, a megabyte each for nano
RIDGES = (1000.0, 100.0, 10.0)  # pseudo-bars that hold a correction near none
STEPS = 25  # of L-BFGS, at most: sixty change no gain by a ten-thousandth
LEAST_SPREAD = 1e-3  # of the states' widest direction: what spreads less is not whitened further

Correction = tuple[Tensor, Tensor]  # of a head's weights [V, D] and its bias [V]


class HeldOutGain(NamedTuple):
    """What a correction gains on bars that it was not fitted to, at one strength."""

    gain: float  # nats a bar
    error: float  # its standard error
    strength: float
    ridge: float

    @property
    def sure(self) -> bool:
        """Whether it counts as a gain."""
        return self.gain > SURE * self.error


class HeadTask(NamedTuple):
    """What a head sees of every forecast bar, and the token that came: states [M, D], real [M]."""

    states: Tensor
    real: Tensor

    def where(self, rows: NDArray[np.bool_]) -> HeadTask:
        """Return the rows of a mask [M]."""
        mask = torch.from_numpy(rows).to(self.real.device)
        return HeadTask(self.states[mask], self.real[mask])


@dataclass(frozen=True, eq=False)
class HistoryStates:
    """A history as the network sees it."""

    rows: NDArray[np.int64]  # of the forecast bars in the history [M]
    starts: NDArray[np.int64]  # the first bar of the window that each is forecast in [M]
    levels: tuple[HeadTask, HeadTask]  # of s1, and of s2 given s1


@dataclass(frozen=True)
class Adaptation:
    """What came of a fit."""

    bars: int  # before the context, that were fitted to and judged on; 0 where there are too few
    judged: int  # of them, the later ones that judged
    ridge: float  # that the correction was fitted under; 0 where nothing is kept of it
    strength: float  # of the correction; 0 where nothing is kept
    gain: float  # nats a judged bar at the best strength, against the checkpoint as trained
    error: float  # standard error of the gain
    sha256: str  # of the bars

    @property
    def record(self) -> dict[str, Any]:
        """Figures for a result's provenance, and the same in words."""
        figures = {"judged_bars": self.judged, "nats_gained": round(self.gain, 4), "error": round(self.error, 4)}
        return {"adaptation": {**figures, "in_words": self.in_words}}

    @property
    def in_words(self) -> str:
        """What was fitted and kept, in a sentence."""
        if not self.bars:
            return (
                f"adapt: nothing is fitted: it takes {FEWEST:,} bars that move, in whole windows before the last one, "
                "which is the context's; paths are those of the checkpoint as it is"
            )
        judged = f"on the later {self.judged:,} of {self.bars:,} bars before the context"
        gained = f"{self.gain:+.4f} nats a bar (standard error {self.error:.4f})"
        if not self.strength:
            return (
                f"adapt: nothing is kept: {judged} the best of {len(STRENGTHS)} strengths gains {gained}, which is not "
                f"above {SURE:g} standard errors; paths are those of the checkpoint as it is"
            )
        how = f"ridge {self.ridge:g}, strength {self.strength:g}"
        return f"adapt: the heads are fitted to this market ({how}): {judged} that gains {gained}"


Fit = tuple[Adaptation, Heads | None]
_FITS: WeakKeyDictionary[Kronos, dict[str, Fit]] = WeakKeyDictionary()  # by the hash of settings and bars


@dataclass(frozen=True)
class AdaptedPaths(KronosPaths):
    """A checkpoint with its sampling rule, whose heads are fitted to a history; one to be fitted until then."""

    plain: Checkpoint | None = None  # as it was trained; None is the checkpoint itself, where nothing was kept of a fit
    adaptation: Adaptation | None = None  # made by :meth:`fitted_to`

    @classmethod
    def around(cls, paths: KronosPaths) -> AdaptedPaths:
        """Return a generator that is to be fitted.

        Raises:
            SpecError: the checkpoint reads price levels: it was not trained in windows that begin with their units.
        """
        if (kind := paths.checkpoint.representation.kind) == "levels":
            raise SpecError(
                f"generator.adapt is true, and {paths.checkpoint.name} reads {kind}",
                expected="a checkpoint of increments, such as nano",
                fix="set adapt: false, or name nano or a checkpoint that scenario-gen has trained",
            )
        return cls(paths.checkpoint, paths.rule, paths.window, paths.device, paths.dtype)

    def fitted_to(self, history: Candles) -> AdaptedPaths:
        """Return the generator fitted to bars of a history that lie before the context which it ends with."""
        plain = self.plain or self.checkpoint
        adaptation, heads = fit_heads(plain, history)
        checkpoint = plain if heads is None else replace(plain, model=with_heads(plain.model, heads))
        return replace(self, checkpoint=checkpoint, plain=plain, adaptation=adaptation)

    @property
    def identity(self) -> Mapping[str, Any]:
        """That of the checkpoint, and which bars its heads were fitted to, how strongly."""
        made = self.adaptation
        kept = ("bars", "ridge", "strength", "sha256")
        return {**super().identity, "adapted": None if made is None else {key: getattr(made, key) for key in kept}}

    def in_order(self, order: Order) -> AdaptedPaths:
        """Return this checkpoint with uniforms that order its tokens, by what it says of them as it was trained."""
        return replace(self, rule=replace(self.rule, order=token_order(self.plain or self.checkpoint, order)))

    @cached_property
    def decoder(self) -> FastDecoder:
        """The decoder of every block.

        Raises:
            ValueError: the generator is still to be fitted.
        """
        if self.adaptation is None:
            raise ValueError("sampled before it was fitted to a history: see fitted_to")
        return FastDecoder(self.checkpoint, self.dtype)

    @property
    def in_words(self) -> str:
        """What was fitted and kept; "" where it is still to be fitted."""
        return "" if self.adaptation is None else self.adaptation.in_words

    def forecasts_in_words(self, rows: Sequence[int]) -> str:
        """Say how forecasts of a history's bars from these rows on are adapted."""
        window = (self.plain or self.checkpoint).max_context
        enough = sum(stop_before(row, window) >= least_bars(window) for row in rows)
        return (
            f"adapted: each forecast is made with heads that were fitted to, and judged on, bars before its own context"
            f" alone; {enough} of {len(rows)} had the {least_bars(window):,} that it takes, the others are those of"
            " the checkpoint as it is"
        )

    def _record(self) -> dict[str, Any]:
        return {**super()._record(), **({} if self.adaptation is None else self.adaptation.record)}


def with_heads(model: Kronos, heads: Heads) -> Kronos:
    """Return a model with other heads and, else, the modules of this one."""
    adapted = copy.copy(model)
    adapted._modules = {**model._modules, "head": heads}
    return adapted


def stop_before(bars: int, window: int) -> int:
    """Return the bar at which a fit stops where so many are known: whole windows, and none of the last, the latest."""
    return max(0, bars // window - 1) * window


def least_bars(window: int) -> int:
    """Return how many bars before :func:`stop_before` are fitted to at least."""
    return max(FEWEST, FEWEST_WINDOWS * window)


def fit_heads(checkpoint: Checkpoint, history: Candles) -> Fit:
    """Fit the heads of a checkpoint to a history that ends with a context, and judge them.

    The bits of a fit depend on checkpoint and bars alone: one thread adds up, wherever it is asked for.

    Returns:
        What came of it, and the heads; None where nothing is kept.
    """
    window = checkpoint.max_context
    stop = stop_before(len(history), window)
    bars = history.rows(max(0, stop - max(MOST // window, FEWEST_WINDOWS) * window), stop)
    sha256 = bars.sha256() if len(bars) else ""
    kept, key = _FITS.setdefault(checkpoint.model, {}), checkpoint.settings_sha256 + sha256
    if key not in kept:
        while len(kept) >= MOST_KEPT:
            kept.pop(next(iter(kept)))
        with one_torch_thread():
            seen = seen_by(checkpoint, bars) if len(bars) >= least_bars(window) else None
            kept[key] = nothing(sha256) if seen is None else judged_fit(checkpoint, seen, len(bars), sha256)
    return kept[key]


def nothing(sha256: str) -> Fit:
    """Return that nothing is fitted."""
    return Adaptation(0, 0, 0.0, 0.0, 0.0, 0.0, sha256), None


@torch.no_grad()
def seen_by(checkpoint: Checkpoint, bars: Candles) -> HistoryStates | None:
    """Run a checkpoint over a history in windows, units from the first half of each; None where it stands still."""
    model, window, stamps = checkpoint.model, checkpoint.max_context, stamps_of(bars.timestamps)
    device = next(model.parameters()).device
    rows, starts, levels = [], [], []
    for start, first, stop in plan_windows(len(bars), window):
        values, given = bars.values[None, start:stop], first - start
        try:
            scale = checkpoint.representation.fit(values[:, :given])
        except DataError:  # it stands still: there is nothing to be learned from its bars
            continue
        features = torch.from_numpy(checkpoint.representation.encode(values, scale)).to(device)
        s1, s2 = checkpoint.tokenizer.encode(features)
        marks = stamps_for(checkpoint, stamps[None, start:stop], scale).to(device)
        states = model.states(s1[:, :-1], s2[:, :-1], marks[:, :-1])
        dependent = model.dep_layer(states, model.embedding.emb_s1(s1[:, 1:]), checkpoint.dependency_form)
        rows.append(np.arange(first, stop))
        starts.append(np.full(stop - first, start))
        levels.append((states[0, given - 1 :], s1[0, given:], dependent[0, given - 1 :], s2[0, given:]))
    if sum(map(len, rows)) < len(bars) // 2:
        return None
    parts = [torch.cat(part) for part in zip(*levels, strict=True)]
    return HistoryStates(np.concatenate(rows), np.concatenate(starts), (HeadTask(*parts[:2]), HeadTask(*parts[2:])))


def judged_fit(checkpoint: Checkpoint, seen: HistoryStates, bars: int, sha256: str) -> Fit:
    """Fit to the older bars, judge on the later ones, and fit to all where it is kept.

    No bar of a window that judges was fitted to, as one that is forecast or as one before it.
    """
    heads = (checkpoint.model.head.proj_s1, checkpoint.model.head.proj_s2)
    half = checkpoint.max_context // 2
    cut = int(OLDER * bars) // half * half
    older, later = seen.rows < cut, seen.starts >= cut
    if not older.any() or not later.any():
        return nothing(sha256)
    past, judged = ([level.where(rows) for level in seen.levels] for rows in (older, later))
    best = best_tried(heads, past, judged, seen.rows[later] // BLOCK)
    count = int(later.sum())
    if not best.sure:
        return Adaptation(bars, count, 0.0, 0.0, best.gain, best.error, sha256), None
    whole = [correction(head, level, best.ridge) for head, level in zip(heads, seen.levels, strict=True)]
    adaptation = Adaptation(bars, count, best.ridge, best.strength, best.gain, best.error, sha256)
    return adaptation, corrected(checkpoint.model, whole, best.strength)


def best_tried(
    heads: Sequence[torch.nn.Linear], past: Sequence[HeadTask], judged: Sequence[HeadTask], blocks: NDArray[np.int64]
) -> HeldOutGain:
    """Return the correction that gains most on what is judged: a weaker ridge is tried while the whole of one is best.

    Args:
        heads: of s1 and of s2.
        past: what each sees of the bars to fit.
        judged: what each sees of the bars to judge by.
        blocks: of the judged bars [M].
    """
    best: HeldOutGain | None = None
    for ridge in RIDGES:
        fitted = [correction(head, level, ridge) for head, level in zip(heads, past, strict=True)]
        plain = nats(heads, fitted, judged, 0.0)
        gains = ((*mean_by(plain - nats(heads, fitted, judged, k), blocks), k) for k in STRENGTHS)
        tried = max(HeldOutGain(*gain, ridge) for gain in gains)
        if best is None or tried.gain > best.gain:
            best = tried
        if best is not tried or tried.strength < 1 or not tried.sure:
            break
    if best is None:
        raise ValueError("no ridge to try")
    return best


@torch.enable_grad()
def correction(head: torch.nn.Linear, level: HeadTask, ridge: float) -> Correction:
    """Return by how much weights and bias of a head are to change to forecast these tokens best, under a ridge."""
    weight, bias = head.weight.detach(), head.bias.detach()
    mean = level.states.mean(0)
    whitening = whitened(level.states - mean)  # [D, D]
    x, logits = (level.states - mean) @ whitening.T, F.linear(level.states, weight, bias)
    turned = weight.new_zeros(whitening.shape, requires_grad=True)
    moved = weight.new_zeros(mean.shape, requires_grad=True)
    search = torch.optim.LBFGS([turned, moved], max_iter=STEPS, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        nll = F.cross_entropy(logits + F.linear(F.linear(x, turned, moved), weight), level.real)
        held = nll + ridge / len(x) * (turned.square().sum() + moved.square().sum())
        held.backward()
        return held

    search.step(loss)
    mixing = turned.detach() @ whitening
    return weight @ mixing, weight @ (moved.detach() - mixing @ mean)


def whitened(centred: Tensor) -> Tensor:
    """Return the directions of states [M, D] over their spread [D, D]; hardly any spread counts as a little."""
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    spread = singular / math.sqrt(len(centred))
    out: Tensor = directions / spread.clamp_min(LEAST_SPREAD * float(spread[0]))[:, None]
    return out


@torch.no_grad()
def nats(
    heads: Sequence[torch.nn.Linear], fitted: Sequence[Correction], judged: Sequence[HeadTask], k: float
) -> Tensor:
    """Return the negative log likelihood of each bar's two tokens, float64 [M], with ``k`` of the corrections."""
    total = torch.zeros(len(judged[0].real), dtype=torch.float64, device=judged[0].real.device)
    for head, (weight, bias), level in zip(heads, fitted, judged, strict=True):
        logits = F.linear(level.states, head.weight + k * weight, head.bias + k * bias)
        total += F.cross_entropy(logits, level.real, reduction="none").double()
    return total


def mean_by(gains: Tensor, blocks: NDArray[np.int64]) -> tuple[float, float]:
    """Return the mean of gains [M] and its standard error by their blocks [M]; infinite of a single block."""
    values = gains.cpu().numpy()
    _, which, sizes = np.unique(blocks, return_inverse=True, return_counts=True)
    means = np.bincount(which, values) / sizes
    error = means.std(ddof=1) / math.sqrt(len(means)) if len(means) > 1 else math.inf
    return float(values.mean()), float(error)


@torch.no_grad()
def corrected(model: Kronos, fitted: Sequence[Correction], strength: float) -> Heads:
    """Return the heads of a model with so much of the corrections."""
    heads = copy.deepcopy(model.head)
    for head, (weight, bias) in zip((heads.proj_s1, heads.proj_s2), fitted, strict=True):
        head.weight.add_(strength * weight)
        head.bias.add_(strength * bias)
    return heads


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let one thread add up: the last digits hang on how many do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
