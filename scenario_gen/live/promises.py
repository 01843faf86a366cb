"""What forecasts promise of the strategies that are watched, what came of it, and the verdict from the log alone.

Owns how a strategy is run for a promise and for what came of it: by the engine of the backtest room in both, with the
same context as warm-up, the same broker, and bars of the log. A promise begins where no earlier one of the strategy
under the same generator is running, as ``watch`` holds none that overlap. Its realised equity is kept bar by bar, as
it first came: a log is judged without the strategies' code, which may have changed or be elsewhere.

What decides a strategy's orders names it: its class, parameters, every file that its code reads when it is loaded, and
the broker. Whatever of this changes, another strategy begins, with promises of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from scenario_gen.backtest.engine import equity_of
from scenario_gen.backtest.findings import look_ahead_finding
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy, load_all
from scenario_gen.backtest.uses import split_use
from scenario_gen.finding import LIVE_STRATEGY, LOOK_AHEAD, Finding, Label
from scenario_gen.live.config import LiveConfig
from scenario_gen.live.judge import MEMBERS
from scenario_gen.live.log import Floats, ForecastLog, LoggedBars, LoggedPromise, LoggedStrategy
from scenario_gen.live.results import Course, StrategyWatch
from scenario_gen.live.watch import Promise, watch
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.report.words import plural
from scenario_gen.values import hash_of

LABELS: Mapping[Course, Label] = {"consistent": "PASS", "drifting": "WARN", "outside": "FAIL"}
PLAIN = (bool, int, float, str, type(None))  # other values of parameters are defaults, which the code decides


@dataclass(frozen=True, eq=False)
class TradedLog:
    """Where strategies are traded: the bars of a log, and what a config says of account and context."""

    config: LiveConfig
    bars: Candles  # of the log
    calendar: BarCalendar

    def ground(self, row: int) -> Ground:
        """Return the ground behind a bar, as it was when that was the last."""
        context = self.bars.rows(row + 1 - self.config.settings.context, row + 1)
        nothing = self.bars.rows(row + 1, row + 1)
        year = float(self.calendar.bars_per_year)
        return Ground(
            context=context,
            history=self.bars.rows(0, row + 1),
            later=nothing,
            bars_per_year=year,
            calendar=self.calendar,
            broker=self.config.broker,
            seed=self.config.settings.seed,
        )

    def growth(self, strategy: LoadedStrategy, row: int, paths: PathSet) -> Floats:
        """Return a strategy's equity on paths from a bar on, as a multiple of the start [path, bar + 1]."""
        return equity_of(strategy, self.ground(row), paths) / self.config.broker.cash

    def came(self, strategy: LoadedStrategy, row: int, bars: int) -> Floats:
        """Return the same on so many bars that came after a bar, [bar + 1]."""
        real = self.ground(row).real(self.bars.rows(row + 1, row + 1 + bars))
        return np.asarray(self.growth(strategy, row, real)[0].astype(np.float32), dtype=np.float64)


def keep_promises(
    config: LiveConfig, log: ForecastLog, generator: str, paths: PathSet, like: Candles, calendar: BarCalendar
) -> list[str]:
    """Enter what came of running promises, and a promise of every strategy of which none runs; return notes.

    Args:
        config: whose strategies are watched.
        log: with a forecast of the generator from its last bar.
        generator: its sha.
        paths: of that forecast, after repair; the first 199 are traded.
        like: candles whose zone and calendar those of the log have.
        calendar: of the bars.

    Raises:
        StrategyError: a strategy cannot be loaded, raised, or returned something unusable.
    """
    loaded, dropped = load_all(config.strategies, config.base) if config.strategies else ([], ())
    notes = [f"left out {each.name}: {each.reason}" for each in dropped]
    real, shas = log.bars(), [strategy_sha(strategy, config) for strategy in loaded]
    traded = TradedLog(config, log.candles(like), calendar) if loaded else None
    for strategy, sha in zip(loaded, shas, strict=True):
        if traded is None or _is_running(traded, log, generator, strategy, sha, real):
            continue
        notes += _before(log, generator, strategy.name, sha)
        _begin(traded, log, generator, strategy, sha, paths)
    if loaded or log.watched():
        log.note_watched([*dict.fromkeys(shas)])  # the same under two names is one
    return notes


def strategy_sha(strategy: LoadedStrategy, config: LiveConfig) -> str:
    """Return the hash of what decides a strategy's orders on given bars."""
    return hash_of(
        {
            "class": split_use(strategy.use)[1],
            "parameters": {key: value for key, value in strategy.params.items() if isinstance(value, PLAIN)},
            "read": strategy.reads.identity(),
            "broker": config.broker.model_dump(mode="json"),
        }
    )


def _is_running(
    traded: TradedLog, log: ForecastLog, generator: str, strategy: LoadedStrategy, sha: str, real: LoggedBars
) -> bool:
    """Enter what came of a strategy's latest promise; return whether bars of it are still to come."""
    promises = log.promises(generator, sha)
    if not promises:
        return False
    latest = promises[-1]
    row, bars, cut = _matched(latest, real)
    if bars >= len(latest.realised):
        log.enter_realised(latest.at, generator, sha, traded.came(strategy, row, bars))
    return bars < len(latest.ahead) and not cut


def _matched(promise: LoggedPromise, real: LoggedBars) -> tuple[int, int, bool]:
    """Return the row that a promise follows, how many bars came at its stamps, and whether one came at another."""
    row = int(np.searchsorted(real.at, promise.at))
    came = real.at[row + 1 : row + 1 + len(promise.ahead)]
    same = came == promise.ahead[: len(came)]
    bars = len(came) if same.all() else int(same.argmin())
    return row, bars, bars < len(came)


def _begin(
    traded: TradedLog, log: ForecastLog, generator: str, strategy: LoadedStrategy, sha: str, paths: PathSet
) -> None:
    """Enter a promise from the last bar; a strategy that is new is probed for look-ahead on its paths."""
    row, first = len(traded.bars) - 1, paths.first(MEMBERS)
    probed = next((each for each in log.strategies([sha]) if each.probed in ("PASS", "FAIL")), None)
    if probed is None:
        probe = look_ahead_finding(strategy, traded.ground(row), first)
        probed = LoggedStrategy(sha, strategy.name, probe.label, probe.measured)
    at = int(traded.bars.timestamps[-1:].as_unit("ns").asi8[0])
    log.enter_promise(at, generator, replace(probed, name=strategy.name), traded.growth(strategy, row, first))


def _before(log: ForecastLog, generator: str, name: str, sha: str) -> list[str]:
    """Say that a strategy of this name, but of other code, was promised something before."""
    others = [each for each in log.strategies() if each.name == name and each.sha != sha]
    count = sum(len(log.promises(generator, each.sha)) for each in others)
    if not count or log.promises(generator, sha):
        return []
    words = f"{name}: its code, parameters or broker are not those of {count} earlier promises"
    return [f"{words}; it is another strategy, judged from here on"]


# --- From the log alone ---


def watched_strategies(log: ForecastLog, generator: str) -> tuple[list[StrategyWatch], list[Finding]]:
    """Return how the strategies fare that the last step watched, under one generator, and the findings on them.

    Needs neither their code nor a model: what was promised and what came of it stand in the log.
    """
    real, watches, findings = log.bars(), list[StrategyWatch](), list[Finding]()
    for strategy in log.watched():
        held = [_held(promise, real) for promise in log.promises(generator, strategy.sha)]
        promises = [promise for promise in held if promise is not None]
        watches.append(watch(strategy.name, promises, seed=int(strategy.sha[:8], 16)))
        findings.append(strategy_finding(watches[-1]))
        if strategy.probed != "PASS":
            findings.append(LOOK_AHEAD.finding(strategy.probed, strategy.words, strategy=strategy.name))
    return watches, findings


def _held(promise: LoggedPromise, real: LoggedBars) -> Promise | None:
    """Return a promise as it is watched: cut short where bars came at other stamps, none where the first did."""
    row, bars, cut = _matched(promise, real)
    last = bars if cut else len(promise.ahead)
    if not last:
        return None
    stamps = pd.DatetimeIndex(promise.ahead[:last].view("datetime64[ns]"))
    realised = promise.realised[: last + 1]
    return Promise(real.stamps[row], stamps, promise.growth[:, : last + 1], realised)


def strategy_finding(watched: StrategyWatch) -> Finding:
    """Return whether a strategy does what was promised of it."""
    label, came = label_of(watched), ""
    if watched.bars:
        came = f"{watched.realised:+.2%} over {plural(watched.bars, 'bar')} since {watched.since}, where 90 % of the "
        came += f"paths promised {watched.promised_in_words}; "
    return LIVE_STRATEGY.finding(label, f"{watched.course}: {came}{watched.words}", strategy=watched.strategy)


def label_of(watched: StrategyWatch) -> Label:
    """Return the label of a strategy's course."""
    if watched.course == "undecided":
        return "INCONCLUSIVE" if watched.bars else "UNTESTABLE"
    return LABELS[watched.course]
