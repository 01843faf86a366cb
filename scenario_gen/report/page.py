"""One page from one run: chooses what each section shows and hands it to the templates.

Owns the reading order, the choice of base scenario and colours, the budget and the file. Everything on the
page comes from the StressRun; the same run gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from scenario_gen.errors import StoreError
from scenario_gen.report import accounts, cards, cells, drill, figures, tables, words
from scenario_gen.report.cells import Placed, PlacedScenario, Table
from scenario_gen.report.charts import drawing
from scenario_gen.report.numbers import count, level, plain, price
from scenario_gen.report.words import Sentence, name, visible
from scenario_gen.store.files import write_bytes
from scenario_gen.store.folder import PAGE, RunFolder
from scenario_gen.store.results import Label, StressRun
from scenario_gen.store.verdict import worst

BUDGET = 3_000_000
COLOURS = ("1", "2", "3", "4")
MOST_DRAWN = 8  # strategies whose equity fan and named paths are drawn
OPEN_ROWS = 13


@dataclass(frozen=True)
class Section:
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
        StoreError: a candle account does not add up, or the page would exceed 3 MB.
    """
    placed = cells.place(run)
    for scenario in placed:
        _check_account(scenario)
    base = choose_base(placed)
    with drawing():
        parts = _parts(run, placed, base)
    page: str = _environment().get_template("page.html.j2").render(**parts)
    _check_weight(page, parts)
    return page


def choose_base(scenarios: Sequence[PlacedScenario]) -> PlacedScenario:
    """Return the scenario named base, else the first that is no baseline, else the first."""
    own = [placed for placed in scenarios if placed.scenario.role == "scenario"] or list(scenarios)
    return next((placed for placed in own if placed.scenario.name == "base"), own[0])


def choose_colours(base: PlacedScenario, limit: float | None) -> tuple[str, ...]:
    """Return a colour per strategy: 1 to 4 in the spec's order; of more than four, the four with the worst tail.

    The others, and strategies without parameters called buy and hold, are reference grey.
    """
    strategies = base.scenario.strategies
    candidates = [n for n, strategy in enumerate(strategies) if not _is_reference(strategy.use)]
    if len(candidates) > len(COLOURS):
        rates = [cells.rate(cells.decision_estimate(strategy, limit)) or 0.0 for strategy in strategies]
        candidates = sorted(sorted(candidates, key=lambda n: (-rates[n], n))[: len(COLOURS)])
    given = dict(zip(candidates, COLOURS, strict=False))
    return tuple(given.get(number, "r") for number in range(len(strategies)))


def _is_reference(use: str) -> bool:
    return use.rpartition(":")[2].lower().replace("_", "") in ("buyandhold", "buyhold")


def _parts(run: StressRun, placed: list[PlacedScenario], base: PlacedScenario) -> dict[str, Any]:
    limit = run.limits.get("max_drawdown")
    colours = choose_colours(base, limit)
    verdict = cards.cards(run, placed, base)
    drawn = _drawn(base.strategies(colours), limit)
    sets = tables.sets_table(run, base)
    return {
        "run": run,
        "base": base,
        "title": title(run, base),
        "meta": _meta(run, base),
        "headline": cards.headline(run, base),
        "cards": verdict,
        "verdict_label": worst(
            card.label for card in verdict if card.title not in ("Overfitting", "Training overlap")
        ),
        "sections": _sections(run, placed, verdict, grid=sets is not None),
        "scope": cards.scope(run, base.scenario),
        "others": cards.other_findings(run),
        "cap": _cap(run, verdict),
        "summary": tables.summary_table(run, [base], placed),
        "summary_rest": _summary_rest(run, placed, base),
        "fans": _fans(run, placed, base),
        "dial": accounts.dial_table(placed, cards.generator_name),
        "dial_sentence": cards.dial_sentence(base),
        "provenance": [(p.title, _flat(p.scenario.generator)) for p in placed],
        "accounts": [(p.title, cards.account_sentence(p)) for p in placed],
        "account": accounts.account_table(placed),
        "outcomes": tables.outcome_table(run, placed, colours),
        "equity": _equity(drawn),
        "metric_tables": [
            (p.title, p.parameters, accounts.metric_table(p, words.METRICS)) for p in base.strategies(colours)
        ],
        "definitions": words.DEFINITIONS,
        "curve": _curve(drawn, limit),
        "curve_key": [(p.title, p.css) for p in drawn],
        "tail": tables.tail_table(base),
        "drawdowns": tables.drawdown_table(base),
        "across": _across(placed, limit),
        "drills": _drills(drawn, base),
        "undrawn": len(base.scenario.strategies) - len(drawn),
        "sets": sets,
        "broker": _flat(base_broker(run, base)),
        "repro": _repro(run, base),
        "labels": words.LABELS,
        "limit": limit,
        "css": Markup(_template_text("style.css")),  # our own file
    }


def title(run: StressRun, base: PlacedScenario) -> str:
    """Return the run's own title, or what it did in one line."""
    if run.title.strip():
        return name(run.title, 120)
    strategies = words.spelled(len(base.scenario.strategies), "strategy")
    return f"{strategies} in {count(base.scenario.paths)} markets that did not happen"


def _meta(run: StressRun, base: PlacedScenario) -> list[tuple[str, str]]:
    scenario = base.scenario
    context = scenario.context
    return [
        ("Asset", name(context.instrument)),
        ("Context ends", f"{name(context.end)}, {price(context.anchor_close)}"),
        ("Horizon", cards.bars_in_words(scenario)),
        ("Paths", f"{count(scenario.paths)} per scenario"),
        ("Generator", cards.generator_name(scenario)),
        ("Run", f"{name(run.name)}, {run.created[:10]}"),
    ]


def _sections(
    run: StressRun, placed: list[PlacedScenario], verdict: list[cards.Card], *, grid: bool
) -> dict[str, Section]:
    labels: dict[str, Label | None] = {
        "generator": worst(card.label for card in verdict if card.title == "Generator: calibration"),
        "integrity": worst(card.label for card in verdict if card.title == "Candle integrity"),
        "tail": cards.tail_badge(run, placed),
    }
    absent = {key: words.ABSENT[key] for key in ("facts", "paired", "exec")}
    absent["params"] = words.ABSENT["params grid" if grid else "params"]
    if len(placed) < 2:
        absent["across"] = words.ABSENT["across"]
    return {
        key: Section(
            key,
            number,
            heading,
            words.LEADS[key],
            "UNTESTABLE" if key in absent else labels.get(key),
            absent.get(key, ""),
        )
        for number, (key, heading) in enumerate(words.SECTIONS, 1)
    }


def _cap(run: StressRun, verdict: list[cards.Card]) -> Sentence:
    calibration = next(card for card in verdict if card.title == "Generator: calibration")
    if not run.limits or calibration.label not in ("UNTESTABLE", "ERROR"):
        return ()
    return words.say(words.CAP_CAPTION, label=words.Badge("INCONCLUSIVE"))


def _summary_rest(run: StressRun, placed: list[PlacedScenario], base: PlacedScenario) -> Table | None:
    rest = [scenario for scenario in placed if scenario is not base]
    return tables.summary_table(run, rest, placed) if rest else None


def _fans(run: StressRun, placed: list[PlacedScenario], base: PlacedScenario) -> list[dict[str, Any]]:
    """Return the fans, the base first; the others share an axis where they share a context."""
    rest = [p for p in placed if p is not base]
    return [_fan(run, base, placed, [base]), *(_fan(run, fan, placed, rest) for fan in rest)]


def _fan(
    run: StressRun, fan: PlacedScenario, placed: list[PlacedScenario], beside: list[PlacedScenario]
) -> dict[str, Any]:
    context = fan.scenario.context.sha256
    others = [
        p.scenario for p in placed if p.scenario.role == "baseline" and p.scenario.context.sha256 == context
    ]
    other = next((scenario for scenario in others if scenario is not fan.scenario), None)
    kin = [p.scenario for p in beside if p.scenario.context.sha256 == context]
    limits = figures.fan_limits([*kin, other] if other is not None else kin)
    layouts = (figures.FAN_WIDE, figures.FAN_NARROW)
    caption = words.say(
        words.FAN_CAPTION,
        instrument=name(fan.scenario.context.instrument),
        scenario=fan.title,
        generator=cards.generator_name(fan.scenario),
        seed=str(_seed(run, fan)),
        realised=cards.realised_sentence(fan),
    )
    return {
        "title": fan.title,
        "paths": count(fan.scenario.paths),
        "baseline": name(other.name) if other is not None else "",
        "realised": bool(fan.scenario.realised_close),
        "svgs": [figures.price_fan(fan.scenario, other, limits, layout) for layout in layouts],
        "caption": caption,
    }


def _seed(run: StressRun, placed: PlacedScenario) -> Any:
    paths = _resolved(run, placed).get("paths")
    return paths.get("seed", 0) if isinstance(paths, dict) else "of the spec"


def _resolved(run: StressRun, placed: PlacedScenario) -> dict[str, Any]:
    """Return the spec of one scenario: its own resolved section, or the whole spec where that has the keys."""
    scenarios = run.spec.get("scenarios")
    for entry in scenarios if isinstance(scenarios, list) else []:
        if isinstance(entry, dict) and entry.get("name") == placed.scenario.name:
            return {**run.spec, **entry}
    return run.spec


def base_broker(run: StressRun, base: PlacedScenario) -> dict[str, Any]:
    """Return the broker section in force in the base scenario."""
    broker = _resolved(run, base).get("broker")
    return broker if isinstance(broker, dict) else {}


def _drawn(strategies: list[Placed], limit: float | None) -> list[Placed]:
    """Return the strategies that get pictures: all of them, or the eight with the worst tail."""
    if len(strategies) <= MOST_DRAWN:
        return strategies
    rates = {p.at: cells.rate(cells.decision_estimate(p.strategy, limit)) or 0.0 for p in strategies}
    kept = {p.at for p in sorted(strategies, key=lambda p: (-rates[p.at], p.at))[:MOST_DRAWN]}
    return [p for p in strategies if p.at in kept]


def _equity(drawn: list[Placed]) -> list[tuple[str, str, Markup]]:
    limits = figures.equity_limits([p.strategy for p in drawn])
    return [(p.title, p.parameters, figures.equity_fan(p.strategy, p.css, limits)) for p in drawn]


def _curve(drawn: list[Placed], limit: float | None) -> list[Markup]:
    curves = [(p.strategy, p.css) for p in drawn if figures.has_exceedance(p.strategy)]
    if not curves or not any(share.count for strategy, _ in curves for _, share in strategy.drawdown_beyond):
        return []
    return [
        figures.exceedance(curves, limit, layout) for layout in (figures.CURVE_WIDE, figures.CURVE_NARROW)
    ]


def _across(placed: list[PlacedScenario], limit: float | None) -> list[tuple[str, Table, Sentence]]:
    if len(placed) < 2:
        return []
    captions: list[tuple[str, float | None]] = [("Share of paths that lose", None)]
    if limit is not None:
        captions.append((f"Share of paths with a drawdown of {level(limit)} or more", limit))
    shown = []
    for caption, decision in captions:
        table, same = tables.across_table(placed, decision)
        told = words.SAME_ORDER if same else words.OTHER_ORDER
        shown.append((caption, table, words.say(told, generators=f"{len(placed)} generators")))
    return shown


def _drills(drawn: list[Placed], base: PlacedScenario) -> list[dict[str, Any]]:
    return [
        {
            "title": placed.title,
            "parameters": placed.parameters,
            "group": f"drill-{number}",
            "paths": [_drill(placed, entry, base) for entry in range(len(placed.strategy.named_paths))],
        }
        for number, placed in enumerate(drawn)
    ]


def _drill(placed: Placed, entry: int, base: PlacedScenario) -> dict[str, Any]:
    path = placed.strategy.named_paths[entry]
    at = f"{placed.at}/named_paths/{entry}"
    return {
        "label": path.label,
        "id": plain(float(path.path_id), "count", f"{at}/path_id"),
        "total_return": plain(path.total_return, "signed percent", f"{at}/total_return"),
        "trades": len(path.trades),
        "svg": drill.named_path(path, base.scenario.context),
        "table": accounts.trade_table(path) if path.trades else None,
        "hidden": max(len(path.trades) - accounts.MOST_TRADES, 0),
        "window": drill.window(path) if len(path.close) > drill.MOST_BARS else None,
    }


def _repro(run: StressRun, base: PlacedScenario) -> list[tuple[str, str]]:
    context = base.scenario.context
    rows = [
        ("Run", f"{name(run.name)}, {run.created}"),
        *((f"Identity: {key}", value) for key, value in run.identity.items()),
        ("Data", f"{name(context.instrument)}: {visible(context.source)}, {context.start} to {context.end}"),
        ("Context sha256", context.sha256),
        ("Flags of the history", "; ".join(context.flags) or "none"),
        ("Device", ", ".join(f"{key} {value}" for key, value in run.device.items())),
        ("Versions", ", ".join(f"{key} {value}" for key, value in run.versions.items())),
        ("Seconds", ", ".join(f"{key} {value:.1f}" for key, value in run.seconds.items())),
    ]
    return [(key, value or "not stated") for key, value in rows]


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


def _check_account(placed: PlacedScenario) -> None:
    account = placed.scenario.candles
    if account.untouched + account.repaired + account.rejected == account.paths:
        return
    raise StoreError(
        f"the candle account of {placed.scenario.name} does not add up: {account.paths} paths, but "
        f"{account.untouched} untouched + {account.repaired} repaired + {account.rejected} rejected",
        expected="paths = untouched + repaired + rejected",
        fix="run the spec again with --overwrite; if it happens again, report it as a defect",
    )


def _check_weight(page: str, parts: dict[str, Any]) -> None:
    size = len(page.encode("utf-8"))
    if size <= BUDGET:
        return
    heavy = {key: len(str(parts[key])) for key in ("drills", "fans", "equity", "outcomes", "metric_tables")}
    heavy["spec"] = len(parts["run"].spec_text)
    biggest = max(heavy, key=lambda key: heavy[key])
    raise StoreError(
        f"the report would weigh {size:,} bytes; its biggest part is {biggest} with some {heavy[biggest]:,}",
        expected=f"at most {BUDGET:,} bytes, which browsers open at once",
        fix="run fewer scenarios or strategies per spec, or a shorter horizon; run.json keeps every number",
    )


def _template_text(file: str) -> str:
    return files("scenario_gen.report").joinpath("templates", file).read_text("utf-8")


def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

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
