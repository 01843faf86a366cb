"""A tokenizer loss for what squared error forgets: that decoded bars spread as widely as real ones.

A decoder that is trained on squared error alone returns the mean of each cell, and the volatility inside the cells is
lost (6 % of it with 9+9 bits), most of all in the tails. The distance here compares distributions, not bars: the
features of a window, each sorted over time, against the same of the decoded window. Squared differences of sorted
values are the squared Wasserstein-2 distance of the two empirical distributions (Villani 2003, section 2.2).

Knows features and their representation; not networks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scenario_gen.kronos.representation import Increments, Representation

LARGEST = 6.0  # asinh units: a step of 200 volatilities; beyond it sinh gives gradients without bounds


def distance_of_shapes(decoded: Tensor, real: Tensor, representation: Representation) -> Tensor:
    """Return the mean squared distance between sorted features over windows and features, a scalar.

    Args:
        decoded: features [B, T, d].
        real: features [B, T, d] that they were decoded for.
        representation: with ``increments`` the bar's whole return counts as one feature more, since the errors of
            gap and body could add up in it.
    """
    difference = _shape(decoded, representation) - _shape(real, representation)
    return difference.square().mean()


def _shape(features: Tensor, representation: Representation) -> Tensor:
    if isinstance(representation, Increments):
        features = torch.cat((features, _bar_return(features, representation)), dim=-1)
    return features.sort(dim=1).values


def _bar_return(features: Tensor, representation: Increments) -> Tensor:
    """Return asinh of gap plus body in volatilities [B, T, 1], in the unit of a body feature."""
    mean, std = (features.new_tensor(x[:2]) for x in (representation.mean, representation.std))
    raw = (features[..., :2] * std + mean).clamp(-LARGEST, LARGEST)
    length = (raw[..., 0].abs() - representation.gapless).clamp_min(0)
    total = torch.sinh(length) * raw[..., 0].sign() + torch.sinh(raw[..., 1])
    return (torch.asinh(total) / std[1]).unsqueeze(-1)
