"""Running one strategy over all paths: ask it, have its wishes filled, count the money.

The strategy sees context and path; the account starts in cash at the path's first bar, and flat unless the broker
says ``position: carried``. A signal at
the close of bar t is filled at the open of bar t + 1 (``next_open``; the last context bar's signal at the
path's first open) or at the close of bar t (``close``). Knows nothing of files, specs beyond the broker, or
distributions.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest import simulate
from scenario_gen.backtest.account import AT, ENDING, judge_account, swings
from scenario_gen.backtest.answers import ask, usable_portfolio, usable_signals, usable_weights
from scenario_gen.backtest.broker import AccountRules, Broker, Jitter
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.jitter import jittered, set_of_each
from scenario_gen.backtest.loader import LoadedStrategy, method_of
from scenario_gen.backtest.metrics import METRICS, Tally, measure
from scenario_gen.backtest.orders import TRADE_COLUMNS, Outcome, Quotes, SignalOrders
from scenario_gen.backtest.strategy import Bars
from scenario_gen.errors import SpecError, StrategyError
from scenario_gen.market.candles import PRICE_FIELDS, Candles
from scenario_gen.market.paths import PathSet, TradingTerms

COLUMN_CHUNK = 512
WRONG_DATA = (
    "these bars have errors of data on purpose (a shock of kind data_error): let the strategy bear them, as with "
    ".ffill(), or leave the shock out"
)
CHUNK_CELLS = 2**21  # bars x paths at most in a chunk: some thirty arrays of 16 MiB live at once


@dataclass(frozen=True)
class BacktestResult:
    """What one strategy made of every path."""

    metrics: pd.DataFrame  # float64, index path_id, one column per entry of ``METRICS``; NaN means not applicable
    equity: NDArray[np.float32]  # float32 [path, bar + 1]; the starting cash, then the equity at each close
    exposure: NDArray[np.float32]  # float32 [path, bar]; position value over equity at the close, negative when short
    # one row per round trip: path_id, side, entry_bar, entry_price, exit_bar, exit_price, size, pnl, fees, open. Bars
    # count from 0 at the first generated bar; an open one is marked at the last close.
    trades: pd.DataFrame
    # what ended each account and at which bar (``account_rules.ENDING``, ``AT``), index path_id; None without rules
    endings: pd.DataFrame | None = None

    @classmethod
    def joined(cls, pieces: Sequence[BacktestResult]) -> BacktestResult:
        """Return the results of some paths and of others as one, in their order."""
        endings = [piece.endings for piece in pieces if piece.endings is not None]
        return cls(
            metrics=pd.concat([piece.metrics for piece in pieces]),
            equity=np.concatenate([piece.equity for piece in pieces]),
            exposure=np.concatenate([piece.exposure for piece in pieces]),
            trades=pd.concat([piece.trades for piece in pieces], ignore_index=True),
            endings=pd.concat(endings) if endings else None,
        )


def run_backtest(
    strategy: LoadedStrategy,
    context: Candles,
    paths: PathSet,
    broker: Broker,
    *,
    bars_per_year: float,
    column_chunk: int | None = None,
) -> BacktestResult:
    """Backtest one strategy on every path.

    Args:
        strategy: what to run.
        context: the real bars before the paths.
        paths: the generated bars.
        broker: cash, costs and fills.
        bars_per_year: to annualise with.
        column_chunk: how many paths to hold in memory at once; default: 512, or fewer long ones. The results do not
            depend on it.

    Raises:
        StrategyError: the strategy raised, or returned something unusable.
        SpecError: the broker limits orders by the volume, and there is none.
    """
    return trade(strategy, Ground.of(context, bars_per_year=bars_per_year, broker=broker), paths, column_chunk)


def trade(strategy: LoadedStrategy, ground: Ground, paths: PathSet, column_chunk: int | None = None) -> BacktestResult:
    """Backtest one strategy on every path of a ground; as :func:`run_backtest`, which raises the same."""
    _refuse_lack_of_volume(ground, paths)
    if ground.jitter is not None:
        return _sloppily(strategy, ground, ground.jitter, paths, column_chunk)
    if len(paths) == 0:
        return nothing_of(paths.path_ids, paths.horizon, rules=ground.account is not None)
    return BacktestResult.joined(
        [_run_chunk(strategy, ground, paths, chunk) for chunk in chunks(ground.context, paths, column_chunk)]
    )


def equity_of(strategy: LoadedStrategy, ground: Ground, paths: PathSet) -> NDArray[np.float64]:
    """Return the equity of every path alone, [path, bar + 1] from the starting cash on, in full precision.

    Raises:
        StrategyError: the strategy raised, or returned something unusable.
        SpecError: the broker limits orders by the volume, and there is none.
    """
    _refuse_lack_of_volume(ground, paths)
    if len(paths) == 0:
        return np.empty((0, paths.horizon + 1))
    parts = [_filled(strategy, ground, paths, chunk)[1].account.equity for chunk in chunks(ground.context, paths)]
    return np.concatenate(parts)


def _sloppily(
    strategy: LoadedStrategy, ground: Ground, jitter: Jitter, paths: PathSet, column_chunk: int | None
) -> BacktestResult:
    """Backtest generated paths as the jitter has it, each with its own set of parameters."""
    plain = replace(ground, jitter=None)
    if paths.provenance.get("generator") == "history":
        return trade(strategy, plain, paths, column_chunk)
    sloppy = jittered(jitter, paths, ground.seed)
    chosen, sets = set_of_each(jitter, paths.path_ids, ground.seed), ground.variants(strategy)
    rows = [np.flatnonzero(chosen == number) for number in range(len(sets))]
    parts = [
        trade(variant, plain, sloppy.select(paths.path_ids[row]), column_chunk)
        for variant, row in zip(sets, rows, strict=True)
        if len(row)
    ]
    if not parts:
        return trade(strategy, plain, sloppy, column_chunk)
    back = np.argsort(np.concatenate(rows), kind="stable")
    trades = pd.concat([part.trades for part in parts], ignore_index=True)
    place = pd.Series(np.arange(len(paths)), index=paths.path_ids)
    endings = None if ground.account is None else pd.concat([part.endings for part in parts]).iloc[back]
    return BacktestResult(
        metrics=pd.concat([part.metrics for part in parts]).iloc[back],
        equity=np.concatenate([part.equity for part in parts])[back],
        exposure=np.concatenate([part.exposure for part in parts])[back],
        trades=trades.iloc[np.argsort(place[trades["path_id"]].to_numpy(), kind="stable")].reset_index(drop=True),
        endings=endings,
    )


def chunks(context: Sized, paths: Horizon, width: int | None = None) -> list[slice]:
    """Return the slices of paths to hold in memory one after the other."""
    most = width or min(COLUMN_CHUNK, max(1, CHUNK_CELLS // (len(context) + paths.horizon)))
    return [slice(start, start + most) for start in range(0, len(paths), most)]


def bars_of(ground: Ground, paths: PathSet, chunk: slice = slice(None)) -> Bars:
    """Return context and paths as the frames [bar x path] that a strategy sees."""
    context = ground.context
    index = context.timestamps.append(paths.timestamps)
    columns = pd.Index(paths.path_ids[chunk], name="path_id")

    def frame(field: str) -> pd.DataFrame:
        future = paths.column(field)[chunk].T  # [bar, path]
        past = np.broadcast_to(context.column(field)[:, None], (len(context), future.shape[1]))
        return pd.DataFrame(np.concatenate([past, future]), index=index, columns=columns)

    has_volume = context.has_volume and "volume" in paths.fields
    return Bars(
        open=frame("open"),
        high=frame("high"),
        low=frame("low"),
        close=frame("close"),
        volume=frame("volume") if has_volume else None,
        context_bars=len(context),
        bars_per_year=ground.bars_per_year,
    )


def seen_bars(ground: Ground, paths: PathSet, chunk: slice = slice(None)) -> Bars | None:
    """Return the frames that a strategy sees where data are wrong; None where they are not."""
    return None if paths.as_seen is paths else bars_of(ground, paths.as_seen, chunk)


def _filled(strategy: LoadedStrategy, ground: Ground, paths: PathSet, chunk: slice) -> tuple[Bars, Outcome]:
    """Return some paths as frames, and what the broker made of what the strategy wanted on them."""
    bars, seen = bars_of(ground, paths, chunk), seen_bars(ground, paths, chunk)
    terms = ground.terms_of(paths, chunk)
    try:
        return bars, _fill(strategy, bars, bars if seen is None else seen, terms, ground.broker)
    except StrategyError as error:
        error.fix = error.fix if seen is None else f"{WRONG_DATA}; else {error.fix}"
        raise


def _run_chunk(strategy: LoadedStrategy, ground: Ground, paths: PathSet, chunk: slice) -> BacktestResult:
    bars, outcome = _filled(strategy, ground, paths, chunk)
    path_ids = paths.path_ids[chunk]
    return BacktestResult(
        metrics=metrics_of(outcome, path_ids, ground.bars_per_year),
        equity=outcome.account.equity.astype(np.float32),
        exposure=outcome.account.exposure.astype(np.float32),
        trades=outcome.trades.assign(path_id=path_ids[outcome.trades["path_id"].to_numpy()]),
        endings=None if ground.account is None else endings_of(ground.account, outcome, bars, ground, path_ids),
    )


class Horizon(Sized, Protocol):
    """Paths of one asset or of several."""

    @property
    def horizon(self) -> int:
        """Bars per path."""


class Days(Protocol):
    """What rules of an account need of a ground, of one asset or of several."""

    @property
    def broker(self) -> Broker:
        """Whose fills these are."""

    def trading_days(self, timestamps: pd.DatetimeIndex) -> NDArray[np.int64]:
        """Return each bar's trading day, counted from 0, int64 [bar]."""


def endings_of(
    rules: AccountRules, outcome: Outcome, bars: Bars, ground: Days, path_ids: NDArray[np.int64]
) -> pd.DataFrame:
    """Return what ends each account under its rules."""
    path = slice(bars.context_bars, None)
    quotes = {name: np.ascontiguousarray(getattr(bars, name).to_numpy()[path].T) for name in PRICE_FIELDS}
    inside = swings(outcome.orders, outcome.account, quotes, at_close=ground.broker.fill == "close")
    found = judge_account(rules, outcome.account, inside, ground.trading_days(bars.close.index[path]))
    return pd.DataFrame({ENDING: found.ending, AT: found.bar}, index=pd.Index(path_ids, name="path_id"))


def metrics_of(outcome: Outcome, path_ids: NDArray[np.int64], bars_per_year: float) -> pd.DataFrame:
    """Return every metric of every path, index path_id."""
    tally = Tally.of(outcome.account, outcome.trades, bars_per_year, outcome.unfilled, outcome.held, outcome.waited)
    return pd.DataFrame(measure(tally), index=pd.Index(path_ids, name="path_id"))


def nothing_of(path_ids: NDArray[np.int64], horizon: int, *, rules: bool) -> BacktestResult:
    """Return the result of no paths, under rules of the account or without: every path may have been rejected."""
    index = pd.Index(path_ids, name="path_id")
    return BacktestResult(
        metrics=pd.DataFrame(columns=[metric.name for metric in METRICS], index=index, dtype=np.float64),
        equity=np.empty((0, horizon + 1), dtype=np.float32),
        exposure=np.empty((0, horizon), dtype=np.float32),
        trades=pd.DataFrame(columns=list(TRADE_COLUMNS)),
        endings=pd.DataFrame(columns=[ENDING, AT], index=index) if rules else None,
    )


def _fill(strategy: LoadedStrategy, bars: Bars, seen: Bars, terms: TradingTerms | None, broker: Broker) -> Outcome:
    """Ask the strategy by the first of its methods and have the answer filled on the bars as they are."""
    method, market = method_of(strategy), market_of(bars, slice(bars.context_bars, None), terms)
    if method == "portfolio":
        _refuse_terms(strategy, terms)
        answer: Any = usable_portfolio(strategy, ask(strategy, method, seen.lent(), broker), bars)
        return simulate.outcome_of(answer, market.close)
    answer = ask(strategy, method, seen.lent())
    if method == "weights":
        weights = usable_weights(strategy, answer, bars, rows_filled(bars, broker), broker)
        return simulate.run_weights(market, weights, broker, bars.bars_per_year)
    return simulate.run_signals(market, wanted_of(strategy, answer, bars, broker), broker, bars.bars_per_year)


def wanted_of(strategy: LoadedStrategy, answer: Any, bars: Bars, broker: Broker) -> SignalOrders:
    """Return the orders of the path that an answer of ``signals`` asks for, a carried position included."""
    rows = rows_filled(bars, broker)
    wanted = usable_signals(strategy, answer, bars, rows, most=broker.leverage)
    if broker.position == "flat":
        return wanted
    before = usable_signals(strategy, answer, bars, slice(0, rows.start), most=broker.leverage, warm=False)
    return simulate.with_carried(wanted, before, market_of(bars, slice(0, bars.context_bars)), broker)


def market_of(bars: Bars, rows: slice, terms: TradingTerms | None = None) -> Quotes:
    """Return some rows as the broker sees them; terms are those of the paths, all of whose bars the rows are."""
    arrays = {} if terms is None else replace(terms, seen=None).arrays()
    return Quotes(
        open=bars.open.to_numpy()[rows],
        high=bars.high.to_numpy()[rows],
        low=bars.low.to_numpy()[rows],
        close=bars.close.to_numpy()[rows],
        volume=None if bars.volume is None else bars.volume.to_numpy()[rows],
        **{name: values.T for name, values in arrays.items()},
    )


def rows_filled(bars: Bars, broker: Broker) -> slice:
    """Return the rows whose decisions are filled on the path's bars 0, 1, ..."""
    lag = 1 if broker.fill == "next_open" else 0
    return slice(bars.context_bars - lag, len(bars) - lag)


def refuse_rules(strategy: LoadedStrategy, brokers: Sequence[Broker]) -> None:
    """Refuse a strategy that fills its own orders where T+1 or a price limit holds for some asset."""
    if any(broker.t_plus or broker.at_limit == "wait" for broker in brokers):
        _refuse_terms(strategy, TradingTerms())


def _refuse_terms(strategy: LoadedStrategy, terms: TradingTerms | None) -> None:
    """Refuse a strategy that fills its own orders where rules or shocks do not reach these."""
    if terms is not None:
        raise StrategyError(
            f"{strategy.name} fills its own orders (portfolio): T+1, price limits, and shocks of costs, liquidity, "
            "data, halts and limits do not reach them",
            expected="signals or weights, whose orders the broker fills",
            fix="set broker.t_plus: 0 and broker.at_limit: fill and leave such shocks out, or run this strategy in a "
            "spec of its own",
        )


def _refuse_lack_of_volume(ground: Ground, paths: PathSet) -> None:
    share = ground.broker.volume_share
    if share is not None and not (ground.context.has_volume and "volume" in paths.fields):
        raise SpecError(
            f"broker.volume_share is {share:g}, but the bars have no volume",
            expected="a history and paths with volume",
            fix="bring a history with volume, or remove broker.volume_share",
        )
