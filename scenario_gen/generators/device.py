"""Where to sample: a GPU where there is one."""

from __future__ import annotations

import torch

from scenario_gen.errors import SpecError


def choose_device(wanted: str) -> str:
    """Return the device to sample on: ``auto`` takes a GPU where there is one.

    Raises:
        SpecError: the device is not there.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = wanted.split(":", maxsplit=1)[0]
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(kind, False):
        raise SpecError(
            f"generator.device is {wanted!r}, which this machine does not have",
            expected=", ".join(["auto", *(name for name, is_there in there.items() if is_there)]),
            fix="set device: auto, or run where that device is",
        )
    return wanted
