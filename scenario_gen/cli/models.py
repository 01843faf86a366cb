"""The ``models`` commands' work: fetch checkpoints, and check those that are here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from scenario_gen.cli.manners import USER_MISTAKE
from scenario_gen.cli.terminal import say
from scenario_gen.errors import CheckpointError
from scenario_gen.kronos.hub import Revision, places_of, pull
from scenario_gen.kronos.registry import known_models
from scenario_gen.kronos.verify import Verified, is_here, verify_model
from scenario_gen.progress import Progress

MEGABYTE = 1_000_000


def pull_model(name: str, tokenizer: str | None, progress: Progress) -> None:
    """Fetch a model, with its tokenizer where one is known or named; check what came and print where it is.

    Raises:
        CheckpointError: there is no such model, it cannot be fetched, or what came does not fit.
    """
    for place in places_of(name, tokenizer):
        if isinstance(place, Revision):
            folder = pull(place, lambda title, size: _megabytes(progress, title, size), progress.note)
            say(f"{place}: {folder}")
        else:
            say(f"{place}: on this machine, nothing to pull")
    say(words(verify_model(name, tokenizer)))


def verify_models(names: Sequence[str]) -> int:
    """Check models, or all known ones that are here; print what was found and mistakes to stderr.

    Returns:
        The exit code: 0, or 2 if anything is broken, or named and not here.
    """
    code = 0
    for name in names or [known.name for known in known_models() if is_here(known)]:
        try:
            say(words(verify_model(name)))
        except CheckpointError as error:
            say(str(error), err=True)
            code = USER_MISTAKE
    for known in known_models() if not names else ():
        if not is_here(known):
            say(f"{known.name}: not on this machine ('scenario-gen models pull {known.name}' fetches it)")
    return code


def words(verified: Verified) -> str:
    """Return in one line what was checked of a model and held."""
    networks = [
        f"{facts.kind} of {facts.parameters:,} parameters in {facts.tensors} tensors as configured"
        for facts in verified.networks
    ]
    hashes = f"{verified.hashed} files with their recorded hash" if verified.hashed else ""
    bare = f"{verified.unrecorded} files without a recorded hash" if verified.unrecorded else ""
    return f"{verified.name}: whole; " + "; ".join(part for part in (hashes, bare, *networks) if part)


@contextmanager
def _megabytes(progress: Progress, title: str, size: int) -> Iterator[Callable[[int], None]]:
    """Open a stage that counts megabytes and hears of bytes."""
    total, came, told = max(1, round(size / MEGABYTE)), 0, 0
    with progress.stage(f"{title}, MB", total) as advance:

        def add(count: int) -> None:
            nonlocal came, told
            came += count
            done = total if came >= size else min(total, came // MEGABYTE)
            advance(done - told)
            told = done

        yield add
