"""One stage: its learning rate by hand, its averaged weights, its resuming bit for bit, its end when lost."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scenario_gen.errors import CheckpointError
from scenario_gen.training.config import StageConfig
from scenario_gen.training.stage import Optimizer, StageFiles, WeightAverage, rate_share, run_stage


class Killed(Exception):  # noqa: N818  # a kill is no error
    """The process ends here."""


def test_the_share_of_the_peak_rate_by_hand() -> None:
    """Four steps of warm-up, then eight of a cosine from 1 to .1: .1 + .45 x 1.7071 at a quarter, .55 half way."""
    config = StageConfig(steps=12, warmup=4)
    shares = [rate_share(config, step) for step in range(13)]
    np.testing.assert_allclose(shares[:5], [0.25, 0.5, 0.75, 1.0, 1.0], rtol=1e-12)
    np.testing.assert_allclose(shares[6], 0.1 + 0.45 * (1 + 2**-0.5), rtol=1e-12)
    np.testing.assert_allclose([shares[8], shares[12]], [0.55, 0.1], rtol=1e-12)
    assert rate_share(config, 99) == pytest.approx(0.1)
    assert rate_share(StageConfig(steps=3, warmup=0), 0) == 1.0
    assert rate_share(StageConfig(steps=3, warmup=0, final_rate=0.0), 3) == pytest.approx(0.0)


def test_a_training_that_ends_early_follows_the_longer_cosine_and_then_a_straight_line() -> None:
    short = StageConfig(steps=60, cosine_steps=100, cool_from=40, warmup=10, final_rate=0.1)
    long = StageConfig(steps=100, warmup=10, final_rate=0.1)
    assert [rate_share(short, step) for step in range(41)] == [rate_share(long, step) for step in range(41)]
    falling = np.diff([rate_share(short, step) for step in range(40, 61)])
    assert falling == pytest.approx([(0.1 - rate_share(long, 40)) / 20] * 20)
    assert rate_share(short, 60) == pytest.approx(0.1)


def test_muon_takes_the_matrices_of_blocks_and_adamw_all_else() -> None:
    """Its first step moves a matrix by an orthogonal one: every singular value of the change is near the rate.

    Five Newton-Schulz iterations bring singular values into .7 .. 1.2 (Jordan 2024), not to 1 exactly.
    """
    config = StageConfig(steps=10, optimizer="muon", muon_rate=0.5, learning_rate=0.25, warmup=0, weight_decay=0)
    network = nn.ModuleDict({"encoder": nn.Linear(8, 8, bias=False), "head": nn.Linear(8, 8, bias=False)})
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = Optimizer(network, config)
    torch.manual_seed(3)
    for p in network.parameters():
        p.grad = torch.randn(8, 8)
    optimizer.step(0)
    moved = {name: p.detach() - before[name] for name, p in network.named_parameters()}
    singular = torch.linalg.svdvals(moved["encoder.weight"]) / 0.5
    assert float(singular.min()) > 0.5
    assert float(singular.max()) < 1.3
    # Adam's first step is the rate times the sign of the gradient
    torch.testing.assert_close(moved["head.weight"].abs(), torch.full((8, 8), 0.25), atol=1e-4, rtol=0)
    assert all(p.grad is None for p in network.parameters())


def test_averaged_weights_by_hand() -> None:
    """Weights 1, 2, 4 after a start of 0: decays 1/10, 2/11, then the configured 1/5, as 3/12 is beyond it."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = WeightAverage(network, decay=0.2)
    expected, seen = 0.0, []
    for step, (weight, decay) in enumerate(((1.0, 0.1), (2.0, 2 / 11), (4.0, 0.2))):
        nn.init.constant_(network.weight, weight)
        average.update(network, step)
        expected = decay * expected + (1 - decay) * weight
        seen.append(float(average.values["weight"]))
        assert seen[-1] == pytest.approx(expected, rel=1e-6)
    assert seen[0] == pytest.approx(0.9)
    average.copy_to(network)
    assert float(network.weight.detach()) == pytest.approx(expected, rel=1e-6)


def _network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        parts = {"0": nn.Linear(3, 8), "encoder": nn.Linear(8, 8), "drop": nn.Dropout(0.5), "out": nn.Linear(8, 1)}
        return nn.Sequential(OrderedDict(parts)).train()


def _run(
    network: nn.Module, files: StageFiles, *, resume: bool = False, kill_at: int | None = None, **config: Any
) -> list[float]:
    """Fit a sum of three inputs; return the losses of the steps that were done."""
    settings = StageConfig(**{"steps": 120, "learning_rate": 0.02, "warmup": 5, "save_every": 7} | config)
    done, seen = 0, []

    def losses(step: int) -> dict[str, Tensor]:
        x = torch.from_numpy(np.random.default_rng(step).normal(size=(16, 3)).astype(np.float32))
        loss = (network(x)[:, 0] - x.sum(1)).square().mean()
        seen.append(float(loss.detach()))
        return {"loss": loss}

    def advance(steps: int) -> None:
        nonlocal done
        done += steps
        if done == kill_at:
            raise Killed

    def validate() -> dict[str, float]:
        with torch.no_grad():
            return {"held_out": float(network(torch.ones(4, 3)).std())}

    with torch.random.fork_rng():
        torch.manual_seed(9)
        run_stage("part", network, settings, losses, validate, files, resume=resume, advance=advance)
    return seen


@pytest.fixture
def files(tmp_path: Path) -> StageFiles:
    return StageFiles.under(tmp_path / "run", "part")


def _lines(files: StageFiles) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files.metrics.read_text().splitlines()]


def test_the_loss_falls_and_reports_are_written(files: StageFiles) -> None:
    """From the variance of a sum of three standard normals, 3 at the start, to under half of it, dropout and all."""
    losses = _run(_network(), files, validate_every=60)
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:5])
    lines = _lines(files)
    assert [line["step"] for line in lines] == [50, 60, 100, 120]
    assert [round(line["loss"], 5) for line in lines] == [round(losses[i], 5) for i in (49, 59, 99, 119)]
    assert ["held_out" in line for line in lines] == [False, True, False, True]


@pytest.mark.parametrize(("kill_at", "optimizer"), [(1, "adamw"), (8, "adamw"), (55, "muon"), (119, "adamw")])
def test_a_killed_and_resumed_stage_ends_with_the_same_bits(
    files: StageFiles, tmp_path: Path, kill_at: int, optimizer: str
) -> None:
    """With dropout, whose draws must go on where they were; saved every 7 steps, killed between two saves or
    just before one."""
    whole, part = _network(), _network()
    straight = _run(whole, StageFiles.under(tmp_path / "whole", "part"), optimizer=optimizer)
    with pytest.raises(Killed):
        _run(part, files, kill_at=kill_at, optimizer=optimizer)
    start = (kill_at - 1) // 7 * 7  # a step is told before it is saved
    fresh = _network()
    if start:
        nn.init.zeros_(fresh[0].weight)  # type: ignore[index,arg-type]  # initial weights must not matter any more
    resumed = _run(fresh, files, resume=True, optimizer=optimizer)
    assert resumed == straight[start:]
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, fresh.state_dict()[name]), name


def test_a_finished_stage_is_not_trained_again(files: StageFiles) -> None:
    first, second = _network(), _network()
    _run(first, files)
    assert _run(second, files, resume=True) == []
    assert torch.equal(first.state_dict()["0.weight"], second.state_dict()["0.weight"])


def test_steps_that_are_done_again_are_reported_once(files: StageFiles) -> None:
    """Killed at step 55, the last save is of step 49: the line of step 50 is written again, in its old one's place."""
    with pytest.raises(Killed):
        _run(_network(), files, kill_at=55)
    with files.metrics.open("a") as stream:
        stream.write('{"stage": "part", "st')  # the kill came in the middle of a line
    assert [json.loads(text)["step"] for text in files.metrics.read_text().splitlines()[:-1]] == [50]
    _run(_network(), files, resume=True)
    assert [line["step"] for line in _lines(files)] == [50, 100, 120]


def test_validation_sees_no_dropout_and_changes_nothing(files: StageFiles, tmp_path: Path) -> None:
    """The same input four times has no spread without dropout; weights are those of a run that judged less often."""
    often, seldom = _network(), _network()
    _run(often, files, validate_every=50)
    _run(seldom, StageFiles.under(tmp_path / "seldom", "part"), validate_every=1000)
    assert [line["held_out"] for line in _lines(files)] == [0.0, 0.0, 0.0]
    assert torch.equal(often.state_dict()["0.weight"], seldom.state_dict()["0.weight"])


def test_a_stage_whose_loss_is_lost_stops_and_keeps_its_last_good_state(files: StageFiles) -> None:
    network = _network()
    config = StageConfig(steps=20, save_every=2)

    def losses(step: int) -> dict[str, Tensor]:
        return {"loss": network(torch.ones(2, 3)).sum() * (np.nan if step == 5 else 1.0)}

    with pytest.raises(CheckpointError) as caught:
        run_stage("part", network, config, losses, dict, files, resume=False, advance=lambda _: None)
    assert caught.value.problem == "the part stage: loss or gradient is not finite at step 6"
    state = torch.load(files.state, weights_only=True)
    assert state["step"] == 4
    assert all(bool(torch.isfinite(x).all()) for x in state["network"].values())


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"not a state"])
def test_a_torn_state_is_an_error_that_says_what_to_do(files: StageFiles, damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Killed):
        _run(_network(), files, kill_at=9)
    files.state.write_bytes(damage(files.state.read_bytes()))
    with pytest.raises(CheckpointError) as caught:
        _run(_network(), files, resume=True)
    assert f"{files.state} cannot be resumed" in caught.value.problem
    assert caught.value.fix == "delete it to start the stage again, or train without --resume"


def test_the_state_of_another_network_is_refused(files: StageFiles) -> None:
    with pytest.raises(Killed):
        _run(_network(), files, kill_at=9)
    with pytest.raises(CheckpointError, match="cannot be resumed"):
        _run(nn.Linear(3, 1), files, resume=True)
