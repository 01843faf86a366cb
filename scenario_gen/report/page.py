"""One page from one run: chooses what each section shows and hands it to the templates.

Owns the reading order, the choice of base scenario and colours, the budget and the file. Everything on the
page comes from the StressRun; the same run gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from scenario_gen.backtest.uses import class_name
from scenario_gen.errors import StoreError
from scenario_gen.files import write_bytes
from scenario_gen.finding import LIMITS, Label, in_section, worst
from scenario_gen.report import cards, faults, pictures, stress, words
from scenario_gen.report.drawing import zoom
from scenario_gen.report.drawing.charts import drawing
from scenario_gen.report.numbers import count, level, price
from scenario_gen.report.table import Placed, PlacedScenario, Table, choose_base, place, place_books
from scenario_gen.report.tables import (
    book,
    candles,
    dials,
    forecasts,
    outcomes,
    realism,
    robustness as regimes,
    strategies,
)
from scenario_gen.report.words import Sentence, name, visible
from scenario_gen.stats.estimate import rate
from scenario_gen.store.folder import PAGE, RunFolder
from scenario_gen.store.results import StressRun


def repro_rows(run: StressRun, base: PlacedScenario) -> list[tuple[str, str]]:
    """Return name and text of everything that decides the run's numbers, and of when and where it ran."""
    context = base.scenario.context
    rows = [
        ("Run", f"{name(run.name)}, {run.created}"),
        *((f"Identity: {key}", value) for key, value in run.identity.items()),
        (
            "Data",
            f"{name(context.instrument)}: {visible(context.source)}, {moment(context.start)} to {moment(context.end)}",
        ),
        *candles.market_rows(run),
        ("Context sha256", context.sha256),
        ("Seed", _seeds(run)),
        ("Flags of the history", f"{len(context.flags)}, listed in section 2" if context.flags else "none"),
        ("Device", ", ".join(f"{key} {value}" for key, value in run.device.items())),
        ("Versions", ", ".join(f"{key} {value}" for key, value in run.versions.items())),
        ("Seconds", ", ".join(f"{key} {value:.1f}" for key, value in run.seconds.items())),
    ]
    return [(key, value or "not stated") for key, value in rows]


def _seeds(run: StressRun) -> str:
    """Return seed, paths and block of every scenario, said once where they are the same."""
    told: dict[str, list[str]] = {}
    for scenario in run.spec.get("scenarios", []):
        paths = scenario.get("paths", {})
        if "seed" in paths:
            text = f"{paths['seed']} ({paths.get('count')} paths in blocks of {paths.get('block')})"
            told.setdefault(text, []).append(name(str(scenario.get("name", ""))))
    parts = [text if len(told) == 1 else f"{text}: {', '.join(names)}" for text, names in told.items()]
    return "; ".join(parts)


def moment(stamp: str) -> str:
    """Return an ISO stamp, as a date where it means a whole day."""
    return name(stamp.removesuffix("T00:00:00"))


# --- One page from one run: chooses what each section shows and hands it to the templates ---


MOST_TABLED = 40  # strategies; of a larger grid, the tables of all would outweigh the page
BUDGET = 3_000_000
STRESSED_BOOK = (
    "Not judged: what a shock or another correlation costs a book is not measured future by future. How its scenarios "
    "fared stands beside base in “How did the strategies fare?”."
)
COLOURS = ("1", "2", "3", "4")


@dataclass(frozen=True)
class Heading:
    """One heading with its badge; ``absent`` says what would produce results where there are none."""

    key: str
    number: int
    title: str
    lead: str
    label: Label | None
    absent: str = ""


def write_report(folder: RunFolder) -> Path:
    """Write index.html from the folder's run.json.

    Raises:
        StoreError: run.json cannot be read, the page would be too heavy, or the disk refuses.
    """
    page = build_page(folder.read_run())
    path = folder.path / PAGE
    write_bytes(path, page.encode("utf-8"))
    return path


def build_page(run: StressRun) -> str:
    """Return the whole page as HTML.

    Raises:
        StoreError: the page would exceed 3 MB.
    """
    placed = [*place_books(run), *place(run)]
    base = choose_base(placed)
    with drawing():
        parts = _parts(run, placed, base)
    page: str = environment().get_template("page.html.j2").render(**parts)
    _check_weight(page, parts)
    return page


def choose_colours(base: PlacedScenario, limit: float | None) -> tuple[str, ...]:
    """Return a colour per strategy: 1 to 4 in the spec's order; of more than four, the four with the worst tail.

    The others, and strategies without parameters called buy and hold, are reference grey.
    """
    every = base.scenario.strategies
    candidates = [n for n, strategy in enumerate(every) if not _is_reference(strategy.use)]
    if len(candidates) > len(COLOURS):
        rates = [rate(outcomes.decision_estimate(strategy, limit)) or 0.0 for strategy in every]
        candidates = sorted(sorted(candidates, key=lambda n: (-rates[n], n))[: len(COLOURS)])
    given = dict(zip(candidates, COLOURS, strict=False))
    return tuple(given.get(number, "r") for number in range(len(every)))


def _is_reference(use: str) -> bool:
    return class_name(use).lower().replace("_", "") in ("buyandhold", "buyhold")


def _parts(run: StressRun, placed: list[PlacedScenario], base: PlacedScenario) -> dict[str, Any]:
    limit = run.limits.get("max_drawdown")
    traded = [p for p in placed if p.scenario.strategies]  # an asset of several is traded in its book alone
    colours = choose_colours(base, limit)
    verdict = cards.cards(run, placed, base)
    drawn = pictures.drawn(base.strategies(colours), limit)
    every = base.strategies(colours)
    tabled = drawn if len(every) > MOST_TABLED else every
    shown = [number for number, each in enumerate(every) if each in tabled]
    sets = strategies.sets_table(run, base)
    stressed = stress.answers(run, placed, base)
    return {
        "run": run,
        "base": base,
        "title": title(run, base),
        "meta": _meta(run, base),
        "headline": cards.headline(run, base),
        "cards": verdict,
        "verdict_label": worst(card.label for card in verdict if card.check.gate is not None),
        "sections": _sections(run, placed, verdict, grid=sets is not None, stressed=bool(stressed)),
        "stressed": stressed,
        "book": book.book_answers(run),
        "scope": cards.scope(base.scenario, str(pictures.broker(run, base).get("fill", "next_open"))),
        "others": cards.other_findings(run),
        "caps": faults.caps(run, placed),
        "summary": _summary(run, base, traded),
        "summary_rest": _summary_rest(run, traded, base),
        "traded": traded,
        "fans": pictures.fans(run, placed, base),
        "dial": outcomes.dial_table(placed),
        "dial_sentence": cards.dial_sentence(base),
        "calibrations": forecasts.calibrations(placed),
        "dials": dials.dials(placed),
        "recalibrations": dials.recalibrations(placed),
        "uncalibrated": [p.title for p in placed if p.scenario.role == "scenario" and not p.scenario.calibration],
        **_facts_parts(placed, base),
        "provenance": [(p.title, _flat(p.scenario.generator)) for p in placed],
        **_candle_parts(placed),
        "outcomes": outcomes.outcome_table(run, traded, colours, shown),
        "equity": pictures.equity(drawn),
        "metric_tables": [(p.title, p.parameters, outcomes.metric_table(p)) for p in tabled],
        "untabled": len(every) - len(tabled),
        "kept": {each.get("paths", {}).get("keep") != "none" for each in run.spec.get("scenarios") or [{}]},
        "definitions": words.DEFINITIONS,
        "curve": pictures.curve(drawn, limit),
        "curve_key": [(p.title, p.css) for p in drawn],
        "tail": outcomes.tail_table(base, tabled),
        "drawdowns": outcomes.drawdown_table(base, tabled),
        "across": _across(traded, limit),
        "drills": pictures.drills(drawn, base),
        "undrawn": len(base.scenario.strategies) - len(drawn),
        "sets": sets,
        **_strategy_parts(run, placed, base, tabled),
        "broker": _flat(pictures.broker(run, base)),
        "repro": repro_rows(run, base),
        "labels": words.LABELS,
        "limit": limit,
        **zoom.parts([placed.strategy.named_paths for placed in drawn], base.scenario.context),
    }


def _candle_parts(placed: list[PlacedScenario]) -> dict[str, Any]:
    return {
        "edges": candles.edge_sentences(placed),
        "accounts": [(p.title, cards.account_sentence(p)) for p in placed],
        "account": candles.account_table(placed),
        "wickless": candles.wickless_table(placed),
        "repair_sentence": candles.effect_sentence(placed),
        "repair_effects": candles.effect_table(placed),
        "repair_shifts": candles.shift_table(placed),
        "rejection": candles.rejection_table(placed),
        "conditional": candles.conditional_sentences(placed),
        "thresholds": candles.thresholds(placed),
        "flags": candles.flag_lines(placed),
    }


def title(run: StressRun, base: PlacedScenario) -> str:
    """Return the run's own title, or what it did in one line."""
    if run.title.strip() and run.title != run.name:
        return name(run.title, 120)
    many = words.spelled(len(base.scenario.strategies), "strategy")
    return f"{many} in {count(base.scenario.paths)} markets that did not happen"


def _meta(run: StressRun, base: PlacedScenario) -> list[tuple[str, str]]:
    scenario = base.scenario
    context = scenario.context
    return [
        ("Asset", name(context.instrument)),
        ("Context ends", f"{moment(context.end)}, {price(context.anchor_close)}"),
        ("Horizon", cards.bars_in_words(scenario)),
        ("Paths", f"{count(scenario.paths)} per scenario"),
        ("Generator", cards.generator_name(scenario)),
        ("Run", f"{name(run.name)}, {run.created[:10]}"),
    ]


def _sections(
    run: StressRun, placed: list[PlacedScenario], verdict: list[cards.Card], *, grid: bool, stressed: bool
) -> dict[str, Heading]:
    labels: dict[str, Label | None] = {
        **{key: in_section(run.findings, key) for key, _ in (*words.SECTIONS, words.BOOK_SECTION)},
        **{card.check.section: card.label for card in verdict if card.check.gate is not None},
    }
    if not run.limits:
        labels[LIMITS.section] = None
    absent: dict[str, str] = {}
    if labels["exec"] is None:
        absent["exec"] = words.ABSENT["exec"]
    if not any(one.nulls or one.paired for p in placed for one in p.scenario.strategies):
        absent["paired"] = words.ABSENT["paired"]
    if not any(one.scenario.facts or (one.scenario.calibration and one.scenario.calibration.facts) for one in placed):
        absent["facts"] = words.ABSENT["facts"]
    if not grid:
        absent["params"] = words.ABSENT["params"]
    elif not any(one.overfitting for p in placed for one in p.scenario.strategies):
        absent["params"] = words.ABSENT["params grid"]
    if sum(bool(one.scenario.strategies) for one in placed) < 2:
        absent["across"] = words.ABSENT["across"]
    if not stressed:
        absent["stress"] = STRESSED_BOOK if _book_is_stressed(run) else words.ABSENT["stress"]
    listed = [*words.SECTIONS]
    if run.book is not None:
        listed.insert([key for key, _ in listed].index("facts") + 1, words.BOOK_SECTION)
    return {
        key: Heading(
            key,
            number,
            heading,
            words.LEADS[key],
            "UNTESTABLE" if key in absent else labels.get(key),
            absent.get(key, ""),
        )
        for number, (key, heading) in enumerate(listed, 1)
    }


def _book_is_stressed(run: StressRun) -> bool:
    """Whether a scenario of several assets has shocks, or hangs together less or more than history does."""
    scenarios = run.spec.get("scenarios") if run.book is not None else None
    entries = [one for one in scenarios if isinstance(one, dict)] if isinstance(scenarios, list) else []
    return any(one.get("shocks") or (one.get("joint") or {}).get("correlation_shift") for one in entries)


def _facts_parts(placed: list[PlacedScenario], base: PlacedScenario) -> dict[str, Any]:
    """Return what section 3 shows: the base scenario's facts, or the first that has some."""
    own = base if base.scenario.facts else next((one for one in placed if one.scenario.facts), base)
    beside = pictures.beside_base(own, placed)
    found = own.scenario.facts
    return {
        "facts_of": own,
        "facts_beside": [(mark, one.title) for one, mark in beside],
        "facts_sentences": realism.facts_sentences(own),
        "facts_table": realism.facts_table(own, beside),
        "facts_shown": realism.shown_table(own.each("facts/facts")),
        "facts_long": realism.long_table(own.each("facts/long")),
        "facts_untestable": realism.untestable_lines(found) if found else [],
        "scores_table": realism.scores_table(own.each("facts/scores")),
        "groups_table": realism.groups_table(placed),
    }


def _strategy_parts(
    run: StressRun, placed: list[PlacedScenario], base: PlacedScenario, tabled: Sequence[Placed]
) -> dict[str, Any]:
    """Return what sections 4 to 9 show of the strategies themselves; None where the run did not look."""
    return {
        "rules": strategies.rules_table(run, placed),
        "orders": strategies.orders_table(run, placed),
        "fills": strategies.fills_table(run, base),
        "history": strategies.history_table(base),
        "regimes": regimes.regimes_table(base, tabled),
        "thirds": regimes.thirds_table(tabled),
        "limits": strategies.limits_table(run, [p for p in placed if p.scenario.strategies]),
        "trouble": strategies.trouble_table(base),
        "ruin": strategies.ruin_table(base),
        "causes": strategies.causes_table(base),
        "holding": strategies.holding_table(base),
        "chance": strategies.chance_table(base),
        "agreement": strategies.agreement_table(run),
        "choices": strategies.choice_table(base),
    }


def _summary(run: StressRun, base: PlacedScenario, placed: list[PlacedScenario]) -> Table:
    weighting = base.scenario.weighting
    paths = f"{count(base.scenario.paths)} paths" if weighting is None else weighting.in_words
    caption = (
        f"Scenario {base.title}, {paths}. Brackets and ±: 95% Monte Carlo error, which "
        "shrinks with more paths; the range over scenarios and baselines does not."
    )
    return outcomes.summary_table(run, [base], placed, title="By strategy.", caption=caption)


def _summary_rest(run: StressRun, placed: list[PlacedScenario], base: PlacedScenario) -> Table | None:
    rest = [scenario for scenario in placed if scenario is not base]
    return outcomes.summary_table(run, rest, placed) if rest else None


def _across(placed: list[PlacedScenario], limit: float | None) -> list[tuple[Table, Sentence]]:
    if len(placed) < 2:
        return []
    captions: list[tuple[str, float | None]] = [("Share of paths that lose", None)]
    if limit is not None:
        captions.append((f"Share of paths with a drawdown of {level(limit)} or more", limit))
    shown = []
    for caption, decision in captions:
        table, same = outcomes.across_table(placed, decision, f"{caption}.")
        told = words.SAME_ORDER if same else words.OTHER_ORDER
        shown.append((table, words.say(told, columns=f"{len(placed)} columns")))
    return shown


def _flat(section: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as dotted names and texts, in the file's order."""
    rows: list[tuple[str, str]] = []
    for key, value in section.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((name(f"{prefix}{key}", 80), _setting(value)))
    return rows


def _setting(value: Any) -> str:
    if value is None or value == "":
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return name(str(value), 200)


def _check_weight(page: str, parts: dict[str, Any]) -> None:
    size = len(page.encode("utf-8"))
    if size <= BUDGET:
        return
    heavy = {key: len(str(parts[key])) for key in ("drills", "fans", "equity", "outcomes", "metric_tables")}
    heavy["spec"] = len(parts["run"].spec_text)
    heavy["zoom"] = len(parts["zoom"].data) if parts["zoom"] else 0
    biggest = max(heavy, key=lambda key: heavy[key])
    raise StoreError(
        f"the report would weigh {size:,} bytes; its biggest part is {biggest} with some {heavy[biggest]:,}",
        expected=f"at most {BUDGET:,} bytes, which browsers open at once",
        fix="run fewer scenarios or strategies per spec, or a shorter horizon; run.json keeps every number",
    )


@cache
def environment() -> Any:
    """Return what fills the templates; it compiles each once."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("scenario_gen.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_final,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _final(value: Any) -> Any:
    """Let nothing onto the page that is missing, and show control and bidirectional characters as codes."""
    if value is None:
        raise ValueError("an empty value reached the page")  # a defect of ours
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
