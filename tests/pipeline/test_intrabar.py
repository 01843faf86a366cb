"""Stop and target in one bar, as a run and the backtest command tell it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.pipeline.given.backtest import backtest_paths

BOTH = """
from dataclasses import dataclass
import pandas as pd
from scenario_gen.backtest import Bars, Signals

@dataclass(frozen=True)
class Tight:
    target: float = 0.02

    def signals(self, bars: Bars) -> Signals:
        every = pd.DataFrame(True, index=bars.close.index, columns=bars.close.columns)
        return Signals(entries=every, exits=~every, stop_loss=0.02, take_profit=self.target)
"""


@pytest.fixture
def strategy(tmp_path: Path) -> str:
    (tmp_path / "tight.py").write_text(BOTH, encoding="utf-8")
    return f"{tmp_path}/tight.py:Tight"


def _paths(reach: float) -> pd.DataFrame:
    """Forty flat paths of ten bars whose candles reach ``reach`` up and down: what comes first decides all."""
    days = pd.bdate_range("2020-01-06", periods=10)
    one = pd.DataFrame(
        {"timestamp": days, "open": 100.0, "high": 100 * (1 + reach), "low": 100 * (1 - reach), "close": 100.0}
    )
    return pd.concat([one.assign(path=i) for i in range(40)], ignore_index=True)


def test_bars_that_hold_stop_and_target_are_counted_and_every_order_is_told(strategy: str) -> None:
    """Each of the nine bars after the first fill loses 2 % with the stop first and gains 2 % with the target first."""
    report = backtest_paths(_paths(0.05), [strategy])
    (found,) = (one for one in report.findings if one.name == "intrabar")
    (told,) = found.evidence
    assert told["ambiguous"] == told["trades"] > 0
    assert told["mean_return_worst"] < told["mean_return_random"] < told["mean_return_best"]
    bars = told["trades"] / 40
    np.testing.assert_allclose(told["mean_return_worst"], 0.98**bars - 1, rtol=1e-6)
    np.testing.assert_allclose(told["mean_return_best"], 1.02**bars - 1, rtol=1e-6)
    assert found.label == "WARN"


def test_quiet_bars_leave_no_doubt(strategy: str) -> None:
    report = backtest_paths(_paths(0.01), [strategy])
    (found,) = (one for one in report.findings if one.name == "intrabar")
    assert found.evidence[0]["ambiguous"] == 0
    assert found.evidence[0]["mean_return_worst"] == found.evidence[0]["mean_return_best"]
    assert found.label in ("PASS", "UNTESTABLE")


def test_a_run_tells_it_of_strategies_with_both_alone(strategy: str, tmp_path: Path) -> None:
    hold = f"{Path(__file__).parents[2]}/strategies/buy_and_hold.py:BuyAndHold"
    run = sg.run(
        {
            "name": "orders",
            "data": {"source": "sp500", "end": "2016-03-31"},
            "bars": {"context": 60, "horizon": 20},
            "paths": {"count": 32, "seed": 3, "block": 32},
            "generator": {"kind": "bootstrap"},
            "checks": {"facts": False, "calibration": False},
            "strategies": [{"use": hold}, {"use": strategy}],
            "report": {"folder": str(tmp_path / "run")},
        }
    )
    assert [one.strategy for one in run.findings if one.name == "intrabar"] == ["Tight(target=0.02)"]
    page = (tmp_path / "run" / "index.html").read_text(encoding="utf-8")
    section = page[page.index('<section id="exec"') :]
    section = section[: section.index("</section>")]
    assert "meet stop and target in one bar" in section
    assert "Not judged" not in section
