"""A live report as lines and tables for the terminal. Reads it, computes nothing."""

from __future__ import annotations

from scenario_gen.live.results import CrpsPair, LiveReport, LogDrift, LogFigures, LogRanks, StrategyWatch
from scenario_gen.report import numbers
from scenario_gen.report.table import Column, Table, of_texts
from scenario_gen.report.words import plural
from scenario_gen.stats.estimate import Estimate


def live_parts(report: LiveReport) -> list[Table | list[str]]:
    """Return the forecast in lines, then the tables of its log and of the strategies that are watched."""
    return [forecast_lines(report), *log_tables(report.log), *strategy_tables(report.strategies)]


def forecast_lines(report: LiveReport) -> list[str]:
    """Return what is forecast, and what a reader must know of how it came about."""
    forecast = report.forecast
    rise = numbers.share(forecast.rise, "rise").words
    wilder = numbers.share(report.rise_in_volatility, "rise_in_volatility").words
    again = [] if report.fresh else ["no new bar has come: the same forecast again, which the log has"]
    state = report.state
    market = [] if state is None else [state.words, *(anomaly.words for anomaly in state.anomalies)]
    return [
        f"{forecast.title}; bars from {report.source}",
        f"probability of a rise {rise}; of more volatility than over as many bars before {wilder}",
        *again,
        *market,
        *report.notes,
        *forecast.warnings,
    ]


def log_tables(figures: LogFigures) -> list[Table]:
    """Return ranks with coverage, scores beside baselines, and drift, of those that there are."""
    tables = [_ranks_table(figures)]
    if figures.crps:
        tables.append(_crps_table(figures.crps))
    if figures.drift:
        tables.append(_drift_table(figures.drift))
    return tables


def _ranks_table(figures: LogFigures) -> Table:
    levels = next((ranks.coverage for ranks in figures.ranks if ranks.coverage), [])
    heads = ("judged", "waiting", *(f"in {each.level:.0%}" for each in levels))
    test = figures.test
    caption = (
        "Coverage of central bands with its exact 95 % interval, over forecasts whose futures do not overlap. Evidence "
        f"against calibration: {test.evidence:.3g} now, {test.highest:.3g} at most; {test.threshold:g} is an alarm, "
        f"which a calibrated generator ever raises with a probability of {1 / test.threshold:.0%} at most."
    )
    return of_texts(
        (Column("What was forecast", left=True), *map(Column, heads)),
        [_ranks_row(ranks, len(levels)) for ranks in figures.ranks],
        title=f"{figures.generator} ({figures.identity}): {plural(figures.forecasts, 'forecast')} in the log",
        caption=" ".join([caption, *figures.notes]),
    )


def _ranks_row(ranks: LogRanks, levels: int) -> tuple[str, ...]:
    inside = [f"{each.share:.0%} of {each.origins} [{each.low:.0%}, {each.high:.0%}]" for each in ranks.coverage]
    return (ranks.title, str(ranks.judged), str(ranks.waiting), *(inside or ["none yet"] * levels))


def _crps_table(pairs: list[CrpsPair]) -> Table:
    rows = [
        (
            pair.number,
            pair.baseline,
            f"{pair.ours:.4g}",
            f"{pair.theirs:.4g}",
            _in_words(pair.difference),
            str(pair.difference.n),
        )
        for pair in pairs
    ]
    columns = (Column("Score", left=True), Column("baseline", left=True))
    heads = ("ours", "theirs", "ours less theirs", "forecasts")
    return of_texts(
        (*columns, *map(Column, heads)), rows, title="CRPS beside the baselines", caption="Lower is better."
    )


def _drift_table(drifts: list[LogDrift]) -> Table:
    rows = [
        (
            each.what,
            _in_words(each.distance),
            f"{each.usual:.3g}",
            _in_words(each.index),
            f"{each.usual_index:.3g}",
            str(each.recent),
        )
        for each in drifts
    ]
    caption = (
        "Wasserstein distance to the returns before the first forecast, in their standard deviations, and population "
        "stability index over their tenths; of stretches of those returns, as long, 95 % stay below what is usual."
    )
    heads = ("distance", "usual", "index", "usual", "bars")
    return of_texts((Column("Drift of", left=True), *map(Column, heads)), rows, title="Drift", caption=caption)


def strategy_tables(watches: list[StrategyWatch]) -> list[Table]:
    """Return how strategies fare beside what was promised of them; no table where none is watched."""
    rows = [(each.strategy, each.course, *_of_promises(each)) for each in watches]
    if not rows:
        return []
    heads = ("bars", "realised", "promised, 90 %", "paths as far astray", "evidence", "finished", "bands left")
    caption = (
        "Realised return since the promise at hand began, beside 90 % of its paths at the same bar; the share of its "
        "paths that ever stray as far; the evidence against finished promises, of which "
        f"{watches[0].threshold:g} is drifting, and how many of these had left their band. Kept promises: "
        f"{watches[0].false_alarms}."
    )
    columns = (Column("Strategy", left=True), Column("verdict", left=True), *map(Column, heads))
    return [of_texts(columns, rows, title="Strategies", caption=caption)]


def _of_promises(watched: StrategyWatch) -> tuple[str, ...]:
    counts = (f"{watched.evidence:.3g}", str(watched.finished), str(watched.left_bands))
    if watched.band_p is None:
        return ("0", "no bar yet", "", "", *counts)
    held = (str(watched.bars), f"{watched.realised:+.2%}", watched.promised_in_words, f"{watched.band_p:.1%}")
    return (*held, *counts)


def _in_words(estimate: Estimate) -> str:
    value = "none" if estimate.value is None else f"{estimate.value:.3g}"
    return (
        f"{value} ({estimate.reason})" if estimate.low is None else f"{value} [{estimate.low:.3g}, {estimate.high:.3g}]"
    )
