"""Checkpoints: what a spec names becomes two networks that fit, and the published layout plus what our own add.

    FOLDER/model/config.json, model.safetensors
    FOLDER/tokenizer/config.json, model.safetensors
    FOLDER/scenario_gen.json      ours only: representation, dependency form, cell volumes, training record
    FOLDER/SHA256SUMS             ours only: hashes of the files above
    FOLDER/MODEL_CARD.md          ours only, for people

A published model is two such ``config.json`` + ``model.safetensors`` folders without the last three files; it then
has ``levels``, the decode form of the dependency layer and the window of the published model of its size.
Where a name points to is said in ``hub``, how one network is read and written in ``weights``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scenario_gen.errors import CheckpointError
from scenario_gen.files import sha256_of, write_bytes, write_sums
from scenario_gen.kronos.hub import Revision, fetched, find_source
from scenario_gen.kronos.model import DependencyForm, Kronos
from scenario_gen.kronos.registry import published_window
from scenario_gen.kronos.representation import Levels, Representation, representation_from
from scenario_gen.kronos.tokenizer import KronosTokenizer
from scenario_gen.kronos.weights import CONFIG, WEIGHTS, cell_volumes, load_network, read_extras, save_network

EXTRAS = "scenario_gen.json"
OWN_FILES = (*(f"{part}/{name}" for part in ("model", "tokenizer") for name in (CONFIG, WEIGHTS)), EXTRAS)
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


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint in the layout described at the top of this module.

    Raises:
        StoreError: the disk refuses.
    """
    volumes = checkpoint.cell_log_volume
    extras = {
        "name": checkpoint.name,
        "representation": checkpoint.representation.to_mapping(),
        "max_context": checkpoint.max_context,
        "dependency_form": checkpoint.dependency_form,
        "cell_log_volume": None if volumes is None else [round(float(v), 6) for v in volumes],
        "training": checkpoint.provenance,
    }
    save_network(checkpoint.model, folder / "model")
    save_network(checkpoint.tokenizer, folder / "tokenizer")
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
