"""Several processes train one checkpoint; a killed process goes on where it was; no two draw the same batch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from scenario_gen.errors import SpecError
from scenario_gen.kronos import Checkpoint, save_checkpoint
from scenario_gen.kronos.representation import Increments
from scenario_gen.training import finetune, train
from scenario_gen.training.config import DataConfig, WindowConfig
from scenario_gen.training.data import Batch, WindowSampler, load_series
from scenario_gen.training.workers import Workers, joined

ROOT = Path(__file__).parents[2]


def _command(*words: object, **environment: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "scenario_gen", *map(str, words)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def sampler(small_data: Path) -> WindowSampler:
    config = DataConfig(folder=str(small_data), holdout_share=0.2, holdout_symbols=("HELD",))
    series = load_series(config, Path(), 64)
    return WindowSampler(series, WindowConfig(bars=64, context_min=32, context_max=40), Increments(), "train", 0.5, 5)


def test_no_rank_and_no_step_draws_another_ones_batch(sampler: WindowSampler) -> None:
    """Four windows from 353 + 353 starts, contexts of 9 lengths: two equal batches by chance have p < 1e-14."""
    ranked = [replace(sampler, rank=rank, ranks=3) for rank in range(3)]
    batches = [one.batch(step, 12) for one in ranked for step in range(20)]
    assert {batch.features.shape[0] for batch in batches} == {4}
    assert len({batch.features.tobytes() for batch in batches}) == 60
    alone = sampler.batch(7, 4)
    np.testing.assert_array_equal(alone.features, replace(sampler, rank=0, ranks=1).batch(7, 4).features)


def _tell_total(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    Path(folder, str(rank)).write_text(repr(Workers(rank, 2).total(1.25 + rank)), encoding="utf-8")
    torch.distributed.destroy_process_group()


def test_time_that_a_training_took_is_that_of_all_processes(tmp_path: Path) -> None:
    both = [multiprocessing.get_context("spawn").Process(target=_tell_total, args=(r, str(tmp_path))) for r in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(60)
    assert [each.exitcode for each in both] == [0, 0]
    assert [(tmp_path / str(rank)).read_text(encoding="utf-8") for rank in range(2)] == ["3.5", "3.5"]
    assert Workers().total(1.25) == 1.25


def test_two_processes_take_the_steps_of_one_with_both_their_batches(
    tmp_path: Path,
    tiny_checkpoint: Checkpoint,
    write_finetuning: Callable[..., Path],
    small_data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All contexts have one length, so the mean over both batches is the mean of both means.

    What is left are the last digits, which Adam's first steps, of the size of the rate whatever the gradient's, can
    blow up for a weight whose gradient is next to nothing: one weight in a hundred may be off by more than 1e-5.
    """
    save_checkpoint(tiny_checkpoint, tmp_path / "start")
    config = write_finetuning(tmp_path, tmp_path / "start", window__context_min=40, model__steps=3)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    words = ("finetune", config, "--data", small_data, "--out", tmp_path / "two")
    ranks = [_command(*words, RANK=str(r), LOCAL_RANK=str(r), **shared) for r in range(2)]
    told = [one.communicate(timeout=240) for one in ranks]
    assert [one.returncode for one in ranks] == [0, 0], told
    assert told[0][0].startswith("checkpoint: ")
    assert told[1] == ("", "") or "training" not in told[1][1]
    assert told[1][0] == ""

    whole = WindowSampler.batch

    def both(self: WindowSampler, step: int, size: int) -> Batch:
        if self.part != "train":
            return whole(self, step, size)
        halves = [whole(replace(self, rank=rank, ranks=2), step, size) for rank in range(2)]
        return Batch(*(np.concatenate([getattr(h, n) for h in halves]) for n in ("features", "stamps", "weight")))

    monkeypatch.setattr(WindowSampler, "batch", both)
    finetune(config, out=tmp_path / "one", data=small_data)
    one, two = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("one", "two"))
    start = load_file(tmp_path / "start" / "model" / "model.safetensors")
    off = torch.cat([(one[name] - two[name]).abs().flatten() for name in one])
    moved = torch.cat([(one[name] - start[name]).abs().flatten() for name in one])
    assert float(off.quantile(0.99)) < 1e-5 < float(moved.quantile(0.9))


def test_a_batch_that_does_not_split_and_a_broken_environment_are_refused(
    tmp_path: Path, write_config: Callable[..., Path], small_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scenario_gen.training.config import load_config
    from scenario_gen.training.run import _check_ranks

    with pytest.raises(SpecError, match=r"tokenizer\.batch is 4, which 3 processes cannot share evenly"):
        _check_ranks(load_config(write_config(tmp_path))[0], Workers(0, 3, 0))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(SpecError, match="says WORLD_SIZE, and 'RANK' is wrong"), joined():
        pass


def test_a_process_that_is_killed_and_started_again_ends_with_the_same_bits(
    tmp_path: Path, write_config: Callable[..., Path], small_data: Path
) -> None:
    """SIGKILL once the model stage has saved; dropout in both stages, whose draws must go on where they were."""
    dropout: dict[str, Any] = {
        f"{stage}__shape__{name}": 0.2
        for stage in ("tokenizer", "model")
        for name in ("ffn_dropout_p", "resid_dropout_p")
    }
    patience = {"model__patience": 500, "model__validate_every": 10}
    config = write_config(tmp_path, model__steps=120, model__save_every=10, **dropout, **patience)
    words = ("train", config, "--data", small_data, "--out", tmp_path / "part")
    process = _command(*words)
    state, deadline = tmp_path / "part" / "model.state.pt", time.monotonic() + 200
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert state.exists()
    assert not (tmp_path / "part" / "scenario_gen.json").exists()
    train(config, out=tmp_path / "part", data=small_data, resume=True)
    train(config, out=tmp_path / "whole", data=small_data)
    for name in ("model/model.safetensors", "tokenizer/model.safetensors"):
        whole, part = (load_file(tmp_path / run / name) for run in ("whole", "part"))
        assert all(torch.equal(tensor, part[key]) for key, tensor in whole.items()), name
