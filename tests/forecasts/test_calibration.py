"""A generator calibrated on a history: from the past alone, cached, with every omission told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenario_gen.errors import CheckError, DataError
from scenario_gen.forecasts.calibrate import calibrate
from scenario_gen.forecasts.harness import Forecast, Settings, forecasts
from scenario_gen.forecasts.origins import rolling_origins
from scenario_gen.forecasts.results import Calibration
from scenario_gen.generators.base import Advance, Generator, ignore
from scenario_gen.generators.bootstrap import StationaryBootstrap
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.filtered import FilteredPaths, GarchPaths
from scenario_gen.generators.gbm import GbmPaths
from scenario_gen.generators.kronos import KronosPaths
from scenario_gen.generators.rescaled import DriftNeutral
from scenario_gen.kronos import Checkpoint
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.market import Candles, PathSet, load_candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.by_origin import check_facts_by_origin
from scenario_gen.values import decode, encode

SMALL = Settings(context=64, horizon=10, origins=32, paths=39, seed=3, baselines=("bootstrap",))


@pytest.fixture(scope="module")
def history(sp500: Candles) -> Candles:
    return sp500.split_at("2016-03-31")[0]


@dataclass(frozen=True)
class Spy(FilteredPaths):
    """Filtered historical simulation that notes what it is shown."""

    seen: list[tuple[pd.Timestamp, pd.Timestamp, int]] | None = None
    scale: float = 1.0

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        if self.seen is not None:
            self.seen.append((context.timestamps[-1], timestamps[0], int(draws.path_ids[0])))
        paths = super().sample(context, timestamps, draws, advance)
        logs = np.log(paths.values[..., :4].astype(float) / paths.anchor_close)
        values = paths.values.copy()
        values[..., :4] = paths.anchor_close * np.exp(self.scale * logs)
        return replace(paths, values=values)


def test_forecasts_see_their_past_and_nothing_else(history: Candles) -> None:
    seen: list[tuple[pd.Timestamp, pd.Timestamp, int]] = []
    found = calibrate(Spy(seen=seen), history, SMALL)
    assert len(seen) == 32
    assert [context.isoformat() for context, _, _ in seen] == found.origins
    for context, first, _ in seen:
        assert history.timestamps.get_loc(first) == history.timestamps.get_loc(context) + 1
    assert [ids for _, _, ids in seen] == [39 * place for place in range(32)]  # draws of their own
    last = history.timestamps.get_loc(seen[-1][1])
    assert last + 10 == len(history)  # the last future ends with the history


def test_an_altered_future_alters_its_own_origin_alone(history: Candles) -> None:
    values = history.values.copy()
    values[-3:, :4] *= 1.1
    before, after = (calibrate(Spy(), bars, SMALL).generator for bars in (history, replace(history, values=values)))
    for a, b in zip(before.functionals, after.functionals, strict=True):
        assert a.pits[:-1] == b.pits[:-1]
    assert before.functional("return_h").pits[-1] < after.functional("return_h").pits[-1]


def _forecasts(generator: Generator, history: Candles, settings: Settings) -> list[Forecast]:
    origins = rolling_origins(len(history), context=settings.context, horizon=settings.horizon, count=settings.origins)
    return list(forecasts(generator, origins.of(history), settings))


def test_every_forecast_comes_with_what_came(history: Candles) -> None:
    shown = _forecasts(Spy(), history, SMALL)
    assert [one.generator for one in shown] == ["fhs"] * 32
    assert [one.place for one in shown] == list(range(32))
    for one in shown:
        assert len(one.paths) == 39
        assert len(one.real) == 1
        assert one.paths.timestamps.equals(one.real.timestamps)
        assert one.paths.anchor_close == one.real.anchor_close == one.context.close[-1]
    lifted = np.mean([(one.paths.close[:, -1] < one.real.close[0, -1]).mean() for one in shown[:32]])
    mean = calibrate(Spy(), history, SMALL).generator.functional("return_h").mean
    assert mean == pytest.approx(lifted, abs=0.03)


def test_the_same_question_is_answered_from_the_folder(history: Candles, tmp_path: Path) -> None:
    seen: list[tuple[pd.Timestamp, pd.Timestamp, int]] = []
    first = calibrate(Spy(seen=seen), history, SMALL, cache=tmp_path)
    again = calibrate(Spy(seen=seen), history, SMALL, cache=tmp_path)
    assert again == first
    assert len(seen) == 32
    for other in (replace(SMALL, seed=4), replace(SMALL, paths=29)):
        calibrate(Spy(seen=seen), history, other, cache=tmp_path)
    calibrate(Spy(seen=seen), history.rows(1, len(history)), SMALL, cache=tmp_path)
    assert len(seen) == 4 * 32


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"instrument": 3}'])
def test_a_damaged_file_is_computed_anew(history: Candles, tmp_path: Path, damage: str) -> None:
    first = calibrate(Spy(), history, SMALL, cache=tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_text(damage)
    again = calibrate(Spy(), history, SMALL, cache=tmp_path)
    assert replace(again, seconds=0.0) == replace(first, seconds=0.0)
    assert kept.stat().st_size > 1000


def test_a_volatility_too_small_by_a_fifth_is_caught_by_its_own_functional_alone(sp500: Candles) -> None:
    """The evidence of the checks' specification: 201 origins of 20 bars, filtered historical simulation x 0.8."""
    for candles in (sp500, load_candles("nasdaq")):
        settings = Settings(context=256, horizon=20, origins=201, paths=99, seed=1, baselines=())
        right, narrow = (calibrate(Spy(scale=scale), candles, settings).generator for scale in (1.0, 0.8))
        a, b = right.functional("log_volatility"), narrow.functional("log_volatility")
        assert a.mean is not None
        assert b.mean is not None
        # published for S&P: PIT mean .49 and 90 % coverage .83, x 0.8 .68 and .79; an error of a mean is .02-.03
        assert a.mean == pytest.approx(0.49, abs=0.06)
        assert b.mean == pytest.approx(0.68, abs=0.08)
        assert b.label == "FAIL"
        assert a.label != "FAIL"
        worse = np.array(narrow.scores_by_origin["crps_log_volatility"]) - right.scores_by_origin["crps_log_volatility"]
        assert worse.mean() / (worse.std() / np.sqrt(201)) > 3
        # the trap: by the CRPS of the return the calmer paths are no worse, so it must not rank generators alone
        calm = np.array(narrow.scores_by_origin["crps_return_h"]) - right.scores_by_origin["crps_return_h"]
        assert calm.mean() < 0


def test_a_generator_to_be_fitted_sees_the_whole_past_of_each_origin(history: Candles) -> None:
    fitted: list[int] = []

    @dataclass(frozen=True)
    class Watched(GarchPaths):
        def fitted_to(self, past: Candles) -> GarchPaths:
            fitted.append(len(past))
            return super().fitted_to(past)

    found = calibrate(Watched(fit_bars=300), history, replace(SMALL, origins=4, baselines=()))
    rows = [history.timestamps.get_loc(pd.Timestamp(stamp)) + 1 for stamp in found.origins]
    assert fitted == rows
    assert "fitted_sha256" not in found.generator.identity


@pytest.fixture
def halted(history: Candles) -> Candles:
    """The history with a halt of a hundred bars."""
    values = history.values.copy()
    values[-200:-100, :4] = values[-200, 3]
    return replace(history, values=values)


def test_origins_that_cannot_be_run_are_left_out_and_told(halted: Candles) -> None:
    @dataclass(frozen=True)
    class Moody(Spy):
        def fitted_to(self, past: Candles) -> Generator:
            if len(past) % 3 == 0:
                raise DataError("not today")
            return self

    found = calibrate(Moody(), halted, replace(SMALL, origins=20))
    still = [stamp for stamp, why in found.generator.omitted.items() if why == "the context never moves"]
    moody = [stamp for stamp, why in found.generator.omitted.items() if why == "not today"]
    assert len(still) == 4  # origins 65, 75, 85 and 95 bars into the halt have it as their whole context
    assert list(found.baselines[0].omitted) == still
    assert moody
    # the end of the halt inside a still context: drawn again, that move would multiply the variance
    explosive = [why for why in found.generator.omitted.values() if "multiply the variance" in why]
    assert len(explosive) == 1
    left = 20 - len(still) - len(moody) - len(explosive)
    assert len(found.generator.functionals[0].pits) == left
    assert {skill.origins for skill in found.generator.skills} == {left}


def test_a_context_that_a_baseline_refuses_costs_it_that_origin_alone(history: Candles, halted: Candles) -> None:
    """Filtered simulation reads the context and nothing before it: no fit whose refusal could be told apart."""
    found = calibrate(GbmPaths(), halted, replace(SMALL, origins=20, baselines=("fhs",)))
    still = [stamp for stamp, why in found.generator.omitted.items() if why == "the context never moves"]
    refused = {stamp: why for stamp, why in found.baselines[0].omitted.items() if stamp not in still}
    assert len(refused) == 2  # contexts that hold the first move after the halt and little after it
    assert all("multiply the variance" in why for why in refused.values())
    assert len(found.generator.functionals[0].pits) == 20 - len(still)
    assert len(found.baselines[0].functionals[0].pits) == 20 - len(still) - 2
    assert {skill.origins for skill in found.generator.skills} == {20 - len(still) - 2}
    alone = calibrate(FilteredPaths(), history, replace(SMALL, origins=4, baselines=()))
    beside = calibrate(GbmPaths(), history, replace(SMALL, origins=4, baselines=("fhs",)))
    assert beside.baselines[0].functionals[0].pits == alone.generator.functionals[0].pits


@dataclass(frozen=True)
class Faulty(Spy):
    """Gives paths without a price: a few at every origin, all but one at some."""

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        paths = super().sample(context, timestamps, draws, advance)
        values = paths.values.copy()
        values[: len(values) - 1 if context.timestamps[-1].month == 6 else 3, 4, 3] = np.nan
        return replace(paths, values=values)


def test_paths_without_a_price_are_dropped_and_counted_and_an_empty_ensemble_is_left_out(history: Candles) -> None:
    found = calibrate(Faulty(), history, replace(SMALL, baselines=()))
    june = [stamp for stamp in found.origins if stamp[5:7] == "06"]
    assert june
    assert list(found.generator.omitted) == june
    assert "1 of 39 paths are left" in found.generator.omitted[june[0]]
    assert found.generator.dropped == 3 * (32 - len(june))


def test_the_same_ensembles_rank_the_stylized_facts_of_the_generator_alone(history: Candles) -> None:
    settings = replace(SMALL, horizon=20, origins=40, baselines=("gbm",))
    found = calibrate(Spy(scale=0.7), history, settings)
    report = found.facts
    assert report is not None
    pairs = [
        (BarArrays.of_paths(one.paths), BarArrays.of_paths(one.real))
        for one in _forecasts(Spy(scale=0.7), history, settings)
    ]
    assert report == check_facts_by_origin(pairs, reference=history, seed=settings.seed)
    by_id = {verdict.fact: verdict for verdict in report.facts}
    assert (report.mode, report.design.windows) == ("A", 40)
    assert by_id["log_sd"].label in ("WARN", "FAIL")  # the level of volatility, as the functional says too
    assert found.generator.functional("log_volatility").label in ("WARN", "FAIL")


def test_ensembles_too_small_to_be_ranked_are_told(history: Candles) -> None:
    found = calibrate(Spy(), history, replace(SMALL, paths=18, origins=4, baselines=()))
    assert found.facts is None
    assert found.notes[-1] == "stylized facts leave out 4 origins with fewer than 19 paths"


def test_a_generator_that_refuses_every_origin_is_refused(history: Candles) -> None:
    @dataclass(frozen=True)
    class Never(GarchPaths):
        def fitted_to(self, past: Candles) -> GarchPaths:
            raise DataError("not ever")

    with pytest.raises(DataError, match="0 of 5 origins: not ever"):
        calibrate(Never(), history, replace(SMALL, origins=5))


def test_a_checkpoint_is_calibrated_beside_its_baselines(tiny_checkpoint: Checkpoint, history: Candles) -> None:
    tiny = KronosPaths.of(tiny_checkpoint, SamplingRule(1.0), device="cpu")
    found = calibrate(tiny, history, replace(SMALL, context=40, baselines=("bootstrap", "fhs")))
    assert [one.name for one in (found.generator, *found.baselines)] == ["tiny", "bootstrap", "fhs"]
    assert found.generator.contamination.label == "UNTESTABLE"  # random weights have no record
    assert found.baselines[0].contamination.label == "PASS"
    assert {(skill.baseline, skill.score) for skill in found.generator.skills} >= {
        ("bootstrap", "crps_log_volatility"),
        ("fhs", "variogram_size"),
    }
    assert "nothing after 2016-03-31 was looked at" in found.notes[0]
    assert decode(Calibration, encode(found)) == found


def test_a_generator_is_not_its_own_baseline(history: Candles) -> None:
    found = calibrate(StationaryBootstrap(), history, replace(SMALL, origins=4, baselines=("bootstrap", "gbm")))
    assert [one.name for one in found.baselines] == ["gbm"]


def test_drift_neutral_paths_are_calibrated_and_told(history: Candles) -> None:
    found = calibrate(DriftNeutral(Spy()), history, replace(SMALL, baselines=()))
    plain = calibrate(Spy(), history, replace(SMALL, baselines=()))
    assert "rid of its own mean growth" in found.notes[-1]
    # the mean price stands still, so the mean log return is half a variance below zero: 10 bars of 1 deviation a bar
    # over sqrt(10) deviations, times half the volatility of 1 %
    assert -0.05 < found.generator.drift.generated < 0
    assert abs(plain.generator.drift.generated) > 0.1
    assert found.generator.identity["drift"] == "neutral"


def test_too_few_paths_overlap_and_no_room_are_refused(history: Candles) -> None:
    generator: Generator = StationaryBootstrap()
    with pytest.raises(CheckError, match="1 paths"):
        calibrate(generator, history, replace(SMALL, paths=1))
    with pytest.raises(CheckError, match="same surprise"):
        calibrate(generator, history, replace(SMALL, stride=1))
    with pytest.raises(DataError, match="room for"):
        calibrate(generator, history.rows(0, 70), SMALL)


def test_fewer_origins_than_asked_for_are_told(history: Candles) -> None:
    found = calibrate(StationaryBootstrap(), history.rows(0, 200), SMALL)
    assert len(found.origins) == 13
    assert found.notes[1] == "the history has room for 13 origins, not for 32"
    assert found.generator.label == "INCONCLUSIVE"


@pytest.mark.parametrize(("scale", "labels"), [(1.0, {"PASS", "WARN"}), (0.6, {"FAIL"})], ids=["as fitted", "too calm"])
def test_the_value_at_risk_of_the_next_bar_is_judged_bar_by_bar(
    history: Candles, scale: float, labels: Sequence[str]
) -> None:
    settings = replace(SMALL, context=256, horizon=5, paths=199, baselines=(), one_step=600)
    found = calibrate(Spy(scale=scale), history, settings).generator
    near = [one for one in found.exceedances if one.functional == "return_1"]
    assert {(one.tail, one.level) for one in near} == {
        (tail, level) for tail in ("lower", "upper") for level in (0.05, 0.01)
    }
    assert {one.forecasts for one in near} == {600}
    # the specification's S&P figures: EWMA filtered simulation has 1.3 % of exceedances at 1 %
    assert {one.label for one in near if one.level == 0.01} <= set(labels)
    assert found.value_at_risk in labels
    if scale < 1:
        assert found.label == "FAIL"


def test_baselines_forecast_the_next_bar_too_and_the_answer_is_kept(history: Candles, tmp_path: Path) -> None:
    seen: list[tuple[pd.Timestamp, pd.Timestamp, int]] = []
    settings = replace(SMALL, one_step=40)
    first = calibrate(Spy(seen=seen), history, settings, cache=tmp_path)
    assert len(seen) == 40 + 32
    assert seen[39][1] == history.timestamps[-1]  # stride one, up to the last bar
    assert seen[38][1] == history.timestamps[-2]
    for one in (first.generator, *first.baselines):
        assert {e.forecasts for e in one.exceedances if e.functional == "return_1"} == {40}
    assert calibrate(Spy(seen=seen), history, settings, cache=tmp_path) == first
    assert len(seen) == 72
    calibrate(Spy(seen=seen), history, replace(settings, one_step=41), cache=tmp_path)  # another question
    assert len(seen) == 72 + 41 + 32


def test_fewer_next_bars_than_asked_for_are_told(history: Candles) -> None:
    short = calibrate(StationaryBootstrap(), history.rows(0, 200), replace(SMALL, one_step=500))
    told = "bootstrap: the next bar was forecast 136 times, not 500, for which the history has room"
    assert told in short.notes
    values = history.values.copy()
    values[-80:] = values[-81]  # the last 80 bars never move: 17 contexts of 64 know no volatility
    still = calibrate(Spy(), replace(history, values=values), replace(SMALL, one_step=10, baselines=()))
    told = "fhs: the next bar was forecast 0 times, not 10: the context never moves, so the origins stand in for them"
    assert told in still.notes
    near = {one.forecasts for one in still.generator.exceedances if one.functional == "return_1"}
    assert near == {32 - len(still.generator.omitted)}
