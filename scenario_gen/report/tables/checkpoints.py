"""An evaluation as tables of text, one definition for the terminal and for a model card. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from scenario_gen.finding import Label
from scenario_gen.forecasts.checkpoint_facts import RANKED, FactMean, RankedFact
from scenario_gen.forecasts.checkpoint_figures import (
    HORIZON,
    RETURNS,
    STEPS,
    Evaluation,
    GeneratorScores,
    GroupEvaluation,
    Versus,
)
from scenario_gen.forecasts.numbers import BY_ID
from scenario_gen.report.table import Column, Table, of_texts, to_markdown

TITLES = {
    **{name: f"return over {step} bar{'s' * (step > 1)}" for name, step in zip(RETURNS, STEPS, strict=True)},
    **{name: f"{BY_ID[name].title} over {HORIZON} bars" for name in ("log_volatility", "max_drawdown")},
}


def _sheet(title: str, caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    return of_texts(
        [Column(head, left=place == 0) for place, head in enumerate(header)], rows, title=title, caption=caption
    )


def evaluation_tables(evaluation: Evaluation) -> list[Table]:
    """Return all tables of an evaluation, the most asked for first."""
    tables = [
        _scores_table(evaluation),
        _versus_table(evaluation),
        _calibration_table(evaluation),
        _facts_table(evaluation),
        _labels_table(evaluation),
    ]
    if len(evaluation.groups) > 1:
        tables += [_groups_table(evaluation), _memory_table(evaluation), _labels_by_class(evaluation)]
    if len(evaluation.series) > 1:
        tables.append(_series_table(evaluation))
    if len([one for one in evaluation.pooled.generators if one.temperature is not None]) > 1:
        tables.append(_curve_table(evaluation))
    return [*tables, _rules_table(evaluation)]


def _scores_table(evaluation: Evaluation) -> Table:
    """Return the scores of every generator over all origins."""
    pooled = evaluation.pooled
    header = ["generator", *(f"CRPS r{step}" for step in STEPS), "CRPS ln RV", "CRPS drawdown"]
    header += [*(f"in 90 % r{step}" for step in STEPS), "in 90 % ln RV", "volatility ratio", "drift", "bad bars"]
    rows = []
    for one in pooled.generators:
        cells = [one.name, *(f"{judged.crps:.3f}" for judged in one.judged)]
        cells += [f"{one.of(name).coverage['0.9']:.3f}" for name in (*RETURNS, "log_volatility")]
        rows.append([*cells, f"{one.volatility_ratio:.3f}", f"{one.drift[str(STEPS[-1])]:+.3f}", _share(one.bad_bars)])
    caption = (
        "Fair CRPS, lower is better; returns and drawdown in context volatility times the root of their bars. "
        "Volatility ratio: median over origins of the median path's over the realised one. Drift: mean return over "
        f"{evaluation.horizon} bars in the same units."
    )
    return _sheet(f"{evaluation.model}: {span(pooled)}", caption, header, rows)


def span(group: GroupEvaluation) -> str:
    """Return how much a group holds, in words."""
    return (
        f"{group.origins} origins of {group.series} series in {group.clusters} spans of time, "
        f"{group.first[:10]} to {group.last[:10]}"
    )


def _versus_table(evaluation: Evaluation) -> Table:
    """Return skill and Diebold-Mariano t of the judged generator against each baseline."""
    ours = evaluation.pooled.generators[0]
    baselines = list(dict.fromkeys(one.baseline for one in ours.versus))
    rows = []
    for name in dict.fromkeys(one.id for one in ours.versus):
        best = _best(evaluation.pooled, name)
        rows.append([TITLES[name], *(_skill(ours, name, baseline) for baseline in baselines), _wins(ours, name, best)])
    return _sheet(
        f"{ours.name} against the baselines: skill (t)",
        "Skill above 0: better; t below -2: surely so, above 2: surely worse. Last: the baseline of the lowest CRPS, "
        f"and in how many series ours is lower still. {evaluation.method}.",
        ["CRPS of", *baselines, "best baseline"],
        rows,
    )


def _best(group: GroupEvaluation, name: str) -> str:
    """Return the baseline of the lowest CRPS of a judged number; "" where none could forecast."""
    baselines = {one.baseline for one in group.generators[0].versus}
    crps = {one.name: one.of(name).crps for one in group.generators if one.name in baselines}
    known = {baseline: value for baseline, value in crps.items() if np.isfinite(value)}
    return min(known, key=lambda baseline: known[baseline], default="")


def _wins(ours: GeneratorScores, name: str, baseline: str) -> str:
    if not baseline:
        return "n/a"
    one = _of(ours, name, baseline)
    return f"{baseline}, t {_number(one.t, '+.1f')}, {one.better} of {one.series}"


def _skill(ours: GeneratorScores, name: str, baseline: str) -> str:
    one = _of(ours, name, baseline)
    return f"{one.skill:+.1%} ({_number(one.t, '+.1f')})"


def _of(ours: GeneratorScores, name: str, baseline: str) -> Versus:
    return next(one for one in ours.versus if (one.id, one.baseline) == (name, baseline))


def _calibration_table(evaluation: Evaluation) -> Table:
    """Return coverage of all bands and the PITs of the judged generator."""
    ours = evaluation.pooled.generators[0]
    rows = []
    for one in ours.judged:
        cells = [f"{share:.3f}" for share in one.coverage.values()]
        mean = f"{one.pit_mean:.3f} ± {_number(one.pit_mean_error, '.3f')}"
        rows.append([TITLES[one.id], *cells, mean, f"{one.pit_spread:.3f}"])
    levels = [f"in {float(level):.0%}" for level in ours.judged[0].coverage]
    caption = "PIT mean: .5, below where the paths lie too high; spread: .25, above where they are too narrow."
    return _sheet(f"{ours.name}: calibration", caption, ["", *levels, "PIT mean", "PIT spread"], rows)


def _facts_table(evaluation: Evaluation) -> Table:
    """Return the stylized facts of real windows and of every generator."""
    generators = evaluation.pooled.generators
    rows = []
    for place, fact in enumerate(generators[0].facts):
        cells = [f"{_number(one.facts[place].generated, '+.4f')}" for one in generators]
        real, error = _number(fact.real, "+.4f"), _number(fact.error, ".4f")
        rows.append([fact.id, real, *cells, _ratio(fact.generated, fact.real), error, str(fact.origins)])
    header = ["fact", "real", *(one.name for one in generators), f"{generators[0].name} / real", "error", "origins"]
    caption = (
        f"Means over windows of {evaluation.horizon} bars, real and generated by the same estimators (scenario-gen "
        "check lists them); short windows pull autocorrelations down alike on both sides. Error: of generated less "
        "real."
    )
    return _sheet("Stylized facts", caption, header, rows)


def _groups_table(evaluation: Evaluation) -> Table:
    """Return one row per asset class and frequency: coverage, volatility ratio and t values."""
    ours = evaluation.pooled.generators[0]
    baselines = list(dict.fromkeys(one.baseline for one in ours.versus))
    header = ["class", "frequency", "series", "origins", "spans", *(f"in 90 % r{step}" for step in STEPS)]
    header += ["in 90 % ln RV", "volatility ratio", "CRPS ln RV", *(f"t ln RV, {name}" for name in baselines)]
    header += [f"t r{STEPS[-1]}, {name}" for name in baselines]
    rows = []
    for group in (evaluation.pooled, *evaluation.groups):
        one = group.generators[0]
        cells = [group.asset_class, group.frequency, str(group.series), str(group.origins), str(group.clusters)]
        cells += [f"{one.of(name).coverage['0.9']:.2f}" for name in (*RETURNS, "log_volatility")]
        cells += [f"{one.volatility_ratio:.2f}", f"{one.of('log_volatility').crps:.3f}"]
        for name in ("log_volatility", RETURNS[-1]):
            cells += [_number(_of(one, name, baseline).t, "+.1f") for baseline in baselines]
        rows.append(cells)
    return _sheet(f"{ours.name} by asset class and frequency", "t below 0: better than the baseline.", header, rows)


MEMORY = ("lev_har", "acf_rng_1_5")  # facts that are shown class by class
PHENOMENA = tuple(dict.fromkeys(fact.group for fact in RANKED))


def _memory_table(evaluation: Evaluation) -> Table:
    """Return leverage and the memory of ranges, real and generated, and raw bars, by asset class and frequency."""
    header = ["class", "frequency", "origins"]
    header += [f"{name}{what}" for name in MEMORY for what in (", real", "", " / real")]
    header += ["bad bars", "CRPS ln RV: best baseline, t, series"]
    rows = []
    for group in (evaluation.pooled, *evaluation.groups):
        one = group.generators[0]
        best = _best(group, "log_volatility")
        cells = [group.asset_class, group.frequency, str(group.origins), *_remembered(one.facts)]
        rows.append([*cells, _share(one.bad_bars), _wins(one, "log_volatility", best)])
    ours = evaluation.pooled.generators[0].name
    return _sheet(
        f"{ours}: leverage, memory and bars by asset class and frequency",
        "lev_har: the return's coefficient in a regression of the next log range; acf_rng_1_5: autocorrelation of log "
        "ranges; means over windows, real and generated.",
        header,
        rows,
    )


def _remembered(facts: Sequence[FactMean]) -> list[str]:
    """Return each of MEMORY: real, generated, and their ratio."""
    found = {fact.id: fact for fact in facts}
    return [
        cell
        for name in MEMORY
        for fact in [found[name]]
        for cell in (_number(fact.real, "+.3f"), _number(fact.generated, "+.3f"), _ratio(fact.generated, fact.real))
    ]


def _labels_table(evaluation: Evaluation) -> Table:
    """Return the groups of facts of every generator over all origins, by the rank of what came."""
    rows = [[one.name, *_labels(one.groups), _failing(one.ranked)] for one in evaluation.pooled.generators]
    return _sheet(
        "Groups of facts, by the rank of what came (mode A)",
        "The worst label of the group's facts; errors and p-values as of the scores.",
        ["generator", *PHENOMENA, "FAIL"],
        rows,
    )


def _labels_by_class(evaluation: Evaluation) -> Table:
    """Return the groups of facts of the judged generator, by asset class and frequency."""
    ours = evaluation.pooled.generators[0].name
    rows = [
        [group.asset_class, group.frequency, *_labels(one.groups), _failing(one.ranked)]
        for group in evaluation.groups
        for one in [group.generators[0]]
    ]
    labels = [label for group in evaluation.groups for label in group.generators[0].groups.values()]
    told = [label for label in labels if label not in ("UNTESTABLE", "INCONCLUSIVE")]
    caption = f"{sum(label != 'FAIL' for label in told)} of {len(told)} labels that could be given are PASS or WARN."
    header = ["class", "frequency", *PHENOMENA, "FAIL"]
    return _sheet(f"{ours}: groups of facts by asset class and frequency (mode A)", caption, header, rows)


def _labels(groups: Mapping[str, Label]) -> list[str]:
    return [groups.get(group, "UNTESTABLE") for group in PHENOMENA]


def _failing(facts: Sequence[RankedFact]) -> str:
    return ", ".join(fact.id for fact in facts if fact.label == "FAIL")


def _series_table(evaluation: Evaluation) -> Table:
    """Return one row per series: scores and skill against the best baseline, coverage, leverage, memory and bars."""
    ours = evaluation.pooled.generators[0]
    baselines = list(dict.fromkeys(one.baseline for one in ours.versus))
    header = ["series", "class", "frequency", "origins", f"CRPS r{STEPS[-1]} (skill)", "CRPS ln RV (skill)"]
    header += [f"in 90 % r{', '.join(map(str, STEPS))}", "volatility ratio"]
    header += [*(f"{name}: real, ours, ratio" for name in MEMORY), "bad bars", "FAIL"]
    rows = []
    for one in evaluation.series:
        cells = [one.name, one.asset_class, one.frequency, str(one.origins)]
        for name in (RETURNS[-1], "log_volatility"):
            cells.append(_against_best(one.crps[ours.name][name], [one.crps[other][name] for other in baselines]))
        cells += [" ".join(f"{one.coverage[name]:.2f}" for name in RETURNS), f"{one.volatility_ratio:.2f}"]
        told = _remembered(one.facts)
        cells += [" ".join(told[:3]), " ".join(told[3:]), _share(one.bad_bars)]
        rows.append([*cells, ", ".join(group for group, label in one.groups.items() if label == "FAIL")])
    caption = "Skill: against the series' best baseline. FAIL: groups of facts (mode A), from 40 origins on."
    return _sheet(f"{ours.name} series by series", caption, header, rows)


def _against_best(ours: float, theirs: Sequence[float]) -> str:
    known = [value for value in theirs if np.isfinite(value)]
    return f"{ours:.3f} ({1 - ours / min(known):+.1%})" if known else f"{ours:.3f} (n/a)"


def _curve_table(evaluation: Evaluation) -> Table:
    """Return what the temperature does."""
    ours = [one for one in evaluation.pooled.generators if one.temperature is not None]
    header = ["temperature", "volatility ratio", "in 90 % r1", f"in 90 % r{STEPS[-1]}", "CRPS ln RV"]
    header += ["bad bars", "ACF of log range, lags 1-5", "ACF of |r|, lags 1-5"]
    rows = []
    for one in sorted(ours, key=lambda scores: scores.temperature or 0.0):
        facts = {fact.id: fact.generated for fact in one.facts}
        rows.append(
            [
                f"{one.temperature:g}",
                f"{one.volatility_ratio:.3f}",
                *(f"{one.of(name).coverage['0.9']:.3f}" for name in (RETURNS[0], RETURNS[-1])),
                f"{one.of('log_volatility').crps:.3f}",
                _share(one.bad_bars),
                *(_number(facts[name], "+.4f") for name in ("acf_rng_1_5", "acf_abs_1_5")),
            ]
        )
    return _sheet("What the temperature does", "", header, rows)


def _rules_table(evaluation: Evaluation) -> Table:
    """Return the share of raw bars that break each candle rule."""
    generators = evaluation.pooled.generators
    rules = list(generators[0].broken)
    rows = [[rule, *(_share(one.broken[rule]) for one in generators)] for rule in rules]
    rows.append(["any", *(_share(one.bad_bars) for one in generators)])
    return _sheet("Raw bars that break a rule", "", ["rule", *(one.name for one in generators)], rows)


def card_text(evaluation: Evaluation) -> str:
    """Return all tables as Markdown for a model card."""
    return "\n\n".join(
        [
            "\n".join(f"- {line}" for line in _told(evaluation)),
            *(to_markdown(table) for table in evaluation_tables(evaluation)),
        ]
    )


def _told(evaluation: Evaluation) -> Iterator[str]:
    yield (
        f"`scenario-gen evaluate` on {evaluation.data}: context {evaluation.context}, {evaluation.horizon} bars ahead, "
        f"origins {evaluation.horizon} bars apart, {evaluation.paths} paths each, seed {evaluation.seed}, top_p 1, "
        "scored after repair"
    )
    yield from evaluation.notes


def _share(value: float) -> str:
    return f"{value:.2%}"


def _number(value: float, form: str) -> str:
    return format(value, form) if np.isfinite(value) else "n/a"


def _ratio(generated: float, real: float) -> str:
    return _number(generated / real, ".2f") if real else "n/a"
