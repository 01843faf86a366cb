"""The ``evaluate`` command: what a checkpoint is worth on many series, beside the classical generators."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenario_gen.cli.manners import DATES, Argument, AsJson, Optional, Quiet, checked_device
from scenario_gen.reading.words import one_of
from scenario_gen.spec.models import MAX_CONTEXT, MAX_SEED

if TYPE_CHECKING:
    from scenario_gen.forecasts.checkpoint_figures import Evaluation

MOST_PATHS, MOST_ORIGINS, HOTTEST = 10_000, 100_000, 10.0
PARTS = ("later", "unseen", "both")


def evaluate(
    model: Annotated[str, Argument(metavar="MODEL", help="nano, a folder, or org/name@revision.")],
    data: Annotated[
        str, Optional(help="A folder of histories (with manifest.csv, or files), one file, sp500 or nasdaq.")
    ],
    config: Annotated[Path | None, Optional(help="Training config: only what it held out is forecast.")] = None,
    part: Annotated[str, typer.Option(help=f"With --config: {', '.join(PARTS)}.")] = "both",
    start: Annotated[datetime | None, Optional(help="First bar to forecast.", formats=DATES)] = None,
    holdout_share: Annotated[
        float | None, Optional(min=0.0, max=1.0, help="Forecast the last share of every series.")
    ] = None,
    context: Annotated[int, typer.Option(min=32, max=MAX_CONTEXT, help="Bars of context.")] = 256,
    paths: Annotated[int, typer.Option(min=2, max=MOST_PATHS, help="Paths of each forecast.")] = 200,
    origins: Annotated[
        int, typer.Option(min=1, max=MOST_ORIGINS, help="Forecasts per series at most, spread evenly.")
    ] = 20,
    group_origins: Annotated[
        int | None, Optional(min=1, max=MOST_ORIGINS, help="Forecasts per asset class and frequency at most.")
    ] = None,
    temperature: Annotated[str, typer.Option(help="A number, or several for the curve: .6,1,1.6.")] = "1",
    against: Annotated[
        list[str] | None, Optional(help="Another model to be compared with; may be given again.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of the paths.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", callback=checked_device)] = "auto",
    card: Annotated[bool, typer.Option("--card", help="Write the tables into the folder's MODEL_CARD.md.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Say what a checkpoint is worth out of sample: coverage, PIT, CRPS, candles and stylized facts.

    Forecasts 60 bars from origins 60 bars apart on every series, and so do
    the stationary bootstrap, a Gaussian walk and EWMA filtered historical
    simulation. What came is ranked and scored among the paths, by asset
    class and frequency and over all.

    For example:

      scenario-gen evaluate nano --data sp500 --start 2012-01-01

      scenario-gen evaluate runs/mine --data histories --config mine.yaml --part later --card

      scenario-gen evaluate runs/mine --data my.csv --start 2024-01-01 --against nano

      scenario-gen evaluate nano --data my.csv --temperature .6,.8,1,1.3,1.6,2 --json
    """
    temperatures = _temperatures(temperature)
    if part not in PARTS:
        raise typer.BadParameter(f"got {part!r}, expected {one_of(PARTS)}", param_hint="--part")
    if config is None and part != "both":
        raise typer.BadParameter("only a training config says what was held out", param_hint="--part")
    import pandas as pd

    from scenario_gen.cli.progress import choose_progress
    from scenario_gen.forecasts.checkpoint_figures import HORIZON
    from scenario_gen.forecasts.checkpoints import Contest, Material, evaluate as evaluate_model
    from scenario_gen.forecasts.harness import Sampling

    if card:
        _require_own_folder(model)
    contest = Contest(model, temperatures, tuple(against or ()), device)
    since = None if start is None else pd.Timestamp(start)
    material = Material(data, config, part, since, holdout_share, origins, group_origins)  # type: ignore[arg-type]  # checked against PARTS
    sampling = Sampling(context, HORIZON, paths, seed)
    found = evaluate_model(contest, material, sampling, progress=choose_progress(quiet=quiet or as_json))
    if card:
        _write_card(model, found)
    _show(found, as_json=as_json)


def _temperatures(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(dict.fromkeys(float(word) for word in text.split(",")))
    except ValueError:
        numbers = ()
    if not numbers or not all(0 <= one <= HOTTEST for one in numbers):
        raise typer.BadParameter(
            f"got {text!r}, expected numbers from 0 to {HOTTEST:g} with commas between", param_hint="--temperature"
        )
    return numbers


def _require_own_folder(model: str) -> None:
    """Refuse to write a card where there is no folder of the user's own, before hours of sampling."""
    if not (Path(model) / "scenario_gen.json").is_file():
        raise typer.BadParameter(
            f"{model!r} is no folder of a checkpoint that was trained here, so it has no card to write into",
            param_hint="--card",
        )


def _write_card(model: str, found: Evaluation) -> None:
    from scenario_gen.kronos.checkpoint import open_checkpoint
    from scenario_gen.report.tables.checkpoints import card_text
    from scenario_gen.training.card import write_card

    path = write_card(Path(model), open_checkpoint(model), card_text(found))
    typer.echo(f"card: {path}", err=True)


def _show(found: Evaluation, *, as_json: bool) -> None:
    if as_json:
        from scenario_gen.values import encode

        typer.echo(json.dumps(encode(found), indent=1, allow_nan=False))
        return
    from scenario_gen.cli.show import show_evaluation

    show_evaluation(found)
