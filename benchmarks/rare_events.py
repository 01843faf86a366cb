"""Rare events whose probability is known: splitting beside exact truths, brute force, plain paths and planted defects.

    python -m benchmarks.rare_events [exact coverage garch defects tilt strategy walk nano] [--quick]

Drawdowns within 60 bars from closes alone. exact: a Gaussian walk of 1 % a bar, whose truth is Lindley's recursion on a
grid (no simulation), at 1e-3, 1e-4 and 1e-5. coverage: how often the interval of 8 small islands holds the truth.
garch: GARCH(1, 1) of 246 tokens (persistence .95, Student's t with 6 degrees) beside 2 million plain paths. defects: an
island with ties that survive, and with branches one bar before the crossing; both stop themselves, so the watch is
taken out as well. tilt: the same GARCH by importance sampling whose tokens are tilted downwards, the way that splitting
is not done. strategy: losses of a rule on the same GARCH beside 200,000 plain paths. walk: the bundled model bar by bar
beside its sample, and what a fork costs. nano: one event of the bundled model, 512 rows by 63 bars, 8 islands. "gain"
is how many bars plain paths would take for the same relative error, over the bars that were sampled; seconds are of
processor time. Prints Markdown.
"""

from __future__ import annotations

import argparse
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri
from scipy.stats import t as student

from scenario_gen.backtest import Bars, LoadedStrategy, Signals
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.ground import Ground
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.kronos import KronosPaths
from scenario_gen.generators.walks import ChainWalk, sample_walk
from scenario_gen.kronos.checkpoint import open_checkpoint
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.market import BarCalendar, Candles, load_candles
from scenario_gen.market.candles import continue_ewma
from scenario_gen.market.paths import Floats
from scenario_gen.stress import splitting
from scenario_gen.stress.events import Outset, StrategyScore, drawdown_score
from scenario_gen.stress.exceedance import island_probability, standard_error
from scenario_gen.stress.splitting import IslandDraws, Plan, Score, Scored, run_island

BARS, SIGMA = 60, 0.01
TOKENS = student.ppf((np.arange(246) + 0.5) / 246, 6) / np.sqrt(1.5)
Law = Callable[[Floats, Floats], tuple[Floats, Floats]]  # of what decides a bar and uniforms: returns, what comes after


def gauss(state: Floats, uniforms: Floats) -> tuple[Floats, Floats]:
    """Return normal returns."""
    return SIGMA * ndtri(np.maximum(uniforms, 1e-300)), state


def token_garch(variance: Floats, uniforms: Floats) -> tuple[Floats, Floats]:
    """Return returns of a variance, and the variance after them."""
    returns = np.sqrt(variance) * TOKENS[(uniforms * 246).astype(np.int64)]
    return returns, 0.05 * SIGMA**2 + 0.10 * returns**2 + 0.85 * variance


def walk_of(law: Law, rows: int, bars: int = BARS) -> ChainWalk:
    """Return closes from 100 whose bars are valid, before their first bar."""

    def next_bar(now: Floats, uniforms: Floats) -> tuple[Floats, Floats | None, Floats]:
        close, after = law(now, uniforms[:, 0])
        return np.stack([0 * close, np.maximum(close, 0), np.minimum(close, 0), close], axis=1), None, after

    level, values = np.zeros((rows, bars + 1)), np.zeros((rows, bars, 4), dtype=np.float32)
    return ChainWalk(next_bar, 1, 100.0, values, level, np.full((rows, bars + 1), SIGMA**2))


def drawdown_of(at_least: float, outset: Outset) -> Score:
    """Return the score of a drawdown."""

    def score(values: np.ndarray) -> Scored:
        returns = outset.returns(values)
        level = np.cumsum(returns, axis=1)
        deviation = np.sqrt(continue_ewma(np.full(len(level), outset.variance), returns**2)[:, 1:])
        return drawdown_score(np.maximum(np.maximum.accumulate(level, axis=1), 0) - level, deviation, at_least)

    return score


OUTSET = Outset(100.0, SIGMA**2, BARS, 252.0)


def lindley(target: float, cells: int = 800) -> float:
    """Return the probability that a Gaussian walk falls by ``target`` log units within BARS: a chain killed there."""
    edges = np.linspace(0.0, target, cells + 1)
    places = np.concatenate(([0.0], (edges[:-1] + edges[1:]) / 2))
    reach = ndtr((edges - places[:, None]) / SIGMA)
    chain = np.concatenate((reach[:, :1], np.diff(reach, axis=1)), axis=1)
    state = np.eye(1, cells + 1)[0]
    for _ in range(BARS):
        state = state @ chain
    return float(1.0 - state.sum())


@dataclass(frozen=True)
class Found:
    """What some islands say, and what they cost."""

    probabilities: Floats
    steps: int
    seconds: float

    def row(self, name: str, truth: float, error: float = 0.0) -> str:
        """Return a line of the table: estimate over truth, standard errors apart, gain."""
        own, mean = standard_error(self.probabilities), float(self.probabilities.mean())
        apart = (mean - truth) / np.hypot(own, error)
        gain = BARS * (1 - truth) / truth / (own / mean) ** 2 / self.steps
        shown = f"{mean / truth:.2f} ± {own / truth:.2f} | {apart:+.1f} | {gain:.3g}"
        return f"| {name} | {truth:.3e} | {shown} | {self.seconds:.0f} |"


def islands(count: int, plan: Plan, score: Score, law: Law, *, first: int = 0, module: ModuleType = splitting) -> Found:
    """Run so many islands of their own seeds."""
    start, found, steps = time.process_time(), [], 0
    for at in range(first, first + count):
        island = module.run_island(walk_of(law, plan.slots), BARS, score, IslandDraws(11, "benchmark", at), plan)
        found.append(island.probability)
        steps += island.bar_steps
    return Found(np.array(found), steps, time.process_time() - start)


HEAD = "| what | truth | estimate / truth | errors apart | gain | seconds |\n|---|---|---|---|---|---|"


def exact(quick: bool) -> None:
    """Print three depths beside Lindley's recursion."""
    print(HEAD)
    for drawdown in (0.2283, 0.2621, 0.2909):
        truth = lindley(-np.log1p(-drawdown))
        score = drawdown_of(drawdown, OUTSET)
        print(islands(6 if quick else 30, Plan(512), score, gauss).row(f"{drawdown:.1%}", truth), flush=True)


def coverage(quick: bool) -> None:
    """Print how often the interval of 8 islands holds the truth."""
    repeats, drawdown = (20 if quick else 200), 0.2283
    truth, score, held, widths = lindley(-np.log1p(-drawdown)), drawdown_of(drawdown, OUTSET), 0, []
    start = time.process_time()
    for at in range(repeats):
        estimate = island_probability(islands(8, Plan(64), score, gauss, first=1000 + 8 * at).probabilities)
        if estimate.low is not None and estimate.high is not None:
            held += estimate.low <= truth <= estimate.high
            widths.append(estimate.high / estimate.low)
    seconds = time.process_time() - start
    print(
        f"8 islands of 64 at {truth:.2e}: the interval holds the truth in {held} of {repeats}; median of its high over"
    )
    print(f"its low {np.median(widths):.1f}; {seconds:.0f} s", flush=True)


Happened = Callable[[np.ndarray], np.ndarray]  # of values [path, bar, field], [path]


def brute(law: Law, events: dict[str, Happened], paths: int, seed: int) -> dict[str, tuple[float, float]]:
    """Return the share of plain paths in each event, and its error."""
    chunk, hits = 20_000, dict.fromkeys(events, 0)
    for at in range(paths // chunk):
        values = sample_walk(walk_of(law, chunk), np.random.default_rng([seed, at]).random((chunk, BARS, 1)))
        for name, happened in events.items():
            hits[name] += int(happened(values).sum())
    return {name: (count / paths, np.sqrt(count) / paths) for name, count in hits.items()}


def deepest(values: np.ndarray) -> np.ndarray:
    """Return the deepest fall of closes from the highest so far."""
    level = np.log(values[..., 3].astype(np.float64) / 100.0)
    return -np.expm1((level - np.maximum(np.maximum.accumulate(level, axis=1), 0.0)).min(axis=1))


@lru_cache(maxsize=1)
def garch_truths(quick: bool) -> dict[str, tuple[float, float]]:
    """Return the shares of plain paths of the token GARCH at each depth."""
    events: dict[str, Happened] = {f"{depth:.1%}": partial(_falls, depth) for depth in GARCH_DEPTHS}
    return brute(token_garch, events, 200_000 if quick else 2_000_000, 5)


def _falls(depth: float, values: np.ndarray) -> np.ndarray:
    return deepest(values) >= depth


GARCH_DEPTHS = (0.2387, 0.281, 0.32)  # some 3e-3, 8e-4 and 2e-4


def garch(quick: bool) -> None:
    """Print two depths beside plain paths."""
    print(HEAD)
    for depth, (name, (truth, error)) in zip(GARCH_DEPTHS, garch_truths(quick).items(), strict=True):
        score = drawdown_of(depth, OUTSET)
        for kill in (0.5, 0.25):
            found = islands(6 if quick else 30, Plan(512, kill), score, token_garch)
            print(found.row(f"{name}, kill {kill:.0%}", truth, error), flush=True)
    for name, (truth, error) in garch_truths(quick).items():
        print(f"plain paths: {name} {truth:.3e} ± {error:.1e}")


WATCH = ("if not (population.scored.running.max(axis=1) > level).all():", "if False:")
DEFECTS = {
    "none": (),
    "ties survive": (("np.flatnonzero(best <= level)", "np.flatnonzero(best < level)"), WATCH),
    "branched one bar early": (
        (
            "np.argmax(self.scored.running[parents] > level, axis=1) + 1",
            "np.argmax(self.scored.running[parents] > level, axis=1)",
        ),
        WATCH,
    ),
}


def planted(changes: tuple[tuple[str, str], ...]) -> ModuleType:
    """Return the module with some lines changed."""
    source = inspect.getsource(splitting)
    for right, wrong in changes:
        if source.count(right) != 1:
            raise SystemExit(f"the line to be changed is no longer there once: {right}")
        source = source.replace(right, wrong)
    module = ModuleType(splitting.__name__)
    exec(compile(source, splitting.__file__, "exec"), module.__dict__)
    return module


def lattice(target: int) -> Score:
    """Return the score of a coin's walk by its highest level, in whole steps: most paths tie."""

    def score(values: np.ndarray) -> Scored:
        level = np.rint(np.log(values[..., 3].astype(np.float64) / 100.0) / SIGMA)
        highest = np.maximum.accumulate(level, axis=1)
        reached = highest >= target
        return Scored(np.where(reached, np.inf, highest), highest[:, -1], reached[:, -1])

    return score


def coin(state: Floats, uniforms: Floats) -> tuple[Floats, Floats]:
    """Return one step up or down."""
    return np.where(uniforms < 0.5, SIGMA, -SIGMA), state


def defects(quick: bool) -> None:
    """Print what planted defects do to a lattice score, whose truth is the reflection principle."""
    from scipy.stats import binom

    target, ends = 24, 2 * np.arange(BARS + 1) - BARS
    chance = binom.pmf(np.arange(BARS + 1), BARS, 0.5)
    truth = float(chance[ends >= target].sum() + chance[ends > target].sum())
    print(HEAD)
    for name, changes in DEFECTS.items():
        module = planted(changes) if changes else splitting
        found = islands(6 if quick else 600, Plan(128, most_levels=200), lattice(target), coin, module=module)
        print(found.row(name, truth), flush=True)


def tilt(quick: bool) -> None:
    """Print importance sampling with tilted tokens on the same GARCH."""
    truths = garch_truths(quick)
    print(HEAD)
    for theta in (0.5, 0.2):
        chances = np.exp(-theta * TOKENS)
        ratio = chances.mean() / chances  # p(s) over the tilted chance of a token
        cumulative = np.cumsum(chances / chances.sum())
        start, runs, estimates = time.process_time(), 10 if quick else 60, {name: [] for name in truths}
        for at in range(runs):
            drawn = np.random.default_rng([9, at]).random((4000, BARS))
            tokens = np.minimum(np.searchsorted(cumulative, drawn, side="right"), 245)
            values = sample_walk(walk_of(token_garch, 4000), ((tokens + 0.5) / 246)[..., None])
            weights = ratio[tokens].prod(axis=1)
            for depth, name in zip(GARCH_DEPTHS, truths, strict=True):
                estimates[name].append(float(np.mean(weights * _falls(depth, values))))
        for name, (truth, error) in truths.items():
            found = Found(np.array(estimates[name]), runs * 4000 * BARS, time.process_time() - start)
            print(found.row(f"{name}, tilted by {theta}", truth, error), flush=True)


@dataclass(frozen=True)
class Trend:
    """Long above the average of ten closes, short below it."""

    def signals(self, bars: Bars) -> Signals:
        """Turn at the average."""
        above = bars.close > bars.close.rolling(10).mean()
        return Signals(entries=above, exits=~above, short_entries=~above, short_exits=above)


def strategy(quick: bool) -> None:
    """Print the loss of a rule beside plain paths."""
    paths, stamps = (40_000 if quick else 200_000), pd.bdate_range("2020-01-01", periods=60 + BARS)
    past = 100 * np.exp(np.cumsum(SIGMA * np.random.default_rng(1).standard_normal(60)))
    past *= 100 / past[-1]
    context = Candles(stamps[:60], np.repeat(past[:, None], 4, axis=1), ("open", "high", "low", "close"))
    ground = Ground.of(context, bars_per_year=252.0, broker=Broker(fees=0.0005))
    loaded = LoadedStrategy("Trend", "here.py:Trend", {}, Trend(), Path(__file__))
    scores: dict[str, Score] = {
        f"{loss} {size:.0%}": StrategyScore(loaded, ground, stamps[60:], OUTSET, loss, size)  # type: ignore[arg-type]
        for loss, size in (("strategy_loss", 0.20), ("strategy_drawdown", 0.22), ("strategy_drawdown", 0.27))
    }
    truths = brute(token_garch, {name: partial(_breaks, score) for name, score in scores.items()}, paths, 6)
    print(HEAD)
    for name, score in scores.items():
        truth, error = truths[name]
        print(islands(4 if quick else 16, Plan(256), score, token_garch).row(name, truth, error), flush=True)


def _breaks(score: Score, values: np.ndarray) -> np.ndarray:
    return score(values).happened


def _nano(context_bars: int = 384, horizon: int = 63) -> tuple[KronosPaths, Candles, pd.DatetimeIndex]:
    context = load_candles("sp500").context(context_bars)
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(horizon)
    return KronosPaths.of(open_checkpoint("nano"), SamplingRule(1.0), device="cpu"), context, stamps


def walk(quick: bool) -> None:
    """Print the bundled model bar by bar beside its sample, and what forks cost."""
    generator, context, stamps = _nano()
    rows, bars, now = 512, len(stamps), time.process_time
    generator.sample(context, stamps, Draws.block(1, 0, 64))
    rng = np.random.default_rng(1)
    print("| sample | all rows bar by bar | ratio | fork | half of the rows anew | their bars | fork / anew |")
    print("|---|---|---|---|---|---|---|")
    for at in range(1 if quick else 3):
        start = now()
        generator.sample(context, stamps, Draws.block(at, 0, rows))
        sampled = now() - start
        uniforms, start = Draws.block(at, 0, rows).uniforms(bars, 2), now()
        walked = generator.start(context, stamps, rows)
        for bar in range(bars):
            walked.step(bar, np.arange(rows), uniforms[:, bar])
        assert walked.values.shape[0] == rows
        stepped, forks, anew, decoded, done = now() - start, 0.0, 0.0, 0.0, 0
        for _ in range(3):
            targets = rng.permutation(rows)[: rows // 2]
            sources = rng.choice(np.setdiff1d(np.arange(rows), targets), rows // 2)
            upto = rng.integers(1, bars, rows // 2)
            start = now()
            walked.fork(sources, targets, upto)
            forks += now() - start
            start = now()
            for bar in range(int(upto.min()), bars):
                going = targets[upto <= bar]
                walked.step(bar, going, rng.random((len(going), 2)))
                done += len(going)
            anew += now() - start
            start = now()
            assert walked.values.shape[0] == rows
            decoded += now() - start
        parts = f"{sampled:.2f} | {stepped:.2f} | {stepped / sampled:.2f} | {forks / 3:.3f} | {anew / 3:.2f} | "
        print(
            f"| {parts}{done / 3:,.0f} bars, features {decoded / 3:.2f} | {forks / (anew + decoded):.1%} |", flush=True
        )


def nano(quick: bool) -> None:
    """Print an event of the bundled model: plain block, islands, cost."""
    generator, context, stamps = _nano()
    rows, bars = (128 if quick else 512), len(stamps)
    outset = Outset.of(context, bars, 252.0)
    start = time.process_time()
    plain = generator.sample(context, stamps, Draws.block(3, 0, rows))
    block = time.process_time() - start
    base = drawdown_of(0.99, outset)(plain.values).measure
    depth = float(np.round(np.quantile(base, 0.99) * 1.6, 2))
    score, found, steps = drawdown_of(depth, outset), [], 0
    start = time.process_time()
    for at in range(2 if quick else 8):
        walked = generator.start(context, stamps, rows)
        island = run_island(walked, bars, score, IslandDraws(3, "nano", at), Plan(rows))
        found.append(island.probability)
        steps += island.bar_steps
        print(
            f"island {at}: {island.probability:.2e}, {len(island.levels)} levels, {island.bar_steps / rows / bars:.1f}"
        )
    took, chances = time.process_time() - start, np.array(found)
    estimate, mean, share = island_probability(chances), float(chances.mean()), steps / rows / bars
    error = standard_error(chances) / mean
    gain = (1 - mean) / mean / error**2 * bars / steps
    print(
        f"drawdown of {depth:.0%}: {mean:.2e} ({estimate.low or 0:.1e} to {estimate.high or 1:.1e}), error {error:.2f};"
    )
    print(f"a block of {rows} takes {block:.1f} s, {len(found)} islands {took:.0f} s: {share:.1f} blocks of bars,")
    print(f"{took / block:.1f} of time; gain {gain:.1f} in bars, {gain * share * block / took:.1f} in time")


PARTS = (exact, defects, garch, tilt, strategy, coverage, walk, nano)


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(part.__name__ for part in PARTS))
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    given = parser.parse_args()
    for part in PARTS:
        if not given.parts or part.__name__ in given.parts:
            print(f"\n## {part.__name__}\n", flush=True)
            part(given.quick)


if __name__ == "__main__":
    main()
