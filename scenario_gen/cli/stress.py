"""The commands ``crises`` (of a history), ``event`` (how rare one is) and ``couple`` (how assets hang together)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from scenario_gen.cli.manners import (
    Argument,
    AsJson,
    Optional,
    Quiet,
    checked_device,
    choose_progress,
    leave,
    say,
    say_json,
)
from scenario_gen.stress.crises import LEAST_WINDOW, MOST_WINDOW, SCORES


def crises(
    history: Annotated[str, Argument(metavar="HISTORY", help="A CSV or Parquet file, sp500 or nasdaq.")],
    score: Annotated[
        Literal["all", "drawdown", "volatility", "worst_bar", "volume"],
        typer.Option(help=f"What a crisis is found by: {', '.join(SCORES)}, or all of them."),
    ] = "all",
    window: Annotated[
        int, typer.Option(min=LEAST_WINDOW, max=MOST_WINDOW, help="Bars of a stretch that is searched for.")
    ] = 63,
    symbol: Annotated[str | None, Optional(help="Whose bars to take from a file of several instruments.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the crises of a history: those with a name, and those that a search finds.

    A scenario begins before one, at its onset or in its middle:
    context: {crisis: lehman}, or context: {search: {score: drawdown, top: 5}}.

    For example:

      scenario-gen crises sp500

      scenario-gen crises my.csv --score drawdown --window 20

      scenario-gen crises my.parquet --json
    """
    from scenario_gen.market.load import load_candles
    from scenario_gen.stress.search import crises as crises_of, find_crises

    bars = load_candles(history, symbol=symbol)
    searched = find_crises(bars, score=score, window=window)
    named = crises_of(bars)
    first, last = (stamp.isoformat() for stamp in bars.timestamps[[0, -1]])
    if as_json:
        from scenario_gen.cli.answers import ListedCrises

        listed = (bars.name, bars.source, len(bars), first, last, score, window, [*named], [*searched])
        say_json(ListedCrises(*listed))
        return
    from scenario_gen.cli.show import make_console, show
    from scenario_gen.report.tables.crises import crises_table, day

    console = make_console(190)
    if named:
        show(console, crises_table(named, f"Crises with a name inside {bars.name}: context: {{crisis: ...}}", "why"))
    if searched:
        title = f"Found in {bars.name}, windows of {window} bars: context: {{search: {{score: ..., top: ...}}}}"
        show(console, crises_table(searched, title, "found by, and its rank"))
    else:
        show(console, ["no window of this history stands out: the closes never fall"])
    show(console, [f"{len(bars):,} bars from {day(first)} to {day(last)}; figures from closes, sd of 60 log returns"])


# --- The ``event`` command: how rare one event of a spec is, without trading its paths ---


EVENT_EXIT_CODES = (
    "Exit codes: 0 done; 2 a mistake in the arguments, the spec or the data; 3 the event is surely more frequent than "
    "limits.event_probability allows; 130 interrupted."
)


def event(
    spec: Annotated[Path, Argument(metavar="SPEC", help="A YAML spec.")],
    name: Annotated[str, Argument(metavar="NAME", help="A scenario with an event.")],
    device: Annotated[
        str | None, Optional(help="auto, cpu, cuda, cuda:1 or mps, instead of the spec's.", callback=checked_device)
    ] = None,
    path: Annotated[
        str | None, Optional(help="Print one path of a finished run, made anew from its lineage: i3.s17.g9.")
    ] = None,
    folder: Annotated[Path | None, Optional(help="The run of --path, instead of report.folder.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Say how rare the event of a scenario is: under its generator, under GARCH and bootstrap, and in history.

    Plain paths come first; where fewer than a hundred show the event, islands of
    branched paths are sampled. No strategy trades and nothing is written.

    For example:

      scenario-gen event my.yaml crash25

      scenario-gen event my.yaml crash25 --json

      scenario-gen event my.yaml crash25 --path i3.s17.g9 > path.csv
    """
    if path is not None and as_json:
        raise typer.BadParameter("a path is printed as CSV", param_hint="--json")
    if path is not None:
        _replay(spec, name, path, folder)
        return
    from scenario_gen.pipeline.stress.one_event import ask_event
    from scenario_gen.spec.loader import load_spec

    report = ask_event(load_spec(spec), name, choose_progress(quiet=quiet or as_json), device=device)
    if as_json:
        say_json(report)
    else:
        from scenario_gen.cli.show import show_event

        show_event(report)
    raise typer.Exit(leave(report.findings))


def _replay(spec: Path, name: str, path: str, folder: Path | None) -> None:
    """Print a path as CSV, and how it was made and whether it is the run's on stderr."""
    from scenario_gen.pipeline.stress.one_event import replay_path
    from scenario_gen.progress import SilentProgress
    from scenario_gen.spec.loader import load_spec

    loaded = load_spec(spec)
    found = replay_path(loaded, name, path, folder or Path(loaded.spec.report.folder), SilentProgress())
    say(found.bars.to_csv(index_label="timestamp").rstrip())
    made = ", ".join(f"s{slot}.g{generation} from bar {bar + 1}" for slot, generation, bar in found.lineage)
    same = "its closes are those of the run" if found.apart == 0 else f"its closes differ by {found.apart:.1g} at most"
    say(f"{path}: {made}; {same}", err=True)


# --- The ``couple`` command: how the assets of a spec hang together, without sampling its paths ---


def couple(
    spec: Annotated[Path, Argument(metavar="SPEC", help="A YAML spec of several assets.")],
    device: Annotated[
        str | None, Optional(help="auto, cpu, cuda, cuda:1 or mps, instead of the spec's.", callback=checked_device)
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show how the assets of every scenario hang together: the correlation aimed at, and what paths reach.

    Dependence is read from the common bars of the assets; a few hundred short
    pilot paths show what is reached. Nothing else is sampled, and nothing is written.

    For example:

      scenario-gen couple my.yaml

      scenario-gen couple my.yaml --json
    """
    from scenario_gen.pipeline.book.couple import couple_spec
    from scenario_gen.spec.loader import load_spec

    report = couple_spec(load_spec(spec), choose_progress(quiet=quiet or as_json), device=device)
    if as_json:
        say_json(report)
        return
    from scenario_gen.cli.show import show_couplings

    show_couplings(report)
