from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, strategies as st

from scenario_gen.report import cards, words
from scenario_gen.report.numbers import Shown
from scenario_gen.report.table import place
from scenario_gen.report.words import FORBIDDEN, of_paths, say, text_of
from scenario_gen.store.results import StressRun


def every_text(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in every_text(item)]
    return [text for item in value for text in every_text(item)] if isinstance(value, tuple) else []


TEXTS = [
    text for key, value in vars(words).items() if key.isupper() and key != "FORBIDDEN" for text in every_text(value)
]


@pytest.mark.parametrize("word", FORBIDDEN)
def test_no_template_promises_anything(word: str) -> None:
    assert len(TEXTS) > 80
    assert [text for text in TEXTS if re.search(rf"\b{re.escape(word)}\b", text, flags=re.IGNORECASE)] == []


def test_the_search_for_forbidden_words_finds_one() -> None:
    assert [word for word in FORBIDDEN if re.search(rf"\b{word}\b", "a safe and robust strategy")] == ["safe", "robust"]


def test_the_headline_keeps_below_sixty_words_and_names_its_denominator(full: StressRun, mini: StressRun) -> None:
    for run in (full, mini):
        text = " ".join(text_of(sentence) for sentence in cards.headline(run, place(run)[0]))
        assert len(text.split()) <= 60
        assert f"On {run.scenarios[0].paths} generated paths" in text


def test_cards_keep_below_forty_words(full: StressRun, degenerate: StressRun) -> None:
    for run in (full, degenerate):
        placed = place(run)
        for card in cards.cards(run, placed, placed[0]):
            assert len(text_of(card.sentence).split()) <= 40, card.title


def test_the_page_says_at_most_three_things_that_it_cannot_say(full: StressRun, degenerate: StressRun) -> None:
    told = [text_of(sentence) for sentence in cards.scope(full.scenarios[0], "next_open")]
    assert len(told) == 3
    assert "Quantiles below 3.9% are not read here: with 512 paths" in told[1]  # 20 / 512
    assert "fills at the next open" in told[2]
    assert "No quantile is read here: with 20 paths" in text_of(cards.scope(degenerate.scenarios[0], "close")[1])


def test_a_share_says_of_what_it_is_a_share() -> None:
    rate = Shown("31.1%", "[29.2, 33.2]", 0.311, "percent")
    assert text_of(of_paths(rate)) == "31.1% [29.2, 33.2] of paths"
    none = Shown("0 of 512", "< 0.59%", 0.0, "count")
    assert text_of(of_paths(none)) == "0 of 512 paths (< 0.59%)"
    few = Shown("3 of 512", "", 3.0, "count")
    assert text_of(of_paths(few)) == "3 of 512 paths"


def test_a_template_without_its_value_is_a_defect_and_not_a_gap() -> None:
    with pytest.raises(KeyError):
        say("{missing} paths")


@given(st.text(max_size=200))
def test_names_are_one_visible_line_of_at_most_sixty_characters(text: str) -> None:
    made = words.name(text)
    assert 0 < len(made) <= 60
    assert "\n" not in made
    assert words.visible(made) == made


def test_long_names_keep_both_ends() -> None:
    made = words.name("a" * 100 + "z" * 100)
    assert (made[0], made[-1], len(made)) == ("a", "z", 60)


@pytest.mark.parametrize("char", ["\u202e", "\u200b", "\x00", "\x1b", "\u2066", "\ufeff", "\ud800", "\u2028"])
def test_characters_that_hide_or_turn_text_become_codes(char: str) -> None:
    assert words.visible(f"a{char}b") == f"a⟨U+{ord(char):04X}⟩b"


def test_letters_of_any_script_stay() -> None:
    assert words.visible("Ænderung 日本 עברית 😀\n\t") == "Ænderung 日本 עברית 😀\n\t"
