"""Several assets together: how they were coupled, whether they move as the real ones do, and whose loss the tail is.

Owns which number stands in which column, and the sentences beside them. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from scenario_gen.finding import CALENDAR, COINTEGRATION, Label
from scenario_gen.report.numbers import Shown, count, plain
from scenario_gen.report.table import Answer, Cell, Column, Ref, Row, Table, tabulate
from scenario_gen.report.tables.forecasts import mean_rank
from scenario_gen.report.tables.realism import LABEL, difference, fact_head, mean_of
from scenario_gen.report.words import Badge, Sentence, name, plural, say, text_of
from scenario_gen.store.results import StressRun

MOST_NAMED = 8  # assets in a sentence
MOST_PAIRS = 15  # of more, those that missed what was aimed at by most errors are shown
HOLDS, LEVEL = "terminal", 0.975  # the tail whose contributions are shown first: Basel's level of expected shortfall
SENSES = {"terminal": "at the end", "worst_bar": "in the worst bar", "drawdown": "in the deepest drawdown"}
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
DIVERSIFIED = (
    "{strategy}: the book loses {es} on average in its worst {tail} {sense}, {ratio} of what its parts lose alone."
)
TOGETHER = (
    "{strategy}: on {paths} most assets fall beyond their own 5% in one bar; that costs {loss} of equity in the mean, "
    "and happens in {bars} bars of a path where chance alone would have {expected}."
)


def book_answers(run: StressRun) -> list[Answer]:
    """Return what the section on several assets says; nothing of a run of one asset."""
    if run.book is None:
        return []
    books = [Ref(book, f"book/scenarios/{number}") for number, book in enumerate(run.book.scenarios)]
    base = _base(books)
    made = (_coupling(books, base), _dependence(run, books, base), _portfolios(base), _tail(base))
    return [answer for answer in made if answer is not None]


def _base(books: Sequence[Ref]) -> Ref:
    own = [book for book in books if book.value.role == "scenario"] or list(books)
    return next((book for book in own if book.value.name == "base"), own[0])


def terminal_tables(run: StressRun) -> list[Table]:
    """Return what the terminal shows of several assets: the coupling of each scenario, and what their books risk."""
    if run.book is None:
        return []
    books = [Ref(book, f"book/scenarios/{number}") for number, book in enumerate(run.book.scenarios)]
    pairs = [
        replace(table, title=f"{name(book.value.name)}: correlation of log returns, {book.value.coupling.copula}")
        for book in books
        if (table := pairs_table(book)).rows
    ]
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
    return [*pairs, risks]


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


def _in_tail(path: str) -> Callable[[Ref], Ref]:
    """Return where a strategy has a figure of the tail that is shown first."""

    def found(strategy: Ref) -> Ref:
        tails = () if strategy.value.risk is None else strategy.value.risk.tails
        number = next((n for n, tail in enumerate(tails) if (tail.sense, tail.level) == (HOLDS, LEVEL)), None)
        return Ref(None, strategy.at) if number is None else strategy.find(f"risk/tails/{number}/{path}")

    return found


def _largest(strategy: Ref) -> str:
    """Return the part to which the book owes most of that tail, and its share."""
    parts = [part for part in _in_tail("parts")(strategy).value or () if part.share.value is not None]
    most = max(parts, key=lambda part: part.share.value, default=None)
    return "" if most is None else f"{name(most.name)}, {most.share.value:.0%}"


BOOK_RISKS = (
    Column("VaR 97.5%", _in_tail("var"), "percent"),
    Column("Expected shortfall", _in_tail("es"), "percent"),
    Column("Diversification", _in_tail("diversification"), "number", decimals=2),
    Column("Largest part", _largest, left=True),
)
RISKS_CAPTION = (
    "losses at the end; diversification: expected shortfall over the sum of what the assets would have alone; the "
    "largest part of it"
)


# --- How the assets were put together ---


def _coupling(books: Sequence[Ref], base: Ref) -> Answer:
    notes = [say("{note}", note=_capital(name(note, 400))) for note in base.value.coupling.notes]
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
            told.append(say("{badge} {words}", badge=Badge(pair.label), words=_capital(name(pair.measured, 300))))
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
        lambda row: _capital(row.value.title),
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
    notes = [say("{note}", note=_capital(name(note, 400))) for note in ranks.notes]
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
        lambda law: _capital(law.value.name),
        title="Beside other ways.",
        caption="Drawn apart: the same paths of each asset, from different futures. Schaake shuffle: the same bars, "
        "ranked as windows of history were. Vector FHS: bars of one date drawn for all assets, scaled by volatility.",
    )


# --- Whose loss the tail is ---


def _tail(book: Ref) -> Answer | None:
    placed = [strategy for strategy in book.each("strategies") if strategy.value.risk is not None]
    if not placed:
        return None
    strategies, risks = [each.value.name for each in placed], [each.find("risk") for each in placed]
    told: list[Sentence] = []
    tables = []
    for strategy, risk in zip(strategies, risks, strict=True):
        tail = _held_to(risk)
        told += [_diversified(strategy, tail)] if tail.value.parts else []
        told += [_together(strategy, risk)] if risk.value.joint is not None else []
        if tail.value.parts:
            tables.append(_parts_table("Asset", name(strategy), tail))
    together = book.find("together")
    if together.value is not None and _held_to(together).value.parts:
        tables.append(
            _parts_table("Strategy", "All strategies, each with an equal part of the capital", _held_to(together))
        )
    rest = _levels_table(strategies, risks)
    return Answer("Whose loss is the tail?", tuple(told), (*tables, rest))


def _held_to(risk: Ref) -> Ref:
    """Return the tail whose contributions are shown."""
    number = next(n for n, tail in enumerate(risk.value.tails) if (tail.sense, tail.level) == (HOLDS, LEVEL))
    return risk.find(f"tails/{number}")


def _diversified(strategy: str, tail: Ref) -> Sentence:
    return say(
        DIVERSIFIED,
        strategy=name(strategy),
        es=Column("", "es", "percent").cell(tail).shown or "",
        tail=f"{100 * (1 - tail.value.level):g}%",
        sense=SENSES[tail.value.sense],
        ratio=Column("", "diversification", "number", decimals=2).cell(tail).shown or "",
    )


def _together(strategy: str, risk: Ref) -> Sentence:
    joint = risk.find("joint")
    return say(
        TOGETHER,
        strategy=name(strategy),
        paths=Column("", "paths", "share").cell(joint).shown or "",
        loss=Column("", "loss", "percent").cell(joint).shown or "",
        bars=Column("", "bars", "number", decimals=2).cell(joint).shown or "",
        expected=plain(joint.value.expected, "number", f"{joint.at}/expected", decimals=3),
    )


def _parts_table(part: str, whose: str, tail: Ref) -> Table:
    columns = (
        Column("Expected shortfall", "es", "percent", unit="of the starting cash", decimals=2),
        Column("Share", "share", "percent", unit="of the book's"),
        Column("At the VaR", "var", "percent"),
        Column("Alone", "alone", "percent"),
        Column("Saved in cash", "saved", "percent"),
    )
    whole = Row(
        "The book",
        cells=(
            Column("", "es", "percent").cell(tail),
            Cell(text="100%"),
            Column("", "var", "percent").cell(tail),
            Cell(),
            Cell(),
        ),
    )
    rows: list[Any] = [*tail.each("parts"), whole]
    return tabulate(
        part,
        columns,
        rows,
        lambda row: name(row.value.name),
        title=f"{whose}: the worst {100 * (1 - tail.value.level):g}% of the futures, {part.lower()} by {part.lower()}.",
        caption=f"Shares add up to the whole (Euler). Alone: if this {part.lower()} were all that is held. Saved: what "
        "the book's expected shortfall would fall by without it. Brackets: 95% Monte Carlo errors.",
    )


def _levels_table(strategies: Sequence[str], risks: Sequence[Ref]) -> Table:
    """Return VaR and expected shortfall of every strategy in three senses at three levels."""
    columns = (
        Column("VaR", "var", "percent"),
        Column("Expected shortfall", "es", "percent"),
        Column("Diversification", "diversification", "number", decimals=2),
        Column("Concentration", "concentration", "number", decimals=2),
        Column("Paths of half the tail", lambda tail: plain(tail.value.half_paths, "count", f"{tail.at}/half_paths")),
    )
    rows: list[Any] = []
    for strategy, risk in zip(strategies, risks, strict=True):
        rows += [Row(name(strategy), css="grp"), *risk.each("tails")]
    return tabulate(
        "Loss",
        columns,
        rows,
        lambda tail: f"{SENSES[tail.value.sense]}, {100 * tail.value.level:g}%",
        title="Every tail of the book.",
        caption="Diversification: expected shortfall over the sum of what the parts would have alone. Concentration: 1 "
        "where one asset loses it all, one over their number where all lose alike.",
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
