"""Held-out likelihood is that of the dependency layer's training form, which is what our checkpoints sample with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scenario_gen.kronos import Checkpoint
from scenario_gen.kronos.representation import Increments
from scenario_gen.training.config import DataConfig, WindowConfig
from scenario_gen.training.data import Batch, WindowSampler, load_series
from scenario_gen.training.networks import model_losses


class _LastBar(WindowSampler):
    """Windows of which the last bar alone counts."""

    def batch(self, step: int, size: int) -> Batch:
        whole = super().batch(step, size)
        weight = whole.weight * 0
        weight[:, -1] = 1
        return Batch(whole.features, whole.stamps, weight)


@torch.no_grad()
def test_validation_is_the_log_loss_of_the_form_that_samples(tiny_checkpoint: Checkpoint, small_data: Path) -> None:
    config = DataConfig(folder=str(small_data), holdout_share=0.2, holdout_symbols=("HELD",))
    window = WindowConfig(bars=64, context_min=32, context_max=40)
    sampler = _LastBar(load_series(config, Path(), 64), window, Increments(), "later", 0.5, 5)
    model, tokenizer = tiny_checkpoint.model, tiny_checkpoint.tokenizer
    found = model_losses(model, tokenizer, sampler, 0, 6)
    batch = sampler.batch(0, 6)
    s1, s2 = tokenizer.encode(torch.from_numpy(batch.features))
    states = model.states(s1[:, :-1], s2[:, :-1], torch.from_numpy(batch.stamps)[:, :-1])
    pick = torch.arange(6)
    first = -model.s1_logits(states).log_softmax(-1)[pick, s1[:, -1]].mean()
    forms = {
        form: float(-model.s2_logits(states, s1[:, -1], form).log_softmax(-1)[pick, s2[:, -1]].mean())
        for form in ("train", "decode")
    }
    assert float(found[0]) == pytest.approx(float(first), rel=1e-5)
    assert float(found[1]) == pytest.approx(forms["train"], rel=1e-5)
    assert abs(forms["decode"] - forms["train"]) > 1e-4
