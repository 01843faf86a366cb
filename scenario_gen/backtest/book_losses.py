"""What a book lost on each path, in three senses, and which of its parts lost it: numbers per path, nothing estimated.

A part is an asset, or a strategy where several share the capital. Owns how a book's loss is shared out among its parts
so that they add up, and the bars at which most assets fall together. Losses are positive fractions, gains negative:

    terminal   of the starting cash, at the end of the path
    worst_bar  of the equity before the bar, at the path's worst bar
    drawdown   of the peak, from the peak to the bottom of the path's deepest fall

Blocks of paths are reduced one by one and joined. Knows arrays; knows neither strategies nor errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest.account import RUINED, Floats
from scenario_gen.backtest.metrics import bar_returns, drawdown
from scenario_gen.backtest.tail.losses import PATHS_AT_ONCE
from scenario_gen.stats.weights import Weights

Sense: TypeAlias = Literal["terminal", "worst_bar", "drawdown"]
SENSES: tuple[Sense, ...] = get_args(Sense)
OWN_TAIL = 0.05  # an asset falls hard at the bars beyond this quantile of its own returns
# Equity may be float32, which carries seven digits: a book that does not add up is off by more.
ADDS_UP = 1e-5  # of the starting cash


@dataclass(frozen=True, eq=False)
class PathLosses:
    """One sense of loss on every path: the book's, its parts' share of that, and what it would be of others."""

    parts: Floats  # float64 [path, part]: what each part lost of the book's loss
    alone: Floats  # float64 [path, part]: the loss of the part if nothing else were held, of the same capital
    without: Floats  # float64 [path, part]: the loss of the book if the part had stayed in cash

    @property
    def total(self) -> Floats:
        """The book's loss, float64 [path]."""
        return np.asarray(self.parts.sum(axis=1))


@dataclass(frozen=True, eq=False)
class JointFalls:
    """The bars of every path at which most assets fall beyond their own 5 % quantile."""

    edges: Floats  # float64 [asset]: the 5 % quantile of the asset's own returns, over bars and paths
    bars: Floats  # float64 [path]: bars at which two assets or more trade
    expected: Floats  # float64 [path]: of these, at how many most would fall if each fell by itself
    hits: Floats  # float64 [path]: at how many most do
    loss: Floats  # float64 [path]: what the book loses there, summed; each bar's as a share of the equity before it
    worst: Floats  # float64 [path]: the largest of these losses; NaN where there is no such bar
    at: Floats  # float64 [path]: its bar, from 0; NaN likewise
    fallen: Floats  # float64 [path]: how many assets fall hard there; NaN likewise


@dataclass(frozen=True, eq=False)
class BookLosses:
    """A book's losses on every path."""

    names: tuple[str, ...]  # of the parts
    path_ids: NDArray[np.int64]  # int64 [path]
    terminal: PathLosses
    worst_bar: PathLosses
    drawdown: PathLosses
    held: Floats | None = None  # float64 [path, part]: mean over bars of |value held| / equity; None where not told
    joint: JointFalls | None = None  # None where the assets' own returns are not told

    def __len__(self) -> int:
        return len(self.path_ids)

    @classmethod
    def of(
        cls,
        profit: NDArray[np.floating[Any]],
        equity: NDArray[np.floating[Any]],
        names: Sequence[str],
        *,
        holding: NDArray[np.floating[Any]] | None = None,
        returns: NDArray[np.floating[Any]] | None = None,
        open_bars: NDArray[np.bool_] | None = None,
        edges: Floats | None = None,
        path_ids: NDArray[np.int64] | None = None,
    ) -> BookLosses:
        """Reduce what the parts of a book earned at every bar to losses per path.

        Args:
            profit: float [path, bar, part], money, all costs in.
            equity: float [path, 2 or more], the starting cash first and the final equity last: what lies between is
                what the profits make of it.
            names: of the parts.
            holding: float [path, bar, part], value held at each close over equity, signed.
            returns: float [path, bar, part], of the assets themselves, for the bars at which most fall.
            open_bars: bool [bar, part], where an asset trades; None where all do.
            edges: float64 [part], from :func:`fall_edges` over all blocks; None: of these paths.
            path_ids: int64 [path]; None: from 0.

        Raises:
            ValueError: shapes disagree, or the profits do not add up to the change of equity.
        """
        _require_sum(profit, equity, names)
        known: dict[str, Any] = {"path_ids": np.arange(len(profit), dtype=np.int64) if path_ids is None else path_ids}
        if holding is not None:
            known["held"] = np.abs(holding).mean(axis=1, dtype=np.float64)
        shown = np.ones(profit.shape[1:], dtype=bool) if open_bars is None else open_bars
        if returns is not None:
            known["edges"] = fall_edges(returns, open_bars) if edges is None else edges
        pieces = []
        for start in range(0, max(len(profit), 1), PATHS_AT_ONCE):
            rows = slice(start, start + PATHS_AT_ONCE)
            earned = profit[rows].astype(np.float64)
            account = _account(earned, equity[rows, :1].astype(np.float64))
            piece = _losses_of(earned, account)
            if returns is not None:
                piece |= _falls(returns[rows], account, known["edges"], shown)
            pieces.append(piece)
        return cls.of_arrays(
            names, known | {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        )

    @classmethod
    def of_strategies(
        cls, equity: Mapping[str, NDArray[np.floating[Any]]], path_ids: NDArray[np.int64] | None = None
    ) -> BookLosses:
        """Reduce strategies that run on the same paths, each with an equal part of the capital that it keeps.

        Args:
            equity: strategy to float [path, bar + 1].
            path_ids: int64 [path]; None: from 0.
        """
        every = np.stack([values / values[:, :1].astype(np.float64) for values in equity.values()], axis=2)
        every /= len(equity)
        return cls.of(np.diff(every, axis=1), every.sum(axis=2), tuple(equity), path_ids=path_ids)

    @classmethod
    def joined(cls, blocks: Sequence[BookLosses]) -> BookLosses:
        """Return the losses of several blocks of paths as those of one.

        Raises:
            ValueError: the blocks have different parts, or different edges of a hard fall.
        """
        first = blocks[0]
        if any(block.names != first.names for block in blocks):
            raise ValueError("blocks of different books are no book")
        every = [block.arrays() for block in blocks]
        if any(not np.array_equal(arrays.get("edges", ()), every[0].get("edges", ())) for arrays in every):
            raise ValueError("blocks whose hard falls begin at different edges: give fall_edges of all of them")
        return cls.of_arrays(first.names, {
            name: values if name == "edges" else np.concatenate([arrays[name] for arrays in every])
            for name, values in every[0].items()
        })  # fmt: skip

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything but the names, as arrays by plain names, to be kept on disk."""
        out: dict[str, NDArray[Any]] = {"path_ids": self.path_ids}
        for sense in SENSES:
            out |= {f"{sense}_{name}": values for name, values in vars(getattr(self, sense)).items()}
        if self.held is not None:
            out["held"] = self.held
        if self.joint is not None:
            out |= {name if name == "edges" else f"joint_{name}": values for name, values in vars(self.joint).items()}
        return out

    @classmethod
    def of_arrays(cls, names: Sequence[str], arrays: Mapping[str, NDArray[Any]]) -> BookLosses:
        """Return losses from what :meth:`arrays` gave."""

        def under(prefix: str) -> dict[str, Floats]:
            return {name[len(prefix) :]: values for name, values in arrays.items() if name.startswith(prefix)}

        falls = under("joint_")
        return cls(
            names=tuple(names),
            path_ids=arrays["path_ids"],
            **{sense: PathLosses(**under(f"{sense}_")) for sense in SENSES},
            held=arrays.get("held"),
            joint=JointFalls(arrays["edges"], **falls) if falls else None,
        )


def fall_edges(
    returns: NDArray[np.floating[Any]], open_bars: NDArray[np.bool_] | None = None, weights: Weights | None = None
) -> Floats:
    """Return the 5 % quantile of each asset's own returns over bars and paths, float64 [asset].

    Args:
        returns: float [path, bar, asset].
        open_bars: bool [bar, asset], where an asset trades.
        weights: of the paths.
    """
    edges = []
    for asset in range(returns.shape[2]):
        there = slice(None) if open_bars is None else open_bars[:, asset]
        values = returns[:, there, asset]
        if weights is None:
            edges.append(float(np.quantile(values, OWN_TAIL)))
        else:
            every = Weights(np.repeat(weights.shares / values.shape[1], values.shape[1]))
            edges.append(every.quantile(values.ravel().astype(np.float64), OWN_TAIL))
    return np.array(edges, dtype=np.float64)


def _require_sum(profit: NDArray[np.floating[Any]], equity: NDArray[np.floating[Any]], names: Sequence[str]) -> None:
    if len(equity) != len(profit) or profit.shape[2] != len(names):
        raise ValueError(f"profits {profit.shape} do not fit equity {equity.shape} and {len(names)} names")
    change = equity[:, -1].astype(np.float64) - equity[:, 0]
    off = np.abs(profit.sum(axis=(1, 2), dtype=np.float64) - change) / equity[:, 0]
    if len(off) and not off.max() <= ADDS_UP:
        raise ValueError(f"profits are not those of the book: on path {int(off.argmax())} they miss {off.max():.2%}")


def _account(profit: Floats, cash: Floats) -> Floats:
    """Return the equity [path, bar + 1] that profits [path, bar, part] make of the cash [path, 1]."""
    equity = np.concatenate((cash, cash + np.cumsum(profit.sum(axis=2), axis=1)), axis=1)
    return np.where(equity > RUINED * cash, equity, 0.0)


def _losses_of(profit: Floats, equity: Floats) -> dict[str, Floats]:
    """Return the losses of some paths in every sense, by the names of :meth:`BookLosses.arrays`."""
    cash = equity[:, :1]
    made = np.cumsum(profit, axis=1)
    made = np.concatenate((np.zeros_like(made[:, :1]), made), axis=1)  # [path, bar + 1, part]
    lost = -made[:, -1] / cash
    senses = {
        "terminal": {"parts": lost, "alone": lost, "without": lost.sum(axis=1, keepdims=True) - lost},
        "worst_bar": _worst_bars(profit, equity),
        "drawdown": _falls_from_peaks(made, equity, cash),
    }
    return {f"{sense}_{name}": values for sense, lost_by in senses.items() for name, values in lost_by.items()}


def _worst_bars(profit: Floats, equity: Floats) -> dict[str, Floats]:
    before = equity[:, :-1, None]
    moves = np.divide(profit, before, out=np.zeros_like(profit), where=before > 0)  # [path, bar, part]
    worst = bar_returns(equity).argmin(axis=1)
    return {
        "parts": -moves[np.arange(len(moves)), worst],
        "alone": -moves.min(axis=1),
        "without": -(moves.sum(axis=2, keepdims=True) - moves).min(axis=1),
    }


def _falls_from_peaks(made: Floats, equity: Floats, cash: Floats) -> dict[str, Floats]:
    """Share out the deepest fall of each path; the peak is the last moment at the height from which it fell."""
    rows, bar = np.arange(len(equity)), np.arange(equity.shape[1])
    bottom = drawdown(equity).argmax(axis=1)
    high = np.where(bar <= bottom[:, None], equity, -np.inf)
    peak = equity.shape[1] - 1 - high[:, ::-1].argmax(axis=1)
    whole = made.sum(axis=2)
    parts = made.shape[2]
    return {
        "parts": (made[rows, peak] - made[rows, bottom]) / equity[rows, peak][:, None],
        "alone": np.stack([drawdown(cash + made[:, :, at]).max(axis=1) for at in range(parts)], axis=1),
        "without": np.stack([drawdown(cash + whole - made[:, :, at]).max(axis=1) for at in range(parts)], axis=1),
    }


def _falls(
    returns: NDArray[np.floating[Any]], equity: Floats, edges: Floats, open_bars: NDArray[np.bool_]
) -> dict[str, Floats]:
    """Return the bars of some paths at which more than half of the assets that trade fall beyond their edges."""
    from scipy.stats import binom

    trading = open_bars.sum(axis=1)  # [bar]
    judged = trading >= 2
    fallen = ((returns <= edges) & open_bars).sum(axis=2)  # [path, bar]
    joint = judged & (fallen > trading / 2)
    loss = np.where(joint, -bar_returns(equity), -np.inf)
    at = loss.argmax(axis=1)
    none = ~joint.any(axis=1)
    rows = np.arange(len(loss))
    chance = np.where(judged, binom.sf(np.floor(trading / 2), trading, OWN_TAIL), 0.0)
    return {
        "joint_bars": np.full(len(loss), float(judged.sum())),
        "joint_expected": np.full(len(loss), float(chance.sum())),
        "joint_hits": joint.sum(axis=1).astype(np.float64),
        "joint_loss": np.where(joint, loss, 0.0).sum(axis=1),
        "joint_worst": np.where(none, np.nan, loss[rows, at]),
        "joint_at": np.where(none, np.nan, at),
        "joint_fallen": np.where(none, np.nan, fallen[rows, at]),
    }
