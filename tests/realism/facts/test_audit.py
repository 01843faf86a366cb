"""The audit of a reference: each planted fault takes its facts away, and a sound history loses none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scenario_gen.market import Candles, load_candles
from scenario_gen.market.inferred import tick_size
from scenario_gen.realism.audit import Audit, audit_reference
from scenario_gen.realism.facts import FACTS
from scenario_gen.realism.gauge import Gauge
from tests.market.test_sessions import trading_days
from tests.realism.facts.made import candles_of

DAYS = pd.bdate_range("2015-01-01", periods=1500)
SESSIONS = {f.id for f in FACTS if "sessions" in f.needs}


def needing(need: str) -> set[str]:
    return {f.id for f in FACTS if need in f.needs}


def group(name: str) -> set[str]:
    return {f.id for f in FACTS if f.group == name}


def lost(audit: Audit) -> set[str]:
    """Facts lost beyond what every daily history with fine ticks loses."""
    return set(audit.untestable) - SESSIONS - needing("ticks")


def with_columns(candles: Candles, **columns: np.ndarray) -> Candles:
    values = candles.values.copy()
    for name, column in columns.items():
        values[:, candles.fields.index(name)] = column
    return replace(candles, values=values)


def opens_copied(candles: Candles, rows: np.ndarray) -> Candles:
    opened = candles.column("open").copy()
    opened[1:][rows[1:]] = candles.close[:-1][rows[1:]]
    return with_columns(
        candles,
        open=opened,
        high=np.maximum(candles.column("high"), opened),
        low=np.minimum(candles.column("low"), opened),
    )


def test_a_sound_daily_history_loses_only_what_daily_bars_cannot_show() -> None:
    audit = audit_reference(candles_of(DAYS))
    assert set(audit.untestable) == SESSIONS | needing("ticks")
    assert audit.untestable["open_mid_rng"] == "the bars are daily or longer"
    assert audit.notes == []


def test_the_gaps_of_the_sp500_cannot_be_judged_and_those_of_the_nasdaq_can(sp500: Candles) -> None:
    audit = audit_reference(sp500)
    assert lost(audit) == group("gaps")
    # Yahoo's S&P opens are the closes before them until 2006, and again in part of later years.
    assert "10 of 20 years (1999-2006, 2012-2013" in audit.untestable["gap_share"]
    assert lost(audit_reference(load_candles("nasdaq"))) == set()


def test_one_year_of_copied_opens_is_enough() -> None:
    candles = candles_of(DAYS)
    year = np.asarray(DAYS.year == 2017)
    rows = np.flatnonzero(year)
    some = np.zeros(len(DAYS), dtype=bool)
    some[rows[: len(rows) // 4]] = True
    audit = audit_reference(opens_copied(candles, some))
    assert lost(audit) == group("gaps")
    assert "in 1 of 6 years (2017; 26% in 2017)" in audit.untestable["gap_Lkurt"]
    few = np.zeros(len(DAYS), dtype=bool)
    few[rows[: len(rows) // 6]] = True
    assert lost(audit_reference(opens_copied(candles, few))) == set()


def test_volume_must_be_there_on_nearly_every_bar() -> None:
    candles = candles_of(DAYS)
    without = replace(candles, values=candles.values[:, :4], fields=candles.fields[:4])
    assert lost(audit_reference(without)) == group("volume")
    for share, gone in ((0.009, set()), (0.012, group("volume"))):
        volume = candles.column("volume").copy()
        volume[: int(share * len(volume))] = 0
        assert lost(audit_reference(with_columns(candles, volume=volume))) == gone
    same = audit_reference(with_columns(candles, volume=np.full(len(DAYS), 5.0)))
    assert same.untestable["vol_acf_1_5"] == "the volume is the same on every bar"


def test_coarse_ticks_hide_candles_and_show_themselves() -> None:
    coarse = audit_reference(candles_of(DAYS, tick=0.5))  # ranges of some 1.5 around 100: three ticks
    # Gaps of one tick or none are lost as well: every fifth open equals the close before it.
    assert lost(coarse) == group("candle_shape") | group("gaps")
    assert coarse.untestable["body_frac"] == "the median range is 3.0 ticks: a candle's shape is its grid's"
    assert "zero_ret_share" not in coarse.untestable
    coarser = audit_reference(candles_of(DAYS, tick=1.0))
    assert "high equals low on 10.47% of bars" in coarser.untestable["body_frac"]
    fine = audit_reference(candles_of(DAYS, tick=0.05))
    assert lost(fine) == set()
    assert "ticks: the grid of prices does not show" in fine.untestable["zero_ret_share"]


def test_bars_without_ranges() -> None:
    candles = candles_of(DAYS)

    def flattened(share: float) -> Candles:
        flat = np.arange(len(DAYS)) < share * len(DAYS)
        price = {name: np.where(flat, candles.close, candles.column(name)) for name in ("open", "high", "low")}
        return with_columns(candles, **price)

    assert lost(audit_reference(flattened(0.04))) == set()
    assert lost(audit_reference(flattened(0.06))) == group("candle_shape")
    closes_only = audit_reference(flattened(1.0))
    assert {"acf_rng_1_5", "zumbach", "H_lnrange", "vol_rng_corr"} <= lost(closes_only)
    assert not {"Lkurt", "acf_abs_1_5", "vol_absr_corr"} & lost(closes_only)


def test_intraday_sessions_are_counted() -> None:
    hours = [("09:30", "16:00")]
    assert not needing("sessions") & audit_reference(candles_of(trading_days(60, hours))).untestable.keys()
    few = audit_reference(candles_of(trading_days(15, hours)))
    assert few.untestable["open_mid_rng"] == "only 14 whole sessions; 20 are needed"
    assert few.untestable["gap_share"] == "only 14 bars open after a pause in trading; 30 are needed"
    never = audit_reference(candles_of(pd.date_range("2024-01-01", periods=2000, freq="1h")))
    assert never.untestable["open_mid_rng"] == "trading has no pause overnight"
    assert "gap_share" in never.untestable
    long = audit_reference(candles_of(trading_days(60, hours, step="3h")))
    assert long.untestable["close_mid_rng"] == "a session has 3 bars; 4 are needed"


def test_a_split_is_noted_with_its_date() -> None:
    candles = candles_of(DAYS)
    split = np.where(np.arange(len(DAYS)) >= 700, 0.5, 1.0)
    prices = {name: split * candles.column(name) for name in ("open", "high", "low", "close")}
    notes = audit_reference(with_columns(candles, **prices)).notes
    assert len(notes) == 1
    assert str(DAYS[700].date()) in notes[0]
    assert "unadjusted corporate actions?" in notes[0]


def test_stamps_without_summer_time_are_noted() -> None:
    local = trading_days(120, [("09:30", "16:00")], start="2024-01-02").tz_localize("America/New_York")
    assert audit_reference(candles_of(local)).notes == []
    notes = audit_reference(candles_of(local.tz_convert("UTC"))).notes
    assert [note for note in notes if "13:30, 14:30: the stamps do not follow summer time" in note]


def test_missing_bars_and_irregular_distances_are_noted() -> None:
    stamps = trading_days(60, [("09:30", "16:00")], step="5min")
    holed = stamps.delete(np.arange(5, len(stamps), 20))
    assert any("missing bars" in note for note in audit_reference(candles_of(holed)).notes)
    waits = pd.to_timedelta(np.random.default_rng(1).exponential(600, 2000).cumsum().round(3), unit="s")
    ticks = pd.Timestamp("2024-01-01") + waits
    assert any("irregular" in note for note in audit_reference(candles_of(pd.DatetimeIndex(ticks))).notes)
    later = DAYS[:700].append(DAYS[760:])
    assert any("1 long gap" in note for note in audit_reference(candles_of(later)).notes)


def test_closes_that_stand_still_are_noted() -> None:
    candles = candles_of(DAYS)
    close = candles.close.copy()
    close[1::3] = close[0::3]
    top, bottom = np.maximum(candles.column("high"), close), np.minimum(candles.column("low"), close)
    notes = audit_reference(with_columns(candles, close=close, high=top, low=bottom)).notes
    assert any("34% of closes equal the one before" in note for note in notes)


@pytest.mark.parametrize("bars", [0, 1])
def test_a_history_without_a_return_can_tell_nothing(bars: int) -> None:
    audit = audit_reference(candles_of(DAYS).rows(0, bars))
    assert set(audit.untestable) == {f.id for f in FACTS}


@pytest.mark.parametrize("bars", [2, 3, 10, 30])
def test_short_histories_are_audited_without_a_warning(bars: int) -> None:
    candles = candles_of(DAYS).rows(0, bars)
    assert set(audit_reference(candles).untestable) >= SESSIONS
    assert np.isfinite(Gauge.of(candles).large_move)


@pytest.mark.parametrize("tick", [0.0001, 0.01, 0.05, 0.25, 1.0])
def test_the_tick_is_found_also_in_float32_prices(tick: float) -> None:
    candles = candles_of(DAYS, tick=tick)
    assert tick_size(candles) == tick
    rounded = candles.values.astype(np.float32).astype(np.float64)
    assert tick_size(replace(candles, values=rounded)) == tick


def test_prices_off_any_grid_have_no_tick(sp500: Candles) -> None:
    assert tick_size(sp500) == 0.01
    adjusted = sp500.values.copy()
    adjusted[:, :4] *= np.linspace(0.7, 1, len(sp500))[:, None]
    assert tick_size(replace(sp500, values=adjusted)) == 0.0
    assert tick_size(sp500.rows(0, 2)) == 0.0  # eight prices show no grid


def test_a_few_prices_off_the_grid_do_not_hide_it() -> None:
    candles = candles_of(DAYS)
    values = candles.values.copy()
    values[7, 3] += 0.0037
    assert tick_size(replace(candles, values=values)) == 0.01
    values[:40, 3] += 0.0037
    assert tick_size(replace(candles, values=values)) != 0.01
