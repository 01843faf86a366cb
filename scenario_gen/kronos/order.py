"""Which token is a higher return: the order in which uniforms draw the tokens of a checkpoint.

A tokenizer is asked by itself, without a history: made bars are encoded and decoded, and the returns that come out are
regressed on the bits of their tokens, on pairs of bits, and on the s1 that they had. Of ``levels`` it is the close:
for a given close before it, a higher one is a higher return. Returns and volumes go in as normal scores: what counts
is their order. Depends on the tokenizer and the representation alone; takes half a second and is kept in memory.

Shapes: M made bars, B bits of both levels, V1 and V2 tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from scenario_gen.kronos.checkpoint import Checkpoint
from scenario_gen.kronos.decode import Chunks
from scenario_gen.kronos.representation import Increments, Representation
from scenario_gen.kronos.sampling import BINS, LevelOrder, TokenOrder
from scenario_gen.kronos.tokenizer import KronosTokenizer

Floats: TypeAlias = NDArray[np.float64]
Kind: TypeAlias = Literal["return", "nested"]

WINDOWS, BARS, WARM, AT_ONCE = 96, 160, 32, 16  # made windows, bars of each, bars that only seed them, in one pass
RIDGE, MEMBERS = 1.0, 5.0  # pseudo-bars that hold coefficients near zero, and an s1's return near the regression
MOST_CELLS = 2**22  # pairs of tokens that have an order of their own; beyond, s2 is ordered alike for every s1
VOLUME = 4  # place of volume among features

_KEPT: WeakKeyDictionary[KronosTokenizer, dict[tuple[Representation, Kind], TokenOrder]] = WeakKeyDictionary()


def token_order(checkpoint: Checkpoint, kind: Kind) -> TokenOrder:
    """Return the order of a checkpoint's tokens, on its device.

    Args:
        checkpoint: whose tokenizer is asked.
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
    tokenizer = checkpoint.tokenizer
    bits = (tokenizer.config.s1_bits, tokenizer.config.s2_bits)
    s1, s2, features = _made_bars(checkpoint)
    regression = _Regression.of(s1, s2, bits)
    by_return = regression.places(_scores(returns_of(checkpoint.representation, features)))
    if kind == "return":
        first, second = (LevelOrder(torch.from_numpy(order)) for order in by_return)
        return TokenOrder(kind, (first, second))
    by_volume = regression.places(_scores(features[:, VOLUME].astype(np.float64)))
    levels = []
    for tokens, louder, bins in zip(by_return, by_volume, BINS, strict=True):
        place = np.argsort(tokens, axis=-1)  # of each token by return
        within = np.take_along_axis(place, louder, axis=-1)
        levels.append(LevelOrder(torch.from_numpy(tokens), torch.from_numpy(within), bins))
    return TokenOrder(kind, (levels[0], levels[1]))


def _made_bars(checkpoint: Checkpoint) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return tokens s1 and s2 [M] of made bars, and the features [M, d_in] that they decode to.

    Threads make the same sums: each pass has one of its own.
    """
    representation, tokenizer = checkpoint.representation, checkpoint.tokenizer
    rng = np.random.default_rng(0)
    if isinstance(representation, Increments):  # standardised over the training data
        made = rng.standard_normal((WINDOWS, BARS, representation.n_features)).astype(np.float32)
    else:
        walks = _random_walks(rng)
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


@dataclass(frozen=True, eq=False)
class _Regression:
    """Numbers of made bars on the bits of their tokens."""

    s1: NDArray[np.int64]  # [M]
    bits: tuple[int, int]
    pairs: NDArray[np.int64]  # of bits [pair, 2]
    design: Floats  # [M, 1 + B + pairs]

    @classmethod
    def of(cls, s1: NDArray[np.int64], s2: NDArray[np.int64], bits: tuple[int, int]) -> _Regression:
        """Lay out the bits and their products."""
        both = np.concatenate((_signs(s1, bits[0]), _signs(s2, bits[1])), axis=1)
        pairs = np.array(list(combinations(range(sum(bits)), 2)), dtype=np.int64)
        products = both[:, pairs[:, 0]] * both[:, pairs[:, 1]]
        return cls(s1, bits, pairs, np.concatenate((np.ones((len(both), 1)), both, products), axis=1))

    def places(self, values: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return tokens of s1 [1, V1], and of s2 given s1 [V1 or 1, V2], from the lowest value [M] to the highest."""
        square = self.design.T @ self.design + RIDGE * np.eye(self.design.shape[1])
        weights = np.linalg.solve(square, self.design.T @ values)
        first, second = self.bits
        single, double = weights[1 : 1 + first + second], np.zeros((first + second, first + second))
        double[self.pairs[:, 0], self.pairs[:, 1]] = weights[1 + first + second :]
        ones = [_signs(np.arange(2**bits), bits) for bits in self.bits]
        inner = [
            signs @ single[part] + np.einsum("vi,ij,vj->v", signs, double[part, part], signs, optimize=True)
            for signs, part in zip(ones, (slice(0, first), slice(first, None)), strict=True)
        ]
        cross = ones[0] @ double[:first, first:] if 2 ** (first + second) <= MOST_CELLS else np.zeros((1, second))
        given = inner[1] + cross @ ones[1].T  # [V1 or 1, V2]
        fitted = weights[0] + inner[0]  # pairs across levels are zero on average over s2
        count = np.bincount(self.s1, minlength=2**first)
        mean = (np.bincount(self.s1, values, minlength=2**first) + MEMBERS * fitted) / (count + MEMBERS)
        return np.argsort(mean, kind="stable")[None], np.argsort(given, axis=1, kind="stable")
