"""The forecasts of a log held against the bars that came: ranks, coverage, scores, drift, and the bet that they hold.

Owns which numbers of a forecast are kept and how a log is summed up. Fetches, samples and writes nothing. Values of the
kept members are judged as they were logged, so that no model is needed to judge, and a judgement is the same whenever
it is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scenario_gen.finding import LIVE_CALIBRATION, LIVE_DRIFT, Finding, Label
from scenario_gen.forecasts.numbers import LogPaths, log_realised_volatility
from scenario_gen.live.log import ForecastLog, LoggedBars, LoggedForecast
from scenario_gen.live.results import CrpsPair, LogDrift, LogFigures, LogRanks, SequentialTest
from scenario_gen.market.candles import Scale
from scenario_gen.market.paths import PathSet
from scenario_gen.stats.estimate import Estimate, Floats
from scenario_gen.stats.means import mean_test
from scenario_gen.stats.ranks import central_coverage, fair_crps, pit
from scenario_gen.stats.sequential import bet

AHEAD = (1, 6, 24)  # bars at which returns are kept, and the horizon
VOLATILITY, FEWEST_BARS = "log_volatility", 5  # realised over the horizon; of fewer bars it says nothing
MEMBERS = 199  # of an ensemble that are kept; they make 5 % and .5 % exact ranks
THRESHOLD, WARNING = 100.0, 20.0  # evidence: a calibrated generator ever reaches it with at most 1 % and 5 %
FEWEST = 30  # ranks before silence is called a PASS
HORIZONS = 5  # that the scored forecasts span, so that a difference has an interval
QUANTILES = np.linspace(0.005, 0.995, 100)  # at which two distributions are compared
FEWEST_REFERENCE, FEWEST_RECENT, RESAMPLES = 100, 20, 300
STRETCHES, TENTHS = 4, 10  # the latest bars compared are a quarter of the reference at most; bins of an index
OF_EACH = 40  # members of each forecast whose distribution is compared: of twenty forecasts, 800 values


def horizons(horizon: int) -> tuple[int, ...]:
    """Return the numbers of bars at which returns of a forecast are kept."""
    return tuple(sorted({*(bars for bars in AHEAD if bars < horizon), horizon}))


def members_of_paths(paths: PathSet, scale: Scale) -> dict[str, Floats]:
    """Return what a log keeps of an ensemble: each number on the first paths, by name [path].

    Args:
        paths: after repair.
        scale: units of the context.
    """
    logs = LogPaths.of(paths.first(MEMBERS), scale)
    numbers = {f"return_{bars}": logs.close[:, bars] for bars in horizons(paths.horizon)}
    return numbers | ({VOLATILITY: log_realised_volatility(logs)} if paths.horizon >= FEWEST_BARS else {})


# --- One number of one generator ---


@dataclass(frozen=True, eq=False)
class JudgedNumber:
    """What came of one number, where it has come."""

    number: str
    bars: int  # ahead
    rows: list[int]  # of the bars that were forecast from, oldest first
    came: list[float]
    members: list[Floats]  # of each [path]
    pits: list[float]
    waiting: int
    unmatched: int


def judged(number: str, bars: int, forecasts: Sequence[LoggedForecast], real: LoggedBars) -> JudgedNumber:
    """Hold one number of every forecast against what came.

    A forecast is judged once as many bars have come as it looks ahead, where they came at the stamps that were
    forecast. Ties are broken by numbers that the anchor alone decides.
    """
    result = JudgedNumber(number, bars, [], [], [], [], 0, 0)
    waiting = unmatched = 0
    for each in forecasts:
        row = int(np.searchsorted(real.at, each.at))
        if number not in each.members:
            continue
        if row + bars >= len(real):
            waiting += 1
        elif not np.array_equal(real.at[row + 1 : row + 1 + bars], each.ahead[:bars]):
            unmatched += 1
        else:
            came = _number_of(number, real.close[row : row + bars + 1])
            result.rows.append(row)
            result.came.append(came)
            result.members.append(each.members[number])
            ties = np.random.default_rng([each.seed, abs(each.at), bars])
            result.pits.append(pit(each.members[number], came, ties))
    return JudgedNumber(number, bars, result.rows, result.came, result.members, result.pits, waiting, unmatched)


def _number_of(number: str, closes: Floats) -> float:
    """Return a number of the closes from the anchor on, rounded as those of the paths are."""
    rounded = closes[1:].astype(np.float32).astype(np.float64) / closes[0]
    logs = np.concatenate(([0.0], np.log(rounded)))
    if number != VOLATILITY:
        return float(np.float32(logs[-1]))
    still = np.zeros((1, len(closes) - 1))
    return float(np.float32(log_realised_volatility(LogPaths(logs[None], still, still, still, None))[0]))


def _apart(each: JudgedNumber) -> list[int]:
    """Return the places of judged forecasts whose futures do not overlap, from the oldest on."""
    places, free = [], -1
    for place, row in enumerate(each.rows):
        if row >= free:
            places.append(place)
            free = row + each.bars
    return places


def _ranks(each: JudgedNumber, real: LoggedBars) -> LogRanks:
    apart = _apart(each)
    title = "log realised volatility" if each.number == VOLATILITY else f"return over {each.bars} bars"
    return LogRanks(
        number=each.number,
        title="return of the next bar" if each.number == "return_1" else title,
        bars=each.bars,
        judged=len(each.rows),
        waiting=each.waiting,
        unmatched=each.unmatched,
        pits=each.pits,
        anchors=[real.stamps[row] for row in each.rows],
        coverage=central_coverage(np.array(each.pits)[apart]) if apart else [],
    )


def _crps_pair(ours: JudgedNumber, theirs: JudgedNumber, baseline: str) -> CrpsPair | None:
    """Return both scores on the forecasts that both made; None where there are none."""
    other = dict(zip(theirs.rows, theirs.members, strict=True))
    both = [
        (fair_crps(members, came), fair_crps(other[row], came))
        for row, members, came in zip(ours.rows, ours.members, ours.came, strict=True)
        if row in other
    ]
    if not both:
        return None
    scores = np.array(both)
    mean, reference = (float(value) for value in scores.mean(axis=0))
    return CrpsPair(ours.number, baseline, mean, reference, _difference(scores[:, 0] - scores[:, 1], ours.bars))


def _difference(series: Floats, bars: int) -> Estimate:
    count = len(series)
    if count < max(HORIZONS * bars, 10):
        reason = f"fewer than {max(HORIZONS * bars, 10)} forecasts: no interval"
        return Estimate(float(series.mean()), n=count, reason=reason)
    test = mean_test(series, bars - 1 if bars > 1 else 1)
    return Estimate(test.mean, test.mean - test.half_width, test.mean + test.half_width, n=count)


# --- Distributions beside that of the bars before the first forecast ---


def _drifts(real: LoggedBars, first: int, nearest: Sequence[Floats]) -> list[LogDrift]:
    """Compare returns that came, and those forecast for the next bar, with those up to the first forecast.

    Args:
        real: all bars.
        first: row of the bar that the first forecast followed.
        nearest: members of each forecast of the next bar [path].
    """
    returns = np.diff(np.log(real.close))
    before = returns[:first]
    if len(before) < FEWEST_REFERENCE or before.std() == 0:
        return []
    latest = len(before) // STRETCHES
    since = [np.array([value]) for value in returns[first:]]
    kinds = (("returns that came", since[-latest:]), ("returns forecast", nearest[-latest:]))
    return [drift_of(what, before, recent) for what, recent in kinds if len(recent) >= FEWEST_RECENT]


def drift_of(what: str, reference: Floats, recent: Sequence[Floats]) -> LogDrift:
    """Return how far recent values are from a reference, in two measures, each with what is usual.

    Wasserstein's distance in the reference's deviations, and the population stability index over its tenths (Yurdakul
    and Naranjo 2020, J. Risk Model Validation 14(4)), half a value added to each. Intervals are percentiles of a
    bootstrap of blocks of n^(1/3) neighbours, so that calm and turbulent stretches stay together (Kuensch 1989); for
    the same reason what is usual is that of stretches of the reference as long.

    Args:
        what: whose values.
        reference: [T], of which ``recent`` is as long as a quarter at most.
        recent: values of each bar, or of each forecast.
    """
    rng, count = np.random.default_rng(len(recent)), len(recent)
    spread, at = float(reference.std()), np.quantile(reference, QUANTILES)
    edges = np.quantile(reference, np.linspace(0, 1, TENTHS + 1)[1:-1])

    def measured(values: Sequence[Floats]) -> tuple[float, float]:
        pool = np.concatenate(values)
        distance = np.abs(np.quantile(pool, QUANTILES) - at).mean() / spread
        shares = np.bincount(np.searchsorted(edges, pool), minlength=TENTHS) + 0.5
        shares /= shares.sum()
        return float(distance), float(((shares - 1 / TENTHS) * np.log(shares * TENTHS)).sum())

    block = max(1, round(count ** (1 / 3)))
    starts = rng.integers(0, count - block + 1, (RESAMPLES, -(-count // block)))
    places = (starts[:, :, None] + np.arange(block)).reshape(RESAMPLES, -1)[:, :count]
    low, high = np.quantile([measured([recent[place] for place in row]) for row in places], (0.025, 0.975), axis=0)
    stretches = np.unique(np.linspace(0, len(reference) - count, RESAMPLES).astype(int))
    usual = np.quantile([measured([reference[start : start + count]]) for start in stretches], 0.95, axis=0)
    distance, index = (
        Estimate(value, float(low[each]), float(high[each]), n=count) for each, value in enumerate(measured(recent))
    )
    return LogDrift(what, distance, float(usual[0]), index, float(usual[1]), len(reference), count)


def drift_finding(figures: LogFigures) -> Finding:
    """Return whether what came, or what is forecast, is as before the first forecast."""
    if not figures.drift:
        few = f"{FEWEST_REFERENCE} returns before the first forecast and {FEWEST_RECENT} after it are needed"
        return LIVE_DRIFT.finding("UNTESTABLE", few)
    moved = [each.what for each in figures.drift if has_drifted(each)]
    told = [
        f"{each.what} {each.distance.value:.3g} deviations away, usual {each.usual:.3g}; stability index "
        f"{each.index.value:.3g}, usual {each.usual_index:.3g}"
        for each in figures.drift
    ]
    return LIVE_DRIFT.finding("WARN" if moved else "PASS", "; ".join(told), offenders=moved)


def has_drifted(drift: LogDrift) -> bool:
    """Return whether the distance with its whole interval is beyond what is usual."""
    return drift.distance.low is not None and drift.distance.low > drift.usual


# --- All together ---


def judge_log(log: ForecastLog, generator: str, words: str) -> LogFigures:
    """Sum up what the log says of one generator.

    Args:
        log: open.
        generator: its sha.
        words: that name it.
    """
    real, forecasts = log.bars(), log.forecasts(generator)
    spans = _spans(forecasts)
    ours = {number: judged(number, bars, forecasts, real) for number, bars in spans.items()}
    pairs = []
    for sha, name in log.generators("baseline").items():
        others = log.forecasts(sha)
        beside = [_crps_pair(each, judged(number, each.bars, others, real), name) for number, each in ours.items()]
        pairs += [pair for pair in beside if pair is not None]
    first = int(np.searchsorted(real.at, forecasts[0].at)) if forecasts else 0
    next_bar = ours.get("return_1", JudgedNumber("return_1", 1, [], [], [], [], 0, 0))
    nearest = [each.members["return_1"][:OF_EACH] for each in forecasts if "return_1" in each.members]
    stamps = [real.stamps[int(np.searchsorted(real.at, each.at))] for each in forecasts]
    return LogFigures(
        file=log.path.name,
        generator=words,
        identity=generator[:12],
        forecasts=len(forecasts),
        bars=len(real),
        revised=log.revised(),
        first=stamps[0] if stamps else "",
        last=stamps[-1] if stamps else "",
        ranks=[_ranks(each, real) for each in ours.values()],
        crps=pairs,
        drift=_drifts(real, first, nearest),
        test=sequential_test(next_bar.pits, [real.stamps[row + 1] for row in next_bar.rows]),
        notes=_notes(next_bar, log.revised()),
    )


def _spans(forecasts: Sequence[LoggedForecast]) -> dict[str, int]:
    """Return the numbers that were forecast, and how many bars ahead each looks."""
    spans: dict[str, int] = {}
    for each in forecasts:
        for number in each.members:
            bars = len(each.ahead) if number == VOLATILITY else int(number.removeprefix("return_"))
            spans.setdefault(number, bars)
    return spans


def _notes(next_bar: JudgedNumber, revised: int) -> list[str]:
    notes = []
    if next_bar.unmatched:
        notes.append(
            f"{next_bar.unmatched} forecasts were followed by a bar at another stamp than forecast: not judged"
        )
    if revised:
        notes.append(f"{revised} bars came again with other values: forecasts are judged by the first that came")
    return notes


def sequential_test(pits: Sequence[float], stamps: Sequence[str]) -> SequentialTest:
    """Bet against one-bar ranks [rank] that are to be uniform; ``stamps`` are those of the bars ranked."""
    course = bet(np.array(pits, dtype=np.float64))
    alarm, count = course.reached(THRESHOLD), len(pits)
    return SequentialTest(
        bars=count,
        evidence=float(course.evidence[-1]) if count else 1.0,
        highest=course.highest,
        threshold=THRESHOLD,
        warning=WARNING,
        label=_label(course.highest, count),
        alarmed_after=alarm,
        alarmed_at="" if alarm is None else stamps[alarm - 1],
        course=course.evidence.tolist(),
        leaning=course.leaning if course.highest >= WARNING else "",
    )


def _label(highest: float, count: int) -> Label:
    if highest >= THRESHOLD:
        return "FAIL"
    if highest >= WARNING:
        return "WARN"
    return "UNTESTABLE" if not count else "PASS" if count >= FEWEST else "INCONCLUSIVE"


def log_finding(figures: LogFigures) -> Finding:
    """Return whether a generator is still calibrated, as its log has it."""
    test = figures.test
    if not test.bars:
        return LIVE_CALIBRATION.finding("UNTESTABLE", "no forecast has been followed by its next bar yet")
    measured = f"{test.bars} forecasts of the next bar: evidence {test.highest:.3g} at most, {test.evidence:.3g} now"
    if test.label == "INCONCLUSIVE":
        measured += f"; {FEWEST} are needed before silence says anything"
    if test.leaning:
        measured += f"; the paths look {test.leaning}"
    if test.alarmed_after is not None:
        measured += f"; calibration was lost at {test.alarmed_at}, after {test.alarmed_after} bars"
    return LIVE_CALIBRATION.finding(test.label, measured)
