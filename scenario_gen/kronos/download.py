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
from typing import Any

from scenario_gen.errors import CheckpointError
from scenario_gen.files import is_hash, mismatch, recorded_by_the_hub
from scenario_gen.kronos.registry import NEEDED_FILES, blob_file, cached_commit, hub_cache, is_cached, snapshot_folder

SIZE_MISMATCH = "Consistency check failed"  # how the Hub library begins its message on a file of another size


def fetch_blob(url: str, blob: Path, size: int, advance: Callable[[int], None]) -> None:
    """Fetch a file of the Hub to its place in the cache, where it is not there yet; its hash is the caller's to check.

    Args:
        url: of the file at a commit.
        blob: where the cache keeps it.
        size: bytes that the Hub announced.
        advance: hears of the bytes that are there already, and of those that come.

    Raises:
        Exception: of the Hub library or of the network below it.
    """
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]  # it exports them lazily

    blob.parent.mkdir(parents=True, exist_ok=True)
    part = blob.with_name(f"{blob.name}.scenario-gen.incomplete")
    with WeakFileLock(f"{part}.lock"):
        if blob.exists():
            return
        came = part.stat().st_size if part.exists() else 0
        if came > size:  # no beginning of this file
            part.unlink()
            came = 0
        try:
            with part.open("ab") as stream:
                if came == size:  # stopped after the last byte: there is nothing to ask for
                    advance(size)
                else:
                    http_get(
                        url,
                        stream,
                        resume_size=came,
                        headers=build_hf_headers(),
                        expected_size=size,
                        displayed_filename=blob.name,
                        tqdm_class=bar_that_tells(advance),
                    )
        except OSError as error:
            if str(error).startswith(SIZE_MISMATCH):  # not a part of the file: nothing to go on with
                part.unlink()
            raise
        part.replace(blob)
    Path(f"{part}.lock").unlink(missing_ok=True)


def bar_that_tells(advance: Callable[[int], None]) -> type[Any]:
    """Return the kind of progress bar that the Hub library is to make: it draws nothing and passes on its bytes."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *words: Any, **options: Any) -> None:
            super().__init__(*words, **{**options, "disable": True})  # type: ignore[no-untyped-call]  # theirs
            advance(int(options.get("initial") or 0))

        def update(self, n: float | None = 1) -> bool | None:
            advance(int(n or 0))
            return super().update(n)

    return Bar


# --- Why nothing came from the Hub, in words: what happened and what to do ---


UNREACHABLE = {"ConnectError", "ConnectTimeout", "ProxyError", "LocalEntryNotFoundError", "OfflineModeIsEnabled"}
CUT_OFF = {"ReadError", "ReadTimeout", "RemoteProtocolError", "WriteError", "WriteTimeout"}


def explain(error: Exception, repository: str, revision: str, name: str) -> CheckpointError:
    """Turn a failure of the Hub library into what happened and what to do."""
    from huggingface_hub import errors

    what = f"{repository}@{revision}"
    if isinstance(error, errors.RevisionNotFoundError):
        return CheckpointError(f"{what}: the Hub has no such revision", fix="check the part after '@'")
    if isinstance(error, errors.GatedRepoError):
        return CheckpointError(
            f"{what}: the repository is open only to those who accepted its terms",
            fix="accept them on its page, then run 'hf auth login'",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return CheckpointError(
            f"{what}: the Hub has no such repository, or it is private",
            expected="organisation/name",
            fix="check the name; for a private repository run 'hf auth login'",
        )
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        return CheckpointError(
            f"{what} has no {name}", expected=" and ".join(NEEDED_FILES), fix="choose a Kronos repository"
        )
    if isinstance(error, errors.HFValidationError):
        return CheckpointError(
            f"{repository!r} cannot be the name of a repository: {_first_line(error)}",
            expected="organisation/name@revision",
        )
    return _explain_transport(error, repository, revision)


def _explain_transport(error: Exception, repository: str, revision: str) -> CheckpointError:
    """Tell apart a Hub that cannot be reached, one that answers badly, and a download that broke off."""
    from huggingface_hub import errors

    what, kinds = f"{repository}@{revision}", _kinds(error)
    if isinstance(error, errors.HfHubHTTPError):
        return CheckpointError(
            f"{what}: the Hub answered with status {error.response.status_code}", fix="try again later"
        )
    if "FileMetadataError" in kinds:
        return CheckpointError(
            f"{what}: what answers at {os.environ.get('HF_ENDPOINT') or 'the Hub'} is not a Hub",
            fix="check HF_ENDPOINT, the proxy and the firewall",
        )
    if kinds & CUT_OFF or str(error).startswith(SIZE_MISMATCH):
        return CheckpointError(
            f"{what}: the download broke off: {_first_line(error)}", fix="try again: it goes on where it stopped"
        )
    if kinds & UNREACHABLE:
        return _unreachable_error(repository, revision)
    if isinstance(error, OSError):
        return CheckpointError(
            f"{what} cannot be stored: {_first_line(error)}",
            expected=f"room and the right to write in {hub_cache()}",
            fix="set HF_HUB_CACHE to another folder",
        )
    return CheckpointError(
        f"{what} could not be downloaded: {type(error).__name__}: {_first_line(error)}",
        fix="check HF_ENDPOINT and the network, then try again",
    )


def _unreachable_error(repository: str, revision: str) -> CheckpointError:
    commit = cached_commit(repository, revision)
    if commit is not None:
        return CheckpointError(
            f"the Hub cannot be reached to tell which commit {repository}@{revision} is now",
            expected="a network connection, or a full commit after '@'",
            fix=f"name the one that is on this machine: {repository}@{commit}",
        )
    return CheckpointError(
        f"{repository}@{revision} is not on this machine and the Hub cannot be reached",
        expected="a network connection, or the files in the Hub's cache",
        fix="connect once to download it, or use the embedded model with 'model: nano'",
    )


def offline_error(what: str) -> CheckpointError:
    """Return the error of a revision that is not cached while the network is forbidden."""
    return CheckpointError(
        f"{what} is not on this machine and HF_HUB_OFFLINE forbids to fetch it",
        expected=f"the files in the Hub's cache, {hub_cache()}",
        fix="unset HF_HUB_OFFLINE once to download it, or use the embedded model with 'model: nano'",
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _kinds(error: BaseException) -> set[str]:
    """Return the names of the classes of an error and of what lies under it, whatever HTTP library raised it."""
    kinds: set[str] = set()
    seen: BaseException | None = error
    while seen is not None:
        kinds |= {kind.__name__ for kind in type(seen).__mro__}
        seen = seen.__cause__ or seen.__context__
    return kinds


# --- Files from the Hugging Face Hub: fetched at one commit, checked against the Hub's own hashes ---


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
