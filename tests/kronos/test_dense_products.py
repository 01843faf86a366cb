"""Packed products equal PyTorch's own; bfloat16 is refused where it would only be emulated."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from scenario_gen.errors import CheckpointError
from scenario_gen.kronos import device as dense
from scenario_gen.kronos.device import Dense, choose_dtype

CPU = torch.device("cpu")
ROWS, INNER, OUTER = 37, 48, 80
# A product sums 48 terms of size about 1; reordering the sum changes it by at most 48 roundings of 2^-24 (float32).
# bfloat16 keeps 8 bits of both factors and of the result: 3 roundings of 2^-9 on terms that add up to about 7.
TOLERANCE = {torch.float32: 48 * 2.0**-24 * 20, torch.bfloat16: 3 * 2.0**-9 * 20}


def _numbers() -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(3)
    shapes = ((ROWS, INNER), (OUTER, INNER), (OUTER,), (ROWS, OUTER))
    return tuple(torch.randn(shape, generator=g) for shape in shapes)


@pytest.fixture(params=[True, False], ids=["packed", "plain"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Take the packed kernels, or those of a machine that has none."""
    if request.param and not dense.packs(CPU):
        pytest.skip("this processor has no AVX-512: products are PyTorch's own here")
    monkeypatch.setattr(dense, "packs", lambda device: request.param)
    return bool(request.param)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_form_of_a_product_is_pytorchs(kernels: bool, dtype: torch.dtype) -> None:
    if dtype == torch.bfloat16 and not dense.has_bfloat16(CPU):
        pytest.skip("no bfloat16 instructions")
    x, weight, bias, other = _numbers()
    layer, expected = Dense(weight, bias, dtype), F.linear(x, weight, bias)
    near = {"rtol": 0.0, "atol": TOLERANCE[dtype]}
    torch.testing.assert_close(layer(x).float(), expected, **near)
    torch.testing.assert_close(layer.silu(x).float(), F.silu(expected), **near)
    torch.testing.assert_close(layer.plus(x, other), other + expected, **near)
    gated = layer.times(x, other.to(dtype)).float()
    torch.testing.assert_close(gated, other * expected, rtol=0.0, atol=4 * TOLERANCE[dtype])


def test_the_residual_keeps_its_dtype_and_is_not_changed() -> None:
    x, weight, bias, other = _numbers()
    before = other.clone()
    assert Dense(weight, bias).plus(x, other).dtype == torch.float32
    assert torch.equal(other, before)


def test_auto_is_float32_on_a_processor() -> None:
    assert choose_dtype("auto", CPU) == torch.float32
    assert choose_dtype("float32", CPU) == torch.float32


def test_bfloat16_without_instructions_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "has_bfloat16", lambda device: False)
    with pytest.raises(CheckpointError, match="bfloat16") as error:
        choose_dtype("bfloat16", CPU)
    assert "float32" in str(error.value.fix)
