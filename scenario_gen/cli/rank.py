"""The ``rank`` command: many instruments ordered by sampled paths, and what the order is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenario_gen.cli.given import On
from scenario_gen.cli.manners import Argument, AsJson, Optional, Quiet, choose_progress, leave, say, say_json

RANK_EXIT_CODES = (
    "Exit codes: 0 done; 4 the ranking of a date changes with bars that came after it; 2 a mistake in the arguments, "
    "the config or the data; 1 a defect of scenario-gen (with a traceback); 130 interrupted."
)


def rank(
    config: Annotated[Path, Argument(metavar="CONFIG", help="A config of a ranking (YAML).")],
    folder: Annotated[Path | None, Optional(help="Where all goes, instead of the config's folder.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another ranking in the folder.")] = False,
    on: On = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Rank many instruments by paths sampled from each: IC, a top-K portfolio, one page.

    Reads a Qlib provider's market or a folder of files. At each date every
    instrument is continued by many paths; mean, median, a quantile, the share
    of gains or the Sharpe ratio of their returns orders them. An interrupted
    ranking goes on when the same command is given again.

    For example:

      scenario-gen rank scenarios/rank/folder.yaml

      scenario-gen rank csi300.yaml --folder reports/csi300 --on processes:4

      scenario-gen rank csi300.yaml --json
    """
    from scenario_gen.pipeline.rank.study import rank as rank_all
    from scenario_gen.report.tables.rank import headline, rank_tables
    from scenario_gen.store.ranking import RANK_PAGE

    progress = choose_progress(quiet=quiet or as_json)
    ranking = rank_all(config, folder=folder, overwrite=overwrite, on=on, progress=progress)
    if as_json:
        say_json(ranking)
        raise typer.Exit(leave(ranking.findings))
    if not quiet:
        from scenario_gen.cli.show import make_console, show

        show(make_console(), *rank_tables(ranking), [headline(ranking)])
        show(make_console(), [f"{finding.label} {finding.name}: {finding.measured}" for finding in ranking.findings])
    from scenario_gen.pipeline.rank.config import load_config

    say(f"report: {(folder or load_config(config).folder) / RANK_PAGE}")
    raise typer.Exit(leave(ranking.findings))
