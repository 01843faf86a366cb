"""The ``crises`` command: the worst stretches of a history, by name and by search."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from scenario_gen.cli.manners import Argument, AsJson, Optional
from scenario_gen.cli.terminal import say
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
        import json

        from scenario_gen.values import encode

        kept = {"history": bars.name, "source": bars.source, "bars": len(bars), "first": first, "last": last}
        listed = {"score": score, "window": window, "by_name": encode(named), "by_search": encode(searched)}
        say(json.dumps({**kept, **listed}, indent=1, allow_nan=False))
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
