"""The command ``verify``: a finished run proved again from its folder, and certificates of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenario_gen.cli.manners import GATE_FAILED, USER_MISTAKE, Argument, AsJson, Optional, Quiet, checked_device, say
from scenario_gen.finding import SEVERITY, worst

if TYPE_CHECKING:
    from scenario_gen.store.certificate import Certificate, Proof

VERIFY_EXIT_CODES = (
    "Exit codes: 0 nothing fails; 4 a proof fails; 2 a mistake in the arguments, a folder that is no run, a file that "
    "is no certificate or key, or a machine on which not one path could be made again; 1 a defect of scenario-gen "
    "(with a traceback); 130 interrupted."
)
MOST_PROVED = 1_000_000


def verify(
    run: Annotated[Path | None, Argument(metavar="[RUN]", help="Folder or address of a finished run.")] = None,
    paths: Annotated[
        int | None, Optional(min=1, max=MOST_PROVED, help="How many paths to draw and make again; default: 50.")
    ] = None,
    path: Annotated[int | None, Optional(min=0, help="The id of a path to make again instead.")] = None,
    seed: Annotated[int | None, Optional(min=0, help="Of the choice of paths; default: a new one.")] = None,
    base: Annotated[
        Path | None, Optional(help="Where the spec's files are looked for; default: beside the spec that was run.")
    ] = None,
    device: Annotated[
        str | None, Optional(help="auto, cpu, cuda, cuda:1 or mps, instead of the run's.", callback=checked_device)
    ] = None,
    elsewhere: Annotated[
        bool, typer.Option("--elsewhere", help="Another processor than the run's: hold paths to a tolerance.")
    ] = False,
    certificate: Annotated[
        Path | None, Optional(help="Write what was proved to this new file, or check the one that is there.")
    ] = None,
    key: Annotated[Path | None, Optional(help="Sign it with this Ed25519 private key (PEM).")] = None,
    public: Annotated[
        Path | None, Optional(help="The public key that a certificate must be signed with (PEM).")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Prove a finished run again from its folder.

    Sums, the spec, data, model and versions; the page against run.json;
    run.json against its tables; and some paths, drawn at random, sampled,
    checked and backtested again: to the last bit on the run's device and
    versions. Whole blocks are made again. The folder is not written to.

    A certificate tells what was proved; anybody can check it without the
    data. With RUN beside a certificate that is there, the same paths are
    made again, and the certificate must be that run's.

    For example:

      scenario-gen verify reports/mine

      scenario-gen verify reports/mine --path 17 --json

      scenario-gen verify reports/mine --certificate mine.json --key key.pem

      scenario-gen verify --certificate mine.json --public pub.pem
    """
    drawn = {"--paths": paths, "--seed": seed}
    making = {"--path": path, **drawn, "--base": base, "--device": device, "--elsewhere": elsewhere or None}
    _refuse_unheard(run, certificate, {"--key": key, "--public": public}, drawn, making)
    from scenario_gen.cli.manners import choose_progress
    from scenario_gen.pipeline.proof.steps import AskedProof, answer

    asked = AskedProof(run, paths, path, seed, base, device, elsewhere, certificate, key, public)
    steps, proved, notes = answer(asked, choose_progress(quiet=quiet or as_json))
    for note in notes:
        say(note, err=True)
    raise typer.Exit(_leave(steps, proved, as_json=as_json, needs_paths=run is not None))


def _refuse_unheard(
    run: Path | None,
    certificate: Path | None,
    keys: Mapping[str, Path | None],
    drawn: Mapping[str, int | None],
    making: Mapping[str, object],
) -> None:
    """Refuse options that nothing would listen to.

    Raises:
        BadParameter: there is one.
    """
    if run is None and (certificate is None or keys["--key"] is not None):
        named = "name the folder of a run, or --certificate FILE alone to check it"
        raise typer.BadParameter(named, param_hint="RUN")
    if keys["--key"] is not None and certificate is None:
        raise typer.BadParameter("name the file to sign with --certificate FILE", param_hint="--key")
    if keys["--public"] is not None and certificate is None:
        raise typer.BadParameter("name the certificate that it must have signed", param_hint="--public")
    if making["--path"] is not None and any(value is not None for value in drawn.values()):
        raise typer.BadParameter("it names one path, --paths and --seed draw some: give either", param_hint="--path")
    if run is None and (idle := [name for name, value in making.items() if value is not None]):
        told = "it says how a run's paths are made again: name the run's folder too, or leave it out"
        raise typer.BadParameter(told, param_hint=idle[0])


def _leave(steps: Sequence[Proof], proved: Certificate | None, *, as_json: bool, needs_paths: bool) -> int:
    """Print every step and return the exit code of the worst."""
    label = worst((proof.label for proof in steps), "UNTESTABLE")
    if as_json:
        from scenario_gen.cli.answers import ProvedRun
        from scenario_gen.cli.manners import say_json

        certified = {} if proved is None else vars(proved)
        say_json(ProvedRun(**{**certified, "label": label, "steps": [*steps]}))
    else:
        for proof in steps:
            say(f"{proof.label:<10}  {proof.step}: {proof.reason}")
        counts = Counter(proof.label for proof in steps)
        say(", ".join(f"{counts[each]} {each}" for each in SEVERITY if counts[each]))
    if label == "FAIL":
        names = ", ".join(proof.step for proof in steps if proof.label == "FAIL")
        say(f"not proved: {names}", err=True)
        return GATE_FAILED
    if needs_paths and (proved is None or not proved.proved):
        say(
            "not one path could be made again: that the run's numbers follow from its spec is not proved\n"
            "  to do:    bring its data, model, strategies and packages; --base FOLDER says where its files are",
            err=True,
        )
        return USER_MISTAKE
    return 0
