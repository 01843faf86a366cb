"""Which token is a higher return: the order in which uniforms draw the tokens of a checkpoint.

A checkpoint is asked by itself, without a history. One of ``increments`` samples futures of made bars, one of
``levels`` encodes random walks; the returns that their tokens decode to are regressed on the bits, on pairs of bits,
and on the s1 that they had. Of ``levels`` it is the close: after a given close, a higher one is a higher return.
Returns and volumes go in as normal scores: what counts is their order. What nano says of itself lies beside its weights
(``python -m scenario_gen.kronos.order`` writes it); others are asked once in a process, which takes some seconds.

Shapes: M bars, B bits of both levels, V1 and V2 tokens.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from scenario_gen.kronos.checkpoint import Checkpoint, open_checkpoint
from scenario_gen.kronos.decode import Chunks, FastDecoder
from scenario_gen.kronos.registry import EMBEDDED
from scenario_gen.kronos.representation import Increments, Representation, mark_features, stamp_features
from scenario_gen.kronos.sampling import BINS, LevelOrder, SamplingRule, TokenOrder
from scenario_gen.kronos.tokenizer import KronosTokenizer

Floats: TypeAlias = NDArray[np.float64]
Kind: TypeAlias = Literal["return", "nested"]
Bars: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]  # s1, s2 [M], features [M, d_in]

WINDOWS, BARS, WARM, AT_ONCE = 96, 160, 32, 16  # random walks, bars of each, bars that only seed them, in one pass
CONTEXTS, FUTURES, HORIZON, FORGOTTEN = 8, 16, 200, 5  # made contexts, futures of each, bars; a fifth is not read
SHIPPED_FUTURES = 128  # of each context, for what is shipped
RIDGE, MEMBERS = 1.0, 2.0  # pseudo-bars that hold coefficients near zero, and an s1's return near the regression
MOST_CELLS = 2**22  # pairs of tokens that have an order of their own; beyond, s2 is ordered alike for every s1
VOLUME = 4  # place of volume among features
SHIPPED = EMBEDDED / "nano" / "order.json"

_KEPT: WeakKeyDictionary[KronosTokenizer, dict[tuple[Representation, Kind], TokenOrder]] = WeakKeyDictionary()


def token_order(checkpoint: Checkpoint, kind: Kind) -> TokenOrder:
    """Return the order of a checkpoint's tokens, on its device.

    Args:
        checkpoint: that is asked.
        kind: ``return``, or ``nested``: 8 bins of return of equal mass (4 of s2), by volume within them.
    """
    kept = _KEPT.setdefault(checkpoint.tokenizer, {})
    key = (checkpoint.representation, kind)
    if key not in kept:
        kept[key] = _order(checkpoint, kind)
    return kept[key].on(next(checkpoint.tokenizer.parameters()).device)


def returns_of(representation: Representation, features: NDArray[np.floating]) -> Floats:
    """Return what a feature row [..., d_in] says of its bar's return, in any unit that rises with it [...]."""
    rows = np.asarray(features, dtype=np.float64)
    return representation.log_returns(rows) if isinstance(representation, Increments) else rows[..., 3]


def _order(checkpoint: Checkpoint, kind: Kind) -> TokenOrder:
    numbers = _shipped(checkpoint) or Ranking.measured(checkpoint)
    by_return = numbers[0].places()
    if kind == "return":
        first, second = (LevelOrder(torch.from_numpy(order)) for order in by_return)
        return TokenOrder(kind, (first, second))
    levels = []
    for tokens, louder, bins in zip(by_return, numbers[1].places(), BINS, strict=True):
        place = np.argsort(tokens, axis=-1)  # of each token by return
        within = np.take_along_axis(place, louder, axis=-1)
        levels.append(LevelOrder(torch.from_numpy(tokens), torch.from_numpy(within), bins))
    return TokenOrder(kind, (levels[0], levels[1]))


def _shipped(checkpoint: Checkpoint) -> tuple[Ranking, Ranking] | None:
    """Return what the embedded checkpoint says of itself, where this is it."""
    if not SHIPPED.is_file():
        return None
    raw = json.loads(SHIPPED.read_text(encoding="utf-8"))
    if any(checkpoint.provenance.get(name) != raw[name] for name in ("model_sha256", "tokenizer_sha256")):
        return None
    bits = (checkpoint.tokenizer.config.s1_bits, checkpoint.tokenizer.config.s2_bits)
    by_return, by_volume = (Ranking(bits, np.array(raw[name]["s1"]), np.array(raw[name]["bits"])) for name in NUMBERS)
    return by_return, by_volume


def _sampled_bars(checkpoint: Checkpoint, futures: int) -> Bars:
    """Return the bars of futures that a checkpoint samples after made contexts, once these are half forgotten."""
    config, rng = checkpoint.model.config, np.random.default_rng(0)
    given = min(48, checkpoint.max_context // 2)
    horizon = min(HORIZON, checkpoint.max_context - given)
    device = next(checkpoint.tokenizer.parameters()).device
    made = rng.standard_normal((CONTEXTS, given, checkpoint.representation.n_features)).astype(np.float32)
    with torch.no_grad():
        s1, s2 = checkpoint.tokenizer.encode(torch.from_numpy(made).to(device))
    days = _weekdays(given + horizon)
    features = stamp_features(days)[None]
    if config.marks:
        features = np.concatenate((features, mark_features(days, np.full(1, 0.01))), axis=-1)
    stamps = torch.from_numpy(features).to(device).expand(CONTEXTS, -1, -1)
    uniforms = torch.from_numpy(rng.random((CONTEXTS * futures, horizon, 2))).float().to(device)
    decoder = FastDecoder(checkpoint, "float32")
    new = decoder.sample_tokens(s1, s2, stamps[:, :given], stamps[:, given:], uniforms, SamplingRule())
    decoded = decoder.decode_tokens(s1, s2, *new)
    first, second, bars = (part[:, horizon // FORGOTTEN :].flatten(0, 1).cpu().numpy() for part in (*new, decoded))
    return first, second, bars


def _weekdays(count: int) -> NDArray[np.int64]:
    """Return the times of so many days without weekends, in nanoseconds since 1970 [count]."""
    day = np.arange(count)
    return (16_440 + day + 2 * (day // 5)) * 86_400_000_000_000  # from a Monday of 2015 on


def _encoded_walks(checkpoint: Checkpoint) -> Bars:
    """Return the tokens of random walks, and the features that they decode to.

    Threads make the same sums: each pass has one of its own.
    """
    representation, tokenizer = checkpoint.representation, checkpoint.tokenizer
    walks = _random_walks(np.random.default_rng(0))
    made = representation.encode(walks, representation.fit(walks))
    device = next(tokenizer.parameters()).device

    @torch.no_grad()  # of each thread
    def work(first: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        s1, s2 = tokenizer.encode(torch.from_numpy(made[first : first + AT_ONCE]).to(device))
        decoded = tokenizer.decode(s1, s2)
        return s1[:, WARM:].cpu(), s2[:, WARM:].cpu(), decoded[:, WARM:].float().cpu()

    parts = Chunks(lambda _: None, 1).run(work, range(0, WINDOWS, AT_ONCE), device)
    s1, s2, features = (torch.cat(same).flatten(0, 1).numpy() for same in zip(*parts, strict=True))
    return s1, s2, features


def _random_walks(rng: np.random.Generator) -> Floats:
    """Return candles of random walks [WINDOWS, BARS, 5]."""
    moves, wicks = 0.01 * rng.standard_normal((WINDOWS, BARS)), 0.005 * rng.exponential(size=(2, WINDOWS, BARS))
    close = moves.cumsum(axis=1)
    opened = close - moves
    high, low = np.maximum(opened, close) + wicks[0], np.minimum(opened, close) - wicks[1]
    volume = 0.4 * rng.standard_normal((WINDOWS, BARS))
    return np.exp(np.stack((opened, high, low, close, volume), axis=-1))


def _scores(values: Floats) -> Floats:
    """Return normal scores of the ranks of values [M]."""
    return np.asarray(ndtri((rankdata(values) - 0.5) / len(values)))


def _signs(tokens: NDArray[np.int64], bits: int) -> Floats:
    """Return the bits of tokens as -1 and 1 [M, bits]."""
    return np.where((tokens[:, None] >> np.arange(bits)) & 1, 1.0, -1.0)


NUMBERS = ("return", "volume")


@dataclass(frozen=True, eq=False)
class Ranking:
    """What tokens say of a number of their bar: of s1 its order, of s2 given s1 the weights of all bits."""

    bits: tuple[int, int]  # of s1 and s2
    first: NDArray[np.int64]  # tokens of s1 from the lowest to the highest [V1]
    weights: Floats  # of a constant, the bits, and the products of two of them [1 + B + pairs]

    @classmethod
    def measured(cls, checkpoint: Checkpoint, futures: int = FUTURES) -> tuple[Ranking, Ranking]:
        """Ask a checkpoint of return and volume, by so many futures of each context where it samples them."""
        own = isinstance(checkpoint.representation, Increments)
        s1, s2, features = _sampled_bars(checkpoint, futures) if own else _encoded_walks(checkpoint)
        bits = (checkpoint.tokenizer.config.s1_bits, checkpoint.tokenizer.config.s2_bits)
        both = np.concatenate((_signs(s1, bits[0]), _signs(s2, bits[1])), axis=1)
        pairs = _pairs(sum(bits))
        products = both[:, pairs[:, 0]] * both[:, pairs[:, 1]]
        design = np.concatenate((np.ones((len(both), 1)), both, products), axis=1)
        square = design.T @ design + RIDGE * np.eye(design.shape[1])
        found = []
        for number in (returns_of(checkpoint.representation, features), features[:, VOLUME].astype(np.float64)):
            values = _scores(number)
            weights = np.asarray(np.linalg.solve(square, design.T @ values), dtype=np.float64)
            fitted = weights[0] + _of_bits(weights, bits)[0]  # pairs across levels are zero on average over s2
            count, total = (np.bincount(s1, what, minlength=2 ** bits[0]) for what in (None, values))
            mean = (total + MEMBERS * fitted) / (count + MEMBERS)
            found.append(cls(bits, np.argsort(mean, kind="stable"), weights))
        return found[0], found[1]

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return tokens of s1 [1, V1], and of s2 given s1 [V1 or 1, V2], from the lowest to the highest."""
        _, inner, across = _of_bits(self.weights, self.bits)
        first, second = self.bits
        cross = (
            _signs(np.arange(2**first), first) @ across if 2 ** sum(self.bits) <= MOST_CELLS else np.zeros((1, second))
        )
        given = inner + cross @ _signs(np.arange(2**second), second).T  # [V1 or 1, V2]
        return self.first[None], np.argsort(given, axis=1, kind="stable")

    def to_mapping(self) -> dict[str, list[float]]:
        """Return what is stored."""
        return {"s1": self.first.tolist(), "bits": [round(float(weight), 6) for weight in self.weights]}


def _pairs(bits: int) -> NDArray[np.int64]:
    """Return all pairs of bits [pair, 2]."""
    return np.array(list(combinations(range(bits), 2)), dtype=np.int64).reshape(-1, 2)


def _of_bits(weights: Floats, bits: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    """Return what s1 alone [V1] and s2 alone [V2] add, and the weights of pairs across both [bit of s1, bit of s2]."""
    first, whole = bits[0], sum(bits)
    single, double, pairs = weights[1 : 1 + whole], np.zeros((whole, whole)), _pairs(whole)
    double[pairs[:, 0], pairs[:, 1]] = weights[1 + whole :]
    alone = []
    for size, part in zip(bits, (slice(0, first), slice(first, None)), strict=True):
        signs = _signs(np.arange(2**size), size)
        alone.append(signs @ single[part] + ((signs @ double[part, part]) * signs).sum(axis=1))
    return alone[0], alone[1], double[:first, first:]


def main() -> None:
    """Write what nano says of itself."""
    nano = open_checkpoint("nano")
    numbers = dict(zip(NUMBERS, Ranking.measured(nano, SHIPPED_FUTURES), strict=True))
    record = {name: nano.provenance[name] for name in ("model_sha256", "tokenizer_sha256")}
    record |= {name: ranking.to_mapping() for name, ranking in numbers.items()}
    SHIPPED.write_text(json.dumps(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
