"""The tokenizer: bars to hierarchical token pairs and back, by a causal transformer autoencoder."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from scenario_gen.kronos.config import TokenizerConfig
from scenario_gen.kronos.layers import Block
from scenario_gen.kronos.quantizer import BinarySphericalQuantizer
from scenario_gen.kronos.weights import Stored


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
