"""The ``train`` and ``finetune`` commands, and the work of ``models``: checkpoints made, fetched and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenario_gen.cli.manners import USER_MISTAKE, Argument, AsJson, Optional, Quiet, say, say_json
from scenario_gen.errors import CheckpointError

if TYPE_CHECKING:
    from scenario_gen.cli.answers import TrainedAnswer
    from scenario_gen.kronos.checkpoint import Checkpoint, Verified
    from scenario_gen.market.candles import Candles
    from scenario_gen.progress import Progress
    from scenario_gen.training.config import VectorbtData
    from scenario_gen.training.run import Trained

Config = Annotated[Path, Argument(metavar="CONFIG", help="A training config (YAML).")]
Out = Annotated[Path | None, Optional(help="Where the checkpoint goes; default: runs/NAME.")]
Data = Annotated[
    Path | None, Optional(help="A folder with a manifest, a file, sp500 or nasdaq, instead of the config's data.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last saved state.")]


def train(
    config: Config,
    out: Out = None,
    data: Data = None,
    resume: Resume = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train a Kronos checkpoint: its tokenizer, then its model.

    With torchrun, several processes or GPUs train one checkpoint together.

    For example:

      scenario-gen train nano.yaml --data histories --out checkpoints/nano

      scenario-gen train nano.yaml --data histories --out checkpoints/nano --resume

      torchrun --nproc-per-node 4 -m scenario_gen train nano.yaml --data histories
    """
    from scenario_gen.cli.manners import choose_progress
    from scenario_gen.training import train as train_checkpoint

    progress = choose_progress(quiet=quiet)
    done = train_checkpoint(config, out=out, data=data, resume=resume, progress=progress, download=_downloaded)
    _tell(done, as_json=as_json)


def finetune(
    config: Config,
    out: Out = None,
    data: Data = None,
    resume: Resume = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train on from a checkpoint (init: nano, small, a folder ...) on a market of your own.

    All of the model, or with model.freeze or model.lora a part of it, until
    held-out bars no longer gain from it. What comes out is a folder for
    generator.model; scenario-gen evaluate says what it is worth.

    For example:

      scenario-gen finetune training/finetune_example.yaml

      scenario-gen finetune mine.yaml --data my.csv --out checkpoints/mine
    """
    from scenario_gen.cli.manners import choose_progress
    from scenario_gen.training import finetune as finetune_checkpoint

    progress = choose_progress(quiet=quiet)
    done = finetune_checkpoint(config, out=out, data=data, resume=resume, progress=progress, download=_downloaded)
    _tell(done, as_json=as_json)


def _downloaded(asked: VectorbtData) -> list[Candles]:
    from scenario_gen.training.histories import download

    return download(asked.kind, asked.symbols, asked.options)


def _tell(trained: Trained, *, as_json: bool) -> None:
    """Print what came out and draw the learning curves; under torchrun, once."""
    import os

    from scenario_gen.report.drawing.charts import draw_learning

    if os.environ.get("RANK", "0") != "0":
        return
    if as_json:
        say_json(_answer(trained))
    elif trained.checkpoint is None:
        say(f"tokenizer: {trained.folder} (name it as init_tokenizer to train a model with it)")
    else:
        before, after = _nats(trained.checkpoint)
        gain = f"; nats per held-out bar {before:.3f} before, {after:.3f} after" if before is not None else ""
        say(f"checkpoint: {trained.folder} (use it as generator.model; its MODEL_CARD.md says what it is worth){gain}")
    draw_learning(trained.folder)  # last: what cannot be drawn is no reason to keep the result back


def _nats(checkpoint: Checkpoint) -> tuple[float | None, float | None]:
    """Return the nats per bar that was held out for later, before and after training."""
    record = checkpoint.provenance
    before, after = (record.get(key, {}).get("later") for key in ("held_out_nats_before", "held_out_nats"))
    return before, after


def _answer(trained: Trained) -> TrainedAnswer:
    from scenario_gen.cli.answers import TrainedAnswer

    if trained.checkpoint is None:
        return TrainedAnswer(str(trained.folder), "tokenizer", None, None)
    return TrainedAnswer(str(trained.folder), "checkpoint", *_nats(trained.checkpoint))


# --- The ``models`` commands: fetch checkpoints, and check those that are here ---


MEGABYTE = 1_000_000


def pull_model(name: str, tokenizer: str | None, progress: Progress, *, as_json: bool = False) -> None:
    """Fetch a model, with its tokenizer where one is known or named; check what came and print where it is.

    Raises:
        CheckpointError: there is no such model, it cannot be fetched, or what came does not fit.
    """
    from scenario_gen.kronos.checkpoint import verify_model
    from scenario_gen.kronos.hub import Revision, places_of, pull

    folders: dict[str, str] = {}
    for place in places_of(name, tokenizer):
        if isinstance(place, Revision):
            folder = pull(place, lambda title, size: _megabytes(progress, title, size), progress.note)
            folders[str(place)] = str(folder)
            told = f"{place}: {folder}"
        else:
            folders[str(place)] = str(place)
            told = f"{place}: on this machine, nothing to pull"
        if not as_json:
            say(told)
    verified = verify_model(name, tokenizer)
    if as_json:
        from scenario_gen.cli.answers import CheckedModel, CheckedModels

        say_json(CheckedModels([CheckedModel.whole_as(verified, folders)]))
    else:
        say(words(verified))


def verify_models(names: Sequence[str], *, as_json: bool = False) -> int:
    """Check models, or all known ones that are here; print what was found and mistakes to stderr.

    Returns:
        The exit code: 0, or 2 if anything is broken, or named and not here.
    """
    from scenario_gen.kronos.checkpoint import is_here, verify_model
    from scenario_gen.kronos.registry import known_models

    code = 0
    checked: list[tuple[str, Verified | str, bool]] = []  # the word is what is wrong; then whether it is here
    for name in names or [known.name for known in known_models() if is_here(known)]:
        try:
            verified = verify_model(name)
            checked.append((name, verified, True))
            if not as_json:
                say(words(verified))
        except CheckpointError as error:
            checked.append((name, error.problem, True))
            say(str(error), err=True)
            code = USER_MISTAKE
    for known in known_models() if not names else ():
        if not is_here(known):
            checked.append((known.name, "not on this machine", False))
            if not as_json:
                say(f"{known.name}: not on this machine ('scenario-gen models pull {known.name}' fetches it)")
    if as_json:
        from scenario_gen.cli.answers import CheckedModel, CheckedModels

        answers = [
            CheckedModel.lacking(name, outcome, here=here)
            if isinstance(outcome, str)
            else CheckedModel.whole_as(outcome)
            for name, outcome, here in checked
        ]
        say_json(CheckedModels(answers))
    return code


def words(verified: Verified) -> str:
    """Return in one line what was checked of a model and held."""
    networks = [
        f"{facts.kind} of {facts.parameters:,} parameters in {facts.tensors} tensors as configured"
        for facts in verified.networks
    ]
    hashes = f"{verified.hashed} files with their recorded hash" if verified.hashed else ""
    bare = f"{verified.unrecorded} files without a recorded hash" if verified.unrecorded else ""
    return f"{verified.name}: whole; " + "; ".join(part for part in (hashes, bare, *networks) if part)


@contextmanager
def _megabytes(progress: Progress, title: str, size: int) -> Iterator[Callable[[int], None]]:
    """Open a stage that counts megabytes and hears of bytes."""
    total, came, told = max(1, round(size / MEGABYTE)), 0, 0
    with progress.stage(f"{title}, MB", total) as advance:

        def add(count: int) -> None:
            nonlocal came, told
            came += count
            done = total if came >= size else min(total, came // MEGABYTE)
            advance(done - told)
            told = done

        yield add
