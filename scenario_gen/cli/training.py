"""The ``train`` and ``finetune`` commands: a config in, a folder that can be sampled from out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenario_gen.cli.manners import Argument, Optional, Quiet
from scenario_gen.cli.terminal import say

if TYPE_CHECKING:
    from scenario_gen.market.candles import Candles
    from scenario_gen.training.config import VectorbtData
    from scenario_gen.training.run import Trained

Config = Annotated[Path, Argument(metavar="CONFIG", help="A training config (YAML).")]
Out = Annotated[Path | None, Optional(help="Where the checkpoint goes; default: runs/NAME.")]
Data = Annotated[
    Path | None, Optional(help="A folder with a manifest, a file, sp500 or nasdaq, instead of the config's data.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last saved state.")]


def train(config: Config, out: Out = None, data: Data = None, resume: Resume = False, quiet: Quiet = False) -> None:
    """Train a Kronos checkpoint: its tokenizer, then its model.

    With torchrun, several processes or GPUs train one checkpoint together.

    For example:

      scenario-gen train nano.yaml --data histories --out checkpoints/nano

      scenario-gen train nano.yaml --data histories --out checkpoints/nano --resume

      torchrun --nproc-per-node 4 -m scenario_gen train nano.yaml --data histories
    """
    from scenario_gen.cli.terminal import choose_progress
    from scenario_gen.training import train as train_checkpoint

    progress = choose_progress(quiet=quiet)
    _tell(train_checkpoint(config, out=out, data=data, resume=resume, progress=progress, download=_downloaded))


def finetune(config: Config, out: Out = None, data: Data = None, resume: Resume = False, quiet: Quiet = False) -> None:
    """Train on from a checkpoint (init: nano, small, a folder ...) on a market of your own.

    All of the model, or with model.freeze or model.lora a part of it, until
    held-out bars no longer gain from it. What comes out is a folder for
    generator.model; scenario-gen evaluate says what it is worth.

    For example:

      scenario-gen finetune training/finetune_example.yaml

      scenario-gen finetune mine.yaml --data my.csv --out checkpoints/mine
    """
    from scenario_gen.cli.terminal import choose_progress
    from scenario_gen.training import finetune as finetune_checkpoint

    progress = choose_progress(quiet=quiet)
    _tell(finetune_checkpoint(config, out=out, data=data, resume=resume, progress=progress, download=_downloaded))


def _downloaded(asked: VectorbtData) -> list[Candles]:
    from scenario_gen.training.histories import download

    return download(asked.kind, asked.symbols, asked.options)


def _tell(trained: Trained) -> None:
    """Print what came out and draw the learning curves; under torchrun, once."""
    import os

    from scenario_gen.report.drawing.charts import draw_learning

    if os.environ.get("RANK", "0") != "0":
        return
    if trained.checkpoint is None:
        say(f"tokenizer: {trained.folder} (name it as init_tokenizer to train a model with it)")
        draw_learning(trained.folder)
        return
    record = trained.checkpoint.provenance
    before, after = (record.get(key, {}).get("later") for key in ("held_out_nats_before", "held_out_nats"))
    gain = f"; nats per held-out bar {before:.3f} before, {after:.3f} after" if before is not None else ""
    say(f"checkpoint: {trained.folder} (use it as generator.model; its MODEL_CARD.md says what it is worth){gain}")
    draw_learning(trained.folder)  # last: what cannot be drawn is no reason to keep the result back
