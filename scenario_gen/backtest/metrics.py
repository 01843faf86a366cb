"""What is measured on each path: one list of metrics, computed here and nowhere else.

Equity is [path, bar + 1] with the starting cash first; results are float64 [path]. NaN means *not applicable*
(no closed trade, no variance, no drawdown, a path too short for figures per year);
no metric is ever infinite. A ruined account has equity 0 from
its ruin on: a total and an annual return of -1, and bars of return 0 afterwards. Returns are simple, the
risk-free rate is 0.

Knows arrays; knows neither strategies nor how paths are summed up (see ``stats.estimate``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from scenario_gen.backtest.account import Account, Floats

# Standard deviations of returns below this are rounding of equal numbers (float64 has a relative error of
# 1e-16).
NO_VARIANCE = 1e-12
# The largest growth of the logarithm in a year that is told: a millionfold. Nobody makes more.
LOG_MAX = math.log(1e6)
# The least share of a year that a path must last for figures per year: two daily bars of 252. The return of a shorter
# one would be raised to a power above 200, which makes a number of noise.
LEAST_YEARS = 0.005

Form = Literal["percent", "signed percent", "change", "level", "number", "count", "price"]


@dataclass(frozen=True)
class Tally:
    """What the metrics are computed from."""

    equity: Floats  # float64 [path, bar + 1]
    exposure: Floats  # float64 [path, bar], absolute share of equity at the close, all assets together
    traded: Floats  # float64 [path, bar], value bought and sold
    fees: Floats  # float64 [path, bar], in quote currency
    trades: Floats  # float64 [path], round trips, the open one included
    closed: Floats  # float64 [path], round trips that are closed
    won: Floats  # float64 [path], closed round trips with a profit after fees
    bars_per_year: float  # to annualise with
    unfilled: Floats | None = None  # float64 [path], share of its orders that were cut or refused; NaN without any
    held: Floats | None = None  # float64 [path], sales that T+1 held back; None without such a rule
    waited: Floats | None = None  # float64 [path], orders that found nobody; None without limits and halts

    @classmethod
    def of(
        cls,
        account: Account,
        trades: pd.DataFrame,
        bars_per_year: float,
        unfilled: Floats | None = None,
        held: Floats | None = None,
        waited: Floats | None = None,
    ) -> Tally:
        """Count the round trips of an account; ``trades.path_id`` is a column number."""
        paths = len(account.equity)
        column, closed = trades["path_id"].to_numpy(), ~trades["open"].to_numpy(dtype=bool)
        won = closed & (trades["pnl"].to_numpy() > 0)
        return cls(
            equity=account.equity,
            exposure=account.gross,
            traded=account.traded,
            fees=account.fees,
            trades=_count(column, paths),
            closed=_count(column[closed], paths),
            won=_count(column[won], paths),
            bars_per_year=bars_per_year,
            unfilled=unfilled,
            held=held,
            waited=waited,
        )


@dataclass(frozen=True)
class Metric:
    """One metric: what the report says about it and how it is computed."""

    name: str  # column name in metrics.parquet
    title: str  # heading in a table
    form: Form  # how a value becomes text, on the page and everywhere
    unit: str  # ``fraction`` (0.12 is 12 %), ``fraction/year``, ``ratio``, ``bars``, ``count`` or ``1/year``
    formula: str  # in words and symbols; T bars of horizon, B bars per year, E equity, r its simple returns
    source: str  # where the definition comes from
    function: Callable[[Tally], Floats]  # Tally -> float64 [path]


def bar_returns(equity: Floats) -> Floats:
    """Return simple returns per bar, float64 [path, bar]; 0 once the account is ruined."""
    before, after = equity[:, :-1], equity[:, 1:]
    return np.divide(after - before, before, out=np.zeros_like(before), where=before > 0)


def total_return(equity: Floats) -> Floats:
    """Return the gain over the horizon as a share of the starting cash, [path]."""
    return np.asarray(equity[:, -1] / equity[:, 0] - 1.0)


def annual_return(equity: Floats, bars_per_year: float) -> Floats:
    """Return the compound return per year, [path]; NaN where it is too large for a number."""
    growth = equity[:, -1] / equity[:, 0]
    logs = np.log(growth, out=np.full_like(growth, -np.inf), where=growth > 0)
    yearly = logs * (bars_per_year / (equity.shape[1] - 1))
    return np.asarray(np.expm1(yearly, out=np.full_like(yearly, np.nan), where=yearly < LOG_MAX))


def annual_volatility(equity: Floats, bars_per_year: float) -> Floats:
    """Return the standard deviation of returns per year, [path]; NaN on a horizon of one bar."""
    return np.asarray(_deviation(bar_returns(equity)) * np.sqrt(bars_per_year))


def sharpe(equity: Floats, bars_per_year: float) -> Floats:
    """Return the mean return over its standard deviation, annualised, [path]."""
    returns = bar_returns(equity)
    return np.asarray(_ratio(returns.mean(axis=1), _deviation(returns), NO_VARIANCE) * np.sqrt(bars_per_year))


def sortino(equity: Floats, bars_per_year: float) -> Floats:
    """Return the mean return over its downside deviation from 0, annualised, [path]."""
    returns = bar_returns(equity)
    downside = np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2, axis=1))
    return np.asarray(_ratio(returns.mean(axis=1), downside, NO_VARIANCE) * np.sqrt(bars_per_year))


def calmar(equity: Floats, bars_per_year: float) -> Floats:
    """Return the annual return over the maximum drawdown, [path]."""
    return _ratio(annual_return(equity, bars_per_year), max_drawdown(equity), NO_VARIANCE)


def drawdown(equity: Floats) -> Floats:
    """Return the fall from the running peak at each bar as a positive fraction, [path, bar + 1]."""
    return np.asarray(1.0 - equity / np.maximum.accumulate(equity, axis=1))


def max_drawdown(equity: Floats) -> Floats:
    """Return the largest fall from a running peak as a positive fraction, [path]."""
    return np.asarray(drawdown(equity).max(axis=1))


def drawdown_bars(equity: Floats) -> Floats:
    """Return the bars from a peak to its recovery, or to the end, of the longest drawdown, [path]."""
    bar = np.arange(equity.shape[1])
    peak = np.maximum.accumulate(equity, axis=1)
    at_peak = equity >= peak
    last_peak = np.maximum.accumulate(np.where(at_peak, bar, 0), axis=1)
    below = np.where(at_peak, 0, bar - last_peak)[:, 1:]
    recovered = np.where(at_peak[:, 1:] & ~at_peak[:, :-1], bar[1:] - last_peak[:, :-1], 0)
    return np.asarray(np.maximum(below, recovered).max(axis=1), dtype=np.float64)


def time_under_water(equity: Floats) -> Floats:
    """Return the share of bars whose equity is below the running peak, [path]."""
    below = equity < np.maximum.accumulate(equity, axis=1)
    return np.asarray(below[:, 1:].mean(axis=1))


def win_rate(won: Floats, closed: Floats) -> Floats:
    """Return the share of closed round trips with a profit after fees, [path]."""
    return _ratio(won, closed, 0.0)


def mean_exposure(exposure: Floats) -> Floats:
    """Return the mean over bars of the absolute share of equity in the market, [path]."""
    return np.asarray(np.abs(exposure).mean(axis=1))


def turnover(traded: Floats, equity: Floats, bars_per_year: float) -> Floats:
    """Return value bought plus sold over mean equity, per year, [path]."""
    return np.asarray(traded.sum(axis=1) / equity.mean(axis=1) * (bars_per_year / traded.shape[1]))


def fees_paid(fees: Floats, equity: Floats) -> Floats:
    """Return all fees as a share of the starting cash, [path]."""
    return np.asarray(fees.sum(axis=1) / equity[:, 0])


METRICS: tuple[Metric, ...] = (
    Metric(
        "total_return",
        "Total return",
        "signed percent",
        "fraction",
        "E_T / E_0 - 1",
        "definition",
        lambda t: total_return(t.equity),
    ),
    Metric(
        "annual_return",
        "Annual return",
        "signed percent",
        "fraction/year",
        "(E_T / E_0)^(B / T) - 1",
        "definition (compound annual growth rate)",
        lambda t: annual_return(t.equity, t.bars_per_year),
    ),
    Metric(
        "annual_volatility",
        "Annual volatility",
        "percent",
        "fraction/year",
        "standard deviation of r (T - 1 degrees of freedom) x sqrt(B)",
        "definition; scales as if returns were uncorrelated",
        lambda t: annual_volatility(t.equity, t.bars_per_year),
    ),
    Metric(
        "sharpe",
        "Sharpe ratio",
        "number",
        "ratio",
        "mean of r / standard deviation of r x sqrt(B), risk-free rate 0",
        "Sharpe (1994), The Sharpe Ratio, Journal of Portfolio Management 21",
        lambda t: sharpe(t.equity, t.bars_per_year),
    ),
    Metric(
        "sortino",
        "Sortino ratio",
        "number",
        "ratio",
        "mean of r / sqrt(mean of min(r, 0)^2) x sqrt(B), target 0",
        "Sortino and Price (1994), Performance Measurement in a Downside Risk Framework, J. of Investing 3",
        lambda t: sortino(t.equity, t.bars_per_year),
    ),
    Metric(
        "calmar",
        "Calmar ratio",
        "number",
        "ratio",
        "annual return / maximum drawdown",
        "Young (1991), Calmar Ratio: A Smoother Tool, Futures 20; here over the horizon instead of 36 months",
        lambda t: calmar(t.equity, t.bars_per_year),
    ),
    Metric(
        "max_drawdown",
        "Maximum drawdown",
        "percent",
        "fraction",
        "max over bars of 1 - E / running peak of E, at closes",
        "definition",
        lambda t: max_drawdown(t.equity),
    ),
    Metric(
        "drawdown_bars",
        "Longest drawdown, bars",
        "count",
        "bars",
        "largest number of bars from a peak of E to its recovery, or to the end",
        "definition",
        lambda t: drawdown_bars(t.equity),
    ),
    Metric(
        "time_under_water",
        "Time under water",
        "percent",
        "fraction",
        "bars with E below its running peak / T",
        "definition",
        lambda t: time_under_water(t.equity),
    ),
    Metric(
        "trades",
        "Trades",
        "count",
        "count",
        "round trips from flat to flat, the open one included",
        "definition",
        lambda t: t.trades,
    ),
    Metric(
        "win_rate",
        "Win rate",
        "percent",
        "fraction",
        "closed round trips with a profit after fees / closed round trips",
        "definition",
        lambda t: win_rate(t.won, t.closed),
    ),
    Metric(
        "exposure",
        "Exposure",
        "percent",
        "fraction",
        "mean over closes of |position value| / E; of several assets their sum",
        "definition",
        lambda t: mean_exposure(t.exposure),
    ),
    Metric(
        "turnover",
        "Turnover per year",
        "number",
        "1/year",
        "(value bought + value sold) / mean E x B / T; a full round trip of all equity counts 2",
        "definition",
        lambda t: turnover(t.traded, t.equity, t.bars_per_year),
    ),
    Metric(
        "fees",
        "Fees, share of the start",
        "percent",
        "fraction",
        "fees and the cost of borrowing / E_0; slippage is in the fill prices and not in here",
        "definition",
        lambda t: fees_paid(t.fees, t.equity),
    ),
    Metric(
        "unfilled",
        "Orders cut or refused",
        "percent",
        "fraction",
        "wanted orders that were refused, or cut by more than 5 % of E at the fill / wanted orders",
        "definition",
        lambda t: _counted(t, t.unfilled),
    ),
    Metric(
        "held_sales",
        "Sales held back by T+1",
        "count",
        "count",
        "wanted sales of what was bought in the same session, once a session (and asset)",
        "definition; not applicable where broker.t_plus is 0",
        lambda t: _counted(t, t.held),
    ),
    Metric(
        "waited_orders",
        "Orders without another side",
        "count",
        "count",
        "orders that a price limit or a halt kept waiting, once a session (and asset)",
        "definition; not applicable where there is neither",
        lambda t: _counted(t, t.waited),
    ),
)
PER_YEAR = frozenset({"annual_return", "annual_volatility", "sharpe", "sortino", "calmar", "turnover"})
BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}


def shortest_horizon(bars_per_year: float) -> int:
    """Return the fewest bars that have figures per year: 0.5 % of a year."""
    return math.ceil(LEAST_YEARS * bars_per_year - 1e-9)


def measure(tally: Tally) -> dict[str, Floats]:
    """Return every metric of every path, [path]; those per year are not applicable to paths too short for them."""
    short = tally.exposure.shape[1] < shortest_horizon(tally.bars_per_year)
    nothing = np.full(len(tally.equity), np.nan)
    return {one.name: nothing if short and one.name in PER_YEAR else one.function(tally) for one in METRICS}


def _counted(tally: Tally, numbers: Floats | None) -> Floats:
    """Return what was counted of each path; NaN where nobody counted."""
    return np.full(len(tally.equity), np.nan) if numbers is None else numbers


def _count(column: Floats, paths: int) -> Floats:
    return np.bincount(column, minlength=paths).astype(np.float64)


def _deviation(returns: Floats) -> Floats:
    if returns.shape[1] < 2:
        return np.full(len(returns), np.nan)
    return np.asarray(returns.std(axis=1, ddof=1))


def _ratio(above: Floats, below: Floats, smallest: float) -> Floats:
    """Divide where the denominator is larger than ``smallest``; NaN elsewhere."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > smallest)
