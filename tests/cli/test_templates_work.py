from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest import Bars
from scenario_gen.backtest.loader import load_strategy


def test_the_strategy_that_init_writes_follows_its_average(
    tmp_path: Path, invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("init", "strategy", "TwoBars").exit_code == 0
    close = pd.DataFrame({0: [1.0, 2.0, 2.0, 1.0]})
    bars = Bars(close, close, close, close, None, context_bars=1, bars_per_year=252.0)
    signals = load_strategy("two_bars.py:TwoBars", tmp_path)(window=2).signals(bars)
    # averages of two bars: none, 1.5, 2.0, 1.5
    np.testing.assert_array_equal(signals.entries[0], [False, True, False, False])
    np.testing.assert_array_equal(signals.exits[0], [False, False, False, True])
