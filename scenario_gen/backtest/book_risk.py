"""What a book risks, and which of its parts it owes that to: VaR, expected shortfall, and their contributions.

Three senses of loss (see ``backtest.book_losses``) at three levels, each shared out among the parts so that the shares
add up to the whole. Every figure comes with its Monte Carlo error. Knows losses per path; knows neither strategies,
markets, nor what is allowed.

Contributions are Euler's (Tasche 1999, Risk Contributions and Performance Measurement): how fast the book's figure
grows with the size of the part. Of expected shortfall that is what the part loses on average on the paths beyond the
VaR, the last one counted in part; so they add up to the shortfall of ``stats.estimate``. Of VaR it is what the part
loses where the book loses just that: a local linear regression on the book's loss, with Epanechnikov's kernel on the
ranks around the level. It reproduces the loss itself, so these add up to the VaR by themselves and nothing is scaled.

Paths are independent, so every error is that of a mean over paths of the figure's influence (the delta method): with
m the VaR contribution of part X of loss L, that of its shortfall is m + 1{L > VaR} (X - m) / (1 - level), which of the
whole is Rockafellar and Uryasev's. Ratios are linearised; a VaR contribution adds the error of the regression to
its slope times that of the VaR. Weighted paths, in islands or not, have the error of their weighted mean.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.book_losses import SENSES, BookLosses, JointFalls, PathLosses, Sense
from scenario_gen.backtest.tail.losses import expected_shortfall, tail_losses
from scenario_gen.stats.estimate import BEYOND, Estimate, mean, share
from scenario_gen.stats.weights import Weighting, Weights

LEVELS = (0.95, 0.975, 0.99)
ROUNDING = 1e-12  # a rest of the tail this small is what sums of shares leave
SHOWN = 5  # joint falls that are told one by one


@dataclass(frozen=True)
class Contribution:
    """What one part of a book, an asset or a strategy, has to do with its tail."""

    name: str
    es: Estimate  # what this part loses, on average, on the paths of the book's tail; over all parts they sum to its ES
    share: (
        Estimate  # that as a share of the book's ES: 0.5 for half of the tail's loss, negative for a part that hedges
    )
    var: Estimate  # what this part loses where the book loses just its VaR; over all parts they sum to the VaR
    # by how much the book's ES would grow for each unit of equity more that is held in this part, as it is held now:
    # ``es`` over the mean of |value held| / equity; without a value where nothing is held or the holding is not told
    marginal: Estimate
    alone: Estimate  # the ES if this part were the whole book and all else stayed in cash
    saved: Estimate  # by how much the book's ES would fall if this part stayed in cash; negative: it would rise


@dataclass(frozen=True)
class BookTail:
    """The tail of one sense of loss at one level, shared out among the parts of the book."""

    sense: Sense  # of the starting cash at the end; of equity in the worst bar; of the peak in the deepest drawdown
    level: float  # 0.95, 0.975 or 0.99
    var: Estimate  # the loss that this share of the paths stays within
    es: Estimate  # the mean loss of the paths beyond
    parts: tuple[Contribution, ...]  # in the book's order; empty where the tail is refused, and ``es`` says why
    # the book's ES over the sum of what its parts would have alone: 1 where nothing is diversified away, 0.6 where
    # four tenths are
    diversification: Estimate
    # sum of squared shares of the parts that lose in the tail (Herfindahl): 1 where a single part loses it all, 1 / n
    # where n lose alike
    concentration: Estimate
    tail_paths: int  # how many paths the tail has
    half_paths: int | None  # so many of them hold half of its loss; None where the tail is no loss
    near_paths: int  # how many paths around the VaR its contributions rest on
    near_width: float  # bandwidth of that neighbourhood: ranks this far from the level at most, as a share of paths


@dataclass(frozen=True)
class JointBar:
    """One bar at which most assets fell together."""

    path_id: int
    bar: int  # from 0 at the first generated bar
    fallen: int  # assets that fell beyond their own 5 %
    loss: float  # of the book in this bar, as a share of equity before it


@dataclass(frozen=True)
class JointBars:
    """The bars at which more than half of the assets that trade fall beyond the 5 % quantile of their own returns."""

    paths: Estimate  # share of the paths on which that happens at least once
    bars: Estimate  # how many of a path's bars are such, on average
    expected: float  # how many would be if each asset fell by itself and as often: what chance alone brings together
    loss: Estimate  # what the book loses in such a bar, on average, as a share of equity before it
    worst: tuple[JointBar, ...]  # the five paths with the largest such loss in a bar, and that bar


@dataclass(frozen=True)
class BookRisk:
    """What a book risks, and to which of its parts it owes that."""

    names: tuple[str, ...]  # of the parts: assets, or strategies that share the capital
    paths: int  # how many paths this rests on
    tails: tuple[BookTail, ...]  # three senses of loss at three levels each
    joint: JointBars | None = None  # bars at which most assets fall; None where the assets' returns are not known
    weighting: Weighting | None = None  # of the paths; None where all stand for as much

    def tail(self, sense: Sense, level: float) -> BookTail:
        """Return the tail of one sense of loss at one level."""
        return next(tail for tail in self.tails if tail.sense == sense and tail.level == level)

    def shares(self, sense: Sense, level: float) -> list[Estimate]:
        """Return the share that each part has in a tail's ES, in the book's order; none where the tail is refused."""
        return [part.share for part in self.tail(sense, level).parts]


def book_risk(losses: BookLosses, weights: Weights | None = None, levels: tuple[float, ...] = LEVELS) -> BookRisk:
    """Return what a book risks, from its losses on every path.

    Args:
        losses: see :meth:`BookLosses.of`, of all paths.
        weights: of the paths, where they do not all stand for as much.
        levels: of the tails.
    """
    return BookRisk(
        names=losses.names,
        paths=len(losses),
        tails=tuple(
            _book_tail(sense, level, getattr(losses, sense), losses, weights) for sense in SENSES for level in levels
        ),
        joint=None if losses.joint is None or not len(losses) else _joint_bars(losses.joint, losses, weights),
        weighting=None if weights is None else weights.summary,
    )


def _book_tail(sense: Sense, level: float, lost: PathLosses, losses: BookLosses, weights: Weights | None) -> BookTail:
    total = lost.total
    (whole,) = tail_losses(-total, (level,), weights)
    if whole.var.value is None or whole.cvar.value is None:
        reason = whole.cvar.reason or whole.var.reason
        refused = Estimate(None, n=len(total), reason=reason)
        return BookTail(sense, level, whole.var, whole.cvar, (), refused, refused, 0, None, 0, 0.0)
    p = _shares(len(total), weights)
    counted = tail_shares(total, level, p)
    near = _Near.around(total, whole.var, level, p)
    inside = _inside(counted, level, p)
    at, slopes = near.fit(lost.parts)
    influence = at + inside[:, None] * (lost.parts - at) / (1.0 - level)  # [path, part], its mean is the contribution
    of_whole = influence.sum(axis=1)
    es = p @ influence  # [part]
    alone = [expected_shortfall(lost.alone[:, part], level, weights) for part in range(len(es))]
    figures = zip(
        losses.names,
        _means(influence, weights),
        _ratios(influence, of_whole[:, None], p, weights),
        _means(near.influence(lost.parts, at, slopes, whole.var, weights), weights),
        _marginal(influence, losses.held, p, weights),
        alone,
        _means(of_whole[:, None] - _own_tails(lost.without, level, p), weights),
        strict=True,
    )
    held = np.flatnonzero(counted > 0)
    by_size = np.cumsum(np.sort(counted[held] * total[held])[::-1])
    return BookTail(
        sense=sense,
        level=level,
        var=whole.var,
        es=whole.cvar,
        parts=tuple(Contribution(*row) for row in figures),
        diversification=_diversification(of_whole, lost.alone, alone, level, p, weights),
        concentration=_concentration(influence, es, weights),
        tail_paths=len(held),
        half_paths=int(np.argmax(by_size >= by_size[-1] * (0.5 - ROUNDING))) + 1 if by_size[-1] > 0 else None,
        near_paths=near.paths,
        near_width=near.width,
    )


def _shares(paths: int, weights: Weights | None) -> Floats:
    return np.full(paths, 1.0 / paths) if weights is None else weights.shares


def tail_shares(losses: Floats, level: float, shares: Floats) -> Floats:
    """Return what each path counts in the mean of the worst ``1 - level`` of losses, float64 [path], of sum 1.

    Args:
        losses: float64 [path].
        level: such as 0.975.
        shares: float64 [path], what each path stands for, of sum 1; the path at the edge counts with the rest.
    """
    order = np.argsort(-losses, kind="stable")
    before = np.cumsum(shares[order]) - shares[order]
    counted = np.empty_like(losses, dtype=np.float64)
    rest = 1.0 - level - before
    counted[order] = np.clip(np.where(rest > ROUNDING, rest, 0.0), 0.0, shares[order])
    return np.asarray(counted / counted.sum())


def _inside(counted: Floats, level: float, shares: Floats) -> Floats:
    """Return how much of each path lies in the tail, 0 to 1."""
    return np.divide(counted * (1.0 - level), shares, out=np.zeros_like(counted), where=shares > 0)


def _own_tails(losses: Floats, level: float, shares: Floats) -> Floats:
    """Return the influence of every path on the ES of each column by itself, [path, column]; its mean is the ES."""
    out = np.empty_like(losses)
    for column, values in enumerate(losses.T):
        counted = tail_shares(values, level, shares)
        edge = values[counted > 0].min()
        out[:, column] = edge + _inside(counted, level, shares) * (values - edge) / (1.0 - level)
    return out


@dataclass(frozen=True, eq=False)
class _Near:
    """The local linear regression on the book's loss, at its VaR."""

    apart: Floats  # [path] loss less VaR
    kernel: Floats  # [path] what each path counts, of sum 1
    lines: Floats  # [path] what each path counts in the regression's value at the VaR: sum 1, and 0 with ``apart``
    beyond: Floats  # [path] 1 where the loss is beyond the VaR
    shares: Floats  # [path] what each path stands for
    paths: int
    width: float

    @classmethod
    def around(cls, total: Floats, var: Estimate, level: float, shares: Floats) -> _Near:
        """Weigh the paths around the VaR.

        The neighbourhood reaches as far as half of the tail to each side of the level where that has the 20 paths that
        it must have; of more it takes a share that falls with their fifth root, the rate of least error.
        """
        assert var.value is not None
        order = np.argsort(total, kind="stable")
        ranks = np.empty_like(total)
        ranks[order] = np.cumsum(shares[order]) - shares[order] / 2
        beyond = (1.0 - level) / float(shares @ shares)  # paths in the tail, as many as that alike
        width = (1.0 - level) / 2 * min((BEYOND / beyond) ** 0.2, 1.0)
        nearest = np.sort(np.abs(ranks - level)[shares > 0])[:BEYOND]
        width = max(width, float(nearest[-1]) * (1 + 1e-9))
        kernel = shares * np.maximum(1.0 - ((ranks - level) / width) ** 2, 0.0)
        kernel /= kernel.sum()
        apart = total - var.value
        centre = kernel @ apart
        spread = kernel @ (apart - centre) ** 2
        flat = spread <= 1e-24 * max(var.value**2, 1e-24)  # all lose the same there
        lines = kernel if flat else kernel * (1.0 - centre * (apart - centre) / spread)
        over = (apart > 0).astype(np.float64)
        return cls(apart, kernel, lines, over, shares, int(np.count_nonzero(kernel)), width)

    def fit(self, parts: Floats) -> tuple[Floats, Floats]:
        """Return what each part loses at the VaR, and how fast that grows with the book's loss, [part] each."""
        centred = self.apart - self.kernel @ self.apart
        spread = self.kernel @ centred**2
        slopes = (self.kernel * centred) @ parts / spread if spread > 0 else np.zeros(parts.shape[1])
        return self.lines @ parts, slopes

    def influence(self, parts: Floats, at: Floats, slopes: Floats, var: Estimate, weights: Weights | None) -> Floats:
        """Return each path's influence on what the parts lose at the VaR, [path, part]; its mean is that."""
        left = parts - at - self.apart[:, None] * slopes
        counts = np.divide(self.lines, self.shares, out=np.zeros_like(self.lines), where=self.shares > 0)
        beyond = self.beyond - self.shares @ self.beyond
        error, of_var = mean(beyond, weights), 0.0  # how far the VaR moves with the share of paths beyond it
        if None not in (var.low, var.high, error.low, error.high) and error.high > error.low:  # type: ignore[operator]
            of_var = (var.high - var.low) / (error.high - error.low)  # type: ignore[operator]
        return np.asarray(at + counts[:, None] * left + of_var * beyond[:, None] * slopes)


def _means(influence: Floats, weights: Weights | None) -> list[Estimate]:
    """Return the mean of each column with its error."""
    return [mean(np.ascontiguousarray(column), weights) for column in influence.T]


def _ratios(above: Floats, below: Floats, shares: Floats, weights: Weights | None) -> list[Estimate]:
    """Return ratios of means, column by column, with the error of their linear parts."""
    under = shares @ below
    refused = Estimate(None, n=len(above), reason="the book loses nothing there")
    if float(under.min()) <= 0:
        return [refused] * above.shape[1]
    ratio = shares @ above / under
    return _means(ratio + (above - ratio * below) / under, weights)


def _marginal(influence: Floats, held: Floats | None, shares: Floats, weights: Weights | None) -> list[Estimate]:
    if held is None:
        return [Estimate(None, n=len(influence), reason="not told how much is held")] * influence.shape[1]
    out = []
    for column, holding in zip(influence.T, held.T, strict=True):
        if shares @ holding <= 0:
            out.append(Estimate(None, n=len(influence), reason="nothing of it is held"))
        else:
            out += _ratios(column[:, None], holding[:, None], shares, weights)
    return out


def _diversification(
    of_whole: Floats, losses: Floats, alone: list[Estimate], level: float, shares: Floats, weights: Weights | None
) -> Estimate:
    for estimate in alone:
        if estimate.value is None:
            return replace(estimate, low=None, high=None)
    summed = _own_tails(losses, level, shares).sum(axis=1)
    if shares @ summed <= 0:
        return Estimate(None, n=len(of_whole), reason="no part loses anything alone")
    return _ratios(of_whole[:, None], summed[:, None], shares, weights)[0]


def _concentration(influence: Floats, es: Floats, weights: Weights | None) -> Estimate:
    losing = np.maximum(es, 0.0)
    if losing.sum() <= 0:
        return Estimate(None, n=len(influence), reason="no part loses anything there")
    parts = losing / losing.sum()
    value = float(parts @ parts)
    slope = np.where(es > 0, 2.0 * (parts - value) / losing.sum(), 0.0)
    return mean(value + (influence - es) @ slope, weights)


def _joint_bars(falls: JointFalls, losses: BookLosses, weights: Weights | None) -> JointBars:
    p, some = _shares(len(losses), weights), falls.hits > 0
    loss = Estimate(None, n=len(losses), reason="there is no such bar")
    if p @ falls.hits > 0:
        loss = _ratios(falls.loss[:, None], falls.hits[:, None], p, weights)[0]
    worst = sorted(np.flatnonzero(some & (p > 0)), key=lambda row: (-falls.worst[row], row))[:SHOWN]
    return JointBars(
        paths=share(some, weights),
        bars=mean(falls.hits, weights),
        expected=float(p @ falls.expected),
        loss=loss,
        worst=tuple(
            JointBar(int(losses.path_ids[row]), int(falls.at[row]), int(falls.fallen[row]), float(falls.worst[row]))
            for row in worst
        ),
    )
