from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest


def draw_bars(stamps: pd.DatetimeIndex, seed: int = 1) -> pd.DataFrame:
    """Valid candles on given stamps: a Gaussian walk with wicks and volume, all prices rounded to cents."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(stamps))))
    open_ = np.concatenate([[100.0], close[:-1]])
    wicks = rng.exponential(0.2, (2, len(stamps)))
    bars = {
        "open": open_.round(2),
        "high": (np.maximum(open_, close) + wicks[0] + 0.01).round(2),
        "low": (np.minimum(open_, close) - wicks[1] - 0.01).round(2),
        "close": close.round(2),
        "volume": rng.integers(1, 10_000, len(stamps)).astype(float),
    }
    return pd.DataFrame(bars, index=stamps)


@pytest.fixture
def make_bars() -> Callable[..., pd.DataFrame]:
    return draw_bars


@pytest.fixture
def bars() -> pd.DataFrame:
    """Sixty valid daily bars from Wednesday 2020-01-01 on, Monday to Friday."""
    return draw_bars(pd.bdate_range("2020-01-01", periods=60))
