"""The predictor as Kronos users know it, with every path at hand and the random numbers as an argument.

``predict`` averages its samples, as upstream does; ``predict_paths`` keeps them apart, which is what a distribution
needs. Frames go in and come out; calendars are the caller's business here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.kronos.checkpoint import Checkpoint
from scenario_gen.kronos.decode import FastDecoder
from scenario_gen.kronos.device import Precision, choose_device
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.naive import sample_features
from scenario_gen.kronos.representation import Levels, complete_fields, stamp_features
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.kronos.tokenizer import KronosTokenizer
from scenario_gen.reading.words import number, whole

COLUMNS = ("open", "high", "low", "close", "volume", "amount")
Times: TypeAlias = pd.Series | pd.DatetimeIndex


@dataclass(frozen=True)
class Context:
    """One frame, ready for the model."""

    values: NDArray[np.float64]  # float64 [T, 6] in the order of ``COLUMNS``
    stamps: NDArray[np.int64]  # int64 [T + H, 5] of the context and of the bars to predict
    future: pd.DatetimeIndex  # [H] times of the bars to predict


def read_context(df: pd.DataFrame, x_timestamp: Times, y_timestamp: Times, pred_len: int) -> Context:
    """Check a frame and its stamps.

    Raises:
        DataError: a column, a stamp or a number is missing, or lengths do not fit.
    """
    values = read_values(df)
    past, future = _times(x_timestamp, "x_timestamp"), _times(y_timestamp, "y_timestamp")
    if len(past) != len(df) or len(future) != pred_len:
        raise DataError(
            f"{len(df)} rows with {len(past)} stamps, and {len(future)} stamps for pred_len {pred_len}",
            expected="one stamp per row, and pred_len future stamps",
        )
    stamps = np.concatenate([stamp_features(_wall_clock(times)) for times in (past, future)])
    return Context(values, stamps, future)


def read_values(df: pd.DataFrame) -> NDArray[np.float64]:
    """Return a frame's bars float64 [T, 6]; without volume, volume and amount are 0, as upstream has it.

    Raises:
        DataError: a price column is missing, there is no row, or a value is no finite number.
    """
    if not isinstance(df, pd.DataFrame):
        raise DataError(f"the context is a {type(df).__name__}", expected="a pandas DataFrame")
    missing = [name for name in COLUMNS[:4] if name not in df.columns]
    if missing:
        raise DataError(f"the frame has no column {', '.join(missing)}", expected="open, high, low, close")
    fields = [name for name in COLUMNS if name in df.columns]
    fields = fields if "volume" in fields else fields[:4]
    try:
        values: NDArray[Any] = df[fields].to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the frame has a value that is no number: {error}") from None
    if not len(values):
        raise DataError("the frame has no rows", expected="the bars that the model continues")
    if not np.isfinite(values).all():
        raise DataError("the frame has values that are not finite", fix="drop or fill those rows first")
    return np.asarray(complete_fields(values[None])[0])


def _times(times: Times, name: str) -> pd.DatetimeIndex:
    try:
        index = pd.DatetimeIndex(times)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} cannot be read as times: {error}") from None
    if index.hasnans:
        raise DataError(f"{name} has {int(index.isna().sum())} empty stamps", fix="fill them first")
    return index


def _wall_clock(times: pd.DatetimeIndex) -> NDArray[np.int64]:
    """Return local times in nanoseconds since 1970 [T]: the model knows hours of the day, not of the world."""
    return np.asarray(times.tz_localize(None).as_unit("ns").asi8)


# The predictor as Kronos users know it, with every path at hand and the random numbers as an argument


CACHE_BYTES = 2**31  # keys and values of one pass; a larger batch of frames takes several


@dataclass(frozen=True)
class PredictedPaths:
    """What was sampled after one context."""

    prices: NDArray[np.float64]  # float64 [sample, bar, 6]
    counts: dict[str, int]  # how often the edge of the levels was met (see :meth:`KronosPredictor.predict`)


class KronosPredictor:
    """Predict with a published checkpoint.

    Args:
        model: a Kronos model; put into eval mode.
        tokenizer: the tokenizer that it was trained with; put into eval mode.
        device: where to compute; None takes a GPU where there is one.
        max_context: bars that the model's window holds.
        clip: bound of the z-scored features; upstream's 5 is the only one the published models know.
        dtype: of the products with weights; ``bfloat16`` is faster, ``auto`` takes it on a GPU.

    Raises:
        CheckpointError: this machine has no instructions for the dtype.
        SpecError: this machine has no such device, or a number cannot be used.
    """

    def __init__(
        self,
        model: Kronos,
        tokenizer: KronosTokenizer,
        device: str | torch.device | None = None,
        max_context: int = 512,
        clip: float = 5.0,
        *,
        dtype: Precision = "float32",
    ) -> None:
        self.device = choose_device(device)
        self.dtype = dtype
        self.representation = Levels(number("clip", clip, 0.0, math.inf))
        self.checkpoint = Checkpoint(
            name="predictor",
            model=model.to(self.device).requires_grad_(False),
            tokenizer=tokenizer.to(self.device).requires_grad_(False),
            representation=self.representation,
            max_context=whole("max_context", max_context),
        )
        self._force_eval()

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
        verbose: bool = True,
        *,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Return the mean of ``sample_count`` samples, index ``y_timestamp``, columns open ... amount.

        Its ``attrs`` count ``sampled_bars`` (samples x bars), ``pinned_bars`` (those of them with a price beyond
        90 % of the clip, where levels can say no more) and ``clipped_context_bars`` (rows of ``df`` that the clip
        cuts off).

        Args:
            df: context; columns open, high, low, close and, if there, volume and amount.
            x_timestamp: its stamps, a Series or an index.
            y_timestamp: stamps of the bars to predict, ``pred_len`` of them.
            pred_len: bars to predict.
            T: temperature; 0 is greedy.
            top_k: keep the k likeliest tokens; as upstream, it silences top_p.
            top_p: keep the likeliest tokens up to this probability.
            sample_count: samples to average.
            verbose: show a progress bar on stderr.
            seed: of the uniforms.

        Raises:
            DataError: columns, lengths or values do not fit.
            SpecError: a setting cannot be used.
        """
        frames = [df], [x_timestamp], [y_timestamp]
        return self.predict_batch(*frames, pred_len, T, top_k, top_p, sample_count, verbose, seed=seed)[0]

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
        verbose: bool = True,
        *,
        seed: int = 0,
    ) -> list[pd.DataFrame]:
        """Return :meth:`predict` of every frame, frame i with ``seed + i``; contexts may differ in length.

        Frames of one length are sampled together, with all their samples.
        """
        if not len(df_list) == len(x_timestamp_list) == len(y_timestamp_list):
            raise DataError(
                f"{len(df_list)} frames, {len(x_timestamp_list)} and {len(y_timestamp_list)} lists of stamps",
                expected="the same number of each",
            )
        frames = list(zip(df_list, x_timestamp_list, y_timestamp_list, strict=True))
        rule = _rule(T, top_k, top_p, upstream=True)
        sampled = self._sample(frames, pred_len, sample_count, rule, seed, verbose)
        return [_mean(context, paths) for context, paths in sampled]

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
        verbose: bool = False,
        *,
        seed: int = 0,
    ) -> NDArray[np.float32]:
        """Return every sample, float32 [sample, bar, (open, high, low, close, volume, amount)], unrepaired.

        Unlike upstream's rule, which :meth:`predict` keeps, top_k and top_p both apply.
        """
        rule = _rule(T, top_k, top_p, upstream=False)
        ((_, sampled),) = self._sample([(df, x_timestamp, y_timestamp)], pred_len, sample_count, rule, seed, verbose)
        return sampled.prices.astype(np.float32)

    def pinned_bars(self, df: pd.DataFrame, paths: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return how many bars of each path [sample] have a price at the edge that ``df`` sets for levels.

        Args:
            df: the context.
            paths: what :meth:`predict_paths` gave for it.
        """
        scale = self.representation.fit(read_values(df)[None])
        z = scale.z_scores(paths)
        return self.representation.pinned(z).sum(axis=1)

    def _sample(
        self,
        frames: Sequence[tuple[pd.DataFrame, Times, Times]],
        horizon: int,
        samples: int,
        rule: SamplingRule,
        seed: int,
        verbose: bool,
    ) -> list[tuple[Context, PredictedPaths]]:
        """Read every frame and sample after it: those of one length in one pass, as far as memory allows."""
        horizon = whole("pred_len", horizon)
        contexts = [read_context(df, x, y, horizon) for df, x, y in frames]
        samples, seed = whole("sample_count", samples), whole("seed", seed, smallest=0)
        self._force_eval()
        out: dict[int, PredictedPaths] = {}
        passes = list(self._passes(contexts, samples))
        with _progress(sum(len(contexts[batch[0]].future) for batch in passes), verbose) as advance:
            for batch in passes:
                seeds = [seed + place for place in batch]
                done = self._pass([contexts[place] for place in batch], samples, rule, seeds, advance)
                out.update(zip(batch, done, strict=True))
        return [(context, out[place]) for place, context in enumerate(contexts)]

    def _passes(self, contexts: Sequence[Context], samples: int) -> Iterator[list[int]]:
        """Group the places of contexts by length; cut groups whose keys and values would not fit."""
        groups: dict[int, list[int]] = {}
        for place, context in enumerate(contexts):
            groups.setdefault(len(context.values), []).append(place)
        config, window = self.checkpoint.model.config, self.checkpoint.max_context
        for bars, places in groups.items():
            held = min(bars, window) + samples * min(len(contexts[places[0]].future), window)
            size = max(1, CACHE_BYTES // (8 * config.n_layers * config.d_model * held))  # float32 pairs
            yield from (places[start : start + size] for start in range(0, len(places), size))

    def _pass(
        self,
        contexts: Sequence[Context],
        samples: int,
        rule: SamplingRule,
        seeds: Sequence[int],
        advance: Callable[[int], None],
    ) -> list[PredictedPaths]:
        """Sample after contexts of one length, [P, T, 6], all samples [P * R, H] at once."""
        values = np.stack([context.values for context in contexts])
        bars, horizon = values.shape[1], len(contexts[0].future)
        scale = self.representation.fit(values)
        encoded = torch.from_numpy(self.representation.encode(values, scale)).to(self.device)
        with torch.no_grad():
            s1, s2 = self.checkpoint.tokenizer.encode(encoded)
        stamps = torch.from_numpy(np.stack([context.stamps for context in contexts])).to(self.device)
        uniforms = np.concatenate([_uniforms(seed, samples, horizon) for seed in seeds])
        features = sample_features(
            FastDecoder(self.checkpoint, self.dtype),  # anew: the caller may have trained the networks on
            s1,
            s2,
            stamps[:, :bars],
            stamps[:, bars:],
            torch.from_numpy(uniforms).float().to(self.device),  # some have no float64
            rule,
            advance,
        )
        sampled = features.cpu().numpy()  # [P * R, H, 6]
        anchors = values[:, -1, 3].repeat(samples)
        prices = self.representation.decode(sampled, anchors, scale.repeated(samples))
        pinned = self.representation.pinned(sampled).sum(axis=1)
        clipped = self.representation.clipped(values, scale).sum(axis=1)
        parts = zip(*(np.split(x, len(contexts)) for x in (prices, pinned, clipped)), strict=True)
        return [
            PredictedPaths(one, _counts(samples * horizon, int(pins.sum()), int(clips.sum())))
            for one, pins, clips in parts
        ]

    def _force_eval(self) -> None:
        """Switch dropout off, whatever the caller has done to the networks since."""
        self.checkpoint.model.eval()
        self.checkpoint.tokenizer.eval()


def _mean(context: Context, sampled: PredictedPaths) -> pd.DataFrame:
    """Average the samples. Upstream does so in normalised space: the same mean, as the way back is affine."""
    frame = pd.DataFrame(sampled.prices.mean(axis=0), index=context.future, columns=list(COLUMNS))
    frame.attrs.update(sampled.counts)
    return frame


def _counts(sampled: int, pinned: int, clipped: int) -> dict[str, int]:
    return {"sampled_bars": sampled, "pinned_bars": pinned, "clipped_context_bars": clipped}


def _uniforms(seed: int, samples: int, horizon: int) -> NDArray[np.float32]:
    """Return one pair per sample and bar [R, H, 2]: a frame's own, whatever is batched beside it."""
    return np.random.Generator(np.random.Philox(key=seed)).random((samples, horizon, 2)).astype(np.float32)


@contextmanager
def _progress(total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr that counts sampled bars of the horizon, if it is wanted."""
    if not shown:
        yield lambda steps: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as live:
        task = live.add_task("sampling", total=total)
        yield lambda steps: live.advance(task, steps)


def _rule(temperature: float, top_k: int, top_p: float, *, upstream: bool) -> SamplingRule:
    return SamplingRule(
        number("T", temperature, 0.0, math.inf),
        number("top_p", top_p, 0.0, 1.0),
        whole("top_k", top_k, smallest=0),
        upstream,
    )
