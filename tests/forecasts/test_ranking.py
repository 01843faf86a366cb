"""Strategies ranked on paths beside how they ranked on what came: an oracle gets 1, its mirror -1, chance about 0."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest.loader import LoadedStrategy, expand
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.errors import CheckError
from scenario_gen.forecasts.foresight import rank_strategies
from scenario_gen.forecasts.harness import Sampling
from scenario_gen.forecasts.origins import Origin, rolling_origins
from scenario_gen.generators.draws import Draws
from scenario_gen.market.candles import Candles
from scenario_gen.market.load import load_candles
from scenario_gen.market.paths import PathSet

SHARES = [0.1, 0.2, 0.4, 0.6, 0.8, 1.0]
RULE = """
import pandas as pd
from dataclasses import dataclass


@dataclass(frozen=True)
class Hold:
    share: float = 1.0

    def weights(self, bars):
        return pd.DataFrame(self.share, index=bars.close.index, columns=bars.close.columns)
"""


@dataclass(frozen=True)
class Oracle:
    """Knows the future, or its mirror in logs, and draws it on every path."""

    history: Candles
    sign: int
    kind: str = "oracle"
    trained_until: None = None

    @property
    def identity(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def sample(self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Any = None) -> PathSet:
        row = self.history.timestamps.get_loc(timestamps[0])
        real = PathSet.from_history(self.history.rows(row, row + len(timestamps)), float(context.close[-1]))
        values = np.repeat(real.values[:, :, :4].astype(np.float64), len(draws.path_ids), axis=0)
        if self.sign < 0:  # a price becomes anchor^2 / price, so highs and lows change places
            values = real.anchor_close**2 / values[:, :, [0, 2, 1, 3]]
        return replace(
            real, values=values.astype(np.float32), fields=real.fields[:4], path_ids=draws.path_ids, counts={}
        )


@pytest.fixture(scope="module")
def history() -> Candles:
    return load_candles("sp500").rows(0, 1200)


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> list[LoadedStrategy]:
    folder = tmp_path_factory.mktemp("rules")
    (folder / "hold.py").write_text(RULE, encoding="utf-8")
    return expand(StrategyUse(use="hold.py:Hold", params={"share": SHARES}), Path(folder)).strategies


@pytest.fixture(scope="module")
def origins(history: Candles) -> list[Origin]:
    return rolling_origins(len(history), context=64, horizon=40, count=20).of(history)


def test_an_oracle_ranks_perfectly_and_its_mirror_upside_down(
    history: Candles, rules: list[LoadedStrategy], origins: list[Origin]
) -> None:
    """Six shares of the same holding earn in the order of their shares where the price rises, against it where it
    falls; the oracle's order is the one that came at every origin, the mirror's its reverse."""
    both = [Oracle(history, 1), Oracle(history, -1, "mirror")]
    ours, mirrored = rank_strategies(both, origins, rules, Sampling(64, 40, 3), bars_per_year=252)
    assert (ours.sets, ours.origins) == (6, 20)
    assert ours.by_origin == pytest.approx([1.0] * 20)
    assert (ours.correlation, ours.low, ours.high) == pytest.approx((1.0, 1.0, 1.0))
    # rebalancing to a share costs a little variance: near a return of zero an order may differ between mirror images
    assert np.median(mirrored.by_origin) == pytest.approx(-1.0)
    (beside,) = ours.beside
    assert beside.baseline == "mirror"
    assert beside.difference == pytest.approx(ours.correlation - mirrored.correlation)
    assert beside.p < 0.001
    assert mirrored.beside == []


def test_too_few_strategies_or_origins_are_refused(
    history: Candles, rules: list[LoadedStrategy], origins: list[Origin]
) -> None:
    with pytest.raises(CheckError, match="2 strategies and sets of parameters at 20 origins"):
        rank_strategies([Oracle(history, 1)], origins, rules[:2], Sampling(64, 40, 3), bars_per_year=252)
    with pytest.raises(CheckError, match="at 5 origins"):
        rank_strategies([Oracle(history, 1)], origins[:5], rules, Sampling(64, 40, 3), bars_per_year=252)


def test_strategies_that_never_differ_have_no_order(
    history: Candles, rules: list[LoadedStrategy], origins: list[Origin]
) -> None:
    with pytest.raises(CheckError, match="at 0 of 20 origins the strategies earned different returns"):
        rank_strategies([Oracle(history, 1)], origins, [rules[0]] * 3, Sampling(64, 40, 3), bars_per_year=252)
