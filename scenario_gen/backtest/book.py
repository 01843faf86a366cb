"""Several assets in one account: the ground under a book, the bars that its strategies see, what each asset earned.

A book trades on the stamps of all its assets. Where a market is closed, its asset keeps its close and nobody trades it.
Cash is shared: one account per path holds all assets; costs, lots and shorts are each asset's own. Everything that is
known of one asset's account holds for the book's: metrics, ruin, round trips (each of one asset), rules.

Knows joint paths and strategies; knows neither specs nor how the paths were coupled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest import simulate
from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.answers import ask, usable_portfolio, usable_signals, usable_weights
from scenario_gen.backtest.broker import AccountRules, Broker
from scenario_gen.backtest.engine import (
    CHUNK_CELLS,
    COLUMN_CHUNK,
    BacktestResult,
    bars_of,
    endings_of,
    market_of,
    metrics_of,
    nothing_of,
    refuse_rules,
    rows_filled,
    trade,
)
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy, method_of
from scenario_gen.backtest.orders import Bools, Costs, Outcome, Quotes, SignalOrders
from scenario_gen.backtest.strategy import ASSET, PATH, Bars
from scenario_gen.errors import SpecError
from scenario_gen.market.book import BookPaths, all_stamps
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import PRICE_FIELDS, Candles
from scenario_gen.market.paths import PathSet

AnyGround: TypeAlias = "Ground | BookGround"
AnyPaths: TypeAlias = PathSet | BookPaths

SHARED = ("cash", "fill", "leverage", "net", "position")  # of the broker: what the account of a book has once
USUAL: Mapping[str, float] = {
    "cost_times": 1.0,
    "slippage": 0.0,
    "ceiling": np.inf,
    "floor": -np.inf,
    "missed": 0.0,
    "opens": 0.0,
}


@dataclass(frozen=True, eq=False, kw_only=True)
class BookGround:
    """What is known before the first path of a book: its assets' grounds, and the one account."""

    grounds: Mapping[str, Ground]  # of each asset, whose broker says what its orders cost, its lots and its shorts
    broker: Broker  # of the account: cash, fills, leverage, carried positions, and what its debts cost
    bars_per_year: float  # of the book's stamps, to annualise with
    account: AccountRules | None = None  # what ends the account, where rules are declared
    seed: int = 0  # of everything that is drawn beside the paths
    calendar: BarCalendar | None = None  # of the book's bars; None where nothing shows one

    @classmethod
    def of(cls, grounds: Mapping[str, Ground]) -> BookGround:
        """Return the ground of some assets whose account the first of them describes.

        Raises:
            SpecError: they differ in what an account has once, or execution is jittered.
        """
        first, *others = grounds.values()
        for name, other in zip([*grounds][1:], others, strict=True):
            if wrong := next((key for key in SHARED if getattr(other.broker, key) != getattr(first.broker, key)), None):
                raise SpecError(
                    f"broker.{wrong} is {getattr(first.broker, wrong)} for {next(iter(grounds))} and "
                    f"{getattr(other.broker, wrong)} for {name}",
                    expected="one account for all assets of a book",
                    fix=f"say {wrong} once, in the broker of all assets",
                )
        return cls(
            grounds=grounds,
            broker=first.broker,
            bars_per_year=first.bars_per_year,
            account=first.account,
            seed=first.seed,
            calendar=first.calendar,
        )

    @property
    def assets(self) -> tuple[str, ...]:
        """Names, in the spec's order."""
        return tuple(self.grounds)

    @cached_property
    def context(self) -> BookContext:
        """The bars before the paths, of all assets on the stamps of all of them."""
        return BookContext.of({name: ground.context for name, ground in self.grounds.items()})

    def costs(self, paths: int) -> Costs:
        """Return what orders cost, [column] for so many paths."""
        return Costs.of_assets(self.broker, [ground.broker for ground in self.grounds.values()], paths)

    def behind(self, contexts: Mapping[str, Candles]) -> BookGround:
        """Return this ground with other bars before the paths; the account and the year stay."""
        return replace(self, grounds={name: ground.behind(contexts[name]) for name, ground in self.grounds.items()})

    def real(self, bars: Mapping[str, Candles]) -> BookPaths:
        """Return real bars after the context as a book of one path."""
        return BookPaths({name: ground.real(bars[name]) for name, ground in self.grounds.items()})

    def record(self, most: int) -> tuple[BookGround, BookPaths] | None:
        """Return the last bars of all histories as a book of one path, and this ground as it lay before them.

        Args:
            most: bars at most, of the stamps of all assets.

        Returns:
            None where some asset has no bar behind as many as its context has.
        """
        stamps = all_stamps([ground.history.timestamps for ground in self.grounds.values()])
        warm = [ground.history.timestamps[len(ground.context) :] for ground in self.grounds.values()]
        if not all(len(of) for of in warm):
            return None
        start = max(stamps[max(0, len(stamps) - most)], *(of[0] for of in warm))
        contexts, bars = {}, {}
        for name, ground in self.grounds.items():
            at, history = int(ground.history.timestamps.searchsorted(start)), ground.history
            contexts[name], bars[name] = history.rows(at - len(ground.context), at), history.rows(at, len(history))
        before = self.behind(contexts)
        return (before, before.real(bars)) if all(len(of) for of in bars.values()) else None

    def trading_days(self, timestamps: pd.DatetimeIndex) -> NDArray[np.int64]:
        """Return each bar's trading day, counted from 0, int64 [bar]."""
        return replace(next(iter(self.grounds.values())), calendar=self.calendar).trading_days(timestamps)


@dataclass(frozen=True, eq=False)
class BookContext:
    """Real bars of several assets on the stamps of all of them, from where each has a price."""

    timestamps: pd.DatetimeIndex  # [bar]
    fields: Mapping[str, Floats]  # float64 [bar, asset]: a price of a closed bar is the close before, its volume 0
    open_bars: Bools  # bool [bar, asset], whether an asset has a bar there

    def __len__(self) -> int:
        return len(self.timestamps)

    @classmethod
    def of(cls, contexts: Mapping[str, Candles]) -> BookContext:
        """Lay histories on common stamps; a field that an asset lacks is NaN, one that all lack is left out."""
        stamps = next(iter(contexts.values())).timestamps
        for context in contexts.values():
            stamps = stamps.union(context.timestamps)
        start = max(context.timestamps[0] for context in contexts.values())
        stamps = pd.DatetimeIndex(stamps[stamps >= start])
        named = {name for context in contexts.values() for name in context.fields}
        fields = {name: np.full((len(stamps), len(contexts)), np.nan) for name in (*PRICE_FIELDS, "volume")}
        is_open = np.zeros((len(stamps), len(contexts)), dtype=bool)
        for place, context in enumerate(contexts.values()):
            last = np.searchsorted(context.timestamps, stamps, side="right") - 1  # the latest bar so far
            is_open[:, place] = context.timestamps[last] == stamps
            for name, values in fields.items():
                if name in context.fields:
                    shut = 0.0 if name == "volume" else context.close[last]
                    values[:, place] = np.where(is_open[:, place], context.column(name)[last], shut)
        return cls(stamps, {name: values for name, values in fields.items() if name in named}, is_open)


@dataclass(frozen=True)
class BookBacktest:
    """What one strategy made of a book on every path."""

    result: BacktestResult  # of the whole account, as of one asset; ``trades`` has a column ``asset``, too
    assets: tuple[str, ...]  # in the order of the last axis below
    # float64 [path, bar, asset]: money that each asset earned in each bar, all costs in. Over the assets they sum to
    # equity's change. Interest on borrowed cash is borne by what is long, by value; losses beyond what the account
    # had, by those that lost.
    profit: Floats
    holding: Floats  # float64 [path, bar, asset]: value held at each close over equity, negative when short


def trade_book(
    strategy: LoadedStrategy, ground: BookGround, paths: BookPaths, path_chunk: int | None = None
) -> BookBacktest:
    """Backtest one strategy on every joint path, all assets in one account.

    Args:
        strategy: of any form. ``signals`` are each asset's own, and its ``size`` is a share of an even slice of equity,
            1 / number of assets; ``weights`` are shares of all equity, whose absolute values sum to the broker's
            leverage at most; a ``portfolio`` is grouped by path.
        ground: of the assets, in the same order as the paths.
        paths: joint futures.
        path_chunk: how many paths to hold in memory at once; the results do not depend on it.

    Raises:
        StrategyError: the strategy raised, or returned something unusable.
        SpecError: the ground cannot carry a book, e.g. volume is limited and an asset has none.
    """
    _refuse(ground, paths)
    horizon, assets = paths.horizon, len(paths.assets)
    if len(paths) == 0:
        none = np.empty((0, horizon, assets))
        empty = nothing_of(paths.path_ids, horizon, rules=ground.account is not None)
        empty.trades.insert(1, ASSET, pd.Series(dtype=str))
        return BookBacktest(empty, paths.assets, none, none)
    pieces = [_run_chunk(strategy, ground, paths.select(ids)) for ids in chunks_of(ground, paths, path_chunk)]
    return BookBacktest(
        BacktestResult.joined([piece.result for piece in pieces]),
        paths.assets,
        np.concatenate([piece.profit for piece in pieces]),
        np.concatenate([piece.holding for piece in pieces]),
    )


def traded_on(strategy: LoadedStrategy, ground: AnyGround, paths: AnyPaths) -> BacktestResult:
    """Backtest one strategy on paths of one asset, or of several in one account; as :func:`trade_book`."""
    if isinstance(ground, BookGround):
        assert isinstance(paths, BookPaths)
        return trade_book(strategy, ground, paths).result
    assert isinstance(paths, PathSet)
    return trade(strategy, ground, paths)


def book_bars(ground: BookGround, paths: BookPaths) -> Bars:
    """Return context and paths of a book as the frames [bar x (path_id, asset)] that a strategy sees.

    Raises:
        SpecError: a path has bars that are no later than the context's.
    """
    context = ground.context
    if len(context) and paths.timestamps[0] <= context.timestamps[-1]:
        raise SpecError(
            f"the paths of a book begin at {paths.timestamps[0]}, its context ends at {context.timestamps[-1]}",
            expected="bars of all assets after the last bar of any",
            fix="let the contexts of all assets end at the same bar",
        )
    index = context.timestamps.append(paths.timestamps)
    columns = pd.MultiIndex.from_product([paths.path_ids, paths.assets], names=[PATH, ASSET])

    def frame(name: str) -> pd.DataFrame:
        future = _flat(paths.on_grid(name))
        past = np.tile(context.fields[name], (1, len(paths)))
        return pd.DataFrame(np.concatenate([past, future]), index=index, columns=columns)

    has_volume = "volume" in context.fields and any("volume" in part.fields for part in paths.parts.values())
    return Bars(
        **{name: frame(name) for name in PRICE_FIELDS},
        volume=frame("volume") if has_volume else None,
        context_bars=len(context),
        bars_per_year=ground.bars_per_year,
    )


def bars_on(ground: AnyGround, paths: AnyPaths, places: NDArray[np.int64] | slice = slice(None)) -> Bars:
    """Return what a strategy sees of some paths, of one asset or of several.

    Args:
        ground: of one asset, or of a book.
        paths: of the same.
        places: which of them; where they are numbers a path may be there more than once, and is named by its place.
    """
    if isinstance(ground, BookGround):
        assert isinstance(paths, BookPaths)
        return book_bars(ground, BookPaths({name: _some(part, places) for name, part in paths.parts.items()}))
    assert isinstance(paths, PathSet)
    return bars_of(ground, _some(paths, places))


def _some(paths: PathSet, places: NDArray[np.int64] | slice) -> PathSet:
    ids = paths.path_ids[places] if isinstance(places, slice) else np.arange(len(places), dtype=np.int64)
    return PathSet(paths.values[places], paths.fields, paths.timestamps, ids, paths.anchor_close)


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    """Return [path, bar, asset] as [bar, column], the assets of a path together."""
    return np.ascontiguousarray(values.swapaxes(0, 1).reshape(values.shape[1], -1))


def chunks_of(ground: BookGround, paths: BookPaths, width: int | None) -> list[NDArray[np.int64]]:
    """Return the ids of the paths to hold in memory one after the other."""
    cells = (len(ground.context) + paths.horizon) * len(paths.assets)
    most = width or min(COLUMN_CHUNK, max(1, CHUNK_CELLS // cells))
    return [paths.path_ids[start : start + most] for start in range(0, len(paths), most)]


def _run_chunk(strategy: LoadedStrategy, ground: BookGround, paths: BookPaths) -> BookBacktest:
    bars, seen = book_bars(ground, paths), _seen(ground, paths)
    outcome = _fill(strategy, ground, bars, bars if seen is None else seen, market_on(ground, bars, paths))
    numbered = by_path(outcome, len(paths.assets))
    trades = numbered.trades
    trades = trades.assign(asset=np.array(paths.assets, dtype=object)[trades[ASSET].to_numpy()])
    account = outcome.account
    trades = trades.assign(path_id=paths.path_ids[trades["path_id"].to_numpy()])
    result = BacktestResult(
        metrics=metrics_of(numbered, paths.path_ids, ground.bars_per_year),
        equity=account.equity.astype(np.float32),
        exposure=account.exposure.astype(np.float32),
        trades=trades[["path_id", ASSET, *[name for name in trades if name not in ("path_id", ASSET)]]],
        endings=None if ground.account is None else endings_of(ground.account, outcome, bars, ground, paths.path_ids),
    )
    return BookBacktest(result, paths.assets, account.profit, account.holding)


def by_path(outcome: Outcome, assets: int) -> Outcome:
    """Return an outcome whose round trips are numbered by path, and of several assets by ``asset``, in time's order."""
    path, asset = np.divmod(outcome.trades["path_id"].to_numpy(), assets)
    trades = outcome.trades.assign(path_id=path, asset=asset)
    return replace(outcome, trades=trades.sort_values(["path_id", "entry_bar"], kind="stable", ignore_index=True))


def signals_on_book(
    strategy: LoadedStrategy, ground: BookGround, paths: BookPaths
) -> tuple[Quotes, SignalOrders, Costs]:
    """Return the bars of a book as the broker sees them, what ``signals`` ask for on them, and what that costs.

    Raises:
        StrategyError: the strategy raised, or returned something unusable.
        SpecError: the ground cannot carry a book.
    """
    _refuse(ground, paths)
    bars, seen = book_bars(ground, paths), _seen(ground, paths)
    costs, shown = ground.costs(len(paths)), bars if seen is None else seen
    wanted = _wanted(strategy, ask(strategy, "signals", shown.lent()), shown, ground, costs)
    return market_on(ground, bars, paths), wanted.fillable(shorts=costs.shorts), costs


def _seen(ground: BookGround, paths: BookPaths) -> Bars | None:
    """Return the frames that a strategy sees where data are wrong; None where they are not."""
    seen = paths.as_seen
    return None if seen is paths else book_bars(ground, seen)


def _fill(strategy: LoadedStrategy, ground: BookGround, bars: Bars, seen: Bars, market: Quotes) -> Outcome:
    """Ask the strategy by the first of its methods and have the answer filled on the bars as they are."""
    method, broker, assets = method_of(strategy), ground.broker, len(ground.assets)
    if method == "portfolio":
        refuse_rules(strategy, [each.broker for each in ground.grounds.values()])
        answer = usable_portfolio(strategy, ask(strategy, method, seen.lent(), broker), bars)
        return simulate.outcome_of(answer, market.close, assets=assets)
    answer = ask(strategy, method, seen.lent())
    costs = ground.costs(bars.close.shape[1] // assets)
    if method == "weights":
        weights = usable_weights(strategy, answer, bars, rows_filled(bars, broker), broker, costs.shorts)
        return simulate.run_weights(market, weights, broker, bars.bars_per_year, costs)
    wanted = _wanted(strategy, answer, bars, ground, costs)
    return simulate.run_signals(market, wanted, broker, bars.bars_per_year, costs)


def _wanted(strategy: LoadedStrategy, answer: Any, bars: Bars, ground: BookGround, costs: Costs) -> SignalOrders:
    """Return the orders of the path that an answer of ``signals`` asks for, in shares of the account's equity."""
    broker, rows = ground.broker, rows_filled(bars, ground.broker)

    def read(of: slice, *, warm: bool) -> SignalOrders:
        orders = usable_signals(strategy, answer, bars, of, most=broker.leverage, warm=warm)
        return replace(orders, size=orders.size / costs.assets)

    wanted = read(rows, warm=True)
    if broker.position == "flat":
        return wanted
    return simulate.with_carried(
        wanted, read(slice(0, rows.start), warm=False), market_of(bars, slice(0, bars.context_bars)), broker, costs
    )


def market_on(ground: BookGround, bars: Bars, paths: BookPaths) -> Quotes:
    """Return the path's bars as the broker sees them; nobody trades an asset whose market is closed."""
    market = market_of(bars, slice(bars.context_bars, None))
    terms: dict[str, NDArray[Any]] = {}
    own = [ground.grounds[asset].terms_of(part) for asset, part in paths.parts.items()]
    for name, usual in USUAL.items():
        given = [None if of is None else getattr(of, name) for of in own]
        if any(values is not None for values in given):
            grid = np.full((len(paths), paths.horizon, len(given)), usual)
            for place, (values, part) in enumerate(zip(given, paths.parts.values(), strict=True)):
                if values is not None:
                    grid[:, paths.timestamps.get_indexer(part.timestamps), place] = values
            terms[name] = _flat(grid)
    terms |= {name: terms[name] > 0 for name in ("missed", "opens") if name in terms}
    if not paths.open_bars.all():
        shut = _flat(np.broadcast_to(~paths.open_bars, (len(paths), *paths.open_bars.shape)))
        terms["ceiling"] = np.where(shut, 0.0, terms.get("ceiling", np.inf))
        terms["floor"] = np.where(shut, np.inf, terms.get("floor", -np.inf))
    return replace(market, **terms)


def _refuse(ground: BookGround, paths: BookPaths) -> None:
    """Refuse a ground that cannot carry a book."""
    if ground.assets != paths.assets:
        raise ValueError(f"a ground of {ground.assets} and paths of {paths.assets}")
    for name, asset in ground.grounds.items():
        if asset.jitter is not None:
            raise SpecError(
                f"execution is jittered, and {name} is traded in a book",
                expected="orders as the broker fills them",
                fix="leave 'jitter' out of a spec of several assets",
            )
        share = asset.broker.volume_share
        if share is not None and not (asset.context.has_volume and "volume" in paths.parts[name].fields):
            raise SpecError(
                f"broker.volume_share is {share:g}, but the bars of {name} have no volume",
                expected="a history and paths with volume for each asset whose orders its volume limits",
                fix=f"bring a history of {name} with volume, or remove broker.volume_share",
            )
