"""The verdict in words: headline, six cards, and what the page cannot say.

Owns which finding fills which template and how bad it makes the verdict. The templates are in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scenario_gen.backtest.limits import BY_KEY, LimitVerdict, judge_strategy, never_filled
from scenario_gen.candles.account import CandleAccount
from scenario_gen.finding import (
    CALIBRATION,
    CANDLES,
    FACTS,
    JOINT_CALIBRATION,
    LIMITS,
    OVERFITTING,
    OVERLAP,
    Check,
    Finding,
    Label,
    cap,
    worst,
)
from scenario_gen.generators.sections import name_of
from scenario_gen.report import numbers, words
from scenario_gen.report.faults import calibration_card, capital, facts_card, generator_fault
from scenario_gen.report.numbers import Shown, plain
from scenario_gen.report.table import Placed, PlacedScenario
from scenario_gen.report.tables.outcomes import decision_estimate, decision_share, declared_level, limit_figure
from scenario_gen.report.tables.strategies import looking_ahead
from scenario_gen.report.words import Sentence, name, plural, say
from scenario_gen.stats.estimate import rate
from scenario_gen.store.results import BookScenario, ScenarioResult, StressRun

BEYOND = 20  # paths that must lie beyond a quantile for it to be read


@dataclass(frozen=True)
class Card:
    """What one check says of the whole run: its label, at most 40 words with one number."""

    check: Check
    label: Label
    sentence: Sentence

    @property
    def title(self) -> str:
        """What the check asks, as a heading."""
        return words.CARDS[self.check.key]


@dataclass(frozen=True)
class Judged:
    """A limit's verdict with the place of its strategy."""

    scenario: PlacedScenario
    placed: Placed
    verdict: LimitVerdict

    @property
    def shown(self) -> Shown:
        """The measured figure as it stands on the page."""
        return limit_figure(self.placed, self.verdict, signed=True)

    def capped(self, findings: Sequence[Finding]) -> Label:
        """Return the label, held down to what the generator's own state allows."""
        scenario = self.scenario.scenario
        return cap(self.verdict.label, findings, scenario.name, bad_bars=scenario.candles.bad_share)

    @property
    def excess(self) -> tuple[bool, float]:
        """How far beyond the limit: shares of paths first, since figures of several units have no order."""
        figure = rate(self.verdict.measured) or 0.0
        of_paths = BY_KEY[self.verdict.limit].unit == "share of paths"
        return of_paths, abs(figure - self.verdict.allowed)


def generator_name(scenario: ScenarioResult) -> str:
    """Return what made a scenario's paths, in one line."""
    return name(name_of(scenario.generator), 90)


def bars_in_words(scenario: ScenarioResult) -> str:
    """Return ``63 daily bars``, or ``63 bars`` where a bar is not a trading day."""
    daily = 200 <= scenario.context.bars_per_year <= 370
    return plural(scenario.horizon, "daily bar" if daily else "bar")


def headline(run: StressRun, base: PlacedScenario) -> list[Sentence]:
    """Return worst strategy, mildest strategy, and the strongest fault of the generator."""
    declared = run.limits.get("max_drawdown")
    limit = None if _nowhere(base, declared) else declared
    ranked = [p for p in base.strategies() if rate(decision_estimate(p.strategy, limit)) is not None]
    ranked.sort(key=lambda placed: -(rate(decision_estimate(placed.strategy, limit)) or 0.0))
    fault = generator_fault(run, base)
    ahead = looking_ahead(run)
    if ahead:  # nothing else that such a strategy shows means anything
        names = ", ".join(name(one) for one in ahead[:3])
        return [say(words.HEADLINE_AHEAD, names=names), fault]
    idle = [placed.strategy.name for placed in base.strategies() if never_filled(placed.strategy)]
    ranked = [placed for placed in ranked if placed.strategy.name not in idle]
    unfilled = [say(words.HEADLINE_UNFILLED, names=", ".join(name(each) for each in idle[:3]))] if idle else []
    if not ranked and unfilled:
        return [*unfilled, fault]
    if not ranked:
        return [say(words.LIMITS_UNJUDGED, allowed="nothing to compare"), fault]
    high, low = ranked[0], ranked[-1]
    none: Sentence = ()
    if declared is not None and limit is None:
        none = say(words.HEADLINE_NONE, limit=plain(declared, "level", "limits/max_drawdown"))
    rest: Sentence = ()
    if len(ranked) > 1:
        rest = say(words.REST, low=words.of_paths(decision_share(low, limit)), low_name=low.title)
    sentence = say(
        words.HEADLINE_LIMIT,
        paths=numbers.count(base.scenario.paths),
        horizon=bars_in_words(base.scenario),
        scenario=base.title,
        none=none,
        event=event(limit),
        high=words.of_paths(decision_share(high, limit)),
        high_name=high.title,
        rest=rest,
    )
    return [*unfilled, sentence, fault]


def _nowhere(base: PlacedScenario, limit: float | None) -> bool:
    """Say whether no path of any strategy reached the declared drawdown."""
    return limit is not None and all(
        rate(decision_estimate(strategy, limit)) == 0 for strategy in base.scenario.strategies
    )


def event(limit: float | None) -> Sentence:
    """Return what the decision share counts."""
    if limit is None:
        return say(words.EVENTS["probability_of_loss"])
    return say(words.EVENTS["max_drawdown"], limit=plain(limit, "level", "limits/max_drawdown"))


def cards(run: StressRun, scenarios: Sequence[PlacedScenario], base: PlacedScenario) -> list[Card]:
    """Return the six cards, those with nothing to judge included; of several assets one more."""
    return [
        limits_card(run, scenarios),
        Card(CALIBRATION, *calibration_card(run, scenarios, base)),
        Card(FACTS, *facts_card(run, scenarios, base)),
        candles_card(scenarios),
        _finding_card(OVERFITTING, _sets_in_words(base), run.findings),
        _finding_card(OVERLAP, words.ABSENT["training overlap"], run.findings),
        *([] if run.book is None else [_finding_card(JOINT_CALIBRATION, words.ABSENT["book"], run.findings)]),
    ]


def limits_card(run: StressRun, scenarios: Sequence[PlacedScenario]) -> Card:
    """Judge the declared limits over every scenario; baselines are beside and not judged."""
    if not run.limits:
        return Card(LIMITS, "UNTESTABLE", say(words.ABSENT["limits"]))
    judged = [
        Judged(scenario, placed, verdict)
        for scenario in scenarios
        if scenario.scenario.role == "scenario"
        for placed in scenario.strategies()
        for verdict in judge_strategy(placed.strategy, run.limits)
    ]
    label = worst(entry.capped(run.findings) for entry in judged)
    return Card(LIMITS, label or "UNTESTABLE", _limits_sentence(run, judged, label))


def _limits_sentence(run: StressRun, judged: Sequence[Judged], label: Label | None) -> Sentence:
    fails = [entry for entry in judged if entry.verdict.label == "FAIL"]
    unsure = [entry for entry in judged if entry.verdict.label == "INCONCLUSIVE"]
    every = plural(len(judged), "judgement")
    if fails:
        top = max(fails, key=lambda entry: entry.excess)
        return say(
            words.LIMITS_BREACHED, fails=numbers.count(len(fails)), all=every, strategy=top.placed.title,
            scenario=top.scenario.title, measured=_measured(top), allowed=_allowed(top.verdict),
        )  # fmt: skip
    told = _allowed(judged[0].verdict) if judged else ""
    if unsure:
        return say(words.LIMITS_OPEN, open=numbers.count(len(unsure)), all=every, allowed=told)
    if label in (None, "UNTESTABLE"):
        return say(words.LIMITS_UNJUDGED, allowed=told)
    capped = text_capped(label) if label != "PASS" else ""
    return say(words.LIMITS_KEPT, all=every, allowed=told, capped=capped)


def text_capped(label: Label | None) -> Sentence:
    """Return the sentence that names the cap in force."""
    told = words.CAPPED_FAULTS if label == "WARN" else words.CAPPED
    return say(told, label=words.Badge(label or "UNTESTABLE"))


def _measured(entry: Judged) -> Sentence:
    """Return ``drawdown reached 10% on 31.1% [29.2, 33.2] of paths`` or ``CVaR 95% is 16.3% [15.1, 17.0]``."""
    key = entry.verdict.limit
    if key not in words.EVENTS:
        return say(words.LIMIT_FIGURE, title=BY_KEY[key].title, figure=entry.shown)
    happened = say(words.EVENTS[key], limit=plain(entry.verdict.declared, "level", f"limits/{key}"))
    return say(words.LIMIT_SHARE, event=happened, share=words.of_paths(entry.shown))


def _allowed(verdict: LimitVerdict) -> Sentence:
    limit, declared = BY_KEY[verdict.limit], declared_level(verdict)
    if limit.key in words.ALLOWED:
        return say(words.ALLOWED[limit.key], limit=declared, share=numbers.level(verdict.allowed))
    side = words.FLOOR if limit.side == "at least" else words.CEILING
    return say(side, title=limit.title, limit=declared)


def candles_card(scenarios: Sequence[PlacedScenario]) -> Card:
    """Judge the candle accounts by the worst label of any scenario; a book's is the sum of its assets', which count."""
    scenarios = [placed for placed in scenarios if not isinstance(placed.scenario, BookScenario)]
    accounts = [placed.scenario.candles for placed in scenarios]
    label = worst(account.label for account in accounts) or "UNTESTABLE"
    bars = sum(account.bars for account in accounts)
    if not any(account.bad_bars for account in accounts):
        told = plural(len(accounts), "scenario")
        if odd := [placed for placed in scenarios if placed.scenario.candles.odd_rules]:
            return Card(CANDLES, label, _odd_candles(odd, bars, told))
        return Card(CANDLES, label, say(words.CANDLES_CLEAN, bars=numbers.count(bars), scenarios=told))
    top = max(scenarios, key=lambda placed: placed.scenario.candles.bad_bars / max(placed.scenario.candles.bars, 1))
    account = top.scenario.candles
    sentence = say(
        words.CANDLES_REPAIRED,
        scenario=top.title,
        share=f"{numbers.fixed(100 * account.bad_bars / account.bars, 2)}%",
        rejected=plain(float(account.rejected), "count", f"{top.at}/candles/rejected"),
        paths=plain(float(account.paths), "count", f"{top.at}/candles/paths"),
    )
    return Card(CANDLES, label, sentence)


def _odd_candles(odd: Sequence[PlacedScenario], bars: int, repairs: str) -> Sentence:
    """Tell of the scenario with the largest share of paths that move further than history allows."""
    top = max(odd, key=lambda placed: _odd_share(placed.scenario.candles))
    account = top.scenario.candles
    return say(
        words.CANDLES_ODD,
        bars=numbers.count(bars),
        scenarios=repairs,
        share=numbers.percent(_odd_share(account)),
        scenario=top.title,
        rules=", ".join(row.rule for row in account.odd_rules),
    )


def _odd_share(account: CandleAccount) -> float:
    return max(row.paths for row in account.odd_rules) / account.paths


def _finding_card(check: Check, absent: str, findings: Sequence[Finding]) -> Card:
    found = check.of(findings)
    label = worst(finding.label for finding in found)
    if label is None:
        return Card(check, "UNTESTABLE", (absent,))
    top = next(finding for finding in found if finding.label == label)
    where = f" ({name(top.scenario)})" if top.scenario else ""
    band = f"; looked for: {top.band}" if top.band else ""
    return Card(check, label, (f"{capital(top.told)}{where}{band}.",))


def _sets_in_words(base: PlacedScenario) -> str:
    sets = plural(len(base.scenario.strategies), "parameter set")
    return words.text_of(say(words.ABSENT["overfitting"], sets=sets))


def other_findings(run: StressRun) -> list[Finding]:
    """Return the findings that no card shows."""
    return [finding for finding in run.findings if not finding.check.card]


def scope(base: ScenarioResult, fill: str) -> list[Sentence]:
    """Return the three things that this page cannot say."""
    traded = f"{len(base.assets)} assets in one account" if isinstance(base, BookScenario) else "One asset"
    absent = say(words.SCOPE_ABSENT, traded=traded, fill=f"the {fill.replace('_', ' ')}")
    sentences = [say(words.SCOPE_SHARES), absent]
    smallest, paths = BEYOND / base.paths, numbers.count(base.paths)
    if smallest > 0.5:
        sentences.insert(1, say(words.SCOPE_NO_QUANTILE, paths=paths))
    elif smallest > 0.01:
        sentences.insert(1, say(words.SCOPE_QUANTILE, smallest=numbers.level(smallest), paths=paths))
    return sentences


def dial_sentence(base: PlacedScenario) -> Sentence:
    """Return the base scenario's volatility against its context."""
    ratio = base.scenario.volatility_ratio.get("0.5")
    shown = plain(ratio, "number", f"{base.at}/volatility_ratio/0.5", decimals=2)
    return say(
        "The median path of {scenario} is {ratio} times as volatile as its context.", scenario=base.title, ratio=shown
    )


def realised_sentence(base: PlacedScenario) -> Sentence:
    """Return where what really happened stands, never as a judgement of the generator."""
    if not base.scenario.realised_close:
        return say(words.REALISED_ABSENT)
    return say(words.REALISED_SHOWN)


def account_sentence(placed: PlacedScenario) -> list[Sentence]:
    """Return the candle account of one scenario in words: its terms add up, or the page is refused."""
    account, at = placed.scenario.candles, f"{placed.at}/candles"
    counted = {key: plain(float(getattr(account, key)), "count", f"{at}/{key}") for key in
               ("paths", "untouched", "rounded", "repaired", "rejected", "bars")}  # fmt: skip
    share = f"{numbers.fixed(100 * account.bad_bars / account.bars, 2)}%" if account.bars else "0"
    bad = plain(float(account.bad_bars), "count", f"{at}/bad_bars")
    terms = {key: counted[key] for key in ("paths", "untouched", "rounded", "repaired", "rejected")}
    return [say(words.ACCOUNT_PATHS, **terms), say(words.ACCOUNT_BARS, bad=bad, bars=counted["bars"], share=share)]
