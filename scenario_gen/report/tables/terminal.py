"""Tables of the terminal: results and strategies, verdicts on paths, facts and scores, calibration.

Owns their columns; the page has its own, with other words and more room. Reads results, computes none, and knows
neither how wide a terminal is nor in which order tables are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from scenario_gen.backtest.limits import quantile_path
from scenario_gen.backtest.result import StrategyResult
from scenario_gen.finding import LIMITS, LOOK_AHEAD, Finding, Label
from scenario_gen.forecasts.results import Calibration, FunctionalCalibration, GeneratorCalibration
from scenario_gen.realism.results import FactVerdict, LongFigure, ScoreVerdict
from scenario_gen.report.table import Column, Placed, Ref, Row, Table, of_texts, place, tabulate
from scenario_gen.report.tables.outcomes import LOW, MEDIAN
from scenario_gen.report.tables.realism import decisive_side
from scenario_gen.stats.ranks import TITLES
from scenario_gen.store.results import StressRun

UNSAID = "n/a"
SHOWN_ONLY = "shown"  # in place of a label where nothing is judged
WIDE = 170  # columns from which on there is room for words beside the figures of a fact
ORDER = "a group carries its worst label, in the order FAIL, WARN, INCONCLUSIVE, UNTESTABLE, PASS; there is no average"
INTERVALS = "[95 % interval of the Monte Carlo error]"
NAMED = Column("", left=True, wrap=False)  # a name that is never broken or cut
RESULTS = (
    MEDIAN,
    LOW,
    Column("Paths that lose", "probability_of_loss", "share"),
    Column("95% drawdown", quantile_path("max_drawdown", "0.95"), "percent"),
    Column("CVaR 95%", "cvar/0.95", "percent"),
)


def _named(head: str, get: str = "") -> Column:
    return replace(NAMED, head=head, get=get)


def run_table(run: StressRun) -> Table:
    """Return a row per strategy below each scenario: estimates with their 95 % intervals."""
    rows: list[Row | Placed] = []
    for scenario in place(run):
        rows += [Row(scenario.title, scenario.role), *scenario.strategies()]
    weighted = [(scenario.name, scenario.weighting) for scenario in run.scenarios if scenario.weighting is not None]
    caption = "; ".join([INTERVALS, *(f"{name}: {weighting.in_words}" for name, weighting in weighted)])
    return tabulate("Strategy", RESULTS, rows, title=run.title, caption=caption)


def results_table(strategies: Sequence[StrategyResult]) -> Table:
    """Return one row per strategy: estimates with their 95 % intervals."""
    return tabulate("Strategy", RESULTS, [Placed(strategy, "") for strategy in strategies], caption=INTERVALS)


def strategies_table(strategies: Sequence[StrategyResult], findings: Sequence[Finding]) -> Table:
    """Return what was asked of each strategy itself: look-ahead, warm-up and, where declared, its limits."""
    limits = LIMITS.of(findings)
    ahead = {finding.strategy: finding.label for finding in reversed(LOOK_AHEAD.of(findings))}
    columns = [
        Column("looks ahead", lambda row: ahead.get(row.value.name, UNSAID), left=True),
        Column("changes with less", "warm_up/less", ".1%", missing=UNSAID),
        Column("with more", "warm_up/more", ".1%", missing=UNSAID),
    ]
    if limits:
        columns.append(Column("limits", lambda row: _judged(row.value.name, limits), left=True))
    return tabulate(
        "strategy",
        columns,
        [Ref(strategy, "") for strategy in strategies],
        lambda row: row.value.name,
        title="The strategies themselves",
        caption="changes: share of decisions on the path that change with a quarter less, and more, context",
    )


def _judged(strategy: str, limits: Iterable[Finding]) -> str:
    labels = [finding.label for finding in limits if finding.strategy == strategy]
    words = {"FAIL": "breached", "PASS": "met", "INCONCLUSIVE": "undecided", "UNTESTABLE": "not measured"}
    counts = {label: labels.count(label) for label in dict.fromkeys(labels)}
    return ", ".join(f"{count} {words.get(label, label)}" for label, count in counts.items()) or UNSAID


def groups_table(rows: Iterable[tuple[Label, str, Sequence[str], str]]) -> Table:
    """Return one row per group: its worst label, how many members carry which, and why.

    Args:
        rows: label, group, labels of the members, reason.
    """
    heads = [Column(head, left=True) for head in ("label", "group", "members", "because")]
    texts = ((label, group, _counted(members), reason) for label, group, members, reason in rows)
    return of_texts(heads, texts, title="Verdicts", caption=ORDER)


def _counted(labels: Sequence[str]) -> str:
    return ", ".join(f"{labels.count(label)} {label}" for label in dict.fromkeys(labels))


def assets_table(
    assets: Mapping[str, Mapping[str, Label]], verdicts: Mapping[str, Label], why: Mapping[str, str]
) -> Table:
    """Return one row per group: its label for each asset, and why the worst one."""
    heads = [Column(head, left=True) for head in ("group", *assets, "together", "because")]
    rows = []
    for group, label in verdicts.items():
        labels = [labels_of.get(group, "") for labels_of in assets.values()]
        rows.append((group, *labels, "" if any(labels) else label, why[group]))
    return of_texts(heads, rows, title="Verdicts", caption=ORDER)


def _effect(fact: Ref) -> str:
    """Return the difference that counts, of location or of spread, with its interval."""
    comparison = fact.value.comparison
    if comparison is None:
        return ""
    side = decisive_side(comparison)
    effect = getattr(comparison, side)
    spread = "spread " if side == "dispersion" else ""
    return f"{spread}{effect.value:+.2f} [{effect.low:+.2f}, {effect.high:+.2f}]"


def _control(fact: Ref) -> str:
    power = fact.value.control_power
    return "" if power is None else f"{fact.value.control}: {power:.0%}"


def _halves(fact: Ref) -> str:
    halves = fact.value.halves
    return "" if halves is None else f"{halves.effect:.2f} {fact.value.halves_label}"


FACT = (
    Column("real", "real_mean", ".3g", missing=UNSAID, wrap=False),
    Column("paths", "synthetic_mean", ".3g", missing=UNSAID, wrap=False),
    Column("effect [95 %]", _effect),
    Column("q", "q", ".2g", missing="", wrap=False),
    Column("MDE", "mde", ".2f", missing="", wrap=False),
    Column("control: power", _control, wrap=False),
    Column("halves", _halves, wrap=False),
    Column("outside", "outside", ".1%", missing="", wrap=False),
)
MEASURES = Column("what it measures", "title", left=True)


def _measured(facts: Sequence[FactVerdict]) -> list[Ref]:
    return [Ref(fact, "") for fact in facts if fact.comparison is not None]


def _label(row: Ref) -> str:
    return row.value.label or SHOWN_ONLY


def facts_table(facts: Sequence[FactVerdict], title: str, *, wide: bool) -> Table:
    """Return one row per fact that was measured: means, effect with its interval, and what it could have found.

    A narrow terminal gets fewer columns, and is told so: names and numbers are never cut.
    """
    more = (
        "MDE: the smallest found with a power of 80 %; halves: the reference's later half against its earlier one; "
        "outside: paths beyond the middle 99 % of real windows (of real ones: 1 %), a screen and no verdict"
    )
    fewer = f"a terminal of {WIDE} columns, or a file, gets the smallest effect that would be found and the controls"
    caption = "effect: the larger of location and spread, 0 is no difference, +-.50 complete separation; q: of both; "
    names = (_named("group", "group"), _named("fact", "fact"), MEASURES) if wide else (_named("fact", "fact"),)
    columns = (*names, *(FACT if wide else FACT[:4]))
    rows = _measured(facts)
    return tabulate(_named("label"), columns, rows, _label, title=title, caption=caption + (more if wide else fewer))


def ranked_facts_table(facts: Sequence[FactVerdict]) -> Table:
    """Return one row per stylized fact that was ranked: what came, the paths, and where it ranks among them."""
    names = (_named("group", "group"), _named("fact", "fact"), MEASURES)
    return tabulate(
        _named("label"),
        (*names, replace(FACT[0], head="came"), FACT[1], replace(FACT[2], wrap=False), *FACT[3:5]),
        _measured(facts),
        _label,
        title="Stylized facts by origin, mode A",
        caption="effect: mean rank of what came, 0 is in the middle, + where the paths lie too high; spread: + where "
        "they are too wide. Each outcome is ranked among the paths of its own context: the level of volatility counts",
    )


def scores_table(scores: Sequence[ScoreVerdict]) -> Table:
    """Return one row per score, beside the same score of real windows against real windows."""
    figures = (("paths", "value"), ("real", "real_median"), ("limit", "real_limit"))
    columns = (
        Column("score", "score", left=True),
        MEASURES,
        *(Column(head, path, ".3g", missing=UNSAID) for head, path in figures),
    )
    return tabulate(
        "label",
        columns,
        [Ref(score, "") for score in scores],
        _label,
        title="The ensemble as a whole",
        caption="real: the same score of held-out real windows, median; limit: what 95 % of them keep to",
    )


def long_table(figures: Sequence[LongFigure], *, wide: bool) -> Table:
    """Return one row per fact of a long sample that reference or paths have; the others are told below."""
    numbers = [
        Column(head, path, ".3g", missing=UNSAID, wrap=False)
        for head, path in (("real", "real"), ("paths", "synthetic"))
    ]
    return tabulate(
        _named("fact"),
        ((MEASURES, *numbers) if wide else numbers),
        [Ref(figure, "") for figure in figures if figure.real is not None or figure.synthetic is not None],
        lambda row: row.value.fact,
        title=f"A long sample's facts, {SHOWN_ONLY} and never judged",
        caption="thresholds, lags and the mix of regimes decide them; paths are pooled, and never joined end to end",
    )


def functionals_table(
    generator: GeneratorCalibration, title: str, baselines: Sequence[GeneratorCalibration] = ()
) -> Table:
    """Return one row per functional: label, PIT, coverage and CRPS, and the baselines' PIT and coverage."""
    names = ("PIT mean", "PIT spread", "in 50 %", "80 %", "90 %", "95 %", "q", "CRPS")
    beside = (f"{other.name}: PIT, 90 %" for other in baselines)
    heads = [Column("label", left=True), Column("functional", left=True), *map(Column, (*names, *beside))]
    rows = [
        (
            functional.label,
            functional.title,
            *_figures(functional),
            *(_beside(other.functional(functional.functional)) for other in baselines),
        )
        for functional in generator.functionals
    ]
    caption = "PIT mean: .5, below where the paths lie too high; PIT spread: .25, above where they are too narrow"
    return of_texts(heads, rows, title=title, caption=caption)


def _figures(functional: FunctionalCalibration) -> list[str]:
    mean, q, crps, spread = functional.mean, functional.q, functional.crps, functional.spread
    if mean is None or q is None or crps is None or spread is None:
        return [functional.reason, *[""] * 7]
    interval = f"{mean:.2f} [{functional.mean_low:.2f}, {functional.mean_high:.2f}]"
    return [interval, f"{spread:.2f}", *(f"{b.share:.0%}" for b in functional.coverage), f"{q:.2g}", f"{crps:.4g}"]


def _beside(functional: FunctionalCalibration) -> str:
    band = functional.coverage_at(0.9)
    return f"{functional.mean:.2f}, {band.share:.0%}" if functional.mean is not None and band is not None else UNSAID


def skills_table(calibration: Calibration) -> Table:
    """Return one row per score: the generator's, and its skill against each baseline with Diebold-Mariano's t."""
    generator = calibration.generator
    skills = {(skill.baseline, skill.score): skill for skill in generator.skills}

    def against(baseline: str, score: str) -> str:
        skill = skills.get((baseline, score))
        if skill is None:
            return UNSAID
        share = UNSAID if skill.skill is None else f"{100 * skill.skill:+.1f} %"
        return f"{share} ({skill.t:+.1f})"

    return tabulate(
        "score (lower is better)",
        (
            Column(generator.name, lambda score: f"{generator.scores[score]:.4g}"),
            *(
                Column(f"skill against {other.name} (t)", partial(against, other.name))
                for other in calibration.baselines
            ),
        ),
        generator.scores,
        lambda score: str(TITLES.get(score, score)),
        title="Scores",
        caption="skill above 0: better than the baseline; t below -2: surely so, above 2: surely worse",
    )
