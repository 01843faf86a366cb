"""The ``calibrate`` command: a scenario of a spec, or a history and a model, and how far it may be trusted."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenario_gen.cli.given import Junit, On, tell_ci
from scenario_gen.cli.manners import (
    GATE_FAILED,
    USER_MISTAKE,
    Argument,
    AsJson,
    Moment,
    Optional,
    Quiet,
    checked_device,
    choose_progress,
    say,
    say_json,
)
from scenario_gen.errors import SpecError
from scenario_gen.execute.section import Execute, open_queue, place_of
from scenario_gen.generators.sections import BASELINES, NAMED_MODELS, KronosGenerator, default_section
from scenario_gen.reading.words import nearest, one_of
from scenario_gen.spec.models import MAX_CALIBRATED, MAX_CONTEXT, MAX_ENSEMBLE, MAX_NEXT_BARS, MAX_ORIGINS, MAX_SEED

if TYPE_CHECKING:
    from scenario_gen.execute.queue import Queue
    from scenario_gen.forecasts.checkpoint_figures import Evaluation
    from scenario_gen.generators.sections import GeneratorSection
    from scenario_gen.pipeline.given.calibrate import Wishes
    from scenario_gen.progress import Progress
    from scenario_gen.spec.loader import LoadedSpec
    from scenario_gen.store.reports import CalibrationReport

CALIBRATE_EXIT_CODES = (
    "Exit codes: 0 nothing fails; 4 the calibration, the value at risk or a group of stylized facts fails; 2 a mistake "
    "in the arguments, the spec or the data, or too few forecasts to judge anything; 1 a defect of scenario-gen (with "
    "a traceback)."
)

CalibratedModel = Annotated[str, typer.Option(help=f"With --data: a Kronos model, or {', '.join(BASELINES)}.")]
ContextBars = Annotated[
    int | None, Optional(min=32, max=MAX_CONTEXT, help="With --data: bars of context; default: 256.")
]
NextBars = Annotated[
    int,
    typer.Option(
        min=0,
        max=MAX_NEXT_BARS,
        help="Forecasts of the next bar's value at risk: 100 judge the 5 % level, 500 the 1 % level.",
    ),
]


AlsoRecalibrated = Annotated[
    bool, typer.Option("--recalibrate", help="Judge it recalibrated beside as sampled, on the same forecasts.")
]
Compared = Annotated[str, typer.Option(help=f"To compare with, of {', '.join(BASELINES)}; or none.")]
Adapted = Annotated[
    bool, typer.Option("--adapt", help="With --data: fit the model's heads to bars before each context.")
]


def calibrate(
    spec: Annotated[Path | None, Argument(metavar="[SPEC]", help="A YAML spec.")] = None,
    scenario: Annotated[str | None, Optional(help="Which scenario of the spec; default: the first.")] = None,
    data: Annotated[str | None, Optional(help="A history instead of a spec: a file, sp500 or nasdaq.")] = None,
    model: CalibratedModel = "nano",
    temperature: Annotated[str, typer.Option(help="With --data: a number, or auto.")] = "1.0",
    top_p: Annotated[str, typer.Option(help="With --data: a number, or auto.")] = "1.0",
    adapt: Adapted = False,
    end: Annotated[datetime | None, Moment(help="With --data: the last bar to look at.")] = None,
    context: ContextBars = None,
    horizon: Annotated[int | None, Optional(min=1, max=MAX_CALIBRATED, help="Bars ahead; default: at most 63.")] = None,
    origins: Annotated[int, typer.Option(min=2, max=MAX_ORIGINS, help="Forecasts at most.")] = 60,
    paths: Annotated[int, typer.Option(min=2, max=MAX_ENSEMBLE, help="Paths of each forecast.")] = 199,
    baselines: Compared = "bootstrap,fhs",
    one_step: NextBars = 0,
    recalibrate: AlsoRecalibrated = False,
    seed: Annotated[int | None, Optional(min=0, max=MAX_SEED, help="Of the paths.")] = None,
    device: Annotated[str | None, Optional(help="auto, cpu, cuda, cuda:1 or mps.", callback=checked_device)] = None,
    on: On = None,
    junit: Junit = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Let a generator forecast the past, and say whether what came looks like one of its paths.

    From origins in the history, one horizon apart and all before the
    context's end, the generator samples futures. Volatility, extremes,
    ranges, volume and returns of what really came are ranked among them,
    scored, and compared with simpler generators; so are the stylized facts
    (longer horizons, such as --horizon 60, let more of them be judged).
    Value at risk is counted in both tails; 60 forecasts are too few to judge
    it, and --one-step 1000 forecasts the next bar as often as that takes.
    With --recalibrate earlier forecasts correct later ones, which are judged.

    For example:

      scenario-gen calibrate scenarios/quickstart.yaml

      scenario-gen calibrate --data my.csv --model nano --temperature auto

      scenario-gen calibrate --data sp500 --model garch --recalibrate --json
    """
    # mistakes first: they must not wait for heavy imports
    loaded = _loaded(spec, data, context, end, model, temperature, top_p, adapt)
    section = _section(model, temperature, top_p, device, adapt=adapt)
    kinds = _baselines(baselines)
    from scenario_gen.pipeline.given.calibrate import Wishes, calibrate_spec

    wishes = Wishes(context, horizon, origins, paths, seed, kinds, one_step, recalibrate)
    progress = choose_progress(quiet=quiet or as_json)
    execute = place_of(on) if on is not None else Execute() if loaded is None else loaded.spec.execute
    with open_queue(execute) as queue:
        if loaded is None:
            report = _of_data(str(data), end, section, wishes, progress, queue)
        else:
            report = calibrate_spec(loaded, scenario, wishes, device=device, progress=progress, queue=queue)
    tell_ci(junit, f"calibrate {spec or data}", report)
    _show(report, as_json=as_json)
    raise typer.Exit(_exit_code(report))


def _loaded(
    spec: Path | None, data: str | None, context: int | None, end: datetime | None, *settings: str | bool
) -> LoadedSpec | None:
    """Load a spec, where there is one; refuse options that would be silently ignored beside it."""
    if (spec is None) == (data is None):
        raise typer.BadParameter("give a spec, or a history with --data", param_hint="SPEC")
    if spec is None:
        return None
    from scenario_gen.spec.loader import load_spec

    if context is not None or end is not None or settings != ("nano", "1.0", "1.0", False):
        raise typer.BadParameter(
            "--context, --end, --model, --temperature, --top-p and --adapt go with --data; a spec says its own",
            param_hint="SPEC",
        )
    return load_spec(spec)


def _of_data(
    data: str, end: datetime | None, section: GeneratorSection, wishes: Wishes, progress: Progress, queue: Queue
) -> CalibrationReport:
    from scenario_gen.market.load import load_candles
    from scenario_gen.pipeline.given.calibrate import calibrate_history

    # midnight means the whole of that day, as in a spec
    last = end.date() if end is not None and end == datetime.combine(end.date(), datetime.min.time()) else end
    history = load_candles(data, end=last)
    for text in history.flag_texts():
        progress.note(f"{history.name}: {text}")
    return calibrate_history(history, section, wishes, progress=progress, queue=queue)


def _section(model: str, temperature: str, top_p: str, device: str | None, *, adapt: bool) -> GeneratorSection:
    """Return the generator section that the options describe."""
    if adapt and model in (*BASELINES, *NAMED_MODELS[1:]):
        raise SpecError(f"--adapt with {model}", expected="nano, or a model that scenario-gen has trained")
    numbers = {"temperature": _number(temperature), "top_p": _number(top_p)}
    if model in BASELINES:
        if numbers != {"temperature": 1.0, "top_p": 1.0}:
            raise SpecError(f"{model} knows no temperature and no top_p", expected="these with a Kronos model only")
        return default_section(model)
    try:
        return KronosGenerator.model_validate({"model": model, "device": device or "auto", "adapt": adapt, **numbers})
    except ValueError:
        raise SpecError(
            f"temperature {temperature}, top_p {top_p}",
            expected="a temperature from 0 to 10 and a top_p above 0 and at most 1, or auto",
        ) from None


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _baselines(text: str) -> tuple[str, ...]:
    kinds = () if text == "none" else tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    for kind in kinds:
        if kind not in BASELINES:
            raise typer.BadParameter(
                f"got {kind!r}, expected {one_of(BASELINES)}, or none{nearest(kind, BASELINES)}",
                param_hint="--baselines",
            )
    return kinds


def _exit_code(report: CalibrationReport) -> int:
    """Return 4 where a gate fails, and 2 rather than 0 where nothing could be judged: that is no pass."""
    if report.failed:
        return GATE_FAILED
    if not report.judged:
        say(
            f"nothing could be judged: {len(report.calibration.origins)} forecasts, and 30 are needed\n"
            "  to do:    raise --origins to 30 or more; where the history has no room for them, bring a longer one, or "
            "shorten the context or the horizon",
            err=True,
        )
        return USER_MISTAKE
    return 0


def _show(report: CalibrationReport, *, as_json: bool) -> None:
    if as_json:
        return say_json(report)
    from scenario_gen.cli.show import show_calibration

    return show_calibration(report)


# The ``evaluate`` command: what a checkpoint is worth on many series, beside the classical generators


MOST_PATHS, MOST_ORIGINS, HOTTEST = 10_000, 100_000, 10.0
Share = Annotated[float | None, Optional(min=0.0, max=1.0, help="Forecast the last share of every series.")]
Against = Annotated[list[str] | None, Optional(help="Another model to be compared with; may be given again.")]
OriginsOfASeries = Annotated[
    int, typer.Option(min=1, max=MOST_ORIGINS, help="Forecasts per series at most, spread evenly.")
]
OriginsOfAGroup = Annotated[
    int | None, Optional(min=1, max=MOST_ORIGINS, help="Forecasts per asset class and frequency at most.")
]
PARTS = ("later", "unseen", "both")


def evaluate(
    model: Annotated[str, Argument(metavar="MODEL", help="nano, a folder, or org/name@revision.")],
    data: Annotated[
        str, Optional(help="A folder of histories (with manifest.csv, or files), one file, sp500 or nasdaq.")
    ],
    config: Annotated[Path | None, Optional(help="Training config: only what it held out is forecast.")] = None,
    part: Annotated[str, typer.Option(help=f"With --config: {', '.join(PARTS)}.")] = "both",
    start: Annotated[datetime | None, Moment(help="First bar to forecast.")] = None,
    holdout_share: Share = None,
    context: Annotated[int, typer.Option(min=32, max=MAX_CONTEXT, help="Bars of context.")] = 256,
    paths: Annotated[int, typer.Option(min=2, max=MOST_PATHS, help="Paths of each forecast.")] = 200,
    origins: OriginsOfASeries = 20,
    group_origins: OriginsOfAGroup = None,
    temperature: Annotated[str, typer.Option(help="A number, or several for the curve: .6,1,1.6.")] = "1",
    against: Against = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of the paths.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", callback=checked_device)] = "auto",
    card: Annotated[bool, typer.Option("--card", help="Write the tables into the folder's MODEL_CARD.md.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Say what a checkpoint is worth out of sample: coverage, PIT, CRPS, candles and stylized facts.

    Forecasts 60 bars from origins 60 bars apart on every series, and so do
    the stationary bootstrap, a Gaussian walk, and filtered historical
    simulation with EWMA and with GJR-GARCH volatility. What came is ranked and scored among the paths, series by
    series, by asset class and frequency and over all; from 40 origins on the stylized facts get labels (mode A).

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

    from scenario_gen.cli.manners import choose_progress
    from scenario_gen.forecasts.checkpoint_figures import HORIZON
    from scenario_gen.forecasts.checkpoints import Contest, Material, evaluate as evaluate_model
    from scenario_gen.forecasts.harness import Sampling

    if card:
        _require_own_folder(model)
    contest = Contest(model, temperatures, tuple(against or ()), device)
    since = None if start is None else pd.Timestamp(start)
    material = Material(data, config, part, since, holdout_share, origins, group_origins)  # type: ignore[arg-type]  # checked against PARTS
    sampling = Sampling(context, HORIZON, paths, seed)
    evaluation = evaluate_model(contest, material, sampling, progress=choose_progress(quiet=quiet or as_json))
    if card:
        _write_card(model, evaluation)
    _show_evaluation(evaluation, as_json=as_json)


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


def _write_card(model: str, evaluation: Evaluation) -> None:
    from scenario_gen.kronos.checkpoint import open_checkpoint
    from scenario_gen.report.tables.checkpoints import card_text
    from scenario_gen.training.run import write_card

    path = write_card(Path(model), open_checkpoint(model), card_text(evaluation))
    say(f"card: {path}", err=True)


def _show_evaluation(evaluation: Evaluation, *, as_json: bool) -> None:
    if as_json:
        return say_json(evaluation)
    from scenario_gen.cli.show import show_evaluation

    return show_evaluation(evaluation)
