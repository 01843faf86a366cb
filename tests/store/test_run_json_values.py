from __future__ import annotations

import dataclasses
import json
import math
from datetime import date
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from scenario_gen.backtest.result import Fan, StrategyResult
from scenario_gen.candles.account import CandleAccount
from scenario_gen.errors import StoreError
from scenario_gen.finding import Finding
from scenario_gen.stats.estimate import Estimate
from scenario_gen.values import decode, encode


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(encode(value), allow_nan=False))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_strategy_result_survives_the_way_through_json(data: st.DataObject, any_of: Any) -> None:
    result = data.draw(any_of(StrategyResult))
    assert decode(StrategyResult, through_json(result)) == result


def test_nan_is_written_as_null_and_read_as_nan_where_a_number_must_be() -> None:
    written = through_json(Fan([0, 1], {"0.5": [1.0, math.nan]}, {}, []))
    assert written["quantiles"]["0.5"] == [1.0, None]
    assert math.isnan(decode(Fan, written).quantiles["0.5"][1])


def test_nan_in_an_optional_number_comes_back_as_none() -> None:
    assert decode(Estimate, through_json(Estimate(math.nan))).value is None


def test_an_infinite_number_is_refused_with_its_place() -> None:
    with pytest.raises(StoreError, match=r"infinite number at quantiles/0\.5/1"):
        encode(Fan([0, 1], {"0.5": [1.0, math.inf]}, {}, []))


def test_loose_values_of_a_spec_become_plain_json() -> None:
    loose = {"end": date(2018, 12, 31), "file": PurePosixPath("a/b"), "n": np.float32(0.5), "t": (1, np.int64(2))}
    assert encode(loose) == {"end": "2018-12-31", "file": "a/b", "n": 0.5, "t": [1, 2]}


def test_an_unknown_kind_of_value_is_refused() -> None:
    with pytest.raises(StoreError, match="cannot hold a set at spec/x"):
        encode({"spec": {"x": {1, 2}}})


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"n": "many"}, "'many' at n"),
        ({"n": True}, "'True' at n"),
        ({"value": [1]}, r"'\[1\]' at value"),
        ({"surprise": 1}, "unknown keys surprise"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_its_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(StoreError, match=place):
        decode(Estimate, {**encode(Estimate(1.0, 0.5, 1.5, 10)), **change})


def test_a_missing_key_is_named_unless_it_has_a_default() -> None:
    assert decode(Estimate, {"value": None}) == Estimate(None)
    with pytest.raises(StoreError, match="lacks value"):
        decode(Estimate, {"low": 1.0})


def test_a_label_outside_the_six_is_refused() -> None:
    finding = encode(Finding("candles", "PASS", "", ""))
    assert decode(Finding, finding).label == "PASS"
    with pytest.raises(StoreError, match="'OK' at label"):
        decode(Finding, {**finding, "label": "OK"})


def test_lists_of_results_carry_their_index_in_the_message() -> None:
    account = CandleAccount(1, 1, 1, 0, 0, 0, 0, 0, [], 0, 0.0, 0.0, 0.0, "repair", "PASS")
    broken = {**encode(account), "rules": [{"rule": "V1"}]}
    with pytest.raises(StoreError, match="at rules/0"):
        decode(CandleAccount, broken)
    assert decode(CandleAccount, encode(account)) == dataclasses.replace(account)
