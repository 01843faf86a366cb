"""The figures of an evaluation: a perfect forecaster is calibrated, planted faults are seen, errors are clustered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from scenario_gen.forecasts.checkpoint_facts import FACTS, RANKED, SeriesGauge, judge_ranks, means, worst_of
from scenario_gen.forecasts.checkpoint_figures import (
    HORIZON,
    RULES,
    GeneratorRows,
    GeneratorScores,
    Seen,
    summarise,
    summarise_series,
)
from scenario_gen.forecasts.checkpoints import Truth, look_at
from scenario_gen.forecasts.harness import Forecast
from scenario_gen.forecasts.origins import SeriesOrigin, Stretch
from scenario_gen.forecasts.spans import Spans, clustered_mean
from scenario_gen.market import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.stats.means import mean_test

SIGMA, CONTEXT, ORIGINS, PATHS = 0.01, 64, 200, 99
FIELDS = ("open", "high", "low", "close", "volume")


def _bars(steps: np.ndarray, rng: np.random.Generator, anchor: float = 100.0) -> np.ndarray:
    """Return valid candles [path, bar, 5] with these log returns [path, bar]."""
    close = anchor * np.exp(np.cumsum(steps, axis=1))
    opened = np.concatenate((np.full((len(close), 1), anchor), close[:, :-1]), axis=1)
    wicks = np.exp(np.abs(rng.normal(0, SIGMA / 3, (2, *steps.shape))))
    high, low = np.maximum(opened, close) * wicks[0], np.minimum(opened, close) / wicks[1]
    return np.stack((opened, high, low, close, rng.lognormal(5, 0.3, steps.shape)), axis=-1)


def _history(bars: int, seed: int) -> Candles:
    rng = np.random.default_rng(seed)
    stamps = pd.date_range("2000-01-03", periods=bars, freq="D").as_unit("ns")
    return Candles(stamps, _bars(rng.normal(0, SIGMA, (1, bars)), rng)[0], FIELDS)


def _forecast(context: Candles, stamps: pd.DatetimeIndex, seed: int, volatility: float, drift: float) -> PathSet:
    rng = np.random.default_rng([seed, 77])
    steps = rng.normal(drift * SIGMA, volatility * SIGMA, (PATHS, HORIZON))
    anchor = float(context.close[-1])
    values = _bars(steps, rng, anchor).astype(np.float32)
    return PathSet(values, FIELDS, stamps, np.arange(PATHS), anchor)


def _look_at(raw: PathSet, truth: Truth, rng: np.random.Generator) -> Seen | str:
    context = Candles(pd.DatetimeIndex([]), np.full((1, 4), truth.paths.anchor_close), FIELDS[:4])
    forecast = Forecast.of("made", 0, context, raw, truth.paths)
    return forecast if isinstance(forecast, str) else look_at(forecast, truth, rng)


@pytest.fixture(scope="module")
def truths() -> list[Truth]:
    history = _history(CONTEXT + ORIGINS * HORIZON, 1)
    rows, gauge = range(CONTEXT, len(history) - HORIZON + 1, HORIZON), SeriesGauge.of(history)
    return [Truth.of(history.rows(r - CONTEXT, r), history.rows(r, r + HORIZON), gauge) for r in rows]


def _observed(truths: Sequence[Truth], volatility: float = 1.0, drift: float = 0.0) -> list[Seen]:
    seen = []
    for place, truth in enumerate(truths):
        context = Candles(pd.DatetimeIndex([]), np.full((1, 4), truth.paths.anchor_close), FIELDS[:4])
        raw = _forecast(context, truth.paths.timestamps, place, volatility, drift)
        found = _look_at(raw, truth, np.random.default_rng(place))
        assert isinstance(found, Seen)
        seen.append(found)
    return seen


def _summary(truths: Sequence[Truth], columns: Sequence[GeneratorRows]) -> list[GeneratorScores]:
    history = _history(CONTEXT + ORIGINS * HORIZON, 1)
    stretch = Stretch("made", "fx", "daily", history, CONTEXT)
    origins = [SeriesOrigin(history, CONTEXT + HORIZON * place, 0, place) for place in range(len(truths))]
    facts = np.array([means(truth.measured) for truth in truths])
    return summarise([stretch], origins, columns, facts).generators


@pytest.fixture(scope="module")
def perfect(truths: list[Truth]) -> list[Seen]:
    return _observed(truths)


@pytest.fixture(scope="module")
def narrow(truths: list[Truth]) -> list[Seen]:
    return _observed(truths, 0.6)


@pytest.fixture(scope="module")
def scores(truths: list[Truth], perfect: list[Seen], narrow: list[Seen]) -> dict[str, GeneratorScores]:
    """A perfect forecaster, one too narrow, one with a drift; the perfect one is the others' baseline too."""
    seen = {"perfect": perfect, "narrow": narrow, "drifting": _observed(truths, 1.0, 0.3)}
    columns = [GeneratorRows(name, 1.0, False, of) for name, of in seen.items()]
    columns.append(GeneratorRows("right", None, True, perfect))
    return {one.name: one for one in _summary(truths, columns)}


def test_a_perfect_forecaster_covers_what_its_bands_promise(scores: dict[str, GeneratorScores]) -> None:
    """200 independent origins: standard error of a share p is sqrt(p (1 - p) / 200), at most .035; 24 shares, four
    errors each: a false alarm in 24 x 6e-5 of runs."""
    for judged in scores["perfect"].judged:
        for level, share in judged.coverage.items():
            p = float(level)
            assert share == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / ORIGINS)), (judged.id, level)
        assert judged.pit_mean == pytest.approx(0.5, abs=4 / np.sqrt(12 * ORIGINS))
        assert judged.pit_spread == pytest.approx(0.25, abs=4 / np.sqrt(48 * ORIGINS))
    # median of 200 log ratios whose spread is that of ln RV over 60 bars, 1 / sqrt(120): four errors x 1.25
    assert np.log(scores["perfect"].volatility_ratio) == pytest.approx(0, abs=5 / np.sqrt(120 * ORIGINS))


def test_the_crps_of_a_perfect_gaussian_is_the_closed_form(scores: dict[str, GeneratorScores]) -> None:
    """E CRPS = 1 / sqrt(pi) deviations (Gneiting and Raftery 2007); the context's own deviation is the unit, whose
    inverse has the mean 1 + 3/4 / 64; standard error of the mean of 200 about .03."""
    for name in ("return_1", "return_60"):
        assert scores["perfect"].of(name).crps == pytest.approx(1 / np.sqrt(np.pi), abs=0.1)


def test_too_little_volatility_and_a_drift_are_seen(scores: dict[str, GeneratorScores]) -> None:
    narrow, drifting = scores["narrow"], scores["drifting"]
    assert narrow.volatility_ratio == pytest.approx(0.6, abs=0.02)
    assert all(narrow.of(name).coverage["0.9"] < 0.8 for name in ("return_1", "return_60", "log_volatility"))
    assert narrow.of("log_volatility").pit_mean > 0.9
    # mean over 60 bars of .3 deviations each, in deviations times sqrt(60), the unit's inverse being 1.2 % off
    assert drifting.drift["60"] == pytest.approx(0.3 * np.sqrt(HORIZON), rel=0.05)
    against = {one.id: one for one in narrow.versus}
    assert against["log_volatility"].t > 5
    assert against["log_volatility"].skill < -1
    assert {one.id: one.t for one in drifting.versus}["return_60"] > 3
    assert all(one.t == 0 for one in scores["perfect"].versus)
    assert scores["right"].versus == []


def test_facts_are_measured_alike_on_both_sides(scores: dict[str, GeneratorScores]) -> None:
    """Independent bars: the autocorrelation of |r| is about -1 / 60 on both sides, as the estimator is biased."""
    facts = {one.id: one for one in scores["perfect"].facts}
    assert set(facts) == set(FACTS)
    for fact in facts.values():
        assert fact.origins == ORIGINS
        assert fact.generated == pytest.approx(fact.real, abs=4.5 * fact.error), fact.id
    assert facts["acf_abs_1_5"].generated == pytest.approx(-1 / HORIZON, abs=0.003)


def test_what_came_ranks_evenly_for_the_perfect_and_finds_the_volatility_of_the_narrow(
    scores: dict[str, GeneratorScores],
) -> None:
    """38 facts at 200 origins, errors from spans: a right generator has no FAIL (q < .01 after Benjamini-Hochberg)."""
    assert "FAIL" not in scores["perfect"].groups.values()
    assert scores["perfect"].groups["scale"] == scores["perfect"].groups["tails"] == "PASS"
    assert scores["perfect"].groups["gaps"] == "UNTESTABLE"  # opens are the closes before them
    narrow = {fact.id: fact for fact in scores["narrow"].ranked}
    assert scores["narrow"].groups["scale"] == narrow["log_sd"].label == "FAIL"
    assert narrow["log_sd"].lean == pytest.approx(-0.5, abs=0.02)
    assert narrow["log_sd"].reason.endswith("lower in the paths than in reality")
    assert narrow["log_sd"].origins == ORIGINS
    assert narrow["Lkurt"].label == "PASS"


def test_ranks_of_series_that_share_dates_are_judged_by_their_spans() -> None:
    """Ten series in 24 spans whose ranks hang together by half: of 20 right worlds one at most fails (FAIL is due in 1
    to 2 %: two or more in 5 % of seeds); a fact that leans by .2, four clustered errors of .05, is found in nearly all.
    With plain errors of 240 ranks, right worlds do fail."""
    clusters = np.tile(np.arange(24), 10)
    spans, alone = Spans(clusters, np.full(240, "daily")), Spans(np.arange(240), np.full(240, "daily"))
    right = plain = found = 0
    for world in range(20):
        rng = np.random.default_rng(world)
        common, own = rng.normal(size=(24, len(RANKED)))[clusters], rng.normal(size=(240, len(RANKED)))
        ranks = np.stack([norm.cdf((common + own) / np.sqrt(2)), np.zeros_like(own)], axis=-1)
        right += "FAIL" in worst_of(judge_ranks(ranks, spans)).values()
        plain += "FAIL" in worst_of(judge_ranks(ranks, alone)).values()
        place = [fact.id for fact in RANKED].index("lev_har")
        ranks[:, place, 0] = np.clip(ranks[:, place, 0] * 0.6, 0, 1)
        found += {fact.id: fact.label for fact in judge_ranks(ranks, spans)}["lev_har"] in ("FAIL", "WARN")
    assert right <= 1
    assert plain >= 10
    assert found >= 18
    few = Spans(clusters[:36] % 3, np.full(36, "daily"))
    assert {fact.label for fact in judge_ranks(ranks[:36], few)} == {"INCONCLUSIVE"}
    assert {fact.label for fact in judge_ranks(np.full_like(ranks, np.nan), spans)} == {"UNTESTABLE"}


def test_broken_bars_are_counted_by_rule_before_they_are_repaired(truths: list[Truth]) -> None:
    truth = truths[0]
    context = Candles(pd.DatetimeIndex([]), np.full((1, 4), truth.paths.anchor_close), FIELDS[:4])
    raw = _forecast(context, truth.paths.timestamps, 3, 1.0, 0.0)
    whole = _look_at(raw, truth, np.random.default_rng(0))
    values = raw.values.copy()
    values[:, ::4, 1] *= 0.5  # every fourth high below its close
    values[:, 1::4, 4] = -1.0
    values[0, 2, 3] = np.nan  # a path that cannot be repaired
    broken = PathSet(values, FIELDS, raw.timestamps, raw.path_ids, raw.anchor_close)
    seen = _look_at(broken, truth, np.random.default_rng(0))
    assert isinstance(seen, Seen) and isinstance(whole, Seen)
    shares = dict(zip((*RULES, "any"), seen.broken, strict=True))
    assert shares["high below another price (V3)"] == pytest.approx(0.25)
    assert shares["volume negative or missing (V4)"] == pytest.approx(0.25)
    assert shares["any"] == pytest.approx(0.5 + 1 / (PATHS * HORIZON))
    assert seen.dropped == pytest.approx(1 / PATHS)
    assert whole.broken.max() == 0
    values[1:, 2, 3] = np.inf
    lost = PathSet(values, FIELDS, raw.timestamps, raw.path_ids, raw.anchor_close)
    assert _look_at(lost, truth, np.random.default_rng(0)) == ("0 of 99 paths are left: the others break a candle rule")


def test_one_origin_per_span_has_the_error_of_newey_and_west() -> None:
    values = np.random.default_rng(5).normal(size=50).cumsum()
    found = clustered_mean(values, np.arange(50), np.full(50, "daily"))
    expected = mean_test(values, 3)
    assert (found.mean, found.error, found.clusters) == pytest.approx((expected.mean, expected.error, 50))
    assert found.t == pytest.approx(expected.t)


def test_copies_of_a_series_add_no_evidence() -> None:
    values = np.random.default_rng(5).normal(size=40)
    once = clustered_mean(values, np.arange(40), np.full(40, "daily"))
    thrice = clustered_mean(np.tile(values, 3), np.tile(np.arange(40), 3), np.full(120, "daily"))
    assert (thrice.mean, thrice.error) == pytest.approx((once.mean, once.error))
    # other frequencies do count as independent
    three = np.repeat(["1h", "4h", "daily"], 40)
    assert clustered_mean(np.tile(values, 3), np.tile(np.arange(40), 3), three).error < 0.6 * once.error


def test_shared_dates_reject_a_true_null_no_more_often_than_promised() -> None:
    """Ten series that move together by half, 60 spans, 1000 draws: |t| > 2 is due in 5 %; the binomial error is .7 %,
    and 3.5 % to 9 % allows for some 4.5 % of excess that the small sample makes. Without clusters it is over 40 %."""
    rng = np.random.default_rng(8)
    clusters, frequencies = np.tile(np.arange(60), 10), np.full(600, "daily")
    rejected = plain = 0
    for _ in range(1000):
        values = (rng.normal(size=60) + rng.normal(size=(10, 60))).ravel()
        rejected += abs(clustered_mean(values, clusters, frequencies).t) > 2
        plain += abs(values.mean()) / (values.std() / np.sqrt(600)) > 2
    assert 35 <= rejected <= 90
    assert plain > 300


def test_a_baseline_is_compared_on_the_origins_that_it_could_forecast(
    truths: list[Truth], perfect: list[Seen], narrow: list[Seen]
) -> None:
    """The baseline refuses the first 150 of 200 origins: its figures are those of the last 50, and so is its rival's
    share of the comparison; the rival keeps its own 200."""
    ours, theirs = narrow, perfect
    late = [Seen.nothing()] * 150 + theirs[150:]
    columns = [GeneratorRows("narrow", 1.0, False, ours), GeneratorRows("late", None, True, late)]
    own, scored = _summary(truths, columns)
    assert (own.origins, scored.origins) == (200, 50)
    assert scored.of("return_60").crps == pytest.approx(np.mean([one.crps[3] for one in theirs[150:]]))
    skill = next(one.skill for one in own.versus if one.id == "return_60")
    mean = np.mean([one.crps[3] for one in ours[150:]]) / np.mean([one.crps[3] for one in theirs[150:]])
    assert skill == pytest.approx(1 - mean)
    nowhere = [Seen.nothing()] * 200
    own, scored = _summary(truths, [columns[0], GeneratorRows("never", None, True, nowhere)])
    assert scored.origins == 0 and np.isnan(scored.of("return_60").crps)
    assert all(np.isnan(one.t) and np.isnan(one.skill) for one in own.versus)


def test_numbers_that_are_missing_are_left_out() -> None:
    values = np.array([1.0, np.nan, 3.0, 2.0])
    found = clustered_mean(values, np.arange(4), np.full(4, "1h"))
    assert (found.mean, found.clusters) == (2.0, 3)
    none = clustered_mean(np.full(3, np.nan), np.arange(3), np.full(3, "1h"))
    assert np.isnan(none.mean) and np.isnan(none.t)
    single = clustered_mean(np.array([1.0, 2.0]), np.zeros(2, np.int64), np.full(2, "1h"))
    assert np.isnan(single.t) and single.mean == 1.5


def test_a_group_holds_its_own_origins_and_no_others(truths: list[Truth], perfect: list[Seen]) -> None:
    """Of 200 origins 100 are fx daily, 60 fx 1h and 40 crypto daily; the first group's ensembles are too wide."""
    history = _history(CONTEXT + ORIGINS * HORIZON, 1)
    keys = [("fx", "daily"), ("fx", "1h"), ("crypto", "daily")]
    stretches = [Stretch(f"s{n}", *key, history, CONTEXT) for n, key in enumerate(keys)]
    owners = np.repeat([0, 1, 2], [100, 60, 40])
    origins = [SeriesOrigin(history, CONTEXT + HORIZON * n, int(owner), n) for n, owner in enumerate(owners)]
    seen = [*_observed(truths[:100], 2.0), *perfect[100:]]
    columns, facts = [GeneratorRows("x", 1.0, False, seen)], np.array([means(truth.measured) for truth in truths])
    found = {
        key: summarise(stretches, origins, columns, facts, *key)
        for key in (("fx", "daily"), ("fx", "1h"), ("fx", "all"), ("all", "all"))
    }
    assert {key: (one.origins, one.series, one.clusters) for key, one in found.items()} == {
        ("fx", "daily"): (100, 1, 100),
        ("fx", "1h"): (60, 1, 60),
        ("fx", "all"): (160, 2, 160),
        ("all", "all"): (200, 3, 200),
    }
    assert found["fx", "daily"].generators[0].volatility_ratio == pytest.approx(2.0, abs=0.1)
    assert found["fx", "1h"].generators[0].volatility_ratio == pytest.approx(1.0, abs=0.05)
    assert found["fx", "1h"].first == truths[100].paths.timestamps[0].isoformat()
    assert found["fx", "1h"].last == truths[159].paths.timestamps[-1].isoformat()
    series = summarise_series(stretches, origins, columns, facts)
    assert [(one.name, one.origins) for one in series] == [("s0", 100), ("s1", 60), ("s2", 40)]
    assert series[0].crps["x"]["return_60"] == pytest.approx(found["fx", "daily"].generators[0].of("return_60").crps)
    assert series[0].volatility_ratio == found["fx", "daily"].generators[0].volatility_ratio
    assert series[0].coverage["return_60"] == found["fx", "daily"].generators[0].of("return_60").coverage["0.9"]
    assert series[0].groups == found["fx", "daily"].generators[0].groups
    rivals = [*columns, GeneratorRows("right", None, True, perfect)]
    versus = summarise(stretches, origins, rivals, facts).generators[0].versus
    volatility = next(one for one in versus if one.id == "log_volatility")
    assert (volatility.better, volatility.series) == (0, 3)  # too wide in one series, the same in two
