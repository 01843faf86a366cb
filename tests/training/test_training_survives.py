"""A training survives a full disk, and goes on with nothing but the data and the start that it was begun with."""

from __future__ import annotations

import copy
import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scenario_gen import files
from scenario_gen.errors import CheckpointError, StoreError
from scenario_gen.files import LOCK, locked
from scenario_gen.kronos.checkpoint import Checkpoint, save_checkpoint
from scenario_gen.progress import SilentProgress
from scenario_gen.report.drawing.charts import draw_learning
from scenario_gen.training import train

resource = pytest.importorskip("resource", reason="this system knows no limits of files")
WEIGHTS = ("model/model.safetensors", "tokenizer/model.safetensors")


class Killed(Exception):  # noqa: N818  # a kill is no error
    """The process ends here."""


class KilledAt(SilentProgress):
    """A progress whose process is killed once the model stage has done so many steps."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        done = 0

        def advance(steps: int) -> None:
            nonlocal done
            done += steps
            if "model" in title and done >= self._step:
                raise Killed

        yield advance


def _train(config: Path, out: Path, data: Path, *, resume: bool = True, progress: Any = None) -> Any:
    return train(config, out=out, data=data, resume=resume, progress=progress or SilentProgress())


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, write_config: Callable[..., Path]) -> Path:
    return write_config(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, config: Path, small_data: Path) -> Path:
    """A training that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    _train(config, folder, small_data, resume=False)
    return folder


def _is_as_whole(folder: Path, whole: Path) -> None:
    assert all((folder / name).read_bytes() == (whole / name).read_bytes() for name in WEIGHTS)
    assert {file.name for file in folder.rglob("*")} == {file.name for file in whole.rglob("*")}


def _partials(folder: Path) -> list[str]:
    return [file.name for file in folder.rglob("*") if "partial" in file.name or file.name == LOCK]


# --- A disk that is full ---


def test_every_write_may_meet_a_full_disk_and_the_training_goes_on(
    tmp_path: Path, config: Path, small_data: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, folder, failed = os.fsync, tmp_path / "run", 0
    for allowed in range(0, 40, 2):
        left = [allowed]

        def full(handle: int, left: list[int] = left) -> None:
            if not left[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            left[0] -= 1
            sync(handle)

        with monkeypatch.context() as patch:
            patch.setattr(files.os, "fsync", full)
            try:
                _train(config, folder, small_data)
            except CheckpointError as error:
                failed += 1
                assert "the disk is full" in error.problem
                assert error.fix.startswith("free some space, then give the same command with --resume")
                assert _partials(folder) == []
                continue
        break
    assert failed >= 6  # at what it was begun with, states, weights, settings, sums, in turn
    _is_as_whole(folder, whole)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_state_or_weights_that_do_not_fit_leave_nothing_half_written(
    tmp_path: Path, config: Path, small_data: Path, whole: Path, share: float
) -> None:
    """The system itself cuts files off at a share of the largest, in the middle of what torch and safetensors write."""
    largest = max(file.stat().st_size for file in whole.rglob("*") if file.is_file())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    folder = tmp_path / "run"
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * largest), hard))
    try:
        with pytest.raises(CheckpointError, match="the file is too large for this disk or for its limit") as caught:
            _train(config, folder, small_data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "--resume" in caught.value.fix
    assert _partials(folder) == []
    _train(config, folder, small_data)
    _is_as_whole(folder, whole)


def test_what_killed_saves_left_half_written_is_cleared_away_and_foreign_files_are_not(
    tmp_path: Path, config: Path, small_data: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        _train(config, folder, small_data, progress=KilledAt(3))
    ours = [folder / ".model.state.pt.71.partial", folder / "model" / ".model.safetensors.71.partial"]
    mine = [folder / ".mine.pt.71.partial", folder / "mine.state.partial"]
    for file in (*ours, *mine):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"half")
    _train(config, folder, small_data)
    assert [file.exists() for file in (*ours, *mine)] == [False, False, True, True]


def test_two_trainings_do_not_share_a_folder(tmp_path: Path, config: Path, small_data: Path) -> None:
    folder = tmp_path / "run"
    with locked(folder, "a training", ""), pytest.raises(StoreError) as caught:
        _train(config, folder, small_data)
    assert f"{folder} is in use: a training is at work in it (process {os.getpid()} on " in caught.value.problem
    assert "pass --out with another folder" in caught.value.fix
    assert not folder.exists()


# --- Data and start that changed between a kill and the resume ---


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, config: Path, small_data: Path) -> Path:
    """A training that was killed in its model stage."""
    folder = tmp_path_factory.mktemp("begun") / "run"
    with pytest.raises(Killed):
        _train(config, folder, small_data, progress=KilledAt(3))
    return folder


def _frames(data: Path) -> dict[tuple[str, str, str], pd.DataFrame]:
    rows = pd.read_csv(data / "manifest.csv").itertuples()
    return {(row.asset_class, row.symbol, row.frequency): pd.read_parquet(data / row.file) for row in rows}


def _one_price(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.copy()
    frame.loc[7, "high"] *= 1.001
    return frame


SEEN, QUIET = ("crypto", "SEEN", "1h"), ("fx", "QUIET", "1h")
CHANGES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "one price": (lambda f: f | {SEEN: _one_price(f[SEEN])}, "crypto crypto_1h__SEEN 1h has other bars"),
    "a bar less": (lambda f: f | {SEEN: f[SEEN].iloc[:-1]}, "SEEN 1h had 600 bars and has 599"),
    "an hour later": (
        lambda f: f | {SEEN: f[SEEN].assign(timestamp=f[SEEN]["timestamp"] + pd.Timedelta("1h"))},
        "SEEN 1h has other bars",
    ),
    "no volume": (lambda f: f | {SEEN: f[SEEN].assign(volume=np.nan)}, "SEEN 1h has other bars"),
    "a series less": (lambda f: {k: v for k, v in f.items() if k != QUIET}, "QUIET 1h is not there any more"),
    "a series more": (lambda f: f | {("fx", "NEW", "1h"): f[QUIET]}, "fx_1h__NEW 1h is new"),
    "another class": (
        lambda f: {("fx", *k[1:]) if k == SEEN else k: v for k, v in f.items()},
        "crypto crypto_1h__SEEN 1h is not there any more; fx fx_1h__SEEN 1h is new",
    ),
    "another order": (lambda f: dict(reversed(f.items())), "begun with other data: their order"),
}


@pytest.mark.parametrize("how", list(CHANGES))
def test_data_that_changed_since_the_training_was_begun_are_refused(
    tmp_path: Path, begun: Path, config: Path, small_data: Path, write_series: Callable[..., Path], how: str
) -> None:
    change, words = CHANGES[how]
    before = {file: file.read_bytes() for file in begun.rglob("*") if file.is_file()}
    data = write_series(tmp_path / "data", change(_frames(small_data)))
    with pytest.raises(CheckpointError) as caught:
        _train(config, begun, data)
    assert words in caught.value.problem
    assert caught.value.fix == "bring them back as they were, or pass --out with another folder to train anew"
    assert {file: file.read_bytes() for file in begun.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("content", [None, "", "[1]", '{"series": 3}', '{"series": [3, {"name": []}], "start": 1}'])
def test_a_record_of_the_data_that_is_missing_or_damaged_is_refused(
    tmp_path: Path, begun: Path, config: Path, small_data: Path, content: str | None
) -> None:
    record = begun / "begun.json"
    kept = record.read_text()
    record.unlink() if content is None else record.write_text(content)
    try:
        with pytest.raises(CheckpointError, match=r"begun\.json|begun with other data"):
            _train(config, begun, small_data)
    finally:
        record.write_text(kept)


def test_the_same_data_elsewhere_go_on_and_the_card_names_them(
    tmp_path: Path, config: Path, small_data: Path, whole: Path, write_series: Callable[..., Path]
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        _train(config, folder, small_data, progress=KilledAt(3))
    _train(config, folder, write_series(tmp_path / "moved", _frames(small_data)))
    _is_as_whole(folder, whole)
    recorded = json.loads((folder / "scenario_gen.json").read_text())["training"]["data_sha256"]
    assert f"data sha256 `{recorded}`" in (folder / "MODEL_CARD.md").read_text()
    other = _frames(small_data)
    _train(config, tmp_path / "other", write_series(tmp_path / "data", other | {SEEN: _one_price(other[SEEN])}))
    assert recorded not in (tmp_path / "other" / "MODEL_CARD.md").read_text()


def test_another_checkpoint_to_start_from_is_refused(
    tmp_path: Path, small_data: Path, write_finetuning: Callable[..., Path], tiny_checkpoint: Checkpoint
) -> None:
    save_checkpoint(tiny_checkpoint, tmp_path / "start")
    tuning = write_finetuning(tmp_path, tmp_path / "start")
    with pytest.raises(Killed):
        _train(tuning, tmp_path / "run", small_data, progress=KilledAt(3))
    volumes, tokenizer = tiny_checkpoint.cell_log_volume, copy.deepcopy(tiny_checkpoint.tokenizer)
    assert volumes is not None
    next(iter(tokenizer.state_dict().values())).add_(0.5)
    for other in (replace(tiny_checkpoint, cell_log_volume=volumes + 1), replace(tiny_checkpoint, tokenizer=tokenizer)):
        save_checkpoint(other, tmp_path / "start")
        with pytest.raises(CheckpointError, match="the checkpoint to start from is another"):
            _train(tuning, tmp_path / "run", small_data)
    save_checkpoint(tiny_checkpoint, tmp_path / "start")
    _train(tuning, tmp_path / "run", small_data)


# --- Metrics that were damaged ---

DAMAGED = ["no json", "[1]", "3", '{"step": 3}', '{"stage": "model"}', '{"stage": 1, "step": "x"}', "[" * 9999, "\x00"]
DAMAGED += ['{"stage": "model", "step": 1, "loss": "low"}']


def test_lines_of_the_metrics_that_cannot_be_read_are_told_and_left_out(
    tmp_path: Path, config: Path, small_data: Path, whole: Path
) -> None:
    folder, progress = tmp_path / "run", SilentProgress()
    with pytest.raises(Killed):
        _train(config, folder, small_data, progress=KilledAt(3))
    metrics = folder / "metrics.jsonl"
    kept = metrics.read_bytes()
    metrics.write_bytes("".join(f"{line}\n" for line in DAMAGED).encode() + b"\xff\xfe\n" + kept + b'{"stage": "mo')
    _train(config, folder, small_data, progress=progress)
    assert f"{metrics}: 10 lines cannot be read and are left out of the learning curves" in progress.notes
    assert [json.loads(line)["step"] for line in metrics.read_text().splitlines()] == [
        json.loads(line)["step"] for line in (whole / "metrics.jsonl").read_text().splitlines()
    ]
    draw_learning(folder)


def test_a_folder_in_the_metrics_place_is_no_traceback(tmp_path: Path, config: Path, small_data: Path) -> None:
    (tmp_path / "run" / "metrics.jsonl").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="a folder stands where a file is needed"):
        _train(config, tmp_path / "run", small_data)
