"""Events of a portfolio: how near a book that holds several assets is to a loss, and how probable that loss is.

Holdings are bought at the last real closes and kept: shares of equity by weights, the rest in cash. A path holds all
assets, so that splitting branches whole joint futures (:mod:`scenario_gen.joint.walks`); everything else is as of the
events of one asset. No costs, no rebalancing: the account of a strategy is asked for by its own backtest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest.account import RUINED
from scenario_gen.joint.walks import BookGenerator
from scenario_gen.market.book import BookPaths
from scenario_gen.market.candles import Candles, continue_ewma, running_volatility, volatility
from scenario_gen.market.paths import Floats, PathSet, joined
from scenario_gen.reading.section import section_of
from scenario_gen.reading.words import whole
from scenario_gen.stats.estimate import Estimate
from scenario_gen.stats.weights import Weights
from scenario_gen.stress.event import PortfolioEvent, Sampler
from scenario_gen.stress.events import drawdown_score, loss_score
from scenario_gen.stress.exceedance import weights_of
from scenario_gen.stress.rare import Asked, IslandRecord, Sampled, by_rejection, islands_of, method_of, summed_up
from scenario_gen.stress.splitting import Island, Scored, slots_of
from scenario_gen.stress.verdicts import FEWEST_BEFORE, began_alike, counted_windows


@dataclass(frozen=True, eq=False)
class PortfolioScore:
    """How near holdings that are kept come to a loss, at each close of each joint future."""

    event: PortfolioEvent
    weights: Floats  # share of equity at the start [asset]
    anchors: Floats  # last real closes [asset]
    closes: NDArray[np.int64]  # places of the closes among the fields of a bar [asset]
    variance: float  # running (EWMA) variance of the portfolio's log returns after the last real bar

    @classmethod
    def of(cls, event: PortfolioEvent, book: BookGenerator) -> PortfolioScore:
        """Return the score of an event of a book.

        Raises:
            SpecError: the event names an asset that the book has not.
        """
        weights = np.array(event.shares(tuple(book.parts)))
        contexts = list(book.contexts.values())
        common = contexts[0].timestamps
        for context in contexts[1:]:
            common = common.intersection(context.timestamps)
        closes = np.stack([each.close[each.timestamps.isin(common)] for each in contexts], axis=1)
        anchors = np.array([float(context.close[-1]) for context in contexts])
        variance = float(running_volatility(_returns(closes, weights))[-1] ** 2)
        return cls(event, weights, anchors, book.closes, variance)

    def __call__(self, values: NDArray[np.float32]) -> Scored:
        """Score whole joint futures [row, bar, field of any asset]; the measure is the loss as a share."""
        level = np.log(np.maximum(self.equity(values), RUINED))
        returns = np.diff(level, axis=1, prepend=0.0)
        start = np.full(len(level), self.variance)
        deviation = np.sqrt(np.maximum(continue_ewma(start, returns**2)[:, 1:], 1e-12))
        if self.event.functional == "portfolio_drawdown":
            highest = np.maximum(np.maximum.accumulate(level, axis=1), 0.0)
            return drawdown_score(highest - level, deviation, self.event.at_least)
        return loss_score(-level, deviation, self.event.at_least)

    def equity(self, values: NDArray[np.float32]) -> Floats:
        """Return the portfolio in shares of its start after each bar [row, bar]; NaN where a price is no number."""
        gained = values[..., self.closes].astype(np.float64) / self.anchors - 1.0
        return np.asarray(1.0 + gained @ self.weights)


def portfolio_in_history(
    event: PortfolioEvent, histories: Mapping[str, Candles], horizon: int
) -> tuple[Estimate, Estimate]:
    """Count the windows of common history that hold an event, as :func:`scenario_gen.stress.verdicts.in_history`.

    Args:
        event: counted at closes, as on paths; each window's holdings are bought at the close before it.
        histories: each asset's bars at the stamps that all have, up to the context's end.
        horizon: bars of a window.

    Raises:
        SpecError: the event names an asset that is not there.
    """
    weights = np.array(event.shares(tuple(histories)))
    closes = np.stack([each.close for each in histories.values()], axis=1)  # [bar, asset]
    level = np.exp(np.concatenate(([0.0], np.cumsum(_returns(closes, weights)))))
    places, held = np.arange(len(weights)), list[tuple[bool, bool]]()
    now = float(volatility(level[-FEWEST_BEFORE:]))
    for end in range(len(closes), FEWEST_BEFORE + horizon - 1, -horizon):
        start = end - horizon
        score = PortfolioScore(event, weights, closes[start - 1], places, 0.0)
        happened = bool(score(closes[None, start:end].astype(np.float32)).happened[0])
        held.append((happened, began_alike(float(volatility(level[start - FEWEST_BEFORE : start])), now)))
    return counted_windows(held)


def _returns(closes: Floats, weights: Floats) -> Floats:
    """Return log returns of a portfolio that is brought back to its weights at each close [bar - 1]."""
    return np.asarray(np.log1p(np.maximum((closes[1:] / closes[:-1] - 1.0) @ weights, RUINED - 1.0)))


@dataclass(frozen=True, eq=False)
class PortfolioEventPaths:
    """The joint futures that say how probable an event of a portfolio is, and what they say."""

    paths: BookPaths  # with weights: all together describe the whole law, those in the event its rare part
    happened: NDArray[np.bool_]  # [path]: whether the event happens there
    loss: Floats  # of the portfolio, as the event measures it [path]
    weights: Weights | None  # of the paths; None where all count alike
    sampled: Sampled  # probability with interval, levels, genealogy


def sample_portfolio_event(
    book: BookGenerator,
    event: PortfolioEvent | Mapping[str, Any],
    *,
    sampler: Sampler | Mapping[str, Any] | None = None,
    paths: int = 2000,
    block: int = 512,
    name: str = "portfolio",
) -> PortfolioEventPaths:
    """Sample the joint futures of an event of a portfolio and how probable it is.

    By plain joint paths where enough of them show it, else by splitting: a particle holds all assets.

    Args:
        book: coupled generators of its assets, with their contexts.
        event: what is asked, or a mapping with its keys.
        sampler: how islands are run; default: 8 to 16 islands of 512 paths.
        paths: plain joint paths that come first: those of a run with the book's seed.
        block: of them, sampled together.
        name: of the scenario; other names have other islands.

    Raises:
        SpecError: event, sampler or a number cannot be used, or the event names an asset that the book has not.
        DataError: a generator cannot be walked, or refuses its context.
        CheckError: a price is no number.
    """
    wanted = section_of(PortfolioEvent, event, "event")
    paths, block = whole("paths", paths), whole("block", block)
    how = Sampler() if sampler is None else section_of(Sampler, sampler, "sampler")
    score = PortfolioScore.of(wanted, book)
    context = next(iter(book.contexts.values()))
    asked = Asked(book, context, book.timestamps, book.seed, name)
    plain = asked.plain(paths, block, score)
    if method_of(how, plain) == "rejection":
        parts = list(asked.plain_paths(paths, block))
        inside = np.isin(np.arange(paths), plain.inside)
        measure = np.array(plain.measure)
        return PortfolioEventPaths(book.book(joined(parts)), inside, measure, None, by_rejection(plain))
    islands = list(islands_of(asked, how, score, plain))
    records = [IslandRecord.of(island) for island in islands]
    return PortfolioEventPaths(
        book.book(joined([_paths_of(island, book) for island in islands])),
        np.concatenate([record.happened for record in records]),
        np.concatenate([record.measure for record in records]),
        weights_of(records),
        summed_up(records, how, plain, len(book.timestamps)),
    )


def _paths_of(island: Island, book: BookGenerator) -> PathSet:
    """Return an island's joint futures, with the weight, island and first ancestor of each."""
    return PathSet(
        values=island.values,
        fields=book.fields,
        timestamps=book.timestamps,
        path_ids=island.path_ids,
        anchor_close=1.0,
        provenance={"generator": "book", "seed": book.seed},
        counts={
            "island": np.full(len(island.weights), island.index, dtype=np.int64),
            "root": slots_of(island.owners[:, 0]),
        },
        weights=island.weights,
    )
