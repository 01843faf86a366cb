"""What a training config may say. The file is part of a checkpoint's identity: its hash goes into the card.

Reading and checking one is :mod:`scenario_gen.training.config`'s.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import fields
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator

from scenario_gen.errors import CheckpointError, SpecError
from scenario_gen.files import user_path
from scenario_gen.kronos.config import ModelConfig, TokenizerConfig
from scenario_gen.market.containers import BUILT_IN
from scenario_gen.market.qlib import is_provider
from scenario_gen.market.section import moment_of
from scenario_gen.reading.words import bad_name, shown
from scenario_gen.reading.yaml import Document, Where, parse_yaml, read_text

PLACES = ("folder", "files", "source", "vectorbt")
StageName: TypeAlias = Literal["tokenizer", "model"]
Kind: TypeAlias = Literal["increments", "levels"]
FILE_SUFFIXES = (".csv", ".csv.gz", ".parquet")
PARTS = ("embedding", "time", "dependency", "head")  # of a model, which can be frozen; layers by number


def _frozen(entry: Any) -> str | dict[str, str]:
    if isinstance(entry, str) and entry in PARTS:
        return entry
    if isinstance(entry, dict) and list(entry) == ["layers"]:
        span = str(entry["layers"])
        if re.fullmatch(r"\d+(-\d+)?", span):
            return {"layers": span}
    raise ValueError(f"got {entry!r}, expected {', '.join(PARTS)}, or {{layers: 0-5}}")


def _day(value: Any) -> date | None:
    """Return a day from ISO text; no number is one: 86400 would be the second of January 1970."""
    moment = None if value is None else moment_of(value)
    if moment is not None and (not isinstance(moment, date) or isinstance(moment, datetime)):
        raise ValueError(f"got {shown(value)}, expected a date like 2018-12-31")
    return moment


Day: TypeAlias = Annotated[date | None, PlainValidator(_day)]
Frozen: TypeAlias = Annotated[str | dict[str, str], PlainValidator(_frozen)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VectorbtData(_Section):
    """Bars through one of vectorbt's data classes, such as YFData or CCXTData."""

    kind: str = Field(min_length=1, description="name of the class in vectorbt")
    symbols: tuple[str, ...] = Field(min_length=1)
    options: dict[str, Any] = Field({}, description="what its download is called with: start, timeframe ...")


class DataSource(_Section):
    """Where bars come from: exactly one of folder, files, source (a built-in history, or qlib) and vectorbt."""

    folder: str | None = Field(None, description="folder with a manifest and one Parquet file per series")
    manifest: str = "manifest.csv"
    classes: tuple[str, ...] = Field((), description="with folder: asset classes to use; empty: all")
    files: tuple[str, ...] = Field((), description="CSV or Parquet files, one instrument each; * and ? are read")
    source: Literal["sp500", "nasdaq", "qlib"] | None = Field(
        None, description="a built-in history; or qlib: instruments of a provider, adjusted as they are stored"
    )
    provider_uri: str | None = Field(None, min_length=1, description="of qlib: the folder, as qlib.init takes it")
    instruments: str | tuple[str, ...] = Field(
        "all",
        min_length=1,
        description="of qlib: a market, each bar of it within a stay; or names, with all their bars",
    )
    freq: str = Field("day", min_length=1, description="of qlib: the provider's bars")
    vectorbt: VectorbtData | None = None
    asset_class: str = Field("unlabelled", description="of files, source and vectorbt, for tables and balance")
    start: Day = Field(None, description="first day to use")
    end: Day = Field(None, description="last day to use")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = [name for name in PLACES if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"got {' and '.join(given) or 'none'} of {', '.join(PLACES)}; give exactly one")
        if (self.source == "qlib") != (self.provider_uri is not None):
            raise ValueError("source: qlib and provider_uri go together, expected both or none")
        if self.source != "qlib" and (lost := {"instruments", "freq"} & self.model_fields_set):
            raise ValueError(f"got {', '.join(sorted(lost))} without source: qlib, where alone it has a meaning")
        return self

    @property
    def where(self) -> str:
        """What to call the source in a message."""
        if self.vectorbt is not None:
            return f"{self.vectorbt.kind} of {', '.join(self.vectorbt.symbols)}"
        return str(self.folder or self.provider_uri or self.source or ", ".join(self.files))


class Mixed(DataSource):
    """Other bars that some of the training samples are drawn from, so that a fine-tuned model forgets less."""

    share: float = Field(gt=0, lt=1, description="of the samples")


class DataConfig(DataSource):
    """Which bars, and which of them are kept out of training."""

    holdout_symbols: tuple[str, ...] = Field((), description="instruments that training never sees")
    holdout_share: float = Field(
        0.12, gt=0, lt=0.5, description="last share of every series kept out of training; with qlib, of the days of all"
    )
    holdout_from: Day = Field(None, description="instead: first day kept out of training, the same for every series")
    short: Literal["leave", "train"] = Field(
        "leave", description="series of a manifest too short to hold bars out: leave them, or train on all of them"
    )
    group_power: float = Field(
        0.5, ge=0, le=1, description="weight of a (class, frequency) group is its bars to this power"
    )
    emphasis: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {}, description="factors of groups' weights, by class or by class and frequency: {crypto: 0.5, index daily: 2}"
    )
    mix: tuple[Mixed, ...] = Field((), description="other bars to mix in, none of which is held out for judging")

    @model_validator(mode="after")
    def _some_share_is_left(self) -> Self:
        if sum(one.share for one in self.mix) >= 1:
            raise ValueError("the shares of mix leave nothing for the data themselves")
        if self.holdout_from is not None and "holdout_share" in self.model_fields_set:
            raise ValueError("got holdout_share and holdout_from; give one of them")
        if self.short == "train" and (self.holdout_from is not None or self.provider_uri is not None):
            raise ValueError("got short: train, which would train on days that are held out of the other series")
        return self

    def at(self, place: str) -> Self:
        """Return the same with the bars taken from elsewhere: a folder, a file, sp500 or nasdaq.

        A folder without a manifest stands for the CSV and Parquet files in it; a Qlib provider keeps the instruments
        and the freq that the config says.
        """
        path = user_path(place).resolve()
        moved: dict[str, Any] = {"folder": None, "files": (), "source": None, "vectorbt": None, "provider_uri": None}
        if place in BUILT_IN:
            moved["source"] = place
        elif is_provider(path):
            moved |= {"source": "qlib", "provider_uri": str(path)}
        elif path.is_dir() and (path / self.manifest).exists():
            moved["folder"] = str(path)
        elif path.is_dir():
            moved["files"] = tuple(str(path / f"*{suffix}") for suffix in FILE_SUFFIXES if any(path.glob(f"*{suffix}")))
            moved["folder"] = None if moved["files"] else str(path)
        else:
            moved["files"] = (str(path),)
        return self.model_copy(update=moved)


class WindowConfig(_Section):
    """One training sample: context rows that give the units, then rows that are predicted."""

    bars: int = Field(384, ge=64, le=8192)
    context_min: int = Field(64, ge=32)
    context_max: int = Field(256, ge=32)
    volume_dropout: float = Field(0.1, ge=0, le=1, description="share of samples whose volume is hidden")
    coarser_share: float = Field(0.0, ge=0, le=1, description="share of training samples drawn in coarser bars")
    coarser: tuple[int, ...] = Field((2, 3, 4, 6, 12), min_length=1, description="bars that one coarser bar may join")


class Atoms(_Section):
    """Where ``increments`` put bars without a wick or a gap, so that a tokenizer can tell them from tiny ones."""

    wickless: float = Field(0.5, ge=0, description="a wick of zero lies this far below the smallest")
    gapless: float = Field(0.15, ge=0, description="every other gap lies this far from zero")


class StageConfig(_Section):
    """How long and how fast one stage learns: warm-up and cosine decay.

    ``muon`` takes the orthogonalised momentum of Jordan (2024) for the matrices of the blocks, at ``muon_rate``, and
    AdamW for all else; ``adamw`` takes AdamW for all.
    """

    steps: int = Field(ge=1)
    batch: int = Field(32, ge=1)
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0)
    muon_rate: float = Field(0.01, gt=0, description="learning rate of the matrices under muon")
    final_rate: float = Field(0.1, ge=0, le=1, description="share of the peak rate that the cosine ends at")
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="of products and activations; weights, sums and losses stay float32"
    )
    warmup: int = Field(100, ge=0)
    cosine_steps: int | None = Field(None, ge=1, description="the step that the cosine would end at; default: the last")
    cool_from: int | None = Field(
        None, ge=0, description="the step from which the rate falls in a straight line to its end at the last step"
    )
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    average: float = Field(0.999, ge=0, lt=1, description="decay of the running average of the weights")
    validate_every: int = Field(500, ge=1)
    patience: int | None = Field(
        None, ge=1, description="stop after so many judgements on held-out bars without a better one; keep the best"
    )
    save_every: int = Field(250, ge=1)


class TokenizerStage(StageConfig):
    """Tokenizer stage: its own shape as in a published config.json; a checkpoint to start from brings it."""

    match: float = Field(
        0.0, ge=0, description="weight of the distance between the sorted features of a window and of what is decoded"
    )
    shape: dict[str, Any] | None = None


class Lora(_Section):
    """Low-rank adaptation (Hu et al. 2021): the weights stay, a product of two thin matrices is learned beside them."""

    rank: int = Field(8, ge=1, le=1024)
    alpha: float = Field(16.0, gt=0, description="the product is scaled by alpha / rank")
    targets: tuple[str, ...] = Field(
        ("q_proj", "k_proj", "v_proj", "out_proj", "w1", "w2", "w3"),
        min_length=1,
        description="names of the linear layers that get one",
    )


class ModelStage(StageConfig):
    """Model stage: its own shape as in a published config.json; a checkpoint to start from brings it.

    ``freeze`` and ``lora`` go with a checkpoint to start from. Frozen: embedding, time, head, dependency,
    or ``layers: 0-5``.
    """

    shape: dict[str, Any] | None = None
    freeze: tuple[Frozen, ...] = ()
    lora: Lora | None = None


def _name(value: Any) -> str:
    """Return a name that can be the folder's under ``runs/``."""
    reason = bad_name(value) if isinstance(value, str) else "expected text"
    if reason:
        raise ValueError(f"got {shown(value)}; {reason}")
    return str(value)


class TrainConfig(_Section):
    """A whole training run."""

    name: Annotated[str, PlainValidator(_name)]
    # checkpoint to start from: nano, mini, small, base, a folder, or org/name@revision. None: from scratch.
    init: str | None = None
    # of an ``init`` on the Hub that has none known; or, without ``init``, the folder of a run that trained a tokenizer
    # alone
    init_tokenizer: str | None = None
    # what is trained, in this order; None: both from scratch, the model alone from a checkpoint
    stages: tuple[StageName, ...] | None = Field(None, min_length=1, max_length=2)
    seed: int = Field(0, ge=0, lt=2**63)
    threads: int = Field(2, ge=1)
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    representation: Kind | None = Field(None, description="default: increments, or that of the checkpoint")
    atoms: Atoms = Atoms()
    data: DataConfig
    window: WindowConfig = WindowConfig()
    tokenizer: TokenizerStage | None = None
    model: ModelStage | None = None

    @property
    def trained(self) -> tuple[StageName, ...]:
        """Which stages are trained."""
        return self.stages or (("model",) if self.init else ("tokenizer", "model"))

    def stage(self, name: StageName) -> TokenizerStage | ModelStage:
        """Return a stage that is trained."""
        found = self.tokenizer if name == "tokenizer" else self.model
        if found is None:
            raise ValueError(f"the stage {name} is not trained here")
        return found


# Reading a training config: every mistake with its file, line and field, before any data is touched


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
