"""Recalibration on a history: from the past alone, judged beside as sampled, refused where there is too little."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scenario_gen.errors import DataError
from scenario_gen.forecasts.calibrate import calibrate
from scenario_gen.forecasts.harness import Settings, next_bars
from scenario_gen.forecasts.recalibrate import judged, past_forecasts, recalibration_finding, recalibration_of
from scenario_gen.forecasts.results import Calibration
from scenario_gen.generators.base import Advance, Generator, ignore
from scenario_gen.generators.bootstrap import StationaryBootstrap
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.filtered import FilteredPaths, GarchPaths
from scenario_gen.generators.recalibrated import (
    PastForecasts,
    PastNumber,
    Recalibrated,
    as_sampled,
    past_of,
    stretches_of,
)
from scenario_gen.generators.rescaled import DriftNeutral, Rescaled
from scenario_gen.generators.sections import RecalibrationBudget
from scenario_gen.market import Candles, PathSet
from scenario_gen.market.candles import chain, log_steps
from scenario_gen.progress import SilentProgress
from scenario_gen.values import decode, encode

SETTINGS = Settings(context=64, horizon=10, origins=40, paths=49, seed=3, baselines=())
BUDGET = RecalibrationBudget(origins=30, fewest=20)


@pytest.fixture(scope="module")
def history(sp500: Candles) -> Candles:
    return sp500.split_at("2016-03-31")[0]


@dataclass(frozen=True)
class Narrow(FilteredPaths):
    """Filtered historical simulation whose every bar is multiplied."""

    factor: float = 0.7

    @property
    def identity(self) -> dict[str, Any]:
        """With the factor: what is kept for one is not another's."""
        return {**super().identity, "factor": self.factor}

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Multiply log steps."""
        paths = super().sample(context, timestamps, draws, advance)
        values = paths.values.copy()
        steps = log_steps(values[..., :4].astype(float), paths.anchor_close)
        values[..., :4] = chain(self.factor * steps, paths.anchor_close)
        return replace(paths, values=values)


@dataclass(frozen=True)
class Counting(Narrow):
    """Tells how often it sampled."""

    asked: list[str] = field(default_factory=list, compare=False)

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Count an ensemble."""
        self.asked.append("sampled")
        return super().sample(context, timestamps, draws, advance)


@dataclass(frozen=True)
class Fitting(Counting):
    """Is fitted to the bars before each context, and tells how often."""

    def fitted_to(self, history: Candles) -> Fitting:
        """Count a fit, and let it matter."""
        self.asked.append("fitted")
        return replace(self, factor=0.7 + 0.1 * (len(history) % 2))


def _past(generator: Generator, history: Candles, cache: Path | None = None) -> PastForecasts:
    return past_forecasts(generator, history, SETTINGS, BUDGET, cache=cache, progress=SilentProgress())


@pytest.fixture(scope="module")
def narrow(history: Candles) -> Recalibrated:
    return Recalibrated(Narrow(), _past(Narrow(), history))


@pytest.fixture(scope="module")
def found(narrow: Recalibrated, history: Candles) -> Calibration:
    return calibrate(narrow, history, SETTINGS)


def test_a_generator_that_is_too_narrow_by_a_known_factor_is_given_it_back(
    narrow: Recalibrated, history: Candles
) -> None:
    plain = _past(FilteredPaths(), history).fitted(70)
    for quiet, usual in zip(narrow.past.fitted(70).knots, plain.knots, strict=True):
        # the same draws with ranges and returns x .7, and -ln .7 = .357. Half the smallest range of a context is added
        # before logarithms, a seventh of a mean range with 64 bars: a range's log falls by ln(1.14 / .84) = .305 alone;
        # the prior of .5 shrinks that by a hundredth
        assert 0.28 < quiet.location - usual.location < 0.36
        assert quiet.slope == pytest.approx(usual.slope, abs=0.02)
        assert quiet.noise == pytest.approx(usual.noise, abs=0.05)


def test_it_is_judged_beside_as_sampled_on_the_same_origins(found: Calibration) -> None:
    assert found.raw == "fhs"
    assert [other.name for other in found.baselines] == ["fhs"]
    assert found.generator.name == "fhs, recalibrated"
    assert len(found.origins) == 40
    raw, ours = found.baselines[0], found.generator
    before, after = (one.functional("log_volatility") for one in (raw, ours))
    assert before.label == "FAIL"
    assert after.label != "FAIL"
    assert "recalibrated: each forecast by those that had ended before it, 30 at least; a run by all 70" in found.notes
    assert before.mean is not None
    assert after.mean is not None
    assert before.mean > 0.65
    assert abs(after.mean - 0.5) < 0.15  # three standard errors of a mean of 40 ranks, .29 / sqrt(40) = .046
    assert len(before.pits) == len(after.pits) == 40
    finding = recalibration_finding("base", found)
    assert finding.label == "PASS"
    assert "as sampled, on the same 40 forecasts; CRPS of log volatility -" in finding.measured


@pytest.mark.parametrize(("kind", "asked"), [(Counting, ["sampled"]), (Fitting, ["fitted", "sampled"])])
def test_what_is_judged_raw_and_recalibrated_is_sampled_once_and_is_what_it_would_be(
    kind: type[Counting], asked: list[str], narrow: Recalibrated, history: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, origins=6, one_step=8)

    def calibrated() -> tuple[Calibration, list[str]]:
        inner = kind()
        found = calibrate(DriftNeutral(Recalibrated(inner, narrow.past)), history, settings)
        return replace(found, seconds=0.0), inner.asked

    shared, once = calibrated()
    assert once == asked * (6 + 8)
    monkeypatch.setattr("scenario_gen.generators.recalibrated.MOST_KEPT", 0)
    apart, twice = calibrated()
    assert twice == 2 * once
    assert encode(shared) == encode(apart)
    assert shared.generator.functionals[0].pits != shared.baselines[0].functionals[0].pits


def test_no_forecast_is_recalibrated_by_a_later_one(narrow: Recalibrated, history: Candles, found: Calibration) -> None:
    """The last future is altered beyond recognition: every origin before it keeps its rank to the last bit."""
    values = history.values.copy()
    values[-9:, :4] *= np.exp(np.cumsum(np.tile([0.1, -0.1, 0.15], 3)))[:, None]
    altered = replace(history, values=values)
    past = _past(Narrow(), altered)
    assert past.volatility[-1].came[-1] > narrow.past.volatility[-1].came[-1] + 1
    again = calibrate(Recalibrated(Narrow(), past), altered, SETTINGS).generator
    for a, b in zip(found.generator.functionals, again.functionals, strict=True):
        assert a.pits[:-1] == b.pits[:-1]
    assert again.functional("log_volatility").pits[-1] > 0.95


def test_each_context_is_fitted_on_what_had_ended_when_it_ends(narrow: Recalibrated, history: Candles) -> None:
    ends = [pd.Timestamp(end) for end in narrow.past.ends]
    assert ends[-1] == history.timestamps[-1]
    row = history.timestamps.get_loc(ends[49])
    stamps = history.timestamps[row + 1 : row + 11]
    paths = narrow.sample(history.rows(row - 63, row + 1), stamps, Draws.block(1, 0, 4))
    assert paths.provenance["recalibrated_on"] == 50
    fitted = Rescaled(Narrow(), narrow.past.fitted(50), {"recalibrated_on": 50})
    expected = fitted.sample(history.rows(row - 63, row + 1), stamps, Draws.block(1, 0, 4))
    assert np.array_equal(paths.values, expected.values)
    with pytest.raises(DataError, match="12 forecasts had ended to recalibrate on"):
        row = history.timestamps.get_loc(ends[11])
        narrow.sample(history.rows(row - 63, row + 1), history.timestamps[row + 1 : row + 11], Draws.block(1, 0, 4))


def test_stamps_of_a_zone_are_compared_across_its_clock_changes() -> None:
    days = pd.date_range("2024-03-08", periods=10, freq="D", tz="America/New_York")  # clocks change on the 10th
    number = PastNumber([0.0], [1.0], [0.0])
    past = PastForecasts(1, 9, 1, 1, [day.isoformat() for day in days[::2]], [(0, 1)], [number], [], ranged=True)
    assert past.ended_by(days).tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_too_short_a_history_is_refused_with_the_bars_that_it_takes(history: Candles) -> None:
    short = history.rows(0, 64 + 19 * 10)
    with pytest.raises(DataError, match="254 bars leave room for 19 forecasts of 10 bars") as refused:
        _past(Narrow(), short)
    assert refused.value.expected == "at least 20 forecasts, which take 264 bars up to the context's end"
    enough = _past(Narrow(), history.rows(0, 264))
    assert len(enough.ends) == enough.first == 20
    with pytest.raises(DataError, match="20 of 20 forecasts only recalibrate, which leaves 0 to be judged"):
        calibrate(Recalibrated(Narrow(), enough), history.rows(0, 264), SETTINGS)


def test_few_forecasts_are_shared_between_fitting_and_judging(history: Candles) -> None:
    bars = history.rows(0, 64 + 50 * 10)
    past = _past(Narrow(), bars)
    assert (len(past.ends), past.first) == (50, 25)
    small = calibrate(Recalibrated(Narrow(), past), bars, SETTINGS)
    assert len(small.origins) == 25
    assert recalibration_finding("", small).label == "INCONCLUSIVE"
    recalibration = recalibration_of(Recalibrated(Narrow(), past), bars)
    assert recalibration is not None
    assert judged(recalibration, small) == recalibration  # 25 judge nothing
    assert recalibration.status == "uncalibrated"


def test_the_status_says_whether_it_was_judged_and_is_of_today(
    narrow: Recalibrated, history: Candles, found: Calibration
) -> None:
    recalibration = recalibration_of(DriftNeutral(narrow), history)
    assert recalibration is not None
    assert (recalibration.status, recalibration.origins, recalibration.horizon) == ("uncalibrated", 70, 10)
    after = judged(recalibration, found)
    assert after is not None
    assert after.status == "calibrated"
    earlier = replace(narrow.past, ends=narrow.past.ends[:-1])
    for number in (*earlier.volatility, *earlier.volume):
        assert len(number.mean) == 70  # of which the first 69 are fitted
    stale = recalibration_of(Recalibrated(Narrow(), earlier), history)
    assert stale is not None
    assert judged(stale, found) == stale
    assert stale.status == "stale"
    assert recalibration_of(Narrow(), history) is None


def test_a_worse_score_is_a_warning(found: Calibration) -> None:
    worse = [
        replace(skill, skill=-0.02, t=0.4) if skill.score == "crps_log_volatility" else skill
        for skill in found.generator.skills
    ]
    finding = recalibration_finding("", replace(found, generator=replace(found.generator, skills=worse)))
    assert (finding.label, finding.offenders) == ("WARN", ["crps_log_volatility"])
    assert "CRPS of log volatility +2.0% (t 0.4)" in finding.measured


def test_a_pass_over_the_past_is_kept_and_read_again(history: Candles, tmp_path: Path) -> None:
    bars = history.rows(0, 264)
    first = _past(Narrow(), bars, tmp_path)
    assert _past(Narrow(), bars, tmp_path) == first
    assert len(list(tmp_path.iterdir())) == 1
    assert decode(PastForecasts, encode(first)) == first
    _past(Narrow(factor=0.9), bars, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_fit_is_part_of_the_identity(narrow: Recalibrated) -> None:
    other = replace(narrow.past, ends=narrow.past.ends[:60])
    assert narrow.identity["recalibrated"] != Recalibrated(Narrow(), other).identity["recalibrated"]
    fit = narrow.identity["recalibrated"]
    assert fit["knots"][0] == asdict(narrow.past.fitted(70).knots[0])
    assert {**narrow.identity} | {"recalibrated": None} == {**Narrow().identity, "recalibrated": None}


def test_what_stands_around_a_recalibrated_generator_stays_around_it_as_sampled(narrow: Recalibrated) -> None:
    around = DriftNeutral(Rescaled.louder(narrow, 1.3))
    assert past_of(around) is narrow.past
    assert as_sampled(around) == DriftNeutral(Rescaled.louder(Narrow(), 1.3))
    assert as_sampled(Narrow()) == Narrow()
    assert past_of(Narrow()) is None


def test_a_generator_that_is_fitted_is_fitted_at_every_origin_too(sp500: Candles) -> None:
    history = sp500.rows(1000, 1700)
    settings = replace(SETTINGS, origins=10)
    budget = RecalibrationBudget(origins=15, fewest=10)
    garch = GarchPaths(asymmetric=False, fit_bars=300)
    past = past_forecasts(garch, history, settings, budget, cache=None, progress=SilentProgress())
    assert len(past.ends) == 25
    found = calibrate(Recalibrated(garch, past).fitted_to(history), history, settings)
    assert found.generator.name == "garch, recalibrated"
    assert len(found.origins) == 10
    assert not found.generator.omitted


def test_the_next_bar_is_forecast_only_where_enough_had_ended(narrow: Recalibrated, history: Candles) -> None:
    first = history.timestamps.get_loc(pd.Timestamp(narrow.past.ends[narrow.past.first - 1]))
    wanted = len(history) - first + 20
    tail = next_bars(narrow, history, replace(SETTINGS, one_step=wanted, paths=19), SilentProgress())
    assert len(tail.observations) == len(history) - first - 1
    assert "not" in tail.notes[0]


@pytest.mark.parametrize(
    ("horizon", "ranged", "stretches"),
    [
        (1, True, [(0, 1)]),
        (2, True, [(0, 1)]),
        (3, True, [(0, 1), (1, 3)]),
        (20, True, [(0, 1), (1, 5), (5, 20)]),
        (39, True, [(0, 1), (1, 5), (5, 20)]),
        (45, True, [(0, 1), (1, 5), (5, 20), (20, 45)]),
        (250, True, [(0, 1), (1, 5), (5, 20), (20, 60)]),
        (20, False, [(0, 5), (5, 20)]),
    ],
)
def test_knots_stand_where_forecasts_of_so_many_bars_can_fit_them(
    horizon: int, ranged: bool, stretches: list[tuple[int, int]]
) -> None:
    assert stretches_of(horizon, ranged=ranged) == stretches


def test_a_history_without_ranges_is_recalibrated_by_its_returns(history: Candles) -> None:
    flat = replace(history, values=np.column_stack((*[history.close] * 4, history.column("volume"))))
    bars = flat.rows(0, 64 + 70 * 10)
    past = _past(Narrow(), bars)
    assert not past.ranged
    assert past.stretches == [(0, 5)]
    plain = _past(FilteredPaths(), bars).fitted(70).knots[0]
    assert past.fitted(70).knots[0].location - plain.location == pytest.approx(-np.log(0.7), abs=0.06)


def test_a_history_without_volume_has_no_knots_of_volume(history: Candles) -> None:
    bare = replace(history, values=history.values[:, :4], fields=history.fields[:4]).rows(0, 264)
    past = _past(Narrow(), bare)
    assert past.volume == []
    paths = Recalibrated(Narrow(), past).sample(bare.context(64), history.timestamps[264:274], Draws.block(1, 0, 3))
    assert paths.fields == ("open", "high", "low", "close")


def test_a_perfect_generator_is_left_nearly_alone(sp500: Candles) -> None:
    """Bars drawn one by one from four years, and a generator that draws bars one by one from the last year of these."""
    rng = np.random.default_rng(8)
    drawn = sp500.log_steps[2000:3000][rng.integers(0, 1000, (1, 1700))]  # [1, bar, 4]
    made = replace(sp500.rows(2000, 3700), values=np.column_stack((chain(drawn, 100.0)[0], np.ones(1700))))
    settings = replace(SETTINGS, context=256)
    perfect = StationaryBootstrap(1.0)
    past = past_forecasts(perfect, made, settings, BUDGET, cache=None, progress=SilentProgress())
    assert len(past.ends) == 70
    fit = past.fitted(70)
    for knot, number in zip(fit.knots, past.volatility, strict=True):
        unit = float(np.mean(number.spread))
        # an error of the location is unit / sqrt(70), .12 of it; of the noise's variance unit^2 sqrt(2 / 70), .17 of it
        assert abs(knot.location) < 0.4 * unit
        assert knot.noise < 0.7 * unit
        assert knot.width == 1.0
    found = calibrate(Recalibrated(perfect, past), made, settings)
    (change,) = [skill.skill for skill in found.generator.skills if skill.score == "crps_log_volatility"]
    assert change is not None
    assert change > -0.06  # what 30 to 69 forecasts teach wrongly costs a few percent at most
