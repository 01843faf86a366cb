"""Drift-neutral paths: nothing is gained on average, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scenario_gen.candles import check_candles
from scenario_gen.generators.base import Generator, sample_contexts
from scenario_gen.generators.bootstrap import StationaryBootstrap
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.gbm import GbmPaths
from scenario_gen.generators.rescaled import DRIFT_PILOTS, DriftNeutral
from scenario_gen.market import BarCalendar, Candles, PathSet
from scenario_gen.market.candles import log_steps


@pytest.fixture(scope="module")
def rising(sp500: Candles) -> Candles:
    """A year whose closes gain .2 % a bar more than they did."""
    context = sp500.split_at("2017-06-30")[0].context(256)
    gain = np.exp(0.002 * np.arange(256))[:, None] * np.array([1, 1, 1, 1, 0]) + np.array([0, 0, 0, 0, 1])
    return replace(context, values=context.values * gain)


def _sample(generator: Generator, context: Candles, first: int, paths: int) -> PathSet:
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(40)
    return generator.sample(context, stamps, Draws.block(5, first, paths))


def _growth(paths: PathSet) -> tuple[np.ndarray, np.ndarray]:
    relative = paths.close.astype(float) / paths.anchor_close
    return relative.mean(axis=0), relative.std(axis=0)


def test_the_expected_price_is_the_last_real_one_at_every_bar(rising: Candles) -> None:
    neutral, _ = _growth(_sample(DriftNeutral(GbmPaths()), rising, 0, 3000))
    sampled, deviation = _growth(_sample(GbmPaths(), rising, 0, 3000))
    # pilot and sample are independent: standard error s sqrt(1 / 1024 + 1 / 3000) at each bar; the largest of 40
    # strongly correlated bars stays below four of them but once in thousands
    error = deviation * np.sqrt(1 / DRIFT_PILOTS + 1 / 3000)
    assert (np.abs(neutral - 1) < 4 * error).all()
    assert sampled[-1] - 1 > 10 * error[-1]  # and without it the drift is plain to see


def test_what_was_removed_and_its_error_are_told(rising: Candles) -> None:
    record = _sample(DriftNeutral(GbmPaths()), rising, 0, 10).provenance
    returns = np.diff(np.log(rising.close))
    expected = np.exp(40 * (returns.mean() + returns.var() / 2)) - 1
    assert abs(record["growth_removed"] - expected) < 4 * record["growth_error"]
    assert record["growth_error"] == pytest.approx(
        (1 + expected) * np.sqrt(np.expm1(40 * returns.var()) / DRIFT_PILOTS), rel=0.1
    )  # log-normal; a deviation from 1024 paths is known to 2 %
    assert record["drift"] == "neutral"


def _steps(paths: PathSet) -> np.ndarray:
    return log_steps(paths.values[..., :4].astype(float), paths.anchor_close)  # [path, bar, 4]


def _wicks(steps: np.ndarray) -> np.ndarray:
    body = np.sort(steps[..., [0, 3]], axis=-1)
    return np.stack((steps[..., 1] - body[..., 1], body[..., 0] - steps[..., 2]))


def test_gaps_wicks_volume_and_path_ids_stay_and_the_drift_leaves_the_bodies(rising: Candles) -> None:
    neutral, sampled = (_sample(g, rising, 3, 8) for g in (DriftNeutral(GbmPaths()), GbmPaths()))
    after, before = _steps(neutral), _steps(sampled)
    # prices are float32, and a log of two of them is off by up to 1.2e-7; wicks compare four
    np.testing.assert_allclose(after[..., 0], before[..., 0], atol=3e-7)
    np.testing.assert_allclose(_wicks(after), _wicks(before), atol=5e-7)
    drift = (after - before)[..., 3]
    np.testing.assert_allclose(drift, np.broadcast_to(drift[0], drift.shape), atol=5e-7)  # one number for all paths
    assert np.array_equal(neutral.values[..., 4], sampled.values[..., 4])
    assert np.array_equal(neutral.path_ids, sampled.path_ids)
    assert check_candles(neutral, rising, "fail").tally.counts["bad_bars"].sum() == 0


def test_bars_without_gap_or_wick_are_as_many_as_before(sp500: Candles) -> None:
    context = sp500.rows(1900, 2156)  # of 2006 and 2007: many a bar opens at the close before
    neutral, sampled = (
        _sample(g, context, 0, 64) for g in (DriftNeutral(StationaryBootstrap()), StationaryBootstrap())
    )

    def exact(paths: PathSet) -> tuple[int, int, int]:
        start, high, low, close = (paths.column(name) for name in ("open", "high", "low", "close"))
        none = int((start[:, 1:] == close[:, :-1]).sum())
        return none, int((high == np.maximum(start, close)).sum()), int((low == np.minimum(start, close)).sum())

    assert min(exact(sampled)) > 20
    assert exact(neutral) == exact(sampled)


def test_a_path_without_prices_stays_as_it_is_and_spoils_no_pilot(rising: Candles) -> None:
    class Broken(GbmPaths):
        def sample(self, context, timestamps, draws, advance=lambda _: None):  # type: ignore[no-untyped-def]
            paths = super().sample(context, timestamps, draws, advance)
            paths.values[0, 3, 3], paths.values[1, 5, 0] = np.nan, -1.0
            return paths

    sampled, neutral = (_sample(g, rising, 0, 6) for g in (Broken(), DriftNeutral(Broken())))
    assert np.array_equal(neutral.values[:2], sampled.values[:2], equal_nan=True)
    assert np.isfinite(neutral.values[2:]).all()
    assert neutral.provenance["growth_removed"] > 0.01


def test_an_amount_follows_its_prices(rising: Candles) -> None:
    class Traded(GbmPaths):
        def sample(self, context, timestamps, draws, advance=lambda _: None):  # type: ignore[no-untyped-def]
            paths = super().sample(context, timestamps, draws, advance)
            amount = paths.values[..., 4:5] * paths.values[..., :4].mean(axis=-1, keepdims=True)
            return replace(
                paths, values=np.concatenate((paths.values, amount), axis=-1), fields=(*paths.fields, "amount")
            )

    paths = _sample(DriftNeutral(Traded()), rising, 0, 6)
    price = paths.column("amount") / paths.column("volume")
    assert (price <= paths.column("high") * (1 + 1e-6)).all()
    assert (price >= paths.column("low") * (1 - 1e-6)).all()


def test_the_pilot_is_sampled_once_and_not_by_a_path_of_the_run(rising: Candles) -> None:
    seen: list[np.ndarray] = []

    class Counting(GbmPaths):
        def sample(self, context, timestamps, draws, advance=lambda _: None):  # type: ignore[no-untyped-def]
            seen.append(draws.path_ids)
            return super().sample(context, timestamps, draws, advance)

    generator = DriftNeutral(Counting())
    for first in (0, 8):
        _sample(generator, rising, first, 8)
    pilot = np.concatenate([ids for ids in seen if ids[0] > 1_000_000])
    assert len(pilot) == DRIFT_PILOTS
    assert [ids[0] for ids in seen if ids[0] <= 1_000_000] == [0, 8]


def test_many_small_ensembles_each_lose_their_own_mean(rising: Candles) -> None:
    stamps = BarCalendar.infer(rising.timestamps, "XNYS").future(40)
    ensembles = sample_contexts(DriftNeutral(GbmPaths()), [rising] * 3, [stamps] * 3, Draws.block(2, 0, 30))
    assert [one.path_ids.tolist() for one in ensembles] == [list(range(i, i + 10)) for i in (0, 10, 20)]
    for one in ensembles:
        np.testing.assert_allclose(_growth(one)[0], 1.0, atol=1e-6)
