"""The predictor as Kronos users know it, with every path at hand and the random numbers as an argument.

``predict`` averages its samples in normalised space, as upstream does; ``predict_paths`` keeps them apart, which is
what a distribution needs. Frames go in and come out; calendars are the caller's business here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.kronos.checkpoint import Checkpoint
from scenario_gen.kronos.decode import FastDecoder
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.naive import decode_tokens_naively, sample_tokens_naively
from scenario_gen.kronos.representation import Levels, complete_fields
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.kronos.stamps import stamp_features
from scenario_gen.kronos.tokenizer import KronosTokenizer

COLUMNS = ("open", "high", "low", "close", "volume", "amount")
Times: TypeAlias = pd.Series | pd.DatetimeIndex


@dataclass(frozen=True)
class _Context:
    """One frame, ready for the model: values [1, T, 6], stamps [1, T + H, 5]."""

    values: NDArray[np.floating[Any]]
    stamps: torch.Tensor
    future: pd.DatetimeIndex


class KronosPredictor:
    """Predict with a published checkpoint.

    Args:
        model: a Kronos model; put into eval mode.
        tokenizer: the tokenizer that it was trained with; put into eval mode.
        device: where to compute; None takes a GPU where there is one.
        max_context: bars that the model's window holds.
        clip: bound of the z-scored features; upstream's 5 is the only one the published models know.
    """

    def __init__(
        self,
        model: Kronos,
        tokenizer: KronosTokenizer,
        device: str | None = None,
        max_context: int = 512,
        clip: float = 5.0,
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.representation = Levels(clip)
        self.checkpoint = Checkpoint(
            name="predictor",
            model=model.to(self.device).eval().requires_grad_(False),
            tokenizer=tokenizer.to(self.device).eval().requires_grad_(False),
            representation=self.representation,
            max_context=max_context,
        )

    def predict(
        self,
        df: pd.DataFrame,
        x_timestamp: Times,
        y_timestamp: Times,
        pred_len: int,
        T: float = 1.0,
        top_k: int = 0,
        top_p: float = 0.9,
        sample_count: int = 1,
        verbose: bool = False,
        *,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Return the mean of ``sample_count`` samples, index ``y_timestamp``, columns open ... amount.

        Args:
            df: context; columns open, high, low, close and, if there, volume and amount.
            x_timestamp: its stamps.
            y_timestamp: stamps of the bars to predict, ``pred_len`` of them.
            pred_len: bars to predict.
            T: temperature; 0 is greedy.
            top_k: keep the k likeliest tokens; as upstream, it silences top_p.
            top_p: keep the likeliest tokens up to this probability.
            sample_count: samples to average.
            verbose: accepted for upstream's sake; progress is the caller's here.
            seed: of the uniforms.

        Raises:
            DataError: columns, lengths or values do not fit.
        """
        del verbose
        context = _context(df, x_timestamp, y_timestamp, pred_len)
        features = self._sample(context, sample_count, SamplingRule(T, top_p, top_k, upstream=True), seed)
        mean = features.mean(axis=0, keepdims=True)
        return _frame(self._prices(mean, context)[0], context.future)

    def predict_batch(
        self,
        df_list: Sequence[pd.DataFrame],
        x_timestamp_list: Sequence[Times],
        y_timestamp_list: Sequence[Times],
        pred_len: int,
        T: float = 1.0,
        top_k: int = 0,
        top_p: float = 0.9,
        sample_count: int = 1,
        verbose: bool = False,
        *,
        seed: int = 0,
    ) -> list[pd.DataFrame]:
        """Return :meth:`predict` of every frame; contexts may differ in length."""
        if not len(df_list) == len(x_timestamp_list) == len(y_timestamp_list):
            raise DataError(
                f"{len(df_list)} frames, {len(x_timestamp_list)} and {len(y_timestamp_list)} lists of stamps",
                expected="the same number of each",
            )
        settings: dict[str, Any] = {"T": T, "top_k": top_k, "top_p": top_p, "sample_count": sample_count}
        triples = zip(df_list, x_timestamp_list, y_timestamp_list, strict=True)
        return [
            self.predict(df, x, y, pred_len, verbose=verbose, seed=seed + i, **settings)
            for i, (df, x, y) in enumerate(triples)
        ]

    def predict_paths(
        self,
        df: pd.DataFrame,
        x_timestamp: Times,
        y_timestamp: Times,
        pred_len: int,
        T: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        sample_count: int = 100,
        *,
        seed: int = 0,
    ) -> NDArray[np.float32]:
        """Return every sample, float32 [sample, bar, (open, high, low, close, volume, amount)], unrepaired."""
        context = _context(df, x_timestamp, y_timestamp, pred_len)
        features = self._sample(context, sample_count, SamplingRule(T, top_p, top_k), seed)
        return self._prices(features, context).astype(np.float32)

    def _sample(self, context: _Context, samples: int, rule: SamplingRule, seed: int) -> NDArray[np.float32]:
        """Return normalised features [N, H, 6]: the fast decoder where all fits, else the sliding window."""
        bars, horizon = context.values.shape[1], len(context.future)
        rng = np.random.Generator(np.random.Philox(key=seed))
        uniforms = torch.from_numpy(rng.random((samples, horizon, 2))).to(self.device)
        scaled = self.representation.encode(context.values, self.representation.fit(context.values))
        s1, s2 = self.checkpoint.tokenizer.encode(torch.from_numpy(scaled).to(self.device))
        stamps = context.stamps.to(self.device)
        past, ahead = stamps[:, :bars], stamps[:, bars:]
        if bars + horizon <= self.checkpoint.max_context:
            decoder = FastDecoder(self.checkpoint)
            new = decoder.sample_tokens(s1, s2, past, ahead, uniforms, rule)
            return np.asarray(decoder.decode_tokens(s1, s2, *new).cpu().numpy())
        new1, new2 = sample_tokens_naively(self.checkpoint, s1, s2, past, ahead, uniforms, rule)
        whole1 = torch.cat((s1.expand(samples, -1), new1), 1)
        whole2 = torch.cat((s2.expand(samples, -1), new2), 1)
        return np.asarray(decode_tokens_naively(self.checkpoint, whole1, whole2, horizon).cpu().numpy())

    def _prices(self, features: NDArray[np.float32], context: _Context) -> NDArray[np.float64]:
        scale = self.representation.fit(context.values)
        return self.representation.decode(features, context.values[0, -1:, 3], scale)


def _context(df: pd.DataFrame, x: Times, y: Times, pred_len: int) -> _Context:
    missing = [name for name in COLUMNS[:4] if name not in df.columns]
    if missing:
        raise DataError(f"the frame has no column {', '.join(missing)}", expected="open, high, low, close")
    past, future = pd.DatetimeIndex(x), pd.DatetimeIndex(y)
    if len(past) != len(df) or len(future) != pred_len:
        raise DataError(
            f"{len(df)} rows with {len(past)} stamps, and {len(future)} stamps for pred_len {pred_len}",
            expected="one stamp per row, and pred_len future stamps",
        )
    fields = [name for name in COLUMNS if name in df.columns]
    fields = fields if "volume" in fields else fields[:4]
    values = df[fields].to_numpy(dtype=np.float64)[None]
    if not np.isfinite(values).all():
        raise DataError("the frame has values that are not finite", fix="drop or fill those rows first")
    wall = past.append(future).tz_localize(None).as_unit("ns").asi8
    return _Context(complete_fields(values), torch.from_numpy(stamp_features(wall))[None], future)


def _frame(values: NDArray[np.float64], index: pd.DatetimeIndex) -> pd.DataFrame:
    return pd.DataFrame(values, index=index, columns=list(COLUMNS))
