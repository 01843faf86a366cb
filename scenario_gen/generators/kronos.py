"""Paths from a Kronos checkpoint: context to tokens, tokens to paths, segment by segment where the window ends.

``reanchor``: a horizon beyond the window is sampled in segments; each later segment encodes every path's own last
bars anew, so its units follow the path. ``slide``: the published sampler's sliding window, exact and slow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from scenario_gen.errors import SpecError
from scenario_gen.files import user_path
from scenario_gen.generators.base import Advance, Order, ignore, require_movement
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.windows import bounds_of_history, own_history, plan_segments
from scenario_gen.kronos.checkpoint import Checkpoint, open_checkpoint
from scenario_gen.kronos.decode import FastDecoder
from scenario_gen.kronos.device import Precision, choose_device, choose_dtype
from scenario_gen.kronos.naive import sample_features
from scenario_gen.kronos.order import token_order
from scenario_gen.kronos.representation import Scale, stamp_features, time_marks
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.kronos.walk import BarWalk, TokenWalk, sample_from_contexts, stamps_for
from scenario_gen.market.candles import FIELDS, Candles
from scenario_gen.market.paths import PathSet

Files: TypeAlias = tuple[tuple[str, int, int], ...]


def open_once(model: str, tokenizer: str | None, device: str) -> Checkpoint:
    """Open a checkpoint, or return it as it was opened before for the same device: networks live on one.

    Raises:
        CheckpointError: nothing of that name, or it cannot be fetched or read.
    """
    return _open(model, tokenizer, device, _files(model) + _files(tokenizer))


@lru_cache(maxsize=2)
def _open(model: str, tokenizer: str | None, device: str, files: Files) -> Checkpoint:
    del device, files
    return open_checkpoint(model, tokenizer)


def _files(name: str | None) -> Files:
    """Return path, size and time of change of each file of a checkpoint folder; nothing for what cannot change."""
    folder = user_path(name or "")
    if not name or not folder.is_dir():
        return ()
    found = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".safetensors"))
    return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in found)


# --- Paths from a Kronos checkpoint ---


PUBLISHED_TRAINING_END = "2024-02-29"  # Kronos's author, upstream issue 204: training data end in February 2024
PATHS_PER_REANCHOR = 64  # contexts that are encoded together when every path has its own


class SampledPart(NamedTuple):
    """One segment of some paths: bars [N, S, F], pinned bars of each path [N], clipped bars of each context [P]."""

    bars: NDArray[np.float64]
    pinned: NDArray[np.int64]
    clipped: NDArray[np.int64]


class Decoded(NamedTuple):
    """Whole paths [N, H, F], what is counted of each path, and how many of the context's bars were clipped."""

    bars: NDArray[np.float64]
    counts: dict[str, NDArray[np.int64]]
    clipped: int


@dataclass(frozen=True)
class KronosPaths:
    """A checkpoint with its sampling rule."""

    checkpoint: Checkpoint
    rule: SamplingRule
    window: Literal["reanchor", "slide"]
    device: torch.device
    dtype: Precision = "auto"
    lent: Candles | None = field(default=None, compare=False)  # whose units a context of the same stamps is read in

    @classmethod
    def of(
        cls,
        checkpoint: Checkpoint,
        rule: SamplingRule,
        window: Literal["reanchor", "slide"] = "reanchor",
        device: str = "auto",
        dtype: Precision = "auto",
    ) -> KronosPaths:
        """Put a loaded checkpoint onto a device."""
        place = choose_device(device, "generator.device")
        choose_dtype(dtype, place)  # refuses what the device cannot do now, not at the first block
        return cls(checkpoint.on(place), rule, window, place, dtype)

    def in_units_of(self, context: Candles) -> KronosPaths:
        """Return this checkpoint, which reads contexts of these stamps in the units of this one."""
        return replace(self, lent=context)

    def in_order(self, order: Order) -> KronosPaths:
        """Return this checkpoint with uniforms that order its tokens; the law of its paths is the same.

        A bar takes two uniforms, of s1 and of s2; nested four, the bin of return and the place by volume of each.
        """
        return replace(self, rule=replace(self.rule, order=token_order(self.checkpoint, order)))

    def cell_bounds(self, history: Candles) -> NDArray[np.float64]:
        """Return between which uniforms each real bar would have been drawn [bar, uniform, (lower, upper)].

        Raises:
            DataError: a history never moves.
        """
        return bounds_of_history(self.checkpoint, self.rule, history.values, stamps_of(history.timestamps))

    def unread(self, context: Candles) -> NDArray[np.bool_]:
        """Return of which bars of a context [bar] something lies beyond what the model reads."""
        scale = self._units(context, len(context))
        return np.asarray(self.checkpoint.representation.clipped(context.values[None], scale)[0])

    def _units(self, context: Candles, bars: int) -> Scale:
        """Return the units in which the last bars of a context are read: its own, or those that it was lent."""
        lent = self.lent is not None and self.lent.timestamps.equals(context.timestamps)
        source = self.lent if self.lent is not None and lent else context
        return self.checkpoint.representation.fit(source.values[None, -bars:])

    @cached_property
    def decoder(self) -> FastDecoder:
        """The decoder of every block: its folded weights and its buffers are made once."""
        return FastDecoder(self.checkpoint, self.dtype)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Model, weights, sampling rule, order of its uniforms and device."""
        order = {} if self.rule.order is None else {"order": self.rule.order.kind}
        return {
            "kind": "kronos",
            "model": self.checkpoint.name,
            "representation": self.checkpoint.representation.kind,
            "dependency_form": self.checkpoint.dependency_form,
            "temperature": self.rule.temperature,
            "top_p": self.rule.top_p,
            "top_k": self.rule.top_k,
            "window": self.window,
            "device": str(self.device),
            "dtype": str(choose_dtype(self.dtype, self.device)).removeprefix("torch."),
            "model_sha256": self.checkpoint.provenance.get("model_sha256", ""),
            "tokenizer_sha256": self.checkpoint.provenance.get("tokenizer_sha256", ""),
            "settings_sha256": self.checkpoint.settings_sha256,
            **order,
        }

    @property
    def trained_until(self) -> str:
        """Last date of the training data: from our own record, or as the published models' author states it."""
        record = self.checkpoint.provenance
        start = record.get("init", {})  # what a fine-tuned checkpoint was trained on from has seen its share
        dates = [str(row["last"]) for row in (*record.get("trained_on", []), *start.get("trained_on", []))]
        if any(str(one.get("repository", "")).startswith("NeoQuasar/") for one in (record, start)):
            dates.append(PUBLISHED_TRAINING_END)
        return max(dates, default="")

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return raw paths float32 [path, bar, field]; ``advance`` hears of every finished bar.

        Raises:
            DataError: the context never moves, so that it has no unit of volatility.
        """
        require_movement(context)
        horizon = len(timestamps)
        stamps = stamps_of(context.timestamps.append(timestamps))
        uniforms = (
            torch.from_numpy(draws.uniforms(horizon, self.rule.per_bar)).float().to(self.device)
        )  # some have no float64
        sampler = self._slide if self.window == "slide" else self._reanchor
        values, counts, clipped = sampler(context, stamps, uniforms, advance)
        fields = _fields(context, values.shape[-1])
        return PathSet(
            values=values[..., : len(fields)].astype(np.float32),
            fields=fields,
            timestamps=timestamps,
            path_ids=draws.path_ids,
            anchor_close=float(context.close[-1]),
            provenance={
                "generator": "kronos",
                **self.identity,
                "seed": draws.seed,
                "context_bars": self._context_bars(len(context), horizon),
                "clipped_context_bars": clipped,
                **self._record(),
            },
            counts=counts,
        )

    def start(self, context: Candles, timestamps: pd.DatetimeIndex, rows: int) -> BarWalk:
        """Return as many paths before their first bar.

        Raises:
            SpecError: context and horizon do not fit the model's window together.
            DataError: the context never moves.
        """
        horizon, window = len(timestamps), self.checkpoint.max_context
        plan = list(plan_segments(len(context), horizon, window))
        keep = plan[0].keep if self.window == "reanchor" else len(context)
        if len(plan) > 1 or keep + horizon > window:
            raise SpecError(
                f"{horizon} bars after {len(context)} of context, to be sampled bar by bar; "
                f"{self.checkpoint.name} holds {window} bars and keeps a quarter of them at most for the horizon",
                expected=f"a horizon of at most {window // 4} bars, or one that fits beside the context",
                fix="ask for fewer bars, or for another generator",
            )
        history = context.values[None, -self._context_bars(len(context), horizon) :]
        scale = self._units(context, history.shape[1])
        tokens = torch.stack(self._tokens(history, scale))[:, :, -keep:]
        stamps = stamps_of(context.timestamps.append(timestamps))[None, -keep - horizon :]
        stamps = stamps_for(self.checkpoint, stamps, scale).to(self.device)
        walk = TokenWalk(self.decoder, tokens, stamps, self.rule, rows)
        width = len(_fields(context, self._width(context)))
        return BarWalk(walk, self.checkpoint.representation, scale, float(context.close[-1]), width)

    def sample_many(
        self, contexts: Sequence[Candles], timestamps: Sequence[pd.DatetimeIndex], draws: Draws
    ) -> list[PathSet]:
        """Return raw paths of many contexts of one length; the ids are the first context's, then the next's.

        Raises:
            DataError: a context never moves.
        """
        bars, horizon, shares = len(contexts[0]), len(timestamps[0]), np.split(draws.path_ids, len(contexts))
        plan = list(plan_segments(bars, horizon, self.checkpoint.max_context))
        if len(plan) > 1 or self.window == "slide":
            each = zip(contexts, timestamps, shares, strict=True)
            return [self.sample(one, ahead, draws.share(ids)) for one, ahead, ids in each]
        seen = self._context_bars(bars, horizon)
        stamps = [stamps_of(one.timestamps.append(ahead)) for one, ahead in zip(contexts, timestamps, strict=True)]
        values = sample_from_contexts(
            self.decoder,
            self.rule,
            np.stack([one.values[-seen:] for one in contexts]),
            torch.stack(stamps),
            draws.uniforms(horizon, self.rule.per_bar).reshape(len(contexts), -1, horizon, self.rule.per_bar),
            plan[0].keep,
        )
        fields = _fields(contexts[0], values.shape[-1])
        record = {"generator": "kronos", **self.identity, "seed": draws.seed, **self._record()}
        return [
            PathSet(bars[..., : len(fields)].astype(np.float32), fields, ahead, ids, float(one.close[-1]), record)
            for bars, one, ahead, ids in zip(values, contexts, timestamps, shares, strict=True)
        ]

    def _record(self) -> dict[str, Any]:
        keys = ("repository", "revision", "tokenizer_repository", "tokenizer_revision", "config_sha256")
        provenance = self.checkpoint.provenance
        return {key: provenance[key] for key in keys if key in provenance}

    def _context_bars(self, bars: int, horizon: int) -> int:
        """Return how many of the context's last bars are used.

        Published checkpoints take their statistics from all rows, as upstream does. Our own take units and tokens
        from the rows that fit the window, as in training: units of a longer past would be those of another market.
        """
        if self.checkpoint.representation.kind == "levels":
            return bars
        window = self.checkpoint.max_context
        if self.window == "slide" and bars <= window:
            return bars
        return next(plan_segments(bars, horizon, window)).keep

    def _reanchor(self, context: Candles, stamps: torch.Tensor, uniforms: torch.Tensor, advance: Advance) -> Decoded:
        paths, horizon = uniforms.shape[:2]
        shared = context.values[None]  # [1, T, F]
        seed = shared[:, -self._context_bars(len(context), horizon) :]
        bars = np.empty((paths, horizon, self._width(context)))
        pinned, reclipped, clipped = np.zeros(paths, np.int64), np.zeros(paths, np.int64), 0
        for segment in plan_segments(len(context), horizon, self.checkpoint.max_context):
            until = stamps[: len(context) + segment.stop]
            for rows in _rows_at_once(paths, shared=segment.start == 0):
                if segment.start:
                    seed = own_history(shared, bars[rows], segment.start, segment.keep)  # [N, keep, F]
                draws = uniforms[rows, segment.start : segment.stop]
                tell = ignore if rows.start else advance  # a bar is finished once, not once per chunk
                fit = self.checkpoint.representation.fit
                scale = fit(seed) if segment.start else self._units(context, seed.shape[1])
                part = self._segment(seed, scale, segment.keep, until, draws, tell)
                bars[rows, segment.start : segment.stop] = part.bars
                pinned[rows] += part.pinned
                if segment.start:
                    reclipped[rows] += part.clipped
                else:
                    clipped = int(part.clipped[0])
        return Decoded(bars, {**_pinned(pinned), "clipped_own_bars": reclipped}, clipped)

    def _segment(
        self,
        history: NDArray[np.float64],
        scale: Scale,
        keep: int,
        stamps: torch.Tensor,
        uniforms: torch.Tensor,
        advance: Advance,
    ) -> SampledPart:
        """Encode contexts [P, T, F], sample and decode their paths [N, S]; units and tokens see every row.

        ``stamps`` [.., 10] end with the segment's own bars.
        """
        s1, s2 = (tokens[:, -keep:] for tokens in self._tokens(history, scale))
        bars = uniforms.shape[1]
        stamps = stamps_for(self.checkpoint, stamps[None, -keep - bars :], scale).to(self.device)
        past, ahead = stamps[:, :keep], stamps[:, keep:]
        new1, new2 = self.decoder.sample_tokens(s1, s2, past, ahead, uniforms, self.rule, advance)
        features = self.decoder.decode_tokens(s1, s2, new1, new2).cpu().numpy()
        return self._part(features, history, scale)

    def _slide(self, context: Candles, stamps: torch.Tensor, uniforms: torch.Tensor, advance: Advance) -> Decoded:
        horizon = uniforms.shape[1]
        seen = self._context_bars(len(context), horizon)
        history = context.values[None, -seen:]
        scale = self._units(context, seen)
        s1, s2 = self._tokens(history, scale)
        stamps = stamps_for(self.checkpoint, stamps[None], scale).to(self.device)
        past, ahead = stamps[:, -horizon - seen : -horizon], stamps[:, -horizon:]
        features = sample_features(self.decoder, s1, s2, past, ahead, uniforms, self.rule, advance)
        part = self._part(features.cpu().numpy(), history, scale)
        return Decoded(part.bars, _pinned(part.pinned), int(part.clipped[0]))

    @torch.no_grad()
    def _tokens(self, history: NDArray[np.float64], scale: Scale) -> tuple[torch.Tensor, torch.Tensor]:
        """Return token ids [P, T] of contexts [P, T, F] in their units."""
        features = self.checkpoint.representation.encode(history, scale)
        return self.checkpoint.tokenizer.encode(torch.from_numpy(features).to(self.device))

    def _part(self, features: NDArray[np.float32], history: NDArray[np.float64], scale: Scale) -> SampledPart:
        """Return the bars [N, S, F] that features of paths stand for, which share or own the contexts."""
        representation = self.checkpoint.representation
        anchors = np.broadcast_to(history[:, -1, 3], len(features))
        bars = representation.decode(features, anchors, scale)
        if representation.kind != "levels":
            bars = bars[..., : history.shape[-1]]  # without volume in the context there is none in the paths
        clipped = representation.clipped(history, scale).sum(axis=1)
        return SampledPart(bars, representation.pinned(features).sum(axis=1), clipped)

    def _width(self, context: Candles) -> int:
        """Return how many fields a sampled bar has."""
        n_features = self.checkpoint.representation.n_features
        return n_features if self.checkpoint.representation.kind == "levels" else min(n_features, len(context.fields))


def _pinned(bars: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    return {"pinned_bars": bars, "pinned_paths": (bars > 0).astype(np.int64)}


def _rows_at_once(paths: int, *, shared: bool) -> Iterator[slice]:
    """Cut paths into chunks where each has a context of its own; all at once where they share one."""
    size = paths if shared else PATHS_PER_REANCHOR
    return (slice(start, min(start + size, paths)) for start in range(0, paths, size))


def stamps_of(timestamps: pd.DatetimeIndex) -> torch.Tensor:
    """Return integer stamps of local wall-clock times and the marks of time behind them [T, 10]."""
    local = timestamps.tz_localize(None) if timestamps.tz is not None else timestamps
    wall_ns = local.as_unit("ns").asi8
    return torch.from_numpy(np.concatenate((stamp_features(wall_ns), time_marks(wall_ns)), axis=-1))


def _fields(context: Candles, width: int) -> tuple[str, ...]:
    """Return the fields of a path: those that both the context and the representation have."""
    return tuple(name for name in FIELDS[:width] if name in context.fields or (name == "amount" and context.has_volume))
