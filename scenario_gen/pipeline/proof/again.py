"""Paths of a finished run made once more: sampled, checked, backtested, and held against what the run kept of them.

Whole blocks are made, since a block is the unit of shape: products of matrices of another shape end in other last
digits. They go to a folder of their own; the run's is read alone. Owns which blocks are made and what of them is
compared. Whether the same spec, data, model and code stand here is :mod:`scenario_gen.pipeline.proof.steps`'s to say.

On the device and with the versions of the run every number is the same to the last bit. Elsewhere float32 sums differ
by their roundings, 6e-8 each. With nano, 512 paths of 40 bars, a processor's vector instructions beside none: 4 paths
were the same to the bit, 506 differed by at most 2.4e-7 in prices, 2 departed, since a token whose uniform lies next to
a boundary is another token, and its path another path from there. That is 5e-5 a token, 95 % interval to 1.8e-4: of 252
bars 9 % at most, so APART of the paths may depart, or two. NEAR leaves room for other orders of summation: it is what
the tests of islands hold paths of other shapes to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.metrics import METRICS
from scenario_gen.errors import ScenarioError, StoreError
from scenario_gen.generators.draws import Block, plan_blocks
from scenario_gen.pipeline.blocks.block import FinishedBlock, block_indices, island_record
from scenario_gen.pipeline.blocks.work import Blocks, Piece
from scenario_gen.pipeline.book.trade import book_block, hard_falls, traded_block
from scenario_gen.pipeline.named import digits
from scenario_gen.pipeline.prepared import Book, Prepared
from scenario_gen.pipeline.stress.answers import replay_crises, weighed
from scenario_gen.pipeline.stress.shocks import twin_of
from scenario_gen.pipeline.study import Results, Study
from scenario_gen.progress import StageSteps
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.facts import path_statistics
from scenario_gen.realism.gauge import Gauge
from scenario_gen.store.certificate import ChosenPaths, Proof, ProvedPaths
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.results import StressRun
from scenario_gen.values import encode

NEAR = 2e-5  # relative, of prices
NEAR_FIGURES = 1e-3  # of metrics, whose sizes are about 1: sums over a path of prices that are near
APART = 0.1  # share of paths that may depart elsewhere

Stored: TypeAlias = tuple[dict[str, NDArray[Any]], dict[str, pd.DataFrame], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Lot:
    """Scenarios whose blocks are made together: one alone, or all assets of a book."""

    grounds: tuple[Prepared, ...]
    sizes: list[int]  # paths of each block
    book: Book | None = None

    @property
    def name(self) -> str:
        """What the run calls it."""
        return self.grounds[0].name if self.book is None else self.book.name


@dataclass(eq=False)
class Again:
    """A study whose blocks are made once more, and the run that they are held against."""

    study: Study  # its folder is a new one
    run: StressRun
    kept: RunFolder  # the run's: it is read and never written
    tables: Mapping[str, pd.DataFrame]  # of the run, by the name of the file; those that are there
    exact: bool  # whether every number must be the same to the last bit
    _gauges: dict[str, Gauge] = field(default_factory=dict)

    @cached_property
    def _work(self) -> Blocks:
        study, unheard = self.study, StageSteps()
        return Blocks(study.grounds, study.grounds, study.alone, study.store, unheard, unheard)

    @cached_property
    def lots(self) -> list[Lot]:
        """What is made again; scenarios that weigh the paths of others have none of their own."""
        if self.study.books:
            return [Lot(tuple(book.grounds.values()), self._sizes(book.first), book) for book in self.study.books]
        own = [ground for ground in self.study.grounds if ground.scenario.reweight is None]
        return [Lot((ground,), self._sizes(ground)) for ground in own]

    def _sizes(self, ground: Prepared) -> list[int]:
        if not ground.split:
            plan = ground.scenario.paths
            return [block.take for block in plan_blocks(plan.count, plan.block)]
        return [len(self._ids(ground, index)) for index in block_indices(ground, self.kept)]

    def _ids(self, ground: Prepared, index: int) -> NDArray[np.int64]:
        if not ground.split:
            plan = ground.scenario.paths
            block = plan_blocks(plan.count, plan.block)[index]
            return block.start + np.arange(block.take)
        return island_record(ground, self.kept, index).ids

    def chosen(self, choice: ChosenPaths) -> dict[str, list[int]]:
        """Return the blocks of each lot that the chosen paths lie in.

        Raises:
            StoreError: no scenario has the path that was named.
        """
        if choice.path is not None:
            return self._blocks_with(choice.path)
        rng = np.random.default_rng(choice.seed)
        sizes = [np.cumsum([0, *lot.sizes]) for lot in self.lots]
        starts = np.cumsum([0, *(each[-1] for each in sizes)])
        drawn: list[int] = []
        if choice.paths >= len(self.lots):  # one of each first, so that none is left out by chance
            drawn = [
                int(start + rng.integers(each[-1])) for start, each in zip(starts, sizes, strict=False) if each[-1]
            ]
        rest = np.setdiff1d(np.arange(starts[-1]), drawn)
        drawn += rng.choice(rest, min(len(rest), choice.paths - len(drawn)), replace=False).tolist()
        blocks: dict[str, set[int]] = {lot.name: set() for lot in self.lots}
        for at in drawn:
            place = int(np.searchsorted(starts, at, side="right")) - 1
            inside = at - int(starts[place])
            blocks[self.lots[place].name].add(int(np.searchsorted(sizes[place], inside, side="right")) - 1)
        return {name: sorted(indices) for name, indices in blocks.items()}

    def _blocks_with(self, path: int) -> dict[str, list[int]]:
        blocks = {
            lot.name: [at for at in range(len(lot.sizes)) if path in self._ids(lot.grounds[0], at)] for lot in self.lots
        }
        if not any(blocks.values()):
            raise StoreError(
                f"no scenario of the run has a path {path}",
                expected="the id of a generated path: they count from 0",
                fix="name another, or leave --path out to have some drawn",
            )
        return blocks

    # --- Making blocks ---

    def make(self, ground: Prepared, index: int) -> None:
        """Make one block and write it to the study's folder; of shocked paths those before the shocks too."""
        store = self.study.store
        if store.has_block(ground.name, index):
            return
        twin = twin_of(ground, self.study.grounds) if ground.scenario.shocks else None
        if twin is not None:
            self.make(twin, index)
        plan = ground.scenario.paths
        block = Block(index, 0, 0, 0) if ground.split else plan_blocks(plan.count, plan.block)[index]
        self._work(Piece(ground.name, block))

    def make_book(self, book: Book, index: int) -> None:
        """Trade one block of a book whose assets' blocks are made, and write it to the study's folder.

        Raises:
            StoreError: the run keeps no blocks, and what a hard fall is hangs on all of them.
        """
        store, strategies = self.study.store, self.study.strategies
        edges = hard_falls(book, self.kept)
        made = traded_block(book, strategies, book_block(book, store, index), edges, StageSteps())
        made.save(store, book.name, index)

    # --- Holding them against the run ---

    def prove(self, lot: Lot, indices: Sequence[int], advance: StageSteps) -> tuple[Proof, list[ProvedPaths]]:
        """Make blocks of a lot and hold them against everything that the run kept of them."""
        step = f"paths: {lot.name}"
        if not indices:
            return Proof(step, "UNTESTABLE", "none of its paths was drawn: give --paths a higher number"), []
        wrong, held, apart = [], dict[str, None](), 0
        for index in indices:
            for ground in lot.grounds:
                self.make(ground, index)
                more, against, away = self._held(ground, index)
                wrong += more
                held |= dict.fromkeys(against)
                apart += away
            if lot.book is not None:
                self.make_book(lot.book, index)
                against = self._book_held(lot.book, index)
                wrong += against
                held |= dict.fromkeys(["what its strategies made of them"])
            advance(1)
        paths = sum(lot.sizes[index] for index in indices)
        count = f"{paths:,} paths in {len(indices)} of {len(lot.sizes)} blocks, made again"
        proved = [ProvedPaths(ground.name, [*indices], paths, self.exact) for ground in lot.grounds]
        if not held:
            return Proof(step, "UNTESTABLE", f"{count}; the run kept nothing of them to hold them against"), []
        listed = ", ".join(held)
        if not self.exact:
            most = max(2, int(APART * paths * len(lot.grounds)))
            told = f"{apart} of them depart by more than {NEAR:g} from some bar on ({most} may): {listed}"
            label = "FAIL" if apart > most or wrong else "PASS"
            return Proof(step, label, f"{count}: {told}", wrong), proved  # type: ignore[arg-type]
        if wrong:
            return Proof(step, "FAIL", f"{count}, are not what the run has: {wrong[0]}", wrong), []
        return Proof(step, "PASS", f"{count}, are the same to the last bit: {listed}"), proved

    def _held(self, ground: Prepared, index: int) -> tuple[list[str], list[str], int]:
        """Return what differs, what was compared, and how many paths depart where that may be."""
        made = FinishedBlock.load(ground, self.study.store, index)
        name, wrong, held = ground.name, list[str](), list[str]()
        whole = self.kept.has_block(name, index)
        if not self.exact:
            return self._near(ground, made, index, whole)
        if whole:
            held.append("blocks")
            stored, own = (store.load_block(name, index) for store in (self.study.store, self.kept))
            wrong += [f"block {name} {index}: {_told(what, stored, own)}" for what in differences(stored, own)]
        for file, keys, rows in self._rows(ground, made):
            if name not in self.study.unkept and (table := self.tables.get(file)) is not None:
                held.append(file)
                unlike = _unlike(rows, _own_rows(table, name, rows), keys)
                wrong += [f"{file} {name}: {what}" for what in unlike]
        kept_paths = self.kept.paths_path(name)
        if kept_paths.is_file():
            held.append("kept paths")
            frame = pd.read_parquet(kept_paths, filters=[("path_id", "in", made.paths.path_ids.tolist())])
            unlike = _unlike(made.paths.to_pandas(), frame, ["path_id", "bar"])
            wrong += [f"kept paths {name}: {what}" for what in unlike]
        shown = [*self._shown(ground, made)]
        return wrong + [what for what in shown if what], held + (["paths shown bar by bar"] if shown else []), 0

    def _rows(self, ground: Prepared, made: FinishedBlock) -> Iterator[tuple[str, list[str], pd.DataFrame]]:
        """Yield the rows that each table of the run must have of a block, and the columns that tell them apart."""
        if self.study.alone:
            metrics = _named(self.study.alone, made.metrics)
            yield "metrics.parquet", ["strategy", "path_id"], metrics
        yield "candles.parquet", ["path_id"], made.tally.counts.reset_index()
        facts = self.tables.get("facts.parquet")
        if facts is not None and len(made.paths) and (facts["scenario"] == ground.name).any():
            gauge = self._gauges.setdefault(ground.history.sha256(), Gauge.of(ground.history))
            bars = BarArrays.of_paths(made.paths, tick=gauge.tick, clock=gauge.clock)
            measured = path_statistics(bars, gauge=gauge)
            yield "facts.parquet", ["path_id"], pd.DataFrame({"path_id": made.paths.path_ids, **measured})

    def _shown(self, ground: Prepared, made: FinishedBlock) -> Iterator[str]:
        """Yield what is wrong with each path of a block that run.json has bar by bar; "" where nothing is."""
        result = next((each for each in self.run.scenarios if each.name == ground.name), None)
        told, ran = ([each.name for each in every] for every in (result.strategies if result else (), self.study.alone))
        if result is None or told != ran:
            yield f"run.json {ground.name}: {f'strategies {told} where {ran} ran' if result else 'not there'}"
            return
        rows = {int(path): row for row, path in enumerate(made.paths.path_ids)}
        metrics = made.metrics.set_index(["strategy", "path_id"])["total_return"]
        for place, strategy in enumerate(result.strategies):
            for path in strategy.named_paths:
                if (row := rows.get(path.path_id)) is None:
                    continue
                pairs = [
                    (made.paths.column(name)[row], getattr(path, name)) for name in ("open", "high", "low", "close")
                ]
                bars = all(digits(own, 7) == shown for own, shown in pairs)
                earned = float(metrics[(place, path.path_id)]) == path.total_return
                where = f"run.json {ground.name}: {strategy.name}, {path.label} path {path.path_id}"
                yield "" if bars and earned else where

    def _near(self, ground: Prepared, made: FinishedBlock, index: int, whole: bool) -> tuple[list[str], list[str], int]:
        """Return the same as :meth:`_held` where numbers may differ by their roundings."""
        name, rows = ground.name, made.paths.path_ids
        away = np.zeros(len(rows), dtype=bool)
        held = []
        if whole:
            kept = FinishedBlock.load(ground, self.kept, index)
            if not np.array_equal(kept.paths.path_ids, rows):
                return [f"block {name} {index}: other paths were kept"], ["blocks"], 0
            held.append("blocks")
            off = np.abs(made.paths.values[..., :4] / kept.paths.values[..., :4] - 1)  # prices [path, bar, field]
            away |= (off > NEAR).any(axis=(1, 2))
        table = self.tables.get("metrics.parquet")
        if table is not None and self.study.alone and name not in self.study.unkept:
            metrics = _named(self.study.alone, made.metrics)
            keys, names = ["strategy", "path_id"], [metric.name for metric in METRICS]
            own = _own_rows(table, name, metrics).set_index(keys).reindex(pd.MultiIndex.from_frame(metrics[keys]))
            a, b = (frame[names].to_numpy(dtype=np.float64) for frame in (metrics, own))
            near = (np.abs(a - b) <= NEAR_FIGURES * np.maximum(1, np.abs(b))) | (np.isnan(a) & np.isnan(b))
            away |= np.isin(rows, metrics["path_id"].to_numpy()[~near.all(axis=1)])
            held.append("metrics.parquet")
        return [], held, int(away.sum())

    def _book_held(self, book: Book, index: int) -> list[str]:
        if not self.exact:
            return []
        made = self.study.store.load_block(book.name, index)
        wrong = [
            f"block {book.name} {index}: {what}" for what in differences(made, self.kept.load_block(book.name, index))
        ]
        table = self.tables.get("metrics.parquet")
        if table is not None:
            rows = _named(self.study.strategies, made[1]["metrics"])
            own = _own_rows(table, book.name, rows)
            wrong += [f"metrics.parquet {book.name}: {what}" for what in _unlike(rows, own, ["strategy", "path_id"])]
        return wrong

    # --- What has no blocks of its own ---

    def prove_views(self, ground: Prepared) -> Proof:
        """Weigh the paths of another scenario once more, as the views of this one ask."""
        source = next(other for other in self.study.grounds if other.name == ground.scenario.reweight)
        step = f"paths: {ground.name}"
        indices = block_indices(source, self.kept)
        if not indices or not self.kept.has_block(ground.name, 0):
            return Proof(step, "UNTESTABLE", f"the blocks of {source.name}, whose paths its views weigh, are not kept")
        reweighed, after = weighed(ground, source, self.study.strategies, self.kept)
        copies = [self.kept.load_block(ground.name, index) for index in indices]
        weights = np.concatenate([arrays["weights"] for arrays, _, _ in copies])
        wrong = [] if np.array_equal(weights, np.asarray(after.weights)) else ["weights of its paths"]
        for index, copy in zip(indices, copies, strict=True):
            original = self.kept.load_block(source.name, index)
            unlike = differences(original, copy, but=("weights", "held", "island"))
            wrong += [f"block {ground.name} {index}: {what}" for what in unlike]
        result = next(each for each in self.run.scenarios if each.name == ground.name)
        wrong += [] if encode(result.reweighed) == encode(reweighed) else ["what run.json says of its views"]
        told = f"{len(weights):,} paths of {source.name} weighed again by its views"
        return Proof(step, "FAIL" if wrong else "PASS", f"{told}: {wrong[0] if wrong else 'the same weights'}", wrong)

    def prove_replays(self) -> Proof:
        """Replay every crisis once more."""
        again = replay_crises(self.study, Results())[0].replays
        wrong = [kept.name for made, kept in zip(again, self.run.replays, strict=False) if encode(made) != encode(kept)]
        wrong += ["their number"] if len(again) != len(self.run.replays) else []
        told = f"{len(again)} replayed again: {'not what run.json says: ' + ', '.join(wrong) if wrong else 'the same'}"
        if wrong and not self.exact:
            return Proof(
                "replays", "UNTESTABLE", f"{told}; to the last bit they can be the same on the run's device alone"
            )
        return Proof("replays", "FAIL" if wrong else "PASS", told, wrong)


def prove_paths(again: Again, choice: ChosenPaths) -> tuple[list[Proof], list[ProvedPaths]]:
    """Make the blocks of chosen paths again, and everything of the run that has no blocks of its own.

    Raises:
        StoreError: no scenario has the path that was named.
    """
    proofs, proved = [], list[ProvedPaths]()
    blocks = again.chosen(choice)
    count = sum(map(len, blocks.values()))
    with again.study.progress.stage("making paths again", count) as advance:
        for lot in again.lots:
            try:
                proof, more = again.prove(lot, blocks[lot.name], StageSteps(advance))
            except ScenarioError as error:
                proof, more = Proof(f"paths: {lot.name}", "UNTESTABLE", error.problem), []
            proofs.append(proof)
            proved += more
    proofs += [again.prove_views(ground) for ground in again.study.grounds if ground.scenario.reweight is not None]
    if again.study.replays:
        proofs.append(again.prove_replays())
    return proofs, proved


# --- Comparing ---


def differences(made: Stored, kept: Stored, but: Sequence[str] = ()) -> list[str]:
    """Return the names of what differs between two stored blocks, to the last bit; parts of ``but`` are left out."""
    names = [name for name in {**made[0], **kept[0]} if not name.startswith(tuple(but) or "\0")]
    wrong = [name for name in names if not _same_array(made[0].get(name), kept[0].get(name))]
    for name in {**made[1], **kept[1]}:
        wrong += [] if _same_frame(made[1].get(name), kept[1].get(name)) else [name]
    for name in [name for name in {**made[2], **kept[2]} if name not in but]:
        pair_of_notes = [_sums(notes.get(name)) if name == "reads" else notes.get(name) for notes in (made[2], kept[2])]
        wrong += [] if pair_of_notes[0] == pair_of_notes[1] else [name]
    return wrong


def _told(what: str, made: Stored, kept: Stored) -> str:
    """Return what differs, of bars with by how much: another processor's roundings are no edit."""
    a, b = made[0].get(what), kept[0].get(what)
    if what != "values" or a is None or b is None or a.shape != b.shape:
        return what
    off = float(np.abs(a[..., :4] / b[..., :4] - 1).max())
    hint = "; on another processor than the run's that is rounding: --elsewhere" if off <= NEAR else ""
    return f"prices, by up to {off:.1g} of their size{hint}"


def _sums(reads: Any) -> list[list[str]]:
    """Return the sums of what strategies have read, without their files' places."""
    return [sorted(map(str, sums.values())) for sums in dict(reads or {}).values()]


def _same_array(a: NDArray[Any] | None, b: NDArray[Any] | None) -> bool:
    if a is None or b is None:
        return False
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _same_frame(a: pd.DataFrame | None, b: pd.DataFrame | None) -> bool:
    if a is None or b is None:
        return False
    return [*a.columns] == [*b.columns] and len(a) == len(b) and a.equals(b)


def _named(strategies: Sequence[LoadedStrategy], metrics: pd.DataFrame) -> pd.DataFrame:
    """Return metrics with strategies by their names, as the table has them."""
    names = np.array([strategy.name for strategy in strategies], dtype=object)
    return metrics.assign(strategy=names[metrics["strategy"].to_numpy()])


def _own_rows(table: pd.DataFrame, scenario: str, rows: pd.DataFrame) -> pd.DataFrame:
    return table[(table["scenario"] == scenario) & table["path_id"].isin(rows["path_id"])]


def _unlike(rows: pd.DataFrame, own: pd.DataFrame, keys: list[str]) -> list[str]:
    """Return the columns in which rows of a table are not those that it must have, whatever their order."""
    if len(rows) != len(own):
        return [f"{len(own):,} rows where there must be {len(rows):,}"]
    a, b = (frame.sort_values(keys).reset_index(drop=True) for frame in (rows, own))
    return [name for name in a.columns if name not in b or not _same_column(a[name], b[name])]


def _same_column(a: pd.Series[Any], b: pd.Series[Any]) -> bool:
    if pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b):
        return bool(np.array_equal(a.to_numpy(np.float64), b.to_numpy(np.float64), equal_nan=True))
    return [*a] == [*b]
