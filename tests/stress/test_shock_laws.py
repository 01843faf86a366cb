"""What every shock must keep: valid candles, scale, pairs, and to change nothing where nothing is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from scenario_gen.market import PathSet
from scenario_gen.market.candles import TOO_LOW, columns_of, invalid, log_steps, not_finite, too_large, too_small
from scenario_gen.stress.moves import Setting, uniforms
from scenario_gen.stress.shocked import shocked_bars, terms_of
from scenario_gen.stress.shocks import KINDS, SHOCKS, shocks_of

BARS, ANCHOR = 40, 100.0
SETTING = Setting(seed=7, usual_volume=1e6, slope=0.8)


def random_paths(seed: int, paths: int = 64, volatility: float = 0.02, anchor: float = ANCHOR) -> PathSet:
    """Random candles of gap, body and wicks; a fifth of the gaps and wicks are exactly zero, as in real bars."""
    rng = np.random.default_rng(seed)
    shape = (paths, BARS)
    gap, upper, lower = (rng.normal(0, volatility, shape) * (rng.random(shape) > 0.2) for _ in range(3))
    body = rng.normal(0, volatility, shape)
    close = gap + body
    top, bottom = np.maximum(gap, close) + np.abs(upper), np.minimum(gap, close) - np.abs(lower)
    before = np.concatenate((np.zeros((paths, 1)), np.cumsum(close, axis=1)[:, :-1]), axis=1)
    prices = anchor * np.exp(before[..., None] + np.stack((gap, top, bottom, close), axis=-1))
    values = np.concatenate((prices, np.exp(rng.normal(13.8, 0.5, (*shape, 1)))), axis=-1).astype(np.float32)
    stamps = pd.bdate_range("2020-01-01", periods=BARS)
    fields = ("open", "high", "low", "close", "volume")
    return PathSet(values, fields, stamps, np.arange(paths, dtype=np.int64), anchor)


def shocked(paths: PathSet, *shocks: dict[str, Any], reference: PathSet | None = None) -> PathSet:
    return shocked_bars(paths, shocks_of(shocks, paths.horizon), SETTING, reference)


def broken(paths: PathSet) -> int:
    """Bars that break a rule of candles; prices beyond what can be reckoned with are refused by a run."""
    columns = columns_of(paths.values, paths.fields)
    beyond = not_finite(columns) | too_large(columns) | too_small(columns, TOO_LOW)
    return int((invalid(columns) & ~beyond).sum())


WINDOWS = st.tuples(st.integers(0, BARS - 2), st.integers(1, BARS)).map(
    lambda w: {"bar": w[0], "bars": min(w[1], BARS - 1 - w[0])}
)
SIZES = st.floats(-0.9, 3.0)
FADES = st.one_of(st.just({}), st.floats(0.1, 100).map(lambda h: {"half_life": h}))
# A way to draw each kind of shock with bars within the paths.
DRAWN: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "gap": st.builds(
        lambda w, size, back: {"bar": w["bar"], "size": size, "recovery": back, "over": w["bars"]},
        WINDOWS,
        SIZES,
        st.floats(0, 1),
    ),
    "volatility": st.builds(
        lambda w, f, times, kept: {**w, **f, "times": times, "martingale": kept},
        WINDOWS,
        FADES,
        st.floats(0.01, 5),
        st.booleans(),
    ),
    "drift": st.builds(
        lambda w, f, total, by: {**w, **f, "total": total, "by": by},
        WINDOWS,
        FADES,
        SIZES,
        st.sampled_from(["bar", "range"]),
    ),
    "liquidity": st.builds(lambda w, f, volume: {**w, **f, "volume": volume}, WINDOWS, FADES, st.floats(0, 100)),
    "costs": st.builds(
        lambda w, f, times: {**w, **f, "times": times, "impact": 0.5}, WINDOWS, FADES, st.floats(0, 1000)
    ),
    "flash_crash": st.builds(
        lambda bar, size, bars: {"bar": bar, "size": size, "bars": bars, "volume": 3.0},
        st.integers(0, 20),
        SIZES,
        st.integers(1, 10),
    ),
    "halt": st.builds(lambda w, carry: {**w, "carry": carry}, WINDOWS, st.booleans()),
    "limit_moves": st.builds(lambda w, limit: {**w, "limit": limit}, WINDOWS, st.floats(0.001, 0.9)),
    "data_error": st.builds(
        lambda w, error: {**w, "error": error, "share": 0.2},
        WINDOWS,
        st.sampled_from(["bad_print", "swapped", "stale", "zero_volume", "missing"]),
    ),
}
ANY_SHOCK = st.sampled_from(sorted(DRAWN)).flatmap(lambda kind: DRAWN[kind].map(lambda s: {"kind": kind, **s}))


def test_each_kind_of_shock_is_drawn_by_these_laws() -> None:
    assert {*KINDS} == {*DRAWN}
    assert len(KINDS) == len(SHOCKS)


@settings(max_examples=60, deadline=None)  # of 64 paths x 40 bars: 150,000 random bars
@given(st.lists(ANY_SHOCK, min_size=1, max_size=4), st.integers(0, 1000), st.sampled_from([0.0, 0.02, 0.3]))
def test_shocked_bars_are_valid_candles(shocks: list[dict[str, Any]], seed: int, volatility: float) -> None:
    paths = random_paths(seed, volatility=volatility)
    assert broken(paths) == 0
    assert broken(shocked(paths, *shocks)) == 0


NOTHING = [
    {"kind": "gap", "bar": 3, "size": 0.0, "recovery": 0.5, "over": 4},
    {"kind": "volatility", "times": 1.0},
    {"kind": "volatility", "times": 1.0, "half_life": 3.0, "martingale": False},
    {"kind": "drift", "total": 0.0, "by": "range"},
    {"kind": "liquidity", "volume": 1.0, "impact": 0.0},
    {"kind": "costs"},
    {"kind": "flash_crash", "bar": 3, "size": 0.0},
    {"kind": "flash_crash", "bar": 3, "size": 0.0, "bars": 3},
    {"kind": "limit_moves", "limit": 0.99},
    {"kind": "data_error", "share": 1e-12},
]


@pytest.mark.parametrize("nothing", NOTHING, ids=lambda shock: shock["kind"])
def test_a_shock_of_nothing_changes_no_bit(nothing: dict[str, Any]) -> None:
    paths = random_paths(1)
    same = shocked(paths, nothing)
    assert same.values.tobytes() == paths.values.tobytes()
    terms = terms_of(same, shocks_of([nothing], BARS), SETTING)
    if terms is not None:
        assert terms.seen is None or terms.seen.tobytes() == paths.values.tobytes()
        assert terms.cost_times is None or (terms.cost_times == 1.0).all()
        assert terms.slippage is None or (terms.slippage == 0.0).all()


@given(st.floats(-0.9, 5.0), st.integers(0, BARS - 1), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_a_gap_and_its_inverse_leave_the_paths_as_they_were(size: float, bar: int, seed: int) -> None:
    paths = random_paths(seed, paths=8)
    back = shocked(
        paths, {"kind": "gap", "bar": bar, "size": size}, {"kind": "gap", "bar": bar, "size": -size / (1 + size)}
    )
    # In logs the two add to some 1e-16; the nearest float32 is the same unless a price sits within that of a tie.
    np.testing.assert_allclose(back.values, paths.values, rtol=1.2e-7)


@given(st.floats(-0.9, 3.0), st.integers(0, BARS - 1))
@settings(max_examples=30, deadline=None)
def test_bars_before_a_gap_stay_to_the_bit_and_later_ones_scale_as_one(size: float, bar: int) -> None:
    paths = random_paths(2, paths=8)
    after = shocked(paths, {"kind": "gap", "bar": bar, "size": size})
    assert after.values[:, :bar].tobytes() == paths.values[:, :bar].tobytes()
    # two roundings to float32 of 6e-8 each
    np.testing.assert_allclose(after.values[:, bar:, :4], paths.values[:, bar:, :4] * (1 + size), rtol=1.5e-7)
    assert after.values[..., 4].tobytes() == paths.values[..., 4].tobytes()


@given(st.lists(ANY_SHOCK, min_size=1, max_size=3), st.floats(1e-3, 1e3))
@settings(max_examples=40, deadline=None)
def test_a_market_quoted_in_another_unit_is_shocked_alike(shocks: list[dict[str, Any]], unit: float) -> None:
    paths = random_paths(3, paths=8)
    units = np.array([unit] * 4 + [1.0])
    values = (paths.values * units).astype(np.float32)
    scaled = PathSet(values, paths.fields, paths.timestamps, paths.path_ids, ANCHOR * unit)
    ours, theirs = shocked(paths, *shocks), shocked(scaled, *shocks)
    # Rounding of the scaled prices to float32 (6e-8 each) adds up over the logs of 40 bars, times 5 under volatility.
    np.testing.assert_allclose(theirs.values[..., :4], ours.values[..., :4] * unit, rtol=2e-5)


@given(st.floats(0.2, 4.0), FADES, WINDOWS, st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_volatility_keeps_the_mean_close_of_the_ensemble(
    times: float, fade: dict[str, Any], window: dict[str, Any], seed: int
) -> None:
    paths = random_paths(seed)
    louder = shocked(paths, {"kind": "volatility", "times": times, **fade, **window})
    ours, theirs = (x.close.astype(np.float64).mean(axis=0) for x in (paths, louder))
    np.testing.assert_allclose(theirs, ours, rtol=1e-6)  # closes are rounded to 6e-8 each


def test_without_martingale_the_mean_close_rises_with_the_square_of_volatility() -> None:
    """Normal moves of sd s = sqrt(2) * .02 per bar: ln E C grows by (times^2 - 1) s^2 / 2 more per bar."""
    paths = random_paths(5, paths=4000)
    louder = shocked(paths, {"kind": "volatility", "times": 2.0, "martingale": False})
    growth = np.log(louder.close.astype(np.float64).mean(axis=0) / paths.close.astype(np.float64).mean(axis=0))[-1]
    variance = 0.02**2 * (1 + 0.8)  # of body, and of a gap that a fifth of the bars lack
    # the mean move is taken out before: its own growth is not doubled; Monte Carlo error of some 3 % at 4000 paths
    assert growth == pytest.approx(1.5 * variance * BARS, rel=0.1)


def test_volatility_doubles_moves_and_wicks_and_volume_follows_its_slope() -> None:
    paths = random_paths(6)
    louder = shocked(paths, {"kind": "volatility", "times": 2.0})
    ours, theirs = (log_steps(x.values[..., :4].astype(float), ANCHOR) for x in (paths, louder))
    spread = [(steps[..., 3] - steps[..., 3].mean(axis=0)).std() for steps in (ours, theirs)]
    assert spread[1] / spread[0] == pytest.approx(2.0, rel=1e-5)
    wick = [steps[..., 1] - np.maximum(steps[..., 0], steps[..., 3]) for steps in (ours, theirs)]
    np.testing.assert_allclose(wick[1], 2 * wick[0], atol=1e-6)
    np.testing.assert_allclose(louder.column("volume"), paths.column("volume") * 2.0**0.8, rtol=1e-6)


@pytest.mark.parametrize("by", ["bar", "range"])
def test_a_drift_ends_where_it_says_whatever_its_shape(by: str) -> None:
    paths = random_paths(7)
    moved = shocked(paths, {"kind": "drift", "bar": 4, "bars": 10, "total": -0.2, "by": by, "half_life": 3})
    np.testing.assert_allclose(moved.close[:, 13:], 0.8 * paths.close[:, 13:], rtol=1e-6)
    assert moved.values[:, :4].tobytes() == paths.values[:, :4].tobytes()


def test_a_recovered_gap_is_half_gone_in_logs() -> None:
    paths = random_paths(8)
    moved = shocked(paths, {"kind": "gap", "bar": 4, "size": -0.19, "recovery": 0.5, "over": 6})
    np.testing.assert_allclose(moved.close[:, 4], 0.81 * paths.close[:, 4], rtol=1e-6)
    np.testing.assert_allclose(moved.close[:, 10:], 0.9 * paths.close[:, 10:], rtol=1e-6)  # sqrt(.81)


def test_a_flash_crash_within_a_bar_reaches_its_low_and_keeps_every_close() -> None:
    paths = random_paths(9)
    moved = shocked(paths, {"kind": "flash_crash", "bar": 5, "size": -0.3})
    np.testing.assert_allclose(moved.column("low")[:, 5], 0.7 * paths.close[:, 4], rtol=1e-6)
    same = [0, 1, 3, 4]
    np.testing.assert_array_equal(moved.values[..., same], paths.values[..., same])
    np.testing.assert_array_equal(np.delete(moved.values, 5, axis=1), np.delete(paths.values, 5, axis=1))


def test_a_longer_crash_falls_comes_back_and_multiplies_volume() -> None:
    paths = random_paths(10)
    crash = {"kind": "flash_crash", "bar": 5, "size": -0.36, "bars": 2, "recovery": 0.5, "over": 3, "volume": 4}
    moved = shocked(paths, crash)
    np.testing.assert_allclose(moved.close[:, 6], 0.64 * paths.close[:, 6], rtol=1e-6)
    np.testing.assert_allclose(moved.close[:, 9:], 0.8 * paths.close[:, 9:], rtol=1e-6)
    np.testing.assert_allclose(moved.column("volume")[:, 5:10], 4 * paths.column("volume")[:, 5:10], rtol=1e-6)


def test_a_halt_stands_still_without_volume_and_opens_where_the_path_would_have_been() -> None:
    paths = random_paths(11)
    moved = shocked(paths, {"kind": "halt", "bar": 5, "bars": 3})
    assert (moved.values[:, 5:8, :4] == moved.values[:, 4:5, 3:4]).all()
    assert (moved.column("volume")[:, 5:8] == 0).all()
    np.testing.assert_allclose(moved.values[:, 8:], paths.values[:, 8:], rtol=1.2e-7)
    missed = shocked(paths, {"kind": "halt", "bar": 5, "bars": 3, "carry": False})
    scale = paths.close[:, 4:5] / paths.close[:, 7:8]
    np.testing.assert_allclose(missed.close[:, 8:], paths.close[:, 8:] * scale, rtol=1e-6)


def _of_bars(*bars: tuple[float, float, float, float]) -> PathSet:
    values = np.array([[(*bar, 1e6) for bar in bars]], dtype=np.float32)
    stamps = pd.bdate_range("2020-01-01", periods=len(bars))
    return PathSet(values, ("open", "high", "low", "close", "volume"), stamps, np.arange(1), 100.0)


def test_what_a_limit_cuts_off_is_carried_to_the_next_bars() -> None:
    """A fall from 100 to 75 under a limit of 10 %: 90, then 81 locked, then 75 inside the band of 72.9 to 89.1."""
    paths = _of_bars((99, 99, 75, 75), (75, 75, 75, 75), (75, 76, 74, 75), (75, 75, 75, 75))
    limited = shocked(paths, {"kind": "limit_moves", "limit": 0.1})
    expected = [[99, 99, 90, 90], [81, 81, 81, 81], [75, 76, 74, 75], [75, 75, 75, 75]]
    np.testing.assert_allclose(limited.values[0, :, :4], expected, rtol=1e-6)
    np.testing.assert_allclose(limited.column("volume")[0], [1e6, 1e5, 1e6, 1e6], rtol=1e-6)  # a locked bar: a tenth
    freed = shocked(paths, {"kind": "limit_moves", "limit": 0.1, "bars": 1})  # the second bar may gap
    np.testing.assert_allclose(freed.values[0, 1:, :4], paths.values[0, 1:, :4], rtol=1e-6)


@given(st.floats(0.005, 0.1), st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_no_price_is_beyond_a_limit_and_nothing_is_lost(limit: float, seed: int) -> None:
    paths = random_paths(seed)
    limited = shocked(paths, {"kind": "limit_moves", "limit": limit})
    before = np.concatenate((np.full((len(paths), 1), ANCHOR), limited.close[:, :-1]), axis=1)[..., None]
    steps = limited.values[..., :4] / before - 1
    assert np.abs(steps).max() <= limit + 2e-7  # float32
    caught_up = np.isclose(limited.close, paths.close, rtol=1e-6)
    inside = (np.abs(limited.close / before[..., 0] - 1) < limit - 1e-5).all(axis=1)
    assert caught_up[inside].all()


def test_wrong_data_are_seen_and_never_there() -> None:
    paths = random_paths(12, paths=500)
    shocks = shocks_of([{"kind": "data_error", "share": 0.05, "times": 10.0}], BARS)
    assert shocked_bars(paths, shocks, SETTING) is paths
    terms = terms_of(paths, shocks, SETTING)
    assert terms is not None
    assert terms.seen is not None
    wrong = (terms.seen != paths.values).any(axis=2)
    # 20,000 bars, each with probability .05: standard error .0015; four of them, exceeded once in 16,000 seeds
    assert wrong.mean() == pytest.approx(0.05, abs=0.0062)
    np.testing.assert_allclose(terms.seen[wrong][:, 3], 10 * paths.values[wrong][:, 3], rtol=1e-6)
    assert int(invalid(columns_of(terms.seen, paths.fields)).sum()) == 0  # a bad print is a candle, a wrong one


@pytest.mark.parametrize(
    ("error", "check"),
    [
        ("swapped", lambda seen, true: (seen[..., 1], true[..., 2])),
        ("zero_volume", lambda seen, true: (seen[..., 4], np.zeros_like(true[..., 4]))),
        ("missing", lambda seen, true: (np.isnan(seen), np.ones(true.shape, dtype=bool))),
    ],
)
def test_each_error_of_data_is_what_its_name_says(error: str, check: Any) -> None:
    paths = random_paths(13)
    terms = terms_of(paths, shocks_of([{"kind": "data_error", "error": error, "share": 1.0}], BARS), SETTING)
    assert terms is not None
    np.testing.assert_array_equal(*check(terms.seen, paths.values))


def test_stale_bars_repeat_the_last_one_that_was_seen() -> None:
    paths = random_paths(14)
    shock = {"kind": "data_error", "error": "stale", "share": 1.0, "bar": 3, "bars": 4}
    terms = terms_of(paths, shocks_of([shock], BARS), SETTING)
    assert terms is not None
    assert terms.seen is not None
    np.testing.assert_array_equal(terms.seen[:, 3:7], np.repeat(paths.values[:, 2:3], 4, axis=1))
    np.testing.assert_array_equal(terms.seen[:, 7:], paths.values[:, 7:])


def test_a_paths_own_numbers_are_its_own_in_any_company_and_differ_by_place_and_seed() -> None:
    all_ids = np.arange(20, dtype=np.int64)
    drawn = uniforms(SETTING, all_ids, 0, BARS)
    np.testing.assert_array_equal(uniforms(SETTING, all_ids[[17, 3]], 0, BARS), drawn[[17, 3]])
    np.testing.assert_array_equal(uniforms(SETTING, all_ids, 0, 10), drawn[:, :10])
    others = [uniforms(SETTING, all_ids, 1, BARS), uniforms(Setting(8, 1e6, 0.8), all_ids, 0, BARS)]
    for other in others:
        # independent uniforms: correlation within 4 / sqrt(800) of 0, exceeded once in 16,000 seeds
        assert abs(np.corrcoef(drawn.ravel(), other.ravel())[0, 1]) < 0.14


@given(st.lists(ANY_SHOCK, min_size=1, max_size=3))
@settings(max_examples=30, deadline=None)
def test_path_17_is_shocked_alike_alone_and_among_others(shocks: list[dict[str, Any]]) -> None:
    """Beside a reference ensemble that is the same for both."""
    paths, reference = random_paths(15, paths=32), random_paths(16)
    alone = paths.select(np.array([17]))
    both = [shocked(x, *shocks, reference=reference) for x in (paths.select(np.array([3, 17])), alone)]
    np.testing.assert_array_equal(both[0].values[1], both[1].values[0])
    terms = [terms_of(x, shocks_of(shocks, BARS), SETTING) for x in both]
    if terms[0] is not None:
        assert terms[1] is not None
        for ours, theirs in zip(terms[0].arrays().values(), terms[1].arrays().values(), strict=True):
            np.testing.assert_array_equal(ours[1], theirs[0])


def test_shocks_act_in_the_order_of_their_list() -> None:
    paths = random_paths(17)
    gap, halt = {"kind": "gap", "bar": 5, "size": -0.1}, {"kind": "halt", "bar": 5, "bars": 2, "carry": False}
    first, last = shocked(paths, gap, halt), shocked(paths, halt, gap)
    np.testing.assert_allclose(last.close[:, 5:], 0.9 * first.close[:, 5:], rtol=1e-6)  # a halt swallows the gap


def test_costs_fade_by_half_in_a_half_life_and_impact_grows_where_volume_is_thin() -> None:
    paths = random_paths(18)
    terms = terms_of(
        paths, shocks_of([{"kind": "costs", "times": 3, "bar": 2, "half_life": 4, "impact": 0.1}], BARS), SETTING
    )
    assert terms is not None
    assert terms.cost_times is not None
    assert terms.slippage is not None
    np.testing.assert_allclose(terms.cost_times[:, [0, 1, 2, 6, 10]], [[1, 1, 3, 2, 1.5]] * 64)
    bar = paths.values[5, 6].astype(np.float64)
    assert terms.slippage[5, 6] == pytest.approx(0.5 * 0.1 * np.log(bar[1] / bar[2]) / np.sqrt(bar[4] / 1e6))
    assert (terms.slippage[:, :2] == 0).all()


def test_slope_of_volume_on_range_is_read_off_the_context(sp500: Any) -> None:
    """Against numpy's own least squares; a context without volume has none."""
    context = sp500.rows(2000, 2256)
    x, y = np.log(np.log(context.column("high") / context.column("low"))), np.log(context.column("volume"))
    assert Setting.of(context, 0).slope == pytest.approx(np.polyfit(x, y, 1)[0])


def test_nobody_buys_at_the_upper_limit_or_sells_at_the_lower_one_of_the_close_before() -> None:
    paths = _of_bars((99, 99, 75, 75), (75, 75, 75, 75), (75, 76, 74, 75), (75, 75, 75, 75))
    shocks = shocks_of([{"kind": "limit_moves", "limit": 0.1, "bar": 1, "bars": 2}], 4)
    terms = terms_of(shocked_bars(paths, shocks, SETTING), shocks, SETTING)
    assert terms is not None
    assert terms.ceiling is not None
    assert terms.floor is not None
    # bar 0 is not limited and closes at 75; bars 1 and 2 lie inside the band around 75; bar 3 is free again
    np.testing.assert_allclose(terms.ceiling[0], [np.inf, 82.5, 82.5, np.inf], rtol=2e-6)
    np.testing.assert_allclose(terms.floor[0], [0.0, 67.5, 67.5, 0.0], rtol=2e-6)


def test_orders_wait_in_halts_and_where_volume_is_gone_and_the_tighter_terms_count() -> None:
    paths = random_paths(19)
    halt, dry = {"kind": "halt", "bar": 3, "bars": 2}, {"kind": "liquidity", "volume": 0.0, "bar": 8, "bars": 1}
    shocks = shocks_of([halt, dry, {"kind": "limit_moves", "limit": 0.5}], BARS)
    terms = terms_of(shocked_bars(paths, shocks, SETTING), shocks, SETTING)
    assert terms is not None
    assert terms.ceiling is not None
    assert terms.floor is not None
    shut = np.isin(np.arange(BARS), [3, 4, 8])
    assert (terms.ceiling[:, shut] == 0.0).all()
    assert np.isposinf(terms.floor[:, shut]).all()
    assert np.isfinite(terms.ceiling[:, ~shut]).all()  # half of the close before, and more than it
    assert (terms.floor[:, ~shut] < terms.ceiling[:, ~shut]).all()
