"""Training on from a checkpoint: whole, frozen in part, with low-rank products; it stops when it no longer helps."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from typer.testing import CliRunner

from scenario_gen.cli.app import app
from scenario_gen.errors import CheckpointError, SpecError
from scenario_gen.generators.kronos import KronosPaths
from scenario_gen.kronos import Checkpoint, save_checkpoint
from scenario_gen.kronos.checkpoint import open_checkpoint
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.progress import SilentProgress
from scenario_gen.training import finetune, train
from scenario_gen.training.config import ModelStage
from scenario_gen.training.networks import LowRank, adapt, merge_products
from scenario_gen.training.start import TOKENIZER_ALONE

WriteConfig = Callable[..., Path]
GOLDEN = Path(__file__).parents[1] / "kronos" / "golden"


def _weights(folder: Path, part: str = "model") -> dict[str, torch.Tensor]:
    return load_file(folder / part / "model.safetensors")


def _changed(folder: Path, start: Path) -> set[str]:
    """Return the names of the model's tensors that differ from those of the start."""
    before, after = _weights(start), _weights(folder)
    assert before.keys() == after.keys()
    return {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}


@pytest.fixture
def start(tiny_checkpoint: Checkpoint, tmp_path: Path) -> Path:
    save_checkpoint(tiny_checkpoint, tmp_path / "start")
    return tmp_path / "start"


def _tune(config: Path, out: Path, data: Path, **options: Any) -> Checkpoint:
    found = finetune(config, out=out, data=data, **options).checkpoint
    assert found is not None
    return found


def test_a_fine_tuned_checkpoint_learns_the_market_and_keeps_tokenizer_and_units(
    tmp_path: Path,
    start: Path,
    write_finetuning: WriteConfig,
    write_series: Callable[..., Path],
    walk: Callable[..., pd.DataFrame],
) -> None:
    """Prices that go up, down, up, down: the direction alone is worth up to log 2 = .69 nats a bar."""
    data = write_series(tmp_path / "data", {("fx", "SWING", "1h"): walk(2000, 1, swing=0.02)})
    walk(300, 4).to_csv(tmp_path / "other.csv", index=False)
    mix = [{"files": ["other.csv"], "share": 0.05}]
    config = write_finetuning(
        tmp_path, start, data__holdout_symbols=[], data__mix=mix, model__steps=120, model__learning_rate=0.01
    )
    tuned = _tune(config, tmp_path / "run", data)
    record = tuned.provenance
    assert record["held_out_nats"]["later"] < record["held_out_nats_before"]["later"] - 0.5
    assert record["init"]["name"] == "tiny"
    assert record["stages"] == ["model"]
    opened = open_checkpoint(str(tmp_path / "run"))
    before = open_checkpoint(str(start))
    assert (opened.name, opened.dependency_form, opened.max_context) == ("tuned", "train", 64)
    assert opened.representation == before.representation
    assert opened.cell_log_volume is not None and before.cell_log_volume is not None
    torch.testing.assert_close(opened.cell_log_volume, before.cell_log_volume, atol=1e-6, rtol=0)
    theirs = _weights(start, "tokenizer")
    assert all(torch.equal(t, theirs[name]) for name, t in _weights(tmp_path / "run", "tokenizer").items())
    card = (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert "Trained on from `tiny`" in card
    assert "before" in card
    assert "Mixed in, with nothing of it held out: other.csv (5% of the samples)." in card


def test_frozen_parts_stay_as_they_were(
    tmp_path: Path, start: Path, write_finetuning: WriteConfig, small_data: Path
) -> None:
    config = write_finetuning(tmp_path, start, model__freeze=["embedding", "time", {"layers": 0}, "head"])
    _tune(config, tmp_path / "run", small_data)
    changed = _changed(tmp_path / "run", start)
    assert any(name.startswith("transformer.1.") for name in changed)
    assert any(name.startswith("dep_layer.") for name in changed)
    assert not any(name.startswith(("embedding.", "time_emb.", "transformer.0.", "head.")) for name in changed)


def test_low_rank_products_change_their_layers_alone_and_are_merged(
    tmp_path: Path, start: Path, write_finetuning: WriteConfig, small_data: Path
) -> None:
    config = write_finetuning(tmp_path, start, model__lora={"rank": 2, "targets": ["q_proj", "w1"]})
    _tune(config, tmp_path / "run", small_data)
    changed = _changed(tmp_path / "run", start)
    assert changed == {
        f"transformer.{layer}.{name}.weight" for layer in (0, 1) for name in ("self_attn.q_proj", "ffn.w1")
    }
    name = "transformer.1.self_attn.q_proj.weight"
    difference = _weights(tmp_path / "run")[name] - _weights(start)[name]
    assert torch.linalg.matrix_rank(difference, atol=1e-6) <= 2


def _model(checkpoint: Checkpoint) -> Kronos:
    model = Kronos(checkpoint.model.config)
    model.load_state_dict(checkpoint.model.state_dict())
    return model.eval()


def test_merging_low_rank_products_gives_the_same_outputs(tiny_checkpoint: Checkpoint) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model, plain = _model(tiny_checkpoint), _model(tiny_checkpoint)
        adapt(model, ModelStage.model_validate({"steps": 1, "lora": {"rank": 3, "alpha": 6.0}}), "x")
        tokens = torch.randint(0, 16, (2, 2, 20))
        stamps = torch.zeros(2, 20, 5, dtype=torch.long)
        with torch.no_grad():  # the second matrix starts at zero
            torch.testing.assert_close(model.states(*tokens, stamps), plain.states(*tokens, stamps))
        for layer in model.modules():
            if isinstance(layer, LowRank):
                nn.init.normal_(layer.up, std=0.2)
        with torch.no_grad():
            before = model.states(*tokens, stamps)
            merge_products(model)
            assert model.state_dict().keys() == plain.state_dict().keys()
            torch.testing.assert_close(model.states(*tokens, stamps), before)
        assert not torch.allclose(before, plain.states(*tokens, stamps))


def test_training_that_never_helps_leaves_the_checkpoint_as_it_was(
    tmp_path: Path, start: Path, write_finetuning: WriteConfig, small_data: Path
) -> None:
    """A rate that wrecks the model: the weights before the first step are the best, and are kept."""
    config = write_finetuning(
        tmp_path,
        start,
        model__steps=60,
        model__learning_rate=3.0,
        model__warmup=0,
        model__validate_every=2,
        model__patience=3,
    )
    progress = SilentProgress()
    tuned = _tune(config, tmp_path / "run", small_data, progress=progress)
    assert _changed(tmp_path / "run", start) == set()
    record = tuned.provenance
    assert record["model_steps"] == 0
    assert record["held_out_nats"] == record["held_out_nats_before"]
    assert "model: 6 steps, kept the weights after 0, which held-out bars like best" in progress.notes
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    # resumed, a run that stopped early does no step more
    again = _tune(config, tmp_path / "run", small_data, resume=True)
    assert again.provenance["model_steps"] == 0
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 3


def test_a_published_checkpoint_in_levels_is_fine_tuned_in_the_training_form(
    tmp_path: Path, write_finetuning: WriteConfig, small_data: Path
) -> None:
    """The golden checkpoint has the published layout: levels, 6 features, a model and a tokenizer beside it."""
    config = write_finetuning(tmp_path, GOLDEN, window__context_max=40)
    tuned = _tune(config, tmp_path / "run", small_data)
    opened = open_checkpoint(str(tmp_path / "run"))
    assert (opened.representation.kind, opened.dependency_form) == ("levels", "train")
    assert opened.cell_log_volume is None
    assert set(tuned.provenance["held_out_nats"]) == {"uniform", "later", "unseen"}


def test_a_tokenizer_alone_and_then_a_model_on_it(tmp_path: Path, write_config: WriteConfig, small_data: Path) -> None:
    import yaml

    whole = yaml.safe_load(write_config(tmp_path).read_text())
    first = {k: v for k, v in whole.items() if k != "model"} | {"stages": ["tokenizer"]}
    second = {k: v for k, v in whole.items() if k != "tokenizer"}
    second |= {"stages": ["model"], "init_tokenizer": "run-1", "name": "second"}
    for number, raw in enumerate((first, second), start=1):
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump(raw))
        trained = train(tmp_path / f"{number}.yaml", out=tmp_path / f"run-{number}", data=small_data)
        assert (trained.checkpoint is None) == (number == 1)
    assert (tmp_path / "run-1" / TOKENIZER_ALONE).exists()
    assert not (tmp_path / "run-1" / "scenario_gen.json").exists()
    ours = _weights(tmp_path / "run-2", "tokenizer")
    assert all(torch.equal(t, ours[name]) for name, t in _weights(tmp_path / "run-1", "tokenizer").items())
    assert open_checkpoint(str(tmp_path / "run-2")).cell_log_volume is not None
    card = (tmp_path / "run-2" / "MODEL_CARD.md").read_text()
    assert "The tokenizer is that of `run-1`, as it was" in card
    assert "Trained on from" not in card


def test_both_stages_of_a_checkpoint_are_trained_on(
    tmp_path: Path, start: Path, write_finetuning: WriteConfig, small_data: Path
) -> None:
    _tune(write_finetuning(tmp_path, start, stages=["tokenizer", "model"]), tmp_path / "run", small_data)
    theirs = _weights(start, "tokenizer")
    changed = [n for n, t in _weights(tmp_path / "run", "tokenizer").items() if not torch.equal(t, theirs[n])]
    assert changed
    assert _changed(tmp_path / "run", start)


@pytest.mark.parametrize(
    ("start", "last"),
    [
        ({}, "2020-01-31"),
        ({"trained_on": [{"last": "2018-02-01"}, {"last": "2021-02-01"}]}, "2021-02-01"),
        ({"trained_on": [], "repository": "NeoQuasar/Kronos-small"}, "2024-02-29"),
        ({"trained_on": [], "repository": "somebody/else"}, "2020-01-31"),
    ],
)
def test_what_the_start_had_seen_counts_as_seen(tiny_checkpoint: Checkpoint, start: dict[str, Any], last: str) -> None:
    record = {"trained_on": [{"last": "2020-01-31"}], "init": start}
    tuned = KronosPaths.of(replace(tiny_checkpoint, provenance=record), SamplingRule(), device="cpu")
    assert tuned.trained_until == last


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__freeze": ["heads"]}, "model.freeze.0: got 'heads', expected embedding"),
        ({"model__freeze": ["head", {"layer": 1}]}, "model.freeze.1: got {'layer': 1}, expected embedding"),
        ({"model__freeze": [{"layers": "all"}]}, "got {'layers': 'all'}, expected embedding"),
        ({"model__freeze": [{"layers": "0-2"}]}, "tuned: model.freeze: got layers: 0-2"),
        ({"model__freeze": [{"layers": "1-0"}]}, "got layers: 1-0"),
        ({"model__lora": {"targets": ["q"]}}, "lora.targets names q, which the blocks do not have"),
        ({"model__freeze": ["embedding", "time", {"layers": "0-1"}, "dependency", "head"]}, "nothing is left"),
        ({"window__bars": 65}, "window.bars is 65, the window of tiny holds 64"),
        ({"representation": "levels"}, "representation is 'levels', that of tiny is 'increments'"),
    ],
)
def test_what_does_not_fit_the_checkpoint_is_refused(
    tmp_path: Path, start: Path, write_finetuning: WriteConfig, small_data: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises((SpecError, CheckpointError)) as caught:
        _tune(write_finetuning(tmp_path, start, **changes), tmp_path / "run", small_data)
    assert message in caught.value.problem
    assert caught.value.expected or caught.value.fix


def test_the_command_tells_what_was_gained_and_needs_a_start(
    tmp_path: Path, start: Path, write_config: WriteConfig, write_finetuning: WriteConfig, small_data: Path
) -> None:
    config = write_finetuning(tmp_path, start)
    words = ["finetune", str(config), "--data", str(small_data), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "nats per held-out bar" in result.stdout
    assert "held-out bars" in (tmp_path / "run" / "learning.svg").read_text()
    assert "training the model" in result.stderr
    scratch = CliRunner().invoke(app, ["finetune", str(write_config(tmp_path))])
    assert scratch.exit_code == 2
    assert "init is missing: there is nothing to fine-tune" in scratch.stderr
    nowhere = CliRunner().invoke(app, ["finetune", str(write_finetuning(tmp_path, "no-such")), *words[2:4]])
    assert nowhere.exit_code == 2
    assert "no-such" in nowhere.stderr and "Traceback" not in nowhere.stderr
