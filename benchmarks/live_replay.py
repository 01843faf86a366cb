"""Live forecasts replayed bar by bar: what the log says of a generator, and of the same made wrong on purpose.

    python -m benchmarks.live_replay [--bars 250] [--data FILE] [--model nano] [--paths 199] [--horizon 24]

Bars are those of a file, or of a made hourly market that never closes (Student's t with 5 degrees of freedom on a
volatility that wanders); each is taken as if it had just come, by the very step that ``scenario-gen live`` makes, and
every log is kept in a temporary folder. Prints Markdown: by generator, bars, evidence, after how many bars the alarm
came, coverage of the 80 % band of the next bar, and the CRPS beside the bootstrap.

    python -m benchmarks.live_replay --promises 200 [--horizon 24]

Strategies on a Brownian motion, whose forecasts are those of a Brownian motion: how many of so many promises, one after
the other, are called outside or drifting, where they are right, and where trades that come cost more than promised.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.live import step as steps
from scenario_gen.live.config import LiveConfig, load_live
from scenario_gen.live.log import writing
from scenario_gen.live.results import Course, LiveReport
from scenario_gen.market import Candles, load_candles
from scenario_gen.progress import SilentProgress

CONTEXT, SEEN = 256, 1000
HEAD = (
    "| generator | bars | evidence now | at most | alarm after | the paths look | next bar in the 80 % band "
    "| CRPS of the next bar less the bootstrap's |"
)
AS_IT_IS: dict[str, float] = {}
WATCHED = (
    ("strategies/buy_and_hold.py:BuyAndHold", {}),
    ("strategies/sma_cross.py:SmaCross", {"fast": 5, "slow": 20}),
    ("strategies/rsi_reversion.py:RsiReversion", {}),
    ("costly.py:Costly", {}),
)
FEES, HELD_BARS, HOUR = "10bp", 1000, 0.005  # of promises; their context; deviation of an hour
COSTLY = """
from dataclasses import dataclass
import numpy as np
import pandas as pd
from scenario_gen.backtest import Signals

@dataclass(frozen=True)
class Costly:
    def signals(self, bars):
        turns = np.arange(len(bars))[:, None] % 2 == 0
        buys = np.broadcast_to(turns | (bars.close.shape[1] > 1), bars.close.shape)  # in turns where it is what came
        buys = pd.DataFrame(buys, bars.close.index, bars.close.columns)
        return Signals(entries=buys, exits=~buys)
"""
CASES = (("as it is", AS_IT_IS), ("volatility x1.6", {"volatility": 1.6}), ("volatility x.6", {"volatility": 0.6}))


def _hours(path: NDArray[np.float64]) -> pd.DataFrame:
    """Return hourly bars of prices within them [bar, step], which begin at 100."""
    stamps = pd.date_range("2026-01-01", periods=len(path), freq="h", tz="UTC")
    opens = np.concatenate(([100.0], path[:-1, -1]))
    high, low = np.maximum(opens, path.max(axis=1)), np.minimum(opens, path.min(axis=1))
    return pd.DataFrame({"timestamps": stamps, "open": opens, "high": high, "low": low, "close": path[:, -1]})


def made_bars(count: int, seed: int = 20) -> pd.DataFrame:
    """Return hourly bars of a made market whose volatility wanders with a half-life of 100 bars."""
    rng = np.random.default_rng(seed)
    keep, level = 0.5 ** (1 / 100), np.zeros(count)
    shocks = rng.standard_normal(count)
    for bar in range(1, count):
        level[bar] = keep * level[bar - 1] + np.sqrt(1 - keep**2) * shocks[bar]
    within = 0.004 * np.exp(0.4 * level)[:, None] * rng.standard_t(5, (count, 12)) / np.sqrt(12 * 5 / 3)
    path = 100 * np.exp(np.cumsum(within, axis=1) + np.concatenate(([0.0], within.sum(axis=1).cumsum()[:-1]))[:, None])
    return _hours(path).assign(volume=1000 * np.exp(0.3 * rng.standard_normal(count)))


def replayed(
    history: Candles, bars: int, generator: Mapping[str, Any], paths: int, horizon: int, folder: Path
) -> LiveReport:
    """Take the last bars of a history one by one, as if each had just come; return the last report."""
    config = load_live(
        {
            "name": "replay",
            "data": {"source": "sp500"},  # whose bars are never read: the history stands for them
            "generator": dict(generator),
            "context": CONTEXT,
            "horizon": horizon,
            "paths": paths,
            "folder": str(folder),
        }
    )
    with writing(config.log) as log:
        for row in range(len(history) - bars, len(history) + 1):
            report = _step(config, history.rows(0, row), log)
    return report


def _step(config: LiveConfig, known: Candles, log: Any) -> LiveReport:
    return steps.step_from(config, known, log, SilentProgress(), datetime.now(UTC), replayed=True)


def row_of(name: str, report: LiveReport) -> str:
    """Return a report as a row of the table."""
    test, ranks = report.log.test, report.log.ranks[0]
    eighty = next(each for each in ranks.coverage if each.level == 0.8)
    alarm = "none" if test.alarmed_after is None else f"{test.alarmed_after} bars"
    pair = report.log.crps[0].difference
    score = f"{pair.value:.2g}" + ("" if pair.low is None else f" [{pair.low:.2g}, {pair.high:.2g}]")
    cells = [
        name, str(test.bars), f"{test.evidence:.3g}", f"{test.highest:.3g}", alarm, test.leaning or "even",
        f"{eighty.share:.0%} [{eighty.low:.0%}, {eighty.high:.0%}]", score,
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def brownian(count: int, seed: int = 30) -> pd.DataFrame:
    """Return hourly bars of a Brownian motion without drift, of sixty steps each."""
    within = HOUR / np.sqrt(60) * np.random.default_rng(seed).standard_normal((count, 60))
    path = 100 * np.exp(np.cumsum(within).reshape(count, 60))
    return _hours(path)


def held_promises(promises: int, horizon: int, folder: Path) -> tuple[LiveReport, Mapping[str, list[Course]]]:
    """Let so many promises come and pass; return the last report, and each strategy's course at the end of each."""
    (folder / "costly.py").write_text(COSTLY, encoding="utf-8")
    config = load_live(
        {
            "name": "promises",
            "data": {"source": "sp500"},  # whose bars are never read
            "generator": {"kind": "gbm"},
            "context": HELD_BARS,
            "horizon": horizon,
            "paths": 199,
            "baselines": [],
            "broker": {"fees": FEES},
            "strategies": [{"use": use.replace("costly", f"{folder}/costly"), "params": of} for use, of in WATCHED],
            "folder": str(folder / "out"),
        }
    )
    history = load_candles(brownian(HELD_BARS + promises * horizon), name="Brownian motion", calendar="24/7")
    courses: dict[str, list[Course]] = {}
    with writing(config.log) as log:
        for last in range(HELD_BARS, len(history) + 1, horizon):
            report = _step(config, history.rows(0, last), log)
            for each in report.strategies if last > HELD_BARS else ():
                courses.setdefault(each.strategy, []).append(each.course)
    return report, courses


def promises_table(promises: int, horizon: int) -> str:
    """Return how the strategies fared as Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        report, courses = held_promises(promises, horizon, Path(folder))
    heads = ("strategy", "promises", "outside", "drifting", "first called after", "evidence at most", "ranks lean")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for each in report.strategies:
        seen = courses[each.strategy]
        called = next((at + 1 for at, course in enumerate(seen) if course in ("outside", "drifting")), None)
        cells = (
            each.strategy, each.finished, seen.count("outside"), seen.count("drifting"), called or "never",
            f"{each.evidence:.3g}", each.direction or "even",
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    """Replay every generator and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, default=250, help="that come one by one")
    parser.add_argument("--data", help="a file of bars; default: a made market")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--paths", type=int, default=199)
    parser.add_argument("--horizon", type=int, default=24)
    parser.add_argument("--promises", type=int, help="of strategies, one after the other, in place of generators")
    options = parser.parse_args()
    if options.promises:
        print(promises_table(options.promises, options.horizon))
        return
    history = load_candles(options.data or made_bars(SEEN + options.bars), calendar="24/7")
    history = history.context(min(len(history), SEEN + options.bars))
    print(f"{history.name}: {options.bars} bars from {history.timestamps[-options.bars]}\n\n{HEAD}\n|{'---|' * 8}")
    for name, more in CASES:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            generator = {"kind": "kronos", "model": options.model, **more}
            report = replayed(history, options.bars, generator, options.paths, options.horizon, Path(folder))
        spent = (time.perf_counter() - began) / (options.bars + 1)
        print(row_of(f"{options.model}, {name} ({spent:.2f} s a step)", report), flush=True)


if __name__ == "__main__":
    main()
