"""Tables as values: columns declared once, for the page, the terminal and a model card.

Owns what a column says of each row, where in run.json a number stands (the path by which it is read is its pointer),
and the renderers for the terminal, for notebooks and for Markdown; the page's is ``templates/macros.html.j2``. Owns
what an answer of the page is made of, too. Knows no subject.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from scenario_gen.backtest.result import StrategyResult
from scenario_gen.errors import printable
from scenario_gen.finding import Label
from scenario_gen.report import numbers
from scenario_gen.report.drawing.strips import FactStrip, Strip, Tick
from scenario_gen.report.numbers import NOT_APPLICABLE, Shown
from scenario_gen.report.words import Sentence, name
from scenario_gen.stats.estimate import Estimate
from scenario_gen.store.results import ScenarioResult, StressRun

if TYPE_CHECKING:
    from markupsafe import Markup
    from rich.table import Table as RichTable

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SPEC = ".+,0123456789"  # what a format begins with
ABSENT = Shown(NOT_APPLICABLE)


@dataclass(frozen=True)
class Ref:
    """A value of a result, and the JSON pointer to it."""

    value: Any
    at: str

    def find(self, path: str) -> Ref:
        """Follow a path such as ``metrics/metric=sharpe/mean``; the value is None from where the path ends.

        A step is an attribute, a key or an index; ``attribute=value`` is the first entry of a list that has it.
        """
        value, at = self.value, self.at
        for step in path.split("/"):
            value, key = _step(value, step)
            at = f"{at}/{key}" if at else key
        return Ref(value, at)

    def each(self, path: str) -> list[Ref]:
        """Return the entries of a list, none where there is no list."""
        found = self.find(path)
        return [Ref(entry, f"{found.at}/{number}") for number, entry in enumerate(found.value or ())]


@dataclass(frozen=True)
class Placed(Ref):
    """A strategy's result with its place in run.json and its colour ("1" to "4", or "r")."""

    css: str = "1"

    @property
    def strategy(self) -> StrategyResult:
        """The result."""
        found: StrategyResult = self.value
        return found

    @property
    def title(self) -> str:
        """The strategy's name, fit for a label."""
        return name(self.strategy.name)

    @property
    def parameters(self) -> str:
        """The strategy's parameters in one line, unless its name states them already."""
        stated = ", ".join(f"{key}={value}" for key, value in self.strategy.params.items())
        return "" if stated in self.strategy.name else name(stated, 90)


@dataclass(frozen=True)
class PlacedScenario(Ref):
    """A scenario, or one of several assets together, with its place in run.json."""

    @property
    def scenario(self) -> ScenarioResult:
        """The result; of several assets together it has a name, a role and strategies alone."""
        found: ScenarioResult = self.value
        return found

    @property
    def title(self) -> str:
        """The scenario's name, fit for a label."""
        return name(self.scenario.name)

    @property
    def role(self) -> str:
        """``baseline`` where the scenario is one, else nothing."""
        return "baseline" if self.scenario.role == "baseline" else ""

    @property
    def note(self) -> str:
        """Its role, and how many paths alike weighted ones are as many as; nothing for a scenario of plain paths."""
        weighting = self.scenario.weighting
        return "; ".join(filter(None, [self.role, "" if weighting is None else weighting.in_words]))

    def strategies(self, colours: Sequence[str] = ()) -> list[Placed]:
        """Return its strategies, each with its place and its colour."""
        padded = [*colours, *["r"] * len(self.scenario.strategies)]
        return [Placed(ref.value, ref.at, padded[number]) for number, ref in enumerate(self.each("strategies"))]


def choose_base(scenarios: Sequence[PlacedScenario]) -> PlacedScenario:
    """Return the scenario named base, else the first that is no baseline and not shocked, else the first."""
    own = [placed for placed in scenarios if placed.scenario.role == "scenario"] or list(scenarios)
    own.sort(key=lambda placed: placed.scenario.shocks is not None)
    return next((placed for placed in own if placed.scenario.name == "base"), own[0])


def place(run: StressRun) -> list[PlacedScenario]:
    """Return every scenario with its place in run.json."""
    return [PlacedScenario(scenario, f"scenarios/{number}") for number, scenario in enumerate(run.scenarios)]


def place_books(run: StressRun) -> list[PlacedScenario]:
    """Return every scenario of several assets together with its place in run.json; none of a run of one asset."""
    books = () if run.book is None else run.book.scenarios
    return [PlacedScenario(book, f"book/scenarios/{number}") for number, book in enumerate(books)]


def _step(value: Any, step: str) -> tuple[Any, str]:
    """Return what one step leads to, and how run.json writes the step."""
    if isinstance(value, Mapping):
        return value.get(step), step
    if isinstance(value, Sequence):
        key, equals, wanted = step.partition("=")
        number = next((n for n, e in enumerate(value) if str(getattr(e, key)) == wanted), None) if equals else int(step)
        return (None, step) if number is None else (value[number], str(number))
    return (None if value is None else getattr(value, step)), step


@dataclass(frozen=True)
class Cell:
    """One cell: a number, a label, a strip or words."""

    shown: Shown | None = None
    label: Label | None = None
    strip: Strip | None = None
    fact: FactStrip | None = None
    text: str = ""
    note: str = ""  # beside it, in grey
    css: str = ""
    mark: str = ""  # letter of the reason below the table

    @property
    def words(self) -> str:
        """The cell where there is nothing but text."""
        number = self.shown.words if self.shown is not None else ""
        return " ".join(part for part in (number, self.label or "", self.text, self.note) if part)


@dataclass(frozen=True)
class Row:
    """A row header and its cells; a group row has no cells."""

    head: str
    unit: str = ""
    cells: tuple[Cell, ...] = ()
    css: str = ""


Get: TypeAlias = "str | Callable[[Any], Cell | Ref | Shown | str]"


@dataclass(frozen=True)
class Column:
    """A column, declared once: its head, where a row's value stands, and in which form the value is shown.

    ``form`` is one that :mod:`numbers` knows, ``share``, ``q``, ``label`` or ``text``; a function that returns text;
    or, on the terminal, a format such as ``.2f``.
    """

    head: str
    get: Get = ""  # a path below the row's value, or what returns the cell, its value or its text
    form: str | Callable[[Any], str] = "text"
    unit: str = ""
    decimals: int = 0
    half: bool = False  # the error as half an interval after a plus-minus sign, instead of in brackets
    left: bool = False
    css: str = ""
    note: Callable[[Any], str] | None = None
    ticks: tuple[Tick, ...] = ()  # of the axis that the column's strips share
    missing: str = NOT_APPLICABLE
    wrap: bool = True  # whether the terminal may break a cell into lines

    @property
    def text(self) -> str:
        """The head."""
        return self.head

    @property
    def short(self) -> str:
        """The head in one line, the label of a cell on a phone."""
        return f"{self.head}, {self.unit}" if self.unit else self.head

    def cell(self, row: Any) -> Cell:
        """Return what stands in this column for a row's value."""
        got = row.find(self.get) if isinstance(self.get, str) else self.get(row)
        cell = self._cell(got)
        note = self.note(row) if self.note is not None else cell.note
        return replace(cell, note=note, css=cell.css or self.css)

    def _cell(self, got: Cell | Ref | Shown | str) -> Cell:
        if isinstance(got, Cell | Shown):
            return got if isinstance(got, Cell) else Cell(got)
        if self.form == "label":
            return Cell(label=cast("Label", got.value if isinstance(got, Ref) else got))
        if isinstance(got, str):
            return Cell(text=got)
        if callable(self.form) or self.form == "text" or self.form[0] in SPEC:
            return Cell(text=self._words(got.value))
        return Cell(show(got, self.form, decimals=self.decimals, half=self.half))

    def _words(self, value: Any) -> str:
        if callable(self.form):
            return self.form(value)
        return self.missing if value is None else format(value, "" if self.form == "text" else self.form)


def show(ref: Ref, form: str, *, decimals: int = 0, half: bool = False) -> Shown:
    """Return a number with its pointer: an estimate with its error, a share of paths, an adjusted p-value, or plain."""
    value = ref.value
    if form == "q":
        return numbers.small_q(value, ref.at)
    if value is None:
        return Shown(NOT_APPLICABLE, source=ref.at)
    if form == "share":
        return numbers.share(value, ref.at)
    known: Any = form
    if hasattr(value, "low"):
        with_error = numbers.plus_minus if half else numbers.bracketed
        return with_error(estimate_of(value), known, ref.at, decimals=decimals)
    return numbers.plain(float(value), known, ref.at, decimals=decimals)


def estimate_of(interval: Any) -> Estimate:
    """Return a number with its interval as the formatter takes it; none is a mean over no path."""
    if isinstance(interval, Estimate):
        return interval
    reason = "" if interval.value is not None else "not applicable on any path"
    return Estimate(interval.value, interval.low, interval.high, getattr(interval, "n", 1), reason=reason)


@dataclass(frozen=True)
class Table:
    """Columns and rows, with what they are called and what must be known to read them."""

    heads: tuple[Column, ...]
    rows: tuple[Row, ...]
    title: str = ""
    caption: str = ""
    css: str = "stack"  # on a narrow screen a stack of cards
    explained: bool = True  # whether the reasons for numbers that are not shown stand below
    axes: tuple[tuple[str, tuple[Tick, ...]], ...] = field(default=())

    @property
    def reasons(self) -> tuple[tuple[str, str], ...]:
        """The letters that stand for a reason, in their order, and the reasons."""
        return tuple((letter, reason) for reason, letter in self._letters().items())

    @property
    def marked(self) -> tuple[Row, ...]:
        """The rows, every refused number with the letter of its reason."""
        letters = self._letters()
        return tuple(
            replace(
                row, cells=tuple(replace(c, mark=letters.get(c.shown.reason if c.shown else "", "")) for c in row.cells)
            )
            for row in self.rows
        )

    def _letters(self) -> dict[str, str]:
        cells = (cell.shown for row in self.rows for cell in row.cells if self.explained and cell.shown is not None)
        reasons = dict.fromkeys(shown.reason for shown in cells if shown.reason)
        return {reason: LETTERS[min(number, len(LETTERS) - 1)] for number, reason in enumerate(reasons)}


@dataclass(frozen=True)
class Answer:
    """One question and its answer: sentences, then tables, then figures with their captions."""

    title: str
    sentences: tuple[Sentence, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[tuple[Markup, Sentence], ...] = ()  # a drawing and its caption


Head: TypeAlias = Callable[[Any], "str | tuple[str, str]"]


def of_scenario(row: Any) -> tuple[str, str]:
    """Return the head of a scenario's row: its name, whether it is a baseline, and how its paths are weighted."""
    return row.title, row.note


def by_name(row: Any) -> tuple[str, str]:
    """Return the head of a strategy's row: its name and its parameters."""
    return row.title, row.parameters


def rows_of(columns: Sequence[Column], items: Iterable[Any], head: Head = by_name, css: str = "") -> list[Row]:
    """Return a row per value; rows among the values, such as group heads, stay as they are."""
    return [item if isinstance(item, Row) else _row(columns, item, head(item), css) for item in items]


def _row(columns: Sequence[Column], item: Any, head: str | tuple[str, str], css: str) -> Row:
    title, unit = (head, "") if isinstance(head, str) else head
    return Row(title, unit, tuple(column.cell(item) for column in columns), css)


def tabulate(
    first: str | Column, columns: Sequence[Column], items: Iterable[Any], head: Head = by_name, **told: Any
) -> Table:
    """Return the table of these values, its first column under ``first``; ``told`` are fields of :class:`Table`."""
    start = Column(first, left=True) if isinstance(first, str) else first
    return Table((start, *columns), tuple(rows_of(columns, items, head)), **told)


def tabled(
    first: str, columns: Sequence[Column], items: Iterable[Any], head: Head = by_name, **told: Any
) -> Table | None:
    """Return the table as :func:`tabulate` does, None where it would have no row."""
    table = tabulate(first, columns, items, head, **told)
    return table if table.rows else None


def of_texts(heads: Iterable[Column], rows: Iterable[Sequence[str]], **told: Any) -> Table:
    """Return a table of words: each row its head and its cells; ``told`` are fields of :class:`Table`."""
    lines = (Row(first, cells=tuple(Cell(text=text) for text in texts)) for first, *texts in rows)
    return Table(tuple(heads), tuple(lines), **told)


def to_rich(table: Table, *, light: bool = False) -> RichTable:
    """Return a table for the terminal; ``light`` draws no frame, for narrow ones."""
    from rich import box
    from rich.table import Table as RichTable

    drawn = RichTable(
        title=_harmless(table.title) if table.title else None,
        caption=_harmless(table.caption) if table.caption else None,
        caption_style="dim",
        box=box.SIMPLE if light else box.HEAVY_HEAD,
    )
    for head in table.heads:
        drawn.add_column(
            _harmless(head.short), justify="left" if head.left else "right", no_wrap=not head.wrap, overflow="fold"
        )
    for row in table.rows:
        if not row.cells:
            drawn.add_section()
        start = f"{row.head} ({row.unit})" if row.unit else row.head
        drawn.add_row(_harmless(start), *(_harmless(cell.words) for cell in row.cells))
    return drawn


def _harmless(text: str) -> str:
    """Return text that neither rich nor a terminal takes for a command."""
    from rich.markup import escape

    return escape(printable(text))


def to_markdown(table: Table, level: int = 3) -> str:
    """Return a table as Markdown below a heading of this level."""
    heads = [head.head for head in table.heads]
    lines = [f"{'#' * level} {table.title}", "", _line(heads), "|" + "---|" * len(heads)]
    lines += [_line([row.head, *(cell.words for cell in row.cells)]) for row in table.rows]
    return "\n".join([*lines, "", table.caption] if table.caption else lines)


def to_html(table: Table) -> str:
    """Return a table as HTML for a notebook, every text escaped, with nothing in it that could run or be fetched."""
    from markupsafe import Markup

    cell = Markup('<td style="text-align:{}">{}</td>')
    lines = [Markup("<tr>{}</tr>").format(_joined(Markup("<th>{}</th>"), (head.short for head in table.heads)))]
    for row in table.rows:
        start = f"{row.head} ({row.unit})" if row.unit else row.head
        sides = ("left" if head.left else "right" for head in table.heads[1:])
        cells = (cell.format(side, printable(entry.words)) for side, entry in zip(sides, row.cells, strict=False))
        lines.append(Markup("<tr>{}{}</tr>").format(_joined(Markup('<th style="text-align:left">{}</th>'), [start]),
                                                    Markup("").join(cells)))  # fmt: skip
    title, caption = (printable(text) for text in (table.title, table.caption))
    told = Markup("<caption><b>{}</b> {}</caption>").format(title, caption) if title or caption else ""
    return str(Markup("<table>{}{}</table>").format(told, Markup("").join(lines)))


def _joined(form: Markup, texts: Iterable[str]) -> Markup:
    from markupsafe import Markup

    return Markup("").join(form.format(printable(text)) for text in texts)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
