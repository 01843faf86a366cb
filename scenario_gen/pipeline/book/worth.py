"""A book as one market: 100 put into all its assets alike at the anchor, and what the assets' candles add up to.

A scenario of one asset has a context, a fan of prices and an account of candles; this makes those of a book, so that
all that is said of a scenario can be said of several assets together. Trades nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.result import fan_bars, rounded
from scenario_gen.candles.account import CandleAccount
from scenario_gen.candles.rules import RuleCount
from scenario_gen.finding import worst
from scenario_gen.market.book import BookPaths
from scenario_gen.market.candles import volatility
from scenario_gen.pipeline.prepared import Book
from scenario_gen.pipeline.summary import context_view
from scenario_gen.store.results import ContextView

Floats = NDArray[np.float64]
AT_ANCHOR = 100.0


@dataclass(frozen=True)
class Worth:
    """What the book is worth on every path."""

    fan: Floats  # at the fan points [path, point]
    volatility_ratio: Floats  # realised volatility over that of the context [path]

    @classmethod
    def of(cls, book: Book, blocks: Iterable[BookPaths]) -> Worth:
        """Measure it block by block."""
        usual = volatility(_past(book)["close"].to_numpy())
        fans, ratios = [], []
        for paths in blocks:
            worth = worth_of(paths)
            fans.append(worth[:, fan_bars(paths.horizon)])
            ratios.append(volatility(worth) / usual)
        return cls(np.concatenate(fans), np.concatenate(ratios))

    @property
    def ratios(self) -> dict[str, float]:
        """Quantiles of the volatility ratio, by their level."""
        levels = (0.05, 0.5, 0.95)
        return {str(level): float(np.quantile(self.volatility_ratio, level)) for level in levels}


def worth_of(paths: BookPaths) -> Floats:
    """Return what 100 put into all assets alike at the anchor are worth at each close, [path, bar + 1]."""
    anchors = np.array([part.anchor_close for part in paths.parts.values()])
    later = AT_ANCHOR * (paths.on_grid("close") / anchors).mean(axis=2)
    return np.concatenate((np.full((len(paths), 1), AT_ANCHOR), later), axis=1)


def realised_worth(book: Book) -> list[float]:
    """Return what 100 were really worth at the closes after the anchor, as far as the histories go."""
    return [] if not len(book.later) else [float(value) for value in worth_of(book.real)[0, 1:]]


def _past(book: Book) -> pd.DataFrame:
    """Return open, high, low and close of what would be 100 at the anchor, at stamps that all contexts have.

    High and low are those of all assets at once: bounds, since assets do not turn in one moment.
    """
    shared, parts = None, []
    for ground in book.grounds.values():
        bars = ground.context
        columns = {name: AT_ANCHOR * bars.column(name) / bars.close[-1] for name in ("open", "high", "low", "close")}
        frame = pd.DataFrame(columns, index=bars.timestamps)
        shared = frame.index if shared is None else shared.intersection(frame.index)
        parts.append(frame)
    assert shared is not None
    mean: pd.DataFrame = sum(frame.loc[shared] for frame in parts) / len(parts)
    return mean


def context_of(book: Book) -> ContextView:
    """Return what the report shows of the bars before the paths."""
    views = [context_view(ground) for ground in book.grounds.values()]
    past = _past(book)
    shown = past.tail(max(24, 3 * len(book.timestamps) // 4))
    prices = {name: rounded(shown[name].to_numpy()) for name in ("open", "high", "low", "close")}
    return replace(
        views[0],
        instrument=", ".join(book.grounds),
        source=", ".join(dict.fromkeys(view.source for view in views)),
        bars=len(past),
        anchor_close=AT_ANCHOR,
        timestamps=[stamp.isoformat() for stamp in shown.index],
        open=prices["open"],
        high=prices["high"],
        low=prices["low"],
        close=prices["close"],
        flags=[f"{asset}: {flag}" for asset, view in zip(book.grounds, views, strict=True) for flag in view.flags],
        sha256=" ".join(view.sha256 for view in views),
    )


def together(accounts: Sequence[CandleAccount]) -> CandleAccount:
    """Return one account of the candles of all assets: paths, bars and breaches add up, the label is the worst."""
    bars = [max(account.changed_bars, 0) for account in accounts]
    weights = np.array(bars) / sum(bars) if sum(bars) else np.zeros(len(bars))

    def total(name: str) -> int:
        return sum(getattr(account, name) for account in accounts)

    rules = [rule.rule for rule in accounts[0].rules]
    return CandleAccount(
        paths=total("paths"),
        bars=total("bars"),
        untouched=total("untouched"),
        rounded=total("rounded"),
        repaired=total("repaired"),
        rejected=total("rejected"),
        bad_bars=total("bad_bars"),
        bad_paths=total("bad_paths"),
        changed_bars=total("changed_bars"),
        rules=[_added([row for account in accounts for row in account.rules if row.rule == rule]) for rule in rules],
        mean_change_bp=float(weights @ [account.mean_change_bp for account in accounts]),
        max_change_bp=max(account.max_change_bp for account in accounts),
        mean_change_range=float(weights @ [account.mean_change_range for account in accounts]),
        policy=accounts[0].policy,
        label=worst((account.label for account in accounts), "PASS"),
    )


def _added(rows: Sequence[RuleCount]) -> RuleCount:
    """Return one rule's counts over all assets; -1 where one could not be judged."""

    def total(name: str) -> int:
        return sum(getattr(row, name) for row in rows) if all(row.bars >= 0 for row in rows) else -1

    return replace(
        rows[0],
        bars=total("bars"),
        paths=total("paths"),
        left_bars=total("left_bars"),
        left_paths=total("left_paths"),
        source="",
        history=None,
    )
