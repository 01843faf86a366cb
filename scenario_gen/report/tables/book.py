"""Several assets together: how they were coupled, whether they move as the real ones do, and as what came.

Owns which number stands in which column, and the sentences beside them. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from scenario_gen.finding import CALENDAR, COINTEGRATION, Label
from scenario_gen.report.numbers import Shown, count, plain
from scenario_gen.report.table import Answer, Column, Ref, Row, Table, tabulate
from scenario_gen.report.tables.book_risk import BOOK_RISKS, RISKS_CAPTION, tail_answer
from scenario_gen.report.tables.forecasts import mean_rank
from scenario_gen.report.tables.realism import LABEL, capitalised, difference, fact_head, mean_of
from scenario_gen.report.words import Badge, Sentence, name, plural, say, text_of
from scenario_gen.store.results import StressRun

MOST_NAMED = 8  # assets in a sentence
MOST_PAIRS = 15  # of more, those that missed what was aimed at by most errors are shown
COPULAS = {
    "empirical": "ranks of dated bars, drawn again date by date",
    "t": "a t copula",
    "gaussian": "a Gaussian copula",
    "independent": "none: every asset has random numbers of its own",
    "dated": "the same dated bars of history in every asset",
}
PUT = "{scenario} of {assets}: {copula}{degrees}, read from {bars} from {start} to {end}."
PUT_APART = "{scenario} of {assets}: {copula}."
MEANT = (
    "Each asset has the paths that it has alone; only which of them belong together is decided here. Aimed at: the "
    "correlation of log returns over those bars, shifted where the spec says so."
)
JUDGED = "{badge} How the assets of {scenario} move together, over {paths} futures: {labels}."
RANKED = "{badge} Over {origins} past forecasts, of {assets} together, up to {bars} ahead."


def book_answers(run: StressRun) -> list[Answer]:
    """Return what the section on several assets says; nothing of a run of one asset."""
    if run.book is None:
        return []
    books = [Ref(book, f"book/scenarios/{number}") for number, book in enumerate(run.book.scenarios)]
    base = _base(books)
    made = (_coupling(books, base), _dependence(run, books, base), _portfolios(base), tail_answer(base))
    return [answer for answer in made if answer is not None]


def _base(books: Sequence[Ref]) -> Ref:
    own = [book for book in books if book.value.role == "scenario"] or list(books)
    return next((book for book in own if book.value.name == "base"), own[0])


def terminal_tables(run: StressRun) -> list[Table]:
    """Return what the terminal shows of several assets: the coupling of each scenario, and what their books risk."""
    if run.book is None:
        return []
    books = [Ref(book, f"book/scenarios/{number}") for number, book in enumerate(run.book.scenarios)]
    pairs = [(book, table) for book in books if (table := pairs_table(book)).rows]
    coupled = [row for book, table in pairs for row in (Row(name(book.value.name), css="grp"), *table.rows)]
    rows: list[Any] = []
    for book in books:
        rows += [Row(name(book.value.name), css="grp"), *book.each("strategies")]
    risks = tabulate(
        "Strategy",
        BOOK_RISKS,
        rows,
        lambda strategy: name(strategy.value.name),
        title="What the book risks",
        caption=RISKS_CAPTION,
    )
    return [*(replace(table, rows=tuple(coupled)) for _, table in pairs[:1]), risks]


def terminal_lines(run: StressRun) -> list[str]:
    """Return how the assets of each scenario were put together, and what is missing in that, a line each."""
    lines = []
    for number, book in enumerate(() if run.book is None else run.book.scenarios):
        lines.append(text_of(how_put(Ref(book, f"book/scenarios/{number}"))))
        lines += [f"  {note}" for note in book.coupling.notes]
        if book.dropped:
            futures = plural(book.dropped, "future")
            lines.append(f"  {book.name}: {futures} left out of all assets, since a candle of some asset broke a rule")
    return list(dict.fromkeys(lines))


# --- How the assets were put together ---


def _coupling(books: Sequence[Ref], base: Ref) -> Answer:
    notes = [say("{note}", note=capitalised(name(note, 400))) for note in base.value.coupling.notes]
    told = [how_put(book) for book in books]
    pairs = pairs_table(base)
    return Answer("How were the assets put together?", (say(MEANT), *told, *notes), (pairs,) if pairs.rows else ())


def how_put(book: Ref) -> Sentence:
    """Return what the assets of a scenario were put together by."""
    coupling = book.value.coupling
    degrees = "" if coupling.degrees is None else f" with {coupling.degrees:.3g} degrees of freedom"
    said = {
        "scenario": name(book.value.name),
        "assets": _assets(coupling.assets),
        "copula": COPULAS.get(coupling.copula, coupling.copula),
    }
    if not coupling.bars:
        return say(PUT_APART, **said)
    bars, ends = plural(coupling.bars, "common bar"), {"start": coupling.start[:10], "end": coupling.end[:10]}
    return say(PUT, degrees=degrees, bars=bars, **ends, **said)


def _assets(assets: Sequence[str]) -> str:
    return ", ".join(name(asset) for asset in assets[:MOST_NAMED]) + (", ..." if len(assets) > MOST_NAMED else "")


def pairs_table(book: Ref) -> Table:
    """Return the correlation of every pair: aimed at, used, reached."""
    coupling, assets = book.find("coupling"), book.value.assets
    pairs = list(combinations(range(len(assets)), 2)) if coupling.value.reached else []

    def missed(pair: tuple[int, int]) -> float:
        row, other = pair
        error = coupling.value.reached_error[row][other] or 1.0
        return -abs(float(coupling.value.reached[row][other] - coupling.value.target[row][other])) / float(error)

    shown = sorted(sorted(pairs, key=missed)[:MOST_PAIRS])
    columns = tuple(
        Column(head, lambda pair, key=key: _of_pair(coupling, key, pair), unit=unit)  # type: ignore[misc]
        for head, key, unit in (
            ("Aimed at", "target", "history"),
            ("Numbers", "used", "normal scores"),
            ("Paths", "reached", "bar by bar"),
            ("Error", "reached_error", "standard"),
        )
    )
    few = f" Of {len(pairs)} pairs the {len(shown)} that missed by most errors." if len(shown) < len(pairs) else ""
    return tabulate(
        "Pair",
        columns,
        shown,
        lambda pair: f"{name(assets[pair[0]])} and {name(assets[pair[1]])}",
        title="Correlation of log returns.",
        caption="Numbers: what the random numbers of both have, raised to make up for what a decoded bar loses of it."
        + few,
    )


def _of_pair(coupling: Ref, key: str, pair: tuple[int, int]) -> Shown:
    matrix = coupling.find(key)
    if not matrix.value:
        return plain(None, "number", matrix.at)
    row, other = pair
    at = f"{matrix.at}/{row}/{other}"
    return plain(matrix.value[row][other], "number", at, decimals=3 if key == "reached_error" else 2)


# --- Whether they move as the real ones do ---


def _dependence(run: StressRun, books: Sequence[Ref], base: Ref) -> Answer | None:
    tables = [table for book in books if (table := _facts_table(book)) is not None]
    by_origin = _origins_table(base)
    told = [_judged(book) for book in books if book.value.dependence is not None]
    for check in (COINTEGRATION, CALENDAR):
        for pair in [finding for finding in check.of(run.findings) if finding.label == "WARN"][:1]:
            told.append(say("{badge} {words}", badge=Badge(pair.label), words=capitalised(name(pair.measured, 300))))
    if not tables and by_origin is None:
        return None
    return Answer(
        "Do they move together as the real ones do?",
        tuple(told),
        tuple(table for table in (by_origin, *tables) if table is not None),
    )


def _judged(book: Ref) -> Sentence:
    report = book.value.dependence
    labels: dict[Label, int] = {}
    for fact in report.facts:
        if fact.label is not None:
            labels[fact.label] = labels.get(fact.label, 0) + 1
    order: tuple[Label, ...] = ("FAIL", "WARN", "INCONCLUSIVE", "UNTESTABLE", "PASS")
    worst: Label = next((label for label in order if label in labels), "UNTESTABLE")
    return say(
        JUDGED,
        badge=Badge(worst),
        scenario=name(book.value.name),
        paths=count(report.design.paths),
        labels=", ".join(f"{labels[label]} {label}" for label in order if label in labels) or "nothing could be judged",
    )


def _facts_table(book: Ref) -> Table | None:
    """Return how assets move together, beside real windows."""
    if book.value.dependence is None:
        return None
    columns = (
        Column("Real mean", lambda fact: mean_of(fact, "real_mean")),
        Column("Paths", lambda fact: mean_of(fact, "synthetic_mean")),
        Column("Difference", lambda fact: difference(fact, "comparison")),
        Column("q", "q", "q", css="hide-s"),
        LABEL,
    )
    facts = [fact for fact in book.each("dependence/facts") if fact.value.real_mean is not None]
    title = f"{name(book.value.name)}: the assets beside real windows."
    return tabulate("Fact", columns, facts, fact_head, title=title) if facts else None


def _origins_table(book: Ref) -> Table | None:
    """Return how assets moved together in what came, ranked among the paths of its own context."""
    if book.value.dependence_by_origin is None:
        return None
    columns = (
        Column("What came", lambda fact: mean_of(fact, "real_mean"), unit="mean"),
        Column("Paths", lambda fact: mean_of(fact, "synthetic_mean"), unit="mean"),
        Column("Effect", lambda fact: difference(fact, "comparison"), unit="½ − mean rank"),
        Column("q", "q", "q", css="hide-s"),
        LABEL,
    )
    facts = [fact for fact in book.each("dependence_by_origin/facts") if fact.value.real_mean is not None]
    return tabulate("Fact", columns, facts, fact_head, title="The assets of what came, among the forecasts.")


# --- Whether portfolios rank as what came ---


def _portfolios(book: Ref) -> Answer | None:
    ranks = book.value.ranks
    if ranks is None:
        return None
    columns = (
        Column("Mean rank", mean_rank, unit="½ calibrated"),
        Column("In 90%", "coverage/level=0.9/share", "level"),
        Column("q", "q", "q"),
        LABEL,
    )
    numbers = tabulate(
        "Gain of a portfolio",
        columns,
        book.each("ranks/ours/numbers"),
        lambda row: capitalised(row.value.title),
        caption="Rank of what a portfolio gained among what it gains on the paths, with its 95% interval; share of "
        "forecasts inside the 90% band; q adjusted for all rows.",
    )
    told = say(
        RANKED,
        badge=Badge(ranks.ours.label),
        origins=count(len(ranks.origins)),
        assets=_assets(ranks.assets),
        bars=plural(ranks.horizon, "bar"),
    )
    notes = [say("{note}", note=capitalised(name(note, 400))) for note in ranks.notes]
    return Answer("Do portfolios of them rank as what came?", (told, *notes), (numbers, _laws_table(book)))


def _laws_table(book: Ref) -> Table:
    """Return the run's coupling beside other ways to put the same paths together."""
    laws = [book.find("ranks/ours"), *book.each("ranks/beside")]
    skills = book.value.ranks.ours.skills

    def skill(law: Ref) -> str:
        beside = [skill for skill in skills if skill.baseline == law.value.name]
        won = sum(skill.t < -2 for skill in beside)
        lost = sum(skill.t > 2 for skill in beside)
        return f"{won} better, {lost} worse of {len(beside)}" if beside else ""

    def failed(law: Ref) -> str:
        return f"{sum(number.label == 'FAIL' for number in law.value.numbers)} of {len(law.value.numbers)}"

    columns = (
        Column("Gains that FAIL", failed),
        Column("CRPS of this run", skill, unit="surely: |t| above 2", left=True),
        LABEL,
    )
    return tabulate(
        "Futures put together",
        columns,
        laws,
        lambda law: capitalised(law.value.name),
        title="Beside other ways.",
        caption="Drawn apart: the same paths of each asset, from different futures. Schaake shuffle: the same bars, "
        "ranked as windows of history were. Vector FHS: bars of one date drawn for all assets, scaled by volatility.",
    )
