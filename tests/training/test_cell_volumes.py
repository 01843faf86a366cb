"""Cell volumes: ordered as the spreads of the cells' members, finite where a cell is rare or empty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scenario_gen.training.data import Batch
from scenario_gen.training.start import cell_log_volumes

WIDTHS = (0.1, 0.5, 2.0)
PER_CELL = 2000


@dataclass(frozen=True)
class _Shape:
    s1_bits: int = 2


class _BySign(nn.Module):
    """A tokenizer whose cell is the number that the first feature is close to: 0, 100 or 200 (cell 3 stays empty)."""

    def __init__(self) -> None:
        super().__init__()
        self.config = _Shape()
        self.unused = nn.Parameter(torch.zeros(1))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        cell = (x[..., 0] / 100).round().long()
        return cell, torch.zeros_like(cell)


@dataclass(frozen=True)
class _Planted:
    """A sampler of five Gaussian features around the centre of each cell, as wide as ``widths`` says."""

    widths: tuple[float, ...] = WIDTHS
    counts: tuple[int, ...] = (PER_CELL, PER_CELL, PER_CELL)

    def batch(self, step: int, size: int) -> Batch:
        del size
        rng = np.random.default_rng(step)
        rows = [
            np.concatenate((np.full((n, 1), 100.0 * i), np.zeros((n, 4))), axis=1) + rng.normal(0, width, (n, 5))
            for i, (width, n) in enumerate(zip(self.widths, self.counts, strict=True))
        ]
        features = np.concatenate(rows).astype(np.float32)[None]
        return Batch(features, np.zeros((1, 1, 5), np.int64), np.zeros((1, 1), np.float32))


def _volumes(planted: _Planted, batches: int = 3) -> Tensor:
    return cell_log_volumes(_BySign(), planted, 1, batches)  # type: ignore[arg-type]  # stand-ins of the same shape


def test_a_wider_cell_has_a_larger_volume() -> None:
    volumes = _volumes(_Planted())
    assert volumes.shape == (4,)
    assert volumes.dtype == torch.float32
    assert bool(torch.isfinite(volumes).all())
    assert volumes[0] < volumes[1] < volumes[2]
    reversed_ = _volumes(_Planted(widths=WIDTHS[::-1]))
    assert reversed_[0] > reversed_[1] > reversed_[2]


def test_the_volume_is_the_product_of_the_spreads() -> None:
    """5 log sd. Of n = 6000, log sd has standard error 1/sqrt(2n) = .009; five independent ones: .02; four: .08.

    Ten pseudo-members add 10 x 1.42 / (6010 x width^2) to the variance: known, so it is in the expected value.
    """
    typical = np.mean(np.square(WIDTHS))
    n = 3 * PER_CELL
    expected = [2.5 * np.log((n * w**2 + 10 * typical) / (n + 10)) for w in WIDTHS]
    np.testing.assert_allclose(_volumes(_Planted())[:3].numpy(), expected, atol=0.08)


def test_an_empty_and_a_rare_cell_are_taken_for_typical_ones() -> None:
    """An empty cell gets the mean variance within cells; one of three members is pulled to it by ten more."""
    planted = _Planted(widths=(0.5, 0.5, 1e-6), counts=(PER_CELL, PER_CELL, 1))
    volumes = _volumes(planted)
    typical = 2.5 * np.log(0.25)
    assert float(volumes[3]) == pytest.approx(typical, abs=0.08)
    assert float(volumes[2]) == pytest.approx(2.5 * np.log(10 / 13 * 0.25), abs=0.08)


def test_a_cell_of_identical_members_keeps_a_finite_volume() -> None:
    """The floor: a fiftieth of a unit in each of five features, 5 log .02."""
    planted = _Planted(widths=(0.0, 0.0, 0.0))
    np.testing.assert_allclose(_volumes(planted).numpy(), 5 * np.log(0.02), rtol=1e-6)
