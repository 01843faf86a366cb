"""The command ``fetch``: bars of sources ahead of a run, what is kept of them, and what is to go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenario_gen.cli.manners import Argument, AsJson, Optional, Quiet, choose_progress, say, say_json
from scenario_gen.errors import DataError
from scenario_gen.market.section import Data
from scenario_gen.market.sources import SOURCES
from scenario_gen.reading.section import section_of

if TYPE_CHECKING:
    from scenario_gen.market.fetched import SourceBars
    from scenario_gen.market.kept import KeptBars

FETCHED = [name for name, source in SOURCES.items() if source.fetch is not None and source.kept]
ENDINGS = (".csv", ".parquet")


def fetch(
    spec: Annotated[Path | None, Argument(metavar="SPEC", help="A YAML spec: the bars of all its scenarios.")] = None,
    source: Annotated[str | None, Optional(help=f"{', '.join(FETCHED)}.")] = None,
    symbol: Annotated[str | None, Optional(help="In the source's own words: SPY, BTC/USDT, spy.us, 600519.")] = None,
    exchange: Annotated[str | None, Optional(help="Of ccxt: binance, kraken, ...")] = None,
    timeframe: Annotated[str | None, Optional(help="5m, 1h, 1d (the default), 1w, 1mo, ...")] = None,
    start: Annotated[str | None, Optional(help="First day; default: as far back as the source goes.")] = None,
    as_of: Annotated[str | None, Optional(help="Nothing that was not known on that day.")] = None,
    adjusted: Annotated[bool, typer.Option("--adjusted", help="Prices adjusted for splits and dividends.")] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask again where bars are kept.")] = False,
    out: Annotated[Path | None, Optional(metavar="FILE", help="Write the bars here too: .csv or .parquet.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the bars that are kept.")] = False,
    remove: Annotated[str | None, Optional(metavar="KEY", help="Remove kept bars: a key of --list, or all.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Fetch bars of a source ahead of a run, and keep them: runs then need no network.

    A spec names them as data: {source: yahoo, symbol: SPY, start: 2000-01-01}. What is kept
    is taken as it is until --refresh asks again; with as_of it is what was known on that day.

    For example:

      scenario-gen fetch my.yaml

      scenario-gen fetch --source yahoo --symbol SPY --start 2000-01-01

      scenario-gen fetch --source ccxt --exchange binance --symbol BTC/USDT --timeframe 1h --out btc.parquet

      scenario-gen fetch --list

      scenario-gen fetch --remove all
    """
    fields: dict[str, Any] = {
        "source": source,
        "symbol": symbol,
        "exchange": exchange,
        "timeframe": timeframe,
        "start": start,
    }
    fields |= {"as_of": as_of, "adjusted": adjusted or None}
    given = {name: value for name, value in fields.items() if value is not None}
    _check_choice(spec, given, listing=listing, remove=remove, out=out)
    if listing or remove is not None:
        _tell_kept(remove, as_json=as_json)
        return
    sections = [section_of(Data, given, "data")] if spec is None else _of_spec(spec)
    fetched = _fetched(sections, Path() if spec is None else spec.parent, refresh=refresh, quiet=quiet or as_json)
    if out is not None:
        _write(fetched[0], out)
    if as_json:
        say_json({"fetched": [_as_json(bars.kept) | {"asked_now": bars.asked} for bars in fetched if bars.kept]})
        return
    for bars in fetched:
        if bars.kept is not None:
            say(f"{'fetched' if bars.asked else 'kept'}: {_line(bars.kept)}")
        for note in bars.notes[:-1]:
            say(f"  {note}")
    if out is not None:
        say(f"written: {out}")


def _check_choice(
    spec: Path | None, given: Mapping[str, Any], *, listing: bool, remove: str | None, out: Path | None
) -> None:
    """Refuse options that ask for two things, or for none."""
    ways = {"SPEC": spec is not None, "--source": bool(given), "--list": listing, "--remove": remove is not None}
    chosen = [name for name, is_given in ways.items() if is_given]
    if len(chosen) != 1:
        came = f"got {' and '.join(chosen)}" if chosen else "got none of them"
        raise typer.BadParameter(f"{came}; expected one of a spec, --source with its fields, --list, --remove")
    if out is not None and (spec is not None or not given):
        raise typer.BadParameter("it takes the bars of one --source", param_hint="--out")
    if out is not None and out.suffix.lower() not in ENDINGS:
        raise typer.BadParameter(
            f"got {out.name!r}, expected a name ending in {' or '.join(ENDINGS)}", param_hint="--out"
        )


def _of_spec(spec: Path) -> list[Data]:
    """Return the data sections of a spec whose bars are fetched, each once.

    Raises:
        SpecError: the spec has mistakes.
        DataError: none of its bars are fetched.
    """
    from scenario_gen.spec.loader import load_spec

    sections = dict.fromkeys(
        scenario.data.model_copy(update={"end": None, "name": None})
        for scenario in load_spec(spec).spec.scenarios
        if scenario.data.source in FETCHED
    )
    if not sections:
        raise DataError(
            f"{spec} has no data that is fetched",
            expected=f"data: {{source: ...}} with one of {', '.join(FETCHED)}",
            fix="files and built-in histories need no fetching",
        )
    return list(sections)


def _fetched(sections: list[Data], base: Path, *, refresh: bool, quiet: bool) -> list[SourceBars]:
    from scenario_gen.market.fetched import request_of, source_bars

    wrong = next((section.source for section in sections if section.source not in FETCHED), None)
    if wrong is not None:
        raise DataError(
            f"source {wrong} is on this machine already",
            expected=f"one of {', '.join(FETCHED)}",
            fix="name it in a spec as it is",
        )
    requests = [request_of(section, base) for section in sections]
    unique = {str(sorted(request.asked().items())): request for request in requests}
    progress = choose_progress(quiet=quiet)
    return [source_bars(request, progress, refresh=refresh) for request in unique.values()]


def _write(bars: SourceBars, out: Path) -> None:
    """Write fetched bars as a file that ``data.file`` reads as the same candles."""
    from scenario_gen.files import atomic

    with atomic(out, "--out") as partial:
        if out.suffix.lower() == ".csv":
            stamped = bars.frame.assign(timestamps=[stamp.isoformat() for stamp in bars.frame["timestamps"]])
            stamped.to_csv(partial, index=False)
        else:
            bars.frame.to_parquet(partial, index=False)


def _tell_kept(remove: str | None, *, as_json: bool) -> None:
    from scenario_gen.market import kept

    notes = kept.all_kept() if remove is None else kept.remove(remove)
    if as_json:
        say_json({"kept" if remove is None else "removed": [_as_json(note) for note in notes]})
        return
    for note in notes:
        say(_line(note) if remove is None else f"removed: {_line(note)}")
    if remove is None:
        say(f"{len(notes)} kept in {kept.folder()}" if notes else f"nothing is kept in {kept.folder()}")


def _line(note: KeptBars) -> str:
    asked = dict(note.asked)
    words = [str(asked.pop(name)) for name in ("source", "exchange", "symbol", "timeframe") if name in asked]
    words += [f"{name} {value}" for name, value in asked.items() if value is not False]
    bars = f"{note.bars:,} bars from {note.first} to {note.last}"
    return f"{note.key}  {' '.join(words)}: {bars}, fetched {note.fetched} by {note.client}"


def _as_json(note: KeptBars | None) -> dict[str, Any]:
    return {} if note is None else dict(vars(replace(note, asked=dict(note.asked))))
