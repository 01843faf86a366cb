"""A whole tiny training: what it leaves can be opened and sampled, resumed bit for bit, and is never overwritten."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import scenario_gen as sg
from scenario_gen.cli.app import app
from scenario_gen.errors import CheckpointError, DataError, SpecError
from scenario_gen.kronos.checkpoint import open_checkpoint
from scenario_gen.progress import SilentProgress
from scenario_gen.training import train

NAMES = ("model/model.safetensors", "tokenizer/model.safetensors")
DROPOUT = {
    f"{stage}__shape__{name}": 0.2 for stage in ("tokenizer", "model") for name in ("ffn_dropout_p", "resid_dropout_p")
}


class Killed(Exception):  # noqa: N818  # a kill is no error
    """The process ends here."""


class KilledAt(SilentProgress):
    """A progress whose process is killed once a stage has done so many steps."""

    def __init__(self, title: str, step: int) -> None:
        super().__init__()
        self._title, self._step = title, step

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        done = 0

        def advance(steps: int) -> None:
            nonlocal done
            done += steps
            if self._title in title and done >= self._step:
                raise Killed

        yield advance


def _train(config: Path, out: Path, data: Path, **options: Any) -> Any:
    defaults: dict[str, Any] = {"resume": False, "progress": SilentProgress()}
    return train(config, out=out, data=data, **(defaults | options)).checkpoint


def _record(folder: Path) -> dict[str, Any]:
    """Return what a run wrote beside its weights, less the processor time it took."""
    extras = json.loads((folder / "scenario_gen.json").read_text())
    for stage in ("tokenizer", "model"):
        del extras["training"][f"{stage}_cpu_seconds"]
    return dict(extras)


def _metrics(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "cpu_seconds"} for line in lines]


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    write_config: Callable[..., Path],
    write_series: Callable[..., Path],
    walk: Callable[..., pd.DataFrame],
) -> Path:
    """150 steps of each stage on prices whose direction can be foreseen: up, down, up, down."""
    folder = tmp_path_factory.mktemp("trained")
    names = [("crypto", "SEEN", "1h"), ("crypto", "HELD", "1h"), ("fx", "QUIET", "1h")]
    frames = {name: walk(3000, i, with_volume=name[0] != "fx", swing=0.02) for i, name in enumerate(names)}
    settings = {"steps": 150, "save_every": 100, "learning_rate": 0.01, "batch": 8}
    changes = {f"{stage}__{k}": v for stage in ("tokenizer", "model") for k, v in settings.items()}
    data = write_series(folder / "histories", frames)
    _train(write_config(folder, **changes), folder / "run", data)
    return folder / "run"


def test_the_checkpoint_opens_and_says_how_it_was_trained(trained: Path) -> None:
    checkpoint = open_checkpoint(str(trained))
    assert (checkpoint.name, checkpoint.dependency_form) == ("tiny", "train")
    assert checkpoint.representation.kind == "increments"
    assert checkpoint.cell_log_volume is not None
    assert bool(torch.isfinite(checkpoint.cell_log_volume).all())
    record = checkpoint.provenance
    assert record["seed"] == 11
    assert [(row["class"], row["series"], row["held_out_series"], row["bars"]) for row in record["trained_on"]] == [
        ("crypto", 1, 1, 2336),  # 3000 x .8 - 64
        ("fx", 1, 0, 2336),
    ]
    assert set(record["held_out_nats"]) == {"uniform", "later", "unseen"}
    assert (trained / "MODEL_CARD.md").exists()


def test_the_checkpoint_samples_valid_candles(trained: Path, walk: Callable[..., pd.DataFrame]) -> None:
    context = sg.load_candles(walk(300, 8).tail(64).reset_index(drop=True))
    paths = sg.sample(context, horizon=6, paths=5, model=str(trained), seed=1, device="cpu")
    assert paths.values.shape == (5, 6, 5)
    assert np.isfinite(paths.values).all()
    o, h, l, c = (paths.values[..., i] for i in range(4))  # noqa: E741  # the fields' own letters
    assert (h >= np.maximum(o, c)).all()
    assert (l <= np.minimum(o, c)).all()
    assert (l > 0).all()
    assert len(np.unique(paths.values[:, -1, 3])) > 1


def test_both_stages_learn_what_holds_on_bars_they_have_not_seen(trained: Path) -> None:
    """A uniform guess over 3+3 bits costs 6 log 2 = 4.16 nats; the direction alone is worth up to log 2 = .69."""
    record = _record(trained)["training"]["held_out_nats"]
    assert record["uniform"] == pytest.approx(6 * np.log(2), abs=1e-4)
    assert max(record["later"], record["unseen"]) < record["uniform"] - 0.5
    lines = {(line["stage"], line["step"]): line for line in _metrics(trained)}
    assert set(lines) == {(stage, step) for stage in ("tokenizer", "model") for step in (50, 100, 150)}
    tokenizer, model = lines["tokenizer", 150], lines["model", 150]
    assert tokenizer["later_fine_mse"] < tokenizer["later_coarse_mse"] < 0.75  # 1 is the error of a constant
    assert model["loss"] < record["uniform"] - 0.5
    assert abs(model["later_loss"] - record["later"]) < 0.2  # the first of the same held-out batches


def test_two_runs_of_one_config_give_the_same_bits_and_leave_torch_as_it_was(
    tmp_path: Path, write_config: Callable[..., Path], small_data: Path
) -> None:
    config = write_config(tmp_path, **DROPOUT)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    _train(config, tmp_path / "one", small_data)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    torch.rand(7)  # draws of the caller must not matter
    _train(config, tmp_path / "two", small_data)
    for name in NAMES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_run_that_is_killed_twice_and_resumed_ends_with_the_same_bits(
    tmp_path: Path, write_config: Callable[..., Path], small_data: Path
) -> None:
    """Dropout in both stages; saves every 2 of 8 steps, kills at an odd step of each stage."""
    config = write_config(tmp_path, tokenizer__steps=8, model__steps=8, **DROPOUT)
    _train(config, tmp_path / "whole", small_data)
    for stage, step in (("tokenizer", 5), ("model", 1), ("model", 7)):
        with pytest.raises(Killed):
            _train(config, tmp_path / "part", small_data, resume=True, progress=KilledAt(stage, step))
        assert not (tmp_path / "part" / "scenario_gen.json").exists()
    _train(config, tmp_path / "part", small_data, resume=True)
    for name in NAMES:
        whole, part = (load_file(tmp_path / run / name) for run in ("whole", "part"))
        assert whole.keys() == part.keys()
        assert all(torch.equal(tensor, part[key]) for key, tensor in whole.items()), name
    assert _record(tmp_path / "whole") == _record(tmp_path / "part")
    assert _metrics(tmp_path / "whole") == _metrics(tmp_path / "part")


def test_nothing_replaces_a_run_and_no_other_config_goes_on_with_it(
    trained: Path, write_config: Callable[..., Path], tmp_path: Path, small_data: Path
) -> None:
    config = write_config(tmp_path)
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError) as caught:
        _train(config, trained, small_data)
    assert caught.value.problem == f"{trained} already holds a training run"
    assert caught.value.fix == "pass --resume to go on with it, or --out with another folder"
    with pytest.raises(CheckpointError) as caught:
        _train(config, trained, small_data, resume=True)
    assert caught.value.problem == (f"{trained} was begun with another config: {trained / 'config.yaml'} differs")
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


def test_a_run_without_held_out_instruments_or_volume_is_possible(
    tmp_path: Path, write_config: Callable[..., Path], small_data: Path
) -> None:
    config = write_config(tmp_path, data__holdout_symbols=[], data__classes=["fx"])
    checkpoint = _train(config, tmp_path / "run", small_data)
    assert set(checkpoint.provenance["held_out_nats"]) == {"uniform", "later"}
    assert checkpoint.representation.std[4] == 1.0  # the feature of a volume that is never there
    assert open_checkpoint(str(tmp_path / "run")).representation == checkpoint.representation


def test_a_part_without_room_is_found_before_anything_is_trained(
    tmp_path: Path, write_config: Callable[..., Path], small_data: Path
) -> None:
    """A tenth of 600 bars is 60, less than a window of 64."""
    config = write_config(tmp_path, data__holdout_share=0.1)
    with pytest.raises(DataError, match="no series has 64 bars for the part 'later'"):
        _train(config, tmp_path / "run", small_data)
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_here_is_refused(
    tmp_path: Path, write_config: Callable[..., Path], small_data: Path
) -> None:
    with pytest.raises(SpecError, match="tiny: device is 'cuda:99', which this machine does not have"):
        _train(write_config(tmp_path, device="cuda:99"), tmp_path / "run", small_data)


def test_a_folder_that_cannot_be_made_is_refused(
    tmp_path: Path, write_config: Callable[..., Path], small_data: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="a file stands where a folder is needed"):
        _train(write_config(tmp_path), tmp_path / "file", small_data)


def test_the_command_trains_a_checkpoint_and_refuses_to_do_it_again(
    tmp_path: Path, write_config: Callable[..., Path], small_data: Path
) -> None:
    words = ["train", str(write_config(tmp_path)), "--data", str(small_data), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "training the tokenizer" in result.stderr
    assert open_checkpoint(str(tmp_path / "run")).name == "tiny"
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 2
    assert again.stderr.startswith(f"{tmp_path / 'run'} already holds a training run\n")


def test_the_command_meets_a_damaged_file_without_a_traceback(
    tmp_path: Path,
    write_config: Callable[..., Path],
    write_series: Callable[..., Path],
    walk: Callable[..., pd.DataFrame],
) -> None:
    data = write_series(tmp_path / "data", {("fx", "HELD", "1h"): walk(300, 1)})
    (data / "fx_1h__HELD.parquet").write_bytes(b"PAR1 and no more")
    words = ["train", str(write_config(tmp_path)), "--data", str(data), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert result.stderr.startswith("fx_1h__HELD.parquet cannot be read as Parquet: ")
    assert "Traceback" not in result.stderr
