"""Strategies that trade several assets together: block by block, kept on disk, and summed up like those of one asset.

A future counts where every asset has it: one whose candles were refused in some asset is left out of all. Owns what a
block of a book leaves. Knows neither how orders are filled (:mod:`scenario_gen.backtest.book`) nor how paths are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.book import trade_book
from scenario_gen.backtest.book_losses import BookLosses, fall_edges
from scenario_gen.backtest.book_nulls import SHUFFLED, most_futures, with_book_evidence
from scenario_gen.backtest.book_risk import book_risk
from scenario_gen.backtest.evidence import evidence_findings
from scenario_gen.backtest.findings import ORDERS_PATHS, Stand, ask_strategies, fills_findings
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.reads import unchanged
from scenario_gen.backtest.result import Realised, StrategyResult, fan_bars, make_fan
from scenario_gen.candles.check import none_left
from scenario_gen.finding import Finding
from scenario_gen.generators.base import Advance
from scenario_gen.generators.draws import Block
from scenario_gen.market.book import BookPaths
from scenario_gen.market.export import returns_of
from scenario_gen.pipeline.blocks.block import block_indices, block_paths, paths_of, reads_of
from scenario_gen.pipeline.blocks.merged import FanColumns, MergedBook
from scenario_gen.pipeline.blocks.work import Piece
from scenario_gen.pipeline.book.block import BookBlock
from scenario_gen.pipeline.book.worth import Worth, context_of, realised_worth, together
from scenario_gen.pipeline.named import named_futures, ranked
from scenario_gen.pipeline.prepared import Book
from scenario_gen.pipeline.stages import alike, side_by_side
from scenario_gen.pipeline.study import Results, Study
from scenario_gen.pipeline.summary import NAMED_LIMIT, limit_findings, realised_figures, strategy_result
from scenario_gen.progress import StageSteps
from scenario_gen.store.columns import Columns, MetricTable, Scratch, metric_columns
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.results import BookResult, BookScenario, ScenarioResult


def trade_books(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Let every strategy trade every scenario's assets together; sum up, and hold to the limits.

    Raises:
        CheckError: no future is left that every asset has.
        StrategyError: a strategy raised, or answered something unusable.
        StoreError: the disk refuses.
    """
    told, findings, scratch = [], list[Finding](), Scratch(study.store.path)
    tables: dict[str, MetricTable] = {}
    keep_named = len(study.books) * len(study.strategies) <= NAMED_LIMIT
    for place, book in enumerate(study.books):
        run_book(book, study)
        merged = _merged(book, study.store, study.strategies, scratch)
        own = {ground.name for ground in book.grounds.values()}
        assets = [scenario for scenario in results.scenarios if scenario.name in own]
        told.append(_scenario(book, study, merged, assets, named=keep_named or not place))
        tables[book.name] = merged.table
        if book.role == "scenario":
            of_each = ((strategy, merged.of(place)) for place, strategy in enumerate(study.strategies))
            findings += fills_findings(of_each, book.grounds, book.name)
        if told[-1].dropped:
            lost = f"{told[-1].dropped:,} of {told[-1].paths + told[-1].dropped:,} futures are left out of all assets"
            study.progress.note(f"{book.name}: {lost}, since a candle of some asset broke a rule")
        study.clock.lap(f"trading {book.name}")
    findings += limit_findings(told, study.spec.limits.declared())
    return replace(results, book=BookResult(told), metrics=tables), findings


def compare_books(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Compare what the generators say of every strategy that trades the assets together; nothing of one generator."""
    own = [book for book in study.books if book.role == "scenario"]
    base = next((book for book in own if book.name == "base"), own[0])
    others = [
        book.name
        for book in study.books
        if book.role == "baseline" and all(alike(ground, book.grounds[asset]) for asset, ground in base.grounds.items())
    ]
    return side_by_side(study, results, [base.name, *others])


def probe_books(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Probe every strategy on the first scenario of several assets; as :func:`ask_strategies`."""
    if results.book is None:
        return results, []
    stands: list[Stand] = [
        (book.name, book.ground, cache(partial(first_futures, book, study.store, ORDERS_PATHS))) for book in study.books
    ]
    first = results.book.scenarios[0]
    with study.progress.stage("probing for look-ahead", len(study.strategies)) as advance:
        warm, findings = ask_strategies(study.strategies, stands, advance)
    probed = [replace(known, warm_up=of) for known, of in zip(first.strategies, warm, strict=True)]
    return results.amended_books({first.name: {"strategies": probed}}), findings


def hold_books_against(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Hold every strategy of a book against equal weight, its own decisions of other futures, and history."""
    parts: dict[str, dict[str, list[StrategyResult]]] = {}
    findings: list[Finding] = []
    scenarios = [] if results.book is None else results.book.scenarios
    everywhere = len(scenarios) * len(study.strategies) <= NAMED_LIMIT
    for book, scenario in zip(study.books, scenarios, strict=True):
        if parts and not everywhere:
            study.progress.note(f"{book.name}: skill, pairs and tails are judged in {study.books[0].name} alone")
            continue
        with study.progress.stage(f"{book.name}: beside chance and history", 2 * len(study.strategies)) as advance:
            futures = first_futures(book, study.store, most_futures(len(book.grounds), len(book.timestamps)))
            on = (book.undisturbed, futures, study.strategies, scenario.strategies)
            judged = with_book_evidence(*on, advance, book.real if len(book.later) else None)
        if any(asset.hit for asset in book.grounds.values()):  # what really came was not shocked
            judged = [replace(each, marker=[]) for each in judged]
        parts[book.name] = {"strategies": judged}
        if book.role == "scenario":
            known = {(finding.name, finding.told) for finding in findings}  # a grid on one history: once
            more = evidence_findings(judged, book.name, SHUFFLED, "")
            findings += [each for each in more if (each.name, each.told) not in known]
    return results.amended_books(parts), findings


@dataclass(frozen=True, eq=False)
class Trades:
    """What all blocks of a book are traded with; travels once to each worker."""

    book: Book
    strategies: Sequence[LoadedStrategy]
    store: RunFolder
    edges: Floats  # the return below which each asset falls hard, of all blocks [asset]
    tested: StageSteps

    def __call__(self, piece: Piece) -> bool:
        """Trade one block and save it; False where the folder with the futures of its assets is not seen."""
        index = piece.block.index
        if not all(self.store.has_block(ground.name, index) for ground in self.book.grounds.values()):
            return False
        self.trade(index)
        return True

    def trade(self, index: int) -> None:
        """Trade one block and save it.

        Raises:
            StoreError: the futures of an asset are not there.
        """
        paths = book_block(self.book, self.store, index)
        traded_block(self.book, self.strategies, paths, self.edges, self.tested).save(self.store, self.book.name, index)


def run_book(book: Book, study: Study) -> None:
    """Trade every block of a book that the folder does not hold yet.

    Raises:
        CheckError: no future is left that every asset has.
        StrategyError: a strategy raised, or answered something unusable.
        StoreError: the disk refuses.
    """
    store, strategies, first = study.store, study.strategies, book.first
    ids = {index: _common_ids(book, store, index) for index in block_indices(first, store)}
    if not any(len(each) for each in ids.values()):
        raise none_left(first.scenario.paths.count, book.name)
    missing = [index for index, of in ids.items() if not _is_kept(book, strategies, store, index, of)]
    with study.progress.stage(f"{book.name}: backtesting", len(ids) * len(strategies)) as advance:
        tested = StageSteps(advance)
        tested.leave_out((len(ids) - len(missing)) * len(strategies))
        if not missing:
            return
        store.claim(*(file for index in missing for file in store.block_files(book.name, index, ["metrics"])))
        work = Trades(book, strategies, store, hard_falls(book, store), tested)
        for place, traded in study.queue.answers(work, [Piece(book.name, Block(index, 0, 0, 0)) for index in missing]):
            if not traded:  # by a worker of a machine that shares no disk with this
                work.trade(missing[place])
            tested.finish(len(strategies))


def book_block(book: Book, store: RunFolder, index: int) -> BookPaths:
    """Return the futures of one block that every asset has."""
    return BookPaths.common({asset: block_paths(ground, store, index) for asset, ground in book.grounds.items()})


def book_blocks(book: Book, store: RunFolder) -> Iterator[BookPaths]:
    """Yield the futures of a scenario that every asset has, block by block."""
    for index in block_indices(book.first, store):
        yield book_block(book, store, index)


def first_futures(book: Book, store: RunFolder, most: int) -> BookPaths:
    """Return the first futures of a scenario that every asset has, at most so many."""
    parts, count = [], 0
    for part in book_blocks(book, store):
        parts.append(part)
        count += len(part)
        if count >= most:
            break
    return BookPaths.joined(parts).first(most)


def hard_falls(book: Book, store: RunFolder) -> Floats:
    """Return the return below which each asset falls hard, over all futures, float64 [asset]."""
    ids = [_common_ids(book, store, index) for index in block_indices(book.first, store)]
    edges = []
    for ground in book.grounds.values():
        closes = [part.select(of).closes for part, of in zip(paths_of(ground, store), ids, strict=True) if len(of)]
        edges.append(fall_edges(np.concatenate([returns_of(each[:, :, None], "simple") for each in closes])))
    return np.concatenate(edges)


def _common_ids(book: Book, store: RunFolder, index: int) -> NDArray[np.int64]:
    """Return the ids of the futures of a block that every asset has, of whose bars nothing is read."""
    ids, *others = (store.load_arrays(ground.name, index, "path_ids")["path_ids"] for ground in book.grounds.values())
    for other in others:
        ids = ids[np.isin(ids, other)]
    return ids


def _is_kept(
    book: Book, strategies: Sequence[LoadedStrategy], store: RunFolder, index: int, ids: NDArray[np.int64]
) -> bool:
    """Return whether the folder holds a block as this run would make it; as :func:`blocks.is_kept`."""
    if not store.has_block(book.name, index):
        return False
    try:
        kept = BookBlock.load(store, book, index, strategies)
        reads = {str(use): dict(sums) for use, sums in kept.reads.items()}
        whole = kept.fits(book, strategies, ids)
    except Exception:  # a block that somebody else made can raise nearly anything
        return False
    return whole and all(unchanged(strategy.file, reads.get(strategy.use, {})) for strategy in strategies)


def traded_block(
    book: Book, strategies: Sequence[LoadedStrategy], paths: BookPaths, edges: Floats, tested: Advance
) -> BookBlock:
    """Trade one block; ``edges`` is the return below which each asset falls hard."""
    fan, then = fan_bars(paths.horizon), len(book.later)
    rows, equity, equity_then, losses = [], dict[str, NDArray[np.float32]](), [], []
    returns = returns_of(paths.closes, "simple")  # [path, bar, asset]
    for place, strategy in enumerate(strategies):
        traded = trade_book(strategy, book.ground, paths)
        result = traded.result
        equity[strategy.name] = result.equity
        equity_then += [result.equity[:, then]] if then else []
        losses.append(
            BookLosses.of(
                traded.profit,
                result.equity,
                paths.assets,
                holding=traded.holding,
                returns=returns,
                open_bars=paths.open_bars,
                edges=edges,
                path_ids=paths.path_ids,
            )
        )
        metrics = result.metrics if result.endings is None else result.metrics.join(result.endings)
        rows.append(metrics.assign(strategy=place).reset_index())
        tested(1)
    return BookBlock(
        path_ids=paths.path_ids,
        metrics=pd.concat(rows, ignore_index=True),
        equity=np.stack([values[:, fan] for values in equity.values()]),
        equity_then=np.stack(equity_then) if equity_then else np.empty((0, len(paths)), dtype=np.float32),
        losses=[*losses, BookLosses.of_strategies(equity, paths.path_ids)] if len(equity) > 1 else losses,
        reads=reads_of(strategies),
    )


# --- From stored blocks to a BookScenario ---


def _merged(book: Book, store: RunFolder, strategies: Sequence[LoadedStrategy], scratch: Scratch) -> MergedBook:
    metrics, columns, losses = Columns(scratch), Columns(scratch), []
    for index in block_indices(book.first, store):
        part = BookBlock.load(store, book, index, strategies)
        losses.append(part.losses)
        if not len(part.path_ids):
            continue
        of_each = metric_columns(part.metrics, len(strategies))
        metrics.append({"path_id": part.path_ids, "block": np.full(len(part.path_ids), index), **of_each})
        columns.append(
            {f"equity{place}": equity for place, equity in enumerate(part.equity)}
            | {f"then{place}": then for place, then in enumerate(part.equity_then)}
        )
    return MergedBook(
        table=MetricTable(book.name, tuple(strategy.name for strategy in strategies), metrics),
        columns=columns,
        losses=[BookLosses.joined(list(each)) for each in zip(*losses, strict=True)],
    )


def _scenario(
    book: Book, study: Study, merged: MergedBook, assets: Sequence[ScenarioResult], *, named: bool
) -> BookScenario:
    first = book.first
    ranks = [np.array(ranked(merged.of(place)["total_return"])) for place in range(len(study.strategies))]
    shown = _shown(book, study.store, merged, np.unique(ranks)) if named else None
    worth = Worth.of(book, book_blocks(book, study.store))
    return BookScenario(
        name=book.name,
        role=book.role,
        generator=assets[0].generator,
        context=context_of(book),
        candles=together([asset.candles for asset in assets]),
        volatility_ratio=worth.ratios,
        price_fan=make_fan(worth.fan.T, merged.path_ids, len(book.timestamps)),
        realised_close=realised_worth(book),
        assets=list(book.grounds),
        coupling=book.coupling,
        horizon=len(book.timestamps),
        timestamps=[stamp.isoformat() for stamp in book.timestamps],
        paths=len(merged.columns),
        dropped=first.scenario.paths.count - len(merged.columns),
        strategies=[
            _strategy(book, study, merged, place, (merged.path_ids[ranks[place]], shown))
            for place in range(len(study.strategies))
        ],
        together=book_risk(merged.losses[-1]) if len(study.strategies) > 1 else None,
    )


def _strategy(
    book: Book, study: Study, merged: MergedBook, place: int, five: tuple[NDArray[np.int64], BookPaths | None]
) -> StrategyResult:
    """Sum one strategy up; ``five`` are its futures at five ranks, and those of all strategies where they are shown."""
    strategy, (ids, shown) = study.strategies[place], five
    known = strategy_result(
        strategy,
        merged.of(place),
        FanColumns(merged.columns, f"equity{place}"),
        merged.path_ids,
        len(book.timestamps),
        study.spec.limits,
        seed=book.first.scenario.paths.seed % 2**32,
        realised=_realised(book, strategy, place, merged),
        named=() if shown is None else named_futures(strategy, book.ground, ids, shown.select(np.unique(ids))),
        rules=book.ground.account,
    )
    return replace(known, risk=book_risk(merged.losses[place]))


def _realised(book: Book, strategy: LoadedStrategy, place: int, merged: MergedBook) -> Realised | None:
    """Let the strategy trade what really happened; place its return among the futures over the same bars."""
    if not len(book.later):
        return None
    real = trade_book(strategy, book.ground, book.real).result
    return realised_figures(real.metrics, len(book.later), merged.columns[f"then{place}"], book.ground.broker.cash)


def _shown(book: Book, store: RunFolder, merged: MergedBook, rows: NDArray[np.int64]) -> BookPaths:
    """Return the futures that some strategy has at one of five ranks, from every block once."""
    blocks, ids = merged.table.columns["block"][rows], merged.path_ids[rows]
    return BookPaths.joined(
        [book_block(book, store, int(at)).select(np.unique(ids[blocks == at])) for at in np.unique(blocks)]
    )
