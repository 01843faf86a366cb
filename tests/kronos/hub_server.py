"""A Hub on loopback: the requests, headers and error codes that a download meets, with faults to switch on."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL, TOKENIZER = "made-up/golden-model", "made-up/golden-tokenizer"
MODEL_COMMIT, TOKENIZER_COMMIT = "a1" * 20, "b2" * 20
RESOLVE = re.compile(r"/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")


@dataclass
class Fault:
    """What goes wrong when a large file is asked for.

    Attributes:
        drop_after: bytes sent before the connection is cut; None for no cut.
        drops: how many of the following requests are cut so.
        then_status: answer every later request for the file with this status; 0 for none.
    """

    drop_after: int | None = None
    drops: int = 0
    then_status: int = 0


@dataclass
class LoopbackHub:
    """Repositories by name, revision and file; serves them until it is closed.

    Attributes:
        files: bytes of a file by (repository, commit, file name).
        branches: commit by (repository, branch).
        served_instead: bytes sent in place of the true ones, by file name: what a broken proxy does.
        commit_header: whether answers say which commit they are of; a server that is no Hub does not.
        status: answer every request with this status; 0 for none.
    """

    files: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    branches: dict[tuple[str, str], str] = field(default_factory=dict)
    served_instead: dict[str, bytes] = field(default_factory=dict)
    fault: Fault = field(default_factory=Fault)
    commit_header: bool = True
    status: int = 0
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # (method, path, Range header)

    def __post_init__(self) -> None:
        hub = self

        class Handler(_Handler):
            owner = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop answering; the port is free afterwards."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def publish(self, repository: str, commit: str, files: dict[str, bytes], branch: str = "main") -> None:
        self.branches[(repository, branch)] = commit
        self.files |= {(repository, commit, name): content for name, content in files.items()}

    def find(self, repository: str, revision: str, name: str) -> tuple[str, bytes] | str:
        """Return (commit, content) of a file, or the Hub's code for why there is none."""
        if repository not in {key[0] for key in self.files}:
            return "RepoNotFound"
        commit = self.branches.get((repository, revision), revision)
        if (repository, commit) not in {key[:2] for key in self.files}:
            return "RevisionNotFound"
        content = self.files.get((repository, commit, name))
        return "EntryNotFound" if content is None else (commit, content)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def is_large(name: str) -> bool:
    """Say whether the Hub would keep the file in its large-file store, filed under its sha256."""
    return name.endswith(".safetensors")


def tag_of(name: str, content: bytes) -> str:
    if is_large(name):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob " + str(len(content)).encode() + b"\0" + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    owner: LoopbackHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *words: object) -> None:
        del words

    def _answer(self) -> None:
        self.owner.requests.append((self.command, self.path, self.headers.get("Range", "")))
        if self.owner.status:
            self._end(self.owner.status, {})
        elif self.path.startswith("/store/"):
            self._from_store(self.path.removeprefix("/store/"))
        else:
            self._from_repository()

    def _from_repository(self) -> None:
        asked = RESOLVE.fullmatch(self.path)
        found = self.owner.find(**asked.groupdict()) if asked else "RepoNotFound"
        if asked is None or isinstance(found, str):
            self._end(401 if found == "RepoNotFound" else 404, {"X-Error-Code": str(found)})
            return
        (commit, content), name = found, asked["name"]
        headers = {"X-Repo-Commit": commit} if self.owner.commit_header else {}
        tag = tag_of(name, content)
        if is_large(name):  # as the Hub does: another host has the bytes
            store = f"http://localhost:{self.owner.port}/store/{tag}"
            headers |= {"X-Linked-Etag": f'"{tag}"', "X-Linked-Size": str(len(content)), "Location": store}
            self._end(302, headers)
        else:
            body = self.owner.served_instead.get(name, content)
            self._end(200, headers | {"ETag": f'"{tag}"', "Accept-Ranges": "bytes"}, body)

    def _from_store(self, tag: str) -> None:
        pairs = {tag_of(key[2], content): (key[2], content) for key, content in self.owner.files.items()}
        name, content = pairs[tag]
        content = self.owner.served_instead.get(name, content)
        fault = self.owner.fault
        if fault.drops == 0 and fault.then_status:
            self._end(fault.then_status, {})
            return
        first = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        headers = {"ETag": f'"{tag}"', "Accept-Ranges": "bytes"}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        self._end(206 if first else 200, headers, content[first:], self._cut(fault))

    def _cut(self, fault: Fault) -> int | None:
        if fault.drop_after is None or fault.drops == 0 or self.command == "HEAD":
            return None
        fault.drops -= 1
        return fault.drop_after

    def _end(self, status: int, headers: dict[str, str], body: bytes = b"", cut: int | None = None) -> None:
        self.send_response(status)
        # Every connection is closed after its answer: one that is kept would outlive the server.
        for name, value in (headers | {"Content-Length": str(len(body)), "Connection": "close"}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body if cut is None else body[:cut])
