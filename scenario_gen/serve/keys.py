"""Keys of callers: made once, kept as hashes, each with what it may do.

A key is 256 random bits, so that a plain SHA-256 keeps it: nobody can try that many, and slow hashes are for what
people choose themselves.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from scenario_gen.errors import SpecError, StoreError
from scenario_gen.files import write_bytes
from scenario_gen.reading.words import nearest, shown
from scenario_gen.serve.jobs import JOBS

Scope = Literal["read", "run", "code"]  # see runs and jobs; ask for, cancel and resume them; send strategies
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "sg_"  # by which scanners of secrets know one
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")


@dataclass(frozen=True)
class Caller:
    """Whoever asks."""

    name: str
    scopes: tuple[Scope, ...]


EVERYBODY = Caller("", SCOPES)  # of this machine, where there are no keys


class Keys:
    """The keys of a root; read at construction.

    Args:
        root: folder of the runs, which keeps them in ``.jobs/keys.json``.

    Raises:
        StoreError: the file cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.path = root.resolve() / JOBS / "keys.json"
        self._callers: dict[str, Caller] = {}  # by hash
        if not self.path.exists():
            return
        try:
            for entry in json.loads(self.path.read_text(encoding="utf-8")):
                self._callers[str(entry["sha256"])] = Caller(str(entry["name"]), _scopes(entry["scopes"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{self.path}: {error}", expected="keys that scenario-gen wrote", fix="remove it and make new keys"
            ) from None

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._callers)

    def make(self, name: str, scopes: Iterable[str]) -> str:
        """Make a key, which is told this once and kept as its hash; one of the same name ends.

        Raises:
            SpecError: the name or a scope is none.
            StoreError: the disk refuses.
        """
        if not _NAME.fullmatch(name):
            raise SpecError(f"got {shown(name)} as the name of a key", expected="letters, digits, '-', '_' and '.'")
        key = PREFIX + secrets.token_urlsafe(32)
        kept = {digest: caller for digest, caller in self._callers.items() if caller.name != name}
        self._callers = kept | {_digest(key): Caller(name, _scopes(scopes))}
        entries = [{"sha256": digest, **asdict(caller)} for digest, caller in self._callers.items()]
        write_bytes(self.path, json.dumps(entries, indent=1).encode(), "root")
        self.path.chmod(0o600)
        return key

    def caller(self, key: str) -> Caller | None:
        """Return whose key this is; None where it is nobody's."""
        digest = _digest(key)
        matching = [caller for known, caller in self._callers.items() if hmac.compare_digest(known, digest)]
        return matching[0] if matching else None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _scopes(listed: Iterable[str]) -> tuple[Scope, ...]:
    given = [*listed]
    for scope in given:
        if scope not in SCOPES:
            raise SpecError(f"got the scope {shown(scope)}{nearest(scope, SCOPES)}", expected=f"{', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in given)
