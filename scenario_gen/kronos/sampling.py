"""From logits to one token: temperature, top_k, top_p and inverse-CDF sampling from given uniforms, in any order.

An order of tokens changes which uniform draws which token and not how often it is drawn: the law of the paths stays.
Which order tokens have is not known here (:mod:`scenario_gen.kronos.order`).

Shapes: N rows, V tokens of a level, V1 of the first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

LOG2E = math.log2(math.e)
RUN = 32  # tokens whose probabilities are summed together before one of them is drawn
BINS = (8, 4)  # of return in a nested order, of s1 and of s2


@dataclass(frozen=True, eq=False)
class LevelOrder:
    """In which order the tokens of one level are drawn.

    With ``within`` there are two uniforms: the first draws a bin of return of (nearly) equal mass, whatever the
    distribution, the second a token of the bin by the order ``within``.
    """

    tokens: Tensor  # int64 [S, V], from the lowest return to the highest; S is V1 for s2, or 1 where the order is one
    within: Tensor | None = None  # int64 [S, V], places in that order, from the lowest volume to the highest
    bins: int = 1

    def on(self, device: torch.device) -> LevelOrder:
        """Return the order on a device."""
        within = None if self.within is None else self.within.to(device)
        return replace(self, tokens=self.tokens.to(device), within=within)

    def drawn(self, unscaled: Tensor, uniforms: Tensor, first: Tensor | None = None) -> Tensor:
        """Return tokens [N], as :func:`draw` does.

        Args:
            unscaled: probabilities up to a factor [N, V].
            uniforms: [N, 1], or [N, 2] with ``within``.
            first: s1 [N], where these are tokens of s2.
        """
        tokens = self._of(self.tokens, first)
        ordered = _taken(unscaled, tokens)
        place = draw(ordered, uniforms[:, 0])
        if self.within is not None:
            within = self._of(self.within, first)
            bins = self._bins(ordered)
            inside = bins == bins.gather(1, place[:, None])
            place = _taken(within, draw(_taken(ordered * inside, within), uniforms[:, 1])[:, None])[:, 0]
        return _taken(tokens, place[:, None])[:, 0]

    def bounds(self, unscaled: Tensor, real: Tensor, first: Tensor | None = None) -> Tensor:
        """Return between which uniforms a token would have been drawn, float64 [N, 1 or 2, 2].

        Args:
            unscaled: probabilities up to a factor [N, V].
            real: the token [N]. One that is never drawn has a point, or all of its bin.
            first: s1 [N], where these are tokens of s2.
        """
        tokens = self._of(self.tokens, first)
        ordered = _taken(unscaled.double(), tokens)
        place = (tokens == real[:, None]).long().argmax(-1, keepdim=True)  # [N, 1]
        if self.within is None:
            return _mass(ordered, torch.arange(ordered.shape[1], device=real.device), place)[:, None]
        bins, within = self._bins(ordered), self._of(self.within, first)
        inside = bins == bins.gather(1, place)
        whole = ordered.sum(-1, keepdim=True)
        edges = torch.stack(((ordered * (bins < bins.gather(1, place))).sum(-1), (ordered * inside).sum(-1)), -1)
        outer = edges.cumsum(-1) / whole
        rank = torch.empty_like(within).scatter_(
            -1, within, torch.arange(within.shape[-1], device=real.device).expand_as(within)
        )
        rank = rank.expand(len(real), -1)
        inner = _mass(ordered * inside, rank, rank.gather(1, place))
        return torch.stack((outer, inner), 1)

    def _of(self, table: Tensor, first: Tensor | None) -> Tensor:
        """Return the rows of a table that belong to the first tokens, [N or 1, V]."""
        return table if first is None or len(table) == 1 else table[first]

    def _bins(self, ordered: Tensor) -> Tensor:
        """Return the bin of return of each place [N, V]: by the middle of its cell, so that bins have equal mass."""
        cumulative = ordered.cumsum(-1)
        middle = (cumulative - ordered / 2) / cumulative[:, -1:]
        return (middle * self.bins).floor_().clamp_(max=self.bins - 1)


@dataclass(frozen=True, eq=False)
class TokenOrder:
    """In which order both levels are drawn."""

    kind: str  # return or nested
    levels: tuple[LevelOrder, LevelOrder]  # of s1, and of s2 given s1

    @property
    def per_level(self) -> int:
        """Uniforms that a token takes."""
        return 1 if self.levels[0].within is None else 2

    def on(self, device: torch.device) -> TokenOrder:
        """Return the order on a device."""
        first, second = self.levels
        return TokenOrder(self.kind, (first.on(device), second.on(device)))


@dataclass(frozen=True)
class SamplingRule:
    """How a token is drawn."""

    temperature: float = 1.0  # divides the logits; 0 takes the token that the limit of ever lower temperatures takes
    top_p: float = 1.0  # keep the likeliest tokens until their probability crosses it; 1 keeps all
    top_k: int = 0  # keep the k likeliest tokens; 0 keeps all
    upstream: bool = False  # follow the published sampler, in which top_k > 0 silences top_p. Ours applies both.
    order: TokenOrder | None = None  # which tokens low uniforms draw; None: by number

    @property
    def per_bar(self) -> int:
        """Uniforms that a bar takes: those of s1, then those of s2."""
        return 2 if self.order is None else 2 * self.order.per_level

    def drawn(self, unscaled: Tensor, uniforms: Tensor, first: Tensor | None = None) -> Tensor:
        """Return the bar's s1, or with s1 [N] its s2 [N], from probabilities up to a factor and its uniforms.

        Args:
            unscaled: [N, V].
            uniforms: of the whole bar [N, per_bar].
            first: s1 [N], where s2 is drawn.
        """
        level = 0 if first is None else 1
        if self.order is None:
            return draw(unscaled, uniforms[:, level])
        mine = uniforms.unflatten(1, (2, -1))[:, level]
        return self.order.levels[level].drawn(unscaled, mine, first)


def probabilities(logits: Tensor, rule: SamplingRule, log_volume: Tensor | None = None) -> Tensor:
    """Return the sampling probabilities float32 [N, V]: :func:`weights` over their sum."""
    unscaled = weights(logits, rule, log_volume)
    return unscaled / unscaled.sum(-1, keepdim=True)


def weights(logits: Tensor, rule: SamplingRule, log_volume: Tensor | None = None) -> Tensor:
    """Return what the sampling probabilities are proportional to, float32 [N, V], for logits [N, V].

    With ``log_volume`` [V] the density over the cells' volume is tempered instead of the code: the weights are
    exp(logits / T + (1 - 1/T) log v). At T = 1 both rules are the untempered model; as T falls to 0 the first
    takes the densest cell, and the plain rule the likeliest.
    """
    logits = logits.float()
    if rule.temperature == 0:
        peak = logits if log_volume is None else logits - log_volume
        return torch.zeros_like(logits).scatter_(-1, peak.argmax(-1, keepdim=True), 1.0)
    if rule.temperature != 1:
        logits = logits / rule.temperature
        if log_volume is not None:
            logits = logits + (1 - 1 / rule.temperature) * log_volume
    if rule.top_k > 0:
        kth = logits.topk(min(rule.top_k, logits.shape[-1]), dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if rule.top_p < 1 and not (rule.upstream and rule.top_k > 0):
        logits = _nucleus(logits, rule.top_p)
    return (logits - logits.amax(-1, keepdim=True)).mul_(LOG2E).exp2_()  # exp2 is the faster exponential


def _nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Silence what lies after the token whose cumulative probability crosses ``top_p``."""
    ordered, order = logits.sort(dim=-1, descending=True)
    before = ordered.softmax(-1).cumsum(-1)
    drop = before.roll(1, dims=-1) > top_p
    drop[..., 0] = False
    return logits.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -torch.inf)


def draw(unscaled: Tensor, uniforms: Tensor) -> Tensor:
    """Return the token [N] at which the cumulative probability first exceeds the uniform [N] in [0, 1).

    ``unscaled`` [N, V] are probabilities up to a factor. A token of probability 0 is never drawn, whatever the
    rounding. Many tokens are summed in runs: one running sum over the runs finds the run, a second one the token in
    it, which takes a fifth of the time of a running sum over all.
    """
    many = unscaled.shape[-1] >= 4 * RUN and unscaled.shape[-1] % RUN == 0
    runs = unscaled.unflatten(-1, (-1, RUN)) if many else unscaled[..., None]  # [N, G, RUN or 1]
    edges = (runs.sum(-1) if many else unscaled).cumsum(-1)
    total = edges[:, -1:]
    target = uniforms.to(total.dtype)[:, None] * total
    run = _first_above(edges, target)  # [N, 1]
    if not many:
        return run.squeeze(-1)
    before = torch.where(run > 0, edges.gather(1, (run - 1).clamp_min(0)), 0)
    inside = runs[torch.arange(len(run), device=run.device), run[:, 0]].cumsum(-1)  # [N, RUN]
    return (run * RUN + _first_above(inside, target - before)).squeeze(-1)


def _first_above(cumulative: Tensor, target: Tensor) -> Tensor:
    """Return the first place [N, 1] whose sum exceeds the target [N, 1], or the last that adds anything."""
    total = cumulative[:, -1:]
    target = torch.minimum(target, total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(cumulative, target, right=True)


def _taken(values: Tensor, places: Tensor) -> Tensor:
    """Return values [N or 1, V] at places [N or 1, K] of each row."""
    if len(places) == 1 < len(values):
        return values.index_select(1, places[0])
    if len(values) == 1 < len(places):
        return values[0][places]
    return values.gather(1, places)


def _mass(values: Tensor, rank: Tensor, mine: Tensor) -> Tensor:
    """Return the shares of values [N, V] whose rank is below mine [N, 1] and not above it, [N, 2]; 0 and 1 of none."""
    whole = values.sum(-1)
    sums = torch.stack(((values * (rank < mine)).sum(-1), (values * (rank <= mine)).sum(-1)), -1)
    return torch.where(whole[:, None] > 0, sums / whole[:, None].clamp_min(1e-300), sums.new_tensor([0.0, 1.0]))
