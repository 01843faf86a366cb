"""A run in shards, without a cluster: each computes some blocks in a folder of its own, and a merge does the rest.

Owns which blocks a shard computes. Dealt round, by running number, are the blocks of scenarios and baselines; a block
that shocks the paths of another scenario goes with it. The rest hangs on all blocks, or on how the others came out,
and is done by the merge: islands of events, views, trades of a book, calibrations, and whatever is summed up.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from scenario_gen.errors import SpecError, StoreError
from scenario_gen.execute.section import open_queue, place_of
from scenario_gen.files import locked
from scenario_gen.generators.draws import plan_blocks
from scenario_gen.pipeline import open_study, run_spec
from scenario_gen.pipeline.blocks.work import run_blocks
from scenario_gen.pipeline.identity import spec_sum
from scenario_gen.pipeline.prepared import Prepared
from scenario_gen.pipeline.stress.shocks import twin_of
from scenario_gen.progress import Progress
from scenario_gen.spec.loader import LoadedSpec, load_spec
from scenario_gen.spec.models import override
from scenario_gen.store.folder import PAGE
from scenario_gen.store.remote import run_folder
from scenario_gen.store.results import StressRun
from scenario_gen.store.shards import ShardNote, StoredShard, adopt, missing_from, shard_folder, shards_of

MOST_SHARDS = 100_000
_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True)
class Shard:
    """One part of a run: 2 of 8."""

    number: int  # from 1
    of: int

    @classmethod
    def read(cls, text: str) -> Shard:
        """Read ``2/8``.

        Raises:
            SpecError: it is no shard.
        """
        words = _SHARD.fullmatch(text)
        shard = cls(*map(int, words.groups())) if words else cls(0, 0)
        if not 1 <= shard.number <= shard.of <= MOST_SHARDS:
            raise SpecError(
                f"got the shard {text[:40]!r}",
                expected=f"NUMBER/COUNT, such as 2/8: from 1 to the count, which is at most {MOST_SHARDS:,}",
                fix="give each task of a job array its own number, counted from 1",
            )
        return shard

    def due(self, grounds: Sequence[Prepared]) -> dict[str, list[int]]:
        """Return the blocks that this shard computes, by scenario; those that others shock come first."""
        due: dict[str, list[int]] = {}
        for name, index in dealt(grounds)[self.number - 1 :: self.of]:
            due.setdefault(name, []).append(index)
        twins = {ground.name: twin_of(ground, grounds) for ground in grounds if ground.scenario.shocks}
        return due | {name: due[twin.name] for name, twin in twins.items() if twin is not None and twin.name in due}


def dealt(grounds: Sequence[Prepared]) -> list[tuple[str, int]]:
    """Return scenario and index of every block that is dealt to shards, in the order in which they are.

    Not those of scenarios that weigh another's paths, or that ask for an event and may be sampled on islands; nor of
    those that shock the paths of another.
    """
    plans = {
        ground.name: ground.scenario.paths
        for ground in grounds
        if ground.scenario.reweight is None
        and ground.scenario.event is None
        and not (ground.scenario.shocks and twin_of(ground, grounds) is not None)
    }
    return [(name, block.index) for name, plan in plans.items() for block in plan_blocks(plan.count, plan.block)]


def run_shard(
    loaded: LoadedSpec,
    shard: Shard,
    *,
    folder: str | Path | None,
    device: str | None,
    paths: int | None,
    overwrite: bool,
    progress: Progress,
    on: str | None = None,
) -> StoredShard:
    """Compute the blocks of one shard that its folder does not hold yet.

    Args:
        loaded: the spec and where it came from.
        shard: which part.
        folder: run folder or address, below which the shard has its own, instead of the spec's.
        device: instead of the spec's own.
        paths: number of paths instead of the spec's own.
        overwrite: replace a shard of another run that lives there.
        progress: who hears of stages and notes.
        on: where it is computed instead of the spec's own.

    Raises:
        ScenarioError: something the user can mend.
    """
    run = folder or loaded.spec.report.folder
    store = run_folder(shard_folder(run, shard.number, shard.of), progress.note)
    with store.at_work(), open_queue(loaded.spec.execute if on is None else place_of(on)) as queue:
        study = open_study(loaded, store, progress, device=device, paths=paths, overwrite=overwrite, queue=queue)
        due = shard.due(study.grounds)
        source = Path(loaded.filename) if loaded.filename else None
        note = ShardNote(
            number=shard.number,
            of=shard.of,
            spec="" if source is None else str(source.resolve()),
            written=loaded.filename,
            device=device,
            paths=paths,
            blocks=len(dealt(study.grounds)),
            due=due,
        )
        note.save(store)
        mine = [ground for ground in study.grounds if ground.name in due]
        for hit in (False, True):  # shocks take the paths of others
            part = [ground for ground in mine if bool(ground.scenario.shocks) is hit]
            run_blocks(study, part, lambda own, block: block.index in due[own.name])
        return StoredShard(store, note, study.identity, run)


def merge_shards(
    folders: Sequence[str | Path],
    *,
    folder: str | Path | None,
    loaded: LoadedSpec | None = None,
    compute_missing: bool,
    overwrite: bool,
    command: str,
    progress: Progress,
    on: str | None = None,
) -> tuple[StressRun, str]:
    """Put the blocks of all shards of a run together, and complete the run as if it were resumed.

    Args:
        folders: each of a shard, or with shards below it.
        folder: where the run goes; default: the folder where there is one alone, else the spec's.
        loaded: the spec; default: the file that the shards were made of.
        compute_missing: compute what shards or blocks are missing or damaged, instead of refusing.
        overwrite: replace another run that lives in the folder.
        command: what the user typed, for the report.
        progress: who hears of stages and notes.
        on: where it is computed instead of the spec's own.

    Returns:
        The result, the same to the bit as that of one run, and where its page is.

    Raises:
        ScenarioError: something the user can mend.
    """
    shards = shards_of(folders)
    note = shards[0].note
    with ExitStack() as locks:
        for shard in shards:
            locks.enter_context(locked(shard.store.path, shard.note.name, "stop it"))
        if missing := missing_from(shards):
            words = "; ".join(missing)
            if not compute_missing:
                raise _incomplete(words, shards)
            progress.note(f"computed here: {words}")
        spec = loaded or _spec_of(note)
        _refuse_changed_spec(spec, shards[0])
        alone = len({str(shard.run) for shard in shards}) == 1
        target = folder or (shards[0].run if alone else spec.spec.report.folder)
        store = run_folder(target, progress.note)
        with store.at_work():
            taken = adopt(store, shards, overwrite=overwrite)
    progress.note(f"{taken} blocks of {len(shards)} shards put together in {store.place()}")
    result = run_spec(
        spec,
        folder=target,
        device=note.device,
        paths=note.paths,
        overwrite=False,
        command=command,
        progress=progress,
        on=on,
    )
    return result, store.place(PAGE)


def _refuse_changed_spec(loaded: LoadedSpec, shard: StoredShard) -> None:
    """Refuse a spec other than that of the shards before anything is read; what else differs is told by the run."""
    if spec_sum(override(loaded.spec, device=shard.note.device, paths=shard.note.paths)) != shard.identity.get("spec"):
        raise SpecError(
            f"{loaded.filename or 'the spec'} is not what {shard.note.name} in {shard.store.path} was made of",
            expected="the spec as it was when the shards were run",
            fix="put it back, or run the shards again with --overwrite",
        )


def _incomplete(words: str, shards: Sequence[StoredShard]) -> StoreError:
    """Return the refusal of a run of which something is missing, with the command that makes it."""
    first = shards[0]
    spec = shlex.quote(first.note.written or "SPEC")
    return StoreError(
        f"the shards do not make up the run: {words}",
        expected="every shard, finished, with its blocks as they were written",
        fix=f"run what is missing or damaged (scenario-gen run {spec} --shard NUMBER/{first.note.of} --folder "
        f"{shlex.quote(str(first.run))}), or give --compute-missing to compute it here",
    )


def _spec_of(note: ShardNote) -> LoadedSpec:
    """Read the spec that a shard was made of, under the name that the user gave it where that leads there too.

    Raises:
        SpecError: it cannot be read, or the shard was made of no file.
    """
    if not note.spec:
        raise SpecError(
            f"{note.name} was made of a mapping, not of a file",
            expected="the same mapping",
            fix="write it to a file, and name it with --spec",
        )
    try:
        return load_spec(note.written if str(Path(note.written).resolve()) == note.spec else note.spec)
    except SpecError as error:
        error.fix = f"{error.fix}; where the spec lies elsewhere now, name it with --spec".removeprefix("; ")
        raise
