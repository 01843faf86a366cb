"""The embedded checkpoint: there, small, documented, really trained, and its dial works."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from scenario_gen.kronos import Checkpoint, Kronos
from scenario_gen.kronos.checkpoint import open_checkpoint
from scenario_gen.kronos.registry import EMBEDDED, KNOWN_MODELS
from scenario_gen.kronos.representation import mark_features, stamp_features
from scenario_gen.market import Candles, load_candles

CONTEXT = 256


@pytest.fixture(scope="module")
def nano() -> Checkpoint:
    return open_checkpoint("nano")


def _nats(checkpoint: Checkpoint, bars: Candles) -> float:
    """Return nats per bar on non-overlapping windows, in the training form, after each window's context."""
    length = checkpoint.max_context
    starts = range(0, len(bars) - length + 1, length)
    values = np.stack([bars.values[i : i + length] for i in starts])
    wall = np.stack([bars.timestamps[i : i + length].as_unit("ns").asi8 for i in starts])
    representation = checkpoint.representation
    scale = representation.fit(values[:, :CONTEXT])
    features = torch.from_numpy(representation.encode(values, scale))
    s1, s2 = checkpoint.tokenizer.encode(features)
    weight = (torch.arange(1, length) >= CONTEXT).float().expand(len(values), -1)
    marks = [mark_features(times, spread)[0] for times, spread in zip(wall, scale.spread[:, :1], strict=True)]
    stamps = torch.from_numpy(np.concatenate((stamp_features(wall), np.stack(marks)), axis=-1))
    with torch.no_grad():
        return float(sum(checkpoint.model.loss(s1, s2, stamps, weight)))


def test_it_fits_the_package_and_brings_its_card_and_config() -> None:
    folder = EMBEDDED / "nano"
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 10_000_000
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    for word in (
        "## Training data",
        "bars trained on",
        "held-out series",
        "| bootstrap |",
        "EWMA-FHS",
        "against the baselines: skill (t)",
    ):
        assert word in card
    assert (folder / "config.yaml").is_file()


def test_the_registry_tells_its_true_size_and_window(nano: Checkpoint) -> None:
    known = KNOWN_MODELS[0]
    assert known.name == "nano"
    assert known.available
    assert known.parameters == sum(p.numel() for p in nano.model.parameters())
    assert known.context == nano.max_context


def test_it_is_our_own_kind_and_says_what_it_was_trained_on(nano: Checkpoint) -> None:
    assert nano.representation.kind == "increments"
    assert nano.dependency_form == "train"
    assert nano.cell_log_volume is not None
    classes = {row["class"] for row in nano.provenance["trained_on"]}
    assert {"equity", "crypto", "fx", "index", "etf", "commodity"} <= classes
    assert nano.provenance["model_cpu_seconds"] > 3600  # the config's steps on one core; see experiments.md


def test_it_is_far_more_likely_than_a_random_checkpoint_and_a_uniform_guess(nano: Checkpoint) -> None:
    """The NASDAQ index of arch: its bars are those of an index that training saw, so this is no held-out figure."""
    bars = load_candles("nasdaq")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        random = replace(nano, model=Kronos(nano.model.config).eval())
    trained, untrained = _nats(nano, bars), _nats(random, bars)
    uniform = np.log(2) * (nano.model.config.s1_bits + nano.model.config.s2_bits)
    assert trained < uniform - 4
    assert trained < untrained - 4
