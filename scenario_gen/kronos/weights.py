"""One network on disk: ``config.json`` and ``model.safetensors`` in a folder, or on the Hub.

Owns that the configuration fits the tensors, each of them named where it does not. Knows neither of the two networks:
they inherit from :class:`Stored`. safetensors only: nothing here can run code from a file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from scenario_gen.errors import CheckpointError
from scenario_gen.files import write_bytes
from scenario_gen.kronos.config import ModelConfig, TokenizerConfig
from scenario_gen.kronos.extras import read_json
from scenario_gen.kronos.hub import locate

CONFIG, WEIGHTS = "config.json", "model.safetensors"
Config = TypeVar("Config", ModelConfig, TokenizerConfig)


class Stored(nn.Module, Generic[Config]):
    """A network with ``from_pretrained`` and ``save_pretrained``, as users of the published ones know them."""

    config_kind: ClassVar[type[ModelConfig] | type[TokenizerConfig]]
    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def from_pretrained(cls, name: str | Path, revision: str | None = None) -> Self:
        """Load from a folder or from ``organisation/name`` on the Hub, in eval mode.

        Args:
            name: the folder, or the Hub repository.
            revision: commit, tag or branch on the Hub; default ``main``. Pin a commit for work that must last.

        Raises:
            CheckpointError: it cannot be found, fetched or read.
        """
        return load_network(cls, locate(f"{name}@{revision}" if revision else str(name)))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors to a folder, which is made where it is missing.

        Raises:
            StoreError: the disk refuses.
        """
        save_network(self, Path(folder))


Network = TypeVar("Network", bound=Stored[Any])


def save_network(network: Stored[Any], folder: Path) -> None:
    """Write one network's ``config.json`` and ``model.safetensors``, each whole or not at all.

    Raises:
        StoreError: the disk refuses.
    """
    shapes = json.dumps(network.config.to_mapping(), indent=1) + "\n"
    write_bytes(folder / CONFIG, shapes.encode(), "folder")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_bytes(folder / WEIGHTS, save(tensors), "folder")


def load_network(kind: type[Network], folder: Path) -> Network:
    """Load one network from its ``config.json`` and ``model.safetensors``, in eval mode.

    Raises:
        CheckpointError: a file is missing or unreadable, or a tensor does not fit.
    """
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is not a folder",
            expected=f"a folder with {CONFIG} and {WEIGHTS}",
            fix="give the folder that holds 'model' and 'tokenizer', or set generator.tokenizer too",
        )
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder} has no {name}", expected=f"{CONFIG} and {WEIGHTS}", fix="complete the download"
            )
    config = kind.config_kind.from_mapping(read_json(folder / CONFIG), str(folder / CONFIG))
    tensors, where = _read_tensors(folder / WEIGHTS), str(folder / WEIGHTS)
    with torch.device("meta"):  # shapes without memory: a wrong configuration may ask for any amount
        _check_tensors(kind(config), tensors, where)
    network = kind(config)
    network.load_state_dict(tensors)
    network.eval()  # upstream does not force this; dropout at sampling ruins the paths
    network.requires_grad_(False)
    return network


def _check_tensors(network: nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Compare every name and shape with the network's, and see that every value is a number."""
    wanted = network.state_dict()
    missing = sorted(set(wanted) - set(tensors))
    extra = sorted(set(tensors) - set(wanted))
    shapes = [
        f"{name} is {tuple(tensors[name].shape)}, not {tuple(wanted[name].shape)}"
        for name in sorted(set(wanted) & set(tensors))
        if tensors[name].shape != wanted[name].shape
    ]
    faults = [f"missing: {', '.join(missing)}"] if missing else []
    faults += [f"not known here: {', '.join(extra)}"] if extra else []
    faults += [f"misshapen: {'; '.join(shapes)}"] if shapes else []
    if faults:
        raise CheckpointError(
            f"{where} does not fit its config.json: " + "; ".join(faults),
            expected=f"the {len(wanted)} tensors of a Kronos {type(network).__name__} of this configuration",
            fix="take config.json and model.safetensors from the same revision",
        )
    broken = [name for name, tensor in sorted(tensors.items()) if not bool(tensor.isfinite().all())]
    if broken:
        raise CheckpointError(
            f"{where} holds values that are no finite numbers: {', '.join(broken)}",
            expected="weights as they were trained",
            fix="download it again",
        )


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file: {error}", fix="download it again") from None
