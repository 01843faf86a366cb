"""The checks on plain arrays, as a generator outside this package has them."""

from __future__ import annotations

import numpy as np
import pytest

import scenario_gen as sg
from scenario_gen import realism as checks
from scenario_gen.candles import check_candles
from scenario_gen.errors import CheckError
from scenario_gen.market import BarCalendar, Candles
from scenario_gen.realism import BarArrays, check_facts


def gaussian(history: Candles, paths: int = 100, bars: int = 60) -> list[np.ndarray]:
    """Open, high, low, close and volume of a Gaussian walk behind the history."""
    rng = np.random.default_rng(1)
    close = history.close[-1] * np.exp(np.cumsum(rng.normal(0, 0.01, (paths, bars)), axis=1))
    opened = np.concatenate([np.full((paths, 1), history.close[-1]), close[:, :-1]], axis=1)
    high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) / 1.002
    return [opened, high, low, close, np.exp(rng.normal(10, 0.3, close.shape))]


def test_facts_and_candles_are_checked_on_arrays(nasdaq: Candles) -> None:
    arrays = gaussian(nasdaq)
    report = check_facts(
        BarArrays.of_arrays(*arrays, anchor_close=nasdaq.close[-1], tick=0.0), nasdaq, context=nasdaq, seed=0
    )
    labels = {fact.fact: fact.label for fact in report.facts}
    assert labels["acf_rng_1_5"] == "FAIL"  # independent bars
    stamps = BarCalendar.infer(nasdaq.timestamps, nasdaq.calendar).future(60)
    paths = sg.PathSet.of_arrays(*arrays, timestamps=stamps, anchor_close=float(nasdaq.close[-1]))
    assert paths.fields == ("open", "high", "low", "close", "volume")
    whole = check_candles(paths, nasdaq.context(256), "repair", history=nasdaq)
    assert len(whole.paths) == 100
    assert whole.tally.counts["bad_bars"].sum() == 0
    arrays[1][3, 7] = arrays[2][3, 7] * 0.9  # a high below its low
    broken = sg.PathSet.of_arrays(*arrays, timestamps=stamps, anchor_close=float(nasdaq.close[-1]))
    assert check_candles(broken, nasdaq.context(256), "repair").tally.counts["bad_bars"].sum() == 1
    assert sg.check(paths, nasdaq).verdicts["clustering"] == "FAIL"
    with pytest.raises(CheckError, match="policy is 'mend'"):
        check_candles(paths, nasdaq.context(256), "mend")


def test_arithmetic_on_float32_breaks_no_rule_and_more_than_that_does(nasdaq: Candles) -> None:
    """Highs and lows four units in the last place off are rounding; a hundred thousandth is not."""
    arrays = [array.astype(np.float32) for array in gaussian(nasdaq)]
    stamps = BarCalendar.infer(nasdaq.timestamps, nasdaq.calendar).future(60)
    for off, bad in ((4e-7, 0), (1e-5, 6000)):
        arrays[1] = np.maximum(arrays[0], arrays[3]) * np.float32(1 - off)
        paths = sg.PathSet.of_arrays(*arrays, timestamps=stamps, anchor_close=float(nasdaq.close[-1]))
        found = check_candles(paths, nasdaq.context(256), "repair")
        assert found.tally.counts["bad_bars"].sum() == bad
        assert (found.paths.column("high") >= found.paths.column("close")).all()


def test_what_no_path_set_can_be_is_refused(nasdaq: Candles) -> None:
    arrays = gaussian(nasdaq, 3, 5)
    stamps = BarCalendar.infer(nasdaq.timestamps, nasdaq.calendar).future(5)
    for anchor in (0.0, np.nan, -1.0):
        paths = sg.PathSet.of_arrays(*arrays, timestamps=stamps, anchor_close=anchor)
        with pytest.raises(CheckError, match="anchor close is"):
            sg.check(paths, nasdaq)
    with pytest.raises(ValueError, match="one shape"):
        sg.PathSet.of_arrays(*arrays[:3], arrays[3][:2], timestamps=stamps, anchor_close=1.0)


def test_every_public_name_is_there() -> None:
    assert all(getattr(checks, name) is not None for name in checks.__all__)
    with pytest.raises(AttributeError, match="no attribute 'chek'"):
        _ = checks.chek
