"""From what a spec calls a model to a loaded checkpoint: embedded, a folder, or the Hugging Face Hub.

A missing model is always an error that says what to do; no other model is ever taken in its place.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from scenario_gen.errors import CheckpointError
from scenario_gen.kronos.checkpoint import Checkpoint, load_checkpoint
from scenario_gen.kronos.fetch import download
from scenario_gen.kronos.registry import EMBEDDED, KNOWN_MODELS, KnownModel

__all__ = ["download", "locate", "open_checkpoint"]

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def open_checkpoint(model: str, tokenizer: str | None = None) -> Checkpoint:
    """Load the checkpoint that a spec names.

    Args:
        model: a known name (nano, mini, small, base), a folder, or ``organisation/name@revision`` on the Hub. A
            known name wins over a folder that is called the same; write ``./nano`` for the folder.
        tokenizer: folder or Hub name of the tokenizer, for a model that does not bring its own.

    Raises:
        CheckpointError: nothing of that name, or it cannot be fetched or read.
    """
    for known in KNOWN_MODELS:
        if model == known.name:
            return _open_known(known)
    if Path(model).expanduser().is_dir():
        folder = Path(model).expanduser()
        return load_checkpoint(folder, tokenizer_folder=locate(tokenizer) if tokenizer else None)
    if HUB_NAME.fullmatch(model):
        if tokenizer is None:
            raise CheckpointError(
                f"{model!r} is a model on the Hub, but no tokenizer is named",
                expected="generator.tokenizer, e.g. NeoQuasar/Kronos-Tokenizer-base",
                fix="add the tokenizer that the model was trained with",
            )
        folder, tokenizer_folder = locate(model), locate(tokenizer)
        checkpoint = load_checkpoint(folder, tokenizer_folder=tokenizer_folder, name=model)
        checkpoint.provenance.update(repository=model.partition("@")[0], revision=folder.name)
        if not Path(tokenizer).expanduser().is_dir():
            checkpoint.provenance.update(
                tokenizer_repository=tokenizer.partition("@")[0], tokenizer_revision=tokenizer_folder.name
            )
        return checkpoint
    names = [known.name for known in KNOWN_MODELS]
    near = difflib.get_close_matches(model, names, n=1)
    raise CheckpointError(
        f"no model {model!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
        expected=f"one of {', '.join(names)}, a folder, or organisation/name@revision on the Hub",
        fix="see 'scenario-gen models list'",
    )


def _open_known(known: KnownModel) -> Checkpoint:
    if not known.repository:
        return load_checkpoint(EMBEDDED / known.name, name=known.name)
    folder = download(known.repository, known.revision)
    tokenizer = download(known.tokenizer_repository, known.tokenizer_revision)
    checkpoint = load_checkpoint(
        folder, tokenizer_folder=tokenizer, name=known.name, max_context=known.context
    )
    checkpoint.provenance.update(
        repository=known.repository,
        revision=known.revision,
        tokenizer_repository=known.tokenizer_repository,
        tokenizer_revision=known.tokenizer_revision,
    )
    return checkpoint


def locate(name: str) -> Path:
    """Return the folder of a local path or of a Hub name, which is fetched where it is not cached.

    Raises:
        CheckpointError: it is neither, or it cannot be fetched.
    """
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    if not HUB_NAME.fullmatch(name):
        raise CheckpointError(
            f"{name!r} is neither a folder nor a name on the Hub", expected="organisation/name@revision"
        )
    repository, _, revision = name.partition("@")
    return download(repository, revision or "main")
