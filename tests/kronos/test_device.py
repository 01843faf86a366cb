"""One chooser of devices: generators, predictor and training ask it."""

from __future__ import annotations

import pytest
import torch

from scenario_gen.errors import SpecError
from scenario_gen.kronos.device import choose_device, devices_here


@pytest.mark.parametrize("wanted", ["xpu", "cuda:99", "cpu:1", "", "CUDA"])
def test_an_absent_device_is_refused_with_those_that_are_there(wanted: str) -> None:
    with pytest.raises(SpecError) as caught:
        choose_device(wanted, "generator.device")
    assert caught.value.problem == f"generator.device is {wanted!r}, which this machine does not have"
    assert caught.value.expected == ", ".join(["auto", *devices_here()])
    assert "set generator.device to auto" in caught.value.fix


@pytest.mark.parametrize("wanted", ["auto", None])
@pytest.mark.parametrize(("gpus", "taken"), [(0, "cpu"), (2, "cuda")])
def test_left_open_it_is_a_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, gpus: int, taken: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert choose_device(wanted) == torch.device(taken)


def test_the_second_of_two_gpus_is_there_and_the_third_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == choose_device(torch.device("cuda:1")) == torch.device("cuda", 1)
    with pytest.raises(SpecError, match="cuda:2"):
        choose_device("cuda:2")
