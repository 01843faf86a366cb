"""The blocks that a run has still to compute, through its queue: which they are, what is sent, what comes back.

Blocks of scenarios that need nothing of each other wait in the queue together; shocked ones follow, since they take the
paths of others. Workers write blocks; their names are claimed in the manifest here, before any is handed out. Does not
know how a block is made (:mod:`scenario_gen.pipeline.blocks.block`), nor where.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.candles.check import none_left
from scenario_gen.errors import StoreError
from scenario_gen.execute.queue import HERE
from scenario_gen.files import write_bytes
from scenario_gen.generators.draws import Block, plan_blocks
from scenario_gen.pipeline.blocks.block import FRAMES, Draw, Drawn, checked_candles, is_kept, island_record, run_block
from scenario_gen.pipeline.plan.foretell import Foretelling
from scenario_gen.pipeline.prepared import Prepared
from scenario_gen.pipeline.stress.events import case_of
from scenario_gen.pipeline.stress.shocks import draw_of
from scenario_gen.pipeline.study import Study
from scenario_gen.progress import StageSteps
from scenario_gen.store.folder import RunFolder
from scenario_gen.stress.rare import IslandRecord, stopped

Wanted: TypeAlias = Callable[[Prepared, Block], bool]


def every(prepared: Prepared, block: Block) -> bool:
    """Want every block of a run."""
    del prepared, block
    return True


def missing_blocks(
    prepared: Prepared, strategies: Sequence[LoadedStrategy], store: RunFolder, wanted: Wanted = every
) -> list[Block]:
    """Return the blocks of a scenario that are wanted and that the folder does not hold yet, in their order."""
    plan = prepared.scenario.paths
    asked = [block for block in plan_blocks(plan.count, plan.block) if wanted(prepared, block)]
    return [block for block in asked if not is_kept(prepared, strategies, store, block)]


# --- What is sent to a worker, and what it does there ---


@dataclass(frozen=True)
class Piece:
    """One block of one scenario."""

    scenario: str
    block: Block

    def __str__(self) -> str:
        return f"block {self.block.index} of {self.scenario}"


@dataclass(frozen=True, eq=False)
class Blocks:
    """What all blocks of a run are made of; travels once to each worker."""

    grounds: Sequence[Prepared]  # those whose blocks are asked for
    among: Sequence[Prepared]  # all scenarios of the run: shocked ones take the paths of others
    strategies: Sequence[LoadedStrategy]
    store: RunFolder  # where blocks go
    sampled: StageSteps
    tested: StageSteps
    draws: dict[str, Draw] = field(default_factory=dict)  # as they are first asked for

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "draws": {}}

    def __call__(self, piece: Piece) -> int:
        """Sample, check, backtest and save one block; return how many paths are kept.

        Raises:
            ScenarioError: candles, a strategy, or the disk.
        """
        ground = next(ground for ground in self.grounds if ground.name == piece.scenario)
        finished = run_block(ground, self._drawn(ground, piece.block), self.strategies, self.tested)
        finished.save(self.store, ground.name, piece.block.index)
        return len(finished.paths)

    def _drawn(self, ground: Prepared, block: Block) -> Drawn:
        if ground.split:
            case = case_of(ground)
            island = case.asked.island(block.index, case.score, case.sampler)
            self.sampled(1)
            return checked_candles(ground, case.asked.paths_of(island), 0, IslandRecord.of(island))
        if ground.name not in self.draws:
            self.draws[ground.name] = draw_of(ground, self.among, self.store)
        return self.draws[ground.name](ground, block, self.sampled)


SEEN = ".seen-by-workers"  # in the folder of a run at work


@dataclass(frozen=True, eq=False)
class Delivered:
    """Blocks that come back with their files from a machine which does not see the folder of the run."""

    blocks: Blocks
    token: str  # that lies in the folder

    @classmethod
    def of(cls, blocks: Blocks) -> Delivered:
        """Leave a token in the folder of the run, by which a worker knows it.

        Raises:
            StoreError: the disk refuses.
        """
        token = secrets.token_hex(16)
        write_bytes(blocks.store.path / SEEN, token.encode())
        return cls(blocks, token)

    def __call__(self, piece: Piece) -> tuple[int, dict[str, bytes]] | None:
        """Return how many paths of a block are kept, and its files where they cannot be saved at their place.

        None where the block takes the paths of others, which lie in the folder too: whoever sees it makes the block.
        """
        if self.blocks.store.everywhere or self._sees_folder():
            return self.blocks(piece), {}
        if any(ground.scenario.shocks for ground in self.blocks.grounds if ground.name == piece.scenario):
            return None
        with TemporaryDirectory(prefix="scenario-gen-") as place:
            store = copy(self.blocks.store)
            store.path = Path(place)
            kept = replace(self.blocks, store=store)(piece)
            folder = store.block_path(piece.scenario, piece.block.index)
            return kept, {file.name: file.read_bytes() for file in folder.iterdir()}

    def _sees_folder(self) -> bool:
        try:
            return (self.blocks.store.path / SEEN).read_text() == self.token
        except (OSError, ValueError):  # another machine's file may be anything
            return False


def _received(store: RunFolder, piece: Piece, files: Mapping[str, bytes]) -> None:
    """Save the files of a block that was made where the folder is not seen; the one that makes it count comes last.

    Raises:
        StoreError: the disk refuses, or the block is not whole.
    """
    folder = store.block_path(piece.scenario, piece.block.index)
    *names, last = [file.name for file in store.block_files(piece.scenario, piece.block.index, FRAMES)]
    for name in (*names, last):
        write_bytes(folder / name, files.get(name, b""))
    if not store.has_block(piece.scenario, piece.block.index):
        raise StoreError(
            f"{piece} came back from a worker and is not whole",
            expected="the files that the worker had written",
            fix="run again: blocks that are there stay",
        )


# --- Handing out ---


def compute_blocks(study: Study, wanted: Wanted = every) -> None:
    """Compute every wanted block of a run that its folder does not hold yet.

    Raises:
        CheckError: candles break a rule and the spec says ``fail``, no path is left, or a score looks ahead.
        StrategyError: a strategy raised or answered something unusable.
        StoreError: the disk refuses.
        ExecuteError: the workers are lost.
    """
    own = [ground for ground in study.grounds if ground.scenario.reweight is None]  # others' paths are weighed
    heard = Foretelling(study.progress, own, workers=study.queue.workers)
    for shocks in (False, True):  # shocks take the paths of other scenarios
        wave = [ground for ground in own if bool(ground.scenario.shocks) == shocks]
        plain = [ground for ground in wave if not ground.split]
        for together in [[ground] for ground in plain] if study.queue is HERE else [plain]:
            run_blocks(study, together, wanted, heard)
        for ground in (ground for ground in wave if ground.split):
            run_islands(study, ground)


def run_blocks(
    study: Study, grounds: Sequence[Prepared], wanted: Wanted = every, heard: Foretelling | None = None
) -> None:
    """Compute the wanted blocks of scenarios that need nothing of each other; as :func:`compute_blocks`.

    ``heard`` tells how long all take once the first is done.
    """
    if not grounds:
        return
    plans = {ground.name: ground.scenario.paths for ground in grounds}
    bars = {ground.name: len(ground.timestamps) for ground in grounds}
    blocks = {name: plan_blocks(plan.count, plan.block) for name, plan in plans.items()}
    planned = [Piece(each.name, block) for each in grounds for block in blocks[each.name] if wanted(each, block)]
    total, many = sum(bars[piece.scenario] for piece in planned), len(study.alone)
    what = grounds[0].name if len(grounds) == 1 else f"{len(grounds)} scenarios"
    doing = f"sampling {sum(piece.block.take for piece in planned)} paths"
    with _stages(study, what, doing, total, many * len(planned)) as (sampled, tested):
        missing = [
            Piece(ground.name, block)
            for ground in grounds
            for block in missing_blocks(ground, study.alone, study.store, wanted)
        ]
        left, kept = Counter(piece.scenario for piece in missing), Counter[str]()
        whole = {name for name, own in blocks.items() if len(own) == left[name]}
        sampled.leave_out(total - sum(bars[piece.scenario] for piece in missing))
        tested.leave_out(many * (len(planned) - len(missing)))
        work = Delivered.of(Blocks(grounds, study.grounds, study.alone, study.store, sampled, tested))
        if heard is not None:
            heard.begin(len(planned) - len(missing))
        for piece, paths in _computed(study, work, missing):
            if heard is not None:
                heard.finish()
            sampled.finish(bars[piece.scenario])
            tested.finish(many)
            kept[piece.scenario] += paths
            left[piece.scenario] -= 1
            if not left[piece.scenario]:
                study.clock.lap(f"scenario {piece.scenario}")
                if piece.scenario in whole and not kept[piece.scenario]:
                    raise none_left(plans[piece.scenario].count, piece.scenario)


def _computed(study: Study, work: Delivered, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, int]]:
    """Yield each piece and how many paths of it are kept, as they are finished."""
    store, noted = study.store, False
    store.claim(*(file for piece in pieces for file in store.block_files(piece.scenario, piece.block.index, FRAMES)))
    for place, answer in study.queue.answers(work, pieces):
        piece = pieces[place]
        if answer is None and not noted:
            study.progress.note(f"{piece.scenario}: made here, as workers do not see {store.path}")
            noted = True
        paths, files = (work.blocks(piece), {}) if answer is None else answer
        if files:
            _received(store, piece, files)
        yield piece, paths


@contextmanager
def _stages(study: Study, what: str, sampling: str, bars: int, tests: int) -> Iterator[tuple[StageSteps, StageSteps]]:
    try:
        with (
            study.progress.stage(f"{what}: {sampling}", bars) as sampled,
            study.progress.stage(f"{what}: backtesting", tests) as tested,
        ):
            yield StageSteps(sampled), StageSteps(tested)
    finally:
        (study.store.path / SEEN).unlink(missing_ok=True)


def run_islands(study: Study, ground: Prepared) -> None:
    """Compute every island that the folder does not hold yet, until the error asked for is reached.

    As many at once as there are workers, and at first as many as are wanted at least. The islands count in their order,
    as if one had been run after the other: those beyond the one that stops are removed. As :func:`compute_blocks`.
    """
    case, store = case_of(ground), study.store
    steps, records = len(case.plain.measure) * len(ground.timestamps), list[IslandRecord]()
    (fewest, most), many, upto, left = case.sampler.islands, len(study.alone), 0, 0
    with _stages(study, ground.name, f"islands of {case.sampler.island} paths", most, most * many) as (sampled, tested):
        work = Delivered.of(Blocks([ground], study.grounds, study.alone, store, sampled, tested))
        while not stopped(records, case.sampler, steps):
            upto = min(most, max(fewest, len(records) + study.queue.workers))
            batch = [Block(index, 0, 0, 0) for index in range(len(records), upto)]
            absent = [block for block in batch if not is_kept(ground, study.alone, store, block)]
            sampled.leave_out(len(batch) - len(absent))
            tested.leave_out(many * (len(batch) - len(absent)))
            for _ in _computed(study, work, [Piece(ground.name, block) for block in absent]):
                sampled.finish(1)
                tested.finish(many)
            for block in batch:
                if stopped(records, case.sampler, steps):
                    break
                records.append(island_record(ground, store, block.index))
                left += len(store.load_arrays(ground.name, block.index, "path_ids")["path_ids"])
        for index in range(len(records), most):
            store.drop_block(ground.name, index)
        sampled.leave_out(most - upto)
        tested.leave_out((most - upto) * many)
    study.clock.lap(f"scenario {ground.name}")
    if not left:
        raise none_left(sum(len(record.ids) for record in records), ground.name)
