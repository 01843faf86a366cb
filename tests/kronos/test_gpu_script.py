"""The device check runs whole on a processor, with few packages, and each of its checks can fail."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from scenario_gen.kronos import Checkpoint
from scenario_gen.kronos.decode import FastDecoder
from scenario_gen.kronos.device import has_bfloat16
from scenario_gen.kronos.model_speed import Closeness, Size, inputs, random_checkpoint

CPU = torch.device("cpu")
BARE = """
import sys
from importlib.abc import MetaPathFinder
class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"pandas", "scipy", "yaml", "vectorbt", "huggingface_hub", "typer", "rich", "arch"}:
            raise ImportError(name)
sys.meta_path.insert(0, Missing())
from benchmarks.gpu import main
raise SystemExit(main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_dry_run_needs_four_packages_and_writes_every_check_and_row(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BARE, "--dry", "--models", "nano", "mini", "--out", str(tmp_path)]
    root = Path(__file__).parents[2]
    run = subprocess.run(command, check=False, cwd=root, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    whole = json.loads((tmp_path / "gpu.json").read_text())
    assert [(row["model"], row["paths"], row["measured_paths"], row["note"]) for row in whole["rows"]] == [
        (name, paths, paths, "") for paths in gpu.DRY.paths for name in ("nano", "mini")
    ]
    for row in whole["rows"]:
        fastest = min(row["steps_seconds"], row["replayed_seconds"]) + row["features_seconds"]
        assert row["path_bars_per_second"] == pytest.approx(row["paths"] * gpu.DRY.horizon / fastest)
        assert 0 < row["share_of_ceiling"] < 1
    verdicts = [check["passed"] for check in whole["checks"]]
    assert verdicts == [True] * 8 if has_bfloat16(CPU) else verdicts.count(None) == 1 and False not in verdicts
    page = (tmp_path / "gpu.md").read_text()
    assert page in run.stdout
    assert all(check["name"] in page for check in whole["checks"])


@pytest.mark.parametrize(("part", "factor"), [("model.norm", 1.01), ("tokenizer.embed", 2.0), ("tokenizer.head", 1.01)])
def test_a_checkpoint_that_is_not_upstreams_fails_its_numbers(
    monkeypatch: pytest.MonkeyPatch, part: str, factor: float
) -> None:
    golden = gpu.golden_checkpoint(CPU)
    with torch.no_grad():
        attrgetter(part)(golden).weight.mul_(factor)
    monkeypatch.setattr(gpu, "golden_checkpoint", lambda device: golden)
    assert gpu.upstreams_numbers(CPU).passed is False


def test_a_decoder_of_another_form_fails_the_comparison_with_the_naive_one(
    monkeypatch: pytest.MonkeyPatch, golden_checkpoint: Checkpoint
) -> None:
    def other(checkpoint: Checkpoint, dtype: str) -> FastDecoder:
        return FastDecoder(replace(checkpoint, dependency_form="train"), "float32")

    monkeypatch.setattr(gpu, "FastDecoder", other)
    assert gpu.fast_equals_naive(golden_checkpoint, gpu.DRY).passed is False


@pytest.mark.parametrize("near", [(0.0, 0.0, 1.0), (0.2, 0.1, 0.9), (0.01, 0.3, 0.9), (0.01, 0.1, 0.5)])
def test_bfloat16_that_is_float32_or_far_from_it_fails(
    monkeypatch: pytest.MonkeyPatch, golden_checkpoint: Checkpoint, near: tuple[float, float, float]
) -> None:
    monkeypatch.setattr(gpu, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(gpu, "agreement", lambda *_, **__: Closeness(512, near[2], near[0], near[1]))
    assert gpu.near_float32(golden_checkpoint, gpu.DRY).passed is False


def test_without_instructions_for_bfloat16_nothing_is_said_of_it(
    monkeypatch: pytest.MonkeyPatch, golden_checkpoint: Checkpoint
) -> None:
    monkeypatch.setattr(gpu, "has_bfloat16", lambda device: False)
    assert gpu.near_float32(golden_checkpoint, gpu.DRY).passed is None


@pytest.mark.parametrize("check", [gpu.same_bits_anywhere, gpu.replay_equals_plain])
def test_steps_that_remember_what_they_did_before_fail(
    monkeypatch: pytest.MonkeyPatch, golden_checkpoint: Checkpoint, check: Callable[..., gpu.Check]
) -> None:
    drawn, calls = FastDecoder.step, []

    def remembering(decoder: FastDecoder, *given: object) -> torch.Tensor:
        calls.append(given)
        tokens: torch.Tensor = drawn(decoder, *given)  # type: ignore[arg-type]  # passed on as they came
        return tokens.roll(1, -1) if gpu.DRY.horizon < len(calls) <= 2 * gpu.DRY.horizon else tokens

    assert check(golden_checkpoint, gpu.DRY, "float32").passed is True
    calls.clear()
    monkeypatch.setattr(FastDecoder, "step", remembering)
    assert check(golden_checkpoint, gpu.DRY, "float32").passed is False


@pytest.mark.parametrize(
    ("seconds_each", "budget", "expected"),
    [(0.001, 10, 10_000), (0.01, 10, 768), (0.01, 2, 0), (0.001, 10.001, 10_000)],
)
def test_paths_that_do_not_fit_the_time_are_cut_to_whole_chunks(
    seconds_each: float, budget: float, expected: int
) -> None:
    assert gpu.fitting(10_000, seconds_each, budget, chunk=256) == expected


def test_a_table_without_time_says_so_row_by_row() -> None:
    most = gpu.Ceiling({"float32": 1e12, "bfloat16": 1e12}, 1e11)
    rows = list(gpu.table(CPU, gpu.DRY, most, ends=0.0, models=["nano"]))
    assert [(row.paths, row.measured_paths) for row in rows] == [(paths, 0) for paths in gpu.DRY.paths]
    assert all(row.note for row in rows)


def test_the_ceiling_is_the_dearer_of_products_and_memory(golden_checkpoint: Checkpoint) -> None:
    products, memory = gpu.Ceiling({"float32": 1e9}, 1e18), gpu.Ceiling({"float32": 1e18}, 1e9)
    config, sizes = golden_checkpoint.model.config, gpu.DRY
    read = 2 * config.d_model * (config.n_layers + 1) * 4 * sizes.horizon / 2  # keys and values, float32
    assert memory.seconds_per_bar(golden_checkpoint, torch.float32, sizes) == pytest.approx(read / 1e9)
    flops = gpu.flops_parts(golden_checkpoint, sizes.context + sizes.horizon / 2)
    assert products.seconds_per_bar(golden_checkpoint, torch.float32, sizes) == pytest.approx(sum(flops) / 1e9)


def test_replayed_steps_serve_a_last_chunk_that_is_not_full() -> None:
    decoder = FastDecoder(random_checkpoint("mini", 512), "float32")
    size = Size(6, 16, 3)
    s1, s2, past, ahead, uniforms = inputs(decoder.checkpoint, size)
    steps = gpu.ReplayedSteps(decoder, (s1, s2, past, ahead), size)
    whole = steps(uniforms).clone()
    assert torch.equal(steps(uniforms[:4]), whole[:, :4])
