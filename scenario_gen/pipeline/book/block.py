"""One block of a book, as its strategies left it: written, read back, and held against its place in the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import AT, ENDING, ENDINGS
from scenario_gen.backtest.book_losses import SENSES, BookLosses
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.metrics import METRICS
from scenario_gen.backtest.result import fan_bars
from scenario_gen.pipeline.prepared import Book
from scenario_gen.store.folder import RunFolder


@dataclass(frozen=True, eq=False)
class BookBlock:
    """What the strategies made of one block of futures."""

    path_ids: NDArray[np.int64]  # of the futures that every asset has [path]
    metrics: pd.DataFrame  # one row per strategy (its place in the list) and path
    equity: NDArray[np.float32]  # [strategy, path, fan point]
    equity_then: NDArray[np.float32]  # [strategy, path] where the real continuation ends; no rows without one
    losses: list[BookLosses]  # of each strategy, by asset, and of all of them with equal capital, by strategy
    reads: dict[str, dict[str, str]]  # sums of what each strategy's code has read, by its use and the file's name

    def save(self, store: RunFolder, book: str, index: int) -> None:
        """Write the block to its folder.

        Raises:
            StoreError: the disk refuses.
        """
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in ("path_ids", "equity", "equity_then")}
        for place, losses in enumerate(self.losses):
            arrays |= {f"{_lost(place)}{name}": values for name, values in losses.arrays().items()}
        store.save_block(book, index, arrays, {"metrics": self.metrics}, {"reads": self.reads})

    @classmethod
    def load(cls, store: RunFolder, book: Book, index: int, strategies: Sequence[LoadedStrategy]) -> BookBlock:
        """Read a block back.

        Raises:
            StoreError: it is missing or not whole.
        """
        arrays, frames, notes = store.load_block(book.name, index)
        return BookBlock(
            path_ids=arrays["path_ids"],
            metrics=frames["metrics"],
            equity=arrays["equity"],
            equity_then=arrays["equity_then"],
            losses=[
                BookLosses.of_arrays(parts, _under(_lost(place), arrays))
                for place, parts in enumerate(_parts(book, strategies))
            ],
            reads=notes["reads"],
        )

    def fits(self, book: Book, strategies: Sequence[LoadedStrategy], ids: NDArray[np.int64]) -> bool:
        """Return whether the block holds what this place in this run makes: every future, strategy and column of it.

        Raises:
            Exception: of nearly any kind, where somebody else made it.
        """
        many, bars, ground = len(strategies), len(book.timestamps), book.ground
        numbers = self.metrics[[metric.name for metric in METRICS]].to_numpy(dtype=np.float64)
        rows = [(place, path) for place in range(many) for path in ids]
        return (
            np.array_equal(self.path_ids, ids)
            and np.array_equal(self.metrics[["strategy", "path_id"]], np.reshape(rows, (-1, 2)))
            and len(numbers) == many * len(ids)
            and self.equity.shape == (many, len(ids), len(fan_bars(bars)))
            and self.equity_then.shape == (many if len(book.later) else 0, len(ids))
            and all(np.array_equal(each.path_ids, ids) and _are_numbers(each) for each in self.losses)
            and (ground.account is None or bool(self.metrics[ENDING].isin(ENDINGS).all()))
            and (ground.account is None or bool(self.metrics[AT].between(0, bars - 1).all()))
        )


def _lost(place: int) -> str:
    """Return what the names of a strategy's arrays of losses begin with."""
    return f"lost{place}_"


def _under(start: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name[len(start) :]: values for name, values in arrays.items() if name.startswith(start)}


def _parts(book: Book, strategies: Sequence[LoadedStrategy]) -> list[tuple[str, ...]]:
    """Return whose losses a block keeps: the assets' of each strategy, and the strategies' where there are several."""
    of_each = [tuple(book.grounds)] * len(strategies)
    return [*of_each, tuple(strategy.name for strategy in strategies)] if len(strategies) > 1 else of_each


def _are_numbers(losses: BookLosses) -> bool:
    """Return whether every path has a loss of every part, and all are numbers."""
    parts = [of for sense in SENSES for of in vars(getattr(losses, sense)).values()]
    return all(of.shape == (len(losses), len(losses.names)) and bool(np.isfinite(of).all()) for of in parts)
