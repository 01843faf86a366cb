"""Forecasts of a book's past: whether portfolios of the assets, sampled together, rank as what came.

Each asset may be forecast well and the book badly: what a portfolio gains or loses hangs on how assets move together.
At past origins all assets are sampled under the run's coupling; the gain of a long-only and of a long-short portfolio
over 1, 5 and 20 bars is ranked among those of the paths (Diebold, Hahn and Tay 1999 judge a joint density by such
transforms). Beside it stand the same paths shuffled apart, and put together as history was (Schaake shuffle: Clark et
al. 2004), and vector filtered historical simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.finding import Label, worst
from scenario_gen.forecasts.harness import Forecast, Sampling, forecasts, ties
from scenario_gen.forecasts.judge import judge_functional
from scenario_gen.forecasts.origins import Origins
from scenario_gen.forecasts.results import FunctionalCalibration
from scenario_gen.generators.base import Generator
from scenario_gen.generators.filtered import FilteredPaths
from scenario_gen.joint.coupling import CoupledForecasts, Coupling, Dated
from scenario_gen.market.book import BookPaths
from scenario_gen.market.candles import Candles
from scenario_gen.progress import Progress
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.panel import Panel
from scenario_gen.stats.means import benjamini_hochberg
from scenario_gen.stats.ranks import ScoreSkill, compare_scores, fair_crps, pit, uniformity

Floats = NDArray[np.float64]

AHEAD = (1, 5, 20)  # bars over which portfolios are held
PORTFOLIOS = {"long_only": "all long", "long_short": "every second asset short"}
OURS, APART, FILTERED, SCHAAKE = "as coupled", "drawn apart", "vector FHS", "Schaake shuffle"


@dataclass(frozen=True)
class JointLaw:
    """One way to put the assets' paths together, over all origins."""

    name: str
    label: Label  # the worst of its numbers
    numbers: list[FunctionalCalibration]  # the gain of each portfolio over 1, 5 and 20 bars
    skills: list[ScoreSkill] = field(default_factory=list)  # CRPS against every other way


@dataclass(frozen=True)
class BookCalibration:
    """A book's portfolios over past origins."""

    assets: list[str]
    origins: list[str]  # ISO stamps of the last bar before each future, oldest first
    horizon: int  # bars of each forecast
    paths: int  # of each, before candle rules
    ours: JointLaw  # the run's coupling
    beside: list[JointLaw]  # the same paths put together otherwise, and vector FHS
    notes: list[str]  # what a reader must know of how this was done


@dataclass(frozen=True)
class BookForecast:
    """All assets' paths from one origin, beside what came."""

    place: int
    log_returns: Floats  # of the paths [path, bar, asset]
    real: Floats  # of what came [bar, asset]
    deviations: Floats  # of the contexts' log returns [asset]
    parts: tuple[Forecast, ...]  # asset by asset, the same paths in each

    @classmethod
    def of(cls, parts: Sequence[Forecast]) -> BookForecast:
        """Put the assets' forecasts of one origin together: a path dropped in one is dropped in all."""
        kept = BookPaths.common({str(place): part.paths for place, part in enumerate(parts)})
        parts = [replace(part, paths=paths) for part, paths in zip(parts, kept.parts.values(), strict=True)]
        drawn, real = (
            np.stack([np.diff(np.log(getattr(part, name).closes), axis=1) for part in parts], axis=-1)
            for name in ("paths", "real")
        )
        deviations = np.array([part.context.volatility for part in parts])
        return cls(parts[0].place, drawn, real[0], deviations, tuple(parts))

    def panel(self, names: Sequence[str]) -> tuple[Panel, Panel]:
        """Return the paths and what came, asset beside asset."""
        sides = ([BarArrays.of_paths(getattr(part, name)) for part in self.parts] for name in ("paths", "real"))
        ours, theirs = (Panel(tuple(names), tuple(bars)) for bars in sides)
        return ours, theirs


def weights_of(portfolio: str, deviations: Floats) -> Floats:
    """Return what a portfolio holds of each asset at first, as a share of its worth [asset].

    Long-short holdings are scaled by the assets' volatility, so that what is left is the spread and not the wilder one.
    """
    if portfolio == "long_only":
        return np.full(len(deviations), 1 / len(deviations))
    signs = np.where(np.arange(len(deviations)) % 2 == 0, 1.0, -1.0)
    sized = signs / np.maximum(deviations, np.finfo(float).tiny)
    return np.asarray(sized / np.abs(sized).sum())


def gains(log_returns: Floats, weights: Floats, bars: int) -> Floats:
    """Return what a portfolio bought before the first bar has gained after so many [...], from [..., bar, asset]."""
    return np.asarray(np.expm1(log_returns[..., :bars, :].sum(axis=-2)) @ weights)


def apart(log_returns: Floats, rng: np.random.Generator) -> Floats:
    """Return the same paths of every asset [path, bar, asset], those of each from another future."""
    paths = len(log_returns)
    return np.stack([log_returns[rng.permutation(paths), :, at] for at in range(log_returns.shape[2])], axis=-1)


def schaake(log_returns: Floats, history: Floats, rng: np.random.Generator) -> Floats:
    """Return the same returns of every bar and asset [path, bar, asset], ranked among paths as windows of history are.

    Args:
        log_returns: of the paths.
        history: log returns before the origin [bar, asset].
        rng: chooses windows.
    """
    paths, bars, _ = log_returns.shape
    starts = rng.integers(len(history) - bars + 1, size=paths)
    windows = history[starts[:, None] + np.arange(bars)]
    ranks = windows.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    return np.take_along_axis(np.sort(log_returns, axis=0), ranks, axis=0)


def calibrate_book(
    generators: Mapping[str, Generator],
    coupling: Coupling,
    histories: Mapping[str, Candles],
    origins: Origins,
    sampling: Sampling,
    *,
    progress: Progress,
    seen: Callable[[BookForecast], None] = lambda _: None,
    notes: Sequence[str] = (),
) -> BookCalibration:
    """Rank what portfolios of the assets gained among what they gain on paths that are sampled together.

    Args:
        generators: asset to what samples it, uncoupled.
        coupling: of the run.
        histories: asset to its bars up to the context's end, at the same stamps in all.
        origins: rows of the histories.
        sampling: context, horizon, paths and seed.
        progress: who hears of stages.
        seen: is shown every origin's forecast under the run's coupling.
        notes: to be told.

    Raises:
        DataError: fewer than two origins could be forecast.
    """
    assets = list(histories)
    coupled = [CoupledForecasts(generators[name], coupling, at) for at, name in enumerate(assets)]
    filtered = [CoupledForecasts(FilteredPaths(), Dated(), at) for at, _ in enumerate(assets)]
    past = np.stack([np.diff(np.log(history.close)) for history in histories.values()], axis=-1)
    laws: dict[str, list[tuple[dict[str, float], dict[str, float]]]] = {}
    stamps: list[str] = []
    rolling = origins.of(next(iter(histories.values())))
    with progress.stage("forecasting the book", 2 * len(origins)) as advance:
        for forecast in _together(coupled, histories, origins, sampling):
            seen(forecast)
            stamps.append(rolling[forecast.place].stamp)
            rng = np.random.default_rng([sampling.seed, forecast.place, 1])
            before = past[: origins.rows[forecast.place] - 1]
            drawn = forecast.log_returns
            ways = {OURS: drawn, APART: apart(drawn, rng), SCHAAKE: schaake(drawn, before, rng)}
            for name, returns in ways.items():
                laws.setdefault(name, []).append(ranked_gains(replace(forecast, log_returns=returns), sampling))
            advance(1)
        for forecast in _together(filtered, histories, origins, sampling):
            laws.setdefault(FILTERED, []).append(ranked_gains(forecast, sampling))
            advance(1)
    if len(stamps) < 2:
        raise DataError(f"the book could be forecast at {len(stamps)} origins", expected="at least 2")
    judged = {name: judged_law(name, ranked) for name, ranked in laws.items()}
    ours = replace(judged.pop(OURS), skills=_skills(laws))
    return BookCalibration(
        assets, stamps, sampling.horizon, sampling.paths, ours, [*judged.values()], [*notes, _told(sampling)]
    )


def _told(sampling: Sampling) -> str:
    return (
        f"portfolios of {sampling.paths} paths a forecast, bought at the close before it and held; long and short "
        "holdings are sized by the volatility of the contexts"
    )


def _together(
    coupled: Sequence[CoupledForecasts], histories: Mapping[str, Candles], origins: Origins, sampling: Sampling
) -> Iterator[BookForecast]:
    """Yield every origin at which all assets could be forecast."""
    each = [
        {forecast.place: forecast for forecast in forecasts(generator, origins.of(history), sampling)}
        for generator, history in zip(coupled, histories.values(), strict=True)
    ]
    for place in sorted(set.intersection(*(set(made) for made in each))):
        book = BookForecast.of([made[place] for made in each])
        if len(book.log_returns) > 1:
            yield book


def ranked_gains(forecast: BookForecast, sampling: Sampling) -> tuple[dict[str, float], dict[str, float]]:
    """Return rank and CRPS of every portfolio's gain that came."""
    rng = ties(sampling.seed, forecast.place)
    pits, crps = {}, {}
    for portfolio in PORTFOLIOS:
        weights = weights_of(portfolio, forecast.deviations)
        for bars in (bars for bars in AHEAD if bars <= sampling.horizon):
            drawn = gains(forecast.log_returns, weights, bars)
            came = float(gains(forecast.real, weights, bars))
            pits[f"{portfolio}_{bars}"] = pit(drawn, came, rng)
            crps[f"{portfolio}_{bars}"] = fair_crps(drawn, came)
    return pits, crps


def judged_law(name: str, ranked: Sequence[tuple[dict[str, float], dict[str, float]]]) -> JointLaw:
    """Judge one way to put paths together by the ranks and CRPS of all origins, oldest first."""
    pits = {number: np.array([pits[number] for pits, _ in ranked]) for number in ranked[0][0]}
    tests = {number: uniformity(values) for number, values in pits.items()}
    q = benjamini_hochberg({number: test.p for number, test in tests.items()})
    scores = {number: float(np.mean([crps[number] for _, crps in ranked])) for number in tests}
    numbers = [
        judge_functional(number, title_of(number), pits[number], test, q[number], scores[number])
        for number, test in tests.items()
    ]
    return JointLaw(name, worst((number.label for number in numbers), "UNTESTABLE"), numbers)


def title_of(number: str) -> str:
    """Return a portfolio's gain in words: "gain over 5 bars, all long"."""
    portfolio, _, bars = number.rpartition("_")
    return f"gain over {bars} {'bar' if bars == '1' else 'bars'}, {PORTFOLIOS[portfolio]}"


def _skills(laws: Mapping[str, Sequence[tuple[dict[str, float], dict[str, float]]]]) -> list[ScoreSkill]:
    """Return the CRPS of the run's coupling against every other way, number by number."""
    ours = laws[OURS]
    skills = []
    for name, others in laws.items():
        if name == OURS or len(others) != len(ours):
            continue
        for number in ours[0][1]:
            mine, theirs = (np.array([crps[number] for _, crps in ranked]) for ranked in (ours, others))
            skills.append(compare_scores(f"crps_{number}", name, mine, theirs))
    return skills
