"""Couplings of several assets: what of a correlation survives tokens, and whether each asset's own law stays.

    python -m benchmarks.joint [--models nano gbm] [--laws 4] [--paths 512] [--bars 32]

S&P 500 and NASDAQ (from arch), the last 1,000 common bars. Prints Markdown. Survival: the correlation of log returns of
those bars, that of the uniforms as read, what pilot paths have of it as it was read, and after it was raised. Laws: ten
facts of each asset's paths under a coupling beside those of the asset alone, other seeds, by two-sample Kolmogorov and
Smirnov; the share of tests with p < .05 (5 % are due) and the largest difference of means, in deviations over paths.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import ks_2samp

from scenario_gen.generators.base import Generator
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.sections import open_generator
from scenario_gen.joint.calendar import align
from scenario_gen.joint.copulas import CopulaCoupling, RankBootstrap
from scenario_gen.joint.coupling import Coupled, Coupling
from scenario_gen.joint.fit import CellLaw, cells_of, compensated, in_order
from scenario_gen.joint.pilot import BARS, BookAsset, run_pilot
from scenario_gen.joint.section import Joint
from scenario_gen.market import load_candles
from scenario_gen.market.paths import PathSet
from scenario_gen.pipeline.opening import named_generator

Floats = NDArray[np.float64]
READ, CONTEXT = 1000, 256


def book(generator: Generator, joint: Joint, horizon: int) -> list[BookAsset]:
    """Return S&P 500 and NASDAQ, their generators in order."""
    past, _ = align({"spx": load_candles("sp500"), "ndx": load_candles("nasdaq")}).split_at(None)
    rows, ahead = np.arange(len(past.timestamps) - READ, len(past.timestamps)), past.future(horizon)
    every = [
        BookAsset(generator, part, rows, part.context(CONTEXT), ahead[asset]) for asset, part in past.parts.items()
    ]
    return [BookAsset(in_order(each, joint), each.history, rows, each.context, each.timestamps) for each in every]


def survival(model: str) -> list[str]:
    """Return a row per copula and order of tokens."""
    generator, lines = open_generator(named_generator({"model": model})), []
    for order in ("return", "nested") if model not in ("gbm",) else ("return",):
        assets = book(generator, Joint(order=order), BARS)
        cells = [cells_of(asset) for asset in assets]
        aim = np.corrcoef([asset.returns for asset in assets])
        for copula in ("gaussian", "t", "empirical"):
            law = CellLaw.of(cells, copula)
            first = run_pilot(assets, law.coupling, 1)
            used, last = compensated(law, aim, lambda coupling, assets=assets: run_pilot(assets, coupling, 1))
            degrees = "" if law.degrees is None else f", {law.degrees:.1f} degrees"
            ranks = " / ".join(f"{rank:.2f}" for rank in last.order_rank)
            lines.append(
                f"| {model} | {order} | {copula}{degrees} | {aim[0, 1]:.3f} | {law.read[0, 0, 1]:.3f} | "
                f"{first.reached[0, 1]:.3f} ({first.reached[0, 1] / aim[0, 1]:.0%}) | "
                f"{used.correlation[0, 0, 1]:.3f} | {last.reached[0, 1]:.3f} +- {last.error[0, 1]:.3f} "
                f"({last.reached[0, 1] / aim[0, 1]:.0%}) | {last.ranges[0, 1]:.2f} | {ranks} |"
            )
    return lines


def facts_of(paths: PathSet) -> Mapping[str, Floats]:
    """Return ten facts of each path."""
    logs = np.log(paths.closes)
    returns = np.diff(logs, axis=1)
    ranges = np.log(np.log(paths.column("high") / paths.column("low")) + 1e-6)
    volume = np.log(paths.column("volume") + 1.0)
    return {
        "end": returns.sum(axis=1),
        "volatility": returns.std(axis=1),
        "largest": np.abs(returns).max(axis=1),
        "lowest": returns.min(axis=1),
        "drawdown": (np.maximum.accumulate(logs, axis=1) - logs).max(axis=1),
        "memory": _memory(returns),
        "clusters": _memory(np.abs(returns)),
        "range": ranges.mean(axis=1),
        "memory of range": _memory(ranges),
        "volume": volume.mean(axis=1),
    }


def _memory(series: Floats) -> Floats:
    apart = series - series.mean(axis=1, keepdims=True)
    return (apart[:, 1:] * apart[:, :-1]).sum(axis=1) / np.maximum((apart**2).sum(axis=1), 1e-30)


def laws(model: str, runs: int, paths: int, bars: int) -> list[str]:
    """Return a row per coupling: how often an asset's paths are told from those that it has alone."""
    assets = book(open_generator(named_generator({"model": model})), Joint(), bars)
    law = CellLaw.of([cells_of(asset) for asset in assets], "empirical")
    ranks = ndtr(law.scores)
    couplings: dict[str, Coupling] = {
        "gaussian": CopulaCoupling(law.read),
        "t, 4 degrees": CopulaCoupling(law.read, 4.0),
        "empirical, dates one by one": RankBootstrap.of(ranks, 1.0),
        "empirical, blocks of 5 dates": RankBootstrap.of(ranks, 5.0),
    }
    asset = assets[0]
    alone = _pooled(
        lambda seed: asset.generator.sample(asset.context, asset.timestamps, _draws(seed, paths)), runs, 100
    )
    lines = []
    for name, coupling in couplings.items():
        coupled = Coupled(asset.generator, coupling, 0, asset.timestamps, np.arange(bars))

        def sampled(seed: int, coupled: Coupled = coupled) -> PathSet:
            return coupled.sample(asset.context, asset.timestamps, _draws(seed, paths))

        ours = _pooled(sampled, runs, 200)
        tests = pd.Series({fact: ks_2samp(ours[fact], alone[fact]).pvalue for fact in alone})
        off = pd.Series({fact: (ours[fact].mean() - alone[fact].mean()) / alone[fact].std() for fact in alone})
        worst = off.abs().idxmax()
        lines.append(
            f"| {model} | {name} | {(tests < 0.05).sum()} of {len(tests)} | {tests.min():.2g} ({tests.idxmin()}) | "
            f"{off[worst]:+.2f} ({worst}) |"
        )
    return lines


def _draws(seed: int, paths: int) -> Draws:
    return Draws.block(seed, 0, paths)


def _pooled(sample: Callable[[int], PathSet], runs: int, first: int) -> dict[str, Floats]:
    """Return the facts of the paths of several seeds together."""
    parts = [facts_of(sample(first + run)) for run in range(runs)]
    return {fact: np.concatenate([part[fact] for part in parts]) for fact in parts[0]}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["nano", "gbm"])
    parser.add_argument("--laws", type=int, default=4, help="runs of each side; 0 leaves the table out")
    parser.add_argument("--paths", type=int, default=512)
    parser.add_argument("--bars", type=int, default=32)
    told = parser.parse_args()
    print(
        "| generator | order | copula | history | uniforms, read | reached as read | used | reached | ranges | rank |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for model in told.models:
        print("\n".join(survival(model)), flush=True)
    if told.laws:
        print("\n| generator | coupling | p < .05 | smallest p | largest difference, sd |\n|---|---|---|---|---|")
        for model in told.models:
            print("\n".join(laws(model, told.laws, told.paths, told.bars)), flush=True)


if __name__ == "__main__":
    main()
