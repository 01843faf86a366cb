"""The two configurations of a checkpoint, as they stand in its ``config.json`` files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from scenario_gen.errors import CheckpointError

DEPENDENCY_HEADS = 4  # of the dependency layer, in every published checkpoint
# Far above every published checkpoint: a damaged config.json must not make the machine build a giant.
MAX_WIDTH = 65_536
MAX_SIZES = {"n_layers": 256, "n_enc_layers": 256, "n_dec_layers": 256, "s1_bits": 20, "s2_bits": 20}


class _Config:
    """Reading and writing shared by both configurations."""

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any], where: str) -> Self:
        """Build the configuration from a parsed ``config.json``; keys it does not know are passed over."""
        known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]  # subclasses are dataclasses
        given = {key: value for key, value in raw.items() if key in known}
        try:
            return cls(**given)
        except (TypeError, ValueError) as error:
            raise CheckpointError(
                f"{where}: the configuration cannot be used: {error}",
                expected=", ".join(known),
                fix="take the config.json that was published with the weights",
            ) from None

    def to_mapping(self) -> dict[str, Any]:
        """Return the configuration as it is written to ``config.json``."""
        return asdict(self)  # type: ignore[call-overload]  # subclasses are dataclasses


def _need_positive(config: Any, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} is {value!r}, not a positive whole number")
        largest = MAX_SIZES.get(name, MAX_WIDTH)
        if value > largest:
            raise ValueError(f"{name} is {value}, more than {largest}")


def _need_shares(config: Any, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(config, name)
        if not is_number(value) or not 0 <= value < 1:
            raise ValueError(f"{name} is {value!r}, not a share from 0 up to 1")


def is_number(value: object) -> bool:
    """Whether a value is a number that float32 holds: not NaN, which is not at most anything, nor beyond all floats."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e30


def _need_even_heads(width: int, n_heads: int) -> None:
    """Rotary positions turn pairs of numbers within each head."""
    if width % (2 * n_heads):
        raise ValueError(f"d_model {width} does not split into {n_heads} heads of an even width")


@dataclass(frozen=True)
class ModelConfig(_Config):
    """Shape of the decoder-only model over (s1, s2) token pairs."""

    n_layers: int
    d_model: int
    n_heads: int
    ff_dim: int
    s1_bits: int
    s2_bits: int
    ffn_dropout_p: float = 0.0
    attn_dropout_p: float = 0.0
    resid_dropout_p: float = 0.0
    token_dropout_p: float = 0.0
    learn_te: bool = True
    marks: bool = False  # whether it reads the marks of :mod:`scenario_gen.kronos.representation` beside the calendar

    def __post_init__(self) -> None:
        _need_positive(self, ("n_layers", "d_model", "n_heads", "ff_dim", "s1_bits", "s2_bits"))
        _need_shares(self, ("ffn_dropout_p", "attn_dropout_p", "resid_dropout_p", "token_dropout_p"))
        for name in ("learn_te", "marks"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} is {getattr(self, name)!r}, neither true nor false")
        _need_even_heads(self.d_model, self.n_heads)
        _need_even_heads(self.d_model, DEPENDENCY_HEADS)

    def to_mapping(self) -> dict[str, Any]:
        """Return the published keys, and ``marks`` only where they are read: no published model knows the word."""
        return {key: value for key, value in super().to_mapping().items() if key != "marks" or value}


@dataclass(frozen=True)
class TokenizerConfig(_Config):
    """Shape of the tokenizer. ``n_enc_layers = n`` builds n - 1 blocks, as the published checkpoints do."""

    d_in: int
    d_model: int
    n_heads: int
    ff_dim: int
    n_enc_layers: int
    n_dec_layers: int
    s1_bits: int
    s2_bits: int
    group_size: int
    ffn_dropout_p: float = 0.0
    attn_dropout_p: float = 0.0
    resid_dropout_p: float = 0.0
    beta: float = 0.05
    gamma0: float = 1.0
    gamma: float = 1.1
    zeta: float = 0.05

    def __post_init__(self) -> None:
        sizes = ("d_in", "d_model", "n_heads", "ff_dim", "n_enc_layers", "n_dec_layers", "s1_bits", "s2_bits")
        _need_positive(self, (*sizes, "group_size"))
        _need_shares(self, ("ffn_dropout_p", "attn_dropout_p", "resid_dropout_p"))
        _need_even_heads(self.d_model, self.n_heads)
        for name in ("beta", "gamma0", "gamma", "zeta"):
            if not is_number(getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)!r}, not a number")
        if (self.s1_bits + self.s2_bits) % self.group_size:
            raise ValueError(f"{self.s1_bits + self.s2_bits} bits do not split into groups of {self.group_size}")
