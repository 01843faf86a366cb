"""Would it pass the account's rules? The answer.

Owns their words and which number stands in which column. Judges nothing: a limit on passing is judged among the limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scenario_gen.backtest.account import TITLES
from scenario_gen.backtest.broker import LOSS_RULES
from scenario_gen.report.numbers import plain, share
from scenario_gen.report.table import Answer, Column, Placed, PlacedScenario, Row, Table, tabulate
from scenario_gen.report.tables.outcomes import group_row
from scenario_gen.report.words import Piece, Sentence, of_paths, plural, say
from scenario_gen.stats.estimate import rate
from scenario_gen.store.results import StressRun

QUESTION = "Would it pass the account’s rules?"
RULES = "{passes}; what closes it: {losses}. {time}{traded}"
AT_TARGET = "It passes at the first close with a gain of {target}"
BY_KEEPING = "It passes by keeping the rules to the end"
LOSSES = {
    "daily_loss": "a loss of {level} of {whole} within a trading day, counted from the last close of the day before",
    "max_loss": "a loss of {level} from the start",
    "trailing_drawdown": "a fall of {level} of {whole} from {peak}{lock}",
}
WHOLES = {
    "start": {"daily_loss": "the starting cash", "trailing_drawdown": "the starting cash"},
    "current": {"daily_loss": "the day’s opening equity", "trailing_drawdown": "the highest equity"},
}
PEAKS = {"intraday": "the highest equity, inside bars too", "end_of_day": "the highest equity at the end of a day"}
LOCK = ", which stops rising at the starting cash"
DAYS, ALL_DAYS = "There are {days}.", "There are as many trading days as the paths last."
TRADED = " An order on {days} at least is needed to pass."
MOST = "In scenario {scenario} {high} passes most often, on {share}{rest}."
REST = ", {low} least, on {share}"
ENDS = "What ends most paths of {strategy} otherwise: {what}, on {share}."
CAPTION = (
    "Equity counts open positions, at their worst inside each bar: the high before the low, a loss before the target, "
    "a stop at its level. The shares of a row add up to all paths."
)
TIMES = (
    Column("Bars to pass", "account/bars_to_pass", "count", unit="median"),
    Column("Bars to a loss", "account/bars_to_loss", "count", unit="median"),
)
TIMES_CAPTION = "Medians over the paths that pass, and over those that a loss ends; counted from 1 at the first bar."


def account_answer(run: StressRun, placed: Sequence[PlacedScenario], base: PlacedScenario) -> Answer | None:
    """Return how often every strategy passes the rules of the account, None where there are none."""
    rules = _rules(run)
    if rules is None:
        return None
    rows: list[Any] = []
    own = [scenario for scenario in placed if scenario.scenario.strategies]  # an asset of several has none
    for scenario in own:
        rows += [group_row(scenario)] if len(own) > 1 else []
        rows += [strategy for strategy in scenario.strategies() if strategy.strategy.account is not None]
    if all(isinstance(row, Row) for row in rows):
        return None
    return Answer(QUESTION, (rules_in_words(rules), *_found(base)), endings_tables(rules, rows))


def endings_tables(rules: Mapping[str, Any], rows: Iterable[Any]) -> tuple[Table, Table]:
    """Return what ends the paths of each strategy under the rules, and how long that takes."""
    shown = list(rows)
    ends = tabulate("Strategy", _endings(rules), shown, title="How the paths end under the rules.", caption=CAPTION)
    return ends, tabulate("Strategy", TIMES, shown, title="How long that takes.", caption=TIMES_CAPTION)


def rules_in_words(rules: Mapping[str, Any]) -> Sentence:
    """Return the rules as a sentence, every level with its place in run.json."""

    def level(name: str) -> Piece:
        return plain(rules[name], "level", f"spec/account/{name}")

    wholes = WHOLES[rules["loss_of"]]
    losses: list[Piece] = []
    for rule in (rule for rule in LOSS_RULES if rules.get(rule) is not None):
        told = say(
            LOSSES[rule],
            level=level(rule),
            whole=wholes.get(rule, ""),
            peak=PEAKS[rules["trail"]],
            lock=LOCK if rules["trail_lock"] else "",
        )
        losses += ["; " if losses else "", *told]
    days, traded = rules.get("days"), rules.get("min_days")
    return say(
        RULES,
        passes=say(BY_KEEPING) if rules.get("target") is None else say(AT_TARGET, target=level("target")),
        losses=tuple(losses),
        time=say(ALL_DAYS) if days is None else say(DAYS, days=plural(days, "trading day")),
        traded="" if traded is None else say(TRADED, days=plural(traded, "trading day")),
    )


def _rules(run: StressRun) -> Mapping[str, Any] | None:
    rules = run.spec.get("account")
    return rules if isinstance(rules, Mapping) else None


def _endings(rules: Mapping[str, Any]) -> tuple[Column, ...]:
    declared = [rule for rule in LOSS_RULES if rules.get(rule) is not None]
    return (
        Column("Passes", "account/passed", "share"),
        *(Column(TITLES[rule].capitalize(), f"account/broken/{rule}", "share") for rule in declared),
        *([Column("Too few days traded", "account/idle", "share")] if rules.get("min_days") is not None else []),
        Column("Out of days", "account/unfinished", "share"),
    )


def _found(base: PlacedScenario) -> list[Sentence]:
    """Return who passes most and least often in the base scenario, and what ends the others of the first."""
    ranked = [each for each in base.strategies() if each.strategy.account is not None]
    ranked.sort(key=lambda each: -_rate(each, "account/passed"))
    if not ranked:
        return []
    high, low = ranked[0], ranked[-1]
    rest: Sentence = say(REST, low=low.title, share=_share(low, "account/passed")) if len(ranked) > 1 else ()
    passed = _share(high, "account/passed")
    sentences = [say(MOST, scenario=base.title, high=high.title, share=passed, rest=rest)]
    others = {"account/unfinished": "the days run out"}
    account = high.strategy.account
    others |= {} if account is None or account.idle is None else {"account/idle": "too few days with an order"}
    others |= {f"account/broken/{rule}": TITLES[rule] for rule in (account.broken if account is not None else ())}
    worst = max(others, key=lambda path: _rate(high, path))
    if _rate(high, worst) > 0:
        sentences.append(say(ENDS, strategy=high.title, what=others[worst], share=_share(high, worst)))
    return sentences


def _rate(placed: Placed, path: str) -> float:
    return rate(placed.find(path).value) or 0.0


def _share(placed: Placed, path: str) -> Sentence:
    shown = placed.find(path)
    return of_paths(share(shown.value, shown.at))
