"""Conditions on a grid: what they mean, and all that they refuse to mean."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies as st

from scenario_gen.backtest.uses import Constraint

NUMBERS = st.integers(-50, 50)


@pytest.mark.parametrize(
    "text",
    [
        "fast < slow",
        "fast < slow < limit",
        "fast <= slow and slow != limit",
        "not fast >= slow or limit == 3",
        "slow - fast > 10",
        "2 * fast + 1 < slow / 2",
        "slow % 10 == 0 and (fast // 3 != 2 or -fast > +limit)",
        "slow > 5.5",
    ],
)
@given(fast=NUMBERS, slow=NUMBERS, limit=NUMBERS)
def test_a_condition_means_what_it_means_in_python(text: str, fast: int, slow: int, limit: int) -> None:
    names = {"fast": fast, "slow": slow, "limit": limit}
    assert Constraint.parse(text).holds(names) is eval(text, {}, dict(names))


def test_texts_and_flags_are_compared() -> None:
    kind = Constraint.parse("kind == 'ema' or smooth != True")
    found = [kind.holds({"kind": k, "smooth": s}) for k, s in itertools.product(("ema", "sma"), (True, False))]
    assert found == [True, True, False, True]
    assert kind.names == {"kind", "smooth"}


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true') == 0",
        "fast.real < 3",
        "fast ** 9 < slow",
        "[fast] < [slow]",
        "fast in (1, 2)",
        "fast is slow",
        "(lambda: fast)() < 3",
        "fast << 99 < slow",
        "fast < 3 if slow else fast > 3",
        "(x := 3) < fast",
        "f'{fast}' == '3'",
        "fast < 3j",
        "b'1' < fast",
        "fast < None",
        "fast",
        "fast + slow",
        "not fast",
        "fast < 3 and slow",
        "",
        "fast <",
        "fast; slow",
        "fast = 3",
        "(" * 230 + "fast < 3" + ")" * 230 + " and" + " " * 40,
        "fast < 3" + " " * 600 + "and slow < 3",
        "fast\0 < 3",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|allowed|condition"):
        Constraint.parse(text)


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("fast < slow", {"fast": "five", "slow": 9}),
        ("fast / slow > 1", {"fast": 5, "slow": 0}),
        ("fast + 1 > 0", {"fast": "five"}),
        ("fast < 3", {"fast": None}),
        ("fast < slow", {"fast": 3}),
    ],
)
def test_what_cannot_be_decided_says_why(text: str, params: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"cannot be decided for|is not among the params"):
        Constraint.parse(text).holds(params)


@given(text=st.text(alphabet="fastslow<>=!()+-*/% 0123456789.andort'", max_size=40))
def test_any_text_is_refused_or_is_a_condition(text: str) -> None:
    try:
        constraint = Constraint.parse(text)
        constraint.holds({"fast": 1, "slow": 2})
    except ValueError as error:
        assert str(error)
