"""From what a spec calls a model to where it is: embedded, a folder, or the Hugging Face Hub.

A missing model is always an error that says what to do; no other model is ever taken in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from scenario_gen.errors import CheckpointError
from scenario_gen.files import user_path
from scenario_gen.kronos.download import BrokenFileError, Stage, download, silent
from scenario_gen.kronos.registry import EMBEDDED, KnownModel, known_models, pinned_revision, published_as
from scenario_gen.reading.words import nearest

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True)
class Revision:
    """A Hub repository at a commit, tag or branch."""

    repository: str
    revision: str

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}"


Place: TypeAlias = Path | Revision


@dataclass(frozen=True)
class Source:
    """Where the two halves of a checkpoint are to be found."""

    name: str  # what the user called it
    model: Place  # where the model is
    tokenizer: Place | None  # where the tokenizer is; None for a folder that holds both
    known: KnownModel | None = None  # the published or embedded model that this is; None for any other


def find_source(model: str, tokenizer: str | None = None) -> Source:
    """Say where the checkpoint is that a spec names; nothing is fetched.

    Raises:
        CheckpointError: nothing of that name, or a tokenizer is missing or too many.
    """
    named = next((known for known in known_models() if known.name == model), None)
    if named is not None:
        if tokenizer is not None:
            raise CheckpointError(f"{model} brings its own tokenizer", expected="no tokenizer beside it")
        if not named.repository:
            return Source(model, EMBEDDED / model, None, named)
        return Source(
            model,
            Revision(named.repository, named.revision),
            Revision(named.tokenizer_repository, named.tokenizer_revision),
            named,
        )
    place = find_place(model, "model")
    if isinstance(place, Path):
        return Source(model, place, find_place(tokenizer, "tokenizer") if tokenizer else None)
    known = published_as(place.repository)
    if tokenizer is not None:
        return Source(model, place, find_place(tokenizer, "tokenizer"), known)
    if known is None:
        raise CheckpointError(
            f"{model!r} is a model on the Hub, but no tokenizer is named",
            expected="generator.tokenizer, e.g. NeoQuasar/Kronos-Tokenizer-base",
            fix="add the tokenizer that the model was trained with",
        )
    return Source(model, place, Revision(known.tokenizer_repository, known.tokenizer_revision), known)


def find_place(name: str, what: str = "") -> Place:
    """Return the folder or the Hub revision that a name stands for; nothing is fetched.

    Without a revision, the repository of a known model or of its tokenizer stands for its pinned commit and any
    other for its branch ``main``.

    Args:
        name: folder, or ``organisation/name@revision``.
        what: ``model`` where the name of a known model would have done too.

    Raises:
        CheckpointError: it is neither.
    """
    if user_path(name).is_dir():
        return user_path(name)
    if HUB_NAME.fullmatch(name):
        repository, _, revision = name.partition("@")
        return Revision(repository, revision or pinned_revision(repository) or "main")
    if what != "model":
        raise CheckpointError(
            f"{name!r} is neither a folder nor a name on the Hub", expected="organisation/name@revision"
        )
    names = [known.name for known in known_models()]
    raise CheckpointError(
        f"no model {name!r}" + nearest(name, names),
        expected=f"one of {', '.join(names)}, a folder, or organisation/name@revision on the Hub",
        fix="see 'scenario-gen models list'",
    )


def places_of(name: str, tokenizer: str | None = None) -> list[Place]:
    """Return where the networks of a model are: model and tokenizer, or one place alone.

    One place is a folder (which may hold both), or a repository for which no tokenizer is known or named.

    Raises:
        CheckpointError: nothing of that name.
    """
    is_known = any(known.name == name for known in known_models())
    place = None if is_known else find_place(name, "model")
    if isinstance(place, Path) and tokenizer is None:
        return [place]
    if isinstance(place, Revision) and tokenizer is None and published_as(place.repository) is None:
        return [place]
    source = find_source(name, tokenizer)
    return [source.model] if source.tokenizer is None else [source.model, source.tokenizer]


def locate(name: str) -> Path:
    """Return the folder of a local path or of a Hub name, which is fetched where it is not cached.

    Raises:
        CheckpointError: it is neither, or it cannot be fetched.
    """
    return fetched(find_place(name))


def pull(place: Revision, stage: Stage = silent, note: Callable[[str], None] = lambda _: None) -> Path:
    """Fetch a Hub revision whole, whatever state the cache is in; a broken file is fetched anew, once.

    Args:
        place: what to fetch.
        stage: hears of each large file and of its bytes.
        note: hears of a broken file.

    Raises:
        CheckpointError: it cannot be fetched.
    """
    try:
        return download(place.repository, place.revision, stage)
    except BrokenFileError as error:
        note(error.problem)
        return download(place.repository, place.revision, stage)


def fetched(place: Place) -> Path:
    """Return the folder of a place; a Hub revision is fetched where it is not cached."""
    return place if isinstance(place, Path) else download(place.repository, place.revision)
