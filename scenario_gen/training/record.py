"""What a checkpoint records beside its weights: the volumes of its cells, and which bars it was trained on.

Knows a trained tokenizer and the series; not how either came about.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from scenario_gen.kronos.tokenizer import KronosTokenizer
from scenario_gen.training.data import Series, WindowSampler


@torch.no_grad()
def cell_log_volumes(tokenizer: KronosTokenizer, sampler: WindowSampler, size: int, batches: int = 64) -> Tensor:
    """Return the log volume of each s1 cell in feature space, float32 [2^s1_bits].

    The volume is the product over features of the members' standard deviation, floored at a fiftieth of a unit
    and shrunk to all bars' spread by ten pseudo-members, so that a rare cell is not taken for an empty one.
    """
    device = next(tokenizer.parameters()).device
    rows, cells = [], []
    for step in range(batches):
        features = torch.from_numpy(sampler.batch(step, size).features).to(device)
        cells.append(tokenizer.encode(features)[0].flatten())
        rows.append(features.flatten(0, 1))
    x, cell = torch.cat(rows).double().cpu(), torch.cat(cells).cpu()
    n_cells = 2**tokenizer.config.s1_bits
    count = torch.zeros(n_cells, dtype=torch.float64).index_add_(0, cell, torch.ones(len(cell), dtype=torch.float64))
    mean = torch.zeros(n_cells, x.shape[1], dtype=torch.float64).index_add_(0, cell, x) / count.clamp_min(1)[:, None]
    spread = torch.zeros_like(mean).index_add_(0, cell, (x - mean[cell]).square())
    typical = spread.sum(0) / count.sum()  # mean within-cell variance of each feature
    variance = (spread + 10 * typical) / (count + 10)[:, None]
    return 0.5 * variance.clamp_min(0.02**2).log().sum(1).float()


def describe_series(series: list[Series]) -> list[dict[str, object]]:
    """Return one row per (class, frequency): series, bars trained on, first and last date trained on ("" if none)."""
    rows: dict[tuple[str, str], list[Series]] = {}
    for one in series:
        rows.setdefault((one.asset_class, one.frequency), []).append(one)
    return [_describe(*key, group) for key, group in sorted(rows.items())]


def _describe(asset_class: str, frequency: str, group: list[Series]) -> dict[str, object]:
    trained = [s for s in group if s.train_end > 0]
    return {
        "class": asset_class,
        "frequency": frequency,
        "series": len(trained),
        "held_out_series": len(group) - len(trained),
        "bars": sum(s.train_end for s in trained),
        "first": _date(min(int(s.wall_ns[0]) for s in trained)) if trained else "",
        "last": _date(max(int(s.wall_ns[s.train_end - 1]) for s in trained)) if trained else "",
    }


def _date(wall_ns: int) -> str:
    return str(np.datetime64(wall_ns, "ns"))[:10]
