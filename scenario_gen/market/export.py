"""Joint futures as portfolio optimisers take them: a matrix of returns, a row per scenario and a column per asset.

Owns the matrix, what each row stands for, and how rows that do not all stand for as much are made alike for a library
that knows no weights. Does not know what an optimiser does with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.stats.weights import Weights

if TYPE_CHECKING:
    from scenario_gen.market.skfolio_prior import GivenScenarios

Floats = NDArray[np.float64]
Kind: TypeAlias = Literal["simple", "log"]


@dataclass(frozen=True, eq=False)
class Scenarios:
    """Returns of several assets in many scenarios."""

    # float64 [scenario, asset]; the index says the path, and the bar too where each bar of each path is a scenario
    returns: pd.DataFrame
    weights: Floats | None = None  # float64 [scenario], of sum 1; None where all stand for as much

    def __len__(self) -> int:
        return len(self.returns)

    def prior(self) -> GivenScenarios:
        """Return a ``prior_estimator`` of skfolio that takes these scenarios as they are, with their weights.

        Raises:
            DataError: skfolio is not installed.
        """
        try:
            from scenario_gen.market.skfolio_prior import GivenScenarios
        except ModuleNotFoundError as error:
            raise DataError(
                f"scenarios for skfolio need skfolio, which is not installed ({error.name} is missing)",
                expected="skfolio 1.12 or later",
                fix="pip install 'scenario-gen[portfolio]'",
            ) from error
        return GivenScenarios(self.weights)

    def alike(self, count: int | None = None) -> pd.DataFrame:
        """Return scenarios that all stand for as much, for a library that knows no weights, such as Riskfolio-Lib.

        A scenario is repeated as often as its weight says, or once more: systematic resampling from the middle of the
        first step (Kitagawa 1996, J. of Computational and Graphical Statistics 5), without random numbers. Where there
        are no weights and no count, these are the scenarios themselves.

        Args:
            count: how many rows; None: as many as there are scenarios.

        Raises:
            ValueError: a count below 1.
        """
        if self.weights is None and count in (None, len(self)):
            return self.returns
        rows = len(self) if count is None else count
        if rows < 1:
            raise ValueError(f"{count} rows, expected at least 1")
        shares = np.full(len(self), 1.0 / len(self)) if self.weights is None else self.weights
        reached = np.cumsum(shares)
        places = np.searchsorted(reached / reached[-1], (np.arange(rows) + 0.5) / rows)
        return self.returns.iloc[places]


def returns_of(closes: Floats, kind: Kind) -> Floats:
    """Return returns from close to close, float64 [path, bar, asset], of closes [path, bar + 1, asset].

    Raises:
        DataError: an unknown kind of return.
    """
    if kind not in ("simple", "log"):
        raise DataError(f"returns of kind {kind!r}", expected="simple or log", fix="name one of the two")
    ratio = closes[:, 1:] / closes[:, :-1]
    return np.asarray(np.log(ratio) if kind == "log" else ratio - 1.0)


def scenarios_of(
    closes: Floats,
    assets: tuple[str, ...],
    path_ids: NDArray[np.int64],
    horizon: int | None,
    weights: Weights | None,
    kind: Kind = "simple",
) -> Scenarios:
    """Return scenarios at a horizon, or of every bar where that is None, from closes [path, bar + 1, asset].

    Raises:
        DataError: a horizon that the paths do not reach, or an unknown kind of return.
    """
    bars = closes.shape[1] - 1
    shares = None if weights is None else weights.shares
    if horizon is None:
        returns = returns_of(closes, kind)
        index = pd.MultiIndex.from_product((path_ids, np.arange(bars)), names=("path_id", "bar"))
        frame = pd.DataFrame(returns.reshape(-1, len(assets)), index=index, columns=list(assets))
        return Scenarios(frame, None if shares is None else np.repeat(shares / bars, bars))
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or not 1 <= horizon <= bars:
        raise DataError(
            f"scenarios at a horizon of {horizon!r} bars, of paths of {bars}",
            expected=f"1 to {bars} bars, or None for every bar of every path",
            fix="sample longer paths, or ask for a nearer horizon",
        )
    frame = pd.DataFrame(
        returns_of(closes[:, [0, horizon]], kind)[:, 0], index=pd.Index(path_ids, name="path_id"), columns=list(assets)
    )
    return Scenarios(frame, shares)
