"""Where to compute: the one place that turns a wanted device into one that is there."""

from __future__ import annotations

import torch

from scenario_gen.errors import SpecError


def choose_device(wanted: str | torch.device | None, setting: str = "device") -> torch.device:
    """Return a device of this machine.

    Args:
        wanted: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; ``auto`` or None takes a GPU where there is one.
        setting: what the user set, for the message.

    Raises:
        SpecError: this machine has no such device.
    """
    name, here = "auto" if wanted is None else str(wanted), devices_here()
    if name == "auto":
        return torch.device("cuda" if "cuda" in here else "cpu")
    if name not in here:
        raise SpecError(
            f"{setting} is {name!r}, which this machine does not have",
            expected=", ".join(["auto", *here]),
            fix=f"set {setting} to auto, or run where that device is",
        )
    return torch.device(name)


def devices_here() -> list[str]:
    """Return the devices of this machine by name: cpu, each GPU (``cuda`` is the current one), mps."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    cuda = ["cuda", *(f"cuda:{index}" for index in range(count))] if count else []
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]
