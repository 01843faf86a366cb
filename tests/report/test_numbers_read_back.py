"""A page's numbers are found, looked up in run.json and formatted again: an edited one is named."""

from __future__ import annotations

import json

import pytest

from scenario_gen.report.readback import misprints
from scenario_gen.store.results import StressRun
from scenario_gen.values import encode

Pages = dict[str, tuple[StressRun, str]]


def data_of(run: StressRun) -> object:
    return json.loads(json.dumps(encode(run)))


@pytest.mark.parametrize("name", ["full", "mini", "hostile", "degenerate"])
def test_every_number_of_a_page_is_what_run_json_says(pages: Pages, name: str) -> None:
    run, page = pages[name]
    count, wrong = misprints(page, data_of(run))
    assert wrong == []
    assert count == page.count("data-v=")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('0/probability_of_loss/value">', '0/probability_of_loss/value">9', "run.json says"),
        ('data-p="scenarios/0/candles/paths"', 'data-p="scenarios/0/candles/bars"', "the page has 512.0"),
        ('data-p="scenarios/0/candles/paths"', 'data-p="scenarios/0/candles/none"', "has no number there"),
        ('<span class="ci">[', '<span class="ci">[9', "run.json says"),
        ('data-f="count:0" data-p=', "data-p=", "marked in a way"),
    ],
)
def test_an_edited_number_error_or_pointer_is_named(pages: Pages, before: str, after: str, words: str) -> None:
    run, page = pages["full"]
    assert before in page
    _, wrong = misprints(page.replace(before, after, 1), data_of(run))
    assert len(wrong) == 1
    assert words in wrong[0]
