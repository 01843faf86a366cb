"""The ``live`` command: a forecast of the bars to come, kept in a log, and whether that log still shows calibration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenario_gen.cli.manners import Argument, AsJson, Optional, Quiet, choose_progress, say, say_json

if TYPE_CHECKING:
    from scenario_gen.live.results import LiveReport, LogReport

LIVE_EXIT_CODES = (
    "Exit codes: 0 done; 4 --check: the generator is no longer calibrated, or a strategy is outside what was "
    "promised or looks ahead; 2 a mistake in the arguments, the config, "
    "the data or the log; 1 a defect of scenario-gen (with a traceback); 130 interrupted."
)


def live(
    config: Annotated[Path | None, Argument(metavar="CONFIG", help="A live config (YAML).")] = None,
    once: Annotated[bool, typer.Option("--once", help="Forecast once and leave, as cron wants it.")] = False,
    every: Annotated[str | None, Optional(metavar="1h", help="Forecast at every such moment: 5m, 1h, 1d.")] = None,
    check: Annotated[Path | None, Optional(metavar="LOG", help="Judge a log; fetch and sample nothing.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Forecast the bars to come, keep every forecast, and hold the earlier ones to what came.

    Fetches new bars, samples paths from the last one, and writes both to a log
    (SQLite) in the config's folder. Later bars are held against it: ranks,
    coverage, scores beside baselines, and a test that may be looked at after
    every bar and says when calibration is lost. Strategies of the config are
    watched: is their realised equity still among the paths that were promised?

    For example:

      scenario-gen live scenarios/live/bitcoin.yaml --once

      scenario-gen live scenarios/live/bitcoin.yaml --every 1h

      scenario-gen live --check reports/live/bitcoin/log.sqlite
    """
    _refuse_both(config, check, once=once, every=every)
    from scenario_gen.live import step
    from scenario_gen.live.page import LIVE_PAGE
    from scenario_gen.live.tables import live_parts

    if check is not None:
        raise typer.Exit(_check(check, as_json=as_json, quiet=quiet))
    loaded, progress = step.load_live(Path(config or "")), choose_progress(quiet=quiet or as_json)

    def hear(report: LiveReport) -> None:
        if as_json:
            return say_json(report)
        if not quiet:
            _show([*live_parts(report), _findings(report)])
        return say(f"page: {loaded.folder / LIVE_PAGE}; log: {loaded.log}")

    often = None if once else every or loaded.settings.every
    if often is None:
        return hear(step.live(loaded, progress=progress))
    try:
        seconds = step.seconds_of(often)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--every") from None
    return step.follow(
        loaded,
        seconds,
        hear,
        lambda error: say(f"no new bars, asked again in {often}: {error.problem}", err=True),
        progress=progress,
    )


def _check(log: Path, *, as_json: bool, quiet: bool) -> int:
    """Judge a log, say what it says, and return the exit code."""
    from scenario_gen.live.step import check_log
    from scenario_gen.live.tables import log_tables, strategy_tables

    judged = check_log(log)
    if as_json:
        say_json(judged)
        return judged.exit_code
    tables = [part for figures in judged.logs for part in log_tables(figures)]
    _show([] if quiet else [*tables, *strategy_tables(judged.strategies)])
    say("\n".join(_findings(judged)) or f"{log} holds no forecast yet")
    return judged.exit_code


def _refuse_both(config: Path | None, check: Path | None, *, once: bool, every: str | None) -> None:
    if (config is None) == (check is None):
        raise typer.BadParameter("got both or neither, expected a config, or --check with a log", param_hint="CONFIG")
    if once and every is not None:
        raise typer.BadParameter("got --once as well, expected one of both", param_hint="--every")
    if check is not None and (once or every is not None):
        raise typer.BadParameter("a log is judged once; expected neither --once nor --every", param_hint="--check")


def _findings(report: LiveReport | LogReport) -> list[str]:
    return [f"{finding.label} {finding.name}: {finding.told}" for finding in report.findings]


def _show(parts: list[Any]) -> None:
    from scenario_gen.cli.show import make_console, show

    show(make_console(), *parts)
