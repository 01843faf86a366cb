"""The commands of ``scenario-gen``, each a few lines: heavy rooms are imported when a command needs them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from scenario_gen.cli.batch import BATCH_EXIT_CODES, batch
from scenario_gen.cli.bench import bench_app
from scenario_gen.cli.doctor import DOCTOR_EXIT_CODES, doctor
from scenario_gen.cli.explain import explain
from scenario_gen.cli.fetch import fetch
from scenario_gen.cli.forecasting import CALIBRATE_EXIT_CODES, calibrate, evaluate
from scenario_gen.cli.given import (
    BACKTEST_EXIT_CODES,
    CHECK_EXIT_CODES,
    Junit,
    On,
    PairsCommand,
    backtest,
    check,
    tell_ci,
)
from scenario_gen.cli.live import LIVE_EXIT_CODES, live
from scenario_gen.cli.manner import ManneredTyper
from scenario_gen.cli.manners import (
    Argument,
    AsJson,
    Interruption,
    Optional,
    PoliteGroup,
    checked_device,
    choose_progress,
    command_line,
    print_version,
    say_json,
    told_losses,
    use_outlets,
)
from scenario_gen.cli.mcp import MCP_EXIT_CODES, mcp
from scenario_gen.cli.predict import predict
from scenario_gen.cli.proof import VERIFY_EXIT_CODES, verify as verify_run
from scenario_gen.cli.rank import RANK_EXIT_CODES, rank
from scenario_gen.cli.runs import CLEAN_EXIT_CODES, DIFF_EXIT_CODES, clean, diff
from scenario_gen.cli.serve import SERVE_EXIT_CODES, serve
from scenario_gen.cli.shards import merge, run_part, tell_run
from scenario_gen.cli.specs import init, show_plan, validate
from scenario_gen.cli.stress import EVENT_EXIT_CODES, couple, crises, event
from scenario_gen.cli.training import finetune, train
from scenario_gen.spec.loader import load_spec
from scenario_gen.spec.models import MAX_PATHS

EXIT_CODES = (
    "Exit codes: 0 done; 1 a defect of scenario-gen (with a traceback); 2 a mistake in the arguments, the spec, "
    "the data or a strategy (with what was expected and what to do); 130 interrupted."
)

app = ManneredTyper(
    name="scenario-gen",
    cls=PoliteGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
models_app = ManneredTyper(no_args_is_help=True, help="The Kronos checkpoints that scenario-gen knows.")
app.add_typer(models_app, name="models")
app.add_typer(bench_app, name="bench")

SpecFile = Annotated[Path, Argument(metavar="SPEC", help="A YAML spec.")]


@app.callback()
def scenario_gen(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run trading strategies over the markets that did not happen.

    A Kronos model continues a real price history in thousands of ways. Your
    strategies are run over every one of them, and a report shows what came out.

    First steps: [bold]scenario-gen init demo[/bold] writes a commented spec and a strategy,
    [bold]scenario-gen validate demo/scenario.yaml[/bold] checks them,
    [bold]scenario-gen run demo/scenario.yaml[/bold] makes the report.
    """
    del version


@app.command(epilog=BACKTEST_EXIT_CODES)
def run(
    spec: SpecFile,
    folder: Annotated[str | None, Optional(help="Run folder, or address, instead of report.folder.")] = None,
    device: Annotated[
        str | None, Optional(help="auto, cpu, cuda, cuda:1 or mps, instead of the spec's.", callback=checked_device)
    ] = None,
    paths: Annotated[
        int | None, Optional(min=1, max=MAX_PATHS, help="Paths per scenario instead of paths.count.")
    ] = None,
    shard: Annotated[
        str | None, Optional(metavar="NUMBER/COUNT", help="Compute only this part of the blocks; see merge.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what the run would do and cost: time, disk, memory; and stop.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run's figures and findings as JSON.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in the folder.")] = False,
    on: On = None,
    junit: Junit = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only where the report is.")] = False,
) -> None:
    """Run a spec: sample its paths, run its strategies over them, write the report.

    An interrupted run goes on where it stopped when the same command is given again.

    For example:

      scenario-gen run scenarios/quickstart.yaml

      scenario-gen run scenarios/quickstart.yaml --paths 64 --folder reports/try

      scenario-gen run my.yaml --device cuda --overwrite

      scenario-gen run my.yaml --shard 2/8

      scenario-gen run my.yaml --on processes:4

      scenario-gen run my.yaml --paths 1000000 --plan

      scenario-gen run my.yaml --json
    """
    if junit is not None and (plan or shard is not None):
        what = "a plan judges nothing" if plan else "a shard judges nothing: give it to scenario-gen merge"
        raise typer.BadParameter(what, param_hint="--junit")
    if plan:
        show_plan(spec, folder, device, paths, shard=shard, on=on, overwrite=overwrite, quiet=quiet, as_json=as_json)
        raise typer.Exit
    if shard is not None:
        run_part(spec, shard, folder, device, paths, overwrite=overwrite, quiet=quiet, as_json=as_json, on=on)
        raise typer.Exit
    command = command_line("run", spec, folder=folder, device=device, paths=paths, overwrite=overwrite, on=on)
    manner = {"overwrite": overwrite, "quiet": quiet, "as_json": as_json}
    raise typer.Exit(run_and_show(spec, folder, device, paths, command=command, on=on, junit=junit, **manner))


@models_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the checkpoints that have a name, and which of them are here already.

    A spec names one of them (generator.model: small), or any other one as
    org/name@revision (Hub) or as a folder.

    For example:

      scenario-gen models list
    """
    from scenario_gen.kronos.registry import known_models

    if as_json:
        from scenario_gen.cli.answers import ListedModel, ListedModels

        known = [
            ListedModel(each.name, each.where, each.parameters, each.context, each.available, each.note)
            for each in known_models()
        ]
        say_json(ListedModels(known))
        return
    from scenario_gen.cli.show import show_models

    show_models(known_models())


@models_app.command("pull", epilog=EXIT_CODES)
def pull(
    name: Annotated[str, Argument(metavar="NAME", help="A known name, or org/name@revision.")],
    tokenizer: Annotated[str | None, Optional(help="Its tokenizer, where none is known: org/name@revision.")] = None,
    as_json: AsJson = False,
) -> None:
    """Download a checkpoint from the Hugging Face Hub once; runs need no network afterwards.

    A download that broke off goes on where it stopped when the same command is given again.
    What came is checked: the Hub's hashes, the tensors, the number of parameters.

    For example:

      scenario-gen models pull small

      scenario-gen models pull org/model@v2 --tokenizer org/tokenizer@v2
    """
    from scenario_gen.cli.manners import choose_progress
    from scenario_gen.cli.training import pull_model

    pull_model(name, tokenizer, choose_progress(), as_json=as_json)


@models_app.command("verify", epilog=EXIT_CODES)
def verify(
    names: Annotated[
        list[str] | None, Argument(metavar="[NAME]...", help="Known names, folders, or org/name@revision.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the checkpoints that are on this machine, without a network and without changing anything.

    Hashes, tensor names, shapes and numbers of parameters; without names, every known model that is here.

    For example:

      scenario-gen models verify

      scenario-gen models verify small checkpoints/mine
    """
    from scenario_gen.cli.training import verify_models

    raise typer.Exit(verify_models(names or [], as_json=as_json))


app.command(epilog=BATCH_EXIT_CODES)(batch)
app.command(epilog=EXIT_CODES)(validate)
app.command(epilog=EXIT_CODES)(init)
app.command(epilog=BACKTEST_EXIT_CODES)(merge)
app.command(epilog=CALIBRATE_EXIT_CODES)(calibrate)
app.command(epilog=EXIT_CODES)(fetch)
app.command(epilog=EXIT_CODES)(predict)
app.command(epilog=EXIT_CODES)(train)
app.command(epilog=EXIT_CODES)(finetune)
app.command(epilog=EXIT_CODES)(evaluate)
app.command(epilog=CHECK_EXIT_CODES)(check)
app.command(epilog=BACKTEST_EXIT_CODES, cls=PairsCommand)(backtest)
app.command(epilog=RANK_EXIT_CODES)(rank)
app.command(epilog=LIVE_EXIT_CODES)(live)
app.command(epilog=SERVE_EXIT_CODES)(serve)
app.command(epilog=MCP_EXIT_CODES)(mcp)
app.command(epilog=EXIT_CODES)(crises)
app.command(epilog=EVENT_EXIT_CODES)(event)
app.command(epilog=EXIT_CODES)(couple)
app.command(epilog=DIFF_EXIT_CODES)(diff)
app.command(epilog=CLEAN_EXIT_CODES)(clean)
app.command(epilog=EXIT_CODES)(explain)
app.command(epilog=DOCTOR_EXIT_CODES)(doctor)
app.command("verify", epilog=VERIFY_EXIT_CODES)(verify_run)


def main() -> None:
    """Run the command line of this process, on standard streams that can always be written to."""
    Interruption.listen()
    use_outlets()
    os.environ["MPLBACKEND"] = "agg"  # no windows; and a name that matplotlib refuses would end its import
    try:
        app(prog_name="scenario-gen")
    except SystemExit as leaving:
        raise SystemExit(told_losses(leaving.code)) from None


# --- The ``run`` command's work: load the spec, call the pipeline, show what came out ---


def run_and_show(
    spec: Path,
    folder: str | None,
    device: str | None,
    paths: int | None,
    *,
    overwrite: bool,
    quiet: bool,
    command: str,
    as_json: bool = False,
    on: str | None = None,
    junit: Path | None = None,
) -> int:
    """Run a spec file, print its results and the report's place, and return the exit code; ``quiet``: only the place.

    Raises:
        ScenarioError: the user can mend what went wrong.
    """
    loaded = load_spec(spec)  # first: a mistake in the spec must not wait for heavy imports
    from scenario_gen.pipeline import run_spec
    from scenario_gen.store.remote import page_of

    result = run_spec(
        loaded,
        folder=folder,
        device=device,
        paths=paths,
        overwrite=overwrite,
        command=command,
        progress=choose_progress(quiet=quiet),
        on=on,
    )
    tell_ci(junit, result.name, result)
    return tell_run(result, page_of(folder or loaded.spec.report.folder), quiet=quiet, as_json=as_json)
