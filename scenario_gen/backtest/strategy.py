"""What a strategy file imports: the bars it receives and the signals it returns.

A strategy is a small frozen dataclass in a file of the user's own. Its fields are its parameters, and it has
one of three methods, looked for in this order:

* ``portfolio(self, bars, broker)`` returns a finished ``vectorbt.Portfolio`` over the generated bars only, and is
  itself responsible for whatever the broker charges and forbids;
* ``weights(self, bars)`` returns target weights of equity, rebalanced at every bar (or as :class:`Targets` say): in
  [-1, 1], or as far as the broker's leverage goes; those of several assets together;
* ``signals(self, bars)`` returns :class:`Signals`.

This module knows neither money nor vectorbt, so that a strategy file is imported in no time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import pandas as pd

if TYPE_CHECKING:
    from scenario_gen.backtest.broker import Broker

METHODS = ("portfolio", "weights", "signals")
PATH, ASSET = "path_id", "asset"  # names of the levels of a book's columns


@dataclass(frozen=True)
class Bars:
    """The context and then the generated bars of many paths, one column per path.

    The first ``context_bars`` rows are the same real bars in every column: they are there to warm indicators
    up. Trading happens on the rows after them. All frames have the same index (timestamps) and columns (path
    ids); prices are float64 in quote currency.

    Of several assets the columns are pairs (``path_id``, ``asset``), those of a path together in the order of
    ``assets``. At a bar at which an asset's market is closed, its prices are the close before and its volume is 0;
    volume is NaN for an asset that has none.
    """

    open: pd.DataFrame  # opening prices [bar x path]
    high: pd.DataFrame  # highest prices [bar x path]
    low: pd.DataFrame  # lowest prices [bar x path]
    close: pd.DataFrame  # closing prices [bar x path]
    volume: pd.DataFrame | None  # traded volume [bar x path]; None where the history or the generator has none
    context_bars: int  # how many rows belong to the context
    bars_per_year: float  # to annualise with; comes from the calendar

    def __len__(self) -> int:
        return len(self.close)

    @property
    def assets(self) -> tuple[str, ...]:
        """Names of the assets of a book; none where there is one asset, whose columns are path ids alone."""
        if ASSET not in self.close.columns.names:
            return ()
        return tuple(dict.fromkeys(self.close.columns.get_level_values(ASSET)))

    def lent(self) -> Bars:
        """Return bars for a strategy to work on: writing into them leaves these as they are."""
        return replace(  # shallow: pandas copies the values when one of the two frames is written to
            self,
            open=self.open.copy(deep=False),
            high=self.high.copy(deep=False),
            low=self.low.copy(deep=False),
            close=self.close.copy(deep=False),
            volume=None if self.volume is None else self.volume.copy(deep=False),
        )


@dataclass(frozen=True)
class Signals:
    """What to do at the close of each bar; each frame is shaped like ``bars.close``.

    An entry while already in a position of that side does nothing. An entry of the other side closes the
    position first. An entry and an exit of the same side at the same bar cancel each other, and so do a long
    and a short entry. Stops are watched inside each bar from the moment of entry; where a stop loss and a
    take profit lie in the same bar, the stop loss is taken to come first (``intrabar_orders`` tries both orders).
    """

    entries: pd.DataFrame  # bool, open a long position
    exits: pd.DataFrame  # bool, close a long position
    short_entries: pd.DataFrame | None = None  # bool, open a short position; None for a long-only strategy
    short_exits: pd.DataFrame | None = None  # bool, close a short position
    # share of equity to commit, from 0 to the broker's leverage (1 unless the spec says more); a number, or a frame
    # read at the bar of the entry signal
    size: float | pd.DataFrame | None = None
    # adverse move from the fill price at which to leave, e.g. 0.05; a number or a frame.
    stop_loss: float | pd.DataFrame | None = None
    # the same from the best price of earlier bars since entry; excludes ``stop_loss``
    trailing_stop: float | pd.DataFrame | None = None
    # favourable move from the fill price at which to leave; a number or a frame
    take_profit: float | pd.DataFrame | None = None


@dataclass(frozen=True)
class Targets:
    """Target weights that are not brought back at every bar; who cannot trade then waits for the next time."""

    weights: pd.DataFrame  # shares of equity (or ``units``), shaped like ``bars.close``
    every: int = 1  # rebalance at the path's bars 0, every, 2 every, ...
    band: float = 0.0  # leave a position alone whose weight is off by no more than this share of equity
    units: bool = False  # the numbers are units to hold of each asset, and no shares of equity


class SignalStrategy(Protocol):
    """A strategy that says when to enter and when to leave."""

    def signals(self, bars: Bars) -> Signals:
        """Return what to do at the close of each bar."""


class WeightStrategy(Protocol):
    """A strategy that says what share of equity to hold."""

    def weights(self, bars: Bars) -> pd.DataFrame | Targets:
        """Return target weights of equity, decided at the close of each bar."""


class PortfolioStrategy(Protocol):
    """A strategy that runs vectorbt itself."""

    def portfolio(self, bars: Bars, broker: Broker) -> Any:
        """Return a ``vectorbt.Portfolio`` over the generated bars, one ungrouped column per path."""


Strategy: TypeAlias = SignalStrategy | WeightStrategy | PortfolioStrategy
