"""Stylized facts as tables: paths beside real windows, what came among forecasts, scores, a long sample.

Owns the columns, the place of each mark, and what is said of forecasts shorter, or of fewer paths, than the run's own
question asks for. Does not judge: labels come from the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from scenario_gen.finding import GROUP, GROUPS, Label
from scenario_gen.forecasts.origins import PATHS, WANTED
from scenario_gen.forecasts.results import Calibration
from scenario_gen.realism.by_origin import MIN_ORIGINS
from scenario_gen.realism.facts import FACTS
from scenario_gen.realism.results import Comparison, FactsReport, FactVerdict, LongFigure, ScoreVerdict
from scenario_gen.report import numbers, words
from scenario_gen.report.drawing.strips import REACH, Tick, fact_strip
from scenario_gen.report.numbers import NOT_APPLICABLE, plain
from scenario_gen.report.table import ABSENT, Cell, Column, PlacedScenario, Ref, Row, Table, show, tabled, tabulate
from scenario_gen.report.words import Badge, Sentence, name, plural, say
from scenario_gen.spec.models import MAX_CALIBRATED

LABELS: tuple[Label, ...] = ("FAIL", "WARN", "INCONCLUSIVE", "UNTESTABLE", "PASS")

LEAST_BARS = {fact.id: fact.min_bars for fact in FACTS}
LABEL = Column("Label", "label", "label", left=True, css="l vd", wrap=False)
WIDE = 170  # columns of a terminal from which on it has room for what a narrow screen hides


def _fact(head: str, path: str, unit: str = "") -> Column:
    """Return the column of a fact's mean."""
    return Column(head, lambda fact: mean_of(fact, path), unit=unit)


def mean_of(fact: Ref, path: str) -> Cell:
    """Return a mean of a fact, with as many digits as that of reality needs."""
    return Cell(show(fact.find(path), "number", decimals=_digits(fact.value.real_mean)))


def _digits(value: float | None) -> int:
    return 3 if value is not None and abs(value) < 0.095 else 2


def capitalised(text: str) -> str:
    """Return text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def fact_head(fact: Ref) -> tuple[str, str]:
    """Return the head of a fact's row: its title and its id."""
    return capitalised(name(fact.value.title, 90)), fact.value.fact


def _fact_id(fact: Ref) -> str:
    return str(fact.value.fact)


def _by_group(facts: Sequence[Ref]) -> list[Row | Ref]:
    """Return the facts with a label that says something, group by group; what is untestable is told in words."""
    rows: list[Row | Ref] = []
    for group in GROUPS:
        members = [ref for ref in facts if ref.value.group == group.key and ref.value.label not in (None, "UNTESTABLE")]
        rows += [Row(group.title, css="grp"), *members] if members else []
    return rows


def facts_table(base: PlacedScenario, beside: Sequence[tuple[PlacedScenario, str]]) -> Table | None:
    """Return the judged facts of one scenario, group by group; None where it has none.

    Args:
        base: whose paths.
        beside: scenarios whose means are drawn in, each with its mark ("low" or "high").
    """
    if base.scenario.facts is None:
        return None
    ticks = tuple(Tick(50 + 50 * at / REACH, f"{'+' if at > 0 else ''}{numbers.fixed(at, 0)}") for at in (-2, 0, 2))
    strips = Column(
        "Real standard deviations from the real mean",
        lambda fact: Cell(fact=fact_strip(fact.value, _others(fact.value, beside))),
        css="gcell c1",
        ticks=ticks,
    )
    caption = f"Scenario {base.title}. {_compared(base.scenario.facts.mode)}"
    rows = _by_group(base.each("facts/facts"))
    heads = (strips, *_facts_columns())
    return tabulate("Fact", heads, rows, fact_head, title="Fact by fact.", caption=caption, css="stack factt")


def compared_table(facts: Sequence[Ref], mode: str, title: str, *, wide: bool) -> Table:
    """Return the judged facts of a check group by group, without drawings.

    A narrow terminal gets the columns that a narrow screen gets, and is told so: names and numbers are never cut.
    """
    columns = [column for column in _facts_columns() if wide or "hide-s" not in column.css]
    fewer = f"A terminal of {WIDE} columns, or a file, gets q, the smallest difference to be found and the controls."
    caption = _compared(mode) if wide else fewer
    first, head = Column("Fact", left=True, wrap=wide), fact_head if wide else _fact_id
    return tabulate(first, columns, _by_group(facts), head, title=title, caption=caption)


def _facts_columns() -> tuple[Column, ...]:
    return (
        _fact("Real mean", "real_mean"),
        Column("Paths", lambda fact: mean_of(fact, "synthetic_mean"), note=_outside),
        Column("Difference", lambda fact: difference(fact, "comparison"), unit="AUC − ½"),
        Column("q", "q", "q", css="hide-s"),
        Column("Found from", "mde", "number", unit="control", decimals=2, css="hide-s", note=_control),
        Column("Real halves", lambda fact: difference(fact, "halves"), unit="AUC − ½", css="hide-s"),
        LABEL,
    )


def _compared(mode: str) -> str:
    """Say how to read facts beside real windows."""
    single = mode == "C"
    what = (
        "mean rank of the paths among real windows, less where the next stretch of real time is expected to stand; "
        "brackets hold 95% of what it may do"
        if single
        else "chance that a path lies above a real window, less ½, or that it lies further out (spread); brackets are "
        "95% intervals over stretches of time"
    )
    copy = "these paths, broken on purpose, are" if single else "a broken copy of the market is"
    return (
        f"Difference: {what}. q is adjusted for all facts. Found "
        f"from: the smallest difference that would be found four times in five, and how surely {copy} "
        "caught. Real halves: the later half of the history against the earlier. Out, in grey: share of "
        "paths outside the middle 99% of real windows (of real ones: 1%), a screen of single paths and no verdict."
    )


def shown_table(facts: Sequence[Ref], title: str = "") -> Table | None:
    """Return the facts that are shown and never judged."""
    columns = (
        _fact("Real mean", "real_mean"),
        _fact("Paths", "synthetic_mean"),
        Column("Why", lambda fact: capitalised(fact.value.reason), left=True, css="l why"),
    )
    rows = [fact for fact in facts if fact.value.label is None and fact.value.real_mean is not None]
    return tabled("Fact", columns, rows, fact_head, title=title)


def long_table(figures: Sequence[Ref], title: str = "Shown and never judged.") -> Table | None:
    """Return the facts of a long sample, of the history and of the paths pooled; None where none was measured."""
    return tabled(
        "Fact",
        (
            _figure("History", "real", "all of it"),
            _figure("Paths", "synthetic", "pooled"),
            Column("Why there is no value", lambda figure: capitalised(_lacking(figure.value)), left=True, css="l why"),
        ),
        figures,
        lambda figure: (capitalised(figure.value.title), figure.value.fact),
        title=title,
        caption="The whole history as one stretch, and the paths pooled, never joined end to end. The threshold of a "
        "tail and the range of lags decide these figures, and so does the mix of regimes, of which paths of one "
        "context hold one.",
    )


def _figure(head: str, path: str, unit: str = "") -> Column:
    """Return the column of a number whose digits follow its size."""

    def cell(row: Ref) -> Cell:
        found = row.find(path)
        return Cell(show(found, "number", decimals=_digits(found.value)))

    return Column(head, cell, unit=unit)


def _lacking(figure: LongFigure) -> str:
    sides = (("history", figure.real_reason), ("paths", figure.synthetic_reason))
    return "; ".join(f"{side}: {reason}" for side, reason in sides if reason)


def untestable(verdicts: Iterable[FactVerdict | ScoreVerdict]) -> dict[str, list[FactVerdict | ScoreVerdict]]:
    """Return what the data cannot judge, by reason."""
    by_reason: dict[str, list[FactVerdict | ScoreVerdict]] = {}
    for verdict in verdicts:
        if verdict.label == "UNTESTABLE":
            by_reason.setdefault(verdict.reason, []).append(verdict)
    return by_reason


def untestable_lines(report: FactsReport) -> list[tuple[str, str]]:
    """Return the titles of the facts that the data cannot judge, by reason."""
    groups = untestable(report.facts).items()
    return [(capitalised(", ".join(verdict.title for verdict in verdicts)), reason) for reason, verdicts in groups]


def scores_table(scores: Sequence[Ref], title: str = "") -> Table | None:
    """Return the scores of the whole ensemble beside real windows against real windows; the judged ones first."""
    label = Column("Label", lambda score: Cell(label=score.value.label) if score.value.label else "shown only",
                   left=True, css="l vd")  # fmt: skip
    return tabled(
        "Score",
        (
            _figure("Paths", "value"),
            _figure("Real against real", "real_median", "median"),
            _figure("Limit", "real_limit", "95% of real splits"),
            label,
        ),
        sorted(scores, key=lambda score: score.value.label is None),
        lambda score: (capitalised(name(score.value.title, 100)), score.value.score),
        title=title,
        caption="Each score beside the same score of real windows against other real windows, over random splits of "
        "the history. One context shows one regime: where a score is beyond the limit, single stretches of real time, "
        "each against all others, say whether that means anything.",
    )


def groups_table(scenarios: Sequence[PlacedScenario]) -> Table | None:
    """Return the worst label of each group, a column per scenario."""
    reports = [(placed, facts.groups) for placed in scenarios if (facts := placed.scenario.facts) is not None]
    if len(reports) < 2:
        return None
    columns = [Column(p.title, partial(_group_cell, groups), unit=p.role, left=True, css="l") for p, groups in reports]
    return tabulate(
        "Group",
        columns,
        [group.key for group in GROUPS if any(group.key in groups for _, groups in reports)],
        lambda key: GROUP[key].title,
        caption="A group takes the label of its worst member. Baselines are shown beside and not judged.",
    )


def _group_cell(groups: Mapping[str, Label], group: str) -> Cell:
    label = groups.get(group)
    return Cell(text=NOT_APPLICABLE) if label is None else Cell(label=label)


def facts_sentences(base: PlacedScenario) -> list[Sentence]:
    """Return how many facts differ, what they were compared with, and how much the market differs from itself."""
    found = base.scenario.facts
    if found is None:
        return []
    design, at = found.design, f"{base.at}/facts/design"
    told = [
        say(
            words.FACTS_COUNT,
            scenario=base.title,
            paths=plain(float(design.paths), "count", f"{at}/paths"),
            windows=plain(float(design.windows), "count", f"{at}/windows"),
            bars=plural(design.bars, "bar"),
            clusters=plain(float(design.clusters), "count", f"{at}/clusters"),
            labels=label_counts(found),
        ),
        _halves_sentence(found),
    ]
    if design.caps:
        told.append(say(words.FACTS_CAPPED, why="; ".join(design.caps)))
    return told + [(f"{capitalised(note)}.",) for note in found.notes]


def label_counts(report: FactsReport) -> Sentence:
    """Return how many judged facts carry each label, the worst first."""
    labels = [fact.label for fact in report.facts if fact.label is not None]
    counts: list[Sentence] = [
        (f"{numbers.count(labels.count(label))} ", Badge(label)) for label in LABELS if label in labels
    ]
    return tuple(piece for n, part in enumerate(counts) for piece in ((", ",) if n else ()) + part)


def _halves_sentence(report: FactsReport) -> Sentence:
    titles = [fact.title for fact in report.facts if fact.fact in report.yardstick]
    if not titles:
        return say(words.HALVES_NONE)
    return say(words.HALVES_SOME, facts=", ".join(titles), count=numbers.count(len(titles)))


def _outside(fact: Ref) -> str:
    """Return the share of paths beyond the middle 99% of real windows, in grey: a screen of single paths."""
    outside = fact.value.outside
    return "" if outside is None else f"{numbers.percent(outside)} out"


def _control(fact: Ref) -> str:
    """Return with what power the control is caught."""
    power = fact.value.control_power
    return "" if power is None else f"{fact.value.control} {numbers.level(power)}"


def difference(fact: Ref, which: str) -> Cell:
    """Return the difference that counts, of location or of spread, with its interval."""
    found = fact.find(which)
    if found.value is None:
        return Cell(ABSENT)
    side = decisive_side(found.value)
    return Cell(show(found.find(side), "number", decimals=2), note="spread" if side == "dispersion" else "")


def decisive_side(comparison: Comparison) -> str:
    """Return which contrast of a comparison counts: the larger of location and dispersion."""
    wider = comparison.dispersion is not None and abs(comparison.location.value) < comparison.effect
    return "dispersion" if wider else "location"


def _others(fact: FactVerdict, beside: Sequence[tuple[PlacedScenario, str]]) -> list[tuple[FactVerdict, str]]:
    return [
        (theirs, shape)
        for placed, shape in beside
        for theirs in (placed.scenario.facts.facts if placed.scenario.facts is not None else ())
        if theirs.fact == fact.fact
    ]


def origin_facts(calibration: Calibration, horizon: int, at: str) -> dict[str, Any] | None:
    """Return title, sentences, table and what could not be judged of the facts of a calibration; None without any.

    Args:
        calibration: the calibration.
        horizon: bars of the run's paths.
        at: where the calibration stands in run.json.
    """
    facts = calibration.facts
    if facts is None:
        return None
    shorter = f": {plural(calibration.horizon, 'bar')} ahead, where the run has {numbers.count(horizon)}"
    return {
        "title": f"What came, among the paths of its own context{shorter if calibration.horizon < horizon else ''}",
        "sentence": say(
            words.ORIGIN_FACTS,
            origins=numbers.count(facts.design.windows),
            bars=plural(facts.design.bars, "bar"),
            labels=label_counts(facts),
        ),
        "limits": [*_too_short(calibration, facts, horizon), *_few_paths(calibration)],
        "table": origins_table(Ref(facts, f"{at}/facts").each("facts")),
        "untestable": untestable_lines(facts),
    }


def _too_short(calibration: Calibration, facts: FactsReport, horizon: int) -> list[Sentence]:
    """Say what forecasts shorter than the run's paths leave unjudged, and what would judge it at what cost."""
    if calibration.horizon >= horizon:
        return []
    judged = [one for one in facts.facts if one.label is not None]
    wanting = [
        LEAST_BARS.get(one.fact, 0)
        for one in judged
        if one.label == "UNTESTABLE" and one.fact not in facts.audit.untestable
    ]
    lacking = [bars for bars in wanting if bars > calibration.horizon]
    reach = {"horizon": plural(calibration.horizon, "bar"), "run": numbers.count(horizon)}
    if not lacking:
        return [say(words.ORIGIN_FACTS_SHORT_NONE, **reach)]
    counts = {"count": numbers.count(len(lacking)), "all": numbers.count(len(judged))}
    told = [say(words.ORIGIN_FACTS_SHORT, label=Badge("UNTESTABLE"), **reach, **counts)]
    longest = _longest(calibration, horizon)
    more = sum(bars <= longest for bars in lacking)
    if not more:
        return [*told, say(words.ORIGIN_FACTS_NO_GAIN, longest=plural(longest, "bar"))]
    made = len(calibration.origins)
    origins = made if made >= MIN_ORIGINS else WANTED
    times = longest * min(_room(calibration, longest), origins) / (calibration.horizon * made)
    setting = f"checks: calibration: {{horizon: {longest}{f', origins: {origins}' if origins != made else ''}}}"
    counts = {"more": numbers.count(more), "times": numbers.fixed(times, 1)}
    return [*told, say(words.ORIGIN_FACTS_LONGER, setting=setting, **counts)]


def _longest(calibration: Calibration, horizon: int) -> int:
    """Return the longest horizon, the run's at most, for which the history has room for enough forecasts to judge."""
    longest = min(horizon, MAX_CALIBRATED)
    if calibration.history_bars is not None:
        longest = min(longest, (calibration.history_bars - calibration.context) // MIN_ORIGINS)
    return max(longest, calibration.horizon)


def _room(calibration: Calibration, horizon: int) -> int:
    """Return how many forecasts of this horizon the history has room for; as many as it takes where that is unknown."""
    if calibration.history_bars is None:
        return max(len(calibration.origins), MIN_ORIGINS)
    return (calibration.history_bars - calibration.context) // horizon


def _few_paths(calibration: Calibration) -> list[Sentence]:
    if calibration.paths >= PATHS:
        return []
    return [
        say(
            words.ORIGIN_FACTS_PATHS,
            paths=numbers.count(calibration.paths),
            wanted=numbers.count(PATHS),
            setting=f"checks: calibration: {{paths: {PATHS}}}",
            times=numbers.fixed(PATHS / calibration.paths, 1),
        )
    ]


def origins_table(facts: Sequence[Ref], title: str = "") -> Table:
    """Return what came ranked among the paths of its own context, fact by fact."""
    columns = (
        _fact("What came", "real_mean", "mean"),
        _fact("Paths", "synthetic_mean", "mean"),
        Column("Effect", lambda fact: difference(fact, "comparison"), unit="½ − mean rank"),
        Column("q", "q", "q", css="hide-s"),
        Column("Found from", "mde", "number", decimals=2, css="hide-s"),
        LABEL,
    )
    caption = (
        "Effect: + where the paths lie too high; spread: + where they are too wide; brackets are 95% intervals over "
        "forecasts. q is adjusted for all facts. Found from: the smallest effect that would be found four times in "
        "five."
    )
    return tabulate("Fact", columns, _by_group(facts), fact_head, title=title, caption=caption)
