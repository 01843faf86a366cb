"""Numbers of a finished page read back: each carries the place in run.json that it came from, and is formatted again.

Owns how a marked number is found in HTML. What a number looks like is :mod:`scenario_gen.report.numbers`' alone.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from scenario_gen.backtest.metrics import Form
from scenario_gen.report.numbers import Shown, bracketed, plain, plus_minus, share
from scenario_gen.stats.estimate import Estimate

MARKED = re.compile(
    r'<span data-v="(?P<value>[^"]*)" data-f="(?P<form>[^"]*)" data-p="(?P<at>[^"]*)">(?P<text>[^<]*)</span>'
    r'(?:<sup>.</sup>)?(?: <span class="ci">(?P<error>[^<]*)</span>)?'
)
MARK = "data-v="
NONE = "none"  # stands for an error that a number could have and is shown without


def misprints(page: str, data: Any) -> tuple[int, list[str]]:
    """Hold every marked number of a page, and the error beside it, against run.json.

    Args:
        page: as HTML.
        data: run.json, as JSON has it.

    Returns:
        How many numbers are marked, and what is wrong with which of them, in words.
    """
    wrong, count = [], 0
    for match in MARKED.finditer(page):
        count += 1
        if problem := _misprint(match, data):
            wrong.append(f"{match['at']}: {problem}")
    unread = page.count(MARK) - count
    return count, wrong + ([f"{unread} numbers are marked in a way that no page of ours has"] if unread else [])


def _misprint(match: re.Match[str], data: Any) -> str:
    text, error = html.unescape(match["text"]), html.unescape(match["error"] or "")
    try:
        stored, around = _look_up(data, html.unescape(match["at"]))
        value = float(stored)
        if float(match["value"]) != value:
            return f"the page has {match['value']}, run.json {value!r}"
        kind, _, digits = match["form"].partition(":")
        shown = _formatted(value, around, html.unescape(match["at"]), cast("Form", kind), int(digits))
    except (LookupError, TypeError, ValueError):
        return f"the page shows {text}, and run.json has no number there"
    if all(text != each.text for each in shown):
        return f"the page shows {text}, run.json says {shown[0].text}"
    wanted = [each.error for each in shown if each.text == text]
    if "" not in wanted and (error or NONE) not in wanted:
        return f"the page shows {text} {error}, run.json says {shown[0].words}"
    return ""


def _look_up(data: Any, pointer: str) -> tuple[Any, Any]:
    """Return what a pointer leads to, and what that stands in."""
    around = None
    for key in pointer.split("/"):
        around, data = data, data[int(key)] if isinstance(data, list) else data[key]
    return data, around


def _formatted(value: float, around: Any, at: str, form: Form, decimals: int) -> list[Shown]:
    """Return the ways in which a page may show a number: alone, or an estimate's with one form of its error."""
    place, _, last = at.rpartition("/")
    if isinstance(around, Mapping) and last == "count" and "n" in around:
        counted = share(Estimate(**around), place)
        return [counted, replace(counted, error=NONE), plain(value, form, at, decimals=decimals)]
    if not (isinstance(around, Mapping) and last == "value" and {"low", "high"} <= around.keys()):
        return [plain(value, form, at, decimals=decimals)]
    estimate = Estimate(value, around["low"], around["high"], n=1)
    return [bracketed(estimate, form, place, decimals=decimals), plus_minus(estimate, form, place, decimals=decimals)]
