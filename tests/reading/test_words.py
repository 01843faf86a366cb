"""Names and numbers of a caller: what is near, what is whole, and what is said of the rest."""

import math

import numpy as np
import pytest

from scenario_gen.errors import SpecError
from scenario_gen.reading.words import near, nearest, number, whole


def test_the_nearest_names_come_first_whatever_their_capitals() -> None:
    assert near("xnys", ["XLON", "XNYS", "XNAS"], most=2, cutoff=0.4) == ["XNYS", "XNAS"]
    assert near("nano", ["base"]) == []
    assert nearest("Nana", ["nano", "mini"]) == "; did you mean 'nano'?"
    assert nearest(3, ["nano"]) == nearest("base", ["nano"]) == ""


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_a_whole_number_of_any_kind_is_an_int(value: int) -> None:
    assert whole("paths", value, 1, 3) == 3
    assert type(whole("paths", value)) is int


@pytest.mark.parametrize("value", [True, 3.0, "3", None, np.array([3, 4]), 4, 0])
def test_anything_else_is_refused_with_the_bounds(value: object) -> None:
    with pytest.raises(SpecError, match="a whole number from 1 to 3"):
        whole("paths", value, 1, 3)  # type: ignore[arg-type]  # what a caller may hand over


def test_a_number_out_of_bounds_is_shown_as_a_number() -> None:
    with pytest.raises(SpecError) as refused:
        whole("seed", np.int64(-1), 0)
    assert (refused.value.problem, refused.value.expected) == ("seed is -1", "a whole number of at least 0")
    for value in (math.nan, math.inf, -1.0, "x"):
        with pytest.raises(SpecError, match="a number from 0 to 1"):
            number("top_p", value, 0.0, 1.0)  # type: ignore[arg-type]  # what a caller may hand over
