"""Attention over a shared prefix and own bars is one softmax, with and without a shift, however large the scores."""

from __future__ import annotations

import pytest
import torch

from scenario_gen.kronos.attention import SAFE, NewestBars, Prefix, WholeSuffix, _summed, attend

HEADS, ROWS, BARS, OWN, DIM = 2, 9, 40, 19, 8  # own bars fill a page and a part of the next


def _parts(size: float, queries: bool) -> tuple[torch.Tensor, Prefix, NewestBars, torch.Tensor, torch.Tensor]:
    """Return queries, prefix, own bars and all keys and values as every row sees them [H, M, T + C, E]."""
    g = torch.Generator().manual_seed(8)
    k, v = (torch.randn(HEADS, 1, BARS, DIM, generator=g) for _ in range(2))
    q = torch.randn(HEADS, ROWS, DIM, generator=g) * size
    own_k, own_v = (torch.randn(HEADS, ROWS, OWN, DIM, generator=g) for _ in range(2))
    prefix = Prefix(k, v, torch.randn(HEADS, 1, BARS, DIM, generator=g) * size if queries else None)
    own = NewestBars(prefix, ROWS)
    for bar in range(OWN):
        own.append(own_k[:, :, bar], own_v[:, :, bar])
    whole = [torch.cat((a.expand(-1, ROWS, -1, -1), b), 2) for a, b in ((k, own_k), (v, own_v))]
    return q, prefix, own, whole[0], whole[1]


@pytest.mark.parametrize("queries", [True, False])
@pytest.mark.parametrize("size", [0.1, 1.0, 5.0, 60.0])
def test_it_is_the_softmax_of_all_scores(size: float, queries: bool) -> None:
    """Scores are in units of log 2; at 60 the largest is some 2^500 away from the least, and a shift is needed."""
    q, prefix, own, keys, values = _parts(size, queries)
    scores = (keys.double() @ q.double()[..., None]).squeeze(-1)  # [H, M, T + C]
    weights = (scores * torch.log(torch.tensor(2.0, dtype=torch.float64))).softmax(-1)
    expected = (weights[..., None, :] @ values.double()).squeeze(-2).transpose(0, 1).flatten(1)
    # a score of size s has an error of 8 roundings of 2^-24 s; so have weights, relative to themselves, and the sum
    near = 1e-6 + 10 * 2.0**-24 * float(scores.abs().max())
    torch.testing.assert_close(attend(q, prefix, own).double(), expected, rtol=0, atol=near * float(values.abs().max()))


def test_sums_out_of_reach_of_float32_are_made_again_with_a_shift() -> None:
    q, prefix, own, *_ = _parts(60.0, queries=False)
    if prefix.usual is None:
        pytest.skip("this processor has no AVX-512: scores are always shifted here")
    total = _summed(q, prefix, own, shifted=False)[1]
    assert not ((total > SAFE[0]) & (total < SAFE[1])).all()
    assert torch.isfinite(attend(q, prefix, own)).all()


def test_a_whole_suffix_sees_no_later_bar() -> None:
    g = torch.Generator().manual_seed(9)
    q, k, v = (torch.randn(HEADS, 3, OWN, DIM, generator=g) for _ in range(3))
    prefix = Prefix(*(torch.randn(HEADS, 1, BARS, DIM, generator=g) for _ in range(2)))
    before = attend(q.flatten(1, 2), prefix, WholeSuffix(k, v)).unflatten(0, (3, OWN))
    k[:, :, -1], v[:, :, -1] = 7.0, 7.0
    after = attend(q.flatten(1, 2), prefix, WholeSuffix(k, v)).unflatten(0, (3, OWN))
    assert torch.equal(before[:, :-1], after[:, :-1])
    assert not torch.equal(before[:, -1], after[:, -1])
