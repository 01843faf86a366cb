"""The tokenizer: bars to hierarchical token pairs and back, by a causal transformer autoencoder."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenario_gen.kronos.config import TokenizerConfig
from scenario_gen.kronos.model import Block
from scenario_gen.kronos.weights import Stored, made


def pack_bits(bits: Tensor) -> Tensor:
    """Read bits {0, 1} [..., n] as little-endian whole numbers [...]."""
    weights = 2 ** torch.arange(bits.shape[-1], device=bits.device)
    return (bits.long() * weights).sum(-1)


def unpack_bits(tokens: Tensor, n_bits: int) -> Tensor:
    """Write whole numbers [...] as little-endian bits {0, 1}, int64 [..., n_bits]."""
    return (tokens.unsqueeze(-1) >> torch.arange(n_bits, device=tokens.device)) & 1


class _Bsq(nn.Module):
    """Holder of the published checkpoints' index buffers; nothing here is learned."""

    def __init__(self, n_bits: int, group_size: int) -> None:
        super().__init__()
        for name, bits in (("basis", n_bits), ("group_basis", group_size)):
            self.register_buffer(name, made(partial(powers_of_two, bits), bits, dtype=torch.int64))


def powers_of_two(bits: int) -> Tensor:
    """Return the worth of each bit, the largest first, int64 [bits]."""
    return 2 ** torch.arange(bits - 1, -1, -1)


class BinarySphericalQuantizer(nn.Module):
    """Signs of a normalised vector, with the straight-through gradient and the entropy penalty."""

    def __init__(self, s1_bits: int, s2_bits: int, group_size: int) -> None:
        super().__init__()
        self.s1_bits = s1_bits
        self.n_bits = s1_bits + s2_bits
        self.group_size = group_size
        self.scale = 1.0 / math.sqrt(self.n_bits)
        self.bsq = _Bsq(self.n_bits, group_size)

    def signs(self, z: Tensor) -> Tensor:
        """Return the scaled signs of z [..., n]; gradients pass straight through the sphere."""
        u = F.normalize(z, dim=-1)
        hard = torch.where(u > 0, self.scale, -self.scale).type_as(u)
        return u + (hard - u).detach()

    def tokens(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return (s1, s2), int64 [...], for z [..., n]."""
        bits = z > 0
        return pack_bits(bits[..., : self.s1_bits]), pack_bits(bits[..., self.s1_bits :])

    def from_tokens(self, s1: Tensor, s2: Tensor) -> Tensor:
        """Return the scaled signs, float32 [..., n], that stand for the tokens."""
        bits = torch.cat((unpack_bits(s1, self.s1_bits), unpack_bits(s2, self.n_bits - self.s1_bits)), dim=-1)
        return (bits.float() * 2 - 1) * self.scale

    def penalty(self, z: Tensor, beta: float, gamma0: float, gamma: float, zeta: float) -> Tensor:
        """Return commitment plus entropy penalty: confident bits, but every group code in use.

        Soft bit probabilities are sigmoid(4 u / sqrt(n)) sharpened by 100 / 4, i.e. the softmax over squared
        distances to both signs at inverse temperature 100; the entropy of the mean group code is exact per group.
        """
        u = F.normalize(z, dim=-1)
        commit = (u - self.signs(z).detach()).square().sum(-1).mean()
        p = torch.sigmoid(4 * 25.0 * u * self.scale)  # [..., n]
        sample_entropy = _binary_entropy(p).sum(-1).mean()
        codebook_entropy = self._group_entropy(p.reshape(-1, self.n_bits))
        return beta * commit + zeta * (gamma0 * sample_entropy - gamma * codebook_entropy)

    def _group_entropy(self, p: Tensor) -> Tensor:
        """Return the summed entropy of each group's mean code distribution, from bit probabilities [M, n]."""
        groups = p.unflatten(-1, (-1, self.group_size))  # [M, G, g]
        joint = torch.stack((1 - groups[..., 0], groups[..., 0]), dim=-1)  # [M, G, 2]
        for i in range(1, self.group_size):
            pair = torch.stack((1 - groups[..., i], groups[..., i]), dim=-1)
            joint = (joint.unsqueeze(-1) * pair.unsqueeze(-2)).flatten(-2)
        mean = joint.mean(0)  # [G, 2^g]
        return -(mean * mean.clamp_min(1e-12).log()).sum()


def _binary_entropy(p: Tensor) -> Tensor:
    """Return the entropy of a bit in nats, elementwise."""
    p = p.clamp(1e-6, 1 - 1e-6)
    return -(p * p.log() + (1 - p) * (1 - p).log())


# --- The tokenizer: bars to hierarchical token pairs and back, by a causal transformer autoencoder ---


class TokenizerLoss(NamedTuple):
    """The parts of the training loss, each a scalar tensor."""

    total: Tensor
    coarse: Tensor  # squared error of the reconstruction from s1 alone
    fine: Tensor  # squared error of the reconstruction from s1 and s2
    penalty: Tensor
    decoded: Tensor  # features [B, T, d_in] from s1 and s2, float32


class KronosTokenizer(Stored[TokenizerConfig]):
    """Encode features [B, T, d_in] to tokens (s1, s2) [B, T] and decode them.

    Causal throughout: token t depends on bars 0..t, decoded bar t on tokens 0..t.
    """

    config_kind = TokenizerConfig

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(config)
        d = config.d_model
        self.embed = nn.Linear(config.d_in, d)
        self.head = nn.Linear(d, config.d_in)
        self.encoder = nn.ModuleList(_block(config) for _ in range(config.n_enc_layers - 1))
        self.decoder = nn.ModuleList(_block(config) for _ in range(config.n_dec_layers - 1))
        self.quant_embed = nn.Linear(d, config.s1_bits + config.s2_bits)
        self.post_quant_embed_pre = nn.Linear(config.s1_bits, d)
        self.post_quant_embed = nn.Linear(config.s1_bits + config.s2_bits, d)
        self.tokenizer = BinarySphericalQuantizer(config.s1_bits, config.s2_bits, config.group_size)

    def latent(self, x: Tensor) -> Tensor:
        """Return the vector whose signs are the bits, [B, T, bits], for features [B, T, d_in]."""
        z: Tensor = self.embed(x)
        for block in self.encoder:
            z = block(z)
        return self.quant_embed(z)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return token ids (s1, s2), int64 [B, T], for features [B, T, d_in]."""
        return self.tokenizer.tokens(self.latent(x))

    def decode(self, s1: Tensor, s2: Tensor) -> Tensor:
        """Return features [B, T, d_in] for token ids [B, T]."""
        return self._decode(self.post_quant_embed(self.tokenizer.from_tokens(s1, s2)))

    def _decode(self, z: Tensor) -> Tensor:
        for block in self.decoder:
            z = block(z)
        return self.head(z)

    def loss(self, x: Tensor) -> TokenizerLoss:
        """Return the reconstruction loss of both levels plus the quantizer's penalty."""
        c = self.config
        z = self.latent(x).float()  # squares, entropies and signs near zero need more digits than bfloat16 has
        signs = self.tokenizer.signs(z)
        coarse = F.mse_loss(self._decode(self.post_quant_embed_pre(signs[..., : c.s1_bits])).float(), x)
        decoded = self._decode(self.post_quant_embed(signs)).float()
        fine = F.mse_loss(decoded, x)
        penalty = self.tokenizer.penalty(z, c.beta, c.gamma0, c.gamma, c.zeta)
        total = (coarse + fine + penalty) / 2
        return TokenizerLoss(total, coarse.detach(), fine.detach(), penalty.detach(), decoded)


def _block(config: TokenizerConfig) -> Block:
    return Block(
        config.d_model,
        config.n_heads,
        config.ff_dim,
        config.ffn_dropout_p,
        config.attn_dropout_p,
        config.resid_dropout_p,
    )
