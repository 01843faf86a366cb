"""Why nothing came from the Hub, in words: what happened and what to do."""

from __future__ import annotations

import os

from scenario_gen.errors import CheckpointError
from scenario_gen.kronos.registry import NEEDED_FILES, cached_commit, hub_cache
from scenario_gen.kronos.resume import SIZE_MISMATCH

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
