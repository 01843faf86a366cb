"""A calibration on the terminal: tables of functionals and scores, and lines for the rest. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from scenario_gen.cli.check_tables import SHOWN_ONLY, fact_figures
from scenario_gen.cli.tables import WIDTH_OF_A_LOG

if TYPE_CHECKING:
    from scenario_gen.checks.calibration.coverage import Coverage
    from scenario_gen.checks.inference import FactVerdict
    from scenario_gen.forecasts.dial import DialSearch
    from scenario_gen.forecasts.exceedances import Exceedances
    from scenario_gen.forecasts.results import Calibration, FunctionalCalibration, GeneratorCalibration
    from scenario_gen.pipeline.calibration_runs import CalibrationReport


def show_calibration(report: CalibrationReport, console: Console | None = None) -> None:
    """Print what a calibration found, the worst first to be looked for in the label column."""
    console = console or _console()
    found = report.calibration
    if report.dial is not None:
        console.print(dial_table(report.dial))
    title = f"{found.generator.name} on {found.instrument}: {found.generator.label}"
    console.print(functionals_table(found.generator, title, found.baselines))
    if found.generator.skills:
        console.print(scores_table(found))
    if found.facts is not None:
        console.print(ranked_facts_table(found.facts.facts))
    for line in lines(found):
        console.print(line, markup=False, highlight=False)
    told = f"fails: {', '.join(report.failed)}" if report.failed else "nothing fails"
    console.print(told if report.judged else "nothing was judged", markup=False, highlight=False)


def functionals_table(found: GeneratorCalibration, title: str, baselines: Sequence[GeneratorCalibration] = ()) -> Table:
    """Return one row per functional: label, PIT, coverage and CRPS, and the baselines' PIT and coverage."""
    caption = "PIT mean: .5, below where the paths lie too high; PIT spread: .25, above where they are too narrow"
    table = Table(title=title, caption=caption, caption_style="dim")
    for name in ("label", "functional"):
        table.add_column(name)
    for name in ("PIT mean", "PIT spread", "in 50 %", "80 %", "90 %", "95 %", "q", "CRPS"):
        table.add_column(name, justify="right")
    for other in baselines:
        table.add_column(f"{other.name}: PIT, 90 %", justify="right")
    for one in found.functionals:
        beside = [_beside(other.functional(one.functional)) for other in baselines]
        table.add_row(one.label, one.title, *_figures(one), *beside)
    return table


def _figures(one: FunctionalCalibration) -> list[str]:
    if one.mean is None or one.q is None or one.crps is None or one.spread is None:
        return [one.reason, *[""] * 7]
    mean = f"{one.mean:.2f} \\[{one.mean_low:.2f}, {one.mean_high:.2f}]"
    shares = [f"{band.share:.0%}" for band in one.coverage]
    return [mean, f"{one.spread:.2f}", *shares, f"{one.q:.2g}", f"{one.crps:.4g}"]


def _beside(one: FunctionalCalibration) -> str:
    band = one.coverage_at(0.9)
    return f"{one.mean:.2f}, {band.share:.0%}" if one.mean is not None and band is not None else "n/a"


def scores_table(found: Calibration) -> Table:
    """Return one row per score: the generator's, and its skill against each baseline with Diebold-Mariano's t."""
    from scenario_gen.checks.calibration.scores import TITLES

    table = Table(
        title="Scores",
        caption="skill above 0: better than the baseline; t below -2: surely so, above 2: surely worse",
        caption_style="dim",
    )
    table.add_column("score (lower is better)")
    table.add_column(found.generator.name, justify="right")
    for other in found.baselines:
        table.add_column(f"skill against {other.name} (t)", justify="right")
    for score, mean in found.generator.scores.items():
        against = {one.baseline: one for one in found.generator.skills if one.score == score}
        skills = [against.get(other.name) for other in found.baselines]
        cells = [f"{_percent(one.skill)} ({one.t:+.1f})" if one else "n/a" for one in skills]
        table.add_row(TITLES.get(score, score), f"{mean:.4g}", *cells)
    return table


def ranked_facts_table(facts: Sequence[FactVerdict]) -> Table:
    """Return one row per stylized fact that was ranked: what came, the paths, and where it ranks among them."""
    table = Table(
        title="Stylized facts by origin, mode A",
        caption="effect: mean rank of what came, 0 is in the middle, + where the paths lie too high; spread: + where "
        "they are too wide. Each outcome is ranked among the paths of its own context: the level of volatility counts",
        caption_style="dim",
    )
    for name in ("label", "group", "fact"):
        table.add_column(name, no_wrap=True)
    table.add_column("what it measures")
    for name in ("came", "paths", "effect [95 %]", "q", "MDE"):
        table.add_column(name, justify="right", no_wrap=True)
    for fact in facts:
        if fact.comparison is not None:
            figures = fact_figures(fact)[:5]
            table.add_row(fact.label or SHOWN_ONLY, fact.group, fact.fact, fact.title, *figures)
    return table


def dial_table(search: DialSearch) -> Table:
    """Return the curve that was searched for temperature and top_p, with the choice marked."""
    table = Table(title=f"Choosing {search.searched}", caption=search.rule, caption_style="dim")
    names = ("", "temperature", "top_p", "CRPS of log volatility", "PIT mean", "in 90 %", "return in 90 %", "holds")
    for name in names:
        table.add_column(name, justify="left" if name == "" else "right")
    for point in search.points:
        is_chosen = (point.temperature, point.top_p) == (search.temperature, search.top_p)
        table.add_row(
            "chosen" if is_chosen else "",
            f"{point.temperature:g}",
            f"{point.top_p:g}",
            f"{point.crps:.4f}",
            f"{point.pit_mean:.2f}",
            f"{point.coverage:.0%}",
            f"{point.return_coverage:.0%}",
            "yes" if point.holds else "no",
        )
    return table


def lines(found: Calibration) -> Iterator[str]:
    """Yield what stands in no table: bands of whole paths, tails, drift, training dates, notes."""
    ours = found.generator
    yield f"all bars of a path inside its band: {_bands(ours.band)}"
    yield f"{ours.value_at_risk:<12} value at risk, both tails together"
    for one in ours.exceedances:
        if one.judged:
            yield _tail(one)
    undecided = sum(not one.judged for one in ours.exceedances)
    if undecided:
        yield f"INCONCLUSIVE {undecided} of {len(ours.exceedances)} value-at-risk tests: too few forecasts (--one-step)"
    drift = ours.drift
    yield (
        f"{drift.label:<12} drift: {drift.generated:+.2f} [{drift.generated_low:+.2f}, {drift.generated_high:+.2f}] "
        f"context deviations over the horizon; the market: {drift.realised:+.2f} "
        f"[{drift.realised_low:+.2f}, {drift.realised_high:+.2f}]"
    )
    yield f"{ours.contamination.label:<12} training data: {ours.contamination.reason}"
    yield from _untestable_facts(found)
    yield from _omissions(ours, *found.baselines)
    for other in found.baselines:
        yield f"{other.label:<12} {other.name}, as a whole"
    yield from found.notes
    yield f"a PIT mean off by {found.smallest_mean:.2f} would be found with a power of 80 %"


def _untestable_facts(found: Calibration) -> Iterator[str]:
    """Yield which facts these forecasts cannot judge, by reason."""
    reasons: dict[str, list[str]] = {}
    for fact in found.facts.facts if found.facts is not None else ():
        if fact.label == "UNTESTABLE":
            reasons.setdefault(fact.reason, []).append(fact.fact)
    for reason, names in reasons.items():
        yield f"UNTESTABLE   {', '.join(names)}: {reason}"


def _tail(one: Exceedances) -> str:
    count = f"{one.hits} of {one.forecasts} beyond ({one.expected:g} expected)"
    return f"{one.label:<12} value at risk, {one.title}: {count}; {one.reason}"


def _bands(bands: list[Coverage]) -> str:
    return ", ".join(f"{band.share:.0%} of {band.level:.0%}" for band in bands)


def _omissions(*generators: GeneratorCalibration) -> Iterator[str]:
    for one in generators:
        if one.omitted:
            first = next(iter(one.omitted.values()))
            yield f"{one.name}: left out at {len(one.omitted)} origins: {first}"
        if one.dropped:
            yield f"{one.name}: {one.dropped} paths broke a candle rule beyond repair and were left out"


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:+.1f} %"


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=max(WIDTH_OF_A_LOG, 170))
