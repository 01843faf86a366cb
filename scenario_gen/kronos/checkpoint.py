"""Checkpoints: what a spec names becomes two networks that fit, and the published layout plus what our own add.

    FOLDER/model/config.json, model.safetensors
    FOLDER/tokenizer/config.json, model.safetensors
    FOLDER/scenario_gen.json      ours only: representation, dependency form, cell volumes, training record
    FOLDER/SHA256SUMS             ours only: hashes of the files above
    FOLDER/MODEL_CARD.md          ours only, for people

A published model is two such ``config.json`` + ``model.safetensors`` folders without the last three files; it then
has ``levels``, the decode form of the dependency layer and the window of the published model of its size.
Where a name points to is said in ``hub``, how one network is read and written in ``weights``.

Below: are the weights on this machine whole? Hashes, tensor names, shapes and parameter counts; no network is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scenario_gen.errors import CheckpointError
from scenario_gen.files import (
    SUMS,
    is_hash,
    mismatch,
    read_sums,
    recorded_by_the_hub,
    sha256_of,
    write_bytes,
    write_sums,
)
from scenario_gen.kronos.hub import Place, Revision, fetched, find_source, places_of
from scenario_gen.kronos.model import DependencyForm, Kronos
from scenario_gen.kronos.registry import (
    NEEDED_FILES,
    KnownModel,
    cached_commit,
    known_models,
    published_as,
    published_window,
    snapshot_folder,
)
from scenario_gen.kronos.representation import Levels, Representation, representation_from
from scenario_gen.kronos.tokenizer import KronosTokenizer
from scenario_gen.kronos.weights import (
    CONFIG,
    WEIGHTS,
    cell_volumes,
    load_network,
    read_extras,
    read_json,
    save_network,
)

EXTRAS = "scenario_gen.json"
OWN_FILES = (*(f"{part}/{name}" for part in ("model", "tokenizer") for name in (CONFIG, WEIGHTS)), EXTRAS)
TAKEN = ("model_sha256", "tokenizer_sha256")  # of the weights, taken whenever they are read
DEFAULT_WINDOW = 512  # bars; of the published models but mini


@dataclass(frozen=True)
class Checkpoint:
    """A model that is ready to sample."""

    name: str  # what the spec called it
    model: Kronos  # in eval mode
    tokenizer: KronosTokenizer  # in eval mode
    representation: Representation  # candles to features and back
    max_context: int = 512  # bars that the window holds
    dependency_form: DependencyForm = "decode"  # which form of the dependency layer to sample with
    # log volume of each s1 cell in feature space, float32 [2^s1_bits]; None for published checkpoints, whose
    # temperature divides the logits and nothing else
    cell_log_volume: Tensor | None = None
    # where it came from: folder or Hub revision, sha256 of both weight files, training record
    provenance: dict[str, Any] = field(default_factory=dict)

    def on(self, device: torch.device) -> Checkpoint:
        """Return the checkpoint on a device; the networks themselves are moved."""
        volumes = self.cell_log_volume
        return replace(
            self,
            model=self.model.to(device),
            tokenizer=self.tokenizer.to(device),
            cell_log_volume=None if volumes is None else volumes.to(device),
        )

    @property
    def settings_sha256(self) -> str:
        """Hash of everything but the weights that decides paths: shapes, units, window, form, cell volumes."""
        volumes = self.cell_log_volume
        settings = [
            self.model.config.to_mapping(),
            self.tokenizer.config.to_mapping(),
            self.representation.to_mapping(),
            self.max_context,
            self.dependency_form,
            None if volumes is None else volumes.tolist(),
        ]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def open_checkpoint(model: str, tokenizer: str | None = None) -> Checkpoint:
    """Load the checkpoint that a spec names.

    Args:
        model: a known name (nano, mini, small, base), a folder, or ``organisation/name@revision`` on the Hub. A
            known name wins over a folder that is called the same; write ``./nano`` for the folder.
        tokenizer: folder or Hub name of the tokenizer, for a model that does not bring its own.

    Raises:
        CheckpointError: nothing of that name, or it cannot be fetched or read.
    """
    source = find_source(model, tokenizer)
    folder = fetched(source.model)
    tokenizer_folder = None if source.tokenizer is None else fetched(source.tokenizer)
    checkpoint = load_checkpoint(
        folder,
        tokenizer_folder=tokenizer_folder,
        name="" if isinstance(source.model, Path) and not source.known else source.name,
    )
    for prefix, place, where in (("", source.model, folder), ("tokenizer_", source.tokenizer, tokenizer_folder)):
        if isinstance(place, Revision) and where is not None:
            checkpoint.provenance[f"{prefix}repository"] = place.repository
            checkpoint.provenance[f"{prefix}revision"] = where.name
    return checkpoint


def load_checkpoint(folder: Path, *, tokenizer_folder: Path | None = None, name: str = "") -> Checkpoint:
    """Load a checkpoint folder, or a published model folder together with its tokenizer folder.

    Raises:
        CheckpointError: a file is missing or unreadable, or a tensor is missing, extra or misshapen (all named).
    """
    model_folder = folder if tokenizer_folder else folder / "model"
    tokenizer_folder = tokenizer_folder or folder / "tokenizer"
    model = load_network(Kronos, model_folder)
    tokenizer = load_network(KronosTokenizer, tokenizer_folder)
    _check_pair(model, tokenizer, folder)
    extras = read_extras(folder / EXTRAS)
    volumes = extras.get("cell_log_volume")
    return Checkpoint(
        name=name or str(extras.get("name", folder.name)),
        model=model,
        tokenizer=tokenizer,
        representation=_representation(extras, folder, tokenizer),
        max_context=extras.get("max_context") or _usual_window(model),
        dependency_form="train" if extras.get("dependency_form") == "train" else "decode",
        cell_log_volume=None if volumes is None else cell_volumes(volumes, model.config.s1_bits, folder / EXTRAS),
        provenance={
            "model_sha256": sha256_of(model_folder / WEIGHTS),
            "tokenizer_sha256": sha256_of(tokenizer_folder / WEIGHTS),
            **extras.get("training", {}),
        },
    )


def save_checkpoint(checkpoint: Checkpoint, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a checkpoint in the layout described at the top of this module.

    Args:
        checkpoint: what to write.
        folder: made where it is missing.
        dtype: what weights are stored as: float16 halves the files, and the folder is then another model than the one
            in memory, by up to 5e-4 of each weight.

    Raises:
        StoreError: the disk refuses.
    """
    volumes = checkpoint.cell_log_volume
    record = {name: told for name, told in checkpoint.provenance.items() if name not in TAKEN}  # of other files
    extras = {
        "name": checkpoint.name,
        "representation": checkpoint.representation.to_mapping(),
        "max_context": checkpoint.max_context,
        "dependency_form": checkpoint.dependency_form,
        "cell_log_volume": None if volumes is None else [round(float(v), 6) for v in volumes],
        "training": record | {"weights": str(dtype).removeprefix("torch.")},
    }
    save_network(checkpoint.model, folder / "model", dtype)
    save_network(checkpoint.tokenizer, folder / "tokenizer", dtype)
    write_bytes(folder / EXTRAS, (json.dumps(extras, indent=1) + "\n").encode(), "folder")
    write_sums(folder, OWN_FILES)


def _check_pair(model: Kronos, tokenizer: KronosTokenizer, folder: Path) -> None:
    ours, theirs = model.config, tokenizer.config
    if (ours.s1_bits, ours.s2_bits) != (theirs.s1_bits, theirs.s2_bits):
        raise CheckpointError(
            f"{folder}: the model has {ours.s1_bits}+{ours.s2_bits} bits, "
            f"the tokenizer {theirs.s1_bits}+{theirs.s2_bits}",
            expected="a model and a tokenizer that were trained together",
            fix="see 'scenario-gen models list' for the tokenizer of each published model",
        )


def _representation(extras: dict[str, Any], folder: Path, tokenizer: KronosTokenizer) -> Representation:
    representation = representation_from(extras["representation"], str(folder / EXTRAS)) if extras else Levels()
    if representation.n_features != tokenizer.config.d_in:
        raise CheckpointError(
            f"{folder}: the representation {representation.kind!r} has {representation.n_features} features, "
            f"the tokenizer takes {tokenizer.config.d_in}",
            expected=f"{EXTRAS} written together with these weights",
        )
    return representation


def _usual_window(model: Kronos) -> int:
    return published_window(sum(p.numel() for p in model.parameters())) or DEFAULT_WINDOW


# --- Are the weights on this machine whole? Hashes, tensor names, shapes and parameter counts; no network is used ---


PULL = "run 'scenario-gen models pull {}' to fetch it"
INSTALL_AGAIN = "install scenario-gen again"
TAKE_AGAIN = "take the folder again from where it came"


@dataclass(frozen=True)
class NetworkFacts:
    """One network whose tensors were compared with its configuration, all by name and shape."""

    kind: str  # "model" or "tokenizer"
    tensors: int
    parameters: int


@dataclass(frozen=True)
class Verified:
    """A model that was found whole."""

    name: str  # what the user called it
    hashed: int  # files whose bytes have their recorded hash
    unrecorded: int  # files of which no hash is recorded, such as those of a folder that somebody copied
    networks: tuple[NetworkFacts, ...]  # what was loaded


@dataclass(frozen=True)
class _Subject:
    """What is to be checked: files with the hashes that they should have, and the folders to load them from."""

    folders: list[Path]  # one that holds model and tokenizer, or one for each network
    recorded: dict[Path, str]
    known: KnownModel | None
    mend: str


def verify_model(name: str, tokenizer: str | None = None) -> Verified:
    """Check a known model, a folder, or a cached Hub revision of a model or a tokenizer.

    Args:
        name: as in a spec, or the Hub name of a tokenizer.
        tokenizer: folder or Hub name of the tokenizer to check together with a model.

    Raises:
        CheckpointError: it is not here, files are missing or broken (all named), or a tensor does not fit.
    """
    subject = _subject(name, tokenizer)
    found = {path: mismatch(path, recorded) for path, recorded in subject.recorded.items()}
    if broken := [f"{path}: {problem}" for path, problem in found.items() if problem]:
        raise CheckpointError(f"{name} is broken: {'; '.join(broken)}", expected="the recorded bytes", fix=subject.mend)
    try:
        networks = _load(subject.folders)
    except CheckpointError as error:
        raise CheckpointError(error.problem, expected=error.expected, fix=subject.mend) from None
    facts = tuple(_facts(network) for network in networks)
    if subject.known is not None:
        _check_sizes(name, facts, subject.known, subject.mend)
    hashed = sum(is_hash(recorded) for recorded in subject.recorded.values())
    return Verified(name, hashed, len(found) - hashed, facts)


def is_here(known: KnownModel) -> bool:
    """Say whether anything of a known model's own is on this machine, whole or not."""
    return not known.repository or snapshot_folder(known.repository, known.revision).is_dir()


def _subject(name: str, tokenizer: str | None) -> _Subject:
    places = places_of(name, tokenizer)
    known = _known(name, places[0])
    folders = [place if isinstance(place, Path) else _cached(place, name) for place in places]
    recorded: dict[Path, str] = {}
    for place, folder in zip(places, folders, strict=True):
        recorded |= _recorded_by_the_hub(folder) if isinstance(place, Revision) else _recorded_in(folder, known)
    mend = PULL.format(name) if isinstance(places[0], Revision) else TAKE_AGAIN
    return _Subject(folders, recorded, known, INSTALL_AGAIN if known and not known.repository else mend)


def _known(name: str, place: Place) -> KnownModel | None:
    if isinstance(place, Revision):
        return published_as(place.repository)
    return next((known for known in known_models() if known.name == name), None)


def _cached(place: Revision, name: str) -> Path:
    """Return the folder of a revision in the Hub's cache, which must be whole."""
    commit = cached_commit(place.repository, place.revision)
    if commit is not None:
        return snapshot_folder(place.repository, commit)
    folder = snapshot_folder(place.repository, place.revision)
    missing = [each for each in NEEDED_FILES if not (folder / each).is_file()]
    what = f"is not whole on this machine: no {', no '.join(missing)}" if folder.is_dir() else "is not on this machine"
    raise CheckpointError(f"{place} {what}", expected=" and ".join(NEEDED_FILES), fix=PULL.format(name))


def _recorded_by_the_hub(folder: Path) -> dict[Path, str]:
    return {folder / name: recorded_by_the_hub(folder / name) for name in NEEDED_FILES}


def _recorded_in(folder: Path, known: KnownModel | None) -> dict[Path, str]:
    """Return the files of a checkpoint folder with their hashes in its SHA256SUMS, "" where it has none."""
    sums = read_sums(folder)
    if known is not None and not sums:
        raise CheckpointError(f"{folder} has no {SUMS}", expected="the whole package", fix=INSTALL_AGAIN)
    names = NEEDED_FILES if _is_one_network(folder) else OWN_FILES
    there = [name for name in names if (folder / name).is_file()]
    missing = [name for name in names if name not in there and (name in sums or name != EXTRAS)]
    if missing:
        raise CheckpointError(
            f"{folder} has no {', no '.join(missing)}",
            expected=f"{', '.join(OWN_FILES)}, or {' and '.join(NEEDED_FILES)} of one network",
            fix=INSTALL_AGAIN if known else TAKE_AGAIN,
        )
    return {folder / name: sums.get(name, "") for name in there}


def _is_one_network(folder: Path) -> bool:
    return (folder / CONFIG).is_file()


def _load(folders: list[Path]) -> list[Kronos | KronosTokenizer]:
    """Load what is to be checked: every tensor's name and shape is compared on the way."""
    if len(folders) == 1 and _is_one_network(folders[0]):
        is_tokenizer = "n_enc_layers" in read_json(folders[0] / CONFIG)
        return [load_network(KronosTokenizer, folders[0]) if is_tokenizer else load_network(Kronos, folders[0])]
    both = load_checkpoint(folders[0], tokenizer_folder=folders[1] if len(folders) > 1 else None)
    return [both.model, both.tokenizer]


def _facts(network: Kronos | KronosTokenizer) -> NetworkFacts:
    kind = "model" if isinstance(network, Kronos) else "tokenizer"
    return NetworkFacts(kind, len(network.state_dict()), sum(p.numel() for p in network.parameters()))


def _check_sizes(name: str, networks: Iterable[NetworkFacts], known: KnownModel, mend: str) -> None:
    expected = {"model": known.parameters, "tokenizer": known.tokenizer_parameters}
    for facts in networks:
        if facts.parameters != expected[facts.kind]:
            raise CheckpointError(
                f"{name}: the {facts.kind} has {facts.parameters:,} parameters",
                expected=f"{expected[facts.kind]:,}",
                fix=mend,
            )
