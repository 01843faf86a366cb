"""Several assets on real markets: what each coupling makes of their dependence, beside vector FHS.

    python -m benchmarks.joint_markets DATA [--only NAME ...] [--origins 40] [--paths 99]

DATA is a folder of Parquet files such as ``equity_daily__AAPL.parquet``; S&P 500 and NASDAQ come from arch. Prints a
Markdown row per group and way: the mean size of the correlation of log returns over all pairs (history; 256 paths of
63 bars after its end), the mean share of joint falls beyond the own 5 % quantile over 5 % ("co-crash": 1 where falls
coincide, .05 where they are independent), labels of the facts of dependence beside real windows, and of the gains of a
long-only and a long-short portfolio over 1, 5 and 20 bars at past origins, coupled by bars before the first of them.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenario_gen.forecasts.book import calibrate_book
from scenario_gen.forecasts.harness import Sampling
from scenario_gen.forecasts.origins import rolling_origins
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.sections import open_generator
from scenario_gen.joint.calendar import align
from scenario_gen.joint.fit import fit_coupling
from scenario_gen.joint.model import JointModel
from scenario_gen.joint.pilot import BookAsset
from scenario_gen.joint.section import Joint
from scenario_gen.market import load_candles
from scenario_gen.market.candles import Candles
from scenario_gen.market.inferred import SessionClock
from scenario_gen.pipeline.opening import named_generator
from scenario_gen.progress import SilentProgress
from scenario_gen.realism.assets import check_cross_facts
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.panel import Panel

Floats = NDArray[np.float64]
GROUPS: Mapping[str, Mapping[str, str]] = {
    "S&P 500, NASDAQ": {"spx": "sp500", "ndx": "nasdaq"},
    "five US stocks": {name: f"equity_daily__{name}" for name in ("AAPL", "MSFT", "JPM", "XOM", "JNJ")},
    "three coins, 1 h": {name: f"crypto_1h__{name}USDT" for name in ("BTC", "ETH", "SOL")},
    "three currency pairs": {name: f"fx_daily__{name}" for name in ("EURUSD", "GBPUSD", "USDJPY")},
}
WAYS: tuple[tuple[str, Joint], ...] = (
    ("nano", Joint(copula="empirical")),
    ("nano", Joint(copula="t")),
    ("nano", Joint(copula="gaussian")),
    ("nano", Joint(copula="independent")),
    ("fhs", Joint()),
)
BARS, PATHS, CONTEXT, AHEAD, CRASH, MOST = 63, 256, 256, 20, 0.05, 3000


def histories(data: Path, files: Mapping[str, str]) -> dict[str, Candles]:
    """Return the histories of a group at stamps that all have, the last 3,000 bars at most."""
    read = {
        name: load_candles(file if file in ("sp500", "nasdaq") else data / f"{file}.parquet", name=name)
        for name, file in files.items()
    }
    parts = align(read).split_at(None)[0].parts
    return {name: part.rows(max(0, len(part) - MOST), len(part)) for name, part in parts.items()}


def correlation(returns: Floats) -> float:
    """Return the mean size of the correlation of log returns [bar, asset] over all pairs."""
    matrix = np.corrcoef(returns.T)
    return float(np.abs(matrix[np.triu_indices(len(matrix), 1)]).mean())


def co_crash(returns: Floats) -> float:
    """Return how often both of a pair fall beyond their own 5 % quantile, over 5 %, mean over all pairs."""
    fallen = returns < np.quantile(returns, CRASH, axis=0)
    pairs = combinations(range(returns.shape[1]), 2)
    return float(np.mean([(fallen[:, one] & fallen[:, other]).mean() for one, other in pairs]) / CRASH)


def counted(labels: list[str]) -> str:
    """Return labels with their number, the worst first."""
    order = ("FAIL", "WARN", "INCONCLUSIVE", "UNTESTABLE", "PASS")
    counts = Counter(labels)
    return ", ".join(f"{counts[label]} {label}" for label in order if counts[label])


def row(group: str, parts: Mapping[str, Candles], model: str, joint: Joint, origins: int, paths: int) -> str:
    """Measure one group under one coupling."""
    generator = open_generator(named_generator({"model": model}))
    ends = {name: part.context(CONTEXT) for name, part in parts.items()}
    fitted = JointModel.of(dict(parts), lambda _: generator, joint, seed=1)
    draws = Draws(1, np.arange(PATHS, dtype=np.int64))
    sampled = {
        name: coupled.sample(ends[name], coupled.timestamps, draws)
        for name, coupled in fitted.together(BARS, 1).parts.items()
    }
    ours = np.stack([np.diff(np.log(each.closes), axis=1) for each in sampled.values()], axis=-1)
    past = np.stack([np.diff(np.log(part.close)) for part in parts.values()], axis=-1)
    clock = SessionClock.of(next(iter(parts.values())).timestamps)
    panel = Panel(tuple(parts), tuple(BarArrays.of_paths(each, clock=clock) for each in sampled.values()))
    facts = check_cross_facts(panel, list(parts.values()), context_ids=np.zeros(PATHS, dtype=np.int64), seed=1)
    made = [correlation(path) for path in ours], [co_crash(path) for path in ours]
    rolling = rolling_origins(len(past) + 1, context=CONTEXT, horizon=AHEAD, count=origins)
    start = rolling.rows[0]
    members = {
        name: BookAsset(
            generator,
            part.rows(0, start),
            np.arange(max(1, start - 1000), start),
            part.rows(start - CONTEXT, start),
            part.timestamps[start : start + AHEAD],
        )
        for name, part in parts.items()
    }
    before = fit_coupling(members, joint, 1)
    sampling = Sampling(CONTEXT, AHEAD, paths, seed=1)
    ranks = calibrate_book(before.generators, before.coupling, parts, rolling, sampling, progress=SilentProgress())
    crps = [skill for skill in ranks.ours.skills if skill.baseline == "vector FHS"]
    better = f"{sum(s.t < -2 for s in crps)} better, {sum(s.t > 2 for s in crps)} worse"
    return (
        f"| {group} | {model}, {fitted.report.copula} | {correlation(past):.2f} | {np.mean(made[0]):.2f} | "
        f"{co_crash(past):.2f} | {np.mean(made[1]):.2f} | {counted([f.label for f in facts.facts if f.label])} | "
        f"{counted([number.label for number in ranks.ours.numbers])} | {better} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", default=list(GROUPS))
    parser.add_argument("--ways", nargs="*", type=int, default=list(range(len(WAYS))), help="places in the list WAYS")
    parser.add_argument("--origins", type=int, default=40)
    parser.add_argument("--paths", type=int, default=99)
    asked = parser.parse_args()
    print(
        "| assets | paths | correlation, history | paths | co-crash, history | paths | dependence | portfolios | CRPS |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for group in asked.only:
        parts = histories(asked.data, GROUPS[group])
        for model, joint in (WAYS[place] for place in asked.ways):
            print(row(group, parts, model, joint, asked.origins, asked.paths), flush=True)


if __name__ == "__main__":
    main()
