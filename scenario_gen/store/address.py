"""Addresses of other file systems: s3://bucket/runs/a, gs://, memory://, file://, and whatever else fsspec reaches.

Owns what is an address, the files below one, and the words for one that cannot be reached. Knows nothing of runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scenario_gen.errors import ScenarioError, StoreError
from scenario_gen.files import atomic
from scenario_gen.store.manifest import is_below

ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.+)", re.DOTALL)
COLLAPSED = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/([^/].*)", re.DOTALL)  # what Path makes of one
LOCAL = ("file", "local")
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


def address_of(written: str | Path) -> str | None:
    """Return the address that somebody wrote instead of a folder, or None."""
    words = (COLLAPSED if isinstance(written, Path) else ADDRESS).fullmatch(str(written))
    if words is None:
        return None
    scheme, rest = words[1].lower(), words[2].rstrip("/")
    if scheme in LOCAL:
        rest = "/" + rest.lstrip("/")
    return f"{scheme}://{rest}"


def inside(written: str | Path, name: str) -> str | Path:
    """Return what lies below a folder or an address."""
    address = address_of(written)
    return Path(written) / name if address is None else f"{address}/{name}"


@dataclass(frozen=True)
class Address:
    """Files at an address, by their names below it."""

    url: str

    @cached_property
    def _reached(self) -> tuple[Any, str]:
        try:
            import fsspec
        except ImportError as error:
            raise _lacks("fsspec", self.url) from error
        scheme = self.url.partition("://")[0]
        options = {"auto_mkdir": True} if scheme in LOCAL else {}
        with self._trouble("open"):
            files, root = fsspec.url_to_fs(self.url, **options)
            return files, str(root).rstrip("/")

    @contextmanager
    def _trouble(self, doing: str, name: str = "") -> Iterator[None]:
        """Turn whatever a file system raises into words: each has errors of its own, and some are none of OSError."""
        try:
            yield
        except ScenarioError:
            raise
        except Exception as error:
            raise _unreached(f"{self.url}/{name}" if name else self.url, doing, error) from error

    def names(self, below: str = "") -> set[str]:
        """Return the names of all files, or of those below a folder."""
        files, root = self._reached
        with self._trouble("list"), suppress(FileNotFoundError):
            files.invalidate_cache()
            every = files.find(f"{root}/{below}".rstrip("/"))
            names = {str(name).lstrip("/").removeprefix(f"{root}/".lstrip("/")) for name in every}
            return {name for name in names if is_below(name)}  # whoever made them: nothing outside the mirror
        return set()

    def has(self, name: str) -> bool:
        """Say whether there is a file of a name."""
        files, root = self._reached
        with self._trouble("read", name):
            files.invalidate_cache()
            return bool(files.exists(f"{root}/{name}"))

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file, or None."""
        files, root = self._reached
        with self._trouble("read", name), suppress(FileNotFoundError):
            return bytes(files.cat_file(f"{root}/{name}"))
        return None

    def write(self, name: str, content: bytes) -> None:
        """Write a small file."""
        files, root = self._reached
        with self._trouble("write", name):
            files.pipe_file(f"{root}/{name}", content)

    def get(self, name: str, place: Path) -> None:
        """Bring a file here."""
        files, root = self._reached
        with atomic(place) as partial, self._trouble("read", name):
            files.get_file(f"{root}/{name}", str(partial))

    def put(self, place: Path, name: str) -> None:
        """Send a file there."""
        files, root = self._reached
        with self._trouble("write", name):
            files.put_file(str(place), f"{root}/{name}")

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, where they are there."""
        files, root = self._reached
        for name in names:
            with self._trouble("remove", name), suppress(FileNotFoundError):
                files.rm_file(f"{root}/{name}")


def _lacks(package: str, address: str) -> StoreError:
    return StoreError(
        f"cannot open {address}: the package {package} is missing",
        expected="the package that reaches such addresses",
        fix=f"pip install {package}" + (", or 'scenario-gen[remote]'" if package in ("s3fs", "fsspec") else ""),
    )


def _unreached(address: str, doing: str, error: Exception) -> StoreError:
    """Say why an address cannot be used, and what to do."""
    scheme, why = address.partition("://")[0], f"{type(error).__name__}: {error}".splitlines()[0][:300]
    if isinstance(error, ImportError):
        return _lacks(PACKAGES.get(scheme, f"that fsspec asks for ({error})"), address)
    if isinstance(error, ValueError) and "rotocol not known" in str(error):
        return StoreError(
            f"cannot {doing} {address}: there is no file system {scheme}://",
            expected="an address such as s3://bucket/runs/a, gs://bucket/a or file:///shared/a, or a folder",
            fix="correct the beginning of the address",
        )
    refused = isinstance(error, PermissionError) or "redential" in why or "orbidden" in why or "AccessDenied" in why
    return StoreError(
        f"cannot {doing} {address}: {why}",
        expected="an address that can be reached, read and written from here",
        fix="set the credentials of that place (for s3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile), and "
        "see that they may write there"
        if refused
        else "check address, network and credentials, then give the same command again: it goes on",
    )
