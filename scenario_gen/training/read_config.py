"""Reading a training config: every mistake with its file, line and field, before any data is touched."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from scenario_gen.errors import CheckpointError, SpecError
from scenario_gen.kronos.config import ModelConfig, TokenizerConfig
from scenario_gen.reading.yaml import Document, Where, parse_yaml, read_text
from scenario_gen.training.config import StageConfig, TrainConfig

FEATURES = {"increments": 5, "levels": 6}  # width of a feature row, the tokenizer's d_in
EXAMPLES = "see training/nano.yaml and training/finetune_example.yaml for every field"

Shape = TypeVar("Shape", TokenizerConfig, ModelConfig)


def load_config(path: Path) -> tuple[TrainConfig, str]:
    """Read a training config; return it with the sha256 of its text.

    Raises:
        SpecError: the file is missing, is not YAML, or a field is wrong (all of them are named).
    """
    text = read_text(path, "training config")
    document = parse_yaml(text, str(path))
    try:
        config = TrainConfig.model_validate(document.values)
    except ValidationError as error:
        lines = [_words(document, mistake["loc"], mistake["msg"]) for mistake in error.errors()]
        raise SpecError("\n".join(lines), fix=EXAMPLES) from None
    _check_window(config, path)
    _check_stages(config, path)
    _check_start(config, path)
    _check_shapes(config, path)
    return config, hashlib.sha256(text.encode()).hexdigest()


def _words(document: Document, where: Where, problem: str) -> str:
    """Return ``file:line: field: problem``."""
    mark = document.place(where)
    label = ".".join(map(str, where)) or "the file"
    return f"{document.filename}:{mark.line if mark else 1}: {label}: {problem.removeprefix('Value error, ')}"


def _check_window(config: TrainConfig, path: Path) -> None:
    window = config.window
    if not window.context_min <= window.context_max < window.bars:
        raise SpecError(
            f"{path}: window.context_min {window.context_min} .. context_max {window.context_max} "
            f"do not fit into window.bars {window.bars}",
            expected="context_min <= context_max < bars",
        )


def _check_stages(config: TrainConfig, path: Path) -> None:
    """See that every stage has its section, and that no section stands there that would be silently left out."""
    trained = config.trained
    if trained not in (("tokenizer",), ("model",), ("tokenizer", "model")):
        raise SpecError(f"{path}: stages: got {', '.join(trained)}", expected="tokenizer, model, or both in this order")
    for name, section in (("tokenizer", config.tokenizer), ("model", config.model)):
        if (name in trained) != (section is not None):
            have, want = ("a", "is not") if section is not None else ("no", "is")
            raise SpecError(
                f"{path}: there is {have} section {name}, which {want} among the stages: {', '.join(trained)}",
                fix=f"add or remove the section {name}, or mend stages; {EXAMPLES}",
            )
        if section is not None and (section.shape is None) != (config.init is not None):
            raise SpecError(
                f"{path}: {name}.shape is {'missing' if section.shape is None else 'given'}, and init is {config.init}",
                expected="a shape from scratch; none with init, which brings its own",
            )


def _check_start(config: TrainConfig, path: Path) -> None:
    """See that what is not trained comes from somewhere, and that only what is there is adapted."""
    if config.init is not None:
        return
    if "tokenizer" not in config.trained and config.init_tokenizer is None:
        raise SpecError(
            f"{path}: stages trains the model alone, and there is no tokenizer to train it with",
            expected="init, or init_tokenizer: the folder of a run that trained a tokenizer",
        )
    if "tokenizer" in config.trained and config.init_tokenizer is not None:
        raise SpecError(
            f"{path}: init_tokenizer is given, and the stage tokenizer trains another one",
            fix="leave init_tokenizer out, or the stage",
        )
    if config.model is not None and (config.model.freeze or config.model.lora):
        raise SpecError(f"{path}: model.freeze and model.lora go with a checkpoint to start from", expected="init")


def _check_shapes(config: TrainConfig, path: Path) -> None:
    """Build both configurations now: a shape that cannot work must not come to light after an hour."""
    tokenizer = _shape(TokenizerConfig, config.tokenizer, f"{path}: tokenizer.shape")
    model = _shape(ModelConfig, config.model, f"{path}: model.shape")
    ours, theirs = ((one.s1_bits, one.s2_bits) if one else None for one in (tokenizer, model))
    if ours and theirs and ours != theirs:
        raise SpecError(
            f"{path}: tokenizer.shape has {ours[0]}+{ours[1]} bits, model.shape {theirs[0]}+{theirs[1]}",
            expected="the same s1_bits and s2_bits in both",
        )
    kind = config.representation or "increments"
    if tokenizer is not None and tokenizer.d_in != FEATURES[kind]:
        raise SpecError(
            f"{path}: tokenizer.shape.d_in is {tokenizer.d_in}", expected=f"{FEATURES[kind]}, the features of {kind!r}"
        )


def _shape(kind: type[Shape], stage: StageConfig | None, where: str) -> Shape | None:
    raw: dict[str, Any] | None = getattr(stage, "shape", None)
    if raw is None:
        return None
    types = {field.name: field.type for field in fields(kind)}
    for name, value in raw.items():
        if name not in types:
            raise SpecError(f"{where}.{name}: no such field", expected=", ".join(types))
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if types[name] == "float" and not (is_number and (0 <= value < 1 or not name.endswith("_p"))):
            raise SpecError(
                f"{where}.{name} is {value!r}", expected="a probability below 1" if name[-2:] == "_p" else "a number"
            )
    try:
        return kind.from_mapping(raw, where)
    except CheckpointError as error:
        raise SpecError(
            error.problem, expected=error.expected, fix="see training/nano.yaml for a shape that works"
        ) from None
