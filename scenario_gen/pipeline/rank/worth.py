"""What a ranking is worth: coefficients by date, the portfolio of its top names, and the judgements on both."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from scenario_gen.backtest.metrics import drawdown
from scenario_gen.backtest.topk import Desk, DeskTerms, Tape, TopAccount, even_out, exchange, trade
from scenario_gen.errors import DataError
from scenario_gen.finding import CROSS_SECTION, LOOK_AHEAD, Finding, Label
from scenario_gen.market.candles import Floats
from scenario_gen.market.load import load_candles
from scenario_gen.pipeline.rank.config import Portfolio, RankConfig, RankSettings
from scenario_gen.pipeline.rank.signals import DateSignals
from scenario_gen.pipeline.rank.universe import Universe, UniversePanel
from scenario_gen.stats.cross_section import FEWEST_SPANS, Coefficients, MeanCoefficient, mean_coefficient
from scenario_gen.stats.estimate import Estimate, t_quantile
from scenario_gen.store.ranking import BesideBenchmark, Decay, RankedDate, SignalWorth, Traded

CHANCE = 0.05
YEAR_DAYS = 365.25

Signals = dict[int, Floats]  # by place of the date: every signal of every instrument [N, S], NaN where there is none


def as_arrays(panel: UniversePanel, ranked: Mapping[int, DateSignals], count: int) -> Signals:
    """Return kept signals by place, on all instruments."""
    columns = {name: number for number, name in enumerate(panel.names)}
    arrays = {}
    for place, kept in ranked.items():
        arrays[place] = np.full((len(panel.names), count), np.nan)
        for name, values in zip(kept.names, kept.values, strict=True):
            arrays[place][columns[name]] = [np.nan if value is None else value for value in values]
    return arrays


def signal_frame(panel: UniversePanel, signals: Signals, settings: RankSettings) -> pd.DataFrame:
    """Return a row per date and instrument that was ranked: every signal, and the realised return."""
    frames = []
    for place, values in signals.items():
        rows = np.flatnonzero(np.isfinite(values).any(axis=1))
        columns = {name: values[rows, number] for number, name in enumerate(settings.signals)}
        frames.append(
            pd.DataFrame(
                {
                    "date": panel.dates[place],
                    "instrument": [panel.names[row] for row in rows],
                    **columns,
                    "realised": panel.realised(place, settings.horizon)[rows],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def ranked_dates(panel: UniversePanel, signals: Signals, settings: RankSettings) -> list[RankedDate]:
    """Return every date with the coefficients of the judged signal, or why it has none."""
    column, dates = settings.signals.index(settings.signal), []
    for place, values in signals.items():
        realised = panel.realised(place, settings.horizon)
        got = Coefficients.of(values[:, column], realised, settings.fewest)
        many = int(np.isfinite(values[:, column]).sum())
        why = ""
        if place + settings.horizon >= len(panel.dates):
            why = "the horizon is not over"
        elif got.instruments < settings.fewest:
            why = f"fewer than {settings.fewest} instruments"
        elif math.isnan(got.spearman):
            why = "no two signals or returns differ"
        pearson, spearman = (None if math.isnan(value) else value for value in (got.pearson, got.spearman))
        listed = int(panel.listed[place].sum())
        dates.append(RankedDate(str(panel.dates[place]), many, got.instruments, listed, pearson, spearman, why))
    return dates


def _mean(
    panel: UniversePanel, signals: Signals, settings: RankSettings, column: int, bars: int
) -> tuple[MeanCoefficient, MeanCoefficient]:
    every = [
        Coefficients.of(values[:, column], panel.realised(place, bars), settings.fewest)
        for place, values in signals.items()
    ]
    series = (np.array([got.pearson for got in every]), np.array([got.spearman for got in every]))
    pearson, spearman = (mean_coefficient(values, bars, settings.dates.every) for values in series)
    return pearson, spearman


def worth_of(panel: UniversePanel, signals: Signals, settings: RankSettings) -> list[SignalWorth]:
    """Return what each signal is worth over the horizon."""
    return [
        SignalWorth(name, *_mean(panel, signals, settings, column, settings.horizon))
        for column, name in enumerate(settings.signals)
    ]


def decay_of(panel: UniversePanel, signals: Signals, settings: RankSettings) -> list[Decay]:
    """Return the rank coefficient of the judged signal over other horizons."""
    column = settings.signals.index(settings.signal)
    return [Decay(bars, _mean(panel, signals, settings, column, bars)[1]) for bars in settings.decay]


# --- The portfolio, equal parts and a series ---


def terms_of(portfolio: Portfolio) -> DeskTerms:
    """Return what trading costs and what the exchange allows."""
    return DeskTerms(
        portfolio.cash,
        portfolio.invested,
        portfolio.commission,
        portfolio.slippage,
        portfolio.stamp_duty,
        portfolio.t_plus_one,
        portfolio.price_limit,
    )


def accounts(panel: UniversePanel, signals: Signals, settings: RankSettings) -> tuple[TopAccount, TopAccount] | None:
    """Trade the top names and equal parts of all ranked names; None where no bar follows the first ranking."""
    portfolio = settings.portfolio
    if portfolio is None:
        return None
    column, places = settings.signals.index(settings.signal), [*signals][:: portfolio.rebalance]
    scores = [(place, signals[place][:, column]) for place in places]
    last = min(places[-1] + portfolio.rebalance * settings.dates.every, len(panel.dates) - 1)
    tape, terms = Tape(panel.open, panel.close, panel.day), terms_of(portfolio)

    def top(desk: Desk, bar: int, score: Floats) -> None:
        exchange(desk, bar, score, portfolio.top, portfolio.drop)

    ours, equal = (trade(tape, scores, terms, rule, last) for rule in (top, even_out))
    return None if ours is None or equal is None else (ours, equal)


def bars_per_year(panel: UniversePanel) -> float:
    """Return the bars of an average year of the panel."""
    days = (panel.dates[-1] - panel.dates[0]) / pd.Timedelta(days=1)
    return float((len(panel.dates) - 1) / max(days, 1.0) * YEAR_DAYS)


def traded(title: str, account: TopAccount, per_year: float, cash: float) -> Traded:
    """Return what an account came to."""
    curve = np.concatenate(([1.0], account.value / cash))
    refused = account.refused
    return _traded(
        title,
        curve,
        per_year,
        turnover=float(account.turnover.mean()),
        orders=account.orders,
        costs=account.costs / cash,
        suspended=refused.suspended,
        at_limit=refused.at_limit,
        bought_today=refused.bought_today,
    )


def series(
    title: str, file: str, config: RankConfig, panel: UniversePanel, account: TopAccount, per_year: float
) -> Traded:
    """Return a given series over the bars of the account, without costs.

    Raises:
        DataError: it cannot be read, or does not reach over these bars.
    """
    candles = load_candles(config.path(file))
    stamps = candles.timestamps.tz_localize(None)
    known = pd.Series(candles.close, stamps.normalize() if (panel.dates == panel.dates.normalize()).all() else stamps)
    first = int(account.bars[0])
    closes = known.reindex(panel.dates.union(known.index)).ffill().reindex(panel.dates[[first - 1, *account.bars]])
    if closes.isna().any():
        raise DataError(
            f"the benchmark {file} begins at {known.index[0]}, after the first purchase at {panel.dates[first]}",
            expected="a series over all dates of the portfolio",
            fix="give a longer benchmark.file, or a later dates.start",
        )
    return _traded(title, closes.to_numpy() / float(closes.iloc[0]), per_year)


def _traded(
    title: str,
    curve: Floats,
    per_year: float,
    *,
    turnover: float | None = None,
    orders: int | None = None,
    costs: float | None = None,
    suspended: int = 0,
    at_limit: int = 0,
    bought_today: int = 0,
) -> Traded:
    growth, years = float(curve[-1]), (len(curve) - 1) / per_year
    returns = np.diff(curve) / curve[:-1]
    return Traded(
        title,
        growth - 1,
        growth ** (1 / years) - 1 if growth > 0 else -1.0,
        float(returns.std(ddof=1)) * math.sqrt(per_year) if len(returns) > 1 else 0.0,
        _fall(curve),
        turnover,
        orders,
        costs,
        suspended,
        at_limit,
        bought_today,
        [float(value) for value in curve],
    )


def _fall(curve: Floats) -> float:
    return float(drawdown(curve[None]).max())


def beside(ours: Traded, other: Traded, account: TopAccount, per_year: float) -> BesideBenchmark:
    """Hold a portfolio against a benchmark: excess return per bar, net of the costs of both.

    The information ratio's interval is that of Lo (2002, Financial Analysts Journal 58) for independent excess
    returns: its variance per bar is (1 + IR^2 / 2) / n.
    """
    mine, theirs = np.array(ours.curve), np.array(other.curve)
    excess = np.diff(mine) / mine[:-1] - np.diff(theirs) / theirs[:-1]
    spans = [*(int(fill - account.bars[0]) for fill in account.fills), len(mine) - 1]
    gains = [
        mine[end] / mine[start] > theirs[end] / theirs[start] for start, end in itertools.pairwise(spans) if end > start
    ]
    hits = float(np.mean(gains)) if gains else math.nan
    return BesideBenchmark(
        other.title,
        float(excess.mean()) * per_year,
        _information_ratio(excess, per_year),
        _fall(mine / theirs),
        hits,
        len(gains),
    )


def _information_ratio(excess: Floats, per_year: float) -> Estimate:
    count = len(excess)
    spread = float(excess.std(ddof=1)) if count > 1 else 0.0
    if spread == 0:
        return Estimate(None, n=count, reason="the portfolio and the benchmark never differ")
    ratio = float(excess.mean()) / spread
    half = t_quantile(count - 1) * math.sqrt((1 + ratio**2 / 2) / count)
    low, middle, high = (value * math.sqrt(per_year) for value in (ratio - half, ratio, ratio + half))
    return Estimate(middle, low, high, count)


# --- Judgements ---


def judge(
    settings: RankSettings,
    universe: Universe,
    panel: UniversePanel,
    dates: Sequence[RankedDate],
    worth: Sequence[SignalWorth],
) -> list[Finding]:
    """Judge the breadth of the ranking, who may be missing from it, and whether it orders beyond chance."""
    judged = next(each for each in worth if each.signal == settings.signal)
    return [judge_order(judged), _breadth(settings, dates), _survivors(universe, panel)]


def judge_order(judged: SignalWorth) -> Finding:
    """Judge whether a signal orders what came beyond chance."""
    rank = judged.spearman
    if not rank.judged or rank.p is None or rank.mean is None:
        return CROSS_SECTION.finding(
            "UNTESTABLE",
            f"{rank.dates} dates have a rank IC, as much as {rank.spans:.1f} horizons without overlap",
            part="rank_ic",
            band=f"{FEWEST_SPANS} horizons without overlap, or more",
        )
    beyond = rank.p < CHANCE
    label: Label = "INCONCLUSIVE" if not beyond else "PASS" if rank.mean > 0 else "WARN"
    way = " (the wrong way round)" if label == "WARN" else ""
    measured = f"rank IC of {judged.signal} {rank.mean:+.3f} over {rank.dates} dates, t {rank.t:+.1f}, p {rank.p:.3f}"
    return CROSS_SECTION.finding(label, measured + way, part="rank_ic")


def _breadth(settings: RankSettings, dates: Sequence[RankedDate]) -> Finding:
    few = [day for day in dates if day.ranked < settings.fewest]
    least, most = min(day.ranked for day in dates), max(day.ranked for day in dates)
    label: Label = "PASS" if not few else "UNTESTABLE" if len(few) == len(dates) else "WARN"
    return CROSS_SECTION.finding(
        label,
        f"{least} to {most} instruments ranked; {len(few)} of {len(dates)} dates have fewer than {settings.fewest}",
        part="breadth",
        band=f"{settings.fewest} instruments or more at every date",
        offenders=[day.date for day in few[:20]],
    )


def _survivors(universe: Universe, panel: UniversePanel) -> Finding:
    last = len(panel.dates) - 1
    ended = int(((panel.bars[last] > 0) & ~np.isfinite(panel.close[-20:]).any(axis=0)).sum())
    measured = f"{universe.note}; {ended} of {len(panel.names)} instruments have no bar among the last 20"
    return CROSS_SECTION.finding(
        "PASS" if universe.dated else "WARN",
        measured,
        part="survivorship",
        band="a list as of each date, with those who left later",
    )


def judge_foresight(differences: Mapping[str, Mapping[str, str]], asked: int, signal: str) -> Finding:
    """Judge whether rankings are the same without the bars after their date.

    Args:
        differences: by date that was ranked again, how the rankings differ, by instrument.
        asked: dates that were ranked again.
        signal: that is ranked by.
    """
    wrong = {day: how for day, how in differences.items() if how}
    offenders = [f"{day}: {name}: {words}" for day, how in wrong.items() for name, words in how.items()]
    label: Label = "UNTESTABLE" if not asked else "FAIL" if wrong else "PASS"
    measured = (
        "no date was ranked again (guard: 0)" if not asked
        else f"{len(wrong)} of {asked} dates are ranked otherwise from histories that end at the date"
    )  # fmt: skip
    return LOOK_AHEAD.finding(
        label, measured, part="ranking", strategy=f"ranking by {signal}", offenders=offenders[:20],
        band="the same signals, to the last bit, whatever comes after the date",
    )  # fmt: skip
