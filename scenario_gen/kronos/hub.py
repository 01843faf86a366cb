"""From what a spec calls a model to a loaded checkpoint: embedded, a folder, or the Hugging Face Hub.

A missing model is always an error that says what to do; no other model is ever taken in its place.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from scenario_gen.errors import CheckpointError
from scenario_gen.kronos.checkpoint import Checkpoint, load_checkpoint
from scenario_gen.kronos.registry import EMBEDDED, KNOWN_MODELS, NEEDED_FILES, KnownModel, is_cached

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def open_checkpoint(model: str, tokenizer: str | None = None) -> Checkpoint:
    """Load the checkpoint that a spec names.

    Args:
        model: a known name (nano, mini, small, base), a folder, or ``organisation/name@revision`` on the Hub.
        tokenizer: folder or Hub name of the tokenizer, for a model that does not bring its own.

    Raises:
        CheckpointError: nothing of that name, or it cannot be fetched or read.
    """
    for known in KNOWN_MODELS:
        if model == known.name:
            return _open_known(known)
    if Path(model).expanduser().is_dir():
        folder = Path(model).expanduser()
        return load_checkpoint(folder, tokenizer_folder=_locate(tokenizer) if tokenizer else None)
    if HUB_NAME.fullmatch(model):
        if tokenizer is None:
            raise CheckpointError(
                f"{model!r} is a model on the Hub, but no tokenizer is named",
                expected="generator.tokenizer, e.g. NeoQuasar/Kronos-Tokenizer-base",
                fix="add the tokenizer that the model was trained with",
            )
        return load_checkpoint(_locate(model), tokenizer_folder=_locate(tokenizer), name=model)
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
    checkpoint = load_checkpoint(folder, tokenizer_folder=tokenizer, name=known.name, max_context=known.context)
    checkpoint.provenance.update(
        repository=known.repository,
        revision=known.revision,
        tokenizer_repository=known.tokenizer_repository,
        tokenizer_revision=known.tokenizer_revision,
    )
    return checkpoint


def _locate(name: str) -> Path:
    """Return the folder of a local path or of a Hub name."""
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    if not HUB_NAME.fullmatch(name):
        raise CheckpointError(
            f"{name!r} is neither a folder nor a name on the Hub", expected="organisation/name@revision"
        )
    repository, _, revision = name.partition("@")
    return download(repository, revision or "main")


def download(repository: str, revision: str) -> Path:
    """Return the folder of a Hub repository at a revision, fetching what the cache lacks.

    Raises:
        CheckpointError: no network, no such repository, revision or file, or a broken download.
    """
    from huggingface_hub import hf_hub_download  # noqa: PLC0415  # a network library: only when it is needed

    offline = is_cached(repository, revision) or bool(os.environ.get("HF_HUB_OFFLINE"))
    try:
        paths = [
            hf_hub_download(
                repository,
                name,
                revision=revision,
                endpoint=os.environ.get("HF_ENDPOINT"),
                local_files_only=offline,
            )
            for name in NEEDED_FILES
        ]
    except Exception as error:  # the Hub library and the network below it raise many kinds
        raise _explain(error, repository, revision) from None
    return Path(paths[0]).parent


def _explain(error: Exception, repository: str, revision: str) -> CheckpointError:
    """Turn a failure of the Hub library into what happened and what to do."""
    from huggingface_hub import errors  # noqa: PLC0415

    what = f"{repository}@{revision}"
    first_line = next(iter(str(error).splitlines()), type(error).__name__)
    if isinstance(error, errors.RevisionNotFoundError):
        return CheckpointError(f"{what}: the Hub has no such revision", fix="check the part after '@'")
    if isinstance(error, errors.RepositoryNotFoundError):
        return CheckpointError(
            f"{what}: the Hub has no such repository, or it is private",
            expected="organisation/name",
            fix="check the name; for a private repository run 'hf auth login'",
        )
    if isinstance(error, errors.LocalEntryNotFoundError | ConnectionError | TimeoutError) or _is_network(error):
        return CheckpointError(
            f"{what} is not on this machine and the Hub cannot be reached",
            expected="a network connection, or the files in the Hub's cache",
            fix="connect once to download it, or use the embedded model with 'model: nano'",
        )
    if isinstance(error, errors.EntryNotFoundError):
        return CheckpointError(
            f"{what} lacks a file: {first_line}", expected=" and ".join(NEEDED_FILES), fix="choose a Kronos repository"
        )
    return CheckpointError(
        f"{what} could not be downloaded: {type(error).__name__}: {first_line}",
        fix="try again; a download that was cut off goes on where it stopped",
    )


def _is_network(error: BaseException) -> bool:
    """Say whether a connection failure lies under an error, whatever HTTP library raised it."""
    seen: BaseException | None = error
    while seen is not None:
        if type(seen).__name__ in ("ConnectError", "ConnectTimeout", "ReadTimeout", "OfflineModeIsEnabled"):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
