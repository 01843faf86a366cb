"""A gate that never fails guards nothing: each mutation of a page must be caught by its check."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from scenario_gen.store.results import StressRun

Pages = dict[str, tuple[StressRun, str]]


def once(pattern: str, replacement: str, page: str) -> str:
    mutated, count = re.subn(pattern, replacement, page, count=1)
    assert count == 1, "the mutation found nothing to change"
    return mutated


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r'(/value">[^<]*</span>) <span class="ci">\[[^<]*</span>', r"\1"),  # an interval dropped
        (r'(/value">[^<]*</span>) <span class="ci">±[^<]*</span>', r"\1"),  # an error dropped
        (r'(/value">[^<]*</span> <span class="ci">)\[', r"\1[9"),  # a wrong bound
        (r'(data-p="[^"]*/value">)([^<]*)<', r"\g<1>1\2<"),  # a wrong digit
        (r'(data-p="scenarios/)0(/strategies/0/metrics/0/quantiles/0.5/value")', r"\g<1>1\2"),  # another scenario's
        (r'(data-p="[^"]*/strategies/)0(/cvar/0.95/value")', r"\g<1>1\2"),  # another strategy's
        (r'data-v="[^"]*"', 'data-v="0.123"'),
    ],
)
def test_a_changed_number_is_caught(pages: Pages, checks: ModuleType, pattern: str, replacement: str) -> None:
    run, page = pages["full"]
    with pytest.raises(AssertionError):
        checks.check_numbers(once(pattern, replacement, page), run)


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r'<li class="card FAIL">', '<li class="card PASS">'),
        (r'(<li class="card \w+"><h3>[^<]*</h3><span class="v \w+"><svg.*?</svg>)FAIL', r"\1PASS"),
        (r'<li class="card \w+">', '<li class="card">'),
        (r'(<span class="v FAIL"><svg[^>]*><path[^>]* d=")[^"]*', r"\1M0 0"),
    ],
)
def test_a_changed_label_is_caught(pages: Pages, checks: ModuleType, pattern: str, replacement: str) -> None:
    run, page = pages["full"]
    with pytest.raises(AssertionError):
        checks.check_labels(once(pattern, replacement, page), run)


def test_an_account_that_was_edited_is_caught(pages: Pages, checks: ModuleType) -> None:
    run, page = pages["full"]
    with pytest.raises(AssertionError):
        checks.check_accounts(once(r'(candles/untouched">)\d+', r"\g<1>7", page), run)


def test_a_name_that_was_not_escaped_is_caught(pages: Pages, checks: ModuleType) -> None:
    page = pages["hostile"][1].replace("&lt;script&gt;", "<script>", 1)
    with pytest.raises(AssertionError):
        checks.read(page)
