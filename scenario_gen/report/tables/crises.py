"""Tables of crises: those of a history, for the terminal; and what strategies did in them, for page and terminal.

Owns which number stands in which column. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from markupsafe import Markup

from scenario_gen.finding import CONTEXT_IN_DISTRIBUTION, OVERLAP, SHOCK_RESPONSE, Check, Label, worst
from scenario_gen.report.drawing.figures import CURVE_NARROW, CURVE_WIDE, answer_curves
from scenario_gen.report.numbers import count, percent, plain, share
from scenario_gen.report.table import (
    ABSENT,
    Answer,
    Cell,
    Column,
    PlacedScenario,
    Ref,
    Row,
    Table,
    of_scenario,
    show,
    tabulate,
)
from scenario_gen.report.words import Badge, Sentence, name, plural, say
from scenario_gen.stats.estimate import Estimate
from scenario_gen.store.results import StressRun
from scenario_gen.stress.response import RANGE
from scenario_gen.stress.search import UNRECORDED, Crisis

GAPS = "opens that equal the close before: what hangs on gaps cannot be judged there"


def day(stamp: str) -> str:
    """Return an ISO stamp, as a date where it means a whole day."""
    return stamp.removesuffix("T00:00:00")


def crises_table(listed: Sequence[Crisis], title: str, why: str) -> Table:
    """Return one row per crisis of a history.

    Args:
        listed: measured crises.
        title: of the table.
        why: head of the column that says why a crisis is listed.
    """
    columns = [
        Column("context ends", lambda row: day(row.value.before), left=True, wrap=False),
        Column("to", lambda row: day(row.value.until), left=True, wrap=False),
        Column("bars", "bars", ",d"),
        Column("return", "total_return", "+.1%"),
        Column("drawdown", "drawdown", ".1%"),
        Column("worst bar", "worst_bar", "+.1%"),
        Column("best bar", "best_bar", "+.1%"),
        Column("sd before", "volatility_before", ".2%"),
        Column("onset", lambda row: day(row.value.seeds["onset"]), left=True, wrap=False),
        Column("middle", lambda row: day(row.value.seeds["middle"]), left=True, wrap=False),
        Column(why, lambda row: _why(row.value), left=True),
    ]
    rows = [Ref(crisis, "") for crisis in listed]
    stale = any(not crisis.gaps_recorded for crisis in listed)
    return tabulate(
        Column("crisis", left=True, wrap=False),
        columns,
        rows,
        lambda row: row.value.id,
        title=title,
        caption=f"* more than {UNRECORDED:.0%} of {GAPS}" if stale else "",
    )


def _why(crisis: Crisis) -> str:
    return crisis.why if crisis.gaps_recorded else f"{crisis.why} *"


# --- Contexts that end in a crisis: what happened then among the paths ---


MOST_STRATEGIES = 6  # columns of a grid; of more, the first ones
SEEDS = {"before": "before it", "onset": "at its onset", "middle": "in its middle"}
CRISES_TOLD = (
    "{contexts} in a crisis or a control, chosen with hindsight: paths from there need not fall. What happened then is "
    "ranked among the paths, by the share of them that did worse; that is no expectation."
)
CRISES_DEEPEST = "Furthest out: in {scenario} the market fell {fall}, deeper than {rank}."
CRISES_STALE = (
    "In {scenarios} most opens equal the close before, as this source has them: what hangs on gaps is {label} there."
)
CRISES_KNOWN = "{label} for training overlap in {contexts}: the generator has seen those years."
REPLAYS_TOLD = (
    "{replays} told in the bars of this market, of one path each: it says what would have been made of it, carries no "
    "share of paths and is in no average of this page."
)
REPLAYS_UNITS = (
    "A crisis is measured in the volatility of the 60 bars before it, and put on that of the last 60 bars here: its "
    "log steps are multiplied by the factor, which is held between ¼ and 4."
)
REPLAYS_CAPPED = "Held at that bound: {replays}."
REPLAYS_THEN = "What comes after is the generator’s, on paths that share the crisis{rejected}."


def crises_answer(run: StressRun, placed: Sequence[PlacedScenario], base: PlacedScenario) -> Answer | None:
    """Return what happened after contexts that end in a crisis, ranked among the paths; None where there are none."""
    del base
    rows = [one for one in placed if one.scenario.crisis is not None]
    if not rows:
        return None
    tables = [_market_table(run, rows)]
    if any(strategy.realised is not None for one in rows for strategy in one.scenario.strategies):
        tables.append(_crisis_grid(rows))
    return Answer("What if it began where crises began?", (_paragraph(_crisis_sentences(run, rows)),), tuple(tables))


def _crisis_sentences(run: StressRun, rows: Sequence[PlacedScenario]) -> list[Sentence]:
    sentences = [say(CRISES_TOLD, contexts=f"{plural(len(rows), 'context')} {'ends' if len(rows) == 1 else 'end'}")]
    ranked = [one for one in rows if one.scenario.crisis and one.scenario.crisis.drawdown_rank is not None]
    if ranked:
        deepest = max(ranked, key=lambda one: _rank(one.find("crisis/drawdown_rank")))
        fall = show(deepest.find("crisis/drawdown"), "percent")
        rank = share(deepest.find("crisis/drawdown_rank").value, deepest.find("crisis/drawdown_rank").at)
        words = (rank, " paths") if rank.form == "count" else (rank, " of paths")
        sentences.append(say(CRISES_DEEPEST, scenario=deepest.title, fall=fall, rank=words))
    stale = [one.title for one in rows if one.scenario.crisis and not one.scenario.crisis.crisis.gaps_recorded]
    if stale:
        sentences.append(say(CRISES_STALE, scenarios=_listed(stale), label=Badge("UNTESTABLE")))
    known = [one.title for one in rows if _overlap(run, one) == "WARN"]
    if known:
        sentences.append(say(CRISES_KNOWN, label=Badge("WARN"), contexts=_listed(known)))
    return sentences


def _paragraph(sentences: Sequence[Sentence]) -> Sentence:
    """Return sentences as one, a space between them."""
    return tuple(piece for sentence in sentences for piece in (*sentence, " "))[:-1]


def _rank(ref: Ref) -> float:
    """Return a rank as a number, also where it is too rare to be shown as a rate."""
    estimate: Estimate = ref.value
    return (estimate.count or 0) / max(estimate.n, 1)


def _overlap(run: StressRun, placed: PlacedScenario) -> Label | None:
    return worst(finding.label for finding in OVERLAP.of(run.findings, placed.scenario.name))


def _listed(names: Sequence[str], most: int = 4) -> str:
    more = f" and {count(len(names) - most)} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _market_table(run: StressRun, rows: Sequence[PlacedScenario]) -> Table:
    columns = [
        Column("Context ends", lambda row: day(row.scenario.context.end), left=True, wrap=False),
        Column("Bars compared", "crisis/bars", "count"),
        Column("What happened", "crisis/total_return", "signed percent"),
        Column("Paths that end lower", "crisis/return_rank", "share"),
        Column("Its fall", "crisis/drawdown", "percent"),
        Column("Paths that fall less", "crisis/drawdown_rank", "share"),
        Column("Training overlap", lambda row: Cell(label=_overlap(run, row)), left=True, css="l vd"),
    ]
    return tabulate("Crisis", columns, rows, _of_crisis, title="The market.", caption="From the context’s end, closes.")


def _of_crisis(row: PlacedScenario) -> tuple[str, str]:
    crisis = row.scenario.crisis
    if crisis is None:
        return row.title, ""
    own, ranks = crisis.crisis.id, crisis.crisis.ranks
    which = ", ".join(f"rank {rank} by {score.replace('_', ' ')}" for score, rank in ranks.items()) or own
    return row.title, SEEDS[crisis.seed] if own == row.scenario.name else f"{which}, {SEEDS[crisis.seed]}"


def _crisis_grid(rows: Sequence[PlacedScenario]) -> Table:
    named = rows[0].strategies()
    columns = [Column(each.title, partial(_happened, number)) for number, each in enumerate(named[:MOST_STRATEGIES])]
    caption = "What each strategy really made after the context, and the share of paths on which it made less."
    return tabulate("Crisis", columns, rows, _of_crisis, title="The strategies.", caption=_cut(caption, len(named)))


def _happened(number: int, row: PlacedScenario) -> Cell:
    realised = row.find(f"strategies/{number}/realised")
    if realised.value is None:
        return Cell(ABSENT)
    rank = share(realised.find("percentile").value, "")
    return Cell(show(realised.find("metrics/total_return"), "signed percent"), note=f"rank {rank.text}")


def _cut(caption: str, strategies: int) -> str:
    if strategies <= MOST_STRATEGIES:
        return caption
    return f"{caption} The first {MOST_STRATEGIES} of {strategies}; all are in run.json."


# --- Replays ---


def replays_answer(run: StressRun, placed: Sequence[PlacedScenario], base: PlacedScenario) -> Answer | None:
    """Return what every strategy made of every replay; None where nothing is replayed."""
    del placed, base
    if not run.replays:
        return None
    rows = [Ref(replay, f"replays/{number}") for number, replay in enumerate(run.replays)]
    tables = [_replay_table(rows), _replay_grid(rows)]
    then = [row for row in rows if row.value.then]
    if then:
        tables.append(_then_grid(then))
    return Answer("What if a crisis came again, here?", (_paragraph(_replay_sentences(run, then)),), tuple(tables))


def _replay_sentences(run: StressRun, then: Sequence[Ref]) -> list[Sentence]:
    many = len(run.replays)
    sentences = [say(REPLAYS_TOLD, replays=f"{plural(many, 'crisis') if many == 1 else count(many) + ' crises'}")]
    if any(replay.scale == "sigma" for replay in run.replays):
        sentences.append(say(REPLAYS_UNITS))
    capped = [name(replay.name) for replay in run.replays if replay.capped]
    if capped:
        sentences.append(say(REPLAYS_CAPPED, replays=_listed(capped)))
    stale = [name(one.name) for one in run.replays if one.crisis is not None and not one.crisis.gaps_recorded]
    if stale:
        sentences.append(say(CRISES_STALE, scenarios=_listed(stale), label=Badge("UNTESTABLE")))
    if then:
        lost = sum(row.value.rejected for row in then)
        rejected = f"; {plural(lost, 'path')} broke a candle rule and were left out" if lost else ""
        sentences.append(say(REPLAYS_THEN, rejected=rejected))
    return sentences


def _of_replay(row: Ref) -> tuple[str, str]:
    crisis = row.value.crisis
    what = "declared moves" if crisis is None else f"{crisis.id} of the {row.value.source}"
    return name(row.value.name), name(what)


def _replay_table(rows: Sequence[Ref]) -> Table:
    columns = [
        Column("From", lambda row: day(row.value.first), left=True, wrap=False),
        Column("Bars", "bars", "count"),
        Column("Factor", lambda row: plain(row.value.factor, "number", row.find("factor").at, decimals=2)),
        Column("There", "crisis/total_return", "signed percent"),
        Column("Here", "total_return", "signed percent"),
        Column("Fall here", "drawdown", "percent"),
        Column("Worst bar here", "worst_bar", "signed percent"),
    ]
    caption = "There: the market that it came to. Here: this one, from the last close of the context on."
    return tabulate("Replay", columns, rows, _of_replay, title="The crises.", caption=caption)


def _replay_grid(rows: Sequence[Ref]) -> Table:
    caption = "Total return over the replayed bars, and the deepest fall of equity in grey."
    return _by_strategy(rows, _made, "The strategies.", caption)


def _then_grid(rows: Sequence[Ref]) -> Table:
    caption = "Total return over crisis and continuation together: median over paths, and their 5% quantile in grey."
    first = (Column("Bars", "then", "count"), Column("Paths", "paths", "count"))
    return _by_strategy(rows, _continued, "And then.", caption, first)


def _by_strategy(
    rows: Sequence[Ref], cell: Callable[[int, Ref], Cell], title: str, caption: str, first: Sequence[Column] = ()
) -> Table:
    named = rows[0].each("strategies")
    own = enumerate(named[:MOST_STRATEGIES])
    columns = [*first, *(Column(name(each.value.name), partial(cell, number)) for number, each in own)]
    return tabulate("Replay", columns, rows, _of_replay, title=title, caption=_cut(caption, len(named)))


def _made(number: int, row: Ref) -> Cell:
    own = row.find(f"strategies/{number}")
    fall = percent(own.value.max_drawdown)
    return Cell(show(own.find("total_return"), "signed percent"), note=f"fall {fall}")


def _continued(number: int, row: Ref) -> Cell:
    then = row.find(f"strategies/{number}/then")
    low = then.value["0.05"].value
    note = f"5%: {percent(low, signed=True)}" if low is not None else ""
    return Cell(show(then.find("0.5"), "signed percent"), note=note)


# --- How generators answer shocks in their contexts ---


MOST_CURVES = 4
FIRST = "response/impulses/key={}/first"
ANSWER_TOLD = (
    "A shock was written into the last bars of {contexts}. Each path is held beside the one of the same random numbers "
    "after the context as it was: the difference is the generator’s answer."
)
ANSWER_LABEL = "{label} {scenario}: {measured}."
ANSWER_CAPTION = (
    "With a name: the answer of ranges, and a 95% interval over pairs. Dotted, in its band: the mean of history after "
    "bars of more than three deviations, and a 95% interval bootstrapped over {events} of them."
)


def responses_answer(run: StressRun, placed: Sequence[PlacedScenario], base: PlacedScenario) -> Answer | None:
    """Return how generators answered shocks in their contexts; None where there were none."""
    del base
    rows = [one for one in placed if one.scenario.response is not None]
    if not rows:
        return None
    names = {one.scenario.name: one.title for one in rows}
    told = [say(ANSWER_TOLD, contexts=plural(len(rows), "context"))]
    for finding in (*CONTEXT_IN_DISTRIBUTION.of(run.findings), *SHOCK_RESPONSE.of(run.findings)):
        if finding.label != "PASS" and finding.scenario in names:
            title, words = names[finding.scenario], finding.measured
            told.append(say(ANSWER_LABEL, label=Badge(finding.label), scenario=title, measured=words))
    tables = [_answer_table(run, rows), _other_table(rows)]
    if any(one.scenario.response and one.scenario.response.strategies for one in rows):
        tables.append(_both_table(rows))
    return Answer("How does the market answer a shock?", (_paragraph(told),), tuple(tables), _answer_figures(rows))


def _answer_table(run: StressRun, rows: Sequence[PlacedScenario]) -> Table:
    columns = [
        Column("Shock", "response/size", "number", unit="deviations", decimals=1),
        Column("Log range", FIRST.format("log_range"), "number", decimals=2),
        Column("… in history", "response/history/first", "number", decimals=2),
        Column("Volatility", "response/volatility/0", "number", unit="log, bar 1", decimals=2),
        Column("… of GARCH", _garch, unit="log, bar 1"),
        Column("Reads it", lambda row: Cell(label=_label(run, CONTEXT_IN_DISTRIBUTION, row)), left=True, css="l vd"),
        Column("Answers", lambda row: Cell(label=_label(run, SHOCK_RESPONSE, row)), left=True, css="l vd"),
    ]
    caption = (
        "The log range is a mean over the five bars after the context, with the shock less without it; 0.69 is twice "
        "as wide. History: after bars of more than three deviations. GARCH: its closed form, fitted without the shock."
    )
    return tabulate("Context", columns, rows, _of_answer, title="The answer.", caption=caption)


def _other_table(rows: Sequence[PlacedScenario]) -> Table:
    columns = [
        Column("Log volume", FIRST.format("log_volume"), "number", decimals=2),
        Column("Size of returns", FIRST.format("abs_return"), "signed percent"),
        Column("Return", FIRST.format("return"), "signed percent"),
        Column("Fall", FIRST.format("drawdown"), "signed percent"),
        Column("Units", "response/unit", "number", unit="times", decimals=2),
    ]
    caption = (
        "The same differences of other numbers. Units: how much larger the shock alone makes a context’s volatility, "
        "which is no answer: refit adds it, frozen leaves it out."
    )
    return tabulate("Context", columns, rows, of_scenario, title="The rest of it.", caption=caption)


def _garch(row: PlacedScenario) -> Cell:
    response = row.scenario.response
    if response is None or not response.closed_form:
        return Cell(ABSENT)
    return Cell(show(row.find("response/closed_form/0"), "number", decimals=2))


def _label(run: StressRun, check: Check, row: PlacedScenario) -> Label | None:
    return worst(finding.label for finding in check.of(run.findings, row.scenario.name))


def _of_answer(row: PlacedScenario) -> tuple[str, str]:
    response = row.scenario.response
    return row.title, "" if response is None else f"{', '.join(response.shocks)}; units {response.normaliser}"


def _both_table(rows: Sequence[PlacedScenario]) -> Table:
    columns = [
        Column("Without", "without", "signed percent"),
        Column("On the paths", "on_paths", "signed percent"),
        Column("In the context", "in_context", "signed percent"),
        Column("Context less paths", "difference", "signed percent"),
    ]
    caption = (
        "Mean total return from the last close. On the paths the shock comes with the second bar and nothing answers: "
        "what a position loses. In the context it has happened, and the paths are what the generator makes of it."
    )
    listed: list[Row | Ref] = []
    for row in rows:
        listed += [Row(row.title, css="grp"), *row.each("response/strategies")]
    return tabulate("Strategy", columns, listed, lambda ref: name(ref.value.name), title="Both ways.", caption=caption)


def _answer_figures(rows: Sequence[PlacedScenario]) -> tuple[tuple[Markup, Sentence], ...]:
    answers = [(row.title, row.scenario.response) for row in rows if row.scenario.response is not None]
    drawn = [(title, each) for title, each in answers if each.impulse(RANGE) is not None][:MOST_CURVES]
    if not drawn:
        return ()
    picture = answer_curves(drawn, CURVE_WIDE) + answer_curves(drawn, CURVE_NARROW)
    events = next((each.history.events for _, each in drawn if each.history is not None), 0)
    return ((picture, say(ANSWER_CAPTION, events=count(events))),)
