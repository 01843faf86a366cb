"""Paths from a Kronos checkpoint: context to tokens, tokens to paths, segment by segment where the window ends.

``reanchor``: a horizon beyond the window is sampled in segments; each later segment encodes every path's own last
bars anew, so its units follow the path. ``slide``: the published sampler's sliding window, exact and slow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from scenario_gen.execute.draws import Draws
from scenario_gen.generators.base import Advance, ignore
from scenario_gen.generators.segments import own_history, plan_segments
from scenario_gen.kronos.checkpoint import Checkpoint
from scenario_gen.kronos.decode import FastDecoder
from scenario_gen.kronos.device import choose_device
from scenario_gen.kronos.hub import open_checkpoint
from scenario_gen.kronos.naive import decode_tokens_naively, sample_tokens_naively
from scenario_gen.kronos.representation import PINNED, Scale
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.kronos.stamps import stamp_features
from scenario_gen.market.candles import FIELDS, Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.spec.models import KronosGenerator

PUBLISHED_TRAINING_END = (
    "2024-02-29"  # Kronos's author, upstream issue 204: training data end in February 2024
)
PATHS_PER_REANCHOR = 64  # contexts that are encoded together when every path has its own


@dataclass(frozen=True)
class KronosPaths:
    """A checkpoint with its sampling rule."""

    checkpoint: Checkpoint
    rule: SamplingRule
    window: Literal["reanchor", "slide"]
    device: torch.device

    @classmethod
    def from_section(cls, section: KronosGenerator) -> KronosPaths:
        """Load the checkpoint that a spec names onto its device."""
        checkpoint = _opened(section.model, section.tokenizer)
        rule = SamplingRule(section.temperature, section.top_p, section.top_k)
        return cls.of(checkpoint, rule, section.window, section.device)

    @classmethod
    def of(
        cls,
        checkpoint: Checkpoint,
        rule: SamplingRule,
        window: Literal["reanchor", "slide"] = "reanchor",
        device: str = "auto",
    ) -> KronosPaths:
        """Put a loaded checkpoint onto a device."""
        place = choose_device(device, "generator.device")
        volumes = checkpoint.cell_log_volume
        moved = replace(
            checkpoint,
            model=checkpoint.model.to(place),
            tokenizer=checkpoint.tokenizer.to(place),
            cell_log_volume=None if volumes is None else volumes.to(place),
        )
        return cls(moved, rule, window, place)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Model, weights, sampling rule and device."""
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
            "model_sha256": self.checkpoint.provenance.get("model_sha256", ""),
            "tokenizer_sha256": self.checkpoint.provenance.get("tokenizer_sha256", ""),
        }

    @property
    def trained_until(self) -> str:
        """Last date of the training data: from our own record, or as the published models' author states it."""
        rows = self.checkpoint.provenance.get("trained_on", [])
        if rows:
            return str(max(row["last"] for row in rows))
        is_published = str(self.checkpoint.provenance.get("repository", "")).startswith("NeoQuasar/")
        return PUBLISHED_TRAINING_END if is_published else ""

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return raw paths float32 [path, bar, field]; ``advance`` hears of every finished bar.

        Raises:
            DataError: the context never moves, so that it has no unit of volatility.
        """
        horizon = len(timestamps)
        stamps = _stamps(context.timestamps.append(timestamps))
        uniforms = torch.from_numpy(draws.uniforms(horizon, 2)).to(self.device)
        sampler = self._slide if self.window == "slide" else self._reanchor
        values, pinned = sampler(context, stamps, uniforms, advance)
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
                "pinned_bars": pinned,
                **self._record(),
            },
        )

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

    def _reanchor(
        self, context: Candles, stamps: torch.Tensor, uniforms: torch.Tensor, advance: Advance
    ) -> tuple[NDArray[np.float64], int]:
        horizon = uniforms.shape[1]
        seen = self._context_bars(len(context), horizon)
        whole = context.values[None]
        history = whole[:, -seen:]  # [1, T, F]; from the second segment on [N, keep, F]
        decoder = FastDecoder(self.checkpoint)  # its fused weights serve every segment, and go with the block
        done: list[NDArray[np.float64]] = []
        pinned = 0
        for segment in plan_segments(len(context), horizon, self.checkpoint.max_context):
            if segment.start:
                history = own_history(whole, done, segment.keep)
            until = stamps[: len(context) + segment.stop]
            rows = uniforms[:, segment.start : segment.stop]
            new, count = self._segments(decoder, history, segment.keep, until, rows, advance)
            done.append(new)
            pinned += count
        return np.concatenate(done, axis=1), pinned

    def _segments(
        self,
        decoder: FastDecoder,
        history: NDArray[np.float64],
        keep: int,
        stamps: torch.Tensor,
        uniforms: torch.Tensor,
        advance: Advance,
    ) -> tuple[NDArray[np.float64], int]:
        """Sample one segment for all paths, in chunks of contexts where each path has its own."""
        if len(history) == 1:
            return self._segment(decoder, history, keep, stamps, uniforms, advance)
        parts = []
        for start in range(0, len(history), PATHS_PER_REANCHOR):
            rows = slice(start, start + PATHS_PER_REANCHOR)
            tell = ignore if start else advance  # a bar is finished once, not once per chunk
            parts.append(self._segment(decoder, history[rows], keep, stamps, uniforms[rows], tell))
        return np.concatenate([values for values, _ in parts]), sum(count for _, count in parts)

    def _segment(
        self,
        decoder: FastDecoder,
        history: NDArray[np.float64],
        keep: int,
        stamps: torch.Tensor,
        uniforms: torch.Tensor,
        advance: Advance,
    ) -> tuple[NDArray[np.float64], int]:
        """Encode contexts [P, T, F], sample and decode their paths [N, S]; units and tokens see every row.

        ``stamps`` [.., 5] end with the segment's own bars.
        """
        scale = self.checkpoint.representation.fit(history)
        s1, s2 = (tokens[:, -keep:] for tokens in self._tokens(history, scale))
        bars = uniforms.shape[1]
        stamps = stamps[-keep - bars :].expand(len(history), -1, -1)
        past, ahead = stamps[:, :keep], stamps[:, keep:]
        new1, new2 = decoder.sample_tokens(s1, s2, past, ahead, uniforms, self.rule, advance)
        features = decoder.decode_tokens(s1, s2, new1, new2).cpu().numpy()
        return self._to_values(features, history, scale)

    def _slide(
        self, context: Candles, stamps: torch.Tensor, uniforms: torch.Tensor, advance: Advance
    ) -> tuple[NDArray[np.float64], int]:
        paths, horizon = uniforms.shape[:2]
        seen = self._context_bars(len(context), horizon)
        history = context.values[None, -seen:]
        scale = self.checkpoint.representation.fit(history)
        s1, s2 = self._tokens(history, scale)
        past, ahead = stamps[None, -horizon - seen : -horizon], stamps[None, -horizon:]
        new1, new2 = sample_tokens_naively(self.checkpoint, s1, s2, past, ahead, uniforms, self.rule, advance)
        whole1, whole2 = (torch.cat((old.expand(paths, -1), new), 1) for old, new in ((s1, new1), (s2, new2)))
        features = decode_tokens_naively(self.checkpoint, whole1, whole2, horizon).cpu().numpy()
        return self._to_values(features, history, scale)

    @torch.no_grad()
    def _tokens(self, history: NDArray[np.float64], scale: Scale) -> tuple[torch.Tensor, torch.Tensor]:
        """Return token ids [P, T] of contexts [P, T, F] in their units."""
        features = self.checkpoint.representation.encode(history, scale)
        return self.checkpoint.tokenizer.encode(torch.from_numpy(features).to(self.device))

    def _to_values(
        self, features: NDArray[np.float32], history: NDArray[np.float64], scale: Scale
    ) -> tuple[NDArray[np.float64], int]:
        """Return bars [N, S, F] for features of paths that share or own the contexts; count pinned levels."""
        representation = self.checkpoint.representation
        anchors = np.broadcast_to(history[:, -1, 3], len(features))
        values = representation.decode(features, anchors, scale)
        if representation.kind == "levels":
            return values, int((np.abs(features[..., :4]) > PINNED).any(axis=-1).sum())
        # without volume in the context there is none in the paths
        return values[..., : history.shape[-1]], 0


@lru_cache(maxsize=2)
def _opened(model: str, tokenizer: str | None) -> Checkpoint:
    """Open a checkpoint once for all scenarios that name it."""
    return open_checkpoint(model, tokenizer)


def _stamps(timestamps: pd.DatetimeIndex) -> torch.Tensor:
    """Return integer stamps [T, 5] of local wall-clock times."""
    local = timestamps.tz_localize(None) if timestamps.tz is not None else timestamps
    return torch.from_numpy(stamp_features(local.as_unit("ns").asi8))


def _fields(context: Candles, width: int) -> tuple[str, ...]:
    """Return the fields of a path: those that both the context and the representation have."""
    return tuple(
        name for name in FIELDS[:width] if name in context.fields or (name == "amount" and context.has_volume)
    )
