"""What is known of a strategy beyond its distribution: the parts of a result that hold it against something.

Only plain values, as in ``results``; how they came about is told where they are computed, in the backtest room.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenario_gen.backtest.overfitting.cscv import Overfitting
from scenario_gen.backtest.overfitting.stability import Shape
from scenario_gen.backtest.overfitting.trials import DeflatedSharpe
from scenario_gen.backtest.tail.causes import TailCauses
from scenario_gen.backtest.tail.drawdowns import Drawdowns, RuinCurve
from scenario_gen.backtest.tail.losses import TailLoss
from scenario_gen.stats.estimate import Estimate

NO_SURFACE = Estimate(None, reason="not asked")


@dataclass(frozen=True)
class Tail:
    """How bad it gets, beyond VaR and CVaR of the total return.

    Attributes:
        worst_bar: VaR and CVaR of each path's worst bar, at 95 and 99 %.
        drawdowns: depth, length and recovery.
        ruin: share of paths that have lost a tenth, a fifth, three tenths, half by each bar.
        causes: what the worst hundredth of the paths lost its money to; None where the context is too short to say.
        paths: how many paths these rest on: the first of the scenario.
    """

    worst_bar: tuple[TailLoss, ...]
    drawdowns: Drawdowns
    ruin: tuple[RuinCurve, ...]
    causes: TailCauses | None
    paths: int


@dataclass(frozen=True)
class Choice:
    """Whether the choice of parameters was lucky: all sets of one strategy, tried on the same bars.

    Attributes:
        sets: parameter sets that were tried.
        history_bars: real bars, up to the context's end, on which each was run.
        deflated: the set with the largest Sharpe ratio on history, and what is left of it.
        history: probability of backtest overfitting on history.
        paths: the same on each path by itself, averaged.
        shape: what the set with the largest median return on the paths stands on: ``plateau``, ``peak``, ``flat``,
            ``undecided`` or ``none``.
        advantage: its mean return less the grid's median on the same path; it was chosen on these paths.
        kept: share of that which its neighbours in the grid have as well; None where there is none.
    """

    sets: int
    history_bars: int
    deflated: DeflatedSharpe
    history: Overfitting
    paths: Overfitting
    shape: Shape = "none"
    advantage: Estimate = NO_SURFACE
    kept: float | None = None
