"""``from_pretrained`` and ``save_pretrained`` for the two networks, as users of the published ones know them."""

from __future__ import annotations

from pathlib import Path
from typing import Self


class Pretrained:
    """Mixin of a network that lives in a folder with config.json and model.safetensors, or on the Hub."""

    @classmethod
    def from_pretrained(cls, name: str | Path, revision: str | None = None) -> Self:
        """Load from a folder or from ``organisation/name`` on the Hub, in eval mode.

        Args:
            name: the folder, or the Hub repository.
            revision: commit, tag or branch on the Hub; default ``main``. Pin a commit for work that must last.

        Raises:
            CheckpointError: it cannot be found, fetched or read.
        """
        from scenario_gen.kronos.checkpoint import load_network  # both import the networks
        from scenario_gen.kronos.hub import locate

        folder = locate(f"{name}@{revision}" if revision else str(name))
        return load_network(cls, folder)  # type: ignore[type-var]  # only the two networks inherit from this

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors to a folder, which is made where it is missing."""
        from scenario_gen.kronos.checkpoint import save_network

        save_network(self, Path(folder))  # type: ignore[arg-type]  # as above
