"""The ``predict`` command: bands of the bars after a history, and how such bands held in its past."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenario_gen.cli.given import On
from scenario_gen.cli.manners import Argument, AsJson, Moment, Optional, Quiet, checked_device, choose_progress
from scenario_gen.files import atomic, user_path
from scenario_gen.spec.models import MAX_CONTEXT, MAX_HORIZON, MAX_ORIGINS, MAX_PATHS, MAX_SEED

if TYPE_CHECKING:
    import pandas as pd

    from scenario_gen.pipeline.given.predict import Prediction

TABLES, PICTURES = (".csv", ".parquet"), (".png", ".svg", ".pdf")


def predict(
    file: Annotated[str, Argument(metavar="FILE", help="A history: CSV or Parquet, sp500 or nasdaq.")],
    bars: Annotated[int, typer.Option(min=1, max=MAX_HORIZON, help="How many to predict.")] = 120,
    context: Annotated[int, typer.Option(min=32, max=MAX_CONTEXT, help="Bars that seed the model.")] = 400,
    model: Annotated[str, typer.Option(help="nano, small, .., a folder, or bootstrap, garch, ..")] = "nano",
    tokenizer: Annotated[str | None, Optional(help="Its tokenizer, where none is known.")] = None,
    paths: Annotated[int, typer.Option(min=1, max=MAX_PATHS, help="Futures that the bands are made of.")] = 512,
    temperature: Annotated[float, typer.Option(help="Lower is calmer, higher is wilder.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Below 1 narrows every band.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of the paths.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", callback=checked_device)] = "auto",
    end: Annotated[datetime | None, Moment(help="The last bar to use; what came later is drawn beside.")] = None,
    timestamps: Annotated[Path | None, Optional(help="A file with the stamps of the bars to come.")] = None,
    out: Annotated[Path | None, Optional(help="Write the bands: .csv or .parquet.")] = None,
    paths_out: Annotated[Path | None, Optional(help="Write every path: .csv or .parquet.")] = None,
    plot: Annotated[Path | None, Optional(help="Draw the bands: .png, .svg or .pdf.")] = None,
    origins: Annotated[int, typer.Option(min=2, max=MAX_ORIGINS, help="Forecasts of the past at most.")] = 40,
    on: On = None,
    no_calibration: Annotated[bool, typer.Option("--no-calibration", help="Leave the past out.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Predict the bars after a history, as bands, and say how such bands held in its past.

    Shown are the median and the bands of the close, the probability of a rise
    and the range; and, from forecasts of the history's own past, how often
    what came lay inside such bands. Bands that fail are shown, with the label.

    For example:

      scenario-gen predict my.csv --bars 120 --plot forecast.png --out forecast.csv

      scenario-gen predict my.csv --end 2024-06-28T15:00 --timestamps my.csv

      scenario-gen predict sp500 --bars 20 --model garch --json
    """
    _require_suffix(out, "--out", TABLES)
    _require_suffix(paths_out, "--paths-out", TABLES)
    _require_suffix(plot, "--plot", PICTURES)
    from scenario_gen.pipeline.given.predict import predict as predict_bars

    prediction = predict_bars(
        file,
        bars=bars,
        context=context,
        model=model,
        paths=paths,
        tokenizer=tokenizer,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        device=device,
        end=_last(end),
        timestamps=timestamps,
        origins=None if no_calibration else origins,
        on=on,
        progress=choose_progress(quiet=quiet or as_json),
    )
    _write(prediction, out, paths_out, plot)
    _show(prediction, as_json=as_json)


def _last(end: datetime | None) -> str | None:
    """Return a moment as text; midnight means the whole of that day, as in a spec."""
    return None if end is None else end.isoformat().removesuffix("T00:00:00")


def _require_suffix(path: Path | None, option: str, suffixes: tuple[str, ...]) -> None:
    """Refuse a file that could not be written, before anything is sampled."""
    if path is not None and path.suffix.lower() not in suffixes:
        expected = f"a name that ends with {' or '.join(suffixes)}"
        raise typer.BadParameter(f"got {path.name!r}, expected {expected}", param_hint=option)


def _write(prediction: Prediction, out: Path | None, paths_out: Path | None, plot: Path | None) -> None:
    if out is not None:
        _write_table(prediction.frame().reset_index(), out)
    if paths_out is not None:
        _write_table(prediction.paths.to_pandas(), paths_out)
    if plot is not None:
        with atomic(user_path(plot), "file") as partial:
            figure = prediction.plot().figure
            figure.savefig(partial, dpi=130, format=plot.suffix[1:].lower())  # type: ignore[union-attr]  # no part


def _write_table(frame: pd.DataFrame, path: Path) -> None:
    with atomic(user_path(path), "file") as partial:
        if path.suffix.lower() == ".parquet":
            frame.to_parquet(partial, index=False)
        else:
            frame.to_csv(partial, index=False)


def _show(prediction: Prediction, *, as_json: bool) -> None:
    if as_json:
        from scenario_gen.cli.manners import say_json

        return say_json(prediction.report)
    from scenario_gen.cli.show import show_prediction

    return show_prediction(prediction.report)
