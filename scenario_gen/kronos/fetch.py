"""Files from the Hugging Face Hub: fetched at one commit, checked against the Hub's own hashes.

Knows repositories, revisions and the Hub's cache; knows nothing of models. A file whose bytes are not those that
the Hub recorded is deleted and refused, whether it was just fetched or lay in the cache.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from scenario_gen.errors import CheckpointError
from scenario_gen.files import is_hash, mismatch, recorded_by_the_hub
from scenario_gen.kronos.failures import explain, offline_error
from scenario_gen.kronos.registry import NEEDED_FILES, blob_file, cached_commit, hub_cache, is_cached, snapshot_folder
from scenario_gen.kronos.resume import fetch_blob

# Opens a stage of so many bytes under a title; what it yields is called with the bytes that have just come.
Stage = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


class BrokenFileError(CheckpointError):
    """A file's bytes are not those that the Hub recorded; it was deleted, so that a second try fetches it anew."""


@contextmanager
def silent(title: str, size: int) -> Iterator[Callable[[int], None]]:
    """Open a stage that shows nothing."""
    del title, size
    yield lambda steps: None


def download(repository: str, revision: str, stage: Stage = silent) -> Path:
    """Return the folder of a Hub repository at a revision, fetching what the cache lacks.

    The folder's name is the commit. A full commit that is in the cache costs no request. A branch or a tag is
    looked up on the Hub every time, unless HF_HUB_OFFLINE is set: then it means the commit that was last fetched.
    A download that broke off goes on where it stopped.

    Args:
        repository: ``organisation/name``.
        revision: commit, tag or branch.
        stage: hears of each large file and of its bytes as they come.

    Raises:
        BrokenFileError: bytes are not those that the Hub recorded.
        CheckpointError: no network, no such repository, revision or file.
    """
    if is_cached(repository, revision):
        return _checked(snapshot_folder(repository, revision))
    if not offline():
        return _fetch(repository, revision, stage)
    commit = cached_commit(repository, revision)
    if commit is None:
        raise offline_error(f"{repository}@{revision}")
    return _checked(snapshot_folder(repository, commit))


def offline() -> bool:
    """Say whether the Hub library's own environment variables forbid the network."""
    values = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.upper() in ("1", "ON", "YES", "TRUE") for value in values)


def _checked(folder: Path) -> Path:
    for name in NEEDED_FILES:
        _refuse_broken(folder / name, recorded_by_the_hub(folder / name))
    return folder


def _fetch(repository: str, revision: str, stage: Stage) -> Path:
    """Fetch every needed file; the first one settles the commit that the others are taken from."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url  # network library

    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
    at, name, path = revision, "", Path()
    try:
        with _silent_library():
            for name in NEEDED_FILES:
                # Asked first because the download itself repeats this request for half a minute without a network.
                url = hf_hub_url(repository, name, revision=at, endpoint=endpoint)
                known = get_hf_file_metadata(url, endpoint=endpoint)
                if is_hash(known.etag or "") and known.size and name.endswith(".safetensors"):
                    with stage(f"{repository}@{(known.commit_hash or at)[:8]}", known.size) as advance:
                        fetch_blob(url, blob_file(repository, str(known.etag)), known.size, advance)
                path = Path(hf_hub_download(repository, name, revision=at, endpoint=endpoint, cache_dir=hub_cache()))
                _refuse_broken(path, known.etag or "")
                at = path.parent.name
    except CheckpointError:
        raise
    except Exception as error:  # the Hub library and the network below it raise many kinds
        raise explain(error, repository, revision, name) from None
    return path.parent


@contextmanager
def _silent_library() -> Iterator[None]:
    """Keep the Hub library's own lines on retries off the screen; its failures reach the user as errors."""
    from huggingface_hub.utils import logging as library

    before = library.get_verbosity()
    library.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        library.set_verbosity(before)


def _refuse_broken(path: Path, recorded: str) -> None:
    if problem := mismatch(path, recorded):
        raise BrokenFileError(
            f"{path.name} of {path.parent} is broken: {problem}",
            expected="the bytes that the Hub recorded",
            fix=_discard(path),
        )


def _discard(path: Path) -> str:
    """Delete a broken file with the blob behind it; return what is left to do."""
    try:
        for each in (path.resolve(), path):
            each.unlink(missing_ok=True)
    except OSError:
        return f"delete {path.resolve()} and try again"
    return "try again: the broken file was deleted"
