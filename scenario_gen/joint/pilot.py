"""Pilot runs of a book: a few hundred short futures, and how the bars of its assets hang together in them.

What is measured is what a reader sees: log returns of decoded bars, their ranges and volumes. Fits nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from scenario_gen.generators.base import Generator
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.rescaled import DriftNeutral
from scenario_gen.joint.coupling import Coupled, Coupling
from scenario_gen.market.book import BookPaths, all_stamps
from scenario_gen.market.candles import LEAST_RANGE, Candles

Floats = NDArray[np.float64]

PATHS, BARS = 512, 8  # of a pilot: a correlation has an error of about .01
FIRST_ID = 2**62 + 8192  # beyond every path of a run, and beside the pilots of drift and recalibration


@dataclass(frozen=True, eq=False)
class BookAsset:
    """One asset of a book to be coupled."""

    generator: Generator
    history: Candles  # its bars up to the end of the context
    rows: NDArray[np.int64]  # which of them dependence is read from, the same dates in every asset [bar]
    context: Candles  # that its paths continue
    timestamps: pd.DatetimeIndex  # of the bars to generate

    @property
    def returns(self) -> Floats:
        """Log returns of the bars that dependence is read from [bar]; NaN of a first bar."""
        logs = np.log(self.history.close)
        return np.where(self.rows > 0, logs[self.rows] - logs[np.maximum(self.rows - 1, 0)], np.nan)


@dataclass(frozen=True, eq=False)
class BookPilot:
    """Correlations of log returns, bar by bar, between the assets of pilot paths."""

    reached: Floats  # [asset, asset]
    error: Floats  # its standard errors, paths being independent [asset, asset]
    ranges: Floats  # of the logs of ranges [asset, asset]
    order_rank: Floats  # Spearman's rho of the first bar's first uniform and its return, over paths [asset]


def run_pilot(members: Sequence[BookAsset], coupling: Coupling, seed: int) -> BookPilot:
    """Sample the first bars of some futures of a book and measure them.

    Args:
        members: the assets, in the book's order, their generators in the order that the coupling was fitted to.
        coupling: of their uniforms.
        seed: of the book.
    """
    grid = all_stamps([member.timestamps for member in members])[:BARS]
    draws = Draws.block(seed, FIRST_ID, PATHS)
    parts, ranks = {}, []
    for place, member in enumerate(members):
        stamps = member.timestamps[member.timestamps <= grid[-1]]
        if not len(stamps):  # closed on all dates of a pilot
            stamps = member.timestamps[:1]
        generator, dates = member.generator, grid.get_indexer(stamps).clip(0)
        while isinstance(generator, DriftNeutral):  # whose own pilot changes no correlation
            generator = generator.inner
        paths = Coupled(generator, coupling, place, stamps, dates).sample(member.context, stamps, draws)
        parts[str(place)] = paths
        first = coupling.uniforms(place, draws, dates[:1], 1)[:, 0, 0]
        ranks.append(float(spearmanr(first, paths.close[:, 0]).statistic))
    book = BookPaths.common(parts)
    both = book.open_bars.all(axis=1)
    closes = np.log(book.on_grid("close"))
    anchors = np.log([part.anchor_close for part in book.parts.values()])
    steps = np.diff(closes, axis=1, prepend=np.broadcast_to(anchors, (len(book), 1, len(members))))[:, both]
    reached, error = correlation_of_paths(steps)
    spread = np.log(np.maximum(np.log(book.on_grid("high") / book.on_grid("low")), LEAST_RANGE))[:, both]
    return BookPilot(reached, error, correlation_of_paths(spread)[0], np.array(ranks))


def correlation_of_paths(values: Floats) -> tuple[Floats, Floats]:
    """Return correlations over all bars of all paths, and their standard errors from path to path.

    Args:
        values: [path, bar, asset]; paths that are not finite are left out.
    """
    values = values[np.isfinite(values).all(axis=(1, 2))]
    apart = values - values.mean(axis=(0, 1))
    unit = apart / np.maximum(np.sqrt((apart**2).mean(axis=(0, 1))), np.finfo(float).tiny)
    squares = (unit**2).mean(axis=1)  # [path, asset]
    products = np.einsum("pbi,pbj->pij", unit, unit) / values.shape[1]
    reached = products.mean(axis=0)
    influence = products - reached * (squares[:, :, None] + squares[:, None]) / 2
    error = influence.std(axis=0, ddof=1) / len(values) ** 0.5
    np.fill_diagonal(reached, 1.0)  # but for rounding
    np.fill_diagonal(error, 0.0)
    return reached, np.asarray(error)


def range_correlation(members: Sequence[BookAsset]) -> Floats:
    """Return the correlation of the logs of ranges over the bars that dependence is read from [asset, asset]."""
    logs = [
        np.log(np.maximum(np.log(bars.column("high") / bars.column("low"))[rows], LEAST_RANGE))
        for bars, rows in ((member.history, member.rows) for member in members)
    ]
    return np.asarray(np.corrcoef(logs))
