"""Which models there are by name. Imports nothing heavy: ``validate`` and ``models list`` read it.

Hub revisions are pinned: small and its tokenizer as in upstream's own regression test, the others as public users
of the same checkpoints record them. A pinned revision cannot change under a run.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from scenario_gen.files import user_path

EMBEDDED = Path(__file__).parent / "embedded"
NEEDED_FILES = ("config.json", "model.safetensors")
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class KnownModel:
    """A model that a spec may name."""

    name: str  # as written in ``generator.model``
    repository: str  # Hub repository; empty for an embedded model
    revision: str  # pinned commit of the repository
    tokenizer_repository: str  # Hub repository of the tokenizer that belongs to it
    tokenizer_revision: str  # pinned commit of the tokenizer
    parameters: int  # of the model, without the tokenizer
    tokenizer_parameters: int  # of its tokenizer
    context: int  # bars that the window holds
    note: str  # one line for ``models list``

    @property
    def where(self) -> str:
        """Where the weights come from, for a person."""
        return f"{self.repository}@{self.revision[:8]}" if self.repository else "in the package"

    @property
    def available(self) -> bool:
        """Whether the weights are on this machine."""
        if not self.repository:
            return (EMBEDDED / self.name / "scenario_gen.json").is_file()
        pairs = ((self.repository, self.revision), (self.tokenizer_repository, self.tokenizer_revision))
        return all(is_cached(repository, revision) for repository, revision in pairs)


_TOKENIZER_BASE = ("NeoQuasar/Kronos-Tokenizer-base", "0e0117387f39004a9016484a186a908917e22426")
_TOKENIZER_2K = ("NeoQuasar/Kronos-Tokenizer-2k", "26966d0035065a0cae0ebad7af8ece35bc1fb51c")
_TOKENIZER_PARAMETERS = 3_958_042  # of both

KNOWN_MODELS = (
    KnownModel("nano", "", "", "", "", 3_308_864, 561_913, 576, "embedded, works with no network"),
    KnownModel(
        "mini",
        "NeoQuasar/Kronos-mini",
        "f4e68697d9d5aed55cef5c96aabc3376bcad9f81",
        *_TOKENIZER_2K,
        4_108_032,
        _TOKENIZER_PARAMETERS,
        2048,
        "long contexts",
    ),
    KnownModel(
        "small",
        "NeoQuasar/Kronos-small",
        "901c26c1332695a2a8f243eb2f37243a37bea320",
        *_TOKENIZER_BASE,
        24_741_376,
        _TOKENIZER_PARAMETERS,
        512,
        "a good start with a GPU",
    ),
    KnownModel(
        "base",
        "NeoQuasar/Kronos-base",
        "2b554741eca47781b64468546e77fef3e85130e6",
        *_TOKENIZER_BASE,
        102_310_592,
        _TOKENIZER_PARAMETERS,
        512,
        "the largest that is published",
    ),
)


def known_models() -> list[KnownModel]:
    """Return the models that a spec may name, the embedded one first."""
    return list(KNOWN_MODELS)


def published_as(repository: str) -> KnownModel | None:
    """Return the known model whose Hub repository this is."""
    return next((known for known in KNOWN_MODELS if repository and known.repository == repository), None)


def pinned_revision(repository: str) -> str | None:
    """Return the commit at which a known model's or tokenizer's repository is pinned; None for any other."""
    pairs = [(known.repository, known.revision) for known in KNOWN_MODELS]
    pairs += [(known.tokenizer_repository, known.tokenizer_revision) for known in KNOWN_MODELS]
    return dict(pairs).get(repository) or None


def published_window(parameters: int) -> int | None:
    """Return the window of the published model of that size: published configurations do not tell it."""
    sizes = {known.parameters: known.context for known in KNOWN_MODELS if known.repository}
    return sizes.get(parameters)


def hub_cache() -> Path:
    """Return the Hub's cache folder, by the Hub library's own environment variables."""
    if "HF_HUB_CACHE" in os.environ:
        return user_path(os.environ["HF_HUB_CACHE"])
    return user_path(os.environ.get("HF_HOME", "~/.cache/huggingface")) / "hub"


def snapshot_folder(repository: str, commit: str) -> Path:
    """Return where the Hub's cache keeps a commit of a repository, whether it is there or not."""
    return _repository_folder(repository) / "snapshots" / commit


def blob_file(repository: str, tag: str) -> Path:
    """Return where the Hub's cache keeps the bytes of a file, which it files under the Hub's tag of them."""
    return _repository_folder(repository) / "blobs" / tag


def is_cached(repository: str, revision: str) -> bool:
    """Say whether every needed file of a full commit lies in the Hub's cache; False for a branch or a tag."""
    if not COMMIT.fullmatch(revision):
        return False
    return all((snapshot_folder(repository, revision) / name).is_file() for name in NEEDED_FILES)


def cached_commit(repository: str, revision: str) -> str | None:
    """Return the commit that a branch or tag was when it was last fetched whole; None where it was not."""
    reference = _repository_folder(repository) / "refs" / revision
    commit = reference.read_text(encoding="utf-8", errors="replace").strip() if reference.is_file() else revision
    return commit if is_cached(repository, commit) else None


def _repository_folder(repository: str) -> Path:
    return hub_cache() / f"models--{repository.replace('/', '--')}"
