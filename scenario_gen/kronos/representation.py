"""How candles become the features that a tokenizer sees, and back.

Two representations. ``levels``, of the published checkpoints: z-scored price levels, bounded and pulled to the
context's mean. ``increments``, of our own: overnight gap, body and two wicks as log ratios in units of the
context's volatility, and log volume relative to the context. Wicks pass through asinh(sqrt(x)), whose inverse is
never negative, so that every decoded candle is valid and prices are unbounded.

Values are float arrays [P, T, F] with fields open, high, low, close, volume (, amount); P is a batch of contexts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scenario_gen.errors import CheckpointError, DataError

Array = NDArray[np.floating[Any]]

MAX_UNIT = 1e6  # of a feature's mean, spread or atom: they are a few units at most
EPSILON = np.float32(1e-5)  # what upstream adds to the deviation of a level
DROWNED = 0.1  # share of the deviation beyond which it no longer is a guard against zero
VOLATILITY_FLOOR = 1e-6  # log-return units: below any tick of any market, above float noise
VOLUME_SPREAD_FLOOR = 0.1
CLIP = 5.0  # standardised units, for both representations
PINNED_SHARE = 0.9  # a level beyond this share of the clip, 4.5 of 5, counts as pinned to the edge
NOTHING = 1e-6  # a gap or wick below this share of the volatility is none: far below a tick, above float64 noise


@dataclass(frozen=True)
class Scale:
    """What the context says about units, one row per context.

    For ``increments``: ``center`` [P, 1] mean log volume; ``spread`` [P, 2] volatility per bar and spread of log
    volume. For ``levels``: mean and standard deviation of each field, and what is added to it, float32 [P, 6].
    """

    center: Array
    spread: Array
    least: Array = field(default_factory=lambda: np.zeros(0, dtype=np.float32))

    def repeated(self, times: int) -> Scale:
        """Return the units of every context so many times in a row."""
        each = (np.repeat(part, times, axis=0) for part in (self.center, self.spread, self.least))
        return Scale(*each)

    def z_scores(self, values: Array) -> Array:
        """Return levels [P, T, 6] in deviations from the mean."""
        return np.asarray((values - self.center[:, None]) / (self.spread + self.least)[:, None])


class Representation(Protocol):
    """Encode candles to features and decode features to candles."""

    @property
    def kind(self) -> str:
        """Name in a checkpoint."""

    @property
    def n_features(self) -> int:
        """Width of a feature row."""

    def fit(self, values: Array) -> Scale:
        """Read the units from contexts [P, T, F]."""

    def encode(self, values: Array, scale: Scale) -> NDArray[np.float32]:
        """Return features float32 [P, T, n_features] for bars [P, T, F]."""

    def clipped(self, values: Array, scale: Scale) -> NDArray[np.bool_]:
        """Say of which bars [P, T] the features are cut off by ``encode``, for bars [P, T, F]."""

    def pinned(self, features: Array) -> NDArray[np.bool_]:
        """Say which bars [N, H] have a price at the edge of what can be expressed, for features [N, H, ..]."""

    def decode(self, features: Array, anchor_close: Array, scale: Scale) -> NDArray[np.float64]:
        """Return bars float64 [N, H, F] that follow the anchors' closes [N], for features [N, H, n_features]."""

    def to_mapping(self) -> dict[str, Any]:
        """Return what a checkpoint stores."""


@dataclass(frozen=True)
class Levels:
    """Upstream's z-scored levels: float32 statistics, ddof 0, over all context rows, clipped at ``clip``."""

    clip: float = CLIP
    kind: str = "levels"
    n_features: int = 6

    def fit(self, values: Array) -> Scale:
        """Read mean and standard deviation from contexts [P, T, F]; F = 4 and 5 are completed to 6."""
        x = complete_fields(values).astype(np.float32)  # float64 statistics can flip token bits
        center, spread = x.mean(axis=1), x.std(axis=1)
        return Scale(center, spread, _least(center, spread))

    def encode(self, values: Array, scale: Scale) -> NDArray[np.float32]:
        """Return clipped z-scores float32 [P, T, 6]."""
        return np.clip(self._z_scores(values, scale), -self.clip, self.clip).astype(np.float32)

    def clipped(self, values: Array, scale: Scale) -> NDArray[np.bool_]:
        """Say which bars [P, T] have a price, volume or amount beyond ``clip`` standard deviations."""
        return np.asarray((np.abs(self._z_scores(values, scale)) > self.clip).any(axis=-1))

    def pinned(self, features: Array) -> NDArray[np.bool_]:
        """Say which bars [N, H] have a price beyond 90 % of ``clip``: tokens hold nothing beyond ``clip``."""
        return np.asarray((np.abs(features[..., :4]) > PINNED_SHARE * self.clip).any(axis=-1))

    def _z_scores(self, values: Array, scale: Scale) -> Array:
        return scale.z_scores(complete_fields(values).astype(np.float32))

    def decode(self, features: Array, anchor_close: Array, scale: Scale) -> NDArray[np.float64]:
        """Undo the z-score; nothing keeps prices positive or candles ordered, as upstream."""
        z = np.asarray(features, dtype=np.float32)
        x = z * (scale.spread + scale.least)[:, None] + scale.center[:, None]
        return np.asarray(x, dtype=np.float64)

    def to_mapping(self) -> dict[str, Any]:
        """Return what a checkpoint stores."""
        return {"kind": self.kind}


@dataclass(frozen=True)
class Increments:
    """Gap, body, upper wick, lower wick and log volume, compressed and standardised.

    Real bars often have no gap or no wick at all, as prices move in ticks. A tokenizer cannot tell such a bar from
    one with a tiny wick unless the two lie apart, so each of the two atoms is given room of its own.
    """

    # of each raw feature over the training data, subtracted before the tokenizer
    mean: tuple[float, ...] = field(default=(0.0, 0.0, 0.0, 0.0, 0.0))
    std: tuple[float, ...] = field(default=(1.0, 1.0, 1.0, 1.0, 1.0))  # of each raw feature over the training data
    wickless: float = 0.0  # a wick of zero is put at minus this, and what decodes below zero is no wick
    # a gap's distance from zero is lengthened by this, and what decodes nearer than half of it is no gap
    gapless: float = 0.0
    kind: str = "increments"
    n_features: int = 5

    def fit(self, values: Array) -> Scale:
        """Read volatility and volume units from contexts [P, T, F].

        Raises:
            DataError: a context whose close never moves: it has no volatility to take as the unit.
        """
        log_close = np.log(values[:, :, 3].astype(np.float64))
        volatility = np.sqrt(np.mean(np.diff(log_close, axis=1) ** 2, axis=1))
        if np.any(volatility < VOLATILITY_FLOOR):
            raise DataError(
                f"the close moves by less than {VOLATILITY_FLOOR:g} per bar over the whole context",
                expected="a context with price changes: its volatility is the unit of every generated bar",
                fix="choose another data.end or a longer bars.context",
            )
        center, spread = _volume_units(values)
        return Scale(center[:, None], np.stack((volatility, spread), axis=1))

    def encode(self, values: Array, scale: Scale) -> NDArray[np.float32]:
        """Return standardised features float32 [P, T, 5]; the first bar's gap is 0, its previous close unknown."""
        raw = self._raw(values, scale)
        raw[..., 4] = np.clip(raw[..., 4], -CLIP, CLIP)
        return np.clip((raw - self.mean) / self.std, -2 * CLIP, 2 * CLIP).astype(np.float32)

    def clipped(self, values: Array, scale: Scale) -> NDArray[np.bool_]:
        """Say which bars [P, T] have a log volume beyond 5 of its spreads, or another feature beyond 10."""
        raw = self._raw(values, scale)
        far = np.abs((raw - self.mean) / self.std) > 2 * CLIP
        return np.asarray(far[..., :4].any(axis=-1) | (np.abs(raw[..., 4]) > CLIP) | far[..., 4])

    def pinned(self, features: Array) -> NDArray[np.bool_]:
        """Return False for every bar [N, H]: steps add up, so no price is out of reach."""
        return np.zeros(features.shape[:2], dtype=bool)

    def _raw(self, values: Array, scale: Scale) -> NDArray[np.float64]:
        """Return features float64 [P, T, 5] before clipping and standardising."""
        o, h, l, c = (np.log(values[:, :, i].astype(np.float64)) for i in range(4))  # noqa: E741  # the fields' own letters
        previous = np.concatenate((o[:, :1], c[:, :-1]), axis=1)
        unit = scale.spread[:, :1]
        return np.stack(
            (
                self._code_gap((o - previous) / unit),
                np.arcsinh((c - o) / unit),
                self._code_wick((h - np.maximum(o, c)) / unit),
                self._code_wick((np.minimum(o, c) - l) / unit),
                _log_volume(values, scale.center, scale.spread[:, 1:]),
            ),
            axis=-1,
        )

    def _code_gap(self, gap: Array) -> Array:
        return np.where(np.abs(gap) < NOTHING, 0.0, np.arcsinh(gap) + np.copysign(self.gapless, gap))

    def _code_wick(self, wick: Array) -> Array:
        return np.where(wick < NOTHING, -self.wickless, np.arcsinh(np.sqrt(np.maximum(wick, 0.0))))

    def _decode_gap(self, code: Array) -> Array:
        length = np.maximum(np.abs(code) - self.gapless, 0.0)
        return np.where(np.abs(code) < self.gapless / 2, 0.0, np.copysign(np.sinh(length), code))

    def log_returns(self, features: Array) -> NDArray[np.float64]:
        """Return the log return of bars [...] from the close before, in units of volatility, of features [..., 5]."""
        raw = np.asarray(features, dtype=np.float64) * self.std + self.mean
        return np.asarray(self._decode_gap(raw[..., 0]) + np.sinh(raw[..., 1]))

    def decode(self, features: Array, anchor_close: Array, scale: Scale) -> NDArray[np.float64]:
        """Return bars [N, H, 5]: volume last, to be dropped by a caller whose context has none."""
        raw = np.asarray(features, dtype=np.float64) * self.std + self.mean
        unit = scale.spread[:, :1]
        gap, body = self._decode_gap(raw[..., 0]) * unit, np.sinh(raw[..., 1]) * unit
        upper, lower = (np.sinh(np.maximum(raw[..., i], 0.0)) ** 2 * unit for i in (2, 3))
        c = np.log(np.asarray(anchor_close, dtype=np.float64))[:, None] + np.cumsum(gap + body, axis=1)
        o = c - body
        high, low = np.maximum(o, c) + upper, np.minimum(o, c) - lower
        volume = np.exp(raw[..., 4] * scale.spread[:, 1:] + scale.center)
        return np.stack((np.exp(o), np.exp(high), np.exp(low), np.exp(c), volume), axis=-1)

    def to_mapping(self) -> dict[str, Any]:
        """Return what a checkpoint stores."""
        atoms = {"wickless": self.wickless, "gapless": self.gapless}
        return {"kind": self.kind, "mean": list(self.mean), "std": list(self.std), **atoms}


def representation_from(raw: Mapping[str, Any], where: str) -> Representation:
    """Build the representation that a checkpoint names.

    Raises:
        CheckpointError: the kind is unknown or its numbers are not usable.
    """
    kind = raw.get("kind")
    if kind == "levels":
        return Levels()
    if kind == "increments":
        mean, std = _numbers(raw.get("mean")), _numbers(raw.get("std"))
        atoms = _numbers([raw.get("wickless", 0.0), raw.get("gapless", 0.0)])
        if len(mean) == len(std) == 5 and len(atoms) == 2 and min(std) > 0 and min(atoms) >= 0:
            return Increments(mean, std, *atoms)
    raise CheckpointError(
        f"{where}: the representation {str(dict(raw))[:200]} cannot be used",
        expected="kind 'levels', or kind 'increments' with five means, five positive standard deviations, "
        "and wickless and gapless from 0 up",
        fix="take scenario_gen.json from the folder that the weights came from",
    )


def _numbers(listed: Any) -> tuple[float, ...]:
    """Return the numbers in a list; none where it is no list, or one of them is no usable number."""
    plain = listed if isinstance(listed, list | tuple) else ()
    usable = all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= MAX_UNIT for v in plain)
    return tuple(map(float, plain)) if usable else ()


def _least(center: Array, spread: Array) -> Array:
    """Return what is added to the deviations [P, 6]: upstream's 1e-5, or for tiny prices as much less.

    1e-5 would drown the deviation of prices of 5e-8, and every bar would be encoded as the mean. Where it is more than
    a tenth of the close's deviation, prices below one get what upstream would add if they were quoted from 1 to 10.
    """
    least = np.full(center.shape, EPSILON, dtype=np.float32)
    close = np.abs(center[:, 3]).astype(np.float64)
    drowned = (spread[:, 3] < EPSILON / DROWNED) & (close > 0) & (close < 1)
    unit = 10.0 ** np.floor(np.log10(np.where(drowned, close, 1.0)))
    least[:, :4] *= unit[:, None].astype(np.float32)
    return least


def complete_fields(values: Array) -> Array:
    """Return [P, T, 6]: missing volume and amount are 0, missing amount is volume times the mean price."""
    if values.shape[-1] == 6:
        return values
    if values.shape[-1] == 4:
        return np.concatenate((values, np.zeros((*values.shape[:-1], 2), values.dtype)), axis=-1)
    amount = values[..., 4:5] * values[..., :4].mean(axis=-1, keepdims=True)
    return np.concatenate((values, amount), axis=-1)


def _volume_units(values: Array) -> tuple[Array, Array]:
    """Return mean and floored standard deviation of log volume [P]; 0 and 1 where there is no volume."""
    n = len(values)
    if values.shape[-1] < 5:
        return np.zeros(n), np.ones(n)
    logs = np.log(_positive_volume(values))
    return logs.mean(axis=1), np.maximum(logs.std(axis=1), VOLUME_SPREAD_FLOOR)


def _log_volume(values: Array, center: Array, spread: Array) -> Array:
    """Return log volume in units of the context [P, T]; 0 where there is no volume."""
    if values.shape[-1] < 5:
        return np.zeros(values.shape[:2])
    logs = np.log(_positive_volume(values))
    return np.asarray((logs - center) / spread)


def _positive_volume(values: Array) -> Array:
    """Replace zero volume by a hundredth of the smallest positive volume of the same context, all zero by 1."""
    volume = values[:, :, 4].astype(np.float64)
    positive = np.where(volume > 0, volume, np.inf).min(axis=1, keepdims=True)
    floor = np.where(np.isfinite(positive), positive / 100.0, 1.0)
    return np.where(volume > 0, volume, floor)


# --- What a model reads of time: calendar stamps of a bar, and marks of the bar that comes next ---


MINUTE = 60_000_000_000  # nanoseconds
QUARTER = 15 * MINUTE
DAY = 1440 * MINUTE
NIGHT = 180 * MINUTE  # a longer break ends a session: lunch does not, a night does
OUT_OF_SIGHT = 97  # the session opened before the first bar that is seen
FAR = 15  # so many bars or more until the session ends, or its end is out of sight
MARK_FIELDS = (
    ("elapsed", 16),  # steps of the usual size until the next bar, in half octaves: 0 is one step
    ("quarter", 96),  # quarter hour of the day that the next bar begins in
    ("opened", 98),  # quarter hours from the session's open to the next bar, plus 1; 0 is the first bar
    ("closes", 16),  # bars after the next one until the session ends
    ("size", 16),  # bar size in octaves of minutes
    ("volatility", 40),  # of a bar, in half octaves from 2^-18
)


def stamp_features(wall_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return integer stamps [..., 5] for local wall-clock times in nanoseconds since 1970 [...]."""
    minutes = wall_ns // 60_000_000_000
    days = minutes // 1440
    date = days.astype("datetime64[D]")
    month_start = date.astype("datetime64[M]")
    day = (date - month_start.astype("datetime64[D]")).astype(np.int64) + 1
    month = month_start.astype(np.int64) % 12 + 1
    weekday = (days + 3) % 7  # 1970-01-01 was a Thursday
    return np.stack((minutes % 60, minutes // 60 % 24, weekday, day, month), axis=-1)


def mark_features(wall_ns: NDArray[np.int64], volatility: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Return marks [P, T, 6] of the bars after those at local times [T], as ``MARK_FIELDS`` has them.

    The last row, whose next bar is not among the times, takes it for one step ahead.

    Args:
        wall_ns: local wall-clock times in nanoseconds since 1970, those of context and horizon together.
        volatility: of a bar, in log-return units [P]: what each context's ``increments`` are measured in.
    """
    return with_volatility(time_marks(wall_ns)[None], volatility)


def with_volatility(stamps: NDArray[np.int64], volatility: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Return stamps and marks of time [P or 1, T, F] with the mark of the contexts' volatility [P] behind them."""
    level = np.clip(np.rint(2 * (np.log2(volatility) + 18)), 0, MARK_FIELDS[-1][1] - 1).astype(np.int64)
    rows = np.broadcast_to(stamps, (len(level), *stamps.shape[1:]))
    return np.concatenate((rows, np.broadcast_to(level[:, None, None], (*rows.shape[:2], 1))), axis=-1)


def time_marks(wall_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the marks that times alone give [T, 5]; see :func:`mark_features`."""
    steps = np.diff(wall_ns)
    usual = max(int(np.median(steps)), 1) if len(steps) else DAY
    steps, following = np.append(steps, usual), np.append(wall_ns[1:], wall_ns[-1] + usual)
    elapsed = np.clip(np.rint(2 * np.log2(np.maximum(steps / usual, 1.0))), 0, 15)
    opened, closes = _place_in_session(steps, following, usual)
    size = np.full(len(steps), np.clip(np.rint(np.log2(usual / MINUTE)), 0, 15))
    return np.stack((elapsed, following // QUARTER % 96, opened, closes, size), axis=-1).astype(np.int64)


def _place_in_session(
    steps: NDArray[np.int64], following: NDArray[np.int64], usual: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return of every following bar the quarter hours since its session opened and the bars until it ends, both [T]."""
    if usual >= DAY:  # bars of a day or more are sessions of their own
        return np.zeros_like(steps), np.zeros_like(steps)
    opens = following // DAY != (following - steps) // DAY
    opens |= (steps > NIGHT) & (steps > 1.5 * usual)
    rows = np.arange(len(steps))
    first = np.maximum.accumulate(np.where(opens, rows, -1))
    since = (following - following[first]) // QUARTER + 1
    opened = np.where(first < 0, OUT_OF_SIGHT, np.where(opens, 0, np.clip(since, 1, 96)))
    later = np.append(np.where(opens, rows, len(rows) + FAR)[1:], len(rows) + FAR)
    until = np.minimum.accumulate(later[::-1])[::-1] - rows - 1
    return opened, np.clip(until, 0, FAR)
