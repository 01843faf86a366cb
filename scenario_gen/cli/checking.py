"""The ``check`` command: paths of any generator against the history that they continue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from scenario_gen.cli.manners import GATE_FAILED, USER_MISTAKE, Argument, AsJson, Optional, Quiet
from scenario_gen.market.section import Market
from scenario_gen.spec.models import MAX_SEED

if TYPE_CHECKING:
    from scenario_gen.pipeline.asset_results import AssetsReport
    from scenario_gen.pipeline.check_results import CheckReport

CHECK_EXIT_CODES = (
    "Exit codes: 0 nothing fails; 4 a gate fails; 2 a mistake in the arguments, the paths or the reference, or a "
    "reference that could judge nothing; 1 a defect of scenario-gen (with a traceback)."
)


def check(
    paths: Annotated[Path, Argument(metavar="PATHS", help="Paths: a Parquet or CSV file.")],
    reference: Annotated[
        list[str],
        Optional(
            help="The history that they continue: a file, sp500 or nasdaq; NAME=HISTORY for each of several assets."
        ),
    ],
    context_end: Annotated[
        str | None, Optional(help="The last bar before the paths; default: found from their stamps.")
    ] = None,
    tick_size: Annotated[float | None, Optional(min=0.0, help="Price step that all prices keep to.")] = None,
    lot_size: Annotated[float | None, Optional(min=0.0, help="Step of the volume column.")] = None,
    price_limit: Annotated[
        float | None, Optional(min=0.0, max=1.0, help="0.1: no price further from the session's last close.")
    ] = None,
    volume_unit: Annotated[float | None, Optional(min=0.0, help="amount = volume x unit x price.")] = None,
    calendar: Annotated[str | None, Optional(help="XNYS, 24/7, ...: whose sessions the stamps keep to.")] = None,
    training: Annotated[
        list[str] | None, Optional(help="A history that the generator was trained on; may be repeated.")
    ] = None,
    resamples_history: Annotated[
        bool, typer.Option("--resamples-history", help="The generator is a bootstrap: do not judge it for copying.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of random groups, controls and splits.")] = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check paths of any generator: valid candles, stylized facts, copies, diversity.

    PATHS has the columns path, timestamp, open, high, low, close and, where
    there is one, volume; what paths.keep writes is read too. All paths have
    the same number of bars. They are compared with real windows of the
    reference, none of them after the context's end.

    Paths of several assets have a column asset. Each asset is checked against
    its own history, and how they move together against the bars that all
    histories share.

    For example:

      scenario-gen check reports/mine/paths/base.parquet --reference sp500

      scenario-gen check paths.csv --reference history.csv --context-end 2024-05-10 --json

      scenario-gen check bootstrap.parquet --reference history.csv --resamples-history

      scenario-gen check paths.csv --reference shares.csv --tick-size 0.01 --lot-size 100

      scenario-gen check two.parquet --reference SPX=sp500 --reference IXIC=nasdaq
    """
    market = _market(tick_size=tick_size, lot_size=lot_size, price_limit=price_limit, volume_unit=volume_unit)
    from scenario_gen.cli.progress import choose_progress
    from scenario_gen.pipeline.checking_assets import check_given

    report = check_given(
        paths,
        reference,
        context_end=context_end,
        market=market,
        calendar=calendar,
        training=training or (),
        resamples_history=resamples_history,
        seed=seed,
        progress=choose_progress(quiet=quiet or as_json),
    )
    _show(report, as_json=as_json)
    raise typer.Exit(_exit_code(report))


def _market(**given: float | None) -> Market:
    """Return what the exchange allows; refuse what a spec's market section would refuse."""
    try:
        return Market.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        option = f"--{str(first['loc'][0]).replace('_', '-')}"
        raise typer.BadParameter(f"got {first['input']:g}: {first['msg'].lower()}", param_hint=option) from None


def _show(report: CheckReport | AssetsReport, *, as_json: bool) -> None:
    if not as_json:
        from scenario_gen.cli.show import show_assets, show_check
        from scenario_gen.pipeline.check_results import CheckReport

        show_check(report) if isinstance(report, CheckReport) else show_assets(report)
        return
    import json

    from scenario_gen.values import encode

    typer.echo(json.dumps(encode(report), indent=1, allow_nan=False))


def _exit_code(report: CheckReport | AssetsReport) -> int:
    """Return 4 where a gate fails, and 2 rather than 0 where nothing could be judged: that is no pass."""
    if report.failed:
        return GATE_FAILED
    if not report.compared:
        typer.echo(
            f"nothing could be judged but the candle rules: {report.obstacle}\n"
            "  to do:    bring a longer history, or longer paths",
            err=True,
        )
        return USER_MISTAKE
    return 0
