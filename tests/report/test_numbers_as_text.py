from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from scenario_gen.report import numbers
from scenario_gen.report.drawing.strips import nice_ticks
from scenario_gen.stats.estimate import Estimate


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.0, 2, "0.00"), (-0.001, 2, "0.00"), (-0.0, 0, "0"), (-1.5, 1, "−1.5"), (2000, 0, "2\u202f000"),
        (-1234567.891, 2, "−1\u202f234\u202f567.89"), (999.96, 1, "1\u202f000.0"),
    ],
)  # fmt: skip
def test_numbers_have_real_minus_signs_thin_spaces_and_no_minus_zero(value: float, decimals: int, text: str) -> None:
    assert numbers.fixed(value, decimals) == text


@given(st.floats(-1e9, 1e9), st.integers(0, 4))
def test_the_text_reads_back_to_within_half_a_last_digit(value: float, decimals: int) -> None:
    read = float(numbers.fixed(value, decimals).replace("−", "-").replace("\u202f", ""))
    # Half a unit of the last digit, plus the rounding of the double itself.
    assert abs(read - value) <= 0.5 * 10**-decimals * (1 + 1e-9) + abs(value) * 1e-15


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (0.0144, True, "+1.4%"), (-0.129, True, "−12.9%"), (0.0001, True, "0.0%"), (-0.0001, False, "0.0%"),
        (12.3456, False, "1\u202f234.6%"), (0.311, False, "31.1%"),
    ],
)  # fmt: skip
def test_percentages_have_one_decimal(value: float, signed: bool, text: str) -> None:
    assert numbers.percent(value, signed=signed) == text


def test_an_interval_stands_in_brackets_without_repeating_the_unit() -> None:
    shown = numbers.bracketed(Estimate(-0.129, -0.139, -0.125, 2000), "signed percent", "x")
    assert (shown.text, shown.error) == ("−12.9%", "[−13.9, −12.5]")


def test_half_an_interval_stands_after_a_plus_minus() -> None:
    shown = numbers.plus_minus(Estimate(0.163, 0.155, 0.171, 2000), "percent", "x")
    assert (shown.text, shown.error) == ("16.3%", "±0.8")


@pytest.mark.parametrize(
    ("estimate", "text", "error"),
    [
        (Estimate(0.0, 0.0, 0.0015, 2000, 0), "0 of 2\u202f000", "< 0.15%"),  # rule of three: 3 / 2000
        (Estimate(None, 0.002, 0.017, 512, 3, "fewer than 10 paths"), "3 of 512", ""),
        (Estimate(0.311, 0.292, 0.332, 2000, 622), "31.1%", "[29.2, 33.2]"),
        (Estimate(1.0, 0.993, 1.0, 512, 512), "512 of 512", "> 99.41%"),
        (Estimate(0.0, 0.0, 1.0, 2, 0), "0 of 2", ""),  # 3 / 2 bounds nothing
    ],
)
def test_shares_of_paths_follow_their_counts(estimate: Estimate, text: str, error: str) -> None:
    shown = numbers.share(estimate, "x")
    assert (shown.text, shown.error) == (text, error)


@pytest.mark.parametrize("value", [None, math.nan])
def test_a_number_that_is_not_there_is_a_dash_or_says_why(value: float | None) -> None:
    assert numbers.bracketed(Estimate(value), "percent", "x").text == "—"
    refused = numbers.bracketed(Estimate(value, n=64, reason="not shown, needs N >= 400"), "percent", "x")
    assert (refused.text, refused.reason, refused.value) == ("not shown", "needs N ≥ 400", None)


@pytest.mark.parametrize(
    ("errors", "decimals"),
    # The last digit must be at least half of the standard error: 0.1 >= 0.2 / 2, 0.01 < 0.03 / 2 <= 0.1.
    [([0.2], 1), ([0.03], 1), ([0.02], 2), ([3.0], 0), ([250.0], 0), ([0.03, 0.002], 3), ([], 2), ([None, 0.0], 2)],
)
def test_digits_follow_the_smallest_error_of_a_column(errors: list[float | None], decimals: int) -> None:
    assert numbers.decimals_for(errors) == decimals


def test_prices_keep_four_digits() -> None:
    assert [numbers.price(value) for value in (2506.85, 250.685, 1.23456)] == ["2\u202f507", "250.69", "1.2346"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.98765, "0.9877"), (0.0123456, "0.01235"), (0.000123456, "0.0001235"), (5.11456e-8, "5.115e−8"),
        (-5.11456e-8, "−5.115e−8"), (1e-9, "1.000e−9"), (0.0, "0.0000"), (8.28577e5, "828 577"),
    ],
)  # fmt: skip
def test_tiny_prices_keep_four_digits_too(value: float, text: str) -> None:
    assert numbers.price(value) == text


@pytest.mark.parametrize("unit", [1.0, 1e-4, 1e-9, 1e9])
def test_round_ticks_stand_at_any_size_of_prices(unit: float) -> None:
    assert nice_ticks(1.02 * unit, 1.58 * unit, 6) == pytest.approx([tick * unit for tick in (1.1, 1.2, 1.3, 1.4, 1.5)])


def test_declared_levels_carry_no_empty_decimals() -> None:
    assert [numbers.level(value) for value in (0.25, 0.125, 0.0)] == ["25%", "12.5%", "0%"]


def test_the_standard_error_behind_an_interval_is_its_half_over_the_normal_quantile() -> None:
    assert numbers.standard_error(Estimate(0.5, 0.5 - 1.96 * 0.02, 0.5 + 1.96 * 0.02)) == pytest.approx(0.02)
    assert numbers.standard_error(Estimate(0.5, None, 0.6)) is None


@pytest.mark.parametrize(
    ("q", "text"),
    [
        (0.0004, "< 0.001"), (0.0005, "0.001"), (0.0312, "0.031"), (0.2345, "0.23"),
        (0.0497, "0.0497"), (0.04996, "0.04996"), (0.0099996, "0.0099996"),
        (0.0098, "0.0098"), (0.0512, "0.051"), (0.01, "0.010"),
    ],
)  # fmt: skip
def test_a_q_is_never_rounded_onto_the_threshold_that_it_is_below(q: float, text: str) -> None:
    assert numbers.small_q(q, "x").text == text
