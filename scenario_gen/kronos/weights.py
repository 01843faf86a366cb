"""One network on disk: ``config.json`` and ``model.safetensors`` in a folder, or on the Hub, and what ours add to it.

Owns that the configuration fits the tensors, each of them named where it does not, and the kinds of the values of
``scenario_gen.json``: anybody may have edited that file or written it half, and what is wrong is named by its place.
Knows neither of the two networks: they inherit from :class:`Stored`. safetensors only: nothing here can run code from
a file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from scenario_gen.errors import CheckpointError
from scenario_gen.files import write_bytes
from scenario_gen.kronos.config import ModelConfig, TokenizerConfig, is_number
from scenario_gen.kronos.hub import locate

MIN_WINDOW, MAX_WINDOW = 8, 65_536  # bars; the shortest still leaves a context when a segment is cut off
MAX_JSON = 2**26  # bytes; the cell volumes of 20 bits are 12 MB
MAX_FAULTS = 5  # shown


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Stretch(_Part):
    """A row of ``trained_on``."""

    last: str = Field(max_length=40)
    first: str = ""
    frequency: str = ""
    bars: int = 0
    series: int = 0
    held_out_series: int = 0


class _Origin(_Part):
    """What a checkpoint was trained on from."""

    name: str = Field("", max_length=200)
    repository: str = ""
    revision: str = ""
    trained_on: list[_Stretch] = []


class _Mix(_Part):
    """Bars that were mixed in; the key ``from`` is a word of Python."""

    share: float


class _Record(_Origin):
    """The training record."""

    init: _Origin = _Origin()
    mix: list[_Mix] = []
    stages: list[str] = []
    held_out_nats: dict[str, float] = {}
    held_out_nats_before: dict[str, float] = {}
    tokenizer_repository: str = ""
    tokenizer_revision: str = ""
    config_sha256: str = ""
    tokenizer_cpu_seconds: float = 0.0
    model_cpu_seconds: float = 0.0


class _Extras(_Part):
    """The whole file."""

    name: str = Field("", max_length=200)
    representation: dict[str, Any]
    max_context: int = Field(MIN_WINDOW, ge=MIN_WINDOW, le=MAX_WINDOW)
    dependency_form: Literal["decode", "train"] = "decode"
    cell_log_volume: list[Any] | None = None
    training: _Record = _Record()


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        CheckpointError: it cannot be read, is too large or too deep, or holds something else.
    """
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError(f"it has more than {MAX_JSON // 2**20} MB")
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}", expected="the JSON file of a checkpoint", fix="download it again"
        ) from None
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path} holds a {type(raw).__name__}", expected="a JSON object", fix="download it again")
    return raw


def read_extras(path: Path) -> dict[str, Any]:
    """Return what our own checkpoints add; nothing for a published one, which has no such file.

    Raises:
        CheckpointError: a value is missing or of another kind; all of them are named.
    """
    if not path.exists():
        return {}
    raw = read_json(path)
    try:
        _Extras.model_validate(raw)
    except ValidationError as error:
        faults = [_fault(detail["loc"], detail["msg"]) for detail in error.errors(include_url=False)]
        more = f"; and {len(faults) - MAX_FAULTS} more" if len(faults) > MAX_FAULTS else ""
        raise CheckpointError(
            f"{path} has no usable {'; '.join(faults[:MAX_FAULTS])}{more}",
            expected=f"what was written with the weights; max_context is from {MIN_WINDOW} to {MAX_WINDOW} bars",
            fix="download it again, or train the checkpoint anew",
        ) from None
    return raw


def _fault(where: tuple[int | str, ...], problem: str) -> str:
    return f"{'.'.join(map(str, where))[:100]} ({problem})"


def cell_volumes(raw: list[Any], bits: int, path: Path) -> Tensor:
    """Return log volumes of the cells of so many bits, float32 [2^bits].

    Raises:
        CheckpointError: there are more or fewer, or one is no finite number in float32.
    """
    cells = 2**bits
    if len(raw) != cells or not all(map(is_number, raw)):
        raise CheckpointError(
            f"{path} has no usable cell_log_volume: {len(raw)} cell volumes",
            expected=f"{cells} finite numbers",
            fix="download it again, or train the checkpoint anew",
        )
    return torch.tensor(raw, dtype=torch.float32)


# --- A network and its files ---


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


def save_network(network: Stored[Any], folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write one network's ``config.json`` and ``model.safetensors``, each whole or not at all.

    Args:
        network: whose weights.
        folder: made where it is missing.
        dtype: what they are stored as; ``load_network`` makes float32 of it.

    Raises:
        StoreError: the disk refuses.
    """
    shapes = json.dumps(network.config.to_mapping(), indent=1) + "\n"
    write_bytes(folder / CONFIG, shapes.encode(), "folder")
    tensors = {
        name: tensor.detach().cpu().to(dtype if tensor.is_floating_point() else tensor.dtype).contiguous()
        for name, tensor in network.state_dict().items()
    }
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
    with torch.device("meta"), _Unfilled():  # shapes without memory: a wrong configuration may ask for any amount
        network = kind(config)
    _check_tensors(network, tensors, where)
    wanted = network.state_dict()
    network.load_state_dict({name: one.to(wanted[name].dtype, copy=True) for name, one in tensors.items()}, assign=True)
    network.eval()  # upstream does not force this; dropout at sampling ruins the paths
    network.requires_grad_(False)
    return network


class _Unfilled(TorchFunctionMode):
    """Leaves out the initial weights: there is nothing to fill, and torch imports its compiler to find that out."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        return given["tensor"] if func is nn.init.normal_ else func(*args, **given)


def made(make: Callable[[], Tensor], *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return a table that is computed, not learned; where only shapes are wanted one of that shape without memory.

    Arithmetic on the meta device makes torch import its compiler, which takes a second of every command.
    """
    return torch.empty(shape, dtype=dtype) if torch.get_default_device().type == "meta" else make()


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
