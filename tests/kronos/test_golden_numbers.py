"""Our Kronos gives upstream's numbers for upstream's weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scenario_gen.kronos import Checkpoint
from scenario_gen.kronos.naive import decode_tokens_naively, sample_tokens_naively
from scenario_gen.kronos.representation import Levels, stamp_features
from scenario_gen.kronos.sampling import SamplingRule, probabilities

CASES = ("within_context", "sliding_window", "truncated_context")
# float32 sums of some hundred terms differ by reordering: 1e-4 relative is upstream's own stated agreement
RTOL, ATOL = 1e-4, 1e-5


def _case(folder: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(folder / f"{name}.npz") as stored:
        return {key: stored[key] for key in stored}


def _tokens(checkpoint: Checkpoint, case: dict[str, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    context = case["context"][None]
    features = Levels().encode(context, Levels().fit(context))
    s1, s2 = checkpoint.tokenizer.encode(torch.from_numpy(features))
    return s1, s2, torch.from_numpy(stamp_features(case["context_ts"]))[None]


@pytest.mark.parametrize("name", CASES)
def test_the_tokenizer_gives_the_same_ids_and_the_same_reconstruction(
    golden_folder: Path, golden_checkpoint: Checkpoint, name: str
) -> None:
    case = _case(golden_folder, name)
    s1, s2, _ = _tokens(golden_checkpoint, case)
    assert np.array_equal(s1[0].numpy(), case["s1"])
    assert np.array_equal(s2[0].numpy(), case["s2"])
    decoded = golden_checkpoint.tokenizer.decode(s1, s2)[0].numpy()
    np.testing.assert_allclose(decoded, case["reconstruction"], rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("name", CASES)
def test_the_next_tokens_logits_are_the_same_in_the_decode_form(
    golden_folder: Path, golden_checkpoint: Checkpoint, name: str
) -> None:
    case, window = _case(golden_folder, name), int(_case(golden_folder, name)["max_context"])
    s1, s2, stamps = (x[:, -window:] for x in _tokens(golden_checkpoint, case))
    model = golden_checkpoint.model
    states = model.states(s1, s2, stamps)
    first = model.s1_logits(states)
    np.testing.assert_allclose(first[0].numpy(), case["s1_logits_last"], rtol=RTOL, atol=ATOL)
    assert int(first.argmax()) == int(case["s1_greedy"])
    second = model.s2_logits(states, first.argmax(-1), "decode")
    np.testing.assert_allclose(second[0].numpy(), case["s2_logits_last"], rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("name", CASES)
def test_the_training_form_gives_the_same_logits(golden_folder: Path, golden_checkpoint: Checkpoint, name: str) -> None:
    case = _case(golden_folder, name)
    s1, s2, stamps = _tokens(golden_checkpoint, case)
    first, second = golden_checkpoint.model(s1[:, :-1], s2[:, :-1], stamps[:, :-1], s1[:, 1:])
    np.testing.assert_allclose(first[0, -8:].numpy(), case["train_s1_logits"], rtol=RTOL, atol=ATOL)
    np.testing.assert_allclose(second[0, -8:].numpy(), case["train_s2_logits"], rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("name", CASES)
def test_greedy_prediction_in_price_units_is_the_same_in_every_window_case(
    golden_folder: Path, golden_checkpoint: Checkpoint, name: str
) -> None:
    case = _case(golden_folder, name)
    checkpoint = replace(golden_checkpoint, max_context=int(case["max_context"]))
    s1, s2, stamps = _tokens(checkpoint, case)
    horizon = len(case["future_ts"])
    ahead = torch.from_numpy(stamp_features(case["future_ts"]))[None]
    new1, new2 = sample_tokens_naively(
        checkpoint, s1, s2, stamps, ahead, torch.zeros(1, horizon, 2), SamplingRule(temperature=0)
    )
    features = decode_tokens_naively(checkpoint, torch.cat((s1, new1), 1), torch.cat((s2, new2), 1), horizon)
    scale = Levels().fit(case["context"][None])
    prices = Levels().decode(features.numpy(), np.ones(1), scale)[0]
    np.testing.assert_allclose(prices, case["greedy"], rtol=RTOL)


def test_filtered_probabilities_are_upstreams(golden_folder: Path) -> None:
    stored = _case(golden_folder, "filters")
    logits = torch.from_numpy(stored.pop("logits"))
    assert len(stored) == 18
    for name, expected in stored.items():
        t, k, p = (part[1:] for part in name.split("_"))
        rule = SamplingRule(temperature=float(t), top_k=int(k), top_p=float(p), upstream=True)
        np.testing.assert_allclose(probabilities(logits, rule).numpy(), expected, rtol=RTOL, atol=1e-7, err_msg=name)
