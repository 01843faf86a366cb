"""Are the weights on this machine whole? Hashes, tensor names, shapes and parameter counts; no network is used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scenario_gen.errors import CheckpointError
from scenario_gen.files import SUMS, is_hash, mismatch, read_sums, recorded_by_the_hub
from scenario_gen.kronos.checkpoint import EXTRAS, OWN_FILES, load_checkpoint
from scenario_gen.kronos.hub import Place, Revision, places_of
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.registry import (
    NEEDED_FILES,
    KnownModel,
    cached_commit,
    known_models,
    published_as,
    snapshot_folder,
)
from scenario_gen.kronos.tokenizer import KronosTokenizer
from scenario_gen.kronos.weights import CONFIG, load_network, read_json

PULL = "run 'scenario-gen models pull {}' to fetch it"
INSTALL_AGAIN = "install scenario-gen again"
TAKE_AGAIN = "take the folder again from where it came"


@dataclass(frozen=True)
class NetworkFacts:
    """One network whose tensors were compared with its configuration, all by name and shape."""

    kind: str  # "model" or "tokenizer"
    tensors: int
    parameters: int


@dataclass(frozen=True)
class Verified:
    """A model that was found whole."""

    name: str  # what the user called it
    hashed: int  # files whose bytes have their recorded hash
    unrecorded: int  # files of which no hash is recorded, such as those of a folder that somebody copied
    networks: tuple[NetworkFacts, ...]  # what was loaded


@dataclass(frozen=True)
class _Subject:
    """What is to be checked: files with the hashes that they should have, and the folders to load them from."""

    folders: list[Path]  # one that holds model and tokenizer, or one for each network
    recorded: dict[Path, str]
    known: KnownModel | None
    mend: str


def verify_model(name: str, tokenizer: str | None = None) -> Verified:
    """Check a known model, a folder, or a cached Hub revision of a model or a tokenizer.

    Args:
        name: as in a spec, or the Hub name of a tokenizer.
        tokenizer: folder or Hub name of the tokenizer to check together with a model.

    Raises:
        CheckpointError: it is not here, files are missing or broken (all named), or a tensor does not fit.
    """
    subject = _subject(name, tokenizer)
    found = {path: mismatch(path, recorded) for path, recorded in subject.recorded.items()}
    if broken := [f"{path}: {problem}" for path, problem in found.items() if problem]:
        raise CheckpointError(f"{name} is broken: {'; '.join(broken)}", expected="the recorded bytes", fix=subject.mend)
    try:
        networks = _load(subject.folders)
    except CheckpointError as error:
        raise CheckpointError(error.problem, expected=error.expected, fix=subject.mend) from None
    facts = tuple(_facts(network) for network in networks)
    if subject.known is not None:
        _check_sizes(name, facts, subject.known, subject.mend)
    hashed = sum(is_hash(recorded) for recorded in subject.recorded.values())
    return Verified(name, hashed, len(found) - hashed, facts)


def is_here(known: KnownModel) -> bool:
    """Say whether anything of a known model's own is on this machine, whole or not."""
    return not known.repository or snapshot_folder(known.repository, known.revision).is_dir()


def _subject(name: str, tokenizer: str | None) -> _Subject:
    places = places_of(name, tokenizer)
    known = _known(name, places[0])
    folders = [place if isinstance(place, Path) else _cached(place, name) for place in places]
    recorded: dict[Path, str] = {}
    for place, folder in zip(places, folders, strict=True):
        recorded |= _recorded_by_the_hub(folder) if isinstance(place, Revision) else _recorded_in(folder, known)
    mend = PULL.format(name) if isinstance(places[0], Revision) else TAKE_AGAIN
    return _Subject(folders, recorded, known, INSTALL_AGAIN if known and not known.repository else mend)


def _known(name: str, place: Place) -> KnownModel | None:
    if isinstance(place, Revision):
        return published_as(place.repository)
    return next((known for known in known_models() if known.name == name), None)


def _cached(place: Revision, name: str) -> Path:
    """Return the folder of a revision in the Hub's cache, which must be whole."""
    commit = cached_commit(place.repository, place.revision)
    if commit is not None:
        return snapshot_folder(place.repository, commit)
    folder = snapshot_folder(place.repository, place.revision)
    missing = [each for each in NEEDED_FILES if not (folder / each).is_file()]
    what = f"is not whole on this machine: no {', no '.join(missing)}" if folder.is_dir() else "is not on this machine"
    raise CheckpointError(f"{place} {what}", expected=" and ".join(NEEDED_FILES), fix=PULL.format(name))


def _recorded_by_the_hub(folder: Path) -> dict[Path, str]:
    return {folder / name: recorded_by_the_hub(folder / name) for name in NEEDED_FILES}


def _recorded_in(folder: Path, known: KnownModel | None) -> dict[Path, str]:
    """Return the files of a checkpoint folder with their hashes in its SHA256SUMS, "" where it has none."""
    sums = read_sums(folder)
    if known is not None and not sums:
        raise CheckpointError(f"{folder} has no {SUMS}", expected="the whole package", fix=INSTALL_AGAIN)
    names = NEEDED_FILES if _is_one_network(folder) else OWN_FILES
    there = [name for name in names if (folder / name).is_file()]
    missing = [name for name in names if name not in there and (name in sums or name != EXTRAS)]
    if missing:
        raise CheckpointError(
            f"{folder} has no {', no '.join(missing)}",
            expected=f"{', '.join(OWN_FILES)}, or {' and '.join(NEEDED_FILES)} of one network",
            fix=INSTALL_AGAIN if known else TAKE_AGAIN,
        )
    return {folder / name: sums.get(name, "") for name in there}


def _is_one_network(folder: Path) -> bool:
    return (folder / CONFIG).is_file()


def _load(folders: list[Path]) -> list[Kronos | KronosTokenizer]:
    """Load what is to be checked: every tensor's name and shape is compared on the way."""
    if len(folders) == 1 and _is_one_network(folders[0]):
        is_tokenizer = "n_enc_layers" in read_json(folders[0] / CONFIG)
        return [load_network(KronosTokenizer, folders[0]) if is_tokenizer else load_network(Kronos, folders[0])]
    both = load_checkpoint(folders[0], tokenizer_folder=folders[1] if len(folders) > 1 else None)
    return [both.model, both.tokenizer]


def _facts(network: Kronos | KronosTokenizer) -> NetworkFacts:
    kind = "model" if isinstance(network, Kronos) else "tokenizer"
    return NetworkFacts(kind, len(network.state_dict()), sum(p.numel() for p in network.parameters()))


def _check_sizes(name: str, networks: Iterable[NetworkFacts], known: KnownModel, mend: str) -> None:
    expected = {"model": known.parameters, "tokenizer": known.tokenizer_parameters}
    for facts in networks:
        if facts.parameters != expected[facts.kind]:
            raise CheckpointError(
                f"{name}: the {facts.kind} has {facts.parameters:,} parameters",
                expected=f"{expected[facts.kind]:,}",
                fix=mend,
            )
