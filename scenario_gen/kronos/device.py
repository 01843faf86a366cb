"""Where to compute: the one place that turns a wanted device into one that is there."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from scenario_gen.errors import CheckpointError, SpecError


def choose_device(wanted: str | torch.device | None, setting: str = "device") -> torch.device:
    """Return a device of this machine.

    Args:
        wanted: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; ``auto`` or None takes a GPU where there is one.
        setting: what the user set, for the message.

    Raises:
        SpecError: this machine has no such device.
    """
    name, here = "auto" if wanted is None else str(wanted), devices_here()
    if name == "auto":
        return torch.device("cuda" if "cuda" in here else "cpu")
    if name not in here:
        raise SpecError(
            f"{setting} is {name!r}, which this machine does not have",
            expected=", ".join(["auto", *here]),
            fix=f"set {setting} to auto, or run where that device is",
        )
    return torch.device(name)


def devices_here() -> list[str]:
    """Return the devices of this machine by name: cpu, each GPU (``cuda`` is the current one), mps."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    cuda = ["cuda", *(f"cuda:{index}" for index in range(count))] if count else []
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


# --- Products with fixed weights, laid out once for the fastest kernel that the machine has ---


Precision = Literal["auto", "float32", "bfloat16"]
KEPT = 16 * 2**20  # bytes of the largest passing result whose memory the C library shall keep
PACKED_ROWS = 512  # the number of rows for which oneDNN lays the weights out


def keep_freed_memory() -> None:
    """Let the C library keep what passing results give back, instead of asking the system for it anew each time.

    glibc maps a large block apart and gives it back at once, until one as large has been freed: then blocks of that
    size come from memory that it keeps (``man mallopt``, M_MMAP_THRESHOLD). Memory that is touched for the first time
    costs as much as the product that is written there. Elsewhere this does nothing.
    """
    torch.empty(KEPT, dtype=torch.uint8)


def choose_dtype(wanted: Precision, device: torch.device) -> torch.dtype:
    """Return the number format of the products: ``auto`` is float32 on processors and bfloat16 on capable GPUs.

    Raises:
        CheckpointError: bfloat16 is asked for where the hardware would only emulate it.
    """
    capable = has_bfloat16(device)
    if wanted == "auto":
        return torch.bfloat16 if capable and device.type == "cuda" else torch.float32
    if wanted == "bfloat16" and not capable:
        raise CheckpointError(
            f"dtype is 'bfloat16', which this machine's {device.type} has no instructions for",
            expected="a GPU of compute capability 8.0 or more, or a processor with AVX512-BF16 or AMX",
            fix="set dtype: float32, or auto",
        )
    return torch.float32 if wanted == "float32" else torch.bfloat16


def has_bfloat16(device: torch.device) -> bool:
    """Say whether the device has instructions for products in bfloat16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return device.type == "cpu" and packs(device) and bool(torch.cpu._is_avx512_bf16_supported())


def packs(device: torch.device) -> bool:
    """Say whether products on the device take oneDNN's packed kernels."""
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and _has_avx512()


def _has_avx512() -> bool:
    return bool(torch.cpu._is_avx512_supported())


class Dense:
    """x @ weight.T + bias for one weight and many x.

    Args:
        weight: [out, in], float32.
        bias: [out], float32, or None.
        dtype: of the product; x is cast to it and results come in it, except where said otherwise.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        self.packed = packs(weight.device)
        self.bias = None if bias is None else bias.detach().to(dtype)
        weight = weight.detach().to(dtype).contiguous()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_ROWS) if self.packed else weight

    def __call__(self, x: Tensor) -> Tensor:
        """Return [M, out] for x [M, in]."""
        if self.packed:
            return self._fused(x, "none")
        return F.linear(x.to(self.dtype), self.weight, self.bias)

    def silu(self, x: Tensor) -> Tensor:
        """Return the product through silu: [M, out] for x [M, in]."""
        if self.packed:
            return self._fused(x, "swish")
        return F.silu(self(x))

    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """Return (x @ weight.T + bias) * other, for other [M, out] in the products' dtype."""
        if self.packed:
            return self._joined(x, other, "mul")
        return self(x) * other

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return x @ weight.T + bias + residual, in the residual's dtype."""
        if self.packed and residual.dtype == self.dtype:
            return self._joined(x, residual, "add")
        return residual + self(x)

    def _fused(self, x: Tensor, after: str) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x.to(self.dtype), self.weight, self.bias, after, [], "")
        return product

    def _joined(self, x: Tensor, other: Tensor, how: str) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise.binary(
            x.to(self.dtype), other, self.weight, self.bias, how
        )
        return product
